/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounds-checked reader over untrusted bytes. Every read past the end latches `failed`, consumes
 * nothing and gives zero, so that a decoder may read a whole message and look once.
 *
 * Owned by whoever decodes; holds a borrowed slice. Network byte order is `be`; files that narwal
 * itself writes are `le`.
 */
#ifndef NW_BASE_CURSOR_H
#define NW_BASE_CURSOR_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** A slice of bytes, borrowed. */
struct nw_bytes {
    const uint8_t *at;
    size_t size;
};

struct nw_cursor {
    const uint8_t *at; /* next byte; never dereferenced when left is 0 */
    size_t left;       /* bytes from at to the end */
    bool failed;       /* latched by the first read past the end */
};

static inline struct nw_cursor nw_cursor_of(const void *bytes, size_t size)
{
    return (struct nw_cursor){.at = (const uint8_t *)bytes, .left = size};
}

/* Takes size bytes, or latches and gives NULL. size 0 gives a non-NULL pointer only if at is. */
static inline const uint8_t *nw_cursor_take(struct nw_cursor *cursor, size_t size)
{
    const uint8_t *at = cursor->at;

    if (cursor->failed || size > cursor->left) {
        cursor->failed = true;
        return NULL;
    }
    if (size > 0) {
        cursor->at += size;
        cursor->left -= size;
    }
    return at;
}

static inline uint8_t nw_cursor_u8(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 1);

    return at == NULL ? 0 : *at;
}

static inline uint16_t nw_cursor_u16be(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 2);
    uint16_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
        value = __builtin_bswap16(value);
    }
    return value;
}

static inline uint32_t nw_cursor_u32be(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 4);
    uint32_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
        value = __builtin_bswap32(value);
    }
    return value;
}

static inline uint64_t nw_cursor_u64be(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 8);
    uint64_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
        value = __builtin_bswap64(value);
    }
    return value;
}

static inline uint16_t nw_cursor_u16le(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 2);
    uint16_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

static inline uint32_t nw_cursor_u32le(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 4);
    uint32_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

static inline uint64_t nw_cursor_u64le(struct nw_cursor *cursor)
{
    const uint8_t *at = nw_cursor_take(cursor, 8);
    uint64_t value = 0;

    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

/** The next size bytes, borrowed from the cursor's slice; {NULL, 0} when there are fewer. */
static inline struct nw_bytes nw_cursor_bytes(struct nw_cursor *cursor, size_t size)
{
    const uint8_t *at = nw_cursor_take(cursor, size);

    return at == NULL ? (struct nw_bytes){NULL, 0} : (struct nw_bytes){at, size};
}

/** A NUL-terminated text, borrowed; "" and latched when no NUL is left. */
static inline const char *nw_cursor_text(struct nw_cursor *cursor)
{
    const uint8_t *end = NULL;
    const char *text = NULL;

    if (!cursor->failed && cursor->left > 0) {
        end = (const uint8_t *)memchr(cursor->at, 0, cursor->left);
    }
    if (end == NULL) {
        cursor->failed = true;
        return "";
    }
    text = (const char *)cursor->at;
    cursor->left -= (size_t)(end - cursor->at) + 1;
    cursor->at = end + 1;
    return text;
}

/** Whether everything was read and nothing was read past the end. */
static inline bool nw_cursor_done(const struct nw_cursor *cursor)
{
    return !cursor->failed && cursor->left == 0;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "narwal runs on little-endian machines");

#endif
