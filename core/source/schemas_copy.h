/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of tables in one piece of memory, and what is the same in two. Of schemas.c. Stateless. */
#ifndef NW_SOURCE_SCHEMAS_COPY_H
#define NW_SOURCE_SCHEMAS_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include <narwal/schema.h>

/** Bytes that all have which a table points to. */
size_t nw_schema_copy_size(const struct nw_table *table);

/**
 * Copy a table; all that it points to goes into memory, its columns first.
 *
 * @param memory  aligned as a pointer.
 * @param size    nw_schema_copy_size() at least.
 */
void nw_schema_copy(struct nw_table *to, const struct nw_table *from, void *memory, size_t size);

/** Either may be NULL, which is the same as NULL alone. */
bool nw_text_same(const char *a, const char *b);
bool nw_labels_same(const char *const *a, const char *const *b);

#endif
