/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal reload`, `narwal pause`, `narwal resume`: told to the running process. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

static const char RELOAD_HELP[] =
    "usage: narwal reload FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Has the running narwal read its configuration file again, as SIGHUP does, and prints what is\n"
    "different: what is applied, and what stays as it was since it needs a restart. A file with a\n"
    "mistake is refused whole, and nothing changes. Keys that can be reloaded are marked in\n"
    "docs/configuration.md and narwal.yaml(5). For most of them what was received is made durable\n"
    "and the stream is taken up again from there, as at a restart, which takes about a second.\n"
    "Secrets and certificates in files are read again at each connection anyway.\n"
    "exit codes: 0 all of it holds now, or nothing is different; 1 something needs a restart, or\n"
    "none runs; 2 the file is wrong, or called wrongly\n";

static const char PAUSE_HELP[] =
    "usage: narwal pause FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Lets the pipeline that runs rest: what was received is made durable, and nothing more is\n"
    "received until narwal resume, or until it starts again. Its slot holds WAL on the server\n"
    "meanwhile. During the first copy: narwal copy pause. For one table: narwal table pause.\n"
    "exit codes: 0 it is done, 1 none runs or it cannot be, 2 called wrongly\n";

static const char RESUME_HELP[] =
    "usage: narwal resume FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Lets a pipeline that was paused by narwal pause go on.\n"
    "exit codes: 0 it is done, 1 none runs or it is not paused, 2 called wrongly\n";

/* The state folder of the narwal that is meant. @return NW_GO_ON, or the exit code */
static int folder_find(int argc, char **argv, const char *help, char folder[NW_FOLDER_SIZE])
{
    struct nw_config_arguments arguments = {0};
    const char *rest[1] = {NULL};
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, help, rest, 1);

    arguments.file = rest[0];
    return code == NW_GO_ON ? nw_state_folder_find(&arguments, folder) : code;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

/* @return whether all of it holds */
static bool changes_print(const json_t *root)
{
    const json_t *changes = json_object_get(root, "changes");
    bool applied = json_is_true(json_object_get(root, "applied"));
    bool all = true;
    size_t index = 0;
    const json_t *change = NULL;

    json_array_foreach(changes, index, change)
    {
        const char *refused = text_of(change, "refused");

        if (refused[0] == '\0' && !applied) {
            refused = "not without the others";
        }
        (void)printf("%s  %s: %s -> %s%s%s\n", refused[0] == '\0' ? "applied" : "refused",
                     text_of(change, "key"), text_of(change, "from"), text_of(change, "to"),
                     refused[0] == '\0' ? "" : "   ", refused);
        all = all && refused[0] == '\0';
    }
    if (index == 0) {
        (void)puts("nothing is different");
    }
    return all;
}

static int answer_print(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, 0, NULL);
    const json_t *mistakes = json_object_get(root, "mistakes");
    const char *error = json_string_value(json_object_get(root, "error"));
    int code = NW_EXIT_FAILED;
    size_t index = 0;
    const json_t *mistake = NULL;

    if (json_is_array(json_object_get(root, "changes"))) {
        code = changes_print(root) ? 0 : NW_EXIT_FAILED;
    } else if (mistakes != NULL) {
        json_array_foreach(mistakes, index, mistake)
        {
            nw_complain("%s", json_string_value(mistake));
        }
    } else {
        nw_complain("%s", error != NULL ? error : "NW1503 the running narwal did not answer");
    }
    json_decref(root);
    return code;
}

int nw_cmd_reload(int argc, char **argv)
{
    char folder[NW_FOLDER_SIZE];
    char *text = NULL;
    size_t size = 0;
    int code = folder_find(argc, argv, RELOAD_HELP, folder);

    if (code != NW_GO_ON) {
        return code;
    }
    code = nw_ask(folder, "reload", &text, &size) ? answer_print(text, size) : NW_EXIT_FAILED;
    free(text);
    return code;
}

int nw_cmd_pause(int argc, char **argv)
{
    char folder[NW_FOLDER_SIZE];
    int code = folder_find(argc, argv, PAUSE_HELP, folder);

    return code == NW_GO_ON ? nw_tell(folder, "pause") : code;
}

int nw_cmd_resume(int argc, char **argv)
{
    char folder[NW_FOLDER_SIZE];
    int code = folder_find(argc, argv, RESUME_HELP, folder);

    return code == NW_GO_ON ? nw_tell(folder, "resume") : code;
}
