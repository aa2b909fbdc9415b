/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which schema and which conversion a column's type has: see connect.h. Stateless.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect_family.h"
#include "lib/format/connect_parts.h"

#define TYPMOD_HEADER  4
#define BITS_UNBOUNDED 2147483647 /* what the JDBC driver says of bit varying without a length */
#define FRACTION_MAX   6

#define SCALE_PARAMETER     "scale"
#define PRECISION_PARAMETER "connect.decimal.precision"

struct maker {
    struct nw_pool *pool;
    const struct nw_connect_options *options;
    const struct nw_column_schema *column;
    const char *const *labels; /* of an enum, or of the items of an array of one */
    bool optional;             /* of what is made next */
};

/* ---- schemas ---- */

static struct nw_connect_schema *schema_make(struct maker *m, enum nw_connect_kind kind,
                                             const char *name)
{
    struct nw_connect_schema *schema = nw_pool_get(m->pool, sizeof *schema);

    if (schema != NULL) {
        schema->kind = kind;
        schema->optional = m->optional;
        schema->name = name;
        schema->version = name == NULL ? 0 : 1;
    }
    return schema;
}

static void parameter_add(struct maker *m, struct nw_connect_schema *schema, const char *name,
                          const char *value)
{
    struct nw_connect_parameter *parameters =
        nw_pool_get(m->pool, (schema->parameters_count + 1u) * sizeof *parameters);

    if (parameters == NULL) {
        return;
    }
    if (schema->parameters_count > 0) {
        memcpy(parameters, schema->parameters, schema->parameters_count * sizeof *parameters);
    }
    parameters[schema->parameters_count++] = (struct nw_connect_parameter){name, value};
    schema->parameters = parameters;
}

static void parameter_number(struct maker *m, struct nw_connect_schema *schema, const char *name,
                             int value)
{
    char text[16];
    int size = snprintf(text, sizeof text, "%d", value);

    parameter_add(m, schema, name, nw_pool_text(m->pool, text, (size_t)size));
}

/* A scalar inside a struct. */
static const struct nw_connect_schema *inner(struct maker *m, enum nw_connect_kind kind,
                                             bool optional)
{
    struct maker other = *m;

    other.optional = optional;
    return schema_make(&other, kind, NULL);
}

static struct nw_connect_schema *struct_make(struct maker *m, const char *name, const char *doc,
                                             const struct nw_connect_field *fields, uint32_t count)
{
    struct nw_connect_schema *schema = schema_make(m, NW_CONNECT_STRUCT, name);
    struct nw_connect_field *kept = nw_pool_get(m->pool, count * sizeof *kept);

    if (schema != NULL && kept != NULL) {
        memcpy(kept, fields, count * sizeof *kept);
        schema->doc = doc;
        schema->fields = kept;
        schema->fields_count = count;
    }
    return schema;
}

static struct nw_connect_schema *map_make(struct maker *m, bool values_optional)
{
    struct nw_connect_schema *schema = schema_make(m, NW_CONNECT_MAP, NULL);

    if (schema != NULL) {
        schema->key = inner(m, NW_CONNECT_STRING, false);
        schema->element = inner(m, NW_CONNECT_STRING, values_optional);
    }
    return schema;
}

static struct nw_connect_schema *point_make(struct maker *m)
{
    const struct nw_connect_field fields[] = {{"x", inner(m, NW_CONNECT_FLOAT64, false)},
                                              {"y", inner(m, NW_CONNECT_FLOAT64, false)},
                                              {"wkb", inner(m, NW_CONNECT_BYTES, true)},
                                              {"srid", inner(m, NW_CONNECT_INT32, true)}};

    return struct_make(m, "io.debezium.data.geometry.Point", "Geometry (POINT)", fields, 4);
}

/* These are optional whether the column is or not. */
static struct nw_connect_schema *circle_make(struct maker *m)
{
    struct maker required = *m;

    required.optional = false;
    const struct nw_connect_field fields[] = {{"center", point_make(&required)},
                                              {"radius", inner(m, NW_CONNECT_FLOAT64, false)}};

    return struct_make(m, "io.debezium.data.geometry.Circle", "Geometry (CIRCLE)", fields, 2);
}

