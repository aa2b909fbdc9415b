/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal tail`: changes as they happen, through a temporary slot that the server drops with the
 * connection, and a publication of its own that is dropped at the end (pipeline/tail.h). Main
 * thread; the signal handlers set flags, and cancel the statement that the server may keep waiting.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/tail_print.h"
#include "io/env.h"
#include "pg/catalog.h"
#include "pg/replication.h"
#include "pipeline/tail.h"

#define TABLES_MAX    64u
#define PATTERN_SIZE  160u
#define STATUS_NS     10000000000LL
#define POLL_MS_MAX   200
#define CATALOG_BYTES (256u << 20)
#define CONNECT_US    10000000
#define WAITING_S     3

static const char HELP[] =
    "usage: narwal tail DSN [--table T ...] [--publication P] [--limit N]\n"
    "                       [--json]\n\n"
    "Prints every committed change from now on, and leaves nothing on the server: it uses a "
    "temporary\n"
    "slot, and a publication of its own that it drops at the end (the next tail removes what a "
    "kill\n"
    "left). ^C ends it.\n\n"
    "  --table T          only this table; schema.table or table, with * and ?; may be repeated\n"
    "  --publication P    use this publication instead of making one\n"
    "  --json             a JSON object for each change, as docs/tail.md describes\n"
    "  --limit N          end after N changes (also --count N)\n\n"
    "exit codes: 0 ended as asked, 1 failed, 2 called wrongly\n";

static volatile sig_atomic_t stop_asked;
/* A session in a statement that may wait for others on the server. */
static struct nw_session *volatile waiting;

static void on_signal(int number)
{
    if (stop_asked != 0) {
        _exit(128 + number); /* the next tail removes the publication */
    }
    stop_asked = 1;
    if (waiting != NULL) {
        nw_session_cancel(waiting);
    }
}

static void on_alarm(int number)
{
    static const char text[] = "narwal: waiting for transactions or locks that others hold on the "
                               "server; ^C ends\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

    (void)number;
    (void)written;
}

struct tail {
    struct nw_pg_options connection;
    const char *publication; /* NULL: one of our own */
    struct nw_table_filter filter;
    uint64_t count_max; /* 0: no end */
    bool json;
    struct nw_env *env;
    struct nw_session *control;
    struct nw_session *walsender;
    struct nw_stream *stream;
    struct nw_receiver *receiver;
    struct nw_transmitter transmitter;
    struct nw_publications publications;
    struct nw_tail_name name; /* of the slot and our own publication */
    uint64_t received_lsn;
    bool reader_gone; /* of our output */
    struct nw_tail_printer printer;
};

/* ---- publications ---- */

/* From here to wait_ends() a signal cancels the statement. */
static void wait_begins(struct nw_session *session)
{
    waiting = session;
    (void)alarm(WAITING_S);
}

static void wait_ends(void)
{
    (void)alarm(0);
    waiting = NULL;
}

static nw_status publication_find(struct tail *tail, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (tail->publication != NULL) {
        return nw_tail_find(tail->control, tail->publication, &tail->publications, err);
    }
    wait_begins(tail->control);
    status = nw_tail_publish(tail->control, &tail->name, &tail->filter, &tail->publications, err);
    wait_ends();
    return status;
}

/* An empty tail would wait for ever. */
static nw_status tables_check(struct tail *tail, struct nw_error *err)
{
    const char *names[2] = {tail->publications.main, tail->publications.insert_only};
    struct nw_catalog_scope scope = {names, tail->publications.count};
    struct nw_catalog_tables tables = {0};
    struct nw_arena arena;
    size_t shown = 0;
    nw_status status = NW_OK;

    nw_arena_init(&arena, CATALOG_BYTES);
    status = nw_catalog_tables(tail->control, &scope, &arena, &tables, err);
    for (size_t i = 0; i < tables.count; i++) {
        shown += nw_table_filter_match(&tail->filter, tables.tables[i].schema_name,
                                       tables.tables[i].name);
    }
    if (status == NW_OK && shown == 0) {
        status =
            nw_fail(err, NW_FATAL, "NW1510 no published table matches: there is nothing to show");
    } else if (status == NW_OK) {
        (void)fprintf(stderr, "narwal: changes of %zu table%s; ^C ends\n", shown,
                      shown == 1 ? "" : "s");
    }
    nw_arena_fini(&arena);
    return status;
}

/* ---- the stream ---- */

static nw_status stream_open(struct tail *tail, struct nw_error *err)
{
    const char *names[2] = {tail->publications.main, tail->publications.insert_only};
    struct nw_slot_request request = {.name = tail->name.text, .temporary = true};
    struct nw_slot_created created = {0};
    struct nw_start start = {.slot = tail->name.text,
                             .publications = names,
                             .publications_count = tail->publications.count,
                             .messages = true};
    nw_status status = NW_OK;

    start.server_version = nw_session_server_version(tail->walsender);
    wait_begins(tail->walsender);
    status = nw_replication_create_slot(tail->walsender, &request, NULL, &created, err);
    wait_ends();
    if (status == NW_OK) {
        start.lsn = tail->received_lsn = created.consistent_lsn;
        status = nw_session_take_stream(tail->walsender, &tail->stream, err);
    }
    if (status == NW_OK) {
        nw_transmitter_init(&tail->transmitter, tail->stream);
        status = nw_receiver_create(tail->stream, &tail->receiver, err);
    }
    return status == NW_OK ? nw_start_queue(&start, &tail->transmitter, err) : status;
}

static void stream_close(struct tail *tail)
{
    nw_receiver_destroy(tail->receiver);
    if (tail->stream != NULL) {
        nw_transmitter_fini(&tail->transmitter);
        tail->stream->ops->destroy(tail->stream);
    }
    nw_session_close(tail->walsender);
}

static nw_status feedback(struct tail *tail, struct nw_error *err)
{
    uint8_t body[NW_STATUS_UPDATE_SIZE];
    struct nw_status_update update = {.written_lsn = tail->received_lsn,
                                      .flushed_lsn = tail->received_lsn,
                                      .applied_lsn = tail->received_lsn,
                                      .now_us = tail->env->ops->wall_us(tail->env)};

    nw_status_update_build(&update, body);
    return nw_transmitter_queue(&tail->transmitter, 'd', body, sizeof body, err);
}

static nw_status data_take(struct tail *tail, struct nw_bytes body, struct nw_error *err)
{
    struct nw_replication_message message;
    nw_status status = nw_replication_message_parse(body, &message, err);

    if (status == NW_OK && message.kind == 'w') {
        if (message.start_lsn > tail->received_lsn) {
            tail->received_lsn = message.start_lsn;
        }
        status = nw_tail_print(&tail->printer, message.data, err);
    } else if (status == NW_OK) {
        if (message.end_lsn > tail->received_lsn) {
            tail->received_lsn = message.end_lsn;
        }
        status = message.reply ? feedback(tail, err) : NW_OK;
    }
    return status;
}

static nw_status message_take(struct tail *tail, const struct nw_message *message,
                              struct nw_error *err)
{
    struct nw_server_error error;

    switch (message->type) {
    case 'd':
        return data_take(tail, message->body, err);
    case 'E':
        nw_server_error_parse(message->body, &error);
        return nw_fail(err, NW_FATAL, "NW2327 the server ended the stream: %s (%s)", error.message,
                       error.sqlstate);
    case 'c':
        return nw_fail(err, NW_FATAL, "NW2327 the server ended the stream");
    default: /* CopyBothResponse, notices, parameters */
        return NW_OK;
    }
}

static bool ended(const struct tail *tail)
{
    return stop_asked != 0 || tail->reader_gone ||
           (tail->count_max > 0 && tail->printer.changes >= tail->count_max);
}

/* Sleeps until bytes come, a signal does, or it is time. */
static void wait_for_bytes(struct tail *tail, int64_t now_ns)
{
    struct nw_wait wait = {.descriptor = -1, .deadline_ns = INT64_MAX};
    struct pollfd entries[2];
    int64_t ms = POLL_MS_MAX;

    nw_receiver_wait(tail->receiver, now_ns, &wait);
    if (wait.deadline_ns != INT64_MAX && (wait.deadline_ns - now_ns) / 1000000 < ms) {
        ms = wait.deadline_ns <= now_ns ? 0 : (wait.deadline_ns - now_ns) / 1000000;
    }
    entries[0] = (struct pollfd){.fd = wait.descriptor, .events = wait.events};
    entries[1] = (struct pollfd){.fd = STDOUT_FILENO}; /* for POLLERR */
    (void)poll(entries, 2, (int)ms);
    tail->reader_gone = (entries[1].revents & (POLLERR | POLLHUP)) != 0;
}

/* Whoever read the pipe has enough: that is an end as asked. A full disk is not. */
static nw_status output_check(struct tail *tail, struct nw_error *err)
{
    struct pollfd entry = {.fd = STDOUT_FILENO};

    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return NW_OK;
    }
    (void)poll(&entry, 1, 0);
    tail->reader_gone = (entry.revents & (POLLERR | POLLHUP)) != 0;
    return tail->reader_gone || stop_asked != 0
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1507 the output cannot be written");
}

/* Nothing to print: keep the connection alive, read, or sleep. */
static nw_status stream_turn(struct tail *tail, int64_t *fed_ns, struct nw_error *err)
{
    int64_t now_ns = tail->env->ops->now_ns(tail->env);
    size_t got = 0;
    nw_status status = NW_OK;

    if (now_ns - *fed_ns > STATUS_NS) {
        *fed_ns = now_ns;
        status = feedback(tail, err);
    }
    if (status == NW_OK) {
        status = nw_transmitter_flush(&tail->transmitter, err);
    }
    if (status == NW_OK || status == NW_AGAIN) {
        status = nw_receiver_fill(tail->receiver, now_ns, &got, err);
    }
    if (status == NW_AGAIN) {
        (void)fflush(stdout);
        wait_for_bytes(tail, now_ns);
        status = NW_OK;
    }
    return status;
}

static nw_status stream_follow(struct tail *tail, struct nw_error *err)
{
    int64_t fed_ns = tail->env->ops->now_ns(tail->env);
    nw_status status = NW_OK;

    while (status == NW_OK && !ended(tail) && ferror(stdout) == 0) {
        struct nw_message message;

        status = nw_receiver_next(tail->receiver, &message, err);
        if (status == NW_OK) {
            status = message_take(tail, &message, err);
        } else if (status == NW_AGAIN) {
            status = stream_turn(tail, &fed_ns, err);
        }
    }
    return status == NW_OK ? output_check(tail, err) : status;
}

/* ---- the command ---- */

static bool colour_wanted(void)
{
    const char *refused = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): no threads here */
    const char *terminal = getenv("TERM");    /* NOLINT(concurrency-mt-unsafe) */

    return isatty(STDOUT_FILENO) == 1 && (refused == NULL || refused[0] == '\0') &&
           terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static nw_status tail_open(struct tail *tail, struct nw_error *err)
{
    nw_status status = nw_env_system_create(NW_IO_PREAD, &tail->env, err);

    if (status == NW_OK) {
        status = nw_session_open(&tail->connection, true, &tail->walsender, err);
    }
    if (status == NW_OK) {
        status = nw_session_open(&tail->connection, false, &tail->control, err);
    }
    if (status == NW_OK) {
        status = nw_tail_claim(tail->walsender, &tail->name, err);
    }
    if (status == NW_OK) {
        status = nw_tail_reap(tail->control, err);
    }
    if (status == NW_OK && stop_asked == 0) {
        status = publication_find(tail, err);
    }
    if (status == NW_OK && stop_asked == 0) {
        status = tables_check(tail, err);
    }
    return status;
}

static nw_status tail_run(struct tail *tail, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = tail_open(tail, err);
    bool streams = false;

    if (status == NW_OK && stop_asked == 0) {
        nw_tail_printer_init(&tail->printer, stdout, &tail->filter);
        tail->printer.json = tail->json;
        tail->printer.colour = !tail->json && colour_wanted();
        status = stream_open(tail, err);
        streams = status == NW_OK;
        if (streams) {
            status = stream_follow(tail, err);
        }
        nw_tail_printer_fini(&tail->printer);
    }
    stream_close(tail);
    if (tail->publication == NULL &&
        nw_tail_clean(tail->control, &tail->connection, &tail->name, &why) != NW_OK) {
        nw_complain("NW1513 publication %s stays on the server: %s; the next tail removes it",
                    tail->name.text, nw_code_rest(why.text));
    }
    nw_session_close(tail->control);
    nw_env_system_destroy(tail->env);
    if (stop_asked != 0) {
        return NW_OK; /* what was cancelled for it is no failure */
    }
    if (streams && status != NW_OK) {
        why = *err;
        return nw_fail(err, status, "%s. The changes since then are not shown; start tail anew",
                       why.text);
    }
    return status;
}

/* "users" means a table of that name in any schema. */
static bool patterns_make(const char *const *tables, uint32_t count,
                          char patterns[TABLES_MAX][PATTERN_SIZE], const char **include)
{
    for (uint32_t i = 0; i < count; i++) {
        if (snprintf(patterns[i], PATTERN_SIZE, "%s%s", strchr(tables[i], '.') == NULL ? "*." : "",
                     tables[i]) >= (int)PATTERN_SIZE) {
            nw_complain("NW1501 --table %s is too long for a table's name", tables[i]);
            return false;
        }
        include[i] = patterns[i];
    }
    include[count] = NULL;
    return true;
}

static bool count_read(const char *name, const char *text, uint64_t *count)
{
    char *end = NULL;

    if (text == NULL) {
        return true;
    }
    *count = strtoull(text, &end, 10);
    if (*end != '\0' || text[0] < '1' || text[0] > '9') {
        nw_complain("NW1501 --%s %s is no number of changes", name, text);
        return false;
    }
    return true;
}

/* Without SA_RESTART, so that a write to a full pipe ends too. */
static void signals_set(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    action.sa_handler = on_alarm;
    (void)sigaction(SIGALRM, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

int nw_cmd_tail(int argc, char **argv)
{
    static char patterns[TABLES_MAX][PATTERN_SIZE];
    static const char *include[TABLES_MAX + 1];
    const char *tables[TABLES_MAX];
    uint32_t tables_count = 0;
    const char *count = NULL;
    const char *limit = NULL;
    const char *rest[1] = {NULL};
    int code = 0;
    struct nw_error err = {0};
    struct tail tail = {
        .connection = {.application_name = "narwal tail", .connect_timeout_us = CONNECT_US}};
    const struct nw_argument known[] = {
        {.name = "table", .list = tables, .list_count = &tables_count, .list_max = TABLES_MAX},
        {.name = "publication", .value = &tail.publication},
        {.name = "json", .flag = &tail.json},
        {.name = "limit", .value = &limit},
        {.name = "count", .value = &count},
        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] == NULL) {
        nw_complain("NW1501 of which database? narwal tail postgresql://you@host/db");
        return NW_EXIT_USAGE;
    }
    if (!count_read("limit", limit, &tail.count_max) ||
        !count_read("count", count, &tail.count_max) ||
        !patterns_make(tables, tables_count, patterns, include)) {
        return NW_EXIT_USAGE;
    }
    tail.connection.dsn = rest[0];
    tail.filter.include = include;
    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    signals_set();
    if (tail_run(&tail, &err) != NW_OK) {
        nw_complain_error(&err);
        return NW_EXIT_FAILED;
    }
    return 0;
}
