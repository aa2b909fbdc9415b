/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null sink: reads every value of every row and keeps nothing but counts. It measures what
 * everything before a sink costs: each column is summed up, so that no decoding can be left out.
 *
 * Stores nothing: a new start of narwal begins as with an empty sink, see NW_SINK_STORES_NOTHING.
 * Totals are logged by close.
 *
 * Threads: each worker's counts belong to its thread; close and commit only add them up.
 */
#include <inttypes.h>
#include <stdlib.h>

#include <narwal/sink.h>

#define WORKERS_MAX 16u

struct counts {
    uint64_t inserts, updates, deletes, copied, truncates, messages, batches;
    uint64_t values; /* seen and not null */
    uint64_t sum;    /* of all bytes, see sum_bytes() */
};

/* One cache line each, at least, so that workers do not share any. */
struct worker {
    struct counts counts;
    uint8_t apart[128 - sizeof(struct counts) % 64];
};

struct null_sink {
    const struct nw_host *host;
    const char *name;
    uint32_t workers_count;
    uint64_t commits;
    struct worker workers[WORKERS_MAX];
};

/* A sum of 64-bit words: it reads every byte, and cannot be worked out without that. */
static uint64_t sum_bytes(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;
    uint64_t word;

    for (; size >= 8; bytes += 8, size -= 8) {
        memcpy(&word, bytes, 8);
        sum += word;
    }
    word = 0;
    if (size > 0) {
        memcpy(&word, bytes, size);
    }
    return sum + word;
}

/* How many of these bits are set. */
static uint64_t ones(const uint8_t *bits, size_t first, size_t count)
{
    uint64_t sum = 0;
    uint64_t word;

    for (; first % 8 != 0 && count > 0; first++, count--) {
        sum += nw_bit(bits, first) ? 1 : 0;
    }
    for (; count >= 64; first += 64, count -= 64) {
        memcpy(&word, bits + first / 8, sizeof word);
        sum += (uint64_t)__builtin_popcountll(word);
    }
    for (; count > 0; first++, count--) {
        sum += nw_bit(bits, first) ? 1 : 0;
    }
    return sum;
}

/* Sums one column of the batch's rows. Slots that are null are zero or hold nothing of meaning;
 * they are read all the same. */
static void count_column(struct counts *counts, const struct nw_batch *batch,
                         const struct nw_array *array, enum nw_type type)
{
    size_t first = batch->first_row;
    size_t rows = batch->rows_count;
    size_t width = nw_type_width(type);

    if (width > 0) {
        counts->sum += sum_bytes((const uint8_t *)array->values + first * width, rows * width);
    } else if (type == NW_TYPE_BOOL) {
        counts->sum += sum_bytes((const uint8_t *)array->values + first / 8,
                                 (first + rows + 7) / 8 - first / 8);
    } else {
        size_t start = (size_t)array->offsets[first];

        counts->sum +=
            sum_bytes(array->bytes + start, (size_t)array->offsets[first + rows] - start);
        counts->sum += sum_bytes((const uint8_t *)(array->offsets + first), rows * 4);
    }
    counts->values += ones(array->validity, first, rows);
}

static void count_ops(struct counts *counts, const struct nw_batch *batch)
{
    const uint8_t *op = batch->op + batch->first_row;

    counts->batches++;
    if ((batch->flags & NW_BATCH_COPY) != 0) {
        counts->copied += batch->rows_count;
        return;
    }
    for (uint32_t i = 0; i < batch->rows_count; i++) {
        counts->inserts += op[i] == NW_OP_INSERT ? 1 : 0;
        counts->updates += op[i] == NW_OP_UPDATE ? 1 : 0;
        counts->deletes += op[i] == NW_OP_DELETE ? 1 : 0;
    }
}

