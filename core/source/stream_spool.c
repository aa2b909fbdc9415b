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
#include "base/code.h"
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

/*
 * Begins a segment with what is in force here, between two transactions, when it is time to: up to
 * there the spool can be trimmed. Without room it is done another time.
 */
static nw_status state_record(struct nw_source *source, struct nw_error *err)
{
    struct nw_relations *relations = source->recorder.relations;
    struct nw_spool_record state = {.kind = NW_SPOOL_STATE};
    nw_status status = NW_OK;

    if (!nw_relations_rest(relations) ||
        !nw_spool_state_is_due(source->options.spool, nw_relations_bytes(relations))) {
        return NW_OK;
    }
    status = nw_relations_pack(relations, &state.body, err);
    if (status == NW_OK) {
        status = nw_spool_append(source->options.spool, &state, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

nw_status nw_source_record(struct nw_source *source, const struct nw_replication_message *data,
                           struct nw_error *err)
{
    struct nw_spool_record record = {
        .kind = NW_SPOOL_MESSAGE, .lsn = data->start_lsn, .body = data->data};
    nw_status status = restart_record(source, err);

    if (status == NW_OK) {
        status = state_record(source, err);
    }
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
    return status == NW_OK ? nw_relations_take(source->recorder.relations, data->data, err)
                           : status;
}

void nw_source_record_position(struct nw_source *source, uint64_t lsn, int64_t now_ns)
{
    struct nw_recorder *recorder = &source->recorder;
    const struct nw_spool_record record = {.kind = NW_SPOOL_POSITION, .position_lsn = lsn};
    struct nw_error ignored; /* there is no room now: a later one will say more */

    if (nw_relations_inside(recorder->relations) || lsn <= spool_end_lsn(source) ||
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
    if (recorder->recording) {
        nw_relations_reset(recorder->relations);
    }
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

/* The spool begins with a state: deals what was in force there, one message after the other. */
static nw_status state_resume(struct nw_source *source, struct nw_error *err)
{
    struct nw_recorder *recorder = &source->recorder;
    struct nw_bytes body = recorder->played.body;
    nw_status status = NW_OK;

    while (status == NW_OK && recorder->resumed_at < body.size) {
        struct nw_cursor cursor =
            nw_cursor_of(body.at + recorder->resumed_at, body.size - recorder->resumed_at);
        struct nw_bytes message = nw_cursor_bytes(&cursor, nw_cursor_u32le(&cursor));

        if (cursor.failed) {
            return nw_fail(err, NW_CORRUPT, "the spool's first record ends early");
        }
        status = nw_dealer_resume(source->options.dealer, message, err);
        if (status == NW_OK) {
            recorder->resumed_at = (uint32_t)(body.size - cursor.left);
        }
    }
    return status;
}

/*
 * A segment begins here that needs nothing of what is before it. That is durable once the dealer's
 * position is: the record's own is that of the last commit, and a message of no transaction may
 * stand between the two.
 */
static void state_pass(struct nw_source *source)
{
    struct nw_recorder *recorder = &source->recorder;
    const struct nw_spool_record *record = &recorder->played;
    struct nw_dealer_state dealt;
    uint64_t lsn = record->position_lsn;
    uint32_t last = NW_SOURCE_MARKS_KEPT - 1;

    nw_dealer_state(source->options.dealer, &dealt);
    lsn = dealt.position_lsn > lsn ? dealt.position_lsn : lsn;
    if (recorder->marks_count < NW_SOURCE_MARKS_KEPT) {
        last = recorder->marks_count++; /* else it takes the last one's place */
    }
    recorder->marks[(recorder->marks_head + last) % NW_SOURCE_MARKS_KEPT] =
        (struct nw_source_mark){lsn, record->number};
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
    case NW_SPOOL_STATE:
        if (!source->recorder.begun) {
            return state_resume(source, err);
        }
        state_pass(source);
        return NW_OK;
    }
    return NW_OK;
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

    status = status == NW_OK ? nw_source_describe(source, now_ns, work, err) : status;
    if (status == NW_RETRY) {
        source->recorder.retry_ns = now_ns + RETRY_NS;
        nw_log(NW_LOG_WARN, "%.6s %s; trying again in a second", nw_error_code(err),
               nw_code_rest(err->text));
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
        recorder->begun = recorder->begun || status == NW_OK;
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
                    !nw_source_is_over(source);
         i++) {
        status = play_next(source, now_ns, work, err);
        *work += status == NW_OK;
    }
    recorder->on_disk = status == NW_AGAIN && (source->replaying || source->in_stream);
    return status == NW_AGAIN ? NW_OK : status;
}

/* ---- the end of the spool ---- */

/* What every sink has need not be kept: while the rest is read the spool is trimmed. */
static void marks_pass(struct nw_source *source, uint64_t lsn)
{
    struct nw_recorder *recorder = &source->recorder;

    while (recorder->marks_count > 0 && recorder->marks[recorder->marks_head].lsn <= lsn) {
        nw_spool_trim(source->options.spool, recorder->marks[recorder->marks_head].record);
        recorder->marks_head = (recorder->marks_head + 1) % NW_SOURCE_MARKS_KEPT;
        recorder->marks_count--;
    }
}

void nw_source_durable(struct nw_source *source, uint64_t epoch, uint64_t lsn)
{
    struct nw_recorder *recorder = &source->recorder;

    source->backlogs.durable_epoch = epoch;
    if (source->options.spool == NULL || recorder->ending) {
        return;
    }
    marks_pass(source, lsn);
    if (!recorder->recording && recorder->end_lsn != 0 && lsn >= recorder->end_lsn) {
        recorder->ending = true;
        recorder->ended_lsn = nw_spool_synced_lsn(source->options.spool);
        nw_jobs_submit(source->options.jobs, &recorder->remove_job);
    }
}

uint64_t nw_source_spooled_lsn(const struct nw_source *source)
{
    const struct nw_recorder *recorder = &source->recorder;

    if (source->options.spool == NULL) {
        return 0;
    }
    return recorder->ending ? recorder->ended_lsn : nw_spool_synced_lsn(source->options.spool);
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
