/* SPDX-License-Identifier: Apache-2.0 */
/* Which copies signals asked for: what is said of them when, also when a commit fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/kafka.h"
#include "row_kit.h"

/* As narwal does: what is asked for is answered once for each time, in that order. */
#define ASKED_MAX 1100
static struct answer {
    char command[NW_KAFKA_COMMAND_SIZE];
    const char *tables; /* each with a semicolon; NULL: not known yet */
    bool taken;
} answers[ASKED_MAX];
static uint32_t answers_count, room;
static const char *coming; /* "": what is copied; NULL: not known */
static char *many;         /* long names */
static struct nw_host host;
static struct nw_kafka_sink sink;

static nw_status fake_ask(const struct nw_host *fake, const char *command, struct nw_error *err)
{
    (void)fake;
    (void)err;
    if (answers_count == room) {
        return NW_AGAIN;
    }
    (void)snprintf(answers[answers_count].command, NW_KAFKA_COMMAND_SIZE, "%s", command);
    answers_count++;
    return NW_OK;
}

/* By the key "known" something was asked for before. */
static nw_status fake_ask_all(const struct nw_host *fake, struct nw_request *request,
                              struct nw_error *err)
{
    assert_int_equal(pthread_mutex_trylock(&sink.lock), 0); /* it takes long */
    (void)pthread_mutex_unlock(&sink.lock);
    request->again = strcmp(request->key, "known") == 0;
    if (request->commands_count > room - answers_count) {
        return NW_AGAIN;
    }
    for (uint32_t i = 0; !request->again && i < request->commands_count; i++) {
        assert_int_equal(fake_ask(fake, request->commands[i], err), NW_OK);
    }
    return NW_OK;
}

static nw_status fake_requests(const struct nw_host *fake, nw_request_fn each, void *context,
                               struct nw_error *err)
{
    static const char *const all[][3] = {
        {"k1", "ione", "x"}, {"k1", "ione", "y"}, {"k2", "btwo", "x"}};

    (void)err;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(fake_ask(fake, all[i][2], err), NW_OK);
        each(context, all[i][0], all[i][1], all[i][2]);
    }
    return NW_OK;
}

static nw_status names_give(const char *tables, char *names, size_t size, size_t *used)
{
    *used = strlen(tables);
    if (*used > size) {
        return NW_REJECT;
    }
    for (size_t i = 0; i < *used; i++) {
        names[i] = tables[i] == ';' ? '\0' : tables[i];
    }
    return NW_OK;
}

static nw_status fake_copies(const struct nw_host *fake, const char *command, char *names,
                             size_t size, size_t *used)
{
    (void)fake;
    *used = 0;
    if (command != NULL && command[0] == '\0' && coming != NULL) {
        return names_give(coming, names, size, used);
    }
    for (uint32_t i = 0; command != NULL && i < answers_count; i++) {
        struct answer *answer = &answers[i];

        if (!answer->taken && answer->tables != NULL && strcmp(answer->command, command) == 0) {
            nw_status status = names_give(answer->tables, names, size, used);

            answer->taken = status == NW_OK;
            return status;
        }
    }
    return NW_AGAIN;
}

static uint32_t logged;

static void counting_log(const struct nw_host *fake, enum nw_log_level level, const char *format,
                         ...)
{
    (void)fake;
    (void)level;
    (void)format;
    logged++;
}

static int begin(void **state)
{
    (void)state;
    logged = 0;
    memset(answers, 0, sizeof answers);
    memset(&sink, 0, sizeof sink);
    answers_count = 0;
    room = ASKED_MAX;
    coming = NULL;
    host = (struct nw_host){.size = sizeof host,
                            .ask = fake_ask,
                            .log = counting_log,
                            .copies = fake_copies,
                            .ask_all = fake_ask_all,
                            .requests = fake_requests};
    sink.host = &host;
    sink.options.conf = rd_kafka_conf_new();
    return pthread_mutex_init(&sink.lock, NULL);
}

static int end(void **state)
{
    (void)state;
    nw_kafka_asked_fini(&sink);
    nw_kafka_ledger_signals_forget(&sink.state);
    free(many);
    many = NULL;
    rd_kafka_conf_destroy(sink.options.conf);
    return pthread_mutex_destroy(&sink.lock);
}

