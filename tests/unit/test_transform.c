/* SPDX-License-Identifier: Apache-2.0 */
/* From rules and a schema version to what sinks see of it, and of its rows. */
#include "transform_kit.h"

#include <stdio.h>

#include "decode/buffer.h"

#define RULE(text) "transforms:\n  - tables: public.people\n" text

/* A text row of people; NULL: NULL, "u": unchanged. */
static void people_tuple(struct nw_block *block, char letter,
                         const char *const values[PEOPLE_COLUMNS])
{
    block_tuple(block, letter, PEOPLE_COLUMNS);
    for (int i = 0; i < PEOPLE_COLUMNS; i++) {
        if (values[i] == NULL || strcmp(values[i], "u") == 0) {
            block_kind(block, values[i] == NULL ? 'n' : 'u');
        } else {
            block_text(block, values[i]);
        }
    }
}

#define TUPLE(block, letter, ...) people_tuple(block, letter, (const char *const[]){__VA_ARGS__})

static struct nw_item *decode(struct kit *kit, const struct nw_block *block)
{
    nw_status status = NW_OK;
    struct nw_item *item = block_decode(block, &status, &kit->err);

    if (status != NW_OK) {
        fail_msg("%s", kit->err.text);
    }
    return item;
}

static void no_rule_for_a_table_is_no_projection(void **state)
{
    struct kit kit;

    (void)state;
    kit_open(&kit, "transforms:\n  - {tables: public.other, exclude_columns: mail}\n"
                   "  - {tables: public.people, exclude_columns: nothing_here}\n");
    assert_null(kit_project(&kit, people('d')));
    kit_close(&kit);
}

static void columns_are_hidden_masked_and_renamed(void **state)
{
    const struct nw_table *table = people('d');
    const struct nw_projection *p = NULL;
    struct kit kit;

    (void)state;
    kit_open(&kit, RULE("    exclude_columns: born\n    mask_columns: [flag, n]\n    mask: fixed\n"
                        "    rename_columns: [mail=email]\n    to_schema: lake\n"
                        "    to_table: '{schema}_{table}_x'\n"));
    p = kit_project(&kit, table);
    assert_non_null(p);
    assert_ptr_equal(p, kit_project(&kit, table)); /* the same for the same version */
    assert_string_equal(p->table.schema_name, "lake");
    assert_string_equal(p->table.name, "public_people_x");
    assert_int_equal(p->table.columns_count, 4);
    assert_string_equal(p->table.columns[0].name, "id");
    assert_string_equal(p->table.columns[1].name, "email");
    assert_string_equal(p->table.columns[2].name, "n");
    assert_int_equal(p->table.columns[2].type, NW_TYPE_TEXT);
    assert_int_equal(p->table.columns[2].type_oid, NW_OID_TEXT);
    assert_int_equal(p->table.columns[2].attnum, 4);
    assert_null(p->table.columns[2].default_expr);
    assert_int_equal(p->table.columns[0].type, NW_TYPE_INT32);
    assert_string_equal(p->table.columns[0].default_expr, "a default");
    assert_int_equal(p->table.key_columns_count, 1);
    assert_int_equal(p->table.key_columns[0], 0);
    assert_int_equal(p->table.relation_oid, table->relation_oid);
    assert_int_equal(p->fields_count[NW_WIRE_CHANGES], 5);
    assert_int_equal(p->fields_count[NW_WIRE_COPY], 4);
    assert_int_equal(p->fields[NW_WIRE_COPY][2].column, 3);
    kit_close(&kit);
}

/* Items' labels and the names below domains, which nw_table has beside its columns. */
static void lists_of_columns_follow_what_is_seen(void **state)
{
    static const char *const labels[] = {"sad", NULL};
    static const char *const *const items[PEOPLE_COLUMNS] = {NULL, labels, NULL, labels, NULL};
    static const char *const names[PEOPLE_COLUMNS] = {"a", "b", "c", "d", "e"};
    static const uint16_t from[] = {0, 1, 3, 4};
    struct nw_table table = *people('d');
    const struct nw_projection *p = NULL;
    struct kit kit;

    (void)state;
    table.item_labels = items;
    table.base_type_names = names;
    kit_open(&kit, RULE("    exclude_columns: born\n    mask_columns: n\n    mask: fixed\n"
                        "    rename_columns: [mail=email]\n"));
    p = kit_project(&kit, &table);
    assert_int_equal(p->table.columns_count, 4);
    for (uint16_t i = 0; i < 4; i++) {
        bool masked = strcmp(p->table.columns[i].name, "n") == 0;

        assert_ptr_equal(nw_table_item_labels(&p->table, i), masked ? NULL : items[from[i]]);
        assert_ptr_equal(nw_table_base_type_name(&p->table, i), masked ? NULL : names[from[i]]);
    }
    kit_close(&kit);
}

