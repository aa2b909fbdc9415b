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
         "behind ExtractNewRecordState"},
        {"\"type\":\"org.apache.kafka.connect.transforms.TimestampRouter\"", "no time yet"},
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
        {"\"type\":\"org.apache.kafka.connect.transforms.InsertField$Value\"",
         "behind ExtractNewRecordState"},
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

#define UNWRAP  "\"transforms.u.type\":\"io.debezium.transforms.ExtractNewRecordState\""
#define SIGNALS ",\"table.include.list\":\"public.a\",\"signal.data.collection\":\"public.signals\""

#define CONNECT(alias, class)                                                                      \
    "\"transforms." alias ".type\":\"org.apache.kafka.connect.transforms." class "\""
#define F(name, value) ",\"transforms.f." name "\":\"" value "\""

/* Behind ExtractNewRecordState: the steps that a transform becomes, or why it is refused. */
static void transforms_of_values_are_steps(void **state)
{
    static const struct {
        const char *more, *text;
        size_t refused;
    } cases[] = {
        {CONNECT("f", "ReplaceField$Value") F("include", "id,v"), "reshape: [\"keep id, v\"]", 0},
        {CONNECT("f", "ReplaceField$Value") F("exclude", "__op,v") SIGNALS,
         "reshape: [\"drop __op, v\"]", 0},
        {CONNECT("f", "ReplaceField$Value") F("exclude", "v") F("renames", "a:b, b:a"),
         "reshape: [\"drop v\", \"rename a: b, b: a\"]", 0},
        {CONNECT("f", "ReplaceField$Value")
             F("exclude", "v") ",\"value.converter.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\", \"drop v\"]", 0},
        {CONNECT("f", "ReplaceField$Value") F("renames", "a"), "wants FIELD:WORD", 1},
        {CONNECT("f", "ReplaceField$Value") F("renames", "a: b"), "blanks beside :", 1},
        {CONNECT("f", "ReplaceField$Value") F("renames", "c:d,a :b"), "blanks beside :", 1},
        {CONNECT("f", "MaskField$Value") F("fields", "a,b"),
         "reshape: [\"defaults\", \"mask a, b\"]", 0},
        {CONNECT("f", "MaskField$Value") F("fields", "a") F("replacement", "***")
             F("replace.null.with.default", "false"),
         "reshape: [\"mask a = ***\"]", 0},
        {CONNECT("f", "MaskField$Value") F("fields", "a") F("replacement", "${file:x:y}"),
         "give the text", 1},
        {CONNECT("f", "MaskField$Value"), "wants fields", 1},
        {CONNECT("f", "MaskField$Value") F("fields", "a=b"), "cannot be said", 1},
        {CONNECT("f", "MaskField$Value")
             F("fields", "id") ",\"provide.transaction.metadata\":\"true\"",
         "messages of p.transaction", 1},
        {CONNECT("f", "MaskField$Value") F("fields", "ts_ms") ",\"heartbeat.interval.ms\":\"1000\"",
         "messages of __debezium-heartbeat.p", 1},
        {CONNECT("f", "Cast$Value") F("spec", "a:INT32, b:string"),
         "reshape: [\"defaults\", \"cast a: int32, b: string\"]", 0},
        {CONNECT("f", "Cast$Value") F("spec", "a:decimal"), "int8, int16", 1},
        {CONNECT("f", "Cast$Value") F("spec", "string"), "wants FIELD:WORD", 1},
        {CONNECT("f", "TimestampConverter$Value") F("field", "at") F("target.type", "unix")
             F("unix.precision", "microseconds"),
         "reshape: [\"defaults\", \"time at: unix us\"]", 0},
        {CONNECT("f", "TimestampConverter$Value") F("field", "at") F("target.type", "string")
             F("format", "yyyy-MM-dd'T'HH:mm"),
         "reshape: [\"defaults\", \"time at: string = yyyy-MM-dd'T'HH:mm\"]", 0},
        {CONNECT("f", "TimestampConverter$Value") F("field", "at") F("target.type", "string"),
         "wants format", 1},
        {CONNECT("f", "TimestampConverter$Value") F("target.type", "Date"), "wants field", 1},
        {CONNECT("f", "TimestampConverter$Value") F("field", "at") F("target.type", "date"),
         "no such word", 1},
        {CONNECT("f", "InsertField$Value") F("static.field", "by!") F("static.value", "me"),
         "add_fields: [\"by!=me\"]", 0},
        {CONNECT("f", "InsertField$Value") F("topic.field", "of") F("static.field", "by")
             F("static.value", " me"),
         "reshape: [\"topic of\", \"insert by = me\"]", 0},
        {CONNECT("f", "InsertField$Value") F("timestamp.field", "at"), "source.ts_ms", 2},
        {CONNECT("f", "InsertField$Value") F("offset.field", "o") F("topic.field", "of"),
         "only connectors that read topics", 1},
        {"\"transforms.f.type\":\"io.debezium.transforms.HeaderToValue\"" F("headers", "__op,__at")
             F("fields", "op,when") F(
                 "operation", "move") ",\"transforms.u.add.headers\":\"source.ts_ms:at,table,op\"",
         "add_headers: [\"table\"]", 0},
        {"\"transforms.f.type\":\"io.debezium.transforms.HeaderToValue\"" F(
             "headers", "__op,__source_ts_ms") F("fields", "op,when")
             F("operation", "copy") ",\"transforms.u.add.headers\":\"source.ts_ms,op\"",
         "reshape: [\"envelope source.ts_ms: when\", \"envelope op: op\"]", 0},
        {"\"transforms.f.type\":\"io.debezium.transforms.HeaderToValue\"" F("headers", "other")
             F("fields", "op") F("operation", "copy"),
         "add.headers of ExtractNewRecordState", 1},
        {"\"transforms.f.type\":\"io.debezium.transforms.HeaderToValue\"" F("headers", "__op")
             F("fields", "a.b") F("operation", "copy"),
         "without a dot", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[2048];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json,
                       "{" CLASS ",\"topic.prefix\":\"p\",\"transforms\":\"u,f\"," UNWRAP ",%s}",
                       cases[i].more);
        text = made(json, &refused);
        if (refused != cases[i].refused || strstr(text, cases[i].text) == NULL) {
            fail_msg("%zu %s: %zu refused: %s", i, cases[i].more, refused, text);
        }
        free(text);
    }
}

