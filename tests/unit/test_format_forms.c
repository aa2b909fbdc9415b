/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as Debezium's envelope in Avro, flattened and as CloudEvents. What they have to be is what
 * Debezium 3.7.0 sent of the same changes in PostgreSQL 15: through AvroData, ExtractNewRecordState
 * and CloudEventsConverter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/avro_row.h"
#include "lib/format/cloud_avro.h"
#include "lib/format/format.h"
#include "lib/format/json_forms.h"
#include "row_kit.h"

static void is_hex(struct nw_out *out, const char *hex)
{
    struct nw_out printed = {0};

    nw_out_hex(&printed, out->bytes, out->used);
    nw_out_bytes(&printed, "", 1);
    assert_string_equal((char *)printed.bytes, hex);
    nw_out_fini(&printed);
    out->used = 0;
}

static const uint16_t first[] = {0};

/* ---- the envelope ---- */

static void an_envelope_in_avro_is_debeziums(void **state)
{
    static const struct nw_column_schema columns[] = {{.name = "key-col", REQUIRED(OID_TEXT)},
                                                      {.name = "v", OPTIONAL(OID_TEXT)}};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "Odd-table",
                                   .columns = columns,
                                   .columns_count = COUNT(columns),
                                   .key_columns = first,
                                   .key_columns_count = 1};
    const struct nw_origin origin = {.version = "3.7.0.Final",
                                     .name = "dbz",
                                     .database = "postgres",
                                     .schema = "shop",
                                     .table = "Odd-table"};
    struct nw_change change = {.op = 'r',
                               .after = true,
                               .snapshot = "first",
                               .commit_us = 1795989722469412,
                               .now_ns = 1795989722654901370,
                               .lsn = 22162520,
                               .sequence = "[null,\"22162520\"]",
                               .xid = 726};
    struct nw_connect_table *made = connect_table(&table, "dbz.shop.Odd-table");
    struct one one;
    struct nw_row row = {.table = made,
                         .batch = &one.batch,
                         .origin = &origin,
                         .change = &change,
                         .scratch = nw_connect_scratch_create(made)};
    struct nw_out out = {0};
    struct nw_error err;

    (void)state;
    one_set(&one, &table, NULL, (const char *const[]){"a", "b"});
    nw_avro_header(&out, 1);
    assert_int_equal(nw_avro_key(&out, &row, NW_AFTER, &err), NW_OK);
    is_hex(&out, "00000000010261");
    nw_avro_header(&out, 2);
    assert_int_equal(nw_avro_envelope(&out, &row, &err), NW_OK);
    is_hex(&out,
           "00000000020002026102026216332e372e302e46696e616c14706f737467726573716c0664627acad5a295"
           "c568000a666972737410706f73746772657302225b6e756c6c2c223232313632353230225d02c8d0ec96ae"
           "dcb00602c0b2d5c0e2c8d1ec310873686f70124f64642d7461626c6502ac0b02b0b1911500000000027202"
           "bcd8a295c56802eaa28397aedcb00602f491c8f1e3c8d1ec31");
    /* of a transaction, and with an origin: the fields that were null above, by hand */
    change.transaction = "726:22162520";
    change.total_order = 1;
    change.table_order = 2;
    assert_int_equal(nw_avro_meta(&out, NW_META_TRANSACTION, &row, &err), NW_OK);
    assert_int_equal(nw_avro_meta(&out, NW_META_TABLE_ORDER, &row, &err), NW_OK);
    is_hex(&out, "02183732363a32323136323532300204");
    nw_out_fini(&out);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

/* ---- flattened, CloudEvents ---- */

static const struct nw_column_schema items_columns[] = {
    {.name = "id", REQUIRED(OID_INT4)},
    {.name = "v", OPTIONAL(OID_TEXT)},
    {.name = "n", REQUIRED(OID_INT4), .default_expr = "3"}};
