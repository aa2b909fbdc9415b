/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the copy runs: what the walsender sends is recorded in the spool, word for word, so that
 * the server may forget it. Once the copy is done it comes back from there, through the same
 * functions that take what comes from the server, while what the server sends goes on being
 * recorded. When the one has caught up with the other the stream is live, and the spool goes as
 * soon as the sinks have what was in it. See stream_private.h.
 *
 * Values are asked for as text meanwhile: the binary form of a type that we do not know could not
 * be asked for again.
 */
#include "base/crash.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "source/stream_private.h"

#define POSITION_NS 1000000000LL /* an idle server's position is recorded no more often */
#define RETRY_NS    1000000000LL

/* ---- recording ---- */

/* The position that holds once this message is recorded; 0: it says nothing. */
static nw_status position_after(const struct nw_replication_message *data, uint64_t *lsn,
                                struct nw_error *err)
{
    struct nw_pgoutput_commit commit = {0};
    nw_status status = NW_OK;

    *lsn = 0;
    if (data->data.size > 0 && data->data.at[0] == 'C') {
        status = nw_pgoutput_commit_parse(data->data, &commit, err);
        *lsn = commit.end_lsn;
    } else if (data->data.size > 0 && data->data.at[0] == 'c') {
        status = nw_pgoutput_stream_commit_parse(data->data, &commit, err);
        *lsn = commit.end_lsn;
    }
    return status;
}

/* Follows transactions and streams, between which alone a server's position may be recorded. */
static void recorder_follow(struct nw_recorder *recorder, const struct nw_replication_message *data)
{
    switch (data->data.size == 0 ? '\0' : (char)data->data.at[0]) {
    case 'B':
        recorder->in_transaction = true;
        break;
    case 'C':
        recorder->in_transaction = false;
        break;
    case 'S':
        recorder->in_stream = true;
        break;
    case 'E':
        recorder->in_stream = false;
        break;
    default:
        break;
    }
}

static nw_status restart_record(struct nw_source *source, struct nw_error *err)
{
    const struct nw_spool_record restart = {.kind = NW_SPOOL_RESTART};
    nw_status status = NW_OK;

    if (source->recorder.restarted) {
        status = nw_spool_append(source->options.spool, &restart, err);
        source->recorder.restarted = status != NW_OK;
    }
    return status;
}

static uint64_t spool_end_lsn(const struct nw_source *source)
{
    struct nw_spool_status status;

    nw_spool_status(source->options.spool, &status);
    return status.end_lsn;
}

nw_status nw_source_record(struct nw_source *source, const struct nw_replication_message *data,
                           struct nw_error *err)
{
    struct nw_spool_record record = {
        .kind = NW_SPOOL_MESSAGE, .lsn = data->start_lsn, .body = data->data};
    nw_status status = restart_record(source, err);

    if (status == NW_OK) {
        status = position_after(data, &record.position_lsn, err);
    }
    if (status == NW_OK && record.position_lsn != 0 &&
        record.position_lsn <= spool_end_lsn(source)) {
        record.position_lsn = 0; /* sent again: it is in there already */
    }
    if (status == NW_OK) {
        status = nw_spool_append(source->options.spool, &record, err);
    }
    if (status == NW_OK) {
        recorder_follow(&source->recorder, data);
    }
    return status;
}

void nw_source_record_position(struct nw_source *source, uint64_t lsn, int64_t now_ns)
{
    struct nw_recorder *recorder = &source->recorder;
    const struct nw_spool_record record = {.kind = NW_SPOOL_POSITION, .position_lsn = lsn};
    struct nw_error ignored; /* there is no room now: a later one will say more */

    if (recorder->in_transaction || recorder->in_stream || lsn <= spool_end_lsn(source) ||
        (now_ns - recorder->positioned_ns < POSITION_NS && !source->demanded)) {
        return;
    }
    if (restart_record(source, &ignored) == NW_OK &&
        nw_spool_append(source->options.spool, &record, &ignored) == NW_OK) {
        recorder->positioned_ns = now_ns;
    }
}

void nw_source_spool_connected(struct nw_source *source)
{
    struct nw_recorder *recorder = &source->recorder;

    recorder->restarted = recorder->recording;
    recorder->in_transaction = recorder->in_stream = false;
}

/* ---- playing ---- */

/* The reader has what the writer wrote: from here on there is no difference. */
static void go_live(struct nw_source *source)
{
    struct nw_recorder *recorder = &source->recorder;
    char lsn[NW_LSN_TEXT_SIZE];

    recorder->recording = false;
    recorder->end_lsn = spool_end_lsn(source);
    recorder->upgrading = true;
    nw_spool_flush(source->options.spool);
    if (source->phase != NW_SOURCE_STREAMING || recorder->restarted) {
        nw_source_forget(source); /* a new connection, of which the spool was not told */
    }
    nw_log(NW_LOG_INFO, "the spool is read up to %s: live", nw_lsn_text(lsn, recorder->end_lsn));
}

static nw_status record_play(struct nw_source *source, int64_t now_ns, struct nw_error *err)
{
    const struct nw_spool_record *record = &source->recorder.played;
    struct nw_replication_message data = {
        .kind = 'w', .start_lsn = record->lsn, .data = record->body};

    nw_crash_point("play");
    switch (record->kind) {
    case NW_SPOOL_MESSAGE:
        return nw_source_payload(source, &data, now_ns, err);
    case NW_SPOOL_RESTART:
        nw_source_forget(source);
        return NW_OK;
    case NW_SPOOL_POSITION:
        nw_dealer_advance(source->options.dealer, record->position_lsn);
        return NW_OK;
    case NW_SPOOL_TABLE:
        break;
    }
    return NW_OK; /* a later narwal's, which this one can do without */
}

