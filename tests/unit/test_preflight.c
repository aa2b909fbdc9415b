/* SPDX-License-Identifier: Apache-2.0 */
/* Preflight's pure rules and its printing. Against servers: tests/integration/cli/test_check.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "pipeline/preflight_private.h"

static const struct {
    const char *names;
    bool matches; /* "narwal" */
} STANDBYS[] = {
    {"", false},
    {"*", true},
    {"narwal", true},
    {"NARWAL", true},
    {"\"Narwal\"", true},
    {"\"*\"", false},
    {"a, b", false},
    {"a,narwal", true},
    {"FIRST 2 (a, narwal)", true},
    {"ANY 1 (a, *)", true},
    {"FIRST 1 (narwal2, \"nar\"\"wal\")", false},
    {"\"unterminated", false},
};

static void standby_names_match_as_the_server_compares_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof STANDBYS / sizeof STANDBYS[0]; i++) {
        assert_int_equal(nw_standby_names_match(STANDBYS[i].names, "narwal"), STANDBYS[i].matches);
    }
    assert_true(nw_standby_names_match("\"nar\"\"wal\"", "nar\"wal"));
}

static void faulty_minors_are_those_before_the_mended_ones(void **state)
{
    static const struct {
        int version, good;
        bool faulty;
    } versions[] = {{140018, 140019, true},  {140019, 140019, false}, {150013, 150014, true},
                    {150018, 150014, false}, {160009, 160010, true},  {170005, 170006, true},
                    {170006, 170006, false}, {180000, 0, false},      {190000, 0, false}};

    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        int good = 0;

        assert_int_equal(nw_version_faulty(versions[i].version, &good), versions[i].faulty);
        assert_int_equal(good, versions[i].good);
    }
}

