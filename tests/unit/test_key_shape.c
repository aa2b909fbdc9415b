/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as Connect's transforms and converters make them: bytes as Kafka Connect 4.3 has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/key_shape.h"

#define COUNT(array)  (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define OID_BYTEA     17
#define OID_INT8      20
#define OID_INT4      23
#define OID_TEXT      25
#define OID_DATE      1082
#define COLUMNS       4
#define OPTIONAL(oid) .type_oid = (oid), .base_type_oid = (oid), .typmod = -1, .type = NW_TYPE_TEXT
#define REQUIRED(oid) OPTIONAL(oid), .not_null = true

static const struct nw_column_schema columns[COLUMNS] = {
    {.name = "id", REQUIRED(OID_INT8)},
    {.name = "n", OPTIONAL(OID_INT4), .default_expr = "7"},
    {.name = "v", OPTIONAL(OID_TEXT)},
    {.name = "d", OPTIONAL(OID_DATE)}};
static const uint16_t key[] = {0, 2};
static const struct nw_table keyed = {.size = sizeof keyed,
                                      .schema_name = "s",
                                      .name = "t",
                                      .columns = columns,
                                      .columns_count = COLUMNS,
                                      .key_columns = key,
                                      .key_columns_count = COUNT(key)};

struct lab {
    struct nw_connect_table *connect;
    struct nw_connect_scratch *scratch;
    struct nw_key_shape *shape;
    struct nw_error err;
};

/* A shape of a table of those columns. */
static nw_status lab_make(struct lab *lab, const struct nw_table *table,
                          const struct nw_key_options *options)
{
    struct nw_connect_options connect = nw_connect_options_default();

    *lab = (struct lab){0};
    connect.times = NW_TIMES_CONNECT;
    lab->connect = nw_connect_table_create(table, "p.s.t", &connect);
    assert_non_null(lab->connect);
    lab->scratch = nw_connect_scratch_create(lab->connect);
    assert_non_null(lab->scratch);
    return nw_key_shape_create(lab->connect, options, &lab->shape, &lab->err);
}

static void lab_end(struct lab *lab)
{
    nw_key_shape_destroy(lab->shape);
    nw_connect_scratch_destroy(lab->scratch);
    nw_connect_table_destroy(lab->connect);
}

/* The key of a row, in hexadecimal where `hex`; NULL: none. */
static char *lab_key(struct lab *lab, const char *const *values, bool hex)
{
    struct nw_array arrays[COLUMNS];
    int32_t offsets[COLUMNS][2];
    uint8_t validity[COLUMNS];
    uint8_t present = 1;
    uint8_t missing = 0;
    struct nw_batch batch = {
        .size = sizeof batch, .table = lab->connect->table, .rows_count = 1, .missing_stride = 1};
    const struct nw_change change = {.op = 'c', .after = true};
    const struct nw_row row = {
        .table = lab->connect, .batch = &batch, .change = &change, .scratch = lab->scratch};
    struct nw_out out = {0};
    struct nw_out shown = {0};
    bool none = true;

    for (int i = 0; i < COLUMNS; i++) {
        validity[i] = values[i] != NULL;
        offsets[i][0] = 0;
        offsets[i][1] = values[i] == NULL ? 0 : (int32_t)strlen(values[i]);
        arrays[i] = (struct nw_array){
            .validity = &validity[i], .offsets = offsets[i], .bytes = (const uint8_t *)values[i]};
    }
    batch.image[NW_AFTER] =
        (struct nw_image){.present = &present, .missing = &missing, .columns = arrays};
    assert_int_equal(nw_key_shape_append(lab->shape, &row, NW_AFTER, &out, &none, &lab->err),
                     NW_OK);
    if (hex) {
        nw_out_hex(&shown, out.bytes, out.used);
    } else {
        nw_out_bytes(&shown, out.bytes, out.used);
    }
    nw_out_bytes(&shown, "", 1);
    nw_out_fini(&out);
    if (none) {
        nw_out_fini(&shown);
        return NULL;
    }
    return (char *)shown.bytes;
}

