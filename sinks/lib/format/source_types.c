/* SPDX-License-Identifier: Apache-2.0 */
/* See source_types.h. Types of PostgreSQL itself: src/include/catalog/pg_type.dat, 14 to 18. */
#include "lib/format/source_types.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME_SIZE    512u
#define FULL_SIZE    2048u
#define ADDED        4u
#define UNBOUNDED    2147483647 /* what the driver says of a type without a length */
#define NONE         (-1)
#define HEADER       4      /* of a typmod */
#define SCALE_MASK   0xffff /* of numeric's and interval's */
#define FRACTION_MAX 6

/* ---- which columns ---- */

static const char *list_make(const char *const *items, struct nw_regex **made, uint32_t *count,
                             char *why, size_t why_size)
{
    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        if (*count == NW_SOURCE_TYPES_MAX) {
            (void)snprintf(why, why_size, "there are more than %u", NW_SOURCE_TYPES_MAX);
            return items[i];
        }
        made[*count] = nw_regex_create_folded(items[i], why, why_size);
        if (made[*count] == NULL) {
            return items[i];
        }
        ++*count;
    }
    return NULL;
}

const char *nw_source_types_init(struct nw_source_types *made, const char *const *columns,
                                 const char *const *types, char *why, size_t why_size)
{
    const char *wrong = NULL;

    made->columns_count = made->types_count = 0;
    wrong = list_make(columns, made->columns, &made->columns_count, why, why_size);
    return wrong != NULL ? wrong : list_make(types, made->types, &made->types_count, why, why_size);
}

void nw_source_types_fini(struct nw_source_types *types)
{
    for (uint32_t i = 0; i < types->columns_count; i++) {
        nw_regex_destroy(types->columns[i]);
    }
    for (uint32_t i = 0; i < types->types_count; i++) {
        nw_regex_destroy(types->types[i]);
    }
    types->columns_count = types->types_count = 0;
}

static bool any_matches(struct nw_regex *const *list, uint32_t count, const struct nw_table *table,
                        const char *last)
{
    char name[FULL_SIZE];
    char nothing[1];

    (void)snprintf(name, sizeof name, "%s.%s.%s", table->schema_name, table->name, last);
    for (uint32_t i = 0; i < count; i++) {
        if (nw_regex_replace(list[i], name, nothing, sizeof nothing) != NW_REGEX_OTHER) {
            return true;
        }
    }
    return false;
}

/* ---- the type's name, pg_type.typname ---- */

/* Those that format_type() says otherwise. @param said  without [] and what is in brackets */
static const char *internal_name(const char *said)
{
    static const char *const names[][2] = {{"boolean", "bool"},
                                           {"smallint", "int2"},
                                           {"integer", "int4"},
                                           {"bigint", "int8"},
                                           {"real", "float4"},
                                           {"double precision", "float8"},
                                           {"character varying", "varchar"},
                                           {"character", "bpchar"},
                                           {"bit varying", "varbit"},
                                           {"time without time zone", "time"},
                                           {"time with time zone", "timetz"},
                                           {"timestamp without time zone", "timestamp"},
                                           {"timestamp with time zone", "timestamptz"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i][0], said) == 0) {
            return names[i][1];
        }
    }
    return strncmp(said, "interval ", strlen("interval ")) == 0 ? "interval" : said;
}

/* How much deeper it goes behind this. */
static int bracket(char c)
{
    return (c == '(' || c == '[') - (c == ')' || c == ']');
}

/* A name without its schema, quotes, length and []: "timestamp(3) without time zone" is
 * "timestamp without time zone". @param quoted  filled: it is no name of the standard's */
