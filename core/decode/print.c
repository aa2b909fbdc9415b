/* SPDX-License-Identifier: Apache-2.0 */
/* See print.h. Arrays are in array.c. */
#include "decode/print.h"

#include <stdio.h>

#include "base/cursor.h"
#include "decode/datetime.h"
#include "decode/numeric.h"
#include "pg/types.h"

/* Longest text of the fixed-size types here. */
#define SHORT_TEXT_SIZE 64

/* Families and sizes of inet_send(). */
#define INET_IPV4 2
#define INET_IPV6 3

static enum nw_decoded append(struct nw_buffer *out, const void *text, size_t size)
{
    return nw_buffer_append(out, text, size) ? NW_DECODED : NW_DECODED_NO_MEMORY;
}

static enum nw_decoded print_copy(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    return append(out, at, size);
}

static enum nw_decoded print_bool(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    if (size != 1 || *at > 1) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, *at == 1 ? "t" : "f", 1);
}

/* charsend() writes the byte. charout() prints nothing for zero, and, since PostgreSQL 16, octal
 * for bytes that are no ASCII; before it printed the raw byte, which is no valid text. */
static enum nw_decoded print_char(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    char octal[4];

    if (size != 1) {
        return NW_DECODED_MALFORMED;
    }
    if (*at < 0x80) {
        return append(out, at, *at == 0 ? 0 : 1);
    }
    octal[0] = '\\';
    octal[1] = (char)('0' + (*at >> 6));
    octal[2] = (char)('0' + (*at >> 3 & 7));
    octal[3] = (char)('0' + (*at & 7));
    return append(out, octal, sizeof octal);
}

/* A signed integer of 2, 4 or 8 bytes. */
static enum nw_decoded print_integer(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    char text[SHORT_TEXT_SIZE];
    int64_t value = size == 2   ? (int16_t)nw_cursor_u16be(&cursor)
                    : size == 4 ? (int32_t)nw_cursor_u32be(&cursor)
                                : (int64_t)nw_cursor_u64be(&cursor);

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

/* An unsigned integer of 4 or 8 bytes. */
static enum nw_decoded print_unsigned(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    char text[SHORT_TEXT_SIZE];
    uint64_t value = size == 4 ? nw_cursor_u32be(&cursor) : nw_cursor_u64be(&cursor);

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text,
                  (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value));
}

static enum nw_decoded print_lsn(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    uint32_t high = nw_cursor_u32be(&cursor);
    uint32_t low = nw_cursor_u32be(&cursor);
    char text[SHORT_TEXT_SIZE];

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, (size_t)snprintf(text, sizeof text, "%X/%X", high, low));
}

/* Bytes as hexadecimal digits, after `prefix`, with a sign before those whose bit is in `signs`. */
static enum nw_decoded print_hex(struct nw_buffer *out, const struct nw_bytes *bytes,
                                 const char *prefix, char sign, uint32_t signs)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = NULL;

    if (!nw_buffer_append(out, prefix, strlen(prefix)) ||
        (to = nw_buffer_reserve(out, 3 * bytes->size)) == NULL) {
        return NW_DECODED_NO_MEMORY;
    }
    for (size_t i = 0; i < bytes->size; i++) {
        if (i < 32 && (signs >> i & 1) != 0) {
            *to++ = (uint8_t)sign;
        }
        *to++ = (uint8_t)digits[bytes->at[i] >> 4];
        *to++ = (uint8_t)digits[bytes->at[i] & 15];
    }
    out->size = (uint32_t)(to - out->at);
    return NW_DECODED;
}

static enum nw_decoded print_bytea(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    return print_hex(out, &(struct nw_bytes){at, size}, "\\x", ' ', 0);
}

static enum nw_decoded print_uuid(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    if (size != 16) {
        return NW_DECODED_MALFORMED;
    }
    return print_hex(out, &(struct nw_bytes){at, size}, "", '-', 0x550); /* before 4, 6, 8, 10 */
}

/* macaddr and macaddr8. */
static enum nw_decoded print_macaddr(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    if (size != 6 && size != 8) {
        return NW_DECODED_MALFORMED;
    }
    return print_hex(out, &(struct nw_bytes){at, size}, "", ':', 0xFE);
}

