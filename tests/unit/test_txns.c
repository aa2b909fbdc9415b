/* SPDX-License-Identifier: Apache-2.0 */
/* Streamed transactions: what was stored comes back, in memory or through files, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "txn/txns.h"

#define QUOTA      (1u << 28)
#define PATIENCE_S 60 /* a disk that others use, too, takes as long as it takes */

/* The system's environment, with faults: the nth operation of a kind fails, or is slow. */
struct faulty {
    struct nw_env env; /* first */
    struct nw_env *system;
    uint32_t fail_write_in, fail_read_in, short_write_in, fail_open_in, fail_submit_in;
    uint32_t full_submit_every; /* every nth submit says that the queue is full */
    uint32_t submits;
    uint32_t hold; /* so many reaps without waiting give nothing */
};

struct fixture {
    struct faulty faulty;
    char folder[64];
    struct nw_txns *txns;
    struct nw_error err;
};

static struct faulty *faulty_of(struct nw_env *env)
{
    return (struct faulty *)(void *)env;
}

static bool strikes(uint32_t *in)
{
    return *in > 0 && --*in == 0;
}

static nw_status faulty_file_open(struct nw_env *env, const char *path, uint32_t flags, int *file,
                                  struct nw_error *err)
{
    struct faulty *faulty = faulty_of(env);

    if (strikes(&faulty->fail_open_in)) {
        return nw_fail(err, NW_RETRY, "cannot open %s: on purpose", path);
    }
    return faulty->system->ops->file_open(faulty->system, path, flags, file, err);
}

static void faulty_file_close(struct nw_env *env, int file)
{
    faulty_of(env)->system->ops->file_close(faulty_of(env)->system, file);
}

static nw_status faulty_file_truncate(struct nw_env *env, int file, uint64_t size,
                                      struct nw_error *err)
{
    return faulty_of(env)->system->ops->file_truncate(faulty_of(env)->system, file, size, err);
}

static nw_status faulty_file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    return faulty_of(env)->system->ops->file_remove(faulty_of(env)->system, path, err);
}

static nw_status faulty_folder_create(struct nw_env *env, const char *path, struct nw_error *err)
{
    return faulty_of(env)->system->ops->folder_create(faulty_of(env)->system, path, err);
}

static nw_status faulty_folder_list(struct nw_env *env, const char *path,
                                    nw_status (*each)(void *context, const char *name,
                                                      bool is_folder, struct nw_error *err),
                                    void *context, struct nw_error *err)
{
    struct nw_env *system = faulty_of(env)->system;

    return system->ops->folder_list(system, path, each, context, err);
}

static nw_status faulty_io_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                                  struct nw_error *err)
{
    return faulty_of(env)->system->ops->io_create(faulty_of(env)->system, depth, io, err);
}

static void faulty_io_destroy(struct nw_env *env, struct nw_io *io)
{
    faulty_of(env)->system->ops->io_destroy(faulty_of(env)->system, io);
}

static nw_status faulty_io_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                                  struct nw_error *err)
{
    struct faulty *faulty = faulty_of(env);

    if (strikes(&faulty->fail_submit_in)) {
        return nw_fail(err, NW_RETRY, "cannot submit: on purpose");
    }
    faulty->submits++;
    if (faulty->full_submit_every > 0 && faulty->submits % faulty->full_submit_every == 0) {
        return NW_AGAIN;
    }
    return faulty->system->ops->io_submit(faulty->system, io, op, err);
}

static nw_status faulty_io_reap(struct nw_env *env, struct nw_io *io, bool wait,
                                struct nw_file_op **done, size_t done_max, size_t *done_count,
                                struct nw_error *err)
{
    struct faulty *faulty = faulty_of(env);
    nw_status status = NW_OK;

    *done_count = 0;
    if (!wait && faulty->hold > 0) {
        faulty->hold--;
        return NW_AGAIN;
    }
    status =
        faulty->system->ops->io_reap(faulty->system, io, wait, done, done_max, done_count, err);
    for (size_t i = 0; i < *done_count; i++) {
        bool is_write = done[i]->verb == NW_FILE_WRITE;

        if (strikes(is_write ? &faulty->fail_write_in : &faulty->fail_read_in)) {
            done[i]->result = -EIO;
        } else if (is_write && strikes(&faulty->short_write_in)) {
            done[i]->result = (int32_t)done[i]->size - 1;
        }
    }
    return status;
}

