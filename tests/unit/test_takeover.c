/* SPDX-License-Identifier: Apache-2.0 */
/* What of a transaction Debezium has sent, by its offset and the transaction's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "pipeline/followed.h"
#include "pipeline/seen.h"
#include "pipeline/state_remove.h"
#include "pipeline/tables.h"
#include "pipeline/takeover.h"
#include "source/schemas.h"

/* A message: its type, a relation (or flags), the kind of its tuple; and its LSN. */
struct step {
    const char *bytes;
    size_t size;
    uint64_t lsn;
};
#define STEP(text, at)                                                                             \
    {                                                                                              \
        (text), sizeof(text) - 1, (at)                                                             \
    }
#define BEGIN       STEP("B\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\7", 10)
#define COMMIT      STEP("C\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\x30\0\0\0\0\0\0\0\0", 0x130)
#define INSERT(lsn) STEP("I\0\0\0\1N", lsn)
#define UPDATE(lsn) STEP("U\0\0\0\1N", lsn)
#define MOVE(lsn)   STEP("U\0\0\0\1K", lsn)
#define DELETE(lsn) STEP("D\0\0\0\1K", lsn)
/* of the tables 1, 2 and 3 */
#define TRUNCATE(lsn) STEP("T\0\0\0\3\0\0\0\0\1\0\0\0\2\0\0\0\3", lsn)

static struct nw_takeover_count counted(const struct nw_takeover_offset *offset,
                                        const struct step *steps, size_t count)
{
    struct nw_takeover_count result = {.offset = offset};
    struct nw_error err = {0};

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(
            nw_takeover_count(&result, steps[i].lsn,
                              (struct nw_bytes){(const uint8_t *)steps[i].bytes, steps[i].size},
                              &err),
            NW_OK);
    }
    assert_true(result.done);
    assert_int_equal(result.xid, 7);
    assert_int_equal(result.end_lsn, 0x130);
    return result;
}

#define COUNT(offset, ...)                                                                         \
    counted(&(offset), (const struct step[]){__VA_ARGS__},                                         \
            sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static struct nw_takeover_offset change_at(uint64_t lsn, uint64_t events)
{
    return (struct nw_takeover_offset){
        .kind = NW_TAKEOVER_CHANGE, .lsn = lsn, .xid = 7, .events = events};
}

static void changes_up_to_the_lsn_were_sent(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 1);
    struct nw_takeover_count count =
        COUNT(offset, BEGIN, INSERT(10), UPDATE(20), DELETE(30), COMMIT);

    (void)state;
    assert_int_equal(count.changes, 3);
    assert_int_equal(count.sent, 2);
    assert_false(count.twice);
}

static void of_rows_with_one_lsn_as_many_as_it_says(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 2);

    (void)state;
    assert_int_equal(
        COUNT(offset, BEGIN, INSERT(10), INSERT(20), INSERT(20), INSERT(20), COMMIT).sent, 3);
}

static void without_that_number_one_row_counts_and_of_several_none(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 0);

    (void)state;
    assert_int_equal(COUNT(offset, BEGIN, INSERT(10), INSERT(20), INSERT(30), COMMIT).sent, 2);
    assert_int_equal(COUNT(offset, BEGIN, INSERT(10), INSERT(20), INSERT(20), COMMIT).sent, 1);
}

static void what_is_several_messages_may_be_half_sent(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 1);

    (void)state;
    assert_true(COUNT(offset, BEGIN, INSERT(10), DELETE(20), COMMIT).twice);
    assert_true(COUNT(offset, BEGIN, INSERT(10), MOVE(20), INSERT(30), COMMIT).twice);
    assert_false(COUNT(offset, BEGIN, DELETE(10), UPDATE(20), DELETE(30), COMMIT).twice);
}

static void empty_transactions_do_not_count(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 1);
    struct nw_takeover_count count = COUNT(offset, BEGIN, COMMIT, BEGIN, INSERT(20), COMMIT);

    (void)state;
    assert_int_equal(count.changes, 1);
    assert_int_equal(count.sent, 1);
}

static void later_transactions_do_not_count(void **state)
{
    struct nw_takeover_offset offset = change_at(20, 1);
    struct nw_takeover_count count =
        COUNT(offset, BEGIN, INSERT(20), COMMIT, BEGIN, INSERT(15), INSERT(20), COMMIT);

    (void)state;
    assert_int_equal(count.changes, 1);
    assert_int_equal(count.sent, 1);
}

