/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: see command.h. */
#include "cli/command.h"

#include <jansson.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "base/text.h"
#include "serve/control.h"

#ifndef NARWAL_PLUGIN_FOLDER
#define NARWAL_PLUGIN_FOLDER "/usr/local/lib/narwal"
#endif
#ifndef NARWAL_LIBRARY_FOLDER
#define NARWAL_LIBRARY_FOLDER "lib"
#endif
#define NOTED_MAX      4
#define CALLED_WRONGLY "NW1501" /* what is wrong is said, and there is --help */

#define MEMORY_LEAST ((int64_t)64 << 20) /* what limits.memory may be at the least */

void nw_complain(const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    nw_redact(text);
    (void)fprintf(stderr, "narwal: %s\n", text);
    nw_explain_note(text);
}

void nw_complain_error(const struct nw_error *err)
{
    if (nw_code_find(err->text) != NULL) {
        nw_complain("%s", err->text);
    } else {
        nw_complain("%.6s %s", nw_error_code(err), err->text);
    }
}

/* The codes that this command said, without those that need no more said. One thread. */
static char noted[NOTED_MAX][NW_CODE_LENGTH + 1];
static int noted_count;

void nw_explain_note(const char *text)
{
    const char *code = nw_code_find(text);

    if (code == NULL || strncmp(code, CALLED_WRONGLY, NW_CODE_LENGTH) == 0) {
        return;
    }
    for (int i = 0; i < noted_count; i++) {
        if (strncmp(noted[i], code, NW_CODE_LENGTH) == 0) {
            return;
        }
    }
    if (noted_count < NOTED_MAX) {
        memcpy(noted[noted_count++], code, NW_CODE_LENGTH);
    }
}

void nw_explain_hint(void)
{
    if (noted_count == 0 || isatty(STDERR_FILENO) == 0) {
        return;
    }
    (void)fputs("narwal explain", stderr);
    for (int i = 0; i < noted_count; i++) {
        (void)fprintf(stderr, " %s", noted[i]);
    }
    (void)fputs(" says more\n", stderr);
}

void nw_shell_print(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:@%,";

    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        (void)fputs(word, out);
        return;
    }
    (void)fputc('\'', out);
    for (; *word != '\0'; word++) {
        (void)fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, out);
    }
    (void)fputc('\'', out);
}

bool nw_word_known(const char *const *words, const char *text)
{
    for (; text != NULL && *words != NULL; words++) {
        if (strcmp(*words, text) == 0) {
            return true;
        }
    }
    return false;
}

static const struct nw_argument *argument_find(const struct nw_argument *known, const char *name,
                                               size_t size)
{
    for (; known->name != NULL; known++) {
        if (strlen(known->name) == size && strncmp(known->name, name, size) == 0) {
            return known;
        }
    }
    return NULL;
}

static const struct nw_argument *letter_find(const struct nw_argument *known, const char *text)
{
    for (; known->name != NULL; known++) {
        if (known->letter != 0 && text[1] == known->letter && text[2] == '\0') {
            return known;
        }
    }
    return NULL;
}

static bool argument_take(const struct nw_argument *known, const char *name, const char *value)
{
    if (known->list != NULL) {
        if (*known->list_count == known->list_max) {
            nw_complain("NW1501 more than %u times --%s", known->list_max, name);
            return false;
        }
        known->list[(*known->list_count)++] = value;
    } else {
        *known->value = value;
    }
    return true;
}

static bool option_unknown(const struct nw_argument *known, const char *command, const char *text)
{
    const char *best = NULL;
    size_t best_distance = 3;

    for (; known->name != NULL; known++) {
        size_t distance = nw_text_distance(text + 2, known->name);

        if (distance < best_distance) {
            best_distance = distance;
            best = known->name;
        }
    }
    if (best != NULL) {
        nw_complain("NW1501 unknown option %s; did you mean --%s?", text, best);
    } else {
        nw_complain("NW1501 unknown option %s; narwal %s --help lists them", text, command);
    }
    return false;
}

/* One option, its value in itself or in the next argument. @return false when something is wrong */
static bool option_take(const struct nw_argument *known, const char *command, char ***at)
{
    const char *text = **at;
    const char *equals = strchr(text, '=');
    size_t size = equals == NULL ? strlen(text) : (size_t)(equals - text);
    const struct nw_argument *found = size > 2 && text[1] == '-'
                                          ? argument_find(known, text + 2, size - 2)
                                          : letter_find(known, text);

    if (found == NULL) {
        return option_unknown(known, command, text);
    }
    if (found->flag != NULL) {
        *found->flag = true;
        return true;
    }
    if (equals != NULL) {
        return argument_take(found, found->name, equals + 1);
    }
    if ((*at)[1] == NULL) {
        nw_complain("NW1501 %s needs a value", text);
        return false;
    }
    *at += 1;
    return argument_take(found, found->name, **at);
}

