/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt decides from what the sinks, the state and the server say: whether they belong
 * together, what is copied, and from where the stream begins. On the main thread.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/slot_make.h"

/* ---- the sinks' positions ---- */

static uint64_t lowest_position(const struct nw_sink_recovered *recovered)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < recovered->positions_count; i++) {
        uint64_t lsn = recovered->positions[i].size == 0 ? 0 : recovered->positions[i].lsn;

        lowest = lsn < lowest ? lsn : lowest;
    }
    return lowest == UINT64_MAX ? 0 : lowest;
}

/* What the server lacks of what a sink has, when that is why it is refused. */
static void extras_say(struct nw_run *run, const struct nw_identity *stored, nw_status refused)
{
    struct nw_session *session = NULL;
    struct nw_error ignored = {0};
    uint64_t fork_lsn = run->server.end_lsn;
    nw_status status = NW_OK;

    if (refused != NW_FATAL) {
        return;
    }
    if (stored->timeline < run->server.identity.timeline) {
        status = nw_server_session(&run->server, true, &session, &ignored);
        if (status == NW_OK) {
            status = nw_replication_switch_lsn(session, run->server.identity.timeline,
                                               stored->timeline, &fork_lsn, &ignored);
        }
        nw_session_close(session);
    }
    if (status == NW_OK) {
        nw_recent_extras_log(run->options->state_folder, stored, fork_lsn);
    }
}

static nw_status position_check(struct nw_run *run, uint32_t index, struct nw_position *position,
                                struct nw_error *err)
{
    const struct nw_identity *here = &run->server.identity;
    struct nw_identity stored;
    nw_status status = NW_OK;

    if (position->size == 0) {
        return NW_OK;
    }
    status = nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &stored,
                                &position->lsn, NULL, err);
    if (status == NW_OK && (stored.system_identifier != here->system_identifier ||
                            stored.database_oid != here->database_oid)) {
        status = nw_fail(err, NW_FATAL,
                         "NW2310 sink %s holds the data of another source (system %" PRIu64
                         ", database %u), not of this one (system %" PRIu64
                         ", database %u): give this source a sink of its own, or, where pg_upgrade "
                         "made it of the other, see narwal adopt",
                         run->options->sinks[index].name, stored.system_identifier,
                         stored.database_oid, here->system_identifier, here->database_oid);
    }
    if (status == NW_OK) {
        status = nw_server_history_check(&run->server, stored.timeline, position->lsn, err);
        extras_say(run, &stored, status);
    }
    return status;
}

/* Positions must be of this very source; gives the LSN of the lowest of each sink. */
static nw_status positions_check(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        struct nw_run_member *member = &run->members[i];

        for (uint32_t p = 0; p < member->recovered.positions_count && status == NW_OK; p++) {
            status = position_check(run, i, &member->recovered.positions[p], err);
        }
        member->lsn = lowest_position(&member->recovered);
        if (status == NW_FATAL && nw_run_attaches(run, i)) {
            return nw_run_attach_failed(run, i, err); /* the others are not to suffer */
        }
    }
    return status;
}

/* The highest position that is of the history that the record is of; 0: there is none. */
static uint64_t highest_recorded(const struct nw_run *run, const struct nw_recent_list *list)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        const struct nw_sink_recovered *recovered = &run->members[i].recovered;

        for (uint32_t p = 0; p < recovered->positions_count; p++) {
            const struct nw_position *position = &recovered->positions[p];
            struct nw_identity stored = {0};
            struct nw_error ignored = {0};
            uint64_t lsn = 0;

            if (position->size != 0 &&
                nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &stored,
                                   &lsn, NULL, &ignored) == NW_OK &&
                stored.system_identifier == list->system_identifier &&
                stored.timeline == list->timeline) {
                highest = lsn > highest ? lsn : highest;
            }
        }
    }
    return highest;
}

/* A server that was set back and has gone on since has the sinks' LSN, and another history. */
static nw_status past_check(struct nw_run *run, struct nw_error *err)
{
    struct nw_recent_list list = {0};
    uint32_t missing = 0;
    char text[600];
    nw_status status = nw_recent_read(run->options->state_folder, &list, err);

    if (status == NW_OK && list.system_identifier == run->server.identity.system_identifier) {
        status = nw_recent_verify(run->server.control, &list, highest_recorded(run, &list),
                                  &missing, err);
        if (status == NW_OK && missing < list.commits_count) {
            status = nw_fail(
                err, NW_FATAL,
                "NW2308 the server does not have %s as it was followed: it was set back to an "
                "earlier state, and has gone on since. Nothing was written. narwal adopt --copy "
                "goes on here, with new copies of all tables",
                nw_recent_text(&list, missing, text, sizeof text));
        }
    }
    nw_recent_fini(&list);
    return status;
}

