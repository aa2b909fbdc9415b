/* SPDX-License-Identifier: Apache-2.0 */
/* See recent.h: the writer. recent_read.c reads. */
#include "pipeline/recent.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/errno.h"
#include "base/log.h"
#include "base/writer.h"
#include "pipeline/recent_private.h"

#define FILE_BYTES_MAX    (4u << 20) /* a batch may go past it */
#define BUFFER_BYTES_MAX  (8u << 20)
#define BUFFER_BYTES_WAIT (1u << 20) /* more is written before an epoch ends */
#define ENTRY_BYTES_MAX                                                                            \
    (NW_RECENT_ENTRY_BYTES + NW_COMMITTED_TABLES_MAX * (12u + 2u + 2u * NW_TABLE_NAME_SIZE))

/* Entries that wait to be written. */
struct buffer {
    uint8_t *bytes; /* with room for a head before and a hash behind them */
    size_t size, capacity;
};

struct nw_recent {
    char *folder;
    int file;       /* -1: none is open */
    unsigned place; /* recent.0 or recent.1 */
    uint64_t file_bytes;
    uint64_t number; /* of the next batch */
    struct nw_identity identity;
    uint64_t from_lsn;     /* where the next batch begins */
    struct buffer written; /* the main thread's */
    pthread_mutex_t mutex; /* guards all below */
    struct buffer open;
    uint64_t to_lsn;
    uint64_t open_end_lsn; /* the highest of an entry in there, or of one that did not fit */
    bool due;              /* it has entries from before to_lsn: of what was kept, and is played */
    bool lost;             /* something did not fit */
};

nw_status nw_recent_open(const char *folder, struct nw_recent **recent, struct nw_error *err)
{
    struct nw_recent *made = calloc(1, sizeof *made);
    struct nw_recent_end end = {0};

    if (made == NULL || (made->folder = strdup(folder)) == NULL) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for the record of transactions");
    }
    made->file = -1;
    (void)pthread_mutex_init(&made->mutex, NULL);
    nw_recent_end_find(folder, &end);
    made->number = end.number;
    made->place = end.place;
    made->file_bytes = end.bytes;
    *recent = made;
    return NW_OK;
}

void nw_recent_close(struct nw_recent *recent)
{
    if (recent == NULL) {
        return;
    }
    if (recent->file >= 0) {
        (void)close(recent->file);
    }
    (void)pthread_mutex_destroy(&recent->mutex);
    free(recent->open.bytes);
    free(recent->written.bytes);
    free(recent->folder);
    free(recent);
}

void nw_recent_begin(struct nw_recent *recent, const struct nw_identity *identity, uint64_t lsn)
{
    (void)pthread_mutex_lock(&recent->mutex);
    recent->identity = *identity;
    recent->from_lsn = recent->to_lsn = lsn;
    recent->open.size = 0;
    recent->open_end_lsn = 0;
    recent->due = recent->lost = false;
    (void)pthread_mutex_unlock(&recent->mutex);
}

/* ---- the source's thread ---- */

