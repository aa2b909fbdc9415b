/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications of copies, as Debezium sends them of snapshots:
 *
 *   key    {"id":"5563ae14-49f8-4579-9641-c1bbc2d76f99"}
 *   value  {"id":...,"type":"STARTED","aggregate_type":"Initial Snapshot",
 *           "additional_data":{"connector_name":"PREFIX"},"timestamp":1695817046353}
 *
 * The first copy: STARTED, for each table IN_PROGRESS and TABLE_SCAN_COMPLETED, and COMPLETED with
 * the first commit that has a position. A copy of one table later is an "Incremental Snapshot" of
 * that table, with the id of the signal that asked for it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "kafka/kafka.h"

/* A random UUID: RFC 9562, version 4. */
void nw_kafka_id_make(const struct nw_host *host, char id[static NW_KAFKA_ID_SIZE])
{
    uint8_t b[16];
    char *at = id;

    host->random(host, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0fu) | 0x40u);
    b[8] = (uint8_t)((b[8] & 0x3fu) | 0x80u);
    for (int i = 0; i < 16; i++) {
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
}

struct notification {
    const char *id; /* NULL: one is made */
    const char *type;
    bool first;             /* copy */
    const char *label;      /* that the table's name has in additional_data; NULL: none */
    const char *collection; /* schema.table */
    bool scanned;           /* rows are said */
    uint64_t rows;
};

static void text_print(struct nw_out *out, const char *before, const char *text)
{
    nw_out_text(out, before);
    nw_json_name(out, text);
}

static void data_print(const struct nw_kafka_sink *sink, const struct notification *what,
                       struct nw_out *out)
{
    text_print(out, "{\"connector_name\":", sink->options.prefix);
    if (what->label != NULL) {
        text_print(out, ",", what->label);
        text_print(out, ":", what->collection);
    }
    if (what->scanned) {
        nw_out_text(out, ",\"total_rows_scanned\":\"");
        nw_out_u64(out, what->rows);
        nw_out_text(out, "\",\"status\":\"SUCCEEDED\"");
    }
    nw_out_text(out, "}");
}

static nw_status notify(struct nw_kafka_worker *worker, const struct notification *what,
                        struct nw_error *err)
{
    const struct nw_kafka_sink *sink = worker->sink;
    struct nw_out *out = &worker->value;
    char made[NW_KAFKA_ID_SIZE];

    nw_kafka_id_make(sink->host, made);
    worker->key.used = out->used = 0;
    text_print(&worker->key, "{\"id\":", what->id != NULL ? what->id : made);
    nw_out_bytes(out, worker->key.bytes, worker->key.used);
    nw_out_text(&worker->key, "}");
    text_print(out, ",\"type\":", what->type);
    text_print(out,
               ",\"aggregate_type\":", what->first ? "Initial Snapshot" : "Incremental Snapshot");
    nw_out_text(out, ",\"additional_data\":");
    data_print(sink, what, out);
    nw_out_text(out, ",\"timestamp\":");
    nw_out_i64(out, sink->host->wall_us(sink->host) / 1000);
    nw_out_text(out, "}");
    return nw_kafka_notice_send(worker, NW_KAFKA_NOTIFICATIONS, err);
}

static void name_print(const struct nw_table *table, char name[static NW_KAFKA_NAME_SIZE])
{
    (void)snprintf(name, NW_KAFKA_NAME_SIZE, "%s.%s", table->schema_name, table->name);
}

/* The first copy is the one before which there is no position. */
static bool is_first(const struct nw_kafka_sink *sink)
{
    return !sink->positioned;
}

nw_status nw_kafka_copy_begins(struct nw_kafka_worker *worker, const struct nw_table *table,
                               struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    char name[NW_KAFKA_NAME_SIZE];
    char id[NW_KAFKA_ID_SIZE];
    struct notification what = {.first = is_first(sink), .collection = name};
    bool starts = false;
    nw_status status = NW_OK;

    name_print(table, name);
    status = nw_kafka_copying_begin(worker, table->relation_oid, false, err);
    if (status != NW_OK) {
        return status;
    }
    if (!what.first) {
        what.type = "STARTED";
        what.label = "data_collections";
        what.id = nw_kafka_signal_of(sink, name, false, id) ? id : NULL;
        return notify(worker, &what, err);
    }
    (void)pthread_mutex_lock(&sink->lock);
    starts = !sink->copying;
    sink->copying = true;
    (void)pthread_mutex_unlock(&sink->lock);
    if (starts) {
        what.type = "STARTED";
        status = notify(worker, &what, err);
    }
    if (starts && status != NW_OK) {
        (void)pthread_mutex_lock(&sink->lock);
        sink->copying = false;
        (void)pthread_mutex_unlock(&sink->lock);
    }
    what.type = "IN_PROGRESS";
    what.label = "current_collection_in_progress";
    return status == NW_OK ? notify(worker, &what, err) : status;
}

nw_status nw_kafka_copy_ends(struct nw_kafka_worker *worker, const struct nw_table *table,
                             struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    char name[NW_KAFKA_NAME_SIZE];
    char id[NW_KAFKA_ID_SIZE];
    struct notification what = {.type = "TABLE_SCAN_COMPLETED",
                                .first = is_first(sink),
                                .label = "scanned_collection",
                                .collection = name};
    struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, table->relation_oid);
    nw_status status = NW_OK;

    if (copying != NULL && !copying->resumed) {
        what.scanned = true;
        what.rows = copying->rows;
    }
    name_print(table, name);
    what.id = !what.first && nw_kafka_signal_of(sink, name, false, id) ? id : NULL;
    status = notify(worker, &what, err);
    if (status == NW_OK && !what.first) {
        what = (struct notification){.type = "COMPLETED", .id = what.id};
        status = notify(worker, &what, err);
    }
    if (status == NW_OK) {
        nw_kafka_copying_end(worker, table->relation_oid);
        (void)nw_kafka_signal_of(sink, name, true, id);
    }
    return status;
}

nw_status nw_kafka_copies_end(struct nw_kafka_sink *sink, struct nw_error *err)
{
    struct notification what = {.type = "COMPLETED", .first = true};

    return sink->copying ? notify(&sink->workers[0], &what, err) : NW_OK;
}
