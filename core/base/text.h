/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with units, as people write and read them, and near misses of names. Pure functions. */
#ifndef NW_BASE_TEXT_H
#define NW_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NW_NUMBER_TEXT_SIZE 32u

/** "64MiB", "2GB", "512KiB", "100B": bytes. A bare number is refused. */
bool nw_size_parse(const char *text, int64_t *bytes);
/** "250ms", "1s", "5min", "2h", "7d", "10us": microseconds. A bare number is refused. */
bool nw_duration_parse(const char *text, int64_t *us);
/** "200MB/s": bytes per second. */
bool nw_rate_parse(const char *text, int64_t *bytes_per_second);
/** A whole decimal number, with a sign, and nothing else. */
bool nw_integer_parse(const char *text, int64_t *number);
/** true | false, and what YAML 1.1 readers take for them: yes, no, on, off. */
bool nw_bool_parse(const char *text, bool *flag);

/** A number exactly and as short as its parser above takes it: "64MiB", "10min", "200MB/s". */
const char *nw_size_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t bytes);
const char *nw_duration_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t us);
const char *nw_rate_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t bytes_per_second);

/** "1.7 GB"; @return text, so that it can be an argument of printf. */
const char *nw_size_text(char text[static NW_NUMBER_TEXT_SIZE], double bytes);
/** "59 min", "1.2 s", "3 h 20 min" */
const char *nw_duration_text(char text[static NW_NUMBER_TEXT_SIZE], double seconds);
/** "12.4 k", "1.20 M", "980" */
const char *nw_count_text(char text[static NW_NUMBER_TEXT_SIZE], double count);

/**
 * Whether some pattern of a NULL-terminated list (NULL: empty) is the whole of a name: * is any
 * text, ? one byte, [ab] one of these bytes, so that [*], [?] and [[] are the characters
 * themselves. A backslash is a backslash.
 */
bool nw_patterns_match(const char *const *patterns, const char *name);

/** How many letters must be inserted, removed, replaced or swapped to make one text the other. */
size_t nw_text_distance(const char *a, const char *b);

#endif
