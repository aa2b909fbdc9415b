/* SPDX-License-Identifier: Apache-2.0 */
/* See debezium.h. */
#include "lib/format/debezium.h"

#include <stdlib.h>

#include "lib/format/change.h"
#include "lib/format/connect_form.h"
#include "lib/format/connect_json.h"
#include "lib/format/notice_schema.h"
#include "lib/json.h"
#include "lib/print.h"

struct field {
    struct nw_out name; /* "v": with a comma, or {, before it */
    const struct nw_connect_schema *schema;
    uint16_t column;
    enum nw_how how;
};

struct fields {
    struct field *items;
    uint32_t count;
    bool plain; /* only integers, with names that need no escape: nothing of it is as Jackson's */
};

struct nw_debezium {
    const struct nw_connect_table *table;
    const struct nw_origin *origin;
    struct nw_debezium_options options;
    struct fields value;
    struct fields key;
    struct nw_out key_schema;   /* {"schema":{...},"payload": ; empty without schemas */
    struct nw_out value_schema; /* the same */
    struct nw_out source_head;  /* ,"source":{"version":...,"name":"p","ts_ms": */
    struct nw_out source_db;    /* ","db":"d","sequence": */
    struct nw_out source_table; /* ,"schema":"s","table":"t","txId": */

    /* What the last change had, as text: rows of one transaction are alike. */
    int64_t commit_us;
    const char *snapshot;
    uint32_t xid;
    struct nw_out head;   /* from source_head on to "sequence": */
    struct nw_out middle; /* from "ts_us": on to "lsn": */
    struct nw_out end;    /* without origin and transaction: from "xmin": to the message's end */
    int64_t end_ns;
    char end_op;
};

/* ---- what is prepared ---- */

static void field_text(struct nw_out *out, const char *name, const char *text)
{
    nw_out_text(out, name);
    nw_json_name(out, text == NULL ? "" : text);
}

/* ASCII that JSON has as it is. */
static bool is_plain(const char *name)
{
    for (; *name != '\0'; name++) {
        if (*name < 0x20 || *name == '"' || *name == '\\' || *name == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool fields_fill(struct fields *fields, const struct nw_connect_table *table,
                        const struct nw_connect_schema *schema, const uint16_t *columns)
{
    fields->items = calloc(schema->fields_count + 1u, sizeof *fields->items);
    if (fields->items == NULL) {
        return false;
    }
    fields->count = schema->fields_count;
    fields->plain = true;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];

        field->schema = schema->fields[i].schema;
        field->column = columns[i];
        field->how = table->columns[columns[i]].form.how;
        nw_out_text(&field->name, i == 0 ? "{" : ",");
        nw_json_name(&field->name, schema->fields[i].name);
        nw_out_text(&field->name, ":");
        if (field->name.failed) {
            return false;
        }
        fields->plain =
            fields->plain && field->how == NW_HOW_INTEGER && is_plain(schema->fields[i].name);
    }
    return true;
}

static void fields_fini(struct fields *fields)
{
    for (uint32_t i = 0; fields->items != NULL && i < fields->count; i++) {
        nw_out_fini(&fields->items[i].name);
    }
    free(fields->items);
}

static void schema_print(struct nw_out *out, const struct nw_connect_schema *schema)
{
    nw_out_text(out, "{\"schema\":");
    nw_connect_json_schema(out, schema, NULL);
    nw_out_text(out, ",\"payload\":");
}

static bool schemas_fill(struct nw_debezium *layout)
{
    struct nw_envelope envelope;

    if (!layout->options.schemas) {
        return true;
    }
    if (!nw_envelope_init(&envelope, layout->table->value)) {
        return false;
    }
    schema_print(&layout->value_schema, &envelope.schema);
    nw_envelope_fini(&envelope);
    if (layout->table->key != NULL) {
        schema_print(&layout->key_schema, layout->table->key);
    }
    return !layout->value_schema.failed && !layout->key_schema.failed;
}

/* The parts of source that only depend on where changes come from. */
static void source_print(const struct nw_origin *origin, struct nw_out *head, struct nw_out *db)
{
    field_text(head, ",\"source\":{\"version\":", origin->version);
    field_text(head, ",\"connector\":\"postgresql\",\"name\":", origin->name);
    nw_out_text(head, ",\"ts_ms\":");
    field_text(db, "\",\"db\":", origin->database);
    nw_out_text(db, ",\"sequence\":");
}

static void table_print(const char *schema, const char *table, struct nw_out *out)
{
    field_text(out, ",\"schema\":", schema);
    field_text(out, ",\"table\":", table);
    nw_out_text(out, ",\"txId\":");
}

struct nw_debezium *nw_debezium_create(const struct nw_connect_table *table,
                                       const struct nw_origin *origin,
                                       const struct nw_debezium_options *options)
{
    struct nw_debezium *layout = calloc(1, sizeof *layout);

    if (layout == NULL) {
        return NULL;
    }
    layout->table = table;
    layout->origin = origin;
    layout->options = *options;
    source_print(origin, &layout->source_head, &layout->source_db);
    table_print(origin->schema, origin->table, &layout->source_table);
    if (!fields_fill(&layout->value, table, table->value, table->fields) ||
        (table->key != NULL && !fields_fill(&layout->key, table, table->key, table->key_fields)) ||
        !schemas_fill(layout) || layout->source_head.failed || layout->source_db.failed ||
        layout->source_table.failed) {
        nw_debezium_destroy(layout);
        return NULL;
    }
    return layout;
}

void nw_debezium_destroy(struct nw_debezium *layout)
{
    if (layout == NULL) {
        return;
    }
    fields_fini(&layout->value);
    fields_fini(&layout->key);
    nw_out_fini(&layout->key_schema);
    nw_out_fini(&layout->value_schema);
    nw_out_fini(&layout->source_head);
    nw_out_fini(&layout->source_db);
    nw_out_fini(&layout->source_table);
    nw_out_fini(&layout->head);
    nw_out_fini(&layout->middle);
    nw_out_fini(&layout->end);
    free(layout);
}

/* ---- columns ---- */

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for messages");
}

