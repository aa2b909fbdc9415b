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
    "ELSE '' END || p.oid::text || ' ' ||"
    "  coalesce(pg_catalog.pg_relation_filenode(p.oid), 0)::text || ' ' || p.relname, E'\\n' ORDER "
    "BY p.oid) FROM tree t JOIN"
    "  pg_catalog.pg_class p ON p.oid = t.part WHERE t.root = k.oid), ''), CASE WHEN "
    "c.relispartition THEN '-' ELSE"
    " (SELECT string_agg(b.oid::text || '/' || coalesce(r.oid, 0)::text, ',' ORDER BY b.oid)"
    "  FROM pg_catalog.pg_publication b LEFT JOIN pg_catalog.pg_publication_rel r"
    "   ON r.prpubid = b.oid AND r.prrelid = k.oid WHERE b.pubname IN ($2, $3)"
    "   AND (b.puballtables OR r.oid IS NOT NULL%s)) END,"
    /* behind all that this snapshot sees */
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN greatest(pg_catalog.pg_last_wal_receive_lsn(),"
    "  pg_catalog.pg_last_wal_replay_lsn()) ELSE pg_catalog.pg_current_wal_insert_lsn() END"
    " , CASE WHEN c.relpersistence = 'u' THEN c.relname ELSE (SELECT p.relname FROM tree t JOIN"
    "  pg_catalog.pg_class p ON p.oid = t.part WHERE t.root = k.oid AND p.relpersistence = 'u'"
    "  LIMIT 1) END, n.nspname, c.relname"
    " FROM known k LEFT JOIN pg_catalog.pg_class c ON c.oid = k.oid"
    " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

enum look_column {
    LOOK_OID,
    LOOK_GONE,
    LOOK_PARTITIONS,
    LOOK_PUBLISHED,
    LOOK_LSN,
    LOOK_UNLOGGED,
    LOOK_SCHEMA,
    LOOK_TABLE,
};

/* Tables that were copied begin anew: what they were before is in the copy. */
static nw_status parts_settle(struct nw_run *run, struct nw_error *err)
{
    uint32_t *oids = NULL;
    uint32_t count = nw_run_news_settled(run, &oids);
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        status = nw_seen_forget(run->seen, oids[i], err);
    }
    free(oids);
    return status;
}

/* Of a list of partitions, a line each: "+16401 16405 name", + for one that was a table of its own,
 * and the file that it has; 0: it is itself divided. */
struct part {
    bool attached;
    const char *oid, *file, *name;
    size_t oid_size, file_size, name_size;
};

/* The one that begins there. @return the place of the next; NULL: there is none. */
static const char *part_read(const char *at, struct part *part)
{
    if (*at == '\0') {
        return NULL;
    }
    part->attached = *at == '+';
    part->oid = at + (part->attached ? 1 : 0);
    part->oid_size = strcspn(part->oid, " ");
    part->file = part->oid + part->oid_size + 1;
    part->file_size = strcspn(part->file, " ");
    part->name = part->file + part->file_size + 1;
    part->name_size = strcspn(part->name, "\n");
    return part->name + part->name_size + (part->name[part->name_size] == '\n' ? 1 : 0);
}

static bool same_bytes(const char *one, size_t one_size, const char *other, size_t other_size)
{
    return one_size == other_size && memcmp(one, other, one_size) == 0;
}

/* @param found  filled when it is there */
static bool part_find(const char *list, const struct part *wanted, struct part *found)
{
    for (const char *at = list; (at = part_read(at, found)) != NULL;) {
        if (same_bytes(found->oid, found->oid_size, wanted->oid, wanted->oid_size)) {
            return true;
        }
    }
    return false;
}

/* The first of a list that another one does not have; attached: of those that were attached. */
static bool new_part(const char *list, const char *other, bool attached, struct part *part)
{
    struct part same;

    for (const char *at = list; (at = part_read(at, part)) != NULL;) {
        if ((!attached || part->attached) && !part_find(other, part, &same)) {
            return true;
        }
    }
    return false;
}

/* One that has another file than before, while others have the same: what the root itself went
 * through (TRUNCATE, a type of a column) is in the stream. */
