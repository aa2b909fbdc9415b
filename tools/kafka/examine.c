/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What exactly differs: the first pairs are read once more, and their leaves compared by path.
 * Memory is bounded by NW_EXAMINED_MAX pairs and KEPT_BYTES_MAX.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/compare.h"
#include "lib/utf8.h"

#define KEPT_BYTES_MAX (64u << 20)
#define PATHS_MAX      1000u /* that are counted */
#define PATHS_SHOWN    20u   /* of a pair, to people */
#define PATHS_LISTED   2000u /* to programs */
#define TEXT_SHOWN     400u  /* bytes of a value */
#define KEY_SHOWN      200u

/* ---- events as they are kept ---- */

struct kept_leaf {
    size_t path, text, size, shown, shown_size; /* places in the bytes */
    enum nw_leaf_kind kind;
    enum nw_masked masked;
};

struct kept {
    struct nw_out bytes;
    struct kept_leaf *leaves; /* own */
    size_t count, capacity;
    bool is_snapshot;
    bool whole; /* it was read, and there was room */
};

static void kept_fini(struct kept *kept)
{
    nw_out_fini(&kept->bytes);
    free(kept->leaves);
    *kept = (struct kept){0};
}

static size_t keep_bytes(struct kept *kept, const char *bytes, size_t size)
{
    size_t at = kept->bytes.used;

    nw_out_bytes(&kept->bytes, bytes, size);
    return at;
}

struct keeping {
    struct nw_comparison *comparison;
    int side;
    struct nw_leaves leaves;
    struct nw_pair **wanted; /* by the place on this side; borrow */
    struct kept *kept;       /* of all pairs, two each; borrow */
    struct nw_pair *first;   /* of the pairs */
    struct kept *now;
    size_t wanted_count, found, bytes;
    bool failed;
};

static void on_leaf(void *context, const struct nw_leaf *given)
{
    struct keeping *keeping = context;
    struct kept *kept = keeping->now;
    struct nw_leaf leaf = *given;
    struct kept_leaf *more = NULL;

    kept->is_snapshot |= nw_leaf_is_snapshot(&leaf);
    if (kept->count == kept->capacity) {
        kept->capacity = kept->capacity == 0 ? 64 : 2 * kept->capacity;
        more = realloc(kept->leaves, kept->capacity * sizeof *more);
        if (more == NULL) {
            keeping->failed = true;
            kept->capacity = kept->count;
            return;
        }
        kept->leaves = more;
    }
    more = &kept->leaves[kept->count++];
    more->masked = nw_leaf_masked(keeping->comparison, &leaf);
    nw_leaf_below(&keeping->comparison->sides[keeping->side], &leaf);
    more->kind = leaf.kind;
    more->path = keep_bytes(kept, leaf.path, strlen(leaf.path) + 1);
    more->text = keep_bytes(kept, leaf.text, leaf.size);
    more->size = leaf.size;
    more->shown = keep_bytes(kept, leaf.shown, leaf.shown_size);
    more->shown_size = leaf.shown_size;
    keeping->failed |= kept->bytes.failed;
}

static const struct nw_leaves_avro *on_avro(void *context, uint32_t id)
{
    const struct keeping *keeping = context;

    return nw_schemas_get(keeping->comparison->sides[keeping->side].schemas, id);
}

static int wanted_compare(const struct nw_record *record, int32_t partition, int64_t offset)
{
    return record->partition != partition ? (record->partition < partition ? -1 : 1)
           : record->offset != offset     ? (record->offset < offset ? -1 : 1)
                                          : 0;
}

static struct nw_pair *wanted_find(const struct keeping *keeping, int32_t partition, int64_t offset)
{
    size_t low = 0;
    size_t high = keeping->wanted_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = wanted_compare(&keeping->wanted[middle]->of[keeping->side], partition, offset);

