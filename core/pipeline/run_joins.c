/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are copied while the others stream, in rounds: a mark in the stream tells the sinks
 * to hold back what comes of the round's tables; when it is at all of them a fence is made, and the
 * conductor copies. What the sinks held goes on behind the copy. On the main thread; nobody waits.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crash.h"
#include "base/log.h"
#include "pipeline/run_private.h"

#define RETRY_NS        1000000000LL /* before a lock is asked for again */
#define LOCK_TIMEOUT_MS 1000
#define HELD_TABLES_MAX 48u
#define CATCH_UP_NS     2000000000LL /* by then the server has sent what it had */

static struct nw_run_join *find(struct nw_run_join *list, uint32_t count, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].relation_oid == relation_oid) {
            return &list[i];
        }
    }
    return NULL;
}

struct nw_run_join *nw_run_joins_find(const struct nw_run *run, uint32_t relation_oid)
{
    const struct nw_run_joins *joins = &run->joins;
    struct nw_run_join *queued = find(joins->queue, joins->queued, relation_oid);

    return queued != NULL ? queued : find(joins->round, joins->round_count, relation_oid);
}

bool nw_run_joins_has(const struct nw_run *run, uint32_t relation_oid)
{
    return nw_run_joins_find(run, relation_oid) != NULL;
}

bool nw_run_joins_waits(const struct nw_run *run, uint32_t relation_oid)
{
    return find(run->joins.queue, run->joins.queued, relation_oid) != NULL;
}

void nw_run_joins_remove(struct nw_run *run, const struct nw_run_join *join)
{
    struct nw_run_joins *joins = &run->joins;
    size_t at = (size_t)(join - joins->queue);

    memmove(&joins->queue[at], &joins->queue[at + 1],
            (--joins->queued - at) * sizeof *joins->queue);
}

bool nw_run_joins_busy(const struct nw_run *run)
{
    return run->joins.phase != NW_JOINS_REST;
}

nw_status nw_run_joins_add(struct nw_run *run, uint32_t relation_oid, const char *schema_name,
                           const char *name, uint32_t sinks, struct nw_error *err)
{
    bool everywhere = nw_tables_waits(run->table_states, relation_oid, "");
    struct nw_run_joins *joins = &run->joins;
    struct nw_run_join *grown = reallocarray(joins->queue, joins->queued + 1u, sizeof *grown);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that join");
    }
    joins->queue = grown;
    grown = &joins->queue[joins->queued++];
    *grown = (struct nw_run_join){
        .relation_oid = relation_oid, .sinks = sinks, .everywhere = everywhere};
    (void)snprintf(grown->schema_name, sizeof grown->schema_name, "%s", schema_name);
    (void)snprintf(grown->name, sizeof grown->name, "%s", name);
    return nw_run_chosen_of(run, relation_oid, sinks, &grown->chosen, err);
}

void nw_run_joins_choose(struct nw_run *run, bool chosen, bool fresh)
{
    struct nw_run_join *join = &run->joins.queue[run->joins.queued - 1];

    join->chosen = chosen;
    join->fresh = fresh;
}

nw_status nw_run_joins_plan(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t t = 0; t < nw_schemas_count(run->schemas) && status == NW_OK; t++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, t);
        uint32_t sinks = 0;

        for (uint32_t s = 0; s < run->options->sinks_count; s++) {
            sinks |= nw_run_table_missing(&run->members[s], table) ? 1u << s : 0;
        }
        if (sinks != 0) {
            status = nw_run_joins_add(run, table->relation_oid, table->schema_name, table->name,
                                      sinks, err);
        }
    }
    return status;
}

/* ---- a round begins ---- */

static nw_status conductor_ready(struct nw_run *run, struct nw_error *err)
{
    struct nw_conductor_options options = nw_run_conductor_options(run);

    options.generation = run->source.generation;
    return run->conductor == NULL ? nw_conductor_create_idle(&options, &run->conductor, err)
                                  : NW_OK;
}

/* Whether a sink that has nothing yet is to get one of the queue. */
static bool is_for_new_sink(const struct nw_run *run)
{
    for (uint32_t i = 0; i < run->joins.queued; i++) {
        for (uint32_t s = 0; s < run->options->sinks_count; s++) {
            if ((run->joins.queue[i].sinks >> s & 1u) != 0 && run->members[s].lsn == 0) {
                return true;
            }
        }
    }
    return false;
}

