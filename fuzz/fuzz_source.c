/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server sends on a replication connection, through everything that handles it: receiver,
 * source, streamed transactions, dealer, lane, sequencer, and a sink that looks at every value. The
 * connection breaks at the end of the input and the same is sent once more. Whatever the bytes are:
 * no crash, no leak, and an end.
 *
 * The input: a byte of choices, then the bytes of the connection.
 */
#include <stdlib.h>

#include "../tests/sdk/quiet_sink.h"
#include "../tests/simulation/disk.c" /* NOLINT(bugprone-suspicious-include): files in memory */
#include "../tests/unit/model_stream.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX    400
#define CONNECTS_MAX 2

struct sim_counters sim_counters;
bool sim_verbose;

/* A server of one input. */
struct fuzz_server {
    struct nw_stream stream; /* first */
    const uint8_t *bytes;
    size_t size, at;
    size_t piece; /* most that a read gives */
    uint32_t connects;
    struct nw_transmitter transmitter;
    struct nw_walsender *open;
};

static struct fuzz_server *server_of(struct nw_stream *stream)
{
    return (struct fuzz_server *)(void *)stream;
}

static nw_status server_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                             struct nw_error *err)
{
    struct fuzz_server *server = server_of(stream);
    size_t left = server->size - server->at;

    *got = 0;
    if (left == 0) {
        return nw_fail(err, NW_RETRY, "the input ends");
    }
    left = left < size ? left : size;
    left = left < server->piece ? left : server->piece;
    memcpy(bytes, server->bytes + server->at, left);
    server->at += left;
    *got = left;
    return NW_OK;
}

static nw_status server_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    (void)stream;
    (void)bytes;
    (void)err;
    *put = size;
    return NW_OK;
}

static const struct nw_stream_ops server_ops = MODEL_STREAM_OPS(server_read, server_write);

static nw_status fuzz_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                              struct nw_error *err)
{
    struct fuzz_server *server = context;

    (void)lsn;
    if (server->connects++ == CONNECTS_MAX) {
        return nw_fail(err, NW_FATAL, "no more");
    }
    server->at = 0;
    nw_transmitter_init(&server->transmitter, &server->stream);
    *walsender = (struct nw_walsender){.transmitter = &server->transmitter};
    return nw_receiver_create(&server->stream, &walsender->receiver, err);
}

static void fuzz_disconnect(void *context, struct nw_walsender *walsender)
{
    (void)context;
    nw_receiver_destroy(walsender->receiver);
    nw_transmitter_fini(walsender->transmitter);
}

/* Some relations are in the catalog, others were dropped since. */
static nw_status fuzz_describe(void *context, uint32_t oid, uint32_t xid,
                               const struct nw_table **described, struct nw_error *err)
{
    static const struct nw_column_schema columns[2] = {{.name = "id",
                                                        .type_name = "bigint",
                                                        .type_oid = 20,
                                                        .base_type_oid = 20,
                                                        .typmod = -1,
                                                        .attnum = 1,
                                                        .type = NW_TYPE_INT64,
                                                        .identity = true},
                                                       {.name = "note_v1",
                                                        .type_name = "text",
                                                        .type_oid = 25,
                                                        .base_type_oid = 25,
                                                        .typmod = -1,
                                                        .attnum = 2,
                                                        .type = NW_TYPE_TEXT}};
    static const uint16_t key[1] = {0};
    static struct nw_table table;

    (void)context;
    (void)xid;
    (void)err;
    table = (struct nw_table){.size = sizeof table,
                              .relation_oid = oid,
                              .schema_name = "public",
                              .name = "t0",
                              .replica_identity = 'd',
                              .columns_count = 2,
                              .key_columns_count = 1,
                              .columns = columns,
                              .key_columns = key};
    *described = oid % 4 == 3 ? NULL : &table;
    return NW_OK;
}

static nw_status fuzz_record(void *context, const struct nw_acknowledgement *what,
                             struct nw_error *err)
{
    (void)context;
    (void)what;
    (void)err;
    return NW_OK;
}

/* ---- the sink ---- */

static uint8_t position[NW_POSITION_SIZE_MAX];
static uint32_t position_size;

static nw_status sink_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    (void)host;
    (void)config;
    (void)workers;
    (void)err;
    *self = position;
    position_size = 0;
    return NW_OK;
}

static nw_status sink_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    uint64_t sum = 0;

    (void)self;
    (void)worker;
    (void)err;
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        for (uint16_t column = 0; column < batch->table->columns_count; column++) {
            for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
                struct nw_value value = nw_batch_value(batch, side, row, column);

                for (uint32_t i = 0; i < value.size; i++) {
                    sum += value.bytes[i];
                }
            }
        }
    }
    position[0] = (uint8_t)sum; /* so that it is read */
    return NW_OK;
}

static nw_status sink_event(void *self, uint32_t worker, const struct nw_event *event,
                            struct nw_error *err)
{
    uint64_t sum = strlen(event->origin) + strlen(event->prefix);