static void the_first_rule_that_masks_a_column_does(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('d'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit, "transforms:\n"
                   "  - {tables: '*', mask_columns: mail, mask: first, mask_characters: 2}\n"
                   "  - {tables: public.*, mask_columns: '*a*', mask: fixed, mask_text: gone}\n");
    block->projection = kit_project(&kit, block->table);
    block_row(block, 'I');
    TUPLE(block, 'N', "1", "\xc3\xa4\xc3\xb6x", "2000-01-01", "1.50", "t");
    item = decode(&kit, block);
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 0),
                        "1|\xc3\xa4\xc3\xb6|10957|150/100|gone");
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void masked_null_stays_null_and_missing_stays_missing(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('d'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit, RULE("    exclude_columns: born\n    mask_columns: [mail, n]\n    mask: sha256\n"
                        "    mask_salt: pepper\n"));
    block->projection = kit_project(&kit, block->table);
    block_row(block, 'U');
    TUPLE(block, 'N', "1", "u", "u", NULL, "f");
    block_row(block, 'U');
    TUPLE(block, 'K', "1", NULL, NULL, NULL, NULL);
    TUPLE(block, 'N', "2", "x", NULL, "-0.50", NULL);
    block_row(block, 'D');
    TUPLE(block, 'K', "2", NULL, NULL, NULL, NULL);
    item = decode(&kit, block);
    assert_string_equal(row_print(&item->as.batch, NW_BEFORE, 0), "-");
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 0), "1|(missing)|(null)|0");
    assert_string_equal(row_print(&item->as.batch, NW_BEFORE, 1),
                        "1|(missing)|(missing)|(missing)");
    /* printf pepperx | sha256sum; printf pepper-0.50 | sha256sum */
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 1),
                        "2|232069a0ae43819cace8baa9e99d3047580fdbce23ae5d10ab92ed528e96b01d|"
                        "c88fc34340d0e7567340cb72004423867fe6f570ad9494e6f77cfc72bab87fce|(null)");
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 2), "-");
    free(item);
    block_free(block);
    kit_close(&kit);
}

/* MaskStrings of Debezium 3.7: hashes of a text's bytes (v2), or of what Java's ObjectOutputStream
 * makes of it (v1), no longer than the column. */
static void hashes_of_debezium_are_of_its_form_and_length(void **state)
{
    static char large[65537];
    const struct {
        const char *mask;
        uint32_t oid;
        int32_t typmod;
        const char *text, *hash;
    } cases[] = {
        {"debezium_v2", NW_OID_VARCHAR, 24, "x", "232069a0ae43819cace8"},
        {"debezium_v2", NW_OID_BPCHAR, 9, "a   ", "b25bc"},
        {"debezium_v2", NW_OID_VARCHAR, 68, "a",
         "fb8da7c36f20f5b8ba6d0bc9a48de23ded12995435364e39efb226ed8e81cce6"},
        {"debezium_v2", NW_OID_TEXT, -1, "a",
         "fb8da7c36f20f5b8ba6d0bc9a48de23ded12995435364e39efb226ed8e81cce6"},
        {"debezium_v1", NW_OID_VARCHAR, 24, "x", "d14e3766ce1ea01fc1cc"},
        {"debezium_v1", NW_OID_VARCHAR, -1,
         "\xc3\xbc\xf0\x9f\x98\x80"
         "b",
         "3ff93514cf67619e1921aa1c885006973dbc847ff4ef17aafc030848cbf214c4"},
        {"debezium_v1", NW_OID_VARCHAR, 24, large, "b5bb8352c3ad52d64fd3"},
        {"debezium_v1", NW_OID_VARCHAR, 24, large + 1, "24b129f0ca3a0525a879"},
    };

    (void)state;
    memset(large, 'x', sizeof large - 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_column_schema columns[2] = {column_make("id", NW_OID_INT4, -1),
                                              column_make("c", cases[i].oid, cases[i].typmod)};
        struct nw_table table = table_make(columns, 2);
        struct nw_buffer hash = {0};
        struct kit kit;
        char rules[256];
        const struct nw_mask *mask = NULL;

        (void)snprintf(rules, sizeof rules,
                       "transforms:\n  - tables: public.*\n    mask_columns: c\n    mask: %s\n"
                       "    mask_salt: pepper\n",
                       cases[i].mask);
        kit_open(&kit, rules);
        mask = kit_project(&kit, &table)->fields[NW_WIRE_CHANGES][1].mask;
        assert_true(mask->padded);
        assert_true(mask->append(mask, &hash, (const uint8_t *)cases[i].text,
                                 (uint32_t)strlen(cases[i].text)));
        assert_int_equal(hash.size, strlen(cases[i].hash));
        assert_memory_equal(hash.at, cases[i].hash, hash.size);
        nw_buffer_fini(&hash);
        kit_close(&kit);
    }
    kit_refused(RULE("    mask_columns: id\n    mask: debezium_v2\n    mask_salt: s\n"),
                people('d'), "column id of public.people");
}

