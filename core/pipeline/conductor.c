/* SPDX-License-Identifier: Apache-2.0 */
/* See conductor.h. */
#include "pipeline/conductor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/lsn.h"
#include "pg/types.h"

#define CATALOG_BYTES_MAX (512u << 20)
#define READERS_MAX       (NW_PRODUCERS_MAX - 1u)
#define PAUSE_NS_MIN      100000000LL /* before a locked table is tried again; doubling */
#define PAUSE_NS_MAX      5000000000LL
#define SLOT_WATCH_NS     10000000000LL

struct nw_conductor {
    struct nw_conductor_options options;
    struct nw_arena arena;
    struct nw_session *exporter; /* holds the snapshot while it stays idle */
    struct nw_slot_created slot;
    const char *snapshot_text; /* pg_current_snapshot() under it */
    struct nw_session *sessions[READERS_MAX];
    struct nw_stream *streams[READERS_MAX];
    struct nw_copy_task *tasks; /* largest first */
    size_t tasks_count, tasks_given, tasks_done;
    size_t tasks_locked; /* wait for somebody else's lock */
    int64_t slot_seen_ns;
    uint32_t under_way[READERS_MAX];
    uint64_t bytes;
};

/* ---- the snapshot ---- */

static nw_status snapshot_export(struct nw_conductor *conductor, struct nw_error *err)
{
    const struct nw_server *server = conductor->options.server;
    char name[NW_SLOT_NAME_SIZE];
    struct nw_slot_request request = {.name = server->options.slot_name,
                                      .snapshot = NW_SLOT_SNAPSHOT_EXPORT};
    nw_status status = nw_server_session(server, true, &conductor->exporter, err);
    char lsn[NW_LSN_TEXT_SIZE];

    if (!conductor->options.make_slot) { /* it is there: a temporary one lends its snapshot */
        uint32_t token = 0;              /* in containers all have the same process id */

        server->options.env->ops->random(server->options.env, &token, sizeof token);
        (void)snprintf(name, sizeof name, "narwal_copy_%" PRIu32 "_%08" PRIx32,
                       conductor->options.generation, token);
        request.name = name;
        request.temporary = true;
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "waiting for a consistent point (running transactions must end first)");
        nw_session_wait_mark(conductor->exporter);
        status =
            nw_replication_create_slot(conductor->exporter, &request, NULL, &conductor->slot, err);
        nw_session_wait_mark(NULL);
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "%sslot %s made at %s", request.temporary ? "temporary " : "",
               request.name, nw_lsn_text(lsn, conductor->slot.consistent_lsn));
    }
    return status;
}

static nw_status snapshot_enter(struct nw_conductor *conductor, struct nw_session *session,
                                struct nw_error *err)
{
    char sql[160];
    nw_status status = nw_session_query(session, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                        NULL, 0, NULL, NULL, err);

    (void)snprintf(sql, sizeof sql, "SET TRANSACTION SNAPSHOT '%s'", conductor->slot.snapshot);
    return status == NW_OK ? nw_session_query(session, sql, NULL, 0, NULL, NULL, err) : status;
}

/* Reads the tables as the snapshot sees them, and what the snapshot calls itself. */
static nw_status tables_read(struct nw_conductor *conductor, struct nw_catalog_tables *tables,
                             struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_rows *rows = NULL;
    nw_status status = nw_server_session(conductor->options.server, false, &session, err);

    if (status == NW_OK) {
        status = snapshot_enter(conductor, session, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(session, "SELECT pg_catalog.pg_current_snapshot()::text", NULL, 0,
                                  NULL, &rows, err);
    }
    if (status == NW_OK) {
        conductor->snapshot_text = nw_arena_text(&conductor->arena, nw_rows_text(rows, 0, 0));
        status =
            nw_server_tables(conductor->options.server, session, &conductor->arena, tables, err);
    }
    nw_rows_free(rows);
    nw_session_close(session);
    return status;
}

/* ---- one table's transaction ---- */

static nw_status name_print(struct nw_session *session, FILE *stream, const char *name,
                            struct nw_error *err)
{
    char quoted[160] = "";
    nw_status status = nw_session_quote_name(session, name, quoted, sizeof quoted, err);

    if (status == NW_OK) {
        (void)fputs(quoted, stream);
    }
    return status;
}

static nw_status table_print(struct nw_session *session, FILE *stream,
                             const struct nw_catalog_table *table, struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)fputs(table->kind == 'r' ? "ONLY " : "", stream);
    status = name_print(session, stream, table->schema_name, err);
    (void)fputc('.', stream);
    return status == NW_OK ? name_print(session, stream, table->name, err) : status;
}

