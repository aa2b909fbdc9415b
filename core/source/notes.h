/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What narwal's event trigger (core/pg/ddl_trigger.h) writes into the WAL: the attributes of a
 * table right after a command changed it.
 *
 * A note is JSON: {"v": 1, "oid", "schema", "name", "identity", "attributes" (pg_class.relnatts),
 * "columns": [{"attnum", "name", "type" (oid), "typmod", "not_null", "default" (SQL or null),
 * "generated", "labels" (of an enum, else null), "item_labels" (of an array of an enum, else null;
 * older triggers do not write it)}]}; keys that are not known are passed over. Anyone
 * who may write into the database can write one, so it is believed only as far as it agrees with
 * the Relation message that follows it. Owned by the stream source's thread.
 */
#ifndef NW_SOURCE_NOTES_H
#define NW_SOURCE_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "source/pgoutput.h"
#include <narwal/schema.h>

/** A table's attributes at one place of the WAL; all that are not dropped, published or not. */
struct nw_note {
    uint32_t relation_oid;
    uint16_t attributes_count;
    uint16_t columns_count;
    const struct nw_column_schema *columns; /* by attnum; only what the note has is filled */
    const char *const *const *item_labels;  /* of each; NULL: none, or not said */
};

struct nw_notes;
NW_MUST_CHECK nw_status nw_notes_create(struct nw_notes **notes, struct nw_error *err);
void nw_notes_destroy(struct nw_notes *notes); /* NULL is fine */

/**
 * Keep a note in place of a former one of its table.
 * @param note  filled; valid until the next put or drop
 * @return NW_REJECT: it is not one that is understood; nothing was kept.
 */
NW_MUST_CHECK nw_status nw_notes_put(struct nw_notes *notes, struct nw_bytes content,
                                     const struct nw_note **note, struct nw_error *err);
/** The note of a table, or NULL; valid until the next put or drop. */
const struct nw_note *nw_notes_find(const struct nw_notes *notes, uint32_t relation_oid);
void nw_notes_drop(struct nw_notes *notes, uint32_t relation_oid);

/** The column that the note has for one of a message, with its type and typmod; NULL: none. */
const struct nw_column_schema *nw_note_column(const struct nw_note *note,
                                              const struct nw_relation_column *said);
/** Whether it has all columns of a message, in order. */
bool nw_note_agrees(const struct nw_note *note, const struct nw_relation *relation);

#endif
