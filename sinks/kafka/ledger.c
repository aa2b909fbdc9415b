/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: what is durable, in a compacted topic of its own, one partition, JSON.
 *
 *   key "owner"         {"narwal":1,"fencing":3,"token":77,"workers":1}: how often somebody has
 *                       begun to write, and who was the last
 *   key "position"      {"narwal":1,"lsn":"0/16B3748","moves":0,"bytes":"0a..."}: of the first
 *                       worker
 *   key "position/1"    {"narwal":2,...}: of the others
 *   key "copy/16412"    {"narwal":1,"generation":1,"complete":true,"bytes":"..."}
 *   key "part/16412"    {"narwal":1,"lsn":"0/16B3748","seq":17,"moves":0}: see oversized.c; in
 *                       force while the position of its table's worker is not behind lsn and has
 *                       as many moves
 *   key "topic/NAME"    {"narwal":1}: this sink has begun to write to the topic, which was free
 *                       or might be used; see begun.c
 *   key "signal/3"      {"narwal":1,"id":"ad-hoc-1",...}: see asked_ledger.c
 *   key "topics"        {"narwal":1}: such records are there of all that was begun; a narwal that
 *                       knew of none may have begun others before
 *
 * Of each key the last message counts; without a value none does. `narwal` is the format's version;
 * a reader refuses one that it does not know. With several workers it is 2, in all records of owner
 * and positions: a narwal that knows of one position only must not go on from that. An owner
 * without `workers` had one.
 *
 * A narwal that has no use for a key passes over it.
 *
 * Records of one worker's commit are in one transaction with its messages. Their number changes in
 * one transaction of the first worker's producer, which is possible when all are at one position.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/scan.h"

#define FORMAT      1u
#define FORMAT_MANY 2u /* has positions of several workers */
#define POLL_MS     100
#define METADATA_MS 5000
#define LEADER_MS   1000
#define KEY_SIZE    (NW_KAFKA_TOPIC_SIZE + 16u)

void nw_kafka_state_forget(struct nw_kafka_state *state)
{
    for (uint32_t i = 0; i < state->topics_count; i++) {
        free(state->topics[i]);
    }
    free((void *)state->topics);
    free(state->copies);
    free(state->parts);
    nw_kafka_ledger_signals_forget(state);
    memset(state, 0, sizeof *state);
}

static struct nw_kafka_copy *copy_of(struct nw_kafka_state *state, uint32_t relation_oid)
{
    struct nw_kafka_copy *more = NULL;

    for (uint32_t i = 0; i < state->copies_count; i++) {
        if (state->copies[i].relation_oid == relation_oid) {
            return &state->copies[i];
        }
    }
    if (state->copies_count == state->copies_capacity) {
        uint32_t capacity = state->copies_capacity == 0 ? 16 : 2 * state->copies_capacity;

        more = realloc(state->copies, capacity * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        state->copies = more;
        state->copies_capacity = capacity;
    }
    state->copies[state->copies_count] = (struct nw_kafka_copy){.relation_oid = relation_oid};
    return &state->copies[state->copies_count++];
}

/* @return state->topics_count: it is not there */
static uint32_t topic_at(const struct nw_kafka_state *state, const char *name)
{
    uint32_t at = 0;

    while (at < state->topics_count && strcmp(state->topics[at], name) != 0) {
        at++;
    }
    return at;
}

bool nw_kafka_ledger_has_begun(const struct nw_kafka_state *state)
{
    for (uint32_t i = 0; i < state->copies_count; i++) {
        if (state->copies[i].complete || state->copies[i].size > 0) {
            return true;
        }
    }
    return false;
}

bool nw_kafka_ledger_has_topic(const struct nw_kafka_state *state, const char *name)
{
    return topic_at(state, name) < state->topics_count;
}

nw_status nw_kafka_ledger_topic_add(struct nw_kafka_state *state, const char *name,
                                    struct nw_error *err)
{
    char **more = NULL;

