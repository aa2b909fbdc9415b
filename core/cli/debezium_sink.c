/* SPDX-License-Identifier: Apache-2.0 */
/* See debezium.h: Connect's converters and transforms, the producer, and topics that are made. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/debezium.h"

/* The rest of a name behind PREFIX; NULL: it does not begin so. */
static const char *behind(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);

    return strncmp(name, prefix, size) == 0 ? name + size : NULL;
}

/* A property of an alias or a converter. */
static const char *get(struct nw_debezium *to, const char *prefix, const char *name)
{
    return nw_debezium_get(to, nw_debezium_text(to, "%s%s", prefix, name));
}

static bool said(const char *value, bool otherwise)
{
    return value == NULL ? otherwise : strcasecmp(value, "true") == 0;
}

static bool same(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* Refuses what begins with the prefix and is none of these words. */
static void others_refuse(struct nw_debezium *to, const char *prefix, const char *words)
{
    const char *known[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, words, ' ', known);

    for (size_t i = 0; i < to->count; i++) {
        const char *rest = behind(to->properties[i].name, prefix);
        bool found = rest == NULL;

        for (size_t k = 0; k < count && !found; k++) {
            found = strcmp(rest, known[k]) == 0;
        }
        if (!found) {
            nw_debezium_refuse(to, &to->properties[i], "not there: remove it, or take its default");
        }
    }
}

static void refuse_name(struct nw_debezium *to, const char *name, const char *why)
{
    struct nw_debezium_property *p = nw_debezium_find(to, name);

    if (p != NULL) {
        nw_debezium_refuse(to, p, "%s", why);
    }
}

/* ---- Connect's converters ---- */

static const char JSON[] = "org.apache.kafka.connect.json.JsonConverter";
static const char AVRO[] = "io.confluent.connect.avro.AvroConverter";
static const char CLOUD[] = "io.debezium.converters.CloudEventsConverter";
static const char STRING[] = "org.apache.kafka.connect.storage.StringConverter";

static void json_convert(struct nw_debezium *to, bool given)
{
    const char *digits = get(to, "value.converter.", "decimal.format");
    bool schemas = said(get(to, "value.converter.", "schemas.enable"), true);

    nw_debezium_put(to, "sink.format", "debezium_json",
                    given ? "JsonConverter"
                          : "no value.converter: the worker's, which has to be JsonConverter");
    nw_debezium_put(to, "sink.schemas", schemas ? "true" : "false",
                    "value.converter.schemas.enable; Connect's default is true");
    nw_debezium_put(to, "sink.null_as_default",
                    said(get(to, "value.converter.", "replace.null.with.default"), true) ? "true"
                                                                                         : "false",
                    "value.converter.replace.null.with.default; Connect's default is true");
    if (digits != NULL) {
        nw_debezium_put(to, "sink.decimal_format",
                        strcasecmp(digits, "numeric") == 0 ? "numeric" : "base64",
                        "value.converter.decimal.format");
    }
    if (said(get(to, "key.converter.", "schemas.enable"), true) != schemas) {
        refuse_name(to,
                    nw_debezium_find(to, "key.converter.schemas.enable") != NULL
                        ? "key.converter.schemas.enable"
                        : "value.converter.schemas.enable",
                    "keys and values have schemas, or neither has: set both to the same");
    }
    others_refuse(to, "value.converter.",
                  "schemas.enable decimal.format replace.null.with.default schemas.cache.size");
    others_refuse(to, "key.converter.",
                  "schemas.enable decimal.format replace.null.with.default schemas.cache.size");
}

static void registry_user(struct nw_debezium *to, const char *prefix)
{
    const char *source = get(to, prefix, "basic.auth.credentials.source");
    const char *user = get(to, prefix, "basic.auth.user.info");
    const char *old = get(to, prefix, "schema.registry.basic.auth.user.info");
    const char *colon = NULL;

    user = user == NULL ? old : user;
    if (source != NULL && strcmp(source, "USER_INFO") != 0) {
        refuse_name(to, nw_debezium_text(to, "%sbasic.auth.credentials.source", prefix),
                    "only USER_INFO is there");
    }
    colon = user == NULL ? NULL : strchr(user, ':');
    if (user != NULL && (colon == NULL || behind(user, "${") != NULL)) {
        refuse_name(to,
                    nw_debezium_text(to, "%s%s", prefix,
                                     old == user ? "schema.registry.basic.auth.user.info"
                                                 : "basic.auth.user.info"),
                    "USER:PASSWORD is wanted; put it into registry_username and registry_password");
    } else if (user != NULL) {
        nw_debezium_put(
            to, "sink.registry_username",
            nw_debezium_quoted(to, nw_debezium_text(to, "%.*s", (int)(colon - user), user)),
            "basic.auth.user.info");
        nw_debezium_secret(to, "sink.registry_password", colon + 1, "NARWAL_REGISTRY_PASSWORD");
    }
}

static void subjects_convert(struct nw_debezium *to, const char *prefix)
{
    const char *strategy = get(to, prefix, "value.subject.name.strategy");
    const char *base = strategy == NULL ? NULL : strrchr(strategy, '.');
    const char *subjects = NULL;

    if (base != NULL) {
        subjects = strcmp(base, ".TopicNameStrategy") == 0         ? "topic"
                   : strcmp(base, ".RecordNameStrategy") == 0      ? "record"
                   : strcmp(base, ".TopicRecordNameStrategy") == 0 ? "topic_record"
                                                                   : NULL;
    }
    if (subjects != NULL) {
        nw_debezium_put(to, "sink.registry_subjects", subjects, "value.subject.name.strategy");
    } else if (strategy != NULL) {
        refuse_name(to, nw_debezium_text(to, "%svalue.subject.name.strategy", prefix),
                    "no class of one's own");
    }
}

/* @param prefix  of the registry's properties */
static void registry_convert(struct nw_debezium *to, const char *prefix)
{
    const char *urls[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, get(to, prefix, "schema.registry.url"), ',', urls);

    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, "sink.registry", urls[i]);
    }
    registry_user(to, prefix);
    subjects_convert(to, prefix);
    if (get(to, prefix, "auto.register.schemas") != NULL) {
        nw_debezium_put(to, "sink.registry_register",
                        said(get(to, prefix, "auto.register.schemas"), true) ? "true" : "false",
                        "auto.register.schemas");
    }
}

