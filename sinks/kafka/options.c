/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the Kafka sink, and what they become in librdkafka's configuration. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define SECOND_US   INT64_C(1000000)
#define SECRET_SIZE 8192u

/* What waits in the queues of all workers, and in one at least; librdkafka's default is 1 GiB each.
 * A message costs it this much besides, about. */
#define QUEUES_BYTES    (UINT64_C(8) << 20)
#define QUEUE_BYTES_MIN (UINT64_C(4) << 20)
#define MESSAGE_BYTES   512u

enum {
    OPTION_BROKERS,
    OPTION_PREFIX,
    OPTION_TOPIC,
    OPTION_DELIVERY,
    OPTION_TOMBSTONES,
    OPTION_TRUNCATES,
    OPTION_SKIP,
    OPTION_PREFIXES_INCLUDE,
    OPTION_PREFIXES_EXCLUDE,
    OPTION_CREATE_TOPICS,
    OPTION_EXISTING_TOPICS,
    OPTION_PARTITIONS,
    OPTION_REPLICATION,
    OPTION_TOPIC_SETTINGS,
    OPTION_COMPRESS,
    OPTION_TIMEOUT,
    OPTION_TRANSACTION_TIMEOUT,
    OPTION_OVERSIZED,
    OPTION_SECURITY,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_MECHANISM,
    OPTION_USERNAME,
    OPTION_PASSWORD,
    OPTION_PROPERTIES,
    OPTION_KEYS,
    OPTION_HEADERS,
    OPTION_MESSAGES_TOPIC,
    OPTION_TRANSACTIONS_TOPIC,
    OPTION_SCHEMAS_TOPIC,
    OPTION_HEARTBEAT,
    OPTION_HEARTBEAT_TOPIC,
    OPTION_SIGNALS_TABLE,
    OPTION_SIGNALS_TOPIC,
    OPTION_NOTIFICATIONS_TOPIC,
    OPTION_KEY_PASSWORD,
    OPTION_TOKEN_ENDPOINT,
    OPTION_CLIENT_ID,
    OPTION_CLIENT_SECRET,
    OPTION_SCOPE,
    OPTION_EXTENSIONS,
    OPTION_CONTEXT_HEADERS,
    OPTION_ROUTES,
    OPTION_UNIQUE_KEYS,
    OPTION_FORMS,                                         /* those of enum nw_kafka_form_option */
    OPTION_FORMAT = OPTION_FORMS + NW_FORM_OPTIONS_COUNT, /* the first of those that sinks share */
    OPTIONS_COUNT = OPTION_FORMAT + NW_FORMAT_OPTIONS_COUNT
};

static const char *const deliveries[] = {"idempotent", "transactional", NULL};
static const char *const truncates[] = {"send", "skip", NULL};
static const char *const existings[] = {"refuse", "use", NULL};
static const char *const oversizeds[] = {"stop", "split", NULL};
static const char *const compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const securities[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER",
                                         NULL};
enum mechanism { MECHANISM_PLAIN, MECHANISM_SCRAM_256, MECHANISM_SCRAM_512, MECHANISM_OAUTHBEARER };
enum { SECURITY_SSL = 1, SECURITY_SASL = 2 /* from here on */, SECURITY_SASL_SSL = 3 };

static const char *const deletes[] = {
    "drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone", NULL};
static const char *const data_forms[] = {"json", "avro", NULL};
static const char *const outbox_forms[] = {"raw", "json", "expanded", NULL};
static const char *const key_forms[] = {"same", "json", "json_schemas", "string", "integer",
                                        "long", NULL};
static const char *const subjects[] = {"topic", "record", "topic_record", NULL};

_Static_assert(OPTIONS_COUNT == NW_KAFKA_OPTIONS_COUNT, "say in kafka.h how many there are");

