/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as JSON lines: see json.h, and docs/files.md for the format.
 *
 * Every row starts with enough room for all of its fixed-width parts (layout->fixed_size). A value
 * of variable width makes room for itself and leaves that much behind, so that nothing else has to
 * look at the room.
 */
#include <math.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/print.h"

#define HEAD_SIZE_MAX  96u /* {"op":"I","lsn":"...","seq":...} without the transaction */
#define HEAD_KEPT_MAX  256u
#define VALUE_SIZE_MAX 64u /* of fixed width, quoted */
#define KEY_COPY_SIZE  32u /* keys up to this size are copied by two moves */

struct column {
    uint32_t key_offset; /* into keys: ,"name": */
    uint32_t key_size;
    uint8_t type;
    uint8_t scale;
};

struct nw_json_layout {
    const struct nw_table *table;
    struct column *columns;
    struct nw_out keys;
    struct nw_out tail; /* ,"schema":3 */
    size_t fixed_size;  /* bytes that a row needs at most beside values of variable width */

    /* The transaction printed last. */
    struct nw_out transaction; /* ,"commit_lsn":"0/15D6B8","xid":741,... */
    uint64_t commit_lsn;
    int64_t commit_ts;
    uint32_t xid;
    uint32_t generation;
    bool copy;
    uint32_t origin_size;
    uint8_t origin[64]; /* longer ones are printed anew each time */

    /* What was printed last before the images of a row: all rows of a copy have the same. */
    uint8_t head[HEAD_KEPT_MAX];
    uint32_t head_size; /* 0: none is kept */
    uint8_t head_op;
    uint64_t head_lsn;
    uint64_t head_seq;
};

/* One row being printed. */
struct writer {
    struct nw_json_layout *layout;
    const struct nw_batch *batch;
    struct nw_out *out;
    uint32_t exception; /* the next one that can match */
};

struct nw_json_layout *nw_json_layout_create(const struct nw_table *table, uint32_t schema)
{
    struct nw_json_layout *layout = calloc(1, sizeof *layout);

    if (layout == NULL) {
        return NULL;
    }
    layout->table = table;
    layout->columns = calloc((size_t)table->columns_count + 1, sizeof *layout->columns);
    if (layout->columns == NULL) {
        nw_json_layout_destroy(layout);
        return NULL;
    }
    nw_out_text(&layout->tail, ",\"schema\":");
    nw_out_u64(&layout->tail, schema);
    for (uint16_t i = 0; i < table->columns_count; i++) {
        struct column *column = &layout->columns[i];

        column->type = table->columns[i].type;
        column->scale = table->columns[i].scale;
        column->key_offset = (uint32_t)layout->keys.used;
        nw_out_text(&layout->keys, ",");
        nw_json_name(&layout->keys, table->columns[i].name);
        nw_out_text(&layout->keys, ":");
        column->key_size = (uint32_t)layout->keys.used - column->key_offset;
    }
    /* So that a short key may be copied with what is behind it. */
    if (nw_out_reserve(&layout->keys, KEY_COPY_SIZE)) {
        memset(layout->keys.bytes + layout->keys.used, 0, KEY_COPY_SIZE);
    }
    /* Each column can be in both images, or in the lists of what is missing. */
    layout->fixed_size = KEY_COPY_SIZE + HEAD_SIZE_MAX + layout->tail.used + 128 +
                         2 * layout->keys.used + 2 * (size_t)VALUE_SIZE_MAX * table->columns_count;
    if (layout->keys.failed || layout->tail.failed) {
        nw_json_layout_destroy(layout);
        return NULL;
    }
    return layout;
}

void nw_json_layout_destroy(struct nw_json_layout *layout)
{
    if (layout == NULL) {
        return;
    }
    free(layout->columns);
    nw_out_fini(&layout->keys);
    nw_out_fini(&layout->tail);
    nw_out_fini(&layout->transaction);
    free(layout);
}

