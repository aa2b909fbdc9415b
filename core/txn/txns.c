/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See txns.h. A record is le: u32 size of the message, u32 subxid, u64 lsn, message. Records follow
 * one another without padding, in the file and then in the chunk that is still in memory.
 */
#include "txn/txns.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/errno.h"

#define BUCKETS             256u
#define CHUNK_BYTES_FIRST   8192u
#define CHUNK_BYTES         524288u  /* a full chunk is written out */
#define READ_BYTES          1048576u /* read back at once */
#define RECORD_HEADER_BYTES 16u
#define RECORD_BYTES_MAX    (1u << 30)
#define IO_DEPTH            64u
#define REAP_MAX            16u

struct chunk {
    uint8_t *bytes;
    uint32_t size, capacity;
};

struct txn {
    struct nw_file_op op; /* the write under way; first, so that a finished op finds its txn */
    bool writing;
    bool orphan; /* freed by its owner while a write was under way */
    uint32_t xid;
    struct txn *next;
    struct chunk filling;
    struct chunk flushing;
    int file; /* -1: none */
    uint64_t file_bytes;
    uint32_t *aborted; /* subxids; sorted when reading starts */
    uint32_t aborted_count, aborted_capacity;
};

struct nw_txns {
    struct nw_txns_options options;
    struct nw_io *io;
    struct txn *buckets[BUCKETS];
    uint32_t count;
    uint32_t writes; /* under way, orphans included */
    uint64_t spilled_bytes;
    uint64_t memory_bytes;  /* of all chunks, orphans included */
    nw_status write_status; /* latched by a failed write */
    struct nw_error write_error;

    struct txn *reading; /* taken out of the buckets */
    struct nw_file_op read_op;
    bool read_waits, read_done;
    uint64_t read_at;    /* file offset of the next read */
    uint8_t *read_bytes; /* [read_head, read_tail) is unread */
    uint32_t read_head, read_tail, read_capacity;
    uint32_t chunk_at; /* next record in the chunk that stayed in memory */
};

static_assert(offsetof(struct txn, op) == 0, "a finished op finds its transaction");

static void file_path(const struct nw_txns *txns, uint32_t xid, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/txn-%" PRIu32, txns->options.folder, xid);
}

static nw_status remove_each(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    const struct nw_txns *txns = context;
    char path[4096];

    if (is_folder || strncmp(name, "txn-", 4) != 0) {
        return NW_OK;
    }
    (void)snprintf(path, sizeof path, "%s/%s", txns->options.folder, name);
    return txns->options.env->ops->file_remove(txns->options.env, path, err);
}

nw_status nw_txns_create(const struct nw_txns_options *options, struct nw_txns **txns,
                         struct nw_error *err)
{
    const struct nw_env_ops *ops = options->env->ops;
    struct nw_txns *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for streamed transactions");
    }
    made->options = *options;
    status = ops->folder_create(options->env, options->folder, err);
    if (status == NW_OK) {
        status = ops->folder_list(options->env, options->folder, remove_each, made, err);
    }
    if (status == NW_OK) {
        status = ops->io_create(options->env, IO_DEPTH, &made->io, err);
    }
    if (status != NW_OK) {
        free(made);
        return status;
    }
    *txns = made;
    return NW_OK;
}

static void chunk_free(struct nw_txns *txns, struct chunk *chunk)
{
    txns->memory_bytes -= chunk->capacity;
    free(chunk->bytes);
    *chunk = (struct chunk){0};
}

static void txn_free(struct nw_txns *txns, struct txn *txn)
{
    struct nw_env *env = txns->options.env;
    char path[4096];

    if (txn->writing) { /* the kernel still reads its chunk: reap() frees it */
        txn->orphan = true;
        return;
    }
    if (txn->file >= 0) {
        env->ops->file_close(env, txn->file);
        file_path(txns, txn->xid, path, sizeof path);
        /* Scratch: if it cannot be removed now, the next start does. */
        (void)env->ops->file_remove(env, path, NULL);
        txns->spilled_bytes -= txn->file_bytes;
    }
    chunk_free(txns, &txn->filling);
    chunk_free(txns, &txn->flushing);
    free(txn->aborted);
    free(txn);
}

