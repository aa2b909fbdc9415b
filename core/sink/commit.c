/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits: what becomes of sealed epochs, and the way back when something failed. See sequencer.h.
 *
 * One commit is under way at a time, for the last epoch that every worker sealed. Its position is
 * an envelope (position.h) that no other commit has. After any failure the sink is brought to rest
 * and recover() says which position it holds: that of the last durable commit, or that of the
 * commit whose outcome was not known. From there the log is delivered again, to this sink alone.
 */
#include "sink/sequencer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "sink/behind.h"
#include "sink/copies.h"
#include "sink/letters.h"

/* Nothing more is called until every task is back; then the sink recovers. */
static void rest_begin(struct nw_sequencer *seq)
{
    /* Relaxed: it only saves calls, see task_step() in worker.c. */
    atomic_fetch_add_explicit(&seq->sink->round, 1, memory_order_relaxed);
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        nw_bell_ring(seq->sink->workers[w].bell);
    }
    seq->commit_pending = false;
    seq->state = NW_SEQUENCER_QUIESCING;
}

static nw_status recover_begin(struct nw_sequencer *seq, const struct nw_error *cause)
{
    struct nw_sink *sink = seq->sink;

    if (seq->lost) {
        struct nw_error whole = {0};

        (void)nw_fail(
            &whole, NW_RETRY,
            "NW2414 %.600s; this epoch is larger than memory and spill quota and cannot be sent "
            "again from here: the server has to send it again (nothing is lost)",
            nw_code_rest(cause->text));
        return nw_sequencer_fail(seq, &whole, NULL);
    }
    if (seq->retries == 0) {
        nw_log(NW_LOG_WARN, "%.6s sink %s: %s; trying again until it works",
               nw_code_or(cause->text, "NW2402"), sink->config->name, nw_code_rest(cause->text));
    }
    seq->retries++;
    (void)pthread_mutex_lock(&sink->lock);
    sink->state = NW_SINK_STATE_RETRYING;
    sink->retries = seq->retries;
    (void)snprintf(sink->reason, sizeof sink->reason, "%.6s %.1000s",
                   nw_code_or(cause->text, "NW2402"), nw_code_rest(cause->text));
    (void)pthread_mutex_unlock(&sink->lock);
    seq->refusing = false;
    rest_begin(seq);
    return NW_OK;
}

/* What a failed call means for the run. */
static nw_status failure_handle(struct nw_sequencer *seq, const struct nw_error *cause,
                                const struct nw_table *table)
{
    if (cause->status == NW_RETRY) {
        return seq->state == NW_SEQUENCER_RUNNING ? recover_begin(seq, cause) : NW_OK;
    }
    return nw_sequencer_fail(seq, cause, cause->status == NW_REJECT ? table : NULL);
}

/* Rows were refused: what is wrong with them is no trouble of the sink's, so nothing is waited for.
 */
static nw_status refusal_handle(struct nw_sequencer *seq, const struct nw_task *task)
{
    struct nw_error why = task->error;

    if (nw_letters_refused(seq, task, &why) != NW_OK) {
        return nw_sequencer_fail(seq, &why, task->table);
    }
    if (seq->state == NW_SEQUENCER_RUNNING) {
        seq->refusing = true;
        rest_begin(seq);
    }
    return NW_OK;
}

/* Tasks that came back. */

static nw_status task_failed(struct nw_sequencer *seq, const struct nw_task *task)
{
    return task->status == NW_REJECT && task->kind == NW_TASK_WRITE && seq->letters != NULL
               ? refusal_handle(seq, task)
               : failure_handle(seq, &task->error, task->table);
}

static void seal_count(struct nw_sequencer *seq, uint64_t epoch)
{
    for (uint32_t i = 0; i < seq->seals_count; i++) {
        struct nw_seal *seal = &seq->seals[(seq->seals_first + i) % NW_SEQUENCER_SEALS_MAX];

        if (seal->epoch == epoch) {
            seal->workers_left--;
            if (seal->workers_left == 0) {
                atomic_store_explicit(&seq->sink->epoch_written, epoch, memory_order_relaxed);
            }
            return;
        }
    }
}

static void task_done(struct nw_sequencer *seq, const struct nw_task *task)
{
    if (task->kind == NW_TASK_SEAL) {
        seal_count(seq, task->epoch);
    } else if (task->kind == NW_TASK_WRITE && task->entry->single) {
        nw_letters_accepted(task);
    }
}

