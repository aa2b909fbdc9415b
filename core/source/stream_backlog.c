/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are paused or stopped: their backlogs are written and synced here, and dealt when
 * they are to go on: a part of one between two transactions of the stream, then some of the stream
 * again, so that the others are hardly held up. See backlog.h and stream_private.h.
 */
#include "base/assert.h"
#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "source/stream_private.h"

/* ---- which there are ---- */

/* Whether a crash would need it: one that was dealt is, until that is durable at every sink. */
static bool is_needed(const struct nw_source *source, const struct nw_backlog *backlog)
{
    return backlog->state != NW_BACKLOG_GIVEN_UP && backlog != source->backlogs.ending;
}

void nw_source_backlog(struct nw_source *source, struct nw_backlog *backlog, bool resumes)
{
    struct nw_backlogs *backlogs = &source->backlogs;

    nw_backlog_use(backlog, source->options.jobs);
    backlog->state = resumes ? NW_BACKLOG_RESUMES : NW_BACKLOG_KEEPS;
    backlog->following = backlogs->first;
    backlogs->first = backlog;
}

void nw_source_resume(struct nw_source *source, uint32_t relation_oid)
{
    for (struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (b->relation_oid == relation_oid && b->state == NW_BACKLOG_KEEPS) {
            b->state = NW_BACKLOG_RESUMES;
        }
    }
}

void nw_source_backlogs_destroy(struct nw_source *source)
{
    while (source->backlogs.first != NULL) {
        struct nw_backlog *backlog = source->backlogs.first;

        source->backlogs.first = backlog->following;
        nw_backlog_destroy(backlog);
    }
}

uint64_t nw_source_limit_lsn(const struct nw_source *source)
{
    uint64_t limit = UINT64_MAX;

    for (const struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (is_needed(source, b)) {
            uint64_t lsn = nw_backlog_limit_lsn(b);

            limit = lsn < limit ? lsn : limit;
        }
    }
    return limit;
}

void nw_source_reached(const struct nw_source *source, struct nw_backlog_reached *reached)
{
    reached->count = 0;
    for (const struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (is_needed(source, b) && reached->count < NW_BEHIND_MAX) {
            reached->tables[reached->count++] =
                (struct nw_backlog_place){b->relation_oid, nw_backlog_synced_lsn(b)};
        }
    }
}

bool nw_source_backlogs_room(const struct nw_source *source)
{
    uint32_t needed = 0;

    for (const struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        needed += is_needed(source, b);
    }
    return needed < NW_BEHIND_MAX;
}

int64_t nw_source_backlogs_deadline(const struct nw_source *source, int64_t now_ns)
{
    int64_t deadline_ns = INT64_MAX;

    for (const struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (is_needed(source, b)) {
            int64_t due_ns = nw_backlog_deadline(b, now_ns);

            deadline_ns = due_ns < deadline_ns ? due_ns : deadline_ns;
        }
    }
    return deadline_ns;
}

void nw_source_backlogs_status(const struct nw_source *source, struct nw_source_status *status)
{
    status->backlogs_count = 0;
    for (const struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (status->backlogs_count < NW_BEHIND_MAX && b->state != NW_BACKLOG_GIVEN_UP) {
            bool goes = b == source->backlogs.ending; /* its spool is the job's */

            status->backlogs[status->backlogs_count++] =
                (struct nw_backlog_status){.relation_oid = b->relation_oid,
                                           .changes = b->rows,
                                           .bytes = goes ? 0 : nw_backlog_bytes(b)};
        }
    }
}

struct nw_backlog *nw_source_backlog_done(const struct nw_source *source, uint32_t relation_oid)
{
    struct nw_backlog *b = source->backlogs.first;

    while (b != NULL && (b->relation_oid != relation_oid || b->state != NW_BACKLOG_DONE)) {
        b = b->following;
    }
    return b;
}

/* ---- the end of one ---- */

nw_status nw_source_backlog_end_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;
    struct nw_backlog *ending = source->backlogs.ending;

    return source->options.backlog_end(source->options.context, ending,
                                       ending->state == NW_BACKLOG_DONE, err);
}

static void unlink_backlog(struct nw_backlogs *backlogs, struct nw_backlog *gone)
{
    struct nw_backlog **at = &backlogs->first;

    while (*at != NULL && *at != gone) {
        at = &(*at)->following;
    }
    NW_ASSERT(*at == gone);
    *at = gone->following;
}

/* Those that are not needed any more go, one after the other. */
static nw_status ends_step(struct nw_source *source, uint32_t *work, struct nw_error *err)
{
    struct nw_backlogs *backlogs = &source->backlogs;

    if (backlogs->end_job.pending) {
        return NW_OK;
    }
    if (backlogs->ending != NULL) {
        if (backlogs->end_job.status != NW_OK) {
            *err = backlogs->end_job.error;
            return backlogs->end_job.status;
        }
        unlink_backlog(backlogs, backlogs->ending);
        nw_backlog_destroy(backlogs->ending);
        backlogs->ending = NULL;
        *work += 1;
    }
    for (struct nw_backlog *b = backlogs->first; b != NULL && backlogs->ending == NULL;
         b = b->following) {
        bool kept_again = source->stop_asked && source->stop.playing == b;

        if (b->state == NW_BACKLOG_GIVEN_UP ||
            (b->state == NW_BACKLOG_DONE && b->end_epoch <= backlogs->durable_epoch &&
             !kept_again)) {
            backlogs->ending = b;
            nw_jobs_submit(source->options.jobs, &backlogs->end_job);
        }
    }
    return NW_OK;
}

