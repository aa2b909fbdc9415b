/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/init_print.h"

#define GIB (INT64_C(1) << 30)
#define MIB (INT64_C(1) << 20)

static void the_spool_has_room_for_twice_the_tables_in_half_of_the_disk(void **state)
{
    static const struct {
        uint64_t copied, free;
        int64_t spool;
    } cases[] = {{0, UINT64_MAX, GIB},
                 {100, 100 * (uint64_t)GIB, GIB},
                 {0, GIB, 512 * MIB},
                 {0, 0, 64 * MIB},
                 {5 * (uint64_t)GIB, 400 * (uint64_t)GIB, 10 * GIB},
                 {300 * (uint64_t)GIB, 401 * (uint64_t)GIB, 200 * GIB},
                 {UINT64_MAX, UINT64_MAX, INT64_C(1) << 49}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(nw_init_spool_bytes(cases[i].copied, cases[i].free), cases[i].spool);
    }
}

static void the_wal_that_may_be_held_is_less_than_what_the_server_keeps(void **state)
{
    (void)state;
    assert_int_equal(nw_init_retained_bytes(0, -1), GIB);
    assert_int_equal(nw_init_retained_bytes(40 * (uint64_t)GIB, -1), 10 * GIB);
    assert_int_equal(nw_init_retained_bytes(UINT64_MAX, -1), 64 * GIB);
    assert_int_equal(nw_init_retained_bytes(0, 100 * GIB), 80 * GIB);
    assert_int_equal(nw_init_retained_bytes(0, 100 * MIB), 80 * MIB);
    assert_int_equal(nw_init_retained_bytes(0, 0), 16 * MIB);
}

/* Whatever a table is called, its name stays inside its comment. */
static void names_cannot_leave_their_comments(void **state)
{
    struct nw_catalog_candidate table = {.oid = 1,
                                         .schema_name = "a\nsinks: []\n",
                                         .name = "b\nname: evil",
                                         .kind = 'r',
                                         .bytes = 9};
    struct nw_catalog_candidates candidates = {&table, 1};
    struct nw_preflight preflight = {.host = "h\nx: y", .version = "16.1", .database = "d\nz: 1"};
    struct nw_init_facts facts = {.file = "a.yaml",
                                  .name = "a",
                                  .dsn = "dbname=a password='x\ny'",
                                  .host = "h",
                                  .port = "1",
                                  .database = "d",
                                  .user = "u\nx: y",
                                  .state_dir = "/s",
                                  .copy_folder = "/c\nd",
                                  .preflight = &preflight,
                                  .candidates = &candidates,
                                  .wal_keep_bytes = -1,
                                  .free_bytes = UINT64_MAX,
                                  .cores_count = 1};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    nw_init_print(&facts, out);
    assert_int_equal(fclose(out), 0);
    for (const char *const *evil =
             (const char *const[]){"\nsinks: []", "\nname: evil", "\nx: y", "\nz: 1", NULL};
         *evil != NULL; evil++) {
        assert_null(strstr(text, *evil));
    }
    assert_non_null(strstr(text, "# The largest: a?sinks: []?.b?name: evil 9 B.\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spool_has_room_for_twice_the_tables_in_half_of_the_disk),
        cmocka_unit_test(the_wal_that_may_be_held_is_less_than_what_the_server_keeps),
        cmocka_unit_test(names_cannot_leave_their_comments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
