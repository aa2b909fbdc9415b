/* SPDX-License-Identifier: Apache-2.0 */
/* See copy.h. All state belongs to the reader's thread; the counters are read by others. */
#include "source/copy.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define MESSAGES_PER_STEP 4096
#define FLUSH_NS          20000000LL
/* Less than a block may have: the rows are still in the core's cache when they are decoded, and the
 * socket is read again before the server finds it full. */
#define BLOCK_BYTES     262144u
#define SIGNATURE       "PGCOPY\n\377\r\n\0"
#define SIGNATURE_BYTES 11u

struct nw_copy_reader {
    struct nw_copy_reader_options options;
    struct nw_stream *stream; /* of the last task; receiver and transmitter are on it */
    uint64_t stream_serial;
    struct nw_receiver *receiver;
    struct nw_transmitter transmitter;
    struct nw_copy_task *task; /* being copied; NULL: none */
    struct nw_block *open;
    bool checked; /* the row of checks was right */
    bool header_seen;
    bool trailer_seen;
    bool failed;        /* the server refused; waits for ReadyForQuery */
    bool undone;        /* ROLLBACK was sent behind a refusal */
    uint32_t turn_over; /* what comes of this turn is not read; 0: none */
    nw_status broken;   /* not NW_OK: the session failed, which the conductor is still to hear */
    struct nw_error why;
    struct nw_message pending;
    bool has_pending, starved;
    int64_t now_ns;
    uint64_t rows_dealt, bytes_dealt;
    _Atomic uint64_t rows, bytes; /* the same, as of the last step; read by anyone */
};

nw_status nw_copy_reader_create(const struct nw_copy_reader_options *options,
                                struct nw_copy_reader **reader, struct nw_error *err)
{
    struct nw_copy_reader *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a copy reader");
    }
    made->options = *options;
    *reader = made;
    return NW_OK;
}

/* Lets go of the session, which is not used any more. */
static void stream_leave(struct nw_copy_reader *reader)
{
    if (reader->stream != NULL) {
        nw_receiver_destroy(reader->receiver);
        nw_transmitter_fini(&reader->transmitter);
    }
    reader->stream = NULL;
    reader->receiver = NULL;
    reader->has_pending = false;
}

static nw_status stream_enter(struct nw_copy_reader *reader, const struct nw_copy_task *task,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    /* Another session's stream may be where a former one was. */
    if (task->stream == reader->stream && task->stream_serial == reader->stream_serial) {
        return NW_OK;
    }
    stream_leave(reader);
    status = nw_receiver_create(task->stream, &reader->receiver, err);
    if (status == NW_OK) {
        nw_receiver_limit(reader->receiver, reader->options.row_bytes_max);
        nw_transmitter_init(&reader->transmitter, task->stream);
        reader->stream = task->stream;
        reader->stream_serial = task->stream_serial;
    }
    return status;
}

void nw_copy_reader_destroy(struct nw_copy_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->open != NULL) {
        nw_producer_put(reader->options.producer, reader->open);
    }
    stream_leave(reader);
    free(reader);
}

void nw_copy_reader_counts(const struct nw_copy_reader *reader, uint64_t *rows, uint64_t *bytes)
{
    *rows = atomic_load_explicit(&reader->rows, memory_order_relaxed);
    *bytes = atomic_load_explicit(&reader->bytes, memory_order_relaxed);
}

static void task_finish(struct nw_copy_reader *reader, enum nw_copy_outcome outcome)
{
    bool pushed = false;

    reader->task->outcome = outcome;
    if (outcome != NW_COPY_DONE && outcome != NW_COPY_UNREAD) {
        reader->turn_over = reader->task->turn;
    }
    pushed = nw_spsc_push(reader->options.done, reader->task);
    NW_ASSERT(pushed);
    reader->task = NULL;
}

