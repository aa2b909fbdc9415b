/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in other forms than Debezium's envelope, as JSON: flattened, and as CloudEvents. Values are
 * those of connect_json.h.
 *
 * Functions without state, for the thread that owns the output and the scratch. They return
 * NW_RETRY when memory ran out, and NW_REJECT for a value that its schema has no room for; what was
 * appended is then of no use.
 */
#ifndef NW_SINKS_LIB_FORMAT_JSON_FORMS_H
#define NW_SINKS_LIB_FORMAT_JSON_FORMS_H

#include "lib/format/envelope.h"
#include "lib/format/flat.h"

/** Append a flattened row, of its image before where the change is a delete. */
NW_MUST_CHECK nw_status nw_json_flat(struct nw_out *out, const struct nw_flat *flat,
                                     const struct nw_row *row, struct nw_error *err);

/** What a CloudEvent says of its change, by the names of its attributes, in their order. */
struct nw_cloud_attribute {
    const char *name;
    enum nw_meta meta;
};
#define NW_CLOUD_ATTRIBUTES_COUNT 20u
extern const struct nw_cloud_attribute nw_cloud_attributes[NW_CLOUD_ATTRIBUTES_COUNT];

/** To milliseconds: 2026-11-29T22:05:01.842Z. @param us  since 1970 */
#define NW_CLOUD_TIME_SIZE 64u
void nw_cloud_time(int64_t us, char text[static NW_CLOUD_TIME_SIZE]);

/** The schema of a CloudEvent's data. */
struct nw_cloud_data {
    struct nw_connect_field images[2];
    struct nw_connect_schema schema; /* which borrows from beside it: it stays where it is */
};

/** @param value  of an image; borrow, outlives the data */
void nw_cloud_data_init(struct nw_cloud_data *data, const struct nw_connect_schema *value);

/** How a CloudEvent's data are JSON. */
struct nw_cloud_json {
    struct nw_out head;   /* {"schema":{...},"payload": ; empty without schemas. Own */
    bool null_as_default; /* print a column's default where its value is NULL */
};

/** @param data  the schema of the data; NULL: without. @return false when memory ran out */
bool nw_cloud_json_init(struct nw_cloud_json *json, const struct nw_connect_schema *data,
                        bool null_as_default);
void nw_cloud_json_fini(struct nw_cloud_json *json);

/**
 * Append a CloudEvent (1.0, structured mode) as Debezium's CloudEventsConverter makes it, with the
 * images as its data:
 *
 *   {"id":"name:p;lsn:1;txId:2;sequence:[...]","source":"/debezium/postgresql/p",
 *    "specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent","time":"...",
 *    "datacontenttype":"application/json","iodebeziumop":"c",...,"data":{"before":...,"after":...}}
 *
 * @param json        of data in JSON; NULL: without schemas, and NULL is null
 * @param dataschema  where the schema of avro is; NULL: the data are JSON
 * @param avro        the data, with their schema's id, which become base64
 */
NW_MUST_CHECK nw_status nw_json_cloudevent(struct nw_out *out, const struct nw_row *row,
                                           const struct nw_cloud_json *json, const char *dataschema,
                                           const struct nw_out *avro, struct nw_error *err);

#endif
