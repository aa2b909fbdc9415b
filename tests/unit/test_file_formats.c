/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a narwal leaves on disk a later one reads: tests/fixtures has one of each format, written by
 * the version that its name says (`test_file_formats --make FOLDER` writes those of this one; they
 * are added beside the former, which stay). And what a newer one wrote is refused with a sentence.
 */
#include "file_story.h"

#include <libdeflate.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "pipeline/followed.h"
#include "pipeline/state.h"
#include "pipeline/tables.h"
#include "sink/position.h"
#include "source/backlog.h"
#include "source/copy_state.h"
#include "source/position.h"
#include "source/spool_private.h"

#define TABLE_OID    16412u
#define RECORDS      5u
#define EPOCHS       3
#define PATH_BYTES   1024
#define LINE_BYTES   8192
#define FOLDER_FILES 64

static const struct nw_identity IDENTITY = {.system_identifier = 0x1122334455667788,
                                            .timeline = 3,
                                            .database_oid = 16384,
                                            .slot_name = "narwal_shop"};

static const char *temporary(void)
{
    static char folder[128];

    (void)snprintf(folder, sizeof folder, "%s/formats-%d", NARWAL_BINARY_DIR, (int)getpid());
    return folder;
}

/* A copy of a fixture that may be written to. */
static const char *fixture(const char *name)
{
    static char folder[PATH_BYTES];
    char command[3 * PATH_BYTES];

    (void)snprintf(folder, sizeof folder, "%s/%s", temporary(), name);
    (void)snprintf(command, sizeof command,
                   "rm -rf '%s' && mkdir -p '%s' && cp -r '%s/tests/fixtures/%s' '%s/'", folder,
                   temporary(), NARWAL_SOURCE_DIR, name, temporary());
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    return folder;
}