static nw_status note(const char *id, bool blocking, const char *const *commands, uint32_t count,
                      const char *key)
{
    const struct nw_kafka_ask what = {
        .id = id, .blocking = blocking, .commands = commands, .count = count, .key = key};
    bool again = false;
    struct nw_error err = {0};
    nw_status status = nw_kafka_asked_note(&sink, &what, &again, &err);

    assert_int_equal(again, strcmp(key, "known") == 0);
    return status;
}

/* The next signal asks for it. */
static void ask(const char *id, bool blocking, const char *command, const char *tables)
{
    assert_int_equal(note(id, blocking, &command, 1, id), NW_OK);
    answers[answers_count - 1].tables = tables;
}

/* s.a has the oid 'a'. */
static struct nw_table table_of(const char *name)
{
    return (struct nw_table){
        .relation_oid = (uint32_t)name[2], .schema_name = "s", .name = name + 2};
}

/* What is to be said of a copy of the table, as "id names starts ends", of each signal. */
static void check(enum nw_kafka_copy_step step, const char *name, const char *wanted)
{
    struct nw_table table = table_of(name);
    char said[512] = "";
    size_t used = 0;
    uint32_t after = 0;
    bool more = true;

    while (more) {
        struct nw_kafka_asking asking;

        nw_kafka_asked_of(&sink, &table, step, after, &asking);
        more = asking.signal != 0;
        if (more || after == 0) {
            used += (size_t)snprintf(said + used, sizeof said - used, "%s%s %.*s%s%s",
                                     after == 0 ? "" : "; ", asking.id, (int)asking.names.used,
                                     (const char *)asking.names.bytes,
                                     asking.starts ? " starts" : "", asking.ends ? " ends" : "");
        }
        after = asking.signal;
        nw_kafka_asking_fini(&asking);
    }
    assert_string_equal(said, wanted);
}

static void begins(const char *name, const char *wanted)
{
    struct nw_table table = table_of(name);
    struct nw_kafka_asking asking;
    uint32_t after = 0;

    check(NW_KAFKA_COPY_BEGINS, name, wanted);
    do {
        nw_kafka_asked_of(&sink, &table, NW_KAFKA_COPY_IS_BEGUN, after, &asking);
        nw_kafka_asked_begun(&sink, &asking);
        after = asking.signal;
        nw_kafka_asking_fini(&asking);
    } while (after != 0);
}

static void ends(const char *name, const char *wanted)
{
    struct nw_table table = table_of(name);
    struct nw_kafka_asking asking;
    uint32_t after = 0;

    check(NW_KAFKA_COPY_IS_BEGUN, name, wanted);
    do {
        nw_kafka_asked_of(&sink, &table, NW_KAFKA_COPY_IS_BEGUN, after, &asking);
        nw_kafka_asked_ended(&sink, &asking, table.relation_oid);
        after = asking.signal;
        nw_kafka_asking_fini(&asking);
    } while (after != 0);
}

static void a_signal_ends_with_the_last_of_its_tables(void **state)
{
    (void)state;
    assert_int_equal(note("one", false, (const char *const[]){"x", "y"}, 2, "one"), NW_OK);
    answers[0].tables = "97 s.a;98 s.b;";
    begins("s.a", "one s.a,s.b starts");
    begins("s.b", "one s.a,s.b");
    ends("s.a", "one s.a,s.b");
    check(NW_KAFKA_COPY_IS_BEGUN, "s.b", "one s.b"); /* what the other stands for is not known */
    answers[1].tables = "99 s.c;";
    ends("s.b", "one s.b,s.c");
    begins("s.c", "one s.c ends");
    ends("s.c", "one s.c ends");
    begins("s.c", " s.c starts ends"); /* a copy that nobody asked for */
}

