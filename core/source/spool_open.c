/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a spool that a former process left, and removing one: see spool.h. Everything is read and
 * judged before anything is changed.
 *
 * Of the last segment an end that is no record was not synced, as were segments behind it without a
 * header: they go, if what is left reaches what the server was told. Anything else that is missing
 * is damage, unless a trim record further on says that it was not needed any more.
 */
#include "source/spool_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"

#define NUMBERS_CAPACITY 64u
#define NAME_DIGITS      10u

/* The segments that are in the folder. */
struct listing {
    uint64_t *numbers;
    size_t count, capacity;
    bool there;   /* the folder is */
    bool removed; /* the spool is being removed */
    const char *folder_name;
};

/* Where reading came to an end. */
struct stop {
    bool set;
    uint64_t lsn;                  /* what was there before it */
    char text[NW_ERROR_TEXT_SIZE]; /* a sentence without its end */
};

struct verify {
    struct nw_spool *spool;
    uint64_t done_bytes, all_bytes;
    struct stop stop;    /* the end, if nothing valid follows */
    struct stop gap;     /* something valid followed; the first such place that is not explained */
    uint64_t gap_record; /* the record that follows the last such place ... */
    uint64_t gap_lsn;    /* ... and where it stands */
    uint64_t trim;       /* records below are not needed */
    bool any;            /* a segment's header was right */
};

/* ---- the folder ---- */

/* @return 0 when it is no segment's name */
static uint64_t name_number(const char *name)
{
    uint64_t number = 0;
    size_t digits = 0;

    while (name[digits] >= '0' && name[digits] <= '9' && digits < 19) {
        number = number * 10 + (uint64_t)(name[digits] - '0');
        digits++;
    }
    if (digits < NAME_DIGITS || (digits > NAME_DIGITS && name[0] == '0')) {
        return 0;
    }
    return strcmp(name + digits, ".spool") == 0 ? number : 0;
}

static nw_status listing_add(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct listing *listing = context;
    uint64_t number = is_folder ? 0 : name_number(name);

    listing->removed = listing->removed || strcmp(name, NW_SPOOL_REMOVED_NAME) == 0;
    if (number == 0) {
        return NW_OK;
    }
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? NUMBERS_CAPACITY : listing->capacity * 2;
        uint64_t *numbers = realloc(listing->numbers, capacity * sizeof *numbers);

        if (numbers == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %zu segments of the spool", capacity);
        }
        listing->numbers = numbers;
        listing->capacity = capacity;
    }
    listing->numbers[listing->count++] = number;
    return NW_OK;
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static nw_status folder_look(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct listing *listing = context;

    (void)err;
    listing->there = listing->there || (is_folder && strcmp(name, listing->folder_name) == 0);
    return NW_OK;
}

static nw_status listing_make(const struct nw_spool_options *options, struct listing *listing,
                              struct nw_error *err)
{
    struct nw_env *env = options->env;
    const char *slash = strrchr(options->folder, '/');
    char parent[NW_SPOOL_PATH_SIZE];
    nw_status status = NW_OK;

    listing->folder_name = slash == NULL ? options->folder : slash + 1;
    status = env->ops->folder_list(env, nw_spool_parent(options->folder, parent), folder_look,
                                   listing, err);
    if (status == NW_OK && listing->there) {
        status = env->ops->folder_list(env, options->folder, listing_add, listing, err);
    }
    if (status == NW_OK && listing->count > 0) {
        qsort(listing->numbers, listing->count, sizeof *listing->numbers, compare_numbers);
    }
    return status;
}

/* ---- damage ---- */

static nw_status lost(const char *what, uint64_t from_lsn, uint64_t to_lsn, struct nw_error *err)
{
    char from[NW_LSN_TEXT_SIZE];
    char to[NW_LSN_TEXT_SIZE];
    char between[128];

    if (from_lsn < to_lsn) {
        (void)snprintf(between, sizeof between, "between %s and %s", nw_lsn_text(from, from_lsn),
                       nw_lsn_text(to, to_lsn));
    } else { /* a part of what was committed later */
        (void)snprintf(between, sizeof between, "after %s", nw_lsn_text(from, from_lsn));
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2505 %s. Changes %s may have been acknowledged to the server, and are nowhere else. "
        "Nothing was written. To begin again with a new copy: drop the slot, and move "
        "the spool and the sinks' former data away",
        what, between);
}

