/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of a table a signal asks for. Any thread. */
#ifndef NW_KAFKA_CONDITIONS_H
#define NW_KAFKA_CONDITIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define NW_KAFKA_PATTERN_SIZE 240
#define NW_KAFKA_WHERE        " WHERE " /* behind what narwal is asked to copy */

/** A regular expression of Java's, or a quoted name, as one of POSIX's. @return false: it is none,
 * or too long */
bool nw_kafka_pattern_read(const char *text, char *posix, size_t size);
/** What is wrong with a signal's conditions; NULL: nothing, or there are none. */
const char *nw_kafka_conditions_fault(const json_t *data, bool blocking);
/**
 * The condition for what one of its data-collections stands for; the first counts.
 * @param name  as nw_kafka_pattern_read() has it. @return borrow; "": none
 */
const char *nw_kafka_filter_of(const json_t *data, const char *name);

#endif
