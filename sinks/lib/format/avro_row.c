/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in Avro: see avro_row.h. */
#include "lib/format/avro_row.h"

static nw_status column_append(struct nw_out *out, const struct nw_row *row,
                               const struct nw_connect_schema *schema, uint16_t column, int side,
                               struct nw_error *err)
{
    const struct nw_table *table = row->table->table;
    struct nw_value source = nw_batch_value(row->batch, side, row->row, column);
    struct nw_connect_value value;
    nw_status status = nw_connect_convert(row->scratch, column, &source, side, &value, err);

    if (status == NW_OK && value.kind == NW_CONNECT_NULL && schema->fallback != NULL &&
        row->table->options.null_as_default) {
        value = *schema->fallback;
    }
    if (status == NW_OK && value.kind == NW_CONNECT_NULL && !schema->optional) {
        return nw_fail(err, NW_REJECT, "NW2720 %s.%s: column %s is NOT NULL, and has no value here",
                       table->schema_name, table->name, table->columns[column].name);
    }
    return status == NW_OK ? nw_avro_value(out, schema, &value, err) : status;
}

static nw_status finish(nw_status status, const struct nw_out *out, struct nw_error *err)
{
    return status == NW_OK && out->failed ? nw_fail(err, NW_RETRY, "out of memory for messages")
                                          : status;
}

nw_status nw_avro_key(struct nw_out *out, const struct nw_row *row, int side, struct nw_error *err)
{
    const struct nw_connect_schema *key = row->table->key;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < key->fields_count && status == NW_OK; i++) {
        status =
            column_append(out, row, key->fields[i].schema, row->table->key_fields[i], side, err);
    }
    return status;
}

nw_status nw_avro_fields(struct nw_out *out, const struct nw_row *row, int side,
                         struct nw_error *err)
{
    const struct nw_connect_schema *value = row->table->value;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < value->fields_count && status == NW_OK; i++) {
        status = column_append(out, row, value->fields[i].schema, row->table->fields[i], side, err);
    }
    return status;
}

nw_status nw_avro_meta(struct nw_out *out, enum nw_meta meta, const struct nw_row *row,
                       struct nw_error *err)
{
    struct nw_connect_value value = nw_meta_value(meta, row->origin, row->change);

    return nw_avro_value(out, nw_meta_schema(meta), &value, err);
}

void nw_avro_block(struct nw_out *out, const struct nw_change *change)
{
    nw_avro_long(out, change->transaction != NULL ? 1 : 0);
    if (change->transaction != NULL) {
        nw_avro_bytes(out, change->transaction, strlen(change->transaction));
        nw_avro_long(out, change->total_order);
        nw_avro_long(out, change->table_order);
    }
}

/* The fields behind the images: source, transaction, op, ts_ms, ts_us, ts_ns. */
static nw_status rest_append(struct nw_out *out, const struct nw_row *row, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (enum nw_meta meta = 0; meta < NW_SOURCE_FIELDS_COUNT && status == NW_OK; meta++) {
        status = nw_avro_meta(out, meta, row, err);
    }
    nw_avro_block(out, row->change);
    for (enum nw_meta meta = NW_META_OP; meta <= NW_META_NS && status == NW_OK; meta++) {
        status = nw_avro_meta(out, meta, row, err);
    }
    return finish(status, out, err);
}

nw_status nw_avro_envelope(struct nw_out *out, const struct nw_row *row, struct nw_error *err)
{
    const bool has[] = {[NW_BEFORE] = row->change->before, [NW_AFTER] = row->change->after};
    nw_status status = NW_OK;

    for (int side = NW_BEFORE; side <= NW_AFTER && status == NW_OK; side++) {
        nw_avro_branch(out, row->table->value, !has[side]);
        if (has[side]) {
            status = nw_avro_fields(out, row, side, err);
        }
    }
    return status == NW_OK ? rest_append(out, row, err) : status;
}

/* Fields as a reshape makes them. */
static nw_status reshaped_append(struct nw_out *out, const struct nw_flat *flat,
                                 const struct nw_row *row, struct nw_error *err)
{
    const struct nw_table *table = row->table->table;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < flat->schema.fields_count && status == NW_OK; i++) {
        const struct nw_connect_field *field = &flat->schema.fields[i];
        struct nw_connect_value value;

        status = nw_reshape_value(flat->reshape, i, row, &value, err);
        if (status == NW_OK && value.kind == NW_CONNECT_NULL && field->schema->fallback != NULL &&
            row->table->options.null_as_default) {
            value = *field->schema->fallback;
        }
        if (status == NW_OK && value.kind == NW_CONNECT_NULL && !field->schema->optional) {
            return nw_fail(err, NW_REJECT,
                           "NW2720 %s.%s: field %s is required, and has no value here",
                           table->schema_name, table->name, field->name);
        }
        status = status == NW_OK ? nw_avro_value(out, field->schema, &value, err) : status;
    }
    return finish(status, out, err);
}

nw_status nw_avro_flat(struct nw_out *out, const struct nw_flat *flat, const struct nw_row *row,
                       struct nw_error *err)
{
    const struct nw_added *added = &flat->options->fields;
    bool deleted = row->change->op == 'd';
    nw_status status = NW_OK;

    if (flat->reshape != NULL) {
        return reshaped_append(out, flat, row, err);
    }
    status = nw_avro_fields(out, row, deleted ? NW_BEFORE : NW_AFTER, err);
    if (nw_flat_marks(flat->options)) {
        const char *text = deleted ? "true" : "false";

        nw_avro_long(out, 1); /* not null */
        nw_avro_bytes(out, text, strlen(text));
    }
    for (uint32_t i = 0; i < added->count && status == NW_OK; i++) {
        struct nw_connect_value value = nw_added_value(&added->items[i], row->origin, row->change);

        status = nw_avro_value(out, &added->items[i].schema, &value, err);
    }
    return finish(status, out, err);
}