NW_PRINTF(3, 4)
static void stop_set(struct stop *stop, uint64_t lsn, const char *format, ...)
{
    va_list args;

    if (!stop->set) {
        stop->set = true;
        stop->lsn = lsn;
        va_start(args, format);
        (void)vsnprintf(stop->text, sizeof stop->text, format, args);
        va_end(args);
    }
}

/* A valid segment follows the place where reading stopped. */
static void gap_set(struct verify *verify, const struct nw_spool_header *header)
{
    struct nw_spool *spool = verify->spool;

    if (!verify->gap.set) {
        verify->gap = verify->stop;
    }
    verify->stop.set = false;
    verify->gap_record = header->first_record;
    verify->gap_lsn = header->first_lsn;
    spool->segments_first = spool->segments_count; /* what is before it is of no use */
    spool->bytes = 0;
}

/* ---- verification ---- */

static nw_status header_check(const struct nw_spool *spool, const struct nw_spool_header *header,
                              const char *path, struct nw_error *err)
{
    const struct nw_identity *here = &spool->options.identity;
    const struct nw_identity *there = &header->identity;

    if (header->version > NW_SPOOL_VERSION) {
        return nw_fail(
            err, NW_FATAL,
            "NW2506 the spool's %s has format %u, written by a newer narwal: this one reads up "
            "to %u; upgrade narwal",
            path, header->version, NW_SPOOL_VERSION);
    }
    if (there->system_identifier != here->system_identifier ||
        there->database_oid != here->database_oid ||
        strcmp(there->slot_name, here->slot_name) != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW2507 the spool in %s is of another source (system %" PRIu64
                       ", database %u, slot %s), not of this one (system %" PRIu64
                       ", database %u, slot %s): give this source a name of its own, or move the "
                       "spool away",
                       spool->options.folder, there->system_identifier, there->database_oid,
                       there->slot_name, here->system_identifier, here->database_oid,
                       here->slot_name);
    }
    return NW_OK;
}

/* Reads a segment's header. *valid says whether it has one; if not, why is stored. */
static nw_status header_read(struct verify *verify, uint64_t number, struct nw_spool_header *header,
                             uint64_t *size, bool *valid, struct nw_error *err)
{
    struct nw_spool *spool = verify->spool;
    struct nw_env *env = spool->options.env;
    uint8_t bytes[NW_SPOOL_HEADER_BYTES];
    char path[NW_SPOOL_PATH_SIZE];
    struct nw_file_op op = {.verb = NW_FILE_READ, .bytes = bytes, .size = sizeof bytes};
    int file = -1;
    nw_status status = env->ops->file_open(env, nw_spool_path(spool->options.folder, number, path),
                                           NW_FILE_READ_ONLY, &file, err);

    *valid = false;
    if (status != NW_OK) {
        return status;
    }
    op.file = file;
    status = env->ops->file_size(env, file, size, err);
    if (status == NW_OK) {
        status = nw_spool_run(spool, &op, err);
    }
    env->ops->file_close(env, file);
    if (status != NW_OK) {
        return status;
    }
    if (!nw_spool_header_take((struct nw_bytes){bytes, (size_t)op.result}, header)) {
        stop_set(&verify->stop, spool->end.lsn,
                 "the spool is damaged in %s at offset 0: it does not begin with a right header",
                 path);
        return NW_OK;
    }
    status = header_check(spool, header, path, err);
    *valid =
        status == NW_OK && header->number == number && (!verify->any || header->id == spool->id);
    if (status == NW_OK && !*valid) {
        stop_set(&verify->stop, spool->end.lsn,
                 "the spool is damaged in %s at offset 0: its header is of segment %" PRIu64 "%s",
                 path, header->number, header->number == number ? " of another spool" : "");
    }
    return status;
}