const struct nw_option nw_kafka_option_table[NW_KAFKA_OPTIONS_COUNT] = {
    [OPTION_BROKERS] = {"brokers", NW_OPTION_LIST, NW_OPTION_REQUIRED, NULL, 0, 0, NULL,
                        "Addresses to begin with, HOST:PORT each."},
    [OPTION_PREFIX] = {"prefix", NW_OPTION_TEXT, NW_OPTION_REQUIRED, NULL, 0, 0, NULL,
                       "What names of topics begin with. Two pipelines never share one: what each "
                       "has written is kept under it."},
    [OPTION_TOPIC] = {"topic", NW_OPTION_TEXT, 0, "{prefix}.{schema}.{table}", 0, 0, NULL,
                      "A table's topic: {prefix}, {schema} and {table} are replaced. What Kafka "
                      "does not take in a name becomes _."},
    [OPTION_ROUTES] =
        {"routes", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "What becomes of topics' names, as with Connect's RegexRouter: "
         "\"REGEX => REPLACEMENT\" each, in Java's form. What a REGEX matches wholly "
         "becomes its REPLACEMENT, where $1 is the first group; then the next. "
         "Several tables may so get one topic. \"REGEX => REPLACEMENT => FIELD\" also "
         "calls the schemas after it and gives keys a FIELD with the former name, "
         "as ByLogicalTableRouter does; - for none; => REGEX => REPLACEMENT "
         "behind it says what of the name."},
    [OPTION_DELIVERY] = {"delivery", NW_OPTION_CHOICE, 0, "idempotent", 0, 0, deliveries,
                         "idempotent: after a kill what came since the last commit is sent again. "
                         "transactional: readers with read_committed see each change once."},
    [OPTION_TOMBSTONES] = {"tombstones", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
                           "Send a message without a value behind each delete, by which a "
                           "compacted topic forgets the key."},
    [OPTION_TRUNCATES] = {"truncates", NW_OPTION_CHOICE, 0, "send", 0, 0, truncates,
                          "A TRUNCATE becomes a message without a key, which brokers refuse in a "
                          "compacted topic. skip: none is sent, and readers keep the rows."},
    [OPTION_SKIP] = {"skip", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                     "Changes of which nothing is sent: inserts, updates, deletes. Copied rows are "
                     "sent, and updates are skipped also where they change a row's key. unchanged: "
                     "updates after which all columns of the message are as before, where that "
                     "is known: with REPLICA IDENTITY FULL."},
    [OPTION_PREFIXES_INCLUDE] = {"messages_include", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                                 "Expressions in Java's form: of logical messages only those whose "
                                 "prefix one of them matches wholly are sent."},
    [OPTION_PREFIXES_EXCLUDE] = {"messages_exclude", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                                 "The same, of those that are not sent; without messages_include."},
    [OPTION_CREATE_TOPICS] = {"create_topics", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
                              "Make topics that are not there. Those that are there are left as "
                              "they are."},
    [OPTION_EXISTING_TOPICS] = {"existing_topics", NW_OPTION_CHOICE, 0, "refuse", 0, 0, existings,
                                "At the very first start, when topics with this prefix have "
                                "messages already. use: begin, as behind Debezium."},
    [OPTION_PARTITIONS] = {"partitions", NW_OPTION_INTEGER, 0, "1", 1, 100000, NULL,
                           "Partitions of a topic that is made."},
    [OPTION_REPLICATION] = {"replication", NW_OPTION_INTEGER, 0, NULL, 1, 100, NULL,
                            "Copies of a topic that is made. Default: the broker's."},
    [OPTION_TOPIC_SETTINGS] = {"topic_settings", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                               "Settings of a topic that is made: cleanup.policy=compact."},
    [OPTION_COMPRESS] = {"compress", NW_OPTION_CHOICE, 0, "lz4", 0, 0, compressions,
                         "How messages are compressed."},
    [OPTION_TIMEOUT] = {"timeout", NW_OPTION_DURATION, 0, "60s", SECOND_US, 3600 * SECOND_US, NULL,
                        "How long nothing may be acknowledged before the sink begins again from "
                        "what it has."},
    [OPTION_TRANSACTION_TIMEOUT] = {"transaction_timeout", NW_OPTION_DURATION, 0, "5min", SECOND_US,
                                    3600 * SECOND_US, NULL,
                                    "How long the broker leaves a transaction open. At most its "
                                    "transaction.max.timeout.ms."},
    [OPTION_OVERSIZED] = {"oversized", NW_OPTION_CHOICE, 0, "stop", 0, 0, oversizeds,
                          "With delivery: transactional: a transaction of the database that cannot "
                          "be sent within transaction_timeout. split: readers see it in several."},
    [OPTION_SECURITY] = {"security", NW_OPTION_CHOICE, 0, "plaintext", 0, 0, securities,
                         "How brokers are spoken to."},
    [OPTION_CA] = {"ca", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
                   "Certificates that brokers' are signed by. Default: the system's."},
    [OPTION_CERT] = {"cert", NW_OPTION_PATH, 0, NULL, 0, 0, NULL, "Our own certificate."},
    [OPTION_KEY] = {"key", NW_OPTION_PATH, 0, NULL, 0, 0, NULL, "Its key."},
    [OPTION_MECHANISM] = {"mechanism", NW_OPTION_CHOICE, 0, NULL, 0, 0, mechanisms,
                          "With security: sasl_...: how to say who we are."},
    [OPTION_USERNAME] = {"username", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL, "For SASL."},
    [OPTION_PASSWORD] = {"password", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0, NULL,
                         "For SASL."},
    [OPTION_PROPERTIES] = {"properties", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                           "Further settings of librdkafka: linger.ms=20."},
    [OPTION_KEYS] = {"keys", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                     "Other keys of messages than the tables': \"sales.lines:order_id\", several "
                     "columns by commas. \"TABLES => COLUMNS,COLUMNS\", expressions in Java's "
                     "form: as Debezium's message.key.columns of each table the columns whose "
                     "SCHEMA.TABLE.COLUMN is matched wholly by TABLES.COLUMNS, capitals as small "
                     "letters; several such items add up."},
    [OPTION_UNIQUE_KEYS] = {"unique_keys", NW_OPTION_BOOL, 0, "false", 0, 0, NULL,
                            "Tables without a primary key and without REPLICA IDENTITY USING INDEX "
                            "have the columns of their first unique index, by its name, as key, "
                            "as with Debezium: also where it is partial, or its columns are NULL."},
    [OPTION_HEADERS] = {"headers", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                        "Headers that each message has: \"source=orders-eu\"."},
    [OPTION_MESSAGES_TOPIC] =
        {"messages_topic", NW_OPTION_TEXT, 0, "{prefix}.message", 0, 0, NULL,
         "Where messages of pg_logical_emit_message() go, which source.messages "
         "may leave out."},
    [OPTION_TRANSACTIONS_TOPIC] = {"transactions_topic", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                                   "Where each transaction's begin and end go, with the number of "
                                   "its rows: \"{prefix}.transaction\". Default: nowhere."},
    [OPTION_SCHEMAS_TOPIC] = {"schemas_topic", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                              "Where the columns of a table go when they change: "
                              "\"{prefix}.schema\". Default: nowhere."},
    [OPTION_HEARTBEAT] = {"heartbeat", NW_OPTION_DURATION, 0, NULL, SECOND_US, 86400 * SECOND_US,
                          NULL, "How often a heartbeat is sent. Default: never."},
    [OPTION_HEARTBEAT_TOPIC] = {"heartbeat_topic", NW_OPTION_TEXT, 0,
                                "__debezium-heartbeat.{prefix}", 0, 0, NULL,
                                "Where heartbeats go; readers of Debezium's topics know it."},
    [OPTION_SIGNALS_TABLE] = {"signals_table", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                              "SCHEMA.TABLE, with columns id, type, data: rows that are inserted "
                              "there ask for copies, as Debezium's signals do. It has to be "
                              "followed as other tables are."},
    [OPTION_SIGNALS_TOPIC] = {"signals_topic", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                              "A topic of one partition whose messages ask for the same; their key "
                              "is the prefix."},
    [OPTION_NOTIFICATIONS_TOPIC] = {"notifications_topic", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                                    "Where it is said that copies begin and end, as Debezium's "
                                    "notifications: \"{prefix}.notifications\". Default: nowhere."},
    [OPTION_KEY_PASSWORD] = {"key_password", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0, NULL,
                             "What `key` is encrypted with."},
    [OPTION_TOKEN_ENDPOINT] = {"token_endpoint", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                               "With mechanism: OAUTHBEARER: the URL that gives tokens (OIDC)."},
    [OPTION_CLIENT_ID] = {"client_id", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                          "Who we are at the token endpoint."},
    [OPTION_CLIENT_SECRET] = {"client_secret", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0, NULL,
                              "What the token endpoint knows us by."},
    [OPTION_SCOPE] = {"scope", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL, "What tokens are asked for."},
    [OPTION_EXTENSIONS] =
        {"extensions", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
         "What brokers are told beside a token: logicalCluster=lkc-1,NAME=VALUE."},
    [OPTION_CONTEXT_HEADERS] =
        {"context_headers", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
         "With another format than narwal: the headers that Debezium gives "
         "to messages of tables, __debezium.context.connectorName and others."},
#define FORM(option) [OPTION_FORMS + (option)]
    FORM(NW_FORM_FLATTEN) = {"flatten", NW_OPTION_CHOICE, 0, NULL, 0, 0, deletes,
                             "Send the row alone, without an envelope. What becomes of deletes: "
                             "the words are those of Debezium's delete.tombstone.handling.mode."},
    FORM(NW_FORM_ADD_FIELDS) =
        {"add_fields", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "With flatten: what of the envelope becomes a field, with __ before "
         "its name: op, lsn, source.ts_ms, or ts_ms:NAME; or NAME=TEXT, the same in each row."},
    FORM(NW_FORM_ADD_HEADERS) = {"add_headers", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                                 "What of Debezium's envelope becomes a header, as add_fields."},
    FORM(NW_FORM_DATA) = {"cloudevents_data", NW_OPTION_CHOICE, 0, "json", 0, 0, data_forms,
                          "What the data of a CloudEvent are."},
    FORM(NW_FORM_CLOUD) = {"cloudevents", NW_OPTION_CHOICE, 0, "json", 0, 0, data_forms,
                           "What CloudEvents are. avro: their data are Avro, too."},
    FORM(NW_FORM_OUTBOX) = {"outbox", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                            "Tables whose inserted rows are messages of their own, SCHEMA.TABLE "
                            "each."},
    FORM(NW_FORM_OUTBOX_TOPIC) = {"outbox_topic", NW_OPTION_TEXT, 0, "outbox.event.{value}", 0, 0,
                                  NULL,
                                  "Their topics: {value} is what the column outbox_route has."},
    FORM(NW_FORM_OUTBOX_REGEX) =
        {"outbox_regex", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
         "A regular expression in Java's form. Where it matches wholly what "
         "outbox_route has, outbox_topic is the topic, with $1 "
         "for its first group; else that value itself is."},
    FORM(NW_FORM_OUTBOX_ID) = {"outbox_id", NW_OPTION_TEXT, 0, "id", 0, 0, NULL,
                               "The column for the header id."},
    FORM(NW_FORM_OUTBOX_ROUTE) = {"outbox_route", NW_OPTION_TEXT, 0, "aggregatetype", 0, 0, NULL,
                                  "The column that says which topic."},
    FORM(NW_FORM_OUTBOX_KEY) = {"outbox_key", NW_OPTION_TEXT, 0, "aggregateid", 0, 0, NULL,
                                "The column with the message's key."},
    FORM(NW_FORM_OUTBOX_PAYLOAD) = {"outbox_payload", NW_OPTION_TEXT, 0, "payload", 0, 0, NULL,
                                    "The column with the message's value."},
    FORM(NW_FORM_OUTBOX_TIMESTAMP) = {"outbox_timestamp", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                                      "The column with the message's timestamp. Default: now."},
    FORM(NW_FORM_OUTBOX_FORM) = {"outbox_form", NW_OPTION_CHOICE, 0, "raw", 0, 0, outbox_forms,
                                 "raw: key and payload as they are. json: JSON strings. expanded: "
                                 "the key is a JSON string, and the payload is JSON itself."},
    FORM(NW_FORM_OUTBOX_PLACEMENT) = {"outbox_placement", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                                      "Where other columns go: COLUMN:header[:NAME], or "
                                      "COLUMN:envelope[:NAME], which makes the value an object "
                                      "that has the payload in it."},
    FORM(NW_FORM_OUTBOX_TOMBSTONES) = {"outbox_tombstones", NW_OPTION_BOOL, 0, "false", 0, 0, NULL,
                                       "A row without a payload is sent as a tombstone."},
    FORM(NW_FORM_REGISTRY) = {"registry", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                              "URLs of a schema registry with Confluent's API, for Avro; the next "
                              "is asked where one does not answer."},
    FORM(NW_FORM_REGISTRY_REGISTER) = {"registry_register", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
                                       "Register schemas that are not there. false: their tables "
                                       "stop."},
    FORM(NW_FORM_REGISTRY_SUBJECTS) = {"registry_subjects", NW_OPTION_CHOICE, 0, "topic", 0, 0,
                                       subjects,
                                       "What schemas are registered under: TOPIC-key and "
                                       "TOPIC-value, the record's name, or TOPIC-RECORD."},
    FORM(NW_FORM_REGISTRY_USERNAME) = {"registry_username", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                                       "For basic authentication at the registry."},
    FORM(NW_FORM_REGISTRY_PASSWORD) = {"registry_password", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL,
                                       0, 0, NULL, "The password of registry_username."},
    FORM(NW_FORM_REGISTRY_TOKEN) = {"registry_token", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0,
                                    NULL, "A bearer token for the registry, instead of a user."},
    FORM(NW_FORM_REGISTRY_CA) = {"registry_ca", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
                                 "Certificates (PEM) of who signed the registry's. Default: the "
                                 "system's."},
    FORM(NW_FORM_REGISTRY_CERT) = {"registry_cert", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
                                   "Our own certificate (PEM) for the registry."},
    FORM(NW_FORM_REGISTRY_KEY) = {"registry_key", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
                                  "The key (PEM) of registry_cert."},
    FORM(NW_FORM_KEY_COLUMNS) =
        {"key_columns", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "Columns that every table's messages have as their key, whatever its own is. What a "
         "change of a row's key becomes is still said by its own."},
    FORM(NW_FORM_KEY_FIELD) = {"key_field", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                               "The field whose value alone is the key: 7 instead of "
                               "{\"id\":7}."},
    FORM(NW_FORM_KEY_FORM) = {"key_form", NW_OPTION_CHOICE, 0, "same", 0, 0, key_forms,
                              "How keys are written: same, as values are; json, json_schemas; "
                              "string, as Java's toString() has them; integer and long, four and "
                              "eight bytes, of a key_field with that type."},
    FORM(NW_FORM_SOURCE_TYPES) =
        {"source_types", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "Expressions in Java's form: schemas of columns whose SCHEMA.TABLE.COLUMN one of them "
         "matches wholly, in whatever case, say the type on the server in parameters, "
         "__debezium.source.column.type, length, scale and name."},
    FORM(NW_FORM_SOURCE_TYPES_OF) =
        {"source_types_of", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "The same by SCHEMA.TABLE.TYPE, where TYPE is PostgreSQL's own name of a column's type: "
         "\".*\\\\.(int4|varchar|_text)\"."},
    FORM(NW_FORM_RESHAPE) =
        {"reshape", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
         "With flatten: steps that change a row's fields, in their order, as Connect's transforms "
         "of values do: \"mask card\", \"cast id: string\", \"time at: unix us\", \"rename a: b\", "
         "\"drop a\". docs/formats.md lists them."},
#undef FORM
    NW_FORMAT_OPTION_ROWS(OPTION_FORMAT),
};

