/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of `narwal top`: it fits, says what matters first, and obeys no name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/top_print.h"
#include <narwal/status.h>

#define LINES_MAX 100

#define STATUS                                                                                     \
    "{'name':'orders','phase':'streaming','ready':%s,'not_ready_because':'%s','time':%d,"          \
    "'uptime_seconds':7200,'memory_used_bytes':1000,'memory_limit_bytes':1000000000,"              \
    "'kept_bytes':5000,'log_troubles':[{'time':90,'level':'warn','text':'NW2101 lost'}],"          \
    "'source':{'server_version':160004,'server_lsn':'1/20','received_lsn':'1/10',"                 \
    "'flush_lsn':'1/8','slot':'narwal_orders','retained_wal_bytes':2000000,"                       \
    "'retained_wal_limit_bytes':0,'lag_bytes':16,'rows':%d},"                                      \
    "'primary':{'snapshot':{'seconds':120,'dead_rows_since':1500},'alarms':[{'text':"              \
    "'NW2360 slot'}]},"                                                                            \
    "'spool':{'state':'none'},'copy':{'state':'done','waits_for':''},"                             \
    "'sinks':[{'name':'files','state':'running','reason':'','lag_seconds':0.25,'lag_bytes':2000,"  \
    "'rows':%d,'last_commit_time':99},{'name':'topics','state':'retrying','reason':'NW2401 "       \
    "broker "                                                                                      \
    "away','lag_seconds':61,'lag_bytes':9,'rows':0,'last_commit_time':null}]}"

#define TABLES                                                                                     \
    "{'tables_by_state':{'stopped':1,'streaming':3},'tables':["                                    \
    "{'table':'public.quiet','state':'streaming','reason':'','waits_for':'','lag_seconds':0,"      \
    "'rows_durable':5},"                                                                           \
    "{'table':'public.busy','state':'streaming','reason':'','waits_for':'','lag_seconds':0,"       \
    "'rows_durable':%d},"                                                                          \
    "{'table':'public.\\u001b[2Jodd\\u009b\\n','state':'streaming','reason':'','waits_for':'',"    \
    "'lag_seconds':3,'rows_durable':1},"                                                           \
    "{'table':'public.wrong_and_with_a_name_that_is_longer_than_its_column','state':'stopped',"    \
    "'reason':'NW2103 a column was dropped, and this is a long reason that does not fit',"         \
    "'waits_for':'','lag_seconds':0,'rows_durable':0}]}"

static char screen[65536];
static char *lines[LINES_MAX];
static int lines_count;

/* JSON with ' for ". */
NW_PRINTF(1, 2)
static json_t *parse(const char *format, ...)
{
    char text[4096];
    va_list args;
    json_t *root = NULL;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    root = json_loads(text, 0, NULL);
    assert_non_null(root);
    return root;
}

static void show(const struct nw_top *top)
{
    FILE *out = fmemopen(screen, sizeof screen, "w");
    char *rest = screen;

    nw_top_print(top, out);
    (void)fclose(out);
    lines_count = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL && rest != NULL;
         line = strsep(&rest, "\n")) {
        assert_true(lines_count < LINES_MAX);
        lines[lines_count++] = line;
    }
}

static int line_with(const char *text)
{
    for (int i = 0; i < lines_count; i++) {
        if (strstr(lines[i], text) != NULL) {
            return i;
        }
    }
    return -1;
}

static int begin(void **state)
{
    struct nw_top *top = calloc(1, sizeof *top);

    assert_non_null(top);
    top->status_before = parse(STATUS, "true", "", 98, 100, 200);
    top->status = parse(STATUS, "true", "", 100, 3100, 1200);
    top->tables_before = parse(TABLES, 1000);
    top->tables = parse(TABLES, 3000);
    top->tables_s = 2;
    top->width = 80;
    top->height = 50;
    *state = top;
    return 0;
}

static int end(void **state)
{
    struct nw_top *top = *state;

    json_decref(top->status_before);
    json_decref(top->status);
    json_decref(top->tables_before);
    json_decref(top->tables);
    free(top);
    return 0;
}

static void rates_and_lags_are_shown(void **state)
{
    show(*state);
    assert_string_equal(lines[0], "orders   streaming   up 2 h 00 min");
    assert_true(line_with("1.5 k rows/s") > 0);
    assert_true(line_with("slot narwal_orders holds 2.0 MB") > 0);
    assert_true(line_with("last warn, 10 s ago: NW2101 lost") > 0);
    assert_string_equal(lines[line_with("files ")],
                        "files                running       0.25 s     2.0 kB      500  1.0 s ago");
    assert_true(line_with("NW2401 broker away") == line_with("topics ") + 1);
    assert_string_equal(lines[line_with("public.busy")],
                        "public.busy                        streaming    1.0 k         -  ");
    assert_string_equal(lines[lines_count - 1], "tables: 1 stopped, 3 streaming");
}

static void what_is_in_trouble_is_first(void **state)
{
    show(*state);
    assert_true(line_with("public.wrong") < line_with("odd"));
    assert_true(line_with("odd") < line_with("public.busy"));
    assert_true(line_with("public.busy") < line_with("public.quiet"));
}

static void nothing_is_wider_than_the_terminal_or_longer(void **state)
{
    struct nw_top *top = *state;

    for (top->width = 10; top->width <= 200; top->width += 19) {
        for (top->height = 1; top->height < 40; top->height += 3) {
            show(top);
            assert_true(lines_count <= (int)top->height);
            for (int i = 0; i < lines_count; i++) {
                assert_true(strlen(lines[i]) <= top->width);
            }
        }
    }
    top->width = 80;
    top->height = 15;
    show(top);
    assert_int_equal(lines_count, 15);
    assert_string_equal(lines[14], "tables: 1 stopped, 3 streaming");
}

static void names_do_not_steer_the_terminal(void **state)
{
    struct nw_top *top = *state;

    show(top);
    assert_true(line_with("public.?[2Jodd??") > 0);
    for (const char *at = lines[0]; at < lines[lines_count - 1]; at++) {
        assert_int_not_equal(*at, '\033');
    }
}

static void what_is_wrong_is_said_at_the_top(void **state)
{
    struct nw_top *top = *state;

    json_decref(top->status);
    top->status = parse(STATUS, "false", "sink topics stands", 100, 3100, 1200);
    top->lost_s = 5;
    show(top);
    assert_string_equal(lines[1], "NOT READY: sink topics stands");
    assert_string_equal(lines[2],
                        "NO ANSWER for 5.0 s: it was stopped, or hangs. What is below is old.");
}

static void a_pattern_chooses_tables(void **state)
{
    struct nw_top *top = *state;

    top->pattern = "*.busy";
    show(top);
    assert_true(line_with("public.busy") > 0);
    assert_int_equal(line_with("public.quiet"), -1);
}

static void a_narwal_that_starts_has_only_a_phase(void **state)
{
    struct nw_top *top = *state;

    json_decref(top->status);
    top->status = parse("{'phase':'starting'}");
    show(top);
    assert_string_equal(lines[0], "narwal   starting   up 0.00 s");
    assert_int_equal(lines_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rates_and_lags_are_shown, begin, end),
        cmocka_unit_test_setup_teardown(what_is_in_trouble_is_first, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_wider_than_the_terminal_or_longer, begin, end),
        cmocka_unit_test_setup_teardown(names_do_not_steer_the_terminal, begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_at_the_top, begin, end),
        cmocka_unit_test_setup_teardown(a_pattern_chooses_tables, begin, end),
        cmocka_unit_test_setup_teardown(a_narwal_that_starts_has_only_a_phase, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
