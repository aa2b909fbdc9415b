/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the catalog said of each table at the last look that the stream does not say: its partitions
 * and its entries in the publications. In narwal's own state, so that what is changed while narwal
 * is down is noticed too. One thread at a time: the service thread's while an engine runs.
 */
#ifndef NW_PIPELINE_SEEN_H
#define NW_PIPELINE_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"
#include "pipeline/tables.h"

struct nw_seen_table {
    uint32_t relation_oid;
    char schema_name[NW_TABLE_NAME_SIZE]; /* as it was called then */
    char table_name[NW_TABLE_NAME_SIZE];
    char *partitions; /* NULL: not looked at yet, or to be taken as it is found next */
    char *published;
    bool changed; /* not recorded yet */
};

struct nw_seen;

/** Read what is recorded. @param state  borrow until closed. */
NW_MUST_CHECK nw_status nw_seen_open(struct nw_state *state, struct nw_seen **seen,
                                     struct nw_error *err);
void nw_seen_close(struct nw_seen *seen); /* NULL is fine */

uint32_t nw_seen_count(const struct nw_seen *seen);
/** Valid until the next call that adds or forgets one. */
const struct nw_seen_table *nw_seen_at(const struct nw_seen *seen, uint32_t index);
/** The entry of a table, an empty one if there is none yet; NULL: out of memory. */
const struct nw_seen_table *nw_seen_of(struct nw_seen *seen, uint32_t relation_oid);

/** Take what was found, for now in memory only. Texts are copied. */
NW_MUST_CHECK nw_status nw_seen_partitions(struct nw_seen *seen, uint32_t relation_oid,
                                           const char *partitions, struct nw_error *err);
NW_MUST_CHECK nw_status nw_seen_published(struct nw_seen *seen, uint32_t relation_oid,
                                          const char *published, struct nw_error *err);
void nw_seen_name(struct nw_seen *seen, uint32_t relation_oid, const char *schema_name,
                  const char *table_name);
/** Record all that was taken since, synced on return. */
NW_MUST_CHECK nw_status nw_seen_save(struct nw_seen *seen, struct nw_error *err);
/** A table is copied anew, or is not followed any more; 0: all are. Synced on return. */
NW_MUST_CHECK nw_status nw_seen_forget(struct nw_seen *seen, uint32_t relation_oid,
                                       struct nw_error *err);

#endif
