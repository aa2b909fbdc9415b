/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: their two forms, one write each, and that no secret is ever in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define THREADS 4
#define LINES   50 /* all of them have room in the socket: a line never waits */

/* A socket that keeps writes apart: each line arrives as one message. */
static int ends[2];
static char line[65536];

static int setup(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int teardown(void **state)
{
    (void)state;
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

/* @return the next line, which is one write; NULL when there is none */
static const char *line_next(void)
{
    ssize_t size = recv(ends[0], line, sizeof line - 1, MSG_DONTWAIT);

    if (size <= 0) {
        return NULL;
    }
    line[size] = '\0';
    assert_int_equal(line[size - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), &line[size - 1]);
    return line;
}

static json_t *json_next(void)
{
    const char *text = line_next();
    json_t *json = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(json);
    return json;
}

static void text_has_time_level_and_message(void **state)
{
    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    nw_log(NW_LOG_WARN, "slot %s is %d MB behind", "narwal", 7);
    assert_non_null(line_next());
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    assert_string_equal(line + 24, " warn  slot narwal is 7 MB behind\n");
}

/* The next write, whatever it is. */
static const char *piece_next(void)
{
    ssize_t size = recv(ends[0], line, sizeof line - 1, MSG_DONTWAIT);

    line[size < 0 ? 0 : size] = '\0';
    return line;
}

static void the_live_line_is_cleared_before_what_is_logged(void **state)
{
    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    nw_log_secret("canary-live");
    nw_log_live("live 12\033[2J/s canary-live and more", 16);
    assert_string_equal(piece_next(), "live 12 [2J/s **");
    nw_log_live("live 13", 16);
    assert_string_equal(piece_next(), "\r\033[K");
    assert_string_equal(piece_next(), "live 13");
    nw_log(NW_LOG_INFO, "a table");
    assert_string_equal(piece_next(), "\r\033[K");
    assert_non_null(line_next());
    nw_log(NW_LOG_INFO, "another");
    assert_non_null(line_next());
    nw_log_live(NULL, 0);
    assert_string_equal(piece_next(), "");
}

static void json_is_one_object(void **state)
{
    json_t *json = NULL;

    (void)state;
    nw_log_setup(ends[1], NW_LOG_DEBUG, true);
    nw_log(NW_LOG_DEBUG, "a \"quoted\" \\ and\ttwo\nlines \x01");
    json = json_next();
    assert_string_equal(json_string_value(json_object_get(json, "level")), "debug");
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        "a \"quoted\" \\ and\ttwo\nlines \x01");
    assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), 24);
    assert_null(json_object_get(json, "code"));
    json_decref(json);
}

static void json_has_the_code_of_a_message(void **state)
{
    json_t *json = NULL;

    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, true);
    nw_log(NW_LOG_WARN, "NW2319 slot %s holds too much", "narwal");
    json = json_next();
    assert_string_equal(json_string_value(json_object_get(json, "code")), "NW2319");
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        "NW2319 slot narwal holds too much");
    json_decref(json);
}

static void lines_above_the_level_are_not_written(void **state)
{
    (void)state;
    nw_log_setup(ends[1], NW_LOG_WARN, false);
    nw_log(NW_LOG_INFO, "not this");
    nw_log(NW_LOG_DEBUG, "nor this");
    nw_log(NW_LOG_ERROR, "but this");
    assert_non_null(line_next());
    assert_non_null(strstr(line, "but this"));
    assert_null(line_next());
}

/* Names come from servers: they must not steer a terminal or forge a line. */
static void text_has_no_control_characters(void **state)
{
    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    nw_log(NW_LOG_INFO, "one\ntwo\rthree\x1b[2Jfour\x7f\tfive");
    assert_non_null(line_next());
    assert_non_null(strstr(line, "one two three [2Jfour  five"));
}

static void json_is_valid_whatever_the_bytes(void **state)
{
    static const char *const texts[] = {
        "\xff\xfe",      "cut \xe2\x82",           "alone \x80",
        "long \xc0\xaf", "half \xed\xa0\x80 pair", "high \xf4\x90\x80\x80"};
    json_t *json = NULL;

    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, true);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nw_log(NW_LOG_INFO, "%s", texts[i]);
        json_decref(json_next());
    }
    nw_log(NW_LOG_INFO, "kept: \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8b");
    json = json_next();
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        "kept: \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8b");
    json_decref(json);
}

