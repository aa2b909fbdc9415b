/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include "config/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/code.h"
#include "base/errno.h"
#include "base/log.h"
#include "config/secret.h"

#define DEPTH_MAX          16
#define DOCUMENT_BYTES_MAX (4u << 20)

struct loader {
    struct nw_arena *arena;
    const char *file;
    yaml_document_t document;
};

NW_PRINTF(5, 0)
static nw_status fail_at(const struct nw_node *node, unsigned line, unsigned column,
                         struct nw_error *err, const char *format, va_list args)
{
    char text[NW_ERROR_TEXT_SIZE / 2];

    (void)vsnprintf(text, sizeof text, format, args);
    if (node->file[0] == '\0') {
        return nw_fail(err, NW_FATAL, "%s", text);
    }
    return nw_fail(err, NW_FATAL, "%s:%u:%u: %s", node->file, line, column, text);
}

nw_status nw_tree_fail(const struct nw_node *node, const char *code, struct nw_error *err,
                       const char *format, ...)
{
    char with_code[256];
    va_list args;
    nw_status status = NW_FATAL;

    (void)snprintf(with_code, sizeof with_code, "%s %s", code, format);
    va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    status = fail_at(node, node->line, node->column, err, with_code, args);
#pragma GCC diagnostic pop
    va_end(args);
    return status;
}

nw_status nw_tree_fail_key(const struct nw_node *node, const char *code, struct nw_error *err,
                           const char *format, ...)
{
    char with_code[256];
    va_list args;
    nw_status status = NW_FATAL;

    (void)snprintf(with_code, sizeof with_code, "%s %s", code, format);
    va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    status = fail_at(node, node->key_line, node->key_column, err, with_code, args);
#pragma GCC diagnostic pop
    va_end(args);
    return status;
}

struct nw_node *nw_tree_member(const struct nw_node *map, const char *key)
{
    for (struct nw_node *node = map == NULL ? NULL : map->first; node != NULL; node = node->next) {
        if (node->key != NULL && strcmp(node->key, key) == 0) {
            return node;
        }
    }
    return NULL;
}

/* ---- secrets ---- */

/* Replaces every ${...} in a scalar. */
static nw_status expand(struct loader *loader, struct nw_node *node, struct nw_error *err)
{
    struct nw_error why = {0};
    char *text = NULL;

    if (strstr(node->text, "${") == NULL) {
        return NW_OK;
    }
    if (nw_secret_expand(node->text, &text, &why) != NW_OK) {
        const char *code = nw_code_find(why.text); /* which stands behind the place */

        return code == NULL ? nw_fail(err, NW_FATAL, "%s", why.text)
                            : nw_tree_fail(node, "NW1005", err, "%s", nw_code_rest(why.text));
    }
    nw_secret_look(node->text, node->file, node->line, node->column);
    node->source = node->text;
    node->text = nw_arena_text(loader->arena, text);
    node->secret = true;
    explicit_bzero(text, strlen(text));
    free(text);
    return node->text != NULL ? NW_OK : nw_fail(err, NW_FATAL, "out of memory");
}

/* ---- the tree ---- */

static nw_status node_build(struct loader *loader, int index, int depth, struct nw_node **made,
                            struct nw_error *err);

static nw_status scalar_build(struct loader *loader, const yaml_node_t *from, struct nw_node *node,
                              struct nw_error *err)
{
    node->kind = NW_NODE_SCALAR;
    node->plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = nw_arena_text_of(loader->arena, from->data.scalar.value, from->data.scalar.length);
    if (node->text == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory reading the configuration");
    }
    if (strlen(node->text) != from->data.scalar.length) {
        return nw_tree_fail(node, "NW1004", err, "a NUL inside a value");
    }
    return expand(loader, node, err);
}

static nw_status list_build(struct loader *loader, const yaml_node_t *from, int depth,
                            struct nw_node *node, struct nw_error *err)
{
    struct nw_node **link = &node->first;
    nw_status status = NW_OK;

    node->kind = NW_NODE_LIST;
    for (const yaml_node_item_t *item = from->data.sequence.items.start;
         item < from->data.sequence.items.top && status == NW_OK; item++) {
        status = node_build(loader, *item, depth + 1, link, err);
        if (status == NW_OK) {
            link = &(*link)->next;
        }
    }
    return status;
}

static nw_status map_build(struct loader *loader, const yaml_node_t *from, int depth,
                           struct nw_node *node, struct nw_error *err)
{
    struct nw_node **link = &node->first;
    nw_status status = NW_OK;

