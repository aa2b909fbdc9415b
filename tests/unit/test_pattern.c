/* SPDX-License-Identifier: Apache-2.0 */
/* What Java's Pattern.matches() says of the same was asked of Java. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../sinks/lib/pattern.h"

#define SIZE 128

static void a_pattern_means_what_java_says(void **state)
{
    static const struct {
        const char *java;
        const char *matches[3];
        const char *others[3];
    } vectors[] = {
        {"shop.items", {"shop.items", "shopxitems"}, {"shop.items2", "xshop.items", "shop.Items"}},
        {"shop\\.items", {"shop.items"}, {"shopxitems"}},
        {".*", {"a.b", "", "x"}, {NULL}},
        {"shop\\..*", {"shop.a", "shop."}, {"shopxa", "web.a"}},
        {"shop\\.(?:[ab]|c[0-9]+)", {"shop.a", "shop.c12"}, {"shop.c", "shop.ab"}},
        {"a|ab", {"a", "ab"}, {"b", "abb"}},
        {"(a|ab)(c|bcd)", {"abcd", "abc", "ac"}, {"abd"}},
        {"^shop\\.t\\d{2,3}$", {"shop.t12", "shop.t123"}, {"shop.t1", "shop.t1234", "shop.tab"}},
        {"\\w+\\.x??y+?", {"a_1.xy", "b.yy"}, {"a-b.y"}},
        {"[^a-c._]+", {"xyz"}, {"xaz", "x.z", "_"}},
        {"[.$ ]", {".", "$", " "}, {"a"}},
        {"[a\\.]b", {"ab", ".b"}, {"\\b"}},
        {"a\\$b\\(\\)", {"a$b()"}, {"ab"}},
        {"shop\\.\\\"A\\\"", {"shop.\"A\""}, {"shop.A"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char posix[SIZE];

        if (!nw_pattern_translate(vectors[i].java, posix, sizeof posix)) {
            fail_msg("%s is refused", vectors[i].java);
        }
        for (size_t n = 0; n < 3; n++) {
            const char *match = vectors[i].matches[n];
            const char *other = vectors[i].others[n];

            if ((match != NULL && !nw_pattern_matches(posix, match)) ||
                (other != NULL && nw_pattern_matches(posix, other))) {
                fail_msg("%s as %s: %s, %s", vectors[i].java, posix, match, other);
            }
        }
    }
}

static void what_posix_has_not_is_refused(void **state)
{
    static const char *const patterns[] = {
        "",     "a(?=b)", "(?i)a", "\\Qa\\E", "(a)\\1", "a*+",         "a++",    "[a&&b]", "[a[b]]",
        "[]a]", "[\\w]",  "[",     "(",       "a)(",    "*a",          "a{,2}",  "a{x}",   "a^b",
        "a$b",  "\\p{L}", "a\\",   "a**",     "[a-]",   "[[:alpha:]]", "\\bshop"};
    char posix[SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        if (nw_pattern_translate(patterns[i], posix, sizeof posix)) {
            fail_msg("%s becomes %s", patterns[i], posix);
        }
    }
    assert_true(nw_pattern_translate("abc", posix, 4));
    assert_false(nw_pattern_translate("abcd", posix, 4));
    assert_false(nw_pattern_matches("(", "("));
}

/* libc writes out what is repeated: these would need seconds, or gigabytes. */
static void what_repeats_too_much_is_refused(void **state)
{
    static const char *const refused[] = {"((a{1,255}){1,255}){1,99}",
                                          "(a{2}){2}",
                                          "(xa{2}|b){2,}",
                                          "a{256}",
                                          "a{1,999}",
                                          "a{4294967297}",
                                          "a{99999999999999999999}",
                                          "(abcdefghij){0,255}",
                                          "((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+",
                                          "((((a+)+)+)+){255}",
                                          "((a*)*){0,255}",
                                          "(a+){9}"};
    static const char *const taken[] = {"a{255}",
                                        "(a{2}b)+",
                                        "((a+)+)+",
                                        "(ab){0,99}c{3,}",
                                        "(?:shop|web)\\.t[0-9]{1,9}_\\w{1,200}",
                                        "(a{3})?",
                                        "(\\w+\\.){1,3}\\w+"};
    char posix[SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (nw_pattern_translate(refused[i], posix, sizeof posix) ||
            nw_pattern_matches(refused[i], "a")) {
            fail_msg("%s is taken", refused[i]);
        }
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (!nw_pattern_translate(taken[i], posix, sizeof posix)) {
            fail_msg("%s is refused", taken[i]);
        }
    }
    assert_false(nw_pattern_is_small("a{1"));
    assert_false(nw_pattern_is_small("a{,2}"));
    assert_true(nw_pattern_is_small("[^]{2}{2}]{2}\\"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_means_what_java_says),
        cmocka_unit_test(what_posix_has_not_is_refused),
        cmocka_unit_test(what_repeats_too_much_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