static void avro_convert(struct nw_debezium *to)
{
    static const char known[] =
        "schema.registry.url basic.auth.credentials.source basic.auth.user.info "
        "schema.registry.basic.auth.user.info auto.register.schemas "
        "value.subject.name.strategy key.subject.name.strategy";

    nw_debezium_put(to, "sink.format", "debezium_avro", "AvroConverter");
    registry_convert(to, "value.converter.");
    if (!same(get(to, "key.converter.", "schema.registry.url"),
              get(to, "value.converter.", "schema.registry.url"))) {
        refuse_name(to, "key.converter.schema.registry.url",
                    "keys and values are in one registry: set both to the same");
    }
    others_refuse(to, "value.converter.", known);
    others_refuse(to, "key.converter.", known);
}

static void cloud_convert(struct nw_debezium *to)
{
    const char *whole = get(to, "value.converter.", "serializer.type");
    const char *data = get(to, "value.converter.", "data.serializer.type");

    nw_debezium_put(to, "sink.format", "cloudevents", "CloudEventsConverter");
    if (whole != NULL && strcmp(whole, "json") != 0) {
        refuse_name(to, "value.converter.serializer.type", "CloudEvents are JSON: take json");
    }
    nw_debezium_put(to, "sink.cloudevents_data",
                    data != NULL && strcmp(data, "avro") == 0 ? "avro" : "json",
                    "value.converter.data.serializer.type");
    nw_debezium_put(to, "sink.schemas",
                    said(get(to, "value.converter.json.", "schemas.enable"), true) ? "true"
                                                                                   : "false",
                    "value.converter.json.schemas.enable; Connect's default is true");
    registry_convert(to, "value.converter.avro.");
    others_refuse(to, "value.converter.",
                  "serializer.type data.serializer.type json.schemas.enable "
                  "avro.schema.registry.url avro.auto.register.schemas");
    others_refuse(to, "key.converter.", "schemas.enable");
}

static const char ROUTER[] = "io.debezium.transforms.outbox.EventRouter";

static bool has_outbox(const struct nw_debezium *to)
{
    for (size_t i = 0; i < to->count; i++) {
        if (strcmp(to->properties[i].value, ROUTER) == 0) {
            return true;
        }
    }
    return false;
}

void nw_dbz_converters(struct nw_debezium *to, const struct nw_debezium_row *row,
                       struct nw_debezium_property *p)
{
    const char *key = nw_debezium_get(to, "key.converter");
    bool is_cloud = strcmp(p->value, CLOUD) == 0;

