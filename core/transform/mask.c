/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the place of a value. Immutable once made; any thread. */
/* SHA256_Init() and its kin are all of OpenSSL that hashes without allocating for each value. */
#define OPENSSL_API_COMPAT 10101

#include <openssl/sha.h>
#include <string.h>

#include "decode/buffer.h"
#include "transform/private.h"

struct mask {
    struct nw_mask base;
    SHA256_CTX salted; /* the salt is in it already */
    const char *text;
    uint32_t text_size;
    uint64_t characters;
};

static const struct mask *mask_of(const struct nw_mask *mask)
{
    return (const struct mask *)(const void *)mask;
}

static bool append_sha256(const struct nw_mask *base, struct nw_buffer *out, const uint8_t *text,
                          uint32_t size)
{
    static const char digits[] = "0123456789abcdef";
    SHA256_CTX hash = mask_of(base)->salted;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint8_t *to = nw_buffer_reserve(out, 2 * sizeof digest);

    if (to == NULL || SHA256_Update(&hash, text, size) != 1 || SHA256_Final(digest, &hash) != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        to[2 * i] = (uint8_t)digits[digest[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[digest[i] & 15];
    }
    out->size += 2 * sizeof digest;
    return true;
}

static bool append_fixed(const struct nw_mask *base, struct nw_buffer *out, const uint8_t *text,
                         uint32_t size)
{
    const struct mask *mask = mask_of(base);

    (void)text;
    (void)size;
    return nw_buffer_append(out, mask->text, mask->text_size);
}

/* Characters of UTF-8, as left(col::text, n) counts them. */
static bool append_first(const struct nw_mask *base, struct nw_buffer *out, const uint8_t *text,
                         uint32_t size)
{
    uint64_t left = mask_of(base)->characters;
    uint32_t end = 0;

    while (end < size) {
        if ((text[end] & 0xC0) != 0x80) { /* a character begins */
            if (left == 0) {
                break;
            }
            left--;
        }
        end++;
    }
    return nw_buffer_append(out, text, end);
}

const struct nw_mask *nw_mask_make(const struct nw_transform_rule *rule, struct nw_arena *arena)
{
    struct mask *mask = nw_arena_alloc(arena, sizeof *mask);

    if (mask == NULL) {
        return NULL;
    }
    switch (rule->mask) {
    case NW_MASK_SHA256:
        mask->base.append = append_sha256;
        if (SHA256_Init(&mask->salted) != 1 ||
            SHA256_Update(&mask->salted, rule->mask_salt, strlen(rule->mask_salt)) != 1) {
            return NULL;
        }
        break;
    case NW_MASK_FIXED:
        mask->base.append = append_fixed;
        mask->text = rule->mask_text;
        mask->text_size = (uint32_t)strlen(rule->mask_text);
        break;
    case NW_MASK_FIRST:
        mask->base.append = append_first;
        mask->characters = (uint64_t)rule->mask_characters;
        break;
    }
    return &mask->base;
}
