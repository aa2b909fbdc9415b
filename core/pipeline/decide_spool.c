/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt does with the spool that a former one left, and whether it begins one. What was
 * spooled and acknowledged exists nowhere else, so a spool that some sink needs must be whole. On
 * the main thread.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>

#include "base/log.h"
#include "pg/lsn.h"

#define REPAIR                                                                                     \
    "Nothing was written. Bring the folder back, or begin again with a new copy: drop the slot "   \
    "and "                                                                                         \
    "move the sinks' former data away"
#define PROGRESS_NS 2000000000LL

static void progress_say(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
    struct nw_run *run = context;
    int64_t now_ns = run->env->ops->now_ns(run->env);

    if (now_ns - run->spool_said_ns >= PROGRESS_NS) {
        run->spool_said_ns = now_ns;
        nw_log(NW_LOG_INFO, "checking the spool: %" PRIu64 " of %" PRIu64 " MiB", done_bytes >> 20,
               all_bytes >> 20);
    }
}

static bool stops(void *context)
{
    nw_run_alive(context);
    return nw_run_stopping(context);
}

static struct nw_spool_options options_of(struct nw_run *run)
{
    return (struct nw_spool_options){.env = run->env,
                                     .folder = run->options->spool_folder,
                                     .identity = run->server.identity,
                                     .quota_bytes = run->options->spool_bytes,
                                     .progress = progress_say,
                                     .stopping = stops,
                                     .context = run};
}

nw_status nw_run_spool_peek(struct nw_run *run, struct nw_error *err)
{
    struct nw_spool_options options = options_of(run);

    run->left_lsn = UINT64_MAX;
    return nw_run_any_appends(run, UINT32_MAX) ? nw_spool_peek(&options, &run->left_lsn, err)
                                               : NW_OK;
}

static nw_status spool_missing(const struct nw_run *run, uint64_t need_lsn, uint64_t until_lsn,
                               struct nw_error *err)
{
    char need[NW_LSN_TEXT_SIZE];
    char until[NW_LSN_TEXT_SIZE];

    return nw_fail(
        err, NW_FATAL,
        "NW2505 the sinks have everything up to %s, the server may have forgotten what was before "
        "%s, and there is no spool in %s that has what is between: the changes between "
        "are gone, or a sink was set back. " REPAIR,
        nw_lsn_text(need, need_lsn), nw_lsn_text(until, until_lsn), run->options->spool_folder);
}

/* Opens the spool, without which some sink cannot go on. */
static nw_status spool_open(struct nw_run *run, uint64_t need_lsn, uint64_t until_lsn,
                            struct nw_error *err)
{
    struct nw_spool_options options = options_of(run);
    struct nw_spool_status found;
    char need[NW_LSN_TEXT_SIZE];
    char first[NW_LSN_TEXT_SIZE];
    nw_status status = nw_spool_open(&options, until_lsn, &run->spool, err);

    if (status != NW_OK) {
        return status;
    }
    if (run->spool == NULL) {
        /* The server cannot forget what we did not acknowledge: then the slot is another. */
        return run->source.known && run->source.acknowledged_lsn >= run->confirmed_lsn
                   ? spool_missing(run, need_lsn, until_lsn, err)
                   : NW_OK;
    }
    nw_spool_status(run->spool, &found);
    if (found.first_lsn > need_lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW2505 the sinks have everything up to %s, and the spool in %s begins at %s: the "
            "changes between are gone. " REPAIR,
            nw_lsn_text(need, need_lsn), run->options->spool_folder,
            nw_lsn_text(first, found.first_lsn));
    }
    /* A server that was promoted without all of that went on without what the sinks would get. */
    status = nw_server_history_check(&run->server, found.timeline, found.end_lsn, err);
    if (status != NW_OK) {
        return status;
    }
    run->spool_lsn = found.first_lsn;
    nw_log(NW_LOG_INFO, "going on with the spool of the former run: %" PRIu64 " MiB from %s",
           found.bytes >> 20, nw_lsn_text(first, found.first_lsn));
    return NW_OK;
}

/*
 * No sink needs it. But the server may have been told by it of more than backlogs had synced, so
 * what is there is dealt again for them; when it cannot be, what was kept of their tables is of no
 * use.
 */
static nw_status spool_open_for_backlogs(struct nw_run *run, uint64_t until_lsn,
                                         struct nw_error *err)
{
    struct nw_spool_options options = options_of(run);
    struct nw_spool_status found;
    struct nw_error why = {0};

    if (run->backlogs_count == 0) {
        return NW_OK;
    }
    if (nw_spool_open(&options, until_lsn, &run->spool, &why) != NW_OK) {
        if (nw_run_stopping(run)) {
            return nw_fail(err, NW_RETRY, "NW2005 stopped before it began");
        }
        return nw_run_backlogs_give_up(
            run,
            "NW2515 what was kept of it may lack changes that only the spool had, which is damaged",
            err);
    }
    if (run->spool != NULL) {
        nw_status status = NW_OK;

        nw_spool_status(run->spool, &found);
        run->spool_lsn = found.first_lsn;
        status = nw_server_history_check(&run->server, found.timeline, found.end_lsn, &why);
        if (status == NW_FATAL) { /* its end is not of this server's history */
            nw_spool_destroy(run->spool);
            run->spool = NULL;
            return nw_run_backlogs_give_up(
                run,
                "NW2515 what was kept of it may lack changes that only the spool had, which has "
                "some that the server, promoted since, never had",
                err);
        }
        *err = why;
        return status;
    }
    return NW_OK;
}

nw_status nw_run_spool_find(struct nw_run *run, uint64_t need_lsn, struct nw_error *err)
{
    uint64_t until_lsn = run->confirmed_lsn;

    run->spool = NULL;
    if (run->options->snapshot == NW_SNAPSHOT_ONLY || !run->slot_found) {
        return NW_OK;
    }
    if (run->source.known && run->source.acknowledged_lsn > until_lsn) {
        until_lsn = run->source.acknowledged_lsn;
    }
    /* What the server still has, or nobody needs, is received again, or not at all. */
    return need_lsn >= run->confirmed_lsn ? spool_open_for_backlogs(run, until_lsn, err)
                                          : spool_open(run, need_lsn, until_lsn, err);
}

nw_status nw_run_spool_begin(struct nw_run *run, struct nw_error *err)
{
    struct nw_spool_options options = options_of(run);
    nw_status status = NW_OK;

    if (run->spool != NULL || run->options->snapshot == NW_SNAPSHOT_ONLY) {
        return NW_OK;
    }
    status = nw_spool_discard(&options, err); /* nothing was refused: nobody needs what there is */
    if (status != NW_OK || !run->any_copy || !run->options->ack_spool) {
        return status;
    }
    run->spool_lsn = run->start_lsn;
    return nw_spool_begin(&options, run->start_lsn, &run->spool, err);
}

uint64_t nw_run_stream_lsn(const struct nw_run *run)
{
    return run->spool != NULL ? run->spool_lsn : run->start_lsn;
}

uint64_t nw_run_spool_end(const struct nw_run *run)
{
    struct nw_spool_status found;

    if (run->spool == NULL) {
        return 0;
    }
    nw_spool_status(run->spool, &found);
    return found.end_lsn;
}