/* Takes finished operations in. With wait, blocks for at least one. */
static nw_status reap(struct nw_txns *txns, bool wait, struct nw_error *err)
{
    struct nw_env *env = txns->options.env;
    struct nw_file_op *done[REAP_MAX];
    size_t done_count = 0;
    nw_status status = NW_OK;

    if (txns->writes == 0 && !txns->read_waits) {
        return NW_OK;
    }
    status = env->ops->io_reap(env, txns->io, wait, done, REAP_MAX, &done_count, err);
    if (status != NW_OK && status != NW_AGAIN) {
        return status;
    }
    for (size_t i = 0; i < done_count; i++) {
        struct txn *txn = NULL;

        if (done[i] == &txns->read_op) {
            txns->read_waits = false;
            txns->read_done = true;
            continue;
        }
        txn = (struct txn *)done[i];
        txn->writing = false;
        txns->writes--;
        if (txn->op.result < 0 || (uint32_t)txn->op.result != txn->op.size) {
            txns->write_status =
                nw_fail(&txns->write_error, NW_RETRY,
                        "NW2510 cannot spill transaction %" PRIu32 " to %s: %s", txn->xid,
                        txns->options.folder,
                        txn->op.result < 0 ? nw_errno_text(-txn->op.result) : "short write");
        }
        if (txn->orphan) {
            txn_free(txns, txn);
        }
    }
    return NW_OK;
}

static void txns_drain(struct nw_txns *txns)
{
    while (txns->writes > 0 || txns->read_waits) {
        if (reap(txns, true, NULL) != NW_OK) {
            return; /* nothing more can be learned of them; their memory stays */
        }
    }
}

static struct txn **txn_find(struct nw_txns *txns, uint32_t xid)
{
    struct txn **link = &txns->buckets[xid % BUCKETS];

    while (*link != NULL && (*link)->xid != xid) {
        link = &(*link)->next;
    }
    return link;
}

static void txn_unlink(struct nw_txns *txns, struct txn **link)
{
    *link = (*link)->next;
    txns->count--;
}

void nw_txns_reset(struct nw_txns *txns)
{
    txns_drain(txns);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (txns->buckets[i] != NULL) {
            struct txn *txn = txns->buckets[i];

            txn_unlink(txns, &txns->buckets[i]);
            txn_free(txns, txn);
        }
    }
    if (txns->reading != NULL) {
        txn_free(txns, txns->reading);
        txns->reading = NULL;
    }
    txns->read_waits = txns->read_done = false;
    txns->write_status = NW_OK;
}

void nw_txns_destroy(struct nw_txns *txns)
{
    if (txns == NULL) {
        return;
    }
    nw_txns_reset(txns);
    txns->options.env->ops->io_destroy(txns->options.env, txns->io);
    free(txns->read_bytes);
    free(txns);
}

static nw_status chunk_grow(struct nw_txns *txns, struct chunk *chunk, uint32_t needed,
                            struct nw_error *err)
{
    uint32_t capacity = chunk->capacity == 0 ? CHUNK_BYTES_FIRST : chunk->capacity;
    uint8_t *bytes = NULL;

    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity == chunk->capacity) {
        return NW_OK;
    }
    bytes = realloc(chunk->bytes, capacity);
    if (bytes == NULL) {
        return nw_fail(err, NW_FATAL,
                       "out of memory for a streamed transaction (%" PRIu32 " bytes)", capacity);
    }
    txns->memory_bytes += capacity - chunk->capacity;
    chunk->bytes = bytes;
    chunk->capacity = capacity;
    return NW_OK;
}

/* Starts to write the filled chunk to the transaction's file. */
static nw_status txn_flush(struct nw_txns *txns, struct txn *txn, struct nw_error *err)
{
    struct nw_env *env = txns->options.env;
    struct chunk empty = txn->flushing;
    char path[4096];
    nw_status status = NW_OK;

    NW_ASSERT(!txn->writing);
    if (txns->spilled_bytes + txn->filling.size > txns->options.quota_bytes) {
        return nw_fail(err, NW_FATAL,
                       "NW2513 transaction %" PRIu32
                       " does not fit into the spill quota of %" PRIu64
                       " bytes in %s: raise limits.spill",
                       txn->xid, txns->options.quota_bytes, txns->options.folder);
    }
    if (txn->file < 0) {
        file_path(txns, txn->xid, path, sizeof path);
        status = env->ops->file_open(env, path, NW_FILE_CREATE, &txn->file, err);
        if (status == NW_OK) {
            status = env->ops->file_truncate(env, txn->file, 0, err);
        }
        if (status != NW_OK) {
            return status;
        }
    }
    txn->op = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                  .file = txn->file,
                                  .bytes = txn->filling.bytes,
                                  .offset = txn->file_bytes,
                                  .size = txn->filling.size};
    status = env->ops->io_submit(env, txns->io, &txn->op, err);
    if (status != NW_OK) {
        return status;
    }
    txn->writing = true;
    txns->writes++;
    txn->file_bytes += txn->filling.size;
    txns->spilled_bytes += txn->filling.size;
    txn->flushing = txn->filling;
    empty.size = 0;
    txn->filling = empty;
    return NW_OK;
}

