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

#endif
