/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions that last too long: the broker ends one that is open for transaction_timeout.
 *
 * After the first, the host sends each epoch by itself, which is as little as can be committed with
 * a position. When the next one lasts too long as well, though messages keep being acknowledged,
 * then it is one transaction of the database that is too large:
 *
 *   oversized: stop   narwal stops, and says so
 *   oversized: split  what is sent is committed in parts, without a position. The ledger then says
 *                     of each table how far it is ("part/OID"): until the position is past that,
 *                     what comes again up to there is passed over. So each change comes once, but
 *                     readers see a transaction of the database in several.
 *
 * There are no parts with rows of a copy, of which the place does not say which they are; nor once
 * a row was refused, until the next commit with a position: only that has its dead letter written
 * before, and a part behind the row would have it passed over.
 */
#include <inttypes.h>

#include "kafka/kafka.h"

#define STEADY_NS INT64_C(10000000000) /* without a message that is acknowledged: not steady */

static bool has_copies(const struct nw_kafka_worker *worker)
{
    return worker->copied_in == worker->producer->begun_ns;
}

/* Commits what was sent since the last part. */
static nw_status part_commit(struct nw_kafka_worker *worker, struct nw_error *err)
{
    struct nw_kafka_producer *producer = worker->producer;
    enum nw_outcome outcome = NW_UNKNOWN;
    nw_status status = nw_kafka_drain(producer, err);

    for (uint32_t i = 0; i < worker->tables_count && status == NW_OK; i++) {
        struct nw_kafka_table *table = &worker->tables[i];

        if (table->touched) {
            status = nw_kafka_ledger_part(producer, worker->index, table->relation_oid,
                                          &table->last, err);
            table->touched = false;
        }
    }
    if (status == NW_OK) {
        status = nw_kafka_commit(producer, &outcome, err);
    }
    if (status == NW_OK && outcome != NW_COMMITTED) {
        return NW_RETRY; /* err says why */
    }
    return status == NW_OK ? nw_kafka_begin(producer, err) : status;
}

/* What NW2732 says behind its advice. */
static const char *parts_reason(const struct nw_kafka_worker *worker)
{
    if (!worker->sink->options.splits) {
        return "; or send it in parts, oversized: split";
    }
    if (worker->refused) {
        return ". It is not sent in parts, as a row of it was refused";
    }
    return has_copies(worker)
               ? ". It is not sent in parts, as rows of a copy are in the same commit"
               : "";
}

static nw_status overrun(struct nw_kafka_worker *worker, struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    int64_t seconds = sink->options.transaction_ms / 1000;

    if (worker->overran) {
        return nw_fail(err, NW_FATAL,
                       "NW2732 a transaction of the database is so large that it is not sent "
                       "within transaction_timeout (%" PRId64 " s): raise that, and the brokers' "
                       "transaction.max.timeout.ms%s",
                       seconds, parts_reason(worker));
    }
    worker->overran = true;
    return nw_fail(err, NW_RETRY,
                   "NW2701 a transaction lasts longer than transaction_timeout (%" PRId64
                   " s): it is sent again in smaller ones, if it was several of the database",
                   seconds);
}

nw_status nw_kafka_duration_check(struct nw_kafka_worker *worker, struct nw_error *err)
{
    struct nw_kafka_producer *producer = worker->producer;
    const struct nw_kafka_options *options = &worker->sink->options;
    int64_t now_ns = 0;
    int64_t open_ms = 0;

    if (!options->transactional || !producer->in_transaction || nw_kafka_notices_wait(worker)) {
        return NW_OK; /* what lasts while it waits is not a transaction's size */
    }
    now_ns = worker->sink->host->now_ns(worker->sink->host);
    open_ms = (now_ns - producer->begun_ns) / 1000000;
    if (producer->delivered != worker->delivered_seen) {
        worker->delivered_seen = producer->delivered;
        worker->moved_ns = now_ns;
    }
    if (options->splits && open_ms > options->transaction_ms / 2 && worker->step == 0 &&
        !has_copies(worker) && !worker->refused) {
        return part_commit(worker, err);
    }
    return open_ms > options->transaction_ms && now_ns - worker->moved_ns < STEADY_NS
               ? overrun(worker, err)
               : NW_OK;
}
