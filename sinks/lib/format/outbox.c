/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an outbox as messages: see outbox.h. */
#include "lib/format/outbox.h"

#include <stdlib.h>

#include "lib/format/connect_json.h"
#include "lib/json.h"
#include "lib/scan.h"

#define NONE             UINT16_MAX
#define OID_JSON         114
#define OID_JSONB        3802
#define TIMESTAMP_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

struct placed {
    uint16_t column;
    bool header;
    char alias[NW_OUTBOX_ALIAS_SIZE];
};

struct nw_outbox {
    const struct nw_connect_table *table; /* borrow */
    struct nw_outbox_options options;
    uint16_t id, route, key, payload, timestamp; /* columns; NONE */
    int64_t timestamp_divisor;                   /* to milliseconds */
    bool enveloped;                              /* the value is an object with the payload in it */
    uint32_t placed_count;
    struct placed placed[NW_OUTBOX_PLACED_MAX];
};

/* ---- which columns ---- */

bool nw_outbox_placement(const char *text, char column[static NW_OUTBOX_ALIAS_SIZE], bool *header,
                         char alias[static NW_OUTBOX_ALIAS_SIZE])
{
    const char *place = strchr(text, ':');
    const char *name = place == NULL ? NULL : strchr(place + 1, ':');
    size_t size = place == NULL ? 0 : (size_t)(place - text);
    size_t place_size = 0;

    if (size == 0 || size >= NW_OUTBOX_ALIAS_SIZE) {
        return false;
    }
    memcpy(column, text, size);
    column[size] = '\0';
    place++;
    place_size = name == NULL ? strlen(place) : (size_t)(name - place);
    *header = place_size == 6 && memcmp(place, "header", 6) == 0;
    if (!*header && !(place_size == 8 && memcmp(place, "envelope", 8) == 0)) {
        return false;
    }
    name = name == NULL ? column : name + 1;
    if (name[0] == '\0' || strlen(name) >= NW_OUTBOX_ALIAS_SIZE) {
        return false;
    }
    memcpy(alias, name, strlen(name) + 1);
    return true;
}

static nw_status column_find(const struct nw_outbox *outbox, const char *name, uint16_t *column,
                             struct nw_error *err)
{
    const struct nw_table *table = outbox->table->table;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0 && nw_connect_table_has(outbox->table, i)) {
            *column = i;
            return NW_OK;
        }
    }
    return nw_fail(
        err, NW_REJECT,
        "NW2724 %s.%s is an outbox by configuration, and has no column %s of a type that "
        "a message can have",
        table->schema_name, table->name, name);
}

static const struct nw_connect_schema *schema_of(const struct nw_outbox *outbox, uint16_t column)
{
    const struct nw_connect_table *table = outbox->table;
    uint32_t i = 0;

    while (table->fields[i] != column) { /* it has a schema: see column_find() */
        i++;
    }
    return table->value->fields[i].schema;
}

/* A time of which the schema says the unit. */
static nw_status timestamp_find(struct nw_outbox *outbox, struct nw_error *err)
{
    static const struct {
        const char *name;
        int64_t divisor;
    } units[] = {{"io.debezium.time.Timestamp", 1},
                 {"org.apache.kafka.connect.data.Timestamp", 1},
                 {"io.debezium.time.MicroTimestamp", 1000},
                 {"io.debezium.time.NanoTimestamp", 1000000}};
    const char *name = NULL;
    nw_status status = column_find(outbox, outbox->options.timestamp, &outbox->timestamp, err);

    if (status != NW_OK) {
        return status;
    }
    name = schema_of(outbox, outbox->timestamp)->name;
    for (size_t i = 0; name != NULL && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(name, units[i].name) == 0) {
            outbox->timestamp_divisor = units[i].divisor;
            return NW_OK;
        }
    }
    return nw_fail(err, NW_REJECT,
                   "NW2724 %s.%s is an outbox by configuration, and its column %s is no timestamp",
                   outbox->table->table->schema_name, outbox->table->table->name,
                   outbox->options.timestamp);
}