    node->kind = NW_NODE_MAP;
    for (const yaml_node_pair_t *pair = from->data.mapping.pairs.start;
         pair < from->data.mapping.pairs.top && status == NW_OK; pair++) {
        struct nw_node *key = NULL;
        struct nw_node *value = NULL;

        status = node_build(loader, pair->key, depth + 1, &key, err);
        status = status == NW_OK ? node_build(loader, pair->value, depth + 1, &value, err) : status;
        if (status != NW_OK) {
            break;
        }
        if (key->kind != NW_NODE_SCALAR) {
            return nw_tree_fail(key, "NW1004", err, "a key must be a plain word");
        }
        if (nw_tree_member(node, key->text) != NULL) {
            return nw_tree_fail(key, "NW1004", err, "key \"%s\" stands here twice", key->text);
        }
        value->key = key->text;
        value->key_line = key->line;
        value->key_column = key->column;
        *link = value;
        link = &value->next;
    }
    return status;
}

static nw_status node_build(struct loader *loader, int index, int depth, struct nw_node **made,
                            struct nw_error *err)
{
    const yaml_node_t *from = yaml_document_get_node(&loader->document, index);
    struct nw_node *node = nw_arena_alloc(loader->arena, sizeof *node);

    if (node == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory reading the configuration");
    }
    node->file = loader->file;
    node->line = (unsigned)from->start_mark.line + 1;
    node->column = (unsigned)from->start_mark.column + 1;
    *made = node;
    if (depth > DEPTH_MAX) { /* an alias may contain itself */
        return nw_tree_fail(node, "NW1004", err, "nested too deep");
    }
    switch (from->type) {
    case YAML_SCALAR_NODE:
        return scalar_build(loader, from, node, err);
    case YAML_SEQUENCE_NODE:
        return list_build(loader, from, depth, node, err);
    case YAML_MAPPING_NODE:
        return map_build(loader, from, depth, node, err);
    case YAML_NO_NODE:
        break;
    }
    return nw_tree_fail(node, "NW1004", err, "an empty node");
}

/* What follows the document would be ignored without a word. */
static nw_status end_check(yaml_parser_t *parser, const char *name, struct nw_error *err)
{
    yaml_document_t more;
    nw_status status = NW_OK;

    if (yaml_parser_load(parser, &more) == 0) {
        return nw_fail(err, NW_FATAL, "%s:%zu:%zu: NW1001 this is not YAML: %s", name,
                       parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                       parser->problem == NULL ? "?" : parser->problem);
    }
    if (yaml_document_get_root_node(&more) != NULL) {
        status = nw_fail(err, NW_FATAL,
                         "%s:%zu:1: NW1001 a second document: one file is one configuration", name,
                         more.start_mark.line + 1);
    }
    yaml_document_delete(&more);
    return status;
}

nw_status nw_tree_parse(const char *text, size_t size, const char *name, struct nw_arena *arena,
                        struct nw_node **root, struct nw_error *err)
{
    struct loader loader = {.arena = arena, .file = nw_arena_text(arena, name)};
    yaml_parser_t parser;
    nw_status status = NW_OK;

    if (loader.file == NULL || yaml_parser_initialize(&parser) == 0) {
        return nw_fail(err, NW_FATAL, "out of memory reading %s", name);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (yaml_parser_load(&parser, &loader.document) == 0) {
        status = nw_fail(err, NW_FATAL, "%s:%zu:%zu: NW1001 this is not YAML: %s%s%s", name,
                         parser.problem_mark.line + 1, parser.problem_mark.column + 1,
                         parser.problem == NULL ? "?" : parser.problem,
                         parser.context == NULL ? "" : " ",
                         parser.context == NULL ? "" : parser.context);
        yaml_parser_delete(&parser);
        return status;
    }
    if (yaml_document_get_root_node(&loader.document) == NULL) {
        status = nw_fail(err, NW_FATAL, "%s:1:1: NW1001 the file is empty", name);
    } else {
        status = node_build(&loader, 1, 0, root, err);
    }
    yaml_document_delete(&loader.document);
    if (status == NW_OK) {
        status = end_check(&parser, name, err);
    }
    yaml_parser_delete(&parser);
    return status;
}

nw_status nw_tree_load(const char *path, struct nw_arena *arena, struct nw_node **root,
                       struct nw_error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    char *text = malloc(DOCUMENT_BYTES_MAX);
    size_t size = 0;
    nw_status status = NW_OK;

    if (file == NULL || text == NULL) {
        status = file == NULL
                     ? nw_fail(err, NW_FATAL, "NW1000 cannot read the configuration %s: %s", path,
                               nw_errno_text(errno))
                     : nw_fail(err, NW_FATAL, "out of memory reading %s", path);
        goto out;
    }
    size = fread(text, 1, DOCUMENT_BYTES_MAX, file);
    if (ferror(file) != 0) {
        status = nw_fail(err, NW_FATAL, "NW1000 cannot read the configuration %s: %s", path,
                         nw_errno_text(errno));
    } else if (size == DOCUMENT_BYTES_MAX) {
        status = nw_fail(err, NW_FATAL, "NW1000 the configuration %s is larger than 4 MiB", path);
    } else {
        status =
            nw_tree_parse(text, size, standard_input ? "(standard input)" : path, arena, root, err);
    }

out:
    if (file != NULL && !standard_input) {
        (void)fclose(file);
    }
    free(text);
    return status;
}
