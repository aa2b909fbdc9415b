/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog reads find on a real server. Started by with_server.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "pg/catalog.h"
#include "pg/replication.h"
#include "pg/types.h"

static struct nw_error err;
static struct nw_session *session;
static struct nw_arena arena;

static void must(nw_status status)
{
    if (status != NW_OK) {
        fail_msg("status %d: %s", status, err.text);
    }
}

static struct nw_session *open_as(const char *user, bool replication)
{
    char dsn[256];
    const struct nw_pg_options options = {.dsn = dsn, .application_name = "narwal-test"};
    struct nw_session *opened = NULL;

    (void)snprintf(dsn, sizeof dsn, "host=%s port=%s user=%s dbname=postgres",
                   getenv("NW_TEST_FOLDER"), getenv("NW_TEST_PORT"), user);
    must(nw_session_open(&options, replication, &opened, &err));
    return opened;
}

static void run(const char *sql)
{
    must(nw_session_query(session, sql, NULL, 0, NULL, NULL, &err));
}

static int version(void)
{
    return nw_session_server_version(session);
}

static const char setup_sql[] =
    "CREATE SCHEMA \"we.ird\";"
    "CREATE TYPE public.mood AS ENUM ('sad', 'ok');"
    "ALTER TYPE public.mood ADD VALUE 'fine' BEFORE 'ok';"
    "CREATE TYPE public.empty AS ENUM ();"
    "CREATE TYPE public.pair AS (a int, b text);"
    "CREATE DOMAIN public.money_ AS numeric(12,2);"
    "CREATE DOMAIN public.price AS public.money_ NOT NULL;"
    "CREATE DOMAIN public.feeling AS public.mood DEFAULT 'ok';"
    "CREATE TABLE \"we.ird\".\"Tab\"\"le\" (gone int, \"ID\" bigint GENERATED ALWAYS AS IDENTITY,"
    "  \"id\" int NOT NULL DEFAULT 6 * 7, \"sel'ect\" public.price, m public.feeling, e "
    "public.empty,"
    "  p public.pair[], t timestamptz(3), v varchar(20), made int GENERATED ALWAYS AS (1 + 1) "
    "STORED,"
    "  n numeric(10,3), \"\xF0\x9F\x90\x8B\" text, PRIMARY KEY (\"id\", \"ID\"));"
    "ALTER TABLE \"we.ird\".\"Tab\"\"le\" DROP COLUMN gone;"
    "CREATE TABLE public.parted (k int NOT NULL, d date NOT NULL, x text, PRIMARY KEY (d, k))"
    "  PARTITION BY RANGE (d);"
    "CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM ('2020-01-01') TO "
    "('2021-01-01');"
    "CREATE TABLE public.parted_2 (x text, k int NOT NULL, d date NOT NULL);"
    "ALTER TABLE public.parted ATTACH PARTITION public.parted_2 FOR VALUES FROM ('2021-01-01') TO "
    "('2022-01-01');"
    "INSERT INTO public.parted SELECT i, '2020-01-01'::date + i, repeat('x', 500) FROM "
    "generate_series(0, 700) i;"
    "CREATE TABLE public.full_ (a int, b text); ALTER TABLE public.full_ REPLICA IDENTITY FULL;"
    "CREATE TABLE public.by_index (a int, b int NOT NULL, c int NOT NULL);"
    "CREATE UNIQUE INDEX by_index_cb ON public.by_index (c, b) INCLUDE (a);"
    "ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_cb;"
    "CREATE TABLE public.nothing (a int PRIMARY KEY); ALTER TABLE public.nothing REPLICA IDENTITY "
    "NOTHING;"
    "CREATE TABLE public.keyless (a int);"
    "CREATE TABLE public.late (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);"
    "CREATE UNLOGGED TABLE public.unlogged (a int PRIMARY KEY);"
    "CREATE TABLE public.no_columns ();"
    "CREATE TABLE public.bad_root (k int, d int) PARTITION BY LIST (d);"
    "CREATE TABLE public.bad_leaf PARTITION OF public.bad_root FOR VALUES IN (1);"
    "CREATE PUBLICATION \"Pub \"\"1\"\"\" FOR TABLE \"we.ird\".\"Tab\"\"le\", public.parted,"
    "  public.full_, public.by_index, public.nothing, public.late, public.no_columns"
    "  WITH (publish_via_partition_root = true);"
    "CREATE PUBLICATION inserts FOR TABLE public.keyless, public.full_ WITH (publish = 'insert');"
    "CREATE PUBLICATION leaves FOR TABLE public.parted;";

