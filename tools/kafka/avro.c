/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas and values of Avro: see avro.h. Values are read twice, first without saying anything. */
#include "kafka/avro.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "kafka/leaves.h"

#define SCHEMA_BYTES_MAX (16u << 20)
#define NODES_MAX        100000u
#define DEPTH_MAX        64u      /* of a schema's text, and of a value */
#define STEPS_MAX        1000000u /* of a value, besides one for each of its bytes */
#define NAME_SIZE        512u

enum kind {
    KIND_NULL,
    KIND_BOOLEAN,
    KIND_INT,
    KIND_LONG,
    KIND_FLOAT,
    KIND_DOUBLE,
    KIND_BYTES,
    KIND_STRING,
    KIND_RECORD,
    KIND_ENUM,
    KIND_ARRAY,
    KIND_MAP,
    KIND_UNION,
    KIND_FIXED
};

static const char *const kind_names[] = {"null",   "boolean", "int",    "long",   "float",
                                         "double", "bytes",   "string", "record", "enum",
                                         "array",  "map",     NULL,     "fixed"};
#define KINDS (sizeof kind_names / sizeof kind_names[0])

struct node {
    enum kind kind;
    uint32_t count; /* of children, or of an enum's names */
    struct node **children;
    const char **names; /* of a record's fields, of an enum's symbols */
    uint64_t size;      /* of FIXED */
    const char *name;   /* full; NULL: it has none */
    struct node *next;  /* with a name */
};

struct nw_avro_schema {
    struct nw_arena arena;
    struct node *root;
    struct node *named;
    uint32_t nodes;
};

/* ---- schemas ---- */

struct reading {
    struct nw_avro_schema *schema;
    struct nw_error *err;
    const char *space; /* the namespace that names without a dot are in; "" */
    uint32_t depth;
};

static struct node *schema_node(struct reading *reading, const json_t *json);

static struct node *wrong(struct reading *reading, const char *what, const char *name)
{
    if (reading->err->text[0] == '\0') {
        (void)nw_fail(reading->err, NW_CORRUPT, "%s%s%.200s", what, name == NULL ? "" : ": ",
                      name == NULL ? "" : name);
    }
    return NULL;
}

static struct node *node_make(struct reading *reading, enum kind kind)
{
    struct nw_avro_schema *schema = reading->schema;
    struct node *node =
        schema->nodes < NODES_MAX ? nw_arena_array(&schema->arena, 1, sizeof *node) : NULL;

    if (node == NULL) {
        return wrong(reading, "it is too large", NULL);
    }
    schema->nodes++;
    node->kind = kind;
    return node;
}

static enum kind kind_of(const char *name)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (kind_names[i] != NULL && strcmp(kind_names[i], name) == 0) {
            return (enum kind)i;
        }
    }
    return strcmp(name, "error") == 0 ? KIND_RECORD : KIND_UNION;
}

/* In the arena. */
static const char *full_name(struct reading *reading, const char *space, const char *name)
{
    char full[2 * NAME_SIZE];
    bool whole = strchr(name, '.') != NULL || space[0] == '\0';
    int size = snprintf(full, sizeof full, "%s%s%s", whole ? "" : space, whole ? "" : ".", name);

    return size > 0 && (size_t)size < sizeof full ? nw_arena_text(&reading->schema->arena, full)
                                                  : NULL;
}

