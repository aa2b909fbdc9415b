/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: their names, and making those that are not there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define ADMIN_MS     30000
#define SETTING_SIZE 128u

bool nw_kafka_is_named(const char *name, const struct nw_table *table)
{
    size_t size = strlen(table->schema_name);

    return name != NULL && strncmp(name, table->schema_name, size) == 0 && name[size] == '.' &&
           strcmp(name + size + 1, table->name) == 0;
}

nw_status nw_kafka_routes_make(struct nw_kafka_options *options, const char *const *items,
                               struct nw_error *err)
{
    size_t count = 0;
    char why[256] = "";

    while (items != NULL && items[count] != NULL) {
        count++;
    }
    options->routes = calloc(count + 1, sizeof(struct nw_regex *));
    options->logical = calloc(count + 1, sizeof *options->logical);
    if (options->routes == NULL || options->logical == NULL) {
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for sink %s", options->name);
    }
    for (size_t i = 0; i < count; i++) {
        options->routes[i] = nw_kafka_route_make(items[i], &options->logical[i], why, sizeof why);
        options->routes_count++;
        if (options->routes[i] == NULL) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: routes: \"%s\": %s", options->name, items[i],
                           why);
        }
    }
    return NW_OK;
}

void nw_kafka_routes_destroy(struct nw_kafka_options *options)
{
    for (uint32_t i = 0; i < options->routes_count; i++) {
        nw_regex_destroy(options->routes[i]);
        nw_kafka_logical_fini(&options->logical[i]);
    }
    free(options->logical);
    options->logical = NULL;
    free((void *)options->routes);
    nw_regex_destroy(options->form.outbox_regex);
    nw_reshape_options_destroy(options->form.flat.reshape);
    options->form.flat.reshape = NULL;
    options->routes = NULL;
    options->routes_count = 0;
    options->form.outbox_regex = NULL;
}

/* What the routes make of a name. @param met  NULL, or set where one matches. @return false: it has
 * no room */
static bool name_route(const struct nw_kafka_options *options, char text[static NW_NAME_SIZE],
                       bool *met)
{
    char routed[NW_NAME_SIZE];

    for (uint32_t i = 0; i < options->routes_count; i++) {
        const struct nw_table named = {.schema_name = "", .name = routed};
        enum nw_regex_result result =
            nw_regex_replace(options->routes[i], text, routed, sizeof routed);

        if (met != NULL && result != NW_REGEX_OTHER) {
            met[i] = true;
        }
        if (result == NW_REGEX_TOO_LONG ||
            (result == NW_REGEX_REPLACED && !nw_name_fill("{table}", "", &named, text))) {
            return false;
        }
    }
    return true;
}

nw_status nw_kafka_topic_name(const struct nw_kafka_options *options, const struct nw_table *table,
                              char text[static NW_KAFKA_TOPIC_SIZE], struct nw_error *err)
{
    if (!nw_name_fill(options->template_, options->prefix, table, text) ||
        !name_route(options, text, NULL)) {
        return nw_fail(
            err, NW_REJECT,
            "NW2703 %s.%s: the name of its topic would have more than %u bytes, or none: "
            "give it another name by a transform, or change `topic` or `routes`",
            table->schema_name, table->name, NW_NAME_BYTES_MAX);
    }
    return NW_OK;
}

void nw_kafka_routes_met(const struct nw_kafka_options *options, const char *template_,
                         const struct nw_table *table, bool *met)
{
    char text[NW_NAME_SIZE];

    if (nw_name_fill(template_, options->prefix, table, text)) {
        (void)name_route(options, text, met);
    }
}

bool nw_kafka_topic_is_own(const struct nw_kafka_options *options, const struct nw_table *table,
                           const char *topic)
{
    char plain[NW_NAME_SIZE];

    return strstr(options->template_, "{table}") != NULL &&
           nw_name_fill(options->template_, options->prefix, table, plain) &&
           strcmp(plain, topic) == 0;
}

