/* SPDX-License-Identifier: Apache-2.0 */
/* Events and schema versions as JSON: see json.h, and docs/files.md for the format. Stateless. */
#include "lib/json.h"
#include "lib/print.h"

static const char *const type_names[] = {
    [NW_TYPE_TEXT] = "text",           [NW_TYPE_BINARY] = "binary",
    [NW_TYPE_BOOL] = "bool",           [NW_TYPE_INT16] = "int16",
    [NW_TYPE_INT32] = "int32",         [NW_TYPE_INT64] = "int64",
    [NW_TYPE_UINT32] = "uint32",       [NW_TYPE_FLOAT32] = "float32",
    [NW_TYPE_FLOAT64] = "float64",     [NW_TYPE_DECIMAL] = "decimal",
    [NW_TYPE_DATE] = "date",           [NW_TYPE_TIME] = "time",
    [NW_TYPE_TIMESTAMP] = "timestamp", [NW_TYPE_TIMESTAMPTZ] = "timestamptz",
    [NW_TYPE_UUID] = "uuid",           [NW_TYPE_JSON] = "json",
    [NW_TYPE_NUMERIC] = "numeric",
};

static void out_key_lsn(struct nw_out *out, const char *key, uint64_t lsn)
{
    nw_out_text(out, key);
    nw_out_text(out, "\"");
    nw_out_lsn(out, lsn);
    nw_out_text(out, "\"");
}

static void out_key_i64(struct nw_out *out, const char *key, int64_t value)
{
    nw_out_text(out, key);
    nw_out_i64(out, value);
}

static void out_key_bool(struct nw_out *out, const char *key, bool value)
{
    nw_out_text(out, key);
    nw_out_text(out, value ? "true" : "false");
}

static void out_key_name(struct nw_out *out, const char *key, const char *name)
{
    nw_out_text(out, key);
    if (name == NULL) {
        nw_out_text(out, "null");
    } else {
        nw_json_name(out, name);
    }
}

static void out_commit_ts(struct nw_out *out, int64_t commit_ts)
{
    uint8_t text[NW_PRINT_TIMESTAMP_MAX];

    nw_out_text(out, ",\"commit_ts\":\"");
    nw_out_bytes(out, text, (size_t)(nw_print_timestamp(text, commit_ts, "+00") - text));
    nw_out_text(out, "\"");
}

void nw_json_event(const struct nw_event *event, uint32_t schema, struct nw_out *out)
{
    char op = event->kind == NW_EVENT_TRUNCATE ? 'T'
              : event->kind == NW_EVENT_SCHEMA ? 'S'
              : event->kind == NW_EVENT_DROP   ? 'X'
                                               : 'M';

    nw_out_text(out, "{\"op\":\"");
    nw_out_bytes(out, &op, 1);
    out_key_lsn(out, "\",\"lsn\":", event->lsn);
    nw_out_text(out, ",\"seq\":");
    nw_out_u64(out, event->seq);
    out_key_lsn(out, ",\"commit_lsn\":", event->commit_lsn);
    if (event->commit_lsn != 0 && event->kind != NW_EVENT_DROP) {
        out_key_i64(out, ",\"xid\":", event->xid);
        out_commit_ts(out, event->commit_ts);
    }
    if (event->origin != NULL && event->origin[0] != '\0') {
        nw_out_text(out, ",\"origin\":");
        (void)nw_json_string(out, event->origin, strlen(event->origin), 0);
    }
    if (event->kind == NW_EVENT_MESSAGE) {
        out_key_bool(out, ",\"transactional\":", (event->flags & 1u) != 0);
        nw_out_text(out, ",\"prefix\":");
        (void)nw_json_string(out, event->prefix, strlen(event->prefix), 0);
        nw_out_text(out, ",\"content\":");
        (void)nw_json_string(out, event->content, event->content_size, 0);
    } else if (event->kind != NW_EVENT_DROP) {
        out_key_i64(out, ",\"schema\":", schema);
    }
    if (event->kind == NW_EVENT_TRUNCATE) {
        out_key_bool(out, ",\"cascade\":", (event->flags & NW_TRUNCATE_CASCADE) != 0);
        out_key_bool(out,
                     ",\"restart_identity\":", (event->flags & NW_TRUNCATE_RESTART_IDENTITY) != 0);
    }
    nw_out_text(out, "}\n");
}

