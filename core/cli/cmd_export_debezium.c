/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal export-debezium`: gives a pipeline back to Debezium's connector.
 *
 * The offset has `lsn` alone, as that of a connector which has finished its snapshot and has sent
 * nothing since: it then asks the server for what committed from there on and looks for nothing in
 * it, in every version of Debezium (PostgresStreamingChangeEventSource.execute). Where nothing
 * became durable since narwal took over, it is the offset that narwal was given, word for word.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "cli/connect.h"
#include "cli/pipeline.h"
#include "pg/lsn.h"
#include "pipeline/adopt.h"

static const char HELP[] =
    "usage: narwal export-debezium FILE.yaml [URL] [--dry-run] [--yes]\n\n"
    "Gives a pipeline back to Debezium: makes the offset with which the connector goes on where "
    "narwal\n"
    "stopped, at the same slot, and writes it to Connect (3.6 and later), or prints it. URL is\n"
    "http://HOST:8083/connectors/NAME, whose connector has to be stopped; without it the offset is "
    "on\n"
    "standard output, as PATCH /connectors/NAME/offsets takes it. narwal must not run, and does "
    "not start\n"
    "again with this pipeline before narwal take-over.\n\n"
    "  --dry-run  only say what would be done\n"
    "  --yes      do not ask\n\n"
    "exit codes: 0 the connector can start, 1 it was refused or failed, 2 called wrongly\n";

struct session {
    struct nw_pipeline pipeline;
    struct nw_connector connector;
    struct nw_adopt adopt;
    struct nw_taken taken;
    const struct nw_adopt_sink *sink;
    const char *prefix;
    json_t *body;
    bool dry_run, yes;
};

static nw_status sink_find(struct session *s, struct nw_error *err)
{
    const struct nw_run_config *config = &s->pipeline.config;
    uint32_t at = UINT32_MAX;

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (strcmp(config->sinks[i].type, "kafka") == 0) {
            if (at != UINT32_MAX) {
                return nw_fail(err, NW_FATAL, "NW1557 there are several sinks of type kafka");
            }
            at = i;
        }
    }
    if (at == UINT32_MAX) {
        return nw_fail(err, NW_FATAL, "NW1557 there is no sink of type kafka");
    }
    s->sink = &s->adopt.sinks[at];
    for (uint32_t i = 0; i < s->pipeline.plugins[at].ops.options_count; i++) {
        if (strcmp(s->pipeline.plugins[at].ops.options[i].name, "prefix") == 0) {
            s->prefix = s->pipeline.resolved[at].settings[i].text;
        }
    }
    return s->prefix != NULL ? NW_OK : nw_fail(err, NW_FATAL, "NW1557 the sink has no prefix");
}

/* Whether Debezium, going on from the sink's position, misses nothing. */
static nw_status position_check(const struct session *s, struct nw_error *err)
{
    const struct nw_adopt *adopt = &s->adopt;
    char lsn[NW_LSN_TEXT_SIZE];
    char slot[NW_LSN_TEXT_SIZE];

    if (adopt->refusals > 0 || adopt->moves > 0) {
        return nw_fail(err, NW_FATAL, "NW1558 %s",
                       adopt->refusals > 0 ? "sinks and server do not fit together, as said above"
                                           : "the server is another one: narwal adopt comes first");
    }
    if (s->sink->lsn == 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1558 the sink has no position: its first copy is not whole, or it never "
                       "ran. The connector's own snapshot is the way back");
    }
    if (s->sink->behind.count > 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1558 %u tables lack changes that the position is past (narwal table "
                       "list): narwal table repair brings them in, narwal run --until now writes "
                       "them; then this can be run again",
                       s->sink->behind.count);
    }
    if (!adopt->slot_found || adopt->slot_lsn > s->sink->lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW1558 slot %s %s%s, and the topics have everything up to %s only: narwal "
            "run --until now writes what narwal keeps itself; then this can be run again",
            adopt->options->server.slot_name, adopt->slot_found ? "stands at " : "is not there",
            adopt->slot_found ? nw_lsn_text(slot, adopt->slot_lsn) : "",
            nw_lsn_text(lsn, s->sink->lsn));
    }
    return NW_OK;
}

/* Workers that stopped at different places: what some have comes twice. */
static void uneven_say(struct session *s)
{
    const struct nw_sink_recovered *recovered = &s->sink->recovered;

    for (uint32_t p = 1; p < recovered->positions_count; p++) {
        if (recovered->positions[p].size > 0 &&
            recovered->positions[p].lsn != recovered->positions[0].lsn) {
            nw_adopt_say(&s->adopt, NW_ADOPT_OK,
                         "the sink's workers stopped at different places, as after a crash: "
                         "the connector sends again what some of them have. narwal run --until now "
                         "before brings them together");
            return;
        }
    }
}

static nw_status body_make(struct session *s, struct nw_error *err)
{
    struct nw_env *env = s->pipeline.options.env;
    bool untouched = s->taken.state == NW_TAKEN_DONE && s->taken.lsn == s->sink->lsn &&
                     s->taken.system_identifier == s->adopt.server.identity.system_identifier;
    json_t *offset =
        untouched && s->taken.offset != NULL ? json_loads(s->taken.offset, 0, NULL) : NULL;

    if (offset == NULL) {
        offset = json_pack("{s:I, s:I}", "lsn", (json_int_t)s->sink->lsn, "ts_usec",
                           (json_int_t)env->ops->wall_us(env));
    }
    s->body = json_pack("{s:[{s:{s:s}, s:o}]}", "offsets", "partition", "server", s->prefix,
                        "offset", offset);
    return s->body != NULL ? NW_OK : nw_fail(err, NW_FATAL, "out of memory for an offset");
}

static nw_status connector_check(struct session *s, struct nw_error *err)
{
    const struct nw_run_config *config = &s->pipeline.config;
    nw_status status = nw_connector_look(&s->connector, err);
    const char *slot = NULL;
    const char *prefix = NULL;

    if (status != NW_OK || s->connector.url == NULL) {
        return status;
    }
    if (strcmp(s->connector.state, "STOPPED") != 0) {
        return nw_fail(err, NW_FATAL, "NW1555 the connector is %s: curl -X PUT %s/stop",
                       s->connector.state, s->connector.url);
    }
    slot = nw_connector_property(&s->connector, "slot.name", "debezium");
    prefix = nw_connector_property(&s->connector, "topic.prefix", "");
    if (strcmp(slot, config->slot_name) != 0 || strcmp(prefix, s->prefix) != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1557 the connector has slot.name %s and topic.prefix %s, and narwal's "
                       "are %s and %s",
                       slot, prefix, config->slot_name, s->prefix);
    }
    return NW_OK;
}

static nw_status offset_write(struct session *s, struct nw_error *err)
{
    char *text = json_dumps(s->body, JSON_COMPACT);
    char url[2048];
    json_t *answer = NULL;
    nw_status status = NW_OK;

    s->taken.state = NW_TAKEN_GIVEN_BACK; /* first: two of them must never go on */
    s->taken.lsn = s->sink->lsn;
    s->taken.seq = 0;
    status = text == NULL ? nw_fail(err, NW_FATAL, "out of memory for an offset")
                          : nw_taken_write(s->adopt.state, &s->taken, err);
    if (status == NW_OK && s->connector.url == NULL) {
        (void)puts(text);
    } else if (status == NW_OK) {
        (void)snprintf(url, sizeof url, "%s/offsets", s->connector.url);
        status = nw_connect_ask("PATCH", url, text, &answer, err);
        json_decref(answer);
    }
    free(text);
    return status;
}

/* What was found goes to standard error: the offset is the output. */
static void lines_print(const struct nw_adopt *adopt)
{
    static const char *const levels[] = {"ok   ", "WARN ", "FAIL "};

    for (uint32_t i = 0; i < adopt->lines_count; i++) {
        (void)fprintf(stderr, "%s %s\n", levels[adopt->lines[i].level], adopt->lines[i].text);
        if (adopt->lines[i].level != NW_ADOPT_OK) {
            nw_explain_note(adopt->lines[i].text);
        }
    }
}

/* @return the exit code */
static int carry_out(struct session *s, struct nw_error *err)
{
    char lsn[NW_LSN_TEXT_SIZE];

    (void)fprintf(stderr, "do    Debezium goes on at %s with slot %s%s%s\n",
                  nw_lsn_text(lsn, s->sink->lsn), s->pipeline.config.slot_name,
                  s->connector.url == NULL ? "" : "; the offset of ",
                  s->connector.url == NULL ? "" : s->connector.url);
    if (s->dry_run) {
        (void)fputs("nothing was changed (--dry-run)\n", stderr);
        return 0;
    }
    if (!nw_go_on(s->yes || s->connector.url == NULL)) {
        return NW_EXIT_FAILED;
    }
    if (offset_write(s, err) != NW_OK) {
        nw_complain_error(err);
        return NW_EXIT_FAILED;
    }
    if (s->connector.url != NULL) {
        (void)printf("done: curl -X PUT %s/resume starts the connector\n", s->connector.url);
    }
    return 0;
}

/* @return the exit code */
static int looked(struct session *s, struct nw_error *err)
{
    const struct nw_adopt_wishes wishes = {0};
    nw_status status = nw_adopt_begin(&s->adopt, &s->pipeline.options, &wishes, err);

    if (status == NW_OK) {
        status = nw_taken_read(s->adopt.state, &s->taken, err);
    }
    if (status == NW_OK) {
        uneven_say(s);
    }
    lines_print(&s->adopt);
    if (status == NW_OK) {
        status = position_check(s, err);
    }
    if (status == NW_OK) {
        status = body_make(s, err);
    }
    if (status == NW_OK) {
        return carry_out(s, err);
    }
    nw_complain_error(err);
    return NW_EXIT_FAILED;
}

/* @return the exit code */
static int session_run(struct session *s)
{
    struct nw_error err = {0};
    int code = NW_EXIT_USAGE;
    nw_status status = nw_pipeline_load(&s->pipeline, &err);

    if (status == NW_OK) {
        status = sink_find(s, &err);
    }
    if (status == NW_OK) {
        status = connector_check(s, &err);
        code = NW_EXIT_FAILED;
    }
    if (status == NW_OK) {
        code = looked(s, &err);
        nw_taken_offset_free(&s->taken);
        if (nw_adopt_end(&s->adopt, &err) != NW_OK) {
            nw_complain_error(&err);
            (void)fflush(stdout);
            _exit(code); /* no destructor may take away what the plugin still uses */
        }
    } else {
        nw_complain_error(&err);
    }
    nw_env_system_destroy(s->pipeline.options.env);
    nw_connector_fini(&s->connector);
    json_decref(s->body);
    return code;
}

int nw_cmd_export_debezium(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct session *s = calloc(1, sizeof *s);
    const char *rest[2] = {NULL, NULL};
    int code = NW_EXIT_FAILED;

    if (s == NULL) {
        nw_complain("NW2901 out of memory");
        return code;
    }
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "dry-run", .flag = &s->dry_run},
                                        {.name = "yes", .flag = &s->yes},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 2);
    if (code != NW_GO_ON) {
        free(s);
        return code;
    }
    code = NW_EXIT_USAGE;
    arguments.file = rest[0];
    s->connector.url = rest[1];
    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    if (rest[1] != NULL && !nw_connect_is_url(rest[1])) {
        nw_complain("NW1501 %s: that is no URL of a connector", rest[1]);
    } else if (nw_config_open(&arguments, &s->pipeline.config)) {
        code = session_run(s);
        nw_config_free(&s->pipeline.config);
    }
    free(s);
    return code;
}