/* What of several replaces NULL by defaults does so for those behind it. */
static void defaults_are_there_for_steps_behind(void **state)
{
    static const struct {
        const char *more, *text; /* text NULL: there is no reshape */
    } cases[] = {
        {"\"transforms\":\"u,f,m\"," UNWRAP "," CONNECT("f", "ReplaceField$Value")
             F("exclude", "v") "," CONNECT(
                 "m", "MaskField$Value") ",\"transforms.m.fields\":\"a\","
                                         "\"transforms.m.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\", \"drop v\", \"mask a\"]"},
        {"\"transforms\":\"u,m,f\"," UNWRAP "," CONNECT("f", "ReplaceField$Value")
             F("exclude", "v") "," CONNECT(
                 "m", "MaskField$Value") ",\"transforms.m.fields\":\"a\","
                                         "\"transforms.m.replace.null.with.default\":\"false\"",
         "reshape: [\"mask a\", \"defaults\", \"drop v\"]"},
        {"\"transforms\":\"u,f,m\"," UNWRAP "," CONNECT("f", "InsertField$Value")
             F("static.field", "by") F("static.value", "me") "," CONNECT(
                 "m", "MaskField$Value") ",\"transforms.m.fields\":\"a\","
                                         "\"transforms.m.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\", \"insert by = me\", \"mask a\"]"},
        {"\"transforms\":\"u,f,m\"," UNWRAP ",\"transforms.f.type\":\"io.debezium.transforms."
         "HeaderToValue\"" F("headers", "__op") F("fields", "op") F(
             "operation",
             "copy") ","
                     "\"transforms.u.add.headers\":\"op\"," CONNECT(
                         "m",
                         "MaskField$Value") ",\"transforms.m.fields\":\"a\","
                                            "\"transforms.m.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\", \"envelope op: op\", \"mask a\"]"},
        {"\"transforms\":\"u,m\"," UNWRAP ",\"transforms.u.delete.tombstone.handling.mode\":"
         "\"rewrite\"," CONNECT(
             "m", "MaskField$Value") ",\"transforms.m.fields\":\"a\","
                                     "\"transforms.m.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\", \"mask a\"]"},
        {"\"transforms\":\"u\"," UNWRAP ",\"transforms.u.delete.handling.mode\":\"rewrite\","
         "\"value.converter.replace.null.with.default\":\"false\"",
         "reshape: [\"defaults\"]"},
        {"\"transforms\":\"u\"," UNWRAP ",\"transforms.u.delete.handling.mode\":\"rewrite\"", NULL},
        {"\"transforms\":\"u\"," UNWRAP ",\"value.converter.replace.null.with.default\":\"false\"",
         NULL},
        {"\"transforms\":\"u,f\"," UNWRAP ",\"value.converter\":\"" NW_DEBEZIUM_AVRO
         "\",\"value.converter.schema.registry.url\":\"http://r\",\"key.converter\":"
         "\"" NW_DEBEZIUM_AVRO "\",\"key.converter.schema.registry.url\":\"http://r\","
         "\"value.converter.ignore.default.for.nullables\":\"true\"," CONNECT(
             "f", "ReplaceField$Value") F("exclude", "v"),
         "reshape: [\"defaults\", \"drop v\"]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[2048];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",\"topic.prefix\":\"p\",%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != 0 || (cases[i].text == NULL ? strstr(text, "reshape") != NULL
                                                   : strstr(text, cases[i].text) == NULL)) {
            fail_msg("%zu: %zu refused: %s", i, refused, text);
        }
        free(text);
    }
}

