/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that newly match: put into the publication by somebody, renamed or moved into the
 * patterns, or made where all tables are published. The dealer's thread meets them, leaves their
 * rows out and hands them over; the main thread does what tables.new_tables says. Whoever dies
 * between finds the table not followed, and so new, at the next start.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "pipeline/run_private.h"

#define RETRY_NS 1000000000LL

/* All are copied to no sink: so are new ones, which are simply followed. */
static bool follows_all(const struct nw_run *run)
{
    return run->options->new_tables == NW_NEW_TABLES_COPY &&
           run->options->snapshot == NW_SNAPSHOT_NEVER;
}

static void found_put(struct nw_run_news *news, uint32_t relation_oid)
{
    uint32_t *grown = NULL;
    bool there = false;

    (void)pthread_mutex_lock(&news->mutex);
    for (uint32_t i = 0; i < news->found_count && !there; i++) {
        there = news->found[i] == relation_oid;
    }
    if (!there) {
        grown = reallocarray(news->found, news->found_count + 1u, sizeof *grown);
        news->failed = news->failed || grown == NULL;
    }
    if (grown != NULL) {
        news->found = grown;
        news->found[news->found_count++] = relation_oid;
    }
    (void)pthread_mutex_unlock(&news->mutex);
}

bool nw_run_news_meet(struct nw_run *run, const struct nw_table *table)
{
    struct nw_error why = {0};
    bool matches = nw_table_filter_match(&run->options->server.publication.filter,
                                         table->schema_name, table->name);

    if (nw_followed_has(run->followed_tables, table->relation_oid)) {
        /* It left the patterns, and its rows are left out: when it comes back it is new. */
        if (!matches &&
            nw_followed_remove(run->followed_tables, table->relation_oid, &why) != NW_OK) {
            nw_log(NW_LOG_WARN, "%.6s %s", nw_error_code(&why), nw_code_rest(why.text));
        }
        nw_followed_rename(run->followed_tables, table->relation_oid, table->schema_name,
                           table->name);
        return false;
    }
    if (!matches || follows_all(run) || nw_tables_has(run->table_states, table->relation_oid)) {
        return false;
    }
    found_put(&run->news, table->relation_oid);
    return true;
}

/* ---- on the main thread ---- */

/* What the server says of it now. */
struct newcomer {
    struct nw_followed_table table;
    bool there; /* false: it was dropped meanwhile */
    bool readable;
};

#define NEWCOMER(by_schema)                                                                        \
    "SELECT n.nspname, c.relname, pg_catalog.has_table_privilege(c.oid, "                          \
    "'SELECT'), " NW_CATALOG_PUBLISHED(                                                            \
        "c", "$2", "$3", by_schema) " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "  \
                                    "ON n.oid = c.relnamespace "                                   \
                                    "WHERE c.oid = $1::pg_catalog.oid"

/* NW_AGAIN: it is gone, or not published or does not match just now. */
static nw_status newcomer_look(struct nw_run *run, uint32_t relation_oid, struct newcomer *newcomer,
                               struct nw_error *err)
{
    char oid[12];
    const char *params[3] = {oid, run->server.publications.main,
                             run->server.publications.insert_only};
    struct nw_rows *rows = NULL;
    nw_status status = nw_server_control_open(&run->server, err);

    (void)snprintf(oid, sizeof oid, "%" PRIu32, relation_oid);
    if (status == NW_OK) {
        const char *sql = nw_session_server_version(run->server.control) < 150000
                              ? NEWCOMER("")
                              : NEWCOMER(NW_CATALOG_BY_SCHEMA);

        status = nw_session_query(run->server.control, sql, params, 3, NULL, &rows, err);
    }
    if (status == NW_OK && nw_rows_count(rows) == 0) {
        status = NW_AGAIN;
    }
    if (status == NW_OK) {
        struct nw_followed_table *table = &newcomer->table;

        table->relation_oid = relation_oid;
        (void)snprintf(table->schema_name, sizeof table->schema_name, "%s",
                       nw_rows_text(rows, 0, 0));
        (void)snprintf(table->table_name, sizeof table->table_name, "%s", nw_rows_text(rows, 0, 1));
        newcomer->there = true;
        newcomer->readable = nw_rows_bool(rows, 0, 2);
        if (!nw_rows_bool(rows, 0, 3) ||
            !nw_table_filter_match(&run->options->server.publication.filter, table->schema_name,
                                   table->table_name)) {
            status = NW_AGAIN;
        }
    }
    nw_rows_free(rows);
    return status;
}