static const struct nw_env_ops faulty_ops = {
    .file_open = faulty_file_open,
    .file_close = faulty_file_close,
    .file_truncate = faulty_file_truncate,
    .file_remove = faulty_file_remove,
    .folder_create = faulty_folder_create,
    .folder_list = faulty_folder_list,
    .io_create = faulty_io_create,
    .io_destroy = faulty_io_destroy,
    .io_submit = faulty_io_submit,
    .io_reap = faulty_io_reap,
};

static void txns_make(struct fixture *f, uint64_t quota)
{
    struct nw_txns_options options = {
        .env = &f->faulty.env, .folder = f->folder, .quota_bytes = quota};

    assert_int_equal(nw_txns_create(&options, &f->txns, &f->err), NW_OK);
}

static void fixture_make(struct fixture *f, uint64_t quota)
{
    memset(f, 0, sizeof *f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/nw-txns-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->faulty.env.ops = &faulty_ops;
    assert_int_equal(nw_env_system_create(NW_IO_AUTO, &f->faulty.system, &f->err), NW_OK);
    txns_make(f, quota);
}

static uint32_t files_count(const struct fixture *f)
{
    DIR *folder = opendir(f->folder);
    uint32_t count = 0;

    assert_non_null(folder);
    for (struct dirent *entry = NULL; (entry = readdir(folder)) != NULL;) {
        count += strncmp(entry->d_name, "txn-", 4) == 0;
    }
    (void)closedir(folder);
    return count;
}

static void fixture_free(struct fixture *f)
{
    nw_txns_destroy(f->txns);
    assert_int_equal(files_count(f), 0); /* nothing is left behind */
    assert_int_equal(rmdir(f->folder), 0);
    nw_env_system_destroy(f->faulty.system);
}

/* A message that says of itself who it is: its content follows from (xid, number, size). */
static size_t fill(uint8_t *bytes, size_t size, uint32_t xid, uint32_t number)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(xid * 31 + number * 7 + i * 13 + (i >> 8));
    }
    return size;
}

static nw_status append_once(struct fixture *f, uint32_t xid, uint32_t subxid, uint32_t number,
                             size_t size)
{
    static uint8_t bytes[3 << 20];
    struct nw_txn_change change = {.subxid = subxid, .type = 'I', .lsn = number};

    assert_true(size <= sizeof bytes);
    change.rest = (struct nw_bytes){bytes, fill(bytes, size, xid, number)};
    return nw_txns_append(f->txns, xid, &change, &f->err);
}

/* Lets others run. @return false when the patience of the one who waits since then is over */
static bool waits(time_t since)
{
    (void)sched_yield();
    return time(NULL) - since < PATIENCE_S;
}

static nw_status append(struct fixture *f, uint32_t xid, uint32_t subxid, uint32_t number,
                        size_t size)
{
    time_t since = time(NULL);
    nw_status status = NW_AGAIN;

    do {
        status = append_once(f, xid, subxid, number, size);
    } while (status == NW_AGAIN && waits(since));
    return status;
}

static nw_status next(struct fixture *f, struct nw_txn_record *record, bool *end)
{
    time_t since = time(NULL);
    nw_status status = NW_AGAIN;

    do {
        status = nw_txns_next(f->txns, record, end, &f->err);
    } while (status == NW_AGAIN && waits(since));
    return status;
}

/* One record must be the number-th message of xid, with this size. */
static void assert_record(const struct nw_txn_record *record, uint32_t xid, uint32_t subxid,
                          uint32_t number, size_t size)
{
    static uint8_t expected[3 << 20];

    assert_int_equal(record->subxid, subxid);
    assert_int_equal(record->lsn, number);
    assert_int_equal(record->message.size, size + 1);
    assert_int_equal(record->message.at[0], 'I');
    (void)fill(expected, size, xid, number);
    if (size > 0) {
        assert_memory_equal(record->message.at + 1, expected, size);
    }
}

