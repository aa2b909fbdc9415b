/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on real threads, between a server that is a script of bytes and a sink that counts.
 * What must hold under faults is the simulator's to show (tests/simulation); here it is threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../sdk/quiet_sink.h"
#include "base/log.h"
#include "model_stream.h"
#include "pipeline/engine.h"
#include "wire.h"

#define TRANSACTIONS 500ul
#define ROWS         7u /* of each */
#define START_LSN    1000u
#define STEP_LSN     100u
#define WAIT_NS      30000000000
#define THREADS      4u
#define ENGINE_LANES 2u

/* The server: says all at once; what it is told is read by the test while threads run. */
struct server {
    struct nw_stream stream; /* first */
    struct wire out;
    size_t at;
    struct nw_transmitter transmitter;
    struct wire in;
    _Atomic uint64_t flushed_lsn;
    nw_status connect_status;
};

struct fixture {
    struct server server;
    char folder[64];
    struct nw_env *env;
    struct nw_plan plan;
    struct nw_plugin plugin;
    struct nw_config config;
    struct nw_sink *sink;
    struct nw_schemas *schemas;
    struct nw_engine *engine;
    struct nw_error err;
};

static _Atomic uint64_t rows_written, rows_committed, last_recorded;

/* ---- server ---- */

static struct server *server_of(struct nw_stream *stream)
{
    return (struct server *)(void *)stream;
}

static nw_status server_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                             struct nw_error *err)
{
    struct server *server = server_of(stream);
    size_t left = server->out.size - server->at;

    (void)err;
    *got = left < size ? left : size;
    if (*got == 0) {
        return NW_AGAIN;
    }
    *got = *got < 3001 ? *got : 3001;
    memcpy(bytes, server->out.bytes + server->at, *got);
    server->at += *got;
    return NW_OK;
}

static nw_status server_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    struct server *server = server_of(stream);

    (void)err;
    wire_bytes(&server->in, bytes, size);
    *put = size;
    while (server->in.size >= 39) {
        struct nw_cursor cursor = nw_cursor_of(server->in.bytes + 14, 8);

        atomic_store_explicit(&server->flushed_lsn, nw_cursor_u64be(&cursor), memory_order_release);
        server->in.size -= 39;
        memmove(server->in.bytes, server->in.bytes + 39, server->in.size);
    }
    return NW_OK;
}

static const struct nw_stream_ops server_ops = MODEL_STREAM_OPS(server_read, server_write);

static nw_status connect_to(void *context, uint64_t lsn, struct nw_walsender *walsender,
                            struct nw_error *err)
{
    struct server *server = &((struct fixture *)context)->server;

    assert_int_equal(lsn, START_LSN);
    if (server->connect_status != NW_OK) {
        return nw_fail(err, server->connect_status, "the slot is gone");
    }
    nw_transmitter_init(&server->transmitter, &server->stream);
    *walsender = (struct nw_walsender){.transmitter = &server->transmitter};
    return nw_receiver_create(&server->stream, &walsender->receiver, err);
}

static void disconnect(void *context, struct nw_walsender *walsender)
{
    (void)context;
    nw_receiver_destroy(walsender->receiver);
    nw_transmitter_fini(walsender->transmitter);
}

static nw_status describe(void *context, uint32_t oid, uint32_t xid,
                          const struct nw_table **described, struct nw_error *err)
{
    (void)context;
    (void)oid;
    (void)xid;
    (void)err;
    *described = NULL;
    return NW_OK;
}

static nw_status record(void *context, const struct nw_acknowledgement *what, struct nw_error *err)
{
    (void)context;
    (void)err;
    atomic_store_explicit(&last_recorded, what->lsn, memory_order_release);
    return NW_OK;
}

static void data_say(struct wire *out, uint64_t lsn, struct wire *payload)
{
    size_t place = wire_data_start(out, lsn, lsn);

    wire_bytes(out, payload->bytes, payload->size);
    wire_message_end(out, place);
    wire_clear(payload);
}

static uint64_t commit_lsn(uint32_t transaction)
{
    return START_LSN + (uint64_t)transaction * STEP_LSN;
}

static void script(struct wire *out)
{
    static const struct wire_column columns[2] = {{"id", 20, -1, true}, {"note", 25, -1, false}};
    struct wire payload = {0};

    for (uint32_t i = 0; i < (uint32_t)TRANSACTIONS; i++) {
        wire_begin(&payload, commit_lsn(i), 1, i + 1);
        data_say(out, commit_lsn(i), &payload);
        for (uint32_t row = 0; row < ROWS; row++) {
            uint32_t oid = 100 + row % 3;

            if (i == 0 && row < 3) {
                wire_relation(&payload, 0, oid, "t", 'd', columns, 2);
                data_say(out, commit_lsn(i), &payload);
            }
            wire_insert(&payload, 0, oid, "1", "a note");
            data_say(out, commit_lsn(i), &payload);
        }
        wire_commit(&payload, commit_lsn(i), commit_lsn(i) + 8, 1);
        data_say(out, commit_lsn(i), &payload);
    }
    wire_free(&payload);
}

