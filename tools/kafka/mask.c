/* SPDX-License-Identifier: Apache-2.0 */
/* What is not compared, and what counts as the same though it is not. Pure functions. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "kafka/compare.h"

/* As Debezium's envelope has them, and flattened rows with add.fields. When narwal or Debezium
 * handled it; which run did. `sequence` begins with the last commit that
 * its reader saw. */
static const char *const never_equal[] = {"value.ts_ms",
                                          "value.ts_us",
                                          "value.ts_ns",
                                          "value.source.sequence",
                                          "value.__ts_ms",
                                          "value.__ts_us",
                                          "value.__ts_ns",
                                          "value.__source_sequence",
                                          "header.__debezium.context.runId",
                                          NULL};
/* Each took a snapshot of its own. */
static const char *const snapshots[] = {"value.source.ts_ms",
                                        "value.source.ts_us",
                                        "value.source.ts_ns",
                                        "value.source.lsn",
                                        "value.source.txId",
                                        "value.__lsn",
                                        "value.__txId",
                                        "value.__source_lsn",
                                        "value.__source_txId",
                                        "value.__source_ts_ms",
                                        "value.__source_ts_us",
                                        "value.__source_ts_ns",
                                        NULL};
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

/* Names of schemas, at any depth: Connect's, and Avro's types where they are made or meant. */
static bool is_schema_name(const char *path)
{
    static const char *const names[] = {"*.name",   "*.namespace",        "*.type", "*.items",
                                        "*.values", "*.\"connect.name\"", "*]",     NULL};

    return (strncmp(path, "value-schema", 12) == 0 || strncmp(path, "key-schema", 10) == 0) &&
           nw_patterns_match(names, path);
}

/* @return whether the text is the prefix, or begins with it and a dot */
static bool below_cut(struct nw_leaf *leaf, const char *prefix)
{
    size_t size = strlen(prefix);

    if (leaf->size < size || memcmp(leaf->text, prefix, size) != 0 ||
        (leaf->size > size && leaf->text[size] != '.')) {
        return false;
    }
    leaf->kind = NW_LEAF_BELOW;
    leaf->text += size;
    leaf->size -= size;
    return true;
}

void nw_leaf_below(const struct nw_side *side, struct nw_leaf *leaf)
{
    if (leaf->kind != NW_LEAF_STRING) {
        return;
    }
    if (is_schema_name(leaf->path)) {
        (void)(below_cut(leaf, side->prefix) || below_cut(leaf, side->adjusted[0]) ||
               below_cut(leaf, side->adjusted[1]));
    } else if (strcmp(leaf->path, "value.source.name") == 0 ||
               strcmp(leaf->path, "header.__debezium.context.connectorLogicalName") == 0) {
        (void)below_cut(leaf, side->prefix);
    }
}

bool nw_leaf_is_snapshot(const struct nw_leaf *leaf)
{
    return leaf->kind == NW_LEAF_STRING && leaf->size == 1 && leaf->text[0] == 'r' &&
           (strcmp(leaf->path, "value.op") == 0 || strcmp(leaf->path, "value.__op") == 0);
}