        if (order == 0) {
            return keeping->wanted[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

static bool on_message(void *context, const rd_kafka_message_t *message)
{
    struct keeping *keeping = context;
    const struct nw_pair *pair = wanted_find(keeping, message->partition, message->offset);

    if (pair == NULL) {
        return true;
    }
    keeping->found++;
    keeping->now = &keeping->kept[2 * (pair - keeping->first) + keeping->side];
    if (keeping->bytes < KEPT_BYTES_MAX) {
        keeping->failed |= !nw_leaves_of(&keeping->leaves, message);
        keeping->bytes += keeping->now->bytes.capacity;
        keeping->now->whole = true;
    }
    return !keeping->failed && keeping->found < keeping->wanted_count;
}

static int by_place_a(const void *a, const void *b)
{
    const struct nw_record *one = &(*(struct nw_pair *const *)a)->of[0];
    const struct nw_record *other = &(*(struct nw_pair *const *)b)->of[0];

    return wanted_compare(one, other->partition, other->offset);
}

static int by_place_b(const void *a, const void *b)
{
    const struct nw_record *one = &(*(struct nw_pair *const *)a)->of[1];
    const struct nw_record *other = &(*(struct nw_pair *const *)b)->of[1];

    return wanted_compare(one, other->partition, other->offset);
}

/* The stretches of the topic that have what is wanted. */
static void extent_narrow(struct nw_extent *extent, const struct keeping *keeping)
{
    memset(extent->from, 0, (size_t)extent->partitions * sizeof *extent->from);
    memset(extent->until, 0, (size_t)extent->partitions * sizeof *extent->until);
    for (size_t i = 0; i < keeping->wanted_count; i++) {
        const struct nw_record *record = &keeping->wanted[i]->of[keeping->side];

        if (record->partition < extent->partitions) {
            if (extent->until[record->partition] == 0) {
                extent->from[record->partition] = record->offset;
            }
            extent->until[record->partition] = record->offset + 1;
        }
    }
}

static nw_status side_keep(struct keeping *keeping, const char *name, struct nw_pair *pairs,
                           size_t count, struct nw_error *err)
{
    const struct nw_side *side = &keeping->comparison->sides[keeping->side];
    struct nw_extent extent = {0};
    nw_status status = NW_OK;

    keeping->leaves.leaf = on_leaf;
    keeping->leaves.avro =
        keeping->comparison->sides[keeping->side].schemas == NULL ? NULL : on_avro;
    keeping->leaves.context = keeping;
    keeping->leaves.as_written = keeping->comparison->request->strict;
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].there[keeping->side]) {
            keeping->wanted[keeping->wanted_count++] = &pairs[i];
        }
    }
    if (keeping->wanted_count == 0) {
        return NW_OK;
    }
    qsort(keeping->wanted, keeping->wanted_count, sizeof(struct nw_pair *),
          keeping->side == 0 ? by_place_a : by_place_b);
    status = nw_side_extent(side, name, &extent, err);
    if (status == NW_OK) {
        extent_narrow(&extent, keeping);
        status = nw_side_read(side, name, &extent, on_message, keeping, err);
        nw_extent_fini(&extent);
    }
    nw_leaves_fini(&keeping->leaves);
    return status == NW_OK && keeping->failed
               ? nw_fail(err, NW_FATAL, "out of memory for what differs in %s", name)
               : status;
}

/* ---- what is said of them ---- */

/* At most so many bytes, as JSON; bytes that are no UTF-8 as hexadecimal digits. */
static json_t *text_json(const char *text, size_t size, size_t max)
{
    size_t cut = size < max ? size : max;
    struct nw_out out = {0};
    json_t *made = NULL;
    size_t at = 0;

    while (at < cut) {
        size_t step =
            (uint8_t)text[at] < 0x80 ? 1 : nw_utf8_size((const uint8_t *)text + at, size - at);

        if (step == 0 || at + step > cut) {
            break;
        }
        at += step;
    }
    if (at < cut && cut - at >= 4) {
        nw_out_text(&out, "\\x");
        nw_out_hex(&out, text, cut);
    } else {
        nw_out_bytes(&out, text, at);
    }
    if (cut < size) {
        nw_out_text(&out, "...");
    }
    made = json_stringn(out.used == 0 ? "" : (const char *)out.bytes, out.used);
    nw_out_fini(&out);
    return made;
}

static const char *path_of(const struct kept *kept, size_t i)
{
    return (const char *)kept->bytes.bytes + kept->leaves[i].path;
}

static const char *bytes_of(const struct kept *kept, size_t at)
{
    return (const char *)kept->bytes.bytes + at;
}