static struct node *named_find(const struct nw_avro_schema *schema, const char *name)
{
    for (struct node *node = schema->named; node != NULL; node = node->next) {
        if (strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

/* "long", or the name of a type that stands before. */
static struct node *word_node(struct reading *reading, const char *word)
{
    enum kind kind = kind_of(word);
    const char *name = NULL;
    struct node *found = NULL;

    if (kind <= KIND_STRING) {
        return node_make(reading, kind);
    }
    name = full_name(reading, reading->space, word);
    found = name == NULL ? NULL : named_find(reading->schema, name);
    found = found != NULL ? found : named_find(reading->schema, word);
    return found != NULL ? found : wrong(reading, "it has no type of this name", word);
}

static bool children_make(struct reading *reading, struct node *node, size_t count)
{
    struct nw_arena *arena = &reading->schema->arena;

    if (count > NODES_MAX) {
        (void)wrong(reading, "it is too large", NULL);
        return false;
    }
    node->children = nw_arena_array(arena, count + 1, sizeof(struct node *));
    node->names = nw_arena_array(arena, count + 1, sizeof(const char *));
    node->count = (uint32_t)count;
    if (node->children == NULL || node->names == NULL) {
        (void)wrong(reading, "it is too large", NULL);
        return false;
    }
    return true;
}

static struct node *union_node(struct reading *reading, const json_t *json)
{
    struct node *node = node_make(reading, KIND_UNION);

    if (node == NULL || !children_make(reading, node, json_array_size(json))) {
        return NULL;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        node->children[i] = schema_node(reading, json_array_get(json, i));
        if (node->children[i] == NULL) {
            return NULL;
        }
    }
    return node;
}

/* Its name is known from here on, also inside of it. @return false: it has none */
static bool name_take(struct reading *reading, struct node *node, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *space = json_string_value(json_object_get(json, "namespace"));
    const char *dot = NULL;

    if (name == NULL || name[0] == '\0' || strlen(name) >= NAME_SIZE) {
        (void)wrong(reading, "a type has no name", name);
        return false;
    }
    node->name = full_name(reading, space != NULL ? space : reading->space, name);
    if (node->name == NULL) {
        (void)wrong(reading, "a name is too long", name);
        return false;
    }
    node->next = reading->schema->named;
    reading->schema->named = node;
    dot = strrchr(node->name, '.');
    reading->space = dot == NULL ? ""
                                 : nw_arena_text_of(&reading->schema->arena, node->name,
                                                    (size_t)(dot - node->name));
    return reading->space != NULL;
}

static struct node *record_fill(struct reading *reading, struct node *node, const json_t *json)
{
    const json_t *fields = json_object_get(json, "fields");

    if (!json_is_array(fields) || !children_make(reading, node, json_array_size(fields))) {
        return wrong(reading, "a record has no fields", node->name);
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "name"));

        if (name == NULL) {
            return wrong(reading, "a field has no name", node->name);
        }
        node->names[i] = nw_arena_text(&reading->schema->arena, name);
        node->children[i] = schema_node(reading, json_object_get(field, "type"));
        if (node->names[i] == NULL || node->children[i] == NULL) {
            return wrong(reading, "it is too large", NULL);
        }
    }
    return node;
}

static struct node *enum_fill(struct reading *reading, struct node *node, const json_t *json)
{
    const json_t *symbols = json_object_get(json, "symbols");

    if (!json_is_array(symbols) || !children_make(reading, node, json_array_size(symbols))) {
        return wrong(reading, "an enum has no symbols", node->name);
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const char *symbol = json_string_value(json_array_get(symbols, i));

        node->names[i] = symbol == NULL ? NULL : nw_arena_text(&reading->schema->arena, symbol);
        if (node->names[i] == NULL) {
            return wrong(reading, "an enum's symbol is no text", node->name);
        }
    }
    return node;
}

static struct node *items_node(struct reading *reading, enum kind kind, const json_t *items)
{
    struct node *node = node_make(reading, kind);

    if (node == NULL || !children_make(reading, node, 1)) {
        return NULL;
    }
    node->children[0] = schema_node(reading, items);
    return node->children[0] == NULL ? NULL : node;
}

static struct node *named_node(struct reading *reading, enum kind kind, const json_t *json)
{
    const char *space = reading->space;
    struct node *node = node_make(reading, kind);
    json_int_t size = json_integer_value(json_object_get(json, "size"));

    if (node == NULL || !name_take(reading, node, json)) {
        node = NULL;
    } else if (kind == KIND_RECORD) {
        node = record_fill(reading, node, json);
    } else if (kind == KIND_ENUM) {
        node = enum_fill(reading, node, json);
    } else {
        node->size = size < 0 ? UINT64_MAX : (uint64_t)size;
    }
    reading->space = space;
    return node;
}

static struct node *object_node(struct reading *reading, const json_t *json)
{
    const json_t *type = json_object_get(json, "type");
    const char *word = json_string_value(type);
    enum kind kind = word == NULL ? KIND_UNION : kind_of(word);

    switch (kind) {
    case KIND_RECORD:
    case KIND_ENUM:
    case KIND_FIXED:
        return named_node(reading, kind, json);
    case KIND_ARRAY:
        return items_node(reading, kind, json_object_get(json, "items"));
    case KIND_MAP:
        return items_node(reading, kind, json_object_get(json, "values"));
    case KIND_NULL:
    case KIND_BOOLEAN:
    case KIND_INT:
    case KIND_LONG:
    case KIND_FLOAT:
    case KIND_DOUBLE:
    case KIND_BYTES:
    case KIND_STRING:
    case KIND_UNION:
        break;
    }
    return schema_node(reading, type);
}

static struct node *schema_node(struct reading *reading, const json_t *json)
{
    struct node *node = NULL;

