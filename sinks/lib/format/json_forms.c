/* SPDX-License-Identifier: Apache-2.0 */
/* Flattened rows and CloudEvents as JSON: see json_forms.h. */
#include "lib/format/json_forms.h"

#include "lib/format/connect_json.h"
#include "lib/json.h"
#include "lib/print.h"

/* The fields of an image, without braces. */
static nw_status fields_append(struct nw_out *out, const struct nw_row *row, int side,
                               bool null_as_default, struct nw_error *err)
{
    const struct nw_connect_schema *schema = row->table->value;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < schema->fields_count && status == NW_OK; i++) {
        uint16_t column = row->table->fields[i];
        struct nw_value source = nw_batch_value(row->batch, side, row->row, column);
        struct nw_connect_value value;

        nw_out_text(out, i == 0 ? "" : ",");
        nw_json_name(out, schema->fields[i].name);
        nw_out_text(out, ":");
        status = nw_connect_convert(row->scratch, column, &source, side, &value, err);
        if (status == NW_OK) {
            status =
                nw_connect_json_value(out, schema->fields[i].schema, &value, null_as_default, err);
        }
    }
    return status;
}

static nw_status finish(nw_status status, const struct nw_out *out, struct nw_error *err)
{
    return status == NW_OK && out->failed ? nw_fail(err, NW_RETRY, "out of memory for messages")
                                          : status;
}

/* Fields as a reshape makes them. */
static nw_status reshaped_append(struct nw_out *out, const struct nw_flat *flat,
                                 const struct nw_row *row, struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_out_bytes(out, flat->head.bytes, flat->head.used);
    nw_out_text(out, "{");
    for (uint32_t i = 0; i < flat->schema.fields_count && status == NW_OK; i++) {
        const struct nw_connect_field *field = &flat->schema.fields[i];
        struct nw_connect_value value;

        nw_out_text(out, i == 0 ? "" : ",");
        nw_json_name(out, field->name);
        nw_out_text(out, ":");
        status = nw_reshape_value(flat->reshape, i, row, &value, err);
        if (status == NW_OK) {
            status = nw_connect_json_value(out, field->schema, &value,
                                           flat->options->null_as_default, err);
        }
    }
    nw_out_text(out, flat->options->schemas ? "}}" : "}");
    return finish(status, out, err);
}

nw_status nw_json_flat(struct nw_out *out, const struct nw_flat *flat, const struct nw_row *row,
                       struct nw_error *err)
{
    const struct nw_added *added = &flat->options->fields;
    bool deleted = row->change->op == 'd';
    bool first = row->table->value->fields_count == 0;
    nw_status status = NW_OK;

    if (flat->reshape != NULL) {
        return reshaped_append(out, flat, row, err);
    }
    nw_out_bytes(out, flat->head.bytes, flat->head.used);
    nw_out_text(out, "{");
    status = fields_append(out, row, deleted ? NW_BEFORE : NW_AFTER, flat->options->null_as_default,
                           err);
    if (nw_flat_marks(flat->options)) {
        nw_out_text(out, first ? "" : ",");
        first = false;
        nw_out_text(out, deleted ? "\"__deleted\":\"true\"" : "\"__deleted\":\"false\"");
    }
    for (uint32_t i = 0; i < added->count && status == NW_OK; i++) {
        const struct nw_added_item *item = &added->items[i];
        struct nw_connect_value value = nw_added_value(item, row->origin, row->change);

        nw_out_text(out, first ? "" : ",");
        first = false;
        nw_json_name(out, item->name);
        nw_out_text(out, ":");
        status = nw_connect_json_value(out, &item->schema, &value, false, err);
    }
    nw_out_text(out, flat->options->schemas ? "}}" : "}");
    return finish(status, out, err);
}

/* ---- CloudEvents ---- */

/* As it stands within a JSON string. */
static void inner_append(struct nw_out *out, const char *text)
{
    size_t at = out->used;

    nw_json_name(out, text);
    if (!out->failed) {
        out->used -= 2; /* its quotes */
        memmove(out->bytes + at, out->bytes + at + 1, out->used - at);
    }
}

/* name:p;lsn:1;txId:2;sequence:["1","1"], as a JSON string */
static void id_append(struct nw_out *out, const struct nw_row *row)
{
    const struct nw_change *change = row->change;

    nw_out_text(out, "\"name:");
    inner_append(out, row->origin->name);
    nw_out_text(out, ";lsn:");
    nw_out_u64(out, change->lsn);
    nw_out_text(out, ";txId:");
    nw_out_u64(out, change->xid);
    nw_out_text(out, ";sequence:");
    inner_append(out, change->sequence == NULL ? "null" : change->sequence);
    nw_out_text(out, "\"");
}

void nw_cloud_time(int64_t us, char text[static NW_CLOUD_TIME_SIZE])
{
    uint8_t whole[NW_PRINT_TIMESTAMP_MAX];
    int64_t rest = us % 1000000 < 0 ? us % 1000000 + 1000000 : us % 1000000;
    uint8_t *end = nw_print_timestamp(whole, us - rest, "");

    for (uint8_t *at = whole; at < end; at++) {
        *at = *at == ' ' ? 'T' : *at;
    }
    (void)snprintf(text, NW_CLOUD_TIME_SIZE, "%.*s.%03dZ", (int)(end - whole), (const char *)whole,
                   (int)(rest / 1000));
}

static void time_append(struct nw_out *out, int64_t us)
{
    char text[NW_CLOUD_TIME_SIZE];

    nw_cloud_time(us, text);
    nw_out_text(out, "\"");
    nw_out_text(out, text);
    nw_out_text(out, "\"");
}