    if (nw_kafka_ledger_has_topic(state, name)) {
        return NW_OK;
    }
    more = realloc((void *)state->topics, ((size_t)state->topics_count + 1) * sizeof *more);
    state->topics = more == NULL ? state->topics : more;
    if (more == NULL || (more[state->topics_count] = strdup(name)) == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the names of topics");
    }
    state->topics_count++;
    return NW_OK;
}

/* ---- reading ---- */

struct record {
    uint64_t format, fencing, token, workers, lsn, moves, generation, seq;
    bool complete;
    uint32_t size;
    uint8_t bytes[NW_POSITION_SIZE_MAX];
};

static bool record_scan(const void *bytes, size_t size, struct record *record)
{
    struct nw_scan scan = nw_scan_of(bytes, size);
    bool first = true;
    char key[KEY_SIZE];

    *record = (struct record){0};
    nw_scan_enter(&scan, '{');
    while (nw_scan_key(&scan, &first, key, sizeof key)) {
        if (strcmp(key, "narwal") == 0) {
            record->format = nw_scan_u64(&scan);
        } else if (strcmp(key, "fencing") == 0) {
            record->fencing = nw_scan_u64(&scan);
        } else if (strcmp(key, "token") == 0) {
            record->token = nw_scan_u64(&scan);
        } else if (strcmp(key, "workers") == 0) {
            record->workers = nw_scan_u64(&scan);
        } else if (strcmp(key, "lsn") == 0) {
            record->lsn = nw_scan_lsn(&scan);
        } else if (strcmp(key, "moves") == 0) {
            record->moves = nw_scan_u64(&scan);
        } else if (strcmp(key, "seq") == 0) {
            record->seq = nw_scan_u64(&scan);
        } else if (strcmp(key, "generation") == 0) {
            record->generation = nw_scan_u64(&scan);
        } else if (strcmp(key, "complete") == 0) {
            record->complete = nw_scan_bool(&scan);
        } else if (strcmp(key, "bytes") == 0) {
            record->size = (uint32_t)nw_scan_hex(&scan, record->bytes, sizeof record->bytes);
        } else {
            nw_scan_skip(&scan);
        }
    }
    return nw_scan_done(&scan) && record->format > 0;
}

/* Which worker's position it is. @return false when it is none. */
static bool position_key(const char *key, uint32_t *worker)
{
    int used = 0;

    *worker = 0;
    if (strcmp(key, "position") == 0) {
        return true;
    }
    return sscanf(key, "position/%" SCNu32 "%n", worker, &used) == 1 && key[used] == '\0' &&
           *worker < NW_KAFKA_WORKERS_MAX;
}

static nw_status copy_take(struct nw_kafka_state *state, uint32_t oid, const struct record *record,
                           struct nw_error *err)
{
    struct nw_kafka_copy *copy = copy_of(state, oid);

    if (copy == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the states of copies");
    }
    copy->generation = (uint32_t)record->generation;
    copy->complete = record->complete;
    copy->size = record->size;
    memcpy(copy->bytes, record->bytes, record->size);
    return NW_OK;
}

static nw_status part_take(struct nw_kafka_state *state, uint32_t oid, const struct record *record,
                           struct nw_error *err)
{
    struct nw_kafka_part *part = NULL;

    for (uint32_t i = 0; i < state->parts_count; i++) {
        part = state->parts[i].relation_oid == oid ? &state->parts[i] : part;
    }
    if (part == NULL) {
        struct nw_kafka_part *more = realloc(state->parts, (state->parts_count + 1) * sizeof *more);

        if (more == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for parts of transactions");
        }
        state->parts = more;
        part = &more[state->parts_count++];
    }
    *part = (struct nw_kafka_part){
        .relation_oid = oid, .moves = record->moves, .place = {record->lsn, record->seq}};
    return NW_OK;
}

static const char topic_key[] = "topic/";
static const char topics_key[] = "topics";

static nw_status topic_take(struct nw_kafka_state *state, const char *name, bool there,
                            struct nw_error *err)
{
    uint32_t at = topic_at(state, name);

