/* SPDX-License-Identifier: Apache-2.0 */
/* Compression in chunks: see chunk.h. */
#include "lib/chunk.h"

#include <stdlib.h>

#include <libdeflate.h>
#include <zstd.h>

#define GZIP_HEADER_SIZE  20u
#define GZIP_TRAILER_SIZE 8u

/* Of level 1, which is for speed: the table then fits the core's nearest cache. Lines of ten
 * columns take a tenth less time and no more room; where rows have thirty columns they take 8 %
 * more. */
#define ZSTD_FAST_HASH_LOG 12

struct nw_chunk {
    enum nw_chunk_kind kind;
    int level;
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd;
    ZSTD_DCtx *unzstd;
};

/* magic, deflate, FEXTRA, no time, no flags, Unix; 8 bytes extra: "NW", 4 bytes, the size */
static const uint8_t gzip_header[GZIP_HEADER_SIZE] = {0x1f, 0x8b, 8,   4,   0, 0, 0, 0, 0, 3,
                                                      8,    0,    'N', 'W', 4, 0, 0, 0, 0, 0};

struct nw_chunk *nw_chunk_create(enum nw_chunk_kind kind, int level)
{
    struct nw_chunk *chunk = calloc(1, sizeof *chunk);
    bool good = true;

    if (chunk == NULL) {
        return NULL;
    }
    chunk->kind = kind;
    chunk->level = level;
    if (kind == NW_CHUNK_GZIP) {
        chunk->deflate = libdeflate_alloc_compressor(level);
        good = chunk->deflate != NULL;
    } else if (kind == NW_CHUNK_ZSTD) {
        chunk->zstd = ZSTD_createCCtx();
        good = chunk->zstd != NULL &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(chunk->zstd, ZSTD_c_compressionLevel, level)) &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(chunk->zstd, ZSTD_c_hashLog,
                                                    level == 1 ? ZSTD_FAST_HASH_LOG : 0)) &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(chunk->zstd, ZSTD_c_checksumFlag, 1));
    }
    if (!good) {
        nw_chunk_destroy(chunk);
        return NULL;
    }
    return chunk;
}

void nw_chunk_destroy(struct nw_chunk *chunk)
{
    if (chunk == NULL) {
        return;
    }
    if (chunk->deflate != NULL) {
        libdeflate_free_compressor(chunk->deflate);
    }
    if (chunk->inflate != NULL) {
        libdeflate_free_decompressor(chunk->inflate);
    }
    (void)ZSTD_freeCCtx(chunk->zstd);
    (void)ZSTD_freeDCtx(chunk->unzstd);
    free(chunk);
}

static void store_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static uint32_t load_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static bool gzip_write(struct nw_chunk *chunk, const uint8_t *bytes, size_t size,
                       struct nw_out *out)
{
    size_t bound = libdeflate_deflate_compress_bound(chunk->deflate, size);
    size_t packed;
    uint8_t *at;

    if (!nw_out_reserve(out, GZIP_HEADER_SIZE + bound + GZIP_TRAILER_SIZE)) {
        return false;
    }
    at = out->bytes + out->used;
    memcpy(at, gzip_header, GZIP_HEADER_SIZE);
    packed = libdeflate_deflate_compress(chunk->deflate, bytes, size, at + GZIP_HEADER_SIZE, bound);
    if (packed == 0) {
        return false;
    }
    store_u32(at + 16, (uint32_t)(GZIP_HEADER_SIZE + packed + GZIP_TRAILER_SIZE));
    store_u32(at + GZIP_HEADER_SIZE + packed, libdeflate_crc32(0, bytes, size));
    store_u32(at + GZIP_HEADER_SIZE + packed + 4, (uint32_t)size);
    out->used += GZIP_HEADER_SIZE + packed + GZIP_TRAILER_SIZE;
    return true;
}

static bool zstd_write(struct nw_chunk *chunk, const uint8_t *bytes, size_t size,
                       struct nw_out *out)
{
    size_t bound = ZSTD_compressBound(size);
    size_t packed;

