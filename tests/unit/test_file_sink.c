/* SPDX-License-Identifier: Apache-2.0 */
/* The file sink through its plugin table: what it writes, replaces, keeps and refuses. */
#include "file_story.h"

static char folder[128];

static struct story *begin(void)
{
    struct story *s = malloc(sizeof *s);

    assert_non_null(s);
    story_fresh(folder);
    story_init(s, folder);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(s->recovered, 0);
    return s;
}

static void end(struct story *s)
{
    story_fini(s);
    free(s);
    story_fresh(folder);
}

static int count_lines(const char *content, const char *part)
{
    int count = 0;

    for (const char *at = content; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

static int count_files(const char *table, const char *part)
{
    char *names[64];
    char path[512];
    int found = 0;
    int count;

    (void)snprintf(path, sizeof path, "%s/%s", folder, table);
    count = test_names(path, names, 64);
    for (int i = 0; i < count; i++) {
        found += strstr(names[i], part) != NULL ? 1 : 0;
        free(names[i]);
    }
    return found;
}

static void a_folder_holds_what_was_committed_and_nothing_else(void **state)
{
    struct story *s = begin();
    char *content;

    (void)state;
    assert_int_equal(story_run(s, 1, 3), NW_OK);
    assert_int_equal(story_epoch(s, 4), NW_OK); /* written, sealed, not committed */
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(s->recovered, 3);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"copy\":1"), 70);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/3000\""), 70);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/4000\""), 0);
    free(content);
    end(s);
}

static void a_folder_that_is_emptied_under_a_running_narwal_is_not_begun_anew(void **state)
{
    struct story *s = begin();

    (void)state;
    assert_int_equal(story_run(s, 1, 3), NW_OK);
    test_folder_delete(folder);
    assert_int_equal(story_recover(s), NW_FATAL);
    assert_non_null(strstr(s->err.text, "was removed while narwal ran"));
    assert_memory_equal(s->err.text, "NW2405", 6);
    end(s);
}

static void names_of_folders_are_safe_and_have_the_oid(void **state)
{
    struct story *s = begin();
    struct stat st;
    char path[512];

    (void)state;
    assert_int_equal(story_run(s, 1, 9), NW_OK);
    (void)snprintf(path, sizeof path, "%s/public.orders.16412", folder);
    assert_int_equal(stat(path, &st), 0);
    (void)snprintf(path, sizeof path, "%s/%%2ESch%%2Fema.Or%%2Ed%%C3%%A9rs%%0A.16500", folder);
    assert_int_equal(stat(path, &st), 0);
    end(s);
}

static void a_second_copy_takes_the_place_of_the_first_when_it_commits(void **state)
{
    struct story *s = begin();
    char *content;

    (void)state;
    assert_int_equal(story_run(s, 1, 7), NW_OK);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"copy\":1"), 70);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/3000\",\"xid\":788"), 70);
    free(content);
    assert_int_equal(story_run(s, 8, 8), NW_OK);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"copy\":1"), 0);
    assert_int_equal(count_lines(content, "\"copy\":2"), 40);
    /* Of orders only what came after copy_begin is left; the other table has all. */
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/3000\""), 10);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/7000\""), 5);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/8000\""), 5);
    free(content);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void an_unfinished_copy_that_is_discarded_goes_with_the_next_commit(void **state)
{
    struct story *s = begin();
    struct nw_recovery recovery = {.size = sizeof recovery};
    char *content;

    (void)state;
    assert_int_equal(story_run(s, 1, 7), NW_OK);
    assert_int_equal(s->ops->recover(s->self, &recovery, &s->err), NW_OK);
    assert_int_equal(recovery.copies_count, 2);
    assert_int_equal(recovery.copies[0].generation, 2);
    assert_false(recovery.copies[0].complete);
    assert_int_equal(recovery.copies[0].size, 1);
    assert_int_equal(recovery.copies[0].bytes[0], '7');
    assert_true(recovery.copies[1].complete);
    assert_int_equal(s->ops->copy_resolve(s->self, 16412, 2, NW_COPY_DISCARD, &s->err), NW_OK);
    assert_int_equal(story_run(s, 9, 9), NW_OK);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"copy\":1"), 70);
    assert_int_equal(count_lines(content, "\"copy\":2"), 0);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/7000\""), 5); /* changes count */
    free(content);
    assert_int_equal(s->ops->recover(s->self, &recovery, &s->err), NW_OK);
    assert_int_equal(recovery.copies_count, 2);
    assert_int_equal(recovery.copies[0].generation,
                     2); /* so that the next one has a higher number */
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void a_newer_copy_replaces_one_that_was_never_finished(void **state)
{
    struct story *s = begin();
    char *content;

    (void)state;
    assert_int_equal(story_run(s, 1, 7), NW_OK);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &story_orders_later, 3, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &story_orders_later, 8, 3, 0, 3), NW_OK);
    assert_int_equal(s->ops->copy_end(s->self, 0, &story_orders_later, 3, &s->err), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 8, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 8), NW_OK);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"copy\":2"), 0);
    assert_int_equal(count_lines(content, "\"copy\":3"), 3);
    free(content);
    end(s);
}

