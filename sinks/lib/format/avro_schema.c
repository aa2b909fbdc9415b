/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect's schemas as Avro's: see avro.h. The order of properties is that of AvroData and of
 * Avro's own Schema.toString(): registries compare texts.
 */
#include "lib/format/avro.h"

#include "lib/format/connect_json.h"
#include "lib/json.h"

#define NAMES_MAX         64u /* records of a schema that can be referred to */
#define NAMESPACE         "io.confluent.connect.avro"
#define DEFAULT_NAME      "ConnectDefault"
#define ENTRY_NAME        NAMESPACE ".MapEntry"
#define DECIMAL           "org.apache.kafka.connect.data.Decimal"
#define DECIMAL_PRECISION "connect.decimal.precision"
#define PRECISION_DEFAULT "64"

/* A record's name: borrowed from its schema. */
struct name {
    const char *space; /* "" : none */
    size_t space_size;
    const char *name;
};

struct printer {
    struct nw_out *out;
    struct name within; /* the record that is being printed; its namespace need not be said again */
    uint32_t names_count;
    struct name names[NAMES_MAX]; /* records that are printed already */
};

static void schema_print(struct printer *printer, const struct nw_connect_schema *schema,
                         bool optional);

static struct name name_split(const char *full)
{
    struct name name = {
        .space = NAMESPACE, .space_size = sizeof NAMESPACE - 1, .name = DEFAULT_NAME};
    const char *dot = full == NULL ? NULL : strrchr(full, '.');

    if (full != NULL) {
        name.space = dot == NULL ? "" : full;
        name.space_size = dot == NULL ? 0 : (size_t)(dot - full);
        name.name = dot == NULL ? full : dot + 1;
    }
    return name;
}

static bool same_space(const struct name *a, const struct name *b)
{
    return a->space_size == b->space_size && memcmp(a->space, b->space, a->space_size) == 0;
}

static bool is_printed(const struct printer *printer, const struct name *name)
{
    for (uint32_t i = 0; i < printer->names_count; i++) {
        if (same_space(name, &printer->names[i]) &&
            strcmp(name->name, printer->names[i].name) == 0) {
            return true;
        }
    }
    return false;
}

static void string_print(struct nw_out *out, const char *text)
{
    nw_json_name(out, text);
}

static void property(struct nw_out *out, const char *name)
{
    nw_out_text(out, ",\"");
    nw_out_text(out, name);
    nw_out_text(out, "\":");
}

/* Bytes as AvroData has them in a default: characters of the same number. */
static void latin_print(struct nw_out *out, const uint8_t *bytes, size_t size)
{
    nw_out_text(out, "\"");
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];

        if (byte < 0x20 || byte == '"' || byte == '\\') {
            static const char letters[] = "btn?fr";
            char escaped[7] = {'\\', (char)byte};

            if (byte >= '\b' && byte <= '\r' && byte != 0x0b) {
                escaped[1] = letters[byte - '\b'];
            } else if (byte < 0x20) {
                (void)snprintf(escaped, sizeof escaped, "\\u%04X", byte);
            }
            nw_out_text(out, escaped);
        } else if (byte < 0x80) {
            nw_out_bytes(out, &byte, 1);
        } else {
            const uint8_t two[2] = {(uint8_t)(0xc0 | byte >> 6), (uint8_t)(0x80 | (byte & 0x3f))};

            nw_out_bytes(out, two, sizeof two);
        }
    }
    nw_out_text(out, "\"");
}

static void fallback_print(struct nw_out *out, const struct nw_connect_schema *schema)
{
    const struct nw_connect_value *value = schema->fallback;

    switch (value->kind) {
    case NW_CONNECT_TRUTH:
        nw_out_text(out, value->as.boolean ? "true" : "false");
        break;
    case NW_CONNECT_INTEGER:
        nw_out_i64(out, value->as.integer);
        break;
    case NW_CONNECT_REAL:
        if (nw_out_reserve(out, NW_JAVA_REAL_MAX)) {
            out->used = (size_t)(nw_print_java_real(out->bytes + out->used, value->as.real,
                                                    schema->kind == NW_CONNECT_FLOAT32) -
                                 out->bytes);
        }
        break;
    case NW_CONNECT_TEXT:
        (void)nw_json_string(out, value->bytes, value->size, 0);
        break;
    case NW_CONNECT_BINARY:
        latin_print(out, value->bytes, value->size);
        break;
    case NW_CONNECT_NULL:
    case NW_CONNECT_NUMBER:
    case NW_CONNECT_PIECES:
    case NW_CONNECT_ITEMS:
        nw_out_text(out, "null");
        break;
    }
}

