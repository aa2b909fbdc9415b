/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model sink's copies: each row is compared with the contents under its fence's snapshot as it
 * comes, and at each commit the copy states with what is stored then.
 */
#include "sim.h"

bool sim_sink_copy_has(const struct sim_sink *sink, const struct sim_item *item)
{
    const struct sim_copied *copied = NULL;

    if (item->table == 0) {
        return false;
    }
    copied = &sink->copies[item->table - SIM_OID];
    return copied->complete && item->commit_lsn < copied->fence_lsn;
}

static void stage(struct sim_sink *sink, uint32_t worker, uint32_t oid, char kind,
                  struct sim_item item)
{
    sink->copied =
        sim_grow(sink->copied, sink->copied_count, &sink->copied_capacity, sizeof *sink->copied);
    item.table = oid;
    item.kind = kind;
    item.order = worker;
    sink->copied[sink->copied_count++] = item;
}

/* What a call is about, which must be a copy of this life, of a table that the sink lacks. */
static const struct sim_plan *plan_of(const struct sim_sink *sink, uint32_t oid,
                                      uint32_t generation)
{
    const struct sim_plan *plan = sim_plan_find(sink->sim, oid, generation);

    if (plan == NULL || !sink->missing[oid - SIM_OID] ||
        (!sink->sim->copy.running && sink->sim->joins.phase == SIM_JOINS_REST)) {
        sim_fail(sink->sim, "sink %u: a copy of %u, generation %u, that it is not to have",
                 sink->index, oid, generation);
    }
    return plan;
}

static uint64_t all_rows(const struct sim_plan *plan)
{
    return ((uint64_t)1 << plan->contents.count) - 1;
}

/* A mark of the stream comes before its copy is planned. */
static void begin_check(const struct sim_sink *sink, uint32_t oid, uint32_t generation)
{
    if (!sim_joins_has(sink->sim, sink->index, oid, generation)) {
        (void)plan_of(sink, oid, generation);
    }
}

nw_status sim_sink_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                              uint32_t generation, struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);
    uint32_t oid = table->relation_oid;
    struct sim_copied *copying = &sink->copying[oid - SIM_OID];

    begin_check(sink, oid, generation);
    if (status != NW_OK) {
        return status;
    }
    if (copying->present && copying->generation >= generation) {
        sim_fail(sink->sim, "sink %u: generation %u of %u begins after %u", sink->index, generation,
                 table->relation_oid, copying->generation);
    }
    *copying =
        (struct sim_copied){.present = true, .generation = generation, .life = sink->sim->life};
    stage(sink, worker, oid, '<', (struct sim_item){.xid = generation, .life = sink->sim->life});
    for (size_t i = 0; i < sink->staged_count; i++) {
        sink->staged[i].superseded = sink->staged[i].superseded || sink->staged[i].table == oid;
    }
    return NW_OK;
}

nw_status sim_sink_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                            uint32_t generation, struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);
    const struct sim_plan *plan = plan_of(sink, table->relation_oid, generation);
    struct sim_copied *copying = &sink->copying[plan->table];

    if (status != NW_OK) {
        return status;
    }
    if (!copying->present || copying->complete || copying->generation != generation ||
        copying->rows != all_rows(plan)) {
        sim_fail(sink->sim, "sink %u: the copy of %u ends with rows %" PRIx64 " of %" PRIx64,
                 sink->index, table->relation_oid, copying->rows, all_rows(plan));
    }
    copying->complete = true;
    sink->late[plan->table] = worker + 1;
    stage(sink, worker, table->relation_oid, '>',
          (struct sim_item){.commit_lsn = plan->origin.fence_lsn});
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
        if (sink->has_position) { /* that a copy is due is known by its state */
            stored->rows = stored->fresh = 0;
        } else {
            *stored = (struct sim_copied){0};
        }
        sink->copying[oid - SIM_OID] = *stored;
        return NW_OK;
    }
    SIM_COUNT(copies_resumed);
    if (sink->sim->copy.former[oid - SIM_OID].generation != generation) {
        begin_check(sink, oid, generation); /* else only what this life copies can go on */
    }
    return NW_OK;
}