const char *nw_kafka_topic_use(const struct nw_kafka_options *options, const char *topic,
                               bool notices)
{
    static const char *const names[NW_KAFKA_NOTICES_COUNT] = {
        "messages_topic", "transactions_topic", "schemas_topic", "heartbeat_topic",
        "notifications_topic"};
    static const struct nw_table none = {.schema_name = "", .name = ""};
    struct nw_kafka_options named = *options;
    char name[NW_KAFKA_TOPIC_SIZE];
    struct nw_error ignored = {0};

    if (strcmp(topic, options->ledger_topic) == 0) {
        return "the sink's positions";
    }
    if (options->signals_topic != NULL && strcmp(topic, options->signals_topic) == 0) {
        return "signals_topic";
    }
    for (uint32_t i = 0; i < NW_KAFKA_NOTICES_COUNT && notices; i++) {
        named.template_ = options->notices_[i];
        if (named.template_ != NULL && (i != NW_KAFKA_HEARTBEATS || options->heartbeat_us > 0) &&
            nw_kafka_topic_name(&named, &none, name, &ignored) == NW_OK &&
            strcmp(topic, name) == 0) {
            return names[i];
        }
    }
    return NULL;
}

/* Whether the brokers have it. */
static nw_status topic_find(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                            bool *found, struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(producer->client, 0, topic, &metadata, (int)sink->options.timeout_ms);

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return nw_kafka_fail(sink, "brokers do not say which topics there are", code,
                             rd_kafka_err2str(code), err);
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                    : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    *found = code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    if (!*found && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        char what[NW_KAFKA_TOPIC_SIZE + 32];

        (void)snprintf(what, sizeof what, "topic %s", rd_kafka_topic_name(topic));
        return nw_kafka_fail(sink, what, code, rd_kafka_err2str(code), err);
    }
    return NW_OK;
}

static nw_status settings_add(const struct nw_kafka_sink *sink, rd_kafka_NewTopic_t *wish,
                              enum nw_kafka_topic_kind kind, struct nw_error *err)
{
    const char *const *items = sink->options.topic_settings;

    if (kind == NW_KAFKA_LEDGER) {
        (void)rd_kafka_NewTopic_set_config(wish, "cleanup.policy", "compact");
        return NW_OK;
    }
    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        const char *equals = strchr(items[i], '=');
        char name[SETTING_SIZE];

        if (equals == NULL || (size_t)(equals - items[i]) >= sizeof name) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: topic_settings: \"%s\" is not NAME=VALUE",
                           sink->options.name, items[i]);
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - items[i]), items[i]);
        if (kind == NW_KAFKA_KEYLESS && strcmp(name, "cleanup.policy") == 0) {
            equals = "=delete"; /* brokers refuse messages without a key in a compacted topic */
        }
        (void)rd_kafka_NewTopic_set_config(wish, name, equals + 1);
    }
    return NW_OK;
}

/* The broker's answer to the only topic that was asked for. */
static nw_status answer_read(const struct nw_kafka_sink *sink, rd_kafka_event_t *event,
                             const char *name, struct nw_error *err)
{
    const rd_kafka_CreateTopics_result_t *result = NULL;
    const rd_kafka_topic_result_t *const *topics = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    const char *text = "no answer";
    size_t count = 0;

    if (event != NULL) {
        code = rd_kafka_event_error(event);
        text = rd_kafka_event_error_string(event);
        result = rd_kafka_event_CreateTopics_result(event);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL) {
        topics = rd_kafka_CreateTopics_result_topics(result, &count);
        code = count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
        text = count == 1 ? rd_kafka_topic_result_error_string(topics[0]) : "no answer";
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return NW_OK;
    }
    return nw_fail(err, NW_RETRY, "NW2703 %s: topic %s cannot be made: %s", sink->options.name,
                   name, text == NULL ? rd_kafka_err2str(code) : text);
}

