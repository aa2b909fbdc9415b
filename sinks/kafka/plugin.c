/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka sink's calls: see kafka.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka/kafka.h"

static void kafka_close(void *self)
{
    struct nw_kafka_sink *sink = self;

    if (sink == NULL) {
        return;
    }
    nw_kafka_end(sink);
    nw_kafka_options_forget(&sink->options);
    for (uint32_t i = 0; i < sink->workers_count; i++) {
        nw_out_fini(&sink->workers[i].key);
        nw_out_fini(&sink->workers[i].former_key);
        nw_out_fini(&sink->workers[i].header);
        nw_out_fini(&sink->workers[i].value);
        nw_kafka_forms_fini(&sink->workers[i]);
        free(sink->workers[i].tables);
        nw_kafka_copying_fini(&sink->workers[i]);
    }
    nw_kafka_state_forget(&sink->state);
    nw_kafka_asked_fini(sink);
    free(sink->copies);
    free(sink->known);
    free(sink->sizes.strict);
    (void)pthread_mutex_destroy(&sink->proving);
    (void)pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static nw_status kafka_open(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    struct nw_kafka_sink *sink = calloc(1, sizeof *sink);
    struct nw_table named = {.schema_name = "", .name = config->name};
    struct nw_kafka_options ledger = {.template_ = "_narwal.{prefix}.{table}"};
    nw_status status = NW_OK;

    if (sink == NULL) {
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for sink %s", config->name);
    }
    sink->host = host;
    sink->workers_count = workers;
    (void)pthread_mutex_init(&sink->proving, NULL);
    (void)pthread_mutex_init(&sink->lock, NULL);
    for (uint32_t i = 0; i < workers; i++) {
        sink->workers[i].sink = sink;
        sink->workers[i].index = i;
    }
    host->random(host, &sink->token, sizeof sink->token);
    status = nw_kafka_options_read(config, workers, &sink->options, err);
    if (status == NW_OK) {
        nw_kafka_context_headers(&sink->options, host);
        ledger.prefix = sink->options.prefix;
        status = nw_kafka_topic_name(&ledger, &named, sink->options.ledger_topic, err);
        status = status == NW_REJECT ? NW_FATAL : status;
    }
    if (status != NW_OK) {
        kafka_close(sink);
        return status;
    }
    nw_kafka_figures_begin(sink);
    sink->sizes.batch_bytes = sink->options.batch_bytes;
    if (rd_kafka_version() < 0x020601ff && sink->options.scram) {
        host->log(host, NW_LOG_WARN,
                  "NW2713 librdkafka is %s: brokers of Kafka 4 refuse its SCRAM, which 2.6.1 mends",
                  rd_kafka_version_str());
    }
    *self = sink;
    return NW_OK;
}

static nw_status recovery_fill(struct nw_kafka_sink *sink, struct nw_recovery *recovery,
                               struct nw_error *err)
{
    struct nw_kafka_state *state = &sink->state;
    struct nw_copy_state *copies =
        realloc(sink->copies, ((size_t)state->copies_count + 1) * sizeof *copies);
    bool positioned = false;

    if (copies == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the states of copies");
    }
    sink->copies = copies;
    sink->copies_count = state->copies_count;
    for (uint32_t i = 0; i < state->copies_count; i++) {
        const struct nw_kafka_copy *copy = &state->copies[i];

        copies[i] = (struct nw_copy_state){.relation_oid = copy->relation_oid,
                                           .generation = copy->generation,
                                           .complete = copy->complete,
                                           .bytes = copy->bytes,
                                           .size = copy->size};
    }
    for (uint32_t i = 0; i < state->workers; i++) {
        const struct nw_kafka_position *position = &state->positions[i];

        sink->positions[i] = (struct nw_position){
            .bytes = position->bytes, .size = position->size, .lsn = position->lsn};
        positioned = positioned || position->there;
    }
    sink->positioned = positioned && sink->positions[0].lsn > 0;
    sink->began = sink->began || (sink->copying && sink->positioned); /* in that commit */
    sink->copying = !sink->positioned && state->copies_count > 0; /* it was said that it began */
    sink->first_oid = sink->copying ? UINT32_MAX : 0;
    recovery->positions_count = positioned ? state->workers : 0;
    recovery->positions = sink->positions;
    recovery->copies_count = state->copies_count;
    recovery->copies = copies;
    recovery->fencing = state->fencing;
    if (recovery->size > offsetof(struct nw_recovery, ahead_lsn)) {
        recovery->ahead_lsn = nw_kafka_ledger_ahead(state);
    }
    return NW_OK;
}

static nw_status kafka_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    nw_status status = nw_kafka_recover(self, err);

    if (status == NW_OK) {
        nw_kafka_figures_recovered(self);
    }
    return status == NW_OK ? recovery_fill(self, recovery, err) : status;
}

