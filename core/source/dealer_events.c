/* SPDX-License-Identifier: Apache-2.0 */
/* What the dealer deals beside rows: events and the ends of epochs, each in a block of its own. */
#include <string.h>

#include "base/assert.h"
#include "pg/ddl_trigger.h"
#include "source/dealer_private.h"

/* An empty block for an event, behind everything received before it. */
nw_status nw_dealer_event_open(struct nw_dealer *dealer, enum nw_block_kind kind,
                               struct nw_block **block, struct nw_error *err)
{
    nw_status status = nw_dealer_flush(dealer, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_producer_room(dealer->options.producer) == 0) {
        return NW_AGAIN;
    }
    *block = nw_producer_take(dealer->options.producer);
    if (*block == NULL) {
        return NW_AGAIN;
    }
    (*block)->kind = kind;
    (*block)->epoch = dealer->state.epoch;
    (*block)->backlog_oid = dealer->playing == NULL ? 0 : dealer->playing->relation_oid;
    (*block)->cut = true;
    return NW_OK;
}

/* Copies a text or bytes into an event block that has room for it. */
const void *nw_dealer_event_copy(struct nw_block *block, const void *bytes, size_t size)
{
    uint8_t *at = block->bytes + block->bytes_size;

    NW_ASSERT(size <= block->bytes_capacity - block->bytes_size);
    if (size > 0) {
        memcpy(at, bytes, size);
    }
    block->bytes_size += (uint32_t)size;
    return at;
}

void nw_dealer_event_fill(const struct nw_dealer *dealer, struct nw_block *block,
                          enum nw_event_kind kind, uint64_t lsn)
{
    bool inside = dealer->in_transaction;

    block->event = (struct nw_event){
        .size = sizeof block->event,
        .kind = kind,
        .epoch = dealer->state.epoch,
        .lsn = lsn,
        .commit_lsn = inside ? dealer->begin.commit_lsn : 0,
        .commit_ts = inside ? dealer->begin.commit_ts : 0,
        .xid = inside ? dealer->begin.xid : 0,
        .seq = inside ? dealer->seq : 0,
        .prefix = "",
        .origin = nw_dealer_event_copy(block, dealer->origin, strlen(dealer->origin) + 1),
    };
}

void nw_dealer_event_deal(struct nw_dealer *dealer, struct nw_block *block)
{
    block->received_ns = dealer->now_ns;
    if (dealer->state.epoch_first_ns == 0) {
        dealer->state.epoch_first_ns = dealer->now_ns;
    }
    dealer->state.epoch_rows++;
    nw_producer_deal(dealer->options.producer, block);
}

/* The begin or commit event of the current transaction, for sinks that want it. */
nw_status nw_dealer_transaction_event(struct nw_dealer *dealer, enum nw_event_kind kind,
                                      uint64_t end_lsn, struct nw_error *err)
{
    uint32_t ids = dealer->touched_count;
    struct nw_block *block = NULL;
    uint32_t counts_count = 0;
    nw_status status = nw_dealer_event_open(dealer, NW_BLOCK_EVENT, &block, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_block_reserve(block, NW_ORIGIN_SIZE + ids * sizeof(struct nw_table_count)) == NULL) {
        nw_producer_put(dealer->options.producer, block);
        return nw_fail(err, NW_FATAL, "out of memory for a transaction event");
    }
    for (uint32_t i = 0; i < ids && kind == NW_EVENT_COMMIT; i++) {
        const struct nw_slot *slot = &dealer->slots[dealer->touched_ids[i]];

        if (slot->rows > 0) {
            const struct nw_table *seen = nw_table_seen(slot->table, slot->projection);

            (void)nw_dealer_event_copy(block, &(struct nw_table_count){seen, slot->rows},
                                       sizeof(struct nw_table_count));
            counts_count++;
        }
    }
    nw_dealer_event_fill(dealer, block, kind, dealer->begin.commit_lsn);
    block->event.commit_end_lsn = end_lsn;
    block->event.counts = (const struct nw_table_count *)(const void *)block->bytes;
    block->event.counts_count = counts_count;
    nw_dealer_event_deal(dealer, block);
    return NW_OK;
}

/* An event about one table. */
static nw_status table_event_deal(struct nw_dealer *dealer, const struct nw_slot *slot,
                                  enum nw_event_kind kind, uint64_t lsn, uint32_t flags,
                                  struct nw_error *err)
{
    const struct nw_table *seen = nw_table_seen(slot->table, slot->projection);
    struct nw_block *block = NULL;
    nw_status status = nw_dealer_event_open(dealer, NW_BLOCK_EVENT, &block, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_block_reserve(block, NW_ORIGIN_SIZE + sizeof seen) == NULL) {
        nw_producer_put(dealer->options.producer, block);
        return nw_fail(err, NW_FATAL, "out of memory for an event of a table");
    }
    (void)nw_dealer_event_copy(block, &seen, sizeof seen);
    nw_dealer_event_fill(dealer, block, kind, lsn);
    block->event.flags = flags;
    block->event.tables = (const struct nw_table *const *)(const void *)block->bytes;
    block->event.tables_count = 1;
    nw_dealer_event_deal(dealer, block);
    return NW_OK;
}