static nw_status tasks_take(struct nw_sequencer *seq, uint32_t *work)
{
    nw_status status = NW_OK;

    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        struct nw_task *task;

        while ((task = nw_worker_take(&seq->sink->workers[w])) != NULL) {
            *work += 1;
            seq->moved_ns = seq->now_ns;
            if (!task->skipped && task->status != NW_OK && status == NW_OK) {
                status = task_failed(seq, task);
            } else if (!task->skipped && task->status == NW_OK) {
                task_done(seq, task);
            }
            nw_dispatch_task_free(seq, w, task);
        }
    }
    return status;
}

/* Committing. */

/* The position that a worker of the sink has: empty when it has none. */
static nw_status position_own(const struct nw_sink *sink, uint32_t worker, struct nw_position *own,
                              struct nw_error *err)
{
    const struct nw_envelope *envelope = &sink->durable[worker];
    struct nw_position stored = {.bytes = envelope->bytes, .size = envelope->size};
    struct nw_envelope_content content = {0};
    nw_status status = envelope->size == 0 ? NW_OK : nw_envelope_read(&stored, &content, err);

    *own = content.position;
    return status;
}

/*
 * Positions in fresh envelopes. What the sink has stays inside when the epoch brings none (it is
 * one of a copy), or an older one (this worker is ahead of the stream).
 */
static nw_status positions_make(struct nw_sequencer *seq, uint64_t epoch,
                                const struct nw_position *position, struct nw_error *err)
{
    struct nw_sink *sink = seq->sink;

    sink->commits++;
    for (uint32_t w = 0; w < sink->workers_count; w++) {
        struct nw_envelope_content content = {
            .opening = sink->opening, .commit = sink->commits, .position = *position};
        struct nw_envelope *envelope = &seq->commit_envelopes[w];
        struct nw_position own;
        nw_status status = position_own(sink, w, &own, err);

        if (own.size > 0 && (position->size == 0 || sink->durable_lsn[w] > position->lsn)) {
            content.position = own;
        }
        if (status == NW_OK) {
            status = nw_envelope_write(&content, envelope, err);
        }
        if (status != NW_OK) {
            return status;
        }
        nw_behind_say(seq, epoch, position->size == 0 ? 0 : position->lsn, envelope);
        seq->commit_positions[w] =
            (struct nw_position){envelope->bytes, envelope->size, content.position.lsn};
    }
    return NW_OK;
}

/* The last epoch that all workers have sealed, NULL when none. */
static const struct nw_seal *seal_ready(const struct nw_sequencer *seq)
{
    const struct nw_seal *ready = NULL;

    for (uint32_t i = 0; i < seq->seals_count; i++) {
        const struct nw_seal *seal = &seq->seals[(seq->seals_first + i) % NW_SEQUENCER_SEALS_MAX];

        if (seal->workers_left > 0) {
            break;
        }
        ready = seal;
    }
    return ready;
}

static nw_status commit_start(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    struct nw_sink *sink = seq->sink;
    const struct nw_seal *seal = seal_ready(seq);
    nw_status status;

    if (sink->control_out || seq->commit_entry != NULL) {
        return NW_OK;
    }
    if (nw_letters_post(seq, seal != NULL)) {
        *work += 1;
        return NW_OK; /* they are durable before what lacks them is committed */
    }
    if (seal == NULL) {
        return NW_OK;
    }
    status = nw_copies_collect(seq, seal->entry, err);
    if (status == NW_OK) {
        status = positions_make(seq, seal->epoch, &seal->entry->item->as.position, err);
    }
    if (status != NW_OK) {
        return nw_sequencer_fail(seq, err, NULL);
    }
    (void)pthread_mutex_lock(&sink->lock);
    sink->answer.set = false;
    (void)pthread_mutex_unlock(&sink->lock);
    seq->commit_entry = seal->entry;
    seq->commit_epoch = seal->epoch;
    seq->commit_seen = false;
    sink->control.commit = (struct nw_commit){
        .size = (uint32_t)sizeof(struct nw_commit),
        .positions_count = sink->position_per_worker ? sink->workers_count : 1,
        .epoch = seal->epoch,
        .positions = seq->commit_positions,
        .copies_count = seq->commit_copies_count,
        .copies = seq->commit_copies,
        .flags = nw_copies_round_ends(seq) ? NW_COMMIT_COPIED : 0,
    };
    nw_sink_control_post(sink, NW_TASK_COMMIT);
    *work += 1;
    return NW_OK;
}

