/* SPDX-License-Identifier: Apache-2.0 */
/* How far a conductor is, in all and with each table. See conductor.h. Main thread. */
#include "pipeline/conductor_private.h"

void nw_conductor_progress(const struct nw_conductor *conductor,
                           struct nw_conductor_progress *progress)
{
    *progress = (struct nw_conductor_progress){.tables = conductor->again_count,
                                               .rows_again = conductor->rows_again};
    for (size_t i = 0; i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];

        if (plan->void_) {
            continue;
        }
        progress->tables++;
        progress->tables_done += plan->chunks_done == plan->chunks_count;
        progress->chunks += plan->chunks_count;
        progress->chunks_done += plan->chunks_done;
        progress->bytes += plan->bytes;
        progress->bytes_done += plan->bytes * plan->chunks_done / plan->chunks_count;
        progress->chunks_kept += plan->chunks_kept;
        progress->rows_reread += plan->rows_reread;
    }
}

uint32_t nw_conductor_pids(const struct nw_conductor *conductor, int *pids, uint32_t pids_max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; conductor != NULL && i < NW_FENCES_MAX && count < pids_max; i++) {
        if (conductor->held[i] != NULL && conductor->held[i]->fence.holder != NULL) {
            pids[count++] = nw_session_backend_pid(conductor->held[i]->fence.holder);
        }
    }
    for (uint32_t r = 0; conductor != NULL && r < NW_READERS_MAX && count < pids_max; r++) {
        if (conductor->seats[r].session != NULL) {
            pids[count++] = nw_session_backend_pid(conductor->seats[r].session);
        }
    }
    if (conductor != NULL && conductor->fencer.started && count < pids_max) {
        pids[count++] = atomic_load_explicit(&conductor->fencer.backend_pid, memory_order_relaxed);
    }
    return count;
}

/* See nw_copy_resumable(): of a table without a key only the whole is kept. */
bool nw_conductor_renewable(const struct nw_conductor *conductor)
{
    bool further = false;

    for (size_t i = 0; conductor != NULL && i < conductor->plans_count; i++) {
        const struct nw_copy_plan *plan = conductor->plans[i];
        bool whole = plan->chunks_done == plan->chunks_count;
        bool keyed = nw_table_seen(plan->table, plan->projection)->key_columns_count > 0;

        if (!plan->void_ && !whole && !keyed && plan->chunks_given > 0) {
            return false;
        }
        further =
            further || (!plan->void_ && (whole || keyed) && plan->chunks_done > plan->chunks_kept);
    }
    return further;
}

const char *nw_conductor_blocker(const struct nw_conductor *conductor)
{
    return conductor->blocker;
}

size_t nw_conductor_list_max(const struct nw_conductor *conductor)
{
    return conductor->plans_count + conductor->again_count;
}

/* Chunks are of about the same size; while none is whole, what came against what is on disk. */
static double done_guess(const struct nw_copy_plan *plan, uint64_t bytes_now)
{
    double done = 0;

    if (plan->chunks_done == plan->chunks_count) {
        return 1;
    }
    if (plan->chunks_done == 0) {
        done = plan->bytes == 0 ? 0 : (double)(plan->bytes_read + bytes_now) / (double)plan->bytes;
    } else {
        double chunk_bytes = (double)plan->bytes_read / plan->chunks_done;
        double more = chunk_bytes > 0 ? (double)bytes_now / chunk_bytes : 0;

        more = more > plan->chunks_out ? plan->chunks_out : more;
        done = (plan->chunks_done + more) / plan->chunks_count;
    }
    return done > 0.99 ? 0.99 : done;
}

static struct nw_conductor_table table_of(const struct nw_conductor *conductor,
                                          const struct nw_engine *engine,
                                          const struct nw_copy_plan *plan)
{
    struct nw_conductor_table table = {
        .relation_oid = plan->table->relation_oid,
        .fenced = true,
        .chunks = plan->chunks_count,
        .chunks_given = plan->chunks_given,
        .chunks_done = plan->chunks_done,
        .rows = plan->rows_read,
        .bytes = plan->bytes_read,
        .source_bytes = plan->bytes,
        .began_ns = plan->began_ns,
        .ended_ns = plan->chunks_done == plan->chunks_count ? plan->ended_ns : 0,
        .locked = plan->tries > 0,
        .locked_by = plan->locked_by};
    uint64_t bytes_now = 0; /* of chunks that are being read */

    for (uint32_t r = 0; plan->chunks_out > 0 && r < conductor->options.workers_count; r++) {
        const struct nw_seat *seat = &conductor->seats[r];
        uint64_t rows = 0;
        uint64_t bytes = 0;

        if (seat->chunks_count > 0 && seat->chunks[0]->plan == plan) {
            nw_engine_reader_counts(engine, r, &rows, &bytes);
            table.rows += rows - seat->rows_base;
            bytes_now += bytes - seat->bytes_base;
        }
    }
    table.bytes += bytes_now;
    table.done = done_guess(plan, bytes_now);
    return table;
}

size_t nw_conductor_list(const struct nw_conductor *conductor, const struct nw_engine *engine,
                         struct nw_conductor_table *tables)
{
    size_t count = 0;

    for (size_t i = 0; i < conductor->plans_count; i++) {
        if (!conductor->plans[i]->void_) {
            tables[count++] = table_of(conductor, engine, conductor->plans[i]);
        }
    }
    for (size_t i = 0; i < conductor->again_count; i++) {
        tables[count++] =
            (struct nw_conductor_table){.relation_oid = conductor->again[i].relation_oid};
    }
    return count;
}
