/* SPDX-License-Identifier: Apache-2.0 */
/* See primary.h. */
#include "pipeline/primary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define TABLES_NS 60000000000LL
#define GROWTH_S  300.0 /* what the slot holds goes up and down with its restart_lsn */
#define PIDS_SIZE (NW_PRIMARY_PIDS_MAX * 12u + 3u)
#define AGE_MAX   (UINT64_C(1) << 31)

/* ---- when the WAL ended where ---- */

/* Every second one goes, not the last: what is long ago is known less exactly. */
static void marks_thin(struct nw_wal_marks *marks)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < marks->count; i += 2) {
        marks->marks[kept++] = marks->marks[i];
    }
    marks->count = kept;
}

void nw_wal_marks_add(struct nw_wal_marks *marks, uint64_t lsn, int64_t now_ns)
{
    if (marks->count > 0 && lsn < marks->marks[marks->count - 1].lsn) {
        marks->count = 0;
    }
    if (marks->count == NW_WAL_MARKS_MAX) {
        marks_thin(marks);
    }
    marks->marks[marks->count].lsn = lsn;
    marks->marks[marks->count++].at_ns = now_ns;
}

double nw_wal_marks_age(const struct nw_wal_marks *marks, uint64_t lsn, int64_t now_ns)
{
    uint32_t after = 0;
    double at_ns = 0;

    while (after < marks->count && marks->marks[after].lsn <= lsn) {
        after++;
    }
    if (after == marks->count) {
        return 0;
    }
    at_ns = (double)marks->marks[after].at_ns;
    if (after > 0) { /* it is between two: as if the WAL had grown evenly */
        double share = (double)(lsn - marks->marks[after - 1].lsn) /
                       (double)(marks->marks[after].lsn - marks->marks[after - 1].lsn);

        at_ns -= (1 - share) * (double)(marks->marks[after].at_ns - marks->marks[after - 1].at_ns);
    }
    return ((double)now_ns - at_ns) / 1e9;
}

/* ---- what the catalog says ---- */

/* The FROM's parts are one row each, whatever is missing. */
static const char LOOK[] =
    "SELECT wal.lsn - '0/0'::pg_catalog.pg_lsn, s.slot_name IS NOT NULL, "
    "greatest(0, wal.lsn - s.restart_lsn), s.confirmed_flush_lsn - '0/0'::pg_catalog.pg_lsn, "
    "s.wal_status, coalesce(s.safe_wal_size, 0), "
    "pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size')), "
    "pg_catalog.age(s.catalog_xmin), pg_catalog.current_setting('autovacuum_freeze_max_age'), "
    "ours.seconds, ours.age, others.age, others.who, "
    "pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'), "
    "greatest(0, wal.lsn - s.confirmed_flush_lsn) "
    "FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
    "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END AS lsn) "
    "wal "
    "LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1 "
    "LEFT JOIN (SELECT max(extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)) AS "
    "seconds, max(pg_catalog.age(backend_xmin)) AS age FROM pg_catalog.pg_stat_activity "
    "WHERE pid = ANY($2::pg_catalog.int4[]) AND backend_xmin IS NOT NULL) ours ON true "
    "LEFT JOIN (SELECT age, who FROM ("
    "SELECT greatest(pg_catalog.age(backend_xmin), pg_catalog.age(backend_xid)) AS age, "
    "'process ' || pid || coalesce(' (' || coalesce(nullif(application_name, ''), backend_type) || "
    "')', '') || coalesce(', in a transaction for ' || pg_catalog.date_trunc('second', "
    "pg_catalog.clock_timestamp() - xact_start), '') AS who FROM pg_catalog.pg_stat_activity WHERE "
    "pid <> ALL($2::pg_catalog.int4[]) AND pid <> pg_catalog.pg_backend_pid() AND (datname = "
    "pg_catalog.current_database() OR backend_type = 'walsender') AND backend_type <> "
    "'autovacuum worker' UNION ALL "
    "SELECT pg_catalog.age(transaction), 'prepared transaction ' || pg_catalog.quote_literal(gid) "
    "FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() UNION ALL "
    "SELECT pg_catalog.age(xmin), 'slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE "
    "slot_name <> $1) o WHERE age IS NOT NULL ORDER BY age DESC LIMIT 1) others ON true";

/* Sums of all, and the worst; of tables, which are not many compared with what this costs. */
static const char DEAD[] =
    "SELECT dead, live, n.nspname || '.' || t.relname FROM (SELECT relname, relnamespace, "
    "sum(pg_catalog.pg_stat_get_dead_tuples(oid)) OVER () AS dead, "
    "sum(pg_catalog.pg_stat_get_live_tuples(oid)) OVER () AS live "
    "FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm') "
    "ORDER BY pg_catalog.pg_stat_get_dead_tuples(oid) DESC LIMIT 1) t "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace";

static void pids_print(const int *pids, uint32_t count, char text[static PIDS_SIZE])
{
    size_t at = 1;
    bool any = false;

    NW_ASSERT(count <= NW_PRIMARY_PIDS_MAX);
    text[0] = '{';
    for (uint32_t i = 0; i < count; i++) {
        if (pids[i] != 0) {
            at += (size_t)snprintf(text + at, PIDS_SIZE - at, "%s%d", any ? "," : "", pids[i]);
            any = true;
        }
    }
    text[at] = '}';
    text[at + 1] = '\0';
}

