/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model sink: stages what it is given, and at each commit compares it with the history. What is
 * stored is therefore one number: how many of the history's items are here. It keeps the contract
 * of narwal/sink.h to the letter, in the ways that are hardest for the host.
 */
#include "sim.h"
#include "sink/position.h"

static struct sim_sink *sinks[SIM_SINKS_MAX]; /* open() has no other way to them */

static bool strikes(struct sim_sink *sink, uint32_t permille)
{
    return sim_chance(&sink->random, permille);
}

static nw_status open_sink(uint32_t index, const struct nw_host *host, void **self)
{
    struct sim_sink *sink = sinks[index];

    if (sink->open) {
        sim_fail(sink->sim, "sink %u was opened twice", index);
    }
    sink->open = true;
    sink->host = host;
    *self = sink;
    return NW_OK;
}

static nw_status open_first(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    (void)config;
    (void)workers;
    (void)err;
    return open_sink(0, host, self);
}

static nw_status open_second(const struct nw_host *host, const struct nw_config *config,
                             uint32_t workers, void **self, struct nw_error *err)
{
    (void)config;
    (void)workers;
    (void)err;
    return open_sink(1, host, self);
}

static void staged_drop(struct sim_sink *sink)
{
    sim_topics_drop(sink);
    sink->staged_count = 0;
    memset(sink->sealed, 0, sizeof sink->sealed);
    memset(sink->table_last, 0, sizeof sink->table_last);
    memset(sink->late, 0, sizeof sink->late);
    sink->total_last = (struct sim_item){0};
}

/* ---- storing ---- */

static uint64_t position_lsn(struct sim_sink *sink, const uint8_t *bytes, uint32_t size,
                             struct nw_behind_list *behind)
{
    struct nw_envelope_content content = {0};
    struct nw_identity identity = {0};
    struct nw_error err = {0};
    uint64_t lsn = 0;

    behind->count = 0;
    if (nw_envelope_read(&(struct nw_position){.bytes = bytes, .size = size}, &content, &err) ==
            NW_OK &&
        content.position.size == 0 && !sink->has_position) {
        return sink->durable_lsn; /* an epoch before the stream begins has none */
    }
    if (err.status != NW_OK ||
        nw_position_unpack((struct nw_bytes){content.position.bytes, content.position.size},
                           &identity, &lsn, behind, &err) != NW_OK) {
        sim_fail(sink->sim, "sink %u was given a position that is none: %s", sink->index, err.text);
    }
    return lsn;
}

static int items_compare(const void *left, const void *right)
{
    const struct sim_item *a = left;
    const struct sim_item *b = right;

    if (a->commit_lsn != b->commit_lsn) {
        return a->commit_lsn < b->commit_lsn ? -1 : 1;
    }
    if (a->order != b->order) {
        return a->order < b->order ? -1 : 1;
    }
    return a->table < b->table ? -1 : a->table > b->table;
}

static bool is_same(const struct sim_item *had, const struct sim_item *expected)
{
    bool is_mark = expected->kind == 'b' || expected->kind == 'c';

    return had->commit_lsn == expected->commit_lsn && (is_mark || had->order == expected->order) &&
           had->table == expected->table && had->kind == expected->kind &&
           had->xid == expected->xid && had->origin == expected->origin &&
           (is_mark || had->lsn == expected->lsn);
}

/* It may come out of a backlog, and has no place among others then. */
static bool comes_late(const struct sim_sink *sink, const struct sim_item *item)
{
    return item->table != 0 && sink->sim->backlogs.was_behind[item->table - SIM_OID];
}

/* Whether an item of a table is between the sink's position and that of a commit. */
static bool is_between(const struct sim_sink *sink, const struct sim_position *to,
                       const struct sim_item *item)
{
    struct nw_place place = {item->commit_lsn, item->order / 2};

    return !nw_place_before(place, sim_extent(&sink->behind, sink->durable_lsn, item->table)) &&
           nw_place_before(place, sim_extent(&to->behind, to->lsn, item->table));
}

/*
 * Whether a commit has to bring this item of the history. What the stream has of a table that is
 * copied beside it comes with the copy's end, from the fence on.
 * @param former  the copies before this commit
 */