/* ---- the decision: what is copied, from where the stream begins ---- */

const struct nw_copy_state *nw_run_copy_of(const struct nw_run_member *member, uint32_t oid)
{
    for (uint32_t i = 0; i < member->recovered.copies_count; i++) {
        if (member->recovered.copies[i].relation_oid == oid) {
            return &member->recovered.copies[i];
        }
    }
    return NULL;
}

/* Whether the sink begins with what the stream has, and is copied only what was asked for. */
static bool begins_without(const struct nw_run_member *member)
{
    return member->lsn == 0 && member->run->options->snapshot == NW_SNAPSHOT_NEVER;
}

bool nw_run_table_missing(void *context, const struct nw_table *table)
{
    const struct nw_run_member *member = context;
    struct nw_run *run = member->run;
    uint32_t sink = (uint32_t)(member - run->members);
    const struct nw_copy_state *copy = nw_run_copy_of(member, table->relation_oid);

    if (!member->needs_copy || !nw_run_table_wanted(run, table) ||
        nw_run_left_out(run, sink, table->relation_oid)) {
        return false;
    }
    if (nw_run_table_waits(run, sink, table->relation_oid)) {
        return true;
    }
    if (begins_without(member)) {
        return false;
    }
    /* Of a sink that streams already only those whose copy broke off: the rest it has. */
    return copy == NULL ? member->lsn == 0 : !copy->complete || member->copies_void;
}

/* Whether some sink is to get a copy of this table; context is the run. */
static bool missing_anywhere(void *context, const struct nw_table *table)
{
    struct nw_run *run = context;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (nw_run_table_missing(&run->members[i], table)) {
            return true;
        }
    }
    return false;
}

/* Whether the sink lacks a whole copy of a wanted table, or there is none to have. */
static bool copies_missing(struct nw_run *run, struct nw_run_member *member)
{
    bool missing =
        member->lsn == 0 && nw_schemas_count(run->schemas) == 0 && !begins_without(member);

    member->needs_copy = true;
    for (uint32_t i = 0; i < nw_schemas_count(run->schemas); i++) {
        missing = missing || nw_run_table_missing(member, nw_schemas_at(run->schemas, i));
    }
    return missing;
}

/* From where on a copy needs the stream; UINT64_MAX: it begins again, under a fence to come. */
static nw_status copy_need(struct nw_run_member *member, const struct nw_copy_state *copy,
                           uint64_t *need_lsn, struct nw_error *err)
{
    struct nw_copy_progress progress = {.origin = {.fence_lsn = UINT64_MAX}};
    nw_status status = NW_OK;

    if (copy->complete && !member->copies_void &&
        !nw_run_table_waits(member->run, (uint32_t)(member - member->run->members),
                            copy->relation_oid)) {
        status = nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, err);
    } else if (!nw_run_copy_resumes(member, copy, &progress)) {
        progress.origin.fence_lsn = UINT64_MAX;
    }
    *need_lsn = progress.origin.fence_lsn;
    return status;
}

/*
 * A sink without a position needs the stream from the lowest fence on of its copies that are whole
 * or gone on with, however far other sinks have come. The others' fence is still to come.
 */
static nw_status need_decide(struct nw_run_member *member, struct nw_error *err)
{
    uint64_t lowest = UINT64_MAX;
    uint64_t copied_lsn = 0;
    nw_status status = NW_OK;

    member->need_lsn = member->lsn;
    if (member->need_lsn != 0) {
        member->need_lsn = nw_run_held_need(member, member->need_lsn);
        return NW_OK;
    }
    for (uint32_t i = 0; i < member->recovered.copies_count && status == NW_OK; i++) {
        uint64_t need_lsn = UINT64_MAX;

        status = copy_need(member, &member->recovered.copies[i], &need_lsn, err);
        lowest = need_lsn < lowest ? need_lsn : lowest;
    }
    copied_lsn = nw_run_copied_from(member);
    lowest = copied_lsn != 0 && copied_lsn < lowest ? copied_lsn : lowest;
    member->need_lsn =
        lowest == UINT64_MAX && (!member->needs_copy || begins_without(member)) ? 0 : lowest;
    return status;
}

