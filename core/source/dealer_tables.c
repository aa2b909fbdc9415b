/* SPDX-License-Identifier: Apache-2.0 */
/* What the dealer does with tables: their versions, and those that stop. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "source/dealer_private.h"

/* Makes a slot for every table that the registry has. */
nw_status nw_dealer_slots_grow(struct nw_dealer *dealer, struct nw_error *err)
{
    uint32_t count = nw_schemas_count(dealer->options.schemas);
    uint32_t capacity = count * 2;
    struct nw_slot *slots = NULL;
    uint32_t *open_ids = NULL;
    uint32_t *touched_ids = NULL;

    if (count <= dealer->slots_count) {
        return NW_OK;
    }
    slots = realloc(dealer->slots, capacity * sizeof *slots);
    if (slots != NULL) {
        dealer->slots = slots;
        open_ids = realloc(dealer->open_ids, capacity * sizeof *open_ids);
    }
    if (open_ids != NULL) {
        dealer->open_ids = open_ids;
        touched_ids = realloc(dealer->touched_ids, capacity * sizeof *touched_ids);
    }
    if (touched_ids == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u tables", count);
    }
    dealer->touched_ids = touched_ids;
    memset(slots + dealer->slots_count, 0, (capacity - dealer->slots_count) * sizeof *slots);
    dealer->slots_count = capacity;
    return NW_OK;
}

/* Whether a table is passed over, whatever its rows are. */
static bool is_stopped(const struct nw_dealer *dealer, const struct nw_slot *slot,
                       const struct nw_table *table)
{
    const struct nw_dealer_options *o = &dealer->options;

    if (nw_dealer_has_backlog(dealer, table->relation_oid)) {
        return false; /* what is not kept is dealt */
    }
    return slot->stopped || (o->stopped != NULL && o->stopped(o->context, table)) ||
           (o->waits != NULL && !slot->joined && o->waits(o->context, table));
}

/* What is to be done with rows of a version that the slot has not seen yet. NW_AGAIN: its table
 * stops, for it cannot be shown to sinks as it was to be. */
static nw_status slot_refresh(struct nw_dealer *dealer, struct nw_slot *slot,
                              const struct nw_table *table, struct nw_error *err)
{
    const struct nw_dealer_options *o = &dealer->options;
    const struct nw_projection *projection = NULL;
    uint64_t joins_lsn = o->joins == NULL ? 0 : o->joins(o->context, table);
    bool stopped = is_stopped(dealer, slot, table);
    bool wanted = !stopped && (o->wanted == NULL || o->wanted(o->context, table));

    NW_ASSERT(slot->open == NULL);
    if (wanted && o->project != NULL) {
        nw_status status = o->project(o->context, table, &projection, err);

        if (status != NW_OK) {
            return status == NW_REJECT ? nw_dealer_stop(dealer, table, "%s", err->text) : status;
        }
    }
    slot->table = table;
    slot->projection = projection;
    slot->stopped = stopped;
    if (stopped) {
        nw_dealer_lacks_from(dealer, table->relation_oid);
    }
    slot->joins_lsn = joins_lsn > slot->joins_lsn ? joins_lsn : slot->joins_lsn;
    slot->policy = o->policy == NULL ? (struct nw_table_policy){0} : o->policy(o->context, table);
    slot->wanted = wanted;
    slot->joined = slot->joined && wanted; /* if it leaves the patterns, it may come back as new */
    return NW_OK;
}

struct nw_slot *nw_dealer_slot(struct nw_dealer *dealer, uint32_t oid, nw_status *status,
                               struct nw_error *err)
{
    const struct nw_table *table = NULL;
    struct nw_slot *slot = NULL;

    if (oid == dealer->last_oid && oid != 0) {
        return &dealer->slots[dealer->last_id];
    }
    table = nw_schemas_find(dealer->options.schemas, oid);
    if (table == NULL) {
        *status =
            nw_fail(err, NW_CORRUPT,
                    "pgoutput: a row of relation %u, which no Relation message announced", oid);
        return NULL;
    }
    *status = nw_dealer_slots_grow(dealer, err);
    if (*status != NW_OK) {
        return NULL;
    }
    NW_ASSERT(dealer->slots != NULL && table->id < dealer->slots_count);
    slot = &dealer->slots[table->id];
    if (slot->table != table) {
        *status = slot_refresh(dealer, slot, table, err);
        if (*status != NW_OK) {
            return NULL;
        }
    }
    dealer->last_oid = oid;
    dealer->last_id = table->id;
    return slot;
}

/* ---- a table stops ---- */

/* Whether the version is what the table is at the place under way: the stream said so, or passed
 * that over where a copy has it. */