    if (!nw_out_reserve(out, bound)) {
        return false;
    }
    packed = ZSTD_compress2(chunk->zstd, out->bytes + out->used, bound, bytes, size);
    if (ZSTD_isError(packed)) {
        return false;
    }
    out->used += packed;
    return true;
}

bool nw_chunk_write(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        size_t piece = size > NW_CHUNK_RAW_MAX ? NW_CHUNK_RAW_MAX : size;
        bool good = true;

        if (chunk->kind == NW_CHUNK_GZIP) {
            good = gzip_write(chunk, at, piece, out);
        } else if (chunk->kind == NW_CHUNK_ZSTD) {
            good = zstd_write(chunk, at, piece, out);
        } else {
            nw_out_bytes(out, at, piece);
            good = !out->failed;
        }
        if (!good) {
            return false;
        }
        at += piece;
        size -= piece;
    }
    return true;
}

bool nw_chunk_frame(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out)
{
    return zstd_write(chunk, bytes, size, out);
}

static bool gzip_read(struct nw_chunk *chunk, const uint8_t *at, size_t size, struct nw_out *out,
                      size_t *taken)
{
    size_t stored;
    size_t raw;

    if (chunk->inflate == NULL) {
        chunk->inflate = libdeflate_alloc_decompressor();
    }
    if (chunk->inflate == NULL || size < GZIP_HEADER_SIZE + GZIP_TRAILER_SIZE ||
        memcmp(at, gzip_header, 16) != 0) {
        return false;
    }
    stored = load_u32(at + 16);
    if (stored < GZIP_HEADER_SIZE + GZIP_TRAILER_SIZE || stored > size) {
        return false;
    }
    raw = load_u32(at + stored - 4);
    if (raw > NW_CHUNK_RAW_MAX || !nw_out_reserve(out, raw + 1)) {
        return false;
    }
    if (libdeflate_deflate_decompress(chunk->inflate, at + GZIP_HEADER_SIZE,
                                      stored - GZIP_HEADER_SIZE - GZIP_TRAILER_SIZE,
                                      out->bytes + out->used, raw, NULL) != LIBDEFLATE_SUCCESS ||
        libdeflate_crc32(0, out->bytes + out->used, raw) != load_u32(at + stored - 8)) {
        return false;
    }
    out->used += raw;
    *taken = stored;
    return true;
}

static bool zstd_read(struct nw_chunk *chunk, const uint8_t *at, size_t size, struct nw_out *out,
                      size_t *taken)
{
    size_t stored = ZSTD_findFrameCompressedSize(at, size);
    unsigned long long raw = ZSTD_getFrameContentSize(at, size);
    size_t got;

    if (chunk->unzstd == NULL) {
        chunk->unzstd = ZSTD_createDCtx();
    }
    /* Values above the maximum include "unknown" and "error". */
    if (chunk->unzstd == NULL || ZSTD_isError(stored) || raw > NW_CHUNK_RAW_MAX ||
        !nw_out_reserve(out, (size_t)raw + 1)) {
        return false;
    }
    got = ZSTD_decompressDCtx(chunk->unzstd, out->bytes + out->used, (size_t)raw, at, stored);
    if (ZSTD_isError(got) || got != raw) {
        return false;
    }
    out->used += got;
    *taken = stored;
    return true;
}

bool nw_chunk_read(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out,
                   size_t *taken)
{
    if (chunk->kind == NW_CHUNK_GZIP) {
        return gzip_read(chunk, bytes, size, out, taken);
    }
    if (chunk->kind == NW_CHUNK_ZSTD) {
        return zstd_read(chunk, bytes, size, out, taken);
    }
    nw_out_bytes(out, bytes, size);
    *taken = size;
    return !out->failed;
}

uint32_t nw_chunk_crc(uint32_t crc, const void *bytes, size_t size)
{
    return size == 0 ? crc : libdeflate_crc32(crc, bytes, size);
}
