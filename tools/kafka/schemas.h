/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas of a registry, by their numbers, each asked for once. One thread. */
#ifndef NW_TOOLS_KAFKA_SCHEMAS_H
#define NW_TOOLS_KAFKA_SCHEMAS_H

#include "base/arena.h"
#include "kafka/leaves.h"
#include "lib/registry/registry.h"

#define NW_SCHEMAS_SLOTS 256u
#define NW_SCHEMAS_MAX   10000u

struct nw_schemas_entry;

struct nw_schemas {
    struct nw_arena arena; /* of the options' texts */
    struct nw_registry_options options;
    struct nw_registry *client; /* NULL: there is no registry */
    struct nw_schemas_entry *slots[NW_SCHEMAS_SLOTS];
    size_t count;
    struct nw_error trouble; /* the first; its text is empty when there was none */
    uint64_t unread;         /* numbers that the registry has no Avro for: such are no trouble */
    struct nw_error why;     /* of the first of them */
};

/** Of these options, whose texts are copied. @param schemas  zeroed */
NW_MUST_CHECK nw_status nw_schemas_open(struct nw_schemas *schemas,
                                        const struct nw_registry_options *options,
                                        struct nw_error *err);
void nw_schemas_close(struct nw_schemas *schemas);

/**
 * A schema by its number.
 * @return borrow, until the schemas are closed; NULL: it is not there: `trouble` says why, or it is
 * counted as unread, as bytes that are no Avro have any number.
 */
const struct nw_leaves_avro *nw_schemas_get(struct nw_schemas *schemas, uint32_t id);

#endif
