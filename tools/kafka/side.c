/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to topics and reading them: see side.h. */
#include "kafka/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "kafka/kafka.h"
#include "lib/format/connect.h"

#define ASK_MS        30000
#define POLL_MS       200
#define SILENCE_SEC   60 /* without a message or an end: the reading fails */
#define NAME_SIZE     256u
#define TEXT_SIZE     512u
#define SINK_NAME_MAX 64u

/* ---- connecting ---- */

static nw_status conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                          struct nw_error *err)
{
    char why[TEXT_SIZE];

    return rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW2702 librdkafka %s does not take %s: %s",
                         rd_kafka_version_str(), name, why);
}

static bool is_file(const char *word)
{
    const char *dot = strstr(word, ".yaml");

    dot = dot == NULL ? strstr(word, ".yml") : dot;
    return dot != NULL &&
           (dot[strcspn(dot, ":")] == ':' || strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* FILE.yaml:SINK into its parts. */
static void word_split(const char *word, char *file, size_t file_size, const char **sink)
{
    const char *colon = strrchr(word, ':');
    bool named = colon != NULL && strchr(colon, '/') == NULL;

    (void)snprintf(file, file_size, "%.*s", named ? (int)(colon - word) : (int)strlen(word), word);
    *sink = named ? colon + 1 : NULL;
}

/* The only Kafka sink of a configuration, or the one of this name. -1: none, or not the only */
static int sink_find(const struct nw_run_config *config, const char *name)
{
    int found = -1;

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        const struct nw_sink_config *sink = &config->sinks[i];

        if (strcmp(sink->type, "kafka") != 0 || (name != NULL && strcmp(sink->name, name) != 0)) {
            continue;
        }
        if (found >= 0) {
            return -1;
        }
        found = (int)i;
    }
    return found;
}

static nw_status sink_take(struct nw_side *side, struct nw_run_config *config, int sink,
                           rd_kafka_conf_t **conf, struct nw_error *err)
{
    struct nw_kafka_options options = {0};
    struct nw_config resolved;
    nw_status status = nw_config_resolve_sink(config, (uint32_t)sink, nw_kafka_option_table,
                                              NW_KAFKA_OPTIONS_COUNT, &resolved, err);

    if (status == NW_OK) {
        status = nw_kafka_options_read(&resolved, 1, &options, err);
    }
    if (status == NW_OK) {
        *conf = rd_kafka_conf_dup(options.conf);
        (void)snprintf(side->prefix, sizeof side->prefix, "%s", options.prefix);
    }
    if (status == NW_OK && options.form.registry.urls != NULL &&
        options.form.registry.urls[0] != NULL) {
        status = nw_schemas_open(&side->own, &options.form.registry, err);
    }
    nw_kafka_options_forget(&options);
    return status;
}

static nw_status conf_of_file(struct nw_side *side, const char *word, rd_kafka_conf_t **conf,
                              struct nw_error *err)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config = {0};
    char file[NW_FOLDER_SIZE];
    const char *name = NULL;
    int sink = -1;
    nw_status status = NW_OK;

    word_split(word, file, sizeof file, &name);
    arguments.file = file;
    if (!nw_config_open(&arguments, &config)) {
        return nw_fail(err, NW_FATAL, "NW1501 %s: that is no configuration", file);
    }
    sink = sink_find(&config, name);
    status = sink >= 0      ? sink_take(side, &config, sink, conf, err)
             : name != NULL ? nw_fail(err, NW_FATAL, "NW1501 %s has no Kafka sink %s", file, name)
                            : nw_fail(err, NW_FATAL,
                                      "NW1501 %s has no Kafka sink, or several: name it, "
                                      "%s:SINK",
                                      file, file);
    nw_config_free(&config);
    return status;
}

static nw_status conf_of_prefix(struct nw_side *side, const char *word, const char *brokers,
                                const rd_kafka_conf_t *others, rd_kafka_conf_t **conf,
                                struct nw_error *err)
{
    (void)snprintf(side->prefix, sizeof side->prefix, "%s", word);
    if (strlen(word) >= sizeof side->prefix || word[0] == '\0') {
        return nw_fail(err, NW_FATAL, "NW1501 \"%s\" is no prefix of topics", word);
    }
    if (brokers == NULL && others == NULL) {
        return nw_fail(err, NW_FATAL,
                       "NW1501 where are the topics %s.*? --brokers HOST:PORT says "
                       "it, or a configuration instead of the prefix",
                       word);
    }
    *conf = others != NULL ? rd_kafka_conf_dup(others) : rd_kafka_conf_new();
    return brokers == NULL ? NW_OK : conf_set(*conf, "bootstrap.servers", brokers, err);
}

