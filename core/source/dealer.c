/* SPDX-License-Identifier: Apache-2.0 */
/* See dealer.h. All state belongs to the stream source's thread. */
#include "source/dealer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "source/dealer_private.h"

nw_status nw_dealer_create(const struct nw_dealer_options *options, struct nw_dealer **dealer,
                           struct nw_error *err)
{
    struct nw_dealer *made = calloc(1, sizeof *made);

    if (made != NULL) {
        made->relation = calloc(1, sizeof *made->relation);
    }
    if (made == NULL || made->relation == NULL || nw_notes_create(&made->notes, err) != NW_OK) {
        free(made == NULL ? NULL : made->relation);
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for the dealer");
    }
    made->options = *options;
    made->state.epoch = 1;
    made->state.between = true;
    *dealer = made;
    return NW_OK;
}

void nw_dealer_destroy(struct nw_dealer *dealer)
{
    if (dealer == NULL) {
        return;
    }
    for (uint32_t i = 0; i < dealer->open_count; i++) {
        nw_producer_put(dealer->options.producer, dealer->slots[dealer->open_ids[i]].open);
    }
    free(dealer->slots);
    free(dealer->open_ids);
    free(dealer->touched_ids);
    free(dealer->relation_bytes);
    nw_notes_destroy(dealer->notes);
    nw_dealer_drops_free(dealer);
    free(dealer->relation);
    free(dealer);
}

/* Something was dealt of a transaction whose commit was not received yet. */
static bool half_dealt(const struct nw_dealer *dealer)
{
    return dealer->dealt.partial_lsn > dealer->dealt.done_lsn ||
           dealer->dealt.begun_lsn > dealer->dealt.done_lsn || dealer->truncates_done > 0;
}

void nw_dealer_transaction_over(struct nw_dealer *dealer)
{
    dealer->in_transaction = false;
    dealer->origin[0] = '\0';
    /* A transaction that broke off half dealt must end in the epoch that has its first half. */
    dealer->state.between = !half_dealt(dealer) && dealer->playing == NULL;
}

void nw_dealer_reconnected(struct nw_dealer *dealer)
{
    if (dealer->playing != NULL) {
        return; /* what is being dealt does not come from there */
    }
    nw_dealer_transaction_over(dealer);
    dealer->relation_waits = false;
    dealer->relation_read = 0;
    /* What the stream says of a stop it says again. */
    dealer->stop_waits = dealer->stop_waits && (dealer->stop.dropped || dealer->stop.paused ||
                                                dealer->stop.given_up != NULL);
}

void nw_dealer_state(const struct nw_dealer *dealer, struct nw_dealer_state *state)
{
    *state = dealer->state;
    state->tables = nw_schemas_count(dealer->options.schemas);
}

void nw_dealer_advance(struct nw_dealer *dealer, uint64_t lsn)
{
    if (dealer->state.between && lsn > dealer->state.position_lsn) {
        dealer->state.position_lsn = lsn;
    }
}

const struct nw_relation *nw_dealer_unknown(const struct nw_dealer *dealer)
{
    return dealer->relation_waits ? dealer->relation : NULL;
}

uint32_t nw_dealer_unknown_xid(const struct nw_dealer *dealer)
{
    return dealer->in_transaction ? dealer->begin.xid : 0;
}

nw_status nw_dealer_flush(struct nw_dealer *dealer, struct nw_error *err)
{
    (void)err;
    if (dealer->open_count == 0) {
        return NW_OK;
    }
    if (nw_producer_room(dealer->options.producer) < dealer->open_count) {
        return NW_AGAIN;
    }
    for (uint32_t i = 0; i < dealer->open_count; i++) {
        struct nw_slot *slot = &dealer->slots[dealer->open_ids[i]];

        slot->open->cut = i + 1 == dealer->open_count;
        nw_producer_deal(dealer->options.producer, slot->open);
        slot->open = NULL;
    }
    dealer->open_count = 0;
    dealer->state.oldest_open_ns = 0;
    return NW_OK;
}

/* Whether the change with the current seq was dealt before the connection broke. */
bool nw_dealer_dealt_before(const struct nw_dealer *dealer)
{
    uint64_t lsn = dealer->begin.commit_lsn;

    return lsn <= dealer->dealt.done_lsn ||
           (lsn == dealer->dealt.partial_lsn && dealer->seq < dealer->dealt.partial_seq);
}

