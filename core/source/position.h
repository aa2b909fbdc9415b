/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions: the opaque strings that sinks store inside their commits. That of a table's copy is in
 * copy_state.h.
 *
 * Format, le: u8 version, u8 kind ('P' pgoutput), u32 timeline, u64 system identifier, u32 database
 * oid, u64 lsn, u8 length and bytes of the slot's name. Version 1 ends here; version 2, which is
 * written only when there are such, goes on with tables that are behind: u8 count, and for each
 * u32 relation oid, u64 commit lsn, u64 index of the change; its highest bit is set if the rest of
 * the table is held (sink/held.h).
 */
#ifndef NW_SOURCE_POSITION_H
#define NW_SOURCE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "pg/replication.h"
#include <narwal/status.h>

/** Tables that may be behind at a time. */
#define NW_BEHIND_MAX         64u
#define NW_BEHIND_BYTES       20u
#define NW_POSITION_BYTES_MAX (97u + (NW_BEHIND_MAX + 1) * NW_BEHIND_BYTES)

/** Where a source's changes come from. */
struct nw_identity {
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t database_oid;
    char slot_name[NW_SLOT_NAME_SIZE];
};

/** A place in commit history: of a transaction, its change with this index. */
struct nw_place {
    uint64_t commit_lsn;
    uint64_t seq;
};

static inline bool nw_place_before(struct nw_place place, struct nw_place other)
{
    return place.commit_lsn != other.commit_lsn ? place.commit_lsn < other.commit_lsn
                                                : place.seq < other.seq;
}

/** Of this table, whatever the position says, only what is before a place is included. */
struct nw_behind {
    uint32_t relation_oid;
    struct nw_place place;
    bool held; /* the rest waits for a copy: nothing from there on was acknowledged */
};

/** In the place of an oid: every table whose copy began at the sink and is not whole. */
#define NW_BEHIND_UNFINISHED 0u

/** With room for that one beside all others. */
struct nw_behind_list {
    uint32_t count;
    struct nw_behind tables[NW_BEHIND_MAX + 1];
};

/** Whether the list says something of a table. */
static inline bool nw_behind_says(const struct nw_behind_list *list, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->tables[i].relation_oid == relation_oid) {
            return true;
        }
    }
    return false;
}

/**
 * @param behind  NULL: none is
 * @param bytes   NW_POSITION_BYTES_MAX of them. @return the size
 */
uint32_t nw_position_pack(const struct nw_identity *identity, uint64_t lsn,
                          const struct nw_behind_list *behind, uint8_t *bytes);
/** @param behind  filled; NULL: not asked for */
NW_MUST_CHECK nw_status nw_position_unpack(struct nw_bytes bytes, struct nw_identity *identity,
                                           uint64_t *lsn, struct nw_behind_list *behind,
                                           struct nw_error *err);

#endif
