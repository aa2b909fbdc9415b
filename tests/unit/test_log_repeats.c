/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines that repeat are left out, and counted. The clock is ours, so the source is included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

static time_t now_s = 1000;

static int test_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){.tv_sec = now_s};
    return 0;
}

#define clock_gettime test_clock_gettime
#include "base/log.c" /* NOLINT(bugprone-suspicious-include) */
#undef clock_gettime

#include <sys/socket.h>

static int ends[2];
static char got[8192];

static int setup(void **state)
{
    (void)state;
    now_s += 1000; /* what came before is forgotten */
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    nw_log(NW_LOG_INFO, "next test");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return -1;
    }
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

/* @return the message of the next line, NULL when there is none */
static const char *message_next(void)
{
    ssize_t size = recv(ends[0], got, sizeof got - 1, MSG_DONTWAIT);

    if (size <= 0) {
        return NULL;
    }
    got[size - 1] = '\0';
    return got + 31;
}

static void expect(const char *message)
{
    const char *next = message_next();

    assert_non_null(next);
    assert_string_equal(next, message);
}

static void ten_are_written_and_the_rest_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 47; i++) {
        nw_log(NW_LOG_WARN, "cannot connect to %s", "db1");
    }
    for (int i = 0; i < 10; i++) {
        expect("cannot connect to db1");
    }
    assert_null(message_next());
    now_s += 10;
    nw_log(NW_LOG_INFO, "connected");
    expect("left out 37 times: cannot connect to db1");
    expect("connected");
    assert_null(message_next());
}

static void a_count_has_the_code_of_the_line_first(void **state)
{
    (void)state;
    for (int i = 0; i < 14; i++) {
        nw_log(NW_LOG_WARN, "NW1115 cannot connect to %s", "db1");
    }
    for (int i = 0; i < 10; i++) {
        expect("NW1115 cannot connect to db1");
    }
    now_s += 10;
    nw_log(NW_LOG_INFO, "connected");
    expect("NW1115 left out 4 times: cannot connect to db1");
    expect("connected");
}

static void a_new_window_writes_again(void **state)
{
    (void)state;
    for (int window = 0; window < 3; window++) {
        for (int i = 0; i < 12; i++) {
            nw_log(NW_LOG_INFO, "again");
        }
        if (window > 0) {
            expect("left out 2 times: again");
        }
        for (int i = 0; i < 10; i++) {
            expect("again");
        }
        assert_null(message_next());
        now_s += 10;
    }
}

static void ten_are_not_too_many(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        nw_log(NW_LOG_INFO, "just enough");
        expect("just enough");
    }
    now_s += 10;
    nw_log(NW_LOG_INFO, "other");
    expect("other");
    assert_null(message_next());
}

static void other_levels_and_texts_are_other_lines(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        nw_log(NW_LOG_INFO, "line %d", i);
        assert_non_null(message_next());
    }
    for (int i = 0; i < 10; i++) {
        nw_log(NW_LOG_INFO, "same");
        expect("same");
    }
    nw_log(NW_LOG_ERROR, "same");
    expect("same");
    nw_log(NW_LOG_INFO, "same");
    assert_null(message_next());
}

/* More different lines than are remembered: the count of one that is pushed out is not lost. */
static void nothing_is_forgotten_uncounted(void **state)
{
    bool counted = false;

    (void)state;
    for (int i = 0; i < 15; i++) {
        nw_log(NW_LOG_INFO, "often");
    }
    for (int i = 0; i < 10; i++) {
        expect("often");
    }
    now_s += 1;
    for (unsigned i = 0; i < RECENT_MAX; i++) {
        for (unsigned j = 0; j < 20; j++) {
            nw_log(NW_LOG_INFO, "different %u", i);
        }
    }
    for (const char *next = message_next(); next != NULL; next = message_next()) {
        counted = counted || strcmp(next, "left out 5 times: often") == 0;
    }
    assert_true(counted);
}

static void lines_below_the_level_count_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        nw_log(NW_LOG_DEBUG, "quiet");
    }
    now_s += 10;
    nw_log(NW_LOG_INFO, "after");
    expect("after");
    assert_null(message_next());
}

static void a_count_shows_no_secret(void **state)
{
    (void)state;
    nw_log_secret("canary-repeated");
    for (int i = 0; i < 11; i++) {
        nw_log(NW_LOG_INFO, "login canary-repeated refused");
    }
    for (int i = 0; i < 10; i++) {
        expect("login *** refused");
    }
    now_s += 10;
    nw_log(NW_LOG_INFO, "after");
    expect("left out 1 times: login *** refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ten_are_written_and_the_rest_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_count_has_the_code_of_the_line_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_window_writes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_are_not_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(other_levels_and_texts_are_other_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_forgotten_uncounted, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_below_the_level_count_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_count_shows_no_secret, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
