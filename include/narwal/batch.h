/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: rows of one table and one schema version, in Arrow's memory layout.
 *
 * Two ways to read one: through the Arrow C Data Interface (nw_host.batch_export), or through the
 * inline accessors at the end of this file. A batch is immutable. It is borrowed for the duration
 * of write(); what must live longer is copied, or exported.
 *
 * Three things are never mixed up:
 *   NULL       the column is NULL in the database;
 *   missing    the database did not send the value (unchanged TOAST, or not in the replica
 *              identity). It is unknown, not NULL;
 *   exception  the value exists and has no exact typed form (numeric NaN in a decimal column,
 *              timestamps past the year 294247, infinity, 24:00:00; text that is not UTF-8). Its
 *              slot in the column is null and its text, as PostgreSQL prints it, is in
 * `exceptions`. Only sinks that declare NW_SINK_EXCEPTIONS get such rows; for others the host stops
 * the table.
 */
#ifndef NARWAL_BATCH_H
#define NARWAL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <narwal/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NW_OP_INSERT 'I'
#define NW_OP_UPDATE 'U'
#define NW_OP_DELETE 'D'

#define NW_BATCH_COPY 1u /**< rows of a table's copy: all inserts, in no particular order */
/**
 * With NW_BATCH_COPY: this copy broke off and is gone on with, as of a later commit_lsn, so that it
 * may have rows of one key more than once. Of a key the row with the highest commit_lsn counts, and
 * a change of an earlier commit_lsn leaves that row as it is: an image of such a change, before or
 * after, whose key has a copied row of a higher commit_lsn, is passed over; a before image may also
 * find no row. Only tables with a key get such batches.
 */
#define NW_BATCH_UPSERT 2u

/** One column of an image. Buffers follow Arrow's layout for the column's type. */
struct nw_array {
    const uint8_t *validity; /**< bit i: row i is not null; never NULL */
    const void *values;      /**< fixed-width values or bool bits; NULL for variable width */
    const int32_t *offsets;  /**< rows + 1 offsets into bytes; NULL for fixed width */
    const uint8_t *bytes;    /**< NULL for fixed width */
    uint32_t nulls_count;    /**< zero bits in validity, over the whole batch */
};

/** The rows as they were before, or as they are after the change. */
struct nw_image {
    const uint8_t *present; /**< bit i: row i has this image at all */
    const uint8_t *missing; /**< row i from i * missing_stride on: bit c set: column c is missing */
    const struct nw_array *columns; /**< table->columns_count; NULL: no row has this image */
};

/** A value without an exact typed form. Ordered by row, side, column. */
struct nw_exception {
    uint32_t row; /**< absolute: counted from the first row of the whole batch */
    uint16_t column;
    uint8_t side; /**< NW_BEFORE or NW_AFTER */
    uint8_t pad;
    uint32_t offset; /**< into exception_bytes */
    uint32_t size;   /**< bytes, not NUL-terminated */
};

#define NW_BEFORE 0
#define NW_AFTER  1

/**
 * A batch, or a run of rows inside one: rows first_row .. first_row + rows_count - 1 of the arrays.
 * The inline accessors below take row numbers from 0 to rows_count - 1.
 */
struct nw_batch {
    uint32_t size;  /**< sizeof(struct nw_batch) in the host */
    uint32_t flags; /**< NW_BATCH_... */
    const struct nw_table *table;
    uint64_t epoch; /**< the commit that these rows belong to, see nw_sink_ops.commit */
    uint32_t first_row;
    uint32_t rows_count;           /**< at least 1 */
    uint32_t generation;           /**< with NW_BATCH_COPY: the copy's generation, see copy_begin */
    uint32_t missing_stride;       /**< bytes per row in nw_image.missing */
    const uint8_t *op;             /**< NW_OP_... */
    const uint64_t *commit_lsn;    /**< start of the commit record; with NW_BATCH_COPY the fence */
    const uint64_t *row_lsn;       /**< of the change itself; several rows may share one */
    const uint64_t *seq;           /**< index of the change in its transaction, before any filter */
    const uint32_t *xid;           /**< top-level transaction; 0 with NW_BATCH_COPY */
    const int64_t *commit_ts;      /**< microseconds since 1970-01-01 UTC; 0 with NW_BATCH_COPY */
    const int32_t *origin_offsets; /**< replication origin name, empty: local. Arrow text layout */
    const uint8_t *origin_bytes;
    struct nw_image image[2]; /**< [NW_BEFORE], [NW_AFTER] */
    const struct nw_exception *exceptions;
    const uint8_t *exception_bytes;
    uint32_t exceptions_count; /**< over the whole batch */
    /* Members above exist since ABI 1. */
};

/** What nw_batch_value() found. */
enum nw_value_kind {
    NW_VALUE_NULL = 0,
    NW_VALUE_PRESENT = 1,
    NW_VALUE_MISSING = 2,   /**< the database did not send it */
    NW_VALUE_EXCEPTION = 3, /**< bytes/size hold PostgreSQL's text, UTF-8 or not */
};

/** One value. Pointers are valid as long as the batch. */
struct nw_value {
    enum nw_value_kind kind;
    enum nw_type type;
    union {
        bool boolean;    /**< BOOL */
        int64_t integer; /**< INT16..UINT32, DATE, TIME, TIMESTAMP, TIMESTAMPTZ */
        double real;     /**< FLOAT32, FLOAT64 */
    } as;
    const uint8_t *bytes; /**< TEXT, BINARY, JSON, NUMERIC; UUID, DECIMAL (16 bytes); exceptions */
    uint32_t size;
};