static void rows_of_a_copy_that_did_not_begin_are_refused(void **state)
{
    struct story *s = begin();

    (void)state;
    assert_int_equal(story_rows(s, &story_orders, 1, 1, 0, 1), NW_FATAL);
    assert_non_null(strstr(s->err.text, "generation 1"));
    assert_memory_equal(s->err.text, "NW2903", 6);
    assert_int_equal(s->ops->copy_end(s->self, 0, &story_orders, 1, &s->err), NW_FATAL);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &story_orders, 2, &s->err), NW_OK);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &story_orders, 1, &s->err), NW_FATAL);
    end(s);
}

static void a_schema_version_has_one_file_however_often_it_comes(void **state)
{
    struct story *s = begin();

    (void)state;
    assert_int_equal(story_run(s, 1, 4), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(story_run(s, 5, 7), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(story_run(s, 8, 9), NW_OK);
    assert_int_equal(count_files("public.orders.16412", "schema-"), 2);
    end(s);
}

static void one_row(struct story *s, int epoch)
{
    assert_int_equal(story_rows(s, &story_orders, epoch, 0, 0, 1), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, (uint64_t)epoch, &s->err), NW_OK);
    assert_int_equal(story_commit(s, epoch), NW_OK);
}

static void files_rotate_by_size_and_by_time_at_a_commit(void **state)
{
    struct story *s = begin();

    (void)state;
    assert_int_equal(story_run(s, 1, 3), NW_OK); /* epoch 3 has 60 rows, more than 4096 bytes */
    assert_int_equal(count_files("public.orders.16412", ".changes."), 1);
    one_row(s, 4);
    assert_int_equal(count_files("public.orders.16412", ".changes."), 2);
    one_row(s, 5);
    assert_int_equal(count_files("public.orders.16412", ".changes."), 2);
    s->host->clock_ns += INT64_C(3600000000000);
    one_row(s, 6);
    one_row(s, 7);
    assert_int_equal(count_files("public.orders.16412", ".changes."), 3);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void the_next_epochs_may_be_written_while_one_is_not_yet_committed(void **state)
{
    struct story *s = begin();
    char *content;

    (void)state;
    assert_int_equal(story_run(s, 1, 2), NW_OK);
    assert_int_equal(story_epoch(s, 3), NW_OK);
    assert_int_equal(story_epoch(s, 4), NW_OK);
    assert_int_equal(story_commit(s, 3), NW_OK);
    assert_int_equal(story_verify(s), NW_OK);
    assert_int_equal(story_epoch(s, 5), NW_OK);
    assert_int_equal(story_epoch(s, 6), NW_OK);
    assert_int_equal(story_commit(s, 6), NW_OK); /* three epochs in one */
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(s->recovered, 6);
    content = test_content(folder);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/4000\""), 42);
    assert_int_equal(count_lines(content, "\"commit_lsn\":\"0/6000\""), 12);
    free(content);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void a_second_process_is_kept_out_by_the_lock(void **state)
{
    struct story *s = begin();
    struct story other;

    (void)state;
    story_init(&other, folder);
    assert_int_equal(story_open(&other), NW_OK);
    assert_int_equal(story_recover(&other), NW_FATAL);
    assert_non_null(strstr(other.err.text, "another narwal is writing"));
    assert_memory_equal(other.err.text, "NW2409", 6);
    assert_int_equal(story_run(s, 1, 1), NW_OK);
    story_fini(&other);
    end(s);
}

static nw_status lock_that_does_not_work(const struct nw_host *host, int file, struct nw_error *err)
{
    (void)host;
    (void)file;
    (void)err;
    return NW_OK;
}

static void a_former_process_cannot_commit_any_more(void **state)
{
    struct story *s = begin();
    struct story other;
    char *before;
    char *after;

    (void)state;
    assert_int_equal(story_run(s, 1, 2), NW_OK);
    assert_int_equal(story_epoch(s, 3), NW_OK);
    story_init(&other, folder);
    other.host->host.file_lock = lock_that_does_not_work;
    assert_int_equal(story_open(&other), NW_OK);
    assert_int_equal(story_recover(&other), NW_OK);
    assert_int_equal(other.recovered, 2);
    assert_int_equal(story_run(&other, 3, 3), NW_OK);
    before = test_content(folder);

    assert_int_equal(story_commit(s, 3), NW_FATAL);
    assert_non_null(strstr(s->err.text, "another narwal has taken over"));
    assert_memory_equal(s->err.text, "NW2406", 6);
    assert_int_equal(story_verify(&other), NW_OK);
    after = test_content(folder);
    assert_string_equal(before, after);
    assert_int_equal(story_run(&other, 4, 9), NW_OK);
    assert_int_equal(story_verify(&other), NW_OK);
    free(before);
    free(after);
    story_fini(&other);
    end(s);
}

static void a_folder_of_somebody_else_is_refused_and_left_alone(void **state)
{
    struct story s;
    char path[512];
    char *names[8] = {NULL};
    int file;

    (void)state;
    story_fresh(folder);
    assert_int_equal(mkdir(folder, 0750), 0);
    (void)snprintf(path, sizeof path, "%s/letter.txt", folder);
    file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    story_init(&s, folder);
    assert_int_equal(story_open(&s), NW_OK);
    assert_int_equal(story_recover(&s), NW_FATAL);
    assert_non_null(strstr(s.err.text, "is not empty (it has letter.txt)"));
    assert_memory_equal(s.err.text, "NW2601", 6);
    assert_int_equal(test_names(folder, names, 8), 1);
    free(names[0]);
    story_fini(&s);
    story_fresh(folder);
}

static void committed_bytes_that_are_missing_stop_recovery(void **state)
{
    struct story *s = begin();
    char path[512];

    (void)state;
    assert_int_equal(story_run(s, 1, 3), NW_OK);
    story_close(s);
    (void)snprintf(path, sizeof path, "%s/public.orders.16412/00000001-00000003-f1.copy.jsonl",
                   folder);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_CORRUPT);
    assert_non_null(strstr(s->err.text, "committed rows are missing"));
    assert_memory_equal(s->err.text, "NW2603", 6);
    end(s);
}

