/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See stream.h. Everything belongs to the source agent's thread; a job that is under way owns the
 * fields that it fills until it is collected.
 */
#include "source/stream_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pg/types.h"

#define FLUSH_NS         2000000LL   /* a row waits no longer than this in an open block */
#define BACKOFF_NS_MIN   100000000LL /* 100 ms, doubling */
#define GOING_ON_IN_TEXT "NW2109"    /* the connection is given up for one in another form */
#define BACKOFF_NS_MAX   30000000000LL
#define SETTLED_NS       10000000000LL /* a connection that lasted this long resets the backoff */
#define STARVED_US                                                                                 \
    1000000LL /* feedback at least this often while what the server asks is not read */
#define HURRY_US             100000LL /* and while the server is asked how far it is */
#define COPY_EPOCH_NS        250000000LL
#define LAST_EPOCH_NS        10000000LL /* the same, when all is read and only waits to be durable */
#define DRAIN_TRANSACTION_NS 5000000000LL
#define DISK_POLL_NS         50000LL /* a spill write or read is under way: nobody rings for it */

static nw_status connect_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.connect(source->options.context, source->start_lsn, &source->walsender,
                                   err);
}

static nw_status remove_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return nw_spool_remove(source->options.spool, err);
}

static nw_status disconnect_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    (void)err;
    source->options.disconnect(source->options.context, &source->walsender);
    return NW_OK;
}

static nw_status describe_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    source->described = NULL;
    return source->options.describe(source->options.context, source->describe_oid,
                                    source->describe_xid, &source->described, err);
}

static nw_status stop_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.stop == NULL
               ? NW_OK
               : source->options.stop(source->options.context, &source->stop, &source->stop_backlog,
                                      err);
}

nw_status nw_source_create(const struct nw_source_options *options, struct nw_source **source,
                           struct nw_error *err)
{
    struct nw_source *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the source");
    }
    made->options = *options;
    made->backoff_ns = BACKOFF_NS_MIN;
    made->connect_job = (struct nw_job){.run = connect_run, .context = made};
    made->disconnect_job = (struct nw_job){.run = disconnect_run, .context = made};
    made->describe_job = (struct nw_job){.run = describe_run, .context = made};
    made->watch.job = (struct nw_job){.run = nw_source_watch_run, .context = made};
    made->backlogs.end_job = (struct nw_job){.run = nw_source_backlog_end_run, .context = made};
    made->stop_job = (struct nw_job){.run = stop_run, .context = made};
    made->recorder.remove_job = (struct nw_job){.run = remove_run, .context = made};
    made->copies = NW_COPIES_RUNNING;
    made->recorder.recording = made->recorder.holding = options->spool != NULL;
    if (nw_told_create(&made->told, err) != NW_OK ||
        (options->spool != NULL && nw_relations_create(&made->recorder.relations, err) != NW_OK)) {
        nw_told_destroy(made->told);
        free(made);
        return NW_FATAL;
    }
    *source = made;
    return NW_OK;
}

void nw_source_destroy(struct nw_source *source)
{
    if (source == NULL) {
        return;
    }
    /* A connection may have been made and not taken yet, or given up and not closed yet. */
    (void)nw_jobs_collect(source->options.jobs);
    if (source->connected || source->disconnect_job.pending ||
        (source->phase == NW_SOURCE_CONNECTING && !source->connect_job.pending &&
         source->connect_job.status == NW_OK)) {
        source->options.disconnect(source->options.context, &source->walsender);
    }
    nw_backlog_destroy(source->stop_backlog);
    nw_source_backlogs_destroy(source);
    free((void *)source->watch.tables);
    nw_relations_destroy(source->recorder.relations);
    nw_told_destroy(source->told);
    free((void *)source->watch.look.dropped);
    free(source);
}

void nw_source_start(struct nw_source *source, uint64_t lsn)
{
    source->start_lsn = lsn;
    source->flush_lsn = lsn;
    nw_dealer_advance(source->options.dealer,
                      source->options.spool == NULL ? lsn : source->options.spool_lsn);
    source->copies = source->recorder.holding ? source->copies : NW_COPIES_NONE;
    source->phase = NW_SOURCE_WAITING;
    source->retry_ns = 0;
}

