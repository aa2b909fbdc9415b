/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See connect_shape.h. Shapes become WKB (OGC 06-103r4, little-endian) of the points that
 * PostgreSQL prints; PostGIS prints EWKB itself.
 */
#include "lib/format/connect_shape.h"

#include <string.h>

#include "lib/json.h"
#include "lib/utf8.h"

#define WKB_POINT       1u
#define WKB_LINE_STRING 2u
#define WKB_POLYGON     3u
#define EWKB_SRID       UINT32_C(0x20000000)
#define EWKB_SIZE_MIN   9u

#define HASH_SLOTS_MIN 16u

/* ---- well-known binary ---- */

static void out_u32(struct nw_out *out, uint32_t value)
{
    uint8_t bytes[4];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    nw_out_bytes(out, bytes, sizeof bytes);
}

static void out_xy(struct nw_out *out, double x, double y)
{
    const double both[2] = {x, y};

    for (size_t p = 0; p < 2; p++) {
        uint8_t bytes[8];
        uint64_t bits;

        memcpy(&bits, &both[p], sizeof bits);
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(bits >> 8 * i);
        }
        nw_out_bytes(out, bytes, sizeof bytes);
    }
}

static void wkb_begin(struct nw_out *out, uint32_t kind)
{
    out->used = 0;
    nw_out_bytes(out, "\1", 1); /* little-endian */
    out_u32(out, kind);
}

static struct nw_connect_value binary_of(const struct nw_out *out)
{
    return (struct nw_connect_value){
        .kind = NW_CONNECT_BINARY, .bytes = out->bytes, .size = (uint32_t)out->used};
}

static struct nw_connect_value real_of(double real)
{
    return (struct nw_connect_value){.kind = NW_CONNECT_REAL, .as.real = real};
}

static struct nw_connect_value text_of(const char *text)
{
    return (struct nw_connect_value){
        .kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static nw_status give_pieces(const struct nw_level *level, const struct nw_text *text,
                             const struct nw_connect_value *pieces, struct nw_connect_value *to)
{
    to->kind = NW_CONNECT_PIECES;
    to->pieces = pieces;
    if (!nw_text_done(text)) {
        return NW_CORRUPT;
    }
    return level->out.failed ? NW_RETRY : NW_OK;
}

/* x, y, wkb and no srid */
static void point_pieces(struct nw_level *level, double x, double y)
{
    wkb_begin(&level->out, WKB_POINT);
    out_xy(&level->out, x, y);
    level->pieces[0] = real_of(x);
    level->pieces[1] = real_of(y);
    level->pieces[2] = binary_of(&level->out);
    level->pieces[3] = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
}

nw_status nw_point_convert(const struct nw_convert *convert, const struct nw_value *source,
                           struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    struct nw_text text = nw_text_of(source->bytes, source->size);
    double x;
    double y;

    nw_text_point(&text, &x, &y);
    point_pieces(level, x, y);
    return give_pieces(level, &text, level->pieces, to);
}

/* <(x,y),r> */
nw_status nw_circle_convert(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    struct nw_text text = nw_text_of(source->bytes, source->size);
    double x;
    double y;

    nw_text_expect(&text, '<');
    nw_text_point(&text, &x, &y);
    nw_text_expect(&text, ',');
    level->pieces[5] = real_of(nw_text_real(&text));
    nw_text_expect(&text, '>');
    point_pieces(level, x, y);
    level->pieces[4] =
        (struct nw_connect_value){.kind = NW_CONNECT_PIECES, .pieces = level->pieces};
    return give_pieces(level, &text, level->pieces + 4, to);
}

/* {A,B,C} */
nw_status nw_line_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    struct nw_text text = nw_text_of(source->bytes, source->size);
    for (size_t i = 0; i < 3; i++) {
        nw_text_expect(&text, i == 0 ? '{' : ',');
        level->pieces[i] = real_of(nw_text_real(&text));
    }
    nw_text_expect(&text, '}');
    return give_pieces(level, &text, level->pieces, to);
}

/* wkb, srid, extensions: what kind of shape it was. */
static void shape_pieces(const struct nw_convert *convert, const char *kind, int closed)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    struct nw_connect_value *pairs = level->pairs;

    pairs[0] = text_of("type");
    pairs[1] = text_of(kind);
    pairs[2] = text_of("closed");
    pairs[3] = text_of(closed > 0 ? "true" : "false");
    level->items = (struct nw_connect_items){.source = NW_SOURCE_PAIRS,
                                             .scratch = convert->scratch,
                                             .level = convert->level,
                                             .options = convert->options,
                                             .values = pairs,
                                             .count = closed < 0 ? 2 : 4};
    level->pieces[0] = binary_of(&level->out);
    level->pieces[1] = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    level->pieces[2] = (struct nw_connect_value){.kind = NW_CONNECT_ITEMS, .items = &level->items};
}