static int remove_all(void **state)
{
    char command[PATH_BYTES];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", temporary());
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

/* The first file of a folder whose name ends so. */
static void file_find(const char *folder, const char *end, char path[PATH_BYTES])
{
    char *names[FOLDER_FILES];
    int count = test_names(folder, names, FOLDER_FILES);

    path[0] = '\0';
    for (int i = 0; i < count; i++) {
        size_t size = strlen(names[i]);

        if (path[0] == '\0' && size >= strlen(end) &&
            strcmp(names[i] + size - strlen(end), end) == 0) {
            (void)snprintf(path, PATH_BYTES, "%s/%s", folder, names[i]);
        }
        free(names[i]);
    }
    assert_string_not_equal(path, "");
}

/* ---- spool and backlog ---- */

static struct nw_spool_options spool_options(struct nw_env *env, const char *folder)
{
    return (struct nw_spool_options){
        .env = env, .folder = folder, .identity = IDENTITY, .quota_bytes = UINT64_C(1) << 30};
}

static struct nw_backlog_options backlog_options(struct nw_env *env, const char *folder)
{
    return (struct nw_backlog_options){
        .env = env, .folder = folder, .identity = IDENTITY, .quota_bytes = UINT64_C(1) << 26};
}

static void spool_make(struct nw_env *env, const char *folder)
{
    struct nw_spool_options options = spool_options(env, folder);
    struct nw_spool *spool = NULL;
    struct nw_error err = {0};
    int64_t now_ns = 1;

    assert_int_equal(nw_spool_begin(&options, 0x1000, &spool, &err), NW_OK);
    for (uint32_t i = 1; i <= RECORDS; i++) {
        char body[32];
        struct nw_spool_record record = {.kind = NW_SPOOL_MESSAGE, .lsn = 0x1000 + i};

        (void)snprintf(body, sizeof body, "message %u", i);
        record.body = (struct nw_bytes){(const uint8_t *)body, strlen(body)};
        record.position_lsn = i == RECORDS ? 0x2000 : 0;
        assert_int_equal(nw_spool_append(spool, &record, &err), NW_OK);
    }
    while (nw_spool_synced_lsn(spool) < 0x2000) {
        uint32_t work = 0;

        nw_spool_flush(spool);
        assert_int_equal(nw_spool_step(spool, now_ns += 1000000, &work, &err), NW_OK);
    }
    nw_spool_destroy(spool);
}

static void backlog_make(struct nw_env *env, const char *folder)
{
    static struct nw_column_schema columns[] = {{.name = "id", .type = NW_TYPE_INT32}};
    static const struct nw_table table = {.size = sizeof table,
                                          .relation_oid = TABLE_OID,
                                          .schema_name = "public",
                                          .name = "orders",
                                          .replica_identity = 'd',
                                          .columns_count = 1,
                                          .columns = columns};
    static const uint8_t row[] = {'I', 0, 0, 0x40, 0x1c, 'N', 0, 1, 't', 0, 0, 0, 1, '7'};
    struct nw_backlog_options options = backlog_options(env, folder);
    struct nw_pgoutput_begin begin = {.commit_lsn = 0x1800, .commit_ts = 5, .xid = 700};
    struct nw_pgoutput_commit commit = {.commit_lsn = 0x1800, .end_lsn = 0x1900, .commit_ts = 5};
    struct nw_backlog_change change = {.begin = &begin,
                                       .origin = "",
                                       .place = {0x1800, 1},
                                       .lsn = 0x1700,
                                       .message = {row, sizeof row}};
    struct nw_backlog *backlog = NULL;
    struct nw_error err = {0};
    int64_t now_ns = 1;

    assert_int_equal(
        nw_backlog_begin(&options, &table, true, (struct nw_place){0x1000, 0}, &backlog, &err),
        NW_OK);
    assert_int_equal(nw_backlog_keep(backlog, &change, &err), NW_OK);
    assert_int_equal(nw_backlog_commit(backlog, &commit, &err), NW_OK);
    while (nw_backlog_synced_lsn(backlog) < 0x1900) {
        uint32_t work = 0;

        nw_spool_flush(backlog->spool);
        assert_int_equal(nw_backlog_step(backlog, now_ns += 1000000, &work, &err), NW_OK);
    }
    nw_backlog_destroy(backlog);
}

/* Every segment's header says a version that is to come. */
static void segment_raise(const char *folder)
{
    char path[PATH_BYTES];
    uint8_t header[NW_SPOOL_HEADER_BYTES];
    uint32_t version = 99;
    uint64_t checksum = 0;
    FILE *file = NULL;

    file_find(folder, ".spool", path);
    file = fopen(path, "r+e");
    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    memcpy(header + 8, &version, sizeof version);
    checksum = XXH3_64bits(header, sizeof header - 8);
    memcpy(header + sizeof header - 8, &checksum, 8);
    rewind(file);
    assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
    assert_int_equal(fclose(file), 0);
}

static void a_spool_is_read(void **state)
{
    struct nw_env *env = *state;
    const char *folder = fixture("spool-2");
    struct nw_spool_options options = spool_options(env, folder);
    struct nw_spool *spool = NULL;
    struct nw_error err = {0};
    uint32_t read = 0;
    bool end = false;

    assert_int_equal(nw_spool_open(&options, 0x2000, &spool, &err), NW_OK);
    assert_non_null(spool);
    assert_int_equal(nw_spool_synced_lsn(spool), 0x2000);
    while (!end) {
        struct nw_spool_record record;
        nw_status status = nw_spool_next(spool, &record, &end, &err);

        assert_true(status == NW_OK || status == NW_AGAIN);
        if (status == NW_OK && !end && record.kind == NW_SPOOL_MESSAGE) {
            char body[32];

            (void)snprintf(body, sizeof body, "message %u", ++read);
            assert_int_equal(record.body.size, strlen(body));
            assert_memory_equal(record.body.at, body, strlen(body));
        }
    }
    assert_int_equal(read, RECORDS);
    nw_spool_destroy(spool);
    segment_raise(folder);
    spool = NULL;
    assert_int_equal(nw_spool_open(&options, 0x2000, &spool, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "NW2506"));
    assert_non_null(strstr(err.text, "format 99, written by a newer narwal"));
}

static void a_backlog_is_read(void **state)
{
    struct nw_env *env = *state;
    const char *folder = fixture("backlog-2");
    struct nw_backlog_options options = backlog_options(env, folder);
    struct nw_backlog *backlog = NULL;
    struct nw_error err = {0};
    char kinds[16] = "";
    bool end = false;

    assert_int_equal(nw_backlog_open(&options, TABLE_OID, 0x1900, &backlog, &err), NW_OK);
    assert_non_null(backlog);
    assert_int_equal(backlog->from.commit_lsn, 0x1000);
    while (!end && strlen(kinds) < sizeof kinds - 1) {
        struct nw_backlog_record record;
        nw_status status = nw_backlog_next(backlog, &record, &end, &err);

        assert_true(status == NW_OK || status == NW_AGAIN);
        if (status == NW_OK && !end) {
            kinds[strlen(kinds)] = record.kind;
        }
    }
    assert_non_null(strstr(kinds, "BMC")); /* behind what the table was */
    nw_backlog_destroy(backlog);
    segment_raise(folder);
    backlog = NULL;
    assert_int_equal(nw_backlog_open(&options, TABLE_OID, 0x1900, &backlog, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "format 99, written by a newer narwal"));
}

/* ---- the state ---- */

static void state_make(const char *folder)
{
    struct nw_state_source source = {
        .known = true, .identity = IDENTITY, .acknowledged_lsn = 0x1000, .generation = 4};
    struct nw_table_trouble trouble = {.relation_oid = TABLE_OID,
                                       .schema_name = "public",
                                       .table_name = "orders",
                                       .condition = NW_TABLE_PAUSED,
                                       .lsn = 0x1000,
                                       .since_us = 1,
                                       .reason = "a user asked for it"};
    struct nw_followed_table followed = {TABLE_OID, "public", "orders"};
    struct nw_state *state = NULL;
    struct nw_tables *tables = NULL;
    struct nw_followed *list = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_state_open(folder, &state, &err), NW_OK);
    assert_int_equal(nw_state_source_write(state, &source, &err), NW_OK);
    assert_int_equal(nw_tables_open(state, &tables, &err), NW_OK);
    assert_int_equal(nw_tables_set(tables, &trouble, &err), NW_OK);
    assert_int_equal(nw_followed_open(state, &list, &err), NW_OK);
    assert_int_equal(nw_followed_add(list, &followed, 1, &err), NW_OK);
    assert_int_equal(nw_state_acknowledge(state, 0x2000, "durable at every sink", &err), NW_OK);
    nw_followed_close(list);
    nw_tables_close(tables);
    nw_state_close(state);
}

