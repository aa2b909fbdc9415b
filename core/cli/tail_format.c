/* SPDX-License-Identifier: Apache-2.0 */
/* See tail_format.h. UTF-8: RFC 3629; JSON: RFC 8259. */
#include "cli/tail_format.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

/* By the first byte; 0: no character begins with it. */
static size_t size_announced(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first >= 0xf5) {
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The character at the beginning of text, which is not empty. @return its bytes; 0: no UTF-8 */
static size_t character(struct nw_bytes text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = size_announced(text.at[0]);
    uint32_t read = size == 1 ? text.at[0] : text.at[0] & (0x7fu >> size);

    if (size == 0 || size > text.size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((text.at[i] & 0xc0) != 0x80) {
            return 0;
        }
        read = read << 6 | (text.at[i] & 0x3fu);
    }
    if (read < least[size] || read > 0x10ffff || (read >= 0xd800 && read < 0xe000)) {
        return 0;
    }
    *code = read;
    return size;
}

static struct nw_bytes behind(struct nw_bytes text, size_t size)
{
    return (struct nw_bytes){text.at + size, text.size - size};
}

/* C1 controls, line and paragraph ends, and what reverses the direction. */
static bool is_obeyed(uint32_t code)
{
    return (code >= 0x80 && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f;
}

static void escape_ascii(FILE *out, uint8_t c, bool quoted)
{
    if (c == '\n') {
        (void)fputs("\\n", out);
    } else if (c == '\t') {
        (void)fputs("\\t", out);
    } else if (c == '\\' || (c == '"' && quoted)) {
        (void)fprintf(out, "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
        (void)fprintf(out, "\\x%02x", c);
    } else {
        (void)fputc(c, out);
    }
}

static void escape(FILE *out, struct nw_bytes text, bool quoted)
{
    while (text.size > 0) {
        uint32_t code = 0;
        size_t size = character(text, &code);

        if (size == 0) {
            (void)fprintf(out, "\\x%02x", text.at[0]);
            size = 1;
        } else if (size == 1) {
            escape_ascii(out, text.at[0], quoted);
        } else if (is_obeyed(code)) {
            (void)fprintf(out, "\\u%04" PRIx32, code);
        } else {
            (void)fwrite(text.at, 1, size, out);
        }
        text = behind(text, size);
    }
}

void nw_tail_format_text(FILE *out, struct nw_bytes text)
{
    escape(out, text, false);
}

static bool equals(struct nw_bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.at, word, text.size) == 0;
}

static bool is_ambiguous(struct nw_bytes text)
{
    if (text.size == 0 || equals(text, "NULL") || equals(text, "(unchanged)") ||
        text.at[0] == '"') {
        return true;
    }
    return memchr(text.at, ' ', text.size) != NULL || memchr(text.at, '=', text.size) != NULL;
}

void nw_tail_format_value(FILE *out, struct nw_bytes text)
{
    bool quoted = is_ambiguous(text);

    if (quoted) {
        (void)fputc('"', out);
    }
    escape(out, text, quoted);
    if (quoted) {
        (void)fputc('"', out);
    }
}

/* 0x7f and C1 controls are legal in JSON; they are escaped all the same, for whoever looks at it.
 */
void nw_tail_format_json_name(FILE *out, struct nw_bytes text)
{
    (void)fputc('"', out);
    while (text.size > 0) {
        uint32_t code = 0;
        size_t size = character(text, &code);

        if (size == 0) {
            (void)fputs("\\ufffd", out);
            size = 1;
        } else if (code == '"' || code == '\\') {
            (void)fprintf(out, "\\%c", (char)code);
        } else if (code == '\n') {
            (void)fputs("\\n", out);
        } else if (code < 0x20 || code == 0x7f || is_obeyed(code)) {
            (void)fprintf(out, "\\u%04" PRIx32, code);
        } else {
            (void)fwrite(text.at, 1, size, out);
        }
        text = behind(text, size);
    }
    (void)fputc('"', out);
}

void nw_tail_format_json(FILE *out, struct nw_bytes text)
{
    if (nw_utf8_is_valid(text.at, text.size)) {
        nw_tail_format_json_name(out, text);
        return;
    }
    (void)fputs("{\"hex\":\"", out);
    for (size_t i = 0; i < text.size; i++) {
        (void)fprintf(out, "%02x", text.at[i]);
    }
    (void)fputs("\"}", out);
}
