/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says: messages, streamed transactions until they commit, schema versions and
 * tables that stop. See stream_private.h. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "pg/types.h"
#include "source/stream_private.h"

#define UNDECODABLE_TRIES 6u            /* two seconds, and more as often as more is received */
#define UNSEEN_AGAIN_NS   10000000LL    /* 10 ms */
#define UNSEEN_NS_MAX     10000000000LL /* 10 s */
#define UNSEEN_SAME_NS    100000000LL   /* 100 ms */

void nw_source_forget(struct nw_source *source)
{
    source->in_stream = source->replaying = source->has_record = false;
    source->has_described = false;
    source->unseen_ns = 0;
    nw_txns_reset(source->options.txns);
    nw_told_reset(source->told);
    nw_dealer_reconnected(source->options.dealer);
    source->stop_asked = source->stop_asked && nw_dealer_stopping(source->options.dealer) != NULL;
}

/* How a message is stored that was not received whole: how much is missing, then its type and what
 * there is. No message of pgoutput has this type. */
#define CUT           0x01u
#define CUT_HEAD_SIZE 9u

static struct nw_bytes cut_pack(const struct nw_txn_change *change, size_t cut,
                                uint8_t head[CUT_HEAD_SIZE + NW_MESSAGE_HEAD_SIZE])
{
    NW_ASSERT(change->rest.size <= NW_MESSAGE_HEAD_SIZE);
    for (size_t i = 0; i < 8; i++) {
        head[i] = (uint8_t)((uint64_t)cut >> (56 - 8 * i));
    }
    head[8] = change->type;
    memcpy(head + CUT_HEAD_SIZE, change->rest.at, change->rest.size);
    return (struct nw_bytes){head, CUT_HEAD_SIZE + change->rest.size};
}

/* A message that is whole. Of Relation messages lsn is the place in which they came. */
static nw_status whole_take(struct nw_source *source, uint64_t lsn, int64_t now_ns,
                            struct nw_bytes message, struct nw_error *err)
{
    nw_status status = nw_dealer_take(source->options.dealer, lsn, now_ns, message, err);

    return status == NW_OK && message.size > 0 && message.at[0] == 'R'
               ? nw_told_dealt(source->told, lsn, message, err)
               : status;
}

/* A message of a committed streamed transaction, as it was stored. */
static nw_status record_take(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    const struct nw_txn_record *record = &source->record;
    struct nw_cursor cursor = nw_cursor_of(record->message.at, record->message.size);
    uint64_t cut = 0;

    if (nw_cursor_u8(&cursor) != CUT) {
        return whole_take(source, record->lsn, now_ns, record->message, err);
    }
    cut = nw_cursor_u64be(&cursor);
    return nw_dealer_take_cut(source->options.dealer, record->lsn, now_ns,
                              (struct nw_bytes){cursor.at, cursor.left}, (size_t)cut, err);
}

/* A message inside a streamed transaction: stored in its place, without the xid after its type. */
static nw_status stream_store(struct nw_source *source, const struct nw_replication_message *data,
                              struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(data->data.at, data->data.size);
    struct nw_txn_change change = {
        .lsn = data->start_lsn, .subxid = source->stream_xid, .type = nw_cursor_u8(&cursor)};
    uint8_t head[CUT_HEAD_SIZE + NW_MESSAGE_HEAD_SIZE];

    if (change.type != 'O') { /* the only one that carries no xid */
        change.subxid = nw_cursor_u32be(&cursor);
    }
    if (cursor.failed || change.type == CUT) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a message in a stream %s",
                       cursor.failed ? "ends early" : "has an unknown type");
    }
    if (change.type == 'R') { /* it has no LSN */
        change.lsn = nw_told_next(source->told);
    }
    change.rest = (struct nw_bytes){cursor.at, cursor.left};
    if (source->cut > 0) {
        change.rest = cut_pack(&change, source->cut, head);
        change.type = CUT;
    }
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

nw_status nw_source_payload(struct nw_source *source, const struct nw_replication_message *data,
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
        if (source->in_stream) {
            return stream_store(source, data, err);
        }
        return source->cut > 0
                   ? nw_dealer_take_cut(source->options.dealer, data->start_lsn, now_ns, data->data,
                                        source->cut, err)
                   : whole_take(source, type == 'R' ? nw_told_next(source->told) : data->start_lsn,
                                now_ns, data->data, err);
    }
}

/* What the server has said of tables while the transaction was open counts again. */
static nw_status newer_take(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    struct nw_bytes message = {0};
    nw_status status = NW_OK;

    while (status == NW_OK && nw_told_again(source->told, &message)) {
        status = nw_dealer_take(source->options.dealer, 0, now_ns, message, err);
        if (status == NW_OK) {
            nw_told_counts(source->told);
        }
    }
    return status;
}

