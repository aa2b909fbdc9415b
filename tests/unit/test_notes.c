/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of the event trigger: what is understood, what is kept, and how a version is made of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "source/notes.h"
#include "source/schemas.h"

#define ID "{\"attnum\": 1, \"name\": \"id\", \"type\": 20, \"typmod\": -1, \"not_null\": true}"
#define NOTE                                                                                       \
    "{\"attnum\": 4, \"name\": \"note\", \"type\": 25, \"typmod\": -1, \"default\": \"''\"}"
#define MOOD                                                                                       \
    "{\"attnum\": 5, \"name\": \"mood\", \"type\": 50000, \"typmod\": -1, \"default\": null,"      \
    " \"labels\": [\"sad\", \"ok\"]}"
#define MOODS                                                                                      \
    "{\"attnum\": 5, \"name\": \"moods\", \"type\": 50001, \"typmod\": -1, \"labels\": null,"      \
    " \"item_labels\": [\"sad\", \"ok\"]}"
#define WHOLE(columns)                                                                             \
    "{\"v\": 1, \"oid\": 100, \"schema\": \"public\", \"name\": \"t\", \"identity\": \"d\","       \
    " \"attributes\": 5, \"columns\": [" columns "]}"

static struct nw_notes *notes;
static struct nw_error err;

static int setup(void **state)
{
    (void)state;
    return nw_notes_create(&notes, &err) == NW_OK ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    nw_notes_destroy(notes);
    return 0;
}

static nw_status put(const char *text)
{
    const struct nw_note *note = NULL;

    return nw_notes_put(notes, (struct nw_bytes){(const uint8_t *)text, strlen(text)}, &note, &err);
}

static struct nw_relation *said(void)
{
    static struct nw_relation relation;

    relation = (struct nw_relation){.oid = 100,
                                    .schema_name = "public",
                                    .name = "t",
                                    .replica_identity = 'd',
                                    .columns_count = 2,
                                    .columns = {{"id", 20, -1, true}, {"note", 25, -1, false}}};
    return &relation;
}

static void a_note_has_its_columns(void **state)
{
    const struct nw_note *note = NULL;

    (void)state;
    assert_int_equal(put(WHOLE(ID ", " NOTE ", " MOOD)), NW_OK);
    note = nw_notes_find(notes, 100);
    assert_non_null(note);
    assert_int_equal(note->columns_count, 3);
    assert_int_equal(note->attributes_count, 5);
    assert_int_equal(note->columns[1].attnum, 4);
    assert_string_equal(note->columns[1].default_expr, "''");
    assert_null(note->columns[2].default_expr);
    assert_string_equal(note->columns[2].enum_labels[1], "ok");
    assert_null(note->columns[2].enum_labels[2]);
    assert_null(note->columns[0].enum_labels);
    assert_true(nw_note_agrees(note, said())); /* mood is not published */
    assert_null(nw_notes_find(notes, 101));
    assert_int_equal(put(WHOLE(ID)), NW_OK); /* a later one takes its place */
    assert_false(nw_note_agrees(nw_notes_find(notes, 100), said()));
    nw_notes_drop(notes, 100);
    assert_null(nw_notes_find(notes, 100));
}

static void a_note_has_the_labels_of_items(void **state)
{
    static const char *const former[] = {"sad", NULL};
    static const char *const *const items[] = {NULL, former};
    static const struct nw_column_schema columns[] = {{.name = "id",
                                                       .type_name = "bigint",
                                                       .type_oid = 20,
                                                       .base_type_oid = 20,
                                                       .typmod = -1,
                                                       .attnum = 1,
                                                       .not_null = true},
                                                      {.name = "moods",
                                                       .type_name = "mood[]",
                                                       .type_oid = 50001,
                                                       .base_type_oid = 50001,
                                                       .typmod = -1,
                                                       .attnum = 5}};
    const struct nw_table described = {.size = sizeof described,
                                       .relation_oid = 100,
                                       .schema_name = "public",
                                       .name = "t",
                                       .replica_identity = 'd',
                                       .columns_count = 2,
                                       .columns = columns,
                                       .item_labels = items};
    struct nw_schemas *schemas = NULL;
    const struct nw_table *table = NULL;

    (void)state;
    assert_int_equal(nw_schemas_create(&schemas, &err), NW_OK);
    assert_int_equal(nw_schemas_add(schemas, &described, 0, &table, &err), NW_OK);
    assert_int_equal(put(WHOLE(ID ", " MOODS)), NW_OK);
    assert_string_equal(nw_notes_find(notes, 100)->item_labels[1][1], "ok");
    assert_null(nw_notes_find(notes, 100)->item_labels[0]);
    assert_true(nw_schemas_noted(table, nw_notes_find(notes, 100)));
    assert_int_equal(nw_schemas_note(schemas, nw_notes_find(notes, 100), &table, &err), NW_OK);
    assert_int_equal(table->version, 2);
    assert_string_equal(nw_table_item_labels(table, 1)[1], "ok");
    assert_null(nw_table_item_labels(table, 1)[2]);
    assert_null(nw_table_item_labels(table, 0));
    /* A trigger of a former narwal does not say them. */
    assert_int_equal(put(WHOLE(ID ", {\"attnum\": 5, \"name\": \"moods\", \"type\": 50001,"
                                  " \"typmod\": -1, \"labels\": null}")),
                     NW_OK);
    assert_false(nw_schemas_noted(table, nw_notes_find(notes, 100)));
    nw_schemas_destroy(schemas);
}

