/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the file and null sinks: a host over plain files that fails or dies at the n-th
 * operation and then loses what was not synced, batches made by hand, and folders read back.
 */
#ifndef TESTS_FILE_SUPPORT_H
#define TESTS_FILE_SUPPORT_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <narwal/sink.h>

#include "lib/chunk.h"

#define UNUSED __attribute__((unused))

/* What is known of a path: how much of it a power cut would leave. */
struct test_path {
    char name[512];
    bool folder;
    bool entry_synced;
    uint64_t synced; /* bytes */
};

#define TEST_PATHS_MAX 4096
#define TEST_FILES_MAX 1024

struct test_host {
    struct nw_host host;
    int operations; /* counted so far */
    int fail_at;    /* this operation fails; 0: none */
    int die_at;     /* this and all later ones fail and have no effect; 0: none */
    bool fired;
    int freeze_at;                 /* before this one `frozen` is called; 0: none */
    void (*frozen)(void *context); /* what others do meanwhile */
    void *frozen_context;
    int claimed_at; /* the first that made a file sink's owner-NUMBER; 0: none yet */
    int64_t clock_ns;
    uint64_t random;
    char last_log[1024];
    struct test_path paths[TEST_PATHS_MAX];
    int paths_count;
    int path_of[TEST_FILES_MAX]; /* by descriptor */
    char verify_lines[16384];
};

static inline uint64_t test_random(struct test_host *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

static struct test_path *test_path_find(struct test_host *t, const char *name)
{
    for (int i = 0; i < t->paths_count; i++) {
        if (strcmp(t->paths[i].name, name) == 0) {
            return &t->paths[i];
        }
    }
    return NULL;
}

static struct test_path *test_path_add(struct test_host *t, const char *name)
{
    struct test_path *path = test_path_find(t, name);

    if (path == NULL) {
        assert_true(t->paths_count < TEST_PATHS_MAX);
        path = &t->paths[t->paths_count++];
        *path = (struct test_path){0};
        (void)snprintf(path->name, sizeof path->name, "%s", name);
    }
    return path;
}

/* Counts an operation. @return whether it has to fail. */
static bool test_fails(struct test_host *t, struct nw_error *err, const char *what)
{
    t->operations++;
    if (t->operations == t->freeze_at) {
        t->frozen(t->frozen_context);
    }
    if (t->operations == t->fail_at || (t->die_at > 0 && t->operations >= t->die_at)) {
        t->fired = true;
        (void)nw_fail(err, NW_RETRY, "%s: no space left on device (injected)", what);
        return true;
    }
    return false;
}

static struct test_host *test_host_of(const struct nw_host *host)
{
    return host->context;
}

NW_PRINTF(3, 4)
static void test_log(const struct nw_host *host, enum nw_log_level level, const char *format, ...)
{
    struct test_host *t = test_host_of(host);
    va_list args;

    (void)level;
    va_start(args, format);
    (void)vsnprintf(t->last_log, sizeof t->last_log, format, args);
    va_end(args);
}

static int64_t test_now_ns(const struct nw_host *host)
{
    return test_host_of(host)->clock_ns;
}

/* It stands still. */
#define TEST_WALL_US INT64_C(1800000000123456)

static int64_t test_wall_us(const struct nw_host *host)
{
    (void)host;
    return TEST_WALL_US;
}

static void test_random_fill(const struct nw_host *host, void *bytes, size_t size)
{
    uint8_t *out = bytes;

    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)test_random(test_host_of(host));
    }
}

static nw_status test_errno(struct nw_error *err, const char *what)
{
    return nw_fail(err, NW_RETRY, "%s: errno %d", what, errno);
}

