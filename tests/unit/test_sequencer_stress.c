/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink side on real threads: a thread for the lanes, one for the sequencer, one for each worker
 * and the coordinator, and a plugin thread that answers commits late and releases exported arrays.
 * Faults of every kind at random; at the end each row is stored once, in order. For TSan.
 */
#include <unistd.h>

#include "sink_model.h"

#define ROWS 6000

static struct kit kit;
static _Atomic bool failed;
static uint32_t dice_state = 12345;

static uint32_t dice(void)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return dice_state >> 8;
}

/* Arrays on their way to the plugin's own thread, and answers it owes. */
static struct ArrowArray held[256];
static uint32_t held_count;
static uint64_t owed;
static bool stopping;

static nw_status stress_write(void *self, uint32_t worker, const struct nw_batch *batch,
                              struct nw_error *err)
{
    struct ArrowArray array;
    uint32_t face;
    nw_status status;

    model_lock();
    face = dice() % 1500;
    model_unlock();
    if (face == 0) {
        return nw_fail(err, NW_RETRY, "bad luck");
    }
    if (face < 20) {
        return NW_AGAIN;
    }
    status = model.host->batch_export(model.host, batch, NULL, &array, err);
    if (status != NW_OK) {
        return status;
    }
    model_lock();
    if (held_count < 256) {
        held[held_count++] = array;
        model_unlock();
    } else {
        model_unlock();
        array.release(&array);
    }
    return model_write(self, worker, batch, err);
}

static nw_status stress_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                               struct nw_error *err)
{
    static const enum model_plan plans[] = {MODEL_NOT_COMMITTED, MODEL_UNKNOWN_DONE,
                                            MODEL_UNKNOWN_NOT_DONE, MODEL_RETRY_DONE, MODEL_AGAIN};
    uint32_t face;
    nw_status status;

    model_lock();
    face = dice() % 80;
    model.plan = face < 5 ? plans[face] : face < 45 ? MODEL_PENDING : MODEL_COMMIT;
    model_unlock();
    status = model_commit(self, commit, outcome, err);
    if (status == NW_OK && *outcome == NW_PENDING) {
        model_lock();
        owed = commit->epoch;
        model_unlock();
    }
    return status;
}

static nw_status stress_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    model_lock();
    owed = 0; /* the contract: no answers for what was before */
    model_unlock();
    return model_recover(self, recovery, err);
}

/* The plugin's own thread. */
static void *plugin_thread(void *context)
{
    (void)context;
    for (;;) {
        struct ArrowArray array = {.release = NULL};
        uint64_t epoch = 0;
        bool ends;

        model_lock();
        ends = stopping && held_count == 0;
        if (held_count > 0) {
            array = held[--held_count];
        }
        if (owed != 0) {
            /* Stored and answered in one step, or a recover between would see half of it. */
            epoch = owed;
            owed = 0;
            model_store(epoch);
        }
        if (epoch != 0) {
            model.host->commit_done(model.host, epoch, NW_COMMITTED, NULL);
        }
        model_unlock();
        if (array.release != NULL) {
            array.release(&array);
        }
        if (ends) {
            return NULL;
        }
        (void)usleep(50);
    }
}

static int64_t real_now_ns(struct nw_env *env)
{
    struct timespec now;

    (void)env;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t thread_clock(void *clock)
{
    return real_now_ns(clock);
}

static void thread_failed(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    (void)context;
    print_error("%s: %s\n", agent->name, err->text);
    atomic_store(&failed, true);
}

static void stress(const struct nw_sink_ops *model_table, uint32_t workers)
{
    struct nw_sink_ops ops = *model_table;
    struct nw_env_ops env_ops = kit_env_ops;
    struct nw_sequencer_options options;
    struct nw_agent agent;
    struct nw_bell *bell = NULL;
    struct nw_thread *thread = NULL;
    struct nw_thread_options thread_options;
    struct nw_sink_options sink_options;
    pthread_t helper;
    uint64_t epoch = 1;

    ops.write = stress_write;
    ops.commit = stress_commit;
    ops.recover = stress_recover;
    ops.epochs_ahead_max = 3;
    env_ops.now_ns = real_now_ns;
    held_count = 0;
    owed = 0;
    stopping = false;
    atomic_store(&failed, false);
    model_reset();
    kit_init(&kit, &ops, 4);
    kit.env.ops = &env_ops;
    sink_options = (struct nw_sink_options){
        .env = &kit.env, .plugin = &kit.plugin, .config = &kit.config, .workers_count = workers};
    assert_int_equal(nw_sink_create(&sink_options, &kit.sink, &kit.err), NW_OK);
    assert_int_equal(nw_sink_start(kit.sink, &kit.err), NW_OK);
    assert_int_equal(nw_sink_open(kit.sink, &kit.recovered, &kit.err), NW_OK);
    assert_int_equal(nw_bell_create(&bell, &kit.err), NW_OK);
    options = kit_sequencer_options(&kit);
    options.bell = bell;
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &kit.sequencer, &kit.err), NW_OK);
    agent = nw_sequencer_agent(kit.sequencer);
    thread_options = (struct nw_thread_options){.name = "sequencer",
                                                .agents = &agent,
                                                .agents_count = 1,
                                                .bell = bell,
                                                .core = -1,
                                                .now_ns = thread_clock,
                                                .clock = &kit.env,
                                                .failed = thread_failed};
    assert_int_equal(pthread_create(&helper, NULL, plugin_thread, NULL), 0);
    assert_int_equal(nw_thread_start(&thread_options, &thread, &kit.err), NW_OK);
    for (uint32_t i = 0; i < ROWS && !atomic_load(&failed); i++) {
        kit_row_one(&kit, i % KIT_TABLES, epoch, 1000 + i, i);
        nw_bell_ring(bell);
        if (i % 30 == 29) {
            kit_epoch_end(&kit, epoch++, 1001 + i);
            nw_bell_ring(bell);
            kit_collect(&kit);
            (void)usleep(i % 7 == 0 ? 2000 : 100);
        }
    }
    for (int tries = 0; kit.durable_epoch < epoch - 1 && tries < 60000 && !atomic_load(&failed);
         tries++) {
        kit_collect(&kit);
        (void)usleep(1000);
    }
    assert_false(atomic_load(&failed));
    assert_int_equal(kit.durable_epoch, epoch - 1);
    model_lock();
    stopping = true;
    model_unlock();
    assert_int_equal(pthread_join(helper, NULL), 0);
    nw_thread_stop(thread);
    nw_thread_destroy(thread);
    kit_fini(&kit);
    nw_bell_destroy(bell);
    assert_contract_kept();
    assert_int_equal(model.rows_stored, ROWS);
}

