/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: message.key.columns, "TABLES:COLUMN,COLUMN;...". Debezium makes an expression of
 * each table's and column's with a dot between, and a table's key of all columns whose
 * schema.table.column one of these matches, in the expressions' order. Where all of it names tables
 * and columns, narwal's keys name them too; else they have the expressions, which the sink puts
 * together in the same way.
 */
#include <ctype.h>
#include <string.h>

#include "cli/debezium/import.h"

/* A bar outside of a group would be between what is before it and what is behind the column. */
static bool has_bar(const char *regex)
{
    int depth = 0;
    bool inside = false; /* of [brackets], where neither groups nor bars are */

    for (; *regex != '\0'; regex++) {
        if (*regex == '\\' && regex[1] != '\0') {
            regex++;
        } else if (*regex == '[' || *regex == ']') {
            inside = *regex == '[';
        } else if (*regex == '|' && depth == 0 && !inside) {
            return true;
        } else if (!inside) {
            depth += (*regex == '(') - (*regex == ')');
        }
    }
    return false;
}

/* The tables that an item names. @return 0: it has an expression that may be of others */
static size_t tables_named(struct nw_debezium *to, const char *item, const char *colon,
                           const char *tables[NW_DEBEZIUM_ITEMS_MAX])
{
    size_t made =
        nw_debezium_patterns(to, nw_debezium_text(to, "%.*s", (int)(colon - item), item), tables);

    for (size_t i = 0; i < made; i++) {
        if (strpbrk(tables[i], "*?[") != NULL) {
            return 0;
        }
    }
    return strpbrk(colon + 1, "\\^$.|?*+()[]{}") == NULL ? made : 0;
}

static bool is_there(const char *const *items, size_t count, const char *item)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i], item) == 0) {
            return true;
        }
    }
    return false;
}

/* Without blanks around each. */
static const char *columns_of(struct nw_debezium *to, const char *list)
{
    const char *columns[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, list, ',', columns);
    const char *all = "";

    for (size_t i = 0; i < count; i++) {
        all = nw_debezium_text(to, "%s%s%s", all, i == 0 ? "" : ",", columns[i]);
    }
    return all;
}

static bool has_capitals(const char *text)
{
    while (*text != '\0' && isupper((unsigned char)*text) == 0) {
        text++;
    }
    return *text != '\0';
}

/* @param items  filled, as narwal names them. @return how many; 0: expressions are needed, since
 * one item has any, or two are of one table, whose keys add up */
static size_t named_make(struct nw_debezium *to, const char *const *pieces, size_t count,
                         const char *items[NW_DEBEZIUM_ITEMS_MAX])
{
    const char *seen[NW_DEBEZIUM_ITEMS_MAX];
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        const char *colon = strchr(pieces[i], ':');
        const char *tables[NW_DEBEZIUM_ITEMS_MAX];
        size_t named = tables_named(to, pieces[i], colon, tables);

        if (named == 0 || has_capitals(pieces[i])) { /* of which Debezium takes no notice */
            return 0;
        }
        for (size_t k = 0; k < named; k++) {
            if (made == NW_DEBEZIUM_ITEMS_MAX || is_there(seen, made, tables[k])) {
                return 0;
            }
            seen[made] = tables[k];
            items[made++] = nw_debezium_text(to, "%s:%s", tables[k], columns_of(to, colon + 1));
        }
    }
    return made;
}

static const char *why_not(struct nw_debezium *to, const char *piece)
{
    const char *colon = strchr(piece, ':');
    const char *other = NULL;

    if (colon == NULL || colon == piece || colon[1] == '\0') {
        return nw_debezium_text(to, "%s is not TABLES:COLUMN,COLUMN", piece);
    }
    other = nw_debezium_regex_other(piece);
    if (other != NULL) {
        return nw_debezium_text(to, "%s: %s is not there: say it without", piece, other);
    }
    if (has_bar(nw_debezium_text(to, "%.*s", (int)(colon - piece), piece)) || has_bar(colon + 1)) {
        return nw_debezium_text(to,
                                "%s: Debezium takes the | for one beside all of it, with "
                                "the column: put (a|b) around it",
                                piece);
    }
    return NULL;
}

void nw_dbz_keys(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    const char *pieces[NW_DEBEZIUM_ITEMS_MAX];
    const char *items[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = *p->value == '\0' ? 0 : nw_debezium_split(to, p->value, ';', pieces);
    size_t named = 0;

    nw_debezium_put(to, "sink.unique_keys", "true",
                    "of tables without a primary key: what Debezium takes; not where narwal has "
                    "written these topics without it");
    for (size_t i = 0; i < count; i++) {
        const char *why = why_not(to, pieces[i]);

        if (why != NULL) {
            nw_debezium_refuse(to, p, "%s", why);
            return;
        }
    }
    named = named_make(to, pieces, count, items);
    for (size_t i = 0; i < named; i++) {
        nw_debezium_item(to, row->to, items[i]);
    }
    for (size_t i = 0; named == 0 && i < count; i++) {
        const char *colon = strchr(pieces[i], ':');

        nw_debezium_item(to, row->to,
                         nw_debezium_text(to, "%.*s => %s", (int)(colon - pieces[i]), pieces[i],
                                          columns_of(to, colon + 1)));
    }
}
