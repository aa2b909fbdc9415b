/* SPDX-License-Identifier: Apache-2.0 */
/* The memory budget: what fits, and that nothing waits for room that nobody makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring/budget.h"

static void a_full_budget_takes_nothing_more(void **state)
{
    struct nw_budget budget = {.limit_bytes = 1000};

    (void)state;
    assert_true(nw_budget_charge(&budget, 900));
    assert_false(nw_budget_charge(&budget, 101));
    assert_int_equal(budget.used_bytes, 900);
    assert_true(nw_budget_charge(&budget, 100));
    nw_budget_release(&budget, 1000);
    assert_int_equal(budget.used_bytes, 0);
}

static void what_is_refused_finds_the_budget_pressed(void **state)
{
    (void)state;
    for (size_t held = 0; held <= 1200; held++) {
        for (size_t size = 1; size <= 1600; size += 7) {
            struct nw_budget budget = {.limit_bytes = 1000, .used_bytes = (int64_t)held};

            /* Only then do sequencers spill, or give up a replay, until it fits. */
            assert_true(nw_budget_charge(&budget, size) || nw_budget_pressed(&budget));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_budget_takes_nothing_more),
        cmocka_unit_test(what_is_refused_finds_the_budget_pressed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
