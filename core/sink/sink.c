/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink's life: made, started, opened, stopped. What happens between is the sequencer's
 * (sequencer.c, dispatch.c, commit.c). The pipeline's thread owns the struct until a sequencer is
 * made, and again after its agent has stopped.
 */
#include "sink/sink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "sink/host.h"
#include "sink/worker.h"

/* How often a blocked caller looks whether the coordinator has answered. */
#define CONTROL_POLL_NS 500000

static nw_status worker_init(struct nw_sink *sink, uint32_t index, bool works, bool coordinates,
                             struct nw_error *err)
{
    struct nw_worker *worker = &sink->workers[index];
    nw_status status = nw_bell_create(&worker->bell, err);

    worker->sink = sink;
    worker->index = index;
    (void)snprintf(worker->name, sizeof worker->name, works ? "sink-%.7s-%u" : "sink-%.7s",
                   sink->config->name, index % (NW_SINK_WORKERS_MAX + 1));
    if (status == NW_OK && works) {
        status = nw_spsc_create(NW_SINK_TASKS, &worker->tasks, err);
    }
    if (status == NW_OK && works) {
        status = nw_spsc_create(NW_SINK_TASKS, &worker->done, err);
    }
    if (status == NW_OK && coordinates) {
        status = nw_spsc_create(2, &worker->control, err);
    }
    if (status == NW_OK && coordinates) {
        status = nw_spsc_create(2, &worker->controlled, err);
        sink->coordinator = worker;
    }
    sink->agents[index] = nw_worker_agent(worker);
    return status;
}

static nw_status workers_check(const struct nw_sink_options *options, struct nw_error *err)
{
    uint32_t workers_max = options->plugin->ops.workers_max;
    uint32_t workers_count = options->workers_count;

    if (workers_count == 0 || workers_count > workers_max || workers_count > NW_SINK_WORKERS_MAX) {
        return nw_fail(err, NW_FATAL,
                       "NW1014 sink %s cannot have %u workers: its plugin allows 1 to %u",
                       options->config->name, workers_count,
                       workers_max < NW_SINK_WORKERS_MAX ? workers_max : NW_SINK_WORKERS_MAX);
    }
    if (workers_count > 1 &&
        (nw_plugin_flags(options->plugin, options->config) & NW_SINK_TOTAL_ORDER) != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1014 sink %s cannot have %u workers: as configured it wants all in one "
                       "order",
                       options->config->name, workers_count);
    }
    return NW_OK;
}

nw_status nw_sink_create(const struct nw_sink_options *options, struct nw_sink **sink,
                         struct nw_error *err)
{
    uint32_t workers_count = options->workers_count;
    struct nw_sink *made = NULL;
    nw_status status = NW_OK;

    status = workers_check(options, err);
    if (status != NW_OK) {
        return status;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for sink %s", options->config->name);
    }
    made->env = options->env;
    made->plugin = options->plugin;
    made->config = options->config;
    made->workers_count = workers_count;
    atomic_init(&made->held_lsn, UINT64_MAX);
    made->flags = nw_plugin_flags(options->plugin, options->config);
    made->ask = options->ask;
    made->requests = options->requests;
    made->copies_of = options->copies;
    made->ask_context = options->context;
    made->open_us_max = options->open_us_max;
    made->agents_count = workers_count == 1 ? 1 : workers_count + 1;
    (void)pthread_mutex_init(&made->lock, NULL);
    nw_host_init(made);
    made->host.flags = options->takes_over ? NW_HOST_TAKES_OVER : 0;
    made->host.database = options->database == NULL ? "" : options->database;
    atomic_init(&made->round, 1);
    for (uint32_t i = 0; i < made->agents_count; i++) {
        made->cores[i] = options->cores == NULL ? -1 : options->cores[i];
    }
    for (uint32_t i = 0; i < made->agents_count && status == NW_OK; i++) {
        status = worker_init(made, i, i < workers_count, i + 1 == made->agents_count, err);
    }
    if (status != NW_OK) {
        nw_sink_destroy(made);
        return status;
    }
    *sink = made;
    return NW_OK;
}

static void copies_free(struct nw_sink *sink)
{
    free(sink->copies); /* the states' bytes live behind the list */
    sink->copies = NULL;
    sink->copies_count = 0;
}

