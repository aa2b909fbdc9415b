/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's environment: the same tests on io_uring and on pread, saying which one ran. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/env.h"

#define DEPTH   8u
#define OPS_MAX 100u

struct fixture {
    struct nw_env *env;
    struct nw_io *io;
    enum nw_io_choice choice;
    const char *engine; /* that must run */
    char folder[64];
    struct nw_error err;
};

/* Whether this kernel lets us use io_uring at all; where not, its tests are skipped. */
static bool uring_there(void)
{
    struct nw_env *env = NULL;
    struct nw_io *io = NULL;
    struct nw_error err;
    bool there = false;

    assert_int_equal(nw_env_system_create(NW_IO_URING, &env, &err), NW_OK);
    there = env->ops->io_create(env, DEPTH, &io, &err) == NW_OK;
    if (there) {
        env->ops->io_destroy(env, io);
    }
    nw_env_system_destroy(env);
    return there;
}

static int fixture_make(void **state, enum nw_io_choice choice, const char *engine)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->choice = choice;
    f->engine = engine;
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/nw-io-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(nw_env_system_create(choice, &f->env, &f->err), NW_OK);
    if (choice != NW_IO_URING || uring_there()) {
        assert_int_equal(f->env->ops->io_create(f->env, DEPTH, &f->io, &f->err), NW_OK);
    }
    *state = f;
    return 0;
}

static int with_uring(void **state)
{
    return fixture_make(state, NW_IO_URING, "io_uring");
}

static int with_pread(void **state)
{
    return fixture_make(state, NW_IO_PREAD, "pread");
}

static int fixture_end(void **state)
{
    struct fixture *f = *state;
    char command[128];

    if (f->io != NULL) {
        f->env->ops->io_destroy(f->env, f->io);
    }
    nw_env_system_destroy(f->env);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct fixture *fixture_of(void **state)
{
    struct fixture *f = *state;

    if (f->io == NULL) {
        print_message("this kernel or container forbids io_uring\n");
        skip();
    }
    assert_string_equal(f->env->ops->io_engine(f->env, f->io), f->engine);
    return f;
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", f->folder, name);
    return path;
}

static int open_new(struct fixture *f, const char *name)
{
    int file = -1;

    assert_int_equal(f->env->ops->file_open(f->env, path_of(f, name),
                                            NW_FILE_CREATE | NW_FILE_EXCLUSIVE, &file, &f->err),
                     NW_OK);
    return file;
}

/* Runs operations, however many, and waits for all. */
static void run_all(struct fixture *f, struct nw_file_op *ops, size_t count)
{
    struct nw_file_op *done[OPS_MAX];
    bool seen[OPS_MAX] = {false};
    size_t submitted = 0;
    size_t finished = 0;

    while (finished < count) {
        size_t reaped = 0;
        nw_status status = NW_OK;

        while (submitted < count && status == NW_OK) {
            status = f->env->ops->io_submit(f->env, f->io, &ops[submitted], &f->err);
            submitted += status == NW_OK;
        }
        assert_true(status == NW_OK || status == NW_AGAIN);
        assert_int_equal(f->env->ops->io_reap(f->env, f->io, true, done, OPS_MAX, &reaped, &f->err),
                         NW_OK);
        assert_true(reaped > 0);
        for (size_t i = 0; i < reaped; i++) {
            size_t index = (size_t)(done[i] - ops);

            assert_true(index < submitted);
            assert_false(seen[index]);
            seen[index] = true;
        }
        finished += reaped;
    }
}

static int32_t run_one(struct fixture *f, enum nw_file_verb verb, int file, void *bytes,
                       uint32_t size, uint64_t offset)
{
    struct nw_file_op op = {
        .verb = verb, .file = file, .bytes = bytes, .offset = offset, .size = size, .result = 77};

    run_all(f, &op, 1);
    return op.result;
}

static void what_was_written_is_read_back(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    char text[] = "hello, file";
    char back[64] = {0};
    uint64_t size = 0;

    assert_int_equal(run_one(f, NW_FILE_WRITE, file, text, 11, 100), 11);
    assert_int_equal(run_one(f, NW_FILE_SYNC, file, NULL, 0, 0), 0);
    assert_int_equal(run_one(f, NW_FILE_READ, file, back, 11, 100), 11);
    assert_memory_equal(back, text, 11);
    assert_int_equal(f->env->ops->file_size(f->env, file, &size, &f->err), NW_OK);
    assert_int_equal(size, 111);
    assert_int_equal(f->env->ops->file_truncate(f->env, file, 105, &f->err), NW_OK);
    assert_int_equal(f->env->ops->file_size(f->env, file, &size, &f->err), NW_OK);
    assert_int_equal(size, 105);
    f->env->ops->file_close(f->env, file);
}

static void a_read_is_short_only_at_the_end(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    char text[] = "0123456789";
    char back[64] = {0};

    assert_int_equal(run_one(f, NW_FILE_WRITE, file, text, 10, 0), 10);
    assert_int_equal(run_one(f, NW_FILE_READ, file, back, sizeof back, 4), 6);
    assert_memory_equal(back, "456789", 6);
    assert_int_equal(run_one(f, NW_FILE_READ, file, back, sizeof back, 10), 0);
    assert_int_equal(run_one(f, NW_FILE_READ, file, back, sizeof back, 1000), 0);
    assert_int_equal(run_one(f, NW_FILE_READ, file, back, 0, 0), 0);
    assert_int_equal(run_one(f, NW_FILE_WRITE, file, text, 0, 0), 0);
    f->env->ops->file_close(f->env, file);
}

static void more_operations_than_the_queue_holds_all_finish(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    struct nw_file_op ops[OPS_MAX];
    static uint8_t bytes[OPS_MAX][4096];
    static uint8_t back[OPS_MAX][4096];

    for (uint32_t i = 0; i < OPS_MAX; i++) {
        memset(bytes[i], (int)i, sizeof bytes[i]);
        ops[i] = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                     .file = file,
                                     .bytes = bytes[i],
                                     .offset = i * 4096,
                                     .size = 4096};
    }
    run_all(f, ops, OPS_MAX);
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        assert_int_equal(ops[i].result, 4096);
        ops[i].verb = NW_FILE_READ;
        ops[i].bytes = back[i];
    }
    run_all(f, ops, OPS_MAX);
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        assert_int_equal(ops[i].result, 4096);
    }
    assert_memory_equal(bytes, back, sizeof bytes);
    f->env->ops->file_close(f->env, file);
}

