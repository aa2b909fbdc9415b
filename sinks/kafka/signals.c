/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals, as Debezium takes them: rows of a table (id, type, data), or messages of a topic of one
 * partition whose key is the prefix.
 *
 *   {"id":"1","type":"execute-snapshot","data":{"data-collections":["shop.items"]}}
 *
 *   execute-snapshot   each table whose SCHEMA.TABLE one of these regular expressions matches is
 *                      copied again, as by narwal table refresh
 *   pause-snapshot     narwal copy pause; and resume-snapshot
 *   log                {"message":"..."} goes into the log
 *
 * Others are refused, and the log says so; but for snapshot-window-..., which Debezium writes for
 * itself where it reads the same table. In a row `data` is the text of that object. A signal may
 * be seen twice after a restart.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "kafka/kafka.h"
#include "lib/pattern.h"

#define COMMAND_SIZE 256u
#define ASK          "tables refresh "
#define WINDOW       "snapshot-window-" /* by which Debezium marks its own chunks in the stream */
#define AT_A_TIME    100
#define PLACE_MS     10000

static void signal_refuse(const struct nw_kafka_sink *sink, const char *id, const char *why)
{
    sink->host->log(sink->host, NW_LOG_WARN, "NW2709 signal %.60s: %s", id, why);
}

static void command_ask(const struct nw_kafka_sink *sink, const char *id, const char *command)
{
    struct nw_error err = {0};
    nw_status status = sink->host->ask(sink->host, command, &err);

    if (status != NW_OK) {
        signal_refuse(sink, id,
                      status == NW_AGAIN ? "too much is asked for at once: send it again"
                                         : "narwal does not take that");
    }
}

static void asked_note(struct nw_kafka_sink *sink, const char *id, const char *pattern)
{
    struct nw_kafka_asked *asked = NULL;

    (void)pthread_mutex_lock(&sink->lock);
    asked = &sink->asked[sink->asked_count++ % NW_KAFKA_ASKED_MAX];
    (void)snprintf(asked->id, sizeof asked->id, "%s", id);
    (void)snprintf(asked->pattern, sizeof asked->pattern, "%s", pattern);
    asked->copied_count = 0;
    (void)pthread_mutex_unlock(&sink->lock);
}

/* Of one that was copied already a later copy was not asked for by the same signal. */
static bool asked_has(struct nw_kafka_asked *asked, const char *table, bool take)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    if (asked->id[0] == '\0' || asked->copied_count == NW_KAFKA_COPIED_MAX ||
        !nw_pattern_matches(asked->pattern, table)) {
        return false;
    }
    for (const char *at = table; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
    }
    for (uint32_t i = 0; i < asked->copied_count; i++) {
        if (asked->copied[i] == hash) {
            return false;
        }
    }
    if (take) {
        asked->copied[asked->copied_count++] = hash;
    }
    return true;
}

bool nw_kafka_signal_of(struct nw_kafka_sink *sink, const char *table, bool take,
                        char id[static NW_KAFKA_ID_SIZE])
{
    bool found = false;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) { /* the last one of them counts */
        struct nw_kafka_asked *asked = &sink->asked[(sink->asked_count + i) % NW_KAFKA_ASKED_MAX];

        if (asked_has(asked, table, take)) {
            (void)snprintf(id, NW_KAFKA_ID_SIZE, "%s", asked->id);
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return found;
}

/* Java's trim(), and the translation. */
static bool pattern_read(const char *text, char *posix, size_t size)
{
    char trimmed[COMMAND_SIZE];
    size_t used = 0;

    while (*text != '\0' && (unsigned char)*text <= ' ') {
        text++;
    }
    used = strlen(text);
    while (used > 0 && (unsigned char)text[used - 1] <= ' ') {
        used--;
    }
    if (used == 0 || used >= sizeof trimmed) {
        return false;
    }
    memcpy(trimmed, text, used);
    trimmed[used] = '\0';
    return nw_pattern_translate(trimmed, posix, size);
}

static void snapshot_begin(struct nw_kafka_sink *sink, const char *id, const json_t *data)
{
    const json_t *names = json_object_get(data, "data-collections");
    const json_t *conditions = json_object_get(data, "additional-conditions");
    const json_t *condition = json_object_get(data, "additional-condition");

    if (json_array_size(names) == 0) {
        signal_refuse(sink, id, "it has no data-collections");
        return;
    }
    if (json_array_size(conditions) > 0 || json_is_string(condition)) {
        signal_refuse(sink, id,
                      "rows cannot be chosen by additional-conditions: without them the whole "
                      "table is copied");
        return;
    }
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        char pattern[COMMAND_SIZE - sizeof ASK];
        char command[COMMAND_SIZE];

        if (name == NULL || !pattern_read(name, pattern, sizeof pattern)) {
            signal_refuse(sink, id,
                          "one of data-collections is no name, SCHEMA.TABLE, and no regular "
                          "expression that narwal knows");
            continue;
        }
        (void)snprintf(command, sizeof command, ASK "%s", pattern);
        asked_note(sink, id, pattern);
        command_ask(sink, id, command);
    }
}

