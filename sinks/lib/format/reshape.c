/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What steps make of a table's flattened rows: see reshape.h. Steps are gone through once for a
 * table's version; what is left for a row is a list of operations for each field.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/format/reshape_step.h"

enum source { SOURCE_COLUMN, SOURCE_DELETED, SOURCE_ADDED, SOURCE_TEXT };

struct field {
    struct nw_connect_field public;
    enum source source;
    uint16_t column;
    const struct nw_added_item *item;
    const char *text;
    struct nw_reshape_op *ops;
};

struct nw_reshape {
    const struct nw_connect_table *table;
    struct nw_pool pool;
    struct field *fields;
    struct nw_connect_field *public;
    uint32_t count;
    struct nw_connect_items none; /* of an array that is masked */
    struct nw_out outs[2];        /* one is read while the other is written */
    struct nw_out second;
};

static const struct nw_connect_schema text_required = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema text_optional = {.kind = NW_CONNECT_STRING, .optional = true};

/* ---- steps ---- */

static struct nw_reshape_op *op_add(struct nw_reshape *reshape, struct field *field,
                                    const struct nw_reshape_step *step,
                                    const struct nw_connect_schema *to)
{
    struct nw_reshape_op *op = nw_pool_get(&reshape->pool, sizeof *op);
    struct nw_reshape_op **end = &field->ops;

    if (op == NULL) {
        return NULL;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *op = (struct nw_reshape_op){.step = step, .from = field->public.schema, .to = to};
    *end = op;
    field->public.schema = to;
    return op;
}

static const struct nw_reshape_name *named(const struct nw_reshape_step *step, const char *name)
{
    for (uint32_t i = 0; i < step->count; i++) {
        if (strcmp(step->names[i].name, name) == 0) {
            return &step->names[i];
        }
    }
    return NULL;
}

static void defaults_take(struct nw_reshape *reshape, const struct nw_reshape_step *step)
{
    for (uint32_t i = 0; i < reshape->count; i++) {
        struct field *field = &reshape->fields[i];

        if (field->public.schema->fallback != NULL) {
            struct nw_reshape_op *op = op_add(reshape, field, step, field->public.schema);

            if (op != NULL) {
                op->constant = *field->public.schema->fallback;
            }
        }
    }
}

static void fields_choose(struct nw_reshape *reshape, const struct nw_reshape_step *step)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < reshape->count; i++) {
        bool listed = named(step, reshape->fields[i].public.name) != NULL;

        if (listed == (step->kind == NW_RESHAPE_KEEP)) {
            reshape->fields[kept++] = reshape->fields[i];
        }
    }
    reshape->count = kept;
}

static nw_status refuse(const struct nw_reshape *reshape, const struct field *field,
                        const char *why, struct nw_error *err)
{
    const struct nw_table *table = reshape->table->table;

    return nw_fail(err, NW_REJECT, "NW2727 %s.%s: field %s cannot be what `reshape` says: %s",
                   table->schema_name, table->name, field->public.name, why);
}

/* The other field of that name; NULL: there is none. */
static struct field *twin_find(const struct nw_reshape *reshape, const struct field *field)
{
    for (uint32_t i = 0; i < reshape->count; i++) {
        struct field *other = &reshape->fields[i];

        if (other != field && strcmp(other->public.name, field->public.name) == 0) {
            return other;
        }
    }
    return NULL;
}

/* Connect ends the connector. */
static nw_status twin_refuse(const struct nw_reshape *reshape, const struct field *field,
                             struct nw_error *err)
{
    return twin_find(reshape, field) == NULL
               ? NW_OK
               : refuse(reshape, field, "there is another field of that name", err);
}

static nw_status fields_rename(struct nw_reshape *reshape, const struct nw_reshape_step *step,
                               struct nw_error *err)
{
    nw_status status = NW_OK;
    bool any = false;

    for (uint32_t i = 0; i < reshape->count; i++) {
        const struct nw_reshape_name *name = named(step, reshape->fields[i].public.name);

        if (name != NULL) {
            reshape->fields[i].public.name = name->to;
            any = true;
        }
    }
    for (uint32_t i = 0; any && i < reshape->count && status == NW_OK; i++) {
        status = twin_refuse(reshape, &reshape->fields[i], err);
    }
    return status;
}

