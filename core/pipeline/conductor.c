/* SPDX-License-Identifier: Apache-2.0 */
/* See conductor.h. */
#include "pipeline/conductor.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/copy_plan.h"
#include "pipeline/copy_watch.h"

#define CATALOG_BYTES_MAX (512u << 20)
#define READERS_MAX       (NW_PRODUCERS_MAX - 1u)
#define PAUSE_NS_MIN      100000000LL /* before a locked table is tried again; doubling */
#define PAUSE_NS_MAX      5000000000LL
#define SLOT_WATCH_NS     10000000000LL
#define LOCK_WATCH_NS     250000000LL
#define FENCES_MAX        64u               /* held at once */
#define CHUNKS_AHEAD      NW_COPY_TASKS_MAX /* with a reader: what it reads, and what it reads next */
#define BUSY_NS           20000000LL        /* so long after a chunk came back others may, too */
#define PAUSE_BUSY_NS     2000000LL
#define PAUSE_CALM_NS     10000000LL

static_assert(READERS_MAX <= NW_COPY_WATCHED_MAX, "every reader is watched");
static_assert(offsetof(struct nw_copy_chunk, task) == 0, "a task finds its chunk");

/* A session that reads, and the chunks that are read through it, one after the other. */
struct seat {
    struct nw_session *session; /* NULL: to be opened */
    struct nw_stream *stream;
    struct nw_copy_chunk *chunks[CHUNKS_AHEAD]; /* [0] is read, or was */
    uint32_t chunks_count;
    uint32_t turn;   /* of its next task */
    uint64_t serial; /* of the session: none has had it before */
};

/* A fence, and what the catalog says under its snapshot. */
struct held {
    struct nw_copy_fence fence;
    struct nw_arena arena;
};

/* A table that waits for a new fence. */
struct again {
    uint32_t relation_oid;
    const char *schema_name, *name; /* borrow */
    uint64_t rows_read;             /* in vain, of its former copy */
};

struct nw_conductor {
    struct nw_conductor_options options;
    const struct nw_table *refused; /* it has a row that cannot be held */
    struct nw_arena arena;          /* new names of relations */
    struct held *held[FENCES_MAX];  /* [0] is the first one's; a NULL is free */
    struct nw_copy_plan **plans;    /* the largest table first; then those made later */
    size_t plans_count, plans_capacity;
    struct seat seats[READERS_MAX];
    uint32_t chunk_pages;
    uint32_t generation; /* last one that was given to a table */
    uint64_t first_lsn;
    struct nw_copy_fencer fencer;
    struct again *again;
    size_t again_count;
    uint64_t sessions_opened;
    int64_t slot_seen_ns, locks_seen_ns;
    int64_t collected_ns; /* when the last chunk came back */
    uint64_t rows_again;
};

/* ---- making one ---- */

/* Reads the tables as the fence's snapshot sees them. */
static nw_status tables_read(struct nw_conductor *conductor, struct held *held,
                             struct nw_catalog_tables *tables, struct nw_error *err)
{
    struct nw_session *session = NULL;
    nw_status status = nw_server_session(conductor->options.server, false, &session, err);

    if (status == NW_OK) {
        status = nw_copy_snapshot_enter(session, held->fence.snapshot, err);
    }
    if (status == NW_OK) {
        status = nw_server_tables(conductor->options.server, session, &held->arena, tables, err);
    }
    nw_session_close(session);
    return status;
}

static void resumed_say(const struct nw_copy_plan *plan)
{
    char lsn[NW_LSN_TEXT_SIZE];

    nw_log(NW_LOG_INFO,
           "going on with the copy of %s.%s: %" PRIu32 " of %" PRIu32
           " chunks are kept, and of those what changed since %s is read",
           plan->table->schema_name, plan->table->name, plan->chunks_kept, plan->chunks_count,
           nw_lsn_text(lsn, plan->origin.fence_lsn));
}

