/* SPDX-License-Identifier: Apache-2.0 */
/* See notice_avro.h. */
#include "lib/format/notice_avro.h"

#include <stdio.h>

#define NAME_SIZE (2u * 256u) /* schema.table */

void nw_avro_text(struct nw_out *out, const char *text)
{
    nw_avro_bytes(out, text, strlen(text));
}

void nw_avro_notice_key(struct nw_out *out, const struct nw_connect_schema *schema,
                        const char *text)
{
    nw_avro_branch(out, schema->fields[0].schema, false);
    nw_avro_text(out, text);
}

/* ---- messages ---- */

/* The message's bytes, or a text that stands for them. Never null. */
static void content_append(struct nw_out *out, const struct nw_event *event,
                           enum nw_connect_binaries binaries)
{
    struct nw_out text = {0};

    nw_avro_long(out, 1);
    if (binaries == NW_BINARIES_BYTES) {
        nw_avro_bytes(out, event->content, event->content_size);
        return;
    }
    if (binaries == NW_BINARIES_HEX) {
        nw_out_hex(&text, event->content, event->content_size);
    } else {
        nw_out_base64(&text, event->content, event->content_size,
                      binaries == NW_BINARIES_BASE64_URL_SAFE);
    }
    nw_avro_bytes(out, text.bytes, text.used);
    out->failed |= text.failed;
    nw_out_fini(&text);
}

nw_status nw_avro_message(struct nw_out *out, const struct nw_event *event,
                          const struct nw_origin *origin, const struct nw_change *change,
                          enum nw_connect_binaries binaries, struct nw_error *err)
{
    const struct nw_origin from = {.version = origin->version,
                                   .name = origin->name,
                                   .database = origin->database,
                                   .schema = "",
                                   .table = ""};
    const struct nw_row row = {.origin = &from, .change = change};
    nw_status status = nw_avro_meta(out, NW_META_OP, &row, err);

    if (status == NW_OK) {
        status = nw_avro_meta(out, NW_META_MS, &row, err);
    }
    for (enum nw_meta meta = 0; meta < NW_SOURCE_FIELDS_COUNT && status == NW_OK; meta++) {
        status = nw_avro_meta(out, meta, &row, err);
    }
    if (status != NW_OK) {
        return status;
    }
    nw_avro_block(out, change);
    nw_avro_long(out, 1); /* its prefix is there */
    nw_avro_text(out, event->prefix);
    content_append(out, event, binaries);
    return out->failed ? nw_fail(err, NW_RETRY, "out of memory for messages") : NW_OK;
}

/* ---- transactions ---- */

/* One of data_collections. */
static void count_append(struct nw_out *out, const char *name, uint64_t count)
{
    nw_avro_long(out, 1); /* not null */
    nw_avro_text(out, name);
    nw_avro_long(out, (int64_t)count);
}

static void counts_append(struct nw_out *out, const struct nw_event *event, uint64_t messages)
{
    const int64_t items = (int64_t)event->counts_count + (messages > 0 ? 1 : 0);
    uint64_t total = messages;

    for (uint32_t i = 0; i < event->counts_count; i++) {
        total += event->counts[i].rows_count;
    }
    nw_avro_long(out, 1);
    nw_avro_long(out, (int64_t)total);
    nw_avro_long(out, 1);
    if (items > 0) { /* one block of them */
        nw_avro_long(out, items);
    }
    for (uint32_t i = 0; i < event->counts_count; i++) {
        const struct nw_table *table = event->counts[i].table;
        char name[NAME_SIZE];

        (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
        count_append(out, name, event->counts[i].rows_count);
    }
    if (messages > 0) {
        count_append(out, "LOGICAL_DECODING_MESSAGE", messages);
    }
    nw_avro_long(out, 0);
}

void nw_avro_transaction(struct nw_out *out, const struct nw_event *event, const char *id,
                         uint64_t messages)
{
    nw_avro_text(out, event->kind == NW_EVENT_BEGIN ? "BEGIN" : "END");
    nw_avro_text(out, id);
    if (event->kind == NW_EVENT_COMMIT) {
        counts_append(out, event, messages);
    } else { /* neither event_count nor data_collections */
        nw_avro_long(out, 0);
        nw_avro_long(out, 0);
    }
    nw_avro_long(out, event->commit_ts / 1000);
}