/* (x1,y1),(x2,y2): a ring around it */
nw_status nw_box_convert(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to)
{
    struct nw_text text = nw_text_of(source->bytes, source->size);
    struct nw_level *level = &convert->scratch->levels[convert->level];
    double x1;
    double y1;
    double x2;
    double y2;

    nw_text_point(&text, &x1, &y1);
    nw_text_expect(&text, ',');
    nw_text_point(&text, &x2, &y2);
    wkb_begin(&level->out, WKB_POLYGON);
    out_u32(&level->out, 1);
    out_u32(&level->out, 5);
    out_xy(&level->out, x1, y1);
    out_xy(&level->out, x1, y2);
    out_xy(&level->out, x2, y2);
    out_xy(&level->out, x2, y1);
    out_xy(&level->out, x1, y1);
    shape_pieces(convert, "box", -1);
    return give_pieces(level, &text, level->pieces, to);
}

/* Points up to the closing character, behind what wkb_begin() wrote and a count. @return count */
static uint32_t points_copy(struct nw_out *out, struct nw_text *text, char closing)
{
    uint32_t count = 0;

    do {
        double x;
        double y;

        nw_text_point(text, &x, &y);
        out_xy(out, x, y);
        count++;
    } while (nw_text_take(text, ',') && !text->failed);
    nw_text_expect(text, closing);
    return count;
}

static void count_set(struct nw_out *out, size_t at, uint32_t count)
{
    for (size_t i = 0; i < 4 && !out->failed; i++) {
        out->bytes[at + i] = (uint8_t)(count >> 8 * i);
    }
}

/* [(x,y),...] is open, ((x,y),...) is closed; a segment is a path of two points. */
nw_status nw_path_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to)
{
    struct nw_text text = nw_text_of(source->bytes, source->size);
    struct nw_level *level = &convert->scratch->levels[convert->level];
    bool path = convert->form->how == NW_HOW_PATH;
    bool zero = nw_text_take(&text, '{'); /* which is neither */
    bool closed = !zero && nw_text_take(&text, '(');
    size_t at;

    if (!closed && !zero) {
        nw_text_expect(&text, '[');
    }
    wkb_begin(&level->out, WKB_LINE_STRING);
    at = level->out.used;
    out_u32(&level->out, 0);
    count_set(&level->out, at, points_copy(&level->out, &text, zero ? '}' : closed ? ')' : ']'));
    shape_pieces(convert, path ? "path" : "lseg", !path || zero ? -1 : closed ? 1 : 0);
    return give_pieces(level, &text, level->pieces, to);
}

/* ((x,y),...): a ring, which ends where it begins */
nw_status nw_polygon_convert(const struct nw_convert *convert, const struct nw_value *source,
                             struct nw_connect_value *to)
{
    struct nw_text text = nw_text_of(source->bytes, source->size);
    struct nw_out *out = &convert->scratch->levels[convert->level].out;
    uint32_t count;
    size_t at;

    wkb_begin(out, WKB_POLYGON);
    out_u32(out, 1);
    at = out->used;
    out_u32(out, 0);
    nw_text_expect(&text, '(');
    count = points_copy(out, &text, ')');
    if (count >= 2 && !out->failed &&
        memcmp(out->bytes + at + 4, out->bytes + out->used - 16, 16) != 0 &&
        nw_out_reserve(out, 16)) {
        memcpy(out->bytes + out->used, out->bytes + at + 4, 16);
        out->used += 16;
        count++;
    }
    count_set(out, at, count);
    shape_pieces(convert, "polygon", -1);
    return give_pieces(&convert->scratch->levels[convert->level], &text,
                       convert->scratch->levels[convert->level].pieces, to);
}

/* PostGIS: EWKB in hexadecimal; the srid is in it. */
nw_status nw_ewkb_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    const uint8_t *bytes;
    uint32_t kind = 0;
    uint32_t srid = 0;
    bool little;

    level->out.used = 0;
    if (!nw_out_unhex(&level->out, source->bytes, source->size)) {
        return level->out.failed ? NW_RETRY : NW_CORRUPT;
    }
    bytes = level->out.bytes;
    if (level->out.used < EWKB_SIZE_MIN) {
        return NW_CORRUPT;
    }
    little = bytes[0] != 0;
    for (size_t i = 0; i < 4; i++) {
        kind |= (uint32_t)bytes[little ? 1 + i : 4 - i] << 8 * i;
        srid |= (uint32_t)bytes[little ? 5 + i : 8 - i] << 8 * i;
    }
    level->pieces[0] = binary_of(&level->out);
    level->pieces[1] = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    if ((kind & EWKB_SRID) != 0) {
        level->pieces[1] =
            (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = (int32_t)srid};
    }
    level->pieces[2] = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    to->kind = NW_CONNECT_PIECES;
    to->pieces = level->pieces;
    return NW_OK;
}