static nw_status plan_add(struct nw_conductor *conductor, const struct nw_catalog_table *from,
                          const struct nw_table *table, struct held *held, struct nw_error *err)
{
    const struct nw_projection *projection = NULL;
    struct nw_copy_former former;
    nw_status status =
        conductor->options.project(conductor->options.context, table, &projection, err);
    struct nw_copy_plan_options options = {.session = conductor->options.server->control,
                                           .arena = &held->arena,
                                           .from = from,
                                           .table = table,
                                           .projection = projection,
                                           .fence = &held->fence,
                                           .generation = conductor->generation,
                                           .chunk_pages = conductor->chunk_pages};
    bool first =
        held == conductor->held[0] && conductor->generation == conductor->options.generation;

    if (status != NW_OK) {
        return status;
    }
    if (conductor->plans_count == conductor->plans_capacity) {
        size_t capacity = conductor->plans_capacity == 0 ? 64 : conductor->plans_capacity * 2;
        struct nw_copy_plan **grown =
            reallocarray((void *)conductor->plans, capacity, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %zu tables", capacity);
        }
        conductor->plans = grown;
        conductor->plans_capacity = capacity;
    }
    if (first && conductor->options.former(conductor->options.context, table, &former)) {
        options.former = &former;
    }
    status = nw_copy_plan_create(&options, &conductor->plans[conductor->plans_count], err);
    if (status == NW_OK && conductor->plans[conductor->plans_count++]->resumed) {
        resumed_say(conductor->plans[conductor->plans_count - 1]);
    }
    return status;
}

static int by_size(const void *left, const void *right)
{
    const struct nw_copy_plan *a = *(const struct nw_copy_plan *const *)left;
    const struct nw_copy_plan *b = *(const struct nw_copy_plan *const *)right;

    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

static void plans_sort(struct nw_conductor *conductor)
{
    if (conductor->plans_count > 0) {
        qsort((void *)conductor->plans, conductor->plans_count, sizeof *conductor->plans, by_size);
    }
}

static nw_status plans_make(struct nw_conductor *conductor, const struct nw_catalog_tables *tables,
                            struct nw_error *err)
{
    struct nw_schemas *schemas = conductor->options.server->schemas;
    uint64_t bytes = 0;
    nw_status status = NW_OK;

    for (size_t i = 0; i < tables->count; i++) {
        bytes += tables->tables[i].bytes;
    }
    conductor->chunk_pages = nw_copy_chunk_pages(conductor->options.chunk_bytes, bytes,
                                                 conductor->options.workers_count);
    for (size_t i = 0; i < tables->count && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_find(schemas, tables->tables[i].oid);

        if (table != NULL && conductor->options.wanted(conductor->options.context, table)) {
            status = plan_add(conductor, &tables->tables[i], table, conductor->held[0], err);
            status = err->status = status == NW_REJECT ? NW_FATAL : status; /* a wrong rule */
        }
    }
    plans_sort(conductor);
    return status;
}

static void held_end(struct nw_conductor *conductor, size_t index)
{
    struct held *held = conductor->held[index];

    if (held != NULL) {
        nw_copy_fence_end(&held->fence);
        nw_arena_fini(&held->arena);
        free(held);
        conductor->held[index] = NULL;
    }
}

static bool held_in_use(const struct nw_conductor *conductor, const struct held *held)
{
    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];
        bool over =
            plan->chunks_out == 0 && (plan->void_ || plan->chunks_done == plan->chunks_count);

        if (plan->fence == &held->fence && !over) {
            return true;
        }
    }
    return false;
}

/* Takes a fence over, in the place of one that no table needs any more. */
static nw_status fence_keep(struct nw_conductor *conductor, const struct nw_copy_fence *made,
                            struct held **kept, struct nw_error *err)
{
    size_t free_index = FENCES_MAX;

    for (size_t i = 0; i < FENCES_MAX; i++) {
        if (conductor->held[i] != NULL && !held_in_use(conductor, conductor->held[i])) {
            held_end(conductor, i);
        }
        free_index = conductor->held[i] == NULL && free_index == FENCES_MAX ? i : free_index;
    }
    if (free_index == FENCES_MAX) {
        return nw_fail(err, NW_RETRY, "more than %u snapshots are held", FENCES_MAX);
    }
    *kept = malloc(sizeof **kept);
    if (*kept == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a snapshot");
    }
    (*kept)->fence = *made;
    nw_arena_init(&(*kept)->arena, CATALOG_BYTES_MAX);
    conductor->held[free_index] = *kept;
    return NW_OK;
}