/* What the type's output function prints, as in the stream: a cast to text may be something else
 * (xml's keeps the encoding's declaration, and users make casts). concat() makes '' of NULL, and
 * IS NULL is also true of a composite value whose fields are all NULL. */
static nw_status text_print(struct nw_session *session, FILE *stream, const char *name,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)fputs("CASE WHEN ", stream);
    status = name_print(session, stream, name, err);
    (void)fputs(" IS DISTINCT FROM NULL THEN pg_catalog.concat(", stream);
    status = status == NW_OK ? name_print(session, stream, name, err) : status;
    (void)fputs(") END", stream);
    return status;
}

static nw_status columns_print(struct nw_session *session, FILE *stream,
                               const struct nw_catalog_table *table, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint16_t i = 0; i < table->columns_count && status == NW_OK; i++) {
        const struct nw_catalog_column *column = &table->columns[i];

        (void)fputs(i > 0 ? ", " : "", stream);
        status = nw_type_is_binary(column->base_type_oid, column->typtype)
                     ? name_print(session, stream, column->name, err)
                     : text_print(session, stream, column->name, err);
    }
    return status;
}

/*
 * The whole transaction as one query: what it returns before COPY begins is checked by the reader.
 * Of a partitioned table every leaf must still have its file.
 */
static nw_status sql_print(const struct nw_conductor *conductor,
                           const struct nw_catalog_table *table, FILE *stream, struct nw_error *err)
{
    struct nw_session *session = conductor->options.server->control;
    nw_status status = NW_OK;

    (void)fprintf(stream,
                  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'; "
                  "SET LOCAL lock_timeout = '%" PRId64 "ms'; SET LOCAL row_security = off; "
                  "LOCK TABLE ",
                  conductor->slot.snapshot, conductor->options.lock_timeout_us / 1000);
    status = table_print(session, stream, table, err);
    (void)fprintf(
        stream,
        " IN ACCESS SHARE MODE; SELECT pg_catalog.pg_current_snapshot()::text, "
        "coalesce(bool_and(c.relfilenode = coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)), "
        "true) FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND (c.oid = %" PRIu32
        " OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%" PRIu32
        "))); COPY (SELECT ",
        table->oid, table->oid);
    status = status == NW_OK ? columns_print(session, stream, table, err) : status;
    (void)fputs(" FROM ", stream);
    status = status == NW_OK ? table_print(session, stream, table, err) : status;
    if (table->row_filter != NULL) {
        (void)fprintf(stream, " WHERE (%s)", table->row_filter);
    }
    (void)fputs(") TO STDOUT (FORMAT binary); COMMIT", stream);
    return status;
}

static nw_status task_make(struct nw_conductor *conductor, const struct nw_catalog_table *from,
                           const struct nw_table *table, struct nw_error *err)
{
    struct nw_copy_task *task = &conductor->tasks[conductor->tasks_count];
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    nw_status status = NW_OK;

    if (stream == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a copy");
    }
    status = sql_print(conductor, from, stream, err);
    (void)fclose(stream);
    *task = (struct nw_copy_task){.table = table,
                                  .generation = conductor->options.generation,
                                  .fence_lsn = conductor->slot.consistent_lsn,
                                  .snapshot = conductor->snapshot_text,
                                  .sql = nw_arena_text(&conductor->arena, text)};
    free(text);
    if (status == NW_OK && task->sql == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for a copy");
    }
    conductor->tasks_count += status == NW_OK;
    conductor->bytes += from->bytes;
    return status;
}

