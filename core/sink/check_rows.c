/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and rows for the conformance runner. See check_rows.h. Constant data and pure functions.
 */
#include "sink/check_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define COLUMN(n, t, oid, name_, ...)                                                              \
    {                                                                                              \
        .name = (n), .type_name = (name_), .type_oid = (oid), .base_type_oid = (oid), .attnum = 0, \
        .typmod = -1, .type = (t), .exact = NW_EXACT_NAME | NW_EXACT_TYPE, __VA_ARGS__             \
    }

#define COLUMNS_FIRST 10u
static const struct nw_column_schema columns[COLUMNS_FIRST + 1] = {
    COLUMN("id", NW_TYPE_INT64, 20, "bigint", .not_null = true, .identity = true),
    COLUMN("name", NW_TYPE_TEXT, 25, "text", .default_expr = "''::text"),
    COLUMN("active", NW_TYPE_BOOL, 16, "boolean", .default_expr = NULL),
    COLUMN("price", NW_TYPE_DECIMAL, 1700, "numeric(12,2)", .precision = 12, .scale = 2),
    COLUMN("at", NW_TYPE_TIMESTAMPTZ, 1184, "timestamp with time zone", .scale = 0),
    COLUMN("token", NW_TYPE_UUID, 2950, "uuid", .scale = 0),
    COLUMN("document", NW_TYPE_JSON, 3802, "jsonb", .scale = 0),
    COLUMN("ratio", NW_TYPE_FLOAT64, 701, "double precision", .scale = 0),
    COLUMN("raw \"bytes\"", NW_TYPE_BINARY, 17, "bytea", .scale = 0),
    COLUMN("day", NW_TYPE_DATE, 1082, "date", .scale = 0),
    COLUMN("added", NW_TYPE_NUMERIC, 1700, "numeric", .scale = 0),
};
static const uint16_t key[1] = {0};

#define TABLE(i, v, oid, n, count)                                                                 \
    {                                                                                              \
        .size = (uint32_t)sizeof(struct nw_table), .id = (i), .version = (v),                      \
        .relation_oid = (oid), .schema_name = "public", .name = (n), .replica_identity = 'd',      \
        .key_is_primary = true, .columns_count = (count), .key_columns_count = 1,                  \
        .columns = columns, .key_columns = key                                                     \
    }
static const struct nw_table tables[NW_CHECK_TABLES] = {
    TABLE(0, 1, 50001, "narwal_check_first", COLUMNS_FIRST),
    TABLE(1, 1, 50002, "narwal_check_second", COLUMNS_FIRST),
    TABLE(0, 2, 50001, "narwal_check_first", COLUMNS_FIRST + 1),
};

const struct nw_table *nw_check_table(uint32_t index)
{
    return &tables[index];
}

static void *take(uint8_t **at, size_t size)
{
    void *here = *at;

    *at += (size + 15) & ~(size_t)15;
    return here;
}

static void bit_set(uint8_t *bits, uint32_t index)
{
    bits[index >> 3] = (uint8_t)(bits[index >> 3] | 1u << (index & 7u));
}

/* Most bytes that text_of() writes. */
#define TEXT_SIZE_MAX 64u

static uint32_t text_of(enum nw_type type, uint64_t id, char *text)
{
    int size =
        type == NW_TYPE_JSON
            ? snprintf(text, TEXT_SIZE_MAX, "{\"id\": %llu}", (unsigned long long)id)
        : type == NW_TYPE_NUMERIC
            ? snprintf(text, TEXT_SIZE_MAX, "%llu.000000000000000001", (unsigned long long)id)
            : snprintf(text, TEXT_SIZE_MAX, "it's \"%llu\"\n\t\\ \xc3\xa9", (unsigned long long)id);

    return (uint32_t)size;
}

/* What is made: one side of all rows. */
struct side {
    const struct nw_table *table;
    uint64_t first_id;
    uint32_t rows_count;
    const uint8_t *present;
    const uint8_t *missing;
    uint32_t stride;
};

static bool value_there(const struct side *side, uint32_t row, uint16_t column)
{
    bool null = column > 0 && (side->first_id + row + column) % 4 == 0;

    return nw_bit(side->present, row) && !null &&
           !nw_bit(side->missing + (size_t)row * side->stride, column);
}

/* A value without offsets. */
static void fixed_make(enum nw_type type, uint64_t id, uint32_t row, uint8_t *values)
{
    uint32_t width = nw_type_width(type);
    double real = (double)id / 3;

    if (type == NW_TYPE_BOOL) {
        bit_set(values, row);
    } else if (type == NW_TYPE_FLOAT64) {
        memcpy(values + (size_t)row * width, &real, sizeof real);
    } else {
        memcpy(values + (size_t)row * width, &id, width < sizeof id ? width : sizeof id);
    }
}

static void column_make(const struct side *side, uint16_t index, struct nw_array *array,
                        uint8_t **at)
{
    enum nw_type type = (enum nw_type)side->table->columns[index].type;
    bool fixed = nw_type_width(type) > 0 || type == NW_TYPE_BOOL;
    uint8_t *validity = take(at, side->rows_count / 8 + 1);
    uint8_t *values = fixed ? take(at, (size_t)side->rows_count * 16) : NULL;
    int32_t *offsets = fixed ? NULL : take(at, (side->rows_count + 1) * sizeof *offsets);
    uint8_t *bytes = fixed ? NULL : take(at, (size_t)side->rows_count * TEXT_SIZE_MAX);

    for (uint32_t row = 0; row < side->rows_count; row++) {
        bool there = value_there(side, row, index);
        uint32_t size = 0;

        if (!there) {
            array->nulls_count++;
        } else {
            bit_set(validity, row);
        }
        if (there && fixed) {
            fixed_make(type, side->first_id + row, row, values);
        } else if (!fixed) {
            size = there ? text_of(type, side->first_id + row, (char *)bytes + offsets[row]) : 0;
            offsets[row + 1] = offsets[row] + (int32_t)size;
        }
    }
    array->validity = validity;
    array->values = values;
    array->offsets = offsets;
    array->bytes = bytes;
}

