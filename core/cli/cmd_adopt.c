/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal adopt`: goes on at a server that took the place of another one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "cli/pipeline.h"
#include "pg/lsn.h"
#include "pipeline/adopt.h"

#define LACKS_SAID 10u

static const char HELP[] =
    "usage: narwal adopt FILE.yaml [--token TOKEN] [--dry-run] [--yes]\n"
    "                    [--copy] [--nothing-written] [--upgraded]\n\n"
    "This server goes on in the place of the one that the sinks followed: it was promoted, made "
    "by\n"
    "pg_upgrade, or restored from a backup. Looks at sinks and server, says what it found and what "
    "it\n"
    "would do, and does it: makes the slot where there is none, and gives every sink a position "
    "of\n"
    "this server, so that narwal run goes on from there. What is not proved to be complete is "
    "refused.\n"
    "narwal must not run; the command can be run again.\n\n"
    "  --token TOKEN      the hand-over that narwal run --until now printed on another host; "
    "default:\n"
    "                     that of the state folder\n"
    "  --dry-run          only say what would be done\n"
    "  --yes              do not ask\n"
    "  --copy             tables that may lack changes, or have too many, may be copied anew\n"
    "  --nothing-written  you say that nothing was written to the tables since what sinks and "
    "server\n"
    "                     both have\n"
    "  --upgraded         you say that pg_upgrade made this server of the one that was followed, "
    "and\n"
    "                     brought the slot along if there is one\n\n"
    "exit codes: 0 narwal run goes on here, 1 it was refused or failed, 2 called wrongly\n";

struct session {
    struct nw_pipeline pipeline;
    struct nw_adopt_wishes wishes;
    struct nw_adopt adopt;
    bool dry_run, yes;
};

static void lines_print(const struct nw_adopt *adopt, FILE *out)
{
    static const char *const levels[] = {"ok   ", "WARN ", "FAIL "};

    for (uint32_t i = 0; i < adopt->lines_count; i++) {
        const struct nw_adopt_line *line = &adopt->lines[i];

        (void)fprintf(out, "%s %s\n", levels[line->level], line->text);
        if (line->level != NW_ADOPT_OK) {
            nw_explain_note(line->text);
        }
    }
}

/* What sinks have and the server lacks. @param all  not only the first ten */
static void lacks_print(const struct nw_adopt *adopt, bool all, FILE *out)
{
    const struct nw_recent_list *list = &adopt->recent;
    char text[2048];
    char lsn[NW_LSN_TEXT_SIZE];
    uint32_t said = 0;
    uint32_t at = adopt->named ? nw_recent_extra(list, 0, adopt->named_lsn) : list->commits_count;

    if (!adopt->lacks) {
        return;
    }
    for (; at < list->commits_count && (all || said < LACKS_SAID); said++) {
        (void)fprintf(out, "lacks %s\n", nw_recent_text(list, at, text, sizeof text));
        at = nw_recent_extra(list, at + 1, adopt->named_lsn);
    }
    if (at < list->commits_count) {
        (void)fprintf(out, "lacks %u more (--dry-run lists them)\n", list->commits_count - at);
    }
    if (!adopt->lacks_known) {
        (void)fprintf(out,
                      "lacks %s, of what committed after %s: the state folder has no whole record "
                      "of it\n",
                      said == 0 ? "an unknown number of transactions" : "maybe more",
                      nw_lsn_text(lsn, adopt->lacks_lsn));
    }
}

static void plan_print(const struct nw_adopt *adopt, FILE *out)
{
    static const char *const copies[] = {"", ", with new copies of the tables that differ",
                                         ", with new copies of all tables"};
    char lsn[NW_LSN_TEXT_SIZE];

    if (adopt->makes_slot) {
        (void)fprintf(out, "do    make slot %s\n", adopt->options->server.slot_name);
    }
    for (uint32_t i = 0; i < adopt->options->sinks_count; i++) {
        const struct nw_adopt_sink *sink = &adopt->sinks[i];

        if (sink->lsn != 0 && sink->decision.verdict == NW_ADOPT_MOVES) {
            (void)fprintf(out, "do    sink %s goes on from the slot%s\n",
                          adopt->options->sinks[i].name, copies[sink->decision.copies]);
        } else if (sink->lsn != 0 && sink->decision.verdict == NW_ADOPT_GOES_BACK) {
            (void)fprintf(out, "do    sink %s goes back to %s%s\n", adopt->options->sinks[i].name,
                          nw_lsn_text(lsn, sink->to_lsn), copies[sink->decision.copies]);
        }
    }
}

/* @return the exit code */
static int carry_out(struct session *s)
{
    struct nw_adopt *adopt = &s->adopt;
    struct nw_error err = {0};

    lines_print(adopt, stdout);
    lacks_print(adopt, s->dry_run, stdout);
    if (adopt->refusals > 0) {
        (void)puts("refused; nothing was changed");
        return NW_EXIT_FAILED;
    }
    plan_print(adopt, stdout);
    if (s->dry_run) {
        (void)puts(adopt->moves > 0 ? "nothing was changed (--dry-run)"
                                    : "nothing to adopt: narwal run goes on by itself");
        return 0;
    }
    if (adopt->moves > 0 && !nw_go_on(s->yes)) {
        return NW_EXIT_FAILED;
    }
    if (nw_adopt_finish(adopt, &err) != NW_OK) {
        nw_complain_error(&err);
        (void)puts("not done; run it again");
        return NW_EXIT_FAILED;
    }
    (void)puts(adopt->moves == 0 ? "nothing to adopt: narwal run goes on by itself"
                                 : "done: narwal run goes on here");
    return 0;
}

/* @return the exit code */
static int adopt_run(struct session *s)
{
    struct nw_error err = {0};
    bool folder_there = access(s->pipeline.config.state_dir, F_OK) == 0;
    nw_status status = nw_pipeline_load(&s->pipeline, &err);
    int code = NW_EXIT_FAILED;

    if (status != NW_OK) {
        nw_complain_error(&err);
        nw_env_system_destroy(s->pipeline.options.env);
        return NW_EXIT_USAGE;
    }
    if (nw_adopt_begin(&s->adopt, &s->pipeline.options, &s->wishes, &err) == NW_OK) {
        code = carry_out(s);
    } else {
        lines_print(&s->adopt, stdout);
        nw_complain_error(&err);
    }
    nw_pipeline_ended(nw_adopt_end(&s->adopt, &err), code, &err);
    nw_env_system_destroy(s->pipeline.options.env);
    if (!folder_there) {
        (void)rmdir(s->pipeline.config.state_dir); /* made for the lock, and empty */
    }
    return code;
}

int nw_cmd_adopt(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct session *s = calloc(1, sizeof *s);
    const char *rest[1] = {NULL};
    const char *token = NULL;
    int code = NW_EXIT_FAILED;

    if (s == NULL) {
        nw_complain("NW2901 out of memory");
        return code;
    }
    const struct nw_argument known[] = {
        {.name = "name", .value = &arguments.name},
        {.name = "state-dir", .value = &arguments.state_dir},
        {.name = "token", .value = &token},
        {.name = "dry-run", .flag = &s->dry_run},
        {.name = "yes", .flag = &s->yes},
        {.name = "copy", .flag = &s->wishes.copies},
        {.name = "nothing-written", .flag = &s->wishes.nothing_written},
        {.name = "upgraded", .flag = &s->wishes.upgraded},
        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        free(s);
        return code;
    }
    code = NW_EXIT_USAGE;
    arguments.file = rest[0];
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    if (token != NULL && !nw_handover_parse(token, &s->wishes.handover)) {
        nw_complain("NW1501 --token %s: that is none which narwal run --until now printed", token);
    } else if (nw_config_open(&arguments, &s->pipeline.config)) {
        code = adopt_run(s);
        nw_config_free(&s->pipeline.config);
    }
    free(s);
    return code;
}