static nw_status placements_find(struct nw_outbox *outbox, struct nw_error *err)
{
    const char *const *items = outbox->options.placements;
    nw_status status = NW_OK;

    for (size_t i = 0; items != NULL && items[i] != NULL && status == NW_OK; i++) {
        struct placed *placed = &outbox->placed[outbox->placed_count];
        char column[NW_OUTBOX_ALIAS_SIZE];

        if (outbox->placed_count == NW_OUTBOX_PLACED_MAX ||
            !nw_outbox_placement(items[i], column, &placed->header, placed->alias)) {
            return nw_fail(err, NW_FATAL, "NW1003 \"%s\" is not COLUMN:header[:NAME], or too much",
                           items[i]);
        }
        status = column_find(outbox, column, &placed->column, err);
        outbox->enveloped |= !placed->header;
        outbox->placed_count++;
    }
    return status;
}

nw_status nw_outbox_create(const struct nw_connect_table *table,
                           const struct nw_outbox_options *options, struct nw_outbox **outbox,
                           struct nw_error *err)
{
    struct nw_outbox *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for an outbox");
    }
    made->table = table;
    made->options = *options;
    made->timestamp = NONE;
    status = column_find(made, options->id, &made->id, err);
    status = status == NW_OK ? column_find(made, options->route, &made->route, err) : status;
    status = status == NW_OK ? column_find(made, options->key, &made->key, err) : status;
    status = status == NW_OK ? column_find(made, options->payload, &made->payload, err) : status;
    if (status == NW_OK && options->timestamp != NULL) {
        status = timestamp_find(made, err);
    }
    status = status == NW_OK ? placements_find(made, err) : status;
    if (status != NW_OK) {
        nw_outbox_destroy(made);
        return status;
    }
    *outbox = made;
    return NW_OK;
}

void nw_outbox_destroy(struct nw_outbox *outbox)
{
    free(outbox);
}

/* ---- a row ---- */

struct reading {
    const struct nw_outbox *outbox;
    const struct nw_batch *batch;
    uint32_t row;
    struct nw_connect_scratch *scratch;
};

static nw_status column_read(const struct reading *reading, uint16_t column,
                             struct nw_connect_value *value, struct nw_error *err)
{
    struct nw_value source = nw_batch_value(reading->batch, NW_AFTER, reading->row, column);

    return nw_connect_convert(reading->scratch, column, &source, NW_AFTER, value, err);
}

/* A value as text without quotes where it is one, else as JSON. */
static nw_status plain_append(struct nw_out *out, const struct nw_connect_schema *schema,
                              const struct nw_connect_value *value, struct nw_error *err)
{
    if (value->kind == NW_CONNECT_TEXT || value->kind == NW_CONNECT_BINARY) {
        nw_out_bytes(out, value->bytes, value->size);
        return NW_OK;
    }
    return nw_connect_json_value(out, schema, value, false, err);
}

/* What goes into the topic's name. */
static nw_status route_read(const struct reading *reading, struct nw_outbox_message *message,
                            struct nw_error *err)
{
    const struct nw_outbox *outbox = reading->outbox;
    const char *at = outbox->options.topic;
    struct nw_connect_value value;
    nw_status status = column_read(reading, outbox->route, &value, err);

    if (status == NW_OK && (value.kind != NW_CONNECT_TEXT || value.size == 0 ||
                            memchr(value.bytes, '\0', value.size) != NULL)) {
        status = nw_fail(err, NW_REJECT, "NW2725 %s.%s: a row has no text in %s to be sent by",
                         outbox->table->table->schema_name, outbox->table->table->name,
                         outbox->options.route);
    }
    message->topic.used = 0;
    while (status == NW_OK && *at != '\0') {
        if (strncmp(at, "{value}", 7) == 0) {
            nw_out_bytes(&message->topic, value.bytes, value.size);
            at += 7;
        } else {
            nw_out_bytes(&message->topic, at++, 1);
        }
    }
    nw_out_bytes(&message->topic, "", 1);
    return status;
}