/* Anyone may write a note: that an integer is an enum would stop its table. */
static void types_of_postgres_have_no_labels(void **state)
{
    (void)state;
    assert_int_equal(put(WHOLE("{\"attnum\": 1, \"name\": \"id\", \"type\": 20, \"typmod\": -1,"
                               " \"labels\": [\"x\"], \"item_labels\": [\"x\"]}")),
                     NW_OK);
    assert_null(nw_notes_find(notes, 100)->columns[0].enum_labels);
    assert_null(nw_notes_find(notes, 100)->item_labels[0]);
}

static void what_is_no_note_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[1]",
        "{\"v\": 2, \"oid\": 100, \"attributes\": 1, \"columns\": []}",
        "{\"v\": 1, \"oid\": -1, \"attributes\": 1, \"columns\": []}",
        "{\"v\": 1, \"oid\": 100, \"attributes\": 99999, \"columns\": []}",
        WHOLE(NOTE ", " ID), /* not in order */
        WHOLE(ID ", " ID),
        WHOLE("{\"attnum\": 6, \"name\": \"a\", \"type\": 25, \"typmod\": -1}"), /* past the last */
        WHOLE("{\"attnum\": 1, \"name\": 7, \"type\": 25, \"typmod\": -1}"),
        WHOLE("{\"attnum\": 1, \"name\": \"a\", \"type\": 25, \"typmod\": -1, \"labels\": [1]}"),
        WHOLE("{\"attnum\": 1, \"name\": \"a\", \"type\": 25, \"typmod\": -1, \"item_labels\": 1}"),
        WHOLE("7"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(put(texts[i]), NW_REJECT);
        assert_null(nw_notes_find(notes, 100));
    }
}

static void many_tables_may_be_noted_and_the_oldest_is_forgotten(void **state)
{
    char text[128];

    (void)state;
    for (unsigned i = 1; i <= 5000; i++) {
        (void)snprintf(text, sizeof text,
                       "{\"v\": 1, \"oid\": %u, \"attributes\": 0, \"columns\": []}", i);
        assert_int_equal(put(text), NW_OK);
    }
    assert_null(nw_notes_find(notes, 1));
    assert_non_null(nw_notes_find(notes, 5000));
}

/* Dropped and added again under the same name and type: only a note can tell. */
static void a_version_made_of_a_note_is_exact(void **state)
{
    struct nw_schemas *schemas = NULL;
    const struct nw_table *table = NULL;
    struct nw_schemas_change change = {.relation = said()};
    const uint32_t exact = NW_EXACT_NAME | NW_EXACT_TYPE | NW_EXACT_KEY | NW_EXACT_ATTNUM |
                           NW_EXACT_NOT_NULL | NW_EXACT_DEFAULT | NW_EXACT_ENUM;

    (void)state;
    assert_int_equal(nw_schemas_create(&schemas, &err), NW_OK);
    assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_OK);
    assert_int_equal(put(WHOLE(ID ", " NOTE)), NW_OK);
    change.note = nw_notes_find(notes, 100);
    assert_true(nw_schemas_noted(table, change.note));
    assert_int_equal(nw_schemas_apply(schemas, &change, &table, &err), NW_OK);
    assert_false(nw_schemas_noted(table, change.note));
    assert_int_equal(table->columns[0].attnum, 1);
    assert_true(table->columns[0].not_null);
    assert_int_equal(table->columns[1].attnum, 4);
    assert_int_equal(table->columns[1].exact, exact);
    assert_string_equal(table->columns[1].default_expr, "''");
    assert_int_equal(table->attributes_count, 5);
    nw_schemas_destroy(schemas);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_note_has_its_columns),
        TEST(a_note_has_the_labels_of_items),
        TEST(types_of_postgres_have_no_labels),
        TEST(what_is_no_note_is_refused),
        TEST(many_tables_may_be_noted_and_the_oldest_is_forgotten),
        TEST(a_version_made_of_a_note_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
