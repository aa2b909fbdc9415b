/* SPDX-License-Identifier: Apache-2.0 */
/* What of a transaction Debezium has sent, by its offset and the transaction's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "pipeline/takeover.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_up_to_the_lsn_were_sent),
        cmocka_unit_test(of_rows_with_one_lsn_as_many_as_it_says),
        cmocka_unit_test(without_that_number_one_row_counts_and_of_several_none),
        cmocka_unit_test(what_is_several_messages_may_be_half_sent),
        cmocka_unit_test(empty_transactions_do_not_count),
        cmocka_unit_test(later_transactions_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
