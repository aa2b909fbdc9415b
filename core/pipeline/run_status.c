/* SPDX-License-Identifier: Apache-2.0 */
/* What a run tells of itself, twice a second. Main thread. */
#include <string.h>

#include "base/log.h"
#include "pipeline/run_private.h"

#define TICK_NS     500000000LL
#define PACE_OVER_S 5.0 /* rates are smoothed over about so long */

/* Between attempts the conductor, the sinks and the engine are not there. */
static bool conducts(const struct nw_run *run)
{
    return run->status.phase == NW_RUN_COPYING || nw_run_joins_busy(run);
}

static void pace_note(struct nw_run *run)
{
    struct nw_run_pace *pace = &run->pace;
    struct nw_run_status *s = &run->status;
    double seconds = (double)(s->now_ns - pace->at_ns) / 1e9;

    if (!s->copies || s->copy_bytes < pace->bytes || s->copy_bytes == 0) {
        *pace = (struct nw_run_pace){.at_ns = 0};
    } else if (pace->at_ns != 0 && seconds > 0) {
        double rows = (double)(s->copy_rows - pace->rows) / seconds;
        double bytes = (double)(s->copy_bytes - pace->bytes) / seconds;
        bool begins = pace->bytes_a_second <= 0;
        double weight = begins ? 1 : seconds / (seconds + PACE_OVER_S);

        pace->rows_a_second += (rows - pace->rows_a_second) * weight;
        pace->bytes_a_second += (bytes - pace->bytes_a_second) * weight;
    }
    pace->at_ns = s->now_ns;
    pace->rows = s->copy_rows;
    pace->bytes = s->copy_bytes;
    s->copy_rows_a_second = pace->rows_a_second;
    s->copy_bytes_a_second = pace->bytes_a_second;
}

/* Of the copies that are made now; else of the last ones. */
static void copies_collect(struct nw_run *run)
{
    struct nw_run_status *s = &run->status;
    struct nw_conductor_progress progress = {0};
    uint64_t rows = 0;
    uint64_t bytes = 0;

    nw_conductor_progress(run->conductor, &progress);
    nw_engine_copy_counts(run->engine, &rows, &bytes);
    s->copy_rows = rows - run->joins.rows_base;
    s->copy_bytes = bytes - run->joins.bytes_base;
    s->copy_tables = run->joins.round_count > 0 ? run->joins.round_count : progress.tables;
    s->copy_tables_done = progress.tables_done;
    s->copy_total_bytes = progress.bytes;
    s->copy_done_bytes = progress.bytes_done;
    s->copy_chunks = progress.chunks;
    s->copy_chunks_done = progress.chunks_done;
    s->copy_rows_again = progress.rows_again;
    s->copy_chunks_kept = progress.chunks_kept;
    s->copy_rows_reread = progress.rows_reread;
}

/* The first of what a copy's tables wait for says what all of it does, unless some are copied. */
static void waits_find(struct nw_run *run)
{
    struct nw_run_status *s = &run->status;
    const struct nw_table_list *list = &run->list;
    const char *found = s->phase == NW_RUN_STARTING     ? run->fence_waits
                        : run->copy_paused && s->copies ? "narwal copy resume: a user paused it"
                                                        : "";

    for (size_t i = 0;
         i < list->count && s->phase != NW_RUN_STARTING && s->phase != NW_RUN_PAUSED &&
         s->phase != NW_RUN_STANDBY && list->counts[NW_STATE_COPYING] == 0 && found[0] == '\0';
         i++) {
        found = list->lines[i].waits_for;
    }
    (void)snprintf(s->copy_waits_for, sizeof s->copy_waits_for, "%s", found);
}

static void detached_collect(struct nw_run *run)
{
    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        const struct nw_detached_sink *found =
            nw_detached_find(&run->detached, run->given->sinks[i].name);

        if (found != NULL && !found->attaches) {
            run->status.sinks[i] = (struct nw_sink_status){.state = NW_SINK_STATE_DETACHED};
            (void)snprintf(run->status.sinks[i].reason, sizeof run->status.sinks[i].reason, "%s",
                           found->reason);
        }
    }
}

void nw_run_status_collect(struct nw_run *run)
{
    struct nw_run_status *s = &run->status;
    bool attempt =
        s->phase != NW_RUN_STARTING && s->phase != NW_RUN_PAUSED && s->phase != NW_RUN_STANDBY;

    run->list_waits = run->fence_waits[0] != '\0' ? run->fence_waits : "narwal to begin to stream";
    s->now_ns = run->env->ops->now_ns(run->env);
    s->wall_us = run->env->ops->wall_us(run->env);
    s->identity = run->server.identity;
    s->server_version = run->server.version;
    memset(s->members, 0, sizeof s->members);
    for (uint32_t i = 0; i < run->options->sinks_count && attempt; i++) {
        nw_sink_status(run->members[i].sink, &s->sinks[run->place[i]]);
        s->members[run->place[i]] = run->members[i].sink;
    }
    detached_collect(run);
    if (attempt && run->engine != NULL) {
        nw_engine_source_status(run->engine, &s->source);
        s->server_now_us = run->env->ops->wall_us(run->env) + s->source.server_ahead_us;
        s->memory_used = nw_engine_memory_used(run->engine);
    }
    nw_run_letters_count(run, &s->letters);
    s->copy_paused = run->copy_paused;
    s->copies = conducts(run) || (attempt && run->joins.queued > 0);
    if (conducts(run)) {
        copies_collect(run);
    }
    pace_note(run);
    nw_run_list_make(run);
    s->list = &run->list;
    waits_find(run);
}

void nw_run_alive(struct nw_run *run)
{
    int64_t now_ns = run->env->ops->now_ns(run->env);
    const char *stuck = NULL;

    if (run->options->alive == NULL || pthread_equal(pthread_self(), run->main) == 0) {
        return;
    }
    stuck =
        run->engine == NULL ? NULL : nw_engine_stuck(run->engine, now_ns, run->options->stuck_ns);
    if (stuck == NULL) {
        run->options->alive(run->options->context);
    } else if (!run->stuck_said) {
        run->stuck_said = true;
        nw_log(NW_LOG_ERROR,
               "NW2010 thread %s hangs, which is a mistake of narwal's: it does not come round any "
               "more",
               stuck);
    }
}

bool nw_run_tick(struct nw_run *run)
{
    int64_t now_ns = run->env->ops->now_ns(run->env);

    nw_run_alive(run);

    if (run->options->tick == NULL || now_ns - run->ticked_ns < TICK_NS) {
        return false;
    }
    run->ticked_ns = now_ns;
    nw_run_options_follow(run);
    nw_run_status_collect(run);
    nw_run_stalls_note(run);
    run->options->tick(run->options->context, &run->status);
    return true;
}

void nw_run_idle(void *context, const char *blocker)
{
    struct nw_run *run = context;

    run->fence_waits[0] = '\0';
    if (blocker[0] != '\0') {
        (void)snprintf(run->fence_waits, sizeof run->fence_waits,
                       "the copy's snapshot, which transactions that began before have to end for: "
                       "%s",
                       blocker);
    }
    (void)nw_run_tick(run);
}