static nw_status null_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    struct null_sink *sink = self;
    struct counts *counts = &sink->workers[worker].counts;
    uint32_t last = 0;

    (void)err;
    count_ops(counts, batch);
    for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
        const struct nw_image *image = &batch->image[side];

        for (uint16_t i = 0; image->columns != NULL && i < batch->table->columns_count; i++) {
            count_column(counts, batch, &image->columns[i],
                         (enum nw_type)batch->table->columns[i].type);
        }
    }
    last = nw_batch_exception_from(batch, batch->rows_count, 0, 0);
    for (uint32_t i = nw_batch_exception_from(batch, 0, 0, 0); i < last; i++) {
        const struct nw_exception *e = &batch->exceptions[i];

        counts->sum += sum_bytes(batch->exception_bytes + e->offset, e->size);
        counts->values++;
    }
    return NW_OK;
}

static nw_status null_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    struct null_sink *sink;

    if (workers == 0 || workers > WORKERS_MAX) {
        return nw_fail(err, NW_FATAL, "NW1014 the null sink has 1 to %u workers, not %u",
                       WORKERS_MAX, workers);
    }
    sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the null sink");
    }
    sink->host = host;
    sink->name = config->name;
    sink->workers_count = workers;
    *self = sink;
    return NW_OK;
}

static nw_status null_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    (void)self;
    (void)err;
    recovery->positions_count = 0;
    recovery->copies_count = 0;
    return NW_OK;
}

static nw_status null_copy_resolve(void *self, uint32_t relation_oid, uint32_t generation,
                                   enum nw_copy_verdict verdict, struct nw_error *err)
{
    (void)self;
    (void)relation_oid;
    (void)generation;
    (void)verdict;
    (void)err;
    return NW_OK;
}

static nw_status null_table(void *self, uint32_t worker, const struct nw_table *table,
                            struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)table;
    (void)err;
    return NW_OK;
}

static nw_status null_copy_mark(void *self, uint32_t worker, const struct nw_table *table,
                                uint32_t generation, struct nw_error *err)
{
    (void)generation;
    return null_table(self, worker, table, err);
}

static nw_status null_event(void *self, uint32_t worker, const struct nw_event *event,
                            struct nw_error *err)
{
    struct null_sink *sink = self;
    struct counts *counts = &sink->workers[worker].counts;

    (void)err;
    if (event->kind == NW_EVENT_TRUNCATE) {
        counts->truncates += event->tables_count;
    } else if (event->kind == NW_EVENT_MESSAGE) {
        counts->messages++;
        counts->sum += sum_bytes(event->content, event->content_size);
    }
    return NW_OK;
}

static nw_status null_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)epoch;
    (void)err;
    return NW_OK;
}

static nw_status null_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    struct null_sink *sink = self;

    (void)commit;
    (void)err;
    sink->commits++;
    *outcome = NW_COMMITTED;
    return NW_OK;
}

static void null_close(void *self)
{
    struct null_sink *sink = self;
    struct counts all = {0};

    if (sink == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sink->workers_count; i++) {
        const struct counts *counts = &sink->workers[i].counts;

        all.inserts += counts->inserts;
        all.updates += counts->updates;
        all.deletes += counts->deletes;
        all.copied += counts->copied;
        all.truncates += counts->truncates;
        all.messages += counts->messages;
        all.batches += counts->batches;
        all.values += counts->values;
        all.sum += counts->sum;
    }
    sink->host->log(sink->host, NW_LOG_INFO,
                    "%s: %" PRIu64 " copied, %" PRIu64 " inserted, %" PRIu64 " updated, %" PRIu64
                    " deleted, %" PRIu64 " truncated, %" PRIu64 " messages, in %" PRIu64
                    " batches and %" PRIu64 " commits; %" PRIu64 " values, sum %016" PRIx64,
                    sink->name, all.copied, all.inserts, all.updates, all.deletes, all.truncates,
                    all.messages, all.batches, sink->commits, all.values, all.sum);
    free(sink);
}

static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "null",
    .version = NARWAL_VERSION,
    .flags = NW_SINK_EXCEPTIONS | NW_SINK_STORES_NOTHING,
    .workers_max = WORKERS_MAX,
    .epochs_ahead_max = 16,
    .open = null_open,
    .recover = null_recover,
    .copy_resolve = null_copy_resolve,
    .table = null_table,
    .copy_begin = null_copy_mark,
    .copy_end = null_copy_mark,
    .write = null_write,
    .event = null_event,
    .seal = null_seal,
    .commit = null_commit,
    .close = null_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