void nw_source_release(struct nw_source *source)
{
    source->recorder.holding = false;
    source->copies = NW_COPIES_NONE;
}

void nw_source_copies(struct nw_source *source, enum nw_source_copies copies)
{
    source->copies = copies;
}

void nw_source_joined(struct nw_source *source)
{
    source->joined = true;
}

void nw_source_hurry(struct nw_source *source, uint64_t lsn)
{
    source->hurry_lsn = lsn > source->hurry_lsn ? lsn : source->hurry_lsn;
}

void nw_source_drain(struct nw_source *source, int64_t now_ns)
{
    source->draining = true;
    source->drain_ns = now_ns;
}

void nw_source_acknowledge(struct nw_source *source, uint64_t flush_lsn)
{
    if (flush_lsn > source->flush_lsn) {
        source->flush_lsn = flush_lsn;
    }
}

void nw_source_ready(struct nw_source *source, bool ready)
{
    source->ready = ready;
}

bool nw_source_ended(struct nw_source *source, uint64_t *epoch, uint64_t *lsn)
{
    if (source->ended_count == 0) {
        return false;
    }
    *epoch = source->ended[source->ended_head % NW_SOURCE_EPOCHS_KEPT].epoch;
    *lsn = source->ended[source->ended_head % NW_SOURCE_EPOCHS_KEPT].lsn;
    source->ended_head++;
    source->ended_count--;
    return true;
}

static enum nw_source_spooling spooling_of(const struct nw_source *source)
{
    const struct nw_recorder *recorder = &source->recorder;

    return source->options.spool == NULL || recorder->ending ? NW_SPOOLING_NONE
           : recorder->holding                               ? NW_SPOOLING_RECORDING
           : recorder->recording                             ? NW_SPOOLING_READING
                                                             : NW_SPOOLING_READ;
}

void nw_source_status(const struct nw_source *source, struct nw_source_status *status)
{
    status->phase = source->phase;
    status->received_lsn = source->received_lsn;
    status->server_lsn = source->server_lsn;
    status->server_ahead_us = source->server_ahead_us;
    status->flush_lsn = source->told_lsn;
    status->reconnects = source->reconnects;
    status->streamed = nw_txns_count(source->options.txns);
    status->spilled_bytes = nw_txns_spilled_bytes(source->options.txns);
    status->last_error = source->last_error;
    memset(&status->spool, 0, sizeof status->spool);
    status->spool_blocked[0] = '\0';
    status->spooling = spooling_of(source);
    if (status->spooling != NW_SPOOLING_NONE) {
        const char *blocked = nw_spool_blocked(source->options.spool);

        nw_spool_status(source->options.spool, &status->spool);
        if (blocked != NULL) {
            (void)snprintf(status->spool_blocked, sizeof status->spool_blocked, "%s", blocked);
        }
    }
    nw_source_backlogs_status(source, status);
    nw_dealer_state(source->options.dealer, &status->dealer);
}

/* ---- the connection ---- */

void nw_source_reconnect(struct nw_source *source, int64_t now_ns, const struct nw_error *why)
{
    source->phase = NW_SOURCE_WAITING;
    source->retry_ns = now_ns + (why == NULL ? 0 : source->backoff_ns);
    source->has_pending = false;
    if (!source->recorder.recording) { /* else the spool tells, in its place */
        nw_source_forget(source);
    }
    if (source->connected) {
        source->connected = false;
        nw_jobs_submit(source->options.jobs, &source->disconnect_job);
    }
}

/* The connection is of no use any more: close it, and try again after a while. */
static void connection_lost(struct nw_source *source, int64_t now_ns, const struct nw_error *why)
{
    source->last_error = *why;
    nw_log(NW_LOG_WARN, "%.6s replication connection lost: %s; trying again in %.1f s",
           nw_error_code(why), nw_code_rest(why->text), (double)source->backoff_ns / 1e9);
    nw_source_reconnect(source, now_ns, why);
    source->backoff_ns *= 2;
    if (source->backoff_ns > BACKOFF_NS_MAX) {
        source->backoff_ns = BACKOFF_NS_MAX;
    }
}