static bool is_due(const struct sim_sink *sink, const struct sim_copied *former,
                   const struct sim_position *to, size_t at)
{
    const struct sim_item *item = &sink->sim->server.items[at];
    const struct sim_copied *copied = NULL;

    if (item->table != 0 && sink->appends) {
        return false; /* see sink_topic.c */
    }
    if (item->table == 0) {
        return at >= sink->items_stored && item->commit_lsn < to->lsn &&
               (item->kind == 'M' || sink->transactions);
    }
    copied = &sink->copies[item->table - SIM_OID];
    former = &former[item->table - SIM_OID];
    if (sink->gap[item->table - SIM_OID] ||
        (sink->needs[item->table - SIM_OID] && !copied->complete)) {
        return false;
    }
    if (copied->complete && (!former->complete || former->generation != copied->generation)) {
        return item->commit_lsn >= copied->fence_lsn;
    }
    return is_between(sink, to, item) && !sim_sink_copy_has(sink, item);
}

/* The next item of the history that this sink is to have. */
static const struct sim_item *expected_next(const struct sim_sink *sink,
                                            const struct sim_copied *former,
                                            const struct sim_position *to, size_t *at)
{
    const struct sim_server *server = &sink->sim->server;

    while (*at < server->items_count && server->items[*at].commit_lsn < to->end_lsn) {
        size_t index = (*at)++;

        if (!is_due(sink, former, to, index)) {
            continue;
        }
        if (!sim_letters_refuses(sink, &server->items[index])) {
            return &server->items[index];
        }
        sim_letters_check(sink, &server->items[index]);
    }
    return NULL;
}

/* The next item of a table that came before its copy's beginning. */
static const struct sim_item *superseded_next(const struct sim_sink *sink, uint32_t oid,
                                              const struct sim_copied *former, size_t *at)
{
    const struct sim_server *server = &sink->sim->server;

    for (former = &former[oid - SIM_OID]; *at < server->items_count;) {
        const struct sim_item *item = &server->items[(*at)++];

        if (item->table == oid && !(former->complete && item->commit_lsn < former->fence_lsn) &&
            !sim_letters_refuses(sink, item)) {
            return item;
        }
    }
    return NULL;
}

/* Brings what belongs to epochs up to this one to the front, in commit order. @return how much */
static size_t staged_part(struct sim_sink *sink, uint64_t epoch)
{
    struct sim_item *parted = malloc(sink->staged_count * sizeof *parted + 1);
    size_t count = 0;
    size_t at = 0;

    if (parted == NULL) {
        abort();
    }
    if (sink->staged_count == 0) {
        free(parted);
        return 0;
    }
    for (int later = 0; later < 2; later++) {
        for (size_t i = 0; i < sink->staged_count; i++) {
            if ((sink->staged[i].epoch > epoch) == (later == 1)) {
                parted[at++] = sink->staged[i];
            }
        }
        count = later == 0 ? at : count;
    }
    memcpy(sink->staged, parted, at * sizeof *parted);
    free(parted);
    qsort(sink->staged, count, sizeof *sink->staged, items_compare);
    return count;
}

static void staged_forget(struct sim_sink *sink, size_t count)
{
    sink->staged_count -= count;
    if (count > 0) {
        memmove(sink->staged, sink->staged + count, sink->staged_count * sizeof *sink->staged);
    }
    memset(sink->table_last, 0, sizeof sink->table_last);
    for (size_t i = 0; i < sink->staged_count; i++) {
        if (sink->staged[i].table != 0) {
            sink->table_last[sink->staged[i].table - SIM_OID] = i + 1;
        }
    }
}

/* What was staged up to the epoch must be exactly the history between the two positions; of a table
 * of which a copy began, some of it from the former position on. @return the next item's index */
