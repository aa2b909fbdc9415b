/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that broke off in a former attempt: which of them may be gone on with, what of them all
 * sinks have, and what sinks and sequencers are told. Whether a table's plan does go on is decided
 * by what it is made of, see copy_resume.h; a new generation follows where it does not. On the main
 * thread.
 */
#include "pipeline/run_private.h"

bool nw_run_copies_end(const struct nw_run *run)
{
    return !run->slot_found || run->options->snapshot == NW_SNAPSHOT_ONLY;
}

bool nw_run_copy_resumes(struct nw_run_member *member, const struct nw_copy_state *copy,
                         struct nw_copy_progress *progress)
{
    struct nw_run *run = member->run;
    uint32_t sink = (uint32_t)(member - run->members);
    const struct nw_table *table = nw_schemas_find(run->schemas, copy->relation_oid);
    struct nw_error ignored = {0};

    if (copy->complete || table == NULL || nw_run_copies_end(run) || nw_run_streams(run) ||
        !nw_run_table_missing(member, table) || nw_run_table_waits(run, sink, copy->relation_oid)) {
        return false;
    }
    /* All of the stream from its fence on is still to come to this sink. */
    return nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, progress, &ignored) ==
               NW_OK &&
           progress->origin.xmin != 0 && progress->ranges_count > 0 &&
           member->lsn <= progress->origin.fence_lsn;
}

/* The same for the copy of one table, if the sink has one. */
static bool table_resumes(struct nw_run_member *member, uint32_t oid, struct nw_copy_former *former)
{
    const struct nw_copy_state *copy = nw_run_copy_of(member, oid);

    if (copy == NULL || !nw_run_copy_resumes(member, copy, &former->progress)) {
        return false;
    }
    former->generation = copy->generation;
    return true;
}

bool nw_run_former(void *context, const struct nw_table *table, struct nw_copy_former *former)
{
    struct nw_run *run = context;
    bool any = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        struct nw_copy_former one;

        if (!nw_run_table_missing(&run->members[i], table)) {
            continue;
        }
        if (!table_resumes(&run->members[i], table->relation_oid, &one) ||
            (any && one.generation != former->generation)) {
            return false;
        }
        if (any) {
            nw_copy_progress_meet(&former->progress, &one.progress);
        } else {
            *former = one;
        }
        any = true;
    }
    return any;
}

nw_status nw_run_copies_resolve(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        struct nw_run_member *member = &run->members[i];

        for (uint32_t c = 0; c < member->recovered.copies_count && status == NW_OK; c++) {
            const struct nw_copy_state *copy = &member->recovered.copies[c];
            struct nw_copy_progress progress;

            if (copy->generation > run->source.generation) {
                run->source.generation = copy->generation;
            }
            if (!copy->complete) {
                status = nw_sink_resolve(
                    member->sink, copy->relation_oid, copy->generation,
                    nw_run_copy_resumes(member, copy, &progress) ? NW_COPY_RESUME : NW_COPY_DISCARD,
                    err);
            }
        }
    }
    return status;
}

nw_status nw_run_copies_resume(struct nw_run *run, uint32_t sink, struct nw_error *err)
{
    struct nw_run_member *member = &run->members[sink];
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < member->recovered.copies_count && status == NW_OK; c++) {
        const struct nw_copy_state *copy = &member->recovered.copies[c];
        struct nw_copy_progress progress;

        if (nw_run_copy_resumes(member, copy, &progress)) {
            status = nw_sequencer_resume(nw_engine_sequencer(run->engine, sink), copy->relation_oid,
                                         copy->generation, &progress, err);
        }
    }
    return status;
}
