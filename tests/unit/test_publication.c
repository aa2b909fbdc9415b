/* SPDX-License-Identifier: Apache-2.0 */
/* Table filters: which patterns match which tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/publication.h"

static bool matches(const char *include, const char *exclude, const char *schema, const char *name)
{
    const char *included[] = {include, NULL};
    const char *excluded[] = {exclude, NULL};
    struct nw_table_filter filter = {.include = include == NULL ? NULL : included,
                                     .exclude = exclude == NULL ? NULL : excluded};

    return nw_table_filter_match(&filter, schema, name);
}

static void without_patterns_every_table_matches(void **state)
{
    const char *none[] = {NULL};
    struct nw_table_filter filter = {.include = none, .exclude = none};

    (void)state;
    assert_true(matches(NULL, NULL, "public", "t"));
    assert_true(nw_table_filter_match(&filter, "public", "t"));
}

static void patterns_match_the_whole_name(void **state)
{
    (void)state;
    assert_true(matches("public.t", NULL, "public", "t"));
    assert_false(matches("public.t", NULL, "public", "t2"));
    assert_false(matches("public.t", NULL, "public", "T"));
    assert_false(matches("ublic.t", NULL, "public", "t"));
    assert_false(matches("public.t2", NULL, "public", "t"));
    assert_true(matches("public.*", NULL, "public", ""));
    assert_false(matches("public.*", NULL, "public2", "t"));
    assert_true(matches("public.t?", NULL, "public", "t2"));
    assert_false(matches("public.t?", NULL, "public", "t"));
    assert_false(matches("public.t?", NULL, "public", "t22"));
    assert_true(matches("*", NULL, "any", "thing"));
    assert_true(matches("*.log_*_old", NULL, "app", "log_a_old_old"));
    assert_false(matches("*.log_*_old", NULL, "app", "log_a_older"));
    assert_true(matches("a**b.?", NULL, "axxb", "c"));
}

static void brackets_take_a_character_for_itself(void **state)
{
    (void)state;
    assert_true(matches("public.a[*]b", NULL, "public", "a*b"));
    assert_false(matches("public.a[*]b", NULL, "public", "axb"));
    assert_true(matches("public.a[?]", NULL, "public", "a?"));
    assert_false(matches("public.a[?]", NULL, "public", "ab"));
    assert_true(matches("public.a[[]1]", NULL, "public", "a[1]"));
    assert_true(matches("public.a[123]", NULL, "public", "a2"));
    assert_true(matches("public.a\\b", NULL, "public", "a\\b"));
    assert_true(matches("public.a\\*", NULL, "public", "a\\b"));
}

static void excluded_wins(void **state)
{
    (void)state;
    assert_false(matches("public.*", "*.secret", "public", "secret"));
    assert_true(matches("public.*", "*.secret", "public", "open"));
    assert_false(matches(NULL, "public.*", "public", "t"));
    assert_true(matches(NULL, "public.*", "shop", "t"));
}

static void any_of_several_patterns_will_do(void **state)
{
    const char *include[] = {"a.*", "b.t", NULL};
    struct nw_table_filter filter = {.include = include};

    (void)state;
    assert_true(nw_table_filter_match(&filter, "a", "x"));
    assert_true(nw_table_filter_match(&filter, "b", "t"));
    assert_false(nw_table_filter_match(&filter, "b", "x"));
}

static void a_pattern_of_stars_ends_soon(void **state)
{
    char name[512];

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", NULL, "public", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_patterns_every_table_matches),
        cmocka_unit_test(patterns_match_the_whole_name),
        cmocka_unit_test(brackets_take_a_character_for_itself),
        cmocka_unit_test(excluded_wins),
        cmocka_unit_test(any_of_several_patterns_will_do),
        cmocka_unit_test(a_pattern_of_stars_ends_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
