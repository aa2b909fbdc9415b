/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Kafka sink stores in its ledger is what it finds there again: through the plugin's own
 * calls, with the brokers that librdkafka has for tests. They know nothing of aborted transactions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "config/run_config.h"
#include "kafka/kafka.h"

#include <librdkafka/rdkafka_mock.h> /* needs rdkafka.h before it */

#define TABLE 16412u

static rd_kafka_t *client; /* of the brokers */
static rd_kafka_mock_cluster_t *cluster;

NW_PRINTF(3, 4)
static void log_nothing(const struct nw_host *host, enum nw_log_level level, const char *format,
                        ...)
{
    (void)host;
    (void)level;
    (void)format;
}

static int64_t now_ns(const struct nw_host *host)
{
    struct timespec now = {0};

    (void)host;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t wall_us(const struct nw_host *host)
{
    return now_ns(host) / 1000;
}

static void random_bytes(const struct nw_host *host, void *bytes, size_t size)
{
    static uint8_t next;

    (void)host;
    memset(bytes, ++next, size);
}

static const struct nw_host host = {.abi = NW_SINK_ABI,
                                    .size = offsetof(struct nw_host, text_now), /* no secrets */
                                    .log = log_nothing,
                                    .now_ns = now_ns,
                                    .wall_us = wall_us,
                                    .random = random_bytes};

/* A sink that was taken; its settings live as long. */
struct life {
    struct nw_run_config config;
    struct nw_kafka_sink *sink;
    struct nw_error err;
    nw_status status;
};

static nw_status producer_begin(struct nw_kafka_sink *sink, uint32_t worker, struct nw_error *err)
{
    struct nw_kafka_producer *producer = &sink->producers[worker];
    char id[128];
    nw_status status = NW_OK;

    (void)snprintf(id, sizeof id, "narwal.%s.kafka.%u", sink->options.prefix, worker);
    producer->sink = sink;
    status = nw_kafka_producer_begin(producer, id, err);
    if (status == NW_OK) {
        producer->ledger = rd_kafka_topic_new(producer->client, sink->options.ledger_topic, NULL);
        assert_non_null(producer->ledger);
        sink->workers[worker].producer = producer;
    }
    return status;
}

static nw_status take(struct nw_kafka_sink *sink, struct nw_error *err)
{
    uint32_t wanted = sink->options.transactional ? sink->workers_count : 1;
    nw_status status = NW_OK;

    nw_kafka_end(sink);
    status = nw_kafka_ledger_ours(sink, err);
    status = status == NW_OK ? producer_begin(sink, 0, err) : status;
    status = status == NW_OK ? nw_kafka_ledger_own(sink, &sink->state, err) : status;
    for (uint32_t i = 1; i < wanted && status == NW_OK; i++) {
        status = producer_begin(sink, i, err);
    }
    status = status == NW_OK ? nw_kafka_ledger_owned(sink, &sink->state, err) : status;
    if (status == NW_OK && sink->state.workers != wanted && nw_kafka_ledger_is_even(&sink->state)) {
        status = nw_kafka_ledger_deal(sink, wanted, err);
    }
    return status;
}

static void life_begin(struct life *life, const char *prefix, const char *delivery,
                       uint32_t workers)
{
    const struct nw_sink_ops *ops = nw_sink_entry();
    struct nw_config resolved;
    char spec[512];
    const char *sinks[1] = {spec};
    void *sink = NULL;

    *life = (struct life){.sink = NULL};
    (void)snprintf(spec, sizeof spec, "kafka:%s,prefix=%s,delivery=%s",
                   rd_kafka_mock_cluster_bootstraps(cluster), prefix, delivery);
    assert_int_equal(nw_config_from_arguments("dbname=x", sinks, 1, &life->config, &life->err),
                     NW_OK);
    assert_int_equal(nw_config_resolve_sink(&life->config, 0, ops->options, ops->options_count,
                                            &resolved, &life->err),
                     NW_OK);
    if (ops->open(&host, &resolved, workers, &sink, &life->err) != NW_OK) {
        fail_msg("%s", life->err.text);
    }
    life->sink = sink;
    life->sink->positioned = true; /* no first copy is under way */
    life->status = take(life->sink, &life->err);
}

static void life_end(struct life *life)
{
    nw_sink_entry()->close(life->sink);
    nw_config_free(&life->config);
}

static void begin(struct life *life, const char *prefix, const char *delivery, uint32_t workers)
{
    life_begin(life, prefix, delivery, workers);
    if (life->status != NW_OK) {
        fail_msg("%s", life->err.text);
    }
}

static void topic_make(const char *prefix)
{
    char name[64];

    (void)snprintf(name, sizeof name, "_narwal.%s.kafka", prefix);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, name, 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* @param lsns  of each position; their bytes are "p" and the LSN's last digit */
static void commit(struct life *life, const uint64_t *lsns, uint32_t count,
                   const struct nw_copy_state *copy, uint32_t flags)
{
    struct nw_position positions[4];
    uint8_t bytes[4][2];
    struct nw_commit wanted = {.size = sizeof wanted,
                               .positions_count = count,
                               .positions = positions,
                               .copies_count = copy != NULL,
                               .copies = copy,
                               .flags = flags};
    enum nw_outcome outcome = NW_UNKNOWN;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < count; i++) {
        bytes[i][0] = 'p';
        bytes[i][1] = (uint8_t)('0' + lsns[i] % 10);
        positions[i] = (struct nw_position){.bytes = bytes[i], .size = 2, .lsn = lsns[i]};
    }
    status = nw_sink_entry()->commit(life->sink, &wanted, &outcome, &life->err);
    if (status != NW_OK || outcome != NW_COMMITTED) {
        fail_msg("%d %d %s", (int)status, (int)outcome, life->err.text);
    }
}

static void assert_position(const struct life *life, uint32_t worker, uint64_t lsn)
{
    const struct nw_kafka_position *position = &life->sink->state.positions[worker];
    const uint8_t bytes[2] = {'p', (uint8_t)('0' + lsn % 10)};

    assert_true(position->there);
    assert_int_equal(position->lsn, lsn);
    assert_int_equal(position->size, 2);
    assert_memory_equal(position->bytes, bytes, 2);
}

/* ---- stories ---- */

static void what_was_committed_is_found_again(void **state)
{
    static const char *const deliveries[] = {"transactional", "idempotent"};
    const uint8_t bytes[3] = {0, 0xff, 7};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct nw_copy_state copy = {
            .relation_oid = TABLE, .generation = 2, .bytes = bytes, .size = sizeof bytes};
        struct life life;

        topic_make(deliveries[i]);
        begin(&life, deliveries[i], deliveries[i], 1);
        assert_false(life.sink->state.positions[0].there);
        assert_int_equal(life.sink->state.copies_count, 0);
        assert_int_equal(life.sink->owned, 1);
        commit(&life, &(uint64_t){0}, 1, &copy, 0);
        copy.complete = true;
        copy.generation = 3;
        commit(&life, &(uint64_t){31}, 1, &copy, 0);
        commit(&life, &(uint64_t){42}, 1, NULL, 0);
        life_end(&life);

        begin(&life, deliveries[i], deliveries[i], 1);
        assert_int_equal(life.sink->owned, 2);
        assert_int_equal(life.sink->state.workers, 1);
        assert_position(&life, 0, 42);
        assert_int_equal(life.sink->state.copies_count, 1);
        assert_int_equal(life.sink->state.copies[0].relation_oid, TABLE);
        assert_int_equal(life.sink->state.copies[0].generation, 3);
        assert_true(life.sink->state.copies[0].complete);
        assert_int_equal(life.sink->state.copies[0].size, sizeof bytes);
        assert_memory_equal(life.sink->state.copies[0].bytes, bytes, sizeof bytes);
        assert_int_equal(nw_kafka_ledger_ahead(&life.sink->state), 0);
        life_end(&life);
    }
}