static struct nw_connect_schema *line_make(struct maker *m)
{
    const struct nw_connect_field fields[] = {{"a", inner(m, NW_CONNECT_FLOAT64, false)},
                                              {"b", inner(m, NW_CONNECT_FLOAT64, false)},
                                              {"c", inner(m, NW_CONNECT_FLOAT64, false)}};

    return struct_make(m, "io.debezium.data.geometry.Line", "Geometry (LINE)", fields, 3);
}

static struct nw_connect_schema *wkb_make(struct maker *m, bool sphere)
{
    const struct nw_connect_field fields[] = {{"wkb", inner(m, NW_CONNECT_BYTES, false)},
                                              {"srid", inner(m, NW_CONNECT_INT32, true)},
                                              {"extensions", map_make(m, false)}};
    struct nw_connect_schema *schema = struct_make(
        m, sphere ? "io.debezium.data.geometry.Geography" : "io.debezium.data.geometry.Geometry",
        sphere ? "Geography" : "Geometry", fields, sphere ? 2 : 3);

    if (schema != NULL) {
        schema->version = sphere ? 1 : 2;
    }
    return schema;
}

/* These are optional whether the column is or not. */
static struct nw_connect_schema *shape_make(struct maker *m, enum nw_family family)
{
    struct maker optional = *m;

    optional.optional = true;
    return family == NW_FAMILY_CIRCLE ? circle_make(&optional)
           : family == NW_FAMILY_LINE ? line_make(&optional)
                                      : wkb_make(&optional, family == NW_FAMILY_GEOGRAPHY);
}

static struct nw_connect_schema *sparse_make(struct maker *m)
{
    struct nw_connect_schema *map;
    struct nw_connect_field fields[2] = {{"dimensions", inner(m, NW_CONNECT_INT16, false)},
                                         {"vector", NULL}};
    struct maker required = *m;

    required.optional = false;
    map = schema_make(&required, NW_CONNECT_MAP, NULL);
    if (map != NULL) {
        map->key = inner(m, NW_CONNECT_INT16, false);
        map->element = inner(m, NW_CONNECT_FLOAT64, false);
    }
    fields[1].schema = map;
    return struct_make(m, "io.debezium.data.SparseDoubleVector", "Sparse double vector", fields, 2);
}

/* ---- forms ---- */

static struct nw_form simple(struct maker *m, enum nw_how how, enum nw_connect_kind kind,
                             const char *name)
{
    return (struct nw_form){.how = how, .schema = schema_make(m, kind, name)};
}

static struct nw_form enum_form(struct maker *m)
{
    struct nw_connect_schema *schema = schema_make(m, NW_CONNECT_STRING, "io.debezium.data.Enum");
    struct nw_out allowed = {0};

    for (size_t i = 0; m->labels[i] != NULL; i++) {
        nw_out_text(&allowed, i == 0 ? "" : ",");
        nw_out_text(&allowed, m->labels[i]);
    }
    if (schema != NULL && !allowed.failed) {
        parameter_add(m, schema, "allowed", nw_pool_text(m->pool, allowed.bytes, allowed.used));
    }
    m->pool->failed |= allowed.failed;
    nw_out_fini(&allowed);
    return (struct nw_form){.how = NW_HOW_TEXT, .schema = schema};
}

static struct nw_form binary_form(struct maker *m, bool bytea)
{
    struct nw_form form = simple(
        m, NW_HOW_BINARY,
        m->options->binaries == NW_BINARIES_BYTES ? NW_CONNECT_BYTES : NW_CONNECT_STRING, NULL);

    form.binaries = m->options->binaries;
    form.bytea = bytea;
    return form;
}

static struct nw_connect_schema *decimal_schema(struct maker *m, int scale)
{
    struct nw_connect_schema *schema =
        schema_make(m, NW_CONNECT_BYTES, "org.apache.kafka.connect.data.Decimal");

    if (schema != NULL) {
        parameter_number(m, schema, SCALE_PARAMETER, scale);
    }
    return schema;
}

/* numeric(p,s): p in the upper 16 bits, s below it in two's complement of 11 bits
 * (src/backend/utils/adt/numeric.c, make_numeric_typmod). Without them the scale is each value's.
 */
static struct nw_form numeric_form(struct maker *m)
{
    int32_t packed = m->column->typmod - TYPMOD_HEADER;
    int precision = packed >> 16 & 0xffff;
    int scale = ((packed & 0x7ff) ^ 1024) - 1024;
    struct nw_form form = {.how = NW_HOW_VARIABLE};

