/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One column of an image while it is built, and the functions that put a value into it. Which
 * function that is, is decided once for each block and column.
 *
 * Text form: what the type's output function prints under narwal's pinned settings (DateStyle ISO,
 * TimeZone UTC, IntervalStyle postgres, extra_float_digits 3, bytea_output hex). Binary form: what
 * its send function writes (src/backend/utils/adt of PostgreSQL 14 to 18). Both are untrusted.
 */
#ifndef NW_DECODE_COLUMN_H
#define NW_DECODE_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/buffer.h"
#include "source/projection.h"

enum nw_decoded {
    NW_DECODED = 0,
    NW_DECODED_EXCEPTION, /* no exact form; its text was appended to column->exceptions */
    NW_DECODED_MALFORMED,
    NW_DECODED_NO_MEMORY,
};

struct nw_column;

/** Put the value of a row into its column. `at` is never NULL. Validity is the caller's. */
typedef enum nw_decoded (*nw_decode_fn)(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size);

/** Append PostgreSQL's text of a value in its send format. */
typedef enum nw_decoded (*nw_print_fn)(struct nw_buffer *out, const uint8_t *at, uint32_t size);

struct nw_column {
    uint8_t *validity;
    uint8_t *values;              /* fixed width */
    int32_t *offsets;             /* variable width; NULL for fixed width */
    struct nw_buffer bytes;       /* variable width */
    struct nw_buffer *exceptions; /* shared by all columns */
    nw_decode_fn text, binary;    /* binary: NULL when the type's send format is not decoded */
    nw_decode_fn unchecked_text, unchecked_binary; /* what those call when they check text */
    nw_print_fn print;    /* for types whose form is text but not what is sent */
    uint32_t element_oid; /* of an array */
    uint8_t precision, scale;
    uint32_t bytes_counted; /* capacity that the builder has counted, see builder.c */
    uint16_t seen;          /* its index for sinks; NW_FIELD_UNSEEN: they do not see it */
    const struct nw_mask *mask;
    struct nw_buffer *scratch; /* of a masked column: for the text of a value */
};

static inline bool nw_type_is_variable(enum nw_type type)
{
    return type == NW_TYPE_TEXT || type == NW_TYPE_BINARY || type == NW_TYPE_JSON ||
           type == NW_TYPE_NUMERIC;
}

nw_decode_fn nw_decoder_text(const struct nw_column_schema *schema);
/**
 * NULL when the column's type has a send format that narwal does not decode.
 * @param element_oid  of an array, see nw_column_element()
 */
nw_decode_fn nw_decoder_binary(const struct nw_column_schema *schema, uint32_t element_oid);

/** From now on both decoders of a column of text refuse what is not UTF-8, as an exception. */
void nw_column_check_text(struct nw_column *column);

/**
 * A column whose values sinks see masked: its type is text then, and what the decoders put in is
 * what column->mask makes of the value's text. See nw_decoder_text() and nw_decoder_binary().
 */
nw_decode_fn nw_decoder_masked_text(const struct nw_column_schema *schema);
nw_decode_fn nw_decoder_masked_binary(const struct nw_column_schema *schema, uint32_t element_oid);
/** Takes no notice of the value: the column is not seen. */
enum nw_decoded nw_decode_nothing(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size);

/** Copies the bytes as they are into a variable-width column. */
enum nw_decoded nw_decode_copy(struct nw_column *column, uint32_t row, const uint8_t *at,
                               uint32_t size);

/** Refuse a value that has no exact form: `text` is what PostgreSQL prints. */
static inline enum nw_decoded nw_decoded_exception(struct nw_column *column, const void *text,
                                                   size_t size)
{
    return nw_buffer_append(column->exceptions, text, size) ? NW_DECODED_EXCEPTION
                                                            : NW_DECODED_NO_MEMORY;
}

#endif