static inline bool nw_bit(const uint8_t *bits, size_t index)
{
    return ((unsigned)bits[index >> 3] >> (index & 7u) & 1u) != 0;
}

/** Whether the row has this image: inserts have no before, deletes no after. */
static inline bool nw_batch_has(const struct nw_batch *batch, int side, uint32_t row)
{
    const struct nw_image *image = &batch->image[side];

    return image->columns != NULL && nw_bit(image->present, (size_t)batch->first_row + row);
}

/** Index of the first exception at this place or after it; exceptions_count when there is none. */
static inline uint32_t nw_batch_exception_from(const struct nw_batch *batch, uint32_t row, int side,
                                               uint16_t column)
{
    const uint64_t place = (uint64_t)(batch->first_row + row) << 32 | (uint32_t)side << 16 | column;
    uint32_t low = 0;
    uint32_t high = batch->exceptions_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct nw_exception *e = &batch->exceptions[middle];

        if (((uint64_t)e->row << 32 | (uint32_t)e->side << 16 | e->column) < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/** The exception at this place; NULL when there is none. */
static inline const struct nw_exception *nw_batch_exception(const struct nw_batch *batch, int side,
                                                            uint32_t row, uint16_t column)
{
    uint32_t at = nw_batch_exception_from(batch, row, side, column);
    const struct nw_exception *e = NULL;

    if (at < batch->exceptions_count) {
        e = &batch->exceptions[at];
        e = e->row == batch->first_row + row && e->side == side && e->column == column ? e : NULL;
    }
    return e;
}

/* Reads a fixed-width value; the caller has seen that the row is valid. */
static inline void nw_value_load(struct nw_value *value, const struct nw_array *array, size_t at)
{
    const uint8_t *values = (const uint8_t *)array->values;
    int16_t i16;
    int32_t i32;
    uint32_t u32;
    float f32;

    switch (value->type) {
    case NW_TYPE_BOOL:
        value->as.boolean = nw_bit(values, at);
        break;
    case NW_TYPE_INT16:
        memcpy(&i16, values + at * 2, sizeof i16);
        value->as.integer = i16;
        break;
    case NW_TYPE_INT32:
    case NW_TYPE_DATE:
        memcpy(&i32, values + at * 4, sizeof i32);
        value->as.integer = i32;
        break;
    case NW_TYPE_UINT32:
        memcpy(&u32, values + at * 4, sizeof u32);
        value->as.integer = u32;
        break;
    case NW_TYPE_INT64:
    case NW_TYPE_TIME:
    case NW_TYPE_TIMESTAMP:
    case NW_TYPE_TIMESTAMPTZ:
        memcpy(&value->as.integer, values + at * 8, sizeof value->as.integer);
        break;
    case NW_TYPE_FLOAT32:
        memcpy(&f32, values + at * 4, sizeof f32);
        value->as.real = (double)f32;
        break;
    case NW_TYPE_FLOAT64:
        memcpy(&value->as.real, values + at * 8, sizeof value->as.real);
        break;
    case NW_TYPE_DECIMAL:
    case NW_TYPE_UUID:
        value->bytes = values + at * 16;
        value->size = 16;
        break;
    case NW_TYPE_TEXT:
    case NW_TYPE_BINARY:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        value->bytes = array->bytes + array->offsets[at];
        value->size = (uint32_t)(array->offsets[at + 1] - array->offsets[at]);
        break;
    }
}

/**
 * The same as nw_batch_value(), into memory of the caller's: nothing is copied. What `as` and
 * `bytes` hold for another kind than theirs is not defined.
 */
static inline void nw_batch_read(const struct nw_batch *batch, int side, uint32_t row,
                                 uint16_t column, struct nw_value *value)
{
    const struct nw_image *image = &batch->image[side];
    size_t at = (size_t)batch->first_row + row;

    value->type = (enum nw_type)batch->table->columns[column].type;
    value->bytes = NULL;
    value->size = 0;
    if (!nw_batch_has(batch, side, row) ||
        nw_bit(image->missing + at * batch->missing_stride, column)) {
        value->kind = NW_VALUE_MISSING;
    } else if (nw_bit(image->columns[column].validity, at)) {
        value->kind = NW_VALUE_PRESENT;
        nw_value_load(value, &image->columns[column], at);
    } else {
        const struct nw_exception *e =
            batch->exceptions_count == 0 ? NULL : nw_batch_exception(batch, side, row, column);

        value->kind = e == NULL ? NW_VALUE_NULL : NW_VALUE_EXCEPTION;
        if (e != NULL) {
            value->bytes = batch->exception_bytes + e->offset;
            value->size = e->size;
        }
    }
}

/**
 * Read one value of a row.
 *
 * @param side    NW_BEFORE or NW_AFTER; a row without that image gives NW_VALUE_MISSING.
 * @param row     0 .. rows_count - 1
 * @param column  index into batch->table->columns
 */
static inline struct nw_value nw_batch_value(const struct nw_batch *batch, int side, uint32_t row,
                                             uint16_t column)
{
    struct nw_value value = {.kind = NW_VALUE_MISSING};

    nw_batch_read(batch, side, row, column, &value);
    return value;
}

#ifdef __cplusplus
}
#endif
#endif
