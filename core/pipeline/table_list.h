/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every table and its state, as status and `narwal table list` show it: made of what is recorded
 * (tables.h, followed.h) and of what the run is at (the conductor, run_joins.c). Main thread.
 */
#ifndef NW_PIPELINE_TABLE_LIST_H
#define NW_PIPELINE_TABLE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "decode/lane.h"
#include "pipeline/tables.h"

/** The most troubled first. */
enum nw_table_state {
    NW_STATE_STOPPED,
    NW_STATE_DOUBTFUL,
    NW_STATE_DROPPED,
    NW_STATE_PAUSED,
    NW_STATE_RESUMING, /* what was kept of it is being delivered */
    NW_STATE_WAITING,  /* for its copy */
    NW_STATE_COPYING,
    NW_STATE_LEFT_OUT,
    NW_STATE_STREAMING,
    NW_STATES_COUNT
};

const char *nw_table_state_name(enum nw_table_state state);
enum nw_table_state nw_table_state_of(enum nw_table_condition condition);

/** How far a table's copy is. */
struct nw_table_copy {
    bool known; /* false: nothing below is */
    uint64_t rows, bytes;
    uint64_t source_bytes; /* on the server's disk, about */
    double done;           /* of it, 0 .. 1, about */
    double rows_a_second, bytes_a_second;
    double left_s; /* until it is read, about; below 0: not known */
};

struct nw_table_line {
    uint32_t relation_oid;
    char schema_name[NW_TABLE_NAME_SIZE];
    char name[NW_TABLE_NAME_SIZE];
    enum nw_table_state state;                 /* the most troubled that it has at a sink */
    enum nw_table_state at[NW_SEQUENCERS_MAX]; /* at each */
    const char *reason;                        /* as recorded; "" */
    const char *waits_for;                     /* "": nothing */
    uint64_t lsn;                              /* of the state, when that is recorded; 0 */
    int64_t since_us;                          /* wall clock; 0: not known */
    struct nw_table_copy copy;
};

struct nw_table_list {
    struct nw_arena arena;       /* texts */
    struct nw_table_line *lines; /* by oid */
    size_t count, capacity;
    uint32_t counts[NW_STATES_COUNT];
};

void nw_table_list_init(struct nw_table_list *list);
void nw_table_list_fini(struct nw_table_list *list);
void nw_table_list_clear(struct nw_table_list *list);
/** Add a line; false: out of memory. It has a place of its own until the list is settled. */
bool nw_table_list_add(struct nw_table_list *list, const struct nw_table_line *line);
/** Sort the lines, and keep of each table the one that was added first. */
void nw_table_list_settle(struct nw_table_list *list);
/** NULL: not there. Of a list that is settled. */
struct nw_table_line *nw_table_list_find(const struct nw_table_list *list, uint32_t relation_oid);
/** A text that lives as long as the list is not cleared; "" without memory. */
NW_PRINTF(2, 3)
const char *nw_table_list_text(struct nw_table_list *list, const char *format, ...);

#endif
