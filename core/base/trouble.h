/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest errors and warnings of the log, for status and metrics. What nw_log() writes, or
 * leaves out for it repeats, is noted here, with its secrets gone. Any thread.
 */
#ifndef NW_BASE_TROUBLE_H
#define NW_BASE_TROUBLE_H

#include <stdint.h>

#include <narwal/sink.h>

#define NW_TROUBLES_MAX      16u
#define NW_TROUBLE_TEXT_SIZE 512u

struct nw_trouble {
    int64_t wall_us; /* when it last came */
    enum nw_log_level level;
    uint32_t count; /* how often it came while it was among the latest */
    char text[NW_TROUBLE_TEXT_SIZE];
};

void nw_trouble_note(enum nw_log_level level, const char *text);
/** The latest first; those that differ in numbers only count as one. @return how many */
uint32_t nw_troubles(struct nw_trouble troubles[static NW_TROUBLES_MAX]);
#define NW_TROUBLE_FAMILIES_MAX 100u

/** How many there were in this process. */
struct nw_trouble_counts {
    uint64_t errors, warnings;
    /* By the first two digits of their codes; at 0 also those without a code. */
    uint32_t family_errors[NW_TROUBLE_FAMILIES_MAX];
    uint32_t family_warnings[NW_TROUBLE_FAMILIES_MAX];
};
void nw_trouble_count(struct nw_trouble_counts *counts);

#endif
