/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a server sends them: pgoutput's messages, the walsender's frames around them, and the
 * protocol's messages around those. For tests, the simulator and the fuzz target's corpus.
 *
 * Format: PostgreSQL documentation, "Logical Replication Message Formats", "Streaming Replication
 * Protocol", "Message Formats".
 */
#ifndef TEST_WIRE_H
#define TEST_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/** Bytes that grow. */
struct wire {
    uint8_t *bytes;
    size_t size, capacity;
};

/** A column of a Relation message. */
struct wire_column {
    const char *name;
    uint32_t type_oid;
    int32_t typmod;
    bool key;
};

static inline void wire_bytes(struct wire *wire, const void *bytes, size_t size)
{
    if (size > wire->capacity - wire->size) {
        wire->capacity = (wire->capacity + size) * 2 + 64;
        wire->bytes = realloc(wire->bytes, wire->capacity);
        if (wire->bytes == NULL) {
            abort(); /* tests do not live without memory */
        }
    }
    if (size > 0) {
        memcpy(wire->bytes + wire->size, bytes, size);
        wire->size += size;
    }
}

static inline void wire_clear(struct wire *wire)
{
    wire->size = 0;
}

static inline void wire_free(struct wire *wire)
{
    free(wire->bytes);
    *wire = (struct wire){0};
}

static inline struct nw_bytes wire_slice(const struct wire *wire)
{
    return (struct nw_bytes){wire->bytes, wire->size};
}

static inline void wire_u8(struct wire *wire, unsigned value)
{
    wire_bytes(wire, &(uint8_t){(uint8_t)value}, 1);
}

static inline void wire_u16(struct wire *wire, unsigned value)
{
    wire_bytes(wire, &(uint16_t){__builtin_bswap16((uint16_t)value)}, 2);
}

static inline void wire_u32(struct wire *wire, uint32_t value)
{
    wire_bytes(wire, &(uint32_t){__builtin_bswap32(value)}, 4);
}

static inline void wire_u64(struct wire *wire, uint64_t value)
{
    wire_bytes(wire, &(uint64_t){__builtin_bswap64(value)}, 8);
}

static inline void wire_text(struct wire *wire, const char *text)
{
    wire_bytes(wire, text, strlen(text) + 1);
}

/* ---- pgoutput ---- */

static inline void wire_begin(struct wire *wire, uint64_t commit_lsn, int64_t commit_ts,
                              uint32_t xid)
{
    wire_u8(wire, 'B');
    wire_u64(wire, commit_lsn);
    wire_u64(wire, (uint64_t)commit_ts);
    wire_u32(wire, xid);
}

static inline void wire_commit(struct wire *wire, uint64_t commit_lsn, uint64_t end_lsn,
                               int64_t commit_ts)
{
    wire_u8(wire, 'C');
    wire_u8(wire, 0);
    wire_u64(wire, commit_lsn);
    wire_u64(wire, end_lsn);
    wire_u64(wire, (uint64_t)commit_ts);
}

/* Inside a streamed transaction messages have the subtransaction's xid after their type. */
static inline void wire_type(struct wire *wire, char type, uint32_t xid)
{
    wire_u8(wire, (unsigned char)type);
    if (xid != 0) {
        wire_u32(wire, xid);
    }
}

/** @param xid  0 outside of streams. */
static inline void wire_relation(struct wire *wire, uint32_t xid, uint32_t oid, const char *name,
                                 char identity, const struct wire_column *columns, uint16_t count)
{
    wire_type(wire, 'R', xid);
    wire_u32(wire, oid);
    wire_text(wire, "public");
    wire_text(wire, name);
    wire_u8(wire, (unsigned char)identity);
    wire_u16(wire, count);
    for (uint16_t i = 0; i < count; i++) {
        wire_u8(wire, columns[i].key ? 1 : 0);
        wire_text(wire, columns[i].name);
        wire_u32(wire, columns[i].type_oid);
        wire_u32(wire, (uint32_t)columns[i].typmod);
    }
}

/** One text value of a tuple; NULL: the column is null. */
static inline void wire_value(struct wire *wire, const char *text)
{
    wire_u8(wire, text == NULL ? 'n' : 't');
    if (text != NULL) {
        wire_u32(wire, (uint32_t)strlen(text));
        wire_bytes(wire, text, strlen(text));
    }
}

/** An insert of (first, second). */
static inline void wire_insert(struct wire *wire, uint32_t xid, uint32_t oid, const char *first,
                               const char *second)
{
    wire_type(wire, 'I', xid);
    wire_u32(wire, oid);
    wire_u8(wire, 'N');
    wire_u16(wire, 2);
    wire_value(wire, first);
    wire_value(wire, second);
}