/* Of a decimal column: its bytes, lowest first; those at the end that only repeat the sign go. */
static void decimal_print(struct nw_out *out, const uint8_t bytes[16])
{
    uint8_t turned[16];
    size_t size = 16;

    while (size > 1 && ((bytes[size - 1] == 0x00 && bytes[size - 2] < 0x80) ||
                        (bytes[size - 1] == 0xff && bytes[size - 2] >= 0x80))) {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        turned[i] = bytes[size - 1 - i];
    }
    nw_out_text(out, "\"");
    nw_out_base64(out, turned, size, false);
    nw_out_text(out, "\"");
}

static void uuid_print(struct nw_out *out, const uint8_t bytes[16])
{
    if (nw_out_reserve(out, NW_PRINT_UUID_SIZE + 2)) {
        uint8_t *at = out->bytes + out->used;

        at[0] = '"';
        (void)nw_print_uuid(at + 1, bytes);
        at[NW_PRINT_UUID_SIZE + 1] = '"';
        out->used += NW_PRINT_UUID_SIZE + 2;
    }
}

static void stamp_print(struct nw_out *out, int64_t us, unsigned fraction)
{
    if (nw_out_reserve(out, NW_PRINT_TIMESTAMP_MAX + 2)) {
        uint8_t *at = out->bytes + out->used;

        *at++ = '"';
        at = nw_stamp_iso_print(at, us, fraction);
        *at++ = '"';
        out->used = (size_t)(at - out->bytes);
    }
}

static void real_print(struct nw_out *out, double value, bool narrow)
{
    if (nw_out_reserve(out, NW_JAVA_REAL_MAX)) {
        out->used =
            (size_t)(nw_print_java_real(out->bytes + out->used, value, narrow) - out->bytes);
    }
}

/* Columns that narwal decoded, as quick_print(). */
static bool typed_print(struct nw_out *out, const struct nw_debezium *layout,
                        const struct field *field, const struct nw_value *value)
{
    const struct nw_connect_table *table = layout->table;
    const enum nw_type type = value->type;

    if (field->how == NW_HOW_REAL && type == NW_TYPE_FLOAT64) {
        real_print(out, value->as.real, field->schema->kind == NW_CONNECT_FLOAT32);
    } else if (field->how == NW_HOW_UUID && type == NW_TYPE_UUID) {
        uuid_print(out, value->bytes);
    } else if (field->how == NW_HOW_STAMP_ZONED && type == NW_TYPE_TIMESTAMPTZ) {
        stamp_print(out, value->as.integer, table->columns[field->column].form.fraction);
    } else if (field->how == NW_HOW_DECIMAL && type == NW_TYPE_DECIMAL &&
               !table->options.numbers_as_text) {
        decimal_print(out, value->bytes);
    } else {
        return false;
    }
    return true;
}

/* What most columns are, without the way through a struct nw_connect_value.
 * @return false: it is something else, and nothing was printed */