/* Records what becomes of it. @param joins  filled: whether it is to be copied */
static nw_status newcomer_record(struct nw_run *run, const struct newcomer *newcomer, bool *joins,
                                 struct nw_error *err)
{
    const struct nw_table table = {.relation_oid = newcomer->table.relation_oid,
                                   .schema_name = newcomer->table.schema_name,
                                   .name = newcomer->table.table_name};
    nw_status status = NW_OK;

    *joins = false;
    switch (run->options->new_tables) {
    case NW_NEW_TABLES_IGNORE:
        return nw_run_table_trouble(
            run, &table, NW_TABLE_LEFT_OUT,
            "NW2107 it is new, and left out, for tables.new_tables is ignore; "
            "narwal table add brings it in",
            err);
    case NW_NEW_TABLES_STOP:
        return nw_run_table_trouble(run, &table, NW_TABLE_STOPPED,
                                    "NW2107 it is new, and tables.new_tables is stop", err);
    case NW_NEW_TABLES_COPY:
        break;
    }
    if (!newcomer->readable) {
        return nw_run_table_trouble(
            run, &table, NW_TABLE_STOPPED,
            "NW1220 it is new, and narwal's role may not read it: GRANT SELECT", err);
    }
    status = nw_run_table_trouble(run, &table, NW_TABLE_WAITING,
                                  "it is new: it is copied while the others go on, and followed "
                                  "behind its copy",
                                  err);
    *joins = status == NW_OK;
    return status == NW_OK ? nw_followed_add(run->followed_tables, &newcomer->table, 1, err)
                           : status;
}

nw_status nw_run_news_refuse(struct nw_run *run, const struct nw_table *table, struct nw_error *err)
{
    struct newcomer newcomer = {.table = {.relation_oid = table->relation_oid}};
    bool joins = false;

    (void)snprintf(newcomer.table.schema_name, sizeof newcomer.table.schema_name, "%s",
                   table->schema_name);
    (void)snprintf(newcomer.table.table_name, sizeof newcomer.table.table_name, "%s", table->name);
    return newcomer_record(run, &newcomer, &joins, err);
}

void nw_run_news_found(struct nw_run *run, uint32_t relation_oid)
{
    if (!follows_all(run)) {
        found_put(&run->news, relation_oid);
    }
}

static nw_status newcomer_join(struct nw_run *run, const struct newcomer *newcomer,
                               struct nw_error *err)
{
    const struct nw_followed_table *table = &newcomer->table;
    uint32_t sinks = (1u << run->options->sinks_count) - 1; /* all of them */

    return nw_run_joins_add(run, table->relation_oid, table->schema_name, table->table_name, sinks,
                            err);
}

/* One that the dealer met. */
static nw_status newcomer_take(struct nw_run *run, uint32_t relation_oid, struct nw_error *err)
{
    struct newcomer newcomer = {.readable = false};
    bool joins = false;
    nw_status status = NW_OK;

    if (nw_followed_has(run->followed_tables, relation_oid)) {
        return NW_OK; /* a command was first */
    }
    if (nw_run_joins_has(run, relation_oid)) { /* it left the patterns under a copy: once more */
        found_put(&run->news, relation_oid);
        return NW_OK;
    }
    nw_crash_point("new");
    status = newcomer_look(run, relation_oid, &newcomer, err);
    if (status == NW_OK) {
        status = newcomer_record(run, &newcomer, &joins, err);
    }
    if (status == NW_OK && joins) {
        status = newcomer_join(run, &newcomer, err);
    }
    if (status == NW_AGAIN && newcomer.there) { /* the dealer does not meet it again */
        found_put(&run->news, relation_oid);
        run->news.retry_ns = run->env->ops->now_ns(run->env) + RETRY_NS;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

nw_status nw_run_news_step(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_news *news = &run->news;
    uint32_t *found = NULL;
    uint32_t count = 0;
    bool failed = false;
    nw_status status = NW_OK;

    if (run->env->ops->now_ns(run->env) < news->retry_ns) {
        return NW_OK;
    }
    (void)pthread_mutex_lock(&news->mutex);
    found = news->found;
    count = news->found_count;
    failed = news->failed;
    news->found = NULL;
    news->found_count = 0;
    (void)pthread_mutex_unlock(&news->mutex);
    if (failed) {
        status = nw_fail(err, NW_FATAL, "out of memory for tables that are new");
    }
    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        status = newcomer_take(run, found[i], err);
    }
    free(found);
    return status;
}

/* ---- at a start ---- */

/* Begins the record: whatever is there and matches is followed. */
static nw_status all_follow(struct nw_run *run, struct nw_error *err)
{
    struct nw_followed_table *tables = calloc(run->tables.count + 1u, sizeof *tables);
    uint32_t count = 1; /* the first has no oid: also when there is none yet, the record began */
    nw_status status = NW_OK;

    if (tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that are followed");
    }
    for (uint32_t t = 0; t < nw_schemas_count(run->schemas); t++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, t);
        struct nw_followed_table *to = &tables[count];

        if (count <= run->tables.count && nw_run_table_wanted(run, table)) {
            to->relation_oid = table->relation_oid;
            (void)snprintf(to->schema_name, sizeof to->schema_name, "%s", table->schema_name);
            (void)snprintf(to->table_name, sizeof to->table_name, "%s", table->name);
            count++;
        }
    }
    status = nw_followed_add(run->followed_tables, tables, count, err);
    free(tables);
    return status;
}