    (void)row;
    if (*p->value == '\0' || strcmp(p->value, JSON) == 0) {
        json_convert(to, *p->value != '\0');
    } else if (strcmp(p->value, AVRO) == 0) {
        avro_convert(to);
    } else if (is_cloud) {
        cloud_convert(to);
    } else if (strcmp(p->value, STRING) == 0 && has_outbox(to)) {
        nw_debezium_put(to, "sink.format", "debezium_json", "StringConverter, of an outbox");
    } else {
        nw_debezium_refuse(to, p,
                           "%s is not there: JsonConverter, Confluent's AvroConverter (also for "
                           "Apicurio, at /apis/ccompat/v7) and CloudEventsConverter are",
                           p->value);
    }
    if (key != NULL && *p->value != '\0' && strcmp(key, is_cloud ? JSON : p->value) != 0 &&
        !has_outbox(to)) {
        refuse_name(to, "key.converter", "keys have the form of values: set both to the same");
    }
}

/* ---- transforms ---- */

static const char *deletes_mode(struct nw_debezium *to, const char *prefix)
{
    const char *mode = get(to, prefix, "delete.tombstone.handling.mode");
    const char *old = get(to, prefix, "delete.handling.mode");
    bool dropped = said(get(to, prefix, "drop.tombstones"), true);

    if (mode != NULL || (old == NULL && get(to, prefix, "drop.tombstones") == NULL)) {
        return mode == NULL ? "tombstone" : mode;
    }
    if (old != NULL && strcmp(old, "rewrite") == 0) {
        return dropped ? "rewrite" : "rewrite-with-tombstone";
    }
    return dropped ? "drop" : "tombstone";
}

static void items_put(struct nw_debezium *to, const char *prefix, const char *name,
                      const char *path)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, get(to, prefix, name), ',', fields);

    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, path, fields[i]);
    }
}

static void unwrap_convert(struct nw_debezium *to, const char *prefix)
{
    const char *mode = deletes_mode(to, prefix);
    const char *name = nw_debezium_text(to, "%sdelete.tombstone.handling.mode", prefix);
    static const char *const known[] = {
        "drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone", NULL};

    if (!nw_patterns_match(known, mode)) {
        refuse_name(to, name, "no such mode");
        return;
    }
    nw_debezium_put(to, "sink.flatten", mode, "ExtractNewRecordState");
    items_put(to, prefix, "add.fields", "sink.add_fields");
    items_put(to, prefix, "add.headers", "sink.add_headers");
    if (!same(get(to, prefix, "add.fields.prefix"), NULL) &&
        !same(get(to, prefix, "add.fields.prefix"), "__")) {
        refuse_name(to, nw_debezium_text(to, "%sadd.fields.prefix", prefix), "only __ is there");
    }
    if (!same(get(to, prefix, "add.headers.prefix"), NULL) &&
        !same(get(to, prefix, "add.headers.prefix"), "__")) {
        refuse_name(to, nw_debezium_text(to, "%sadd.headers.prefix", prefix), "only __ is there");
    }
    others_refuse(to, prefix,
                  "type delete.tombstone.handling.mode delete.handling.mode drop.tombstones "
                  "add.fields add.headers add.fields.prefix add.headers.prefix");
}

/* The form of an outbox's key and payload, by the converters. */
static const char *outbox_form(struct nw_debezium *to, const char *prefix)
{
    const char *converter = nw_debezium_get(to, "value.converter");

    if (said(get(to, prefix, "table.expand.json.payload"), false)) {
        return "expanded";
    }
    return converter != NULL && strcmp(converter, JSON) == 0 ? "json" : "raw";
}

static void outbox_topic(struct nw_debezium *to, const char *prefix)
{
    static const char by[] = "${routedByValue}";
    const char *topic = get(to, prefix, "route.topic.replacement");
    const char *value = topic == NULL ? NULL : strstr(topic, by);

    if (value != NULL) {
        nw_debezium_put(
            to, "sink.outbox_topic",
            nw_debezium_quoted(to, nw_debezium_text(to, "%.*s{value}%s", (int)(value - topic),
                                                    topic, value + sizeof by - 1)),
            "route.topic.replacement");
    } else if (topic != NULL) {
        refuse_name(to, nw_debezium_text(to, "%sroute.topic.replacement", prefix),
                    "wants ${routedByValue}");
    }
}

