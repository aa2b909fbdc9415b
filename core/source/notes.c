/* SPDX-License-Identifier: Apache-2.0 */
/* See notes.h. A kept note is its JSON, whose texts the columns borrow. */
#include "source/notes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX      4096u /* tables changed and not seen since; the oldest is forgotten */
#define NOTE_BYTES_MAX (4u << 20)

#define USER_TYPES_FROM 16384 /* FirstNormalObjectId: access/transam.h */

struct kept {
    struct nw_note note;
    struct nw_column_schema *columns;
    const char *const **items; /* nw_note.item_labels */
    const char **labels;       /* of all columns, each list with its NULL */
    json_t *json;
};

struct nw_notes {
    struct kept *items; /* the oldest first */
    uint32_t count, capacity;
};

nw_status nw_notes_create(struct nw_notes **notes, struct nw_error *err)
{
    *notes = calloc(1, sizeof **notes);
    return *notes == NULL ? nw_fail(err, NW_FATAL, "out of memory for notes of tables") : NW_OK;
}

static void kept_free(struct kept *kept)
{
    json_decref(kept->json);
    free(kept->columns);
    free((void *)kept->items);
    free((void *)kept->labels);
    memset(kept, 0, sizeof *kept);
}

void nw_notes_destroy(struct nw_notes *notes)
{
    if (notes != NULL) {
        for (uint32_t i = 0; i < notes->count; i++) {
            kept_free(&notes->items[i]);
        }
        free(notes->items);
        free(notes);
    }
}

static bool number_take(const json_t *object, const char *key, int64_t low, int64_t high,
                        int64_t *number)
{
    const json_t *value = json_object_get(object, key);

    *number = json_integer_value(value);
    return json_is_integer(value) && *number >= low && *number <= high;
}

/* The labels of one column, copied to *at, which moves behind their NULL. */
static bool labels_take(const json_t *list, const char ***at, const char *const **labels)
{
    size_t index = 0;
    const json_t *label = NULL;

    if (!json_is_array(list)) {
        return list == NULL || json_is_null(list);
    }
    *labels = *at;
    json_array_foreach(list, index, label)
    {
        if (!json_is_string(label)) {
            return false;
        }
        *(*at)++ = json_string_value(label);
    }
    *(*at)++ = NULL;
    return true;
}

static bool column_take(const json_t *from, const char ***labels, struct nw_column_schema *column,
                        const char *const **items)
{
    const json_t *name = json_object_get(from, "name");
    const json_t *default_expr = json_object_get(from, "default");
    int64_t attnum = 0;
    int64_t type = 0;
    int64_t typmod = 0;

    if (!json_is_string(name) || !number_take(from, "attnum", 1, NW_COLUMNS_MAX, &attnum) ||
        !number_take(from, "type", 1, UINT32_MAX, &type) ||
        !number_take(from, "typmod", -1, INT32_MAX, &typmod)) {
        return false;
    }
    column->name = json_string_value(name);
    column->default_expr = json_string_value(default_expr); /* NULL when it is none */
    column->attnum = (int16_t)attnum;
    column->type_oid = (uint32_t)type;
    column->typmod = (int32_t)typmod;
    column->not_null = json_is_true(json_object_get(from, "not_null"));
    if (!labels_take(json_object_get(from, "labels"), labels, &column->enum_labels) ||
        !labels_take(json_object_get(from, "item_labels"), labels, items)) {
        return false;
    }
    if (type < USER_TYPES_FROM) { /* none of PostgreSQL's own is an enum: somebody made that up */
        column->enum_labels = *items = NULL;
    }
    return true;
}

static size_t labels_count(const json_t *columns)
{
    size_t index = 0;
    size_t count = 0;
    const json_t *column = NULL;

    json_array_foreach(columns, index, column)
    {
        count += json_array_size(json_object_get(column, "labels")) + 1 +
                 json_array_size(json_object_get(column, "item_labels")) + 1;
    }
    return count;
}

