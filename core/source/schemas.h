/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema versions of all tables that a source has seen.
 *
 * A Relation message has names, types and keys, but no attribute numbers, defaults or enum labels,
 * and a client cannot read a historic catalog. So a message that differs from the current version
 * is completed by a catalog read, which is used only where it agrees with the message; what the
 * catalog has moved past is derived from the version before, and marked.
 *
 * Versions are immutable and live until the registry is destroyed. Owned by the stream source's
 * thread once agents run; before that by whoever starts the pipeline.
 */
#ifndef NW_SOURCE_SCHEMAS_H
#define NW_SOURCE_SCHEMAS_H

#include <stdbool.h>
#include <stdint.h>

#include "source/attnums.h"
#include "source/notes.h"
#include "source/pgoutput.h"
#include <narwal/schema.h>

struct nw_schemas;

NW_MUST_CHECK nw_status nw_schemas_create(struct nw_schemas **schemas, struct nw_error *err);
void nw_schemas_destroy(struct nw_schemas *schemas); /* NULL is fine */
/** Versions made from now on are of a database that does not check text (SQL_ASCII). */
void nw_schemas_text_unchecked(struct nw_schemas *schemas);

/** The version in force, or NULL when the relation was never seen. */
const struct nw_table *nw_schemas_find(const struct nw_schemas *schemas, uint32_t relation_oid);

/**
 * Make a new version out of what a catalog read found.
 * @param described  borrow: copied; its id, version and exact marks are not looked at.
 * @param exact      NW_EXACT_... for all columns
 */
NW_MUST_CHECK nw_status nw_schemas_add(struct nw_schemas *schemas, const struct nw_table *described,
                                       uint32_t exact, const struct nw_table **table,
                                       struct nw_error *err);

/** The version in force when it is what a catalog read found, else a new one. */
NW_MUST_CHECK nw_status nw_schemas_look(struct nw_schemas *schemas,
                                        const struct nw_table *described,
                                        const struct nw_table **table, struct nw_error *err);
/** The same for rows that come beside the stream: a new version does not come into force, since the
 * stream may not be as far as the catalog. */
NW_MUST_CHECK nw_status nw_schemas_beside(struct nw_schemas *schemas,
                                          const struct nw_table *described,
                                          const struct nw_table **table, struct nw_error *err);

/**
 * Another version of a table comes into force: tables whose past is dealt beside the stream have
 * two that take turns. New versions go on with the numbers all the same.
 */
void nw_schemas_exchange(struct nw_schemas *schemas, const struct nw_table *table);

/** Whether a Relation message says the same as a version. */
bool nw_schemas_same(const struct nw_table *table, const struct nw_relation *relation);

/** Every current version is what the table was where the stream begins. */
void nw_schemas_place_all(struct nw_schemas *schemas);
/** Whether the current version is known to have been in force at some place of the WAL. */
bool nw_schemas_is_placed(const struct nw_schemas *schemas, const struct nw_table *table);
/** The stream showed the current version as it is: it was in force at that place of the WAL, but
 * for its numbers where they are not exact. */
void nw_schemas_confirm(struct nw_schemas *schemas, const struct nw_table *table);

/**
 * Whether a catalog read that agrees with a Relation message says more than the version that does
 * so too: other attribute numbers, defaults, labels, NOT NULL, or another key.
 */
bool nw_schemas_stale(const struct nw_table *table, const struct nw_table *described);

/** Whether a note that agrees with a version says more than it. */
bool nw_schemas_noted(const struct nw_table *table, const struct nw_note *note);

/**
 * Make a new version of what a note says beside names, numbers and types, when it has all of the
 * version's columns, and something else of them: no Relation message need follow it.
 * @param table  filled; as it was when there is nothing new
 */
NW_MUST_CHECK nw_status nw_schemas_note(struct nw_schemas *schemas, const struct nw_note *note,
                                        const struct nw_table **table, struct nw_error *err);

/** What a new version is made of. */
struct nw_schemas_change {
    const struct nw_relation *relation;
    /* What a catalog read found for this oid now; NULL: nothing (dropped since). Used whole when it
     * agrees with the message, else column by column. */
    const struct nw_table *described;
    enum nw_ambiguous ambiguous; /* for columns that may be renamed ones as well as new ones */
    bool retype_is_refused;      /* of a column of the version before; its length counts too */
    uint32_t flags;              /* NW_TABLE_..., of the new version */
    /* What the event trigger wrote before the message; NULL: nothing that agrees with it. */
    const struct nw_note *note;
};

/**
 * Make a new version out of a Relation message.
 * @return NW_REJECT: a column is not to be told from another, see nw_attnums_find(), or has
 * another type and may not; nothing is made.
 */
NW_MUST_CHECK nw_status nw_schemas_apply(struct nw_schemas *schemas,
                                         const struct nw_schemas_change *change,
                                         const struct nw_table **table, struct nw_error *err);

/** Tables ever seen: ids are below this. */
uint32_t nw_schemas_count(const struct nw_schemas *schemas);
/** The current version of the table with this id. */
const struct nw_table *nw_schemas_at(const struct nw_schemas *schemas, uint32_t id);

#endif
