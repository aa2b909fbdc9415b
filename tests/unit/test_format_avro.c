/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro: bytes as the examples of its specification have them (1.11, "Binary Encoding"), and schemas
 * as Confluent's AvroData derives them. it.avro compares with the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "avro_kit.h"
#include "lib/format/envelope.h"

static const struct nw_connect_schema plain[] = {
    [NW_CONNECT_INT8] = {.kind = NW_CONNECT_INT8},
    [NW_CONNECT_INT16] = {.kind = NW_CONNECT_INT16},
    [NW_CONNECT_INT32] = {.kind = NW_CONNECT_INT32},
    [NW_CONNECT_INT64] = {.kind = NW_CONNECT_INT64},
    [NW_CONNECT_FLOAT32] = {.kind = NW_CONNECT_FLOAT32},
    [NW_CONNECT_FLOAT64] = {.kind = NW_CONNECT_FLOAT64},
    [NW_CONNECT_BOOLEAN] = {.kind = NW_CONNECT_BOOLEAN},
    [NW_CONNECT_STRING] = {.kind = NW_CONNECT_STRING},
    [NW_CONNECT_BYTES] = {.kind = NW_CONNECT_BYTES},
};
static const struct nw_connect_schema text_or_null = {.kind = NW_CONNECT_STRING, .optional = true};

static struct nw_connect_value text(const char *string)
{
    return (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                     .bytes = (const uint8_t *)string,
                                     .size = (uint32_t)strlen(string)};
}

static void encodes(const struct nw_connect_schema *schema, struct nw_connect_value value,
                    const char *hex)
{
    struct nw_out out = {0};
    struct nw_out printed = {0};
    struct nw_error err;

    assert_int_equal(nw_avro_value(&out, schema, &value, &err), NW_OK);
    nw_out_hex(&printed, out.bytes, out.used);
    nw_out_bytes(&printed, "", 1);
    assert_string_equal((char *)printed.bytes, hex);
    nw_out_fini(&out);
    nw_out_fini(&printed);
}

static void numbers_are_zigzag_and_seven_bits_a_byte(void **state)
{
    static const struct {
        int64_t value;
        const char *hex;
    } cases[] = {{0, "00"},
                 {-1, "01"},
                 {1, "02"},
                 {-2, "03"},
                 {2, "04"},
                 {-64, "7f"},
                 {64, "8001"},
                 {8192, "808001"},
                 {-8193, "818001"},
                 {INT32_MAX, "feffffff0f"},
                 {INT32_MIN, "ffffffff0f"},
                 {INT64_MAX, "feffffffffffffffff01"},
                 {INT64_MIN, "ffffffffffffffffff01"}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        encodes(&plain[NW_CONNECT_INT64],
                (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = cases[i].value},
                cases[i].hex);
    }
}

static void values_are_those_of_the_specification(void **state)
{
    static const struct nw_connect_field fields[] = {{"a", &plain[NW_CONNECT_INT64]},
                                                     {"b", &plain[NW_CONNECT_STRING]}};
    static const struct nw_connect_schema record = {
        .kind = NW_CONNECT_STRUCT, .name = "test", .fields = fields, .fields_count = 2};
    const struct nw_connect_value pieces[] = {
        {.kind = NW_CONNECT_INTEGER, .as.integer = 27},
        {.kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)"foo", .size = 3}};

    (void)state;
    encodes(&plain[NW_CONNECT_STRING], text("foo"), "06666f6f");
    encodes(&plain[NW_CONNECT_STRING], text(""), "00");
    encodes(&plain[NW_CONNECT_BYTES],
            (struct nw_connect_value){
                .kind = NW_CONNECT_BINARY, .bytes = (const uint8_t *)"\xff\0", .size = 2},
            "04ff00");
    encodes(&record, (struct nw_connect_value){.kind = NW_CONNECT_PIECES, .pieces = pieces},
            "3606666f6f");
    encodes(&text_or_null, (struct nw_connect_value){.kind = NW_CONNECT_NULL}, "00");
    encodes(&text_or_null, text("a"), "020261");
    encodes(&plain[NW_CONNECT_BOOLEAN],
            (struct nw_connect_value){.kind = NW_CONNECT_TRUTH, .as.boolean = true}, "01");
    encodes(&plain[NW_CONNECT_BOOLEAN], (struct nw_connect_value){.kind = NW_CONNECT_TRUTH}, "00");
    /* Java's floatToRawIntBits and doubleToRawLongBits, the lowest byte first */
    encodes(&plain[NW_CONNECT_FLOAT32],
            (struct nw_connect_value){.kind = NW_CONNECT_REAL, .as.real = -1.5}, "0000c0bf");
    encodes(&plain[NW_CONNECT_FLOAT64],
            (struct nw_connect_value){.kind = NW_CONNECT_REAL, .as.real = 1.5}, "000000000000f83f");
}

