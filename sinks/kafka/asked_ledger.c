/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals in the ledger: whose copies go on, so that what ends behind a stop or a fault is said of
 * them. Written with the commit that has what was said.
 *
 *   key "signal/3"  {"narwal":1,"id":"ad-hoc-1","type":"i","started":true,"first":16412,
 *                    "tables":["+16412 shop.a"," 16413 shop.b"]}
 *
 * Its number is the process's own. type: "b" blocking. started: STARTED was said. first: the table
 * that has its first row. tables: those whose copy is not whole; + that it was begun for the
 * signal.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/json.h"

#define TEXT_MAX    ((size_t)16 << 10) /* else it is not recorded: so much any topic takes */
#define SIGNAL_MAX  (UINT32_C(1) << 30)
#define KEY_SIZE    32u
#define HASH_BEGINS UINT64_C(0xcbf29ce484222325) /* FNV-1a */

/* ---- the ledger's state ---- */

nw_status nw_kafka_ledger_signal_take(struct nw_kafka_state *state, uint32_t signal,
                                      const void *bytes, size_t size, struct nw_error *err)
{
    struct nw_kafka_signal_record *more = NULL;
    char *text = NULL;

    for (uint32_t i = 0; i < state->signals_count; i++) {
        if (state->signals[i].signal == signal) {
            free(state->signals[i].text);
            state->signals[i] = state->signals[--state->signals_count];
            break;
        }
    }
    if (bytes == NULL || signal == 0 || signal > SIGNAL_MAX) {
        return NW_OK;
    }
    text = malloc(size + 1);
    more = realloc(state->signals, ((size_t)state->signals_count + 1) * sizeof *more);
    state->signals = more == NULL ? state->signals : more;
    if (text == NULL || more == NULL) {
        free(text);
        return nw_fail(err, NW_RETRY, "out of memory for signals");
    }
    memcpy(text, bytes, size);
    text[size] = '\0';
    more[state->signals_count++] = (struct nw_kafka_signal_record){.signal = signal, .text = text};
    return NW_OK;
}

void nw_kafka_ledger_signals_forget(struct nw_kafka_state *state)
{
    for (uint32_t i = 0; i < state->signals_count; i++) {
        free(state->signals[i].text);
    }
    free(state->signals);
    state->signals = NULL;
    state->signals_count = 0;
}

/* ---- reading ---- */

static uint64_t text_hash(const void *bytes, size_t size)
{
    uint64_t hash = HASH_BEGINS;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    }
    return hash == 0 ? 1 : hash;
}

/* "+16412 shop.a". @return false: it is no such thing, or memory ran out */
static bool table_read(const char *text, struct nw_kafka_asked_table *table)
{
    char *end = NULL;

    if (text == NULL || (text[0] != '+' && text[0] != ' ')) {
        return false;
    }
    *table = (struct nw_kafka_asked_table){.state = NW_ASKED_WAITS, .begun = text[0] == '+'};
    table->relation_oid = (uint32_t)strtoul(text + 1, &end, 10);
    table->name = *end == ' ' ? strdup(end + 1) : NULL;
    return table->name != NULL;
}

/* A record that cannot be read is left out: then nothing more is said of the signal. */
static bool entry_read(const struct nw_kafka_signal_record *record, struct nw_kafka_asked *asked)
{
    json_t *object = json_loads(record->text, 0, NULL);
    const json_t *tables = json_object_get(object, "tables");
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *type = json_string_value(json_object_get(object, "type"));
    size_t count = json_array_size(tables);

    *asked = (struct nw_kafka_asked){.signal = record->signal, .resolved = true};
    asked->tables = count == 0 ? NULL : calloc(count, sizeof *asked->tables);
    for (size_t i = 0; asked->tables != NULL && i < count; i++) {
        asked->tables_count += table_read(json_string_value(json_array_get(tables, i)),
                                          &asked->tables[asked->tables_count]);
    }
    nw_kafka_asked_id(asked->id, sizeof asked->id, id == NULL ? "" : id);
    asked->blocking = type != NULL && type[0] == NW_KAFKA_ASKED_BLOCKING;
    asked->said =
        json_is_true(json_object_get(object, "started")) ? NW_ASKED_IS_SAID : NW_ASKED_WAITS;
    asked->first_oid = (uint32_t)json_integer_value(json_object_get(object, "first"));
    asked->recorded = asked->recording = text_hash(record->text, strlen(record->text));
    json_decref(object);
    if (asked->tables_count == 0) {
        nw_kafka_asked_entry_fini(asked);
        return false;
    }
    return true;
}

