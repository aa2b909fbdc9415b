/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the two sets of topics that are compared: where it is, and reading from it. Owned by one
 * thread; librdkafka's own only log.
 */
#ifndef NW_TOOLS_KAFKA_SIDE_H
#define NW_TOOLS_KAFKA_SIDE_H

#include <librdkafka/rdkafka.h>
#include <narwal/status.h>

#include "cli/kafka.h"
#include "kafka/schemas.h"

#define NW_PARTITIONS_MAX 100000

struct nw_side {
    char name;                  /* 'A' or 'B' */
    char prefix[256];           /* without the dot behind it */
    size_t prefix_size;         /* bytes */
    char adjusted[2][2048];     /* the prefix in names of schemas: for Avro, and with escapes */
    char brokers[1024];         /* for people */
    rd_kafka_t *client;         /* a consumer */
    struct nw_schemas *schemas; /* borrow; NULL: there is no registry */
    struct nw_schemas own;      /* of this side; the other may use them, too */
};

/** A topic's partitions, and which of their messages are meant. */
struct nw_extent {
    int32_t partitions;
    int64_t *from;  /* for each partition; own */
    int64_t *until; /* behind the last */
};

/** Connect to both. On failure nothing is to be closed. */
NW_MUST_CHECK nw_status nw_sides_open(const struct nw_diff_topics *request, struct nw_side sides[2],
                                      struct nw_error *err);
void nw_sides_close(struct nw_side sides[2]);

/**
 * The names behind "PREFIX." of its topics, sorted.
 * @param names  give: to be freed with each name
 */
NW_MUST_CHECK nw_status nw_side_topics(const struct nw_side *side, char ***names, size_t *count,
                                       struct nw_error *err);

/** What a topic has now. @param name  behind the prefix */
NW_MUST_CHECK nw_status nw_side_extent(const struct nw_side *side, const char *name,
                                       struct nw_extent *extent, struct nw_error *err);
void nw_extent_fini(struct nw_extent *extent);

/** Gets each message; false ends the reading. */
typedef bool (*nw_message_visit)(void *context, const rd_kafka_message_t *message);
/** Give every message of an extent to visit(), those of a partition in their order. */
NW_MUST_CHECK nw_status nw_side_read(const struct nw_side *side, const char *name,
                                     const struct nw_extent *extent, nw_message_visit visit,
                                     void *context, struct nw_error *err);

/** Whether its value, or its key, begins as those of a registry's serialisers do. */
bool nw_side_is_avro(const rd_kafka_message_t *message);

#endif