    if (m->options->decimals != NW_DECIMALS_PRECISE) {
        form = m->options->decimals == NW_DECIMALS_DOUBLE
                   ? simple(m, NW_HOW_DECIMAL_REAL, NW_CONNECT_FLOAT64, NULL)
                   : simple(m, NW_HOW_DECIMAL_TEXT, NW_CONNECT_STRING, NULL);
        form.scale = m->column->typmod < TYPMOD_HEADER || scale < 0 ? 0 : (uint16_t)scale;
        return form;
    }
    if (m->column->typmod < TYPMOD_HEADER) {
        const struct nw_connect_field fields[] = {{"scale", inner(m, NW_CONNECT_INT32, false)},
                                                  {"value", inner(m, NW_CONNECT_BYTES, false)}};

        form.schema = struct_make(m, "io.debezium.data.VariableScaleDecimal",
                                  "Variable scaled decimal", fields, 2);
        return form;
    }
    if (scale < 0) { /* digits before the point that are always zero are written */
        precision -= scale;
        scale = 0;
    }
    {
        struct nw_connect_schema *schema = decimal_schema(m, scale);

        if (schema != NULL) {
            parameter_number(m, schema, PRECISION_PARAMETER, precision);
        }
        return (struct nw_form){.how = NW_HOW_DECIMAL, .schema = schema, .scale = (uint16_t)scale};
    }
}

static struct nw_form money_form(struct maker *m)
{
    struct nw_form form = {.how = NW_HOW_MONEY, .scale = m->options->money_digits};

    if (m->options->decimals == NW_DECIMALS_DOUBLE) {
        form.money = NW_HOW_DECIMAL_REAL;
        form.schema = schema_make(m, NW_CONNECT_FLOAT64, NULL);
    } else if (m->options->decimals == NW_DECIMALS_STRING) {
        form.money = NW_HOW_DECIMAL_TEXT;
        form.schema = schema_make(m, NW_CONNECT_STRING, NULL);
    } else {
        form.money = NW_HOW_DECIMAL;
        form.schema = decimal_schema(m, form.scale);
    }
    return form;
}

static int fraction_of(const struct nw_column_schema *column)
{
    return column->typmod < 0 ? FRACTION_MAX : column->typmod;
}

static struct nw_form date_form(struct maker *m)
{
    switch (m->options->times) {
    case NW_TIMES_ISOSTRING:
        return simple(m, NW_HOW_DATE_ISO, NW_CONNECT_STRING, "io.debezium.time.IsoDate");
    case NW_TIMES_CONNECT:
        return simple(m, NW_HOW_DATE, NW_CONNECT_INT32, "org.apache.kafka.connect.data.Date");
    case NW_TIMES_ADAPTIVE:
    case NW_TIMES_ADAPTIVE_MICROSECONDS:
    case NW_TIMES_MICROSECONDS:
    case NW_TIMES_NANOSECONDS:
    case NW_TIMES_STRUCTURED:
        break;
    }
    return simple(m, NW_HOW_DATE, NW_CONNECT_INT32, "io.debezium.time.Date");
}

static struct nw_form in_unit(struct maker *m, enum nw_how how, enum nw_unit unit,
                              enum nw_connect_kind kind, const char *name)
{
    struct nw_form form = simple(m, how, kind, name);

    form.unit = unit;
    return form;
}

static struct nw_form time_form(struct maker *m)
{
    enum nw_connect_times times = m->options->times;

    if (times == NW_TIMES_ISOSTRING) {
        return simple(m, NW_HOW_TIME_ISO, NW_CONNECT_STRING, "io.debezium.time.IsoTime");
    }
    if (times == NW_TIMES_CONNECT) {
        return in_unit(m, NW_HOW_TIME, NW_UNIT_MILLI, NW_CONNECT_INT32,
                       "org.apache.kafka.connect.data.Time");
    }
    if (times == NW_TIMES_NANOSECONDS) {
        return in_unit(m, NW_HOW_TIME, NW_UNIT_NANO, NW_CONNECT_INT64, "io.debezium.time.NanoTime");
    }
    if (times == NW_TIMES_ADAPTIVE && fraction_of(m->column) <= 3) {
        return in_unit(m, NW_HOW_TIME, NW_UNIT_MILLI, NW_CONNECT_INT32, "io.debezium.time.Time");
    }
    return in_unit(m, NW_HOW_TIME, NW_UNIT_MICRO, NW_CONNECT_INT64, "io.debezium.time.MicroTime");
}