static void what_was_not_committed_is_said_again(void **state)
{
    (void)state;
    ask("one", false, "x", "97 s.a;98 s.b;");
    begins("s.a", "one s.a,s.b starts");
    ends("s.a", "one s.a,s.b");
    nw_kafka_asked_settle(&sink, false);
    begins("s.a", "one s.a,s.b starts");
    nw_kafka_asked_settle(&sink, true);
    ends("s.a", "one s.a,s.b");
    nw_kafka_asked_settle(&sink, false);
    begins("s.b", "one s.a,s.b");
    ends("s.a", "one s.a,s.b"); /* it is known of what it is, though it does not begin again */
    ends("s.b", "one s.b ends");
    nw_kafka_asked_settle(&sink, true);
    check(NW_KAFKA_COPY_BEGINS, "s.a", " s.a starts ends");
    assert_int_equal(sink.asked_count, 0);
}

/* What the ledger is to have of the first signal now; "": nothing; "-": what it has. */
static void recorded(const char *wanted)
{
    struct nw_out out = {0};
    uint32_t signal = nw_kafka_asked_changed(&sink, 0, &out);
    struct nw_error err = {0};

    nw_out_bytes(&out, "", 1);
    assert_string_equal(signal == 0 ? "-" : (const char *)out.bytes, wanted);
    if (signal != 0) {
        assert_int_equal(nw_kafka_ledger_signal_take(&sink.state, signal,
                                                     out.used == 1 ? NULL : out.bytes, out.used - 1,
                                                     &err),
                         NW_OK);
    }
    nw_out_fini(&out);
}

/* The process ends, and another reads the ledger. */
static void start_anew(bool process)
{
    struct nw_kafka_state state = sink.state;
    struct nw_error err = {0};

    if (process) {
        nw_kafka_asked_fini(&sink);
        sink.asked = NULL;
        sink.asked_count = sink.asked_capacity = sink.signals_count = 0;
    }
    sink.state = state;
    assert_int_equal(nw_kafka_asked_restore(&sink, &err), NW_OK);
}

static void a_signal_goes_on_in_another_process(void **state)
{
    (void)state;
    recorded("-");
    assert_int_equal(note("o\"e", true, (const char *const[]){"x", "y"}, 2, "one"), NW_OK);
    answers[0].tables = "97 s.a;98 s.b;";
    nw_kafka_asked_poll(&sink);
    recorded("-"); /* not all of it is known */
    answers[1].tables = "98 s.b;99 s.c;";
    begins("s.a", "o\"e s.a,s.b,s.c starts"); /* s.b once */
    recorded("{\"narwal\":1,\"id\":\"o\\\"e\",\"type\":\"b\",\"tables\":[\"+97 s.a\",\" 98 s.b\","
             "\" 99 s.c\"],\"started\":true,\"first\":0}");
    recorded("-");
    nw_kafka_asked_settle(&sink, true);
    recorded("-");
    start_anew(true);
    recorded("-");
    assert_true(nw_kafka_asked_first(&sink, 1, 97));
    check(NW_KAFKA_COPY_IS_BEGUN, "s.b", " s.b starts ends"); /* one that nobody asked for */
    begins("s.b", "o\"e s.a,s.b,s.c");
    ends("s.a", "o\"e s.a,s.b,s.c");
    recorded("{\"narwal\":1,\"id\":\"o\\\"e\",\"type\":\"b\",\"tables\":[\"+98 s.b\",\" 99 s.c\"],"
             "\"started\":true,\"first\":97}");
    nw_kafka_asked_settle(&sink, true);
    ask("two", false, "z", "97 s.a;");
    start_anew(false); /* as after a fault: what was not recorded stays, too */
    begins("s.a", "two s.a starts ends");
    ends("s.b", "o\"e s.b,s.c");
    begins("s.c", "o\"e s.b,s.c ends");
    ends("s.c", "o\"e s.b,s.c ends");
    recorded("");
    nw_kafka_asked_settle(&sink, true);
    recorded(
        "{\"narwal\":1,\"id\":\"two\",\"type\":\"i\",\"tables\":[\"+97 s.a\"],\"started\":true,"
        "\"first\":0}");
    assert_int_equal(sink.asked_count, 1);
}