static void a_topic_in_a_value_is_refused_in_front_of_a_router(void **state)
{
    (void)state;
    refused_or_taken(
        "\"transforms\":\"u,f,r\"," UNWRAP
        "," CONNECT("f", "InsertField$Value") F("topic.field", "of") "," CONNECT(
            "r", "RegexRouter") ",\"transforms.r.regex\":\"a\",\"transforms.r.replacement\":\"b\"",
        "behind routers");
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

#define TO_KEY(order, more)                                                                        \
    "\"transforms\":\"" order "\"," UNWRAP ",\"tombstones.on.delete\":\"false\","                  \
    "\"topic.prefix\":\"p\"," KEY("k", "ValueToKey\"") ",\"transforms.k.fields\":\"b, a\"," more

static void keys_are_made_of_columns_as_they_are(void **state)
{
    static const char changed[] = "a is no column as it is behind f";
    static const struct {
        const char *more, *why; /* NULL: it is taken */
    } cases[] = {
        {TO_KEY("u,f,k", CONNECT("f", "MaskField$Value") F("fields", "c,a")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "MaskField$Value") F("fields", "c")), NULL},
        {TO_KEY("u,k,f", CONNECT("f", "MaskField$Value") F("fields", "a")), NULL},
        {TO_KEY("u,f,k", CONNECT("f", "Cast$Value") F("spec", "c:string,a :int32")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "Cast$Value") F("spec", "c:string")), NULL},
        {TO_KEY("u,f,k",
                CONNECT("f", "TimestampConverter$Value") F("field", "a") F("target.type", "unix")),
         changed},
        {TO_KEY("u,f,k", CONNECT("f", "ReplaceField$Value") F("renames", "c:a")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "ReplaceField$Value") F("renames", "a:c")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "ReplaceField$Value") F("exclude", "a")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "ReplaceField$Value") F("include", "b,c")), changed},
        {TO_KEY("u,f,k", CONNECT("f", "ReplaceField$Value") F("include", "b,a")), NULL},
        {TO_KEY("u,f,k",
                CONNECT("f", "InsertField$Value") F("static.field", "a!") F("static.value", "x")),
         changed},
        {TO_KEY("u,f,k",
                CONNECT("f", "InsertField$Value") F("static.field", "ab") F("static.value", "x")),
         NULL},
        {TO_KEY("u,f,k", CONNECT("f", "InsertField$Value") F("topic.field", "a")), changed},
        {TO_KEY("u,f,k", "\"transforms.f.type\":\"io.debezium.transforms.HeaderToValue\"" F(
                             "headers", "__op") F("fields", "a")
                             F("operation", "copy") ","
                                                    "\"transforms.u.add.headers\":\"op\""),
         changed},
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

#define VALUE(class, more) CONNECT("t", class) ",\"transforms.t." more
#define NO_TOMBSTONES                                                                              \
    ",\"transforms.t.predicate\":\"b\",\"transforms.t.negate\":\"true\",\"predicates\":\"b\","     \
    "\"predicates.b.type\":\"" NW_DEBEZIUM_TOMBSTONES "\""
#define WITHOUT(pattern)                                                                           \
    ",\"transforms.t.predicate\":\"b\",\"transforms.t.negate\":\"true\",\"predicates\":\"b\","     \
    "\"predicates.b.pattern\":\"" pattern "\",\"predicates.b.type\":\"" NW_DEBEZIUM_TOPICS "\""