static void out_exact(struct nw_out *out, uint32_t exact)
{
    static const char *const names[] = {"name",     "type",    "key", "attnum",
                                        "not_null", "default", "enum"};
    bool first = true;

    nw_out_text(out, ",\"exact\":[");
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((exact >> i & 1u) != 0) {
            nw_out_text(out, first ? "\"" : ",\"");
            nw_out_text(out, names[i]);
            nw_out_text(out, "\"");
            first = false;
        }
    }
    nw_out_text(out, "]");
}

static void out_enum(struct nw_out *out, const char *const *labels)
{
    nw_out_text(out, ",\"enum\":");
    if (labels == NULL) {
        nw_out_text(out, "null");
        return;
    }
    nw_out_text(out, "[");
    for (size_t i = 0; labels[i] != NULL; i++) {
        if (i > 0) {
            nw_out_text(out, ",");
        }
        nw_json_name(out, labels[i]);
    }
    nw_out_text(out, "]");
}

static void out_column(struct nw_out *out, const struct nw_column_schema *column)
{
    out_key_name(out, "{\"name\":", column->name);
    out_key_i64(out, ",\"attnum\":", column->attnum);
    nw_out_text(out, ",\"kind\":\"");
    nw_out_text(out, column->type >= NW_TYPE_TEXT && column->type <= NW_TYPE_NUMERIC
                         ? type_names[column->type]
                         : "unknown");
    out_key_name(out, "\",\"type\":", column->type_name);
    out_key_i64(out, ",\"type_oid\":", column->type_oid);
    out_key_i64(out, ",\"base_type_oid\":", column->base_type_oid);
    out_key_i64(out, ",\"typmod\":", column->typmod);
    if (column->type == NW_TYPE_DECIMAL) {
        out_key_i64(out, ",\"precision\":", column->precision);
        out_key_i64(out, ",\"scale\":", column->scale);
    }
    out_key_bool(out, ",\"not_null\":", column->not_null);
    out_key_bool(out, ",\"identity\":", column->identity);
    out_key_name(out, ",\"default\":", column->default_expr);
    out_enum(out, column->enum_labels);
    out_exact(out, column->exact);
    nw_out_text(out, "}");
}

void nw_json_schema(const struct nw_table *table, struct nw_out *out)
{
    out_key_i64(out, "{\"oid\":", table->relation_oid);
    out_key_name(out, ",\"schema\":", table->schema_name);
    out_key_name(out, ",\"name\":", table->name);
    nw_out_text(out, ",\"root\":");
    if (table->root_oid == 0) {
        nw_out_text(out, "null");
    } else {
        out_key_i64(out, "{\"oid\":", table->root_oid);
        out_key_name(out, ",\"schema\":", table->root_schema_name);
        out_key_name(out, ",\"name\":", table->root_name);
        nw_out_text(out, "}");
    }
    nw_out_text(out, ",\"replica_identity\":\"");
    nw_out_bytes(out, &table->replica_identity, 1);
    out_key_bool(out, "\",\"key_is_primary\":", table->key_is_primary);
    nw_out_text(out, ",\"key\":[");
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        out_key_name(out, i > 0 ? "," : "", table->columns[table->key_columns[i]].name);
    }
    nw_out_text(out, "],\"columns\":[");
    for (uint16_t i = 0; i < table->columns_count; i++) {
        nw_out_text(out, i > 0 ? ",\n" : "\n");
        out_column(out, &table->columns[i]);
    }
    nw_out_text(out, "\n]}\n");
}
