/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule says of a table and its columns, and how that is told to people. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "transform/private.h"

#define NAME_SIZE 512u /* schema.table, of the source */

/* What of a rule met something. */
struct nw_transform_met {
    bool table;
    bool *patterns; /* include, exclude, mask, rename: one after the other */
};

const char *nw_rule_place(const struct nw_transform_rule *rule, char text[static NW_PLACE_SIZE])
{
    (void)snprintf(text, NW_PLACE_SIZE, "transforms[%u] (%.200s:%u)", rule->number,
                   rule->node->file, rule->node->line);
    return text;
}

const char *nw_transform_place(const struct nw_transform_rule *rule, struct nw_arena *arena)
{
    char text[NW_PLACE_SIZE];

    return nw_arena_text(arena, nw_rule_place(rule, text));
}

static bool name_matches(const char *const *patterns, const char *schema, const char *name)
{
    char whole[NAME_SIZE];

    (void)snprintf(whole, sizeof whole, "%s.%s", schema, name);
    return nw_patterns_match(patterns, whole);
}

bool nw_rule_matches(const struct nw_transform_rule *rule, const struct nw_table *table)
{
    return name_matches(rule->tables, table->schema_name, table->name) ||
           (table->root_name != NULL &&
            name_matches(rule->tables, table->root_schema_name, table->root_name));
}

bool nw_rule_hides(const struct nw_transform_rule *rule, const char *column)
{
    return nw_patterns_match(rule->exclude_columns, column) ||
           (rule->include_columns != NULL && rule->include_columns[0] != NULL &&
            !nw_patterns_match(rule->include_columns, column));
}

const char *nw_rule_renames(const struct nw_transform_rule *rule, const char *column)
{
    for (uint32_t i = 0; i < rule->renames_count; i++) {
        if (strcmp(rule->renames[i].from, column) == 0) {
            return rule->renames[i].to;
        }
    }
    return NULL;
}

uint16_t nw_column_index(const struct nw_table *table, const char *name)
{
    uint16_t index = 0;

    while (index < table->columns_count && strcmp(table->columns[index].name, name) != 0) {
        index++;
    }
    return index;
}

bool nw_column_is_key(const struct nw_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        if (table->key_columns[i] == column) {
            return true;
        }
    }
    return table->replica_identity != 'f' && table->columns[column].identity;
}

/* ---- in a line ---- */

/* "; masks email, phone" */
static void list_add(FILE *out, bool *first_part, bool *first, const char *verb, const char *name)
{
    (void)fprintf(out, "%s%s%s", *first ? (*first_part ? "" : "; ") : ", ", *first ? verb : "",
                  name);
    *first = false;
    *first_part = false;
}

static void columns_describe(const struct nw_transform_rule *rule, const struct nw_table *table,
                             FILE *out, bool *first_part)
{
    static const char *const masks[] = {"sha256", "fixed", "first", "debezium_v1", "debezium_v2"};
    bool first = true;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (nw_rule_hides(rule, table->columns[i].name)) {
            list_add(out, first_part, &first, "leaves out ", table->columns[i].name);
        }
    }
    first = true;
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (nw_patterns_match(rule->mask_columns, table->columns[i].name)) {
            list_add(out, first_part, &first, "masks ", table->columns[i].name);
        }
    }
    if (!first) {
        (void)fprintf(out, " (%s)", masks[rule->mask]);
    }
    first = true;
    for (uint16_t i = 0; i < table->columns_count; i++) {
        const char *to = nw_rule_renames(rule, table->columns[i].name);

        if (to != NULL) {
            list_add(out, first_part, &first, "renames ", table->columns[i].name);
            (void)fprintf(out, " to %s", to);
        }
    }
}

const char *nw_transform_describe(const struct nw_transform_rule *rule,
                                  const struct nw_table *table, struct nw_arena *arena)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = nw_rule_matches(rule, table) ? open_memstream(&text, &size) : NULL;
    const char *line = NULL;
    bool first_part = true;
    bool first = true;

    if (out == NULL) {
        return NULL;
    }
    columns_describe(rule, table, out, &first_part);
    if (rule->where_text != NULL) {
        list_add(out, &first_part, &first, "keeps rows where ", rule->where_text);
    }
    first = true;
    if (rule->to_schema != NULL || rule->to_table != NULL) {
        list_add(out, &first_part, &first, "is seen as ",
                 rule->to_schema == NULL ? table->schema_name : rule->to_schema);
        (void)fprintf(out, ".%s", rule->to_table == NULL ? table->name : rule->to_table);
    }
    if (fclose(out) == 0 && size > 0) {
        line = nw_arena_text(arena, text);
    }
    free(text);
    return line;
}