/* Sizes that meet the ends of chunks, of reads and of buffers; every so often a huge one. */
static size_t size_of(uint32_t number)
{
    static const size_t sizes[] = {0, 1, 100, 4000, 131055, 131056, 17, 70000, 9000, 131054};

    return number % 97 == 50 ? (2u << 20) + number : sizes[number % 10];
}

static void store(struct fixture *f, uint32_t xid, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(append(f, xid, xid, i, size_of(i)), NW_OK);
    }
}

static void expect_all(struct fixture *f, uint32_t xid, uint32_t count)
{
    struct nw_txn_record record = {0};
    bool end = false;

    assert_int_equal(nw_txns_open(f->txns, xid, &f->err), NW_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(next(f, &record, &end), NW_OK);
        assert_false(end);
        assert_record(&record, xid, xid, i, size_of(i));
    }
    assert_int_equal(next(f, &record, &end), NW_OK);
    assert_true(end);
}

static void a_small_transaction_stays_in_memory(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(append(&f, 7, 7, i, 100), NW_OK);
    }
    assert_int_equal(nw_txns_count(f.txns), 1);
    assert_int_equal(nw_txns_spilled_bytes(f.txns), 0);
    assert_int_equal(files_count(&f), 0);
    fixture_free(&f);
}

static void what_was_stored_comes_back(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 220; count += count < 12 ? 1 : 52) {
        struct fixture f;

        fixture_make(&f, QUOTA);
        store(&f, 7, count);
        expect_all(&f, 7, count);
        assert_int_equal(nw_txns_count(f.txns), 0);
        assert_int_equal(nw_txns_spilled_bytes(f.txns), 0);
        assert_int_equal(files_count(&f), 0);
        fixture_free(&f);
    }
}

static void interleaved_transactions_stay_apart(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t i = 0; i < 120; i++) {
        for (uint32_t xid = 1; xid <= 600; xid += 256) { /* in the same bucket, too */
            assert_int_equal(append(&f, xid, xid, i, size_of(i)), NW_OK);
        }
    }
    assert_int_equal(nw_txns_count(f.txns), 3);
    assert_true(nw_txns_spilled_bytes(f.txns) > 0);
    expect_all(&f, 257, 120);
    expect_all(&f, 1, 120);
    assert_int_equal(append(&f, 513, 513, 120, size_of(120)), NW_OK);
    expect_all(&f, 513, 121);
    fixture_free(&f);
}

static void many_transactions_share_one_bound_of_memory(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t i = 0; i < 40; i++) {
        for (uint32_t xid = 1; xid <= 300; xid++) {
            assert_int_equal(append(&f, xid, xid, i, 5000), NW_OK);
            assert_true(nw_txns_memory_bytes(f.txns) <= NW_TXNS_MEMORY_BYTES_MAX + (512u << 10));
        }
    }
    for (uint32_t xid = 1; xid <= 300; xid++) {
        struct nw_txn_record record = {0};
        bool end = false;

        assert_int_equal(nw_txns_open(f.txns, xid, &f.err), NW_OK);
        for (uint32_t i = 0; i < 40; i++) {
            assert_int_equal(next(&f, &record, &end), NW_OK);
            assert_record(&record, xid, xid, i, 5000);
        }
        assert_int_equal(next(&f, &record, &end), NW_OK);
        assert_true(end);
    }
    assert_int_equal(nw_txns_memory_bytes(f.txns), 0);
    fixture_free(&f);
}

static void the_memory_of_a_huge_message_is_given_back(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t i = 0; i < 12; i++) { /* twelve of 3 MB, which an xid each would keep */
        assert_int_equal(append(&f, 1 + i, 1 + i, i, 3u << 20), NW_OK);
    }
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(append(&f, 1 + i, 1 + i, i, 10), NW_OK);
    }
    assert_true(nw_txns_memory_bytes(f.txns) <= NW_TXNS_MEMORY_BYTES_MAX + (4u << 20));
    fixture_free(&f);
}