    if (reading->depth++ == DEPTH_MAX) {
        node = wrong(reading, "it is too deep", NULL);
    } else if (json_is_string(json)) {
        node = word_node(reading, json_string_value(json));
    } else if (json_is_array(json)) {
        node = union_node(reading, json);
    } else if (json_is_object(json)) {
        node = object_node(reading, json);
    } else {
        node = wrong(reading, "a type is missing", NULL);
    }
    reading->depth--;
    return node;
}

nw_status nw_avro_schema_read(const char *text, size_t size, struct nw_avro_schema **schema,
                              struct nw_error *err)
{
    struct nw_avro_schema *made = calloc(1, sizeof *made);
    struct reading reading = {.schema = made, .err = err, .space = ""};
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    err->text[0] = '\0';
    if (made != NULL) {
        nw_arena_init(&made->arena, SCHEMA_BYTES_MAX);
        made->root =
            json == NULL ? wrong(&reading, "it is no JSON", NULL) : schema_node(&reading, json);
    }
    json_decref(json);
    if (made == NULL || made->root == NULL) {
        nw_avro_schema_free(made);
        return made == NULL ? nw_fail(err, NW_FATAL, "out of memory for a schema") : NW_CORRUPT;
    }
    *schema = made;
    return NW_OK;
}

void nw_avro_schema_free(struct nw_avro_schema *schema)
{
    if (schema != NULL) {
        nw_arena_fini(&schema->arena);
        free(schema);
    }
}

/* ---- values ---- */

struct walking {
    struct nw_cursor at;
    struct nw_leaves *leaves; /* NULL: nothing is said */
    uint64_t steps;           /* that are left */
    uint32_t depth;
};

static void node_walk(struct walking *walking, const struct node *node);

static void fail(struct walking *walking)
{
    walking->at.failed = true;
}

/* Zig-zag, at most 10 bytes. */
static int64_t long_take(struct walking *walking)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = nw_cursor_u8(&walking->at);

        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        }
    }
    fail(walking);
    return 0;
}

static const void *bytes_take(struct walking *walking, uint64_t size)
{
    if (size > walking->at.left) {
        fail(walking);
        return NULL;
    }
    return nw_cursor_take(&walking->at, (size_t)size);
}

static const void *block_take(struct walking *walking, size_t *size)
{
    int64_t said = long_take(walking);
    const void *bytes = said < 0 ? NULL : bytes_take(walking, (uint64_t)said);

    if (said < 0) {
        fail(walking);
    }
    *size = bytes == NULL ? 0 : (size_t)said;
    return bytes;
}

static void say(struct walking *walking, enum nw_leaf_kind kind, const void *text, size_t size)
{
    if (walking->leaves != NULL && !walking->at.failed) {
        nw_leaf_give(walking->leaves, kind, text == NULL ? "" : text, size);
    }
}

static void say_text(struct walking *walking, enum nw_leaf_kind kind, const char *text)
{
    say(walking, kind, text, strlen(text));
}

static void long_walk(struct walking *walking)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%" PRId64, long_take(walking));

    say(walking, NW_LEAF_NUMBER, text, (size_t)size);
}