static void whoever_comes_later_has_it(void **state)
{
    struct life former;
    struct life later;

    (void)state;
    topic_make("two");
    begin(&former, "two", "transactional", 1);
    begin(&later, "two", "transactional", 1);
    assert_int_equal(later.sink->owned, 2);
    former.status = take(former.sink, &former.err);
    assert_int_equal(former.status, NW_FATAL);
    assert_non_null(strstr(former.err.text, "NW2406"));
    /* The one that has it may ask again. */
    assert_int_equal(take(later.sink, &later.err), NW_OK);
    assert_int_equal(later.sink->owned, 3);
    life_end(&former);
    life_end(&later);
}

static void the_number_of_workers_changes_where_all_are_at_one_position(void **state)
{
    struct life life;

    (void)state;
    topic_make("many");
    begin(&life, "many", "transactional", 1);
    commit(&life, &(uint64_t){11}, 1, NULL, 0);
    life_end(&life);

    begin(&life, "many", "transactional", 3);
    assert_int_equal(life.sink->state.workers, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_position(&life, i, 11);
    }
    commit(&life, (uint64_t[]){21, 22, 21}, 3, NULL, 0);
    life_end(&life);

    begin(&life, "many", "transactional", 2);
    assert_int_equal(life.sink->state.workers, 3); /* the host refuses */
    assert_position(&life, 0, 21);
    assert_position(&life, 1, 22);
    life_end(&life);

    begin(&life, "many", "transactional", 3);
    commit(&life, (uint64_t[]){33, 33, 33}, 3, NULL, 0);
    life_end(&life);

    begin(&life, "many", "transactional", 2);
    assert_int_equal(life.sink->state.workers, 2);
    assert_position(&life, 1, 33);
    life_end(&life);
}