static struct {
    void (*visit)(void *context, const struct nw_argument *known, const char *help);
    void *context;
} visitor; /* commands have one thread that reads arguments */

void nw_arguments_visit(void (*visit)(void *context, const struct nw_argument *known,
                                      const char *help),
                        void *context)
{
    visitor.visit = visit;
    visitor.context = context;
}

int nw_arguments_read(int argc, char **argv, const struct nw_argument *known, const char *help,
                      const char **rest, int rest_max)
{
    int rest_count = 0;

    NW_ASSERT(argv[argc] == NULL); /* as main() gets them */
    if (visitor.visit != NULL) {
        visitor.visit(visitor.context, known, help);
        return 0;
    }
    for (char **at = argv + 1; at < argv + argc; at++) {
        const char *text = *at;

        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (text[0] == '-' && strcmp(text, "-") != 0) {
            if (!option_take(known, argv[0], &at)) {
                return NW_EXIT_USAGE;
            }
            continue;
        }
        if (rest_count == rest_max) {
            nw_complain("NW1501 \"%s\" is one argument too many; see narwal %s --help", text,
                        argv[0]);
            return NW_EXIT_USAGE;
        }
        rest[rest_count++] = text;
    }
    return NW_GO_ON;
}

/* ---- configuration ---- */

/* The database's name in a DSN, for the name of a pipeline without a file. */
static void name_from_dsn(const char *dsn, char *name, size_t size)
{
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    const char *database = NULL;
    const char *user = NULL;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, "dbname") == 0) {
            database = o->val;
        } else if (strcmp(o->keyword, "user") == 0) {
            user = o->val;
        }
    }
    (void)snprintf(name, size, "%s", database != NULL ? database : user != NULL ? user : "narwal");
    PQconninfoFree(options);
}

static bool is_password(const PQconninfoOption *option)
{
    return option->val != NULL && strchr(option->dispchar, '*') != NULL;
}

/* keyword=value as libpq reads it, without a password. */
static void pair_print(FILE *out, const PQconninfoOption *option)
{
    (void)fprintf(out, "%s%s=", ftell(out) == 0 ? "" : " ", option->keyword);
    for (const char *at = is_password(option) ? "***" : option->val; *at != '\0'; at++) {
        (void)fprintf(out, "%s%c", strchr(" '\\", *at) != NULL ? "\\" : "", *at);
    }
}

/* The options as a DSN in the configuration's memory. @param whole  with "***" for passwords */
static const char *dsn_print(struct nw_run_config *config, const PQconninfoOption *options,
                             bool whole)
{
    char *text = NULL;
    size_t size = 0;
    const char *kept = NULL;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return NULL;
    }
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val != NULL && (whole || !is_password(o))) {
            pair_print(stream, o);
        }
    }
    if (fclose(stream) == 0) {
        kept = nw_arena_text(&config->arena, text);
    }
    free(text);
    return kept;
}

/* @return whether there are passwords; they are never printed from here on */
static bool passwords_hide(const PQconninfoOption *options)
{
    bool any = false;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (is_password(o)) {
            nw_log_secret(o->val);
            any = true;
        }
    }
    return any;
}

/* The DSN for people. @return whether it has passwords, which are not in there */
static bool dsn_clean(struct nw_run_config *config)
{
    PQconninfoOption *options = PQconninfoParse(config->dsn, NULL);
    bool any = passwords_hide(options);

    if (options != NULL) {
        config->dsn_shown = any ? dsn_print(config, options, true) : config->dsn;
        config->dsn_plain = any ? dsn_print(config, options, false) : config->dsn;
    }
    PQconninfoFree(options);
    return any;
}

/* A password that stands where others can read it. */
static void dsn_look(const struct nw_config_arguments *arguments, struct nw_run_config *config)
{
    const struct nw_node *dsn = nw_tree_member(nw_tree_member(config->root, "source"), "dsn");

    if (!dsn_clean(config) || dsn == NULL || dsn->secret) {
        return;
    }
    if (arguments->file != NULL) {
        nw_log(NW_LOG_WARN,
               "%s:%u:%u: NW1007 a password is written out in dsn: leave it out there, and write "
               "password: ${file:/path} or ${env:NAME} beside it, or use a libpq passfile",
               dsn->file, dsn->line, dsn->column);
    } else {
        nw_log(NW_LOG_WARN, "NW1007 the password in --source can be read by everybody who lists "
                            "processes: use ~/.pgpass, PGPASSWORD or a configuration file");
    }
}

