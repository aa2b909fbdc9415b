/* SPDX-License-Identifier: Apache-2.0 */
/* Two topics: reading, hashing, and what is done about the memory; see compare.h. */
#include "kafka/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define PROGRESS_EVERY 4096u
#define PROGRESS_SEC   2

/* The schema that was met last, and what its leaves add to an event's hash: mostly the next is the
 * same. */
struct schema_memory {
    char *bytes; /* own */
    size_t size;
    uint64_t sum[2];
};

/* Hashes the events of one side. The hash of an event is the sum of those of its leaves, so that
 * the order of members does not matter; with --strict a leaf's place is in its hash. It is in that
 * of the key: members in another order are another key for Kafka, and may lie in another partition.
 */
struct hashing {
    const struct nw_comparison *comparison;
    const struct nw_side *side;
    struct nw_leaves leaves;
    struct schema_memory schemas[2]; /* of key, of value */
    uint64_t part, parts;            /* only keys whose hash is this by so many */
    struct nw_records *records;
    size_t records_max;
    uint64_t seen, avro;  /* events; those that look like Avro */
    uint64_t read, total; /* messages */
    const char *name;
    time_t told_s; /* when it was last said how far it is; 0: the reading begins */
    bool failed;
    bool *old; /* for each partition: its last event was committed before what is compared */

    /* the event under way */
    int64_t committed_ms; /* INT64_MIN: it does not say */
    uint64_t sum[2], sum_snapshot[2], sum_key[2], sum_before[2];
    bool is_snapshot;
    uint32_t key_leaves;
};

static XXH128_hash_t leaf_hash(const struct hashing *hashing, const struct nw_leaf *leaf)
{
    bool strict = hashing->comparison->request->strict;
    XXH64_hash_t seed =
        XXH3_64bits_withSeed(leaf->path, strlen(leaf->path),
                             (uint64_t)leaf->kind + (strict ? (uint64_t)leaf->place << 8 : 0));

    return XXH3_128bits_withSeed(leaf->text, leaf->size, seed);
}

static void sum_add(uint64_t sum[2], XXH128_hash_t hash)
{
    sum[0] += hash.low64;
    sum[1] += hash.high64;
}

/* Of a time in ms, which may be written with an exponent: a double has all of its digits. */
static int64_t number_read(const char *text, size_t size)
{
    char digits[40];
    double number = 0;

    (void)snprintf(digits, sizeof digits, "%.*s", (int)size, text);
    number = strtod(digits, NULL);
    return number > -1e17 && number < 1e17 ? (int64_t)number : INT64_MIN;
}

/*
 * Whether an event is from before what is compared. Both sides have the same time of its commit; a
 * tombstone comes behind its delete, and what has no source counts by when it was produced.
 */
static bool is_old(struct hashing *hashing, const rd_kafka_message_t *message)
{
    bool *last = &hashing->old[message->partition];

    if (hashing->committed_ms != INT64_MIN) {
        *last = hashing->committed_ms < hashing->comparison->since_ms;
    } else if (message->payload != NULL) {
        *last = rd_kafka_message_timestamp(message, NULL) < hashing->comparison->since_ms;
    }
    return *last;
}

static void on_leaf(void *context, const struct nw_leaf *given)
{
    struct hashing *hashing = context;
    struct nw_leaf leaf = *given;
    enum nw_masked masked = nw_leaf_masked(hashing->comparison, &leaf);
    XXH128_hash_t hash;

    if (strcmp(leaf.path, "value.source.ts_ms") == 0) {
        hashing->committed_ms = number_read(leaf.text, leaf.size);
    }
    nw_leaf_below(hashing->side, &leaf);
    hash = leaf_hash(hashing, &leaf);
    if (strncmp(leaf.path, "key", 3) == 0 && leaf.path[3] != '-') {
        hash.low64 = XXH3_64bits_withSeed(&hash, sizeof hash, ++hashing->key_leaves);
        sum_add(hashing->sum_key, hash);
    }
    hashing->is_snapshot |= nw_leaf_is_snapshot(&leaf);
    if (masked != NW_MASKED) {
        sum_add(masked == NW_COMPARED ? hashing->sum : hashing->sum_snapshot, hash);
    }
}

