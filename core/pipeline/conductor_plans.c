/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a conductor copies: plans of tables under fences, of which the first is all tables', and
 * later ones are of those that begin again or join. See conductor.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/chosen.h"
#include "pipeline/conductor_private.h"

#define FENCE_POLL_NS 5000000L
#define BLOCKER_NS    1000000000LL

/* Reads the tables as the fence's snapshot sees them. */
static nw_status tables_read(struct nw_conductor *conductor, struct nw_held_fence *held,
                             struct nw_catalog_tables *tables, struct nw_error *err)
{
    struct nw_session *session = NULL;
    nw_status status = nw_server_session(conductor->options.server, false, &session, err);

    if (status == NW_OK) {
        status = nw_copy_snapshot_enter(session, held->fence.snapshot, err);
    }
    if (status == NW_OK) {
        status = nw_server_tables(conductor->options.server, session, &held->arena, tables, err);
    }
    nw_session_close(session);
    return status;
}

static void resumed_say(const struct nw_copy_plan *plan)
{
    char lsn[NW_LSN_TEXT_SIZE];

    nw_log(NW_LOG_INFO,
           "going on with the copy of %s.%s: %" PRIu32 " of %" PRIu32
           " chunks are kept, and of those what changed since %s is read",
           plan->table->schema_name, plan->table->name, plan->chunks_kept, plan->chunks_count,
           nw_lsn_text(lsn, plan->origin.fence_lsn));
}

static nw_status plan_add(struct nw_conductor *conductor, const struct nw_catalog_table *from,
                          const struct nw_table *table, struct nw_held_fence *held,
                          struct nw_error *err)
{
    const struct nw_projection *projection = NULL;
    struct nw_copy_former former;
    nw_status status =
        conductor->options.project(conductor->options.context, table, &projection, err);
    struct nw_copy_plan_options options = {.session = conductor->options.server->control,
                                           .arena = &held->arena,
                                           .from = from,
                                           .table = table,
                                           .projection = projection,
                                           .fence = &held->fence,
                                           .generation = conductor->generation,
                                           .chunk_pages = conductor->chunk_pages};
    bool asked = false;
    bool first =
        held == conductor->held[0] && conductor->generation == conductor->options.generation;

    if (status != NW_OK) {
        return status;
    }
    if (conductor->plans_count == conductor->plans_capacity) {
        size_t capacity = conductor->plans_capacity == 0 ? 64 : conductor->plans_capacity * 2;
        struct nw_copy_plan **grown =
            reallocarray((void *)conductor->plans, capacity, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %zu tables", capacity);
        }
        conductor->plans = grown;
        conductor->plans_capacity = capacity;
    }
    status = conductor->options.choose(conductor->options.context, table, &held->arena,
                                       &options.filter, &asked, err);
    if (status != NW_OK) {
        return status;
    }
    if (first && conductor->options.former(conductor->options.context, table, &former)) {
        options.former = &former;
    }
    status = nw_copy_plan_create(&options, &conductor->plans[conductor->plans_count], err);
    if (status == NW_OK) {
        struct nw_copy_plan *plan = conductor->plans[conductor->plans_count++];

        plan->asked = asked;
        plan->stopped = plan->filter != NULL && strcmp(plan->filter, NW_CHOSEN_NONE) == 0;
        if (plan->resumed) {
            resumed_say(plan);
        }
    }
    return status;
}

/* Those without rows first: the last copied row of all then comes near the end (NW_COMMIT_COPIED).
 */
