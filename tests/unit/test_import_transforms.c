/* SPDX-License-Identifier: Apache-2.0 */
/* Connect's transforms as narwal's: which are taken, and which are refused with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "import_kit.h"

static void transforms_that_cannot_be_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *more, *why;
    } cases[] = {
        {"\"type\":\"org.apache.kafka.connect.transforms.TimestampConverter$Value\"",
         "time.precision.mode"},
        {"\"type\":\"my.Own\"", "docs/debezium.md lists"},
        {"\"type\":\"io.debezium.transforms.Filter\"", "where in transforms"},
        {"\"type\":\"org.apache.kafka.connect.transforms.ValueToKey\",\"fields\":\"a\"",
         "behind ExtractNewRecordState"},
        {"\"type\":\"org.apache.kafka.connect.transforms.ExtractField$Key\"", "wants field"},
        {"\"type\":\"org.apache.kafka.connect.transforms.RegexRouter\"", "wants regex"},
        {"\"type\":\"org.apache.kafka.connect.transforms.RegexRouter\",\"regex\":\"a.*?\","
         "\"replacement\":\"b\"",
         "*? is not there"},
        {"\"type\":\"io.debezium.transforms.ByLogicalTableRouter\",\"topic.regex\":\"a\","
         "\"topic.replacement\":\"b\",\"schema.name.adjustment.mode\":\"avro\"",
         "schema.name.adjustment.mode is not"},
        {"\"type\":\"io.debezium.transforms.ByLogicalTableRouter\",\"topic.regex\":\"a\","
         "\"topic.replacement\":\"b\",\"key.field.regex\":\"b\"",
         "key.field.replacement"},
        {"\"type\":\"org.apache.kafka.connect.transforms.InsertHeader\"", "value.literal"},
        {"\"type\":\"org.apache.kafka.connect.transforms.DropHeaders\",\"headers\":\"a\"",
         "left out together"},
        {"\"type\":\"org.apache.kafka.connect.transforms.ReplaceField$Value\",\"exclude\":\"a\"",
         "behind ExtractNewRecordState"},
        {"\"type\":\"org.apache.kafka.connect.transforms.InsertField$Value\"", "static.field"},
        {"\"type\":\"org.apache.kafka.connect.transforms.Filter\",\"predicate\":\"x\"",
         "RecordIsTombstone"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024] = "{" CLASS ",\"transforms\":\"t\"";
        size_t refused = 0;
        const char *at = cases[i].more;
        char *text = NULL;

        for (size_t used = strlen(json); *at != '\0';) {
            size_t size = strcspn(at, "\"") + 1; /* each name is one of the transform's */

            size += strcspn(at + size, "\"") + 1;
            size += strcspn(at + size, "\"") + 1;
            size += strcspn(at + size, "\"") + 1;
            used += (size_t)snprintf(json + used, sizeof json - used, ",\"transforms.t.%.*s",
                                     (int)(size - 1), at + 1);
            at += size + (at[size] == ',');
        }
        (void)snprintf(json + strlen(json), sizeof json - strlen(json), "}");
        text = made(json, &refused);
        if (refused != 1 || strstr(text, cases[i].why) == NULL) {
            fail_msg("%s: %zu refused: %s", cases[i].why, refused, text);
        }
        free(text);
    }
}

#define UNWRAP "\"transforms.u.type\":\"io.debezium.transforms.ExtractNewRecordState\""
#define FIELDS                                                                                     \
    "\"transforms\":\"u,f\",\"transforms.f.type\":"                                                \
    "\"org.apache.kafka.connect.transforms.ReplaceField$Value\""
#define SIGNALS "\"table.include.list\":\"public.a\",\"signal.data.collection\":\"public.signals\""

