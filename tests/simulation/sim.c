/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim SEED COUNT [-v | -c FILE | -a spools|refusals]: plays COUNT stories, from SEED on. Says the
 * seed of the first that broke an invariant, and exits with 1. With -v every story says how it
 * ended; with -c what the server sent to one connection is kept, as a seed for fuzz/fuzz_source.c;
 * with -a all stories are about that.
 *
 * A story: lives, one after the other, each with a pipeline of its own over the same server's slot
 * and the same sinks' stores; then the faults stop, and everything has to arrive.
 */
#include "sim.h"

#include "base/log.h"
#include "io/env_model.h"

#define STEPS_MIN    4000u
#define STEPS_MAX    16000u
#define CONVERGE_NS  (3600ll * 1000000000) /* backoff and retries go up to 30 s each */
#define BEHIND_MAX   1000u                 /* bytes of WAL */
#define TWICE_EVERY  16u                   /* every so manyth seed is played twice */
#define COVERED_FROM 100u                  /* with so many seeds everything must have happened */

struct sim_counters sim_counters;
bool sim_verbose;
const char *sim_capture;
enum sim_about sim_about;

/* A pipeline between its start and its end. */
struct life {
    struct sim *sim;
    struct nw_sink *sinks[SIM_SINKS_MAX];
    struct nw_schemas *schemas;
    struct nw_plan plan; /* one thread, and the service's */
    struct nw_engine *engine;
    struct nw_agent agents[NW_ENGINE_AGENTS_MAX + SIM_SINKS_MAX * NW_SINK_AGENTS_MAX];
    uint32_t agents_count;
    bool copying; /* and nothing of the stream is dealt */
    bool draining;
};

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ": ", sim->seed, sim->steps);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\n");
    exit(1);
}

static nw_status record(void *context, const struct nw_acknowledgement *what, struct nw_error *err)
{
    struct sim *sim = context;

    if (what->lsn < sim->safe_lsn) {
        sim_fail(sim, "recorded %" PRIu64 " after %" PRIu64, what->lsn, sim->safe_lsn);
    }
    if (sim_chance(&sim->random, 2) && !sim->server.quiet) {
        return nw_fail(err, NW_RETRY, "the state cannot be written");
    }
    sim->recorded_lsn = sim->safe_lsn = what->lsn;
    sim_backlogs_reached(sim, &what->reached);
    return NW_OK;
}

/* ---- a life ---- */

static void sinks_open(struct life *life)
{
    static struct nw_sink_recovered recovered[SIM_SINKS_MAX];
    struct sim *sim = life->sim;

    if (sim->joins.wanted && sim->sinks_count > 1 && !sim->server.quiet &&
        sim_chance(&sim->random, 800)) {
        uint32_t other = sim_below(&sim->random, 2);

        if (sim->sinks[other].has_position) {
            sim_sink_wipe(&sim->sinks[1 - other]);
        }
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_options options = {.env = &sim->disk.env,
                                          .plugin = &sim->sinks[i].plugin,
                                          .config = &sim->sinks[i].config,
                                          .workers_count = sim->sinks[i].workers};
        struct nw_error err = {0};
        nw_status status = nw_sink_create(&options, &life->sinks[i], &err);

        while (status == NW_OK || status == NW_RETRY) {
            status = nw_sink_open(life->sinks[i], &recovered[i], &err);
            if (status == NW_OK) {
                break;
            }
        }
        if (status != NW_OK) {
            sim_fail(sim, "sink %u does not open: %s", i, err.text);
        }
    }
    sim_copy_decide(sim, life->sinks, recovered);
    sim_backlogs_find(sim);
    /* What was recorded, and not told, may be ahead of where the server sends from now on. */
    sim->recorded_lsn = sim->start_lsn > sim->recorded_lsn ? sim->start_lsn : sim->recorded_lsn;
    sim->safe_lsn = sim->start_lsn;
    if (sim->start_lsn < sim->server.confirmed_lsn) {
        sim_fail(sim, "sinks have %" PRIu64 ", the server forgot up to %" PRIu64, sim->start_lsn,
                 sim->server.confirmed_lsn);
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        if (!sim->sinks[i].has_position) {
            sim_sink_empty(&sim->sinks[i], sim->stream_lsn);
        }
    }
}