/* id=7, region="a" */
static json_t *key_json(const struct kept *kept)
{
    struct nw_out out = {0};
    json_t *made = NULL;

    for (size_t i = 0; i < kept->count; i++) {
        const struct kept_leaf *leaf = &kept->leaves[i];
        const char *path = path_of(kept, i);

        if (strncmp(path, "key", 3) != 0 || path[3] == '-') {
            continue;
        }
        if (out.used > 0) {
            nw_out_text(&out, ", ");
        }
        if (path[3] == '.') {
            nw_out_text(&out, path + 4);
            nw_out_text(&out, "=");
        }
        nw_out_bytes(&out, leaf->kind == NW_LEAF_NONE ? "no key" : bytes_of(kept, leaf->shown),
                     leaf->kind == NW_LEAF_NONE ? 6 : leaf->shown_size);
    }
    made = text_json((const char *)out.bytes, out.used, KEY_SHOWN);
    nw_out_fini(&out);
    return made;
}

static json_t *op_json(const struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (strcmp(path_of(kept, i), "value.op") == 0) {
            return text_json(bytes_of(kept, kept->leaves[i].text), kept->leaves[i].size, KEY_SHOWN);
        }
        if (strcmp(path_of(kept, i), "value") == 0 && kept->leaves[i].kind == NW_LEAF_NONE) {
            return json_string("tombstone");
        }
    }
    return json_string("");
}

static json_t *place_json(const struct nw_pair *pair, int side)
{
    return pair->there[side] ? json_pack("{s:i,s:I}", "partition", (int)pair->of[side].partition,
                                         "offset", (json_int_t)pair->of[side].offset)
                             : json_null();
}

/* ---- comparing leaves ---- */

struct differing {
    struct nw_finding *finding;
    uint32_t listed_max;
    json_t *list; /* of this pair */
    uint32_t count;
};

static json_t *leaf_json(const struct kept *kept, const struct kept_leaf *leaf)
{
    return leaf == NULL ? json_string("(not there)")
                        : text_json(bytes_of(kept, leaf->shown), leaf->shown_size, TEXT_SHOWN);
}

static void path_count(struct nw_finding *finding, const char *path)
{
    json_t *known = json_object_get(finding->paths, path);

    if (known != NULL) {
        (void)json_integer_set(known, json_integer_value(known) + 1);
    } else if (json_object_size(finding->paths) < PATHS_MAX) {
        (void)json_object_set_new(finding->paths, path, json_integer(1));
    }
}

/* @param a, b  take */
static void differ(struct differing *differing, const char *path, json_t *a, json_t *b)
{
    differing->count++;
    path_count(differing->finding, path);
    if (differing->count > differing->listed_max) {
        json_decref(a);
        json_decref(b);
        return;
    }
    (void)json_array_append_new(differing->list,
                                json_pack("{s:s,s:o,s:o}", "path", path, "a", a, "b", b));
}

static int by_path(const void *a, const void *b, void *context)
{
    const char *bytes = context;
    const struct kept_leaf *one = a;
    const struct kept_leaf *other = b;
    int order = strcmp(bytes + one->path, bytes + other->path);

    return order != 0 ? order : one->path < other->path ? -1 : one->path > other->path;
}

/* Leaves that count, sorted by path. */
static void kept_order(struct kept *kept)
{
    size_t count = 0;

    for (size_t i = 0; i < kept->count; i++) {
        if (kept->leaves[i].masked == NW_COMPARED ||
            (kept->leaves[i].masked == NW_MASKED_IN_SNAPSHOT && !kept->is_snapshot)) {
            kept->leaves[count++] = kept->leaves[i];
        }
    }
    kept->count = count;
    if (count > 0) {
        qsort_r(kept->leaves, count, sizeof *kept->leaves, by_path, kept->bytes.bytes);
    }
}

static bool leaves_same(const struct kept *a, const struct kept_leaf *of_a, const struct kept *b,
                        const struct kept_leaf *of_b)
{
    return of_a->kind == of_b->kind && of_a->size == of_b->size &&
           (of_a->size == 0 ||
            memcmp(bytes_of(a, of_a->text), bytes_of(b, of_b->text), of_a->size) == 0);
}

static bool is_below(const char *path, const char *root)
{
    size_t size = strlen(root);

    return strncmp(path, root, size) == 0 &&
           (path[size] == '\0' || path[size] == '.' || path[size] == '[');
}

static bool has(const struct kept *kept, const char *root)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (is_below(path_of(kept, i), root) && kept->leaves[i].kind != NW_LEAF_NONE) {
            return true;
        }
    }
    return false;
}

static void leaves_drop(struct kept *kept, const char *root)
{
    size_t count = 0;

    for (size_t i = 0; i < kept->count; i++) {
        if (!is_below(path_of(kept, i), root)) {
            kept->leaves[count++] = kept->leaves[i];
        }
    }
    kept->count = count;
}