static inline bool quick_print(struct nw_out *out, const struct nw_debezium *layout,
                               const struct field *field, const struct nw_value *value)
{
    const enum nw_type type = value->type;

    if (value->kind != NW_VALUE_PRESENT) {
        return false;
    }
    if (field->how == NW_HOW_TEXT && (type == NW_TYPE_TEXT || type == NW_TYPE_JSON)) {
        (void)nw_json_string(out, value->bytes, value->size, 0);
        return true;
    }
    if (field->how == NW_HOW_INTEGER && type != NW_TYPE_TEXT) {
        nw_out_i64(out, value->as.integer);
        return true;
    }
    if (field->how == NW_HOW_BOOLEAN && type == NW_TYPE_BOOL) {
        nw_out_text(out, value->as.boolean ? "true" : "false");
        return true;
    }
    return typed_print(out, layout, field, value);
}

/* Of a row's image. */
struct image {
    const struct nw_array *columns;
    size_t at;
    bool whole; /* the row has it, with every column */
};

static struct image image_of(const struct nw_batch *batch, int side, uint32_t row)
{
    const struct nw_image *image = &batch->image[side];
    struct image of = {.columns = image->columns, .at = (size_t)batch->first_row + row};
    unsigned missing = 0;

    if (!nw_batch_has(batch, side, row)) {
        return of;
    }
    for (uint32_t i = 0; i < batch->missing_stride; i++) {
        missing |= image->missing[of.at * batch->missing_stride + i];
    }
    of.whole = missing == 0;
    return of;
}

/* As nw_batch_read(), which is asked for what is not just there. */
static inline void column_read(const struct nw_row *row, int side, const struct image *image,
                               uint16_t column, struct nw_value *value)
{
    const struct nw_batch *batch = row->batch;

    if (!image->whole || !nw_bit(image->columns[column].validity, image->at)) {
        nw_batch_read(batch, side, row->row, column, value);
        return;
    }
    value->kind = NW_VALUE_PRESENT;
    value->type = (enum nw_type)batch->table->columns[column].type;
    value->as.integer = 0;
    value->bytes = NULL;
    value->size = 0;
    nw_value_load(value, &image->columns[column], image->at);
}

static nw_status column_print(const struct nw_debezium *layout, const struct field *field,
                              const struct nw_row *row, int side, struct nw_out *out,
                              struct nw_error *err)
{
    const struct nw_value source = nw_batch_value(row->batch, side, row->row, field->column);
    struct nw_connect_value value;
    nw_status status = nw_connect_convert(row->scratch, field->column, &source, side, &value, err);

    return status == NW_OK ? nw_connect_json_value(out, field->schema, &value,
                                                   layout->options.null_as_default, err)
                           : status;
}

static nw_status fields_print(const struct nw_debezium *layout, const struct fields *fields,
                              const struct nw_row *row, int side, struct nw_out *out,
                              struct nw_error *err)
{
    const struct image image = image_of(row->batch, side, row->row);
    struct nw_value source;
    nw_status status = NW_OK;

    if (fields->count == 0) {
        nw_out_text(out, "{");
    }
    for (uint32_t i = 0; i < fields->count && status == NW_OK; i++) {
        const struct field *field = &fields->items[i];

        nw_out_bytes(out, field->name.bytes, field->name.used);
        column_read(row, side, &image, field->column, &source);
        if (!quick_print(out, layout, field, &source)) {
            status = column_print(layout, field, row, side, out, err);
        }
    }
    nw_out_text(out, "}");
    return status;
}

nw_status nw_debezium_bare_key(struct nw_debezium *layout, const struct nw_row *row, int side,
                               struct nw_out *out, struct nw_error *err)
{
    nw_status status = fields_print(layout, &layout->key, row, side, out, err);

    return status == NW_OK && out->failed ? no_memory(err) : status;
}

nw_status nw_debezium_key(struct nw_debezium *layout, const struct nw_row *row, int side,
                          struct nw_out *out, struct nw_error *err)
{
    size_t start = out->used;
    nw_status status;

    nw_out_bytes(out, layout->key_schema.bytes, layout->key_schema.used);
    status = nw_debezium_bare_key(layout, row, side, out, err);
    if (layout->options.schemas) {
        nw_out_text(out, "}");
    }
    if (layout->options.schemas || !layout->key.plain) {
        nw_connect_json_jackson(out, start);
    }
    return status == NW_OK && out->failed ? no_memory(err) : status;
}

/* ---- the envelope ---- */

