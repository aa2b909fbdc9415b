/* SPDX-License-Identifier: Apache-2.0 */
/* What builder.c, rows.c and pack.c share of a builder. */
#ifndef NW_DECODE_BUILDER_PRIVATE_H
#define NW_DECODE_BUILDER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cursor.h"
#include "decode/buffer.h"
#include "decode/builder.h"
#include "decode/column.h"

/** A field of an old image, kept while its row is decoded. */
struct nw_field {
    uint8_t kind; /* n t b u, or 0: not sent */
    struct nw_bytes value;
};

/** A row that the table's filter keeps. */
struct nw_selected {
    uint32_t frame;
    char op; /* what it is for sinks: an update that crosses the filter is an insert or delete */
};

/** One image of all rows. */
struct nw_side {
    bool used; /* some row has this image; else nothing below is laid out */
    uint8_t *present;
    uint8_t *missing;
    struct nw_column *columns; /* columns_capacity of them, in the order of the fields */
};

struct nw_builder {
    const struct nw_block *block; /* what is decoded; borrow */
    const struct nw_table *seen;  /* what sinks see of the block's table; borrow */
    uint16_t fields_count;        /* of a tuple */
    uint32_t rows_count;          /* 0: the block carries no rows, or none that are kept */
    uint32_t missing_stride;
    uint32_t columns_capacity;
    bool laying_out; /* fixed_take() only counts */

    uint8_t *fixed;
    size_t fixed_size, fixed_capacity;
    uint8_t *op;
    uint64_t *commit_lsn, *row_lsn, *seq;
    uint32_t *xid;
    int64_t *commit_ts;
    int32_t *origin_offsets;
    struct nw_side side[2];

    struct nw_field *old;   /* one row's old image, to fill unchanged values from */
    struct nw_field *fresh; /* one row's new image, for the filter */

    const struct nw_selected *selected;    /* one for each row; NULL: all frames, as they are */
    struct nw_selection *selection;        /* select.c's own; NULL until a table has a filter */
    struct nw_buffer scratch;              /* the text of a value that is masked */
    uint8_t unseen[NW_BLOCK_ROWS_MAX / 8]; /* validity of what is not seen; never looked at */

    struct nw_buffer origins;
    struct nw_buffer exceptions; /* struct nw_exception */
    struct nw_buffer exception_bytes;
    uint64_t bytes_kept; /* capacity of all columns' buffers */
};

/* builder.c: lay out memory for a block of rows; free what is too large to keep. */
NW_MUST_CHECK nw_status nw_builder_prepare(struct nw_builder *builder, const struct nw_block *block,
                                           struct nw_error *err);
void nw_builder_trim(struct nw_builder *builder);

/* rows.c: read the fields of a TupleData, or of a tuple of COPY, without decoding them. */
NW_MUST_CHECK bool nw_fields_read(const struct nw_builder *builder, struct nw_cursor *message,
                                  bool key, struct nw_field *fields);
NW_MUST_CHECK bool nw_fields_read_copied(const struct nw_builder *builder,
                                         struct nw_cursor *message, struct nw_field *fields);

/* select.c: find the rows that the filter of the block's table keeps. */
NW_MUST_CHECK nw_status nw_builder_select(struct nw_builder *builder, struct nw_error *err);
void nw_selection_destroy(struct nw_selection *selection); /* NULL is fine */

/* rows.c: decode all rows of a block that was prepared. */
NW_MUST_CHECK nw_status nw_builder_rows(struct nw_builder *builder, const struct nw_block *block,
                                        struct nw_error *err);

#endif
