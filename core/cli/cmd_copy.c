/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal copy`: pauses the copy of the running process, or lets it go on. */
#include <string.h>

#include "cli/command.h"

#define LINE_SIZE 240

static const char HELP[] =
    "usage: narwal copy pause|resume  FILE.yaml | --name NAME | --state-dir DIR\n"
    "       narwal copy stop SCHEMA.TABLE  FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Tells the narwal that runs with this configuration, name or state folder\n"
    "  pause   to copy nothing more: what is being read is read to the end of its chunk. The\n"
    "          snapshot stays, and the stream is received and kept as before\n"
    "  resume  to go on\n"
    "  stop    to read no more of a table that is copied again while it streams. Sinks keep the\n"
    "          rows that came, and what came of it meanwhile follows them. Only where every sink\n"
    "          keeps what it has of a table that is copied again, as Kafka does\n\n"
    "A narwal that starts again goes on by itself. copy.rate bounds the rate all the time.\n"
    "exit codes: 0 it is done, 1 none runs or nothing is being copied, 2 called wrongly\n";

const char *const NW_COPY_WORDS[] = {"pause", "resume", "stop", NULL};

static int copy_tell(const char *folder, const char *word, const char *name)
{
    char line[LINE_SIZE];
    int size = name == NULL ? snprintf(line, sizeof line, "copy %s", word)
                            : snprintf(line, sizeof line, "table stop %s", name);

    if (size >= (int)sizeof line) {
        nw_complain("NW1501 the table's name is too long");
        return NW_EXIT_FAILED;
    }
    return nw_tell(folder, line);
}

int nw_cmd_copy(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[3] = {NULL};
    bool stops = false;
    char folder[NW_FOLDER_SIZE];
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 3);

    if (code != NW_GO_ON) {
        return code;
    }
    stops = rest[0] != NULL && strcmp(rest[0], "stop") == 0;
    if (!nw_word_known(NW_COPY_WORDS, rest[0]) || (stops && rest[1] == NULL) ||
        (!stops && rest[2] != NULL)) {
        nw_complain("NW1501 narwal copy pause, narwal copy resume, or narwal copy stop "
                    "SCHEMA.TABLE; narwal copy --help says more");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[stops ? 2 : 1];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON ? copy_tell(folder, rest[0], stops ? rest[1] : NULL) : code;
}