static inline uint8_t *append(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* A key, at most copied with some bytes behind it, for which there is room. */
static inline uint8_t *append_key(uint8_t *at, const uint8_t *key, size_t size)
{
    if (size <= KEY_COPY_SIZE) {
        memcpy(at, key, KEY_COPY_SIZE);
        return at + size;
    }
    return append(at, key, size);
}

#define LITERAL(at, text) append(at, text, sizeof(text) - 1)

/* The origin's name; {NULL, 0} for a local change. */
static const uint8_t *origin_of(const struct nw_batch *batch, size_t row, size_t *size)
{
    *size = 0;
    if (batch->origin_offsets == NULL || batch->origin_bytes == NULL) {
        return NULL;
    }
    *size = (size_t)(batch->origin_offsets[row + 1] - batch->origin_offsets[row]);
    return batch->origin_bytes + batch->origin_offsets[row];
}

static bool transaction_same(const struct nw_json_layout *layout, const struct nw_batch *batch,
                             size_t row)
{
    size_t origin_size;
    const uint8_t *origin = origin_of(batch, row, &origin_size);

    return layout->transaction.used > 0 && batch->commit_lsn[row] == layout->commit_lsn &&
           batch->xid[row] == layout->xid && batch->commit_ts[row] == layout->commit_ts &&
           ((batch->flags & NW_BATCH_COPY) != 0) == layout->copy &&
           batch->generation == layout->generation && origin_size == layout->origin_size &&
           origin_size <= sizeof layout->origin &&
           (origin_size == 0 || memcmp(origin, layout->origin, origin_size) == 0);
}

static void out_commit_ts(struct nw_out *out, int64_t commit_ts)
{
    if (nw_out_reserve(out, NW_PRINT_TIMESTAMP_MAX + 32)) {
        uint8_t *at = LITERAL(out->bytes + out->used, ",\"commit_ts\":\"");

        at = nw_print_timestamp(at, commit_ts, "+00");
        *at++ = '"';
        out->used = (size_t)(at - out->bytes);
    }
}

static bool transaction_print(struct nw_json_layout *layout, const struct nw_batch *batch,
                              size_t row)
{
    struct nw_out *out = &layout->transaction;
    size_t origin_size;
    const uint8_t *origin = origin_of(batch, row, &origin_size);

    out->used = 0;
    out->failed = false;
    layout->head_size = 0;
    layout->commit_lsn = batch->commit_lsn[row];
    layout->commit_ts = batch->commit_ts[row];
    layout->xid = batch->xid[row];
    layout->generation = batch->generation;
    layout->copy = (batch->flags & NW_BATCH_COPY) != 0;
    layout->origin_size = (uint32_t)origin_size;
    if (origin_size > 0 && origin_size <= sizeof layout->origin) {
        memcpy(layout->origin, origin, origin_size);
    }
    nw_out_text(out, ",\"commit_lsn\":\"");
    nw_out_lsn(out, layout->commit_lsn);
    nw_out_text(out, "\"");
    if (layout->copy) {
        nw_out_text(out, ",\"copy\":");
        nw_out_u64(out, batch->generation);
    } else {
        nw_out_text(out, ",\"xid\":");
        nw_out_u64(out, layout->xid);
        out_commit_ts(out, layout->commit_ts);
    }
    if (origin_size > 0) {
        nw_out_text(out, ",\"origin\":");
        (void)nw_json_string(out, origin, origin_size, 0);
    }
    if (out->failed) {
        out->used = 0;
        return false;
    }
    return true;
}

/* Of a copy the next row is likely to begin the same. */
static void head_keep(struct nw_json_layout *layout, const struct nw_batch *batch, size_t row,
                      const uint8_t *head, size_t size)
{
    if (layout->copy && size <= sizeof layout->head) {
        memcpy(layout->head, head, size);
        layout->head_size = (uint32_t)size;
        layout->head_op = batch->op[row];
        layout->head_lsn = batch->row_lsn[row];
        layout->head_seq = batch->seq[row];
    }
}

/* Opens the line, up to and with its schema number. */
static uint8_t *head_print(struct writer *writer, uint8_t *at, size_t row)
{
    struct nw_json_layout *layout = writer->layout;
    const struct nw_batch *batch = writer->batch;
    const uint8_t *start = at;

    if (layout->head_size > 0 && batch->row_lsn[row] == layout->head_lsn &&
        batch->seq[row] == layout->head_seq && batch->op[row] == layout->head_op) {
        return append(at, layout->head, layout->head_size);
    }
    at = LITERAL(at, "{\"op\":\"");
    *at++ = batch->op[row];
    at = LITERAL(at, "\",\"lsn\":\"");
    at = nw_print_lsn(at, batch->row_lsn[row]);
    at = LITERAL(at, "\",\"seq\":");
    at = nw_print_u64(at, batch->seq[row]);
    at = append(at, layout->transaction.bytes, layout->transaction.used);
    at = append(at, layout->tail.bytes, layout->tail.used);
    head_keep(layout, batch, row, start, (size_t)(at - start));
    return at;
}

static uint8_t *float_print(uint8_t *at, const void *values, size_t row, bool wide)
{
    float narrow_value;
    double value;

    if (wide) {
        memcpy(&value, (const uint8_t *)values + row * 8, sizeof value);
    } else {
        memcpy(&narrow_value, (const uint8_t *)values + row * 4, sizeof narrow_value);
        value = (double)narrow_value;
    }
    if (isnan(value)) {
        return LITERAL(at, "\"NaN\"");
    }
    if (isinf(value)) {
        return value > 0 ? LITERAL(at, "\"Infinity\"") : LITERAL(at, "\"-Infinity\"");
    }
    return wide ? nw_print_float64(at, value) : nw_print_float32(at, narrow_value);
}

/* Text of variable width. Gives NULL when memory ran out. */
static uint8_t *string_print(struct writer *writer, uint8_t *at, const uint8_t *bytes, size_t size)
{
    struct nw_out *out = writer->out;

    out->used = (size_t)(at - out->bytes);
    if (!nw_json_string(out, bytes, size, writer->layout->fixed_size)) {
        return NULL;
    }
    return out->bytes + out->used;
}

static uint8_t *bytea_print(struct writer *writer, uint8_t *at, const uint8_t *bytes, size_t size)
{
    struct nw_out *out = writer->out;

    out->used = (size_t)(at - out->bytes);
    if (!nw_out_reserve(out, 2 * size + 8 + writer->layout->fixed_size)) {
        return NULL;
    }
    at = LITERAL(out->bytes + out->used, "\"\\\\x");
    at = nw_print_hex(at, bytes, size);
    *at++ = '"';
    return at;
}

static uint8_t *quoted_print(uint8_t *at, const struct column *column, const uint8_t *values,
                             size_t row)
{
    int64_t us;
    int32_t days;

    *at++ = '"';
    if (column->type == NW_TYPE_DATE) {
        memcpy(&days, values + row * 4, sizeof days);
        at = nw_print_date(at, days);
    } else if (column->type == NW_TYPE_UUID) {
        at = nw_print_uuid(at, values + row * 16);
    } else if (column->type == NW_TYPE_DECIMAL) {
        at = nw_print_decimal(at, values + row * 16, column->scale);
    } else {
        memcpy(&us, values + row * 8, sizeof us);
        at = column->type == NW_TYPE_TIME
                 ? nw_print_time(at, us)
                 : nw_print_timestamp(at, us, column->type == NW_TYPE_TIMESTAMPTZ ? "+00" : "");
    }
    *at++ = '"';
    return at;
}

static inline uint8_t *integer_print(uint8_t *at, enum nw_type type, const uint8_t *values,
                                     size_t row)
{
    int64_t i64 = 0;
    int32_t i32;
    int16_t i16;
    uint32_t u32;

    if (type == NW_TYPE_INT64) {
        memcpy(&i64, values + row * 8, sizeof i64);
    } else if (type == NW_TYPE_INT32) {
        memcpy(&i32, values + row * 4, sizeof i32);
        i64 = i32;
    } else if (type == NW_TYPE_INT16) {
        memcpy(&i16, values + row * 2, sizeof i16);
        i64 = i16;
    } else {
        memcpy(&u32, values + row * 4, sizeof u32);
        i64 = u32;
    }
    return nw_print_i64(at, i64);
}

/* A value that is neither null nor missing. Gives NULL when memory ran out. */
static uint8_t *value_print(struct writer *writer, uint8_t *at, const struct column *column,
                            const struct nw_array *array, size_t row)
{
    const uint8_t *values = array->values;
    enum nw_type type = (enum nw_type)column->type;

    switch (type) {
    case NW_TYPE_BOOL:
        return nw_bit(values, row) ? LITERAL(at, "true") : LITERAL(at, "false");
    case NW_TYPE_INT16:
    case NW_TYPE_INT32:
    case NW_TYPE_INT64:
    case NW_TYPE_UINT32:
        return integer_print(at, type, values, row);
    case NW_TYPE_FLOAT32:
    case NW_TYPE_FLOAT64:
        return float_print(at, values, row, type == NW_TYPE_FLOAT64);
    case NW_TYPE_DECIMAL:
    case NW_TYPE_DATE:
    case NW_TYPE_TIME:
    case NW_TYPE_TIMESTAMP:
    case NW_TYPE_TIMESTAMPTZ:
    case NW_TYPE_UUID:
        return quoted_print(at, column, values, row);
    case NW_TYPE_BINARY:
        return bytea_print(writer, at, array->bytes + array->offsets[row],
                           (size_t)(array->offsets[row + 1] - array->offsets[row]));
    case NW_TYPE_TEXT:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        break;
    }
    return string_print(writer, at, array->bytes + array->offsets[row],
                        (size_t)(array->offsets[row + 1] - array->offsets[row]));
}

/* The exception of a value that is null in its array, or NULL. Asked in rising order. */
static const struct nw_exception *exception_find(struct writer *writer, size_t row, int side,
                                                 uint16_t column)
{
    const struct nw_batch *batch = writer->batch;

    for (; writer->exception < batch->exceptions_count; writer->exception++) {
        const struct nw_exception *e = &batch->exceptions[writer->exception];
        bool past = e->row != row     ? e->row > row
                    : e->side != side ? e->side > side
                                      : e->column >= column;

        if (past) {
            return e->row == row && e->side == side && e->column == column ? e : NULL;
        }
    }
    return NULL;
}

static uint8_t *null_print(struct writer *writer, uint8_t *at, size_t row, int side,
                           uint16_t column)
{
    const struct nw_batch *batch = writer->batch;
    const struct nw_exception *exception = NULL;

    if (batch->exceptions_count > 0) {
        exception = exception_find(writer, row, side, column);
    }
    if (exception == NULL) {
        return LITERAL(at, "null");
    }
    return string_print(writer, at, batch->exception_bytes + exception->offset, exception->size);
}

/* ,"before_missing":["a","b"] when a bit is set. */
static uint8_t *missing_print(struct writer *writer, uint8_t *at, const uint8_t *missing, int side)
{
    const struct nw_json_layout *layout = writer->layout;
    const uint8_t *start = NULL;

    for (uint16_t i = 0; i < layout->table->columns_count; i++) {
        const struct column *column = &layout->columns[i];

        if (!nw_bit(missing, i)) {
            continue;
        }
        if (start == NULL) {
            at = side == NW_BEFORE ? LITERAL(at, ",\"before_missing\":[")
                                   : LITERAL(at, ",\"after_missing\":[");
            start = at;
        } else {
            *at++ = ',';
        }
        at = append(at, layout->keys.bytes + column->key_offset + 1, column->key_size - 2);
    }
    if (start != NULL) {
        *at++ = ']';
    }
    return at;
}

static uint8_t *image_print(struct writer *writer, uint8_t *at, int side, size_t row)
{
    const struct nw_json_layout *layout = writer->layout;
    const struct nw_image *image = &writer->batch->image[side];
    const uint8_t *missing = image->missing + row * writer->batch->missing_stride;
    uint32_t comma = 1; /* skips the comma of the first key */
    bool complete = true;

    at = side == NW_BEFORE ? LITERAL(at, ",\"before\":{") : LITERAL(at, ",\"after\":{");
    for (uint16_t i = 0; i < layout->table->columns_count; i++) {
        const struct column *column = &layout->columns[i];
        const struct nw_array *array = &image->columns[i];

        if (nw_bit(missing, i)) {
            complete = false;
            continue;
        }
        at = append_key(at, layout->keys.bytes + column->key_offset + comma,
                        column->key_size - comma);
        comma = 0;
        at = nw_bit(array->validity, row) ? value_print(writer, at, column, array, row)
                                          : null_print(writer, at, row, side, i);
        if (at == NULL) {
            return NULL;
        }
    }
    *at++ = '}';
    return complete ? at : missing_print(writer, at, missing, side);
}

static bool row_print(struct writer *writer, size_t row)
{
    struct nw_out *out = writer->out;
    const struct nw_batch *batch = writer->batch;
    uint8_t *at;

    if (!transaction_same(writer->layout, batch, row) &&
        !transaction_print(writer->layout, batch, row)) {
        return false;
    }
    if (!nw_out_reserve(out, writer->layout->fixed_size + writer->layout->transaction.used)) {
        return false;
    }
    at = head_print(writer, out->bytes + out->used, row);
    for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
        if (batch->image[side].columns != NULL && nw_bit(batch->image[side].present, row)) {
            at = image_print(writer, at, side, row);
            if (at == NULL) {
                return false;
            }
        }
    }
    at = LITERAL(at, "}\n");
    out->used = (size_t)(at - out->bytes);
    return true;
}

