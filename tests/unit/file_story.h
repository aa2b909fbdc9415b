/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A story that tests of the file sink tell again and again: a fixed series of epochs with copies,
 * changes, truncation, a message, a new schema version, a renamed table and a second copy that
 * replaces the first. The position of epoch N is the text "N".
 */
#ifndef TESTS_FILE_STORY_H
#define TESTS_FILE_STORY_H

#include "file_support.h"

#define STORY_EPOCHS 9

static struct nw_column_schema story_columns[] = {{.name = "id",
                                                   .type = NW_TYPE_INT32,
                                                   .type_oid = 23,
                                                   .base_type_oid = 23,
                                                   .type_name = "integer",
                                                   .typmod = -1},
                                                  {.name = "name",
                                                   .type = NW_TYPE_TEXT,
                                                   .type_oid = 25,
                                                   .base_type_oid = 25,
                                                   .type_name = "text",
                                                   .typmod = -1},
                                                  {.name = "late",
                                                   .type = NW_TYPE_BOOL,
                                                   .type_oid = 16,
                                                   .base_type_oid = 16,
                                                   .type_name = "boolean",
                                                   .typmod = -1}};
static struct nw_table story_orders = {.size = sizeof story_orders,
                                       .id = 0,
                                       .version = 1,
                                       .relation_oid = 16412,
                                       .schema_name = "public",
                                       .name = "orders",
                                       .replica_identity = 'd',
                                       .columns_count = 2,
                                       .columns = story_columns};
static struct nw_table story_orders_later = {.size = sizeof story_orders,
                                             .id = 0,
                                             .version = 2,
                                             .relation_oid = 16412,
                                             .schema_name = "public",
                                             .name = "orders_renamed",
                                             .replica_identity = 'd',
                                             .columns_count = 3,
                                             .columns = story_columns};
static struct nw_table story_odd = {.size = sizeof story_odd,
                                    .id = 3,
                                    .version = 1,
                                    .relation_oid = 16500,
                                    .schema_name = ".Sch/ema",
                                    .name = "Or.d\xc3\xa9rs\n",
                                    .replica_identity = 'd',
                                    .columns_count = 2,
                                    .columns = story_columns};

struct story {
    struct test_host *host;
    const struct nw_sink_ops *ops;
    struct nw_config config;
    struct nw_setting settings[64];
    char path[128];
    void *self;
    struct nw_error err;
    int acknowledged; /* the last epoch that commit() reported */
    int recovered;    /* what recover() said; 0: nothing stored */
};

/* What options have that nobody sets; numbers with a unit are left to the caller. */
static inline void story_defaults(const struct nw_sink_ops *ops, struct nw_setting *settings)
{
    for (uint32_t i = 0; i < ops->options_count; i++) {
        const struct nw_option *option = &ops->options[i];
        const char *text = option->fallback;

        settings[i] = (struct nw_setting){.set = text != NULL, .text = text};
        if (text == NULL) {
            continue;
        }
        settings[i].flag = option->type == NW_OPTION_BOOL && strcmp(text, "true") == 0;
        if (option->type == NW_OPTION_INTEGER) {
            settings[i].number = strtoll(text, NULL, 10);
        }
        for (int k = 0; option->choices != NULL && option->choices[k] != NULL; k++) {
            settings[i].number = strcmp(option->choices[k], text) == 0 ? k : settings[i].number;
        }
    }
}

static inline void story_init(struct story *s, const char *path)
{
    *s = (struct story){.host = test_host_create(), .ops = test_plugin("file")};
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    s->config = (struct nw_config){
        .name = "files", .settings = s->settings, .settings_count = s->ops->options_count};
    story_defaults(s->ops, s->settings);
    (void)test_set(s->ops, s->settings, "path", s->path, 0);
    (void)test_set(s->ops, s->settings, "compress", "none", 0);
    (void)test_set(s->ops, s->settings, "rotate_size", NULL, 4096);
    (void)test_set(s->ops, s->settings, "rotate_every", NULL, INT64_C(3600000000));
    (void)test_set(s->ops, s->settings, "buffer", NULL, 2000);
    (void)test_set(s->ops, s->settings, "journal_size", NULL, 4096);
    (void)test_set(s->ops, s->settings, "open_files", NULL, 512);
}

/* Another format than narwal's lines. */
static inline void story_form(struct story *s, const char *format)
{
    for (uint32_t i = 0; i < s->ops->options_count; i++) {
        const char *const *choices = s->ops->options[i].choices;

        for (int k = 0; strcmp(s->ops->options[i].name, "format") == 0 && choices[k] != NULL; k++) {
            if (strcmp(choices[k], format) == 0) {
                (void)test_set(s->ops, s->settings, "format", format, k);
            }
        }
    }
    (void)test_set(s->ops, s->settings, "prefix", "p", 0);
}

static inline nw_status story_open(struct story *s)
{
    return s->ops->open(&s->host->host, &s->config, 1, &s->self, &s->err);
}

