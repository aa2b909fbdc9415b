/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See run.h. An attempt in order: server, sinks, decision, copy, engine, stream, stop. All state
 * belongs to the main thread; the engine and the sinks have their own.
 */
#include "pipeline/pulse.h"
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "pg/lsn.h"

#define STEP_NS          10000000L /* the main thread looks around this often */
#define BACKOFF_NS_MIN   500000000LL
#define BACKOFF_NS_MAX   30000000000LL
#define SINK_STOP_NS     10000000000LL
#define SINK_LEAVE_NS    3000000000LL /* one that is left out is not waited for for longer */
#define TABLES_BYTES_MAX (512u << 20)
#define SETTLED_NS       60000000000LL /* an attempt that ran this long resets the backoff */

bool nw_run_stopping(const struct nw_run *run)
{
    return run->options->stop != NULL && *run->options->stop != 0;
}

bool nw_run_table_wanted(void *context, const struct nw_table *table)
{
    const struct nw_run *run = context;

    return nw_table_filter_match(&run->options->server.publication.filter, table->schema_name,
                                 table->name) &&
           !nw_tables_stopped(run->table_states, table->relation_oid);
}

nw_status nw_run_table_project(void *context, const struct nw_table *table,
                               const struct nw_projection **projection, struct nw_error *err)
{
    const struct nw_run *run = context;

    return nw_transforms_project(run->transforms, table, projection, err);
}

/* ---- sinks ---- */

static nw_status sink_open(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    const struct nw_run_sink *from = &run->options->sinks[index];
    bool patient = !from->detaches || run->options->sinks_count == 1;
    struct nw_sink_options options = {.env = run->env,
                                      .plugin = from->plugin,
                                      .config = from->config,
                                      .workers_count = from->workers_count,
                                      .database = run->server.database,
                                      .ask = nw_run_wish,
                                      .requests = nw_run_requests_tell,
                                      .copies = nw_run_copies_tell,
                                      .context = run,
                                      .takes_over = run->takes_over,
                                      .open_us_max = patient ? 0 : from->stalled_after_us};
    struct nw_run_member *member = &run->members[index];
    nw_status status = NW_OK;

    nw_run_wishes_orphan(run, from->config->name);
    status = nw_sink_create(&options, &member->sink, err);

    member->run = run;
    if (status == NW_OK) {
        status = nw_sink_start(member->sink, err);
    }
    if (status == NW_OK) {
        status = nw_sink_open(member->sink, &member->recovered, err);
    }
    if (status != NW_OK && nw_run_attaches(run, index)) {
        return nw_run_attach_failed(run, index, err);
    }
    return status != NW_OK && member->sink != NULL && nw_sink_hangs(member->sink)
               ? nw_run_hang_judge(run, index, err)
               : status;
}

nw_status nw_run_sinks_open(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    run->blamed = -1;
    run->unopened = 0;
    for (uint32_t i = 0; i < run->options->sinks_count && !run->anew; i++) {
        struct nw_error why = {0};
        nw_status one = sink_open(run, i, &why);

        if (one == NW_OK) {
            continue;
        }
        run->unopened |= 1u << run->place[i];
        if (status == NW_OK || one != NW_RETRY) {
            *err = why;
            status = one;
            run->blamed = (int)run->place[i];
        }
        if (one != NW_RETRY || run->members[i].sink == NULL ||
            nw_sink_hangs(run->members[i].sink)) {
            break; /* else the others are tried too: what ails all is no reason to leave one out */
        }
    }
    return status;
}

/* ---- while it runs ---- */