static void plain_name(const char *said, char name[static NAME_SIZE], bool *quoted)
{
    bool inside = false;
    int depth = 0;
    size_t size = 0;

    *quoted = false;
    for (const char *at = said; *at != '\0' && size < NAME_SIZE - 1; at++) {
        if (*at == '"' && inside && at[1] == '"') {
            name[size++] = *at++;
        } else if (*at == '"') {
            inside = !inside;
            *quoted = true;
        } else if (!inside && *at == '.') {
            size = 0;
        } else if (!inside && bracket(*at) != 0) {
            depth += bracket(*at);
        } else if (inside || depth == 0) {
            name[size++] = *at;
        }
    }
    name[size] = '\0';
}

static bool ends(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* The driver's word for a number that a sequence gives; NULL: it is none. */
static const char *serial_name(const struct nw_column_schema *column)
{
    if (column->default_expr == NULL || strstr(column->default_expr, "nextval(") == NULL) {
        return NULL;
    }
    return column->type_oid == 23   ? "serial"
           : column->type_oid == 20 ? "bigserial"
           : column->type_oid == 21 ? "smallserial"
                                    : NULL;
}

static void type_name(const struct nw_column_schema *column, char name[static NAME_SIZE])
{
    const char *serial = serial_name(column);
    char plain[NAME_SIZE];
    bool quoted = false;

    plain_name(column->type_name, plain, &quoted);
    (void)snprintf(name, NAME_SIZE, "%s%.500s",
                   serial == NULL && ends(column->type_name, "[]") ? "_" : "",
                   serial != NULL ? serial
                   : quoted       ? plain
                                  : internal_name(plain));
}

/* ---- length and scale, below all domains ---- */

struct measure {
    int64_t length, scale; /* NONE: there is none */
};

static int64_t digits_of(int32_t typmod)
{
    return typmod < 0 ? FRACTION_MAX : typmod;
}

/* Of the text behind the seconds, with its point: the driver counts two digits where there is one.
 */
static int64_t fraction_size(int32_t typmod)
{
    int64_t digits = digits_of(typmod);

    return digits == 0 ? 0 : digits == 1 ? 3 : digits + 1;
}

static struct measure numeric_measure(int32_t typmod)
{
    return typmod < HEADER ? (struct measure){131089, 0}
                           : (struct measure){(typmod - HEADER) >> 16 & SCALE_MASK,
                                              (typmod - HEADER) & SCALE_MASK};
}

static struct measure sized(int64_t length)
{
    return (struct measure){length, 0};
}

static struct measure timed(int64_t before, int32_t typmod)
{
    return (struct measure){before + fraction_size(typmod), digits_of(typmod)};
}

enum how { FIXED, NUMERIC, LENGTH, BITS, TIMED, INTERVAL };

/* Types that have another length than UNBOUNDED, and their arrays, which are measured as their
 * items are. */
static const struct {
    uint32_t oid, array;
    enum how how;
    struct measure measure; /* TIMED: its length is that of what is before the fraction */
} measures[] = {
    {16, 1000, FIXED, {1, 0}},                                     /* bool */
    {18, 1002, FIXED, {1, 0}},                                     /* "char" */
    {20, 1016, FIXED, {19, 0}},                                    /* int8 */
    {21, 1005, FIXED, {5, 0}},                                     /* int2 */
    {23, 1007, FIXED, {10, 0}},                                    /* int4 */
    {26, 1028, FIXED, {10, 0}},                                    /* oid */
    {700, 1021, FIXED, {8, 8}},                                    /* float4 */
    {701, 1022, FIXED, {17, 17}},                                  /* float8 */
    {1042, 1014, LENGTH, {0, 0}},                                  /* bpchar */
    {1043, 1015, LENGTH, {0, 0}},                                  /* varchar */
    {1082, 1182, FIXED, {13, 0}},                                  /* date */
    {1083, 1183, TIMED, {8, 0}},                                   /* time */
    {1114, 1115, TIMED, {22, 0}},                                  /* timestamp */
    {1184, 1185, TIMED, {28, 0}},                                  /* timestamptz */
    {1186, 1187, INTERVAL, {49, 0}}, {1266, 1270, TIMED, {14, 0}}, /* timetz */
    {1560, 1561, BITS, {0, 0}},                                    /* bit */
    {1562, 1563, BITS, {0, 0}},                                    /* varbit */
    {1700, 1231, NUMERIC, {0, 0}},
};

static struct measure measure_of(uint32_t oid, int32_t typmod)
{
    size_t i = 0;

    while (i < sizeof measures / sizeof measures[0] && measures[i].oid != oid &&
           measures[i].array != oid) {
        i++;
    }
    if (i == sizeof measures / sizeof measures[0]) {
        return sized(UNBOUNDED);
    }
    switch (measures[i].how) {
    case FIXED:
        break;
    case NUMERIC:
        return numeric_measure(typmod);
    case LENGTH:
        return sized(typmod < HEADER ? UNBOUNDED : typmod - HEADER);
    case BITS:
        return sized(typmod < 0 ? UNBOUNDED : typmod);
    case TIMED:
        return timed(measures[i].measure.length, typmod);
    case INTERVAL:
        return (struct measure){measures[i].measure.length,
                                typmod < 0 ? FRACTION_MAX : typmod & SCALE_MASK};
    }
    return measures[i].measure;
}

/* pgvector's types have their dimension, or none. */
static bool is_vector(const char *name)
{
    return strcmp(name, "vector") == 0 || strcmp(name, "halfvec") == 0 ||
           strcmp(name, "sparsevec") == 0;
}

/* ---- the parameters ---- */

static void number_add(struct nw_pool *pool, struct nw_connect_parameter *to, const char *name,
                       int64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, number);

    *to = (struct nw_connect_parameter){name, nw_pool_text(pool, text, (size_t)size)};
}