static size_t staged_check(struct sim_sink *sink, const struct sim_pending *commit,
                           const struct sim_position *to, const struct sim_copied *former,
                           size_t count)
{
    const struct sim_item *expected = NULL;
    size_t superseded[SIM_TABLES];
    size_t at = sink->behind.count > 0 ? 0 : sink->items_stored;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        superseded[t] = sink->items_stored;
        at = sink->copies[t].complete && !former[t].complete ? 0 : at;
        at = sink->copies[t].generation != former[t].generation ? 0 : at;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sim_item *had = &sink->staged[i];
        bool late = false;

        if (sink->appends && had->table != 0) {
            continue;
        }
        if (had->superseded && sink->began[had->table - SIM_OID]) {
            SIM_COUNT(rows_superseded);
            expected = superseded_next(sink, had->table, former, &superseded[had->table - SIM_OID]);
        } else {
            expected = expected_next(sink, former, to, &at);
        }
        if (expected == NULL || !is_same(had, expected)) {
            sim_fail(sink->sim,
                     "sink %u, epoch %" PRIu64 " to %" PRIu64 ": has %c of %u at (%" PRIu64
                     ", %" PRIu64 "), expected %c of %u at (%" PRIu64 ", %" PRIu64 ")",
                     sink->index, commit->epoch, to->lsn, had->kind, had->table, had->commit_lsn,
                     had->order, expected == NULL ? '-' : expected->kind,
                     expected == NULL ? 0 : expected->table,
                     expected == NULL ? 0 : expected->commit_lsn,
                     expected == NULL ? 0 : expected->order);
        }
        late = expected < &sink->sim->server.items[sink->items_stored];
        sim_counters.rows_behind += late && comes_late(sink, had);
        sim_counters.rows_held_long += late && !comes_late(sink, had);
    }
    expected = expected_next(sink, former, to, &at);
    if (expected != NULL) {
        sim_fail(sink->sim,
                 "sink %u, epoch %" PRIu64 " to %" PRIu64 ": %c of %u at (%" PRIu64 ", %" PRIu64
                 ") is missing",
                 sink->index, commit->epoch, to->lsn, expected->kind, expected->table,
                 expected->commit_lsn, expected->order);
    }
    for (at = sink->items_stored; at < sink->sim->server.items_count; at++) {
        if (sink->sim->server.items[at].commit_lsn >= to->lsn) {
            break;
        }
    }
    return at;
}

static void store(struct sim_sink *sink, const struct sim_pending *commit)
{
    struct sim_copied former[SIM_TABLES];
    struct sim_position to;
    struct nw_behind_list said;
    size_t count = staged_part(sink, commit->epoch);
    size_t at = 0;

    to.lsn = position_lsn(sink, commit->position, commit->position_size, &to.behind);
    said = to.behind;
    memcpy(former, sink->copies, sizeof former);
    sim_topics_store(sink, commit);
    sim_sink_copy_store(sink, commit);
    if (to.lsn < sink->durable_lsn) {
        sim_fail(sink->sim, "sink %u: position %" PRIu64 " after %" PRIu64, sink->index, to.lsn,
                 sink->durable_lsn);
    }
    sim_lacks_check(sink, &to);
    sim_extents_settle(sink, &to, count);
    sim_extents_check(sink, &to);
    sim_gone_pass(sink, &to, count);
    at = staged_check(sink, commit, &to, former, count);
    staged_forget(sink, count);
    sink->items_stored = at;
    sink->durable_lsn = to.lsn;
    sink->behind = to.behind;
    sim_counters.commits_behind += to.behind.count > 0;
    sink->has_position = sink->has_position || commit->position_size > NW_ENVELOPE_SIZE;
    sim_sink_copy_position(sink);
    sim_topics_position(sink, commit, to.lsn, &said);
    sink->position_size = commit->position_size;
    memcpy(sink->position, commit->position, commit->position_size);
    SIM_COUNT(sink_commits);
    sim_trace(sink->sim, to.lsn * 31 + sink->index);
    sim_trace(sink->sim, at);
}

/* ---- calls ---- */

static nw_status call_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    static struct nw_position positions[SIM_SINKS_MAX];
    struct sim_sink *sink = self;

    if (strikes(sink, sink->call_fault * 10)) {
        SIM_COUNT(recover_faults);
        return nw_fail(err, NW_RETRY, "the store cannot be reached");
    }
    if (sink->has_pending) { /* until now it could still happen; from here on it is fenced off */
        if (strikes(sink, 500)) {
            sink->has_pending = false;
            store(sink, &sink->pending);
            SIM_COUNT(late_commits);
        }
        sink->has_pending = false;
    }
    staged_drop(sink);
    sink->fencing++;
    positions[sink->index] = (struct nw_position){
        .bytes = sink->position, .size = sink->position_size, .lsn = sink->durable_lsn};
    recovery->positions_count = sink->position_size > 0 ? 1 : 0;
    recovery->positions = &positions[sink->index];
    sim_sink_copy_recover(sink, recovery);
    recovery->fencing = sink->fencing;
    return NW_OK;
}

