/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine.h. While the engine runs the main thread reaches the source through the control agent:
 * commands over a ring, numbers under a mutex.
 */
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/crash.h"
#include "pipeline/engine_private.h"

#define STATUS_NS        100000000LL
#define REGISTER_POLL_NS 1000000L

/* ---- the control agent, on the source's thread ---- */

static void register_answer(struct nw_engine *engine)
{
    struct nw_engine_registration *registration = &engine->registration;

    registration->status = nw_schemas_beside(engine->options.schemas, registration->described,
                                             &registration->table, &registration->error);
    /* Release: pairs with the acquire in nw_engine_register(). */
    atomic_store_explicit(&registration->done, true, memory_order_release);
}

/* Marks that are still to be dealt, as far as there is room for them. */
static nw_status joins_deal(struct nw_engine *engine, uint32_t *work, struct nw_error *err)
{
    nw_status status = NW_OK;

    while (engine->joins_dealt < engine->joins.count && status == NW_OK) {
        status = nw_dealer_join(engine->dealer, &engine->joins.tables[engine->joins_dealt], err);
        engine->joins_dealt += status == NW_OK;
        *work += status == NW_OK;
        if (status == NW_OK) {
            nw_source_joined(engine->source);
        }
    }
    if (status == NW_OK && engine->joins_open && engine->joins_dealt == engine->joins.count) {
        engine->joins_open = false;
        /* Release: pairs with the acquire in nw_engine_joined(): they are not looked at any more.
         */
        atomic_store_explicit(&engine->joins_pending, false, memory_order_release);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

static nw_status wish_do(struct nw_engine *engine, const struct nw_engine_wish *wish,
                         struct nw_error *err)
{
    nw_status status = NW_OK;

    switch (wish->kind) {
    case WISH_PAUSE:
        return nw_dealer_pause(engine->dealer, wish->relation_oid, err);
    case WISH_RESUME:
        status = nw_dealer_apart_begin(engine->dealer, wish->relation_oid);
        if (status == NW_OK) {
            nw_source_resume(engine->source, wish->relation_oid);
        }
        return status;
    case WISH_FORGET:
        return nw_dealer_forget(engine->dealer, wish->relation_oid);
    }
    return NW_OK;
}

/* What was asked for about tables, in order. One that cannot be now waits, and so do the others. */
static nw_status wishes_do(struct nw_engine *engine, uint32_t *work, struct nw_error *err)
{
    nw_status status = NW_OK;

    /* Relaxed: only whether to look; the mutex guards what is looked at. */
    while (status == NW_OK &&
           atomic_load_explicit(&engine->wishes_count, memory_order_relaxed) > 0) {
        struct nw_engine_wish wish;

        (void)pthread_mutex_lock(&engine->mutex);
        wish = engine->wishes[0];
        (void)pthread_mutex_unlock(&engine->mutex);
        status = wish_do(engine, &wish, err);
        if (status == NW_OK) {
            (void)pthread_mutex_lock(&engine->mutex);
            memmove(&engine->wishes[0], &engine->wishes[1],
                    (NW_ENGINE_WISHES - 1) * sizeof engine->wishes[0]);
            atomic_fetch_sub_explicit(&engine->wishes_count, 1, memory_order_relaxed);
            (void)pthread_mutex_unlock(&engine->mutex);
            *work += 1;
        }
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* The numbers, for the main thread. */
static void publish(struct nw_engine *engine, int64_t now_ns)
{
    bool drained = false;

    if (now_ns - engine->published_ns < STATUS_NS && !engine->draining) {
        return;
    }
    drained = engine->draining && nw_source_drained(engine->source, now_ns) &&
              nw_acknowledger_settled(engine->acknowledger);
    engine->published_ns = now_ns;
    nw_crash_point("turn");
    (void)pthread_mutex_lock(&engine->mutex);
    nw_source_status(engine->source, &engine->published);
    engine->published.taken_ns = now_ns;
    nw_acknowledger_durable(engine->acknowledger, engine->durable_lsns);
    engine->drained =
        drained && (engine->published.phase != NW_SOURCE_STREAMING ||
                    engine->published.flush_lsn >= nw_acknowledger_flush_lsn(engine->acknowledger));
    (void)pthread_mutex_unlock(&engine->mutex);
}

static nw_status control_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_engine *engine = self;
    struct nw_engine_command *command = NULL;
    nw_status status = NW_OK;

    nw_source_hurry(engine->source, atomic_load_explicit(&engine->hurry_lsn, memory_order_relaxed));
    status = joins_deal(engine, work, err);
    status = status == NW_OK ? wishes_do(engine, work, err) : status;
    /* Marks come before whatever is told after them. */
    while (status == NW_OK && engine->joins_dealt == engine->joins.count &&
           (command = nw_spsc_pop(engine->commands)) != NULL) {
        switch (command->kind) {
        case COMMAND_STREAM:
            nw_source_start(engine->source, command->lsn);
            break;
        case COMMAND_COPIES:
            nw_source_copies(engine->source, command->copies);
            break;
        case COMMAND_JOIN:
            engine->joins = command->joins;
            engine->joins_dealt = 0;
            engine->joins_open = true;
            nw_source_copies(engine->source, NW_COPIES_RUNNING);
            status = joins_deal(engine, work, err);
            break;
        case COMMAND_RELEASE:
            nw_source_release(engine->source);
            break;
        case COMMAND_REFRESH:
            atomic_store_explicit(&engine->refresh_pending, false, memory_order_relaxed);
            nw_dealer_refresh(engine->dealer);
            break;
        case COMMAND_DRAIN:
            engine->draining = true;
            nw_source_drain(engine->source, now_ns);
            break;
        case COMMAND_REGISTER:
            register_answer(engine);
            break;
        }
        *work += 1;
    }
    if (status != NW_OK) {
        return status;
    }
    publish(engine, now_ns);
    return NW_OK;
}

static void control_wait(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_engine *engine = self;
    int64_t deadline = engine->published_ns + STATUS_NS;

    *wait = (struct nw_wait){
        .descriptor = -1,
        .deadline_ns = engine->draining || deadline < now_ns ||
                               engine->joins_dealt < engine->joins.count ||
                               atomic_load_explicit(&engine->wishes_count, memory_order_relaxed) > 0
                           ? now_ns + STATUS_NS / 20
                           : deadline};
}

struct nw_agent nw_engine_control(struct nw_engine *engine)
{
    return (struct nw_agent){
        .name = "control", .self = engine, .do_work = control_work, .wait = control_wait};
}

/* What a sequencer refused; on its own thread. */
static void refusal_note(struct nw_engine *engine, const struct nw_agent *agent,
                         const struct nw_error *err)
{
    for (uint32_t s = 0; s < engine->options.sinks_count && err->status == NW_REJECT; s++) {
        if (agent->self == engine->sequencers[s]) {
            engine->refusal.table =
                nw_sequencer_refused(engine->sequencers[s], &engine->refusal.lsn);
            engine->refusal.sink = s;
            engine->refusal.error = *err;
        }
    }
}

void nw_engine_agent_failed(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    struct nw_engine *engine = context;

    (void)pthread_mutex_lock(&engine->mutex);
    if (engine->failure.status == NW_OK) {
        engine->failure = *err;
        refusal_note(engine, agent, err);
    }
    (void)pthread_mutex_unlock(&engine->mutex);
}

/* ---- the main thread ---- */

bool nw_engine_copy(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task)
{
    bool pushed = nw_spsc_push(engine->readers[reader].tasks, task);

    nw_bell_ring(nw_engine_reader_bell(engine, reader));
    return pushed;
}

void nw_engine_copy_rate(struct nw_engine *engine, uint64_t bytes_a_second)
{
    atomic_store_explicit(&engine->copy_rate.bytes_a_second, bytes_a_second, memory_order_relaxed);
}

void nw_engine_copy_give_up(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task)
{
    atomic_store_explicit(&task->give_up, true, memory_order_relaxed);
    nw_bell_ring(nw_engine_reader_bell(engine, reader));
}

struct nw_copy_task *nw_engine_copied(struct nw_engine *engine, uint32_t reader)
{
    return nw_spsc_pop(engine->readers[reader].done);
}

void nw_engine_reader_counts(const struct nw_engine *engine, uint32_t reader, uint64_t *rows,
                             uint64_t *bytes)
{
    nw_copy_reader_counts(engine->readers[reader].agent, rows, bytes);
}

void nw_engine_copy_counts(const struct nw_engine *engine, uint64_t *rows, uint64_t *bytes)
{
    *rows = *bytes = 0;
    for (uint32_t r = 0; r < engine->options.readers_count; r++) {
        uint64_t reader_rows = 0;
        uint64_t reader_bytes = 0;

        nw_engine_reader_counts(engine, r, &reader_rows, &reader_bytes);
        *rows += reader_rows;
        *bytes += reader_bytes;
    }
}

static void command_send(struct nw_engine *engine, struct nw_engine_command sent)
{
    struct nw_engine_command *command =
        &engine->command_slots[engine->commands_sent++ % NW_ENGINE_COMMANDS];
    bool pushed = false;

    *command = sent;
    pushed = nw_spsc_push(engine->commands, command);
    NW_ASSERT(pushed); /* start and drain once in a life; the others are waited for */
    nw_bell_ring(nw_engine_source_bell(engine));
}

nw_status nw_engine_register(struct nw_engine *engine, const struct nw_table *described,
                             const struct nw_table **table, struct nw_error *err)
{
    struct nw_engine_registration *registration = &engine->registration;
    struct timespec pause = {.tv_nsec = REGISTER_POLL_NS};

    registration->described = described;
    atomic_store_explicit(&registration->done, false, memory_order_relaxed);
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_REGISTER});
    /* Acquire: pairs with the release in register_answer(). */
    while (!atomic_load_explicit(&registration->done, memory_order_acquire)) {
        nw_status status = nw_engine_failure(engine, err);

        if (status != NW_OK) {
            return status; /* the source's thread may run no more */
        }
        (void)nanosleep(&pause, NULL);
    }
    *table = registration->table;
    *err = registration->error;
    return registration->status;
}

void nw_engine_stream(struct nw_engine *engine, uint64_t lsn)
{
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_STREAM, .lsn = lsn});
}