static int by_size(const void *left, const void *right)
{
    const struct nw_copy_plan *a = *(const struct nw_copy_plan *const *)left;
    const struct nw_copy_plan *b = *(const struct nw_copy_plan *const *)right;

    if (a->is_empty != b->is_empty) {
        return a->is_empty ? -1 : 1;
    }
    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

static void plans_sort(struct nw_conductor *conductor)
{
    if (conductor->plans_count > 0) {
        qsort((void *)conductor->plans, conductor->plans_count, sizeof *conductor->plans, by_size);
    }
}

/* Each mark says how many chunks there are, so that a sink can tell the last one of all. */
static void round_count(struct nw_conductor *conductor)
{
    uint32_t chunks = 0;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        chunks += conductor->plans[i]->chunks_count;
    }
    for (size_t i = 0; i < conductor->plans_count; i++) {
        struct nw_copy_plan *plan = conductor->plans[i];

        for (uint32_t k = 0; k < plan->chunks_count; k++) {
            plan->chunks[k].task.mark.round_chunks = chunks;
        }
    }
}

static nw_status plans_make(struct nw_conductor *conductor, const struct nw_catalog_tables *tables,
                            struct nw_error *err)
{
    struct nw_schemas *schemas = conductor->options.server->schemas;
    uint64_t bytes = 0;
    nw_status status = NW_OK;

    for (size_t i = 0; i < tables->count; i++) {
        bytes += tables->tables[i].bytes;
    }
    conductor->chunk_pages = nw_copy_chunk_pages(conductor->options.chunk_bytes, bytes,
                                                 conductor->options.workers_count);
    for (size_t i = 0; i < tables->count && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_find(schemas, tables->tables[i].oid);

        if (table != NULL && conductor->options.wanted(conductor->options.context, table)) {
            status = plan_add(conductor, &tables->tables[i], table, conductor->held[0], err);
            status = err->status = status == NW_REJECT ? NW_FATAL : status; /* a wrong rule */
        }
    }
    plans_sort(conductor);
    round_count(conductor);
    return status;
}

void nw_conductor_fence_end(struct nw_conductor *conductor, size_t index)
{
    struct nw_held_fence *held = conductor->held[index];

    if (held != NULL) {
        nw_copy_fence_end(&held->fence);
        nw_arena_fini(&held->arena);
        free(held);
        conductor->held[index] = NULL;
    }
}

static bool held_in_use(const struct nw_conductor *conductor, const struct nw_held_fence *held)
{
    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];
        bool over =
            plan->chunks_out == 0 && (plan->void_ || plan->chunks_done == plan->chunks_count);

        if (plan->fence == &held->fence && !over) {
            return true;
        }
    }
    return false;
}

/* Takes a fence over, in the place of one that no table needs any more. */
static nw_status fence_keep(struct nw_conductor *conductor, const struct nw_copy_fence *made,
                            struct nw_held_fence **kept, struct nw_error *err)
{
    size_t free_index = NW_FENCES_MAX;

    for (size_t i = 0; i < NW_FENCES_MAX; i++) {
        if (conductor->held[i] != NULL && !held_in_use(conductor, conductor->held[i])) {
            nw_conductor_fence_end(conductor, i);
        }
        free_index = conductor->held[i] == NULL && free_index == NW_FENCES_MAX ? i : free_index;
    }
    if (free_index == NW_FENCES_MAX) {
        return nw_fail(err, NW_RETRY, "NW2208 more than %u snapshots are held", NW_FENCES_MAX);
    }
    *kept = malloc(sizeof **kept);
    if (*kept == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a snapshot");
    }
    (*kept)->fence = *made;
    nw_arena_init(&(*kept)->arena, NW_CATALOG_BYTES_MAX);
    conductor->held[free_index] = *kept;
    return NW_OK;
}

static nw_status fence_begin(struct nw_conductor *conductor, bool make_slot, struct nw_error *err)
{
    struct nw_env *env = conductor->options.server->options.env;

    conductor->fencer_started_ns = env->ops->now_ns(env);
    conductor->blocker_seen_ns = 0;
    conductor->blocker[0] = conductor->blocker_said[0] = '\0';
    return nw_copy_fencer_start(&conductor->fencer, conductor->options.server, make_slot, err);
}