static nw_status topic_make(struct nw_kafka_producer *producer, const char *name,
                            enum nw_kafka_topic_kind kind, struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    char why[512] = "";
    rd_kafka_NewTopic_t *wish =
        rd_kafka_NewTopic_new(name, kind == NW_KAFKA_LEDGER ? 1 : sink->options.partitions,
                              sink->options.replication, why, sizeof why);
    rd_kafka_AdminOptions_t *options = NULL;
    rd_kafka_queue_t *queue = NULL;
    rd_kafka_event_t *event = NULL;
    nw_status status = NW_OK;

    if (wish == NULL) {
        return nw_fail(err, NW_FATAL, "NW2703 %s: topic %s: %s", sink->options.name, name, why);
    }
    status = settings_add(sink, wish, kind, err);
    if (status == NW_OK) {
        options = rd_kafka_AdminOptions_new(producer->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        queue = rd_kafka_queue_new(producer->client);
        (void)rd_kafka_AdminOptions_set_operation_timeout(options, ADMIN_MS, why, sizeof why);
        rd_kafka_CreateTopics(producer->client, &wish, 1, options, queue);
        event = rd_kafka_queue_poll(queue, 2 * ADMIN_MS);
        status = answer_read(sink, event, name, err);
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_NewTopic_destroy(wish);
    if (status == NW_OK) {
        sink->host->log(sink->host, NW_LOG_INFO, "topic %s made", name);
    }
    return status;
}

/* Whether it is compacted: else the ledger's records would expire. */
static nw_status compaction_check(struct nw_kafka_producer *producer, const char *name,
                                  struct nw_error *err)
{
    rd_kafka_ConfigResource_t *wish = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(producer->client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer->client);
    rd_kafka_event_t *event = NULL;
    const rd_kafka_ConfigResource_t **found = NULL;
    const rd_kafka_ConfigEntry_t **entries = NULL;
    const char *policy = NULL;
    nw_status status = NW_OK;
    size_t count = 0;

    rd_kafka_DescribeConfigs(producer->client, &wish, 1, options, queue);
    event = rd_kafka_queue_poll(queue, ADMIN_MS);
    if (event != NULL && rd_kafka_event_DescribeConfigs_result(event) != NULL) {
        found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &count);
        entries = count == 1 ? rd_kafka_ConfigResource_configs(found[0], &count) : NULL;
    }
    for (size_t i = 0; entries != NULL && i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0) {
            policy = rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    /* Who may not ask is believed: the rights are not needed otherwise. */
    if (policy != NULL && strcmp(policy, "compact") != 0) {
        status = nw_fail(err, NW_FATAL,
                         "NW2706 topic %s has cleanup.policy=%s, and what is in it must not "
                         "expire: set cleanup.policy=compact on it",
                         name, policy);
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(wish);
    return status;
}

nw_status nw_kafka_topic_open(struct nw_kafka_producer *producer, const char *name,
                              enum nw_kafka_topic_kind kind, rd_kafka_topic_t **topic,
                              struct nw_error *err)
{
    const struct nw_kafka_options *options = &producer->sink->options;
    bool ledger = kind == NW_KAFKA_LEDGER;
    rd_kafka_topic_t *opened = rd_kafka_topic_new(producer->client, name, NULL);
    bool found = false;
    nw_status status = NW_OK;

    if (opened == NULL) {
        return nw_fail(err, NW_FATAL, "NW2703 %s: topic %s: %s", options->name, name,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
    status = topic_find(producer, opened, &found, err);
    if (status == NW_OK && !found && ledger) {
        status = nw_kafka_first_check(producer, err);
    }
    if (status == NW_OK && !found && (options->creates || ledger)) {
        status = topic_make(producer, name, kind, err);
    } else if (status == NW_OK && !found) {
        status =
            nw_fail(err, NW_RETRY, "NW2703 %s: topic %s is not there, and create_topics is false",
                    options->name, name);
    }
    if (status == NW_OK && ledger && producer->sink->owned == 0) {
        status = compaction_check(producer, name, err);
    }
    if (status != NW_OK) {
        rd_kafka_topic_destroy(opened);
        return status;
    }
    *topic = opened;
    return NW_OK;
}
