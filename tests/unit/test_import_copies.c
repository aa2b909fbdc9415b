/* SPDX-License-Identifier: Apache-2.0 */
/* What of a first copy Debezium's properties choose, as narwal's copy.where, and its lines. */
#include "import_kit.h"

#include "config/run_config.h"

#define CONFIG                                                                                     \
    "name: x\nsource:\n  dsn: \"host=h dbname=d\"\nsinks:\n  - type: file\n    path: /x\n"

/* The statement for public.orders. */
static void statements_become_conditions(void **state)
{
    static const struct {
        const char *statement;
        const char *condition; /* in quotes; NULL: refused */
        const char *why;
    } cases[] = {
        {"SELECT * FROM public.orders WHERE id > 5", "\"public.orders: id > 5\"", NULL},
        {"select * from public.orders where id > 5;", "\"public.orders: id > 5\"", NULL},
        {" SELECT\\n*\\nFROM public.orders\\nWHERE id > 5\\n ORDER BY id DESC ",
         "\"public.orders: id > 5\"", NULL},
        {"SELECT * FROM orders WHERE (a = ' order by ') AND b IN (SELECT b FROM c LIMIT 3)",
         "\"public.orders: (a = ' order by ') AND b IN (SELECT b FROM c LIMIT 3)\"", NULL},
        {"SELECT * FROM \\\"public\\\".\\\"orders\\\" WHERE \\\"Limit\\\" > 5",
         "\"public.orders: \\\"Limit\\\" > 5\"", NULL},
        {"SELECT * FROM Public.Orders WHERE a = 'it''s; x'", NULL, "without comments"},
        {"SELECT * FROM Public.Orders WHERE a = 'it''s'", "\"public.orders: a = 'it''s'\"", NULL},
        {"SELECT * FROM public.orders", "\"public.orders: true\"", NULL},
        {"SELECT * FROM public.orders LIMIT 0", "\"public.orders: false\"", NULL},
        {"SELECT * FROM public.orders WHERE a > 1 LIMIT 0", "\"public.orders: false\"", NULL},
        {"SELECT * FROM public.orders WHERE 1=0", "\"public.orders: 1=0\"", NULL},
        {"SELECT * FROM public.orders ORDER BY id", "\"public.orders: true\"", NULL},
        {"SELECT * FROM public.orders WHERE orders.limit > 1",
         "\"public.orders: orders.limit > 1\"", NULL},
        {"SELECT * FROM public.orders WHERE reorder > 1", "\"public.orders: reorder > 1\"", NULL},
        {"SELECT id FROM public.orders", NULL, "with *;"},
        {"SELECT *, 1 FROM public.orders", NULL, "of public.orders itself"},
        {"SELECT * FROM public.others WHERE a", NULL, "of public.orders itself"},
        {"SELECT * FROM ONLY public.orders", NULL, "without ONLY"},
        {"SELECT * FROM [public].[orders] WHERE a", NULL, "of public.orders itself"},
        {"SELECT * FROM public.orders o WHERE o.id > 5", NULL, "without another name"},
        {"SELECT * FROM public.orders JOIN a ON true WHERE id > 5", NULL, "of one table"},
        {"SELECT * FROM public.orders, a WHERE id > 5", NULL, "of one table"},
        {"SELECT * FROM public.orders WHERE id > 5 LIMIT 10", NULL, "only LIMIT 0"},
        {"SELECT * FROM public.orders WHERE id > 5 ORDER BY id LIMIT 10", NULL, "only LIMIT 0"},
        {"SELECT * FROM public.orders WHERE id > 5 OFFSET 10", NULL, "only LIMIT 0"},
        {"SELECT * FROM public.orders WHERE id > 5 UNION SELECT * FROM a", NULL, "of one table"},
        {"SELECT * FROM public.orders WHERE id > 5 FOR SHARE", NULL, "of one table"},
        {"SELECT * FROM public.orders WHERE", NULL, "of one table"},
        {"SELECT * FROM public.orders WHERE a -- b", NULL, "without comments"},
        {"SELECT * FROM public.orders; SELECT 1", NULL, "without comments"},
        {"SELECT * FROM public.orders WHERE a = 'x\\ny'", NULL, "several lines"},
        {"SELECT * FROM public.orders WHERE a = ${x}", NULL, "without comments"},
        {"WITH a AS (SELECT 1) SELECT * FROM public.orders", NULL, "with *;"},
        {"", NULL, "with *;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[256] = "";

        (void)snprintf(wanted, sizeof wanted, "copy:\n  where: [%s]", cases[i].condition);
        imported(cases[i].condition == NULL, cases[i].condition == NULL ? cases[i].why : wanted,
                 "\"snapshot.select.statement.overrides\":\"public.orders\","
                 "\"snapshot.select.statement.overrides.public.orders\":\"%s\"",
                 cases[i].statement);
    }
}

static void lists_of_tables_become_conditions(void **state)
{
#define OVER "\"snapshot.select.statement.overrides\":"
#define OF   "\"snapshot.select.statement.overrides."
    static const struct {
        size_t refused;
        const char *words, *json;
    } cases[] = {
        {0, "where: [\"a.b: true\", \"a.c*: true\", \"*: false\"]",
         "\"snapshot.include.collection.list\":\"a.b,a.c.*\""},
        {0, "where: [\"a.b: id > 1\", \"a.b: true\", \"a.c: true\", \"*: false\"]",
         "\"snapshot.include.collection.list\":\"a.(b|c)\"," OVER "\"a.b,a.d\"," OF
         "a.b\":\"SELECT * FROM a.b WHERE id > 1\"," OF "a.d\":\"SELECT * FROM a.d WHERE id > 2\""},
        {0, "where: [\"a.[*]: x\"]",
         OVER "\"a.*\"," OF "a.*\":\"SELECT * FROM a.\\\"*\\\" WHERE x\""},
        {0, "overrides.a.d: Debezium does not look at it", OF "a.d\":\"SELECT 1\""},
        {0, "include.collection.list: nothing is copied, by snapshot.mode",
         "\"snapshot.mode\":\"no_data\",\"snapshot.include.collection.list\":\"a.b\""},
        {1, "list the tables as schema.table", "\"snapshot.include.collection.list\":\"d.a.b\""},
        {1, "name the table schema.table", OVER "\"d.a.b\"," OF "d.a.b\":\"SELECT * FROM a.b\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        imported(cases[i].refused, cases[i].words, "%s", cases[i].json);
    }
}

/* @param where  the lines; @return what is wrong, in err */
static nw_status config_read(const char *where, struct nw_run_config *config, struct nw_error *err)
{
    char text[512];
    FILE *file = NULL;
    char path[] = "/tmp/narwal-where-XXXXXX";
    int fd = mkstemp(path);
    nw_status status = NW_OK;

    assert_true(fd >= 0);
    (void)snprintf(text, sizeof text, CONFIG "copy:\n  where: [%s]\n", where);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    status = nw_config_load(path, config, NULL, err);
    (void)remove(path);
    return status;
}

static void lines_are_a_pattern_and_a_condition(void **state)
{
    static const char *const wrong[] = {"\"a.b\"", "\"a.b:\"", "\": id > 1\"", "\"\"",
                                        "\"a.b:  \""};
    struct nw_run_config *config = calloc(1, sizeof *config);
    struct nw_error err = {0};

    (void)state;
    assert_non_null(config);
    assert_int_equal(config_read("\"a.b : id::int > 1\", \"*:false\"", config, &err), NW_OK);
    assert_int_equal(config->copy_where_count, 2);
    assert_string_equal(config->copy_where[0].pattern, "a.b");
    assert_string_equal(config->copy_where[0].condition, "id::int > 1");
    assert_string_equal(config->copy_where[1].pattern, "*");
    assert_string_equal(config->copy_where[1].condition, "false");
    nw_config_free(config);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memset(config, 0, sizeof *config);
        assert_int_not_equal(config_read(wrong[i], config, &err), NW_OK);
        assert_non_null(strstr(err.text, "NW1003 copy.where: write PATTERN: CONDITION"));
        nw_config_free(config);
    }
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_become_conditions),
        cmocka_unit_test(lists_of_tables_become_conditions),
        cmocka_unit_test(lines_are_a_pattern_and_a_condition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
