/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of a block sinks get, where the table has a row filter: before anything is laid out,
 * each row's operands are decoded, one row at a time, and judged. See builder_private.h.
 *
 * As PostgreSQL's own row filters do it (src/backend/replication/pgoutput/pgoutput.c,
 * pgoutput_row_filter()): an update is judged by its old and its new row, and one that crosses the
 * filter becomes an insert or a delete. Without an old row, what decides is in the replica
 * identity and did not change.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "decode/builder_private.h"
#include "decode/print.h"
#include "pg/types.h"

#define OPERAND_KEPT_MAX 1048576u /* bytes */

/* An operand of the row that is judged. */
struct operand {
    struct nw_column column;
    struct nw_buffer exception; /* its text, when the value has no exact form */
    _Alignas(16) uint8_t values[16];
    int32_t offsets[2];
    uint8_t validity;
};

struct nw_selection {
    struct operand operands[NW_OPERANDS_MAX];
    struct nw_value values[NW_OPERANDS_MAX];
    struct nw_selected rows[NW_BLOCK_ROWS_MAX];
    /* the row that is judged */
    const struct nw_frame *frame;
    struct nw_error *err;
};

void nw_selection_destroy(struct nw_selection *selection)
{
    for (uint32_t i = 0; selection != NULL && i < NW_OPERANDS_MAX; i++) {
        nw_buffer_fini(&selection->operands[i].column.bytes);
        nw_buffer_fini(&selection->operands[i].exception);
    }
    free(selection);
}

/* A place for one value, of the type that the filter wants. */
static void operand_set(struct operand *to, const struct nw_operand *from)
{
    const struct nw_column_schema *schema = &from->schema;
    struct nw_column *column = &to->column;
    bool variable = nw_type_is_variable((enum nw_type)schema->type);

    column->validity = &to->validity;
    column->values = variable ? NULL : to->values;
    column->offsets = variable ? to->offsets : NULL;
    column->exceptions = &to->exception;
    column->text = nw_decoder_text(schema);
    column->binary = nw_decoder_binary(schema, from->element_oid);
    column->print = nw_printer_of(schema->base_type_oid);
    column->element_oid = from->element_oid;
    column->precision = schema->precision;
    column->scale = schema->scale;
}

static uint64_t row_lsn(const struct nw_builder *builder)
{
    return builder->block->kind == NW_BLOCK_COPY ? builder->block->fence_lsn
                                                 : builder->selection->frame->row_lsn;
}

#define ROW_FAILED "row of %s.%s at LSN %X/%X: column %s, by which rows are kept, %s"

static nw_status fail(const struct nw_builder *builder, const struct nw_operand *operand,
                      nw_status status, const char *what)
{
    const struct nw_table *table = builder->block->table;
    uint64_t lsn = row_lsn(builder);

    return nw_fail(builder->selection->err, status,
                   status == NW_CORRUPT ? "NW2902 " ROW_FAILED : "NW1226 " ROW_FAILED,
                   table->schema_name, table->name, (unsigned)(lsn >> 32), (unsigned)lsn,
                   operand->schema.name, what);
}

static nw_status malformed(const struct nw_builder *builder)
{
    const struct nw_table *table = builder->block->table;
    uint64_t lsn = row_lsn(builder);

    return nw_fail(builder->selection->err, NW_CORRUPT,
                   "malformed row of %s.%s at LSN %X/%X, seen by its filter", table->schema_name,
                   table->name, (unsigned)(lsn >> 32), (unsigned)lsn);
}

/* Decodes a field that has a value. */
static nw_status operand_decode(struct nw_builder *builder, uint16_t index,
                                const struct nw_field *field)
{
    const struct nw_operand *operand = &builder->block->projection->filter->operands[index];
    struct operand *place = &builder->selection->operands[index];
    struct nw_column *column = &place->column;
    struct nw_value *value = &builder->selection->values[index];
    bool copied = builder->block->kind == NW_BLOCK_COPY;
    nw_decode_fn decode = field->kind == 't' ? column->text : column->binary;
    enum nw_decoded decoded = NW_DECODED_MALFORMED;

    if (decode == NULL && copied) { /* it was asked for as text */
        decode = column->text;
    }
    column->bytes.size = 0;
    place->exception.size = 0;
    memset(place->values, 0, sizeof place->values);
    if (decode != NULL) {
        decoded = decode(column, 0, field->value.at, (uint32_t)field->value.size);
    }
    switch (decoded) {
    case NW_DECODED:
        value->kind = NW_VALUE_PRESENT;
        nw_value_load(value,
                      &(struct nw_array){.values = column->values,
                                         .offsets = column->offsets,
                                         .bytes = column->bytes.at},
                      0);
        return NW_OK;
    case NW_DECODED_EXCEPTION:
        *value = (struct nw_value){.kind = NW_VALUE_EXCEPTION,
                                   .type = value->type,
                                   .bytes = place->exception.at,
                                   .size = place->exception.size};
        return NW_OK;
    case NW_DECODED_NO_MEMORY:
        return fail(builder, operand, NW_FATAL, "found no memory");
    case NW_DECODED_MALFORMED:
        break;
    }
    return fail(builder, operand, NW_CORRUPT, "has a value that its type cannot have");
}

