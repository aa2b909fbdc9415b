/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that match and are in none of narwal's own publications: made, renamed or moved while it
 * streams. Nothing comes of them in the stream, so the catalog is asked now and then. They are
 * published, and are new from there on (run_news.c). On the main thread.
 */
#include <string.h>

#include "base/log.h"
#include "pipeline/run_private.h"

#define LOOK_NS     5000000000LL
#define REASON_SIZE 900u

/* Those that can be published, with the statement that does: without a key only where inserts alone
 * are published. Nothing is locked. */
#define LOOK(by_schema)                                                                            \
    "SELECT c.oid, n.nspname, c.relname, 'ALTER PUBLICATION ' || pg_catalog.quote_ident(CASE "     \
    "WHEN k.keyed THEN $1 ELSE $2 END) || ' ADD TABLE ' || CASE c.relkind WHEN 'p' THEN '' ELSE "  \
    "'ONLY ' END || pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c "  \
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL "                 \
    "(SELECT " NW_CATALOG_IDENTITY_USABLE(                                                         \
        "c") " AS keyed) k "                                                                       \
             "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition "  \
             "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND (k.keyed OR $2 "   \
             "<> '') "                                                                             \
             "AND NOT " NW_CATALOG_PUBLISHED(                                                      \
                 "c", "$1", "$2", by_schema) " AND NOT EXISTS (SELECT FROM "                       \
                                             "pg_catalog.pg_depend d WHERE d.classid = "           \
                                             "'pg_catalog.pg_class'::pg_catalog.regclass AND "     \
                                             "d.objid = c.oid AND d.deptype = 'e')"

static bool is_known(struct nw_run *run, const struct nw_table *table)
{
    return !nw_table_filter_match(&run->options->server.publication.filter, table->schema_name,
                                  table->name) ||
           nw_followed_has(run->followed_tables, table->relation_oid) ||
           nw_tables_has(run->table_states, table->relation_oid) ||
           nw_run_joins_has(run, table->relation_oid);
}

/* An application that has the table locked is not waited for. */
nw_status nw_run_publish(struct nw_run *run, const char *sql, char sqlstate[6],
                         struct nw_error *err)
{
    struct nw_session *session = run->server.control;
    struct nw_error why = {0};
    nw_status status =
        nw_session_query(session, "SET lock_timeout = '500ms'", NULL, 0, NULL, NULL, err);
    nw_status reset = NW_OK;

    if (status == NW_OK) {
        status = nw_session_query(session, sql, NULL, 0, sqlstate, NULL, err);
        reset = nw_session_query(session, "RESET lock_timeout", NULL, 0, NULL, NULL, &why);
    }
    if (reset != NW_OK) {
        *err = why;
    }
    return reset != NW_OK ? reset : status;
}

static nw_status table_take(struct nw_run *run, const struct nw_table *table, const char *sql,
                            struct nw_error *err)
{
    char sqlstate[6] = "";
    char reason[REASON_SIZE];
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (run->options->new_tables != NW_NEW_TABLES_COPY) {
        return nw_run_news_refuse(run, table, err);
    }
    status = nw_run_publish(run, sql, sqlstate, &why);
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "table %s.%s matches: %s", table->schema_name, table->name, sql);
        nw_run_news_found(run, table->relation_oid);
        return NW_OK;
    }
    if (strcmp(sqlstate, "42501") != 0) { /* locked, just dropped, or the session is gone */
        nw_log(NW_LOG_DEBUG, "table %s.%s is not published yet: %s", table->schema_name,
               table->name, why.text);
        *err = why;
        return sqlstate[0] != '\0' ? NW_OK : NW_RETRY;
    }
    (void)snprintf(
        reason, sizeof reason,
        "NW2316 it is new, and narwal's role may not publish it. Let a DBA run it: %s; then "
        "narwal table add",
        sql);
    return nw_run_table_trouble(run, table, NW_TABLE_LEFT_OUT, reason, err);
}

nw_status nw_run_publish_step(struct nw_run *run, struct nw_error *err)
{
    const char *params[2] = {run->server.publications.main, run->server.publications.insert_only};
    int64_t now_ns = run->env->ops->now_ns(run->env);
    struct nw_rows *rows = NULL;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (!run->options->server.publication.create || now_ns - run->publish_seen_ns < LOOK_NS) {
        return NW_OK;
    }
    run->publish_seen_ns = now_ns;
    status = nw_server_control_open(&run->server, &why);
    if (status == NW_OK) {
        const char *sql = nw_session_server_version(run->server.control) < 150000
                              ? LOOK("")
                              : LOOK(NW_CATALOG_BY_SCHEMA);

        status = nw_session_query(run->server.control, sql, params, 2, NULL, &rows, &why);
    }
    if (status != NW_OK) {
        nw_log(NW_LOG_DEBUG, "whether tables are new is not known: %s", why.text);
        nw_session_close(run->server.control); /* whoever asks next opens it */
        run->server.control = NULL;
        return NW_OK;
    }
    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        const struct nw_table table = {.relation_oid = (uint32_t)nw_rows_u64(rows, i, 0),
                                       .schema_name = nw_rows_text(rows, i, 1),
                                       .name = nw_rows_text(rows, i, 2)};

        if (!is_known(run, &table)) {
            status = table_take(run, &table, nw_rows_text(rows, i, 3), err);
        }
    }
    nw_rows_free(rows);
    if (status == NW_RETRY) {
        nw_session_close(run->server.control);
        run->server.control = NULL;
    }
    return status == NW_RETRY ? NW_OK : status;
}