/* Whether a segment goes on where the one before it ended; if not, why is stored. */
static void continuity_check(struct verify *verify, const struct nw_spool_header *header)
{
    struct nw_spool *spool = verify->spool;
    uint64_t expected = verify->any ? spool->reader.segment + 1 : 1;
    char path[NW_SPOOL_PATH_SIZE];

    if (header->number != expected) {
        stop_set(&verify->stop, spool->end.lsn, "the spool is damaged: %s is missing",
                 nw_spool_path(spool->options.folder, expected, path));
    } else if (header->first_record != spool->end.record + 1) {
        stop_set(&verify->stop, spool->end.lsn,
                 "the spool is damaged in %s at offset 0: it begins with record %" PRIu64
                 ", and what is before it ends with %" PRIu64,
                 nw_spool_path(spool->options.folder, header->number, path), header->first_record,
                 spool->end.record);
    }
}

static nw_status segment_enter(struct verify *verify, const struct nw_spool_header *header,
                               uint64_t size, struct nw_error *err)
{
    struct nw_spool *spool = verify->spool;
    struct nw_spool_segment segment = {.number = header->number,
                                       .first_record = header->first_record,
                                       .first_lsn = header->first_lsn,
                                       .bytes = size};
    nw_status status = NW_OK;

    continuity_check(verify, header);
    if (verify->stop.set) {
        gap_set(verify, header);
    }
    status = nw_spool_segment_add(spool, &segment, err);
    if (status != NW_OK) {
        return status;
    }
    verify->any = true;
    spool->id = header->id;
    spool->timeline = header->identity.timeline;
    spool->file_segment = header->number;
    spool->written.offset = size;
    spool->end.record = header->first_record - 1;
    if (header->first_lsn > spool->end.lsn) {
        spool->end.lsn = header->first_lsn;
    }
    nw_spool_reader_seek(spool, &spool->segments[spool->segments_count - 1]);
    return NW_OK;
}

static void record_see(struct verify *verify, const struct nw_spool_record *record, uint32_t kind)
{
    struct nw_spool *spool = verify->spool;
    struct nw_spool_segment *segment = &spool->segments[spool->segments_count - 1];

    if (kind == NW_SPOOL_STATE && record->number == segment->first_record) {
        segment->stands_alone = true;
    }

    spool->end.record = record->number;
    if (record->position_lsn > spool->end.lsn) {
        spool->end.lsn = record->position_lsn;
    }
    if (kind == NW_SPOOL_TRIM) {
        struct nw_cursor cursor = nw_cursor_of(record->body.at, record->body.size);
        uint64_t number = nw_cursor_u64le(&cursor);

        verify->trim = number > verify->trim ? number : verify->trim;
        if (verify->gap_record <= verify->trim) {
            verify->gap.set = false;
        }
    }
}

static nw_status pause_check(struct verify *verify, uint64_t segment_bytes, struct nw_error *err)
{
    const struct nw_spool_options *options = &verify->spool->options;

    if (options->progress != NULL) {
        options->progress(options->context, verify->done_bytes + segment_bytes, verify->all_bytes);
    }
    if (options->stopping != NULL && options->stopping(options->context)) {
        return nw_fail(err, NW_RETRY, "NW2005 stopped while the spool was verified");
    }
    return NW_OK;
}

