/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables are being copied by a worker, for what is said of copied rows: how many there were,
 * and whether one is the first or the last of its table, or of all.
 *
 * That a row was the last is known later than the row. So of the first copy, and of those that a
 * signal of type "blocking" asked for, the last message of
 * each batch is kept, in each of the forms that it may turn out to have, until another message of
 * the table, or the commit: a mark is missing where a commit comes between the last row and what
 * says that it was the last. Those of tables that ended are sent before copied rows of others, as
 * none of them can be the last of all: a worker holds no more than it has tables under way.
 */
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

struct nw_kafka_copying *nw_kafka_copying_find(struct nw_kafka_worker *worker,
                                               uint32_t relation_oid)
{
    for (uint32_t i = 0; i < worker->copying_count; i++) {
        if (worker->copying[i].relation_oid == relation_oid) {
            return &worker->copying[i];
        }
    }
    return NULL;
}

/* @return false when memory ran out */
static bool copying_grow(struct nw_kafka_worker *worker)
{
    uint32_t capacity = worker->copying_capacity == 0 ? 16 : 2 * worker->copying_capacity;
    struct nw_kafka_copying *more = NULL;

    if (worker->copying_count < worker->copying_capacity) {
        return true;
    }
    more = realloc(worker->copying, capacity * sizeof *more);
    if (more == NULL) {
        return false;
    }
    for (uint32_t i = worker->copying_capacity; i < capacity; i++) {
        more[i] = (struct nw_kafka_copying){0};
    }
    worker->copying = more;
    worker->copying_capacity = capacity;
    return true;
}

nw_status nw_kafka_copying_begin(struct nw_kafka_worker *worker, uint32_t relation_oid,
                                 bool resumed, struct nw_error *err)
{
    struct nw_kafka_copying *found = NULL;
    nw_status status = nw_kafka_held_send(worker, relation_oid, err); /* of a former copy */

    if (status != NW_OK) {
        return status;
    }
    if (!copying_grow(worker)) {
        return nw_fail(err, NW_RETRY, "out of memory for the tables that are copied");
    }
    found = nw_kafka_copying_find(worker, relation_oid);
    found = found == NULL ? &worker->copying[worker->copying_count++] : found;
    found->relation_oid = relation_oid;
    found->rows = 0;
    found->resumed = resumed;
    found->held = found->ended = false;
    found->goes_on = resumed;
    found->blocking = resumed ? nw_kafka_asked_blocking(worker->sink, relation_oid) : 0;
    return NW_OK;
}

/* Its buffers go to the place of the one that is taken away. */
static void copying_remove(struct nw_kafka_worker *worker, struct nw_kafka_copying *found)
{
    struct nw_kafka_copying gone = *found;

    *found = worker->copying[--worker->copying_count];
    worker->copying[worker->copying_count] = gone;
}

void nw_kafka_copying_end(struct nw_kafka_worker *worker, uint32_t relation_oid,
                          enum nw_kafka_mark mark)
{
    struct nw_kafka_copying *found = nw_kafka_copying_find(worker, relation_oid);

    if (found != NULL && found->held) {
        found->ended = true;
        found->end_mark = mark;
    } else if (found != NULL) {
        copying_remove(worker, found);
    }
}

void nw_kafka_copying_forget(struct nw_kafka_worker *worker)
{
    worker->copying_count = 0;
}

void nw_kafka_copying_fini(struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < worker->copying_capacity; i++) {
        nw_out_fini(&worker->copying[i].key);
        for (uint32_t mark = 0; mark < NW_KAFKA_MARKS_COUNT; mark++) {
            nw_out_fini(&worker->copying[i].forms[mark].value);
            nw_out_fini(&worker->copying[i].forms[mark].texts);
        }
    }
    free(worker->copying);
}

bool nw_kafka_is_marked(struct nw_kafka_worker *worker, uint32_t relation_oid)
{
    const struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, relation_oid);

    if (!worker->sink->positioned || (copying != NULL && copying->blocking != 0)) {
        return true;
    }
    return copying == NULL && nw_kafka_asked_blocking(worker->sink, relation_oid) != 0;
}

const char *nw_kafka_snapshot_of(struct nw_kafka_worker *worker, uint32_t relation_oid)
{
    struct nw_kafka_sink *sink = worker->sink;
    const struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, relation_oid);
    bool first = false;

    if (!nw_kafka_is_marked(worker, relation_oid)) {
        return "incremental";
    }
    if (copying == NULL || copying->resumed || copying->rows > 0) {
        return "true";
    }
    if (sink->positioned) {
        return nw_kafka_asked_first(sink, copying->blocking, relation_oid)
                   ? "first"
                   : "first_in_data_collection";
    }
    (void)pthread_mutex_lock(&sink->lock);
    if (sink->first_oid == 0) {
        sink->first_oid = relation_oid;
    }
    first = sink->first_oid == relation_oid;
    (void)pthread_mutex_unlock(&sink->lock);
    return first ? "first" : "first_in_data_collection";
}

/* ---- what is held ---- */

/* What librdkafka counts of headers: their names and values. */
static size_t headers_size(const struct nw_kafka_worker *worker, const struct nw_kafka_held *form)
{
    const struct nw_kafka_options *options = &worker->sink->options;
    const rd_kafka_headers_t *common =
        options->row_headers != NULL ? options->row_headers : options->headers;
    const char *name = NULL;
    const void *value = NULL;
    size_t value_size = 0;
    size_t size = 0;

    for (size_t i = 0;
         common != NULL && rd_kafka_header_get_all(common, i, &name, &value, &value_size) == 0;
         i++) {
        size += strlen(name) + value_size + NW_KAFKA_HEADER_OVERHEAD;
    }
    for (uint32_t i = 0; i < form->headers_count; i++) {
        size += strlen(form->headers[i].name) + form->headers[i].size + NW_KAFKA_HEADER_OVERHEAD;
    }
    return size;
}