void nw_dealer_change_done(struct nw_dealer *dealer)
{
    dealer->seq++;
    if (dealer->begin.commit_lsn > dealer->dealt.done_lsn &&
        (dealer->dealt.partial_lsn != dealer->begin.commit_lsn ||
         dealer->dealt.partial_seq < dealer->seq)) {
        dealer->dealt.partial_lsn = dealer->begin.commit_lsn;
        dealer->dealt.partial_seq = dealer->seq;
    }
}

void nw_dealer_dealt(struct nw_dealer *dealer, uint64_t commit_lsn, uint64_t seq)
{
    dealer->dealt.partial_lsn = commit_lsn;
    dealer->dealt.partial_seq = seq;
    dealer->dealt.begun_lsn = dealer->options.transactions ? commit_lsn : 0;
    nw_dealer_transaction_over(dealer);
}

nw_status nw_dealer_begin(struct nw_dealer *dealer, const struct nw_pgoutput_begin *begin,
                          struct nw_error *err)
{
    if (dealer->in_transaction) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: transaction %u begins inside transaction %u",
                       begin->xid, dealer->begin.xid);
    }
    dealer->begin = *begin;
    dealer->in_transaction = true;
    dealer->state.between = false;
    dealer->serial++;
    dealer->touched_count = 0;
    dealer->seq = 0;
    return NW_OK;
}

/* Says what a transaction changed. */
static void committed_tell(struct nw_dealer *dealer, const struct nw_pgoutput_commit *commit)
{
    struct nw_dealer_committed what = {.commit_lsn = commit->commit_lsn,
                                       .end_lsn = commit->end_lsn,
                                       .commit_ts = commit->commit_ts,
                                       .xid = dealer->begin.xid,
                                       .tables_count = dealer->touched_count};

    if (dealer->options.committed == NULL || what.tables_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < what.tables_count && i < NW_COMMITTED_TABLES_MAX; i++) {
        const struct nw_slot *slot = &dealer->slots[dealer->touched_ids[i]];

        what.tables[i] = (struct nw_table_count){slot->table, slot->rows};
    }
    dealer->options.committed(dealer->options.context, &what);
}

nw_status nw_dealer_commit(struct nw_dealer *dealer, const struct nw_pgoutput_commit *commit,
                           struct nw_error *err)
{
    if (!dealer->in_transaction || commit->commit_lsn != dealer->begin.commit_lsn) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a commit at %X/%X that has no begin",
                       (uint32_t)(commit->commit_lsn >> 32), (uint32_t)commit->commit_lsn);
    }
    if (dealer->playing == NULL) {
        nw_status status = nw_dealer_keep_commit(dealer, commit, err);

        if (status != NW_OK) {
            return status;
        }
    }
    if (dealer->dealt.begun_lsn == commit->commit_lsn &&
        commit->commit_lsn > dealer->dealt.done_lsn) {
        nw_status status =
            nw_dealer_transaction_event(dealer, NW_EVENT_COMMIT, commit->end_lsn, err);

        if (status != NW_OK) {
            return status;
        }
    }
    if (commit->commit_lsn > dealer->dealt.done_lsn) {
        committed_tell(dealer, commit);
        dealer->dealt.done_lsn = commit->commit_lsn;
        dealer->state.transactions += dealer->playing == NULL;
        dealer->state.last_commit_ts =
            dealer->playing == NULL ? commit->commit_ts : dealer->state.last_commit_ts;
    }
    nw_dealer_transaction_over(dealer);
    nw_dealer_advance(dealer, commit->end_lsn);
    return NW_OK;
}

/* The index in the block of the current transaction. */
static nw_status block_transaction(struct nw_dealer *dealer, struct nw_slot *slot, uint16_t *index,
                                   struct nw_error *err)
{
    struct nw_block *block = slot->open;
    struct nw_transaction *transaction = NULL;
    size_t name_size = strlen(dealer->origin) + 1;

    if (slot->open_transaction == dealer->serial) {
        *index = (uint16_t)(block->transactions_count - 1);
        return NW_OK;
    }
    transaction = &block->transactions[block->transactions_count];
    *transaction = (struct nw_transaction){.commit_lsn = dealer->begin.commit_lsn,
                                           .commit_ts = dealer->begin.commit_ts,
                                           .xid = dealer->begin.xid};
    if (name_size > 1) {
        if (name_size > block->names_capacity - block->names_size) {
            uint32_t capacity = (block->names_capacity + (uint32_t)name_size) * 2;
            char *names = realloc(block->names, capacity);

            if (names == NULL) {
                return nw_fail(err, NW_FATAL, "out of memory for origin names");
            }
            block->names = names;
            block->names_capacity = capacity;
        }
        transaction->origin = block->names_size;
        memcpy(block->names + block->names_size, dealer->origin, name_size);
        block->names_size += (uint32_t)name_size;
    }
    *index = (uint16_t)block->transactions_count++;
    slot->open_transaction = dealer->serial;
    return NW_OK;
}

