/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of JSON: see scan.h. Stateless beside the caller's struct. */
#include "lib/scan.h"

#include <string.h>

#include "lib/utf8.h"

#define DEPTH_MAX 64u

static void space_skip(struct nw_scan *scan)
{
    while (scan->left > 0 &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r')) {
        scan->at++;
        scan->left--;
    }
}

/* The next byte that is not white space, not consumed; 0 at the end or after a failure. */
static uint8_t peek(struct nw_scan *scan)
{
    space_skip(scan);
    return scan->failed || scan->left == 0 ? 0 : *scan->at;
}

static void take(struct nw_scan *scan, size_t size)
{
    scan->at += size;
    scan->left -= size;
}

static void expect(struct nw_scan *scan, char byte)
{
    if (peek(scan) == (uint8_t)byte) {
        take(scan, 1);
    } else {
        scan->failed = true;
    }
}

void nw_scan_enter(struct nw_scan *scan, char opening)
{
    expect(scan, opening);
}

bool nw_scan_item(struct nw_scan *scan, bool *first)
{
    if (peek(scan) == ']') {
        take(scan, 1);
        return false;
    }
    if (!*first) {
        expect(scan, ',');
    }
    *first = false;
    return !scan->failed && peek(scan) != 0 && peek(scan) != ']';
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Four hexadecimal digits behind \u. */
static uint32_t hex4(struct nw_scan *scan)
{
    uint32_t value = 0;

    if (scan->left < 4) {
        scan->failed = true;
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(scan->at[i]);

        if (digit < 0) {
            scan->failed = true;
            return 0;
        }
        value = value << 4 | (uint32_t)digit;
    }
    take(scan, 4);
    return value;
}

/* The code of an escape whose backslash is consumed; pairs of surrogates are joined. */
static uint32_t escape_code(struct nw_scan *scan)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    uint32_t code;

    if (scan->left == 0) {
        scan->failed = true;
        return 0;
    }
    letter = *scan->at == 0 ? NULL : strchr(letters, *scan->at);
    if (letter != NULL) {
        take(scan, 1);
        return (uint32_t)values[letter - letters];
    }
    if (*scan->at != 'u') {
        scan->failed = true;
        return 0;
    }
    take(scan, 1);
    code = hex4(scan);
    if (code >= 0xd800 && code < 0xdc00 && scan->left >= 6 && scan->at[0] == '\\' &&
        scan->at[1] == 'u') {
        struct nw_scan ahead = *scan;
        uint32_t low;

        take(&ahead, 2);
        low = hex4(&ahead);
        if (!ahead.failed && low >= 0xdc00 && low < 0xe000) {
            *scan = ahead;
            return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return code;
}

static size_t utf8_encode(uint32_t code, uint8_t bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        return 1;
    }
    if (code >= 0xdc80 && code <= 0xdcff) {
        bytes[0] = (uint8_t)(code - 0xdc00);
        return 1;
    }
    if (code < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | code >> 6);
        bytes[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | code >> 12);
        bytes[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    bytes[0] = (uint8_t)(0xf0 | code >> 18);
    bytes[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    bytes[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    bytes[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* The next character of a string as bytes; 0 behind the closing quote. */
static size_t character(struct nw_scan *scan, uint8_t bytes[4])
{
    size_t size = 1;

    if (scan->failed || scan->left == 0 || *scan->at < 0x20) {
        scan->failed = true;
        return 0;
    }
    if (*scan->at == '"') {
        take(scan, 1);
        return 0;
    }
    if (*scan->at == '\\') {
        take(scan, 1);
        size = utf8_encode(escape_code(scan), bytes);
        return scan->failed ? 0 : size;
    }
    if (*scan->at >= 0x80) {
        size = nw_utf8_size(scan->at, scan->left);
        if (size == 0) {
            scan->failed = true;
            return 0;
        }
    }
    memcpy(bytes, scan->at, size);
    take(scan, size);
    return size;
}

/* Reads a string whose opening quote comes next. Without `fit` a long text is cut off. */
static size_t text_read(struct nw_scan *scan, char *text, size_t text_size, bool fit)
{
    uint8_t bytes[4];
    size_t used = 0;
    size_t size;

    expect(scan, '"');
    while (!scan->failed && (size = character(scan, bytes)) > 0) {
        if (text_size - used > size) {
            memcpy(text + used, bytes, size);
            used += size;
        } else if (fit) {
            scan->failed = true;
        }
    }
    text[used] = '\0';
    return used;
}

bool nw_scan_key(struct nw_scan *scan, bool *first, char *key, size_t key_size)
{
    key[0] = '\0';
    if (peek(scan) == '}') {
        take(scan, 1);
        return false;
    }
    if (!*first) {
        expect(scan, ',');
    }
    *first = false;
    (void)text_read(scan, key, key_size, false);
    expect(scan, ':');
    return !scan->failed;
}

uint64_t nw_scan_u64(struct nw_scan *scan)
{
    uint64_t value = 0;
    size_t digits = 0;

    (void)peek(scan);
    while (!scan->failed && scan->left > 0 && *scan->at >= '0' && *scan->at <= '9') {
        uint64_t digit = (uint64_t)(*scan->at - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            scan->failed = true;
            return 0;
        }
        value = value * 10 + digit;
        take(scan, 1);
        digits++;
    }
    if (digits == 0) {
        scan->failed = true;
    }
    return scan->failed ? 0 : value;
}

static bool word_take(struct nw_scan *scan, const char *word)
{
    size_t size = strlen(word);

    if (peek(scan) == 0 || scan->left < size || memcmp(scan->at, word, size) != 0) {
        return false;
    }
    take(scan, size);
    return true;
}

bool nw_scan_bool(struct nw_scan *scan)
{
    if (word_take(scan, "true")) {
        return true;
    }
    if (!word_take(scan, "false")) {
        scan->failed = true;
    }
    return false;
}

size_t nw_scan_text(struct nw_scan *scan, char *text, size_t text_size)
{
    return text_read(scan, text, text_size, true);
}

uint64_t nw_scan_lsn(struct nw_scan *scan)
{
    char text[18];
    uint64_t half[2] = {0, 0};
    size_t digits[2] = {0, 0};
    int part = 0;

    (void)nw_scan_text(scan, text, sizeof text);
    for (const char *at = text; *at != '\0'; at++) {
        int digit = hex_digit((uint8_t)*at);

        if (*at == '/' && part == 0) {
            part = 1;
            continue;
        }
        if (digit < 0 || digits[part] == 8) {
            scan->failed = true;
            return 0;
        }
        half[part] = half[part] << 4 | (uint64_t)digit;
        digits[part]++;
    }
    if (digits[0] == 0 || digits[1] == 0) {
        scan->failed = true;
    }
    return scan->failed ? 0 : half[0] << 32 | half[1];
}

size_t nw_scan_hex(struct nw_scan *scan, uint8_t *bytes, size_t bytes_max)
{
    size_t count = 0;

    expect(scan, '"');
    while (!scan->failed && scan->left > 0 && *scan->at != '"') {
        int high = hex_digit(scan->at[0]);
        int low = scan->left < 2 ? -1 : hex_digit(scan->at[1]);

        if (high < 0 || low < 0 || count == bytes_max) {
            scan->failed = true;
            return 0;
        }
        bytes[count++] = (uint8_t)(high << 4 | low);
        take(scan, 2);
    }
    expect(scan, '"');
    return scan->failed ? 0 : count;
}

static size_t digits_skip(struct nw_scan *scan)
{
    size_t count = 0;

    while (scan->left > 0 && *scan->at >= '0' && *scan->at <= '9') {
        take(scan, 1);
        count++;
    }
    return count;
}

static bool byte_take(struct nw_scan *scan, char either, char other)
{
    if (scan->left == 0 || (*scan->at != (uint8_t)either && *scan->at != (uint8_t)other)) {
        return false;
    }
    take(scan, 1);
    return true;
}

static void number_skip(struct nw_scan *scan)
{
    bool zero;

    (void)byte_take(scan, '-', '-');
    zero = scan->left > 0 && *scan->at == '0';
    if (zero) {
        take(scan, 1);
    } else if (digits_skip(scan) == 0) {
        scan->failed = true;
    }
    if (byte_take(scan, '.', '.') && digits_skip(scan) == 0) {
        scan->failed = true;
    }
    if (byte_take(scan, 'e', 'E')) {
        (void)byte_take(scan, '+', '-');
        if (digits_skip(scan) == 0) {
            scan->failed = true;
        }
    }
}

static void string_skip(struct nw_scan *scan)
{
    uint8_t bytes[4];

    expect(scan, '"');
    while (!scan->failed && character(scan, bytes) > 0) {
    }
}

static void value_skip(struct nw_scan *scan, unsigned depth)
{
    uint8_t byte = peek(scan);
    bool first = true;
    char key[2];

    scan->failed |= depth == DEPTH_MAX;
    if (scan->failed) {
        return;
    }
    if (byte == '{') {
        take(scan, 1);
        while (nw_scan_key(scan, &first, key, sizeof key)) {
            value_skip(scan, depth + 1);
        }
    } else if (byte == '[') {
        take(scan, 1);
        while (nw_scan_item(scan, &first)) {
            value_skip(scan, depth + 1);
        }
    } else if (byte == '"') {
        string_skip(scan);
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        number_skip(scan);
    } else if (!word_take(scan, "true") && !word_take(scan, "false") && !word_take(scan, "null")) {
        scan->failed = true;
    }
}

void nw_scan_skip(struct nw_scan *scan)
{
    value_skip(scan, 0);
}

bool nw_scan_done(struct nw_scan *scan)
{
    space_skip(scan);
    return !scan->failed && scan->left == 0;
}
