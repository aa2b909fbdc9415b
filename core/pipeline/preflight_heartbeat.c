/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the heartbeat's statement (pulse.c) can work, without running it: the server reads it,
 * and explains it, for which it looks at the rights that running it takes. What cannot be
 * explained, as NOTIFY or CALL, is read only; several statements at once are not tried, as that
 * would run them.
 */
#include <string.h>

#include "base/code.h"
#include "pipeline/preflight_private.h"

#define STATEMENT_SIZE 8192u

/* As pulse.c has it. */
static const char SETTINGS[] = "SET LOCAL search_path = \"$user\", public";
static const char SYNTAX[] = "42601"; /* several statements, too */

/* In a transaction of its own, that is rolled back. @param why  filled: what the server says
 * @param sqlstate  filled: what it refused that with; "": it did not */
static nw_status try(struct nw_examination *x, const char *sql, bool runs, char sqlstate[static 6],
                     struct nw_error *why)
{
    struct nw_error ignored = {0};
    nw_status rolled = NW_OK;
    nw_status status = nw_session_query(x->session, "BEGIN READ ONLY", NULL, 0, NULL, NULL, why);

    sqlstate[0] = '\0';
    if (status == NW_OK && x->other_role) {
        char set[200];

        (void)snprintf(set, sizeof set, "SET LOCAL ROLE %s", x->user_quoted);
        status = nw_session_query(x->session, set, NULL, 0, NULL, NULL, why);
    }
    if (status == NW_OK) {
        status = nw_session_query(x->session, SETTINGS, NULL, 0, NULL, NULL, why);
    }
    if (status == NW_OK) {
        status = runs ? nw_session_query(x->session, sql, NULL, 0, sqlstate, NULL, why)
                      : nw_session_parse(x->session, sql, sqlstate, why);
    }
    rolled = nw_session_query(x->session, "ROLLBACK", NULL, 0, NULL, NULL, &ignored);
    if (rolled != NW_OK) {
        *why = ignored;
        sqlstate[0] = '\0';
        return rolled;
    }
    return status;
}

nw_status nw_preflight_heartbeat(struct nw_examination *x, struct nw_error *err)
{
    const char *statement = x->options->heartbeat;
    const char *place = x->options->heartbeat_place;
    char explained[STATEMENT_SIZE];
    char sqlstate[6] = "";
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (statement == NULL || (size_t)snprintf(explained, sizeof explained, "EXPLAIN %s",
                                              statement) >= sizeof explained) {
        return NW_OK;
    }
    status = try(x, explained, false, sqlstate, &why);
    if (status == NW_OK) { /* so it is one statement */
        status = try(x, explained, true, sqlstate, &why);
    } else if (strcmp(sqlstate, SYNTAX) == 0) {
        status = try(x, statement, false, sqlstate, &why);
        if (strcmp(sqlstate, SYNTAX) == 0 && strstr(why.text, "multiple commands") != NULL) {
            return NW_OK;
        }
    }
    if (status != NW_OK && sqlstate[0] != '\0') {
        (void)nw_preflight_add(x->report, NW_FINDING_FAIL, "NW2329",
                               "%s%ssource.heartbeat.statement would fail: %s", place,
                               place[0] == '\0' ? "" : ": ", nw_code_rest(why.text));
    } else if (status == NW_RETRY) {
        *err = why;
        return status;
    }
    return NW_OK; /* the role is not there yet, or cannot be become */
}
