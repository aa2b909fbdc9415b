/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool's life, its segments, and what is under way: see spool.h. What is written when is in
 * spool_write.c, reading in spool_read.c, opening and removing in spool_open.c.
 */
#include "source/spool_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/errno.h"
#include "pg/lsn.h"

#define IO_DEPTH          16u
#define REAP_MAX          16u
#define SEGMENTS_CAPACITY 16u
#define SEGMENTS_MIN      4u /* in a full spool, so that a part of it can be trimmed */

static_assert(IO_DEPTH >= NW_SPOOL_CHUNKS + 1 + 2 + 1,
              "chunks, a sync, two pieces, a large record");

/* ---- life ---- */

nw_status nw_spool_make(const struct nw_spool_options *options, struct nw_spool **spool,
                        struct nw_error *err)
{
    struct nw_spool *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the spool");
    }
    made->options = *options;
    if (made->options.segment_bytes == 0) {
        made->options.segment_bytes = NW_SPOOL_SEGMENT_BYTES;
    }
    if (made->options.segment_bytes > options->quota_bytes / SEGMENTS_MIN) {
        made->options.segment_bytes = options->quota_bytes / SEGMENTS_MIN;
    }
    made->timeline = options->identity.timeline;
    made->file = made->next_file = -1;
    made->make_job = (struct nw_job){.run = nw_spool_make_run, .context = made};
    made->remove_job = (struct nw_job){.run = nw_spool_remove_run, .context = made};
    if (!nw_spool_reader_init(made)) {
        status = nw_fail(err, NW_FATAL, "out of memory for the spool");
    } else {
        status = options->env->ops->io_create(options->env, IO_DEPTH, &made->io, err);
    }
    if (status != NW_OK) {
        nw_spool_reader_fini(made);
        free(made);
        return status;
    }
    *spool = made;
    return NW_OK;
}

void nw_spool_file_close(struct nw_spool *spool, int *file)
{
    if (*file >= 0) {
        spool->options.env->ops->file_close(spool->options.env, *file);
        *file = -1;
    }
}

void nw_spool_use(struct nw_spool *spool, struct nw_jobs *jobs)
{
    spool->options.jobs = jobs;
}

void nw_spool_destroy(struct nw_spool *spool)
{
    if (spool == NULL) {
        return;
    }
    if (spool->options.jobs != NULL) {
        (void)nw_jobs_collect(spool->options.jobs); /* a file may have been made meanwhile */
    }
    nw_spool_drain(spool);
    spool->options.env->ops->io_destroy(spool->options.env, spool->io);
    nw_spool_reader_fini(spool);
    nw_spool_file_close(spool, &spool->file);
    nw_spool_file_close(spool, &spool->next_file);
    for (uint32_t i = 0; i < NW_SPOOL_CHUNKS; i++) {
        free(spool->chunks[i].bytes);
    }
    free(spool->segments);
    free(spool);
}

/* Writes the first segment's header, and gives the file its name when that is durable. */
static nw_status first_segment_make(struct nw_spool *spool, uint64_t lsn, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    struct nw_spool_header header = {.version = NW_SPOOL_VERSION,
                                     .identity = spool->options.identity,
                                     .id = spool->id,
                                     .number = 1,
                                     .first_record = 1,
                                     .first_lsn = lsn};
    uint8_t bytes[NW_SPOOL_HEADER_BYTES];
    char temporary[NW_SPOOL_PATH_SIZE];
    char path[NW_SPOOL_PATH_SIZE];
    struct nw_file_op op = {.verb = NW_FILE_WRITE, .bytes = bytes, .size = sizeof bytes};
    nw_status status = NW_OK;

    (void)nw_spool_path_of(spool->options.folder, NW_SPOOL_BEGIN_NAME, temporary);
    nw_spool_header_put(&header, bytes);
    status = env->ops->file_open(env, temporary, NW_FILE_CREATE, &spool->file, err);
    if (status == NW_OK) {
        status = env->ops->file_truncate(env, spool->file, 0, err);
    }
    if (status == NW_OK) {
        op.file = spool->file;
        status = nw_spool_run(spool, &op, err);
    }
    if (status == NW_OK) {
        op = (struct nw_file_op){.verb = NW_FILE_SYNC, .file = spool->file};
        status = nw_spool_run(spool, &op, err);
    }
    if (status == NW_OK) {
        status = env->ops->file_rename(env, temporary,
                                       nw_spool_path(spool->options.folder, 1, path), err);
    }
    return status;
}