/* The event of a table's new version, before the first change that has it. */
static nw_status slot_announce(struct nw_dealer *dealer, struct nw_slot *slot, struct nw_error *err)
{
    nw_status status =
        table_event_deal(dealer, slot, NW_EVENT_SCHEMA, dealer->state.position_lsn, 0, err);

    slot->announce = status != NW_OK;
    return status;
}

/*
 * What a sink must hear before a change: that its transaction begins, and the new version of its
 * table (NULL: it has none). Returns NW_AGAIN until all of it is dealt.
 */
nw_status nw_dealer_announce(struct nw_dealer *dealer, struct nw_slot *slot, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (dealer->options.transactions && dealer->dealt.begun_lsn != dealer->begin.commit_lsn) {
        status = nw_dealer_transaction_event(dealer, NW_EVENT_BEGIN, 0, err);
        if (status == NW_OK) {
            dealer->dealt.begun_lsn = dealer->begin.commit_lsn;
        }
    }
    return status == NW_OK && slot != NULL && slot->announce ? slot_announce(dealer, slot, err)
                                                             : status;
}

/* Whether sinks hear that the table of a slot was emptied. */
static bool truncate_applies(const struct nw_dealer *dealer, const struct nw_slot *slot)
{
    return slot != NULL && slot->wanted && slot->policy.truncate != NW_RULE_KEEP &&
           dealer->begin.commit_lsn >= slot->joins_lsn;
}

/* The slot of a table that a truncate is about; NULL: it is kept for later, or *status says why. */
static struct nw_slot *truncated(struct nw_dealer *dealer, uint32_t oid, nw_status *status,
                                 struct nw_error *err)
{
    return nw_dealer_keeps(dealer, oid) ? NULL : nw_dealer_slot(dealer, oid, status, err);
}

/* What of a truncate is about tables whose changes are kept. */
static nw_status truncate_keep(struct nw_dealer *dealer, uint64_t lsn,
                               const struct nw_pgoutput_truncate *truncate, struct nw_error *err)
{
    struct nw_cursor relations = nw_cursor_of(truncate->relations.at, truncate->relations.size);
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < truncate->relations_count && status == NW_OK; i++) {
        status =
            nw_dealer_keep_truncate(dealer, nw_cursor_u32be(&relations), lsn, truncate->flags, err);
    }
    return status;
}

/* The transaction under way changes what a truncate is about. */
static nw_status truncate_touch(struct nw_dealer *dealer,
                                const struct nw_pgoutput_truncate *truncate, struct nw_error *err)
{
    struct nw_cursor relations = nw_cursor_of(truncate->relations.at, truncate->relations.size);
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < truncate->relations_count && status == NW_OK; i++) {
        struct nw_slot *slot = truncated(dealer, nw_cursor_u32be(&relations), &status, err);

        if (truncate_applies(dealer, slot)) {
            nw_dealer_touch(dealer, slot);
        }
    }
    return status;
}

/* Announces what a truncate is about. */
static nw_status truncate_announce(struct nw_dealer *dealer,
                                   const struct nw_pgoutput_truncate *truncate,
                                   struct nw_error *err)
{
    struct nw_cursor relations = nw_cursor_of(truncate->relations.at, truncate->relations.size);
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < truncate->relations_count && status == NW_OK; i++) {
        struct nw_slot *slot = truncated(dealer, nw_cursor_u32be(&relations), &status, err);

        if (truncate_applies(dealer, slot) && slot->policy.truncate == NW_RULE_STOP &&
            !nw_dealer_keeps_later(dealer, slot->table->relation_oid)) {
            return nw_dealer_stop(dealer, slot->table,
                                  "NW2102 it was truncated, and tables.truncate is stop");
        }
        if (truncate_applies(dealer, slot)) {
            status = nw_dealer_announce(dealer, slot, err);
        }
    }
    return status;
}

nw_status nw_dealer_truncate(struct nw_dealer *dealer, uint64_t lsn, struct nw_bytes message,
                             struct nw_error *err)
{
    struct nw_pgoutput_truncate truncate = {0};
    struct nw_cursor relations = {0};
    nw_status status = nw_pgoutput_truncate_parse(message, &truncate, err);

