/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of Debezium's envelope: see envelope.h. */
#include "lib/format/envelope.h"

#include <stdlib.h>

#define SNAPSHOTS                                                                                  \
    "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

static const struct nw_connect_schema text = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema text_or_null = {.kind = NW_CONNECT_STRING, .optional = true};
static const struct nw_connect_schema number = {.kind = NW_CONNECT_INT64};
static const struct nw_connect_schema number_or_null = {.kind = NW_CONNECT_INT64, .optional = true};

static const struct nw_connect_parameter snapshots[] = {{"allowed", SNAPSHOTS}};
static const struct nw_connect_value snapshot_not = {
    .kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)"false", .size = 5};
static const struct nw_connect_schema snapshot = {.kind = NW_CONNECT_STRING,
                                                  .optional = true,
                                                  .version = 1,
                                                  .name = "io.debezium.data.Enum",
                                                  .parameters = snapshots,
                                                  .parameters_count = 1,
                                                  .fallback = &snapshot_not};

static const struct nw_connect_field source_fields[NW_SOURCE_FIELDS_COUNT] = {
    {"version", &text},
    {"connector", &text},
    {"name", &text},
    {"ts_ms", &number},
    {"snapshot", &snapshot},
    {"db", &text},
    {"sequence", &text_or_null},
    {"ts_us", &number_or_null},
    {"ts_ns", &number_or_null},
    {"schema", &text},
    {"table", &text},
    {"txId", &number_or_null},
    {"lsn", &number_or_null},
    {"xmin", &number_or_null},
    {"origin", &text_or_null},
    {"origin_lsn", &number_or_null}};
const struct nw_connect_schema nw_source_schema = {.kind = NW_CONNECT_STRUCT,
                                                   .version = 1,
                                                   .name =
                                                       "io.debezium.connector.postgresql.Source",
                                                   .fields = source_fields,
                                                   .fields_count = NW_SOURCE_FIELDS_COUNT};

static const struct nw_connect_field block_fields[] = {
    {"id", &text}, {"total_order", &number}, {"data_collection_order", &number}};
const struct nw_connect_schema nw_block_schema = {.kind = NW_CONNECT_STRUCT,
                                                  .optional = true,
                                                  .version = 1,
                                                  .name = "event.block",
                                                  .fields = block_fields,
                                                  .fields_count = 3};

/* ---- what is said of a change ---- */

static const struct {
    const char *within; /* "": the envelope itself */
    const char *name;
    const struct nw_connect_schema *schema;
} metas[NW_META_COUNT] = {
    [NW_META_VERSION] = {"source", "version", &text},
    [NW_META_CONNECTOR] = {"source", "connector", &text},
    [NW_META_NAME] = {"source", "name", &text},
    [NW_META_SOURCE_MS] = {"source", "ts_ms", &number},
    [NW_META_SNAPSHOT] = {"source", "snapshot", &snapshot},
    [NW_META_DB] = {"source", "db", &text},
    [NW_META_SEQUENCE] = {"source", "sequence", &text_or_null},
    [NW_META_SOURCE_US] = {"source", "ts_us", &number_or_null},
    [NW_META_SOURCE_NS] = {"source", "ts_ns", &number_or_null},
    [NW_META_SCHEMA] = {"source", "schema", &text},
    [NW_META_TABLE] = {"source", "table", &text},
    [NW_META_XID] = {"source", "txId", &number_or_null},
    [NW_META_LSN] = {"source", "lsn", &number_or_null},
    [NW_META_XMIN] = {"source", "xmin", &number_or_null},
    [NW_META_ORIGIN] = {"source", "origin", &text_or_null},
    [NW_META_ORIGIN_LSN] = {"source", "origin_lsn", &number_or_null},
    [NW_META_OP] = {"", "op", &text},
    [NW_META_MS] = {"", "ts_ms", &number_or_null},
    [NW_META_US] = {"", "ts_us", &number_or_null},
    [NW_META_NS] = {"", "ts_ns", &number_or_null},
    [NW_META_TRANSACTION] = {"transaction", "id", &text_or_null},
    [NW_META_TOTAL_ORDER] = {"transaction", "total_order", &number_or_null},
    [NW_META_TABLE_ORDER] = {"transaction", "data_collection_order", &number_or_null},
};

const struct nw_connect_schema *nw_meta_schema(enum nw_meta meta)
{
    return metas[meta].schema;
}

static struct nw_connect_value text_value(const char *string)
{
    struct nw_connect_value value = {.kind = NW_CONNECT_NULL};

    if (string != NULL) {
        value.kind = NW_CONNECT_TEXT;
        value.bytes = (const uint8_t *)string;
        value.size = (uint32_t)strlen(string);
    }
    return value;
}

static struct nw_connect_value number_value(int64_t integer, bool present)
{
    return (struct nw_connect_value){.kind = present ? NW_CONNECT_INTEGER : NW_CONNECT_NULL,
                                     .as.integer = integer};
}

