/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run decides before it begins (core/pipeline/decide.c), and how its first copy is conducted
 * (core/pipeline/conductor.c): chunks of tables go to whichever reader is idle; what was locked or
 * broke off is given again; a rewritten table begins again under a new fence.
 */
#include "server.h"

#define PAUSE_NS_MIN 20000000ll /* before a locked table is tried again; doubling */
#define PAUSE_TRIES  6u

/* ---- the decision ---- */

static const struct nw_copy_state *copy_of(const struct nw_sink_recovered *recovered, uint32_t oid)
{
    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        if (recovered->copies[i].relation_oid == oid) {
            return &recovered->copies[i];
        }
    }
    return NULL;
}

static uint64_t copy_fence(const struct sim_sink *sink, const struct nw_copy_state *copy)
{
    struct nw_bytes bytes = {copy->bytes, copy->size};
    struct nw_copy_progress progress;
    struct nw_error err = {0};

    if (nw_copy_unpack(bytes, &progress, &err) != NW_OK) {
        sim_fail(sink->sim, "sink %u: %s", sink->index, err.text);
    }
    return progress.origin.fence_lsn;
}

/* Which tables the sink lacks; those that are whole stay, with their fences. */
static void missing_decide(struct sim *sim, struct sim_sink *sink, bool has_position,
                           const struct nw_sink_recovered *recovered)
{
    sink->needs_copy = false;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        const struct nw_copy_state *copy = copy_of(recovered, SIM_OID + t);
        bool lacks = copy == NULL ? sink->needs[t] && !has_position : !copy->complete;

        sink->missing[t] = (lacks || (sim->joins.waits[t] >> sink->index & 1u) != 0) &&
                           (sim->joins.stopped[t] >> sink->index & 1u) == 0;
        sink->needs_copy = sink->needs_copy || sink->missing[t];
    }
    for (uint32_t t = 0; t < SIM_TABLES && sink->needs_copy; t++) {
        sim_counters.copies_kept += sink->needs[t] && !sink->missing[t];
    }
}

static bool goes_on(const struct sim *sim, const struct sim_sink *sink,
                    const struct nw_copy_state *copy)
{
    uint32_t table = copy->relation_oid - SIM_OID;

    return sink->missing[table] && sim->copy.former[table].generation == copy->generation;
}

/* From where on a sink that keeps what it has needs all, when a first copy broke off; 0: it does
 * not. One that is new while others stream was not there then. */
static uint64_t copied_from(const struct sim *sim, const struct sim_sink *sink, bool has_position)
{
    return !has_position && sink->needs_copy && sim->copy.slot_found && sink->appends &&
                   !sim->joins.streaming
               ? sim->copy.copying_lsn
               : 0;
}

/* Where the sink needs the stream to begin; UINT64_MAX: at the fence of the copy that it gets. */
static uint64_t need_of(struct sim *sim, const struct sim_sink *sink, bool has_position,
                        const struct nw_sink_recovered *recovered)
{
    struct nw_identity identity;
    struct nw_error err = {0};
    uint64_t lowest = UINT64_MAX;
    bool needs_any = false;
    struct nw_behind_list behind;

    if (has_position) {
        struct nw_bytes bytes = {recovered->positions[0].bytes, recovered->positions[0].size};

        if (nw_position_unpack(bytes, &identity, &lowest, &behind, &err) != NW_OK) {
            sim_fail(sim, "sink %u: %s", sink->index, err.text);
        }
        for (uint32_t i = 0; i < behind.count; i++) {
            uint64_t lsn = behind.tables[i].place.commit_lsn;

            if (behind.tables[i].held &&
                sim_joins_held_at(sim, sink->index, behind.tables[i].relation_oid - SIM_OID)) {
                lowest = lsn < lowest ? lsn : lowest;
            }
        }
        return lowest;
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        needs_any = needs_any || sink->needs[t];
    }
    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        const struct nw_copy_state *copy = &recovered->copies[i];
        uint64_t fence_lsn = copy_fence(sink, copy);

        lowest =
            (copy->complete || goes_on(sim, sink, copy)) && fence_lsn < lowest ? fence_lsn : lowest;
    }
    if (copied_from(sim, sink, has_position) != 0 && copied_from(sim, sink, false) < lowest) {
        lowest = copied_from(sim, sink, false);
    }
    return needs_any ? lowest : SIM_SLOT_LSN;
}