void nw_sink_destroy(struct nw_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    NW_ASSERT(!sink->started && sink->self == NULL);
    for (uint32_t i = 0; i < sink->agents_count; i++) {
        nw_spsc_destroy(sink->workers[i].tasks);
        nw_spsc_destroy(sink->workers[i].done);
        nw_spsc_destroy(sink->workers[i].control);
        nw_spsc_destroy(sink->workers[i].controlled);
        if (sink->workers[i].bell != NULL) {
            nw_bell_destroy(sink->workers[i].bell);
        }
    }
    nw_host_fini(sink);
    (void)pthread_mutex_destroy(&sink->lock);
    copies_free(sink);
    free(sink->verdicts);
    free(sink);
}

static int64_t thread_now_ns(void *clock)
{
    struct nw_env *env = clock;

    return env->ops->now_ns(env);
}

static void thread_failed(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    (void)context;
    nw_log(NW_LOG_ERROR, "%.6s thread %s: %s", nw_error_code(err), agent->name,
           nw_code_rest(err->text)); /* workers report by tasks */
}

nw_status nw_sink_start(struct nw_sink *sink, struct nw_error *err)
{
    NW_ASSERT(!sink->started);
    sink->started = true;
    for (uint32_t i = 0; i < sink->agents_count; i++) {
        struct nw_thread_options options = {
            .name = sink->workers[i].name,
            .agents = &sink->agents[i],
            .agents_count = 1,
            .bell = sink->workers[i].bell,
            .core = sink->cores[i],
            .now_ns = thread_now_ns,
            .clock = sink->env,
            .failed = thread_failed,
        };
        nw_status status = nw_thread_start(&options, &sink->workers[i].thread, err);

        if (status != NW_OK) {
            return status; /* nw_sink_stop ends those that run */
        }
    }
    return NW_OK;
}

uint32_t nw_sink_agents(struct nw_sink *sink, struct nw_agent agents[NW_SINK_AGENTS_MAX])
{
    memcpy(agents, sink->agents, sink->agents_count * sizeof *agents);
    return sink->agents_count;
}

void nw_sink_control_post(struct nw_sink *sink, enum nw_task_kind kind)
{
    bool pushed;

    NW_ASSERT(!sink->control_out);
    sink->control.kind = kind;
    sink->control_out = true;
    pushed = nw_spsc_push(sink->coordinator->control, &sink->control);
    NW_ASSERT(pushed);
    nw_bell_ring(sink->coordinator->bell);
}

struct nw_task *nw_sink_control_take(struct nw_sink *sink)
{
    struct nw_task *task = nw_spsc_pop(sink->coordinator->controlled);

    if (task != NULL) {
        sink->control_out = false;
    }
    return task;
}

/* Lets the sink's agents go on. @return false: the deadline has passed. */
static bool agents_wait(struct nw_sink *sink, struct nw_worker *worker, int64_t deadline_ns)
{
    uint32_t work = 0;

    if (!sink->started) {
        /* No time passes for a caller that steps: pauses of held tasks are over. */
        (void)nw_worker_step(worker, INT64_MAX / 2, &work);
        return true;
    }
    if (sink->env->ops->now_ns(sink->env) >= deadline_ns) {
        return false;
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = CONTROL_POLL_NS}, NULL);
    return true;
}

/* Waits for the coordinator's answer. @return false: not there by the deadline. */
static bool control_wait(struct nw_sink *sink, int64_t deadline_ns)
{
    while (sink->control_out) {
        if (nw_sink_control_take(sink) == NULL &&
            !agents_wait(sink, sink->coordinator, deadline_ns)) {
            return false;
        }
    }
    return true;
}

/* One call of the coordinator, waited for. */
static nw_status control_run(struct nw_sink *sink, enum nw_task_kind kind, struct nw_error *err)
{
    int64_t deadline_ns = sink->open_us_max == 0
                              ? INT64_MAX
                              : sink->env->ops->now_ns(sink->env) + sink->open_us_max * 1000;

    nw_sink_control_post(sink, kind);
    if (!control_wait(sink, deadline_ns)) {
        sink->hangs = true;
        return nw_fail(err, NW_RETRY, "NW2006 sink %s: the plugin %s did not return from a call",
                       sink->config->name, sink->plugin->ops.name);
    }
    if (sink->control.status != NW_OK) {
        *err = sink->control.error;
    }
    return sink->control.status;
}