/* How many tables' copies the commit under way completes. */
static uint64_t copies_complete(const struct nw_sequencer *seq)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < seq->commit_copies_count; i++) {
        count += seq->commit_copies[i].complete;
    }
    return count;
}

/* The commit under way happened: its epochs are durable. */
static void commit_finish(struct nw_sequencer *seq)
{
    struct nw_sink *sink = seq->sink;

    for (uint32_t w = 0; w < sink->workers_count; w++) {
        sink->durable[w] = seq->commit_envelopes[w];
    }
    while (seq->seals_count > 0 && seq->seals[seq->seals_first].epoch <= seq->commit_epoch) {
        seq->seals_first = (seq->seals_first + 1) % NW_SEQUENCER_SEALS_MAX;
        seq->seals_count--;
    }
    if (seq->cursor == seq->log.first) {
        seq->cursor = seq->commit_entry->next; /* resolved by recover, before the rewind */
    }
    nw_sequencer_leave(seq, seq->commit_entry);
    seq->durable_pending = seq->commit_epoch;
    atomic_store_explicit(&sink->epoch_durable, seq->commit_epoch, memory_order_relaxed);
    atomic_fetch_add_explicit(&sink->commits_done, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sink->copies_done, copies_complete(seq), memory_order_relaxed);
    nw_letters_durable(seq);
    nw_copies_durable(seq);
    seq->commit_entry = NULL;
    seq->commit_pending = false;
    seq->lost = false;
    seq->moved_ns = seq->now_ns;
    if (seq->retries > 0) {
        nw_log(NW_LOG_INFO, "sink %s works again", sink->config->name);
        seq->retries = 0;
        (void)pthread_mutex_lock(&sink->lock);
        sink->retries = 0;
        (void)pthread_mutex_unlock(&sink->lock);
        nw_sink_state_set(sink, NW_SINK_STATE_RUNNING, NULL);
    }
}

static nw_status outcome_handle(struct nw_sequencer *seq, enum nw_outcome outcome,
                                const struct nw_error *why)
{
    struct nw_error cause = *why;

    switch (outcome) {
    case NW_COMMITTED:
        commit_finish(seq);
        return NW_OK;
    case NW_PENDING:
        seq->commit_pending = true;
        return NW_OK;
    case NW_NOT_COMMITTED:
    case NW_UNKNOWN:
        if (cause.text[0] == '\0') {
            (void)nw_fail(&cause, NW_RETRY, "NW2402 commit of epoch %llu %s",
                          (unsigned long long)seq->commit_epoch,
                          outcome == NW_UNKNOWN ? "has an unknown outcome" : "did not happen");
        }
        return recover_begin(seq, &cause);
    }
    (void)nw_fail(&cause, NW_FATAL, "NW2411 commit() gave the outcome %u, which does not exist",
                  (unsigned)outcome);
    return nw_sequencer_fail(seq, &cause, NULL);
}

static nw_status commit_answered(struct nw_sequencer *seq, const struct nw_task *task)
{
    if (seq->state != NW_SEQUENCER_RUNNING && task->status != NW_FATAL) {
        /* Something else failed meanwhile: recover() will say what became of it. */
        seq->commit_seen = task->status == NW_OK && task->outcome == NW_COMMITTED;
        return NW_OK;
    }
    if (task->status != NW_OK) {
        return failure_handle(seq, &task->error, NULL);
    }
    return outcome_handle(seq, task->outcome, &task->error);
}

/* The answer that came by nw_host.commit_done(). */
static nw_status pending_check(struct nw_sequencer *seq, uint32_t *work)
{
    struct nw_sink *sink = seq->sink;
    struct nw_answer answer = {0};
    bool answered;

    if (!seq->commit_pending) {
        return NW_OK;
    }
    (void)pthread_mutex_lock(&sink->lock);
    answered = sink->answer.set && sink->answer.epoch >= seq->commit_epoch;
    if (answered) {
        answer = sink->answer;
        sink->answer.set = false;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (!answered) {
        return NW_OK;
    }
    *work += 1;
    if (answer.outcome == NW_PENDING) {
        return NW_OK;
    }
    seq->commit_pending = false;
    return outcome_handle(seq, answer.outcome, &answer.error);
}

/* The way back. */

static int64_t recover_pause(const struct nw_sequencer *seq)
{
    int64_t pause = NW_RECOVER_NS_MIN;

    if (seq->refusing) {
        return 0;
    }
    for (uint32_t i = 1; i < seq->retries && pause < NW_RECOVER_NS_MAX; i++) {
        pause *= 2;
    }
    return pause < NW_RECOVER_NS_MAX ? pause : NW_RECOVER_NS_MAX;
}

static bool sink_rests(const struct nw_sequencer *seq)
{
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        if (seq->sink->workers[w].posted != seq->sink->workers[w].returned) {
            return false;
        }
    }
    return !seq->sink->control_out;
}