static const struct nw_table items = {.size = sizeof items,
                                      .schema_name = "shop",
                                      .name = "items",
                                      .columns = items_columns,
                                      .columns_count = COUNT(items_columns),
                                      .key_columns = first,
                                      .key_columns_count = 1};
static const struct nw_origin items_origin = {.version = "3.7.0.Final",
                                              .name = "cloud",
                                              .database = "postgres",
                                              .schema = "shop",
                                              .table = "items"};

static void flattened_rows_have_schemas_and_defaults(void **state)
{
    static const struct nw_column_schema columns[] = {
        {.name = "id", REQUIRED(OID_INT4)},
        {.name = "v", OPTIONAL(OID_TEXT), .default_expr = "'x'::text"}};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "t",
                                   .columns = columns,
                                   .columns_count = COUNT(columns)};
    static const char *const fields[] = {"op", "source.snapshot", "region=eu", "zone!=a=b", NULL};
    struct nw_flat_options options = {
        .deletes = NW_FLAT_REWRITE, .schemas = true, .null_as_default = true};
    const struct nw_change change = {.op = 'c', .after = true, .snapshot = "false"};
    struct nw_connect_table *made = connect_table(&table, "flat.shop.t");
    struct one one;
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &items_origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};
    struct nw_flat flat;
    struct nw_out out = {0};
    struct nw_error err;

    (void)state;
    assert_int_equal(nw_added_read(&options.fields, fields, "__", "add_fields", &err), NW_OK);
    assert_true(nw_flat_init(&flat, made, &options));
    one_set(&one, &table, NULL, (const char *const[]){"2", NULL});
    assert_int_equal(nw_json_flat(&out, &flat, &row, &err), NW_OK);
    is_text(
        &out,
        "{\"schema\":{\"type\":\"struct\",\"fields\":["
        "{\"type\":\"int32\",\"optional\":false,\"field\":\"id\"},"
        "{\"type\":\"string\",\"optional\":true,\"default\":\"x\",\"field\":\"v\"},"
        "{\"type\":\"string\",\"optional\":true,\"field\":\"__deleted\"},"
        "{\"type\":\"string\",\"optional\":true,\"field\":\"__op\"},"
        "{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium.data.Enum\",\"version\":1,"
        "\"parameters\":{\"allowed\":\"true,first,first_in_data_collection,"
        "last_in_data_collection,last,false,incremental\"},\"field\":\"__source_snapshot\"},"
        "{\"type\":\"string\",\"optional\":true,\"field\":\"region\"},"
        "{\"type\":\"string\",\"optional\":false,\"field\":\"zone\"}],"
        "\"optional\":false,\"name\":\"flat.shop.t.Value\"},"
        "\"payload\":{\"id\":2,\"v\":\"x\",\"__deleted\":\"false\",\"__op\":\"c\","
        "\"__source_snapshot\":null,"
        "\"region\":\"eu\",\"zone\":\"a=b\"}}");
    /* v is of ["string","null"] */
    assert_int_equal(nw_avro_flat(&out, &flat, &row, &err), NW_OK);
    is_hex(&out, "0402020a66616c7365020263000204657506613d62");
    made->options.null_as_default = true;
    assert_int_equal(nw_avro_flat(&out, &flat, &row, &err), NW_OK);
    is_hex(&out, "040002"
                 "78020a66616c7365020263000204657506613d62");
    nw_out_fini(&out);
    nw_flat_fini(&flat);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