nw_status nw_run_news_plan(struct nw_run *run, bool streams, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (!streams || follows_all(run) || nw_followed_count(run->followed_tables) == 0) {
        return all_follow(run, err);
    }
    for (uint32_t t = 0; t < nw_schemas_count(run->schemas) && status == NW_OK; t++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, t);
        struct newcomer newcomer = {.readable = false};
        bool joins = false;

        nw_followed_rename(run->followed_tables, table->relation_oid, table->schema_name,
                           table->name);
        if (!nw_run_table_wanted(run, table) ||
            nw_followed_has(run->followed_tables, table->relation_oid)) {
            continue;
        }
        status = newcomer_look(run, table->relation_oid, &newcomer, err);
        if (status == NW_OK && nw_tables_waits(run->table_states, table->relation_oid, "")) {
            status =
                nw_followed_add(run->followed_tables, &newcomer.table, 1, err); /* where it died */
        } else if (status == NW_OK && !nw_tables_has(run->table_states, table->relation_oid)) {
            status = newcomer_record(run, &newcomer, &joins, err);
        }
        status = status == NW_AGAIN ? NW_OK : status;
    }
    return status;
}

nw_status nw_run_news_unpublished(void *context, uint32_t relation_oid, bool *adds,
                                  struct nw_error *err)
{
    struct nw_run *run = context;

    *adds = !nw_tables_stopped(run->table_states, relation_oid);
    /* Even if it was followed once: changes since it left the publication are missing. */
    return *adds && nw_followed_has(run->followed_tables, relation_oid)
               ? nw_followed_remove(run->followed_tables, relation_oid, err)
               : NW_OK;
}

void nw_run_news_forget(struct nw_run *run)
{
    free(run->news.found);
    free(run->news.settled);
    run->news.found = run->news.settled = NULL;
    run->news.found_count = run->news.settled_count = 0;
    run->news.failed = false;
    run->news.retry_ns = 0;
}

/* ---- for the watch over the catalog ---- */

nw_status nw_run_news_settle(struct nw_run *run, uint32_t relation_oid, struct nw_error *err)
{
    struct nw_run_news *news = &run->news;
    uint32_t *grown = NULL;

    (void)pthread_mutex_lock(&news->mutex);
    grown = reallocarray(news->settled, news->settled_count + 1u, sizeof *grown);
    if (grown != NULL) {
        news->settled = grown;
        news->settled[news->settled_count++] = relation_oid;
    }
    (void)pthread_mutex_unlock(&news->mutex);
    return grown == NULL ? nw_fail(err, NW_FATAL, "out of memory for tables that were copied")
                         : NW_OK;
}

uint32_t nw_run_news_settled(struct nw_run *run, uint32_t **oids)
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&run->news.mutex);
    *oids = run->news.settled;
    count = run->news.settled_count;
    run->news.settled = NULL;
    run->news.settled_count = 0;
    (void)pthread_mutex_unlock(&run->news.mutex);
    return count;
}
