/* SPDX-License-Identifier: Apache-2.0 */
/* dead-letters.db: what is written is read, once, within its quota; a former one's file too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/letters.h"

static char folder[64];
static struct nw_error err;
static struct nw_letters_file *file;

static const struct nw_table TABLES[2] = {
    {.schema_name = "public", .name = "orders", .relation_oid = 16412},
    {.schema_name = "public", .name = "naïve \"name\"", .relation_oid = 16413},
};

static char reason[] = "NW2403 no such colour";

static struct nw_letter letter_of(uint32_t table, uint64_t lsn, uint64_t seq, char *row)
{
    return (struct nw_letter){
        .key = {.relation_oid = TABLES[table].relation_oid, .commit_lsn = lsn, .seq = seq},
        .table = &TABLES[table],
        .op = NW_OP_UPDATE,
        .commit_lsn = lsn,
        .row_lsn = lsn - 1,
        .xid = 742,
        .commit_ts = 1700000000000000,
        .wall_us = 1700000001000000,
        .reason = reason,
        .row = row,
        .row_size = (uint32_t)strlen(row),
    };
}

static struct nw_letter copied_of(uint32_t generation, uint64_t hash, char *row)
{
    struct nw_letter letter = letter_of(0, 900, hash, row);

    letter.key = (struct nw_letter_key){TABLES[0].relation_oid, generation, 0, hash};
    return letter;
}

static void open_for(const char *sink, uint64_t source, uint64_t quota)
{
    const struct nw_letters_options options = {.state_folder = folder,
                                               .sink = sink,
                                               .system_identifier = source,
                                               .quota_bytes = quota,
                                               .refusals_max = 10};

    nw_letters_close(file);
    assert_int_equal(nw_letters_open(&options, &file, &err), NW_OK);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/letters-XXXXXX");
    assert_non_null(mkdtemp(folder));
    open_for("shop", UINT64_MAX - 5, 1 << 20);
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    nw_letters_close(file);
    file = NULL;
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static nw_status put(const struct nw_letter *letters, uint32_t count)
{
    const struct nw_letter_store *store = nw_letters_store(file);
    const struct nw_letter_write what = {.letters = letters, .letters_count = count};

    return store->write(store->context, &what, &err);
}

static nw_status one(uint32_t table, uint64_t lsn, uint64_t seq, char *row)
{
    const struct nw_letter letter = letter_of(table, lsn, seq, row);

    return put(&letter, 1);
}

static uint64_t counted(void)
{
    struct nw_letters_tally tally;

    assert_int_equal(nw_letters_tally(file, &tally, &err), NW_OK);
    return tally.letters;
}

static struct nw_letters_line seen[16];
static char rows[16][64];
static uint32_t seen_count;

static nw_status see(void *context, const struct nw_letters_line *line, struct nw_error *why)
{
    (void)context;
    (void)why;
    (void)snprintf(rows[seen_count], sizeof rows[0], "%s", line->row);
    seen[seen_count++] = *line;
    assert_string_equal(line->reason, "NW2403 no such colour");
    return NW_OK;
}

static uint32_t look(const struct nw_letters_choice *choice)
{
    seen_count = 0;
    assert_int_equal(nw_letters_each(file, choice, see, NULL, &err), NW_OK);
    return seen_count;
}

static void sql(const char *statement)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/" NW_LETTERS_FILE, folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void there_is_no_file_before_the_first_and_then_a_private_one(void **state)
{
    struct nw_letters_file *none = NULL;
    char path[128];
    struct stat about;

    (void)state;
    (void)umask(0);
    (void)snprintf(path, sizeof path, "%s/" NW_LETTERS_FILE, folder);
    assert_int_equal(nw_letters_look(folder, &none, &err), NW_OK);
    assert_null(none);
    assert_int_equal(counted(), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(one(0, 1000, 0, (char[]){"{\"after\":{\"id\":1}}"}), NW_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof path, "%s/" NW_LETTERS_FILE "-wal", folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void what_is_written_is_read_again(void **state)
{
    const struct nw_letters_choice all = {.sink = NULL};
    const struct nw_letters_choice table = {.sink = "shop", .table = "public.naïve \"name\""};
    const struct nw_letters_choice two = {.ids = (int64_t[]){3, 1}, .ids_count = 2};
    const struct nw_letters_choice none = {.sink = "other"};
    struct nw_letters_tally tally;

    (void)state;
    assert_int_equal(one(0, UINT64_MAX - 1, UINT64_MAX, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(one(1, 2000, 1, (char[]){"{\"b\":\"ü\"}"}), NW_OK);
    assert_int_equal(one(0, 3000, 2, (char[]){"{\"c\":3}"}), NW_OK);
    open_for("shop", 5, 1 << 20); /* another source: still seen by people */
    assert_int_equal(look(&all), 3);
    assert_int_equal(seen[0].commit_lsn, UINT64_MAX - 1);
    assert_int_equal(seen[0].seq, UINT64_MAX);
    assert_int_equal(seen[0].row_lsn, UINT64_MAX - 2);
    assert_int_equal(seen[0].relation_oid, 16412);
    assert_int_equal(seen[0].xid, 742);
    assert_int_equal(seen[0].commit_us, 1700000000000000);
    assert_int_equal(seen[0].refused_us, 1700000001000000);
    assert_string_equal(rows[1], "{\"b\":\"ü\"}");
    assert_int_equal(look(&table), 1);
    assert_int_equal(seen[0].id, 2);
    assert_int_equal(look(&two), 2);
    assert_int_equal(seen[0].id, 3);
    assert_int_equal(look(&none), 0);
    assert_int_equal(nw_letters_tally(file, &tally, &err), NW_OK);
    assert_int_equal(tally.tables_count, 2);
    assert_int_equal(tally.tables[0].letters, 2);
    assert_string_equal(tally.tables[0].table_name, "orders");
    assert_int_equal(tally.sinks_count, 1);
    assert_int_equal(tally.sinks[0].letters, 3);
    assert_int_equal(tally.bytes, tally.tables[0].bytes + tally.tables[1].bytes);
}