/* How many are copied at once: a position has room for so many that are held. */
static uint32_t round_max(const struct nw_run *run)
{
    return nw_run_any_appends(run, UINT32_MAX) && !is_for_new_sink(run) ? HELD_TABLES_MAX
                                                                        : UINT32_MAX;
}

/*
 * Moves what goes together from the queue to the round. Tables at single sinks first: a sink that
 * is new must have their marks before its first position.
 */
static nw_status round_take(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    uint32_t max = round_max(run);
    bool everywhere = true;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < joins->queued; i++) {
        everywhere = everywhere && joins->queue[i].everywhere;
    }
    NW_ASSERT(joins->queued > 0);
    joins->round = calloc(joins->queued, sizeof *joins->round);
    joins->marks = calloc(joins->queued, sizeof *joins->marks);
    if (joins->round == NULL || joins->marks == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that join");
    }
    for (uint32_t i = 0; i < joins->queued; i++) {
        if (joins->queue[i].everywhere == everywhere && joins->round_count < max) {
            joins->round[joins->round_count++] = joins->queue[i];
        } else {
            joins->queue[kept++] = joins->queue[i];
        }
    }
    joins->queued = kept;
    return NW_OK;
}

static void round_clear(struct nw_run_joins *joins)
{
    free(joins->round);
    free(joins->marks);
    free(joins->left);
    joins->round = NULL;
    joins->marks = NULL;
    joins->left = NULL;
    joins->round_count = 0;
    joins->phase = NW_JOINS_REST;
}

/* The round goes back to the queue, for later. */
static nw_status round_postpone(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < joins->round_count && status == NW_OK; i++) {
        const struct nw_run_join *join = &joins->round[i];

        status = nw_run_joins_add(run, join->relation_oid, join->schema_name, join->name,
                                  join->sinks, err);
        if (status == NW_OK) {
            nw_run_joins_choose(run, join->chosen, join->fresh);
        }
    }
    round_clear(joins);
    joins->retry_ns = run->env->ops->now_ns(run->env) + RETRY_NS;
    return status;
}

/* How it is called by now: it may have waited for its turn, and leave it for what it is now. */
static nw_status table_name(struct nw_run *run, struct nw_session *session,
                            struct nw_run_join *table, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_catalog_name(session, table->relation_oid, &rows, err);

    table->leaves = status == NW_OK && nw_rows_count(rows) == 0;
    if (status == NW_OK && !table->leaves) {
        (void)snprintf(table->schema_name, sizeof table->schema_name, "%s",
                       nw_rows_text(rows, 0, 0));
        (void)snprintf(table->name, sizeof table->name, "%s", nw_rows_text(rows, 0, 1));
        table->leaves = !nw_table_filter_match(&run->options->server.publication.filter,
                                               table->schema_name, table->name);
    }
    nw_rows_free(rows);
    return status;
}

/* Its columns cannot change until the transaction ends. */
static nw_status table_lock(struct nw_session *session, const struct nw_run_join *table,
                            char sqlstate[6], struct nw_error *err)
{
    char schema_name[160] = "";
    char name[160] = "";
    char sql[sizeof schema_name + sizeof name + 64];
    nw_status status =
        nw_session_quote_name(session, table->schema_name, schema_name, sizeof schema_name, err);

    if (status == NW_OK) {
        status = nw_session_quote_name(session, table->name, name, sizeof name, err);
    }
    (void)snprintf(sql, sizeof sql, "LOCK TABLE ONLY %s.%s IN ACCESS SHARE MODE", schema_name,
                   name);
    return status == NW_OK ? nw_session_query(session, sql, NULL, 0, sqlstate, NULL, err) : status;
}

static nw_status lsn_read(struct nw_session *session, uint64_t *lsn, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status =
        nw_session_query(session, "SELECT pg_catalog.pg_current_wal_insert_lsn() - '0/0'", NULL, 0,
                         NULL, &rows, err);

    *lsn = status == NW_OK ? nw_rows_u64(rows, 0, 0) : 0;
    nw_rows_free(rows);
    return status;
}

