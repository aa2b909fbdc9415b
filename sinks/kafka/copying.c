/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables are being copied by a worker, for what is said of copied rows: how many there were,
 * and whether one is the first or the last of its table.
 *
 * That a row was the last is known when the copy ends. So the last message of each batch is kept,
 * in both forms, until another batch of the table, the copy's end, or the epoch's: a mark "last" is
 * missing where the epoch ends between the last row and the copy's end.
 */
#include <stdlib.h>

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

nw_status nw_kafka_copying_begin(struct nw_kafka_worker *worker, uint32_t relation_oid,
                                 struct nw_error *err)
{
    struct nw_kafka_copying *found = nw_kafka_copying_find(worker, relation_oid);

    if (found == NULL && worker->copying_count == worker->copying_capacity) {
        uint32_t capacity = worker->copying_capacity == 0 ? 16 : 2 * worker->copying_capacity;
        struct nw_kafka_copying *more =
            realloc(worker->copying, capacity * sizeof *worker->copying);

        if (more == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for the tables that are copied");
        }
        for (uint32_t i = worker->copying_capacity; i < capacity; i++) {
            more[i] = (struct nw_kafka_copying){0};
        }
        worker->copying = more;
        worker->copying_capacity = capacity;
    }
    found = found == NULL ? &worker->copying[worker->copying_count++] : found;
    found->relation_oid = relation_oid;
    found->rows = 0;
    found->held = false;
    return NW_OK;
}

/* Its buffers go to the place of the one that is taken away. */
void nw_kafka_copying_end(struct nw_kafka_worker *worker, uint32_t relation_oid)
{
    struct nw_kafka_copying *found = nw_kafka_copying_find(worker, relation_oid);
    struct nw_kafka_copying gone;

    if (found != NULL) {
        gone = *found;
        *found = worker->copying[--worker->copying_count];
        worker->copying[worker->copying_count] = gone;
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
        nw_out_fini(&worker->copying[i].value);
        nw_out_fini(&worker->copying[i].last);
    }
    free(worker->copying);
}

nw_status nw_kafka_held_send(struct nw_kafka_worker *worker, struct nw_kafka_copying *copying,
                             bool last, struct nw_error *err)
{
    const struct nw_kafka_message message = {.key = copying->keyed ? &copying->key : NULL,
                                             .value = last ? &copying->last : &copying->value};
    nw_status status = NW_OK;

    if (copying->held) {
        status = nw_kafka_message_send(worker, nw_kafka_table_find(worker, copying->table),
                                       &message, err);
        copying->held = status != NW_OK;
    }
    return status;
}

nw_status nw_kafka_held_send_all(struct nw_kafka_worker *worker, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < worker->copying_count && status == NW_OK; i++) {
        status = nw_kafka_held_send(worker, &worker->copying[i], false, err);
    }
    return status;
}
