/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See preflight.h. The server as a whole: settings, slot, transactions. Connection and role are in
 * preflight_role.c, tables in preflight_tables.c, what was left behind in preflight_left.c,
 * printing in preflight_print.c and preflight_sql.c.
 */
#include "pipeline/preflight_private.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "pg/ddl_trigger.h"
#include "pg/lsn.h"

#define VERSION_MIN        140000
#define LONG_TRANSACTION_S 10
#define KEEP_SECONDS_MIN   (4.0 * 3600) /* a slot that is lost after less is worth a word */
#define SHOWN_MAX          20
#define MB                 (1024.0 * 1024.0)

const char *nw_preflight_text(struct nw_preflight *preflight, const char *format, ...)
{
    char *made = NULL;
    char *kept = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&made, format, args) < 0) {
        made = NULL;
    }
    va_end(args);
    kept = nw_arena_text(preflight->arena, made);
    free(made);
    return kept == NULL ? "" : kept;
}

struct nw_finding *nw_preflight_add(struct nw_preflight *preflight, enum nw_finding_level level,
                                    const char *code, const char *format, ...)
{
    size_t at = preflight->findings_count < NW_FINDINGS_MAX ? preflight->findings_count++
                                                            : NW_FINDINGS_MAX - 1;
    struct nw_finding *finding = &preflight->findings[at];
    char *made = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&made, format, args) < 0) {
        made = NULL;
    }
    va_end(args);
    *finding = (struct nw_finding){.level = level, .code = code};
    finding->text = nw_arena_text(preflight->arena, made);
    if (finding->text == NULL) {
        finding->text = "";
    }
    free(made);
    return finding;
}

size_t nw_preflight_count(const struct nw_preflight *preflight, enum nw_finding_level level)
{
    size_t count = 0;

    for (size_t i = 0; i < preflight->findings_count; i++) {
        count += preflight->findings[i].level == level;
    }
    return count;
}

/* ---- pure rules ---- */

/* Whether c ends a name, or belongs to none: FIRST 2 (a, "b c") */
static bool separates(char c)
{
    return strchr(" ,()\t\n", c) != NULL; /* the final NUL too */
}

/* Copies a name that begins with a quote, quotes in it doubled. @return what follows it */
static const char *quoted_name(const char *at, char *name, size_t size)
{
    size_t used = 0;

    for (at++; *at != '\0' && (*at != '"' || at[1] == '"'); at++) {
        at += *at == '"';
        if (used + 1 < size) {
            name[used++] = *at;
        }
    }
    name[used] = '\0';
    return *at == '"' ? at + 1 : at;
}

static const char *plain_name(const char *at, char *name, size_t size)
{
    size_t used = 0;

    for (; !separates(*at); at++) {
        if (used + 1 < size) {
            name[used++] = *at;
        }
    }
    name[used] = '\0';
    return at;
}

bool nw_standby_names_match(const char *names, const char *application_name)
{
    char name[128];

    while (*names != '\0') {
        if (separates(*names)) {
            names++;
            continue;
        }
        bool quoted = *names == '"';

        names =
            quoted ? quoted_name(names, name, sizeof name) : plain_name(names, name, sizeof name);
        if (strcasecmp(name, application_name) == 0 || (!quoted && strcmp(name, "*") == 0)) {
            return true;
        }
    }
    return false;
}

bool nw_version_faulty(int server_version, int *good_version)
{
    /* First minors with both: changes of transactions that run while a publication is altered are
     * decoded right (released May 2025, mended August 2025), and a checkpoint cannot remove WAL
     * that a slot needs (August 2025). 18 was released with them. */
    static const int good[] = {140019, 150014, 160010, 170006};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (server_version / 10000 == good[i] / 10000) {
            *good_version = good[i];
            return server_version < good[i];
        }
    }
    return false;
}

static nw_status query(struct nw_examination *x, const char *sql, struct nw_rows **rows,
                       struct nw_error *err)
{
    return nw_session_query(x->session, sql, NULL, 0, NULL, rows, err);
}