void nw_engine_join(struct nw_engine *engine, const struct nw_engine_joins *joins)
{
    /* Relaxed: the ring hands it over. */
    atomic_store_explicit(&engine->joins_pending, true, memory_order_relaxed);
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_JOIN, .joins = *joins});
}

bool nw_engine_joined(const struct nw_engine *engine)
{
    /* Acquire: pairs with the release in joins_deal(). */
    return !atomic_load_explicit(&engine->joins_pending, memory_order_acquire);
}

void nw_engine_refresh(struct nw_engine *engine)
{
    if (!atomic_exchange_explicit(&engine->refresh_pending, true, memory_order_relaxed)) {
        command_send(engine, (struct nw_engine_command){.kind = COMMAND_REFRESH});
    }
}

void nw_engine_copies(struct nw_engine *engine, enum nw_source_copies copies)
{
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_COPIES, .copies = copies});
}

void nw_engine_release(struct nw_engine *engine)
{
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_RELEASE});
}

void nw_engine_drain(struct nw_engine *engine)
{
    command_send(engine, (struct nw_engine_command){.kind = COMMAND_DRAIN});
}

static bool wish_add(struct nw_engine *engine, uint32_t relation_oid, enum nw_engine_wish_kind kind)
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&engine->mutex);
    count = atomic_load_explicit(&engine->wishes_count, memory_order_relaxed);
    if (count < NW_ENGINE_WISHES) {
        engine->wishes[count] = (struct nw_engine_wish){relation_oid, kind};
        atomic_store_explicit(&engine->wishes_count, count + 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&engine->mutex);
    nw_bell_ring(nw_engine_source_bell(engine));
    return count < NW_ENGINE_WISHES;
}

