/* SPDX-License-Identifier: Apache-2.0 */
/* See position.h for the formats. Pure functions. */
#include "source/position.h"

#include "base/assert.h"
#include "base/writer.h"

#define POSITION_VERSION 2u
#define HELD             (UINT64_C(1) << 63) /* in an index */

static_assert(NW_BEHIND_BYTES == 4 + 8 + 8, "oid, commit lsn, index");

static void behind_pack(struct nw_writer *writer, const struct nw_behind_list *behind)
{
    nw_writer_put(writer, (const uint8_t[]){(uint8_t)behind->count}, 1);
    for (uint32_t i = 0; i < behind->count; i++) {
        const struct nw_behind *table = &behind->tables[i];
        uint64_t seq = table->place.seq | (table->held ? HELD : 0);

        nw_writer_put(writer, &table->relation_oid, 4);
        nw_writer_put(writer, &table->place.commit_lsn, 8);
        nw_writer_put(writer, &seq, 8);
    }
}

uint32_t nw_position_pack(const struct nw_identity *identity, uint64_t lsn,
                          const struct nw_behind_list *behind, uint8_t *bytes)
{
    struct nw_writer writer = {.bytes = bytes};
    size_t name_size = strnlen(identity->slot_name, sizeof identity->slot_name);
    uint8_t version = behind == NULL || behind->count == 0 ? 1 : POSITION_VERSION;

    NW_ASSERT(name_size < sizeof identity->slot_name);
    nw_writer_put(&writer, (const uint8_t[]){version, 'P'}, 2);
    nw_writer_put(&writer, &identity->timeline, 4);
    nw_writer_put(&writer, &identity->system_identifier, 8);
    nw_writer_put(&writer, &identity->database_oid, 4);
    nw_writer_put(&writer, &lsn, 8);
    nw_writer_put(&writer, (const uint8_t[]){(uint8_t)name_size}, 1);
    nw_writer_put(&writer, identity->slot_name, (uint32_t)name_size);
    if (version > 1) {
        behind_pack(&writer, behind);
    }
    return writer.size;
}

static struct nw_behind behind_unpack(struct nw_cursor *cursor)
{
    struct nw_behind table = {.relation_oid = nw_cursor_u32le(cursor)};
    uint64_t seq = 0;

    table.place.commit_lsn = nw_cursor_u64le(cursor);
    seq = nw_cursor_u64le(cursor);
    table.place.seq = seq & ~HELD;
    table.held = (seq & HELD) != 0;
    return table;
}

static void behind_list_unpack(struct nw_cursor *cursor, struct nw_behind_list *behind)
{
    behind->count = nw_cursor_u8(cursor);
    cursor->failed = cursor->failed || behind->count > NW_BEHIND_MAX + 1;
    for (uint32_t i = 0; i < behind->count && !cursor->failed; i++) {
        behind->tables[i] = behind_unpack(cursor);
    }
}

static nw_status check_head(struct nw_cursor *cursor, uint8_t kind, uint8_t *version,
                            struct nw_error *err)
{
    *version = nw_cursor_u8(cursor);
    if (*version > POSITION_VERSION) {
        return nw_fail(
            err, NW_FATAL,
            "NW2408 the sink's position has format %u, written by a newer narwal: this one "
            "reads up to %u; upgrade narwal",
            *version, POSITION_VERSION);
    }
    if (nw_cursor_u8(cursor) != kind || cursor->failed) {
        return nw_fail(err, NW_CORRUPT, "the sink gave back a position that is not narwal's");
    }
    return NW_OK;
}

nw_status nw_position_unpack(struct nw_bytes bytes, struct nw_identity *identity, uint64_t *lsn,
                             struct nw_behind_list *behind, struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(bytes.at, bytes.size);
    struct nw_behind_list unasked;
    struct nw_bytes name = {0};
    uint8_t version = 0;
    nw_status status = check_head(&cursor, 'P', &version, err);

    if (status != NW_OK) {
        return status;
    }
    memset(identity, 0, sizeof *identity);
    identity->timeline = nw_cursor_u32le(&cursor);
    identity->system_identifier = nw_cursor_u64le(&cursor);
    identity->database_oid = nw_cursor_u32le(&cursor);
    *lsn = nw_cursor_u64le(&cursor);
    name = nw_cursor_bytes(&cursor, nw_cursor_u8(&cursor));
    behind = behind == NULL ? &unasked : behind;
    behind->count = 0;
    if (version > 1) {
        behind_list_unpack(&cursor, behind);
    }
    if (!nw_cursor_done(&cursor) || name.size >= sizeof identity->slot_name) {
        return nw_fail(err, NW_CORRUPT, "the sink gave back a damaged position (%zu bytes)",
                       bytes.size);
    }
    if (name.size > 0) {
        memcpy(identity->slot_name, name.at, name.size);
    }
    return NW_OK;
}
