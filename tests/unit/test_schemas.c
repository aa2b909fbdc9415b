/* SPDX-License-Identifier: Apache-2.0 */
/* Schema versions: what a Relation message and a catalog read together say of a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pg/types.h"
#include "source/schemas.h"

#define EXACT_STREAM (NW_EXACT_NAME | NW_EXACT_TYPE | NW_EXACT_KEY)

static const char *const labels[] = {"sad", "happy", NULL};

/* id bigint primary key, price numeric(10,2), mood mood, code dom over varchar(8) */
static const struct nw_column_schema columns[4] = {{.name = "id",
                                                    .type_name = "bigint",
                                                    .type_oid = 20,
                                                    .base_type_oid = 20,
                                                    .typmod = -1,
                                                    .attnum = 1,
                                                    .type = NW_TYPE_INT64,
                                                    .not_null = true,
                                                    .identity = true},
                                                   {.name = "price",
                                                    .type_name = "numeric(10,2)",
                                                    .default_expr = "0",
                                                    .type_oid = 1700,
                                                    .base_type_oid = 1700,
                                                    .typmod = 655366,
                                                    .attnum = 2,
                                                    .type = NW_TYPE_DECIMAL,
                                                    .precision = 10,
                                                    .scale = 2},
                                                   {.name = "mood",
                                                    .type_name = "mood",
                                                    .enum_labels = labels,
                                                    .type_oid = 50000,
                                                    .base_type_oid = 50000,
                                                    .typmod = -1,
                                                    .attnum = 4,
                                                    .type = NW_TYPE_TEXT},
                                                   {.name = "code",
                                                    .type_name = "code",
                                                    .type_oid = 50001,
                                                    .base_type_oid = 1043,
                                                    .typmod = 12,
                                                    .attnum = 5,
                                                    .type = NW_TYPE_TEXT}};
static const uint16_t key[1] = {0};
static const struct nw_table described = {.size = sizeof(struct nw_table),
                                          .relation_oid = 100,
                                          .schema_name = "public",
                                          .name = "goods",
                                          .replica_identity = 'd',
                                          .key_is_primary = true,
                                          .columns_count = 4,
                                          .key_columns_count = 1,
                                          .columns = columns,
                                          .key_columns = key};

static struct nw_schemas *schemas;
static struct nw_error err;

/* What a server says of `described`: a domain has no type modifier there. */
static struct nw_relation *said(void)
{
    static struct nw_relation relation;

    relation = (struct nw_relation){.oid = 100,
                                    .schema_name = "public",
                                    .name = "goods",
                                    .replica_identity = 'd',
                                    .columns_count = 4};
    for (uint16_t i = 0; i < 4; i++) {
        relation.columns[i] =
            (struct nw_relation_column){columns[i].name, columns[i].type_oid,
                                        i == 3 ? -1 : columns[i].typmod, columns[i].identity};
    }
    return &relation;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(nw_schemas_create(&schemas, &err), NW_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nw_schemas_destroy(schemas);
    return 0;
}

static const struct nw_table *add(void)
{
    const struct nw_table *table = NULL;

    assert_int_equal(nw_schemas_add(schemas, &described, 127, &table, &err), NW_OK);
    return table;
}

static const struct nw_table *apply(const struct nw_relation *relation,
                                    const struct nw_table *catalog)
{
    const struct nw_schemas_change change = {
        .relation = relation, .described = catalog, .ambiguous = NW_AMBIGUOUS_DROP_ADD};
    const struct nw_table *table = NULL;

    assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_OK);
    assert_ptr_equal(nw_schemas_find(schemas, relation->oid), table);
    assert_true(nw_schemas_same(table, relation)); /* or it would be asked for again for ever */
    return table;
}

static void all_versions_know_that_text_is_unchecked(void **state)
{
    (void)state;
    assert_false(add()->text_unchecked);
    nw_schemas_text_unchecked(schemas);
    assert_true(apply(said(), NULL)->text_unchecked);
    assert_true(add()->text_unchecked);
}

static void a_version_is_a_copy_of_its_own(void **state)
{
    const struct nw_table *table = add();

    (void)state;
    assert_int_equal(table->id, 0);
    assert_int_equal(table->version, 1);
    assert_int_equal(table->columns_count, 4);
    assert_ptr_not_equal(table->columns, columns);
    assert_ptr_not_equal(table->name, described.name);
    assert_string_equal(table->columns[2].enum_labels[1], "happy");
    assert_null(table->columns[2].enum_labels[2]);
    assert_ptr_not_equal(table->columns[2].enum_labels[0], labels[0]);
    assert_string_equal(table->columns[1].default_expr, "0");
    assert_null(table->columns[0].default_expr);
    assert_int_equal(table->columns[3].exact, 127);
    assert_int_equal(table->key_columns[0], 0);
    assert_null(nw_schemas_find(schemas, 101));
    assert_int_equal(nw_schemas_count(schemas), 1);
    assert_ptr_equal(nw_schemas_at(schemas, 0), table);
}

