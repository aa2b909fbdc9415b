/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Kafka sink reads of its brokers: records of the ledger, and signals. Pieces that end
 * with NUL, two for each message: its key and its value; an empty one is none. Each is taken as
 * both.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "kafka/kafka.h"

/* What is read is written as it was. */
static void restore(struct nw_kafka_sink *sink, const struct nw_kafka_state *state)
{
    struct nw_out out = {0};
    struct nw_error err = {0};
    uint32_t signal = 0;

    sink->state = *state;
    NW_ASSERT(nw_kafka_asked_restore(sink, &err) == NW_OK);
    do {
        signal = nw_kafka_asked_changed(sink, signal, &out);
    } while (signal != 0);
    nw_out_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t asked;

static void host_log(const struct nw_host *host, enum nw_log_level level, const char *format, ...)
{
    char text[4096];
    va_list words;
    int size = 0;

    (void)host;
    (void)level;
    va_start(words, format);
    size = vsnprintf(text, sizeof text, format, words); /* reads each of them to its end */
    asked += size > 0 ? (uint64_t)size : 0;
    va_end(words);
}

static void host_random(const struct nw_host *host, void *bytes, size_t size)
{
    (void)host;
    memset(bytes, 0x5a, size);
}

static nw_status host_ask(const struct nw_host *host, const char *command, struct nw_error *err)
{
    (void)host;
    (void)err;
    asked += strlen(command);
    return NW_OK;
}

static nw_status host_ask_all(const struct nw_host *host, struct nw_request *request,
                              struct nw_error *err)
{
    (void)host;
    (void)err;
    asked += request->commands_count + strlen(request->key) + strlen(request->note);
    return NW_OK;
}

static nw_status host_copies(const struct nw_host *host, const char *command, char *names,
                             size_t size, size_t *used)
{
    (void)host;
    (void)command;
    (void)names;
    (void)size;
    *used = 0;
    return NW_AGAIN;
}

/* The next piece, in memory of its own size; NULL: it is empty. */
static void *piece(const uint8_t **data, size_t *left, size_t *size)
{
    const uint8_t *end = *left == 0 ? NULL : memchr(*data, '\0', *left);
    size_t passed = end == NULL ? *left : (size_t)(end - *data) + 1;
    void *made = NULL;

    *size = end == NULL ? *left : (size_t)(end - *data);
    made = *size == 0 ? NULL : malloc(*size);
    if (made != NULL) {
        memcpy(made, *data, *size);
    }
    *data += passed;
    *left -= passed;
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nw_host host = {.size = sizeof host,
                                        .log = host_log,
                                        .ask = host_ask,
                                        .copies = host_copies,
                                        .ask_all = host_ask_all,
                                        .random = host_random};
    static struct nw_kafka_sink sink;
    static rd_kafka_conf_t *conf; /* for good */
    struct nw_table items = {.relation_oid = 7, .schema_name = "shop", .name = "items"};
    struct nw_kafka_state state = {0};

    memset(&sink, 0, sizeof sink);
    sink.host = &host;
    sink.options.prefix = "p";
    conf = conf == NULL ? rd_kafka_conf_new() : conf;
    sink.options.conf = conf;
    (void)snprintf(sink.options.ledger_topic, sizeof sink.options.ledger_topic, "_narwal.p.kafka");
    (void)pthread_mutex_init(&sink.lock, NULL);
    while (size > 0) {
        rd_kafka_message_t message = {0};
        struct nw_kafka_asking asking;
        struct nw_error err = {0};

        message.key = piece(&data, &size, &message.key_len);
        message.payload = piece(&data, &size, &message.len);
        if (nw_kafka_ledger_take(&sink, &state, &message, &err) != NW_OK) {
            NW_ASSERT(strncmp(err.text, "NW2706", 6) == 0);
        }
        NW_ASSERT(nw_kafka_signal_message(&sink, &message, 0, &err) == NW_OK);
        nw_kafka_asked_of(&sink, &items, NW_KAFKA_COPY_BEGINS, 0, &asking);
        nw_kafka_asked_ended(&sink, &asking, items.relation_oid);
        nw_kafka_asking_fini(&asking);
        free(message.key);
        free(message.payload);
    }
    NW_ASSERT(state.workers <= NW_KAFKA_WORKERS_MAX);
    restore(&sink, &state);
    nw_kafka_state_forget(&sink.state);
    nw_kafka_asked_fini(&sink);
    (void)pthread_mutex_destroy(&sink.lock);
    return 0;
}
