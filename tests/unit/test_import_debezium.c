/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of Debezium's connector as narwal's: vectors/debezium has them side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/debezium/import.h"

#define FOLDER NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium/"
#define CLASS  "\"connector.class\":\"io.debezium.connector.postgresql.PostgresConnector\""

static char *file_read(const char *name, const char *suffix)
{
    char path[512];
    char *text = calloc(1, 65536);
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, FOLDER "%s%s", name, suffix);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

/* The YAML of a connector. To be freed. */
static char *made(const char *json, size_t *refused)
{
    struct nw_debezium *to = calloc(1, sizeof *to);
    struct nw_error err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(to);
    assert_non_null(out);
    to->brokers = "kafka:9092";
    assert_int_equal(nw_debezium_read(to, json, strlen(json), &err), NW_OK);
    assert_int_equal(nw_debezium_map(to, refused, &err), NW_OK);
    nw_debezium_print(to, out);
    assert_int_equal(fclose(out), 0);
    nw_debezium_fini(to);
    free(to);
    return text;
}

static void connectors_become_configurations(void **state)
{
    static const char *const names[] = {"tutorial",     "outbox",      "avro",       "exactly_once",
                                        "unwrap",       "cloudevents", "everything", "routes",
                                        "outbox_regex", "cloud_json",  "keys",       "logical"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *json = file_read(names[i], ".json");
        char *wanted = file_read(names[i], ".yaml");
        size_t refused = 1;
        char *text = made(json, &refused);

        assert_int_equal(refused, 0);
        assert_string_equal(text, wanted);
        assert_null(strstr(text, "secret-"));
        assert_null(strstr(text, "very-secret"));
        assert_null(strstr(text, "CzQMA0cB5K"));
        free(text);
        free(wanted);
        free(json);
    }
}