static nw_status key_read(const struct reading *reading, struct nw_outbox_message *message,
                          struct nw_error *err)
{
    const struct nw_outbox *outbox = reading->outbox;
    const struct nw_connect_schema *schema = schema_of(outbox, outbox->key);
    struct nw_connect_value value;
    nw_status status = column_read(reading, outbox->key, &value, err);

    message->key.used = 0;
    (void)nw_out_reserve(&message->key, 1); /* an empty key is not none */
    if (status != NW_OK) {
        return status;
    }
    message->keyless = value.kind == NW_CONNECT_NULL;
    return outbox->options.form == NW_OUTBOX_RAW
               ? plain_append(&message->key, schema, &value, err)
               : nw_connect_json_value(&message->key, schema, &value, false, err);
}

static bool is_blank(const struct nw_connect_value *value)
{
    if (value->kind == NW_CONNECT_TEXT) {
        for (uint32_t i = 0; i < value->size; i++) {
            if (value->bytes[i] > ' ') { /* as Java's trim() */
                return false;
            }
        }
        return true;
    }
    return value->kind == NW_CONNECT_NULL || (value->kind == NW_CONNECT_BINARY && value->size == 0);
}

/* Whether a payload is an object or an array: of a text that only looks like one it is not. */
static bool is_object(const struct nw_outbox *outbox, const struct nw_connect_value *value)
{
    uint32_t oid = outbox->table->table->columns[outbox->payload].base_type_oid;
    struct nw_scan scan = nw_scan_of(value->bytes, value->size);

    if (value->kind != NW_CONNECT_TEXT || value->size == 0 ||
        (value->bytes[0] != '{' && value->bytes[0] != '[')) {
        return false;
    }
    if (oid == OID_JSON || oid == OID_JSONB) {
        return true;
    }
    nw_scan_skip(&scan);
    return nw_scan_done(&scan);
}

/* Raw: not as a JSON value. */
static nw_status payload_append(const struct reading *reading, struct nw_outbox_message *message,
                                bool raw, struct nw_error *err)
{
    struct nw_out *out = &message->value;
    const struct nw_outbox *outbox = reading->outbox;
    const struct nw_connect_schema *schema = schema_of(outbox, outbox->payload);
    struct nw_connect_value value;
    nw_status status = column_read(reading, outbox->payload, &value, err);

    if (status != NW_OK) {
        return status;
    }
    /* JsonConverter has a word for NULL, StringConverter has not. */
    message->tombstone =
        (raw && value.kind == NW_CONNECT_NULL) || (outbox->options.tombstones && is_blank(&value));
    raw |= outbox->options.form == NW_OUTBOX_EXPANDED && is_object(outbox, &value);
    return raw ? plain_append(out, schema, &value, err)
               : nw_connect_json_value(out, schema, &value, false, err);
}

static nw_status value_read(const struct reading *reading, struct nw_outbox_message *message,
                            struct nw_error *err)
{
    const struct nw_outbox *outbox = reading->outbox;
    struct nw_out *out = &message->value;
    nw_status status = NW_OK;

    out->used = 0;
    (void)nw_out_reserve(out, 1); /* an empty value is not none */
    if (outbox->enveloped) {
        nw_out_text(out, "{\"payload\":");
    }
    status = payload_append(reading, message,
                            outbox->options.form == NW_OUTBOX_RAW && !outbox->enveloped, err);
    for (uint32_t i = 0; i < outbox->placed_count && status == NW_OK; i++) {
        const struct placed *placed = &outbox->placed[i];
        struct nw_connect_value value;

        if (!placed->header) {
            nw_out_text(out, ",");
            nw_json_name(out, placed->alias);
            nw_out_text(out, ":");
            status = column_read(reading, placed->column, &value, err);
            if (status == NW_OK) {
                status = nw_connect_json_value(out, schema_of(outbox, placed->column), &value,
                                               false, err);
            }
        }
    }
    if (outbox->enveloped) {
        nw_out_text(out, "}");
    }
    return status;
}