/* A table is locked by somebody: said once, and shown by status. */
static void lock_note(struct nw_run *run, const struct nw_run_join *table)
{
    struct nw_run_joins *joins = &run->joins;
    struct nw_error why = {0};

    joins->locked_by[0] = '\0';
    if (nw_server_control_open(&run->server, &why) == NW_OK) {
        nw_copy_lock_holder(run->server.control, table->relation_oid, joins->locked_by);
    }
    if (joins->locked_oid != table->relation_oid) {
        nw_log(NW_LOG_WARN,
               "NW2201 the copy of %s.%s waits for a lock%s%s%s; it is tried again until it is "
               "free, and "
               "the other tables stream on",
               table->schema_name, table->name, joins->locked_by[0] == '\0' ? "" : " that ",
               joins->locked_by, joins->locked_by[0] == '\0' ? "" : " holds");
    }
    joins->locked_oid = table->relation_oid;
}

/* The round's tables as they are at an LSN, which is filled. NW_AGAIN: one is locked. */
static nw_status tables_look(struct nw_run *run, struct nw_session *session,
                             struct nw_catalog_tables *tables, uint64_t *lsn, struct nw_error *err)
{
    char sqlstate[6] = "";
    char begin[64];
    struct nw_run_join *locked = NULL;
    nw_status status = NW_OK;

    (void)snprintf(begin, sizeof begin, "BEGIN; SET LOCAL lock_timeout = '%dms'", LOCK_TIMEOUT_MS);
    status = nw_session_query(session, begin, NULL, 0, NULL, NULL, err);
    for (uint32_t i = 0; i < run->joins.round_count && status == NW_OK; i++) {
        locked = &run->joins.round[i];
        status = table_name(run, session, locked, err);
        if (status == NW_OK && !locked->leaves) {
            status = table_lock(session, locked, sqlstate, err);
        }
    }
    if (status != NW_OK && locked != NULL && strcmp(sqlstate, "55P03") == 0) {
        lock_note(run, locked);
    }
    /* lock_not_available; or renamed, moved or dropped since its name was read */
    if (status != NW_OK && (strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "42P01") == 0 ||
                            strcmp(sqlstate, "3F000") == 0)) {
        status = NW_AGAIN;
    }
    if (status == NW_OK) {
        status = lsn_read(session, lsn, err);
    }
    return status == NW_OK ? nw_server_tables(&run->server, session, &run->joins.arena, tables, err)
                           : status;
}

/* What the catalog says of one of them. */
static nw_status table_describe(struct nw_run *run, struct nw_run_join *join,
                                const struct nw_catalog_tables *tables, struct nw_error *err)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct nw_table *described = NULL;

        if (tables->tables[i].oid == join->relation_oid) {
            nw_status status =
                nw_catalog_to_table(&tables->tables[i], &run->joins.arena, &described, err);

            join->described = described;
            return status;
        }
    }
    join->leaves = true; /* it is not published any more */
    return NW_OK;
}

/*
 * The source passed these tables over, and with them what the stream said of their columns: from an
 * LSN on it goes on with them as the catalog has them there.
 */
static nw_status round_describe(struct nw_run *run, uint64_t *lsn, struct nw_error *err)
{
    struct nw_catalog_tables tables = {0};
    struct nw_session *session = NULL;
    nw_status status = nw_server_session(&run->server, false, &session, err);

    nw_arena_reset(&run->joins.arena);
    if (status == NW_OK) {
        status = tables_look(run, session, &tables, lsn, err);
    }
    for (uint32_t i = 0; i < run->joins.round_count && status == NW_OK; i++) {
        if (!run->joins.round[i].leaves) {
            status = table_describe(run, &run->joins.round[i], &tables, err);
        }
    }
    nw_session_close(session); /* and its locks with it */
    return status == NW_OK ? nw_run_round_leave(run, false, err) : status;
}

static void bases_note(struct nw_run *run)
{
    struct nw_run_joins *joins = &run->joins;

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        struct nw_sink_status status;

        nw_sink_status(run->members[s].sink, &status);
        joins->copies_base[s] = status.copies;
        joins->marks_wanted[s] = status.joins_begun;
        for (uint32_t i = 0; i < joins->round_count; i++) {
            joins->marks_wanted[s] += joins->round[i].sinks >> s & 1u;
        }
    }
    nw_engine_copy_counts(run->engine, &joins->rows_base, &joins->bytes_base);
}

