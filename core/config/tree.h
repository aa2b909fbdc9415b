/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree that knows where each piece stood. References inside a scalar
 * (config/secret.h) are replaced while loading, and what they give is a secret: never printed.
 *
 * YAML 1.1 by libyaml. Built once at start; constant afterwards.
 */
#ifndef NW_CONFIG_TREE_H
#define NW_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include <narwal/status.h>

enum nw_node_kind { NW_NODE_SCALAR, NW_NODE_LIST, NW_NODE_MAP };

struct nw_node {
    enum nw_node_kind kind;
    const char *file;      /* for messages; "" for command-line arguments */
    unsigned line, column; /* from 1 */
    const char *text;      /* SCALAR */
    bool secret;           /* SCALAR: came from a reference, as ${file:} */
    const char *source;    /* the same as it was written, with its references; NULL: it has none */
    bool plain;            /* SCALAR: written without quotes */
    const char *key;       /* of a MAP's member */
    unsigned key_line, key_column;
    struct nw_node *first; /* LIST, MAP: the members */
    struct nw_node *next;  /* among its siblings */
};

/** @param path  "-" reads standard input. @param root  in the arena. */
NW_MUST_CHECK nw_status nw_tree_load(const char *path, struct nw_arena *arena,
                                     struct nw_node **root, struct nw_error *err);
/** The same from memory; name stands for the file in messages. */
NW_MUST_CHECK nw_status nw_tree_parse(const char *text, size_t size, const char *name,
                                      struct nw_arena *arena, struct nw_node **root,
                                      struct nw_error *err);

/** The member of a map, or NULL. A NULL map has none. */
struct nw_node *nw_tree_member(const struct nw_node *map, const char *key);

/** An error at a node: FILE:LINE:COLUMN: CODE text. */
NW_PRINTF(4, 5)
nw_status nw_tree_fail(const struct nw_node *node, const char *code, struct nw_error *err,
                       const char *format, ...);
/** The same at a member's key. */
NW_PRINTF(4, 5)
nw_status nw_tree_fail_key(const struct nw_node *node, const char *code, struct nw_error *err,
                           const char *format, ...);

#endif
