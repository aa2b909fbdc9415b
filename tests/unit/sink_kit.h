/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the sink side share: an environment with a clock of its own, tables, items made by
 * hand, and the rings that lanes would have. Everything is stepped on one thread unless a test
 * starts the sink's threads.
 */
#ifndef TEST_SINK_KIT_H
#define TEST_SINK_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sink/sequencer.h"
#include "sink/sink.h"
#include "source/position.h"

#define KIT_TABLES    4u
#define KIT_LANES_MAX 4u

struct kit {
    struct nw_env env;           /* first: kit_of() */
    struct nw_env *system;       /* files; NULL: none */
    int32_t write_result;        /* of every write, when not 0: a fault */
    _Atomic uint32_t operations; /* on files, under way */
    _Atomic int64_t now_ns;
    uint64_t random;
    struct nw_budget budget;
    struct nw_plugin plugin;
    struct nw_config config;
    struct nw_sink *sink;
    struct nw_sequencer *sequencer;
    struct nw_agent agents[NW_SINK_AGENTS_MAX];
    uint32_t agents_count;
    uint32_t lanes_count;
    struct nw_spsc *in[KIT_LANES_MAX];
    struct nw_spsc *back[KIT_LANES_MAX];
    struct nw_spsc *durable;
    uint64_t ordinals[NW_PRODUCERS_MAX];
    uint64_t made, returned; /* items */
    uint64_t durable_epoch;
    struct nw_item *late; /* one item kept back by kit_hold_next */
    uint32_t late_lane;
    bool hold_next;
    struct nw_sink_recovered recovered;
    struct nw_error err;
};

/* Tables: oid 100, 101, ...: (id bigint primary key, note text). */
static const struct nw_column_schema kit_columns[2] = {{.name = "id",
                                                        .type_name = "bigint",
                                                        .type_oid = 20,
                                                        .base_type_oid = 20,
                                                        .typmod = -1,
                                                        .attnum = 1,
                                                        .type = NW_TYPE_INT64,
                                                        .not_null = true,
                                                        .identity = true},
                                                       {.name = "note",
                                                        .type_name = "text",
                                                        .type_oid = 25,
                                                        .base_type_oid = 25,
                                                        .typmod = -1,
                                                        .attnum = 2,
                                                        .type = NW_TYPE_TEXT}};
static const uint16_t kit_key[1] = {0};

#define KIT_TABLE(n)                                                                               \
    {                                                                                              \
        .size = sizeof(struct nw_table), .id = (n), .version = 1, .relation_oid = 100 + (n),       \
        .schema_name = "public", .name = "t" #n, .replica_identity = 'd', .key_is_primary = true,  \
        .columns_count = 2, .key_columns_count = 1, .columns = kit_columns, .key_columns = kit_key \
    }
static const struct nw_table kit_tables[KIT_TABLES] = {KIT_TABLE(0), KIT_TABLE(1), KIT_TABLE(2),
                                                       KIT_TABLE(3)};

static inline struct kit *kit_of(struct nw_env *env)
{
    return (struct kit *)(void *)env;
}

static inline int64_t kit_now_ns(struct nw_env *env)
{
    return atomic_load_explicit(&kit_of(env)->now_ns, memory_order_relaxed);
}

static inline int64_t kit_wall_us(struct nw_env *env)
{
    return kit_now_ns(env) / 1000;
}

static inline void kit_random(struct nw_env *env, void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        kit_of(env)->random = kit_of(env)->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(kit_of(env)->random >> 56);
    }
}

/* A row for kit_batch(). */
struct kit_row {
    uint64_t commit_lsn;
    uint64_t seq;
    int64_t id;
};

static inline void kit_push(struct kit *kit, struct nw_item *item, uint32_t producer)
{
    uint32_t lane;

    item->producer = producer;
    item->ordinal = kit->ordinals[producer]++;
    lane = (uint32_t)(item->ordinal % kit->lanes_count);
    item->lane = lane;
    item->references = 1;
    kit->made++;
    if (kit->hold_next) {
        kit->hold_next = false;
        kit->late = item;
        kit->late_lane = lane;
        return;
    }
    assert_true(nw_spsc_push(kit->in[lane], item));
}