    if (there) {
        return nw_kafka_ledger_topic_add(state, name, err);
    }
    if (at < state->topics_count) {
        free(state->topics[at]);
        state->topics[at] = state->topics[--state->topics_count];
    }
    return NW_OK;
}

static bool record_known(const struct record *record)
{
    return (record->format == FORMAT || record->format == FORMAT_MANY) &&
           record->workers <= NW_KAFKA_WORKERS_MAX;
}

nw_status nw_kafka_ledger_take(const struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                               const rd_kafka_message_t *message, struct nw_error *err)
{
    struct record record = {0};
    char key[KEY_SIZE];
    uint32_t number = 0;

    (void)snprintf(key, sizeof key, "%.*s", (int)message->key_len,
                   message->key == NULL ? "" : (const char *)message->key);
    if (message->payload != NULL &&
        (!record_scan(message->payload, message->len, &record) || !record_known(&record))) {
        return nw_fail(err, NW_FATAL,
                       "NW2706 topic %s has a record (offset %" PRId64 ", key \"%s\") that this "
                       "narwal does not know: it is of a newer narwal, or somebody else's topic. "
                       "Nothing was written",
                       sink->options.ledger_topic, message->offset, key);
    }
    if (strcmp(key, "owner") == 0 && message->payload != NULL) {
        state->fencing = record.fencing;
        state->token = record.token;
        state->workers = record.workers == 0 ? 1 : (uint32_t)record.workers;
    } else if (position_key(key, &number)) {
        struct nw_kafka_position *position = &state->positions[number];

        position->there = message->payload != NULL;
        position->lsn = record.lsn;
        position->moves = record.moves;
        position->size = record.size;
        memcpy(position->bytes, record.bytes, record.size);
    } else if (sscanf(key, "copy/%" SCNu32, &number) == 1 && message->payload != NULL) {
        return copy_take(state, number, &record, err);
    } else if (sscanf(key, "part/%" SCNu32, &number) == 1) {
        return part_take(state, number, &record, err);
    } else if (sscanf(key, "signal/%" SCNu32, &number) == 1) {
        return nw_kafka_ledger_signal_take(state, number, message->payload, message->len, err);
    } else if (strcmp(key, topics_key) == 0) {
        state->names_topics = message->payload != NULL;
    } else if (strncmp(key, topic_key, sizeof topic_key - 1) == 0) {
        return topic_take(state, key + sizeof topic_key - 1, message->payload != NULL, err);
    }
    return NW_OK; /* others are of a later narwal, which may add keys to this format */
}

static nw_status reader_create(struct nw_kafka_sink *sink, rd_kafka_t **reader,
                               struct nw_error *err)
{
    static const char *const settings[][2] = {
        {"group.id", "narwal"},          {"enable.auto.commit", "false"},
        {"auto.offset.reset", "error"},  {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "10"}, /* the end is soon said */
        {"enable.partition.eof", "true"}};

    return nw_kafka_reader_create(sink, settings, sizeof settings / sizeof settings[0], reader,
                                  err);
}

/* What the reader gave. @param at_end  set at the topic's end. NW_AGAIN: nothing of use. */
static nw_status message_take(struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                              const rd_kafka_message_t *message, bool *at_end, struct nw_error *err)
{
    if (message == NULL) {
        return NW_AGAIN;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *at_end = true;
        state->end = message->offset;
        return NW_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        return nw_fail(err, NW_RETRY, "NW2701 topic %s cannot be read: %s",
                       sink->options.ledger_topic, rd_kafka_err2str(message->err));
    }
    return message->err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? nw_kafka_ledger_take(sink, state, message, err)
               : NW_AGAIN;
}

/* Asks for the topic. @return whether brokers answer, and say that there is none. */
static bool is_gone(const struct nw_kafka_sink *sink, rd_kafka_t *reader, int patience_ms)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reader, sink->options.ledger_topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    bool gone = false;

