/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal tail`: changes as they happen, through a temporary slot that the server drops with the
 * connection, and a publication of its own that is dropped at the end. What a kill left behind the
 * next tail removes. Main thread.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/tail_print.h"
#include "io/env.h"
#include "pg/catalog.h"
#include "pg/replication.h"
#include "pipeline/publication.h"

#define TABLES_MAX    64u
#define PATTERN_SIZE  160u
#define STATUS_NS     10000000000LL
#define POLL_MS_MAX   200
#define CATALOG_BYTES (256u << 20)
#define CONNECT_US    10000000
#define PUBLICATION   "narwal_tail_"

static const char HELP[] =
    "usage: narwal tail DSN [--table T ...] [--publication P] [--count N]\n\n"
    "Prints every committed change from now on, and leaves nothing on the server: it uses a "
    "temporary\n"
    "slot, and a publication of its own that it drops at the end (the next tail removes what a "
    "kill\n"
    "left). ^C ends it.\n\n"
    "  --table T          only this table; schema.table or table, with * and ?; may be repeated\n"
    "  --publication P    use this publication instead of making one\n"
    "  --count N          end after N changes\n\n"
    "exit codes: 0 ended as asked, 1 failed, 2 called wrongly\n";

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

struct tail {
    struct nw_pg_options connection;
    const char *publication; /* NULL: one of our own */
    struct nw_table_filter filter;
    uint64_t count_max; /* 0: no end */
    struct nw_env *env;
    struct nw_session *control;
    struct nw_session *walsender;
    struct nw_stream *stream;
    struct nw_receiver *receiver;
    struct nw_transmitter transmitter;
    struct nw_publications publications;
    char own[NW_PUBLICATION_NAME_SIZE]; /* "" : none was made */
    uint64_t received_lsn;
    struct nw_tail_printer printer;
};

/* ---- publications ---- */

static nw_status publication_drop(struct nw_session *session, const char *name,
                                  struct nw_error *err)
{
    char sql[256] = "DROP PUBLICATION IF EXISTS ";
    nw_status status = nw_session_quote_name(session, name, sql, sizeof sql, err);

    return status == NW_OK ? nw_session_query(session, sql, NULL, 0, NULL, NULL, err) : status;
}

/* Publications of tails whose connection is gone: the name ends in the server process of it. */
static nw_status leftovers_drop(struct tail *tail, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        tail->control,
        "SELECT pubname FROM pg_publication WHERE pubname ~ '^" PUBLICATION
        "[0-9]{1,9}(_insert_only)?$' AND pg_has_role(pubowner, 'USAGE') AND NOT EXISTS (SELECT "
        "FROM "
        "pg_stat_activity WHERE pid = substring(pubname FROM '[0-9]+')::int AND datname = "
        "current_database())",
        NULL, 0, NULL, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        status = publication_drop(tail->control, nw_rows_text(rows, i, 0), err);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status publication_find(struct tail *tail, struct nw_error *err)
{
    struct nw_publication_options options = {.name = tail->publication, .filter = tail->filter};

    if (tail->publication == NULL) {
        (void)snprintf(tail->own, sizeof tail->own, PUBLICATION "%d",
                       nw_session_backend_pid(tail->control));
        options.name = tail->own;
        options.create = options.first = true;
    }
    return nw_publications_ensure(tail->control, &options, &tail->publications, err);
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
        status = nw_fail(err, NW_FATAL, "no published table matches: there is nothing to show");
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
    char slot[NW_SLOT_NAME_SIZE];
    struct nw_slot_request request = {.name = slot, .temporary = true};
    struct nw_slot_created created = {0};
    struct nw_start start = {.slot = slot,
                             .publications = names,
                             .publications_count = tail->publications.count,
                             .messages = true};
    nw_status status = nw_session_open(&tail->connection, true, &tail->walsender, err);

    if (status != NW_OK) {
        return status;
    }
    (void)snprintf(slot, sizeof slot, PUBLICATION "%d", nw_session_backend_pid(tail->walsender));
    start.server_version = nw_session_server_version(tail->walsender);
    status = nw_replication_create_slot(tail->walsender, &request, NULL, &created, err);
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
        return nw_fail(err, NW_FATAL, "the server ended the stream: %s (%s)", error.message,
                       error.sqlstate);
    case 'c':
        return nw_fail(err, NW_FATAL, "the server ended the stream");
    default: /* CopyBothResponse, notices, parameters */
        return NW_OK;
    }
}

static bool ended(const struct tail *tail)
{
    return stop_asked != 0 || (tail->count_max > 0 && tail->printer.changes >= tail->count_max &&
                               !tail->printer.begun);
}

/* Sleeps until bytes come, a signal does, or it is time. */
static void wait_for_bytes(struct tail *tail, int64_t now_ns)
{
    struct nw_wait wait = {.descriptor = -1, .deadline_ns = INT64_MAX};
    struct pollfd entry;
    int64_t ms = POLL_MS_MAX;

    nw_receiver_wait(tail->receiver, now_ns, &wait);
    if (wait.deadline_ns != INT64_MAX && (wait.deadline_ns - now_ns) / 1000000 < ms) {
        ms = wait.deadline_ns <= now_ns ? 0 : (wait.deadline_ns - now_ns) / 1000000;
    }
    entry = (struct pollfd){.fd = wait.descriptor, .events = wait.events};
    (void)poll(&entry, 1, (int)ms);
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

    /* An error on stdout: the reader of a pipe is gone. */
    while (status == NW_OK && !ended(tail) && ferror(stdout) == 0) {
        struct nw_message message;

        status = nw_receiver_next(tail->receiver, &message, err);
        if (status == NW_OK) {
            status = message_take(tail, &message, err);
        } else if (status == NW_AGAIN) {
            status = stream_turn(tail, &fed_ns, err);
        }
    }
    (void)fflush(stdout);
    return status;
}

/* ---- the command ---- */

static nw_status tail_run(struct tail *tail, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = nw_env_system_create(NW_IO_PREAD, &tail->env, err);

    if (status == NW_OK) {
        status = nw_session_open(&tail->connection, false, &tail->control, err);
    }
    if (status == NW_OK) {
        status = leftovers_drop(tail, err);
    }
    if (status == NW_OK) {
        status = publication_find(tail, err);
    }
    if (status == NW_OK) {
        status = tables_check(tail, err);
    }
    if (status == NW_OK) {
        nw_tail_printer_init(&tail->printer, stdout, &tail->filter);
        status = stream_open(tail, err);
        if (status == NW_OK) {
            status = stream_follow(tail, err);
        }
        nw_tail_printer_fini(&tail->printer);
        stream_close(tail);
    }
    for (unsigned i = 0; i < 2 && tail->own[0] != '\0'; i++) {
        char name[NW_PUBLICATION_NAME_SIZE + 16];

        (void)snprintf(name, sizeof name, "%s%s", tail->own, i == 0 ? "" : "_insert_only");
        if (publication_drop(tail->control, name, &why) != NW_OK) {
            nw_complain("publication %s stays on the server: %s; to remove it: DROP PUBLICATION %s",
                        name, why.text, name);
        }
    }
    nw_session_close(tail->control);
    nw_env_system_destroy(tail->env);
    return status;
}

/* "users" means a table of that name in any schema. */
static void patterns_make(const char *const *tables, uint32_t count,
                          char patterns[TABLES_MAX][PATTERN_SIZE], const char **include)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(patterns[i], PATTERN_SIZE, "%s%s",
                       strchr(tables[i], '.') == NULL ? "*." : "", tables[i]);
        include[i] = patterns[i];
    }
    include[count] = NULL;
}

int nw_cmd_tail(int argc, char **argv)
{
    static char patterns[TABLES_MAX][PATTERN_SIZE];
    static const char *include[TABLES_MAX + 1];
    const char *tables[TABLES_MAX];
    uint32_t tables_count = 0;
    const char *count = NULL;
    const char *rest[1] = {NULL};
    bool helped = false;
    struct nw_error err = {0};
    struct tail tail = {
        .connection = {.application_name = "narwal tail", .connect_timeout_us = CONNECT_US}};
    struct sigaction action = {.sa_handler = on_signal};
    const struct nw_argument known[] = {
        {.name = "table", .list = tables, .list_count = &tables_count, .list_max = TABLES_MAX},
        {.name = "publication", .value = &tail.publication},
        {.name = "count", .value = &count},
        {.name = NULL}};

    if (!nw_arguments_read(argc, argv, known, HELP, rest, 1, &helped)) {
        return helped ? 0 : NW_EXIT_USAGE;
    }
    if (rest[0] == NULL) {
        nw_complain("of which database? narwal tail postgresql://you@host/db");
        return NW_EXIT_USAGE;
    }
    if (count != NULL) {
        char *end = NULL;

        tail.count_max = strtoull(count, &end, 10);
        if (*end != '\0' || count[0] < '1' || count[0] > '9') {
            nw_complain("--count %s is no number of changes", count);
            return NW_EXIT_USAGE;
        }
    }
    tail.connection.dsn = rest[0];
    patterns_make(tables, tables_count, patterns, include);
    tail.filter.include = include;
    nw_log_setup(STDERR_FILENO, NW_LOG_ERROR, false);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    if (tail_run(&tail, &err) != NW_OK) {
        nw_complain("%s", err.text);
        return NW_EXIT_FAILED;
    }
    return 0;
}
