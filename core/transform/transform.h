/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transforms: from the configuration's rules and a schema version to what sinks see of it.
 *
 * A version's projection is made once and stays until the registry is destroyed, as versions do.
 * What cannot be done exactly is refused, naming rule, table and column: a mask that would let two
 * keys become one, a filter that cannot be decided for deletes, a name that two tables would have.
 * Nothing is ever passed on unmasked because a rule could not be applied.
 */
#ifndef NW_TRANSFORM_TRANSFORM_H
#define NW_TRANSFORM_TRANSFORM_H

#include "base/arena.h"
#include "config/transforms.h"
#include "source/projection.h"

struct nw_transforms;

/** @param rules  borrow, until the registry is destroyed. */
NW_MUST_CHECK nw_status nw_transforms_create(const struct nw_transform_rules *rules,
                                             struct nw_transforms **transforms,
                                             struct nw_error *err);
void nw_transforms_destroy(struct nw_transforms *transforms); /* NULL is fine */

/**
 * What sinks see of a version. Any thread; the same version gives the same projection.
 * @param table       lives at least as long as the registry.
 * @param projection  NULL: all of it, as it is.
 * @return NW_REJECT when a rule cannot be applied to this version, which no sink may get then.
 */
NW_MUST_CHECK nw_status nw_transforms_project(struct nw_transforms *transforms,
                                              const struct nw_table *table,
                                              const struct nw_projection **projection,
                                              struct nw_error *err);

/** Which rules and which of their patterns met anything, over many tables. */
struct nw_transform_use {
    const struct nw_transform_rules *rules;
    struct nw_arena *arena;
    struct nw_transform_met *met; /* one for each rule */
};

/** @param arena  borrow. @return NW_FATAL when memory is short. */
NW_MUST_CHECK nw_status nw_transform_use_init(struct nw_transform_use *use,
                                              const struct nw_transform_rules *rules,
                                              struct nw_arena *arena, struct nw_error *err);
/** Note what the rules do to one table, whether or not they can be applied. */
void nw_transform_use_table(struct nw_transform_use *use, const struct nw_table *table);
/**
 * The next thing that met nothing: a rule without a table, a pattern without a column.
 * @param at  0 at first. @return NULL after the last; else a sentence in the arena.
 */
const char *nw_transform_use_unmet(const struct nw_transform_use *use, uint32_t *at);

/**
 * What one rule does to one table, in a line: "masks email, phone (sha256); leaves out ssn".
 * @return NULL: it is not for this table, or does nothing to it; else in the arena.
 */
const char *nw_transform_describe(const struct nw_transform_rule *rule,
                                  const struct nw_table *table, struct nw_arena *arena);
/** "transforms[2] (narwal.yaml:14)", for messages; in the arena. */
const char *nw_transform_place(const struct nw_transform_rule *rule, struct nw_arena *arena);

#endif