/* A field that is there has the value from now on, and keeps its place and its schema. */
static nw_status field_replace(const struct nw_reshape *reshape, struct field *field,
                               const struct nw_reshape_step *step, struct nw_error *err)
{
    const struct nw_connect_schema *schema = field->public.schema;
    const struct nw_connect_schema *given = &step->item->schema;
    const char *name = schema->name == NULL ? "" : schema->name;

    if (schema->kind != given->kind || strcmp(name, given->name == NULL ? "" : given->name) != 0) {
        return refuse(reshape, field, "it is there, and has another type", err);
    }
    field->source = SOURCE_ADDED;
    field->item = step->item;
    field->ops = NULL;
    return NW_OK;
}

static nw_status field_insert(struct nw_reshape *reshape, const struct nw_reshape_step *step,
                              const char *topic, struct nw_error *err)
{
    struct field *field = &reshape->fields[reshape->count]; /* there is room for each step's */

    if (step->kind == NW_RESHAPE_ENVELOPE) {
        struct field *twin = NULL;

        *field = (struct field){.public = {step->names[0].to, &step->item->schema},
                                .source = SOURCE_ADDED,
                                .item = step->item};
        twin = twin_find(reshape, field);
        reshape->count += twin == NULL ? 1 : 0;
        return twin == NULL ? NW_OK : field_replace(reshape, twin, step, err);
    }
    *field = (struct field){
        .public = {step->names[0].name, step->required ? &text_required : &text_optional},
        .source = SOURCE_TEXT,
        .text = step->kind == NW_RESHAPE_INSERT
                    ? step->text
                    : nw_pool_text(&reshape->pool, topic, strlen(topic))};
    reshape->count++;
    return twin_refuse(reshape, field, err);
}

/* ---- masks, casts and times ---- */

/* The default of a schema that is cast; memory of its own. */
static const struct nw_connect_value *default_cast(struct nw_reshape *reshape,
                                                   const struct nw_reshape_op *op)
{
    struct nw_connect_value *made = nw_pool_get(&reshape->pool, sizeof *made);

    if (made == NULL) {
        return NULL;
    }
    *made = *op->from->fallback;
    if (nw_reshape_apply(op, made, &reshape->outs[0], &reshape->second) != NW_OK) {
        return NULL;
    }
    if (made->kind == NW_CONNECT_TEXT) {
        made->bytes = (const uint8_t *)nw_pool_text(&reshape->pool, made->bytes, made->size);
    }
    return made;
}

static struct nw_connect_schema *time_schema(struct nw_reshape *reshape,
                                             const struct nw_reshape_step *step)
{
    static const struct nw_connect_schema schemas[] = {
        [NW_TIME_STRING] = {.kind = NW_CONNECT_STRING},
        [NW_TIME_UNIX] = {.kind = NW_CONNECT_INT64},
        [NW_TIME_DATE] = {.kind = NW_CONNECT_INT32,
                          .name = "org.apache.kafka.connect.data.Date",
                          .version = 1},
        [NW_TIME_TIME] = {.kind = NW_CONNECT_INT32,
                          .name = "org.apache.kafka.connect.data.Time",
                          .version = 1},
        [NW_TIME_STAMP] = {.kind = NW_CONNECT_INT64,
                           .name = "org.apache.kafka.connect.data.Timestamp",
                           .version = 1}};
    struct nw_connect_schema *made = nw_pool_get(&reshape->pool, sizeof *made);

    if (made != NULL) {
        *made = schemas[step->time];
    }
    return made;
}

