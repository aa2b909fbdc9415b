/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal ddl-trigger`: the optional event trigger, put into the database or taken out of it. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "pg/ddl_trigger.h"
#include "pg/session.h"

static const char HELP[] =
    "usage: narwal ddl-trigger install|remove FILE.yaml [--sql]\n"
    "       narwal ddl-trigger install|remove --source DSN [--sql]\n"
    "       narwal ddl-trigger install|remove --sql\n\n"
    "Installs an event trigger that writes the columns of each table into the WAL when a command\n"
    "changed them. With it renamed columns, and columns dropped and added again under the same\n"
    "name, are told apart for certain (docs/schema-changes.md). It needs a superuser, and never\n"
    "makes a command fail.\n\n"
    "  --sql   print the statements instead, for those who may not run them\n\n"
    "exit codes: 0 done, 1 it failed, 2 called wrongly\n";

static void statements_print(const char *const *statements)
{
    for (size_t i = 0; statements[i] != NULL; i++) {
        (void)printf("%s;\n", statements[i]);
    }
}

/* All or nothing. */
static nw_status statements_run(const struct nw_pg_options *options, const char *const *statements,
                                struct nw_error *err)
{
    struct nw_session *session = NULL;
    nw_status status = nw_session_open(options, false, &session, err);

    if (status == NW_OK) {
        status = nw_session_query(session, "BEGIN", NULL, 0, NULL, NULL, err);
    }
    for (size_t i = 0; statements[i] != NULL && status == NW_OK; i++) {
        status = nw_session_query(session, statements[i], NULL, 0, NULL, NULL, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(session, "COMMIT", NULL, 0, NULL, NULL, err);
    }
    nw_session_close(session);
    return status;
}

static int trigger_change(const struct nw_config_arguments *arguments, bool install)
{
    struct nw_run_config config;
    struct nw_server_options server;
    struct nw_error err = {0};
    nw_status status = NW_OK;

    if (!nw_config_open(arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    server = nw_config_server(&config);
    status = statements_run(&server.connection,
                            install ? NW_DDL_TRIGGER_INSTALL : NW_DDL_TRIGGER_REMOVE, &err);
    nw_config_free(&config);
    if (status != NW_OK) {
        nw_complain("%s\nnarwal ddl-trigger %s --sql prints the statements for a superuser",
                    err.text, install ? "install" : "remove");
        return NW_EXIT_FAILED;
    }
    (void)puts(install ? "installed: changes of tables are noted in the WAL from now on"
                       : "removed");
    return 0;
}

const char *const NW_DDL_TRIGGER_WORDS[] = {"install", "remove", NULL};

int nw_cmd_ddl_trigger(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[2] = {NULL, NULL};
    bool as_sql = false;
    bool install = false;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "sql", .flag = &as_sql},
                                        {.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 2);

    if (code != NW_GO_ON) {
        return code;
    }
    if (!nw_word_known(NW_DDL_TRIGGER_WORDS, rest[0])) {
        nw_complain("NW1501 install or remove? narwal ddl-trigger --help says more");
        return NW_EXIT_USAGE;
    }
    install = strcmp(rest[0], "install") == 0;
    if (as_sql) {
        statements_print(install ? NW_DDL_TRIGGER_INSTALL : NW_DDL_TRIGGER_REMOVE);
        return 0;
    }
    arguments.file = rest[1];
    if (arguments.file == NULL && arguments.source == NULL) {
        nw_complain("NW1501 in which database? Name the configuration file, or --source DSN");
        return NW_EXIT_USAGE;
    }
    return trigger_change(&arguments, install);
}