static struct nw_form stamp_form(struct maker *m)
{
    enum nw_connect_times times = m->options->times;
    bool adaptive = times == NW_TIMES_ADAPTIVE || times == NW_TIMES_ADAPTIVE_MICROSECONDS;

    if (times == NW_TIMES_ISOSTRING) {
        return simple(m, NW_HOW_STAMP_ISO, NW_CONNECT_STRING, "io.debezium.time.IsoTimestamp");
    }
    if (times == NW_TIMES_CONNECT) {
        return in_unit(m, NW_HOW_STAMP, NW_UNIT_MILLI, NW_CONNECT_INT64,
                       "org.apache.kafka.connect.data.Timestamp");
    }
    if (times == NW_TIMES_NANOSECONDS) {
        return in_unit(m, NW_HOW_STAMP, NW_UNIT_NANO, NW_CONNECT_INT64,
                       "io.debezium.time.NanoTimestamp");
    }
    if (adaptive && fraction_of(m->column) <= 3) {
        return in_unit(m, NW_HOW_STAMP, NW_UNIT_MILLI, NW_CONNECT_INT64,
                       "io.debezium.time.Timestamp");
    }
    return in_unit(m, NW_HOW_STAMP, NW_UNIT_MICRO, NW_CONNECT_INT64,
                   "io.debezium.time.MicroTimestamp");
}

static struct nw_form bits_form(struct maker *m, int length)
{
    struct nw_connect_schema *schema;

    if (length == 1) {
        return simple(m, NW_HOW_BIT, NW_CONNECT_BOOLEAN, NULL);
    }
    schema = schema_make(m, NW_CONNECT_BYTES, "io.debezium.data.Bits");
    if (schema != NULL) {
        parameter_number(m, schema, "length", length);
    }
    return (struct nw_form){.how = NW_HOW_BITS, .schema = schema};
}

static struct nw_form vector_form(struct maker *m, enum nw_connect_kind kind, const char *name)
{
    struct nw_connect_schema *schema = schema_make(m, NW_CONNECT_ARRAY, name);

    if (schema != NULL) {
        schema->element = inner(m, kind, false);
    }
    return (struct nw_form){.how = NW_HOW_VECTOR, .schema = schema};
}

static struct nw_form hstore_form(struct maker *m)
{
    if (m->options->hstores == NW_HSTORES_JSON) {
        return simple(m, NW_HOW_HSTORE_JSON, NW_CONNECT_STRING, "io.debezium.data.Json");
    }
    return (struct nw_form){.how = NW_HOW_HSTORE_MAP, .schema = map_make(m, true)};
}

static struct nw_form unknown_form(struct maker *m)
{
    if (m->options->unknown == NW_UNKNOWN_OMIT) {
        return (struct nw_form){.how = NW_HOW_OMIT};
    }
    return m->options->unknown == NW_UNKNOWN_TEXT ? simple(m, NW_HOW_TEXT, NW_CONNECT_STRING, NULL)
                                                  : binary_form(m, false);
}

static struct nw_form geometric_form(struct maker *m, enum nw_family family)
{
    static const enum nw_how hows[] = {
        [NW_FAMILY_LSEG] = NW_HOW_LSEG,     [NW_FAMILY_BOX] = NW_HOW_BOX,
        [NW_FAMILY_PATH] = NW_HOW_PATH,     [NW_FAMILY_POLYGON] = NW_HOW_POLYGON,
        [NW_FAMILY_CIRCLE] = NW_HOW_CIRCLE, [NW_FAMILY_LINE] = NW_HOW_LINE,
        [NW_FAMILY_GEOMETRY] = NW_HOW_EWKB, [NW_FAMILY_GEOGRAPHY] = NW_HOW_EWKB,
    };

    if (family == NW_FAMILY_POINT) {
        return (struct nw_form){.how = NW_HOW_POINT, .schema = point_make(m)};
    }
    return (struct nw_form){.how = hows[family], .schema = shape_make(m, family)};
}

static struct nw_form stampz_form(struct maker *m)
{
    struct nw_form form =
        simple(m, NW_HOW_STAMP_ZONED, NW_CONNECT_STRING, "io.debezium.time.ZonedTimestamp");