static void unchanged_values_of_the_old_row_are_masked_too(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('f'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit,
             RULE("    mask_columns: mail\n    mask: fixed\n    exclude_columns: [born, n]\n"));
    block->projection = kit_project(&kit, block->table);
    block_row(block, 'U');
    TUPLE(block, 'O', "1", "secret", "2000-01-01", "1", "t");
    TUPLE(block, 'N', "1", "u", "u", "2", "u");
    item = decode(&kit, block);
    assert_string_equal(row_print(&item->as.batch, NW_BEFORE, 0), "1|***|1");
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 0), "1|***|1");
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void values_without_an_exact_form_keep_their_column(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('d'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit, RULE("    exclude_columns: mail\n"));
    block->projection = kit_project(&kit, block->table);
    block_row(block, 'I');
    TUPLE(block, 'N', "1", "x", "infinity", "NaN", "t");
    item = decode(&kit, block);
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 0), "1|(infinity)|(NaN)|1");
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void copied_rows_have_the_selected_fields_only(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_COPY, people('f'));
    struct nw_item *item = NULL;
    const char *const mails[] = {"one", "two"};

    (void)state;
    kit_open(&kit, RULE("    include_columns: [id, mail]\n    where: flag = true\n"
                        "    mask_columns: mail\n    mask: first\n    mask_characters: 1\n"));
    block->projection = kit_project(&kit, block->table);
    assert_int_equal(block->projection->fields_count[NW_WIRE_COPY], 3);
    for (int i = 0; i < 2; i++) {
        block_row(block, 'I');
        block_tuple(block, 0, 3);
        block_u32(block, 4);
        block_u32(block, (uint32_t)i);
        block_u32(block, 3);
        block_bytes(block, mails[i], 3);
        block_u32(block, 1);
        block_bytes(block, i == 0 ? "\0" : "\1", 1);
    }
    item = decode(&kit, block);
    assert_int_equal(item->as.batch.rows_count, 1);
    assert_int_equal(item->as.batch.table->columns_count, 2);
    assert_int_equal(item->as.batch.seq[0], 1); /* of the second frame */
    assert_string_equal(row_print(&item->as.batch, NW_AFTER, 0), "1|t");
    free(item);
    /* With a field more or less it is not what was asked for. */
    block->frames[0].size -= 5;
    block->frames_count = 1;
    {
        nw_status status = NW_OK;

        assert_null(block_decode(block, &status, &kit.err));
        assert_int_equal(status, NW_CORRUPT);
    }
    block_free(block);
    kit_close(&kit);
}

/* ---- rows ---- */