static const struct {
    const char *name, *value, *why;
} REFUSED[] = {
    {"no.such.thing", "1", "no such property"},
    {"database.initial.statements", "SELECT 1", "ALTER ROLE"},
    {"database.sslfactory", "x", "a class of Java"},
    {"database.sslpassword", "x", "decrypt the key"},
    {"database.sslmode", "no-mode", "is not one of"},
    {"database.server.name", "x", "topic.prefix"},
    {"database.hostname", "${file:/x:host}", "provider of Connect"},
    {"database.dbname", "a\nb", "several lines"},
    {"plugin.name", "decoderbufs", "narwal reads pgoutput"},
    {"slot.drop.on.stop", "true", "narwal teardown"},
    {"slot.stream.params", "add-tables=x", "only origin=none"},
    {"publication.autocreate.mode", "some", "is not one of"},
    {"replica.identity.autoset.values", "a:FULL", "ALTER TABLE"},
    {"lsn.flush.mode", "manual", "is not taken"},
    {"flush.lsn.source", "false", "is not taken"},
    {"xmin.fetch.interval.ms", "10", "source.xmin"},
    {"snapshot.mode", "always", "narwal table refresh"},
    {"snapshot.mode.configuration.based.snapshot.data", "true", "configuration_based"},
    {"snapshot.locking.mode", "custom", "is not taken"},
    {"snapshot.query.mode", "custom", "is not taken"},
    {"snapshot.select.statement.overrides", "a.b", "where in transforms"},
    {"snapshot.select.statement.overrides.a.b", "SELECT", "where in transforms"},
    {"snapshot.include.collection.list", "a.b", "narwal copies all tables"},
    {"snapshot.delay.ms", "5", "start narwal later"},
    {"streaming.delay.ms", "5", "does not wait"},
    {"snapshot.max.threads", "many", "not a number"},
    {"connection.validation.timeout.ms", "-1", "milliseconds"},
    {"table.include.list", "a\\.b\\d+", "a\\.b\\d+ cannot be said"},
    {"table.include.list", "a.b.c", "cannot be said"},
    {"table.exclude.list", "a.b{2}", "cannot be said"},
    {"table.exclude.list", "a.(?!tmp).*", "cannot be said"},
    {"table.ignore.builtin", "false", "system schemas"},
    {"schema.include.list", "a?", "cannot be said"},
    {"column.exclude.list", "a.*password", "schema.table.column"},
    {"column.exclude.list", ".*\\.t.*", "schema.table.column"},
    {"column.exclude.list", "a.*\\.b.*", "schema.table.column"},
    {"column.mask.with.x.chars", "a.b.c", "a number from 0"},
    {"column.mask.hash.MD5.with.salt.s", "a.b.c", "only SHA-256"},
    {"column.mask.hash.v2.SHA-512.with.salt.s", "a.b.c", "only SHA-256"},
    {"column.propagate.source.type", ".*", "source types"},
    {"datatype.propagate.source.type", ".*", "source types"},
    {"message.key.columns", ".*:id", "without patterns"},
    {"topic.naming.strategy", "my.Own", "only SchemaTopicNamingStrategy"},
    {"transaction.metadata.factory", "x", "no class"},
    {"heartbeat.action.query", "INSERT", "pg_cron"},
    {"topic.creation.groups", "x", "topic.creation.default"},
    {"skipped.operations", "u,x", "x is not one of: c u d t none"},
    {"skip.messages.without.change", "true", "every update"},
    {"signal.enabled.channels", "file", "narwal table refresh"},
    {"signal.file", "x", "narwal table refresh"},
    {"notification.enabled.channels", "sink", "notification.sink.topic.name"},
    {"notification.enabled.channels", "mine", "only sink"},
    {"decimal.handling.mode", "exact", "is not one of"},
    {"time.precision.mode", "exact", "is not one of"},
    {"unavailable.value.placeholder", "hex:00", "a plain text"},
    {"unavailable.value.placeholder", "hex:4", "a plain text"},
    {"unavailable.value.placeholder", "hex:4g", "a plain text"},
    {"unavailable.value.placeholder", "hex:c3", "a plain text"},
    {"event.processing.failure.handling.mode", "skip", "drops no change"},
    {"sourceinfo.struct.maker", "x", "no class"},
    {"converters", "isbn", "no converters"},
    {"isbn.type", "x", "no such property"},
    {"table.whitelist", "a.b", "call it that"},
    {"heartbeat.topics.prefix", "x", "call it that"},
    {"internal.log.position.check.enable", "x", "internal setting"},
    {"database.socketTimeout", "1", "libpq"},
    {"topic.regex", "x", "ByLogicalTableRouter"},
    {"include.schema.comments", "true", "comments"},
    {"post.processors", "reselector", "REPLICA IDENTITY FULL"},
    {"value.converter", "io.confluent.connect.protobuf.ProtobufConverter", "is not there"},
    {"value.converter", "org.apache.kafka.connect.storage.StringConverter", "is not there"},
    {"value.converter.unknown", "x", "take its default"},
    {"key.converter", "org.apache.kafka.connect.converters.ByteArrayConverter", "StringConverter"},
    {"key.converter", "org.apache.kafka.connect.converters.LongConverter", "ExtractField$Key"},
    {"header.converter", "x", "SimpleHeaderConverter"},
    {"transforms", "route", "no type"},
    {"predicates", "x", "no predicates"},
    {"producer.override.ssl.truststore.location", "/x.jks", "PEM"},
    {"producer.override.interceptor.classes", "x", "librdkafka"},
    {"producer.override.sasl.jaas.config", "no words", "username and password"},
    {"producer.override.client.id", "${vault:x:y}", "provider of Connect"},
    {"errors.tolerance", "all", "dead_letter"},
    {"openlineage.integration.enabled", "true", "OpenLineage"},
    {"driver.socketFactory", "x", "libpq"},
    {"exactly.once.support", "maybe", "is not one of"},
};

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        struct nw_debezium *to = calloc(1, sizeof *to);
        struct nw_error err = {0};
        struct nw_debezium_property *p = NULL;
        const char *value = NULL;
        char json[1024];
        size_t refused = 0;

        assert_non_null(to);
        (void)snprintf(json, sizeof json, "{" CLASS "}");
        nw_arena_init(&to->arena, 1u << 20);
        value = nw_debezium_quoted(to, REFUSED[i].value);
        (void)snprintf(json, sizeof json, "{" CLASS ",\"%s\":%s}", REFUSED[i].name,
                       strchr(REFUSED[i].value, '\n') != NULL ? "\"a\\nb\"" : value);
        nw_arena_fini(&to->arena);
        assert_int_equal(nw_debezium_read(to, json, strlen(json), &err), NW_OK);
        assert_int_equal(nw_debezium_map(to, &refused, &err), NW_OK);
        p = nw_debezium_find(to, REFUSED[i].name);
        assert_non_null(p);
        if (refused != 1 || p->verdict != NW_DEBEZIUM_REFUSED ||
            strstr(p->why, REFUSED[i].why) == NULL) {
            fail_msg("%s: %zu refused, why: %s", REFUSED[i].name, refused,
                     p->why == NULL ? "not" : p->why);
        }
        nw_debezium_fini(to);
        free(to);
    }
}

