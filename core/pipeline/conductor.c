/* SPDX-License-Identifier: Apache-2.0 */
/* See conductor.h. */
#include "pipeline/conductor_private.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "pipeline/copy_watch.h"

#define PAUSE_NS_MIN   100000000LL /* before a locked table is tried again; doubling */
#define PAUSE_NS_MAX   5000000000LL
#define SLOT_WATCH_NS  10000000000LL
#define LOCK_WATCH_NS  250000000LL
#define BUSY_NS        20000000LL /* so long after a chunk came back others may, too */
#define GONE_TIMES_MAX 8u         /* of relations that are found by their names again */
#define PAUSE_BUSY_NS  2000000LL
#define PAUSE_CALM_NS  10000000LL

static_assert(NW_READERS_MAX <= NW_COPY_WATCHED_MAX, "every reader is watched");
static_assert(offsetof(struct nw_copy_chunk, task) == 0, "a task finds its chunk");

/* ---- making one ---- */

nw_status nw_conductor_create_idle(const struct nw_conductor_options *options,
                                   struct nw_conductor **conductor, struct nw_error *err)
{
    struct nw_conductor *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the copy");
    }
    made->options = *options;
    made->generation = options->generation;
    nw_arena_init(&made->arena, NW_CATALOG_BYTES_MAX);
    *conductor = made;
    return NW_OK;
}

nw_status nw_conductor_create(const struct nw_conductor_options *options,
                              struct nw_conductor **conductor, struct nw_error *err)
{
    struct nw_conductor *made = NULL;
    nw_status status = nw_conductor_create_idle(options, &made, err);

    if (status != NW_OK) {
        return status;
    }
    status = nw_conductor_plan_all(made, err);
    if (status != NW_OK) {
        nw_conductor_destroy(made);
        return status;
    }
    *conductor = made;
    return NW_OK;
}

static void seat_leave(struct nw_seat *seat)
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
    for (size_t i = 0; i < NW_FENCES_MAX; i++) {
        nw_conductor_fence_end(conductor, i);
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

    nw_copy_lock_holder(conductor->options.server->control, chunk->relation->oid, plan->locked_by);
    if (plan->tries++ == 0) {
        nw_log(NW_LOG_WARN,
               "NW2201 the copy of %s.%s waits for a lock%s%s%s; it is tried again until it is "
               "free, and "
               "the other tables go on",
               chunk->relation->schema_name, chunk->relation->name,
               plan->locked_by[0] == '\0' ? "" : " that ", plan->locked_by,
               plan->locked_by[0] == '\0' ? "" : " holds");
    }
    plan->retry_ns = env->ops->now_ns(env) + (pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX);
    chunk_again(chunk);
}

/* What was read of the table cannot be gone on from: it waits for a new fence. */
static nw_status plan_void(struct nw_conductor *conductor, struct nw_copy_plan *plan,
                           const char *why, struct nw_error *err)
{
    struct nw_copy_again again = {plan->table->relation_oid, plan->table->schema_name,
                                  plan->table->name, nw_copy_plan_rows(plan)};
    nw_status status = plan->void_ ? NW_OK : nw_conductor_again_add(conductor, again, err);

    if (plan->void_ || status != NW_OK) {
        return status;
    }
    plan->void_ = true;
    nw_log(NW_LOG_WARN,
           "NW2202 %s.%s %s: its copy begins again under a new snapshot, the other tables go on",
           plan->table->schema_name, plan->table->name, why);
    return NW_OK;
}

/* The relation is not found by its name: it was renamed, moved, or dropped. */
static nw_status relation_look(struct nw_conductor *conductor, struct nw_copy_chunk *chunk,
                               struct nw_error *err)
{
    struct nw_copy_relation *relation = (struct nw_copy_relation *)(uintptr_t)chunk->relation;
    struct nw_copy_plan *plan = chunk->plan;
    struct nw_rows *rows = NULL;
    nw_status status = nw_server_control_open(conductor->options.server, err);

    if (status == NW_OK) {
        status = nw_catalog_name(conductor->options.server->control, relation->oid, &rows, err);
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
        nw_conductor_say_dropped(plan->table->schema_name, plan->table->name);
    }
    nw_rows_free(rows);
    return status;
}

/*
 * The server refuses a query that chooses rows, and the condition may be why: one row is enough
 * that it cannot be computed for. The copy ends there, and nobody waits for it in vain.
 */
