/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions: the opaque strings that sinks store inside their commits. That of a table's copy is in
 * copy_state.h.
 *
 * Format, le: u8 version (1), u8 kind ('P' pgoutput), u32 timeline, u64 system identifier, u32
 * database oid, u64 lsn, u8 length and bytes of the slot's name.
 */
#ifndef NW_SOURCE_POSITION_H
#define NW_SOURCE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "pg/replication.h"
#include <narwal/status.h>

#define NW_POSITION_BYTES_MAX 96u

/** Where a source's changes come from. */
struct nw_identity {
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t database_oid;
    char slot_name[NW_SLOT_NAME_SIZE];
};

/** @param bytes  NW_POSITION_BYTES_MAX of them. @return the size */
uint32_t nw_position_pack(const struct nw_identity *identity, uint64_t lsn, uint8_t *bytes);
NW_MUST_CHECK nw_status nw_position_unpack(struct nw_bytes bytes, struct nw_identity *identity,
                                           uint64_t *lsn, struct nw_error *err);

#endif
