/* SPDX-License-Identifier: Apache-2.0 */
/* The environments of tests: the model that forgets what was not synced, and the one with faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/env_fault.h"
#include "io/env_model.h"

struct fixture {
    struct nw_env *model;
    struct nw_env *env; /* the model, or faults over it */
    struct nw_io *io;
    struct nw_error err;
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    assert_int_equal(nw_env_model_create(42, &f.model, &f.err), NW_OK);
    f.env = f.model;
    assert_int_equal(f.env->ops->folder_create(f.env, "/d", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/", &f.err), NW_OK);
    assert_int_equal(f.env->ops->io_create(f.env, 8, &f.io, &f.err), NW_OK);
    return 0;
}

static int setup_faults(void **state)
{
    (void)setup(state);
    return nw_env_fault_create(f.model, &f.env, &f.err) == NW_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    f.env->ops->io_destroy(f.env, f.io);
    if (f.env != f.model) {
        nw_env_fault_destroy(f.env);
    }
    nw_env_model_destroy(f.model);
    return 0;
}

static int open_file(const char *path, uint32_t flags)
{
    int file = -1;

    return f.env->ops->file_open(f.env, path, flags, &file, &f.err) == NW_OK ? file : -1;
}

static int32_t run(enum nw_file_verb verb, int file, const void *bytes, size_t size,
                   uint64_t offset)
{
    struct nw_file_op op = {.verb = verb,
                            .file = file,
                            .bytes = (void *)(uintptr_t)bytes,
                            .offset = offset,
                            .size = (uint32_t)size};
    struct nw_file_op *done[1];
    size_t count = 0;

    assert_int_equal(f.env->ops->io_submit(f.env, f.io, &op, &f.err), NW_OK);
    assert_int_equal(f.env->ops->io_reap(f.env, f.io, true, done, 1, &count, &f.err), NW_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(done[0], &op);
    assert_int_equal(op.size, size);
    return op.result;
}

static void file_make(const char *path, const char *text, bool synced)
{
    int file = open_file(path, NW_FILE_CREATE);

    assert_true(file >= 0);
    assert_int_equal(run(NW_FILE_WRITE, file, text, strlen(text), 0), strlen(text));
    if (synced) {
        assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), 0);
        assert_int_equal(f.env->ops->folder_sync(f.env, "/d", &f.err), NW_OK);
    }
    f.env->ops->file_close(f.env, file);
}

static void assert_content(const char *path, const char *text)
{
    char back[4096] = {0};
    int file = open_file(path, NW_FILE_READ_ONLY);

    if (text == NULL) {
        assert_int_equal(file, -1);
        return;
    }
    assert_true(file >= 0);
    assert_int_equal(run(NW_FILE_READ, file, back, sizeof back, 0), strlen(text));
    assert_string_equal(back, text);
    f.env->ops->file_close(f.env, file);
}

/* ---- the model ---- */

static void a_file_reads_as_written(void **state)
{
    int file = open_file("/d/a", NW_FILE_CREATE | NW_FILE_EXCLUSIVE);
    uint64_t size = 0;
    char back[16] = {0};

    (void)state;
    assert_int_equal(run(NW_FILE_WRITE, file, "hello", 5, 3), 5);
    assert_int_equal(run(NW_FILE_READ, file, back, sizeof back, 0), 8);
    assert_memory_equal(back, "\0\0\0hello", 8);
    assert_int_equal(f.env->ops->file_truncate(f.env, file, 5, &f.err), NW_OK);
    assert_int_equal(f.env->ops->file_truncate(f.env, file, 7, &f.err), NW_OK);
    assert_int_equal(f.env->ops->file_size(f.env, file, &size, &f.err), NW_OK);
    assert_int_equal(size, 7);
    assert_int_equal(run(NW_FILE_READ, file, back, sizeof back, 0), 7);
    assert_memory_equal(back, "\0\0\0he\0\0", 7);
    assert_int_equal(run(NW_FILE_READ, file, back, sizeof back, 100), 0);
    f.env->ops->file_close(f.env, file);
    assert_int_equal(run(NW_FILE_READ, file, back, 1, 0), -EBADF);
    assert_int_equal(open_file("/d/a", NW_FILE_CREATE | NW_FILE_EXCLUSIVE), -1);
    assert_int_equal(open_file("/d/none", 0), -1);
    assert_int_equal(open_file("/none/a", NW_FILE_CREATE), -1);
}

