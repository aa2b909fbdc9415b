/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See builder.h. This file lays out memory; rows.c reads rows into it and pack.c copies it out.
 *
 * All arrays whose size follows from the number of rows lie in one piece, `fixed`, in the order
 * that they have in the item, so that they are packed by one copy. Bytes of variable-width columns
 * grow in a buffer of each column.
 */
#include "decode/builder_private.h"

#include <stdlib.h>

#include "base/assert.h"
#include "decode/print.h"
#include "pg/types.h"

/* Memory that is kept from block to block; what exceeds it after a huge row is freed. */
#define FIXED_KEPT_MAX UINT32_C(4194304)
#define BYTES_KEPT_MAX UINT64_C(4194304)

nw_status nw_builder_create(struct nw_builder **builder, struct nw_error *err)
{
    *builder = calloc(1, sizeof **builder);
    return *builder == NULL ? nw_fail(err, NW_FATAL, "out of memory for a decode lane") : NW_OK;
}

static void columns_free(struct nw_builder *builder)
{
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < builder->columns_capacity; i++) {
            nw_buffer_fini(&builder->side[side].columns[i].bytes);
            builder->side[side].columns[i].bytes_counted = 0;
        }
    }
    builder->bytes_kept = 0;
}

void nw_builder_destroy(struct nw_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    columns_free(builder);
    for (int side = 0; side < 2; side++) {
        free(builder->side[side].columns);
    }
    free(builder->old);
    free(builder->fresh);
    nw_selection_destroy(builder->selection);
    nw_buffer_fini(&builder->scratch);
    free(builder->fixed);
    nw_buffer_fini(&builder->exceptions);
    nw_buffer_fini(&builder->exception_bytes);
    nw_buffer_fini(&builder->origins);
    free(builder);
}

uint32_t nw_builder_exceptions(const struct nw_builder *builder)
{
    return builder->rows_count == 0
               ? 0
               : builder->exceptions.size / (uint32_t)sizeof(struct nw_exception);
}

/* Room for the columns of the widest table so far. */
static bool columns_reserve(struct nw_builder *builder, uint32_t count)
{
    struct nw_field *old = NULL;
    struct nw_field *fresh = NULL;

    if (count <= builder->columns_capacity) {
        return true;
    }
    for (int side = 0; side < 2; side++) {
        struct nw_column *columns = realloc(builder->side[side].columns, count * sizeof *columns);

        if (columns == NULL) {
            return false;
        }
        builder->side[side].columns = columns;
        memset(columns + builder->columns_capacity, 0,
               (count - builder->columns_capacity) * sizeof *columns);
    }
    old = realloc(builder->old, count * sizeof *old);
    if (old != NULL) {
        builder->old = old;
        fresh = realloc(builder->fresh, count * sizeof *fresh);
    }
    if (fresh == NULL) {
        return false;
    }
    builder->fresh = fresh;
    builder->columns_capacity = count;
    return true;
}

/* Takes the next `size` bytes of the fixed piece; only counts while there is none. */
static uint8_t *fixed_take(struct nw_builder *builder, size_t size)
{
    uint8_t *at = builder->laying_out ? NULL : builder->fixed + builder->fixed_size;

    builder->fixed_size += nw_item_padded(size);
    return at;
}

static void lay_out_column(struct nw_builder *builder, struct nw_column *column)
{
    size_t rows = builder->rows_count;
    enum nw_type type = NW_TYPE_TEXT;

    column->values = NULL;
    column->offsets = NULL;
    if (column->seen == NW_FIELD_UNSEEN) {
        column->validity = builder->unseen;
        return;
    }
    type = (enum nw_type)builder->seen->columns[column->seen].type;
    column->validity = fixed_take(builder, (rows + 7) / 8);
    if (nw_type_is_variable(type)) {
        column->offsets = (void *)fixed_take(builder, (rows + 1) * sizeof(int32_t));
    } else if (type == NW_TYPE_BOOL) {
        column->values = fixed_take(builder, (rows + 7) / 8);
    } else {
        column->values = fixed_take(builder, rows * nw_type_width(type));
    }
}

