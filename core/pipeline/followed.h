/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables are followed, in narwal's own state: those that a copy was begun of, or that were
 * there when all began. One that comes in the stream, or matches at a start, and is not among them
 * is new. Any thread may look, guarded by a mutex; what is written is synced on return.
 */
#ifndef NW_PIPELINE_FOLLOWED_H
#define NW_PIPELINE_FOLLOWED_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"
#include "pipeline/tables.h"

struct nw_followed_table {
    uint32_t relation_oid;
    char schema_name[NW_TABLE_NAME_SIZE]; /* as it was called then */
    char table_name[NW_TABLE_NAME_SIZE];
};

struct nw_followed;

/** Read what is recorded. @param state  borrow until closed. */
NW_MUST_CHECK nw_status nw_followed_open(struct nw_state *state, struct nw_followed **followed,
                                         struct nw_error *err);
void nw_followed_close(struct nw_followed *followed); /* NULL is fine */

bool nw_followed_has(struct nw_followed *followed, uint32_t relation_oid);
/** With the entry 0, which begins the record. 0: this state is new, or was written before there was
 * such a record. */
uint32_t nw_followed_count(struct nw_followed *followed);

/** The one at this place, in no order; of oid 0: none. false: there are not so many. */
bool nw_followed_at(struct nw_followed *followed, uint32_t index, struct nw_followed_table *table);
/** How it is called by now: known until the process ends, and met again then. */
void nw_followed_rename(struct nw_followed *followed, uint32_t relation_oid,
                        const char *schema_name, const char *name);

/** Those that are there already get these names. */
NW_MUST_CHECK nw_status nw_followed_add(struct nw_followed *followed,
                                        const struct nw_followed_table *tables, uint32_t count,
                                        struct nw_error *err);
NW_MUST_CHECK nw_status nw_followed_remove(struct nw_followed *followed, uint32_t relation_oid,
                                           struct nw_error *err);

#endif