    if (topic != NULL &&
        rd_kafka_metadata(reader, 0, topic, &metadata, patience_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        gone = metadata->topic_cnt == 1 &&
               metadata->topics[0].err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic != NULL) {
        rd_kafka_topic_destroy(topic);
    }
    return gone;
}

/* Patience ended. @param message  the latest; NULL: none. */
static nw_status reading_fail(struct nw_kafka_sink *sink, rd_kafka_t *reader,
                              const rd_kafka_message_t *message, struct nw_error *err)
{
    nw_status status = nw_kafka_refused(sink, err);

    if (status != NW_OK) {
        return status;
    }
    return sink->owned > 0 && is_gone(sink, reader, METADATA_MS)
               ? nw_fail(err, NW_FATAL,
                         "NW2731 topic %s is gone, which says what is durable: somebody deleted "
                         "it. Nothing is begun anew without being told to",
                         sink->options.ledger_topic)
               : nw_fail(err, NW_RETRY, "NW2701 topic %s cannot be read: %s",
                         sink->options.ledger_topic,
                         message == NULL ? "no answer" : rd_kafka_message_errstr(message));
}

/* Reads until the end, which is one that stands still: our own former transaction was ended when
 * this producer began. */
static nw_status records_read(struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                              rd_kafka_t *reader, struct nw_error *err)
{
    int64_t until_ns = nw_kafka_until_ns(sink);
    nw_status status = NW_OK;
    bool at_end = false;

    while (!at_end && (status == NW_OK || status == NW_AGAIN)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, POLL_MS);

        status = message_take(sink, state, message, &at_end, err);
        if (status == NW_AGAIN && nw_kafka_is_over(sink, until_ns)) {
            status = reading_fail(sink, reader, message, err);
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    return status;
}

nw_status nw_kafka_ledger_read(struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                               struct nw_error *err)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);
    rd_kafka_t *reader = NULL;
    nw_status status = reader_create(sink, &reader, err);

    nw_kafka_state_forget(state);
    rd_kafka_topic_partition_list_add(all, sink->options.ledger_topic, 0)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
    if (status == NW_OK) {
        rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

        /* Who does not know the leader when he is told to read looks for it half a second later. */
        (void)is_gone(sink, reader, LEADER_MS);
        code = rd_kafka_assign(reader, all);

        status = code == RD_KAFKA_RESP_ERR_NO_ERROR
                     ? records_read(sink, state, reader, err)
                     : nw_kafka_fail(sink, "the ledger cannot be read", code,
                                     rd_kafka_err2str(code), err);
        (void)rd_kafka_consumer_close(reader);
        rd_kafka_destroy(reader);
    }
    rd_kafka_topic_partition_list_destroy(all);
    return status;
}

/* ---- writing ---- */

nw_status nw_kafka_ledger_send(struct nw_kafka_producer *producer, const char *key,
                               const struct nw_out *value, struct nw_error *err)
{
    if (value != NULL && value->failed) {
        return nw_fail(err, NW_RETRY, "out of memory for a record of the ledger");
    }
    /* Not RD_KAFKA_MSG_F_BLOCK: what was acknowledged leaves the queue as this thread polls. */
    while (rd_kafka_produce(producer->ledger, 0, RD_KAFKA_MSG_F_COPY,
                            value == NULL ? NULL : value->bytes, value == NULL ? 0 : value->used,
                            key, strlen(key), nw_kafka_spares_none(producer)) != 0) {
        rd_kafka_resp_err_t code = rd_kafka_last_error();
        nw_status status = NW_AGAIN;

        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return nw_kafka_fail(producer->sink, "the ledger cannot be written", code,
                                 rd_kafka_err2str(code), err);
        }
        status = nw_kafka_queue_wait(producer, err);
        if (status != NW_AGAIN) {
            return status;
        }
    }
    producer->full_ns = 0;
    return NW_OK;
}

static void record_begin(struct nw_out *out, uint32_t format)
{
    out->used = 0;
    nw_out_text(out, "{\"narwal\":");
    nw_out_u64(out, format);
}

static void record_end(struct nw_out *out, const uint8_t *bytes, uint32_t size)
{
    nw_out_text(out, ",\"bytes\":\"");
    nw_out_hex(out, bytes, size);
    nw_out_text(out, "\"}");
}

