/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See stream.h. Everything belongs to the source agent's thread; a job that is under way owns the
 * fields that it fills until it is collected.
 */
#include "source/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pg/replication.h"

#define MESSAGES_PER_STEP 8192
#define FLUSH_NS          2000000LL   /* a row waits no longer than this in an open block */
#define BACKOFF_NS_MIN    100000000LL /* 100 ms, doubling */
#define BACKOFF_NS_MAX    30000000000LL
#define SETTLED_NS        10000000000LL /* a connection that lasted this long resets the backoff */
#define STARVED_US                                                                                 \
    1000000LL /* feedback at least this often while what the server asks is not read */
#define EPOCHS_KEPT   1024u /* ended and not yet fetched by the acknowledger */
#define COPY_EPOCH_NS 250000000LL
#define DISK_POLL_NS  50000LL /* a spill write or read is under way: nobody rings for it */

struct ended {
    uint64_t epoch, lsn;
};

struct nw_source {
    struct nw_source_options options;
    enum nw_source_phase phase;
    struct nw_walsender walsender;
    bool connected;
    bool draining;
    bool ready;
    bool demanded; /* the server waits for an answer */
    uint64_t start_lsn, flush_lsn, received_lsn, server_lsn, told_lsn;
    int64_t server_ahead_us;
    int64_t told_ns; /* last feedback */
    int64_t epoch_ended_ns;
    int64_t retry_ns, backoff_ns;
    int64_t connected_ns;
    uint64_t reconnects;
    struct nw_error last_error;

    struct nw_message pending; /* received, not yet taken */
    bool has_pending;
    bool starved; /* the dealer could not take more: a returned block rings our bell */
    bool on_disk; /* a streamed transaction waits for its file */

    bool in_stream; /* between Stream Start and Stream Stop */
    uint32_t stream_xid;
    bool replaying; /* a committed streamed transaction is read back */
    struct nw_pgoutput_commit replayed;
    struct nw_txn_record record;
    bool has_record, replay_end;

    struct nw_job connect_job, disconnect_job, describe_job, stop_job;
    struct nw_dealer_stop stop; /* the job's */
    bool stop_asked;
    uint32_t describe_oid;
    const struct nw_table *described;
    bool has_described;

    struct ended ended[EPOCHS_KEPT];
    uint32_t ended_head, ended_count;
};

static nw_status connect_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.connect(source->options.context, source->start_lsn, &source->walsender,
                                   err);
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
                                    &source->described, err);
}

static nw_status stop_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.stop == NULL
               ? NW_OK
               : source->options.stop(source->options.context, &source->stop, err);
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
    made->stop_job = (struct nw_job){.run = stop_run, .context = made};
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
    free(source);
}

void nw_source_start(struct nw_source *source, uint64_t lsn)
{
    source->start_lsn = lsn;
    source->flush_lsn = lsn;
    nw_dealer_advance(source->options.dealer, lsn);
    source->phase = NW_SOURCE_WAITING;
    source->retry_ns = 0;
}

void nw_source_drain(struct nw_source *source)
{
    source->draining = true;
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
    *epoch = source->ended[source->ended_head % EPOCHS_KEPT].epoch;
    *lsn = source->ended[source->ended_head % EPOCHS_KEPT].lsn;
    source->ended_head++;
    source->ended_count--;
    return true;
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
    nw_dealer_state(source->options.dealer, &status->dealer);
}

/* ---- the connection ---- */