/* 84 bytes fit where messages may have 1140. */
static void a_record_that_is_too_large_is_left_out(void **state)
{
    char why[64];

    (void)state;
    ask("one", false, "x", "97 s.a;98 s.b;");
    begins("s.a", "one s.a,s.b starts");
    recorded("{\"narwal\":1,\"id\":\"one\",\"type\":\"i\",\"tables\":[\"+97 s.a\",\" 98 s.b\"],"
             "\"started\":true,\"first\":0}");
    nw_kafka_asked_settle(&sink, true);
    assert_int_equal(
        rd_kafka_conf_set(sink.options.conf, "message.max.bytes", "1140", why, sizeof why),
        RD_KAFKA_CONF_OK);
    recorded("");
    recorded("-");
    nw_kafka_asked_settle(&sink, true);
    recorded("-");
    assert_int_equal(logged, 1);
    ends("s.a", "one s.a,s.b");
    recorded("{\"narwal\":1,\"id\":\"one\",\"type\":\"i\",\"tables\":[\" 98 s.b\"],"
             "\"started\":true,\"first\":0}");
}

/* As long as Debezium's column takes, and longer: what is kept ends with a character. */
static void an_id_of_many_bytes_goes_on(void **state)
{
    char id[400] = "";

    (void)state;
    for (int i = 0; i < 40; i++) {
        memcpy(id + strlen(id), "\xd0\x96", 3);
    }
    ask(id, false, "x", "97 s.a;98 s.b;");
    nw_kafka_asked_poll(&sink);
    assert_string_equal(sink.asked[0].id, id);
    for (int i = 0; i < 100; i++) {
        memcpy(id + strlen(id), "\xd0\x96", 3);
    }
    assert_int_equal(note(id, false, (const char *const[]){"y"}, 1, "k"), NW_OK);
    id[254] = '\0'; /* 255 would end inside one */
    assert_string_equal(sink.asked[1].id, id);
    id[80] = '\0';
    {
        struct nw_out out = {0};
        struct nw_error err = {0};

        assert_int_equal(nw_kafka_asked_changed(&sink, 0, &out), 1);
        assert_int_equal(nw_kafka_ledger_signal_take(&sink.state, 1, out.bytes, out.used, &err),
                         NW_OK);
        nw_out_fini(&out);
    }
    start_anew(true);
    assert_int_equal(sink.asked_count, 1);
    assert_string_equal(sink.asked[0].id, id);
}

/* Nor is anything said of a signal whose record cannot be read; its number is not given again. */
static void a_record_that_is_none_is_left_out(void **state)
{
    static const char *const texts[] = {"{", "{\"narwal\":1}",
                                        "{\"narwal\":1,\"tables\":[1,\"x\",\"+7\"]}",
                                        "{\"narwal\":1,\"tables\":[\"+97 s.a\"]}"};
    struct nw_error err = {0};

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(
            nw_kafka_ledger_signal_take(&sink.state, 9 - i, texts[i], strlen(texts[i]), &err),
            NW_OK);
    }
    start_anew(true);
    assert_int_equal(logged, 3);
    assert_int_equal(sink.asked_count, 1);
    assert_int_equal(sink.asked[0].signal, 6);
    ask("new", false, "z", "98 s.b;");
    assert_int_equal(sink.asked[1].signal, 10);
}

static void a_copy_is_for_all_that_asked_when_it_began(void **state)
{
    (void)state;
    ask("one", false, "x", "97 s.a;");
    ask("two", true, "x", "97 s.a;");
    begins("s.a", "one s.a starts ends; two s.a starts ends");
    ask("late", false, "x", "97 s.a;");
    ends("s.a", "one s.a ends; two s.a ends");
    nw_kafka_asked_settle(&sink, true);
    begins("s.a", "late s.a starts ends");
    ends("s.a", "late s.a ends");
    nw_kafka_asked_settle(&sink, true);
    assert_int_equal(sink.asked_count, 0);
}

static void a_copy_of_nobodys_is_not_taken_by_a_later_signal(void **state)
{
    (void)state;
    begins("s.a", " s.a starts ends");
    ask("late", true, "x", "97 s.a;");
    assert_int_equal(nw_kafka_asked_blocking(&sink, 97), 0);
    ends("s.a", " s.a starts ends");
    begins("s.a", "late s.a starts ends");
    assert_int_equal(nw_kafka_asked_blocking(&sink, 97), 1);
    nw_kafka_asked_settle(&sink, false);
    assert_int_equal(nw_kafka_asked_blocking(&sink, 97), 1); /* also when the sink recovers */
}