static void lists_of_fields_are_refused_that_are_none_of_columns(void **state)
{
    static const struct {
        const char *more, *why; /* NULL: it is taken */
    } cases[] = {
        {FIELDS "," UNWRAP ",\"transforms.f.include\":\"id,v\"", NULL},
        {FIELDS "," UNWRAP ",\"transforms.u.add.fields\":\"op\",\"transforms.f.include\":\"id,v\"",
         "added in front of it"},
        {FIELDS "," UNWRAP ",\"transforms.u.add.fields\":\"op\",\"transforms.f.exclude\":\"v\"",
         NULL},
        {FIELDS "," UNWRAP ",\"transforms.u.delete.tombstone.handling.mode\":\"rewrite\","
                "\"transforms.f.include\":\"id,v\"",
         "added in front of it"},
        {FIELDS "," UNWRAP "," SIGNALS ",\"transforms.f.exclude\":\"v,type\"",
         "signal.data.collection"},
        {FIELDS "," UNWRAP "," SIGNALS ",\"transforms.f.exclude\":\"v\"", NULL},
        {FIELDS "," UNWRAP "," SIGNALS ",\"transforms.f.include\":\"id,v\"",
         "signal.data.collection"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refused_or_taken(cases[i].more, cases[i].why);
    }
}

#define KEY(alias, more) "\"transforms." alias ".type\":\"org.apache.kafka.connect.transforms." more
#define ALL                                                                                        \
    "\"predicates\":\"p\",\"predicates.p.type\":\"" NW_DEBEZIUM_TOPICS "\","                       \
    "\"topic.prefix\":\"dbz\",\"predicates.p.pattern\":"
#define ON "\"transforms.x.predicate\":\"p\",\"transforms.x.negate\":"

static void transforms_of_keys_and_predicates_are_taken_where_nothing_differs(void **state)
{
    static const struct {
        const char *more, *why; /* NULL: it is taken */
    } cases[] = {
        {"\"transforms\":\"x\"," KEY("x", "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"",
         NULL},
        {"\"transforms\":\"u,k\"," UNWRAP
         "," KEY("k", "ValueToKey\"") ",\"transforms.k.fields\":\"id\"",
         "at a tombstone"},
        {"\"transforms\":\"u,k\"," UNWRAP ",\"tombstones.on.delete\":\"false\"," KEY(
             "k", "ValueToKey\"") ",\"transforms.k.fields\":\"id\"",
         NULL},
        {"\"transforms\":\"u,x,k\"," UNWRAP ",\"tombstones.on.delete\":\"false\"," KEY(
             "k",
             "ValueToKey\"") ",\"transforms.k.fields\":\"id\"," KEY("x",
                                                                    "ExtractField$Key\"") ",\"trans"
                                                                                          "forms.x."
                                                                                          "field\":"
                                                                                          "\"id\"",
         "put it in front"},
        {"\"transforms\":\"x\"," KEY(
             "x", "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                        "\"__debezium-heartbeat.*\"," ON "\"true\"",
         NULL},
        {"\"transforms\":\"x\"," KEY(
             "x", "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                        "\"__debezium-heartbeat.*\"," ON "\"false\"",
         "all tables' messages"},
        {"\"transforms\":\"x\"," KEY("x",
                                     "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                                           "\"dbz.*\"," ON "\"false\"",
         NULL},
        {"\"transforms\":\"x\"," KEY(
             "x", "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                        "\"dbz\\\\.public\\\\.a\"," ON "\"true\"",
         "all tables' messages"},
        {"\"transforms\":\"x\"," KEY("x",
                                     "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                                           "\"a|dbz.b\"," ON "\"true\"",
         "all tables' messages"},
        {"\"transforms\":\"x\"," KEY("x",
                                     "ExtractField$Key\"") ",\"transforms.x.field\":\"id\"," ALL
                                                           "\"d?x.*\"," ON "\"true\"",
         "all tables' messages"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refused_or_taken(cases[i].more, cases[i].why);
    }
}

static void headers_are_refused_that_connect_would_write_otherwise(void **state)
{
    static const char *const kept[] = {"eu",    "",    "7",    "-70", "1.5",
                                       "1.2.3", "3rd", "true", "a:b", "v1.0"};
    static const char *const parsed[] = {"1.0",    "007",    "+7",   "1e3",        "null",
                                         "[1, 2]", " a",     "-0",   "2024-01-15", "12:30",
                                         "{a",     "0.0001", "7 a:b"};

    (void)state;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0] + sizeof parsed / sizeof parsed[0]; i++) {
        bool keeps = i < sizeof kept / sizeof kept[0];
        const char *literal = keeps ? kept[i] : parsed[i - sizeof kept / sizeof kept[0]];

        imported(!keeps, keeps ? NULL : "Connect parses it",
                 "\"transforms\":\"t\",\"transforms.t.type\":"
                 "\"org.apache.kafka.connect.transforms.InsertHeader\","
                 "\"transforms.t.header\":\"h\",\"transforms.t.value.literal\":\"%s\"",
                 literal);
    }
}

#define LOGICAL                                                                                    \
    "\"transforms\":\"t\",\"transforms.t.type\":\"io.debezium.transforms.ByLogicalTableRouter\","  \
    "\"transforms.t.topic.replacement\":\"all\""
#define SHARED  LOGICAL ",\"transforms.t.key.enforce.uniqueness\":\"false\""
#define MATCHES ",\"transforms.t.topic.regex\":\"p\\\\..*\""
#define JSON_VALUES                                                                                \
    ",\"value.converter\":\"" NW_DEBEZIUM_JSON "\",\"value.converter.schemas.enable\":\"false\""
#define JSON_KEYS  ",\"key.converter\":\"" NW_DEBEZIUM_JSON "\""
#define NO_SCHEMAS JSON_VALUES JSON_KEYS ",\"key.converter.schemas.enable\":\"false\""

static void logical_routers_are_looked_at_for_keys_too(void **state)
{
    static const struct {
        const char *more, *text;
        size_t refused;
    } cases[] = {
        {SHARED MATCHES NO_SCHEMAS, "routes: [\"p\\\\..* => all\"]", 0},
        {SHARED MATCHES JSON_VALUES, "routes: [\"p\\\\..* => all => -\"]", 0},
        {SHARED MATCHES JSON_VALUES JSON_KEYS, "routes: [\"p\\\\..* => all => -\"]", 0},
        {SHARED MATCHES JSON_VALUES
         ",\"key.converter\":\"org.apache.kafka.connect.storage.StringConverter\"",
         "routes: [\"p\\\\..* => all\"]", 0},
        {SHARED MATCHES JSON_VALUES ",\"schema.name.adjustment.mode\":\"avro\"",
         "schema.name.adjustment.mode is not the connector's", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        imported(cases[i].refused, cases[i].text, "\"topic.prefix\":\"p\",%s", cases[i].more);
    }
}

#define BEATS ",\"heartbeat.interval.ms\":\"1000\""
#define NOTES                                                                                      \
    ",\"notification.enabled.channels\":\"log,sink\",\"notification.sink.topic.name\":\"p.notes\""
#define WITHOUT_BEATS                                                                              \
    ",\"transforms.t.predicate\":\"b\",\"transforms.t.negate\":\"true\",\"predicates\":\"b\","     \
    "\"predicates.b.pattern\":\"__debezium-heartbeat.*\",\"predicates.b.type\":"                   \
    "\"" NW_DEBEZIUM_TOPICS "\""
#define EVERY                                                                                      \
    "\"transforms\":\"t\",\"transforms.t.type\":\"org.apache.kafka.connect.transforms."            \
    "RegexRouter\","                                                                               \
    "\"transforms.t.regex\":\".*\",\"transforms.t.replacement\":\"all\""
#define TRANSACTIONS ",\"provide.transaction.metadata\":\"true\""

static void routers_that_meet_what_is_beside_rows_are_refused(void **state)
{
    static const struct {
        const char *more, *why; /* NULL: it is taken */
    } cases[] = {
        {LOGICAL MATCHES, NULL},
        {LOGICAL MATCHES BEATS, NULL},
        {LOGICAL MATCHES ",\"heartbeat.interval.ms\":\"0\",\"topic.heartbeat.name\":\"p.beats\"",
         NULL},
        {LOGICAL MATCHES BEATS ",\"topic.heartbeat.name\":\"p.beats\"", "it matches p.beats too"},
        {LOGICAL MATCHES TRANSACTIONS, "it matches p.transaction too, whose keys"},
        {LOGICAL MATCHES TRANSACTIONS ",\"topic.transaction\":\"t\"", "it matches p.t too"},
        {SHARED MATCHES TRANSACTIONS, "it matches p.transaction too"}, /* the name of its schema */
        {SHARED MATCHES TRANSACTIONS NO_SCHEMAS, NULL},
        {LOGICAL MATCHES NOTES, "it matches p.notes too"},
        {LOGICAL
         ",\"transforms.t.topic.regex\":\"p\\\\.(?<schema>\\\\w+)\\\\.(?:a|b)\\\\d?\"" TRANSACTIONS
             NOTES,
         NULL},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.(?<name>\\\\w+)\"" TRANSACTIONS,
         "it matches"},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.[\\\\w.]+\"" TRANSACTIONS, "it matches"},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p[^\\\\d]+\"" TRANSACTIONS, "it matches"},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.\\\\D\\\\S+\"" TRANSACTIONS, "it matches"},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.[\\\\d]+\"" TRANSACTIONS, NULL},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.\\\\d\\\\W\\\\s+\"" TRANSACTIONS, NULL},
        {LOGICAL ",\"transforms.t.topic.regex\":\"p\\\\.transaction[\\\\-x]?\"" TRANSACTIONS,
         "it matches"}, /* or might */
        {EVERY BEATS, NULL},
        {EVERY BEATS WITHOUT_BEATS, "__debezium-heartbeat.p, too, which the predicate leaves out"},
        {EVERY TRANSACTIONS WITHOUT_BEATS, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        imported(cases[i].why != NULL, cases[i].why, "\"topic.prefix\":\"p\",%s", cases[i].more);
    }
}

static void a_router_in_front_of_an_outbox_is_refused(void **state)
{
    static const char *const types[] = {
        "\"org.apache.kafka.connect.transforms.RegexRouter\",\"transforms.r.regex\":\"a\","
        "\"transforms.r.replacement\":\"b\"",
        "\"io.debezium.transforms.ByLogicalTableRouter\",\"transforms.r.topic.regex\":\"a\","
        "\"transforms.r.topic.replacement\":\"b\",\"transforms.r.key.enforce.uniqueness\":"
        "\"false\","
        "\"value.converter\":\"org.apache.kafka.connect.json.JsonConverter\","
        "\"value.converter.schemas.enable\":\"false\","
        "\"key.converter\":\"org.apache.kafka.connect.json.JsonConverter\","
        "\"key.converter.schemas.enable\":\"false\""};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        imported(1, "in front of EventRouter it does nothing",
                 "\"table.include.list\":\"public.outbox\",\"transforms\":\"r,o\","
                 "\"transforms.o.type\":\"io.debezium.transforms.outbox.EventRouter\","
                 "\"transforms.r.type\":%s",
                 types[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transforms_that_cannot_be_are_refused_with_the_reason),
        cmocka_unit_test(lists_of_fields_are_refused_that_are_none_of_columns),
        cmocka_unit_test(transforms_of_keys_and_predicates_are_taken_where_nothing_differs),
        cmocka_unit_test(headers_are_refused_that_connect_would_write_otherwise),
        cmocka_unit_test(logical_routers_are_looked_at_for_keys_too),
        cmocka_unit_test(routers_that_meet_what_is_beside_rows_are_refused),
        cmocka_unit_test(a_router_in_front_of_an_outbox_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