/* The connection is of no use any more: close it, and try again after a while. */
static void connection_lost(struct nw_source *source, int64_t now_ns, const struct nw_error *why)
{
    source->last_error = *why;
    source->phase = NW_SOURCE_WAITING;
    source->retry_ns = now_ns + source->backoff_ns;
    nw_log(NW_LOG_WARN, "replication connection lost: %s; trying again in %.1f s", why->text,
           (double)source->backoff_ns / 1e9);
    source->backoff_ns *= 2;
    if (source->backoff_ns > BACKOFF_NS_MAX) {
        source->backoff_ns = BACKOFF_NS_MAX;
    }
    source->has_pending = source->in_stream = source->replaying = source->has_record = false;
    source->has_described = source->stop_asked = false;
    nw_txns_reset(source->options.txns);
    nw_dealer_reconnected(source->options.dealer);
    if (source->connected) {
        source->connected = false;
        nw_jobs_submit(source->options.jobs, &source->disconnect_job);
    }
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
        if (source->flush_lsn > source->start_lsn) {
            source->start_lsn = source->flush_lsn;
        }
        nw_jobs_submit(source->options.jobs, &source->connect_job);
        *work += 1;
    } else if (source->phase == NW_SOURCE_CONNECTING && !source->connect_job.pending) {
        *work += 1;
        if (source->connect_job.status == NW_OK) {
            char lsn[NW_LSN_TEXT_SIZE];

            source->connected = true;
            source->phase = NW_SOURCE_STREAMING;
            source->reconnects++;
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

static nw_status feedback_send(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    uint64_t written =
        source->received_lsn > source->flush_lsn ? source->received_lsn : source->flush_lsn;
    struct nw_status_update update = {.written_lsn = written,
                                      .flushed_lsn = source->flush_lsn,
                                      .applied_lsn = source->flush_lsn,
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

/* ---- messages ---- */

/* A message inside a streamed transaction: stored in its place, without the xid after its type. */
static nw_status stream_store(struct nw_source *source, const struct nw_replication_message *data,
                              struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(data->data.at, data->data.size);
    struct nw_txn_change change = {
        .lsn = data->start_lsn, .subxid = source->stream_xid, .type = nw_cursor_u8(&cursor)};

    if (change.type != 'O') { /* the only one that carries no xid */
        change.subxid = nw_cursor_u32be(&cursor);
    }
    if (cursor.failed) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a message in a stream ends early");
    }
    change.rest = (struct nw_bytes){cursor.at, cursor.left};
    return nw_txns_append(source->options.txns, source->stream_xid, &change, err);
}

static nw_status stream_commit(struct nw_source *source, struct nw_bytes payload,
                               struct nw_error *err)
{
    struct nw_pgoutput_begin begin = {0};
    nw_status status = nw_pgoutput_stream_commit_parse(payload, &source->replayed, err);

    if (status != NW_OK) {
        return status;
    }
    begin.commit_lsn = source->replayed.commit_lsn;
    begin.commit_ts = source->replayed.commit_ts;
    begin.xid = source->replayed.xid;
    status = nw_dealer_begin(source->options.dealer, &begin, err);
    if (status == NW_OK) {
        status = nw_txns_open(source->options.txns, source->replayed.xid, err);
    }
    source->replaying = status == NW_OK;
    source->replay_end = source->has_record = false;
    return status;
}

static nw_status payload_take(struct nw_source *source, const struct nw_replication_message *data,
                              int64_t now_ns, struct nw_error *err)
{
    struct nw_pgoutput_abort undone = {0};
    char type = data->data.size == 0 ? '\0' : (char)data->data.at[0];
    nw_status status = NW_OK;

    switch (type) {
    case 'S':
        if (source->in_stream) {
            return nw_fail(err, NW_CORRUPT, "pgoutput: a stream starts inside a stream");
        }
        status = nw_pgoutput_stream_start_parse(data->data, &source->stream_xid, err);
        source->in_stream = status == NW_OK;
        return status;
    case 'E':
        source->in_stream = false;
        return NW_OK;
    case 'c':
        return stream_commit(source, data->data, err);
    case 'A':
        status = nw_pgoutput_stream_abort_parse(data->data, &undone, err);
        return status == NW_OK ? nw_txns_abort(source->options.txns, undone.xid, undone.subxid, err)
                               : status;
    default:
        return source->in_stream ? stream_store(source, data, err)
                                 : nw_dealer_take(source->options.dealer, data->start_lsn, now_ns,
                                                  data->data, err);
    }
}

/* Reads a committed streamed transaction back into the dealer. */
static nw_status replay_step(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (!source->has_record && !source->replay_end) {
        status = nw_txns_next(source->options.txns, &source->record, &source->replay_end, err);
        if (status != NW_OK) {
            return status;
        }
        source->has_record = !source->replay_end;
    }
    if (source->has_record) {
        status = nw_dealer_take(source->options.dealer, source->record.lsn, now_ns,
                                source->record.message, err);
        source->has_record = status == NW_AGAIN;
        return status;
    }
    status = nw_dealer_commit(source->options.dealer, &source->replayed, err);
    if (status == NW_OK) {
        source->replaying = false;
    }
    return status;
}

static nw_status server_failed(struct nw_bytes body, struct nw_error *err)
{
    struct nw_server_error error;

    nw_server_error_parse(body, &error);
    if (strstr(error.message, "could not map filenumber") != NULL ||
        strstr(error.message, "could not map filenode") != NULL) {
        return nw_fail(
            err, NW_FATAL,
            "the server says: %s. The slot was made while a table was rewritten or "
            "truncated, and cannot be decoded: drop the slot, and let narwal make it and "
            "the copy again",
            error.message);
    }
    if (strcmp(error.sqlstate, "42704") == 0) { /* undefined object */
        return nw_fail(err, NW_FATAL,
                       "the server says: %s. A publication that was dropped is missing in the WAL "
                       "from there on, even when it is made again: drop the slot, make both anew, "
                       "and copy again",
                       error.message);
    }
    return nw_fail(err, NW_RETRY, "the server says: %s (%s)", error.message, error.sqlstate);
}

/* Keepalives are few and say when they were sent: enough to know the server's clock. */
static void clock_compare(struct nw_source *source, int64_t sent_us)
{
    int64_t ahead_us = 0;

    if (sent_us != 0 && /* some servers leave it out */
        !__builtin_sub_overflow(sent_us, source->options.env->ops->wall_us(source->options.env),
                                &ahead_us)) {
        source->server_ahead_us = ahead_us;
    }
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static nw_status message_take(struct nw_source *source, const struct nw_message *message,
                              int64_t now_ns, struct nw_error *err)
{
    struct nw_replication_message data = {0};
    nw_status status = NW_OK;

    if (message->type == 'E') {
        return server_failed(message->body, err);
    }
    if (message->type == 'c' || message->type == 'C' || message->type == 'Z') {
        return nw_fail(err, NW_RETRY, "the server ended the stream");
    }
    if (message->type != 'd') { /* notices and parameter changes */
        return NW_OK;
    }
    status = nw_replication_message_parse(message->body, &data, err);
    if (status != NW_OK) {
        return status;
    }
    if (data.kind == 'k') {
        clock_compare(source, data.sent_us);
        source->demanded = source->demanded || data.reply;
        nw_dealer_advance(source->options.dealer, data.end_lsn);
        data.start_lsn = data.end_lsn;
    } else {
        status = payload_take(source, &data, now_ns, err);
    }
    if (status == NW_OK) {
        source->received_lsn = later(source->received_lsn, data.start_lsn);
        source->server_lsn = later(source->server_lsn, data.end_lsn);
    }
    return status;
}

/* ---- schema versions ---- */

/* The dealer met a Relation message that it does not know: read the catalog, then go on. */
static nw_status describe_step(struct nw_source *source, uint32_t *work, struct nw_error *err)
{
    const struct nw_relation *unknown = nw_dealer_unknown(source->options.dealer);
    nw_status status = NW_OK;

    if (unknown == NULL || source->describe_job.pending) {
        return NW_OK;
    }
    if (!source->has_described) {
        source->describe_oid = unknown->oid;
        source->has_described = true;
        nw_jobs_submit(source->options.jobs, &source->describe_job);
        *work += 1;
        return NW_OK;
    }
    if (source->describe_job.status != NW_OK) {
        source->has_described = false;
        *err = source->describe_job.error;
        return source->describe_job.status;
    }
    status = nw_dealer_describe(source->options.dealer, source->described, err);
    if (status == NW_OK) {
        const struct nw_table *table =
            nw_schemas_find(source->options.schemas, source->describe_oid);

        source->has_described = false;
        *work += 1;
        if (source->walsender.binary && !nw_table_is_binary(table)) {
            return nw_fail(err, NW_RETRY,
                           "%s.%s has a column whose binary form is not decoded: going on in text",
                           table->schema_name, table->name);
        }
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* A table stops: the others go on once that is recorded. */
static nw_status stop_step(struct nw_source *source, uint32_t *work, struct nw_error *err)
{
    const struct nw_dealer_stop *stop = nw_dealer_stopping(source->options.dealer);

    if (stop == NULL || source->stop_job.pending) {
        return NW_OK;
    }
    *work += 1;
    source->stop_asked = !source->stop_asked;
    if (source->stop_asked) {
        source->stop = *stop;
        nw_jobs_submit(source->options.jobs, &source->stop_job);
        return NW_OK;
    }
    if (source->stop_job.status != NW_OK) {
        *err = source->stop_job.error;
        return source->stop_job.status;
    }
    nw_dealer_stopped(source->options.dealer);
    return NW_OK;
}

/* ---- epochs ---- */

static bool epoch_is_due(const struct nw_source *source, const struct nw_dealer_state *state,
                         int64_t now_ns, bool idle)
{
    int64_t age_ns = state->epoch_first_ns == 0 ? 0 : now_ns - state->epoch_first_ns;

    if (source->phase == NW_SOURCE_COPYING) {
        return now_ns - source->epoch_ended_ns >= COPY_EPOCH_NS && source->ready;
    }
    if (state->epoch_rows == 0) { /* the first epoch of a stream gives the sinks their position */
        return state->position_lsn > state->epoch_lsn &&
               (state->epoch_lsn == 0 || source->draining || source->demanded ||
                now_ns - source->epoch_ended_ns >= source->options.idle_us * 1000);
    }
    if (source->draining || state->epoch_bytes >= source->options.epoch_bytes_max ||
        age_ns >= source->options.epoch_us_max * 1000) {
        return true;
    }
    return source->ready && (idle || age_ns >= FLUSH_NS);
}

static nw_status epoch_step(struct nw_source *source, int64_t now_ns, bool idle, uint32_t *work,
                            struct nw_error *err)
{
    struct nw_dealer_state state;
    struct ended *ended = NULL;
    uint64_t lsn = 0;
    nw_status status = NW_OK;

    nw_dealer_state(source->options.dealer, &state);
    if (state.between && source->ended_count < EPOCHS_KEPT &&
        epoch_is_due(source, &state, now_ns, idle)) {
        status = nw_dealer_end_epoch(source->options.dealer, source->phase != NW_SOURCE_COPYING,
                                     now_ns, &lsn, err);
        if (status == NW_OK) {
            ended = &source->ended[(source->ended_head + source->ended_count) % EPOCHS_KEPT];
            *ended = (struct ended){state.epoch, lsn};
            source->ended_count++;
            source->epoch_ended_ns = now_ns;
            source->ready = false; /* until the acknowledger says so again */
            *work += 1;
        }
    } else if (state.oldest_open_ns != 0 && now_ns - state.oldest_open_ns >= FLUSH_NS) {
        status = nw_dealer_flush(source->options.dealer, err);
        *work += status == NW_OK;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

bool nw_source_drained(const struct nw_source *source)
{
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    return source->draining && (state.epoch_rows == 0 || !state.between);
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
    nw_status status = nw_receiver_next(source->walsender.receiver, &source->pending, err);

    source->has_pending = status == NW_OK;
    if (status == NW_AGAIN && !*filled && !source->draining) {
        *filled = true;
        status = nw_receiver_fill(source->walsender.receiver, now_ns, &got, err);
        *work += got > 0;
    }
    return status;
}

static nw_status pending_take(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    nw_status status = message_take(source, &source->pending, now_ns, err);

    source->starved = status == NW_AGAIN;
    if (status != NW_OK) {
        return status;
    }
    source->has_pending = false;
    *work += 1;
    return commit_seen(&source->pending) ? epoch_step(source, now_ns, false, work, err) : NW_OK;
}

/* Receives and takes messages until there are none, the dealer is full, or the step is over. */
static nw_status receive_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    nw_status status = NW_OK;
    bool filled = false;

    source->starved = source->on_disk = false;
    for (int i = 0; i < MESSAGES_PER_STEP && status == NW_OK; i++) {
        if (source->replaying) {
            status = replay_step(source, now_ns, err);
            continue;
        }
        if (!source->has_pending) {
            status = pending_receive(source, now_ns, &filled, work, err);
        }
        if (status == NW_OK && source->has_pending) {
            status = pending_take(source, now_ns, work, err);
        }
    }
    source->starved = source->starved || (source->replaying && status == NW_AGAIN);
    source->on_disk = source->starved && (source->replaying || source->in_stream);
    return status;
}

static nw_status streaming_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                struct nw_error *err)
{
    struct nw_dealer_state state;
    bool idle = false;
    nw_status status = stop_step(source, work, err);

    status = status == NW_OK ? describe_step(source, work, err) : status;
    nw_dealer_state(source->options.dealer, &state);
    if (status == NW_OK && !(source->draining && state.between && !source->replaying)) {
        status = receive_step(source, now_ns, work, err);
        idle = status == NW_AGAIN && !source->starved;
        status = status == NW_AGAIN ? NW_OK : status;
    }
    if (status == NW_OK) {
        if (now_ns - source->connected_ns >= SETTLED_NS) {
            source->backoff_ns = BACKOFF_NS_MIN;
        }
        status = epoch_step(source, now_ns, idle, work, err);
    }
    if (status == NW_OK) {
        status = feedback_step(source, now_ns, err);
    }
    if (status == NW_RETRY) {
        struct nw_error why = *err;

        connection_lost(source, now_ns, &why);
        *work += 1;
        return NW_OK;
    }
    return status;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_source *source = self;

    *work += nw_jobs_collect(source->options.jobs);
    if (source->phase == NW_SOURCE_STREAMING) {
        return streaming_step(source, now_ns, work, err);
    }
    if (source->phase != NW_SOURCE_COPYING) {
        nw_status status = connection_step(source, now_ns, work, err);

        if (status != NW_OK) {
            return status;
        }
    }
    return epoch_step(source, now_ns, true, work, err);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_source *source = self;
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    if (source->phase == NW_SOURCE_STREAMING) {
        if (!source->starved && !source->draining) {
            nw_receiver_wait(source->walsender.receiver, now_ns, wait);
        }
        wait->deadline_ns = earlier(wait->deadline_ns, feedback_due_ns(source));
        if (source->flush_lsn > source->told_lsn) {
            wait->deadline_ns = earlier(wait->deadline_ns, source->told_ns + 100000000);
        }
    } else if (source->phase == NW_SOURCE_WAITING) {
        wait->deadline_ns = source->retry_ns;
    } else if (source->phase == NW_SOURCE_COPYING) {
        wait->deadline_ns = now_ns + COPY_EPOCH_NS / 8;
    }
    if (source->on_disk && nw_dealer_unknown(source->options.dealer) == NULL &&
        nw_dealer_stopping(source->options.dealer) == NULL) {
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