bool nw_run_streams(const struct nw_run *run)
{
    bool found = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        found = found || run->members[i].lsn != 0;
    }
    return found && run->options->snapshot != NW_SNAPSHOT_ONLY;
}

static nw_status copies_decide(struct nw_run *run, struct nw_error *err)
{
    bool streams = nw_run_streams(run);
    bool joins = streams || run->options->snapshot == NW_SNAPSHOT_NEVER;
    nw_status status = nw_run_news_plan(run, streams, err);

    if (status == NW_OK) {
        status = nw_state_copying_read(run->state, run->server.identity.slot_name,
                                       &run->copying_lsn, err);
    }
    run->any_copy = false;
    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        struct nw_run_member *member = &run->members[i];

        member->needs_copy = copies_missing(run, member);
        member->copies_void = member->needs_copy && member->lsn == 0 && nw_run_copies_end(run) &&
                              !begins_without(member);
        run->any_copy = run->any_copy || (member->needs_copy && !joins);
        status = need_decide(member, err);
    }
    if (status == NW_OK && !run->any_copy && run->copying_lsn != 0) {
        status = nw_state_copying_end(run->state, err); /* the sink that had it is left out */
    }
    return status == NW_OK && joins ? nw_run_joins_plan(run, err) : status;
}

/* The lowest position of the sinks that have one; UINT64_MAX: none has. */
static uint64_t lowest_lsn(const struct nw_run *run)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->members[i].lsn != 0 && run->members[i].lsn < lowest) {
            lowest = run->members[i].lsn;
        }
    }
    return lowest;
}

/* The lowest LSN that a sink is known to need; UINT64_MAX: none. */
static uint64_t lowest_need(const struct nw_run *run)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->members[i].need_lsn != 0 && run->members[i].need_lsn < lowest) {
            lowest = run->members[i].need_lsn;
        }
    }
    return lowest;
}

/* Whether a sink, new and without a copy, takes what the slot has. */
static bool takes_all(const struct nw_run *run)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->members[i].need_lsn == 0) {
            return true;
        }
    }
    return false;
}

/* What the sinks already hold makes a missing slot a gap, not a beginning. */
static bool sinks_hold_data(const struct nw_run *run)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->members[i].need_lsn != 0 && run->members[i].need_lsn != UINT64_MAX) {
            return true;
        }
    }
    return false;
}

/* Nothing is known of what was acknowledged: the sinks have to have all of it. */
static nw_status stateless_check(const struct nw_run *run, uint64_t confirmed_lsn,
                                 struct nw_error *err)
{
    uint64_t lowest = lowest_need(run);
    char confirmed[NW_LSN_TEXT_SIZE];
    char wanted[NW_LSN_TEXT_SIZE];

    if (!run->slot_found || !sinks_hold_data(run) || lowest >= confirmed_lsn) {
        return NW_OK;
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2307 slot %s stands at %s, the sinks have everything up to %s only, and there is no "
        "state "
        "of narwal's in %s: either narwal ran on another host, whose spool has the changes between "
        "(start it there, or bring its state folder here), or the slot was made again or moved by "
        "someone. Nothing was written. To begin again with a new copy: drop the slot and move the "
        "sinks' former data away",
        run->options->server.slot_name, nw_lsn_text(confirmed, confirmed_lsn),
        nw_lsn_text(wanted, lowest), run->options->state_folder);
}

static nw_status state_check(struct nw_run *run, uint64_t confirmed_lsn, struct nw_error *err)
{
    const struct nw_identity *here = &run->server.identity;
    const struct nw_identity *known = &run->source.identity;
    char confirmed[NW_LSN_TEXT_SIZE];
    char acknowledged[NW_LSN_TEXT_SIZE];

    if (!run->source.known) {
        return stateless_check(run, confirmed_lsn, err);
    }
    if (known->system_identifier != here->system_identifier ||
        known->database_oid != here->database_oid) {
        return nw_fail(
            err, NW_FATAL,
            "NW2004 the state in %s is of another source (system %" PRIu64
            ", database %u): give this source a name of its own, or remove that folder, or "
            "see narwal adopt, where pg_upgrade made it of the other",
            run->options->state_folder, known->system_identifier, known->database_oid);
    }
    if (run->slot_found && strcmp(known->slot_name, here->slot_name) == 0 && sinks_hold_data(run) &&
        confirmed_lsn > run->source.acknowledged_lsn && lowest_need(run) < confirmed_lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW2307 slot %s stands at %s, and narwal acknowledged only up to %s: it was made again "
            "or moved by someone, and the changes between are gone. Nothing was written. To "
            "begin again with a new copy: drop the slot and move the sinks' former data "
            "away",
            here->slot_name, nw_lsn_text(confirmed, confirmed_lsn),
            nw_lsn_text(acknowledged, run->source.acknowledged_lsn));
    }
    return NW_OK;
}