static uint32_t format_of(uint32_t workers)
{
    return workers > 1 ? FORMAT_MANY : FORMAT;
}

static nw_status owner_send(struct nw_kafka_sink *sink, uint64_t fencing, uint32_t workers,
                            struct nw_error *err)
{
    struct nw_out *out = &sink->producers[0].record;

    record_begin(out, format_of(workers));
    nw_out_text(out, ",\"fencing\":");
    nw_out_u64(out, fencing);
    nw_out_text(out, ",\"token\":");
    nw_out_u64(out, sink->token);
    nw_out_text(out, ",\"workers\":");
    nw_out_u64(out, workers);
    nw_out_text(out, "}");
    return nw_kafka_ledger_send(&sink->producers[0], "owner", out, err);
}

static void position_key_print(char key[static KEY_SIZE], uint32_t worker)
{
    (void)snprintf(key, KEY_SIZE, worker == 0 ? "position" : "position/%" PRIu32, worker);
}

nw_status nw_kafka_ledger_position(struct nw_kafka_producer *producer, uint32_t worker,
                                   const struct nw_position *position, bool moves,
                                   struct nw_error *err)
{
    const struct nw_kafka_state *state = &producer->sink->state;
    struct nw_out *out = &producer->record;
    char key[KEY_SIZE];

    position_key_print(key, worker);
    record_begin(out, format_of(state->workers));
    nw_out_text(out, ",\"lsn\":\"");
    nw_out_lsn(out, position->lsn);
    nw_out_text(out, "\",\"moves\":");
    nw_out_u64(out, state->positions[worker].moves + (moves ? 1 : 0));
    record_end(out, position->bytes, position->size);
    return nw_kafka_ledger_send(producer, key, out, err);
}

nw_status nw_kafka_ledger_copy(struct nw_kafka_producer *producer, const struct nw_copy_state *copy,
                               struct nw_error *err)
{
    struct nw_out *out = &producer->record;
    char key[KEY_SIZE];

    (void)snprintf(key, sizeof key, "copy/%" PRIu32, copy->relation_oid);
    record_begin(out, FORMAT);
    nw_out_text(out, ",\"generation\":");
    nw_out_u64(out, copy->generation);
    nw_out_text(out, copy->complete ? ",\"complete\":true" : ",\"complete\":false");
    record_end(out, copy->bytes, copy->size);
    return nw_kafka_ledger_send(producer, key, out, err);
}

nw_status nw_kafka_ledger_topic(struct nw_kafka_producer *producer, const char *name,
                                struct nw_error *err)
{
    struct nw_out *out = &producer->record;
    char key[KEY_SIZE];

    (void)snprintf(key, sizeof key, "%s%s", topic_key, name);
    record_begin(out, FORMAT);
    nw_out_text(out, "}");
    return nw_kafka_ledger_send(producer, key, out, err);
}

/* Before the first message to any of them. */
static nw_status topics_send(struct nw_kafka_producer *producer, struct nw_error *err)
{
    record_begin(&producer->record, FORMAT);
    nw_out_text(&producer->record, "}");
    return nw_kafka_ledger_send(producer, topics_key, &producer->record, err);
}

static void part_key_print(char key[static KEY_SIZE], uint32_t relation_oid)
{
    (void)snprintf(key, KEY_SIZE, "part/%" PRIu32, relation_oid);
}

nw_status nw_kafka_ledger_part(struct nw_kafka_producer *producer, uint32_t worker,
                               uint32_t relation_oid, const struct nw_kafka_place *place,
                               struct nw_error *err)
{
    struct nw_out *out = &producer->record;
    char key[KEY_SIZE];

    part_key_print(key, relation_oid);
    record_begin(out, FORMAT);
    nw_out_text(out, ",\"lsn\":\"");
    nw_out_lsn(out, place->commit_lsn);
    nw_out_text(out, "\",\"seq\":");
    nw_out_u64(out, place->seq);
    nw_out_text(out, ",\"moves\":");
    nw_out_u64(out, producer->sink->state.positions[worker].moves);
    nw_out_text(out, "}");
    return nw_kafka_ledger_send(producer, key, out, err);
}