/* AvroData puts null last in the union of a schema that has a default. */
static void a_default_turns_the_union_around(void **state)
{
    const struct nw_connect_value fallback = text("false");
    const struct nw_connect_schema schema = {
        .kind = NW_CONNECT_STRING, .optional = true, .fallback = &fallback};

    (void)state;
    encodes(&schema, (struct nw_connect_value){.kind = NW_CONNECT_NULL}, "02");
    encodes(&schema, text("a"), "000261");
}

static void null_where_there_is_none_is_refused(void **state)
{
    struct nw_connect_value value = {.kind = NW_CONNECT_NULL};
    struct nw_out out = {0};
    struct nw_error err;

    (void)state;
    assert_int_equal(nw_avro_value(&out, &plain[NW_CONNECT_INT32], &value, &err), NW_REJECT);
    nw_out_fini(&out);
}

/* Confluent's wire format: a zero, and the id in network order. */
static void a_message_begins_with_its_schemas_id(void **state)
{
    struct nw_out out = {0};

    (void)state;
    nw_avro_header(&out, 0x01020304);
    assert_int_equal(out.used, NW_AVRO_HEADER_SIZE);
    assert_memory_equal(out.bytes, "\0\1\2\3\4", 5);
    nw_out_fini(&out);
}

static void what_avro_has_no_word_for_is_a_property(void **state)
{
    static const struct nw_connect_parameter scale[] = {{"scale", "2"},
                                                        {"connect.decimal.precision", "10"}};
    static const struct nw_connect_parameter only_scale[] = {{"scale", "2"}};
    static const struct nw_connect_schema variable = {.kind = NW_CONNECT_BYTES,
                                                      .version = 1,
                                                      .name =
                                                          "org.apache.kafka.connect.data.Decimal",
                                                      .parameters = only_scale,
                                                      .parameters_count = 1};
    static const struct nw_connect_schema decimal = {.kind = NW_CONNECT_BYTES,
                                                     .optional = true,
                                                     .version = 1,
                                                     .name =
                                                         "org.apache.kafka.connect.data.Decimal",
                                                     .parameters = scale,
                                                     .parameters_count = 2};
    static const struct nw_connect_schema date = {
        .kind = NW_CONNECT_INT32, .version = 1, .name = "org.apache.kafka.connect.data.Date"};
    static const struct nw_connect_schema days = {
        .kind = NW_CONNECT_INT32, .version = 1, .name = "io.debezium.time.Date"};
    static const struct nw_connect_schema list = {
        .kind = NW_CONNECT_ARRAY, .optional = true, .element = &text_or_null};
    static const struct nw_connect_schema map = {
        .kind = NW_CONNECT_MAP, .key = &plain[NW_CONNECT_STRING], .element = &text_or_null};

    (void)state;
    schema_is(&plain[NW_CONNECT_STRING], "\"string\"");
    schema_is(&text_or_null, "[\"null\",\"string\"]");
    schema_is(&plain[NW_CONNECT_INT16], "{\"type\":\"int\",\"connect.type\":\"int16\"}");
    schema_is(&plain[NW_CONNECT_INT8], "{\"type\":\"int\",\"connect.type\":\"int8\"}");
    schema_is(&decimal,
              "[\"null\",{\"type\":\"bytes\",\"scale\":2,\"precision\":10,\"connect.version\":1,"
              "\"connect.parameters\":{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"},"
              "\"connect.name\":\"org.apache.kafka.connect.data.Decimal\","
              "\"logicalType\":\"decimal\"}]");
    schema_is(&variable, "{\"type\":\"bytes\",\"scale\":2,\"precision\":64,\"connect.version\":1,"
                         "\"connect.parameters\":{\"scale\":\"2\"},"
                         "\"connect.name\":\"org.apache.kafka.connect.data.Decimal\","
                         "\"logicalType\":\"decimal\"}");
    schema_is(&date, "{\"type\":\"int\",\"connect.version\":1,"
                     "\"connect.name\":\"org.apache.kafka.connect.data.Date\","
                     "\"logicalType\":\"date\"}");
    schema_is(&days, "{\"type\":\"int\",\"connect.version\":1,"
                     "\"connect.name\":\"io.debezium.time.Date\"}");
    schema_is(&list, "[\"null\",{\"type\":\"array\",\"items\":[\"null\",\"string\"]}]");
    schema_is(&map, "{\"type\":\"map\",\"values\":[\"null\",\"string\"]}");
}