int64_t nw_sink_busy_ns(const struct nw_sink *sink, int64_t now_ns)
{
    int64_t longest = 0;

    for (uint32_t i = 0; i < sink->agents_count; i++) {
        int64_t busy_ns = sink->workers[i].thread == NULL
                              ? 0
                              : nw_thread_busy_ns(sink->workers[i].thread, now_ns);

        longest = busy_ns > longest ? busy_ns : longest;
    }
    return longest;
}

bool nw_sink_hangs(const struct nw_sink *sink)
{
    return sink->hangs;
}

static bool positions_equal(const struct nw_recovery *recovery)
{
    const struct nw_position *first = &recovery->positions[0];

    for (uint32_t i = 1; i < recovery->positions_count; i++) {
        const struct nw_position *other = &recovery->positions[i];

        if (other->size != first->size || memcmp(other->bytes, first->bytes, first->size) != 0) {
            return false;
        }
    }
    return true;
}

nw_status nw_sink_recovery_check(const struct nw_sink *sink, const struct nw_recovery *recovery,
                                 struct nw_error *err)
{
    uint32_t count = recovery->positions_count;

    if (count > NW_SINK_WORKERS_MAX || (count > 0 && recovery->positions == NULL) ||
        (recovery->copies_count > 0 && recovery->copies == NULL)) {
        return nw_fail(err, NW_FATAL,
                       "NW2411 recover() gave %u positions and %u copies without a list", count,
                       recovery->copies_count);
    }
    if (count + recovery->copies_count > 0 && (sink->flags & NW_SINK_STORES_NOTHING) != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW2411 recover() gave %u positions and %u copies, and the plugin declares "
                       "NW_SINK_STORES_NOTHING",
                       count, recovery->copies_count);
    }
    for (uint32_t i = 0; i < recovery->copies_count; i++) {
        const struct nw_copy_state *copy = &recovery->copies[i];

        if (copy->size > NW_POSITION_SIZE_MAX || (copy->size > 0 && copy->bytes == NULL)) {
            return nw_fail(err, NW_FATAL, "NW2411 recover() gave a copy state of %u bytes",
                           copy->size);
        }
    }
    if (count > 1 && count != sink->workers_count && !positions_equal(recovery)) {
        return nw_fail(err, NW_FATAL,
                       "NW2407 the sink was written by %u workers that did not stop at the same "
                       "position: run once with workers: %u, then change it",
                       count, count);
    }
    return NW_OK;
}

/* Keep what the sink gave back: its memory is good until the next recover only. */
static nw_status copies_keep(struct nw_sink *sink, const struct nw_recovery *recovery,
                             struct nw_error *err)
{
    size_t size = recovery->copies_count * sizeof *sink->copies;
    uint8_t *bytes;

    copies_free(sink);
    if (recovery->copies_count == 0) {
        return NW_OK;
    }
    for (uint32_t i = 0; i < recovery->copies_count; i++) {
        size += recovery->copies[i].size;
    }
    sink->copies = malloc(size);
    if (sink->copies == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for %u copy states", recovery->copies_count);
    }
    sink->copies_count = recovery->copies_count;
    bytes = (uint8_t *)(sink->copies + sink->copies_count);
    for (uint32_t i = 0; i < sink->copies_count; i++) {
        sink->copies[i] = recovery->copies[i];
        if (sink->copies[i].size > 0) {
            memcpy(bytes, sink->copies[i].bytes, sink->copies[i].size);
        }
        sink->copies[i].bytes = bytes;
        bytes += sink->copies[i].size;
    }
    return NW_OK;
}

/* A worker's. @param stored  empty when it has committed nothing yet. */
static nw_status position_keep(struct nw_sink *sink, uint32_t worker,
                               const struct nw_position *stored, struct nw_position *position,
                               struct nw_error *err)
{
    struct nw_envelope *durable = &sink->durable[worker];
    struct nw_envelope_content content = {0};
    nw_status status = stored->size == 0 ? NW_OK : nw_envelope_read(stored, &content, err);

    *position = content.position;
    durable->size = 0;
    if (status != NW_OK || stored->size == 0) {
        return status;
    }
    durable->size = stored->size;
    memcpy(durable->bytes, stored->bytes, stored->size);
    position->bytes = durable->bytes + NW_ENVELOPE_SIZE;
    /* Without a position nothing of the stream is complete, whatever LSN people are shown. */
    sink->durable_lsn[worker] = position->size == 0 ? 0 : position->lsn;
    return NW_OK;
}

