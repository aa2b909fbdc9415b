/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Arrow schema of a table's batches. Every node owns its texts and the structs of its children,
 * so that a consumer may move a child out and release the rest. Metadata is encoded as the C Data
 * Interface says: int32 count, then int32 size and bytes for each key and value, in native order.
 */
#include "sink/arrow_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_SIZE 32
#define PAIRS_MAX   6u
#define VALUE_SIZE  32

struct pair {
    const char *key;
    const char *value;
};

static void schema_release(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
    }
    /* The children's structs are one block, first in the list. */
    if (schema->n_children > 0) {
        free(schema->children[0]);
    }
    free((void *)schema->children);
    free(schema->private_data); /* format, name and metadata */
    schema->release = NULL;
}

static size_t metadata_size(const struct pair *pairs, uint32_t pairs_count)
{
    size_t size = sizeof(int32_t);

    for (uint32_t i = 0; i < pairs_count; i++) {
        size += 2 * sizeof(int32_t) + strlen(pairs[i].key) + strlen(pairs[i].value);
    }
    return size;
}

static char *metadata_text(char *at, const char *text)
{
    int32_t length = (int32_t)strlen(text);

    memcpy(at, &length, sizeof length);
    memcpy(at + sizeof length, text, (size_t)length);
    return at + sizeof length + length;
}

/* One node. @return false: out of memory, and nothing to release. */
static bool node_make(struct ArrowSchema *schema, const char *format, const char *name,
                      const struct pair *pairs, uint32_t pairs_count)
{
    size_t format_size = strlen(format) + 1;
    size_t name_size = strlen(name) + 1;
    char *text = malloc(format_size + name_size + metadata_size(pairs, pairs_count));

    memset(schema, 0, sizeof *schema);
    if (text == NULL) {
        return false;
    }
    memcpy(text, format, format_size);
    memcpy(text + format_size, name, name_size);
    if (pairs_count > 0) {
        char *at = text + format_size + name_size;
        int32_t count = (int32_t)pairs_count;

        schema->metadata = at;
        memcpy(at, &count, sizeof count);
        at += sizeof count;
        for (uint32_t i = 0; i < pairs_count; i++) {
            at = metadata_text(metadata_text(at, pairs[i].key), pairs[i].value);
        }
    }
    schema->format = text;
    schema->name = text + format_size;
    schema->private_data = text;
    schema->release = schema_release;
    return true;
}

static bool children_make(struct ArrowSchema *schema, uint32_t count)
{
    struct ArrowSchema *block = NULL;

    if (count == 0) {
        return true;
    }
    block = calloc(count, sizeof *block);
    schema->children = calloc(count, sizeof *schema->children);
    if (block == NULL || schema->children == NULL) {
        free(block);
        free((void *)schema->children);
        schema->children = NULL;
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        schema->children[i] = &block[i];
    }
    schema->n_children = count;
    return true;
}

static const char *column_format(const struct nw_column_schema *column, char *buffer)
{
    switch ((enum nw_type)column->type) {
    case NW_TYPE_TEXT:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        return "u";
    case NW_TYPE_BINARY:
        return "z";
    case NW_TYPE_BOOL:
        return "b";
    case NW_TYPE_INT16:
        return "s";
    case NW_TYPE_INT32:
        return "i";
    case NW_TYPE_INT64:
        return "l";
    case NW_TYPE_UINT32:
        return "I";
    case NW_TYPE_FLOAT32:
        return "f";
    case NW_TYPE_FLOAT64:
        return "g";
    case NW_TYPE_DECIMAL:
        (void)snprintf(buffer, FORMAT_SIZE, "d:%u,%u", column->precision, column->scale);
        return buffer;
    case NW_TYPE_DATE:
        return "tdD";
    case NW_TYPE_TIME:
        return "ttu";
    case NW_TYPE_TIMESTAMP:
        return "tsu:";
    case NW_TYPE_TIMESTAMPTZ:
        return "tsu:UTC";
    case NW_TYPE_UUID:
        return "w:16";
    }
    return NULL;
}

static int key_place(const struct nw_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        if (table->key_columns[i] == column) {
            return i;
        }
    }
    return -1;
}

