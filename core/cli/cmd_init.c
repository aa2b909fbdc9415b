/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal init`: a commented configuration from what is found in a database. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/host.h"
#include "cli/init_print.h"
#include "pg/conninfo.h"

#define FOUND_BYTES_MAX (256u << 20)

static const char HELP[] =
    "usage: narwal init DSN [-o FILE] [--name NAME]\n\n"
    "Looks at a database and writes a configuration for it, with comments on what was found:\n"
    "tables, their sizes, those without a key, the connection. Nothing is changed in the "
    "database,\n"
    "no file is overwritten, and no password is written.\n\n"
    "  --output FILE  where to; also -o; - is standard output; default: NAME.yaml\n"
    "  --name NAME    names slot, publications and state folder; default: the database\n\n"
    "exit codes: 0 written, 1 it failed, 2 called wrongly\n";

struct init {
    struct nw_run_config config;
    struct nw_preflight preflight;
    struct nw_catalog_candidates candidates;
    struct nw_conninfo conninfo;
    struct nw_arena arena;
    struct nw_init_facts facts;
    char copy_folder[PATH_MAX];
};

static nw_status server_look(struct init *init, const struct nw_server_options *server,
                             struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_open(&server->connection, false, &session, err);

    if (status == NW_OK) {
        status = nw_session_query(session, "SET lock_timeout = '1s'", NULL, 0, NULL, NULL, err);
    }
    if (status == NW_OK) {
        status = nw_catalog_candidates(session, &init->arena, &init->candidates, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(
            session,
            "SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'", NULL,
            0, NULL, &rows, err);
    }
    if (status == NW_OK) {
        const char *keep = nw_rows_count(rows) == 1 ? nw_rows_text(rows, 0, 0) : NULL;
        int64_t megabytes = keep == NULL ? -1 : strtoll(keep, NULL, 10);

        init->facts.wal_keep_bytes = megabytes < 0 ? -1 : megabytes << 20;
    }
    nw_rows_free(rows);
    nw_session_close(session);
    return status;
}

static nw_status look(struct init *init, struct nw_error *err)
{
    const struct nw_run_config *c = &init->config;
    struct nw_preflight_options options = {.copies = true,
                                           .streams = true,
                                           .copy_workers = (uint32_t)c->copy_workers,
                                           .server = nw_config_server(c)};
    nw_status status = nw_preflight_run(&options, &init->arena, &init->preflight, err);

    if (status == NW_OK && init->preflight.version[0] == '\0') {
        status = nw_fail(err, NW_FATAL, "%s", init->preflight.findings[0].text);
    }
    if (status == NW_OK) {
        status = server_look(init, &options.server, err);
    }
    return status == NW_OK
               ? nw_conninfo_init(&init->conninfo, &options.server.connection, false, err)
               : status;
}

static const char *known(const struct init *init, const char *keyword, const char *otherwise)
{
    const char *value = nw_conninfo_get(&init->conninfo, keyword);

    return value == NULL || value[0] == '\0' ? otherwise : value;
}

static void facts_fill(struct init *init, const char *file)
{
    const struct nw_run_config *c = &init->config;
    struct nw_init_facts *facts = &init->facts;
    char here[PATH_MAX - 80];

    (void)snprintf(init->copy_folder, sizeof init->copy_folder, "%s/%s-copy",
                   getcwd(here, sizeof here) == NULL ? "." : here, c->name);
    facts->file = file;
    facts->name = c->name;
    facts->dsn = c->dsn_plain != NULL ? c->dsn_plain : "";
    facts->had_password = c->dsn_plain != c->dsn;
    facts->user = known(init, "user", "*");
    facts->database = known(init, "dbname", facts->user);
    facts->host = known(init, "host", "localhost");
    facts->port = known(init, "port", "5432");
    facts->state_dir = c->state_dir;
    facts->copy_folder = init->copy_folder;
    facts->preflight = &init->preflight;
    facts->candidates = &init->candidates;
    facts->free_bytes = nw_host_free_bytes(c->state_dir);
    facts->cores_count = nw_host_cores(c);
}

/* A new file, whole or not at all. */
static nw_status file_write(const struct init *init, const char *path, struct nw_error *err)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    bool whole = false;

    if (out == NULL) {
        return errno == EEXIST
                   ? nw_fail(err, NW_FATAL,
                             "NW1521 %s is there already, and stays as it is: name another "
                             "file with -o",
                             path)
                   : nw_fail(err, NW_FATAL, "NW1507 cannot write %s: %s", path,
                             nw_errno_text(errno));
    }
    nw_init_print(&init->facts, out);
    whole = ferror(out) == 0;
    whole = fclose(out) == 0 && whole;
    if (!whole) {
        (void)unlink(path);
        return nw_fail(err, NW_FATAL, "NW1507 cannot write %s", path);
    }
    return NW_OK;
}

static void next_print(const struct init *init, const char *path)
{
    size_t fails = nw_preflight_count(&init->preflight, NW_FINDING_FAIL);
    char size[NW_NUMBER_TEXT_SIZE];

    (void)printf("%s is written: %zu table%s, %s, at %s. Next:\n", path,
                 init->preflight.tables_count, init->preflight.tables_count == 1 ? "" : "s",
                 nw_size_text(size, (double)init->preflight.bytes), init->preflight.host);
    if (init->facts.had_password) {
        (void)puts("  give it the password, which is not in there: the file says how");
    }
    (void)fputs("  narwal check ", stdout);
    nw_shell_print(stdout, path);
    if (fails > 0) {
        (void)printf("   # %zu thing%s to be mended first, with the SQL", fails,
                     fails == 1 ? " has" : "s have");
    }
    (void)fputs("\n  narwal run ", stdout);
    nw_shell_print(stdout, path);
    (void)fputc('\n', stdout);
}

static int make(struct init *init, const char *output)
{
    struct nw_error err = {0};
    char path[PATH_MAX];
    nw_status status = NW_OK;

    (void)snprintf(path, sizeof path, "%s.yaml", init->config.name);
    if (output != NULL && strcmp(output, "-") != 0) {
        (void)snprintf(path, sizeof path, "%s", output);
    }
    nw_arena_init(&init->arena, FOUND_BYTES_MAX);
    status = look(init, &err);
    if (status == NW_OK) {
        facts_fill(init, path);
    }
    if (status == NW_OK && output != NULL && strcmp(output, "-") == 0) {
        nw_init_print(&init->facts, stdout);
    } else if (status == NW_OK) {
        status = file_write(init, path, &err);
        if (status == NW_OK) {
            next_print(init, path);
        }
    }
    if (status != NW_OK) {
        nw_complain_error(&err);
    }
    nw_conninfo_fini(&init->conninfo);
    nw_arena_fini(&init->arena);
    return status == NW_OK ? 0 : NW_EXIT_FAILED;
}

int nw_cmd_init(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[1] = {NULL};
    const char *output = NULL;
    struct init *init = NULL;
    int code = 0;
    const struct nw_argument known_arguments[] = {
        {.name = "output", .value = &output, .letter = 'o'},
        {.name = "name", .value = &arguments.name},
        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known_arguments, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] == NULL) {
        nw_complain("NW1501 of which database? narwal init postgresql://you@host/db");
        return NW_EXIT_USAGE;
    }
    init = calloc(1, sizeof *init);
    if (init == NULL) {
        nw_complain("NW2901 out of memory");
        return NW_EXIT_FAILED;
    }
    arguments.source = rest[0];
    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    if (!nw_config_open(&arguments, &init->config)) {
        free(init);
        return NW_EXIT_USAGE;
    }
    code = make(init, output);
    nw_config_free(&init->config);
    free(init);
    return code;
}
