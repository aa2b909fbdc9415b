/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are copied again at sinks that keep what they have of them (NW_SINK_APPEND_ONLY), as
 * Kafka does. What the stream has of such a table while it is copied waits in the sink's sequencer
 * (sink/held.h) and exists nowhere else, so until the copy is whole
 *
 *   - the sink's position says from where on it lacks the table, and nothing from there on is
 *     acknowledged: the next start streams from there, and that table alone is told of it;
 *   - the table counts as one that goes on (NW_TABLE_ASKED), and is not passed over at a start as
 *     one is that waits: rows deleted meanwhile would stay at the sink for ever.
 *
 * A first copy that broke off is the same for them: rows that it brought stay, so that all changes
 * since the first snapshot must come, whatever the later ones have.
 *
 * Sinks that replace a table need none of it: their copy has what they missed. Main thread.
 */
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/run_private.h"

bool nw_run_appends(const struct nw_run *run, uint32_t sink)
{
    return (run->options->sinks[sink].plugin->ops.flags & NW_SINK_APPEND_ONLY) != 0;
}

bool nw_run_any_appends(const struct nw_run *run, uint32_t sinks)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        if ((sinks >> s & 1u) != 0 && nw_run_appends(run, s)) {
            return true;
        }
    }
    return false;
}

/* ---- at a start ---- */

/* Whether the server or a spool has the stream from there on, as one of them does when nothing else
 * went wrong. */
static bool is_there(const struct nw_run *run, uint64_t lsn)
{
    return lsn >= run->confirmed_lsn || lsn >= run->left_lsn;
}

/* Not of one that is stopped, or kept, or waits, or is not followed any more. */
static bool is_streamed(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    const struct nw_table *table = nw_schemas_find(run->schemas, relation_oid);

    return table != NULL && nw_run_table_wanted(run->members[sink].run, table) &&
           !nw_tables_keeps(run->table_states, relation_oid) &&
           !nw_tables_waits(run->table_states, relation_oid, "") &&
           !nw_tables_stopped(run->table_states, relation_oid) &&
           !nw_run_left_out(run, sink, relation_oid);
}

bool nw_run_is_held(const struct nw_run *run, uint32_t sink, const struct nw_behind *behind)
{
    return behind->held && nw_run_appends(run, sink) && is_there(run, behind->place.commit_lsn) &&
           (behind->relation_oid == NW_BEHIND_UNFINISHED ||
            is_streamed(run, sink, behind->relation_oid));
}

/* Of every table whose copy began and is not whole. */
static nw_status unfinished_tell(const struct nw_run *run, uint32_t sink, struct nw_place place,
                                 nw_status (*tell)(void *context, const struct nw_behind *behind,
                                                   struct nw_error *err),
                                 void *context, struct nw_error *err)
{
    const struct nw_sink_recovered *recovered = &run->members[sink].recovered;
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < recovered->copies_count && status == NW_OK; c++) {
        const struct nw_behind one = {recovered->copies[c].relation_oid, place, true};

        if (!recovered->copies[c].complete && nw_run_is_held(run, sink, &one)) {
            status = tell(context, &one, err);
        }
    }
    return status;
}

/* Tells of each table that one of the sink's positions says is held. */
static nw_status held_each(const struct nw_run *run, uint32_t sink, uint32_t position,
                           nw_status (*tell)(void *context, const struct nw_behind *behind,
                                             struct nw_error *err),
                           void *context, struct nw_error *err)
{
    struct nw_behind_list list;
    nw_status status = NW_OK;

    nw_run_behind_read(&run->members[sink], position, &list);
    for (uint32_t t = 0; t < list.count && status == NW_OK; t++) {
        const struct nw_behind *one = &list.tables[t];

        if (!nw_run_is_held(run, sink, one)) {
            continue; /* it is copied, and what there was of it between is lost */
        }
        status = one->relation_oid == NW_BEHIND_UNFINISHED
                     ? unfinished_tell(run, sink, one->place, tell, context, err)
                     : tell(context, one, err);
    }
    return status;
}

static nw_status need_lower(void *context, const struct nw_behind *behind, struct nw_error *err)
{
    uint64_t *need_lsn = context;

    (void)err;
    *need_lsn = behind->place.commit_lsn < *need_lsn ? behind->place.commit_lsn : *need_lsn;
    return NW_OK;
}

uint64_t nw_run_held_need(const struct nw_run_member *member, uint64_t need_lsn)
{
    const struct nw_run *run = member->run;
    uint32_t sink = (uint32_t)(member - run->members);
    struct nw_error ignored;

    for (uint32_t p = 0; p < member->recovered.positions_count; p++) {
        (void)held_each(run, sink, p, need_lower, &need_lsn, &ignored);
    }
    return need_lsn;
}

struct told {
    struct nw_sequencer *sequencer;
    uint32_t worker;
};

static nw_status sequencer_tell(void *context, const struct nw_behind *behind, struct nw_error *err)
{
    const struct told *told = context;

    return nw_sequencer_behind(told->sequencer, told->worker, behind, true, err);
}

nw_status nw_run_held_tell(struct nw_run *run, uint32_t sink, struct nw_error *err)
{
    uint32_t count = run->members[sink].recovered.positions_count;
    struct told told = {.sequencer = nw_engine_sequencer(run->engine, sink)};
    nw_status status = NW_OK;

    for (uint32_t p = 0; p < count && status == NW_OK; p++) {
        told.worker = count == 1 ? UINT32_MAX : p; /* one for all workers */
        status = held_each(run, sink, p, sequencer_tell, &told, err);
    }
    return status;
}

/* ---- a first copy that broke off ---- */