static nw_status test_file_open(const struct nw_host *host, const char *path, uint32_t flags,
                                int *file, struct nw_error *err)
{
    struct test_host *t = test_host_of(host);
    struct test_path *known;
    struct stat st;
    bool there = stat(path, &st) == 0;
    int how = (flags & NW_FILE_READ_ONLY) != 0 ? O_RDONLY : O_RDWR;

    if (test_fails(t, err, path)) {
        return NW_RETRY;
    }
    how |= (flags & NW_FILE_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & NW_FILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
    if (t->claimed_at == 0 && strstr(path, "/owner-") != NULL) {
        t->claimed_at = t->operations;
    }
    *file = open(path, how | O_CLOEXEC, 0640);
    if (*file < 0) {
        return test_errno(err, path);
    }
    assert_true(*file < TEST_FILES_MAX);
    known = test_path_find(t, path);
    if (known == NULL) {
        known = test_path_add(t, path);
        known->entry_synced = there;
        known->synced = there ? (uint64_t)st.st_size : 0;
    }
    t->path_of[*file] = (int)(known - t->paths);
    return NW_OK;
}

static void test_file_close(const struct nw_host *host, int file)
{
    (void)host;
    assert_int_equal(close(file), 0);
}

static nw_status test_op_run(struct test_host *t, struct nw_file_op *op, struct nw_error *err)
{
    bool fails = test_fails(t, err, t->paths[t->path_of[op->file]].name);
    uint32_t size = op->size;
    ssize_t done;

    if (fails && t->die_at > 0 && t->operations > t->die_at) {
        op->result = -ENOSPC;
        return NW_RETRY;
    }
    switch (op->verb) {
    case NW_FILE_READ:
        done = fails ? -1 : pread(op->file, op->bytes, size, (off_t)op->offset);
        op->result = fails ? -EIO : (int32_t)done;
        break;
    case NW_FILE_WRITE:
        size = fails ? size / 2 : size; /* half of it lands */
        done = pwrite(op->file, op->bytes, size, (off_t)op->offset);
        assert_int_equal(done, size);
        op->result = fails ? -ENOSPC : (int32_t)done;
        break;
    case NW_FILE_SYNC:
        op->result = fails ? -EIO : 0;
        if (!fails) {
            struct stat st;

            assert_int_equal(fstat(op->file, &st), 0);
            t->paths[t->path_of[op->file]].synced = (uint64_t)st.st_size;
        }
        break;
    }
    return fails ? NW_RETRY : NW_OK;
}

static nw_status test_files_run(const struct nw_host *host, struct nw_file_op *ops,
                                size_t ops_count, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < ops_count; i++) {
        if (test_op_run(test_host_of(host), &ops[i], err) != NW_OK) {
            status = NW_RETRY;
        }
    }
    return status;
}

static nw_status test_file_truncate(const struct nw_host *host, int file, uint64_t size,
                                    struct nw_error *err)
{
    if (test_fails(test_host_of(host), err, "truncate")) {
        return NW_RETRY;
    }
    return ftruncate(file, (off_t)size) == 0 ? NW_OK : test_errno(err, "truncate");
}

static nw_status test_file_size(const struct nw_host *host, int file, uint64_t *size,
                                struct nw_error *err)
{
    struct stat st;

    if (test_fails(test_host_of(host), err, "size")) {
        return NW_RETRY;
    }
    assert_int_equal(fstat(file, &st), 0);
    *size = (uint64_t)st.st_size;
    return NW_OK;
}

static nw_status test_file_rename(const struct nw_host *host, const char *from, const char *to,
                                  struct nw_error *err)
{
    struct test_host *t = test_host_of(host);
    struct test_path *path;
    struct test_path *former;

    if (test_fails(t, err, to)) {
        return NW_RETRY;
    }
    if (rename(from, to) != 0) {
        return test_errno(err, to);
    }
    former = test_path_find(t, to);
    if (former != NULL) {
        former->name[0] = '\0';
    }
    path = test_path_find(t, from);
    assert_non_null(path);
    (void)snprintf(path->name, sizeof path->name, "%s", to);
    path->entry_synced = true;
    return NW_OK;
}

static nw_status test_file_remove(const struct nw_host *host, const char *path,
                                  struct nw_error *err)
{
    struct test_host *t = test_host_of(host);
    struct test_path *known = test_path_find(t, path);

