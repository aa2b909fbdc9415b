/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas by their numbers: see schemas.h. */
#include "kafka/schemas.h"

#include <stdlib.h>
#include <string.h>

#include "kafka/avro.h"

#define OPTIONS_BYTES_MAX (1u << 20)
#define URLS_MAX          16u

struct nw_schemas_entry {
    struct nw_schemas_entry *next;
    uint32_t id;
    bool there;
    struct nw_leaves_avro avro; /* text: own */
    struct nw_avro_schema *schema;
};

static nw_status options_copy(struct nw_schemas *schemas, const struct nw_registry_options *from,
                              struct nw_error *err)
{
    struct nw_arena *arena = &schemas->arena;
    struct nw_registry_options *to = &schemas->options;
    const char **urls = nw_arena_array(arena, URLS_MAX + 1, sizeof(const char *));

    *to = *from;
    for (size_t i = 0; urls != NULL && i < URLS_MAX && from->urls[i] != NULL; i++) {
        urls[i] = nw_arena_text(arena, from->urls[i]);
    }
    to->urls = urls;
    to->sink = nw_arena_text(arena, from->sink);
    to->username = nw_arena_text(arena, from->username);
    to->password = nw_arena_text(arena, from->password);
    to->token = nw_arena_text(arena, from->token);
    to->ca = nw_arena_text(arena, from->ca);
    to->cert = nw_arena_text(arena, from->cert);
    to->key = nw_arena_text(arena, from->key);
    return urls == NULL || to->sink == NULL
               ? nw_fail(err, NW_FATAL, "out of memory for the registry")
               : NW_OK;
}

nw_status nw_schemas_open(struct nw_schemas *schemas, const struct nw_registry_options *options,
                          struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_arena_init(&schemas->arena, OPTIONS_BYTES_MAX);
    status = options_copy(schemas, options, err);
    return status == NW_OK ? nw_registry_create(&schemas->options, &schemas->client, err) : status;
}

void nw_schemas_close(struct nw_schemas *schemas)
{
    for (size_t i = 0; i < NW_SCHEMAS_SLOTS; i++) {
        while (schemas->slots[i] != NULL) {
            struct nw_schemas_entry *entry = schemas->slots[i];

            schemas->slots[i] = entry->next;
            nw_avro_schema_free(entry->schema);
            free((void *)(uintptr_t)entry->avro.text);
            free(entry);
        }
    }
    nw_registry_destroy(schemas->client);
    nw_arena_fini(&schemas->arena);
    *schemas = (struct nw_schemas){0};
}

/* Bytes that only look like Avro have some number as well: that there is no such schema ends
 * nothing. */
static void trouble_keep(struct nw_schemas *schemas, nw_status status, const struct nw_error *err)
{
    if (status == NW_REJECT && schemas->unread++ == 0) {
        schemas->why = *err;
    }
    if (status != NW_REJECT && schemas->trouble.text[0] == '\0') {
        schemas->trouble = *err;
    }
}

static nw_status entry_fill(struct nw_schemas *schemas, struct nw_schemas_entry *entry,
                            struct nw_error *err)
{
    const char *text = NULL;
    nw_status status = nw_registry_schema(schemas->client, entry->id, &text, err);

    if (status != NW_OK) {
        return status;
    }
    entry->avro.size = strlen(text);
    entry->avro.text = strdup(text);
    if (entry->avro.text == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the schema %u", entry->id);
    }
    status = nw_avro_schema_read(text, entry->avro.size, &entry->schema, err);
    if (status == NW_CORRUPT) {
        struct nw_error why = *err;

        return nw_fail(err, NW_REJECT,
                       "NW1542 %s: the schema %u of the registry cannot be read: %.300s",
                       schemas->options.sink, entry->id, why.text);
    }
    entry->avro.schema = entry->schema;
    return status;
}

const struct nw_leaves_avro *nw_schemas_get(struct nw_schemas *schemas, uint32_t id)
{
    struct nw_schemas_entry **slot = &schemas->slots[id % NW_SCHEMAS_SLOTS];
    struct nw_schemas_entry *entry = *slot;
    struct nw_error err = {0};
    nw_status status = NW_OK;

    while (entry != NULL && entry->id != id) {
        entry = entry->next;
    }
    if (entry == NULL && schemas->count < NW_SCHEMAS_MAX && schemas->client != NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            (void)nw_fail(&schemas->trouble, NW_FATAL, "out of memory for the schema %u", id);
            return NULL;
        }
        entry->id = id;
        entry->next = *slot;
        *slot = entry;
        schemas->count++;
        status = entry_fill(schemas, entry, &err);
        entry->there = status == NW_OK;
        if (!entry->there) {
            trouble_keep(schemas, status, &err);
        }
    }
    return entry != NULL && entry->there ? &entry->avro : NULL;
}
