/* SPDX-License-Identifier: Apache-2.0 */
/* See key_shape.h. */
#include "lib/format/key_shape.h"

#include <stdlib.h>
#include <string.h>

#include "lib/format/avro.h"
#include "lib/format/connect_json.h"
#include "lib/json.h"

#define CONSTANT UINT16_MAX

struct nw_key_shape {
    const struct nw_connect_table *table;
    struct nw_connect_schema schema; /* of all fields */
    struct nw_connect_field *fields; /* own */
    char **texts;                    /* of constants; own, as are their names */
    uint16_t *columns;               /* of fields; CONSTANT: texts[i] */
    uint32_t count, constants;
    int only; /* the field that is the key; -1: all are */
    enum nw_key_form form;
    bool defaults;      /* instead of NULL */
    struct nw_out head; /* {"schema":{...},"payload": */
};

static const struct nw_connect_schema constant_schema = {.kind = NW_CONNECT_STRING};

/* ---- making ---- */

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for a key");
}

static nw_status column_add(struct nw_key_shape *shape, const char *name, struct nw_error *err)
{
    const struct nw_connect_table *table = shape->table;

    for (uint32_t i = 0; i < table->value->fields_count; i++) {
        if (strcmp(table->value->fields[i].name, name) == 0 &&
            nw_table_is_blurred(table->table, table->fields[i])) {
            return nw_fail(err, NW_REJECT,
                           "NW2708 key_columns: column %s of %s.%s is masked, so that several "
                           "values become one, and rows would have each other's keys: mask it by "
                           "sha256, which keeps them apart, or leave it out of key_columns",
                           name, table->table->schema_name, table->table->name);
        }
        if (strcmp(table->value->fields[i].name, name) == 0) {
            shape->columns[shape->count] = table->fields[i];
            shape->fields[shape->count++] = table->value->fields[i];
            return NW_OK;
        }
    }
    return nw_fail(err, NW_REJECT,
                   "NW2708 key_columns: %s.%s has no column %s: leave the table out, or name the "
                   "columns that it has",
                   table->table->schema_name, table->table->name, name);
}

static nw_status constant_add(struct nw_key_shape *shape, const struct nw_key_constant *constant,
                              struct nw_error *err)
{
    char *name = NULL;

    for (uint32_t i = 0; i < shape->count; i++) {
        if (strcmp(shape->fields[i].name, constant->name) == 0) {
            return nw_fail(err, NW_REJECT,
                           "NW2708 routes: the key of %s.%s has a field %s already: give the "
                           "route's field another name",
                           shape->table->table->schema_name, shape->table->table->name,
                           constant->name);
        }
    }
    name = strdup(constant->name);
    shape->fields[shape->count] = (struct nw_connect_field){name, &constant_schema};
    shape->columns[shape->count] = CONSTANT;
    shape->texts[shape->count] = strdup(constant->text);
    shape->count++;
    return name == NULL || shape->texts[shape->count - 1] == NULL ? no_memory(err) : NW_OK;
}

static nw_status fields_fill(struct nw_key_shape *shape, const struct nw_key_options *options,
                             struct nw_error *err)
{
    const struct nw_connect_schema *key = shape->table->key;
    nw_status status = NW_OK;

    for (size_t i = 0; options->columns != NULL && options->columns[i] != NULL && status == NW_OK;
         i++) {
        status = column_add(shape, options->columns[i], err);
    }
    for (uint32_t i = 0; options->columns == NULL && i < key->fields_count; i++) {
        shape->columns[shape->count] = shape->table->key_fields[i];
        shape->fields[shape->count++] = key->fields[i];
    }
    for (uint32_t i = 0; i < options->constants_count && status == NW_OK; i++) {
        status = constant_add(shape, &options->constants[i], err);
    }
    shape->schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT,
                                               .name = options->columns == NULL ? key->name : NULL,
                                               .fields = shape->fields,
                                               .fields_count = shape->count};
    return status;
}