/* From where the server is to send. What was recorded need not come again. */
static uint64_t start_of(const struct nw_source *source)
{
    uint64_t lsn = source->flush_lsn > source->start_lsn ? source->flush_lsn : source->start_lsn;

    if (source->recorder.recording) {
        struct nw_spool_status spool;

        nw_spool_status(source->options.spool, &spool);
        lsn = spool.end_lsn > lsn ? spool.end_lsn : lsn;
    }
    return lsn;
}

static nw_status connection_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                 struct nw_error *err)
{
    if (source->disconnect_job.pending || source->describe_job.pending ||
        source->stop_job.pending) {
        return NW_OK;
    }
    if (source->phase == NW_SOURCE_WAITING && now_ns >= source->retry_ns && !source->draining) {
        source->phase = NW_SOURCE_CONNECTING;
        source->start_lsn = start_of(source);
        source->walsender.text_only =
            source->recorder.recording || nw_dealer_wants_text(source->options.dealer);
        nw_jobs_submit(source->options.jobs, &source->connect_job);
        *work += 1;
    } else if (source->phase == NW_SOURCE_CONNECTING && !source->connect_job.pending) {
        *work += 1;
        if (source->connect_job.status == NW_OK) {
            char lsn[NW_LSN_TEXT_SIZE];

            source->connected = true;
            source->phase = NW_SOURCE_STREAMING;
            source->reconnects++;
            nw_source_spool_connected(source);
            source->told_ns = source->connected_ns = now_ns;
            nw_log(NW_LOG_INFO, "streaming from %s, values in %s",
                   nw_lsn_text(lsn, source->start_lsn),
                   source->walsender.binary ? "binary" : "text");
        } else if (source->connect_job.status == NW_RETRY) {
            connection_lost(source, now_ns, &source->connect_job.error);
        } else {
            *err = source->connect_job.error;
            return source->connect_job.status;
        }
    }
    return NW_OK;
}

/* The server is to say how far it is: it would by itself, but only now and then. */
static bool asks(const struct nw_source *source)
{
    return source->hurry_lsn > source->server_lsn;
}

static nw_status feedback_send(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    uint64_t written =
        source->received_lsn > source->flush_lsn ? source->received_lsn : source->flush_lsn;
    struct nw_status_update update = {.written_lsn = written,
                                      .flushed_lsn = source->flush_lsn,
                                      .applied_lsn = source->flush_lsn,
                                      .reply = asks(source),
                                      .now_us =
                                          source->options.env->ops->wall_us(source->options.env)};
    uint8_t body[NW_STATUS_UPDATE_SIZE];

    nw_status_update_build(&update, body);
    source->told_ns = now_ns;
    source->told_lsn = source->flush_lsn;
    return nw_transmitter_queue(source->walsender.transmitter, 'd', body, sizeof body, err);
}

static int64_t feedback_due_ns(const struct nw_source *source)
{
    int64_t every_us = source->options.status_us;

    if (source->starved && every_us > STARVED_US) {
        every_us = STARVED_US;
    }
    every_us = asks(source) && every_us > HURRY_US ? HURRY_US : every_us;
    return source->told_ns + every_us * 1000;
}

