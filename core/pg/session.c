/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL sessions over libpq. A session belongs to one thread; opening is a loop of PQconnectPoll, so
 * that errors carry their SQLSTATE and a hanging host of several does not use up the time of all.
 */
#include "pg/session.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "pg/conninfo.h"
#include "pg/explain.h"
#include "pg/lsn.h"
#include "pg/stream_open.h"
#include "pg/tls_probe.h"

#define CONNECT_TIMEOUT_DEFAULT_US 10000000
#define STOP_NOTICED_MS            100
#define COPY_GATHER_NS             200000

struct nw_session {
    PGconn *connection;
    PGcancel *cancel; /* immutable, so that any thread may use it */
    bool replication;
    bool taken; /* the stream has the socket */
    bool (*stopping)(void *context);
    void *stopping_context;
};

struct nw_rows {
    PGresult *result;
};

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void log_notice(void *context, const char *text)
{
    (void)context;
    nw_log(NW_LOG_DEBUG, "server notice: %.*s", (int)strcspn(text, "\n"), text);
}

/* OpenSSL writes without MSG_NOSIGNAL where libpq is not in between. */
static void ignore_sigpipe(void)
{
    struct sigaction action;

    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action = (struct sigaction){.sa_handler = SIG_IGN};
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

static nw_status lost(const struct nw_session *session, struct nw_error *err)
{
    const char *text = PQerrorMessage(session->connection);

    return nw_fail(err, NW_RETRY, "NW1117 the connection to %s broke: %.*s",
                   nw_session_host(session), (int)strcspn(text, "\n"), text);
}

static bool is_stopping(const struct nw_session *session)
{
    return session->stopping != NULL && session->stopping(session->stopping_context);
}

static nw_status stopped(const struct nw_session *session, struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "NW2005 stopped while %s was waited for",
                   nw_session_host(session));
}

