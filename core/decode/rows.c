/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a block, raw, into the columns of a builder. See builder.h for the formats. */
#include "base/assert.h"
#include "decode/builder_private.h"

/* The row being decoded, for those who have to name it. */
struct row {
    struct nw_builder *builder;
    const struct nw_table *table;
    uint32_t index;
    uint64_t lsn;
    struct nw_error *err;
};

/* Which tuple of a message is read. */
struct image {
    int side;
    bool key;                   /* only the replica identity was sent: the rest is missing */
    const struct nw_field *old; /* the row's old image, to fill unchanged values from */
    struct nw_field *keep;      /* remember the fields there */
};

static void set_bit(uint8_t *bits, uint32_t index)
{
    bits[index >> 3] |= (uint8_t)(1u << (index & 7u));
}

static nw_status corrupt(const struct row *row, const char *what)
{
    return nw_fail(row->err, NW_CORRUPT, "malformed row of %s.%s at LSN %X/%X: %s",
                   row->table->schema_name, row->table->name, (unsigned)(row->lsn >> 32),
                   (unsigned)row->lsn, what);
}

/* The column of the source's table that a field of this block is of. */
static const struct nw_column_schema *column_of(const struct row *row, uint16_t field)
{
    const struct nw_block *block = row->builder->block;
    const struct nw_projection *projection = block->projection;

    if (projection != NULL) {
        int wire = block->kind == NW_BLOCK_COPY ? NW_WIRE_COPY : NW_WIRE_CHANGES;

        field = projection->fields[wire][field].column;
    }
    return &row->table->columns[field];
}

static nw_status corrupt_value(const struct row *row, uint16_t field, const char *what)
{
    const struct nw_column_schema *column = column_of(row, field);

    return nw_fail(row->err, NW_CORRUPT, "malformed row of %s.%s at LSN %X/%X: column %s (%s) %s",
                   row->table->schema_name, row->table->name, (unsigned)(row->lsn >> 32),
                   (unsigned)row->lsn, column->name, column->type_name, what);
}

static nw_status out_of_memory(const struct row *row)
{
    return nw_fail(row->err, NW_FATAL, "out of memory for a row of %s.%s at LSN %X/%X",
                   row->table->schema_name, row->table->name, (unsigned)(row->lsn >> 32),
                   (unsigned)row->lsn);
}

/* A slot without a value; all others are valid from the beginning. Variable-width columns still
 * need its end. */
static void skip_value(struct nw_column *column, uint32_t row)
{
    column->validity[row >> 3] &= (uint8_t) ~(1u << (row & 7u));
    if (column->offsets != NULL) {
        column->offsets[row + 1] = (int32_t)column->bytes.size;
    }
}

static void miss_value(struct nw_builder *builder, int side, uint32_t row, uint16_t field)
{
    uint8_t *missing = builder->side[side].missing + (size_t)row * builder->missing_stride;
    struct nw_column *column = &builder->side[side].columns[field];

    if (column->seen != NW_FIELD_UNSEEN) {
        set_bit(missing, column->seen);
    }
    skip_value(column, row);
}

/* Where the texts of all exceptions so far end. */
static uint32_t exceptions_end(const struct nw_builder *builder)
{
    struct nw_exception last = {0};

    if (builder->exceptions.size >= sizeof last) {
        memcpy(&last, builder->exceptions.at + builder->exceptions.size - sizeof last, sizeof last);
    }
    return last.offset + last.size;
}

/* The value has no exact form; its text is the last in exception_bytes. */
static nw_status except_value(const struct row *row, int side, uint16_t field)
{
    struct nw_builder *builder = row->builder;
    uint32_t offset = exceptions_end(builder);
    struct nw_exception exception = {
        .row = row->index,
        .column = builder->side[side].columns[field].seen,
        .side = (uint8_t)side,
        .offset = offset,
        .size = builder->exception_bytes.size - offset,
    };

    skip_value(&builder->side[side].columns[field], row->index);
    return nw_buffer_append(&builder->exceptions, &exception, sizeof exception)
               ? NW_OK
               : out_of_memory(row);
}