/* The first two are followed. @param known  how many of them are there still */
static struct nw_takeover_count truncated(uint64_t events, uint32_t known)
{
    static const char *const include[] = {"shop.*", NULL};
    static const char *const schema_names[] = {"shop", "shop", "else"};
    const struct nw_table_filter filter = {.include = include};
    struct nw_takeover_offset offset = change_at(20, events);
    struct nw_takeover_count count = {.offset = &offset, .filter = &filter};
    const struct step steps[] = {BEGIN, INSERT(10), TRUNCATE(20), INSERT(30), COMMIT};
    struct nw_schemas *schemas = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_schemas_create(&schemas, &err), NW_OK);
    count.schemas = schemas;
    for (uint32_t i = 0; i < known; i++) {
        struct nw_table described = {
            .relation_oid = i + 1, .schema_name = schema_names[i], .name = "t"};
        const struct nw_table *table = NULL;

        assert_int_equal(nw_schemas_add(schemas, &described, 0, &table, &err), NW_OK);
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(
            nw_takeover_count(&count, steps[i].lsn,
                              (struct nw_bytes){(const uint8_t *)steps[i].bytes, steps[i].size},
                              &err),
            NW_OK);
    }
    nw_schemas_destroy(schemas);
    return count;
}

static void of_a_truncate_the_tables_count_that_are_followed(void **state)
{
    struct nw_takeover_count count = truncated(2, 3);

    (void)state;
    assert_int_equal(count.sent, 2);
    assert_false(count.twice);
    assert_false(count.partly);
    count = truncated(1, 3); /* one of two: it comes again */
    assert_int_equal(count.sent, 1);
    assert_true(count.partly);
    count = truncated(2, 1); /* the others were dropped since: nobody knows */
    assert_int_equal(count.sent, 2);
    assert_true(count.twice);
}

static struct nw_state *state_open(const char *folder, bool is_new)
{
    struct nw_state_source source = {.known = true};
    struct nw_state *made = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_state_open(folder, &made, &err), NW_OK);
    if (is_new) {
        assert_int_equal(nw_state_source_write(made, &source, &err), NW_OK);
    }
    return made;
}

static void what_was_followed_is_forgotten(void **unused)
{
    const struct nw_followed_table table = {
        .relation_oid = 7, .schema_name = "shop", .table_name = "a"};
    const struct nw_table_trouble trouble = {.relation_oid = 8,
                                             .schema_name = "shop",
                                             .table_name = "b",
                                             .condition = NW_TABLE_LEFT_OUT};
    char folder[] = "/tmp/narwal-unit-XXXXXX";
    struct nw_followed *followed = NULL;
    struct nw_tables *tables = NULL;
    struct nw_seen *seen = NULL;
    struct nw_error err = {0};
    struct nw_state *state = NULL;

    (void)unused;
    assert_non_null(mkdtemp(folder));
    state = state_open(folder, true);
    assert_int_equal(nw_followed_open(state, &followed, &err), NW_OK);
    assert_int_equal(nw_followed_add(followed, &table, 1, &err), NW_OK);
    nw_followed_close(followed);
    assert_int_equal(nw_tables_open(state, &tables, &err), NW_OK);
    assert_int_equal(nw_tables_set(tables, &trouble, &err), NW_OK);
    nw_tables_close(tables);
    assert_int_equal(nw_seen_open(state, &seen, &err), NW_OK);
    assert_int_equal(nw_seen_partitions(seen, 7, "x", &err), NW_OK);
    assert_int_equal(nw_seen_save(seen, &err), NW_OK);
    nw_seen_close(seen);

    assert_int_equal(nw_taken_forget_tables(state, &err), NW_OK);
    nw_state_close(state);
    state = state_open(folder, false);
    assert_int_equal(nw_followed_open(state, &followed, &err), NW_OK);
    assert_int_equal(nw_followed_count(followed), 0);
    nw_followed_close(followed);
    assert_int_equal(nw_tables_open(state, &tables, &err), NW_OK);
    assert_int_equal(nw_tables_count(tables), 0);
    nw_tables_close(tables);
    assert_int_equal(nw_seen_open(state, &seen, &err), NW_OK);
    assert_int_equal(nw_seen_count(seen), 0);
    nw_seen_close(seen);
    nw_state_close(state);
    {
        struct nw_state_folders folders = {.state = folder, .spool = folder, .spill = folder};

        assert_int_equal(nw_state_remove(&folders, &err), NW_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_up_to_the_lsn_were_sent),
        cmocka_unit_test(of_rows_with_one_lsn_as_many_as_it_says),
        cmocka_unit_test(without_that_number_one_row_counts_and_of_several_none),
        cmocka_unit_test(what_is_several_messages_may_be_half_sent),
        cmocka_unit_test(empty_transactions_do_not_count),
        cmocka_unit_test(later_transactions_do_not_count),
        cmocka_unit_test(of_a_truncate_the_tables_count_that_are_followed),
        cmocka_unit_test(what_was_followed_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