/* Commits a part of a table, without a position. */
static void part_commit(struct life *life, uint64_t lsn, uint64_t seq)
{
    struct nw_kafka_sink *sink = life->sink;
    const struct nw_kafka_place place = {lsn, seq};
    enum nw_outcome outcome = NW_UNKNOWN;

    assert_int_equal(nw_kafka_begin(&sink->producers[0], &life->err), NW_OK);
    assert_int_equal(nw_kafka_ledger_part(&sink->producers[0], 0, TABLE, &place, &life->err),
                     NW_OK);
    assert_int_equal(nw_kafka_commit(&sink->producers[0], &outcome, &life->err), NW_OK);
    assert_int_equal(outcome, NW_COMMITTED);
}

static struct nw_kafka_place past(const struct life *life)
{
    return nw_kafka_ledger_past(&life->sink->state, 0, TABLE);
}

static void a_part_is_in_force_until_the_position_is_past_it(void **state)
{
    struct life life;

    (void)state;
    topic_make("parts");
    begin(&life, "parts", "transactional", 1);
    commit(&life, &(uint64_t){50}, 1, NULL, 0);
    part_commit(&life, 60, 6);
    part_commit(&life, 60, 9); /* the later one counts */
    life_end(&life);

    begin(&life, "parts", "transactional", 1);
    assert_int_equal(past(&life).commit_lsn, 60);
    assert_int_equal(past(&life).seq, 9);
    assert_int_equal(nw_kafka_ledger_ahead(&life.sink->state), 60);
    commit(&life, &(uint64_t){60}, 1, NULL, 0);
    assert_int_equal(past(&life).commit_lsn, 60); /* of what begins there nothing is behind it */
    commit(&life, &(uint64_t){61}, 1, NULL, 0);
    assert_int_equal(past(&life).commit_lsn, 0);
    life_end(&life);

    begin(&life, "parts", "transactional", 1);
    assert_int_equal(nw_kafka_ledger_ahead(&life.sink->state), 0);
    life_end(&life);
}

static void a_part_is_of_the_position_that_was_in_force(void **state)
{
    struct life life;

    (void)state;
    topic_make("moves");
    begin(&life, "moves", "transactional", 1);
    commit(&life, &(uint64_t){50}, 1, NULL, 0);
    part_commit(&life, 60, 6);
    life_end(&life);

    begin(&life, "moves", "transactional", 1);
    assert_int_equal(past(&life).commit_lsn, 60);
    commit(&life, &(uint64_t){40}, 1, NULL, NW_COMMIT_MOVES); /* another server's */
    assert_int_equal(past(&life).commit_lsn, 0);
    part_commit(&life, 45, 1);
    life_end(&life);

    begin(&life, "moves", "transactional", 1);
    assert_int_equal(past(&life).commit_lsn, 45);
    life_end(&life);
}

static void a_part_ends_with_a_copy_of_its_table(void **state)
{
    struct life life;
    struct nw_kafka_sink *sink = NULL;

    (void)state;
    topic_make("ended");
    begin(&life, "ended", "transactional", 1);
    commit(&life, &(uint64_t){50}, 1, NULL, 0);
    part_commit(&life, 60, 6);
    life_end(&life);

    begin(&life, "ended", "transactional", 1);
    sink = life.sink;
    nw_kafka_ledger_part_end(&sink->state, TABLE + 1);
    assert_int_equal(past(&life).commit_lsn, 60);
    nw_kafka_ledger_part_end(&sink->state, TABLE);
    assert_int_equal(past(&life).commit_lsn, 0);
    commit(&life, &(uint64_t){51}, 1, NULL, 0); /* says so to the ledger */
    life_end(&life);

    begin(&life, "ended", "transactional", 1);
    assert_int_equal(past(&life).commit_lsn, 0);
    life_end(&life);
}