static nw_status properties_set(rd_kafka_conf_t *conf, const struct nw_diff_topics *request,
                                struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < request->properties_count && status == NW_OK; i++) {
        const char *text = request->properties[i];
        const char *equals = strchr(text, '=');
        char name[NAME_SIZE];

        if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof name) {
            return nw_fail(err, NW_FATAL, "NW1501 -X %s: that is not NAME=VALUE", text);
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        status = conf_set(conf, name, equals + 1, err);
    }
    return status;
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (level <= 3 && strcmp(facility, "CONFWARN") != 0) {
        nw_complain("NW2705 %s: %s", facility, text);
    }
}

/* The prefix as names of schemas have it. */
static void prefix_adjust(const struct nw_side *side, enum nw_connect_names mode,
                          char adjusted[static 2048])
{
    struct nw_out out = {0};

    nw_connect_name(&out, side->prefix, mode, false);
    (void)snprintf(adjusted, sizeof side->adjusted[0], "%s",
                   out.failed ? side->prefix : (const char *)out.bytes);
    nw_out_fini(&out);
}

/* @param conf  take */
static nw_status client_create(struct nw_side *side, rd_kafka_conf_t *conf,
                               const struct nw_diff_topics *request, struct nw_error *err)
{
    static const char *const settings[][2] = {
        {"group.id", "narwal-diff-topics"},      {"enable.auto.commit", "false"},
        {"auto.offset.reset", "error"},          {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},        {"allow.auto.create.topics", "false"},
        {"queued.max.messages.kbytes", "32768"}, {"fetch.wait.max.ms", "50"}};
    char why[TEXT_SIZE];
    size_t size = sizeof side->brokers;
    nw_status status = NW_OK;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && status == NW_OK; i++) {
        status = conf_set(conf, settings[i][0], settings[i][1], err);
    }
    if (status == NW_OK) {
        status = properties_set(conf, request, err);
    }
    if (status != NW_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    (void)rd_kafka_conf_get(conf, "bootstrap.servers", side->brokers, &size);
    rd_kafka_conf_set_log_cb(conf, on_log);
    side->prefix_size = strlen(side->prefix);
    prefix_adjust(side, NW_NAMES_AVRO, side->adjusted[0]);
    prefix_adjust(side, NW_NAMES_AVRO_UNICODE, side->adjusted[1]);
    side->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (side->client == NULL) {
        rd_kafka_conf_destroy(conf);
        return nw_fail(err, NW_FATAL, "NW2702 librdkafka %s: %s", rd_kafka_version_str(), why);
    }
    return NW_OK;
}

/* Files first: they say where prefixes are. */
static nw_status confs_make(const struct nw_diff_topics *request, struct nw_side sides[2],
                            rd_kafka_conf_t *confs[2], struct nw_error *err)
{
    const char *const brokers[2] = {request->brokers[0], request->brokers[1] != NULL
                                                             ? request->brokers[1]
                                                             : request->brokers[0]};
    nw_status status = NW_OK;

    for (int i = 0; i < 2 && status == NW_OK; i++) {
        if (is_file(request->words[i])) {
            status = conf_of_file(&sides[i], request->words[i], &confs[i], err);
        }
    }
    for (int i = 0; i < 2 && status == NW_OK; i++) {
        if (!is_file(request->words[i])) {
            status = conf_of_prefix(&sides[i], request->words[i], brokers[i], confs[1 - i],
                                    &confs[i], err);
        }
    }
    return status;
}

/* ---- registries ---- */

static nw_status schemas_open(const struct nw_diff_topics *request, const char *url,
                              struct nw_schemas *schemas, struct nw_error *err)
{
    const char *const urls[2] = {url, NULL};
    const char *token = getenv("NARWAL_REGISTRY_TOKEN"); /* NOLINT(concurrency-mt-unsafe): one */
    struct nw_registry_options options = {
        .sink = "diff-topics",
        .urls = urls,
        .username = request->registry_username,
        .password = getenv("NARWAL_REGISTRY_PASSWORD"), /* NOLINT(concurrency-mt-unsafe): one */
        .token = request->registry_username == NULL ? token : NULL,
        .ca = request->registry_ca,
        .cert = request->registry_cert,
        .key = request->registry_key,
        .timeout_ms = ASK_MS};

