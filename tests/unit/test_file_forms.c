/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink in Debezium's forms: which lines a change becomes in each of them, what is said of
 * copied rows and of transactions, what a folder says of its files, and which options go together.
 * What a value becomes is for test_format_*.
 */
#include "file_story.h"

static char folder[128];

static struct nw_column_schema columns[] = {{.name = "id",
                                             .type = NW_TYPE_INT32,
                                             .type_oid = 23,
                                             .base_type_oid = 23,
                                             .type_name = "integer",
                                             .typmod = -1,
                                             .identity = true,
                                             .not_null = true},
                                            {.name = "name",
                                             .type = NW_TYPE_TEXT,
                                             .type_oid = 25,
                                             .base_type_oid = 25,
                                             .type_name = "text",
                                             .typmod = -1}};
static const uint16_t keys[] = {0};
static struct nw_table items = {.size = sizeof items,
                                .id = 1,
                                .version = 1,
                                .relation_oid = 17000,
                                .schema_name = "shop",
                                .name = "items",
                                .replica_identity = 'd',
                                .columns_count = 2,
                                .columns = columns,
                                .key_columns_count = 1,
                                .key_columns = keys};

static struct story *begin(const char *format)
{
    struct story *s = malloc(sizeof *s);

    assert_non_null(s);
    story_fresh(folder);
    story_init(s, folder);
    (void)test_set(s->ops, s->settings, "journal_size", NULL, 1 << 20);
    (void)test_set(s->ops, s->settings, "rotate_size", NULL, 1 << 20);
    if (format != NULL) {
        story_form(s, format);
    }
    return s;
}

static void open_and_recover(struct story *s)
{
    assert_int_equal(story_open(s), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
}

static void end(struct story *s)
{
    story_fini(s);
    free(s);
    story_fresh(folder);
}

static void flag_set(struct story *s, const char *name)
{
    for (uint32_t i = 0; i < s->ops->options_count; i++) {
        if (strcmp(s->ops->options[i].name, name) == 0) {
            s->settings[i] =
                (struct nw_setting){.set = true, .configured = true, .flag = true, .text = "true"};
        }
    }
}

static void items_set(struct story *s, const char *name, const char *const *list)
{
    for (uint32_t i = 0; i < s->ops->options_count; i++) {
        if (strcmp(s->ops->options[i].name, name) == 0) {
            s->settings[i] = (struct nw_setting){.set = true, .configured = true, .items = list};
        }
    }
}

static void image(struct test_batch *b, int side, int32_t id, const char *name)
{
    test_value(b, side, 0, &id, sizeof id);
    if (name != NULL) {
        test_value(b, side, 1, name, strlen(name));
    }
}

/* An insert, an update, one that changes the key, a delete, a TRUNCATE and a message, committed. */
static void every_change(struct story *s)
{
    struct test_batch *b = test_batch_create(&items);

    assert_int_equal(s->ops->table(s->self, 0, &items, &s->err), NW_OK);
    (void)test_row(b, NW_OP_INSERT, 0x1000, 0);
    image(b, NW_AFTER, 1, "a");
    (void)test_row(b, NW_OP_UPDATE, 0x1000, 1);
    image(b, NW_AFTER, 1, "b");
    (void)test_row(b, NW_OP_UPDATE, 0x1000, 2);
    image(b, NW_BEFORE, 1, NULL);
    image(b, NW_AFTER, 2, "b");
    (void)test_row(b, NW_OP_DELETE, 0x1000, 3);
    image(b, NW_BEFORE, 2, NULL);
    b->batch.epoch = 1;
    assert_int_equal(s->ops->write(s->self, 0, &b->batch, &s->err), NW_OK);
    free(b);
    assert_int_equal(story_event(s, 1, NW_EVENT_SCHEMA, &items), NW_OK);
    assert_int_equal(story_event(s, 1, NW_EVENT_TRUNCATE, &items), NW_OK);
    assert_int_equal(story_event(s, 1, NW_EVENT_MESSAGE, NULL), NW_OK);
    assert_int_equal(
        s->ops->event(s->self, 0,
                      &(struct nw_event){.size = sizeof(struct nw_event),
                                         .kind = NW_EVENT_DROP,
                                         .epoch = 1,
                                         .lsn = 0x1002,
                                         .commit_lsn = 0x1002,
                                         .origin = "",
                                         .tables_count = 1,
                                         .tables = (const struct nw_table *[]){&items}},
                      &s->err),
        NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 1), NW_OK);
    assert_int_equal(story_verify(s), NW_OK);
}

