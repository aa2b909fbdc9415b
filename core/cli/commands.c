/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: what `narwal` runs, lists, and documents. Constant. */
#include "cli/command.h"

const struct nw_command NW_COMMANDS[] = {
    {"init", nw_cmd_init, "write a configuration from what is found in a database", NULL},
    {"run", nw_cmd_run, "copy a database into its sinks, then follow every change", NULL},
    {"check", nw_cmd_check, "name every problem before anything is touched", NULL},
    {"plan", nw_cmd_plan, "say how long the copy takes, how much room it needs, and the risks",
     NULL},
    {"status", nw_cmd_status, "ask a running narwal how it is", NULL},
    {"pause", nw_cmd_pause, "let the pipeline rest: nothing is received", NULL},
    {"resume", nw_cmd_resume, "let it go on", NULL},
    {"reload", nw_cmd_reload, "read the configuration again, show and apply what is different",
     NULL},
    {"top", nw_cmd_top, "show a running narwal in a terminal, as it moves", NULL},
    {"wait", nw_cmd_wait, "return when everything up to an LSN is durable", NULL},
    {"table", nw_cmd_table, "list tables; copy, add, drop, pause or resume one, while narwal runs",
     NW_TABLE_WORDS},
    {"copy", nw_cmd_copy, "pause the copy that is under way, or let it go on", NW_COPY_WORDS},
    {"adopt", nw_cmd_adopt, "go on at a server that was promoted, upgraded or restored", NULL},
    {"teardown", nw_cmd_teardown, "remove what a pipeline left on the server, and its state", NULL},
    {"tail", nw_cmd_tail, "print changes as they happen, and leave nothing behind", NULL},
    {"topology", nw_cmd_topology, "show cores, the plan of threads, and why", NULL},
    {"sink-check", nw_cmd_sink_check, "try a sink plugin: order, retry, restart, misuse", NULL},
    {"ddl-trigger", nw_cmd_ddl_trigger, "note changes of tables in the WAL, or no longer",
     NW_DDL_TRIGGER_WORDS},
    {"files", nw_cmd_files, "verify what the file sink wrote", NW_FILES_WORDS},
    {"support", nw_cmd_support, "make one archive for a bug report, without secrets or rows", NULL},
    {"explain", nw_cmd_explain, "say what a code such as NW2307 means, and what to do", NULL},
    {"version", nw_cmd_version, "print versions of narwal and its libraries", NULL},
    {"document", nw_cmd_document, NULL, NW_DOCUMENT_WORDS},
    {NULL, NULL, NULL, NULL},
};