static nw_status kafka_copy_resolve(void *self, uint32_t relation_oid, uint32_t generation,
                                    enum nw_copy_verdict verdict, struct nw_error *err)
{
    (void)self;
    (void)relation_oid;
    (void)generation;
    (void)verdict;
    (void)err;
    return NW_OK; /* what is in a topic stays */
}

static struct nw_kafka_worker *worker_of(void *self, uint32_t worker)
{
    struct nw_kafka_sink *sink = self;

    return &sink->workers[worker];
}

static nw_status kafka_table(void *self, uint32_t worker, const struct nw_table *table,
                             struct nw_error *err)
{
    return nw_kafka_table_set(worker_of(self, worker), table, err);
}

static nw_status messages_begin(struct nw_kafka_worker *worker, struct nw_error *err)
{
    nw_status status = nw_kafka_duration_check(worker, err);

    return status == NW_OK && worker->sink->options.transactional
               ? nw_kafka_begin(worker->producer, err)
               : status;
}

static nw_status kafka_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                                  uint32_t generation, struct nw_error *err)
{
    nw_status status = messages_begin(worker_of(self, worker), err);

    (void)generation;
    return status == NW_OK ? nw_kafka_copy_begins(worker_of(self, worker), table, err) : status;
}

static nw_status kafka_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                                uint32_t generation, struct nw_error *err)
{
    nw_status status = messages_begin(worker_of(self, worker), err);

    (void)generation;
    return status == NW_OK ? nw_kafka_copy_ends(worker_of(self, worker), table, err) : status;
}

static nw_status kafka_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    nw_status status = messages_begin(worker_of(self, worker), err);

    if (status == NW_OK && (batch->flags & NW_BATCH_COPY) != 0) {
        status = nw_kafka_copy_goes_on(worker_of(self, worker), batch->table, err);
    }
    status = status == NW_OK ? nw_kafka_rows(worker_of(self, worker), batch, err) : status;
    worker_of(self, worker)->refused = worker_of(self, worker)->refused || status == NW_REJECT;
    return status;
}

static nw_status kafka_event(void *self, uint32_t worker, const struct nw_event *event,
                             struct nw_error *err)
{
    nw_status status = NW_OK;

    if (event->kind == NW_EVENT_DROP) {
        nw_kafka_table_dropped(worker_of(self, worker), event->tables[0]);
        status = messages_begin(worker_of(self, worker), err);
        return status == NW_OK ? nw_kafka_copy_gone(worker_of(self, worker), event->tables[0], err)
                               : status;
    }
    status = messages_begin(worker_of(self, worker), err);
    if (status == NW_OK) {
        status = event->kind == NW_EVENT_TRUNCATE
                     ? nw_kafka_truncate(worker_of(self, worker), event, err)
                     : nw_kafka_notice(worker_of(self, worker), event, err);
    }
    return status;
}

/* Workers wait for their messages side by side. */
static nw_status kafka_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    nw_status status = nw_kafka_drain(worker_of(self, worker)->producer, err);

    (void)epoch;
    return status == NW_OK ? nw_kafka_duration_check(worker_of(self, worker), err) : status;
}

static const struct nw_position *position_of(const struct nw_commit *commit, uint32_t worker)
{
    return &commit->positions[commit->positions_count > 1 ? worker : 0];
}

static bool says(const struct nw_commit *commit, uint32_t flag)
{
    return commit->size > offsetof(struct nw_commit, flags) && (commit->flags & flag) != 0;
}

static bool moves(const struct nw_commit *commit)
{
    return says(commit, NW_COMMIT_MOVES);
}

/* The records of one worker, or of all of them, into a producer's transaction. */
static nw_status records_write(struct nw_kafka_sink *sink, struct nw_kafka_producer *producer,
                               uint32_t first, uint32_t count, const struct nw_commit *commit,
                               struct nw_error *err)
{
    bool alone = !sink->options.transactional; /* this producer writes for all */
    nw_status status = nw_kafka_begin(producer, err);

    for (uint32_t i = 0; i < commit->copies_count && status == NW_OK; i++) {
        /* Of a table that nobody was told of there are no rows in this epoch: anyone may say it. */
        uint32_t worker = alone ? first : nw_kafka_worker_of(sink, commit->copies[i].relation_oid);

        if (worker == first) {
            status = nw_kafka_ledger_copy(producer, &commit->copies[i], err);
        }
    }
    for (uint32_t i = first; i < first + count && status == NW_OK; i++) {
        status = nw_kafka_ledger_position(producer, i, position_of(commit, i), moves(commit), err);
    }
    return status == NW_OK ? nw_kafka_ledger_parts_ended(producer, first, err) : status;
}

static void worker_committed(struct nw_kafka_sink *sink, uint32_t worker,
                             const struct nw_commit *commit)
{
    nw_kafka_ledger_moved(sink, worker, position_of(commit, worker), moves(commit));
    nw_kafka_tables_committed(&sink->workers[worker], moves(commit));
    sink->workers[worker].overran = false;
    sink->workers[worker].refused = false; /* dead letters are written before */
}