static void keys_of_masked_columns_are_refused(void **state)
{
#define FLAT                                                                                       \
    "\"transforms\":\"u,k\",\"transforms.u.type\":"                                                \
    "\"io.debezium.transforms.ExtractNewRecordState\","                                            \
    "\"transforms.u.delete.tombstone.handling.mode\":\"drop\","                                    \
    "\"transforms.k.type\":\"" NW_DEBEZIUM_VALUE_TO_KEY "\",\"transforms.k.fields\":"
#define KEYS "\"message.key.columns\":\"s.a:id;s.(b|c):v,w\","
    static const struct {
        const char *json;
        size_t refused;
    } cases[] = {
        {KEYS "\"column.mask.with.5.chars\":\"s.a.v,s.b.id,x.a.id\"", 0},
        {KEYS "\"column.mask.with.5.chars\":\"s.a.v,s.a.id\"", 1},
        {KEYS "\"column.truncate.to.3.chars\":\"s.c.w\"", 1},
        {KEYS "\"column.mask.hash.v2.SHA-256.with.salt.x\":\"s.b.v\"", 1},
        {"\"column.mask.hash.SHA-256.with.salt.x\":\"s.*.w\"," KEYS "\"slot.name\":\"n\"", 1},
        {KEYS "\"column.exclude.list\":\"s.a.v\"", 0},
        {FLAT "\"w,v\",\"column.mask.with.5.chars\":\"s.b.id\"", 0},
        {FLAT "\"w,v\",\"column.mask.with.5.chars\":\"s.b.v\"", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        size_t refused = 0;

        (void)snprintf(json, sizeof json,
                       "{" CLASS ",\"topic.prefix\":\"p\",\"database.dbname\":\"d\",%s}",
                       cases[i].json);
        free(made(json, &refused));
        if (refused != cases[i].refused) {
            fail_msg("%s: %zu refused", cases[i].json, refused);
        }
    }
}

/* What its converter has, and where narwal has no choice: its defaults. */
static void cloudevents_may_be_avro(void **state)
{
    static const struct {
        const char *more, *line;
        size_t refused;
    } cases[] = {
        {"serializer.type\":\"avro\",\"value.converter.data.serializer.type\":\"avro",
         "\n    cloudevents: avro ", 0},
        {"serializer.type\":\"avro", "\n    cloudevents_data: json ", 1}, /* nor does Debezium's */
        {"serializer.type\":\"json", "\n    cloudevents_data: json ", 0},
        {"opentelemetry.tracing.attributes.enable\":\"false", "cloudevents", 0},
        {"opentelemetry.tracing.attributes.enable\":\"true", "cloudevents", 1},
        {"extension.attributes.enable\":\"true", "cloudevents", 0},
        {"extension.attributes.enable\":\"false", "cloudevents", 1},
        {"schema.name.adjustment.mode\":\"avro", "cloudevents", 0},
        {"schema.name.adjustment.mode\":\"none", "cloudevents", 1},
        {"schema.cloudevents.name\":\"x", "cloudevents", 1},
        {"metadata.source\":\"value,id:generate,type:generate,traceparent:header", "cloudevents",
         0},
        {"metadata.source\":\"value,id:header", "cloudevents", 1},
        {"metadata.source\":\"header", "cloudevents", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        char *text = NULL;
        size_t refused = 0;

        (void)snprintf(json, sizeof json,
                       "{" CLASS
                       ",\"topic.prefix\":\"p\",\"database.dbname\":\"d\",\"key.converter\":"
                       "\"" NW_DEBEZIUM_JSON "\",\"value.converter.avro.schema.registry.url\":"
                       "\"http://r\",\"value.converter\":"
                       "\"io.debezium.converters.CloudEventsConverter\",\"value.converter.%s\"}",
                       cases[i].more);
        text = made(json, &refused);
        if (refused != cases[i].refused || strstr(text, cases[i].line) == NULL) {
            fail_msg("%s: %zu refused\n%s", cases[i].more, refused, text);
        }
        free(text);
    }
}

static void properties_become_what_narwal_calls_them(void **state)
{
    static const struct {
        const char *name, *value;
        const char *parts[3];
    } cases[] = {
        {"skipped.operations", "c, U,t", {"skip: [\"inserts\", \"updates\"]", "truncates: skip"}},
        {"skipped.operations", "d", {"skip: [\"deletes\"]", "truncates: send"}},
        {"skipped.operations", "none", {"truncates: send"}},
        {"message.prefix.include.list", "a.*, b", {"messages_include: [\"a.*\", \"b\"]"}},
        {"message.prefix.exclude.list", "a", {"messages_exclude: [\"a\"]"}},
        {"message.prefix.exclude.list", ".*", {"messages: false"}},
        {"column.mask.with.0.chars",
         "a.b.c",
         {"mask_columns: [\"c\"]", "mask: first", "mask_characters: 0"}},
        {"column.exclude.list",
         ".*\\\\.secret",
         {"tables: [\"*.*\"]", "exclude_columns: [\"secret\"]"}},
        {"column.exclude.list", ".*word", {"tables: [\"*.*\"]", "exclude_columns: [\"*word\"]"}},
        {"column.include.list", "a.b.*", {"tables: [\"a.b*\"]", "include_columns: [\"*\"]"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",\"%s\":\"%s\"}", cases[i].name,
                       cases[i].value);
        text = made(json, &refused);
        assert_int_equal(refused, 0);
        for (size_t k = 0; k < 3 && cases[i].parts[k] != NULL; k++) {
            if (strstr(text, cases[i].parts[k]) == NULL) {
                fail_msg("%s: no %s in: %s", cases[i].name, cases[i].parts[k], text);
            }
        }
        free(text);
    }
}

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
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != (cases[i].why != NULL) ||
            (cases[i].why != NULL && strstr(text, cases[i].why) == NULL)) {
            fail_msg("%s: %zu refused: %s", cases[i].more, refused, text);
        }
        free(text);
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
        char json[2048];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != (cases[i].why != NULL) ||
            (cases[i].why != NULL && strstr(text, cases[i].why) == NULL)) {
            fail_msg("%s: %zu refused: %s", cases[i].more, refused, text);
        }
        free(text);
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
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json,
                       "{" CLASS ",\"transforms\":\"t\",\"transforms.t.type\":"
                       "\"org.apache.kafka.connect.transforms.InsertHeader\","
                       "\"transforms.t.header\":\"h\",\"transforms.t.value.literal\":\"%s\"}",
                       literal);
        text = made(json, &refused);
        if (refused != !keeps || (!keeps && strstr(text, "Connect parses it") == NULL)) {
            fail_msg("\"%s\": %zu refused: %s", literal, refused, text);
        }
        free(text);
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
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",\"topic.prefix\":\"p\",%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != cases[i].refused || strstr(text, cases[i].text) == NULL) {
            fail_msg("%zu: %zu refused: %s", i, refused, text);
        }
        free(text);
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
        {EVERY BEATS, NULL},
        {EVERY BEATS WITHOUT_BEATS, "__debezium-heartbeat.p, too, which the predicate leaves out"},
        {EVERY TRANSACTIONS WITHOUT_BEATS, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",\"topic.prefix\":\"p\",%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != (cases[i].why != NULL) ||
            (cases[i].why != NULL && strstr(text, cases[i].why) == NULL)) {
            fail_msg("%zu %s: %zu refused: %s", i, cases[i].more, refused, text);
        }
        free(text);
    }
}

