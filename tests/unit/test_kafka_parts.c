/* SPDX-License-Identifier: Apache-2.0 */
/* What the Kafka sink decides without brokers: names of topics, configured keys, sizes, positions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/conditions.h"
#include "kafka/kafka.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_topic_has_the_letters_that_kafka_takes(void **state)
{
    static const struct {
        const char *template_, *schema, *table, *name;
    } vectors[] = {
        {"{prefix}.{schema}.{table}", "shop", "items", "p.shop.items"},
        {"{prefix}.{schema}.{table}", "Odd name", "a/b:c", "p.Odd_name.a_b_c"},
        {"{table}", "x", "\xc3\xbc", "_"},              /* one for each character, */
        {"{table}", "x", "a\xf0\x9f\x98\x80z", "a__z"}, /* by UTF-16's units */
        {"{schema}-{table}_{schema}", "s", "t", "s-t_s"},
        {"{other}", "s", "t", "_other_"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct nw_kafka_options options = {.prefix = "p", .template_ = vectors[i].template_};
        const struct nw_table table = {.schema_name = vectors[i].schema, .name = vectors[i].table};
        char name[NW_KAFKA_TOPIC_SIZE];
        struct nw_error err = {0};

        assert_int_equal(nw_kafka_topic_name(&options, &table, name, &err), NW_OK);
        assert_string_equal(name, vectors[i].name);
    }
}

static void a_topic_has_249_bytes_at_most(void **state)
{
    char text[260];
    char name[NW_KAFKA_TOPIC_SIZE];
    const struct nw_kafka_options options = {.prefix = "", .template_ = "{table}"};
    const struct nw_table table = {.schema_name = "", .name = text};
    struct nw_error err = {0};

    (void)state;
    memset(text, 'x', sizeof text);
    text[249] = '\0';
    assert_int_equal(nw_kafka_topic_name(&options, &table, name, &err), NW_OK);
    assert_int_equal(strlen(name), 249);
    text[249] = 'x';
    text[250] = '\0';
    assert_int_equal(nw_kafka_topic_name(&options, &table, name, &err), NW_REJECT);
    assert_non_null(strstr(err.text, "NW2703"));
    text[0] = '\0';
    assert_int_equal(nw_kafka_topic_name(&options, &table, name, &err), NW_REJECT);
}

static void a_table_is_named_by_schema_and_name(void **state)
{
    const struct nw_table table = {.schema_name = "a", .name = "b.c"};

    (void)state;
    assert_true(nw_kafka_is_named("a.b.c", &table));
    assert_false(nw_kafka_is_named("a.b", &table));
    assert_false(nw_kafka_is_named("a.b.cd", &table));
    assert_false(nw_kafka_is_named("axb.c", &table));
    assert_false(nw_kafka_is_named(NULL, &table));
}

static const struct nw_column_schema columns[] = {
    {.name = "id"}, {.name = "region"}, {.name = "v"}};
static const struct nw_table items = {.size = sizeof(struct nw_table),
                                      .schema_name = "shop",
                                      .name = "it:ems",
                                      .columns = columns,
                                      .columns_count = COUNT(columns),
                                      .key_is_primary = true};

static void a_key_has_the_columns_that_were_asked_for(void **state)
{
    static const char *const keys[] = {"shop.other:v", "sho.p:v", "shop.it:ems:region,id", NULL};
    const struct nw_kafka_options options = {.keys = keys};
    struct nw_table other = items;
    struct nw_table *keyed = NULL;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_kafka_keys_check(&options, &err), NW_OK);
    assert_int_equal(nw_kafka_key_find(&options, &items, &keyed, &err), NW_OK);
    assert_non_null(keyed);
    assert_int_equal(keyed->key_columns_count, 2);
    assert_int_equal(keyed->key_columns[0], 1);
    assert_int_equal(keyed->key_columns[1], 0);
    assert_false(keyed->key_is_primary);
    assert_int_equal(keyed->columns_count, COUNT(columns));
    free(keyed);
    other.name = "it";
    assert_int_equal(nw_kafka_key_find(&options, &other, &keyed, &err), NW_OK);
    assert_null(keyed);
}