/* @param to  room for ADDED. @return how many */
static uint32_t parameters_fill(struct nw_pool *pool, const struct nw_column_schema *column,
                                char *name, struct nw_connect_parameter *to)
{
    struct measure measure = measure_of(column->base_type_oid, column->typmod);
    uint32_t count = 0;

    if (is_vector(name)) {
        measure.length = column->typmod > 0 ? column->typmod : NONE;
    }
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    to[count++] = (struct nw_connect_parameter){"__debezium.source.column.type",
                                                nw_pool_text(pool, name, strlen(name))};
    if (measure.length != NONE) {
        number_add(pool, &to[count++], "__debezium.source.column.length", measure.length);
    }
    number_add(pool, &to[count++], "__debezium.source.column.scale", measure.scale);
    to[count++] = (struct nw_connect_parameter){
        "__debezium.source.column.name", nw_pool_text(pool, column->name, strlen(column->name))};
    return count;
}

const struct nw_connect_schema *nw_source_types_add(struct nw_pool *pool,
                                                    const struct nw_source_types *wanted,
                                                    const struct nw_table *table, uint16_t column,
                                                    const struct nw_connect_schema *schema)
{
    const struct nw_column_schema *of = &table->columns[column];
    struct nw_connect_schema *made = NULL;
    struct nw_connect_parameter *parameters = NULL;
    char name[NAME_SIZE];

    if (schema == NULL || nw_table_is_blurred(table, column)) {
        return schema;
    }
    type_name(of, name);
    if (!any_matches(wanted->columns, wanted->columns_count, table, of->name) &&
        !any_matches(wanted->types, wanted->types_count, table, name)) {
        return schema;
    }
    made = nw_pool_get(pool, sizeof *made);
    parameters = nw_pool_get(pool, (schema->parameters_count + ADDED) * sizeof *parameters);
    if (made == NULL || parameters == NULL) {
        return schema;
    }
    *made = *schema;
    if (schema->parameters_count > 0) {
        memcpy(parameters, schema->parameters, schema->parameters_count * sizeof *parameters);
    }
    made->parameters = parameters;
    made->parameters_count += parameters_fill(pool, of, name, parameters + made->parameters_count);
    return made;
}
