/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row changes as JSON lines; the format is specified in docs/files.md.
 *
 * A layout holds what is the same for all rows of a schema version (keys, ready as text) and the
 * text of the transaction that was printed last. Owned by one thread. No memory is allocated per
 * row: the output grows until it is large enough for what is between two flushes.
 */
#ifndef NW_SINKS_LIB_JSON_H
#define NW_SINKS_LIB_JSON_H

#include <narwal/sink.h>

#include "lib/out.h"

/**
 * Append a JSON string. Bytes that are not UTF-8 turn the whole value into {"$bytes":"68656c"}.
 * @param spare  this much room is left behind it.
 * @return false when memory ran out.
 */
bool nw_json_string(struct nw_out *out, const void *bytes, size_t size, size_t spare);

/** As above for names, which have to be JSON strings: a byte XY that is not UTF-8 becomes \udcXY.
 */
void nw_json_name(struct nw_out *out, const char *name);

struct nw_json_layout;

/**
 * @param table   borrow, outlives the layout.
 * @param schema  number of the schema file, printed into every line.
 * @return NULL when memory ran out.
 */
struct nw_json_layout *nw_json_layout_create(const struct nw_table *table, uint32_t schema);
void nw_json_layout_destroy(struct nw_json_layout *layout);

/**
 * Append rows from..until - 1 of a batch of the layout's table, a line each.
 *
 * @param exception  0 for the first rows of a batch; moves along with them.
 * @return false when memory ran out; out->used is then where it was.
 */
bool nw_json_rows(struct nw_json_layout *layout, const struct nw_batch *batch, uint32_t from,
                  uint32_t until, uint32_t *exception, struct nw_out *out);

/**
 * Append the key of a row as it was or is: {"id":7}, in the order of the table's key.
 * @param side  NW_BEFORE or NW_AFTER; the row has that image, and the image its key.
 * @return false when memory ran out.
 */
bool nw_json_key(struct nw_json_layout *layout, const struct nw_batch *batch, uint32_t row,
                 int side, struct nw_out *out);

/** Append the line of an event: T (truncate), S (schema), M (message) or X (dropped). */
void nw_json_event(const struct nw_event *event, uint32_t schema, struct nw_out *out);

/** The schema file's content: everything that struct nw_table says, but its version. */
void nw_json_schema(const struct nw_table *table, struct nw_out *out);

#endif