void nw_kafka_ledger_part_end(struct nw_kafka_state *state, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < state->parts_count; i++) {
        struct nw_kafka_part *part = &state->parts[i];

        if (part->relation_oid == relation_oid) {
            part->place = (struct nw_kafka_place){0};
            part->ended = true;
        }
    }
}

nw_status nw_kafka_ledger_parts_ended(struct nw_kafka_producer *producer, uint32_t worker,
                                      struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < sink->state.parts_count && status == NW_OK; i++) {
        struct nw_kafka_part *part = &sink->state.parts[i];
        char key[KEY_SIZE];

        if (part->ended && (!sink->options.transactional ||
                            nw_kafka_worker_of(sink, part->relation_oid) == worker)) {
            part_key_print(key, part->relation_oid);
            status = nw_kafka_ledger_send(producer, key, NULL, err);
            part->ended = false; /* if this is not committed, all is read again */
        }
    }
    return status;
}

void nw_kafka_ledger_moved(struct nw_kafka_sink *sink, uint32_t worker,
                           const struct nw_position *position, bool moves)
{
    struct nw_kafka_position *own = &sink->state.positions[worker];

    own->there = true;
    own->lsn = position->lsn;
    own->moves += moves ? 1 : 0;
    own->size = position->size;
    memcpy(own->bytes, position->bytes, position->size);
}

struct nw_kafka_place nw_kafka_ledger_past(const struct nw_kafka_state *state, uint32_t worker,
                                           uint32_t relation_oid)
{
    /* Without transactions one position is that of all workers. */
    const struct nw_kafka_position *position =
        &state->positions[worker < state->workers ? worker : 0];

    for (uint32_t i = 0; i < state->parts_count; i++) {
        const struct nw_kafka_part *part = &state->parts[i];

        if (part->relation_oid == relation_oid && part->moves == position->moves &&
            part->place.commit_lsn >= position->lsn) {
            return part->place;
        }
    }
    return (struct nw_kafka_place){0};
}

/* Whichever worker a table is: its part is in force by the position of one of them. */
uint64_t nw_kafka_ledger_ahead(const struct nw_kafka_state *state)
{
    uint64_t ahead_lsn = 0;

    for (uint32_t i = 0; i < state->parts_count; i++) {
        for (uint32_t w = 0; w < state->workers; w++) {
            struct nw_kafka_place place =
                nw_kafka_ledger_past(state, w, state->parts[i].relation_oid);

            ahead_lsn = place.commit_lsn > ahead_lsn ? place.commit_lsn : ahead_lsn;
        }
    }
    return ahead_lsn;
}

/* ---- whose it is ---- */

/* Ends a transaction of the first producer, which has records only. */
static nw_status records_commit(struct nw_kafka_sink *sink, nw_status status, struct nw_error *err)
{
    enum nw_outcome outcome = NW_UNKNOWN;

    if (status == NW_OK) {
        status = nw_kafka_commit(&sink->producers[0], &outcome, err);
    }
    return status == NW_OK && outcome != NW_COMMITTED ? NW_RETRY : status; /* err says why */
}

nw_status nw_kafka_ledger_own(struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                              struct nw_error *err)
{
    nw_status status = nw_kafka_ledger_read(sink, state, err);
    uint64_t fencing = state->fencing + 1;

    if (status == NW_OK && state->fencing == 0 && !state->positions[0].there) {
        status = nw_kafka_first_check(&sink->producers[0], err);
    }
    if (status == NW_OK) {
        status = nw_kafka_begin(&sink->producers[0], err);
    }
    if (status == NW_OK) {
        status = owner_send(sink, fencing, state->workers == 0 ? 1 : state->workers, err);
        if (status == NW_OK && !state->names_topics && !nw_kafka_ledger_has_begun(state)) {
            status = topics_send(&sink->producers[0], err);
        }
        status = records_commit(sink, status, err);
    }
    if (status == NW_OK) {
        sink->owned = fencing;
    }
    return status;
}

