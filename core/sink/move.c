/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A commit without rows: an opened sink that has no sequencer is given another position, as when
 * the server that it follows went on as another one. Through the interface as any commit, so that
 * the sink stores it in its own way. On the caller's thread, which owns the sink then.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "sink/sequencer.h"
#include "sink/worker.h"
#include "source/copy_state.h"

#define EPOCH    1u
#define PAUSE_NS 500000

/* Lets the sink's threads go on, or steps its agents where it has none. */
static void others_wait(struct nw_sink *sink)
{
    uint32_t work = 0;

    for (uint32_t i = 0; i < sink->agents_count && !sink->started; i++) {
        struct nw_worker *worker = &sink->workers[i];

        /* Pauses of what is to be tried again are over at once. */
        (void)nw_worker_step(worker,
                             worker->held_until_ns > worker->control_until_ns
                                 ? worker->held_until_ns
                                 : worker->control_until_ns,
                             &work);
    }
    if (sink->started) {
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

/* One call of a worker, waited for. */
static nw_status worker_run(struct nw_sink *sink, uint32_t worker, struct nw_task *task,
                            struct nw_error *err)
{
    task->round = atomic_load_explicit(&sink->round, memory_order_relaxed);
    task->epoch = EPOCH;
    nw_worker_post(&sink->workers[worker], task);
    nw_bell_ring(sink->workers[worker].bell);
    while (nw_worker_take(&sink->workers[worker]) == NULL) {
        others_wait(sink);
    }
    if (task->status != NW_OK) {
        *err = task->error;
    }
    return task->status;
}

/* Says that the copy of a table begins, of which nothing follows. */
static nw_status copy_begin(struct nw_sink *sink, const struct nw_sink_recopy *copy,
                            struct nw_error *err)
{
    uint32_t worker = nw_sink_shard(sink, copy->table->relation_oid);
    struct nw_task task = {
        .kind = NW_TASK_TABLE, .table = copy->table, .generation = copy->generation};
    nw_status status = worker_run(sink, worker, &task, err);

    if (status == NW_OK) {
        task.kind = NW_TASK_COPY_BEGIN;
        status = worker_run(sink, worker, &task, err);
    }
    return status;
}

static nw_status seal(struct nw_sink *sink, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t w = 0; w < sink->workers_count && status == NW_OK; w++) {
        struct nw_task task = {.kind = NW_TASK_SEAL};

        status = worker_run(sink, w, &task, err);
    }
    return status;
}

/* The answer to a commit that the sink answers later. */
static enum nw_outcome answer_wait(struct nw_sink *sink, struct nw_error *why)
{
    struct nw_answer answer = {0};

    while (!answer.set) {
        others_wait(sink);
        (void)pthread_mutex_lock(&sink->lock);
        answer = sink->answer;
        (void)pthread_mutex_unlock(&sink->lock);
    }
    *why = answer.error;
    return answer.outcome;
}

static nw_status commit_run(struct nw_sink *sink, const struct nw_commit *commit,
                            struct nw_error *err)
{
    struct nw_error why = {0};
    enum nw_outcome outcome = NW_COMMITTED;

    sink->answer.set = false; /* before anybody can answer */
    sink->control.commit = *commit;
    nw_sink_control_post(sink, NW_TASK_COMMIT);
    while (sink->control_out) {
        if (nw_sink_control_take(sink) == NULL) {
            others_wait(sink);
        }
    }
    if (sink->control.status != NW_OK) {
        *err = sink->control.error;
        return sink->control.status;
    }
    why = sink->control.error;
    outcome = sink->control.outcome;
    if (outcome == NW_PENDING) {
        outcome = answer_wait(sink, &why);
    }
    if (outcome == NW_COMMITTED) {
        return NW_OK;
    }
    return nw_fail(err, NW_RETRY, "NW2402 sink %s: its commit %s%s%.700s", sink->config->name,
                   outcome == NW_NOT_COMMITTED ? "did not happen" : "has an unknown outcome",
                   why.text[0] == '\0' ? "" : ": ", why.text);
}

/* A position in a fresh envelope. @param sealed  filled: in the envelope, as commit() gets it */
static nw_status position_seal(const struct nw_sink *sink, const struct nw_position *position,
                               struct nw_envelope *envelope, struct nw_position *sealed,
                               struct nw_error *err)
{
    struct nw_envelope_content content = {
        .opening = sink->opening, .commit = sink->commits, .position = *position};
    nw_status status = nw_envelope_write(&content, envelope, err);

    *sealed = (struct nw_position){envelope->bytes, envelope->size, position->lsn};
    return status;
}

/* @param given  one for all workers, or one for each */
static nw_status commit_positions(struct nw_sink *sink, const struct nw_position *given,
                                  uint32_t given_count, const struct nw_commit *commit,
                                  struct nw_error *err)
{
    struct nw_envelope *envelopes = calloc(sink->workers_count, sizeof *envelopes);
    struct nw_position positions[NW_SINK_WORKERS_MAX];
    nw_status status = NW_OK;

    if (envelopes == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u positions", sink->workers_count);
    }
    sink->commits++;
    for (uint32_t w = 0; w < sink->workers_count && status == NW_OK; w++) {
        status =
            position_seal(sink, &given[given_count > 1 ? w : 0], &envelopes[w], &positions[w], err);
    }
    if (status == NW_OK) {
        status = seal(sink, err);
    }
    if (status == NW_OK) {
        struct nw_commit whole = *commit;

        whole.size = (uint32_t)sizeof whole;
        whole.positions_count = sink->position_per_worker ? sink->workers_count : 1;
        whole.epoch = EPOCH;
        whole.positions = positions;
        status = commit_run(sink, &whole, err);
    }
    if (status == NW_OK) {
        memcpy(sink->durable, envelopes, sink->workers_count * sizeof *envelopes);
    }
    free(envelopes);
    return status;
}

nw_status nw_sink_move(struct nw_sink *sink, const struct nw_position *position,
                       const struct nw_sink_recopy *copies, uint32_t copies_count,
                       struct nw_error *err)
{
    const struct nw_copy_progress nothing = {0};
    struct nw_copy_state *states = calloc(copies_count + 1u, sizeof *states);
    struct nw_commit commit = {
        .copies_count = copies_count, .copies = states, .flags = NW_COMMIT_MOVES};
    uint8_t bytes[NW_COPY_BYTES_MAX];
    uint32_t size = nw_copy_pack(&nothing, bytes);
    nw_status status = NW_OK;

    NW_ASSERT(sink->opened);
    if (states == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u copy states", copies_count);
    }
    for (uint32_t i = 0; i < copies_count && status == NW_OK; i++) {
        status = copy_begin(sink, &copies[i], err);
        states[i] = (struct nw_copy_state){.relation_oid = copies[i].table->relation_oid,
                                           .generation = copies[i].generation,
                                           .bytes = bytes,
                                           .size = size};
    }
    if (status == NW_OK) {
        status = commit_positions(sink, position, 1, &commit, err);
    }
    free(states);
    return status;
}

nw_status nw_sink_restate(struct nw_sink *sink, const struct nw_position *positions,
                          uint32_t positions_count, struct nw_error *err)
{
    NW_ASSERT(sink->opened);
    return commit_positions(sink, positions, positions_count, &(struct nw_commit){0}, err);
}