/* @param key  NULL: none. @param value  NULL: the key is forgotten */
static void message_put(const char *topic, const char *key, const char *value)
{
    char why[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *producer = NULL;
    size_t key_size = key == NULL ? 0 : strlen(key);
    size_t size = value == NULL ? 0 : strlen(value);

    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers",
                                       rd_kafka_mock_cluster_bootstraps(cluster), why, sizeof why),
                     RD_KAFKA_CONF_OK);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(producer);
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_size),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, size),
                                       RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}

static void record_put(const char *prefix, const char *key, const char *value)
{
    char topic[64];

    (void)snprintf(topic, sizeof topic, "_narwal.%s.kafka", prefix);
    message_put(topic, key, value);
}

/* The first copy, into a topic whose name a template gives that begins with nothing of the sink's.
 */
static void topic_prove(struct life *life, const char *topic, nw_status wanted)
{
    const char *given = life->sink->options.template_;
    nw_status status = NW_OK;

    life->sink->positioned = false;
    life->sink->options.template_ = "{table}";
    status = nw_kafka_topic_prove(&life->sink->producers[0], TABLE, topic, &life->err);
    life->sink->options.template_ = given;
    if (status != wanted) {
        fail_msg("%d %s", (int)status, life->err.text);
    }
    if (wanted == NW_FATAL) {
        assert_non_null(strstr(life->err.text, "NW2731"));
    }
}

/* While what a former process left open hid from it that the number was taken. */
static void another_one_with_the_same_number_is_another_one(void **state)
{
    struct life life;

    (void)state;
    topic_make("same");
    begin(&life, "same", "transactional", 1);
    record_put("same", "owner", "{\"narwal\":1,\"fencing\":1,\"token\":7,\"workers\":1}");
    life.status = take(life.sink, &life.err);
    assert_int_equal(life.status, NW_FATAL);
    assert_non_null(strstr(life.err.text, "NW2406"));
    life_end(&life);
}

static void what_a_later_narwal_adds_is_passed_over(void **state)
{
    struct life life;

    (void)state;
    topic_make("later");
    record_put("later", "later/1", "{\"narwal\":1,\"what\":[{}]}");
    record_put("later", "position/16", "{\"narwal\":2,\"lsn\":\"0/1\",\"moves\":0,\"bytes\":\"\"}");
    record_put("later", "owner", "{\"narwal\":1,\"fencing\":8,\"token\":1}");
    begin(&life, "later", "transactional", 1);
    assert_int_equal(life.sink->owned, 9);
    assert_int_equal(life.sink->state.workers, 1); /* there was no number of them at first */
    assert_false(life.sink->state.positions[0].there);
    life_end(&life);
}

/* Where its name says nothing of whose it is. */
static void a_topic_is_begun_once(void **state)
{
    static const char *const deliveries[] = {"transactional", "idempotent"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char prefix[32];
        char topic[NW_KAFKA_TOPIC_SIZE];
        struct life life;

        (void)snprintf(prefix, sizeof prefix, "begun-%s", deliveries[i]);
        memset(topic, 'a' + i, NW_NAME_BYTES_MAX); /* the longest name */
        topic[NW_NAME_BYTES_MAX] = '\0';
        topic_make(prefix);
        assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, 1, 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        begin(&life, prefix, deliveries[i], 1);
        topic_prove(&life, topic, NW_OK);
        assert_true(nw_kafka_ledger_has_topic(&life.sink->state, topic));
        message_put(topic, NULL, "x");
        topic_prove(&life, topic, NW_OK);
        life_end(&life);

        begin(&life, prefix, deliveries[i], 1);
        topic_prove(&life, topic, NW_OK);
        topic[NW_NAME_BYTES_MAX - 1] = '\0';
        assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, 1, 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        message_put(topic, NULL, "x");
        topic_prove(&life, topic, NW_FATAL);
        assert_false(nw_kafka_ledger_has_topic(&life.sink->state, topic));
        assert_int_equal(life.sink->state.topics_count, 1);
        life_end(&life);
    }
}