/* Reads a committed streamed transaction back into the dealer. */
nw_status nw_source_replay(struct nw_source *source, int64_t now_ns, struct nw_error *err)
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
        status = record_take(source, now_ns, err);
        source->has_record = status == NW_AGAIN;
        return status;
    }
    status = newer_take(source, now_ns, err);
    if (status == NW_OK) {
        status = nw_dealer_commit(source->options.dealer, &source->replayed, err);
    }
    if (status == NW_OK) {
        source->replaying = false;
    }
    return status;
}

/*
 * The slot was made beside DDL that its view of the catalog lacks (pipeline/slot_make.h). Behind a
 * restart point that came later the view is right, and the point follows what is acknowledged: so
 * it is tried again as long as more and more is received.
 */
static nw_status undecodable(struct nw_source *source, const struct nw_server_error *error,
                             struct nw_error *err)
{
    if (source->received_lsn > source->undecodable_lsn) {
        source->undecodable_lsn = source->received_lsn;
        source->undecodable_count = 0;
    }
    source->undecodable_count++;
    if (source->undecodable_count < UNDECODABLE_TRIES) {
        return nw_fail(
            err, NW_RETRY,
            "NW2324 the server says: %s. The slot was made while a table was truncated or "
            "rewritten; it may be able to decode it once its restart_lsn has moved",
            error->message);
    }
    return nw_fail(err, NW_FATAL,
                   "NW2324 the server says: %s. The slot was made while a table was truncated or "
                   "rewritten, and cannot be decoded: drop the slot, and let narwal make it and "
                   "the copy again",
                   error->message);
}