/* Of a text too long, the beginning is written, as one whole line. */
static void a_long_message_is_cut(void **state)
{
    static char text[20000];

    (void)state;
    for (int json = 0; json < 2; json++) {
        for (int filler = 0; filler < 3; filler++) {
            for (size_t i = 0; i + 1 < sizeof text; i++) {
                text[i] = filler == 0 ? 'x' : filler == 1 ? '\x02' : "\xe2\x82\xac"[i % 3];
            }
            nw_log_setup(ends[1], NW_LOG_INFO, json == 1);
            nw_log(NW_LOG_INFO, "begin %s", text);
            if (json == 1) {
                json_decref(json_next());
            } else {
                assert_non_null(line_next());
            }
            assert_non_null(strstr(line, "begin "));
            assert_true(strlen(line) <= 4096);
        }
    }
}

/* ---- secrets ---- */

static void secrets_are_in_no_line(void **state)
{
    (void)state;
    nw_log_secret("canary-hunter2");
    nw_log_secret("canary\"q\\b");
    for (int json = 0; json < 2; json++) {
        nw_log_setup(ends[1], NW_LOG_INFO, json == 1);
        nw_log(NW_LOG_INFO, "password=canary-hunter2 url=pg://u:canary-hunter2@h canary\"q\\b");
        assert_non_null(line_next());
        assert_null(strstr(line, "canary"));
        assert_non_null(strstr(line, "password=*** url=pg://u:***@h ***"));
    }
}

static void a_secret_that_begins_with_another_is_gone_whole(void **state)
{
    char text[] = "short=canary-a long=canary-a-longer";

    (void)state;
    nw_log_secret("canary-a");
    nw_log_secret("canary-a-longer");
    nw_redact(text);
    assert_string_equal(text, "short=*** long=***");
}

/* Wherever a text is cut, no more of a secret may be left than what is too short to be one. */
static void a_cut_leaves_no_part_of_a_secret(void **state)
{
    static char text[8192];

    (void)state;
    nw_log_secret("canary-at-the-cut");
    for (int json = 0; json < 2; json++) {
        nw_log_setup(ends[1], NW_LOG_INFO, json == 1);
        for (size_t before = 3700; before < 4200; before++) {
            memset(text, 'x', before);
            memcpy(text + before, "canary-at-the-cut", sizeof "canary-at-the-cut");
            nw_log(NW_LOG_INFO, "%04zu%s", before, text); /* no line repeats */
            assert_non_null(line_next());
            assert_null(strstr(line, "cana"));
        }
    }
}

static void short_and_missing_secrets_are_ignored(void **state)
{
    char text[] = "abc is shown";

    (void)state;
    nw_log_secret("abc");
    nw_log_secret("");
    nw_log_secret(NULL);
    nw_redact(text);
    assert_string_equal(text, "abc is shown");
}

/* ---- threads ---- */

static void *thread_main(void *context)
{
    int number = *(int *)context;

    for (int i = 0; i < LINES; i++) {
        if (i == LINES / 2) {
            nw_log_secret(number % 2 == 0 ? "canary-even" : "canary-odd");
        }
        nw_log(NW_LOG_INFO, "thread %d line %d of many", number, i);
    }
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int next[THREADS] = {0};

    (void)state;
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS * LINES; i++) {
        int number = 0;
        int of = 0;
        ssize_t size = recv(ends[0], line, sizeof line - 1, 0);

        assert_true(size > 0);
        line[size] = '\0';
        assert_int_equal(sscanf(line + 24, " info thread %d line %d of many\n", &number, &of), 2);
        assert_in_range(number, 0, THREADS - 1);
        assert_int_equal(of, next[number]++);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_has_time_level_and_message, setup, teardown),
        cmocka_unit_test_setup_teardown(the_live_line_is_cleared_before_what_is_logged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(json_is_one_object, setup, teardown),
        cmocka_unit_test_setup_teardown(json_has_the_code_of_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_above_the_level_are_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(text_has_no_control_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_valid_whatever_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_message_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_in_no_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_secret_that_begins_with_another_is_gone_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cut_leaves_no_part_of_a_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(short_and_missing_secrets_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