/* One turn of the main thread: sleep a little, report, look for failures. */
static nw_status turn(struct nw_run *run, struct nw_error *err)
{
    bool copies = run->status.phase == NW_RUN_COPYING || nw_run_joins_busy(run);
    struct timespec pause = {.tv_nsec = copies ? nw_conductor_pause_ns(run->conductor) : STEP_NS};
    nw_status status = NW_OK;

    (void)nanosleep(&pause, NULL);
    nw_recent_write(run->recent);
    if (nw_run_tick(run)) {
        status = nw_run_commands(run, err);
        status = status == NW_OK ? nw_run_stalls_judge(run, err) : status;
    } else if (run->engine != NULL) {
        (void)nw_run_lsn_answer(run); /* who asks it is about to wait: at once */
    }
    if (status == NW_OK && run->engine != NULL) {
        nw_run_durable_tell(run);
    }
    if (status == NW_OK && run->anew) {
        status = nw_fail(err, NW_RETRY, "NW2372 other sinks take part");
    }
    if (status != NW_OK) {
        return status;
    }
    status = nw_claim_check(run->claim, err);
    if (status == NW_OK && run->engine != NULL) {
        status = nw_engine_failure(run->engine, err);
    }
    return status == NW_OK ? nw_run_protect(run, err) : status;
}

/* Whether every sink that was to get it has the whole copy, durable. */
static bool copies_durable(struct nw_run *run)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        struct nw_run_member *member = &run->members[i];
        struct nw_sink_status status;

        nw_sink_status(member->sink, &status);
        if (member->needs_copy &&
            status.copies < nw_conductor_tables(run->conductor, nw_run_table_missing, member)) {
            return false;
        }
    }
    return true;
}

static nw_status copy(struct nw_run *run, struct nw_error *err)
{
    bool finished = false;
    nw_status status = NW_OK;

    run->status.phase = NW_RUN_COPYING;
    while (status == NW_OK && !nw_run_stopping(run) && !(finished && copies_durable(run))) {
        if (!finished) {
            status = nw_conductor_step(run->conductor, run->engine, &finished, err);
            if (finished) {
                nw_engine_copies(run->engine, NW_COPIES_READ);
            }
        }
        if (status == NW_OK) {
            status = turn(run, err);
        }
        nw_crash_point("copy");
    }
    if (status == NW_OK && finished && copies_durable(run)) {
        nw_run_status_collect(run); /* the last report is up to half a second old */
        nw_conductor_rest(run->conductor);
        nw_log(NW_LOG_INFO, "copy complete: %" PRIu64 " rows of %" PRIu64 " tables",
               run->status.copy_rows, run->status.copy_tables);
        status = nw_tables_copied(run->table_states, 0, err);
        if (status == NW_OK) {
            status = nw_state_copying_end(run->state, err);
        }
        nw_crash_point("handover");
    }
    /* A session that was waited for ends with the wish to stop. */
    return status == NW_RETRY && nw_run_stopping(run) ? NW_OK : status;
}

static nw_status drain(struct nw_run *run, struct nw_error *err)
{
    int64_t deadline_ns = run->env->ops->now_ns(run->env) + run->options->drain_us * 1000;
    nw_status status = NW_OK;

    run->status.phase = NW_RUN_DRAINING;
    nw_engine_drain(run->engine);
    while (status == NW_OK && !nw_engine_drained(run->engine)) {
        if (run->env->ops->now_ns(run->env) > deadline_ns) {
            nw_log(NW_LOG_WARN,
                   "NW2005 stopping before everything was durable: it is received again at the "
                   "next start");
            return NW_OK;
        }
        status = turn(run, err);
    }
    return status;
}

static nw_status stream_turn(struct nw_run *run, struct nw_error *err)
{
    nw_status status = turn(run, err);

    status = status == NW_OK ? nw_run_publish_step(run, err) : status;
    status = status == NW_OK ? nw_run_news_step(run, err) : status;
    return status == NW_OK ? nw_run_joins_step(run, err) : status;
}

static nw_status stream(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    run->status.phase = NW_RUN_STREAMING;
    atomic_store_explicit(&run->streams, true, memory_order_relaxed); /* only a flag */
    if (run->joins.queued > 0 && nw_run_joins_first(run)) {
        status = nw_run_joins_begin(run, err); /* before a sink gets a position without */
    }
    if (status != NW_OK) {
        return status;
    }
    if (run->spool == NULL) {
        nw_engine_stream(run->engine, run->start_lsn);
    } else {
        nw_engine_release(run->engine); /* it has been receiving all along */
    }
    while (status == NW_OK && !nw_run_stopping(run) && !nw_run_until_reached(run) &&
           !nw_run_rests(run)) {
        status = stream_turn(run, err);
    }
    /* A session that was waited for ends with the wish to stop. */
    status = status == NW_RETRY && nw_run_stopping(run) ? NW_OK : status;
    return status == NW_OK ? drain(run, err) : status;
}