/* Chunks come in any order, and those of two readers at once: each row once. */
static int64_t row_check(struct sim_sink *sink, const struct nw_batch *batch, uint32_t row,
                         const struct sim_plan *plan)
{
    struct sim_copied *copying = &sink->copying[plan->table];
    const struct sim_contents *contents = &plan->contents;
    uint16_t columns = sim_columns_count(plan->version);
    uint32_t at = batch->first_row + row;
    struct nw_value id = nw_batch_value(batch, NW_AFTER, row, 0);
    struct nw_value note = nw_batch_value(batch, NW_AFTER, row, 1);
    struct nw_value extra = {.kind = NW_VALUE_NULL};

    if (columns == 3) {
        extra = nw_batch_value(batch, NW_AFTER, row, 2);
    }
    if (id.kind != NW_VALUE_PRESENT || id.as.integer < 0 ||
        (uint64_t)id.as.integer >= contents->count ||
        ((plan->resumed ? copying->fresh : copying->rows) >> id.as.integer & 1u) != 0 ||
        plan->resumed != ((batch->flags & NW_BATCH_UPSERT) != 0) || note.kind != NW_VALUE_PRESENT ||
        !sim_text_is(note.bytes, note.size, &contents->rows[id.as.integer]) ||
        batch->table->columns_count != columns || batch->op[at] != NW_OP_INSERT ||
        batch->commit_lsn[at] != plan->fence_lsn ||
        extra.kind != (columns == 3 && id.as.integer % 2 == 0 ? NW_VALUE_PRESENT : NW_VALUE_NULL)) {
        sim_fail(sink->sim,
                 "sink %u: row %" PRId64 " of the copy of %u is not what the snapshot has",
                 sink->index, id.as.integer, SIM_OID + plan->table);
    }
    sim_counters.rows_copied_again += copying->rows >> id.as.integer & 1u;
    copying->rows |= (uint64_t)1 << id.as.integer;
    copying->fresh |= (uint64_t)1 << id.as.integer;
    SIM_COUNT(copied_rows);
    return id.as.integer;
}

void sim_sink_copy_write(struct sim_sink *sink, uint32_t worker, const struct nw_batch *batch)
{
    uint32_t oid = batch->table->relation_oid;
    const struct sim_plan *plan = plan_of(sink, oid, batch->generation);
    struct sim_copied *copying = &sink->copying[plan->table];

    if (!copying->present || copying->complete || copying->generation != batch->generation) {
        sim_fail(sink->sim, "sink %u: rows of a copy of %u that is not open", sink->index, oid);
    }
    if (batch->epoch <= sink->sealed[worker]) {
        sim_fail(sink->sim, "sink %u: a copy's rows of epoch %" PRIu64 " after its seal",
                 sink->index, batch->epoch);
    }
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        int64_t id = row_check(sink, batch, row, plan);

        stage(sink, worker, oid, 'r', (struct sim_item){.id = id, .epoch = batch->epoch});
        sim_topic_row(sink, plan, (uint32_t)id, batch->epoch);
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
        *stored = (struct sim_copied){.present = true, .generation = item->xid, .life = item->life};
        sink->gap[item->table - SIM_OID] = false;
        sink->needs[item->table - SIM_OID] = sink->began[item->table - SIM_OID] = true;
    } else if (item->kind == 'r') {
        stored->rows |= (uint64_t)1 << item->id;
        stored->fresh |= (uint64_t)1 << item->id;
    } else {
        stored->complete = true;
        stored->fence_lsn = item->commit_lsn;
        SIM_COUNT(copied_tables);
    }
}

/* The rows that a progress says are here. */
static uint64_t rows_said(const struct sim_plan *plan, const struct nw_copy_progress *progress)
{
    uint64_t rows = 0;

    for (uint16_t i = 0; i < progress->ranges_count; i++) {
        const struct nw_copy_range *range = &progress->ranges[i];
        uint64_t first =
            range->first_page < plan->contents.count ? range->first_page : plan->contents.count;
        uint64_t end =
            range->end_page < plan->contents.count ? range->end_page : plan->contents.count;

        rows |= (((uint64_t)1 << end) - 1) & ~(((uint64_t)1 << first) - 1);
    }
    return rows;
}