static inline void kit_release_late(struct kit *kit)
{
    assert_non_null(kit->late);
    assert_true(nw_spsc_push(kit->in[kit->late_lane], kit->late));
    kit->late = NULL;
}

static inline struct nw_item *kit_item(struct kit *kit, enum nw_item_kind kind, uint64_t epoch,
                                       const struct nw_table *table, size_t extra)
{
    size_t size = sizeof(struct nw_item) + extra;
    struct nw_item *item = calloc(1, size);

    assert_non_null(item);
    item->size = (uint32_t)size;
    item->kind = kind;
    item->epoch = epoch;
    item->table = table;
    item->received_ns = kit_now_ns(&kit->env);
    /* A lane would wait for room; here the test decides how much there is. */
    atomic_fetch_add_explicit(&kit->budget.used_bytes, (int64_t)size, memory_order_relaxed);
    return item;
}

static inline void *kit_take(uint8_t **at, size_t size)
{
    void *here = *at;

    *at += (size + 15) & ~(size_t)15;
    return here;
}

/* Rows of one table, all inserts; note is "nNNN" of the id, padded to `pad` bytes. */
static inline struct nw_item *kit_rows(struct kit *kit, const struct nw_table *table,
                                       uint64_t epoch, const struct kit_row *rows, uint32_t count,
                                       uint32_t pad)
{
    uint32_t note = pad < 8 ? 8 : pad;
    size_t bits = (count + 7) / 8;
    struct nw_item *item =
        kit_item(kit, NW_ITEM_BATCH, epoch, table, count * (64u + note) + 20 * 16 + bits * 4 + 64);
    struct nw_batch *batch = &item->as.batch;
    uint8_t *at = (uint8_t *)(item + 1);
    struct nw_array *columns = kit_take(&at, 2 * sizeof *columns);
    uint8_t *op = kit_take(&at, count);
    uint64_t *commit_lsn = kit_take(&at, count * 8u);
    uint64_t *seq = kit_take(&at, count * 8u);
    uint32_t *xid = kit_take(&at, count * 4u);
    int64_t *commit_ts = kit_take(&at, count * 8u);
    int32_t *origin = kit_take(&at, (count + 1) * 4u);
    uint8_t *present = kit_take(&at, bits);
    uint8_t *missing = kit_take(&at, count);
    uint8_t *valid = kit_take(&at, bits);
    int64_t *ids = kit_take(&at, count * 8u);
    int32_t *offsets = kit_take(&at, (count + 1) * 4u);
    uint8_t *text = kit_take(&at, (size_t)count * note);

    assert_true((size_t)(at - (uint8_t *)item) <= item->size);
    memset(op, NW_OP_INSERT, count);
    memset(present, 0xff, bits);
    memset(valid, 0xff, bits);
    for (uint32_t i = 0; i < count; i++) {
        commit_lsn[i] = rows[i].commit_lsn;
        seq[i] = rows[i].seq;
        ids[i] = rows[i].id;
        xid[i] = (uint32_t)rows[i].commit_lsn;
        offsets[i] = (int32_t)(i * note);
        memset(text + i * note, 'n', note);
        memcpy(text + i * note, &rows[i].id, sizeof rows[i].id);
    }
    offsets[count] = (int32_t)(count * note);
    columns[0] = (struct nw_array){.validity = valid, .values = ids};
    columns[1] = (struct nw_array){.validity = valid, .offsets = offsets, .bytes = text};
    *batch = (struct nw_batch){
        .size = sizeof *batch,
        .table = table,
        .epoch = epoch,
        .rows_count = count,
        .missing_stride = 1,
        .op = op,
        .commit_lsn = commit_lsn,
        .row_lsn = commit_lsn,
        .seq = seq,
        .xid = xid,
        .commit_ts = commit_ts,
        .origin_offsets = origin,
        .origin_bytes = present,
        .image = {{.present = NULL}, {.present = present, .missing = missing, .columns = columns}}};
    return item;
}

