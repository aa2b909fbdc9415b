/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of any kind on a terminal and in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/tail_format.h"

struct vector {
    const char *bytes;
    size_t size;
    const char *expected;
};

#define VECTOR(bytes, expected)                                                                    \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, expected                                                         \
    }

static void check(const struct vector *vector, void (*format)(FILE *, struct nw_bytes))
{
    char *text = NULL;
    size_t size = 0;
    uint8_t *exact = malloc(vector->size == 0 ? 1 : vector->size); /* for ASan */
    FILE *out = open_memstream(&text, &size);

    assert_non_null(exact);
    assert_non_null(out);
    memcpy(exact, vector->bytes, vector->size);
    format(out, (struct nw_bytes){exact, vector->size});
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, vector->expected);
    free(text);
    free(exact);
}

static void a_terminal_is_told_nothing_that_it_would_obey(void **state)
{
    static const struct vector vectors[] = {
        VECTOR("", ""),
        VECTOR("plain \"text\" = NULL", "plain \"text\" = NULL"),
        VECTOR("\n\t\\\x1b\x7f", "\\n\\t\\\\\\x1b\\x7f"),
        VECTOR("\0", "\\x00"),
        VECTOR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8b",
               "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8b"), /* é, euro, whale */
        VECTOR("\xc2\x9b"
               "31m",
               "\\u009b31m"),
        VECTOR("\xe2\x80\xae", "\\u202e"),
        VECTOR("\x9b", "\\x9b"),
        VECTOR("\xc0\x9b", "\\xc0\\x9b"),                   /* overlong */
        VECTOR("\xe0\x82\x9b", "\\xe0\\x82\\x9b"),          /* overlong */
        VECTOR("\xed\xa0\x80", "\\xed\\xa0\\x80"),          /* a surrogate */
        VECTOR("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"), /* beyond Unicode */
        VECTOR("\xe2\x82", "\\xe2\\x82"),                   /* ends early */
        VECTOR("\xe2\x82\x1b", "\\xe2\\x82\\x1b"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        check(&vectors[i], nw_tail_format_text);
    }
}

static void only_what_is_ambiguous_is_quoted(void **state)
{
    static const struct vector vectors[] = {
        VECTOR("", "\"\""),         VECTOR("a", "a"),
        VECTOR("a\"b", "a\"b"),     VECTOR("a \"b", "\"a \\\"b\""),
        VECTOR("\"a", "\"\\\"a\""), VECTOR("NULL", "\"NULL\""),
        VECTOR("NULLS", "NULLS"),   VECTOR("(unchanged)", "\"(unchanged)\""),
        VECTOR("a=b", "\"a=b\""),   VECTOR("a\nb", "a\\nb"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        check(&vectors[i], nw_tail_format_value);
    }
}

static void json_holds_every_byte(void **state)
{
    static const struct vector vectors[] = {
        VECTOR("", "\"\""),
        VECTOR("a\"\\\n\x01\x7f", "\"a\\\"\\\\\\n\\u0001\\u007f\""),
        VECTOR("\xc3\xa9\xc2\x9b", "\"\xc3\xa9\\u009b\""),
        VECTOR("\xff\0a", "{\"hex\":\"ff0061\"}"),
    };
    static const struct vector name = VECTOR("a\xff\"", "\"a\\ufffd\\\"\"");

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        check(&vectors[i], nw_tail_format_json);
    }
    check(&name, nw_tail_format_json_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_is_told_nothing_that_it_would_obey),
        cmocka_unit_test(only_what_is_ambiguous_is_quoted),
        cmocka_unit_test(json_holds_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
