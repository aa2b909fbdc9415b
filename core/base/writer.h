/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor's counterpart: puts bytes one behind the other into memory that the caller knows to be
 * large enough. For formats of our own; little-endian as the machine is.
 */
#ifndef NW_BASE_WRITER_H
#define NW_BASE_WRITER_H

#include <stdint.h>
#include <string.h>

struct nw_writer {
    uint8_t *bytes; /* borrow */
    uint32_t size;  /* put so far */
};

static inline void nw_writer_put(struct nw_writer *writer, const void *bytes, uint32_t size)
{
    memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

#endif