/* There is no slot: whether one may be made. */
static nw_status slot_missing(const struct nw_run *run, struct nw_error *err)
{
    const char *name = run->options->server.slot_name;

    if (sinks_hold_data(run) && run->server.in_recovery) {
        return nw_fail(err, run->followed ? NW_RETRY : NW_FATAL,
                       "NW2306 the server is a standby that does not have slot %s: %s", name,
                       run->followed ? "waiting for its promotion, or for the primary"
                                     : "follow the primary. Nothing was written");
    }
    if (sinks_hold_data(run)) {
        return nw_fail(
            err, NW_FATAL,
            "NW2301 slot %s is gone, and with it the changes since the last that the sinks have. "
            "Nothing was written. To begin again with a new copy: move the sinks' former "
            "data away",
            name);
    }
    if (!run->options->server.create_slot) {
        return nw_fail(
            err, NW_FATAL,
            "NW1215 there is no slot %s, and slot.create is false: let a DBA make it with SELECT "
            "pg_create_logical_replication_slot('%s', 'pgoutput'), or allow narwal to",
            name, name);
    }
    return NW_OK;
}

/* Looks at the slot, and decides from where the stream begins. */
static nw_status slot_decide(struct nw_run *run, struct nw_error *err)
{
    uint64_t lowest = lowest_need(run);
    uint64_t lsn = lowest == UINT64_MAX ? 0 : lowest;
    nw_status status = state_check(run, run->confirmed_lsn, err);

    if (status == NW_OK) {
        status = nw_run_spool_find(run, lowest, err);
    }
    lsn = run->spool != NULL ? nw_run_spool_end(run) : lsn;
    if (status == NW_OK && run->slot_found) {
        status =
            nw_server_slot_check(&run->server, run->server.control, &lsn, &run->slot_found, err);
    }
    if (status != NW_OK) {
        return status;
    }
    run->start_lsn = takes_all(run) && run->spool == NULL ? run->confirmed_lsn : lsn;
    if (run->backlogs_count + run->aparts_count > 0 && run->slot_found &&
        run->start_lsn > run->confirmed_lsn) {
        run->start_lsn = run->confirmed_lsn; /* what was kept may end before the sinks' positions */
    }
    if (run->options->snapshot == NW_SNAPSHOT_ONLY) {
        return NW_OK; /* nothing is streamed */
    }
    return run->slot_found ? NW_OK : slot_missing(run, err);
}

/* From where it streams; and what of it is gone, which only the source that is known can say. */
static nw_status source_decide(struct nw_run *run, struct nw_error *err)
{
    nw_status status = slot_decide(run, err);

    if (status == NW_OK) {
        status = nw_run_waiting_check(run, err);
    }
    return status == NW_OK ? nw_run_absent_check(run, err) : status;
}

/* Makes the slot when nothing is copied: the stream simply begins where it is made. */
static nw_status slot_make(struct nw_run *run, struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_slot_created created = {0};
    nw_status status = nw_server_session(&run->server, true, &session, err);

    if (status == NW_OK) {
        status = nw_slot_make(&run->server, &run->server.options.connection, session, false,
                              &created, err);
    }
    nw_session_close(session);
    run->start_lsn = created.consistent_lsn;
    return status;
}

struct nw_conductor_options nw_run_conductor_options(struct nw_run *run)
{
    return (struct nw_conductor_options){
        .server = &run->server,
        .workers_count = run->options->copy_workers,
        .chunk_bytes = run->options->copy_chunk_bytes,
        .lock_timeout_us = run->options->lock_timeout_us,
        .wanted = missing_anywhere,
        .project = nw_run_table_project,
        .former = nw_run_former,
        .choose = nw_run_choose,
        .fails = nw_run_choice_fails,
        .idle = nw_run_idle,
        .context = run,
        .paused = &run->copy_paused,
    };
}