/* A schema, or a value, that only one of them has is one difference, not one for each leaf. */
static void wholes_compare(struct differing *differing, struct kept *a, struct kept *b)
{
    static const char *const roots[] = {"key-schema", "value-schema", "key", "value"};

    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        bool of_a = has(a, roots[i]);

        if (of_a != has(b, roots[i])) {
            differ(differing, roots[i], json_string(of_a ? "(there)" : "(none)"),
                   json_string(of_a ? "(none)" : "(there)"));
            leaves_drop(a, roots[i]);
            leaves_drop(b, roots[i]);
        }
    }
}

/* Which path comes next: -1 that of a, 1 that of b, 0 the same. One of them is left. */
static int next_path(const struct kept *a, size_t i, const struct kept *b, size_t j)
{
    return i == a->count ? 1 : j == b->count ? -1 : strcmp(path_of(a, i), path_of(b, j));
}

static void leaves_compare(struct differing *differing, struct kept *a, struct kept *b)
{
    size_t i = 0;
    size_t j = 0;

    kept_order(a);
    kept_order(b);
    wholes_compare(differing, a, b);
    while (i < a->count || j < b->count) {
        int order = next_path(a, i, b, j);
        const struct kept_leaf *of_a = order <= 0 ? &a->leaves[i] : NULL;
        const struct kept_leaf *of_b = order >= 0 ? &b->leaves[j] : NULL;

        if (order != 0 || !leaves_same(a, of_a, b, of_b)) {
            differ(differing, order <= 0 ? path_of(a, i) : path_of(b, j), leaf_json(a, of_a),
                   leaf_json(b, of_b));
        }
        i += order <= 0;
        j += order >= 0;
    }
    if (differing->count == 0) { /* only --strict sees that */
        differ(differing, "(order of members)", json_string("(another)"), json_string("(another)"));
    }
}

static void pair_examine(struct nw_comparison *comparison, struct nw_finding *finding,
                         const struct nw_pair *pair, struct kept kept[2])
{
    struct differing differing = {.finding = finding,
                                  .listed_max =
                                      comparison->request->as_json ? PATHS_LISTED : PATHS_SHOWN,
                                  .list = json_array()};
    int named = pair->there[0] ? 0 : 1;
    json_t *said = NULL;

    if ((pair->there[0] && !kept[0].whole) || (pair->there[1] && !kept[1].whole)) {
        json_decref(differing.list);
        return;
    }
    finding->examined++;
    said = json_pack("{s:o,s:o,s:o,s:o}", "key", key_json(&kept[named]), "op",
                     op_json(&kept[named]), "a", place_json(pair, 0), "b", place_json(pair, 1));
    if (pair->there[0] && pair->there[1]) {
        leaves_compare(&differing, &kept[0], &kept[1]);
    }
    (void)json_object_set_new(said, "paths", differing.list);
    (void)json_object_set_new(said, "paths_count", json_integer(differing.count));
    if (json_array_size(finding->differences) < (size_t)comparison->request->shown) {
        (void)json_array_append(finding->differences, said);
    }
    json_decref(said);
}

nw_status nw_pairs_examine(struct nw_comparison *comparison, struct nw_finding *finding,
                           struct nw_pairs *pairs, struct nw_error *err)
{
    size_t left = NW_EXAMINED_MAX - (size_t)finding->examined;
    size_t count = pairs->count < left ? pairs->count : left;
    struct kept *kept = calloc(2 * count + 1, sizeof *kept);
    struct nw_pair **wanted = calloc(count + 1, sizeof *wanted);
    nw_status status = NW_OK;

    if (kept == NULL || wanted == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for what differs in %s", finding->name);
    }
    for (int side = 0; side < 2 && status == NW_OK; side++) {
        struct keeping keeping = {.comparison = comparison,
                                  .side = side,
                                  .wanted = wanted,
                                  .kept = kept,
                                  .first = pairs->items};

        status = side_keep(&keeping, finding->name, pairs->items, count, err);
    }
    for (size_t i = 0; i < count && status == NW_OK; i++) {
        pair_examine(comparison, finding, &pairs->items[i], &kept[2 * i]);
    }
    for (size_t i = 0; kept != NULL && i < 2 * count; i++) {
        kept_fini(&kept[i]);
    }
    free(kept);
    free(wanted);
    return status;
}
