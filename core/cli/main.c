/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal`: finds the command, and says what there is. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"

static void usage(FILE *out)
{
    (void)fputs("narwal: a live PostgreSQL into files, Kafka and sinks of your own\n\n"
                "usage: narwal COMMAND [ARGUMENTS]\n\n",
                out);
    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        if (command->help != NULL) {
            (void)fprintf(out, "  %-11s %s\n", command->name, command->help);
        }
    }
    (void)fputs("\nnarwal COMMAND --help says more. To begin:\n"
                "  narwal tail postgresql://you@host/db\n"
                "  narwal run --source postgresql://you@host/db --sink file:./copy\n\n"
                "exit codes: 0 done, 1 failed or something was found, 2 called wrongly\n",
                out);
}

static int unknown(const char *name)
{
    const char *best = NULL;
    size_t best_distance = 3;

    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        size_t distance = nw_text_distance(name, command->name);

        if (distance < best_distance) {
            best_distance = distance;
            best = command->name;
        }
    }
    if (best != NULL) {
        nw_complain("NW1501 unknown command \"%s\"; did you mean \"%s\"?", name, best);
    } else {
        nw_complain("NW1501 unknown command \"%s\"; narwal --help lists them", name);
    }
    return NW_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    nw_arguments_hide(argc, argv);
    if (argc < 2) {
        usage(stderr);
        return NW_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return nw_cmd_version(argc - 1, argv + 1);
    }
    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        if (strcmp(argv[1], command->name) == 0) {
            int code = command->run(argc - 1, argv + 1);

            if (code != 0) {
                nw_explain_hint();
            }
            return code;
        }
    }
    return unknown(argv[1]);
}
