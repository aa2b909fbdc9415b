/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model sink that keeps what it has of a table that is copied again (NW_SINK_APPEND_ONLY), as
 * Kafka does: each table is a topic, of which a reader makes rows by their keys. A copied row is
 * put in the place of the one with its key, changes are applied as they come, and rows of former
 * copies stay. In the end the reader must have the table's rows.
 *
 * The keys are the ids of what the stream has. Which rows a snapshot has of them is said by the
 * history, of those that the model's snapshot contains.
 */
#include "sim.h"

#include "sink/position.h"

/* ---- the history of a key ---- */

static bool concerns(const struct sim_sink *sink, const struct sim_item *item, uint32_t oid,
                     int64_t id)
{
    return item->table == oid && (item->kind == 'T' || item->id == id) &&
           !sim_letters_refuses(sink, item);
}

/* The last change of a key that committed before; NULL: none. */
static const struct sim_item *last_of(const struct sim_sink *sink, uint32_t oid, int64_t id,
                                      uint64_t lsn)
{
    const struct sim_server *server = &sink->sim->server;

    for (size_t i = server->items_count; i > 0; i--) {
        const struct sim_item *item = &server->items[i - 1];

        if (item->commit_lsn < lsn && concerns(sink, item, oid, id)) {
            return item;
        }
    }
    return NULL;
}

/* ---- what comes ---- */

static void add(struct sim_sink *sink, struct sim_item item)
{
    struct sim_topics *topics = &sink->topics;

    topics->staged = sim_grow(topics->staged, topics->staged_count, &topics->staged_capacity,
                              sizeof *topics->staged);
    topics->staged[topics->staged_count++] = item;
}

void sim_topic_row(struct sim_sink *sink, const struct sim_plan *plan, uint32_t row, uint64_t epoch)
{
    int64_t id = plan->contents.rows[row].id;
    const struct sim_item *last = last_of(sink, SIM_OID + plan->table, id, plan->fence_lsn);

    if (sink->appends && last != NULL && (last->kind == 'I' || last->kind == 'U')) {
        add(sink, (struct sim_item){.kind = 'r',
                                    .table = SIM_OID + plan->table,
                                    .id = id,
                                    .commit_lsn = plan->fence_lsn,
                                    .epoch = epoch});
    }
}

void sim_topic_change(struct sim_sink *sink, const struct sim_item *item)
{
    if (sink->appends && item->table != 0) {
        add(sink, *item);
    }
}

void sim_topics_drop(struct sim_sink *sink)
{
    sink->topics.staged_count = 0;
}

void sim_topics_wipe(struct sim_sink *sink)
{
    struct sim_topics *topics = &sink->topics;

    topics->staged_count = 0;
    topics->behind.count = 0;
    memset(topics->rows, 0, sizeof topics->rows);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        topics->next[t] = topics->stored[t] = 0;
        topics->from_lsn[t] = 0;
        topics->begins[t] = true;
        topics->gaps[t] = false;
    }
}

/* ---- commits ---- */

/* The next change of a table that the topic is to have, from an index on. */
static size_t due_from(const struct sim_sink *sink, uint32_t table, size_t at)
{
    const struct sim_server *server = &sink->sim->server;

    for (; at < server->items_count; at++) {
        const struct sim_item *item = &server->items[at];

        if (item->table != SIM_OID + table) {
            continue;
        }
        if (!sim_letters_refuses(sink, item)) {
            break;
        }
    }
    return at;
}

static void rows_take(struct sim_topics *topics, uint32_t table, const struct sim_item *item,
                      size_t index)
{
    for (uint32_t id = 0; id < SIM_KEYS; id++) {
        if (item->kind == 'T' || item->id == (int64_t)id) {
            topics->rows[table][id] = (struct sim_topic_row){.change = index + 1};
        }
    }
}

/* Of what was left out nothing is due. What the first copy has may come too, once, if the table is
 * copied again before the stream is as far. @return the index from which on a change is due, which
 * is `next` otherwise */