    (void)self;
    (void)worker;
    (void)err;
    for (uint32_t i = 0; i < event->content_size; i++) {
        sum += event->content[i];
    }
    for (uint32_t i = 0; i < event->tables_count; i++) {
        sum += strlen(event->tables[i]->name);
    }
    position[0] = (uint8_t)sum;
    return NW_OK;
}

static nw_status sink_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    (void)self;
    (void)err;
    position_size = commit->positions[0].size;
    *outcome = NW_COMMITTED;
    return NW_OK;
}

static void sink_close(void *self)
{
    (void)self;
}

static struct nw_sink_ops sink_ops = {.abi = NW_SINK_ABI,
                                      .size = sizeof(struct nw_sink_ops),
                                      .name = "fuzz",
                                      .version = "1",
                                      .flags = NW_SINK_EXCEPTIONS | NW_SINK_APPEND_ONLY,
                                      .workers_max = 1,
                                      .open = sink_open,
                                      .recover = quiet_recover,
                                      .table = quiet_table,
                                      .write = sink_write,
                                      .event = sink_event,
                                      .seal = quiet_seal,
                                      .commit = sink_commit,
                                      .close = sink_close};

/* ---- a run ---- */

struct run {
    struct fuzz_server server;
    struct sim_disk disk;
    struct nw_plan plan;
    struct nw_plugin plugin;
    struct nw_config config;
    struct nw_sink *sink;
    struct nw_schemas *schemas;
    struct nw_engine *engine;
    struct nw_agent agents[NW_ENGINE_AGENTS_MAX + NW_SINK_AGENTS_MAX];
    uint32_t agents_count;
};

static bool run_make(struct run *run, uint8_t choices)
{
    struct nw_sink_options sink = {
        .env = &run->disk.env, .plugin = &run->plugin, .config = &run->config, .workers_count = 1};
    struct nw_engine_options options = {.env = &run->disk.env,
                                        .sinks_count = 1,
                                        .plan = &run->plan,
                                        .memory_bytes = 64u << 20,
                                        .spill_bytes = 64u << 20,
                                        .spill_folder = "/spill",
                                        .identity = {.slot_name = "narwal"},
                                        .transactions = (choices & 1u) != 0,
                                        .epoch_us_max = 1000,
                                        .epoch_bytes_max = 1u << 20,
                                        .connect = fuzz_connect,
                                        .disconnect = fuzz_disconnect,
                                        .describe = fuzz_describe,
                                        .record = fuzz_record,
                                        .context = &run->server};
    struct nw_sink_recovered recovered = {0};
    struct nw_error err = {0};

    run->config.name = "fuzz";
    sink_ops.flags = NW_SINK_EXCEPTIONS | NW_SINK_APPEND_ONLY |
                     ((choices & 1u) != 0 ? NW_SINK_TRANSACTIONS : 0) |
                     ((choices & 2u) != 0 ? NW_SINK_TOTAL_ORDER : 0);
    run->plan.lanes_count = 1 + (choices >> 2 & 1u);
    run->plan.service_thread = 1;
    run->plan.engine_threads_count = 2;
    if (nw_plugin_adopt(&sink_ops, &run->plugin, &err) != NW_OK ||
        nw_sink_create(&sink, &run->sink, &err) != NW_OK ||
        nw_sink_open(run->sink, &recovered, &err) != NW_OK ||
        nw_schemas_create(&run->schemas, &err) != NW_OK) {
        return false;
    }
    options.sinks[0] = run->sink;
    options.schemas = run->schemas;
    return nw_engine_create(&options, &run->engine, &err) == NW_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    struct nw_error err = {0};
    bool failed = false;

    if (size < 1) {
        return 0;
    }
    nw_log_setup(2, (enum nw_log_level)0, false);
    memset(&run, 0, sizeof run);
    run.server = (struct fuzz_server){.stream = {&server_ops, NW_TRANSPORT_MODEL},
                                      .bytes = data + 1,
                                      .size = size - 1,
                                      .piece = (data[0] & 8u) != 0 ? 7 : SIZE_MAX};
    sim_disk_init(&run.disk, NULL, data[0]);
    if (!run_make(&run, data[0])) {
        abort();
    }
    run.agents_count = nw_engine_agents(run.engine, run.agents);
    run.agents_count += nw_sink_agents(run.sink, run.agents + run.agents_count);
    nw_engine_stream(run.engine, 1);
    for (int step = 0; step < STEPS_MAX && !failed; step++) {
        for (uint32_t i = 0; i < run.agents_count && !failed; i++) {
            uint32_t work = 0;

            failed =
                run.agents[i].do_work(run.agents[i].self, run.disk.now_ns, &work, &err) != NW_OK;
        }
        run.disk.now_ns += step % 16 == 0 ? 100000000 : 1000000;
    }
    if (nw_sink_stop(run.sink, INT64_MAX, &err) != NW_OK) {
        abort();
    }
    nw_engine_destroy(run.engine);
    nw_sink_destroy(run.sink);
    nw_schemas_destroy(run.schemas);
    sim_disk_wipe(&run.disk);
    return 0;
}