static nw_status first_fence(struct nw_conductor *conductor, struct nw_error *err)
{
    const struct nw_server *server = conductor->options.server;
    struct nw_copy_fence made = {0};
    struct held *kept = NULL;
    nw_status status = nw_copy_fence_make(server, &server->options.connection,
                                          conductor->options.make_slot, &made, err);

    if (status == NW_OK) {
        status = fence_keep(conductor, &made, &kept, err);
        conductor->first_lsn = made.lsn;
        if (status != NW_OK) {
            nw_copy_fence_end(&made);
        }
    }
    return status;
}

nw_status nw_conductor_create_idle(const struct nw_conductor_options *options,
                                   struct nw_conductor **conductor, struct nw_error *err)
{
    struct nw_conductor *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the copy");
    }
    made->options = *options;
    made->generation = options->generation;
    nw_arena_init(&made->arena, CATALOG_BYTES_MAX);
    *conductor = made;
    return NW_OK;
}

nw_status nw_conductor_create(const struct nw_conductor_options *options,
                              struct nw_conductor **conductor, struct nw_error *err)
{
    struct nw_conductor *made = NULL;
    struct nw_catalog_tables tables = {0};
    nw_status status = nw_conductor_create_idle(options, &made, err);

    if (status != NW_OK) {
        return status;
    }
    status = first_fence(made, err);
    status = status != NW_OK ? status : tables_read(made, made->held[0], &tables, err);
    status = status != NW_OK
                 ? status
                 : nw_server_register(options->server, &tables, &made->held[0]->arena, err);
    status = status != NW_OK ? status : plans_make(made, &tables, err);
    if (status != NW_OK) {
        nw_conductor_destroy(made);
        return status;
    }
    *conductor = made;
    return NW_OK;
}

static void seat_leave(struct seat *seat)
{
    if (seat->stream != NULL) {
        seat->stream->ops->destroy(seat->stream);
    }
    nw_session_close(seat->session);
    seat->stream = NULL;
    seat->session = NULL;
}

/* The snapshots and the sessions, which the engine's readers hold no more. */
static void sessions_end(struct nw_conductor *conductor)
{
    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        seat_leave(&conductor->seats[r]);
    }
    nw_copy_fencer_end(&conductor->fencer);
    for (size_t i = 0; i < FENCES_MAX; i++) {
        held_end(conductor, i);
    }
}

static void plans_end(struct nw_conductor *conductor)
{
    for (size_t i = 0; i < conductor->plans_count; i++) {
        nw_copy_plan_destroy(conductor->plans[i]);
    }
    conductor->plans_count = 0;
    conductor->again_count = 0;
    conductor->rows_again = 0;
}

void nw_conductor_rest(struct nw_conductor *conductor)
{
    plans_end(conductor);
    sessions_end(conductor);
}

void nw_conductor_destroy(struct nw_conductor *conductor)
{
    if (conductor == NULL) {
        return;
    }
    sessions_end(conductor);
    plans_end(conductor);
    free((void *)conductor->plans);
    free(conductor->again);
    nw_arena_fini(&conductor->arena);
    free(conductor);
}

uint64_t nw_conductor_fence_lsn(const struct nw_conductor *conductor)
{
    return conductor->first_lsn;
}

/* ---- what came back ---- */

static void chunk_again(struct nw_copy_chunk *chunk)
{
    chunk->waits = true;
    chunk->plan->chunks_waiting++;
}

/* Later again, and until then nothing of its table: all of it is locked. */
static void chunk_defer(struct nw_conductor *conductor, struct nw_copy_chunk *chunk)
{
    struct nw_copy_plan *plan = chunk->plan;
    struct nw_env *env = conductor->options.server->options.env;
    int64_t pause_ns = PAUSE_NS_MIN << (plan->tries < 10 ? plan->tries : 10);

    if (plan->tries++ == 0) {
        nw_copy_lock_say(conductor->options.server->control, chunk->relation->oid,
                         chunk->relation->schema_name, chunk->relation->name);
    }
    plan->retry_ns = env->ops->now_ns(env) + (pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX);
    chunk_again(chunk);
}

static nw_status again_add(struct nw_conductor *conductor, struct again again, struct nw_error *err)
{
    struct again *grown = reallocarray(conductor->again, conductor->again_count + 1, sizeof *grown);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a table that is copied again");
    }
    conductor->again = grown;
    conductor->again[conductor->again_count++] = again;
    return NW_OK;
}

