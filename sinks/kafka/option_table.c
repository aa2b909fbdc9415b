/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the Kafka sink: their names, their bounds, and what people are told of them. */
#include "kafka/option_table.h"

#define SECOND_US INT64_C(1000000)

static const char *const deliveries[] = {"idempotent", "transactional", NULL};
static const char *const truncates[] = {"send", "skip", NULL};
static const char *const existings[] = {"refuse", "use", NULL};
static const char *const oversizeds[] = {"stop", "split", NULL};
static const char *const compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const securities[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER",
                                         NULL};

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
