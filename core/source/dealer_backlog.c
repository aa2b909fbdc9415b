/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables whose changes are kept instead of dealt (backlog.h), and those changes when they are dealt
 * in the end. Positions say of such a table how far it is, so that a sink can tell after a crash
 * what it has of it.
 */
#include <string.h>

#include "base/assert.h"
#include "source/dealer_private.h"

struct nw_place nw_dealer_place(const struct nw_dealer *dealer)
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

struct nw_backlog *nw_dealer_backlog_apart(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    struct nw_backlog *backlog = backlog_of(dealer, relation_oid);

    return backlog != NULL && backlog->sinks != 0 ? backlog : NULL;
}

/* The backlog that a change of this table, at the place under way, belongs to; NULL: to none. */
static struct nw_backlog *backlog_now(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    struct nw_backlog *backlog = NULL;

    if (dealer->backlogs_count == 0 || dealer->playing != NULL) {
        return NULL;
    }
    backlog = backlog_of(dealer, relation_oid);
    return backlog == NULL || nw_place_before(nw_dealer_place(dealer), backlog->from) ? NULL
                                                                                      : backlog;
}

bool nw_dealer_keeps(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    const struct nw_backlog *backlog = backlog_now(dealer, relation_oid);

    return backlog != NULL && backlog->sinks == 0;
}

bool nw_dealer_keeps_later(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    const struct nw_backlog *backlog =
        dealer->playing != NULL ? NULL : backlog_of(dealer, relation_oid);

    return backlog != NULL && backlog->sinks == 0;
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

    struct nw_error ignored;

    if (dealer->stop_waits ||
        (dealer->playing == backlog && nw_dealer_flush(dealer, &ignored) != NW_OK)) {
        return false;
    }
    NW_ASSERT(table != NULL); /* it was followed when it stopped, or when narwal started */
    (void)nw_dealer_stop(dealer, table, "%s", reason);
    dealer->stop.keeps = false;
    dealer->stop.sinks = backlog->sinks;
    dealer->stop.given_up = backlog;
    return true;
}

/* What is kept for some sinks begins, with the version that is in force. */
static nw_status apart_begin(struct nw_dealer *dealer, const struct nw_apart *apart)
{
    const struct nw_table *table = nw_schemas_find(dealer->options.schemas, apart->relation_oid);

    if (table == NULL) {
        return NW_OK; /* what comes first is what it is */
    }
    (void)nw_dealer_stop(dealer, table, "NW2101 a sink refused rows of it");
    dealer->stop.sinks = apart->sinks;
    dealer->stop.again = false;
    /* Nothing came of it between: so it has all that any sink lacks that may refuse it later. */
    dealer->stop.place = (struct nw_place){.commit_lsn = apart->from_lsn};
    return NW_AGAIN;
}

/* Its place in the list; the count: it is not there. */
static uint32_t apart_at(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    uint32_t at = 0;

    while (at < dealer->aparts_count && dealer->aparts[at].relation_oid != relation_oid) {
        at++;
    }
    return at;
}

static struct nw_apart *apart_of(struct nw_dealer *dealer, uint32_t relation_oid)
{
    uint32_t at = apart_at(dealer, relation_oid);

    return at == dealer->aparts_count ? NULL : &dealer->aparts[at];
}

bool nw_dealer_was_apart(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < dealer->apart_oids_count; i++) {
        if (dealer->apart_oids[i] == relation_oid) {
            return true;
        }
    }
    return false;
}

static void apart_note(struct nw_dealer *dealer, uint32_t relation_oid)
{
    if (!nw_dealer_was_apart(dealer, relation_oid)) {
        NW_ASSERT(dealer->apart_oids_count < NW_BEHIND_MAX);
        dealer->apart_oids[dealer->apart_oids_count++] = relation_oid;
    }
}

static void apart_end(struct nw_dealer *dealer, struct nw_apart *apart)
{
    *apart = dealer->aparts[--dealer->aparts_count];
}

void nw_dealer_apart(struct nw_dealer *dealer, const struct nw_apart *apart)
{
    NW_ASSERT(dealer->aparts_count < NW_BEHIND_MAX);
    dealer->aparts[dealer->aparts_count++] = *apart;
    apart_note(dealer, apart->relation_oid);
}

nw_status nw_dealer_apart_begin(struct nw_dealer *dealer, uint32_t relation_oid)
{
    const struct nw_apart *apart = apart_of(dealer, relation_oid);

    if (apart == NULL) {
        return NW_OK;
    }
    if (dealer->stop_waits || dealer->relation_waits || !dealer->state.between ||
        dealer->state.position_lsn < apart->from_lsn) {
        return NW_AGAIN;
    }
    return apart_begin(dealer, apart);
}