static void lay_out(struct nw_builder *builder)
{
    size_t rows = builder->rows_count;

    builder->fixed_size = 0;
    builder->op = fixed_take(builder, rows);
    builder->commit_lsn = (void *)fixed_take(builder, rows * sizeof(uint64_t));
    builder->row_lsn = (void *)fixed_take(builder, rows * sizeof(uint64_t));
    builder->seq = (void *)fixed_take(builder, rows * sizeof(uint64_t));
    builder->xid = (void *)fixed_take(builder, rows * sizeof(uint32_t));
    builder->commit_ts = (void *)fixed_take(builder, rows * sizeof(int64_t));
    builder->origin_offsets = (void *)fixed_take(builder, (rows + 1) * sizeof(int32_t));
    for (int s = 0; s < 2; s++) {
        struct nw_side *side = &builder->side[s];

        if (side->used) {
            side->present = fixed_take(builder, (rows + 7) / 8);
            side->missing = fixed_take(builder, rows * builder->missing_stride);
            for (uint16_t i = 0; i < builder->fields_count; i++) {
                lay_out_column(builder, &side->columns[i]);
            }
        }
    }
}

/* Whether PostgreSQL leaves it open if a column's text is UTF-8: see checked.c. */
static bool is_unchecked(const struct nw_table *table, const struct nw_column_schema *schema,
                         const struct nw_column *column)
{
    return column->seen != NW_FIELD_UNSEEN &&
           (schema->type == NW_TYPE_TEXT || schema->type == NW_TYPE_JSON) &&
           (table->text_unchecked || column->binary == NULL);
}

/* All values are valid until one is found not to be; bits past the last row stay zero. */
static void validity_fill(uint8_t *validity, uint32_t rows)
{
    memset(validity, 0xff, rows / 8);
    if (rows % 8 != 0) {
        validity[rows / 8] = (uint8_t)((1u << rows % 8) - 1);
    }
}

/* Which column a field is of, and what sinks see of it. */
static struct nw_projected_field field_at(const struct nw_block *block, uint16_t index)
{
    int wire = block->kind == NW_BLOCK_COPY ? NW_WIRE_COPY : NW_WIRE_CHANGES;

    return block->projection == NULL ? (struct nw_projected_field){.column = index, .seen = index}
                                     : block->projection->fields[wire][index];
}

/* The functions that decode a field. What is masked never meets a function that shows it. */
static void decoders_choose(struct nw_column *column, const struct nw_column_schema *schema)
{
    if (column->seen == NW_FIELD_UNSEEN) {
        column->text = nw_decode_nothing;
        column->binary = nw_decode_nothing;
    } else if (column->mask != NULL) {
        column->text = nw_decoder_masked_text(schema);
        column->binary = nw_decoder_masked_binary(schema, column->element_oid);
    } else {
        column->text = nw_decoder_text(schema);
        column->binary = nw_decoder_binary(schema, column->element_oid);
    }
}

static void columns_choose(struct nw_builder *builder, const struct nw_block *block)
{
    for (int side = 0; side < 2; side++) {
        for (uint16_t i = 0; builder->side[side].used && i < builder->fields_count; i++) {
            struct nw_projected_field field = field_at(block, i);
            const struct nw_column_schema *schema = &block->table->columns[field.column];
            struct nw_column *column = &builder->side[side].columns[i];

            column->seen = field.seen;
            column->mask = field.mask;
            column->scratch = &builder->scratch;
            column->exceptions = &builder->exception_bytes;
            column->print = nw_printer_of(schema->base_type_oid);
            column->element_oid = nw_column_element(block->table, field.column);
            column->precision = schema->precision;
            column->scale = schema->scale;
            decoders_choose(column, schema);
            if (is_unchecked(block->table, schema, column)) {
                nw_column_check_text(column);
            }
        }
    }
}

static void columns_clear(struct nw_builder *builder)
{
    for (int side = 0; side < 2; side++) {
        for (uint16_t i = 0; builder->side[side].used && i < builder->fields_count; i++) {
            validity_fill(builder->side[side].columns[i].validity, builder->rows_count);
            builder->side[side].columns[i].bytes.size = 0;
        }
    }
}

