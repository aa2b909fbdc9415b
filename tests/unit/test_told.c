/* SPDX-License-Identifier: Apache-2.0 */
/* Relation messages that are dealt out of the order in which they came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/told.h"

static void dealt(struct nw_told *told, uint64_t place, uint8_t oid, uint8_t mark)
{
    const uint8_t bytes[] = {'R', 0, 0, 0, oid, mark};
    struct nw_error err;

    assert_int_equal(nw_told_dealt(told, place, (struct nw_bytes){bytes, sizeof bytes}, &err),
                     NW_OK);
}

static void assert_again(struct nw_told *told, uint8_t oid, uint8_t mark)
{
    struct nw_bytes message = {0};

    assert_true(nw_told_again(told, &message));
    assert_int_equal(message.size, 6);
    assert_int_equal(message.at[4], oid);
    assert_int_equal(message.at[5], mark);
    nw_told_counts(told);
}

static int setup(void **state)
{
    struct nw_told *told = NULL;
    struct nw_error err;

    assert_int_equal(nw_told_create(&told, &err), NW_OK);
    *state = told;
    return 0;
}

static int teardown(void **state)
{
    nw_told_destroy(*state);
    return 0;
}

static void in_order_nothing_is_dealt_again(void **state)
{
    struct nw_told *told = *state;
    struct nw_bytes message;

    dealt(told, nw_told_next(told), 1, 'a');
    dealt(told, nw_told_next(told), 1, 'b');
    dealt(told, nw_told_next(told), 2, 'a');
    assert_false(nw_told_again(told, &message));
}

static void the_newer_is_dealt_again_behind_the_older(void **state)
{
    struct nw_told *told = *state;
    struct nw_bytes message;
    uint64_t streamed = nw_told_next(told); /* of an open transaction, three tables */

    for (uint8_t oid = 1; oid <= 2; oid++) {
        dealt(told, nw_told_next(told), oid, 'b');
    }
    for (uint8_t oid = 1; oid <= 3; oid++) {
        dealt(told, streamed, oid, 'a');
    }
    assert_again(told, 1, 'b');
    assert_again(told, 2, 'b');
    assert_false(nw_told_again(told, &message));
}

/* Rows behind it in the transaction have the newest anyway. */
static void what_the_transaction_says_itself_at_last_counts(void **state)
{
    struct nw_told *told = *state;
    struct nw_bytes message;
    uint64_t first = nw_told_next(told);
    uint64_t between = nw_told_next(told);
    uint64_t last = nw_told_next(told);

    dealt(told, between, 1, 'b');
    dealt(told, first, 1, 'a');
    dealt(told, last, 1, 'c');
    assert_false(nw_told_again(told, &message));
    dealt(told, between, 1, 'b');
    assert_again(told, 1, 'c');
}

static void a_new_connection_begins_anew(void **state)
{
    struct nw_told *told = *state;
    struct nw_bytes message;
    uint64_t streamed = nw_told_next(told);

    dealt(told, nw_told_next(told), 1, 'b');
    dealt(told, streamed, 1, 'a');
    nw_told_reset(told);
    assert_false(nw_told_again(told, &message));
    dealt(told, streamed, 1, 'a');
    assert_false(nw_told_again(told, &message));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(in_order_nothing_is_dealt_again),
        TEST(the_newer_is_dealt_again_behind_the_older),
        TEST(what_the_transaction_says_itself_at_last_counts),
        TEST(a_new_connection_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