static void a_key_has_what_expressions_find(void **state)
{
    static const struct {
        const char *keys[4];
        const char *columns; /* of the key; NULL: the table keeps its own */
    } cases[] = {
        {{"shop\\..* => id"}, "id"},
        {{"(shop|other)\\.it:ems => v , id"}, "v,id"},
        {{".* => .*"}, "id,region,v"},
        {{".* => re.*,.*"}, "region,id,v"},
        {{"shop => id"}, NULL},
        {{"hop\\..* => id"}, NULL},
        {{".* => i"}, NULL},
        {{".* => no,v"}, "v"},
        {{".* => v", "shop.* => id,v"}, "v,id"},
        {{".* => v", "shop.it:ems:region", ".* => id"}, "region"}, /* which is named */
        {{"shop\\..* => on"}, "region"},       /* as Debezium's: one for all of the name */
        {{"shop\\..*\\.re => ion"}, "region"}, /* with any character between the two */
        {{"SHOP\\.It:.* => V"}, "v"},
        {{"shop.no|shop.it:ems => v|id"}, "id,v"},
    };
    struct nw_table *keyed = NULL;
    struct nw_error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct nw_kafka_options options = {.keys = cases[i].keys};
        char found[64] = "";

        assert_int_equal(nw_kafka_keys_check(&options, &err), NW_OK);
        assert_int_equal(nw_kafka_key_find(&options, &items, &keyed, &err), NW_OK);
        for (uint16_t k = 0; keyed != NULL && k < keyed->key_columns_count; k++) {
            size_t used = strlen(found);

            (void)snprintf(found + used, sizeof found - used, "%s%s", k == 0 ? "" : ",",
                           columns[keyed->key_columns[k]].name);
        }
        assert_string_equal(found, cases[i].columns == NULL ? "" : cases[i].columns);
        free(keyed);
    }
}

static void a_unique_index_is_the_key_of_a_table_without_one(void **state)
{
    static const uint16_t unique[] = {2, 0, 2};
    static const uint16_t primary[] = {1};
    static const char *const keys[] = {"shop.it:ems:id", NULL};
    struct nw_kafka_options options = {.unique_keys = true};
    struct nw_table table = items;
    struct nw_table *keyed = NULL;
    struct nw_error err = {0};

    (void)state;
    table.size = sizeof table;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_null(keyed); /* it has no such index */
    table.unique_columns = unique;
    table.unique_columns_count = COUNT(unique);
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_int_equal(keyed->key_columns_count, 2);
    assert_int_equal(keyed->key_columns[0], 2);
    assert_int_equal(keyed->key_columns[1], 0);
    assert_false(keyed->key_is_primary);
    free(keyed);
    table.size = offsetof(struct nw_table, unique_columns_count); /* a host that does not know */
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_null(keyed);
    table.size = sizeof table;
    options.unique_keys = false;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_null(keyed);
    options.unique_keys = true;
    options.keys = keys; /* which comes first */
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_int_equal(keyed->key_columns_count, 1);
    assert_int_equal(keyed->key_columns[0], 0);
    free(keyed);
    options.keys = NULL;
    table.key_columns = primary;
    table.key_columns_count = 1;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_null(keyed);
}

static void no_key_is_made_of_what_a_mask_blurs(void **state)
{
    static const uint16_t unique[] = {2, 0};
    static const bool blurred[] = {true, false, false};
    static const char *const keys[] = {"shop.it:ems:region,id", NULL};
    static const char *const others[] = {"shop.it:ems:region", NULL};
    static const char *const found[] = {".* => re.*,.*", NULL};
    static const char *const outboxes[] = {"shop.it:ems", NULL};
    struct nw_kafka_options options = {.unique_keys = true};
    struct nw_table table = items;
    struct nw_table *keyed = NULL;
    struct nw_error err = {0};

    (void)state;
    table.blurred = blurred;
    table.unique_columns = unique;
    table.unique_columns_count = COUNT(unique);
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_REJECT);
    assert_null(keyed);
    assert_non_null(strstr(err.text, "NW2708 unique_keys: column id of shop.it:ems is masked"));
    options.form.outboxes = outboxes; /* whose keys are a column's */
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_null(keyed);
    options.form.outboxes = NULL;
    options.keys = keys;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_REJECT);
    assert_null(keyed);
    assert_non_null(strstr(err.text, "NW2708 keys: column id of shop.it:ems is masked"));
    options.keys = found;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_REJECT);
    assert_null(keyed);
    assert_non_null(strstr(err.text, "NW2708 keys: column id of shop.it:ems is masked"));
    options.keys = others;
    assert_int_equal(nw_kafka_key_find(&options, &table, &keyed, &err), NW_OK);
    assert_int_equal(keyed->key_columns_count, 1);
    free(keyed);
}