static void each_salt_of_hashes_has_its_own_variable(void **state)
{
    size_t refused = 1;
    char *text = made("{" CLASS ",\"column.mask.hash.v2.SHA-256.with.salt.AAA\":\"public.a.x\","
                      "\"column.mask.hash.SHA-256.with.salt.BBB\":\"public.b.y\","
                      "\"column.mask.hash.SHA-256.with.salt.AAA\":\"public.c.z\"}",
                      &refused);

    (void)state;
    assert_int_equal(refused, 0);
    assert_non_null(
        strstr(text, "[\"x\"]\n    mask: debezium_v2\n    mask_salt: \"${env:NARWAL_SALT}\""));
    assert_non_null(
        strstr(text, "[\"y\"]\n    mask: debezium_v1\n    mask_salt: \"${env:NARWAL_SALT_2}\""));
    assert_non_null(
        strstr(text, "[\"z\"]\n    mask: debezium_v1\n    mask_salt: \"${env:NARWAL_SALT}\""));
    assert_null(strstr(text, "AAA"));
    assert_null(strstr(text, "BBB"));
    free(text);
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
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json,
                       "{" CLASS ",\"table.include.list\":\"public.outbox\",\"transforms\":\"r,o\","
                       "\"transforms.o.type\":\"io.debezium.transforms.outbox.EventRouter\","
                       "\"transforms.r.type\":%s}",
                       types[i]);
        text = made(json, &refused);
        if (refused != 1 || strstr(text, "in front of EventRouter it does nothing") == NULL) {
            fail_msg("%zu refused: %s", refused, text);
        }
        free(text);
    }
}

