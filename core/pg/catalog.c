/* SPDX-License-Identifier: Apache-2.0 */
/* Catalog reads about the system, slots and what could be published. See catalog.h. */
#include "pg/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/replication.h"

static void copy_text(char *out, size_t out_size, const struct nw_rows *rows, int row, int column)
{
    const char *text = nw_rows_text(rows, row, column);

    (void)snprintf(out, out_size, "%s", text == NULL ? "" : text);
}

/* The part that any role may read, on either kind of session. */
static nw_status read_database(struct nw_session *session, struct nw_catalog_identity *identity,
                               struct nw_error *err)
{
    static const char sql[] = "SELECT d.oid, d.datname, pg_is_in_recovery(),"
                              " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                              " ELSE pg_current_wal_flush_lsn() END,"
                              " (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'),"
                              " (SELECT setting FROM pg_settings WHERE name = 'wal_level')"
                              " FROM pg_database d WHERE d.datname = current_database()";
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(session, sql, NULL, 0, NULL, &rows, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_rows_count(rows) != 1) {
        status = nw_fail(err, NW_FATAL, "NW1119 %s does not say which database this is",
                         nw_session_host(session));
    } else {
        identity->database_oid = (uint32_t)nw_rows_u64(rows, 0, 0);
        copy_text(identity->database, sizeof identity->database, rows, 0, 1);
        identity->in_recovery = nw_rows_bool(rows, 0, 2);
        identity->flush_lsn = nw_rows_lsn(rows, 0, 3);
        identity->wal_segment_bytes = nw_rows_u64(rows, 0, 4);
        copy_text(identity->wal_level, sizeof identity->wal_level, rows, 0, 5);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status read_control(struct nw_session *session, struct nw_catalog_identity *identity,
                              struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(session,
                                        "SELECT s.system_identifier, c.timeline_id"
                                        " FROM pg_control_system() s, pg_control_checkpoint() c",
                                        NULL, 0, NULL, &rows, err);

    if (status != NW_OK) {
        return status;
    }
    copy_text(identity->system_id, sizeof identity->system_id, rows, 0, 0);
    identity->timeline = (uint32_t)nw_rows_u64(rows, 0, 1);
    nw_rows_free(rows);
    return NW_OK;
}

nw_status nw_catalog_identity(struct nw_session *session, struct nw_catalog_identity *identity,
                              struct nw_error *err)
{
    struct nw_system system;
    nw_status status;

    *identity = (struct nw_catalog_identity){.server_version = nw_session_server_version(session)};
    if (nw_session_is_replication(session)) {
        status = nw_replication_identify(session, &system, err);
        if (status == NW_OK) {
            memcpy(identity->system_id, system.system_id, sizeof identity->system_id);
            identity->timeline = system.timeline;
        }
    } else {
        status = read_control(session, identity, err);
    }
    return status == NW_OK ? read_database(session, identity, err) : status;
}

nw_status nw_catalog_slot(struct nw_session *session, const char *name,
                          struct nw_catalog_slot *slot, struct nw_error *err)
{
    int version = nw_session_server_version(session);
    struct nw_rows *rows = NULL;
    char sql[1024];
    nw_status status;

    *slot = (struct nw_catalog_slot){0};
    (void)snprintf(sql, sizeof sql,
                   "SELECT plugin, slot_type, database, datoid, temporary, active, active_pid,"
                   " restart_lsn, confirmed_flush_lsn, wal_status, safe_wal_size, two_phase,"
                   " %s, %s FROM pg_replication_slots WHERE slot_name = ",
                   version >= 160000 ? "conflicting" : "false",
                   /* A promoted standby's slots stay marked, and are its own from then on. */
                   version >= 170000
                       ? "failover, synced AND pg_is_in_recovery(), invalidation_reason"
                       : "false, false, NULL");
    status = nw_session_quote_literal(session, name, sql, sizeof sql, err);
    if (status == NW_OK) {
        status = nw_session_query(session, sql, NULL, 0, NULL, &rows, err);
    }
    if (status != NW_OK) {
        return status;
    }
    if (nw_rows_count(rows) == 1) {
        const char *type = nw_rows_text(rows, 0, 1);
        const char *safe = nw_rows_text(rows, 0, 10);

        slot->exists = true;
        copy_text(slot->plugin, sizeof slot->plugin, rows, 0, 0);
        slot->logical = type != NULL && strcmp(type, "logical") == 0;
        copy_text(slot->database, sizeof slot->database, rows, 0, 2);
        slot->database_oid = (uint32_t)nw_rows_u64(rows, 0, 3);
        slot->temporary = nw_rows_bool(rows, 0, 4);
        slot->active = nw_rows_bool(rows, 0, 5);
        slot->active_pid = (int)nw_rows_u64(rows, 0, 6);
        slot->restart_lsn = nw_rows_lsn(rows, 0, 7);
        slot->confirmed_flush_lsn = nw_rows_lsn(rows, 0, 8);
        copy_text(slot->wal_status, sizeof slot->wal_status, rows, 0, 9);
        slot->safe_wal_bytes = safe == NULL ? INT64_MAX : strtoll(safe, NULL, 10);
        slot->two_phase = nw_rows_bool(rows, 0, 11);
        slot->conflicting = nw_rows_bool(rows, 0, 12);
        slot->failover = nw_rows_bool(rows, 0, 13);
        slot->synced = nw_rows_bool(rows, 0, 14);
        copy_text(slot->invalidation_reason, sizeof slot->invalidation_reason, rows, 0, 15);
    }
    nw_rows_free(rows);
    return NW_OK;
}

nw_status nw_catalog_name(struct nw_session *session, uint32_t relation_oid, struct nw_rows **rows,
                          struct nw_error *err)
{
    static const char sql[] = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN "
                              "pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                              "WHERE c.oid = $1::pg_catalog.oid";
    char oid[16];
    const char *params[1] = {oid};

    (void)snprintf(oid, sizeof oid, "%" PRIu32, relation_oid);
    return nw_session_query(session, sql, params, 1, NULL, rows, err);
}

/* The size of a table that somebody holds locked, or is about to, is that of its last VACUUM: to
 * ask for it would wait. */
/* An index serves as replica identity as RelationGetIndexList() of relcache.c sees it: a deferrable
 * primary key does not. A root is as good as its worst leaf: that is where statements fail. */
static const char candidates_sql[] =
    "WITH keyed AS MATERIALIZED (SELECT indrelid, bool_or(indisprimary) AS by_key,"
    "  bool_or(indisreplident) AS by_index FROM pg_index"
    "  WHERE indisvalid AND indimmediate AND (indisprimary OR indisreplident) GROUP BY indrelid),"
    " held AS MATERIALIZED (SELECT relation FROM pg_locks WHERE locktype = 'relation'"
    "  AND mode = 'AccessExclusiveLock' AND database ="
    "  (SELECT oid FROM pg_database WHERE datname = current_database())),"
    " base AS MATERIALIZED (SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relreplident,"
    "  c.relispartition, c.relowner, c.relrowsecurity, c.reltuples,"
    "  CASE WHEN c.relkind <> 'r' THEN 0 WHEN c.oid IN (SELECT relation FROM held)"
    "   THEN c.relpages::bigint * current_setting('block_size')::bigint"
    "   ELSE pg_relation_size(c.oid) END AS bytes,"
    "  CASE WHEN c.relkind <> 'r' OR c.reltoastrelid = 0 OR c.oid IN (SELECT relation FROM held)"
    "   OR c.reltoastrelid IN (SELECT relation FROM held) THEN 0"
    "   ELSE pg_relation_size(c.reltoastrelid) END AS apart,"
    "  CASE c.relreplident WHEN 'f' THEN true WHEN 'd' THEN coalesce(k.by_key, false)"
    "   WHEN 'i' THEN coalesce(k.by_index, false) ELSE false END AS usable,"
    "  " NW_CATALOG_IDENTITY_GENERATED(
        "c") " AS generated"
             "  FROM pg_class c LEFT JOIN keyed k ON k.indrelid = c.oid"
             "  WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'),"
             " leaves AS MATERIALIZED (SELECT b.oid AS root, bool_and(l.usable) AS usable,"
             "  bool_or(l.generated) AS generated,"
             "  sum(l.reltuples) FILTER (WHERE l.reltuples >= 0) AS rows, sum(l.bytes) AS bytes,"
             "  sum(l.apart) AS apart"
             "  FROM base b CROSS JOIN LATERAL " NW_CATALOG_TREE(
                 "b.oid") " t"
                          "  JOIN base l ON l.oid = t.relid"
                          "  WHERE b.relkind = 'p' AND l.relkind = 'r' GROUP BY b.oid),"
                          " extended AS MATERIALIZED (SELECT objid FROM pg_depend"
                          "  WHERE classid = 'pg_class'::regclass AND deptype = 'e')"
                          " SELECT b.oid, CASE WHEN b.relispartition THEN "
                          "pg_partition_root(b.oid)::oid "
                          "ELSE 0 END,"
                          "  n.nspname, b.relname, b.relkind, b.relreplident,"
                          "  CASE WHEN b.relkind = 'p' THEN coalesce(l.usable, b.usable) ELSE "
                          "b.usable END,"
                          "  pg_has_role(b.relowner, 'USAGE'), has_table_privilege(b.oid, "
                          "'SELECT'), "
                          "b.relrowsecurity,"
                          "  b.oid IN (SELECT objid FROM extended),"
                          "  CASE WHEN b.relkind = 'p' THEN coalesce(l.rows, -1) ELSE b.reltuples "
                          "END,"
                          "  CASE WHEN b.relkind = 'p' THEN coalesce(l.bytes, 0) ELSE b.bytes END,"
                          "  CASE WHEN b.relkind = 'p' THEN coalesce(l.apart, 0) ELSE b.apart END,"
                          "  b.generated OR coalesce(l.generated, false)"
                          " FROM base b JOIN pg_namespace n ON n.oid = b.relnamespace LEFT JOIN "
                          "leaves l ON "
                          "l.root = "
                          "b.oid"
                          " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
                          " ORDER BY n.nspname, b.relname";

static bool fill_candidate(struct nw_catalog_candidate *table, struct nw_arena *arena,
                           const struct nw_rows *rows, int row)
{
    table->oid = (uint32_t)nw_rows_u64(rows, row, 0);
    table->root_oid = (uint32_t)nw_rows_u64(rows, row, 1);
    table->schema_name = nw_arena_text(arena, nw_rows_text(rows, row, 2));
    table->name = nw_arena_text(arena, nw_rows_text(rows, row, 3));
    table->kind = nw_rows_text(rows, row, 4)[0];
    table->replica_identity = nw_rows_text(rows, row, 5)[0];
    table->identity_generated = nw_rows_bool(rows, row, 14);
    table->identity_usable = nw_rows_bool(rows, row, 6) && !table->identity_generated;
    table->owned = nw_rows_bool(rows, row, 7);
    table->readable = nw_rows_bool(rows, row, 8);
    table->row_security = nw_rows_bool(rows, row, 9);
    table->of_extension = nw_rows_bool(rows, row, 10);
    table->rows = strtod(nw_rows_text(rows, row, 11), NULL);
    /* A table that was dropped meanwhile has no size. */
    table->bytes = nw_rows_u64(rows, row, 12);
    table->toast_bytes = nw_rows_u64(rows, row, 13);
    return table->schema_name != NULL && table->name != NULL;
}

nw_status nw_catalog_candidates(struct nw_session *session, struct nw_arena *arena,
                                struct nw_catalog_candidates *candidates, struct nw_error *err)
{
    struct nw_catalog_candidate *tables = NULL;
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(session, candidates_sql, NULL, 0, NULL, &rows, err);

    *candidates = (struct nw_catalog_candidates){0};
    if (status != NW_OK) {
        return status;
    }

    size_t count = (size_t)nw_rows_count(rows);
    bool filled = true;

    tables = nw_arena_array(arena, count, sizeof *tables);
    filled = tables != NULL;
    for (size_t i = 0; i < count && filled; i++) {
        filled = fill_candidate(&tables[i], arena, rows, (int)i);
    }
    nw_rows_free(rows);
    if (!filled) {
        return nw_fail(err, NW_FATAL, "no memory for a list of %zu tables", count);
    }
    candidates->tables = tables;
    candidates->count = count;
    return NW_OK;
}
