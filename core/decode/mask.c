/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns that sinks see masked, or not at all. What is masked is PostgreSQL's own text of a value,
 * as col::text gives it under narwal's pinned settings, whichever way the value came: a mask made
 * of it can be made again in SQL. That cast is the type's output function (src/backend/utils/adt)
 * but for three types: boolean (true), char(n) (without the blanks at its end) and inet (with its
 * mask always).
 */
#include "base/cursor.h"
#include "decode/column.h"
#include "decode/float_print.h"
#include "decode/print.h"
#include "pg/types.h"

enum nw_decoded nw_decode_nothing(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    (void)column;
    (void)row;
    (void)at;
    (void)size;
    return NW_DECODED;
}

static enum nw_decoded mask_append(struct nw_column *column, uint32_t row, const void *text,
                                   uint32_t size)
{
    if (!column->mask->append(column->mask, &column->bytes, text, size)) {
        return NW_DECODED_NO_MEMORY;
    }
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return NW_DECODED;
}

static enum nw_decoded mask_bool(struct nw_column *column, uint32_t row, bool value)
{
    return value ? mask_append(column, row, "true", 4) : mask_append(column, row, "false", 5);
}

/* bpchar's cast to text: src/backend/utils/adt/varchar.c, bpchar to text by rtrim1(). */
static uint32_t blanks_cut(const uint8_t *text, uint32_t size)
{
    while (size > 0 && text[size - 1] == ' ') {
        size--;
    }
    return size;
}

/* Masks the text that an output function printed. */
static enum nw_decoded mask_text(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    return mask_append(column, row, at, size);
}

static enum nw_decoded mask_text_bool(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    if (size != 1 || (*at != 't' && *at != 'f')) {
        return NW_DECODED_MALFORMED;
    }
    return mask_bool(column, row, *at == 't');
}

static enum nw_decoded mask_text_bpchar(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size)
{
    return mask_append(column, row, at, column->mask->padded ? size : blanks_cut(at, size));
}

/* What inet's cast to text makes of what was printed: src/backend/utils/adt/network.c,
 * network_show(): the bits of the mask also when all are set. */
static enum nw_decoded mask_inet(struct nw_column *column, uint32_t row)
{
    struct nw_buffer *text = column->scratch;
    bool ipv6 = memchr(text->at, ':', text->size) != NULL;

    if (memchr(text->at, '/', text->size) == NULL &&
        !nw_buffer_append(text, ipv6 ? "/128" : "/32", ipv6 ? 4 : 3)) {
        return NW_DECODED_NO_MEMORY;
    }
    return mask_append(column, row, text->at, text->size);
}

static enum nw_decoded mask_text_inet(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    column->scratch->size = 0;
    return size > 0 && nw_buffer_append(column->scratch, at, size) ? mask_inet(column, row)
           : size > 0                                              ? NW_DECODED_NO_MEMORY
                                                                   : NW_DECODED_MALFORMED;
}

static enum nw_decoded mask_binary_jsonb(struct nw_column *column, uint32_t row, const uint8_t *at,
                                         uint32_t size)
{
    if (size < 1 || at[0] != 1) { /* the format's version */
        return NW_DECODED_MALFORMED;
    }
    return mask_append(column, row, at + 1, size - 1);
}

static enum nw_decoded mask_binary_bool(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size)
{
    return size != 1 || *at > 1 ? NW_DECODED_MALFORMED : mask_bool(column, row, *at == 1);
}

/* Masks what a print function made of a value in its send format. */
static enum nw_decoded mask_printed(struct nw_column *column, uint32_t row, enum nw_decoded printed)
{
    const struct nw_buffer *text = column->scratch;

    if (printed != NW_DECODED) {
        return printed;
    }
    return mask_append(column, row, text->size == 0 ? (const uint8_t *)"" : text->at, text->size);
}

static enum nw_decoded mask_binary_print(struct nw_column *column, uint32_t row, const uint8_t *at,
                                         uint32_t size)
{
    column->scratch->size = 0;
    return mask_printed(column, row, column->print(column->scratch, at, size));
}

static enum nw_decoded mask_binary_inet(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size)
{
    enum nw_decoded decoded = NW_DECODED;

    column->scratch->size = 0;
    decoded = column->print(column->scratch, at, size);
    return decoded == NW_DECODED ? mask_inet(column, row) : decoded;
}

static enum nw_decoded mask_binary_array(struct nw_column *column, uint32_t row, const uint8_t *at,
                                         uint32_t size)
{
    column->scratch->size = 0;
    return mask_printed(column, row,
                        nw_print_array(column->scratch, at, size, column->element_oid));
}

static enum nw_decoded mask_binary_float(struct nw_column *column, uint32_t row, const uint8_t *at,
                                         uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    char text[NW_FLOAT_TEXT_SIZE];
    size_t length = 0;

    if (size == sizeof(float)) {
        uint32_t bits = nw_cursor_u32be(&cursor);
        float value;

        memcpy(&value, &bits, sizeof value);
        length = nw_float_print(text, value);
    } else {
        uint64_t bits = nw_cursor_u64be(&cursor);
        double value;

        memcpy(&value, &bits, sizeof value);
        length = nw_double_print(text, value);
    }
    return nw_cursor_done(&cursor) ? mask_append(column, row, text, (uint32_t)length)
                                   : NW_DECODED_MALFORMED;
}

/* "char": before PostgreSQL 16 a byte from 0x80 on comes as it is. */
static enum nw_decoded mask_text_char(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    return size == 1 ? mask_binary_print(column, row, at, size)
                     : mask_append(column, row, at, size);
}

nw_decode_fn nw_decoder_masked_text(const struct nw_column_schema *schema)
{
    switch (schema->base_type_oid) {
    case NW_OID_BOOL:
        return mask_text_bool;
    case NW_OID_BPCHAR:
        return mask_text_bpchar;
    case NW_OID_INET:
        return mask_text_inet;
    case NW_OID_CHAR:
        return mask_text_char;
    default:
        return mask_text;
    }
}

nw_decode_fn nw_decoder_masked_binary(const struct nw_column_schema *schema, uint32_t element_oid)
{
    switch (schema->base_type_oid) {
    case NW_OID_BOOL:
        return mask_binary_bool;
    case NW_OID_BPCHAR:
        return mask_text_bpchar;
    case NW_OID_INET:
        return mask_binary_inet;
    case NW_OID_FLOAT4:
    case NW_OID_FLOAT8:
        return mask_binary_float;
    case NW_OID_JSONB:
        return mask_binary_jsonb;
    default:
        break;
    }
    if (nw_decoder_binary(schema, element_oid) == NULL) {
        return NULL;
    }
    if (element_oid != 0) {
        return mask_binary_array;
    }
    return nw_printer_of(schema->base_type_oid) != NULL ? mask_binary_print : mask_text;
}
