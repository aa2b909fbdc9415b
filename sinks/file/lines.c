/* SPDX-License-Identifier: Apache-2.0 */
/* See lines.h. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

#include "lib/scan.h"

#define SEQUENCE_SIZE 64u

/* Passes over a value. @return whether it was another than null */
static bool given(struct nw_scan *scan)
{
    bool null = scan->left > 0 && *scan->at == 'n';

    nw_scan_skip(scan);
    return !null;
}

static void own_parse(struct nw_scan *scan, struct nw_line *line)
{
    char key[24];
    char op[4] = "";
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (strcmp(key, "op") == 0) {
            (void)nw_scan_text(scan, op, sizeof op);
        } else if (strcmp(key, "commit_lsn") == 0) {
            line->commit_lsn = nw_scan_lsn(scan);
        } else if (strcmp(key, "seq") == 0) {
            line->within = nw_scan_u64(scan);
        } else {
            line->has_after |= strcmp(key, "after") == 0;
            nw_scan_skip(scan);
        }
    }
    line->op = op[1] == '\0' ? op[0] : '\0';
}

/* ["COMMIT","LSN"] as a text; of copied rows and messages COMMIT may be null. */
static void sequence_parse(struct nw_scan *scan, struct nw_line *line)
{
    char text[SEQUENCE_SIZE] = "";
    const char *comma = NULL;

    (void)nw_scan_text(scan, text, sizeof text);
    comma = strchr(text, ',');
    if (text[0] != '[' || comma == NULL || comma[1] != '"') {
        scan->failed = true;
        return;
    }
    line->commit_lsn = text[1] == '"' ? strtoull(text + 2, NULL, 10) : 0;
    line->within = strtoull(comma + 2, NULL, 10);
}

static void source_parse(struct nw_scan *scan, struct nw_line *line)
{
    char key[24];
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (strcmp(key, "sequence") == 0) {
            sequence_parse(scan, line);
        } else {
            nw_scan_skip(scan);
        }
    }
}

/* Whether what comes is {"schema":...,"payload":...}, and not a payload itself. */
static bool is_wrapped(const struct nw_scan *scan)
{
    static const char opening[] = "{\"schema\":";

    return scan->left > sizeof opening && memcmp(scan->at, opening, sizeof opening - 1) == 0;
}

/* {"before":...,"after":...} */
static void images_parse(struct nw_scan *scan, struct nw_line *line)
{
    char key[24];
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        bool is = given(scan);

        line->has_after |= is && strcmp(key, "after") == 0;
    }
}

/* What is in the payload, or in what has no schema around it. */
static void wrapped_parse(struct nw_scan *scan, struct nw_line *line,
                          void (*payload)(struct nw_scan *scan, struct nw_line *line))
{
    char key[24];
    bool first = true;

    if (!is_wrapped(scan)) {
        payload(scan, line);
        return;
    }
    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (strcmp(key, "payload") == 0) {
            payload(scan, line);
        } else {
            nw_scan_skip(scan);
        }
    }
}

/* An envelope or a CloudEvent, whose members have other names. */
static void envelope_parse(struct nw_scan *scan, struct nw_line *line)
{
    bool event = line->form == NW_DATA_CLOUDEVENTS;
    char key[24];
    char op[4] = "";
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (strcmp(key, event ? "iodebeziumop" : "op") == 0) {
            (void)nw_scan_text(scan, op, sizeof op);
        } else if (event && strcmp(key, "iodebeziumsequence") == 0) {
            sequence_parse(scan, line);
        } else if (event && strcmp(key, "data") == 0) {
            wrapped_parse(scan, line, images_parse);
        } else if (!event && strcmp(key, "source") == 0) {
            source_parse(scan, line);
        } else if (!event && strcmp(key, "after") == 0) {
            line->has_after = given(scan);
        } else {
            nw_scan_skip(scan);
        }
    }
    line->op = op[1] == '\0' ? op[0] : '\0';
}

