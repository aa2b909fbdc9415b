/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as an outbox's messages. What they have to be is what Debezium 3.7.0 sent of the same rows
 * in PostgreSQL 15, through EventRouter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/format.h"
#include "lib/format/outbox.h"
#include "row_kit.h"

static const uint16_t first[] = {0};
static const struct nw_column_schema outbox_columns[] = {
    {.name = "id", REQUIRED(OID_UUID)},
    {.name = "aggregatetype", REQUIRED(OID_VARCHAR)},
    {.name = "aggregateid", REQUIRED(OID_VARCHAR)},
    {.name = "type", REQUIRED(OID_VARCHAR)},
    {.name = "payload", OPTIONAL(OID_JSONB)},
    {.name = "at", OPTIONAL(OID_TIMESTAMP)}};
static const struct nw_table outbox_table = {.size = sizeof outbox_table,
                                             .schema_name = "shop",
                                             .name = "outbox",
                                             .columns = outbox_columns,
                                             .columns_count = COUNT(outbox_columns),
                                             .key_columns = first,
                                             .key_columns_count = 1};
static const struct nw_outbox_options outbox_options = {.id = "id",
                                                        .route = "aggregatetype",
                                                        .key = "aggregateid",
                                                        .payload = "payload",
                                                        .topic = "outbox.event.{value}"};

/* Reads one row, whose columns are text where `plain`. */
static nw_status outbox_read(const struct nw_outbox_options *options, bool plain,
                             const char *payload, const char *at, struct nw_outbox_message *message,
                             struct nw_error *err)
{
    struct nw_column_schema columns[COUNT(outbox_columns)];
    struct nw_table table = outbox_table;
    struct nw_connect_table *made = NULL;
    struct nw_connect_scratch *scratch = NULL;
    struct nw_outbox *outbox = NULL;
    struct one one;
    nw_status status = NW_OK;

    memcpy(columns, outbox_columns, sizeof columns);
    columns[4].type_oid = columns[4].base_type_oid = plain ? OID_TEXT : OID_JSONB;
    table.columns = columns;
    made = connect_table(&table, "o.shop.outbox");
    scratch = nw_connect_scratch_create(made);
    one_set(&one, &table, NULL,
            (const char *const[]){"00000000-0000-0000-0000-000000000001", "order", "17",
                                  "OrderCreated", payload, at});
    assert_int_equal(nw_outbox_create(made, options, &outbox, err), NW_OK);
    status = nw_outbox_read(outbox, &one.batch, 0, scratch, message, err);
    nw_outbox_destroy(outbox);
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
    return status;
}

static void only_json_is_expanded(void **state)
{
    static const struct {
        const char *payload, *value;
        bool plain;
    } cases[] = {{"{not json", "\"{not json\"", true},
                 {"{\"a\":1} x", "\"{\\\"a\\\":1} x\"", true},
                 {"[1, {\"a\": null}] ", "[1, {\"a\": null}] ", true},
                 {"7", "\"7\"", true},
                 {"{\"a\": 1}", "{\"a\": 1}", false}};
    struct nw_outbox_options options = outbox_options;
    struct nw_error err;

    (void)state;
    options.form = NW_OUTBOX_EXPANDED;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nw_outbox_message message = {0};

        assert_int_equal(
            outbox_read(&options, cases[i].plain, cases[i].payload, NULL, &message, &err), NW_OK);
        is_text(&message.value, cases[i].value);
        nw_outbox_message_fini(&message);
    }
}

static void a_raw_null_is_no_value_and_an_empty_text_is_one(void **state)
{
    struct nw_outbox_options options = outbox_options;
    struct nw_outbox_message message = {0};
    struct nw_error err;

    (void)state;
    assert_int_equal(outbox_read(&options, true, NULL, NULL, &message, &err), NW_OK);
    assert_true(message.tombstone);
    nw_outbox_message_fini(&message);
    assert_int_equal(outbox_read(&options, true, "", NULL, &message, &err), NW_OK);
    assert_false(message.tombstone);
    assert_int_equal(message.value.used, 0);
    assert_non_null(message.value.bytes);
    options.form = NW_OUTBOX_JSON; /* what JsonConverter makes of it */
    assert_int_equal(outbox_read(&options, true, NULL, NULL, &message, &err), NW_OK);
    assert_false(message.tombstone);
    is_text(&message.value, "null");
    nw_outbox_message_fini(&message);
}

static void a_time_that_no_message_can_have_is_refused(void **state)
{
    static const char *const wrong[] = {"infinity", "-infinity", "1969-12-31 23:59:59.999999",
                                        "1970-01-01 00:00:00", "10000-01-01 00:00:00"};
    struct nw_outbox_options options = outbox_options;
    struct nw_outbox_message message = {0};
    struct nw_error err;

    (void)state;
    options.timestamp = "at";
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(outbox_read(&options, false, "1", wrong[i], &message, &err), NW_REJECT);
        assert_memory_equal(err.text, "NW2725 shop.outbox: a row's at ", 31);
    }
    assert_int_equal(outbox_read(&options, false, "1", "9999-12-31 23:59:59.9", &message, &err),
                     NW_OK);
    assert_true(message.timestamp_ms == 253402300799900);
    nw_outbox_message_fini(&message);
}

