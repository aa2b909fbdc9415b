/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sink says of itself in metrics. Nothing is counted for it: the queue's length is asked
 * of librdkafka now and then, and what was acknowledged is read when a commit has ended and no
 * worker runs. On the coordinator's thread, but for nw_kafka_figures_waits().
 */
#include <stddef.h>

#include "kafka/kafka.h"

static const struct {
    const char *name, *text;
    enum nw_figure_kind kind;
} FIGURES[NW_KAFKA_FIGURES_COUNT] = {
    [NW_KAFKA_FIGURE_QUEUE] = {"queue_messages",
                               "Messages that are to be sent, or not acknowledged yet.",
                               NW_FIGURE_GAUGE},
    [NW_KAFKA_FIGURE_ACKNOWLEDGED] = {"acknowledged_messages_total",
                                      "Messages that brokers acknowledged, as of the last commit.",
                                      NW_FIGURE_COUNTER},
    [NW_KAFKA_FIGURE_COMMIT] = {"commit_seconds",
                                "How long brokers took for the last commit of positions.",
                                NW_FIGURE_GAUGE},
    [NW_KAFKA_FIGURE_BEGUN] = {"producers_begun_total",
                               "How often producers began anew: once at a start, else upon faults.",
                               NW_FIGURE_COUNTER},
    [NW_KAFKA_FIGURE_WAITS] =
        {"registry_waits", "Workers that wait as the registry refuses a schema without a table.",
         NW_FIGURE_GAUGE},
};

static bool host_has(const struct nw_host *host)
{
    return host->size > offsetof(struct nw_host, figure_set);
}

void nw_kafka_figures_begin(struct nw_kafka_sink *sink)
{
    for (int i = 0; i < NW_KAFKA_FIGURES_COUNT && host_has(sink->host); i++) {
        sink->figures.numbers[i] =
            sink->host->figure_add(sink->host, FIGURES[i].name, FIGURES[i].text, FIGURES[i].kind);
    }
}

static void set(const struct nw_kafka_sink *sink, enum nw_kafka_figure figure, double value)
{
    if (host_has(sink->host)) {
        sink->host->figure_set(sink->host, sink->figures.numbers[figure], value);
    }
}

void nw_kafka_figures_recovered(struct nw_kafka_sink *sink)
{
    for (uint32_t i = 0; i < NW_KAFKA_WORKERS_MAX + 1; i++) {
        sink->figures.seen[i] = 0; /* new producers count from there */
    }
    set(sink, NW_KAFKA_FIGURE_BEGUN, (double)++sink->figures.begun);
}

void nw_kafka_figures_committed(struct nw_kafka_sink *sink, int64_t began_ns)
{
    for (uint32_t i = 0; i < NW_KAFKA_WORKERS_MAX + 1; i++) {
        sink->figures.acknowledged += sink->producers[i].delivered - sink->figures.seen[i];
        sink->figures.seen[i] = sink->producers[i].delivered;
    }
    set(sink, NW_KAFKA_FIGURE_ACKNOWLEDGED, (double)sink->figures.acknowledged);
    set(sink, NW_KAFKA_FIGURE_COMMIT, (double)(sink->host->now_ns(sink->host) - began_ns) / 1e9);
}

void nw_kafka_figures_waits(const struct nw_kafka_sink *sink)
{
    set(sink, NW_KAFKA_FIGURE_WAITS, (double)sink->waits);
}

void nw_kafka_figures_tick(struct nw_kafka_sink *sink)
{
    int64_t queued = 0;

    for (uint32_t i = 0; i < NW_KAFKA_WORKERS_MAX + 1; i++) {
        queued +=
            sink->producers[i].client == NULL ? 0 : rd_kafka_outq_len(sink->producers[i].client);
    }
    set(sink, NW_KAFKA_FIGURE_QUEUE, (double)queued);
    (void)pthread_mutex_lock(&sink->lock);
    nw_kafka_figures_waits(sink);
    (void)pthread_mutex_unlock(&sink->lock);
}