/* What is before 1970 goes down as what is behind it. */
static int64_t divided(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

static void times_print(struct nw_out *out, int64_t us)
{
    nw_out_text(out, ",\"ts_us\":");
    nw_out_i64(out, us);
    nw_out_text(out, ",\"ts_ns\":");
    nw_out_i64(out, (int64_t)((uint64_t)us * 1000));
}

static void snapshot_print(struct nw_out *out, const char *snapshot,
                           const struct nw_debezium_options *options)
{
    nw_out_text(out, ",\"snapshot\":");
    if (options->snapshot_null && strcmp(snapshot, "false") == 0) {
        nw_out_text(out, "null");
        return;
    }
    nw_out_text(out, "\"");
    nw_out_text(out, snapshot);
    nw_out_text(out, "\"");
}

static void text_or_null(struct nw_out *out, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        nw_out_text(out, "null");
    } else {
        (void)nw_json_string(out, text, strlen(text), 0);
    }
}

static void number_or_null(struct nw_out *out, uint64_t number)
{
    if (number == 0) {
        nw_out_text(out, "null");
    } else {
        nw_out_u64(out, number);
    }
}

/* Up to source.sequence, and from there to source.lsn: the same for all rows of a transaction. */
static void head_print(struct nw_debezium *layout, const struct nw_change *change)
{
    if (layout->head.used > 0 && layout->commit_us == change->commit_us &&
        layout->snapshot == change->snapshot && layout->xid == change->xid) {
        return;
    }
    layout->commit_us = change->commit_us;
    layout->snapshot = change->snapshot;
    layout->xid = change->xid;
    layout->head.used = layout->middle.used = 0;
    nw_out_bytes(&layout->head, layout->source_head.bytes, layout->source_head.used);
    nw_out_i64(&layout->head, divided(change->commit_us, 1000));
    snapshot_print(&layout->head, change->snapshot, &layout->options);
    /* without its quote */
    nw_out_bytes(&layout->head, layout->source_db.bytes + 1, layout->source_db.used - 1);
    times_print(&layout->middle, change->commit_us);
    nw_out_bytes(&layout->middle, layout->source_table.bytes, layout->source_table.used);
    number_or_null(&layout->middle, change->xid);
    nw_out_text(&layout->middle, ",\"lsn\":");
}

/* A JSON array of numbers in quotes, as text in JSON. */
static void sequence_print(struct nw_out *out, const char *text)
{
    uint8_t *at;

    if (text == NULL || text[0] == '\0') {
        nw_out_text(out, "null");
        return;
    }
    if (!nw_out_reserve(out, (size_t)NW_CHANGE_SEQUENCE_SIZE * 2)) {
        return;
    }
    at = out->bytes + out->used;
    *at++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            *at++ = '\\';
        }
        *at++ = (uint8_t)*text;
    }
    *at++ = '"';
    out->used = (size_t)(at - out->bytes);
}

/* Behind source.lsn, to the end of source. */
static void source_end(struct nw_out *out, const struct nw_change *change)
{
    nw_out_text(out, ",\"xmin\":null,\"origin\":");
    text_or_null(out, change->origin);
    nw_out_text(out, ",\"origin_lsn\":");
    number_or_null(out, change->origin_lsn);
    nw_out_text(out, "}");
}

static void transaction_print(struct nw_out *out, const struct nw_change *change)
{
    nw_out_text(out, ",\"transaction\":");
    if (change->transaction == NULL) {
        nw_out_text(out, "null");
        return;
    }
    field_text(out, "{\"id\":", change->transaction);
    nw_out_text(out, ",\"total_order\":");
    nw_out_i64(out, change->total_order);
    nw_out_text(out, ",\"data_collection_order\":");
    nw_out_i64(out, change->table_order);
    nw_out_text(out, "}");
}

/* From op to the end. */
static void times_end(struct nw_out *out, const struct nw_change *change)
{
    nw_out_text(out, ",\"op\":\"");
    nw_out_bytes(out, &change->op, 1);
    nw_out_text(out, "\",\"ts_ms\":");
    nw_out_i64(out, divided(change->now_ns, 1000000));
    nw_out_text(out, ",\"ts_us\":");
    nw_out_i64(out, divided(change->now_ns, 1000));
    nw_out_text(out, ",\"ts_ns\":");
    nw_out_i64(out, change->now_ns);
}

static void end_print(const struct nw_debezium *layout, struct nw_out *out,
                      const struct nw_change *change)
{
    source_end(out, change);
    transaction_print(out, change);
    times_end(out, change);
    nw_out_text(out, layout->options.schemas ? "}}" : "}");
}