static bool rewritten_part(const char *list, const char *former, struct part *part)
{
    struct part now, before;
    uint32_t others = 0;
    bool any = false;

    for (const char *at = list; (at = part_read(at, &now)) != NULL;) {
        if (part_find(former, &now, &before)) {
            bool same = same_bytes(now.file, now.file_size, before.file, before.file_size);

            others += same && strncmp(now.file, "0 ", 2) != 0 ? 1 : 0;
            if (!same && !any) {
                *part = now;
                any = true;
            }
        }
    }
    return any && others > 0;
}

/* A table's partitions are others than before: what that means for what sinks have. */
static nw_status parts_compare(struct nw_run *run, const struct nw_table *table,
                               const struct nw_seen_table *seen, const char *found,
                               struct nw_error *err)
{
    struct part part;
    char reason[512] = "";
    nw_status status = NW_OK;

    if (seen->partitions != NULL && new_part(seen->partitions, found, false, &part)) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2110 its partition %.*s was detached or dropped: the rows that it had stay in "
            "the sinks, since the server tells of none",
            (int)part.name_size, part.name);
    } else if (seen->partitions != NULL && new_part(found, seen->partitions, true, &part)) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2110 %.*s, a table of its own before, was attached as its partition: rows that "
            "it had then are not in the sinks, since the server tells of none",
            (int)part.name_size, part.name);
    } else if (seen->partitions != NULL && rewritten_part(found, seen->partitions, &part) &&
               nw_run_table_policy(run, table).truncate != NW_RULE_KEEP) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2110 its partition %.*s was truncated or rewritten: after a TRUNCATE of it the "
            "rows that it had stay in the sinks, since the server tells of none (VACUUM "
            "FULL and the like do no harm)",
            (int)part.name_size, part.name);
    }
    if (reason[0] != '\0') { /* first: after a kill it must not be taken for what it always was */
        status = nw_run_table_trouble(run, table, NW_TABLE_DOUBTFUL, reason, err);
    }
    return status == NW_OK ? nw_seen_partitions(run->seen, table->relation_oid, found, err)
                           : status;
}

/* A table that left the publication, even if it came back, or the WAL: changes are gone. */
static nw_status published_compare(struct nw_run *run, const struct nw_table *table,
                                   const struct nw_seen_table *seen, const struct nw_rows *rows,
                                   int row, struct nw_error *err)
{
    const char *found = nw_rows_text(rows, row, LOOK_PUBLISHED);
    const char *unlogged = nw_rows_text(rows, row, LOOK_UNLOGGED);
    char reason[512] = "";
    nw_status status = NW_OK;

    if (unlogged != NULL) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2112 %s is unlogged: its changes are not in the WAL. ALTER TABLE ... SET LOGGED",
            unlogged);
    } else if (found == NULL) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2111 it is not in the publication any more: its changes are missing from there "
            "on. Put it in again (ALTER PUBLICATION ... ADD TABLE)");
    } else if (seen->published != NULL && strcmp(seen->published, found) != 0) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2111 its entry in the publication was changed, or taken out and put back: "
            "changes of the time between are missing");
    }
    if (reason[0] != '\0') {
        status = nw_run_table_trouble(run, table, NW_TABLE_STOPPED, reason, err);
    }
    return status == NW_OK && found != NULL
               ? nw_seen_published(run->seen, table->relation_oid, found, err)
               : status;
}

