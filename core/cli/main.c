/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal`: finds the command, and says what there is. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not for users */
};

static const struct command COMMANDS[] = {
    {"run", nw_cmd_run, "copy a database into its sinks, then follow every change"},
    {"check", nw_cmd_check, "name every problem before anything is touched"},
    {"plan", nw_cmd_plan, "say how long the copy takes, how much room it needs, and the risks"},
    {"status", nw_cmd_status, "ask a running narwal how it is"},
    {"table", nw_cmd_table, "list tables; copy, add, drop, pause or resume one, while narwal runs"},
    {"copy", nw_cmd_copy, "pause the copy that is under way, or let it go on"},
    {"teardown", nw_cmd_teardown, "remove what a pipeline left on the server, and its state"},
    {"tail", nw_cmd_tail, "print changes as they happen, and leave nothing behind"},
    {"topology", nw_cmd_topology, "show cores, the plan of threads, and why"},
    {"sink-check", nw_cmd_sink_check, "try a sink plugin: order, retry, restart, misuse"},
    {"ddl-trigger", nw_cmd_ddl_trigger, "note changes of tables in the WAL, or no longer"},
    {"files", nw_cmd_files, "verify what the file sink wrote"},
    {"version", nw_cmd_version, "print versions of narwal and its libraries"},
    {"document", nw_cmd_document, NULL},
};
enum { COMMANDS_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void usage(FILE *out)
{
    (void)fputs("narwal: a live PostgreSQL into files, lakehouses and your own sinks\n\n"
                "usage: narwal COMMAND [ARGUMENTS]\n\n",
                out);
    for (int i = 0; i < COMMANDS_COUNT; i++) {
        if (COMMANDS[i].help != NULL) {
            (void)fprintf(out, "  %-11s %s\n", COMMANDS[i].name, COMMANDS[i].help);
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

    for (int i = 0; i < COMMANDS_COUNT; i++) {
        size_t distance = nw_text_distance(name, COMMANDS[i].name);

        if (distance < best_distance) {
            best_distance = distance;
            best = COMMANDS[i].name;
        }
    }
    if (best != NULL) {
        nw_complain("unknown command \"%s\"; did you mean \"%s\"?", name, best);
    } else {
        nw_complain("unknown command \"%s\"; narwal --help lists them", name);
    }
    return NW_EXIT_USAGE;
}

int main(int argc, char **argv)
{
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
    for (int i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0) {
            return COMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    return unknown(argv[1]);
}