/* Drive one attempt. @return false on timeout or stop; else the connection is OK or BAD. */
static bool drive(const struct nw_session *session, int64_t deadline_us)
{
    PGconn *connection = session->connection;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    while (PQstatus(connection) != CONNECTION_BAD) {
        struct pollfd entry = {.fd = PQsocket(connection),
                               .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left_us = deadline_us - now_us();

        if (left_us <= 0 || is_stopping(session)) {
            return false;
        }
        left_us =
            left_us < INT64_C(1000) * STOP_NOTICED_MS ? left_us : INT64_C(1000) * STOP_NOTICED_MS;
        if (poll(&entry, 1, (int)(left_us / 1000) + 1) > 0) {
            state = PQconnectPoll(connection);
        }
        if (state == PGRES_POLLING_OK || state == PGRES_POLLING_FAILED) {
            return true;
        }
    }
    return true;
}

static int64_t timeout_of(const struct nw_conninfo *info, const struct nw_pg_options *options)
{
    const char *text = nw_conninfo_get(info, "connect_timeout");
    long seconds = text == NULL ? 0 : strtol(text, NULL, 10);

    if (seconds > 0 && seconds < 86400) {
        return (int64_t)seconds * 1000000;
    }
    return options->connect_timeout_us > 0 ? options->connect_timeout_us
                                           : CONNECT_TIMEOUT_DEFAULT_US;
}

static const char *text_or(const char *text, const char *otherwise)
{
    return text == NULL || text[0] == '\0' ? otherwise : text;
}

static nw_status explain(struct nw_session *session, const struct nw_conninfo *info, bool timeout,
                         struct nw_error *err)
{
    PGconn *connection = session->connection;
    const char *user = nw_conninfo_get(info, "user");
    const char *host = text_or(PQhost(connection), "the server");
    char issuer[128];
    struct nw_connect_failure failure = {
        .text = PQerrorMessage(connection),
        .host = host,
        .user = text_or(user, text_or(PQuser(connection), "?")),
        .database = text_or(nw_conninfo_get(info, "dbname"), text_or(user, "?")),
        .replication = session->replication,
    };
    nw_status status;

    if (timeout) {
        return nw_fail(err, NW_RETRY, "NW1115 %s did not answer within the connection timeout",
                       host);
    }
    if (nw_connect_distrusts_ca(failure.text) &&
        nw_tls_probe_issuer(text_or(PQhostaddr(connection), host), PQport(connection), issuer,
                            sizeof issuer)) {
        failure.issuer = issuer;
    }
    status = nw_connect_explain(&failure, err);
    if (err != NULL) {
        nw_redact(err->text);
    }
    return status;
}

static nw_status connect_session(struct nw_session *session, struct nw_conninfo *info,
                                 int64_t timeout_us, struct nw_error *err)
{
    bool timeout;

    do {
        PQfinish(session->connection);
        session->connection = PQconnectStartParams((const char *const *)info->keywords,
                                                   (const char *const *)info->values, 0);
        if (session->connection == NULL) {
            return nw_fail(err, NW_RETRY, "no memory for a connection");
        }
        (void)PQsetErrorVerbosity(session->connection, PQERRORS_VERBOSE);
        (void)PQsetNoticeProcessor(session->connection, log_notice, NULL);
        timeout = !drive(session, now_us() + timeout_us);
        if (timeout && is_stopping(session)) {
            return stopped(session, err);
        }
    } while (timeout && nw_conninfo_skip_host(info));
    if (timeout || PQstatus(session->connection) != CONNECTION_OK) {
        return explain(session, info, timeout, err);
    }
    (void)PQsetErrorVerbosity(session->connection, PQERRORS_DEFAULT);
    session->cancel = PQgetCancel(session->connection);
    nw_log_secret(text_or(PQpass(session->connection), ""));
    return NW_OK;
}

bool nw_session_encoding_is_unknown(const struct nw_session *session)
{
    const char *encoding = PQparameterStatus(session->connection, "server_encoding");

    return encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0;
}

/* What cannot be in the startup packet: settings that older servers do not know and would refuse,
 * and an encoding that depends on the database's. SQL_ASCII is no encoding: there the server has
 * bytes, and asked for UTF-8 it ends the stream at the first that are none. */
static nw_status pin_later_settings(struct nw_session *session, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (nw_session_server_version(session) >= 170000) {
        status = nw_session_query(session, "SET transaction_timeout = 0", NULL, 0, NULL, NULL, err);
    }
    if (status == NW_OK && nw_session_encoding_is_unknown(session)) {
        status = nw_session_query(session, "SET client_encoding = 'SQL_ASCII'", NULL, 0, NULL, NULL,
                                  err);
    }
    return status;
}

nw_status nw_session_open(const struct nw_pg_options *options, bool replication,
                          struct nw_session **session, struct nw_error *err)
{
    struct nw_session *self = NULL;
    struct nw_conninfo info;
    nw_status status = nw_conninfo_init(&info, options, replication, err);

    if (status != NW_OK) {
        return status;
    }
    nw_log_secret(text_or(nw_conninfo_get(&info, "password"), ""));
    nw_log_secret(text_or(nw_conninfo_get(&info, "sslpassword"), ""));
    ignore_sigpipe();
    self = calloc(1, sizeof *self);
    if (self == NULL) {
        status = nw_fail(err, NW_RETRY, "no memory for a session");
        goto out;
    }
    self->replication = replication;
    self->stopping = options->stopping;
    self->stopping_context = options->stopping_context;
    status = connect_session(self, &info, timeout_of(&info, options), err);
    if (status == NW_FATAL && options->known && strncmp(nw_error_code(err), "NW1106", 6) == 0) {
        status = err->status = NW_RETRY;
    }
    if (status == NW_OK) {
        status = pin_later_settings(self, err);
    }
out:
    nw_conninfo_fini(&info);
    if (status == NW_OK) {
        *session = self;
    } else {
        nw_session_close(self);
    }
    return status;
}

void nw_session_close(struct nw_session *session)
{
    if (session != NULL) {
        PQfreeCancel(session->cancel);
        PQfinish(session->connection);
        free(session);
    }
}

/* What the server refused, as one sentence. */
static nw_status refused(const struct nw_session *session, const PGresult *result, char *sqlstate,
                         struct nw_error *err)
{
    const char *code = text_or(PQresultErrorField(result, PG_DIAG_SQLSTATE), "");
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    char words[512];

    (void)snprintf(words, sizeof words, "%s", text_or(text, "no reason given"));
    if (nw_server_words_hide(code, words, sizeof words)) {
        detail = hint = NULL;
    }
    if (sqlstate != NULL) {
        (void)snprintf(sqlstate, 6, "%s", code);
    }
    if (PQstatus(session->connection) != CONNECTION_OK || code[0] == '\0') {
        return lost(session, err);
    }
    (void)nw_fail(err, nw_sqlstate_status(code),
                  "NW1118 %s refused: %.400s%s%.250s%s%.150s (SQLSTATE %s)",
                  nw_session_host(session), words, detail == NULL ? "" : "; ", text_or(detail, ""),
                  hint == NULL ? "" : "; ", text_or(hint, ""), code);
    return nw_sqlstate_status(code);
}

/* Waits for one more result. @return NULL: there is none, or *stop was set. */
static PGresult *result_next(const struct nw_session *session, bool *stop)
{
    PGconn *connection = session->connection;

    while (PQisBusy(connection) != 0) {
        struct pollfd entry = {.fd = PQsocket(connection), .events = POLLIN};

        if (is_stopping(session)) {
            *stop = true;
            return NULL;
        }
        if (poll(&entry, 1, STOP_NOTICED_MS) > 0 && PQconsumeInput(connection) == 0) {
            break; /* the next result says why */
        }
    }
    return PQgetResult(connection);
}

/* What was sent is answered, or a stop ends the wait. The last result, or NULL. */
static PGresult *answer_wait(const struct nw_session *session, int sent, bool *stop)
{
    PGconn *connection = session->connection;
    PGresult *last = NULL;

    while (sent != 0) {
        PGresult *next = result_next(session, stop);
        ExecStatusType outcome = PQresultStatus(next);

        if (next == NULL) {
            break;
        }
        PQclear(last);
        last = next;
        if (outcome == PGRES_COPY_IN || outcome == PGRES_COPY_OUT || outcome == PGRES_COPY_BOTH ||
            PQstatus(connection) == CONNECTION_BAD) {
            break;
        }
    }
    if (*stop) {
        PQclear(last);
        last = NULL;
    }
    return last;
}

/* As PQexec() and PQexecParams(), but a stop ends the wait. */
static PGresult *execute(const struct nw_session *session, const char *sql,
                         const char *const *params, int params_count, bool *stop)
{
    PGconn *connection = session->connection;

    return answer_wait(session,
                       params_count == 0 ? PQsendQuery(connection, sql)
                                         : PQsendQueryParams(connection, sql, params_count, NULL,
                                                             params, NULL, NULL, 0),
                       stop);
}

nw_status nw_session_parse(struct nw_session *session, const char *sql, char *sqlstate,
                           struct nw_error *err)
{
    bool stop = false;
    PGresult *result = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(!session->taken && !session->replication);
    sqlstate[0] = '\0';
    result = answer_wait(session, PQsendPrepare(session->connection, "", sql, 0, NULL), &stop);
    if (result == NULL) {
        return stop ? stopped(session, err) : lost(session, err);
    }
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        status = refused(session, result, sqlstate, err);
    }
    PQclear(result);
    return status;
}

