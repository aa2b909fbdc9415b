/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as Java's SimpleDateFormat prints and reads them, in UTC and in English: what Connect's
 * TimestampConverter takes as its format.
 *
 *   yyyy-MM-dd'T'HH:mm:ss.SSS'Z'    2024-06-01T12:34:56.100Z
 *
 * Before 1582-10-15 the calendar is the Julian one, as Java has it. Immutable once read.
 */
#ifndef NW_SINKS_LIB_FORMAT_JAVA_TIME_H
#define NW_SINKS_LIB_FORMAT_JAVA_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/out.h"

#define NW_JAVA_TIME_PARTS_MAX 48u
#define NW_JAVA_TIME_TEXT_SIZE 128u

/** A letter that is repeated, or text. */
struct nw_java_part {
    char letter;   /* '\0': text */
    uint8_t count; /* of the letter; of bytes of the text */
    uint8_t at;    /* of the text, in nw_java_time.text */
};

struct nw_java_time {
    struct nw_java_part parts[NW_JAVA_TIME_PARTS_MAX];
    uint32_t count;
    char text[NW_JAVA_TIME_TEXT_SIZE];
};

/**
 * Read a pattern.
 * @param why  filled where it is none, or has a letter that is not known: w, W, F, Y
 */
bool nw_java_time_read(struct nw_java_time *format, const char *pattern, const char **why);
/** Whether times can be read by it, and not only printed: not where a year has two digits. */
bool nw_java_time_reads(const struct nw_java_time *format);
/** Append a time. @param ms  since 1970 */
void nw_java_time_print(const struct nw_java_time *format, int64_t ms, struct nw_out *out);
/**
 * Read a time as Java does, which is lenient: what is behind the last part does not matter, the
 * 61st minute is the next hour's first, and SSSSSS are that many milliseconds.
 * @return false: it is none
 */
bool nw_java_time_parse(const struct nw_java_time *format, const void *bytes, size_t size,
                        int64_t *ms);

#endif
