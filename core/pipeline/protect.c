/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protecting the primary: what narwal holds back there is looked at every ten seconds, said when it
 * nears a limit, and acted upon past it. On the main thread, beside what it conducts and between
 * two attempts.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <time.h>

#include "base/code.h"
#include "base/log.h"
#include "base/text.h"

#define LOOK_NS       10000000000LL
#define HOUR_S        3600.0
#define DROP_TRIES    50
#define DROP_PAUSE_NS 100000000L

/* By the attempt's session, or by one of its own when there is no attempt. */
static bool look(struct nw_run *run, int64_t now_ns)
{
    struct nw_session *own = NULL;
    struct nw_primary_ours ours = {.slot = run->options->server.slot_name, .now_ns = now_ns};
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (run->server_open) {
        status = nw_server_control_open(&run->server, &why);
        ours.pids_count = nw_conductor_pids(run->conductor, ours.pids, NW_PRIMARY_PIDS_MAX);
    } else {
        status = nw_session_open(&run->options->server.connection, false, &own, &why);
    }
    if (status == NW_OK) {
        status = nw_primary_look(&run->watch, own != NULL ? own : run->server.control, &ours,
                                 &run->status.primary, &why);
    }
    if (status != NW_OK) {
        nw_log(NW_LOG_DEBUG, "what is held back on the server is not known: %s", why.text);
        if (run->server_open) {
            nw_session_close(run->server.control);
            run->server.control = NULL; /* whoever asks next opens it */
        }
    }
    nw_session_close(own);
    return status == NW_OK;
}

/* ---- WAL ---- */

static nw_status retained_judge(struct nw_run *run, struct nw_error *err)
{
    const struct nw_primary *primary = &run->status.primary;
    struct nw_alarm *alarm = &run->status.alarms[NW_ALARM_RETAINED_WAL];
    uint64_t limit = run->options->retained_wal_bytes;
    const char *slot = run->options->server.slot_name;
    enum nw_alarm_level level =
        nw_alarm_next(alarm->level, (double)primary->retained_bytes, (double)limit);
    char text[NW_ERROR_TEXT_SIZE];

    if (level == NW_ALARM_OVER && primary->retained_bytes > limit && run->options->drop_slot) {
        run->drop_slot = true;
        return nw_fail(err, NW_FATAL,
                       "NW2319 slot %s holds %" PRIu64
                       " MiB of WAL on the server, and protect.retained_wal "
                       "allows %" PRIu64 ": the run ends, and the slot is dropped as "
                       "protect.when_exceeded says. To go on: move the sinks' former data away and "
                       "start with a new copy",
                       slot, primary->retained_bytes >> 20, limit >> 20);
    }
    (void)snprintf(text, sizeof text,
                   level == NW_ALARM_OVER ? "NW2319 slot %s holds %" PRIu64
                                            " MiB of WAL on the server, more than the %" PRIu64
                                            " that protect.retained_wal allows: %s"
                                          : "NW2360 slot %s holds %" PRIu64
                                            " MiB of WAL on the server, not far from the %" PRIu64
                                            " that protect.retained_wal allows: %s",
                   slot, primary->retained_bytes >> 20, limit >> 20,
                   run->server_open ? "a sink or the spool's disk is too slow, or a transaction "
                                      "has been open for long"
                                    : "nothing is received at present");
    (void)nw_alarm_take(alarm, level, text,
                        "the slot holds much less WAL again than protect.retained_wal allows");
    return NW_OK;
}

/* What the server does by itself: it gives the slot up. By share, or by time. */
static void server_limit_judge(struct nw_run *run)
{
    const struct nw_primary *primary = &run->status.primary;
    struct nw_alarm *alarm = &run->status.alarms[NW_ALARM_SERVER_LIMIT];
    double safe = (double)primary->safe_bytes;
    double limit = primary->slot_known ? (double)primary->keep_bytes : 0;
    double growth = (double)primary->retained_growth;
    enum nw_alarm_level level = nw_alarm_next(alarm->level, limit - safe, limit);
    char text[NW_ERROR_TEXT_SIZE];
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];

    if (level == NW_ALARM_CALM && limit > 0 && safe * 2 < limit && growth * HOUR_S > safe) {
        level = NW_ALARM_NEAR;
    }
    (void)snprintf(
        text, sizeof text,
        "NW2361 %s of WAL %suntil the server gives slot %s up and a new copy is needed"
        "%s%s: max_slot_wal_keep_size is %s",
        nw_size_text(a, safe > 0 ? safe : 0), level == NW_ALARM_OVER ? "and a checkpoint " : "",
        run->options->server.slot_name, growth > 0 && safe > 0 ? ", at the present rate in " : "",
        growth > 0 && safe > 0 ? nw_duration_text(c, safe / growth) : "", nw_size_text(b, limit));
    (void)nw_alarm_take(alarm, level, text,
                        "the slot is far again from what max_slot_wal_keep_size allows");
}

static void spool_judge(struct nw_run *run)
{
    const struct nw_source_status *source = &run->status.source;
    double bytes = source->spooling == NW_SPOOLING_NONE ? 0 : (double)source->spool.bytes;
    double quota = (double)source->spool.quota_bytes;
    char text[NW_ERROR_TEXT_SIZE];
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    struct nw_alarm *alarm = &run->status.alarms[NW_ALARM_SPOOL];

    (void)snprintf(text, sizeof text,
                   "NW2362 the spool has %s of the %s that protect.spool allows: when it is full "
                   "WAL stays on the server",
                   nw_size_text(a, bytes), nw_size_text(b, quota));
    (void)nw_alarm_take(alarm, nw_alarm_next(alarm->level, bytes, quota), text,
                        "the spool is far again from what protect.spool allows");
}

