/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of tables without an event in the stream: they are dropped, leave the publication,
 * or partitions come and go with the rows that they have. On the service thread, while an engine
 * runs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pipeline/run_private.h"

/* Where its schema is published, from 15 on. */
static const char BY_SCHEMA[] =
    " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = b.oid AND "
    "s.pnnspid = c.relnamespace)";

/* For each table whether it is there, its partitions, those behind a mark that were tables of their
 * own before, and its entries in the publications (a partition has none). Nothing is locked. */
static const char LOOK[] =
    "WITH RECURSIVE known AS (SELECT unnest($1::pg_catalog.oid[]) AS oid), tree AS ("
    " SELECT k.oid AS root, i.inhrelid AS part, i.xmin <> a.xmin AS attached FROM known k"
    "  JOIN pg_catalog.pg_class c ON c.oid = k.oid AND c.relkind = 'p'"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = k.oid"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attnum = -1"
    " UNION ALL SELECT t.root, i.inhrelid, t.attached OR i.xmin <> a.xmin FROM tree t"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = t.part"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attnum = -1)"
    " SELECT k.oid, c.oid IS NULL, coalesce((SELECT string_agg(CASE WHEN t.attached THEN '+' "
    "ELSE '' END || p.relname, ',' ORDER BY p.relname) FROM tree t JOIN pg_catalog.pg_class p"
    "  ON p.oid = t.part WHERE t.root = k.oid), ''), CASE WHEN c.relispartition THEN '-' ELSE"
    " (SELECT string_agg(b.oid::text || '/' || coalesce(r.oid, 0)::text, ',' ORDER BY b.oid)"
    "  FROM pg_catalog.pg_publication b LEFT JOIN pg_catalog.pg_publication_rel r"
    "   ON r.prpubid = b.oid AND r.prrelid = k.oid WHERE b.pubname IN ($2, $3)"
    "   AND (b.puballtables OR r.oid IS NOT NULL%s)) END,"
    /* behind all that this snapshot sees */
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN greatest(pg_catalog.pg_last_wal_receive_lsn(),"
    "  pg_catalog.pg_last_wal_replay_lsn()) ELSE pg_catalog.pg_current_wal_insert_lsn() END"
    " FROM known k LEFT JOIN pg_catalog.pg_class c ON c.oid = k.oid";

/* The partitions of a table at the last look. */
struct nw_run_parts {
    uint32_t relation_oid;
    char *names;
    char *published; /* its entries */
};

static struct nw_run_parts *parts_of(struct nw_run *run, uint32_t relation_oid)
{
    struct nw_run_parts *grown = NULL;

    for (uint32_t i = 0; i < run->parts_count; i++) {
        if (run->parts[i].relation_oid == relation_oid) {
            return &run->parts[i];
        }
    }
    grown = reallocarray(run->parts, run->parts_count + 1u, sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    run->parts = grown;
    run->parts[run->parts_count] = (struct nw_run_parts){.relation_oid = relation_oid};
    return &run->parts[run->parts_count++];
}

void nw_run_watch_forget(struct nw_run *run)
{
    for (uint32_t i = 0; i < run->parts_count; i++) {
        free(run->parts[i].names);
        free(run->parts[i].published);
    }
    free(run->parts);
    run->parts = NULL;
    run->parts_count = 0;
}

/* Tables that were copied begin anew: what they were before is in the copy. */
static void parts_settle(struct nw_run *run)
{
    uint32_t *oids = NULL;
    uint32_t count = nw_run_news_settled(run, &oids);

    for (uint32_t i = 0; i < run->parts_count; i++) {
        for (uint32_t s = 0; s < count; s++) {
            if (run->parts[i].relation_oid == oids[s]) {
                free(run->parts[i].names);
                free(run->parts[i].published);
                run->parts[i].names = run->parts[i].published = NULL;
            }
        }
    }
    free(oids);
}

/* Whether a list has a name, as one of its own or as one that was attached. */
static bool has_name(const char *list, const char *name, size_t size)
{
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ",");
        size_t mark = *at == '+' ? 1 : 0;

        if (length - mark == size && memcmp(at + mark, name, size) == 0) {
            return true;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return false;
}

/* The first name of a list that another one does not have; marked: of those that were attached. */
static bool new_name(const char *list, const char *other, bool marked, char name[128])
{
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ",");
        size_t mark = *at == '+' ? 1 : 0;

        if ((!marked || mark == 1) && !has_name(other, at + mark, length - mark)) {
            (void)snprintf(name, 128, "%.*s", (int)(length - mark), at + mark);
            return true;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return false;
}

/* A table's partitions are others than before: what that means for what sinks have. */
static nw_status parts_compare(struct nw_run *run, const struct nw_table *table, const char *names,
                               struct nw_error *err)
{
    struct nw_run_parts *parts = parts_of(run, table->relation_oid);
    char name[128];
    char reason[512] = "";
    char *kept = strdup(names);

    if (parts == NULL || kept == NULL) {
        free(kept);
        return nw_fail(err, NW_FATAL, "out of memory for names of partitions");
    }
    if (parts->names != NULL && new_name(parts->names, names, false, name)) {
        (void)snprintf(reason, sizeof reason,
                       "its partition %s was detached or dropped: the rows that it had stay in the "
                       "sinks, since the server tells of none",
                       name);
    } else if (parts->names != NULL && new_name(names, parts->names, true, name)) {
        (void)snprintf(reason, sizeof reason,
                       "%s, a table of its own before, was attached as its partition: rows that it "
                       "had then are not in the sinks, since the server tells of none",
                       name);
    }
    free(parts->names);
    parts->names = kept;
    return reason[0] == '\0' ? NW_OK
                             : nw_run_table_trouble(run, table, NW_TABLE_DOUBTFUL, reason, err);
}

/* A table that left the publication, even if it came back: changes of the time between are gone. */
static nw_status published_compare(struct nw_run *run, const struct nw_table *table,
                                   const char *published, struct nw_error *err)
{
    struct nw_run_parts *parts = parts_of(run, table->relation_oid);
    const char *reason = NULL;

    if (parts == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for entries of publications");
    }
    if (published == NULL) {
        reason =
            "it is not in the publication any more: its changes are missing from there on. Put "
            "it in again (ALTER PUBLICATION ... ADD TABLE)";
    } else if (parts->published != NULL && strcmp(parts->published, published) != 0) {
        reason = "its entry in the publication was changed, or taken out and put back: changes of "
                 "the time between are missing";
    } else if (parts->published == NULL) {
        parts->published = strdup(published);
    }
    return reason == NULL ? NW_OK : nw_run_table_trouble(run, table, NW_TABLE_STOPPED, reason, err);
}

static nw_status dropped(struct nw_run *run, struct nw_look *look, const struct nw_table *table,
                         struct nw_error *err)
{
    switch (nw_run_table_policy(run, table).drop_table) {
    case NW_RULE_KEEP:
        return NW_OK;
    case NW_RULE_STOP:
        return nw_run_table_trouble(run, table, NW_TABLE_STOPPED,
                                    "it was dropped, and tables.drop_table is stop", err);
    case NW_RULE_APPLY:
        look->dropped[look->dropped_count++] = table; /* recorded when it has its place */
        break;
    }
    return NW_OK;
}

static const struct nw_table *table_of(const struct nw_look *look, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < look->count; i++) {
        if (look->tables[i]->relation_oid == relation_oid) {
            return look->tables[i];
        }
    }
    return NULL;
}

static nw_status rows_take(struct nw_run *run, const struct nw_rows *rows, struct nw_look *look,
                           struct nw_error *err)
{
    nw_status status = NW_OK;

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        const struct nw_table *table = table_of(look, (uint32_t)nw_rows_u64(rows, i, 0));

        look->dropped_lsn = nw_rows_lsn(rows, i, 4);
        if (table == NULL || nw_tables_has(run->table_states, table->relation_oid)) {
            continue;
        }
        status = nw_rows_bool(rows, i, 1)
                     ? dropped(run, look, table, err)
                     : parts_compare(run, table, nw_rows_text(rows, i, 2), err);
        if (status == NW_OK && !nw_rows_bool(rows, i, 1)) {
            status = published_compare(run, table, nw_rows_text(rows, i, 3), err);
        }
    }
    return status;
}