    if (test_fails(t, err, path)) {
        return NW_RETRY;
    }
    if (unlink(path) != 0) {
        return test_errno(err, path);
    }
    if (known != NULL) {
        known->name[0] = '\0';
    }
    return NW_OK;
}

static nw_status test_folder_create(const struct nw_host *host, const char *path,
                                    struct nw_error *err)
{
    struct test_host *t = test_host_of(host);
    struct stat st;

    if (test_fails(t, err, path)) {
        return NW_RETRY;
    }
    if (stat(path, &st) == 0) {
        return NW_OK;
    }
    if (mkdir(path, 0750) != 0) {
        return test_errno(err, path);
    }
    *test_path_add(t, path) = (struct test_path){.folder = true};
    (void)snprintf(t->paths[t->paths_count - 1].name, sizeof t->paths[0].name, "%s", path);
    return NW_OK;
}

static nw_status test_folder_sync(const struct nw_host *host, const char *path,
                                  struct nw_error *err)
{
    struct test_host *t = test_host_of(host);
    size_t size = strlen(path);

    if (test_fails(t, err, path)) {
        return NW_RETRY;
    }
    for (int i = 0; i < t->paths_count; i++) {
        const char *name = t->paths[i].name;

        if (strncmp(name, path, size) == 0 && name[size] == '/' &&
            strchr(name + size + 1, '/') == NULL) {
            t->paths[i].entry_synced = true;
        }
    }
    return NW_OK;
}

static nw_status test_folder_remove(const struct nw_host *host, const char *path,
                                    struct nw_error *err)
{
    if (test_fails(test_host_of(host), err, path)) {
        return NW_RETRY;
    }
    return rmdir(path) == 0 ? NW_OK : test_errno(err, path);
}

static nw_status test_folder_list(const struct nw_host *host, const char *path,
                                  nw_status (*each)(void *context, const char *name, bool is_folder,
                                                    struct nw_error *err),
                                  void *context, struct nw_error *err)
{
    nw_status status = NW_OK;
    struct dirent *entry;
    DIR *folder;

    if (test_fails(test_host_of(host), err, path)) {
        return NW_RETRY;
    }
    folder = opendir(path);
    if (folder == NULL) {
        return test_errno(err, path);
    }
    while (status == NW_OK && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = each(context, entry->d_name, entry->d_type == DT_DIR, err);
        }
    }
    (void)closedir(folder);
    return status;
}

static nw_status test_file_lock(const struct nw_host *host, int file, struct nw_error *err)
{
    if (test_fails(test_host_of(host), err, "lock")) {
        return NW_RETRY;
    }
    return flock(file, LOCK_EX | LOCK_NB) == 0 ? NW_OK
                                               : nw_fail(err, NW_FATAL, "the lock is taken");
}

UNUSED static struct test_host *test_host_create(void)
{
    struct test_host *t = calloc(1, sizeof *t);

    assert_non_null(t);
    t->random = UINT64_C(0x9e3779b97f4a7c15);
    t->host = (struct nw_host){
        .abi = NW_SINK_ABI,
        .size = sizeof t->host,
        .context = t,
        .log = test_log,
        .now_ns = test_now_ns,
        .wall_us = test_wall_us,
        .random = test_random_fill,
        .file_open = test_file_open,
        .file_close = test_file_close,
        .files_run = test_files_run,
        .file_truncate = test_file_truncate,
        .file_size = test_file_size,
        .file_rename = test_file_rename,
        .file_remove = test_file_remove,
        .folder_create = test_folder_create,
        .folder_sync = test_folder_sync,
        .folder_remove = test_folder_remove,
        .folder_list = test_folder_list,
        .file_lock = test_file_lock,
    };
    return t;
}

/* Folders and files. */

static void test_folder_delete(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char inner[1024];

    if (folder == NULL) {
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR) {
            test_folder_delete(inner);
        } else {
            (void)unlink(inner);
        }
    }
    (void)closedir(folder);
    (void)rmdir(path);
}

/* What a power cut may leave: files whose entry was not synced are gone or not, and of bytes that
 * were not synced some are there, some are zero. */