static nw_status query_send(struct nw_copy_reader *reader, const char *sql, struct nw_error *err)
{
    nw_status status = nw_transmitter_queue(&reader->transmitter, 'Q', sql, strlen(sql) + 1, err);

    if (status == NW_OK) {
        status = nw_transmitter_flush(&reader->transmitter, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

static nw_status task_start(struct nw_copy_reader *reader, struct nw_error *err)
{
    struct nw_copy_task *task = nw_spsc_pop(reader->options.tasks);
    nw_status status = NW_OK;

    if (task == NULL) {
        return NW_AGAIN;
    }
    reader->task = task;
    /* Relaxed, as in copy_step(). */
    if (task->turn == reader->turn_over ||
        atomic_load_explicit(&task->give_up, memory_order_relaxed)) {
        task_finish(reader, NW_COPY_UNREAD);
        return NW_OK;
    }
    task->outcome = NW_COPY_DONE;
    task->sqlstate[0] = '\0';
    reader->checked = reader->header_seen = reader->trailer_seen = false;
    reader->failed = reader->undone = false;
    status = stream_enter(reader, task, err);
    return status == NW_OK ? query_send(reader, task->sql, err) : status;
}

/* A free block behind the ones dealt before, or NW_AGAIN. */
static nw_status block_take(struct nw_copy_reader *reader, enum nw_block_kind kind,
                            struct nw_block **block)
{
    if (nw_producer_room(reader->options.producer) == 0) {
        return NW_AGAIN;
    }
    *block = nw_producer_take(reader->options.producer);
    if (*block == NULL) {
        return NW_AGAIN;
    }
    (*block)->kind = kind;
    (*block)->epoch = 0; /* the sequencers put copies into their own open epoch */
    (*block)->table = reader->task->table;
    (*block)->projection = reader->task->projection;
    (*block)->generation = reader->task->generation;
    (*block)->fence_lsn = reader->task->fence_lsn;
    (*block)->upsert = reader->task->upsert;
    (*block)->received_ns = reader->now_ns;
    return NW_OK;
}

static nw_status open_flush(struct nw_copy_reader *reader)
{
    if (reader->open == NULL) {
        return NW_OK;
    }
    if (nw_producer_room(reader->options.producer) == 0) {
        return NW_AGAIN;
    }
    nw_producer_deal(reader->options.producer, reader->open);
    reader->open = NULL;
    return NW_OK;
}

/* The begin or end of this chunk, as a block of its own. */
static nw_status mark_deal(struct nw_copy_reader *reader, enum nw_block_kind kind)
{
    struct nw_block *block = NULL;
    nw_status status = open_flush(reader);

    if (status == NW_OK) {
        status = block_take(reader, kind, &block);
    }
    if (status == NW_OK) {
        block->mark = reader->task->mark;
        nw_producer_deal(reader->options.producer, block);
    }
    return status;
}

/* Why the task cannot be done; what was sent behind it is still read. */
static void task_fail(struct nw_copy_reader *reader, enum nw_copy_outcome outcome)
{
    reader->failed = true;
    reader->task->outcome = outcome;
}

/* The row of checks: the snapshot's text, and whether the table still has its file. */
static nw_status checks_take(struct nw_copy_reader *reader, struct nw_bytes body,
                             struct nw_error *err)
{
    const struct nw_copy_task *task = reader->task;
    struct nw_cursor cursor = nw_cursor_of(body.at, body.size);
    uint16_t count = nw_cursor_u16be(&cursor);
    struct nw_bytes snapshot = nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));
    struct nw_bytes same = nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));

    if (count != 2 || !nw_cursor_done(&cursor)) {
        return nw_fail(err, NW_CORRUPT, "the checks before copying %s.%s came back malformed",
                       task->table->schema_name, task->table->name);
    }
    if (snapshot.at == NULL || snapshot.size != strlen(task->snapshot) ||
        memcmp(snapshot.at, task->snapshot, snapshot.size) != 0) {
        return nw_fail(err, NW_RETRY,
                       "NW2203 a copy session of %s.%s does not see the shared snapshot",
                       task->table->schema_name, task->table->name);
    }
    /*
     * Of a rewritten relation (ALTER TABLE, TRUNCATE, VACUUM FULL, CLUSTER) the rows that follow
     * are none, or others: they are read and dropped.
     */
    if (same.size == 1 && same.at[0] == 'n') {
        task_fail(reader, NW_COPY_GONE);
    } else if (same.size != 1 || same.at[0] != 't') {
        task_fail(reader, NW_COPY_REWRITTEN);
    }
    reader->checked = true;
    return NW_OK;
}

