/* SPDX-License-Identifier: Apache-2.0 */
/* What is not compared, and what counts as the same though it is not. Pure functions. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "kafka/compare.h"

/* When narwal or Debezium handled it; which run did. `sequence` begins with the last commit that
 * its reader saw. */
static const char *const never_equal[] = {"value.ts_ms",
                                          "value.ts_us",
                                          "value.ts_ns",
                                          "value.source.sequence",
                                          "header.__debezium.context.runId",
                                          NULL};
/* Each took a snapshot of its own. */
static const char *const snapshots[] = {"value.source.ts_ms", "value.source.ts_us",
                                        "value.source.ts_ns", "value.source.lsn",
                                        "value.source.txId",  NULL};
static const char *const roots[] = {"value",        "key",        "header",
                                    "value-schema", "key-schema", "partition"};

/* "source.ts_ms" is meant as value.source.ts_ms. */
static bool mask_fits(const char *mask, const char *path)
{
    const char *const plain[] = {mask, NULL};
    size_t root = strcspn(mask, ".[*");

    if (nw_patterns_match(plain, path)) {
        return true;
    }
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        if (strlen(roots[i]) == root && strncmp(mask, roots[i], root) == 0) {
            return false;
        }
    }
    return strncmp(path, "value.", 6) == 0 && nw_patterns_match(plain, path + 6);
}

/* A key with its schema has the prefix in it, and events without a key may be in any. */
static bool partitions_compared(const struct nw_comparison *comparison, const struct nw_leaf *leaf)
{
    return !comparison->partitions_differ && !leaf->keyless &&
           !(leaf->key_has_schema &&
             strcmp(comparison->sides[0].prefix, comparison->sides[1].prefix) != 0);
}

enum nw_masked nw_leaf_masked(const struct nw_comparison *comparison, const struct nw_leaf *leaf)
{
    const struct nw_diff_topics *request = comparison->request;

    if (strcmp(leaf->path, "partition") == 0 && !partitions_compared(comparison, leaf)) {
        return NW_MASKED;
    }
    for (uint32_t i = 0; i < request->masks_count; i++) {
        if (mask_fits(request->masks[i], leaf->path)) {
            return NW_MASKED;
        }
    }
    if (request->strict) {
        return NW_COMPARED;
    }
    if (nw_patterns_match(never_equal, leaf->path)) {
        return NW_MASKED;
    }
    return nw_patterns_match(snapshots, leaf->path) ? NW_MASKED_IN_SNAPSHOT : NW_COMPARED;
}

/* Names of schemas, at any depth. */
static bool is_schema_name(const char *path)
{
    size_t size = strlen(path);

    return (strncmp(path, "value-schema", 12) == 0 || strncmp(path, "key-schema", 10) == 0) &&
           size > 5 && strcmp(path + size - 5, ".name") == 0;
}

void nw_leaf_below(const struct nw_side *side, struct nw_leaf *leaf)
{
    size_t size = side->prefix_size;

    if (leaf->kind != NW_LEAF_STRING || leaf->size < size ||
        memcmp(leaf->text, side->prefix, size) != 0 ||
        (leaf->size > size && leaf->text[size] != '.')) {
        return;
    }
    if (strcmp(leaf->path, "value.source.name") == 0 || is_schema_name(leaf->path) ||
        strcmp(leaf->path, "header.__debezium.context.connectorLogicalName") == 0) {
        leaf->kind = NW_LEAF_BELOW;
        leaf->text += size;
        leaf->size -= size;
    }
}

bool nw_leaf_is_snapshot(const struct nw_leaf *leaf)
{
    return leaf->kind == NW_LEAF_STRING && leaf->size == 1 && leaf->text[0] == 'r' &&
           strcmp(leaf->path, "value.op") == 0;
}