static const char *parameter(const struct nw_connect_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->parameters_count; i++) {
        if (strcmp(schema->parameters[i].name, name) == 0) {
            return schema->parameters[i].value;
        }
    }
    return NULL;
}

static bool is_decimal(const struct nw_connect_schema *schema)
{
    return schema->kind == NW_CONNECT_BYTES && schema->name != NULL &&
           strcmp(schema->name, DECIMAL) == 0;
}

/* Avro's own name of what Connect has a name for; NULL: none. */
static const char *logical_type(const struct nw_connect_schema *schema)
{
    static const struct {
        const char *name, *type;
    } types[] = {{DECIMAL, "decimal"},
                 {"org.apache.kafka.connect.data.Date", "date"},
                 {"org.apache.kafka.connect.data.Time", "time-millis"},
                 {"org.apache.kafka.connect.data.Timestamp", "timestamp-millis"}};

    for (size_t i = 0; schema->name != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(schema->name, types[i].name) == 0) {
            return types[i].type;
        }
    }
    return NULL;
}

/* Of integers that Avro has no type for. */
static const char *narrow_type(const struct nw_connect_schema *schema)
{
    return schema->kind == NW_CONNECT_INT8    ? "int8"
           : schema->kind == NW_CONNECT_INT16 ? "int16"
                                              : NULL;
}

static bool has_properties(const struct nw_connect_schema *schema)
{
    return schema->doc != NULL || schema->version > 0 || schema->parameters_count > 0 ||
           schema->fallback != NULL || schema->name != NULL || narrow_type(schema) != NULL;
}

static void properties_print(struct nw_out *out, const struct nw_connect_schema *schema)
{
    const char *logical = logical_type(schema);

    if (schema->doc != NULL) {
        property(out, "connect.doc");
        string_print(out, schema->doc);
    }
    if (schema->version > 0) {
        property(out, "connect.version");
        nw_out_u64(out, schema->version);
    }
    if (schema->parameters_count > 0) {
        property(out, "connect.parameters");
        for (uint32_t i = 0; i < schema->parameters_count; i++) {
            nw_out_text(out, i == 0 ? "{" : ",");
            string_print(out, schema->parameters[i].name);
            nw_out_text(out, ":");
            string_print(out, schema->parameters[i].value);
        }
        nw_out_text(out, "}");
    }
    if (schema->fallback != NULL) {
        property(out, "connect.default");
        fallback_print(out, schema);
    }
    if (schema->name != NULL) {
        property(out, "connect.name");
        string_print(out, schema->name);
    }
    if (narrow_type(schema) != NULL) {
        property(out, "connect.type");
        string_print(out, narrow_type(schema));
    }
    if (logical != NULL) {
        property(out, "logicalType");
        string_print(out, logical);
    }
}

static void decimal_print(struct nw_out *out, const struct nw_connect_schema *schema)
{
    const char *scale = parameter(schema, "scale");
    const char *precision = parameter(schema, DECIMAL_PRECISION);

    property(out, "scale");
    nw_out_text(out, scale == NULL ? "0" : scale);
    property(out, "precision");
    nw_out_text(out, precision == NULL ? PRECISION_DEFAULT : precision);
}

/* A record that came already is its name. */
static void name_print(struct printer *printer, const struct name *name)
{
    nw_out_text(printer->out, "\"");
    if (!same_space(name, &printer->within) && name->space_size > 0) {
        nw_out_bytes(printer->out, name->space, name->space_size);
        nw_out_text(printer->out, ".");
    }
    nw_out_text(printer->out, name->name);
    nw_out_text(printer->out, "\"");
}