/* Behind source.lsn. Rows of a batch have the same times, and most of them nothing else. */
static void rest_print(struct nw_debezium *layout, struct nw_out *out,
                       const struct nw_change *change)
{
    if (change->transaction != NULL || change->origin != NULL || change->origin_lsn != 0) {
        end_print(layout, out, change);
        return;
    }
    if (layout->end.used == 0 || layout->end_ns != change->now_ns || layout->end_op != change->op) {
        layout->end.used = 0;
        layout->end_ns = change->now_ns;
        layout->end_op = change->op;
        end_print(layout, &layout->end, change);
    }
    nw_out_bytes(out, layout->end.bytes, layout->end.used);
}

static nw_status image_print(const struct nw_debezium *layout, const struct nw_row *row, int side,
                             bool there, struct nw_out *out, struct nw_error *err)
{
    if (!there) {
        nw_out_text(out, "null");
        return NW_OK;
    }
    return fields_print(layout, &layout->value, row, side, out, err);
}

nw_status nw_debezium_value(struct nw_debezium *layout, const struct nw_row *row,
                            struct nw_out *out, struct nw_error *err)
{
    const struct nw_change *change = row->change;
    nw_status status;

    head_print(layout, change);
    nw_out_bytes(out, layout->value_schema.bytes, layout->value_schema.used);
    nw_out_text(out, "{\"before\":");
    status = image_print(layout, row, NW_BEFORE, change->before, out, err);
    nw_out_text(out, ",\"after\":");
    if (status == NW_OK) {
        status = image_print(layout, row, NW_AFTER, change->after, out, err);
    }
    nw_out_bytes(out, layout->head.bytes, layout->head.used);
    sequence_print(out, change->sequence);
    nw_out_bytes(out, layout->middle.bytes, layout->middle.used);
    number_or_null(out, change->lsn);
    rest_print(layout, out, change);
    if (status == NW_OK &&
        (out->failed || layout->head.failed || layout->middle.failed || layout->end.failed)) {
        layout->head.used = layout->end.used = 0; /* made anew */
        layout->head.failed = layout->middle.failed = layout->end.failed = false;
        return no_memory(err);
    }
    return status;
}

/* ---- messages ---- */

void nw_debezium_message_key(const struct nw_event *event,
                             const struct nw_debezium_options *options, struct nw_out *out)
{
    size_t start = out->used;

    if (options->schemas) {
        schema_print(out, &nw_message_key_schema);
    }
    field_text(out, "{\"prefix\":", event->prefix);
    nw_out_text(out, options->schemas ? "}}" : "}");
    nw_connect_json_jackson(out, start);
}

static void content_print(struct nw_out *out, const struct nw_event *event,
                          enum nw_connect_binaries binaries)
{
    nw_out_text(out, "\"");
    if (binaries == NW_BINARIES_HEX) {
        nw_out_hex(out, event->content, event->content_size);
    } else {
        nw_out_base64(out, event->content, event->content_size,
                      binaries == NW_BINARIES_BASE64_URL_SAFE);
    }
    nw_out_text(out, "\"");
}

void nw_debezium_message(const struct nw_event *event, const struct nw_origin *origin,
                         const struct nw_change *change, enum nw_connect_binaries binaries,
                         const struct nw_debezium_options *options, struct nw_out *out)
{
    struct nw_out db = {0};

    if (options->schemas) {
        schema_print(out, nw_message_value_schema(binaries));
    }
    nw_out_text(out, "{\"op\":\"m\",\"ts_ms\":");
    nw_out_i64(out, divided(change->now_ns, 1000000));
    source_print(origin, out, &db);
    nw_out_i64(out, divided(change->commit_us, 1000));
    snapshot_print(out, "false", options);
    if (!db.failed) {
        nw_out_bytes(out, db.bytes + 1, db.used - 1);
    }
    sequence_print(out, change->sequence);
    times_print(out, change->commit_us);
    table_print("", "", out);
    number_or_null(out, change->xid);
    nw_out_text(out, ",\"lsn\":");
    number_or_null(out, change->lsn);
    source_end(out, change);
    transaction_print(out, change);
    field_text(out, ",\"message\":{\"prefix\":", event->prefix);
    nw_out_text(out, ",\"content\":");
    content_print(out, event, binaries);
    nw_out_text(out, options->schemas ? "}}}" : "}}");
    out->failed |= db.failed;
    nw_out_fini(&db);
}