/* ---- what met nothing ---- */

static uint32_t list_count(const char *const *list)
{
    uint32_t count = 0;

    while (list != NULL && list[count] != NULL) {
        count++;
    }
    return count;
}

static uint32_t patterns_count(const struct nw_transform_rule *rule)
{
    return list_count(rule->include_columns) + list_count(rule->exclude_columns) +
           list_count(rule->mask_columns) + rule->renames_count;
}

/* A rule's pattern for columns, by its number over all lists. */
static const char *pattern_at(const struct nw_transform_rule *rule, uint32_t index,
                              const char **key)
{
    const struct {
        const char *const *list;
        const char *key;
    } lists[] = {{rule->include_columns, "include_columns"},
                 {rule->exclude_columns, "exclude_columns"},
                 {rule->mask_columns, "mask_columns"}};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        uint32_t count = list_count(lists[i].list);

        if (lists[i].list != NULL && index < count) {
            *key = lists[i].key;
            return lists[i].list[index];
        }
        index -= count;
    }
    *key = "rename_columns";
    return rule->renames[index].from;
}

static bool pattern_meets(const struct nw_transform_rule *rule, uint32_t index, const char *column)
{
    const char *key = NULL;
    const char *const pattern[2] = {pattern_at(rule, index, &key), NULL};

    return strcmp(key, "rename_columns") == 0 ? strcmp(pattern[0], column) == 0
                                              : nw_patterns_match(pattern, column);
}

nw_status nw_transform_use_init(struct nw_transform_use *use,
                                const struct nw_transform_rules *rules, struct nw_arena *arena,
                                struct nw_error *err)
{
    struct nw_transform_met *met = nw_arena_array(arena, rules->count + 1, sizeof *met);

    *use = (struct nw_transform_use){.rules = rules, .arena = arena, .met = met};
    for (uint32_t i = 0; met != NULL && i < rules->count; i++) {
        met[i].patterns = nw_arena_array(arena, patterns_count(&rules->rules[i]) + 1, sizeof(bool));
        if (met[i].patterns == NULL) {
            met = NULL;
        }
    }
    return met == NULL ? nw_fail(err, NW_FATAL, "out of memory for %u transforms", rules->count)
                       : NW_OK;
}

void nw_transform_use_table(struct nw_transform_use *use, const struct nw_table *table)
{
    for (uint32_t r = 0; r < use->rules->count; r++) {
        const struct nw_transform_rule *rule = &use->rules->rules[r];

        if (!nw_rule_matches(rule, table)) {
            continue;
        }
        use->met[r].table = true;
        for (uint32_t p = 0; p < patterns_count(rule); p++) {
            for (uint16_t c = 0; c < table->columns_count && !use->met[r].patterns[p]; c++) {
                use->met[r].patterns[p] = pattern_meets(rule, p, table->columns[c].name);
            }
        }
    }
}

/* What of one rule met nothing, from its part `part` on. */
static const char *rule_unmet(const struct nw_transform_use *use, uint32_t index, uint32_t *part)
{
    const struct nw_transform_rule *rule = &use->rules->rules[index];
    const struct nw_transform_met *met = &use->met[index];
    char place[NW_PLACE_SIZE];
    char text[NW_PLACE_SIZE + 256];
    const char *key = NULL;

    if (!met->table) {
        if ((*part)++ > 0) {
            return NULL;
        }
        (void)snprintf(text, sizeof text, "NW1318 %s matches no table", nw_rule_place(rule, place));
        return nw_arena_text(use->arena, text);
    }
    for (uint32_t p = *part; p < patterns_count(rule); p++) {
        if (!met->patterns[p]) {
            const char *pattern = pattern_at(rule, p, &key);

            *part = p + 1;
            (void)snprintf(text, sizeof text,
                           "NW1318 %s: %s \"%.100s\" matches no column of its tables",
                           nw_rule_place(rule, place), key, pattern);
            return nw_arena_text(use->arena, text);
        }
    }
    return NULL;
}

/* *at: the rule in the upper bits, its part in the lower 16. */
const char *nw_transform_use_unmet(const struct nw_transform_use *use, uint32_t *at)
{
    uint32_t index = *at >> 16;
    uint32_t part = *at & 0xffffu;

    for (; index < use->rules->count; index++) {
        const char *text = rule_unmet(use, index, &part);

        if (text != NULL) {
            *at = index << 16 | part;
            return text;
        }
        part = 0;
    }
    *at = index << 16;
    return NULL;
}
