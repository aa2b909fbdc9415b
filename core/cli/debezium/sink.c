/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: Connect's converters, the producer, and topics that are made. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/debezium/import.h"

/* The rest of a name behind PREFIX; NULL: it does not begin so. */
const char *nw_debezium_behind(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);

    return strncmp(name, prefix, size) == 0 ? name + size : NULL;
}

/* A property of an alias or a converter. */
const char *nw_debezium_under(struct nw_debezium *to, const char *prefix, const char *name)
{
    return nw_debezium_get(to, nw_debezium_text(to, "%s%s", prefix, name));
}

bool nw_debezium_said(const char *value, bool otherwise)
{
    return value == NULL ? otherwise : strcasecmp(value, "true") == 0;
}

bool nw_debezium_same(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* What a word says of a property: NAME, NAME=DEFAULT, or NAME=* when it changes nothing here.
 * @return false: it is of another property, or of another value */
static bool word_holds(struct nw_debezium_property *p, const char *rest, const char *word)
{
    size_t size = strcspn(word, "=");

    if (strlen(rest) != size || strncmp(rest, word, size) != 0) {
        return false;
    }
    if (word[size] == '=' && strcmp(word + size + 1, "*") == 0) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "this converter does not look at it, or narwal need not";
    } else if (word[size] == '=') {
        if (strcasecmp(word + size + 1, p->value) != 0) {
            return false;
        }
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "as it is by default";
    }
    return true;
}

void nw_debezium_others_refuse(struct nw_debezium *to, const char *prefix, const char *words)
{
    const char *known[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, words, ' ', known);
    bool transform = nw_debezium_behind(prefix, "transforms.") != NULL;

    for (size_t i = 0; i < to->count; i++) {
        struct nw_debezium_property *p = &to->properties[i];
        const char *rest = nw_debezium_behind(p->name, prefix);
        bool found = rest == NULL || p->verdict == NW_DEBEZIUM_REFUSED ||
                     nw_debezium_is_plugin_version(p->name);

        for (size_t k = 0; k < count && !found; k++) {
            found = word_holds(p, rest, known[k]);
        }
        found = found || (transform && (strcmp(rest, "predicate") == 0 || /* judged already */
                                        strcmp(rest, "negate") == 0));
        if (!found) {
            nw_debezium_refuse(to, p, "not there: remove it, or take its default");
        }
    }
}

void nw_debezium_refuse_name(struct nw_debezium *to, const char *name, const char *why)
{
    struct nw_debezium_property *p = nw_debezium_find(to, name);

    if (p != NULL) {
        nw_debezium_refuse(to, p, "%s", why);
    }
}

/* ---- Connect's converters ---- */

static const char JSON[] = NW_DEBEZIUM_JSON;
static const char AVRO[] = NW_DEBEZIUM_AVRO;
static const char CLOUD[] = "io.debezium.converters.CloudEventsConverter";
static const char STRING[] = "org.apache.kafka.connect.storage.StringConverter";

static void json_convert(struct nw_debezium *to, bool given)
{
    const char *digits = nw_debezium_under(to, "value.converter.", "decimal.format");
    bool schemas =
        nw_debezium_said(nw_debezium_under(to, "value.converter.", "schemas.enable"), true);

    nw_debezium_put(to, "sink.format", "debezium_json",
                    given ? "JsonConverter"
                          : "no value.converter: the worker's, which has to be JsonConverter");
    nw_debezium_put(to, "sink.schemas", schemas ? "true" : "false",
                    "value.converter.schemas.enable; Connect's default is true");
    nw_debezium_put(
        to, "sink.null_as_default",
        nw_debezium_said(nw_debezium_under(to, "value.converter.", "replace.null.with.default"),
                         true)
            ? "true"
            : "false",
        "value.converter.replace.null.with.default; Connect's default is true");
    if (digits != NULL) {
        nw_debezium_put(to, "sink.decimal_format",
                        strcasecmp(digits, "numeric") == 0 ? "numeric" : "base64",
                        "value.converter.decimal.format");
    }
    nw_debezium_key_converter(to, JSON, schemas);
    nw_debezium_others_refuse(
        to, "value.converter.",
        "schemas.enable decimal.format replace.null.with.default schemas.cache.size=* "
        "schema.registry.url=*");
}