static void all_refusals_are_found_at_once_and_named_in_the_file(void **state)
{
    size_t refused = 0;
    char *text =
        made("{" CLASS ",\"converters\":\"a\",\"wrong\":1,\"predicates\":\"b\"}", &refused);

    (void)state;
    assert_int_equal(refused, 3);
    assert_non_null(strstr(text, "# Not carried over (--force):\n#   converters: "));
    assert_non_null(strstr(text, "#   wrong: "));
    assert_non_null(strstr(text, "#   predicates: "));
    free(text);
}

static void properties_of_converters_of_ones_own_are_told_from_unknown_ones(void **state)
{
    size_t refused = 0;
    char *text = made(
        "{" CLASS ",\"converters\":\"a, isbn\",\"isbn.type\":\"x\",\"isb.type\":\"x\"}", &refused);

    (void)state;
    assert_int_equal(refused, 3);
    assert_non_null(strstr(text, "#   isbn.type: of one of converters, which are not there"));
    assert_non_null(strstr(text, "#   isb.type: Debezium's connector for PostgreSQL has no such"));
    free(text);
}

static void what_is_no_connector_is_refused(void **state)
{
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"", "NW1551 no JSON at line 1"},
        {"{\"a\"", "NW1551 no JSON"},
        {"{\"a\":1,\"a\":2}", "NW1551 no JSON"},
        {"[]", "NW1551 no object"},
        {"{\"config\":1}", "NW1551 no object"},
        {"{}", "NW1551 no connector.class"},
        {"{" CLASS ",\"x\":{}}", "NW1551 the property x is neither"},
        {"{\"connector.class\":\"io.debezium.connector.mysql.MySqlConnector\"}",
         "NW1551 connector.class is io.debezium.connector.mysql.MySqlConnector"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_debezium *to = calloc(1, sizeof *to);
        struct nw_error err = {0};

        assert_non_null(to);
        assert_int_equal(nw_debezium_read(to, cases[i].json, strlen(cases[i].json), &err),
                         NW_FATAL);
        assert_ptr_equal(strstr(err.text, cases[i].why), err.text);
        nw_debezium_fini(to);
        free(to);
    }
}

