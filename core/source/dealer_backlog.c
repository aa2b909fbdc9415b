/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables whose changes are kept instead of dealt (backlog.h), and those changes when they are dealt
 * in the end. Positions say of such a table how far it is, so that a sink can tell after a crash
 * what it has of it.
 */
#include <string.h>

#include "base/assert.h"
#include "source/dealer_private.h"

static struct nw_place place_now(const struct nw_dealer *dealer)
{
    return dealer->in_transaction ? (struct nw_place){dealer->begin.commit_lsn, dealer->seq}
                                  : (struct nw_place){.commit_lsn = dealer->state.position_lsn};
}

static struct nw_backlog *backlog_of(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < dealer->backlogs_count; i++) {
        if (dealer->backlogs[i]->relation_oid == relation_oid) {
            return dealer->backlogs[i];
        }
    }
    return NULL;
}

bool nw_dealer_has_backlog(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    return backlog_of(dealer, relation_oid) != NULL;
}

struct nw_backlog *nw_dealer_keeps(struct nw_dealer *dealer, uint32_t relation_oid)
{
    struct nw_backlog *backlog = NULL;

    if (dealer->backlogs_count == 0 || dealer->playing != NULL) {
        return NULL;
    }
    backlog = backlog_of(dealer, relation_oid);
    return backlog == NULL || nw_place_before(place_now(dealer), backlog->from) ? NULL : backlog;
}

bool nw_dealer_keeps_later(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    return dealer->playing == NULL && nw_dealer_has_backlog(dealer, relation_oid);
}

bool nw_dealer_wants_text(const struct nw_dealer *dealer)
{
    bool wants = false;

    for (uint32_t i = 0; i < dealer->backlogs_count; i++) {
        wants = wants || dealer->backlogs[i]->retyped;
    }
    return wants;
}

/* ---- keeping ---- */

bool nw_dealer_give_up(struct nw_dealer *dealer, struct nw_backlog *backlog, const char *reason)
{
    const struct nw_table *table = nw_schemas_find(dealer->options.schemas, backlog->relation_oid);

    if (dealer->stop_waits) {
        return false;
    }
    NW_ASSERT(table != NULL); /* it was followed when it stopped, or when narwal started */
    (void)nw_dealer_stop(dealer, table, "%s", reason);
    dealer->stop.keeps = false;
    dealer->stop.given_up = backlog;
    return true;
}

/* Adds a message of a table at the place under way. */
static nw_status keep(struct nw_dealer *dealer, struct nw_backlog *backlog, uint64_t lsn,
                      struct nw_bytes message, struct nw_error *err)
{
    const struct nw_backlog_change change = {.begin = &dealer->begin,
                                             .origin = dealer->origin,
                                             .seq = dealer->seq,
                                             .lsn = lsn,
                                             .message = message};
    nw_status status = NW_OK;

    if (!dealer->in_transaction) {
        return NW_OK; /* what the server had said before; the backlog begins with that */
    }
    if (dealer->cut > 0) {
        (void)nw_dealer_give_up(dealer, backlog,
                                "NW2108 a row of it is more than limits.memory has room for");
        return NW_AGAIN;
    }
    status = nw_backlog_keep(backlog, &change, err);
    if (status == NW_REJECT) {
        (void)nw_dealer_give_up(dealer, backlog, err->text);
        return NW_AGAIN;
    }
    return status;
}

nw_status nw_dealer_keep(struct nw_dealer *dealer, struct nw_backlog *backlog, uint64_t lsn,
                         struct nw_bytes message, struct nw_error *err)
{
    nw_status status = keep(dealer, backlog, lsn, message, err);

    if (status == NW_OK) {
        dealer->state.rows_kept++;
        nw_dealer_change_done(dealer);
    }
    return status;
}

nw_status nw_dealer_keep_aside(struct nw_dealer *dealer, struct nw_backlog *backlog,
                               struct nw_bytes message, struct nw_error *err)
{
    return keep(dealer, backlog, dealer->begin.commit_lsn, message, err);
}

nw_status nw_dealer_keep_truncate(struct nw_dealer *dealer, struct nw_backlog *backlog,
                                  uint64_t lsn, uint32_t flags, struct nw_error *err)
{
    uint32_t oid = backlog->relation_oid;
    const uint8_t message[] = {'T',
                               0,
                               0,
                               0,
                               1,
                               (uint8_t)flags,
                               (uint8_t)(oid >> 24),
                               (uint8_t)(oid >> 16),
                               (uint8_t)(oid >> 8),
                               (uint8_t)oid};

    return keep(dealer, backlog, lsn, (struct nw_bytes){message, sizeof message}, err);
}

nw_status nw_dealer_keep_commit(struct nw_dealer *dealer, const struct nw_pgoutput_commit *commit,
                                struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < dealer->backlogs_count && status == NW_OK; i++) {
        status = nw_backlog_commit(dealer->backlogs[i], commit, err);
        if (status == NW_REJECT) {
            (void)nw_dealer_give_up(dealer, dealer->backlogs[i], err->text);
            status = NW_AGAIN;
        }
    }
    return status;
}

/* ---- which tables ---- */

void nw_dealer_backlog(struct nw_dealer *dealer, struct nw_backlog *backlog)
{
    NW_ASSERT(dealer->backlogs_count < NW_BEHIND_MAX);
    dealer->backlogs[dealer->backlogs_count++] = backlog;
    dealer->last_oid = 0;
}

/* What comes of the table is kept no more. */
static void backlog_end(struct nw_dealer *dealer, const struct nw_backlog *backlog)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < dealer->backlogs_count; i++) {
        if (dealer->backlogs[i] != backlog) {
            dealer->backlogs[kept++] = dealer->backlogs[i];
        }
    }
    dealer->backlogs_count = kept;
}

