/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of tables the copies have that were asked for of tables that go on (NW_TABLE_ASKED),
 * in narwal's own state. A table that is to be copied and is not here is copied whole, and nobody
 * may end that before. Main thread; what is written is synced on return.
 */
#ifndef NW_PIPELINE_CHOSEN_H
#define NW_PIPELINE_CHOSEN_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"

#define NW_CHOSEN_SIZE 1024u /* of a condition, with its NUL */
#define NW_CHOSEN_ALL  ""
#define NW_CHOSEN_NONE "false" /* the copy was stopped */

/** @param found  set: it is recorded. @param filter  filled: an SQL condition, or one of those */
NW_MUST_CHECK nw_status nw_chosen_read(struct nw_state *state, uint32_t relation_oid, bool *found,
                                       char filter[static NW_CHOSEN_SIZE], struct nw_error *err);
/** Record it, in the place of what was. @param filter  NULL: nothing is known of it any more */
NW_MUST_CHECK nw_status nw_chosen_set(struct nw_state *state, uint32_t relation_oid,
                                      const char *filter, struct nw_error *err);

#endif
