/* SPDX-License-Identifier: Apache-2.0 */
/* See debezium.h. */
#include "lib/format/debezium.h"

#include <stdlib.h>

#include "lib/format/connect_form.h"
#include "lib/format/connect_json.h"
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
    struct nw_out head;  /* from source_head on to "sequence": */
    struct nw_out times; /* ,"ts_us":...,"ts_ns":... */
    struct nw_out end;   /* ,"op":"c","ts_ms":... */
    int64_t end_ns;
    char end_op;
};

/* ---- what is prepared ---- */

static void field_text(struct nw_out *out, const char *name, const char *text)
{
    nw_out_text(out, name);
    nw_json_name(out, text == NULL ? "" : text);
}

static bool fields_fill(struct fields *fields, const struct nw_connect_table *table,
                        const struct nw_connect_schema *schema, const uint16_t *columns)
{
    fields->items = calloc(schema->fields_count + 1u, sizeof *fields->items);
    if (fields->items == NULL) {
        return false;
    }
    fields->count = schema->fields_count;
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
    nw_out_fini(&layout->times);
    nw_out_fini(&layout->end);
    free(layout);
}

/* ---- columns ---- */

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for messages");
}

/* What most columns are, without the way through a struct nw_connect_value. */
static inline bool quick_print(struct nw_out *out, enum nw_how how, const struct nw_value *value)
{
    if (value->kind != NW_VALUE_PRESENT) {
        return false;
    }
    if (how == NW_HOW_TEXT && (value->type == NW_TYPE_TEXT || value->type == NW_TYPE_JSON)) {
        (void)nw_json_string(out, value->bytes, value->size, 0);
        return true;
    }
    if (how == NW_HOW_INTEGER && value->type != NW_TYPE_TEXT) {
        nw_out_i64(out, value->as.integer);
        return true;
    }
    if (how == NW_HOW_BOOLEAN && value->type == NW_TYPE_BOOL) {
        nw_out_text(out, value->as.boolean ? "true" : "false");
        return true;
    }
    return false;
}

static nw_status column_print(const struct nw_debezium *layout, const struct field *field,
                              const struct nw_row *row, int side, struct nw_out *out,
                              struct nw_error *err)
{
    struct nw_value source;
    struct nw_connect_value value;
    nw_status status;

    nw_batch_read(row->batch, side, row->row, field->column, &source);
    if (quick_print(out, field->how, &source)) {
        return NW_OK;
    }
    status = nw_connect_convert(row->scratch, field->column, &source, side, &value, err);
    return status == NW_OK ? nw_connect_json_value(out, field->schema, &value,
                                                   layout->options.null_as_default, err)
                           : status;
}

