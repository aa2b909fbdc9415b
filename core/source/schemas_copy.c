/* SPDX-License-Identifier: Apache-2.0 */
/* See schemas_copy.h. */
#include "source/schemas_copy.h"

#include <string.h>

#include "base/assert.h"
#include "source/schemas.h"

/* Memory handed out from one block that is known to be large enough. */
struct pool {
    char *at;
    size_t left;
};

static void *pool_take(struct pool *pool, size_t size)
{
    void *taken = pool->at;
    size_t whole = (size + 7) & ~(size_t)7;

    NW_ASSERT(whole <= pool->left);
    pool->at += whole;
    pool->left -= whole;
    return taken;
}

static const char *pool_text(struct pool *pool, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text) + 1;

    return text == NULL ? NULL : memcpy(pool_take(pool, size), text, size);
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : (strlen(text) + 1 + 7) & ~(size_t)7;
}

static size_t labels_size(const char *const *labels)
{
    size_t size = labels == NULL ? 0 : sizeof(char *);

    for (; labels != NULL && *labels != NULL; labels++) {
        size += text_size(*labels) + sizeof(char *);
    }
    return size;
}

/* Which of nw_table's lists have something in them. */
static void lists_look(const struct nw_table *table, bool *items, bool *names)
{
    *items = *names = false;
    for (uint16_t i = 0; i < table->columns_count; i++) {
        *items |= nw_table_item_labels(table, i) != NULL;
        *names |= nw_table_base_type_name(table, i) != NULL;
    }
}

size_t nw_schema_copy_size(const struct nw_table *table)
{
    size_t size = text_size(table->schema_name) + text_size(table->name) +
                  text_size(table->root_schema_name) + text_size(table->root_name) +
                  table->columns_count * sizeof(struct nw_column_schema) +
                  (table->key_columns_count + table->unique_columns_count) * sizeof(uint16_t) + 24;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *c = &table->columns[i];

        size += text_size(c->name) + text_size(c->type_name) + text_size(c->default_expr);
        size += labels_size(c->enum_labels) + labels_size(nw_table_item_labels(table, i)) +
                text_size(nw_table_base_type_name(table, i)) + 2 * sizeof(char *);
    }
    return size;
}

static const char *const *labels_copy(struct pool *pool, const char *const *labels)
{
    size_t count = 0;
    const char **copy = NULL;

    if (labels == NULL) {
        return NULL;
    }
    while (labels[count] != NULL) {
        count++;
    }
    copy = pool_take(pool, (count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = pool_text(pool, labels[i]);
    }
    copy[count] = NULL;
    return copy;
}

static void lists_copy(struct nw_table *to, const struct nw_table *from, struct pool *pool)
{
    const char *const **items = NULL;
    const char **names = NULL;
    bool has_items = false;
    bool has_names = false;

    lists_look(from, &has_items, &has_names);
    if (has_items) {
        items = pool_take(pool, from->columns_count * sizeof *items);
    }
    if (has_names) {
        names = pool_take(pool, from->columns_count * sizeof *names);
    }
    for (uint16_t i = 0; i < from->columns_count; i++) {
        if (has_items) {
            items[i] = labels_copy(pool, nw_table_item_labels(from, i));
        }
        if (has_names) {
            names[i] = pool_text(pool, nw_table_base_type_name(from, i));
        }
    }
    to->item_labels = items;
    to->base_type_names = names;
}

void nw_schema_copy(struct nw_table *to, const struct nw_table *from, void *memory, size_t size)
{
    struct pool whole = {.at = memory, .left = size};
    struct pool *pool = &whole;
    struct nw_column_schema *columns =
        pool_take(pool, from->columns_count * sizeof(struct nw_column_schema));
    uint16_t *keys = pool_take(pool, from->key_columns_count * sizeof *keys);
    uint16_t *unique = pool_take(pool, from->unique_columns_count * sizeof *unique);

    *to = *from;
    to->size = sizeof *to;
    to->schema_name = pool_text(pool, from->schema_name);
    to->name = pool_text(pool, from->name);
    to->root_schema_name = pool_text(pool, from->root_schema_name);
    to->root_name = pool_text(pool, from->root_name);
    for (uint16_t i = 0; i < from->columns_count; i++) {
        columns[i] = from->columns[i];
        columns[i].name = pool_text(pool, from->columns[i].name);
        columns[i].type_name = pool_text(pool, from->columns[i].type_name);
        columns[i].default_expr = pool_text(pool, from->columns[i].default_expr);
        columns[i].enum_labels = labels_copy(pool, from->columns[i].enum_labels);
    }
    for (uint16_t i = 0; i < from->key_columns_count; i++) {
        keys[i] = from->key_columns[i];
    }
    for (uint16_t i = 0; i < from->unique_columns_count; i++) {
        unique[i] = from->unique_columns[i];
    }
    lists_copy(to, from, pool);
    to->columns = columns;
    to->key_columns = keys;
    to->unique_columns = unique;
}

bool nw_text_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool nw_labels_same(const char *const *a, const char *const *b)
{
    size_t i = 0;

    if (a == NULL || b == NULL) {
        return a == b;
    }
    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0) {
        i++;
    }
    return a[i] == NULL && b[i] == NULL;
}

static bool column_stale(const struct nw_column_schema *column,
                         const struct nw_column_schema *described)
{
    return column->attnum != described->attnum || column->not_null != described->not_null ||
           !nw_text_same(column->type_name, described->type_name) ||
           !nw_text_same(column->default_expr, described->default_expr) ||
           !nw_labels_same(column->enum_labels, described->enum_labels);
}

static bool keys_same(const uint16_t *a, uint16_t a_count, const uint16_t *b, uint16_t b_count)
{
    uint16_t i = 0;

    while (i < a_count && i < b_count && a[i] == b[i]) {
        i++;
    }
    return i == a_count && i == b_count;
}

bool nw_schemas_stale(const struct nw_table *table, const struct nw_table *described)
{
    if (table->columns_count != described->columns_count ||
        table->key_is_primary != described->key_is_primary ||
        !keys_same(table->key_columns, table->key_columns_count, described->key_columns,
                   described->key_columns_count) ||
        !keys_same(table->unique_columns, table->unique_columns_count, described->unique_columns,
                   described->unique_columns_count)) {
        return true;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (column_stale(&table->columns[i], &described->columns[i]) ||
            !nw_labels_same(nw_table_item_labels(table, i), nw_table_item_labels(described, i)) ||
            !nw_text_same(nw_table_base_type_name(table, i),
                          nw_table_base_type_name(described, i))) {
            return true;
        }
    }
    return false;
}