/* Those that the ledger has, or had, are as it says. Locked. */
static void recorded_remove(struct nw_kafka_sink *sink)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked *asked = &sink->asked[i];
        bool gone = asked->recorded != 0 && !asked->stops;

        for (uint32_t k = 0; k < sink->state.signals_count && !gone; k++) {
            gone = sink->state.signals[k].signal == asked->signal && !asked->stops;
        }
        if (gone) {
            nw_kafka_asked_entry_fini(asked);
        } else {
            asked->recording = asked->recorded;
            sink->asked[kept++] = *asked;
        }
    }
    sink->asked_count = kept;
}

/* Before those that came later. There is room. Locked. */
static void entry_insert(struct nw_kafka_sink *sink, const struct nw_kafka_asked *asked)
{
    uint32_t at = sink->asked_count++;

    for (; at > 0 && sink->asked[at - 1].signal > asked->signal; at--) {
        sink->asked[at] = sink->asked[at - 1];
    }
    sink->asked[at] = *asked;
}

nw_status nw_kafka_asked_restore(struct nw_kafka_sink *sink, struct nw_error *err)
{
    const struct nw_kafka_state *state = &sink->state;
    nw_status status = NW_OK;

    nw_kafka_asked_settle(sink, false);
    (void)pthread_mutex_lock(&sink->lock);
    recorded_remove(sink);
    if (!nw_kafka_asked_grow(sink, state->signals_count)) {
        status = nw_kafka_no_memory(err);
    }
    for (uint32_t i = 0; i < state->signals_count && status == NW_OK; i++) {
        struct nw_kafka_asked asked;

        if (entry_read(&state->signals[i], &asked)) {
            entry_insert(sink, &asked);
        } else {
            sink->host->log(sink->host, NW_LOG_WARN,
                            "NW2734 the ledger's record of signal %" PRIu32 " cannot be read: its "
                            "copies go on as copies by themselves",
                            state->signals[i].signal);
        }
        if (state->signals[i].signal > sink->signals_count) {
            sink->signals_count = state->signals[i].signal;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return status;
}

/* ---- writing ---- */

/* What an entry's tables still wait for. @return how many they are */
static uint32_t tables_print(const struct nw_kafka_asked *asked, bool first, struct nw_out *out)
{
    uint32_t count = 0;
    char text[NW_KAFKA_NAME_SIZE + 16];

    for (uint32_t i = 0; i < asked->tables_count; i++) {
        const struct nw_kafka_asked_table *table = &asked->tables[i];

        if (table->state == NW_ASKED_WAITS) {
            (void)snprintf(text, sizeof text, "%c%" PRIu32 " %s", table->begun ? '+' : ' ',
                           table->relation_oid, table->name);
            nw_out_text(out, first && count == 0 ? "" : ",");
            nw_json_name(out, text);
            count++;
        }
    }
    return count;
}

/* All that is still to be said of a signal. Locked. @return whether it is worth a record */
static bool signal_print(const struct nw_kafka_sink *sink, const struct nw_kafka_asked *of,
                         struct nw_out *out)
{
    bool started = false;
    bool known = true;
    uint32_t first_oid = 0;
    uint32_t count = 0;

    out->used = 0;
    nw_out_text(out, "{\"narwal\":1,\"id\":");
    nw_json_name(out, of->id);
    nw_out_text(out,
                of->blocking ? ",\"type\":\"b\",\"tables\":[" : ",\"type\":\"i\",\"tables\":[");
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];

        if (asked->signal == of->signal) {
            count += tables_print(asked, count == 0, out);
            started = started || asked->said != NW_ASKED_WAITS;
            known = known && asked->resolved;
            first_oid = asked->first_oid != 0 ? asked->first_oid : first_oid;
        }
    }
    nw_out_text(out, started ? "],\"started\":true,\"first\":" : "],\"started\":false,\"first\":");
    nw_out_u64(out, first_oid);
    nw_out_text(out, "}");
    return known && count > 0 && !out->failed;
}

