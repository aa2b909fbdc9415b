/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as leaves: see leaves.h. Bytes are read by sinks/lib/scan.h, which checks them first. */
#include "kafka/leaves.h"

#include <stdio.h>
#include <string.h>

#include "kafka/avro.h"
#include "lib/scan.h"

#define NAME_SIZE     512u
#define EXPONENT_MAX  9u /* digits of one that is understood */
#define HEADERS_MAX   1000u
#define NUMBER_DIGITS 24u /* of an exponent, with sign and letter */
#define AVRO_HEAD     5u  /* a zero, and the schema's number in 4 bytes */

static void leaf_say(struct nw_leaves *leaves, struct nw_leaf leaf)
{
    leaf.path = leaves->path;
    leaf.place = leaves->place++;
    leaf.keyless = leaves->keyless;
    leaf.key_has_schema = leaves->key_has_schema;
    leaves->leaf(leaves->context, &leaf);
}

static void leaf_same(struct nw_leaves *leaves, enum nw_leaf_kind kind, const void *text,
                      size_t size)
{
    leaf_say(leaves,
             (struct nw_leaf){
                 .kind = kind, .text = text, .size = size, .shown = text, .shown_size = size});
}

/* ---- paths ---- */

static void path_begin(struct nw_leaves *leaves, const char *root)
{
    leaves->path_used = (size_t)snprintf(leaves->path, sizeof leaves->path, "%s", root);
    leaves->place = 0;
}

static void path_cut(struct nw_leaves *leaves, size_t used)
{
    leaves->path_used = used;
    leaves->path[used] = '\0';
}

static bool path_grow(struct nw_leaves *leaves, int size)
{
    if (size < 0 || (size_t)size >= sizeof leaves->path - leaves->path_used) {
        path_cut(leaves, leaves->path_used);
        return false;
    }
    leaves->path_used += (size_t)size;
    return true;
}

/* @return false, and as it was, when it would be too long */
static bool path_member(struct nw_leaves *leaves, const char *name)
{
    bool plain = name[0] != '\0' && strpbrk(name, ".[\"") == NULL;

    return path_grow(leaves, snprintf(leaves->path + leaves->path_used,
                                      sizeof leaves->path - leaves->path_used,
                                      plain ? ".%s" : ".\"%s\"", name));
}

static bool path_item(struct nw_leaves *leaves, uint32_t index)
{
    return path_grow(leaves, snprintf(leaves->path + leaves->path_used,
                                      sizeof leaves->path - leaves->path_used, "[%u]", index));
}

/* ---- values ---- */

static uint8_t first_byte(struct nw_scan *scan)
{
    while (scan->left > 0 && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != 0) {
        scan->at++;
        scan->left--;
    }
    return scan->left == 0 ? 0 : *scan->at;
}

/* The next value's bytes, which are consumed. */
static size_t value_take(struct nw_scan *scan, const char **text)
{
    size_t left = 0;

    (void)first_byte(scan);
    *text = (const char *)scan->at;
    left = scan->left;
    nw_scan_skip(scan);
    return left - scan->left;
}

/* What stands behind the e of a number. @return false: too large to be understood */
static bool exponent_of(const char *text, size_t size, long *exponent)
{
    bool minus = size > 0 && text[0] == '-';
    size_t at = size > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    long value = 0;

    if (size - at > EXPONENT_MAX) {
        return false;
    }
    for (; at < size; at++) {
        value = 10 * value + (text[at] - '0');
    }
    *exponent = minus ? -value : value;
    return true;
}

/* The digits of a number, without a point and zeros around them. @return what that moved the point
 */
static long digits_put(struct nw_out *out, const char *text, size_t size)
{
    long exponent = 0;
    bool point = false;
    size_t start = out->used;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.') {
            point = true;
            continue;
        }
        exponent -= point;
        if (text[i] != '0' || out->used > start) {
            nw_out_bytes(out, &text[i], 1);
        }
    }
    while (out->used > start && out->bytes[out->used - 1] == '0') {
        out->used--;
        exponent++;
    }
    return exponent;
}

/* A number in one form, whatever way it is written: its digits without zeros around them, and a
 * power of ten. Exact. */
static void number_form(struct nw_out *out, const char *text, size_t size)
{
    size_t digits = 0;
    size_t start = 0;
    long exponent = 0;

    while (digits < size && text[digits] != 'e' && text[digits] != 'E') {
        digits++;
    }
    if (digits < size && !exponent_of(text + digits + 1, size - digits - 1, &exponent)) {
        nw_out_bytes(out, text, size);
        return;
    }
    if (digits > 0 && text[0] == '-') {
        nw_out_bytes(out, "-", 1);
    }
    start = out->used;
    exponent += digits_put(out, text + start, digits - start);
    if (out->used == start) { /* zero */
        nw_out_bytes(out, "0", 1);
    } else if (nw_out_reserve(out, NUMBER_DIGITS)) {
        out->used +=
            (size_t)snprintf((char *)out->bytes + out->used, NUMBER_DIGITS, "e%ld", exponent);
    }
}