/* The table cannot be copied: its rows are left out, and the others go on. */
static nw_status row_refuse(const struct nw_copy_reader *reader, size_t size, struct nw_error *err)
{
    return nw_fail(err, NW_REJECT,
                   "NW2108 a row has %zu bytes, and limits.memory has room for rows of %" PRIu64
                   ": raise it, or leave the column out",
                   size, reader->options.row_bytes_max);
}

static nw_status row_deal(struct nw_copy_reader *reader, struct nw_bytes tuple,
                          struct nw_error *err)
{
    struct nw_block *block = reader->open;
    struct nw_frame *frame = NULL;
    nw_status status = NW_OK;

    if (block != NULL && (block->frames_count == NW_BLOCK_ROWS_MAX ||
                          block->bytes_size + tuple.size > BLOCK_BYTES)) {
        status = open_flush(reader);
    }
    if (status == NW_OK && reader->open == NULL) {
        status = block_take(reader, NW_BLOCK_COPY, &reader->open);
    }
    if (status != NW_OK) {
        return status;
    }
    block = reader->open;
    frame = &block->frames[block->frames_count];
    *frame = (struct nw_frame){.size = (uint32_t)tuple.size, .op = NW_OP_INSERT};
    frame->row_lsn = reader->task->fence_lsn;
    if (!nw_block_append(block, tuple.at, tuple.size, &frame->offset)) {
        return nw_fail(err, NW_FATAL, "out of memory for a row of %s.%s (%zu bytes)",
                       reader->task->table->schema_name, reader->task->table->name, tuple.size);
    }
    block->frames_count++;
    reader->task->rows++;
    reader->task->bytes += tuple.size;
    reader->rows_dealt++;
    reader->bytes_dealt += tuple.size;
    return NW_OK;
}

static uint16_t fields_count(const struct nw_copy_task *task)
{
    return task->projection == NULL ? task->table->columns_count
                                    : task->projection->fields_count[NW_WIRE_COPY];
}

static nw_status header_take(struct nw_cursor *cursor, struct nw_error *err)
{
    struct nw_bytes signature = nw_cursor_bytes(cursor, SIGNATURE_BYTES);
    uint32_t flags = nw_cursor_u32be(cursor);
    uint32_t extension = nw_cursor_u32be(cursor);

    (void)nw_cursor_bytes(cursor, extension);
    if (cursor->failed || memcmp(signature.at, SIGNATURE, SIGNATURE_BYTES) != 0 ||
        (flags & 0xffff0000u) != 0) {
        return nw_fail(err, NW_CORRUPT, "COPY BINARY begins with a header that is not known");
    }
    return NW_OK;
}

static nw_status tuple_malformed(const struct nw_copy_reader *reader, struct nw_error *err)
{
    return nw_fail(err, NW_CORRUPT, "COPY BINARY of %s.%s: a malformed tuple after row %" PRIu64,
                   reader->task->table->schema_name, reader->task->table->name, reader->task->rows);
}

/*
 * One CopyData message: the header, which a row may follow, a row, or the trailer. "Messages sent
 * from the backend will always correspond to single data rows" (PostgreSQL documentation, "Message
 * Formats", CopyData), so a row's fields need no look before they are decoded; the lane finds those
 * that do not end with it. With NW_AGAIN the message is taken again; a header is cut off its front.
 */