/* A batch of the stream; ends its flush if cut. */
static inline void kit_batch(struct kit *kit, uint32_t table, uint64_t epoch,
                             const struct kit_row *rows, uint32_t count, bool cut)
{
    struct nw_item *item = kit_rows(kit, &kit_tables[table], epoch, rows, count, 0);

    item->cut = cut;
    kit_push(kit, item, NW_PRODUCER_STREAM);
}

static inline void kit_row_one(struct kit *kit, uint32_t table, uint64_t epoch, uint64_t lsn,
                               int64_t id)
{
    kit_batch(kit, table, epoch, (const struct kit_row[]){{lsn, 0, id}}, 1, true);
}

static inline void kit_copy_rows(struct kit *kit, uint32_t producer, uint32_t table,
                                 uint32_t generation, const struct kit_row *rows, uint32_t count)
{
    struct nw_item *item = kit_rows(kit, &kit_tables[table], 0, rows, count, 0);

    item->generation = generation;
    item->as.batch.flags = NW_BATCH_COPY;
    item->as.batch.generation = generation;
    kit_push(kit, item, producer);
}

/* The begin or end of one of a copy's chunks: the pages `chunk` and up to the next of `chunks`. */
static inline void kit_chunk_mark(struct kit *kit, uint32_t producer, uint32_t table,
                                  uint32_t generation, const struct nw_copy_mark *mark, bool ends)
{
    struct nw_item *item =
        kit_item(kit, ends ? NW_ITEM_COPY_END : NW_ITEM_COPY_BEGIN, 0, &kit_tables[table], 0);

    item->generation = generation;
    item->as.mark = *mark;
    kit_push(kit, item, producer);
} /* NOLINT(clang-analyzer-unix.Malloc): the ring has it */

/* The same of a copy in one chunk. */
static inline void kit_copy_mark(struct kit *kit, uint32_t producer, uint32_t table,
                                 uint32_t generation, uint64_t fence, bool ends)
{
    struct nw_copy_mark mark = {.origin = {.fence_lsn = fence},
                                .range = {kit_tables[table].relation_oid, 0, NW_COPY_PAGE_END},
                                .chunks_count = 1};

    kit_chunk_mark(kit, producer, table, generation, &mark, ends);
}

/* The source's position is its LSN as text, or nothing at LSN 0. */
static inline void kit_epoch_end(struct kit *kit, uint64_t epoch, uint64_t lsn)
{
    struct nw_item *item = kit_item(kit, NW_ITEM_EPOCH_END, epoch, NULL, 16);
    char *text = (char *)(item + 1);

    if (lsn != 0) {
        item->as.position.size = (uint32_t)snprintf(text, 16, "%llu", (unsigned long long)lsn);
        item->as.position.bytes = (uint8_t *)text;
    }
    item->as.position.lsn = lsn;
    kit_push(kit, item, NW_PRODUCER_STREAM);
} /* NOLINT(clang-analyzer-unix.Malloc): the ring has it */

static inline void kit_event(struct kit *kit, enum nw_event_kind kind, uint64_t epoch, uint64_t lsn,
                             const uint32_t *tables, uint32_t tables_count)
{
    struct nw_item *item =
        kit_item(kit, NW_ITEM_EVENT, epoch, NULL, (tables_count + 2u) * sizeof(void *));
    const struct nw_table **list = (const struct nw_table **)(void *)(item + 1);

    for (uint32_t i = 0; i < tables_count; i++) {
        list[i] = &kit_tables[tables[i]];
    }
    list[tables_count] = NULL; /* an empty text */
    item->as.event = (struct nw_event){.size = sizeof(struct nw_event),
                                       .kind = kind,
                                       .epoch = epoch,
                                       .lsn = lsn,
                                       .commit_lsn = lsn,
                                       .origin = (const char *)&list[tables_count],
                                       .tables_count = tables_count,
                                       .tables = list};
    kit_push(kit, item, NW_PRODUCER_STREAM);
}

