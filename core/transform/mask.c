/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the place of a value. Immutable once made; any thread. */
/* SHA256_Init() and its kin are all of OpenSSL that hashes without allocating for each value. */
#define OPENSSL_API_COMPAT 10101

#include <openssl/sha.h>
#include <string.h>

#include "decode/buffer.h"
#include "pg/types.h"
#include "transform/private.h"

#define TYPMOD_HEADER 4 /* VARHDRSZ: src/include/c.h */

struct mask {
    struct nw_mask base;
    SHA256_CTX salted; /* the salt is in it already */
    const char *text;
    uint32_t text_size;
    uint64_t characters;
    bool java;      /* hash Java's own form of the text */
    uint32_t bytes; /* of the hash that are shown */
};

static const struct mask *mask_of(const struct nw_mask *mask)
{
    return (const struct mask *)(const void *)mask;
}

/* A text of UTF-8 as java.io.ObjectOutputStream writes a String: AC ED 00 05, 74 and two bytes of
 * its size, or 7C and eight; then UTF-8 where a character beyond 16 bits is two of three bytes.
 * Java Object Serialization Specification, chapter 6; java.io.DataInput. */
static bool update_java(SHA256_CTX *hash, const uint8_t *text, uint32_t size)
{
    uint8_t head[13] = {0xac, 0xed, 0, 5, 0x74};
    uint8_t pair[6];
    uint64_t bytes = size;
    size_t head_size = 7;
    uint32_t from = 0;
    bool fine = true;

    for (uint32_t i = 0; i < size; i++) {
        bytes += text[i] >= 0xf0 ? 2 : 0;
    }
    if (bytes > UINT16_MAX) {
        head[4] = 0x7c;
        head_size = sizeof head;
    }
    for (size_t i = 5; i < head_size; i++) {
        head[i] = (uint8_t)(bytes >> (8 * (head_size - 1 - i)));
    }
    fine = SHA256_Update(hash, head, head_size) == 1;
    for (uint32_t i = 0; i < size && fine; i++) {
        if (text[i] >= 0xf0 && size - i >= 4) {
            uint32_t c = ((text[i] & 7u) << 18 | (text[i + 1] & 63u) << 12 |
                          (text[i + 2] & 63u) << 6 | (text[i + 3] & 63u)) -
                         0x10000;
            uint32_t units[] = {0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff)};

            for (size_t u = 0; u < 2; u++) {
                pair[3 * u] = (uint8_t)(0xe0 | units[u] >> 12);
                pair[3 * u + 1] = (uint8_t)(0x80 | (units[u] >> 6 & 63));
                pair[3 * u + 2] = (uint8_t)(0x80 | (units[u] & 63));
            }
            fine = SHA256_Update(hash, text + from, i - from) == 1 &&
                   SHA256_Update(hash, pair, sizeof pair) == 1;
            i += 3;
            from = i + 1;
        }
    }
    return fine && SHA256_Update(hash, text + from, size - from) == 1;
}

static bool append_sha256(const struct nw_mask *base, struct nw_buffer *out, const uint8_t *text,
                          uint32_t size)
{
    static const char digits[] = "0123456789abcdef";
    SHA256_CTX hash = mask_of(base)->salted;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint8_t *to = nw_buffer_reserve(out, 2 * sizeof digest);
    bool fine = to != NULL && (mask_of(base)->java ? update_java(&hash, text, size)
                                                   : SHA256_Update(&hash, text, size) == 1);

    if (!fine || SHA256_Final(digest, &hash) != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        to[2 * i] = (uint8_t)digits[digest[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[digest[i] & 15];
    }
    out->size += mask_of(base)->bytes;
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
    case NW_MASK_DEBEZIUM_V1:
    case NW_MASK_DEBEZIUM_V2:
        mask->java = rule->mask == NW_MASK_DEBEZIUM_V1;
        mask->base.padded = rule->mask != NW_MASK_SHA256;
        mask->bytes = 2 * SHA256_DIGEST_LENGTH;
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

const struct nw_mask *nw_mask_for(const struct nw_mask *mask, const struct nw_transform_rule *rule,
                                  const struct nw_column_schema *column, struct nw_arena *arena)
{
    bool cuts = rule->mask == NW_MASK_DEBEZIUM_V1 || rule->mask == NW_MASK_DEBEZIUM_V2;
    bool sized = column->base_type_oid == NW_OID_VARCHAR || column->base_type_oid == NW_OID_BPCHAR;
    uint32_t length = sized && column->typmod > TYPMOD_HEADER
                          ? (uint32_t)(column->typmod - TYPMOD_HEADER)
                          : UINT32_MAX;
    struct mask *own = NULL;

    if (!cuts || length >= mask_of(mask)->bytes) {
        return mask;
    }
    own = nw_arena_alloc(arena, sizeof *own);
    if (own == NULL) {
        return NULL;
    }
    *own = *mask_of(mask);
    own->bytes = length;
    return &own->base;
}