static bool buffer_grow(struct buffer *buffer, size_t more)
{
    size_t capacity = buffer->capacity == 0 ? 64u << 10 : buffer->capacity;
    uint8_t *bytes = NULL;

    while (capacity - buffer->size < more + NW_RECENT_HEAD_BYTES + sizeof(XXH64_hash_t)) {
        capacity *= 2;
    }
    if (capacity == buffer->capacity) {
        return true;
    }
    if (capacity > BUFFER_BYTES_MAX || (bytes = realloc(buffer->bytes, capacity)) == NULL) {
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

static void name_put(struct nw_writer *writer, const char *name)
{
    uint8_t size = (uint8_t)strnlen(name, NW_TABLE_NAME_SIZE - 1);

    nw_writer_put(writer, &size, 1);
    nw_writer_put(writer, name, size);
}

static void entry_put(struct buffer *buffer, const struct nw_dealer_committed *what)
{
    struct nw_writer writer = {.bytes = buffer->bytes + NW_RECENT_HEAD_BYTES + buffer->size};

    nw_writer_put(&writer, &what->commit_lsn, 8);
    nw_writer_put(&writer, &what->end_lsn, 8);
    nw_writer_put(&writer, &what->commit_ts, 8);
    nw_writer_put(&writer, &what->xid, 4);
    nw_writer_put(&writer, &what->tables_count, 4);
    for (uint32_t i = 0; i < what->tables_count && i < NW_COMMITTED_TABLES_MAX; i++) {
        const struct nw_table_count *table = &what->tables[i];

        nw_writer_put(&writer, &table->table->relation_oid, 4);
        nw_writer_put(&writer, &table->rows_count, 8);
        name_put(&writer, table->table->schema_name);
        name_put(&writer, table->table->name);
    }
    buffer->size += writer.size;
}

void nw_recent_add(struct nw_recent *recent, const struct nw_dealer_committed *what)
{
    (void)pthread_mutex_lock(&recent->mutex);
    if (!recent->lost && buffer_grow(&recent->open, ENTRY_BYTES_MAX)) {
        entry_put(&recent->open, what);
    } else {
        recent->lost = true; /* nobody writes: there will be a gap */
    }
    recent->due = recent->due || what->end_lsn <= recent->to_lsn;
    recent->open_end_lsn =
        what->end_lsn > recent->open_end_lsn ? what->end_lsn : recent->open_end_lsn;
    (void)pthread_mutex_unlock(&recent->mutex);
}

void nw_recent_reach(struct nw_recent *recent, uint64_t lsn)
{
    (void)pthread_mutex_lock(&recent->mutex);
    recent->to_lsn = lsn > recent->to_lsn ? lsn : recent->to_lsn;
    (void)pthread_mutex_unlock(&recent->mutex);
}

/* ---- writing ---- */

/*
 * Entries are lost that end at this LSN at the latest. The record begins anew behind them: what is
 * there must not be gone on from, for they may be of transactions that it has without some tables.
 */
static void begin_anew(struct nw_recent *recent, uint64_t lsn)
{
    if (recent->file >= 0) {
        (void)close(recent->file);
    }
    recent->file = -1;
    recent->file_bytes = 0;
    nw_recent_void(recent->folder);
    recent->from_lsn = lsn > recent->from_lsn ? lsn : recent->from_lsn;
    recent->written.size = 0;
}

/* Opens the file that comes next; when it is full, the other one from its beginning. */
static bool file_ready(struct nw_recent *recent)
{
    char path[4096 + 16];
    bool full = recent->file_bytes >= FILE_BYTES_MAX;

    if (recent->file >= 0 && !full) {
        return true;
    }
    if (recent->file >= 0) {
        (void)close(recent->file);
    }
    if (full) {
        recent->place = 1 - recent->place;
        recent->file_bytes = 0;
    }
    (void)snprintf(path, sizeof path, "%s/recent.%u", recent->folder, recent->place);
    recent->file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (recent->file >= 0 && ftruncate(recent->file, (off_t)recent->file_bytes) != 0) {
        (void)close(recent->file);
        recent->file = -1;
    }
    return recent->file >= 0;
}

/* The buffer's entries as a batch. @return false: it could not be written */
static bool batch_write(struct nw_recent *recent, uint64_t to_lsn)
{
    struct buffer *buffer = &recent->written;
    struct nw_writer writer = {.bytes = buffer->bytes};
    uint64_t size = buffer->size;
    uint64_t hash = 0;
    ssize_t done = -1;

    nw_writer_put(&writer, (const uint8_t[]){NW_RECENT_VERSION, 'R'}, 2);
    nw_writer_put(&writer, &size, 8);
    nw_writer_put(&writer, &recent->identity.system_identifier, 8);
    nw_writer_put(&writer, &recent->identity.timeline, 4);
    nw_writer_put(&writer, &recent->number, 8);
    nw_writer_put(&writer, &recent->from_lsn, 8);
    nw_writer_put(&writer, &to_lsn, 8);
    writer.size += (uint32_t)size;
    hash = XXH3_64bits(writer.bytes, writer.size);
    nw_writer_put(&writer, &hash, 8);
    if (file_ready(recent)) {
        done = pwrite(recent->file, writer.bytes, writer.size, (off_t)recent->file_bytes);
    }
    if (done != (ssize_t)writer.size) {
        nw_log(NW_LOG_DEBUG, "the record of transactions has a gap: %s", nw_errno_text(errno));
        return false;
    }
    recent->file_bytes += writer.size;
    recent->number++;
    recent->from_lsn = to_lsn;
    buffer->size = 0;
    return true;
}

void nw_recent_write(struct nw_recent *recent)
{
    struct buffer taken;
    uint64_t to_lsn = 0;
    uint64_t end_lsn = 0;
    bool lost = false;
    bool writes = false;

    (void)pthread_mutex_lock(&recent->mutex);
    /* Behind a gap it may be that all before from_lsn has still to come. */
    to_lsn = recent->to_lsn > recent->from_lsn ? recent->to_lsn : recent->from_lsn;
    writes = to_lsn > recent->from_lsn || recent->due || recent->lost ||
             recent->open.size >= BUFFER_BYTES_WAIT;
    if (writes) {
        lost = recent->lost;
        end_lsn = recent->open_end_lsn > to_lsn ? recent->open_end_lsn : to_lsn;
        recent->due = recent->lost = false;
        recent->open_end_lsn = 0;
        taken = recent->open;
        recent->open = recent->written;
        recent->written = taken;
    }
    (void)pthread_mutex_unlock(&recent->mutex);
    if (!writes) {
        return;
    }
    if (lost || !buffer_grow(&recent->written, 0) || !batch_write(recent, to_lsn)) {
        begin_anew(recent, end_lsn);
    }
}