static nw_status call_table(void *self, uint32_t worker, const struct nw_table *table,
                            struct nw_error *err)
{
    struct sim_sink *sink = self;

    (void)worker;
    (void)table;
    (void)err;
    return strikes(sink, sink->again) ? NW_AGAIN : NW_OK;
}

nw_status sim_sink_fault(struct sim_sink *sink, struct nw_error *err)
{
    if (strikes(sink, sink->again)) {
        SIM_COUNT(write_again);
        return NW_AGAIN;
    }
    if (strikes(sink, sink->call_fault)) {
        SIM_COUNT(write_faults);
        return nw_fail(err, NW_RETRY, "the store went away");
    }
    return NW_OK;
}

static void stage(struct sim_sink *sink, uint32_t worker, struct sim_item item)
{
    uint64_t order = item.commit_lsn;

    if (item.epoch <= sink->sealed[worker]) {
        sim_fail(sink->sim, "sink %u: something of epoch %" PRIu64 " after its seal", sink->index,
                 item.epoch);
    }
    if (item.table != 0) { /* the order of each table */
        const struct sim_copied *copying = &sink->copying[item.table - SIM_OID];
        size_t *last = &sink->table_last[item.table - SIM_OID];

        if ((copying->present || sink->needs[item.table - SIM_OID]) && !copying->complete &&
            (!sink->appends || copying->life == sink->sim->life)) {
            sim_fail(sink->sim, "sink %u: %c of %u at %" PRIu64 " while its copy is not whole",
                     sink->index, item.kind, item.table, item.commit_lsn);
        }
        if (*last > 0 && items_compare(&sink->staged[*last - 1], &item) >= 0) {
            sim_fail(sink->sim, "sink %u: table %u went back to (%" PRIu64 ", %" PRIu64 ")",
                     sink->index, item.table, item.commit_lsn, item.order);
        }
        *last = sink->staged_count + 1;
        sim_counters.rows_held += sink->late[item.table - SIM_OID] > 0;
    }
    if (sink->total_order && !comes_late(sink, &item)) {
        const struct sim_item *former = &sink->total_last;
        bool back = former->commit_lsn > order ||
                    (former->commit_lsn == order && item.kind != 'b' && former->order > item.order);

        if (back && (item.table == 0 || sink->late[item.table - SIM_OID] == 0)) {
            sim_fail(sink->sim, "sink %u: total order went back to (%" PRIu64 ", %" PRIu64 ")",
                     sink->index, item.commit_lsn, item.order);
        }
        sink->total_last = back ? sink->total_last : item;
    }
    sink->staged =
        sim_grow(sink->staged, sink->staged_count, &sink->staged_capacity, sizeof *sink->staged);
    sink->staged[sink->staged_count++] = item;
    sim_topic_change(sink, &item);
    if (sink->items_stored + sink->staged_count > sink->most_items) {
        sink->most_items = sink->items_stored + sink->staged_count;
    } else {
        SIM_COUNT(replayed_rows);
    }
}