bool nw_json_rows(struct nw_json_layout *layout, const struct nw_batch *batch, uint32_t from,
                  uint32_t until, uint32_t *exception, struct nw_out *out)
{
    struct writer writer = {.layout = layout, .batch = batch, .out = out, .exception = *exception};

    for (uint32_t row = from; row < until; row++) {
        size_t start = out->used;

        if (!row_print(&writer, (size_t)batch->first_row + row)) {
            out->used = start;
            return false;
        }
    }
    *exception = writer.exception;
    return true;
}

bool nw_json_key(struct nw_json_layout *layout, const struct nw_batch *batch, uint32_t row,
                 int side, struct nw_out *out)
{
    struct writer writer = {.layout = layout, .batch = batch, .out = out};
    const struct nw_table *table = layout->table;
    size_t at_row = (size_t)batch->first_row + row;
    uint8_t *at = NULL;

    if (!nw_out_reserve(out, layout->fixed_size)) {
        return false;
    }
    at = out->bytes + out->used;
    *at++ = '{';
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        uint16_t c = table->key_columns[i];
        const struct column *column = &layout->columns[c];
        const struct nw_array *array = &batch->image[side].columns[c];
        uint32_t comma = i == 0 ? 1 : 0;

        at = append_key(at, layout->keys.bytes + column->key_offset + comma,
                        column->key_size - comma);
        if (nw_bit(array->validity, at_row)) {
            at = value_print(&writer, at, column, array, at_row);
        } else {
            writer.exception = nw_batch_exception_from(batch, row, side, c);
            at = null_print(&writer, at, at_row, side, c);
        }
        if (at == NULL) {
            return false;
        }
    }
    *at++ = '}';
    out->used = (size_t)(at - out->bytes);
    return true;
}