UNUSED static void test_power_cut(struct test_host *t)
{
    static const char zeros[65536];

    for (int i = 0; i < t->paths_count; i++) {
        struct test_path *path = &t->paths[i];
        struct stat st;
        uint64_t keep;
        int file;

        if (path->name[0] == '\0' || stat(path->name, &st) != 0) {
            continue;
        }
        if (!path->entry_synced && test_random(t) % 2 == 0) {
            if (path->folder) {
                test_folder_delete(path->name);
            } else {
                (void)unlink(path->name);
            }
            continue;
        }
        if (path->folder || (uint64_t)st.st_size <= path->synced) {
            continue;
        }
        keep = path->synced + test_random(t) % ((uint64_t)st.st_size - path->synced + 1);
        file = open(path->name, O_RDWR | O_CLOEXEC);
        assert_true(file >= 0);
        assert_int_equal(ftruncate(file, (off_t)keep), 0);
        if (test_random(t) % 2 == 0) {
            uint64_t at = path->synced + test_random(t) % (keep - path->synced + 1);
            uint64_t size = keep - at > sizeof zeros ? sizeof zeros : keep - at;

            assert_int_equal(pwrite(file, zeros, size, (off_t)at), (ssize_t)size);
        }
        assert_int_equal(close(file), 0);
    }
}

static int test_names_compare(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Sorted names in a folder. @return count */
static int test_names(const char *path, char *names[], int max)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (folder == NULL) {
        return 0;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_true(count < max);
            names[count] = strdup(entry->d_name);
            assert_non_null(names[count++]);
        }
    }
    (void)closedir(folder);
    qsort(names, (size_t)count, sizeof names[0], test_names_compare);
    return count;
}

UNUSED static char *test_read(const char *path, size_t *size)
{
    struct stat st;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes;

    assert_true(file >= 0);
    assert_int_equal(fstat(file, &st), 0);
    bytes = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(file), 0);
    if (size != NULL) {
        *size = (size_t)st.st_size;
    }
    return bytes;
}

struct test_text {
    char *bytes;
    size_t used;
};

UNUSED static void test_append(struct test_text *text, const char *bytes, size_t size)
{
    text->bytes = realloc(text->bytes, text->used + size + 1);
    assert_non_null(text->bytes);
    if (size > 0) {
        memcpy(text->bytes + text->used, bytes, size);
    }
    text->used += size;
    text->bytes[text->used] = '\0';
}

/* Appends a file, uncompressed when its name says that it is compressed. */
UNUSED static void test_append_file(struct test_text *text, const char *path)
{
    size_t length = strlen(path);
    enum nw_chunk_kind kind = strcmp(path + length - 3, ".gz") == 0    ? NW_CHUNK_GZIP
                              : strcmp(path + length - 4, ".zst") == 0 ? NW_CHUNK_ZSTD
                                                                       : NW_CHUNK_NONE;
    struct nw_chunk *chunk = nw_chunk_create(kind, 1);
    struct nw_out out = {0};
    size_t size;
    char *bytes = test_read(path, &size);

    assert_non_null(chunk);
    for (size_t at = 0; at < size;) {
        size_t taken = 0;

        assert_true(nw_chunk_read(chunk, bytes + at, size - at, &out, &taken));
        at += taken;
    }
    test_append(text, (const char *)out.bytes, out.used);
    nw_out_fini(&out);
    nw_chunk_destroy(chunk);
    free(bytes);
}

/* A folder for tests, in memory if possible. */
UNUSED static void test_folder_name(char *path, size_t size, const char *name)
{
    (void)snprintf(path, size, "%s/narwal-%s-%d",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name, (int)getpid());
}

/*
 * All data in a folder after recover: for every table its name, copy rows and changes, in order.
 * File boundaries do not show.
 */