static nw_status segment_seen(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    const struct nw_spool_options *options = context;
    size_t size = strlen(name);

    if (!is_folder && size > 6 && strcmp(name + size - 6, ".spool") == 0) {
        return nw_fail(err, NW_FATAL, "NW2903 there is a spool in %s already", options->folder);
    }
    return NW_OK;
}

static nw_status folder_make(struct nw_spool *spool, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    char parent[NW_SPOOL_PATH_SIZE];
    nw_status status = env->ops->folder_create(env, spool->options.folder, err);

    if (status == NW_OK) {
        status = env->ops->folder_sync(env, nw_spool_parent(spool->options.folder, parent), err);
    }
    if (status == NW_OK) {
        status =
            env->ops->folder_list(env, spool->options.folder, segment_seen, &spool->options, err);
    }
    return status;
}

nw_status nw_spool_begin(const struct nw_spool_options *options, uint64_t lsn,
                         struct nw_spool **spool, struct nw_error *err)
{
    struct nw_spool_segment first = {
        .number = 1, .first_record = 1, .first_lsn = lsn, .bytes = NW_SPOOL_HEADER_BYTES};
    struct nw_spool *made = NULL;
    nw_status status = nw_spool_make(options, &made, err);

    if (status == NW_OK) {
        options->env->ops->random(options->env, &made->id, sizeof made->id);
        status = folder_make(made, err);
    }
    if (status == NW_OK) {
        status = first_segment_make(made, lsn, err);
    }
    if (status == NW_OK) {
        status = nw_spool_segment_add(made, &first, err);
    }
    if (status != NW_OK) {
        nw_spool_destroy(made);
        return status;
    }
    made->appending = true;
    made->file_segment = 1;
    made->end = (struct nw_spool_mark){.offset = NW_SPOOL_HEADER_BYTES, .lsn = lsn};
    made->written = made->synced = made->end;
    nw_spool_reader_seek(made, &made->segments[made->segments_first]);
    *spool = made;
    return NW_OK;
}

/* ---- segments ---- */

const char *nw_spool_path(const char *folder, uint64_t number, char path[NW_SPOOL_PATH_SIZE])
{
    (void)snprintf(path, NW_SPOOL_PATH_SIZE, "%s/%010" PRIu64 ".spool", folder, number);
    return path;
}

const char *nw_spool_path_of(const char *folder, const char *name, char path[NW_SPOOL_PATH_SIZE])
{
    (void)snprintf(path, NW_SPOOL_PATH_SIZE, "%s/%s", folder, name);
    return path;
}

const char *nw_spool_parent(const char *folder, char path[NW_SPOOL_PATH_SIZE])
{
    char *slash = NULL;

    (void)snprintf(path, NW_SPOOL_PATH_SIZE, "%s", folder);
    slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    slash[slash == path ? 1 : 0] = '\0';
    return path;
}

nw_status nw_spool_segment_add(struct nw_spool *spool, const struct nw_spool_segment *segment,
                               struct nw_error *err)
{
    size_t live = spool->segments_count - spool->segments_first;

    if (spool->segments_count == spool->segments_capacity && spool->segments_first > live) {
        memmove(spool->segments, spool->segments + spool->segments_first,
                live * sizeof *spool->segments);
        spool->segments_first = 0;
        spool->segments_count = live;
    }
    if (spool->segments_count == spool->segments_capacity) {
        size_t capacity =
            spool->segments_capacity == 0 ? SEGMENTS_CAPACITY : spool->segments_capacity * 2;
        struct nw_spool_segment *segments =
            realloc(spool->segments, capacity * sizeof *spool->segments);

        if (segments == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %zu segments of the spool", capacity);
        }
        spool->segments = segments;
        spool->segments_capacity = capacity;
    }
    spool->segments[spool->segments_count++] = *segment;
    spool->bytes += segment->bytes;
    return NW_OK;
}