/* ---- an attempt ---- */

static nw_status attempt_begin(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_schemas_create(&run->schemas, err);

    run->anew = false;
    run->hangs = false;
    run->transforms = NULL;
    status = status == NW_OK ? nw_run_sinks_choose(run, err) : status;
    if (status == NW_OK) {
        status = nw_transforms_create(run->options->transforms, &run->transforms, err);
    }
    run->server_open = false;
    run->server.promoted = false;
    run->hurried_lsn = 0;
    run->copy_rate_bytes = run->options->copy_rate_bytes;
    run->conductor = NULL;
    run->engine = NULL;
    run->spool = NULL;
    run->backlogs_count = 0;
    run->aparts_count = 0;
    memset(run->members, 0, sizeof run->members);
    memset(&run->tables, 0, sizeof run->tables);
    nw_arena_init(&run->arena, TABLES_BYTES_MAX);
    nw_arena_init(&run->joins.arena, TABLES_BYTES_MAX);
    atomic_store_explicit(&run->streams, false, memory_order_relaxed);
    run->status.phase = NW_RUN_STARTING;
    run->status.attempts++;
    return status;
}

/* Drops the slot when protect says so; the engine, which read it, is stopped. */
static void slot_save(struct nw_run *run)
{
    if (!run->drop_slot) {
        return;
    }
    if (run->server_open) {
        nw_server_disconnect(&run->server, NULL);
    }
    nw_run_slot_drop(run);
    run->drop_slot = false;
}

/* One that is detached is not waited for; what its call may touch stays until the process ends. */
static bool sinks_stop(struct nw_run *run, int64_t deadline_ns)
{
    bool whole = true;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        bool leaves = nw_run_leaves(run, i);
        int64_t soon_ns = run->env->ops->now_ns(run->env) + SINK_LEAVE_NS;
        struct nw_error why = {0};

        if (run->members[i].sink == NULL ||
            nw_sink_stop(run->members[i].sink, leaves ? soon_ns : deadline_ns, &why) == NW_OK) {
            continue;
        }
        nw_log(leaves ? NW_LOG_WARN : NW_LOG_ERROR, "%.6s %s", nw_error_code(&why),
               nw_code_rest(why.text));
        whole = whole && leaves;
        run->stalls[run->place[i]].hangs = true;
        run->hangs = run->any_hang = true;
    }
    return whole;
}

/* What the attempt's sinks were lent. */
static void lent_free(struct nw_run *run)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        struct nw_sink *sink = run->members[i].sink;

        if (sink == NULL || !nw_sink_hangs(sink)) { /* or it may be writing letters: both stay */
            nw_sink_destroy(sink);
            nw_letters_close(run->members[i].letters);
        }
    }
}

/* Takes everything down again. @return whether all of it could be */
static bool attempt_end(struct nw_run *run)
{
    int64_t deadline_ns = run->env->ops->now_ns(run->env) + SINK_STOP_NS;
    bool whole = false;

    if (run->engine != NULL) {
        nw_run_status_collect(run);
        run->followed = run->followed || run->status.source.reconnects > 0;
        nw_server_abandon(&run->server);
        nw_engine_stop(run->engine);
        nw_recent_write(run->recent);
    }
    whole = sinks_stop(run, deadline_ns);
    if (!whole) {
        run->left_running = true;
        slot_save(run);
        return false; /* a plugin still runs in its call: leave everything it may touch */
    }
    nw_engine_destroy(run->engine);
    if (run->spool != NULL) {
        nw_spool_use(run->spool, NULL); /* those jobs are gone with the engine */
    }
    nw_spool_destroy(run->spool);
    run->spool = NULL;
    nw_run_backlogs_close(run);
    lent_free(run);
    nw_conductor_destroy(run->conductor);
    slot_save(run);
    if (run->server_open) {
        nw_server_close(&run->server);
        run->server_open = false;
    }
    if (!run->hangs) { /* tables are in what a call was given */
        nw_transforms_destroy(run->transforms);
        nw_schemas_destroy(run->schemas);
        nw_arena_fini(&run->arena);
        nw_arena_fini(&run->joins.arena);
    }
    nw_run_joins_forget(run);
    nw_run_news_forget(run);
    free(run->joining);
    run->joining = NULL;
    run->joining_count = 0;
    run->engine = NULL;
    return true;
}

