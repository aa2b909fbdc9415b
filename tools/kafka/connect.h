/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal import-debezium` of a connector that runs. One thread. */
#ifndef NW_KAFKA_CONNECT_H
#define NW_KAFKA_CONNECT_H

#include "cli/kafka.h"

/** Ask Connect for it, and import what it answers. @return the exit code */
int nw_connect_import(const struct nw_import_debezium *request);

/**
 * One request to Connect, for narwal's own commands: prints what it answers.
 * @param words  METHOD [BODY]; the URL is in NW_CONNECT_VARIABLE
 * @return the exit code: 3 when Connect answers that it does not do it, 4 with another error
 */
int nw_connect_request(int count, char **words);

/**
 * Print the offsets that a connector has in Connect's topic, as Connect would answer.
 * @param file  a configuration with one Kafka sink
 * @return the exit code
 */
int nw_offsets_print(const char *file, const char *topic, const char *connector);

#endif