/* Which images have any row at all: an update has an old one only when its message says so. */
static void find_sides(struct nw_builder *builder, const struct nw_block *block)
{
    bool before = false;
    bool after = block->kind == NW_BLOCK_COPY;

    for (uint32_t i = 0; block->kind == NW_BLOCK_CHANGES && i < builder->rows_count; i++) {
        const struct nw_selected *selected =
            builder->selected == NULL ? NULL : &builder->selected[i];
        const struct nw_frame *frame = &block->frames[selected == NULL ? i : selected->frame];
        char op = selected == NULL ? frame->op : selected->op;

        after = after || op != NW_OP_DELETE;
        before = before || op == NW_OP_DELETE ||
                 (op == NW_OP_UPDATE && frame->size > 0 && block->bytes[frame->offset] != 'N');
    }
    builder->side[NW_BEFORE].used = before;
    builder->side[NW_AFTER].used = after;
}

static nw_status fixed_reserve(struct nw_builder *builder, struct nw_error *err)
{
    const struct nw_table *table = builder->block->table;

    if (builder->fixed_size > builder->fixed_capacity) {
        free(builder->fixed);
        builder->fixed_capacity = builder->fixed_size;
        builder->fixed = malloc(builder->fixed_capacity);
        if (builder->fixed == NULL) {
            builder->fixed_capacity = 0;
            return nw_fail(err, NW_FATAL, "out of memory for %u rows of %s.%s", builder->rows_count,
                           table->schema_name, table->name);
        }
    }
    return NW_OK;
}

/* Whose rows they are, and which of them are decoded. */
static nw_status rows_choose(struct nw_builder *builder, const struct nw_block *block,
                             struct nw_error *err)
{
    const struct nw_table *table = block->table;
    const struct nw_projection *projection = block->projection;
    int wire = block->kind == NW_BLOCK_COPY ? NW_WIRE_COPY : NW_WIRE_CHANGES;

    builder->rows_count = block->frames_count;
    builder->fields_count =
        projection == NULL ? table->columns_count : projection->fields_count[wire];
    builder->missing_stride = ((uint32_t)builder->seen->columns_count + 7) / 8;
    builder->selected = NULL;
    if (!columns_reserve(builder, builder->fields_count)) {
        return nw_fail(err, NW_FATAL, "out of memory for the %u columns of %s.%s",
                       table->columns_count, table->schema_name, table->name);
    }
    return projection == NULL || projection->filter == NULL ? NW_OK
                                                            : nw_builder_select(builder, err);
}

nw_status nw_builder_prepare(struct nw_builder *builder, const struct nw_block *block,
                             struct nw_error *err)
{
    nw_status status = NW_OK;

    NW_ASSERT(block->frames_count > 0 && block->table != NULL);
    builder->exceptions.size = 0;
    builder->exception_bytes.size = 0;
    builder->origins.size = 0;
    status = rows_choose(builder, block, err);
    if (status != NW_OK) {
        return status;
    }
    find_sides(builder, block);
    columns_choose(builder, block);
    builder->laying_out = true;
    lay_out(builder);
    builder->laying_out = false;
    status = fixed_reserve(builder, err);
    if (status == NW_OK) {
        lay_out(builder);
        memset(builder->fixed, 0, builder->fixed_size);
        columns_clear(builder);
    }
    return status;
}

void nw_builder_trim(struct nw_builder *builder)
{
    for (int side = 0; side < 2; side++) {
        for (uint16_t i = 0; builder->side[side].used && i < builder->fields_count; i++) {
            struct nw_column *column = &builder->side[side].columns[i];

            builder->bytes_kept += column->bytes.capacity - column->bytes_counted;
            column->bytes_counted = column->bytes.capacity;
        }
    }
    if (builder->bytes_kept > BYTES_KEPT_MAX) {
        columns_free(builder);
    }
    if (builder->fixed_capacity > FIXED_KEPT_MAX) {
        free(builder->fixed);
        builder->fixed = NULL;
        builder->fixed_capacity = 0;
    }
    if (builder->scratch.capacity > BYTES_KEPT_MAX) {
        nw_buffer_fini(&builder->scratch);
    }
    if (builder->exception_bytes.capacity > BYTES_KEPT_MAX) {
        nw_buffer_fini(&builder->exception_bytes);
    }
}