static void outbox_tables(struct nw_debezium *to, const char *prefix)
{
    const char *tables = nw_debezium_get(to, "table.include.list");
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, tables, ',', regexes);
    bool plain = count > 0;

    for (size_t i = 0; i < count && plain; i++) {
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = nw_debezium_patterns(to, regexes[i], patterns);

        plain = made > 0;
        for (size_t k = 0; k < made && plain; k++) {
            plain = strpbrk(patterns[k], "*?[") == NULL;
            nw_debezium_item(to, "sink.outbox", patterns[k]);
        }
    }
    if (!plain) {
        refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                    "which tables are outboxes? table.include.list has to name them");
    }
}

static void outbox_convert(struct nw_debezium *to, const char *prefix)
{
    static const struct {
        const char *from, *to;
    } columns[] = {{"table.field.event.id", "sink.outbox_id"},
                   {"table.field.event.key", "sink.outbox_key"},
                   {"table.field.event.payload", "sink.outbox_payload"},
                   {"table.field.event.timestamp", "sink.outbox_timestamp"},
                   {"route.by.field", "sink.outbox_route"}};
    const char *tombstones = get(to, prefix, "route.tombstone.on.empty.payload");

    outbox_tables(to, prefix);
    outbox_topic(to, prefix);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        const char *value = get(to, prefix, columns[i].from);

        if (value != NULL) {
            nw_debezium_put(to, columns[i].to, nw_debezium_quoted(to, value), columns[i].from);
        }
    }
    items_put(to, prefix, "table.fields.additional.placement", "sink.outbox_placement");
    nw_debezium_put(to, "sink.outbox_form", outbox_form(to, prefix),
                    "as the converters write an outbox's key and payload");
    if (tombstones != NULL) {
        nw_debezium_put(to, "sink.outbox_tombstones", said(tombstones, false) ? "true" : "false",
                        "route.tombstone.on.empty.payload");
    }
    others_refuse(to, prefix,
                  "type table.field.event.id table.field.event.key table.field.event.payload "
                  "table.field.event.timestamp route.by.field table.fields.additional.placement "
                  "route.topic.replacement table.expand.json.payload "
                  "route.tombstone.on.empty.payload");
}

void nw_dbz_transforms(struct nw_debezium *to, const struct nw_debezium_row *row,
                       struct nw_debezium_property *p)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', aliases);

    (void)row;
    for (size_t i = 0; i < count; i++) {
        const char *prefix = nw_debezium_text(to, "transforms.%s.", aliases[i]);
        const char *class = get(to, prefix, "type");

        if (class != NULL && strcmp(class, "io.debezium.transforms.ExtractNewRecordState") == 0) {
            unwrap_convert(to, prefix);
        } else if (class != NULL && strcmp(class, ROUTER) == 0) {
            outbox_convert(to, prefix);
        } else {
            nw_debezium_refuse(to, p,
                               "%s (%s): only ExtractNewRecordState and EventRouter are there; "
                               "docs/transforms.md has narwal's own",
                               aliases[i], class == NULL ? "no type" : class);
        }
    }
}

/* ---- the producer ---- */

static void brokers_put(struct nw_debezium *to, const char *list)
{
    const char *addresses[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, list, ',', addresses);

    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].section, "sink") == 0 && strcmp(to->lines[i].key, "brokers") == 0) {
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, "sink.brokers", addresses[i]);
    }
}

void nw_dbz_brokers(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    const char *producers = nw_debezium_get(to, "producer.override.bootstrap.servers");

    (void)row;
    brokers_put(to, to->brokers != NULL ? to->brokers : producers != NULL ? producers : p->value);
}

/* username="..." and password="..." of Java's login modules */
static void login_convert(struct nw_debezium *to, struct nw_debezium_property *p)
{
    const char *user = strstr(p->value, "username=\"");
    const char *password = strstr(p->value, "password=\"");
    size_t size = 0;

    user = user == NULL ? NULL : user + strlen("username=\"");
    password = password == NULL ? NULL : password + strlen("password=\"");
    if (user == NULL || password == NULL || behind(user, "${") != NULL) {
        nw_debezium_refuse(to, p,
                           "username and password are wanted: put them into username and password");
        return;
    }
    size = strcspn(user, "\"");
    nw_debezium_put(to, "sink.username",
                    nw_debezium_quoted(to, nw_debezium_text(to, "%.*s", (int)size, user)),
                    "sasl.jaas.config");
    size = strcspn(password, "\"");
    nw_debezium_secret(to, "sink.password", nw_debezium_text(to, "%.*s", (int)size, password),
                       "NARWAL_KAFKA_PASSWORD");
}

