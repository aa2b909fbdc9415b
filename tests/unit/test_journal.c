/* SPDX-License-Identifier: Apache-2.0 */
/* The commit journal of the file sink: torn ends, damage, its length, and who may write it. */
#include "file_story.h"

static char folder[128];

static struct story *begin(int epochs)
{
    struct story *s = malloc(sizeof *s);

    assert_non_null(s);
    story_fresh(folder);
    story_init(s, folder);
    (void)test_set(s->ops, s->settings, "journal_size", NULL, 1 << 20);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(story_run(s, 1, epochs), NW_OK);
    return s;
}

static void end(struct story *s)
{
    story_fini(s);
    free(s);
    story_fresh(folder);
}

/* The one journal file that there should be. */
static void journal_path(char path[512])
{
    char *names[16];
    char inner[256];
    int journals = 0;
    int count;

    (void)snprintf(inner, sizeof inner, "%s/_journal", folder);
    count = test_names(inner, names, 16);
    for (int i = 0; i < count; i++) {
        if (strncmp(names[i], "journal-", 8) == 0) {
            (void)snprintf(path, 512, "%s/%s", inner, names[i]);
            journals++;
        }
        free(names[i]);
    }
    assert_int_equal(journals, 1);
}

static void file_change(const char *path, size_t at, const char *bytes, size_t size)
{
    int file = open(path, O_RDWR | O_CLOEXEC);

    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, (off_t)at), (ssize_t)size);
    assert_int_equal(close(file), 0);
}

static size_t file_size(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void a_torn_last_record_was_never_committed(void **state)
{
    struct story *s = begin(3);
    char path[512];
    size_t whole;
    size_t torn;

    (void)state;
    journal_path(path);
    whole = file_size(path);
    assert_int_equal(story_run(s, 4, 4), NW_OK);
    torn = file_size(path);
    end(s);
    /* Cut anywhere inside the record of epoch 4, in steps. */
    for (size_t size = whole; size < torn; size += 37) {
        s = begin(4);
        story_close(s);
        journal_path(path);
        assert_int_equal(truncate(path, (off_t)size), 0);
        assert_int_equal(story_open(s), NW_OK);
        assert_int_equal(story_recover(s), NW_OK);
        assert_int_equal(s->recovered, 3);
        assert_int_equal(story_verify(s), NW_OK);
        end(s);
    }
    s = begin(4);
    story_close(s);
    journal_path(path);
    file_change(path, torn - 20, "\0\0\0\0\0\0\0\0", 8); /* a block that never arrived */
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(s->recovered, 3);
    assert_non_null(strstr(s->host->last_log, "never acknowledged"));
    end(s);
}

static void damage_before_the_last_record_is_refused(void **state)
{
    struct story *s = begin(5);
    char path[512];
    char *bytes;
    size_t second;

    (void)state;
    story_close(s);
    journal_path(path);
    bytes = test_read(path, NULL);
    second = (size_t)(strchr(bytes, '\n') - bytes) + 1;
    free(bytes);
    file_change(path, second + 30, "!", 1);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_CORRUPT);
    assert_non_null(strstr(s->err.text, "is damaged at byte"));
    assert_int_equal(story_verify(s), NW_CORRUPT);
    end(s);
}

static void a_journal_without_its_first_record_is_refused(void **state)
{
    struct story *s = begin(2);
    char path[512];

    (void)state;
    story_close(s);
    journal_path(path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_CORRUPT);
    end(s);
}

static void data_without_a_journal_is_refused(void **state)
{
    struct story *s = begin(2);
    char path[512];

    (void)state;
    story_close(s);
    journal_path(path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_FATAL);
    assert_non_null(strstr(s->err.text, "has no journal of narwal's"));
    assert_memory_equal(s->err.text, "NW2601", 6);
    assert_int_equal(story_verify(s), NW_FATAL);
    end(s);
}

static void a_newer_format_is_left_alone(void **state)
{
    static const char json[] = "{\"n\":1,\"full\":true,\"format\":3}";
    struct story *s = begin(2);
    char line[128];
    char path[512];

    (void)state;
    story_close(s);
    journal_path(path);
    assert_int_equal(truncate(path, 0), 0);
    file_change(path, 0, line,
                (size_t)snprintf(line, sizeof line, "%08x %s\n",
                                 nw_chunk_crc(0, json, sizeof json - 1), json));
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_FATAL);
    assert_non_null(strstr(s->err.text, "the folder has format 3"));
    assert_memory_equal(s->err.text, "NW2605", 6);
    end(s);
}