/* What delivery depends on, and what has an option of its own. */
static const char *const ours[] = {"bootstrap.servers",
                                   "metadata.broker.list",
                                   "enable.idempotence",
                                   "transactional.id",
                                   "transaction.timeout.ms",
                                   "acks",
                                   "request.required.acks",
                                   "partitioner",
                                   "message.timeout.ms",
                                   "delivery.timeout.ms",
                                   "isolation.level",
                                   "enable.partition.eof",
                                   "security.protocol",
                                   "sasl.password",
                                   "sasl.username",
                                   "sasl.mechanism",
                                   "sasl.mechanisms",
                                   "sasl.oauthbearer.token.endpoint.url",
                                   "sasl.oauthbearer.client.id",
                                   "sasl.oauthbearer.client.credentials.client.id",
                                   "sasl.oauthbearer.client.secret",
                                   "sasl.oauthbearer.client.credentials.client.secret",
                                   "sasl.oauthbearer.scope",
                                   "sasl.oauthbearer.extensions",
                                   "ssl.key.password",
                                   "compression.type",
                                   "compression.codec",
                                   "max.in.flight",
                                   "queuing.strategy",
                                   "max.in.flight.requests.per.connection",
                                   "retries",
                                   "message.send.max.retries",
                                   "enable.gapless.guarantee",
                                   "allow.auto.create.topics",
                                   "dr_cb",
                                   "dr_msg_cb",
                                   "log_cb",
                                   "opaque"};