/* Takes back what the sequencer is done with, and hears what is durable. */
static inline void kit_collect(struct kit *kit)
{
    for (uint32_t lane = 0; lane < kit->lanes_count; lane++) {
        struct nw_item *item;

        while ((item = nw_spsc_pop(kit->back[lane])) != NULL) {
            assert_int_equal(item->lane, lane);
            assert_int_equal(item->references, 1); /* given back once */
            item->references = 0;
            nw_budget_release(&kit->budget, item->size);
            free(item);
            kit->returned++;
        }
    }
    for (uint64_t epoch; (epoch = nw_durable_pop(kit->durable)) != 0;) {
        assert_true(epoch > kit->durable_epoch);
        kit->durable_epoch = epoch;
    }
}

static inline nw_status kit_step_sequencer(struct kit *kit, uint32_t *work)
{
    struct nw_agent agent = nw_sequencer_agent(kit->sequencer);

    return agent.do_work(agent.self, kit_now_ns(&kit->env), work, &kit->err);
}

/* Steps everything until nothing moves; time stands still. */
static inline nw_status kit_run(struct kit *kit)
{
    for (uint32_t idle = 0; idle < 3;) {
        uint32_t work = 0;
        nw_status status = kit_step_sequencer(kit, &work);

        if (status != NW_OK) {
            return status;
        }
        for (uint32_t i = 0; i < kit->agents_count; i++) {
            status = kit->agents[i].do_work(kit->agents[i].self, kit_now_ns(&kit->env), &work,
                                            &kit->err);
            assert_int_equal(status, NW_OK);
        }
        kit_collect(kit);
        idle = work == 0 ? idle + 1 : 0;
    }
    return NW_OK;
}

/* The same, while time passes. */
static inline nw_status kit_run_for(struct kit *kit, int64_t span_ns)
{
    int64_t end = kit_now_ns(&kit->env) + span_ns;
    nw_status status = kit_run(kit);

    while (status == NW_OK && kit_now_ns(&kit->env) < end) {
        kit->now_ns += 10000000;
        status = kit_run(kit);
    }
    return status;
}

/* Files are the system's. */

static inline nw_status kit_file_open(struct nw_env *env, const char *path, uint32_t flags,
                                      int *file, struct nw_error *err)
{
    struct nw_env *system = kit_of(env)->system;

    return system->ops->file_open(system, path, flags, file, err);
}

static inline void kit_file_close(struct nw_env *env, int file)
{
    kit_of(env)->system->ops->file_close(kit_of(env)->system, file);
}

static inline nw_status kit_file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    return kit_of(env)->system->ops->file_remove(kit_of(env)->system, path, err);
}

static inline nw_status kit_folder_create(struct nw_env *env, const char *path,
                                          struct nw_error *err)
{
    return kit_of(env)->system->ops->folder_create(kit_of(env)->system, path, err);
}

static inline nw_status kit_folder_list(struct nw_env *env, const char *path,
                                        nw_status (*each)(void *context, const char *name,
                                                          bool is_folder, struct nw_error *err),
                                        void *context, struct nw_error *err)
{
    return kit_of(env)->system->ops->folder_list(kit_of(env)->system, path, each, context, err);
}

static inline nw_status kit_io_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                                      struct nw_error *err)
{
    return kit_of(env)->system->ops->io_create(kit_of(env)->system, depth, io, err);
}

static inline void kit_io_destroy(struct nw_env *env, struct nw_io *io)
{
    kit_of(env)->system->ops->io_destroy(kit_of(env)->system, io);
}

static inline nw_status kit_io_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                                      struct nw_error *err)
{
    struct kit *kit = kit_of(env);
    nw_status status = kit->system->ops->io_submit(kit->system, io, op, err);

    if (status == NW_OK) {
        atomic_fetch_add_explicit(&kit->operations, 1, memory_order_relaxed);
    }
    return status;
}

static inline nw_status kit_io_reap(struct nw_env *env, struct nw_io *io, bool wait,
                                    struct nw_file_op **done, size_t done_max, size_t *done_count,
                                    struct nw_error *err)
{
    struct kit *kit = kit_of(env);
    nw_status status =
        kit->system->ops->io_reap(kit->system, io, wait, done, done_max, done_count, err);

