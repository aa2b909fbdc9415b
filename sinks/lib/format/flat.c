/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of flattened rows: see flat.h. */
#include "lib/format/flat.h"

#include <stdlib.h>

#include "lib/format/connect_json.h"

static const struct nw_connect_schema deleted = {.kind = NW_CONNECT_STRING, .optional = true};

nw_status nw_added_read(struct nw_added *added, const char *const *items, const char *prefix,
                        const char *option, struct nw_error *err)
{
    added->count = 0;
    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        if (added->count == NW_ADDED_MAX) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: at most %u are taken", option, NW_ADDED_MAX);
        }
        if (!nw_meta_find(items[i], prefix, &added->items[added->count].meta,
                          added->items[added->count].name)) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: \"%s\" is no field of Debezium's envelope: op, ts_ms, lsn, "
                           "source.ts_ms, transaction.id",
                           option, items[i]);
        }
        added->count++;
    }
    return NW_OK;
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
        flat->fields[count++] = (struct nw_connect_field){
            options->fields.items[i].name, nw_meta_schema(options->fields.items[i].meta)};
    }
    flat->schema.optional = false;
    flat->schema.fields = flat->fields;
    flat->schema.fields_count = count;
    if (options->schemas) {
        nw_out_text(&flat->head, "{\"schema\":");
        nw_connect_json_schema(&flat->head, &flat->schema, NULL);
        nw_out_text(&flat->head, ",\"payload\":");
    }
    return !flat->head.failed;
}

void nw_flat_fini(struct nw_flat *flat)
{
    free(flat->fields);
    nw_out_fini(&flat->head);
    *flat = (struct nw_flat){0};
}
