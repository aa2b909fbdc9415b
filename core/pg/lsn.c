/* SPDX-License-Identifier: Apache-2.0 */
/* LSN text, format of PostgreSQL's pg_lsn (src/backend/utils/adt/pg_lsn.c). */
#include "pg/lsn.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

const char *nw_lsn_text(char text[static NW_LSN_TEXT_SIZE], uint64_t lsn)
{
    (void)snprintf(text, NW_LSN_TEXT_SIZE, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32),
                   (uint32_t)lsn);
    return text;
}

/* 1 to 8 hexadecimal digits. */
static bool parse_half(const char **text, uint32_t *half)
{
    const char *at = *text;
    uint32_t value = 0;
    int digits = 0;

    for (; digits < 8; digits++, at++) {
        if (*at >= '0' && *at <= '9') {
            value = value << 4 | (uint32_t)(*at - '0');
        } else if (*at >= 'A' && *at <= 'F') {
            value = value << 4 | (uint32_t)(*at - 'A' + 10);
        } else if (*at >= 'a' && *at <= 'f') {
            value = value << 4 | (uint32_t)(*at - 'a' + 10);
        } else {
            break;
        }
    }
    *text = at;
    *half = value;
    return digits > 0;
}

bool nw_lsn_parse(const char *text, uint64_t *lsn)
{
    uint32_t high = 0;
    uint32_t low = 0;

    *lsn = 0;
    if (text == NULL || !parse_half(&text, &high) || *text++ != '/' || !parse_half(&text, &low) ||
        *text != '\0') {
        return false;
    }
    *lsn = (uint64_t)high << 32 | low;
    return true;
}