/* The next record, if there is one. @return NW_AGAIN: not now, or the end was reached. */
static nw_status record_next(struct nw_source *source, struct nw_error *err)
{
    struct nw_recorder *recorder = &source->recorder;
    bool end = false;
    nw_status status = NW_OK;

    if (recorder->has_played) {
        return NW_OK;
    }
    status = nw_spool_next(source->options.spool, &recorder->played, &end, err);
    if (status == NW_OK && end) {
        go_live(source); /* what waits to be recorded is dealt next */
        return NW_AGAIN;
    }
    recorder->has_played = status == NW_OK;
    return status;
}

static bool ends_a_transaction(const struct nw_spool_record *record)
{
    return record->kind == NW_SPOOL_MESSAGE && record->body.size > 0 && record->body.at[0] == 'C';
}

/* What the dealer waits for. The server may be away, in which case it is asked again later. */
static nw_status catalog_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                              struct nw_error *err)
{
    nw_status status = nw_source_stop(source, work, err);

    status = status == NW_OK ? nw_source_describe(source, work, err) : status;
    if (status == NW_RETRY) {
        source->recorder.retry_ns = now_ns + RETRY_NS;
        nw_log(NW_LOG_WARN, "%s; trying again in a second", err->text);
        return NW_AGAIN;
    }
    return status;
}

/* Deals the next record, or the next change of a streamed transaction that committed. */
static nw_status play_next(struct nw_source *source, int64_t now_ns, uint32_t *work,
                           struct nw_error *err)
{
    struct nw_recorder *recorder = &source->recorder;
    nw_status status = NW_OK;

    if (source->replaying) {
        return nw_source_replay(source, now_ns, err);
    }
    status = record_next(source, err);
    if (status == NW_OK) {
        status = record_play(source, now_ns, err);
        recorder->has_played = status != NW_OK;
    }
    return status == NW_OK && ends_a_transaction(&recorder->played)
               ? nw_source_epoch(source, now_ns, false, work, err)
               : status;
}

static nw_status play_step(struct nw_source *source, int64_t now_ns, uint32_t *work,
                           struct nw_error *err)
{
    struct nw_recorder *recorder = &source->recorder;
    nw_status status = NW_OK;

    if (now_ns < recorder->retry_ns) {
        return NW_OK;
    }
    status = catalog_step(source, now_ns, work, err);
    for (int i = 0; i < NW_SOURCE_STEP_MAX && status == NW_OK && recorder->recording &&
                    !(source->draining && nw_source_rests(source));
         i++) {
        status = play_next(source, now_ns, work, err);
        *work += status == NW_OK;
    }
    recorder->on_disk = status == NW_AGAIN && (source->replaying || source->in_stream);
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- the end of the spool ---- */

/*
 * Its beginning is not trimmed while the rest is read: after a crash the rows that are left would
 * lack the Relation messages that describe them.
 */
void nw_source_durable(struct nw_source *source, uint64_t lsn)
{
    struct nw_recorder *recorder = &source->recorder;

    if (source->options.spool == NULL || recorder->ending) {
        return;
    }
    if (!recorder->recording && recorder->end_lsn != 0 && lsn >= recorder->end_lsn) {
        recorder->ending = true;
        nw_jobs_submit(source->options.jobs, &recorder->remove_job);
    }
}

uint64_t nw_source_spooled_lsn(const struct nw_source *source)
{
    return source->options.spool == NULL ? 0 : nw_spool_synced_lsn(source->options.spool);
}

/* ---- the step ---- */

int64_t nw_source_spool_deadline(const struct nw_source *source, int64_t now_ns)
{
    const struct nw_recorder *recorder = &source->recorder;
    int64_t deadline_ns = source->options.spool == NULL || recorder->ending
                              ? INT64_MAX
                              : nw_spool_deadline(source->options.spool, now_ns);

    return recorder->retry_ns > now_ns && recorder->retry_ns < deadline_ns ? recorder->retry_ns
                                                                           : deadline_ns;
}

/* The files go a few at a time, so that what else the service thread has to do waits for no more.
 */
static nw_status removal_step(struct nw_source *source, struct nw_error *err)
{
    struct nw_job *job = &source->recorder.remove_job;

    if (job->pending || job->status == NW_OK) {
        return NW_OK;
    }
    if (job->status == NW_AGAIN) {
        nw_jobs_submit(source->options.jobs, job);
        return NW_OK;
    }
    *err = job->error;
    return job->status;
}

nw_status nw_source_spool(struct nw_source *source, int64_t now_ns, uint32_t *work,
                          struct nw_error *err)
{
    struct nw_recorder *recorder = &source->recorder;
    nw_status status = NW_OK;

    if (source->options.spool == NULL) {
        return NW_OK;
    }
    if (recorder->ending) {
        return removal_step(source, err);
    }
    status = nw_spool_step(source->options.spool, now_ns, work, err);
    if (status == NW_OK && recorder->recording && !recorder->holding) {
        status = play_step(source, now_ns, work, err);
    }
    return status;
}
