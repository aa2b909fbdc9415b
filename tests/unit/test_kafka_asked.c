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

/* What narwal knows: a pattern and its tables. */
struct known {
    const char *command, *tables; /* each with a semicolon; NULL: not yet */
};

static nw_status fake_copies(const struct nw_host *host, const char *command, char *names,
                             size_t size, size_t *used)
{
    for (const struct known *known = host->context; known->command != NULL; known++) {
        if (command == NULL || strcmp(known->command, command) != 0 || known->tables == NULL) {
            continue;
        }
        if (strlen(known->tables) > size) {
            return NW_REJECT;
        }
        *used = strlen(known->tables);
        memcpy(names, known->tables, *used);
        for (size_t i = 0; i < *used; i++) {
            names[i] = names[i] == ';' ? '\0' : names[i];
        }
        return NW_OK;
    }
    return NW_AGAIN;
}

static struct known known[3];
static struct nw_host host;
static struct nw_kafka_sink sink;

static int begin(void **state)
{
    (void)state;
    memset(known, 0, sizeof known);
    memset(&sink, 0, sizeof sink);
    host = (struct nw_host){.size = sizeof host, .context = known, .copies = fake_copies};
    sink.host = &host;
    return pthread_mutex_init(&sink.lock, NULL);
}

static int end(void **state)
{
    (void)state;
    nw_kafka_asked_fini(&sink);
    return pthread_mutex_destroy(&sink.lock);
}

/* What is to be said of a copy of the table, as "id names starts ends". */
static void check(const char *table, const char *wanted)
{
    struct nw_kafka_asking asking;
    char said[512];

    nw_kafka_asked_of(&sink, table, &asking);
    (void)snprintf(said, sizeof said, "%s %.*s%s%s", asking.id, (int)asking.names.used,
                   (const char *)asking.names.bytes, asking.starts ? " starts" : "",
                   asking.ends ? " ends" : "");
    nw_kafka_asking_fini(&asking);
    assert_string_equal(said, wanted);
}

static void begun(const char *table)
{
    struct nw_kafka_asking asking;

    nw_kafka_asked_of(&sink, table, &asking);
    nw_kafka_asked_begun(&sink, &asking);
    nw_kafka_asking_fini(&asking);
}

static void ended(const char *table)
{
    struct nw_kafka_asking asking;

    nw_kafka_asked_of(&sink, table, &asking);
    nw_kafka_asked_ended(&sink, &asking, table);
    nw_kafka_asking_fini(&asking);
}

static void a_signal_ends_with_the_last_of_its_tables(void **state)
{
    (void)state;
    known[0] = (struct known){"x", "s.a;s.b;"};
    known[1] = (struct known){"y", NULL};
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), false, "x");
    nw_kafka_asked_note(&sink, "one", sink.signals_count, false, "y");
    check("s.a", "one s.a,s.b starts");
    begun("s.a");
    check("s.b", "one s.a,s.b");
    ended("s.a");
    check("s.b", "one s.b"); /* what the other stands for is not known */
    known[1].tables = "s.c;";
    check("s.b", "one s.b,s.c");
    ended("s.b");
    check("s.c", "one s.c ends");
    ended("s.c");
    check("s.c", " s.c starts ends"); /* a copy that nobody asked for */
}

static void what_was_not_committed_is_said_again(void **state)
{
    (void)state;
    known[0] = (struct known){"x", "s.a;s.b;"};
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), false, "x");
    begun("s.a");
    ended("s.a");
    nw_kafka_asked_settle(&sink, false);
    check("s.a", "one s.a,s.b starts");
    begun("s.a");
    nw_kafka_asked_settle(&sink, true);
    ended("s.a");
    nw_kafka_asked_settle(&sink, false);
    check("s.a", "one s.a,s.b");
    ended("s.a");
    ended("s.b");
    nw_kafka_asked_settle(&sink, true);
    check("s.a", " s.a starts ends");
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        assert_int_equal(sink.asked[i].command[0], '\0');
    }
}

static void the_oldest_signal_gets_a_copy(void **state)
{
    (void)state;
    known[0] = (struct known){"x", "s.a;"};
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), false, "x");
    nw_kafka_asked_note(&sink, "two", nw_kafka_asked_next(&sink), true, "x");
    check("s.a", "one s.a starts ends");
    ended("s.a");
    check("s.a", "two s.a starts ends");
    ended("s.a");
    check("s.a", " s.a starts ends");
}

static void the_first_row_of_a_signal_is_of_one_table(void **state)
{
    (void)state;
    known[0] = (struct known){"x", "s.a;s.b;"};
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), true, "x");
    assert_true(nw_kafka_asked_first(&sink, 1, 70));
    assert_true(nw_kafka_asked_first(&sink, 1, 70));
    assert_false(nw_kafka_asked_first(&sink, 1, 71));
}

static void a_crowd_of_signals_pushes_the_oldest_out(void **state)
{
    struct nw_kafka_asking asking;

    (void)state;
    known[0] = (struct known){"x", "s.a;"};
    known[1] = (struct known){"y", "s.b;"};
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), false, "x");
    check("s.a", "one s.a starts ends");
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        nw_kafka_asked_note(&sink, "more", nw_kafka_asked_next(&sink), false, "y");
    }
    check("s.a", " s.a starts ends");
    nw_kafka_asked_now(&sink, &asking);
    assert_int_equal(asking.signal, 2);
    nw_kafka_asking_fini(&asking);
}

static void an_older_narwal_says_nothing_of_tables(void **state)
{
    (void)state;
    host.size = offsetof(struct nw_host, copies);
    nw_kafka_asked_note(&sink, "one", nw_kafka_asked_next(&sink), false, "x");
    check("s.a", " s.a starts ends");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_signal_ends_with_the_last_of_its_tables, begin, end),
        cmocka_unit_test_setup_teardown(what_was_not_committed_is_said_again, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_signal_gets_a_copy, begin, end),
        cmocka_unit_test_setup_teardown(the_first_row_of_a_signal_is_of_one_table, begin, end),
        cmocka_unit_test_setup_teardown(a_crowd_of_signals_pushes_the_oldest_out, begin, end),
        cmocka_unit_test_setup_teardown(an_older_narwal_says_nothing_of_tables, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