    nw_schemas_close(schemas);
    return nw_schemas_open(schemas, &options, err);
}

/* What is on the command line counts before what is in a file; one that only one side has serves
 * both. */
static nw_status registries_open(const struct nw_diff_topics *request, struct nw_side sides[2],
                                 struct nw_error *err)
{
    nw_status status = NW_OK;

    for (int i = 0; i < 2 && status == NW_OK; i++) {
        if (request->registry[i] != NULL) {
            status = schemas_open(request, request->registry[i], &sides[i].own, err);
        }
    }
    for (int i = 0; i < 2; i++) {
        sides[i].schemas = sides[i].own.client != NULL       ? &sides[i].own
                           : sides[1 - i].own.client != NULL ? &sides[1 - i].own
                                                             : NULL;
    }
    return status;
}

nw_status nw_sides_open(const struct nw_diff_topics *request, struct nw_side sides[2],
                        struct nw_error *err)
{
    rd_kafka_conf_t *confs[2] = {NULL, NULL};
    nw_status status = confs_make(request, sides, confs, err);

    if (status == NW_OK) {
        status = registries_open(request, sides, err);
    }
    sides[0].name = 'A';
    sides[1].name = 'B';
    for (int i = 0; i < 2 && status == NW_OK; i++) {
        status = client_create(&sides[i], confs[i], request, err);
        confs[i] = NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (confs[i] != NULL) {
            rd_kafka_conf_destroy(confs[i]);
        }
    }
    if (status != NW_OK) {
        nw_sides_close(sides);
    }
    return status;
}

void nw_sides_close(struct nw_side sides[2])
{
    for (int i = 0; i < 2; i++) {
        if (sides[i].client != NULL) {
            (void)rd_kafka_consumer_close(sides[i].client);
            rd_kafka_destroy(sides[i].client);
            sides[i].client = NULL;
        }
        sides[i].schemas = NULL;
        nw_schemas_close(&sides[i].own);
    }
}

static nw_status asked(const struct nw_side *side, const char *what, rd_kafka_resp_err_t code,
                       struct nw_error *err)
{
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW2701 %s, brokers %s: %s: %s", side->prefix,
                         side->brokers, what, rd_kafka_err2str(code));
}

/* ---- topics ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

nw_status nw_side_topics(const struct nw_side *side, char ***names, size_t *count,
                         struct nw_error *err)
{
    const struct rd_kafka_metadata *all = NULL;
    nw_status status = asked(side, "which topics there are",
                             rd_kafka_metadata(side->client, 1, NULL, &all, ASK_MS), err);

    *count = 0;
    *names = NULL;
    if (status != NW_OK) {
        return status;
    }
    *names = calloc((size_t)all->topic_cnt + 1, sizeof **names);
    for (int i = 0; i < all->topic_cnt && *names != NULL; i++) {
        const char *topic = all->topics[i].topic;

        if (strncmp(topic, side->prefix, side->prefix_size) == 0 &&
            topic[side->prefix_size] == '.' && topic[side->prefix_size + 1] != '\0') {
            (*names)[*count] = strdup(topic + side->prefix_size + 1);
            *count += (*names)[*count] != NULL;
        }
    }
    rd_kafka_metadata_destroy(all);
    if (*names == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for names of topics");
    }
    qsort(*names, *count, sizeof **names, by_name);
    return NW_OK;
}

static nw_status partitions_count(const struct nw_side *side, const char *topic, int32_t *count,
                                  struct nw_error *err)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(side->client, topic, NULL);
    const struct rd_kafka_metadata *all = NULL;
    nw_status status = NW_OK;

    if (handle == NULL) {
        return asked(side, topic, rd_kafka_last_error(), err);
    }
    status = asked(side, topic, rd_kafka_metadata(side->client, 0, handle, &all, ASK_MS), err);
    if (status == NW_OK) {
        *count = all->topic_cnt == 1 ? all->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(all);
    }
    if (status == NW_OK && (*count <= 0 || *count > NW_PARTITIONS_MAX)) {
        status = nw_fail(err, NW_FATAL, "NW2703 topic %s has %d partitions", topic, (int)*count);
    }
    rd_kafka_topic_destroy(handle);
    return status;
}

static void topic_name(const struct nw_side *side, const char *name, char topic[2 * NAME_SIZE])
{
    (void)snprintf(topic, (size_t)2 * NAME_SIZE, "%s.%s", side->prefix, name);
}

nw_status nw_side_extent(const struct nw_side *side, const char *name, struct nw_extent *extent,
                         struct nw_error *err)
{
    char topic[2 * NAME_SIZE];
    nw_status status = NW_OK;

    *extent = (struct nw_extent){0};
    topic_name(side, name, topic);
    status = partitions_count(side, topic, &extent->partitions, err);
    if (status != NW_OK) {
        return status;
    }
    extent->from = calloc((size_t)extent->partitions, sizeof *extent->from);
    extent->until = calloc((size_t)extent->partitions, sizeof *extent->until);
    if (extent->from == NULL || extent->until == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for %d partitions", (int)extent->partitions);
    }
    for (int32_t i = 0; i < extent->partitions && status == NW_OK; i++) {
        status = asked(side, topic,
                       rd_kafka_query_watermark_offsets(side->client, topic, i, &extent->from[i],
                                                        &extent->until[i], ASK_MS),
                       err);
    }
    if (status != NW_OK) {
        nw_extent_fini(extent);
    }
    return status;
}

void nw_extent_fini(struct nw_extent *extent)
{
    free(extent->from);
    free(extent->until);
    *extent = (struct nw_extent){0};
}

/* ---- reading ---- */

