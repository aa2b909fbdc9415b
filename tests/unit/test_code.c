/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of messages: where they are found in a text, and what an error without one has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/code.h"

static const struct vector {
    const char *text;
    int at; /* of the code; -1: it has none */
    const char *rest;
} vectors[] = {
    {"NW2307 slot s is gone", 0, "slot s is gone"},
    {"NW2307", 0, ""},
    {"orders.yaml:8:20: NW1002 unknown key", 18, "orders.yaml:8:20: NW1002 unknown key"},
    {"/etc/a:1/b.yaml:8:20: NW1002 unknown key", 22, "/etc/a:1/b.yaml:8:20: NW1002 unknown key"},
    {"", -1, ""},
    {"NW", -1, "NW"},
    {"NW230", -1, "NW230"},
    {"NW23071 is longer", -1, "NW23071 is longer"},
    {"NW2307: with a colon", -1, "NW2307: with a colon"},
    {"table NW2307 is not one", -1, "table NW2307 is not one"},
    {"orders.yaml:8: NW1002 no column", -1, "orders.yaml:8: NW1002 no column"},
    {"orders.yaml:8:20:", -1, "orders.yaml:8:20:"},
};

static void a_code_begins_the_text_or_follows_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *text = vectors[i].text;
        const char *found = nw_code_find(text);

        assert_ptr_equal(found, vectors[i].at < 0 ? NULL : text + vectors[i].at);
        assert_string_equal(nw_code_rest(text), vectors[i].rest);
        assert_memory_equal(nw_code_or(text, "NW9999"), found == NULL ? "NW9999" : found,
                            NW_CODE_LENGTH);
    }
}

static void an_error_without_a_code_is_of_memory_or_of_malformed_bytes(void **state)
{
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_fail(&err, NW_RETRY, "out of memory for a row"), NW_RETRY);
    assert_memory_equal(nw_error_code(&err), "NW2901", NW_CODE_LENGTH);
    assert_int_equal(nw_fail(&err, NW_CORRUPT, "a row ends early"), NW_CORRUPT);
    assert_memory_equal(nw_error_code(&err), "NW2902", NW_CODE_LENGTH);
    assert_int_equal(nw_fail(&err, NW_CORRUPT, "NW2505 the spool is damaged"), NW_CORRUPT);
    assert_memory_equal(nw_error_code(&err), "NW2505", NW_CODE_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_begins_the_text_or_follows_its_place),
        cmocka_unit_test(an_error_without_a_code_is_of_memory_or_of_malformed_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