static int set_up(void **state)
{
    (void)state;
    session = open_as("postgres", false);
    run(setup_sql);
    nw_arena_init(&arena, 64u << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    nw_session_close(session);
    nw_arena_fini(&arena);
    return 0;
}

static const char *const publications[] = {"Pub \"1\"", "inserts"};
static const struct nw_catalog_scope scope = {publications, 2};

static const struct nw_catalog_table *find(const struct nw_catalog_tables *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->tables[i].name, name) == 0) {
            return &tables->tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

static const struct nw_catalog_column *column(const struct nw_catalog_table *table,
                                              const char *name)
{
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    fail_msg("no column %s", name);
    return NULL;
}

static void the_identity_is_the_same_on_both_kinds_of_session(void **state)
{
    struct nw_session *replica = open_as("postgres", true);
    struct nw_catalog_identity plain, streamed;

    (void)state;
    must(nw_catalog_identity(session, &plain, &err));
    must(nw_catalog_identity(replica, &streamed, &err));
    assert_string_equal(plain.system_id, streamed.system_id);
    assert_true(strlen(plain.system_id) > 15);
    assert_int_equal(plain.timeline, 1);
    assert_int_equal(streamed.timeline, 1);
    assert_true(plain.database_oid > 0);
    assert_int_equal(plain.database_oid, streamed.database_oid);
    assert_string_equal(streamed.database, "postgres");
    assert_string_equal(streamed.wal_level, "logical");
    assert_int_equal(streamed.wal_segment_bytes, 16 << 20);
    assert_true(plain.flush_lsn > 0 && streamed.flush_lsn >= plain.flush_lsn);
    assert_false(plain.in_recovery);
    nw_session_close(replica);
}

static void an_ordinary_replication_role_may_ask_for_all_of_it(void **state)
{
    struct nw_catalog_identity identity;
    struct nw_catalog_slot slot;
    struct nw_catalog_tables tables;
    struct nw_catalog_candidates candidates;

    (void)state;
    run("CREATE ROLE walker LOGIN REPLICATION");

    struct nw_session *replica = open_as("walker", true);
    struct nw_session *plain = open_as("walker", false);

    must(nw_catalog_identity(replica, &identity, &err));
    assert_true(identity.flush_lsn > 0 && identity.wal_segment_bytes > 0);
    must(nw_catalog_slot(replica, "none", &slot, &err));
    must(nw_catalog_tables(plain, &scope, &arena, &tables, &err));
    assert_int_equal(tables.count, 8);
    must(nw_catalog_candidates(plain, &arena, &candidates, &err));
    assert_true(candidates.count > 0);
    for (size_t i = 0; i < candidates.count; i++) {
        assert_false(candidates.tables[i].owned);
        assert_false(candidates.tables[i].readable);
    }
    nw_session_close(replica);
    nw_session_close(plain);
    run("DROP ROLE walker");
}

static void a_slot_is_described_or_absent(void **state)
{
    struct nw_session *replica = open_as("postgres", true);
    const struct nw_slot_request request = {.name = "described"};
    struct nw_slot_created created;
    struct nw_catalog_slot slot;

    (void)state;
    must(nw_catalog_slot(session, "it's \"not\" there", &slot, &err));
    assert_false(slot.exists);
    must(nw_replication_create_slot(replica, &request, NULL, &created, &err));
    must(nw_catalog_slot(replica, "described", &slot, &err));
    assert_true(slot.exists && slot.logical && !slot.temporary && !slot.active && !slot.two_phase);
    assert_false(slot.conflicting || slot.failover || slot.synced);
    assert_string_equal(slot.plugin, "pgoutput");
    assert_string_equal(slot.database, "postgres");
    assert_string_equal(slot.wal_status, "reserved");
    assert_string_equal(slot.invalidation_reason, "");
    assert_true(slot.safe_wal_bytes == INT64_MAX);
    assert_true(slot.confirmed_flush_lsn == created.consistent_lsn);
    assert_true(slot.restart_lsn > 0 && slot.restart_lsn <= slot.confirmed_flush_lsn);
    must(nw_replication_drop_slot(replica, "described", true, NULL, &err));

    const struct nw_slot_request temporary = {.name = "brief", .temporary = true};

    must(nw_replication_create_slot(replica, &temporary, NULL, &created, &err));
    must(nw_catalog_slot(session, "brief", &slot, &err));
    assert_true(slot.temporary && slot.active);
    assert_int_equal(slot.active_pid, nw_session_backend_pid(replica));
    nw_session_close(replica);
}

static void odd_names_domains_enums_and_generated_columns_come_out_right(void **state)
{
    struct nw_catalog_tables tables;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));
    assert_int_equal(tables.count, 8);

    const struct nw_catalog_table *odd = find(&tables, "Tab\"le");

    assert_string_equal(odd->schema_name, "we.ird");
    assert_int_equal(odd->kind, 'r');
    assert_int_equal(odd->replica_identity, 'd');
    assert_int_equal(odd->root_oid, 0);
    assert_true(odd->publishes_insert && odd->publishes_update && odd->publishes_delete &&
                odd->publishes_truncate);
    /* The dropped and the generated column are not there; order is that of attnum. */
    assert_int_equal(odd->columns_count, 10);
    assert_string_equal(odd->columns[0].name, "ID");
    assert_int_equal(odd->columns[0].attnum, 2);
    assert_int_equal(column(odd, "n")->attnum, 11);
    assert_int_equal(column(odd, "\xF0\x9F\x90\x8B")->type_oid, NW_OID_TEXT);
    assert_int_equal(odd->primary_key_count, 2);
    assert_int_equal(odd->primary_key[0], 1);
    assert_int_equal(odd->primary_key[1], 0);
    assert_true(odd->columns[0].identity && odd->columns[1].identity && !odd->columns[2].identity);
    assert_string_equal(odd->columns[1].default_expr, "(6 * 7)");
    assert_true(odd->columns[1].not_null);

    const struct nw_catalog_column *price = column(odd, "sel'ect");

    assert_string_equal(price->type_name, "public.price");
    assert_int_equal(price->base_type_oid, NW_OID_NUMERIC);
    assert_int_equal(price->typmod, -1);
    assert_int_equal(price->base_typmod, (12 << 16 | 2) + 4);
    assert_false(price->not_null);
    assert_true(price->domain_not_null);

    const struct nw_catalog_column *mood = column(odd, "m");

    assert_int_equal(mood->typtype, 'e');
    assert_string_equal(mood->enum_labels[0], "sad");
    assert_string_equal(mood->enum_labels[1], "fine");
    assert_string_equal(mood->enum_labels[2], "ok");
    assert_null(mood->enum_labels[3]);
    assert_non_null(column(odd, "e")->enum_labels);
    assert_null(column(odd, "e")->enum_labels[0]);
    assert_null(column(odd, "n")->enum_labels);
    assert_string_equal(column(odd, "p")->type_name, "public.pair[]");
    assert_int_equal(column(odd, "p")->typcategory, 'A');
    assert_string_equal(column(odd, "t")->type_name, "timestamp(3) with time zone");
    assert_string_equal(column(odd, "v")->type_name, "character varying(20)");
    assert_int_equal(find(&tables, "no_columns")->columns_count, 0);
}

