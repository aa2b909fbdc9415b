/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row targets: an input is one byte that chooses a table of those below, checked by the server or
 * not (SQL_ASCII), then rows, each an
 * operation (one byte; not in COPY), its size (two bytes, little-endian) and its bytes. The tables
 * are those of corpus/make_corpus.py.
 */
#ifndef NW_FUZZ_ROWS_H
#define NW_FUZZ_ROWS_H

#include "base/assert.h"
#include "base/cursor.h"
#include "base/utf8.h"
#include "decode/builder.h"
#include "pg/types.h"
#include "verify/canonical.h"

#include <stdlib.h>

#define FUZZ_TABLES_COUNT  6u
#define FUZZ_COLUMNS_MAX   24u
#define FUZZ_ROWS_MAX      64u
#define FUZZ_TYPMOD(p, s)  (((p) << 16 | (s)) + 4)
#define FUZZ_ENUM_TYPE_OID 16384u
#define FUZZ_UNKNOWN_OID   99999u

struct fuzz_column {
    uint32_t oid;
    int32_t typmod;
};

static const struct fuzz_column fuzz_columns[FUZZ_TABLES_COUNT][FUZZ_COLUMNS_MAX] = {
    {{NW_OID_INT8, -1},
     {NW_OID_INT4, -1},
     {NW_OID_INT4, -1},
     {NW_OID_TIMESTAMPTZ, -1},
     {NW_OID_NUMERIC, FUZZ_TYPMOD(12, 2)},
     {NW_OID_TEXT, -1},
     {NW_OID_TEXT, -1},
     {NW_OID_BOOL, -1},
     {NW_OID_FLOAT8, -1},
     {NW_OID_DATE, -1}},
    {{NW_OID_INT4, -1}, {NW_OID_TEXT, -1}, {NW_OID_NUMERIC, -1}},
    {{NW_OID_INT4, -1}, {NW_OID_TEXT, -1}, {NW_OID_DATE, -1}},
    {{NW_OID_INT4, -1},      {NW_OID_BOOL, -1},
     {NW_OID_BYTEA, -1},     {NW_OID_CHAR, -1},
     {NW_OID_NAME, -1},      {NW_OID_INT2, -1},
     {NW_OID_OID, -1},       {NW_OID_TEXT, -1},
     {NW_OID_VARCHAR, 24},   {NW_OID_BPCHAR, 9},
     {NW_OID_JSON, -1},      {NW_OID_JSONB, -1},
     {NW_OID_FLOAT4, -1},    {NW_OID_FLOAT8, -1},
     {NW_OID_NUMERIC, -1},   {NW_OID_NUMERIC, FUZZ_TYPMOD(38, 20)},
     {NW_OID_UUID, -1},      {NW_OID_DATE, -1},
     {NW_OID_TIME, -1},      {NW_OID_TIMETZ, -1},
     {NW_OID_TIMESTAMP, -1}, {NW_OID_TIMESTAMPTZ, -1},
     {NW_OID_INTERVAL, -1},  {FUZZ_ENUM_TYPE_OID, -1}},
    {{NW_OID_INT4, -1},
     {1009, -1},
     {1007, -1},
     {1231, -1},
     {1115, -1},
     {3807, -1},
     {1001, -1},
     {NW_OID_INET, -1},
     {NW_OID_CIDR, -1},
     {1041, -1},
     {NW_OID_VARBIT, -1},
     {NW_OID_PG_LSN, -1},
     {NW_OID_MACADDR, -1},
     {NW_OID_XID8, -1},
     {1187, -1},
     {2951, -1}},
    {{NW_OID_INT4, -1}, {1002, -1}, {FUZZ_UNKNOWN_OID, -1}, {NW_OID_CHAR, -1}},
};

static inline void fuzz_table(uint32_t index, struct nw_column_schema *columns,
                              struct nw_table *table)
{
    static const char *const labels[] = {"sad", "ok", NULL};
    uint16_t count = 0;

    for (; count < FUZZ_COLUMNS_MAX; count++) {
        const struct fuzz_column *column = &fuzz_columns[index % FUZZ_TABLES_COUNT][count];
        struct nw_type_form form = nw_type_of(column->oid, column->typmod);

        if (column->oid == 0) {
            break;
        }
        columns[count] = (struct nw_column_schema){
            .name = "c",
            .type_name = "a type",
            .enum_labels = column->oid == FUZZ_ENUM_TYPE_OID ? labels : NULL,
            .type_oid = column->oid,
            .base_type_oid = column->oid,
            .typmod = column->typmod,
            .type = (uint8_t)form.type,
            .precision = form.precision,
            .scale = form.scale,
            .identity = count == 0,
        };
    }
    *table = (struct nw_table){.schema_name = "public",
                               .name = "t",
                               .columns = columns,
                               .columns_count = count,
                               .text_unchecked = index >= FUZZ_TABLES_COUNT};
}

