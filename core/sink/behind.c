/* SPDX-License-Identifier: Apache-2.0 */
/* See behind.h. */
#include "sink/behind.h"

#include "sink/copies.h"
#include "sink/held.h"

nw_status nw_sequencer_behind(struct nw_sequencer *seq, uint32_t worker,
                              const struct nw_behind *behind, bool streams, struct nw_error *err)
{
    return worker == UINT32_MAX || nw_sequencer_shard(seq, behind->relation_oid) == worker
               ? nw_copies_behind(seq, behind, streams, err)
               : NW_OK;
}

nw_status nw_sequencer_apart(struct nw_sequencer *seq, uint32_t relation_oid, bool kept,
                             struct nw_error *err)
{
    return nw_copies_apart(seq, relation_oid, kept ? NW_APART_KEPT : NW_APART_WHOLE, err);
}

static enum nw_apart_side side_of(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    const struct nw_followed *followed = nw_copies_find(seq, relation_oid);

    return followed == NULL ? NW_APART_NONE : followed->apart;
}

bool nw_behind_is_for(const struct nw_sequencer *seq, uint32_t relation_oid, uint32_t backlog_oid)
{
    return backlog_oid != 0 ? side_of(seq, backlog_oid) != NW_APART_WHOLE
                            : side_of(seq, relation_oid) != NW_APART_KEPT;
}

struct nw_place nw_behind_place(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    const struct nw_followed *followed = nw_copies_find(seq, relation_oid);
    uint32_t worker = nw_sequencer_shard(seq, relation_oid);

    return followed != NULL && followed->behind
               ? followed->place
               : (struct nw_place){.commit_lsn = seq->sink->durable_lsn[worker]};
}

bool nw_event_before(const struct nw_event *event, uint64_t lsn)
{
    if (event->kind == NW_EVENT_DROP) {
        return event->lsn <= lsn; /* dealt before an epoch ends at its place */
    }
    if (event->commit_lsn != 0) {
        return event->commit_lsn < lsn;
    }
    /* A message outside of transactions has the LSN where its record ends. */
    return event->kind == NW_EVENT_MESSAGE ? event->lsn <= lsn : event->lsn < lsn;
}

bool nw_behind_has_event_of(const struct nw_sequencer *seq, const struct nw_event *event,
                            uint32_t relation_oid, uint64_t lsn)
{
    const struct nw_followed *followed = nw_copies_find(seq, relation_oid);
    const struct nw_place place = {event->commit_lsn, event->seq};

    if (followed == NULL || !followed->streams) {
        return nw_event_before(event, lsn);
    }
    return event->commit_lsn != 0 && event->kind != NW_EVENT_DROP
               ? nw_place_before(place, followed->place)
               : nw_event_before(event, followed->place.commit_lsn);
}

bool nw_behind_has_event(const struct nw_sequencer *seq, const struct nw_event *event,
                         uint32_t backlog_oid, uint64_t lsn)
{
    const struct nw_place place = {event->commit_lsn, event->seq};

    if (backlog_oid != 0) {
        return nw_place_before(place, nw_behind_place(seq, backlog_oid));
    }
    for (uint32_t i = 0; i < event->tables_count; i++) {
        if (!nw_behind_has_event_of(seq, event, event->tables[i]->relation_oid, lsn)) {
            return false;
        }
    }
    return event->tables_count > 0 || nw_event_before(event, lsn);
}

uint32_t nw_behind_rows(const struct nw_sequencer *seq, const struct nw_batch *batch,
                        uint64_t fence)
{
    struct nw_place place = nw_behind_place(seq, batch->table->relation_oid);
    uint32_t row = nw_batch_rows_from(batch, fence > place.commit_lsn ? fence : place.commit_lsn);

    while (row < batch->rows_count &&
           nw_place_before((struct nw_place){batch->commit_lsn[row], batch->seq[row]}, place)) {
        row++;
    }
    return row;
}

/* It was said in the sink's own position that it waits; how far it is by now is said anew. What the
 * stream says of a table whose changes are kept is as it is. */
static bool is_said_anew(const struct nw_sequencer *seq, const struct nw_behind *behind)
{
    const struct nw_followed *followed = nw_copies_find(seq, behind->relation_oid);

    return behind->held && followed != NULL && followed->streams;
}

/* Tables that are left out at this sink, until a commit says that a copy of them began. */
static void left_out_add(const struct nw_sequencer *seq, struct nw_behind_list *list)
{
    for (uint32_t i = 0; seq->left_out_count > 0 && i < seq->followed_capacity; i++) {
        const struct nw_followed *followed = &seq->followed[i];
        bool said = !followed->left_out || nw_behind_says(list, followed->relation_oid);

        for (uint32_t c = 0; c < seq->copy_commits_count && !said; c++) {
            said = seq->copy_commits[c]->relation_oid == followed->relation_oid;
        }
        if (!said && list->count < NW_BEHIND_MAX) {
            list->tables[list->count++] = (struct nw_behind){
                followed->relation_oid, nw_behind_place(seq, followed->relation_oid), false};
        }
    }
}

void nw_behind_say(const struct nw_sequencer *seq, uint64_t epoch, uint64_t reached_lsn,
                   struct nw_envelope *envelope)
{
    uint8_t *bytes = envelope->bytes + NW_ENVELOPE_SIZE;
    uint32_t size = envelope->size - NW_ENVELOPE_SIZE;
    struct nw_behind_list list;
    struct nw_identity identity;
    struct nw_error ignored;
    uint64_t lsn = 0;
    uint32_t kept = 0;

    if (nw_position_unpack((struct nw_bytes){bytes, size}, &identity, &lsn, &list, &ignored) !=
        NW_OK) {
        return; /* it is empty */
    }
    if (list.count == 0 && seq->left_out_count == 0 && seq->lacking_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < list.count; i++) {
        struct nw_behind table = list.tables[i];
        struct nw_place has = nw_behind_place(seq, table.relation_oid);

        table.place = nw_place_before(table.place, has) ? has : table.place;
        if (side_of(seq, table.relation_oid) != NW_APART_WHOLE && !is_said_anew(seq, &table)) {
            list.tables[kept++] = table;
        }
    }
    list.count = kept;
    left_out_add(seq, &list);
    nw_held_say(seq, epoch, reached_lsn, lsn, &list);
    envelope->size = NW_ENVELOPE_SIZE + nw_position_pack(&identity, lsn, &list, bytes);
}