/* The shape that Debezium's documentation shows of its envelope. */
static void a_record_is_printed_once_and_then_named(void **state)
{
    static const struct nw_connect_parameter allowed[] = {{"allowed", "true,false"}};
    const struct nw_connect_value fallback = text("false");
    const struct nw_connect_schema snapshot = {.kind = NW_CONNECT_STRING,
                                               .optional = true,
                                               .version = 1,
                                               .name = "io.debezium.data.Enum",
                                               .parameters = allowed,
                                               .parameters_count = 1,
                                               .fallback = &fallback};
    const struct nw_connect_field source_fields[] = {{"snapshot", &snapshot}};
    const struct nw_connect_schema source = {.kind = NW_CONNECT_STRUCT,
                                             .name = "io.debezium.connector.postgresql.Source",
                                             .fields = source_fields,
                                             .fields_count = 1};
    const struct nw_connect_field value_fields[] = {{"id", &plain[NW_CONNECT_INT32]}};
    const struct nw_connect_schema value = {.kind = NW_CONNECT_STRUCT,
                                            .optional = true,
                                            .name = "p.s.t.Value",
                                            .fields = value_fields,
                                            .fields_count = 1};
    const struct nw_connect_field fields[] = {{"before", &value},
                                              {"after", &value},
                                              {"source", &source},
                                              {"op", &plain[NW_CONNECT_STRING]}};
    const struct nw_connect_schema envelope = {.kind = NW_CONNECT_STRUCT,
                                               .version = 2,
                                               .name = "p.s.t.Envelope",
                                               .fields = fields,
                                               .fields_count = 4};

    (void)state;
    schema_is(
        &envelope,
        "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"p.s.t\",\"fields\":["
        "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Value\","
        "\"fields\":"
        "[{\"name\":\"id\",\"type\":\"int\"}],\"connect.name\":\"p.s.t.Value\"}],\"default\":null},"
        "{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},"
        "{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"Source\","
        "\"namespace\":\"io.debezium.connector.postgresql\",\"fields\":["
        "{\"name\":\"snapshot\",\"type\":[{\"type\":\"string\",\"connect.version\":1,"
        "\"connect.parameters\":{\"allowed\":\"true,false\"},\"connect.default\":\"false\","
        "\"connect.name\":\"io.debezium.data.Enum\"},\"null\"],\"default\":\"false\"}],"
        "\"connect.name\":\"io.debezium.connector.postgresql.Source\"}},"
        "{\"name\":\"op\",\"type\":\"string\"}],"
        "\"connect.version\":2,\"connect.name\":\"p.s.t.Envelope\"}");
}

static void defaults_are_printed_as_java_does(void **state)
{
    static const struct {
        double value;
        const char *java; /* Double.toString() */
    } reals[] = {{0, "0.0"},
                 {1, "1.0"},
                 {-1.5, "-1.5"},
                 {0.001, "0.001"},
                 {0.01, "0.01"},
                 {1234567, "1234567.0"},
                 {9999999, "9999999.0"},
                 {1e7, "1.0E7"},
                 {12345678, "1.2345678E7"},
                 {0.00099, "9.9E-4"},
                 {1e21, "1.0E21"},
                 {1.5e-10, "1.5E-10"},
                 {100.25, "100.25"}};
    char expected[256];

    (void)state;
    for (size_t i = 0; i < COUNT(reals); i++) {
        const struct nw_connect_value fallback = {.kind = NW_CONNECT_REAL,
                                                  .as.real = reals[i].value};
        const struct nw_connect_schema schema = {.kind = NW_CONNECT_FLOAT64, .fallback = &fallback};

        (void)snprintf(expected, sizeof expected, "{\"type\":\"double\",\"connect.default\":%s}",
                       reals[i].java);
        schema_is(&schema, expected);
    }
    {
        const struct nw_connect_value fallback = {
            .kind = NW_CONNECT_BINARY, .bytes = (const uint8_t *)"\0\n\"\xff z", .size = 6};
        const struct nw_connect_schema schema = {.kind = NW_CONNECT_BYTES, .fallback = &fallback};

        schema_is(&schema, "{\"type\":\"bytes\",\"connect.default\":\"\\u0000\\n\\\"\xc3\xbf z\"}");
    }
}