/* NOLINTNEXTLINE(readability-function-size): one call for all that SQL needs */
nw_status nw_session_query(struct nw_session *session, const char *sql, const char *const *params,
                           int params_count, char *sqlstate, struct nw_rows **rows,
                           struct nw_error *err)
{
    PGresult *result = NULL;
    nw_status status = NW_OK;
    bool stop = false;

    NW_ASSERT(!session->taken);
    NW_ASSERT(params_count == 0 || !session->replication);
    if (sqlstate != NULL) {
        sqlstate[0] = '\0';
    }
    result = execute(session, sql, params, params_count, &stop);
    if (result == NULL) {
        return stop ? stopped(session, err) : lost(session, err);
    }

    ExecStatusType outcome = PQresultStatus(result);

    if (outcome == PGRES_BAD_RESPONSE || outcome == PGRES_FATAL_ERROR) {
        status = refused(session, result, sqlstate, err);
    } else if (outcome != PGRES_TUPLES_OK && outcome != PGRES_COMMAND_OK &&
               outcome != PGRES_EMPTY_QUERY) {
        status = nw_fail(err, NW_FATAL, "NW2903 a statement that copies cannot be run here: %.100s",
                         sql);
    }
    if (status == NW_OK && rows != NULL) {
        *rows = malloc(sizeof **rows);
        if (*rows != NULL) {
            (*rows)->result = result;
            return NW_OK;
        }
        status = nw_fail(err, NW_RETRY, "no memory for a result");
    }
    PQclear(result);
    return status;
}

