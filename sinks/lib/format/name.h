/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as Kafka takes them, of topics and of what is called after them. Functions without state.
 */
#ifndef NW_SINKS_LIB_FORMAT_NAME_H
#define NW_SINKS_LIB_FORMAT_NAME_H

#include <stdbool.h>

#include <narwal/sink.h>

#define NW_NAME_BYTES_MAX 249u
#define NW_NAME_SIZE      (NW_NAME_BYTES_MAX + 1)

/** What the names of a table's schemas begin with, whatever its topic is. */
#define NW_NAME_OF_SCHEMAS "{prefix}.{schema}.{table}"

/**
 * Fill in a template: {prefix}, {schema} and {table} are replaced, and what is not one of
 * A-Z a-z 0-9 . _ - becomes _.
 *
 * @return false: the name is empty or longer than NW_NAME_BYTES_MAX
 */
bool nw_name_fill(const char *template_, const char *prefix, const struct nw_table *table,
                  char text[static NW_NAME_SIZE]);

#endif