static const char *const moods[] = {"sad", "ok", NULL};
static const struct nw_column_schema columns[] = {
    {.name = "id",
     .type_name = "integer",
     .type_oid = 23,
     .base_type_oid = 23,
     .typmod = -1,
     .not_null = true},
    {.name = "t", .type_name = "text", .type_oid = 25, .base_type_oid = 25, .typmod = -1},
    {.name = "tn",
     .type_name = "text",
     .type_oid = 25,
     .base_type_oid = 25,
     .typmod = -1,
     .not_null = true,
     .default_expr = "'abc'::text"},
    {.name = "vc",
     .type_name = "character varying(10)",
     .type_oid = 1043,
     .base_type_oid = 1043,
     .typmod = 14,
     .default_expr = "'q\"é'::character varying"},
    {.name = "i2",
     .type_name = "smallint",
     .type_oid = 21,
     .base_type_oid = 21,
     .typmod = -1,
     .not_null = true,
     .default_expr = "7"},
    {.name = "i2n", .type_name = "smallint", .type_oid = 21, .base_type_oid = 21, .typmod = -1},
    {.name = "i8",
     .type_name = "bigint",
     .type_oid = 20,
     .base_type_oid = 20,
     .typmod = -1,
     .default_expr = "9"},
    {.name = "f4",
     .type_name = "real",
     .type_oid = 700,
     .base_type_oid = 700,
     .typmod = -1,
     .default_expr = "1.5"},
    {.name = "f8",
     .type_name = "double precision",
     .type_oid = 701,
     .base_type_oid = 701,
     .typmod = -1,
     .not_null = true,
     .default_expr = "'10000000000'::numeric"},
    {.name = "b",
     .type_name = "boolean",
     .type_oid = 16,
     .base_type_oid = 16,
     .typmod = -1,
     .default_expr = "true"},
    {.name = "n",
     .type_name = "numeric(10,2)",
     .type_oid = 1700,
     .base_type_oid = 1700,
     .typmod = 655366},
    {.name = "nd",
     .type_name = "numeric(10,2)",
     .type_oid = 1700,
     .base_type_oid = 1700,
     .typmod = 655366,
     .not_null = true,
     .default_expr = "12.34"},
    {.name = "nv", .type_name = "numeric", .type_oid = 1700, .base_type_oid = 1700, .typmod = -1},
    {.name = "by", .type_name = "bytea", .type_oid = 17, .base_type_oid = 17, .typmod = -1},
    {.name = "d", .type_name = "date", .type_oid = 1082, .base_type_oid = 1082, .typmod = -1},
    {.name = "tm",
     .type_name = "time(3) without time zone",
     .type_oid = 1083,
     .base_type_oid = 1083,
     .typmod = 3},
    {.name = "tm6",
     .type_name = "time without time zone",
     .type_oid = 1083,
     .base_type_oid = 1083,
     .typmod = -1},
    {.name = "ts",
     .type_name = "timestamp(3) without time zone",
     .type_oid = 1114,
     .base_type_oid = 1114,
     .typmod = 3},
    {.name = "ts6",
     .type_name = "timestamp without time zone",
     .type_oid = 1114,
     .base_type_oid = 1114,
     .typmod = -1},
    {.name = "tsz",
     .type_name = "timestamp with time zone",
     .type_oid = 1184,
     .base_type_oid = 1184,
     .typmod = -1},
    {.name = "iv", .type_name = "interval", .type_oid = 1186, .base_type_oid = 1186, .typmod = -1},
    {.name = "u", .type_name = "uuid", .type_oid = 2950, .base_type_oid = 2950, .typmod = -1},
    {.name = "j", .type_name = "jsonb", .type_oid = 3802, .base_type_oid = 3802, .typmod = -1},
    {.name = "m",
     .type_name = "shop.mood",
     .type_oid = 16386,
     .base_type_oid = 16386,
     .typmod = -1,
     .not_null = true,
     .default_expr = "'ok'::shop.mood",
     .enum_labels = moods},
    {.name = "ia", .type_name = "integer[]", .type_oid = 1007, .base_type_oid = 1007, .typmod = -1},
    {.name = "ta", .type_name = "text[]", .type_oid = 1009, .base_type_oid = 1009, .typmod = -1},
    {.name = "na",
     .type_name = "numeric(6,2)[]",
     .type_oid = 1231,
     .base_type_oid = 1231,
     .typmod = 393222},
    {.name = "pt", .type_name = "point", .type_oid = 600, .base_type_oid = 600, .typmod = -1},
    {.name = "pt2",
     .type_name = "point",
     .type_oid = 600,
     .base_type_oid = 600,
     .typmod = -1,
     .not_null = true,
     .default_expr = "'(1,2)'::point"},
    {.name = "bt", .type_name = "bit(5)", .type_oid = 1560, .base_type_oid = 1560, .typmod = 5},
    {.name = "b1", .type_name = "bit(1)", .type_oid = 1560, .base_type_oid = 1560, .typmod = 1},
    {.name = "mo", .type_name = "money", .type_oid = 790, .base_type_oid = 790, .typmod = -1},
    {.name = "odd-name", .type_name = "integer", .type_oid = 23, .base_type_oid = 23, .typmod = -1},
    {.name = "nv2", .type_name = "numeric", .type_oid = 1700, .base_type_oid = 1700, .typmod = -1},
};