static void keys_and_identities_are_told_apart(void **state)
{
    struct nw_catalog_tables tables;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));

    const struct nw_catalog_table *by_index = find(&tables, "by_index");

    assert_int_equal(by_index->replica_identity, 'i');
    assert_int_equal(by_index->primary_key_count, 0);
    assert_int_equal(by_index->replica_key_count, 2); /* without the INCLUDEd column */
    assert_int_equal(by_index->replica_key[0], 2);
    assert_int_equal(by_index->replica_key[1], 1);
    assert_true(!by_index->columns[0].identity && by_index->columns[1].identity);

    const struct nw_catalog_table *full = find(&tables, "full_");

    assert_true(full->columns[0].identity && full->columns[1].identity);
    assert_true(full->publishes_update); /* in one of its two publications */
    assert_false(find(&tables, "keyless")->publishes_update);
    assert_int_equal(find(&tables, "nothing")->primary_key_count, 1);
    assert_false(find(&tables, "nothing")->columns[0].identity);
    assert_int_equal(find(&tables, "late")->primary_key_count, 1);
    assert_false(find(&tables, "late")->columns[0].identity); /* deferrable: of no use */
}

static void partitions_come_as_the_publication_publishes_them(void **state)
{
    static const char *const by_leaf[] = {"leaves"};
    const struct nw_catalog_scope leaves = {by_leaf, 1};
    struct nw_catalog_tables tables;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));

    const struct nw_catalog_table *root = find(&tables, "parted");

    assert_int_equal(root->kind, 'p');
    assert_int_equal(root->root_oid, 0);
    assert_true(root->bytes >= 300000);
    assert_int_equal(root->primary_key_count, 2);
    must(nw_catalog_tables(session, &leaves, &arena, &tables, &err));
    assert_int_equal(tables.count, 2);
    assert_string_equal(tables.tables[1].name, "parted_2");
    assert_int_equal(tables.tables[1].root_oid, root->oid);
    assert_string_equal(tables.tables[1].root_schema_name, "public");
    assert_string_equal(tables.tables[1].root_name, "parted");
    assert_string_equal(tables.tables[1].columns[0].name, "x");
    assert_int_equal(tables.tables[1].primary_key_count, 2);
    assert_int_equal(tables.tables[1].primary_key[0], 2);
}