/* Reads the records of the segment that was entered, up to its end or what is none. */
static nw_status records_verify(struct verify *verify, struct nw_error *err)
{
    struct nw_spool *spool = verify->spool;
    struct nw_spool_segment *segment = &spool->segments[spool->segments_count - 1];
    struct nw_spool_record record;
    struct nw_error why = {0};
    uint32_t kind = 0;
    bool end = false;
    nw_status status = NW_OK;

    while (status == NW_OK && !end) {
        status = nw_spool_reader_next(spool, &record, &kind, &end, &why);
        if (status == NW_OK && !end) {
            record_see(verify, &record, kind);
        } else if (status == NW_AGAIN) {
            status = pause_check(verify, spool->reader.at, &why);
            if (status == NW_OK) {
                status = nw_spool_reap(spool, true, &why);
            }
        }
    }
    if (status == NW_CORRUPT) {
        nw_spool_drain(spool);
        stop_set(&verify->stop, spool->end.lsn, "%s", nw_code_rest(why.text));
        spool->bytes -= segment->bytes - spool->reader.at;
        segment->bytes = spool->written.offset = spool->reader.at;
        status = NW_OK;
    }
    return status == NW_OK ? NW_OK : nw_fail(err, status, "%s", why.text);
}

static nw_status segment_verify(struct verify *verify, uint64_t number, struct nw_error *err)
{
    struct nw_spool_header header = {0};
    uint64_t size = 0;
    bool valid = false;
    nw_status status = header_read(verify, number, &header, &size, &valid, err);

    if (status == NW_OK && valid) {
        status = segment_enter(verify, &header, size, err);
        if (status == NW_OK) {
            status = records_verify(verify, err);
        }
    }
    if (status == NW_OK) {
        status = pause_check(verify, size, err);
        verify->done_bytes += size;
    }
    return status;
}

static nw_status sizes_add(struct verify *verify, const struct listing *listing,
                           struct nw_error *err)
{
    struct nw_env *env = verify->spool->options.env;
    char path[NW_SPOOL_PATH_SIZE];
    nw_status status = NW_OK;

    for (size_t i = 0; i < listing->count && status == NW_OK; i++) {
        uint64_t size = 0;
        int file = -1;

        status = env->ops->file_open(
            env, nw_spool_path(verify->spool->options.folder, listing->numbers[i], path),
            NW_FILE_READ_ONLY, &file, err);
        if (status == NW_OK) {
            status = env->ops->file_size(env, file, &size, err);
            env->ops->file_close(env, file);
            verify->all_bytes += size;
        }
    }
    return status;
}

/* Leaves out what is not needed any more. What is left must say by itself how it begins. */
static nw_status first_find(struct verify *verify, struct nw_error *err)
{
    struct nw_spool *spool = verify->spool;
    const struct nw_spool_segment *first = spool->segments + spool->segments_first;
    char text[NW_ERROR_TEXT_SIZE];
    char path[NW_SPOOL_PATH_SIZE];

    while (spool->segments_count - spool->segments_first > 1 &&
           first[1].first_record <= verify->trim) {
        spool->bytes -= first->bytes;
        spool->segments_first++;
        first++;
    }
    if (first->number == 1 || first->stands_alone) {
        return NW_OK;
    }
    (void)snprintf(text, sizeof text, "the spool is damaged: what precedes %.512s is missing",
                   nw_spool_path(spool->options.folder, first->number, path));
    return lost(text, 0, first->first_lsn, err);
}

/* Whether what was found is all that must be there. */
static nw_status judge(const struct verify *verify, uint64_t acknowledged_lsn, struct nw_error *err)
{
    const struct nw_spool *spool = verify->spool;
    char text[NW_ERROR_TEXT_SIZE];
    char path[NW_SPOOL_PATH_SIZE];

    if (!verify->any) {
        return lost(verify->stop.text, 0, acknowledged_lsn, err);
    }
    if (verify->gap.set) {
        return lost(verify->gap.text, verify->gap.lsn, verify->gap_lsn, err);
    }
    if (spool->end.lsn >= acknowledged_lsn) {
        return NW_OK;
    }
    if (verify->stop.set) {
        return lost(verify->stop.text, spool->end.lsn, acknowledged_lsn, err);
    }
    (void)snprintf(text, sizeof text, "the spool is damaged: what followed %.512s is missing",
                   nw_spool_path(spool->options.folder, spool->file_segment, path));
    return lost(text, spool->end.lsn, acknowledged_lsn, err);
}

/* ---- taking over ---- */

