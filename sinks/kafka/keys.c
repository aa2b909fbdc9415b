/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as the configuration has them: "schema.table:column,column", or the first unique index of a
 * table that has none. Names are as PostgreSQL has
 * them, without quotes; the table's name ends at the last colon, its schema's at the first point.
 *
 * "TABLES => COLUMNS,COLUMNS" has regular expressions. As Debezium does for message.key.columns,
 * the first and each of the others are made one, with a "." between that stands for any character,
 * and a column is in the key if that matches its schema.table.column wholly, capitals as small
 * letters: "shop\\..* => id" so finds shop.items.order_id, too. Columns come in the order of the
 * expressions. What several of these items find is one key; a table where they find nothing keeps
 * its own.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define ARROW        " => "
#define WHY_SIZE     160u
#define JOINED_SIZE  (2 * (size_t)NW_KAFKA_NAME_SIZE + sizeof "(?:).(?:)")
#define COLUMN_BLANK " \t"

struct wish {
    const char *schema, *table, *columns;
    size_t schema_size, table_size;
};

static bool wish_read(const char *item, struct wish *wish)
{
    const char *point = strchr(item, '.');
    const char *colon = strrchr(item, ':');

    if (point == NULL || colon == NULL || point == item || colon < point + 2 || colon[1] == '\0') {
        return false;
    }
    *wish = (struct wish){.schema = item,
                          .schema_size = (size_t)(point - item),
                          .table = point + 1,
                          .table_size = (size_t)(colon - point - 1),
                          .columns = colon + 1};
    return true;
}

/* A piece of text as an expression. @return NULL: it is none, see why, or memory ran out */
static struct nw_regex *regex_of(const char *text, size_t size, char why[static WHY_SIZE])
{
    char copy[NW_KAFKA_NAME_SIZE];

    if (size == 0 || size >= sizeof copy) {
        (void)snprintf(why, WHY_SIZE, size == 0 ? "it is empty" : "it is too long");
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    return nw_regex_create(copy, "", why, WHY_SIZE);
}

/* That of an item's tables and one of its columns, for schema.table.column. Both are groups: a bar
 * is not between the two. @return NULL: as regex_of() */
static struct nw_regex *joined_of(const char *item, size_t item_size, const char *column,
                                  size_t column_size, char why[static WHY_SIZE])
{
    char joined[JOINED_SIZE];

    if (item_size >= NW_KAFKA_NAME_SIZE || column_size >= NW_KAFKA_NAME_SIZE) {
        (void)snprintf(why, WHY_SIZE, "it is too long");
        return NULL;
    }
    (void)snprintf(joined, sizeof joined, "(?:%.*s).(?:%.*s)", (int)item_size, item,
                   (int)column_size, column);
    return nw_regex_create_folded(joined, why, WHY_SIZE);
}

/* The next expression of a list with commas. @return false: there is none */
static bool piece_next(const char **at, const char **piece, size_t *size)
{
    if (**at == '\0') {
        return false;
    }
    *at += strspn(*at, COLUMN_BLANK);
    *piece = *at;
    *size = strcspn(*at, ",");
    *at += *size + ((*at)[*size] == ',');
    while (*size > 0 && strchr(COLUMN_BLANK, (*piece)[*size - 1]) != NULL) {
        (*size)--;
    }
    return true;
}

static bool pattern_is_well(const char *item, const char *arrow, char why[static WHY_SIZE])
{
    const char *at = arrow + strlen(ARROW);
    const char *piece = NULL;
    size_t size = 0;
    struct nw_regex *regex = regex_of(item, (size_t)(arrow - item), why);
    bool well = regex != NULL;

    if (*at == '\0') {
        (void)snprintf(why, WHY_SIZE, "no columns");
        well = false;
    }
    nw_regex_destroy(regex);
    while (well && piece_next(&at, &piece, &size)) {
        regex = regex_of(piece, size, why);
        well = regex != NULL;
        nw_regex_destroy(regex);
        if (well) {
            regex = joined_of(item, (size_t)(arrow - item), piece, size, why);
            well = regex != NULL;
            nw_regex_destroy(regex);
        }
    }
    return well;
}

nw_status nw_kafka_keys_check(const struct nw_kafka_options *options, struct nw_error *err)
{
    struct wish wish;
    char why[WHY_SIZE];

    for (size_t i = 0; options->keys != NULL && options->keys[i] != NULL; i++) {
        const char *item = options->keys[i];
        const char *arrow = strstr(item, ARROW);

        if (arrow != NULL && !pattern_is_well(item, arrow, why)) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: keys: \"%s\": %s", options->name, item, why);
        }
        if (arrow == NULL && !wish_read(item, &wish)) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: keys: \"%s\" is not SCHEMA.TABLE:COLUMN,COLUMN",
                           options->name, item);
        }
    }
    return NW_OK;
}

