/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the spool: one over any environment, records that follow from their number, and a
 * clock that moves a millisecond with each step.
 */
#ifndef TESTS_SPOOL_KIT_H
#define TESTS_SPOOL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "io/env_fault.h"
#include "io/env_model.h"
#include "source/spool.h"

#define UNUSED __attribute__((unused))

#define KIT_FOLDER    "/spool"
#define KIT_BEGIN_LSN 1000u
#define KIT_SEGMENT   8192u
#define KIT_HEADER    136u /* of a segment */
#define KIT_RECORD    32u  /* of a record */
#define KIT_STEPS_MAX 200000

struct kit {
    struct nw_env *env;
    struct nw_spool *spool;
    struct nw_spool_options options;
    struct nw_error err;
    int64_t now_ns;
    uint64_t appended; /* records of ours */
    uint64_t size_seed;
    bool real;    /* the disk takes its time */
    bool blocked; /* the spool said so, now or before */
    bool states;  /* segments begin with a state when they can: how many records are before */
};

/* Sizes that meet the ends of segments, chunks and reads; small ones mostly. */
UNUSED static size_t kit_size(const struct kit *kit, uint64_t number)
{
    static const size_t sizes[] = {0, 1, 31, 100, 137, 400, 7, 1900, 64, 3000, 12, 250};

    return sizes[(number + kit->size_seed) % 12];
}

/* Which positions there are: record n of that kind says that all before LSN 1000 + 16 n is in. */
UNUSED static uint64_t kit_position(uint64_t number)
{
    return number % 5 == 3 ? KIT_BEGIN_LSN + number * 16 : 0;
}

/* The position that is reached with this record. */
UNUSED static uint64_t kit_reached(uint64_t number)
{
    while (number > 0 && kit_position(number) == 0) {
        number--;
    }
    return number == 0 ? KIT_BEGIN_LSN : kit_position(number);
}

UNUSED static void kit_fill(uint8_t *bytes, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(number * 7 + i * 13 + (i >> 8) + 1);
    }
}

UNUSED static struct nw_spool_record kit_record(uint64_t number, uint8_t *bytes, size_t size)
{
    struct nw_spool_record record = {.kind = number % 5 == 3    ? NW_SPOOL_POSITION
                                             : number % 11 == 5 ? NW_SPOOL_RESTART
                                                                : NW_SPOOL_MESSAGE,
                                     .lsn = number * 3,
                                     .position_lsn = kit_position(number)};

    kit_fill(bytes, size, number);
    record.body = (struct nw_bytes){bytes, size};
    return record;
}

UNUSED static void kit_options(struct kit *kit, struct nw_env *env)
{
    memset(kit, 0, sizeof *kit);
    kit->env = env;
    kit->now_ns = 1000000000;
    kit->options = (struct nw_spool_options){.env = env,
                                             .folder = KIT_FOLDER,
                                             .identity = {.system_identifier = 77,
                                                          .timeline = 3,
                                                          .database_oid = 5,
                                                          .slot_name = "narwal"},
                                             .quota_bytes = UINT64_C(1) << 40,
                                             .segment_bytes = KIT_SEGMENT};
}

/* A spool on a disk of its own. segment_bytes 0: as large as in production. */
UNUSED static void kit_make_of(struct kit *kit, uint64_t seed, uint64_t segment_bytes)
{
    struct nw_env *env = NULL;

    assert_int_equal(nw_env_model_create(seed, &env, NULL), NW_OK);
    kit_options(kit, env);
    kit->options.segment_bytes = segment_bytes;
    assert_int_equal(nw_spool_begin(&kit->options, KIT_BEGIN_LSN, &kit->spool, &kit->err), NW_OK);
}

UNUSED static void kit_make(struct kit *kit, uint64_t seed)
{
    kit_make_of(kit, seed, KIT_SEGMENT);
}

UNUSED static void kit_free(struct kit *kit)
{
    nw_spool_destroy(kit->spool);
    nw_env_model_destroy(kit->env);
}