/* Cuts off what the last segment has behind its records, and syncs it. */
static nw_status last_settle(struct nw_spool *spool, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    const struct nw_spool_segment *last = &spool->segments[spool->segments_count - 1];
    struct nw_file_op op = {.verb = NW_FILE_SYNC};
    char path[NW_SPOOL_PATH_SIZE];
    uint64_t size = 0;
    int file = -1;
    nw_status status = env->ops->file_open(
        env, nw_spool_path(spool->options.folder, last->number, path), 0, &file, err);

    if (status != NW_OK) {
        return status;
    }
    status = env->ops->file_size(env, file, &size, err);
    if (status == NW_OK && size != last->bytes) {
        nw_log(NW_LOG_INFO, "the spool's end, %" PRIu64 " bytes, was not synced and is cut off",
               size - last->bytes);
        status = env->ops->file_truncate(env, file, last->bytes, err);
    }
    if (status == NW_OK) {
        op.file = file;
        status = nw_spool_run(spool, &op, err);
    }
    env->ops->file_close(env, file);
    return status;
}

/* Removes segments that are of no use: before the first that is needed, and behind the last. */
static nw_status others_remove(struct nw_spool *spool, const struct listing *listing,
                               struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    char path[NW_SPOOL_PATH_SIZE];
    nw_status status = NW_OK;

    for (size_t i = 0; i < listing->count && status == NW_OK; i++) {
        if (nw_spool_segment_find(spool, listing->numbers[i]) == NULL) {
            status = env->ops->file_remove(
                env, nw_spool_path(spool->options.folder, listing->numbers[i], path), err);
        }
    }
    if (status == NW_OK) {
        status = env->ops->file_remove(
            env, nw_spool_path_of(spool->options.folder, NW_SPOOL_BEGIN_NAME, path), err);
    }
    return status == NW_OK ? env->ops->folder_sync(env, spool->options.folder, err) : status;
}

static nw_status take_over(struct verify *verify, const struct listing *listing,
                           struct nw_error *err)
{
    struct nw_spool *spool = verify->spool;
    const struct nw_spool_segment *first = spool->segments + spool->segments_first;
    nw_status status = last_settle(spool, err);

    spool->trim_wanted = spool->trim_noted = spool->trim_before = verify->trim;
    if (status == NW_OK) {
        status = others_remove(spool, listing, err);
    }
    spool->end.offset = spool->segments[spool->segments_count - 1].bytes;
    spool->written = spool->synced = spool->end;
    nw_spool_reader_seek(spool, first);
    return status;
}

static nw_status spool_verify(struct nw_spool *spool, uint64_t acknowledged_lsn,
                              const struct listing *listing, struct nw_error *err)
{
    struct verify verify = {.spool = spool};
    nw_status status = sizes_add(&verify, listing, err);

    for (size_t i = 0; i < listing->count && status == NW_OK; i++) {
        status = segment_verify(&verify, listing->numbers[i], err);
    }
    if (status == NW_OK) {
        status = judge(&verify, acknowledged_lsn, err);
    }
    if (status == NW_OK) {
        status = first_find(&verify, err);
    }
    return status == NW_OK ? take_over(&verify, listing, err) : status;
}

nw_status nw_spool_open(const struct nw_spool_options *options, uint64_t acknowledged_lsn,
                        struct nw_spool **spool, struct nw_error *err)
{
    struct listing listing = {0};
    struct nw_spool *made = NULL;
    nw_status status = listing_make(options, &listing, err);

    *spool = NULL;
    if (status == NW_OK && (listing.count == 0 || listing.removed)) {
        status = nw_spool_discard(options, err);
    } else if (status == NW_OK) {
        status = nw_spool_make(options, &made, err);
        if (status == NW_OK) {
            status = spool_verify(made, acknowledged_lsn, &listing, err);
        }
    }
    free(listing.numbers);
    if (status != NW_OK) {
        nw_spool_destroy(made);
        return status;
    }
    *spool = made;
    return NW_OK;
}