UNUSED static char *test_content(const char *path)
{
    static const char *const kinds[] = {"schema-", ".copy.", ".changes."};
    struct test_text text = {0};
    char *folders[64];
    int folders_count = test_names(path, folders, 64);

    test_append(&text, "", 0);
    for (int i = 0; i < folders_count; i++) {
        char folder[512];
        char *names[512];
        int count;

        (void)snprintf(folder, sizeof folder, "%s/%s", path, folders[i]);
        count = strcmp(folders[i], "_journal") == 0 ? 0 : test_names(folder, names, 512);
        for (int kind = 0; kind < 3 && count > 0; kind++) {
            test_append(&text, folders[i], strlen(folders[i]));
            test_append(&text, kinds[kind], strlen(kinds[kind]));
            test_append(&text, "\n", 1);
            for (int j = 0; j < count; j++) {
                char name[1024];

                if (strstr(names[j], kinds[kind]) == NULL) {
                    continue;
                }
                (void)snprintf(name, sizeof name, "%s/%s", folder, names[j]);
                test_append_file(&text, name);
            }
        }
        for (int j = 0; j < count; j++) {
            free(names[j]);
        }
        free(folders[i]);
    }
    return text.bytes;
}

/* Plugins. */

UNUSED static const struct nw_sink_ops *test_plugin(const char *name)
{
    char path[1024];
    nw_sink_entry_fn entry = NULL;
    void *object;

    (void)snprintf(path, sizeof path, "%s/plugins/%s.so", NARWAL_BINARY_DIR, name);
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        fail_msg("%s", dlerror());
    }
    *(void **)&entry = dlsym(object, NW_SINK_ENTRY_NAME);
    assert_non_null(entry);
    return entry();
}

/* Defaults of the option table for the types that the tests need, then what is in `set`:
 * name, text, number triples are given by the caller through test_set(). */
UNUSED static struct nw_setting *test_set(const struct nw_sink_ops *ops,
                                          struct nw_setting *settings, const char *name,
                                          const char *text, int64_t number)
{
    for (uint32_t i = 0; i < ops->options_count; i++) {
        if (strcmp(ops->options[i].name, name) == 0) {
            settings[i] = (struct nw_setting){
                .set = true, .configured = true, .text = text, .number = number};
            return settings;
        }
    }
    fail_msg("no option %s", name);
    return settings;
}

/* Tables and batches. */

#define TEST_ROWS_MAX    64
#define TEST_COLUMNS_MAX 20
#define TEST_BYTES_MAX   16384

struct test_batch {
    struct nw_batch batch;
    struct nw_table *table;
    struct nw_array arrays[2][TEST_COLUMNS_MAX];
    uint8_t validity[2][TEST_COLUMNS_MAX][TEST_ROWS_MAX / 8];
    uint8_t values[2][TEST_COLUMNS_MAX][TEST_ROWS_MAX * 16];
    int32_t offsets[2][TEST_COLUMNS_MAX][TEST_ROWS_MAX + 1];
    uint8_t bytes[2][TEST_COLUMNS_MAX][TEST_BYTES_MAX];
    uint8_t present[2][TEST_ROWS_MAX / 8];
    uint8_t missing[2][TEST_ROWS_MAX * 4];
    uint8_t op[TEST_ROWS_MAX];
    uint64_t commit_lsn[TEST_ROWS_MAX], row_lsn[TEST_ROWS_MAX], seq[TEST_ROWS_MAX];
    uint32_t xid[TEST_ROWS_MAX];
    int64_t commit_ts[TEST_ROWS_MAX];
    int32_t origin_offsets[TEST_ROWS_MAX + 1];
    uint8_t origin_bytes[1024];
    struct nw_exception exceptions[16];
    uint8_t exception_bytes[1024];
    uint32_t exception_used;
};

static inline bool test_type_varies(uint8_t type)
{
    return type == NW_TYPE_TEXT || type == NW_TYPE_BINARY || type == NW_TYPE_JSON ||
           type == NW_TYPE_NUMERIC;
}

