/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found in a spool's folder. Whatever the bytes are: it is opened or refused, with a
 * reason; what was opened can be read to its end, goes on, and is the same when it is opened again.
 *
 * The input: a byte of choices (1: make the checksums right first, as no mutation would; 2: much
 * was acknowledged), then segments 1, 2, ...: u16 le size, bytes; the last is as long as there are
 * bytes.
 */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "io/env_model.h"
#include "source/spool_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENTS_MAX 4u
#define STEPS_MAX    10000
#define NUMBER_MIX   UINT64_C(0x9e3779b97f4a7c15)

static void check(bool fine)
{
    if (!fine) {
        abort();
    }
}

static uint64_t u64_at(const uint8_t *at)
{
    return nw_cursor_u64le(&(struct nw_cursor){.at = at, .left = 8});
}

/* Gives a header and records that are as long as they say their checksums. */
static void checksums_make(uint8_t *bytes, size_t size)
{
    size_t at = NW_SPOOL_HEADER_BYTES;
    uint64_t checksum = 0;
    uint64_t id = 0;
    uint64_t number = 0;

    if (size < NW_SPOOL_HEADER_BYTES) {
        return;
    }
    checksum = XXH3_64bits(bytes, NW_SPOOL_HEADER_BYTES - 8);
    memcpy(bytes + NW_SPOOL_HEADER_BYTES - 8, &checksum, 8);
    id = u64_at(bytes + 32);
    number = u64_at(bytes + 48);
    while (size - at >= NW_SPOOL_RECORD_HEADER_BYTES) {
        size_t record = NW_SPOOL_RECORD_HEADER_BYTES + nw_spool_record_body_size(bytes + at);

        if (record > size - at) {
            return;
        }
        checksum = XXH3_64bits(bytes + at + 8, record - 8) ^ (id + number++ * NUMBER_MIX);
        memcpy(bytes + at, &checksum, 8);
        at += record;
    }
}

static void file_make(struct nw_env *env, uint64_t number, const uint8_t *bytes, size_t size)
{
    char path[NW_SPOOL_PATH_SIZE];
    struct nw_file_op op = {.verb = NW_FILE_WRITE, .size = (uint32_t)size};
    struct nw_file_op *done = NULL;
    struct nw_io *io = NULL;
    size_t done_count = 0;

    check(env->ops->folder_create(env, "/spool", NULL) == NW_OK);
    check(env->ops->file_open(env, nw_spool_path("/spool", number, path), NW_FILE_CREATE, &op.file,
                              NULL) == NW_OK);
    check(env->ops->io_create(env, 1, &io, NULL) == NW_OK);
    op.bytes = malloc(size + 1);
    check(op.bytes != NULL);
    if (size > 0) {
        memcpy(op.bytes, bytes, size);
    }
    check(env->ops->io_submit(env, io, &op, NULL) == NW_OK);
    while (done_count == 0) {
        check(env->ops->io_reap(env, io, true, &done, 1, &done_count, NULL) == NW_OK);
    }
    env->ops->io_destroy(env, io);
    env->ops->file_close(env, op.file);
    free(op.bytes);
}

static void files_make(struct nw_env *env, uint8_t choices, const uint8_t *data, size_t size)
{
    struct nw_cursor cursor = nw_cursor_of(data, size);

    for (uint64_t number = 1; number <= SEGMENTS_MAX && cursor.left >= 2; number++) {
        size_t wanted = nw_cursor_u16le(&cursor);
        size_t part = wanted < cursor.left && number < SEGMENTS_MAX ? wanted : cursor.left;
        struct nw_bytes bytes = nw_cursor_bytes(&cursor, part);
        uint8_t *copy = malloc(part + 1);

        if (copy == NULL) {
            abort();
        }
        if (part > 0) {
            memcpy(copy, bytes.at, part);
        }
        if ((choices & 1u) != 0) {
            checksums_make(copy, part);
        }
        file_make(env, number, copy, part);
        free(copy);
    }
}

static void settle(struct nw_spool *spool)
{
    struct nw_error err = {0};
    int64_t now_ns = 1;

    nw_spool_flush(spool);
    for (int i = 0; nw_spool_deadline(spool, now_ns) != INT64_MAX; i++) {
        uint32_t work = 0;

        check(i < STEPS_MAX && nw_spool_step(spool, now_ns, &work, &err) == NW_OK);
        now_ns += 1000000;
    }
}

/* @return records until the end, with their bytes in a sum */
static uint64_t read_all(struct nw_spool *spool, uint64_t *sum)
{
    struct nw_error err = {0};
    uint64_t count = 0;
    bool end = false;

    *sum = 0;
    for (int waits = 0; !end;) {
        struct nw_spool_record record;
        nw_status status = nw_spool_next(spool, &record, &end, &err);

        check(status == NW_OK || (status == NW_AGAIN && waits++ < STEPS_MAX));
        if (status == NW_OK && !end) {
            count++;
            *sum = *sum * 31 + record.lsn + record.kind + record.body.size +
                   XXH3_64bits(record.body.at, record.body.size);
        }
    }
    return count;
}

static void spool_use(const struct nw_spool_options *options, struct nw_spool *spool)
{
    struct nw_spool_record more = {
        .kind = NW_SPOOL_MESSAGE, .lsn = 9, .body = {(const uint8_t *)"more", 4}};
    struct nw_error err = {0};
    uint64_t sums[2] = {0, 0};
    uint64_t count = read_all(spool, &sums[0]);
    uint64_t acknowledged_lsn = nw_spool_synced_lsn(spool);
    nw_status status = NW_OK;
    int turns = 0;

    check(nw_spool_append(spool, &more, &err) == NW_OK);
    settle(spool);
    check(read_all(spool, &sums[1]) == 1);
    nw_spool_destroy(spool);
    check(nw_spool_open(options, acknowledged_lsn, &spool, &err) == NW_OK && spool != NULL);
    check(read_all(spool, &sums[1]) == count + 1);
    while ((status = nw_spool_remove(spool, &err)) == NW_AGAIN) {
        check(turns++ < STEPS_MAX);
    }
    check(status == NW_OK);
    nw_spool_destroy(spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nw_spool_options options = {.folder = "/spool",
                                       .identity = {.system_identifier = 77,
                                                    .timeline = 3,
                                                    .database_oid = 5,
                                                    .slot_name = "narwal"},
                                       .quota_bytes = UINT64_C(1) << 40,
                                       .segment_bytes = 1024};
    struct nw_error err = {0};
    struct nw_spool *spool = NULL;
    nw_status status = NW_OK;

    if (size < 1) {
        return 0;
    }
    nw_log_setup(2, (enum nw_log_level)0, false);
    check(nw_env_model_create(data[0], &options.env, &err) == NW_OK);
    files_make(options.env, data[0], data + 1, size - 1);
    status = nw_spool_open(&options, (data[0] & 2u) != 0 ? 1500 : 0, &spool, &err);
    if (status == NW_OK && spool != NULL) {
        spool_use(&options, spool);
    } else {
        check(status == NW_OK || (status == NW_FATAL && err.text[0] != '\0' && spool == NULL));
    }
    nw_env_model_destroy(options.env);
    return 0;
}