/* The history's item for a row, to compare values with. */
static const struct sim_item *item_find(const struct sim_sink *sink, const struct sim_item *key)
{
    const struct sim_server *server = &sink->sim->server;
    size_t low = 0;
    size_t high = server->items_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (items_compare(&server->items[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < server->items_count && items_compare(&server->items[low], key) == 0
               ? &server->items[low]
               : NULL;
}

/* Attribute numbers that are said to be exact are those that the server gave. */
static bool attnums_right(const struct nw_table *table, uint16_t version)
{
    const int16_t numbers[3] = {1, 2, sim_extra_attnum(version)};

    for (uint16_t i = 0; i < table->columns_count && i < 3; i++) {
        if ((table->columns[i].exact & NW_EXACT_ATTNUM) != 0 &&
            table->columns[i].attnum != numbers[i]) {
            return false;
        }
    }
    return true;
}

/* Values, and the schema that they came with. */
static void row_check(struct sim_sink *sink, const struct nw_batch *batch, uint32_t row,
                      const struct sim_item *item)
{
    const struct sim_item *known = item_find(sink, item);
    int side = item->kind == 'D' ? NW_BEFORE : NW_AFTER;
    struct nw_value id = nw_batch_value(batch, side, row, 0);
    struct nw_value note = nw_batch_value(batch, side, row, 1);
    char column[32];

    if (known == NULL) {
        sim_fail(sink->sim, "sink %u: a row at (%" PRIu64 ", %" PRIu64 ") that never was",
                 sink->index, item->commit_lsn, item->order);
    }
    sim_column_name(known->version, column);
    if (id.kind != NW_VALUE_PRESENT || id.as.integer != known->id ||
        batch->table->columns_count != sim_columns_count(known->version) ||
        strcmp(batch->table->columns[1].name, column) != 0 ||
        !attnums_right(batch->table, known->version) ||
        (item->kind != 'D' &&
         (note.kind != NW_VALUE_PRESENT || !sim_text_is(note.bytes, note.size, known)))) {
        sim_fail(sink->sim, "sink %u: the row at (%" PRIu64 ", %" PRIu64 ") is not what it was",
                 sink->index, item->commit_lsn, item->order);
    }
}

static nw_status call_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);

    if (sink->refusals > 0 && sink->sim->joins.streaming && sink->has_position &&
        sim_below(&sink->random, 100000) < sink->refusals) {
        SIM_COUNT(refusals);
        return nw_fail(err, NW_REJECT, "not these rows");
    }
    if (status == NW_OK && (batch->flags & NW_BATCH_COPY) != 0) {
        sim_sink_copy_write(sink, worker, batch);
        return NW_OK;
    }
    if (sim_backlogs_refuses(sink->sim)) {
        return nw_fail(err, NW_REJECT, "not these rows");
    }
    for (uint32_t row = 0; status == NW_OK && row < batch->rows_count; row++) {
        uint32_t at = batch->first_row + row;
        int32_t origin = batch->origin_offsets[at];
        struct sim_item item = {.commit_lsn = batch->commit_lsn[at],
                                .order = 2 * batch->seq[at] + 1,
                                .table = batch->table->relation_oid,
                                .xid = batch->xid[at],
                                .lsn = batch->row_lsn[at],
                                .kind = (char)batch->op[at],
                                .epoch = batch->epoch};

        if (batch->origin_offsets[at + 1] > origin) {
            item.origin = (char)batch->origin_bytes[origin];
        }
        row_check(sink, batch, row, &item);
        if (sim_letters_refuses(sink, &item)) {
            SIM_COUNT(rows_refused);
            return nw_fail(err, NW_REJECT, "not this row");
        }
        stage(sink, worker, item);
    }
    return status;
}

static nw_status call_event(void *self, uint32_t worker, const struct nw_event *event,
                            struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);
    struct sim_item item = {.commit_lsn = event->commit_lsn,
                            .order = 2 * event->seq + 1,
                            .xid = event->xid,
                            .lsn = event->lsn,
                            .origin = event->origin[0],
                            .epoch = event->epoch};

    if (status != NW_OK || event->kind == NW_EVENT_SCHEMA) {
        return status;
    }
    if (event->kind == NW_EVENT_TRUNCATE) {
        item.kind = 'T';
        for (uint32_t i = 0; i < event->tables_count; i++) {
            for (uint32_t j = 0; j < i; j++) {
                if (event->tables[i]->relation_oid == event->tables[j]->relation_oid) {
                    sim_fail(sink->sim, "sink %u: a truncate names a table twice", sink->index);
                }
            }
            item.table = event->tables[i]->relation_oid;
            stage(sink, worker, item);
        }
        return NW_OK;
    }
    if (event->kind == NW_EVENT_MESSAGE) {
        const struct sim_item *known = NULL;

        item.kind = 'M';
        item.commit_lsn = event->commit_lsn == 0 ? event->lsn - 1 : event->commit_lsn;
        known = item_find(sink, &item);
        if (known == NULL || strcmp(event->prefix, "sim") != 0 ||
            !sim_text_is(event->content, event->content_size, known)) {
            sim_fail(sink->sim, "sink %u: a message at %" PRIu64 " that never was", sink->index,
                     event->lsn);
        }
    } else {
        item.kind = event->kind == NW_EVENT_BEGIN ? 'b' : 'c';
        item.order = event->kind == NW_EVENT_BEGIN ? 2 * event->seq : UINT64_MAX;
        SIM_COUNT(transactions_told);
    }
    stage(sink, worker, item);
    return NW_OK;
}