static nw_status data_take(struct nw_copy_reader *reader, struct nw_message *message,
                           struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message->body.at, message->body.size);
    nw_status status = NW_OK;
    uint16_t fields = 0;

    if (!reader->checked) {
        return nw_fail(err, NW_CORRUPT, "rows came before the checks of the copy");
    }
    if (reader->failed) {
        return NW_OK;
    }
    if (message->cut > 0) {
        return row_refuse(reader, message->body.size + message->cut, err);
    }
    if (!reader->header_seen) {
        status = header_take(&cursor, err);
        reader->header_seen = status == NW_OK;
        message->body = (struct nw_bytes){cursor.at, cursor.left};
        if (status != NW_OK || cursor.left == 0) {
            return status;
        }
    }
    fields = nw_cursor_u16be(&cursor);
    if (cursor.failed || reader->trailer_seen) {
        return tuple_malformed(reader, err);
    }
    if (fields == UINT16_MAX && cursor.left == 0) {
        reader->trailer_seen = true;
        return NW_OK;
    }
    if (fields != fields_count(reader->task)) {
        return tuple_malformed(reader, err);
    }
    return row_deal(reader, message->body, err);
}

/* What a refusal by the server means for the chunk. */
static enum nw_copy_outcome outcome_of(const char *sqlstate)
{
    static const struct {
        const char *sqlstate;
        enum nw_copy_outcome outcome;
    } known[] = {
        {"55P03", NW_COPY_LOCKED},      /* lock_not_available */
        {"40P01", NW_COPY_LOCKED},      /* deadlock_detected */
        {"57014", NW_COPY_LOCKED},      /* query_canceled: by us, for somebody who waits */
        {"57P01", NW_COPY_BROKEN},      /* admin_shutdown: of the session */
        {"42P01", NW_COPY_GONE},        /* undefined_table */
        {"3F000", NW_COPY_GONE},        /* invalid_schema_name */
        {"42703", NW_COPY_REWRITTEN},   /* undefined_column: it was renamed or dropped */
        {"42809", NW_COPY_REWRITTEN},   /* wrong_object_type: the name is another relation's now */
        {"22023", NW_COPY_NO_SNAPSHOT}, /* invalid_parameter_value: no such snapshot */
        {"42704", NW_COPY_NO_SNAPSHOT}, /* undefined_object: the same, from PostgreSQL 17 on */
        {"42501", NW_COPY_REFUSED},     /* insufficient_privilege */
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(sqlstate, known[i].sqlstate) == 0) {
            return known[i].outcome;
        }
    }
    return NW_COPY_FAILED;
}

static nw_status server_failed(struct nw_copy_reader *reader, struct nw_bytes body)
{
    struct nw_copy_task *task = reader->task;
    struct nw_server_error error;

    nw_server_error_parse(body, &error);
    if (reader->failed) { /* the first reason stands */
        return NW_OK;
    }
    task_fail(reader, outcome_of(error.sqlstate));
    (void)snprintf(task->sqlstate, sizeof task->sqlstate, "%s", error.sqlstate);
    if (task->outcome == NW_COPY_NO_SNAPSHOT && reader->checked) { /* it was there: a condition */
        task->outcome = NW_COPY_FAILED;
    }
    if (task->outcome == NW_COPY_REFUSED) {
        (void)nw_fail(&task->error, NW_FATAL,
                      "NW1220 copying %s.%s: %s: grant it, for example "
                      "GRANT SELECT ON \"%s\".\"%s\" to narwal's role",
                      task->table->schema_name, task->table->name, error.message,
                      task->table->schema_name, task->table->name);
    } else {
        (void)nw_fail(&task->error, NW_RETRY, "NW2209 copying %s.%s: %s (%s)",
                      task->table->schema_name, task->table->name, error.message, error.sqlstate);
    }
    return NW_OK;
}