static bool choice_fails(const struct nw_conductor *conductor, struct nw_copy_chunk *chunk)
{
    struct nw_copy_plan *plan = chunk->plan;
    const struct nw_copy_task *task = &chunk->task;

    if (plan->filter == NULL || !plan->asked || plan->stopped ||
        !((task->outcome == NW_COPY_GONE && ++plan->gone_times > GONE_TIMES_MAX) ||
          task->outcome == NW_COPY_REFUSED || task->outcome == NW_COPY_NO_SNAPSHOT ||
          (task->outcome == NW_COPY_FAILED && task->error.status == NW_RETRY))) {
        return false;
    }
    nw_log(NW_LOG_WARN,
           "NW2210 the rows of %s.%s WHERE %s cannot be read: %s. Its copy ends with those that "
           "were; the table streams on",
           plan->table->schema_name, plan->table->name, plan->filter,
           nw_code_rest(task->error.text));
    plan->stopped = true;
    if (conductor->options.fails != NULL) {
        conductor->options.fails(conductor->options.context, plan->table);
    }
    return true;
}

/*
 * The server cannot compute the condition of copy.where for a row: data exceptions (22), what it
 * does not know or allow (42), and what functions raise (P0). It will say the same again.
 */
static bool where_fails(const struct nw_copy_chunk *chunk, struct nw_error *err)
{
    static const char *const classes[] = {"22", "42", "P0"};
    const struct nw_copy_plan *plan = chunk->plan;
    const struct nw_copy_task *task = &chunk->task;

    if (plan->filter == NULL || plan->asked || task->outcome != NW_COPY_FAILED) {
        return false;
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strncmp(task->sqlstate, classes[i], 2) == 0) {
            (void)nw_fail(err, NW_FATAL,
                          "NW1229 copy.where: rows of %s.%s cannot be chosen by %.200s: %.300s",
                          plan->table->schema_name, plan->table->name, plan->filter,
                          nw_code_rest(task->error.text));
            return true;
        }
    }
    return false;
}

static nw_status chunk_take(struct nw_conductor *conductor, struct nw_seat *seat,
                            struct nw_copy_chunk *chunk, int64_t now_ns, struct nw_error *err)
{
    struct nw_copy_task *task = &chunk->task;

