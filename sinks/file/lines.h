/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of data files, read to see whether they are sound and in order; docs/files.md says what
 * they are. Functions without state.
 */
#ifndef NW_SINKS_FILE_LINES_H
#define NW_SINKS_FILE_LINES_H

#include "state.h"

/** What a line says of its change. */
struct nw_line {
    enum nw_data_form form;
    char op; /* as it is written; 0 in flattened rows, which say nothing of their change */
    bool has_after;
    uint64_t commit_lsn;
    uint64_t within; /* place in the transaction: seq; in Debezium's forms the LSN, several have */
};

/** @return false: it is no line of that form. */
bool nw_line_parse(enum nw_data_form form, const uint8_t *bytes, size_t size, struct nw_line *line);
/** Whether its op has the image that it has to have. */
bool nw_line_image_right(const struct nw_line *line);
/** Whether a change may come after another one of its table. */
bool nw_line_follows(const struct nw_line *former, const struct nw_line *line);

/** A file in Avro while it is read. */
struct nw_blocks {
    bool begun; /* its header is behind us */
    uint8_t sync[16];
};

enum nw_piece { NW_PIECE_WHOLE, NW_PIECE_CUT, NW_PIECE_WRONG };

/**
 * Look at the header of a file in Avro, or at a block, as avro.c writes them.
 * @param size   of what was read and not yet looked at
 * @param taken  filled when it is whole: its bytes
 * @param rows   the same: rows in it
 */
enum nw_piece nw_piece_take(struct nw_blocks *blocks, const uint8_t *bytes, size_t size,
                            size_t *taken, uint64_t *rows);

#endif