static nw_status txn_open(struct nw_txns *txns, uint32_t xid, struct txn **txn,
                          struct nw_error *err)
{
    struct txn **link = txn_find(txns, xid);

    if (*link == NULL) {
        struct txn *made = calloc(1, sizeof *made);

        if (made == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for a streamed transaction");
        }
        made->xid = xid;
        made->file = -1;
        *link = made;
        txns->count++;
    }
    *txn = *link;
    return NW_OK;
}

static void record_put(struct chunk *chunk, const struct nw_txn_change *change)
{
    uint8_t *to = chunk->bytes + chunk->size;
    uint32_t size = (uint32_t)change->rest.size + 1;

    NW_ASSERT(chunk->bytes != NULL); /* room_make() saw to it */
    memcpy(to, &size, 4);
    memcpy(to + 4, &change->subxid, 4);
    memcpy(to + 8, &change->lsn, 8);
    to[RECORD_HEADER_BYTES] = change->type;
    if (size > 1) {
        memcpy(to + RECORD_HEADER_BYTES + 1, change->rest.at, size - 1);
    }
    chunk->size += RECORD_HEADER_BYTES + size;
}

static uint32_t chunk_room(const struct chunk *chunk)
{
    return chunk->size < CHUNK_BYTES ? CHUNK_BYTES - chunk->size : 0;
}

/* Gives up a buffer that waits to be filled; says how much could be written out to free more. */
static uint32_t txn_slack(struct nw_txns *txns, struct txn *txn)
{
    if (txn->writing) {
        return 0;
    }
    chunk_free(txns, &txn->flushing);
    if (txn->filling.size == 0) {
        chunk_free(txns, &txn->filling);
    }
    return txn->filling.size;
}

/*
 * Brings all chunks together below their limit: first the spare ones go, then the fullest are
 * written out, one for each call. NW_AGAIN while a write under way will free more.
 */
static nw_status memory_trim(struct nw_txns *txns, struct nw_error *err)
{
    struct txn *fullest = NULL;
    uint32_t slack = 0;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct txn *txn = txns->buckets[i]; txn != NULL; txn = txn->next) {
            uint32_t size = txn_slack(txns, txn);

            if (size > slack) {
                slack = size;
                fullest = txn;
            }
        }
    }
    if (txns->memory_bytes <= NW_TXNS_MEMORY_BYTES_MAX) {
        return NW_OK;
    }
    if (fullest != NULL) {
        status = txn_flush(txns, fullest, err);
    }
    return status == NW_OK && txns->writes > 0 ? NW_AGAIN : status;
}

/* Makes room in the chunk that is filled: a full one goes to the file. */
static nw_status room_make(struct nw_txns *txns, struct txn *txn, uint32_t needed,
                           struct nw_error *err)
{
    bool full = txn->filling.size > 0 && needed > chunk_room(&txn->filling);
    bool over = txns->memory_bytes > NW_TXNS_MEMORY_BYTES_MAX;
    nw_status status = full || over ? reap(txns, false, err) : NW_OK;

    if (status == NW_OK && txns->write_status != NW_OK) {
        return nw_fail(err, txns->write_status, "%s", txns->write_error.text);
    }
    if (status == NW_OK && over) {
        status = memory_trim(txns, err);
    }
    if (status == NW_OK && txn->filling.size > 0 && needed > chunk_room(&txn->filling)) {
        status = txn->writing ? NW_AGAIN : txn_flush(txns, txn, err);
    }
    if (status == NW_OK) {
        status = chunk_grow(txns, &txn->filling, txn->filling.size + needed, err);
    }
    return status;
}

nw_status nw_txns_append(struct nw_txns *txns, uint32_t xid, const struct nw_txn_change *change,
                         struct nw_error *err)
{
    struct txn *txn = NULL;
    uint32_t needed = 0;
    nw_status status = txn_open(txns, xid, &txn, err);