static void one_table_is_read_by_its_oid(void **state)
{
    struct nw_catalog_tables tables;
    const struct nw_catalog_table *table = NULL;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));

    uint32_t oid = find(&tables, "full_")->oid;

    must(nw_catalog_table(session, &scope, oid, &arena, &table, &err));
    assert_non_null(table);
    assert_string_equal(table->name, "full_");
    assert_int_equal(table->columns_count, 2);
    assert_true(table->publishes_update);
    run("ALTER TABLE public.full_ ADD c int; ALTER TABLE public.full_ RENAME TO fuller");
    must(nw_catalog_table(session, &scope, oid, &arena, &table, &err));
    assert_string_equal(table->name, "fuller");
    assert_int_equal(table->columns_count, 3);
    run("ALTER TABLE public.fuller RENAME TO full_; ALTER TABLE public.full_ DROP c");
    must(nw_catalog_table(session, &scope, 4294967295u, &arena, &table, &err));
    assert_null(table);

    /* Of a table that left the publications, what it would publish. */
    run("CREATE TABLE public.outside (a int, b int GENERATED ALWAYS AS (a) STORED)");

    struct nw_rows *rows = NULL;

    must(nw_session_query(session, "SELECT 'public.outside'::regclass::oid", NULL, 0, NULL, &rows,
                          &err));
    oid = (uint32_t)nw_rows_u64(rows, 0, 0);
    nw_rows_free(rows);
    must(nw_catalog_table(session, &scope, oid, &arena, &table, &err));
    assert_int_equal(table->columns_count, 1);
    assert_false(table->publishes_insert);
    run("DROP TABLE public.outside");
}

static void by_oid_and_in_the_list_a_table_is_the_same(void **state)
{
    static const char *const names[] = {"Pub \"1\"", "inserts", "leaves", "more"};
    struct nw_catalog_tables tables;
    int checked = 0;

    (void)state;
    run("CREATE PUBLICATION more");
    if (version() >= 150000) {
        run("CREATE SCHEMA whole; CREATE TABLE whole.s1 (a int, b int GENERATED ALWAYS AS (a) "
            "STORED);"
            "CREATE TABLE public.some (a int PRIMARY KEY, b int, c int);"
            "ALTER PUBLICATION more ADD TABLES IN SCHEMA whole;"
            "CREATE PUBLICATION every FOR TABLE public.some (c, a) WHERE (c > 3)");
    }
    if (version() >= 180000) {
        run("ALTER PUBLICATION more SET (publish_generated_columns = stored)");
    }
    for (size_t subset = 0; subset < 5; subset++) {
        const char *const one[] = {subset < 4 ? names[subset] : "every"};
        const struct nw_catalog_scope part = {one, 1};

        must(nw_catalog_tables(session, &part, &arena, &tables, &err));
        for (size_t i = 0; i < tables.count; i++) {
            const struct nw_catalog_table *listed = &tables.tables[i];
            const struct nw_catalog_table *single = NULL;

            must(nw_catalog_table(session, &part, listed->oid, &arena, &single, &err));
            assert_non_null(single);
            if (single->columns_count != listed->columns_count) {
                fail_msg("%s: %u columns, listed %u", listed->name, single->columns_count,
                         listed->columns_count);
            }
            for (uint16_t c = 0; c < single->columns_count; c++) {
                assert_string_equal(single->columns[c].name, listed->columns[c].name);
                assert_int_equal(single->columns[c].identity, listed->columns[c].identity);
            }
            assert_int_equal(single->publishes_insert, listed->publishes_insert);
            assert_int_equal(single->publishes_update, listed->publishes_update);
            assert_int_equal(single->publishes_truncate, listed->publishes_truncate);
            assert_int_equal(single->root_oid, listed->root_oid);
            assert_int_equal(single->primary_key_count, listed->primary_key_count);
            if (listed->row_filter == NULL) {
                assert_null(single->row_filter);
            } else {
                assert_string_equal(single->row_filter, listed->row_filter);
            }
            checked++;
        }
    }
    assert_int_equal(checked, version() >= 150000 ? 13 : 11);
    run("DROP PUBLICATION more; DROP PUBLICATION IF EXISTS every; DROP SCHEMA IF EXISTS whole "
        "CASCADE;"
        "DROP TABLE IF EXISTS public.some");
}

