/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server's or libpq's refusal means, and what to do: pure functions over texts.
 */
#ifndef NW_PG_EXPLAIN_H
#define NW_PG_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <narwal/status.h>

/** A connection attempt that failed. Borrowed texts; "" where unknown. */
struct nw_connect_failure {
    const char *text; /* libpq's message, with PQERRORS_VERBOSE: "FATAL:  28P01: ..." */
    const char *host;
    const char *user;
    const char *database;
    const char *issuer; /* of the server's certificate; NULL: not asked for */
    bool replication;
};

/** Whether the issuer of the certificate is worth asking for before nw_connect_explain(). */
bool nw_connect_distrusts_ca(const char *text);
/** @return NW_RETRY when trying again may help, else NW_FATAL; err says what to do. */
nw_status nw_connect_explain(const struct nw_connect_failure *failure, struct nw_error *err);

/**
 * Take out of a server's message what may be a value of a row, in place: of data exceptions and
 * violated constraints (classes 22, 23, 44) what is in quotes, behind a colon, or a number; all of
 * it where it is not English, or a function of users raised it (P0). Their details are values too,
 * and left to the caller to drop.
 * @return whether the message was one of these
 */
bool nw_server_words_hide(const char *sqlstate, char *message, size_t message_size);

/** Whether a statement that was refused with this SQLSTATE may succeed later: RETRY, else FATAL. */
nw_status nw_sqlstate_status(const char *sqlstate);

#endif