/** An update of the row whose key stays. */
static inline void wire_update(struct wire *wire, uint32_t xid, uint32_t oid, const char *first,
                               const char *second)
{
    wire_type(wire, 'U', xid);
    wire_u32(wire, oid);
    wire_u8(wire, 'N');
    wire_u16(wire, 2);
    wire_value(wire, first);
    wire_value(wire, second);
}

/** A delete, by key. */
static inline void wire_delete(struct wire *wire, uint32_t xid, uint32_t oid, const char *first)
{
    wire_type(wire, 'D', xid);
    wire_u32(wire, oid);
    wire_u8(wire, 'K');
    wire_u16(wire, 2);
    wire_value(wire, first);
    wire_value(wire, NULL);
}

static inline void wire_truncate(struct wire *wire, uint32_t xid, uint8_t flags,
                                 const uint32_t *oids, uint32_t count)
{
    wire_type(wire, 'T', xid);
    wire_u32(wire, count);
    wire_u8(wire, flags);
    for (uint32_t i = 0; i < count; i++) {
        wire_u32(wire, oids[i]);
    }
}

static inline void wire_logical(struct wire *wire, uint32_t xid, bool transactional, uint64_t lsn,
                                const char *prefix, const void *content, uint32_t size)
{
    wire_type(wire, 'M', xid);
    wire_u8(wire, transactional ? 1 : 0);
    wire_u64(wire, lsn);
    wire_text(wire, prefix);
    wire_u32(wire, size);
    wire_bytes(wire, content, size);
}

static inline void wire_origin(struct wire *wire, uint64_t lsn, const char *name)
{
    wire_u8(wire, 'O');
    wire_u64(wire, lsn);
    wire_text(wire, name);
}

static inline void wire_stream_start(struct wire *wire, uint32_t xid, bool first)
{
    wire_u8(wire, 'S');
    wire_u32(wire, xid);
    wire_u8(wire, first ? 1 : 0);
}

static inline void wire_stream_stop(struct wire *wire)
{
    wire_u8(wire, 'E');
}

static inline void wire_stream_commit(struct wire *wire, uint32_t xid, uint64_t commit_lsn,
                                      uint64_t end_lsn, int64_t commit_ts)
{
    wire_u8(wire, 'c');
    wire_u32(wire, xid);
    wire_u8(wire, 0);
    wire_u64(wire, commit_lsn);
    wire_u64(wire, end_lsn);
    wire_u64(wire, (uint64_t)commit_ts);
}

static inline void wire_stream_abort(struct wire *wire, uint32_t xid, uint32_t subxid)
{
    wire_u8(wire, 'A');
    wire_u32(wire, xid);
    wire_u32(wire, subxid);
}

/* ---- frames ---- */

/** Starts a protocol message; its length is filled by wire_message_end(). @return its place */
static inline size_t wire_message_start(struct wire *wire, char type)
{
    wire_u8(wire, (unsigned char)type);
    wire_u32(wire, 0);
    return wire->size - 4;
}

static inline void wire_message_end(struct wire *wire, size_t place)
{
    uint32_t length = __builtin_bswap32((uint32_t)(wire->size - place));

    memcpy(wire->bytes + place, &length, sizeof length);
}

/** Starts a CopyData with an XLogData header; the payload follows, then wire_message_end(). */
static inline size_t wire_data_start(struct wire *wire, uint64_t lsn, uint64_t end_lsn)
{
    size_t place = wire_message_start(wire, 'd');

    wire_u8(wire, 'w');
    wire_u64(wire, lsn);
    wire_u64(wire, end_lsn);
    wire_u64(wire, 0);
    return place;
}

static inline void wire_keepalive(struct wire *wire, uint64_t end_lsn, bool reply)
{
    size_t place = wire_message_start(wire, 'd');

    wire_u8(wire, 'k');
    wire_u64(wire, end_lsn);
    wire_u64(wire, 0);
    wire_u8(wire, reply ? 1 : 0);
    wire_message_end(wire, place);
}

static inline void wire_server_error(struct wire *wire, const char *sqlstate, const char *text)
{
    size_t place = wire_message_start(wire, 'E');

    wire_u8(wire, 'S');
    wire_text(wire, "ERROR");
    wire_u8(wire, 'C');
    wire_text(wire, sqlstate);
    wire_u8(wire, 'M');
    wire_text(wire, text);
    wire_u8(wire, 0);
    wire_message_end(wire, place);
}

#endif