/* What is before 1970 goes down as what is behind it. */
static int64_t divided(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

static struct nw_connect_value time_value(enum nw_meta meta, const struct nw_change *change)
{
    int64_t value = 0;

    switch ((unsigned)meta) {
    case NW_META_SOURCE_MS:
        value = divided(change->commit_us, 1000);
        break;
    case NW_META_SOURCE_US:
        value = change->commit_us;
        break;
    case NW_META_SOURCE_NS:
        value = (int64_t)((uint64_t)change->commit_us * 1000);
        break;
    case NW_META_MS:
        value = divided(change->now_ns, 1000000);
        break;
    case NW_META_US:
        value = divided(change->now_ns, 1000);
        break;
    default:
        value = change->now_ns;
        break;
    }
    return number_value(value, true);
}

struct nw_connect_value nw_meta_value(enum nw_meta meta, const struct nw_origin *origin,
                                      const struct nw_change *change)
{
    const char *origin_name =
        change->origin != NULL && change->origin[0] != '\0' ? change->origin : NULL;
    const char *texts[NW_META_COUNT] = {
        [NW_META_VERSION] = origin->version, [NW_META_CONNECTOR] = "postgresql",
        [NW_META_NAME] = origin->name,       [NW_META_SNAPSHOT] = change->snapshot,
        [NW_META_DB] = origin->database,     [NW_META_SEQUENCE] = change->sequence,
        [NW_META_SCHEMA] = origin->schema,   [NW_META_TABLE] = origin->table,
        [NW_META_ORIGIN] = origin_name,      [NW_META_TRANSACTION] = change->transaction};
    struct nw_connect_value value = {.kind = NW_CONNECT_NULL};

    switch ((unsigned)meta) {
    case NW_META_SOURCE_MS:
    case NW_META_SOURCE_US:
    case NW_META_SOURCE_NS:
    case NW_META_MS:
    case NW_META_US:
    case NW_META_NS:
        return time_value(meta, change);
    case NW_META_XID:
        return number_value(change->xid, change->xid != 0);
    case NW_META_LSN:
        return number_value((int64_t)change->lsn, change->lsn != 0);
    case NW_META_ORIGIN_LSN:
        return number_value((int64_t)change->origin_lsn, change->origin_lsn != 0);
    case NW_META_TOTAL_ORDER:
        return number_value(change->total_order, change->transaction != NULL);
    case NW_META_TABLE_ORDER:
        return number_value(change->table_order, change->transaction != NULL);
    case NW_META_XMIN:
        return value; /* Debezium's xmin.fetch.interval.ms is 0 */
    case NW_META_OP:
        value = text_value(&change->op);
        value.size = 1;
        return value;
    default:
        return text_value(texts[meta]);
    }
}

bool nw_meta_find(const char *setting, const char *prefix, enum nw_meta *meta,
                  char name[static NW_META_NAME_SIZE])
{
    size_t size = strcspn(setting, ":");
    const char *alias = setting[size] == ':' ? setting + size + 1 : NULL;
    const char *dot = memchr(setting, '.', size);
    size_t within = dot == NULL ? 0 : (size_t)(dot - setting);
    const char *bare = dot == NULL ? setting : dot + 1;
    size_t bare_size = size - (size_t)(bare - setting);
    int found = -1;
    int printed = 0;

    for (int i = NW_META_COUNT - 1; i >= 0; i--) { /* a bare name is of source last of all */
        bool same_struct = dot == NULL || (strncmp(metas[i].within, setting, within) == 0 &&
                                           metas[i].within[within] == '\0');

        if (found < 0 && same_struct && strncmp(metas[i].name, bare, bare_size) == 0 &&
            metas[i].name[bare_size] == '\0') {
            found = i;
        }
    }
    if (found < 0) {
        return false;
    }
    *meta = (enum nw_meta)found;
    if (alias != NULL) {
        printed = snprintf(name, NW_META_NAME_SIZE, "%s%s", prefix, alias);
    } else {
        printed = snprintf(name, NW_META_NAME_SIZE, "%s%.*s%s%s", prefix, (int)within, setting,
                           dot == NULL ? "" : "_", metas[found].name);
    }
    return printed > 0 && (size_t)printed < NW_META_NAME_SIZE;
}

/* ---- the envelope ---- */

bool nw_envelope_init(struct nw_envelope *envelope, const struct nw_connect_schema *value)
{
    static const char ending[] = "Envelope";
    const char *dot = strrchr(value->name, '.');
    size_t size = dot == NULL ? 0 : (size_t)(dot - value->name) + 1;

    *envelope = (struct nw_envelope){
        .fields = {[NW_ENVELOPE_BEFORE] = {"before", value},
                   [NW_ENVELOPE_AFTER] = {"after", value},
                   [NW_ENVELOPE_SOURCE] = {"source", &nw_source_schema},
                   [NW_ENVELOPE_TRANSACTION] = {"transaction", &nw_block_schema},
                   [NW_ENVELOPE_OP] = {"op", &text},
                   [NW_ENVELOPE_TS_MS] = {"ts_ms", &number_or_null},
                   [NW_ENVELOPE_TS_US] = {"ts_us", &number_or_null},
                   [NW_ENVELOPE_TS_NS] = {"ts_ns", &number_or_null}}};
    envelope->name = malloc(size + sizeof ending);
    if (envelope->name == NULL) {
        return false;
    }
    memcpy(envelope->name, value->name, size);
    memcpy(envelope->name + size, ending, sizeof ending);
    envelope->schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT,
                                                  .version = 2,
                                                  .name = envelope->name,
                                                  .fields = envelope->fields,
                                                  .fields_count = NW_ENVELOPE_FIELDS_COUNT};
    return true;
}

void nw_envelope_fini(struct nw_envelope *envelope)
{
    free(envelope->name);
    *envelope = (struct nw_envelope){0};
}
