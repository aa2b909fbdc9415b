/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that speak to Kafka are carried out by a second program, narwal-kafka (tools/kafka), so
 * that narwal itself needs no librdkafka. Both read the same arguments with what is here: narwal to
 * say what is wrong and to document them, narwal-kafka to do it.
 */
#ifndef NW_CLI_KAFKA_H
#define NW_CLI_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NW_KAFKA_PROPERTIES_MAX 64u
#define NW_DIFF_PATTERNS_MAX    64u
#define NW_KAFKA_PATH_SIZE      4200u

/** What `narwal diff-topics` was asked for; texts are borrowed from the arguments. */
struct nw_diff_topics {
    const char *words[2];   /* A and B: PREFIX, FILE.yaml or FILE.yaml:SINK */
    const char *brokers[2]; /* of a prefix; NULL: as the other */
    const char *properties[NW_KAFKA_PROPERTIES_MAX]; /* NAME=VALUE */
    uint32_t properties_count;
    const char *registry[2]; /* URL of a schema registry; NULL: as the other, or none */
    const char *registry_username, *registry_ca, *registry_cert, *registry_key; /* NULL */
    const char *masks[NW_DIFF_PATTERNS_MAX + 1]; /* NULL-terminated, as nw_patterns_match() */
    uint32_t masks_count;
    const char *only[NW_DIFF_PATTERNS_MAX + 1];
    uint32_t only_count;
    bool strict;
    bool as_json;
    int64_t since_us; /* before now; 0: everything */
    int64_t follow_us;
    int64_t shown; /* differences of a table */
    int64_t memory_bytes;
};

/** @return NW_GO_ON, or the exit code after printing what is wrong or the help. */
int nw_diff_topics_read(int argc, char **argv, struct nw_diff_topics *request);

/** What `narwal import-debezium` was asked for; texts are borrowed from the arguments. */
struct nw_import_debezium {
    const char *from;    /* FILE, -, or the URL of a connector at Connect */
    const char *output;  /* NULL: by the connector's name */
    const char *brokers; /* NULL: as the connector has them */
    bool force;
    bool shadow; /* beside the connector */
};

/** @return NW_GO_ON, or the exit code after printing what is wrong or the help. */
int nw_import_debezium_read(int argc, char **argv, struct nw_import_debezium *request);
/** Import a connector's JSON. @return the exit code */
int nw_import_debezium(const struct nw_import_debezium *request, const char *text, size_t size);

/** Where narwal-kafka is: beside the plugins. */
void nw_kafka_path(char path[static NW_KAFKA_PATH_SIZE]);
/**
 * Become narwal-kafka beside the plugins.
 * @param argv  of a command, its name first and the program's before
 * @return only when that is not possible: the exit code
 */
int nw_kafka_become(char **argv);

#endif
