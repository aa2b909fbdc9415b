/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as a tree of nodes that know where they stand: read from YAML 1.1 by libyaml, or
 * built from command-line arguments. Everything lives in one arena. Constant once read.
 */
#ifndef NW_CONFIG_NODE_H
#define NW_CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include <narwal/status.h>

#define NW_CONFIG_BYTES_MAX   (1u << 20) /* of a file */
#define NW_CONFIG_NODES_MAX   65536u
#define NW_CONFIG_DEPTH_MAX   16u
#define NW_CONFIG_SECRETS_MAX 65536u     /* bytes of a file that holds a secret */
#define NW_PLACE_SIZE         512u

enum nw_node_kind { NW_NODE_SCALAR, NW_NODE_LIST, NW_NODE_MAP };

struct nw_node {
    enum nw_node_kind kind;
    const char *file;     /* as the user named it; "--sink" for an argument */
    uint32_t line, column; /* from 1; 0: not from a file */
    const char *key;      /* inside a mapping, else NULL */
    uint32_t key_line, key_column;
    const char *text;     /* of a scalar, with references resolved */
    const char *written;  /* of a scalar, as written */
    bool quoted;          /* of a scalar; a plain one may be empty, which is no value */
    bool referred;        /* text came from ${file:...} or ${env:...}: it is a secret */
    struct nw_node *first; /* children, in order */
    struct nw_node *next;  /* sibling */
};

/** "orders.yaml:8:20: ", or "--sink: "; of the node, or of its key. @return place */
const char *nw_node_place(const struct nw_node *node, bool of_key, char place[NW_PLACE_SIZE]);
/** The child of a mapping with this key, or NULL. */
const struct nw_node *nw_node_get(const struct nw_node *map, const char *key);

/**
 * Read a file. References are resolved and registered as secrets.
 * @param root  filled; a mapping.
 */
NW_MUST_CHECK nw_status nw_node_read(const char *path, struct nw_arena *arena,
                                     struct nw_node **root, struct nw_error *err);
/** The same from memory. @param name  stands for the file in messages. */
NW_MUST_CHECK nw_status nw_node_parse(const char *name, const void *bytes, size_t size,
                                      struct nw_arena *arena, struct nw_node **root,
                                      struct nw_error *err);

/** Build nodes: a scalar for a key of a mapping. NULL: out of memory. */
struct nw_node *nw_node_add(struct nw_arena *arena, struct nw_node *parent, enum nw_node_kind kind,
                            const char *key, const char *text);
struct nw_node *nw_node_root(struct nw_arena *arena, const char *file);

/**
 * Resolve ${file:/path} and ${env:NAME} inside a text; $${ is a literal ${. A file's final newline is
 * dropped. What came from a reference is registered with nw_log_secret().
 * @param node  scalar; its text and referred are set.
 */
NW_MUST_CHECK nw_status nw_node_refer(struct nw_node *node, struct nw_arena *arena,
                                      struct nw_error *err);

#endif
