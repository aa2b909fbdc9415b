/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals, as Debezium takes them: rows of a table (id, type, data), or messages of a topic of one
 * partition whose key is the prefix.
 *
 *   {"id":"1","type":"execute-snapshot","data":{"data-collections":["shop.items"]}}
 *
 *   execute-snapshot   each table whose SCHEMA.TABLE one of these regular expressions matches is
 *                      copied again, as by narwal table refresh; additional-conditions choose rows
 *   stop-snapshot      such copies end: those of data-collections, or all
 *   pause-snapshot     narwal copy pause; and resume-snapshot
 *   log                {"message":"..."} goes into the log
 *
 * Others are refused, and the log says so; but for snapshot-window-..., which Debezium writes for
 * itself where it reads the same table. In a row `data` is the text of that object.
 *
 * What a signal asks for is recorded before its place is passed, by a key of its own, so that a
 * signal that comes again, as its place was not committed, does not ask again. A row that comes
 * again in this process is passed over as a whole.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "kafka/conditions.h"
#include "kafka/kafka.h"
#include "lib/pattern.h"

#define ASK          "tables refresh "
#define STOP         "tables stop "
#define WINDOW       "snapshot-window-" /* by which Debezium marks its own chunks in the stream */
#define AT_A_TIME    100
#define NAMES_MAX    1000u /* of one signal */
#define PLACE_MS     10000
#define AGAIN_NS     (INT64_C(5) * 1000000000) /* until what could not be recorded is tried again */
#define DATA_MAX     ((size_t)1 << 20)         /* of a row's data, in bytes */
#define MESSAGE_SIZE 501                       /* of a message to log, in bytes */

/* All borrow. */
struct signal {
    const char *id; /* "": it has none */
    const char *type;
    const json_t *data; /* NULL: none */
    const char *key;    /* by which it is known when it comes again */
    const char *place;  /* for people */
};

static void signal_refuse(const struct nw_kafka_sink *sink, const char *id, const char *why)
{
    sink->host->log(sink->host, NW_LOG_WARN, "NW2709 signal %.60s: %s", id, why);
}

/* ---- what narwal is asked for ---- */

/* What the host says of it, which is the signal's end. */
static void taken_say(const struct nw_kafka_sink *sink, const char *id, nw_status status)
{
    if (status == NW_REJECT || status == NW_FATAL) {
        signal_refuse(sink, id, "narwal does not take that");
    } else if (status != NW_OK) {
        signal_refuse(sink, id, "too much is asked for at once: send it again");
    }
}

static bool command_ask(struct nw_kafka_sink *sink, const char *id, const char *command)
{
    struct nw_error ignored = {0};
    nw_status status = sink->host->ask(sink->host, command, &ignored);

    taken_say(sink, id, status);
    return status == NW_OK;
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
bool nw_kafka_pattern_read(const char *text, char *posix, size_t size)
{
    char trimmed[NW_KAFKA_PATTERN_SIZE];
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
    return ((strchr(trimmed, '"') != NULL && quoted_translate(trimmed, posix, size)) ||
            nw_pattern_translate(trimmed, posix, size)) &&
           strstr(posix, NW_KAFKA_WHERE) == NULL;
}

/* What is wrong with the names; NULL: nothing. */
static const char *names_fault(const json_t *names)
{
    if (json_array_size(names) > NAMES_MAX) {
        return "it has more than 1,000 data-collections: a regular expression may stand for many";
    }
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        char pattern[NW_KAFKA_PATTERN_SIZE];

        if (name == NULL || !nw_kafka_pattern_read(name, pattern, sizeof pattern)) {
            return "one of data-collections is no name, SCHEMA.TABLE, and no regular expression "
                   "that narwal knows";
        }
    }
    return NULL;
}

/* Incremental, which it is unless it says something else, or blocking. @return false: neither */
static bool type_read(const json_t *data, bool *blocking)
{
    const json_t *type = json_object_get(data, "type");

    *blocking = json_is_string(type) && strcasecmp(json_string_value(type), "blocking") == 0;
    return type == NULL || json_is_null(type) || *blocking ||
           (json_is_string(type) && strcasecmp(json_string_value(type), "incremental") == 0);
}