/* Streams, with the heartbeat beside it. */
static nw_status stream_alive(struct nw_run *run, struct nw_error *err)
{
    const struct nw_run_options *o = run->options;
    struct nw_pulse *pulse = NULL;
    nw_status status = NW_OK;

    if (o->heartbeat != NULL) {
        status = nw_pulse_start(&run->server.options.connection, o->heartbeat, o->heartbeat_us,
                                &pulse, err);
    }
    status = status == NW_OK ? stream(run, err) : status;
    nw_pulse_stop(pulse);
    return status;
}

/* Copies what there is to copy, then streams, until it is stopped or something fails. */
static nw_status attempt_run(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_run_letters_open(run, err);

    status = status == NW_OK ? nw_run_engine_make(run, err) : status;
    if (status == NW_OK && run->spool != NULL) {
        nw_engine_stream(run->engine, run->start_lsn);
    }
    if (status == NW_OK && run->any_copy) {
        status = copy(run, err);
    }
    if (status == NW_OK && !nw_run_stopping(run) && run->options->snapshot != NW_SNAPSHOT_ONLY) {
        status = stream_alive(run, err);
    }
    if (status == NW_OK) {
        nw_run_handover(run);
    }
    return status;
}

static nw_status attempt(struct nw_run *run, struct nw_error *err)
{
    nw_status status = attempt_begin(run, err);
    struct nw_table_trouble refused;
    bool whole = false;
    bool stopped = false;
    bool refuses = false;

    if (status == NW_OK) {
        status = nw_run_decide(run, err);
        run->takes_over = run->takes_over && status != NW_OK;
        stopped = status == NW_RETRY && nw_run_stopping(run); /* it was waited for, and cancelled */
    }
    status = status == NW_OK ? attempt_run(run, err) : status;
    refuses = status == NW_REJECT && nw_run_refusal(run, err, &refused);
    whole = attempt_end(run);
    if (refuses) {
        status = nw_run_refusal_record(run, &refused, err);
    }
    if (status == NW_FATAL && run->server.promoted) {
        status = err->status = NW_RETRY; /* the sinks' positions say whether it can go on */
    }
    status = stopped ? NW_OK : status;
    if (!whole && (status == NW_OK || status == NW_RETRY)) {
        status = nw_fail(err, NW_FATAL,
                         "NW2006 a sink did not stop in time; what it had not committed is "
                         "received again at the next start");
    }
    return status;
}

/* Waits before the next attempt. NW_FATAL: the slot holds back too much meanwhile. */
static nw_status pause_for(struct nw_run *run, int64_t pause_ns, struct nw_error *err)
{
    int64_t until_ns = run->env->ops->now_ns(run->env) + pause_ns;
    struct timespec step = {.tv_nsec = STEP_NS};
    nw_status status = NW_OK;

    run->status.phase = NW_RUN_STARTING;
    run->status.source.last_error.text[0] = '\0'; /* of the attempt before; last_error is newer */
    while (status == NW_OK && !nw_run_stopping(run) && !nw_run_rests(run) && !run->anew &&
           run->env->ops->now_ns(run->env) < until_ns) {
        if (nw_run_tick(run)) {
            (void)nw_run_pause_answer(run);
            status = nw_run_stalls_judge(run, err);
        }
        (void)nanosleep(&step, NULL);
        status = status == NW_OK ? nw_claim_check(run->claim, err) : status;
        status = status == NW_OK ? nw_run_protect(run, err) : status;
    }
    slot_save(run);
    return status;
}

