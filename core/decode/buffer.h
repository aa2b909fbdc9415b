/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes for builders. Grows by doubling and keeps its memory from block to block. */
#ifndef NW_DECODE_BUFFER_H
#define NW_DECODE_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Arrow's 32-bit offsets end here. */
#define NW_BUFFER_SIZE_MAX 0x7fffffffu

struct nw_buffer {
    uint8_t *at;
    uint32_t size, capacity;
};

/** @return false when memory is short or the buffer would pass NW_BUFFER_SIZE_MAX. */
bool nw_buffer_grow(struct nw_buffer *buffer, size_t more);
void nw_buffer_fini(struct nw_buffer *buffer);

/** Make room for `more` bytes. @return where they go, NULL when there is none. */
static inline uint8_t *nw_buffer_reserve(struct nw_buffer *buffer, size_t more)
{
    if (more > buffer->capacity - buffer->size || buffer->at == NULL) {
        if (!nw_buffer_grow(buffer, more)) {
            return NULL;
        }
    }
    return buffer->at + buffer->size;
}

static inline bool nw_buffer_append(struct nw_buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *to = nw_buffer_reserve(buffer, size);

    if (to == NULL) {
        return false;
    }
    if (size > 0) {
        memcpy(to, bytes, size);
    }
    buffer->size += (uint32_t)size;
    return true;
}

#endif