static void version_check(struct nw_examination *x)
{
    struct nw_preflight *p = x->report;
    int good = 0;

    p->version_number = x->version;
    (void)snprintf(p->version, sizeof p->version, "%d.%d", x->version / 10000, x->version % 10000);
    if (x->version < VERSION_MIN) {
        (void)nw_preflight_add(p, NW_FINDING_FAIL, "NW1204",
                               "the server is PostgreSQL %s; 14 and later are followed",
                               p->version);
    } else if (nw_version_faulty(x->version, &good)) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1303",
                               "PostgreSQL %s can lose changes in logical decoding (a publication "
                               "altered under running transactions; WAL removed by a checkpoint): "
                               "update to %d.%d",
                               p->version, good / 10000, good % 10000);
    }
}

/* ---- settings ---- */

static void wal_level_check(struct nw_examination *x, const char *wal_level)
{
    if (strcmp(wal_level, "logical") == 0) {
        (void)nw_preflight_add(x->report, NW_FINDING_OK, "", "wal_level is logical");
        return;
    }
    nw_preflight_add(
        x->report, NW_FINDING_FAIL, "NW1206",
        "wal_level is %s, and logical is needed (the server must be restarted; managed "
        "servers have a parameter for it)",
        wal_level)
        ->mend = "ALTER SYSTEM SET wal_level = logical;";
}

static uint64_t over(uint64_t count)
{
    return count < 10 ? 10 : count + 4;
}

/* Slots, walsenders and connections that are still free. */
static void room_check(struct nw_examination *x, const struct nw_rows *rows)
{
    struct nw_preflight *p = x->report;
    uint64_t slots_max = nw_rows_u64(rows, 0, 1);
    uint64_t slots = nw_rows_u64(rows, 0, 2);
    uint64_t senders_max = nw_rows_u64(rows, 0, 3);
    uint64_t senders = nw_rows_u64(rows, 0, 4);
    uint64_t connections_max = nw_rows_u64(rows, 0, 5);
    uint64_t connections = nw_rows_u64(rows, 0, 6);
    uint64_t needed = x->options->running != NULL ? 0 : x->options->copies ? 2 : 1;
    bool fits = true;

    /* With a slot there already, a copy takes a temporary one. */
    if (needed > 0 && (!x->slot_exists || x->options->copies) && slots >= slots_max) {
        fits = false;
        nw_preflight_add(p, NW_FINDING_FAIL, "NW1207",
                         "all %" PRIu64 " replication slots are taken (a restart is needed to have "
                         "more)",
                         slots_max)
            ->mend = nw_preflight_text(p, "ALTER SYSTEM SET max_replication_slots = %" PRIu64 ";",
                                       over(slots_max));
    }
    if (senders + needed > senders_max) {
        fits = false;
        nw_preflight_add(p, NW_FINDING_FAIL, "NW1208",
                         "%" PRIu64 " of %" PRIu64 " walsenders are in use, and %" PRIu64
                         " more are needed (a restart is needed to have more)",
                         senders, senders_max, needed)
            ->mend = nw_preflight_text(p, "ALTER SYSTEM SET max_wal_senders = %" PRIu64 ";",
                                       over(senders_max));
    }
    needed =
        x->options->running != NULL ? 0 : 3 + (x->options->copies ? x->options->copy_workers : 0);
    if (connections + needed > connections_max) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1305",
                               "%" PRIu64 " of %" PRIu64
                               " connections are in use, and up to %" PRIu64
                               " more are wanted: lower copy.workers, or raise max_connections",
                               connections, connections_max, needed);
    }
    if (fits) {
        (void)nw_preflight_add(p, NW_FINDING_OK, "",
                               "%" PRIu64 " of %" PRIu64 " slots and %" PRIu64 " of %" PRIu64
                               " walsenders in use",
                               slots, slots_max, senders, senders_max);
    }
}

