/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent beside rows, in Avro: its schemas as Debezium registers them, and its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "avro_kit.h"
#include "lib/format/notice_avro.h"
#include "lib/format/notice_schema.h"

/* vectors/debezium_avro_notices.avsc is what Debezium 3.7.0 registered through Confluent's
 * AvroConverter; contents of messages as bytes, and as texts. */
static void the_schemas_of_notices_are_debeziums(void **state)
{
    const struct nw_connect_schema *schemas[] = {&nw_message_key_schema,
                                                 nw_message_value_schema(NW_BINARIES_BYTES),
                                                 nw_message_value_schema(NW_BINARIES_HEX),
                                                 &nw_transaction_key_schema,
                                                 &nw_transaction_value_schema,
                                                 &nw_heartbeat_key_schema,
                                                 &nw_heartbeat_value_schema,
                                                 &nw_notification_key_schema,
                                                 &nw_notification_value_schema};
    FILE *file = fopen(NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium_avro_notices.avsc", "r");
    char expected[4096];

    (void)state;
    assert_non_null(file);
    for (uint32_t i = 0; i < COUNT(schemas); i++) {
        assert_non_null(fgets(expected, sizeof expected, file));
        expected[strcspn(expected, "\n")] = '\0';
        schema_is(schemas[i], expected);
    }
    (void)fclose(file);
}

static void appended_is(struct nw_out *out, const char *hex)
{
    struct nw_out printed = {0};

    assert_false(out->failed);
    nw_out_hex(&printed, out->bytes, out->used);
    nw_out_bytes(&printed, "", 1);
    assert_string_equal((char *)printed.bytes, hex);
    nw_out_fini(&printed);
    out->used = 0;
}

static void a_key_has_a_branch_where_debezium_has_an_optional_field(void **state)
{
    struct nw_out out = {0};

    (void)state;
    nw_avro_notice_key(&out, &nw_transaction_key_schema, "7:9");
    appended_is(&out, "06373a39");
    nw_avro_notice_key(&out, &nw_message_key_schema, "app");
    appended_is(&out, "0206617070");
    nw_out_fini(&out);
}

static void a_transactions_counts_are_one_block(void **state)
{
    const struct nw_table table = {.size = sizeof table, .schema_name = "s", .name = "t"};
    const struct nw_table_count count = {.table = &table, .rows_count = 2};
    struct nw_event event = {.size = sizeof event, .kind = NW_EVENT_BEGIN, .commit_ts = 5000};
    struct nw_out out = {0};

    (void)state;
    nw_avro_transaction(&out, &event, "7:9", 1); /* BEGIN has none */
    appended_is(&out, "0a424547494e"
                      "06373a39"
                      "0000"
                      "0a");
    event.kind = NW_EVENT_COMMIT;
    nw_avro_transaction(&out, &event, "7:9", 0);
    appended_is(&out, "06454e44"
                      "06373a39"
                      "0200"
                      "0200"
                      "0a");
    event.counts = &count;
    event.counts_count = 1;
    nw_avro_transaction(&out, &event, "7:9", 1);
    appended_is(&out, "06454e44"
                      "06373a39"
                      "0206"
                      "0204"
                      "0206732e7404"
                      "02304c4f474943414c5f4445434f44494e475f4d45535341474502"
                      "00"
                      "0a");
    nw_out_fini(&out);
}

static void a_message_is_its_bytes_or_a_text_of_them(void **state)
{
    static const char *const contents[] = {[NW_BINARIES_BYTES] = "06ff003e",
                                           [NW_BINARIES_BASE64] = "082f77412b",
                                           [NW_BINARIES_BASE64_URL_SAFE] = "085f77412d",
                                           [NW_BINARIES_HEX] = "0c666630303365"};
    static const uint8_t content[] = {0xff, 0x00, 0x3e};
    const struct nw_origin origin = {.version = "v", .name = "p", .database = "d"};
    const struct nw_event event = {.size = sizeof event,
                                   .kind = NW_EVENT_MESSAGE,
                                   .prefix = "app",
                                   .content = content,
                                   .content_size = sizeof content};
    struct nw_change change = {
        .op = 'm', .snapshot = "false", .commit_us = 1000, .now_ns = 2000000, .lsn = 1};
    struct nw_out out = {0};

    (void)state;
    for (uint32_t i = 0; i < 2 * COUNT(contents); i++) {
        const enum nw_connect_binaries binaries = (enum nw_connect_binaries)(i % COUNT(contents));
        struct nw_error err;
        char hex[256];

        change.transaction = i < COUNT(contents) ? NULL : "7:9";
        change.total_order = 3;
        change.table_order = 1;
        assert_int_equal(nw_avro_message(&out, &event, &origin, &change, binaries, &err), NW_OK);
        (void)snprintf(hex, sizeof hex, "%s%s%s%s",
                       "026d"
                       "0204"
                       "0276"
                       "14706f737467726573716c"
                       "0270"
                       "02"
                       "000a66616c7365" /* snapshot, whose null is the last branch */
                       "0264"
                       "00"
                       "02d00f"
                       "0280897a"
                       "0000" /* neither schema nor table */
                       "00"
                       "0202"
                       "000000",
                       change.transaction == NULL ? "00" : "0206373a390602",
                       "0206617070"
                       "02",
                       contents[binaries]);
        appended_is(&out, hex);
    }
    nw_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schemas_of_notices_are_debeziums),
        cmocka_unit_test(a_key_has_a_branch_where_debezium_has_an_optional_field),
        cmocka_unit_test(a_transactions_counts_are_one_block),
        cmocka_unit_test(a_message_is_its_bytes_or_a_text_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
