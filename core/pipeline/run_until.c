/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a run ends or rests: what is durable at each sink, told as it changes to those who wait for
 * it; a run that ends at an LSN; one that is paused. On the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/run_private.h"

/* Behind everything that has committed. An LSN right behind a page's header is that page's begin,
 * beyond which the server says nothing until something is written there. */
static const char END[] =
    "SELECT CASE WHEN at % segment = 40 THEN at - 40 WHEN at % block = 24 THEN at - 24 ELSE at END "
    "FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
    "pg_catalog.pg_last_wal_replay_lsn() "
    "ELSE pg_catalog.pg_current_wal_insert_lsn() END - '0/0'::pg_catalog.pg_lsn AS at, "
    "(SELECT setting::numeric FROM pg_catalog.pg_settings WHERE name = 'wal_block_size') AS block, "
    "(SELECT setting::numeric FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size') AS "
    "segment) e";

static nw_status end_try(struct nw_run *run, uint64_t *lsn, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_server_control_open(&run->server, err);

    if (status == NW_OK) {
        status = nw_session_query(run->server.control, END, NULL, 0, NULL, &rows, err);
    }
    if (status == NW_OK) {
        *lsn = nw_rows_u64(rows, 0, 0);
    } else if (status == NW_RETRY) { /* whoever asks next opens it */
        nw_session_close(run->server.control);
        run->server.control = NULL;
    }
    nw_rows_free(rows);
    return status;
}

/* A session that broke while nobody needed it shows it now. */
static nw_status end_read(struct nw_run *run, uint64_t *lsn, struct nw_error *err)
{
    bool open = run->server.control != NULL;
    nw_status status = end_try(run, lsn, err);

    return status == NW_RETRY && open ? end_try(run, lsn, err) : status;
}

bool nw_run_lsn_answer(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    char text[NW_LSN_TEXT_SIZE];
    struct nw_error why = {0};
    uint64_t lsn = 0;

    if (line == NULL || strcmp(line, "lsn") != 0) {
        return false;
    }
    if (end_read(run, &lsn, &why) == NW_OK) {
        run->options->answer(run->options->context, true, nw_lsn_text(text, lsn));
    } else {
        run->options->answer(run->options->context, false, why.text);
    }
    return true;
}

bool nw_run_rests(const struct nw_run *run)
{
    return run->paused ||
           (run->options->renews != NULL && run->options->renews(run->options->context));
}

bool nw_run_pause_answer(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    bool pauses = line != NULL && strcmp(line, "pause") == 0;
    char text[NW_ERROR_TEXT_SIZE];

    if (nw_run_sink_command(run, line)) {
        return true;
    }
    if (!pauses && (line == NULL || strcmp(line, "resume") != 0)) {
        return false;
    }
    if (pauses == run->paused) {
        (void)snprintf(text, sizeof text, "NW1505 it is %s",
                       pauses ? "paused already" : "not paused");
        run->options->answer(run->options->context, false, text);
        return true;
    }
    if (pauses && run->status.phase == NW_RUN_COPYING) {
        run->options->answer(
            run->options->context, false,
            "NW1505 a copy runs, which would begin again: narwal copy pause lets it "
            "rest");
        return true;
    }
    run->paused = pauses;
    nw_log(NW_LOG_INFO, "%s, as a user asked", pauses ? "pausing" : "going on");
    (void)snprintf(text, sizeof text,
                   pauses
                       ? "what was received is made durable, and nothing more is received until "
                         "narwal resume, or a new start; slot %s holds WAL on the server meanwhile"
                       : "it goes on: slot %s is read again",
                   run->options->server.slot_name);
    run->options->answer(run->options->context, true, text);
    return true;
}

static bool changes(struct nw_run *run, const uint64_t lsns[NW_SEQUENCERS_MAX])
{
    bool any = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        const struct nw_run_member *member = &run->members[i];
        uint64_t had = member->need_lsn < member->lsn ? member->need_lsn : member->lsn;
        uint64_t lsn = lsns[i] > had ? lsns[i] : had;
        uint64_t *told = &run->durable_lsns[run->place[i]];

        if (lsn > *told) {
            *told = lsn;
            any = true;
        }
    }
    return any;
}