static void a_refused_one_has_no_tables(void **state)
{
    struct nw_kafka_asking asking;

    (void)state;
    ask("one", false, "x", ""); /* refused */
    ask("two", false, "x", "97 s.a;");
    begins("s.a", "two s.a starts ends");
    nw_kafka_asked_settle(&sink, true);
    nw_kafka_asked_signal(&sink, 1, &asking);
    assert_int_equal(asking.signal, 0); /* over */
    nw_kafka_asking_fini(&asking);
    room = answers_count;
    assert_int_equal(note("three", false, (const char *const[]){"x"}, 1, "three"), NW_AGAIN);
    nw_kafka_asked_signal(&sink, 3, &asking);
    assert_int_equal(asking.signal, 0); /* not noted */
    nw_kafka_asking_fini(&asking);
}

static void what_narwal_gave_up_is_lost(void **state)
{
    char *name = NULL;

    (void)state;
    ask("one", false, "x", "97 s.a;98 s.b;");
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 0); /* not known */
    coming = "97 s.a;98 s.renamed;";
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 0);
    begins("s.a", "one s.a,s.b starts");
    coming = "97 s.a;198 s.b;"; /* another table of that name */
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 98);
    assert_string_equal(name, "s.b");
    free(name);
    check(NW_KAFKA_COPY_IS_BEGUN, "s.b", " s.b starts ends");
    check(NW_KAFKA_COPY_IS_GONE, "s.b", "one s.a,s.b");
    ends("s.a", "one s.a,s.b");
    coming = "";
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 98);
    free(name);
}

/* What is to be said of copies that were stopped, as "id stopped | all starts"; then it is. */
static void stopped(const char *wanted)
{
    struct nw_kafka_asking asking;
    struct nw_out all = {0};
    char said[512];

    nw_kafka_asked_stopped(&sink, &asking, &all);
    (void)snprintf(said, sizeof said, "%s %.*s | %.*s%s", asking.id, (int)asking.names.used,
                   (const char *)asking.names.bytes, (int)all.used, (const char *)all.bytes,
                   asking.starts ? " starts" : "");
    assert_string_equal(said, wanted);
    nw_kafka_asked_begun(&sink, &asking);
    nw_kafka_asked_aborted(&sink, &asking);
    nw_kafka_asking_fini(&asking);
    nw_out_fini(&all);
}

static void stop(const char *command, const char *tables)
{
    const struct nw_kafka_ask what = {
        .id = "stop", .stops = true, .commands = &command, .count = 1, .key = "stop"};
    struct nw_error err = {0};
    bool again = false;

    assert_int_equal(nw_kafka_asked_note(&sink, &what, &again, &err), NW_OK);
    answers[answers_count - 1].tables = tables;
}

static void a_stopped_copy_is_said_once_and_its_end_is_not(void **state)
{
    char *name = NULL;

    (void)state;
    ask("one", false, "x", "97 s.a;98 s.b;");
    ask("two", false, "y", NULL);
    begins("s.a", "one s.a,s.b starts");
    assert_false(nw_kafka_asked_is_stopped(&sink, 97));
    stop("s", "97 s.a;");
    stopped("  | "); /* what the second stands for is not known, and it came before */
    answers[1].tables = "97 s.a;";
    stopped("one s.a | s.b,s.a");
    stopped("two s.a | s.a starts");
    nw_kafka_asked_settle(&sink, false);
    stopped("one s.a | s.b,s.a starts");
    stopped("two s.a | s.a starts");
    stopped("  | ");
    nw_kafka_asked_settle(&sink, true);
    assert_true(nw_kafka_asked_is_stopped(&sink, 97));
    check(NW_KAFKA_COPY_IS_BEGUN, "s.a", " s.a starts ends"); /* of nobody's that waits */
    begins("s.b", "one s.b ends");
    coming = "97 s.a;98 s.b;";
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 0);
    assert_true(nw_kafka_asked_is_stopped(&sink, 97));
    coming = "98 s.b;";
    assert_int_equal(nw_kafka_asked_lost(&sink, &name), 0);
    assert_false(nw_kafka_asked_is_stopped(&sink, 97));
    ends("s.b", "one s.b ends");
    nw_kafka_asked_settle(&sink, true);
    assert_int_equal(sink.asked_count, 0);
    ask("three", true, "z", "99 s.c;98 s.b;");
    stop("z", "99 s.c;");
    nw_kafka_asked_poll(&sink);
    stopped("three s.c | s.c,s.b starts"); /* "blocking" has all its names each time */
}