    if (status != NW_OK) {
        return status;
    }
    if (change->rest.size > RECORD_BYTES_MAX) {
        return nw_fail(err, NW_CORRUPT, "a message of %zu bytes", change->rest.size);
    }
    needed = RECORD_HEADER_BYTES + 1 + (uint32_t)change->rest.size;
    status = room_make(txns, txn, needed, err);
    if (status == NW_OK) {
        record_put(&txn->filling, change);
    }
    return status;
}

nw_status nw_txns_abort(struct nw_txns *txns, uint32_t xid, uint32_t subxid, struct nw_error *err)
{
    struct txn **link = txn_find(txns, xid);
    struct txn *txn = *link;

    if (txn == NULL) {
        return NW_OK;
    }
    if (subxid == xid) {
        txn_unlink(txns, link);
        txn_free(txns, txn);
        return NW_OK;
    }
    if (txn->aborted_count == txn->aborted_capacity) {
        uint32_t capacity = txn->aborted_capacity == 0 ? 16 : txn->aborted_capacity * 2;
        uint32_t *aborted = realloc(txn->aborted, capacity * sizeof *aborted);

        if (aborted == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for aborted subtransactions");
        }
        txn->aborted = aborted;
        txn->aborted_capacity = capacity;
    }
    txn->aborted[txn->aborted_count++] = subxid;
    return NW_OK;
}

static int compare_xid(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;

    return a < b ? -1 : a > b;
}

nw_status nw_txns_open(struct nw_txns *txns, uint32_t xid, struct nw_error *err)
{
    struct txn **link = txn_find(txns, xid);
    struct txn *txn = *link;

    NW_ASSERT(txns->reading == NULL);
    if (txn == NULL) { /* committed without a single change of ours */
        nw_status status = txn_open(txns, xid, &txn, err);

        if (status != NW_OK) {
            return status;
        }
        link = txn_find(txns, xid);
    }
    NW_ASSERT(*link == txn && txn != NULL);
    txn_unlink(txns, link);
    if (txn->aborted_count > 0) {
        qsort(txn->aborted, txn->aborted_count, sizeof *txn->aborted, compare_xid);
    }
    txns->reading = txn;
    txns->read_at = 0;
    txns->read_head = txns->read_tail = txns->chunk_at = 0;
    txns->read_waits = txns->read_done = false;
    return NW_OK;
}

/* Starts the next read from the file, behind what is left unread in the buffer. */
static nw_status read_start(struct nw_txns *txns, uint32_t wanted, struct nw_error *err)
{
    struct nw_env *env = txns->options.env;
    uint64_t left = txns->reading->file_bytes - txns->read_at;
    uint32_t kept = txns->read_tail - txns->read_head;
    uint32_t capacity = wanted > READ_BYTES ? wanted : READ_BYTES;
    nw_status status = NW_OK;

    if (kept > 0) {
        memmove(txns->read_bytes, txns->read_bytes + txns->read_head, kept);
    }
    txns->read_head = 0;
    txns->read_tail = kept;
    if (capacity > txns->read_capacity) {
        uint8_t *bytes = realloc(txns->read_bytes, capacity);

        if (bytes == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory reading back a streamed transaction");
        }
        txns->read_bytes = bytes;
        txns->read_capacity = capacity;
    }
    txns->read_op = (struct nw_file_op){
        .verb = NW_FILE_READ,
        .file = txns->reading->file,
        .bytes = txns->read_bytes + kept,
        .offset = txns->read_at,
        .size = txns->read_capacity - kept < left ? txns->read_capacity - kept : (uint32_t)left};
    status = env->ops->io_submit(env, txns->io, &txns->read_op, err);
    if (status == NW_OK) {
        txns->read_waits = true;
        txns->read_done = false;
    }
    return status;
}

