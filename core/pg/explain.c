/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences for failed connections. SQLSTATEs decide wherever the server spoke (its texts may be
 * translated); libpq's own English texts decide elsewhere.
 */
#include "pg/explain.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

/* How libpq begins what it says of each host. */
static const char mark[] = "connection to server";

/* One failure of a text that may hold one for each host, without line breaks. */
struct attempt {
    char sqlstate[6]; /* "" when the server said nothing */
    bool network;     /* it was about reaching the server, not about our own parameters */
    char text[TEXT_MAX];
};

static bool is_sqlstate(const char *at)
{
    for (int i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)at[i]) && !isupper((unsigned char)at[i])) {
            return false;
        }
    }
    return at[5] == ':' && at[6] == ' ';
}

/* Where an attempt's text ends: before the place in the server's source that failed. */
static size_t end_of(const char *at, size_t size)
{
    const char *location = strstr(at, "\nLOCATION:");

    return location != NULL && (size_t)(location - at) < size ? (size_t)(location - at) : size;
}

/* One attempt's lines as one, its SQLSTATE taken out: "FATAL:  28P01: text". */
static void read_attempt(const char *at, size_t size, struct attempt *attempt)
{
    size_t used = 0;

    *attempt = (struct attempt){0};
    size = end_of(at, size);
    for (size_t i = 0; i < size && used < TEXT_MAX - 2; i++) {
        if (at[i] == '\n') {
            attempt->text[used++] = ';';
            attempt->text[used++] = ' ';
        } else if (size - i > 8 && memcmp(at + i, "  ", 2) == 0 && is_sqlstate(at + i + 2)) {
            memcpy(attempt->sqlstate, at + i + 2, 5);
            i += 7; /* the blank after the code's colon comes next */
        } else if (at[i] != '\t') {
            attempt->text[used++] = at[i];
        }
    }
    while (used > 0 && strchr("; ", attempt->text[used - 1]) != NULL) {
        attempt->text[--used] = '\0';
    }
    attempt->network = strncmp(attempt->text, mark, strlen(mark)) == 0 ||
                       strncmp(attempt->text, "could not", 9) == 0 ||
                       strncmp(attempt->text, "server closed", 13) == 0;
}

nw_status nw_sqlstate_status(const char *sqlstate)
{
    static const char *const later[] = {
        "08", /* connection exceptions */
        "40", /* rolled back: serialization, deadlock */
        "53", /* out of disk, memory, connections */
        "57", /* shutdown, starting up, cancelled */
        "58", /* the server's own I/O */
    };

    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strncmp(sqlstate, later[i], 2) == 0 && strcmp(sqlstate, "57P04") != 0) {
            return NW_RETRY;
        }
    }
    /* lock not available, object in use (a slot that another walsender still holds) */
    return strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "55006") == 0 ? NW_RETRY : NW_FATAL;
}