/* ReadyForQuery: the transaction is over, one way or the other. */
static nw_status task_over(struct nw_copy_reader *reader, struct nw_bytes body,
                           struct nw_error *err)
{
    struct nw_copy_task *task = reader->task;
    nw_status status = NW_OK;

    if (reader->failed && !reader->undone && body.size == 1 && body.at[0] == 'E') {
        reader->undone = true; /* the session is in the failed transaction until it is told */
        return query_send(reader, "ROLLBACK", err);
    }
    if (reader->failed) {
        status = open_flush(reader); /* what came before is dealt and counted */
        if (status == NW_OK) {
            task_finish(reader, task->outcome);
        }
        return status;
    }
    if (!reader->trailer_seen) {
        return nw_fail(err, NW_CORRUPT, "COPY BINARY of %s.%s ended without its trailer",
                       task->table->schema_name, task->table->name);
    }
    status = mark_deal(reader, NW_BLOCK_COPY_END);
    if (status == NW_OK) {
        task_finish(reader, NW_COPY_DONE);
    }
    return status;
}

static nw_status message_take(struct nw_copy_reader *reader, struct nw_message *message,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    switch (message->type) {
    case 'D':
        return checks_take(reader, message->body, err);
    case 'H': /* CopyOutResponse: the rows follow */
        if (!reader->task->begun && !reader->failed) {
            status = mark_deal(reader, NW_BLOCK_COPY_BEGIN);
            reader->task->begun = status == NW_OK;
        }
        return status;
    case 'd':
        return data_take(reader, message, err);
    case 'E':
        return server_failed(reader, message->body);
    case 'Z':
        return task_over(reader, message->body, err);
    default: /* T, C, c, N, S: nothing to do */
        return NW_OK;
    }
}

/* ---- the limit ---- */

/* Nothing is read before then; 0: at once. Relaxed, as below: the numbers stand for themselves. */
static int64_t rate_due_ns(const struct nw_copy_reader *reader)
{
    const struct nw_copy_rate *rate = reader->options.rate;
    int64_t due_ns =
        rate == NULL || atomic_load_explicit(&rate->bytes_a_second, memory_order_relaxed) == 0
            ? 0
            : atomic_load_explicit(&rate->due_ns, memory_order_relaxed);

    return due_ns > reader->now_ns ? due_ns : 0;
}