static nw_status fields_print(const struct nw_debezium *layout, const struct fields *fields,
                              const struct nw_row *row, int side, struct nw_out *out,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    if (fields->count == 0) {
        nw_out_text(out, "{");
    }
    for (uint32_t i = 0; i < fields->count && status == NW_OK; i++) {
        const struct field *field = &fields->items[i];

        nw_out_bytes(out, field->name.bytes, field->name.used);
        status = column_print(layout, field, row, side, out, err);
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
    nw_connect_json_jackson(out, start);
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

/* Up to source.sequence, and the times behind it: the same for all rows of a transaction. */
static void head_print(struct nw_debezium *layout, const struct nw_change *change)
{
    if (layout->head.used > 0 && layout->commit_us == change->commit_us &&
        layout->snapshot == change->snapshot) {
        return;
    }
    layout->commit_us = change->commit_us;
    layout->snapshot = change->snapshot;
    layout->head.used = layout->times.used = 0;
    nw_out_bytes(&layout->head, layout->source_head.bytes, layout->source_head.used);
    nw_out_i64(&layout->head, divided(change->commit_us, 1000));
    snapshot_print(&layout->head, change->snapshot, &layout->options);
    /* without its quote */
    nw_out_bytes(&layout->head, layout->source_db.bytes + 1, layout->source_db.used - 1);
    times_print(&layout->times, change->commit_us);
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

/* From source.txId to the end of source. */
static void source_end(struct nw_out *out, const struct nw_change *change)
{
    number_or_null(out, change->xid);
    nw_out_text(out, ",\"lsn\":");
    number_or_null(out, change->lsn);
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

/* Rows of a batch have the same times. */
static void rest_print(struct nw_debezium *layout, struct nw_out *out,
                       const struct nw_change *change)
{
    transaction_print(out, change);
    if (layout->end.used == 0 || layout->end_ns != change->now_ns || layout->end_op != change->op) {
        layout->end.used = 0;
        layout->end_ns = change->now_ns;
        layout->end_op = change->op;
        times_end(&layout->end, change);
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
    text_or_null(out, change->sequence);
    nw_out_bytes(out, layout->times.bytes, layout->times.used);
    nw_out_bytes(out, layout->source_table.bytes, layout->source_table.used);
    source_end(out, change);
    rest_print(layout, out, change);
    nw_out_text(out, layout->options.schemas ? "}}" : "}");
    if (status == NW_OK &&
        (out->failed || layout->head.failed || layout->times.failed || layout->end.failed)) {
        layout->head.used = layout->end.used = 0; /* made anew */
        layout->head.failed = layout->times.failed = layout->end.failed = false;
        return no_memory(err);
    }
    return status;
}

/* ---- messages ---- */

static const struct nw_connect_schema text = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema text_optional = {.kind = NW_CONNECT_STRING, .optional = true};
static const struct nw_connect_schema bytes_optional = {.kind = NW_CONNECT_BYTES, .optional = true};
static const struct nw_connect_schema number_optional = {.kind = NW_CONNECT_INT64,
                                                         .optional = true};

void nw_debezium_message_key(const struct nw_event *event,
                             const struct nw_debezium_options *options, struct nw_out *out)
{
    static const struct nw_connect_field fields[] = {{"prefix", &text_optional}};
    static const struct nw_connect_schema schema = {
        .kind = NW_CONNECT_STRUCT,
        .version = 1,
        .name = "io.debezium.connector.postgresql.MessageKey",
        .fields = fields,
        .fields_count = 1};
    size_t start = out->used;

    if (options->schemas) {
        schema_print(out, &schema);
    }
    field_text(out, "{\"prefix\":", event->prefix);
    nw_out_text(out, options->schemas ? "}}" : "}");
    nw_connect_json_jackson(out, start);
}

static void message_schema(enum nw_connect_binaries binaries, struct nw_out *out)
{
    static const struct nw_connect_schema none = {.kind = NW_CONNECT_STRUCT, .name = ""};
    const struct nw_connect_field block_fields[] = {
        {"prefix", &text_optional},
        {"content", binaries == NW_BINARIES_BYTES ? &bytes_optional : &text_optional}};
    const struct nw_connect_schema block = {.kind = NW_CONNECT_STRUCT,
                                            .version = 1,
                                            .name = "io.debezium.connector.postgresql.Message",
                                            .fields = block_fields,
                                            .fields_count = 2};
    struct nw_envelope envelope;

    if (!nw_envelope_init(&envelope, &none)) {
        out->failed = true;
        return;
    }
    {
        const struct nw_connect_field fields[] = {
            {"op", &text},
            {"ts_ms", &number_optional},
            {"source", envelope.fields[NW_ENVELOPE_SOURCE].schema},
            {"transaction", envelope.fields[NW_ENVELOPE_TRANSACTION].schema},
            {"message", &block}};
        const struct nw_connect_schema schema = {
            .kind = NW_CONNECT_STRUCT,
            .version = 1,
            .name = "io.debezium.connector.postgresql.MessageValue",
            .fields = fields,
            .fields_count = 5};

        schema_print(out, &schema);
    }
    nw_envelope_fini(&envelope);
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
        message_schema(binaries, out);
    }
    nw_out_text(out, "{\"op\":\"m\",\"ts_ms\":");
    nw_out_i64(out, divided(change->now_ns, 1000000));
    source_print(origin, out, &db);
    nw_out_i64(out, divided(change->commit_us, 1000));
    snapshot_print(out, "false", options);
    if (!db.failed) {
        nw_out_bytes(out, db.bytes + 1, db.used - 1);
    }
    text_or_null(out, change->sequence);
    times_print(out, change->commit_us);
    table_print("", "", out);
    source_end(out, change);
    transaction_print(out, change);
    field_text(out, ",\"message\":{\"prefix\":", event->prefix);
    nw_out_text(out, ",\"content\":");
    content_print(out, event, binaries);
    nw_out_text(out, options->schemas ? "}}}" : "}}");
    out->failed |= db.failed;
    nw_out_fini(&db);
}