const struct nw_cloud_attribute nw_cloud_attributes[NW_CLOUD_ATTRIBUTES_COUNT] = {
    {"iodebeziumop", NW_META_OP},
    {"iodebeziumversion", NW_META_VERSION},
    {"iodebeziumconnector", NW_META_CONNECTOR},
    {"iodebeziumname", NW_META_NAME},
    {"iodebeziumtsms", NW_META_SOURCE_MS},
    {"iodebeziumsnapshot", NW_META_SNAPSHOT},
    {"iodebeziumdb", NW_META_DB},
    {"iodebeziumsequence", NW_META_SEQUENCE},
    {"iodebeziumtsus", NW_META_SOURCE_US},
    {"iodebeziumtsns", NW_META_SOURCE_NS},
    {"iodebeziumschema", NW_META_SCHEMA},
    {"iodebeziumtable", NW_META_TABLE},
    {"iodebeziumtxId", NW_META_XID},
    {"iodebeziumlsn", NW_META_LSN},
    {"iodebeziumxmin", NW_META_XMIN},
    {"iodebeziumorigin", NW_META_ORIGIN},
    {"iodebeziumoriginlsn", NW_META_ORIGIN_LSN},
    {"iodebeziumtxid", NW_META_TRANSACTION},
    {"iodebeziumtxtotalorder", NW_META_TOTAL_ORDER},
    {"iodebeziumtxdatacollectionorder", NW_META_TABLE_ORDER},
};

/* What is said of the change: texts, whatever it is. */
static nw_status attributes_append(struct nw_out *out, const struct nw_row *row,
                                   struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < NW_CLOUD_ATTRIBUTES_COUNT && status == NW_OK; i++) {
        enum nw_meta meta = nw_cloud_attributes[i].meta;
        struct nw_connect_value value = nw_meta_value(meta, row->origin, row->change);
        bool quoted = value.kind == NW_CONNECT_INTEGER;

        nw_out_text(out, ",\"");
        nw_out_text(out, nw_cloud_attributes[i].name);
        nw_out_text(out, quoted ? "\":\"" : "\":");
        status = nw_connect_json_value(out, nw_meta_schema(meta), &value, false, err);
        nw_out_text(out, quoted ? "\"" : "");
    }
    return status;
}

void nw_cloud_data_init(struct nw_cloud_data *data, const struct nw_connect_schema *value)
{
    data->images[0] = (struct nw_connect_field){"before", value};
    data->images[1] = (struct nw_connect_field){"after", value};
    data->schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT,
                                              .name = "io.debezium.connector.postgresql.Data",
                                              .fields = data->images,
                                              .fields_count = 2};
}

bool nw_cloud_json_init(struct nw_cloud_json *json, const struct nw_connect_schema *data,
                        bool null_as_default)
{
    *json = (struct nw_cloud_json){.null_as_default = null_as_default};
    if (data != NULL) {
        nw_out_text(&json->head, "{\"schema\":");
        nw_connect_json_schema(&json->head, data, NULL);
        nw_out_text(&json->head, ",\"payload\":");
    }
    return !json->head.failed;
}

void nw_cloud_json_fini(struct nw_cloud_json *json)
{
    nw_out_fini(&json->head);
}

static nw_status images_append(struct nw_out *out, const struct nw_row *row,
                               const struct nw_cloud_json *json, struct nw_error *err)
{
    const bool schemas = json != NULL && json->head.used > 0;
    const bool has[] = {[NW_BEFORE] = row->change->before, [NW_AFTER] = row->change->after};
    nw_status status = NW_OK;

    if (schemas) {
        nw_out_bytes(out, json->head.bytes, json->head.used);
    }
    for (int side = NW_BEFORE; side <= NW_AFTER && status == NW_OK; side++) {
        nw_out_text(out, side == NW_BEFORE ? "{\"before\":" : ",\"after\":");
        nw_out_text(out, has[side] ? "{" : "null");
        if (has[side]) {
            status = fields_append(out, row, side, json != NULL && json->null_as_default, err);
            nw_out_text(out, "}");
        }
    }
    nw_out_text(out, schemas ? "}}" : "}");
    return status;
}

nw_status nw_json_cloudevent(struct nw_out *out, const struct nw_row *row,
                             const struct nw_cloud_json *json, const char *dataschema,
                             const struct nw_out *avro, struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_out_text(out, "{\"id\":");
    id_append(out, row);
    nw_out_text(out, ",\"source\":\"/debezium/postgresql/");
    inner_append(out, row->origin->name);
    nw_out_text(out, "\",\"specversion\":\"1.0\","
                     "\"type\":\"io.debezium.connector.postgresql.DataChangeEvent\",\"time\":");
    time_append(out, row->change->commit_us);
    nw_out_text(out, ",\"datacontenttype\":\"application/");
    nw_out_text(out, dataschema == NULL ? "json\"" : "avro\",\"dataschema\":");
    if (dataschema != NULL) {
        nw_json_name(out, dataschema);
    }
    status = attributes_append(out, row, err);
    nw_out_text(out, ",\"data\":");
    if (status == NW_OK && dataschema == NULL) {
        status = images_append(out, row, json, err);
    } else if (status == NW_OK) {
        nw_out_text(out, "\"");
        nw_out_base64(out, avro->bytes, avro->used, false);
        nw_out_text(out, "\"");
    }
    nw_out_text(out, "}");
    return finish(status, out, err);
}