/* What nw_table has of columns beside nw_column_schema goes with them. */
static void lists_of_columns_go_with_their_columns(void **state)
{
    static const char *const *const items[] = {NULL, NULL, labels, NULL};
    static const char *const *const others[] = {NULL, NULL, labels + 1, NULL};
    static const char *const names[] = {NULL, NULL, NULL, "character varying"};
    struct nw_table with = described;
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    with.item_labels = items;
    with.base_type_names = names;
    assert_int_equal(nw_schemas_add(schemas, &with, 127, &table, &err), NW_OK);
    assert_string_equal(nw_table_item_labels(table, 2)[1], "happy");
    assert_null(nw_table_item_labels(table, 2)[2]);
    assert_ptr_not_equal(nw_table_item_labels(table, 2), labels);
    assert_null(nw_table_item_labels(table, 0));
    assert_string_equal(nw_table_base_type_name(table, 3), "character varying");
    assert_null(nw_table_base_type_name(table, 2));
    assert_false(nw_schemas_stale(table, &with));
    assert_true(nw_schemas_stale(table, &described));
    with.item_labels = others;
    assert_true(nw_schemas_stale(table, &with));

    /* A column fewer before them, and the catalog knows nothing any more. */
    relation->columns[1] = relation->columns[2];
    relation->columns[2] = relation->columns[3];
    relation->columns_count = 3;
    table = apply(relation, NULL);
    assert_string_equal(table->columns[1].name, "mood");
    assert_string_equal(nw_table_item_labels(table, 1)[0], "sad");
    assert_string_equal(nw_table_base_type_name(table, 2), "character varying");
    assert_null(nw_table_item_labels(table, 2));

    /* A table of a host that did not have them yet. */
    with.size = offsetof(struct nw_table, item_labels);
    assert_null(nw_table_item_labels(&with, 2));
    assert_null(nw_table_base_type_name(&with, 3));
}

static void a_relation_that_says_the_same_is_the_same(void **state)
{
    const struct nw_table *table = add();

    (void)state;
    assert_true(nw_schemas_same(table, said())); /* the domain's modifier is not compared */
}

static void every_difference_counts(void **state)
{
    const struct nw_table *table = add();
    struct nw_relation *relation = said();

    (void)state;
    relation->columns_count = 3;
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->replica_identity = 'f';
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->name = "wares";
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->schema_name = "shop";
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->columns[1].name = "cost";
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->columns[1].type_oid = 701;
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->columns[1].typmod = 655367;
    assert_false(nw_schemas_same(table, relation));
    relation = said();
    relation->columns[0].identity = false;
    assert_false(nw_schemas_same(table, relation));
}

static void a_catalog_that_agrees_is_used_whole(void **state)
{
    const struct nw_table *table = apply(said(), &described);

    (void)state;
    assert_int_equal(table->columns[2].attnum, 4);
    assert_int_equal(table->columns[2].exact, EXACT_STREAM | NW_EXACT_ATTNUM);
    assert_int_equal(table->columns[3].typmod, 12);
    assert_true(table->key_is_primary);
    assert_string_equal(table->columns[2].enum_labels[0], "sad");
}

static void of_a_catalog_that_moved_on_what_agrees_is_used(void **state)
{
    struct nw_column_schema moved[4];
    struct nw_table catalog = described;
    const struct nw_table *table = NULL;

    (void)state;
    memcpy(moved, columns, sizeof moved);
    moved[1].name = "cost"; /* renamed since the message */
    catalog.columns = moved;
    table = apply(said(), &catalog);
    assert_string_equal(table->columns[1].name, "price");
    assert_int_equal(table->columns[1].attnum, 2); /* or it would be there beside it */
    assert_int_equal(table->columns[1].type, NW_TYPE_DECIMAL);
    assert_int_equal(table->columns[1].precision, 10);
    assert_int_equal(table->columns[1].scale, 2);
    assert_int_equal(table->columns[1].exact, EXACT_STREAM | NW_EXACT_ATTNUM);
    assert_int_equal(table->columns[2].attnum, 4);
    assert_int_equal(table->columns[2].exact, EXACT_STREAM);
    assert_string_equal(table->columns[2].enum_labels[0], "sad");
    assert_int_equal(table->key_columns_count, 1);
}