static size_t copied_too(const struct sim_sink *sink, const struct sim_item *item, size_t next)
{
    const struct sim_server *server = &sink->sim->server;
    uint32_t table = item->table - SIM_OID;

    if (item->commit_lsn >= sink->topics.from_lsn[table] && !sink->topics.gaps[table]) {
        return next;
    }
    for (size_t at = sink->topics.stored[table]; at < server->items_count; at++) {
        if (server->items[at].table == item->table &&
            server->items[at].commit_lsn == item->commit_lsn &&
            server->items[at].order == item->order) {
            return at;
        }
    }
    return next;
}

/* A change must be the next one of its table: each comes once. */
static void change_store(struct sim_sink *sink, const struct sim_item *item)
{
    struct sim_topics *topics = &sink->topics;
    const struct sim_server *server = &sink->sim->server;
    uint32_t table = item->table - SIM_OID;
    size_t next = due_from(sink, table, copied_too(sink, item, topics->next[table]));
    const struct sim_item *due = next < server->items_count ? &server->items[next] : NULL;

    if (due == NULL || due->commit_lsn != item->commit_lsn || due->order != item->order ||
        due->kind != item->kind) {
        sim_fail(sink->sim,
                 "sink %u: the topic of %u gets %c of (%" PRIu64 ", %" PRIu64
                 "), and not %c of (%" PRIu64 ", %" PRIu64 ")",
                 sink->index, item->table, item->kind, item->commit_lsn, item->order,
                 due == NULL ? '-' : due->kind, due == NULL ? 0 : due->commit_lsn,
                 due == NULL ? 0 : due->order);
    }
    SIM_COUNT(rows_appended);
    rows_take(topics, table, due, next);
    topics->next[table] = next + 1;
    topics->stored[table] = next + 1;
}

/* What a commit says of a copy: from which place on the stream is for the sink. */
static void begins_check(struct sim_sink *sink, const struct sim_pending *commit)
{
    struct sim_topics *topics = &sink->topics;
    const struct sim_server *server = &sink->sim->server;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        uint64_t lsn = sink->has_position ? sink->durable_lsn : 0;
        const struct sim_copied *said = &commit->copies[t];
        struct nw_copy_progress progress;
        struct nw_error err = {0};

        if (!said->present || !topics->begins[t] ||
            nw_copy_unpack((struct nw_bytes){said->bytes, said->size}, &progress, &err) != NW_OK) {
            continue;
        }
        if (topics->from_lsn[t] != 0 && progress.origin.fence_lsn > topics->from_lsn[t] &&
            !topics->gaps[t]) {
            sim_fail(sink->sim, "sink %u: the copy of %u goes on from %" PRIu64 " on, not %" PRIu64,
                     sink->index, SIM_OID + t, progress.origin.fence_lsn, topics->from_lsn[t]);
        }
        topics->from_lsn[t] = progress.origin.fence_lsn;
        topics->next[t] = topics->stored[t];
        lsn = lsn > progress.origin.fence_lsn ? lsn : progress.origin.fence_lsn;
        while (topics->next[t] < server->items_count &&
               server->items[topics->next[t]].commit_lsn < lsn) {
            topics->next[t]++;
        }
    }
}

static struct nw_place place_of(const struct sim_item *item)
{
    return (struct nw_place){item->commit_lsn, item->order / 2};
}

/* The position says of each table exactly how far its topic is. */
static void extents_check(const struct sim_sink *sink, uint64_t lsn,
                          const struct nw_behind_list *behind)
{
    const struct sim_topics *topics = &sink->topics;
    const struct sim_server *server = &sink->sim->server;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        struct nw_place extent = sim_extent(behind, lsn, SIM_OID + t);
        size_t next = due_from(sink, t, topics->next[t]);
        size_t stored = topics->stored[t];

        if (topics->gaps[t] || topics->begins[t] || SIM_OID + t == sink->sim->unwanted_oid) {
            continue;
        }
        if (next < server->items_count && nw_place_before(place_of(&server->items[next]), extent)) {
            sim_fail(sink->sim,
                     "sink %u, to %" PRIu64 ": the topic of %u lacks %c of (%" PRIu64 ", %" PRIu64
                     ")",
                     sink->index, lsn, SIM_OID + t, server->items[next].kind,
                     server->items[next].commit_lsn, server->items[next].order);
        }
        if (stored > 0 && !nw_place_before(place_of(&server->items[stored - 1]), extent)) {
            sim_fail(sink->sim,
                     "sink %u, to %" PRIu64 ": is said to lack (%" PRIu64 ", %" PRIu64
                     ") of the topic of %u",
                     sink->index, lsn, server->items[stored - 1].commit_lsn,
                     server->items[stored - 1].order, SIM_OID + t);
        }
        sim_counters.topics_held += nw_place_before(extent, (struct nw_place){.commit_lsn = lsn});
    }
}