/* The only file of the table, or of messages, whose name has `part`. To be freed. */
static char *file_text(const char *inner, const char *part)
{
    char path[512];
    char *names[64];
    char *text = NULL;
    size_t size = 0;
    int count;

    (void)snprintf(path, sizeof path, "%s/%s", folder, inner);
    count = test_names(path, names, 64);
    for (int i = 0; i < count; i++) {
        if (strstr(names[i], part) != NULL) {
            assert_null(text);
            (void)snprintf(path, sizeof path, "%s/%s/%s", folder, inner, names[i]);
            text = test_read(path, &size);
        }
        free(names[i]);
    }
    assert_non_null(text);
    return text;
}

/* What every `name` of the text has, one behind the other: "c u d". */
static const char *all_of(const char *text, const char *name)
{
    static char found[512];
    size_t used = 0;

    found[0] = '\0';
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at, name)) {
        at += strlen(name);
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%.*s", used > 0 ? " " : "",
                                 (int)strcspn(at, "\",}\n"), at);
    }
    return found;
}

static int lines_of(const char *text)
{
    int count = 0;

    for (const char *at = text; *at != '\0'; at++) {
        count += *at == '\n';
    }
    return count;
}

/* ---- what changes become ---- */

#define SOURCE(lsn, xid, more)                                                                     \
    "\"source\":{\"version\":\"3.7.0.Final\",\"connector\":\"postgresql\",\"name\":\"p\","         \
    "\"ts_ms\":1700000000004,\"snapshot\":\"false\",\"db\":\"\",\"sequence\":\"[\\\"4096\\\","     \
    "\\\"" lsn "\\\"]\",\"ts_us\":1700000000004096,\"ts_ns\":1700000000004096000,"                 \
    "\"schema\":\"shop\",\"table\":\"items\",\"txId\":" xid ",\"lsn\":" lsn                        \
    ",\"xmin\":null,\"origin\":null,\"origin_lsn\":null},\"transaction\":" more
#define NOW "\"ts_ms\":1800000000123,\"ts_us\":1800000000123456,\"ts_ns\":1800000000123456000}\n"

static void envelopes_are_lines_and_a_changed_key_is_two(void **state)
{
    struct story *s = begin("debezium_json");
    char *text;

    (void)state;
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.jsonl");
#define CHANGE(before, after, op)                                                                  \
    "{\"before\":" before ",\"after\":" after "," SOURCE("4088", "796", "null,\"op\":\"" op "\",") \
        NOW
    assert_memory_equal(text,
                        CHANGE("null", "{\"id\":1,\"name\":\"a\"}", "c")
                            CHANGE("null", "{\"id\":1,\"name\":\"b\"}", "u")
                                CHANGE("{\"id\":1,\"name\":null}", "null", "d")
                                    CHANGE("null", "{\"id\":2,\"name\":\"b\"}", "c")
                                        CHANGE("{\"id\":2,\"name\":null}", "null",
                                               "d") "{\"before\":null,\"after\":null,\"source\":",
                        strlen(CHANGE("null", "{\"id\":1,\"name\":\"a\"}", "c")
                                   CHANGE("null", "{\"id\":1,\"name\":\"b\"}", "u")
                                       CHANGE("{\"id\":1,\"name\":null}", "null", "d")
                                           CHANGE("null", "{\"id\":2,\"name\":\"b\"}", "c") CHANGE(
                                               "{\"id\":2,\"name\":null}", "null",
                                               "d") "{\"before\":null,\"after\":null,\"source\":"));
#undef CHANGE
    assert_string_equal(all_of(text, "\"op\":\""), "c u d c d t");
    assert_int_equal(lines_of(text), 6);
    free(text);
    text = file_text("_messages", ".changes.jsonl");
    assert_int_equal(lines_of(text), 1);
    assert_non_null(strstr(text, "{\"op\":\"m\",\"ts_ms\":1800000000123,"));
    assert_non_null(strstr(text, "\"message\":{\"prefix\":\"hello\",\"content\":\"d29ybGQ=\"}}\n"));
    free(text);
    end(s);
}