/* Of a copy that goes on pages are done before what came there since the first fence is. */
static uint64_t rows_known(const struct sim_plan *plan, const struct nw_copy_progress *progress)
{
    return plan->resumed && !progress->complete ? ((uint64_t)1 << plan->former_count) - 1
                                                : UINT64_MAX;
}

/* Chunks that lie in the ranges of a progress. */
static uint32_t chunks_said(const struct sim_plan *plan, const struct nw_copy_progress *progress)
{
    uint32_t count = 0;

    for (uint32_t c = 0; c < plan->chunks_count; c++) {
        const struct nw_copy_range *chunk = &plan->chunks[c].task.mark.range;

        for (uint16_t i = 0; i < progress->ranges_count; i++) {
            const struct nw_copy_range *range = &progress->ranges[i];

            count += range->relation_oid == chunk->relation_oid &&
                     range->first_page <= chunk->first_page && range->end_page >= chunk->end_page;
        }
    }
    return count;
}

/* What a commit says of a copy of which it has the mark alone. */
static bool is_mark(const struct sim_sink *sink, uint32_t oid, const struct sim_copied *said,
                    const struct sim_copied *stored)
{
    struct nw_copy_progress progress;
    struct nw_error err = {0};

    return said->generation == stored->generation &&
           said->generation == sink->sim->joins.generations[oid - SIM_OID] && !said->complete &&
           nw_copy_unpack((struct nw_bytes){said->bytes, said->size}, &progress, &err) == NW_OK &&
           progress.chunks_count == 0 && progress.chunks_done == 0 && progress.ranges_count == 0 &&
           (progress.origin.fence_lsn == 0 || sink->appends);
}

/*
 * What a commit says of a copy is what was stored of it, and says no less than the one before;
 * except of one that was superseded, which is of no use to anyone.
 */
static void progress_check(const struct sim_sink *sink, uint32_t oid, const struct sim_copied *said,
                           const struct sim_copied *stored)
{
    const struct sim_plan *plan = sim_plan_find(sink->sim, oid, said->generation);
    struct nw_copy_progress progress;
    struct nw_copy_progress former = {0};
    struct nw_error err = {0};

    struct nw_copy_origin origin = plan == NULL ? (struct nw_copy_origin){0} : plan->origin;

    if (plan == NULL || said->generation != stored->generation ||
        nw_copy_unpack((struct nw_bytes){said->bytes, said->size}, &progress, &err) != NW_OK ||
        (stored->size > 0 &&
         nw_copy_unpack((struct nw_bytes){stored->bytes, stored->size}, &former, &err) != NW_OK)) {
        sim_fail(sink->sim, "sink %u: the state of the copy of %u is not of what came: %s",
                 sink->index, oid, err.text);
    }
    if (sink->appends && progress.origin.fence_lsn <= origin.fence_lsn) {
        origin.fence_lsn = progress.origin.fence_lsn; /* of the mark, or a former copy */
    }
    if (memcmp(&progress.origin, &origin, sizeof origin) != 0 ||
        progress.complete != said->complete || said->complete != stored->complete ||
        progress.chunks_count != plan->chunks_count ||
        progress.chunks_done > chunks_said(plan, &progress) ||
        (progress.chunks_done < chunks_said(plan, &progress) && !plan->resumed) ||
        (progress.chunks_done < former.chunks_done && !plan->void_ && !plan->resumed) ||
        ((rows_said(plan, &former) & ~rows_said(plan, &progress)) != 0 && !plan->void_) ||
        progress.complete != (progress.chunks_done == plan->chunks_count) ||
        (rows_said(plan, &progress) & rows_known(plan, &progress) & ~stored->rows) != 0) {
        sim_fail(sink->sim,
                 "sink %u: the copy of %u is said to be %s with %u of %u chunks; it has rows "
                 "%" PRIx64 ", and had %u chunks",
                 sink->index, oid, said->complete ? "whole" : "under way", progress.chunks_done,
                 progress.chunks_count, stored->rows, former.chunks_done);
    }
    sim_counters.progress_stored += !said->complete && progress.chunks_done > 0;
}

