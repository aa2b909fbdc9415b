/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal sink`: asks the running process through its control socket; without one, its state. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/text.h"
#include "cli/command.h"
#include "pipeline/detached.h"
#include "serve/control.h"

#define LINE_SIZE 240

static const char HELP[] =
    "usage: narwal sink detach|attach SINK  FILE.yaml | --name NAME | --state-dir DIR\n"
    "       narwal sink list [--json]  FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Tells the narwal that runs with this configuration, name or state folder\n"
    "  detach  to leave a sink out, also over restarts: it gets nothing, and its position does "
    "not\n"
    "          hold back what the server may forget. The others go on; the last one stays\n"
    "  attach  to take it in again: where it stopped as far as the slot still has that, otherwise\n"
    "          with new copies of its tables, which are made while the others stream\n"
    "  list    every sink with its state\n"
    "While none runs detach and attach are recorded for the next start.\n"
    "exit codes: 0 it is done or will be; list: all of them run, or --json\n"
    "            1 it cannot be done; list: none runs, or some sink does not\n"
    "            2 called wrongly\n";

const char *const NW_SINK_WORDS[] = {"attach", "detach", "list", NULL};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static bool line_print(const json_t *sink)
{
    const char *state = text_of(sink, "state");
    char lag[NW_NUMBER_TEXT_SIZE];

    (void)printf(
        "%-20s %-10s %-9s %s%s\n", text_of(sink, "name"), text_of(sink, "type"), state,
        strcmp(state, "detached") == 0 ? "" : "lag ",
        strcmp(state, "detached") == 0
            ? ""
            : nw_duration_text(lag, json_number_value(json_object_get(sink, "lag_seconds"))));
    if (strcmp(state, "running") != 0 && text_of(sink, "reason")[0] != '\0') {
        (void)printf("     %s\n", text_of(sink, "reason"));
    }
    return strcmp(state, "running") == 0 || strcmp(state, "starting") == 0;
}

static int list(const char *folder, bool as_json)
{
    char *text = NULL;
    size_t size = 0;
    json_t *root = NULL;
    const json_t *sinks = NULL;
    const json_t *sink = NULL;
    size_t i = 0;
    bool well = true;

    if (!nw_ask(folder, "status", &text, &size)) {
        return NW_EXIT_FAILED;
    }
    root = json_loadb(text, size, 0, NULL);
    free(text);
    sinks = json_object_get(root, "sinks");
    if (sinks == NULL) {
        nw_complain("NW1503 the running narwal has nothing to report yet");
        json_decref(root);
        return NW_EXIT_FAILED;
    }
    if (as_json) {
        (void)json_dumpf(sinks, stdout, JSON_COMPACT);
        (void)puts("");
    }
    json_array_foreach(sinks, i, sink)
    {
        well = as_json || (line_print(sink) && well);
    }
    json_decref(root);
    return well ? 0 : NW_EXIT_FAILED;
}

static nw_status record(struct nw_state *state, const char *name, bool attaches,
                        struct nw_error *err)
{
    static struct nw_detached detached;
    struct nw_detached_sink sink = {.since_us = (int64_t)time(NULL) * 1000000};
    const struct nw_detached_sink *found = NULL;
    nw_status status = nw_detached_read(state, &detached, err);

    if (status != NW_OK) {
        return status;
    }
    found = nw_detached_find(&detached, name);
    if (found == NULL ? attaches : found->attaches == attaches) {
        return nw_fail(err, NW_REJECT, "NW1505 sink %s is %s", name,
                       attaches ? "not detached" : "detached already");
    }
    if (found != NULL) {
        sink = *found;
    }
    (void)snprintf(sink.name, sizeof sink.name, "%s", name);
    sink.attaches = attaches;
    (void)snprintf(sink.reason, sizeof sink.reason,
                   "NW2372 sink %s is detached, as a user asked: its position holds nothing back "
                   "any more",
                   name);
    return nw_detached_set(state, &detached, &sink, err);
}

/* Whether the configuration has the sink, and another one that is not left out: without either the
 * next run could do nothing. Without a configuration file that run says so. */
static nw_status configured_check(struct nw_state *state, const struct nw_run_config *config,
                                  const char *name, bool attaches, struct nw_error *err)
{
    static struct nw_detached detached;
    bool found = false;
    uint32_t others = 0;
    nw_status status = nw_detached_read(state, &detached, err);

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        const char *other = config->sinks[i].name;
        const struct nw_detached_sink *recorded = nw_detached_find(&detached, other);
        bool same = strcmp(other, name) == 0;

        found = found || same;
        others += !same && (recorded == NULL || recorded->attaches);
    }
    if (status == NW_OK && !found) {
        return nw_fail(err, NW_REJECT, "NW1504 there is no sink %s in the configuration", name);
    }
    if (status == NW_OK && others == 0 && !attaches) {
        return nw_fail(err, NW_REJECT, "NW1505 sink %s is the last one: the next run needs one",
                       name);
    }
    return status;
}

/* No narwal runs: the state says it to the next one. @param config  NULL: only its state is known
 */
static int record_offline(const char *folder, const struct nw_run_config *config, const char *name,
                          bool attaches)
{
    struct nw_state *state = NULL;
    struct nw_error err = {0};
    nw_status status = nw_state_open(folder, &state, &err);

    if (status == NW_OK && config != NULL) {
        status = configured_check(state, config, name, attaches, &err);
    }
    if (status == NW_OK) {
        status = record(state, name, attaches, &err);
    }
    nw_state_close(state);
    if (status != NW_OK) {
        nw_complain("%s", err.text);
        return NW_EXIT_FAILED;
    }
    (void)printf("no narwal runs: at its next start sink %s is %s\n", name,
                 attaches ? "attached" : "left out");
    return 0;
}

static bool runs(const char *folder)
{
    struct nw_error ignored = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    bool answered = stream != NULL && nw_control_ask(folder, "status", stream, &ignored) == NW_OK;

    if (stream != NULL) {
        (void)fclose(stream);
    }
    free(text);
    return answered;
}

static int ask(const struct nw_config_arguments *arguments, const char *folder, const char *verb,
               const char *name)
{
    struct nw_run_config config;
    int code = 0;
    char path[NW_FOLDER_SIZE + 16];
    char line[LINE_SIZE];
    struct stat there;

    if (snprintf(line, sizeof line, "sink %s %s", verb, name) >= (int)sizeof line ||
        strlen(name) >= NW_DETACHED_NAME_SIZE) {
        nw_complain("NW1501 the sink's name is too long");
        return NW_EXIT_USAGE;
    }
    if (runs(folder)) {
        return nw_tell(folder, line);
    }
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    if (stat(path, &there) != 0) {
        nw_complain("NW1502 no narwal runs with state folder %s, and it holds no state", folder);
        return NW_EXIT_FAILED;
    }
    if (arguments->file == NULL) {
        return record_offline(folder, NULL, name, strcmp(verb, "attach") == 0);
    }
    if (!nw_config_open(arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    code = record_offline(folder, &config, name, strcmp(verb, "attach") == 0);
    nw_config_free(&config);
    return code;
}

int nw_cmd_sink(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[3] = {NULL};
    char folder[NW_FOLDER_SIZE];
    bool as_json = false;
    const char *verb = "";
    bool lists = false;
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "json", .flag = &as_json},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 3);

    if (code != NW_GO_ON) {
        return code;
    }
    verb = rest[0] == NULL ? "" : rest[0];
    lists = strcmp(verb, "list") == 0;
    if (!nw_word_known(NW_SINK_WORDS, verb) || (!lists && (rest[1] == NULL || as_json))) {
        nw_complain("NW1501 narwal sink attach SINK, detach SINK, or list; narwal sink --help says "
                    "more");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[lists ? 1 : 2];
    code = nw_state_folder_find(&arguments, folder);
    if (code != NW_GO_ON) {
        return code;
    }
    return lists ? list(folder, as_json) : ask(&arguments, folder, verb, rest[1]);
}
