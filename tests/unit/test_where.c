/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of `where`: see config/where.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/where.h"

static struct nw_arena arena;

static int setup(void **state)
{
    (void)state;
    nw_arena_init(&arena, 64u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nw_arena_fini(&arena);
    return 0;
}

/* What was read, in one canonical spelling. */
static const char *print(const struct nw_where *where, char *text, size_t size)
{
    static const char *const ops[] = {"=",  "<>", "<",      "<=",   ">",
                                      ">=", "in", "not in", "null", "not null"};
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < where->terms_count; i++) {
        const struct nw_where_term *term = &where->terms[i];

        used += (size_t)snprintf(text + used, size - used, "%s[%s] %s", i == 0 ? "" : " & ",
                                 term->column, ops[term->op]);
        for (uint32_t c = 0; c < term->constants_count; c++) {
            used += (size_t)snprintf(text + used, size - used, " %s%s",
                                     term->constants[c].quoted ? "'" : "", term->constants[c].text);
        }
    }
    return text;
}

static void what_sql_says_is_read(void **state)
{
    static const struct {
        const char *text, *read;
    } vectors[] = {
        {"a = 1", "[a] = 1"},
        {"  A<>-1.5 ", "[a] <> -1.5"},
        {"a!=1", "[a] <> 1"},
        {"a<1 and b<=2 AND c>3 And d>=4", "[a] < 1 & [b] <= 2 & [c] > 3 & [d] >= 4"},
        {"\"Odd \"\"name\" = 'it''s'", "[Odd \"name] = 'it's"},
        {"a in (1,2 , 'x')", "[a] in 1 2 'x"},
        {"a NOT IN ( 1 )", "[a] not in 1"},
        {"a IS NULL", "[a] null"},
        {"a is not null", "[a] not null"},
        {"flag = TRUE", "[flag] = true"},
        {"flag <> false", "[flag] <> false"},
        {"a = ''", "[a] = '"},
        {"a > 1e300", "[a] > 1e300"},
        {"a > .5", "[a] > .5"},
        {"\"and\" = 1", "[and] = 1"},
        {"n\xc3\xa4me = 1", "[n\xc3\xa4me] = 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_where where;
        struct nw_error err = {0};
        char text[256];

        print_message("%s\n", vectors[i].text);
        assert_int_equal(nw_where_parse(vectors[i].text, &arena, &where, &err), NW_OK);
        assert_string_equal(print(&where, text, sizeof text), vectors[i].read);
    }
}

static void what_is_none_says_what_was_expected_where(void **state)
{
    static const struct {
        const char *text, *said;
    } vectors[] = {
        {"", "a column is expected at its end"},
        {"a", "a comparison (=, <>, <, <=, >, >=, IN, IS NULL) is expected at its end"},
        {"a =", "is expected at its end"},
        {"a = = 1", "is expected at \"= 1\""},
        {"a = b", "is expected at \"b\""},
        {"a = NULL", "IS NULL asks"},
        {"a = 1 OR b = 2", "IN (...) says it"},
        {"a = 1 b = 2", "AND or nothing more is expected at \"b = 2\""},
        {"a = 1 AND", "a column is expected at its end"},
        {"a IS 5", "NULL or NOT NULL after IS is expected at \"5\""},
        {"a NOT 5", "IN after NOT is expected"},
        {"a IN 5", "( after IN is expected"},
        {"a IN ()", "is expected at \")\""},
        {"a IN (1", ", or ) is expected at its end"},
        {"a IN (1 2)", ", or ) is expected at \"2)\""},
        {"a = 'x", "is expected at \"'x\""},
        {"\"a = 1", "a column is expected at"},
        {"a = 1; DROP TABLE t", "AND or nothing more is expected at \"; DROP TABLE t\""},
        {"(a = 1)", "a column is expected at \"(a = 1)\""},
        {"5 = a", "a column is expected at \"5 = a\""},
        {"a # 1", "is expected at \"# 1\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_where where;
        struct nw_error err = {0};

        print_message("%s\n", vectors[i].text);
        assert_int_equal(nw_where_parse(vectors[i].text, &arena, &where, &err), NW_FATAL);
        assert_non_null(strstr(err.text, vectors[i].said));
    }
}

static void limits_are_kept(void **state)
{
    static char text[65536];
    struct nw_where where;
    struct nw_error err = {0};
    size_t used = 0;

    (void)state;
    for (uint32_t i = 0; i <= NW_WHERE_TERMS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%sa = 1", i == 0 ? "" : " AND ");
    }
    assert_int_equal(nw_where_parse(text, &arena, &where, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "more than 32 conditions"));
    used = (size_t)snprintf(text, sizeof text, "a IN (0");
    for (uint32_t i = 0; i < NW_WHERE_CONSTANTS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, ",1");
    }
    (void)snprintf(text + used, sizeof text - used, ")");
    assert_int_equal(nw_where_parse(text, &arena, &where, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "more than 1000 values"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_sql_says_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_none_says_what_was_expected_where, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_are_kept, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