/* Numbers follow one another, so a place follows from a number. */
struct nw_spool_segment *nw_spool_segment_find(struct nw_spool *spool, uint64_t number)
{
    size_t live = spool->segments_count - spool->segments_first;
    struct nw_spool_segment *first = spool->segments + spool->segments_first;

    return live > 0 && number - first->number < live ? first + (number - first->number) : NULL;
}

uint64_t nw_spool_file_bytes(const struct nw_spool *spool, const struct nw_spool_segment *segment)
{
    if (segment->number < spool->file_segment) {
        return segment->bytes;
    }
    return segment->number == spool->file_segment ? spool->written.offset : 0;
}

/* ---- what is under way ---- */

/* Keeps the first failure: nothing is written any more. */
nw_status nw_spool_broken(struct nw_spool *spool, nw_status status, const struct nw_error *why)
{
    if (spool->failure.status == NW_OK) {
        spool->failure = *why;
        spool->failure.status = status;
    }
    return status;
}

/* Whether a write came back because there is no room. */
static bool has_no_room(const struct nw_file_op *op)
{
    return op->result == -ENOSPC || op->result == -EDQUOT ||
           (op->result >= 0 && (uint32_t)op->result < op->size);
}

static void write_finish(struct nw_spool *spool, struct nw_spool_chunk *chunk)
{
    char path[NW_SPOOL_PATH_SIZE];
    struct nw_error why = {0};
    int32_t result = chunk->op.result;

    chunk->busy = false;
    chunk->refused = has_no_room(&chunk->op);
    (void)nw_spool_path(spool->options.folder, chunk->segment, path);
    if (chunk->refused) { /* what it holds stays, and is written again as a whole */
        chunk->started = chunk->written;
        chunk->started_end = chunk->written_end;
        spool->refused = true;
        (void)nw_fail(&spool->why, NW_RETRY,
                      "NW2504 cannot write the spool, %s: %s; free space there", path,
                      result < 0 ? nw_errno_text(-result) : "it took only a part");
    } else if (result < 0) {
        (void)nw_spool_broken(spool,
                              nw_fail(&why, NW_RETRY,
                                      "NW2504 cannot write the spool, %s: %s; check the "
                                      "disk",
                                      path, nw_errno_text(-result)),
                              &why);
    } else {
        chunk->written = chunk->started;
        chunk->written_end = chunk->started_end;
    }
}

/*
 * After a failed sync the kernel may call pages clean that never reached the disk: what they hold
 * would be found right by the next open, and be gone after the next power cut. So it is cut off. A
 * disk that says only here that it is full is no exception: the pages may be gone just the same.
 */
static void sync_finish(struct nw_spool *spool)
{
    struct nw_env *env = spool->options.env;
    char path[NW_SPOOL_PATH_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];
    struct nw_error why = {0};

    spool->sync_busy = false;
    if (spool->sync_op.result == 0) {
        spool->synced = spool->sync_end;
        return;
    }
    (void)nw_spool_broken(
        spool,
        nw_fail(&why, NW_FATAL,
                "NW2504 cannot sync the spool, %s: %s; what the server sent after %s is not safe "
                "there, was not acknowledged, and will be sent again. %s, then start narwal again",
                nw_spool_path(spool->options.folder, spool->file_segment, path),
                nw_errno_text(-spool->sync_op.result), nw_lsn_text(lsn, spool->synced.lsn),
                spool->sync_op.result == -ENOSPC || spool->sync_op.result == -EDQUOT
                    ? "Free space there"
                    : "Check the disk"),
        &why);
    (void)!env->ops->file_truncate(env, spool->file, spool->synced.offset, NULL);
}