/* Who takes what a COPY sends. */
struct copy_taker {
    bool (*take)(void *context, const void *bytes, size_t size);
    void *context;
    bool enough;
};

/* The server sends row by row: who wakes up for each of them slows it down. */
static nw_status copy_wait(const struct nw_session *session, struct nw_error *err)
{
    struct pollfd entry = {.fd = PQsocket(session->connection), .events = POLLIN};

    if (is_stopping(session)) {
        return stopped(session, err);
    }
    if (poll(&entry, 1, STOP_NOTICED_MS) <= 0) {
        return NW_OK;
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = COPY_GATHER_NS}, NULL);
    return PQconsumeInput(session->connection) == 0 ? lost(session, err) : NW_OK;
}

/* Until it ends. Once enough was taken the rest is only read. */
static nw_status copy_receive(const struct nw_session *session, struct copy_taker *taker,
                              struct nw_error *err)
{
    nw_status status = NW_OK;
    char *bytes = NULL;
    int size = 0;

    while (status == NW_OK && (size = PQgetCopyData(session->connection, &bytes, 1)) >= 0) {
        if (size == 0) {
            status = copy_wait(session, err);
            continue;
        }
        if (!taker->enough && !taker->take(taker->context, bytes, (size_t)size)) {
            taker->enough = true;
            nw_session_cancel(session);
        }
        PQfreemem(bytes);
    }
    return status == NW_OK && size != -1 ? lost(session, err) : status;
}

/* One result of the statements. That of a COPY which was given up is no failure. */
static nw_status copy_result(const struct nw_session *session, const PGresult *result,
                             struct copy_taker *taker, char *sqlstate, struct nw_error *err)
{
    ExecStatusType outcome = PQresultStatus(result);

    if (outcome == PGRES_COPY_OUT) {
        return copy_receive(session, taker, err);
    }
    if (outcome != PGRES_BAD_RESPONSE && outcome != PGRES_FATAL_ERROR) {
        return NW_OK;
    }
    return taker->enough && PQstatus(session->connection) == CONNECTION_OK
               ? NW_OK
               : refused(session, result, sqlstate, err);
}

nw_status nw_session_copy(struct nw_session *session, const char *sql,
                          bool (*take)(void *context, const void *bytes, size_t size),
                          void *context, char *sqlstate, struct nw_error *err)
{
    struct copy_taker taker = {.take = take, .context = context};
    bool stop = false;
    nw_status status = NW_OK;
    PGresult *result = NULL;

    NW_ASSERT(!session->taken);
    sqlstate[0] = '\0';
    if (PQsendQuery(session->connection, sql) == 0) {
        return lost(session, err);
    }
    while ((status == NW_OK || sqlstate[0] != '\0') &&
           (result = result_next(session, &stop)) != NULL) {
        nw_status each = copy_result(session, result, &taker, sqlstate, err);

        status = status == NW_OK ? each : status;
        PQclear(result);
    }
    if (stop) {
        return stopped(session, err);
    }
    return status == NW_OK && taker.enough ? NW_AGAIN : status;
}

void nw_session_cancel(const struct nw_session *session)
{
    char ignored[256];

    /* Whether it came through shows in how the statement ends. */
    if (session->cancel != NULL) {
        (void)PQcancel(session->cancel, ignored, sizeof ignored);
    }
}

/* The session that waits, taken by whoever cancels it; and whether someone is doing so. */
static _Atomic(struct nw_session *) waiting;
static atomic_bool cancelling;

void nw_session_wait_mark(struct nw_session *session)
{
    /* Sequentially consistent with nw_session_wait_cancel(): it sees NULL, or we see it at work. */
    atomic_store(&waiting, session);
    while (session == NULL && atomic_load(&cancelling)) {
        (void)sched_yield();
    }
}

void nw_session_wait_cancel(void)
{
    struct nw_session *taken = NULL;

    atomic_store(&cancelling, true);
    taken = atomic_exchange(&waiting, NULL);
    if (taken != NULL) {
        nw_session_cancel(taken);
    }
    atomic_store(&cancelling, false);
}

