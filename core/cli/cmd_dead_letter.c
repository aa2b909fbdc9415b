/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal dead-letter`: rows that sinks refused, from the state folder, whether a narwal runs with
 * it or not.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/code.h"
#include "base/text.h"
#include "cli/command.h"
#include "pg/lsn.h"
#include "pipeline/letters.h"

#define IDS_MAX      256
#define LIST_LINES   100
#define REASON_SHOWN 100

static const char HELP[] =
    "usage: narwal dead-letter list  FILE.yaml | --name NAME | --state-dir DIR  [--sink SINK] "
    "[--table SCHEMA.TABLE]\n"
    "                                [--json]\n"
    "       narwal dead-letter show ID...  FILE.yaml ...  [--json]\n"
    "       narwal dead-letter discard ID... | --table SCHEMA.TABLE | --all  FILE.yaml ...  "
    "[--sink "
    "SINK] [--yes]\n"
    "       narwal dead-letter retry ID... | --table SCHEMA.TABLE | --all  FILE.yaml ...\n\n"
    "Rows that a sink refused, where its refused: is dead_letter. They are in dead-letters.db in "
    "the\n"
    "state folder, and at that sink they are not.\n"
    "  list     how many there are of each table, and which: at most 100 lines, all with --json\n"
    "  show     all of one, and its row: the only place where narwal prints the values of rows\n"
    "  discard  remove them for good\n"
    "  retry    have the running narwal copy their tables again, as they are now, to the sinks "
    "that\n"
    "           refused them, and to no others; all else streams on. When such a copy is durable "
    "its\n"
    "           table's older dead letters go; a row that is refused again is a new one\n\n"
    "exit codes: 0 done (list: there is none), 1 it failed, or there is none such (list: there "
    "are\n"
    "some; with --json 0), 2 called wrongly\n";

const char *const NW_DEAD_LETTER_WORDS[] = {"list", "show", "retry", "discard", NULL};

#define NONE_SUCH                                                                                  \
    "NW2421 there is no such dead letter: narwal dead-letter list shows which there are"

struct request {
    struct nw_letters_choice choice;
    int64_t ids[IDS_MAX];
    bool as_json, all, yes;
    const char *folder;
    uint64_t seen;
    json_t *list; /* of list and show, as JSON */
};

/* ---- lines ---- */

static const char *time_text(char *text, size_t size, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;

    if (us == 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, size, "%Y-%m-%d %H:%M:%SZ", &parts) == 0) {
        (void)snprintf(text, size, "-");
    }
    return text;
}

static void put_time(json_t *object, const char *key, int64_t us)
{
    (void)json_object_set_new(object, key, us == 0 ? json_null() : json_real((double)us / 1e6));
}

static void put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */

    (void)json_object_set_new(object, key, value != NULL ? value : json_string("(not UTF-8)"));
}

static json_t *line_json(const struct nw_letters_line *line)
{
    json_t *object = json_object();
    char name[2 * NW_LETTERS_NAME_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];

    (void)snprintf(name, sizeof name, "%.63s.%.63s", line->schema_name, line->table_name);
    (void)json_object_set_new(object, "id", json_integer(line->id));
    put_text(object, "sink", line->sink);
    put_text(object, "table", name);
    (void)json_object_set_new(object, "oid", json_integer(line->relation_oid));
    put_text(object, "op", line->op);
    put_text(object, "commit_lsn", nw_lsn_text(lsn, line->commit_lsn));
    if (line->generation > 0) {
        (void)json_object_set_new(object, "copy", json_integer(line->generation));
    } else {
        put_text(object, "lsn", nw_lsn_text(lsn, line->row_lsn));
        (void)json_object_set_new(object, "seq", json_integer((json_int_t)line->seq));
        (void)json_object_set_new(object, "xid", json_integer(line->xid));
        put_time(object, "commit_time", line->commit_us);
    }
    put_text(object, "system_identifier", line->source);
    put_time(object, "refused_time", line->refused_us);
    (void)json_object_set_new(object, "bytes", json_integer((json_int_t)line->bytes));
    put_text(object, "code",
             nw_code_find(line->reason) != NULL ? nw_code_or(line->reason, "") : "");
    put_text(object, "reason", line->reason);
    return object;
}

static nw_status list_line(void *context, const struct nw_letters_line *line, struct nw_error *err)
{
    struct request *request = context;
    char lsn[NW_LSN_TEXT_SIZE];
    char when[32];

    (void)err;
    if (request->as_json) {
        (void)json_array_append_new(request->list, line_json(line));
    } else if (request->seen < LIST_LINES) {
        (void)printf("%6" PRId64 "  %s  %s.%s  %s%s  %s  %s  %.*s\n", line->id, line->sink,
                     line->schema_name, line->table_name, line->op,
                     line->generation > 0 ? " (copy)" : "", nw_lsn_text(lsn, line->commit_lsn),
                     time_text(when, sizeof when, line->refused_us), REASON_SHOWN, line->reason);
    }
    request->seen++;
    return NW_OK;
}

static nw_status show_line(void *context, const struct nw_letters_line *line, struct nw_error *err)
{
    struct request *request = context;
    json_t *row = json_loads(line->row, 0, NULL);
    char *text = row == NULL ? NULL : json_dumps(row, JSON_INDENT(2));
    char lsn[NW_LSN_TEXT_SIZE];
    char when[32];

    (void)err;
    if (request->as_json) {
        json_t *object = line_json(line);

        (void)json_object_set(object, "row", row);
        (void)json_array_append_new(request->list, object);
    } else {
        (void)printf("%sdead letter %" PRId64 "\n", request->seen > 0 ? "\n" : "", line->id);
        (void)printf("sink      %s\ntable     %s.%s (oid %u)\nrefused   %s\nreason    %s\n",
                     line->sink, line->schema_name, line->table_name, line->relation_oid,
                     time_text(when, sizeof when, line->refused_us), line->reason);
        if (line->generation > 0) {
            (void)printf("change    a row of copy %u, as of %s\n", line->generation,
                         nw_lsn_text(lsn, line->commit_lsn));
        } else {
            (void)printf("change    %s at %s", line->op, nw_lsn_text(lsn, line->row_lsn));
            (void)printf(", transaction %u that committed at %s, %s, its change %" PRIu64 "\n",
                         line->xid, nw_lsn_text(lsn, line->commit_lsn),
                         time_text(when, sizeof when, line->commit_us), line->seq);
        }
        (void)printf("row       %s\n", text == NULL ? line->row : text);
    }
    request->seen++;
    free(text);
    json_decref(row);
    return NW_OK;
}

/* ---- what is to be done ---- */

static void tally_print(const struct nw_letters_tally *tally)
{
    char text[NW_NUMBER_TEXT_SIZE];

    (void)printf("%" PRIu64 " dead letter%s (%s)", tally->letters, tally->letters == 1 ? "" : "s",
                 nw_size_text(text, (double)tally->bytes));
    for (uint32_t i = 0; i < tally->tables_count && i < NW_LETTERS_TABLES_MAX; i++) {
        const struct nw_letters_count *table = &tally->tables[i];

        (void)printf("%s%" PRIu64 " of %s.%s at sink %s", i == 0 ? ": " : ", ", table->letters,
                     table->schema_name, table->table_name, table->sink);
    }
    (void)putchar('\n');
}

static json_t *tally_json(const struct nw_letters_tally *tally)
{
    json_t *root = json_object();
    json_t *tables = json_array();

    (void)json_object_set_new(root, "count", json_integer((json_int_t)tally->letters));
    (void)json_object_set_new(root, "bytes", json_integer((json_int_t)tally->bytes));
    for (uint32_t i = 0; i < tally->tables_count && i < NW_LETTERS_TABLES_MAX; i++) {
        const struct nw_letters_count *from = &tally->tables[i];
        json_t *table = json_object();
        char name[2 * NW_LETTERS_NAME_SIZE];

        (void)snprintf(name, sizeof name, "%.63s.%.63s", from->schema_name, from->table_name);
        put_text(table, "table", name);
        put_text(table, "sink", from->sink);
        (void)json_object_set_new(table, "count", json_integer((json_int_t)from->letters));
        (void)json_object_set_new(table, "bytes", json_integer((json_int_t)from->bytes));
        (void)json_array_append_new(tables, table);
    }
    (void)json_object_set_new(root, "tables", tables);
    return root;
}

static void json_print(json_t *root)
{
    (void)json_dumpf(root, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(root);
}

static int list(struct nw_letters_file *file, struct request *request, struct nw_error *err)
{
    struct nw_letters_tally tally = {.letters = 0};
    nw_status status = file == NULL ? NW_OK : nw_letters_tally(file, &tally, err);

    request->list = json_array();
    if (status == NW_OK && file != NULL) {
        status = nw_letters_each(file, &request->choice, list_line, request, err);
    }
    if (status == NW_OK && request->as_json) {
        json_t *root = tally_json(&tally);

        (void)json_object_set(root, "list", request->list);
        json_print(root);
    } else if (status == NW_OK) {
        if (request->seen > LIST_LINES) {
            (void)printf("... and %" PRIu64 " more: --json lists all\n",
                         request->seen - LIST_LINES);
        }
        tally_print(&tally);
    }
    json_decref(request->list);
    return status != NW_OK || (tally.letters > 0 && !request->as_json) ? NW_EXIT_FAILED : 0;
}

static int show(struct nw_letters_file *file, struct request *request, struct nw_error *err)
{
    nw_status status = NW_OK;

    request->list = json_array();
    if (file != NULL) {
        status = nw_letters_each(file, &request->choice, show_line, request, err);
    }
    if (status == NW_OK && request->seen < request->choice.ids_count) {
        status = nw_fail(err, NW_FATAL, NONE_SUCH);
    }
    if (request->as_json) {
        json_print(json_incref(request->list));
    }
    json_decref(request->list);
    return status == NW_OK ? 0 : NW_EXIT_FAILED;
}

static nw_status count_line(void *context, const struct nw_letters_line *line, struct nw_error *err)
{
    struct request *request = context;

    (void)line;
    (void)err;
    request->seen++;
    return NW_OK;
}

/* Counts those that are meant. */
static nw_status some_there(struct nw_letters_file *file, struct request *request,
                            struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status =
        file == NULL ? NW_OK : nw_letters_each(file, &request->choice, count_line, request, &why);

    if (status == NW_CORRUPT) { /* that is one reason to discard it */
        request->seen++;
    } else if (status != NW_OK) {
        *err = why;
        return status;
    }
    return request->seen > 0 ? NW_OK : nw_fail(err, NW_FATAL, NONE_SUCH);
}

static int discard(struct nw_letters_file *file, struct request *request, struct nw_error *err)
{
    nw_status status = some_there(file, request, err);
    uint64_t removed = 0;

    if (status != NW_OK) {
        return NW_EXIT_FAILED;
    }
    (void)printf("%" PRIu64 " dead letter%s: the sink does not have these rows, and narwal will "
                 "not have them either\n",
                 request->seen, request->seen == 1 ? "" : "s");
    if (!nw_agree(request->yes)) {
        return NW_EXIT_FAILED;
    }
    status = nw_letters_discard(file, &request->choice, &removed, err);
    if (status == NW_OK) {
        (void)printf("removed %" PRIu64 "\n", removed);
    }
    return status == NW_OK ? 0 : NW_EXIT_FAILED;
}

/* A line that asks for a copy: dead-letter retry SINK "schema"."table". NULL: out of memory */
static char *retry_line(const struct nw_letters_line *line)
{
    const char *const names[2] = {line->schema_name, line->table_name};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    (void)fprintf(out, "dead-letter retry %s ", line->sink);
    for (int i = 0; i < 2; i++) {
        (void)fputs(i == 0 ? "\"" : ".\"", out);
        for (const char *at = names[i]; *at != '\0'; at++) {
            (void)fprintf(out, *at == '"' ? "\"\"" : "%c", *at);
        }
        (void)fputc('"', out);
    }
    (void)fclose(out);
    return text;
}

/* Of several letters of a table one asks, by the name that it had last. */
static nw_status retry_note(void *context, const struct nw_letters_line *line, struct nw_error *err)
{
    struct request *request = context;
    char key[NW_LETTERS_NAME_SIZE + 16];
    char *text = retry_line(line);
    bool noted = false;

    (void)snprintf(key, sizeof key, "%u %.63s", line->relation_oid, line->sink);
    noted = text != NULL && json_object_set_new(request->list, key, json_string(text)) == 0;
    free(text);
    request->seen++;
    return noted ? NW_OK
                 : nw_fail(err, NW_FATAL,
                           "NW2421 table %u cannot be named here: its name is not UTF-8",
                           line->relation_oid);
}

static int retry(struct nw_letters_file *file, struct request *request, struct nw_error *err)
{
    const char *key = NULL;
    json_t *line = NULL;
    int code = 0;
    nw_status status = NW_OK;

    request->list = json_object();
    if (file != NULL) {
        status = nw_letters_each(file, &request->choice, retry_note, request, err);
    }
    if (status == NW_OK && request->seen == 0) {
        status = nw_fail(err, NW_FATAL, NONE_SUCH);
    }
    json_object_foreach(request->list, key, line)
    {
        int each = status == NW_OK ? nw_tell(request->folder, json_string_value(line)) : 0;

        code = each != 0 ? each : code;
    }
    json_decref(request->list);
    return status == NW_OK ? code : NW_EXIT_FAILED;
}

static const struct {
    const char *verb;
    int (*run)(struct nw_letters_file *file, struct request *request, struct nw_error *err);
    bool wants_some; /* ids, --table or --all */
} VERBS[] = {{"list", list, false},
             {"show", show, true},
             {"retry", retry, true},
             {"discard", discard, true}};

static int run(const char *verb, const char *folder, struct request *request)
{
    struct nw_letters_file *file = NULL;
    struct nw_error err = {0};
    int code = NW_EXIT_FAILED;

    request->folder = folder;
    if (nw_letters_look(folder, &file, &err) == NW_OK) {
        for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
            if (strcmp(VERBS[i].verb, verb) == 0) {
                code = VERBS[i].run(file, request, &err);
            }
        }
    }
    if (err.text[0] != '\0') {
        nw_complain_error(&err);
    }
    nw_letters_close(file);
    return code;
}

/* Numbers, and the file, in any order. @return NW_GO_ON, or the exit code */
static int words_read(const char *const *words, struct request *request, const char **file)
{
    for (; *words != NULL; words++) {
        int64_t id = 0;

        if (nw_integer_parse(*words, &id) && id > 0) {
            request->ids[request->choice.ids_count++] = id;
        } else if (*file == NULL) {
            *file = *words;
        } else {
            nw_complain("NW1501 %s is no number of a dead letter", *words);
            return NW_EXIT_USAGE;
        }
    }
    request->choice.ids = request->ids;
    return NW_GO_ON;
}

static int choice_check(const char *verb, const struct request *request)
{
    bool some = request->choice.ids_count > 0 || request->choice.table != NULL || request->all;

    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        if (strcmp(VERBS[i].verb, verb) == 0 && VERBS[i].wants_some && !some) {
            nw_complain("NW1501 which dead letters? Their numbers, --table SCHEMA.TABLE or --all");
            return NW_EXIT_USAGE;
        }
    }
    if (request->all && (request->choice.ids_count > 0 || request->choice.table != NULL)) {
        nw_complain("NW1501 --all is all of them: name none beside it");
        return NW_EXIT_USAGE;
    }
    return NW_GO_ON;
}

int nw_cmd_dead_letter(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[IDS_MAX + 1] = {NULL};
    char folder[NW_FOLDER_SIZE];
    struct request *request = calloc(1, sizeof *request);
    int code = NW_EXIT_FAILED;

    if (request == NULL) {
        nw_complain("NW2901 out of memory");
        return code;
    }
    {
        const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                            {.name = "state-dir", .value = &arguments.state_dir},
                                            {.name = "sink", .value = &request->choice.sink},
                                            {.name = "table", .value = &request->choice.table},
                                            {.name = "all", .flag = &request->all},
                                            {.name = "yes", .flag = &request->yes},
                                            {.name = "json", .flag = &request->as_json},
                                            {.name = NULL}};

        code = nw_arguments_read(argc, argv, known, HELP, rest, IDS_MAX);
    }
    if (code == NW_GO_ON && !nw_word_known(NW_DEAD_LETTER_WORDS, rest[0])) {
        nw_complain("NW1501 narwal dead-letter list, show, retry or discard? narwal dead-letter "
                    "--help says more");
        code = NW_EXIT_USAGE;
    }
    if (code == NW_GO_ON) {
        code = words_read(rest + 1, request, &arguments.file);
    }
    if (code == NW_GO_ON) {
        code = choice_check(rest[0], request);
    }
    if (code == NW_GO_ON) {
        code = nw_state_folder_find(&arguments, folder);
    }
    code = code == NW_GO_ON ? run(rest[0], folder, request) : code;
    free(request);
    return code;
}