static uint64_t little_endian(struct walking *walking, size_t size)
{
    const uint8_t *bytes = bytes_take(walking, size);
    uint64_t value = 0;

    for (size_t i = 0; bytes != NULL && i < size; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}

/* As many digits as make the same number again. */
static void real_walk(struct walking *walking, bool wide)
{
    uint64_t bits = little_endian(walking, wide ? 8 : 4);
    uint32_t half = (uint32_t)bits;
    double value = 0;
    float narrow = 0;
    char text[40];
    int size = 0;

    memcpy(&value, &bits, sizeof value);
    memcpy(&narrow, &half, sizeof narrow);
    value = wide ? value : (double)narrow;
    size = snprintf(text, sizeof text, "%.*g", wide ? 17 : 9, value);
    say(walking, isfinite(value) ? NW_LEAF_NUMBER : NW_LEAF_WORD, text, (size_t)size);
}

static void child_walk(struct walking *walking, const struct node *node, const char *name)
{
    size_t used = walking->leaves == NULL ? 0 : walking->leaves->path_used;

    if (walking->leaves != NULL) {
        nw_leaves_member(walking->leaves, name);
    }
    node_walk(walking, node);
    if (walking->leaves != NULL) {
        nw_leaves_cut(walking->leaves, used);
    }
}

static void record_walk(struct walking *walking, const struct node *node)
{
    for (uint32_t i = 0; i < node->count && !walking->at.failed; i++) {
        child_walk(walking, node->children[i], node->names[i]);
    }
    if (node->count == 0) {
        say_text(walking, NW_LEAF_EMPTY, "{}");
    }
}

static void item_walk(struct walking *walking, const struct node *node, uint64_t index)
{
    char name[NAME_SIZE];
    const char *key = NULL;
    size_t size = 0;
    size_t used = walking->leaves == NULL ? 0 : walking->leaves->path_used;

    if (node->kind == KIND_MAP) {
        key = block_take(walking, &size);
        (void)snprintf(name, sizeof name, "%.*s", (int)(size < NAME_SIZE ? size : NAME_SIZE - 1),
                       key == NULL ? "" : key);
        child_walk(walking, node->children[0], name);
        return;
    }
    if (walking->leaves != NULL) {
        nw_leaves_item(walking->leaves, index);
    }
    node_walk(walking, node->children[0]);
    if (walking->leaves != NULL) {
        nw_leaves_cut(walking->leaves, used);
    }
}

/* Blocks: how many items, or minus how many and their bytes; 0 is the end. */
static void items_walk(struct walking *walking, const struct node *node)
{
    uint64_t index = 0;

    while (!walking->at.failed) {
        int64_t count = long_take(walking);

        if (count < 0) {
            count = count == INT64_MIN ? INT64_MAX : -count;
            (void)long_take(walking);
        }
        if (count == 0 || walking->at.failed) {
            break;
        }
        for (int64_t i = 0; i < count && !walking->at.failed; i++) {
            item_walk(walking, node, index++);
        }
    }
    if (index == 0) {
        say_text(walking, NW_LEAF_EMPTY, node->kind == KIND_MAP ? "{}" : "[]");
    }
}

static void choice_walk(struct walking *walking, const struct node *node)
{
    int64_t chosen = long_take(walking);

    if (chosen < 0 || chosen >= node->count) {
        fail(walking);
    } else if (node->kind == KIND_ENUM) {
        say_text(walking, NW_LEAF_STRING, node->names[chosen]);
    } else {
        node_walk(walking, node->children[chosen]);
    }
}

static void bytes_walk(struct walking *walking, const struct node *node)
{
    size_t size = 0;
    const void *bytes = NULL;

    if (node->kind == KIND_FIXED) {
        bytes = bytes_take(walking, node->size);
        size = bytes == NULL ? 0 : (size_t)node->size;
    } else {
        bytes = block_take(walking, &size);
    }
    say(walking, node->kind == KIND_STRING ? NW_LEAF_STRING : NW_LEAF_BYTES, bytes, size);
}

static void scalar_walk(struct walking *walking, const struct node *node)
{
    uint8_t byte = 0;

    switch (node->kind) {
    case KIND_NULL:
        say_text(walking, NW_LEAF_WORD, "null");
        break;
    case KIND_BOOLEAN:
        byte = nw_cursor_u8(&walking->at);
        walking->at.failed |= byte > 1;
        say_text(walking, NW_LEAF_WORD, byte == 1 ? "true" : "false");
        break;
    case KIND_FLOAT:
    case KIND_DOUBLE:
        real_walk(walking, node->kind == KIND_DOUBLE);
        break;
    case KIND_INT:
    case KIND_LONG:
    case KIND_BYTES:
    case KIND_STRING:
    case KIND_RECORD:
    case KIND_ENUM:
    case KIND_ARRAY:
    case KIND_MAP:
    case KIND_UNION:
    case KIND_FIXED:
        long_walk(walking);
        break;
    }
}

static void node_walk(struct walking *walking, const struct node *node)
{
    if (walking->steps == 0 || walking->depth == DEPTH_MAX) {
        fail(walking);
        return;
    }
    walking->steps--;
    walking->depth++;
    if (node->kind == KIND_RECORD) {
        record_walk(walking, node);
    } else if (node->kind == KIND_ARRAY || node->kind == KIND_MAP) {
        items_walk(walking, node);
    } else if (node->kind == KIND_UNION || node->kind == KIND_ENUM) {
        choice_walk(walking, node);
    } else if (node->kind == KIND_BYTES || node->kind == KIND_STRING || node->kind == KIND_FIXED) {
        bytes_walk(walking, node);
    } else {
        scalar_walk(walking, node);
    }
    walking->depth--;
}

static bool value_walk(struct nw_leaves *leaves, const struct nw_avro_schema *schema,
                       const void *bytes, size_t size)
{
    struct walking walking = {
        .at = nw_cursor_of(bytes, size), .leaves = leaves, .steps = STEPS_MAX + size};

    node_walk(&walking, schema->root);
    return !walking.at.failed && walking.at.left == 0;
}

bool nw_avro_walk(struct nw_leaves *leaves, const struct nw_avro_schema *schema, const void *bytes,
                  size_t size)
{
    return value_walk(NULL, schema, bytes, size) && value_walk(leaves, schema, bytes, size);
}