static nw_status set(struct nw_kafka_options *to, const char *name, const char *value,
                     struct nw_error *err)
{
    char why[512];

    return rd_kafka_conf_set(to->conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW2702 %s: librdkafka %s does not take %s: %s", to->name,
                         rd_kafka_version_str(), name, why);
}

static nw_status property_set(struct nw_kafka_options *to, const char *text, struct nw_error *err)
{
    const char *equals = strchr(text, '=');
    char name[128];

    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof name) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: properties: \"%s\" is not NAME=VALUE", to->name,
                       text);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(name, ours[i]) == 0) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: properties: %s is not for the configuration: delivery "
                           "depends on it, or an option of this sink sets it",
                           to->name, name);
        }
    }
    return set(to, name, equals + 1, err);
}

static nw_status brokers_set(struct nw_kafka_options *to, const struct nw_setting *setting,
                             struct nw_error *err)
{
    char all[4096] = "";
    size_t used = 0;

    for (size_t i = 0; setting->items != NULL && setting->items[i] != NULL; i++) {
        int size =
            snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? "," : "", setting->items[i]);

        if (size < 0 || (size_t)size >= sizeof all - used) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: brokers are too many", to->name);
        }
        used += (size_t)size;
    }
    return set(to, "bootstrap.servers", all, err);
}