/* How long the server keeps WAL for a slot that nobody reads. */
static void retention_check(struct nw_examination *x, const struct nw_rows *rows)
{
    struct nw_preflight *p = x->report;
    double keep_bytes = strtod(nw_rows_text(rows, 0, 7), NULL) * MB;
    const char *idle = nw_rows_text(rows, 0, 10);
    char size[NW_NUMBER_TEXT_SIZE];
    char rate[NW_NUMBER_TEXT_SIZE];
    char time[NW_NUMBER_TEXT_SIZE];

    p->wal_rate = nw_rows_text(rows, 0, 11) == NULL ? 0 : strtod(nw_rows_text(rows, 0, 11), NULL);
    if (keep_bytes < 0) {
        (void)nw_preflight_add(
            p, NW_FINDING_WARN, "NW1310",
            "max_slot_wal_keep_size is -1: while narwal is stopped its slot holds "
            "all WAL, at the rate so far %s/h, until the disk is full",
            nw_size_text(rate, p->wal_rate * 3600));
    } else if (p->wal_rate > 0 && keep_bytes / p->wal_rate < KEEP_SECONDS_MIN) {
        nw_preflight_add(
            p, NW_FINDING_WARN, "NW1311",
            "max_slot_wal_keep_size is %s: at the rate so far a slot is lost once narwal "
            "is %s behind, also during the first copy",
            nw_size_text(size, keep_bytes), nw_duration_text(time, keep_bytes / p->wal_rate))
            ->mend = nw_preflight_text(p,
                                       "ALTER SYSTEM SET max_slot_wal_keep_size = '%.0fGB'; SELECT "
                                       "pg_reload_conf();",
                                       p->wal_rate * KEEP_SECONDS_MIN * 2 / 1e9 + 1);
    } else {
        (void)nw_preflight_add(p, NW_FINDING_OK, "", "max_slot_wal_keep_size is %s",
                               nw_size_text(size, keep_bytes));
    }
    if (idle != NULL && idle[0] != '\0' && strcmp(idle, "0") != 0) {
        nw_preflight_add(
            p, NW_FINDING_WARN, "NW1312",
            "idle_replication_slot_timeout is %s: a slot is lost once narwal is stopped "
            "for that long",
            idle)
            ->mend = "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();";
    }
}

static void standby_names_check(struct nw_examination *x, const struct nw_rows *rows)
{
    const char *names = nw_rows_text(rows, 0, 8);
    const char *application_name = nw_rows_text(rows, 0, 9);

    if (nw_standby_names_match(names, application_name)) {
        (void)nw_preflight_add(
            x->report, NW_FINDING_FAIL, "NW1222",
            "synchronous_standby_names (%s) takes narwal (application_name %s) for "
            "a synchronous standby: the application's commits would wait for it. "
            "Name the standbys there, or put another application_name into the DSN",
            names, application_name);
    }
}

static void recovery_check(struct nw_examination *x, const struct nw_rows *rows)
{
    if (!x->in_recovery) {
        return;
    }
    if (x->version < 160000) {
        (void)nw_preflight_add(
            x->report, NW_FINDING_FAIL, "NW1205",
            "this is a standby of PostgreSQL %s; standbys can be followed from 16 "
            "on: connect to the primary",
            x->report->version);
        return;
    }
    if (!x->slot_exists) {
        (void)nw_preflight_add(
            x->report, NW_FINDING_WARN, "NW1304",
            "this is a standby: making a slot waits until the primary writes; on "
            "an idle primary run SELECT pg_log_standby_snapshot() there");
    }
    if (!nw_rows_bool(rows, 0, 12)) {
        nw_preflight_add(
            x->report, NW_FINDING_WARN, "NW1306",
            "this is a standby with hot_standby_feedback off: the primary's vacuum can "
            "invalidate the slot")
            ->mend = "ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf();";
    }
}