static struct nw_connect_table *connect_table(const struct nw_table *table, const char *name)
{
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;

    options.schema_names = options.field_names = NW_NAMES_AVRO;
    made = nw_connect_table_create(table, name, &options);
    assert_non_null(made);
    return made;
}

/*
 * vectors/debezium_avro_types.avsc is what Debezium 3.7.0 registered for the same table of
 * PostgreSQL 15, through AvroData (of Apicurio's converter 2.6.13).
 */
static void the_schema_of_a_table_is_debeziums(void **state)
{
    static const uint16_t key[] = {0};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "types",
                                   .columns = columns,
                                   .columns_count = (uint16_t)COUNT(columns),
                                   .key_columns = key,
                                   .key_columns_count = 1};
    struct nw_connect_table *made = connect_table(&table, "dbz.shop.types");
    FILE *file = fopen(NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium_avro_types.avsc", "r");
    struct nw_envelope envelope;
    char expected[16384];
    size_t size = 0;

    (void)state;
    assert_non_null(file);
    size = fread(expected, 1, sizeof expected - 1, file);
    (void)fclose(file);
    expected[size] = '\0';
    expected[strcspn(expected, "\n")] = '\0';
    assert_true(nw_envelope_init(&envelope, made->value));
    schema_is(&envelope.schema, expected);
    schema_is(made->key, "{\"type\":\"record\",\"name\":\"Key\",\"namespace\":\"dbz.shop.types\","
                         "\"fields\":[{\"name\":\"id\",\"type\":\"int\"}],"
                         "\"connect.name\":\"dbz.shop.types.Key\"}");
    nw_envelope_fini(&envelope);
    nw_connect_table_destroy(made);
}

/* As AvroData has it of a map whose keys are no strings: an array of entries. */
static void a_sparse_vector_keeps_its_indexes(void **state)
{
    static const struct nw_column_schema vectors[] = {{.name = "s",
                                                       .type_name = "sparsevec(9)",
                                                       .type_oid = 16400,
                                                       .base_type_oid = 16400,
                                                       .typmod = 9}};
    static const char text_of[] = "{2:1.5,7:-2}/9";
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "v",
                                   .columns = vectors,
                                   .columns_count = 1};
    const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                    .type = NW_TYPE_TEXT,
                                    .bytes = (const uint8_t *)text_of,
                                    .size = sizeof text_of - 1};
    struct nw_connect_table *made = connect_table(&table, "p.shop.v");
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(made);
    struct nw_connect_value value;
    struct nw_error err;

    (void)state;
    schema_is(made->value->fields[0].schema,
              "[\"null\",{\"type\":\"record\",\"name\":\"SparseDoubleVector\","
              "\"namespace\":\"io.debezium.data\",\"fields\":[{\"name\":\"dimensions\",\"type\":"
              "{\"type\":\"int\",\"connect.type\":\"int16\"}},{\"name\":\"vector\",\"type\":"
              "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"MapEntry\","
              "\"namespace\":\"io.confluent.connect.avro\",\"fields\":[{\"name\":\"key\",\"type\":"
              "{\"type\":\"int\",\"connect.type\":\"int16\"}},{\"name\":\"value\",\"type\":"
              "\"double\"}]}}}],\"connect.doc\":\"Sparse double vector\",\"connect.version\":1,"
              "\"connect.name\":\"io.debezium.data.SparseDoubleVector\"}]");
    assert_int_equal(nw_connect_convert(scratch, 0, &source, NW_AFTER, &value, &err), NW_OK);
    /* not null, 9, a block of two: 2 and 1.5, 7 and -2.0; none */
    encodes(made->value->fields[0].schema, value,
            "02"
            "12"
            "04"
            "04000000000000f83f"
            "0e00000000000000c0"
            "00");
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
}