/* @return whether it is understood; memory: false with no columns */
static bool note_take(struct kept *kept)
{
    const json_t *columns = json_object_get(kept->json, "columns");
    size_t count = json_array_size(columns);
    const char **labels = NULL;
    int64_t version = 0;
    int64_t oid = 0;
    int64_t attributes = 0;
    int16_t before = 0;

    if (!number_take(kept->json, "v", 1, 1, &version) ||
        !number_take(kept->json, "oid", 1, UINT32_MAX, &oid) ||
        !number_take(kept->json, "attributes", 0, NW_COLUMNS_MAX, &attributes) ||
        count > NW_COLUMNS_MAX) {
        return false;
    }
    kept->columns = calloc(count + 1, sizeof *kept->columns);
    kept->items = calloc(count + 1, sizeof *kept->items);
    kept->labels = calloc(labels_count(columns) + 1, sizeof *kept->labels);
    if (kept->columns == NULL || kept->items == NULL || kept->labels == NULL) {
        return false;
    }
    labels = kept->labels;
    for (size_t i = 0; i < count; i++) {
        if (!column_take(json_array_get(columns, i), &labels, &kept->columns[i], &kept->items[i]) ||
            kept->columns[i].attnum <= before || kept->columns[i].attnum > attributes) {
            return false;
        }
        before = kept->columns[i].attnum;
    }
    kept->note = (struct nw_note){.relation_oid = (uint32_t)oid,
                                  .attributes_count = (uint16_t)attributes,
                                  .columns_count = (uint16_t)count,
                                  .columns = kept->columns,
                                  .item_labels = kept->items};
    return true;
}

static uint32_t place_of(const struct nw_notes *notes, uint32_t relation_oid)
{
    uint32_t i = 0;

    while (i < notes->count && notes->items[i].note.relation_oid != relation_oid) {
        i++;
    }
    return i;
}

static void remove_at(struct nw_notes *notes, uint32_t place)
{
    kept_free(&notes->items[place]);
    notes->count--;
    memmove(&notes->items[place], &notes->items[place + 1],
            (notes->count - place) * sizeof *notes->items);
}

static nw_status room_make(struct nw_notes *notes, struct nw_error *err)
{
    uint32_t capacity = notes->capacity == 0 ? 16 : notes->capacity * 2;
    struct kept *items = NULL;

    if (notes->count == NOTES_MAX) {
        remove_at(notes, 0);
    }
    if (notes->count < notes->capacity) {
        return NW_OK;
    }
    items = reallocarray(notes->items, capacity, sizeof *items);
    if (items == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for notes of tables");
    }
    notes->items = items;
    notes->capacity = capacity;
    return NW_OK;
}

nw_status nw_notes_put(struct nw_notes *notes, struct nw_bytes content, const struct nw_note **note,
                       struct nw_error *err)
{
    struct kept made = {0};
    nw_status status = NW_OK;

    if (content.size > NOTE_BYTES_MAX) {
        return nw_fail(err, NW_REJECT, "it has %zu bytes", content.size);
    }
    made.json = json_loadb((const char *)content.at, content.size, 0, NULL);
    if (!note_take(&made)) {
        kept_free(&made);
        return nw_fail(err, NW_REJECT, "it is not of the form that this narwal knows");
    }
    nw_notes_drop(notes, made.note.relation_oid);
    status = room_make(notes, err);
    if (status != NW_OK) {
        kept_free(&made);
        return status;
    }
    notes->items[notes->count++] = made;
    *note = &notes->items[notes->count - 1].note;
    return NW_OK;
}

const struct nw_note *nw_notes_find(const struct nw_notes *notes, uint32_t relation_oid)
{
    uint32_t place = place_of(notes, relation_oid);

    return place == notes->count ? NULL : &notes->items[place].note;
}

void nw_notes_drop(struct nw_notes *notes, uint32_t relation_oid)
{
    uint32_t place = place_of(notes, relation_oid);

    if (place < notes->count) {
        remove_at(notes, place);
    }
}

const struct nw_column_schema *nw_note_column(const struct nw_note *note,
                                              const struct nw_relation_column *said)
{
    for (uint16_t i = 0; i < note->columns_count; i++) {
        const struct nw_column_schema *column = &note->columns[i];

        if (strcmp(column->name, said->name) == 0) {
            return column->type_oid == said->type_oid && column->typmod == said->typmod ? column
                                                                                        : NULL;
        }
    }
    return NULL;
}

bool nw_note_agrees(const struct nw_note *note, const struct nw_relation *relation)
{
    int16_t before = 0;

    for (uint16_t i = 0; i < relation->columns_count; i++) {
        const struct nw_column_schema *column = nw_note_column(note, &relation->columns[i]);

        if (column == NULL || column->attnum <= before) {
            return false;
        }
        before = column->attnum;
    }
    return true;
}