static bool envelope_is(const struct nw_envelope *envelope, const struct nw_position *stored)
{
    return envelope->size == stored->size &&
           (stored->size == 0 || memcmp(envelope->bytes, stored->bytes, stored->size) == 0);
}

/* Whether the sink told us itself that the commit under way happened. */
static bool commit_was_seen(struct nw_sequencer *seq)
{
    struct nw_sink *sink = seq->sink;
    bool seen = seq->commit_seen;

    (void)pthread_mutex_lock(&sink->lock);
    seen = seen || (sink->answer.set && sink->answer.epoch >= seq->commit_epoch &&
                    sink->answer.outcome == NW_COMMITTED);
    (void)pthread_mutex_unlock(&sink->lock);
    return seq->commit_entry != NULL && seen;
}

/*
 * recover() gave no position. A sink that never gave one stores none, and cannot contradict us: it
 * has what it answered as committed, and gets the rest again. Before a first commit it may as well
 * be one that stores them: then that commit did not happen, whatever was answered.
 */
static nw_status positions_none(struct nw_sequencer *seq, uint32_t *committed, struct nw_error *err)
{
    struct nw_sink *sink = seq->sink;
    bool declared = (sink->flags & NW_SINK_STORES_NOTHING) != 0;
    bool forgets = declared || sink->durable[0].size > 0;

    if (sink->position_given) {
        return nw_fail(
            err, NW_FATAL,
            "NW2405 recover() gave no position, and gave one before: the sink's data was "
            "removed; bring it back, or give narwal a new place for it");
    }
    if (forgets && !declared) {
        nw_log(NW_LOG_WARN,
               "NW2412 sink %s gives no position back after a commit: it is taken to have what it "
               "committed since narwal started, and is sent what follows",
               sink->config->name);
    }
    *committed = forgets && commit_was_seen(seq) ? (1u << sink->workers_count) - 1 : 0;
    return NW_OK;
}

/* Which workers' positions are that of the commit whose outcome was open. */
static nw_status positions_compare(struct nw_sequencer *seq, const struct nw_recovery *recovery,
                                   uint32_t *committed, struct nw_error *err)
{
    struct nw_sink *sink = seq->sink;
    uint32_t count = recovery->positions_count;

    *committed = 0;
    if (count == 0) {
        return positions_none(seq, committed, err);
    }
    sink->position_given = true;
    for (uint32_t w = 0; w < sink->workers_count; w++) {
        const struct nw_position *stored =
            &recovery->positions[count == sink->workers_count ? w : 0];

        if (seq->commit_entry != NULL && envelope_is(&seq->commit_envelopes[w], stored)) {
            *committed |= 1u << w;
        } else if (!envelope_is(&sink->durable[w], stored)) {
            return nw_fail(
                err, NW_FATAL,
                "NW2406 recover() gave a position that is neither that of the last durable "
                "commit nor that of the last try: another process writes to this "
                "sink, or its data was changed; stop the other one and start again");
        }
    }
    sink->position_per_worker = sink->position_per_worker || count > 1;
    return NW_OK;
}

/* Takes over what recover() found; the log then begins with what has to be sent again. */
static void recover_apply(struct nw_sequencer *seq, uint32_t committed)
{
    struct nw_sink *sink = seq->sink;
    uint32_t all = (1u << sink->workers_count) - 1;

    if (committed == all) {
        seq->cursor = seq->log.first;
        commit_finish(seq);
    } else {
        for (uint32_t w = 0; w < sink->workers_count; w++) {
            if ((committed >> w & 1u) != 0) {
                sink->durable[w] = seq->commit_envelopes[w];
                seq->skip_epoch[w] = seq->commit_epoch;
            }
        }
    }
    seq->commit_entry = NULL;
    seq->resolve_next = 0;
    seq->state = NW_SEQUENCER_RESOLVING;
}

