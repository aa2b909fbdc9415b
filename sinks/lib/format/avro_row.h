/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debezium's messages in Avro: keys and envelopes of rows, straight from a batch. Nothing is
 * allocated per row: the output and the scratch grow until they are large enough.
 *
 * Functions without state, for the thread that owns the output and the scratch. They return
 * NW_RETRY when memory ran out, and NW_REJECT for a value that the schema has no room for; what was
 * appended is then of no use.
 */
#ifndef NW_SINKS_LIB_FORMAT_AVRO_ROW_H
#define NW_SINKS_LIB_FORMAT_AVRO_ROW_H

#include "lib/format/avro.h"
#include "lib/format/envelope.h"
#include "lib/format/flat.h"

/** Append a row's key, as table->key describes it. @param side  the image that it is read from */
NW_MUST_CHECK nw_status nw_avro_key(struct nw_out *out, const struct nw_row *row, int side,
                                    struct nw_error *err);

/** Append the fields of a row, as table->value describes them, without the branch of its union. */
NW_MUST_CHECK nw_status nw_avro_fields(struct nw_out *out, const struct nw_row *row, int side,
                                       struct nw_error *err);

/** Append what is said of a change, as nw_meta_schema() describes it. */
NW_MUST_CHECK nw_status nw_avro_meta(struct nw_out *out, enum nw_meta meta,
                                     const struct nw_row *row, struct nw_error *err);

/** Append a change's place in its transaction, or that there is none. */
void nw_avro_block(struct nw_out *out, const struct nw_change *change);

/** Append Debezium's envelope: of a row, or of an event without one. */
NW_MUST_CHECK nw_status nw_avro_envelope(struct nw_out *out, const struct nw_row *row,
                                         struct nw_error *err);

/** Append a flattened row, of its image before where the change is a delete. */
NW_MUST_CHECK nw_status nw_avro_flat(struct nw_out *out, const struct nw_flat *flat,
                                     const struct nw_row *row, struct nw_error *err);

#endif