static nw_status conductor_make(struct nw_run *run, struct nw_error *err)
{
    struct nw_conductor_options options = nw_run_conductor_options(run);
    bool only_copies = lowest_need(run) == UINT64_MAX && !takes_all(run);
    nw_status status = NW_OK;

    options.generation = ++run->source.generation;
    options.make_slot = !run->slot_found && run->options->snapshot != NW_SNAPSHOT_ONLY;
    options.watch_slot = run->options->snapshot != NW_SNAPSHOT_ONLY;
    status = nw_run_copies_unseen(run, missing_anywhere, err);
    if (status == NW_OK) {
        status = nw_conductor_create(&options, &run->conductor, err);
    }
    if (status == NW_OK) {
        nw_run_copies_note(run);
    }
    run->fence_waits[0] = '\0';

    /*
     * Of a slot that exists nobody needs what was before the copy. It must not be asked for either:
     * a slot that is older than the publication cannot be decoded from where it stands.
     */
    if (status == NW_OK && (!run->slot_found || only_copies)) {
        run->start_lsn = nw_conductor_fence_lsn(run->conductor);
        nw_schemas_place_all(run->schemas); /* as the snapshot saw them, and nothing before it */
    }
    return status == NW_OK ? nw_run_joining_note(run, err) : status;
}

/* The state knows the source before anything is done there. */
static nw_status state_write(struct nw_run *run, struct nw_error *err)
{
    run->source.known = true;
    run->source.identity = run->server.identity;
    if (run->start_lsn > run->source.acknowledged_lsn || !run->slot_found) {
        run->source.acknowledged_lsn = run->start_lsn;
    }
    if (run->any_copy) {
        bool again = run->slot_found && run->copying_lsn != 0; /* then the first one counts */
        nw_status status =
            nw_state_copying_write(run->state, run->server.identity.slot_name,
                                   again ? run->copying_lsn : nw_run_stream_lsn(run), err);

        if (status != NW_OK) {
            return status;
        }
    }
    return nw_state_source_write(run->state, &run->source, err);
}

/* Every rule against every table before anything is done; what meets nothing is likely a mistake.
 */
static nw_status transforms_check(struct nw_run *run, struct nw_error *err)
{
    struct nw_transform_use use;
    const char *text = NULL;
    uint32_t at = 0;
    nw_status status = nw_transform_use_init(&use, run->options->transforms, &run->arena, err);

    for (uint32_t i = 0; i < nw_schemas_count(run->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);
        const struct nw_projection *ignored = NULL;

        if (nw_run_table_wanted(run, table)) {
            nw_transform_use_table(&use, table);
            status = nw_run_table_project(run, table, &ignored, err);
        }
        if (status == NW_REJECT) { /* later it is the stream that stops the table, at its place */
            status = run->status.attempts > 1 ? NW_OK : (err->status = NW_FATAL);
        }
    }
    while (status == NW_OK && (text = nw_transform_use_unmet(&use, &at)) != NULL) {
        nw_log(NW_LOG_WARN, "%s", text);
    }
    return status;
}

static void unmet_log(void *context, const char *text)
{
    const struct nw_run_sink *sink = context;

    nw_log(NW_LOG_WARN, "NW1318 sink %s: %s", sink->name, text);
}

/* The same of what sinks' options name. Said once: tables may come later. */
static nw_status options_check(struct nw_run *run, struct nw_error *err)
{
    size_t most = nw_schemas_count(run->schemas) + 1u;
    const struct nw_table **tables = nw_arena_array(&run->arena, most, sizeof *tables);
    uint32_t count = 0;

    if (tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu tables", most);
    }
    for (uint32_t i = 0; i + 1u < most; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);
        const struct nw_projection *projection = NULL;
        struct nw_error ignored = {0};

        if (nw_run_table_wanted(run, table) &&
            nw_run_table_project(run, table, &projection, &ignored) == NW_OK) {
            tables[count++] = nw_table_seen(table, projection);
        }
    }
    for (uint32_t i = 0; i < run->options->sinks_count && run->status.attempts <= 1; i++) {
        const struct nw_run_sink *sink = &run->options->sinks[i];

        nw_plugin_unmet(sink->plugin, sink->config, tables, count, unmet_log,
                        (void *)(uintptr_t)sink);
    }
    return NW_OK;
}