static void a_full_queue_says_so_and_takes_nothing(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    struct nw_file_op ops[DEPTH + 1];
    struct nw_file_op *done[DEPTH + 1];
    size_t reaped = 0;
    size_t all = 0;
    char byte = 'x';

    for (uint32_t i = 0; i <= DEPTH; i++) {
        ops[i] = (struct nw_file_op){
            .verb = NW_FILE_WRITE, .file = file, .bytes = &byte, .offset = i, .size = 1};
        assert_int_equal(f->env->ops->io_submit(f->env, f->io, &ops[i], &f->err),
                         i < DEPTH ? NW_OK : NW_AGAIN);
    }
    while (all < DEPTH) { /* in portions, too */
        assert_int_equal(f->env->ops->io_reap(f->env, f->io, true, done, 3, &reaped, &f->err),
                         NW_OK);
        assert_in_range(reaped, 1, 3);
        all += reaped;
    }
    assert_int_equal(f->env->ops->io_reap(f->env, f->io, true, done, 3, &reaped, &f->err), NW_OK);
    assert_int_equal(reaped, 0); /* nothing is under way: does not wait */
    assert_int_equal(f->env->ops->io_submit(f->env, f->io, &ops[DEPTH], &f->err), NW_OK);
    assert_int_equal(f->env->ops->io_reap(f->env, f->io, true, done, 3, &reaped, &f->err), NW_OK);
    assert_int_equal(reaped, 1);
    assert_ptr_equal(done[0], &ops[DEPTH]);
    f->env->ops->file_close(f->env, file);
}