static bool is_seen(const struct nw_dealer *dealer, const struct nw_table *table)
{
    const struct nw_dealer_options *o = &dealer->options;
    uint64_t joins_lsn = o->joins == NULL ? 0 : o->joins(o->context, table);

    if (table->id < dealer->slots_count && dealer->slots[table->id].joins_lsn > joins_lsn) {
        joins_lsn = dealer->slots[table->id].joins_lsn;
    }
    return nw_schemas_is_placed(dealer->options.schemas, table) ||
           (joins_lsn != 0 && nw_dealer_place(dealer).commit_lsn >= joins_lsn);
}

nw_status nw_dealer_stop(struct nw_dealer *dealer, const struct nw_table *table, const char *format,
                         ...)
{
    struct nw_dealer_stop *stop = &dealer->stop;
    va_list args;

    *stop = (struct nw_dealer_stop){
        .table = table, .seen = is_seen(dealer, table), .playing = dealer->playing};
    if (stop->playing != NULL) {
        stop->sinks = stop->playing->sinks;
    } else {
        stop->playing = nw_dealer_backlog_apart(dealer, table->relation_oid);
    }
    stop->again = nw_dealer_was_apart(dealer, table->relation_oid);
    stop->keeps = dealer->options.keeps && dealer->cut == 0 &&
                  (stop->playing != NULL || dealer->backlogs_count < NW_BEHIND_MAX);
    stop->place = (struct nw_place){dealer->in_transaction ? dealer->begin.commit_lsn
                                                           : dealer->state.position_lsn,
                                    dealer->in_transaction ? dealer->seq : 0};
    stop->lsn = dealer->in_transaction ? dealer->begin.commit_lsn : dealer->state.position_lsn;
    va_start(args, format);
    (void)vsnprintf(stop->reason, sizeof stop->reason, format, args);
    va_end(args);
    dealer->stop_waits = true;
    return NW_AGAIN;
}

const struct nw_dealer_stop *nw_dealer_stopping(const struct nw_dealer *dealer)
{
    return dealer->stop_waits ? &dealer->stop : NULL;
}

nw_status nw_dealer_stopped(struct nw_dealer *dealer, struct nw_backlog *backlog,
                            struct nw_error *err)
{
    const struct nw_dealer_stop *stop = &dealer->stop;
    struct nw_slot *slot = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(dealer->stop_waits);
    dealer->stop_waits = false;
    if (stop->dropped) {
        return nw_dealer_drop_recorded(dealer, stop->table, stop->lsn, err);
    }
    if (stop->given_up != NULL) {
        nw_dealer_backlog_given_up(dealer, stop->given_up);
    } else if (stop->sinks != 0) {
        nw_dealer_apart_begun(dealer, stop, backlog);
    } else if (backlog != NULL) {
        nw_dealer_backlog(dealer, backlog);
    }
    if (backlog != NULL || stop->sinks != 0) {
        return NW_OK;
    }
    status = nw_dealer_slots_grow(dealer, err);
    if (status == NW_OK) {
        slot = &dealer->slots[stop->table->id];
        slot->stopped = true;
        slot->wanted = false;
        nw_dealer_lacks(dealer, &(struct nw_behind){stop->table->relation_oid, stop->place, false});
    }
    return status;
}

nw_status nw_dealer_too_large(struct nw_dealer *dealer, const struct nw_slot *slot, size_t size)
{
    return nw_dealer_stop(
        dealer, slot->table,
        "NW2108 a row has %zu bytes, and limits.memory has room for rows of %" PRIu64
        ": raise it, or leave the column out",
        size, dealer->options.row_bytes_max);
}

void nw_dealer_refresh(struct nw_dealer *dealer)
{
    const struct nw_dealer_options *o = &dealer->options;

    for (uint32_t i = 0; i < dealer->slots_count && o->stopped != NULL; i++) {
        struct nw_slot *slot = &dealer->slots[i];

        if (slot->table != NULL && !slot->stopped && o->stopped(o->context, slot->table)) {
            slot->stopped = true;
            slot->wanted = false;
            nw_dealer_lacks_from(dealer, slot->table->relation_oid);
        }
    }
}

/* A table that was passed over comes back, as the catalog has it. */
static nw_status slot_return(struct nw_dealer *dealer, const struct nw_dealer_join *join,
                             struct nw_error *err)
{
    const struct nw_table *table = NULL;
    struct nw_slot *slot = NULL;
    nw_status status = nw_schemas_look(dealer->options.schemas, join->described, &table, err);