static nw_status number_set(struct nw_kafka_options *to, const char *name, uint64_t number,
                            struct nw_error *err)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    return set(to, name, text, err);
}

/* As it is now. */
static nw_status number_get(const struct nw_kafka_options *to, const char *name, uint64_t *number,
                            struct nw_error *err)
{
    char text[32];
    size_t size = sizeof text;

    if (rd_kafka_conf_get(to->conf, name, text, &size) != RD_KAFKA_CONF_OK) {
        return nw_fail(err, NW_FATAL, "NW2702 librdkafka %s has no %s", rd_kafka_version_str(),
                       name);
    }
    *number = strtoull(text, NULL, 10);
    return NW_OK;
}

/* Before `properties`, which may say otherwise. */
static nw_status queue_set(struct nw_kafka_options *to, uint32_t workers, struct nw_error *err)
{
    uint64_t bytes = QUEUES_BYTES / (workers == 0 ? 1 : workers);
    nw_status status = NW_OK;

    bytes = bytes > QUEUE_BYTES_MIN ? bytes : QUEUE_BYTES_MIN;
    status = number_set(to, "queue.buffering.max.kbytes", bytes / 1024, err);
    return status == NW_OK
               ? number_set(to, "queue.buffering.max.messages", bytes / MESSAGE_BYTES, err)
               : status;
}

/* Behind them: room for the largest message that may come, which would wait for ever. */
static nw_status queue_widen(struct nw_kafka_options *to, struct nw_error *err)
{
    uint64_t kbytes = 0;
    uint64_t message_bytes = 0;
    nw_status status = number_get(to, "queue.buffering.max.kbytes", &kbytes, err);

    if (status == NW_OK) {
        status = number_get(to, "message.max.bytes", &message_bytes, err);
    }
    return status == NW_OK && kbytes * 1024 < message_bytes
               ? number_set(to, "queue.buffering.max.kbytes", message_bytes / 1024 + 1, err)
               : status;
}