/* The first goes first: a process that was fenced is stopped there. */
static nw_status workers_commit(struct nw_kafka_sink *sink, const struct nw_commit *commit,
                                enum nw_outcome *outcome, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < sink->workers_count && status == NW_OK; i++) {
        status = records_write(sink, &sink->producers[i], i, 1, commit, err);
    }
    for (uint32_t i = 0; i < sink->workers_count && status == NW_OK; i++) {
        status = nw_kafka_commit(&sink->producers[i], outcome, err);
        if (status == NW_OK && *outcome != NW_COMMITTED) {
            *outcome = i == 0 ? *outcome : NW_UNKNOWN; /* of some it did happen */
            return NW_OK;
        }
        if (status == NW_OK) {
            worker_committed(sink, i, commit);
        }
    }
    return status;
}

/* Whether it is to be said that the first copy is whole, or that there is none. */
static bool first_is_over(const struct nw_kafka_sink *sink, const struct nw_commit *commit)
{
    return !sink->began && commit->positions[0].lsn > 0 && !moves(commit);
}

static bool is_anything_said(struct nw_kafka_sink *sink, const struct nw_commit *commit)
{
    bool waits = false;

    (void)pthread_mutex_lock(&sink->lock);
    waits = sink->pauses_count > 0 || sink->asked_count > 0;
    (void)pthread_mutex_unlock(&sink->lock);
    return waits ||
           (sink->options.notices_[NW_KAFKA_NOTIFICATIONS] != NULL && first_is_over(sink, commit));
}

/* Said in the commit that has all of it. */
static nw_status commit_say(struct nw_kafka_sink *sink, const struct nw_commit *commit,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    if (!is_anything_said(sink, commit)) {
        return NW_OK;
    }
    status = messages_begin(&sink->workers[0], err);
    if (status == NW_OK && first_is_over(sink, commit)) {
        status = nw_kafka_copies_end(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_pauses_say(&sink->workers[0], err);
    }
    if (status == NW_OK) {
        status = nw_kafka_lost_say(&sink->workers[0], err);
    }
    return status == NW_OK ? nw_kafka_drain(sink->workers[0].producer, err) : status;
}

static void sink_committed(struct nw_kafka_sink *sink, const struct nw_commit *commit)
{
    nw_kafka_asked_settle(sink, true);
    if (commit->positions[0].lsn > 0) {
        sink->began = sink->began || !moves(commit);
        sink->positioned = true;
        sink->copying = false;
    }
}

static nw_status kafka_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                              struct nw_error *err)
{
    struct nw_kafka_sink *sink = self;
    int64_t began_ns = sink->host->now_ns(sink->host);
    nw_status status = nw_kafka_held_send_all(sink, says(commit, NW_COMMIT_COPIED), err);

    *outcome = NW_NOT_COMMITTED;
    if (status == NW_OK) {
        status = commit_say(sink, commit, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_asked_record(sink, &sink->producers[0], err);
    }
    if (status != NW_OK) {
        return status == NW_FATAL || status == NW_AGAIN ? status : NW_OK;
    }
    if (sink->options.transactional) {
        status = workers_commit(sink, commit, outcome, err);
    } else {
        status = records_write(sink, &sink->producers[0], 0, sink->state.workers, commit, err);
        status = status == NW_OK ? nw_kafka_commit(&sink->producers[0], outcome, err) : status;
        for (uint32_t i = 0; status == NW_OK && *outcome == NW_COMMITTED && i < sink->workers_count;
             i++) {
            worker_committed(sink, i, commit);
        }
    }
    sink->commits++;
    nw_kafka_figures_committed(sink, began_ns);
    if (*outcome == NW_COMMITTED) {
        sink_committed(sink, commit);
    }
    return status == NW_FATAL ? status : NW_OK;
}

static void kafka_tick(void *self)
{
    nw_kafka_figures_tick(self);
    nw_kafka_beat(self);
    nw_kafka_asked_poll(self);
    nw_kafka_signals_poll(self);
}

static struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "kafka",
    .flags = NW_SINK_EXCEPTIONS | NW_SINK_APPEND_ONLY | NW_SINK_NAMES_ONLY,
    .options_count = NW_KAFKA_OPTIONS_COUNT,
    .options = nw_kafka_option_table,
    .workers_max = NW_KAFKA_WORKERS_MAX,
    .epochs_ahead_max = 0,
    .open = kafka_open,
    .recover = kafka_recover,
    .copy_resolve = kafka_copy_resolve,
    .table = kafka_table,
    .copy_begin = kafka_copy_begin,
    .copy_end = kafka_copy_end,
    .write = kafka_write,
    .event = kafka_event,
    .seal = kafka_seal,
    .commit = kafka_commit,
    .close = kafka_close,
    .flags_of = nw_kafka_notices_flags,
    .tick = kafka_tick,
    .unmet = nw_kafka_unmet,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    static char version[64];

    (void)snprintf(version, sizeof version, "%s, librdkafka %s", NARWAL_VERSION,
                   rd_kafka_version_str());
    ops.version = version;
    return &ops;
}