/* Whose transaction is waited for, looked at now and then, and said once of each. */
static void blocker_watch(struct nw_conductor *conductor)
{
    struct nw_env *env = conductor->options.server->options.env;
    int64_t now_ns = env->ops->now_ns(env);
    int pid = atomic_load_explicit(&conductor->fencer.backend_pid, memory_order_relaxed);
    size_t said = strcspn(conductor->blocker_said, ",");
    struct nw_error why = {0};

    if (now_ns - conductor->fencer_started_ns < BLOCKER_NS ||
        now_ns - conductor->blocker_seen_ns < BLOCKER_NS) {
        return;
    }
    conductor->blocker_seen_ns = now_ns;
    conductor->blocker[0] = '\0';
    if (pid != 0 && nw_server_control_open(conductor->options.server, &why) == NW_OK) {
        nw_copy_blocker(conductor->options.server->control, pid, conductor->blocker);
    }
    /* The process, without how long it has been so. */
    if (conductor->blocker[0] != '\0' &&
        (said != strcspn(conductor->blocker, ",") ||
         strncmp(conductor->blocker, conductor->blocker_said, said) != 0)) {
        memcpy(conductor->blocker_said, conductor->blocker, sizeof conductor->blocker_said);
        nw_log(NW_LOG_WARN, "NW2204 the copy's snapshot waits for the end of a transaction: %s",
               conductor->blocker);
    }
}

static nw_status first_fence(struct nw_conductor *conductor, struct nw_error *err)
{
    const struct timespec pause = {.tv_nsec = FENCE_POLL_NS};
    struct nw_copy_fence made = {0};
    struct nw_held_fence *kept = NULL;
    nw_status status = fence_begin(conductor, conductor->options.make_slot, err);

    while (status == NW_OK &&
           (status = nw_copy_fencer_take(&conductor->fencer, &made, err)) == NW_AGAIN) {
        (void)nanosleep(&pause, NULL);
        blocker_watch(conductor);
        if (conductor->options.idle != NULL) {
            conductor->options.idle(conductor->options.context, conductor->blocker);
        }
        status = NW_OK;
    }
    if (status == NW_OK) {
        status = fence_keep(conductor, &made, &kept, err);
        conductor->first_lsn = made.lsn;
        if (status != NW_OK) {
            nw_copy_fence_end(&made);
        }
    }
    return status;
}

nw_status nw_conductor_plan_all(struct nw_conductor *conductor, struct nw_error *err)
{
    struct nw_server *server = conductor->options.server;
    struct nw_catalog_tables tables = {0};
    nw_status status = first_fence(conductor, err);

    if (status == NW_OK) {
        status = tables_read(conductor, conductor->held[0], &tables, err);
    }
    if (status == NW_OK) {
        status = nw_server_register(server, &tables, &conductor->held[0]->arena, err);
    }
    return status == NW_OK ? plans_make(conductor, &tables, err) : status;
}

/* ---- tables that get a fence of their own ---- */

nw_status nw_conductor_again_add(struct nw_conductor *conductor, struct nw_copy_again again,
                                 struct nw_error *err)
{
    struct nw_copy_again *grown =
        reallocarray(conductor->again, conductor->again_count + 1, sizeof *grown);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a table that is copied again");
    }
    conductor->again = grown;
    conductor->again[conductor->again_count++] = again;
    return NW_OK;
}

uint32_t nw_conductor_generation_next(const struct nw_conductor *conductor)
{
    return conductor->generation + 1;
}

nw_status nw_conductor_add(struct nw_conductor *conductor, uint32_t relation_oid,
                           const char *schema_name, const char *name, struct nw_error *err)
{
    NW_ASSERT(!conductor->fencer.started); /* those that are added together get one fence */
    return nw_conductor_again_add(conductor,
                                  (struct nw_copy_again){relation_oid, schema_name, name, 0}, err);
}