static enum nw_decoded print_bits(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    uint32_t count = nw_cursor_u32be(&cursor);
    const uint8_t *bits = nw_cursor_take(&cursor, (size_t)count / 8 + (count % 8 != 0));
    uint8_t *to = NULL;

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    to = nw_buffer_reserve(out, count);
    if (to == NULL) {
        return NW_DECODED_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        to[i] = (uint8_t)('0' + (bits[i / 8] >> (7 - i % 8) & 1));
    }
    out->size += count;
    return NW_DECODED;
}

static enum nw_decoded print_jsonb(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    if (size < 1 || at[0] != 1) { /* the format's version */
        return NW_DECODED_MALFORMED;
    }
    return append(out, at + 1, size - 1);
}

static enum nw_decoded print_numeric(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_numeric numeric;

    if (!nw_numeric_read(at, size, &numeric)) {
        return NW_DECODED_MALFORMED;
    }
    return nw_numeric_print(&numeric, out) ? NW_DECODED : NW_DECODED_NO_MEMORY;
}

static enum nw_decoded print_date(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    int32_t days = (int32_t)nw_cursor_u32be(&cursor);
    char text[NW_DATETIME_TEXT_SIZE];

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    if (days == INT32_MAX || days == INT32_MIN) {
        return days < 0 ? append(out, "-infinity", 9) : append(out, "infinity", 8);
    }
    if (days < NW_DATE_MIN - NW_DAYS_TO_2000 || days > NW_DATE_MAX - NW_DAYS_TO_2000) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, nw_date_print(text, (int64_t)days + NW_DAYS_TO_2000));
}

static enum nw_decoded print_time(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    int64_t us = (int64_t)nw_cursor_u64be(&cursor);
    char text[NW_DATETIME_TEXT_SIZE];

    if (!nw_cursor_done(&cursor) || us < 0 || us > NW_US_PER_DAY) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, nw_time_print(text, us));
}

static enum nw_decoded print_stamp(struct nw_buffer *out, const struct nw_bytes *value,
                                   const char *suffix)
{
    struct nw_cursor cursor = nw_cursor_of(value->at, value->size);
    int64_t us = (int64_t)nw_cursor_u64be(&cursor);
    int64_t days = us / NW_US_PER_DAY - (us % NW_US_PER_DAY < 0);
    char text[NW_DATETIME_TEXT_SIZE];

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    if (us == INT64_MAX || us == INT64_MIN) {
        return us < 0 ? append(out, "-infinity", 9) : append(out, "infinity", 8);
    }
    if (us < NW_TIMESTAMP_MIN || us >= NW_TIMESTAMP_END) {
        return NW_DECODED_MALFORMED;
    }
    return append(
        out, text,
        nw_timestamp_print(text, days + NW_DAYS_TO_2000, us - days * NW_US_PER_DAY, suffix));
}

static enum nw_decoded print_timestamp(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    return print_stamp(out, &(struct nw_bytes){at, size}, "");
}

static enum nw_decoded print_timestamptz(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    return print_stamp(out, &(struct nw_bytes){at, size}, "+00");
}

static enum nw_decoded print_timetz(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    int64_t us = (int64_t)nw_cursor_u64be(&cursor);
    int32_t west = (int32_t)nw_cursor_u32be(&cursor);
    char text[NW_DATETIME_TEXT_SIZE];

    if (!nw_cursor_done(&cursor) || us < 0 || us > NW_US_PER_DAY || west <= -NW_ZONE_END ||
        west >= NW_ZONE_END) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, nw_timetz_print(text, us, west));
}

static enum nw_decoded print_interval(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    int64_t us = (int64_t)nw_cursor_u64be(&cursor);
    int32_t days = (int32_t)nw_cursor_u32be(&cursor);
    int32_t months = (int32_t)nw_cursor_u32be(&cursor);
    char text[NW_DATETIME_TEXT_SIZE];

    if (!nw_cursor_done(&cursor)) {
        return NW_DECODED_MALFORMED;
    }
    return append(out, text, nw_interval_print(text, us, days, months));
}

static int put_ipv4(char *to, const uint8_t *address)
{
    return sprintf(to, "%u.%u.%u.%u", address[0], address[1], address[2], address[3]);
}

/* The first longest run of at least two zero words; *count 0: none. */
static uint32_t longest_zeros(const uint16_t words[8], uint32_t *count)
{
    uint32_t best = 0;

    *count = 0;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t run = 0;

        while (i + run < 8 && words[i + run] == 0) {
            run++;
        }
        if (run >= 2 && run > *count) {
            best = i;
            *count = run;
        }
        i += run;
    }
    return best;
}