/* Somebody who can write a right checksum cannot make us leave the folder. */
static void paths_out_of_the_folder_are_refused(void **state)
{
    static const char *const paths[] = {"../x/y", "/etc/passwd", "a/../b", "a/.b",
                                        "a",      "a/",          "a/b/c",  "a\\u0000/b"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct story *s = begin(1);
        char json[512];
        char line[600];
        char path[512];
        int size = snprintf(json, sizeof json,
                            "{\"n\":1,\"full\":true,\"format\":1,\"fencing\":1,\"epoch\":1,"
                            "\"tables\":[{\"oid\":1,\"folder\":\"a\"}],\"files\":[{\"file\":1,"
                            "\"path\":\"%s\",\"oid\":1,\"kind\":\"copy\",\"size\":0,\"lines\":0,"
                            "\"crc\":\"00000000\"}]}",
                            paths[i]);

        story_close(s);
        journal_path(path);
        assert_int_equal(truncate(path, 0), 0);
        file_change(path, 0, line,
                    (size_t)snprintf(line, sizeof line, "%08x %s\n",
                                     nw_chunk_crc(0, json, (size_t)size), json));
        assert_int_equal(story_open(s), NW_OK);
        assert_int_equal(story_recover(s), NW_CORRUPT);
        end(s);
    }
}

static void a_long_journal_begins_anew_with_the_same_state(void **state)
{
    struct story *s = begin(0);
    char path[512];
    char *before;
    char *after;

    (void)state;
    story_close(s);
    (void)test_set(s->ops, s->settings, "journal_size", NULL, 4096);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(story_run(s, 1, 9), NW_OK);
    for (int epoch = 10; epoch < 60; epoch++) {
        assert_int_equal(story_epoch(s, 5), NW_OK);
        assert_int_equal(story_rows(s, &story_orders_later, epoch, 0, 0, 1), NW_OK);
        assert_int_equal(s->ops->seal(s->self, 0, (uint64_t)epoch, &s->err), NW_OK);
        assert_int_equal(story_commit(s, epoch), NW_OK);
        journal_path(path); /* there is one file at any time */
        assert_true(file_size(path) < 8192);
    }
    before = test_content(folder);
    assert_int_equal(story_verify(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(s->recovered, 59);
    after = test_content(folder);
    assert_string_equal(before, after);
    free(before);
    free(after);
    end(s);
}

static void the_position_comes_back_byte_for_byte(void **state)
{
    struct story *s = begin(1);
    uint8_t bytes[NW_POSITION_SIZE_MAX];
    struct nw_position positions[2] = {{.bytes = bytes, .size = sizeof bytes, .lsn = UINT64_MAX},
                                       {.bytes = bytes, .size = 0, .lsn = 1}};
    struct nw_copy_state copy = {.relation_oid = UINT32_MAX,
                                 .generation = UINT32_MAX,
                                 .complete = true,
                                 .bytes = bytes,
                                 .size = sizeof bytes};
    struct nw_commit commit = {.size = sizeof commit,
                               .epoch = 2,
                               .positions = positions,
                               .positions_count = 2,
                               .copies = &copy,
                               .copies_count = 1};
    struct nw_recovery recovery = {.size = sizeof recovery};
    enum nw_outcome outcome;
    uint64_t fencing;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(s->ops->seal(s->self, 0, 2, &s->err), NW_OK);
    assert_int_equal(s->ops->commit(s->self, &commit, &outcome, &s->err), NW_OK);
    assert_int_equal(s->ops->recover(s->self, &recovery, &s->err), NW_OK);
    fencing = recovery.fencing;
    assert_int_equal(s->ops->recover(s->self, &recovery, &s->err), NW_OK);
    assert_int_equal(recovery.fencing, fencing + 1);
    assert_int_equal(recovery.positions_count, 2);
    assert_int_equal(recovery.positions[0].size, sizeof bytes);
    assert_memory_equal(recovery.positions[0].bytes, bytes, sizeof bytes);
    assert_true(recovery.positions[0].lsn == UINT64_MAX);
    assert_int_equal(recovery.positions[1].size, 0);
    assert_int_equal(recovery.copies_count, 3);
    assert_true(recovery.copies[2].relation_oid == UINT32_MAX);
    assert_memory_equal(recovery.copies[2].bytes, bytes, sizeof bytes);
    assert_true(recovery.copies[2].complete);
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_last_record_was_never_committed),
        cmocka_unit_test(damage_before_the_last_record_is_refused),
        cmocka_unit_test(a_journal_without_its_first_record_is_refused),
        cmocka_unit_test(data_without_a_journal_is_refused),
        cmocka_unit_test(a_newer_format_is_left_alone),
        cmocka_unit_test(paths_out_of_the_folder_are_refused),
        cmocka_unit_test(a_long_journal_begins_anew_with_the_same_state),
        cmocka_unit_test(the_position_comes_back_byte_for_byte),
    };

    test_folder_name(folder, sizeof folder, "journal");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