static bool is(const char *name, const char *text, size_t size)
{
    return strlen(name) == size && memcmp(name, text, size) == 0;
}

static int column_find(const struct nw_table *table, const char *name, size_t size)
{
    for (uint16_t c = 0; c < table->columns_count; c++) {
        if (is(table->columns[c].name, name, size)) {
            return c;
        }
    }
    return -1;
}

/* A copy without a key, with room for one of all columns behind it. @param key  filled: there */
static nw_status keyed_create(const struct nw_table *table, struct nw_table **keyed, uint16_t **key,
                              struct nw_error *err)
{
    struct nw_table *made =
        malloc(sizeof *made + (size_t)table->columns_count * sizeof *made->key_columns);

    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the key of %s.%s", table->schema_name,
                       table->name);
    }
    memset(made, 0, sizeof *made);
    memcpy(made, table, table->size < sizeof *made ? table->size : sizeof *made);
    made->size = sizeof *made;
    *key = (uint16_t *)(made + 1);
    made->key_columns = *key;
    made->key_columns_count = 0;
    made->key_is_primary = false;
    *keyed = made;
    return NW_OK;
}

/* Rows would have each other's keys. */
static nw_status blurred_refuse(const struct nw_table *table, uint16_t column, const char *option,
                                struct nw_error *err)
{
    return nw_fail(
        err, NW_REJECT,
        "NW2708 %s: column %s of %s.%s is masked, so that several values become one, and "
        "rows would have each other's keys: mask it by sha256, which keeps them apart, "
        "or name columns that are not masked (keys: SCHEMA.TABLE:COLUMN)%s",
        option, table->columns[column].name, table->schema_name, table->name,
        strcmp(option, "unique_keys") == 0
            ? ", or have no key in any such table (unique_keys: false)"
            : "");
}

static nw_status key_make(const struct nw_table *table, const char *columns,
                          struct nw_table **keyed, struct nw_error *err)
{
    struct nw_table *made = NULL;
    uint16_t *key = NULL;
    uint16_t count = 0;
    nw_status status = keyed_create(table, &made, &key, err);

    if (status != NW_OK) {
        return status;
    }
    for (const char *at = columns; *at != '\0';) {
        size_t size = strcspn(at, ",");
        int column = column_find(table, at, size);

        if (column < 0 || count == table->columns_count) {
            free(made);
            return nw_fail(err, NW_REJECT,
                           "NW2708 keys: %s.%s has no column %.*s: name the columns that it has "
                           "now, and start again",
                           table->schema_name, table->name, (int)size, at);
        }
        if (nw_table_is_blurred(table, (uint16_t)column)) {
            free(made);
            return blurred_refuse(table, (uint16_t)column, "keys", err);
        }
        key[count++] = (uint16_t)column;
        at += size + (at[size] == ',');
    }
    made->key_columns_count = count;
    *keyed = made;
    return NW_OK;
}

static bool matches(const struct nw_regex *regex, const char *name)
{
    char nothing[1];

    return nw_regex_replace(regex, name, nothing, sizeof nothing) != NW_REGEX_OTHER;
}

/* Once, however often it is named. */
static void key_add(uint16_t *key, uint16_t *count, uint16_t column)
{
    uint16_t k = 0;

    while (k < *count && key[k] != column) {
        k++;
    }
    if (k == *count) {
        key[(*count)++] = column;
    }
}

/* Whether it matches schema.table.column. */
static bool finds(const struct nw_regex *regex, const struct nw_table *table, uint16_t column)
{
    char name[NW_KAFKA_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%s.%s.%s", table->schema_name, table->name,
                   table->columns[column].name);
    return matches(regex, name);
}