static nw_status settings_check(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = query(
        x,
        "SELECT current_setting('wal_level'), current_setting('max_replication_slots'),"
        " (SELECT count(*) FROM pg_replication_slots), current_setting('max_wal_senders'),"
        " (SELECT count(*) FROM pg_stat_replication),"
        " current_setting('max_connections')::int -"
        "  current_setting('superuser_reserved_connections')::int,"
        " (SELECT sum(numbackends) FROM pg_stat_database),"
        " (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),"
        " current_setting('synchronous_standby_names'), current_setting('application_name'),"
        " current_setting('idle_replication_slot_timeout', true),"
        " (SELECT (wal_bytes / nullif(extract(epoch FROM clock_timestamp() - stats_reset), 0))"
        "  ::numeric(20, 1) FROM pg_stat_wal),"
        " current_setting('hot_standby_feedback')::bool,"
        " pg_has_role('pg_read_all_stats', 'USAGE')",
        &rows, err);

    if (status == NW_OK) {
        x->report->sees_sessions = nw_rows_bool(rows, 0, 13);
        wal_level_check(x, nw_rows_text(rows, 0, 0));
        room_check(x, rows);
        retention_check(x, rows);
        standby_names_check(x, rows);
        recovery_check(x, rows);
    }
    nw_rows_free(rows);
    return status;
}

/* ---- the slot ---- */

/* Somebody else streams from the slot. @param rows  application_name, client address */
static void slot_taken(struct nw_examination *x, int pid, const struct nw_rows *rows)
{
    const char *name = x->options->server.slot_name;
    bool known = nw_rows_count(rows) == 1 && nw_rows_text(rows, 0, 0) != NULL;
    const char *application = known ? nw_rows_text(rows, 0, 0) : "unknown";
    const char *address = known ? nw_rows_text(rows, 0, 1) : NULL;

    if (strcmp(application, "narwal") == 0) {
        (void)nw_preflight_add(
            x->report, NW_FINDING_FAIL, "NW1211",
            "slot %s is in use by process %d: another narwal, connected from %s, "
            "with another state folder than this configuration's or of another "
            "user. Stop it there, or choose another name",
            name, pid, address == NULL ? "the server's own host" : address);
        return;
    }
    nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1211",
                     "slot %s is in use by process %d (%s): stop that, or choose another "
                     "slot.name",
                     name, pid, application)
        ->otherwise = nw_preflight_text(x->report, "SELECT pg_terminate_backend(%d);", pid);
}

static nw_status slot_usage(struct nw_examination *x, const struct nw_catalog_slot *slot,
                            struct nw_error *err)
{
    char sql[160];
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    if (x->options->running != NULL) {
        (void)nw_preflight_add(x->report, NW_FINDING_OK, "",
                               "slot %s is in use by the narwal that runs with this configuration "
                               "(state folder %s); narwal status says how it is",
                               x->options->server.slot_name, x->options->running);
        return NW_OK;
    }
    (void)snprintf(
        sql, sizeof sql,
        "SELECT application_name, host(client_addr) FROM pg_stat_replication WHERE pid = "
        "%d",
        slot->active_pid);
    status = query(x, sql, &rows, err);
    if (status == NW_OK) {
        slot_taken(x, slot->active_pid, rows);
    }
    nw_rows_free(rows);
    return status;
}

static const char *slot_fault(const struct nw_examination *x, const struct nw_catalog_slot *slot)
{
    if (!slot->logical || strcmp(slot->plugin, "pgoutput") != 0) {
        return "is not one of pgoutput: choose another slot.name";
    }
    if (strcmp(slot->database, x->database) != 0) {
        return "belongs to another database: choose another slot.name";
    }
    if (slot->synced && x->in_recovery) {
        return "is kept in step with a primary by this standby: follow the primary";
    }
    if (slot->temporary) {
        return "is a temporary one of somebody else: choose another slot.name";
    }
    return NULL;
}

/* Made in the publication's database, or by narwal itself. */
static nw_status slot_missing(struct nw_examination *x, struct nw_error *err)
{
    const char *name = x->options->server.slot_name;
    char quoted[160] = "";
    nw_status status = NW_OK;

    if (x->options->server.create_slot) {
        return NW_OK;
    }
    status = nw_session_quote_literal(x->session, name, quoted, sizeof quoted, err);
    if (status == NW_OK) {
        struct nw_finding *finding =
            nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1215",
                             "there is no slot %s, and slot.create is false", name);

        const char *failover = x->options->server.failover ? ", false, false, true" : "";

        finding->mend = nw_preflight_text(
            x->report, "SELECT pg_create_logical_replication_slot(%s, 'pgoutput'%s);", quoted,
            failover);
        finding->script = nw_preflight_text(x->report,
                                            "SELECT pg_create_logical_replication_slot(%s, "
                                            "'pgoutput'%s)\n  WHERE NOT EXISTS (SELECT "
                                            "FROM pg_replication_slots WHERE slot_name = %s);",
                                            quoted, failover, quoted);
    }
    return status;
}

