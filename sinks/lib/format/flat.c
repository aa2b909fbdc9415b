/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of flattened rows: see flat.h. */
#include "lib/format/flat.h"

#include <stdlib.h>
#include <string.h>

#include "lib/format/connect_json.h"

static const struct nw_connect_schema deleted = {.kind = NW_CONNECT_STRING, .optional = true};

/* NAME=TEXT; NAME! is required. @return false: it is not */
static bool constant_read(const char *setting, struct nw_added_item *item)
{
    const char *equals = strchr(setting, '=');
    size_t size = equals == NULL ? 0 : (size_t)(equals - setting);
    char last = size == 0 ? '\0' : setting[size - 1];

    if (size == 0 || size >= sizeof item->name) {
        return false;
    }
    memcpy(item->name, setting, size - (last == '!' || last == '?'));
    item->constant = equals + 1;
    item->schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRING, .optional = last != '!'};
    return item->name[0] != '\0';
}

/* A field of the envelope: optional, whatever it is there. */
static bool meta_read(const char *setting, const char *prefix, struct nw_added_item *item)
{
    if (!nw_meta_find(setting, prefix, &item->meta, item->name)) {
        return false;
    }
    item->schema = *nw_meta_schema(item->meta);
    item->schema.optional = true;
    item->schema.fallback = NULL;
    return true;
}

struct nw_connect_value nw_added_value(const struct nw_added_item *item,
                                       const struct nw_origin *origin,
                                       const struct nw_change *change)
{
    if (item->constant == NULL && item->meta == NW_META_SNAPSHOT &&
        strcmp(change->snapshot, "false") == 0) {
        return (struct nw_connect_value){.kind = NW_CONNECT_NULL}; /* it is only the default */
    }
    if (item->constant == NULL) {
        return nw_meta_value(item->meta, origin, change);
    }
    return (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                     .bytes = (const uint8_t *)item->constant,
                                     .size = (uint32_t)strlen(item->constant)};
}

nw_status nw_added_read(struct nw_added *added, const char *const *items, const char *prefix,
                        const char *option, struct nw_error *err)
{
    added->count = 0;
    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        if (added->count == NW_ADDED_MAX) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: at most %u are taken", option, NW_ADDED_MAX);
        }
        struct nw_added_item *item = &added->items[added->count];

        *item = (struct nw_added_item){0};
        if (!constant_read(items[i], item) && !meta_read(items[i], prefix, item)) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: \"%s\" is no field of Debezium's envelope (op, ts_ms, lsn, "
                           "source.ts_ms, transaction.id), nor NAME=TEXT",
                           option, items[i]);
        }
        added->count++;
    }
    return NW_OK;
}

static bool head_print(struct nw_flat *flat)
{
    flat->head.used = 0;
    if (flat->options->schemas) {
        nw_out_text(&flat->head, "{\"schema\":");
        nw_connect_json_schema(&flat->head, &flat->schema, NULL);
        nw_out_text(&flat->head, ",\"payload\":");
    }
    return !flat->head.failed;
}

bool nw_flat_init(struct nw_flat *flat, const struct nw_connect_table *table,
                  const struct nw_flat_options *options)
{
    uint32_t count = table->value->fields_count;

    *flat = (struct nw_flat){.options = options, .schema = *table->value};
    flat->fields = calloc((size_t)count + 1 + options->fields.count, sizeof *flat->fields);
    if (flat->fields == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        flat->fields[i] = table->value->fields[i];
    }
    if (nw_flat_marks(options)) {
        flat->fields[count++] = (struct nw_connect_field){"__deleted", &deleted};
    }
    for (uint32_t i = 0; i < options->fields.count; i++) {
        flat->fields[count++] = (struct nw_connect_field){options->fields.items[i].name,
                                                          &options->fields.items[i].schema};
    }
    flat->schema.optional = false;
    flat->schema.fields = flat->fields;
    flat->schema.fields_count = count;
    return head_print(flat);
}

nw_status nw_flat_reshape(struct nw_flat *flat, const struct nw_connect_table *table,
                          const char *topic, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (flat->options->reshape == NULL) {
        return NW_OK;
    }
    status = nw_reshape_create(flat->options->reshape, table, flat, topic, &flat->reshape, err);
    if (status != NW_OK) {
        return status;
    }
    flat->schema.fields = nw_reshape_fields(flat->reshape, &flat->schema.fields_count);
    return head_print(flat) ? NW_OK : nw_fail(err, NW_RETRY, "out of memory for messages");
}

void nw_flat_fini(struct nw_flat *flat)
{
    nw_reshape_destroy(flat->reshape);
    free(flat->fields);
    nw_out_fini(&flat->head);
    *flat = (struct nw_flat){0};
}
