/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of the Kafka sink become: fields, and librdkafka's configuration. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/option_table.h"

#define SECRET_SIZE 8192u

/* What waits in the queues of all workers, and in one at least; librdkafka's default is 1 GiB each.
 * A message costs it this much besides, about. */
#define QUEUES_BYTES    (UINT64_C(8) << 20)
#define QUEUE_BYTES_MIN (UINT64_C(4) << 20)
#define MESSAGE_BYTES   512u

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