/* ---- hstore ---- */

/* Java's String.hashCode(), and how HashMap spreads it. */
static uint32_t java_hash(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < size;) {
        uint32_t c = bytes[i];
        size_t length = c < 0x80 ? 1 : nw_utf8_size(bytes + i, size - i);

        length = length == 0 ? 1 : length;
        if (length > 1) {
            c &= 0xffu >> (length + 1);
            for (size_t k = 1; k < length; k++) {
                c = c << 6 | (bytes[i + k] & 0x3fu);
            }
        }
        i += length;
        if (c >= 0x10000) { /* two units */
            hash = hash * 31 + 0xd800 + ((c - 0x10000) >> 10);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + c;
    }
    return hash ^ hash >> 16;
}

struct entry {
    uint32_t hash;
    uint32_t next; /* in the same slot: its number + 1; 0: none */
    uint32_t at;   /* of its JSON in level->pile */
    uint32_t size;
};

static struct entry *entry_at(struct nw_level *level, size_t index)
{
    return (struct entry *)(void *)level->second.bytes + index; /* as aligned as malloc makes it */
}

/* Jackson writes \u000B where ours is \u000b; in a string of JSON that is another value. */
static void string_append(struct nw_out *pile, const struct nw_out *text)
{
    size_t at = pile->used;

    (void)nw_json_string(pile, text->bytes, text->used, 0);
    for (; !pile->failed && at < pile->used; at++) {
        if (pile->bytes[at] == '\\' && pile->bytes[++at] == 'u') {
            uint8_t *digit = &pile->bytes[at += 4]; /* only the last may be a letter: below 0x20 */

            *digit = (uint8_t)(*digit >= 'a' ? *digit - 'a' + 'A' : *digit);
        }
    }
}

/* The pairs as JSON, one behind the other in level->pile, and a list of them in level->second. */
static nw_status entries_fill(struct nw_level *level, const struct nw_value *source)
{
    struct nw_text text = nw_text_of(source->bytes, source->size);
    struct nw_out *key = &level->out;
    struct nw_out *value = &level->value;
    bool value_null;

    level->pile.used = level->second.used = 0;
    for (bool first = true; nw_text_pair(&text, first, key, value, &value_null); first = false) {
        struct entry entry = {.hash = java_hash(key->bytes, key->used),
                              .at = (uint32_t)level->pile.used};

        string_append(&level->pile, key);
        nw_out_text(&level->pile, ":");
        if (value_null) {
            nw_out_text(&level->pile, "null");
        } else {
            string_append(&level->pile, value);
        }
        entry.size = (uint32_t)level->pile.used - entry.at;
        nw_out_bytes(&level->second, &entry, sizeof entry);
    }
    if (level->pile.failed || level->second.failed || key->failed || value->failed) {
        return NW_RETRY;
    }
    return nw_text_done(&text) ? NW_OK : NW_CORRUPT;
}

/* The first of each slot, as a number + 1; those behind it in the order in which they came. */
static uint32_t *slots_fill(struct nw_level *level, size_t count, uint32_t slots)
{
    uint32_t *heads;

    if (!nw_out_reserve(&level->value, slots * sizeof *heads)) {
        return NULL;
    }
    level->value.used = 0;
    heads = (uint32_t *)(void *)level->value.bytes;
    memset(heads, 0, slots * sizeof *heads);
    for (size_t i = count; i > 0; i--) {
        struct entry *entry = entry_at(level, i - 1);
        uint32_t *head = &heads[entry->hash & (slots - 1)];

        entry->next = *head;
        *head = (uint32_t)i;
    }
    return heads;
}

nw_status nw_hstore_json(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    nw_status status = entries_fill(level, source);
    const size_t count = level->second.used / sizeof(struct entry);
    uint32_t slots = HASH_SLOTS_MIN;
    const uint32_t *heads;

    if (status != NW_OK) {
        return status;
    }
    while (count > (size_t)slots * 3 / 4) {
        slots *= 2;
    }
    heads = slots_fill(level, count, slots);
    if (heads == NULL) {
        return NW_RETRY;
    }
    level->out.used = 0;
    nw_out_text(&level->out, "{");
    for (uint32_t slot = 0; slot < slots; slot++) {
        for (uint32_t i = heads[slot]; i > 0; i = entry_at(level, i - 1)->next) {
            const struct entry *entry = entry_at(level, i - 1);

            nw_out_text(&level->out, level->out.used == 1 ? "" : ",");
            nw_out_bytes(&level->out, level->pile.bytes + entry->at, entry->size);
        }
    }
    nw_out_text(&level->out, "}");
    to->kind = NW_CONNECT_TEXT;
    to->bytes = level->out.bytes;
    to->size = (uint32_t)level->out.used;
    return level->out.failed ? NW_RETRY : NW_OK;
}
