/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal table`: asks the running process through its control socket. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

#define LINE_SIZE 240

static const char HELP[] =
    "usage: narwal table add|refresh|repair|drop|pause|resume SCHEMA.TABLE  FILE.yaml | "
    "--name NAME | --state-dir DIR\n"
    "       narwal table list [--json] [--state STATE]  FILE.yaml | --name NAME | --state-dir DIR  "
    "[PATTERN]\n\n"
    "Asks the narwal that runs with this configuration, name or state folder to copy a table,\n"
    "or not to follow it any more, or which tables there are.\n"
    "  add      one that matches the configuration and is not followed yet; it is put into the\n"
    "           publication if narwal made that\n"
    "  refresh  one that is followed, at every sink\n"
    "  repair   one that stopped, or of which sinks may have other rows, where that is so\n"
    "  drop     one that is not to be followed any more, though it matches; it is taken out of "
    "the\n"
    "           publication if narwal made that, and sinks keep what they have; add brings it "
    "back\n"
    "  pause    one that streams: what comes of it is kept, up to limits.backlog\n"
    "  resume   one that is paused, or stopped with its changes kept: they are delivered, and it\n"
    "           streams on\n"
    "  list     every table with its state, the troubled ones first: stopped, doubtful, dropped,\n"
    "           paused, waiting (for what), copying (how far, how fast, until when), \"left "
    "out\",\n"
    "           streaming (its lag, if there is one); at the end how many there are of each.\n"
    "           PATTERN is over schema.table as in tables.include, for instance 'sales.*'\n\n"
    "Sinks keep what they have of a table until its copy is whole, and then have the copy in its\n"
    "place, with the changes since behind it. All other tables stream on meanwhile. `narwal table\n"
    "list` shows how far it is.\n"
    "exit codes: 0 it is done or will be; list: it answered, and no table that it shows is "
    "stopped\n"
    "(with --json also if one is)\n"
    "            1 none runs or it cannot be done; list then shows what is recorded, if there is "
    "anything\n"
    "            2 called wrongly\n";

const char *const NW_TABLE_WORDS[] = {"add",   "refresh", "repair", "drop",
                                      "pause", "resume",  "list",   NULL};

static int ask(const char *folder, const char *verb, const char *name)
{
    char line[LINE_SIZE];

    if (snprintf(line, sizeof line, "table %s %s", verb, name) >= (int)sizeof line) {
        nw_complain("NW1501 the table's name is too long");
        return NW_EXIT_FAILED;
    }
    return nw_tell(folder, line);
}

/* FILE [PATTERN], or only a pattern when the narwal is named otherwise. */
static int list(struct nw_config_arguments *arguments, const char **rest,
                struct nw_table_list_request *request)
{
    bool named = arguments->name != NULL || arguments->state_dir != NULL;
    char folder[NW_FOLDER_SIZE];
    int code = 0;

    arguments->file = named ? NULL : rest[0];
    request->pattern = rest[named ? 0 : 1];
    if (named && rest[1] != NULL) { /* as the other commands: beside a file */
        arguments->file = rest[0];
        request->pattern = rest[1];
    }
    if (request->state != NULL && !nw_table_state_known(request->state)) {
        nw_complain("NW1501 there is no state %s: narwal table --help lists them", request->state);
        return NW_EXIT_USAGE;
    }
    code = nw_state_folder_find(arguments, folder);
    return code == NW_GO_ON ? nw_table_list(folder, request) : code;
}

int nw_cmd_table(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[3] = {NULL};
    char folder[NW_FOLDER_SIZE];
    struct nw_table_list_request request = {.pattern = NULL};
    int code = 0;
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "state", .value = &request.state},
                                        {.name = "json", .flag = &request.as_json},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 3);
    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] != NULL && strcmp(rest[0], "list") == 0) {
        return list(&arguments, rest + 1, &request);
    }
    if (request.state != NULL || request.as_json) {
        nw_complain("NW1501 --state and --json are of narwal table list");
        return NW_EXIT_USAGE;
    }
    if (!nw_word_known(NW_TABLE_WORDS, rest[0]) || rest[1] == NULL) {
        nw_complain(
            "NW1501 what is to be done with which table? narwal table add|refresh|repair|drop|"
            "pause|resume SCHEMA.TABLE, or narwal table list; narwal table --help says more");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[2];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON ? ask(folder, rest[0], rest[1]) : code;
}