nw_status nw_dealer_pause(struct nw_dealer *dealer, uint32_t relation_oid, struct nw_error *err)
{
    const struct nw_table *table = nw_schemas_find(dealer->options.schemas, relation_oid);

    (void)err;
    if (dealer->stop_waits || dealer->relation_waits || !dealer->state.between ||
        dealer->state.position_lsn == 0) { /* the stream has not begun */
        return NW_AGAIN;
    }
    if (table == NULL || nw_dealer_has_backlog(dealer, relation_oid)) {
        return NW_OK; /* it is gone, or paused or stopped meanwhile */
    }
    (void)nw_dealer_stop(dealer, table, "NW2117 a user paused it");
    dealer->stop.paused = true;
    return NW_OK;
}

void nw_dealer_behind(const struct nw_dealer *dealer, struct nw_behind_list *list)
{
    list->count = dealer->backlogs_count;
    for (uint32_t i = 0; i < dealer->backlogs_count; i++) {
        const struct nw_backlog *backlog = dealer->backlogs[i];
        const struct nw_dealt *dealt = &backlog->dealt;
        struct nw_place place = {.commit_lsn = dealt->done_lsn + 1};

        if (dealt->partial_lsn > dealt->done_lsn) {
            place = (struct nw_place){dealt->partial_lsn, dealt->partial_seq};
        }
        list->tables[i] = (struct nw_behind){
            backlog->relation_oid, nw_place_before(place, backlog->from) ? backlog->from : place};
    }
}

/* ---- dealing what was kept ---- */

nw_status nw_dealer_play_begin(struct nw_dealer *dealer, struct nw_backlog *backlog,
                               struct nw_error *err)
{
    nw_status status = dealer->stop_waits || dealer->relation_waits || !dealer->state.between
                           ? NW_AGAIN
                           : nw_dealer_flush(dealer, err);

    if (status == NW_OK) {
        dealer->stream_dealt = dealer->dealt;
        dealer->dealt = backlog->dealt;
        dealer->playing = backlog;
        dealer->state.between = false;
        dealer->last_oid = 0;
    }
    return status;
}

static nw_status message_play(struct nw_dealer *dealer, const struct nw_backlog_record *record,
                              int64_t now_ns, struct nw_error *err)
{
    if (!dealer->in_transaction) {
        return nw_dealer_resume(dealer, record->message, err);
    }
    dealer->seq = record->seq;
    return nw_dealer_take(dealer, record->lsn, now_ns, record->message, err);
}

nw_status nw_dealer_play(struct nw_dealer *dealer, const struct nw_backlog_record *record,
                         int64_t now_ns, struct nw_error *err)
{
    nw_status status = NW_OK;

    NW_ASSERT(dealer->playing != NULL);
    dealer->now_ns = now_ns;
    switch (record->kind) {
    case 'B':
        status = nw_dealer_begin(dealer, &record->begin, err);
        if (status == NW_OK && record->origin.size > 0) {
            memcpy(dealer->origin, record->origin.at, record->origin.size);
            dealer->origin[record->origin.size] = '\0';
        }
        break;
    case 'M':
        status = message_play(dealer, record, now_ns, err);
        break;
    case 'C':
        status = nw_dealer_commit(dealer, &record->commit, err);
        break;
    case 'R': /* if one is open it comes again, and what was dealt of it is passed over */
        nw_dealer_transaction_over(dealer);
        break;
    default:
        break;
    }
    return status;
}

/* The stream goes on where it was left. */
static void stream_return(struct nw_dealer *dealer)
{
    dealer->playing->dealt = dealer->dealt;
    dealer->dealt = dealer->stream_dealt;
    dealer->playing = NULL;
    dealer->last_oid = 0;
    dealer->relation_read = 0;
    nw_dealer_transaction_over(dealer);
}

bool nw_dealer_play_is_whole(const struct nw_dealer *dealer)
{
    return dealer->dealt.partial_lsn <= dealer->dealt.done_lsn;
}

nw_status nw_dealer_play_end(struct nw_dealer *dealer, bool whole, int64_t now_ns,
                             struct nw_error *err)
{
    struct nw_backlog *backlog = dealer->playing;
    nw_status status = nw_dealer_flush(dealer, err);

    NW_ASSERT(!dealer->in_transaction && !dealer->relation_waits);
    if (status != NW_OK) {
        return status;
    }
    stream_return(dealer);
    if (whole) {
        backlog_end(dealer, backlog);
        dealer->state.epoch_rows++; /* its end says that the table is not behind any more */
        if (dealer->state.epoch_first_ns == 0) {
            dealer->state.epoch_first_ns = now_ns;
        }
    }
    return NW_OK;
}

void nw_dealer_backlog_given_up(struct nw_dealer *dealer, struct nw_backlog *backlog)
{
    if (dealer->playing == backlog) {
        dealer->relation_waits = false;
        stream_return(dealer);
    }
    backlog_end(dealer, backlog);
    backlog->state = NW_BACKLOG_GIVEN_UP;
}

void nw_dealer_backlog_forget(struct nw_dealer *dealer, uint32_t relation_oid)
{
    struct nw_backlog *backlog = backlog_of(dealer, relation_oid);

    if (backlog != NULL) {
        nw_dealer_backlog_given_up(dealer, backlog);
    }
}

nw_status nw_dealer_forget(struct nw_dealer *dealer, uint32_t relation_oid)
{
    if (dealer->stop_waits || dealer->playing != NULL) {
        return NW_AGAIN;
    }
    nw_dealer_backlog_forget(dealer, relation_oid);
    nw_dealer_refresh(dealer);
    return NW_OK;
}
