/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool's writing side: see spool.h. Records are put into chunks of memory, a ring of them; a
 * chunk that is full is written while the next ones are filled, and one that is not when a sync is
 * due. A chunk never holds records of two segments, and a segment's file is begun only when the one
 * before it is written and synced.
 */
#include "source/spool_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/errno.h"
#include "base/log.h"

#define SYNC_NS       20000000LL
#define SYNC_BYTES    (4u << 20)
#define POLL_READ_NS  50000LL /* nobody rings for what is under way */
#define POLL_WRITE_NS 500000LL
#define RETRY_NS      1000000000LL

/* ---- appending ---- */

static struct nw_spool_chunk *chunk_of(struct nw_spool *spool, uint32_t i)
{
    return &spool->chunks[(spool->chunks_head + i) % NW_SPOOL_CHUNKS];
}

/* A new chunk, of the segment that is appended to last. NW_AGAIN when there is no memory left. */
static nw_status chunk_push(struct nw_spool *spool, uint32_t needed, struct nw_spool_chunk **chunk,
                            struct nw_error *err)
{
    uint32_t capacity = needed > NW_SPOOL_CHUNK_BYTES ? needed : NW_SPOOL_CHUNK_BYTES;
    struct nw_spool_chunk *made = chunk_of(spool, spool->chunks_count);

    if (spool->chunks_count == NW_SPOOL_CHUNKS ||
        (spool->chunks_count > 0 && (spool->chunks_bytes >= NW_SPOOL_MEMORY_BYTES_MAX ||
                                     needed > NW_SPOOL_MEMORY_BYTES_MAX - spool->chunks_bytes))) {
        return NW_AGAIN;
    }
    if (made->capacity < capacity) {
        free(made->bytes);
        made->capacity = 0;
        made->bytes = malloc(capacity);
        if (made->bytes == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %" PRIu32 " bytes of the spool",
                           capacity);
        }
        made->capacity = capacity;
    }
    made->size = made->started = made->written = 0;
    made->end = made->started_end = made->written_end = spool->end;
    made->refused = false;
    spool->chunks_count++;
    *chunk = made;
    return NW_OK;
}

static nw_status chunk_find(struct nw_spool *spool, bool turn, uint32_t needed,
                            struct nw_spool_chunk **chunk, struct nw_error *err)
{
    if (!turn && spool->chunks_count > 0) {
        *chunk = chunk_of(spool, spool->chunks_count - 1);
        if (needed <= (*chunk)->capacity - (*chunk)->size) {
            return NW_OK;
        }
    }
    return chunk_push(spool, needed, chunk, err);
}

/* The next segment begins, in memory. */
static nw_status segment_begin(struct nw_spool *spool, uint8_t *bytes, bool stands_alone,
                               struct nw_error *err)
{
    struct nw_spool_header header = {.version = NW_SPOOL_VERSION,
                                     .identity = spool->options.identity,
                                     .id = spool->id,
                                     .number =
                                         spool->segments[spool->segments_count - 1].number + 1,
                                     .first_record = spool->end.record + 1,
                                     .first_lsn = spool->end.lsn};
    struct nw_spool_segment segment = {.number = header.number,
                                       .first_record = header.first_record,
                                       .first_lsn = header.first_lsn,
                                       .bytes = NW_SPOOL_HEADER_BYTES,
                                       .stands_alone = stands_alone};
    nw_status status = nw_spool_segment_add(spool, &segment, err);

    if (status == NW_OK) {
        nw_spool_header_put(&header, bytes);
        spool->appending = true;
        spool->timeline = header.identity.timeline;
        spool->end.offset = NW_SPOOL_HEADER_BYTES;
        spool->end.total += NW_SPOOL_HEADER_BYTES;
    }
    return status;
}

/* There is room for the record in the chunk, and for a header if a segment begins with it. */
static nw_status record_put(struct nw_spool *spool, struct nw_spool_chunk *chunk, bool turn,
                            const struct nw_spool_record *record, uint32_t kind,
                            struct nw_error *err)
{
    uint32_t size = NW_SPOOL_RECORD_HEADER_BYTES + (uint32_t)record->body.size;
    struct nw_spool_record numbered = *record;
    nw_status status = NW_OK;