static nw_status call_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    struct sim_sink *sink = self;
    nw_status status = sim_sink_fault(sink, err);

    if (status == NW_OK) {
        if (epoch <= sink->sealed[worker]) {
            sim_fail(sink->sim, "sink %u: epoch %" PRIu64 " sealed twice", sink->index, epoch);
        }
        sink->sealed[worker] = epoch;
        sim_sink_copy_seal(sink, worker, epoch);
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            sink->late[t] = sink->late[t] == worker + 1 ? 0 : sink->late[t];
        }
    }
    return status;
}

/* What has to be kept of a commit. */
static void commit_keep(struct sim_sink *sink, const struct nw_commit *commit,
                        struct sim_pending *kept)
{
    *kept =
        (struct sim_pending){.epoch = commit->epoch, .position_size = commit->positions[0].size};
    memcpy(kept->position, commit->positions[0].bytes, commit->positions[0].size);
    for (uint32_t i = 0; i < commit->copies_count; i++) {
        const struct nw_copy_state *state = &commit->copies[i];
        struct sim_copied *copied = &kept->copies[state->relation_oid - SIM_OID];

        if (copied->present || state->size > sizeof copied->bytes) {
            sim_fail(sink->sim, "sink %u: commit %" PRIu64 " names a copy twice", sink->index,
                     commit->epoch);
        }
        *copied = (struct sim_copied){.present = true,
                                      .complete = state->complete,
                                      .generation = state->generation,
                                      .size = state->size};
        memcpy(copied->bytes, state->bytes, state->size);
    }
}

static void pend(struct sim_sink *sink, const struct sim_pending *commit)
{
    sink->has_pending = true;
    sink->pending = *commit;
    sink->pending_ns =
        sink->sim->disk.now_ns + (int64_t)sim_below(&sink->random, 1000) * sink->slow_ns / 1000;
}

/* A commit that goes wrong in one of the ways there are. */
static nw_status commit_badly(struct sim_sink *sink, const struct sim_pending *commit,
                              enum nw_outcome *outcome, struct nw_error *err)
{
    switch (sim_below(&sink->random, 5)) {
    case 0:
        SIM_COUNT(not_committed);
        *outcome = NW_NOT_COMMITTED;
        return NW_OK;
    case 1:
        SIM_COUNT(unknown_done);
        store(sink, commit);
        *outcome = NW_UNKNOWN;
        return NW_OK;
    case 2:
        SIM_COUNT(unknown_not_done);
        *outcome = NW_UNKNOWN;
        return NW_OK;
    case 3:
        SIM_COUNT(retry_done);
        store(sink, commit);
        return nw_fail(err, NW_RETRY, "the answer was lost");
    default:
        pend(sink, commit); /* on its way: it happens, or not, by the time of recover() */
        return nw_fail(err, NW_RETRY, "timed out");
    }
}

static nw_status call_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    struct sim_sink *sink = self;
    struct sim_pending kept;

    for (uint32_t w = 0; w < sink->workers; w++) {
        if (sink->sealed[w] < commit->epoch) {
            sim_fail(sink->sim, "sink %u: commit %" PRIu64 " before its seal", sink->index,
                     commit->epoch);
        }
    }
    if (sink->has_pending || commit->positions_count != 1) {
        sim_fail(sink->sim, "sink %u: commit %" PRIu64 " is not as it should be", sink->index,
                 commit->epoch);
    }
    commit_keep(sink, commit, &kept);
    if (sink->sim->crashing) {
        pend(sink, &kept);
        return nw_fail(err, NW_RETRY, "the process is gone");
    }
    if (strikes(sink, sink->again)) {
        return NW_AGAIN;
    }
    if (strikes(sink, sink->commit_fault)) {
        return commit_badly(sink, &kept, outcome, err);
    }
    if (sink->slow_ns > 0 && strikes(sink, 500)) {
        SIM_COUNT(pending);
        pend(sink, &kept);
        *outcome = NW_PENDING;
        return NW_OK;
    }
    store(sink, &kept);
    *outcome = NW_COMMITTED;
    return NW_OK;
}

static void call_close(void *self)
{
    /* What is staged goes with recover(): the last commit may be on its way still, and arrive. */
    ((struct sim_sink *)self)->open = false;
}