static inline nw_status story_recover(struct story *s)
{
    struct nw_recovery recovery = {.size = sizeof recovery};
    nw_status status = s->ops->recover(s->self, &recovery, &s->err);

    s->recovered = 0;
    if (status == NW_OK && recovery.positions_count > 0) {
        char text[16] = "";

        assert_int_equal(recovery.positions_count, 1);
        assert_true(recovery.positions[0].size < sizeof text);
        memcpy(text, recovery.positions[0].bytes, recovery.positions[0].size);
        s->recovered = atoi(text);
        assert_int_equal(recovery.positions[0].lsn, s->recovered * 0x1000);
    }
    for (uint32_t i = 0; status == NW_OK && i < recovery.copies_count; i++) {
        if (!recovery.copies[i].complete) {
            status = s->ops->copy_resolve(s->self, recovery.copies[i].relation_oid,
                                          recovery.copies[i].generation, NW_COPY_RESUME, &s->err);
        }
    }
    return status;
}

static inline void story_close(struct story *s)
{
    if (s->self != NULL) {
        s->ops->close(s->self);
        s->self = NULL;
    }
}

static inline void story_fini(struct story *s)
{
    story_close(s);
    free(s->host);
}

/* Inserts of ids first..first+count-1, with a text of some size each. */
static inline nw_status story_rows(struct story *s, struct nw_table *table, int epoch,
                                   uint32_t generation, int first, int count)
{
    struct test_batch *b = test_batch_create(table);
    nw_status status;

    for (int32_t id = first; id < first + count; id++) {
        char text[64];
        int size = snprintf(text, sizeof text, "row %d of epoch %d, \"quoted\"", id, epoch);
        bool late = id % 2 == 0;

        (void)test_row(b, NW_OP_INSERT, generation != 0 ? 0x800 : (uint64_t)epoch * 0x1000,
                       (uint64_t)id);
        test_value(b, NW_AFTER, 0, &id, sizeof id);
        test_value(b, NW_AFTER, 1, text, (size_t)size);
        if (table->columns_count > 2) {
            test_value(b, NW_AFTER, 2, &late, sizeof late);
        }
    }
    b->batch.epoch = (uint64_t)epoch;
    if (generation != 0) {
        b->batch.flags = NW_BATCH_COPY;
        b->batch.generation = generation;
    }
    status = s->ops->write(s->self, 0, &b->batch, &s->err);
    free(b);
    return status;
}

static inline nw_status story_event(struct story *s, int epoch, enum nw_event_kind kind,
                                    const struct nw_table *table)
{
    struct nw_event event = {.size = sizeof event,
                             .kind = kind,
                             .epoch = (uint64_t)epoch,
                             .lsn = (uint64_t)epoch * 0x1000 + 1,
                             .commit_lsn = (uint64_t)epoch * 0x1000,
                             .seq = kind == NW_EVENT_SCHEMA ? 50 : 51,
                             .xid = 9,
                             .origin = "",
                             .tables_count = table == NULL ? 0 : 1,
                             .tables = &table,
                             .prefix = "hello",
                             .content = (const uint8_t *)"world",
                             .content_size = 5};

    return s->ops->event(s->self, 0, &event, &s->err);
}

/* What happens in an epoch, until its seal. Stops at the first failure. */
static inline nw_status story_epoch(struct story *s, int epoch)
{
    const struct nw_sink_ops *ops = s->ops;
    struct nw_table *orders = epoch >= 6 ? &story_orders_later : &story_orders;
    nw_status status = ops->table(s->self, 0, orders, &s->err);

#define STEP(call) (status = status == NW_OK ? (call) : status)
    STEP(ops->table(s->self, 0, &story_odd, &s->err));
    switch (epoch) {
    case 1:
        STEP(ops->copy_begin(s->self, 0, orders, 1, &s->err));
        STEP(ops->copy_begin(s->self, 0, &story_odd, 1, &s->err));
        STEP(story_rows(s, orders, epoch, 1, 0, 40));
        break;
    case 2:
        STEP(story_rows(s, orders, epoch, 1, 40, 30));
        STEP(story_rows(s, orders, epoch, 0, 0, 5));
        STEP(ops->copy_end(s->self, 0, orders, 1, &s->err));
        STEP(ops->copy_end(s->self, 0, &story_odd, 1, &s->err));
        break;
    case 4:
        STEP(story_rows(s, orders, epoch, 0, 0, 40));
        STEP(story_event(s, epoch, NW_EVENT_TRUNCATE, orders));
        STEP(story_event(s, epoch, NW_EVENT_MESSAGE, NULL));
        break;
    case 5:
        break; /* nothing but a position */
    case 6:
        STEP(story_event(s, epoch, NW_EVENT_SCHEMA, orders));
        STEP(story_rows(s, orders, epoch, 0, 50, 11)); /* the first has the event's place */
        break;
    case 7:
        STEP(ops->copy_begin(s->self, 0, orders, 2, &s->err));
        STEP(story_rows(s, orders, epoch, 0, 0, 5));
        STEP(story_rows(s, orders, epoch, 2, 100, 20));
        break;
    case 8:
        STEP(story_rows(s, orders, epoch, 2, 120, 20));
        STEP(ops->copy_end(s->self, 0, orders, 2, &s->err));
        STEP(story_rows(s, orders, epoch, 0, 0, 5));
        break;
    default:
        STEP(story_rows(s, orders, epoch, 0, 0, 60));
        STEP(story_rows(s, &story_odd, epoch, 0, 0, 10));
        break;
    }
    STEP(ops->seal(s->self, 0, (uint64_t)epoch, &s->err));
#undef STEP
    return status;
}