int nw_rows_count(const struct nw_rows *rows)
{
    return rows == NULL ? 0 : PQntuples(rows->result);
}

const char *nw_rows_text(const struct nw_rows *rows, int row, int column)
{
    NW_ASSERT(row < PQntuples(rows->result) && column < PQnfields(rows->result));
    return PQgetisnull(rows->result, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

uint64_t nw_rows_u64(const struct nw_rows *rows, int row, int column)
{
    const char *text = nw_rows_text(rows, row, column);

    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

bool nw_rows_bool(const struct nw_rows *rows, int row, int column)
{
    const char *text = nw_rows_text(rows, row, column);

    return text != NULL && text[0] == 't';
}

uint64_t nw_rows_lsn(const struct nw_rows *rows, int row, int column)
{
    uint64_t lsn = 0;

    (void)nw_lsn_parse(nw_rows_text(rows, row, column), &lsn);
    return lsn;
}

void nw_rows_free(struct nw_rows *rows)
{
    if (rows != NULL) {
        PQclear(rows->result);
        free(rows);
    }
}

/* Copy what libpq quoted, and free it. */
static nw_status append(struct nw_session *session, char *quoted, char *out, size_t out_size,
                        struct nw_error *err)
{
    size_t used = strnlen(out, out_size);
    nw_status status = NW_OK;

    if (quoted == NULL) {
        const char *text = PQerrorMessage(session->connection);

        return nw_fail(err, NW_FATAL, "NW2903 a name cannot be quoted: %.*s",
                       (int)strcspn(text, "\n"), text);
    }
    if (strlen(quoted) >= out_size - used) {
        status = nw_fail(err, NW_FATAL, "NW2903 a statement is longer than %zu bytes", out_size);
    } else {
        memcpy(out + used, quoted, strlen(quoted) + 1);
    }
    PQfreemem(quoted);
    return status;
}

nw_status nw_session_quote_name(struct nw_session *session, const char *name, char *out,
                                size_t out_size, struct nw_error *err)
{
    return append(session, PQescapeIdentifier(session->connection, name, strlen(name)), out,
                  out_size, err);
}

nw_status nw_session_quote_literal(struct nw_session *session, const char *text, char *out,
                                   size_t out_size, struct nw_error *err)
{
    return append(session, PQescapeLiteral(session->connection, text, strlen(text)), out, out_size,
                  err);
}

int nw_session_server_version(const struct nw_session *session)
{
    return PQserverVersion(session->connection);
}

int nw_session_backend_pid(const struct nw_session *session)
{
    return PQbackendPID(session->connection);
}

const char *nw_session_host(const struct nw_session *session)
{
    return text_or(PQhost(session->connection), "the server");
}

bool nw_session_is_replication(const struct nw_session *session)
{
    return session->replication;
}

bool nw_session_in_transaction(const struct nw_session *session)
{
    return PQtransactionStatus(session->connection) != PQTRANS_IDLE;
}

nw_status nw_session_take_stream(struct nw_session *session, struct nw_stream **stream,
                                 struct nw_error *err)
{
    PGconn *connection = session->connection;
    nw_status status;

    NW_ASSERT(!session->taken);
    if (PQstatus(connection) != CONNECTION_OK) {
        return lost(session, err);
    }
    if (PQtransactionStatus(connection) != PQTRANS_IDLE) {
        return nw_fail(err, NW_FATAL,
                       "NW2903 the connection to %s is in the middle of a transaction",
                       nw_session_host(session));
    }
    if (PQsslInUse(connection)) {
        SSL *ssl = PQsslStruct(connection, "OpenSSL");

        if (ssl == NULL) {
            return nw_fail(err, NW_FATAL,
                           "NW1120 libpq was built with another TLS library than OpenSSL");
        }
        status = nw_stream_open_tls(PQsocket(connection), ssl, stream, err);
    } else {
        status = nw_stream_open_socket(PQsocket(connection), stream, err);
    }
    session->taken = status == NW_OK;
    /* PQfinish() must not wait for a server that does not read. */
    (void)PQsetnonblocking(connection, 1);
    return status;
}