static void a_table_that_is_locked_is_read_by_oid_all_the_same(void **state)
{
    struct nw_session *other = open_as("postgres", false);
    struct nw_catalog_tables tables;
    const struct nw_catalog_table *table = NULL;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));
    must(nw_session_query(other, "BEGIN; LOCK public.by_index", NULL, 0, NULL, NULL, &err));
    run("SET statement_timeout = '2s'");
    must(nw_catalog_table(session, &scope, find(&tables, "by_index")->oid, &arena, &table, &err));
    assert_int_equal(table->columns_count, 3);
    run("SET statement_timeout = 0");
    nw_session_close(other);
}

/* Names of published tables, as we find them and as the server's view has them. */
static void published_compare(const char *publication)
{
    const struct nw_catalog_scope one = {&publication, 1};
    struct nw_catalog_tables tables;
    struct nw_rows *rows = NULL;

    must(nw_catalog_tables(session, &one, &arena, &tables, &err));
    must(nw_session_query(
        session,
        "SELECT DISTINCT c.oid, n.nspname, c.relname FROM pg_publication_tables t JOIN pg_class c "
        "ON c.relname = "
        "t.tablename JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = "
        "t.schemaname WHERE t.pubname = $1 ORDER BY n.nspname, c.relname",
        &publication, 1, NULL, &rows, &err));
    print_message("          %s: %zu tables\n", publication, tables.count);
    assert_int_equal(tables.count, nw_rows_count(rows));
    for (size_t i = 0; i < tables.count; i++) {
        assert_int_equal(tables.tables[i].oid, nw_rows_u64(rows, (int)i, 0));
    }
    nw_rows_free(rows);
}

static void what_is_published_is_what_the_view_says(void **state)
{
    static const char *const names[] = {
        "every",     "every_root",     "leaf",        "two",
        "two_root",  "middle",         "middle_root", "nobody",
        "of_schema", "of_schema_root", "of_other",    "of_other_root"};
    size_t count = version() < 150000 ? 8 : 12;

    (void)state;
    run("CREATE SCHEMA other;"
        "CREATE TABLE public.tree (k int, d int) PARTITION BY LIST (d);"
        "CREATE TABLE other.tree_1 PARTITION OF public.tree FOR VALUES IN (1, 2) PARTITION BY LIST "
        "(k);"
        "CREATE TABLE public.tree_1_1 PARTITION OF other.tree_1 FOR VALUES IN (1);"
        "CREATE TABLE other.tree_1_2 PARTITION OF other.tree_1 FOR VALUES IN (2);"
        "CREATE TABLE public.tree_2 PARTITION OF public.tree FOR VALUES IN (3);"
        "CREATE TABLE public.parent (a int); CREATE TABLE other.child () INHERITS (public.parent);"
        "CREATE VIEW public.seen AS SELECT 1 AS a;"
        "CREATE PUBLICATION every FOR ALL TABLES;"
        "CREATE PUBLICATION every_root FOR ALL TABLES WITH (publish_via_partition_root = true);"
        "CREATE PUBLICATION leaf FOR TABLE public.tree_1_1, public.parent;"
        "CREATE PUBLICATION two FOR TABLE public.tree_1_1, public.tree;"
        "CREATE PUBLICATION two_root FOR TABLE public.tree_1_1, public.tree"
        " WITH (publish_via_partition_root = true);"
        "CREATE PUBLICATION middle FOR TABLE other.tree_1;"
        "CREATE PUBLICATION middle_root FOR TABLE other.tree_1"
        " WITH (publish_via_partition_root = true);"
        "CREATE PUBLICATION nobody");
    if (version() >= 150000) {
        run("CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA public;"
            "CREATE PUBLICATION of_schema_root FOR TABLES IN SCHEMA public"
            " WITH (publish_via_partition_root = true);"
            "CREATE PUBLICATION of_other FOR TABLES IN SCHEMA other, TABLE public.parted;"
            "CREATE PUBLICATION of_other_root FOR TABLES IN SCHEMA other, TABLE public.parted"
            " WITH (publish_via_partition_root = true)");
    }
    for (size_t i = 0; i < count; i++) {
        published_compare(names[i]);
    }
    published_compare("Pub \"1\"");
    run("DROP PUBLICATION every, every_root, leaf, two, two_root, middle, middle_root, nobody");
    if (version() >= 150000) {
        run("DROP PUBLICATION of_schema, of_schema_root, of_other, of_other_root");
    }
    run("DROP TABLE public.tree, public.parent CASCADE; DROP VIEW public.seen; DROP SCHEMA other");
}