static void a_schema_is_around_each_line_that_wants_one(void **state)
{
    struct story *s = begin("debezium_json");
    char *text;

    (void)state;
    flag_set(s, "schemas");
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.jsonl");
    assert_memory_equal(text, "{\"schema\":{\"type\":\"struct\",\"fields\":[", 35);
    assert_int_equal(lines_of(text), 6);
    assert_string_equal(all_of(text, "\"op\":\""), "c u d c d t");
    assert_non_null(strstr(text, "\"name\":\"p.shop.items.Envelope\""));
    free(text);
    text = file_text("_messages", ".changes.jsonl");
    assert_memory_equal(text, "{\"schema\":", 10);
    free(text);
    end(s);
}

static void flattened_rows_say_of_deletes_what_is_wanted(void **state)
{
    static const struct {
        const char *word;
        int64_t number;
        const char *text;
    } cases[] = {
        {"drop", 0,
         "{\"id\":1,\"name\":\"a\",\"__op\":\"c\"}\n{\"id\":1,\"name\":\"b\",\"__op\":\"u\"}\n"
         "{\"id\":2,\"name\":\"b\",\"__op\":\"c\"}\n"},
        {"rewrite", 1,
         "{\"id\":1,\"name\":\"a\",\"__deleted\":\"false\",\"__op\":\"c\"}\n"
         "{\"id\":1,\"name\":\"b\",\"__deleted\":\"false\",\"__op\":\"u\"}\n"
         "{\"id\":1,\"name\":null,\"__deleted\":\"true\",\"__op\":\"d\"}\n"
         "{\"id\":2,\"name\":\"b\",\"__deleted\":\"false\",\"__op\":\"c\"}\n"
         "{\"id\":2,\"name\":null,\"__deleted\":\"true\",\"__op\":\"d\"}\n"}};
    static const char *const fields[] = {"op", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct story *s = begin("debezium_json");
        char *text;

        (void)test_set(s->ops, s->settings, "flatten", cases[i].word, cases[i].number);
        items_set(s, "add_fields", fields);
        open_and_recover(s);
        every_change(s);
        text = file_text("shop.items.17000", ".changes.jsonl");
        assert_memory_equal(text, cases[i].text, strlen(cases[i].text));
        assert_int_equal(lines_of(text), lines_of(cases[i].text));
        free(text);
        end(s);
    }
}

static void a_schema_is_around_the_data_of_cloudevents(void **state)
{
    struct story *s = begin("cloudevents");
    char *text;

    (void)state;
    flag_set(s, "schemas");
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.jsonl");
    assert_string_equal(all_of(text, "\"iodebeziumop\":\""), "c u d c d t");
    assert_string_equal(all_of(text, "\"payload\":{\"before\":"), "null null { null { null");
    assert_int_equal(lines_of(text), 6);
    free(text);
    end(s);
}

static void cloudevents_are_lines_too(void **state)
{
    struct story *s = begin("cloudevents");
    char *text;

    (void)state;
    (void)test_set(s->ops, s->settings, "compress", "none", 0);
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.jsonl");
    assert_string_equal(all_of(text, "\"iodebeziumop\":\""), "c u d c d t");
    assert_string_equal(all_of(text, "\"data\":{\"before\":"), "null null { null { null");
    assert_int_equal(lines_of(text), 6);
    free(text);
    end(s);
}

/* Avro's own words of a file; test_file_forms.py has its rows read by another program. */
static void files_in_avro_have_their_schema_and_whole_blocks(void **state)
{
    struct story *s = begin("debezium_avro");
    char path[512];
    char *names[8];
    char *text;
    int count;
    int file;

    (void)state;
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.avro");
    assert_memory_equal(text, "Obj\1\4\26avro.schema", 17);
    free(text);
    text = file_text("_messages", ".changes.jsonl");
    assert_memory_equal(text, "{\"op\":\"m\",", 10);
    free(text);
    assert_non_null(
        strstr(s->host->verify_lines, "shop.items: ok, 2 files, copy 0 with 0 rows, 6 changes"));

    /* The next version goes into a file of its own, within an epoch. */
    items.version = 2;
    assert_int_equal(story_rows(s, &items, 2, 0, 1, 3), NW_OK);
    {
        struct nw_table next = items;

        next.version = 3;
        next.columns_count = 1;
        assert_int_equal(s->ops->table(s->self, 0, &next, &s->err), NW_OK);
        assert_int_equal(story_event(s, 3, NW_EVENT_TRUNCATE, &next), NW_OK);
        assert_int_equal(s->ops->seal(s->self, 0, 2, &s->err), NW_OK);
        assert_int_equal(story_commit(s, 2), NW_OK);
    }
    assert_int_equal(story_verify(s), NW_OK);
    assert_non_null(
        strstr(s->host->verify_lines, "shop.items: ok, 4 files, copy 0 with 0 rows, 10 changes"));

    /* Cut in a block, the last mark of its end is missed. */
    (void)snprintf(path, sizeof path, "%s/shop.items.17000", folder);
    count = test_names(path, names, 8);
    assert_int_equal(count, 4); /* two versions: a schema file and a file in Avro of each */
    (void)snprintf(path, sizeof path, "%s/shop.items.17000/%s", folder, names[0]);
    file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, 300), 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(story_verify(s), NW_CORRUPT);
    while (count > 0) {
        free(names[--count]);
    }
    items.version = 1;
    end(s);
}

