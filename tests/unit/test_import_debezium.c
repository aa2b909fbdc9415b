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

#include "import_kit.h"

#define FOLDER NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium/"

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
    {"slot.name", "${file:/x:slot}", "provider of Connect"},
    {"database.hostname", "${file:/x:host}.local", "provider of Connect"},
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
    {"snapshot.mode", "configuration_based", "the mode that they come to"},
    {"snapshot.mode.custom.name", "x", "only for the mode custom"},
    {"producer.override.sasl.mechanism", "AWS_MSK_IAM", "OAUTHBEARER"},
    {"producer.override.sasl.client.callback.handler.class", "x", "a class of Java"},
    {"database.connection.factory.class", "x", "AWS's IAM"},
    {"snapshot.locking.mode", "custom", "is not taken"},
    {"snapshot.query.mode", "custom", "is not taken"},
    {"snapshot.include.collection.list", "a\\.b\\d", "list the tables as schema.table"},
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
    {"column.propagate.source.type", ".*(?!x)", "say it without"},
    {"datatype.propagate.source.type", "a,b*?", "say it without"},
    {"message.key.columns", "a.b", "is not TABLES:COLUMN"},
    {"message.key.columns", "a.b:", "is not TABLES:COLUMN"},
    {"message.key.columns", "a.(?!b).*:id", "say it without"},
    {"message.key.columns", "a.b|a.c:id", "put (a|b) around it"},
    {"message.key.columns", "a.[(]|a.c:id", "put (a|b) around it"},
    {"message.key.columns", "a.(b[)]):x|y[(]", "put (a|b) around it"},
    {"topic.naming.strategy", "my.Own", "only SchemaTopicNamingStrategy"},
    {"transaction.metadata.factory", "x", "no class"},
    {"heartbeat.action.query", "INSERT ${x}", "${"},
    {"topic.creation.groups", "x", "topic.creation.default"},
    {"skipped.operations", "u,x", "x is not one of: c u d t none"},
    {"skip.messages.without.change", "maybe", "is not one of: true false"},
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
        imported(cases[i].refused, NULL, "\"topic.prefix\":\"p\",\"database.dbname\":\"d\",%s",
                 cases[i].json);
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
        {"data.serializer.type\":\"avro", "\n    null_as_default: true ", 0},
        {"avro.ignore.default.for.nullables\":\"true\",\"value.converter.data.serializer.type\":\""
         "avro",
         "\n    null_as_default: false ", 0},
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
        imported(cases[i].refused, cases[i].line,
                 "\"topic.prefix\":\"p\",\"database.dbname\":\"d\",\"key.converter\":"
                 "\"" NW_DEBEZIUM_JSON "\",\"value.converter.avro.schema.registry.url\":"
                 "\"http://r\",\"value.converter\":"
                 "\"io.debezium.converters.CloudEventsConverter\",\"value.converter.%s\"",
                 cases[i].more);
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
        {"message.key.columns", "a.b:c, d ; e.f:g", {"keys: [\"a.b:c,d\", \"e.f:g\"]"}},
        {"message.key.columns", "a.b:c,d;e.f:g", {"keys: [\"a.b:c,d\", \"e.f:g\"]"}},
        {"message.key.columns", "a.(b|c):d", {"keys: [\"a.b:d\", \"a.c:d\"]"}},
        {"message.key.columns",
         "(.*).lines:id;a.b:c",
         {"keys: [\"(.*).lines => id\", \"a.b => c\"]"}},
        {"message.key.columns", "a.B:c", {"keys: [\"a.B => c\"]"}},
        {"message.key.columns", "a.b:ID;a.c:d", {"keys: [\"a.b => ID\", \"a.c => d\"]"}},
        {"database.user",
         "${secrets:ns/x:user}",
         {"user=${env:NARWAL_USER} ", "stands for what a provider gave Connect"}},
        {"database.server.id", "1", {"database.server.id: of connectors for other databases"}},
        {"snapshot.mode", "when_needed", {"snapshot: initial ", "makes no copy by itself"}},
        {"snapshot.mode\":\"configuration_based\",\"snapshot.mode.configuration.based.start.stream",
         "true",
         {"snapshot: never "}},
        {"value.converter\":\"" NW_DEBEZIUM_AVRO "\",\"value.converter.schemas.enable",
         "true",
         {"value.converter.schemas.enable: this converter does not look at it"}},
        {"value.converter\":\"" NW_DEBEZIUM_AVRO "\",\"value.converter.connect.meta.data",
         "true",
         {"value.converter.connect.meta.data: as it is by default"}},
        {"header.converter.plugin.version", "1", {"plugin.version: a version of Java's plugins"}},
        {"transforms.x.plugin.version", "1", {"plugin.version: a version of Java's plugins"}},
        {"message.key.columns", "a.b:.*_id", {"keys: [\"a.b => .*_id\"]"}},
        {"message.key.columns", "a.(b[)]|c[|]):[|]d", {"keys: [\"a.(b[)]|c[|]) => [|]d\"]"}},
        {"message.key.columns", "a.b:c;a.b:d", {"keys: [\"a.b => c\", \"a.b => d\"]"}},
        {"heartbeat.action.query", "INSERT", {"heartbeat.action.query: Debezium runs it with"}},
        {"heartbeat.interval.ms\":\"5000\",\"heartbeat.action.query",
         "INSERT INTO b VALUES (1)",
         {"heartbeat: 5s", "  heartbeat:\n    statement: \"INSERT INTO b VALUES (1)\"",
          "every: 5s"}},
        {"column.propagate.source.type", "a.b.c, .*", {"source_types: [\"a.b.c\", \".*\"]"}},
        {"datatype.propagate.source.type", ".+.int4", {"source_types_of: [\".+.int4\"]"}},
        {"skip.messages.without.change", "true", {"skip: [\"unchanged\"]"}},
        {"skip.messages.without.change", "false", {"skip.messages.without.change: narwal"}},
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

