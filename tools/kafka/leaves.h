/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message of Kafka taken apart into leaves: a path and a value each. Key and value are JSON, with
 * or without Connect's schema around it, Avro of a registry, or bytes; headers are texts or JSON.
 *
 *   partition            3
 *   key.id               7
 *   value.after.price    "12.50"
 *   value-schema.fields[0].type
 *   header.__debezium.newkey.id
 *
 * Owned by one thread; nothing is kept between messages but memory.
 */
#ifndef NW_TOOLS_KAFKA_LEAVES_H
#define NW_TOOLS_KAFKA_LEAVES_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/out.h"

#define NW_PATH_SIZE 4096u

enum nw_leaf_kind {
    NW_LEAF_STRING,
    NW_LEAF_NUMBER,
    NW_LEAF_WORD,  /* true, false, null */
    NW_LEAF_EMPTY, /* {} or [] */
    NW_LEAF_BYTES, /* no JSON */
    NW_LEAF_NONE,  /* the message has no key, or no value */
    NW_LEAF_BELOW, /* a string that began with the prefix of the topics, without it */
};

struct nw_leaf {
    const char *path; /* NUL-terminated */
    const char *text; /* what is compared: unescaped, numbers in one form */
    size_t size;
    const char *shown; /* as it stands in the message */
    size_t shown_size;
    enum nw_leaf_kind kind;
    uint32_t place;               /* among the leaves of its document */
    bool keyless, key_has_schema; /* of the message */
};

struct nw_avro_schema;

/** A schema that a registry has. */
struct nw_leaves_avro {
    const struct nw_avro_schema *schema;
    const char *text; /* its JSON */
    size_t size;
};

struct nw_leaves {
    /** Called for each leaf, which is valid until it returns. */
    void (*leaf)(void *context, const struct nw_leaf *leaf);
    /** Called before Connect's schema of a document; true: it is not walked through. May be NULL.
     */
    bool (*schema)(void *context, bool of_value, const void *bytes, size_t size);
    /** Called behind it, when it was. */
    void (*schema_end)(void *context, bool of_value);
    /** Gives the schema with this number; NULL: there is none. NULL itself: there is no registry,
     * and Avro is bytes. */
    const struct nw_leaves_avro *(*avro)(void *context, uint32_t id);
    void *context;
    bool as_written; /* numbers are compared as text */

    char path[NW_PATH_SIZE];
    size_t path_used;
    uint32_t place;
    bool keyless, key_has_schema;
    struct nw_out text; /* scratch */
};

/** Take a message apart. @return false when memory ran out. */
bool nw_leaves_of(struct nw_leaves *leaves, const rd_kafka_message_t *message);
void nw_leaves_fini(struct nw_leaves *leaves);

/* ---- for avro.c ---- */

/** Say a leaf with the path that is there. */
void nw_leaf_give(struct nw_leaves *leaves, enum nw_leaf_kind kind, const void *text, size_t size);
/** Go down into a member or an item; where the path would be too long it stays as it is. */
void nw_leaves_member(struct nw_leaves *leaves, const char *name);
void nw_leaves_item(struct nw_leaves *leaves, uint64_t index);
/** Back to where `path_used` was. */
void nw_leaves_cut(struct nw_leaves *leaves, size_t used);

#endif
