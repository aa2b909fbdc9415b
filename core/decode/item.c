/* SPDX-License-Identifier: Apache-2.0 */
/* See item.h. */
#include "decode/item.h"

#include <stddef.h>

struct move {
    uint8_t *to;
    uintptr_t from;
};

static void *moved(const struct move *move, const void *at)
{
    return at == NULL ? NULL : move->to + ((uintptr_t)at - move->from);
}

static void move_batch(const struct move *move, struct nw_batch *batch)
{
    batch->op = moved(move, batch->op);
    batch->commit_lsn = moved(move, batch->commit_lsn);
    batch->row_lsn = moved(move, batch->row_lsn);
    batch->seq = moved(move, batch->seq);
    batch->xid = moved(move, batch->xid);
    batch->commit_ts = moved(move, batch->commit_ts);
    batch->origin_offsets = moved(move, batch->origin_offsets);
    batch->origin_bytes = moved(move, batch->origin_bytes);
    batch->exceptions = moved(move, batch->exceptions);
    batch->exception_bytes = moved(move, batch->exception_bytes);
    for (int side = 0; side < 2; side++) {
        struct nw_image *image = &batch->image[side];
        struct nw_array *columns = moved(move, image->columns);

        image->present = moved(move, image->present);
        image->missing = moved(move, image->missing);
        image->columns = columns;
        for (uint16_t i = 0; columns != NULL && i < batch->table->columns_count; i++) {
            columns[i].validity = moved(move, columns[i].validity);
            columns[i].values = moved(move, columns[i].values);
            columns[i].offsets = moved(move, columns[i].offsets);
            columns[i].bytes = moved(move, columns[i].bytes);
        }
    }
}

void nw_item_relocate(struct nw_item *item, const struct nw_item *former)
{
    struct move move = {.to = (uint8_t *)item, .from = (uintptr_t)former};

    switch (item->kind) {
    case NW_ITEM_BATCH:
        move_batch(&move, &item->as.batch);
        break;
    case NW_ITEM_EVENT:
        item->as.event.origin = moved(&move, item->as.event.origin);
        item->as.event.prefix = moved(&move, item->as.event.prefix);
        item->as.event.content = moved(&move, item->as.event.content);
        item->as.event.tables = moved(&move, item->as.event.tables);
        item->as.event.counts = moved(&move, item->as.event.counts);
        break;
    case NW_ITEM_COPY_BEGIN:
    case NW_ITEM_COPY_END:
        break;
    case NW_ITEM_EPOCH_END:
        item->as.position.bytes = moved(&move, item->as.position.bytes);
        break;
    }
}
