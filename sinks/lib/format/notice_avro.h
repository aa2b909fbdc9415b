/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In Avro what Debezium sends beside rows: logical messages, transactions and heartbeats, as the
 * schemas of notice_schema.h describe them. The schema's id is not part of it: nw_avro_header().
 *
 * Functions without state; what they append to is the caller's. They latch out->failed when memory
 * ran out.
 */
#ifndef NW_SINKS_LIB_FORMAT_NOTICE_AVRO_H
#define NW_SINKS_LIB_FORMAT_NOTICE_AVRO_H

#include <narwal/sink.h>

#include "lib/format/avro_row.h"

/** Append a text that is never null. */
void nw_avro_text(struct nw_out *out, const char *text);

/** Append a key with one field, a text. @param schema  of the key, a struct */
void nw_avro_notice_key(struct nw_out *out, const struct nw_connect_schema *schema,
                        const char *text);

/**
 * Append the value of a message of pg_logical_emit_message().
 * @param origin  schema and table of it are not used
 * @return NW_RETRY: memory ran out
 */
NW_MUST_CHECK nw_status nw_avro_message(struct nw_out *out, const struct nw_event *event,
                                        const struct nw_origin *origin,
                                        const struct nw_change *change,
                                        enum nw_connect_binaries binaries, struct nw_error *err);

/**
 * Append the value of a transaction's BEGIN or END.
 * @param messages  how many logical messages it has that say which of its changes they are
 */
void nw_avro_transaction(struct nw_out *out, const struct nw_event *event, const char *id,
                         uint64_t messages);

#endif
