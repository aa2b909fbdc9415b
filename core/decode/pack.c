/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a block, or the builder that decoded it, into one piece. Each kind of item is walked twice
 * by the same code: once to count, once to copy.
 */
#include "base/assert.h"
#include "decode/builder_private.h"

struct packer {
    struct nw_item *item; /* NULL: count only */
    size_t size;          /* used so far, header included */
};

static struct packer packer_of(struct nw_item *item)
{
    return (struct packer){
        .item = item,
        .size = nw_item_padded(sizeof *item),
    };
}

/* Space for one array. NULL while counting. */
static void *pack_space(struct packer *packer, size_t size)
{
    uint8_t *at = packer->item == NULL ? NULL : (uint8_t *)packer->item + packer->size;
    size_t padded = nw_item_padded(size);

    if (at != NULL) {
        memset(at + size, 0, padded - size); /* items are spilled as they are */
    }
    packer->size += padded;
    return at;
}

static void *pack_bytes(struct packer *packer, const void *bytes, size_t size)
{
    void *at = pack_space(packer, size);

    if (at != NULL && size > 0) {
        memcpy(at, bytes, size);
    }
    return at;
}

static const char *pack_text(struct packer *packer, const char *text)
{
    return text == NULL ? NULL : pack_bytes(packer, text, strlen(text) + 1);
}

static uint32_t zero_bits(const uint8_t *bits, uint32_t count)
{
    uint32_t ones = 0;
    uint32_t i = 0;

    for (; i + 8 <= (count + 7) / 8; i += 8) {
        uint64_t word;

        memcpy(&word, bits + i, sizeof word);
        ones += (uint32_t)__builtin_popcountll(word);
    }
    for (; i < (count + 7) / 8; i++) {
        ones += (uint32_t)__builtin_popcount(bits[i]);
    }
    return count - ones; /* bits past the last row are zero */
}

/* Where an array of the builder's fixed piece lies in the item. */
static const void *moved(const struct nw_builder *builder, const uint8_t *fixed, const void *at)
{
    return at == NULL ? NULL : fixed + ((const uint8_t *)at - builder->fixed);
}

static void pack_side(struct packer *packer, const struct nw_builder *builder, int s,
                      const uint8_t *fixed, struct nw_array *arrays)
{
    const struct nw_side *side = &builder->side[s];

    for (uint16_t i = 0; side->used && i < builder->fields_count; i++) {
        const struct nw_column *column = &side->columns[i];
        const uint8_t *bytes = NULL;

        if (column->seen == NW_FIELD_UNSEEN) {
            continue;
        }
        if (column->offsets != NULL) {
            bytes = pack_bytes(packer, column->bytes.at, column->bytes.size);
        }
        if (arrays != NULL) {
            arrays[column->seen] = (struct nw_array){
                .validity = moved(builder, fixed, column->validity),
                .values = moved(builder, fixed, column->values),
                .offsets = moved(builder, fixed, column->offsets),
                .bytes = bytes,
                .nulls_count = zero_bits(column->validity, builder->rows_count),
            };
        }
    }
    if (side->used && packer->item != NULL) {
        packer->item->as.batch.image[s] = (struct nw_image){
            .present = moved(builder, fixed, side->present),
            .missing = moved(builder, fixed, side->missing),
            .columns = arrays,
        };
    }
}

static void fill_batch(struct nw_batch *batch, const struct nw_builder *builder,
                       const uint8_t *fixed)
{
    const struct nw_block *block = builder->block;

    batch->size = sizeof *batch;
    batch->flags = block->kind != NW_BLOCK_COPY ? 0
                   : block->upsert              ? NW_BATCH_COPY | NW_BATCH_UPSERT
                                                : NW_BATCH_COPY;
    batch->table = builder->seen;
    batch->epoch = block->epoch;
    batch->rows_count = builder->rows_count;
    batch->generation = block->kind == NW_BLOCK_COPY ? block->generation : 0;
    batch->missing_stride = builder->missing_stride;
    batch->op = moved(builder, fixed, builder->op);
    batch->commit_lsn = moved(builder, fixed, builder->commit_lsn);
    batch->row_lsn = moved(builder, fixed, builder->row_lsn);
    batch->seq = moved(builder, fixed, builder->seq);
    batch->xid = moved(builder, fixed, builder->xid);
    batch->commit_ts = moved(builder, fixed, builder->commit_ts);
    batch->origin_offsets = moved(builder, fixed, builder->origin_offsets);
    batch->exceptions_count = nw_builder_exceptions(builder);
}