static void a_key_of_columns_that_are_not_there_is_refused(void **state)
{
    static const char *const wishes[] = {"shop.it:ems:no", "shop.it:ems:i", "shop.it:ems:idx",
                                         "shop.it:ems:id,v,region,id"};
    static const char *const wrong[] = {"shop",     "shop.items", "shop.items:", ".items:id",
                                        "shop.:id", ":id",        " => id",      "a => ",
                                        "(a => id", "a => id,(",  "a => id,,b"};
    struct nw_error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(wishes); i++) {
        const char *const keys[] = {wishes[i], NULL};
        const struct nw_kafka_options options = {.name = "k", .keys = keys};
        struct nw_table *keyed = NULL;

        assert_int_equal(nw_kafka_key_find(&options, &items, &keyed, &err), NW_REJECT);
        assert_non_null(strstr(err.text, "NW2708"));
        assert_null(keyed);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const char *const keys[] = {wrong[i], NULL};
        const struct nw_kafka_options options = {.name = "k", .keys = keys};

        assert_int_equal(nw_kafka_keys_check(&options, &err), NW_FATAL);
        assert_non_null(strstr(err.text, "NW1003"));
    }
}

/* A broker refused a batch whose largest message had so many bytes. */
static void refused(struct nw_kafka_sink *sink, const char *topic, size_t largest)
{
    struct nw_kafka_producer producer = {.sink = sink, .refused_bytes = largest};

    (void)snprintf(producer.refused_topic, sizeof producer.refused_topic, "%s", topic);
    nw_kafka_refused_learn(&producer);
}

static void batches_become_smaller_before_messages_are_sent_alone(void **state)
{
    struct nw_kafka_sink sink = {.sizes.batch_bytes = 1000000};

    (void)state;
    (void)pthread_mutex_init(&sink.lock, NULL);
    assert_true(nw_kafka_alone_from(&sink, "a") == SIZE_MAX);
    refused(&sink, "a", 1000);
    assert_int_equal(sink.sizes.batch_bytes, 250000);
    assert_true(nw_kafka_alone_from(&sink, "a") == SIZE_MAX);
    refused(&sink, "a", 100000); /* never below the largest message */
    assert_int_equal(sink.sizes.batch_bytes, 100000);
    refused(&sink, "a", 50000); /* half a batch: it may be the message */
    assert_int_equal(sink.sizes.batch_bytes, 100000);
    assert_int_equal(nw_kafka_alone_from(&sink, "a"), 25000);
    assert_true(nw_kafka_alone_from(&sink, "b") == SIZE_MAX);
    refused(&sink, "a", 300000); /* what is larger teaches nothing more */
    assert_int_equal(nw_kafka_alone_from(&sink, "a"), 25000);
    refused(&sink, "b", 300000);
    assert_int_equal(nw_kafka_alone_from(&sink, "b"), 50000);
    assert_int_equal(nw_kafka_alone_from(&sink, "a"), 25000);
    free(sink.sizes.strict);
    (void)pthread_mutex_destroy(&sink.lock);
}

static void workers_are_even_where_all_or_none_have_the_same_position(void **state)
{
    static struct nw_kafka_state found;

    (void)state;
    found.workers = 2;
    assert_true(nw_kafka_ledger_is_even(&found));
    found.positions[1] = (struct nw_kafka_position){.there = true};
    assert_false(nw_kafka_ledger_is_even(&found));
    found.positions[0] = (struct nw_kafka_position){.there = true, .size = 2, .bytes = "ab"};
    found.positions[1] = (struct nw_kafka_position){.there = true, .size = 1, .bytes = "a"};
    assert_false(nw_kafka_ledger_is_even(&found));
    found.positions[1] = (struct nw_kafka_position){.there = true, .size = 2, .bytes = "ac"};
    assert_false(nw_kafka_ledger_is_even(&found));
    found.positions[1] = found.positions[0];
    found.positions[2] = (struct nw_kafka_position){.there = false}; /* not one of them */
    assert_true(nw_kafka_ledger_is_even(&found));
}

