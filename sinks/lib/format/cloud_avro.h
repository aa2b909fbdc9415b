/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents whose envelope is Avro, as Debezium's CloudEventsConverter makes it with
 * serializer.type avro: a record of texts, and of the data as bytes, which are Avro themselves.
 *
 * Functions without state, for the thread that owns the output.
 */
#ifndef NW_SINKS_LIB_FORMAT_CLOUD_AVRO_H
#define NW_SINKS_LIB_FORMAT_CLOUD_AVRO_H

#include "lib/format/json_forms.h"

#define NW_CLOUD_FIELDS_COUNT (7u + NW_CLOUD_ATTRIBUTES_COUNT + 1u)

/** The schema of the envelope. */
struct nw_cloud_avro {
    char *name; /* own */
    struct nw_connect_field fields[NW_CLOUD_FIELDS_COUNT];
    struct nw_connect_schema schema; /* which borrows from beside it: it stays where it is */
};

/**
 * The schema is PREFIX.DATABASE.CloudEvents.Envelope, with what Avro does not take in names
 * replaced.
 * @param prefix    of topics
 * @param database  its name
 * @return false when memory ran out
 */
bool nw_cloud_avro_init(struct nw_cloud_avro *avro, const char *prefix, const char *database);
void nw_cloud_avro_fini(struct nw_cloud_avro *avro);

/**
 * Append the value of an event.
 * @param dataschema  where the schema of the data is
 * @param data        with their schema's id before them
 * @return NW_RETRY when memory ran out
 */
NW_MUST_CHECK nw_status nw_avro_cloudevent(struct nw_out *out, const struct nw_row *row,
                                           const char *dataschema, const struct nw_out *data,
                                           struct nw_error *err);

#endif