    atomic_fetch_sub_explicit(&kit->operations, (uint32_t)*done_count, memory_order_relaxed);
    for (size_t i = 0; i < *done_count && kit->write_result != 0; i++) {
        if (done[i]->verb == NW_FILE_WRITE) {
            done[i]->result = kit->write_result;
        }
    }
    return status;
}

static const struct nw_env_ops kit_env_ops = {
    .now_ns = kit_now_ns,
    .wall_us = kit_wall_us,
    .random = kit_random,
    .file_open = kit_file_open,
    .file_close = kit_file_close,
    .file_remove = kit_file_remove,
    .folder_create = kit_folder_create,
    .folder_list = kit_folder_list,
    .io_create = kit_io_create,
    .io_destroy = kit_io_destroy,
    .io_submit = kit_io_submit,
    .io_reap = kit_io_reap,
};

/* The part that is there before a sink is open. */
static inline void kit_init(struct kit *kit, const struct nw_sink_ops *ops, uint32_t lanes)
{
    memset(kit, 0, sizeof *kit);
    kit->env.ops = &kit_env_ops;
    kit->now_ns = 1000000000;
    kit->random = 7;
    kit->budget.limit_bytes = INT64_MAX / 8;
    kit->lanes_count = lanes;
    kit->config.name = "model";
    assert_int_equal(nw_plugin_adopt(ops, &kit->plugin, &kit->err), NW_OK);
    for (uint32_t i = 0; i < lanes; i++) {
        assert_int_equal(nw_spsc_create(4096, &kit->in[i], &kit->err), NW_OK);
        assert_int_equal(nw_spsc_create(4096, &kit->back[i], &kit->err), NW_OK);
    }
    assert_int_equal(nw_spsc_create(64, &kit->durable, &kit->err), NW_OK);
}

static inline nw_status kit_open(struct kit *kit, uint32_t workers)
{
    struct nw_sink_options options = {
        .env = &kit->env, .plugin = &kit->plugin, .config = &kit->config, .workers_count = workers};

    assert_int_equal(nw_sink_create(&options, &kit->sink, &kit->err), NW_OK);
    kit->agents_count = nw_sink_agents(kit->sink, kit->agents);
    return nw_sink_open(kit->sink, &kit->recovered, &kit->err);
}

static inline struct nw_sequencer_options kit_sequencer_options(struct kit *kit)
{
    struct nw_sequencer_options options = {.lanes_count = kit->lanes_count,
                                           .producers_count = 4,
                                           .budget = &kit->budget,
                                           .durable = kit->durable};

    for (uint32_t i = 0; i < kit->lanes_count; i++) {
        options.in[i] = kit->in[i];
        options.item_return[i] = kit->back[i];
    }
    return options;
}

static inline void kit_sequence(struct kit *kit)
{
    struct nw_sequencer_options options = kit_sequencer_options(kit);

    assert_int_equal(nw_sequencer_create(kit->sink, &options, &kit->sequencer, &kit->err), NW_OK);
}

/* Closes the sink and takes everything back: nothing may be missing. */
static inline void kit_close(struct kit *kit)
{
    assert_int_equal(nw_sink_stop(kit->sink, INT64_MAX, &kit->err), NW_OK);
    nw_sequencer_destroy(kit->sequencer);
    kit->sequencer = NULL;
    kit_collect(kit);
    nw_sink_destroy(kit->sink);
    kit->sink = NULL;
}

static inline void kit_fini(struct kit *kit)
{
    if (kit->sink != NULL) {
        kit_close(kit);
    }
    for (uint32_t i = 0; i < kit->lanes_count; i++) {
        struct nw_item *item;

        while ((item = nw_spsc_pop(kit->in[i])) != NULL) {
            free(item);
            kit->returned++;
        }
        nw_spsc_destroy(kit->in[i]);
        nw_spsc_destroy(kit->back[i]);
    }
    nw_spsc_destroy(kit->durable);
    assert_null(kit->late);
    assert_int_equal(kit->returned, kit->made);
}

#endif
