/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of Java's over names, as people write them for Debezium. One becomes an
 * extended one of POSIX's that means the same of a whole name; what POSIX has not, or means
 * otherwise, is refused rather than guessed. Constant functions.
 */
#ifndef NW_SINKS_LIB_PATTERN_H
#define NW_SINKS_LIB_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/** @return false: it has none that we know of, or not within size bytes. */
bool nw_pattern_translate(const char *java, char *posix, size_t size);
/**
 * Whether a POSIX one can be compiled at a fair price: libc writes out what {n,m} and + repeat, so
 * a short one may need gigabytes. Refused is a count above 255, one above 8 on what repeats inside,
 * a count on what has one already, and what has more than two thousand parts when written out. It
 * need not be well-formed.
 */
bool nw_pattern_is_small(const char *posix);
/** Whether a POSIX one matches all of a name; false for one that is none. */
bool nw_pattern_matches(const char *posix, const char *name);

#endif