    if (status == NW_OK) {
        status = nw_dealer_slots_grow(dealer, err);
    }
    if (status != NW_OK) {
        return status;
    }
    slot = &dealer->slots[table->id];
    slot->joined = true;
    slot->stopped = false;
    nw_dealer_lacks_end(dealer, table->relation_oid);
    slot->joins_lsn = join->from_lsn;
    dealer->last_oid = 0;
    return slot_refresh(dealer, slot, table, err);
}

static struct nw_slot *slot_leave(struct nw_dealer *dealer, const struct nw_dealer_join *join)
{
    const struct nw_table *table = nw_schemas_find(dealer->options.schemas, join->relation_oid);
    struct nw_slot *slot = &dealer->slots[table->id];

    slot->joined = false;
    if (join->from_lsn != 0) { /* no sink goes on with it */
        slot->stopped = true;
        slot->wanted = false;
    }
    return slot;
}

/* What committed before from_lsn is not looked at; what was dealt of a transaction that broke off
 * does not come again. */
static struct nw_place join_place(const struct nw_dealer *dealer, const struct nw_dealer_join *join)
{
    const struct nw_place from = {.commit_lsn = join->from_lsn};
    const struct nw_place dealt = {dealer->dealt.partial_lsn, dealer->dealt.partial_seq};
    struct nw_place place = nw_dealer_place(dealer);

    if (place.commit_lsn == 0) {
        place.commit_lsn = join->stream_lsn;
    }
    place = nw_place_before(place, dealt) ? dealt : place;
    return nw_place_before(place, from) ? from : place;
}

/* Whether something else comes first. A Relation message that waits is older than what the catalog
 * says of this table. */
static bool join_waits(const struct nw_dealer *dealer)
{
    return dealer->stop_waits || dealer->relation_waits || dealer->playing != NULL ||
           dealer->truncates_done > 0 /* of some tables */;
}

/* The epoch under way has an end, which brings what was held of a table that leaves. */
static void epoch_begin(struct nw_dealer *dealer)
{
    dealer->state.epoch_rows++;
    if (dealer->state.epoch_first_ns == 0) {
        dealer->state.epoch_first_ns = dealer->now_ns == 0 ? 1 : dealer->now_ns;
    }
}

nw_status nw_dealer_join(struct nw_dealer *dealer, const struct nw_dealer_join *join,
                         struct nw_error *err)
{
    struct nw_slot *slot = NULL;
    struct nw_block *block = NULL;
    enum nw_block_kind kind = join->leaves ? NW_BLOCK_COPY_END : NW_BLOCK_COPY_BEGIN;
    nw_status status =
        join_waits(dealer) ? NW_AGAIN : nw_dealer_event_open(dealer, kind, &block, err);

    if (status != NW_OK) {
        return status;
    }
    if (!join->leaves) { /* the copy has what was kept */
        nw_dealer_backlog_forget(dealer, join->relation_oid,
                                 join->from_lsn != 0 ? UINT32_MAX : join->sinks);
    }
    if (join->from_lsn != 0 && !join->leaves) {
        status = slot_return(dealer, join, err);
    }
    if (join->leaves) {
        slot = slot_leave(dealer, join);
    } else if (status == NW_OK) {
        slot = nw_dealer_slot(dealer, join->relation_oid, &status, err);
    }
    if (slot == NULL) {
        nw_producer_put(dealer->options.producer, block);
        return status;
    }
    block->table = slot->table;
    block->projection = slot->projection;
    block->generation = join->generation;
    block->mark =
        (struct nw_copy_mark){.joining_sinks = join->sinks, .place = join_place(dealer, join)};
    nw_dealer_event_deal(dealer, block);
    if (join->leaves) {
        epoch_begin(dealer);
    }
    return NW_OK;
}

/* ---- versions ---- */

/*
 * A new version is in force from here on. Its event waits for the first use: behind the Relation
 * message of a table that is published as another (a partition as its root) comes no row of it.
 */
static nw_status version_adopted(struct nw_dealer *dealer, const struct nw_table *table,
                                 struct nw_error *err)
{
    nw_status status = nw_dealer_slots_grow(dealer, err);

    dealer->last_oid = 0;
    if (status == NW_OK) {
        dealer->slots[table->id].announce = true;
    }
    return status;
}

/* Whether the message need not be looked at: no row of this version will be dealt, or the present
 * one is the last of what was dealt before the connection broke. (Of what an earlier run dealt the
 * stream said nothing yet, and it does not repeat it for the rest of the transaction.) */
