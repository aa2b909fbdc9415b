/* SPDX-License-Identifier: Apache-2.0 */
/* See buffer.h. */
#include "decode/buffer.h"

#include <stdlib.h>

#define BUFFER_SIZE_FIRST 1024u

bool nw_buffer_grow(struct nw_buffer *buffer, size_t more)
{
    size_t capacity = buffer->capacity == 0 ? BUFFER_SIZE_FIRST : buffer->capacity;
    uint8_t *at = NULL;

    if (more > NW_BUFFER_SIZE_MAX - buffer->size) {
        return false;
    }
    while (capacity - buffer->size < more) {
        capacity *= 2;
    }
    at = realloc(buffer->at, capacity);
    if (at == NULL) {
        return false;
    }
    buffer->at = at;
    buffer->capacity = (uint32_t)capacity;
    return true;
}

void nw_buffer_fini(struct nw_buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct nw_buffer){0};
}