static int by_size(const void *left, const void *right)
{
    const struct nw_catalog_table *a = *(const struct nw_catalog_table *const *)left;
    const struct nw_catalog_table *b = *(const struct nw_catalog_table *const *)right;

    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

static nw_status tasks_make(struct nw_conductor *conductor, const struct nw_catalog_tables *tables,
                            struct nw_error *err)
{
    struct nw_schemas *schemas = conductor->options.server->schemas;
    const struct nw_catalog_table **sorted =
        nw_arena_array(&conductor->arena, tables->count + 1, sizeof(void *));
    nw_status status = NW_OK;

    conductor->tasks = calloc(tables->count + 1, sizeof *conductor->tasks);
    if (sorted == NULL || conductor->tasks == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu tables", tables->count);
    }
    for (size_t i = 0; i < tables->count; i++) {
        sorted[i] = &tables->tables[i];
    }
    qsort((void *)sorted, tables->count, sizeof *sorted, by_size);
    for (size_t i = 0; i < tables->count && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_find(schemas, sorted[i]->oid);

        if (table != NULL && conductor->options.wanted(conductor->options.context, table)) {
            status = task_make(conductor, sorted[i], table, err);
        }
    }
    return status;
}

static nw_status readers_open(struct nw_conductor *conductor, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t r = 0; r < conductor->options.workers_count && status == NW_OK; r++) {
        status = nw_server_session(conductor->options.server, false, &conductor->sessions[r], err);
        if (status == NW_OK) {
            status = nw_session_take_stream(conductor->sessions[r], &conductor->streams[r], err);
        }
    }
    return status;
}

nw_status nw_conductor_create(const struct nw_conductor_options *options,
                              struct nw_conductor **conductor, struct nw_error *err)
{
    struct nw_conductor *made = calloc(1, sizeof *made);
    struct nw_catalog_tables tables = {0};
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the copy");
    }
    made->options = *options;
    nw_arena_init(&made->arena, CATALOG_BYTES_MAX);
    status = snapshot_export(made, err);
    status = status != NW_OK ? status : tables_read(made, &tables, err);
    status =
        status != NW_OK ? status : nw_server_register(options->server, &tables, &made->arena, err);
    status = status != NW_OK ? status : tasks_make(made, &tables, err);
    status = status != NW_OK ? status : readers_open(made, err);
    if (status != NW_OK) {
        nw_conductor_destroy(made);
        return status;
    }
    *conductor = made;
    return NW_OK;
}

void nw_conductor_release(struct nw_conductor *conductor)
{
    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        if (conductor->streams[r] != NULL) {
            conductor->streams[r]->ops->destroy(conductor->streams[r]);
        }
        nw_session_close(conductor->sessions[r]);
        conductor->streams[r] = NULL;
        conductor->sessions[r] = NULL;
    }
    nw_session_close(conductor->exporter);
    conductor->exporter = NULL;
}

void nw_conductor_destroy(struct nw_conductor *conductor)
{
    if (conductor != NULL) {
        nw_conductor_release(conductor);
        free(conductor->tasks);
        nw_arena_fini(&conductor->arena);
        free(conductor);
    }
}

struct nw_stream *nw_conductor_stream(const struct nw_conductor *conductor, uint32_t reader)
{
    return conductor->streams[reader];
}

uint64_t nw_conductor_fence_lsn(const struct nw_conductor *conductor)
{
    return conductor->slot.consistent_lsn;
}

/* ---- handing out ---- */

/* Who holds the lock that the table's reader waits for; what cannot be learned is left out. */
static void lock_say(const struct nw_conductor *conductor, const struct nw_table *table)
{
    static const char sql[] =
        "SELECT l.pid, coalesce(nullif(a.application_name, ''), a.backend_type, 'a prepared "
        "transaction') FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a "
        "USING (pid) WHERE l.locktype = 'relation' AND l.granted AND l.mode = "
        "'AccessExclusiveLock' AND l.relation = $1::pg_catalog.oid AND l.database = (SELECT oid "
        "FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) LIMIT 1";
    struct nw_session *session = conductor->options.server->control;
    struct nw_rows *rows = NULL;
    struct nw_error why = {0};
    char oid[16];
    const char *params[1] = {oid};
    char holder[128] = "";

    (void)snprintf(oid, sizeof oid, "%" PRIu32, table->relation_oid);
    if (session == NULL || nw_session_query(session, sql, params, 1, NULL, &rows, &why) != NW_OK) {
        nw_log(NW_LOG_DEBUG, "who holds the lock is not known: %s", why.text);
    } else if (nw_rows_count(rows) == 1) {
        (void)snprintf(holder, sizeof holder, " that process %" PRIu64 " (%s) holds",
                       nw_rows_u64(rows, 0, 0), nw_rows_text(rows, 0, 1));
    }
    nw_rows_free(rows);
    nw_log(NW_LOG_WARN,
           "the copy of %s.%s waits for a lock%s; it is tried again until it is free, and the "
           "other tables go on",
           table->schema_name, table->name, holder);
}

