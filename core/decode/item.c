/* SPDX-License-Identifier: Apache-2.0 */
/* See item.h. */
#include "decode/item.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

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

static void move_item(struct nw_item *item, uintptr_t former)
{
    struct move move = {.to = (uint8_t *)item, .from = former};

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
    case NW_ITEM_PACK:
        break;
    case NW_ITEM_EPOCH_END:
        item->as.position.bytes = moved(&move, item->as.position.bytes);
        break;
    }
}

void nw_item_relocate(struct nw_item *item, uintptr_t former)
{
    uint32_t at = NW_PACK_EMPTY;

    if (item->kind != NW_ITEM_PACK) {
        move_item(item, former);
        return;
    }
    for (struct nw_item *one; (one = nw_pack_next(item, &at)) != NULL;) {
        move_item(one, former + (uintptr_t)((uint8_t *)one - (uint8_t *)item));
    }
}

void nw_pack_add(struct nw_item *pack, const struct nw_item *item)
{
    uint8_t *to = (uint8_t *)pack + pack->size;
    size_t padded = nw_item_padded(item->size);

    memcpy(to, item, item->size);
    memset(to + item->size, 0, padded - item->size); /* packs are spilled as they are */
    nw_item_relocate((struct nw_item *)(void *)to, (uintptr_t)item);
    pack->size += (uint32_t)padded;
}

struct nw_item *nw_pack_next(struct nw_item *pack, uint32_t *at)
{
    struct nw_item *item = (struct nw_item *)(void *)((uint8_t *)pack + *at);

    if (*at == pack->size) {
        return NULL;
    }
    NW_ASSERT(*at < pack->size);
    *at += (uint32_t)nw_item_padded(item->size);
    return item;
}