static bool is_passed_over(const struct nw_dealer *dealer, const struct nw_table *current,
                           const struct nw_relation *relation)
{
    const struct nw_slot *slot = NULL;
    uint64_t at_lsn = 0;

    if (current == NULL) {
        return false;
    }
    slot = current->id < dealer->slots_count ? &dealer->slots[current->id] : NULL;
    at_lsn = dealer->in_transaction ? dealer->begin.commit_lsn : dealer->state.position_lsn;
    if (slot != NULL && at_lsn < slot->joins_lsn) {
        return true; /* its copy has it as it was later */
    }
    if (dealer->options.joins != NULL &&
        at_lsn < dealer->options.joins(dealer->options.context, current)) {
        return true; /* the same */
    }
    if (slot != NULL &&
        (slot->stopped || (slot->table == current && !slot->wanted &&
                           (relation == NULL || nw_schemas_same(current, relation))))) {
        return true;
    }
    return dealer->in_transaction && nw_dealer_dealt_before(dealer) &&
           nw_schemas_is_placed(dealer->options.schemas, current);
}

/* The message waits for a catalog read; its texts must outlive it until then. */
static nw_status relation_keep(struct nw_dealer *dealer, struct nw_bytes message,
                               struct nw_error *err)
{
    char *bytes = realloc(dealer->relation_bytes, message.size);
    nw_status status = NW_OK;

    if (bytes == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a Relation message");
    }
    memcpy(bytes, message.at, message.size);
    dealer->relation_bytes = bytes;
    status = nw_pgoutput_relation_parse((struct nw_bytes){(const uint8_t *)bytes, message.size},
                                        dealer->relation, err);
    dealer->relation_waits = status == NW_OK;
    return status == NW_OK ? NW_AGAIN : status;
}

nw_status nw_dealer_relation(struct nw_dealer *dealer, struct nw_bytes message,
                             struct nw_error *err)
{
    const struct nw_table *current = NULL;
    nw_status status = nw_pgoutput_relation_parse(message, dealer->relation, err);

    if (status != NW_OK) {
        return status;
    }
    status = nw_dealer_keep(dealer, dealer->relation->oid, dealer->begin.commit_lsn, message, err);
    if (status != NW_OK || nw_dealer_keeps(dealer, dealer->relation->oid)) {
        return status;
    }
    current = nw_schemas_find(dealer->options.schemas, dealer->relation->oid);
    if (is_passed_over(dealer, current, dealer->relation)) {
        return nw_dealer_slots_grow(dealer, err);
    }
    if (dealer->relation_read == dealer->relation->oid && current != NULL &&
        nw_schemas_same(current, dealer->relation)) {
        dealer->relation_read = 0; /* this very message was compared with the catalog */
        return nw_dealer_slots_grow(dealer, err);
    }
    status = nw_dealer_flush(dealer, err);
    return status == NW_OK ? relation_keep(dealer, message, err) : status;
}

nw_status nw_dealer_resume(struct nw_dealer *dealer, struct nw_bytes message, struct nw_error *err)
{
    struct nw_pgoutput_message note = {0};
    nw_status status = NW_OK;

    NW_ASSERT(!dealer->in_transaction);
    if (dealer->stop_waits || dealer->relation_waits) {
        return NW_AGAIN;
    }
    if (message.size > 0 && message.at[0] == 'R') {
        return nw_dealer_relation(dealer, message, err);
    }
    status = nw_pgoutput_message_parse(message, &note, err);
    return status == NW_OK ? nw_dealer_note(dealer, message, &note, err) : status;
}

static struct nw_table_policy policy_of(const struct nw_dealer *dealer,
                                        const struct nw_table *table)
{
    const struct nw_dealer_options *o = &dealer->options;

    if (table == NULL || (o->wanted != NULL && !o->wanted(o->context, table)) ||
        nw_dealer_keeps_later(dealer, table->relation_oid)) {
        return (struct nw_table_policy){.ambiguous_rename = NW_AMBIGUOUS_DROP_ADD};
    }
    return o->policy == NULL ? (struct nw_table_policy){0} : o->policy(o->context, table);
}