/* Copies that broke off go on or are thrown away; @return the highest generation that it knows. */
static uint32_t copies_resolve(struct sim *sim, uint32_t index, struct nw_sink *sink,
                               const struct nw_sink_recovered *recovered)
{
    uint32_t highest = 0;
    struct nw_error err = {0};

    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        const struct nw_copy_state *copy = &recovered->copies[i];

        highest = copy->generation > highest ? copy->generation : highest;
        if (!copy->complete &&
            nw_sink_resolve(sink, copy->relation_oid, copy->generation,
                            goes_on(sim, &sim->sinks[index], copy) ? NW_COPY_RESUME
                                                                   : NW_COPY_DISCARD,
                            &err) != NW_OK) {
            sim_fail(sim, "a sink does not take a verdict on a copy: %s", err.text);
        }
    }
    return highest;
}

static bool has_position(const struct nw_sink_recovered *recovered)
{
    return recovered->positions_count > 0 && recovered->positions[0].size > 0;
}

void sim_copy_decide(struct sim *sim, struct nw_sink *const *sinks,
                     const struct nw_sink_recovered *recovered)
{
    bool state_lost = sim_chance(&sim->random, 500) && !sim_joins_recorded(sim) &&
                      !sim_backlogs_recorded(sim) &&
                      (sim->copy.copying_lsn == 0 || !sim_any_appends(sim, UINT32_MAX));
    uint32_t highest = state_lost ? 0 : sim->copy.generation;
    uint64_t lowest = UINT64_MAX;
    bool streaming = !sim->copies; /* (snapshot: never) */

    if (sim->server.quiet) {
        sim_joins_repair(sim);
    }
    if (state_lost) {
        memset(sim->joins.waits, 0, sizeof sim->joins.waits);
        memset(sim->joins.asked, 0, sizeof sim->joins.asked);
        sim->copy.copying_lsn = 0;
    }
    sim->copy.slot_found = sim->server.has_slot;
    sim->copy.running = false;
    sim->copy.hasty = sim_chance(&sim->random, 500);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        streaming = streaming || has_position(&recovered[i]);
        missing_decide(sim, &sim->sinks[i], has_position(&recovered[i]), &recovered[i]);
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            sim->sinks[i].copies[t].fresh = sim->sinks[i].copying[t].fresh = 0;
        }
    }
    sim->joins.streaming = streaming;
    sim_resume_decide(sim, streaming, recovered);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct sim_sink *sink = &sim->sinks[i];
        uint32_t known = copies_resolve(sim, i, sinks[i], &recovered[i]);
        uint64_t need_lsn = 0;

        highest = known > highest ? known : highest;
        sim->copy.running = sim->copy.running || (sink->needs_copy && !streaming);
        need_lsn = need_of(sim, sink, has_position(&recovered[i]), &recovered[i]);
        lowest = need_lsn < lowest ? need_lsn : lowest;
    }
    sim->start_lsn = sim->stream_lsn = lowest;
    sim_spool_find(sim, lowest);
    sim->copy.generation = highest;
    sim_joins_decide(sim, streaming);
    if (sim->copy.running) {
        sim->copy.generation = sim->copy.first_generation = highest + 1;
        sim->copy.fence_lsn = sim->server.lsn;
        if (!sim->server.has_slot) {
            sim->server.has_slot = true;
            sim->server.confirmed_lsn = sim->server.told_lsn = sim->server.lsn;
        }
        sim_counters.copies_apart += lowest < sim->copy.fence_lsn;
        if (lowest == UINT64_MAX) {
            sim->start_lsn = sim->stream_lsn = sim->copy.fence_lsn;
        }
        if (!sim->copy.slot_found || sim->copy.copying_lsn == 0) {
            sim->copy.copying_lsn = sim->stream_lsn;
        }
    } else {
        sim->copy.copying_lsn = 0; /* it is whole */
    }
    sim_spool_begin(sim);
}

/* One that keeps what it has, and streams, must hear of what is deleted until the mark comes. */
static bool left_out(const struct sim *sim, uint32_t sink, uint32_t table)
{
    bool goes_on = sim->sinks[sink].appends && sim->sinks[sink].has_position;
    uint32_t sinks = sim->joins.stopped[table] | (goes_on ? 0 : sim->joins.queue[table]);

    return (sinks >> sink & 1u) != 0;
}