/* orders.yaml: orders */
static void name_from_file(const char *file, char *name, size_t size)
{
    const char *slash = strrchr(file, '/');
    char *dot = NULL;

    (void)snprintf(name, size, "%s", slash == NULL ? file : slash + 1);
    dot = strrchr(name, '.');
    if (dot != NULL && dot != name) {
        *dot = '\0';
    }
}

/* What the plugins say of their keys, as far as they load: then all can be mended in one go. */
static void plugins_ask(struct nw_run_config *config)
{
    char buffer[4096];
    const char *folder = nw_plugin_folder(config, buffer, sizeof buffer);

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        struct nw_plugin plugin;
        struct nw_config resolved;
        struct nw_error ignored = {0};

        if (nw_plugin_load(folder, config->sinks[i].type, &plugin, &ignored) == NW_OK) {
            (void)!nw_config_resolve_sink(config, i, plugin.ops.options, plugin.ops.options_count,
                                          &resolved, &ignored);
        }
    }
}

static void problems_print(const struct nw_problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        nw_complain("%s", problems->items[i].text);
    }
    if (problems->dropped > 0) {
        nw_complain("and %u more", problems->dropped);
    }
}

static nw_status file_read(const char *file, struct nw_run_config *config,
                           struct nw_problems *problems, struct nw_error *err)
{
    nw_status status = nw_config_load(file, config, problems, err);

    if (status != NW_OK) {
        plugins_ask(config);
    }
    config->problems = NULL;
    return status;
}

nw_status nw_config_read(const struct nw_config_arguments *arguments, struct nw_run_config *config,
                         struct nw_problems *problems, struct nw_error *err)
{
    char name[256];
    nw_status status = NW_OK;

    if (arguments->file != NULL) {
        status = file_read(arguments->file, config, problems, err);
        name_from_file(arguments->file, name, sizeof name);
    } else {
        status = nw_config_from_arguments(arguments->source, arguments->sinks,
                                          arguments->sinks_count, config, err);
        name_from_dsn(arguments->source, name, sizeof name);
    }
    if (status == NW_OK) {
        dsn_look(arguments, config);
        config->name = arguments->name != NULL ? arguments->name : config->name;
        config->state_dir = arguments->state_dir != NULL ? arguments->state_dir : config->state_dir;
        status = nw_config_finish(config, name, err);
    }
    if (status != NW_OK) {
        nw_config_free(config);
    }
    return status;
}

bool nw_config_open(const struct nw_config_arguments *arguments, struct nw_run_config *config)
{
    static struct nw_problems problems; /* commands have one thread that reads configurations */
    struct nw_error err = {0};
    nw_status status = NW_OK;

    if ((arguments->file != NULL) == (arguments->source != NULL)) {
        nw_complain(arguments->file == NULL
                        ? "NW1501 name a configuration file, or --source DSN"
                        : "NW1501 either a configuration file or --source, not both");
        return false;
    }
    memset(&problems, 0, sizeof problems);
    status = nw_config_read(arguments, config, &problems, &err);
    if (status != NW_OK && problems.count > 0) {
        problems_print(&problems);
    } else if (status != NW_OK) {
        nw_complain_error(&err);
    }
    return status == NW_OK;
}

bool nw_ask(const char *folder, const char *line, char **text, size_t *size)
{
    struct nw_error err = {0};
    FILE *stream = NULL;
    nw_status status = NW_OK;

    *text = NULL;
    stream = open_memstream(text, size);
    status = stream == NULL ? nw_fail(&err, NW_FATAL, "out of memory")
                            : nw_control_ask(folder, line, stream, &err);
    if (stream != NULL) {
        (void)fclose(stream);
    }
    if (status != NW_OK) {
        nw_complain_error(&err);
        free(*text);
        *text = NULL;
    }
    return status == NW_OK;
}

bool nw_running(const struct nw_run_config *config)
{
    struct nw_error ignored = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    json_t *report = NULL;
    const char *slot = NULL;
    bool ours = false;

    if (stream == NULL) {
        return false;
    }
    if (nw_control_ask(config->state_dir, "status", stream, &ignored) == NW_OK &&
        fflush(stream) == 0) {
        report = json_loads(text, 0, NULL);
    }
    slot = json_string_value(json_object_get(json_object_get(report, "source"), "slot"));
    ours = slot != NULL && strcmp(slot, config->slot_name) == 0;
    json_decref(report);
    (void)fclose(stream);
    free(text);
    return ours;
}