UNUSED static struct test_batch *test_batch_create(struct nw_table *table)
{
    struct test_batch *b = calloc(1, sizeof *b);

    assert_non_null(b);
    assert_true(table->columns_count <= TEST_COLUMNS_MAX);
    b->table = table;
    b->batch = (struct nw_batch){.size = sizeof b->batch,
                                 .table = table,
                                 .missing_stride = 4,
                                 .op = b->op,
                                 .commit_lsn = b->commit_lsn,
                                 .row_lsn = b->row_lsn,
                                 .seq = b->seq,
                                 .xid = b->xid,
                                 .commit_ts = b->commit_ts,
                                 .origin_offsets = b->origin_offsets,
                                 .origin_bytes = b->origin_bytes,
                                 .exceptions = b->exceptions,
                                 .exception_bytes = b->exception_bytes};
    for (int side = 0; side < 2; side++) {
        b->batch.image[side].present = b->present[side];
        b->batch.image[side].missing = b->missing[side];
        b->batch.image[side].columns = b->arrays[side];
        for (int i = 0; i < table->columns_count; i++) {
            bool varies = test_type_varies(table->columns[i].type);

            b->arrays[side][i].validity = b->validity[side][i];
            b->arrays[side][i].values = varies ? NULL : b->values[side][i];
            b->arrays[side][i].offsets = varies ? b->offsets[side][i] : NULL;
            b->arrays[side][i].bytes = varies ? b->bytes[side][i] : NULL;
        }
    }
    return b;
}

/* Adds a row without values. */
UNUSED static uint32_t test_row(struct test_batch *b, char op, uint64_t commit_lsn, uint64_t seq)
{
    uint32_t row = b->batch.rows_count++;

    assert_true(row < TEST_ROWS_MAX);
    b->op[row] = (uint8_t)op;
    b->commit_lsn[row] = commit_lsn;
    b->row_lsn[row] = commit_lsn - 8;
    b->seq[row] = seq;
    b->xid[row] = (uint32_t)(700 + commit_lsn % 100);
    b->commit_ts[row] = INT64_C(1700000000000000) + (int64_t)commit_lsn;
    b->origin_offsets[row + 1] = b->origin_offsets[row];
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < b->table->columns_count; i++) {
            b->offsets[side][i][row + 1] = b->offsets[side][i][row];
        }
    }
    return row;
}

/* Sets a value of the row added last; size is that of the fixed width, or of the text. */
UNUSED static void test_value(struct test_batch *b, int side, int column, const void *bytes,
                              size_t size)
{
    uint32_t row = b->batch.rows_count - 1;
    uint8_t type = b->table->columns[column].type;
    uint8_t bit = (uint8_t)(1u << (row & 7u));

    b->present[side][row / 8] |= bit;
    b->validity[side][column][row / 8] |= bit;
    if (test_type_varies(type)) {
        int32_t at = b->offsets[side][column][row];

        assert_true((size_t)at + size <= TEST_BYTES_MAX);
        memcpy(b->bytes[side][column] + at, bytes, size);
        b->offsets[side][column][row + 1] = at + (int32_t)size;
    } else if (type == NW_TYPE_BOOL) {
        if (*(const bool *)bytes) {
            b->values[side][column][row / 8] |= bit;
        }
    } else {
        memcpy(b->values[side][column] + row * size, bytes, size);
    }
}

UNUSED static void test_present(struct test_batch *b, int side)
{
    uint32_t row = b->batch.rows_count - 1;

    b->present[side][row / 8] |= (uint8_t)(1u << (row & 7u));
}

UNUSED static void test_missing(struct test_batch *b, int side, int column)
{
    uint32_t row = b->batch.rows_count - 1;

    test_present(b, side);
    b->missing[side][row * 4 + (uint32_t)column / 8] |= (uint8_t)(1u << (column & 7));
}

UNUSED static void test_exception(struct test_batch *b, int side, int column, const char *text)
{
    struct nw_exception *e = &b->exceptions[b->batch.exceptions_count++];

    test_present(b, side);
    *e = (struct nw_exception){.row = b->batch.rows_count - 1,
                               .column = (uint16_t)column,
                               .side = (uint8_t)side,
                               .offset = b->exception_used,
                               .size = (uint32_t)strlen(text)};
    memcpy(b->exception_bytes + b->exception_used, text, e->size);
    b->exception_used += e->size;
}

#endif