static void number_say(struct nw_leaves *leaves, const char *text, size_t size)
{
    struct nw_leaf leaf = {
        .kind = NW_LEAF_NUMBER, .text = text, .size = size, .shown = text, .shown_size = size};

    if (!leaves->as_written) {
        leaves->text.used = 0;
        number_form(&leaves->text, text, size);
        leaf.text = (const char *)leaves->text.bytes;
        leaf.size = leaves->text.used;
    }
    leaf_say(leaves, leaf);
}

static void number_walk(struct nw_leaves *leaves, struct nw_scan *scan)
{
    const char *text = NULL;
    size_t size = value_take(scan, &text);

    number_say(leaves, text, size);
}

static void string_walk(struct nw_leaves *leaves, struct nw_scan *scan)
{
    struct nw_leaf leaf = {.kind = NW_LEAF_STRING};
    struct nw_scan again = *scan;

    leaf.shown_size = value_take(scan, &leaf.shown);
    leaves->text.used = 0;
    if (!nw_out_reserve(&leaves->text, leaf.shown_size + 4)) {
        return;
    }
    leaf.size = nw_scan_text(&again, (char *)leaves->text.bytes, leaves->text.capacity);
    leaf.text = (const char *)leaves->text.bytes;
    leaf_say(leaves, leaf);
}

static void value_walk(struct nw_leaves *leaves, struct nw_scan *scan);

/* A value whose path would be too long: as it is written. */
static void value_whole(struct nw_leaves *leaves, struct nw_scan *scan)
{
    const char *text = NULL;
    size_t size = value_take(scan, &text);

    leaf_same(leaves, NW_LEAF_BYTES, text, size);
}

static void object_walk(struct nw_leaves *leaves, struct nw_scan *scan)
{
    size_t used = leaves->path_used;
    bool first = true;
    char name[NAME_SIZE];

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, name, sizeof name)) {
        if (path_member(leaves, name)) {
            value_walk(leaves, scan);
        } else {
            value_whole(leaves, scan);
        }
        path_cut(leaves, used);
    }
    if (first) {
        leaf_same(leaves, NW_LEAF_EMPTY, "{}", 2);
    }
}

static void array_walk(struct nw_leaves *leaves, struct nw_scan *scan)
{
    size_t used = leaves->path_used;
    bool first = true;

    nw_scan_enter(scan, '[');
    for (uint32_t i = 0; nw_scan_item(scan, &first); i++) {
        if (path_item(leaves, i)) {
            value_walk(leaves, scan);
        } else {
            value_whole(leaves, scan);
        }
        path_cut(leaves, used);
    }
    if (first) {
        leaf_same(leaves, NW_LEAF_EMPTY, "[]", 2);
    }
}

/* As deep as nw_scan_skip() lets a document be. */
static void value_walk(struct nw_leaves *leaves, struct nw_scan *scan)
{
    uint8_t byte = first_byte(scan);
    const char *text = NULL;
    size_t size = 0;

    if (byte == '{') {
        object_walk(leaves, scan);
    } else if (byte == '[') {
        array_walk(leaves, scan);
    } else if (byte == '"') {
        string_walk(leaves, scan);
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        number_walk(leaves, scan);
    } else {
        size = value_take(scan, &text);
        leaf_same(leaves, NW_LEAF_WORD, text, size);
    }
}

/* ---- documents ---- */

static bool is_json(const void *bytes, size_t size)
{
    struct nw_scan scan = nw_scan_of(bytes, size);

    nw_scan_skip(&scan);
    return nw_scan_done(&scan);
}

/* {"schema":...,"payload":...} and nothing else. */
static bool envelope_open(const void *bytes, size_t size, struct nw_scan parts[2])
{
    static const char *const names[2] = {"schema", "payload"};
    struct nw_scan scan = nw_scan_of(bytes, size);
    bool first = true;
    char name[NAME_SIZE];
    size_t count = 0;

    if (first_byte(&scan) != '{') {
        return false;
    }
    nw_scan_enter(&scan, '{');
    while (nw_scan_key(&scan, &first, name, sizeof name)) {
        const char *text = NULL;
        size_t part_size = 0;

        if (count == 2 || strcmp(name, names[count]) != 0) {
            return false;
        }
        part_size = value_take(&scan, &text);
        parts[count++] = nw_scan_of(text, part_size);
    }
    return count == 2;
}

static void schema_walk(struct nw_leaves *leaves, bool of_value, struct nw_scan *schema)
{
    if (leaves->schema != NULL &&
        leaves->schema(leaves->context, of_value, schema->at, schema->left)) {
        return;
    }
    path_begin(leaves, of_value ? "value-schema" : "key-schema");
    value_walk(leaves, schema);
    if (leaves->schema_end != NULL) {
        leaves->schema_end(leaves->context, of_value);
    }
}