/* ---- sink ---- */

static uint64_t staged[2], sealed[2]; /* of each worker, by its own thread; read at commit */

static nw_status sink_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    (void)host;
    (void)config;
    (void)err;
    assert_int_equal(workers, 2);
    *self = staged;
    return NW_OK;
}

static nw_status sink_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    (void)self;
    (void)err;
    staged[worker] += batch->rows_count;
    atomic_fetch_add_explicit(&rows_written, batch->rows_count, memory_order_relaxed);
    return NW_OK;
}

static nw_status sink_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    (void)self;
    (void)epoch;
    (void)err;
    sealed[worker] = staged[worker];
    return NW_OK;
}

static nw_status sink_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    (void)self;
    (void)err;
    (void)commit;
    atomic_store_explicit(&rows_committed, sealed[0] + sealed[1], memory_order_relaxed);
    *outcome = NW_COMMITTED;
    return NW_OK;
}

static void sink_close(void *self)
{
    (void)self;
}

static const struct nw_sink_ops sink_ops = {.abi = NW_SINK_ABI,
                                            .size = sizeof(struct nw_sink_ops),
                                            .name = "count",
                                            .version = "1",
                                            .flags = NW_SINK_APPEND_ONLY,
                                            .workers_max = 2,
                                            .epochs_ahead_max = 0, /* no write beside a commit */
                                            .open = sink_open,
                                            .recover = quiet_recover,
                                            .table = quiet_table,
                                            .write = sink_write,
                                            .seal = sink_seal,
                                            .commit = sink_commit,
                                            .close = sink_close};

/* ---- */

static void plan_make(struct nw_plan *plan)
{
    static const char *const names[THREADS] = {"engine", "service", "lane-0", "lane-1"};

    plan->lanes_count = ENGINE_LANES;
    plan->service_thread = 1;
    plan->lane_threads[0] = 2;
    plan->lane_threads[1] = 3;
    plan->engine_threads_count = plan->threads_count = THREADS;
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)snprintf(plan->threads[i].name, sizeof plan->threads[i].name, "%s", names[i]);
        plan->threads[i].core = plan->threads[i].node = -1;
    }
}

static void fixture_make(struct fixture *f)
{
    struct nw_sink_options sink = {.plugin = &f->plugin, .config = &f->config, .workers_count = 2};
    struct nw_sink_recovered recovered;
    struct nw_engine_options options = {.sinks_count = 1,
                                        .plan = &f->plan,
                                        .memory_bytes = 64u << 20,
                                        .spill_bytes = 64u << 20,
                                        .flush_lsn = START_LSN,
                                        .identity = {.slot_name = "narwal"},
                                        .epoch_us_max = 100000,
                                        .epoch_bytes_max = 1u << 20,
                                        .connect = connect_to,
                                        .disconnect = disconnect,
                                        .describe = describe,
                                        .record = record,
                                        .context = f};

    memset(f, 0, sizeof *f);
    rows_written = rows_committed = last_recorded = 0;
    memset(staged, 0, sizeof staged);
    memset(sealed, 0, sizeof sealed);
    f->server.stream = (struct nw_stream){.ops = &server_ops, .transport = NW_TRANSPORT_MODEL};
    script(&f->server.out);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/nw-engine-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(nw_env_system_create(NW_IO_AUTO, &f->env, &f->err), NW_OK);
    plan_make(&f->plan);
    f->config.name = "count";
    assert_int_equal(nw_plugin_adopt(&sink_ops, &f->plugin, &f->err), NW_OK);
    sink.env = f->env;
    assert_int_equal(nw_sink_create(&sink, &f->sink, &f->err), NW_OK);
    assert_int_equal(nw_sink_start(f->sink, &f->err), NW_OK);
    assert_int_equal(nw_sink_open(f->sink, &recovered, &f->err), NW_OK);
    assert_int_equal(nw_schemas_create(&f->schemas, &f->err), NW_OK);
    options.env = f->env;
    options.sinks[0] = f->sink;
    options.schemas = f->schemas;
    options.spill_folder = f->folder;
    assert_int_equal(nw_engine_create(&options, &f->engine, &f->err), NW_OK);
}

