/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance runner: runs the cases in a child process and passes on its lines. See check.h.
 * The parent's thread reads; everything of the plugin is the child's.
 */
#include "sink/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/errno.h"
#include "sink/check_private.h"

#define LINE_SIZE 2048

static void line_write(int pipe_end, const char *format, ...) NW_PRINTF(2, 3);

static void line_write(int pipe_end, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    size_t size;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    for (char *at = line; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at;
    }
    size = strlen(line);
    line[size++] = '\n';
    if (write(pipe_end, line, size) != (ssize_t)size) {
        _exit(2); /* nobody listens */
    }
}

/* A failed case leaves a sink in an unknown state: the next one begins with what recover() says. */
static bool case_prepare(struct nw_check *check)
{
    const struct nw_recovery *recovery;

    nw_check_close(check);
    if (!nw_check_open(check, 1)) {
        return false;
    }
    recovery = check->recovery;
    check->durable_size = 0;
    if (recovery->positions_count > 0) {
        check->durable_size = recovery->positions[0].size;
        memcpy(check->durable, recovery->positions[0].bytes, check->durable_size);
    }
    for (uint32_t i = 0; i < recovery->copies_count; i++) {
        uint32_t table = recovery->copies[i].relation_oid == nw_check_table(1)->relation_oid;

        if (!recovery->copies[i].complete &&
            !nw_check_resolve(check, table, recovery->copies[i].generation, NW_COPY_DISCARD)) {
            return false;
        }
    }
    return true;
}

/* Runs a case, and says what became of it. @return false: the next one starts anew. */
static bool case_run(struct nw_check *check, const struct nw_check_case *run, bool prepared,
                     int pipe_end)
{
    const char *skip = NULL;
    bool good = prepared;

    line_write(pipe_end, "case %s", run->name);
    if (run->stored && nw_check_stores_nothing(check)) {
        line_write(pipe_end, "skip  %s: it stores nothing (NW_SINK_STORES_NOTHING)", run->name);
        return prepared;
    }
    good = good || case_prepare(check);
    good = good && run->run(check, &skip);
    if (!good) {
        line_write(pipe_end, "FAIL  %s: %s", run->name, check->why);
    } else if (skip != NULL) {
        line_write(pipe_end, "skip  %s: %s", run->name, skip);
    } else {
        line_write(pipe_end, "ok    %s", run->name);
    }
    return good;
}

static void child_run(const struct nw_check_options *options, int pipe_end)
{
    struct nw_check *check = calloc(1, sizeof *check);
    bool good = true;

    if (check == NULL) {
        _exit(2);
    }
    check->options = options;
    check->lsn = 0x10000;
    check->next_id = 1;
    good = nw_check_open(check, 1);
    if (!good) {
        line_write(pipe_end, "case open");
        line_write(pipe_end, "FAIL  opens: %s", check->why);
        _exit(0);
    }
    for (uint32_t i = 0; i < nw_check_cases_count; i++) {
        good = case_run(check, &nw_check_cases[i], good, pipe_end);
        if (i == 0 && !good) {
            break; /* the place is not ours */
        }
    }
    _exit(0);
}

/* What the parent knows of the child. */
struct watch {
    const struct nw_check_options *options;
    uint32_t failed;
    char now[LINE_SIZE]; /* the case that runs */
    char line[LINE_SIZE];
    size_t size;
};

static void line_take(struct watch *watch)
{
    watch->line[watch->size] = '\0';
    watch->size = 0;
    if (strncmp(watch->line, "case ", 5) == 0) {
        (void)snprintf(watch->now, sizeof watch->now, "%s", watch->line + 5);
        return;
    }
    watch->now[0] = '\0';
    watch->failed += strncmp(watch->line, "FAIL", 4) == 0;
    watch->options->report(watch->options->context, watch->line);
}

static void bytes_take(struct watch *watch, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            line_take(watch);
        } else if (watch->size < sizeof watch->line - 1) {
            watch->line[watch->size++] = bytes[i];
        }
    }
}

/* Reads lines until the child ends. @return false: it hangs. */
static bool child_read(struct watch *watch, int pipe_end)
{
    ssize_t size = 0;

    do {
        struct pollfd poller = {.fd = pipe_end, .events = POLLIN};
        int ready = poll(&poller, 1, (int)NW_CHECK_SECONDS_MAX * 1000);
        char bytes[512];

        if (ready == 0) {
            return false;
        }
        size = ready < 0 ? -1 : read(pipe_end, bytes, sizeof bytes);
        if (size > 0) {
            bytes_take(watch, bytes, (size_t)size);
        }
    } while (size > 0 || (size < 0 && errno == EINTR));
    return true;
}

static void failure_report(struct watch *watch, const char *what, int number)
{
    char line[LINE_SIZE];

    watch->failed++;
    (void)snprintf(line, sizeof line, "FAIL  %.900s: the plugin %s %d",
                   watch->now[0] == '\0' ? "runs" : watch->now, what, number);
    watch->options->report(watch->options->context, line);
}

nw_status nw_check_run(const struct nw_check_options *options, uint32_t *failed,
                       struct nw_error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    int ends[2] = {-1, -1};
    int outcome = 0;
    bool hangs;
    pid_t child;

    if (watch == NULL || pipe(ends) != 0) {
        free(watch);
        return nw_fail(err, NW_FATAL, "NW2901 cannot make a pipe to the checked plugin: %s",
                       nw_errno_text(errno));
    }
    watch->options = options;
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        child_run(options, ends[1]);
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        free(watch);
        return nw_fail(err, NW_FATAL, "NW2901 cannot start a process for the plugin: %s",
                       nw_errno_text(errno));
    }
    hangs = !child_read(watch, ends[0]);
    if (hangs) {
        (void)kill(child, SIGKILL);
        failure_report(watch, "did not return; seconds waited:", (int)NW_CHECK_SECONDS_MAX);
    }
    while (waitpid(child, &outcome, 0) < 0 && errno == EINTR) {
    }
    if (!hangs && WIFSIGNALED(outcome)) {
        failure_report(watch, "crashed with signal", WTERMSIG(outcome));
    } else if (!hangs && WEXITSTATUS(outcome) != 0) {
        failure_report(watch, "ended the process with", WEXITSTATUS(outcome));
    }
    (void)close(ends[0]);
    *failed = watch->failed;
    free(watch);
    return NW_OK;
}