static nw_status only_find(struct nw_key_shape *shape, const char *field, struct nw_error *err)
{
    for (uint32_t i = 0; field != NULL && i < shape->count; i++) {
        if (strcmp(shape->fields[i].name, field) == 0) {
            shape->only = (int)i;
            return NW_OK;
        }
    }
    return field == NULL
               ? NW_OK
               : nw_fail(err, NW_REJECT,
                         "NW2708 key_field: the key of %s.%s has no field %s: leave the table out, "
                         "or say another field",
                         shape->table->table->schema_name, shape->table->table->name, field);
}

/* Whether Java's form of a value is known here: Connect's own dates are another class's. */
static bool prints(const struct nw_connect_schema *schema)
{
    static const char own[] = "org.apache.kafka.connect.data.";
    bool scalar = schema->kind <= NW_CONNECT_STRING;

    return scalar && (schema->name == NULL || strncmp(schema->name, own, sizeof own - 1) != 0);
}

static nw_status form_check(const struct nw_key_shape *shape, struct nw_error *err)
{
    static const char *const names[] = {"same",    "json", "json_schemas", "string",
                                        "integer", "long", "avro"};
    const struct nw_connect_schema *schema = nw_key_shape_schema(shape);
    bool fits = true;

    if (shape->form == NW_KEY_STRING && shape->only < 0) {
        for (uint32_t i = 0; i < shape->count; i++) {
            fits = fits && prints(shape->fields[i].schema);
        }
    } else if (shape->form == NW_KEY_STRING) {
        fits = prints(schema);
    } else if (shape->form == NW_KEY_INTEGER || shape->form == NW_KEY_LONG) {
        fits = shape->only >= 0 && prints(schema) &&
               schema->kind == (shape->form == NW_KEY_LONG ? NW_CONNECT_INT64 : NW_CONNECT_INT32);
    }
    return fits ? NW_OK
                : nw_fail(err, NW_REJECT,
                          "NW2708 key_form: a key of %s.%s cannot be written as %s: its type is "
                          "another",
                          shape->table->table->schema_name, shape->table->table->name,
                          names[shape->form]);
}

static size_t fields_count(const struct nw_connect_table *table,
                           const struct nw_key_options *options)
{
    size_t count = options->constants_count;

    for (size_t i = 0; options->columns != NULL && options->columns[i] != NULL; i++) {
        count++;
    }
    return count + (table->key == NULL ? 0 : table->key->fields_count);
}

static bool room_make(struct nw_key_shape *shape, size_t count)
{
    shape->fields = calloc(count + 1, sizeof *shape->fields);
    shape->texts = calloc(count + 1, sizeof *shape->texts);
    shape->columns = calloc(count + 1, sizeof *shape->columns);
    return shape->fields != NULL && shape->texts != NULL && shape->columns != NULL;
}

static nw_status head_print(struct nw_key_shape *shape, struct nw_error *err)
{
    if (shape->form == NW_KEY_JSON_SCHEMAS) {
        nw_out_text(&shape->head, "{\"schema\":");
        nw_connect_json_schema(&shape->head, nw_key_shape_schema(shape), NULL);
        nw_out_text(&shape->head, ",\"payload\":");
    }
    return shape->head.failed ? no_memory(err) : NW_OK;
}

static nw_status shape_fill(struct nw_key_shape *shape, const struct nw_key_options *options,
                            struct nw_error *err)
{
    bool json = options->form == NW_KEY_JSON || options->form == NW_KEY_JSON_SCHEMAS;
    nw_status status = NW_OK;

    shape->only = -1;
    shape->form = options->form;
    shape->defaults =
        options->columns != NULL || options->field != NULL || (json && options->null_as_default);
    status = room_make(shape, fields_count(shape->table, options))
                 ? fields_fill(shape, options, err)
                 : no_memory(err);
    if (status == NW_OK) {
        status = only_find(shape, options->field, err);
    }
    if (status == NW_OK) {
        status = form_check(shape, err);
    }
    return status == NW_OK ? head_print(shape, err) : status;
}

nw_status nw_key_shape_create(const struct nw_connect_table *table,
                              const struct nw_key_options *options, struct nw_key_shape **shape,
                              struct nw_error *err)
{
    struct nw_key_shape *made = NULL;
    nw_status status = NW_OK;

