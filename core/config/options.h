/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option tables at work: a mapping of the configuration is held against a table, and out come
 * settings, or an error that names file, line, column, key and what was meant. The same tables give
 * the reference page. Constant data; any thread.
 */
#ifndef NW_CONFIG_OPTIONS_H
#define NW_CONFIG_OPTIONS_H

#include <stdio.h>

#include "config/problems.h"
#include "config/tree.h"
#include <narwal/option.h>

/** A table, and where in the configuration it applies. */
struct nw_option_table {
    const char *section; /* "source", "sinks[].type = file"; "" for the top level */
    const char *title;   /* for the reference page */
    const struct nw_option *options;
    uint32_t count;
    const char *const *sections; /* keys that are not options here but known; NULL-terminated */
};

/**
 * Resolve a mapping.
 * @param problems  every mistake goes there, and err has the first of the mapping; NULL: the first
 *                  mistake ends it.
 * @param map       NULL: nothing was configured, defaults apply.
 * @param settings  table->count of them, filled; texts live in the arena or the table.
 */
NW_MUST_CHECK nw_status nw_options_resolve(const struct nw_option_table *table,
                                           const struct nw_node *map, struct nw_arena *arena,
                                           struct nw_setting *settings,
                                           struct nw_problems *problems, struct nw_error *err);

/** What a value looks like: "size, as 64MiB or 2GB", or the choices. */
void nw_option_form(const struct nw_option *option, char *out, size_t size);

/** One section of the reference page, in Markdown. */
void nw_options_document(const struct nw_option_table *table, FILE *out);

/** Whether a plugin's table makes sense: types, defaults that parse, choices. */
NW_MUST_CHECK nw_status nw_options_check(const struct nw_option_table *table,
                                         struct nw_arena *arena, struct nw_error *err);

#endif