/* Little enough that the sequencers spill. */
static uint64_t memory_choose(struct sim *sim)
{
    return 1ull << (19 + sim_below(&sim->random, 3));
}

/* What the columns are taken for is looked at where it is exact. */
static struct nw_table_policy sim_policy(void *context, const struct nw_table *table)
{
    const struct sim *sim = context;
    bool stops = sim->backlogs.stops[table->relation_oid - SIM_OID];

    return (struct nw_table_policy){.ambiguous_rename = NW_AMBIGUOUS_DROP_ADD,
                                    .truncate = stops ? NW_RULE_STOP : NW_RULE_APPLY};
}

/* The copies are durable: what was committed since is dealt. */
static void stream(struct life *life)
{
    life->sim->joins.streaming = true;
    sim_joins_begin(life->sim, life->engine, life->sinks);
    if (life->sim->spool.spool == NULL) {
        nw_engine_stream(life->engine, life->sim->start_lsn);
    } else {
        nw_engine_release(life->engine); /* it has been receiving all along */
    }
}

static void life_begin(struct life *life, struct sim *sim)
{
    struct nw_error err = {0};
    struct nw_engine_options options = {
        .env = &sim->disk.env,
        .sinks_count = sim->sinks_count,
        .plan = &life->plan,
        .memory_bytes = memory_choose(sim),
        .spill_bytes = 1u << 28,
        .spill_folder = "/spill",
        .identity = {.system_identifier = 1, .timeline = 1, .slot_name = "narwal"},
        .epoch_us_max = 1000000,
        .epoch_bytes_max = 1000u << sim_below(&sim->random, 12),
        .connect = sim_connect,
        .disconnect = sim_disconnect,
        .describe = sim_describe,
        .record = record,
        .wanted = sim_wanted,
        .waits = sim_joins_waits,
        .policy = sim_policy,
        .stop = sim_backlog_stop,
        .backlog_end = sim_backlog_end,
        .keeps = true,
        .context = sim};

    memset(life, 0, sizeof *life);
    life->sim = sim;
    sim->life++;
    life->plan.lanes_count = 1 + sim_below(&sim->random, 4);
    life->plan.service_thread = 1;
    life->plan.engine_threads_count = 2;
    sinks_open(life);
    options.flush_lsn = sim->start_lsn;
    options.play_lsn = sim->backlogs.play_lsn;
    options.spool = sim->spool.spool;
    options.spool_lsn = sim->stream_lsn;
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        options.sinks[i] = life->sinks[i];
        options.letters[i] = sim->sinks[i].letters.store;
        options.transactions = options.transactions || sim->sinks[i].transactions;
        options.refuse_copies[i] = !sim->sinks[i].needs_copy || !sim->copy.running;
    }
    if (nw_schemas_create(&life->schemas, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
    options.schemas = life->schemas;
    life->copying = sim->copy.running;
    if (sim->copies || sim->joins.wanted || sim->backlogs.wanted) {
        options.readers_count = SIM_READERS;
        sim_copy_reset(sim, life->schemas);
    }
    if (life->copying) {
        sim_copy_begin(sim, life->schemas);
    }
    if (nw_engine_create(&options, &life->engine, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
    life->agents_count = nw_engine_agents(life->engine, life->agents);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        life->agents_count += nw_sink_agents(life->sinks[i], life->agents + life->agents_count);
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_letters_tell(&sim->sinks[i], nw_engine_sequencer(life->engine, i));
    }
    sim_copy_fences(sim, life->engine);
    sim_backlogs_give(sim, life->engine);
    if (sim->spool.spool != NULL) {
        nw_engine_stream(life->engine, sim->start_lsn);
    }
    if (!life->copying) {
        stream(life);
    }
}

/* How far a spool came in this life. */
static void spool_count(const struct life *life)
{
    struct nw_source_status status;

    nw_engine_source_status(life->engine, &status);
    sim_counters.spools_read += status.spooling == NW_SPOOLING_READ;
    sim_counters.spools_gone +=
        life->sim->spool.spool != NULL && status.spooling == NW_SPOOLING_NONE;
}

/* All that is in memory and in scratch files is gone, as after kill -9. */
static void life_end(struct life *life)
{
    struct sim *sim = life->sim;
    struct nw_error err = {0};

    sim->crashing = true;
    sim_spool_power(sim);
    sim_backlogs_power(sim);
    spool_count(life);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        if (nw_sink_stop(life->sinks[i], INT64_MAX, &err) != NW_OK) {
            sim_fail(sim, "sink %u does not stop: %s", i, err.text);
        }
    }
    nw_engine_destroy(life->engine);
    sim_copy_end(sim);
    sim_spool_end(sim);
    sim_backlogs_end(sim);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        nw_sink_destroy(life->sinks[i]);
    }
    nw_schemas_destroy(life->schemas);
    sim_disk_wipe(&sim->disk);
    sim->crashing = false;
}