static void copied_tell(struct sim *sim, struct nw_engine *engine, uint32_t sink, uint32_t table)
{
    struct nw_error err = {0};

    SIM_COUNT(copied_from_told);
    if (nw_sequencer_copied_from(nw_engine_sequencer(engine, sink), SIM_OID + table,
                                 sim->copy.copying_lsn, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
}

void sim_copy_fences(struct sim *sim, struct nw_engine *engine)
{
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            const struct sim_copied *copied = &sim->sinks[i].copies[t];

            if (copied->complete && !sim->sinks[i].missing[t] &&
                nw_engine_fence(engine, i, SIM_OID + t, copied->fence_lsn, &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
            if (copied_from(sim, &sim->sinks[i], sim->sinks[i].has_position) != 0 &&
                sim->sinks[i].missing[t]) {
                copied_tell(sim, engine, i, t);
            }
            if (left_out(sim, i, t) && nw_engine_leave_out(engine, i, SIM_OID + t, &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
        }
    }
    sim_resume_tell(sim, engine);
}

/* ---- plans ---- */

static void plan_free(struct sim_plan *plan)
{
    free(plan->contents.rows);
    free(plan);
}

void sim_copy_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        plan_free(sim->copy.plans[i]);
    }
    sim->copy.plans_count = 0;
}

const struct sim_plan *sim_plan_find(const struct sim *sim, uint32_t oid, uint32_t generation)
{
    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        const struct sim_plan *plan = sim->copy.plans[i];

        if (SIM_OID + plan->table == oid && plan->generation == generation) {
            return plan;
        }
    }
    return NULL;
}

/* Its pages are durable at all sinks from a former life. */
static bool chunk_kept(const struct sim *sim, const struct sim_plan *plan, uint32_t first_page,
                       uint32_t end_page)
{
    uint32_t end = 0;

    return plan->resumed &&
           nw_copy_progress_at(&sim->copy.former[plan->table].progress, SIM_OID + plan->table,
                               first_page, &end) &&
           end >= end_page;
}

/* It broke off in a former life and goes on, or begins. */
static void origin_choose(struct sim *sim, struct sim_plan *plan)
{
    const struct sim_former *former = &sim->copy.former[plan->table];
    struct sim_contents contents = {0};

    plan->origin = (struct nw_copy_origin){
        .fence_lsn = plan->fence_lsn, .xmin = plan->fence_lsn, .hash = plan->version};
    if (plan->generation == sim->copy.first_generation && sim_resume_fits(sim, plan)) {
        SIM_COUNT(copies_gone_on);
        plan->resumed = true;
        plan->generation = former->generation;
        plan->origin = former->progress.origin;
        sim_contents_read(sim, SIM_OID + plan->table, plan->origin.xmin, &contents);
        plan->former_count = (uint32_t)contents.count;
        free(contents.rows);
    }
}

/* A row is on the page of its index; the last chunk has no end. */
static void chunks_make(struct sim *sim, struct sim_plan *plan, const struct nw_table *table)
{
    uint32_t rows = (uint32_t)plan->contents.count;
    uint32_t pages = 0;

    plan->chunks_count = 1 + sim_below(&sim->random, SIM_CHUNKS_MAX);
    pages = SIM_ROWS_MAX / plan->chunks_count;
    for (uint32_t i = 0; i < plan->chunks_count; i++) {
        struct sim_chunk *chunk = &plan->chunks[i];
        bool last = i + 1 == plan->chunks_count;
        uint32_t end = last ? rows : (i + 1) * pages;

        chunk->plan = plan;
        chunk->first_row = i * pages < rows ? i * pages : rows;
        chunk->end_row = end < rows ? end : rows;
        if (chunk_kept(sim, plan, i * pages, last ? NW_COPY_PAGE_END : (i + 1) * pages)) {
            SIM_COUNT(chunks_kept);
            chunk->first_row = chunk->first_row > plan->former_count ? chunk->first_row
                               : chunk->end_row < plan->former_count ? chunk->end_row
                                                                     : plan->former_count;
        }
        chunk->task =
            (struct nw_copy_task){.table = table,
                                  .generation = plan->generation,
                                  .fence_lsn = plan->fence_lsn,
                                  .upsert = plan->resumed,
                                  .mark = {.origin = plan->origin,
                                           .range = {SIM_OID + plan->table, i * pages,
                                                     last ? NW_COPY_PAGE_END : (i + 1) * pages},
                                           .chunks_count = plan->chunks_count},
                                  .sql = chunk->sql,
                                  .snapshot = "5:5:"};
    }
    sim_counters.chunks += plan->chunks_count;
}

/* The source's thread registers versions (nw_engine_register); here there is only one thread. */
void sim_plan_add(struct sim *sim, uint32_t table, struct nw_schemas *schemas)
{
    struct sim_copy *copy = &sim->copy;
    struct sim_plan *plan = calloc(1, sizeof *plan);
    struct sim_description description;
    const struct nw_table *described = NULL;
    const struct nw_table *version = NULL;
    struct nw_error err = {0};

    if (plan == NULL) {
        abort();
    }
    plan->index = copy->plans_count;
    plan->table = table;
    plan->generation = copy->generation;
    plan->fence_lsn = sim->server.lsn;
    plan->version = sim->server.versions[table];
    described = sim_server_describe(&sim->server, SIM_OID + table, &description);
    if (nw_schemas_beside(schemas, described, &version, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
    sim_contents_read(sim, SIM_OID + table, plan->fence_lsn, &plan->contents);
    origin_choose(sim, plan);
    chunks_make(sim, plan, version);
    copy->plans[copy->plans_count++] = plan;
}

static bool missing_anywhere(const struct sim *sim, uint32_t table)
{
    bool missing = false;

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        missing = missing || sim->sinks[i].missing[table];
    }
    return missing;
}

void sim_copy_reset(struct sim *sim, struct nw_schemas *schemas)
{
    struct sim_copy *copy = &sim->copy;
    struct sim_description description;
    const struct nw_table *described = NULL;
    const struct nw_table *version = NULL;
    struct nw_error err = {0};

    sim_copy_free(sim);
    memset(copy->again, 0, sizeof copy->again);
    memset((void *)copy->under_way, 0, sizeof copy->under_way);
    for (uint32_t table = 0;
         table < SIM_TABLES && (sim->joins.wanted || sim_joins_busy(sim) || sim->backlogs.wanted);
         table++) {
        described = sim_server_describe(&sim->server, SIM_OID + table, &description);
        if (nw_schemas_add(schemas, described, 0, &version, &err) != NW_OK) {
            sim_fail(sim, "%s", err.text);
        }
    }
}

void sim_copy_begin(struct sim *sim, struct nw_schemas *schemas)
{
    struct sim_copy *copy = &sim->copy;
    uint32_t wanted = SIM_TABLES - (sim->unwanted_oid != 0);

    SIM_COUNT(copy_lives);
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        if (missing_anywhere(sim, table)) {
            sim_plan_add(sim, table, schemas);
        }
    }
    sim_counters.copies_partly_had += copy->plans_count < wanted;
}

void sim_copy_end(struct sim *sim)
{
    for (uint32_t r = 0; r < SIM_READERS; r++) {
        sim_reader_destroy(sim->copy.readers[r]);
        sim->copy.readers[r] = NULL;
    }
}

/* ---- what came back ---- */

static void chunk_again(struct sim_chunk *chunk)
{
    SIM_COUNT(chunks_again);
    chunk->waits = true;
    chunk->plan->chunks_waiting++;
}

static void chunk_defer(struct sim *sim, struct sim_chunk *chunk)
{
    struct sim_plan *plan = chunk->plan;

    plan->retry_ns = sim->disk.now_ns + (PAUSE_NS_MIN << plan->tries);
    plan->tries += plan->tries < PAUSE_TRIES;
    chunk_again(chunk);
}

/* @return false: the life ends here */
static bool chunk_take(struct sim *sim, uint32_t reader, struct sim_chunk *chunk)
{
    struct sim_copy *copy = &sim->copy;
    struct nw_copy_task *task = &chunk->task;

    if (task->outcome == NW_COPY_BROKEN) {
        sim_reader_destroy(copy->readers[reader]);
        copy->readers[reader] = NULL;
    }
    if (chunk->plan->void_) {
        return true; /* whatever it was */
    }
    switch (task->outcome) {
    case NW_COPY_DONE:
        chunk->plan->tries = 0;
        chunk->plan->chunks_done++;
        return true;
    case NW_COPY_LOCKED:
        chunk_defer(sim, chunk);
        return true;
    case NW_COPY_BROKEN:
    case NW_COPY_UNREAD:
    case NW_COPY_GONE: /* it has another name now */
        chunk_again(chunk);
        return true;
    case NW_COPY_REWRITTEN:
        chunk->plan->void_ = true;
        copy->again[chunk->plan->table] = true;
        return true;
    case NW_COPY_NO_SNAPSHOT:
        return false;
    case NW_COPY_REFUSED:
    case NW_COPY_FAILED:
        break;
    }
    if (task->error.status != NW_RETRY) {
        sim_fail(sim, "a copy failed: %s", task->error.text);
    }
    return false;
}

static bool seat_collect(struct sim *sim, struct nw_engine *engine, uint32_t reader)
{
    struct sim_copy *copy = &sim->copy;
    struct nw_copy_task *task = nw_engine_copied(engine, reader);
    struct sim_chunk *chunk = copy->under_way[reader][0];

    if (task == NULL) {
        return true;
    }
    if (chunk == NULL || task != &chunk->task) {
        sim_fail(sim, "reader %u gives back a chunk that it was not given", reader);
    }
    chunk->plan->chunks_out--;
    memmove((void *)copy->under_way[reader], (void *)(copy->under_way[reader] + 1),
            (NW_COPY_TASKS_MAX - 1) * sizeof chunk);
    copy->under_way[reader][NW_COPY_TASKS_MAX - 1] = NULL;
    copy->turns[reader] += task->outcome != NW_COPY_DONE && task->outcome != NW_COPY_UNREAD;
    sim_counters.chunks_unread += task->outcome == NW_COPY_UNREAD;
    return chunk_take(sim, reader, chunk);
}

/* ---- handing out ---- */

static struct sim_chunk *plan_next(struct sim_plan *plan)
{
    for (uint32_t i = 0; i < plan->chunks_given && plan->chunks_waiting > 0; i++) {
        if (plan->chunks[i].waits) {
            plan->chunks[i].waits = false;
            plan->chunks_waiting--;
            return &plan->chunks[i];
        }
    }
    if (plan->chunks_given < plan->chunks_count && (plan->tries == 0 || plan->chunks_out == 0)) {
        return &plan->chunks[plan->chunks_given++];
    }
    return NULL;
}

/* Of any table, so that one that begins again may do so while its former chunks are read. */
static struct sim_chunk *chunk_next(struct sim *sim)
{
    const struct sim_copy *copy = &sim->copy;
    uint32_t first = copy->plans_count == 0 ? 0 : sim_below(&sim->random, copy->plans_count);
    struct sim_chunk *chunk = NULL;

    for (uint32_t i = 0; i < copy->plans_count && chunk == NULL; i++) {
        struct sim_plan *plan = copy->plans[(first + i) % copy->plans_count];

        if (!plan->void_ && plan->retry_ns <= sim->disk.now_ns) {
            chunk = plan_next(plan);
        }
    }
    return chunk;
}

static void seat_give(struct sim *sim, struct nw_engine *engine, uint32_t reader)
{
    struct sim_copy *copy = &sim->copy;
    struct sim_chunk *chunk = chunk_next(sim);
    uint32_t at = 0;

    if (chunk == NULL) {
        return;
    }
    while (copy->under_way[reader][at] != NULL) {
        at++;
    }
    if (copy->readers[reader] == NULL) {
        copy->readers[reader] = sim_reader_create(sim);
    }
    (void)snprintf(chunk->sql, sizeof chunk->sql, "%u %u %" PRIu64, chunk->plan->index,
                   (unsigned)(chunk - chunk->plan->chunks), chunk->task.rows);
    chunk->task.turn = copy->turns[reader] + 1;
    chunk->task.stream = sim_reader_stream(copy->readers[reader]);
    atomic_store_explicit(&chunk->task.give_up, false, memory_order_relaxed);
    if (!nw_engine_copy(engine, reader, &chunk->task)) {
        sim_fail(sim, "an idle reader takes no task");
    }
    copy->under_way[reader][at] = chunk;
    chunk->plan->chunks_out++;
}

/* Somebody waits for the lock of what a reader reads. */
static void locks_watch(struct sim *sim, struct nw_engine *engine)
{
    for (uint32_t r = 0; r < SIM_READERS; r++) {
        struct sim_chunk **chunks = sim->copy.under_way[r];

        if (chunks[0] != NULL && sim->copy.readers[r] != NULL &&
            sim_chance(&sim->random, sim->copy.fault)) {
            SIM_COUNT(copies_given_up);
            sim_reader_cancel(sim->copy.readers[r]);
            for (uint32_t i = 0; i < NW_COPY_TASKS_MAX && chunks[i] != NULL; i++) {
                nw_engine_copy_give_up(engine, r, &chunks[i]->task);
            }
        }
    }
}

/* Chunks of its copies before are still being read. */
static bool has_leftovers(const struct sim *sim, uint32_t table)
{
    bool found = false;

    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        found = found || (sim->copy.plans[i]->table == table && sim->copy.plans[i]->chunks_out > 0);
    }
    return found;
}