    form.fraction = (uint8_t)fraction_of(m->column);
    return form;
}

static struct nw_form text_form(struct maker *m, enum nw_family family)
{
    static const char *const semantic[] = {
        [NW_FAMILY_JSON] = "io.debezium.data.Json",
        [NW_FAMILY_XML] = "io.debezium.data.Xml",
        [NW_FAMILY_UUID] = "io.debezium.data.Uuid",
        [NW_FAMILY_TSVECTOR] = "io.debezium.data.Tsvector",
        [NW_FAMILY_LTREE] = "io.debezium.data.Ltree",
    };

    return simple(m, family == NW_FAMILY_UUID ? NW_HOW_UUID : NW_HOW_TEXT, NW_CONNECT_STRING,
                  family == NW_FAMILY_STRING ? NULL : semantic[family]);
}

static struct nw_form number_form(struct maker *m, enum nw_family family)
{
    static const enum nw_connect_kind kinds[] = {
        [NW_FAMILY_INT16] = NW_CONNECT_INT16,     [NW_FAMILY_INT32] = NW_CONNECT_INT32,
        [NW_FAMILY_INT64] = NW_CONNECT_INT64,     [NW_FAMILY_FLOAT32] = NW_CONNECT_FLOAT32,
        [NW_FAMILY_FLOAT64] = NW_CONNECT_FLOAT64,
    };

    return simple(m, family >= NW_FAMILY_FLOAT32 ? NW_HOW_REAL : NW_HOW_INTEGER, kinds[family],
                  NULL);
}

static struct nw_form interval_form(struct maker *m)
{
    return m->options->intervals == NW_INTERVALS_STRING
               ? simple(m, NW_HOW_INTERVAL_ISO, NW_CONNECT_STRING, "io.debezium.time.Interval")
               : simple(m, NW_HOW_INTERVAL, NW_CONNECT_INT64, "io.debezium.time.MicroDuration");
}

static struct nw_form boolean_form(struct maker *m)
{
    return simple(m, NW_HOW_BOOLEAN, NW_CONNECT_BOOLEAN, NULL);
}

static struct nw_form bytea_form(struct maker *m)
{
    return binary_form(m, true);
}

static struct nw_form timez_form(struct maker *m)
{
    return simple(m, NW_HOW_TIME_ZONED, NW_CONNECT_STRING, "io.debezium.time.ZonedTime");
}

static struct nw_form bit_form(struct maker *m)
{
    return bits_form(m, m->column->typmod < 1 ? 1 : m->column->typmod);
}

static struct nw_form varbit_form(struct maker *m)
{
    return bits_form(m, m->column->typmod < 1 ? BITS_UNBOUNDED : m->column->typmod);
}

static struct nw_form double_vector_form(struct maker *m)
{
    return vector_form(m, NW_CONNECT_FLOAT64, "io.debezium.data.DoubleVector");
}

static struct nw_form float_vector_form(struct maker *m)
{
    return vector_form(m, NW_CONNECT_FLOAT32, "io.debezium.data.FloatVector");
}

static struct nw_form sparse_form(struct maker *m)
{
    return (struct nw_form){.how = NW_HOW_SPARSE_VECTOR, .schema = sparse_make(m)};
}

/* `times: structured`; NW_HOW_OMIT: it has no parts. */
static enum nw_how parts_how(const struct maker *m, enum nw_family family)
{
    static const enum nw_how hows[] = {
        [NW_FAMILY_DATE] = NW_HOW_DATE_PARTS,
        [NW_FAMILY_TIME] = NW_HOW_TIME_PARTS,
        [NW_FAMILY_TIMESTAMP] = NW_HOW_STAMP_PARTS,
        [NW_FAMILY_TIMESTAMPTZ] = NW_HOW_STAMP_ZONED_PARTS,
        [NW_FAMILY_TIMETZ] = NW_HOW_TIME_ZONED_PARTS,
        [NW_FAMILY_INTERVAL] = NW_HOW_INTERVAL_PARTS,
    };

    return m->options->times == NW_TIMES_STRUCTURED && family <= NW_FAMILY_INTERVAL ? hows[family]
                                                                                    : NW_HOW_OMIT;
}