static void what_is_said_of_a_topic_can_be_taken_back(void **state)
{
    struct life life;

    (void)state;
    topic_make("back");
    record_put("back", "topic/b", "{\"narwal\":1}");
    record_put("back", "topic/a", "{\"narwal\":1,\"later\":[]}");
    record_put("back", "topic/b", NULL);
    record_put("back", "topic/c", NULL);
    record_put("back", "topic/a", "{\"narwal\":1}");
    begin(&life, "back", "transactional", 1);
    assert_int_equal(life.sink->state.topics_count, 1);
    assert_true(nw_kafka_ledger_has_topic(&life.sink->state, "a"));
    life_end(&life);
}

/* A narwal that wrote no such records was in the middle of its first copy, into one topic of two
 * tables; the one that it had not begun comes first now. */
static void what_a_former_narwal_began_is_not_somebody_elses(void **state)
{
    const struct nw_copy_state copy = {
        .relation_oid = TABLE + 1, .generation = 1, .bytes = (const uint8_t *)"x", .size = 1};
    struct life life;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *topic = i == 0 ? "shared-0" : "shared-1";

        assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, 1, 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        message_put(topic, NULL, "x");
    }
    topic_make("former");
    record_put("former", "owner", "{\"narwal\":1,\"fencing\":1,\"token\":7,\"workers\":1}");
    record_put("former", "copy/16385",
               "{\"narwal\":1,\"generation\":1,\"complete\":false,\"bytes\":\"78\"}");
    for (int i = 0; i < 2; i++) { /* also after a start with only some of them proved */
        begin(&life, "former", "transactional", 1);
        assert_false(life.sink->state.names_topics);
        topic_prove(&life, i == 0 ? "shared-0" : "shared-1", NW_OK);
        life_end(&life);
    }

    topic_make("present");
    record_put("present", "owner", "{\"narwal\":1,\"fencing\":1,\"token\":7,\"workers\":1}");
    begin(&life, "present", "transactional", 1);
    assert_true(life.sink->state.names_topics); /* nothing was begun yet */
    commit(&life, &(uint64_t){0}, 1, &copy, 0);
    life_end(&life);
    begin(&life, "present", "transactional", 1);
    assert_true(life.sink->state.names_topics);
    topic_prove(&life, "shared-0", NW_FATAL);
    life_end(&life);
}

static void records_that_are_not_known_are_refused(void **state)
{
    static const char *const values[] = {"{\"narwal\":3}", "{\"narwal\":1,\"workers\":17}", "{}",
                                         "nonsense", "{\"narwal\":1} x"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct life life;
        char prefix[16];

        (void)snprintf(prefix, sizeof prefix, "other%zu", i);
        topic_make(prefix);
        record_put(prefix, "owner", values[i]);
        life_begin(&life, prefix, "transactional", 1);
        assert_int_equal(life.status, NW_FATAL);
        assert_non_null(strstr(life.err.text, "NW2706"));
        life_end(&life);
    }
}

/* ---- */

static int brokers_start(void **state)
{
    char why[256] = "";

    (void)state;
    client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    cluster = client == NULL ? NULL : rd_kafka_mock_cluster_new(client, 1);
    return cluster == NULL ? -1 : 0;
}

static int brokers_stop(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_is_found_again),
        cmocka_unit_test(whoever_comes_later_has_it),
        cmocka_unit_test(the_number_of_workers_changes_where_all_are_at_one_position),
        cmocka_unit_test(a_part_is_in_force_until_the_position_is_past_it),
        cmocka_unit_test(a_part_is_of_the_position_that_was_in_force),
        cmocka_unit_test(a_part_ends_with_a_copy_of_its_table),
        cmocka_unit_test(another_one_with_the_same_number_is_another_one),
        cmocka_unit_test(what_a_later_narwal_adds_is_passed_over),
        cmocka_unit_test(a_topic_is_begun_once),
        cmocka_unit_test(what_is_said_of_a_topic_can_be_taken_back),
        cmocka_unit_test(what_a_former_narwal_began_is_not_somebody_elses),
        cmocka_unit_test(records_that_are_not_known_are_refused),
    };

    return cmocka_run_group_tests(tests, brokers_start, brokers_stop);
}
