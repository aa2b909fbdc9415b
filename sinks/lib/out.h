/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing piece of memory that text is appended to. Owned by one thread.
 *
 * Two ways to write: the nw_out_* functions, which look at the room each time and latch `failed`
 * when memory runs out; or, in inner loops, nw_out_reserve() once and then the nw_print_*
 * functions of print.h on the bytes themselves.
 */
#ifndef NW_SINKS_LIB_OUT_H
#define NW_SINKS_LIB_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct nw_out {
    uint8_t *bytes;
    size_t used;
    size_t capacity;
    bool failed; /* latched: memory ran out and something was not appended */
};

/** Make room for `more` bytes behind `used`. @return false and latched when memory is out. */
bool nw_out_grow(struct nw_out *out, size_t more);
void nw_out_fini(struct nw_out *out);

static inline bool nw_out_reserve(struct nw_out *out, size_t more)
{
    return out->capacity - out->used >= more || nw_out_grow(out, more);
}

static inline void nw_out_bytes(struct nw_out *out, const void *bytes, size_t size)
{
    if (size > 0 && nw_out_reserve(out, size)) {
        memcpy(out->bytes + out->used, bytes, size);
        out->used += size;
    }
}

static inline bool nw_out_same(const struct nw_out *a, const struct nw_out *b)
{
    return a->used == b->used && memcmp(a->bytes, b->bytes, a->used) == 0;
}

/** Append a NUL-terminated text as it is. */
static inline void nw_out_text(struct nw_out *out, const char *text)
{
    nw_out_bytes(out, text, strlen(text));
}

void nw_out_u64(struct nw_out *out, uint64_t value);
void nw_out_i64(struct nw_out *out, int64_t value);
/** An LSN as PostgreSQL prints it: 16/B374D848. */
void nw_out_lsn(struct nw_out *out, uint64_t lsn);
/** Lower-case hexadecimal digits, two for each byte. */
void nw_out_hex(struct nw_out *out, const void *bytes, size_t size);
/** Base64 with its padding (RFC 4648); url_safe: with - and _. */
void nw_out_base64(struct nw_out *out, const void *bytes, size_t size, bool url_safe);
/** The bytes of hexadecimal digits. @return false when they are none, or memory ran out. */
bool nw_out_unhex(struct nw_out *out, const void *text, size_t size);

#endif