/* Releases what is written, from the oldest chunk on. */
static void chunks_release(struct nw_spool *spool)
{
    while (spool->chunks_count > 0) {
        struct nw_spool_chunk *chunk = &spool->chunks[spool->chunks_head];

        if (chunk->busy) {
            return;
        }
        if (chunk->written > 0) {
            spool->written = chunk->written_end;
        }
        if (chunk->written < chunk->size) {
            return;
        }
        spool->chunks_bytes -= chunk->size;
        if (spool->pressure == NW_SPOOL_BEHIND) {
            spool->pressure = NW_SPOOL_FREE;
        }
        if (chunk->capacity > NW_SPOOL_CHUNK_BYTES) { /* a large record's memory is not kept */
            free(chunk->bytes);
            chunk->bytes = NULL;
            chunk->capacity = 0;
        }
        spool->chunks_head = (spool->chunks_head + 1) % NW_SPOOL_CHUNKS;
        spool->chunks_count--;
    }
}

static void op_finish(struct nw_spool *spool, struct nw_file_op *op)
{
    struct nw_spool_reader *reader = &spool->reader;

    NW_ASSERT(spool->under_way > 0);
    spool->under_way--;
    if (op == &spool->sync_op) {
        sync_finish(spool);
    } else if (op == &reader->large_op) {
        reader->large_busy = false;
    } else if (op == &reader->pieces[0].op || op == &reader->pieces[1].op) {
        reader->pieces[op == &reader->pieces[1].op].busy = false;
    } else {
        for (uint32_t i = 0; i < NW_SPOOL_CHUNKS; i++) {
            if (op == &spool->chunks[i].op) {
                write_finish(spool, &spool->chunks[i]);
            }
        }
    }
}

nw_status nw_spool_reap(struct nw_spool *spool, bool wait, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    struct nw_file_op *done[REAP_MAX];
    size_t done_count = 0;
    nw_status status = NW_OK;

    if (spool->under_way == 0) {
        return NW_OK;
    }
    status = env->ops->io_reap(env, spool->io, wait, done, REAP_MAX, &done_count, err);
    if (status != NW_OK && status != NW_AGAIN) {
        return status;
    }
    for (size_t i = 0; i < done_count; i++) {
        op_finish(spool, done[i]);
    }
    if (spool->failure.status == NW_OK) {
        chunks_release(spool);
    }
    return NW_OK;
}

/* What an operation that ran alone came to. */
static nw_status result_check(const struct nw_spool *spool, const struct nw_file_op *op,
                              struct nw_error *err)
{
    const char *verb = op->verb == NW_FILE_SYNC ? "sync" : "read";

    if (op->verb == NW_FILE_WRITE) {
        verb = "write";
    }
    if (op->result < 0) {
        return nw_fail(err, op->verb == NW_FILE_SYNC ? NW_FATAL : NW_RETRY,
                       "NW2504 cannot %s the spool in %s: %s", verb, spool->options.folder,
                       nw_errno_text(-op->result));
    }
    if (op->verb == NW_FILE_WRITE && (uint32_t)op->result != op->size) {
        return nw_fail(err, NW_RETRY, "NW2504 cannot write the spool in %s: it took only a part",
                       spool->options.folder);
    }
    return NW_OK;
}

nw_status nw_spool_run(struct nw_spool *spool, struct nw_file_op *op, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    nw_status status = NW_OK;

    NW_ASSERT(spool->under_way == 0);
    status = env->ops->io_submit(env, spool->io, op, err);
    NW_ASSERT(status != NW_AGAIN); /* the queue is empty */
    spool->under_way += status == NW_OK;
    while (status == NW_OK && spool->under_way > 0) {
        status = nw_spool_reap(spool, true, err);
    }
    return status == NW_OK ? result_check(spool, op, err) : status;
}

void nw_spool_drain(struct nw_spool *spool)
{
    while (spool->under_way > 0) {
        if (nw_spool_reap(spool, true, NULL) != NW_OK) {
            return; /* destroying the queue waits for the kernel */
        }
    }
}