static void fixture_free(struct fixture *f)
{
    char command[128];

    nw_engine_stop(f->engine);
    assert_int_equal(nw_sink_stop(f->sink, INT64_MAX, &f->err), NW_OK);
    nw_engine_destroy(f->engine);
    nw_sink_destroy(f->sink);
    nw_schemas_destroy(f->schemas);
    nw_env_system_destroy(f->env);
    wire_free(&f->server.out);
    wire_free(&f->server.in);
    for (int i = 0; i < 2; i++) { /* two empty folders, then the one around them */
        (void)snprintf(command, sizeof command, "%s/%s", f->folder,
                       i == 0 ? "transactions" : "sink-0");
        assert_int_equal(rmdir(command), 0);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static bool wait_for(struct fixture *f, bool (*done)(struct fixture *f))
{
    int64_t end_ns = f->env->ops->now_ns(f->env) + WAIT_NS;

    while (!done(f)) {
        if (f->env->ops->now_ns(f->env) > end_ns) {
            return false;
        }
        (void)usleep(1000);
    }
    return true;
}

static bool all_committed(struct fixture *f)
{
    return atomic_load(&rows_committed) == TRANSACTIONS * ROWS &&
           nw_engine_failure(f->engine, &f->err) == NW_OK;
}

static bool is_drained(struct fixture *f)
{
    return nw_engine_drained(f->engine);
}

static bool has_failed(struct fixture *f)
{
    return nw_engine_failure(f->engine, &f->err) != NW_OK;
}

static void threads_stream_all_and_tell_the_server_when_drained(void **state)
{
    static struct fixture f;
    struct nw_source_status status;
    uint64_t last_lsn = commit_lsn((uint32_t)TRANSACTIONS - 1) + 8;

    (void)state;
    fixture_make(&f);
    assert_int_equal(nw_engine_start(f.engine, &f.err), NW_OK);
    nw_engine_stream(f.engine, START_LSN);
    assert_true(wait_for(&f, all_committed));
    nw_engine_drain(f.engine);
    assert_true(wait_for(&f, is_drained));
    nw_engine_source_status(f.engine, &status);
    assert_int_equal(status.dealer.rows, TRANSACTIONS * ROWS);
    assert_int_equal(status.dealer.transactions, TRANSACTIONS);
    assert_int_equal(status.flush_lsn, last_lsn);
    nw_engine_stop(f.engine);
    assert_int_equal(atomic_load(&rows_written), TRANSACTIONS * ROWS); /* none twice */
    assert_int_equal(atomic_load(&f.server.flushed_lsn), last_lsn);
    assert_int_equal(atomic_load(&last_recorded), last_lsn);
    assert_int_equal(nw_engine_failure(f.engine, &f.err), NW_OK);
    fixture_free(&f);
}

static void threads_can_be_stopped_at_any_moment(void **state)
{
    (void)state;
    for (unsigned pause_us = 0; pause_us < 20000; pause_us += 2500) {
        static struct fixture f;

        fixture_make(&f);
        assert_int_equal(nw_engine_start(f.engine, &f.err), NW_OK);
        nw_engine_stream(f.engine, START_LSN);
        (void)usleep(pause_us);
        fixture_free(&f);
    }
}

static void an_agents_failure_is_the_engines(void **state)
{
    static struct fixture f;

    (void)state;
    fixture_make(&f);
    f.server.connect_status = NW_FATAL;
    assert_int_equal(nw_engine_start(f.engine, &f.err), NW_OK);
    nw_engine_stream(f.engine, START_LSN);
    assert_true(wait_for(&f, has_failed));
    assert_int_equal(f.err.status, NW_FATAL);
    assert_string_equal(f.err.text, "the slot is gone");
    fixture_free(&f);
}

static void an_engine_that_never_ran_is_destroyed(void **state)
{
    static struct fixture f;
    struct nw_agent agents[NW_ENGINE_AGENTS_MAX];

    (void)state;
    fixture_make(&f);
    /* source, acknowledger, control, service, one sequencer, and the lanes */
    assert_int_equal(nw_engine_agents(f.engine, agents), 5 + ENGINE_LANES);
    assert_int_equal(nw_engine_memory_used(f.engine), 0);
    assert_false(nw_engine_drained(f.engine));
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_stream_all_and_tell_the_server_when_drained),
        cmocka_unit_test(threads_can_be_stopped_at_any_moment),
        cmocka_unit_test(an_agents_failure_is_the_engines),
        cmocka_unit_test(an_engine_that_never_ran_is_destroyed),
    };

    nw_log_setup(2, NW_LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