static nw_status block_open(struct nw_dealer *dealer, struct nw_slot *slot, int64_t now_ns,
                            struct nw_error *err)
{
    struct nw_block *block = nw_producer_take(dealer->options.producer);

    if (block == NULL) {
        /* All are in use, some of them open here: let those go. */
        nw_status status = nw_dealer_flush(dealer, err);

        return status == NW_OK ? NW_AGAIN : status;
    }
    block->kind = NW_BLOCK_CHANGES;
    block->backlog_oid = dealer->playing == NULL ? 0 : dealer->playing->relation_oid;
    block->table = slot->table;
    block->projection = slot->projection;
    block->epoch = dealer->state.epoch;
    block->received_ns = now_ns;
    slot->open = block;
    slot->open_transaction = 0;
    dealer->open_ids[dealer->open_count++] = slot->table->id;
    if (dealer->state.oldest_open_ns == 0) {
        dealer->state.oldest_open_ns = now_ns;
    }
    if (dealer->state.epoch_first_ns == 0) {
        dealer->state.epoch_first_ns = now_ns;
    }
    return NW_OK;
}

/* Makes sure that the table has an open block with room for one more row of this size. */
static nw_status block_ready(struct nw_dealer *dealer, struct nw_slot *slot, size_t size,
                             int64_t now_ns, struct nw_error *err)
{
    struct nw_block *block = slot->open;

    if (block != NULL && (block->frames_count == NW_BLOCK_ROWS_MAX ||
                          block->transactions_count == NW_BLOCK_ROWS_MAX ||
                          (block->frames_count > 0 && block->bytes_size + size > NW_BLOCK_BYTES))) {
        nw_status status = nw_dealer_flush(dealer, err);

        if (status != NW_OK) {
            return status;
        }
    }
    return slot->open != NULL ? NW_OK : block_open(dealer, slot, now_ns, err);
}

/* Whether a row did not come whole, or is more than may be held. */
static bool is_too_large(const struct nw_dealer *dealer, size_t size)
{
    uint64_t most = dealer->options.row_bytes_max;

    return dealer->cut > 0 || (most != 0 && size > most);
}

/* @param kept  for all sinks: it is not dealt */
static nw_status row_keep(struct nw_dealer *dealer, uint32_t oid, uint64_t lsn,
                          struct nw_bytes message, bool *kept, struct nw_error *err)
{
    nw_status status = nw_dealer_keep(dealer, oid, lsn, message, err);

    *kept = status == NW_OK && nw_dealer_keeps(dealer, oid);
    if (*kept) {
        dealer->state.rows_kept++;
        nw_dealer_change_done(dealer);
    }
    return status;
}

/* Whether a row of this table is to be dealt now; it is counted as one of its transaction. */
static bool is_to_deal(struct nw_dealer *dealer, struct nw_slot *slot)
{
    if (!slot->wanted || dealer->begin.commit_lsn < slot->joins_lsn) {
        dealer->state.rows_left_out += slot->stopped;
        return false;
    }
    nw_dealer_touch(dealer, slot);
    if (nw_dealer_dealt_before(dealer)) {
        slot->rows++;
        return false;
    }
    return true;
}