static void a_crash_keeps_what_was_synced_and_nothing_else(void **state)
{
    int file = -1;

    (void)state;
    file_make("/d/kept", "kept", true);
    file_make("/d/lost", "lost", false);
    file = open_file("/d/kept", 0);
    assert_int_equal(run(NW_FILE_WRITE, file, "KEPT and more", 13, 0), 13);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/kept", "kept");
    assert_content("/d/lost", NULL);
}

static void a_synced_file_is_lost_with_its_unsynced_name(void **state)
{
    int file = open_file("/d/a", NW_FILE_CREATE);

    (void)state;
    assert_int_equal(run(NW_FILE_WRITE, file, "x", 1, 0), 1);
    assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), 0);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", NULL);
}

static void a_rename_is_atomic_and_durable(void **state)
{
    (void)state;
    file_make("/d/a", "old", true);
    file_make("/d/a.new", "new", true);
    assert_int_equal(f.env->ops->file_rename(f.env, "/d/a.new", "/d/a", &f.err), NW_OK);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", "new");
    assert_content("/d/a.new", NULL);
    assert_int_equal(f.env->ops->file_rename(f.env, "/d/none", "/d/b", &f.err), NW_RETRY);
}

static void a_renamed_file_that_was_not_synced_is_empty(void **state)
{
    (void)state;
    file_make("/d/a", "old", true);
    file_make("/d/a.new", "new", false);
    assert_int_equal(f.env->ops->file_rename(f.env, "/d/a.new", "/d/a", &f.err), NW_OK);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", ""); /* the classic mistake shows */
}

static void removing_and_truncating_are_undone_unless_synced(void **state)
{
    int file = -1;

    (void)state;
    file_make("/d/a", "aaaa", true);
    file_make("/d/b", "bbbb", true);
    assert_int_equal(f.env->ops->file_remove(f.env, "/d/a", &f.err), NW_OK);
    assert_int_equal(f.env->ops->file_remove(f.env, "/d/a", &f.err), NW_OK);
    file = open_file("/d/b", 0);
    assert_int_equal(f.env->ops->file_truncate(f.env, file, 1, &f.err), NW_OK);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", "aaaa");
    assert_content("/d/b", "bbbb");
    assert_int_equal(f.env->ops->file_remove(f.env, "/d/a", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d", &f.err), NW_OK);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", NULL);
}

static void without_power_nothing_changes_any_more(void **state)
{
    int file = -1;

    (void)state;
    file_make("/d/a", "aaaa", true);
    file_make("/d/b", "bbbb", true);
    file = open_file("/d/a", 0);
    assert_int_equal(run(NW_FILE_WRITE, file, "xxxx", 4, 0), 4);
    nw_env_model_power_off(f.model);
    assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), -EIO);
    assert_int_equal(run(NW_FILE_WRITE, file, "yyyy", 4, 0), -EIO);
    assert_int_equal(f.env->ops->file_truncate(f.env, file, 1, &f.err), NW_RETRY);
    assert_int_equal(f.env->ops->file_rename(f.env, "/d/a", "/d/c", &f.err), NW_RETRY);
    assert_int_equal(f.env->ops->file_remove(f.env, "/d/b", &f.err), NW_RETRY);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d", &f.err), NW_RETRY);
    f.env->ops->file_close(f.env, file);
    nw_env_model_crash(f.model, 0);
    assert_content("/d/a", "aaaa");
    assert_content("/d/b", "bbbb");
    assert_content("/d/c", NULL);
}

static void a_crash_may_leave_any_part_of_what_was_not_synced(void **state)
{
    static char bytes[8 * 512];
    unsigned kept = 0;
    unsigned zero = 0;
    unsigned longer = 0;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (unsigned i = 0; i < 50; i++) {
        char back[sizeof bytes] = {0};
        int file = -1;
        int32_t size = 0;

        file_make("/d/a", "", true);
        file = open_file("/d/a", 0);
        assert_int_equal(run(NW_FILE_WRITE, file, bytes, sizeof bytes, 0), sizeof bytes);
        nw_env_model_crash(f.model, 50);
        file = open_file("/d/a", 0);
        size = run(NW_FILE_READ, file, back, sizeof back, 0);
        assert_true(size == 0 || size == (int32_t)sizeof bytes);
        longer += size > 0;
        for (int32_t at = 0; at < size; at += 512) { /* whole sectors */
            assert_true(back[at] == 'x' || back[at] == '\0');
            assert_int_equal(back[at], back[at + 511]);
            kept += back[at] == 'x';
            zero += back[at] == '\0';
        }
        assert_int_equal(f.env->ops->file_truncate(f.env, file, 0, &f.err), NW_OK);
        assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), 0);
        f.env->ops->file_close(f.env, file);
    }
    assert_in_range(longer, 10, 40);
    assert_true(kept > 20 && zero > 20);
}