static bool on_schema(void *context, bool of_value, const void *bytes, size_t size)
{
    struct hashing *hashing = context;
    struct schema_memory *schema = &hashing->schemas[of_value];

    if (schema->bytes != NULL && schema->size == size && memcmp(schema->bytes, bytes, size) == 0) {
        hashing->sum[0] += schema->sum[0];
        hashing->sum[1] += schema->sum[1];
        return true;
    }
    free(schema->bytes);
    schema->bytes = malloc(size);
    if (schema->bytes != NULL) {
        memcpy(schema->bytes, bytes, size);
        schema->size = size;
    }
    memcpy(hashing->sum_before, hashing->sum, sizeof hashing->sum);
    return false;
}

static void on_schema_end(void *context, bool of_value)
{
    struct hashing *hashing = context;

    hashing->schemas[of_value].sum[0] = hashing->sum[0] - hashing->sum_before[0];
    hashing->schemas[of_value].sum[1] = hashing->sum[1] - hashing->sum_before[1];
}

static const struct nw_leaves_avro *on_avro(void *context, uint32_t id)
{
    const struct hashing *hashing = context;

    return nw_schemas_get(hashing->side->schemas, id);
}

static bool record_add(struct nw_records *records, const struct nw_record *record, size_t max)
{
    if (records->count == records->capacity) {
        size_t capacity = records->capacity == 0 ? 4096 : 2 * records->capacity;
        struct nw_record *more = NULL;

        capacity = capacity > max && records->capacity < max ? max : capacity;
        more = realloc(records->items, capacity * sizeof *more);
        if (more == NULL) {
            return false;
        }
        records->items = more;
        records->capacity = capacity;
    }
    records->items[records->count++] = *record;
    return true;
}

static void progress(struct hashing *hashing)
{
    struct timespec now = {0};

    if (++hashing->read % PROGRESS_EVERY != 0) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (hashing->told_s == 0) {
        hashing->told_s = now.tv_sec;
    } else if (now.tv_sec >= hashing->told_s + PROGRESS_SEC) {
        hashing->told_s = now.tv_sec;
        nw_progress_say(hashing->name, hashing->side->name, hashing->read, hashing->total);
    }
}

static bool on_message(void *context, const rd_kafka_message_t *message)
{
    struct hashing *hashing = context;
    struct nw_record record = {
        .offset = message->offset, .partition = message->partition, .keyed = message->key != NULL};

    memset(hashing->sum, 0, sizeof hashing->sum);
    memset(hashing->sum_snapshot, 0, sizeof hashing->sum_snapshot);
    memset(hashing->sum_key, 0, sizeof hashing->sum_key);
    hashing->is_snapshot = false;
    hashing->key_leaves = 0;
    hashing->committed_ms = INT64_MIN;
    progress(hashing);
    hashing->failed |= !nw_leaves_of(&hashing->leaves, message);
    hashing->avro += nw_side_is_avro(message);
    if (is_old(hashing, message)) {
        return !hashing->failed;
    }
    hashing->seen++;
    memcpy(record.hash, hashing->sum, sizeof record.hash);
    if (!hashing->is_snapshot) {
        record.hash[0] += hashing->sum_snapshot[0];
        record.hash[1] += hashing->sum_snapshot[1];
    }
    if (record.keyed) {
        memcpy(record.key, hashing->sum_key, sizeof record.key);
    }
    record.late = rd_kafka_message_timestamp(message, NULL) > hashing->comparison->began_ms;
    if ((record.keyed ? record.key[0] : record.hash[0]) % hashing->parts == hashing->part) {
        hashing->failed |= !record_add(hashing->records, &record, hashing->records_max);
    }
    return !hashing->failed &&
           (hashing->side->schemas == NULL || hashing->side->schemas->trouble.text[0] == '\0');
}

static nw_status side_hash(struct hashing *hashing, const char *name,
                           const struct nw_extent *extent, struct nw_error *err)
{
    nw_status status = NW_OK;

    hashing->old = calloc((size_t)extent->partitions, sizeof *hashing->old);
    if (hashing->old == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %d partitions", (int)extent->partitions);
    }
    hashing->name = name;
    for (int32_t i = 0; i < extent->partitions; i++) {
        hashing->total += (uint64_t)(extent->until[i] - extent->from[i]);
        hashing->old[i] = hashing->comparison->since_ms != INT64_MIN;
    }
    hashing->leaves.leaf = on_leaf;
    hashing->leaves.schema = on_schema;
    hashing->leaves.schema_end = on_schema_end;
    hashing->leaves.avro = hashing->side->schemas == NULL ? NULL : on_avro;
    hashing->leaves.context = hashing;
    hashing->leaves.as_written = hashing->comparison->request->strict;
    status = nw_side_read(hashing->side, name, extent, on_message, hashing, err);
    nw_progress_say(name, hashing->side->name, 0, 0);
    nw_leaves_fini(&hashing->leaves);
    free(hashing->old);
    for (int i = 0; i < 2; i++) {
        free(hashing->schemas[i].bytes);
    }
    if (status == NW_OK && hashing->side->schemas != NULL &&
        hashing->side->schemas->trouble.text[0] != '\0') {
        *err = hashing->side->schemas->trouble;
        return err->status;
    }
    return status == NW_OK && hashing->failed
               ? nw_fail(err, NW_FATAL, "out of memory for the events of %s", name)
               : status;
}