static nw_status first_peek(const struct nw_spool_options *options, uint64_t number,
                            uint64_t *first_lsn, struct nw_error *err)
{
    struct nw_spool_header header = {0};
    struct verify verify = {0};
    uint64_t size = 0;
    bool valid = false;
    nw_status status = nw_spool_make(options, &verify.spool, err);

    if (status != NW_OK) {
        return status;
    }
    status = header_read(&verify, number, &header, &size, &valid, err);
    nw_spool_destroy(verify.spool);
    *first_lsn = status == NW_OK && valid ? header.first_lsn : 0;
    return status == NW_FATAL ? NW_OK : status; /* of another source, or a newer narwal */
}

nw_status nw_spool_peek(const struct nw_spool_options *options, uint64_t *first_lsn,
                        struct nw_error *err)
{
    struct listing listing = {0};
    nw_status status = listing_make(options, &listing, err);

    *first_lsn = UINT64_MAX;
    if (status == NW_OK && listing.count > 0 && !listing.removed) {
        status = first_peek(options, listing.numbers[0], first_lsn, err);
    }
    free(listing.numbers);
    return status;
}

/* ---- removing ---- */

/*
 * Removes segments, at most so many. One of them becomes the sign that the others are of no use.
 * NW_AGAIN: some are left.
 */
static nw_status segments_remove(const struct nw_spool_options *options,
                                 const struct listing *listing, size_t most, struct nw_error *err)
{
    size_t end = listing->count < most ? listing->count : most;
    struct nw_env *env = options->env;
    char path[NW_SPOOL_PATH_SIZE];
    char sign[NW_SPOOL_PATH_SIZE];
    size_t i = 0;
    nw_status status = NW_OK;

    (void)nw_spool_path_of(options->folder, NW_SPOOL_REMOVED_NAME, sign);
    if (!listing->removed && listing->count > 0) {
        status = env->ops->file_rename(
            env, nw_spool_path(options->folder, listing->numbers[i++], path), sign, err);
    }
    for (; i < end && status == NW_OK; i++) {
        status = env->ops->file_remove(
            env, nw_spool_path(options->folder, listing->numbers[i], path), err);
    }
    if (status == NW_OK && end < listing->count) {
        return NW_AGAIN;
    }
    if (status == NW_OK) {
        status = env->ops->file_remove(
            env, nw_spool_path_of(options->folder, NW_SPOOL_BEGIN_NAME, path), err);
    }
    if (status == NW_OK) {
        status = env->ops->folder_sync(env, options->folder, err);
    }
    return status == NW_OK ? env->ops->file_remove(env, sign, err) : status;
}

/* NW_AGAIN: segments are left. */
static nw_status discard(const struct nw_spool_options *options, size_t most, struct nw_error *err)
{
    struct nw_env *env = options->env;
    struct listing listing = {0};
    struct nw_error why = {0};
    char parent[NW_SPOOL_PATH_SIZE];
    nw_status status = listing_make(options, &listing, err);

    if (status == NW_OK && listing.there) {
        status = segments_remove(options, &listing, most, err);
    }
    if (status == NW_OK && listing.there) {
        status = env->ops->folder_sync(env, options->folder, err);
    }
    free(listing.numbers);
    if (status != NW_OK || !listing.there) {
        return status;
    }
    if (env->ops->folder_remove(env, options->folder, &why) != NW_OK) {
        nw_log(NW_LOG_WARN, "NW2509 the spool is removed, but not its folder: %s",
               nw_code_rest(why.text));
        return NW_OK; /* there is something in it that is not ours */
    }
    return env->ops->folder_sync(env, nw_spool_parent(options->folder, parent), err);
}

nw_status nw_spool_discard(const struct nw_spool_options *options, struct nw_error *err)
{
    return discard(options, SIZE_MAX, err);
}

nw_status nw_spool_remove(struct nw_spool *spool, struct nw_error *err)
{
    nw_spool_drain(spool);
    nw_spool_file_close(spool, &spool->reader.file);
    nw_spool_file_close(spool, &spool->file);
    nw_spool_file_close(spool, &spool->next_file);
    return discard(&spool->options, NW_SPOOL_REMOVE_MAX, err);
}