/* Lets a real disk work, instead of asking it again at once. */
UNUSED static void kit_pause(const struct kit *kit)
{
    if (kit->real) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

UNUSED static nw_status kit_step(struct kit *kit)
{
    uint32_t work = 0;

    nw_status status = NW_OK;

    kit_pause(kit);
    kit->now_ns += 1000000;
    status = nw_spool_step(kit->spool, kit->now_ns, &work, &kit->err);
    kit->blocked = kit->blocked || nw_spool_blocked(kit->spool) != NULL;
    return status;
}

/* Begins a segment with a state, when it is time to. */
UNUSED static nw_status kit_state(struct kit *kit)
{
    struct nw_spool_record state = {
        .kind = NW_SPOOL_STATE, .body = {(const uint8_t *)&kit->appended, sizeof kit->appended}};
    nw_status status = NW_OK;

    if (kit->states && nw_spool_state_is_due(kit->spool, state.body.size)) {
        status = nw_spool_append(kit->spool, &state, &kit->err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* Appends a record of this size as the next; steps while the disk is behind. */
UNUSED static nw_status kit_append_size(struct kit *kit, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    struct nw_spool_record record;
    nw_status status = NW_AGAIN;

    assert_non_null(bytes);
    record = kit_record(kit->appended + 1, bytes, size);
    if (kit_state(kit) != NW_OK) {
        free(bytes);
        return kit->err.status;
    }
    for (int i = 0; i < KIT_STEPS_MAX && status == NW_AGAIN; i++) {
        status = nw_spool_append(kit->spool, &record, &kit->err);
        if (status == NW_AGAIN) {
            nw_status stepped = kit_step(kit);

            status = stepped == NW_OK ? status : stepped;
        }
    }
    kit->appended += status == NW_OK;
    free(bytes);
    return status;
}

UNUSED static nw_status kit_append(struct kit *kit, uint64_t count)
{
    nw_status status = NW_OK;

    for (uint64_t i = 0; i < count && status == NW_OK; i++) {
        status = kit_append_size(kit, kit_size(kit, kit->appended + 1));
    }
    return status;
}

/* Steps until everything is synced. */
UNUSED static nw_status kit_settle(struct kit *kit)
{
    nw_status status = NW_OK;

    nw_spool_flush(kit->spool);
    for (int i = 0; i < KIT_STEPS_MAX && status == NW_OK; i++) {
        if (nw_spool_deadline(kit->spool, kit->now_ns) == INT64_MAX) {
            return NW_OK;
        }
        status = kit_step(kit);
    }
    return status == NW_OK ? NW_AGAIN : status;
}

/* A state says how many records are before it, and which position they reach. */
UNUSED static void kit_assert_state(const struct nw_spool_record *record)
{
    uint64_t before = 0;

    assert_int_equal(record->kind, NW_SPOOL_STATE);
    assert_int_equal(record->body.size, sizeof before);
    memcpy(&before, record->body.at, sizeof before);
    assert_int_equal(record->position_lsn, kit_reached(before));
}

/* The next record that is no state. */
UNUSED static nw_status kit_next(struct kit *kit, struct nw_spool_record *record, bool *end)
{
    nw_status status = NW_AGAIN;

    for (int i = 0; i < KIT_STEPS_MAX && status == NW_AGAIN; i++) {
        status = nw_spool_next(kit->spool, record, end, &kit->err);
        if (status == NW_AGAIN) {
            kit_pause(kit);
        } else if (status == NW_OK && !*end && record->kind == NW_SPOOL_STATE) {
            kit_assert_state(record);
            status = NW_AGAIN;
        }
    }
    return status;
}

/* A record must be what the number says, of this size. */
UNUSED static void kit_assert_record(const struct nw_spool_record *record, uint64_t number,
                                     size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    struct nw_spool_record expected;

    assert_non_null(bytes);
    expected = kit_record(number, bytes, size);
    assert_int_equal(record->kind, expected.kind);
    assert_int_equal(record->lsn, expected.lsn);
    assert_int_equal(record->position_lsn, expected.position_lsn);
    assert_int_equal(record->body.size, size);
    if (size > 0) {
        assert_memory_equal(record->body.at, bytes, size);
    }
    free(bytes);
}

/* The next records are those numbered from first to last; numbers count no trim records. */
UNUSED static void kit_expect(struct kit *kit, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        struct nw_spool_record record;
        bool end = false;

        assert_int_equal(kit_next(kit, &record, &end), NW_OK);
        assert_false(end);
        kit_assert_record(&record, number, kit_size(kit, number));
    }
}

UNUSED static void kit_expect_end(struct kit *kit)
{
    struct nw_spool_record record;
    bool end = false;

    assert_int_equal(kit_next(kit, &record, &end), NW_OK);
    assert_true(end);
}

/* Gives the spool up without a word, as a killed process does. */
UNUSED static void kit_drop(struct kit *kit)
{
    nw_spool_destroy(kit->spool);
    kit->spool = NULL;
}

UNUSED static nw_status kit_open(struct kit *kit, uint64_t acknowledged_lsn)
{
    return nw_spool_open(&kit->options, acknowledged_lsn, &kit->spool, &kit->err);
}

/* Removes it, in as many turns as it takes. @param turns  how many; NULL is fine */
UNUSED static nw_status kit_remove(struct kit *kit, uint64_t *turns)
{
    nw_status status = NW_AGAIN;

    for (uint64_t i = 0; i < KIT_STEPS_MAX && status == NW_AGAIN; i++) {
        status = nw_spool_remove(kit->spool, &kit->err);
        if (turns != NULL) {
            *turns = i + 1;
        }
    }
    return status;
}

/* ---- the files behind its back ---- */

UNUSED static const char *kit_path(uint64_t segment)
{
    static char path[64];

    (void)snprintf(path, sizeof path, KIT_FOLDER "/%010llu.spool", (unsigned long long)segment);
    return path;
}

/* Runs one operation on a file. @return its result */
UNUSED static int32_t kit_file(struct kit *kit, uint64_t segment, struct nw_file_op op)
{
    struct nw_io *io = NULL;
    struct nw_file_op *done = NULL;
    size_t done_count = 0;

    assert_int_equal(kit->env->ops->file_open(kit->env, kit_path(segment), 0, &op.file, &kit->err),
                     NW_OK);
    assert_int_equal(kit->env->ops->io_create(kit->env, 4, &io, &kit->err), NW_OK);
    assert_int_equal(kit->env->ops->io_submit(kit->env, io, &op, &kit->err), NW_OK);
    while (done_count == 0) {
        assert_int_equal(
            kit->env->ops->io_reap(kit->env, io, true, &done, 1, &done_count, &kit->err), NW_OK);
    }
    kit->env->ops->io_destroy(kit->env, io);
    kit->env->ops->file_close(kit->env, op.file);
    return op.result;
}

UNUSED static uint64_t kit_file_size(struct kit *kit, uint64_t segment)
{
    uint64_t size = 0;
    int file = -1;

    assert_int_equal(kit->env->ops->file_open(kit->env, kit_path(segment), 0, &file, &kit->err),
                     NW_OK);
    assert_int_equal(kit->env->ops->file_size(kit->env, file, &size, &kit->err), NW_OK);
    kit->env->ops->file_close(kit->env, file);
    return size;
}

UNUSED static void kit_file_truncate(struct kit *kit, uint64_t segment, uint64_t size)
{
    int file = -1;

    assert_int_equal(kit->env->ops->file_open(kit->env, kit_path(segment), 0, &file, &kit->err),
                     NW_OK);
    assert_int_equal(kit->env->ops->file_truncate(kit->env, file, size, &kit->err), NW_OK);
    kit->env->ops->file_close(kit->env, file);
}

/* All bytes of a segment. @return give */
UNUSED static uint8_t *kit_file_read(struct kit *kit, uint64_t segment, size_t *size)
{
    uint8_t *bytes = NULL;

    *size = (size_t)kit_file_size(kit, segment);
    bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(kit_file(kit, segment,
                              (struct nw_file_op){
                                  .verb = NW_FILE_READ, .bytes = bytes, .size = (uint32_t)*size}),
                     *size);
    return bytes;
}

UNUSED static void kit_file_write(struct kit *kit, uint64_t segment, uint64_t offset, void *bytes,
                                  size_t size)
{
    assert_int_equal(kit_file(kit, segment,
                              (struct nw_file_op){.verb = NW_FILE_WRITE,
                                                  .bytes = bytes,
                                                  .offset = offset,
                                                  .size = (uint32_t)size}),
                     size);
}

#endif