void sim_topics_store(struct sim_sink *sink, const struct sim_pending *commit)
{
    struct sim_topics *topics = &sink->topics;
    size_t kept = 0;

    if (!sink->appends) {
        return;
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        topics->begins[t] =
            sink->gap[t] ||
            (topics->begins[t] && !(sink->sim->joins.streaming && sink->copies[t].complete));
        topics->gaps[t] = topics->gaps[t] || sink->gap[t];
    }
    begins_check(sink, commit);
    for (size_t i = 0; i < topics->staged_count; i++) {
        const struct sim_item *item = &topics->staged[i];

        if (item->epoch == 0 || item->epoch > commit->epoch) {
            topics->staged[kept++] = *item;
        } else if (item->kind == 'r') {
            topics->rows[item->table - SIM_OID][item->id] =
                (struct sim_topic_row){.fence_lsn = item->commit_lsn};
        } else {
            change_store(sink, item);
        }
    }
    topics->staged_count = kept;
}

void sim_topics_position(struct sim_sink *sink, const struct sim_pending *commit, uint64_t lsn,
                         const struct nw_behind_list *behind)
{
    if (!sink->appends) {
        return;
    }
    for (uint32_t t = 0; t < SIM_TABLES && sink->has_position; t++) {
        sink->topics.begins[t] = sink->topics.begins[t] && !commit->copies[t].present &&
                                 !sink->copies[t].present && sink->needs[t];
    }
    sink->topics.behind = *behind;
    if (sink->has_position) {
        extents_check(sink, lsn, behind);
    }
}

/* ---- what the server must keep, and the end ---- */

uint64_t sim_topics_need(const struct sim_sink *sink)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; sink->appends && i < sink->topics.behind.count; i++) {
        const struct nw_behind *behind = &sink->topics.behind.tables[i];

        if (behind->held && !sink->gap[behind->relation_oid - SIM_OID] &&
            !sink->topics.begins[behind->relation_oid - SIM_OID] &&
            behind->place.commit_lsn < lowest) {
            lowest = behind->place.commit_lsn;
        }
    }
    return lowest;
}

static bool row_is_right(const struct sim_sink *sink, uint32_t table,
                         const struct sim_topic_row *row, const struct sim_item *last)
{
    if (row->change != 0) {
        return last == &sink->sim->server.items[row->change - 1];
    }
    if (row->fence_lsn != 0) {
        return last != NULL && last->commit_lsn < row->fence_lsn;
    }
    return last == NULL || last->commit_lsn < sink->topics.from_lsn[table];
}

void sim_topics_check(const struct sim_sink *sink)
{
    for (uint32_t t = 0; sink->appends && t < SIM_TABLES; t++) {
        /* Of what was left out rows may stay that were deleted meanwhile. */
        if (SIM_OID + t == sink->sim->unwanted_oid || sink->topics.gaps[t]) {
            continue;
        }
        SIM_COUNT(topics_read);
        for (uint32_t id = 0; id < SIM_KEYS; id++) {
            const struct sim_topic_row *row = &sink->topics.rows[t][id];
            const struct sim_item *last = last_of(sink, SIM_OID + t, id, UINT64_MAX);

            if (!row_is_right(sink, t, row, last)) {
                sim_fail(sink->sim,
                         "sink %u: a reader has row %u of %u %s %" PRIu64
                         ", and its last change is %c at %" PRIu64,
                         sink->index, id, SIM_OID + t,
                         row->change != 0 ? "by change" : "of the copy",
                         row->change != 0 ? sink->sim->server.items[row->change - 1].commit_lsn
                                          : row->fence_lsn,
                         last == NULL ? '-' : last->kind, last == NULL ? 0 : last->commit_lsn);
            }
        }
    }
}

void sim_topics_free(struct sim_sink *sink)
{
    free(sink->topics.staged);
}
