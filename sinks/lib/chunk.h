/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression in chunks: each is a whole gzip member (RFC 1952) or zstd frame (RFC 8878), so that
 * whatever number of chunks lies in a file, standard tools read it. Each has a checksum.
 *
 * A gzip member carries its own size in an extra field (FEXTRA, subfield "NW", 4 bytes,
 * little-endian: bytes of the whole member), so that a reader needs no more memory than one member.
 *
 * Owned by one thread.
 */
#ifndef NW_SINKS_LIB_CHUNK_H
#define NW_SINKS_LIB_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/out.h"

enum nw_chunk_kind { NW_CHUNK_NONE = 0, NW_CHUNK_GZIP = 1, NW_CHUNK_ZSTD = 2 };

/** Most bytes before compression that one chunk holds; larger inputs become several. */
#define NW_CHUNK_RAW_MAX (UINT32_C(8) << 20)

/** Most bytes of a chunk as stored. */
#define NW_CHUNK_STORED_MAX (NW_CHUNK_RAW_MAX + (NW_CHUNK_RAW_MAX >> 4) + 4096u)

struct nw_chunk;

/** @param level  of the method: gzip 1..12, zstd 1..22. @return NULL when memory ran out. */
struct nw_chunk *nw_chunk_create(enum nw_chunk_kind kind, int level);
void nw_chunk_destroy(struct nw_chunk *chunk);

/** Append the compressed form of the bytes, in one or more chunks. @return false: out of memory. */
bool nw_chunk_write(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out);

/** The same as one zstd frame, however large. The chunk is one for zstd. */
bool nw_chunk_frame(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out);

/**
 * Uncompress the first chunk of `size` bytes and append what it holds.
 *
 * @param taken  filled: bytes that the chunk had.
 * @return false when it is damaged or its end is missing.
 */
bool nw_chunk_read(struct nw_chunk *chunk, const void *bytes, size_t size, struct nw_out *out,
                   size_t *taken);

/** CRC-32 as in gzip, carried on from `crc` (0 at the start). */
uint32_t nw_chunk_crc(uint32_t crc, const void *bytes, size_t size);

#endif