void sim_sink_step(struct sim_sink *sink)
{
    enum nw_outcome outcome = NW_COMMITTED;

    if (!sink->has_pending || !sink->open || sink->sim->disk.now_ns < sink->pending_ns) {
        return;
    }
    if (strikes(sink, sink->commit_fault)) {
        outcome = strikes(sink, 500) ? NW_UNKNOWN : NW_NOT_COMMITTED;
    }
    if (outcome == NW_COMMITTED || (outcome == NW_UNKNOWN && strikes(sink, 500))) {
        sink->has_pending = false;
        store(sink, &sink->pending);
    }
    sink->has_pending = false;
    sink->host->commit_done(sink->host, sink->pending.epoch, outcome, NULL);
}

void sim_sink_init(struct sim_sink *sink, struct sim *sim, uint32_t index, uint64_t seed)
{
    static const char *const names[SIM_SINKS_MAX] = {"first", "second"};
    struct nw_error err = {0};

    *sink = (struct sim_sink){.sim = sim, .index = index, .durable_lsn = SIM_SLOT_LSN};
    sink->random.state = seed ^ (0x73696e6bu + index * 1000003u);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sink->needs[t] = sim->copies && SIM_OID + t != sim->unwanted_oid;
    }
    sink->workers = 1 + sim_below(&sink->random, 3);
    sink->total_order = strikes(sink, 250);
    /* Of a transaction of which some is kept, they hear more than once. */
    sink->transactions = strikes(sink, 250) && !sim->backlogs.wanted;
    if (sink->total_order || sink->transactions) {
        sink->workers = 1;
    }
    sim_counters.total_order += sink->total_order;
    sink->appends = strikes(sink, 400) && !sim->backlogs.wanted;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sink->topics.begins[t] = sink->needs[t];
    }
    sink->slow_ns = strikes(sink, 500) ? 1000000ll * sim_below(&sink->random, 2000) : 0;
    sink->commit_fault = strikes(sink, 500) ? sim_below(&sink->random, 300) : 0;
    sink->call_fault = strikes(sink, 400) ? sim_below(&sink->random, 40) : 0;
    sink->again = strikes(sink, 500) ? sim_below(&sink->random, 200) : 0;
    sink->refusals = sim->joins.wanted && strikes(sink, 300) ? 3000 : 0;
    sink->config = (struct nw_config){.name = names[index]};
    sink->ops = (struct nw_sink_ops){.abi = NW_SINK_ABI,
                                     .size = sizeof sink->ops,
                                     .name = names[index],
                                     .version = "1",
                                     .workers_max = sink->workers,
                                     .epochs_ahead_max = sim_below(&sink->random, 3),
                                     .open = index == 0 ? open_first : open_second,
                                     .recover = call_recover,
                                     .copy_resolve = sim_sink_copy_resolve,
                                     .table = call_table,
                                     .copy_begin = sim_sink_copy_begin,
                                     .copy_end = sim_sink_copy_end,
                                     .write = call_write,
                                     .event = call_event,
                                     .seal = call_seal,
                                     .commit = call_commit,
                                     .close = call_close};
    sink->ops.flags = (sink->total_order ? NW_SINK_TOTAL_ORDER : 0) |
                      (sink->transactions ? NW_SINK_TRANSACTIONS : 0) |
                      (sink->appends ? NW_SINK_APPEND_ONLY : 0);
    sinks[index] = sink;
    sim_letters_init(sink);
    if (nw_plugin_adopt(&sink->ops, &sink->plugin, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
}

void sim_sink_wipe(struct sim_sink *sink)
{
    SIM_COUNT(sinks_wiped);
    staged_drop(sink);
    sim_topics_wipe(sink);
    sink->copied_count = 0;
    memset(sink->copies, 0, sizeof sink->copies);
    memset(sink->copying, 0, sizeof sink->copying);
    memset(sink->gap, 0, sizeof sink->gap);
    sink->has_pending = sink->has_position = false;
    sink->position_size = 0;
    sink->gone_lsn = 0;
    sink->behind.count = 0;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sink->needs[t] = SIM_OID + t != sink->sim->unwanted_oid;
    }
}

void sim_sink_free(struct sim_sink *sink)
{
    sim_topics_free(sink);
    free(sink->letters.keys);
    free(sink->staged);
    free(sink->copied);
}
