/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several workers of the file sink on threads of their own, and commits beside their writing. Its
 * host has no lock, so that ThreadSanitizer sees the sink's own order only.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "file_story.h"

#define WORKERS 3
#define EPOCHS  60

static char folder[128];

struct worker {
    struct story *story;
    uint32_t index;
    pthread_t thread;
    _Atomic int sealed;
    struct nw_error err;
};

static struct worker workers[WORKERS];
static _Atomic int committed;

static nw_status plain_open(const struct nw_host *host, const char *path, uint32_t flags, int *file,
                            struct nw_error *err)
{
    (void)host;
    *file = open(path,
                 ((flags & NW_FILE_READ_ONLY) != 0 ? O_RDONLY : O_RDWR) |
                     ((flags & NW_FILE_CREATE) != 0 ? O_CREAT : 0) | O_CLOEXEC,
                 0640);
    return *file >= 0 ? NW_OK : nw_fail(err, NW_RETRY, "%s: errno %d", path, errno);
}

static nw_status plain_run(const struct nw_host *host, struct nw_file_op *ops, size_t ops_count,
                           struct nw_error *err)
{
    (void)host;
    for (size_t i = 0; i < ops_count; i++) {
        struct nw_file_op *op = &ops[i];

        if (op->verb == NW_FILE_SYNC) {
            op->result = 0;
        } else if (op->verb == NW_FILE_READ) {
            op->result = (int32_t)pread(op->file, op->bytes, op->size, (off_t)op->offset);
        } else {
            op->result = (int32_t)pwrite(op->file, op->bytes, op->size, (off_t)op->offset);
        }
        if (op->result < 0 || (op->verb == NW_FILE_WRITE && (uint32_t)op->result != op->size)) {
            return nw_fail(err, NW_RETRY, "errno %d", errno);
        }
    }
    return NW_OK;
}

static nw_status plain_truncate(const struct nw_host *host, int file, uint64_t size,
                                struct nw_error *err)
{
    (void)host;
    return ftruncate(file, (off_t)size) == 0 ? NW_OK : nw_fail(err, NW_RETRY, "errno %d", errno);
}

static nw_status plain_folder_create(const struct nw_host *host, const char *path,
                                     struct nw_error *err)
{
    (void)host;
    return mkdir(path, 0750) == 0 || errno == EEXIST ? NW_OK
                                                     : nw_fail(err, NW_RETRY, "errno %d", errno);
}

static nw_status plain_sync(const struct nw_host *host, const char *path, struct nw_error *err)
{
    (void)host;
    (void)path;
    (void)err;
    return NW_OK;
}

static nw_status plain_rename(const struct nw_host *host, const char *from, const char *to,
                              struct nw_error *err)
{
    (void)host;
    return rename(from, to) == 0 ? NW_OK : nw_fail(err, NW_RETRY, "errno %d", errno);
}

static nw_status plain_remove(const struct nw_host *host, const char *path, struct nw_error *err)
{
    (void)host;
    return unlink(path) == 0 ? NW_OK : nw_fail(err, NW_RETRY, "errno %d", errno);
}

static nw_status epoch_write(struct worker *w, int epoch)
{
    const struct nw_sink_ops *ops = w->story->ops;
    struct nw_table tables[2] = {story_orders, story_orders};
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < 2 && status == NW_OK; i++) {
        static struct nw_table shared[WORKERS][2];
        struct nw_table *table = &shared[w->index][i];
        struct test_batch *b;

        if (epoch == 1) {
            *table = tables[i];
            table->id = w->index * 2 + i;
            table->relation_oid = 30000 + table->id;
        }
        b = test_batch_create(table);
        for (int32_t row = 0; row < 30; row++) {
            (void)test_row(b, NW_OP_INSERT, (uint64_t)epoch * 0x1000, (uint64_t)row);
            test_value(b, NW_AFTER, 0, &row, sizeof row);
            test_value(b, NW_AFTER, 1, "some text", 9);
        }
        status = ops->write(w->story->self, w->index, &b->batch, &w->err);
        free(b);
    }
    return status == NW_OK ? ops->seal(w->story->self, w->index, (uint64_t)epoch, &w->err) : status;
}

static void *worker_run(void *context)
{
    struct worker *w = context;

    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        while (epoch - atomic_load_explicit(&committed, memory_order_relaxed) > 2) {
            (void)usleep(50);
        }
        if (epoch_write(w, epoch) != NW_OK) {
            atomic_store_explicit(&w->sealed, -1, memory_order_relaxed);
            return NULL;
        }
        /* As in narwal, the sealed epoch is handed over: release here, acquire at commit. */
        atomic_store_explicit(&w->sealed, epoch, memory_order_release);
    }
    return NULL;
}

static void workers_write_while_epochs_are_committed(void **state)
{
    struct story s;

    (void)state;
    story_fresh(folder);
    story_init(&s, folder);
    s.host->host.file_open = plain_open;
    s.host->host.files_run = plain_run;
    s.host->host.file_truncate = plain_truncate;
    s.host->host.folder_create = plain_folder_create;
    s.host->host.folder_sync = plain_sync;
    s.host->host.file_rename = plain_rename;
    s.host->host.file_remove = plain_remove;
    assert_int_equal(s.ops->open(&s.host->host, &s.config, WORKERS, &s.self, &s.err), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i].story = &s;
        workers[i].index = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        struct nw_position position = {
            .bytes = (const uint8_t *)"p", .size = 1, .lsn = (uint64_t)epoch * 0x1000};
        struct nw_commit commit = {.size = sizeof commit,
                                   .epoch = (uint64_t)epoch,
                                   .positions = &position,
                                   .positions_count = 1};
        enum nw_outcome outcome;

        for (uint32_t i = 0; i < WORKERS; i++) {
            int sealed;

            while ((sealed = atomic_load_explicit(&workers[i].sealed, memory_order_acquire)) <
                   epoch) {
                assert_int_not_equal(sealed, -1);
                (void)usleep(50);
            }
        }
        assert_int_equal(s.ops->commit(s.self, &commit, &outcome, &s.err), NW_OK);
        atomic_store_explicit(&committed, epoch, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    s.host->host.file_open = test_file_open;
    s.host->host.files_run = test_files_run;
    assert_int_equal(story_verify(&s), NW_OK);
    assert_non_null(strstr(s.host->verify_lines, "6 tables, "));
    /* 6 tables, 60 epochs, 30 rows */
    assert_non_null(strstr(s.host->verify_lines, " 10800 lines, up to 0/3C000 "));
    s.host->host.file_open = plain_open;
    s.host->host.files_run = plain_run;
    story_fini(&s);
    story_fresh(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_write_while_epochs_are_committed),
    };

    test_folder_name(folder, sizeof folder, "file-workers");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