bool nw_engine_pause(struct nw_engine *engine, uint32_t relation_oid)
{
    return wish_add(engine, relation_oid, WISH_PAUSE);
}

bool nw_engine_resume(struct nw_engine *engine, uint32_t relation_oid)
{
    return wish_add(engine, relation_oid, WISH_RESUME);
}

bool nw_engine_forget(struct nw_engine *engine, uint32_t relation_oid)
{
    return wish_add(engine, relation_oid, WISH_FORGET);
}

static struct nw_engine *locked(const struct nw_engine *engine)
{
    struct nw_engine *mutable_engine = (struct nw_engine *)(uintptr_t)engine;

    (void)pthread_mutex_lock(&mutable_engine->mutex);
    return mutable_engine;
}

bool nw_engine_drained(const struct nw_engine *engine)
{
    struct nw_engine *held = locked(engine);
    bool drained = held->drained;

    (void)pthread_mutex_unlock(&held->mutex);
    return drained;
}

nw_status nw_engine_failure(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)locked(engine);
    status = engine->failure.status;
    if (status != NW_OK) {
        *err = engine->failure;
    }
    (void)pthread_mutex_unlock(&engine->mutex);
    return status;
}

void nw_engine_refused(struct nw_engine *engine, struct nw_engine_refusal *refusal)
{
    (void)locked(engine);
    *refusal = engine->refusal;
    (void)pthread_mutex_unlock(&engine->mutex);
}

void nw_engine_source_status(struct nw_engine *engine, struct nw_source_status *status)
{
    (void)locked(engine);
    *status = engine->published;
    (void)pthread_mutex_unlock(&engine->mutex);
}

void nw_engine_durable(struct nw_engine *engine, uint64_t lsns[NW_SEQUENCERS_MAX])
{
    (void)locked(engine);
    memcpy(lsns, engine->durable_lsns, sizeof engine->durable_lsns);
    (void)pthread_mutex_unlock(&engine->mutex);
}

void nw_engine_hurry(struct nw_engine *engine, uint64_t lsn)
{
    atomic_store_explicit(&engine->hurry_lsn, lsn, memory_order_relaxed);
    nw_bell_ring(nw_engine_source_bell(engine));
}

int64_t nw_engine_memory_used(const struct nw_engine *engine)
{
    return atomic_load_explicit(&engine->budget.used_bytes, memory_order_relaxed);
}