static nw_status positions_keep(struct nw_sink *sink, const struct nw_recovery *recovery,
                                struct nw_sink_recovered *recovered, struct nw_error *err)
{
    static const struct nw_position none = {0};
    uint32_t count = recovery->positions_count;
    nw_status status = NW_OK;

    sink->position_per_worker = count > 1;
    sink->position_given = count > 0;
    recovered->positions_count = count > 1 ? sink->workers_count : count;
    memset(sink->durable_lsn, 0, sizeof sink->durable_lsn);
    for (uint32_t i = 0; i < sink->workers_count && status == NW_OK; i++) {
        const struct nw_position *stored =
            count == 0 ? &none : &recovery->positions[count == sink->workers_count ? i : 0];
        struct nw_position position;

        status = position_keep(sink, i, stored, &position, err);
        if (i < recovered->positions_count) {
            recovered->positions[i] = position;
        }
    }
    return status;
}

nw_status nw_sink_open(struct nw_sink *sink, struct nw_sink_recovered *recovered,
                       struct nw_error *err)
{
    const struct nw_recovery *recovery = &sink->control.recovery;
    struct nw_error local = {0};
    nw_status status;

    err = err == NULL ? &local : err;
    memset(recovered, 0, sizeof *recovered);
    status = control_run(sink, NW_TASK_OPEN, err);
    if (status == NW_OK) {
        status = control_run(sink, NW_TASK_RECOVER, err);
    }
    if (status == NW_OK) {
        status = nw_sink_recovery_check(sink, recovery, err);
    }
    if (status == NW_OK) {
        status = positions_keep(sink, recovery, recovered, err);
    }
    if (status == NW_OK) {
        status = copies_keep(sink, recovery, err);
    }
    if (status != NW_OK) {
        return status;
    }
    sink->env->ops->random(sink->env, &sink->opening, sizeof sink->opening);
    sink->commits = 0;
    sink->verdicts_count = 0;
    sink->opened = true;
    recovered->copies_count = sink->copies_count;
    recovered->copies = sink->copies;
    recovered->fencing = recovery->fencing;
    recovered->ahead_lsn = recovery->ahead_lsn;
    return NW_OK;
}

const struct nw_verdict *nw_sink_verdict_find(const struct nw_sink *sink, uint32_t relation_oid,
                                              uint32_t generation)
{
    for (uint32_t i = 0; i < sink->verdicts_count; i++) {
        const struct nw_verdict *verdict = &sink->verdicts[i];

        if (verdict->relation_oid == relation_oid && verdict->generation == generation) {
            return verdict;
        }
    }
    return NULL;
}

nw_status nw_sink_verdict_keep(struct nw_sink *sink, uint32_t relation_oid, uint32_t generation,
                               enum nw_copy_verdict verdict, struct nw_error *err)
{
    for (uint32_t i = 0; i < sink->verdicts_count; i++) {
        struct nw_verdict *kept = &sink->verdicts[i];

        if (kept->relation_oid == relation_oid && kept->generation == generation) {
            kept->verdict = verdict;
            return NW_OK;
        }
    }
    if (sink->verdicts_count == sink->verdicts_capacity) {
        uint32_t capacity = sink->verdicts_capacity == 0 ? 64 : sink->verdicts_capacity * 2;
        struct nw_verdict *grown = reallocarray(sink->verdicts, capacity, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %u copy verdicts", capacity);
        }
        sink->verdicts = grown;
        sink->verdicts_capacity = capacity;
    }
    sink->verdicts[sink->verdicts_count++] = (struct nw_verdict){relation_oid, generation, verdict};
    return NW_OK;
}

nw_status nw_sink_resolve(struct nw_sink *sink, uint32_t relation_oid, uint32_t generation,
                          enum nw_copy_verdict verdict, struct nw_error *err)
{
    struct nw_error local = {0};
    nw_status status;

    NW_ASSERT(sink->opened);
    err = err == NULL ? &local : err;
    sink->control.relation_oid = relation_oid;
    sink->control.generation = generation;
    sink->control.verdict = verdict;
    status = control_run(sink, NW_TASK_RESOLVE, err);
    return status == NW_OK ? nw_sink_verdict_keep(sink, relation_oid, generation, verdict, err)
                           : status;
}