static void record_print(struct printer *printer, const struct nw_connect_schema *schema,
                         const char *full)
{
    struct nw_out *out = printer->out;
    struct name name = name_split(full);
    struct name within = printer->within;

    if (is_printed(printer, &name)) {
        name_print(printer, &name);
        return;
    }
    if (printer->names_count < NAMES_MAX) {
        printer->names[printer->names_count++] = name;
    }
    nw_out_text(out, "{\"type\":\"record\",\"name\":");
    string_print(out, name.name);
    if (!same_space(&name, &within)) {
        property(out, "namespace");
        nw_out_text(out, "\"");
        nw_out_bytes(out, name.space, name.space_size);
        nw_out_text(out, "\"");
    }
    nw_out_text(out, ",\"fields\":[");
    printer->within = name;
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const struct nw_connect_field *field = &schema->fields[i];

        nw_out_text(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        string_print(out, field->name);
        property(out, "type");
        schema_print(printer, field->schema, field->schema->optional);
        if (field->schema->fallback != NULL) {
            property(out, "default");
            fallback_print(out, field->schema);
        } else if (field->schema->optional) {
            nw_out_text(out, ",\"default\":null");
        }
        nw_out_text(out, "}");
    }
    nw_out_text(out, "]");
    properties_print(out, schema);
    nw_out_text(out, "}");
    printer->within = within;
}

/* What stands in for a map that Avro has not: an array of its entries. */
static void entries_print(struct printer *printer, const struct nw_connect_schema *map)
{
    const struct nw_connect_field fields[] = {{"key", map->key}, {"value", map->element}};
    const struct nw_connect_schema entry = {
        .kind = NW_CONNECT_STRUCT, .fields = fields, .fields_count = 2};

    property(printer->out, "items");
    record_print(printer, &entry, ENTRY_NAME);
}

static void plain_print(struct printer *printer, const struct nw_connect_schema *schema)
{
    static const char *const types[] = {
        [NW_CONNECT_INT8] = "\"int\"",        [NW_CONNECT_INT16] = "\"int\"",
        [NW_CONNECT_INT32] = "\"int\"",       [NW_CONNECT_INT64] = "\"long\"",
        [NW_CONNECT_FLOAT32] = "\"float\"",   [NW_CONNECT_FLOAT64] = "\"double\"",
        [NW_CONNECT_BOOLEAN] = "\"boolean\"", [NW_CONNECT_STRING] = "\"string\"",
        [NW_CONNECT_BYTES] = "\"bytes\"",     [NW_CONNECT_ARRAY] = "\"array\"",
        [NW_CONNECT_MAP] = "\"map\"",         [NW_CONNECT_STRUCT] = "\"record\""};
    struct nw_out *out = printer->out;
    bool entries = schema->kind == NW_CONNECT_MAP && !nw_avro_is_map(schema);

    if (schema->element == NULL && !has_properties(schema)) {
        nw_out_text(out, types[schema->kind]);
        return;
    }
    nw_out_text(out, "{\"type\":");
    nw_out_text(out, types[entries ? NW_CONNECT_ARRAY : schema->kind]);
    if (entries) {
        entries_print(printer, schema);
    } else if (schema->element != NULL) {
        property(out, schema->kind == NW_CONNECT_MAP ? "values" : "items");
        schema_print(printer, schema->element, schema->element->optional);
    }
    if (is_decimal(schema)) {
        decimal_print(out, schema);
    }
    properties_print(out, schema);
    nw_out_text(out, "}");
}

static void schema_print(struct printer *printer, const struct nw_connect_schema *schema,
                         bool optional)
{
    bool record = schema->kind == NW_CONNECT_STRUCT;
    bool null_first = schema->fallback == NULL || record;

    if (optional) {
        nw_out_text(printer->out, null_first ? "[\"null\"," : "[");
    }
    if (record) {
        record_print(printer, schema, schema->name);
    } else {
        plain_print(printer, schema);
    }
    if (optional) {
        nw_out_text(printer->out, null_first ? "]" : ",\"null\"]");
    }
}

void nw_avro_schema(struct nw_out *out, const struct nw_connect_schema *schema)
{
    struct printer printer = {.out = out, .within = {.space = "", .name = ""}};

    schema_print(&printer, schema, schema->optional);
}
