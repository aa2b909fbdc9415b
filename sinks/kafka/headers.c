/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of messages.
 *
 * librdkafka wants a list of its own for each message, which is an allocation for the list, one for
 * its items, and one for each header: more than the rest of a message costs. Most messages have the
 * same headers, so those of a message that was delivered are taken out of it and serve again.
 *
 * On the thread that owns the producer, as its delivery reports are.
 */
#include <stdlib.h>

#include "kafka/kafka.h"

void nw_kafka_spares_begin(struct nw_kafka_producer *producer)
{
    for (size_t i = 0; i < NW_KAFKA_HEADS_COUNT; i++) {
        producer->spares[i] = (struct nw_kafka_spares){.producer = producer};
        if (i != NW_KAFKA_HEADS_OWN) { /* without memory none are kept */
            producer->spares[i].items = calloc(NW_KAFKA_SPARES_MAX, sizeof(rd_kafka_headers_t *));
        }
    }
}

void nw_kafka_spares_end(struct nw_kafka_producer *producer)
{
    for (size_t i = 0; i < NW_KAFKA_HEADS_COUNT; i++) {
        struct nw_kafka_spares *spares = &producer->spares[i];

        while (spares->count > 0) {
            rd_kafka_headers_destroy(spares->items[--spares->count]);
        }
        free(spares->items);
        spares->items = NULL;
    }
}

static bool is_of_row(const struct nw_kafka_producer *producer,
                      const struct nw_kafka_message *message)
{
    return message->row && producer->sink->options.row_headers != NULL;
}

/* What each message of its kind has; NULL: nothing. */
static const rd_kafka_headers_t *common_of(const struct nw_kafka_producer *producer,
                                           const struct nw_kafka_message *message)
{
    return is_of_row(producer, message) ? producer->sink->options.row_headers
                                        : producer->sink->options.headers;
}

bool nw_kafka_has_headers(const struct nw_kafka_producer *producer,
                          const struct nw_kafka_message *message)
{
    return message->header != NULL || message->headers_count > 0 ||
           common_of(producer, message) != NULL;
}

static rd_kafka_headers_t *common_copy(const struct nw_kafka_producer *producer,
                                       const struct nw_kafka_message *message)
{
    const rd_kafka_headers_t *common = common_of(producer, message);

    return common == NULL ? rd_kafka_headers_new(1) : rd_kafka_headers_copy(common);
}

rd_kafka_headers_t *nw_kafka_headers_make(struct nw_kafka_producer *producer,
                                          const struct nw_kafka_message *message,
                                          struct nw_kafka_spares **spares)
{
    rd_kafka_headers_t *headers = NULL;

    if (message->header == NULL && message->headers_count == 0) {
        *spares = &producer->spares[is_of_row(producer, message) ? NW_KAFKA_HEADS_OF_ROW
                                                                 : NW_KAFKA_HEADS_OF_ALL];
        return (*spares)->count > 0 ? (*spares)->items[--(*spares)->count]
                                    : common_copy(producer, message);
    }
    *spares = nw_kafka_spares_none(producer);
    headers = common_copy(producer, message);
    if (message->header != NULL) {
        (void)rd_kafka_header_add(headers, message->header, -1, message->header_value->bytes,
                                  (ssize_t)message->header_value->used);
    }
    for (uint32_t i = 0; i < message->headers_count; i++) {
        const struct nw_kafka_header *header = &message->headers[i];

        (void)rd_kafka_header_add(headers, header->name, -1, header->bytes, (ssize_t)header->size);
    }
    return headers;
}

void nw_kafka_headers_keep(struct nw_kafka_spares *spares, rd_kafka_headers_t *headers)
{
    if (spares->items != NULL && spares->count < NW_KAFKA_SPARES_MAX) {
        spares->items[spares->count++] = headers;
    } else {
        rd_kafka_headers_destroy(headers);
    }
}

void nw_kafka_headers_take(struct nw_kafka_spares *spares, const rd_kafka_message_t *message)
{
    /* The report's message is not constant: librdkafka frees it when the report has ended. */
    rd_kafka_message_t *ended = (rd_kafka_message_t *)(uintptr_t)message;
    rd_kafka_headers_t *headers = NULL;

    if (spares->items != NULL && spares->count < NW_KAFKA_SPARES_MAX &&
        rd_kafka_message_detach_headers(ended, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        nw_kafka_headers_keep(spares, headers);
    }
}