static void column_lists_and_row_filters_are_honoured_since_15(void **state)
{
    static const char *const listed[] = {"listed", "filtered"};
    const struct nw_catalog_scope both = {listed, 2};
    const struct nw_catalog_scope one = {listed, 1};
    struct nw_catalog_tables tables;

    (void)state;
    if (version() < 150000) {
        print_message("column lists and row filters came with PostgreSQL 15\n");
        skip();
    }
    run("CREATE TABLE public.wide (a int PRIMARY KEY, b text, c int, d int);"
        "CREATE PUBLICATION listed FOR TABLE public.wide (a, c) WHERE (a > 5);"
        "CREATE PUBLICATION filtered FOR TABLE public.wide (a, c) WHERE (a < 2);");
    must(nw_catalog_tables(session, &both, &arena, &tables, &err));
    assert_int_equal(tables.count, 1);
    assert_int_equal(tables.tables[0].columns_count, 2);
    assert_string_equal(tables.tables[0].columns[1].name, "c");
    assert_int_equal(tables.tables[0].columns[1].attnum, 3);
    assert_string_equal(tables.tables[0].row_filter, "((a < 2)) OR ((a > 5))");
    must(nw_catalog_tables(session, &one, &arena, &tables, &err));
    assert_string_equal(tables.tables[0].row_filter, "((a > 5))");
    run("DROP PUBLICATION listed; DROP PUBLICATION filtered; DROP TABLE public.wide");
}

static void generated_columns_are_there_where_18_publishes_them(void **state)
{
    static const char *const names[] = {"generated"};
    const struct nw_catalog_scope generated = {names, 1};
    struct nw_catalog_tables tables;

    (void)state;
    if (version() < 180000) {
        print_message("generated columns are published since PostgreSQL 18\n");
        skip();
    }
    run("CREATE TABLE public.made (a int PRIMARY KEY, s int GENERATED ALWAYS AS (a) STORED,"
        " v int GENERATED ALWAYS AS (a) VIRTUAL);"
        "CREATE PUBLICATION generated FOR TABLE public.made WITH (publish_generated_columns = "
        "stored)");
    must(nw_catalog_tables(session, &generated, &arena, &tables, &err));
    assert_int_equal(tables.tables[0].columns_count, 2);
    assert_int_equal(tables.tables[0].columns[1].generated, 's');
    run("DROP PUBLICATION generated; DROP TABLE public.made");
}

static void items_of_enums_and_types_below_domains_are_read(void **state)
{
    struct nw_catalog_tables tables;
    const struct nw_catalog_table *read = NULL;
    struct nw_table *table = NULL;

    (void)state;
    run("CREATE DOMAIN public.feelings AS public.mood[];"
        "CREATE DOMAIN public.stamps AS timestamptz(3)[];"
        "CREATE TABLE public.lists (k int PRIMARY KEY, a public.mood[], b public.feelings,"
        " c public.feeling[], d public.empty[], e public.stamps, f public.price, g text[]);"
        "CREATE PUBLICATION lists FOR TABLE public.lists");
    must(
        nw_catalog_tables(session,
                          &(struct nw_catalog_scope){.publications = (const char *const[]){"lists"},
                                                     .publications_count = 1},
                          &arena, &tables, &err));
    read = find(&tables, "lists");
    assert_string_equal(column(read, "a")->item_labels[1], "fine");
    assert_null(column(read, "a")->enum_labels);
    assert_null(column(read, "a")->base_type_name);
    must(nw_catalog_to_table(read, &arena, &table, &err));
    assert_string_equal(nw_table_item_labels(table, 1)[2], "ok");
    assert_null(nw_table_item_labels(table, 1)[3]);
    assert_string_equal(nw_table_item_labels(table, 2)[0], "sad");
    assert_string_equal(nw_table_base_type_name(table, 2), "public.mood[]");
    assert_null(nw_table_item_labels(table, 3)); /* its items are a domain's */
    assert_non_null(nw_table_item_labels(table, 4));
    assert_null(nw_table_item_labels(table, 4)[0]);
    assert_string_equal(nw_table_base_type_name(table, 5), "timestamp with time zone[]");
    assert_string_equal(nw_table_base_type_name(table, 6), "numeric");
    assert_null(nw_table_base_type_name(table, 7));
    assert_null(nw_table_item_labels(table, 7));
    run("DROP PUBLICATION lists; DROP TABLE public.lists; DROP DOMAIN public.feelings, "
        "public.stamps");
}