/* Where a sink keeps what it has, the stream may be for it from before the snapshot on. */
static void fence_note(const struct sim_sink *sink, struct sim_copied *stored,
                       const struct sim_copied *said)
{
    struct nw_copy_progress progress;
    struct nw_error err = {0};

    if (sink->appends &&
        nw_copy_unpack((struct nw_bytes){said->bytes, said->size}, &progress, &err) == NW_OK) {
        stored->fence_lsn = progress.origin.fence_lsn;
    }
}

void sim_sink_copy_store(struct sim_sink *sink, const struct sim_pending *commit)
{
    bool changed[SIM_TABLES] = {0};
    size_t kept = 0;

    memset(sink->began, 0, sizeof sink->began);
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

        if (changed[t] && !said->present) {
            sim_fail(sink->sim, "sink %u, epoch %" PRIu64 ": nothing is said of the copy of %u",
                     sink->index, commit->epoch, SIM_OID + t);
        }
        if (said->present) {
            if (is_mark(sink, SIM_OID + t, said, stored)) {
                SIM_COUNT(marks_stored);
            } else {
                progress_check(sink, SIM_OID + t, said, stored);
            }
            fence_note(sink, stored, said);
            stored->size = said->size;
            memcpy(stored->bytes, said->bytes, said->size);
        }
    }
}

void sim_sink_copy_position(const struct sim_sink *sink)
{
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        const struct sim_copied *copied = &sink->copies[t];

        if (sink->has_position && sink->needs[t] && !sink->gap[t] && !copied->complete &&
            (!copied->present || !sink->sim->joins.streaming)) {
            sim_fail(sink->sim, "sink %u has a position, and no copy of %u", sink->index,
                     SIM_OID + t);
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

bool sim_text_is(const uint8_t *bytes, uint32_t size, const struct sim_item *item)
{
    char *note = malloc(item->note_size + 1u);
    bool same = false;

    if (note == NULL) {
        abort();
    }
    sim_note(item->lsn + (uint64_t)item->id, item->note_size, note);
    same = size == item->note_size && memcmp(bytes, note, size) == 0;
    free(note);
    return same;
}

/*
 * A spool that was trimmed begins behind a commit, and messages of no transaction may stand between
 * the two. Those went with what was trimmed, and only a sink that is new does not have them.
 */
static uint64_t messages_end(const struct sim_sink *sink)
{
    const struct sim *sim = sink->sim;
    const struct sim_sink *other = &sim->sinks[1 - sink->index];
    uint64_t end_lsn = 0;

    if (!sim->spool.found_trimmed || !other->has_position) {
        return 0;
    }
    for (size_t at = sink->items_stored; at < sim->server.items_count; at++) {
        const struct sim_item *item = &sim->server.items[at];

        if (item->xid != 0 || item->commit_lsn >= other->durable_lsn) {
            break;
        }
        end_lsn = item->commit_lsn + 1;
    }
    return end_lsn;
}

void sim_sink_empty(struct sim_sink *sink, uint64_t lsn)
{
    const struct sim_server *server = &sink->sim->server;

    sink->durable_lsn = lsn;
    sink->items_stored = 0;
    while (sink->items_stored < server->items_count &&
           server->items[sink->items_stored].commit_lsn < lsn) {
        sink->items_stored++;
    }
    sink->gone_lsn = messages_end(sink);
}

/* The first that comes has no message before it that went with a spool's beginning. */
void sim_gone_pass(struct sim_sink *sink, const struct sim_position *to, size_t count)
{
    const struct sim_server *server = &sink->sim->server;
    uint64_t end_lsn = to->lsn < sink->gone_lsn ? to->lsn : sink->gone_lsn;

    for (size_t i = 0; i < count; i++) {
        if (sink->staged[i].table == 0 && sink->staged[i].commit_lsn < end_lsn) {
            end_lsn = sink->staged[i].commit_lsn;
        }
    }
    while (sink->items_stored < server->items_count &&
           server->items[sink->items_stored].commit_lsn < end_lsn) {
        sink->items_stored++;
    }
    sink->gone_lsn = to->lsn > sink->durable_lsn ? 0 : sink->gone_lsn;
}