/* Those that have a name of librdkafka's. */
static nw_status passed_on(struct nw_kafka_options *to, const struct nw_setting *settings,
                           struct nw_error *err)
{
    static const struct {
        int option;
        const char *name;
    } names[] = {{OPTION_COMPRESS, "compression.type"},
                 {OPTION_SECURITY, "security.protocol"},
                 {OPTION_CA, "ssl.ca.location"},
                 {OPTION_CERT, "ssl.certificate.location"},
                 {OPTION_KEY, "ssl.key.location"},
                 {OPTION_MECHANISM, "sasl.mechanism"},
                 {OPTION_USERNAME, "sasl.username"},
                 {OPTION_PASSWORD, "sasl.password"},
                 {OPTION_KEY_PASSWORD, "ssl.key.password"},
                 {OPTION_TOKEN_ENDPOINT, "sasl.oauthbearer.token.endpoint.url"},
                 {OPTION_CLIENT_ID, "sasl.oauthbearer.client.id"},
                 {OPTION_CLIENT_SECRET, "sasl.oauthbearer.client.secret"},
                 {OPTION_SCOPE, "sasl.oauthbearer.scope"},
                 {OPTION_EXTENSIONS, "sasl.oauthbearer.extensions"}};
    nw_status status = NW_OK;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == NW_OK; i++) {
        if (settings[names[i].option].set) {
            status = set(to, names[i].name, settings[names[i].option].text, err);
        }
    }
    if (status == NW_OK) {
        status = number_set(to, "transaction.timeout.ms", (uint64_t)to->transaction_ms, err);
    }
    for (size_t i = 0; status == NW_OK && settings[OPTION_PROPERTIES].items != NULL &&
                       settings[OPTION_PROPERTIES].items[i] != NULL;
         i++) {
        status = property_set(to, settings[OPTION_PROPERTIES].items[i], err);
    }
    return status == NW_OK ? queue_widen(to, err) : status;
}

/* NULL: unset. */
static const char *text_of(const struct nw_setting *setting)
{
    return setting->set ? setting->text : NULL;
}

void nw_kafka_context_headers(struct nw_kafka_options *to, const struct nw_host *host)
{
    char run[NW_KAFKA_ID_SIZE];

    if (to->context_headers && to->format.kind != NW_FORMAT_NARWAL) {
        const char *const headers[][2] = {
            {"__debezium.context.connectorLogicalName", to->prefix},
            {"__debezium.context.taskId", "0"},
            {"__debezium.context.connectorName", "postgresql"},
            {"__debezium.context.runId", run},
        };

        nw_kafka_id_make(host, run);
        to->row_headers =
            to->headers == NULL ? rd_kafka_headers_new(8) : rd_kafka_headers_copy(to->headers);
        for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
            (void)rd_kafka_header_add(to->row_headers, headers[i][0], -1, headers[i][1], -1);
        }
    }
}

static nw_status headers_set(struct nw_kafka_options *to, const struct nw_setting *setting,
                             struct nw_error *err)
{
    for (size_t i = 0; setting->items != NULL && setting->items[i] != NULL; i++) {
        const char *item = setting->items[i];
        const char *equals = strchr(item, '=');

        if (equals == NULL || equals == item) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: headers: \"%s\" is not NAME=VALUE", to->name,
                           item);
        }
        if (to->headers == NULL) {
            to->headers = rd_kafka_headers_new(8);
        }
        (void)rd_kafka_header_add(to->headers, item, equals - item, equals + 1, -1);
    }
    return NW_OK;
}

/* A property, or else the library's own. */
static nw_status batch_bytes_read(struct nw_kafka_options *to, struct nw_error *err)
{
    uint64_t bytes = 0;
    nw_status status = number_get(to, "batch.size", &bytes, err);

    to->batch_bytes = (size_t)bytes;
    return status;
}

nw_status nw_kafka_secrets_read(struct nw_kafka_sink *sink, struct nw_error *err)
{
    static const struct {
        uint32_t option;
        const char *name;
    } secrets[] = {{OPTION_PASSWORD, "sasl.password"},
                   {OPTION_CLIENT_SECRET, "sasl.oauthbearer.client.secret"},
                   {OPTION_KEY_PASSWORD, "ssl.key.password"}};
    const struct nw_host *host = sink->host;
    char text[SECRET_SIZE];
    nw_status status = NW_OK;

    if (host->size <= offsetof(struct nw_host, text_now)) {
        return NW_OK;
    }
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0] && status == NW_OK; i++) {
        status = host->text_now(host, secrets[i].option, text, sizeof text, err);
        if (status == NW_OK && text[0] != '\0') {
            status = set(&sink->options, secrets[i].name, text, err);
        }
    }
    explicit_bzero(text, sizeof text);
    return status;
}

/* A property as `properties` has left it. */
static bool property_is(const struct nw_kafka_options *to, const char *name, const char *value)
{
    char is[32] = "";
    size_t size = sizeof is;

    return rd_kafka_conf_get(to->conf, name, is, &size) == RD_KAFKA_CONF_OK &&
           strcmp(is, value) == 0;
}

/* Options that mean nothing beside others: librdkafka would pass them over without a word, and
 * speak in the clear to brokers that were to be spoken to otherwise. */