static void updates_across_the_filter_are_inserts_and_deletes(void **state)
{
    static const struct {
        const char *old, *fresh; /* n; NULL: no old row */
        char op;
    } vectors[] = {
        {"5", "6", 'U'},  {"5", "1", 'D'}, {"1", "5", 'I'}, {"1", "2", 0},
        {NULL, "5", 'U'}, {NULL, "1", 0},  {"5", "u", 'U'}, {"1", "u", 0},
    };
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('f'));
    struct nw_item *item = NULL;
    uint32_t row = 0;

    (void)state;
    kit_open(&kit, RULE("    where: n >= 5 AND born IS NULL\n    exclude_columns: n\n"));
    block->projection = kit_project(&kit, block->table);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        block_row(block, 'U');
        if (vectors[i].old != NULL) {
            TUPLE(block, 'O', "1", "old", NULL, vectors[i].old, "t");
        }
        TUPLE(block, 'N', "1", vectors[i].old == NULL ? "new" : "u", NULL, vectors[i].fresh, "f");
    }
    item = decode(&kit, block);
    for (uint32_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        if (vectors[i].op != 0) {
            const struct nw_batch *batch = &item->as.batch;

            assert_int_equal(batch->op[row], vectors[i].op);
            assert_int_equal(batch->seq[row], i);
            assert_string_equal(row_print(batch, NW_BEFORE, row),
                                vectors[i].op == 'I' || vectors[i].old == NULL ? "-"
                                                                               : "1|old|(null)|1");
            assert_string_equal(row_print(batch, NW_AFTER, row), vectors[i].op == 'D' ? "-"
                                                                 : vectors[i].old == NULL
                                                                     ? "1|new|(null)|0"
                                                                     : "1|old|(null)|0");
            row++;
        }
    }
    assert_int_equal(item->as.batch.rows_count, row);
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void inserts_and_deletes_are_kept_or_not(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('d'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit, RULE("    where: id IN (1, 3)\n"));
    block->projection = kit_project(&kit, block->table);
    for (int i = 1; i <= 3; i++) {
        char id[2] = {(char)('0' + i), '\0'};

        block_row(block, 'I');
        TUPLE(block, 'N', id, "x", NULL, NULL, NULL);
        block_row(block, 'D');
        TUPLE(block, 'K', id, NULL, NULL, NULL, NULL);
    }
    item = decode(&kit, block);
    assert_int_equal(item->as.batch.rows_count, 4);
    assert_memory_equal(item->as.batch.op, "IDID", 4);
    assert_int_equal(item->as.batch.seq[2], 4);
    assert_int_equal(item->as.batch.commit_lsn[3], 0x100000200);
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void a_block_of_which_nothing_is_kept_is_an_item_without_rows(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('d'));
    struct nw_item *item = NULL;

    (void)state;
    kit_open(&kit, RULE("    where: id = 7\n"));
    block->projection = kit_project(&kit, block->table);
    block->ordinal = 9;
    block->cut = true;
    block_row(block, 'I');
    TUPLE(block, 'N', "1", "x", NULL, NULL, NULL);
    item = decode(&kit, block);
    assert_int_equal(item->kind, NW_ITEM_BATCH);
    assert_int_equal(item->as.batch.rows_count, 0);
    assert_int_equal(item->ordinal, 9);
    assert_true(item->cut);
    free(item);
    block_free(block);
    kit_close(&kit);
}

static void a_decision_that_lacks_its_value_is_an_error(void **state)
{
    struct kit kit;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, people('f'));
    nw_status status = NW_OK;

    (void)state;
    kit_open(&kit, RULE("    where: mail = 'x'\n"));
    block->projection = kit_project(&kit, block->table);
    block_row(block, 'U');
    TUPLE(block, 'N', "1", "u", NULL, NULL, NULL);
    assert_null(block_decode(block, &status, &kit.err));
    assert_int_equal(status, NW_FATAL);
    assert_non_null(strstr(kit.err.text, "column mail, by which rows are kept, was not sent"));
    assert_memory_equal(kit.err.text, "NW1226", 6);
    block_free(block);
    kit_close(&kit);
}

/* ---- refusals ---- */

static void what_would_blur_a_key_is_refused(void **state)
{
    const struct nw_table *table = people('d');
    struct kit kit;

    (void)state;
    kit_refused(RULE("    exclude_columns: '*'\n"), table, "leaves out column id of public.people");
    kit_refused(RULE("    include_columns: mail\n"), table,
                "leaves out column id of public.people");
    kit_refused(RULE("    mask_columns: id\n    mask: fixed\n"), table,
                "column id of public.people");
    kit_refused(RULE("    mask_columns: id\n    mask: first\n    mask_characters: 9\n"),
                people('f'), "(narwal.yaml:2) masks, so that values become the same, column id");
    kit_open(&kit, RULE("    mask_columns: id\n    mask: sha256\n    mask_salt: s\n"));
    assert_int_equal(kit_project(&kit, table)->table.columns[0].type, NW_TYPE_TEXT);
    kit_close(&kit);
}