static void sql(const char *folder, const char *statement)
{
    char path[PATH_BYTES + 16];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The fixture is a dump of the database, which people can read. */
static void state_restore(const char *folder)
{
    char path[PATH_BYTES + 16];
    static char text[1 << 16];
    FILE *file = NULL;
    size_t size = 0;

    (void)snprintf(path, sizeof path, "%s/state.sql", folder);
    file = fopen(path, "re");
    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    assert_true(size < sizeof text - 1);
    text[size] = '\0';
    assert_int_equal(fclose(file), 0);
    sql(folder, text);
}

static void a_state_is_read(void **context)
{
    const char *folder = fixture("state-1");
    struct nw_state_source source;
    struct nw_table_trouble trouble;
    struct nw_state *state = NULL;
    struct nw_tables *tables = NULL;
    struct nw_followed *list = NULL;
    struct nw_error err = {0};

    (void)context;
    state_restore(folder);
    assert_int_equal(nw_state_open(folder, &state, &err), NW_OK);
    assert_int_equal(nw_state_source_read(state, &source, &err), NW_OK);
    assert_true(source.known);
    assert_int_equal(source.acknowledged_lsn, 0x2000);
    assert_int_equal(source.generation, 4);
    assert_int_equal(source.identity.system_identifier, IDENTITY.system_identifier);
    assert_int_equal(nw_tables_open(state, &tables, &err), NW_OK);
    assert_true(nw_tables_at(tables, 0, &trouble));
    assert_int_equal(trouble.condition, NW_TABLE_PAUSED);
    assert_string_equal(trouble.reason, "a user asked for it");
    assert_int_equal(nw_followed_open(state, &list, &err), NW_OK);
    assert_true(nw_followed_has(list, TABLE_OID));
    nw_followed_close(list);
    nw_tables_close(tables);
    nw_state_close(state);
    sql(folder, "PRAGMA user_version = 99");
    assert_int_equal(nw_state_open(folder, &state, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "NW2003"));
    assert_non_null(strstr(err.text, "format 99, written by a newer narwal"));
}

/* ---- positions ---- */

static struct nw_behind_list behind(void)
{
    return (struct nw_behind_list){.count = 1,
                                   .tables = {{.relation_oid = TABLE_OID, .place = {0x900, 7}}}};
}

static struct nw_copy_progress progress(void)
{
    struct nw_copy_progress made = {.origin = {.fence_lsn = 0x1000, .xmin = 700, .hash = 0xabcd},
                                    .chunks_count = 9};

    nw_copy_progress_add(&made, &(struct nw_copy_range){TABLE_OID, 0, 64});
    return made;
}

static uint32_t envelope_make(uint8_t *bytes)
{
    uint8_t inner[NW_POSITION_BYTES_MAX];
    struct nw_behind_list list = behind();
    struct nw_envelope_content content = {
        .opening = 0x0102030405060708,
        .commit = 12,
        .position = {.lsn = 0x2000,
                     .size = nw_position_pack(&IDENTITY, 0x2000, &list, inner),
                     .bytes = inner}};
    struct nw_envelope envelope;
    struct nw_error err = {0};

    assert_int_equal(nw_envelope_write(&content, &envelope, &err), NW_OK);
    memcpy(bytes, envelope.bytes, envelope.size);
    return envelope.size;
}

/* A line of the fixture: its name, then bytes in hexadecimal digits. */
static uint32_t position_read(const char *name, uint8_t *bytes)
{
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    uint32_t size = 0;
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, "%s/positions.txt", fixture("positions"));
    file = fopen(path, "re");
    assert_non_null(file);
    while (size == 0 && fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(name);
        unsigned byte = 0;

        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            for (const char *at = line + length + 1; sscanf(at, "%2x", &byte) == 1; at += 2) {
                bytes[size++] = (uint8_t)byte;
            }
        }
    }
    assert_int_equal(fclose(file), 0);
    assert_true(size > 0);
    return size;
}