static void signal_do(struct nw_kafka_sink *sink, const char *id, const char *type,
                      const json_t *data)
{
    if (strcmp(type, "execute-snapshot") == 0) {
        snapshot_begin(sink, id, data);
    } else if (strcmp(type, "pause-snapshot") == 0) {
        command_ask(sink, id, "copy pause");
    } else if (strcmp(type, "resume-snapshot") == 0) {
        command_ask(sink, id, "copy resume");
    } else if (strcmp(type, "log") == 0 && json_is_string(json_object_get(data, "message"))) {
        sink->host->log(sink->host, NW_LOG_INFO, "signal %.60s: %.500s", id,
                        json_string_value(json_object_get(data, "message")));
    } else if (strncmp(type, WINDOW, sizeof WINDOW - 1) == 0) {
        sink->host->log(sink->host, NW_LOG_DEBUG, "signal %.60s is a connector's own", id);
    } else {
        signal_refuse(sink, id,
                      "narwal does nothing for signals of this type: a copy cannot be stopped "
                      "half way, and there are no actions of one's own");
    }
}

/* ---- rows ---- */

/* The text of a column; "" when there is none. @return false: it is too long. */
static bool column_text(const struct nw_batch *batch, uint32_t row, const char *name, char *text,
                        size_t size)
{
    text[0] = '\0';
    for (uint16_t c = 0; c < batch->table->columns_count; c++) {
        struct nw_value value;

        if (strcmp(batch->table->columns[c].name, name) != 0) {
            continue;
        }
        value = nw_batch_value(batch, NW_AFTER, row, c);
        if (value.kind != NW_VALUE_PRESENT || value.bytes == NULL) {
            return true;
        }
        if (value.size >= size) {
            return false;
        }
        memcpy(text, value.bytes, value.size);
        text[value.size] = '\0';
    }
    return true;
}

void nw_kafka_signal_row(struct nw_kafka_sink *sink, const struct nw_batch *batch, uint32_t row)
{
    char id[64];
    char type[64];
    char data[4096];
    json_t *parsed = NULL;

    if ((batch->flags & NW_BATCH_COPY) != 0 || batch->op[batch->first_row + row] != NW_OP_INSERT) {
        return;
    }
    if (!column_text(batch, row, "id", id, sizeof id) ||
        !column_text(batch, row, "type", type, sizeof type) ||
        !column_text(batch, row, "data", data, sizeof data)) {
        signal_refuse(sink, "", "a row of the table of signals is too long");
        return;
    }
    parsed = json_loads(data, 0, NULL);
    if (data[0] != '\0' && !json_is_object(parsed)) {
        signal_refuse(sink, id, "its data is not a JSON object");
    } else {
        signal_do(sink, id, type, parsed);
    }
    json_decref(parsed);
}

/* ---- the topic ---- */

/*
 * Where to read on: behind what was done. Who never read the topic begins at its end as it is now,
 * and has that stored, so that what comes while narwal is away is not passed over.
 */