    if (turn) {
        NW_ASSERT(chunk->size == 0);
        status = segment_begin(spool, chunk->bytes, kind == NW_SPOOL_STATE, err);
        if (status != NW_OK) {
            return status; /* the chunk stays, empty */
        }
        chunk->size = NW_SPOOL_HEADER_BYTES;
        spool->chunks_bytes += NW_SPOOL_HEADER_BYTES;
    }
    chunk->segment = spool->segments[spool->segments_count - 1].number;
    chunk->offset = spool->end.offset - chunk->size;
    numbered.number = spool->end.record + 1;
    if (kind == NW_SPOOL_STATE) {
        numbered.position_lsn = spool->end.lsn;
    }
    nw_spool_record_put(&numbered, kind, spool->id, chunk->bytes + chunk->size);
    chunk->size += size;
    spool->chunks_bytes += size;
    spool->bytes += size;
    spool->segments[spool->segments_count - 1].bytes += size;
    spool->end.offset += size;
    spool->end.total += size;
    spool->end.record++;
    if (numbered.position_lsn > spool->end.lsn) {
        spool->end.lsn = numbered.position_lsn;
    }
    chunk->end = spool->end;
    return NW_OK;
}

/* Adds a record of any kind, without a look at the quota. */
static nw_status record_append(struct nw_spool *spool, const struct nw_spool_record *record,
                               uint32_t kind, struct nw_error *err)
{
    const struct nw_spool_segment *last = &spool->segments[spool->segments_count - 1];
    uint32_t size = NW_SPOOL_RECORD_HEADER_BYTES + (uint32_t)record->body.size;
    bool turn =
        kind == NW_SPOOL_STATE || !spool->appending ||
        (last->bytes > NW_SPOOL_HEADER_BYTES && last->bytes + size > spool->options.segment_bytes);
    struct nw_spool_chunk *chunk = NULL;
    nw_status status =
        chunk_find(spool, turn, size + (turn ? NW_SPOOL_HEADER_BYTES : 0), &chunk, err);

    if (status == NW_OK) {
        status = record_put(spool, chunk, turn, record, kind, err);
    }
    spool->hurry = status == NW_AGAIN;
    return status;
}

static nw_status failure_say(const struct nw_spool *spool, struct nw_error *err)
{
    return nw_fail(err, spool->failure.status, "%s", spool->failure.text);
}

bool nw_spool_state_is_due(const struct nw_spool *spool, uint64_t state_bytes)
{
    const struct nw_spool_segment *last = &spool->segments[spool->segments_count - 1];
    uint64_t bytes = spool->options.segment_bytes;

    /* Soon after a segment that could not begin so; else before there is no choice any more. */
    return state_bytes <= bytes / 2 &&
           last->bytes >= (last->stands_alone ? bytes - bytes / 4 : bytes / 8);
}

nw_status nw_spool_append(struct nw_spool *spool, const struct nw_spool_record *record,
                          struct nw_error *err)
{
    uint64_t size = NW_SPOOL_RECORD_HEADER_BYTES + NW_SPOOL_HEADER_BYTES + record->body.size;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    NW_ASSERT(record->kind >= NW_SPOOL_MESSAGE && record->kind <= NW_SPOOL_POSITION);
    if (spool->failure.status != NW_OK) {
        return failure_say(spool, err);
    }
    if (record->body.size > NW_SPOOL_BODY_BYTES_MAX) {
        return nw_fail(err, NW_CORRUPT, "a message of %zu bytes", record->body.size);
    }
    if (size > spool->options.quota_bytes) {
        return nw_fail(
            err, NW_FATAL,
            "NW2508 a message of %zu bytes does not fit into the spool, which may have %" PRIu64
            " bytes: raise its quota",
            record->body.size, spool->options.quota_bytes);
    }
    if (spool->bytes > spool->options.quota_bytes - size) {
        spool->pressure = NW_SPOOL_FULL;
        return NW_AGAIN;
    }
    status = record_append(spool, record, record->kind, &why);
    spool->pressure = status == NW_AGAIN ? NW_SPOOL_BEHIND : NW_SPOOL_FREE;
    if (status != NW_OK && status != NW_AGAIN) {
        (void)nw_spool_broken(spool, status, &why);
        return failure_say(spool, err);
    }
    return status;
}