static void registry_user(struct nw_debezium *to, const char *prefix)
{
    const char *source = nw_debezium_under(to, prefix, "basic.auth.credentials.source");
    const char *user = nw_debezium_under(to, prefix, "basic.auth.user.info");
    const char *old = nw_debezium_under(to, prefix, "schema.registry.basic.auth.user.info");
    const char *colon = NULL;

    user = user == NULL ? old : user;
    if (source != NULL && strcmp(source, "USER_INFO") != 0) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sbasic.auth.credentials.source", prefix),
                                "only USER_INFO is there");
    }
    colon = user == NULL ? NULL : strchr(user, ':');
    if (user != NULL && (colon == NULL || nw_debezium_behind(user, "${") != NULL)) {
        nw_debezium_refuse_name(
            to,
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
    const char *strategy = nw_debezium_under(to, prefix, "value.subject.name.strategy");
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
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%svalue.subject.name.strategy", prefix),
                                "no class of one's own");
    }
}

/* @param prefix  of the registry's properties */
static void registry_convert(struct nw_debezium *to, const char *prefix)
{
    const char *urls[NW_DEBEZIUM_ITEMS_MAX];
    size_t count =
        nw_debezium_split(to, nw_debezium_under(to, prefix, "schema.registry.url"), ',', urls);

    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, "sink.registry", urls[i]);
    }
    registry_user(to, prefix);
    subjects_convert(to, prefix);
    if (nw_debezium_under(to, prefix, "auto.register.schemas") != NULL) {
        nw_debezium_put(
            to, "sink.registry_register",
            nw_debezium_said(nw_debezium_under(to, prefix, "auto.register.schemas"), true)
                ? "true"
                : "false",
            "auto.register.schemas");
    }
}

/* @param prefix  of the converter's properties */
static void avro_nulls_convert(struct nw_debezium *to, const char *prefix)
{
    const char *ignores = nw_debezium_under(to, prefix, "ignore.default.for.nullables");

    nw_debezium_put(to, "sink.null_as_default", nw_debezium_said(ignores, false) ? "false" : "true",
                    nw_debezium_text(to,
                                     "%signore.default.for.nullables; Confluent's default is false",
                                     prefix));
}

static void avro_convert(struct nw_debezium *to)
{
    static const char known[] =
        "schema.registry.url basic.auth.credentials.source basic.auth.user.info "
        "schema.registry.basic.auth.user.info auto.register.schemas "
        "value.subject.name.strategy key.subject.name.strategy ignore.default.for.nullables "
        "schemas.enable=* schemas.cache.size=* schemas.cache.config=* max.schemas.per.subject=* "
        "enhanced.avro.schema.support=false connect.meta.data=true scrub.invalid.names=false "
        "use.latest.version=false normalize.schemas=false allow.optional.map.keys=false "
        "discard.type.doc.default=false generalized.sum.type.support=false";

    nw_debezium_put(to, "sink.format", "debezium_avro", "AvroConverter");
    avro_nulls_convert(to, "value.converter.");
    registry_convert(to, "value.converter.");
    nw_debezium_others_refuse(to, "value.converter.", known);
    if (!nw_debezium_same(nw_debezium_get(to, "key.converter"), NULL) &&
        !nw_debezium_same(nw_debezium_get(to, "key.converter"), AVRO)) {
        nw_debezium_key_converter(to, AVRO, false);
        return;
    }
    if (!nw_debezium_same(nw_debezium_under(to, "key.converter.", "schema.registry.url"),
                          nw_debezium_under(to, "value.converter.", "schema.registry.url"))) {
        nw_debezium_refuse_name(to, "key.converter.schema.registry.url",
                                "keys and values are in one registry: set both to the same");
    }
    nw_debezium_others_refuse(to, "key.converter.", known);
}

/* The data, and the keys, which have schemas where these have. */
static void cloud_json_convert(struct nw_debezium *to)
{
    static const char json[] = "value.converter.json.";
    const char *digits = nw_debezium_under(to, json, "decimal.format");
    bool schemas = nw_debezium_said(nw_debezium_under(to, json, "schemas.enable"), true);

    nw_debezium_put(to, "sink.schemas", schemas ? "true" : "false",
                    "value.converter.json.schemas.enable; Connect's default is true");
    nw_debezium_put(to, "sink.null_as_default",
                    nw_debezium_said(nw_debezium_under(to, json, "replace.null.with.default"), true)
                        ? "true"
                        : "false",
                    "value.converter.json.replace.null.with.default; Connect's default is true");
    if (digits != NULL) {
        nw_debezium_put(to, "sink.decimal_format",
                        strcasecmp(digits, "numeric") == 0 ? "numeric" : "base64",
                        "value.converter.json.decimal.format");
    }
    nw_debezium_key_converter(to, CLOUD, schemas);
}

