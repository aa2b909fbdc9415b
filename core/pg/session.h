/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL sessions: blocking, through libpq, one thread each. Every session, replication ones too, has
 * the same pinned settings (DateStyle ISO, IntervalStyle postgres, TimeZone UTC,
 * extra_float_digits 3, bytea_output hex, search_path pg_catalog, client_encoding UTF8 (SQL_ASCII
 * in a database that has that encoding), lc_monetary C, quote_all_identifiers off,
 * statement_timeout, lock_timeout, idle timeouts 0), sent in the startup packet so that ALTER ROLE
 * ... SET cannot change what values look like.
 */
#ifndef NW_PG_SESSION_H
#define NW_PG_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/stream.h"
#include <narwal/status.h>

/** How to reach the server. Borrowed strings. */
struct nw_pg_options {
    const char *dsn;      /* conninfo or URI, as libpq takes it */
    const char *password; /* NULL: as libpq finds it (passfile, service) */
    /** The same with references to secrets (config/secret.h), which are read for each connection: a
     * password that was exchanged meanwhile is the new one. NULL: there are none. */
    const char *dsn_source, *password_source;
    bool known; /* it was let in before: a password that is refused is about to be exchanged */
    const char *application_name;
    int64_t connect_timeout_us;
    /** Asked about every 100 ms by the thread that waits for the server, also in every statement of
     * the session: true ends the wait with NW_RETRY, and the session is only good to be closed.
     * NULL: never. */
    bool (*stopping)(void *context);
    void *stopping_context;
};

struct nw_session;
struct nw_rows;

/**
 * Connect. TLS: unless the DSN says sslmode, a host that is neither local nor a unix socket gets
 * verify-full, with the distribution's CA bundle where no sslrootcert is given.
 * @param replication  a logical replication connection (replication=database).
 */
NW_MUST_CHECK nw_status nw_session_open(const struct nw_pg_options *options, bool replication,
                                        struct nw_session **session, struct nw_error *err);
void nw_session_close(struct nw_session *session); /* NULL is fine */

/**
 * Run one statement; parameters are text, NULL for NULL. On a replication connection no parameters.
 * @param sqlstate  6 bytes, filled with the server's code when it refused; may be NULL.
 * @param rows      give; may be NULL.
 * @return NW_RETRY when the connection broke or the server cannot now; NW_FATAL when it refused.
 */
NW_MUST_CHECK nw_status nw_session_query(struct nw_session *session, const char *sql,
                                         const char *const *params, int params_count,
                                         char *sqlstate, struct nw_rows **rows,
                                         struct nw_error *err);
/**
 * Have the server read one statement, names in it as well, without running it.
 * @param sqlstate  6 bytes, filled as by nw_session_query(): 42601 also where it is several.
 */
NW_MUST_CHECK nw_status nw_session_parse(struct nw_session *session, const char *sql,
                                         char *sqlstate, struct nw_error *err);
/**
 * Run statements of which one is COPY ... TO STDOUT, and hand over what it sends, message by
 * message. When a statement fails, those behind it are not run; an open transaction then waits for
 * its ROLLBACK.
 * @param take      false: enough; the rest is cancelled, which ends the transaction in failure.
 * @param sqlstate  6 bytes, filled as by nw_session_query().
 * @return NW_AGAIN when enough was taken; err is not filled then.
 */
NW_MUST_CHECK nw_status nw_session_copy(struct nw_session *session, const char *sql,
                                        bool (*take)(void *context, const void *bytes, size_t size),
                                        void *context, char *sqlstate, struct nw_error *err);
/**
 * Ask the server to stop what the session's statement does; that call then returns NW_RETRY
 * (57014). Any thread, while the session is open; blocks for a connection's time.
 */
void nw_session_cancel(const struct nw_session *session);
/**
 * Mark the session whose next statement may wait for others on the server, so that a signal can end
 * it; NULL: none any more, before it is closed. One thread at a time.
 */
void nw_session_wait_mark(struct nw_session *session);
/** Cancel the statement of the session that is marked. For a signal handler. */
void nw_session_wait_cancel(void);
int nw_rows_count(const struct nw_rows *rows); /* NULL: 0 */
/** NULL for SQL NULL. Valid until nw_rows_free. */
const char *nw_rows_text(const struct nw_rows *rows, int row, int column);
uint64_t nw_rows_u64(const struct nw_rows *rows, int row, int column); /* 0 for NULL */
bool nw_rows_bool(const struct nw_rows *rows, int row, int column);
uint64_t nw_rows_lsn(const struct nw_rows *rows, int row,
                     int column);        /* "3A/8F0012C8"; 0 for NULL */
void nw_rows_free(struct nw_rows *rows); /* NULL is fine */

/** Append an identifier or a literal, quoted by libpq for this connection, to a text. */
NW_MUST_CHECK nw_status nw_session_quote_name(struct nw_session *session, const char *name,
                                              char *out, size_t out_size, struct nw_error *err);
NW_MUST_CHECK nw_status nw_session_quote_literal(struct nw_session *session, const char *text,
                                                 char *out, size_t out_size, struct nw_error *err);

int nw_session_server_version(const struct nw_session *session); /* 150018 */
/** Whether the database's encoding is SQL_ASCII: its text may be any bytes. */
bool nw_session_encoding_is_unknown(const struct nw_session *session);
int nw_session_backend_pid(const struct nw_session *session);
const char *nw_session_host(const struct nw_session *session);
bool nw_session_is_replication(const struct nw_session *session);
bool nw_session_in_transaction(const struct nw_session *session);

/**
 * Take the socket, or over TLS the SSL object, of an idle session. The session stays open and owns
 * the descriptor; only nw_session_close() may be called on it until the stream is destroyed.
 */
NW_MUST_CHECK nw_status nw_session_take_stream(struct nw_session *session,
                                               struct nw_stream **stream, struct nw_error *err);

#endif