static nw_status recover_answered(struct nw_sequencer *seq, const struct nw_task *task)
{
    struct nw_error cause = task->error;
    uint32_t committed = 0;
    nw_status status = task->status;

    if (status == NW_OK) {
        status = nw_sink_recovery_check(seq->sink, &task->recovery, &cause);
    }
    if (status == NW_OK) {
        status = positions_compare(seq, &task->recovery, &committed, &cause);
    }
    if (status == NW_RETRY) {
        return recover_begin(seq, &cause);
    }
    if (status != NW_OK) {
        return nw_sequencer_fail(seq, &cause, NULL);
    }
    seq->refusing = false;
    recover_apply(seq, committed);
    return NW_OK;
}

/* Repeats the verdicts, one call after the other; then delivery begins again. */
static nw_status resolve_step(struct nw_sequencer *seq, uint32_t *work)
{
    struct nw_sink *sink = seq->sink;
    const struct nw_recovery *recovery = &sink->control.recovery;

    while (seq->resolve_next < recovery->copies_count) {
        const struct nw_copy_state *copy = &recovery->copies[seq->resolve_next++];
        const struct nw_verdict *verdict;

        if (copy->complete) {
            continue;
        }
        verdict = nw_sink_verdict_find(sink, copy->relation_oid, copy->generation);
        if (verdict == NULL) {
            struct nw_error cause = {0};

            (void)nw_fail(
                &cause, NW_FATAL,
                "NW2406 recover() gave generation %u of the copy of table %u, which this run "
                "did not begin: another process writes to this sink",
                copy->generation, copy->relation_oid);
            return nw_sequencer_fail(seq, &cause, NULL);
        }
        sink->control.relation_oid = copy->relation_oid;
        sink->control.generation = copy->generation;
        sink->control.verdict = verdict->verdict;
        nw_sink_control_post(sink, NW_TASK_RESOLVE);
        *work += 1;
        return NW_OK;
    }
    nw_dispatch_rewind(seq);
    seq->state = NW_SEQUENCER_RUNNING;
    *work += 1;
    return NW_OK;
}

static nw_status control_take(struct nw_sequencer *seq, uint32_t *work)
{
    const struct nw_task *task = nw_sink_control_take(seq->sink);

    if (task == NULL) {
        return NW_OK;
    }
    *work += 1;
    if (task->kind == NW_TASK_COMMIT) {
        return commit_answered(seq, task);
    }
    if (task->kind == NW_TASK_RECOVER) {
        return recover_answered(seq, task);
    }
    if (task->kind == NW_TASK_LETTERS) {
        return nw_letters_written(seq, task);
    }
    NW_ASSERT(task->kind == NW_TASK_RESOLVE);
    if (task->status == NW_RETRY) {
        return recover_begin(seq, &task->error);
    }
    return task->status == NW_OK ? NW_OK : nw_sequencer_fail(seq, &task->error, NULL);
}

static nw_status state_step(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    switch (seq->state) {
    case NW_SEQUENCER_RUNNING:
        return commit_start(seq, work, err);
    case NW_SEQUENCER_QUIESCING:
        if (sink_rests(seq)) {
            seq->resume_ns = seq->now_ns + recover_pause(seq);
            seq->state = NW_SEQUENCER_PAUSING;
            *work += 1;
        }
        return NW_OK;
    case NW_SEQUENCER_PAUSING:
        if (seq->now_ns >= seq->resume_ns) {
            nw_sink_control_post(seq->sink, NW_TASK_RECOVER);
            seq->state = NW_SEQUENCER_RECOVERING;
            *work += 1;
        }
        return NW_OK;
    case NW_SEQUENCER_RESOLVING:
        return seq->sink->control_out ? NW_OK : resolve_step(seq, work);
    case NW_SEQUENCER_RECOVERING:
    case NW_SEQUENCER_FAILED:
        break;
    }
    return NW_OK;
}

nw_status nw_commit_step(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    nw_status status = tasks_take(seq, work);

    if (status == NW_OK) {
        status = control_take(seq, work);
    }
    if (status == NW_OK && seq->state == NW_SEQUENCER_RUNNING) {
        status = pending_check(seq, work);
    }
    if (status == NW_OK) {
        status = state_step(seq, work, err);
    }
    return status;
}
