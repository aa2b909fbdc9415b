/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing two topics event by event, in bounded memory: of each event only hashes and its place
 * are kept (struct nw_record), sorted by key and place, and paired; what differs is read again.
 * A topic whose records are more than the memory allows is read several times, for a part of its
 * keys each.
 *
 * Events of one key are paired in their order; where they part, the nearest place where they meet
 * again counts. Events without a key are paired by what they say, whatever their order.
 */
#ifndef NW_TOOLS_KAFKA_COMPARE_H
#define NW_TOOLS_KAFKA_COMPARE_H

#include <jansson.h>

#include "kafka/leaves.h"
#include "kafka/side.h"

#define NW_EXAMINED_MAX 1000u /* different pairs of a topic that are looked at */

struct nw_record {
    uint64_t key[2];  /* hash of the key; 0: it has none */
    uint64_t hash[2]; /* of all that is compared */
    int64_t offset;
    int32_t partition;
    bool keyed;
    bool late; /* produced since the comparison began */
};

/** Two events that differ, or one that has no partner. */
struct nw_pair {
    struct nw_record of[2];
    bool there[2];
};

struct nw_records {
    struct nw_record *items; /* own */
    size_t count, capacity;
};

struct nw_pairs {
    struct nw_pair *items; /* own */
    size_t count, capacity;
};

/** What is found of a topic. */
struct nw_finding {
    const char *name;
    bool there[2];
    int32_t partitions[2];
    uint64_t events[2], equal, different, only[2], pending;
    uint64_t again[2]; /* of only: the same was said of the key just before */
    uint64_t examined;
    bool avro;           /* it has what looks like Avro, and there is no registry */
    json_t *paths;       /* own: how many of the examined differ in each */
    json_t *differences; /* own: the first ones */
};

struct nw_comparison {
    const struct nw_diff_topics *request;
    struct nw_side sides[2];
    int64_t since_ms;       /* what was committed before is left out; INT64_MIN: nothing is */
    int64_t began_ms;       /* of the wall clock, as messages have it */
    bool partitions_differ; /* of the topic under way: then it is not compared where events are */
};

/** Compare a topic; one that only one side has is counted. The finding has its name and where it
 * is. */
NW_MUST_CHECK nw_status nw_compare_topic(struct nw_comparison *comparison,
                                         struct nw_finding *finding, struct nw_error *err);

/* ---- pair.c ---- */

/**
 * Pair what both sides have; sorts the records. Counts into the finding.
 * @param pairs  gets what is not equal, in the order of A's places
 */
NW_MUST_CHECK nw_status nw_records_pair(struct nw_records records[2], struct nw_finding *finding,
                                        struct nw_pairs *pairs, struct nw_error *err);

/* ---- mask.c ---- */

/** Whether a leaf is left out, of rows of a snapshot or always. */
enum nw_masked { NW_COMPARED, NW_MASKED_IN_SNAPSHOT, NW_MASKED };
enum nw_masked nw_leaf_masked(const struct nw_comparison *comparison, const struct nw_leaf *leaf);
/** Take away the prefix of the side's topics where it is no data. */
void nw_leaf_below(const struct nw_side *side, struct nw_leaf *leaf);
/** Whether a leaf says that its event is a row of a snapshot. */
bool nw_leaf_is_snapshot(const struct nw_leaf *leaf);

/* ---- examine.c ---- */

/** Read pairs again, and put the paths in which they differ into the finding. */
NW_MUST_CHECK nw_status nw_pairs_examine(struct nw_comparison *comparison,
                                         struct nw_finding *finding, struct nw_pairs *pairs,
                                         struct nw_error *err);

/* ---- report.c ---- */

/** To people who wait, every now and then: so much is read. @param total  0: nothing is left of it
 */
void nw_progress_say(const char *name, char side, uint64_t read, uint64_t total);

/** "table: 3 of 12 events differ", and the first of them. */
void nw_finding_print(const struct nw_finding *finding);
/** The summary, or with --json everything. @return whether all is equal */
bool nw_report(const struct nw_comparison *comparison, const struct nw_finding *findings,
               size_t count);

#endif