    if (task->outcome == NW_COPY_BROKEN) {
        nw_log(NW_LOG_WARN, "%.6s %s; going on with a new session", nw_error_code(&task->error),
               nw_code_rest(task->error.text));
        seat_leave(seat);
    }
    if (chunk->plan->void_) {
        return NW_OK; /* whatever it was */
    }
    if (choice_fails(conductor, chunk) ||
        (task->outcome == NW_COPY_LOCKED && chunk->plan->stopped)) {
        chunk_again(chunk);
        return NW_OK;
    }
    if ((task->outcome == NW_COPY_LOCKED || task->outcome == NW_COPY_BROKEN) && task->rows > 0 &&
        !chunk->plan->stopped &&
        (!nw_copy_chunk_is_ordered(chunk) || chunk->plan->filter != NULL)) {
        return plan_void(conductor, chunk->plan,
                         chunk->plan->filter != NULL
                             ? "was read in part, by a condition that may choose other rows now"
                             : "was read in part, and as one with its partitions",
                         err);
    }
    switch (task->outcome) {
    case NW_COPY_DONE:
        nw_copy_chunk_done(chunk);
        chunk->plan->ended_ns = now_ns;
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
    if (where_fails(chunk, err)) {
        return NW_FATAL;
    }
    conductor->refused = task->error.status == NW_REJECT ? task->table : NULL;
    *err = task->error;
    return task->error.status;
}

/* What came of it is its table's; what comes from here on of the reader's next one. */
static void seat_count(struct nw_seat *seat, const struct nw_engine *engine, uint32_t reader,
                       struct nw_copy_chunk *chunk)
{
    chunk->plan->rows_read += chunk->task.rows - chunk->rows_seen;
    chunk->plan->bytes_read += chunk->task.bytes - chunk->bytes_seen;
    chunk->rows_seen = chunk->task.rows;
    chunk->bytes_seen = chunk->task.bytes;
    nw_engine_reader_counts(engine, reader, &seat->rows_base, &seat->bytes_base);
}

/* Takes in what a reader is done with. */
static nw_status seat_collect(struct nw_conductor *conductor, struct nw_engine *engine,
                              uint32_t reader, int64_t now_ns, struct nw_error *err)
{
    struct nw_seat *seat = &conductor->seats[reader];
    struct nw_copy_task *task = NULL;
    nw_status status = NW_OK;

    while (status == NW_OK && (task = nw_engine_copied(engine, reader)) != NULL) {
        NW_ASSERT(seat->chunks_count > 0 && task == &seat->chunks[0]->task);
        seat->chunks[0]->plan->chunks_out--;
        seat_count(seat, engine, reader, seat->chunks[0]);
        seat->chunks_count--;
        memmove((void *)seat->chunks, (void *)(seat->chunks + 1),
                seat->chunks_count * sizeof(struct nw_copy_chunk *));
        conductor->collected_ns = now_ns;
        seat->turn += task->outcome != NW_COPY_DONE && task->outcome != NW_COPY_UNREAD;
        status = chunk_take(conductor, seat, (struct nw_copy_chunk *)task, now_ns, err);
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

static bool is_paused(const struct nw_conductor *conductor)
{
    return conductor->options.paused != NULL && *conductor->options.paused;
}

/* While the copy is paused only of tables whose copy was stopped, of which nothing is read. */
static struct nw_copy_chunk *chunk_next(const struct nw_conductor *conductor, uint32_t reader)
{
    bool paused = is_paused(conductor);
    bool ahead = conductor->seats[reader].chunks_count > 0;
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = env->ops->now_ns(env);
    struct nw_copy_chunk *chunk = NULL;

    for (size_t i = 0; i < conductor->plans_count && chunk == NULL; i++) {
        struct nw_copy_plan *plan = conductor->plans[i];

        if (!plan->void_ && plan->retry_ns <= now_ns && !(ahead && plan->tries > 0) &&
            (!paused || plan->stopped)) {
            chunk = nw_copy_plan_next(plan, reader);
        }
    }
    return chunk;
}

static nw_status seat_open(struct nw_conductor *conductor, struct nw_seat *seat,
                           struct nw_error *err)
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
    struct nw_seat *seat = &conductor->seats[reader];
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
    if (seat->chunks_count == 1) {
        nw_engine_reader_counts(engine, reader, &seat->rows_base, &seat->bytes_base);
    }
    if (chunk->plan->began_ns == 0) {
        struct nw_env *env = conductor->options.server->options.env;

        chunk->plan->began_ns = env->ops->now_ns(env);
    }
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
    int pids[NW_READERS_MAX] = {0};
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
        const struct nw_seat *seat = &conductor->seats[r];

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

/* What is being read of plans that were stopped is given up, and comes back. */
static void stopped_cancel(struct nw_conductor *conductor, struct nw_engine *engine)
{
    int pids[NW_READERS_MAX] = {0};
    struct nw_error why = {0};

    if (nw_server_control_open(conductor->options.server, &why) != NW_OK) {
        return; /* it is read to its end, then */
    }
    for (uint32_t r = 0; r < conductor->options.workers_count; r++) {
        const struct nw_seat *seat = &conductor->seats[r];

        for (uint32_t i = 0; i < seat->chunks_count; i++) {
            if (!seat->chunks[i]->plan->stopped) {
                continue;
            }
            if (i == 0 && seat->session != NULL) {
                pids[r] = nw_session_backend_pid(seat->session);
            }
            nw_engine_copy_give_up(engine, r, &seat->chunks[i]->task);
        }
    }
    if (nw_copy_cancel(conductor->options.server->control, pids, conductor->options.workers_count,
                       &why) != NW_OK) {
        nw_log(NW_LOG_DEBUG, "what is read of a copy that was stopped goes on: %s", why.text);
        nw_session_close(conductor->options.server->control);
        conductor->options.server->control = NULL; /* whoever asks next opens it */
    }
}

void nw_conductor_stop(struct nw_conductor *conductor, struct nw_engine *engine,
                       uint32_t relation_oid)
{
    bool any = false;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        struct nw_copy_plan *plan = conductor->plans[i];

        if (plan->table->relation_oid == relation_oid && !plan->void_ && !plan->stopped) {
            plan->stopped = any = true;
            plan->tries = 0;
            plan->retry_ns = 0;
        }
    }
    if (any) {
        stopped_cancel(conductor, engine);
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
    for (uint32_t count = 0; count < NW_CHUNKS_AHEAD && status == NW_OK; count++) {
        status = seats_give(conductor, engine, count, err);
    }
    if (status == NW_OK) {
        status = nw_conductor_again_step(conductor, engine, err);
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

const struct nw_table *nw_conductor_refused(const struct nw_conductor *conductor)
{
    return conductor == NULL ? NULL : conductor->refused;
}
