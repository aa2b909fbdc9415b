/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka sink's calls: see kafka.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka/kafka.h"

#define ID_SIZE 512u

static void kafka_close(void *self)
{
    struct nw_kafka_sink *sink = self;

    if (sink == NULL) {
        return;
    }
    nw_kafka_producers_destroy(sink);
    if (sink->options.conf != NULL) {
        rd_kafka_conf_destroy(sink->options.conf);
    }
    nw_kafka_state_forget(&sink->state);
    nw_out_fini(&sink->key);
    nw_out_fini(&sink->former_key);
    nw_out_fini(&sink->value);
    free(sink->copies);
    free(sink->tables);
    free(sink);
}

static nw_status kafka_open(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    struct nw_kafka_sink *sink = calloc(1, sizeof *sink);
    struct nw_table named = {.schema_name = "", .name = config->name};
    struct nw_kafka_options ledger = {.template_ = "_narwal.{prefix}.{table}"};
    nw_status status = NW_OK;

    (void)workers;
    if (sink == NULL) {
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for sink %s", config->name);
    }
    sink->host = host;
    status = nw_kafka_options_read(config, &sink->options, err);
    if (status == NW_OK) {
        ledger.prefix = sink->options.prefix;
        status = nw_kafka_topic_name(&ledger, &named, sink->options.ledger_topic, err);
        status = status == NW_REJECT ? NW_FATAL : status;
    }
    if (status != NW_OK) {
        kafka_close(sink);
        return status;
    }
    if (rd_kafka_version() < 0x020601ff) {
        host->log(host, NW_LOG_INFO,
                  "librdkafka is %s: brokers of Kafka 4 refuse its SCRAM, which 2.6.1 mends",
                  rd_kafka_version_str());
    }
    *self = sink;
    return NW_OK;
}

static nw_status producers_begin(struct nw_kafka_sink *sink, struct nw_error *err)
{
    rd_kafka_error_t *error = NULL;
    char id[ID_SIZE];
    nw_status status = NW_OK;

    (void)snprintf(id, sizeof id, "narwal.%s.%s", sink->options.prefix, sink->options.name);
    status = nw_kafka_producer_create(sink, id, &sink->ledger, err);
    if (status == NW_OK) {
        sink->producer = sink->ledger;
        error = rd_kafka_init_transactions(sink->ledger, (int)sink->options.timeout_ms);
        if (error != NULL) {
            status = nw_kafka_fail_error(sink, "brokers do not let us begin", error, err);
        }
    }
    if (status == NW_OK && !sink->options.transactional) {
        sink->producer = NULL;
        status = nw_kafka_producer_create(sink, NULL, &sink->producer, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_topic_open(sink, sink->options.ledger_topic, NW_KAFKA_LEDGER,
                                     &sink->ledger_topic, err);
    }
    return status;
}

static nw_status recovery_fill(struct nw_kafka_sink *sink, struct nw_recovery *recovery,
                               struct nw_error *err)
{
    struct nw_kafka_state *state = &sink->state;
    struct nw_copy_state *copies =
        realloc(sink->copies, ((size_t)state->copies_count + 1) * sizeof *copies);

    if (copies == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the states of copies");
    }
    sink->copies = copies;
    for (uint32_t i = 0; i < state->copies_count; i++) {
        const struct nw_kafka_copy *copy = &state->copies[i];

        copies[i] = (struct nw_copy_state){.relation_oid = copy->relation_oid,
                                           .generation = copy->generation,
                                           .complete = copy->complete,
                                           .bytes = copy->bytes,
                                           .size = copy->size};
    }
    sink->position = (struct nw_position){
        .bytes = state->position, .size = state->position_size, .lsn = state->lsn};
    recovery->positions_count = state->positioned ? 1 : 0;
    recovery->positions = &sink->position;
    recovery->copies_count = state->copies_count;
    recovery->copies = copies;
    recovery->fencing = state->fencing;
    return NW_OK;
}

/* A former producer without a transactional.id cannot be fenced: what it had queued could come
 * behind newer values when it thaws. */
static nw_status may_take_over(const struct nw_kafka_sink *sink, struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    bool takes_over =
        host->size > offsetof(struct nw_host, flags) && (host->flags & NW_HOST_TAKES_OVER) != 0;

    return !takes_over || sink->options.transactional
               ? NW_OK
               : nw_fail(err, NW_FATAL,
                         "NW2707 with delivery: idempotent the place of a narwal that may only be "
                         "frozen cannot be taken: what it has queued would come behind newer "
                         "values. Use delivery: transactional; or make sure that it is gone, and "
                         "start without --standby");
}

/*
 * Beginning fences whoever has the sink, so one that had it looks first whether somebody else has
 * it now: a process that was frozen must not take it back.
 */
static nw_status kafka_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    struct nw_kafka_sink *sink = self;
    nw_status status = may_take_over(sink, err);

    nw_kafka_producers_destroy(sink);
    if (status == NW_OK) {
        status = nw_kafka_ledger_ours(sink, err);
    }
    if (status == NW_OK) {
        status = producers_begin(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_ledger_own(sink, err);
    }
    return status == NW_OK ? recovery_fill(sink, recovery, err) : status;
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

static nw_status kafka_table(void *self, uint32_t worker, const struct nw_table *table,
                             struct nw_error *err)
{
    (void)worker;
    return nw_kafka_table_set(self, table, err);
}

static nw_status messages_begin(struct nw_kafka_sink *sink, struct nw_error *err)
{
    return sink->options.transactional ? nw_kafka_begin(sink, err) : NW_OK;
}

static nw_status kafka_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    nw_status status = messages_begin(self, err);

    (void)worker;
    return status == NW_OK ? nw_kafka_rows(self, batch, err) : status;
}

static nw_status kafka_event(void *self, uint32_t worker, const struct nw_event *event,
                             struct nw_error *err)
{
    nw_status status = messages_begin(self, err);

    (void)worker;
    return status == NW_OK ? nw_kafka_event(self, event, err) : status;
}

static nw_status kafka_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)epoch;
    (void)err;
    return NW_OK;
}

static nw_status kafka_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                              struct nw_error *err)
{
    struct nw_kafka_sink *sink = self;
    nw_status status = nw_kafka_drain(sink, err);

    *outcome = NW_NOT_COMMITTED;
    if (status == NW_OK) {
        status = nw_kafka_begin(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_ledger_write(sink, commit, err);
    }
    if (status == NW_OK) {
        return nw_kafka_commit(sink, outcome, err);
    }
    return status == NW_FATAL ? status : NW_OK;
}

static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "kafka",
    .version = NARWAL_VERSION,
    .flags = NW_SINK_EXCEPTIONS | NW_SINK_APPEND_ONLY,
    .options_count = NW_KAFKA_OPTIONS_COUNT,
    .options = nw_kafka_option_table,
    .workers_max = 1,
    .epochs_ahead_max = 0,
    .open = kafka_open,
    .recover = kafka_recover,
    .copy_resolve = kafka_copy_resolve,
    .table = kafka_table,
    .write = kafka_write,
    .event = kafka_event,
    .seal = kafka_seal,
    .commit = kafka_commit,
    .close = kafka_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