uint32_t nw_conductor_generation_next(const struct nw_conductor *conductor)
{
    return conductor->generation + 1;
}

nw_status nw_conductor_add(struct nw_conductor *conductor, uint32_t relation_oid,
                           const char *schema_name, const char *name, struct nw_error *err)
{
    NW_ASSERT(!conductor->fencer.started); /* those that are added together get one fence */
    return again_add(conductor, (struct again){relation_oid, schema_name, name, 0}, err);
}

/* What was read of the table cannot be gone on from: it waits for a new fence. */
static nw_status plan_void(struct nw_conductor *conductor, struct nw_copy_plan *plan,
                           const char *why, struct nw_error *err)
{
    struct again again = {plan->table->relation_oid, plan->table->schema_name, plan->table->name,
                          nw_copy_plan_rows(plan)};
    nw_status status = plan->void_ ? NW_OK : again_add(conductor, again, err);

    if (plan->void_ || status != NW_OK) {
        return status;
    }
    plan->void_ = true;
    nw_log(NW_LOG_WARN,
           "%s.%s %s: its copy begins again under a new snapshot, the other tables go on",
           plan->table->schema_name, plan->table->name, why);
    return NW_OK;
}

static void dropped_say(const char *schema_name, const char *name)
{
    nw_log(NW_LOG_WARN, "%s.%s was dropped while it was copied; the other tables go on",
           schema_name, name);
}

/* The relation is not found by its name: it was renamed, moved, or dropped. */
static nw_status relation_look(struct nw_conductor *conductor, struct nw_copy_chunk *chunk,
                               struct nw_error *err)
{
    static const char sql[] =
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.oid = $1::pg_catalog.oid";
    struct nw_copy_relation *relation = (struct nw_copy_relation *)(uintptr_t)chunk->relation;
    struct nw_copy_plan *plan = chunk->plan;
    struct nw_rows *rows = NULL;
    char oid[16];
    const char *params[1] = {oid};
    nw_status status = NW_OK;

    (void)snprintf(oid, sizeof oid, "%" PRIu32, relation->oid);
    status = nw_server_control_open(conductor->options.server, err);
    if (status == NW_OK) {
        status =
            nw_session_query(conductor->options.server->control, sql, params, 1, NULL, &rows, err);
    }
    if (status == NW_OK && nw_rows_count(rows) == 1) {
        relation->schema_name = nw_arena_text(&conductor->arena, nw_rows_text(rows, 0, 0));
        relation->name = nw_arena_text(&conductor->arena, nw_rows_text(rows, 0, 1));
        chunk_again(chunk);
        status = relation->schema_name == NULL || relation->name == NULL
                     ? nw_fail(err, NW_FATAL, "out of memory for a table's new name")
                     : NW_OK;
    } else if (status == NW_OK && relation->oid != plan->from->oid) {
        chunk->gone = true; /* a leaf, and its rows with it: the table goes on without */
        chunk_again(chunk);
    } else if (status == NW_OK && !plan->void_) {
        plan->void_ = true;
        dropped_say(plan->table->schema_name, plan->table->name);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status chunk_take(struct nw_conductor *conductor, struct seat *seat,
                            struct nw_copy_chunk *chunk, struct nw_error *err)
{
    struct nw_copy_task *task = &chunk->task;

    if (task->outcome == NW_COPY_BROKEN) {
        nw_log(NW_LOG_WARN, "%s; going on with a new session", task->error.text);
        seat_leave(seat);
    }
    if (chunk->plan->void_) {
        return NW_OK; /* whatever it was */
    }
    if ((task->outcome == NW_COPY_LOCKED || task->outcome == NW_COPY_BROKEN) && task->rows > 0 &&
        !nw_copy_chunk_is_ordered(chunk)) {
        return plan_void(conductor, chunk->plan, "was read in part, and as one with its partitions",
                         err);
    }
    switch (task->outcome) {
    case NW_COPY_DONE:
        nw_copy_chunk_done(chunk);
        return NW_OK;
    case NW_COPY_LOCKED:
        chunk_defer(conductor, chunk);
        return NW_OK;
    case NW_COPY_BROKEN:
    case NW_COPY_UNREAD:
        chunk_again(chunk);
        return NW_OK;
    case NW_COPY_REWRITTEN:
        return plan_void(conductor, chunk->plan,
                         "was rewritten (ALTER TABLE, TRUNCATE, VACUUM FULL or CLUSTER) since the "
                         "snapshot was taken",
                         err);
    case NW_COPY_GONE:
        return relation_look(conductor, chunk, err);
    case NW_COPY_NO_SNAPSHOT:
    case NW_COPY_REFUSED:
    case NW_COPY_FAILED:
        break;
    }
    conductor->refused = task->error.status == NW_REJECT ? task->table : NULL;
    *err = task->error;
    return task->error.status;
}

/* Takes in what a reader is done with. */
static nw_status seat_collect(struct nw_conductor *conductor, struct nw_engine *engine,
                              uint32_t reader, int64_t now_ns, struct nw_error *err)
{
    struct seat *seat = &conductor->seats[reader];
    struct nw_copy_task *task = NULL;
    nw_status status = NW_OK;

    while (status == NW_OK && (task = nw_engine_copied(engine, reader)) != NULL) {
        NW_ASSERT(seat->chunks_count > 0 && task == &seat->chunks[0]->task);
        seat->chunks[0]->plan->chunks_out--;
        seat->chunks_count--;
        memmove((void *)seat->chunks, (void *)(seat->chunks + 1),
                seat->chunks_count * sizeof(struct nw_copy_chunk *));
        conductor->collected_ns = now_ns;
        seat->turn += task->outcome != NW_COPY_DONE && task->outcome != NW_COPY_UNREAD;
        status = chunk_take(conductor, seat, (struct nw_copy_chunk *)task, err);
    }
    return status;
}

/* ---- handing out ---- */

/*
 * Whether a reader that has so many chunks gets one more. The last ones are for whoever is free
 * first.
 */
static bool enough_left(const struct nw_conductor *conductor, uint32_t chunks_count)
{
    uint64_t left = 0;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];

        left += plan->void_ ? 0 : plan->chunks_count - plan->chunks_given;
        if (left > (uint64_t)conductor->options.workers_count * chunks_count) {
            return true;
        }
    }
    return false;
}

