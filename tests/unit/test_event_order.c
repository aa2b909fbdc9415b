/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction's begin is dealt before its first change, whatever kind of change that is. */
#include "dealer_kit.h"

/* What was dealt, as letters: b c t m s of events; rows as their count in digits. */
static void story_take(struct kit *kit, char *story)
{
    static const char letters[] = "?bctms";
    struct nw_block *block = NULL;

    while ((block = kit_next(kit)) != NULL) {
        *story++ = block->kind == NW_BLOCK_EVENT ? letters[block->event.kind]
                                                 : (char)('0' + block->frames_count);
        kit_back(kit, block);
    }
    *story = '\0';
}

static void start(struct kit *kit)
{
    kit_init(kit, 16, true);
    kit_know(kit, 100);
    kit_know(kit, 101);
}

static void truncate(struct kit *kit, uint32_t oid, uint64_t lsn)
{
    wire_clear(&kit->wire);
    wire_truncate(&kit->wire, 0, 0, &oid, 1);
    assert_int_equal(kit_take(kit, lsn), NW_OK);
}

static void message(struct kit *kit, bool transactional, uint64_t lsn)
{
    wire_clear(&kit->wire);
    wire_logical(&kit->wire, 0, transactional, lsn, "p", "content", 7);
    assert_int_equal(kit_take(kit, lsn), NW_OK);
}

static void expect(struct kit *kit, const char *expected)
{
    char story[64];

    story_take(kit, story);
    assert_string_equal(story, expected);
}

static void a_truncate_that_comes_first_is_behind_the_begin(void **state)
{
    struct kit kit;

    (void)state;
    start(&kit);
    kit_begin(&kit, 1000);
    truncate(&kit, 100, 1);
    kit_row(&kit, 100, 2);
    kit_row(&kit, 101, 3);
    kit_commit(&kit, 1000);
    expect(&kit, "bt11c");
    kit_fini(&kit);
}

static void a_transaction_of_a_truncate_only_has_begin_and_commit(void **state)
{
    struct kit kit;

    (void)state;
    start(&kit);
    kit_begin(&kit, 1000);
    truncate(&kit, 100, 1);
    kit_commit(&kit, 1000);
    expect(&kit, "btc");
    kit_fini(&kit);
}

static void a_truncate_of_what_nobody_wants_begins_nothing(void **state)
{
    struct kit kit;

    (void)state;
    kit_init(&kit, 16, true);
    kit.unwanted_oid = 101;
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000);
    truncate(&kit, 101, 1);
    kit_commit(&kit, 1000);
    kit_begin(&kit, 1100);
    truncate(&kit, 101, 2);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1100);
    expect(&kit, "b1c");
    kit_fini(&kit);
}

static void a_message_that_comes_first_is_behind_the_begin_if_it_is_of_the_transaction(void **state)
{
    struct kit kit;

    (void)state;
    start(&kit);
    message(&kit, false, 900);
    kit_begin(&kit, 1000);
    message(&kit, true, 950);
    truncate(&kit, 100, 960);
    kit_commit(&kit, 1000);
    expect(&kit, "mbmtc");
    kit_fini(&kit);
}

static void rows_of_the_former_transaction_are_before_the_begin(void **state)
{
    struct kit kit;

    (void)state;
    start(&kit);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 1000);
    kit_begin(&kit, 1100);
    truncate(&kit, 101, 2);
    kit_row(&kit, 101, 3);
    truncate(&kit, 101, 4);
    kit_commit(&kit, 1100);
    expect(&kit, "b1cbt1tc");
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncate_that_comes_first_is_behind_the_begin),
        cmocka_unit_test(a_transaction_of_a_truncate_only_has_begin_and_commit),
        cmocka_unit_test(a_truncate_of_what_nobody_wants_begins_nothing),
        cmocka_unit_test(
            a_message_that_comes_first_is_behind_the_begin_if_it_is_of_the_transaction),
        cmocka_unit_test(rows_of_the_former_transaction_are_before_the_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