static int names_with(const char *inner, const char *part)
{
    char path[512];
    char *names[64];
    int found = 0;
    int count;

    (void)snprintf(path, sizeof path, "%s/%s", folder, inner);
    count = test_names(path, names, 64);
    for (int i = 0; i < count; i++) {
        found += strstr(names[i], part) != NULL;
        free(names[i]);
    }
    return found;
}

static void files_in_avro_that_were_not_committed_go_at_the_next_start(void **state)
{
    struct story *s = begin("debezium_avro");

    (void)state;
    open_and_recover(s);
    assert_int_equal(story_rows(s, &items, 1, 0, 1, 3), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 1), NW_OK);
    assert_int_equal(story_rows(s, &story_orders, 2, 0, 1, 3), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 2, &s->err), NW_OK);
    assert_int_equal(names_with("public.orders.16412", ".changes.avro"), 1);
    story_close(s);
    open_and_recover(s);
    assert_int_equal(s->recovered, 1);
    assert_int_equal(names_with("public.orders.16412", ".changes.avro"), 0);
    assert_int_equal(names_with("shop.items.17000", ".changes.avro"), 1);
    end(s);
}

static void a_compression_that_avro_does_not_have_is_refused(void **state)
{
    struct story *s = begin("debezium_avro");

    (void)state;
    (void)test_set(s->ops, s->settings, "compress", "gzip", 1);
    assert_int_equal(story_open(s), NW_FATAL);
    assert_string_equal(s->err.text,
                        "NW1003 files: compress: gzip is not for format: debezium_avro: use zstd");
    end(s);
}

/* ---- transactions ---- */

static void changes_are_numbered_within_their_transaction(void **state)
{
    struct story *s = begin("debezium_json");
    char *text;

    (void)state;
    flag_set(s, "transactions");
    open_and_recover(s);
    every_change(s);
    text = file_text("shop.items.17000", ".changes.jsonl");
    assert_string_equal(all_of(text, "\"total_order\":"), "1 2 3 3 4 52");
    assert_string_equal(all_of(text, "\"data_collection_order\":"), "1 2 3 3 4 5");
    assert_non_null(strstr(text, "\"transaction\":{\"id\":\"796:4088\","));
    free(text);
    end(s);
}

/* ---- copies ---- */

static void copied_rows_are_marked(void **state)
{
    struct story *s = begin("debezium_json");
    struct nw_table second = items;
    struct nw_table *tables[] = {&items, &second};
    char *text;

    (void)state;
    second.id = 2;
    second.relation_oid = 17001;
    second.name = "others";
    open_and_recover(s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s->ops->copy_begin(s->self, 0, tables[i], 1, &s->err), NW_OK);
        assert_int_equal(story_rows(s, tables[i], 1, 1, 1, 2), NW_OK);
        assert_int_equal(story_rows(s, tables[i], 1, 1, 3, 2), NW_OK);
        assert_int_equal(s->ops->copy_end(s->self, 0, tables[i], 1, &s->err), NW_OK);
    }
    assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 1), NW_OK);
    text = file_text("shop.items.17000", ".copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""), "first true true last_in_data_collection");
    assert_string_equal(all_of(text, "\"op\":\""), "r r r r");
    assert_string_equal(all_of(text, "\"after\":{\"id\":"), "1 2 3 4");
    free(text);
    text = file_text("shop.others.17001", ".copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""),
                        "first_in_data_collection true true last_in_data_collection");
    free(text);
    assert_int_equal(story_verify(s), NW_OK);

    /* What is copied later is no part of the first copy. */
    assert_int_equal(s->ops->copy_begin(s->self, 0, &items, 2, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &items, 2, 2, 1, 2), NW_OK);
    assert_int_equal(s->ops->copy_end(s->self, 0, &items, 2, &s->err), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 2, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 2), NW_OK);
    text = file_text("shop.items.17000", ".copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""), "incremental incremental");
    free(text);
    end(s);
}