static void field_convert(struct nw_reshape *reshape, struct field *field,
                          const struct nw_reshape_step *step, enum nw_connect_kind kind)
{
    const struct nw_connect_schema *from = field->public.schema;
    struct nw_connect_schema *to = NULL;
    struct nw_reshape_op *op = NULL;

    if (step->kind == NW_RESHAPE_TIME) {
        to = time_schema(reshape, step);
    } else {
        to = nw_pool_get(&reshape->pool, sizeof *to);
        if (to != NULL) {
            *to = (struct nw_connect_schema){.kind = kind};
        }
    }
    if (to == NULL) {
        return;
    }
    to->optional = from->optional;
    op = op_add(reshape, field, step, to);
    if (op != NULL && step->kind == NW_RESHAPE_CAST && from->fallback != NULL) {
        to->fallback = default_cast(reshape, op);
    }
}

static nw_status field_mask(struct nw_reshape *reshape, struct field *field,
                            const struct nw_reshape_step *step, struct nw_error *err)
{
    struct nw_reshape_op *op = op_add(reshape, field, step, field->public.schema);

    if (op != NULL && !nw_reshape_masked(&reshape->pool, step, field->public.schema,
                                         &reshape->table->options, &reshape->none, &op->constant)) {
        return refuse(reshape, field, "the value to show instead is none of its type", err);
    }
    return NW_OK;
}

static nw_status fields_change(struct nw_reshape *reshape, const struct nw_reshape_step *step,
                               struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < reshape->count && status == NW_OK; i++) {
        struct field *field = &reshape->fields[i];
        const struct nw_reshape_name *name = named(step, field->public.name);
        const char *why = name == NULL ? NULL : nw_reshape_reason(step, field->public.schema);
        bool bytes = name != NULL && field->public.schema->kind == NW_CONNECT_BYTES &&
                     field->public.schema->name == NULL;

        if (why == NULL && bytes && step->kind == NW_RESHAPE_CAST &&
            name->kind != NW_CONNECT_STRING) {
            why = "bytes can be cast to a string only";
        }
        if (why != NULL) {
            status = refuse(reshape, field, why, err);
        } else if (name != NULL && step->kind == NW_RESHAPE_MASK) {
            status = field_mask(reshape, field, step, err);
        } else if (name != NULL) {
            field_convert(reshape, field, step, name->kind);
        }
    }
    return status;
}

/* ---- tables ---- */

static bool fields_fill(struct nw_reshape *reshape, const struct nw_flat *flat, uint32_t steps)
{
    const struct nw_flat_options *options = flat->options;
    uint32_t columns = reshape->table->value->fields_count;

    reshape->fields = nw_pool_get(&reshape->pool, ((size_t)flat->schema.fields_count + steps + 1) *
                                                      sizeof *reshape->fields);
    if (reshape->fields == NULL) {
        return false;
    }
    reshape->count = flat->schema.fields_count;
    for (uint32_t i = 0; i < reshape->count; i++) {
        struct field *field = &reshape->fields[i];
        uint32_t added = i - columns - (nw_flat_marks(options) ? 1 : 0);

        field->public = flat->schema.fields[i];
        if (i < columns) {
            field->source = SOURCE_COLUMN;
            field->column = reshape->table->fields[i];
        } else if (i == columns && nw_flat_marks(options)) {
            field->source = SOURCE_DELETED;
        } else {
            field->source = SOURCE_ADDED;
            field->item = &options->fields.items[added];
        }
    }
    return true;
}

static nw_status step_take(struct nw_reshape *reshape, const struct nw_reshape_step *step,
                           const char *topic, struct nw_error *err)
{
    switch (step->kind) {
    case NW_RESHAPE_DEFAULTS:
        defaults_take(reshape, step);
        break;
    case NW_RESHAPE_KEEP:
    case NW_RESHAPE_DROP:
        fields_choose(reshape, step);
        break;
    case NW_RESHAPE_RENAME:
        return fields_rename(reshape, step, err);
    case NW_RESHAPE_MASK:
    case NW_RESHAPE_CAST:
    case NW_RESHAPE_TIME:
        return fields_change(reshape, step, err);
    case NW_RESHAPE_INSERT:
    case NW_RESHAPE_TOPIC:
    case NW_RESHAPE_ENVELOPE:
        return field_insert(reshape, step, topic, err);
    }
    return NW_OK;
}