/* What is there only as it is by default. */
static void cloud_rest_refuse(struct nw_debezium *to)
{
    static const struct {
        const char *name, *only, *why;
    } rest[] = {{"opentelemetry.tracing.attributes.enable", "false",
                 "narwal has no spans: remove the property"},
                {"extension.attributes.enable", "true",
                 "events have their attributes iodebezium...: remove the property"},
                {"schema.name.adjustment.mode", "avro",
                 "names of schemas are as Avro takes them: remove the property"},
                {"schema.cloudevents.name", "",
                 "the schema is named by topic.prefix and database: remove the property"},
                {"schema.data.name.source.header.enable", "false",
                 "narwal makes the schema's name: remove the property"}};
    const char *source = nw_debezium_under(to, "value.converter.", "metadata.source");

    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        const char *value = nw_debezium_under(to, "value.converter.", rest[i].name);

        if (value != NULL && strcasecmp(value, rest[i].only) != 0) {
            nw_debezium_refuse_name(to, nw_debezium_text(to, "value.converter.%s", rest[i].name),
                                    rest[i].why);
        }
    }
    if (source != NULL &&
        (strncmp(source, "value", strlen("value")) != 0 || strstr(source, "id:header") != NULL ||
         strstr(source, "type:header") != NULL ||
         strstr(source, "dataSchemaName:header") != NULL)) {
        nw_debezium_refuse_name(to, "value.converter.metadata.source",
                                "what events say comes from the change, not from headers: remove "
                                "the property");
    }
}

static void cloud_convert(struct nw_debezium *to)
{
    const char *whole = nw_debezium_under(to, "value.converter.", "serializer.type");
    const char *data = nw_debezium_under(to, "value.converter.", "data.serializer.type");
    bool avro = data != NULL && strcmp(data, "avro") == 0;

    nw_debezium_put(to, "sink.format", "cloudevents", "CloudEventsConverter");
    if (whole != NULL && strcmp(whole, "avro") == 0 && !avro) {
        nw_debezium_refuse_name(to, "value.converter.serializer.type",
                                "data in JSON are not within Avro: set data.serializer.type too");
    } else if (whole != NULL && strcmp(whole, "avro") == 0) {
        nw_debezium_put(to, "sink.cloudevents", "avro", "value.converter.serializer.type");
    } else if (whole != NULL && strcmp(whole, "json") != 0) {
        nw_debezium_refuse_name(to, "value.converter.serializer.type", "json and avro are there");
    }
    nw_debezium_put(to, "sink.cloudevents_data", avro ? "avro" : "json",
                    "value.converter.data.serializer.type");
    cloud_rest_refuse(to);
    if (avro) {
        nw_debezium_put(to, "sink.schemas",
                        nw_debezium_said(nw_debezium_get(to, "key.converter.schemas.enable"), true)
                            ? "true"
                            : "false",
                        "key.converter.schemas.enable; Connect's default is true");
        avro_nulls_convert(to, "value.converter.avro.");
    } else {
        cloud_json_convert(to);
    }
    registry_convert(to, "value.converter.avro.");
    nw_debezium_others_refuse(to, "value.converter.",
                              "serializer.type data.serializer.type json.schemas.enable "
                              "json.replace.null.with.default json.decimal.format "
                              "opentelemetry.tracing.attributes.enable extension.attributes.enable "
                              "schema.name.adjustment.mode metadata.source schema.cloudevents.name "
                              "schema.data.name.source.header.enable avro.schema.registry.url "
                              "avro.ignore.default.for.nullables "
                              "avro.auto.register.schemas");
    nw_debezium_others_refuse(to, "key.converter.", "schemas.enable");
}

static const char ROUTER[] = NW_DEBEZIUM_ROUTER;