static nw_status taken(const struct nw_kafka_sink *sink, uint64_t fencing, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL,
                   "NW2406 another narwal has taken over: its fencing number is %" PRIu64
                   ", and this one's is %" PRIu64 ". This one may not write any more",
                   fencing, sink->owned);
}

/* The number alone does not say it: another one may have got the same, while what a former process
 * left open hid from both what was behind it. */
static bool is_taken(const struct nw_kafka_sink *sink, const struct nw_kafka_state *state)
{
    return state->fencing >= sink->owned && state->token != sink->token;
}

/* A leader that was just elected may not know of the last commits yet, but once it gives what was
 * written by this instance, it gives all before it. */
nw_status nw_kafka_ledger_owned(struct nw_kafka_sink *sink, struct nw_kafka_state *state,
                                struct nw_error *err)
{
    int64_t until_ns = nw_kafka_until_ns(sink);
    nw_status status = NW_OK;

    do {
        status = nw_kafka_ledger_read(sink, state, err);
    } while (status == NW_OK && state->fencing < sink->owned && !nw_kafka_is_over(sink, until_ns));
    if (status != NW_OK) {
        return status;
    }
    if (state->fencing == sink->owned && state->token == sink->token) {
        return NW_OK;
    }
    return is_taken(sink, state)
               ? taken(sink, state->fencing, err)
               : nw_fail(err, NW_RETRY,
                         "NW2733 topic %s does not give what was written to it, but ends at offset "
                         "%" PRId64 ": most likely a transaction is open there that is not this "
                         "narwal's, which brokers end when its time is over (one that they do not "
                         "end is a hanging one); or a leader that was just elected is behind",
                         sink->options.ledger_topic, state->end);
}

nw_status nw_kafka_ledger_ours(struct nw_kafka_sink *sink, struct nw_error *err)
{
    struct nw_kafka_state *state = NULL;
    nw_status status = NW_OK;

    if (sink->owned == 0) {
        return NW_OK;
    }
    state = calloc(1, sizeof *state);
    if (state == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the ledger");
    }
    status = nw_kafka_ledger_read(sink, state, err);
    if (status == NW_OK && is_taken(sink, state)) {
        status = taken(sink, state->fencing, err);
    }
    nw_kafka_state_forget(state);
    free(state);
    return status;
}

/* ---- how many write it ---- */

bool nw_kafka_ledger_is_even(const struct nw_kafka_state *state)
{
    const struct nw_kafka_position *first = &state->positions[0];

    for (uint32_t i = 1; i < state->workers; i++) {
        const struct nw_kafka_position *other = &state->positions[i];

        if (other->there != first->there || other->size != first->size ||
            memcmp(other->bytes, first->bytes, first->size) != 0) {
            return false;
        }
    }
    return true;
}

nw_status nw_kafka_ledger_deal(struct nw_kafka_sink *sink, uint32_t workers, struct nw_error *err)
{
    struct nw_kafka_state *state = &sink->state;
    const struct nw_kafka_position *first = &state->positions[0];
    struct nw_position position = {.bytes = first->bytes, .size = first->size, .lsn = first->lsn};
    uint32_t former = state->workers;
    nw_status status = nw_kafka_begin(&sink->producers[0], err);

    state->workers = workers;
    if (status == NW_OK) {
        status = owner_send(sink, sink->owned, workers, err);
    }
    for (uint32_t i = 0; status == NW_OK && i < workers && first->there; i++) {
        state->positions[i] = *first;
        status = nw_kafka_ledger_position(&sink->producers[0], i, &position, false, err);
    }
    for (uint32_t i = workers; status == NW_OK && i < former; i++) {
        char key[KEY_SIZE];

        position_key_print(key, i);
        state->positions[i].there = false;
        status = nw_kafka_ledger_send(&sink->producers[0], key, NULL, err);
    }
    return status == NW_OK ? records_commit(sink, status, err) : status;
}