/* Whether what a message of this SQLSTATE says can be a value of a row. */
static bool tells_values(const char *sqlstate)
{
    static const char *const classes[] = {"22", "23", "44", "P0"};

    /* A character without a counterpart is named by its bytes: whoever mends it needs them. */
    if (strcmp(sqlstate, "22P05") == 0 || strcmp(sqlstate, "22021") == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strncmp(sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

/* @return what is behind a place that may be a value, or the place itself: it is none. */
static const char *value_skip(const char *message, const char *at)
{
    if (*at == '"') {
        const char *last = strrchr(message, '"'); /* a value may have quotes in it */

        return last > at ? last + 1 : at + strlen(at);
    }
    if (at > message && strncmp(at - 1, ": ", 2) == 0) {
        return at + strlen(at);
    }
    while (isdigit((unsigned char)*at)) {
        at++;
    }
    return at;
}

bool nw_server_words_hide(const char *sqlstate, char *message, size_t message_size)
{
    static const char elsewhere[] = "the server's log has its words, which may hold values of rows";
    char text[TEXT_MAX];
    size_t used = 0;

    if (!tells_values(sqlstate)) {
        return false;
    }
    for (const char *at = message; *at != '\0' && used + 4 < sizeof text;) {
        const char *behind = value_skip(message, at);

        if (behind != at) {
            used +=
                (size_t)snprintf(text + used, sizeof text - used, at[0] == ' ' ? " ..." : "...");
            at = behind;
        } else if (!isascii((unsigned char)*at)) { /* in another language quotes are others */
            used = (size_t)snprintf(text, sizeof text, elsewhere);
            break;
        } else {
            text[used++] = *at++;
        }
    }
    text[used] = '\0';
    (void)snprintf(message, message_size, "%s", sqlstate[0] == 'P' ? elsewhere : text);
    return true;
}

static bool has(const struct attempt *attempt, const char *part)
{
    return strstr(attempt->text, part) != NULL;
}

bool nw_connect_distrusts_ca(const char *text)
{
    return strstr(text, "certificate verify failed") != NULL;
}

static nw_status explain_role(const struct attempt *attempt, const struct nw_connect_failure *f,
                              struct nw_error *err)
{
    if (has(attempt, "pg_hba.conf")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1108 %s has no pg_hba.conf line that lets user \"%s\" from this host into "
            "database \"%s\": add \"host %s %s ADDRESS scram-sha-256\" there and reload%s "
            "(the server says: %.300s)",
            f->host, f->user, f->database, f->database, f->user,
            f->replication ? "; logical replication is let in by the database's line, "
                             "not by one for \"replication\""
                           : "",
            attempt->text);
    }
    if (f->replication && strncmp(attempt->sqlstate, "42501", 5) == 0) {
        return nw_fail(
            err, NW_FATAL,
            "NW1209 user \"%s\" may not replicate from %s: ALTER ROLE \"%s\" REPLICATION (the "
            "server says: %.300s)",
            f->user, f->host, f->user, attempt->text);
    }
    if (has(attempt, "Peer authentication failed")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1121 over the socket in %s user \"%s\" is only let in from a system user of that "
            "name (peer): give host=localhost and a password, or run narwal as that user (the "
            "server says: %.300s)",
            f->host, f->user, attempt->text);
    }
    return nw_fail(
        err, NW_FATAL,
        "NW1109 %s does not let user \"%s\" into database \"%s\": the role needs LOGIN, CONNECT "
        "on the database%s (the server says: %.300s)",
        f->host, f->user, f->database, f->replication ? ", and REPLICATION" : "", attempt->text);
}

static nw_status explain_server(const struct attempt *attempt, const struct nw_connect_failure *f,
                                struct nw_error *err)
{
    const char *code = attempt->sqlstate;

    if (strcmp(code, "57P03") == 0) {
        return nw_fail(err, NW_RETRY,
                       "NW1113 %s is starting up, shutting down or recovering: %.400s", f->host,
                       attempt->text);
    }
    if (strcmp(code, "53300") == 0) {
        return nw_fail(
            err, NW_RETRY,
            "NW1114 %s has no connection left: raise %s or close others (the server says: "
            "%.300s)",
            f->host, f->replication ? "max_wal_senders or max_connections" : "max_connections",
            attempt->text);
    }
    if (strcmp(code, "28P01") == 0) {
        return nw_fail(
            err, NW_FATAL,
            "NW1106 %s refused the password of user \"%s\": check the configured password, "
            "PGPASSWORD or the passfile",
            f->host, f->user);
    }
    if (strcmp(code, "28000") == 0 || strcmp(code, "42501") == 0) {
        return explain_role(attempt, f, err);
    }
    if (strcmp(code, "3D000") == 0) {
        return nw_fail(err, NW_FATAL, "NW1111 %s has no database \"%s\": correct dbname in the DSN",
                       f->host, f->database);
    }
    if (has(attempt, "unsupported startup parameter")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1203 %s is a connection pooler: point the DSN at PostgreSQL itself (it says: "
            "%.300s)",
            f->host, attempt->text);
    }
    return nw_fail(err, nw_sqlstate_status(code),
                   "NW1115 cannot connect to %s: %.400s (SQLSTATE %s)", f->host, attempt->text,
                   code);
}

static nw_status explain_tls(const struct attempt *attempt, const struct nw_connect_failure *f,
                             struct nw_error *err)
{
    if (nw_connect_distrusts_ca(attempt->text) && f->issuer != NULL) {
        return nw_fail(
            err, NW_FATAL,
            "NW1101 the certificate of %s is signed by \"%s\", which this host does not trust: "
            "add sslrootcert=/path/ca.crt to the DSN (%.300s)",
            f->host, f->issuer, attempt->text);
    }
    if (has(attempt, "does not match host name") || has(attempt, "certificate for \"")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1102 the certificate of %s was made for another name: use that name as host in "
            "the DSN (hostaddr= may hold the address), or sslmode=verify-ca (%.300s)",
            f->host, attempt->text);
    }
    if (has(attempt, "server does not support SSL")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1103 %s does not offer TLS, and narwal wants it for hosts that are not local: "
            "set ssl=on there, or add sslmode=disable to the DSN to send everything in "
            "the clear",
            f->host);
    }
    if (has(attempt, "root certificate file")) {
        return nw_fail(
            err, NW_FATAL,
            "NW1104 the certificate of %s cannot be checked, as there is no file of trusted "
            "CAs: install ca-certificates or add sslrootcert=/path/ca.crt to the DSN "
            "(%.300s)",
            f->host, attempt->text);
    }
    return nw_fail(err, NW_FATAL, "NW1105 TLS with %s failed: %.400s", f->host, attempt->text);
}