static void fields_of_one_name_are_refused(void **state)
{
    static const struct nw_column_schema columns[] = {{.name = "a-b", REQUIRED(OID_INT4)},
                                                      {.name = "a_b", OPTIONAL(OID_TEXT)}};
    static const struct nw_column_schema taken[] = {{.name = "id", REQUIRED(OID_INT4)},
                                                    {.name = "__deleted", OPTIONAL(OID_TEXT)}};
    static const char *const same[] = {"op", "op", NULL};
    const struct {
        const struct nw_column_schema *columns;
        enum nw_flat_deletes deletes;
        const char *const *fields;
        const char *name; /* NULL: none is there twice */
    } cases[] = {
        {columns, NW_FLAT_DROP, NULL, "a_b"},
        {taken, NW_FLAT_DROP, NULL, NULL},
        {taken, NW_FLAT_REWRITE, NULL, "__deleted"},
        {taken, NW_FLAT_DROP, same, "__op"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct nw_table table = {.size = sizeof table,
                                       .schema_name = "shop",
                                       .name = "t",
                                       .columns = cases[i].columns,
                                       .columns_count = 2};
        struct nw_flat_options options = {.deletes = cases[i].deletes};
        struct nw_connect_table *made = connect_table(&table, "flat.shop.t");
        struct nw_flat flat;
        struct nw_error err = {0};
        char wanted[128];

        assert_int_equal(nw_added_read(&options.fields, cases[i].fields, "__", "add_fields", &err),
                         NW_OK);
        assert_true(nw_flat_init(&flat, made, &options));
        assert_int_equal(nw_format_fields_check(&flat.schema, &table, &err),
                         cases[i].name == NULL ? NW_OK : NW_REJECT);
        if (cases[i].name != NULL) {
            (void)snprintf(wanted, sizeof wanted,
                           "NW2719 shop.t: two fields would have the name %s:", cases[i].name);
            assert_memory_equal(err.text, wanted, strlen(wanted));
        }
        nw_flat_fini(&flat);
        nw_connect_table_destroy(made);
    }
}

static void a_flattened_row_is_debeziums(void **state)
{
    static const char *const fields[] = {"op", "table", "lsn", "source.ts_ms", "ts_ms:when", NULL};
    struct nw_connect_table *made = connect_table(&items, "flat.shop.items");
    struct nw_flat_options options = {.deletes = NW_FLAT_REWRITE_WITH_TOMBSTONE};
    struct nw_change change = {.op = 'u',
                               .after = true,
                               .snapshot = "false",
                               .commit_us = 1795989901851421,
                               .now_ns = 1795989901970000000,
                               .lsn = 22138592};
    struct one one;
    struct nw_row row = {.table = made,
                         .batch = &one.batch,
                         .origin = &items_origin,
                         .change = &change,
                         .scratch = nw_connect_scratch_create(made)};
    struct nw_flat flat;
    struct nw_out out = {0};
    struct nw_error err;

    (void)state;
    assert_int_equal(nw_added_read(&options.fields, fields, "__", "add_fields", &err), NW_OK);
    assert_true(nw_flat_init(&flat, made, &options));
    one_set(&one, &items, NULL, (const char *const[]){"1", "b", "3"});
    assert_int_equal(nw_json_flat(&out, &flat, &row, &err), NW_OK);
    is_text(&out, "{\"id\":1,\"v\":\"b\",\"n\":3,\"__deleted\":\"false\",\"__op\":\"u\","
                  "\"__table\":\"items\",\"__lsn\":22138592,\"__source_ts_ms\":1795989901851,"
                  "\"__when\":1795989901970}");
    assert_int_equal(nw_avro_flat(&out, &flat, &row, &err), NW_OK);
    is_hex(&out, "0202026206020a66616c7365020275020a6974656d7302c0bb8e"
                 "1502b6c8b895c56802a4cab895c568"); /* fastavro's */
    nw_avro_schema(&out, &flat.schema);
    is_text(&out,
            "{\"type\":\"record\",\"name\":\"Value\",\"namespace\":\"flat.shop.items\",\"fields\":["
            "{\"name\":\"id\",\"type\":\"int\"},"
            "{\"name\":\"v\",\"type\":[\"null\",\"string\"],\"default\":null},"
            "{\"name\":\"n\",\"type\":{\"type\":\"int\",\"connect.default\":3},\"default\":3},"
            "{\"name\":\"__deleted\",\"type\":[\"null\",\"string\"],\"default\":null},"
            "{\"name\":\"__op\",\"type\":[\"null\",\"string\"],\"default\":null},"
            "{\"name\":\"__table\",\"type\":[\"null\",\"string\"],\"default\":null},"
            "{\"name\":\"__lsn\",\"type\":[\"null\",\"long\"],\"default\":null},"
            "{\"name\":\"__source_ts_ms\",\"type\":[\"null\",\"long\"],\"default\":null},"
            "{\"name\":\"__when\",\"type\":[\"null\",\"long\"],\"default\":null}],"
            "\"connect.name\":\"flat.shop.items.Value\"}");
    /* the default identity: a delete has only the key, and Debezium takes the default for the rest
     */
    change.op = 'd';
    options.fields.count = 0;
    one_set(&one, &items, (const char *const[]){"2", "?", "?"}, NULL);
    assert_int_equal(nw_json_flat(&out, &flat, &row, &err), NW_OK);
    is_text(&out, "{\"id\":2,\"v\":null,\"n\":3,\"__deleted\":\"true\"}");
    options.deletes = NW_FLAT_TOMBSTONE;
    change.op = 'c';
    one_set(&one, &items, NULL, (const char *const[]){"2", NULL, "4"});
    assert_int_equal(nw_json_flat(&out, &flat, &row, &err), NW_OK);
    is_text(&out, "{\"id\":2,\"v\":null,\"n\":4}");
    nw_out_fini(&out);
    nw_flat_fini(&flat);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

static void what_can_be_added_is_found_as_debezium_does(void **state)
{
    static const struct {
        const char *setting;
        enum nw_meta meta;
        const char *name;
    } good[] = {{"op", NW_META_OP, "__op"},
                {"ts_ms", NW_META_MS, "__ts_ms"},
                {"source.ts_ms", NW_META_SOURCE_MS, "__source_ts_ms"},
                {"lsn", NW_META_LSN, "__lsn"},
                {"source.lsn:at", NW_META_LSN, "__at"},
                {"transaction.id", NW_META_TRANSACTION, "__transaction_id"},
                {"total_order", NW_META_TOTAL_ORDER, "__total_order"},
                {"name", NW_META_NAME, "__name"}};
    static const char *const bad[] = {"",          "nothing", "source.op", "transaction.lsn",
                                      "before.id", ".op",     "source.",   NULL};
    enum nw_meta meta;
    char name[NW_META_NAME_SIZE];
    struct nw_added added;
    struct nw_error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(nw_meta_find(good[i].setting, "__", &meta, name));
        assert_int_equal(meta, good[i].meta);
        assert_string_equal(name, good[i].name);
    }
    for (size_t i = 0; bad[i] != NULL; i++) {
        assert_false(nw_meta_find(bad[i], "__", &meta, name) && strcmp(bad[i], ".op") != 0);
    }
    assert_int_equal(nw_added_read(&added, bad, "__", "add_fields", &err), NW_FATAL);
    assert_memory_equal(err.text, "NW1003", 6);
}

static void a_cloudevent_is_debeziums(void **state)
{
    struct nw_connect_table *made = connect_table(&items, "cloud.shop.items");
    const struct nw_change change = {.op = 'c',
                                     .after = true,
                                     .snapshot = "false",
                                     .commit_us = 1795989901842276,
                                     .now_ns = 1795989901964000000,
                                     .lsn = 22138312,
                                     .sequence = "[null,\"22138312\"]",
                                     .xid = 741};
    const struct nw_out avro = {.bytes = (uint8_t[]){0, 0, 0, 0, 7, 255}, .used = 6};
    struct one one;
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &items_origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};
    struct nw_out out = {0};
    struct nw_error err;

    (void)state;
    one_set(&one, &items, NULL, (const char *const[]){"1", "a", "3"});
    assert_int_equal(nw_json_cloudevent(&out, &row, NULL, NULL, NULL, &err), NW_OK);
#define EVENT(type, data)                                                                          \
    "{\"id\":\"name:cloud;lsn:22138312;txId:741;sequence:[null,\\\"22138312\\\"]\","               \
    "\"source\":\"/debezium/postgresql/cloud\",\"specversion\":\"1.0\","                           \
    "\"type\":\"io.debezium.connector.postgresql.DataChangeEvent\","                               \
    "\"time\":\"2026-11-29T22:05:01.842Z\",\"datacontenttype\":" type ",\"iodebeziumop\":\"c\","   \
    "\"iodebeziumversion\":\"3.7.0.Final\",\"iodebeziumconnector\":\"postgresql\","                \
    "\"iodebeziumname\":\"cloud\",\"iodebeziumtsms\":\"1795989901842\","                           \
    "\"iodebeziumsnapshot\":\"false\",\"iodebeziumdb\":\"postgres\","                              \
    "\"iodebeziumsequence\":\"[null,\\\"22138312\\\"]\",\"iodebeziumtsus\":\"1795989901842276\","  \
    "\"iodebeziumtsns\":\"1795989901842276000\",\"iodebeziumschema\":\"shop\","                    \
    "\"iodebeziumtable\":\"items\",\"iodebeziumtxId\":\"741\",\"iodebeziumlsn\":\"22138312\","     \
    "\"iodebeziumxmin\":null,\"iodebeziumorigin\":null,\"iodebeziumoriginlsn\":null,"              \
    "\"iodebeziumtxid\":null,\"iodebeziumtxtotalorder\":null,"                                     \
    "\"iodebeziumtxdatacollectionorder\":null,\"data\":" data "}"
    is_text(&out, EVENT("\"application/json\"",
                        "{\"before\":null,\"after\":{\"id\":1,\"v\":\"a\",\"n\":3}}"));
    assert_int_equal(nw_json_cloudevent(&out, &row, NULL, "http://r/schemas/ids/7", &avro, &err),
                     NW_OK);
    is_text(&out, EVENT("\"application/avro\",\"dataschema\":\"http://r/schemas/ids/7\"",
                        "\"AAAAAAf/\""));
    {
        const struct nw_origin origin = {
            .name = "a\"\\b", .database = "d", .schema = "shop", .table = "items"};
        const struct nw_row named = {.table = made,
                                     .batch = &one.batch,
                                     .origin = &origin,
                                     .change = &change,
                                     .scratch = row.scratch};

        assert_int_equal(nw_json_cloudevent(&out, &named, NULL, NULL, NULL, &err), NW_OK);
        nw_out_bytes(&out, "", 1);
        assert_non_null(strstr((char *)out.bytes, "{\"id\":\"name:a\\\"\\\\b;lsn:22138312;"));
        assert_non_null(strstr((char *)out.bytes, "\"/debezium/postgresql/a\\\"\\\\b\","));
    }
    nw_out_fini(&out);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

/* As AvroData makes it of the schema in CloudEventsConverter.convertToCloudEventsFormat(). */
static void a_cloudevent_in_avro_is_debeziums(void **state)
{
#define TEXT(name)   "{\"name\":\"" name "\",\"type\":\"string\"},"
#define OPTION(name) "{\"name\":\"" name "\",\"type\":[\"null\",\"string\"],\"default\":null},"
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"c_d.my_db.CloudEvents\","
        "\"fields\":[" TEXT("id") TEXT("source") TEXT("specversion") TEXT("type") TEXT("time") TEXT(
            "datacontenttype") TEXT("dataschema") TEXT("iodebeziumop") TEXT("iodebeziumversion")
            TEXT("iodebeziumconnector") TEXT("iodebeziumname") TEXT("iodebeziumtsms") OPTION(
                "iodebeziumsnapshot") TEXT("iodebeziumdb") OPTION("iodebeziumsequence")
                OPTION("iodebeziumtsus") OPTION("iodebeziumtsns") TEXT("iodebeziumschema")
                    TEXT("iodebeziumtable") OPTION("iodebeziumtxId") OPTION("iodebeziumlsn") OPTION(
                        "iodebeziumxmin") OPTION("iodebeziumorigin") OPTION("iodebeziumoriginlsn")
                        OPTION("iodebeziumtxid") OPTION("iodebeziumtxtotalorder") OPTION(
                            "iodebeziumtxdatacollectionorder") ""
                                                               "{\"name\":\"data\",\"type\":"
                                                               "\"bytes\"}],\"connect.name\":\"c_d."
                                                               "my_db.CloudEvents.Envelope\"}";
    static const char *const texts[] = {"name:c-d;lsn:9;txId:7;sequence:[null,\"9\"]",
                                        "/debezium/postgresql/c-d",
                                        "1.0",
                                        "io.debezium.connector.postgresql.DataChangeEvent",
                                        "2026-11-29T22:05:01.842Z",
                                        "application/avro",
                                        "http://r/schemas/ids/7",
                                        "c",
                                        "3.7.0.Final",
                                        "postgresql",
                                        "c-d",
                                        "1795989901842",
                                        "+false",
                                        "my db",
                                        "+[null,\"9\"]",
                                        "+1795989901842276",
                                        "+1795989901842276000",
                                        "shop",
                                        "items",
                                        "+7",
                                        "+9",
                                        "-",
                                        "-",
                                        "-",
                                        "-",
                                        "-",
                                        "-"};
    static const struct nw_origin origin = {.version = NW_FORMAT_VERSION,
                                            .name = "c-d",
                                            .database = "my db",
                                            .schema = "shop",
                                            .table = "items"};
    static const struct nw_change change = {.op = 'c',
                                            .after = true,
                                            .snapshot = "false",
                                            .commit_us = 1795989901842276,
                                            .lsn = 9,
                                            .sequence = "[null,\"9\"]",
                                            .xid = 7};
    const struct nw_out data = {.bytes = (uint8_t[]){0, 0, 0, 0, 7, 255}, .used = 6};
    const struct nw_row row = {.origin = &origin, .change = &change};
    struct nw_cloud_avro cloud;
    struct nw_out out = {0};
    struct nw_out wanted = {0};
    struct nw_error err;

    (void)state;
    assert_true(nw_cloud_avro_init(&cloud, "c-d", "my db"));
    nw_avro_schema(&out, &cloud.schema);
    is_text(&out, schema);
    for (size_t i = 0; i < COUNT(texts); i++) { /* + and -: in a union with null */
        const char *text = texts[i];

        if (*text == '+' || *text == '-') {
            nw_avro_long(&wanted, *text == '+' ? 1 : 0);
            text++;
        }
        if (text == texts[i] || *texts[i] == '+') {
            nw_avro_bytes(&wanted, text, strlen(text));
        }
    }
    nw_avro_bytes(&wanted, data.bytes, data.used);
    out.used = 0;
    assert_int_equal(nw_avro_cloudevent(&out, &row, "http://r/schemas/ids/7", &data, &err), NW_OK);
    assert_int_equal(out.used, wanted.used);
    assert_memory_equal(out.bytes, wanted.bytes, wanted.used);
    nw_cloud_avro_fini(&cloud);
    nw_out_fini(&out);
    nw_out_fini(&wanted);
}

/* The data of CloudEvents as Debezium 3.7.0 wrote them, with and without
 * json.schemas.enable and json.replace.null.with.default. */
static void data_of_a_cloudevent_have_schemas_and_defaults(void **state)
{
    static const char schema[] =
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"struct\",\"fields\":[{\"typ"
        "e\":\"int32\",\"optional\":false,\"field\":\"id\"},{\"type\":\"string\",\"optional\""
        ":true,\"default\":\"d\",\"field\":\"v\"},{\"type\":\"bytes\",\"optional\":false,\"na"
        "me\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":{\"scale"
        "\":\"2\",\"connect.decimal.precision\":\"10\"},\"default\":\"AJY=\",\"field\":\"n\"}"
        "],\"optional\":true,\"name\":\"cloud.shop.items.Value\",\"field\":\"before\"},{\"typ"
        "e\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,\"field\":\"id\"},"
        "{\"type\":\"string\",\"optional\":true,\"default\":\"d\",\"field\":\"v\"},{\"type\":"
        "\"bytes\",\"optional\":false,\"name\":\"org.apache.kafka.connect.data.Decimal\",\"ve"
        "rsion\":1,\"parameters\":{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"},\"de"
        "fault\":\"AJY=\",\"field\":\"n\"}],\"optional\":true,\"name\":\"cloud.shop.items.Val"
        "ue\",\"field\":\"after\"}],\"optional\":false,\"name\":\"io.debezium.connector.postg"
        "resql.Data\"},";
    static const struct nw_column_schema columns[] = {
        {.name = "id", REQUIRED(OID_INT4)},
        {.name = "v", OPTIONAL(OID_TEXT), .default_expr = "'d'::text"},
        {.name = "n",
         .type_oid = 1700,
         .base_type_oid = 1700,
         .typmod = (10 << 16) + 2 + 4,
         .type = NW_TYPE_TEXT,
         .not_null = true,
         .default_expr = "1.5"}};
    static const struct nw_table table = {.size = sizeof table,
                                          .schema_name = "shop",
                                          .name = "items",
                                          .columns = columns,
                                          .columns_count = COUNT(columns),
                                          .key_columns = first,
                                          .key_columns_count = 1};
    static const struct nw_origin origin = {
        .name = "cloud", .database = "d", .schema = "shop", .table = "items"};
    const struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = nw_connect_table_create(&table, "cloud.shop.items", &options);
    const struct nw_connect_field images[] = {{"before", made->value}, {"after", made->value}};
    const struct nw_connect_schema data = {.kind = NW_CONNECT_STRUCT,
                                           .name = "io.debezium.connector.postgresql.Data",
                                           .fields = images,
                                           .fields_count = 2};
    const struct nw_change change = {.op = 'c', .after = true, .snapshot = "false", .lsn = 1};
    struct one one;
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};

    (void)state;
    one_set(&one, &table, NULL, (const char *const[]){"2", NULL, "4"});
    for (int mode = 0; mode < 4; mode++) {
        const bool schemas = (mode & 1) != 0;
        const bool defaults = (mode & 2) != 0;
        struct nw_cloud_json json;
        struct nw_out out = {0};
        struct nw_error err;
        char wanted[2048];

        (void)snprintf(
            wanted, sizeof wanted,
            "\"data\":%s%s{\"before\":null,\"after\":{\"id\":2,\"v\":%s,\"n\":\"AZA=\"}}%s}",
            schemas ? schema : "", schemas ? "\"payload\":" : "", defaults ? "\"d\"" : "null",
            schemas ? "}" : "");
        assert_true(nw_cloud_json_init(&json, schemas ? &data : NULL, defaults));
        assert_int_equal(nw_json_cloudevent(&out, &row, &json, NULL, NULL, &err), NW_OK);
        nw_out_bytes(&out, "", 1);
        assert_string_equal(strstr((char *)out.bytes, "\"data\":"), wanted);
        nw_out_fini(&out);
        nw_cloud_json_fini(&json);
    }
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_in_avro_is_debeziums),
        cmocka_unit_test(a_cloudevent_in_avro_is_debeziums),
        cmocka_unit_test(data_of_a_cloudevent_have_schemas_and_defaults),
        cmocka_unit_test(flattened_rows_have_schemas_and_defaults),
        cmocka_unit_test(fields_of_one_name_are_refused),
        cmocka_unit_test(a_flattened_row_is_debeziums),
        cmocka_unit_test(what_can_be_added_is_found_as_debezium_does),
        cmocka_unit_test(a_cloudevent_is_debeziums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