/* The table is locked: later, with the same snapshot. */
static void task_defer(struct nw_conductor *conductor, struct nw_copy_task *task)
{
    struct nw_env *env = conductor->options.server->options.env;
    int64_t pause_ns = PAUSE_NS_MIN << (task->tries < 10 ? task->tries : 10);

    if (task->tries++ == 0) {
        lock_say(conductor, task->table);
    }
    task->retry_ns = env->ops->now_ns(env) + (pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX);
    conductor->tasks_locked++;
}

/* Takes in what a reader is done with. */
static nw_status task_collect(struct nw_conductor *conductor, struct nw_engine *engine,
                              uint32_t reader, struct nw_error *err)
{
    struct nw_copy_task *task = nw_engine_copied(engine, reader);

    if (task == NULL) {
        return NW_OK;
    }
    conductor->under_way[reader]--;
    if (task->status == NW_AGAIN) {
        task_defer(conductor, task);
        return NW_OK;
    }
    conductor->tasks_done++;
    if (task->status != NW_OK) {
        *err = task->error;
        return task->status;
    }
    nw_log(NW_LOG_DEBUG, "copied %s.%s: %" PRIu64 " rows", task->table->schema_name,
           task->table->name, task->rows);
    return NW_OK;
}

/* A locked table whose pause is over, or NULL. */
static struct nw_copy_task *task_due(const struct nw_conductor *conductor)
{
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = conductor->tasks_locked == 0 ? 0 : env->ops->now_ns(env);

    for (size_t i = 0; i < conductor->tasks_given && conductor->tasks_locked > 0; i++) {
        if (conductor->tasks[i].retry_ns != 0 && conductor->tasks[i].retry_ns <= now_ns) {
            return &conductor->tasks[i];
        }
    }
    return NULL;
}

/* Gives an idle reader its next table, if there is one. */
static void task_give(struct nw_conductor *conductor, struct nw_engine *engine, uint32_t reader)
{
    struct nw_copy_task *due = task_due(conductor);
    struct nw_copy_task *task = due;

    if (task == NULL && conductor->tasks_given < conductor->tasks_count) {
        task = &conductor->tasks[conductor->tasks_given];
    }
    if (task == NULL || !nw_engine_copy(engine, reader, task)) {
        return;
    }
    conductor->under_way[reader]++;
    if (due != NULL) {
        due->retry_ns = 0;
        conductor->tasks_locked--;
    } else {
        conductor->tasks_given++;
    }
}

/* A copy is for nothing when the slot that is to go on from it was invalidated meanwhile. */
static nw_status slot_watch(struct nw_conductor *conductor, struct nw_error *err)
{
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = env->ops->now_ns(env);

    if (!conductor->options.watch_slot || now_ns - conductor->slot_seen_ns < SLOT_WATCH_NS) {
        return NW_OK;
    }
    conductor->slot_seen_ns = now_ns;
    return nw_server_slot_watch(conductor->options.server, err);
}

nw_status nw_conductor_step(struct nw_conductor *conductor, struct nw_engine *engine,
                            bool *finished, struct nw_error *err)
{
    nw_status status = slot_watch(conductor, err);

    for (uint32_t r = 0; r < conductor->options.workers_count && status == NW_OK; r++) {
        status = task_collect(conductor, engine, r, err);
        if (status == NW_OK && conductor->under_way[r] == 0) {
            task_give(conductor, engine, r);
        }
    }
    *finished = status == NW_OK && conductor->tasks_done == conductor->tasks_count;
    return status;
}

void nw_conductor_progress(const struct nw_conductor *conductor,
                           struct nw_conductor_progress *progress)
{
    *progress = (struct nw_conductor_progress){.tables = conductor->tasks_count,
                                               .tables_done = conductor->tasks_done,
                                               .bytes = conductor->bytes};
}