/* The last row waits for the copy's end, but no longer than for the epoch's. */
static void a_row_that_waits_is_sealed_with_its_epoch(void **state)
{
    struct story *s = begin("debezium_json");
    char *text;

    (void)state;
    open_and_recover(s);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &items, 1, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &items, 1, 1, 1, 2), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 1), NW_OK);
    text = file_text("shop.items.17000", ".copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""), "first true");
    free(text);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

/* The first row of all is marked once, whatever begins again. */
static void a_copy_that_goes_on_has_no_second_first_row(void **state)
{
    struct story *s = begin("debezium_json");
    struct nw_table second = items;
    struct nw_copy_state copying = {
        .relation_oid = 17000, .generation = 1, .bytes = (const uint8_t *)"", .size = 0};
    struct nw_commit commit = {.size = sizeof commit,
                               .epoch = 1,
                               .positions = &(struct nw_position){.bytes = (const uint8_t *)""},
                               .positions_count = 1,
                               .copies_count = 1,
                               .copies = &copying};
    enum nw_outcome outcome;
    char *text;

    (void)state;
    second.id = 2;
    second.relation_oid = 17001;
    second.name = "others";
    open_and_recover(s);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &items, 1, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &items, 1, 1, 1, 2), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
    assert_int_equal(s->ops->commit(s->self, &commit, &outcome, &s->err), NW_OK);
    story_close(s);
    open_and_recover(s);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &items, 1, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &items, 1, 1, 3, 2), NW_OK);
    assert_int_equal(s->ops->copy_end(s->self, 0, &items, 1, &s->err), NW_OK);
    assert_int_equal(s->ops->copy_begin(s->self, 0, &second, 1, &s->err), NW_OK);
    assert_int_equal(story_rows(s, &second, 1, 1, 3, 2), NW_OK);
    assert_int_equal(s->ops->copy_end(s->self, 0, &second, 1, &s->err), NW_OK);
    assert_int_equal(s->ops->seal(s->self, 0, 2, &s->err), NW_OK);
    assert_int_equal(story_commit(s, 2), NW_OK);
    text = file_text("shop.items.17000", "f1.copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""), "first true");
    free(text);
    text = file_text("shop.items.17000", "f2.copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""), "true last_in_data_collection");
    free(text);
    text = file_text("shop.others.17001", ".copy.jsonl");
    assert_string_equal(all_of(text, "\"snapshot\":\""),
                        "first_in_data_collection last_in_data_collection");
    free(text);
    end(s);
}

/* ---- the folder ---- */

static void a_folder_may_have_several_forms_and_says_which(void **state)
{
    struct story *s = begin(NULL);
    char *text;

    (void)state;
    open_and_recover(s);
    assert_int_equal(story_run(s, 1, 3), NW_OK);
    text = file_text("_journal", "journal-");
    assert_non_null(strstr(text, "\"full\":true,\"format\":1,"));
    assert_null(strstr(text, "\"form\":"));
    free(text);
    story_close(s);
    story_form(s, "debezium_json");
    open_and_recover(s);
    assert_int_equal(s->recovered, 3);
    assert_int_equal(story_run(s, 4, 6), NW_OK);
    text = file_text("_journal", "journal-");
    assert_non_null(strstr(text, "\"full\":true,\"format\":2,"));
    assert_non_null(strstr(text, "\"form\":\"debezium_json\""));
    free(text);
    assert_int_equal(story_verify(s), NW_OK);
    story_close(s);

    /* And back: a reader that knows no forms is still to be kept out. */
    (void)test_set(s->ops, s->settings, "format", "narwal", 0);
    for (uint32_t i = 0; i < s->ops->options_count; i++) {
        if (strcmp(s->ops->options[i].name, "prefix") == 0) {
            s->settings[i] = (struct nw_setting){0};
        }
    }
    open_and_recover(s);
    assert_int_equal(story_run(s, 7, STORY_EPOCHS), NW_OK);
    text = file_text("_journal", "journal-");
    assert_non_null(strstr(text, "\"full\":true,\"format\":2,"));
    free(text);
    assert_int_equal(story_verify(s), NW_OK);
    end(s);
}

static void verify_finds_what_is_out_of_order_in_each_form(void **state)
{
    static const char *const formats[] = {"debezium_json", "cloudevents"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct story *s = begin(formats[i]);

        open_and_recover(s);
        assert_int_equal(story_rows(s, &items, 2, 0, 1, 2), NW_OK);
        assert_int_equal(story_rows(s, &items, 1, 0, 3, 1), NW_OK);
        assert_int_equal(s->ops->seal(s->self, 0, 1, &s->err), NW_OK);
        assert_int_equal(story_commit(s, 1), NW_OK);
        assert_int_equal(story_verify(s), NW_CORRUPT);
        assert_non_null(strstr(s->host->verify_lines, "line 3 is out of order or there twice"));
        end(s);
    }
}

/* ---- options ---- */

static void options_that_mean_nothing_beside_others_are_refused(void **state)
{
    static const struct {
        const char *format;
        const char *option;
        const char *says;
    } cases[] = {
        {"narwal", "schemas", "schemas needs format: debezium_json or cloudevents"},
        {"narwal", "times", "times needs format: debezium_json, debezium_avro or cloudevents"},
        {"narwal", "flatten", "flatten needs format: debezium_json or debezium_avro"},
        {"narwal", "transactions",
         "transactions needs format: debezium_json, debezium_avro or cloudevents"},
        {"narwal", "prefix", "prefix needs format: debezium_json, debezium_avro or cloudevents"},
        {"json", "prefix", "prefix needs format: debezium_json, debezium_avro or cloudevents"},
        {"cloudevents", "flatten", "flatten needs format: debezium_json or debezium_avro"},
        {"cloudevents", "add_fields", "add_fields needs flatten"},
        {"debezium_avro", "schemas", "schemas needs format: debezium_json or cloudevents"},
        {"narwal", "null_as_default",
         "null_as_default needs format: debezium_json, debezium_avro or cloudevents"},
        {"debezium_avro", "decimal_format",
         "decimal_format needs format: debezium_json or cloudevents"},
        {"debezium_json", "add_fields", "add_fields needs flatten"},
        {"debezium_json", NULL, "format: debezium_json needs prefix"},
        {"cloudevents", NULL, "format: cloudevents needs prefix"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct story *s = begin(cases[i].format);

        for (uint32_t k = 0; k < s->ops->options_count; k++) {
            bool prefix = strcmp(s->ops->options[k].name, "prefix") == 0;
            bool ours =
                strcmp(cases[i].format, "narwal") == 0 || strcmp(cases[i].format, "json") == 0;

            if (prefix && (ours || cases[i].option == NULL)) {
                s->settings[k] = (struct nw_setting){0};
            }
        }
        if (cases[i].option != NULL) {
            (void)test_set(s->ops, s->settings, cases[i].option, "", 0);
        }
        assert_int_equal(story_open(s), NW_FATAL);
        assert_memory_equal(s->err.text, "NW1008 files: ", 14);
        assert_string_equal(s->err.text + 14, cases[i].says);
        end(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes_are_lines_and_a_changed_key_is_two),
        cmocka_unit_test(a_schema_is_around_each_line_that_wants_one),
        cmocka_unit_test(flattened_rows_say_of_deletes_what_is_wanted),
        cmocka_unit_test(cloudevents_are_lines_too),
        cmocka_unit_test(a_schema_is_around_the_data_of_cloudevents),
        cmocka_unit_test(files_in_avro_have_their_schema_and_whole_blocks),
        cmocka_unit_test(files_in_avro_that_were_not_committed_go_at_the_next_start),
        cmocka_unit_test(a_compression_that_avro_does_not_have_is_refused),
        cmocka_unit_test(changes_are_numbered_within_their_transaction),
        cmocka_unit_test(copied_rows_are_marked),
        cmocka_unit_test(a_row_that_waits_is_sealed_with_its_epoch),
        cmocka_unit_test(a_copy_that_goes_on_has_no_second_first_row),
        cmocka_unit_test(a_folder_may_have_several_forms_and_says_which),
        cmocka_unit_test(verify_finds_what_is_out_of_order_in_each_form),
        cmocka_unit_test(options_that_mean_nothing_beside_others_are_refused),
    };

    test_folder_name(folder, sizeof folder, "file-forms");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