/* What to do about a value that was not simply decoded. */
static nw_status odd_value(const struct row *row, int side, uint16_t c, enum nw_decoded decoded)
{
    switch (decoded) {
    case NW_DECODED:
        break;
    case NW_DECODED_EXCEPTION:
        return except_value(row, side, c);
    case NW_DECODED_MALFORMED:
        return corrupt_value(row, c, "has a value that its type cannot have");
    case NW_DECODED_NO_MEMORY:
        return out_of_memory(row);
    }
    return NW_OK;
}

static nw_status put_value(const struct row *row, int side, uint16_t c, nw_decode_fn decode,
                           struct nw_bytes value)
{
    struct nw_column *column = &row->builder->side[side].columns[c];
    enum nw_decoded decoded = decode(column, row->index, value.at, (uint32_t)value.size);

    return decoded == NW_DECODED ? NW_OK : odd_value(row, side, c, decoded);
}

/* A field of any kind. An unchanged value is taken from the old image where that has it. */
static nw_status put_field(const struct row *row, int side, uint16_t c,
                           const struct nw_field *field, const struct nw_field *old)
{
    struct nw_column *column = &row->builder->side[side].columns[c];

    switch (field->kind) {
    case 't':
        return put_value(row, side, c, column->text, field->value);
    case 'b':
        if (column->binary == NULL) {
            return corrupt_value(row, c, "came in a binary format that narwal does not decode");
        }
        return put_value(row, side, c, column->binary, field->value);
    case 'n':
        skip_value(column, row->index);
        return NW_OK;
    case 'u':
        if (old != NULL && old[c].kind != 'u') {
            return put_field(row, side, c, &old[c], NULL);
        }
        miss_value(row->builder, side, row->index, c);
        return NW_OK;
    default:
        return corrupt_value(row, c, "has a value of an unknown kind");
    }
}

static inline struct nw_field read_field(struct nw_cursor *message)
{
    struct nw_field field = {.kind = nw_cursor_u8(message)};

    if (__builtin_expect(field.kind == 't' || field.kind == 'b', 1)) {
        field.value = nw_cursor_bytes(message, nw_cursor_u32be(message));
    }
    return field;
}

static nw_status check_count(const struct row *row, const struct nw_cursor *message, uint16_t count)
{
    if (message->failed) {
        return corrupt(row, "it ends early");
    }
    if (count != row->builder->fields_count) {
        return nw_fail(row->err, NW_CORRUPT,
                       "malformed row of %s.%s at LSN %X/%X: it has %u columns, the table has %u",
                       row->table->schema_name, row->table->name, (unsigned)(row->lsn >> 32),
                       (unsigned)row->lsn, count, row->builder->fields_count);
    }
    return NW_OK;
}

/* A field that is not simply a value, or has to be remembered. */
static nw_status read_odd_field(const struct row *row, const struct image *image, uint16_t c,
                                struct nw_cursor *message)
{
    struct nw_field field = read_field(message);

    if (message->failed) {
        return corrupt(row, "it ends early");
    }
    if (image->key && field.kind == 'n' && !row->table->columns[c].identity) {
        field.kind = 'u';
    }
    if (image->keep != NULL) {
        image->keep[c] = field;
    }
    return put_field(row, image->side, c, &field, image->old);
}

/* The function that decodes a field of this kind, when it is a value and nothing special. */
static inline nw_decode_fn decoder_of(const struct nw_column *column, uint8_t kind)
{
    return kind == 'b' ? column->binary : kind == 't' ? column->text : NULL;
}

/* One TupleData; plain: nothing of it has to be kept. Inlined, for that is known where it is
 * called.
 */