/* Items of an enum are strings without null, as their labels' schema says. */
static void an_array_of_an_enum_has_items_that_are_never_null(void **state)
{
    static const struct nw_column_schema lists[] = {{.name = "m",
                                                     .type_name = "shop.mood[]",
                                                     .type_oid = 16390,
                                                     .base_type_oid = 16390,
                                                     .typmod = -1}};
    static const char *const *const items[] = {moods};
    static const char text_of[] = "{ok}";
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "v",
                                   .columns = lists,
                                   .columns_count = 1,
                                   .item_labels = items};
    struct nw_value source = {.kind = NW_VALUE_PRESENT,
                              .type = NW_TYPE_TEXT,
                              .bytes = (const uint8_t *)text_of,
                              .size = sizeof text_of - 1};
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;
    struct nw_connect_scratch *scratch = NULL;
    struct nw_connect_value value;
    struct nw_error err;

    (void)state;
    options.unfit_null = true;
    made = nw_connect_table_create(&table, "p.shop.v", &options);
    assert_non_null(made);
    scratch = nw_connect_scratch_create(made);
    schema_is(made->value->fields[0].schema,
              "[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"string\",\"connect.version\":1,"
              "\"connect.parameters\":{\"allowed\":\"sad,ok\"},"
              "\"connect.name\":\"io.debezium.data.Enum\"}}]");
    assert_int_equal(nw_connect_convert(scratch, 0, &source, NW_AFTER, &value, &err), NW_OK);
    encodes(made->value->fields[0].schema, value,
            "02"
            "02"
            "046f6b"
            "00");
    source.bytes = (const uint8_t *)"{ok,NULL}"; /* NULL in place of the whole */
    source.size = 9;
    assert_int_equal(nw_connect_convert(scratch, 0, &source, NW_AFTER, &value, &err), NW_OK);
    encodes(made->value->fields[0].schema, value, "00");
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
}

/* vectors/debezium_avro_times.avsc is what AvroData makes of Debezium 3.7.0's own schemas. */
static void the_schemas_of_structured_times_are_debeziums(void **state)
{
    static const struct {
        const char *name;
        uint32_t oid;
        bool not_null;
    } types[] = {{"t", 1083, true}, {"tz", 1266, false}, {"s", 1114, false},
                 {"z", 1184, true}, {"z2", 1185, true},  {"i", 1186, false}};
    struct nw_column_schema times[COUNT(types)] = {{.name = NULL}};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "w",
                                   .columns = times,
                                   .columns_count = (uint16_t)COUNT(times)};
    FILE *file = fopen(NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium_avro_times.avsc", "r");
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;
    char expected[8192];

    (void)state;
    assert_non_null(file);
    assert_non_null(fgets(expected, sizeof expected, file));
    (void)fclose(file);
    expected[strcspn(expected, "\n")] = '\0';
    for (size_t i = 0; i < COUNT(types); i++) {
        times[i] = (struct nw_column_schema){.name = types[i].name,
                                             .type_name = "?",
                                             .type_oid = types[i].oid,
                                             .base_type_oid = types[i].oid,
                                             .typmod = -1,
                                             .not_null = types[i].not_null};
    }
    options.times = NW_TIMES_STRUCTURED;
    made = nw_connect_table_create(&table, "p.shop.w", &options);
    assert_non_null(made);
    schema_is(made->value, expected);
    nw_connect_table_destroy(made);
}