/* Transforms of values, which narwal has for rows alone. */
static void steps_that_meet_what_is_beside_rows_are_refused(void **state)
{
    static const char beats[] = "messages of __debezium-heartbeat.p as well";
    static const char transactions[] = "messages of p.transaction as well";
    static const char notes[] = "messages of p.notes as well";
    static const char messages[] = "messages of p.message as well";
    static const struct {
        const char *more, *why; /* NULL: it is taken */
    } cases[] = {
        {VALUE("MaskField$Value", "fields\":\"ts_ms\"") BEATS NO_TOMBSTONES, beats},
        {VALUE("MaskField$Value", "fields\":\"ts_ms\"") BEATS WITHOUT_BEATS, messages},
        {VALUE("MaskField$Value", "fields\":\"ts_ms\"") BEATS WITHOUT_BEATS
         ",\"message.prefix.exclude.list\":\".*\"",
         NULL},
        {VALUE("ReplaceField$Value", "renames\":\"message:v\""), messages},
        {VALUE("ReplaceField$Value", "renames\":\"message:v\"") WITHOUT("p.message"), NULL},
        {VALUE("ReplaceField$Value", "renames\":\"message:v\"") WITHOUT("p\\\\.message"), NULL},
        {VALUE("ReplaceField$Value", "include\":\"v\""), NULL},
        {VALUE("MaskField$Value", "fields\":\"ts_ms\"") BEATS WITHOUT("__debezium-heart"), beats},
        {VALUE("MaskField$Value", "fields\":\"ts_ms\"") BEATS WITHOUT("__debezium-heart\\\\b.*"),
         beats}, /* or it might */
        {VALUE("MaskField$Value", "fields\":\"id\"") TRANSACTIONS WITHOUT_BEATS, transactions},
        {VALUE("MaskField$Value", "fields\":\"id\"") TRANSACTIONS NO_TOMBSTONES, transactions},
        {VALUE("MaskField$Value", "fields\":\"id\"") BEATS, NULL},
        {VALUE("MaskField$Value", "fields\":\"aggregate_type\"") NOTES, notes},
        {VALUE("Cast$Value", "spec\":\"timestamp:string\"") NOTES, notes},
        {VALUE("ReplaceField$Value", "exclude\":\"additional_data\"") NOTES, notes},
        {VALUE("ReplaceField$Value", "exclude\":\"v\"") NOTES BEATS TRANSACTIONS, NULL},
        {VALUE("ReplaceField$Value", "renames\":\"type:v\"") NOTES, notes},
        {VALUE("ReplaceField$Value", "include\":\"v\"") BEATS, beats},
        {VALUE("ReplaceField$Value", "include\":\"v\"") BEATS WITHOUT_BEATS, NULL},
        {VALUE("ReplaceField$Value", "include\":\"v\"") NOTES, notes},
        {VALUE("InsertField$Value", "static.field\":\"v\",\"transforms.t.static.value\":\"x\"")
             BEATS,
         beats},
        {VALUE("InsertField$Value", "static.field\":\"v\",\"transforms.t.static.value\":\"x\"")
             BEATS WITHOUT_BEATS,
         NULL},
        {VALUE("InsertField$Value", "topic.field\":\"v\"") TRANSACTIONS, transactions},
        {VALUE("InsertField$Value", "topic.field\":\"v\""), NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        imported(cases[i].why != NULL, cases[i].why,
                 "\"topic.prefix\":\"p\",\"transforms\":\"u,t\"," UNWRAP ",%s", cases[i].more);
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
        cmocka_unit_test(transforms_of_values_are_steps),
        cmocka_unit_test(a_topic_in_a_value_is_refused_in_front_of_a_router),
        cmocka_unit_test(transforms_of_keys_and_predicates_are_taken_where_nothing_differs),
        cmocka_unit_test(keys_are_made_of_columns_as_they_are),
        cmocka_unit_test(steps_that_meet_what_is_beside_rows_are_refused),
        cmocka_unit_test(defaults_are_there_for_steps_behind),
        cmocka_unit_test(headers_are_refused_that_connect_would_write_otherwise),
        cmocka_unit_test(logical_routers_are_looked_at_for_keys_too),
        cmocka_unit_test(routers_that_meet_what_is_beside_rows_are_refused),
        cmocka_unit_test(a_router_in_front_of_an_outbox_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