static struct nw_letter_key keys[16];
static uint32_t keys_count;

static nw_status key_see(void *context, const struct nw_letter_key *key, struct nw_error *why)
{
    (void)context;
    (void)why;
    keys[keys_count++] = *key;
    return NW_OK;
}

static void a_row_of_the_stream_is_written_once_and_a_copied_one_as_often_as_it_comes(void **state)
{
    const struct nw_letter copied = copied_of(5, 77, (char[]){"{\"d\":4}"});

    (void)state;
    assert_int_equal(one(0, 1000, 3, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(one(0, 1000, 3, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(one(0, 1000, 4, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(put(&copied, 1), NW_OK);
    assert_int_equal(put(&copied, 1), NW_OK);
    assert_int_equal(counted(), 4);
    open_for("other", UINT64_MAX - 5, 1 << 20);
    assert_int_equal(one(0, 1000, 3, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(counted(), 5);
    keys_count = 0;
    assert_int_equal(nw_letters_keys(file, key_see, NULL, &err), NW_OK);
    assert_int_equal(keys_count, 1);
    open_for("shop", UINT64_MAX - 5, 1 << 20);
    keys_count = 0;
    assert_int_equal(nw_letters_keys(file, key_see, NULL, &err), NW_OK);
    assert_int_equal(keys_count, 4);
    assert_int_equal(keys[3].generation, 5);
    assert_int_equal(keys[3].commit_lsn, 0);
    assert_int_equal(keys[3].seq, 77);
    open_for("shop", 6, 1 << 20); /* of another source they are other rows */
    keys_count = 0;
    assert_int_equal(nw_letters_keys(file, key_see, NULL, &err), NW_OK);
    assert_int_equal(keys_count, 0);
    assert_int_equal(one(0, 1000, 3, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(counted(), 6);
}

static void past_the_quota_nothing_of_it_is_written(void **state)
{
    const struct nw_letters_choice first = {.ids = (int64_t[]){1}, .ids_count = 1};
    struct nw_letter two[2];
    char large[4001];
    uint64_t removed = 0;

    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    open_for("shop", 1, 10000);
    assert_int_equal(one(0, 1000, 0, large), NW_OK);
    two[0] = letter_of(0, 1000, 1, large);
    two[1] = letter_of(0, 1000, 2, large);
    assert_int_equal(put(two, 2), NW_REJECT);
    assert_non_null(strstr(err.text, "NW2419"));
    assert_int_equal(counted(), 1);
    assert_int_equal(nw_letters_discard(file, &first, &removed, &err), NW_OK);
    assert_int_equal(removed, 1);
    assert_int_equal(put(two, 2), NW_OK);
    assert_int_equal(counted(), 2);
    open_for("other", 1, 10000); /* each sink has its own */
    assert_int_equal(one(0, 1000, 0, large), NW_OK);
}

static void a_copy_that_is_whole_makes_older_ones_useless(void **state)
{
    const struct nw_letter copied[2] = {copied_of(4, 1, (char[]){"{\"a\":1}"}),
                                        copied_of(5, 1, (char[]){"{\"a\":2}"})};
    struct nw_letter_copy whole = {16412, 5, 2000, false};

    (void)state;
    assert_int_equal(put(copied, 2), NW_OK);
    assert_int_equal(one(0, 1999, 0, (char[]){"{\"b\":1}"}), NW_OK);
    assert_int_equal(one(0, 2000, 0, (char[]){"{\"b\":2}"}), NW_OK);
    assert_int_equal(one(1, 1, 0, (char[]){"{\"b\":3}"}), NW_OK);
    assert_int_equal(nw_letters_copied(file, &whole, 1, &err), NW_OK);
    assert_int_equal(counted(), 3);
    open_for("shop", 7, 1 << 20);
    assert_int_equal(nw_letters_copied(file, &whole, 1, &err), NW_OK);
    assert_int_equal(counted(), 3); /* it may be that the source moved, and nothing was copied */
    whole.read_now = true;
    assert_int_equal(nw_letters_copied(file, &whole, 1, &err), NW_OK);
    assert_int_equal(counted(), 1);
}

static void what_was_discarded_is_nowhere_on_disk(void **state)
{
    const struct nw_letters_choice all = {.table = "public.orders"};
    uint64_t removed = 0;
    char command[160];

    (void)state;
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(one(0, 1000 + i, 0, (char[]){"{\"card\":\"canary4711canary\"}"}), NW_OK);
    }
    assert_int_equal(nw_letters_discard(file, &all, &removed, &err), NW_OK);
    assert_int_equal(removed, 50);
    (void)snprintf(command, sizeof command, "grep -rq canary4711 %s", folder);
    assert_int_not_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    assert_int_equal(one(0, 2000, 0, (char[]){"{}"}), NW_OK);
    (void)look(&(struct nw_letters_choice){.sink = NULL});
    assert_int_equal(seen[0].id, 51); /* no number is given twice */
}

static void one_that_was_changed_is_found(void **state)
{
    const struct nw_letters_choice all = {.sink = NULL};

    (void)state;
    assert_int_equal(one(0, 1000, 0, (char[]){"{\"a\":1}"}), NW_OK);
    sql("UPDATE letter SET row = '{\"a\":2}'");
    assert_int_equal(nw_letters_each(file, &all, see, NULL, &err), NW_CORRUPT);
    assert_non_null(strstr(err.text, "NW2420"));
}

static void one_of_a_newer_narwal_is_left_alone(void **state)
{
    struct nw_letters_file *other = NULL;

    (void)state;
    assert_int_equal(one(0, 1000, 0, (char[]){"{\"a\":1}"}), NW_OK);
    sql("PRAGMA user_version = 2");
    assert_int_equal(nw_letters_look(folder, &other, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "NW2003"));
    sql("PRAGMA user_version = 1");
    assert_int_equal(nw_letters_look(folder, &other, &err), NW_OK);
    nw_letters_close(other);
}

static void two_write_and_one_looks_at_a_time(void **state)
{
    struct nw_letters_file *shop = NULL;
    struct nw_letters_file *looks = NULL;
    struct nw_letters_tally tally;

    (void)state;
    shop = file;
    file = NULL;
    open_for("other", 1, 1 << 20);
    for (uint64_t i = 0; i < 20; i++) {
        struct nw_letters_file *former = file;

        assert_int_equal(one(0, 1000 + i, 0, (char[]){"{\"a\":1}"}), NW_OK);
        if (looks == NULL) {
            assert_int_equal(nw_letters_look(folder, &looks, &err), NW_OK);
        }
        file = shop;
        shop = former;
        assert_int_equal(nw_letters_tally(looks, &tally, &err), NW_OK);
        assert_int_equal(tally.letters, i + 1);
    }
    assert_int_equal(tally.sinks_count, 2);
    nw_letters_close(looks);
    nw_letters_close(shop);
}

/* tests/fixtures/dead-letters-1 was written by the version that its name says. */
static void a_file_of_format_1_is_read(void **state)
{
    char command[1024];
    const struct nw_letters_choice all = {.sink = NULL};

    (void)state;
    (void)snprintf(command, sizeof command,
                   "sed 's/^--.*//' %s/tests/fixtures/dead-letters-1/dead-letters.sql >%s/sql",
                   NARWAL_SOURCE_DIR, folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    {
        char path[128];
        char text[8192];
        FILE *from = NULL;
        size_t size = 0;

        (void)snprintf(path, sizeof path, "%s/sql", folder);
        from = fopen(path, "re");
        assert_non_null(from);
        size = fread(text, 1, sizeof text - 1, from);
        text[size] = '\0';
        (void)fclose(from);
        sql(text);
    }
    open_for("shop", UINT64_MAX - 5, 1 << 20);
    assert_int_equal(look(&all), 3);
    assert_int_equal(seen[0].id, 1);
    assert_int_equal(seen[0].commit_lsn, UINT64_MAX - 1);
    assert_int_equal(seen[2].generation, 4);
    assert_string_equal(rows[1], "{\"b\":\"ü\"}");
    assert_int_equal(one(0, UINT64_MAX - 1, 3, (char[]){"{\"a\":1}"}), NW_OK); /* it is there */
    assert_int_equal(counted(), 3);
    assert_int_equal(one(1, 9000, 1, (char[]){"{}"}), NW_OK);
    assert_int_equal(counted(), 4);
}

/* As tests/fixtures/README.md says: --make FOLDER. */
static int make(const char *where)
{
    const struct nw_letter copied = copied_of(4, 1, (char[]){"{\"a\":1}"});

    (void)snprintf(folder, sizeof folder, "%s", where);
    open_for("shop", UINT64_MAX - 5, 1 << 20);
    assert_int_equal(one(0, UINT64_MAX - 1, 3, (char[]){"{\"a\":1}"}), NW_OK);
    assert_int_equal(one(1, 2000, 1, (char[]){"{\"b\":\"ü\"}"}), NW_OK);
    assert_int_equal(put(&copied, 1), NW_OK);
    nw_letters_close(file);
    return 0;
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(there_is_no_file_before_the_first_and_then_a_private_one),
        TEST(what_is_written_is_read_again),
        TEST(a_row_of_the_stream_is_written_once_and_a_copied_one_as_often_as_it_comes),
        TEST(past_the_quota_nothing_of_it_is_written),
        TEST(a_copy_that_is_whole_makes_older_ones_useless),
        TEST(what_was_discarded_is_nowhere_on_disk),
        TEST(one_that_was_changed_is_found),
        TEST(one_of_a_newer_narwal_is_left_alone),
        TEST(two_write_and_one_looks_at_a_time),
        TEST(a_file_of_format_1_is_read),
    };

    if (argc == 3 && strcmp(argv[1], "--make") == 0) {
        return make(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