static void expressions_become_patterns(void **state)
{
    static const struct {
        const char *regex, *patterns;
    } cases[] = {
        {"public.orders", "public.orders"},
        {"public\\.orders", "public.orders"},
        {"^public\\.orders$", "public.orders"},
        {"public.*", "public*"},
        {"public\\..*", "public.*"},
        {"public\\..+", "public.?*"},
        {"(public|audit)\\.(a|b)", "public.a public.b audit.a audit.b"},
        {"public.a|public.b", "public.a public.b"},
        {"public\\.part_[12]", "public.part_[12]"},
        {"public\\.a\\*", "public.a[*]"},
        {"public\\.a?", ""},
        {"public\\.[a-z]", ""},
        {"public\\.[^a]", ""},
        {"public\\.\\w+", ""},
        {"public\\.(a|b", ""},
        {"public\\.(a)+", ""},
        {"^a.b|c.d$", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_debezium *to = calloc(1, sizeof *to);
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        char joined[256] = "";
        size_t count = 0;

        assert_non_null(to);
        nw_arena_init(&to->arena, 1u << 20);
        count = nw_debezium_patterns(to, cases[i].regex, patterns);
        for (size_t k = 0; k < count; k++) {
            size_t size = strlen(joined);

            (void)snprintf(joined + size, sizeof joined - size, "%s%s", k == 0 ? "" : " ",
                           patterns[k]);
        }
        assert_string_equal(joined, cases[i].patterns);
        nw_arena_fini(&to->arena);
        free(to);
    }
}

/* Of Debezium 1.9.7, 2.7.4 and 3.7 and of Kafka Connect 4.3, out of their sources: none is one that
 * narwal has never heard of. */
static void every_property_there_ever_was_is_known(void **state)
{
    char *names = file_read("properties", ".txt");
    char *rest = NULL;
    size_t count = 0;

    (void)state;
    for (char *name = strtok_r(names, "\n", &rest); name != NULL;
         name = strtok_r(NULL, "\n", &rest)) {
        char json[512];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" CLASS ",\"%s\":\"x\"}", name);
        text = made(json, &refused);
        if (strstr(text, "no such property") != NULL) {
            fail_msg("%s: not known", name);
        }
        free(text);
        count++;
    }
    assert_true(count > 150);
    free(names);
}

static void every_row_says_what_it_needs(void **state)
{
    (void)state;
    for (const struct nw_debezium_row *row = NW_DEBEZIUM_ROWS; row->name != NULL; row++) {
        assert_non_null(row->convert);
        if (row->convert == nw_dbz_nothing || row->convert == nw_dbz_refused) {
            assert_non_null(row->note);
        }
        if (row->convert == nw_dbz_words || row->convert == nw_dbz_only) {
            assert_non_null(row->words);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connectors_become_configurations),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(keys_of_masked_columns_are_refused),
        cmocka_unit_test(properties_become_what_narwal_calls_them),
        cmocka_unit_test(cloudevents_may_be_avro),
        cmocka_unit_test(transforms_that_cannot_be_are_refused_with_the_reason),
        cmocka_unit_test(lists_of_fields_are_refused_that_are_none_of_columns),
        cmocka_unit_test(transforms_of_keys_and_predicates_are_taken_where_nothing_differs),
        cmocka_unit_test(headers_are_refused_that_connect_would_write_otherwise),
        cmocka_unit_test(logical_routers_are_looked_at_for_keys_too),
        cmocka_unit_test(routers_that_meet_what_is_beside_rows_are_refused),
        cmocka_unit_test(each_salt_of_hashes_has_its_own_variable),
        cmocka_unit_test(a_router_in_front_of_an_outbox_is_refused),
        cmocka_unit_test(all_refusals_are_found_at_once_and_named_in_the_file),
        cmocka_unit_test(properties_of_converters_of_ones_own_are_told_from_unknown_ones),
        cmocka_unit_test(what_is_no_connector_is_refused),
        cmocka_unit_test(expressions_become_patterns),
        cmocka_unit_test(every_property_there_ever_was_is_known),
        cmocka_unit_test(every_row_says_what_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
