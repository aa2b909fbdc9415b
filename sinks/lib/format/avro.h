/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro of Kafka Connect's data: the schema that Confluent's AvroData (and with it Debezium behind
 * an Avro converter) derives from a Connect schema, text for text, so that a registry finds it
 * again; and values in Avro's binary encoding (Avro 1.11, "Binary Encoding").
 *
 *   struct NAME             a record, NAME split at its last dot into namespace and name
 *   optional                a union: null first, or last where there is a default
 *   name, version, doc,     the properties connect.name, connect.version, connect.doc,
 *   parameters, default     connect.parameters, connect.default
 *   int16                   int with connect.type
 *   map                     a map where its keys are strings and never null; else an array of
 *                           records io.confluent.connect.avro.MapEntry of key and value
 *   Decimal, Date, Time,    Avro's logical types as well
 *   Timestamp of Connect
 *
 * Functions without state; what they append to is the caller's.
 */
#ifndef NW_SINKS_LIB_FORMAT_AVRO_H
#define NW_SINKS_LIB_FORMAT_AVRO_H

#include <narwal/status.h>

#include "lib/format/connect.h"

/** Bytes before a message's value: 0, and the schema's id, big-endian. */
#define NW_AVRO_HEADER_SIZE 5u

/**
 * Append a schema's JSON. A struct's name stands for what it was where it came first.
 * Latches out->failed when memory ran out.
 */
void nw_avro_schema(struct nw_out *out, const struct nw_connect_schema *schema);

/** Append what a message with this schema begins with: Confluent's wire format. */
void nw_avro_header(struct nw_out *out, uint32_t id);

/**
 * Append a value.
 * @return NW_REJECT: NULL where the schema has no room for it; NW_RETRY: memory ran out, or what
 *         reading an array or a map says.
 */
NW_MUST_CHECK nw_status nw_avro_value(struct nw_out *out, const struct nw_connect_schema *schema,
                                      const struct nw_connect_value *value, struct nw_error *err);

/** Whether Avro's own map will do: its keys are strings. */
static inline bool nw_avro_is_map(const struct nw_connect_schema *schema)
{
    return schema->kind == NW_CONNECT_MAP && schema->key->kind == NW_CONNECT_STRING &&
           !schema->key->optional;
}

/* ---- for who writes a struct's fields one by one ---- */

void nw_avro_long(struct nw_out *out, int64_t value);
void nw_avro_bytes(struct nw_out *out, const void *bytes, size_t size);
/** Append which branch of an optional schema's union follows. */
void nw_avro_branch(struct nw_out *out, const struct nw_connect_schema *schema, bool null);

#endif