/* A slot that is of no use any more. */
static nw_status slot_drop_add(struct nw_examination *x, struct nw_finding *finding,
                               struct nw_error *err)
{
    char quoted[160] = "";
    nw_status status = nw_session_quote_literal(x->session, x->options->server.slot_name, quoted,
                                                sizeof quoted, err);

    finding->mend = nw_preflight_text(x->report, "SELECT pg_drop_replication_slot(%s);", quoted);
    finding->script = nw_preflight_text(
        x->report,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n  WHERE slot_name = "
        "%s AND NOT active;",
        quoted);
    return status;
}

static nw_status slot_check(struct nw_examination *x, struct nw_error *err)
{
    const char *name = x->options->server.slot_name;
    struct nw_catalog_slot slot = {0};
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = nw_catalog_slot(x->session, name, &slot, err);
    const char *fault = NULL;

    x->slot_exists = slot.exists;
    if (status != NW_OK || !x->options->streams) {
        return status;
    }
    if (x->options->server.failover && x->version < 170000) {
        (void)nw_preflight_add(x->report, NW_FINDING_FAIL, "NW2328",
                               "source.slot.failover needs PostgreSQL 17 or newer");
    }
    if (!slot.exists || x->options->setup_all) {
        return slot_missing(x, err);
    }
    fault = slot_fault(x, &slot);
    if (fault != NULL) {
        (void)nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1213", "slot %s %s", name, fault);
        return NW_OK;
    }
    if (slot.two_phase) {
        return slot_drop_add(
            x,
            nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1214",
                             "slot %s has two_phase on, by which a prepared transaction can be "
                             "lost: let narwal make its own",
                             name),
            err);
    }
    if (strcmp(slot.wal_status, "lost") == 0 || slot.invalidation_reason[0] != '\0' ||
        slot.conflicting || slot.restart_lsn == 0) {
        return slot_drop_add(
            x,
            nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1210",
                             "slot %s was invalidated (%s): changes are gone. Drop it, move the "
                             "sinks' former data away, and begin with a new copy",
                             name,
                             slot.invalidation_reason[0] != '\0' ? slot.invalidation_reason
                                                                 : slot.wal_status),
            err);
    }
    if (slot.active) {
        return slot_usage(x, &slot, err);
    }
    (void)nw_preflight_add(x->report, NW_FINDING_OK, "", "slot %s stands at %s (WAL %s)", name,
                           nw_lsn_text(lsn, slot.confirmed_flush_lsn), slot.wal_status);
    if (strcmp(slot.wal_status, "unreserved") == 0) {
        (void)nw_preflight_add(x->report, NW_FINDING_WARN, "NW1316",
                               "slot %s will be lost at the next checkpoint: start narwal now",
                               name);
    }
    return NW_OK;
}

/* ---- what a new slot has to wait for ---- */

/* Whether a run would make a slot, be it a temporary one for a copy. */
static bool makes_slot(const struct nw_examination *x)
{
    return x->options->running == NULL && (!x->slot_exists || x->options->copies);
}

static nw_status transactions_check(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    char age[NW_NUMBER_TEXT_SIZE];
    char sql[512];
    nw_status status = NW_OK;

    if (!makes_slot(x)) {
        return NW_OK;
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::bigint,"
                   " coalesce(nullif(a.application_name, ''), a.usename)"
                   " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                   " WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted"
                   " AND a.xact_start < clock_timestamp() - interval '%d s'"
                   " AND a.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT %d",
                   LONG_TRANSACTION_S, SHOWN_MAX);
    status = query(x, sql, &rows, err);
    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        nw_preflight_add(
            x->report, NW_FINDING_WARN, "NW1313",
            "process %s (%s) has been in a transaction for %s: making a slot waits until "
            "it ends",
            nw_rows_text(rows, i, 0), nw_rows_text(rows, i, 2),
            nw_duration_text(age, (double)nw_rows_u64(rows, i, 1)))
            ->otherwise = nw_preflight_text(x->report, "SELECT pg_terminate_backend(%s);",
                                            nw_rows_text(rows, i, 0));
    }
    nw_rows_free(rows);
    return status;
}