bool nw_kafka_held_fits(const struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                        const struct nw_kafka_copying *copying)
{
    size_t key = copying->keyed ? copying->key.used : 0;
    size_t longest = 0;

    for (uint32_t mark = 0; mark < NW_KAFKA_MARKS_COUNT; mark++) {
        const struct nw_kafka_held *form = &copying->forms[mark];
        size_t size = key + form->value.used + headers_size(worker, form);

        longest = size > longest ? size : longest;
    }
    return longest < NW_KAFKA_HELD_BYTES_MAX && longest < table->alone_from &&
           longest + NW_KAFKA_BATCH_OVERHEAD < nw_kafka_message_bytes_max(&worker->sink->options);
}

static nw_status held_send(struct nw_kafka_worker *worker, struct nw_kafka_copying *copying,
                           enum nw_kafka_mark mark, struct nw_error *err)
{
    const struct nw_table version = {.id = copying->table_id, .version = copying->table_version};
    const struct nw_kafka_held *form = &copying->forms[mark];
    const struct nw_kafka_message message = {.key = copying->keyed ? &copying->key : NULL,
                                             .value = &form->value,
                                             .headers = form->headers,
                                             .headers_count = form->headers_count};
    nw_status status =
        nw_kafka_message_send(worker, nw_kafka_table_find(worker, &version), &message, err);

    copying->held = status != NW_OK;
    return status;
}

nw_status nw_kafka_held_send(struct nw_kafka_worker *worker, uint32_t relation_oid,
                             struct nw_error *err)
{
    struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, relation_oid);
    nw_status status = NW_OK;

    if (copying == NULL || !copying->held) {
        return NW_OK;
    }
    status =
        held_send(worker, copying, copying->ended ? copying->end_mark : NW_KAFKA_NOT_LAST, err);
    if (status == NW_OK && copying->ended) {
        copying_remove(worker, copying);
    }
    return status;
}

nw_status nw_kafka_held_send_ended(struct nw_kafka_worker *worker, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = worker->copying_count; i > 0 && status == NW_OK; i--) {
        struct nw_kafka_copying *copying = &worker->copying[i - 1];

        if (copying->ended) {
            status = nw_kafka_held_send(worker, copying->relation_oid, err);
        }
    }
    return status;
}

/* At the commit, where nobody comes again for what the queue has no room for. */
static nw_status held_send_patiently(struct nw_kafka_worker *worker,
                                     struct nw_kafka_copying *copying, enum nw_kafka_mark mark,
                                     struct nw_error *err)
{
    nw_status status = NW_AGAIN;

    while (status == NW_AGAIN) { /* which does not last longer than the sink's patience */
        status = held_send(worker, copying, mark, err);
    }
    return status;
}

/* The latest that is held by any worker; NULL: nothing is. */
static const struct nw_kafka_copying *held_last(const struct nw_kafka_sink *sink)
{
    const struct nw_kafka_copying *last = NULL;

    for (uint32_t w = 0; w < sink->workers_count; w++) {
        const struct nw_kafka_worker *worker = &sink->workers[w];

        for (uint32_t i = 0; i < worker->copying_count; i++) {
            const struct nw_kafka_copying *copying = &worker->copying[i];

            if (copying->held && (last == NULL || copying->held_ns >= last->held_ns)) {
                last = copying;
            }
        }
    }
    return last;
}

static void ended_remove(struct nw_kafka_worker *worker)
{
    for (uint32_t i = worker->copying_count; i > 0; i--) {
        if (worker->copying[i - 1].ended) {
            copying_remove(worker, &worker->copying[i - 1]);
        }
    }
}

/* Those of a worker, the last of all behind the others: they may have one topic. */
static nw_status worker_send(struct nw_kafka_worker *worker, uint32_t last_oid,
                             struct nw_error *err)
{
    struct nw_kafka_copying *last = last_oid == 0 ? NULL : nw_kafka_copying_find(worker, last_oid);
    bool any = false;
    nw_status status = NW_OK;

    for (uint32_t i = worker->copying_count; i > 0 && status == NW_OK; i--) {
        struct nw_kafka_copying *copying = &worker->copying[i - 1];

        any = any || copying->held;
        if (copying->held && copying != last) {
            status = held_send_patiently(
                worker, copying, copying->ended ? copying->end_mark : NW_KAFKA_NOT_LAST, err);
        }
    }
    if (status == NW_OK && last != NULL && last->held) {
        status = held_send_patiently(worker, last, NW_KAFKA_LAST_OF_ALL, err);
    }
    if (status == NW_OK) {
        ended_remove(worker);
    }
    return status == NW_OK && any ? nw_kafka_drain(worker->producer, err) : status;
}

nw_status nw_kafka_held_send_all(struct nw_kafka_sink *sink, bool whole, struct nw_error *err)
{
    const struct nw_kafka_copying *last = whole ? held_last(sink) : NULL;
    uint32_t last_oid = last == NULL ? 0 : last->relation_oid;
    nw_status status = NW_OK;

    for (uint32_t w = 0; w < sink->workers_count && status == NW_OK; w++) {
        if (sink->workers[w].copying_count > 0) {
            status = worker_send(&sink->workers[w], last_oid, err);
        }
    }
    return status;
}
