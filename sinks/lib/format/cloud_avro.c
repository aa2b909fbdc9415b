/* SPDX-License-Identifier: Apache-2.0 */
/* CloudEvents in Avro: see cloud_avro.h. */
#include "lib/format/cloud_avro.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/format/avro.h"
#include "lib/format/connect_text.h"

static const struct nw_connect_schema text = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema text_or_null = {.kind = NW_CONNECT_STRING, .optional = true};
static const struct nw_connect_schema bytes = {.kind = NW_CONNECT_BYTES};

bool nw_cloud_avro_init(struct nw_cloud_avro *avro, const char *prefix, const char *database)
{
    static const char *const first[] = {"id",   "source",          "specversion", "type",
                                        "time", "datacontenttype", "dataschema"};
    struct nw_out said = {0};
    struct nw_out name = {0};
    uint32_t count = 0;

    *avro = (struct nw_cloud_avro){0};
    nw_out_text(&said, prefix);
    nw_out_text(&said, ".");
    nw_out_text(&said, database);
    nw_out_bytes(&said, ".CloudEvents.Envelope", sizeof ".CloudEvents.Envelope");
    if (!said.failed) {
        nw_connect_name(&name, (const char *)said.bytes, NW_NAMES_AVRO, false);
        nw_out_bytes(&name, "", 1);
        avro->name = name.failed ? NULL : strdup((const char *)name.bytes);
    }
    nw_out_fini(&said);
    nw_out_fini(&name);
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        avro->fields[count++] = (struct nw_connect_field){first[i], &text};
    }
    for (size_t i = 0; i < NW_CLOUD_ATTRIBUTES_COUNT; i++) {
        bool optional = nw_meta_schema(nw_cloud_attributes[i].meta)->optional;

        avro->fields[count++] = (struct nw_connect_field){nw_cloud_attributes[i].name,
                                                          optional ? &text_or_null : &text};
    }
    avro->fields[count++] = (struct nw_connect_field){"data", &bytes};
    avro->schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT,
                                              .name = avro->name,
                                              .fields = avro->fields,
                                              .fields_count = count};
    return avro->name != NULL;
}

void nw_cloud_avro_fini(struct nw_cloud_avro *avro)
{
    free(avro->name);
    avro->name = NULL;
}

static void text_append(struct nw_out *out, const char *string)
{
    nw_avro_bytes(out, string, strlen(string));
}

/* Several pieces are one text. */
static void pieces_append(struct nw_out *out, const char *const *pieces, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += strlen(pieces[i]);
    }
    nw_avro_long(out, (int64_t)size);
    for (size_t i = 0; i < count; i++) {
        nw_out_text(out, pieces[i]);
    }
}

/* name:p;lsn:1;txId:2;sequence:["1","1"] */
static void id_append(struct nw_out *out, const struct nw_row *row)
{
    const struct nw_change *change = row->change;
    char numbers[64];
    const char *const pieces[] = {"name:", row->origin->name, numbers,
                                  change->sequence == NULL ? "null" : change->sequence};

    (void)snprintf(numbers, sizeof numbers,
                   ";lsn:%" PRIu64 ";txId:%" PRIu32 ";sequence:", change->lsn, change->xid);
    pieces_append(out, pieces, sizeof pieces / sizeof pieces[0]);
}

static nw_status attributes_append(struct nw_out *out, const struct nw_row *row,
                                   struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < NW_CLOUD_ATTRIBUTES_COUNT && status == NW_OK; i++) {
        enum nw_meta meta = nw_cloud_attributes[i].meta;
        struct nw_connect_value value = nw_meta_value(meta, row->origin, row->change);
        char number[32];

        if (value.kind == NW_CONNECT_INTEGER) { /* CloudEvents know no int64 */
            value.kind = NW_CONNECT_TEXT;
            value.size = (uint32_t)snprintf(number, sizeof number, "%" PRId64, value.as.integer);
            value.bytes = (const uint8_t *)number;
        }
        status =
            nw_avro_value(out, nw_meta_schema(meta)->optional ? &text_or_null : &text, &value, err);
    }
    return status;
}

nw_status nw_avro_cloudevent(struct nw_out *out, const struct nw_row *row, const char *dataschema,
                             const struct nw_out *data, struct nw_error *err)
{
    const char *const source[] = {"/debezium/postgresql/", row->origin->name};
    char time[NW_CLOUD_TIME_SIZE];
    nw_status status = NW_OK;

    id_append(out, row);
    pieces_append(out, source, sizeof source / sizeof source[0]);
    text_append(out, "1.0");
    text_append(out, "io.debezium.connector.postgresql.DataChangeEvent");
    nw_cloud_time(row->change->commit_us, time);
    text_append(out, time);
    text_append(out, "application/avro");
    text_append(out, dataschema);
    status = attributes_append(out, row, err);
    nw_avro_bytes(out, data->bytes, data->used);
    return status == NW_OK && out->failed ? nw_fail(err, NW_RETRY, "out of memory for messages")
                                          : status;
}
