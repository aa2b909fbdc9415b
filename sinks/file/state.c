/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder of files holds: see state.h. Owned by whoever has the struct; no threads here. */
#include "state.h"

#include <stdlib.h>

/* Most files, tables or copies that a folder can have. */
#define ITEMS_MAX ((size_t)1 << 28)

static nw_status out_of_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for the list of files");
}

/*
 * Opens a gap for one item in an array, zeroed.
 * @return the array, which may have moved, or NULL when memory ran out and nothing changed.
 */
static void *gap_open(void *items, size_t *count, size_t *capacity, size_t item_size, size_t at)
{
    uint8_t *gap;

    if (*count == *capacity) {
        size_t larger = *capacity == 0 ? 8 : *capacity * 2;
        void *moved = *capacity > ITEMS_MAX ? NULL : realloc(items, larger * item_size);

        if (moved == NULL) {
            return NULL;
        }
        items = moved;
        *capacity = larger;
    }
    gap = (uint8_t *)items + at * item_size;
    memmove(gap + item_size, gap, (*count - at) * item_size);
    memset(gap, 0, item_size);
    (*count)++;
    return items;
}

static size_t files_place(const struct nw_state *state, uint64_t number)
{
    size_t low = 0;
    size_t high = state->files_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (state->files[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t tables_place(const struct nw_state *state, uint32_t oid)
{
    size_t low = 0;
    size_t high = state->tables_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (state->tables[middle].oid < oid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t copies_place(const struct nw_state *state, uint32_t oid)
{
    size_t low = 0;
    size_t high = state->copies_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (state->copies[middle].oid < oid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct nw_data_file *nw_state_file(const struct nw_state *state, uint64_t number)
{
    size_t at = files_place(state, number);

    return at < state->files_count && state->files[at].number == number ? &state->files[at] : NULL;
}

struct nw_data_table *nw_state_table(const struct nw_state *state, uint32_t oid)
{
    size_t at = tables_place(state, oid);

    return at < state->tables_count && state->tables[at].oid == oid ? &state->tables[at] : NULL;
}

struct nw_data_copy *nw_state_copy(const struct nw_state *state, uint32_t oid)
{
    size_t at = copies_place(state, oid);

    return at < state->copies_count && state->copies[at].oid == oid ? &state->copies[at] : NULL;
}

void nw_state_fini(struct nw_state *state)
{
    for (size_t i = 0; i < state->files_count; i++) {
        free(state->files[i].path);
    }
    for (size_t i = 0; i < state->tables_count; i++) {
        free(state->tables[i].folder);
        free(state->tables[i].schema_name);
        free(state->tables[i].name);
    }
    for (size_t i = 0; i < state->copies_count; i++) {
        free(state->copies[i].bytes);
    }
    for (uint32_t i = 0; i < state->positions_count; i++) {
        free(state->positions[i].bytes);
    }
    free(state->files);
    free(state->tables);
    free(state->copies);
    free(state->gone);
    memset(state, 0, sizeof *state);
}

/* Replaces an owned text by a copy of another; NULL leaves it. */
static bool text_put(char **text, const char *value)
{
    char *copy;

    if (value == NULL || (*text != NULL && strcmp(*text, value) == 0)) {
        return true;
    }
    copy = strdup(value);
    if (copy == NULL) {
        return false;
    }
    free(*text);
    *text = copy;
    return true;
}

static bool bytes_put(uint8_t **bytes, uint32_t *size, const uint8_t *value, uint32_t value_size)
{
    uint8_t *copy = malloc((size_t)value_size + 1);

    if (copy == NULL) {
        return false;
    }
    if (value_size > 0) {
        memcpy(copy, value, value_size);
    }
    free(*bytes);
    *bytes = copy;
    *size = value_size;
    return true;
}

nw_status nw_state_put_file(struct nw_state *state, const struct nw_data_file *file,
                            struct nw_error *err)
{
    struct nw_data_file *place = nw_state_file(state, file->number);
    char *path = NULL;

    if (place == NULL) {
        size_t at = files_place(state, file->number);
        struct nw_data_file *moved =
            gap_open(state->files, &state->files_count, &state->files_capacity, sizeof *moved, at);

        if (moved == NULL) {
            return out_of_memory(err);
        }
        state->files = moved;
        place = &moved[at];
        *place = *file;
        place->path = NULL;
    }
    if (file->path == NULL) {
        place->size = file->size;
        place->lines = file->lines;
        place->crc = file->crc;
    } else {
        path = place->path;
        *place = *file;
        place->path = path;
        if (!text_put(&place->path, file->path)) {
            return out_of_memory(err);
        }
    }
    if (file->number > state->number_last) {
        state->number_last = file->number;
    }
    return NW_OK;
}

nw_status nw_state_put_table(struct nw_state *state, const struct nw_data_table *table,
                             struct nw_error *err)
{
    struct nw_data_table *place = nw_state_table(state, table->oid);

    if (place == NULL) {
        size_t at = tables_place(state, table->oid);
        struct nw_data_table *moved = gap_open(state->tables, &state->tables_count,
                                               &state->tables_capacity, sizeof *moved, at);

        if (moved == NULL) {
            return out_of_memory(err);
        }
        state->tables = moved;
        place = &moved[at];
        place->oid = table->oid;
    }
    if (!text_put(&place->folder, table->folder) ||
        !text_put(&place->schema_name, table->schema_name) ||
        !text_put(&place->name, table->name)) {
        return out_of_memory(err);
    }
    place->generation = table->generation;
    place->copying = table->copying;
    place->fence = table->fence;
    place->copying_fence = table->copying_fence;
    return NW_OK;
}

nw_status nw_state_put_copy(struct nw_state *state, const struct nw_data_copy *copy,
                            struct nw_error *err)
{
    struct nw_data_copy *place = nw_state_copy(state, copy->oid);

    if (place == NULL) {
        size_t at = copies_place(state, copy->oid);
        struct nw_data_copy *moved = gap_open(state->copies, &state->copies_count,
                                              &state->copies_capacity, sizeof *moved, at);

        if (moved == NULL) {
            return out_of_memory(err);
        }
        state->copies = moved;
        place = &moved[at];
        place->oid = copy->oid;
    }
    if (!bytes_put(&place->bytes, &place->size, copy->bytes, copy->size)) {
        return out_of_memory(err);
    }
    place->generation = copy->generation;
    place->complete = copy->complete;
    return NW_OK;
}

nw_status nw_state_put_gone(struct nw_state *state, uint64_t number, struct nw_error *err)
{
    size_t at = state->gone_count;
    uint64_t *moved =
        gap_open(state->gone, &state->gone_count, &state->gone_capacity, sizeof *moved, at);

    if (moved == NULL) {
        return out_of_memory(err);
    }
    state->gone = moved;
    moved[at] = number;
    return NW_OK;
}

nw_status nw_state_put_positions(struct nw_state *state, const struct nw_position *positions,
                                 uint32_t count, struct nw_error *err)
{
    if (count > NW_DATA_WORKERS_MAX) {
        return nw_fail(err, NW_FATAL, "NW2903 %u positions, at most %u can be stored", count,
                       NW_DATA_WORKERS_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_put(&state->positions[i].bytes, &state->positions[i].size, positions[i].bytes,
                       positions[i].size)) {
            return out_of_memory(err);
        }
        state->positions[i].lsn = positions[i].lsn;
    }
    for (uint32_t i = count; i < state->positions_count; i++) {
        free(state->positions[i].bytes);
        state->positions[i] = (struct nw_data_position){0};
    }
    state->positions_count = count;
    state->positions_set = true;
    return NW_OK;
}

static nw_status positions_copy(struct nw_state *into, const struct nw_state *record,
                                struct nw_error *err)
{
    struct nw_position positions[NW_DATA_WORKERS_MAX];

    for (uint32_t i = 0; i < record->positions_count; i++) {
        positions[i] = (struct nw_position){.bytes = record->positions[i].bytes,
                                            .size = record->positions[i].size,
                                            .lsn = record->positions[i].lsn};
    }
    return nw_state_put_positions(into, positions, record->positions_count, err);
}

nw_status nw_state_merge(struct nw_state *into, const struct nw_state *record, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < record->files_count && status == NW_OK; i++) {
        status = nw_state_put_file(into, &record->files[i], err);
    }
    for (size_t i = 0; i < record->tables_count && status == NW_OK; i++) {
        status = nw_state_put_table(into, &record->tables[i], err);
    }
    for (size_t i = 0; i < record->copies_count && status == NW_OK; i++) {
        status = nw_state_put_copy(into, &record->copies[i], err);
    }
    for (size_t i = 0; i < record->gone_count && status == NW_OK; i++) {
        status = nw_state_put_gone(into, record->gone[i], err);
    }
    if (status == NW_OK && record->positions_set) {
        status = positions_copy(into, record, err);
    }
    if (record->format > into->format) {
        into->format = record->format;
    }
    if (record->number_last > into->number_last) {
        into->number_last = record->number_last;
    }
    return status;
}

static int numbers_compare(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return (*a > *b) - (*a < *b);
}

/* Takes away what the state itself lists as gone. */
static void gone_drop(struct nw_state *state)
{
    size_t kept = 0;

    if (state->gone_count > 0) {
        qsort(state->gone, state->gone_count, sizeof *state->gone, numbers_compare);
        for (size_t i = 0; i < state->files_count; i++) {
            if (bsearch(&state->files[i].number, state->gone, state->gone_count,
                        sizeof *state->gone, numbers_compare) != NULL) {
                free(state->files[i].path);
            } else {
                state->files[kept++] = state->files[i];
            }
        }
        state->files_count = kept;
        state->gone_count = 0;
    }
}

nw_status nw_state_apply(struct nw_state *state, const struct nw_state *record,
                         struct nw_error *err)
{
    nw_status status;

    if (record->full) {
        nw_state_fini(state);
    }
    status = nw_state_merge(state, record, err);
    gone_drop(state);
    state->record = record->record;
    state->fencing = record->fencing;
    state->epoch = record->epoch;
    return status;
}