static void a_catalog_table_becomes_what_sinks_see(void **state)
{
    struct nw_catalog_tables tables;
    struct nw_table *table = NULL;

    (void)state;
    must(nw_catalog_tables(session, &scope, &arena, &tables, &err));
    must(nw_catalog_to_table(find(&tables, "Tab\"le"), &arena, &table, &err));
    assert_int_equal(table->size, sizeof(struct nw_table));
    assert_string_equal(table->name, "Tab\"le");
    assert_true(table->key_is_primary);
    assert_int_equal(table->key_columns_count, 2);
    assert_int_equal(table->key_columns[0], 1);
    assert_int_equal(table->columns[2].type, NW_TYPE_DECIMAL);
    assert_int_equal(table->columns[2].precision, 12);
    assert_int_equal(table->columns[2].scale, 2);
    assert_true(table->columns[2].not_null);
    assert_int_equal(table->columns[0].type, NW_TYPE_INT64);
    must(nw_catalog_to_table(find(&tables, "by_index"), &arena, &table, &err));
    assert_false(table->key_is_primary);
    assert_int_equal(table->key_columns_count, 2);
    must(nw_catalog_to_table(find(&tables, "no_columns"), &arena, &table, &err));
    assert_int_equal(table->columns_count, 0);
}

static void the_first_unique_index_by_name_is_known_of_a_table_without_a_key(void **state)
{
    static const struct {
        const char *name;
        uint16_t count;
        uint16_t columns[2];
    } expected[] = {{"u_none", 0, {0}},    {"u_two", 2, {2, 0}},     {"u_expression", 1, {1}},
                    {"u_partial", 1, {0}}, {"u_include", 2, {0, 2}}, {"u_clustered", 1, {1}},
                    {"u_primary", 0, {0}}, {"u_replica", 0, {0}}};
    static const char *const names[] = {"unique_"};
    const struct nw_catalog_scope of_these = {names, 1};
    struct nw_catalog_tables tables;

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char sql[256];

        (void)snprintf(sql, sizeof sql, "CREATE TABLE public.%s (a int NOT NULL, b text, c int)",
                       expected[i].name);
        run(sql);
    }
    run("SET search_path = public;"
        "CREATE INDEX ON u_none (a);"
        "CREATE UNIQUE INDEX u2 ON u_two (a); CREATE UNIQUE INDEX \"U3\" ON u_two (c, a);"
        "CREATE UNIQUE INDEX e1 ON u_expression (a, lower(b));"
        "CREATE UNIQUE INDEX e2 ON u_expression (b);"
        "CREATE UNIQUE INDEX p1 ON u_partial (a) WHERE c > 1;"
        "CREATE UNIQUE INDEX i1 ON u_include (a) INCLUDE (c);"
        "CREATE UNIQUE INDEX c1 ON u_clustered (a); CREATE UNIQUE INDEX c2 ON u_clustered (b);"
        "ALTER TABLE u_clustered CLUSTER ON c2;"
        "ALTER TABLE u_primary ADD PRIMARY KEY (a); CREATE UNIQUE INDEX a1 ON u_primary (b);"
        "CREATE UNIQUE INDEX r1 ON u_replica (c); CREATE UNIQUE INDEX r2 ON u_replica (a);"
        "ALTER TABLE u_replica REPLICA IDENTITY USING INDEX r2;"
        "CREATE PUBLICATION unique_ FOR TABLE u_none, u_two, u_expression, u_partial, u_include,"
        " u_clustered, u_primary, u_replica");
    must(nw_catalog_tables(session, &of_these, &arena, &tables, &err));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct nw_table *table = NULL;

        must(nw_catalog_to_table(find(&tables, expected[i].name), &arena, &table, &err));
        if (table->unique_columns_count != expected[i].count) {
            fail_msg("%s: %u columns", expected[i].name, table->unique_columns_count);
        }
        for (uint16_t k = 0; k < expected[i].count; k++) {
            assert_int_equal(table->unique_columns[k], expected[i].columns[k]);
        }
    }
    run("DROP PUBLICATION unique_; DROP TABLE u_none, u_two, u_expression, u_partial, u_include,"
        " u_clustered, u_primary, u_replica; RESET search_path");
}

static const struct nw_catalog_candidate *candidate(const struct nw_catalog_candidates *list,
                                                    const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->tables[i].name, name) == 0) {
            return &list->tables[i];
        }
    }
    return NULL;
}