static void types_are_said_where_there_are_schemas(void **state)
{
#define BOTH                                                                                       \
    CLASS ",\"column.propagate.source.type\":\".*\",\"datatype.propagate.source.type\":\".*\","
#define PLAIN                                                                                      \
    "\"value.converter\":\"" NW_DEBEZIUM_JSON "\",\"value.converter.schemas.enable\":\"false\""
    static const struct {
        const char *more;
        bool said;
    } cases[] = {
        {PLAIN ",\"key.converter.schemas.enable\":\"false\"", false},
        {PLAIN, true}, /* in keys */
        {"\"value.converter.schemas.enable\":\"true\"", true},
        {"\"value.converter\":\"io.debezium.converters.CloudEventsConverter\","
         "\"value.converter.json.schemas.enable\":\"false\",\"key.converter\":"
         "\"" NW_DEBEZIUM_JSON "\",\"key.converter.schemas.enable\":\"false\"",
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[1024];
        size_t refused = 0;
        char *text = NULL;

        (void)snprintf(json, sizeof json, "{" BOTH "%s}", cases[i].more);
        text = made(json, &refused);
        if (refused != 0 || (strstr(text, "source_types:") != NULL) != cases[i].said ||
            (strstr(text, "source_types_of:") != NULL) != cases[i].said ||
            (strstr(text, "column.propagate.source.type: it is said in schemas") == NULL) !=
                cases[i].said) {
            fail_msg("%s: %zu refused: %s", cases[i].more, refused, text);
        }
        free(text);
    }
#undef BOTH
#undef PLAIN
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

static void each_transform_that_is_refused_is_named(void **state)
{
    (void)state;
    imported(1, "transforms: a (x.A): ",
             "\"transforms\":\"a,b\",\"transforms.a.type\":\"x.A\","
             "\"transforms.b.type\":\"x.B\"");
    imported(1, "narwal's own; b (x.B): ",
             "\"transforms\":\"a,b\",\"transforms.a.type\":\"x.A\","
             "\"transforms.b.type\":\"x.B\"");
}

/* As Connect lists it, and as Strimzi has it. */
static void a_connector_may_be_within_other_things(void **state)
{
    static const char *const texts[] = {
        "{\"n\":{\"info\":{\"name\":\"n\",\"config\":{" CLASS ",\"slot.name\":\"s\"}}}}",
        "{\"kind\":\"KafkaConnector\",\"metadata\":{\"name\":\"n\"},\"spec\":{\"class\":"
        "\"io.debezium.connector.postgresql.PostgresConnector\",\"tasksMax\":1,\"config\":{"
        "\"slot.name\":\"s\"}}}",
        "{\"name\":\"n\",\"config\":{" CLASS ",\"slot.name\":\"s\"}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t refused = 0;
        char *text = made(texts[i], &refused);

        assert_int_equal(refused, 0);
        assert_non_null(strstr(text, "\nname: n\n"));
        assert_non_null(strstr(text, "name: \"s\""));
        free(text);
    }
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
        {"{\"a\":{\"info\":{\"config\":{}}},\"b\":{\"info\":{}}}",
         "NW1551 the property a is neither"},
        {"{\"connector.class\":\"PostgresCdcSourceV2\"}",
         "NW1551 connector.class is PostgresCdcSourceV2, of Confluent Cloud"},
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
        cmocka_unit_test(types_are_said_where_there_are_schemas),
        cmocka_unit_test(each_salt_of_hashes_has_its_own_variable),
        cmocka_unit_test(all_refusals_are_found_at_once_and_named_in_the_file),
        cmocka_unit_test(properties_of_converters_of_ones_own_are_told_from_unknown_ones),
        cmocka_unit_test(each_transform_that_is_refused_is_named),
        cmocka_unit_test(a_connector_may_be_within_other_things),
        cmocka_unit_test(what_is_no_connector_is_refused),
        cmocka_unit_test(expressions_become_patterns),
        cmocka_unit_test(every_property_there_ever_was_is_known),
        cmocka_unit_test(every_row_says_what_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
