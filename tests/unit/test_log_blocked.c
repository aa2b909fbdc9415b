/* SPDX-License-Identifier: Apache-2.0 */
/* A log that nobody reads: no line waits, and what was lost is counted once it flows again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"

#define LINES 20000u

static int ends[2]; /* reader, writer */
static char got[1 << 22];
static size_t got_size;

static int teardown(void **state)
{
    (void)state;
    (void)alarm(0);
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

/* Adds to `got` all that comes; a terminal needs a moment to hand on what it has. */
static void drain(void)
{
    struct pollfd reader = {.fd = ends[0], .events = POLLIN};

    while (poll(&reader, 1, 100) == 1) {
        ssize_t more = read(ends[0], got + got_size, sizeof got - 1 - got_size);

        assert_true(more > 0);
        got_size += (size_t)more;
    }
    got[got_size] = '\0';
}

/* @return the message of the line at *at, which is moved behind it; NULL at the end */
static const char *message_next(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');

    if (end == NULL) {
        assert_int_equal(*line, '\0'); /* no half line is left */
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    assert_true(end - line > 31); /* behind time and level */
    return line + 31;
}

/* Writes more than is read: what comes is whole and in order, and the rest is counted. */
static void blocked_output_loses_and_counts(void)
{
    char *at = got;
    const char *message = NULL;
    unsigned next = 0; /* line of the series, those that are known to be lost included */
    unsigned lost = 0;

    got_size = 0;
    (void)alarm(20); /* a call that waits for ever ends the test program, and fails it */
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    for (unsigned i = 0; i < LINES; i++) {
        nw_log(NW_LOG_INFO, "line %u of many", i);
    }
    drain();
    nw_log(NW_LOG_INFO, "it flows again");
    drain();
    nw_log(NW_LOG_INFO, "and goes on");
    drain();
    while ((message = message_next(&at)) != NULL && strcmp(message, "it flows again") != 0) {
        unsigned number = 0;

        if (sscanf(message, "NW2007 %u lines were lost: the log was not read", &number) == 1) {
            lost += number;
            next += number;
        } else {
            assert_int_equal(sscanf(message, "line %u of many", &number), 1);
            assert_int_equal(number, next++);
        }
    }
    assert_int_equal(next, LINES);
    assert_in_range(lost, 1, LINES - 10);
    assert_string_equal(message_next(&at), "and goes on");
    assert_null(message_next(&at));
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others have it too */
}

static void a_full_pipe_stops_nobody(void **state)
{
    (void)state;
    assert_int_equal(pipe(ends), 0);
    blocked_output_loses_and_counts();
}

static void a_full_socket_stops_nobody(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    blocked_output_loses_and_counts();
}

/* A terminal takes a part of a line: the rest of it follows before the next. */
static void a_terminal_that_is_not_read_stops_nobody(void **state)
{
    struct termios plain;

    (void)state;
    if (openpty(&ends[0], &ends[1], NULL, NULL, NULL) != 0) {
        print_message("no pseudo-terminal can be opened here\n");
        skip();
    }
    assert_int_equal(tcgetattr(ends[1], &plain), 0);
    cfmakeraw(&plain);
    assert_int_equal(tcsetattr(ends[1], TCSANOW, &plain), 0);
    blocked_output_loses_and_counts();
}

/* Where the pipe cannot be opened again, poll() says whether there is room. */
static void a_pipe_that_cannot_be_opened_again_is_asked_first(void **state)
{
    static struct nw_output output;
    char line[100];
    uint32_t taken = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    got_size = 0;
    (void)alarm(20);
    nw_output_set(&output, ends[1]);
    assert_true(output.own >= 0);
    (void)close(output.own);
    output.own = -1;
    memset(line, 'x', sizeof line);
    while (taken < 100000 && nw_output_write(&output, line, sizeof line)) {
        taken++;
    }
    assert_in_range(taken, 10, 10000);
    drain();
    assert_int_equal(got_size, taken * sizeof line);
    assert_true(nw_output_write(&output, line, sizeof line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_full_pipe_stops_nobody, teardown),
        cmocka_unit_test_teardown(a_full_socket_stops_nobody, teardown),
        cmocka_unit_test_teardown(a_terminal_that_is_not_read_stops_nobody, teardown),
        cmocka_unit_test_teardown(a_pipe_that_cannot_be_opened_again_is_asked_first, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