static struct nw_form scalar_form(struct maker *m, enum nw_family family)
{
    static struct nw_form (*const forms[])(struct maker *) = {
        [NW_FAMILY_UNKNOWN] = unknown_form,
        [NW_FAMILY_BOOLEAN] = boolean_form,
        [NW_FAMILY_ENUM] = enum_form,
        [NW_FAMILY_BYTEA] = bytea_form,
        [NW_FAMILY_NUMERIC] = numeric_form,
        [NW_FAMILY_MONEY] = money_form,
        [NW_FAMILY_DATE] = date_form,
        [NW_FAMILY_TIME] = time_form,
        [NW_FAMILY_TIMESTAMP] = stamp_form,
        [NW_FAMILY_TIMESTAMPTZ] = stampz_form,
        [NW_FAMILY_TIMETZ] = timez_form,
        [NW_FAMILY_INTERVAL] = interval_form,
        [NW_FAMILY_BIT] = bit_form,
        [NW_FAMILY_VARBIT] = varbit_form,
        [NW_FAMILY_HSTORE] = hstore_form,
        [NW_FAMILY_VECTOR] = double_vector_form,
        [NW_FAMILY_HALFVEC] = float_vector_form,
        [NW_FAMILY_SPARSEVEC] = sparse_form,
    };

    if (parts_how(m, family) != NW_HOW_OMIT) {
        return nw_parts_form(m->pool, parts_how(m, family), m->column, m->optional);
    }
    if (family >= NW_FAMILY_INT16 && family <= NW_FAMILY_FLOAT64) {
        return number_form(m, family);
    }
    if (family >= NW_FAMILY_STRING && family <= NW_FAMILY_LTREE) {
        return text_form(m, family);
    }
    return forms[family] == NULL ? geometric_form(m, family) : forms[family](m);
}

/* The placeholder of a scalar. Numbers and their kin are never stored out of line. */
static enum nw_placeholder scalar_placeholder(const struct nw_form *form)
{
    bool bytes = form->schema != NULL && form->schema->kind == NW_CONNECT_BYTES;

    if (form->how == NW_HOW_HSTORE_JSON || form->how == NW_HOW_HSTORE_MAP) {
        return NW_PLACEHOLDER_PAIR;
    }
    if (form->how == NW_HOW_BINARY) {
        return bytes ? NW_PLACEHOLDER_BYTES : NW_PLACEHOLDER_TEXT;
    }
    return form->how == NW_HOW_TEXT || form->how == NW_HOW_DECIMAL_TEXT ? NW_PLACEHOLDER_TEXT
                                                                        : NW_PLACEHOLDER_NONE;
}

/* Debezium has no placeholder for items that are strings, structs, or Connect's Date, where the
 * array of the type has one of numbers or bytes. */
static bool array_placeholder_fits(enum nw_family family, const struct nw_connect_options *options)
{
    return family == NW_FAMILY_DATE
               ? options->times != NW_TIMES_ISOSTRING && options->times != NW_TIMES_CONNECT &&
                     options->times != NW_TIMES_STRUCTURED
               : family != NW_FAMILY_BYTEA || options->binaries == NW_BINARIES_BYTES;
}

void nw_form_of(struct nw_pool *pool, const struct nw_table *table, uint16_t index,
                const struct nw_connect_options *options, struct nw_connect_column *to)
{
    const struct nw_column_schema *column = &table->columns[index];
    struct maker m = {
        .pool = pool, .options = options, .column = column, .labels = column->enum_labels};
    bool array;
    enum nw_family family = nw_family_of(table, index, &array, &to->placeholder);

    to->not_null = column->not_null;
    m.optional = !column->not_null;
    if (array && (family != NW_FAMILY_UNKNOWN || options->unknown != NW_UNKNOWN_OMIT)) {
        struct nw_connect_schema *schema = schema_make(&m, NW_CONNECT_ARRAY, NULL);

        m.optional = nw_family_items_optional(family);
        m.labels = nw_table_item_labels(table, index);
        to->element = scalar_form(&m, family);
        to->delimiter = nw_family_delimiter(family);
        if (!array_placeholder_fits(family, options)) {
            to->placeholder = NW_PLACEHOLDER_NONE;
        }
        if (schema != NULL) {
            schema->element = to->element.schema;
        }
        to->form = (struct nw_form){.how = NW_HOW_ARRAY, .schema = schema};
        return;
    }
    to->form = scalar_form(&m, family);
    to->placeholder = scalar_placeholder(&to->form);
}
