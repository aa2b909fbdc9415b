/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to an LSN: what is durable at each sink, told as it changes to those who wait for it, and a
 * run that ends there. On the main thread.
 */
#include <inttypes.h>
#include <string.h>

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

static nw_status end_read(struct nw_run *run, uint64_t *lsn, struct nw_error *err)
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

static bool changes(struct nw_run *run, const uint64_t lsns[NW_SEQUENCERS_MAX])
{
    bool any = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        uint64_t lsn = lsns[i] > run->members[i].lsn ? lsns[i] : run->members[i].lsn;

        if (lsn > run->durable_lsns[i]) {
            run->durable_lsns[i] = lsn;
            any = true;
        }
    }
    return any;
}

void nw_run_durable_tell(struct nw_run *run)
{
    uint64_t lsns[NW_SEQUENCERS_MAX] = {0};
    uint64_t wanted = run->until_lsn;

    if (run->status.phase == NW_RUN_COPYING) {
        return; /* epochs of the copy end where the stream will begin, and are not all there is */
    }
    nw_engine_durable(run->engine, lsns);
    if (changes(run, lsns) && run->options->durable != NULL) {
        run->options->durable(run->options->context, run->durable_lsns);
    }
    if (run->options->wanted != NULL && run->options->wanted(run->options->context) > wanted) {
        wanted = run->options->wanted(run->options->context);
    }
    if (wanted > run->hurried_lsn) {
        run->hurried_lsn = wanted;
        nw_engine_hurry(run->engine, wanted);
    }
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
        if (run->durable_lsns[i] < run->until_lsn) {
            return false;
        }
    }
    return true;
}