static void pack_batch(struct packer *packer, const struct nw_builder *builder)
{
    struct nw_batch *batch = packer->item == NULL ? NULL : &packer->item->as.batch;
    size_t arrays_size = (size_t)builder->seen->columns_count * sizeof(struct nw_array);
    struct nw_array *arrays[2] = {NULL, NULL};
    const uint8_t *fixed = NULL;
    const void *origins = NULL;
    const void *exceptions = NULL;
    const void *exception_bytes = NULL;

    for (int side = 0; side < 2; side++) {
        if (builder->side[side].used) {
            arrays[side] = pack_space(packer, arrays_size);
        }
    }
    fixed = pack_bytes(packer, builder->fixed, builder->fixed_size);
    origins = pack_bytes(packer, builder->origins.at, builder->origins.size);
    exceptions = pack_bytes(packer, builder->exceptions.at, builder->exceptions.size);
    exception_bytes =
        pack_bytes(packer, builder->exception_bytes.at, builder->exception_bytes.size);
    pack_side(packer, builder, NW_BEFORE, fixed, arrays[NW_BEFORE]);
    pack_side(packer, builder, NW_AFTER, fixed, arrays[NW_AFTER]);
    if (batch != NULL) {
        fill_batch(batch, builder, fixed);
        batch->origin_bytes = origins;
        batch->exceptions = exceptions;
        batch->exception_bytes = exception_bytes;
    }
}

static void pack_event(struct packer *packer, const struct nw_block *block)
{
    struct nw_event event = block->event;

    event.size = sizeof event;
    event.epoch = block->epoch;
    event.origin = pack_text(packer, event.origin == NULL ? "" : event.origin);
    event.prefix = pack_text(packer, event.prefix);
    event.tables = event.tables_count == 0
                       ? NULL
                       : pack_bytes(packer, event.tables,
                                    event.tables_count * sizeof(const struct nw_table *));
    event.counts =
        event.counts_count == 0
            ? NULL
            : pack_bytes(packer, event.counts, event.counts_count * sizeof(struct nw_table_count));
    event.content =
        event.content == NULL ? NULL : pack_bytes(packer, event.content, event.content_size);
    if (packer->item != NULL) {
        packer->item->as.event = event;
    }
}

static bool has_rows(const struct nw_block *block)
{
    return block->kind == NW_BLOCK_CHANGES || block->kind == NW_BLOCK_COPY;
}

static enum nw_item_kind item_kind(const struct nw_block *block)
{
    enum nw_item_kind kind = NW_ITEM_BATCH;

    switch (block->kind) {
    case NW_BLOCK_CHANGES:
    case NW_BLOCK_COPY:
        break;
    case NW_BLOCK_EVENT:
        kind = NW_ITEM_EVENT;
        break;
    case NW_BLOCK_COPY_BEGIN:
        kind = NW_ITEM_COPY_BEGIN;
        break;
    case NW_BLOCK_COPY_END:
        kind = NW_ITEM_COPY_END;
        break;
    case NW_BLOCK_EPOCH_END:
        kind = NW_ITEM_EPOCH_END;
        break;
    }
    return kind;
}

static void pack_content(struct packer *packer, const struct nw_builder *builder)
{
    const struct nw_block *block = builder->block;
    struct nw_position position = block->position;

    switch (item_kind(block)) {
    case NW_ITEM_BATCH:
        pack_batch(packer, builder);
        break;
    case NW_ITEM_EVENT:
        pack_event(packer, block);
        break;
    case NW_ITEM_COPY_BEGIN:
    case NW_ITEM_COPY_END:
        if (packer->item != NULL) {
            packer->item->as.mark = block->mark;
        }
        break;
    case NW_ITEM_EPOCH_END:
        position.bytes =
            position.size == 0 ? NULL : pack_bytes(packer, position.bytes, position.size);
        if (packer->item != NULL) {
            packer->item->as.position = position;
        }
        break;
    case NW_ITEM_PACK: /* no block becomes one */
        break;
    }
}

nw_status nw_builder_decode(struct nw_builder *builder, const struct nw_block *block, size_t *size,
                            struct nw_error *err)
{
    struct packer packer = packer_of(NULL);
    nw_status status = NW_OK;

    builder->block = block;
    builder->seen = nw_table_seen(block->table, block->projection);
    builder->rows_count = 0;
    if (has_rows(block)) {
        status = nw_builder_prepare(builder, block, err);
        if (status == NW_OK) {
            status = nw_builder_rows(builder, block, err);
        }
    }
    if (status != NW_OK) {
        return status;
    }
    pack_content(&packer, builder);
    if (packer.size > UINT32_MAX) {
        return nw_fail(err, NW_FATAL, "NW2903 %u rows of %s.%s decode into more than 4 GiB",
                       builder->rows_count, block->table->schema_name, block->table->name);
    }
    *size = packer.size;
    return NW_OK;
}

void nw_builder_pack(struct nw_builder *builder, struct nw_item *item)
{
    const struct nw_block *block = builder->block;
    struct packer packer = packer_of(item);

    memset(item, 0, packer.size);
    item->kind = item_kind(block);
    item->producer = block->producer;
    item->ordinal = block->ordinal;
    item->epoch = block->epoch;
    item->received_ns = block->received_ns;
    item->generation = block->generation;
    item->backlog_oid = block->backlog_oid;
    item->cut = block->cut;
    item->table = builder->seen;
    pack_content(&packer, builder);
    item->size = (uint32_t)packer.size;
    if (item->kind == NW_ITEM_BATCH) {
        nw_builder_trim(builder);
    }
    builder->block = NULL;
}
