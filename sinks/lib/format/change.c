/* SPDX-License-Identifier: Apache-2.0 */
/* See change.h. */
#include "lib/format/change.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/print.h"

/* ["COMMIT","LSN"]; of what has no transaction [null,"LSN"] */
static const char *sequence_print(struct nw_change_texts *texts, uint64_t commit_lsn, uint64_t lsn)
{
    uint8_t *at = (uint8_t *)texts->sequence;

    *at++ = '[';
    if (commit_lsn == 0) {
        memcpy(at, "null", 4);
        at += 4;
    } else {
        *at++ = '"';
        at = nw_print_u64(at, commit_lsn);
        *at++ = '"';
    }
    *at++ = ',';
    *at++ = '"';
    at = nw_print_u64(at, lsn);
    *at++ = '"';
    *at++ = ']';
    *at = '\0';
    return texts->sequence;
}

static const char *origin_copy(struct nw_change_texts *texts, const struct nw_batch *batch,
                               size_t row)
{
    size_t size = 0;

    if (batch->origin_offsets != NULL && batch->origin_bytes != NULL) {
        size = (size_t)(batch->origin_offsets[row + 1] - batch->origin_offsets[row]);
    }
    if (size == 0) {
        return NULL;
    }
    size = size < NW_CHANGE_ORIGIN_SIZE ? size : NW_CHANGE_ORIGIN_SIZE - 1;
    memcpy(texts->origin, batch->origin_bytes + batch->origin_offsets[row], size);
    texts->origin[size] = '\0';
    return texts->origin;
}

struct nw_change nw_change_of_row(struct nw_change_texts *texts, const struct nw_batch *batch,
                                  uint32_t row, int64_t now_ns)
{
    const size_t at = (size_t)batch->first_row + row;
    const bool copied = (batch->flags & NW_BATCH_COPY) != 0;
    const uint8_t op = batch->op[at];

    return (struct nw_change){
        .op = copied               ? 'r'
              : op == NW_OP_INSERT ? 'c'
              : op == NW_OP_UPDATE ? 'u'
                                   : 'd',
        .before = nw_batch_has(batch, NW_BEFORE, row),
        .after = nw_batch_has(batch, NW_AFTER, row),
        .snapshot = copied ? "true" : "false",
        .commit_us = copied ? now_ns / 1000 : batch->commit_ts[at],
        .now_ns = now_ns,
        .lsn = batch->row_lsn[at],
        .sequence = sequence_print(texts, copied ? 0 : batch->commit_lsn[at], batch->row_lsn[at]),
        .xid = batch->xid[at],
        .origin = origin_copy(texts, batch, at),
    };
}

struct nw_change nw_change_of_event(struct nw_change_texts *texts, const struct nw_event *event,
                                    int64_t now_ns)
{
    return (struct nw_change){
        .op = event->kind == NW_EVENT_TRUNCATE ? 't' : 'm',
        .snapshot = "false",
        .commit_us = event->commit_lsn == 0 ? now_ns / 1000 : event->commit_ts,
        .now_ns = now_ns,
        .lsn = event->lsn,
        .sequence = sequence_print(texts, event->commit_lsn, event->lsn),
        .xid = event->xid,
        .origin = event->origin,
    };
}

uint32_t nw_change_steps(const struct nw_change *of, bool key_changed,
                         struct nw_change_step steps[static NW_CHANGE_STEPS_MAX])
{
    struct nw_change change = *of;
    uint32_t count = 0;

    if (of->op == 'd' || key_changed) {
        change.op = 'd';
        change.before = true;
        change.after = false;
        steps[count++] = (struct nw_change_step){.key_side = NW_BEFORE, .change = change};
        steps[count++] =
            (struct nw_change_step){.key_side = NW_BEFORE, .change = change, .tombstone = true};
        steps[0].other_key = steps[1].other_key = key_changed ? "__debezium.newkey" : NULL;
    }
    if (of->op != 'd') {
        change = *of;
        change.op = key_changed ? 'c' : of->op;
        change.before = of->before && !key_changed;
        steps[count++] =
            (struct nw_change_step){.key_side = NW_AFTER,
                                    .change = change,
                                    .other_key = key_changed ? "__debezium.oldkey" : NULL};
    }
    return count;
}

void nw_change_order_set(struct nw_change_order *order, uint64_t commit_lsn, uint64_t seq,
                         struct nw_change *change)
{
    if (commit_lsn == 0) {
        return;
    }
    if (order->count == 0 || order->commit_lsn != commit_lsn) {
        order->commit_lsn = commit_lsn;
        order->count = 1;
    } else if (order->seq != seq) {
        order->count++;
    }
    order->seq = seq;
    (void)snprintf(order->transaction, sizeof order->transaction, "%" PRIu32 ":%" PRIu64,
                   change->xid, change->lsn);
    change->transaction = order->transaction;
    change->total_order = (int64_t)seq + 1;
    change->table_order = (int64_t)order->count;
}