/* In additional-conditions, or additional-condition; NULL: what is wrong has `fault` in it. */
static void conditions_are_for_the_tables_that_are_named(void **state)
{
    static const struct {
        const char *data, *name, *filter, *fault;
    } vectors[] = {
        {"{'data-collections': ['s.t']}", "s.t", "", NULL},
        {"{'data-collections': ['s.t'], 'additional-condition': 'a = 1'}", "s.t", "a = 1", NULL},
        {"{'data-collections': ['s.t', 's.u'], 'additional-conditions': ["
         "{'data-collection': 'S.T', 'filter': 'a'}, {'data-collection': 's.t', 'filter': 'b'}]}",
         "s.t", "a", NULL},
        {"{'data-collections': ['s.t', 's.u'], 'additional-conditions': ["
         "{'data-collection': 's.t', 'filter': 'a'}]}",
         "s.u", "", NULL},
        {"{'data-collections': ['s.t'], 'additional-conditions': ["
         "{'data-collection': 's[.].*', 'filter': 'a'}]}",
         "s.t", "a", NULL},
        {"{'data-collections': ['\"s\".\"t\"'], 'additional-conditions': ["
         "{'data-collection': 's\\\\.t', 'filter': 'a'}]}",
         "\"s\".\"t\"", "a", NULL},
        {"{'data-collections': ['s.(t|u)'], 'additional-conditions': ["
         "{'data-collection': 's.(t|u)', 'filter': ' '}]}",
         "s.(t|u)", "", NULL},
        {"{'data-collections': ['s.(t|u)'], 'additional-conditions': ["
         "{'data-collection': 's.t', 'filter': 'a'}]}",
         "s.(t|u)", NULL, "is for none"},
        {"{'data-collections': ['s.tt'], 'additional-conditions': ["
         "{'data-collection': 's.t', 'filter': 'a'}]}",
         "s.tt", NULL, "is for none"},
        {"{'data-collections': ['s.t'], 'additional-conditions': ["
         "{'data-collection': 't', 'filter': 'a'}]}",
         "s.t", NULL, "is for none"},
        {"{'data-collections': ['s.t'], 'additional-conditions': ["
         "{'data-collection': 'S[.]T', 'filter': 'a'}]}",
         "s.t", "a", NULL},
        {"{'data-collections': ['s.t', 's.u'], 'additional-conditions': ["
         "{'data-collection': 's.u', 'filter': 'a'}, {'data-collection': 's.t', 'filter': 'b'}]}",
         "s.t", "b", NULL},
        {"{'data-collections': ['s.t'], 'additional-conditions': [{'data-collection': 's.t'}]}",
         "s.t", NULL, "is no {"},
        {"{'data-collections': ['s.t'], 'additional-condition': 'a\\u0001'}", "s.t", NULL,
         "control"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        char text[512];
        char name[NW_KAFKA_PATTERN_SIZE];
        const char *fault = NULL;
        json_t *data = NULL;

        (void)snprintf(text, sizeof text, "%s", vectors[i].data);
        for (char *at = text; *at != '\0'; at++) { /* JSON's quotes, and those of names */
            if (*at == '"') {
                memmove(at + 1, at, strlen(at) + 1);
                *at++ = '\\';
            } else if (*at == '\'') {
                *at = '"';
            }
        }
        data = json_loads(text, 0, NULL);
        assert_non_null(data);
        fault = nw_kafka_conditions_fault(data, false);
        if (vectors[i].fault != NULL) {
            assert_non_null(fault);
            assert_non_null(strstr(fault, vectors[i].fault));
        } else {
            assert_null(fault);
            assert_int_equal(nw_kafka_conditions_fault(data, true) == NULL,
                             strstr(vectors[i].data, "additional-") == NULL);
            assert_true(nw_kafka_pattern_read(vectors[i].name, name, sizeof name));
            assert_string_equal(nw_kafka_filter_of(data, name), vectors[i].filter);
        }
        json_decref(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_has_the_letters_that_kafka_takes),
        cmocka_unit_test(a_topic_has_249_bytes_at_most),
        cmocka_unit_test(a_table_is_named_by_schema_and_name),
        cmocka_unit_test(a_key_has_the_columns_that_were_asked_for),
        cmocka_unit_test(a_key_has_what_expressions_find),
        cmocka_unit_test(a_unique_index_is_the_key_of_a_table_without_one),
        cmocka_unit_test(no_key_is_made_of_what_a_mask_blurs),
        cmocka_unit_test(a_key_of_columns_that_are_not_there_is_refused),
        cmocka_unit_test(batches_become_smaller_before_messages_are_sent_alone),
        cmocka_unit_test(conditions_are_for_the_tables_that_are_named),
        cmocka_unit_test(workers_are_even_where_all_or_none_have_the_same_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