static nw_status needs_check(const struct nw_kafka_options *to, const struct nw_setting *settings,
                             struct nw_error *err)
{
    int64_t security = settings[OPTION_SECURITY].number;
    bool tls = security == SECURITY_SSL || security == SECURITY_SASL_SSL;
    bool sasl = security >= SECURITY_SASL;
    bool tokens = sasl && settings[OPTION_MECHANISM].number == MECHANISM_OAUTHBEARER;
    static const char tls_text[] = "security: ssl or sasl_ssl";
    static const char user_text[] =
        "security: sasl_ssl or sasl_plaintext, and mechanism: PLAIN or SCRAM-...";
    static const char token_text[] =
        "security: sasl_ssl or sasl_plaintext, and mechanism: OAUTHBEARER";
    const struct {
        uint32_t option;
        bool fits;
        const char *needs;
    } options[] = {{OPTION_CA, tls, tls_text},
                   {OPTION_CERT, tls, tls_text},
                   {OPTION_KEY, tls, tls_text},
                   {OPTION_KEY_PASSWORD, tls, tls_text},
                   {OPTION_CERT, settings[OPTION_KEY].set, "key"},
                   {OPTION_KEY, settings[OPTION_CERT].set, "cert"},
                   {OPTION_KEY_PASSWORD, settings[OPTION_KEY].set, "key"},
                   {OPTION_USERNAME, sasl && !tokens, user_text},
                   {OPTION_PASSWORD, sasl && !tokens, user_text},
                   {OPTION_TOKEN_ENDPOINT, tokens, token_text},
                   {OPTION_CLIENT_ID, tokens, token_text},
                   {OPTION_CLIENT_SECRET, tokens, token_text},
                   {OPTION_SCOPE, tokens, token_text},
                   {OPTION_EXTENSIONS, tokens, token_text}};

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (settings[options[i].option].set && !options[i].fits) {
            return nw_fail(err, NW_FATAL, "NW1008 %s: %s needs %s", to->name,
                           nw_kafka_option_table[options[i].option].name, options[i].needs);
        }
    }
    return to->splits && !to->transactional
               ? nw_fail(err, NW_FATAL, "NW1008 %s: oversized: split needs delivery: transactional",
                         to->name)
               : NW_OK;
}

/* Who we are is said whole, and only where it is asked for: half of it would be noticed late. */
static nw_status identity_check(struct nw_kafka_options *to, const struct nw_setting *settings,
                                struct nw_error *err)
{
    bool sasl = settings[OPTION_SECURITY].number >= SECURITY_SASL;
    int64_t mechanism = settings[OPTION_MECHANISM].number;

    if (sasl != settings[OPTION_MECHANISM].set) {
        return nw_fail(err, NW_FATAL,
                       sasl ? "NW1008 %s: security: sasl_... needs mechanism"
                            : "NW1008 %s: mechanism needs security: sasl_ssl or sasl_plaintext",
                       to->name);
    }
    if (!sasl) {
        return NW_OK;
    }
    to->scram = mechanism == MECHANISM_SCRAM_256 || mechanism == MECHANISM_SCRAM_512;
    if (mechanism != MECHANISM_OAUTHBEARER) {
        return settings[OPTION_USERNAME].set && settings[OPTION_PASSWORD].set
                   ? NW_OK
                   : nw_fail(err, NW_FATAL, "NW1008 %s: mechanism: %s needs username and password",
                             to->name, settings[OPTION_MECHANISM].text);
    }
    if (settings[OPTION_TOKEN_ENDPOINT].set) {
        return settings[OPTION_CLIENT_ID].set && settings[OPTION_CLIENT_SECRET].set
                   ? set(to, "sasl.oauthbearer.method", "oidc", err)
                   : nw_fail(err, NW_FATAL,
                             "NW1008 %s: token_endpoint needs client_id and client_secret",
                             to->name);
    }
    return property_is(to, "enable.sasl.oauthbearer.unsecure.jwt", "true") ||
                   property_is(to, "sasl.oauthbearer.method", "oidc")
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1008 %s: mechanism: OAUTHBEARER needs token_endpoint",
                         to->name);
}