    if (status != NW_OK) {
        return status;
    }
    status = truncate_keep(dealer, lsn, &truncate, err);
    if (status != NW_OK) {
        return status;
    }
    status = truncate_touch(dealer, &truncate, err);
    if (status != NW_OK) {
        return status;
    }
    if (nw_dealer_dealt_before(dealer)) {
        nw_dealer_change_done(dealer);
        return NW_OK;
    }
    status = truncate_announce(dealer, &truncate, err);
    relations = nw_cursor_of(truncate.relations.at, truncate.relations.size);
    for (uint32_t i = 0; i < truncate.relations_count && status == NW_OK; i++) {
        struct nw_slot *slot = truncated(dealer, nw_cursor_u32be(&relations), &status, err);

        if (i < dealer->truncates_done || !truncate_applies(dealer, slot)) {
            continue;
        }
        /* One event for each table: a sink may have to hold it back while it gets the others'. */
        status = table_event_deal(dealer, slot, NW_EVENT_TRUNCATE, lsn, truncate.flags, err);
        dealer->truncates_done = status == NW_OK ? i + 1 : dealer->truncates_done;
    }
    if (status == NW_OK) {
        dealer->truncates_done = 0;
        nw_dealer_change_done(dealer);
    }
    return status;
}

/* A message of narwal's own: sinks do not get it. */
static nw_status note_take(struct nw_dealer *dealer, struct nw_bytes bytes,
                           const struct nw_pgoutput_message *message, struct nw_error *err)
{
    nw_status status = nw_dealer_note(dealer, bytes, message, err);

    if (status == NW_OK) {
        nw_dealer_change_done(dealer);
    }
    return status;
}

nw_status nw_dealer_message(struct nw_dealer *dealer, struct nw_bytes bytes, struct nw_error *err)
{
    struct nw_pgoutput_message message = {0};
    struct nw_block *block = NULL;
    size_t prefix_size = 0;
    nw_status status = nw_pgoutput_message_parse(bytes, &message, err);

    if (status != NW_OK) {
        return status;
    }
    /* A message's LSN is where its record ends: at the position it is complete. */
    if (message.transactional ? nw_dealer_dealt_before(dealer)
                              : message.lsn <= dealer->state.position_lsn) {
        if (message.transactional) {
            nw_dealer_change_done(dealer);
        }
        return NW_OK;
    }
    if (message.transactional && strcmp(message.prefix, NW_DDL_PREFIX) == 0) {
        return note_take(dealer, bytes, &message, err);
    }
    if (message.transactional) {
        status = nw_dealer_announce(dealer, NULL, err);
    }
    if (status == NW_OK) {
        status = nw_dealer_event_open(dealer, NW_BLOCK_EVENT, &block, err);
    }
    if (status != NW_OK) {
        return status;
    }
    prefix_size = strlen(message.prefix) + 1;
    if (nw_block_reserve(block, NW_ORIGIN_SIZE + prefix_size + message.content.size) == NULL) {
        nw_producer_put(dealer->options.producer, block);
        return nw_fail(err, NW_FATAL, "out of memory for a logical message of %zu bytes",
                       message.content.size);
    }
    nw_dealer_event_fill(dealer, block, NW_EVENT_MESSAGE, message.lsn);
    block->event.flags = message.transactional ? 1 : 0;
    block->event.prefix = nw_dealer_event_copy(block, message.prefix, prefix_size);
    block->event.content = nw_dealer_event_copy(block, message.content.at, message.content.size);
    block->event.content_size = (uint32_t)message.content.size;
    nw_dealer_event_deal(dealer, block);
    if (message.transactional) {
        nw_dealer_change_done(dealer);
    } else {
        /*
         * It comes outside of commit order. Where it ends the next record may begin, and that may
         * be a commit: one byte more, and the server would skip that transaction.
         */
        nw_dealer_advance(dealer, message.lsn);
    }
    return NW_OK;
}

nw_status nw_dealer_end_epoch(struct nw_dealer *dealer, bool with_position, int64_t now_ns,
                              uint64_t *lsn, struct nw_error *err)
{
    struct nw_dealer_state *state = &dealer->state;
    struct nw_behind_list behind;
    struct nw_block *block = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(state->between && dealer->playing == NULL);
    status = nw_dealer_event_open(dealer, NW_BLOCK_EPOCH_END, &block, err);
    if (status != NW_OK) {
        return status;
    }
    block->position = (struct nw_position){.lsn = with_position ? state->position_lsn : 0};
    if (with_position) {
        if (nw_block_reserve(block, NW_POSITION_BYTES_MAX) == NULL) {
            nw_producer_put(dealer->options.producer, block);
            return nw_fail(err, NW_FATAL, "out of memory for a position");
        }
        nw_dealer_behind(dealer, &behind);
        block->position.size =
            nw_position_pack(&dealer->options.identity, state->position_lsn, &behind, block->bytes);
        block->position.bytes = block->bytes;
        block->bytes_size = block->position.size;
    }
    block->received_ns = now_ns;
    nw_producer_deal(dealer->options.producer, block);
    *lsn = state->position_lsn;
    state->epoch_lsn = with_position ? state->position_lsn : state->epoch_lsn;
    state->epoch++;
    state->epoch_rows = 0;
    state->epoch_bytes = 0;
    state->epoch_first_ns = 0;
    return NW_OK;
}