static void what_masks_blur_is_known_to_sinks(void **state)
{
    static const struct {
        const char *mask;
        bool blurs;
    } cases[] = {{"mask: sha256\n    mask_salt: s", false},
                 {"mask: fixed", true},
                 {"mask: first\n    mask_characters: 9", true},
                 {"mask: debezium_v1\n    mask_salt: s", true},
                 {"mask: debezium_v2\n    mask_salt: s", true}};
    static const uint16_t unique[] = {3, 1};
    struct nw_table table = *people('d');

    (void)state;
    assert_false(nw_table_is_blurred(&table, 1));
    table.key_columns_count = 0;
    table.unique_columns = unique;
    table.unique_columns_count = 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        struct kit kit;
        const struct nw_table *seen = NULL;

        (void)snprintf(yaml, sizeof yaml,
                       "transforms:\n  - tables: public.*\n    exclude_columns: born\n"
                       "    rename_columns: [mail=email]\n    mask_columns: mail\n    %s\n",
                       cases[i].mask);
        kit_open(&kit, yaml);
        seen = &kit_project(&kit, &table)->table;
        assert_int_equal(seen->unique_columns_count, 2);
        assert_int_equal(seen->unique_columns[0], 2);
        assert_int_equal(seen->unique_columns[1], 1);
        assert_string_equal(seen->columns[1].name, "email");
        assert_int_equal(nw_table_is_blurred(seen, 1), cases[i].blurs);
        assert_false(nw_table_is_blurred(seen, 2));
        kit_close(&kit);
    }
}

static void a_condition_on_what_deletes_do_not_have_is_refused(void **state)
{
    struct nw_column_schema columns[1] = {column_make("a", NW_OID_INT4, -1)};
    struct nw_table keyless = table_make(columns, 1);
    struct kit kit;

    (void)state;
    keyless.replica_identity = 'd';
    kit_refused(RULE("    where: mail = 'x'\n"), people('d'),
                "ALTER TABLE \"public\".\"people\" REPLICA IDENTITY FULL");
    kit_open(&kit, "transforms:\n  - {tables: public.*, where: a = 1}\n");
    assert_non_null(kit_project(&kit, &keyless)->filter); /* only inserts are published of it */
    kit_close(&kit);
    kit_open(&kit, RULE("    where: mail = 'x'\n"));
    assert_non_null(kit_project(&kit, people('f'))->filter);
    kit_close(&kit);
}

static void conditions_that_do_not_fit_the_type_are_refused(void **state)
{
    static const struct {
        const char *where, *said;
    } vectors[] = {
        {"nothing = 1", "names column nothing, which public.people does not have"},
        {"id = 1.5", "a whole number"},
        {"id = 'x'", "a whole number"},
        {"id = 99999999999999999999", "a whole number"},
        {"mail = 5", "a text in 'quotes'"},
        {"born > 'yesterday'", "a date, as '2024-12-31'"},
        {"n > '1,5'", "a number, without an exponent"},
        {"n > 1e5", "a number, without an exponent"},
        {"flag = 'maybe'", "true or false"},
        {"flag IN (true, 1)", "true or false"},
    };
    char yaml[256];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        (void)snprintf(yaml, sizeof yaml, RULE("    where: \"%s\"\n"), vectors[i].where);
        kit_refused(yaml, people('f'), vectors[i].said);
    }
}