static nw_status tables_register(struct nw_run *run, struct nw_error *err)
{
    nw_status status =
        nw_server_tables(&run->server, run->server.control, &run->arena, &run->tables, err);

    if (status == NW_OK) {
        status = nw_server_register(&run->server, &run->tables, &run->arena, err);
    }
    if (status == NW_OK) {
        status = transforms_check(run, err);
    }
    return status == NW_OK ? options_check(run, err) : status;
}

/* Whether it is the sinks' source, and which of its tables are published. */
static nw_status source_look(struct nw_run *run, struct nw_error *err)
{
    nw_status status = positions_check(run, err);

    if (status == NW_OK) {
        status = past_check(run, err);
    }
    if (status == NW_OK) {
        struct nw_publication_options publication = run->options->server.publication;

        publication.first = lowest_lsn(run) == UINT64_MAX;
        publication.extend = run->options->new_tables == NW_NEW_TABLES_COPY;
        publication.adds = nw_run_news_unpublished;
        publication.context = run;
        run->server.schemas = run->schemas;
        status = nw_publications_ensure(run->server.control, &publication,
                                        &run->server.publications, err);
    }
    if (status == NW_OK) {
        status = tables_register(run, err);
    }
    return status == NW_OK ? nw_run_ahead_check(run, err) : status;
}

/* Connects, and learns which server it is. */
static nw_status server_find(struct nw_run *run, struct nw_error *err)
{
    struct nw_server_options server = run->options->server;
    nw_status status = NW_OK;

    server.connection.stopping = nw_run_stops;
    server.connection.stopping_context = run;
    server.connection.known = run->connected;
    server.followed = run->followed;
    server.claim = run->claim;
    status = nw_server_open(&run->server, &server, err);
    run->server_open = status == NW_OK;
    run->connected = run->connected || run->server_open;
    run->server.options.connection.known = run->connected;
    if (status == NW_OK) {
        (void)snprintf(run->host, sizeof run->host, "%s", nw_session_host(run->server.control));
        status = nw_run_until_find(run, err);
    }
    return status;
}

static nw_status slot_find(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_server_slot_check(&run->server, run->server.control, &run->confirmed_lsn,
                                            &run->slot_found, err);

    run->slot_stays = run->slot_found;
    run->publication_stays = run->options->server.publication.create;
    return status;
}

/* Server, sinks, slot: nobody else is there, and they belong together. */
static nw_status all_find(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_run_own(run, err);

    /* The server's end is read behind that: then no sink is further. */
    if (status == NW_OK) {
        status = server_find(run, err);
    }
    /* Frozen since, it may have lost its place, and would throw out who has it now. */
    if (status == NW_OK) {
        status = nw_claim_confirm(run->claim, nw_run_stops, run, err);
    }
    if (status == NW_OK) {
        status = nw_run_sinks_open(run, err);
    }
    if (status == NW_OK) {
        status = source_look(run, err);
    }
    if (status == NW_OK) {
        status = slot_find(run, err);
    }
    return status == NW_OK ? nw_run_stale_check(run, err) : status;
}

/* Who comes back, what was kept, and what is copied. */
static nw_status sinks_decide(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_run_spool_peek(run, err);

    if (status == NW_OK) {
        status = nw_run_attach(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_backlogs_find(run, err);
    }
    return status == NW_OK ? copies_decide(run, err) : status;
}

nw_status nw_run_decide(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    run->confirmed_lsn = 0;
    run->slot_found = false;
    status = all_find(run, err);
    if (status == NW_OK) {
        status = sinks_decide(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_copies_resolve(run, err);
    }
    if (status == NW_OK) {
        status = source_decide(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_timeline_follow(run, err);
    }
    if (status == NW_OK && nw_run_stopping(run)) {
        return nw_fail(err, NW_RETRY, "NW2005 stopped before it began");
    }
    if (status == NW_OK && run->any_copy) {
        status = conductor_make(run, err);
    } else if (status == NW_OK && !run->slot_found && run->options->snapshot != NW_SNAPSHOT_ONLY) {
        status = slot_make(run, err);
    }
    if (status == NW_OK) {
        run->slot_stays = run->options->snapshot != NW_SNAPSHOT_ONLY || run->slot_found;
        status = nw_run_spool_begin(run, err);
    }
    status = status == NW_OK ? state_write(run, err) : status;
    return status == NW_OK ? nw_run_attached(run, err) : status;
}