nw_status nw_run_joins_begin(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    nw_status status = conductor_ready(run, err);

    status = status == NW_OK ? round_take(run, err) : status;
    joins->lsn = 0;
    if (status == NW_OK && joins->round[0].everywhere) {
        status = round_describe(run, &joins->lsn, err);
    }
    if (status == NW_AGAIN) {
        return round_postpone(run, err);
    }
    if (status == NW_OK && joins->round_count == 0) {
        round_clear(joins);
    }
    if (status != NW_OK || joins->round_count == 0) {
        return status;
    }
    joins->locked_oid = 0;
    joins->generation = nw_conductor_generation_next(run->conductor);
    for (uint32_t i = 0; i < joins->round_count; i++) {
        joins->marks[i] = (struct nw_dealer_join){.relation_oid = joins->round[i].relation_oid,
                                                  .sinks = joins->round[i].sinks,
                                                  .generation = joins->generation,
                                                  .from_lsn = joins->lsn,
                                                  .stream_lsn = nw_run_stream_lsn(run),
                                                  .described = joins->round[i].described};
    }
    bases_note(run);
    nw_engine_join(run->engine, &(struct nw_engine_joins){joins->marks, joins->round_count});
    joins->phase = NW_JOINS_MARKED;
    return NW_OK;
}

/* ---- a round goes on ---- */

/* A table that stopped, or of which it is recorded that it was dropped, leaves the round. */
static nw_status round_check(struct nw_run *run, struct nw_error *err)
{
    bool any = false;

    for (uint32_t i = 0; i < run->joins.round_count; i++) {
        struct nw_run_join *table = &run->joins.round[i];

        table->leaves = nw_tables_stopped(run->table_states, table->relation_oid) ||
                        nw_tables_dropped(run->table_states, table->relation_oid);
        any = any || table->leaves;
    }
    return any && nw_engine_joined(run->engine) ? nw_run_round_leave(run, true, err) : NW_OK;
}

uint32_t nw_run_marks_missing(const struct nw_run *run)
{
    uint32_t sinks = 0;

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        struct nw_sink_status status;

        nw_sink_status(run->members[s].sink, &status);
        sinks |= status.joins_begun < run->joins.marks_wanted[s] ? 1u << s : 0;
    }
    return sinks;
}

static nw_status round_copy(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_run_held_record(run, err);

    nw_crash_point("joined");
    for (uint32_t i = 0; i < run->joins.round_count && status == NW_OK; i++) {
        status = nw_conductor_add(run->conductor, run->joins.round[i].relation_oid,
                                  run->joins.round[i].schema_name, run->joins.round[i].name, err);
    }
    run->joins.phase = NW_JOINS_COPYING;
    return status;
}

/* Which sink's tables are counted. */
struct counted {
    const struct nw_run_joins *joins;
    uint32_t sinks;
};

static bool is_counted(void *context, const struct nw_table *table)
{
    const struct counted *counted = context;

    for (uint32_t i = 0; i < counted->joins->round_count; i++) {
        if (counted->joins->round[i].relation_oid == table->relation_oid) {
            return (counted->joins->round[i].sinks & counted->sinks) != 0;
        }
    }
    return false;
}

static bool round_is_durable(struct nw_run *run)
{
    struct counted counted = {.joins = &run->joins};

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        struct nw_sink_status status;

        nw_sink_status(run->members[s].sink, &status);
        counted.sinks = 1u << s;
        if (status.copies - run->joins.copies_base[s] <
            nw_conductor_tables(run->conductor, is_counted, &counted)) {
            return false;
        }
    }
    return true;
}

static nw_status copied_record(struct nw_run *run, uint32_t relation_oid, struct nw_error *err)
{
    bool asked = nw_tables_asked(run->table_states, relation_oid);
    nw_status status = nw_tables_copied(run->table_states, relation_oid, err);

    return status == NW_OK && asked ? nw_chosen_set(run->state, relation_oid, NULL, err) : status;
}

static nw_status round_end(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    nw_status status = NW_OK;

    nw_engine_copy_counts(run->engine, &rows, &bytes);
    for (uint32_t i = 0; i < joins->round_count && status == NW_OK; i++) {
        status = nw_run_news_settle(run, joins->round[i].relation_oid, err);
        if (status == NW_OK) {
            status = copied_record(run, joins->round[i].relation_oid, err);
        }
    }
    if (joins->round_count > 0) {
        nw_log(NW_LOG_INFO, "copied %s.%s%s while the stream went on: %" PRIu64 " rows",
               joins->round[0].schema_name, joins->round[0].name,
               joins->round_count > 1 ? " and others" : "", rows - joins->rows_base);
    }
    nw_engine_copies(run->engine, NW_COPIES_NONE);
    nw_conductor_rest(run->conductor);
    round_clear(joins);
    return status;
}

