/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal take-over`: goes on where Debezium's connector stopped. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/code.h"
#include "cli/debezium/call.h"
#include "pg/lsn.h"
#include "pipeline/takeover.h"

#define SLOT_SECONDS 60

static const char HELP[] =
    "usage: narwal take-over FILE.yaml URL|OFFSETS.json [--stop] [--dry-run] [--yes]\n"
    "                        [--trust-slot]\n"
    "       narwal take-over FILE.yaml CONNECTOR --offsets-topic TOPIC [...]\n\n"
    "Goes on where Debezium's PostgreSQL connector stopped: at its slot, behind its stored offset, "
    "in\n"
    "its topics, without a copy. FILE.yaml is what narwal import-debezium made of the connector. "
    "URL is\n"
    "of Connect (3.6 and later): http://HOST:8083/connectors/NAME. OFFSETS.json has what\n"
    "GET /connectors/NAME/offsets answers; - is standard input. Looks first, says what it found "
    "and\n"
    "what it would do, and does it; narwal run comes next. What is not sure to be complete is "
    "refused.\n"
    "The connector has to be stopped, and narwal must not run. It can be run again.\n\n"
    "  --stop                 stop the connector first\n"
    "  --offsets-topic TOPIC  read the offset of the connector with this name from Connect's "
    "topic\n"
    "                         (offset.storage.topic), where Connect is gone or older\n"
    "  --dry-run              only say what would be done\n"
    "  --yes                  do not ask\n"
    "  --trust-slot           the slot is past the offset: you say that nothing of interest is\n"
    "                         between\n\n"
    "exit codes: 0 narwal run goes on here, 1 it was refused or failed, 2 called wrongly\n";

struct session {
    struct nw_connector_call call; /* the first */
    struct nw_setting *settings;   /* the sink's, with one of our own */
    const char *topic;             /* of offsets; NULL: they are elsewhere */
    const char *prefix;
    json_t *offsets;
    char *text; /* of the offset */
    struct nw_takeover takeover;
    bool stop;
    bool stopped; /* the connector, by us */
};

/* ---- the configuration ---- */

static const char *setting_text(const struct session *s, const char *name)
{
    const struct nw_plugin *plugin = &s->call.pipeline.plugins[0];

    for (uint32_t i = 0; i < plugin->ops.options_count; i++) {
        if (strcmp(plugin->ops.options[i].name, name) == 0) {
            return s->call.pipeline.resolved[0].settings[i].text;
        }
    }
    return NULL;
}

/* The topics have Debezium's messages: that they do is why this command is there. */
static nw_status existing_allow(struct session *s, struct nw_error *err)
{
    const struct nw_plugin *plugin = &s->call.pipeline.plugins[0];
    struct nw_config *config = &s->call.pipeline.resolved[0];

    s->settings = calloc(config->settings_count + 1u, sizeof *s->settings);
    if (s->settings == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for settings");
    }
    memcpy(s->settings, config->settings, config->settings_count * sizeof *s->settings);
    for (uint32_t i = 0; i < plugin->ops.options_count; i++) {
        const struct nw_option *option = &plugin->ops.options[i];

        for (int64_t c = 0;
             strcmp(option->name, "existing_topics") == 0 && option->choices[c] != NULL; c++) {
            if (strcmp(option->choices[c], "use") == 0) {
                s->settings[i].number = c;
                s->settings[i].text = option->choices[c];
            }
        }
    }
    config->settings = s->settings;
    return NW_OK;
}

static nw_status pipeline_check(struct session *s, struct nw_error *err)
{
    nw_status status = nw_pipeline_load(&s->call.pipeline, err);

    if (status == NW_OK && (s->call.pipeline.config.sinks_count != 1 ||
                            strcmp(s->call.pipeline.config.sinks[0].type, "kafka") != 0)) {
        return nw_fail(err, NW_FATAL,
                       "NW1557 a pipeline takes over with one sink, of type kafka: add others to "
                       "the configuration later, they begin with a copy then");
    }
    if (status == NW_OK) {
        s->prefix = setting_text(s, "prefix");
        s->prefix = s->prefix == NULL ? "" : s->prefix;
        status = existing_allow(s, err);
    }
    return status;
}

/* ---- the connector ---- */

static void property_compare(struct session *s, const char *name, const char *otherwise,
                             const char *key, const char *ours)
{
    const char *theirs = nw_connector_property(&s->call.connector, name, otherwise);

    if (strcmp(theirs, ours) != 0) {
        nw_takeover_say(&s->takeover, NW_TAKEOVER_FAIL,
                        "NW1557 the connector's %s is %s, and %s here is %s: narwal "
                        "import-debezium writes what fits",
                        name, theirs, key, ours);
    }
}

static void connector_compare(struct session *s)
{
    if (s->call.connector.url == NULL) {
        return;
    }
    property_compare(s, "plugin.name", "decoderbufs", "the plugin", "pgoutput");
    property_compare(s, "slot.name", "debezium", "source.slot.name",
                     s->call.pipeline.config.slot_name);
    property_compare(s, "publication.name", "dbz_publication", "source.publication.name",
                     s->call.pipeline.config.publication_name);
    property_compare(s, "topic.prefix", "", "prefix", s->prefix);
}

static nw_status offset_take(struct session *s, struct nw_error *err)
{
    json_t *found = NULL;
    nw_status status = NW_OK;

    json_decref(s->offsets);
    free(s->text);
    s->offsets = NULL;
    s->text = NULL;
    status = s->call.connector.url != NULL
                 ? nw_connector_offsets(&s->call.connector, &s->offsets, err)
             : s->topic != NULL
                 ? nw_offsets_of_topic(s->call.file, s->topic, s->call.from, &s->offsets, err)
                 : nw_offsets_read(s->call.from, &s->offsets, err);
    if (status == NW_OK) {
        status = nw_offset_find(s->offsets, s->prefix, &found, err);
    }
    if (status == NW_OK) {
        status = nw_offset_parse(found, &s->takeover.offset, err);
    }
    if (status == NW_OK) {
        s->text = json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS);
        s->takeover.text = s->text;
    }
    return status;
}

/* Now that nobody has the slot, and nobody can get it, no task stores another: it is the last. */
static nw_status offset_look_again(struct session *s, struct nw_error *err)
{
    char *before = s->text;
    nw_status status = NW_OK;

    if (s->call.connector.url == NULL && s->topic == NULL) {
        return NW_OK;
    }
    s->text = NULL;
    status = offset_take(s, err);
    if (status == NW_OK && (before == NULL || s->text == NULL || strcmp(before, s->text) != 0)) {
        status = nw_fail(err, NW_FATAL,
                         "NW1555 the connector stored another offset meanwhile, so its task ended "
                         "only now: run this again");
    }
    free(before);
    return status;
}

/* Connect says that it stopped before the server knows. */
static void slot_wait(const struct session *s)
{
    const struct nw_server_options *server = &s->call.pipeline.options.server;
    struct nw_session *session = NULL;
    struct nw_error ignored = {0};

    if (nw_session_open(&server->connection, false, &session, &ignored) != NW_OK) {
        return; /* what follows says so */
    }
    for (int i = 0; i < 5 * SLOT_SECONDS; i++) {
        struct nw_claim_view view = {0};

        if (nw_claim_look(session, server->slot_name, &view, &ignored) != NW_OK ||
            view.reader_pid == 0) {
            break;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
    nw_session_close(session);
}

/* Stopped, by whomever. What can be seen before is looked at before. */
static nw_status connector_rest(struct session *s, struct nw_error *err)
{
    nw_status status = nw_connector_look(&s->call.connector, err);

    if (status == NW_OK) {
        connector_compare(s);
        status = offset_take(s, err);
    }
    if (status != NW_OK || s->call.connector.url == NULL || s->takeover.refusals > 0 ||
        strcmp(s->call.connector.state, "STOPPED") == 0) {
        return status;
    }
    if (!s->stop || s->call.dry_run) {
        return nw_fail(err, NW_FATAL,
                       "NW1555 the connector is %s: stop it (curl -X PUT %s/stop), or --stop does",
                       s->call.connector.state, s->call.connector.url);
    }
    (void)printf("do    stop the connector, which is %s\n", s->call.connector.state);
    if (!nw_go_on(s->call.yes)) {
        return nw_fail(err, NW_FATAL, "NW1555 the connector is %s", s->call.connector.state);
    }
    s->stopped = true;
    status = nw_connector_stop(&s->call.connector, err);
    if (status == NW_OK) {
        slot_wait(s);
        status = offset_take(s, err);
    }
    return status;
}

/* ---- doing it ---- */

static void lines_print(const struct nw_takeover *takeover)
{
    static const char *const levels[] = {"ok   ", "WARN ", "FAIL "};

    for (uint32_t i = 0; i < takeover->lines_count; i++) {
        const struct nw_takeover_line *line = &takeover->lines[i];

        (void)printf("%s %s\n", levels[line->level], line->text);
        if (line->level != NW_TAKEOVER_OK) {
            nw_explain_note(line->text);
        }
    }
}

static void plan_print(const struct session *s)
{
    const struct nw_takeover *takeover = &s->takeover;
    char lsn[NW_LSN_TEXT_SIZE];

    (void)printf("do    sink %s begins at %s, in the topics %s.*, without a copy\n",
                 takeover->options->sinks[0].name, nw_lsn_text(lsn, takeover->lsn), s->prefix);
    if (takeover->seq > 0) {
        (void)printf("do    of the transaction that commits at %s the first %llu changes are "
                     "passed over\n",
                     nw_lsn_text(lsn, takeover->commit_lsn), (unsigned long long)takeover->seq);
    }
}

/* @return the exit code */
static int carry_out(struct session *s)
{
    struct nw_error err = {0};

    lines_print(&s->takeover);
    if (s->takeover.refusals > 0) {
        (void)puts("refused; nothing was changed");
        return NW_EXIT_FAILED;
    }
    plan_print(s);
    if (s->call.dry_run) {
        (void)puts("nothing was changed (--dry-run)");
        return 0;
    }
    if (!nw_go_on(s->call.yes)) {
        return NW_EXIT_FAILED;
    }
    if (nw_takeover_finish(&s->takeover, &err) != NW_OK) {
        nw_complain_error(&err);
        (void)puts("not done");
        return NW_EXIT_FAILED;
    }
    (void)puts("done: narwal run goes on here. The connector must not start again; "
               "narwal export-debezium\ngives it all back");
    return 0;
}

/* @return the exit code */
static int looked(struct session *s, struct nw_error *err)
{
    nw_status status = connector_rest(s, err);

    if (status == NW_OK && s->takeover.refusals == 0) {
        status = nw_takeover_begin(&s->takeover, err);
    }
    if (status == NW_OK && s->takeover.refusals == 0) {
        status = offset_look_again(s, err);
    }
    if (status == NW_OK) {
        return carry_out(s);
    }
    lines_print(&s->takeover);
    nw_complain_error(err);
    return NW_EXIT_FAILED;
}

/* @return the exit code */
static int session_run(struct nw_connector_call *call)
{
    struct session *s = (struct session *)call;
    bool folder_there = access(call->pipeline.config.state_dir, F_OK) == 0;
    struct nw_error err = {0};
    int code = NW_EXIT_USAGE;

    if (pipeline_check(s, &err) == NW_OK) {
        s->takeover.options = &call->pipeline.options;
        code = looked(s, &err);
        nw_pipeline_ended(nw_takeover_end(&s->takeover, &err), code, &err);
    } else {
        nw_complain_error(&err);
    }
    if (code != 0 && s->stopped) {
        (void)printf("the connector is stopped: curl -X PUT %s/resume lets it go on\n",
                     call->connector.url);
    }
    json_decref(s->offsets);
    free(s->text);
    free(s->settings);
    if (!folder_there) {
        (void)rmdir(call->pipeline.config.state_dir); /* made for the lock, and empty */
    }
    return code;
}

static bool fits(const struct nw_connector_call *call)
{
    if (call->from == NULL) {
        nw_complain("NW1501 from which connector? narwal take-over FILE.yaml "
                    "http://HOST:8083/connectors/NAME");
    }
    return call->from != NULL;
}

int nw_cmd_take_over(int argc, char **argv)
{
    struct session *s = calloc(1, sizeof *s);
    int code = NW_EXIT_FAILED;

    if (s == NULL) {
        nw_complain("NW2901 out of memory");
        return code;
    }
    const struct nw_argument own[] = {{.name = "stop", .flag = &s->stop},
                                      {.name = "offsets-topic", .value = &s->topic},
                                      {.name = "trust-slot", .flag = &s->takeover.trust_slot},
                                      {.name = NULL}};

    s->call.fits = fits;
    s->call.run = session_run;
    code = nw_connector_command(argc, argv, own, HELP, &s->call);
    free(s);
    return code;
}