static bool column_make(struct ArrowSchema *schema, const struct nw_table *table, uint16_t index)
{
    const struct nw_column_schema *column = &table->columns[index];
    char buffer[FORMAT_SIZE];
    char oid[VALUE_SIZE];
    char typmod[VALUE_SIZE];
    char attnum[VALUE_SIZE];
    char key[VALUE_SIZE];
    const char *format = column_format(column, buffer);
    struct pair pairs[PAIRS_MAX] = {
        {"narwal.type_oid", oid},
        {"narwal.typmod", typmod},
        {"narwal.attnum", attnum},
        {"narwal.type_name", column->type_name == NULL ? "" : column->type_name}};
    uint32_t count = 4;
    int place = key_place(table, index);

    (void)snprintf(oid, sizeof oid, "%u", column->type_oid);
    (void)snprintf(typmod, sizeof typmod, "%d", column->typmod);
    (void)snprintf(attnum, sizeof attnum, "%d", column->attnum);
    if (place >= 0) {
        (void)snprintf(key, sizeof key, "%d", place);
        pairs[count++] = (struct pair){"narwal.key", key};
    }
    if (column->type == NW_TYPE_UUID || column->type == NW_TYPE_JSON) {
        pairs[count++] = (struct pair){"ARROW:extension:name",
                                       column->type == NW_TYPE_UUID ? "arrow.uuid" : "arrow.json"};
    }
    if (format == NULL || !node_make(schema, format, column->name, pairs, count)) {
        return false;
    }
    schema->flags = ARROW_FLAG_NULLABLE; /* an old image lacks what is not in the identity */
    return true;
}

static bool image_make(struct ArrowSchema *schema, const char *name, const struct nw_table *table)
{
    if (!node_make(schema, "+s", name, NULL, 0)) {
        return false;
    }
    schema->flags = ARROW_FLAG_NULLABLE;
    if (!children_make(schema, table->columns_count)) {
        return false;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (!column_make(schema->children[i], table, i)) {
            return false;
        }
    }
    return true;
}

static bool exceptions_make(struct ArrowSchema *schema)
{
    struct ArrowSchema *entry;

    if (!node_make(schema, "+l", "exceptions", NULL, 0) || !children_make(schema, 1)) {
        return false;
    }
    entry = schema->children[0];
    if (!node_make(entry, "+s", "item", NULL, 0) || !children_make(entry, 4) ||
        !node_make(entry->children[0], "C", "side", NULL, 0) ||
        !node_make(entry->children[1], "S", "column", NULL, 0) ||
        !node_make(entry->children[2], "u", "text", NULL, 0) ||
        !node_make(entry->children[3], "z", "bytes", NULL, 0)) {
        return false;
    }
    entry->children[2]->flags = ARROW_FLAG_NULLABLE; /* one of the two is null */
    entry->children[3]->flags = ARROW_FLAG_NULLABLE;
    return true;
}

static bool fields_make(struct ArrowSchema *schema, const struct nw_table *table, uint32_t stride)
{
    static const struct pair flat[] = {
        {"op", "C"},  {"commit_lsn", "L"},      {"row_lsn", "L"}, {"seq", "L"},
        {"xid", "I"}, {"commit_ts", "tsu:UTC"}, {"origin", "u"},  {"copy", "b"}};
    struct ArrowSchema **children;
    char missing[FORMAT_SIZE];
    uint32_t at = 0;

    if (!children_make(schema, NW_ARROW_FIELDS)) {
        return false;
    }
    children = schema->children;
    for (; at < sizeof flat / sizeof flat[0]; at++) {
        if (!node_make(children[at], flat[at].value, flat[at].key, NULL, 0)) {
            return false;
        }
    }
    (void)snprintf(missing, sizeof missing, "w:%u", stride);
    return image_make(children[at], "before", table) &&
           image_make(children[at + 1], "after", table) &&
           node_make(children[at + 2], missing, "before_missing", NULL, 0) &&
           node_make(children[at + 3], missing, "after_missing", NULL, 0) &&
           exceptions_make(children[at + 4]);
}

nw_status nw_arrow_schema(const struct nw_table *table, uint32_t missing_stride,
                          struct ArrowSchema *schema, struct nw_error *err)
{
    char oid[VALUE_SIZE];
    char version[VALUE_SIZE];
    const struct pair pairs[] = {{"narwal.schema", table->schema_name},
                                 {"narwal.table", table->name},
                                 {"narwal.relation_oid", oid},
                                 {"narwal.version", version}};

    (void)snprintf(oid, sizeof oid, "%u", table->relation_oid);
    (void)snprintf(version, sizeof version, "%u", table->version);
    if (!node_make(schema, "+s", "", pairs, 4)) {
        return nw_fail(err, NW_RETRY, "out of memory for an Arrow schema");
    }
    if (!fields_make(schema, table, missing_stride)) {
        schema->release(schema);
        return nw_fail(err, NW_RETRY, "out of memory for an Arrow schema");
    }
    return NW_OK;
}