static nw_status prepared_check(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    char sql[256];
    char age[NW_NUMBER_TEXT_SIZE];
    nw_status status = NW_OK;

    if (!makes_slot(x)) {
        return NW_OK;
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::bigint, database,"
                   " quote_literal(gid) FROM pg_prepared_xacts ORDER BY prepared LIMIT %d",
                   SHOWN_MAX);
    status = query(x, sql, &rows, err);
    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        nw_preflight_add(
            x->report, NW_FINDING_WARN, "NW1314",
            "transaction \"%s\" in database %s has been prepared for %s: making a slot "
            "waits until it is committed or rolled back",
            nw_rows_text(rows, i, 0), nw_rows_text(rows, i, 2),
            nw_duration_text(age, (double)nw_rows_u64(rows, i, 1)))
            ->otherwise =
            nw_preflight_text(x->report, "COMMIT PREPARED %s; or ROLLBACK PREPARED %s;",
                              nw_rows_text(rows, i, 3), nw_rows_text(rows, i, 3));
    }
    nw_rows_free(rows);
    return status;
}

/* Whether changes of tables are noted in the WAL. */
static nw_status ddl_trigger_check(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status =
        nw_session_query(x->session, NW_DDL_TRIGGER_COUNT, NULL, 0, NULL, &rows, err);

    if (status == NW_OK) {
        bool there = nw_rows_u64(rows, 0, 0) == 2;

        (void)nw_preflight_add(x->report, NW_FINDING_OK, "", "%s",
                               there ? "the DDL trigger is installed: renamed columns are certain"
                                     : "no DDL trigger: a column that may be a renamed one stops "
                                       "its table where a sink cares, as "
                                       "tables.ambiguous_rename says (narwal ddl-trigger install)");
    }
    nw_rows_free(rows);
    return status;
}

/* ---- all of it ---- */

static nw_status examine(struct nw_examination *x, struct nw_error *err)
{
    nw_status status = NW_OK;

    x->version = nw_session_server_version(x->session);
    (void)snprintf(x->report->host, sizeof x->report->host, "%s", nw_session_host(x->session));
    version_check(x);
    if (x->version < VERSION_MIN) {
        return NW_OK;
    }
    status = nw_preflight_role(x, err);
    if (status == NW_OK) {
        status = slot_check(x, err);
    }
    if (status == NW_OK) {
        status = settings_check(x, err);
    }
    if (status == NW_OK) {
        nw_preflight_walsender(x);
        status = transactions_check(x, err);
    }
    if (status == NW_OK) {
        status = prepared_check(x, err);
    }
    if (status == NW_OK) {
        status = ddl_trigger_check(x, err);
    }
    if (status == NW_OK) {
        status = nw_preflight_tables(x, err);
    }
    if (status == NW_OK) {
        status = nw_preflight_heartbeat(x, err);
    }
    x->report->slot_exists = x->slot_exists;
    return status == NW_OK ? nw_preflight_left(x, err) : status;
}

nw_status nw_preflight_run(const struct nw_preflight_options *options, struct nw_arena *arena,
                           struct nw_preflight *preflight, struct nw_error *err)
{
    struct nw_examination x = {.options = options, .report = preflight};
    struct nw_error why = {0};
    nw_status status = NW_OK;

    *preflight = (struct nw_preflight){.arena = arena};
    if (nw_session_open(&options->server.connection, false, &x.session, &why) != NW_OK) {
        (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1201", "%s", why.text);
        return NW_OK;
    }
    /* Who locks a table between the look at pg_locks and that at its size is not waited for. */
    status = query(&x, "SET lock_timeout = '1s'", NULL, err);
    if (status == NW_OK) {
        status = examine(&x, err);
    }
    nw_session_close(x.session);
    return status;
}