/* How far it came, for a sentence. @param done  nothing failed */
static void reached_text(const struct nw_run *run, bool done, char *text, size_t size)
{
    enum nw_run_phase phase = run->status.phase;
    bool streamed = phase != NW_RUN_STARTING && phase != NW_RUN_COPYING;
    bool spooled = run->status.source.spooling == NW_SPOOLING_READING;
    char lsn[NW_LSN_TEXT_SIZE];

    if (!done) {
        text[0] = '\0';
    } else if (run->waited) {
        (void)snprintf(text, size, "stopped while it waited to try again. ");
    } else if (phase == NW_RUN_STANDBY) {
        (void)snprintf(text, size, "stopped while it stood by. ");
    } else if (run->options->snapshot == NW_SNAPSHOT_ONLY) {
        (void)snprintf(text, size, "copied. ");
    } else if (streamed && run->status.source.flush_lsn == 0) {
        (void)snprintf(text, size, "stopped before anything was acknowledged. ");
    } else if (streamed) {
        (void)snprintf(text, size,
                       spooled ? "received up to %s, of which the spool has what the next start "
                                 "goes on with. "
                               : "drained to %s. ",
                       nw_lsn_text(lsn, run->status.source.flush_lsn));
    } else {
        (void)snprintf(text, size,
                       "stopped during the copy: the next start goes on with what is durable of "
                       "tables that have a key. ");
    }
}

/* What stays on the server is said at every end, also when it failed. */
static void say_end(const struct nw_run *run, bool done)
{
    const struct nw_run_options *o = run->options;
    const char *host = run->host[0] == '\0' ? "the server" : run->host;
    char reached[160];

    reached_text(run, done, reached, sizeof reached);
    if (run->status.letters.letters > 0) {
        nw_log(NW_LOG_INFO,
               "%" PRIu64
               " dead letters: rows that sinks refused and do not have; narwal dead-letter "
               "list shows them",
               run->status.letters.letters);
    }
    if (run->slot_stays) {
        nw_log(NW_LOG_INFO, "%sSlot %s stays and holds WAL on %s; to remove it: %s", reached,
               o->server.slot_name, host, o->teardown);
    } else if (run->publication_stays) {
        nw_log(NW_LOG_INFO, "%sPublication %s stays on %s; to remove it: %s", reached,
               o->server.publication.name, host, o->teardown);
    } else if (reached[0] != '\0') {
        nw_log(NW_LOG_INFO, "%.*s", (int)strlen(reached) - 1, reached); /* without the blank */
    }
}

static nw_status state_open(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_state_open(run->options->state_folder, &run->state, err);

    if (status == NW_OK) {
        status = nw_tables_open(run->state, &run->table_states, err);
    }
    if (status == NW_OK) {
        status = nw_followed_open(run->state, &run->followed_tables, err);
    }
    if (status == NW_OK) {
        status = nw_seen_open(run->state, &run->seen, err);
    }
    if (status == NW_OK) {
        status = nw_recent_open(run->options->state_folder, &run->recent, err);
    }
    if (status == NW_OK) {
        status = nw_detached_read(run->state, &run->detached, err);
    }
    if (status == NW_OK) {
        status = nw_run_wishes_read(run, err);
    }
    if (status == NW_OK) {
        run->status.tables = run->table_states;
        nw_run_tables_say(run);
        nw_run_detached_say(run);
    }
    return status;
}

/* Between two attempts: waits while a user wants that, and takes over what was reloaded. */
static nw_status rest(struct nw_run *run, struct nw_error *err)
{
    struct timespec step = {.tv_nsec = STEP_NS};
    nw_status status = NW_OK;

    if (run->paused) {
        nw_log(NW_LOG_INFO, "paused: slot %s holds WAL on the server until narwal resume",
               run->options->server.slot_name);
    }
    while (status == NW_OK && run->paused && !nw_run_stopping(run)) {
        run->status.phase = NW_RUN_PAUSED;
        if (nw_run_tick(run)) {
            (void)nw_run_pause_answer(run);
        }
        (void)nanosleep(&step, NULL);
        status = nw_claim_check(run->claim, err);
        status = status == NW_OK ? nw_run_protect(run, err) : status;
    }
    slot_save(run);
    if (status == NW_OK && run->options->renews != NULL &&
        run->options->renews(run->options->context)) {
        run->options->renew(run->options->context);
    }
    return status;
}

