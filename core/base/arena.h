/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator: many small pieces, freed all at once. Owned by one thread.
 */
#ifndef NW_BASE_ARENA_H
#define NW_BASE_ARENA_H

#include <stddef.h>

struct nw_arena_chunk;

struct nw_arena {
    struct nw_arena_chunk *newest; /* the one that allocations come from */
    size_t bytes;                  /* of all chunks */
    size_t bytes_max;
};

/** @param bytes_max  more than this is never taken from the system. */
void nw_arena_init(struct nw_arena *arena, size_t bytes_max);
void nw_arena_fini(struct nw_arena *arena);
/** Forget every piece; one chunk stays for reuse. */
void nw_arena_reset(struct nw_arena *arena);

/** Zeroed, aligned for any type; NULL when the maximum or the memory is reached. */
void *nw_arena_alloc(struct nw_arena *arena, size_t size);
/** Zeroed room for count pieces of size bytes; NULL as above or when the product overflows. */
void *nw_arena_array(struct nw_arena *arena, size_t count, size_t size);
/** A copy of a text; NULL when text is NULL, or as above. */
char *nw_arena_text(struct nw_arena *arena, const char *text);
/** A NUL-terminated copy of size bytes. */
char *nw_arena_text_of(struct nw_arena *arena, const void *bytes, size_t size);

#endif
