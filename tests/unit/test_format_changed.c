/* SPDX-License-Identifier: Apache-2.0 */
/* Which updates change nothing that a message says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/changed.h"
#include "row_kit.h"

#define OID_XID 28

static const struct nw_column_schema columns[] = {{.name = "id", REQUIRED(OID_INT4)},
                                                  {.name = "v", OPTIONAL(OID_TEXT)},
                                                  {.name = "at", OPTIONAL(OID_TIMESTAMP)},
                                                  {.name = "x", OPTIONAL(OID_XID)}};
static const struct nw_table table = {.size = sizeof table,
                                      .schema_name = "public",
                                      .name = "t",
                                      .columns = columns,
                                      .columns_count = COUNT(columns)};

#define TIME "2024-02-29 12:00:00.123456"

static void an_update_is_compared_with_what_was_sent_of_before(void **state)
{
    static const struct {
        const char *before[COUNT(columns)], *after[COUNT(columns)];
        bool same, same_in_ms, same_to_all;
    } cases[] = {
        {{"1", "a", TIME, "5"}, {"1", "a", TIME, "5"}, true, true, true},
        {{"1", NULL, TIME, "5"}, {"1", NULL, TIME, "5"}, true, true, true},
        {{"1", "a", TIME, "5"}, {"1", "b", TIME, "5"}, false, false, false},
        {{"1", "a", TIME, "5"}, {"1", "aa", TIME, "5"}, false, false, false},
        {{"1", "", TIME, "5"}, {"1", NULL, TIME, "5"}, false, false, false},
        {{"1", NULL, TIME, "5"}, {"1", "", TIME, "5"}, false, false, false},
        /* the key alone was sent of before: nobody knows */
        {{"1", "?", "?", "?"}, {"1", "a", TIME, "5"}, false, false, false},
        {{"1", "?", TIME, "5"}, {"1", "?", TIME, "5"}, false, false, false},
        /* unchanged TOAST */
        {{"1", "a", TIME, "5"}, {"1", "?", TIME, "5"}, true, true, true},
        /* a type that is left out of the message, and less than its unit */
        {{"1", "a", TIME, "5"}, {"1", "a", TIME, "6"}, true, true, false},
        {{"1", "a", TIME, "5"}, {"1", "a", "2024-02-29 12:00:00.123457", "5"}, false, true, false},
        {{"1", "a", TIME, "5"}, {"1", "a", "2024-02-29 12:00:00.124", "5"}, false, false, false},
    };
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_out before = {0};
    struct nw_out after = {0};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        size_t at = i / 2;
        struct nw_connect_table *made = NULL;
        struct one one;
        struct nw_row row = {.batch = &one.batch};

        options.times = i % 2 == 0 ? NW_TIMES_ADAPTIVE : NW_TIMES_CONNECT;
        made = nw_connect_table_create(&table, "t", &options);
        assert_non_null(made);
        row.table = made;
        row.scratch = nw_connect_scratch_create(made);
        one_set(&one, &table, cases[at].before, cases[at].after);
        if (nw_row_is_same(&row, &before, &after) !=
                (i % 2 == 0 ? cases[at].same : cases[at].same_in_ms) ||
            nw_batch_is_same(&one.batch, 0) != cases[at].same_to_all) {
            fail_msg("case %zu", i);
        }
        one_set(&one, &table, NULL, cases[at].after);
        assert_false(nw_row_is_same(&row, &before, &after));
        assert_false(nw_batch_is_same(&one.batch, 0));
        nw_connect_scratch_destroy(row.scratch);
        nw_connect_table_destroy(made);
    }
    nw_out_fini(&before);
    nw_out_fini(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_is_compared_with_what_was_sent_of_before)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