static nw_status dropped(struct nw_run *run, struct nw_look *look, const struct nw_table *table,
                         struct nw_error *err)
{
    switch (nw_run_table_policy(run, table).drop_table) {
    case NW_RULE_KEEP:
        return NW_OK;
    case NW_RULE_STOP:
        return nw_run_table_trouble(run, table, NW_TABLE_STOPPED,
                                    "NW2106 it was dropped, and tables.drop_table is stop", err);
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

static nw_status row_take(struct nw_run *run, const struct nw_rows *rows, int row,
                          struct nw_look *look, const struct nw_table *table, struct nw_error *err)
{
    const struct nw_seen_table *seen = NULL;
    nw_status status = NW_OK;

    if (nw_rows_bool(rows, row, LOOK_GONE)) {
        status = dropped(run, look, table, err);
        return status == NW_OK ? nw_seen_forget(run->seen, table->relation_oid, err) : status;
    }
    seen = nw_seen_of(run->seen, table->relation_oid);
    if (seen == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for what was seen of tables");
    }
    nw_seen_name(run->seen, table->relation_oid, nw_rows_text(rows, row, LOOK_SCHEMA),
                 nw_rows_text(rows, row, LOOK_TABLE));
    status = parts_compare(run, table, seen, nw_rows_text(rows, row, LOOK_PARTITIONS), err);
    return status == NW_OK ? published_compare(run, table, seen, rows, row, err) : status;
}

/* One that waits for its copy, and was dropped: it is all that is looked for of such a table. */
static bool waits_in_vain(struct nw_run *run, const struct nw_rows *rows, int row)
{
    return nw_rows_bool(rows, row, LOOK_GONE) &&
           nw_tables_waits(run->table_states, (uint32_t)nw_rows_u64(rows, row, LOOK_OID), "");
}

static nw_status rows_take(struct nw_run *run, const struct nw_rows *rows, struct nw_look *look,
                           struct nw_error *err)
{
    nw_status status = NW_OK;

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        const struct nw_table *table = table_of(look, (uint32_t)nw_rows_u64(rows, i, LOOK_OID));

        look->dropped_lsn = nw_rows_lsn(rows, i, LOOK_LSN);
        if (table != NULL && (!nw_tables_has(run->table_states, table->relation_oid) ||
                              waits_in_vain(run, rows, i))) {
            status = row_take(run, rows, i, look, table, err);
        }
    }
    return status == NW_OK ? nw_seen_save(run->seen, err) : status;
}

static nw_status look_query(struct nw_run *run, const char *oids, bool served,
                            struct nw_rows **rows, struct nw_error *err)
{
    const char *params[3] = {oids, run->server.publications.main,
                             run->server.publications.insert_only};
    char sql[sizeof LOOK + sizeof BY_SCHEMA];

