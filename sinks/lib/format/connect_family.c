/* SPDX-License-Identifier: Apache-2.0 */
/* See connect_family.h. */
#include "lib/format/connect_family.h"

#include <string.h>

#define TEXT_MAX 256u

/* array: the oid of arrays of it that have a schema; 0: they have none. */
static const struct {
    uint32_t oid, array;
    enum nw_family family;
    enum nw_placeholder placeholder; /* of its arrays */
} types[] = {
    {16, 1000, NW_FAMILY_BOOLEAN, NW_PLACEHOLDER_NONE},
    {17, 1001, NW_FAMILY_BYTEA, NW_PLACEHOLDER_ITEM},
    {18, 1002, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE},
    {19, 0, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* name */
    {20, 1016, NW_FAMILY_INT64, NW_PLACEHOLDER_CODES},
    {21, 1005, NW_FAMILY_INT16, NW_PLACEHOLDER_NONE},
    {23, 1007, NW_FAMILY_INT32, NW_PLACEHOLDER_CODES},
    {25, 1009, NW_FAMILY_STRING, NW_PLACEHOLDER_ITEM},
    {26, 1028, NW_FAMILY_INT64, NW_PLACEHOLDER_NONE}, /* oid */
    {114, 199, NW_FAMILY_JSON, NW_PLACEHOLDER_ITEM},
    {142, 0, NW_FAMILY_XML, NW_PLACEHOLDER_NONE},
    {600, 0, NW_FAMILY_POINT, NW_PLACEHOLDER_NONE},
    {601, 1018, NW_FAMILY_LSEG, NW_PLACEHOLDER_NONE},
    {602, 1019, NW_FAMILY_PATH, NW_PLACEHOLDER_NONE},
    {603, 1020, NW_FAMILY_BOX, NW_PLACEHOLDER_NONE},
    {604, 1027, NW_FAMILY_POLYGON, NW_PLACEHOLDER_NONE},
    {628, 629, NW_FAMILY_LINE, NW_PLACEHOLDER_NONE},
    {650, 651, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* cidr */
    {700, 1021, NW_FAMILY_FLOAT32, NW_PLACEHOLDER_NONE},
    {701, 1022, NW_FAMILY_FLOAT64, NW_PLACEHOLDER_NONE},
    {718, 719, NW_FAMILY_CIRCLE, NW_PLACEHOLDER_NONE},
    {774, 775, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* macaddr8 */
    {790, 0, NW_FAMILY_MONEY, NW_PLACEHOLDER_NONE},
    {829, 1040, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* macaddr */
    {869, 1041, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* inet */
    {1042, 1014, NW_FAMILY_STRING, NW_PLACEHOLDER_ITEM},
    {1043, 1015, NW_FAMILY_STRING, NW_PLACEHOLDER_ITEM},
    {1082, 1182, NW_FAMILY_DATE, NW_PLACEHOLDER_CODES},
    {1083, 1183, NW_FAMILY_TIME, NW_PLACEHOLDER_NONE},
    {1114, 1115, NW_FAMILY_TIMESTAMP, NW_PLACEHOLDER_NONE},
    {1184, 1185, NW_FAMILY_TIMESTAMPTZ, NW_PLACEHOLDER_NONE},
    {1186, 0, NW_FAMILY_INTERVAL, NW_PLACEHOLDER_NONE},
    {1266, 1270, NW_FAMILY_TIMETZ, NW_PLACEHOLDER_NONE},
    {1560, 0, NW_FAMILY_BIT, NW_PLACEHOLDER_NONE},
    {1562, 0, NW_FAMILY_VARBIT, NW_PLACEHOLDER_NONE},
    {1700, 1231, NW_FAMILY_NUMERIC, NW_PLACEHOLDER_NONE},
    {2950, 2951, NW_FAMILY_UUID, NW_PLACEHOLDER_UUID},
    {3614, 3643, NW_FAMILY_TSVECTOR, NW_PLACEHOLDER_NONE},
    {3802, 3807, NW_FAMILY_JSON, NW_PLACEHOLDER_ITEM},
    {3904, 3905, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* int4range */
    {3906, 3907, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* numrange */
    {3908, 3909, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* tsrange */
    {3910, 3911, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* tstzrange */
    {3912, 3913, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* daterange */
    {3926, 3927, NW_FAMILY_STRING, NW_PLACEHOLDER_NONE}, /* int8range */
};

/* Of extensions. */
static const struct {
    const char *name;
    enum nw_family family;
} names[] = {
    {"hstore", NW_FAMILY_HSTORE},       {"ltree", NW_FAMILY_LTREE},
    {"citext", NW_FAMILY_STRING},       {"isbn", NW_FAMILY_ISBN},
    {"geometry", NW_FAMILY_GEOMETRY},   {"geography", NW_FAMILY_GEOGRAPHY},
    {"vector", NW_FAMILY_VECTOR},       {"halfvec", NW_FAMILY_HALFVEC},
    {"sparsevec", NW_FAMILY_SPARSEVEC},
};

/* Behind the schema's name, which may be quoted. */
static const char *unqualified(const char *said)
{
    const char *name = said;
    bool quoted = false;

    for (const char *at = said; *at != '\0' && (quoted || *at != '('); at++) {
        quoted ^= *at == '"';
        if (*at == '.' && !quoted) {
            name = at + 1;
        }
    }
    return name;
}

/* The name as format_type() says it, without schema, quotes, length and []. */
static void bare_name(const char *said, char name[static TEXT_MAX], bool *array)
{
    size_t size = strlen(said);
    bool quoted = false;

    *array = size > 2 && strcmp(said + size - 2, "[]") == 0;
    size = 0;
    for (const char *at = unqualified(said); *at != '\0' && size < TEXT_MAX - 1; at++) {
        if (!quoted && (*at == '(' || *at == '[')) {
            break;
        }
        quoted ^= *at == '"';
        if (*at != '"') {
            name[size++] = *at;
        }
    }
    name[size] = '\0';
}

static enum nw_family named_family(const struct nw_table *table, uint16_t index, bool *array)
{
    const struct nw_column_schema *column = &table->columns[index];
    const char *said = column->type_oid == column->base_type_oid
                           ? column->type_name
                           : nw_table_base_type_name(table, index);
    char name[TEXT_MAX];

    *array = false;
    if (said == NULL || column->composite) {
        return NW_FAMILY_UNKNOWN; /* the name is not known, or of a type that somebody made */
    }
    bare_name(said, name, array);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].family;
        }
    }
    return NW_FAMILY_UNKNOWN;
}

enum nw_family nw_family_of(const struct nw_table *table, uint16_t index, bool *array,
                            enum nw_placeholder *placeholder)
{
    const struct nw_column_schema *column = &table->columns[index];

    *array = nw_table_item_labels(table, index) != NULL;
    *placeholder = NW_PLACEHOLDER_NONE;
    if (column->enum_labels != NULL || *array) {
        return NW_FAMILY_ENUM;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].oid == column->base_type_oid) {
            return types[i].family;
        }
        if (types[i].array == column->base_type_oid && types[i].array != 0) {
            *array = true;
            *placeholder = types[i].placeholder;
            return types[i].family;
        }
    }
    return named_family(table, index, array);
}

/* Debezium forgets it in arrays of types that it has no list for. */
bool nw_family_items_optional(enum nw_family family)
{
    return family != NW_FAMILY_UNKNOWN && family != NW_FAMILY_ENUM && family != NW_FAMILY_ISBN &&
           family != NW_FAMILY_TSVECTOR && family != NW_FAMILY_VECTOR &&
           family != NW_FAMILY_HALFVEC && family != NW_FAMILY_SPARSEVEC;
}

/* typdelim: PostGIS declares another one for both of its types. */
char nw_family_delimiter(enum nw_family family)
{
    return family == NW_FAMILY_BOX                                         ? ';'
           : family == NW_FAMILY_GEOMETRY || family == NW_FAMILY_GEOGRAPHY ? ':'
                                                                           : ',';
}