/* The main thread's part of a copy. @return false: the life ends here */
static bool copy_step(struct life *life)
{
    bool finished = false;

    if (!life->copying) {
        return life->draining ||
               sim_joins_step(life->sim, life->engine, life->schemas, life->sinks);
    }
    if (!sim_copy_step(life->sim, life->engine, life->schemas, life->sinks, &finished)) {
        return false;
    }
    if (finished) {
        life->copying = false;
        stream(life);
    }
    return true;
}

/* One agent goes on. @return false: the life ends here */
static bool agent_step(struct life *life, uint32_t index, uint32_t *work)
{
    struct sim *sim = life->sim;
    struct nw_agent *agent = &life->agents[index];
    struct nw_error err = {0};
    nw_status status = agent->do_work(agent->self, sim->disk.now_ns, work, &err);

    sim_trace(sim, index * 1000003u + *work);
    if (status == NW_RETRY && strstr(err.text, "No space left") != NULL) {
        sim_fail(sim, "a full disk ends the life: %s", err.text);
    }
    if (status == NW_REJECT) { /* by a sink, or for what is held: the memory is small here */
        if (sim->backlogs.wanted) {
            sim_backlogs_refused(sim, life->engine);
        } else {
            sim_joins_refused(sim, life->engine);
        }
        return false;
    }
    if (status == NW_RETRY && sim->server.quiet) {
        sim_fail(sim, "an agent fails without a fault: %s", err.text);
    }
    if (status == NW_RETRY) { /* the run begins again, as the pipeline does */
        SIM_COUNT(failed_lives);
        return false;
    }
    if (status != NW_OK) {
        sim_fail(sim, "agent %s: %s", agent->name, err.text);
    }
    return true;
}

static void time_pass(struct sim *sim)
{
    static const uint32_t spans_us[] = {1, 10, 100, 1000, 3000, 20000, 150000, 2000000};
    uint32_t choice = sim_below(&sim->random, 100);
    uint32_t span = spans_us[choice < 60   ? choice % 4
                             : choice < 90 ? 3 + choice % 2
                             : choice < 97 ? 5
                                           : 6 + choice % 2];

    sim->disk.now_ns += (int64_t)sim_below(&sim->random, span * 1000) + 1;
}

/* With tables that join little is written that is not sent: what is held is behind their fences. */
static bool stream_keeps_up(const struct sim *sim)
{
    const struct sim_server *server = &sim->server;

    return !sim->joins.wanted || server->lsn < server->sent_commit_lsn + BEHIND_MAX ||
           sim->steps % 4 == 0;
}

/* One step of everything but a crash. @return false: the life ends here */
static bool life_step(struct life *life)
{
    struct sim *sim = life->sim;
    uint32_t choice = sim_below(&sim->random, 1000);
    uint32_t work = 0;

    sim->steps++;
    if (choice < 600) {
        return agent_step(life, sim_below(&sim->random, life->agents_count), &work);
    }
    if (choice < 750) {
        time_pass(sim);
    } else if (choice < 850) {
        if (stream_keeps_up(sim)) {
            sim_server_act(&sim->server);
        }
    } else if (choice < 970) {
        sim_server_send(&sim->server);
    } else if (choice < 985) {
        if (!life->copying && !life->draining) {
            sim_backlogs_step(sim, life->engine);
        }
        return copy_step(life);
    } else if (choice < 998) {
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            sim_sink_step(&sim->sinks[i]);
        }
        sim_spool_step(sim);
    } else if (sim_chance(&sim->random, 500)) {
        sim_server_cut(&sim->server);
    }
    return true;
}

