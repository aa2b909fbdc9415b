/* SPDX-License-Identifier: Apache-2.0 */
/* What schemas say of types on the server: recorded from Debezium 3.7.0 and PostgreSQL 15. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/connect.h"
#include "lib/format/connect_json.h"

static const struct {
    const char *type_name; /* as format_type() says it */
    uint32_t oid, base_oid;
    int32_t typmod;
    const char *default_expr;
    const char *said; /* type, length, scale */
} vectors[] = {
    {"boolean", 16, 16, -1, NULL, "BOOL 1 0"},
    {"integer", 23, 23, -1, NULL, "INT4 10 0"},
    {"integer", 23, 23, -1, "nextval('s.t_id_seq'::regclass)", "SERIAL 10 0"},
    {"bigint", 20, 20, -1, "nextval('s.q'::regclass)", "BIGSERIAL 19 0"},
    {"smallint", 21, 21, -1, "nextval('s.q'::regclass)", "SMALLSERIAL 5 0"},
    {"double precision", 701, 701, -1, NULL, "FLOAT8 17 17"},
    {"numeric", 1700, 1700, -1, NULL, "NUMERIC 131089 0"},
    {"numeric(12,2)", 1700, 1700, 786438, NULL, "NUMERIC 12 2"},
    {"numeric(5,-2)", 1700, 1700, 329730, NULL, "NUMERIC 5 2046"},
    {"numeric(7,3)[]", 1231, 1231, 458759, NULL, "_NUMERIC 7 3"},
    {"text", 25, 25, -1, NULL, "TEXT 2147483647 0"},
    {"character varying", 1043, 1043, -1, NULL, "VARCHAR 2147483647 0"},
    {"character varying(300)", 1043, 1043, 304, NULL, "VARCHAR 300 0"},
    {"character(8)", 1042, 1042, 12, NULL, "BPCHAR 8 0"},
    {"\"char\"", 18, 18, -1, NULL, "CHAR 1 0"},
    {"character varying(20)[]", 1015, 1015, 24, NULL, "_VARCHAR 20 0"},
    {"date", 1082, 1082, -1, NULL, "DATE 13 0"},
    {"time(1) without time zone", 1083, 1083, 1, NULL, "TIME 11 1"},
    {"time(0) without time zone", 1083, 1083, 0, NULL, "TIME 8 0"},
    {"time(4) with time zone", 1266, 1266, 4, NULL, "TIMETZ 19 4"},
    {"timestamp without time zone", 1114, 1114, -1, NULL, "TIMESTAMP 29 6"},
    {"timestamp(3) with time zone", 1184, 1184, 3, NULL, "TIMESTAMPTZ 32 3"},
    {"timestamp(3) without time zone[]", 1115, 1115, 3, NULL, "_TIMESTAMP 26 3"},
    {"interval", 1186, 1186, -1, NULL, "INTERVAL 49 6"},
    {"interval year to month", 1186, 1186, 458751, NULL, "INTERVAL 49 65535"},
    {"interval(3)", 1186, 1186, 2147418115, NULL, "INTERVAL 49 3"},
    {"bit(9)", 1560, 1560, 9, NULL, "BIT 9 0"},
    {"bit varying", 1562, 1562, -1, NULL, "VARBIT 2147483647 0"},
    {"s.\"Odd (1).\"\"T\"", 20001, 20001, -1, NULL, "ODD (1).\"T 2147483647 0"},
    {"s.\"integer\"", 20002, 20002, -1, NULL, "INTEGER 2147483647 0"},
    {"s.amount", 20003, 1700, 589830, NULL, "AMOUNT 9 2"},
    {"s.deep", 20004, 1043, 11, NULL, "DEEP 7 0"},
    {"s.number", 20005, 23, -1, "nextval('s.q'::regclass)", "NUMBER 10 0"},
    {"s.amount[]", 20006, 20006, -1, NULL, "_AMOUNT 2147483647 0"},
};