/* Makes at least `wanted` unread bytes of the file available in the buffer. */
static nw_status read_more(struct nw_txns *txns, uint32_t wanted, struct nw_error *err)
{
    nw_status status = reap(txns, false, err);

    if (status != NW_OK) {
        return status;
    }
    if (txns->write_status != NW_OK) {
        return nw_fail(err, txns->write_status, "%s", txns->write_error.text);
    }
    if (txns->reading->writing || txns->read_waits) {
        return NW_AGAIN;
    }
    if (txns->read_done) {
        txns->read_done = false;
        if (txns->read_op.result <= 0) {
            return nw_fail(err, NW_RETRY,
                           "NW2511 cannot read back transaction %" PRIu32 " from %s: %s",
                           txns->reading->xid, txns->options.folder,
                           txns->read_op.result < 0 ? nw_errno_text(-txns->read_op.result)
                                                    : "the file is too short");
        }
        txns->read_at += (uint32_t)txns->read_op.result;
        txns->read_tail += (uint32_t)txns->read_op.result;
    }
    if (txns->read_tail - txns->read_head >= wanted) {
        return NW_OK;
    }
    if (txns->read_at == txns->reading->file_bytes) {
        return nw_fail(err, NW_RETRY, "NW2511 transaction %" PRIu32 " was not spilled whole",
                       txns->reading->xid);
    }
    status = read_start(txns, wanted, err);
    return status == NW_OK ? NW_AGAIN : status;
}

/* Takes a record that is whole at `at`. */
static uint32_t record_take(const uint8_t *at, uint32_t left, struct nw_txn_record *record)
{
    struct nw_cursor cursor = nw_cursor_of(at, left);
    uint32_t size = nw_cursor_u32le(&cursor);

    record->subxid = nw_cursor_u32le(&cursor);
    record->lsn = nw_cursor_u64le(&cursor);
    record->message = nw_cursor_bytes(&cursor, size);
    NW_ASSERT(!cursor.failed);
    return RECORD_HEADER_BYTES + size;
}

static bool file_used_up(const struct nw_txns *txns)
{
    return txns->read_at == txns->reading->file_bytes && txns->read_head == txns->read_tail &&
           !txns->read_waits && !txns->read_done;
}

static nw_status record_from_file(struct nw_txns *txns, struct nw_txn_record *record,
                                  struct nw_error *err)
{
    uint32_t wanted = RECORD_HEADER_BYTES;

    for (int pass = 0; pass < 2; pass++) { /* the header, then all of it */
        uint32_t size = 0;

        if (txns->read_waits || txns->read_done || txns->read_tail - txns->read_head < wanted) {
            nw_status status = read_more(txns, wanted, err);

            if (status != NW_OK) {
                return status;
            }
        }
        memcpy(&size, txns->read_bytes + txns->read_head, 4);
        wanted = RECORD_HEADER_BYTES + size;
    }
    txns->read_head +=
        record_take(txns->read_bytes + txns->read_head, txns->read_tail - txns->read_head, record);
    return NW_OK;
}

/* The next record, undone or not: from the file, then from the chunk that stayed in memory. */
static nw_status record_next(struct nw_txns *txns, struct nw_txn_record *record, bool *end,
                             struct nw_error *err)
{
    const struct chunk *chunk = &txns->reading->filling;

    *end = false;
    if (!file_used_up(txns)) {
        return record_from_file(txns, record, err);
    }
    if (txns->chunk_at == chunk->size) {
        *end = true;
    } else {
        txns->chunk_at +=
            record_take(chunk->bytes + txns->chunk_at, chunk->size - txns->chunk_at, record);
    }
    return NW_OK;
}

/* One huge message must not hold its memory for ever. */
static void read_buffer_shrink(struct nw_txns *txns)
{
    if (txns->read_capacity > READ_BYTES) {
        free(txns->read_bytes);
        txns->read_bytes = NULL;
        txns->read_capacity = 0;
    }
}

nw_status nw_txns_next(struct nw_txns *txns, struct nw_txn_record *record, bool *end,
                       struct nw_error *err)
{
    const struct txn *txn = txns->reading;

    NW_ASSERT(txn != NULL);
    for (;;) {
        nw_status status = record_next(txns, record, end, err);

        if (status != NW_OK) {
            return status;
        }
        if (*end) {
            txn_free(txns, txns->reading);
            txns->reading = NULL;
            read_buffer_shrink(txns);
            return NW_OK;
        }
        if (txn->aborted_count == 0 || bsearch(&record->subxid, txn->aborted, txn->aborted_count,
                                               sizeof *txn->aborted, compare_xid) == NULL) {
            return NW_OK;
        }
    }
}

uint32_t nw_txns_count(const struct nw_txns *txns)
{
    return txns->count;
}

uint64_t nw_txns_memory_bytes(const struct nw_txns *txns)
{
    return txns->memory_bytes;
}

uint64_t nw_txns_spilled_bytes(const struct nw_txns *txns)
{
    return txns->spilled_bytes;
}