bool nw_debezium_has_outbox(const struct nw_debezium *to)
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
    (void)row;
    if (*p->value == '\0' || strcmp(p->value, JSON) == 0) {
        json_convert(to, *p->value != '\0');
    } else if (strcmp(p->value, AVRO) == 0) {
        avro_convert(to);
    } else if (strcmp(p->value, CLOUD) == 0) {
        cloud_convert(to);
    } else if (strcmp(p->value, STRING) == 0 && nw_debezium_has_outbox(to)) {
        nw_debezium_put(to, "sink.format", "debezium_json", "StringConverter, of an outbox");
    } else {
        nw_debezium_refuse(to, p,
                           "%s is not there: JsonConverter, Confluent's AvroConverter (also for "
                           "Apicurio, at /apis/ccompat/v7) and CloudEventsConverter are",
                           p->value);
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
    if (user == NULL || password == NULL || nw_debezium_behind(user, "${") != NULL) {
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

/* @return false: it is none that the sink has */
static bool mechanism_put(struct nw_debezium *to, const char *value)
{
    static const char *const known[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER",
                                        NULL};

    if (!nw_patterns_match(known, value)) {
        return false;
    }
    nw_debezium_put(to, "sink.mechanism", value, "sasl.mechanism");
    return true;
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

/* @return false: it is not of the login */
static bool sasl_convert(struct nw_debezium *to, const char *name, struct nw_debezium_property *p)
{
    if (strcmp(name, "sasl.jaas.config") == 0) {
        login_convert(to, p);
    } else if (strcmp(name, "sasl.mechanism") == 0 && !mechanism_put(to, p->value)) {
        nw_debezium_refuse(to, p,
                           "%s is not there: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER "
                           "are, and TLS certificates",
                           p->value);
    } else if (nw_debezium_behind(name, "sasl.") != NULL && strstr(name, "class") != NULL) {
        nw_debezium_refuse(to, p,
                           "a class of Java: the sink has PLAIN, SCRAM and OAUTHBEARER itself");
    } else {
        return strcmp(name, "sasl.mechanism") == 0;
    }
    return true;
}

void nw_dbz_producer(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *name = p->name + strlen(row->name) - 1;

    if (sasl_convert(to, name, p)) {
        return;
    }
    if (strstr(p->value, "${") != NULL && strstr(p->value, "${env:") == NULL) {
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
                           nw_debezium_behind(name, "ssl.") != NULL
                               ? "narwal takes PEM files, which openssl pkcs12 makes of "
                                 "a store: ca, cert and key of the sink"
                               : "no setting that has a counterpart: properties of the sink has "
                                 "those of librdkafka");
    }
}

void nw_dbz_partitions(struct nw_debezium *to, const struct nw_debezium_row *row,
                       struct nw_debezium_property *p)
{
    if (*p->value != '\0' && strcmp(p->value, "-1") != 0) {
        nw_dbz_number(to, row, p);
    } else if (nw_debezium_said(nw_debezium_get(to, "topic.creation.enable"), true)) {
        nw_debezium_put(to, row->to, "1",
                        "of new topics; the connector's had the brokers' num.partitions");
    }
}

void nw_dbz_creation(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *setting = nw_debezium_behind(p->name, "topic.creation.default.");

    if (strcmp(p->name, "topic.creation.enable") == 0) {
        nw_debezium_put(to, "sink.create_topics",
                        nw_debezium_said(p->value, true) ? "true" : "false", p->name);
    } else if (setting == NULL || strcmp(setting, "include") == 0 ||
               strcmp(setting, "exclude") == 0) {
        nw_debezium_refuse(to, p,
                           "all topics are made alike: only topic.creation.default.* is "
                           "there; make the others before");
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

static bool sink_has(const struct nw_debezium *to, const char *key, const char *value)
{
    for (size_t i = 0; i < to->lines_count; i++) {
        const struct nw_debezium_line *line = &to->lines[i];

        if (strcmp(line->section, "sink") == 0 && strcmp(line->key, key) == 0) {
            return line->value != NULL && strcmp(line->value, value) == 0;
        }
    }
    return false;
}

void nw_debezium_types_settle(struct nw_debezium *to)
{
    static const char *const names[] = {"column.propagate.source.type",
                                        "datatype.propagate.source.type"};
    size_t kept = 0;

    if (sink_has(to, "schemas", "true") || sink_has(to, "format", "debezium_avro") ||
        sink_has(to, "cloudevents_data", "avro") || sink_has(to, "key_form", "json_schemas")) {
        return;
    }
    for (size_t i = 0; i < to->lines_count; i++) {
        const struct nw_debezium_line *line = &to->lines[i];

        if (strcmp(line->section, "sink") != 0 ||
            (strcmp(line->key, "source_types") != 0 && strcmp(line->key, "source_types_of") != 0)) {
            to->lines[kept++] = *line;
        }
    }
    to->lines_count = kept;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct nw_debezium_property *p = nw_debezium_find(to, names[i]);

        if (p != NULL && p->verdict == NW_DEBEZIUM_MAPPED) {
            p->verdict = NW_DEBEZIUM_NOTHING;
            p->why = "it is said in schemas, and messages have none";
        }
    }
}