    *shape = NULL;
    if (table->key == NULL && options->columns == NULL) {
        return NW_OK;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        return no_memory(err);
    }
    made->table = table;
    status = shape_fill(made, options, err);
    if (status != NW_OK) {
        nw_key_shape_destroy(made);
        return status;
    }
    *shape = made;
    return NW_OK;
}

void nw_key_shape_destroy(struct nw_key_shape *shape)
{
    if (shape == NULL) {
        return;
    }
    for (uint32_t i = 0; i < shape->count; i++) {
        if (shape->columns[i] == CONSTANT) {
            free((void *)(uintptr_t)shape->fields[i].name);
            free(shape->texts[i]);
        }
    }
    free(shape->fields);
    free((void *)shape->texts);
    free(shape->columns);
    nw_out_fini(&shape->head);
    free(shape);
}

const struct nw_connect_schema *nw_key_shape_schema(const struct nw_key_shape *shape)
{
    return shape->only < 0 ? &shape->schema : shape->fields[shape->only].schema;
}

enum nw_key_form nw_key_shape_form(const struct nw_key_shape *shape)
{
    return shape->form;
}

/* ---- keys ---- */

/* @param value  filled: valid until the row's scratch is used again */
static nw_status field_read(const struct nw_key_shape *shape, const struct nw_row *row, int side,
                            uint32_t field, struct nw_connect_value *value, struct nw_error *err)
{
    const struct nw_connect_schema *schema = shape->fields[field].schema;
    uint16_t column = shape->columns[field];
    nw_status status = NW_OK;

    if (column == CONSTANT) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                           .bytes = (const uint8_t *)shape->texts[field],
                                           .size = (uint32_t)strlen(shape->texts[field])};
    } else {
        struct nw_value source = nw_batch_value(row->batch, side, row->row, column);

        status = nw_connect_convert(row->scratch, column, &source, side, value, err);
    }
    if (status == NW_OK && value->kind == NW_CONNECT_NULL && shape->defaults &&
        schema->fallback != NULL) {
        *value = *schema->fallback;
    }
    return status;
}

static nw_status avro_append(const struct nw_key_shape *shape, struct nw_out *out, uint32_t field,
                             const struct nw_connect_value *value, struct nw_error *err)
{
    const struct nw_table *table = shape->table->table;

    if (value->kind == NW_CONNECT_NULL && !shape->fields[field].schema->optional) {
        return nw_fail(err, NW_REJECT, "NW2720 %s.%s: column %s is NOT NULL, and has no value here",
                       table->schema_name, table->name, shape->fields[field].name);
    }
    return nw_avro_value(out, shape->fields[field].schema, value, err);
}

/* A key that is one value. Where its schema is Avro's bytes Confluent's serializer writes them as
 * they are, without their size; those of a union with null have it. */
static nw_status avro_alone(const struct nw_key_shape *shape, struct nw_out *out,
                            const struct nw_connect_value *value, struct nw_error *err)
{
    const struct nw_connect_schema *schema = nw_key_shape_schema(shape);

    if (value->kind == NW_CONNECT_NULL || schema->kind != NW_CONNECT_BYTES || schema->optional) {
        return avro_append(shape, out, (uint32_t)shape->only, value, err);
    }
    nw_out_bytes(out, value->bytes, value->size);
    return NW_OK;
}

/* As Java's toString(). */
static void string_append(struct nw_out *out, const struct nw_connect_schema *schema,
                          const struct nw_connect_value *value)
{
    uint8_t text[NW_JAVA_REAL_MAX];

    if (value->kind == NW_CONNECT_INTEGER) {
        nw_out_i64(out, value->as.integer);
    } else if (value->kind == NW_CONNECT_TRUTH) {
        nw_out_text(out, value->as.boolean ? "true" : "false");
    } else if (value->kind == NW_CONNECT_REAL) {
        const uint8_t *end =
            nw_print_java_real(text, value->as.real, schema->kind == NW_CONNECT_FLOAT32);

        if (text[0] == '"') { /* NaN and the like */
            nw_out_bytes(out, text + 1, (size_t)(end - text) - 2);
        } else {
            nw_out_bytes(out, text, (size_t)(end - text));
        }
    } else {
        nw_out_bytes(out, value->bytes, value->size);
    }
}