static void a_folder_that_was_not_synced_goes_with_all_in_it(void **state)
{
    int file = -1;

    (void)state;
    assert_int_equal(f.env->ops->folder_create(f.env, "/d/e/f", &f.err), NW_OK);
    file = open_file("/d/e/f/a", NW_FILE_CREATE);
    assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), 0);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d/e/f", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d/e", &f.err), NW_OK);
    nw_env_model_crash(f.model, 0); /* but not /d */
    assert_content("/d/e/f/a", NULL);
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d/e", &f.err), NW_RETRY);
}

#define NAMES_SIZE 128u

static nw_status names_note(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    char *names = context;

    (void)err;
    (void)snprintf(names + strlen(names), NAMES_SIZE - strlen(names), "%s%s", is_folder ? "/" : " ",
                   name);
    return NW_OK;
}

static void folders_list_their_own_and_refuse_to_go_full(void **state)
{
    char names[NAMES_SIZE] = "";

    (void)state;
    file_make("/d/a", "", true);
    assert_int_equal(f.env->ops->folder_create(f.env, "/d/e", &f.err), NW_OK);
    file_make("/d/e/deep", "", false);
    assert_int_equal(f.env->ops->folder_list(f.env, "/d", names_note, names, &f.err), NW_OK);
    assert_string_equal(names, " a/e");
    assert_int_equal(f.env->ops->folder_remove(f.env, "/d/e", &f.err), NW_RETRY);
    assert_int_equal(f.env->ops->file_remove(f.env, "/d/e/deep", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_remove(f.env, "/d/e", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_remove(f.env, "/d/e", &f.err), NW_OK);
    assert_int_equal(f.env->ops->folder_list(f.env, "/d/e", names_note, names, &f.err), NW_RETRY);
    assert_int_equal(f.env->ops->folder_create(f.env, "/d/a/b", &f.err), NW_RETRY);
}

static void a_lock_goes_with_its_file_or_a_crash(void **state)
{
    int a = open_file("/d/lock", NW_FILE_CREATE);
    int b = open_file("/d/lock", 0);

    (void)state;
    assert_int_equal(f.env->ops->folder_sync(f.env, "/d", &f.err), NW_OK);
    assert_int_equal(f.env->ops->file_lock(f.env, a, &f.err), NW_OK);
    assert_int_equal(f.env->ops->file_lock(f.env, b, &f.err), NW_FATAL);
    f.env->ops->file_close(f.env, a);
    assert_int_equal(f.env->ops->file_lock(f.env, b, &f.err), NW_OK);
    nw_env_model_crash(f.model, 0);
    a = open_file("/d/lock", 0);
    assert_int_equal(f.env->ops->file_lock(f.env, a, &f.err), NW_OK);
    f.env->ops->file_close(f.env, a);
}

/* Eight writes at once; the order in which they come back. */
static uint64_t order_of(uint64_t seed, uint64_t *trace)
{
    struct nw_env *env = NULL;
    struct nw_io *io = NULL;
    struct nw_file_op ops[8];
    struct nw_file_op *done[8];
    uint64_t order = 0;
    size_t all = 0;
    int file = -1;
    uint64_t random = 0;

    assert_int_equal(nw_env_model_create(seed, &env, &f.err), NW_OK);
    assert_int_equal(env->ops->file_open(env, "file", NW_FILE_CREATE, &file, &f.err), NW_OK);
    assert_int_equal(env->ops->io_create(env, 8, &io, &f.err), NW_OK);
    for (uint32_t i = 0; i < 8; i++) {
        ops[i] = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                     .file = file,
                                     .bytes = (void *)(uintptr_t) "abcdefgh",
                                     .offset = i,
                                     .size = 1};
        assert_int_equal(env->ops->io_submit(env, io, &ops[i], &f.err), NW_OK);
    }
    assert_int_equal(env->ops->io_submit(env, io, &ops[0], &f.err), NW_AGAIN);
    while (all < 8) {
        size_t count = 0;

        assert_int_equal(env->ops->io_reap(env, io, all == 0, done, 8, &count, &f.err), NW_OK);
        for (size_t i = 0; i < count; i++) {
            order = order * 8 + (uint64_t)(done[i] - ops);
        }
        all += count;
    }
    env->ops->random(env, &random, sizeof random);
    *trace = nw_env_model_trace(env) ^ random;
    env->ops->io_destroy(env, io);
    nw_env_model_destroy(env);
    return order;
}

static void the_same_seed_gives_the_same_and_another_another(void **state)
{
    uint64_t traces[3];

    (void)state;
    assert_int_equal(order_of(7, &traces[0]), order_of(7, &traces[1]));
    assert_int_equal(traces[0], traces[1]);
    assert_int_not_equal(order_of(7, &traces[0]), order_of(8, &traces[2]));
    assert_int_not_equal(traces[0], traces[2]);
}

static void the_clock_moves_only_when_told(void **state)
{
    int64_t now = f.env->ops->now_ns(f.env);
    int64_t wall = f.env->ops->wall_us(f.env);

    (void)state;
    assert_int_equal(f.env->ops->now_ns(f.env), now);
    nw_env_model_advance(f.model, 5000000);
    assert_int_equal(f.env->ops->now_ns(f.env), now + 5000000);
    assert_int_equal(f.env->ops->wall_us(f.env), wall + 5000);
}

/* ---- faults ---- */

static void the_nth_write_fails_and_only_that(void **state)
{
    int file = -1;

    (void)state;
    nw_env_fault_arm(f.env, 3, NW_FAULT_ERROR, ENOSPC);
    file = open_file("/d/a", NW_FILE_CREATE);
    assert_int_equal(run(NW_FILE_WRITE, file, "one", 3, 0), 3);
    assert_false(nw_env_fault_fired(f.env));
    assert_int_equal(run(NW_FILE_WRITE, file, "two", 3, 3), -ENOSPC);
    assert_true(nw_env_fault_fired(f.env));
    assert_int_equal(run(NW_FILE_WRITE, file, "three", 5, 6), 5);
    assert_int_equal(nw_env_fault_count(f.env), 4);
    nw_env_fault_arm(f.env, 0, NW_FAULT_ERROR, 0);
    assert_int_equal(run(NW_FILE_WRITE, file, "!!!", 3, 3), 3);
    f.env->ops->file_close(f.env, file);
    assert_content("/d/a", "one!!!three");
}

static void a_torn_write_leaves_half_and_says_error(void **state)
{
    int file = open_file("/d/a", NW_FILE_CREATE);

    (void)state;
    nw_env_fault_arm(f.env, 1, NW_FAULT_TORN, EIO);
    assert_int_equal(run(NW_FILE_WRITE, file, "abcdef", 6, 0), -EIO);
    f.env->ops->file_close(f.env, file);
    assert_content("/d/a", "abc");
}

static void a_short_write_leaves_half_and_says_half(void **state)
{
    int file = open_file("/d/a", NW_FILE_CREATE);

    (void)state;
    nw_env_fault_arm(f.env, 1, NW_FAULT_SHORT, EIO);
    assert_int_equal(run(NW_FILE_WRITE, file, "abcdef", 6, 0), 3);
    nw_env_fault_arm(f.env, 1, NW_FAULT_SHORT, EIO);
    assert_int_equal(run(NW_FILE_SYNC, file, NULL, 0, 0), -EIO); /* no half of a sync */
    f.env->ops->file_close(f.env, file);
    assert_content("/d/a", "abc");
}

/* A little program: replaces a file by a synced new one. @return whether it said that it did */
static bool replace(void)
{
    const struct nw_env_ops *ops = f.env->ops;
    int file = -1;
    uint64_t size = 0;
    bool good = false;

    if (ops->folder_create(f.env, "/d", &f.err) != NW_OK ||
        ops->file_open(f.env, "/d/new", NW_FILE_CREATE, &file, &f.err) != NW_OK) {
        return false;
    }
    good = ops->file_lock(f.env, file, &f.err) == NW_OK &&
           ops->file_truncate(f.env, file, 0, &f.err) == NW_OK &&
           run(NW_FILE_WRITE, file, "new content", 11, 0) == 11 &&
           run(NW_FILE_SYNC, file, NULL, 0, 0) == 0 &&
           ops->file_size(f.env, file, &size, &f.err) == NW_OK && size == 11;
    ops->file_close(f.env, file);
    return good && ops->file_rename(f.env, "/d/new", "/d/a", &f.err) == NW_OK;
}

/* At every operation, in every way; then the power goes, and parts survive. */
static void a_careful_program_never_loses_its_file(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned kind = NW_FAULT_ERROR; kind <= NW_FAULT_SHORT; kind++) {
        bool fired = true;

        for (uint64_t nth = 1; fired; nth++) {
            bool said = false;

            nw_env_fault_arm(f.env, 0, NW_FAULT_ERROR, 0);
            assert_int_equal(f.env->ops->file_remove(f.env, "/d/new", &f.err), NW_OK);
            file_make("/d/a", "old content", true);
            nw_env_fault_arm(f.env, nth, (enum nw_fault_kind)kind, ENOSPC);
            said = replace();
            fired = nw_env_fault_fired(f.env);
            assert_int_equal(said, !fired);
            failures += fired;
            nw_env_fault_arm(f.env, 0, NW_FAULT_ERROR, 0);
            nw_env_model_crash(f.model, 50);
            assert_content("/d/a", said ? "new content" : "old content");
        }
    }
    assert_int_equal(failures, 3 * 8);
}

