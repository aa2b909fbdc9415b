/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal wait`: until a sink has what was committed. Through the running process's socket. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "pg/lsn.h"

#define LINE_SIZE 240
#define EXIT_LATE 3

static const char HELP[] =
    "usage: narwal wait FILE.yaml | --name NAME | --state-dir DIR   [--lsn LSN|now] [--sink SINK] "
    "[--timeout TIME]\n\n"
    "Returns when everything that committed before an LSN is durable at a sink, or at every sink,\n"
    "and prints the LSN.\n\n"
    "  --lsn LSN       as SELECT pg_current_wal_insert_lsn() says it; now, the default: what the\n"
    "                  server has now\n"
    "  --sink SINK     by its name; default: all of them\n"
    "  --timeout TIME  as 30s; default: as long as it takes\n\n"
    "Nothing is written to the server, so with now an open transaction that wrote last may keep "
    "it\n"
    "for up to 15 s. Tables that are paused, stopped or being copied are not waited for: narwal\n"
    "table list shows them. Until the first copy is whole nothing of the stream is durable.\n"
    "exit codes: 0 it is durable, 1 none runs, or it stopped, 2 called wrongly, 3 not within\n"
    "--timeout\n";

static int answer_print(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, 0, NULL);
    const char *done = json_string_value(json_object_get(root, "done"));
    const char *late = json_string_value(json_object_get(root, "late"));
    const char *error = json_string_value(json_object_get(root, "error"));
    int code = NW_EXIT_FAILED;

    if (done != NULL) {
        (void)printf("%s\n", done);
        code = 0;
    } else if (late != NULL) {
        nw_complain("NW1509 %s is not durable yet", late);
        code = EXIT_LATE;
    } else {
        nw_complain("%s", error != NULL ? error : "NW1503 the running narwal ended");
    }
    json_decref(root);
    return code;
}

static int wait_for(const char *folder, const char *lsn, const char *sink, int64_t timeout_us)
{
    char line[LINE_SIZE];
    char *text = NULL;
    size_t size = 0;
    int code = NW_EXIT_FAILED;
    long long seconds = (long long)(timeout_us + 999999) / 1000000;

    if (snprintf(line, sizeof line, "wait %s %lld %s", lsn, seconds, sink) >= (int)sizeof line) {
        nw_complain("NW1501 the sink's name is too long");
        return NW_EXIT_USAGE;
    }
    if (nw_ask(folder, line, &text, &size)) {
        code = answer_print(text, size);
    }
    free(text);
    return code;
}

int nw_cmd_wait(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    char folder[NW_FOLDER_SIZE];
    const char *rest[1] = {NULL};
    const char *lsn = "now";
    const char *sink = "*";
    const char *timeout = NULL;
    int64_t timeout_us = 0;
    uint64_t ignored = 0;
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "lsn", .value = &lsn},
                                        {.name = "sink", .value = &sink},
                                        {.name = "timeout", .value = &timeout},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 1);

    if (code != NW_GO_ON) {
        return code;
    }
    if (strcmp(lsn, "now") != 0 && !nw_lsn_parse(lsn, &ignored)) {
        nw_complain("NW1501 --lsn %s: an LSN as 3A/8F0012C8, or now", lsn);
        return NW_EXIT_USAGE;
    }
    if (timeout != NULL && (!nw_duration_parse(timeout, &timeout_us) || timeout_us <= 0 ||
                            timeout_us > 86400 * 1000000LL * 30)) {
        nw_complain("NW1501 --timeout %s: a time as 500ms, 30s or 5min, at most 30 days", timeout);
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[0];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON ? wait_for(folder, lsn, sink, timeout_us) : code;
}
