/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of the conformance runner: one call into the plugin at a time. See check_private.h.
 *
 * Memory of a batch is overwritten as soon as write() has returned, unless it was exported, so that
 * a plugin that keeps a borrowed pointer is seen.
 */
#include "sink/check_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

/* Pauses while a plugin says NW_AGAIN, or a commit is pending. */
#define PAUSE_NS   1000000
#define PAUSES_MAX 20000u

bool nw_check_fails(struct nw_check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(check->why, sizeof check->why, format, args);
    va_end(args);
    return false;
}

static void pause_short(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static const char *kind_name(enum nw_task_kind kind)
{
    static const char *const names[] = {[NW_TASK_TABLE] = "table",
                                        [NW_TASK_COPY_BEGIN] = "copy_begin",
                                        [NW_TASK_COPY_END] = "copy_end",
                                        [NW_TASK_WRITE] = "write",
                                        [NW_TASK_EVENT] = "event",
                                        [NW_TASK_SEAL] = "seal",
                                        [NW_TASK_OPEN] = "open",
                                        [NW_TASK_RECOVER] = "recover",
                                        [NW_TASK_RESOLVE] = "copy_resolve",
                                        [NW_TASK_COMMIT] = "commit",
                                        [NW_TASK_CLOSE] = "close"};

    return names[kind];
}

/* Takes a step; @return false when the plugin says NW_AGAIN for ever. */
static bool step(struct nw_check *check, struct nw_worker *worker, enum nw_task_kind kind,
                 uint32_t *pauses)
{
    uint32_t work = 0;

    (void)nw_worker_step(worker, INT64_MAX / 2, &work);
    if (worker->held != NULL || worker->held_control != NULL) {
        if (++*pauses == PAUSES_MAX) {
            return nw_check_fails(check, "%s() answers NW_AGAIN for ever", kind_name(kind));
        }
        pause_short();
    }
    return true;
}

/* A call of the coordinator. */
static bool control(struct nw_check *check, enum nw_task_kind kind)
{
    struct nw_sink *sink = check->sink;
    uint32_t pauses = 0;

    nw_sink_control_post(sink, kind);
    while (nw_sink_control_take(sink) == NULL) {
        if (!step(check, sink->coordinator, kind, &pauses)) {
            return false;
        }
    }
    if (sink->control.status != NW_OK) {
        return nw_check_fails(check, "%s() failed with status %d: %s", kind_name(kind),
                              (int)sink->control.status, sink->control.error.text);
    }
    return true;
}

/* A call of a worker, made of check->task. */
static bool call(struct nw_check *check, uint32_t index, enum nw_task_kind kind)
{
    struct nw_worker *worker = &check->sink->workers[index];
    struct nw_task *task = &check->task;
    uint32_t pauses = 0;

    task->kind = kind;
    task->round = atomic_load_explicit(&check->sink->round, memory_order_relaxed);
    worker->failed_round = 0;
    nw_worker_post(worker, task);
    while (nw_worker_take(worker) == NULL) {
        if (!step(check, worker, kind, &pauses)) {
            return false;
        }
    }
    if (task->status != NW_OK) {
        return nw_check_fails(check, "%s() failed with status %d: %s", kind_name(kind),
                              (int)task->status, task->error.text);
    }
    return true;
}

bool nw_check_open(struct nw_check *check, uint32_t workers)
{
    struct nw_sink_options options = {.env = check->options->env,
                                      .plugin = check->options->plugin,
                                      .config = check->options->config,
                                      .workers_count = workers,
                                      .database = "check",
                                      .takes_over = check->takes_over};
    struct nw_error err = {0};

    if (nw_sink_create(&options, &check->sink, &err) != NW_OK) {
        return nw_check_fails(check, "%s", err.text);
    }
    return control(check, NW_TASK_OPEN) && nw_check_recover(check);
}

bool nw_check_recover(struct nw_check *check)
{
    struct nw_error err = {0};

    memset(check->announced, 0, sizeof check->announced);
    if (!control(check, NW_TASK_RECOVER)) {
        return false;
    }
    check->recovery = &check->sink->control.recovery;
    if (nw_sink_recovery_check(check->sink, check->recovery, &err) != NW_OK) {
        return nw_check_fails(check, "%s", err.text);
    }
    if (check->recovery->fencing != 0 && check->recovery->fencing <= check->fencing) {
        return nw_check_fails(check, "recover() took the fencing number %llu after %llu",
                              (unsigned long long)check->recovery->fencing,
                              (unsigned long long)check->fencing);
    }
    check->fencing = check->recovery->fencing;
    return true;
}

void nw_check_close(struct nw_check *check)
{
    if (check->sink != NULL) {
        check->sink->control_out = false;
        (void)control(check, NW_TASK_CLOSE);
        nw_sink_destroy(check->sink);
        check->sink = NULL;
        check->recovery = NULL;
    }
}

bool nw_check_stores_nothing(const struct nw_check *check)
{
    return (check->options->plugin->ops.flags & NW_SINK_STORES_NOTHING) != 0;
}

bool nw_check_position(struct nw_check *check)
{
    const struct nw_recovery *recovery = check->recovery;

    if (nw_check_stores_nothing(check)) {
        return true; /* nw_check_recover() has seen that it gives none */
    }
    if (check->durable_size == 0) {
        return recovery->positions_count == 0
                   ? true
                   : nw_check_fails(check, "recover() gave a position before any commit: %s",
                                    "name an empty place for the check");
    }
    if (recovery->positions_count != 1 && recovery->positions_count != check->sink->workers_count) {
        return nw_check_fails(check, "recover() gave %u positions after a commit",
                              recovery->positions_count);
    }
    for (uint32_t i = 0; i < recovery->positions_count; i++) {
        const struct nw_position *position = &recovery->positions[i];

        if (position->size != check->durable_size ||
            memcmp(position->bytes, check->durable, position->size) != 0) {
            return nw_check_fails(check,
                                  "recover() gave a position of %u bytes that is not the one of "
                                  "the last commit (%u bytes)",
                                  position->size, check->durable_size);
        }
    }
    return true;
}

bool nw_check_table_announce(struct nw_check *check, uint32_t worker, uint32_t table)
{
    if (check->announced[worker][table]) {
        return true;
    }
    check->announced[worker][table] = true;
    check->task.table = nw_check_table(table);
    return call(check, worker, NW_TASK_TABLE);
}

bool nw_check_write_rows(struct nw_check *check, uint32_t worker, const struct nw_check_rows *rows,
                         uint32_t first_row, uint32_t generation)
{
    struct nw_entry *entry = calloc(1, sizeof *entry);
    struct nw_batch batch;
    size_t size = 0;
    void *block = nw_check_rows_make(rows, &batch, &size);
    bool good = false;

    if (entry == NULL || block == NULL) {
        free(entry);
        free(block);
        return nw_check_fails(check, "out of memory");
    }
    batch.generation = generation;
    good = nw_check_table_announce(check, worker, rows->table);
    if (good) {
        check->task.batch = &batch;
        check->task.entry = entry;
        check->task.table = batch.table;
        check->task.epoch = check->epoch + 1;
        check->task.first_row = first_row;
        check->task.rows_count = rows->rows_count - first_row;
        good = call(check, worker, NW_TASK_WRITE);
    }
    if (nw_entry_idle(entry)) {
        memset(block, 0xa5, size);
        free(block);
        free(entry);
    } else {
        /* The plugin has arrays of it: block and entry stay until the process ends. */
        check->exports_seen++;
        if (check->entries_count < NW_CHECK_EXPORTS_MAX) {
            check->entries[check->entries_count++] = entry;
        }
    }
    check->next_id += rows->rows_count;
    check->lsn += rows->rows_count + 1;
    return good;
}

bool nw_check_write(struct nw_check *check, uint32_t worker, uint32_t table, uint32_t rows_count)
{
    struct nw_check_rows rows = {.table = table,
                                 .rows_count = rows_count,
                                 .first_id = check->next_id,
                                 .commit_lsn = check->lsn};

    return nw_check_write_rows(check, worker, &rows, 0, 0);
}

bool nw_check_event(struct nw_check *check, uint32_t worker, const struct nw_event *event)
{
    if (check->options->plugin->ops.event == NULL) {
        return true;
    }
    check->task.event = *event;
    check->task.event.epoch = check->epoch + 1;
    check->task.event.lsn = check->lsn;
    check->task.event.commit_lsn = check->lsn;
    check->task.event.commit_end_lsn = check->lsn + 1;
    check->task.event.origin = "";
    check->task.event.xid = 4711;
    check->lsn += 2;
    return call(check, worker, NW_TASK_EVENT);
}

bool nw_check_copy_mark(struct nw_check *check, uint32_t worker, uint32_t table,
                        uint32_t generation, bool ends)
{
    if (!nw_check_table_announce(check, worker, table)) {
        return false;
    }
    check->task.table = nw_check_table(table);
    check->task.generation = generation;
    check->task.epoch = check->epoch + 1;
    return call(check, worker, ends ? NW_TASK_COPY_END : NW_TASK_COPY_BEGIN);
}

bool nw_check_resolve(struct nw_check *check, uint32_t table, uint32_t generation,
                      enum nw_copy_verdict verdict)
{
    check->sink->control.relation_oid = nw_check_table(table)->relation_oid;
    check->sink->control.generation = generation;
    check->sink->control.verdict = verdict;
    return control(check, NW_TASK_RESOLVE);
}

bool nw_check_seal(struct nw_check *check, uint64_t epoch)
{
    NW_ASSERT(epoch > check->epoch);
    check->task.epoch = epoch;
    for (uint32_t w = 0; w < check->sink->workers_count; w++) {
        if (!call(check, w, NW_TASK_SEAL)) {
            return false;
        }
    }
    check->epoch = epoch;
    return true;
}

void nw_check_position_next(struct nw_check *check, uint32_t size)
{
    check->next_size = size;
    for (uint32_t i = 0; i < size; i++) {
        check->next[i] =
            (uint8_t)(i * UINT64_C(7) + check->lsn); /* every byte value, NUL included */
    }
    memcpy(check->next, &check->lsn, sizeof check->lsn);
    check->lsn++;
}

/* The answer of a pending commit. */
static bool answer_wait(struct nw_check *check, uint64_t epoch, enum nw_outcome *outcome)
{
    struct nw_sink *sink = check->sink;

    for (uint32_t i = 0; i < PAUSES_MAX; i++) {
        bool answered;

        (void)pthread_mutex_lock(&sink->lock);
        answered = sink->answer.set && sink->answer.epoch >= epoch;
        *outcome = answered ? sink->answer.outcome : NW_PENDING;
        (void)pthread_mutex_unlock(&sink->lock);
        if (answered) {
            return true;
        }
        pause_short();
    }
    return nw_check_fails(check, "commit() was pending, and commit_done() did not come");
}

bool nw_check_commit_call(struct nw_check *check, const struct nw_copy_state *copies,
                          uint32_t copies_count, bool wait, enum nw_outcome *outcome)
{
    struct nw_sink *sink = check->sink;
    struct nw_position positions[NW_SINK_WORKERS_MAX];
    uint32_t count = check->recovery->positions_count > 1 ? sink->workers_count : 1;

    for (uint32_t i = 0; i < count; i++) {
        positions[i] = (struct nw_position){check->next, check->next_size, check->lsn};
    }
    (void)pthread_mutex_lock(&sink->lock);
    sink->answer.set = false;
    (void)pthread_mutex_unlock(&sink->lock);
    sink->control.commit = (struct nw_commit){.size = (uint32_t)sizeof(struct nw_commit),
                                              .positions_count = count,
                                              .epoch = check->epoch,
                                              .positions = positions,
                                              .copies_count = copies_count,
                                              .copies = copies};
    if (!control(check, NW_TASK_COMMIT)) {
        return false;
    }
    *outcome = sink->control.outcome;
    if (*outcome == NW_PENDING && wait && !answer_wait(check, check->epoch, outcome)) {
        return false;
    }
    if (*outcome < NW_COMMITTED || *outcome > NW_PENDING) {
        return nw_check_fails(check, "commit() gave the outcome %u, which does not exist",
                              (unsigned)*outcome);
    }
    return true;
}

bool nw_check_commit(struct nw_check *check, const struct nw_copy_state *copies,
                     uint32_t copies_count)
{
    enum nw_outcome outcome = NW_PENDING;

    nw_check_position_next(check, 200);
    if (!nw_check_commit_call(check, copies, copies_count, true, &outcome)) {
        return false;
    }
    if (outcome != NW_COMMITTED) {
        return nw_check_fails(check, "commit() of a healthy sink gave the outcome %s",
                              outcome == NW_UNKNOWN ? "unknown" : "not committed");
    }
    memcpy(check->durable, check->next, check->next_size);
    check->durable_size = check->next_size;
    return true;
}

bool nw_check_epoch(struct nw_check *check)
{
    return nw_check_seal(check, check->epoch + 1) && nw_check_commit(check, NULL, 0);
}