/* A setting of the producer that has an option here, or one of librdkafka's. */
static bool setting_convert(struct nw_debezium *to, const char *name, const char *value)
{
    static const struct {
        const char *from, *to;
        bool word, property;
    } settings[] = {{"compression.type", "sink.compress", true, false},
                    {"sasl.mechanism", "sink.mechanism", true, false},
                    {"linger.ms", "linger.ms", false, true},
                    {"batch.size", "batch.size", false, true},
                    {"client.id", "client.id", false, true},
                    {"max.request.size", "message.max.bytes", false, true},
                    {"ssl.endpoint.identification.algorithm",
                     "ssl.endpoint.identification.algorithm", false, true}};

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i].from, name) == 0) {
            if (settings[i].property) {
                value = *value == '\0' ? "none" : value;
                nw_debezium_item(to, "sink.properties",
                                 nw_debezium_text(to, "%s=%s", settings[i].to, value));
            } else {
                nw_debezium_put(to, settings[i].to, value, name);
            }
            return true;
        }
    }
    return false;
}

static bool producer_ours(const char *name)
{
    static const char *const ours[] = {"acks",
                                       "retries",
                                       "enable.idempotence",
                                       "max.in.flight.requests.per.connection",
                                       "delivery.timeout.ms",
                                       "request.timeout.ms",
                                       "max.block.ms",
                                       "buffer.memory",
                                       "retry.backoff.ms",
                                       NULL};

    return nw_patterns_match(ours, name);
}

static void security_put(struct nw_debezium *to, const char *value)
{
    char lower[32] = "";

    for (size_t i = 0; value[i] != '\0' && i < sizeof lower - 1; i++) {
        lower[i] = (char)tolower((unsigned char)value[i]);
    }
    nw_debezium_put(to, "sink.security", nw_debezium_text(to, "%s", lower), "security.protocol");
}

void nw_dbz_producer(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *name = p->name + strlen(row->name) - 1;

    if (strcmp(name, "sasl.jaas.config") == 0) {
        login_convert(to, p);
    } else if (strstr(p->value, "${") != NULL && strstr(p->value, "${env:") == NULL) {
        nw_debezium_refuse(to, p,
                           "a reference to a provider of Connect: put the value, or "
                           "${env:NAME}");
    } else if (strcmp(name, "bootstrap.servers") == 0) {
        brokers_put(to, to->brokers != NULL ? to->brokers : p->value);
    } else if (strcmp(name, "security.protocol") == 0) {
        security_put(to, p->value);
    } else if (strcmp(name, "transaction.timeout.ms") == 0) {
        nw_dbz_time(to, &(struct nw_debezium_row){.to = "sink.transaction_timeout"}, p);
    } else if (producer_ours(name)) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "narwal sets what delivery depends on; timeout is an option of the sink";
    } else if (!setting_convert(to, name, p->value)) {
        nw_debezium_refuse(to, p,
                           behind(name, "ssl.") != NULL
                               ? "narwal takes PEM files: ca, cert and key of the sink"
                               : "no setting that has a counterpart: properties of the sink has "
                                 "those of librdkafka");
    }
}

void nw_dbz_creation(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *setting = behind(p->name, "topic.creation.default.");

    if (strcmp(p->name, "topic.creation.enable") == 0) {
        nw_debezium_put(to, "sink.create_topics", said(p->value, true) ? "true" : "false", p->name);
    } else if (setting == NULL || strcmp(setting, "include") == 0 ||
               strcmp(setting, "exclude") == 0) {
        nw_debezium_refuse(to, p,
                           "all topics are made alike: only topic.creation.default.* is "
                           "there; make the others before");
    } else if (strcmp(setting, "partitions") == 0) {
        nw_dbz_number(to, &(struct nw_debezium_row){.to = "sink.partitions"}, p);
    } else if (strcmp(setting, "replication.factor") == 0) {
        if (strcmp(p->value, "-1") != 0) {
            nw_dbz_number(to, &(struct nw_debezium_row){.to = "sink.replication"}, p);
        }
    } else {
        nw_debezium_item(to, "sink.topic_settings",
                         nw_debezium_text(to, "%s=%s", setting, p->value));
    }
    (void)row;
}