/* ---- vacuum ---- */

/* Whether the copy can go on under another snapshot without losing what it has read: one beside the
 * stream begins again with each attempt, see nw_run_copy_resumes(). */
static bool resumes(const struct nw_run *run)
{
    return run->options->renew_snapshot && !nw_run_streams(run) &&
           !atomic_load_explicit(&run->streams, memory_order_relaxed);
}

static bool renewable(const struct nw_run *run)
{
    return resumes(run) && run->options->snapshot != NW_SNAPSHOT_ONLY &&
           nw_conductor_renewable(run->conductor);
}

static nw_status snapshot_judge(struct nw_run *run, struct nw_error *err)
{
    const struct nw_primary *primary = &run->status.primary;
    struct nw_alarm *alarm = &run->status.alarms[NW_ALARM_SNAPSHOT];
    double limit = (double)run->options->snapshot_age_us / 1e6;
    enum nw_alarm_level level = nw_alarm_next(alarm->level, primary->snapshot_s, limit);
    bool renews = level == NW_ALARM_OVER && run->server_open && renewable(run);
    char text[NW_ERROR_TEXT_SIZE];
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];

    nw_duration_text(a, primary->snapshot_s);
    if (renews) {
        *alarm = (struct nw_alarm){.level = NW_ALARM_CALM};
        return nw_fail(err, NW_RETRY,
                       "NW2365 the copy's snapshot is %s old and is given up, as "
                       "protect.when_old says: the copy goes on under a new one",
                       a);
    }
    (void)snprintf(text, sizeof text,
                   "NW2363 the copy's snapshot is %s old, %s %s that protect.snapshot_age names, "
                   "and vacuum removes nothing meanwhile that died since: %s rows in the "
                   "database%s%s%s",
                   a, level == NW_ALARM_OVER ? "more than the" : "not far from the",
                   nw_duration_text(b, limit), nw_count_text(c, (double)primary->dead_rows_since),
                   primary->dead_rows_since == 0 ? "" : ", most in ",
                   primary->dead_rows_since == 0 ? "" : primary->dead_table,
                   level == NW_ALARM_OVER && resumes(run)
                       ? ". It is kept until what is read just now can be gone on with"
                       : "");
    (void)nw_alarm_take(alarm, level, text, "the copy's old snapshot is gone");
    return NW_OK;
}

/* Past it vacuum reads whole tables again and again, and cannot freeze what we still see. */
static void xmin_judge(struct nw_run *run)
{
    const struct nw_primary *primary = &run->status.primary;
    struct nw_alarm *alarm = &run->status.alarms[NW_ALARM_XMIN];
    bool snapshot = primary->snapshot_age > primary->xmin_age;
    double age = (double)(snapshot ? primary->snapshot_age : primary->xmin_age);
    double limit = (double)primary->freeze_age_max;
    char text[NW_ERROR_TEXT_SIZE];
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];

    (void)snprintf(text, sizeof text,
                   "NW2364 %s%s keeps what the server's vacuum would freeze for %s transactions, "
                   "and autovacuum_freeze_max_age is %s",
                   snapshot ? "the copy's snapshot" : "slot ",
                   snapshot ? "" : run->options->server.slot_name, nw_count_text(a, age),
                   nw_count_text(b, limit));
    (void)nw_alarm_take(alarm, nw_alarm_next(alarm->level, age, limit), text,
                        "the server's vacuum is not held back for long any more");
}

nw_status nw_run_protect(struct nw_run *run, struct nw_error *err)
{
    int64_t now_ns = run->env->ops->now_ns(run->env);
    nw_status status = NW_OK;

    if (now_ns - run->protect_seen_ns < LOOK_NS ||
        (run->options->retained_wal_bytes == 0 && !run->server_open)) {
        return NW_OK; /* only for people it is not worth a connection */
    }
    run->protect_seen_ns = now_ns;
    if (!look(run, now_ns)) {
        return NW_OK;
    }
    spool_judge(run);
    server_limit_judge(run);
    xmin_judge(run);
    status = retained_judge(run, err);
    return status == NW_OK ? snapshot_judge(run, err) : status;
}

void nw_run_slot_drop(struct nw_run *run)
{
    const char *params[1] = {run->options->server.slot_name};
    struct timespec pause = {.tv_nsec = DROP_PAUSE_NS};
    struct nw_session *session = NULL;
    struct nw_error why = {0};
    nw_status status = nw_session_open(&run->options->server.connection, false, &session, &why);

    if (status == NW_OK) {
        status = NW_RETRY; /* our walsender takes a moment to let go of it */
    }
    for (int i = 0; i < DROP_TRIES && session != NULL && status != NW_OK; i++) {
        status = nw_session_query(session, "SELECT pg_catalog.pg_drop_replication_slot($1)", params,
                                  1, NULL, NULL, &why);
        if (status != NW_OK) {
            (void)nanosleep(&pause, NULL);
        }
    }
    nw_session_close(session);
    if (status == NW_OK) {
        run->slot_stays = false;
        nw_log(NW_LOG_WARN, "NW2320 slot %s was dropped to save the server",
               run->options->server.slot_name);
    } else {
        nw_log(NW_LOG_ERROR,
               "NW2321 slot %s could not be dropped: %s. Drop it by hand: SELECT "
               "pg_drop_replication_slot('%s');",
               run->options->server.slot_name, nw_code_rest(why.text),
               run->options->server.slot_name);
    }
}