static void rows_in_order_per_table(void)
{
    int64_t last[KIT_TABLES] = {-1, -1, -1, -1};

    for (uint32_t i = 0; i < model.rows_stored; i++) {
        uint32_t table = model.rows[i].oid - 100;

        assert_true(model.rows[i].id > last[table]);
        last[table] = model.rows[i].id;
    }
}

static void one_worker_survives_faults_of_every_kind(void **state)
{
    (void)state;
    stress(&model_ops, 1);
    rows_in_order_per_table();
}

static void several_workers_survive_faults_of_every_kind(void **state)
{
    (void)state;
    stress(&model_ops, 3);
    rows_in_order_per_table();
}

static void total_order_survives_faults_of_every_kind(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.flags = NW_SINK_TOTAL_ORDER;
    ops.workers_max = 1;
    stress(&ops, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_int_equal(model.rows[i].id, i);
    }
}

static _Atomic bool gate, called;

static nw_status stuck_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    atomic_store(&called, true);
    while (!atomic_load(&gate)) {
        (void)usleep(100);
    }
    return model_write(self, worker, batch, err);
}

static void call_that_does_not_return_does_not_hold_up_the_end(void **state)
{
    struct nw_sink_ops ops = model_ops;
    struct nw_env_ops env_ops = kit_env_ops;
    struct nw_sink_options options = {
        .env = &kit.env, .plugin = &kit.plugin, .config = &kit.config, .workers_count = 2};
    uint32_t work = 0;
    int64_t from;

    (void)state;
    ops.write = stuck_write;
    env_ops.now_ns = real_now_ns;
    atomic_store(&gate, false);
    atomic_store(&called, false);
    model_reset();
    kit_init(&kit, &ops, 1);
    kit.env.ops = &env_ops;
    assert_int_equal(nw_sink_create(&options, &kit.sink, &kit.err), NW_OK);
    assert_int_equal(nw_sink_start(kit.sink, &kit.err), NW_OK);
    assert_int_equal(nw_sink_open(kit.sink, &kit.recovered, &kit.err), NW_OK);
    kit_sequence(&kit);
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_row_one(&kit, 0, 1, 1001, 2);
    assert_int_equal(kit_step_sequencer(&kit, &work), NW_OK);
    for (int i = 0; i < 30000 && !atomic_load(&called); i++) {
        (void)usleep(1000);
    }
    from = real_now_ns(&kit.env);
    assert_int_equal(nw_sink_stop(kit.sink, from + 50000000, &kit.err), NW_RETRY);
    assert_non_null(strstr(kit.err.text, "did not return from a call in time"));
    assert_memory_equal(kit.err.text, "NW2006", 6);
    assert_in_range(real_now_ns(&kit.env) - from, 50000000, 5000000000);
    assert_int_equal(model.closes, 0);
    atomic_store(&gate, true);
    kit_fini(&kit); /* now it ends */
    assert_int_equal(model.closes, 1);
    assert_int_equal(model.writes, 1); /* the second one was no longer begun */
    assert_contract_kept();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_survives_faults_of_every_kind),
        cmocka_unit_test(several_workers_survive_faults_of_every_kind),
        cmocka_unit_test(total_order_survives_faults_of_every_kind),
        cmocka_unit_test(call_that_does_not_return_does_not_hold_up_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
