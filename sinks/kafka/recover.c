/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the sink: the order in which producers begin, so that whoever had it cannot write any more
 * and nothing of his that is still under way is taken for what is in force.
 *
 *   1. The first producer begins: nobody else can say any more that the sink is his.
 *   2. The ledger says how many workers there were; a higher fencing number is written to it.
 *   3. The other producers begin, also those of workers that there are no longer. Each ends what a
 *      former one of its id has under way.
 *   4. The ledger is read again: this is what is in force. Whoever finds a higher number than his
 *      own here has been overtaken between 2 and 4, and has not written anything yet; whoever finds
 *      his own is fenced by step 3 of a later one, which begins behind that one's step 2.
 *   5. If there were more or fewer workers and all stopped at one position, each of now gets it.
 *      Else the host is told of as many as there were, and refuses (NW2407).
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "kafka/kafka.h"

#define ID_SIZE 512u

/* What memory had no room for is tried again. */
static void latches_clear(struct nw_kafka_worker *worker)
{
    worker->key.failed = false;
    worker->former_key.failed = false;
    worker->value.failed = false;
    worker->header.failed = false;
}

void nw_kafka_end(struct nw_kafka_sink *sink)
{
    for (uint32_t i = 0; i < sink->workers_count; i++) {
        nw_kafka_tables_forget(&sink->workers[i]);
        nw_kafka_notices_forget(&sink->workers[i]);
        nw_kafka_copying_forget(&sink->workers[i]);
        nw_kafka_routes_forget(&sink->workers[i]);
        latches_clear(&sink->workers[i]);
        sink->workers[i].producer = NULL;
        sink->workers[i].batch = NULL;
    }
    for (uint32_t i = 0; i < sizeof sink->producers / sizeof sink->producers[0]; i++) {
        nw_kafka_producer_end(&sink->producers[i]);
    }
    nw_kafka_producer_end(&sink->witness);
    nw_kafka_heart_end(sink);
    nw_kafka_signals_end(sink);
    sink->known_count = 0;
    sink->commits = 0;
    sink->first_oid = 0;
}

/* A producer with the transactional.id of a worker; that of the first is also the sink's. */
static nw_status transactional_begin(struct nw_kafka_sink *sink, struct nw_kafka_producer *producer,
                                     uint32_t worker, struct nw_error *err)
{
    char id[ID_SIZE];
    int used = snprintf(id, sizeof id, "narwal.%s.%s", sink->options.prefix, sink->options.name);
    nw_status status = NW_OK;

    if (worker > 0 && used > 0 && (size_t)used < sizeof id) {
        (void)snprintf(id + used, sizeof id - (size_t)used, ".%" PRIu32, worker);
    }
    producer->sink = sink;
    status = nw_kafka_producer_begin(producer, id, err);
    if (status == NW_OK && worker == 0) {
        return nw_kafka_topic_open(producer, sink->options.ledger_topic, NW_KAFKA_LEDGER,
                                   &producer->ledger, err);
    }
    if (status == NW_OK) {
        producer->ledger = rd_kafka_topic_new(producer->client, sink->options.ledger_topic, NULL);
        status = producer->ledger != NULL
                     ? NW_OK
                     : nw_fail(err, NW_RETRY, "out of memory for a producer of the ledger");
    }
    return status;
}

/* Step 3. */
static nw_status others_begin(struct nw_kafka_sink *sink, uint32_t former, struct nw_error *err)
{
    bool transactional = sink->options.transactional;
    uint32_t kept = transactional ? sink->workers_count : 1;
    uint32_t most = kept > former ? kept : former;
    nw_status status = NW_OK;

    for (uint32_t i = 1; i < most && status == NW_OK; i++) {
        struct nw_kafka_producer gone = {0};
        struct nw_kafka_producer *producer = i < kept ? &sink->producers[i] : &gone;

        status = transactional_begin(sink, producer, i, err);
        nw_kafka_producer_end(&gone);
    }
    for (uint32_t i = 0; i < sink->workers_count && status == NW_OK; i++) {
        struct nw_kafka_producer *producer = &sink->producers[transactional ? i : i + 1];

        sink->workers[i].producer = producer;
        producer->sink = sink;
        status = transactional ? NW_OK : nw_kafka_producer_begin(producer, NULL, err);
    }
    return status;
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

static nw_status sink_take(struct nw_kafka_sink *sink, struct nw_error *err)
{
    uint32_t wanted = sink->options.transactional ? sink->workers_count : 1;
    nw_status status = transactional_begin(sink, &sink->producers[0], 0, err);

    if (status == NW_OK) {
        status = nw_kafka_ledger_own(sink, &sink->state, err);
    }
    if (status == NW_OK) {
        status = others_begin(sink, sink->state.workers, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_ledger_owned(sink, &sink->state, err);
    }
    if (status == NW_OK && sink->state.workers != wanted && nw_kafka_ledger_is_even(&sink->state)) {
        status = nw_kafka_ledger_deal(sink, wanted, err);
    }
    return status;
}

/*
 * Beginning fences whoever has the sink, so one that had it looks first whether somebody else has
 * it now: a process that was frozen must not take it back.
 */
nw_status nw_kafka_recover(struct nw_kafka_sink *sink, struct nw_error *err)
{
    nw_status status = may_take_over(sink, err);

    nw_kafka_end(sink);
    if (status == NW_OK) {
        status = nw_kafka_secrets_read(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_ledger_ours(sink, err);
    }
    if (status == NW_OK) {
        status = sink_take(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_heart_begin(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_signals_begin(sink, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_asked_restore(sink, err);
    }
    return status == NW_OK ? nw_kafka_asked_read(sink, err) : status;
}