nw_status nw_reshape_create(const struct nw_reshape_options *options,
                            const struct nw_connect_table *table, const struct nw_flat *flat,
                            const char *topic, struct nw_reshape **made, struct nw_error *err)
{
    struct nw_reshape *reshape = calloc(1, sizeof *reshape);
    nw_status status = NW_OK;

    if (reshape == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for messages");
    }
    reshape->table = table;
    if (fields_fill(reshape, flat, options->count)) {
        for (uint32_t i = 0; i < options->count && status == NW_OK; i++) {
            status = step_take(reshape, &options->steps[i], topic, err);
        }
        reshape->public =
            nw_pool_get(&reshape->pool, (reshape->count + 1u) * sizeof *reshape->public);
    }
    for (uint32_t i = 0; reshape->public != NULL && i < reshape->count; i++) {
        reshape->public[i] = reshape->fields[i].public;
    }
    if (status == NW_OK && reshape->pool.failed) {
        status = nw_fail(err, NW_RETRY, "out of memory for messages");
    }
    if (status != NW_OK) {
        nw_reshape_destroy(reshape);
        return status;
    }
    *made = reshape;
    return NW_OK;
}

void nw_reshape_destroy(struct nw_reshape *reshape)
{
    if (reshape != NULL) {
        nw_pool_fini(&reshape->pool);
        nw_out_fini(&reshape->outs[0]);
        nw_out_fini(&reshape->outs[1]);
        nw_out_fini(&reshape->second);
        free(reshape);
    }
}

const struct nw_connect_field *nw_reshape_fields(const struct nw_reshape *reshape, uint32_t *count)
{
    *count = reshape->count;
    return reshape->public;
}

/* ---- rows ---- */

static struct nw_connect_value text_value(const char *text)
{
    return (struct nw_connect_value){
        .kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static nw_status source_read(const struct field *field, const struct nw_row *row,
                             struct nw_connect_value *value, struct nw_error *err)
{
    bool deleted = row->change->op == 'd';
    int side = deleted ? NW_BEFORE : NW_AFTER;
    struct nw_value source;

    switch (field->source) {
    case SOURCE_DELETED:
        *value = text_value(deleted ? "true" : "false");
        break;
    case SOURCE_ADDED:
        *value = nw_added_value(field->item, row->origin, row->change);
        break;
    case SOURCE_TEXT:
        *value = text_value(field->text);
        break;
    case SOURCE_COLUMN:
        nw_batch_read(row->batch, side, row->row, field->column, &source);
        return nw_connect_convert(row->scratch, field->column, &source, side, value, err);
    }
    return NW_OK;
}

static nw_status failed(const struct nw_reshape *reshape, const struct field *field,
                        nw_status status, struct nw_error *err)
{
    const struct nw_table *table = reshape->table->table;

    if (status == NW_RETRY) {
        return nw_fail(err, NW_RETRY, "out of memory for a value");
    }
    return nw_fail(err, NW_REJECT,
                   "NW2720 %s.%s: field %s has a value that cannot be what `reshape` says",
                   table->schema_name, table->name, field->public.name);
}

nw_status nw_reshape_value(struct nw_reshape *reshape, uint32_t index, const struct nw_row *row,
                           struct nw_connect_value *value, struct nw_error *err)
{
    const struct field *field = &reshape->fields[index];
    nw_status status = source_read(field, row, value, err);
    unsigned out = 0;

    if (status != NW_OK) {
        return status;
    }
    for (const struct nw_reshape_op *op = field->ops; op != NULL && status == NW_OK;
         op = op->next) {
        bool null = value->kind == NW_CONNECT_NULL;
        bool defaults = op->step->kind == NW_RESHAPE_DEFAULTS;

        if (null != defaults) {
            continue; /* only defaults are for NULL */
        }
        if (defaults || op->step->kind == NW_RESHAPE_MASK) {
            *value = op->constant;
        } else {
            status = nw_reshape_apply(op, value, &reshape->outs[out], &reshape->second);
            out ^= 1;
        }
    }
    return status == NW_OK ? NW_OK : failed(reshape, field, status, err);
}