static void the_first_row_of_a_signal_is_of_one_table(void **state)
{
    (void)state;
    ask("one", true, "x", "97 s.a;98 s.b;");
    assert_true(nw_kafka_asked_first(&sink, 1, 70));
    assert_true(nw_kafka_asked_first(&sink, 1, 70));
    assert_false(nw_kafka_asked_first(&sink, 1, 71));
}

static void none_of_many_is_forgotten(void **state)
{
    static char texts[1001][16];
    const char *commands[1001];

    (void)state;
    for (uint32_t i = 0; i < 1001; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "y%u", i);
        commands[i] = texts[i];
    }
    assert_int_equal(note("one", false, commands, 1001, "one"), NW_OK);
    for (uint32_t i = 0; i < 1001; i++) {
        answers[i].tables = i == 0 ? "97 s.a;" : i == 1000 ? "98 s.b;" : "";
    }
    begins("s.a", "one s.a,s.b starts");
    ends("s.a", "one s.a,s.b");
    begins("s.b", "one s.b ends");
}

static void all_of_a_signal_is_taken_or_nothing(void **state)
{
    const char *const commands[] = {"x", "y", "z"};

    (void)state;
    ask("one", false, "x", "97 s.a;");
    room = answers_count + 2;
    assert_int_equal(note("two", false, commands, 3, "two"), NW_AGAIN);
    assert_int_equal(sink.asked_count, 1);
    assert_int_equal(note("two", false, commands, 2, "two"), NW_OK);
    assert_int_equal(sink.asked_count, 3);
    check(NW_KAFKA_COPY_BEGINS, "s.a", "one s.a starts ends");
}

static void what_comes_again_is_not_noted(void **state)
{
    const char *const commands[] = {"x", "y"};

    (void)state;
    assert_int_equal(note("one", false, commands, 2, "known"), NW_OK);
    assert_int_equal(sink.asked_count, 0);
}

static void what_a_former_process_asked_for_has_its_signal(void **state)
{
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_kafka_asked_read(&sink, &err), NW_OK);
    assert_int_equal(nw_kafka_asked_read(&sink, &err), NW_OK); /* once */
    assert_int_equal(sink.asked_count, 3);
    answers[0].tables = "97 s.a;";
    answers[1].tables = "98 s.b;";
    answers[2].tables = "97 s.a;";
    begins("s.a", "one s.a,s.b starts; two s.a starts ends");
    assert_int_equal(nw_kafka_asked_blocking(&sink, 97), 2);
    ask("three", false, "z", "99 s.c;");
    begins("s.c", "three s.c starts ends");
}

static void an_older_narwal_is_asked_one_by_one(void **state)
{
    const char *const commands[] = {"x", "y", "z"};

    (void)state;
    host.size = offsetof(struct nw_host, ask_all);
    room = 2;
    assert_int_equal(note("one", false, commands, 3, "one"), NW_AGAIN);
    assert_int_equal(sink.asked_count, 2); /* what it took */
}

static void names_that_are_long_come_whole(void **state)
{
    size_t size = 3u << 16;

    (void)state;
    many = calloc(1, size + 32);
    assert_non_null(many);
    for (size_t i = 0; i < size; i += 6) {
        memcpy(many + i, "7 s.x;", 6);
    }
    memcpy(many + strlen(many), "97 s.a;", 7);
    ask("one", false, "x", many);
    nw_kafka_asked_poll(&sink);
    assert_int_equal(sink.asked[0].tables_count, size / 6 + 1);
}

static void an_older_narwal_says_nothing_of_tables(void **state)
{
    (void)state;
    host.size = offsetof(struct nw_host, copies);
    ask("one", false, "x", "97 s.a;");
    check(NW_KAFKA_COPY_BEGINS, "s.a", " s.a starts ends");
}