/* After an outside fault: waits, longer each time, or until it is stopped. */
static nw_status retry_wait(struct nw_run *run, int64_t began_ns, int64_t *backoff_ns,
                            struct nw_error *err)
{
    int64_t pause_ns =
        run->env->ops->now_ns(run->env) - began_ns > SETTLED_NS ? BACKOFF_NS_MIN : *backoff_ns;
    nw_status status = NW_OK;

    if (run->anew) { /* nothing failed: other sinks take part */
        return NW_OK;
    }
    nw_log(NW_LOG_WARN, "%.6s %s; trying again in %.1f s", nw_error_code(err),
           nw_code_rest(err->text), (double)pause_ns / 1e9);
    run->status.last_error = *err;
    status = pause_for(run, pause_ns, err);
    *backoff_ns = pause_ns * 2 > BACKOFF_NS_MAX ? BACKOFF_NS_MAX : pause_ns * 2;
    run->waited = status == NW_OK && nw_run_stopping(run);
    return status;
}

/* An attempt from where the state says that the source is. */
static nw_status next_attempt(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_state_source_read(run->state, &run->source, err);

    if (status == NW_OK) {
        status = nw_run_taken_find(run, err);
    }
    return status == NW_OK ? attempt(run, err) : status;
}

/* One attempt after the other, until one ends well, or must not be tried again. */
static nw_status attempts(struct nw_run *run, struct nw_error *err)
{
    int64_t backoff_ns = BACKOFF_NS_MIN;
    nw_status status = NW_OK;

    for (;;) {
        int64_t began_ns = run->env->ops->now_ns(run->env);

        status = next_attempt(run, err);
        if (nw_run_stopping(run) || (status == NW_OK && !nw_run_rests(run))) {
            return status;
        }
        if (status == NW_RETRY) {
            status = retry_wait(run, began_ns, &backoff_ns, err);
        }
        if (status == NW_OK && nw_run_rests(run)) {
            status = rest(run, err);
        }
        if (status != NW_OK || nw_run_stopping(run)) {
            return status;
        }
    }
}

nw_status nw_run(const struct nw_run_options *options, struct nw_error *err)
{
    struct nw_run *run = calloc(1, sizeof *run);
    nw_status status = NW_OK;

    *options->left_running = false;
    if (run == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    run->given = options;
    run->options = &run->own;
    run->own = *options;
    run->blamed = -1;
    run->status.detached = &run->detached;
    run->env = options->env;
    run->main = pthread_self();
    run->status.options = options;
    run->status.started_ns = run->env->ops->now_ns(run->env);
    (void)pthread_mutex_init(&run->news.mutex, NULL);
    (void)pthread_mutex_init(&run->wishes.mutex, NULL);
    nw_table_list_init(&run->list);
    status = nw_claim_create(options->server.slot_name, &run->claim, err);
    status = status == NW_OK ? state_open(run, err) : status;
    status = status == NW_OK && options->standby ? nw_run_stand_by(run, err) : status;
    status = status == NW_OK && !nw_run_stopping(run) ? attempts(run, err) : status;
    nw_claim_destroy(run->claim);
    say_end(run, status == NW_OK);
    *options->left_running = run->left_running || run->any_hang;
    if (!run->left_running) {
        nw_recent_close(run->recent);
        nw_seen_close(run->seen);
        nw_followed_close(run->followed_tables);
        nw_tables_close(run->table_states);
        (void)pthread_mutex_destroy(&run->news.mutex);
        nw_run_pattern_end(run);
        nw_run_wishes_forget(run);
        (void)pthread_mutex_destroy(&run->wishes.mutex);
        nw_table_list_fini(&run->list);
        nw_letters_close(run->letters);
        nw_state_close(run->state);
        free(run);
    }
    return status;
}