/* A message of Confluent's serialisers. @return false: it is none, and nothing was said */
static bool avro_walk(struct nw_leaves *leaves, bool of_value, const uint8_t *bytes, size_t size)
{
    const struct nw_leaves_avro *avro = NULL;
    struct nw_scan schema;

    if (leaves->avro == NULL || size < AVRO_HEAD || bytes[0] != 0) {
        return false;
    }
    avro = leaves->avro(leaves->context, (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
                                             (uint32_t)bytes[3] << 8 | bytes[4]);
    if (avro == NULL || !nw_avro_walk(leaves, avro->schema, bytes + AVRO_HEAD, size - AVRO_HEAD)) {
        return false;
    }
    leaves->key_has_schema |= !of_value;
    schema = nw_scan_of(avro->text, avro->size);
    schema_walk(leaves, of_value, &schema);
    return true;
}

static void document_walk(struct nw_leaves *leaves, bool of_value, const void *bytes, size_t size)
{
    struct nw_scan parts[2];

    path_begin(leaves, of_value ? "value" : "key");
    if (bytes == NULL) {
        leaf_same(leaves, NW_LEAF_NONE, "(none)", 6);
    } else if (avro_walk(leaves, of_value, bytes, size)) {
        return;
    } else if (!is_json(bytes, size)) {
        leaf_same(leaves, NW_LEAF_BYTES, bytes, size);
    } else if (envelope_open(bytes, size, parts)) {
        leaves->key_has_schema |= !of_value;
        schema_walk(leaves, of_value, &parts[0]);
        path_begin(leaves, of_value ? "value" : "key");
        value_walk(leaves, &parts[1]);
    } else {
        parts[1] = nw_scan_of(bytes, size);
        value_walk(leaves, &parts[1]);
    }
}

/* How many of the headers before this one have its name. */
static uint32_t header_again(const rd_kafka_headers_t *headers, size_t index, const char *name)
{
    uint32_t again = 0;

    for (size_t i = 0; i < index; i++) {
        const char *other = NULL;
        const void *value = NULL;
        size_t size = 0;

        if (rd_kafka_header_get_all(headers, i, &other, &value, &size) == 0 &&
            strcmp(name, other) == 0) {
            again++;
        }
    }
    return again;
}

static void header_walk(struct nw_leaves *leaves, const rd_kafka_headers_t *headers, size_t index)
{
    const char *name = NULL;
    const void *value = NULL;
    size_t size = 0;
    uint32_t again = 0;
    struct nw_scan scan;

    if (rd_kafka_header_get_all(headers, index, &name, &value, &size) != 0) {
        return;
    }
    path_begin(leaves, "header.");
    (void)path_grow(leaves, snprintf(leaves->path + leaves->path_used,
                                     sizeof leaves->path - leaves->path_used, "%.*s",
                                     (int)NAME_SIZE, name));
    again = header_again(headers, index, name);
    if (again > 0) {
        (void)path_item(leaves, again);
    }
    scan = nw_scan_of(value, size);
    if (value == NULL) {
        leaf_same(leaves, NW_LEAF_NONE, "(none)", 6);
    } else if ((first_byte(&scan) == '{' || first_byte(&scan) == '[') && is_json(value, size)) {
        value_walk(leaves, &scan);
    } else {
        leaf_same(leaves, NW_LEAF_STRING, value, size);
    }
}

bool nw_leaves_of(struct nw_leaves *leaves, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    char number[16];
    int size = snprintf(number, sizeof number, "%d", (int)message->partition);

    leaves->keyless = message->key == NULL;
    leaves->key_has_schema = false;
    document_walk(leaves, false, message->key, message->key_len);
    path_begin(leaves, "partition");
    leaf_same(leaves, NW_LEAF_NUMBER, number, (size_t)size);
    document_walk(leaves, true, message->payload, message->len);
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = rd_kafka_header_cnt(headers);

        for (size_t i = 0; i < count && i < HEADERS_MAX; i++) {
            header_walk(leaves, headers, i);
        }
    }
    return !leaves->text.failed;
}

void nw_leaf_give(struct nw_leaves *leaves, enum nw_leaf_kind kind, const void *text, size_t size)
{
    if (kind == NW_LEAF_NUMBER) {
        number_say(leaves, text, size);
    } else {
        leaf_same(leaves, kind, text, size);
    }
}

void nw_leaves_member(struct nw_leaves *leaves, const char *name)
{
    (void)path_member(leaves, name);
}

void nw_leaves_item(struct nw_leaves *leaves, uint64_t index)
{
    (void)path_item(leaves, (uint32_t)index);
}

void nw_leaves_cut(struct nw_leaves *leaves, size_t used)
{
    path_cut(leaves, used);
}

void nw_leaves_fini(struct nw_leaves *leaves)
{
    nw_out_fini(&leaves->text);
}