static void keys_have_the_bytes_of_connect(void **state)
{
    static const char *const others[] = {"n", "v", NULL};
    static const struct nw_key_constant table[] = {{"of", "shop.\xc3\xbc"}};
    static const char *const values[] = {"258", NULL, "a\"\xf0\x9f\x98\x80", NULL};
    const struct {
        struct nw_key_options options;
        const char *key; /* NULL: none */
        bool hex;
    } cases[] = {
        {{.form = NW_KEY_JSON, .field = "id"}, "258", false},
        {{.form = NW_KEY_JSON, .field = "v"}, "\"a\\\"\\uD83D\\uDE00\"", false},
        {{.form = NW_KEY_JSON_SCHEMAS, .field = "id"},
         "{\"schema\":{\"type\":\"int64\",\"optional\":false},\"payload\":258}",
         false},
        {{.form = NW_KEY_STRING, .field = "v"}, "a\"\xf0\x9f\x98\x80", false},
        {{.form = NW_KEY_STRING}, "Struct{id=258,v=a\"\xf0\x9f\x98\x80}", false},
        {{.form = NW_KEY_LONG, .field = "id"}, "0000000000000102", true},
        {{.form = NW_KEY_INTEGER, .field = "n", .columns = others}, "00000007", true},
        {{.form = NW_KEY_AVRO, .field = "id"}, "8404", true},
        {{.form = NW_KEY_AVRO, .columns = others}, "000e020c6122f09f9880", true},
        {{.form = NW_KEY_JSON, .columns = others},
         "{\"n\":7,\"v\":\"a\\\"\\uD83D\\uDE00\"}",
         false},
        {{.form = NW_KEY_JSON, .constants = table, .constants_count = 1},
         "{\"id\":258,\"v\":\"a\\\"\\uD83D\\uDE00\",\"of\":\"shop.\xc3\xbc\"}",
         false},
        {{.form = NW_KEY_JSON_SCHEMAS, .columns = others, .field = NULL},
         "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":true,"
         "\"default\":7,\"field\":\"n\"},{\"type\":\"string\",\"optional\":true,\"field\":\"v\"}],"
         "\"optional\":false},\"payload\":{\"n\":7,\"v\":\"a\\\"\\uD83D\\uDE00\"}}",
         false},
        {{.form = NW_KEY_STRING, .columns = (const char *const[]){"d", "n", NULL}, .field = "n"},
         "7",
         false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct lab lab;
        char *made = NULL;

        assert_int_equal(lab_make(&lab, &keyed, &cases[i].options), NW_OK);
        made = lab_key(&lab, values, cases[i].hex);
        assert_non_null(made);
        assert_string_equal(made, cases[i].key);
        free(made);
        lab_end(&lab);
    }
}

/* As AbstractKafkaAvroSerializer has them: as they are where the schema itself is bytes. */
static void bytes_alone_have_no_size_in_avro(void **state)
{
    static const struct nw_column_schema binaries[COLUMNS] = {{.name = "b",
                                                               .type_oid = OID_BYTEA,
                                                               .base_type_oid = OID_BYTEA,
                                                               .typmod = -1,
                                                               .type = NW_TYPE_BINARY,
                                                               .not_null = true},
                                                              {.name = "o",
                                                               .type_oid = OID_BYTEA,
                                                               .base_type_oid = OID_BYTEA,
                                                               .typmod = -1,
                                                               .type = NW_TYPE_BINARY},
                                                              {.name = "v", OPTIONAL(OID_TEXT)},
                                                              {.name = "t", REQUIRED(OID_TEXT)}};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "s",
                                   .name = "t",
                                   .columns = binaries,
                                   .columns_count = COLUMNS};
    static const char *const all[] = {"b", "o", "v", "t", NULL};
    static const char *const values[] = {"xyz", "xyz", NULL, "xyz"};
    const struct {
        const char *field, *key;
    } cases[] = {{"b", "78797a"},
                 {"o", "020678797a"},
                 {"t", "0678797a"},
                 {NULL, "0678797a020678797a000678797a"}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct nw_key_options options = {
            .columns = all, .field = cases[i].field, .form = NW_KEY_AVRO};
        struct lab lab;
        char *made = NULL;

        assert_int_equal(lab_make(&lab, &table, &options), NW_OK);
        made = lab_key(&lab, values, true);
        assert_string_equal(made, cases[i].key);
        free(made);
        lab_end(&lab);
    }
}