/* ---- dealing what was kept ---- */

/* One can be dealt from here on: all that is in it was received, and every sink is as far. */
static struct nw_backlog *playable(const struct nw_source *source)
{
    struct nw_dealer_state state;

    nw_dealer_state(source->options.dealer, &state);
    if (source->draining || source->recorder.recording || !nw_source_rests(source) ||
        state.position_lsn < source->options.play_lsn) {
        return NULL;
    }
    for (struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        if (b->state == NW_BACKLOG_RESUMES && b->open_lsn == 0 &&
            state.position_lsn >= nw_backlog_end_lsn(b) &&
            (b->dealt.partial_lsn <= b->dealt.done_lsn ||
             state.position_lsn > b->dealt.partial_lsn)) { /* what broke off came again */
            return b;
        }
    }
    return NULL;
}

/* Between two transactions of it the stream has its turn. @param whole  all of it was dealt */
static nw_status turn_end(struct nw_source *source, bool whole, int64_t now_ns,
                          struct nw_error *err)
{
    struct nw_backlog *backlog = source->backlogs.playing;
    struct nw_dealer_state state;
    nw_status status = nw_dealer_play_end(source->options.dealer, whole, now_ns, err);

    if (status != NW_OK) {
        return status;
    }
    source->backlogs.playing = NULL;
    source->backlogs.turn_over = true;
    if (whole) {
        nw_dealer_state(source->options.dealer, &state);
        backlog->state = NW_BACKLOG_DONE;
        backlog->end_epoch = state.epoch;
        source->recorder.upgrading = source->recorder.upgrading || backlog->retyped;
        nw_crash_point("resumed");
    }
    return NW_OK;
}

/* The next record, if it is not there yet. NW_REJECT: it cannot be read. */
static nw_status record_next(struct nw_source *source, bool *end, struct nw_error *err)
{
    struct nw_backlogs *backlogs = &source->backlogs;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (backlogs->has_record) {
        return NW_OK;
    }
    status = nw_backlog_next(backlogs->playing, &backlogs->record, end, &why);
    backlogs->has_record = status == NW_OK && !*end;
    return status == NW_OK || status == NW_AGAIN
               ? status
               : nw_fail(err, NW_REJECT, "NW2515 what was kept of it cannot be read: %.900s",
                         nw_code_rest(why.text));
}

static nw_status records_play(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    struct nw_backlogs *backlogs = &source->backlogs;
    bool end = false;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && backlogs->playing != NULL; i++) {
        bool ends = false;

        status = record_next(source, &end, err);
        if (status == NW_OK && end) {
            return turn_end(source, nw_dealer_play_is_whole(source->options.dealer), now_ns, err);
        }
        if (status == NW_OK) {
            nw_crash_point("resume");
            status = nw_dealer_play(source->options.dealer, &backlogs->record, now_ns, err);
            backlogs->has_record = status != NW_OK;
            ends = status == NW_OK && backlogs->record.kind == 'C';
            *work += status == NW_OK;
        }
        if (ends && i >= NW_SOURCE_STEP_MAX) {
            return turn_end(source, false, now_ns, err);
        }
        if (!ends && i >= 2 * NW_SOURCE_STEP_MAX) {
            return NW_OK; /* a large transaction: other agents have their turn */
        }
    }
    return status;
}

static nw_status play_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                           struct nw_error *err)
{
    struct nw_backlogs *backlogs = &source->backlogs;
    struct nw_backlog *next =
        backlogs->playing == NULL && !backlogs->turn_over ? playable(source) : NULL;
    nw_status status = NW_OK;

    backlogs->turn_over = false;
    backlogs->on_disk = false;
    if (next != NULL) {
        status = nw_dealer_play_begin(source->options.dealer, next, err);
        backlogs->playing = status == NW_OK ? next : NULL;
        *work += 1;
    }
    if (status == NW_OK && backlogs->playing != NULL) {
        status = records_play(source, now_ns, work, err);
        backlogs->on_disk = status == NW_AGAIN;
    }
    if (status == NW_REJECT) { /* what cannot be recorded now is found again */
        (void)nw_dealer_give_up(source->options.dealer, backlogs->playing, err->text);
        status = NW_OK;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- the step ---- */

/* Writes and syncs what was kept. */
static nw_status writes_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                             struct nw_error *err)
{
    for (struct nw_backlog *b = source->backlogs.first; b != NULL; b = b->following) {
        nw_status status = NW_OK;

        if (is_needed(source, b)) {
            status = nw_backlog_step(b, now_ns, work, err);
        }
        if (status == NW_REJECT && b->state == NW_BACKLOG_DONE) {
            continue; /* it holds back what is acknowledged until the sinks have it */
        }
        if (status == NW_REJECT) {
            (void)nw_dealer_give_up(source->options.dealer, b, err->text);
        } else if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

nw_status nw_source_backlogs(struct nw_source *source, int64_t now_ns, uint32_t *work,
                             struct nw_error *err)
{
    nw_status status = NW_OK;

    if (source->backlogs.stopped) {
        return nw_fail(err, NW_RETRY,
                       "NW2101 a table stopped of which changes are kept, or were: going on "
                       "without it");
    }
    if (source->backlogs.first == NULL) {
        return NW_OK;
    }
    status = writes_step(source, now_ns, work, err);
    if (status == NW_OK) {
        status = play_step(source, now_ns, work, err);
    }
    return status == NW_OK ? ends_step(source, work, err) : status;
}
