/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: what stands for a value that the server does not send. */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "cli/debezium/import.h"

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

    return at == NULL ? -1 : (int)(at - digits);
}

/* hex:... as the text that it is. @return NULL: it is none, or has what no message should have */
static const char *unhexed(struct nw_debezium *to, const char *hex)
{
    char text[256] = "";
    size_t size = strlen(hex) / 2;

    for (size_t i = 0; i < size && size < sizeof text; i++) {
        int high = digit_of(hex[2 * i]);
        int low = digit_of(hex[2 * i + 1]);

        if (high < 0 || low < 0 || (high < 2) || (high == 7 && low == 15)) {
            return NULL;
        }
        text[i] = (char)(high * 16 + low);
    }
    return size > 0 && size < sizeof text && strlen(hex) % 2 == 0 &&
                   nw_utf8_is_valid((const uint8_t *)text, size)
               ? nw_debezium_text(to, "%s", text)
               : NULL;
}

void nw_dbz_placeholder(struct nw_debezium *to, const struct nw_debezium_row *row,
                        struct nw_debezium_property *p)
{
    bool hex = strncmp(p->value, "hex:", 4) == 0;
    const char *text = hex ? unhexed(to, p->value + 4) : p->value;

    if (text == NULL || strstr(text, "${") != NULL) {
        nw_debezium_refuse(to, p, "only a plain text is there, also as hex:");
        return;
    }
    nw_debezium_put(to, row->to, nw_debezium_quoted(to, text), p->name);
}
