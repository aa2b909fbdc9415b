/* SPDX-License-Identifier: Apache-2.0 */
/* Values in Avro's binary encoding: see avro.h. */
#include "lib/format/avro.h"

#define LONG_SIZE_MAX 10u

/* Seven bits a byte, the lowest first; signs by zigzag. @return bytes written */
static size_t long_encode(uint8_t bytes[static LONG_SIZE_MAX], int64_t value)
{
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    size_t size = 0;

    while (rest > 0x7f) {
        bytes[size++] = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    bytes[size++] = (uint8_t)rest;
    return size;
}

void nw_avro_long(struct nw_out *out, int64_t value)
{
    if (nw_out_reserve(out, LONG_SIZE_MAX)) {
        out->used += long_encode(out->bytes + out->used, value);
    }
}

void nw_avro_bytes(struct nw_out *out, const void *bytes, size_t size)
{
    nw_avro_long(out, (int64_t)size);
    nw_out_bytes(out, bytes, size);
}

void nw_avro_branch(struct nw_out *out, const struct nw_connect_schema *schema, bool null)
{
    bool null_first = schema->fallback == NULL || schema->kind == NW_CONNECT_STRUCT;

    if (schema->optional) {
        nw_avro_long(out, null == null_first ? 0 : 1);
    }
}

void nw_avro_header(struct nw_out *out, uint32_t id)
{
    const uint8_t bytes[NW_AVRO_HEADER_SIZE] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                                                (uint8_t)(id >> 8), (uint8_t)id};

    nw_out_bytes(out, bytes, sizeof bytes);
}

/* IEEE 754, the lowest byte first. */
static void bits_append(struct nw_out *out, uint64_t bits, size_t size)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(bits >> 8 * i);
    }
    nw_out_bytes(out, bytes, size);
}

static void real_append(struct nw_out *out, enum nw_connect_kind kind, double real)
{
    if (kind == NW_CONNECT_FLOAT32) {
        float narrow = (float)real;
        uint32_t bits = 0;

        memcpy(&bits, &narrow, sizeof bits);
        bits_append(out, bits, sizeof bits);
    } else {
        uint64_t bits = 0;

        memcpy(&bits, &real, sizeof bits);
        bits_append(out, bits, sizeof bits);
    }
}

/* Put the number of items before them: it is known only now. */
static void count_insert(struct nw_out *out, size_t at, int64_t count)
{
    uint8_t bytes[LONG_SIZE_MAX];
    size_t size = long_encode(bytes, count);

    if (nw_out_reserve(out, size)) {
        memmove(out->bytes + at + size, out->bytes + at, out->used - at);
        memcpy(out->bytes + at, bytes, size);
        out->used += size;
    }
}

/* One block with all items, and an empty one behind it. */
static nw_status items_append(struct nw_out *out, const struct nw_connect_schema *schema,
                              struct nw_connect_items *items, struct nw_error *err)
{
    struct nw_connect_value key = {.kind = NW_CONNECT_NULL};
    struct nw_connect_value value = {.kind = NW_CONNECT_NULL};
    nw_status status = NW_OK;
    size_t at = out->used;
    int64_t count = 0;

    while (status == NW_OK && nw_connect_next(items, &key, &value, &status, err)) {
        if (schema->kind == NW_CONNECT_MAP) { /* a string, or a MapEntry's first field: alike */
            status = nw_avro_value(out, schema->key, &key, err);
        }
        status = status == NW_OK ? nw_avro_value(out, schema->element, &value, err) : status;
        count++;
    }
    if (status == NW_OK && count > 0 && !out->failed) {
        count_insert(out, at, count);
    }
    nw_avro_long(out, 0);
    return status;
}

static nw_status pieces_append(struct nw_out *out, const struct nw_connect_schema *schema,
                               const struct nw_connect_value *pieces, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < schema->fields_count && status == NW_OK; i++) {
        status = nw_avro_value(out, schema->fields[i].schema, &pieces[i], err);
    }
    return status;
}

nw_status nw_avro_value(struct nw_out *out, const struct nw_connect_schema *schema,
                        const struct nw_connect_value *value, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (value->kind == NW_CONNECT_NULL && !schema->optional) {
        return nw_fail(err, NW_REJECT, "NW2720 a value is NULL, and its Avro schema has no null");
    }
    nw_avro_branch(out, schema, value->kind == NW_CONNECT_NULL);
    switch (value->kind) {
    case NW_CONNECT_NULL:
        break;
    case NW_CONNECT_TRUTH:
        nw_out_bytes(out, value->as.boolean ? "\1" : "\0", 1);
        break;
    case NW_CONNECT_INTEGER:
        nw_avro_long(out, value->as.integer);
        break;
    case NW_CONNECT_REAL:
        real_append(out, schema->kind, value->as.real);
        break;
    case NW_CONNECT_TEXT:
    case NW_CONNECT_BINARY:
    case NW_CONNECT_NUMBER:
        nw_avro_bytes(out, value->bytes, value->size);
        break;
    case NW_CONNECT_PIECES:
        status = pieces_append(out, schema, value->pieces, err);
        break;
    case NW_CONNECT_ITEMS:
        status = items_append(out, schema, value->items, err);
        break;
    }
    return status == NW_OK && out->failed ? nw_fail(err, NW_RETRY, "out of memory for messages")
                                          : status;
}