static void what_the_catalog_has_no_more_is_taken_from_the_version_before(void **state)
{
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    (void)add();
    relation->columns[1].typmod = 655368; /* numeric(10,4) */
    table = apply(relation, NULL);
    assert_int_equal(table->id, 0);
    assert_int_equal(table->version, 2);
    assert_int_equal(table->columns[1].scale, 4);
    assert_int_equal(table->columns[1].typmod, 655368);
    assert_int_equal(table->columns[1].attnum, 2);
    assert_int_equal(table->columns[3].typmod, 12); /* below the domain, as before */
    assert_int_equal(table->columns[3].base_type_oid, 1043);
    assert_int_equal(nw_schemas_count(schemas), 1);
}

static void a_changed_type_keeps_the_columns_number(void **state)
{
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    (void)add();
    relation->columns[1].type_oid = 701;
    relation->columns[1].typmod = -1;
    table = apply(relation, NULL);
    assert_int_equal(table->columns[1].attnum, 2);
    assert_int_equal(table->columns[1].type, NW_TYPE_FLOAT64);
    assert_null(table->columns[1].default_expr);
}

/* By the catalog's word and without it; a rename is none, nor a column that took another's name. */
static void where_types_must_stay_another_is_refused_and_nothing_made(void **state)
{
    struct nw_relation *relation = said();
    struct nw_schemas_change change = {
        .relation = relation, .ambiguous = NW_AMBIGUOUS_DROP_ADD, .retype_is_refused = true};
    struct nw_table catalog = described;
    struct nw_column_schema changed[4];
    const struct nw_table *before = add();
    const struct nw_table *table = before;

    (void)state;
    nw_schemas_confirm(schemas, before);
    memcpy(changed, columns, sizeof changed);
    catalog.columns = changed;
    for (int with_catalog = 0; with_catalog < 2; with_catalog++) {
        relation = said();
        relation->columns[1].typmod = changed[1].typmod = 983047;
        change.described = with_catalog ? &catalog : NULL;
        assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_REJECT);
        assert_non_null(strstr(err.text, relation->columns[1].name));
        assert_memory_equal(err.text, "NW2104", 6);
        assert_ptr_equal(nw_schemas_find(schemas, relation->oid), before);
    }
    change.described = NULL;
    relation = said();
    relation->columns[1].name = "renamed";
    assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_OK);
    assert_int_equal(table->columns[1].attnum, 2);
    change.retype_is_refused = false;
    relation->columns[1].typmod = 983047;
    assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_OK);
    assert_int_equal(table->columns[1].typmod, 983047);
}

/* What a copy registers is of its snapshot; the stream that is dealt after it begins before that.
 */
static void a_version_of_a_later_time_says_nothing_of_the_numbers_before_it(void **state)
{
    const struct nw_column_schema kept[3] = {columns[0], columns[1], columns[3]};
    struct nw_table registered = described;
    struct nw_table now = described;
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    registered.columns = now.columns = kept;
    registered.columns_count = 2;
    registered.attributes_count = 4; /* two were dropped */
    now.columns_count = 3;
    now.attributes_count = 5;
    assert_int_equal(nw_schemas_add(schemas, &registered, 0, &table, &err), NW_OK);
    relation->columns[1].name = "cost";
    relation->columns_count = 2;
    assert_int_equal(apply(relation, &now)->attributes_count, 2);
    relation->columns[2] = relation->columns[3]; /* 3 or 4, dropped since, or 5 */
    relation->columns_count = 3;
    table = apply(relation, &now);
    assert_int_equal(table->columns[2].exact & NW_EXACT_ATTNUM, 0);
}

/* The same where a message says what the catalog said later: a column may have been dropped and
 * added again meanwhile. Then an older message comes, of a table whose past is dealt by itself. */
static void a_message_that_says_the_same_does_not_make_numbers_exact(void **state)
{
    const struct nw_column_schema kept[3] = {columns[0], columns[1], columns[3]};
    struct nw_table registered = described;
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    registered.columns = kept;
    registered.columns_count = 3;
    registered.attributes_count = 5;
    assert_int_equal(nw_schemas_add(schemas, &registered, 0, &table, &err), NW_OK);
    nw_schemas_confirm(schemas, table);
    relation->columns[1].name = "cost";
    relation->columns[2] = relation->columns[3];
    relation->columns_count = 2;
    (void)apply(relation, &registered);
    relation->columns_count = 3; /* the third one is 3, 4 or 5 */
    table = apply(relation, &registered);
    assert_int_equal(table->columns[2].exact & NW_EXACT_ATTNUM, 0);
}