static inline __attribute__((always_inline)) nw_status
read_tuple(const struct row *row, struct nw_cursor *message, const struct image *image, bool plain)
{
    struct nw_column *columns = row->builder->side[image->side].columns;
    uint16_t count = nw_cursor_u16be(message);
    nw_status status = check_count(row, message, count);
    /* A copy, so that it stays in registers. */
    struct nw_cursor rest = nw_cursor_of(message->at, message->left);
    uint32_t index = row->index;

    for (uint16_t c = 0; status == NW_OK && c < count; c++) {
        struct nw_cursor ahead = rest;
        nw_decode_fn decode = decoder_of(&columns[c], nw_cursor_u8(&ahead));
        struct nw_bytes value = nw_cursor_bytes(&ahead, nw_cursor_u32be(&ahead));

        if (__builtin_expect(plain && decode != NULL && !ahead.failed, 1)) {
            enum nw_decoded decoded = decode(&columns[c], index, value.at, (uint32_t)value.size);

            rest = ahead;
            if (__builtin_expect(decoded != NW_DECODED, 0)) {
                status = odd_value(row, image->side, c, decoded);
            }
        } else {
            struct nw_cursor odd = rest; /* only a copy leaves the registers */

            status = read_odd_field(row, image, c, &odd);
            rest = odd;
        }
    }
    if (status == NW_OK) {
        set_bit(row->builder->side[image->side].present, index);
    }
    message->at = rest.at; /* one by one: copied whole it would go through memory */
    message->left = rest.left;
    message->failed = rest.failed;
    return status;
}

/* This row has no such image, others of the block have. */
static void skip_image(struct nw_builder *builder, int s, uint32_t row)
{
    struct nw_side *side = &builder->side[s];

    for (uint16_t c = 0; side->used && c < builder->fields_count; c++) {
        skip_value(&side->columns[c], row);
    }
}

static nw_status read_change(const struct row *row, struct nw_cursor *message, char op)
{
    struct nw_builder *builder = row->builder;
    const struct nw_field *old = NULL;
    nw_status status = NW_OK;
    uint8_t part = nw_cursor_u8(message);

    if (op != NW_OP_INSERT && (part == 'K' || part == 'O')) {
        const struct image image = {.side = NW_BEFORE, .key = part == 'K', .keep = builder->old};

        status = read_tuple(row, message, &image, false);
        old = builder->old;
        if (status != NW_OK) {
            return status;
        }
        part = op == NW_OP_UPDATE ? nw_cursor_u8(message) : 0;
    } else if (op == NW_OP_DELETE) {
        return corrupt(row, "a delete without the old row");
    } else {
        skip_image(builder, NW_BEFORE, row->index);
    }
    if (op == NW_OP_DELETE) {
        skip_image(builder, NW_AFTER, row->index);
    } else if (part != 'N') {
        return corrupt(row, message->failed ? "it ends early" : "the new row does not follow");
    } else {
        status = read_tuple(row, message, &(struct image){.side = NW_AFTER, .old = old}, true);
    }
    return status;
}

bool nw_fields_read(const struct nw_builder *builder, struct nw_cursor *message, bool key,
                    struct nw_field *fields)
{
    uint16_t count = nw_cursor_u16be(message);

    if (message->failed || count != builder->fields_count) {
        return false;
    }
    for (uint16_t c = 0; c < count && !message->failed; c++) {
        fields[c] = read_field(message);
        if (key && fields[c].kind == 'n' && !builder->block->table->columns[c].identity) {
            fields[c].kind = 'u';
        }
    }
    return !message->failed;
}

/*
 * An update whose row crosses the filter: it is an insert or a delete for sinks, and what it was,
 * or became, on the other side is read, but not shown. It has an old image, or it could not cross.
 */
static nw_status read_crossing(const struct row *row, struct nw_cursor *message, char op)
{
    struct nw_builder *builder = row->builder;
    bool key = nw_cursor_u8(message) == 'K';
    struct image image = {.side = NW_BEFORE, .key = key, .keep = builder->old};
    nw_status status = NW_OK;

    if (op == NW_OP_DELETE) {
        skip_image(builder, NW_AFTER, row->index);
        status = read_tuple(row, message, &image, false);
        if (status == NW_OK && (nw_cursor_u8(message) != 'N' ||
                                !nw_fields_read(builder, message, false, builder->fresh))) {
            status = corrupt(row, "the new row does not follow");
        }
        return status;
    }
    skip_image(builder, NW_BEFORE, row->index);
    if (!nw_fields_read(builder, message, key, builder->old) || nw_cursor_u8(message) != 'N') {
        return corrupt(row, "the new row does not follow");
    }
    image = (struct image){.side = NW_AFTER, .old = builder->old};
    return read_tuple(row, message, &image, true);
}

