/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal teardown`: removes what a pipeline left on the server and in its state folder. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "pg/catalog.h"
#include "pipeline/letters.h"
#include "pipeline/state_remove.h"
#include "pipeline/teardown.h"

#define LEFTOVER_BYTES_MAX (1u << 20)

static const char HELP[] =
    "usage: narwal teardown FILE.yaml [--dry-run] [--yes] [--all]\n"
    "       narwal teardown --source DSN [--name NAME] [--dry-run] [--yes] [--all]\n\n"
    "Removes what a pipeline made on the server (slot, publications, DDL trigger) and its state\n"
    "folder with spool and backlogs, after saying so. What the sinks have is never touched. It can "
    "be\n"
    "run again, also when the server or the state folder is gone.\n\n"
    "  --dry-run  only say what would be removed\n"
    "  --yes      do not ask\n"
    "  --all      also what the configuration says a DBA made, and publications of other owners\n"
    "  --name, --state-dir   as for narwal run\n\n"
    "exit codes: 0 all is gone, 1 something could not be removed, 2 called wrongly\n";

struct teardown {
    const struct nw_run_config *config;
    struct nw_session *session; /* NULL: the server cannot be reached */
    struct nw_state_source source;
    struct nw_state_folders folders;
    struct nw_state_size size;
    struct nw_letters_tally letters;
    struct nw_arena arena;
    struct nw_leftovers leftovers;
    struct nw_error unreachable;
    int lock; /* of the state folder; -1: there is none */
    bool all, dry_run, yes;
    uint32_t failures;
};

/* ---- looking ---- */

/* The server that the state knows is this one, as far as both can be told. */
static nw_status identity_check(struct teardown *t, struct nw_error *err)
{
    struct nw_catalog_identity identity = {0};
    struct nw_error ignored = {0};

    if (!t->source.known ||
        nw_catalog_identity(t->session, &identity, &ignored) != NW_OK) { /* some clouds forbid it */
        return NW_OK;
    }
    if (strtoull(identity.system_id, NULL, 10) == t->source.identity.system_identifier &&
        identity.database_oid == t->source.identity.database_oid) {
        return NW_OK;
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2004 the state in %s is of another server or database than %s on %s: slot and "
        "publications there may be somebody else's. Nothing was removed. Name the right "
        "server, or with --state-dir a folder that is not there to leave the state out",
        t->config->state_dir, identity.database, nw_session_host(t->session));
}

static nw_status server_look(struct teardown *t, struct nw_error *err)
{
    struct nw_server_options options = nw_config_server(t->config);
    nw_status status = nw_session_open(&options.connection, false, &t->session, &t->unreachable);

    if (status != NW_OK) {
        t->session = NULL;
        return NW_OK;
    }
    status = nw_session_query(t->session, "SET lock_timeout = '10s'", NULL, 0, NULL, NULL, err);
    status = status == NW_OK ? identity_check(t, err) : status;
    return status == NW_OK
               ? nw_teardown_look(t->session, &options, t->all, &t->arena, &t->leftovers, err)
               : status;
}

/* What cannot be read goes all the same. */
static void letters_count(struct teardown *t)
{
    struct nw_letters_file *file = NULL;
    struct nw_error ignored = {0};

    if (nw_letters_look(t->config->state_dir, &file, &ignored) == NW_OK && file != NULL &&
        nw_letters_tally(file, &t->letters, &ignored) != NW_OK) {
        t->letters.letters = 0;
    }
    nw_letters_close(file);
}

static nw_status look(struct teardown *t, struct nw_error *err)
{
    nw_status status = nw_state_hold(t->config->state_dir, &t->lock, &t->source, err);

    if (status == NW_OK) {
        nw_state_measure(&t->folders, &t->size);
        letters_count(t);
        status = server_look(t, err);
    }
    return status;
}

/* ---- saying ---- */

static bool folder_there(const struct teardown *t)
{
    return t->size.files > 0 || access(t->config->state_dir, F_OK) == 0;
}

static void folder_print(const struct teardown *t, FILE *out)
{
    char size[NW_NUMBER_TEXT_SIZE];

    if (!folder_there(t)) {
        return;
    }
    (void)fprintf(out, "remove  state folder %s", t->config->state_dir);
    if (t->size.spool_bytes > 0) {
        (void)fprintf(out, ", with a spool of %s that sinks may not have yet",
                      nw_size_text(size, (double)t->size.spool_bytes));
    }
    if (t->size.backlog_bytes > 0) {
        (void)fprintf(out, ", with %s of kept changes of paused or stopped tables",
                      nw_size_text(size, (double)t->size.backlog_bytes));
    }
    if (t->letters.letters > 0) {
        (void)fprintf(out, ", with %llu dead letters, rows that no sink has",
                      (unsigned long long)t->letters.letters);
    }
    (void)fputc('\n', out);
}

/* @return how many things there are to remove */
static size_t plan_print(const struct teardown *t, FILE *out)
{
    size_t count = folder_there(t);

    for (size_t i = 0; i < t->leftovers.count; i++) {
        const struct nw_leftover *item = &t->leftovers.items[i];

        count += item->stays == NULL;
        if (item->stays == NULL) {
            (void)fprintf(out, "remove  %s%s\n", item->text, item->note);
        }
    }
    folder_print(t, out);
    for (size_t i = 0; i < t->leftovers.count; i++) {
        const struct nw_leftover *item = &t->leftovers.items[i];

        if (item->stays != NULL) {
            (void)fprintf(out, "stays   %s%s: %s\n", item->text, item->note, item->stays);
        }
    }
    if (t->session == NULL) {
        (void)fprintf(out,
                      "stays   slot %s and publication %s, if they are there: the server cannot be "
                      "reached (%s). Run this again when it can\n",
                      t->config->slot_name, t->config->publication_name, t->unreachable.text);
    }
    return count;
}

/* What it does not touch, at the end. */
static void sinks_print(const struct teardown *t, FILE *out)
{
    for (uint32_t i = 0; i < t->config->sinks_count; i++) {
        const struct nw_sink_config *sink = &t->config->sinks[i];
        const struct nw_node *path = nw_tree_member(sink->options, "path");
        const char *where = sink->spec != NULL                             ? sink->spec
                            : path != NULL && path->kind == NW_NODE_SCALAR ? path->text
                                                                           : "";

        if (strcmp(sink->type, "null") != 0) {
            (void)fprintf(out, "stays   what sink %s has%s%s\n", sink->name,
                          where[0] == '\0' ? "" : ": ", where);
        }
    }
}

/* What this role could not do. */
static void sql_print(const struct teardown *t, FILE *out)
{
    bool any = false;

    for (size_t i = 0; i < t->leftovers.count; i++) {
        const struct nw_leftover *item = &t->leftovers.items[i];

        if (item->amiss) {
            (void)fprintf(out, "%s%s;\n", any ? "" : "\nFor your DBA, in this database:\n",
                          item->sql);
            any = true;
        }
    }
}

/* ---- doing ---- */

static void server_remove(struct teardown *t)
{
    for (size_t i = 0; i < t->leftovers.count; i++) {
        struct nw_leftover *item = &t->leftovers.items[i];
        struct nw_error err = {0};

        if (item->stays != NULL) {
            continue;
        }
        if (nw_teardown_remove(t->session, item, &err) == NW_OK) {
            (void)printf("removed %s\n", item->text);
        } else {
            nw_complain("NW1520 %s stays: %s", item->text, nw_code_rest(err.text));
            item->amiss = true;
            t->failures++;
        }
    }
}

static void folder_remove(struct teardown *t)
{
    struct nw_error err = {0};

    if (!folder_there(t)) {
        return;
    }
    if (nw_state_remove(&t->folders, &err) == NW_OK) {
        (void)printf("removed state folder %s\n", t->config->state_dir);
    } else {
        nw_complain_error(&err);
        t->failures++;
    }
}

static int teardown(struct teardown *t)
{
    struct nw_error err = {0};
    size_t count = 0;

    if (look(t, &err) != NW_OK) {
        nw_complain_error(&err);
        return NW_EXIT_FAILED;
    }
    (void)printf("%s", t->config->name);
    if (t->session != NULL) {
        (void)printf(" @ %s\n", nw_session_host(t->session));
    } else {
        (void)puts("");
        t->failures++;
    }
    for (size_t i = 0; i < t->leftovers.count; i++) {
        t->failures += t->leftovers.items[i].amiss;
    }
    count = plan_print(t, stdout);
    if (count == 0) {
        (void)puts(t->session == NULL ? "no state folder is left" : "nothing left to remove");
    } else if (t->dry_run) {
        (void)puts("nothing was removed (--dry-run)");
    } else if (!nw_agree(t->yes)) {
        return NW_EXIT_FAILED;
    } else {
        server_remove(t);
        folder_remove(t);
    }
    sinks_print(t, stdout);
    sql_print(t, stdout);
    return t->failures == 0 ? 0 : NW_EXIT_FAILED;
}

int nw_cmd_teardown(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config;
    struct teardown *t = NULL;
    const char *rest[1] = {NULL};
    bool all = false;
    bool dry_run = false;
    bool yes = false;
    int code = 0;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "dry-run", .flag = &dry_run},
                                        {.name = "yes", .flag = &yes},
                                        {.name = "all", .flag = &all},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    arguments.file = rest[0];
    if (!nw_config_open(&arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        nw_complain("NW2901 out of memory");
        nw_config_free(&config);
        return NW_EXIT_FAILED;
    }
    t->config = &config;
    t->all = all;
    t->dry_run = dry_run;
    t->yes = yes;
    t->lock = -1;
    t->folders = (struct nw_state_folders){config.state_dir, config.spool_dir, config.spill_dir};
    nw_arena_init(&t->arena, LEFTOVER_BYTES_MAX);
    code = teardown(t);
    nw_session_close(t->session);
    if (t->lock >= 0) {
        (void)close(t->lock);
    }
    nw_arena_fini(&t->arena);
    free(t);
    nw_config_free(&config);
    return code;
}