/* The verdict on one image. @param old  to take unchanged values from; NULL: there is none */
static nw_status judge(struct nw_builder *builder, const struct nw_field *fields,
                       const struct nw_field *old, bool *kept)
{
    const struct nw_row_filter *filter = builder->block->projection->filter;
    int wire = builder->block->kind == NW_BLOCK_COPY ? NW_WIRE_COPY : NW_WIRE_CHANGES;
    enum nw_row_verdict verdict = NW_ROW_UNKNOWN;

    for (uint16_t i = 0; i < filter->operands_count; i++) {
        const struct nw_operand *operand = &filter->operands[i];
        const struct nw_field *field = &fields[operand->field[wire]];
        struct nw_value *value = &builder->selection->values[i];
        nw_status status = NW_OK;

        field = field->kind == 'u' && old != NULL ? &old[operand->field[wire]] : field;
        *value =
            (struct nw_value){.kind = NW_VALUE_NULL, .type = (enum nw_type)operand->schema.type};
        if (field->kind == 't' || field->kind == 'b') {
            status = operand_decode(builder, i, field);
        } else if (field->kind == 'u') {
            status =
                fail(builder, operand, NW_FATAL,
                     "was not sent, so that it cannot be told whether sinks get the row: ALTER "
                     "TABLE ... REPLICA IDENTITY FULL sends it");
        } else if (field->kind != 'n') {
            status = fail(builder, operand, NW_CORRUPT, "has a value of an unknown kind");
        }
        if (status != NW_OK) {
            return status;
        }
    }
    verdict = filter->judge(filter, builder->selection->values);
    *kept = verdict == NW_ROW_KEPT;
    return verdict != NW_ROW_UNKNOWN
               ? NW_OK
               : fail(builder, &filter->operands[0], NW_FATAL,
                      "or another of it, has a value that cannot be compared");
}

/* The old row of an update or a delete, when the message has one. */
static nw_status judge_old(struct nw_builder *builder, struct nw_cursor *message, uint8_t part,
                           bool *kept)
{
    return nw_fields_read(builder, message, part == 'K', builder->old)
               ? judge(builder, builder->old, NULL, kept)
               : malformed(builder);
}

/* What a row is for sinks that they had, or not, and are to have, or not. */
static char op_across(bool had, bool has, char op)
{
    return had && has ? op : has ? NW_OP_INSERT : had ? NW_OP_DELETE : 0;
}

/* The new row of an insert or an update. @param old  whether the old one is in builder->old */
static nw_status judge_new(struct nw_builder *builder, struct nw_cursor *message, bool old,
                           bool *kept)
{
    return nw_fields_read(builder, message, false, builder->fresh)
               ? judge(builder, builder->fresh, old ? builder->old : NULL, kept)
               : malformed(builder);
}

/* What a change is for sinks; 0: nothing. */
static nw_status judge_change(struct nw_builder *builder, struct nw_cursor *message, char *op)
{
    uint8_t part = nw_cursor_u8(message);
    bool old = *op != NW_OP_INSERT && (part == 'K' || part == 'O');
    bool had = false;
    bool has = false;
    nw_status status = old ? judge_old(builder, message, part, &had) : NW_OK;

    if (*op != NW_OP_DELETE && status == NW_OK) {
        part = old ? nw_cursor_u8(message) : part;
        status = part == 'N' ? judge_new(builder, message, old, &has) : malformed(builder);
        /* Without an old row it is an insert, or an update that left the filter's columns alone. */
        had = old ? had : has;
    }
    *op = op_across(had, has, *op);
    return status;
}

static nw_status judge_copied(struct nw_builder *builder, struct nw_cursor *message, char *op)
{
    bool kept = false;
    nw_status status = NW_OK;

    if (!nw_fields_read_copied(builder, message, builder->fresh)) {
        return malformed(builder);
    }
    status = judge(builder, builder->fresh, NULL, &kept);
    *op = kept ? NW_OP_INSERT : 0;
    return status;
}

static nw_status selection_ready(struct nw_builder *builder, struct nw_error *err)
{
    const struct nw_row_filter *filter = builder->block->projection->filter;

    NW_ASSERT(filter->operands_count <= NW_OPERANDS_MAX);
    if (builder->selection == NULL) {
        builder->selection = calloc(1, sizeof *builder->selection);
        if (builder->selection == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for the filter of %s.%s",
                           builder->block->table->schema_name, builder->block->table->name);
        }
    }
    builder->selection->err = err;
    for (uint16_t i = 0; i < filter->operands_count; i++) {
        struct operand *operand = &builder->selection->operands[i];

        if (operand->column.bytes.capacity > OPERAND_KEPT_MAX) { /* of a huge value */
            nw_buffer_fini(&operand->column.bytes);
        }
        operand_set(operand, &filter->operands[i]);
    }
    return NW_OK;
}

nw_status nw_builder_select(struct nw_builder *builder, struct nw_error *err)
{
    const struct nw_block *block = builder->block;
    struct nw_selection *selection = NULL;
    uint32_t count = 0;

    NW_ASSERT(block->frames_count <= NW_BLOCK_ROWS_MAX);
    if (selection_ready(builder, err) != NW_OK) {
        return NW_FATAL;
    }
    selection = builder->selection;
    for (uint32_t i = 0; i < block->frames_count; i++) {
        const struct nw_frame *frame = &block->frames[i];
        struct nw_cursor message = nw_cursor_of(block->bytes + frame->offset, frame->size);
        char op = frame->op;
        nw_status status = NW_OK;

        selection->frame = frame;
        status = block->kind == NW_BLOCK_COPY ? judge_copied(builder, &message, &op)
                                              : judge_change(builder, &message, &op);
        if (status == NW_OK && !nw_cursor_done(&message)) {
            status = malformed(builder);
        }
        if (status != NW_OK) {
            return status;
        }
        if (op != 0) {
            selection->rows[count++] = (struct nw_selected){.frame = i, .op = op};
        }
    }
    builder->selected = selection->rows;
    builder->rows_count = count;
    return NW_OK;
}