static struct nw_copy_chunk *chunk_next(const struct nw_conductor *conductor, uint32_t reader)
{
    bool ahead = conductor->seats[reader].chunks_count > 0;
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = env->ops->now_ns(env);
    struct nw_copy_chunk *chunk = NULL;

    for (size_t i = 0; i < conductor->plans_count && chunk == NULL; i++) {
        struct nw_copy_plan *plan = conductor->plans[i];

        if (!plan->void_ && plan->retry_ns <= now_ns && !(ahead && plan->tries > 0)) {
            chunk = nw_copy_plan_next(plan, reader);
        }
    }
    return chunk;
}

static nw_status seat_open(struct nw_conductor *conductor, struct seat *seat, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (seat->stream != NULL) {
        return NW_OK;
    }
    status = nw_server_session(conductor->options.server, false, &seat->session, err);
    if (status == NW_OK) {
        status = nw_session_take_stream(seat->session, &seat->stream, err);
    }
    seat->serial = ++conductor->sessions_opened;
    return status;
}

/* Gives a reader its next chunk, if there is one. */
static nw_status seat_give(struct nw_conductor *conductor, struct nw_engine *engine,
                           uint32_t reader, struct nw_error *err)
{
    struct seat *seat = &conductor->seats[reader];
    struct nw_copy_chunk *chunk = chunk_next(conductor, reader);
    bool given = false;
    nw_status status = NW_OK;

    if (chunk == NULL) {
        return NW_OK;
    }
    status = seat_open(conductor, seat, err);
    if (status == NW_OK) {
        status = nw_server_control_open(conductor->options.server, err);
    }
    if (status == NW_OK) {
        status = nw_copy_chunk_prepare(chunk, conductor->options.server->control,
                                       conductor->options.lock_timeout_us, err);
    }
    if (status != NW_OK) {
        return status;
    }
    chunk->task.stream = seat->stream;
    chunk->task.turn = seat->turn + 1;
    chunk->task.stream_serial = seat->serial;
    atomic_store_explicit(&chunk->task.give_up, false, memory_order_relaxed);
    given = nw_engine_copy(engine, reader, &chunk->task);
    NW_ASSERT(given); /* its ring has room for all that it may have */
    seat->chunks[seat->chunks_count++] = chunk;
    chunk->reader = reader;
    chunk->plan->chunks_out++;
    return NW_OK;
}

