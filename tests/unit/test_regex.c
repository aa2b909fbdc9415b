/* SPDX-License-Identifier: Apache-2.0 */
/* Java's regular expressions over names. What comes of each was recorded from java.util.regex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/regex.h"

static const struct {
    const char *regex, *replacement, *name, *result;
} vectors[] = {
    {"([^.]+)\\.([^.]+)\\.([^.]+)", "$3", "dbz.public.items", "items"},
    {"([^.]+)\\.([^.]+)\\.([^.]+)", "$3", "dbz.items", NULL},
    {"(.*)", "cdc.$1", "dbz.public.items", "cdc.dbz.public.items"},
    {"(.*)\\.(.*)", "$2-$1", "a.b.c", "c-a.b"},
    {"dbz\\.(\\w+)\\.(.*)", "$2_$1", "dbz.public.items", "items_public"},
    {"dbz\\.(?:public|shop)\\.(.*)", "$1", "dbz.shop.x.y", "x.y"},
    {"(?<routedByValue>.*)", "outbox.event.${routedByValue}", "order", "outbox.event.order"},
    {"(?<a>[a-z]+)-(?<b2>\\d{2,})", "${b2}${a}$0", "order-123", "123orderorder-123"},
    {"shard(\\d)\\.(.+)", "all.$2", "shard7.customers", "all.customers"},
    {"shard(\\d)\\.(.+)", "all.$2", "shard17.customers", NULL},
    {"(.*)_v[0-9]+", "$1", "items_v12", "items"},
    {"([\\w.]+)[\\-]([^\\].x-]+)", "$2", "a.b-qr", "qr"},
    {"([\\w.-]+)", "x$1", "a.b-q", "xa.b-q"},
    {"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "$11$1$12", "abcdefghijk", "kaa2"},
    {"(a)?(b)", "[$1]$2", "b", "[]b"},
    {"a|b.*", "n", "bcd", "n"},
    {"^dbz(.*)$", "\\$1$1", "dbz.x", "$1.x"},
    {"[.a]+", "n", "a.a", "n"},
    {"([a-c]+|[x-z]+)\\.{2}", "$1", "abc..", "abc"},
    {"\\Wa\\D", "y", "-ab", "y"},
    {"[^.]*", "", "abc", ""},
    {"[\\^-]+", "n", "-^", "n"},
    {"[\\[:x]+", "n", "[x:", "n"},
    {"[x^]+", "n", "^x", "n"},
    {"([a-z]{2})+", "$1", "abcd", "cd"},
};

static void names_become_what_java_makes_of_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char why[128] = "";
        char to[64] = "";
        struct nw_regex *regex =
            nw_regex_create(vectors[i].regex, vectors[i].replacement, why, sizeof why);
        enum nw_regex_result result = NW_REGEX_OTHER;

        assert_string_equal(why, "");
        assert_non_null(regex);
        result = nw_regex_replace(regex, vectors[i].name, to, sizeof to);
        assert_int_equal(result, vectors[i].result == NULL ? NW_REGEX_OTHER : NW_REGEX_REPLACED);
        if (vectors[i].result != NULL) {
            assert_string_equal(to, vectors[i].result);
        }
        nw_regex_destroy(regex);
    }
}

static void what_posix_cannot_say_is_refused(void **state)
{
    static const char *const refused[][2] = {
        {".*?", ""},
        {"a++", ""},
        {"(?i)a", ""},
        {"(?=a).*", ""},
        {"(?<=a)b", ""},
        {"(a)\\1", ""},
        {"\\bab", ""},
        {"[a&&[b]]", ""},
        {"[[ab]c]", ""},
        {"[\\s\\S]*", ""},
        {"(a", ""},
        {"[a", ""},
        {"a\\", ""},
        {"a", "$1"},
        {"a", "${b}"},
        {"(?<b>a)", "${"},
        {"(?<b>a)", "\\"},
        {"a{2,1}", ""},
        {"[\\", ""},
        {"[a\\", ""},
        {"(?<b>a)", "${b"},
        {"(?<b>a)", "x${b"},
        {"[a-\\]z]", ""},
        {"[\\w-z]", ""},
        {"((a{1,255}){1,255}){1,99}", ""},
        {"a{9}{9}", ""},
        {"a{300}", ""},
        {"((((((((((((((((((((?:a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char why[128] = "";

        assert_null(nw_regex_create(refused[i][0], refused[i][1], why, sizeof why));
        assert_true(strlen(why) > 0);
    }
}

static void a_name_without_room_is_said(void **state)
{
    char why[128] = "";
    char to[5] = "";
    struct nw_regex *regex = nw_regex_create("(.*)", "$1$1", why, sizeof why);

    (void)state;
    assert_int_equal(nw_regex_replace(regex, "ab", to, sizeof to), NW_REGEX_REPLACED);
    assert_string_equal(to, "abab");
    assert_int_equal(nw_regex_replace(regex, "abc", to, sizeof to), NW_REGEX_TOO_LONG);
    nw_regex_destroy(regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_what_java_makes_of_them),
        cmocka_unit_test(what_posix_cannot_say_is_refused),
        cmocka_unit_test(a_name_without_room_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