static void drain_checked(struct life *life)
{
    struct sim *sim = life->sim;

    if (!life->draining && sim_chance(&sim->random, 20)) {
        life->draining = true;
        nw_engine_drain(life->engine);
    }
}

/* The troubled part of a story: @return the steps that are left. */
static uint32_t trouble(struct sim *sim, uint32_t steps)
{
    static struct life life;
    uint32_t crash_permille = sim_below(&sim->random, 2);

    life_begin(&life, sim);
    while (steps > 0) {
        steps--;
        if (!life_step(&life)) {
            break;
        }
        if (crash_permille > 0 && sim_below(&sim->random, 2000) == 0) {
            SIM_COUNT(crashes);
            sim_counters.crashes_in_join += sim->joins.phase != SIM_JOINS_REST;
            sim_counters.crashes_behind += sim_backlogs_recorded(sim);
            break;
        }
        if (life.copying && sim->copy.fault > 0 && sim_below(&sim->random, 2000) == 0) {
            SIM_COUNT(crashes_in_copy);
            break;
        }
        if (steps % 1000 == 0) {
            drain_checked(&life);
        }
        if (life.draining && nw_engine_drained(life.engine)) {
            SIM_COUNT(drains);
            break;
        }
    }
    sim_counters.sinks_apart +=
        sim->sinks_count > 1 && sim->sinks[0].durable_lsn != sim->sinks[1].durable_lsn;
    life_end(&life);
    return steps;
}

/* ---- the end of a story ---- */

static void faults_stop(struct sim *sim)
{
    sim->server.quiet = true;
    sim->server.connect_fault = sim->server.catalog_fault = 0;
    sim->disk.write_fault = 0;
    sim->copy.fault = 0;
    sim->spool.fills_up = false;
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim->sinks[i].commit_fault = sim->sinks[i].call_fault = sim->sinks[i].again = 0;
        sim->sinks[i].refusals = 0;
    }
}

/* Everything that was committed is at every sink, and the server knows. */
static bool has_arrived(const struct sim *sim)
{
    const struct sim_server *server = &sim->server;
    uint64_t last_lsn =
        server->items_count == 0 ? 0 : server->items[server->items_count - 1].commit_lsn;

    if (!sim_server_rests(server) || server->confirmed_lsn < last_lsn) {
        return false;
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        if (sim->sinks[i].durable_lsn <= last_lsn || sim->sinks[i].behind.count > 0) {
            return false;
        }
    }
    return true;
}

static void lost_say(const struct sim *sim)
{
    sim_fail(sim,
             "nothing arrives any more: history %zu items, sinks at %zu and %zu, the server at "
             "%" PRIu64,
             sim->server.items_count, sim->sinks[0].items_stored, sim->sinks[1].items_stored,
             sim->server.confirmed_lsn);
}

/* A life without faults. @return false: its copy has to begin again */
static bool converge_life(struct life *life, int64_t end_ns)
{
    struct sim *sim = life->sim;
    uint32_t idle = 0;

    while (life->copying || sim_joins_busy(sim) || sim_backlogs_recorded(sim) ||
           !has_arrived(sim)) {
        uint32_t work = 0;

        sim->steps++;
        for (uint32_t i = 0; i < life->agents_count; i++) {
            if (!agent_step(life, i, &work)) {
                return false;
            }
        }
        sim_server_act(&sim->server);
        sim_server_send(&sim->server);
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            sim_sink_step(&sim->sinks[i]);
        }
        if (!life->copying) {
            sim_backlogs_step(sim, life->engine);
        }
        if (!copy_step(life)) {
            return false;
        }
        idle = work == 0 ? idle + 1 : 0;
        sim->disk.now_ns += idle > 50 ? 50000000 : 500000;
        if (sim->disk.now_ns > end_ns) {
            lost_say(sim);
        }
    }
    return true;
}

static void converge(struct sim *sim)
{
    static struct life life;
    int64_t end_ns = sim->disk.now_ns + CONVERGE_NS;
    bool arrived = false;

    faults_stop(sim);
    while (!arrived) {
        life_begin(&life, sim);
        arrived = converge_life(&life, end_ns);
        life_end(&life);
    }
}