/* A new fence for the tables that wait for one; it takes a while. @return false: the life ends */
static bool again_step(struct sim *sim, struct nw_schemas *schemas)
{
    struct sim_copy *copy = &sim->copy;
    uint32_t count = 0;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        count += copy->again[t];
    }
    if (count == 0 || (!sim->server.quiet && !copy->hasty && sim_chance(&sim->random, 700))) {
        return true;
    }
    if (copy->plans_count + count > SIM_PLANS_MAX) {
        return false;
    }
    copy->generation++;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (copy->again[t]) {
            SIM_COUNT(tables_again);
            sim_counters.tables_again_in_join += sim->joins.phase != SIM_JOINS_REST;
            sim_counters.leftovers += has_leftovers(sim, t);
            copy->again[t] = false;
            sim_plan_add(sim, t, schemas);
        }
    }
    return true;
}

/* ---- the end ---- */

static bool all_read(const struct sim *sim)
{
    const struct sim_copy *copy = &sim->copy;

    for (uint32_t i = 0; i < copy->plans_count; i++) {
        const struct sim_plan *plan = copy->plans[i];

        if (plan->chunks_out > 0 || (!plan->void_ && plan->chunks_done < plan->chunks_count)) {
            return false;
        }
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (copy->again[t]) {
            return false;
        }
    }
    return true;
}