/* Which rows have the image, and what of it was not sent. */
static void image_make(const struct nw_check_rows *rows, const struct nw_batch *batch, int which,
                       struct nw_image *image, uint8_t **at)
{
    struct side side = {.table = batch->table,
                        .first_id = rows->first_id,
                        .rows_count = rows->rows_count,
                        .stride = batch->missing_stride};
    uint16_t count = batch->table->columns_count;
    struct nw_array *arrays = take(at, count * sizeof *arrays);
    uint8_t *present = take(at, rows->rows_count / 8 + 1);
    uint8_t *missing = take(at, (size_t)rows->rows_count * side.stride);

    for (uint32_t row = 0; row < rows->rows_count; row++) {
        char op = (char)batch->op[row];

        if (op != (which == NW_BEFORE ? NW_OP_INSERT : NW_OP_DELETE)) {
            bit_set(present, row);
        }
        for (uint16_t c = 1; c < count; c++) {
            bool toast = which == NW_AFTER && op == NW_OP_UPDATE && c == 1 && row % 2 == 0;

            if (which == NW_BEFORE || toast) {
                bit_set(missing + (size_t)row * side.stride, c);
            }
        }
    }
    side.present = present;
    side.missing = missing;
    for (uint16_t c = 0; c < count; c++) {
        column_make(&side, c, &arrays[c], at);
    }
    *image = (struct nw_image){.present = present, .missing = missing, .columns = arrays};
}

static void exception_make(struct nw_batch *batch, uint8_t **at)
{
    struct nw_exception *exception = take(at, sizeof *exception);
    uint8_t *text = take(at, 3);
    struct nw_image *after = &batch->image[NW_AFTER];
    uint8_t *validity = take(at, batch->rows_count / 8 + 1);
    struct nw_array *array = take(at, batch->table->columns_count * sizeof *array);

    /* The slot of an exception is null. */
    memcpy(array, after->columns, batch->table->columns_count * sizeof *array);
    memcpy(validity, array[3].validity, batch->rows_count / 8 + 1);
    validity[0] = (uint8_t)(validity[0] & ~1u);
    array[3].validity = validity;
    after->columns = array;
    memcpy(text, "NaN", 3);
    *exception = (struct nw_exception){.row = 0, .column = 3, .side = NW_AFTER, .size = 3};
    batch->exceptions = exception;
    batch->exception_bytes = text;
    batch->exceptions_count = 1;
}

/* The columns that every batch has. */
static void head_make(const struct nw_check_rows *rows, struct nw_batch *batch, uint8_t **at)
{
    static const char ops[] = {NW_OP_INSERT, NW_OP_INSERT, NW_OP_UPDATE, NW_OP_UPDATE,
                               NW_OP_DELETE};
    uint32_t count = rows->rows_count;
    uint8_t *op = take(at, count);
    uint64_t *lsn = take(at, count * sizeof *lsn);
    uint64_t *seq = take(at, count * sizeof *seq);
    uint32_t *xid = take(at, count * sizeof *xid);
    int64_t *ts = take(at, count * sizeof *ts);

    for (uint32_t row = 0; row < count; row++) {
        op[row] = (uint8_t)(rows->copy ? NW_OP_INSERT : ops[row % sizeof ops]);
        lsn[row] = rows->commit_lsn + (rows->copy ? 0 : row);
        xid[row] = rows->copy ? 0 : (uint32_t)lsn[row];
        ts[row] = rows->copy ? 0 : 1700000000000000 + (int64_t)lsn[row];
    }
    batch->op = op;
    batch->commit_lsn = lsn;
    batch->row_lsn = lsn;
    batch->seq = seq;
    batch->xid = xid;
    batch->commit_ts = ts;
    batch->origin_offsets = take(at, (count + 1) * sizeof(int32_t));
    batch->origin_bytes = take(at, 1);
}

void *nw_check_rows_make(const struct nw_check_rows *rows, struct nw_batch *batch, size_t *size)
{
    const struct nw_table *table = &tables[rows->table];
    size_t count = rows->rows_count;
    size_t value_size =
        (size_t)2 * (TEXT_SIZE_MAX + 64u); /* of both sides, bits and offsets included */
    size_t bound = 8192 + count * (128 + table->columns_count * value_size) +
                   table->columns_count * (size_t)1024;
    uint8_t *block = calloc(1, bound);
    uint8_t *at = block;

    if (block == NULL) {
        return NULL;
    }
    NW_ASSERT(count > 0 && count <= NW_CHECK_ROWS_MAX);
    *batch = (struct nw_batch){.size = (uint32_t)sizeof *batch,
                               .flags = (rows->copy ? NW_BATCH_COPY : 0u) |
                                        (rows->upsert ? NW_BATCH_UPSERT : 0u),
                               .table = table,
                               .rows_count = rows->rows_count,
                               .missing_stride = (table->columns_count + 7u) / 8u};
    head_make(rows, batch, &at);
    image_make(rows, batch, NW_AFTER, &batch->image[NW_AFTER], &at);
    if (!rows->copy) {
        image_make(rows, batch, NW_BEFORE, &batch->image[NW_BEFORE], &at);
    }
    if (rows->exception) {
        exception_make(batch, &at);
    }
    NW_ASSERT((size_t)(at - block) <= bound);
    *size = bound;
    return block;
}