/* One more for each of the readers that have so many, as long as there are enough. */
static nw_status seats_give(struct nw_conductor *conductor, struct nw_engine *engine,
                            uint32_t chunks_count, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t r = 0; r < conductor->options.workers_count && status == NW_OK; r++) {
        if (conductor->seats[r].chunks_count == chunks_count &&
            (chunks_count == 0 || enough_left(conductor, chunks_count))) {
            status = seat_give(conductor, engine, r, err);
        }
    }
    return status;
}

/* ---- tables that begin again ---- */

static nw_status table_again(struct nw_conductor *conductor, struct nw_engine *engine,
                             const struct again *former, const struct nw_catalog_tables *tables,
                             struct held *held, struct nw_error *err)
{
    for (size_t i = 0; i < tables->count; i++) {
        const struct nw_table *table = NULL;
        struct nw_table *described = NULL;
        nw_status status = NW_OK;

        if (tables->tables[i].oid != former->relation_oid) {
            continue;
        }
        status = nw_catalog_to_table(&tables->tables[i], &held->arena, &described, err);
        if (status == NW_OK) {
            status = nw_engine_register(engine, described, &table, err);
        }
        status =
            status == NW_OK ? plan_add(conductor, &tables->tables[i], table, held, err) : status;
        conductor->refused = status == NW_REJECT ? table : NULL; /* it alone stops */
        return status;
    }
    dropped_say(former->schema_name, former->name);
    return NW_OK;
}

/* How large chunks are to be, for the tables that are copied now. */
static void chunks_measure(struct nw_conductor *conductor, const struct nw_catalog_tables *tables)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < tables->count; i++) {
        for (size_t a = 0; a < conductor->again_count; a++) {
            bool copied = tables->tables[i].oid == conductor->again[a].relation_oid;

            bytes += copied ? tables->tables[i].bytes : 0;
        }
    }
    conductor->chunk_pages = nw_copy_chunk_pages(conductor->options.chunk_bytes, bytes,
                                                 conductor->options.workers_count);
}

static nw_status tables_again(struct nw_conductor *conductor, struct nw_engine *engine,
                              const struct nw_copy_fence *made, struct nw_error *err)
{
    struct nw_catalog_tables tables = {0};
    struct nw_copy_fence fence = *made;
    struct held *held = NULL;
    nw_status status = fence_keep(conductor, &fence, &held, err);

    if (status != NW_OK) {
        nw_copy_fence_end(&fence);
        return status;
    }

    if (status == NW_OK) {
        status = nw_server_control_open(conductor->options.server, err);
    }
    if (status == NW_OK) {
        status = tables_read(conductor, held, &tables, err);
    }
    conductor->generation++;
    if (conductor->plans_count == 0) {
        chunks_measure(conductor, &tables);
    }
    for (size_t i = 0; i < conductor->again_count && status == NW_OK; i++) {
        conductor->rows_again += conductor->again[i].rows_read;
        status = table_again(conductor, engine, &conductor->again[i], &tables, held, err);
    }
    conductor->again_count = 0;
    plans_sort(conductor);
    return status;
}

/* A new fence for those that wait for one, made beside; what comes meanwhile waits for the next. */
static nw_status again_step(struct nw_conductor *conductor, struct nw_engine *engine,
                            struct nw_error *err)
{
    struct nw_copy_fence made = {0};
    nw_status status = NW_OK;