static bool has_column(const struct nw_table *table, const char *name)
{
    for (uint16_t i = 0; table != NULL && i < table->columns_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the message is without a column that the current version had. One that was only seen in
 * the catalog, and is there still, may be younger than the message. */
static bool is_missing(const struct nw_dealer *dealer, const struct nw_table *current,
                       const struct nw_table *described, const char **column)
{
    bool placed = current != NULL && nw_schemas_is_placed(dealer->options.schemas, current);

    for (uint16_t i = 0; current != NULL && i < current->columns_count; i++) {
        bool there = !placed && has_column(described, current->columns[i].name);

        for (uint16_t c = 0; c < dealer->relation->columns_count && !there; c++) {
            there = strcmp(dealer->relation->columns[c].name, current->columns[i].name) == 0;
        }
        if (!there) {
            *column = current->columns[i].name;
            return true;
        }
    }
    return false;
}

/* The note of the table of the message, as far as it is to be believed. */
static const struct nw_note *note_of(const struct nw_dealer *dealer)
{
    const struct nw_note *note = nw_notes_find(dealer->notes, dealer->relation->oid);

    return note != NULL && nw_note_agrees(note, dealer->relation) ? note : NULL;
}

nw_status nw_dealer_note(struct nw_dealer *dealer, struct nw_bytes bytes,
                         const struct nw_pgoutput_message *message, struct nw_error *err)
{
    const struct nw_table *current = NULL;
    const struct nw_table *table = NULL;
    const struct nw_note *note = NULL;
    struct nw_error why = {0};
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = nw_dealer_flush(dealer, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_notes_put(dealer->notes, message->content, &note, &why) != NW_OK) {
        nw_log(NW_LOG_WARN, "NW2113 the event trigger's note at %s is not used: %s",
               nw_lsn_text(lsn, message->lsn), nw_code_rest(why.text));
        return NW_OK;
    }
    status = nw_dealer_keep(dealer, note->relation_oid, dealer->begin.commit_lsn, bytes, err);
    if (status != NW_OK) {
        return status;
    }
    if (nw_dealer_keeps(dealer, note->relation_oid)) {
        nw_notes_drop(dealer->notes, note->relation_oid);
        return NW_OK;
    }
    current = nw_schemas_find(dealer->options.schemas, note->relation_oid);
    if (current == NULL || is_passed_over(dealer, current, NULL)) {
        return NW_OK;
    }
    table = current;
    status = nw_schemas_note(dealer->options.schemas, note, &table, err);
    return status == NW_OK && table != current ? version_adopted(dealer, table, err) : status;
}

/* A message that differs from the current version, or the first one. */
static nw_status version_make(struct nw_dealer *dealer, const struct nw_table *current,
                              const struct nw_table *described, struct nw_error *err)
{
    const struct nw_table_policy policy = policy_of(dealer, current);
    const struct nw_schemas_change change = {
        .relation = dealer->relation,
        .described = described,
        .ambiguous = policy.ambiguous_rename,
        .retype_is_refused = policy.type_change == NW_RULE_STOP,
        .flags = policy.drop_column == NW_RULE_KEEP ? NW_TABLE_KEEP_COLUMNS : 0,
        .note = note_of(dealer)};
    const struct nw_table *table = NULL;
    const char *column = NULL;
    nw_status status = NW_OK;

    if (policy.drop_column == NW_RULE_STOP && is_missing(dealer, current, described, &column)) {
        (void)nw_dealer_stop(
            dealer, current,
            "NW2103 column %s was dropped or renamed, and tables.drop_column is stop", column);
        return NW_OK;
    }
    status = nw_schemas_apply(dealer->options.schemas, &change, &table, err);
    if (status == NW_REJECT) {
        NW_ASSERT(current != NULL); /* a new table has no column that was another or other before */
        (void)nw_dealer_stop(dealer, current, "%s", err->text);
        return NW_OK;
    }
    return status == NW_OK ? version_adopted(dealer, table, err) : status;
}

nw_status nw_dealer_describe(struct nw_dealer *dealer, const struct nw_table *described,
                             struct nw_error *err)
{
    const struct nw_relation *relation = dealer->relation;
    const struct nw_table *current = NULL;
    const struct nw_note *note = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(dealer->relation_waits);
    /* Room first: the version must not be made twice. */
    if (nw_producer_room(dealer->options.producer) == 0 || dealer->open_count > 0) {
        return NW_AGAIN;
    }
    current = nw_schemas_find(dealer->options.schemas, relation->oid);
    status = nw_dealer_slots_grow(dealer, err);
    if (status != NW_OK) {
        return status;
    }
    if (current == NULL || !nw_schemas_same(current, relation)) {
        status = version_make(dealer, current, described, err);
    } else {
        nw_schemas_confirm(dealer->options.schemas, current);
        note = note_of(dealer);
        if (note != NULL ? nw_schemas_noted(current, note)
                         : described != NULL && nw_schemas_same(described, relation) &&
                               nw_schemas_stale(current, described)) {
            status = version_make(dealer, current, described, err);
        }
    }
    if (status == NW_OK) {
        dealer->relation_waits = false;
        dealer->relation_read = relation->oid;
        nw_notes_drop(dealer->notes, relation->oid); /* it was for this message */
    }
    return status;
}