void nw_run_durable_tell(struct nw_run *run)
{
    uint64_t lsns[NW_SEQUENCERS_MAX] = {0};
    uint64_t wanted = run->until_lsn;

    nw_engine_durable(run->engine, lsns);
    /* Epochs of the first copy end where the stream will begin, and are not all there is. */
    if (run->status.phase != NW_RUN_COPYING && changes(run, lsns) &&
        run->options->durable != NULL) {
        run->options->durable(run->options->context, run->durable_lsns);
    }
    if (run->options->wanted != NULL && run->options->wanted(run->options->context) > wanted) {
        wanted = run->options->wanted(run->options->context);
    }
    if (run->copy_rate_bytes != run->options->copy_rate_bytes) {
        run->copy_rate_bytes = run->options->copy_rate_bytes;
        nw_engine_copy_rate(run->engine, run->copy_rate_bytes);
    }
    if (wanted > run->hurried_lsn) {
        run->hurried_lsn = wanted;
        nw_engine_hurry(run->engine, wanted);
    }
}

/* The next transaction id, when no transaction is under way; 0: one is, or it is not known. */
static uint64_t xid_read(struct nw_run *run)
{
    struct nw_error ignored = {0};
    uint64_t xid = 0;
    bool quiet = false;

    if (run->server.in_recovery || nw_server_control_open(&run->server, &ignored) != NW_OK ||
        nw_handover_xid(run->server.control, &xid, &quiet, &ignored) != NW_OK) {
        return 0;
    }
    return quiet ? xid : 0;
}

void nw_run_handover(struct nw_run *run)
{
    struct nw_handover handover = {.known = true,
                                   .system_identifier = run->server.identity.system_identifier,
                                   .timeline = run->server.identity.timeline,
                                   .lsn = run->until_lsn,
                                   .xid = run->until_xid};
    char text[NW_HANDOVER_TEXT_SIZE];
    struct nw_error why = {0};
    uint64_t xid = 0;

    if (!run->options->until_now || !nw_run_until_reached(run)) {
        return;
    }
    xid = run->until_xid == 0 ? 0 : xid_read(run);
    if (xid == 0 || xid != run->until_xid) {
        nw_log(NW_LOG_INFO, "transactions were under way meanwhile, so this is no hand-over to "
                            "another server (narwal adopt)");
        return;
    }
    if (nw_handover_write(run->state, &handover, &why) != NW_OK) {
        nw_log(NW_LOG_WARN, "%.6s %s", nw_error_code(&why), nw_code_rest(why.text));
    }
    nw_log(NW_LOG_INFO,
           "nothing was written meanwhile: as long as that is so another server can go on in the "
           "place of this one, with narwal adopt --token %s",
           nw_handover_text(text, &handover));
}

nw_status nw_run_until_find(struct nw_run *run, struct nw_error *err)
{
    char text[NW_LSN_TEXT_SIZE];
    nw_status status = NW_OK;

    if (run->until_lsn != 0 || (!run->options->until_now && run->options->until_lsn == 0)) {
        return NW_OK;
    }
    run->until_lsn = run->options->until_lsn;
    if (run->options->until_now) {
        run->until_xid = xid_read(run); /* before: what ended until then ended before that LSN */
        status = end_read(run, &run->until_lsn, err);
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "running until everything before %s is durable at every sink",
               nw_lsn_text(text, run->until_lsn));
    }
    return status;
}

bool nw_run_until_reached(const struct nw_run *run)
{
    if (run->until_lsn == 0 || nw_run_joins_busy(run) || run->joins.queued > 0) {
        return false;
    }
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->durable_lsns[run->place[i]] < run->until_lsn) {
            return false;
        }
    }
    return true;
}