/* A struct that several columns have is written where it comes first: in `before`. */
static void structured_times_are_records_that_are_named_once(void **state)
{
    static const struct nw_column_schema days[] = {
        {.name = "d",
         .type_name = "date",
         .type_oid = 1082,
         .base_type_oid = 1082,
         .typmod = -1,
         .not_null = true},
        {.name = "n", .type_name = "date", .type_oid = 1082, .base_type_oid = 1082, .typmod = -1},
        {.name = "a", .type_name = "date[]", .type_oid = 1182, .base_type_oid = 1182, .typmod = -1},
    };
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "v",
                                   .columns = days,
                                   .columns_count = (uint16_t)COUNT(days)};
    const struct nw_value source = {.kind = NW_VALUE_PRESENT, .type = NW_TYPE_DATE};
    const struct nw_value array = {.kind = NW_VALUE_PRESENT,
                                   .type = NW_TYPE_TEXT,
                                   .bytes = (const uint8_t *)"{NULL,infinity}",
                                   .size = 15};
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;
    struct nw_connect_scratch *scratch = NULL;
    struct nw_connect_value value;
    struct nw_error err;

    (void)state;
    options.times = NW_TIMES_STRUCTURED;
    made = nw_connect_table_create(&table, "p.shop.v", &options);
    scratch = nw_connect_scratch_create(made);
    schema_is(made->value,
              "[\"null\",{\"type\":\"record\",\"name\":\"Value\",\"namespace\":\"p.shop.v\","
              "\"fields\":[{\"name\":\"d\",\"type\":{\"type\":\"record\",\"name\":"
              "\"StructuredDate\",\"namespace\":\"io.debezium.time\",\"fields\":["
              "{\"name\":\"year\",\"type\":[\"null\",\"int\"],\"default\":null},"
              "{\"name\":\"month\",\"type\":[\"null\",{\"type\":\"int\",\"connect.type\":"
              "\"int8\"}],\"default\":null},"
              "{\"name\":\"day\",\"type\":[\"null\",{\"type\":\"int\",\"connect.type\":"
              "\"int8\"}],\"default\":null},"
              "{\"name\":\"specialValue\",\"type\":[\"null\",\"string\"],\"default\":null}],"
              "\"connect.version\":1,\"connect.name\":\"io.debezium.time.StructuredDate\"}},"
              "{\"name\":\"n\",\"type\":[\"null\",\"io.debezium.time.StructuredDate\"],"
              "\"default\":null},"
              "{\"name\":\"a\",\"type\":[\"null\",{\"type\":\"array\",\"items\":[\"null\","
              "\"io.debezium.time.StructuredDate\"]}],\"default\":null}],"
              "\"connect.name\":\"p.shop.v.Value\"}]");
    assert_int_equal(nw_connect_convert(scratch, 0, &source, NW_AFTER, &value, &err), NW_OK);
    /* 1970, 1, 1, null */
    encodes(made->value->fields[0].schema, value,
            "02e41e"
            "0202"
            "0202"
            "00");
    assert_int_equal(nw_connect_convert(scratch, 2, &array, NW_AFTER, &value, &err), NW_OK);
    /* a block of two: null; three nulls and POSITIVE_INFINITY; none */
    encodes(made->value->fields[2].schema, value,
            "0204"
            "00"
            "02000000"
            "0222504f5349544956455f494e46494e495459"
            "00");
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_zigzag_and_seven_bits_a_byte),
        cmocka_unit_test(values_are_those_of_the_specification),
        cmocka_unit_test(a_default_turns_the_union_around),
        cmocka_unit_test(null_where_there_is_none_is_refused),
        cmocka_unit_test(a_message_begins_with_its_schemas_id),
        cmocka_unit_test(what_avro_has_no_word_for_is_a_property),
        cmocka_unit_test(a_record_is_printed_once_and_then_named),
        cmocka_unit_test(defaults_are_printed_as_java_does),
        cmocka_unit_test(the_schema_of_a_table_is_debeziums),
        cmocka_unit_test(an_array_of_an_enum_has_items_that_are_never_null),
        cmocka_unit_test(a_sparse_vector_keeps_its_indexes),
        cmocka_unit_test(structured_times_are_records_that_are_named_once),
        cmocka_unit_test(the_schemas_of_structured_times_are_debeziums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
