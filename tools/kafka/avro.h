/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro as leaves: schemas of the registry's JSON, and values in the binary encoding of Avro 1.12
 * (https://avro.apache.org/docs/1.12.0/specification/), read by the schema that they were written
 * with. Both come from elsewhere and are not trusted. One thread.
 *
 * A union's value stands where the union is: {"null","long"} is null or a number.
 */
#ifndef NW_TOOLS_KAFKA_AVRO_H
#define NW_TOOLS_KAFKA_AVRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <narwal/status.h>

struct nw_avro_schema;
struct nw_leaves;

/**
 * Read a schema.
 * @param text    borrow: JSON
 * @param schema  give
 * @return NW_CORRUPT: it is none, or larger or deeper than any that is wanted.
 */
NW_MUST_CHECK nw_status nw_avro_schema_read(const char *text, size_t size,
                                            struct nw_avro_schema **schema, struct nw_error *err);
void nw_avro_schema_free(struct nw_avro_schema *schema);

/**
 * Say the leaves of a value, below the path that is there.
 * @return false, and nothing was said: these bytes are no value of this schema.
 */
bool nw_avro_walk(struct nw_leaves *leaves, const struct nw_avro_schema *schema, const void *bytes,
                  size_t size);

#endif
