/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model sink's copies: each row is compared with the contents under the snapshot as it comes,
 * and at each commit the copy states with what was staged.
 */
#include "sim.h"

uint32_t sim_sink_whole(const struct sim_sink *sink)
{
    uint32_t whole = 0;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        whole +=
            sink->copies[t].complete && sink->copies[t].generation == sink->sim->copy.generation;
    }
    return whole;
}

bool sim_sink_copy_has(const struct sim_sink *sink, const struct sim_item *item)
{
    const struct sim_copied *copied = NULL;

    if (item->table == 0) {
        return false;
    }
    copied = &sink->copies[item->table - SIM_OID];
    return copied->complete && item->commit_lsn < copied->fence_lsn;
}

static void stage(struct sim_sink *sink, uint32_t worker, uint32_t oid, char kind, uint64_t epoch)
{
    sink->copied =
        sim_grow(sink->copied, sink->copied_count, &sink->copied_capacity, sizeof *sink->copied);
    sink->copied[sink->copied_count++] = (struct sim_item){.table = oid,
                                                           .kind = kind,
                                                           .order = worker,
                                                           .xid = sink->sim->copy.generation,
                                                           .commit_lsn = sink->sim->copy.fence_lsn,
                                                           .epoch = epoch};
}

/* The copy that a call is about, which must be of this life. */
static struct sim_copied *copying_of(struct sim_sink *sink, uint32_t oid, uint32_t generation)
{
    const struct sim_copy *copy = &sink->sim->copy;

    if (!copy->running || !sink->needs_copy || generation != copy->generation) {
        sim_fail(sink->sim, "sink %u: a copy of %u, generation %u, that it is not to have",
                 sink->index, oid, generation);
    }
    return &sink->copying[oid - SIM_OID];
}

nw_status sim_sink_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                              uint32_t generation, struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);
    struct sim_copied *copying = copying_of(sink, table->relation_oid, generation);

    if (status != NW_OK) {
        return status;
    }
    if (copying->present && copying->generation >= generation) {
        sim_fail(sink->sim, "sink %u: generation %u of %u begins after %u", sink->index, generation,
                 table->relation_oid, copying->generation);
    }
    *copying = (struct sim_copied){.present = true, .generation = generation};
    stage(sink, worker, table->relation_oid, '<', 0);
    return NW_OK;
}

nw_status sim_sink_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                            uint32_t generation, struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);
    struct sim_copied *copying = copying_of(sink, table->relation_oid, generation);
    size_t count = sink->sim->copy.contents[table->relation_oid - SIM_OID].count;

    if (status != NW_OK) {
        return status;
    }
    if (!copying->present || copying->complete || copying->generation != generation ||
        copying->rows != count) {
        sim_fail(sink->sim, "sink %u: the copy of %u ends with %u rows of %zu", sink->index,
                 table->relation_oid, copying->rows, count);
    }
    copying->complete = true;
    stage(sink, worker, table->relation_oid, '>', 0);
    return NW_OK;
}

nw_status sim_sink_copy_resolve(void *self, uint32_t oid, uint32_t generation,
                                enum nw_copy_verdict verdict, struct nw_error *err)
{
    struct sim_sink *sink = self;
    struct sim_copied *stored = &sink->copies[oid - SIM_OID];

    (void)err;
    if (!stored->present || stored->complete || stored->generation != generation) {
        sim_fail(sink->sim, "sink %u: a verdict on generation %u of %u, which is not open",
                 sink->index, generation, oid);
    }
    if (verdict == NW_COPY_DISCARD) {
        SIM_COUNT(copies_discarded);
        *stored = (struct sim_copied){0};
        sink->copying[oid - SIM_OID] = *stored;
        return NW_OK;
    }
    SIM_COUNT(copies_resumed);
    (void)copying_of(sink, oid, generation); /* only what this life copies can go on */
    return NW_OK;
}

/* One reader reads a table, so that its rows come as the snapshot has them. */
static void row_check(struct sim_sink *sink, const struct nw_batch *batch, uint32_t row,
                      struct sim_copied *copying)
{
    uint32_t table = batch->table->relation_oid - SIM_OID;
    const struct sim_contents *contents = &sink->sim->copy.contents[table];
    uint16_t columns = sim_columns_count(sink->sim->copy.versions[table]);
    uint32_t at = batch->first_row + row;
    struct nw_value id = nw_batch_value(batch, NW_AFTER, row, 0);
    struct nw_value note = nw_batch_value(batch, NW_AFTER, row, 1);
    struct nw_value extra = {.kind = NW_VALUE_NULL};

