/* SPDX-License-Identifier: Apache-2.0 */
/* See where.h. */
#include "pipeline/where.h"

#include <string.h>

#include "base/code.h"
#include "pipeline/chosen.h"
#include "pipeline/publication.h"

#define STATEMENT_SIZE (NW_CHOSEN_SIZE + 512u)

const char *nw_copy_where_find(const struct nw_copy_wheres *wheres, const char *schema,
                               const char *name)
{
    for (uint32_t i = 0; i < wheres->count; i++) {
        const char *const include[2] = {wheres->rules[i].pattern, NULL};
        const struct nw_table_filter filter = {.include = include};

        if (nw_table_filter_match(&filter, schema, name)) {
            const char *condition = wheres->rules[i].condition;

            return strcmp(condition, "true") == 0 ? NULL : condition;
        }
    }
    return NULL;
}

/*
 * As one statement of the extended protocol, so that there is no other behind it; and once more
 * within brackets of another kind, so that it closes none that it did not open.
 */
nw_status nw_condition_check(struct nw_session *session, const char *quoted, const char *condition,
                             struct nw_error *why)
{
    const char *params[1] = {"0"};
    char sql[STATEMENT_SIZE];
    char sqlstate[6] = "";
    nw_status status = NW_OK;

    for (int i = 0; i < 2 && status == NW_OK; i++) {
        if (i == 0) {
            (void)snprintf(sql, sizeof sql, "SELECT FROM %s WHERE (%s\n) LIMIT $1::pg_catalog.int8",
                           quoted, condition);
        } else {
            (void)snprintf(sql, sizeof sql, "SELECT ARRAY[%s\n] FROM %s LIMIT $1::pg_catalog.int8",
                           condition, quoted);
        }
        status = nw_session_query(session, sql, params, 1, sqlstate, NULL, why);
    }
    /* A lock that is in the way, or a query that was cancelled, says nothing of the condition. */
    return status == NW_FATAL && sqlstate[0] != '\0' ? NW_REJECT : status;
}

nw_status nw_copy_where_check(struct nw_session *session, const char *schema, const char *name,
                              const char *condition, struct nw_error *err)
{
    char parts[2][160] = {"", ""};
    char quoted[sizeof parts + 1];
    struct nw_error why = {0};
    nw_status status = nw_session_quote_name(session, schema, parts[0], sizeof parts[0], err);

    if (status == NW_OK) {
        status = nw_session_quote_name(session, name, parts[1], sizeof parts[1], err);
    }
    if (status != NW_OK) {
        return status;
    }
    (void)snprintf(quoted, sizeof quoted, "%s.%s", parts[0], parts[1]);
    status = nw_condition_check(session, quoted, condition, &why);
    if (status == NW_REJECT) {
        return nw_fail(err, NW_REJECT,
                       "NW1229 copy.where: rows of %s.%s cannot be chosen by %.200s: %.300s",
                       schema, name, condition, nw_code_rest(why.text));
    }
    if (status != NW_OK) {
        *err = why;
    }
    return status;
}
