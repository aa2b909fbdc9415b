/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that do not go on as the others do, in narwal's own state: stopped ones, whose rows
 * are left out until they are copied again, those that are to be copied again, and dropped ones.
 *
 * A stop is recorded, synced, before an epoch can be committed that lacks rows of its table, so
 * that no restart ever goes on with a table that has a gap. Any thread may look and set: the list
 * in memory is guarded by a mutex, and SQLite lets one thread at a time into the connection.
 */
#ifndef NW_PIPELINE_TABLES_H
#define NW_PIPELINE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"

#define NW_TABLE_NAME_SIZE 64u /* NAMEDATALEN */

enum nw_table_condition {
    NW_TABLE_STOPPED = 1,  /* its rows are left out from lsn on */
    NW_TABLE_DROPPED = 2,  /* on the server */
    NW_TABLE_DOUBTFUL = 3, /* it goes on, and sinks may have other rows than it */
    NW_TABLE_WAITING = 4,  /* it is to be copied again, or is being copied */
    NW_TABLE_LEFT_OUT = 5, /* it is not to be followed, though it matches */
    NW_TABLE_KEPT = 6,     /* stopped, and its changes are kept from lsn on */
    NW_TABLE_PAUSED = 7,   /* the same, for a user asked for it */
    NW_TABLE_RESUMING = 8, /* what was kept is being dealt */
    NW_TABLE_ASKED = 9,    /* it goes on, and is to be copied again, or is being copied: a sink
                              that keeps what it has of it must get all that comes meanwhile */
};

struct nw_table_trouble {
    uint32_t relation_oid;
    char sink[NW_TABLE_NAME_SIZE]; /* "": at every sink */
    char schema_name[NW_TABLE_NAME_SIZE];
    char table_name[NW_TABLE_NAME_SIZE];
    enum nw_table_condition condition;
    uint64_t lsn;
    int64_t since_us; /* wall clock */
    char reason[NW_ERROR_TEXT_SIZE];
};

struct nw_tables;

/** Read what is recorded. @param state  borrow until closed. */
NW_MUST_CHECK nw_status nw_tables_open(struct nw_state *state, struct nw_tables **tables,
                                       struct nw_error *err);
void nw_tables_close(struct nw_tables *tables); /* NULL is fine */

/** Record, synced when it returns NW_OK; a table's former trouble at that sink is replaced. */
NW_MUST_CHECK nw_status nw_tables_set(struct nw_tables *tables,
                                      const struct nw_table_trouble *trouble, struct nw_error *err);
/** A table that was to be copied again was; 0: every one was. */
NW_MUST_CHECK nw_status nw_tables_copied(struct nw_tables *tables, uint32_t relation_oid,
                                         struct nw_error *err);

/** What was kept of a table is at every sink, for good: it goes on. */
NW_MUST_CHECK nw_status nw_tables_resumed(struct nw_tables *tables, uint32_t relation_oid,
                                          struct nw_error *err);

/** Record up to where a table's kept changes are durable; nothing is done when that is known. 0:
 * none are kept yet. */
NW_MUST_CHECK nw_status nw_tables_reached(struct nw_tables *tables, uint32_t relation_oid,
                                          uint64_t lsn, struct nw_error *err);
/** @param lsn  filled; 0: nothing is recorded of it */
NW_MUST_CHECK nw_status nw_tables_reached_lsn(struct nw_tables *tables, uint32_t relation_oid,
                                              uint64_t *lsn, struct nw_error *err);

/** Whether a table's changes are kept for all sinks until it goes on. */
bool nw_tables_kept(struct nw_tables *tables, uint32_t relation_oid);
/** Whether they are kept, for all sinks or some. */
bool nw_tables_keeps(struct nw_tables *tables, uint32_t relation_oid);
/** Forget what is recorded of a table at a sink. */
NW_MUST_CHECK nw_status nw_tables_remove(struct nw_tables *tables, uint32_t relation_oid,
                                         const char *sink, struct nw_error *err);
/** Whether changes are kept in this condition. */
static inline bool nw_table_condition_keeps(enum nw_table_condition condition)
{
    return condition == NW_TABLE_KEPT || condition == NW_TABLE_PAUSED ||
           condition == NW_TABLE_RESUMING;
}
/** Whether a table's rows are left out at every sink. */
bool nw_tables_stopped(struct nw_tables *tables, uint32_t relation_oid);

/** Whether it is recorded that it was dropped on the server. */
bool nw_tables_dropped(struct nw_tables *tables, uint32_t relation_oid);

/** Whether a table is to be copied again at this sink; "": at every sink. */
bool nw_tables_waits(struct nw_tables *tables, uint32_t relation_oid, const char *sink);

/** Whether a table that goes on is to be copied again at every sink. */
bool nw_tables_asked(struct nw_tables *tables, uint32_t relation_oid);

/** Whether there is anything of a table at every sink. */
bool nw_tables_has(struct nw_tables *tables, uint32_t relation_oid);

uint32_t nw_tables_count(struct nw_tables *tables);
/** The one at this place, in the order in which they were recorded; false: there are not so many.
 */
bool nw_tables_at(struct nw_tables *tables, uint32_t index, struct nw_table_trouble *trouble);

/** As users know it: "stopped", whether its changes are kept or not. */
const char *nw_table_condition_name(enum nw_table_condition condition);

#endif