static void every_call_can_fail_and_names_its_path(void **state)
{
    const struct nw_env_ops *ops = f.env->ops;
    struct nw_io *io = NULL;
    uint64_t size = 0;
    int file = open_file("/d/a", NW_FILE_CREATE);

    (void)state;
#define FAILS(call, expected, names)                                                               \
    do {                                                                                           \
        nw_env_fault_arm(f.env, 1, NW_FAULT_ERROR, EIO);                                           \
        assert_int_equal(call, expected);                                                          \
        assert_non_null(strstr(f.err.text, names));                                                \
        assert_non_null(strstr(f.err.text, "Input/output error (injected)"));                      \
        assert_int_equal(f.err.status, expected);                                                  \
    } while (0)
    FAILS(ops->file_open(f.env, "/d/b", NW_FILE_CREATE, &file, &f.err), NW_RETRY, "/d/b");
    FAILS(ops->file_truncate(f.env, file, 0, &f.err), NW_RETRY, "truncate");
    FAILS(ops->file_size(f.env, file, &size, &f.err), NW_RETRY, "size");
    FAILS(ops->file_rename(f.env, "/d/a", "/d/c", &f.err), NW_RETRY, "/d/c");
    FAILS(ops->file_remove(f.env, "/d/a", &f.err), NW_RETRY, "/d/a");
    FAILS(ops->file_lock(f.env, file, &f.err), NW_FATAL, "lock");
    FAILS(ops->folder_create(f.env, "/e", &f.err), NW_RETRY, "/e");
    FAILS(ops->folder_sync(f.env, "/d", &f.err), NW_FATAL, "/d");
    FAILS(ops->folder_remove(f.env, "/d", &f.err), NW_RETRY, "/d");
    FAILS(ops->folder_list(f.env, "/d", names_note, NULL, &f.err), NW_RETRY, "/d");
    FAILS(ops->io_create(f.env, 1, &io, &f.err), NW_FATAL, "queue");
#undef FAILS
    nw_env_fault_arm(f.env, 0, NW_FAULT_ERROR, 0);
    f.env->ops->file_close(f.env, file);
    assert_content("/d/a", ""); /* none of it happened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define MODEL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define FAULT(test) cmocka_unit_test_setup_teardown(test, setup_faults, teardown)
        MODEL(a_file_reads_as_written),
        MODEL(a_crash_keeps_what_was_synced_and_nothing_else),
        MODEL(a_synced_file_is_lost_with_its_unsynced_name),
        MODEL(a_rename_is_atomic_and_durable),
        MODEL(a_renamed_file_that_was_not_synced_is_empty),
        MODEL(removing_and_truncating_are_undone_unless_synced),
        MODEL(without_power_nothing_changes_any_more),
        MODEL(a_crash_may_leave_any_part_of_what_was_not_synced),
        MODEL(a_folder_that_was_not_synced_goes_with_all_in_it),
        MODEL(folders_list_their_own_and_refuse_to_go_full),
        MODEL(a_lock_goes_with_its_file_or_a_crash),
        MODEL(the_same_seed_gives_the_same_and_another_another),
        MODEL(the_clock_moves_only_when_told),
        FAULT(the_nth_write_fails_and_only_that),
        FAULT(a_torn_write_leaves_half_and_says_error),
        FAULT(a_short_write_leaves_half_and_says_half),
        FAULT(a_careful_program_never_loses_its_file),
        FAULT(every_call_can_fail_and_names_its_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
