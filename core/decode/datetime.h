/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates, times and intervals: from PostgreSQL's ISO text, and into it. Integer arithmetic only, in
 * the proleptic Gregorian calendar, as PostgreSQL's. Format: src/backend/utils/adt/datetime.c,
 * EncodeDateOnly() and its kin. No state.
 *
 * Inside, dates are days since 1970-01-01.
 */
#ifndef NW_DECODE_DATETIME_H
#define NW_DECODE_DATETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/column.h"

#define NW_US_PER_SECOND INT64_C(1000000)
#define NW_US_PER_DAY    INT64_C(86400000000)
/** Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from. */
#define NW_DAYS_TO_2000 10957
/** What date can hold: 4714-11-24 BC to 5874897-12-31. */
#define NW_DATE_MIN (-2440588)
#define NW_DATE_MAX 2145042905
/** Last day of a timestamp: 294276-12-31. */
#define NW_TIMESTAMP_DATE_MAX 106762939
/** Timestamps that PostgreSQL has, in its microseconds since 2000-01-01: from MIN to before END. */
#define NW_TIMESTAMP_MIN INT64_C(-211813488000000000)
#define NW_TIMESTAMP_END INT64_C(9223371331200000000)
/** A timetz is off UTC by less than these seconds. */
#define NW_ZONE_END (16 * 3600)
/** Longest text that any print function here writes. */
#define NW_DATETIME_TEXT_SIZE 128

/** Each returns NW_DECODED, NW_DECODED_EXCEPTION (the text has no exact form) or _MALFORMED. */
enum nw_decoded nw_date_parse(const uint8_t *at, size_t size, int32_t *days);
enum nw_decoded nw_time_parse(const uint8_t *at, size_t size, int64_t *us);
/** @param zone  whether an offset from UTC follows, which is subtracted. */
enum nw_decoded nw_timestamp_parse(const uint8_t *at, size_t size, bool zone, int64_t *us);

/** Each returns how many bytes it wrote, without a final NUL. */
size_t nw_date_print(char *to, int64_t days);
size_t nw_time_print(char *to, int64_t us);
/** @param suffix  "+00" for timestamptz, else "". */
size_t nw_timestamp_print(char *to, int64_t days, int64_t us_of_day, const char *suffix);
/** @param west  seconds west of UTC, as timetz stores it. */
size_t nw_timetz_print(char *to, int64_t us, int32_t west);
size_t nw_interval_print(char *to, int64_t us, int32_t days, int32_t months);

#endif
