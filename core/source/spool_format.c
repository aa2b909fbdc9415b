/* SPDX-License-Identifier: Apache-2.0 */
/* The spool's bytes. See spool.h for the format. Pure functions. */
#include "source/spool_private.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/writer.h"

#define MAGIC      "NWSPOOL\n"
#define NUMBER_MIX UINT64_C(0x9e3779b97f4a7c15)

static_assert(NW_SLOT_NAME_SIZE <= 64, "a slot's name fits into the header");

void nw_spool_header_put(const struct nw_spool_header *header, uint8_t *bytes)
{
    struct nw_writer writer = {.bytes = bytes};
    char name[64] = {0};
    uint32_t zero = 0;
    uint64_t checksum = 0;

    memcpy(name, header->identity.slot_name,
           strnlen(header->identity.slot_name, sizeof header->identity.slot_name));
    nw_writer_put(&writer, MAGIC, 8);
    nw_writer_put(&writer, &header->version, 4);
    nw_writer_put(&writer, &header->identity.timeline, 4);
    nw_writer_put(&writer, &header->identity.system_identifier, 8);
    nw_writer_put(&writer, &header->identity.database_oid, 4);
    nw_writer_put(&writer, &zero, 4);
    nw_writer_put(&writer, &header->id, 8);
    nw_writer_put(&writer, &header->number, 8);
    nw_writer_put(&writer, &header->first_record, 8);
    nw_writer_put(&writer, &header->first_lsn, 8);
    nw_writer_put(&writer, name, sizeof name);
    checksum = XXH3_64bits(bytes, writer.size);
    nw_writer_put(&writer, &checksum, 8);
    NW_ASSERT(writer.size == NW_SPOOL_HEADER_BYTES);
}

bool nw_spool_header_take(struct nw_bytes bytes, struct nw_spool_header *header)
{
    struct nw_cursor cursor = nw_cursor_of(bytes.at, bytes.size);
    struct nw_bytes magic = nw_cursor_bytes(&cursor, 8);
    struct nw_bytes name = {0};

    memset(header, 0, sizeof *header);
    header->version = nw_cursor_u32le(&cursor);
    header->identity.timeline = nw_cursor_u32le(&cursor);
    header->identity.system_identifier = nw_cursor_u64le(&cursor);
    header->identity.database_oid = nw_cursor_u32le(&cursor);
    (void)nw_cursor_u32le(&cursor);
    header->id = nw_cursor_u64le(&cursor);
    header->number = nw_cursor_u64le(&cursor);
    header->first_record = nw_cursor_u64le(&cursor);
    header->first_lsn = nw_cursor_u64le(&cursor);
    name = nw_cursor_bytes(&cursor, 64);
    if (nw_cursor_u64le(&cursor) != XXH3_64bits(bytes.at, bytes.size < 8 ? 0 : bytes.size - 8) ||
        !nw_cursor_done(&cursor) || memcmp(magic.at, MAGIC, 8) != 0) {
        return false;
    }
    if (header->version > NW_SPOOL_VERSION) {
        return true;
    }
    memcpy(header->identity.slot_name, name.at, NW_SLOT_NAME_SIZE);
    return header->version > 0 && header->identity.slot_name[NW_SLOT_NAME_SIZE - 1] == '\0' &&
           header->number > 0 && header->first_record > 0;
}

/* Of a whole record, its checksum left out. */
static uint64_t record_checksum(const uint8_t *at, size_t size, uint64_t id, uint64_t number)
{
    return XXH3_64bits(at + 8, size - 8) ^ (id + number * NUMBER_MIX);
}

uint32_t nw_spool_record_body_size(const uint8_t *at)
{
    struct nw_cursor cursor = nw_cursor_of(at, NW_SPOOL_RECORD_HEADER_BYTES);

    (void)nw_cursor_bytes(&cursor, 24);
    return nw_cursor_u32le(&cursor);
}

void nw_spool_record_put(const struct nw_spool_record *record, uint32_t kind, uint64_t id,
                         uint8_t *at)
{
    uint32_t size = (uint32_t)record->body.size;
    uint64_t checksum = 0;

    memcpy(at + 8, &record->lsn, 8);
    memcpy(at + 16, &record->position_lsn, 8);
    memcpy(at + 24, &size, 4);
    memcpy(at + 28, &kind, 4);
    if (size > 0) {
        memcpy(at + NW_SPOOL_RECORD_HEADER_BYTES, record->body.at, size);
    }
    checksum = record_checksum(at, NW_SPOOL_RECORD_HEADER_BYTES + size, id, record->number);
    memcpy(at, &checksum, 8);
}

const char *nw_spool_record_take(struct nw_bytes bytes, uint64_t id, uint64_t number,
                                 struct nw_spool_record *record, uint32_t *kind)
{
    struct nw_cursor cursor = nw_cursor_of(bytes.at, bytes.size);
    uint64_t checksum = nw_cursor_u64le(&cursor);

    *record = (struct nw_spool_record){.number = number};
    record->lsn = nw_cursor_u64le(&cursor);
    record->position_lsn = nw_cursor_u64le(&cursor);
    record->body.size = nw_cursor_u32le(&cursor);
    *kind = nw_cursor_u32le(&cursor);
    record->kind = *kind; /* of no use to others when it is a trim */
    record->body = nw_cursor_bytes(&cursor, record->body.size);
    if (!nw_cursor_done(&cursor)) {
        return "a record ends early";
    }
    if (checksum != record_checksum(bytes.at, bytes.size, id, number)) {
        return "a record's checksum does not match";
    }
    if (*kind == NW_SPOOL_TRIM) {
        cursor = nw_cursor_of(record->body.at, record->body.size);
        return nw_cursor_u64le(&cursor) <= number && nw_cursor_done(&cursor)
                   ? NULL
                   : "a trim record makes no sense";
    }
    return *kind >= NW_SPOOL_MESSAGE && *kind <= NW_SPOOL_POSITION ? NULL
                                                                   : "a record is of no known kind";
}