static void undone_subtransactions_are_left_out(void **state)
{
    struct fixture f;
    struct nw_txn_record record = {0};
    bool end = false;
    uint32_t seen = 0;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(append(&f, 7, 7 + i % 20, i, 3000), NW_OK);
    }
    for (uint32_t subxid = 26; subxid > 7; subxid -= 2) { /* more than the list's first room */
        assert_int_equal(nw_txns_abort(f.txns, 7, subxid, &f.err), NW_OK);
    }
    for (uint32_t sub = 1000; sub < 1100; sub++) {
        assert_int_equal(nw_txns_abort(f.txns, 7, sub, &f.err), NW_OK);
    }
    assert_int_equal(nw_txns_open(f.txns, 7, &f.err), NW_OK);
    for (;;) {
        assert_int_equal(next(&f, &record, &end), NW_OK);
        if (end) {
            break;
        }
        assert_int_equal(record.subxid % 2, 1);
        assert_record(&record, 7, record.subxid, (uint32_t)record.lsn, 3000);
        assert_int_equal(record.subxid, 7 + record.lsn % 20);
        seen++;
    }
    assert_int_equal(seen, 100);
    fixture_free(&f);
}

static void an_undone_transaction_leaves_nothing(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    store(&f, 7, 60);
    store(&f, 8, 60);
    assert_int_equal(nw_txns_abort(f.txns, 7, 7, &f.err), NW_OK);
    assert_int_equal(nw_txns_abort(f.txns, 99, 99, &f.err), NW_OK); /* never heard of */
    assert_int_equal(nw_txns_abort(f.txns, 99, 100, &f.err), NW_OK);
    assert_int_equal(nw_txns_count(f.txns), 1);
    expect_all(&f, 7, 0);
    expect_all(&f, 8, 60);
    fixture_free(&f);
}

static void an_xid_can_be_used_again_while_its_former_write_is_under_way(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, QUOTA);
    for (uint32_t round = 0; round < 5; round++) {
        f.faulty.hold = 3;
        store(&f, 7, 9);
        assert_int_equal(nw_txns_abort(f.txns, 7, 7, &f.err), NW_OK);
    }
    f.faulty.hold = 0;
    store(&f, 7, 120);
    expect_all(&f, 7, 120);
    fixture_free(&f);
}

static void reset_forgets_all_at_any_time(void **state)
{
    (void)state;
    for (uint32_t read = 0; read < 120; read += 17) {
        struct fixture f;
        struct nw_txn_record record = {0};
        bool end = false;

        fixture_make(&f, QUOTA);
        store(&f, 7, 120);
        store(&f, 8, 30);
        assert_int_equal(nw_txns_open(f.txns, 7, &f.err), NW_OK);
        for (uint32_t i = 0; i < read; i++) {
            assert_int_equal(next(&f, &record, &end), NW_OK);
        }
        (void)!nw_txns_next(f.txns, &record, &end, &f.err); /* a read may be under way */
        nw_txns_reset(f.txns);
        assert_int_equal(nw_txns_count(f.txns), 0);
        assert_int_equal(nw_txns_spilled_bytes(f.txns), 0);
        assert_int_equal(files_count(&f), 0);
        store(&f, 7, 60);
        expect_all(&f, 7, 60);
        fixture_free(&f);
    }
}

static void a_full_quota_says_so(void **state)
{
    struct fixture f;
    nw_status status = NW_OK;

    (void)state;
    fixture_make(&f, 500000);
    for (uint32_t i = 0; i < 1000 && status == NW_OK; i++) {
        status = append(&f, 7, 7, i, 4000);
    }
    assert_int_equal(status, NW_FATAL);
    assert_non_null(strstr(f.err.text, "limits.spill"));
    assert_memory_equal(f.err.text, "NW2513", 6);
    assert_true(nw_txns_spilled_bytes(f.txns) <= 500000);
    assert_int_equal(nw_txns_abort(f.txns, 7, 7, &f.err), NW_OK);
    for (uint32_t i = 0; i < 60; i++) { /* the room is there again */
        assert_int_equal(append(&f, 8, 8, i, 4000), NW_OK);
    }
    fixture_free(&f);
}

static void too_large_a_message_is_corrupt(void **state)
{
    struct fixture f;
    uint8_t byte = 0;
    struct nw_txn_change change = {.type = 'I', .rest = {&byte, (1u << 30) + 1}};

    (void)state;
    fixture_make(&f, QUOTA);
    assert_int_equal(nw_txns_append(f.txns, 7, &change, &f.err), NW_CORRUPT);
    fixture_free(&f);
}

