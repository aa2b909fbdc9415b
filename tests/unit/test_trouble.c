/* SPDX-License-Identifier: Apache-2.0 */
/* The latest errors and warnings: which are kept, in which order, and how often they came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/trouble.h"

static struct nw_trouble latest[NW_TROUBLES_MAX];

/* One test: what is noted stays for the life of the process. */
static void the_latest_are_kept_and_repeats_are_counted(void **state)
{
    struct nw_trouble_counts counts;
    char text[2 * NW_TROUBLE_TEXT_SIZE];

    (void)state;
    assert_int_equal(nw_troubles(latest), 0);
    nw_trouble_note(NW_LOG_INFO, "not a trouble");
    assert_int_equal(nw_troubles(latest), 0);
    nw_trouble_note(NW_LOG_ERROR, "table a stopped at 0/17");
    nw_trouble_note(NW_LOG_WARN, "lost; again in 0.1 s");
    nw_trouble_note(NW_LOG_WARN, "lost; again in 12.5 s");
    nw_trouble_note(NW_LOG_WARN, "lost; again");
    assert_int_equal(nw_troubles(latest), 3);
    assert_string_equal(latest[0].text, "lost; again");
    assert_string_equal(latest[1].text, "lost; again in 12.5 s");
    assert_int_equal(latest[1].count, 2);
    assert_string_equal(latest[2].text, "table a stopped at 0/17");
    assert_int_equal(latest[2].level, NW_LOG_ERROR);
    assert_true(latest[0].wall_us >= latest[2].wall_us && latest[2].wall_us > 0);
    nw_trouble_note(NW_LOG_ERROR, "table a stopped at 9/1234");
    assert_int_equal(nw_troubles(latest), 3);
    assert_string_equal(latest[0].text, "table a stopped at 9/1234");
    assert_int_equal(latest[0].count, 2);
    for (int i = 0; i < 2 * (int)NW_TROUBLES_MAX; i++) { /* the oldest go */
        memset(text, 'a' + i % 26, (size_t)i + 1);
        text[i + 1] = '\0';
        nw_trouble_note(NW_LOG_WARN, text);
    }
    assert_int_equal(nw_troubles(latest), NW_TROUBLES_MAX);
    assert_int_equal(strlen(latest[0].text), 2 * NW_TROUBLES_MAX);
    assert_int_equal(strlen(latest[NW_TROUBLES_MAX - 1].text), NW_TROUBLES_MAX + 1);
    assert_int_equal(latest[NW_TROUBLES_MAX - 1].count, 1);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    nw_trouble_note(NW_LOG_ERROR, text);
    assert_int_equal(nw_troubles(latest), NW_TROUBLES_MAX);
    assert_int_equal(strlen(latest[0].text), NW_TROUBLE_TEXT_SIZE - 1);
    nw_trouble_note(NW_LOG_WARN, "NW2307 the slot is another one");
    nw_trouble_note(NW_LOG_ERROR, "a.yaml:1:2: NW1002 unknown key");
    nw_trouble_count(&counts);
    assert_int_equal(counts.errors, 4);
    assert_int_equal(counts.warnings, 4 + 2 * NW_TROUBLES_MAX);
    assert_int_equal(counts.family_errors[0], 3);
    assert_int_equal(counts.family_errors[10], 1);
    assert_int_equal(counts.family_warnings[23], 1);
    assert_int_equal(counts.family_errors[23], 0);
}

static void secrets_are_gone_before(void **state)
{
    (void)state;
    nw_log_secret("tr0ub4dor");
    nw_log(NW_LOG_WARN, "password tr0ub4dor is wrong");
    assert_int_equal(nw_troubles(latest), NW_TROUBLES_MAX);
    assert_string_equal(latest[0].text, "password *** is wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_are_kept_and_repeats_are_counted),
        cmocka_unit_test(secrets_are_gone_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