static void position_put(FILE *out, const char *name, const uint8_t *bytes, uint32_t size)
{
    (void)fprintf(out, "%s ", name);
    for (uint32_t i = 0; i < size; i++) {
        (void)fprintf(out, "%02x", bytes[i]);
    }
    (void)fputc('\n', out);
}

static void positions_make(const char *folder)
{
    uint8_t
        bytes[NW_COPY_BYTES_MAX > NW_POSITION_SIZE_MAX ? NW_COPY_BYTES_MAX : NW_POSITION_SIZE_MAX];
    char path[PATH_BYTES];
    struct nw_behind_list list = behind();
    struct nw_copy_progress copied = progress();
    FILE *out = NULL;

    (void)snprintf(path, sizeof path, "%s/positions.txt", folder);
    out = fopen(path, "we");
    assert_non_null(out);
    position_put(out, "position-1", bytes, nw_position_pack(&IDENTITY, 0x2000, NULL, bytes));
    position_put(out, "position-2", bytes, nw_position_pack(&IDENTITY, 0x2000, &list, bytes));
    position_put(out, "copy-3", bytes, nw_copy_pack(&copied, bytes));
    position_put(out, "envelope-1", bytes, envelope_make(bytes));
    assert_int_equal(fclose(out), 0);
}

static void positions_are_read_and_written_alike(void **state)
{
    uint8_t stored[LINE_BYTES];
    uint8_t made[LINE_BYTES];
    struct nw_behind_list list = behind();
    struct nw_behind_list found;
    struct nw_identity identity;
    struct nw_error err = {0};
    uint64_t lsn = 0;
    uint32_t size = position_read("position-1", stored);

    (void)state;
    assert_int_equal(
        nw_position_unpack((struct nw_bytes){stored, size}, &identity, &lsn, &found, &err), NW_OK);
    assert_memory_equal(&identity, &IDENTITY, sizeof identity);
    assert_int_equal(found.count, 0);
    assert_int_equal(nw_position_pack(&IDENTITY, 0x2000, NULL, made), size);
    assert_memory_equal(made, stored, size);
    size = position_read("position-2", stored);
    assert_int_equal(
        nw_position_unpack((struct nw_bytes){stored, size}, &identity, &lsn, &found, &err), NW_OK);
    assert_int_equal(lsn, 0x2000);
    assert_int_equal(found.tables[0].place.commit_lsn, 0x900);
    assert_int_equal(nw_position_pack(&IDENTITY, 0x2000, &list, made), size);
    assert_memory_equal(made, stored, size);
    stored[0] = 99;
    assert_int_equal(
        nw_position_unpack((struct nw_bytes){stored, size}, &identity, &lsn, &found, &err),
        NW_FATAL);
    assert_non_null(strstr(err.text, "format 99, written by a newer narwal"));
}