static nw_status row_take(struct nw_dealer *dealer, uint64_t lsn, int64_t now_ns,
                          struct nw_bytes message, struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    char op = (char)nw_cursor_u8(&cursor);
    uint32_t oid = nw_cursor_u32be(&cursor);
    nw_status status = NW_OK;
    struct nw_slot *slot = NULL;
    struct nw_frame *frame = NULL;
    uint16_t transaction = 0;
    bool kept = false;

    if (cursor.failed || !dealer->in_transaction) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a row %s at %X/%X",
                       cursor.failed ? "ends early" : "outside any transaction",
                       (uint32_t)(lsn >> 32), (uint32_t)lsn);
    }
    status = row_keep(dealer, oid, lsn, message, &kept, err);
    if (status != NW_OK || kept) {
        return status;
    }
    slot = nw_dealer_slot(dealer, oid, &status, err);
    if (slot == NULL) {
        return status;
    }
    if (!is_to_deal(dealer, slot)) {
        nw_dealer_change_done(dealer);
        return NW_OK;
    }
    if (is_too_large(dealer, cursor.left)) {
        return nw_dealer_too_large(dealer, slot, cursor.left + dealer->cut);
    }
    status = nw_dealer_announce(dealer, slot, err);
    if (status == NW_OK) {
        status = block_ready(dealer, slot, cursor.left, now_ns, err);
    }
    if (status == NW_OK) {
        status = block_transaction(dealer, slot, &transaction, err);
    }
    if (status != NW_OK) {
        return status;
    }
    frame = &slot->open->frames[slot->open->frames_count];
    if (!nw_block_append(slot->open, cursor.at, cursor.left, &frame->offset)) {
        return nw_fail(err, NW_FATAL, "out of memory for a row of %s.%s (%zu bytes)",
                       slot->table->schema_name, slot->table->name, cursor.left);
    }
    frame->size = (uint32_t)cursor.left;
    frame->row_lsn = lsn;
    frame->seq = (uint32_t)dealer->seq;
    frame->transaction = transaction;
    frame->op = op;
    slot->open->frames_count++;
    slot->rows++;
    dealer->state.rows++;
    dealer->state.epoch_rows++;
    dealer->state.bytes += cursor.left;
    dealer->state.epoch_bytes += cursor.left;
    nw_dealer_change_done(dealer);
    return NW_OK;
}

static nw_status origin_take(struct nw_dealer *dealer, struct nw_bytes message,
                             struct nw_error *err)
{
    const char *name = NULL;
    nw_status status = nw_pgoutput_origin_parse(message, &name, err);

    if (status == NW_OK && strlen(name) >= sizeof dealer->origin) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: an origin's name has %zu bytes", strlen(name));
    }
    if (status == NW_OK) {
        memcpy(dealer->origin, name, strlen(name) + 1);
    }
    return status;
}

nw_status nw_dealer_take_cut(struct nw_dealer *dealer, uint64_t lsn, int64_t now_ns,
                             struct nw_bytes message, size_t cut, struct nw_error *err)
{
    char type = message.size == 0 ? '\0' : (char)message.at[0];
    nw_status status = NW_OK;

    if (type != 'I' && type != 'U' && type != 'D') {
        return nw_fail(
            err, NW_FATAL,
            "NW2517 pgoutput: a message of type '%c' at %X/%X has %zu bytes, and limits.memory "
            "has no room for it: raise it",
            type, (uint32_t)(lsn >> 32), (uint32_t)lsn, message.size + cut);
    }
    dealer->cut = cut;
    status = nw_dealer_take(dealer, lsn, now_ns, message, err);
    dealer->cut = 0;
    return status;
}

nw_status nw_dealer_take(struct nw_dealer *dealer, uint64_t lsn, int64_t now_ns,
                         struct nw_bytes message, struct nw_error *err)
{
    struct nw_pgoutput_begin begin = {0};
    struct nw_pgoutput_commit commit = {0};
    nw_status status = NW_OK;

    dealer->now_ns = now_ns;
    if (dealer->stop_waits) {
        return NW_AGAIN;
    }
    switch (message.size == 0 ? 0 : (char)message.at[0]) {
    case 'I':
    case 'U':
    case 'D':
        return row_take(dealer, lsn, now_ns, message, err);
    case 'B':
        status = nw_pgoutput_begin_parse(message, &begin, err);
        return status == NW_OK ? nw_dealer_begin(dealer, &begin, err) : status;
    case 'C':
        status = nw_pgoutput_commit_parse(message, &commit, err);
        return status == NW_OK ? nw_dealer_commit(dealer, &commit, err) : status;
    case 'R':
        return dealer->relation_waits ? NW_AGAIN : nw_dealer_relation(dealer, message, err);
    case 'Y': /* a type's name; the catalog read has it with all else */
        return NW_OK;
    case 'T':
        return nw_dealer_truncate(dealer, lsn, message, err);
    case 'M':
        return nw_dealer_message(dealer, message, err);
    case 'O':
        return origin_take(dealer, message, err);
    case 'b':
    case 'P':
    case 'K':
    case 'r':
    case 'p':
        return nw_fail(
            err, NW_FATAL,
            "NW1214 the slot has two_phase on: an acknowledged PREPARE would never be sent "
            "again. Drop the slot and let narwal make it");
    default:
        return nw_fail(err, NW_CORRUPT, "pgoutput: a message of unknown type 0x%02x at %X/%X",
                       message.size == 0 ? 0u : message.at[0], (uint32_t)(lsn >> 32),
                       (uint32_t)lsn);
    }
}