    (void)snprintf(sql, sizeof sql, LOOK, run->server.version < 150000 ? "" : BY_SCHEMA);
    return served ? nw_server_query(&run->server, sql, params, 3, rows, err)
                  : nw_session_query(run->server.control, sql, params, 3, NULL, rows, err);
}

nw_status nw_run_watch(void *context, struct nw_look *look, struct nw_error *err)
{
    struct nw_run *run = context;
    char *oids = malloc(12u * look->count + 3u);
    struct nw_rows *rows = NULL;
    char *at = oids;
    nw_status status = NW_OK;

    if (oids == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for oids");
    }
    *at++ = '{';
    for (uint32_t i = 0; i < look->count; i++) {
        if (nw_run_table_wanted(run, look->tables[i])) {
            at += snprintf(at, 12, "%s%" PRIu32, at == oids + 1 ? "" : ",",
                           look->tables[i]->relation_oid);
        }
    }
    at[0] = '}';
    at[1] = '\0';
    status = parts_settle(run, err);
    if (status == NW_OK) {
        status = look_query(run, oids, true, &rows, err);
    }
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
static nw_status gone_end(struct nw_run *run, const struct nw_table *table, const char *reason,
                          uint64_t lsn, struct nw_error *err)
{
    struct nw_dealer_stop stop = {.table = table, .lsn = lsn + 1, .dropped = true};

    (void)snprintf(stop.reason, sizeof stop.reason, "%s: what sinks have of it stays", reason);
    switch (nw_run_table_policy(run, table).drop_table) {
    case NW_RULE_KEEP:
        break;
    case NW_RULE_STOP:
        return nw_run_table_trouble(run, table, NW_TABLE_STOPPED,
                                    "NW2106 it was dropped, and tables.drop_table is stop", err);
    case NW_RULE_APPLY:
        return nw_run_table_stop(run, &stop, NULL, err);
    }
    return NW_OK;
}

static nw_status waiting_end(struct nw_run *run, const struct nw_table_trouble *waiting,
                             uint64_t lsn, struct nw_error *err)
{
    const struct nw_table table = {.relation_oid = waiting->relation_oid,
                                   .schema_name = waiting->schema_name,
                                   .name = waiting->table_name};
    nw_status status = gone_end(
        run, &table, "NW2106 it was dropped on the server before its copy was whole", lsn, err);

    return status == NW_OK ? nw_tables_copied(run->table_states, waiting->relation_oid, err)
                           : status;
}

/* Of one that streams the stream says what became of it. @param over  set: it is not copied */
static nw_status asked_check(struct nw_run *run, const struct nw_table_trouble *asked, bool gone,
                             bool *over, struct nw_error *err)
{
    const struct nw_table *table = nw_schemas_find(run->schemas, asked->relation_oid);

    *over = gone || !nw_catalog_is_published(&run->tables, asked->relation_oid) ||
            (table != NULL && !nw_run_table_wanted(run, table));
    return *over ? nw_tables_copied(run->table_states, asked->relation_oid, err) : NW_OK;
}

/* @param over  set: it is not to be copied any more */
static nw_status waiting_check(struct nw_run *run, const struct nw_table_trouble *waiting,
                               bool *over, struct nw_error *err)
{
    const struct nw_table table = {.relation_oid = waiting->relation_oid,
                                   .schema_name = waiting->schema_name,
                                   .name = waiting->table_name};
    uint64_t lsn = 0;
    bool gone = false;
    nw_status status = waiting_look(run, waiting->relation_oid, &gone, &lsn, err);

    if (status == NW_OK && waiting->condition == NW_TABLE_ASKED) {
        return asked_check(run, waiting, gone, over, err);
    }
    *over = gone || !nw_catalog_is_published(&run->tables, waiting->relation_oid);
    if (status != NW_OK || !*over) {
        return status;
    }
    return gone ? waiting_end(run, waiting, lsn, err)
                : nw_run_waiting_unpublished(run, &table, err);
}

nw_status nw_run_waiting_check(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;
    uint32_t i = 0;

    while (status == NW_OK && nw_tables_at(run->table_states, i, &trouble)) {
        bool over = false;

        if (trouble.condition == NW_TABLE_WAITING || trouble.condition == NW_TABLE_ASKED) {
            status = waiting_check(run, &trouble, &over, err);
        }
        i = over ? 0 : i + 1; /* the list has changed */
    }
    return status;
}

/* ---- before the stream begins: tables that went while narwal was down ---- */

/* A table that was looked at once and is not among those that are followed now. */
static nw_status absent_look(struct nw_run *run, const struct nw_seen_table *seen, bool *forget,
                             struct nw_error *err)
{
    struct nw_table table = {.relation_oid = seen->relation_oid,
                             .schema_name = seen->schema_name,
                             .name = seen->table_name};
    char oids[16];
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)snprintf(oids, sizeof oids, "{%" PRIu32 "}", seen->relation_oid);
    status = look_query(run, oids, false, &rows, err);
    *forget = true;
    if (status == NW_OK && nw_rows_bool(rows, 0, LOOK_GONE)) {
        status = gone_end(run, &table, "NW2106 it was dropped on the server while narwal was down",
                          nw_rows_lsn(rows, 0, LOOK_LSN), err);
    } else if (status == NW_OK) {
        table.schema_name = nw_rows_text(rows, 0, LOOK_SCHEMA);
        table.name = nw_rows_text(rows, 0, LOOK_TABLE);
        *forget = !nw_table_filter_match(&run->options->server.publication.filter,
                                         table.schema_name, table.name);
        status = *forget ? NW_OK : published_compare(run, &table, seen, rows, 0, err);
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_run_absent_check(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < nw_seen_count(run->seen) && status == NW_OK;) {
        const struct nw_seen_table *seen = nw_seen_at(run->seen, i);
        bool forget = false;

        if (nw_schemas_find(run->schemas, seen->relation_oid) == NULL &&
            !nw_tables_has(run->table_states, seen->relation_oid)) {
            status = absent_look(run, seen, &forget, err);
        }
        if (status == NW_OK && forget) {
            status = nw_seen_forget(run->seen, seen->relation_oid, err);
        }
        i += forget ? 0 : 1;
    }
    return status;
}

nw_status nw_run_copies_unseen(struct nw_run *run, bool (*copied)(void *, const struct nw_table *),
                               struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < nw_schemas_count(run->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);

        if (copied(run, table)) {
            status = nw_seen_forget(run->seen, table->relation_oid, err);
        }
    }
    return status;
}
