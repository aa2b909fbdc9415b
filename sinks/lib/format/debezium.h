/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debezium's messages in JSON, field for field as its PostgreSQL connector 3.7 writes them through
 * Kafka Connect's JsonConverter.
 *
 *   key    {"id":7}
 *   value  {"before":null,"after":{"id":7,"v":"a"},"source":{...},"transaction":null,"op":"c",
 *           "ts_ms":...,"ts_us":...,"ts_ns":...}
 *
 * with schemas {"schema":{...},"payload":...} around each. A layout holds what is the same for all
 * rows of a table's version as text, and what was printed last of a transaction. Owned by one
 * thread. No memory is allocated per row: outputs grow until they are large enough.
 */
#ifndef NW_SINKS_LIB_FORMAT_DEBEZIUM_H
#define NW_SINKS_LIB_FORMAT_DEBEZIUM_H

#include <narwal/sink.h>

#include "lib/format/envelope.h"

struct nw_debezium_options {
    bool schemas;         /* put a schema around each key and value */
    bool null_as_default; /* print a column's default where its value is NULL */
    bool snapshot_null;   /* source.snapshot of changes is NULL, whose default is false */
};

struct nw_debezium;

/**
 * @param table   borrow, outlives the layout
 * @param origin  borrow, outlives it too
 * @return NULL when memory ran out.
 */
struct nw_debezium *nw_debezium_create(const struct nw_connect_table *table,
                                       const struct nw_origin *origin,
                                       const struct nw_debezium_options *options);
void nw_debezium_destroy(struct nw_debezium *layout);

/**
 * Append a row's key. The table has one.
 * @param side  the image that it is read from
 * @return NW_RETRY: memory ran out; NW_REJECT: a value does not fit. The output then has a part.
 */
NW_MUST_CHECK nw_status nw_debezium_key(struct nw_debezium *layout, const struct nw_row *row,
                                        int side, struct nw_out *out, struct nw_error *err);

/**
 * Append a row's key without a schema, whatever the options say: for headers.
 */
NW_MUST_CHECK nw_status nw_debezium_bare_key(struct nw_debezium *layout, const struct nw_row *row,
                                             int side, struct nw_out *out, struct nw_error *err);

/** Append the value: of a row, or of a TRUNCATE, whose row->batch is NULL. */
NW_MUST_CHECK nw_status nw_debezium_value(struct nw_debezium *layout, const struct nw_row *row,
                                          struct nw_out *out, struct nw_error *err);

/** Append the key of a message of pg_logical_emit_message(). */
void nw_debezium_message_key(const struct nw_event *event,
                             const struct nw_debezium_options *options, struct nw_out *out);
/** Append its value. Schema and table of the origin are not used. */
void nw_debezium_message(const struct nw_event *event, const struct nw_origin *origin,
                         const struct nw_change *change, enum nw_connect_binaries binaries,
                         const struct nw_debezium_options *options, struct nw_out *out);

#endif