static void reaping_without_waiting_finds_it_in_the_end(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    char text[] = "x";
    struct nw_file_op op = {.verb = NW_FILE_WRITE, .file = file, .bytes = text, .size = 1};
    struct nw_file_op *done[1];
    size_t reaped = 0;

    assert_int_equal(f->env->ops->io_submit(f->env, f->io, &op, &f->err), NW_OK);
    for (unsigned i = 0; i < 1000000 && reaped == 0; i++) {
        (void)sched_yield();
        assert_int_equal(f->env->ops->io_reap(f->env, f->io, false, done, 1, &reaped, &f->err),
                         NW_OK);
    }
    assert_int_equal(reaped, 1);
    assert_int_equal(op.result, 1);
    f->env->ops->file_close(f->env, file);
}

static void short_writes_are_continued(void **state)
{
    struct fixture *f = fixture_of(state);
    struct rlimit before;
    struct rlimit small = {5000, 0};
    int file = open_new(f, "file");
    static uint8_t bytes[8192];

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    /* The first transfer ends at the limit; only one that is continued meets the error. */
    assert_int_equal(run_one(f, NW_FILE_WRITE, file, bytes, sizeof bytes, 0), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(run_one(f, NW_FILE_WRITE, file, bytes, sizeof bytes, 0), sizeof bytes);
    f->env->ops->file_close(f->env, file);
}

static void a_full_disk_is_an_error_of_the_operation(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = -1;
    uint8_t bytes[512] = {0};

    assert_int_equal(f->env->ops->file_open(f->env, "/dev/full", 0, &file, &f->err), NW_OK);
    assert_int_equal(run_one(f, NW_FILE_WRITE, file, bytes, sizeof bytes, 0), -ENOSPC);
    f->env->ops->file_close(f->env, file);
    assert_int_equal(run_one(f, NW_FILE_READ, file, bytes, sizeof bytes, 0), -EBADF);
}

static void a_queue_may_end_with_operations_in_it(void **state)
{
    struct fixture *f = fixture_of(state);
    int file = open_new(f, "file");
    char *bytes = malloc(1 << 20);
    struct nw_file_op ops[2];
    size_t reaped = 0;
    struct nw_file_op *done[1];

    assert_non_null(bytes);
    memset(bytes, 'x', 1 << 20);
    for (uint32_t i = 0; i < 2; i++) {
        ops[i] = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                     .file = file,
                                     .bytes = bytes,
                                     .offset = (uint64_t)i << 20,
                                     .size = 1 << 20};
        assert_int_equal(f->env->ops->io_submit(f->env, f->io, &ops[i], &f->err), NW_OK);
    }
    assert_int_equal(f->env->ops->io_reap(f->env, f->io, true, done, 1, &reaped, &f->err), NW_OK);
    f->env->ops->io_destroy(f->env, f->io);
    f->io = NULL;
    free(bytes);
    f->env->ops->file_close(f->env, file);
}

/* ---- what does not depend on the engine ---- */

static void auto_takes_io_uring_where_it_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct nw_env *env = NULL;
    struct nw_io *io = NULL;

    assert_int_equal(nw_env_system_create(NW_IO_AUTO, &env, &f->err), NW_OK);
    assert_int_equal(env->ops->io_create(env, DEPTH, &io, &f->err), NW_OK);
    assert_string_equal(env->ops->io_engine(env, io), uring_there() ? "io_uring" : "pread");
    env->ops->io_destroy(env, io);
    nw_env_system_destroy(env);
}

static bool uring_forbid(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
           prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &program, 0UL, 0UL) == 0;
}

/* In a child, where io_uring_setup is forbidden. @return 0, or which step was wrong; 99: no seccomp
 */
static int where_forbidden(void)
{
    struct nw_env *env = NULL;
    struct nw_io *io = NULL;
    struct nw_error err = {0};

    if (!uring_forbid()) {
        return 99;
    }
    if (nw_env_system_create(NW_IO_AUTO, &env, &err) != NW_OK ||
        env->ops->io_create(env, DEPTH, &io, &err) != NW_OK) {
        return 1;
    }
    if (strcmp(env->ops->io_engine(env, io), "pread") != 0) {
        return 2;
    }
    env->ops->io_destroy(env, io);
    nw_env_system_destroy(env);
    if (nw_env_system_create(NW_IO_URING, &env, &err) != NW_OK ||
        env->ops->io_create(env, DEPTH, &io, &err) != NW_FATAL) {
        return 3;
    }
    nw_env_system_destroy(env);
    return strncmp(err.text, "NW2901 ", 7) == 0 &&
                   strstr(err.text, "io_uring: Operation not permitted") != NULL
               ? 0
               : 4;
}

