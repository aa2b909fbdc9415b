/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that call a plugin: one call for each step. See worker.h. */
#include "sink/worker.h"

#include <string.h>

#include "base/assert.h"
#include "base/crash.h"

/* One call into the plugin, whatever the task says. */
static nw_status rows_write(struct nw_worker *worker, struct nw_task *task, struct nw_error *err)
{
    struct nw_sink *sink = worker->sink;
    nw_status status;

    worker->batch = *task->batch;
    worker->batch.epoch = task->epoch;
    worker->batch.first_row = task->first_row;
    worker->batch.rows_count = task->rows_count;
    worker->writing = task->entry;
    status = sink->plugin->ops.write(sink->self, worker->index, &worker->batch, err);
    worker->writing = NULL;
    nw_crash_point("write");
    if (status == NW_OK) {
        atomic_fetch_add_explicit(&sink->rows, task->rows_count, memory_order_relaxed);
        atomic_fetch_add_explicit(&sink->batches, 1, memory_order_relaxed);
    }
    return status;
}

static nw_status worker_call(struct nw_worker *worker, struct nw_task *task, struct nw_error *err)
{
    const struct nw_sink_ops *ops = &worker->sink->plugin->ops;
    void *self = worker->sink->self;
    uint32_t index = worker->index;

    switch (task->kind) {
    case NW_TASK_TABLE:
        return ops->table(self, index, task->table, err);
    case NW_TASK_COPY_BEGIN:
        return ops->copy_begin == NULL
                   ? NW_OK
                   : ops->copy_begin(self, index, task->table, task->generation, err);
    case NW_TASK_COPY_END:
        return ops->copy_end == NULL
                   ? NW_OK
                   : ops->copy_end(self, index, task->table, task->generation, err);
    case NW_TASK_WRITE:
        return rows_write(worker, task, err);
    case NW_TASK_EVENT:
        return ops->event == NULL ? NW_OK : ops->event(self, index, &task->event, err);
    case NW_TASK_SEAL:
        return ops->seal(self, index, task->epoch, err);
    case NW_TASK_OPEN:
    case NW_TASK_RECOVER:
    case NW_TASK_RESOLVE:
    case NW_TASK_COMMIT:
    case NW_TASK_LETTERS:
    case NW_TASK_CLOSE:
        break;
    }
    return nw_fail(err, NW_FATAL, "NW2903 task %u is not a worker's", (unsigned)task->kind);
}

static nw_status coordinator_call(struct nw_sink *sink, struct nw_task *task, struct nw_error *err)
{
    const struct nw_sink_ops *ops = &sink->plugin->ops;
    nw_status status = NW_OK;

    if (task->kind == NW_TASK_OPEN) {
        return sink->self != NULL
                   ? NW_OK
                   : ops->open(&sink->host, sink->config, sink->workers_count, &sink->self, err);
    }
    if (task->kind == NW_TASK_RECOVER) {
        memset(&task->recovery, 0, sizeof task->recovery);
        task->recovery.size = (uint32_t)sizeof task->recovery;
        return ops->recover(sink->self, &task->recovery, err);
    }
    if (task->kind == NW_TASK_RESOLVE) {
        return ops->copy_resolve == NULL ? NW_OK
                                         : ops->copy_resolve(sink->self, task->relation_oid,
                                                             task->generation, task->verdict, err);
    }
    if (task->kind == NW_TASK_LETTERS) {
        status = task->store->write(task->store->context, &task->letters, err);
        nw_crash_point("letters");
        return status;
    }
    if (task->kind == NW_TASK_COMMIT) {
        task->outcome = 0;
        status = ops->commit(sink->self, &task->commit, &task->outcome, err);
        nw_crash_point("commit");
        if (status == NW_RETRY) {
            task->outcome = NW_UNKNOWN;
        }
        return status;
    }
    NW_ASSERT(task->kind == NW_TASK_CLOSE);
    if (sink->self != NULL) {
        ops->close(sink->self);
        sink->self = NULL;
    }
    return NW_OK;
}

/* Statuses that are none of the interface's become NW_FATAL, and a failure has a text. */
static nw_status answer_check(const struct nw_sink *sink, nw_status status, struct nw_error *err)
{
    if (status == NW_OK || status == NW_AGAIN) {
        return status;
    }
    if ((unsigned)status > NW_FATAL) {
        return nw_fail(err, NW_FATAL,
                       "NW2411 the plugin %s answered with status %u, which does not exist",
                       sink->plugin->ops.name, (unsigned)status);
    }
    if (err->text[0] == '\0') {
        (void)nw_fail(err, status, "NW2411 the plugin %s failed without saying why",
                      sink->plugin->ops.name);
    }
    err->status = status;
    return status;
}

static int64_t pause_next(int64_t pause_ns)
{
    if (pause_ns == 0) {
        return NW_SINK_AGAIN_NS_MIN;
    }
    return pause_ns * 2 > NW_SINK_AGAIN_NS_MAX ? NW_SINK_AGAIN_NS_MAX : pause_ns * 2;
}

static void sequencer_wake(struct nw_sink *sink)
{
    /* Acquire pairs with the release in nw_sequencer_create(): the bell was made before. */
    nw_bell_ring(atomic_load_explicit(&sink->sequencer_bell, memory_order_acquire));
}