void nw_conductor_leave(struct nw_conductor *conductor, uint32_t relation_oid)
{
    size_t kept = 0;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        struct nw_copy_plan *plan = conductor->plans[i];

        plan->void_ = plan->void_ || plan->table->relation_oid == relation_oid;
    }
    for (size_t i = 0; i < conductor->again_count; i++) {
        if (conductor->again[i].relation_oid != relation_oid) {
            conductor->again[kept++] = conductor->again[i];
        }
    }
    conductor->again_count = kept;
}

void nw_conductor_say_dropped(const char *schema_name, const char *name)
{
    nw_log(NW_LOG_WARN, "NW2106 %s.%s was dropped while it was copied; the other tables go on",
           schema_name, name);
}

static nw_status table_again(struct nw_conductor *conductor, struct nw_engine *engine,
                             const struct nw_copy_again *former,
                             const struct nw_catalog_tables *tables, struct nw_held_fence *held,
                             struct nw_error *err)
{
    for (size_t i = 0; i < tables->count; i++) {
        const struct nw_table *table = NULL;
        struct nw_table *described = NULL;
        nw_status status = NW_OK;

        if (tables->tables[i].oid != former->relation_oid) {
            continue;
        }
        status = nw_catalog_to_table(&tables->tables[i], &held->arena, &described, err);
        if (status == NW_OK) {
            status = nw_engine_register(engine, described, &table, err);
        }
        status =
            status == NW_OK ? plan_add(conductor, &tables->tables[i], table, held, err) : status;
        conductor->refused = status == NW_REJECT ? table : NULL; /* it alone stops */
        return status;
    }
    nw_conductor_say_dropped(former->schema_name, former->name);
    return NW_OK;
}

/* How large chunks are to be, for the tables that are copied now. */
static void chunks_measure(struct nw_conductor *conductor, const struct nw_catalog_tables *tables)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < tables->count; i++) {
        for (size_t a = 0; a < conductor->again_count; a++) {
            bool copied = tables->tables[i].oid == conductor->again[a].relation_oid;

            bytes += copied ? tables->tables[i].bytes : 0;
        }
    }
    conductor->chunk_pages = nw_copy_chunk_pages(conductor->options.chunk_bytes, bytes,
                                                 conductor->options.workers_count);
}

static nw_status tables_again(struct nw_conductor *conductor, struct nw_engine *engine,
                              const struct nw_copy_fence *made, struct nw_error *err)
{
    struct nw_catalog_tables tables = {0};
    struct nw_copy_fence fence = *made;
    struct nw_held_fence *held = NULL;
    nw_status status = fence_keep(conductor, &fence, &held, err);

    if (status != NW_OK) {
        nw_copy_fence_end(&fence);
        return status;
    }

    if (status == NW_OK) {
        status = nw_server_control_open(conductor->options.server, err);
    }
    if (status == NW_OK) {
        status = tables_read(conductor, held, &tables, err);
    }
    conductor->generation++;
    if (conductor->plans_count == 0) {
        chunks_measure(conductor, &tables);
    }
    for (size_t i = 0; i < conductor->again_count && status == NW_OK; i++) {
        conductor->rows_again += conductor->again[i].rows_read;
        status = table_again(conductor, engine, &conductor->again[i], &tables, held, err);
    }
    conductor->again_count = 0;
    conductor->blocker[0] = '\0';
    plans_sort(conductor);
    return status;
}

nw_status nw_conductor_again_step(struct nw_conductor *conductor, struct nw_engine *engine,
                                  struct nw_error *err)
{
    struct nw_copy_fence made = {0};
    nw_status status = NW_OK;

    if (conductor->again_count == 0) {
        return NW_OK;
    }
    if (!conductor->fencer.started) {
        return fence_begin(conductor, false, err);
    }
    blocker_watch(conductor);
    status = nw_copy_fencer_take(&conductor->fencer, &made, err);
    if (status == NW_OK) {
        status = tables_again(conductor, engine, &made, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}