    if (columns == 3) {
        extra = nw_batch_value(batch, NW_AFTER, row, 2);
    }
    if (copying->rows >= contents->count || id.kind != NW_VALUE_PRESENT ||
        id.as.integer != copying->rows || note.kind != NW_VALUE_PRESENT ||
        !sim_text_is(note.bytes, note.size, &contents->rows[copying->rows]) ||
        batch->table->columns_count != columns || batch->op[at] != NW_OP_INSERT ||
        batch->commit_lsn[at] != sink->sim->copy.fence_lsn ||
        extra.kind != (columns == 3 && copying->rows % 2 == 0 ? NW_VALUE_PRESENT : NW_VALUE_NULL)) {
        sim_fail(sink->sim, "sink %u: row %u of the copy of %u is not what the snapshot has",
                 sink->index, copying->rows, SIM_OID + table);
    }
    copying->rows++;
    SIM_COUNT(copied_rows);
}

void sim_sink_copy_write(struct sim_sink *sink, uint32_t worker, const struct nw_batch *batch)
{
    uint32_t oid = batch->table->relation_oid;
    struct sim_copied *copying = copying_of(sink, oid, batch->generation);

    if (!copying->present || copying->complete || copying->generation != batch->generation) {
        sim_fail(sink->sim, "sink %u: rows of a copy of %u that is not open", sink->index, oid);
    }
    if (batch->epoch <= sink->sealed[worker]) {
        sim_fail(sink->sim, "sink %u: a copy's rows of epoch %" PRIu64 " after its seal",
                 sink->index, batch->epoch);
    }
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        row_check(sink, batch, row, copying);
        stage(sink, worker, oid, 'r', batch->epoch);
    }
}

/* What has no epoch of its own belongs to that which ends. */
void sim_sink_copy_seal(struct sim_sink *sink, uint32_t worker, uint64_t epoch)
{
    for (size_t i = 0; i < sink->copied_count; i++) {
        if (sink->copied[i].order == worker && sink->copied[i].epoch == 0) {
            sink->copied[i].epoch = epoch;
        }
    }
}

static void item_store(struct sim_sink *sink, const struct sim_item *item)
{
    struct sim_copied *stored = &sink->copies[item->table - SIM_OID];

    if (item->kind == '<') {
        *stored = (struct sim_copied){
            .present = true, .generation = item->xid, .fence_lsn = item->commit_lsn};
    } else if (item->kind == 'r') {
        stored->rows++;
    } else {
        stored->complete = true;
        SIM_COUNT(copied_tables);
    }
}

void sim_sink_copy_store(struct sim_sink *sink, const struct sim_pending *commit)
{
    bool changed[SIM_TABLES] = {0};
    size_t kept = 0;

    for (size_t i = 0; i < sink->copied_count; i++) {
        const struct sim_item *item = &sink->copied[i];

        if (item->epoch == 0 || item->epoch > commit->epoch) {
            sink->copied[kept++] = *item;
            continue;
        }
        item_store(sink, item);
        changed[item->table - SIM_OID] = changed[item->table - SIM_OID] || item->kind != 'r';
    }
    sink->copied_count = kept;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        const struct sim_copied *said = &commit->copies[t];
        struct sim_copied *stored = &sink->copies[t];

        if (said->present != changed[t] || (changed[t] && (said->generation != stored->generation ||
                                                           said->complete != stored->complete))) {
            sim_fail(sink->sim,
                     "sink %u, epoch %" PRIu64 ": the state of the copy of %u is not what came",
                     sink->index, commit->epoch, SIM_OID + t);
        }
        if (changed[t]) {
            stored->size = said->size;
            memcpy(stored->bytes, said->bytes, said->size);
        }
    }
}

void sim_sink_copy_recover(struct sim_sink *sink, struct nw_recovery *recovery)
{
    static struct nw_copy_state states[SIM_SINKS_MAX][SIM_TABLES];
    uint32_t count = 0;

    sink->copied_count = 0;
    memcpy(sink->copying, sink->copies, sizeof sink->copying);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        const struct sim_copied *stored = &sink->copies[t];

        if (stored->present) {
            states[sink->index][count++] = (struct nw_copy_state){.relation_oid = SIM_OID + t,
                                                                  .generation = stored->generation,
                                                                  .complete = stored->complete,
                                                                  .bytes = stored->bytes,
                                                                  .size = stored->size};
        }
    }
    recovery->copies_count = count;
    recovery->copies = states[sink->index];
}