/* Whatever the sequencer had under way comes back before close() is called. */
static bool tasks_wait(struct nw_sink *sink, int64_t deadline_ns)
{
    for (uint32_t i = 0; i < sink->workers_count; i++) {
        struct nw_worker *worker = &sink->workers[i];

        while (worker->posted != worker->returned) {
            if (nw_worker_take(worker) == NULL && !agents_wait(sink, worker, deadline_ns)) {
                return false;
            }
        }
    }
    return control_wait(sink, deadline_ns);
}

static void threads_join(struct nw_sink *sink)
{
    for (uint32_t i = 0; i < sink->agents_count; i++) {
        if (sink->workers[i].thread != NULL) {
            nw_thread_stop(sink->workers[i].thread);
        }
    }
    for (uint32_t i = 0; i < sink->agents_count; i++) {
        nw_thread_destroy(sink->workers[i].thread);
        sink->workers[i].thread = NULL;
    }
    sink->started = false;
    sink->opened = false;
}

nw_status nw_sink_stop(struct nw_sink *sink, int64_t deadline_ns, struct nw_error *err)
{
    /* The coordinator's thread is started last; without it nothing was ever called. */
    bool callable = !sink->started || sink->workers[sink->agents_count - 1].thread != NULL;

    /* Tasks that nobody waits for are skipped from here on. */
    atomic_fetch_add_explicit(&sink->round, 1, memory_order_relaxed);
    atomic_store_explicit(&sink->leaves, true, memory_order_relaxed);
    if (callable) {
        bool back = tasks_wait(sink, deadline_ns);

        if (back) {
            nw_sink_control_post(sink, NW_TASK_CLOSE);
            back = control_wait(sink, deadline_ns);
        }
        sink->hangs = !back;
        if (!back) {
            return nw_fail(
                err, NW_RETRY,
                "NW2006 sink %s: the plugin %s did not return from a call in time; its thread "
                "and memory are left until the process ends",
                sink->config->name, sink->plugin->ops.name);
        }
    }
    threads_join(sink);
    return NW_OK;
}

void nw_sink_state_set(struct nw_sink *sink, enum nw_sink_state state, const char *reason)
{
    (void)pthread_mutex_lock(&sink->lock);
    sink->state = state;
    (void)snprintf(sink->reason, sizeof sink->reason, "%s", reason == NULL ? "" : reason);
    (void)pthread_mutex_unlock(&sink->lock);
}

static uint64_t load(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void nw_sink_status(struct nw_sink *sink, struct nw_sink_status *status)
{
    (void)pthread_mutex_lock(&sink->lock);
    status->state = sink->state;
    status->retries = sink->retries;
    memcpy(status->reason, sink->reason, sizeof status->reason);
    (void)pthread_mutex_unlock(&sink->lock);
    status->rows = load(&sink->rows);
    status->batches = load(&sink->batches);
    status->commits = load(&sink->commits_done);
    status->copies = load(&sink->copies_done);
    status->joins_begun = load(&sink->joins_begun);
    status->epoch_received = load(&sink->epoch_received);
    status->epoch_written = load(&sink->epoch_written);
    status->epoch_durable = load(&sink->epoch_durable);
    status->oldest_commit_ts = atomic_load_explicit(&sink->oldest_commit_ts, memory_order_relaxed);
    status->oldest_undurable_ns =
        atomic_load_explicit(&sink->oldest_undurable_ns, memory_order_relaxed);
    status->held_bytes = load(&sink->held_bytes);
    status->spilled_bytes = load(&sink->spilled_bytes);
    status->spilled_total_bytes = load(&sink->spilled_total_bytes);
    status->waiting_rows = load(&sink->waiting_rows);
    status->waiting_bytes = load(&sink->waiting_bytes);
    status->letters = load(&sink->letters_written);
}

uint64_t nw_sink_held_lsn(const struct nw_sink *sink)
{
    /* Acquire: pairs with the release in held.c. */
    return atomic_load_explicit(&sink->held_lsn, memory_order_acquire);
}

uint64_t nw_sink_rows_durable(const struct nw_sink *sink, uint32_t relation_oid)
{
    return nw_flow_rows(&sink->flow, relation_oid);
}

uint32_t nw_sink_figures(const struct nw_sink *sink, struct nw_figure_value *values)
{
    return nw_figures_read(&sink->figures, values);
}
