/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of a table its first copy has (copy.where), and whether a server can tell. */
#ifndef NW_PIPELINE_WHERE_H
#define NW_PIPELINE_WHERE_H

#include "base/arena.h"
#include "config/copy_where.h"
#include "pg/session.h"

/** Borrowed from the configuration; the first whose pattern matches holds. */
struct nw_copy_wheres {
    const struct nw_config_copy_where *rules;
    uint32_t count;
};

/** The condition of a table, in SQL. NULL: all of its rows are copied. */
const char *nw_copy_where_find(const struct nw_copy_wheres *wheres, const char *schema,
                               const char *name);

/**
 * Whether a condition can choose rows of a table.
 * @param quoted  schema and name
 * @param why     filled with the server's words, when it is NW_REJECT
 * @return NW_REJECT: it cannot
 */
NW_MUST_CHECK nw_status nw_condition_check(struct nw_session *session, const char *quoted,
                                           const char *condition, struct nw_error *why);
/** The same of one of copy.where, of a table by its name. NW_REJECT, NW1229: it cannot. */
NW_MUST_CHECK nw_status nw_copy_where_check(struct nw_session *session, const char *schema,
                                            const char *name, const char *condition,
                                            struct nw_error *err);

#endif
