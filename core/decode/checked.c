/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that nobody has checked. PostgreSQL guarantees that text is valid in the database's
 * encoding, but not in a database of encoding SQL_ASCII, and not for what the output functions of
 * types that narwal does not know print. Arrow's text has to be UTF-8: a value that is not becomes
 * an exception, with its bytes.
 */
#include "base/utf8.h"
#include "decode/column.h"

/* A value that was appended to the column's bytes from `start` on. */
static enum nw_decoded check(struct nw_column *column, uint32_t start, enum nw_decoded decoded)
{
    const uint8_t *text = NULL;
    uint32_t size = 0;

    if (decoded != NW_DECODED) {
        return decoded; /* perhaps before there was any memory to append to */
    }
    text = column->bytes.at + start;
    size = column->bytes.size - start;
    if (nw_utf8_is_valid(text, size)) {
        return NW_DECODED;
    }
    column->bytes.size = start;
    return nw_decoded_exception(column, text, size);
}

static enum nw_decoded checked_text(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    uint32_t start = column->bytes.size;

    return check(column, start, column->unchecked_text(column, row, at, size));
}

static enum nw_decoded checked_binary(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    uint32_t start = column->bytes.size;

    return check(column, start, column->unchecked_binary(column, row, at, size));
}

void nw_column_check_text(struct nw_column *column)
{
    column->unchecked_text = column->text;
    column->text = checked_text;
    column->unchecked_binary = column->binary;
    column->binary = column->binary == NULL ? NULL : checked_binary;
}