static void leftovers_of_a_former_run_are_removed(void **state)
{
    struct fixture f;
    char path[128];
    FILE *file = NULL;

    (void)state;
    fixture_make(&f, QUOTA);
    nw_txns_destroy(f.txns);
    (void)snprintf(path, sizeof path, "%s/txn-17", f.folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs("old", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    txns_make(&f, QUOTA);
    assert_int_equal(files_count(&f), 0);
    store(&f, 17, 60);
    expect_all(&f, 17, 60);
    fixture_free(&f);
}

/* Stores and reads back; whatever fails, it must be NW_RETRY, and after a reset all works. */
static nw_status story(struct fixture *f)
{
    struct nw_txn_record record = {0};
    bool end = false;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < 60 && status == NW_OK; i++) {
        status = append(f, 7, 7, i, size_of(i));
    }
    status = status == NW_OK ? nw_txns_open(f->txns, 7, &f->err) : status;
    for (uint32_t i = 0; status == NW_OK && !end; i++) {
        status = next(f, &record, &end);
        if (status == NW_OK && !end) {
            assert_record(&record, 7, 7, i, size_of(i));
        }
        assert_true(status != NW_OK || end == (i == 60));
    }
    return status;
}

static void fail_each(size_t member)
{
    bool failed = true;
    uint32_t faults = 0;

    for (uint32_t n = 1; failed; n++) {
        struct fixture f;
        nw_status status = NW_OK;

        fixture_make(&f, QUOTA);
        *(uint32_t *)(void *)((char *)&f.faulty + member) = n;
        status = story(&f);
        failed = status != NW_OK;
        assert_true(status == NW_OK || status == NW_RETRY);
        if (failed) {
            faults++;
            assert_int_equal(f.err.status, NW_RETRY);
            nw_txns_reset(f.txns);
            assert_int_equal(files_count(&f), 0);
            assert_int_equal(story(&f), NW_OK);
        }
        fixture_free(&f);
        assert_true(n < 1000);
    }
    assert_true(faults > 0);
}

static void every_failing_operation_asks_for_a_new_beginning(void **state)
{
    (void)state;
    fail_each(offsetof(struct faulty, fail_write_in));
    fail_each(offsetof(struct faulty, short_write_in));
    fail_each(offsetof(struct faulty, fail_read_in));
    fail_each(offsetof(struct faulty, fail_open_in));
    fail_each(offsetof(struct faulty, fail_submit_in));
}

static void a_full_queue_and_slow_disks_only_take_time(void **state)
{
    struct fixture f;
    uint32_t again = 0;

    (void)state;
    fixture_make(&f, QUOTA);
    f.faulty.full_submit_every = 2;
    for (uint32_t i = 0; i < 120; i++) {
        nw_status status = NW_AGAIN;

        f.faulty.hold = 2;
        while ((status = append_once(&f, 7, 7, i, size_of(i))) == NW_AGAIN) {
            again++;
        }
        assert_int_equal(status, NW_OK);
    }
    assert_true(again > 0);
    expect_all(&f, 7, 120);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_transaction_stays_in_memory),
        cmocka_unit_test(what_was_stored_comes_back),
        cmocka_unit_test(many_transactions_share_one_bound_of_memory),
        cmocka_unit_test(the_memory_of_a_huge_message_is_given_back),
        cmocka_unit_test(interleaved_transactions_stay_apart),
        cmocka_unit_test(undone_subtransactions_are_left_out),
        cmocka_unit_test(an_undone_transaction_leaves_nothing),
        cmocka_unit_test(an_xid_can_be_used_again_while_its_former_write_is_under_way),
        cmocka_unit_test(reset_forgets_all_at_any_time),
        cmocka_unit_test(a_full_quota_says_so),
        cmocka_unit_test(too_large_a_message_is_corrupt),
        cmocka_unit_test(leftovers_of_a_former_run_are_removed),
        cmocka_unit_test(every_failing_operation_asks_for_a_new_beginning),
        cmocka_unit_test(a_full_queue_and_slow_disks_only_take_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