static char *printed(const struct nw_preflight *preflight, bool sql, bool verbose)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    if (sql) {
        struct nw_preflight_options options = {.streams = true,
                                               .server = {.slot_name = "narwal_orders"}};

        nw_preflight_sql(preflight, &options, "orders", out);
    } else {
        nw_preflight_print(preflight, "orders", verbose, out);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static void fill(struct nw_preflight *preflight, struct nw_arena *arena)
{
    static const char *const names[] = {"a.b", "a.c", "a.d", "a.e\033[2J", "a.f", "a.g", NULL};
    struct nw_finding *finding = NULL;

    *preflight = (struct nw_preflight){.arena = arena,
                                       .host = "pg-a",
                                       .version = "16.15",
                                       .tables_count = 340,
                                       .bytes = 2400000000000,
                                       .wal_rate = 8e6};
    finding = nw_preflight_add(preflight, NW_FINDING_WARN, "NW1310", "%s is %d", "setting", -1);
    finding->otherwise = "key: value";
    (void)nw_preflight_add(preflight, NW_FINDING_OK, "", "connection canary-preflight");
    finding = nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1203", "6 tables have no key");
    finding->names = names;
    finding->names_count = 6;
    finding->mend = "ALTER TABLE a.b REPLICA IDENTITY FULL;";
    finding->otherwise = "in the configuration  no_key: skip";
}

static void findings_are_printed_with_the_gravest_after_what_is_well(void **state)
{
    struct nw_preflight preflight;
    struct nw_arena arena;
    char *text = NULL;

    (void)state;
    nw_arena_init(&arena, 1u << 20);
    fill(&preflight, &arena);
    nw_log_secret("canary-preflight");
    text = printed(&preflight, false, false);
    assert_string_equal(
        text,
        "orders @ pg-a   PostgreSQL 16.15, 340 tables, 2.4 TB, WAL 8.0 MB/s\n"
        "ok    connection ***\n"
        "FAIL  NW1203  6 tables have no key\n"
        "      a.b, a.c, a.d, a.e?[2J, a.f, ... (--verbose)\n"
        "      mend: ALTER TABLE a.b REPLICA IDENTITY FULL;    or in the configuration  no_key: "
        "skip\n"
        "WARN  NW1310  setting is -1\n"
        "      mend: key: value\n"
        "1 to mend, 1 to consider; nothing was changed. For your DBA: the same with --sql\n");
    free(text);
    text = printed(&preflight, false, true);
    assert_non_null(strstr(text, "      a.f\n      a.g\n"));
    free(text);
    nw_arena_fini(&arena);
}

/* What can be run stands on lines that are no comments. */
static void the_script_has_its_statements_in_an_order_that_works(void **state)
{
    struct nw_preflight preflight;
    struct nw_arena arena;
    char *text = NULL;
    struct nw_finding *finding = NULL;

    (void)state;
    nw_arena_init(&arena, 1u << 20);
    fill(&preflight, &arena);
    preflight.version_number = 170001;
    nw_preflight_add(&preflight, NW_FINDING_FAIL, "NW1215", "no slot")->mend = "SLOT;";
    nw_preflight_add(&preflight, NW_FINDING_FAIL, "NW1220", "rows\nand DROP TABLE x;")->mend =
        "GRANT;";
    finding = nw_preflight_add(&preflight, NW_FINDING_FAIL, "NW1216", "no publication");
    finding->mend = "PUBLICATION;";
    finding->script = "PUBLICATION ONCE;";
    nw_preflight_add(&preflight, NW_FINDING_WARN, "NW1308", "keyless")->mend = "IDENTITY\nFULL;";
    text = printed(&preflight, true, false);
    assert_non_null(strstr(text, "\n-- NW1220 rows and DROP TABLE x;\nGRANT;\n"));
    assert_non_null(strstr(text, "\nPUBLICATION ONCE;\n"));
    assert_null(strstr(text, "\nPUBLICATION;\n"));
    assert_true(strstr(text, "\nGRANT;") < strstr(text, "\nPUBLICATION ONCE;"));
    assert_true(strstr(text, "\nPUBLICATION ONCE;") < strstr(text, "\nSLOT;"));
    assert_non_null(strstr(text, "\nALTER TABLE a.b REPLICA IDENTITY FULL;\n"));
    assert_non_null(strstr(text, "\n-- NW1308 -- keyless\n-- IDENTITY FULL;\n"));
    assert_non_null(strstr(text, "'pgoutput', false, false, true);"));
    free(text);
    nw_arena_fini(&arena);
}

static void a_statement_that_is_run_once_cannot_end_its_block(void **state)
{
    struct nw_preflight preflight = {0};
    struct nw_arena arena;

    (void)state;
    nw_arena_init(&arena, 1u << 20);
    preflight.arena = &arena;
    assert_string_equal(
        nw_preflight_once(&preflight, "CREATE x;"),
        "DO $narwal$ BEGIN\n  CREATE x;\nEXCEPTION WHEN duplicate_object THEN RAISE "
        "NOTICE '%', SQLERRM;\nEND $narwal$;");
    assert_non_null(strstr(nw_preflight_once(&preflight, "CREATE \"$narwal$; DROP\";"),
                           "DO $narwal1$ BEGIN\n"));
    assert_non_null(
        strstr(nw_preflight_once(&preflight, "\"$narwal$ $narwal1$\""), "END $narwal2$;"));
    nw_arena_fini(&arena);
}

static void more_findings_than_there_is_room_for_keep_the_last(void **state)
{
    struct nw_preflight preflight = {0};
    struct nw_arena arena;

    (void)state;
    nw_arena_init(&arena, 1u << 20);
    preflight.arena = &arena;
    for (int i = 0; i < 500; i++) {
        (void)nw_preflight_add(&preflight, NW_FINDING_FAIL, "NW1", "number %d", i);
    }
    assert_int_equal(preflight.findings_count, NW_FINDINGS_MAX);
    assert_string_equal(preflight.findings[NW_FINDINGS_MAX - 1].text, "number 499");
    assert_int_equal(nw_preflight_count(&preflight, NW_FINDING_FAIL), NW_FINDINGS_MAX);
    nw_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standby_names_match_as_the_server_compares_them),
        cmocka_unit_test(faulty_minors_are_those_before_the_mended_ones),
        cmocka_unit_test(findings_are_printed_with_the_gravest_after_what_is_well),
        cmocka_unit_test(the_script_has_its_statements_in_an_order_that_works),
        cmocka_unit_test(a_statement_that_is_run_once_cannot_end_its_block),
        cmocka_unit_test(more_findings_than_there_is_room_for_keep_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
