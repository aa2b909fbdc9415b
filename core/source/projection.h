/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A projection: what sinks see of one schema version where that is not simply all of it. Which
 * columns are left out or masked, under which names, and which rows are kept. core/transform makes
 * one for a version; from then on it is immutable, may be read by any thread, and lives as long as
 * the version. Without one (NULL) sinks see the version as it is, at no cost.
 */
#ifndef NW_SOURCE_PROJECTION_H
#define NW_SOURCE_PROJECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <narwal/batch.h>

#define NW_FIELD_UNSEEN UINT16_MAX
#define NW_OPERANDS_MAX 32u

struct nw_buffer; /* decode/buffer.h */

/** How a column's values are replaced. The first member of whatever the mask needs. */
struct nw_mask {
    /**
     * Append what stands in the place of a value.
     * @param text  the value as col::text says it under narwal's pinned settings
     * @return false when memory is short.
     */
    bool (*append)(const struct nw_mask *mask, struct nw_buffer *out, const uint8_t *text,
                   uint32_t size);
    bool padded; /* of char(n) the text has the blanks at its end */
};

/** A value of a row filter's condition, from the row. */
struct nw_operand {
    struct nw_column_schema schema; /* as which it is decoded */
    uint32_t element_oid;           /* of an array, see nw_column_element() */
    uint16_t field[2];              /* where it lies, by enum nw_wire */
};

enum nw_row_verdict {
    NW_ROW_DROPPED = 0,
    NW_ROW_KEPT,
    NW_ROW_UNKNOWN, /* some value has no place in the order of its type */
};

/** Which rows are kept. The first member of whatever the judge needs. */
struct nw_row_filter {
    const struct nw_operand *operands;
    uint16_t operands_count; /* at most NW_OPERANDS_MAX */
    const char *text;        /* the conditions as they are written: others are another filter */
    /** @param values  one for each operand: NULL, PRESENT or EXCEPTION; before any mask. */
    enum nw_row_verdict (*judge)(const struct nw_row_filter *filter, const struct nw_value *values);
};

/** A field of a tuple on its way from the server. */
struct nw_projected_field {
    uint16_t column;            /* of the source's table */
    uint16_t seen;              /* of the table that sinks see; NW_FIELD_UNSEEN: not there */
    const struct nw_mask *mask; /* NULL: its values are shown */
};

/** The two ways of a row: their tuples have different fields. */
enum nw_wire {
    NW_WIRE_CHANGES = 0, /* every column of the table */
    NW_WIRE_COPY = 1,    /* those that are selected: what is seen, and what the filter needs */
};

struct nw_projection {
    struct nw_table table; /* what sinks see */
    const struct nw_projected_field *fields[2];
    uint16_t fields_count[2];
    const struct nw_row_filter *filter; /* NULL: all rows are kept */
};

/** What sinks see of a table. */
static inline const struct nw_table *nw_table_seen(const struct nw_table *table,
                                                   const struct nw_projection *projection)
{
    return projection == NULL ? table : &projection->table;
}

#endif