static void rate_spend(struct nw_copy_reader *reader, size_t bytes)
{
    struct nw_copy_rate *rate = reader->options.rate;
    uint64_t bytes_a_second =
        rate == NULL ? 0 : atomic_load_explicit(&rate->bytes_a_second, memory_order_relaxed);
    int64_t worth_ns = 0;
    int64_t due_ns = 0;

    if (bytes_a_second == 0) {
        return;
    }
    worth_ns = (int64_t)((double)bytes * 1e9 / (double)bytes_a_second);
    due_ns = atomic_load_explicit(&rate->due_ns, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &rate->due_ns, &due_ns, (due_ns > reader->now_ns ? due_ns : reader->now_ns) + worth_ns,
        memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* ---- the step ---- */

/*
 * The next message, into `pending`; at most once a step, for bytes are to gather, more are read.
 * NW_AGAIN: there is none.
 */
static nw_status pending_receive(struct nw_copy_reader *reader, bool *filled, uint32_t *work,
                                 struct nw_error *err)
{
    size_t got = 0;
    nw_status status = nw_receiver_next(reader->receiver, &reader->pending, err);

    /* A lock that others wait for is let go at full speed. */
    if (status == NW_AGAIN && !*filled && (reader->failed || rate_due_ns(reader) == 0)) {
        *filled = true;
        status = nw_receiver_fill(reader->receiver, reader->now_ns, &got, err);
        rate_spend(reader, got);
        *work += got > 0;
        if (status == NW_OK) {
            status = nw_receiver_next(reader->receiver, &reader->pending, err);
        }
    }
    reader->has_pending = status == NW_OK;
    return status;
}

static nw_status pending_take(struct nw_copy_reader *reader, uint32_t *work, struct nw_error *err)
{
    nw_status status = message_take(reader, &reader->pending, err);

    reader->has_pending = reader->starved = status == NW_AGAIN;
    *work += status == NW_OK;
    return status;
}

static nw_status copy_step(struct nw_copy_reader *reader, uint32_t *work, struct nw_error *err)
{
    nw_status status = nw_transmitter_flush(&reader->transmitter, err);
    bool filled = false;

    status = status == NW_AGAIN ? NW_OK : status;
    reader->starved = false;
    /* Relaxed: nothing is handed over by it. The server has been told; what it sends until it stops
     * must be read, for it holds the lock as long as it cannot send. */
    if (!reader->failed && atomic_load_explicit(&reader->task->give_up, memory_order_relaxed)) {
        task_fail(reader, NW_COPY_LOCKED);
    }
    for (int i = 0; i < MESSAGES_PER_STEP && status == NW_OK && reader->task != NULL; i++) {
        if (!reader->has_pending) {
            status = pending_receive(reader, &filled, work, err);
        }
        if (status == NW_OK) {
            status = pending_take(reader, work, err);
        }
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/*
 * The session is of no use any more. Rows that came with it and were not dealt come again; those
 * before them must be counted as dealt and be so.
 */
static bool task_break(struct nw_copy_reader *reader, nw_status status, const struct nw_error *why)
{
    NW_ASSERT(reader->task != NULL); /* only a task breaks */
    if (open_flush(reader) != NW_OK) {
        return false;
    }
    stream_leave(reader);
    reader->task->error = *why;
    task_finish(reader, status == NW_RETRY ? NW_COPY_BROKEN : NW_COPY_FAILED);
    return true;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_copy_reader *reader = self;
    nw_status status = NW_OK;

    (void)err; /* a reader's failure is its task's: the conductor decides */
    reader->now_ns = now_ns;
    if (reader->broken == NW_OK && reader->task == NULL) {
        status = task_start(reader, &reader->why);
        *work += status == NW_OK;
    }
    if (reader->broken == NW_OK && reader->task != NULL && status == NW_OK) {
        status = copy_step(reader, work, &reader->why);
        atomic_store_explicit(&reader->rows, reader->rows_dealt, memory_order_relaxed);
        atomic_store_explicit(&reader->bytes, reader->bytes_dealt, memory_order_relaxed);
    }
    if (reader->open != NULL && now_ns - reader->open->received_ns >= FLUSH_NS) {
        *work += open_flush(reader) == NW_OK;
    }
    if (status != NW_OK && status != NW_AGAIN) {
        reader->broken = status;
    }
    if (reader->broken != NW_OK && task_break(reader, reader->broken, &reader->why)) {
        reader->broken = NW_OK;
        *work += 1;
    }
    return NW_OK;
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_copy_reader *reader = self;

    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    if (reader->task != NULL && reader->stream != NULL && !reader->starved &&
        reader->broken == NW_OK) {
        int64_t due_ns = reader->failed ? 0 : rate_due_ns(reader);

        if (due_ns == 0) {
            nw_receiver_wait(reader->receiver, now_ns, wait);
        } else {
            wait->deadline_ns = due_ns;
        }
    }
    if (reader->open != NULL && wait->deadline_ns > reader->open->received_ns + FLUSH_NS) {
        wait->deadline_ns = reader->open->received_ns + FLUSH_NS;
        if (wait->deadline_ns <= now_ns) {
            wait->deadline_ns = now_ns + 1000000;
        }
    }
}

struct nw_agent nw_copy_reader_agent(struct nw_copy_reader *reader)
{
    return (struct nw_agent){.name = "copy", .self = reader, .do_work = do_work, .wait = wait_for};
}