/* What needs no checking. */
static void fields_read(struct nw_kafka_options *to, const struct nw_setting *settings)
{
    to->prefix = settings[OPTION_PREFIX].text;
    to->template_ = settings[OPTION_TOPIC].text;
    to->transactional = settings[OPTION_DELIVERY].number == 1;
    to->tombstones = settings[OPTION_TOMBSTONES].flag;
    to->truncates = settings[OPTION_TRUNCATES].number == 0;
    to->creates = settings[OPTION_CREATE_TOPICS].flag;
    to->uses_existing = settings[OPTION_EXISTING_TOPICS].number == 1;
    to->partitions = (int)settings[OPTION_PARTITIONS].number;
    to->replication =
        settings[OPTION_REPLICATION].set ? (int)settings[OPTION_REPLICATION].number : -1;
    to->topic_settings = settings[OPTION_TOPIC_SETTINGS].items;
    to->transaction_ms = settings[OPTION_TRANSACTION_TIMEOUT].number / 1000;
    to->splits = settings[OPTION_OVERSIZED].number == 1;
    to->timeout_ms = settings[OPTION_TIMEOUT].number / 1000;
    to->keys = settings[OPTION_KEYS].items;
    to->unique_keys = settings[OPTION_UNIQUE_KEYS].flag;
    nw_format_options_read(&settings[OPTION_FORMAT], &to->format);
    to->context_headers = settings[OPTION_CONTEXT_HEADERS].flag;
    to->heartbeat_us = settings[OPTION_HEARTBEAT].number;
    to->notices_[NW_KAFKA_MESSAGES] = text_of(&settings[OPTION_MESSAGES_TOPIC]);
    to->notices_[NW_KAFKA_TRANSACTIONS] = text_of(&settings[OPTION_TRANSACTIONS_TOPIC]);
    to->notices_[NW_KAFKA_SCHEMAS] = text_of(&settings[OPTION_SCHEMAS_TOPIC]);
    to->notices_[NW_KAFKA_NOTIFICATIONS] = text_of(&settings[OPTION_NOTIFICATIONS_TOPIC]);
    to->signals_table = text_of(&settings[OPTION_SIGNALS_TABLE]);
    to->signals_topic = text_of(&settings[OPTION_SIGNALS_TOPIC]);
    to->notices_[NW_KAFKA_HEARTBEATS] = text_of(&settings[OPTION_HEARTBEAT_TOPIC]);
}

/* What all clients have in common. */
static nw_status conf_make(struct nw_kafka_options *to, const struct nw_setting *settings,
                           uint32_t workers, struct nw_error *err)
{
    nw_status status = NW_OK;

    to->conf = rd_kafka_conf_new();
    status = brokers_set(to, &settings[OPTION_BROKERS], err);
    if (status == NW_OK) { /* a broker would make them by its own defaults */
        status = set(to, "allow.auto.create.topics", "false", err);
    }
    if (status == NW_OK) {
        status = queue_set(to, workers, err);
    }
    if (status == NW_OK) {
        status = passed_on(to, settings, err);
    }
    return status;
}

static bool *skip_flag(struct nw_kafka_options *to, const char *item)
{
    return strcmp(item, "inserts") == 0     ? &to->skips_inserts
           : strcmp(item, "updates") == 0   ? &to->skips_updates
           : strcmp(item, "deletes") == 0   ? &to->skips_deletes
           : strcmp(item, "unchanged") == 0 ? &to->skips_unchanged
                                            : NULL;
}

/* @param items  NULL: none */
static nw_status skip_read(struct nw_kafka_options *to, const char *const *items,
                           struct nw_error *err)
{
    for (; items != NULL && *items != NULL; items++) {
        bool *flag = skip_flag(to, *items);

        if (flag == NULL) {
            return nw_fail(err, NW_FATAL,
                           "NW1008 %s: skip: %s is none of inserts, updates, deletes and unchanged",
                           to->name, *items);
        }
        *flag = true;
    }
    return NW_OK;
}

nw_status nw_kafka_options_read(const struct nw_config *config, uint32_t workers,
                                struct nw_kafka_options *to, struct nw_error *err)
{
    const struct nw_setting *settings = config->settings;
    nw_status status = NW_OK;

    to->name = config->name;
    if (config->settings_count != OPTIONS_COUNT || !settings[OPTION_BROKERS].set ||
        !settings[OPTION_PREFIX].set) {
        return nw_fail(err, NW_FATAL, "NW1008 %s: brokers or prefix are missing", config->name);
    }
    fields_read(to, settings);
    status = conf_make(to, settings, workers, err);
    if (status == NW_OK) {
        status = identity_check(to, settings, err);
    }
    if (status == NW_OK) {
        status = needs_check(to, settings, err);
    }
    if (status == NW_OK) {
        status = skip_read(to, settings[OPTION_SKIP].items, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_prefixes_make(to, settings[OPTION_PREFIXES_INCLUDE].items,
                                        settings[OPTION_PREFIXES_EXCLUDE].items, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_keys_check(to, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_routes_make(to, settings[OPTION_ROUTES].items, err);
    }
    if (status == NW_OK) {
        status = headers_set(to, &settings[OPTION_HEADERS], err);
    }
    if (status == NW_OK) {
        status = nw_kafka_form_options_read(to->name, settings + OPTION_FORMS, &to->format,
                                            &to->form, err);
    }
    return status == NW_OK ? batch_bytes_read(to, err) : status;
}

uint32_t nw_kafka_notices_flags(const struct nw_config *config)
{
    return text_of(&config->settings[OPTION_TRANSACTIONS_TOPIC]) != NULL ? NW_SINK_TRANSACTIONS : 0;
}

void nw_kafka_options_forget(struct nw_kafka_options *options)
{
    if (options->conf != NULL) {
        rd_kafka_conf_destroy(options->conf);
    }
    if (options->headers != NULL) {
        rd_kafka_headers_destroy(options->headers);
    }
    if (options->row_headers != NULL) {
        rd_kafka_headers_destroy(options->row_headers);
    }
    nw_kafka_prefixes_destroy(options);
    nw_kafka_routes_destroy(options);
}