static void a_level_that_a_compression_does_not_have_is_refused(void **state)
{
    struct story s;

    (void)state;
    story_init(&s, folder);
    (void)test_set(s.ops, s.settings, "compress", "gzip", 1);
    (void)test_set(s.ops, s.settings, "level", "19", 19);
    assert_int_equal(story_open(&s), NW_FATAL);
    story_fini(&s);
}

static void idle_files_are_closed_when_there_are_too_many(void **state)
{
    struct story *s = begin();
    struct nw_table tables[40];
    char names[40][16];

    (void)state;
    story_close(s);
    story_fresh(folder);
    (void)test_set(s->ops, s->settings, "open_files", NULL, 16);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    for (int i = 0; i < 40; i++) {
        tables[i] = story_odd;
        tables[i].id = (uint32_t)i;
        tables[i].relation_oid = 20000 + (uint32_t)i;
        (void)snprintf(names[i], sizeof names[i], "t%d", i);
        tables[i].name = names[i];
        assert_int_equal(story_rows(s, &tables[i], i + 1, 0, 0, 2), NW_OK);
        assert_int_equal(s->ops->seal(s->self, 0, (uint64_t)i + 1, &s->err), NW_OK);
        assert_int_equal(story_commit(s, i + 1), NW_OK);
    }
    {
        int open_count = 0;

        for (int fd = 3; fd < 256; fd++) {
            open_count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
        }
        assert_true(open_count < 24);
    }
    assert_int_equal(story_rows(s, &tables[0], 41, 0, 0, 2), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 41, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 41), NW_OK);
    assert_int_equal(story_verify(s), NW_OK);
    assert_non_null(strstr(s->host->verify_lines, "40 tables, "));
    end(s);
}

/* Another program, written after the format's description, reads the same. */
static void reader_run(const char *arguments, char *output, size_t size)
{
    char command[1024];
    size_t used;
    FILE *pipe;

    (void)snprintf(command, sizeof command,
                   "python3 %s/tests/integration/files_reader.py %s %s 2>&1", NARWAL_SOURCE_DIR,
                   folder, arguments);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    used = fread(output, 1, size - 1, pipe);
    output[used] = '\0';
    if (pclose(pipe) != 0) {
        fail_msg("%s", output);
    }
}

