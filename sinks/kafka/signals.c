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
 * be seen twice after a restart; what it asks for is recorded before its place is passed.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "kafka/kafka.h"
#include "lib/pattern.h"

#define ASK          "tables refresh "
#define WINDOW       "snapshot-window-" /* by which Debezium marks its own chunks in the stream */
#define AT_A_TIME    100
#define NAMES_MAX    1000u /* of one signal */
#define PLACE_MS     10000
#define DATA_MAX     ((size_t)1 << 20) /* of a row's data, in bytes */
#define PATTERN_SIZE (NW_KAFKA_COMMAND_SIZE - sizeof ASK)

static void signal_refuse(const struct nw_kafka_sink *sink, const char *id, const char *why)
{
    sink->host->log(sink->host, NW_LOG_WARN, "NW2709 signal %.60s: %s", id, why);
}

/* ---- what narwal is asked for ---- */

/* @return false: it is not taken */
static bool taken_say(const struct nw_kafka_sink *sink, const char *id, nw_status status)
{
    if (status == NW_REJECT || status == NW_FATAL) {
        signal_refuse(sink, id, "narwal does not take that");
    } else if (status != NW_OK) {
        signal_refuse(sink, id,
                      "too much is asked for at once, or it cannot be recorded: send it again");
    }
    return status == NW_OK;
}

static bool command_ask(struct nw_kafka_sink *sink, const char *id, const char *command)
{
    struct nw_error ignored = {0};

    return taken_say(sink, id, sink->host->ask(sink->host, command, &ignored));
}

/* ---- execute-snapshot ---- */

/* A character that stands for itself, in a POSIX one. */
static void literal_add(char **to, char c)
{
    if (strchr("^.[$()|*+?{\\", c) != NULL) {
        *(*to)++ = '\\';
    }
    *(*to)++ = c;
}

/* A name, quoted or not. @return what is behind it; NULL: it is none, or too long */
static const char *name_read(const char *at, char **to, const char *end)
{
    bool quoted = *at == '"';

    for (at += quoted; *at != '\0' && end - *to > 4; at++) {
        if (*at == '"' && (!quoted || *++at != '"')) {
            return quoted ? at : NULL;
        }
        if (*at == '.' && !quoted) {
            break;
        }
        literal_add(to, *at);
    }
    return quoted || end - *to <= 4 ? NULL : at;
}

/*
 * "schema"."table", which Debezium takes beside regular expressions, as one of those.
 * @return false: it is something else
 */
static bool quoted_translate(const char *text, char *posix, size_t size)
{
    const char *end = posix + size - 1;
    char *to = posix;

    text = name_read(text, &to, end);
    if (text == NULL || *text++ != '.') {
        return false;
    }
    literal_add(&to, '.');
    text = name_read(text, &to, end);
    *to = '\0';
    return text != NULL && *text == '\0';
}

/* Java's trim(), and the translation. */
static bool pattern_read(const char *text, char *posix, size_t size)
{
    char trimmed[NW_KAFKA_COMMAND_SIZE];
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
    return (strchr(trimmed, '"') != NULL && quoted_translate(trimmed, posix, size)) ||
           nw_pattern_translate(trimmed, posix, size);
}

/* What is wrong with it; NULL: nothing. */
static const char *snapshot_fault(const json_t *data, bool *blocking)
{
    const json_t *names = json_object_get(data, "data-collections");
    const json_t *type = json_object_get(data, "type");

    *blocking = json_is_string(type) && strcasecmp(json_string_value(type), "blocking") == 0;
    if (json_array_size(names) == 0) {
        return "it has no data-collections, as [\"SCHEMA.TABLE\"]";
    }
    if (json_array_size(names) > NAMES_MAX) {
        return "it has more than 1,000 data-collections: a regular expression may stand for many";
    }
    if (type != NULL && !json_is_null(type) && !*blocking &&
        (!json_is_string(type) || strcasecmp(json_string_value(type), "incremental") != 0)) {
        return "its type is neither incremental nor blocking";
    }
    if (json_array_size(json_object_get(data, "additional-conditions")) > 0 ||
        json_is_string(json_object_get(data, "additional-condition"))) {
        return "rows cannot be chosen by additional-conditions: without them the whole table is "
               "copied";
    }
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        char pattern[PATTERN_SIZE];

        if (name == NULL || !pattern_read(name, pattern, sizeof pattern)) {
            return "one of data-collections is no name, SCHEMA.TABLE, and no regular expression "
                   "that narwal knows";
        }
    }
    return NULL;
}

/* Whether one before it is the same. */
static bool is_again(const json_t *names, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (json_equal(json_array_get(names, i), json_array_get(names, index)) != 0) {
            return true;
        }
    }
    return false;
}

static void snapshot_begin(struct nw_kafka_sink *sink, const char *id, const json_t *data)
{
    const json_t *names = json_object_get(data, "data-collections");
    bool blocking = false;
    const char *fault = snapshot_fault(data, &blocking);
    nw_status status = NW_OK;
    char made[NW_KAFKA_ID_SIZE];
    uint32_t signal = 0;

    if (fault != NULL) {
        signal_refuse(sink, id, fault);
        return;
    }
    nw_kafka_id_make(sink->host, made);
    signal = nw_kafka_asked_next(sink);
    for (size_t i = 0; i < json_array_size(names) && status == NW_OK; i++) {
        char pattern[PATTERN_SIZE];
        char command[NW_KAFKA_COMMAND_SIZE];

        if (!is_again(names, i) &&
            pattern_read(json_string_value(json_array_get(names, i)), pattern, sizeof pattern)) {
            (void)snprintf(command, sizeof command, ASK "%s", pattern);
            status =
                nw_kafka_asked_note(sink, id[0] == '\0' ? made : id, signal, blocking, command);
        }
    }
    (void)taken_say(sink, id, status);
}

