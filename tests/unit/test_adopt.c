/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a sink may go on at another server: the decision, and hand-overs as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/adopt.h"

#define LSN  100u
#define FORK 90u

static void nobody_goes_on_past_what_may_be_missing(void **state)
{
    static const struct {
        struct nw_adopt_facts facts;
        struct nw_adopt_decision want;
    } vectors[] = {
        /* the slot came along, or did not */
        {{.relation = NW_ADOPT_SAME, .slot_found = true, .slot_lsn = LSN},
         {.verdict = NW_ADOPT_STAYS}},
        {{.relation = NW_ADOPT_SAME, .slot_found = true, .slot_lsn = LSN + 1},
         {.verdict = NW_ADOPT_GAP}},
        {{.relation = NW_ADOPT_SAME}, {.verdict = NW_ADOPT_GAP}},
        {{.relation = NW_ADOPT_SAME, .proved = true, .handover_lsn = LSN},
         {.verdict = NW_ADOPT_MOVES}},
        {{.relation = NW_ADOPT_SAME, .proved = true, .handover_lsn = LSN + 1},
         {.verdict = NW_ADOPT_GAP}},
        {{.relation = NW_ADOPT_SAME, .nothing_written = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_NONE, .said = true}},
        {{.relation = NW_ADOPT_SAME, .copies = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
        {{.relation = NW_ADOPT_SAME, .slot_found = true, .slot_lsn = LSN + 1, .copies = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
        /* pg_upgrade */
        {{.relation = NW_ADOPT_UPGRADED, .slot_found = true, .slot_lsn = LSN + 1},
         {.verdict = NW_ADOPT_GAP}}, /* somebody may have made it */
        {{.relation = NW_ADOPT_UPGRADED, .slot_found = true, .slot_lsn = LSN + 1, .upgraded = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_NONE, .said = true}},
        {{.relation = NW_ADOPT_UPGRADED, .slot_found = true, .slot_lsn = LSN, .upgraded = true},
         {.verdict = NW_ADOPT_SLOT_OLDER}},
        {{.relation = NW_ADOPT_UPGRADED, .upgraded = true}, {.verdict = NW_ADOPT_GAP}},
        {{.relation = NW_ADOPT_UPGRADED, .proved = true, .handover_lsn = LSN},
         {.verdict = NW_ADOPT_MOVES}},
        {{.relation = NW_ADOPT_OTHER, .copies = true, .nothing_written = true, .proved = true},
         {.verdict = NW_ADOPT_STRANGER}},
        /* the sink has more */
        {{.relation = NW_ADOPT_AHEAD, .fork_lsn = FORK, .slot_found = true, .slot_lsn = FORK},
         {.verdict = NW_ADOPT_EXTRA}},
        {{.relation = NW_ADOPT_AHEAD, .fork_lsn = FORK, .nothing_written = true},
         {.verdict = NW_ADOPT_EXTRA}},
        {{.relation = NW_ADOPT_AHEAD,
          .fork_lsn = FORK,
          .slot_found = true,
          .slot_lsn = FORK,
          .copies = true},
         {.verdict = NW_ADOPT_GOES_BACK, .copies = NW_ADOPT_ALL}},
        {{.relation = NW_ADOPT_AHEAD,
          .fork_lsn = FORK,
          .slot_found = true,
          .slot_lsn = FORK,
          .copies = true,
          .extras_known = true},
         {.verdict = NW_ADOPT_GOES_BACK, .copies = NW_ADOPT_TOUCHED}},
        {{.relation = NW_ADOPT_AHEAD,
          .fork_lsn = FORK,
          .slot_found = true,
          .slot_lsn = FORK + 1,
          .copies = true,
          .extras_known = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
        {{.relation = NW_ADOPT_AHEAD,
          .fork_lsn = FORK,
          .copies = true,
          .extras_known = true,
          .nothing_written = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_TOUCHED, .said = true}},
        /* of some tables only, and of others not all that came before the fork */
        {{.relation = NW_ADOPT_AHEAD,
          .lsn = FORK - 1,
          .fork_lsn = FORK,
          .slot_found = true,
          .slot_lsn = FORK,
          .copies = true,
          .extras_known = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
        {{.relation = NW_ADOPT_AHEAD,
          .lsn = FORK - 1,
          .fork_lsn = FORK,
          .slot_found = true,
          .slot_lsn = FORK - 1,
          .copies = true,
          .extras_known = true},
         {.verdict = NW_ADOPT_GOES_BACK, .copies = NW_ADOPT_TOUCHED}},
        {{.relation = NW_ADOPT_AHEAD,
          .lsn = FORK - 1,
          .fork_lsn = FORK,
          .copies = true,
          .extras_known = true,
          .nothing_written = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
        {{.relation = NW_ADOPT_APART, .slot_found = true, .slot_lsn = 1, .nothing_written = true},
         {.verdict = NW_ADOPT_EXTRA}},
        {{.relation = NW_ADOPT_APART, .slot_found = true, .slot_lsn = 1, .copies = true},
         {.verdict = NW_ADOPT_MOVES, .copies = NW_ADOPT_ALL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_adopt_facts facts = vectors[i].facts;
        struct nw_adopt_decision got;

        facts.lsn = facts.lsn == 0 ? LSN : facts.lsn;
        got = nw_adopt_decide(&facts);
        if (got.verdict != vectors[i].want.verdict || got.copies != vectors[i].want.copies ||
            got.said != vectors[i].want.said) {
            fail_msg("vector %zu: %d %d %d", i, got.verdict, got.copies, got.said);
        }
    }
}

static void a_hand_over_is_read_as_it_was_written(void **state)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        "1.1.0/10",
                                        "1.1.0/10.",
                                        "1.1.0/10.5x",
                                        "x.1.0/10.5",
                                        "1.99999999999.0/10.5",
                                        "1.1.10.5",
                                        "1.1.0/10.5.6",
                                        "123456789012345678901.1.0/10.5"};
    struct nw_handover handover = {true, 7713570211324732443u, 3, 0x3A8F0012C8, 5000000123};
    struct nw_handover read;
    char text[NW_HANDOVER_TEXT_SIZE];

    (void)state;
    assert_string_equal(nw_handover_text(text, &handover),
                        "7713570211324732443.3.3A/8F0012C8.5000000123");
    assert_true(nw_handover_parse(text, &read));
    assert_true(read.known);
    assert_int_equal(read.system_identifier, handover.system_identifier);
    assert_int_equal(read.timeline, handover.timeline);
    assert_int_equal(read.lsn, handover.lsn);
    assert_int_equal(read.xid, handover.xid);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(nw_handover_parse(wrong[i], &read));
        assert_false(read.known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_goes_on_past_what_may_be_missing),
        cmocka_unit_test(a_hand_over_is_read_as_it_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