#define PAYLOAD "{\"id\": 1, \"big\": 12345678901, \"lines\": [{\"a\": 1.5, \"b\": null}]}"

/* A row's message with these options, as one text. */
static const char *routed(const struct nw_outbox_options *options, const char *payload)
{
    static char text[1024];
    struct nw_connect_table *made = connect_table(&outbox_table, "o.shop.outbox");
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(made);
    struct nw_outbox_message message = {0};
    struct nw_outbox *outbox = NULL;
    struct one one;
    struct nw_error err = {0};
    int used = 0;

    one_set(&one, &outbox_table, NULL,
            (const char *const[]){"00000000-0000-0000-0000-000000000001", "order", "17",
                                  "OrderCreated", payload, "2024-01-02 03:04:05.678"});
    assert_int_equal(nw_outbox_create(made, options, &outbox, &err), NW_OK);
    for (int i = 0; i < 2; i++) { /* a message is used again */
        assert_int_equal(nw_outbox_read(outbox, &one.batch, 0, scratch, &message, &err), NW_OK);
    }
    used = snprintf(text, sizeof text, "%s|%.*s|%.*s", (char *)message.topic.bytes,
                    (int)message.key.used, (char *)message.key.bytes, (int)message.value.used,
                    (char *)message.value.bytes);
    if (message.tombstone) {
        used = snprintf(text, sizeof text, "%s|%.*s|tombstone", (char *)message.topic.bytes,
                        (int)message.key.used, (char *)message.key.bytes);
    }
    for (uint32_t i = 0; i < message.headers_count; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "|%s=%.*s",
                         message.headers[i].name, (int)message.headers[i].size,
                         (char *)message.headers_text.bytes + message.headers[i].at);
    }
    if (message.timed) {
        (void)snprintf(text + used, sizeof text - (size_t)used, "|%lld",
                       (long long)message.timestamp_ms);
    }
    nw_outbox_message_fini(&message);
    nw_outbox_destroy(outbox);
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
    return text;
}

static void an_outbox_is_routed_as_debezium_does(void **state)
{
#define ID "|id=00000000-0000-0000-0000-000000000001"
    struct nw_outbox_options options = outbox_options;

    (void)state;
    assert_string_equal(routed(&options, PAYLOAD), "outbox.event.order|17|" PAYLOAD ID);
    options.timestamp = "at";
    options.form = NW_OUTBOX_EXPANDED;
    options.placements = (const char *const[]){"type:header:eventType", NULL};
    assert_string_equal(routed(&options, PAYLOAD), "outbox.event.order|\"17\"|" PAYLOAD ID
                                                   "|eventType=OrderCreated|1704164645678");
    options.timestamp = NULL;
    options.form = NW_OUTBOX_JSON;
    options.topic = "x.{value}.events";
    options.placements = (const char *const[]){"type:envelope:eventType", "type:header", NULL};
    options.tombstones = true;
    assert_string_equal(
        routed(&options, PAYLOAD),
        "x.order.events|\"17\"|{\"payload\":\"{\\\"id\\\": 1, \\\"big\\\": 12345678901, "
        "\\\"lines\\\": [{\\\"a\\\": 1.5, \\\"b\\\": null}]}\",\"eventType\":\"OrderCreated\"}" ID
        "|type=OrderCreated");
    assert_string_equal(routed(&options, NULL),
                        "x.order.events|\"17\"|tombstone" ID "|type=OrderCreated");
    options.form = NW_OUTBOX_RAW; /* in an envelope the payload is a JSON string all the same */
    options.placements = (const char *const[]){"type:envelope", NULL};
    assert_string_equal(routed(&options, "1"),
                        "x.order.events|17|{\"payload\":\"1\",\"type\":\"OrderCreated\"}" ID);
}

static void a_table_that_can_be_no_outbox_is_refused(void **state)
{
    struct nw_connect_table *made = connect_table(&outbox_table, "o.shop.outbox");
    struct nw_outbox_options options = outbox_options;
    struct nw_outbox *outbox = NULL;
    struct nw_error err = {0};

    (void)state;
    options.payload = "body";
    assert_int_equal(nw_outbox_create(made, &options, &outbox, &err), NW_REJECT);
    assert_string_equal(err.text, "NW2724 shop.outbox is an outbox by configuration, and has no "
                                  "column body of a type that a message can have");
    options = outbox_options;
    options.timestamp = "type";
    assert_int_equal(nw_outbox_create(made, &options, &outbox, &err), NW_REJECT);
    assert_memory_equal(err.text, "NW2724", 6);
    options = outbox_options;
    options.placements = (const char *const[]){"type:nowhere", NULL};
    assert_int_equal(nw_outbox_create(made, &options, &outbox, &err), NW_FATAL);
    nw_connect_table_destroy(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_json_is_expanded),
        cmocka_unit_test(a_raw_null_is_no_value_and_an_empty_text_is_one),
        cmocka_unit_test(a_time_that_no_message_can_have_is_refused),
        cmocka_unit_test(an_outbox_is_routed_as_debezium_does),
        cmocka_unit_test(a_table_that_can_be_no_outbox_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
