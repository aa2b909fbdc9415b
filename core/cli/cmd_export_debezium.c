/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal export-debezium`: gives a pipeline back to Debezium's connector.
 *
 * The offset has `lsn` alone, as that of a connector which has finished its snapshot and has sent
 * nothing since: it then asks the server for what committed from there on and looks for nothing in
 * it, in every version of Debezium (PostgresStreamingChangeEventSource.execute). Where nothing
 * became durable since narwal took over, it is the offset that narwal was given, word for word; and
 * where it was given back before, the same offset again.
 *
 * Only one Kafka sink is looked at: others, which may be down, do not stand in the way.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "cli/debezium/call.h"
#include "pg/lsn.h"
#include "pipeline/adopt.h"
#include "pipeline/letters.h"

static const char HELP[] =
    "usage: narwal export-debezium FILE.yaml [URL] [--sink NAME] [--dry-run] [--yes]\n\n"
    "Gives a pipeline back to Debezium: makes the offset with which the connector goes on where "
    "narwal\n"
    "stopped, at the same slot, and writes it to Connect (3.6 and later), or prints it. URL is\n"
    "http://HOST:8083/connectors/NAME, whose connector has to be stopped; without it the offset is "
    "on\n"
    "standard output, as PATCH /connectors/NAME/offsets takes it. narwal must not run, and does "
    "not start\n"
    "again with this state before narwal take-over; one with another state, as a standby, is to be "
    "stopped\n"
    "for good before.\n\n"
    "  --sink NAME  of several Kafka sinks the one whose topics are the connector's\n"
    "  --dry-run    only say what would be done\n"
    "  --yes        do not ask\n\n"
    "exit codes: 0 the connector can start, 1 it was refused or failed, 2 called wrongly\n";

struct session {
    struct nw_connector_call call; /* the first */
    struct nw_run_options options; /* of the Kafka sink alone */
    struct nw_adopt adopt;
    struct nw_taken taken; /* as it was recorded */
    const struct nw_adopt_sink *sink;
    const char *name; /* of the sink; NULL: there is one only */
    uint32_t at;      /* that sink */
    const char *prefix;
    json_t *body;
};

/* @return UINT32_MAX when there is none, with why. */
static uint32_t sink_index(const struct session *s, struct nw_error *err)
{
    const struct nw_run_config *config = &s->call.pipeline.config;
    uint32_t at = UINT32_MAX;
    uint32_t count = 0;

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (strcmp(config->sinks[i].type, "kafka") == 0 &&
            (s->name == NULL || strcmp(config->sinks[i].name, s->name) == 0)) {
            at = i;
            count++;
        }
    }
    if (count > 1) {
        (void)nw_fail(err, NW_FATAL,
                      "NW1557 there are several sinks of type kafka: --sink NAME says whose topics "
                      "the connector goes on with");
        return UINT32_MAX;
    }
    if (count == 0) {
        (void)nw_fail(err, NW_FATAL, "NW1557 there is no sink%s%s of type kafka",
                      s->name == NULL ? "" : " ", s->name == NULL ? "" : s->name);
    }
    return at;
}

static nw_status sink_find(struct session *s, struct nw_error *err)
{
    uint32_t at = sink_index(s, err);

    if (at == UINT32_MAX) {
        return NW_FATAL;
    }
    s->at = at;
    s->options = s->call.pipeline.options;
    s->options.sinks[0] = s->call.pipeline.options.sinks[at];
    s->options.sinks_count = 1;
    s->sink = &s->adopt.sinks[0];
    for (uint32_t i = 0; i < s->call.pipeline.plugins[at].ops.options_count; i++) {
        if (strcmp(s->call.pipeline.plugins[at].ops.options[i].name, "prefix") == 0) {
            s->prefix = s->call.pipeline.resolved[at].settings[i].text;
        }
    }
    return s->prefix != NULL ? NW_OK : nw_fail(err, NW_FATAL, "NW1557 the sink has no prefix");
}

static bool is_left_out(const struct session *s, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;
    struct nw_tables *tables = s->adopt.table_states;

    for (uint32_t i = 0; nw_tables_at(tables, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && trouble.condition == NW_TABLE_LEFT_OUT) {
            return true;
        }
    }
    return nw_tables_dropped(tables, relation_oid);
}

/* Positions do not wait for what is held of a table while it is copied: see sink/held.h. */
static uint32_t unfinished_count(const struct session *s)
{
    const struct nw_sink_recovered *recovered = &s->sink->recovered;
    uint32_t count = 0;

    for (uint32_t c = 0; c < recovered->copies_count; c++) {
        count +=
            !recovered->copies[c].complete && !is_left_out(s, recovered->copies[c].relation_oid);
    }
    return count;
}

/* Whether Debezium, going on from the sink's position, misses nothing of the tables. */
static nw_status tables_check(const struct session *s, struct nw_error *err)
{
    uint32_t unfinished = unfinished_count(s);

    if (unfinished > 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1558 %u tables are being copied, and lack changes that the position is "
                       "past until they are whole: narwal run has to go on until then (narwal "
                       "table list); then this can be run again",
                       unfinished);
    }
    if (s->sink->behind.count > 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1558 %u tables lack changes that the position is past (narwal table "
                       "list): narwal table repair brings them in, narwal run --until now writes "
                       "them; then this can be run again",
                       s->sink->behind.count);
    }
    return NW_OK;
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
    if (!adopt->slot_found || adopt->slot_lsn > s->sink->lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW1558 slot %s %s%s, and the topics have everything up to %s only: narwal "
            "run --until now writes what narwal keeps itself; then this can be run again",
            adopt->options->server.slot_name, adopt->slot_found ? "stands at " : "is not there",
            adopt->slot_found ? nw_lsn_text(slot, adopt->slot_lsn) : "",
            nw_lsn_text(lsn, s->sink->lsn));
    }
    return tables_check(s, err);
}

/* What comes twice: workers that stopped at different places, and parts of a transaction. */
static void again_say(struct session *s)
{
    const struct nw_sink_recovered *recovered = &s->sink->recovered;
    bool uneven = s->sink->lsn != 0 && recovered->ahead_lsn > s->sink->lsn;

    for (uint32_t p = 1; p < recovered->positions_count; p++) {
        uneven = uneven || (recovered->positions[p].size > 0 &&
                            recovered->positions[p].lsn != recovered->positions[0].lsn);
    }
    if (uneven) {
        nw_adopt_say(&s->adopt, NW_ADOPT_WARN,
                     "NW1559 the topics have some changes behind the position, as after a crash "
                     "(parts of a transaction, or of some workers): the connector sends those "
                     "again. narwal run --until now first, and none comes twice");
    }
}

static void others_say(struct session *s)
{
    const struct nw_run_config *config = &s->call.pipeline.config;

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (i != s->at) {
            nw_adopt_say(&s->adopt, NW_ADOPT_WARN,
                         "NW1559 sink %s ends here: the slot is the connector's then, and what it "
                         "still lacks cannot be had any more",
                         config->sinks[i].name);
        }
    }
}

static nw_status letters_say(struct session *s, struct nw_error *err)
{
    struct nw_letters_tally *tally = calloc(1, sizeof *tally);
    struct nw_letters_file *file = NULL;
    nw_status status = tally == NULL ? nw_fail(err, NW_FATAL, "out of memory for dead letters")
                                     : nw_letters_look(s->options.state_folder, &file, err);

    if (status == NW_OK && file != NULL) {
        status = nw_letters_tally(file, tally, err);
    }
    for (uint32_t i = 0; status == NW_OK && i < tally->sinks_count; i++) {
        if (strcmp(tally->sinks[i].sink, s->options.sinks[0].name) == 0) {
            nw_adopt_say(&s->adopt, NW_ADOPT_WARN,
                         "NW1559 %" PRIu64 " rows are dead letters, in no topic, and the connector "
                         "does not bring them: narwal dead-letter retry does, while narwal runs",
                         tally->sinks[i].letters);
        }
    }
    nw_letters_close(file);
    free(tally);
    return status;
}

/* What was recorded as the connector's, where nothing became durable since; else one of our own. */
static nw_status body_make(struct session *s, struct nw_error *err)
{
    struct nw_env *env = s->call.pipeline.options.env;
    bool untouched = s->taken.state != NW_TAKEN_NOT && s->taken.lsn == s->sink->lsn &&
                     s->taken.system_identifier == s->adopt.server.identity.system_identifier;
    json_t *offset = NULL;

    if (s->taken.state == NW_TAKEN_BEGUN && !untouched) {
        return nw_fail(err, NW_FATAL,
                       "NW1558 narwal take-over was broken off, and nothing came of it: the "
                       "connector goes on by itself, with the offset that it has");
    }
    if (untouched && s->taken.offset != NULL) {
        offset = json_loads(s->taken.offset, 0, NULL);
    }
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
    const struct nw_run_config *config = &s->call.pipeline.config;
    nw_status status = nw_connector_look(&s->call.connector, err);
    const char *slot = NULL;
    const char *prefix = NULL;

    if (status != NW_OK || s->call.connector.url == NULL) {
        return status;
    }
    if (strcmp(s->call.connector.state, "STOPPED") != 0) {
        return nw_fail(err, NW_FATAL, "NW1555 the connector is %s: curl -X PUT %s/stop",
                       s->call.connector.state, s->call.connector.url);
    }
    slot = nw_connector_property(&s->call.connector, "slot.name", "debezium");
    prefix = nw_connector_property(&s->call.connector, "topic.prefix", "");
    if (strcmp(slot, config->slot_name) != 0 || strcmp(prefix, s->prefix) != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1557 the connector has slot.name %s and topic.prefix %s, and narwal's "
                       "are %s and %s",
                       slot, prefix, config->slot_name, s->prefix);
    }
    return NW_OK;
}

/* That the connector has this offset, before it does: two of them must never go on. */
static nw_status given_back_record(struct session *s, struct nw_error *err)
{
    json_t *entry = json_array_get(json_object_get(s->body, "offsets"), 0);
    struct nw_taken taken = {.state = NW_TAKEN_GIVEN_BACK,
                             .system_identifier = s->adopt.server.identity.system_identifier,
                             .lsn = s->sink->lsn};
    nw_status status = NW_OK;

    taken.offset = json_dumps(json_object_get(entry, "offset"), JSON_COMPACT);
    status = taken.offset == NULL ? nw_fail(err, NW_FATAL, "out of memory for an offset")
                                  : nw_taken_write(s->adopt.state, &taken, err);
    nw_taken_offset_free(&taken);
    return status;
}

static nw_status offset_print(const char *text, struct nw_error *err)
{
    return puts(text) >= 0 && fflush(stdout) == 0
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1552 the offset cannot be written to standard output");
}

static nw_status offset_write(struct session *s, struct nw_error *err)
{
    char *text = json_dumps(s->body, JSON_COMPACT);
    struct nw_error ignored = {0};
    nw_status status = text == NULL ? nw_fail(err, NW_FATAL, "out of memory for an offset")
                                    : given_back_record(s, err);
    bool recorded = status == NW_OK;

    if (status == NW_OK) {
        status = s->call.connector.url == NULL
                     ? offset_print(text, err)
                     : nw_connector_offsets_write(&s->call.connector, text, err);
    }
    if (status == NW_REJECT && nw_taken_write(s->adopt.state, &s->taken, &ignored) == NW_OK) {
        (void)fputs("nothing was changed: Connect did not take the offset\n", stderr);
    } else if (status != NW_OK && recorded) {
        (void)fputs("whether the connector has the offset is not known, and narwal does not start: "
                    "run this again,\nwhich writes the same once more; or stay with narwal: narwal "
                    "export-debezium FILE.yaml > o.json,\nnarwal take-over FILE.yaml o.json\n",
                    stderr);
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
                  nw_lsn_text(lsn, s->sink->lsn), s->call.pipeline.config.slot_name,
                  s->call.connector.url == NULL ? "" : "; the offset of ",
                  s->call.connector.url == NULL ? "" : s->call.connector.url);
    if (s->call.dry_run) {
        (void)fputs("nothing was changed (--dry-run)\n", stderr);
        return 0;
    }
    if (!nw_go_on(s->call.yes || s->call.connector.url == NULL)) {
        return NW_EXIT_FAILED;
    }
    if (offset_write(s, err) != NW_OK) {
        nw_complain_error(err);
        return NW_EXIT_FAILED;
    }
    if (s->call.connector.url != NULL) {
        (void)printf("done: curl -X PUT %s/resume starts the connector\n", s->call.connector.url);
    }
    (void)fprintf(stderr,
                  "narwal does not start with %s any more; one with another state folder, as a "
                  "standby, does:\nstop and disable it before the connector starts\n",
                  s->options.state_folder);
    return 0;
}

/* @return the exit code */
static int looked(struct session *s, struct nw_error *err)
{
    const struct nw_adopt_wishes wishes = {0};
    nw_status status = nw_adopt_begin(&s->adopt, &s->options, &wishes, err);

    if (status == NW_OK) {
        status = nw_taken_read(s->adopt.state, &s->taken, err);
    }
    if (status == NW_OK) {
        again_say(s);
        others_say(s);
        status = letters_say(s, err);
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
static int session_run(struct nw_connector_call *call)
{
    struct session *s = (struct session *)call;
    struct nw_error err = {0};
    int code = NW_EXIT_USAGE;
    nw_status status = nw_pipeline_load(&call->pipeline, &err);

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
        nw_pipeline_ended(nw_adopt_end(&s->adopt, &err), code, &err);
    } else {
        nw_complain_error(&err);
    }
    json_decref(s->body);
    return code;
}

static bool fits(const struct nw_connector_call *call)
{
    if (call->from != NULL && call->connector.url == NULL) {
        nw_complain("NW1501 %s: that is no URL of a connector", call->from);
        return false;
    }
    return true;
}

int nw_cmd_export_debezium(int argc, char **argv)
{
    struct session *s = calloc(1, sizeof *s);
    int code = NW_EXIT_FAILED;

    if (s == NULL) {
        nw_complain("NW2901 out of memory");
        return code;
    }
    const struct nw_argument own[] = {{.name = "sink", .value = &s->name}, {.name = NULL}};

    s->call.fits = fits;
    s->call.run = session_run;
    code = nw_connector_command(argc, argv, own, HELP, &s->call);
    free(s);
    return code;
}
