/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker refuses as too large.
 *
 * A broker compares a whole batch, compressed, with the topic's max.message.bytes, so it does not
 * say which message is too large, or whether any is. Each refusal ends in recover(), and then:
 *
 *   the largest of the batch is small beside it   batches become smaller, for all topics
 *   else                                          messages of about that size go to that topic one
 *                                                 by one, each waited for: the next that is refused
 *                                                 is too large itself, and its row is refused
 *
 * Workers share what was learned, under the sink's lock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define SHRINK 4u /* times smaller, each time */

size_t nw_kafka_message_bytes_max(const struct nw_kafka_options *options)
{
    char text[32] = "";
    size_t size = sizeof text;

    return rd_kafka_conf_get(options->conf, "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK
               ? strtoull(text, NULL, 10)
               : 0;
}

size_t nw_kafka_alone_from(struct nw_kafka_sink *sink, const char *topic)
{
    size_t bytes = SIZE_MAX;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->sizes.strict_count; i++) {
        if (strcmp(sink->sizes.strict[i].topic, topic) == 0) {
            bytes = sink->sizes.strict[i].alone_from;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return bytes;
}

nw_status nw_kafka_send_sized(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                              const struct nw_kafka_message *message, size_t alone_from,
                              struct nw_error *err)
{
    size_t size = (message->key == NULL ? 0 : message->key->used) +
                  (message->value == NULL ? 0 : message->value->used);

    return size < alone_from ? nw_kafka_send(producer, topic, message, err)
                             : nw_kafka_send_alone(producer, topic, message, err);
}

static struct nw_kafka_strict *strict_of(struct nw_kafka_sizes *sizes, const char *topic)
{
    struct nw_kafka_strict *more = NULL;

    for (uint32_t i = 0; i < sizes->strict_count; i++) {
        if (strcmp(sizes->strict[i].topic, topic) == 0) {
            return &sizes->strict[i];
        }
    }
    more = realloc(sizes->strict, (sizes->strict_count + 1) * sizeof *more);
    if (more == NULL) {
        return NULL; /* learned again the next time */
    }
    sizes->strict = more;
    more = &sizes->strict[sizes->strict_count++];
    *more = (struct nw_kafka_strict){.alone_from = SIZE_MAX};
    (void)snprintf(more->topic, sizeof more->topic, "%s", topic);
    return more;
}

void nw_kafka_refused_learn(struct nw_kafka_producer *producer)
{
    struct nw_kafka_sizes *sizes = &producer->sink->sizes;
    size_t largest = producer->refused_bytes;

    (void)pthread_mutex_lock(&producer->sink->lock);
    if (largest < sizes->batch_bytes / 2) {
        size_t smaller = sizes->batch_bytes / SHRINK;

        sizes->batch_bytes = smaller > largest ? smaller : largest;
    } else {
        struct nw_kafka_strict *strict = strict_of(sizes, producer->refused_topic);
        size_t from = largest < sizes->batch_bytes ? largest : sizes->batch_bytes;

        if (strict != NULL && from / 2 < strict->alone_from) {
            strict->alone_from = from / 2;
        }
    }
    (void)pthread_mutex_unlock(&producer->sink->lock);
}