/* Something could not be written, or its file not be made, for want of room. */
static bool is_blocked(const struct nw_spool *spool)
{
    bool blocked = spool->make_refused;

    for (uint32_t i = 0; i < spool->chunks_count; i++) {
        blocked = blocked || spool->chunks[(spool->chunks_head + i) % NW_SPOOL_CHUNKS].refused;
    }
    return blocked;
}

enum nw_spool_pressure nw_spool_pressure(const struct nw_spool *spool)
{
    return is_blocked(spool) ? NW_SPOOL_BLOCKED : spool->pressure;
}

const char *nw_spool_blocked(const struct nw_spool *spool)
{
    return is_blocked(spool) ? spool->why.text : NULL;
}

struct nw_bytes nw_spool_memory_at(const struct nw_spool *spool, uint64_t segment, uint64_t offset)
{
    for (uint32_t i = 0; i < spool->chunks_count; i++) {
        const struct nw_spool_chunk *chunk =
            &spool->chunks[(spool->chunks_head + i) % NW_SPOOL_CHUNKS];

        if (chunk->segment == segment && offset >= chunk->offset &&
            offset - chunk->offset < chunk->size) {
            uint32_t skipped = (uint32_t)(offset - chunk->offset);

            return (struct nw_bytes){chunk->bytes + skipped, chunk->size - skipped};
        }
    }
    return (struct nw_bytes){NULL, 0};
}

/* ---- syncing ---- */

/* What is synced, or will be by the sync under way. */
static const struct nw_spool_mark *covered(const struct nw_spool *spool)
{
    return spool->sync_busy ? &spool->sync_end : &spool->synced;
}

void nw_spool_flush(struct nw_spool *spool)
{
    if (spool->end.record > covered(spool)->record) {
        spool->due_record = spool->end.record;
    }
}

static void due_decide(struct nw_spool *spool, int64_t now_ns)
{
    uint64_t bytes = spool->end.total - covered(spool)->total;

    if (bytes == 0) {
        spool->unsynced_ns = 0;
        return;
    }
    if (spool->unsynced_ns == 0) {
        spool->unsynced_ns = now_ns;
    }
    if (spool->due_record == 0 && (bytes >= SYNC_BYTES || now_ns - spool->unsynced_ns >= SYNC_NS)) {
        spool->due_record = spool->end.record;
    }
}

/* Whether the oldest chunk begins a segment, and the one before it must be synced for that. */
static bool turn_waits(const struct nw_spool *spool)
{
    const struct nw_spool_chunk *head = &spool->chunks[spool->chunks_head];

    return spool->chunks_count > 0 && head->size > 0 && head->segment != spool->file_segment &&
           spool->written.record > spool->synced.record;
}

static nw_status sync_start(struct nw_spool *spool, int64_t now_ns, uint32_t *work,
                            struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    bool due = (spool->due_record > 0 && spool->written.record >= spool->due_record) ||
               spool->written.total - spool->synced.total >= SYNC_BYTES || turn_waits(spool) ||
               is_blocked(spool);
    nw_status status = NW_OK;

    if (spool->sync_busy || spool->written.record == spool->synced.record || !due) {
        return NW_OK;
    }
    spool->sync_op = (struct nw_file_op){.verb = NW_FILE_SYNC, .file = spool->file};
    status = env->ops->io_submit(env, spool->io, &spool->sync_op, err);
    if (status != NW_OK) {
        return status == NW_AGAIN ? NW_OK : status;
    }
    spool->under_way++;
    spool->sync_busy = true;
    spool->sync_end = spool->written;
    spool->unsynced_ns = spool->end.record > spool->sync_end.record ? now_ns : 0;
    if (spool->due_record <= spool->sync_end.record) {
        spool->due_record = 0;
    }
    *work += 1;
    return NW_OK;
}

uint64_t nw_spool_synced_lsn(const struct nw_spool *spool)
{
    return spool->synced.lsn;
}

/* ---- writing ---- */