/* Whether the last two words, after `zeros` zero words at the start, are shown as IPv4. */
static bool embeds_ipv4(const uint16_t words[8], uint32_t zeros)
{
    return zeros == 6 || (zeros == 7 && words[7] != 1) || (zeros == 5 && words[5] == 0xffff);
}

/* As inet_net_ntop_ipv6() of src/port/inet_net_ntop.c: the longest run of zeros as ::, and
 * addresses that embed one of IPv4 with it at the end. */
static int put_ipv6(char *to, const uint8_t *address)
{
    char *at = to;
    uint16_t words[8];
    uint32_t zeros = 0;
    uint32_t first = 0;

    for (size_t i = 0; i < 8; i++) {
        words[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
    }
    first = longest_zeros(words, &zeros);
    for (uint32_t i = 0; i < 8; i++) {
        if (i - first < zeros) {
            at += i == first ? sprintf(at, ":") : 0;
            continue;
        }
        at += i > 0 ? sprintf(at, ":") : 0;
        if (i == 6 && first == 0 && embeds_ipv4(words, zeros)) {
            at += put_ipv4(at, address + 12);
            return (int)(at - to);
        }
        at += sprintf(at, "%x", words[i]);
    }
    at += zeros > 0 && first + zeros == 8 ? sprintf(at, ":") : 0;
    return (int)(at - to);
}

/* inet and cidr: family, bits of the mask, whether it is a cidr, size, address. */
static enum nw_decoded print_inet(struct nw_buffer *out, const uint8_t *at, uint32_t size)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    uint8_t family = nw_cursor_u8(&cursor);
    uint8_t bits = nw_cursor_u8(&cursor);
    uint8_t is_cidr = nw_cursor_u8(&cursor);
    struct nw_bytes address = nw_cursor_bytes(&cursor, nw_cursor_u8(&cursor));
    char text[SHORT_TEXT_SIZE];
    int length = 0;

    if (!nw_cursor_done(&cursor) || is_cidr > 1 || bits > 8 * address.size ||
        !((family == INET_IPV4 && address.size == 4) ||
          (family == INET_IPV6 && address.size == 16))) {
        return NW_DECODED_MALFORMED;
    }
    length = family == INET_IPV4 ? put_ipv4(text, address.at) : put_ipv6(text, address.at);
    if (is_cidr == 1 || bits != 8 * address.size) {
        length += sprintf(text + length, "/%u", bits);
    }
    return append(out, text, (size_t)length);
}

nw_print_fn nw_printer_of(uint32_t oid)
{
    static const struct {
        uint32_t oid;
        nw_print_fn print;
    } printers[] = {
        {NW_OID_BOOL, print_bool},
        {NW_OID_BYTEA, print_bytea},
        {NW_OID_CHAR, print_char},
        {NW_OID_NAME, print_copy},
        {NW_OID_INT8, print_integer},
        {NW_OID_INT2, print_integer},
        {NW_OID_INT4, print_integer},
        {NW_OID_TEXT, print_copy},
        {NW_OID_OID, print_unsigned},
        {NW_OID_XID, print_unsigned},
        {NW_OID_CID, print_unsigned},
        {NW_OID_JSON, print_copy},
        {NW_OID_CIDR, print_inet},
        {NW_OID_MACADDR8, print_macaddr},
        {NW_OID_MACADDR, print_macaddr},
        {NW_OID_INET, print_inet},
        {NW_OID_BPCHAR, print_copy},
        {NW_OID_VARCHAR, print_copy},
        {NW_OID_DATE, print_date},
        {NW_OID_TIME, print_time},
        {NW_OID_TIMESTAMP, print_timestamp},
        {NW_OID_TIMESTAMPTZ, print_timestamptz},
        {NW_OID_INTERVAL, print_interval},
        {NW_OID_TIMETZ, print_timetz},
        {NW_OID_BIT, print_bits},
        {NW_OID_VARBIT, print_bits},
        {NW_OID_NUMERIC, print_numeric},
        {NW_OID_UUID, print_uuid},
        {NW_OID_PG_LSN, print_lsn},
        {NW_OID_JSONB, print_jsonb},
        {NW_OID_XID8, print_unsigned},
    };

    for (size_t i = 0; i < sizeof printers / sizeof printers[0]; i++) {
        if (printers[i].oid == oid) {
            return printers[i].print;
        }
    }
    return NULL;
}