/* Ticks go on from a recover() that succeeded until whatever comes before the next one. */
static void ticks_set(struct nw_worker *worker, const struct nw_task *task, int64_t now_ns)
{
    const struct nw_sink *sink = worker->sink;

    if (task->kind == NW_TASK_RECOVER && task->status == NW_OK && sink->started &&
        sink->plugin->ops.tick != NULL) {
        worker->tick_ns = now_ns + NW_SINK_TICK_NS;
    }
}

static bool tick_step(struct nw_worker *worker, int64_t now_ns)
{
    if (worker->tick_ns == 0 || now_ns < worker->tick_ns) {
        return false;
    }
    worker->sink->plugin->ops.tick(worker->sink->self);
    worker->tick_ns = now_ns + NW_SINK_TICK_NS;
    return true;
}

/* The coordinator's turn. @return whether something was done. */
static bool control_step(struct nw_worker *worker, int64_t now_ns)
{
    struct nw_sink *sink = worker->sink;
    struct nw_task *task = worker->held_control;
    nw_status status;
    bool pushed;

    if (task == NULL) {
        task = nw_spsc_pop(worker->control);
        worker->control_pause_ns = 0;
    } else if (now_ns < worker->control_until_ns) {
        return false;
    }
    if (task == NULL) {
        return tick_step(worker, now_ns);
    }
    if (task->kind == NW_TASK_RECOVER || task->kind == NW_TASK_CLOSE) {
        worker->tick_ns = 0;
    }
    memset(&task->error, 0, sizeof task->error);
    status = answer_check(sink, coordinator_call(sink, task, &task->error), &task->error);
    if (status == NW_AGAIN) {
        worker->held_control = task;
        worker->control_pause_ns = pause_next(worker->control_pause_ns);
        worker->control_until_ns = now_ns + worker->control_pause_ns;
        return true;
    }
    worker->held_control = NULL;
    task->status = status;
    ticks_set(worker, task, now_ns);
    pushed = nw_spsc_push(worker->controlled, task);
    NW_ASSERT(pushed); /* one control task at a time */
    sequencer_wake(sink);
    return true;
}

static void task_finish(struct nw_worker *worker, struct nw_task *task)
{
    bool pushed = nw_spsc_push(worker->done, task);

    NW_ASSERT(pushed); /* as many slots as tasks */
    worker->held = NULL;
    worker->held_pause_ns = 0;
    sequencer_wake(worker->sink);
}

static bool task_step(struct nw_worker *worker, int64_t now_ns)
{
    struct nw_sink *sink = worker->sink;
    struct nw_task *task = worker->held != NULL ? worker->held : nw_spsc_pop(worker->tasks);
    nw_status status;

    if (task == NULL) {
        return false;
    }
    /* Relaxed: only saves calls whose results nobody wants; the rings order everything else. */
    if (task->round != atomic_load_explicit(&sink->round, memory_order_relaxed) ||
        task->round == worker->failed_round) {
        task->skipped = true;
        task->status = NW_OK;
        task_finish(worker, task);
        return true;
    }
    if (worker->held != NULL && now_ns < worker->held_until_ns) {
        return false;
    }
    memset(&task->error, 0, sizeof task->error);
    status = answer_check(sink, worker_call(worker, task, &task->error), &task->error);
    if (status == NW_AGAIN) {
        worker->held = task;
        worker->held_pause_ns = pause_next(worker->held_pause_ns);
        worker->held_until_ns = now_ns + worker->held_pause_ns;
        return true;
    }
    task->skipped = false;
    task->status = status;
    if (status != NW_OK) {
        worker->failed_round = task->round;
    }
    task_finish(worker, task);
    return true;
}

nw_status nw_worker_step(struct nw_worker *worker, int64_t now_ns, uint32_t *work)
{
    /* A commit comes first: with one worker it must not wait behind the next epoch's rows. */
    bool worked = worker->control != NULL && control_step(worker, now_ns);

    if (!worked && worker->tasks != NULL) {
        worked = task_step(worker, now_ns);
    }
    *work += worked;
    return NW_OK;
}

void nw_worker_post(struct nw_worker *worker, struct nw_task *task)
{
    bool pushed = nw_spsc_push(worker->tasks, task);

    NW_ASSERT(pushed); /* as many slots as tasks */
    worker->posted++;
}

struct nw_task *nw_worker_take(struct nw_worker *worker)
{
    struct nw_task *task = nw_spsc_pop(worker->done);

    if (task != NULL) {
        worker->returned++;
    }
    return task;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    (void)err;
    return nw_worker_step(self, now_ns, work);
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    const struct nw_worker *worker = self;

    (void)now_ns;
    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    if (worker->held != NULL) {
        wait->deadline_ns = worker->held_until_ns;
    }
    if (worker->held_control != NULL && worker->control_until_ns < wait->deadline_ns) {
        wait->deadline_ns = worker->control_until_ns;
    }
    if (worker->tick_ns != 0 && worker->tick_ns < wait->deadline_ns) {
        wait->deadline_ns = worker->tick_ns;
    }
}

struct nw_agent nw_worker_agent(struct nw_worker *worker)
{
    return (struct nw_agent){
        .name = worker->name, .self = worker, .do_work = do_work, .wait = wait_for};
}