static void copy_states_and_envelopes_too(void **state)
{
    uint8_t stored[LINE_BYTES];
    uint8_t made[LINE_BYTES];
    static struct nw_copy_progress found;
    struct nw_copy_progress copied = progress();
    struct nw_envelope_content content;
    struct nw_error err = {0};
    uint32_t size = position_read("copy-3", stored);

    (void)state;
    assert_int_equal(nw_copy_unpack((struct nw_bytes){stored, size}, &found, &err), NW_OK);
    assert_int_equal(found.origin.xmin, 700);
    assert_int_equal(found.ranges[0].end_page, 64);
    assert_int_equal(nw_copy_pack(&copied, made), size);
    assert_memory_equal(made, stored, size);
    stored[0] = 99;
    assert_int_equal(nw_copy_unpack((struct nw_bytes){stored, size}, &found, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "format 99, written by a newer narwal"));

    size = position_read("envelope-1", stored);
    assert_int_equal(
        nw_envelope_read(&(struct nw_position){.size = size, .bytes = stored}, &content, &err),
        NW_OK);
    assert_int_equal(content.commit, 12);
    assert_int_equal(content.position.lsn, 0x2000);
    assert_int_equal(envelope_make(made), size);
    assert_memory_equal(made, stored, size);
    stored[0] = 99;
    assert_int_equal(
        nw_envelope_read(&(struct nw_position){.size = size, .bytes = stored}, &content, &err),
        NW_FATAL);
    assert_non_null(strstr(err.text, "of a newer narwal"));
}

/* ---- the file sink's folder ---- */

static void files_make(const char *folder)
{
    static struct story s;

    story_init(&s, folder);
    assert_int_equal(story_open(&s), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    assert_int_equal(story_run(&s, 1, EPOCHS), NW_OK);
    story_fini(&s);
}

/* The first record's "format":1 becomes 9. */
static void journal_raise(const char *folder)
{
    char path[PATH_BYTES];
    char inner[PATH_BYTES];
    static char text[1 << 16];
    size_t size = 0;
    char *format = NULL;
    char *end = NULL;
    FILE *file = NULL;

    (void)snprintf(inner, sizeof inner, "%s/_journal", folder);
    file_find(inner, ".log", path);
    file = fopen(path, "r+e");
    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    format = strstr(text, "\"format\":1");
    end = strchr(text, '\n');
    assert_true(format != NULL && end != NULL && format < end);
    format[9] = '9';
    (void)snprintf(inner, sizeof inner, "%08x",
                   libdeflate_crc32(0, text + 9, (size_t)(end - text) - 9));
    memcpy(text, inner, 8);
    rewind(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_sinks_folder_is_read(void **state)
{
    static struct story s;
    const char *folder = fixture("files-1");

    (void)state;
    story_init(&s, folder);
    assert_int_equal(story_open(&s), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    assert_int_equal(s.recovered, EPOCHS);
    assert_int_equal(story_run(&s, EPOCHS + 1, EPOCHS + 1), NW_OK);
    story_fini(&s);

    folder = fixture("files-1");
    journal_raise(folder);
    story_init(&s, folder);
    if (story_open(&s) == NW_OK) {
        assert_int_not_equal(story_recover(&s), NW_OK);
    }
    assert_non_null(strstr(s.err.text, "NW2605"));
    assert_non_null(strstr(s.err.text, "has format 9"));
    story_fini(&s);
}

/* ---- */

static int env_make(void **state)
{
    struct nw_env *env = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_env_system_create(NW_IO_PREAD, &env, &err), NW_OK);
    *state = env;
    return 0;
}

static int env_end(void **state)
{
    nw_env_system_destroy(*state);
    return 0;
}

static void make(const char *folder)
{
    char path[PATH_BYTES];
    void *env = NULL;

    (void)env_make(&env);
    for (const char *const *name = (const char *const[]){"state-1", "positions", "files-1", NULL};
         *name != NULL; name++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, *name);
        (void)mkdir(path, 0755);
    }
    (void)snprintf(path, sizeof path, "%s/spool-2", folder);
    spool_make(env, path);
    (void)snprintf(path, sizeof path, "%s/backlog-2", folder);
    backlog_make(env, path);
    (void)snprintf(path, sizeof path, "%s/state-1", folder);
    state_make(path);
    (void)snprintf(path, sizeof path, "%s/positions", folder);
    positions_make(path);
    (void)snprintf(path, sizeof path, "%s/files-1", folder);
    files_make(path);
    (void)env_end(&env);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_spool_is_read, env_make, env_end),
        cmocka_unit_test_setup_teardown(a_backlog_is_read, env_make, env_end),
        cmocka_unit_test(a_state_is_read),
        cmocka_unit_test(positions_are_read_and_written_alike),
        cmocka_unit_test(copy_states_and_envelopes_too),
        cmocka_unit_test(a_sinks_folder_is_read),
    };

    if (argc == 3 && strcmp(argv[1], "--make") == 0) {
        make(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