static inline nw_status story_commit(struct story *s, int epoch)
{
    char text[16];
    struct nw_position position = {.bytes = (const uint8_t *)text, .lsn = (uint64_t)epoch * 0x1000};
    struct nw_copy_state copies[2] = {
        {.relation_oid = 16412, .generation = epoch < 7 ? 1 : 2, .bytes = (const uint8_t *)text},
        {.relation_oid = 16500, .generation = 1, .bytes = (const uint8_t *)text}};
    struct nw_commit commit = {.size = sizeof commit,
                               .epoch = (uint64_t)epoch,
                               .positions = &position,
                               .positions_count = 1,
                               .copies = copies};
    enum nw_outcome outcome = NW_UNKNOWN;
    nw_status status;

    position.size = (uint32_t)snprintf(text, sizeof text, "%d", epoch);
    copies[0].size = copies[1].size = position.size;
    copies[0].complete = epoch == 2 || epoch == 8;
    copies[1].complete = epoch == 2;
    if (epoch <= 2) {
        commit.copies_count = 2;
    } else if (epoch == 7 || epoch == 8) {
        commit.copies_count = 1;
    }
    status = s->ops->commit(s->self, &commit, &outcome, &s->err);
    if (status == NW_OK) {
        assert_int_equal(outcome, NW_COMMITTED);
        s->acknowledged = epoch;
    }
    return status;
}

/* Epochs from..to, until something fails. */
static inline nw_status story_run(struct story *s, int from, int to)
{
    nw_status status = NW_OK;

    for (int epoch = from; epoch <= to && status == NW_OK; epoch++) {
        s->host->clock_ns += 1000000;
        status = story_epoch(s, epoch);
        if (status == NW_OK) {
            status = story_commit(s, epoch);
        }
    }
    return status;
}

static inline void story_fresh(const char *path)
{
    test_folder_delete(path);
}

/* With a compression: in Debezium's envelope, as JSON or Avro. */
#define STORY_FORM 16
#define STORY_AVRO 32

static inline void story_kind(struct story *s, int64_t kind)
{
    (void)test_set(s->ops, s->settings, "compress", NULL, kind & (STORY_FORM - 1));
    if ((kind & STORY_FORM) != 0) {
        story_form(s, "debezium_json");
    } else if ((kind & STORY_AVRO) != 0) {
        story_form(s, "debezium_avro");
    }
}

static inline void story_line_keep(void *context, const char *line)
{
    struct test_host *t = context;
    size_t used = strlen(t->verify_lines);

    (void)snprintf(t->verify_lines + used, sizeof t->verify_lines - used, "%s\n", line);
}

/* Runs the plugin's verify; its lines are then in host->verify_lines. */
static inline nw_status story_verify(struct story *s)
{
    s->host->verify_lines[0] = '\0';
    return s->ops->verify(&s->host->host, s->path, story_line_keep, s->host, &s->err);
}

/* The content of all files; of Avro, whose files have random bytes, how many rows each table has.
 * To be freed. */
static inline char *story_content(struct story *s, int64_t kind)
{
    char *content;
    size_t used = 0;

    if ((kind & STORY_AVRO) == 0 || s->recovered == 0) {
        return test_content(s->path);
    }
    assert_int_equal(story_verify(s), NW_OK);
    content = calloc(1, sizeof s->host->verify_lines);
    assert_non_null(content);
    for (const char *at = strstr(s->host->verify_lines, ", copy "); at != NULL;
         at = strstr(at + 1, ", copy ")) {
        used += (size_t)sprintf(content + used, "%.*s\n", (int)strcspn(at, "\n"), at);
    }
    return content;
}

/* What a folder holds after a run without faults up to an epoch, and a recovery. */
static inline char *story_expected(const char *path, int until, int64_t kind)
{
    struct story s;
    char *content;

    story_fresh(path);
    story_init(&s, path);
    story_kind(&s, kind);
    assert_int_equal(story_open(&s), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    assert_int_equal(story_run(&s, 1, until), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    assert_int_equal(s.recovered, until);
    content = story_content(&s, kind);
    story_fini(&s);
    return content;
}

#endif