void nw_dealer_apart_begun(struct nw_dealer *dealer, const struct nw_dealer_stop *stop,
                           struct nw_backlog *backlog)
{
    struct nw_apart *apart = apart_of(dealer, stop->table->relation_oid);

    NW_ASSERT(apart != NULL);
    apart_end(dealer, apart);
    if (backlog != NULL) {
        backlog->sinks = stop->sinks;
        backlog->version = (struct nw_dealt_version){.table = stop->table, .announce = true};
        nw_dealer_backlog(dealer, backlog);
    }
}

/* Adds a message of a table at the place under way. */
static nw_status keep(struct nw_dealer *dealer, struct nw_backlog *backlog, uint64_t lsn,
                      struct nw_bytes message, struct nw_error *err)
{
    const struct nw_backlog_change change = {
        .begin = dealer->in_transaction ? &dealer->begin : NULL, /* what a spool begins with */
        .origin = dealer->origin,
        .place = nw_dealer_place(dealer),
        .lsn = lsn,
        .message = message};
    nw_status status = NW_OK;

    if (dealer->cut > 0 && !nw_place_before(change.place, backlog->from)) {
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

nw_status nw_dealer_keep(struct nw_dealer *dealer, uint32_t relation_oid, uint64_t lsn,
                         struct nw_bytes message, struct nw_error *err)
{
    struct nw_backlog *backlog = NULL;

    if (dealer->aparts_count > 0 && dealer->playing == NULL && dealer->in_transaction) {
        const struct nw_apart *apart = apart_of(dealer, relation_oid);

        if (apart != NULL && dealer->begin.commit_lsn >= apart->from_lsn &&
            apart_begin(dealer, apart) != NW_OK) {
            return NW_AGAIN;
        }
    }
    backlog = dealer->backlogs_count == 0 || dealer->playing != NULL
                  ? NULL
                  : backlog_of(dealer, relation_oid);
    return backlog == NULL ? NW_OK : keep(dealer, backlog, lsn, message, err);
}

nw_status nw_dealer_keep_truncate(struct nw_dealer *dealer, uint32_t relation_oid, uint64_t lsn,
                                  uint32_t flags, struct nw_error *err)
{
    const uint8_t message[] = {'T',
                               0,
                               0,
                               0,
                               1,
                               (uint8_t)flags,
                               (uint8_t)(relation_oid >> 24),
                               (uint8_t)(relation_oid >> 16),
                               (uint8_t)(relation_oid >> 8),
                               (uint8_t)relation_oid};

    return nw_dealer_keep(dealer, relation_oid, lsn, (struct nw_bytes){message, sizeof message},
                          err);
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
    if (backlog->sinks != 0) {
        apart_note(dealer, backlog->relation_oid);
    }
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
    if (table == NULL || (nw_dealer_has_backlog(dealer, relation_oid) &&
                          nw_dealer_backlog_apart(dealer, relation_oid) == NULL)) {
        return NW_OK; /* it is gone, or paused or stopped meanwhile */
    }
    if (dealer->options.copied != NULL && dealer->options.copied(dealer->options.context, table)) {
        return NW_OK; /* since the pause was asked for: what is kept of it would not outlive that */
    }
    (void)nw_dealer_stop(dealer, table, "NW2117 a user paused it");
    dealer->stop.paused = true;
    return NW_OK;
}

void nw_dealer_lacks(struct nw_dealer *dealer, const struct nw_behind *lacks)
{
    struct nw_behind_list *list = &dealer->lacks;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->tables[i].relation_oid == lacks->relation_oid) {
            return;
        }
    }
    if (list->count < NW_BEHIND_MAX) {
        list->tables[list->count++] = *lacks;
    }
}

void nw_dealer_lacks_from(struct nw_dealer *dealer, uint32_t relation_oid)
{
    nw_dealer_lacks(dealer, &(struct nw_behind){relation_oid, nw_dealer_place(dealer), false});
}

void nw_dealer_lacks_end(struct nw_dealer *dealer, uint32_t relation_oid)
{
    struct nw_behind_list *list = &dealer->lacks;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->tables[i].relation_oid == relation_oid) {
            list->tables[i] = list->tables[--list->count];
            return;
        }
    }
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
            backlog->relation_oid, nw_place_before(place, backlog->from) ? backlog->from : place,
            false};
    }
    for (uint32_t i = 0; i < dealer->lacks.count && list->count < NW_BEHIND_MAX; i++) {
        const struct nw_behind *lacks = &dealer->lacks.tables[i];

        /* What is before it may be still to come. */
        if (lacks->place.commit_lsn <= dealer->state.position_lsn &&
            !nw_dealer_has_backlog(dealer, lacks->relation_oid)) {
            list->tables[list->count++] = *lacks;
        }
    }
}

/* ---- dealing what was kept ---- */

/* Of a table that other sinks are dealt as it comes the version of its past takes the place of
 * theirs, or the other way round. */