static nw_status only_append(const struct nw_key_shape *shape, struct nw_out *out,
                             const struct nw_connect_value *value, bool *none, struct nw_error *err)
{
    const struct nw_connect_schema *schema = nw_key_shape_schema(shape);
    uint8_t bytes[8];

    switch (shape->form) {
    case NW_KEY_AVRO:
        *none = value->kind == NW_CONNECT_NULL && schema->optional;
        return *none ? NW_OK : avro_alone(shape, out, value, err);
    case NW_KEY_STRING:
    case NW_KEY_INTEGER:
    case NW_KEY_LONG:
        *none = value->kind == NW_CONNECT_NULL;
        break;
    case NW_KEY_SAME:
    case NW_KEY_JSON:
    case NW_KEY_JSON_SCHEMAS:
        return nw_connect_json_value(out, schema, value, shape->defaults, err);
    }
    if (!*none && shape->form == NW_KEY_STRING) {
        string_append(out, schema, value);
    } else if (!*none) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)((uint64_t)value->as.integer >> (56 - 8 * i));
        }
        nw_out_bytes(out, bytes + (shape->form == NW_KEY_LONG ? 0 : 4),
                     shape->form == NW_KEY_LONG ? 8 : 4);
    }
    return NW_OK;
}

/* One of several. @param first  filled: nothing stands in front of the next */
static nw_status field_append(const struct nw_key_shape *shape, struct nw_out *out, uint32_t field,
                              const struct nw_connect_value *value, bool *first,
                              struct nw_error *err)
{
    const struct nw_connect_field *of = &shape->fields[field];

    if (shape->form == NW_KEY_AVRO) {
        return avro_append(shape, out, field, value, err);
    }
    if (shape->form == NW_KEY_STRING && value->kind == NW_CONNECT_NULL) {
        return NW_OK;
    }
    nw_out_text(out, *first ? "" : ",");
    *first = false;
    if (shape->form == NW_KEY_STRING) {
        nw_out_text(out, of->name);
        nw_out_text(out, "=");
        string_append(out, of->schema, value);
        return NW_OK;
    }
    nw_json_name(out, of->name);
    nw_out_text(out, ":");
    return nw_connect_json_value(out, of->schema, value, shape->defaults, err);
}

static const char *const opening[] = {
    [NW_KEY_SAME] = "{",         [NW_KEY_JSON] = "{",   [NW_KEY_JSON_SCHEMAS] = "{",
    [NW_KEY_STRING] = "Struct{", [NW_KEY_INTEGER] = "", [NW_KEY_LONG] = "",
    [NW_KEY_AVRO] = ""};

static nw_status all_append(const struct nw_key_shape *shape, const struct nw_row *row, int side,
                            struct nw_out *out, struct nw_error *err)
{
    nw_status status = NW_OK;
    bool first = true;

    nw_out_text(out, opening[shape->form]);
    for (uint32_t i = 0; i < shape->count && status == NW_OK; i++) {
        struct nw_connect_value value;

        status = field_read(shape, row, side, i, &value, err);
        if (status == NW_OK) {
            status = field_append(shape, out, i, &value, &first, err);
        }
    }
    nw_out_text(out, opening[shape->form][0] == '\0' ? "" : "}");
    return status;
}

nw_status nw_key_shape_append(const struct nw_key_shape *shape, const struct nw_row *row, int side,
                              struct nw_out *out, bool *none, struct nw_error *err)
{
    bool json = shape->form <= NW_KEY_JSON_SCHEMAS;
    size_t start = out->used;
    nw_status status = NW_OK;

    *none = false;
    nw_out_bytes(out, shape->head.bytes, shape->head.used);
    if (shape->only < 0) {
        status = all_append(shape, row, side, out, err);
    } else {
        struct nw_connect_value value;

        status = field_read(shape, row, side, (uint32_t)shape->only, &value, err);
        if (status == NW_OK) {
            status = only_append(shape, out, &value, none, err);
        }
    }
    nw_out_text(out, shape->form == NW_KEY_JSON_SCHEMAS ? "}" : "");
    if (json) {
        nw_connect_json_jackson(out, start);
    }
    return status == NW_OK && out->failed ? no_memory(err) : status;
}