static int64_t number(const struct nw_rows *rows, int column)
{
    const char *text = nw_rows_text(rows, 0, column);

    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

/* An age is below 0 of a transaction that is newer than what is compared with. */
static uint64_t age_of(const struct nw_rows *rows, int column)
{
    int64_t age = number(rows, column);

    return age < 0 || (uint64_t)age > AGE_MAX ? 0 : (uint64_t)age;
}

static void text_take(const struct nw_rows *rows, int column, char *to, size_t size)
{
    const char *text = nw_rows_text(rows, 0, column);

    (void)snprintf(to, size, "%s", text == NULL ? "" : text);
}

static void slot_take(struct nw_primary_watch *watch, const struct nw_rows *rows,
                      struct nw_primary *primary)
{
    int64_t now_ns = primary->seen_ns;
    double since_s = 0;

    primary->slot_known = nw_rows_bool(rows, 0, 1);
    primary->retained_bytes = nw_rows_u64(rows, 0, 2);
    primary->confirmed_lsn = nw_rows_u64(rows, 0, 3);
    text_take(rows, 4, primary->wal_status, sizeof primary->wal_status);
    primary->safe_bytes = number(rows, 5);
    primary->keep_bytes = number(rows, 6);
    primary->xmin_age = age_of(rows, 7);
    primary->unacknowledged_bytes = nw_rows_u64(rows, 0, 14);
    nw_wal_marks_add(&watch->wal, primary->lsn, now_ns);
    primary->unacknowledged_s = primary->confirmed_lsn == 0
                                    ? 0
                                    : nw_wal_marks_age(&watch->wal, primary->confirmed_lsn, now_ns);

    /* Less than before begins anew: what grows is all that is asked for. */
    nw_wal_marks_add(&watch->held, primary->retained_bytes, now_ns);
    since_s = (double)(now_ns - watch->held.marks[0].at_ns) / 1e9;
    primary->retained_growth =
        since_s < GROWTH_S
            ? 0
            : (uint64_t)((double)(primary->retained_bytes - watch->held.marks[0].lsn) / since_s);
}

static void snapshot_take(const struct nw_rows *rows, struct nw_primary *primary)
{
    const char *seconds = nw_rows_text(rows, 0, 9);

    primary->snapshot = nw_rows_text(rows, 0, 10) != NULL;
    primary->snapshot_s = seconds == NULL || !primary->snapshot ? 0 : strtod(seconds, NULL);
    primary->snapshot_age = age_of(rows, 10);
    primary->other_age = age_of(rows, 11);
    text_take(rows, 12, primary->other, sizeof primary->other);
    primary->others_seen = nw_rows_bool(rows, 0, 13);
    primary->holds_vacuum = primary->snapshot && primary->snapshot_age >= primary->other_age;
}

/* What vacuum may not remove while there is a snapshot. */
static nw_status dead_look(struct nw_primary_watch *watch, struct nw_session *session,
                           const struct nw_primary *former, struct nw_primary *primary,
                           struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    if (!primary->snapshot) {
        watch->has_base = false;
        watch->tables_seen_ns = 0;
        return NW_OK;
    }
    primary->dead_rows = former->dead_rows;
    primary->dead_rows_since = former->dead_rows_since;
    primary->live_rows = former->live_rows;
    memcpy(primary->dead_table, former->dead_table, sizeof primary->dead_table);
    if (watch->tables_seen_ns != 0 && primary->seen_ns - watch->tables_seen_ns < TABLES_NS) {
        return NW_OK;
    }
    status = nw_session_query(session, DEAD, NULL, 0, NULL, &rows, err);
    if (status == NW_OK && nw_rows_count(rows) == 1) {
        watch->tables_seen_ns = primary->seen_ns;
        primary->dead_rows = nw_rows_u64(rows, 0, 0);
        primary->live_rows = nw_rows_u64(rows, 0, 1);
        text_take(rows, 2, primary->dead_table, sizeof primary->dead_table);
        watch->dead_rows_base = watch->has_base ? watch->dead_rows_base : primary->dead_rows;
        watch->has_base = true;
        primary->dead_rows_since = primary->dead_rows > watch->dead_rows_base
                                       ? primary->dead_rows - watch->dead_rows_base
                                       : 0;
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_primary_look(struct nw_primary_watch *watch, struct nw_session *session,
                          const struct nw_primary_ours *ours, struct nw_primary *primary,
                          struct nw_error *err)
{
    char list[PIDS_SIZE];
    const char *params[2] = {ours->slot, list};
    struct nw_primary seen = {.seen_ns = ours->now_ns};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    pids_print(ours->pids, ours->pids_count, list);
    status = nw_session_query(session, LOOK, params, 2, NULL, &rows, err);
    if (status == NW_OK) {
        NW_ASSERT(nw_rows_count(rows) == 1);
        seen.lsn = nw_rows_u64(rows, 0, 0);
        seen.freeze_age_max = nw_rows_u64(rows, 0, 8);
        slot_take(watch, rows, &seen);
        snapshot_take(rows, &seen);
        status = dead_look(watch, session, primary, &seen, err);
    }
    nw_rows_free(rows);
    if (status == NW_OK) {
        *primary = seen;
    }
    return status;
}