static void version_exchange(struct nw_dealer *dealer, struct nw_dealt_version *left,
                             const struct nw_dealt_version *next)
{
    struct nw_slot *slot = NULL;

    left->table = nw_schemas_find(dealer->options.schemas, next->table->relation_oid);
    NW_ASSERT(left->table != NULL && left->table->id < dealer->slots_count);
    slot = &dealer->slots[left->table->id];
    left->announce = slot->announce;
    slot->announce = next->announce;
    nw_schemas_exchange(dealer->options.schemas, next->table);
    nw_notes_drop(dealer->notes, next->table->relation_oid);
}

/* A former process began it: as at a start nothing is known of what the table was there. */
static nw_status version_begin(struct nw_dealer *dealer, struct nw_backlog *backlog,
                               struct nw_error *err)
{
    struct nw_schemas *schemas = dealer->options.schemas;
    const struct nw_table *current = nw_schemas_find(schemas, backlog->relation_oid);
    nw_status status = nw_schemas_add(schemas, current, 0, &backlog->version.table, err);

    if (status == NW_OK) {
        backlog->version.announce = true;
        nw_schemas_exchange(schemas, current);
    }
    return status;
}

nw_status nw_dealer_play_begin(struct nw_dealer *dealer, struct nw_backlog *backlog,
                               struct nw_error *err)
{
    nw_status status = dealer->stop_waits || dealer->relation_waits || !dealer->state.between
                           ? NW_AGAIN
                           : nw_dealer_flush(dealer, err);

    if (status == NW_OK) {
        status = nw_dealer_slots_grow(dealer, err);
    }
    if (status == NW_OK && backlog->sinks != 0 && backlog->version.table == NULL) {
        status = version_begin(dealer, backlog, err);
    }
    if (status == NW_OK) {
        dealer->stream_dealt = dealer->dealt;
        dealer->dealt = backlog->dealt;
        dealer->playing = backlog;
        dealer->state.between = false;
        dealer->last_oid = 0;
        if (backlog->sinks != 0) {
            version_exchange(dealer, &dealer->stream_version, &backlog->version);
        }
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
    if (dealer->playing->sinks != 0) {
        version_exchange(dealer, &dealer->playing->version, &dealer->stream_version);
    }
    dealer->playing = NULL;
    dealer->last_oid = 0;
    dealer->relation_read = 0;
    nw_dealer_transaction_over(dealer);
}

bool nw_dealer_play_is_whole(const struct nw_dealer *dealer)
{
    return dealer->dealt.partial_lsn <= dealer->dealt.done_lsn;
}

/* The mark from which on the sinks that refused the table go on with what the others get of it. */
static nw_status rejoin_deal(struct nw_dealer *dealer, const struct nw_backlog *backlog,
                             struct nw_error *err)
{
    const struct nw_table *table = dealer->stream_version.table;
    struct nw_block *block = NULL;
    nw_status status = nw_dealer_event_open(dealer, NW_BLOCK_COPY_END, &block, err);

    if (status == NW_OK) {
        dealer->stream_version.announce = true; /* they do not know it */
        block->backlog_oid = 0;
        block->table = table;
        block->mark = (struct nw_copy_mark){.joining_sinks = backlog->sinks, .rejoins = true};
        nw_dealer_event_deal(dealer, block);
    }
    return status;
}

nw_status nw_dealer_play_end(struct nw_dealer *dealer, bool whole, int64_t now_ns,
                             struct nw_error *err)
{
    struct nw_backlog *backlog = dealer->playing;
    nw_status status = nw_dealer_flush(dealer, err);

    NW_ASSERT(!dealer->in_transaction && !dealer->relation_waits);
    if (status == NW_OK && whole && backlog->sinks != 0) {
        status = rejoin_deal(dealer, backlog, err);
    }
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

void nw_dealer_backlog_forget(struct nw_dealer *dealer, uint32_t relation_oid, uint32_t sinks)
{
    struct nw_backlog *backlog = backlog_of(dealer, relation_oid);
    struct nw_apart *apart = apart_of(dealer, relation_oid);

    if (apart != NULL) {
        apart->sinks &= ~sinks;
        if (apart->sinks == 0) {
            apart_end(dealer, apart);
        }
    }
    if (backlog != NULL && (backlog->sinks & ~sinks) == 0) {
        nw_dealer_backlog_given_up(dealer, backlog);
    } else if (backlog != NULL) {
        backlog->sinks &= ~sinks;
    }
}

nw_status nw_dealer_forget(struct nw_dealer *dealer, uint32_t relation_oid)
{
    if (dealer->stop_waits || dealer->playing != NULL) {
        return NW_AGAIN;
    }
    nw_dealer_backlog_forget(dealer, relation_oid, UINT32_MAX);
    nw_dealer_refresh(dealer);
    return NW_OK;
}
