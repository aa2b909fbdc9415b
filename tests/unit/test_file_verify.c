/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal files verify`: finds every kind of damage, names the file and the place, changes nothing.
 */
#include "file_story.h"

static char folder[128];

static struct story *begin(int64_t compress)
{
    struct story *s = malloc(sizeof *s);

    assert_non_null(s);
    story_fresh(folder);
    story_init(s, folder);
    (void)test_set(s->ops, s->settings, "compress", NULL, compress);
    (void)test_set(s->ops, s->settings, "journal_size", NULL, 1 << 20);
    (void)test_set(s->ops, s->settings, "rotate_size", NULL, 1 << 20);
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    assert_int_equal(story_run(s, 1, 6), NW_OK);
    assert_int_equal(story_verify(s), NW_OK);
    return s;
}

static void end(struct story *s)
{
    story_fini(s);
    free(s);
    story_fresh(folder);
}

/* The only file of orders whose name has `part`. */
static void file_of(const char *part, char path[512])
{
    char inner[256];
    char *names[64];
    int count;
    int found = 0;

    (void)snprintf(inner, sizeof inner, "%s/public.orders.16412", folder);
    count = test_names(inner, names, 64);
    for (int i = 0; i < count; i++) {
        if (strstr(names[i], part) != NULL) {
            (void)snprintf(path, 512, "%s/%s", inner, names[i]);
            found++;
        }
        free(names[i]);
    }
    assert_int_equal(found, 1);
}

static void bit_flip(const char *path, size_t at)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, (off_t)at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(file, &byte, 1, (off_t)at), 1);
    assert_int_equal(close(file), 0);
}

static void a_sound_folder_is_reported_table_by_table(void **state)
{
    struct story *s = begin(0);

    (void)state;
    assert_non_null(
        strstr(s->host->verify_lines,
               "public.orders_renamed: ok, 4 files, copy 1 with 70 rows, 118 changes\n"));
    assert_non_null(strstr(s->host->verify_lines, "_messages: ok, 1 file, copy 0 with 0 rows, 1"));
    assert_non_null(strstr(s->host->verify_lines, "3 tables, "));
    assert_non_null(strstr(s->host->verify_lines, "up to 0/6000"));
    end(s);
}

static void any_flipped_bit_is_found_between_two_commits(void **state)
{
    (void)state;
    for (int64_t compress = 0; compress <= 2; compress++) {
        struct story *s = begin(compress);
        struct stat st;
        char path[512];

        file_of(".changes.", path);
        assert_int_equal(stat(path, &st), 0);
        for (size_t at = 0; at < (size_t)st.st_size; at += 61) {
            bit_flip(path, at);
            if (story_verify(s) != NW_CORRUPT) {
                fail_msg("byte %zu of %s was changed and nobody noticed", at, path);
            }
            assert_non_null(strstr(s->host->verify_lines, "damage: "));
            assert_non_null(strstr(s->host->verify_lines, path));
            assert_non_null(strstr(s->host->verify_lines, "orders_renamed: DAMAGED"));
            bit_flip(path, at);
        }
        assert_int_equal(story_verify(s), NW_OK);
        end(s);
    }
}

static void a_flipped_bit_inside_a_text_is_placed_between_two_commits(void **state)
{
    struct story *s = begin(0);
    char path[512];
    char *bytes;
    char *at;

    (void)state;
    file_of(".changes.", path);
    bytes = test_read(path, NULL);
    at = strstr(bytes, "row 7 of epoch 3"); /* epochs 2 and 3 committed before and behind */
    assert_non_null(at);
    bit_flip(path, (size_t)(at - bytes));
    assert_int_equal(story_verify(s), NW_CORRUPT);
    {
        const char *line = strstr(s->host->verify_lines, " at byte ");
        size_t from;
        size_t to;

        assert_non_null(line);
        assert_int_equal(sscanf(line, " at byte %*u: bytes %zu to %zu are not those", &from, &to),
                         2);
        assert_true(from <= (size_t)(at - bytes) && (size_t)(at - bytes) < to);
        assert_memory_equal(bytes + from + 6, "\"I\",\"lsn\":\"0/2FF8\"", 17);
    }
    free(bytes);
    end(s);
}

static void a_file_that_is_short_or_gone_is_found(void **state)
{
    struct story *s = begin(0);
    struct stat st;
    char path[512];

    (void)state;
    file_of(".copy.", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 5), 0);
    assert_int_equal(story_verify(s), NW_CORRUPT);
    assert_non_null(strstr(s->host->verify_lines, "the file ends here"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(story_verify(s), NW_CORRUPT);
    assert_non_null(strstr(s->host->verify_lines, "cannot be opened"));
    file_of("schema-000001-", path);
    bit_flip(path, 20);
    assert_int_equal(story_verify(s), NW_CORRUPT);
    assert_non_null(strstr(s->err.text, "2 files are damaged"));
    assert_memory_equal(s->err.text, "NW2607", 6);
    end(s);
}

static void bytes_behind_the_committed_ones_do_not_count(void **state)
{
    struct story *s = begin(0);

    (void)state;
    assert_int_equal(story_epoch(s, 7), NW_OK);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void rows_that_come_twice_are_found(void **state)
{
    struct story *s = begin(0);

    (void)state;
    assert_int_equal(story_rows(s, &story_orders_later, 7, 0, 0, 3), NW_OK);
    assert_int_equal(story_rows(s, &story_orders_later, 7, 0, 2, 1), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 7, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 7), NW_OK);
    assert_int_equal(story_verify(s), NW_CORRUPT);
    assert_non_null(
        strstr(s->host->verify_lines, "out of order or there twice: commit_lsn 0/7000 seq 2"));
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_folder_is_reported_table_by_table),
        cmocka_unit_test(any_flipped_bit_is_found_between_two_commits),
        cmocka_unit_test(a_flipped_bit_inside_a_text_is_placed_between_two_commits),
        cmocka_unit_test(a_file_that_is_short_or_gone_is_found),
        cmocka_unit_test(bytes_behind_the_committed_ones_do_not_count),
        cmocka_unit_test(rows_that_come_twice_are_found),
    };

    test_folder_name(folder, sizeof folder, "file-verify");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