static void a_new_name_between_two_others_is_a_renamed_column(void **state)
{
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    (void)add();
    relation->columns[1] = (struct nw_relation_column){"cost", 1700, 655366, false};
    table = apply(relation, NULL);
    assert_string_equal(table->columns[1].name, "cost");
    assert_int_equal(table->columns[1].attnum, 2);
    assert_string_equal(table->columns[1].type_name, "numeric(10,2)");
    relation->columns_count = 1;
    table = apply(relation, NULL);
    assert_int_equal(table->columns_count, 1);
    assert_int_equal(table->version, 3);
    assert_string_equal(table->columns[0].name, "id");
}

/* The message has the columns of the key, not their order. */
static void the_key_has_the_order_that_is_known(void **state)
{
    static const uint16_t two[2] = {3, 0};
    struct nw_table other = described;
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    other.key_columns = two;
    other.key_columns_count = 2;
    relation->columns[3].identity = true;
    relation->name = "renamed_since";
    table = apply(relation, &other);
    assert_int_equal(table->key_columns_count, 2);
    assert_int_equal(table->key_columns[0], 3);
    assert_int_equal(table->key_columns[1], 0);
    assert_true(table->key_is_primary);
    /* And where another key is known: that of the message, in the order of columns. */
    relation->columns[1].identity = true;
    table = apply(relation, &other);
    assert_int_equal(table->key_columns_count, 3);
    assert_int_equal(table->key_columns[0], 0);
    assert_int_equal(table->key_columns[2], 3);
}

/* Which no message says: the catalog's, else that of the version before. */
static void the_first_unique_index_of_a_table_without_a_key_is_known(void **state)
{
    static const uint16_t unique[2] = {3, 1};
    struct nw_table other = described;
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    other.replica_identity = 'f';
    other.key_columns_count = 0;
    other.key_is_primary = false;
    other.unique_columns = unique;
    other.unique_columns_count = 2;
    relation->replica_identity = 'f';
    relation->name = "renamed_since";
    for (uint16_t i = 0; i < 4; i++) {
        relation->columns[i].identity = true;
    }
    table = apply(relation, &other);
    assert_int_equal(table->unique_columns_count, 2);
    assert_int_equal(table->unique_columns[0], 3);
    assert_int_equal(table->unique_columns[1], 1);
    assert_true(table->unique_columns != unique);
    assert_false(nw_schemas_stale(table, table));
    other = *table;
    other.unique_columns_count = 1;
    assert_true(nw_schemas_stale(table, &other));
    relation->columns_count = 3; /* one column is gone, and so is the index */
    table = apply(relation, NULL);
    assert_int_equal(table->unique_columns_count, 0);
}

static void the_primary_key_stays_when_the_whole_row_is_sent(void **state)
{
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    (void)add();
    relation->replica_identity = 'f';
    for (uint16_t i = 0; i < 4; i++) {
        relation->columns[i].identity = true;
    }
    table = apply(relation, NULL);
    assert_int_equal(table->key_columns_count, 1);
    assert_int_equal(table->key_columns[0], 0);
    assert_true(table->key_is_primary);
    relation->columns_count = 3; /* and goes with its column */
    memmove(relation->columns, relation->columns + 1, 3 * sizeof relation->columns[0]);
    table = apply(relation, NULL);
    assert_int_equal(table->key_columns_count, 0);
    assert_false(table->key_is_primary);
}

static void the_key_is_what_the_stream_says(void **state)
{
    struct nw_relation *relation = said();
    const struct nw_table *table = NULL;

    (void)state;
    (void)add();
    relation->replica_identity = 'i';
    relation->columns[0].identity = false;
    relation->columns[3].identity = true;
    table = apply(relation, NULL);
    assert_int_equal(table->key_columns_count, 1);
    assert_int_equal(table->key_columns[0], 3);
    assert_false(table->key_is_primary);
    relation->replica_identity = 'f'; /* all columns are marked, and none is a key */
    for (uint16_t i = 0; i < 4; i++) {
        relation->columns[i].identity = true;
    }
    table = apply(relation, NULL);
    assert_int_equal(table->key_columns_count, 0);
}