static void two_tables_of_one_name_are_refused(void **state)
{
    struct nw_column_schema columns[1] = {column_make("a", NW_OID_INT4, -1)};
    struct nw_table first = table_make(columns, 1);
    struct nw_table second = table_make(columns, 1);
    struct nw_table renamed = table_make(columns, 1);
    const struct nw_projection *projection = NULL;
    struct kit kit;

    (void)state;
    first.name = "first";
    second.name = "second";
    second.relation_oid++;
    kit_open(&kit, "transforms:\n  - {tables: public.first, to_table: second}\n"
                   "  - {tables: public.third, to_table: '{table}'}\n");
    assert_non_null(kit_project(&kit, &first));
    assert_int_equal(nw_transforms_project(kit.transforms, &second, &projection, &kit.err),
                     NW_REJECT);
    assert_non_null(strstr(kit.err.text, "both public.first and public.second as public.second"));
    assert_memory_equal(kit.err.text, "NW1226", 6);
    renamed = first; /* that table itself, under another name since: it has no other any more */
    renamed.name = "third";
    assert_non_null(kit_project(&kit, &renamed));
    assert_null(kit_project(&kit, &second));
    kit_close(&kit);
    kit_refused("transforms:\n  - {tables: public.*, rename_columns: [mail=born]}\n", people('d'),
                "two columns of public.people the name born");
}

static void a_rule_for_the_root_is_for_its_partitions(void **state)
{
    struct nw_table leaf = *people('d');
    struct kit kit;

    (void)state;
    leaf.name = "people_2024";
    leaf.root_oid = 5;
    leaf.root_schema_name = "public";
    leaf.root_name = "people";
    kit_open(&kit, RULE("    exclude_columns: mail\n"));
    assert_int_equal(kit_project(&kit, &leaf)->table.columns_count, 4);
    kit_close(&kit);
}

static void what_meets_nothing_is_told_once(void **state)
{
    struct kit kit;
    struct nw_transform_use use;
    const char *text = NULL;
    uint32_t at = 0;

    (void)state;
    kit_open(&kit, "transforms:\n  - {tables: public.people, exclude_columns: [mail, fax]}\n"
                   "  - {tables: private.*, exclude_columns: a}\n"
                   "  - {tables: '*', rename_columns: [flag=x, fleg=y]}\n");
    assert_int_equal(nw_transform_use_init(&use, &kit.rules, &kit.arena, &kit.err), NW_OK);
    nw_transform_use_table(&use, people('d'));
    text = nw_transform_use_unmet(&use, &at);
    assert_string_equal(text,
                        "NW1318 transforms[1] (narwal.yaml:2): exclude_columns \"fax\" matches no "
                        "column of its tables");
    assert_string_equal(nw_transform_use_unmet(&use, &at),
                        "NW1318 transforms[2] (narwal.yaml:3) matches no table");
    assert_string_equal(
        nw_transform_use_unmet(&use, &at),
        "NW1318 transforms[3] (narwal.yaml:4): rename_columns \"fleg\" matches no column of "
        "its tables");
    assert_null(nw_transform_use_unmet(&use, &at));
    assert_string_equal(nw_transform_describe(&kit.rules.rules[0], people('d'), &kit.arena),
                        "leaves out mail");
    assert_null(nw_transform_describe(&kit.rules.rules[1], people('d'), &kit.arena));
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rule_for_a_table_is_no_projection),
        cmocka_unit_test(columns_are_hidden_masked_and_renamed),
        cmocka_unit_test(lists_of_columns_follow_what_is_seen),
        cmocka_unit_test(the_first_rule_that_masks_a_column_does),
        cmocka_unit_test(masked_null_stays_null_and_missing_stays_missing),
        cmocka_unit_test(hashes_of_debezium_are_of_its_form_and_length),
        cmocka_unit_test(unchanged_values_of_the_old_row_are_masked_too),
        cmocka_unit_test(values_without_an_exact_form_keep_their_column),
        cmocka_unit_test(copied_rows_have_the_selected_fields_only),
        cmocka_unit_test(updates_across_the_filter_are_inserts_and_deletes),
        cmocka_unit_test(inserts_and_deletes_are_kept_or_not),
        cmocka_unit_test(a_block_of_which_nothing_is_kept_is_an_item_without_rows),
        cmocka_unit_test(a_decision_that_lacks_its_value_is_an_error),
        cmocka_unit_test(what_would_blur_a_key_is_refused),
        cmocka_unit_test(what_masks_blur_is_known_to_sinks),
        cmocka_unit_test(a_condition_on_what_deletes_do_not_have_is_refused),
        cmocka_unit_test(conditions_that_do_not_fit_the_type_are_refused),
        cmocka_unit_test(two_tables_of_one_name_are_refused),
        cmocka_unit_test(a_rule_for_the_root_is_for_its_partitions),
        cmocka_unit_test(what_meets_nothing_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
