/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal copy`: pauses the copy of the running process, or lets it go on. */
#include <string.h>

#include "cli/command.h"

static const char HELP[] =
    "usage: narwal copy pause|resume  FILE.yaml | --name NAME | --state-dir DIR\n\n"
    "Tells the narwal that runs with this configuration, name or state folder\n"
    "  pause   to copy nothing more: what is being read is read to the end of its chunk. The\n"
    "          snapshot stays, and the stream is received and kept as before\n"
    "  resume  to go on\n\n"
    "A narwal that starts again goes on by itself. copy.rate bounds the rate all the time.\n"
    "exit codes: 0 it is done, 1 none runs or nothing is being copied, 2 called wrongly\n";

const char *const NW_COPY_WORDS[] = {"pause", "resume", NULL};

int nw_cmd_copy(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[2] = {NULL};
    char folder[NW_FOLDER_SIZE];
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 2);

    if (code != NW_GO_ON) {
        return code;
    }
    if (!nw_word_known(NW_COPY_WORDS, rest[0])) {
        nw_complain(
            "NW1501 narwal copy pause, or narwal copy resume; narwal copy --help says more");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[1];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON
               ? nw_tell(folder, strcmp(rest[0], "pause") == 0 ? "copy pause" : "copy resume")
               : code;
}