/* Whether the conductor has the whole copy of a table, or will: not of one that was dropped. */
static bool is_copied(void *context, const struct nw_table *table)
{
    const uint32_t *relation_oid = context;

    return table->relation_oid == *relation_oid;
}

/* All is read of what there was to read. */
static nw_status round_read(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    bool any = false;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < joins->round_count; i++) {
        struct nw_run_join *table = &joins->round[i];

        table->leaves = nw_conductor_tables(run->conductor, is_copied, &table->relation_oid) == 0;
        any = any || table->leaves;
    }
    if (any) {
        status = nw_run_round_leave(run, true, err);
    }
    if (status == NW_OK) {
        nw_engine_copies(run->engine, NW_COPIES_READ);
        joins->phase = NW_JOINS_READ;
    }
    return status;
}

static nw_status round_step(struct nw_run *run, struct nw_error *err)
{
    bool finished = false;
    nw_status status = NW_OK;

    if (run->joins.phase == NW_JOINS_COPYING) {
        status = nw_conductor_step(run->conductor, run->engine, &finished, err);
        if (status == NW_OK && finished && nw_engine_joined(run->engine)) {
            status = round_read(run, err);
        }
        return status;
    }
    return round_is_durable(run) && nw_engine_joined(run->engine) ? round_end(run, err) : NW_OK;
}

bool nw_run_joins_first(const struct nw_run *run)
{
    return !nw_run_any_appends(run, UINT32_MAX) || is_for_new_sink(run);
}

/*
 * Whether the stream is as far as the server was when it was first asked. What is held before the
 * snapshot may be of former columns, and a sink that appends gets it behind the copied rows: so it
 * must be little. A sink that has nothing yet gets its marks before all else.
 */
static nw_status caught_up(struct nw_run *run, bool *is, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    int64_t now_ns = run->env->ops->now_ns(run->env);
    struct nw_source_status source;
    nw_status status = NW_OK;

    *is = nw_run_joins_first(run);
    if (*is) {
        return NW_OK;
    }
    if (joins->behind_lsn == 0) {
        status = nw_server_control_open(&run->server, err);
        status = status == NW_OK ? lsn_read(run->server.control, &joins->behind_lsn, err) : status;
        joins->behind_ns = now_ns;
        nw_engine_hurry(run->engine, joins->behind_lsn);
    }
    nw_engine_source_status(run->engine, &source);
    *is = status == NW_OK && (source.dealer.position_lsn >= joins->behind_lsn ||
                              (source.dealer.position_lsn >= source.server_lsn &&
                               now_ns - joins->behind_ns > CATCH_UP_NS));
    if (*is) {
        joins->behind_lsn = 0;
    }
    return status;
}

static nw_status queue_step(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    bool ready = false;
    nw_status status = nw_run_queue_leave(run, err);

    if (status != NW_OK || joins->queued == 0 ||
        run->env->ops->now_ns(run->env) < joins->retry_ns ||
        nw_run_wishes_pending(run)) { /* which may be for the same round */
        return NW_OK;
    }
    status = caught_up(run, &ready, err);
    return status == NW_OK && ready ? nw_run_joins_begin(run, err) : status;
}

nw_status nw_run_joins_step(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    nw_status status = round_check(run, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_run_joins_busy(run)) {
        nw_crash_point("join");
    }
    switch (joins->phase) {
    case NW_JOINS_REST:
        return queue_step(run, err);
    case NW_JOINS_MARKED:
        return nw_run_marks_missing(run) == 0 ? round_copy(run, err) : NW_OK;
    case NW_JOINS_COPYING:
    case NW_JOINS_READ:
        break;
    }
    return round_step(run, err);
}

void nw_run_joins_forget(struct nw_run *run)
{
    round_clear(&run->joins);
    free(run->joins.queue);
    run->joins.queue = NULL;
    run->joins.queued = 0;
    run->joins.locked_oid = 0;
    run->joins.rows_base = run->joins.bytes_base = 0;
    run->joins.retry_ns = 0;
    run->joins.behind_lsn = 0;
}