static uint64_t story(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof *sim);
    uint64_t trace = 0;
    uint32_t steps = 0;

    if (sim == NULL) {
        abort();
    }
    sim->seed = seed;
    sim->random.state = seed;
    sim->sinks_count = 1 + sim_below(&sim->random, SIM_SINKS_MAX);
    sim->sinks_count = sim_about == SIM_REFUSALS ? SIM_SINKS_MAX : sim->sinks_count;
    sim->unwanted_oid = sim_chance(&sim->random, 400) ? SIM_OID + 3 : 0;
    sim_disk_init(&sim->disk, sim, seed);
    sim_server_init(&sim->server, sim, seed);
    sim->server.connect_fault = sim_chance(&sim->random, 500) ? 200 : 0;
    sim->server.catalog_fault = sim_chance(&sim->random, 300) ? 200 : 0;
    sim->disk.write_fault = sim_chance(&sim->random, 500) ? 600 : 0;
    sim->copies = sim_chance(&sim->random, 400) || sim_about == SIM_SPOOLS;
    sim->joins.wanted = sim_chance(&sim->random, 500) && sim_about != SIM_REFUSALS;
    sim->copy.fault = sim_chance(&sim->random, 500) ? 30 : 0;
    sim->server.has_slot = !sim->copies;
    sim_backlogs_init(sim);
    sim_spool_init(sim);
    for (uint32_t i = 0; sim->copies && i < 600; i++) {
        sim_server_act(&sim->server);
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_sink_init(&sim->sinks[i], sim, i, seed);
    }
    steps = STEPS_MIN + sim_below(&sim->random, STEPS_MAX - STEPS_MIN);
    steps += sim->joins.wanted ? steps / 2 : 0;
    while (steps > 0) {
        steps = trouble(sim, steps);
    }
    converge(sim);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_topics_check(&sim->sinks[i]);
    }
    sim_trace(sim, nw_env_model_trace(sim->spool.env));
    sim_trace(sim, nw_env_model_trace(sim->backlogs.env));
    trace = sim->trace;
    if (sim_verbose) {
        (void)printf("seed %" PRIu64 ": %zu items, %zu records, %" PRIu64
                     " steps, trace %016" PRIx64 "\n",
                     seed, sim->server.items_count, sim->server.events_count, sim->steps, trace);
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_sink_free(&sim->sinks[i]);
    }
    sim_copy_free(sim);
    sim_spool_free(sim);
    sim_backlogs_free(sim);
    sim_server_free(&sim->server);
    free(sim);
    return trace;
}

static int coverage_say(uint64_t seeds)
{
    int missing = 0;

#define SAY(name)                                                                                  \
    (void)printf(" " #name " %" PRIu64, sim_counters.name);                                        \
    missing += sim_counters.name == 0;

    (void)printf("%" PRIu64 " seeds:", seeds);
    SIM_COUNTERS(SAY)
    (void)printf("\n");
    if (missing > 0 && seeds >= COVERED_FROM && sim_about == SIM_ALL) {
        (void)fprintf(stderr, "%d kinds of things never happened (0 above)\n", missing);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

    sim_verbose = argc > 3 && strcmp(argv[3], "-v") == 0;
    if (argc > 4 && strcmp(argv[3], "-c") == 0) {
        sim_capture = argv[4];
    }
    if (argc > 4 && strcmp(argv[3], "-a") == 0) {
        sim_about = strcmp(argv[4], "spools") == 0     ? SIM_SPOOLS
                    : strcmp(argv[4], "refusals") == 0 ? SIM_REFUSALS
                                                       : SIM_ALL;
    }
    nw_log_setup(2, sim_verbose && count == 1 ? NW_LOG_DEBUG : (enum nw_log_level)0, false);
    for (uint64_t seed = first; seed - first < count; seed++) {
        uint64_t trace = story(seed);

        if (sim_capture == NULL && (seed - first) % TWICE_EVERY == 0 && story(seed) != trace) {
            (void)fprintf(stderr, "seed %" PRIu64 " told two stories\n", seed);
            return 1;
        }
    }
    return coverage_say(count);
}
