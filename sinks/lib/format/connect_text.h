/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's text of values, read: dates, times, intervals, numbers, items of arrays, pairs of an
 * hstore. As PostgreSQL 14 to 18 print them under narwal's settings (docs/values.md); what is not
 * so latches `failed`, and from then on nothing is consumed. The bytes are not trusted.
 *
 * Stateless; whoever reads owns the struct and borrows the bytes.
 */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_TEXT_H
#define NW_SINKS_LIB_FORMAT_CONNECT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/out.h"

struct nw_text {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static inline struct nw_text nw_text_of(const void *bytes, size_t size)
{
    return (struct nw_text){.at = (const uint8_t *)bytes, .left = size};
}

/** A day and a time of it. */
struct nw_moment {
    int64_t days;    /* since 1970-01-01, proleptic Gregorian */
    int64_t time_us; /* 0 to 86400000000 */
    int infinity;    /* -1, 0, 1; the rest is 0 then */
};

/** A day of the proleptic Gregorian calendar; the year 0 is 1 BC. */
struct nw_day {
    int64_t year, month, day;
};

/** @param days  since 1970-01-01 */
static inline struct nw_day nw_day_of(int64_t days)
{
    int64_t shifted = days + 719468; /* years that begin with March */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    return (struct nw_day){.year = year_of_era + era * 400 + (month >= 10 ? 1 : 0),
                           .month = month + (month < 10 ? 3 : -9),
                           .day = day_of_year - (153 * month + 2) / 5 + 1};
}

struct nw_interval {
    int64_t months;
    int64_t days;
    int64_t time_us;
};

/** A number's parts: sign, digits without leading zeros (none: zero), and how many of them are
 * behind the point. */
struct nw_digits {
    bool negative;
    uint32_t count;
    uint32_t scale;
    const uint8_t *digits; /* '0' to '9', in the caller's out */
};

/** Consume this character if it is next. */
bool nw_text_take(struct nw_text *text, char character);
void nw_text_expect(struct nw_text *text, char character);
/** Consume this word if it is next. */
bool nw_text_word(struct nw_text *text, const char *word);
bool nw_text_done(const struct nw_text *text);

int64_t nw_text_i64(struct nw_text *text);
double nw_text_real(struct nw_text *text);
/** 2024-02-29, 0044-03-15 BC, infinity. */
struct nw_moment nw_text_date(struct nw_text *text);
/** 23:59:59.5, 24:00:00. Microseconds. */
int64_t nw_text_time(struct nw_text *text);
/** +05:45:30. Seconds east of UTC. */
int32_t nw_text_zone(struct nw_text *text);
/** 2024-06-01 12:34:56.1, with or without +00 and BC. */
struct nw_moment nw_text_stamp(struct nw_text *text);
struct nw_interval nw_text_interval(struct nw_text *text);
/** A number without an exponent into `out`, which is emptied. NaN and infinities fail. */
struct nw_digits nw_text_digits(struct nw_text *text, struct nw_out *out);
/** (1,2.5) */
void nw_text_point(struct nw_text *text, double *x, double *y);

/** What is before the items of an array: [0:1]={ */
void nw_text_array_enter(struct nw_text *text);

enum nw_text_item { NW_ITEM_NONE, NW_ITEM_NULL, NW_ITEM_TEXT, NW_ITEM_ARRAY };

/**
 * The next item of an array into `out`, which is emptied. NW_ITEM_ARRAY: an array, passed over.
 * NW_ITEM_NONE: there is none, the } is consumed; or it failed.
 */
enum nw_text_item nw_text_item(struct nw_text *text, bool first, char delimiter,
                               struct nw_out *out);
/** The next pair of an hstore. @return false behind the last one, or when it failed. */
bool nw_text_pair(struct nw_text *text, bool first, struct nw_out *key, struct nw_out *value,
                  bool *value_null);

#endif
