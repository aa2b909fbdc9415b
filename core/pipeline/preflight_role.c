/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preflight of connection and role. A DBA may look for a role that is not the session's: then the
 * session takes that role on, so that the server itself says what it may. One that is not there yet
 * may nothing.
 */
#include <stdio.h>
#include <string.h>

#include "base/code.h"
#include "pipeline/preflight_private.h"

static void transport_check(struct nw_examination *x, const struct nw_rows *rows)
{
    const char *address = nw_rows_text(rows, 0, 4);
    bool local = address == NULL || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
    bool ssl = nw_rows_bool(rows, 0, 3);

    x->report->encrypted = ssl;
    (void)snprintf(x->report->client, sizeof x->report->client, "%s",
                   address == NULL ? "" : address);
    (void)nw_preflight_add(x->report, NW_FINDING_OK, "", "connection %s; database %s",
                           ssl               ? nw_rows_text(rows, 0, 5)
                           : address == NULL ? "by unix socket"
                                             : "not encrypted",
                           x->database);
    if (!ssl && !local) {
        (void)nw_preflight_add(x->report, NW_FINDING_WARN, "NW1301",
                               "the connection from %s is not encrypted: passwords and rows can be "
                               "read on the way. Write sslmode=verify-full into the DSN",
                               address);
    }
    if ((int)nw_rows_u64(rows, 0, 6) != nw_session_backend_pid(x->session)) {
        (void)nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1203",
                               "a connection pooler stands before the server: replication and "
                               "snapshots need a connection of their own. Put the server's own "
                               "host and port into the DSN");
    }
}

static nw_status session_look(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        x->session,
        "SELECT current_user, current_database(), pg_is_in_recovery(), coalesce(s.ssl, false),"
        " host(inet_client_addr()), s.version, pg_backend_pid()"
        " FROM (SELECT) AS one LEFT JOIN pg_stat_ssl s ON s.pid = pg_backend_pid()",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK) {
        (void)snprintf(x->user, sizeof x->user, "%s",
                       x->options->role != NULL ? x->options->role : nw_rows_text(rows, 0, 0));
        x->other_role = strcmp(x->user, nw_rows_text(rows, 0, 0)) != 0;
        (void)snprintf(x->database, sizeof x->database, "%s", nw_rows_text(rows, 0, 1));
        (void)snprintf(x->report->database, sizeof x->report->database, "%s", x->database);
        x->in_recovery = nw_rows_bool(rows, 0, 2);
        transport_check(x, rows);
        status =
            nw_session_quote_name(x->session, x->user, x->user_quoted, sizeof x->user_quoted, err);
        (void)snprintf(x->report->role, sizeof x->report->role, "%s", x->user);
        (void)snprintf(x->report->role_quoted, sizeof x->report->role_quoted, "%s", x->user_quoted);
    }
    nw_rows_free(rows);
    return status;
}

/* It is not there, or has no LOGIN. */
static void role_missing(struct nw_examination *x, bool exists)
{
    struct nw_finding *finding =
        nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1227",
                         exists ? "role %s may not log in" : "there is no role %s", x->user);
    const char *create =
        nw_preflight_text(x->report, "CREATE ROLE %s LOGIN REPLICATION;", x->user_quoted);

    if (exists) {
        finding->mend = nw_preflight_text(x->report, "ALTER ROLE %s LOGIN;", x->user_quoted);
    } else {
        finding->mend = create;
        finding->script = nw_preflight_once(x->report, create);
    }
}

/* @param rows  superuser, replication, bypass of row security, login, create and connect */
static void role_report(struct nw_examination *x, const struct nw_rows *rows)
{
    x->superuser = nw_rows_bool(rows, 0, 0);
    x->replicates = x->superuser || nw_rows_bool(rows, 0, 1);
    x->bypasses_rls = x->superuser || nw_rows_bool(rows, 0, 2);
    x->may_create = nw_rows_bool(rows, 0, 4);
    if (!nw_rows_bool(rows, 0, 3)) {
        role_missing(x, true);
    }
    if (!nw_rows_bool(rows, 0, 5)) {
        nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1228",
                         "role %s may not connect to database %s", x->user, x->database)
            ->mend = nw_preflight_text(x->report, "GRANT CONNECT ON DATABASE %s TO %s;",
                                       x->database_quoted, x->user_quoted);
    }
    (void)nw_preflight_add(x->report, NW_FINDING_OK, "", "role %s%s%s", x->user,
                           nw_rows_bool(rows, 0, 1) ? ": REPLICATION" : "",
                           x->superuser ? ", superuser" : ", no superuser");
    if (x->superuser) {
        (void)nw_preflight_add(x->report, NW_FINDING_WARN, "NW1302",
                               "role %s is a superuser, which narwal does not need: REPLICATION, "
                               "and SELECT on the tables, suffice (the same with --sql --role "
                               "narwal prints the SQL for one)",
                               x->user);
    }
}

/* From here on the server answers for the role. */
static void role_assume(struct nw_examination *x)
{
    struct nw_error ignored = {0};
    char sql[200];

    (void)snprintf(sql, sizeof sql, "SET ROLE %s", x->user_quoted);
    x->rights_unknown =
        x->other_role && nw_session_query(x->session, sql, NULL, 0, NULL, NULL, &ignored) != NW_OK;
}

/* Nothing is set up for it: all of it is said. */
static void role_nothing(struct nw_examination *x)
{
    x->rights_unknown = true;
    x->replicates = true; /* it is made with that */
    role_missing(x, false);
    nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1228", "role %s may not connect to database %s",
                     x->user, x->database)
        ->mend = nw_preflight_text(x->report, "GRANT CONNECT ON DATABASE %s TO %s;",
                                   x->database_quoted, x->user_quoted);
}

nw_status nw_preflight_role(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = session_look(x, err);

    if (status == NW_OK) {
        status = nw_session_quote_name(x->session, x->database, x->database_quoted,
                                       sizeof x->database_quoted, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(x->session,
                                  "SELECT rolsuper, rolreplication, rolbypassrls, rolcanlogin,"
                                  " has_database_privilege(oid, current_database(), 'CREATE'),"
                                  " has_database_privilege(oid, current_database(), 'CONNECT')"
                                  " FROM pg_roles WHERE rolname = $1",
                                  (const char *const[]){x->user}, 1, NULL, &rows, err);
    }
    if (status == NW_OK && (nw_rows_count(rows) == 0 || x->options->setup_all)) {
        role_nothing(x);
    } else if (status == NW_OK) {
        role_report(x, rows);
        role_assume(x);
    }
    nw_rows_free(rows);
    return status;
}

void nw_preflight_walsender(struct nw_examination *x)
{
    struct nw_session *session = NULL;
    struct nw_error why = {0};

    if (x->options->setup_all) {
        return;
    }
    if (x->other_role) { /* ours is not the connection that counts */
        if (!x->replicates) {
            nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1209", "role %s may not replicate",
                             x->user)
                ->mend = nw_preflight_text(x->report, "ALTER ROLE %s REPLICATION;", x->user_quoted);
        }
        return;
    }
    if (nw_session_open(&x->options->server.connection, true, &session, &why) == NW_OK) {
        nw_session_close(session);
        return;
    }
    if (!x->replicates) {
        nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1209", "role %s may not replicate: %.600s",
                         x->user, nw_code_rest(why.text))
            ->mend = nw_preflight_text(x->report, "ALTER ROLE %s REPLICATION;", x->user_quoted);
    } else {
        (void)nw_preflight_add(x->report, NW_FINDING_FAIL, "NW1202",
                               "no replication connection: %.800s", why.text);
    }
}