/* ---- rows ---- */

static nw_status failing_ask_all(const struct nw_host *fake, struct nw_request *request,
                                 struct nw_error *err)
{
    (void)fake;
    request->again = false;
    if (room == 0) {
        return nw_fail(err, NW_RETRY, "the disk is full");
    }
    answers_count++;
    return NW_OK;
}

static void silent_log(const struct nw_host *fake, enum nw_log_level level, const char *format, ...)
{
    (void)fake;
    (void)level;
    (void)format;
}

static void fixed_random(const struct nw_host *fake, void *bytes, size_t size)
{
    (void)fake;
    memset(bytes, 5, size);
}

static nw_status row_signal(uint32_t number, struct nw_error *err)
{
    static const struct nw_column_schema columns[] = {{.name = "id", .type = NW_TYPE_TEXT},
                                                      {.name = "type", .type = NW_TYPE_TEXT},
                                                      {.name = "data", .type = NW_TYPE_TEXT}};
    static const struct nw_table table = {.size = sizeof table,
                                          .schema_name = "s",
                                          .name = "t",
                                          .columns = columns,
                                          .columns_count = 3};
    uint8_t op = NW_OP_INSERT;
    uint64_t lsn = number;
    uint64_t seq = 0;
    int64_t ts = 7;
    struct one one;

    one_set(&one, &table, NULL,
            (const char *const[]){"a", "execute-snapshot", "{\"data-collections\":[\"s.x\"]}"});
    one.batch.op = &op;
    one.batch.commit_lsn = &lsn;
    one.batch.seq = &seq;
    one.batch.commit_ts = &ts;
    return nw_kafka_signal_row(&sink, &one.batch, 0, err);
}

/* Also when many were before it. */
static void a_row_that_failed_is_followed_when_it_comes_again(void **state)
{
    struct nw_error err = {0};

    (void)state;
    host.ask_all = failing_ask_all;
    host.log = silent_log;
    host.random = fixed_random;
    for (uint32_t i = 1; i <= NW_KAFKA_FOLLOWED_MAX + 30; i++) {
        if (i == 10 || i == NW_KAFKA_FOLLOWED_MAX + 20) {
            room = 0;
            assert_int_equal(row_signal(i, &err), NW_RETRY);
            room = ASKED_MAX;
        }
        assert_int_equal(row_signal(i, &err), NW_OK);
        assert_int_equal(answers_count, i);
        assert_int_equal(row_signal(i, &err), NW_OK); /* passed over */
        assert_int_equal(answers_count, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_that_failed_is_followed_when_it_comes_again, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_signal_ends_with_the_last_of_its_tables, begin, end),
        cmocka_unit_test_setup_teardown(what_was_not_committed_is_said_again, begin, end),
        cmocka_unit_test_setup_teardown(a_signal_goes_on_in_another_process, begin, end),
        cmocka_unit_test_setup_teardown(a_record_that_is_too_large_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(an_id_of_many_bytes_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(a_record_that_is_none_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_copy_is_for_all_that_asked_when_it_began, begin, end),
        cmocka_unit_test_setup_teardown(a_copy_of_nobodys_is_not_taken_by_a_later_signal, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_refused_one_has_no_tables, begin, end),
        cmocka_unit_test_setup_teardown(what_narwal_gave_up_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(a_stopped_copy_is_said_once_and_its_end_is_not, begin, end),
        cmocka_unit_test_setup_teardown(the_first_row_of_a_signal_is_of_one_table, begin, end),
        cmocka_unit_test_setup_teardown(none_of_many_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(all_of_a_signal_is_taken_or_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_again_is_not_noted, begin, end),
        cmocka_unit_test_setup_teardown(what_a_former_process_asked_for_has_its_signal, begin, end),
        cmocka_unit_test_setup_teardown(an_older_narwal_is_asked_one_by_one, begin, end),
        cmocka_unit_test_setup_teardown(names_that_are_long_come_whole, begin, end),
        cmocka_unit_test_setup_teardown(an_older_narwal_says_nothing_of_tables, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