/* A value, read to its last byte. @return the sum of its bytes */
static inline uint64_t fuzz_read_value(const struct nw_value *value, bool unchecked)
{
    bool is_text = value->type == NW_TYPE_TEXT || value->type == NW_TYPE_JSON;
    uint64_t sum = 0;

    NW_ASSERT(value->size <= INT32_MAX);
    NW_ASSERT(value->kind != NW_VALUE_EXCEPTION || value->size > 0);
    if (unchecked && value->kind == NW_VALUE_PRESENT && is_text) {
        NW_ASSERT(nw_utf8_is_valid(value->bytes, value->size));
    }
    for (uint32_t i = 0; value->bytes != NULL && i < value->size; i++) {
        sum += value->bytes[i];
    }
    return sum;
}

/* The canonical bytes of every row that is whole: at least its sizes. */
static inline void fuzz_canonical(const struct nw_batch *batch)
{
    struct nw_buffer out = {0};
    struct nw_error err;

    for (uint32_t i = 0; i < 2 * batch->rows_count; i++) {
        bool whole = false;
        nw_status status = NW_OK;

        out.size = 0;
        status = nw_canonical_row(batch, (int)(i % 2), i / 2, &whole, &out, &err);
        NW_ASSERT(status == NW_OK);
        NW_ASSERT(whole ? out.size >= 4u * batch->table->columns_count : out.size == 0);
    }
    nw_buffer_fini(&out);
}

/* Every value is read, and what the batch says of itself must hold. */
static inline void fuzz_read_batch(const struct nw_batch *batch)
{
    uint32_t values = 2u * batch->table->columns_count;
    uint64_t sum = 0;

    for (uint32_t row = 0; row < batch->rows_count; row++) {
        for (uint32_t i = 0; i < values; i++) {
            struct nw_value value = nw_batch_value(batch, (int)(i % 2), row, (uint16_t)(i / 2));

            sum += fuzz_read_value(&value, batch->table->text_unchecked);
        }
    }
    NW_ASSERT(sum < UINT64_MAX);
    fuzz_canonical(batch);
}

static inline void fuzz_decode(const struct nw_block *block)
{
    struct nw_builder *builder = NULL;
    struct nw_item *item = NULL;
    struct nw_item *copy = NULL;
    struct nw_error err;
    size_t size = 0;
    nw_status status = nw_builder_create(&builder, &err);

    NW_ASSERT(status == NW_OK);
    status = nw_builder_decode(builder, block, &size, &err);
    /* A filter can lack what it needs of a row. */
    NW_ASSERT(status == NW_OK || status == NW_CORRUPT ||
              (status == NW_FATAL && block->projection != NULL));
    if (status == NW_OK) {
        item = malloc(size);
        copy = malloc(size);
        NW_ASSERT(item != NULL && copy != NULL);
        nw_builder_pack(builder, item);
        NW_ASSERT(item->size == size);
        fuzz_read_batch(&item->as.batch);
        memcpy(copy, item, size);
        nw_item_relocate(copy, (uintptr_t)item);
        free(item);
        fuzz_read_batch(&copy->as.batch);
        free(copy);
    }
    nw_builder_destroy(builder);
}

/* A projection of a table; NULL: none. */
typedef const struct nw_projection *(*fuzz_project_fn)(const struct nw_table *table);

/* Cuts the input into frames and decodes them as one block of this kind. */
static inline void fuzz_rows_projected(enum nw_block_kind kind, fuzz_project_fn project,
                                       const uint8_t *data, size_t size)
{
    struct nw_cursor input = nw_cursor_of(data, size);
    struct nw_frame frames[FUZZ_ROWS_MAX];
    struct nw_transaction transaction = {.commit_lsn = 1, .xid = 2};
    char names[] = "";
    struct nw_column_schema columns[FUZZ_COLUMNS_MAX];
    struct nw_table table;
    struct nw_block block = {.kind = kind,
                             .table = &table,
                             .frames = frames,
                             .transactions = &transaction,
                             .transactions_count = 1,
                             .names = names,
                             .names_size = 1,
                             .bytes_size = (uint32_t)size};

    fuzz_table(nw_cursor_u8(&input) % (2 * FUZZ_TABLES_COUNT), columns, &table);
    block.projection = project == NULL ? NULL : project(&table);
    block.bytes = malloc(size + 1);
    NW_ASSERT(block.bytes != NULL);
    if (size > 0) {
        memcpy(block.bytes, data, size);
    }
    while (input.left > 0 && block.frames_count < FUZZ_ROWS_MAX) {
        uint8_t op = kind == NW_BLOCK_COPY ? NW_OP_INSERT : nw_cursor_u8(&input);
        uint16_t row_size = nw_cursor_u16le(&input);
        struct nw_bytes row = nw_cursor_bytes(&input, row_size);

        if (input.failed || (op != NW_OP_INSERT && op != NW_OP_UPDATE && op != NW_OP_DELETE)) {
            break;
        }
        frames[block.frames_count++] = (struct nw_frame){
            .offset = row.size == 0 ? 0 : (uint32_t)(row.at - data),
            .size = (uint32_t)row.size,
            .op = (char)op,
        };
    }
    if (block.frames_count > 0) {
        fuzz_decode(&block);
    }
    free(block.bytes);
}

static inline void fuzz_rows(enum nw_block_kind kind, const uint8_t *data, size_t size)
{
    fuzz_rows_projected(kind, NULL, data, size);
}

#endif