/* Add the columns that an item's expressions find. */
static nw_status columns_add(const struct nw_table *table, const char *item, const char *arrow,
                             uint16_t *key, uint16_t *count, struct nw_error *err)
{
    const char *list = arrow + strlen(ARROW);
    const char *piece = NULL;
    size_t size = 0;

    while (piece_next(&list, &piece, &size)) {
        char why[WHY_SIZE];
        struct nw_regex *regex = joined_of(item, (size_t)(arrow - item), piece, size, why);

        if (regex == NULL) { /* it was well-formed at the start */
            return nw_fail(err, NW_RETRY, "out of memory for keys");
        }
        for (uint16_t c = 0; c < table->columns_count; c++) {
            if (!finds(regex, table, c)) {
                continue;
            }
            if (nw_table_is_blurred(table, c)) {
                nw_regex_destroy(regex);
                return blurred_refuse(table, c, "keys", err);
            }
            key_add(key, count, c);
        }
        nw_regex_destroy(regex);
    }
    return NW_OK;
}

/* What expressions find in a table. */
static nw_status patterns_find(const struct nw_kafka_options *options, const struct nw_table *table,
                               uint16_t *key, uint16_t *count, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; options->keys[i] != NULL && status == NW_OK; i++) {
        const char *arrow = strstr(options->keys[i], ARROW);

        if (arrow != NULL) {
            status = columns_add(table, options->keys[i], arrow, key, count, err);
        }
    }
    return status;
}

/* @param keyed  NULL: nothing was found */
static nw_status patterns_make(const struct nw_kafka_options *options, const struct nw_table *table,
                               struct nw_table **keyed, struct nw_error *err)
{
    struct nw_table *made = NULL;
    uint16_t *key = NULL;
    nw_status status = keyed_create(table, &made, &key, err);

    if (status == NW_OK) {
        status = patterns_find(options, table, key, &made->key_columns_count, err);
    }
    if (status == NW_OK && made->key_columns_count > 0) {
        *keyed = made;
    } else {
        free(made);
    }
    return status;
}

/* An index has a column twice where that is meant: a key has it once. */
static nw_status unique_make(const struct nw_table *table, struct nw_table **keyed,
                             struct nw_error *err)
{
    uint16_t *key = NULL;
    nw_status status = NW_OK;

    for (uint16_t i = 0; i < table->unique_columns_count; i++) {
        if (nw_table_is_blurred(table, table->unique_columns[i])) {
            return blurred_refuse(table, table->unique_columns[i], "unique_keys", err);
        }
    }
    status = keyed_create(table, keyed, &key, err);
    for (uint16_t i = 0; status == NW_OK && i < table->unique_columns_count; i++) {
        key_add(key, &(*keyed)->key_columns_count, table->unique_columns[i]);
    }
    return status;
}

static bool is_unique(const struct nw_kafka_options *options, const struct nw_table *table)
{
    return options->unique_keys && table->key_columns_count == 0 &&
           table->size > offsetof(struct nw_table, unique_columns) &&
           table->unique_columns_count > 0;
}

nw_status nw_kafka_key_find(const struct nw_kafka_options *options, const struct nw_table *table,
                            struct nw_table **keyed, struct nw_error *err)
{
    struct wish wish;
    bool patterns = false;
    nw_status status = NW_OK;

    *keyed = NULL;
    if (nw_kafka_is_outbox(&options->form, table)) {
        return NW_OK; /* its messages have the key that a column has */
    }
    for (size_t i = 0; options->keys != NULL && options->keys[i] != NULL; i++) {
        if (strstr(options->keys[i], ARROW) != NULL) {
            patterns = true;
        } else if (wish_read(options->keys[i], &wish) &&
                   is(table->schema_name, wish.schema, wish.schema_size) &&
                   is(table->name, wish.table, wish.table_size)) {
            return key_make(table, wish.columns, keyed, err);
        }
    }
    if (patterns) {
        status = patterns_make(options, table, keyed, err);
    }
    return status == NW_OK && *keyed == NULL && is_unique(options, table)
               ? unique_make(table, keyed, err)
               : status;
}