bool sim_copy_reads(const struct sim *sim)
{
    return !sim->server.has_slot || sim->joins.phase == SIM_JOINS_COPYING ||
           (sim->copy.running && !all_read(sim));
}

/* Tables of which the sink is to get a copy. */
static uint32_t tables_of(const struct sim *sim, const struct sim_sink *sink)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        count += !sim->copy.plans[i]->void_ && sink->missing[sim->copy.plans[i]->table];
    }
    return count;
}

void sim_copy_check(const struct sim *sim, const struct sim_sink *sink)
{
    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        const struct sim_plan *plan = sim->copy.plans[i];
        const struct sim_copied *copied = &sink->copies[plan->table];

        if (!plan->void_ && sink->missing[plan->table] &&
            (!copied->complete || copied->generation != plan->generation)) {
            sim_fail(sim, "sink %u is said to have the copy, and lacks table %u", sink->index,
                     SIM_OID + plan->table);
        }
    }
}

bool sim_copy_read(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                   bool *everything)
{
    locks_watch(sim, engine);
    for (uint32_t r = 0; r < SIM_READERS; r++) {
        if (!seat_collect(sim, engine, r)) {
            return false;
        }
        if (sim->copy.under_way[r][0] == NULL ||
            (sim->copy.under_way[r][NW_COPY_TASKS_MAX - 1] == NULL &&
             sim_chance(&sim->random, 300))) {
            seat_give(sim, engine, r);
        }
    }
    if (!again_step(sim, schemas)) {
        return false;
    }
    *everything = all_read(sim);
    return true;
}

bool sim_copy_step(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                   struct nw_sink *const *sinks, bool *finished)
{
    if (!sim_copy_read(sim, engine, schemas, finished)) {
        return false;
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_status status;

        nw_sink_status(sinks[i], &status);
        *finished = *finished &&
                    (!sim->sinks[i].needs_copy || status.copies >= tables_of(sim, &sim->sinks[i]));
    }
    for (uint32_t i = 0; *finished && i < sim->sinks_count; i++) {
        sim_copy_check(sim, &sim->sinks[i]);
        memset(sim->joins.waits, 0, sizeof sim->joins.waits);
        memset(sim->joins.asked, 0, sizeof sim->joins.asked);
        sim->copy.copying_lsn = 0;
    }
    return true;
}