static nw_status explain_client(const struct attempt *attempt, const struct nw_connect_failure *f,
                                struct nw_error *err)
{
    if (has(attempt, "no password supplied") || has(attempt, "no password was supplied")) {
        return nw_fail(err, NW_FATAL,
                       "NW1107 %s asks for the password of user \"%s\" and there is none: set "
                       "source.password, "
                       "PGPASSWORD or a line in the passfile",
                       f->host, f->user);
    }
    if (has(attempt, "SSL SYSCALL") || has(attempt, "Connection reset")) {
        return nw_fail(err, NW_RETRY, "NW1115 cannot connect to %s: %.400s", f->host,
                       attempt->text);
    }
    if (has(attempt, "SSL") || has(attempt, "certificate")) {
        return explain_tls(attempt, f, err);
    }
    if (has(attempt, "authentication method") || has(attempt, "channel binding") ||
        has(attempt, "SCRAM")) {
        return nw_fail(err, NW_FATAL, "NW1116 cannot authenticate to %s as \"%s\": %.400s", f->host,
                       f->user, attempt->text);
    }
    return nw_fail(err, attempt->network ? NW_RETRY : NW_FATAL,
                   "NW1115 cannot connect to %s: %.400s", f->host, attempt->text);
}

/* With one attempt the sentence names the server already. */
static void cut_prefix(struct attempt *attempt)
{
    static const char end[] = " failed: ";
    const char *found = strstr(attempt->text, end);

    if (strncmp(attempt->text, mark, strlen(mark)) == 0 && found != NULL) {
        found += strlen(end);
        memmove(attempt->text, found, strlen(found) + 1);
    }
}

nw_status nw_connect_explain(const struct nw_connect_failure *failure, struct nw_error *err)
{
    const char *at = failure->text;
    bool single = strstr(at + (at[0] != '\0'), mark) == NULL;
    nw_status verdict = NW_FATAL;

    /* Of several hosts, one that may come back decides; else the last. */
    do {
        const char *next = at[0] == '\0' ? NULL : strstr(at + 1, mark);
        struct attempt attempt;

        read_attempt(at, next == NULL ? strlen(at) : (size_t)(next - at), &attempt);
        if (single) {
            cut_prefix(&attempt);
        }
        verdict = attempt.sqlstate[0] != '\0' ? explain_server(&attempt, failure, err)
                                              : explain_client(&attempt, failure, err);
        at = next;
    } while (verdict != NW_RETRY && at != NULL);
    return verdict;
}