static rd_kafka_resp_err_t place_find(struct nw_kafka_sink *sink,
                                      rd_kafka_topic_partition_list_t *one)
{
    int timeout_ms =
        (int)(sink->options.timeout_ms < PLACE_MS ? sink->options.timeout_ms : PLACE_MS);
    rd_kafka_topic_partition_t *place = &one->elems[0];
    rd_kafka_resp_err_t code = rd_kafka_committed(sink->signals, one, timeout_ms);
    int64_t low = 0;
    int64_t high = 0;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || place->offset >= 0) {
        return code;
    }
    code =
        rd_kafka_query_watermark_offsets(sink->signals, place->topic, 0, &low, &high, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        high = 0; /* the first message makes it */
        code = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        place->offset = high;
        code = rd_kafka_commit(sink->signals, one, 0);
    }
    return code;
}

nw_status nw_kafka_signals_begin(struct nw_kafka_sink *sink, struct nw_error *err)
{
    char group[NW_KAFKA_TOPIC_SIZE];
    const char *const settings[][2] = {{"group.id", group},
                                       {"enable.auto.commit", "false"},
                                       {"auto.offset.reset", "latest"},
                                       {"isolation.level", "read_committed"}};
    rd_kafka_topic_partition_list_t *one = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    nw_status status = NW_OK;

    if (sink->options.signals_topic == NULL) {
        return NW_OK;
    }
    (void)snprintf(group, sizeof group, "narwal.%s.%s", sink->options.prefix, sink->options.name);
    status = nw_kafka_reader_create(sink, settings, sizeof settings / sizeof settings[0],
                                    &sink->signals, err);
    if (status != NW_OK) {
        return status;
    }
    one = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(one, sink->options.signals_topic, 0);
    code = place_find(sink, one);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) { /* changes go on without signals */
        sink->host->log(sink->host, NW_LOG_WARN,
                        "NW2709 topic %s cannot be read, so no signal of "
                        "it is followed: %s",
                        sink->options.signals_topic, rd_kafka_err2str(code));
        one->elems[0].offset = RD_KAFKA_OFFSET_STORED;
    }
    code = rd_kafka_assign(sink->signals, one);
    rd_kafka_topic_partition_list_destroy(one);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? NW_OK
               : nw_kafka_fail(sink, "the topic of signals cannot be read", code,
                               rd_kafka_err2str(code), err);
}

void nw_kafka_signals_end(struct nw_kafka_sink *sink)
{
    if (sink->signals != NULL) {
        (void)rd_kafka_consumer_close(sink->signals);
        rd_kafka_destroy(sink->signals);
        sink->signals = NULL;
    }
}

void nw_kafka_signal_message(struct nw_kafka_sink *sink, const rd_kafka_message_t *message)
{
    const char *prefix = sink->options.prefix;
    json_t *whole = NULL;
    const char *type = NULL;
    const char *id = NULL;

    if (message->key_len != strlen(prefix) || memcmp(message->key, prefix, message->key_len) != 0) {
        return; /* somebody else's */
    }
    whole = message->payload == NULL ? NULL : json_loadb(message->payload, message->len, 0, NULL);
    type = json_string_value(json_object_get(whole, "type"));
    id = json_string_value(json_object_get(whole, "id"));
    if (type == NULL) {
        char offset[32];

        (void)snprintf(offset, sizeof offset, "at offset %" PRId64, message->offset);
        signal_refuse(sink, offset, "it is not a JSON object with a type");
    } else {
        signal_do(sink, id == NULL ? "" : id, type, json_object_get(whole, "data"));
    }
    json_decref(whole);
}

void nw_kafka_signals_poll(struct nw_kafka_sink *sink)
{
    rd_kafka_message_t *message = NULL;

    for (int i = 0; sink->signals != NULL && i < AT_A_TIME; i++) {
        message = rd_kafka_consumer_poll(sink->signals, 0);
        if (message == NULL) {
            return;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            nw_kafka_signal_message(sink, message);
            (void)rd_kafka_commit_message(sink->signals, message, 1);
        } else {
            sink->host->log(sink->host, NW_LOG_DEBUG, "topic of signals: %s",
                            rd_kafka_message_errstr(message));
        }
        rd_kafka_message_destroy(message);
    }
}