nw_status nw_run_watch(void *context, struct nw_look *look, struct nw_error *err)
{
    struct nw_run *run = context;
    char *oids = malloc(12u * look->count + 3u);
    const char *params[3] = {oids, run->server.publications.main,
                             run->server.publications.insert_only};
    char sql[sizeof LOOK + sizeof BY_SCHEMA];
    struct nw_rows *rows = NULL;
    char *at = oids;
    nw_status status = NW_OK;

    if (oids == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for oids");
    }
    parts_settle(run);
    *at++ = '{';
    for (uint32_t i = 0; i < look->count; i++) {
        if (nw_run_table_wanted(run, look->tables[i])) {
            at += snprintf(at, 12, "%s%" PRIu32, at == oids + 1 ? "" : ",",
                           look->tables[i]->relation_oid);
        }
    }
    at[0] = '}';
    at[1] = '\0';
    (void)snprintf(sql, sizeof sql, LOOK, run->server.version < 150000 ? "" : BY_SCHEMA);
    status = nw_server_query(&run->server, sql, params, 3, &rows, err);
    if (status == NW_OK) {
        status = rows_take(run, rows, look, err);
    }
    nw_rows_free(rows);
    free(oids);
    return status;
}

/* ---- before the stream begins: tables that waited for a copy ---- */