static void a_table_that_was_never_seen_and_is_gone_is_known_by_its_message(void **state)
{
    const struct nw_table *table = apply(said(), NULL);

    (void)state;
    assert_int_equal(table->version, 1);
    assert_int_equal(table->columns[0].type, NW_TYPE_INT64);
    assert_int_equal(table->columns[1].type, NW_TYPE_DECIMAL);
    assert_int_equal(table->columns[2].type, NW_TYPE_TEXT);
    assert_null(table->columns[2].enum_labels);
}

static void many_tables_keep_their_ids(void **state)
{
    const uint32_t count = 3000;
    struct nw_table many = described;

    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        const struct nw_table *table = NULL;

        many.relation_oid = 16384 + i * 256; /* oids that share their low bits */
        assert_int_equal(nw_schemas_add(schemas, &many, 0, &table, &err), NW_OK);
        assert_int_equal(table->id, i);
    }
    assert_int_equal(nw_schemas_count(schemas), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(nw_schemas_find(schemas, 16384 + i * 256)->id, i);
        assert_int_equal(nw_schemas_at(schemas, i)->relation_oid, 16384 + i * 256);
        assert_null(nw_schemas_find(schemas, 16384 + i * 256 + 1));
    }
}

/* A copy's rows may have a version that the stream has not reached. */
static void a_version_beside_the_stream_is_not_in_force(void **state)
{
    struct nw_column_schema changed[4];
    struct nw_table now = described;
    const struct nw_table *streamed = add();
    const struct nw_table *beside = NULL;
    const struct nw_table *next = NULL;

    (void)state;
    assert_int_equal(nw_schemas_beside(schemas, &described, &beside, &err), NW_OK);
    assert_ptr_equal(beside, streamed); /* the catalog says nothing else */
    memcpy(changed, columns, sizeof changed);
    changed[1].name = "amount";
    now.columns = changed;
    assert_int_equal(nw_schemas_beside(schemas, &now, &beside, &err), NW_OK);
    assert_ptr_not_equal(beside, streamed);
    assert_string_equal(beside->columns[1].name, "amount");
    assert_int_equal(beside->id, streamed->id);
    assert_int_equal(beside->version, streamed->version + 1);
    assert_ptr_equal(nw_schemas_find(schemas, 100), streamed);
    assert_int_equal(nw_schemas_look(schemas, &now, &next, &err), NW_OK);
    assert_int_equal(next->version, beside->version + 1); /* no number twice */
    assert_ptr_equal(nw_schemas_find(schemas, 100), next);
}

static void binary_is_possible_when_every_column_is_decodable(void **state)
{
    static const struct nw_column_schema point = {
        .name = "p", .type_name = "point", .type_oid = 600, .base_type_oid = 600, .typmod = -1};
    static const char *const moods[] = {"sad", NULL};
    static const char *const *const items[] = {moods};
    struct nw_table odd = described;

    (void)state;
    assert_true(nw_table_is_binary(add()));
    odd.columns = &point;
    odd.columns_count = 1;
    assert_false(nw_table_is_binary(&odd));
    odd.item_labels = items; /* whose items are moods is */
    assert_true(nw_table_is_binary(&odd));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_versions_know_that_text_is_unchecked),
        TEST(a_version_is_a_copy_of_its_own),
        TEST(lists_of_columns_go_with_their_columns),
        TEST(a_relation_that_says_the_same_is_the_same),
        TEST(every_difference_counts),
        TEST(a_catalog_that_agrees_is_used_whole),
        TEST(of_a_catalog_that_moved_on_what_agrees_is_used),
        TEST(what_the_catalog_has_no_more_is_taken_from_the_version_before),
        TEST(a_changed_type_keeps_the_columns_number),
        TEST(where_types_must_stay_another_is_refused_and_nothing_made),
        TEST(a_version_of_a_later_time_says_nothing_of_the_numbers_before_it),
        TEST(a_message_that_says_the_same_does_not_make_numbers_exact),
        TEST(a_new_name_between_two_others_is_a_renamed_column),
        TEST(the_key_is_what_the_stream_says),
        TEST(the_key_has_the_order_that_is_known),
        TEST(the_first_unique_index_of_a_table_without_a_key_is_known),
        TEST(the_primary_key_stays_when_the_whole_row_is_sent),
        TEST(a_table_that_was_never_seen_and_is_gone_is_known_by_its_message),
        TEST(many_tables_keep_their_ids),
        TEST(a_version_beside_the_stream_is_not_in_force),
        TEST(binary_is_possible_when_every_column_is_decodable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