/* What is wrong with it; NULL: nothing. */
static const char *snapshot_fault(const json_t *data, bool *blocking)
{
    const json_t *names = json_object_get(data, "data-collections");
    const char *fault = NULL;

    if (json_array_size(names) == 0) {
        return "it has no data-collections, as [\"SCHEMA.TABLE\"]";
    }
    if (!type_read(data, blocking)) {
        return "its type is neither incremental nor blocking";
    }
    fault = names_fault(names);
    return fault != NULL ? fault : nw_kafka_conditions_fault(data, *blocking);
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

/* The commands for its tables. @return give; NULL: memory ran out */
static char (*commands_make(const char *verb, const json_t *data,
                            uint32_t *count))[NW_KAFKA_COMMAND_SIZE]
{
    const json_t *names = json_object_get(data, "data-collections");
    bool asks = strcmp(verb, ASK) == 0;
    char(*made)[NW_KAFKA_COMMAND_SIZE] = calloc(json_array_size(names) + 1, sizeof *made);

    *count = 0;
    for (size_t i = 0; made != NULL && i < json_array_size(names); i++) {
        char pattern[NW_KAFKA_PATTERN_SIZE];

        if (!is_again(names, i) &&
            nw_kafka_pattern_read(json_string_value(json_array_get(names, i)), pattern,
                                  sizeof pattern)) {
            const char *filter = asks ? nw_kafka_filter_of(data, pattern) : "";

            (void)snprintf(made[(*count)++], NW_KAFKA_COMMAND_SIZE, "%s%s%s%s", verb, pattern,
                           filter[0] == '\0' ? "" : NW_KAFKA_WHERE, filter);
        }
    }
    if (made != NULL && *count == 0) { /* an end of copies, of all */
        (void)snprintf(made[(*count)++], NW_KAFKA_COMMAND_SIZE, "%s.*", verb);
    }
    return made;
}

/* @param verb  ASK or STOP */
static nw_status tables_command(struct nw_kafka_sink *sink, const struct signal *signal,
                                const char *verb, bool blocking, struct nw_error *err)
{
    bool again = false;
    const char **commands = NULL;
    char(*texts)[NW_KAFKA_COMMAND_SIZE] = NULL;
    char made[NW_KAFKA_ID_SIZE];
    struct nw_kafka_ask ask = {
        .blocking = blocking, .stops = strcmp(verb, STOP) == 0, .key = signal->key};
    nw_status status = NW_OK;

    nw_kafka_id_make(sink->host, made);
    texts = commands_make(verb, signal->data, &ask.count);
    commands = calloc((size_t)ask.count + 1, sizeof *commands);
    for (uint32_t i = 0; texts != NULL && commands != NULL && i < ask.count; i++) {
        commands[i] = texts[i];
    }
    ask.id = signal->id[0] == '\0' ? made : signal->id;
    ask.commands = commands;
    status = texts == NULL || commands == NULL ? nw_kafka_no_memory(err)
                                               : nw_kafka_asked_note(sink, &ask, &again, err);
    if (again) {
        sink->host->log(sink->host, NW_LOG_DEBUG, "signal %.60s came again", signal->id);
    }
    free(commands);
    free(texts);
    if (status != NW_RETRY) {
        taken_say(sink, signal->id, status);
    }
    return status == NW_RETRY ? NW_RETRY : NW_OK;
}

static nw_status snapshot_begin(struct nw_kafka_sink *sink, const struct signal *signal,
                                struct nw_error *err)
{
    bool blocking = false;
    const char *fault = snapshot_fault(signal->data, &blocking);

    if (fault != NULL) {
        signal_refuse(sink, signal->id, fault);
        return NW_OK;
    }
    return tables_command(sink, signal, ASK, blocking, err);
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

/* With the signal's place in the place of {}, as Debezium puts its own there. */
static void message_log(struct nw_kafka_sink *sink, const struct signal *signal)
{
    const char *message = json_string_value(json_object_get(signal->data, "message"));
    const char *mark = message == NULL ? NULL : strstr(message, "{}");
    char before[MESSAGE_SIZE];

    if (message == NULL || message[0] == '\0') {
        signal_refuse(sink, signal->id, "its data has no message to log");
        return;
    }
    (void)snprintf(before, sizeof before, "%.*s",
                   mark == NULL ? MESSAGE_SIZE - 1 : (int)(mark - message), message);
    sink->host->log(sink->host, NW_LOG_INFO, "signal %.60s: %s%s%.500s", signal->id, before,
                    mark == NULL ? "" : signal->place, mark == NULL ? "" : mark + 2);
}

/* Its data-collections and type are those of execute-snapshot, but that it needs none: then it is
 * for all copies. */
static nw_status stop_begin(struct nw_kafka_sink *sink, const struct signal *signal,
                            struct nw_error *err)
{
    const char *fault = names_fault(json_object_get(signal->data, "data-collections"));
    bool blocking = false;

    if (fault == NULL && !type_read(signal->data, &blocking)) {
        fault = "its type is neither incremental nor blocking";
    } else if (fault == NULL && blocking) {
        fault = "copies of the type blocking are not stopped, with Debezium neither";
    }
    if (fault != NULL) {
        signal_refuse(sink, signal->id, fault);
        return NW_OK;
    }
    return tables_command(sink, signal, STOP, false, err);
}

static nw_status signal_do(struct nw_kafka_sink *sink, const struct signal *signal,
                           struct nw_error *err)
{
    const char *type = signal->type;

    if (strcmp(type, "execute-snapshot") == 0) {
        return snapshot_begin(sink, signal, err);
    }
    if (strcmp(type, "stop-snapshot") == 0) {
        return stop_begin(sink, signal, err);
    }
    if (strcmp(type, "pause-snapshot") == 0) {
        if (command_ask(sink, signal->id, "copy pause")) {
            pause_note(sink, true);
        }
    } else if (strcmp(type, "resume-snapshot") == 0) {
        if (command_ask(sink, signal->id, "copy resume")) {
            pause_note(sink, false);
        }
    } else if (strcmp(type, "log") == 0) {
        message_log(sink, signal);
    } else if (strncmp(type, WINDOW, sizeof WINDOW - 1) == 0) {
        sink->host->log(sink->host, NW_LOG_DEBUG, "signal %.60s is a connector's own", signal->id);
    } else {
        signal_refuse(sink, signal->id,
                      "narwal does nothing for signals of this type, and there are no actions of "
                      "one's own");
    }
    return NW_OK;
}

/* FNV-1a, which tells signals apart that have one place: on servers that are not the same. */
static uint64_t text_hash(uint64_t hash, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    }
    return hash * UINT64_C(0x100000001b3); /* and a NUL */
}

#define HASH_BEGINS UINT64_C(0xcbf29ce484222325)

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

static nw_status row_do(struct nw_kafka_sink *sink, char *const texts[static 3], const char *key,
                        uint64_t lsn, struct nw_error *err)
{
    char place[32];
    struct signal signal = {.id = texts[0], .type = texts[1], .key = key, .place = place};
    const char *data = texts[2];
    json_t *parsed = NULL;
    nw_status status = NW_OK;

    (void)snprintf(place, sizeof place, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32),
                   (uint32_t)lsn);
    if (signal.id == NULL || signal.type == NULL || data == NULL) {
        signal_refuse(sink, signal.id == NULL ? "" : signal.id,
                      "a value of its row is longer than 1 MiB");
        return NW_OK;
    }
    parsed = json_loads(data, 0, NULL);
    signal.data = parsed;
    if (data[0] != '\0' && !json_is_object(parsed)) {
        signal_refuse(sink, signal.id, "its data is not a JSON object");
    } else {
        status = signal_do(sink, &signal, err);
    }
    json_decref(parsed);
    return status;
}

