/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text memory: see out.h. */
#include "lib/out.h"

#include <stdlib.h>

#include "lib/print.h"

bool nw_out_grow(struct nw_out *out, size_t more)
{
    size_t capacity = out->capacity < 512 ? 512 : out->capacity;
    uint8_t *bytes;

    if (more > SIZE_MAX / 4 || out->used > SIZE_MAX / 4) {
        out->failed = true;
        return false;
    }
    while (capacity - out->used < more) {
        capacity *= 2;
    }
    bytes = realloc(out->bytes, capacity);
    if (bytes == NULL) {
        out->failed = true;
        return false;
    }
    out->bytes = bytes;
    out->capacity = capacity;
    return true;
}

void nw_out_fini(struct nw_out *out)
{
    free(out->bytes);
    *out = (struct nw_out){0};
}

void nw_out_u64(struct nw_out *out, uint64_t value)
{
    if (nw_out_reserve(out, NW_PRINT_INTEGER_MAX)) {
        out->used = (size_t)(nw_print_u64(out->bytes + out->used, value) - out->bytes);
    }
}

void nw_out_i64(struct nw_out *out, int64_t value)
{
    if (nw_out_reserve(out, NW_PRINT_INTEGER_MAX)) {
        out->used = (size_t)(nw_print_i64(out->bytes + out->used, value) - out->bytes);
    }
}

void nw_out_lsn(struct nw_out *out, uint64_t lsn)
{
    if (nw_out_reserve(out, NW_PRINT_LSN_MAX)) {
        out->used = (size_t)(nw_print_lsn(out->bytes + out->used, lsn) - out->bytes);
    }
}

void nw_out_hex(struct nw_out *out, const void *bytes, size_t size)
{
    if (size <= SIZE_MAX / 8 && nw_out_reserve(out, 2 * size)) {
        out->used = (size_t)(nw_print_hex(out->bytes + out->used, bytes, size) - out->bytes);
    }
}