bool nw_line_parse(enum nw_data_form form, const uint8_t *bytes, size_t size, struct nw_line *line)
{
    static const char *const ops[] = {[NW_DATA_LINES] = "IUDTSMX",
                                      [NW_DATA_ENVELOPES] = "cudrtm",
                                      [NW_DATA_CLOUDEVENTS] = "cudrt"};
    struct nw_scan scan = nw_scan_of(bytes, size);

    *line = (struct nw_line){.form = form};
    switch (form) {
    case NW_DATA_LINES:
        own_parse(&scan, line);
        break;
    case NW_DATA_ENVELOPES:
        wrapped_parse(&scan, line, envelope_parse);
        break;
    case NW_DATA_CLOUDEVENTS:
        envelope_parse(&scan, line);
        break;
    case NW_DATA_FLAT:
        if (size == 0 || bytes[0] != '{') {
            return false;
        }
        nw_scan_skip(&scan);
        return nw_scan_done(&scan);
    case NW_DATA_AVRO:
        return false; /* it has no lines */
    }
    return nw_scan_done(&scan) && line->op != '\0' && strchr(ops[form], line->op) != NULL;
}

bool nw_line_image_right(const struct nw_line *line)
{
    const char *with_after = line->form == NW_DATA_LINES ? "IU" : "cur";

    return line->op == '\0' || (strchr(with_after, line->op) != NULL) == line->has_after;
}

bool nw_line_follows(const struct nw_line *former, const struct nw_line *line)
{
    if (former->op == '\0' || line->op == '\0' || line->commit_lsn != former->commit_lsn) {
        return former->op == '\0' || line->op == '\0' || line->commit_lsn > former->commit_lsn;
    }
    if (former->form != line->form) {
        return true;
    }
    /* A schema version comes at the place of the change that is the first to have it; changes that
     * one record of the WAL brings share its LSN, and an update of the key is two. */
    return line->within > former->within ||
           (line->within == former->within &&
            (line->form != NW_DATA_LINES || line->op == 'S' || former->op == 'S'));
}

/* ---- Avro ---- */

/* Bytes of a file in Avro; what is behind them makes it cut. */
struct piece {
    const uint8_t *at;
    size_t left;
    enum nw_piece state;
};

static const uint8_t *bytes_take(struct piece *piece, uint64_t size)
{
    const uint8_t *at = piece->at;

    if (piece->state != NW_PIECE_WHOLE) {
        return NULL;
    }
    if (size > piece->left) {
        piece->state = NW_PIECE_CUT;
        return NULL;
    }
    piece->at += size;
    piece->left -= (size_t)size;
    return at;
}

/* A length or a count, which we never write negative. */
static uint64_t long_take(struct piece *piece)
{
    uint64_t value = 0;

    for (uint32_t shift = 0; shift < 64; shift += 7) {
        const uint8_t *byte = bytes_take(piece, 1);

        if (byte == NULL) {
            return 0;
        }
        value |= (uint64_t)(*byte & 0x7f) << shift;
        if ((*byte & 0x80) == 0) {
            piece->state = (value & 1) != 0 ? NW_PIECE_WRONG : piece->state;
            return value >> 1;
        }
    }
    piece->state = NW_PIECE_WRONG;
    return 0;
}

static void header_take(struct piece *piece, uint8_t sync[static 16])
{
    const uint8_t *magic = bytes_take(piece, 4);
    const uint8_t *end = NULL;
    uint64_t members = 0;

    if (magic != NULL && memcmp(magic, "Obj\1", 4) != 0) {
        piece->state = NW_PIECE_WRONG;
    }
    members = long_take(piece);
    for (uint64_t i = 0; i < 2 * members && piece->state == NW_PIECE_WHOLE; i++) {
        (void)bytes_take(piece, long_take(piece));
    }
    if (long_take(piece) != 0) {
        piece->state = NW_PIECE_WRONG;
    }
    end = bytes_take(piece, 16);
    if (end != NULL) {
        memcpy(sync, end, 16);
    }
}

enum nw_piece nw_piece_take(struct nw_blocks *blocks, const uint8_t *bytes, size_t size,
                            size_t *taken, uint64_t *rows)
{
    struct piece piece = {.at = bytes, .left = size, .state = NW_PIECE_WHOLE};
    const uint8_t *sync = NULL;

    *rows = 0;
    if (!blocks->begun) {
        header_take(&piece, blocks->sync);
        blocks->begun = piece.state == NW_PIECE_WHOLE;
    } else {
        *rows = long_take(&piece);
        (void)bytes_take(&piece, long_take(&piece));
        sync = bytes_take(&piece, 16);
        if (sync != NULL && (*rows == 0 || memcmp(sync, blocks->sync, 16) != 0)) {
            piece.state = NW_PIECE_WRONG;
        }
    }
    *taken = size - piece.left;
    return piece.state;
}