static nw_status header_read(const struct reading *reading, const char *name, uint16_t column,
                             struct nw_outbox_message *message, struct nw_error *err)
{
    struct nw_outbox_header *header = &message->headers[message->headers_count++];
    struct nw_connect_value value;
    nw_status status = column_read(reading, column, &value, err);

    if (status != NW_OK) {
        return status;
    }
    *header = (struct nw_outbox_header){
        .name = name, .null = value.kind == NW_CONNECT_NULL, .at = message->headers_text.used};
    if (!header->null) {
        status =
            plain_append(&message->headers_text, schema_of(reading->outbox, column), &value, err);
    }
    header->size = message->headers_text.used - header->at;
    return status;
}

static nw_status headers_read(const struct reading *reading, struct nw_outbox_message *message,
                              struct nw_error *err)
{
    const struct nw_outbox *outbox = reading->outbox;
    nw_status status = NW_OK;

    message->headers_count = 0;
    message->headers_text.used = 0;
    status = header_read(reading, "id", outbox->id, message, err);
    for (uint32_t i = 0; i < outbox->placed_count && status == NW_OK; i++) {
        if (outbox->placed[i].header) {
            status = header_read(reading, outbox->placed[i].alias, outbox->placed[i].column,
                                 message, err);
        }
    }
    return status;
}

static nw_status timestamp_read(const struct reading *reading, struct nw_outbox_message *message,
                                struct nw_error *err)
{
    const struct nw_outbox *outbox = reading->outbox;
    struct nw_connect_value value;
    nw_status status = NW_OK;

    message->timed = false;
    if (outbox->timestamp == NONE) {
        return NW_OK;
    }
    status = column_read(reading, outbox->timestamp, &value, err);
    if (status != NW_OK || value.kind != NW_CONNECT_INTEGER) {
        return status;
    }
    message->timed = true;
    message->timestamp_ms = value.as.integer / outbox->timestamp_divisor;
    return message->timestamp_ms > 0 && message->timestamp_ms <= TIMESTAMP_MS_MAX
               ? NW_OK
               : nw_fail(err, NW_REJECT,
                         "NW2725 %s.%s: a row's %s is infinite, before 1970 or behind 9999, which "
                         "is no time that a message can have",
                         outbox->table->table->schema_name, outbox->table->table->name,
                         outbox->options.timestamp);
}

nw_status nw_outbox_read(const struct nw_outbox *outbox, const struct nw_batch *batch, uint32_t row,
                         struct nw_connect_scratch *scratch, struct nw_outbox_message *message,
                         struct nw_error *err)
{
    const struct reading reading = {
        .outbox = outbox, .batch = batch, .row = row, .scratch = scratch};
    nw_status status = route_read(&reading, message, err);

    status = status == NW_OK ? key_read(&reading, message, err) : status;
    status = status == NW_OK ? value_read(&reading, message, err) : status;
    status = status == NW_OK ? headers_read(&reading, message, err) : status;
    status = status == NW_OK ? timestamp_read(&reading, message, err) : status;
    if (status == NW_OK && (message->topic.failed || message->key.failed || message->value.failed ||
                            message->headers_text.failed)) {
        nw_outbox_message_fini(message);
        status = nw_fail(err, NW_RETRY, "out of memory for messages");
    }
    return status;
}

void nw_outbox_message_fini(struct nw_outbox_message *message)
{
    nw_out_fini(&message->topic);
    nw_out_fini(&message->key);
    nw_out_fini(&message->value);
    nw_out_fini(&message->headers_text);
}