static void another_program_rebuilds_the_tables_at_any_position(void **state)
{
    char text[8192];

    (void)state;
    for (int64_t compress = 0; compress <= 2; compress++) {
        struct story *s = begin();

        story_close(s);
        (void)test_set(s->ops, s->settings, "compress", NULL, compress);
        assert_int_equal(story_open(s), NW_OK);
        assert_int_equal(story_recover(s), NW_OK);
        assert_int_equal(story_run(s, 1, 6), NW_OK);
        reader_run("--verify", text, sizeof text);
        assert_string_equal(text, "ok\n");
        reader_run("", text, sizeof text);
        assert_string_equal(
            text, "public.orders_renamed: copy 1 with 70 rows, 118 changes, 11 rows now\n"
                  ".Sch/ema.Or.d\xc3\xa9rs\n: copy 1 with 0 rows, 10 changes, 10 rows now\n");
        /* 70 copied, 5 in epoch 2, 60 in epoch 3; the truncation came in epoch 4. */
        reader_run("--rows public.orders_renamed --until 0/3000", text, sizeof text);
        assert_int_equal(count_lines(text, "\n"), 135);
        reader_run("--rows public.orders_renamed --until 0/4000", text, sizeof text);
        assert_int_equal(count_lines(text, "\n"), 0);
        reader_run("--rows public.orders_renamed", text, sizeof text);
        assert_int_equal(count_lines(text, "\"late\": true"), 6);
        assert_int_equal(count_lines(text, "\"late\": false"), 5);
        end(s);
    }
}

static void null_counts_every_operation(void **state)
{
    struct test_host *t = test_host_create();
    const struct nw_sink_ops *ops = test_plugin("null");
    struct nw_config config = {.name = "nothing"};
    struct nw_recovery recovery = {.size = sizeof recovery, .positions_count = 7};
    struct test_batch *b = test_batch_create(&story_orders);
    struct nw_error err = {0};
    void *self = NULL;
    int32_t id = 0x01020304;

    (void)state;
    assert_int_equal(ops->open(&t->host, &config, 1, &self, &err), NW_OK);
    assert_int_equal(ops->recover(self, &recovery, &err), NW_OK);
    assert_int_equal(recovery.positions_count, 0);
    (void)test_row(b, NW_OP_INSERT, 0x1000, 0);
    test_value(b, NW_AFTER, 0, &id, sizeof id);
    test_value(b, NW_AFTER, 1, "abc", 3);
    (void)test_row(b, NW_OP_DELETE, 0x1000, 1);
    test_exception(b, NW_BEFORE, 1, "x");
    assert_int_equal(ops->write(self, 0, &b->batch, &err), NW_OK);
    ops->close(self);
    assert_non_null(strstr(t->last_log, "nothing: 0 copied, 1 inserted, 0 updated, 1 deleted"));
    assert_non_null(strstr(t->last_log, "3 values"));
    free(b);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_holds_what_was_committed_and_nothing_else),
        cmocka_unit_test(a_folder_that_is_emptied_under_a_running_narwal_is_not_begun_anew),
        cmocka_unit_test(names_of_folders_are_safe_and_have_the_oid),
        cmocka_unit_test(a_second_copy_takes_the_place_of_the_first_when_it_commits),
        cmocka_unit_test(an_unfinished_copy_that_is_discarded_goes_with_the_next_commit),
        cmocka_unit_test(a_newer_copy_replaces_one_that_was_never_finished),
        cmocka_unit_test(rows_of_a_copy_that_did_not_begin_are_refused),
        cmocka_unit_test(a_schema_version_has_one_file_however_often_it_comes),
        cmocka_unit_test(files_rotate_by_size_and_by_time_at_a_commit),
        cmocka_unit_test(the_next_epochs_may_be_written_while_one_is_not_yet_committed),
        cmocka_unit_test(a_second_process_is_kept_out_by_the_lock),
        cmocka_unit_test(a_former_process_cannot_commit_any_more),
        cmocka_unit_test(a_folder_of_somebody_else_is_refused_and_left_alone),
        cmocka_unit_test(committed_bytes_that_are_missing_stop_recovery),
        cmocka_unit_test(a_level_that_a_compression_does_not_have_is_refused),
        cmocka_unit_test(idle_files_are_closed_when_there_are_too_many),
        cmocka_unit_test(another_program_rebuilds_the_tables_at_any_position),
        cmocka_unit_test(null_counts_every_operation),
    };

    test_folder_name(folder, sizeof folder, "file-sink");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