int nw_tell(const char *folder, const char *line)
{
    char *text = NULL;
    size_t size = 0;
    json_t *root = NULL;
    int code = NW_EXIT_FAILED;

    if (!nw_ask(folder, line, &text, &size)) {
        return code;
    }
    root = json_loadb(text, size, 0, NULL);
    if (json_string_value(json_object_get(root, "done")) != NULL) {
        (void)printf("%s\n", json_string_value(json_object_get(root, "done")));
        code = 0;
    } else if (json_string_value(json_object_get(root, "error")) != NULL) {
        nw_complain("%s", json_string_value(json_object_get(root, "error")));
    } else {
        nw_complain("NW1503 the running narwal did not answer");
    }
    json_decref(root);
    free(text);
    return code;
}

int nw_state_folder_find(struct nw_config_arguments *arguments, char folder[NW_FOLDER_SIZE])
{
    struct nw_run_config config;

    if (arguments->file == NULL && arguments->state_dir != NULL) {
        (void)snprintf(folder, NW_FOLDER_SIZE, "%s", arguments->state_dir);
        return NW_GO_ON;
    }
    if (arguments->file == NULL && arguments->name == NULL) {
        nw_complain("NW1501 of which narwal? Name its configuration file, --name or --state-dir; "
                    "narwal status --all shows those of this host");
        return NW_EXIT_USAGE;
    }
    if (arguments->file == NULL) {
        arguments->source = "dbname=status"; /* only the name counts */
    }
    if (!nw_config_open(arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    (void)snprintf(folder, NW_FOLDER_SIZE, "%s", config.state_dir);
    nw_config_free(&config);
    return NW_GO_ON;
}

struct nw_server_options nw_config_server(const struct nw_run_config *c)
{
    return (struct nw_server_options){
        .connection = {.dsn = c->dsn,
                       .password = c->password,
                       .dsn_source = c->dsn_source,
                       .password_source = c->password_source,
                       .application_name = "narwal",
                       .connect_timeout_us = c->connect_timeout_us},
        .slot_name = c->slot_name,
        .create_slot = c->slot_create,
        .failover = c->slot_failover,
        .streaming = c->streaming,
        .messages = c->messages,
        .origin_none = c->origin_none,
        .text = !c->binary,
        .publication = {.name = c->publication_name,
                        .create = c->publication_create,
                        .no_key = c->keyless_skip ? NW_NO_KEY_SKIP : NW_NO_KEY_INSERT_ONLY,
                        .filter = {.include = c->include, .exclude = c->exclude}}};
}

int64_t nw_memory_budget(const struct nw_run_config *config, const struct nw_topology *topology,
                         int64_t *least)
{
    bool configured = nw_tree_member(nw_config_section(config->root, "limits"), "memory") != NULL;
    int64_t most = 0;

    *least =
        topology->memory_limit_bytes > 0 ? topology->memory_limit_bytes : topology->memory_bytes;
    most = *least / 2 < MEMORY_LEAST ? MEMORY_LEAST : *least / 2;
    return *least > 0 && !configured && config->memory_bytes > most ? most : config->memory_bytes;
}

/* ---- plugins ---- */

static bool folder_there(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

const char *nw_plugin_folder(const struct nw_run_config *config, char *buffer, size_t size)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): at start, before threads */
    const char *from_environment = getenv("NARWAL_PLUGIN_DIR");
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = NULL;

    if (config != NULL && config->plugin_dir != NULL) {
        return config->plugin_dir;
    }
    if (from_environment != NULL) {
        return from_environment;
    }
    program[length > 0 ? length : 0] = '\0';
    slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
        (void)snprintf(buffer, size, "%s/plugins", program); /* a build tree */
        if (folder_there(buffer)) {
            return buffer;
        }
        (void)snprintf(buffer, size, "%s/../" NARWAL_LIBRARY_FOLDER "/narwal", program);
        if (folder_there(buffer) && realpath(buffer, program) != NULL) { /* installed, or moved */
            (void)snprintf(buffer, size, "%s", program);
            return buffer;
        }
    }
    return NARWAL_PLUGIN_FOLDER;
}

bool nw_agree(bool yes)
{
    char answer[16] = "";

    if (yes) {
        return true;
    }
    if (isatty(STDIN_FILENO) != 1) {
        nw_complain("NW1501 nothing was removed: there is nobody to ask; --yes removes without");
        return false;
    }
    (void)fputs("Remove? [y/N] ", stdout);
    (void)fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        (void)puts("nothing was removed");
        return false;
    }
    return true;
}