struct reading {
    const struct nw_side *side;
    const struct nw_extent *extent;
    nw_message_visit visit;
    void *context;
    bool *done;   /* for each partition */
    int32_t open; /* partitions that are not */
    bool ended;   /* by visit() */
};

static void partition_end(struct reading *reading, int32_t partition)
{
    if (partition >= 0 && partition < reading->extent->partitions && !reading->done[partition]) {
        reading->done[partition] = true;
        reading->open--;
    }
}

/* @return whether it was of use */
static bool message_take(struct reading *reading, const rd_kafka_message_t *message)
{
    int64_t until = 0;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition_end(reading, message->partition);
        return true;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->partition < 0 ||
        message->partition >= reading->extent->partitions) {
        return false;
    }
    until = reading->extent->until[message->partition];
    if (message->offset < until) {
        reading->ended = !reading->visit(reading->context, message);
    }
    if (message->offset + 1 >= until) {
        partition_end(reading, message->partition);
    }
    return true;
}

static int64_t now_s(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static nw_status messages_read(struct reading *reading, const char *topic, struct nw_error *err)
{
    int64_t heard_s = now_s();
    nw_status status = NW_OK;

    while (reading->open > 0 && !reading->ended && status == NW_OK) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->side->client, POLL_MS);

        if (message != NULL && message_take(reading, message)) {
            heard_s = now_s();
        } else if (now_s() - heard_s > SILENCE_SEC ||
                   (message != NULL && message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)) {
            status = nw_fail(err, NW_FATAL, "NW2701 topic %s cannot be read: %s", topic,
                             message == NULL ? "no answer" : rd_kafka_message_errstr(message));
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    return status;
}

nw_status nw_side_read(const struct nw_side *side, const char *name, const struct nw_extent *extent,
                       nw_message_visit visit, void *context, struct nw_error *err)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(extent->partitions);
    struct reading reading = {.side = side, .extent = extent, .visit = visit, .context = context};
    char topic[2 * NAME_SIZE];
    nw_status status = NW_OK;

    topic_name(side, name, topic);
    reading.done = calloc((size_t)extent->partitions, sizeof *reading.done);
    if (reading.done == NULL) {
        rd_kafka_topic_partition_list_destroy(all);
        return nw_fail(err, NW_FATAL, "out of memory for %d partitions", (int)extent->partitions);
    }
    for (int32_t i = 0; i < extent->partitions; i++) {
        if (extent->from[i] < extent->until[i]) {
            rd_kafka_topic_partition_list_add(all, topic, i)->offset = extent->from[i];
            reading.open++;
        }
    }
    if (reading.open > 0) {
        status = asked(side, topic, rd_kafka_assign(side->client, all), err);
    }
    if (status == NW_OK) {
        status = messages_read(&reading, topic, err);
    }
    (void)rd_kafka_assign(side->client, NULL);
    rd_kafka_topic_partition_list_destroy(all);
    free(reading.done);
    return status;
}

static bool is_avro(const void *bytes, size_t size)
{
    return bytes != NULL && size > 5 && *(const uint8_t *)bytes == 0;
}

bool nw_side_is_avro(const rd_kafka_message_t *message)
{
    return is_avro(message->payload, message->len) || is_avro(message->key, message->key_len);
}