/* What narwal does not decode in binary, it asked for as text. */
static inline nw_decode_fn copied_decoder(const struct nw_column *column)
{
    return column->binary != NULL ? column->binary : column->text;
}

/* One tuple of COPY BINARY. Inlined: its loop keeps more in registers so. */
static inline __attribute__((always_inline)) nw_status read_copied(const struct row *row,
                                                                   struct nw_cursor *message)
{
    struct nw_side *side = &row->builder->side[NW_AFTER];
    struct nw_column *columns = side->columns;
    uint32_t index = row->index;
    uint16_t count = nw_cursor_u16be(message);
    nw_status status = check_count(row, message, count);
    /* A copy, so that it stays in registers. */
    struct nw_cursor rest = nw_cursor_of(message->at, message->left);

    for (uint16_t c = 0; status == NW_OK && c < count; c++) {
        struct nw_column *column = &columns[c];
        uint32_t size = nw_cursor_u32be(&rest);
        const uint8_t *at = NULL;
        enum nw_decoded decoded = NW_DECODED;

        /* Each look at once, so that the next one need not ask whether an earlier one failed. */
        if (__builtin_expect(rest.failed, 0)) {
            return corrupt(row, "it ends early");
        }
        if (size == UINT32_MAX) {
            skip_value(column, index);
            continue;
        }
        at = nw_cursor_take(&rest, size);
        if (__builtin_expect(rest.failed, 0)) {
            return corrupt(row, "it ends early");
        }
        decoded = copied_decoder(column)(column, index, at, size);
        if (__builtin_expect(decoded != NW_DECODED, 0)) {
            status = odd_value(row, NW_AFTER, c, decoded);
        }
    }
    message->at = rest.at;
    message->left = rest.left;
    message->failed = rest.failed;
    if (status == NW_OK) {
        set_bit(side->present, index);
    }
    return status;
}

bool nw_fields_read_copied(const struct nw_builder *builder, struct nw_cursor *message,
                           struct nw_field *fields)
{
    uint16_t count = nw_cursor_u16be(message);

    if (message->failed || count != builder->fields_count) {
        return false;
    }
    for (uint16_t c = 0; c < count && !message->failed; c++) {
        uint32_t size = nw_cursor_u32be(message);

        fields[c] = (struct nw_field){.kind = size == UINT32_MAX ? 'n' : 'b'};
        if (size != UINT32_MAX) {
            fields[c].value = nw_cursor_bytes(message, size);
        }
    }
    return !message->failed;
}

/* The frame of a row. */
static inline const struct nw_frame *frame_at(const struct nw_builder *builder,
                                              const struct nw_block *block, uint32_t row)
{
    return &block->frames[builder->selected == NULL ? row : builder->selected[row].frame];
}

/* What the rows of a copy share; op and seq differ from it in nothing. */
static void fill_copied(struct nw_builder *builder, const struct nw_block *block)
{
    /* Local, or storing an op would count as a change of the builder itself. */
    const struct nw_selected *selected = builder->selected;
    uint64_t *commit_lsn = builder->commit_lsn;
    uint64_t *row_lsn = builder->row_lsn;
    uint64_t *seq = builder->seq;
    uint32_t count = builder->rows_count;

    memset(builder->op, NW_OP_INSERT, count);
    for (uint32_t i = 0; i < count; i++) {
        commit_lsn[i] = block->fence_lsn;
        row_lsn[i] = block->fence_lsn;
        seq[i] = block->frames[selected == NULL ? i : selected[i].frame].seq;
    }
}