    if (conductor->again_count == 0) {
        return NW_OK;
    }
    if (!conductor->fencer.started) {
        return nw_copy_fencer_start(&conductor->fencer, conductor->options.server, err);
    }
    status = nw_copy_fencer_take(&conductor->fencer, &made, err);
    if (status == NW_OK) {
        status = tables_again(conductor, engine, &made, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- looking around ---- */

/* A copy is for nothing when the slot that is to go on from it was invalidated meanwhile. */
static nw_status slot_watch(struct nw_conductor *conductor, int64_t now_ns, struct nw_error *err)
{
    if (!conductor->options.watch_slot || now_ns - conductor->slot_seen_ns < SLOT_WATCH_NS) {
        return NW_OK;
    }
    conductor->slot_seen_ns = now_ns;
    return nw_server_slot_watch(conductor->options.server, err);
}

/* Nobody is to wait for a lock of ours; what cannot be learned now is learned the next time. */
static void locks_watch(struct nw_conductor *conductor, struct nw_engine *engine, int64_t now_ns)
{
    int pids[READERS_MAX] = {0};
    uint32_t cancelled = 0;
    struct nw_error why = {0};

    if (now_ns - conductor->locks_seen_ns < LOCK_WATCH_NS) {
        return;
    }
    conductor->locks_seen_ns = now_ns;
    if (nw_server_control_open(conductor->options.server, &why) != NW_OK) {
        return;
    }
    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        const struct seat *seat = &conductor->seats[r];

        pids[r] = seat->chunks_count == 0 || seat->session == NULL
                      ? 0
                      : nw_session_backend_pid(seat->session);
    }
    if (nw_copy_watch(conductor->options.server->control, pids, conductor->options.workers_count,
                      &cancelled, &why) != NW_OK) {
        nw_log(NW_LOG_DEBUG, "who waits for a lock of the copy is not known: %s", why.text);
        nw_session_close(conductor->options.server->control);
        conductor->options.server->control = NULL; /* whoever asks next opens it */
    }
    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        /* Which of them it reads by now is not known; one that it has not begun is given again. */
        for (uint32_t i = 0; i < conductor->seats[r].chunks_count && (cancelled >> r & 1u) != 0;
             i++) {
            nw_engine_copy_give_up(engine, r, &conductor->seats[r].chunks[i]->task);
        }
    }
}

size_t nw_conductor_tables(const struct nw_conductor *conductor,
                           bool (*wanted)(void *context, const struct nw_table *table),
                           void *context)
{
    size_t count = 0;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        count += !conductor->plans[i]->void_ && wanted(context, conductor->plans[i]->table);
    }
    return count;
}

static bool all_read(const struct nw_conductor *conductor)
{
    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];

        if (plan->chunks_out > 0 || (!plan->void_ && plan->chunks_done < plan->chunks_count)) {
            return false;
        }
    }
    return conductor->again_count == 0;
}

nw_status nw_conductor_step(struct nw_conductor *conductor, struct nw_engine *engine,
                            bool *finished, struct nw_error *err)
{
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = env->ops->now_ns(env);
    nw_status status = slot_watch(conductor, now_ns, err);

    locks_watch(conductor, engine, now_ns);
    for (uint32_t r = 0; r < conductor->options.workers_count && status == NW_OK; r++) {
        status = seat_collect(conductor, engine, r, now_ns, err);
    }
    for (uint32_t count = 0; count < CHUNKS_AHEAD && status == NW_OK; count++) {
        status = seats_give(conductor, engine, count, err);
    }
    if (status == NW_OK) {
        status = again_step(conductor, engine, err);
    }
    *finished = status == NW_OK && all_read(conductor);
    return status;
}

int64_t nw_conductor_pause_ns(const struct nw_conductor *conductor)
{
    struct nw_env *env = conductor->options.server->options.env;
    bool calm = env->ops->now_ns(env) - conductor->collected_ns > BUSY_NS;

    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        calm = calm && conductor->seats[r].chunks_count > 0;
    }
    return calm ? PAUSE_CALM_NS : PAUSE_BUSY_NS;
}

void nw_conductor_progress(const struct nw_conductor *conductor,
                           struct nw_conductor_progress *progress)
{
    *progress = (struct nw_conductor_progress){.tables = conductor->again_count,
                                               .rows_again = conductor->rows_again};
    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];

        if (plan->void_) {
            continue;
        }
        progress->tables++;
        progress->tables_done += plan->chunks_done == plan->chunks_count;
        progress->chunks += plan->chunks_count;
        progress->chunks_done += plan->chunks_done;
        progress->bytes += plan->bytes;
        progress->bytes_done += plan->bytes * plan->chunks_done / plan->chunks_count;
        progress->chunks_kept += plan->chunks_kept;
        progress->rows_reread += plan->rows_reread;
    }
}

const struct nw_table *nw_conductor_refused(const struct nw_conductor *conductor)
{
    return conductor == NULL ? NULL : conductor->refused;
}
