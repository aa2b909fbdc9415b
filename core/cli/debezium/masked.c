/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: keys of columns that are masked. Debezium makes a table's key of the values as they
 * are, whatever masks say; narwal masks before anything sees them, and a mask of Debezium's lets
 * several keys become one. What is in the database nobody asks here: a primary key, or a unique
 * index, that is masked is refused by the run.
 */
#include <string.h>

#include "base/text.h"
#include "cli/debezium/import.h"

/* Without the quotes around it. */
static const char *bare(struct nw_debezium *to, const char *quoted)
{
    return nw_debezium_text(to, "%.*s", (int)strlen(quoted) - 2, quoted + 1);
}

static bool matches(struct nw_debezium *to, const char *pattern, const char *name)
{
    const char *const patterns[] = {bare(to, pattern), NULL};

    return nw_patterns_match(patterns, bare(to, nw_debezium_quoted(to, name)));
}

/* @param table  NULL: any */
static bool is_masked(struct nw_debezium *to, const char *table, const char *column)
{
    const char *columns[NW_DEBEZIUM_ITEMS_MAX];

    for (size_t i = 0; i < to->rules_count && !to->failed; i++) {
        const struct nw_debezium_rule *rule = &to->rules[i];
        bool here = strcmp(rule->what, "mask_columns") == 0 &&
                    (table == NULL || matches(to, rule->table, table));
        size_t count = here ? nw_debezium_split(to, rule->columns, ',', columns) : 0;

        for (size_t k = 0; k < count; k++) {
            if (matches(to, columns[k], column)) {
                return true;
            }
        }
    }
    return false;
}

/* The first of the columns that is masked; NULL: none */
static const char *masked_of(struct nw_debezium *to, const char *table, const char *list)
{
    const char *columns[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, list, ',', columns);

    for (size_t i = 0; i < count && !to->failed; i++) {
        if (is_masked(to, table, columns[i])) {
            return columns[i];
        }
    }
    return NULL;
}

static void key_columns_look(struct nw_debezium *to, struct nw_debezium_property *p)
{
    const char *pieces[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ';', pieces);

    for (size_t i = 0; i < count; i++) {
        const char *colon = strchr(pieces[i], ':');
        const char *tables[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = nw_debezium_patterns(
            to, nw_debezium_text(to, "%.*s", (int)(colon - pieces[i]), pieces[i]), tables);

        for (size_t k = 0; k < made; k++) {
            const char *column = masked_of(to, tables[k], colon + 1);

            if (column != NULL) {
                nw_debezium_refuse(to, p,
                                   "%s of %s is masked, and narwal would make the key of that, by "
                                   "which several become one: name other columns, or take the "
                                   "mask away and mask: sha256 in transforms",
                                   column, tables[k]);
                return;
            }
        }
    }
}

static void value_to_key_look(struct nw_debezium *to, const struct nw_debezium_property *type)
{
    const char *name = nw_debezium_text(to, "%.*sfields", (int)strlen(type->name) - 4, type->name);
    struct nw_debezium_property *p = nw_debezium_find(to, name);
    const char *column = p == NULL ? NULL : masked_of(to, NULL, p->value);

    if (column != NULL && p->verdict == NW_DEBEZIUM_MAPPED) {
        nw_debezium_refuse(to, p,
                           "%s is masked in some table, and a key of that is the same for several "
                           "rows: name other columns, or take the mask away and mask: sha256 in "
                           "transforms",
                           column);
    }
}

void nw_debezium_masked_keys(struct nw_debezium *to)
{
    struct nw_debezium_property *keys = nw_debezium_find(to, "message.key.columns");

    if (keys != NULL && keys->verdict == NW_DEBEZIUM_MAPPED) {
        key_columns_look(to, keys);
    }
    for (size_t i = 0; i < to->count; i++) {
        const struct nw_debezium_property *p = &to->properties[i];

        if (strcmp(p->value, NW_DEBEZIUM_VALUE_TO_KEY) == 0 && strlen(p->name) > 5 &&
            strcmp(p->name + strlen(p->name) - 5, ".type") == 0) {
            value_to_key_look(to, p);
        }
    }
}
