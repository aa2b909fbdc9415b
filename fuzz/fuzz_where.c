/* SPDX-License-Identifier: Apache-2.0 */
/* The `where` of a transform: see config/where.h. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *text, struct nw_arena *arena)
{
    struct nw_where where;
    struct nw_error err = {0};

    if (nw_where_parse(text, arena, &where, &err) != NW_OK) {
        NW_ASSERT(err.text[0] != '\0');
        return;
    }
    NW_ASSERT(where.terms_count > 0 && where.terms_count <= NW_WHERE_TERMS_MAX);
    for (uint32_t i = 0; i < where.terms_count; i++) {
        NW_ASSERT(where.terms[i].column != NULL);
        NW_ASSERT(where.terms[i].constants_count <= NW_WHERE_CONSTANTS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nw_arena arena;
    char *text = malloc(size + 1);

    NW_ASSERT(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    nw_arena_init(&arena, 16u << 20);
    parse(text, &arena);
    nw_arena_fini(&arena);
    free(text);
    return 0;
}