/* How many times the topic is read, so that records of both sides, and what is found of them, fit.
 */
static uint64_t parts_of(const struct nw_extent extents[2], int64_t memory_bytes)
{
    uint64_t count = 0;

    for (int side = 0; side < 2; side++) {
        for (int32_t i = 0; i < extents[side].partitions; i++) {
            count += (uint64_t)(extents[side].until[i] - extents[side].from[i]);
        }
    }
    return 1 +
           count * (sizeof(struct nw_record) + sizeof(struct nw_pair) / 2) / (uint64_t)memory_bytes;
}

static nw_status part_compare(struct nw_comparison *comparison, struct nw_finding *finding,
                              const struct nw_extent extents[2], uint64_t part, uint64_t parts,
                              struct nw_error *err)
{
    struct nw_records records[2] = {{0}};
    struct nw_pairs pairs = {0};
    nw_status status = NW_OK;

    for (int i = 0; i < 2 && status == NW_OK; i++) {
        struct hashing hashing = {.comparison = comparison,
                                  .side = &comparison->sides[i],
                                  .part = part,
                                  .parts = parts,
                                  .records = &records[i],
                                  .records_max = (size_t)comparison->request->memory_bytes /
                                                 sizeof(struct nw_record) / 2};

        status = side_hash(&hashing, finding->name, &extents[i], err);
        finding->events[i] = hashing.seen;
        finding->avro |= hashing.avro > 0 && hashing.side->schemas == NULL;
    }
    if (status == NW_OK) {
        status = nw_records_pair(records, finding, &pairs, err);
    }
    if (status == NW_OK && pairs.count > 0) {
        status = nw_pairs_examine(comparison, finding, &pairs, err);
    }
    free(pairs.items);
    free(records[0].items);
    free(records[1].items);
    return status;
}

/* ---- a topic that only one side has ---- */

struct counting {
    const struct nw_comparison *comparison;
    struct nw_finding *finding;
    int side;
};

static bool on_counted(void *context, const rd_kafka_message_t *message)
{
    struct counting *counting = context;

    if (rd_kafka_message_timestamp(message, NULL) < counting->comparison->since_ms) {
        return true;
    }
    counting->finding->events[counting->side]++;
    if (rd_kafka_message_timestamp(message, NULL) > counting->comparison->began_ms) {
        counting->finding->pending++;
    } else {
        counting->finding->only[counting->side]++;
    }
    return true;
}

static nw_status both_compare(struct nw_comparison *comparison, struct nw_finding *finding,
                              const struct nw_extent extents[2], struct nw_error *err)
{
    uint64_t parts = parts_of(extents, comparison->request->memory_bytes);
    nw_status status = NW_OK;

    comparison->partitions_differ = finding->partitions[0] != finding->partitions[1];
    for (uint64_t part = 0; part < parts && status == NW_OK; part++) {
        status = part_compare(comparison, finding, extents, part, parts, err);
    }
    return status;
}

nw_status nw_compare_topic(struct nw_comparison *comparison, struct nw_finding *finding,
                           struct nw_error *err)
{
    struct nw_extent extents[2] = {{0}};
    int alone = finding->there[0] ? 0 : 1;
    struct counting counting = {comparison, finding, alone};
    nw_status status = NW_OK;

    for (int i = 0; i < 2 && status == NW_OK; i++) {
        if (finding->there[i]) {
            status = nw_side_extent(&comparison->sides[i], finding->name, &extents[i], err);
            finding->partitions[i] = extents[i].partitions;
        }
    }
    if (status == NW_OK && finding->there[0] && finding->there[1]) {
        status = both_compare(comparison, finding, extents, err);
    } else if (status == NW_OK) {
        status = nw_side_read(&comparison->sides[alone], finding->name, &extents[alone], on_counted,
                              &counting, err);
    }
    nw_extent_fini(&extents[0]);
    nw_extent_fini(&extents[1]);
    return status;
}