static void auto_falls_back_where_io_uring_is_forbidden(void **state)
{
    pid_t child = fork();
    int status = 0;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        _exit(where_forbidden());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99) {
        print_message("io_uring cannot be forbidden here: no seccomp filters\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void errors_name_the_path_and_what_to_do(void **state)
{
    struct fixture *f = *state;
    const struct nw_env_ops *ops = f->env->ops;
    int file = open_new(f, "there");
    int other = -1;
    uint64_t size = 0;

    assert_int_equal(ops->file_open(f->env, path_of(f, "no/file"), NW_FILE_CREATE, &other, &f->err),
                     NW_RETRY);
    assert_non_null(strstr(f->err.text, "/no/file: No such file"));
    assert_memory_equal(f->err.text, "NW2501", 6);
    assert_int_equal(ops->file_open(f->env, path_of(f, "there"), NW_FILE_CREATE | NW_FILE_EXCLUSIVE,
                                    &other, &f->err),
                     NW_RETRY);
    assert_non_null(strstr(f->err.text, "/there: File exists"));
    assert_int_equal(ops->file_rename(f->env, path_of(f, "gone"), path_of(f, "to"), &f->err),
                     NW_RETRY);
    assert_non_null(strstr(f->err.text, "/to: "));
    assert_int_equal(ops->folder_create(f->env, path_of(f, "there/in"), &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, "/there/in: Not a directory"));
    assert_int_equal(ops->folder_sync(f->env, path_of(f, "gone"), &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, "/gone: "));
    assert_int_equal(ops->folder_list(f->env, path_of(f, "gone"), NULL, NULL, &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, "/gone: "));
    assert_int_equal(ops->folder_remove(f->env, f->folder, &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, f->folder));
    assert_int_equal(ops->folder_create(f->env, "", &f->err), NW_FATAL);
    ops->file_close(f->env, file);
    assert_int_equal(ops->file_open(f->env, path_of(f, "there"), NW_FILE_READ_ONLY, &file, &f->err),
                     NW_OK);
    assert_int_equal(ops->file_truncate(f->env, file, 5, &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, "truncate"));
    assert_non_null(strstr(f->err.text, "/there: "));
    ops->file_close(f->env, file);
    assert_int_equal(ops->file_size(f->env, file, &size, &f->err), NW_RETRY);
    assert_non_null(strstr(f->err.text, "Bad file descriptor"));
}

static void renaming_replaces_and_removing_twice_is_fine(void **state)
{
    struct fixture *f = *state;
    const struct nw_env_ops *ops = f->env->ops;
    struct stat status;

    ops->file_close(f->env, open_new(f, "a"));
    ops->file_close(f->env, open_new(f, "b"));
    assert_int_equal(ops->file_rename(f->env, path_of(f, "a"), path_of(f, "b"), &f->err), NW_OK);
    assert_int_not_equal(stat(path_of(f, "a"), &status), 0);
    assert_int_equal(ops->file_remove(f->env, path_of(f, "b"), &f->err), NW_OK);
    assert_int_equal(ops->file_remove(f->env, path_of(f, "b"), &f->err), NW_OK);
    assert_int_not_equal(stat(path_of(f, "b"), &status), 0);
}

#define NAMES_SIZE 256u

static nw_status entry_note(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    char *names = context;

    (void)snprintf(names + strlen(names), NAMES_SIZE - strlen(names), "%s%s", is_folder ? "/" : " ",
                   name);
    return strcmp(name, "stop") == 0 ? nw_fail(err, NW_REJECT, "stopped") : NW_OK;
}

static void folders_are_made_listed_and_removed(void **state)
{
    struct fixture *f = *state;
    const struct nw_env_ops *ops = f->env->ops;
    char names[NAMES_SIZE] = "";
    struct stat status;

    assert_int_equal(ops->folder_create(f->env, path_of(f, "x/y/z"), &f->err), NW_OK);
    assert_int_equal(ops->folder_create(f->env, path_of(f, "x/y/z"), &f->err), NW_OK);
    assert_int_equal(stat(path_of(f, "x"), &status), 0);
    assert_int_equal(status.st_mode & 07007, 0); /* nothing for others */
    ops->file_close(f->env, open_new(f, "x/file"));
    assert_int_equal(ops->folder_list(f->env, path_of(f, "x"), entry_note, names, &f->err), NW_OK);
    assert_non_null(strstr(names, " file"));
    assert_non_null(strstr(names, "/y"));
    assert_int_equal(strlen(names), 7);
    assert_int_equal(ops->folder_sync(f->env, path_of(f, "x"), &f->err), NW_OK);
    assert_int_equal(ops->folder_remove(f->env, path_of(f, "x/y/z"), &f->err), NW_OK);
    assert_int_equal(ops->folder_remove(f->env, path_of(f, "x/y/z"), &f->err), NW_OK);
    ops->file_close(f->env, open_new(f, "x/y/stop"));
    assert_int_equal(ops->folder_list(f->env, path_of(f, "x/y"), entry_note, names, &f->err),
                     NW_REJECT);
}

static void a_lock_that_another_process_holds_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    int file = open_new(f, "lock");
    int ends[2];
    int back[2];
    char byte = 0;
    pid_t child = 0;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(back), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int own = open(path_of(f, "lock"), O_RDWR);

        byte = f->env->ops->file_lock(f->env, own, &f->err) == NW_OK ? 'y' : 'n';
        (void)!write(ends[1], &byte, 1);
        (void)!read(back[0], &byte, 1); /* hold it until told */
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(f->env->ops->file_lock(f->env, file, &f->err), NW_FATAL);
    assert_non_null(strstr(f->err.text, "/lock: another process holds it"));
    assert_memory_equal(f->err.text, "NW2503", 6);
    assert_int_equal(write(back[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(f->env->ops->file_lock(f->env, file, &f->err), NW_OK); /* it died with it */
    f->env->ops->file_close(f->env, file);
    for (unsigned i = 0; i < 2; i++) {
        (void)close(ends[i]);
        (void)close(back[i]);
    }
}

static void clocks_advance_and_randomness_differs(void **state)
{
    struct fixture *f = *state;
    int64_t before = f->env->ops->now_ns(f->env);
    uint8_t a[300] = {0};
    uint8_t b[300] = {0};

    assert_true(f->env->ops->wall_us(f->env) > INT64_C(1577836800000000)); /* 2020 */
    f->env->ops->random(f->env, a, sizeof a);
    f->env->ops->random(f->env, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 200, b, 100);
    assert_true(f->env->ops->now_ns(f->env) >= before);
}

#define ON_BOTH(test)                                                                              \
    {#test " (io_uring)", test, with_uring, fixture_end, NULL},                                    \
    {                                                                                              \
#test " (pread)", test, with_pread, fixture_end, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(what_was_written_is_read_back),
        ON_BOTH(a_read_is_short_only_at_the_end),
        ON_BOTH(more_operations_than_the_queue_holds_all_finish),
        ON_BOTH(a_full_queue_says_so_and_takes_nothing),
        ON_BOTH(reaping_without_waiting_finds_it_in_the_end),
        ON_BOTH(short_writes_are_continued),
        ON_BOTH(a_full_disk_is_an_error_of_the_operation),
        ON_BOTH(a_queue_may_end_with_operations_in_it),
        cmocka_unit_test_setup_teardown(auto_takes_io_uring_where_it_is_allowed, with_pread,
                                        fixture_end),
        cmocka_unit_test(auto_falls_back_where_io_uring_is_forbidden),
        cmocka_unit_test_setup_teardown(errors_name_the_path_and_what_to_do, with_pread,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(renaming_replaces_and_removing_twice_is_fine, with_pread,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(folders_are_made_listed_and_removed, with_pread,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_lock_that_another_process_holds_is_refused_at_once,
                                        with_pread, fixture_end),
        cmocka_unit_test_setup_teardown(clocks_advance_and_randomness_differs, with_pread,
                                        fixture_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