uint64_t nw_run_copied_from(const struct nw_run_member *member)
{
    const struct nw_run *run = member->run;

    return run->copying_lsn != 0 && member->lsn == 0 && member->needs_copy &&
                   !member->copies_void && run->slot_found && !nw_run_streams(run) &&
                   nw_run_appends(run, (uint32_t)(member - run->members)) &&
                   is_there(run, run->copying_lsn)
               ? run->copying_lsn
               : 0;
}

nw_status nw_run_copied_tell(struct nw_run *run, uint32_t sink, struct nw_error *err)
{
    const struct nw_run_member *member = &run->members[sink];
    uint64_t from_lsn = nw_run_copied_from(member);
    nw_status status = NW_OK;

    for (uint32_t i = 0; from_lsn != 0 && i < nw_schemas_count(run->schemas) && status == NW_OK;
         i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);

        if (nw_run_table_missing(&run->members[sink], table)) {
            status = nw_sequencer_copied_from(nw_engine_sequencer(run->engine, sink),
                                              table->relation_oid, from_lsn, err);
        }
    }
    return status;
}

/* ---- what is lost ---- */

static bool is_unfinished(const struct nw_run_member *member, uint32_t relation_oid)
{
    const struct nw_copy_state *copy = nw_run_copy_of(member, relation_oid);

    return copy != NULL && !copy->complete;
}

/* From where on the sink lacks the table, for it waited for a copy; UINT64_MAX: it did not. */
static struct nw_place lacks_from(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    const struct nw_run_member *member = &run->members[sink];
    uint32_t positions = nw_run_appends(run, sink) ? member->recovered.positions_count : 0;
    struct nw_place lowest = {.commit_lsn = UINT64_MAX};

    for (uint32_t p = 0; p < positions; p++) {
        struct nw_behind_list list;

        nw_run_behind_read(member, p, &list);
        for (uint32_t t = 0; t < list.count; t++) {
            const struct nw_behind *one = &list.tables[t];

            if (one->held && nw_place_before(one->place, lowest) &&
                (one->relation_oid == relation_oid || (one->relation_oid == NW_BEHIND_UNFINISHED &&
                                                       is_unfinished(member, relation_oid)))) {
                lowest = one->place;
            }
        }
    }
    return lowest;
}

const char *nw_run_held_before(const struct nw_run *run, uint32_t relation_oid,
                               struct nw_place place)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        if (nw_place_before(lacks_from(run, s, relation_oid), place)) {
            return run->options->sinks[s].name;
        }
    }
    return NULL;
}

/* A table that stopped stopped there, for this sink; one that goes on is copied without it. */
static nw_status loss_say(struct nw_run *run, struct nw_table_trouble *trouble, uint32_t sink,
                          struct nw_error *err)
{
    uint64_t from_lsn = lacks_from(run, sink, trouble->relation_oid).commit_lsn;
    char lsn[NW_LSN_TEXT_SIZE];

    if (trouble->condition == NW_TABLE_STOPPED && from_lsn < trouble->lsn) {
        nw_log(NW_LOG_WARN,
               "NW2515 table %s.%s stopped while its changes waited for a copy: sink %s lacks them "
               "from %s on",
               trouble->schema_name, trouble->table_name, run->options->sinks[sink].name,
               nw_lsn_text(lsn, from_lsn));
        trouble->lsn = from_lsn;
        return nw_tables_set(run->table_states, trouble, err);
    }
    if (trouble->condition == NW_TABLE_ASKED && from_lsn != UINT64_MAX &&
        !is_there(run, from_lsn)) {
        nw_log(NW_LOG_WARN,
               "NW2515 table %s.%s: its changes from %s on waited for a copy, and neither the slot "
               "nor a spool has them any more: it is copied, and rows that were deleted until then "
               "stay at sink %s",
               trouble->schema_name, trouble->table_name, nw_lsn_text(lsn, from_lsn),
               run->options->sinks[sink].name);
    }
    return NW_OK;
}

nw_status nw_run_held_losses(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
            if (nw_run_trouble_is_at(run, &trouble, s)) {
                status = loss_say(run, &trouble, s, err);
            }
        }
    }
    return status;
}

/* ---- while it runs ---- */

bool nw_run_goes_on(const struct nw_run *run, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        int sink = trouble.sink[0] == '\0' ? -1 : nw_run_sink_index(run, trouble.sink);

        if (trouble.relation_oid == relation_oid && trouble.condition != NW_TABLE_DOUBTFUL &&
            trouble.condition != NW_TABLE_ASKED &&
            (trouble.sink[0] == '\0' || (sink >= 0 && nw_run_appends(run, (uint32_t)sink)))) {
            return false;
        }
    }
    return nw_followed_has(run->followed_tables, relation_oid);
}

/* One that waited is followed from its mark on. */
static nw_status asked_record(struct nw_run *run, uint32_t relation_oid, struct nw_error *err)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && trouble.sink[0] == '\0' &&
            trouble.condition == NW_TABLE_WAITING) {
            nw_status status = nw_chosen_set(run->state, relation_oid, NULL, err); /* all rows */

            trouble.condition = NW_TABLE_ASKED;
            return status == NW_OK ? nw_tables_set(run->table_states, &trouble, err) : status;
        }
    }
    return NW_OK;
}

nw_status nw_run_held_record(struct nw_run *run, struct nw_error *err)
{
    const struct nw_run_joins *joins = &run->joins;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < joins->round_count && status == NW_OK; i++) {
        if (joins->round[i].everywhere && nw_run_any_appends(run, joins->round[i].sinks)) {
            status = asked_record(run, joins->round[i].relation_oid, err);
        }
    }
    return status;
}
