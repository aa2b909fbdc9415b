/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attribute numbers of the columns that a Relation message lists.
 *
 * pgoutput sends columns in the order of pg_attribute.attnum, without the numbers. An attribute
 * number is given once and never again: new columns get higher ones, a dropped column leaves a gap.
 * So what a table was before the message and what it is after it (the catalog, read later) leave
 * each column few places, and mostly one:
 *
 *   in both              the column was there at the message: it has to get one of the names
 *   before only          it was there, or was dropped already
 *   after only, or past what was before and in neither   it was there, or was not added yet
 *   in neither, below what was before                     it was dropped before the message
 *
 * Where that leaves a choice, names decide, and where a column could be a former one under a new
 * name as well as a new one, the policy does. Pure; any thread.
 */
#ifndef NW_SOURCE_ATTNUMS_H
#define NW_SOURCE_ATTNUMS_H

#include <stdbool.h>
#include <stdint.h>

#include "source/pgoutput.h"
#include <narwal/schema.h>

/** What a column is taken for that may be a former one renamed as well as a new one. */
enum nw_ambiguous {
    NW_AMBIGUOUS_STOP = 0, /* neither: its table stops */
    NW_AMBIGUOUS_DROP_ADD = 1,
    NW_AMBIGUOUS_RENAME = 2,
};

struct nw_attnums_known {
    const struct nw_table *former; /* in force before the message; NULL: not known */
    bool is_guess;                 /* some number of the former one is not exact */
    const struct nw_table *later;  /* in force after it; NULL: not known, or dropped since */
};

/** A column's number. */
struct nw_attnum {
    int16_t number; /* 0: not known */
    bool exact;     /* no other number was possible */
};

/**
 * Number the columns of a message.
 * @param attnums  relation->columns_count of them, filled
 * @return NW_REJECT: the policy is to stop, and there is a choice; err says which. NW_FATAL:
 * memory.
 */
NW_MUST_CHECK nw_status nw_attnums_find(const struct nw_relation *relation,
                                        const struct nw_attnums_known *known,
                                        enum nw_ambiguous policy, struct nw_attnum *attnums,
                                        struct nw_error *err);

#endif