static void candidates_say_whose_updates_would_go_on_working(void **state)
{
    static const struct {
        const char *name;
        bool usable;
    } expected[] = {
        {"Tab\"le", true},   {"parted", true},    {"parted_1", true}, {"full_", true},
        {"by_index", true},  {"nothing", false},  {"keyless", false}, {"late", false},
        {"bad_root", false}, {"bad_leaf", false},
    };
    struct nw_catalog_candidates list;

    (void)state;
    must(nw_catalog_candidates(session, &arena, &list, &err));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct nw_catalog_candidate *table = candidate(&list, expected[i].name);

        assert_non_null(table);
        if (table->identity_usable != expected[i].usable) {
            fail_msg("%s: usable %d", expected[i].name, table->identity_usable);
        }
        assert_true(table->owned && table->readable);
        assert_false(table->of_extension);
    }
    assert_null(candidate(&list, "unlogged"));
    assert_null(candidate(&list, "pg_class"));
    assert_int_equal(candidate(&list, "parted_1")->root_oid, candidate(&list, "parted")->oid);
    assert_true(candidate(&list, "parted")->bytes >= 300000);

    /* The server agrees about each of them. */
    run("CREATE PUBLICATION everything FOR ALL TABLES");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct nw_catalog_candidate *table = candidate(&list, expected[i].name);
        char sql[256] = "DELETE FROM ";
        size_t size = 0;

        must(nw_session_quote_name(session, table->schema_name, sql, sizeof sql, &err));
        size = strlen(sql);
        (void)snprintf(sql + size, sizeof sql - size, ".");
        must(nw_session_quote_name(session, table->name, sql, sizeof sql, &err));
        if (strcmp(table->name, "bad_root") == 0) {
            continue; /* without rows in a leaf nothing is checked */
        }
        assert_int_equal(nw_session_query(session, sql, NULL, 0, NULL, NULL, &err),
                         expected[i].usable ? NW_OK : NW_FATAL);
    }
    run("DROP PUBLICATION everything");
}

static void three_hundred_and_forty_tables_take_well_under_a_second(void **state)
{
    static const char *const names[] = {"many"};
    const struct nw_catalog_scope many = {names, 1};
    struct nw_catalog_tables tables;
    struct timespec begin, end;

    (void)state;
    run("DO $$ DECLARE columns text := (SELECT string_agg('c' || i || ' numeric(10,2) DEFAULT ' || "
        "i, ', ')"
        "  FROM generate_series(1, 49) i); BEGIN FOR i IN 1..340 LOOP"
        "  EXECUTE 'CREATE TABLE public.many_' || i || ' (id int PRIMARY KEY, ' || columns || ')';"
        "  END LOOP; EXECUTE 'CREATE PUBLICATION many FOR TABLE ' || (SELECT "
        "string_agg(oid::regclass::text, ',')"
        "  FROM pg_class WHERE relname LIKE 'many\\_%' AND relkind = 'r'); END $$");
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    must(nw_catalog_tables(session, &many, &arena, &tables, &err));
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(tables.count, 340);
    for (size_t i = 0; i < tables.count; i++) {
        assert_int_equal(tables.tables[i].columns_count, 50);
        assert_int_equal(tables.tables[i].primary_key_count, 1);
    }

    double ms =
        (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;

    print_message("          %.0f ms\n", ms);
    assert_true(ms < 5000); /* a loaded machine; alone it is about 0.2 s */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_identity_is_the_same_on_both_kinds_of_session),
        cmocka_unit_test(an_ordinary_replication_role_may_ask_for_all_of_it),
        cmocka_unit_test(a_slot_is_described_or_absent),
        cmocka_unit_test(odd_names_domains_enums_and_generated_columns_come_out_right),
        cmocka_unit_test(keys_and_identities_are_told_apart),
        cmocka_unit_test(partitions_come_as_the_publication_publishes_them),
        cmocka_unit_test(one_table_is_read_by_its_oid),
        cmocka_unit_test(by_oid_and_in_the_list_a_table_is_the_same),
        cmocka_unit_test(a_table_that_is_locked_is_read_by_oid_all_the_same),
        cmocka_unit_test(what_is_published_is_what_the_view_says),
        cmocka_unit_test(column_lists_and_row_filters_are_honoured_since_15),
        cmocka_unit_test(generated_columns_are_there_where_18_publishes_them),
        cmocka_unit_test(items_of_enums_and_types_below_domains_are_read),
        cmocka_unit_test(a_catalog_table_becomes_what_sinks_see),
        cmocka_unit_test(the_first_unique_index_by_name_is_known_of_a_table_without_a_key),
        cmocka_unit_test(candidates_say_whose_updates_would_go_on_working),
        cmocka_unit_test(three_hundred_and_forty_tables_take_well_under_a_second),
    };

    if (getenv("NW_TEST_PORT") == NULL) {
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