/* ---- the others ---- */

/* Said with the next commit, if copies that a signal asked for are under way. */
static void pause_note(struct nw_kafka_sink *sink, bool paused)
{
    struct nw_kafka_asking asking;

    nw_kafka_asked_now(sink, &asking);
    (void)pthread_mutex_lock(&sink->lock);
    if (asking.signal != 0 && (sink->paused == asking.signal) != paused &&
        sink->pauses_count < NW_KAFKA_PAUSES_MAX) {
        sink->pauses[sink->pauses_count++] =
            (struct nw_kafka_pause){.paused = paused, .signal = asking.signal};
    }
    sink->paused = paused ? asking.signal : 0;
    (void)pthread_mutex_unlock(&sink->lock);
    nw_kafka_asking_fini(&asking);
}

static void message_log(struct nw_kafka_sink *sink, const char *id, const json_t *data)
{
    const char *message = json_string_value(json_object_get(data, "message"));

    if (message == NULL || message[0] == '\0') {
        signal_refuse(sink, id, "its data has no message to log");
        return;
    }
    sink->host->log(sink->host, NW_LOG_INFO, "signal %.60s: %.500s", id, message);
}

static void stop_refuse(struct nw_kafka_sink *sink, const char *id)
{
    struct nw_kafka_asking asking;

    nw_kafka_asked_now(sink, &asking);
    signal_refuse(sink, id,
                  asking.signal == 0
                      ? "no copy that a signal asked for is under way"
                      : "a copy cannot be stopped half way: pause-snapshot stops its load");
    nw_kafka_asking_fini(&asking);
}

static void signal_do(struct nw_kafka_sink *sink, const char *id, const char *type,
                      const json_t *data)
{
    if (strcmp(type, "execute-snapshot") == 0) {
        snapshot_begin(sink, id, data);
    } else if (strcmp(type, "pause-snapshot") == 0) {
        if (command_ask(sink, id, "copy pause")) {
            pause_note(sink, true);
        }
    } else if (strcmp(type, "resume-snapshot") == 0) {
        if (command_ask(sink, id, "copy resume")) {
            pause_note(sink, false);
        }
    } else if (strcmp(type, "stop-snapshot") == 0) {
        stop_refuse(sink, id);
    } else if (strcmp(type, "log") == 0) {
        message_log(sink, id, data);
    } else if (strncmp(type, WINDOW, sizeof WINDOW - 1) == 0) {
        sink->host->log(sink->host, NW_LOG_DEBUG, "signal %.60s is a connector's own", id);
    } else {
        signal_refuse(sink, id,
                      "narwal does nothing for signals of this type, and there are no actions of "
                      "one's own");
    }
}

/* ---- rows ---- */

static int column_find(const struct nw_table *table, const char *name)
{
    for (uint16_t c = 0; c < table->columns_count; c++) {
        if (strcmp(table->columns[c].name, name) == 0) {
            return c;
        }
    }
    return -1;
}

/*
 * Where id, type and data are: by their names; or else, as with Debezium, a table of three columns
 * has them in this order, whatever they are called. @return false: it has not
 */
static bool columns_find(const struct nw_table *table, uint16_t columns[static 3])
{
    static const char *const names[3] = {"id", "type", "data"};
    bool named = true;

    for (uint16_t i = 0; i < 3; i++) {
        int found = column_find(table, names[i]);

        named = named && found >= 0;
        columns[i] = found < 0 ? 0 : (uint16_t)found;
    }
    for (uint16_t i = 0; i < 3 && !named; i++) {
        columns[i] = i;
    }
    return named || table->columns_count == 3;
}

/* The text of a column; "" when there is none. @return give; NULL: it is too long, or memory is */
static char *column_text(const struct nw_batch *batch, uint32_t row, uint16_t column)
{
    struct nw_value value = nw_batch_value(batch, NW_AFTER, row, column);
    size_t size = value.kind == NW_VALUE_PRESENT && value.bytes != NULL ? value.size : 0;
    char *text = size > DATA_MAX ? NULL : malloc(size + 1);

    if (text != NULL) {
        if (size > 0) {
            memcpy(text, value.bytes, size); /* not strndup(): it has no NUL at its end */
        }
        text[size] = '\0';
    }
    return text;
}

static void row_do(struct nw_kafka_sink *sink, const char *id, const char *type, const char *data)
{
    json_t *parsed = NULL;

    if (id == NULL || type == NULL || data == NULL) {
        signal_refuse(sink, id == NULL ? "" : id, "a value of its row is longer than 1 MiB");
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

void nw_kafka_signal_row(struct nw_kafka_sink *sink, const struct nw_batch *batch, uint32_t row)
{
    uint16_t columns[3];
    char *texts[3] = {NULL, NULL, NULL};

    if ((batch->flags & NW_BATCH_COPY) != 0 || batch->op[batch->first_row + row] != NW_OP_INSERT) {
        return;
    }
    if (!columns_find(batch->table, columns)) {
        signal_refuse(sink, "", "the table of signals has no columns id, type and data");
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        texts[i] = column_text(batch, row, columns[i]);
    }
    row_do(sink, texts[0], texts[1], texts[2]);
    for (uint32_t i = 0; i < 3; i++) {
        free(texts[i]);
    }
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