/* What a record of a signal may have. It is of use, but no commit may wait for it: so a larger one
 * is left out. */
static size_t bytes_max(const struct nw_kafka_sink *sink)
{
    size_t beside = NW_KAFKA_BATCH_OVERHEAD + KEY_SIZE;
    size_t largest = nw_kafka_message_bytes_max(&sink->options);

    largest = largest > beside ? largest - beside : 0;
    return largest < TEXT_MAX ? largest : TEXT_MAX;
}

/* Locked. */
static void unrecorded_say(struct nw_kafka_sink *sink, const struct nw_kafka_asked *of,
                           size_t bytes)
{
    if (of->unrecorded) {
        return;
    }
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        if (sink->asked[i].signal == of->signal) {
            sink->asked[i].unrecorded = true;
        }
    }
    sink->host->log(sink->host, NW_LOG_WARN,
                    "NW2734 which copies signal %s asked for is not in the ledger: that takes %zu "
                    "bytes, more than its messages may have. Those that are not whole when narwal "
                    "is stopped go on as copies by themselves",
                    of->id, bytes);
}

/* Locked. */
static void recording_set(struct nw_kafka_sink *sink, uint32_t signal, uint64_t hash)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        if (sink->asked[i].signal == signal) {
            sink->asked[i].recording = hash;
        }
    }
}

/* Locked. @param largest  bytes of a record */
static uint32_t signal_next(struct nw_kafka_sink *sink, uint32_t after, size_t largest,
                            struct nw_out *out)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];
        uint64_t hash = 0;
        uint32_t signal = asked->signal;
        bool worth = false;

        if (asked->stops || signal <= after || (i > 0 && sink->asked[i - 1].signal == signal)) {
            continue;
        }
        worth = signal_print(sink, asked, out);
        if (worth && out->used > largest) {
            unrecorded_say(sink, asked, out->used);
            worth = false;
        }
        if (worth) {
            hash = text_hash(out->bytes, out->used);
        } else {
            out->used = 0;
            out->failed = false;
        }
        if (hash != asked->recording) {
            recording_set(sink, signal, hash);
            return signal;
        }
    }
    return 0;
}

uint32_t nw_kafka_asked_changed(struct nw_kafka_sink *sink, uint32_t after, struct nw_out *out)
{
    uint32_t signal = 0;
    size_t largest = bytes_max(sink);

    (void)pthread_mutex_lock(&sink->lock);
    signal = signal_next(sink, after, largest, out);
    (void)pthread_mutex_unlock(&sink->lock);
    return signal;
}

nw_status nw_kafka_asked_record(struct nw_kafka_sink *sink, struct nw_kafka_producer *producer,
                                struct nw_error *err)
{
    uint32_t signal = 0;
    bool more = true;
    nw_status status = NW_OK;

    while (status == NW_OK && more) {
        char key[KEY_SIZE];

        signal = nw_kafka_asked_changed(sink, signal, &producer->record);
        more = signal != 0;
        if (more) {
            (void)snprintf(key, sizeof key, "signal/%" PRIu32, signal);
            status = nw_kafka_begin(producer, err);
            if (status == NW_OK) {
                status = nw_kafka_ledger_send(
                    producer, key, producer->record.used == 0 ? NULL : &producer->record, err);
            }
        }
    }
    return status;
}
