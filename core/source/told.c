/* SPDX-License-Identifier: Apache-2.0 */
/* See told.h. Relation messages are rare, so tables are looked for in a list. */
#include "source/told.h"

#include <stdlib.h>
#include <string.h>

struct table {
    uint32_t oid;
    bool again; /* an older message was dealt behind it */
    uint64_t place;
    uint8_t *bytes;
    size_t size;
};

struct nw_told {
    struct table *tables;
    uint32_t count, capacity;
    uint64_t place;
    uint32_t again_count;
};

nw_status nw_told_create(struct nw_told **told, struct nw_error *err)
{
    *told = calloc(1, sizeof **told);
    return *told == NULL ? nw_fail(err, NW_FATAL, "out of memory for what is said of tables")
                         : NW_OK;
}

void nw_told_reset(struct nw_told *told)
{
    for (uint32_t i = 0; i < told->count; i++) {
        free(told->tables[i].bytes);
    }
    told->count = told->again_count = 0;
}

void nw_told_destroy(struct nw_told *told)
{
    if (told != NULL) {
        nw_told_reset(told);
        free(told->tables);
        free(told);
    }
}

uint64_t nw_told_next(struct nw_told *told)
{
    return ++told->place;
}

static struct table *table_of(struct nw_told *told, uint32_t oid)
{
    for (uint32_t i = 0; i < told->count; i++) {
        if (told->tables[i].oid == oid) {
            return &told->tables[i];
        }
    }
    if (told->count == told->capacity) {
        uint32_t capacity = told->capacity == 0 ? 64 : told->capacity * 2;
        struct table *tables = reallocarray(told->tables, capacity, sizeof *tables);

        if (tables == NULL) {
            return NULL;
        }
        told->tables = tables;
        told->capacity = capacity;
    }
    told->tables[told->count] = (struct table){.oid = oid};
    return &told->tables[told->count++];
}

static void again_set(struct nw_told *told, struct table *table, bool again)
{
    told->again_count += again && !table->again ? 1 : 0;
    told->again_count -= !again && table->again ? 1 : 0;
    table->again = again;
}

nw_status nw_told_dealt(struct nw_told *told, uint64_t place, struct nw_bytes message,
                        struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    struct table *table = NULL;
    uint8_t *bytes = NULL;

    (void)nw_cursor_u8(&cursor); /* 'R' */
    table = table_of(told, nw_cursor_u32be(&cursor));
    if (table != NULL && !cursor.failed && table->place > place) {
        again_set(told, table, true);
        return NW_OK;
    }
    bytes = malloc(message.size + 1);
    if (table == NULL || bytes == NULL) {
        free(bytes);
        return nw_fail(err, NW_FATAL, "out of memory for what is said of tables");
    }
    memcpy(bytes, message.at, message.size);
    free(table->bytes);
    table->bytes = bytes;
    table->size = message.size;
    table->place = place;
    again_set(told, table, false);
    return NW_OK;
}

void nw_told_counts(struct nw_told *told)
{
    for (uint32_t i = 0; i < told->count; i++) {
        if (told->tables[i].again) {
            again_set(told, &told->tables[i], false);
            return;
        }
    }
}

bool nw_told_again(struct nw_told *told, struct nw_bytes *message)
{
    for (uint32_t i = 0; i < told->count && told->again_count > 0; i++) {
        if (told->tables[i].again) {
            *message = (struct nw_bytes){told->tables[i].bytes, told->tables[i].size};
            return true;
        }
    }
    return false;
}