/* Feedback leaves when it is due, when the server asked, and when there is news. */
static nw_status feedback_step(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    bool due = now_ns >= feedback_due_ns(source);
    bool news = source->flush_lsn > source->told_lsn && now_ns - source->told_ns >= 100000000;
    nw_status status = NW_OK;

    if (due || news || source->demanded) {
        source->demanded = false;
        status = feedback_send(source, now_ns, err);
    }
    if (status == NW_OK) {
        status = nw_transmitter_flush(source->walsender.transmitter, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- epochs ---- */

/* Nothing is dealt but rows of copies, whose epochs have no position. */
static bool is_copying(const struct nw_source *source)
{
    return source->phase == NW_SOURCE_COPYING || source->recorder.holding;
}

static int64_t copy_epoch_ns(const struct nw_source *source)
{
    return source->copies == NW_COPIES_READ ? LAST_EPOCH_NS : COPY_EPOCH_NS;
}

/* Rows of copies need no row of the stream for their epoch to end. */
static bool copies_are_due(const struct nw_source *source, int64_t now_ns)
{
    return source->copies != NW_COPIES_NONE && source->ready &&
           now_ns - source->epoch_ended_ns >= copy_epoch_ns(source);
}

static bool epoch_is_due(const struct nw_source *source, const struct nw_dealer_state *state,
                         int64_t now_ns, bool idle)
{
    int64_t age_ns = state->epoch_first_ns == 0 ? 0 : now_ns - state->epoch_first_ns;

    if (is_copying(source) || copies_are_due(source, now_ns)) {
        return copies_are_due(source, now_ns);
    }
    if (state->epoch_rows == 0) { /* the first epoch of a stream gives the sinks their position */
        bool hurries =
            source->hurry_lsn > state->epoch_lsn && state->position_lsn >= source->hurry_lsn;

        return state->position_lsn > state->epoch_lsn &&
               (state->epoch_lsn == 0 || source->draining || source->demanded || hurries ||
                now_ns - source->epoch_ended_ns >= source->options.idle_us * 1000);
    }
    if (source->draining || state->epoch_bytes >= source->options.epoch_bytes_max ||
        age_ns >= source->options.epoch_us_max * 1000) {
        return true;
    }
    return source->ready && (idle || age_ns >= FLUSH_NS);
}

/* Says how far a position goes that sinks get. */
static void epoch_tell(const struct nw_source *source, uint64_t lsn)
{
    if (source->options.epoch_ended != NULL && !is_copying(source)) {
        source->options.epoch_ended(source->options.context, lsn);
    }
}

nw_status nw_source_epoch(struct nw_source *source, int64_t now_ns, bool idle, uint32_t *work,
                          struct nw_error *err)
{
    struct nw_dealer_state state;
    struct nw_source_ended *ended = NULL;
    uint64_t lsn = 0;
    nw_status status = NW_OK;

    nw_dealer_state(source->options.dealer, &state);
    if (state.between && !is_copying(source)) {
        status = nw_dealer_drops_deal(source->options.dealer, now_ns, err);
        if (status != NW_OK) {
            return status == NW_AGAIN ? NW_OK : status;
        }
        nw_dealer_state(source->options.dealer, &state);
    }
    if (state.between && source->ended_count < NW_SOURCE_EPOCHS_KEPT &&
        epoch_is_due(source, &state, now_ns, idle)) {
        status =
            nw_dealer_end_epoch(source->options.dealer, !is_copying(source), now_ns, &lsn, err);
        if (status == NW_OK) {
            ended =
                &source->ended[(source->ended_head + source->ended_count) % NW_SOURCE_EPOCHS_KEPT];
            *ended = (struct nw_source_ended){state.epoch, lsn};
            source->ended_count++;
            source->epoch_ended_ns = now_ns;
            epoch_tell(source, lsn);
            source->ready = false; /* until the acknowledger says so again */
            *work += 1;
        }
    } else if (state.oldest_open_ns != 0 && now_ns - state.oldest_open_ns >= FLUSH_NS) {
        status = nw_dealer_flush(source->options.dealer, err);
        *work += status == NW_OK;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

bool nw_source_drained(const struct nw_source *source, int64_t now_ns)
{
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    if (!source->draining || state.epoch_rows == 0) {
        return source->draining;
    }
    /* What a sink has of the epoch may come twice if it does not end: a transaction that is under
     * way is waited for, but not for long. */
    return !state.between && (source->phase != NW_SOURCE_STREAMING ||
                              now_ns - source->drain_ns >= DRAIN_TRANSACTION_NS);
}

/* ---- the agent ---- */

static bool commit_seen(const struct nw_message *message)
{
    /* An XLogData whose payload is a Commit: 25 bytes of header before the type. */
    return message->type == 'd' && message->body.size > 25 && message->body.at[25] == 'C';
}

/* The next message, into `pending`; at most once a step, for bytes are to gather, it reads more. */
static nw_status pending_receive(struct nw_source *source, int64_t now_ns, bool *filled,
                                 uint32_t *work, struct nw_error *err)
{
    size_t got = 0;
    nw_status status = NW_OK;

    /* What is recorded must be whole. */
    nw_receiver_limit(source->walsender.receiver,
                      source->recorder.recording ? 0 : source->options.row_bytes_max);
    status = nw_receiver_next(source->walsender.receiver, &source->pending, err);

    source->has_pending = status == NW_OK;
    if (status == NW_AGAIN && !*filled) {
        *filled = true;
        status = nw_receiver_fill(source->walsender.receiver, now_ns, &got, err);
        *work += got > 0;
    }
    return status;
}

static nw_status pending_take(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    nw_status status = nw_source_message(source, &source->pending, now_ns, err);

    source->starved = status == NW_AGAIN;
    if (status != NW_OK) {
        return status;
    }
    source->has_pending = false;
    *work += 1;
    return commit_seen(&source->pending) ? nw_source_epoch(source, now_ns, false, work, err)
                                         : NW_OK;
}

/* A streamed transaction is read back, behind which the next message waits. While the stream is
 * recorded nothing waits for it: the spool is read beside. */
static bool replays(const struct nw_source *source)
{
    return source->replaying && !source->recorder.recording;
}

/* Receives and takes messages until there are none, the dealer is full, or the step is over. */
static nw_status receive_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    nw_status status = NW_OK;
    bool filled = false;

    source->starved = source->on_disk = false;
    for (int i = 0; i < NW_SOURCE_STEP_MAX && status == NW_OK && !nw_source_is_over(source); i++) {
        if (replays(source)) {
            status = nw_source_replay(source, now_ns, err);
            continue;
        }
        if (!source->has_pending) {
            status = pending_receive(source, now_ns, &filled, work, err);
        }
        if (status == NW_OK && source->has_pending) {
            status = pending_take(source, now_ns, work, err);
        }
    }
    source->starved = source->starved || (replays(source) && status == NW_AGAIN);
    source->on_disk =
        source->starved && !source->recorder.recording && (source->replaying || source->in_stream);
    return status;
}

static bool all_binary(const struct nw_source *source)
{
    for (uint32_t i = 0; i < nw_schemas_count(source->options.schemas); i++) {
        if (!nw_table_is_binary(nw_schemas_at(source->options.schemas, i))) {
            return false;
        }
    }
    return true;
}

/* What was recorded came as text. Binary is cheaper for both sides, and the connection is made new
 * for it once nothing is under way that would come twice. */
static void upgrade_step(struct nw_source *source, int64_t now_ns)
{
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    if (!source->recorder.upgrading || source->draining || !state.between || source->in_stream ||
        source->replaying || source->has_pending || nw_txns_count(source->options.txns) > 0 ||
        nw_dealer_unknown(source->options.dealer) != NULL) {
        return;
    }
    source->recorder.upgrading = false;
    if (all_binary(source)) {
        nw_source_reconnect(source, now_ns, NULL);
    }
}

/* What it was asked for when the connection was made may not do for a table that came back. */
static nw_status joined_check(struct nw_source *source, struct nw_error *err)
{
    bool fits = !source->joined || !source->walsender.binary || all_binary(source);

    source->joined = false;
    return fits
               ? NW_OK
               : nw_fail(
                     err, NW_RETRY,
                     "NW2109 a table that is copied has a column whose binary form is not decoded: "
                     "going on in text");
}

bool nw_source_rests(const struct nw_source *source)
{
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    return state.between && !source->replaying;
}

bool nw_source_is_over(const struct nw_source *source)
{
    return source->draining && nw_source_rests(source);
}

/* The connection is of no use: for a fault, or for one in another form. */
static void given_up(struct nw_source *source, int64_t now_ns, const struct nw_error *why)
{
    if (strncmp(why->text, GOING_ON_IN_TEXT, NW_CODE_LENGTH) == 0) {
        nw_log(NW_LOG_INFO, "%s", why->text); /* it is no fault, and there is none to wait for */
        nw_source_reconnect(source, now_ns, NULL);
    } else {
        connection_lost(source, now_ns, why);
    }
}

static nw_status streaming_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                struct nw_error *err)
{
    bool idle = false;
    nw_status status = joined_check(source, err);

    if (status == NW_OK && !source->recorder.recording) {
        nw_source_watch(source, now_ns);
        status = nw_source_stop(source, work, err);
        status = status == NW_OK ? nw_source_describe(source, now_ns, work, err) : status;
    }
    if (status == NW_OK && source->backlogs.playing == NULL && !nw_source_is_over(source)) {
        status = receive_step(source, now_ns, work, err);
        idle = status == NW_AGAIN && !source->starved;
        status = status == NW_AGAIN ? NW_OK : status;
    }
    if (status == NW_OK) {
        if (now_ns - source->connected_ns >= SETTLED_NS) {
            source->backoff_ns = BACKOFF_NS_MIN;
        }
        status = nw_source_epoch(source, now_ns, idle, work, err);
    }
    if (status == NW_OK) {
        status = feedback_step(source, now_ns, err);
    }
    if (status == NW_OK) {
        upgrade_step(source, now_ns);
    }
    if (status == NW_RETRY) {
        struct nw_error why = *err;

        given_up(source, now_ns, &why);
        *work += 1;
        return NW_OK;
    }
    return status;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_source *source = self;

    nw_status status = NW_OK;

    *work += nw_jobs_collect(source->options.jobs);
    status = nw_source_spool(source, now_ns, work, err);
    if (status == NW_OK) {
        status = nw_source_backlogs(source, now_ns, work, err);
    }
    if (status != NW_OK) {
        return status;
    }
    if (source->phase == NW_SOURCE_STREAMING) {
        return streaming_step(source, now_ns, work, err);
    }
    if (source->phase != NW_SOURCE_COPYING) {
        status = nw_source_stop(source, work, err); /* one that was recorded meanwhile */
        if (status != NW_OK) {
            return status;
        }
        status = connection_step(source, now_ns, work, err);
        if (status != NW_OK) {
            return status;
        }
    }
    return nw_source_epoch(source, now_ns, true, work, err);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A file's operation is under way, for which nobody rings; a job that the dealer waits for does. */
static bool waits_for_disk(const struct nw_source *source)
{
    return (source->on_disk || source->recorder.on_disk || source->backlogs.on_disk) &&
           nw_dealer_unknown(source->options.dealer) == NULL &&
           nw_dealer_stopping(source->options.dealer) == NULL;
}

/* Of the connection: bytes from it, feedback, or another try. */
static void connection_wait(struct nw_source *source, int64_t now_ns, struct nw_wait *wait)
{
    if (source->phase == NW_SOURCE_STREAMING) {
        if (!source->starved && !nw_source_is_over(source) && source->backlogs.playing == NULL) {
            nw_receiver_wait(source->walsender.receiver, now_ns, wait);
        }
        wait->deadline_ns = earlier(wait->deadline_ns, feedback_due_ns(source));
        if (source->flush_lsn > source->told_lsn) {
            wait->deadline_ns = earlier(wait->deadline_ns, source->told_ns + 100000000);
        }
    } else if (source->phase == NW_SOURCE_WAITING) {
        wait->deadline_ns = source->retry_ns;
    }
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_source *source = self;
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    connection_wait(source, now_ns, wait);
    if (source->copies != NW_COPIES_NONE) {
        wait->deadline_ns = earlier(wait->deadline_ns, now_ns + copy_epoch_ns(source) / 8);
    }
    wait->deadline_ns = earlier(wait->deadline_ns, nw_source_spool_deadline(source, now_ns));
    wait->deadline_ns = earlier(wait->deadline_ns, nw_source_backlogs_deadline(source, now_ns));
    if (source->unseen_ns != 0 && !source->describe_job.pending) {
        wait->deadline_ns = earlier(wait->deadline_ns, source->describe_ns);
    }
    if (waits_for_disk(source)) {
        wait->deadline_ns = earlier(wait->deadline_ns, now_ns + DISK_POLL_NS);
    }
    if (state.oldest_open_ns != 0) {
        wait->deadline_ns = earlier(wait->deadline_ns, state.oldest_open_ns + FLUSH_NS);
    }
    if (state.epoch_first_ns != 0) {
        wait->deadline_ns =
            earlier(wait->deadline_ns, state.epoch_first_ns + source->options.epoch_us_max * 1000);
    }
    wait->deadline_ns = wait->deadline_ns <= now_ns ? now_ns + 1000000 : wait->deadline_ns;
}

struct nw_agent nw_source_agent(struct nw_source *source)
{
    return (struct nw_agent){
        .name = "source", .self = source, .do_work = do_work, .wait = wait_for};
}
