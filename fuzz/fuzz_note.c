/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes of the event trigger from whoever may write one: two of them, cut at the first NUL. A
 * version is made of the first one's columns, and the second is what the WAL or the catalog says
 * next. One thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "source/schemas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The message that a server would send of such a table. */
static void message_make(const struct nw_note *note, struct nw_relation *relation)
{
    *relation = (struct nw_relation){.oid = note->relation_oid,
                                     .schema_name = "public",
                                     .name = "t",
                                     .replica_identity = 'd',
                                     .columns_count = note->columns_count};
    for (uint16_t i = 0; i < note->columns_count; i++) {
        relation->columns[i] = (struct nw_relation_column){
            note->columns[i].name, note->columns[i].type_oid, note->columns[i].typmod, i == 0};
    }
}

/* However little two states of a table have to do with each other, numbers rise. */
static void numbers_check(const struct nw_relation *relation, const struct nw_table *former,
                          const struct nw_note *note)
{
    struct nw_table later = {.columns = note->columns,
                             .columns_count = note->columns_count,
                             .attributes_count = note->attributes_count};
    const struct nw_attnums_known known = {.former = former, .later = &later};
    struct nw_attnum *attnums = calloc(relation->columns_count + 1u, sizeof *attnums);
    struct nw_error err = {0};

    for (int policy = NW_AMBIGUOUS_STOP; attnums != NULL && policy <= NW_AMBIGUOUS_RENAME;
         policy++) {
        if (nw_attnums_find(relation, &known, (enum nw_ambiguous)policy, attnums, &err) != NW_OK) {
            NW_ASSERT(policy == NW_AMBIGUOUS_STOP);
            continue;
        }
        for (uint16_t i = 1; i < relation->columns_count; i++) {
            NW_ASSERT(attnums[i].number > attnums[i - 1].number);
        }
    }
    free(attnums);
}

static void second_take(struct nw_schemas *schemas, const struct nw_relation *relation,
                        const struct nw_table *table, const struct nw_note *note)
{
    struct nw_schemas_change change = {.relation = relation, .note = note};
    struct nw_error err = {0};

    numbers_check(relation, table, note);
    if (nw_schemas_note(schemas, note, &table, &err) == NW_OK && nw_note_agrees(note, relation) &&
        note->relation_oid == relation->oid) {
        NW_ASSERT(nw_schemas_apply(schemas, &change, &table, &err) == NW_OK);
        NW_ASSERT(nw_schemas_same(table, relation));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nw_relation relation;
    const uint8_t *cut = size == 0 ? NULL : memchr(data, '\0', size);
    size_t first = cut == NULL ? size : (size_t)(cut - data);
    struct nw_notes *notes = NULL;
    struct nw_notes *others = NULL;
    struct nw_schemas *schemas = NULL;
    const struct nw_note *note = NULL;
    const struct nw_note *other = NULL;
    const struct nw_table *table = NULL;
    struct nw_error err = {0};

    if (nw_notes_create(&notes, &err) == NW_OK && nw_notes_create(&others, &err) == NW_OK &&
        nw_schemas_create(&schemas, &err) == NW_OK &&
        nw_notes_put(notes, (struct nw_bytes){data, first}, &note, &err) == NW_OK) {
        const struct nw_schemas_change change = {.relation = &relation, .note = note};

        message_make(note, &relation);
        /* Names may come twice, which no server sends. */
        if (nw_note_agrees(note, &relation) &&
            nw_schemas_apply(schemas, &change, &table, &err) == NW_OK && cut != NULL &&
            nw_notes_put(others, (struct nw_bytes){cut + 1, size - first - 1}, &other, &err) ==
                NW_OK) {
            second_take(schemas, &relation, table, other);
        }
    }
    nw_schemas_destroy(schemas);
    nw_notes_destroy(others);
    nw_notes_destroy(notes);
    return 0;
}