static nw_status server_failed(struct nw_source *source, struct nw_bytes body, struct nw_error *err)
{
    struct nw_server_error error;

    nw_server_error_parse(body, &error);
    if (strstr(error.message, "could not map filenumber") != NULL ||
        strstr(error.message, "could not map filenode") != NULL) {
        return undecodable(source, &error, err);
    }
    if (strcmp(error.sqlstate, "42704") == 0) { /* undefined object */
        return nw_fail(
            err, NW_FATAL,
            "NW2325 the server says: %s. A publication that was dropped is missing in the WAL "
            "from there on, even when it is made again: drop the slot, make both anew, "
            "and copy again",
            error.message);
    }
    if (strcmp(error.sqlstate, "22P05") == 0) { /* untranslatable character */
        return nw_fail(
            err, NW_FATAL,
            "NW2326 the server says: %s. It sends nothing that was written after that value: mend "
            "the value, drop the slot, and let narwal make it and the copy again",
            error.message);
    }
    return nw_fail(err, NW_RETRY, "NW2327 the server says: %s (%s)", error.message, error.sqlstate);
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

nw_status nw_source_message(struct nw_source *source, const struct nw_message *message,
                            int64_t now_ns, struct nw_error *err)
{
    struct nw_replication_message data = {0};
    nw_status status = NW_OK;

    if (message->type == 'E') {
        return server_failed(source, message->body, err);
    }
    if (message->type == 'c' || message->type == 'C' || message->type == 'Z') {
        return nw_fail(err, NW_RETRY, "NW2327 the server ended the stream");
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
        if (source->recorder.recording) {
            nw_source_record_position(source, data.end_lsn, now_ns);
        } else {
            nw_dealer_advance(source->options.dealer, data.end_lsn);
        }
        data.start_lsn = data.end_lsn;
    } else if (source->recorder.recording) {
        status = nw_source_record(source, &data, err);
    } else {
        source->cut = message->cut;
        status = nw_source_payload(source, &data, now_ns, err);
        source->cut = 0;
    }
    if (status == NW_OK && source->walsender.binary &&
        nw_dealer_wants_text(source->options.dealer)) {
        return nw_fail(err, NW_RETRY,
                       "NW2109 a table whose changes are kept has new columns: going on in text");
    }
    if (status == NW_OK) {
        source->received_lsn = later(source->received_lsn, data.start_lsn);
        source->server_lsn = later(source->server_lsn, data.end_lsn);
    }
    return status;
}

/* ---- schema versions ---- */

/*
 * Whether to read the catalog again, for it does not show the transaction yet. The server sends a
 * commit when it is in the WAL; others see it only after that, and where it waits for a synchronous
 * standby much later: not before we confirm it, if that is narwal. So nothing is waited for in the
 * end. Where what is known says what the message says, only a column that was dropped and added
 * again could be missed, and the wait is as short as such a commit needs without a standby.
 */
static bool unseen(struct nw_source *source, const struct nw_relation *relation, int64_t now_ns)
{
    const struct nw_table *current = nw_schemas_find(source->options.schemas, relation->oid);
    bool same = (source->described != NULL && nw_schemas_same(source->described, relation)) ||
                (current != NULL && nw_schemas_same(current, relation));

    source->unseen_ns = source->unseen_ns == 0 ? now_ns : source->unseen_ns;
    source->describe_ns = now_ns + UNSEEN_AGAIN_NS;
    if (now_ns - source->unseen_ns < (same ? UNSEEN_SAME_NS : UNSEEN_NS_MAX)) {
        source->has_described = false;
        return true;
    }
    if (!same) {
        nw_log(NW_LOG_WARN,
               "NW2114 the catalog does not show yet how transaction %" PRIu32
               " changed %s.%s: numbers of columns may be guessed, and types unknown. Its commit "
               "waits, as it does for a synchronous standby (narwal itself may be it)",
               source->describe_xid, relation->schema_name, relation->name);
        /* It is not what came after the message, as whoever numbers its columns takes it for. */
        source->described = current != NULL ? NULL : source->described;
    }
    source->describe_job.status = NW_OK; /* going on with what there is */
    return false;
}

/* The dealer met a Relation message that it does not know: read the catalog, then go on. */
nw_status nw_source_describe(struct nw_source *source, int64_t now_ns, uint32_t *work,
                             struct nw_error *err)
{
    const struct nw_relation *unknown = nw_dealer_unknown(source->options.dealer);
    nw_status status = NW_OK;

    if (unknown == NULL || source->describe_job.pending ||
        (source->unseen_ns != 0 && !source->has_described && now_ns < source->describe_ns)) {
        return NW_OK;
    }
    if (!source->has_described) {
        source->describe_oid = unknown->oid;
        source->describe_xid = nw_dealer_unknown_xid(source->options.dealer);
        source->has_described = true;
        nw_jobs_submit(source->options.jobs, &source->describe_job);
        *work += 1;
        return NW_OK;
    }
    if (source->describe_job.status == NW_AGAIN && unseen(source, unknown, now_ns)) {
        return NW_OK;
    }
    source->unseen_ns = 0;
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
            return nw_fail(
                err, NW_RETRY,
                "NW2109 %s.%s has a column whose binary form is not decoded: going on in text",
                table->schema_name, table->name);
        }
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* The stop is recorded. */
static nw_status stopped(struct nw_source *source, struct nw_error *err)
{
    struct nw_backlog *backlog = source->stop_backlog;
    struct nw_backlogs *backlogs = &source->backlogs;

    bool kept_again = source->stop.playing != NULL || source->stop.again;
    bool nothing_kept = source->stop.sinks != 0 && source->stop_backlog == NULL;

    if ((kept_again && source->stop.given_up == NULL) || nothing_kept) {
        backlogs->stopped = true;
        return NW_OK;
    }
    source->stop_backlog = NULL;
    if (backlog != NULL) {
        nw_source_backlog(source, backlog, false);
    }
    if (source->stop.given_up != NULL && backlogs->playing == source->stop.given_up) {
        backlogs->playing = NULL;
        backlogs->has_record = false;
    }
    return nw_dealer_stopped(source->options.dealer, backlog, err);
}

/* A table stops: the others go on once that is recorded. */
nw_status nw_source_stop(struct nw_source *source, uint32_t *work, struct nw_error *err)
{
    const struct nw_dealer_stop *stop = nw_dealer_stopping(source->options.dealer);
    struct nw_backlog *done = NULL;

    if (stop == NULL || source->stop_job.pending) {
        return NW_OK;
    }
    done = nw_source_backlog_done(source, stop->table->relation_oid);
    if (!source->stop_asked && done != NULL && done->end_epoch <= source->backlogs.durable_epoch) {
        return NW_OK; /* its folder is wanted, and free soon */
    }
    *work += 1;
    source->stop_asked = !source->stop_asked;
    if (source->stop_asked) {
        source->stop = *stop;
        nw_backlog_destroy(source->stop_backlog); /* of a stop that the stream is to say again */
        if (done != NULL && !stop->dropped) {     /* sinks may need it: it is gone on with */
            source->stop.playing = done;
        }
        source->stop.keeps = source->stop.keeps && nw_source_backlogs_room(source);
        source->stop_backlog = NULL;
        nw_jobs_submit(source->options.jobs, &source->stop_job);
        return NW_OK;
    }
    if (source->stop_job.status != NW_OK) {
        *err = source->stop_job.error;
        return source->stop_job.status;
    }
    return stopped(source, err);
}
