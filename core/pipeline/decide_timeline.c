/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that was promoted, and goes on with all that the sinks' positions say: whether it also
 * has what a sink has beyond them, which its copies and committed parts of transactions are. Once
 * that is so the positions are committed anew with the name of its timeline, before anything of it
 * is sent. So what a sink has beyond a position is always of the timeline that the position names.
 * On the main thread.
 */
#include "base/crash.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/run_private.h"

/* Of which history the sink's data is: the oldest timeline of its positions, or, while it has none,
 * what the state knows. false: nothing says it. */
static bool timeline_of(const struct nw_run *run, const struct nw_run_member *member,
                        uint32_t *timeline)
{
    bool found = false;

    for (uint32_t p = 0; p < member->recovered.positions_count; p++) {
        const struct nw_position *position = &member->recovered.positions[p];
        struct nw_identity stored = {0};
        struct nw_error ignored = {0};
        uint64_t lsn = 0;

        if (position->size != 0 &&
            nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &stored, &lsn,
                               NULL, &ignored) == NW_OK) {
            *timeline = found && *timeline < stored.timeline ? *timeline : stored.timeline;
            found = true;
        }
    }
    if (!found && run->source.known) {
        *timeline = run->source.identity.timeline;
        found = true;
    }
    return found;
}

/* From where on the sink needs the history, and nothing before it: behind its parts and the copies
 * of tables that there are. One that broke off counts where it may be gone on with. */
static nw_status reach_of(const struct nw_run *run, const struct nw_run_member *member,
                          uint64_t *reach_lsn, struct nw_error *err)
{
    uint64_t ahead_lsn = member->recovered.ahead_lsn;
    nw_status status = NW_OK;

    *reach_lsn = ahead_lsn == 0 ? 0 : ahead_lsn + 1; /* that commit itself */
    for (uint32_t c = 0; c < member->recovered.copies_count && status == NW_OK; c++) {
        const struct nw_copy_state *copy = &member->recovered.copies[c];
        struct nw_copy_progress progress = {0};

        if ((!copy->complete && member->lsn != 0) ||
            nw_schemas_find(run->schemas, copy->relation_oid) == NULL) {
            continue;
        }
        status = nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, err);
        if (status == NW_OK && progress.origin.fence_lsn > *reach_lsn) {
            *reach_lsn = progress.origin.fence_lsn;
        }
    }
    return status;
}

nw_status nw_run_ahead_check(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        const struct nw_run_member *member = &run->members[i];
        uint64_t reach_lsn = 0;
        uint32_t timeline = 0;

        if (!timeline_of(run, member, &timeline)) {
            continue;
        }
        status = reach_of(run, member, &reach_lsn, err);
        if (status == NW_OK && reach_lsn > member->lsn) {
            status = nw_server_history_check(&run->server, timeline, reach_lsn, err);
        }
        if (status == NW_FATAL && nw_run_attaches(run, i)) {
            return nw_run_attach_failed(run, i, err); /* the others are not to suffer */
        }
    }
    return status;
}

/* The same place, in the words of this server. @param bytes  NW_POSITION_BYTES_MAX */
static nw_status rename_position(const struct nw_run *run, const struct nw_position *position,
                                 uint8_t *bytes, struct nw_position *renamed, bool *former,
                                 struct nw_error *err)
{
    struct nw_identity stored = {0};
    struct nw_behind_list behind = {0};
    uint64_t lsn = 0;
    nw_status status = NW_OK;

    *renamed = *position;
    if (position->size == 0) {
        return NW_OK;
    }
    status = nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &stored, &lsn,
                                &behind, err);
    if (status == NW_OK && stored.timeline != run->server.identity.timeline) {
        *former = true;
        renamed->bytes = bytes;
        renamed->size = nw_position_pack(&run->server.identity, lsn, &behind, bytes);
        renamed->lsn = lsn;
    }
    return status;
}

/* @param renamed  set, if some position was of another timeline */
static nw_status member_rename(struct nw_run *run, uint32_t index, bool *renamed,
                               struct nw_error *err)
{
    struct nw_run_member *member = &run->members[index];
    uint32_t count = member->recovered.positions_count;
    struct nw_position *positions = nw_arena_array(&run->arena, count + 1u, sizeof *positions);
    uint8_t *bytes = nw_arena_array(&run->arena, count + 1u, NW_POSITION_BYTES_MAX);
    bool former = false;
    nw_status status = NW_OK;

    if (positions == NULL || bytes == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u positions", count);
    }
    for (uint32_t p = 0; p < count && status == NW_OK; p++) {
        status =
            rename_position(run, &member->recovered.positions[p],
                            bytes + (size_t)p * NW_POSITION_BYTES_MAX, &positions[p], &former, err);
    }
    if (status == NW_OK && former) {
        status = nw_sink_restate(member->sink, positions, count, err);
        nw_crash_point("restate");
        *renamed = true;
    }
    if (status == NW_RETRY && nw_run_attaches(run, index)) {
        return nw_run_attach_failed(run, index, err);
    }
    return status;
}

nw_status nw_run_timeline_follow(struct nw_run *run, struct nw_error *err)
{
    bool renamed = false;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        status = member_rename(run, i, &renamed, err);
    }
    if (status != NW_OK || !renamed) {
        return status;
    }
    nw_log(NW_LOG_INFO, "the server was promoted, and has all that the sinks have: timeline %u",
           run->server.identity.timeline);
    run->anew = true; /* they are opened again, and say what they have */
    return nw_fail(err, NW_RETRY, "NW2308 the sinks are opened again at the promoted server");
}