nw_status nw_spool_make_run(void *context, struct nw_error *err)
{
    struct nw_spool *spool = context;
    struct nw_env *env = spool->options.env;
    char path[NW_SPOOL_PATH_SIZE];
    nw_status status =
        env->ops->file_open(env, nw_spool_path(spool->options.folder, spool->next_segment, path),
                            NW_FILE_CREATE, &spool->next_file, err);

    if (status != NW_OK) {
        spool->next_file = -1;
        return status;
    }
    status = env->ops->file_truncate(env, spool->next_file, 0, err);
    status = status == NW_OK ? env->ops->folder_sync(env, spool->options.folder, err) : status;
    if (status != NW_OK) {
        nw_spool_file_close(spool, &spool->next_file);
    }
    return status;
}

nw_status nw_spool_remove_run(void *context, struct nw_error *err)
{
    struct nw_spool *spool = context;
    struct nw_env *env = spool->options.env;
    char path[NW_SPOOL_PATH_SIZE];

    return env->ops->file_remove(
        env, nw_spool_path(spool->options.folder, spool->removing_segment, path), err);
}

static void job_start(struct nw_spool *spool, struct nw_job *job, bool *started)
{
    *started = true;
    if (spool->options.jobs != NULL) {
        nw_jobs_submit(spool->options.jobs, job);
    } else {
        job->status = job->run(job->context, &job->error);
    }
}

/* Sees the end of a job that was started. NW_AGAIN while it runs. */
static nw_status job_end(const struct nw_job *job, bool *started, struct nw_error *err)
{
    if (job->pending) {
        return NW_AGAIN;
    }
    *started = false;
    return job->status == NW_OK ? NW_OK : nw_fail(err, job->status, "%s", job->error.text);
}

/* NW_AGAIN: not yet, or the disk takes no file now. */
static nw_status segment_make(struct nw_spool *spool, uint64_t number, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (!spool->making && spool->make_refused && spool->refused) {
        return NW_AGAIN; /* a moment ago */
    }
    if (!spool->making) {
        spool->next_segment = number;
        job_start(spool, &spool->make_job, &spool->making);
    }
    status = job_end(&spool->make_job, &spool->making, err);
    if (status == NW_RETRY) {
        spool->make_refused = spool->refused = true;
        spool->why = spool->make_job.error;
        return NW_AGAIN;
    }
    spool->make_refused = spool->make_refused && status == NW_AGAIN;
    return status;
}

