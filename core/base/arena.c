/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bump allocator: a list of chunks, newest first; a piece comes from the newest one or gets a
 * new chunk. Owned by whoever owns the arena.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536u

struct nw_arena_chunk {
    struct nw_arena_chunk *older;
    size_t size; /* of bytes */
    size_t used;
    alignas(max_align_t) uint8_t bytes[];
};

void nw_arena_init(struct nw_arena *arena, size_t bytes_max)
{
    *arena = (struct nw_arena){.bytes_max = bytes_max};
}

void nw_arena_fini(struct nw_arena *arena)
{
    struct nw_arena_chunk *chunk = arena->newest;

    while (chunk != NULL) {
        struct nw_arena_chunk *older = chunk->older;

        free(chunk);
        chunk = older;
    }
    arena->newest = NULL;
    arena->bytes = 0;
}

void nw_arena_reset(struct nw_arena *arena)
{
    struct nw_arena_chunk *kept = arena->newest;

    if (kept == NULL) {
        return;
    }
    arena->newest = kept->older;
    nw_arena_fini(arena);
    kept->older = NULL;
    kept->used = 0;
    arena->newest = kept;
    arena->bytes = kept->size + sizeof *kept;
}

static struct nw_arena_chunk *add_chunk(struct nw_arena *arena, size_t size)
{
    size_t room = arena->bytes_max - arena->bytes;
    size_t body = size > CHUNK_BYTES ? size : CHUNK_BYTES;

    if (room < sizeof(struct nw_arena_chunk) || size > room - sizeof(struct nw_arena_chunk)) {
        return NULL;
    }
    if (body > room - sizeof(struct nw_arena_chunk)) {
        body = room - sizeof(struct nw_arena_chunk);
    }

    struct nw_arena_chunk *chunk = malloc(sizeof *chunk + body);

    if (chunk != NULL) {
        *chunk = (struct nw_arena_chunk){.older = arena->newest, .size = body};
        arena->newest = chunk;
        arena->bytes += sizeof *chunk + body;
    }
    return chunk;
}

void *nw_arena_alloc(struct nw_arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);

    if (size > SIZE_MAX - align) {
        return NULL;
    }
    size = (size + align - 1) / align * align;

    struct nw_arena_chunk *chunk = arena->newest;

    if (chunk == NULL || size > chunk->size - chunk->used) {
        chunk = add_chunk(arena, size);
    }
    if (chunk == NULL) {
        return NULL;
    }

    void *piece = chunk->bytes + chunk->used;

    chunk->used += size;
    return memset(piece, 0, size);
}

void *nw_arena_array(struct nw_arena *arena, size_t count, size_t size)
{
    size_t total = 0;

    return __builtin_mul_overflow(count, size, &total) ? NULL : nw_arena_alloc(arena, total);
}

char *nw_arena_text(struct nw_arena *arena, const char *text)
{
    return text == NULL ? NULL : nw_arena_text_of(arena, text, strlen(text));
}

char *nw_arena_text_of(struct nw_arena *arena, const void *bytes, size_t size)
{
    char *copy = size == SIZE_MAX ? NULL : nw_arena_alloc(arena, size + 1);

    if (copy != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}