static bool fill_changes(struct nw_builder *builder, const struct nw_block *block)
{
    const struct nw_builder to = *builder; /* its pointers, which no store here can change */
    const struct nw_transaction *transaction = NULL;
    const char *origin = "";
    size_t origin_size = 0;

    for (uint32_t i = 0; i < to.rows_count; i++) {
        const struct nw_frame *frame = frame_at(&to, block, i);

        if (transaction != &block->transactions[frame->transaction]) {
            NW_ASSERT(frame->transaction < block->transactions_count);
            transaction = &block->transactions[frame->transaction];
            origin = block->names_size == 0 ? "" : block->names + transaction->origin;
            origin_size = strlen(origin);
        }
        to.op[i] = (uint8_t)(to.selected == NULL ? frame->op : to.selected[i].op);
        to.commit_lsn[i] = transaction->commit_lsn;
        to.row_lsn[i] = frame->row_lsn;
        to.seq[i] = frame->seq;
        to.xid[i] = transaction->xid;
        to.commit_ts[i] = transaction->commit_ts;
        if (origin_size > 0 && !nw_buffer_append(&builder->origins, origin, origin_size)) {
            return false;
        }
        to.origin_offsets[i + 1] = (int32_t)builder->origins.size;
    }
    return true;
}

/* The bytes of a frame's row. */
static inline struct nw_cursor row_cursor(const struct nw_block *block,
                                          const struct nw_frame *frame)
{
    NW_ASSERT(frame->offset <= block->bytes_size &&
              frame->size <= block->bytes_size - frame->offset);
    return nw_cursor_of(block->bytes + frame->offset, frame->size);
}

/*
 * Every row of a block of changes, as it is; below, of a copy. Apart from each other and from the
 * rows of a filter, for these have to be fast.
 */
static nw_status read_changes(struct row *row, const struct nw_block *block)
{
    uint32_t count = row->builder->rows_count;

    for (uint32_t i = 0; i < count; i++) {
        const struct nw_frame *frame = &block->frames[i];
        struct nw_cursor message = row_cursor(block, frame);
        nw_status status = NW_OK;

        row->index = i;
        row->lsn = frame->row_lsn;
        status = read_change(row, &message, frame->op);
        if (status == NW_OK && !nw_cursor_done(&message)) {
            status = corrupt(row, "bytes follow its end");
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

static nw_status read_copy(struct row *row, const struct nw_block *block)
{
    uint32_t count = row->builder->rows_count;

    row->lsn = block->fence_lsn;
    for (uint32_t i = 0; i < count; i++) {
        struct nw_cursor message = row_cursor(block, &block->frames[i]);
        nw_status status = NW_OK;

        row->index = i;
        status = read_copied(row, &message);
        if (status == NW_OK && !nw_cursor_done(&message)) {
            status = corrupt(row, "bytes follow its end");
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

/* The rows that the table's filter keeps; it has looked at their ends. */
static nw_status read_selected(struct row *row, const struct nw_block *block)
{
    const struct nw_builder *builder = row->builder;

    for (uint32_t i = 0; i < builder->rows_count; i++) {
        const struct nw_frame *frame = frame_at(builder, block, i);
        struct nw_cursor message = row_cursor(block, frame);
        char op = builder->selected[i].op;
        nw_status status = NW_OK;

        row->index = i;
        row->lsn = block->kind == NW_BLOCK_COPY ? block->fence_lsn : frame->row_lsn;
        if (block->kind == NW_BLOCK_COPY) {
            status = read_copied(row, &message);
        } else if (op == frame->op) {
            status = read_change(row, &message, op);
        } else {
            status = read_crossing(row, &message, op);
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

nw_status nw_builder_rows(struct nw_builder *builder, const struct nw_block *block,
                          struct nw_error *err)
{
    struct row row = {.builder = builder, .table = block->table, .err = err};
    bool copied = block->kind == NW_BLOCK_COPY;
    nw_status status = builder->selected != NULL ? read_selected(&row, block)
                       : copied                  ? read_copy(&row, block)
                                                 : read_changes(&row, block);

    if (status != NW_OK) {
        return status;
    }
    if (copied) {
        fill_copied(builder, block);
    } else if (!fill_changes(builder, block)) {
        return out_of_memory(&row);
    }
    return NW_OK;
}
