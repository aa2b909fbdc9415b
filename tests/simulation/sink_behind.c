/* SPDX-License-Identifier: Apache-2.0 */
/* The model sink's tables that are behind its position (core/sink/behind.h). */
#include "sim.h"

struct nw_place sim_extent(const struct nw_behind_list *behind, uint64_t lsn, uint32_t oid)
{
    for (uint32_t i = 0; i < behind->count; i++) {
        if (behind->tables[i].relation_oid == oid) {
            return behind->tables[i].place;
        }
    }
    return (struct nw_place){.commit_lsn = lsn};
}

static bool is_listed(const struct nw_behind_list *behind, uint32_t oid)
{
    for (uint32_t i = 0; i < behind->count; i++) {
        if (behind->tables[i].relation_oid == oid) {
            return true;
        }
    }
    return false;
}

void sim_lacks_check(const struct sim_sink *sink, struct sim_position *to)
{
    for (uint32_t t = 0; t < SIM_TABLES && to->lsn > sink->durable_lsn; t++) {
        if (sink->gap[t] && !is_listed(&to->behind, SIM_OID + t)) {
            sim_fail(sink->sim, "sink %u, to %" PRIu64 ": does not say that it lacks some of %u",
                     sink->index, to->lsn, SIM_OID + t);
        }
    }
    if (!sink->sim->backlogs.wanted) {
        to->behind.count = 0; /* a copy brings them, wherever they are */
    }
}

void sim_extents_settle(const struct sim_sink *sink, struct sim_position *to, size_t count)
{
    to->end_lsn = to->lsn;
    for (uint32_t i = 0; i < to->behind.count; i++) {
        struct nw_behind *behind = &to->behind.tables[i];
        bool ahead =
            nw_place_before((struct nw_place){.commit_lsn = to->lsn},
                            sim_extent(&sink->behind, sink->durable_lsn, behind->relation_oid));

        for (size_t s = 0; s < count && !ahead; s++) {
            ahead = sink->staged[s].table == behind->relation_oid &&
                    sink->staged[s].commit_lsn >= to->lsn;
        }
        if (behind->place.commit_lsn >= to->lsn && !ahead) {
            behind->place = (struct nw_place){.commit_lsn = to->lsn};
        } else if (behind->place.commit_lsn >= to->end_lsn) {
            to->end_lsn = behind->place.commit_lsn + 1;
        }
    }
}

void sim_extents_check(const struct sim_sink *sink, const struct sim_position *to)
{
    const struct sim_server *server = &sink->sim->server;

    for (size_t i = 0; to->behind.count > 0 && i < server->items_count; i++) {
        const struct sim_item *item = &server->items[i];
        struct nw_place place = {item->commit_lsn, item->order / 2};

        if (item->table != 0 &&
            nw_place_before(place, sim_extent(&sink->behind, sink->durable_lsn, item->table)) &&
            !nw_place_before(place, sim_extent(&to->behind, to->lsn, item->table))) {
            sim_fail(sink->sim,
                     "sink %u, to %" PRIu64 ": says that it is without %c of %u at (%" PRIu64
                     ", %" PRIu64 "), which it has",
                     sink->index, to->lsn, item->kind, item->table, item->commit_lsn, item->order);
        }
    }
}