/* Whether it came before, in this process, and was followed. */
static bool is_followed(struct nw_kafka_sink *sink, uint64_t hash)
{
    bool found = false;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->followed_count && i < NW_KAFKA_FOLLOWED_MAX && !found; i++) {
        found = sink->followed[i] == hash;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return found;
}

static void followed_note(struct nw_kafka_sink *sink, uint64_t hash)
{
    (void)pthread_mutex_lock(&sink->lock);
    sink->followed[sink->followed_count++ % NW_KAFKA_FOLLOWED_MAX] = hash;
    (void)pthread_mutex_unlock(&sink->lock);
}

nw_status nw_kafka_signal_row(struct nw_kafka_sink *sink, const struct nw_batch *batch,
                              uint32_t row, struct nw_error *err)
{
    uint32_t at = batch->first_row + row;
    uint64_t hash = HASH_BEGINS;
    char key[NW_REQUEST_TEXT_SIZE];
    uint16_t columns[3];
    char *texts[3] = {NULL, NULL, NULL};
    nw_status status = NW_OK;

    if ((batch->flags & NW_BATCH_COPY) != 0 || batch->op[at] != NW_OP_INSERT) {
        return NW_OK;
    }
    if (!columns_find(batch->table, columns)) {
        signal_refuse(sink, "", "the table of signals has no columns id, type and data");
        return NW_OK;
    }
    for (uint32_t i = 0; i < 3; i++) {
        texts[i] = column_text(batch, row, columns[i]);
        hash = text_hash(hash, texts[i] == NULL ? "" : texts[i],
                         texts[i] == NULL ? 0 : strlen(texts[i]));
    }
    (void)snprintf(key, sizeof key, "row %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64,
                   batch->commit_lsn[at], batch->seq[at], (uint64_t)batch->commit_ts[at], hash);
    hash = text_hash(HASH_BEGINS, key, strlen(key));
    if (!is_followed(sink, hash)) {
        status = row_do(sink, texts, key, batch->commit_lsn[at], err);
        if (status == NW_OK) {
            followed_note(sink, hash);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        free(texts[i]);
    }
    return status;
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
    if (sink->signal_held != NULL) {
        rd_kafka_message_destroy(sink->signal_held);
        sink->signal_held = NULL;
    }
    if (sink->signals != NULL) {
        (void)rd_kafka_consumer_close(sink->signals);
        rd_kafka_destroy(sink->signals);
        sink->signals = NULL;
    }
}

nw_status nw_kafka_signal_message(struct nw_kafka_sink *sink, const rd_kafka_message_t *message,
                                  int64_t made_ms, struct nw_error *err)
{
    const char *prefix = sink->options.prefix;
    const char *payload = message->payload == NULL ? "" : message->payload;
    json_t *whole = NULL;
    char key[NW_REQUEST_TEXT_SIZE];
    char place[32];
    struct signal signal = {.key = key, .place = place};
    nw_status status = NW_OK;

    if (message->key_len != strlen(prefix) || memcmp(message->key, prefix, message->key_len) != 0) {
        return NW_OK; /* somebody else's */
    }
    (void)snprintf(place, sizeof place, "at offset %" PRId64, message->offset);
    (void)snprintf(key, sizeof key, "message %" PRId64 " %" PRId64 " %" PRIx64, message->offset,
                   made_ms, text_hash(HASH_BEGINS, payload, message->len));
    whole = message->payload == NULL ? NULL : json_loadb(payload, message->len, 0, NULL);
    signal.type = json_string_value(json_object_get(whole, "type"));
    signal.id = json_string_value(json_object_get(whole, "id"));
    signal.id = signal.id == NULL ? "" : signal.id;
    signal.data = json_object_get(whole, "data");
    if (signal.type == NULL) {
        signal_refuse(sink, place, "it is not a JSON object with a type");
    } else {
        status = signal_do(sink, &signal, err);
    }
    json_decref(whole);
    return status;
}

/* The one that could not be recorded, or the next. @return NULL: there is none now */
static rd_kafka_message_t *message_next(struct nw_kafka_sink *sink)
{
    rd_kafka_message_t *message = sink->signal_held;

    if (message != NULL && sink->host->now_ns(sink->host) < sink->signals_due_ns) {
        return NULL;
    }
    sink->signal_held = NULL;
    return message != NULL ? message : rd_kafka_consumer_poll(sink->signals, 0);
}

/* Its place is passed when it is followed. */
static void message_follow(struct nw_kafka_sink *sink, rd_kafka_message_t *message)
{
    struct nw_error err = {0};

    if (nw_kafka_signal_message(sink, message, rd_kafka_message_timestamp(message, NULL), &err) !=
        NW_OK) {
        sink->host->log(sink->host, NW_LOG_WARN, "%s", err.text);
        sink->signal_held = message;
        sink->signals_due_ns = sink->host->now_ns(sink->host) + AGAIN_NS;
        return;
    }
    (void)rd_kafka_commit_message(sink->signals, message, 1);
    rd_kafka_message_destroy(message);
}

void nw_kafka_signals_poll(struct nw_kafka_sink *sink)
{
    rd_kafka_message_t *message = NULL;

    for (int i = 0; sink->signals != NULL && i < AT_A_TIME; i++) {
        message = message_next(sink);
        if (message == NULL) {
            return;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            message_follow(sink, message);
            continue;
        }
        sink->host->log(sink->host, NW_LOG_DEBUG, "topic of signals: %s",
                        rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
}