static nw_status waiting_look(struct nw_run *run, uint32_t relation_oid, bool *gone, uint64_t *lsn,
                              struct nw_error *err)
{
    static const char sql[] =
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.oid), "
        "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
        "ELSE pg_catalog.pg_current_wal_insert_lsn() END";
    char oid[16] = "";
    const char *params[1] = {oid};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)snprintf(oid, sizeof oid, "%" PRIu32, relation_oid);
    status = nw_session_query(run->server.control, sql, params, 1, NULL, &rows, err);
    if (status == NW_OK) {
        *gone = nw_rows_bool(rows, 0, 0);
        *lsn = nw_rows_lsn(rows, 0, 1);
    }
    nw_rows_free(rows);
    return status;
}

/* There will be no copy of it. Sinks hear of it behind all that they can have by now. */
static nw_status waiting_end(struct nw_run *run, const struct nw_table_trouble *waiting,
                             uint64_t lsn, struct nw_error *err)
{
    const struct nw_table table = {.relation_oid = waiting->relation_oid,
                                   .schema_name = waiting->schema_name,
                                   .name = waiting->table_name};
    struct nw_dealer_stop stop = {.table = &table, .lsn = lsn + 1, .dropped = true};
    nw_status status = NW_OK;

    (void)snprintf(stop.reason, sizeof stop.reason,
                   "it was dropped on the server before its copy was whole: what sinks have of it "
                   "stays");
    switch (nw_run_table_policy(run, &table).drop_table) {
    case NW_RULE_KEEP:
        break;
    case NW_RULE_STOP:
        status = nw_run_table_trouble(run, &table, NW_TABLE_STOPPED,
                                      "it was dropped, and tables.drop_table is stop", err);
        break;
    case NW_RULE_APPLY:
        status = nw_run_table_stop(run, &stop, NULL, err);
        break;
    }
    return status == NW_OK ? nw_tables_copied(run->table_states, waiting->relation_oid, err)
                           : status;
}

nw_status nw_run_waiting_check(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;
    uint32_t i = 0;

    while (status == NW_OK && nw_tables_at(run->table_states, i, &trouble)) {
        bool gone = false;
        uint64_t lsn = 0;

        if (trouble.condition == NW_TABLE_WAITING) {
            status = waiting_look(run, trouble.relation_oid, &gone, &lsn, err);
        }
        if (status == NW_OK && gone) {
            status = waiting_end(run, &trouble, lsn, err);
        }
        i = gone ? 0 : i + 1; /* the list has changed */
    }
    return status;
}
