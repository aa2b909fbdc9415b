/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of wishes share: run_wishes.c has it, run_wishes_stop.c uses it. Main thread. */
#ifndef NW_PIPELINE_RUN_WISHES_H
#define NW_PIPELINE_RUN_WISHES_H

#include "pipeline/run_private.h"

#define NW_RUN_STOPS "tables stop " /* behind it: the pattern */

/** Nothing is recorded any more of the wish of this number; 0: nothing was. */
void nw_run_wish_done(struct nw_run *run, int64_t number);
/** One more table; without memory one less is told of. */
void nw_run_names_add(struct nw_run_names *names, uint32_t relation_oid, const char *name);
/** None are left. */
void nw_run_names_forget(struct nw_run_names *names);
/** What a wish stood for (wishes->matches, which it takes), or that it was refused: once for each
 * time that it was asked for. @param pattern  by which the sink asks */
void nw_run_wish_resolved(struct nw_run_wishes *wishes, const struct nw_run_wish *wish,
                          const char *pattern);
/** Whether all of "SCHEMA.TABLE" matches. */
bool nw_run_name_matches(const regex_t *compiled, const struct nw_table *table);
/** The command that copies this table. @param filter  which rows; "": all */
void nw_run_each_print(const struct nw_table *table, const char *filter,
                       char command[static NW_HOST_COMMAND_SIZE]);

#endif