/* Makes the next segment's file when the one that is written is half full. */
static nw_status segment_prepare(struct nw_spool *spool, struct nw_error *err)
{
    const struct nw_spool_segment *last = &spool->segments[spool->segments_count - 1];
    nw_status status = NW_OK;

    if (spool->making || (spool->next_file < 0 && last->number == spool->file_segment &&
                          spool->file >= 0 && last->bytes >= spool->options.segment_bytes / 2)) {
        status = segment_make(spool, last->number + 1, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* Goes on to the segment of a chunk, the oldest one. */
static nw_status segment_turn(struct nw_spool *spool, const struct nw_spool_chunk *chunk,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    if (spool->sync_busy || chunk != &spool->chunks[spool->chunks_head] ||
        spool->synced.record != spool->written.record) {
        return NW_AGAIN;
    }
    if (spool->making || spool->next_file < 0) {
        status = segment_make(spool, chunk->segment, err);
    }
    if (status == NW_OK) {
        NW_ASSERT(spool->next_segment == chunk->segment);
        nw_spool_file_close(spool, &spool->file);
        spool->file = spool->next_file;
        spool->next_file = -1;
        spool->file_segment = chunk->segment;
        spool->written.offset = spool->synced.offset = 0;
    }
    return status;
}

static nw_status chunk_write(struct nw_spool *spool, struct nw_spool_chunk *chunk, uint32_t *work,
                             struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    nw_status status = NW_OK;

    if (chunk->segment != spool->file_segment) {
        status = chunk->started == 0 ? segment_turn(spool, chunk, err) : NW_AGAIN;
    }
    if (status != NW_OK) {
        return status;
    }
    chunk->op = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                    .file = spool->file,
                                    .bytes = chunk->bytes + chunk->started,
                                    .offset = chunk->offset + chunk->started,
                                    .size = chunk->size - chunk->started};
    status = env->ops->io_submit(env, spool->io, &chunk->op, err);
    if (status == NW_OK) {
        spool->under_way++;
        chunk->busy = true;
        chunk->started = chunk->size;
        chunk->started_end = chunk->end;
        *work += 1;
    }
    return status;
}

/* Hands chunks to the kernel: those that are full, and the last when there is a reason. */
static nw_status writes_start(struct nw_spool *spool, uint32_t *work, struct nw_error *err)
{
    for (uint32_t i = 0; i < spool->chunks_count; i++) {
        struct nw_spool_chunk *chunk = chunk_of(spool, i);
        bool last = i == spool->chunks_count - 1;
        bool wanted = !last || spool->hurry || spool->due_record > chunk->started_end.record;
        nw_status status = NW_OK;

        if (chunk->busy || chunk->started == chunk->size || !wanted) {
            continue;
        }
        status = chunk_write(spool, chunk, work, err);
        if (status != NW_OK) {
            return status == NW_AGAIN ? NW_OK : status;
        }
    }
    return NW_OK;
}

/* ---- trimming ---- */

void nw_spool_trim(struct nw_spool *spool, uint64_t number)
{
    uint64_t limit = number < spool->reader.record ? number : spool->reader.record;

    if (limit > spool->trim_wanted) {
        spool->trim_wanted = limit;
    }
}

/* The last segment that could become the first: what is before it was read, and may go. */
static const struct nw_spool_segment *trim_limit(const struct nw_spool *spool)
{
    const struct nw_spool_segment *limit = NULL;

    for (size_t i = spool->segments_first + 1; i < spool->segments_count; i++) {
        const struct nw_spool_segment *segment = &spool->segments[i];

        if (segment->first_record > spool->trim_wanted || segment->number > spool->reader.segment) {
            break;
        }
        limit = segment->stands_alone ? segment : limit;
    }
    return limit;
}

/* What the spool says may go, durably. */
static uint64_t trim_durable(const struct nw_spool *spool)
{
    return spool->synced.record >= spool->trim_record ? spool->trim_noted : spool->trim_before;
}

/* Whether the first segment may go. */
static bool first_is_removable(const struct nw_spool *spool)
{
    const struct nw_spool_segment *first = spool->segments + spool->segments_first;

    return spool->segments_count - spool->segments_first > 1 &&
           first[1].first_record <= trim_durable(spool);
}

/* Whether what may go is to be said; one thing after the other. */
static bool note_is_due(const struct nw_spool *spool)
{
    const struct nw_spool_segment *limit =
        spool->trim_wanted > spool->trim_noted ? trim_limit(spool) : NULL;

    return limit != NULL && limit->first_record > spool->trim_noted &&
           trim_durable(spool) == spool->trim_noted;
}

/* Whether there is something to do for it that waits for nothing else. */
static bool trim_goes_on(const struct nw_spool *spool)
{
    return first_is_removable(spool) || (note_is_due(spool) && !is_blocked(spool));
}

static nw_status trim_note(struct nw_spool *spool, struct nw_error *err)
{
    uint64_t number = trim_limit(spool)->first_record;
    struct nw_spool_record record = {.body = {(const uint8_t *)&number, sizeof number}};
    nw_status status = record_append(spool, &record, NW_SPOOL_TRIM, err);

    if (status == NW_OK) {
        spool->trim_before = spool->trim_noted;
        spool->trim_noted = number;
        spool->trim_record = spool->end.record;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* Says in the spool what may go, and when that is durable removes it, a segment at a time. */
static nw_status trim_step(struct nw_spool *spool, uint32_t *work, struct nw_error *err)
{
    const struct nw_spool_segment *first = spool->segments + spool->segments_first;
    nw_status status = NW_OK;

    if (note_is_due(spool)) {
        status = trim_note(spool, err);
    }
    if (status != NW_OK || !first_is_removable(spool)) {
        return status;
    }
    if (!spool->removing) {
        spool->removing_segment = first->number;
        job_start(spool, &spool->remove_job, &spool->removing);
    }
    status = job_end(&spool->remove_job, &spool->removing, err);
    if (status == NW_OK) {
        spool->bytes -= first->bytes;
        spool->segments_first++;
        if (spool->pressure == NW_SPOOL_FULL) {
            spool->pressure = NW_SPOOL_FREE;
        }
        *work += 1;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- step ---- */

/* What is refused is tried again each second; said is it once, and when it is over. */
static void refusal_see(struct nw_spool *spool, int64_t now_ns)
{
    if (spool->refused) {
        spool->refused = false;
        spool->retry_ns = now_ns + RETRY_NS;
        if (!spool->said) {
            spool->said = true;
            nw_log(NW_LOG_WARN,
                   "%s. Until it can be written nothing more is received, and WAL stays on the "
                   "server; trying again each second",
                   spool->why.text);
        }
    } else if (spool->said && !is_blocked(spool)) {
        spool->said = false;
        nw_log(NW_LOG_INFO, "the spool is written again");
    }
}

static nw_status write_step(struct nw_spool *spool, int64_t now_ns, uint32_t *work,
                            struct nw_error *err)
{
    uint32_t before = *work;
    nw_status status = NW_OK;

    due_decide(spool, now_ns);
    refusal_see(spool, now_ns);
    if (now_ns >= spool->retry_ns) {
        status = segment_prepare(spool, err);
        if (status == NW_OK) {
            status = writes_start(spool, work, err);
        }
        refusal_see(spool, now_ns);
    }
    if (status == NW_OK) {
        status = sync_start(spool, now_ns, work, err);
    }
    if (status == NW_OK) {
        status = trim_step(spool, work, err);
    }
    if (status == NW_OK && *work > before) {
        status = nw_spool_reap(spool, false, err); /* what was queued goes to the kernel now */
    }
    return status;
}

nw_status nw_spool_step(struct nw_spool *spool, int64_t now_ns, uint32_t *work,
                        struct nw_error *err)
{
    uint32_t under_way = spool->under_way;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (spool->failure.status == NW_OK) {
        status = nw_spool_reap(spool, false, &why);
        *work += under_way - spool->under_way;
    }
    if (status == NW_OK && spool->failure.status == NW_OK) {
        status = write_step(spool, now_ns, work, &why);
    }
    if (status != NW_OK) {
        (void)nw_spool_broken(spool, status, &why);
    }
    return spool->failure.status == NW_OK ? NW_OK : failure_say(spool, err);
}

static bool write_is_due(const struct nw_spool *spool)
{
    return spool->due_record > 0 || (spool->hurry && spool->chunks_count > 0) || turn_waits(spool);
}

int64_t nw_spool_deadline(const struct nw_spool *spool, int64_t now_ns)
{
    const struct nw_spool_reader *reader = &spool->reader;
    bool reads = reader->large_busy || reader->pieces[0].busy || reader->pieces[1].busy;

    if (spool->failure.status == NW_OK &&
        (spool->under_way > 0 || spool->making || spool->removing)) {
        return now_ns + (reads ? POLL_READ_NS : POLL_WRITE_NS);
    }
    if (spool->failure.status != NW_OK || trim_goes_on(spool)) { /* step() has to say so */
        return now_ns;
    }
    if (is_blocked(spool)) {
        return spool->retry_ns > now_ns ? spool->retry_ns : now_ns;
    }
    if (write_is_due(spool)) {
        return now_ns;
    }
    if (spool->end.total > covered(spool)->total) {
        return spool->unsynced_ns == 0 ? now_ns : spool->unsynced_ns + SYNC_NS;
    }
    return INT64_MAX;
}

void nw_spool_status(const struct nw_spool *spool, struct nw_spool_status *status)
{
    const struct nw_spool_segment *first = spool->segments + spool->segments_first;

    *status = (struct nw_spool_status){.bytes = spool->bytes,
                                       .quota_bytes = spool->options.quota_bytes,
                                       .memory_bytes = spool->chunks_bytes,
                                       .segments = spool->segments_count - spool->segments_first,
                                       .first_lsn = first->first_lsn,
                                       .end_lsn = spool->end.lsn,
                                       .synced_lsn = spool->synced.lsn,
                                       .first_record = first->first_record,
                                       .next_record = spool->end.record + 1,
                                       .read_record = spool->reader.record,
                                       .timeline = spool->timeline,
                                       .pressure = nw_spool_pressure(spool)};
}