static void a_value_that_is_null_alone_is_no_key(void **state)
{
    static const char *const one[] = {"v", NULL};
    static const char *const values[] = {"1", "2", NULL, NULL};
    const struct nw_key_options options = {.columns = one, .field = "v", .form = NW_KEY_STRING};
    const struct nw_key_options json = {.columns = one, .field = "v", .form = NW_KEY_JSON};
    const struct nw_key_options avro = {.columns = one, .field = "v", .form = NW_KEY_AVRO};
    struct lab lab;
    char *made = NULL;

    (void)state;
    assert_int_equal(lab_make(&lab, &keyed, &options), NW_OK);
    assert_null(lab_key(&lab, values, false));
    lab_end(&lab);
    assert_int_equal(lab_make(&lab, &keyed, &avro), NW_OK);
    assert_null(lab_key(&lab, values, false)); /* a serializer has nothing for null */
    lab_end(&lab);
    assert_int_equal(lab_make(&lab, &keyed, &json), NW_OK);
    made = lab_key(&lab, values, false);
    assert_string_equal(made, "null"); /* as Connect's JsonConverter */
    free(made);
    lab_end(&lab);
}

static void a_column_that_is_blurred_is_in_no_key(void **state)
{
    static const char *const one[] = {"v", NULL};
    static const char *const other[] = {"n", NULL};
    static const bool blurred[COLUMNS] = {false, false, true, false};
    const struct nw_key_options options = {.columns = one, .form = NW_KEY_JSON};
    const struct nw_key_options fine = {.columns = other, .form = NW_KEY_JSON};
    struct nw_table table = keyed;
    struct lab lab;

    (void)state;
    table.blurred = blurred;
    assert_int_equal(lab_make(&lab, &table, &options), NW_REJECT);
    assert_null(lab.shape);
    assert_non_null(strstr(lab.err.text, "NW2708 key_columns: column v of s.t is masked"));
    lab_end(&lab);
    assert_int_equal(lab_make(&lab, &table, &fine), NW_OK);
    lab_end(&lab);
}

static void what_a_table_has_not_is_refused(void **state)
{
    static const char *const wrong[] = {"no", NULL};
    static const char *const date[] = {"d", NULL};
    static const struct nw_key_constant taken[] = {{"v", "x"}};
    const struct {
        struct nw_key_options options;
        const char *why;
    } cases[] = {
        {{.form = NW_KEY_JSON, .columns = wrong}, "NW2708 key_columns: s.t has no column no"},
        {{.form = NW_KEY_JSON, .field = "n"}, "NW2708 key_field: the key of s.t has no field n"},
        {{.form = NW_KEY_LONG}, "NW2708 key_form: a key of s.t cannot be written as long"},
        {{.form = NW_KEY_LONG, .field = "v"}, "cannot be written as long"},
        {{.form = NW_KEY_STRING, .columns = date}, "cannot be written as string"},
        {{.form = NW_KEY_STRING, .columns = date, .field = "d"}, "cannot be written as string"},
        {{.form = NW_KEY_JSON, .constants = taken, .constants_count = 1},
         "NW2708 routes: the key of s.t has a field v already"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct lab lab;

        assert_int_equal(lab_make(&lab, &keyed, &cases[i].options), NW_REJECT);
        assert_null(lab.shape);
        assert_non_null(strstr(lab.err.text, cases[i].why));
        lab_end(&lab);
    }
}

static void a_table_without_a_key_has_one_by_columns_only(void **state)
{
    static const char *const one[] = {"v", NULL};
    const struct nw_table keyless = {.size = sizeof keyless,
                                     .schema_name = "s",
                                     .name = "t",
                                     .columns = columns,
                                     .columns_count = COLUMNS};
    const struct nw_key_options by_columns = {.columns = one, .form = NW_KEY_JSON};
    const struct nw_key_options by_field = {.field = "id", .form = NW_KEY_JSON};
    struct lab lab;

    (void)state;
    assert_int_equal(lab_make(&lab, &keyless, &by_columns), NW_OK);
    assert_non_null(lab.shape);
    lab_end(&lab);
    assert_int_equal(lab_make(&lab, &keyless, &by_field), NW_OK);
    assert_null(lab.shape);
    lab_end(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_bytes_of_connect),
        cmocka_unit_test(bytes_alone_have_no_size_in_avro),
        cmocka_unit_test(a_value_that_is_null_alone_is_no_key),
        cmocka_unit_test(a_column_that_is_blurred_is_in_no_key),
        cmocka_unit_test(what_a_table_has_not_is_refused),
        cmocka_unit_test(a_table_without_a_key_has_one_by_columns_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