/* The parameters of one column's schema; "": it has none of these. */
static void parameters_of(const struct nw_table *table, const char *const *columns,
                          const char *const *types, char *said, size_t size)
{
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;
    const struct nw_connect_schema *schema = NULL;
    size_t used = 0;

    options.unknown = NW_UNKNOWN_TEXT;
    options.source_columns = columns;
    options.source_types = types;
    made = nw_connect_table_create(table, "p", &options);
    assert_non_null(made);
    schema = made->value->fields[0].schema;
    said[0] = '\0';
    for (uint32_t i = 0; i < schema->parameters_count; i++) {
        const struct nw_connect_parameter *p = &schema->parameters[i];

        if (strcmp(p->name, "__debezium.source.column.name") == 0) {
            assert_string_equal(p->value, table->columns[0].name);
        } else if (strncmp(p->name, "__debezium", strlen("__debezium")) == 0) {
            used +=
                (size_t)snprintf(said + used, size - used, "%s%s", used == 0 ? "" : " ", p->value);
        }
    }
    if (made->key != NULL) {
        for (uint32_t i = 0; i < made->key->fields[0].schema->parameters_count; i++) {
            assert_null(strstr(made->key->fields[0].schema->parameters[i].name, "__debezium"));
        }
    }
    nw_connect_table_destroy(made);
}

static void a_type_is_said_as_debezium_says_it(void **state)
{
    static const char *const all[] = {"S\\.t\\..*", NULL};
    static const uint16_t first[] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct nw_column_schema column = {.name = "Odd",
                                                .type_name = vectors[i].type_name,
                                                .default_expr = vectors[i].default_expr,
                                                .type_oid = vectors[i].oid,
                                                .base_type_oid = vectors[i].base_oid,
                                                .typmod = vectors[i].typmod,
                                                .type = NW_TYPE_TEXT,
                                                .not_null = true};
        const struct nw_table table = {.size = sizeof table,
                                       .schema_name = "s",
                                       .name = "t",
                                       .columns = &column,
                                       .columns_count = 1,
                                       .key_columns = first,
                                       .key_columns_count = 1};
        char said[128];

        parameters_of(&table, all, NULL, said, sizeof said);
        if (strcmp(said, vectors[i].said) != 0) {
            fail_msg("%s: %s and not %s", vectors[i].type_name, said, vectors[i].said);
        }
    }
}

static void those_columns_have_it_that_expressions_match(void **state)
{
    static const struct {
        const char *column, *type;
        bool there;
    } cases[] = {
        {".*", NULL, true},        {"S.T.A", NULL, true},         {"s.t.b", NULL, false},
        {"t.a", NULL, false},      {NULL, ".*\\.VARCHAR", true},  {NULL, "s.t.varchar", true},
        {NULL, "s.t.text", false}, {"s.t.b", ".*.varchar", true}, {NULL, NULL, false}};
    static const bool blurred[] = {true};
    const struct nw_column_schema column = {.name = "a",
                                            .type_name = "character varying(3)",
                                            .type_oid = 1043,
                                            .base_type_oid = 1043,
                                            .typmod = 7,
                                            .type = NW_TYPE_TEXT};
    struct nw_table table = {.size = sizeof table,
                             .schema_name = "s",
                             .name = "t",
                             .columns = &column,
                             .columns_count = 1};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const columns[] = {cases[i].column, NULL};
        const char *const types[] = {cases[i].type, NULL};
        char said[128];

        table.blurred = NULL;
        parameters_of(&table, columns, types, said, sizeof said);
        assert_string_equal(said, cases[i].there ? "VARCHAR 3 0" : "");
        table.blurred = blurred;
        parameters_of(&table, columns, types, said, sizeof said);
        assert_string_equal(said, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_is_said_as_debezium_says_it),
        cmocka_unit_test(those_columns_have_it_that_expressions_match)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
