/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a mapping and an option table to settings: validation, defaults, near misses, redaction.
 * Pure but for the memory it takes from the arena.
 */
#ifndef NW_CONFIG_RESOLVE_H
#define NW_CONFIG_RESOLVE_H

#include <stdio.h>

#include "config/node.h"
#include <narwal/option.h>

/** An option table, and the keys of a mapping that others look after. */
struct nw_option_table {
    const char *name;                   /* of the mapping in messages: "copy"; "": the top */
    const struct nw_option *options;
    uint32_t options_count;
    const struct nw_option *others;     /* further keys of the mapping, resolved elsewhere */
    uint32_t others_count;
    const char *const *children;        /* keys of mappings below; NULL-terminated, or NULL */
};

/**
 * Resolve a mapping.
 * @param map       NULL: nothing is configured, only defaults.
 * @param settings  filled: options_count of them, in the order of the table. Texts live as long as
 *                  the arena and the table.
 */
NW_MUST_CHECK nw_status nw_options_resolve(const struct nw_option_table *table,
                                           const struct nw_node *map, struct nw_arena *arena,
                                           struct nw_setting *settings, struct nw_error *err);

/** "size with a unit, such as 64MiB, at least 64MiB": how a value must look. */
void nw_option_form(const struct nw_option *option, char *text, size_t size);
/** "rate", "one of a, b", ...: the type in a word. */
const char *nw_option_type_name(enum nw_option_type type);
/** A number as it is written in a configuration: 64MiB, 250ms. */
void nw_option_number(const struct nw_option *option, int64_t number, char *text, size_t size);
/** A setting as YAML, secrets as ***; "(none)" when unset. */
void nw_setting_print(FILE *out, const struct nw_option *option, const struct nw_setting *setting);

/** The known name nearest to a mistyped one, NULL when none is near. */
const char *nw_nearest(const char *name, const char *const *names, size_t count);

#endif
