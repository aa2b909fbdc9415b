/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal files verify DIR`: the file plugin checks what it wrote, without a source. */
#include <string.h>

#include "cli/command.h"
#include "io/env.h"
#include "sink/sink.h"

static const char HELP[] =
    "usage: narwal files verify DIR [--type TYPE]\n\n"
    "Checks what a file sink wrote into DIR: its journal, every file's journalled part, order and\n"
    "duplicates. Changes nothing; narwal may run meanwhile. --type names another plugin that can.\n"
    "exit codes: 0 whole, 1 damaged or not to be read\n";

const char *const NW_FILES_WORDS[] = {"verify", NULL};

static void print_line(void *context, const char *line)
{
    (void)context;
    (void)puts(line);
}

int nw_cmd_files(int argc, char **argv)
{
    const char *rest[2] = {NULL, NULL};
    const char *type = "file";
    char buffer[4096];
    int code = 0;
    struct nw_env *env = NULL;
    struct nw_plugin plugin;
    struct nw_error err = {0};
    const struct nw_argument known[] = {{.name = "type", .value = &type}, {.name = NULL}};
    nw_status status = NW_OK;

    code = nw_arguments_read(argc, argv, known, HELP, rest, 2);
    if (code != NW_GO_ON) {
        return code;
    }
    if (!nw_word_known(NW_FILES_WORDS, rest[0]) || rest[1] == NULL) {
        (void)fputs(HELP, stderr);
        return NW_EXIT_USAGE;
    }
    status = nw_plugin_load(nw_plugin_folder(NULL, buffer, sizeof buffer), type, &plugin, &err);
    if (status == NW_OK) {
        status = nw_env_system_create(NW_IO_AUTO, &env, &err);
    }
    if (status == NW_OK) {
        struct nw_sink_verification verification = {
            .env = env, .plugin = &plugin, .path = rest[1], .report = print_line};

        status = nw_sink_verify(&verification, &err);
    }
    nw_env_system_destroy(env);
    if (status != NW_OK) {
        nw_complain_error(&err);
        return NW_EXIT_FAILED;
    }
    return 0;
}
