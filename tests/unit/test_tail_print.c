/* SPDX-License-Identifier: Apache-2.0 */
/* What tail prints of messages, whole and cut off. Real streams: tests/integration/cli. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/tail_print.h"

#define MESSAGE(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

struct message {
    const char *bytes;
    size_t size;
};

/* public.t (id int4 key, v text), as PostgreSQL 15 sends it. */
static const struct message STREAM[] = {
    MESSAGE("B\0\0\0\0\1\0\0\1\0\0\0\0\0\0\0\0\0\0\2\xda"),
    MESSAGE("R\0\0\x40\1public\0t\0d\0\2\1id\0\0\0\0\x17\xff\xff\xff\xff\0v\0\0\0\0\x19\xff\xff\xff"
            "\xff"),
    MESSAGE("I\0\0\x40\1N\0\2t\0\0\0\1"
            "7t\0\0\0\2a\n"),
    MESSAGE("U\0\0\x40\1K\0\2t\0\0\0\1"
            "7nN\0\2t\0\0\0\1"
            "8u"),
    MESSAGE("D\0\0\x40\1K\0\2t\0\0\0\1"
            "8n"),
    MESSAGE("T\0\0\0\1\0\0\0\x40\1"),
    MESSAGE("C\0\0\0\0\0\1\0\0\1\0\0\0\0\1\0\0\2\0\0\0\0\0\0\0\0"),
};
enum { STREAM_COUNT = sizeof STREAM / sizeof STREAM[0] };

/* Prints the stream, the last message cut to size. */
static nw_status print_until(size_t last, size_t last_size, const struct nw_table_filter *filter,
                             char **text, struct nw_error *err)
{
    struct nw_tail_printer printer;
    size_t size = 0;
    FILE *out = open_memstream(text, &size);
    nw_status status = NW_OK;

    assert_non_null(out);
    nw_tail_printer_init(&printer, out, filter);
    for (size_t i = 0; i <= last && status == NW_OK; i++) {
        size_t length = i == last ? last_size : STREAM[i].size;
        uint8_t *copy = malloc(length == 0 ? 1 : length); /* so that ASan sees its end */

        assert_non_null(copy);
        memcpy(copy, STREAM[i].bytes, length);
        status = nw_tail_print(&printer, (struct nw_bytes){copy, length}, err);
        free(copy);
    }
    nw_tail_printer_fini(&printer);
    assert_int_equal(fclose(out), 0);
    return status;
}

static void a_transaction_is_printed_change_by_change(void **state)
{
    struct nw_table_filter filter = {0};
    struct nw_error err = {0};
    char *text = NULL;

    (void)state;
    assert_int_equal(
        print_until(STREAM_COUNT - 1, STREAM[STREAM_COUNT - 1].size, &filter, &text, &err), NW_OK);
    assert_string_equal(text, "BEGIN    xid 730   2000-01-01 00:00:00.000000 UTC\n"
                              "INSERT   public.t  id=7 v=a\\n\n"
                              "UPDATE   public.t  id=7  -> id=8 v=(unchanged)\n"
                              "DELETE   public.t  id=8\n"
                              "TRUNCATE public.t\n"
                              "COMMIT   0/1000002\n");
    free(text);
}

static void a_transaction_of_other_tables_prints_nothing(void **state)
{
    static const char *const others[] = {"public.other", NULL};
    struct nw_table_filter filter = {.include = others};
    struct nw_error err = {0};
    char *text = NULL;

    (void)state;
    assert_int_equal(
        print_until(STREAM_COUNT - 1, STREAM[STREAM_COUNT - 1].size, &filter, &text, &err), NW_OK);
    assert_string_equal(text, "");
    free(text);
}

static void every_message_that_ends_early_is_refused(void **state)
{
    struct nw_table_filter filter = {0};

    (void)state;
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        for (size_t size = 0; size < STREAM[i].size; size++) {
            struct nw_error err = {0};
            char *text = NULL;

            assert_int_equal(print_until(i, size, &filter, &text, &err), NW_CORRUPT);
            assert_string_not_equal(err.text, "");
            free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_printed_change_by_change),
        cmocka_unit_test(a_transaction_of_other_tables_prints_nothing),
        cmocka_unit_test(every_message_that_ends_early_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
