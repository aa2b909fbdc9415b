/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that come through the control socket: tables that are copied again, left out, paused or
 * resumed. On the main thread, while an engine runs. A command is checked, recorded and answered
 * here; the copy is run_joins.c's.
 */
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"

#define REASON_SIZE 900u /* fits into an answer */

#define STATEMENT_SIZE 512u
#define AT_ONCE        64u                       /* of what sinks ask for */
#define AT_ONCE_NS     200000000LL               /* others wait for the main thread, too */
#define NOT_NOW_NS     (INT64_C(5) * 1000000000) /* until a sink's is tried again */
#define NAME_SIZE      136u /* quoted: 63 bytes, each doubled, and two quotes */

enum verb {
    VERB_ADD,
    VERB_REFRESH,
    VERB_REPAIR,
    VERB_DROP,
    VERB_PAUSE,
    VERB_RESUME,
    VERB_STOP,  /* of a copy */
    VERB_RETRY, /* of dead letters: a copy for the sink that refused them */
    VERBS_COUNT
};

static const char *const VERBS[VERBS_COUNT] = {
    [VERB_ADD] = "add",   [VERB_REFRESH] = "refresh", [VERB_REPAIR] = "repair",
    [VERB_DROP] = "drop", [VERB_PAUSE] = "pause",     [VERB_RESUME] = "resume",
    [VERB_STOP] = "stop", [VERB_RETRY] = "retry"};

/* What a text says that asked for it. */
static const char *command_of(enum verb verb)
{
    static const char *const commands[VERBS_COUNT] = {
        [VERB_ADD] = "table add",       [VERB_REFRESH] = "table refresh",
        [VERB_REPAIR] = "table repair", [VERB_DROP] = "table drop",
        [VERB_PAUSE] = "table pause",   [VERB_RESUME] = "table resume",
        [VERB_STOP] = "copy stop",      [VERB_RETRY] = "dead-letter retry"};

    return commands[verb];
}

/* What the server says of the table that a command names. */
struct asked {
    enum verb verb;
    char name[NW_HOST_COMMAND_SIZE];
    char filter[NW_CHOSEN_SIZE]; /* which rows are copied; chosen.h */
    int sink;                    /* RETRY: its index */
    uint32_t relation_oid;
    char schema_name[NW_TABLE_NAME_SIZE];
    char table_name[NW_TABLE_NAME_SIZE];
    bool published;
    bool keyed; /* its updates and deletes can be published */
    bool followable;
    bool partitioned;
    char entry[NAME_SIZE];  /* the publication that lists it, quoted; "": none does */
    char target[NAME_SIZE]; /* the one that it belongs into; "": it cannot be in any of ours */
    char quoted[2 * NAME_SIZE];
};

static void refuse(struct nw_run *run, const char *text)
{
    char whole[NW_ERROR_TEXT_SIZE];

    (void)snprintf(whole, sizeof whole, "%.6s %s", nw_code_or(text, "NW2901"), nw_code_rest(text));
    if (!run->wishes.current) { /* else the answer is logged */
        nw_log(NW_LOG_WARN, "%s", whole);
    }
    nw_run_answer(run, false, whole);
}

/* "SINK NAME", where a sink's name may have spaces in it. */
static bool retry_parse(const struct nw_run *run, const char *line, struct asked *asked)
{
    asked->verb = VERB_RETRY;
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        size_t size = strlen(run->options->sinks[s].name);

        if (strncmp(line, run->options->sinks[s].name, size) == 0 && line[size] == ' ' &&
            line[size + 1] != '\0') {
            asked->sink = (int)s;
            (void)snprintf(asked->name, sizeof asked->name, "%s", line + size + 1);
            return true;
        }
    }
    return false;
}

/* "table VERB NAME", or "dead-letter retry SINK NAME". */
static bool line_parse(const struct nw_run *run, const char *line, struct asked *asked)
{
    static const char prefix[] = "table ";
    static const char retries[] = "dead-letter retry ";

    if (strncmp(line, retries, sizeof retries - 1) == 0) {
        return retry_parse(run, line + sizeof retries - 1, asked);
    }
    if (strncmp(line, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    line += sizeof prefix - 1;
    for (int verb = 0; verb < VERB_RETRY; verb++) {
        size_t size = strlen(VERBS[verb]);

        if (strncmp(line, VERBS[verb], size) == 0 && line[size] == ' ') {
            asked->verb = (enum verb)verb;
            (void)snprintf(asked->name, sizeof asked->name, "%s", line + size + 1);
            if (run->wishes.current != NULL) {
                nw_run_wish_split(asked->name, true, asked->filter);
            }
            return asked->name[0] != '\0';
        }
    }
    return false;
}

/* What statements call it. One without a key belongs where only inserts are published. */
static void names_take(const struct nw_rows *rows, const struct nw_publications *publications,
                       struct asked *asked)
{
    const char *entry = nw_rows_text(rows, 0, 7);
    bool none = !asked->keyed && publications->insert_only[0] == '\0';

    asked->partitioned = nw_rows_bool(rows, 0, 6);
    (void)snprintf(asked->entry, sizeof asked->entry, "%s", entry == NULL ? "" : entry);
    (void)snprintf(asked->target, sizeof asked->target, "%s",
                   none ? "" : nw_rows_text(rows, 0, asked->keyed ? 8 : 9));
    (void)snprintf(asked->quoted, sizeof asked->quoted, "%s", nw_rows_text(rows, 0, 10));
}

#define TABLE_FIND(by_schema)                                                                      \
    "SELECT c.oid, n.nspname, c.relname, " NW_CATALOG_PUBLISHED(                                   \
        "c", "$2", "$3",                                                                           \
        by_schema) ", " NW_CATALOG_IDENTITY_USABLE("c") ", c.relkind IN ('r', 'p') AND "           \
                                                        "c.relpersistence = 'p' AND NOT "          \
                                                        "c.relispartition, "                       \
                                                        "c.relkind = 'p', (SELECT "                \
                                                        "pg_catalog.quote_ident(b.pubname) FROM "  \
                                                        "pg_catalog.pg_publication b JOIN "        \
                                                        "pg_catalog.pg_publication_rel r ON "      \
                                                        "r.prpubid = b.oid "                       \
                                                        "WHERE b.pubname IN ($2, $3) AND "         \
                                                        "r.prrelid = c.oid LIMIT 1), "             \
                                                        "pg_catalog.quote_ident($2), "             \
                                                        "pg_catalog.quote_ident($3), "             \
                                                        "pg_catalog.format('%I.%I', n.nspname, "   \
                                                        "c.relname) "                              \
                                                        "FROM pg_catalog.pg_class c JOIN "         \
                                                        "pg_catalog.pg_namespace n ON n.oid = "    \
                                                        "c.relnamespace "                          \
                                                        "WHERE c.oid = pg_catalog.to_regclass($1)"

/* NW_REJECT: there is no such table. */
static nw_status table_find(struct nw_run *run, struct asked *asked, struct nw_error *err)
{
    const struct nw_publications *publications = &run->server.publications;
    const char *params[3] = {asked->name, publications->main, publications->insert_only};
    struct nw_rows *rows = NULL;
    char sqlstate[6] = "";
    nw_status status = nw_server_control_open(&run->server, err);

    if (status == NW_OK) {
        const char *sql = nw_session_server_version(run->server.control) < 150000
                              ? TABLE_FIND("")
                              : TABLE_FIND(NW_CATALOG_BY_SCHEMA);

        status = nw_session_query(run->server.control, sql, params, 3, sqlstate, &rows, err);
    }
    if (status == NW_RETRY) { /* whoever asks next opens it */
        nw_session_close(run->server.control);
        run->server.control = NULL;
    } else if (status == NW_OK && nw_rows_count(rows) == 0) {
        status =
            nw_fail(err, NW_REJECT,
                    "NW1504 there is no table %.200s: write it as SCHEMA.TABLE, quoted as in SQL",
                    asked->name);
    } else if (status == NW_OK) {
        asked->relation_oid = (uint32_t)nw_rows_u64(rows, 0, 0);
        (void)snprintf(asked->schema_name, sizeof asked->schema_name, "%s",
                       nw_rows_text(rows, 0, 1));
        (void)snprintf(asked->table_name, sizeof asked->table_name, "%s", nw_rows_text(rows, 0, 2));
        asked->published = nw_rows_bool(rows, 0, 3);
        asked->keyed = nw_rows_bool(rows, 0, 4);
        asked->followable = nw_rows_bool(rows, 0, 5);
        names_take(rows, publications, asked);
    }
    nw_rows_free(rows);
    return status;
}

/* Whether it is in trouble somewhere that a copy mends. */
static bool in_trouble(struct nw_run *run, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && trouble.condition != NW_TABLE_DROPPED) {
            return true;
        }
    }
    return false;
}

/* Whether it does not go on as the others at any sink, so that one alone cannot get a copy. */
static bool in_trouble_everywhere(struct nw_run *run, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && trouble.sink[0] == '\0') {
            return true;
        }
    }
    return false;
}

/* The statement that puts it into its publication, or takes it out. */
static void statement_print(const struct asked *asked, char sql[static STATEMENT_SIZE])
{
    if (asked->verb == VERB_DROP) {
        (void)snprintf(sql, STATEMENT_SIZE, "ALTER PUBLICATION %s DROP TABLE %s%s", asked->entry,
                       asked->partitioned ? "" : "ONLY ", asked->quoted);
    } else { /* partitions come with their root */
        (void)snprintf(sql, STATEMENT_SIZE, "ALTER PUBLICATION %s ADD TABLE %s%s", asked->target,
                       asked->partitioned ? "" : "ONLY ", asked->quoted);
    }
}

/* Why the table itself cannot be followed, or the publication be left as it is; "": it can. */
static void publication_find(struct nw_run *run, const struct asked *asked,
                             char reason[REASON_SIZE])
{
    bool ours = run->options->server.publication.create;
    char sql[STATEMENT_SIZE];

    statement_print(asked, sql);
    if (asked->verb == VERB_DROP) {
        if (!ours && asked->entry[0] != '\0') {
            (void)snprintf(reason, REASON_SIZE,
                           "NW1506 publication %s is not narwal's to change: %s; "
                           "then ask again",
                           asked->entry, sql);
        }
    } else if (!asked->published && asked->target[0] == '\0') {
        (void)snprintf(
            reason, REASON_SIZE,
            "NW1506 %s is not published and has no usable key, without which its UPDATE and "
            "DELETE would fail: ALTER TABLE %s REPLICA IDENTITY FULL; then ask again",
            asked->quoted, asked->quoted);
    } else if (!asked->published && (asked->verb != VERB_ADD || !ours)) {
        (void)snprintf(reason, REASON_SIZE,
                       "NW1506 %s is not in publication %s: %.440s; then ask again", asked->quoted,
                       asked->target, sql);
    }
}

/* Why a table cannot be paused, or go on; "": it can. */
static void pause_reason_find(struct nw_run *run, const struct asked *asked,
                              char reason[REASON_SIZE])
{
    bool kept = nw_tables_kept(run->table_states, asked->relation_oid);
    bool keeps = nw_tables_keeps(run->table_states, asked->relation_oid);

    if (asked->verb == VERB_RESUME && !keeps) {
        (void)snprintf(
            reason, REASON_SIZE,
            nw_tables_stopped(run->table_states, asked->relation_oid)
                ? "NW1505 what came of %s since it stopped is not kept: narwal table repair "
                  "copies it again"
                : "NW1505 %s is not paused",
            asked->quoted);
    } else if (asked->verb == VERB_PAUSE &&
               (kept || nw_tables_has(run->table_states, asked->relation_oid))) {
        (void)snprintf(reason, REASON_SIZE,
                       "NW1505 %s does not stream as the others do: narwal status says why",
                       asked->quoted);
    } else if (asked->verb == VERB_PAUSE && !asked->published) {
        (void)snprintf(reason, REASON_SIZE, "NW1505 %s is not published, and so not followed",
                       asked->quoted);
    }
}

/* Whether a copy would lose what is kept of the table, for all sinks or one. Sinks that replace a
 * table need none of it. */
static bool loses_what_is_kept(struct nw_run *run, const struct asked *asked)
{
    struct nw_table_trouble trouble;

    if (asked->verb != VERB_REFRESH && asked->verb != VERB_ADD) {
        return false;
    }
    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == asked->relation_oid &&
            nw_table_condition_keeps(trouble.condition)) {
            for (uint32_t s = 0; s < run->options->sinks_count; s++) {
                if (nw_run_trouble_is_at(run, &trouble, s) && nw_run_any_appends(run, 1u << s)) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* As below, of what only some commands look at. */
static void own_reason_find(struct nw_run *run, const struct asked *asked, char reason[REASON_SIZE])
{
    const char *fault = NULL;

    if (asked->verb == VERB_RETRY && in_trouble_everywhere(run, asked->relation_oid)) {
        (void)snprintf(
            reason, REASON_SIZE,
            "NW1505 %s does not stream as the others do: narwal table list says why, and "
            "a copy for all sinks, by narwal table repair, is one for this sink too",
            asked->quoted);
        return;
    }
    if (loses_what_is_kept(run, asked)) {
        (void)snprintf(reason, REASON_SIZE,
                       "NW1505 %s is paused or stopped, and what came of it since is kept: narwal "
                       "table resume delivers that, then ask again. (narwal table repair copies it "
                       "without that: rows that are gone since then stay where a sink keeps what "
                       "it has)",
                       asked->quoted);
        return;
    }
    fault = asked->filter[0] != '\0' ? nw_run_choice_fault(run, asked->relation_oid) : NULL;
    if (fault != NULL) {
        (void)snprintf(reason, REASON_SIZE, "NW1505 %s: %s", asked->quoted, fault);
    } else if (asked->verb == VERB_REPAIR && !in_trouble(run, asked->relation_oid)) {
        (void)snprintf(
            reason, REASON_SIZE,
            "NW1505 %s goes on as it should: there is nothing to repair. To copy it again all "
            "the same: narwal table refresh",
            asked->quoted);
    }
}

/* Why the command cannot be carried out; "": it can. */
static void reason_find(struct nw_run *run, const struct asked *asked, char reason[REASON_SIZE])
{
    reason[0] = '\0';
    if (asked->verb == VERB_STOP) {
        return; /* whatever it is, its copy has a state */
    }
    if (run->status.phase != NW_RUN_STREAMING) {
        (void)snprintf(reason, REASON_SIZE,
                       "NW1505 a copy runs, or narwal is stopping: ask again when it streams");
    } else if (nw_run_joins_has(run, asked->relation_oid)) {
        (void)snprintf(
            reason, REASON_SIZE,
            "NW1505 %s is being copied already: narwal status lists it as waiting until its "
            "copy is whole",
            asked->quoted);
    } else if (!asked->followable) {
        (void)snprintf(reason, REASON_SIZE,
                       "NW1504 %s is a partition, or no permanent table: name the table that "
                       "applications see",
                       asked->quoted);
    } else if (!nw_table_filter_match(&run->options->server.publication.filter, asked->schema_name,
                                      asked->table_name)) {
        (void)snprintf(
            reason, REASON_SIZE,
            "NW1504 the configuration leaves %s out: change tables.include or tables.exclude "
            "first",
            asked->quoted);
    } else if (asked->verb == VERB_PAUSE || asked->verb == VERB_RESUME) {
        pause_reason_find(run, asked, reason);
    } else {
        publication_find(run, asked, reason);
    }
    if (reason[0] == '\0') {
        own_reason_find(run, asked, reason);
    }
}

/* Puts the table into our publication, or takes it out: its changes are sent from there on, or to
 * there. NW_REJECT: the server refuses. */
static nw_status publish(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    char sql[STATEMENT_SIZE];
    char sqlstate[6] = "";
    struct nw_error why = {0};
    nw_status status = NW_OK;

    statement_print(asked, sql);
    status = nw_run_publish(run, sql, sqlstate, &why);
    if (strcmp(sqlstate, "55P03") == 0) {
        return nw_fail(err, NW_REJECT, "NW1506 %s is locked by somebody just now: ask again",
                       asked->quoted);
    }
    if (status != NW_OK && sqlstate[0] != '\0') {
        return nw_fail(err, NW_REJECT, "NW1506 %.200s. Let a DBA run it: %s; then ask again",
                       nw_code_rest(why.text), sql);
    }
    *err = why;
    if (status == NW_RETRY) { /* whoever asks next opens it */
        nw_session_close(run->server.control);
        run->server.control = NULL;
    }
    return status;
}

/* The sinks that are to get a copy, as bits. */
static uint32_t sinks_of(const struct nw_run *run, const struct asked *asked)
{
    uint32_t sinks = 0;

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        sinks |= nw_run_table_waits(run, s, asked->relation_oid) ? 1u << s : 0;
    }
    return sinks;
}

/* Every trouble of the table becomes that of being copied, or left out. */
static nw_status troubles_replace(struct nw_run *run, const struct nw_table_trouble *table,
                                  struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == table->relation_oid) {
            struct nw_table_trouble waiting = *table;

            memcpy(waiting.sink, trouble.sink, sizeof waiting.sink);
            status = nw_tables_set(run->table_states, &waiting, err);
        }
    }
    return status;
}

/* In which the table is until it was copied. One that streams goes on at sinks that keep what they
 * have of it. */
static enum nw_table_condition condition_of(const struct nw_run *run, const struct asked *asked)
{
    if (asked->verb == VERB_DROP) {
        return NW_TABLE_LEFT_OUT;
    }
    return asked->verb != VERB_RETRY && nw_run_any_appends(run, UINT32_MAX) &&
                   nw_run_goes_on(run, asked->relation_oid)
               ? NW_TABLE_ASKED
               : NW_TABLE_WAITING;
}

/* Whether the copy may be of some rows, or be stopped. */
static bool is_choice(struct nw_run *run, const struct asked *asked,
                      enum nw_table_condition condition)
{
    return condition == NW_TABLE_ASKED && !in_trouble(run, asked->relation_oid);
}

/* For good, before the sinks can have anything that only the copy makes whole. */
static nw_status again_record(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    struct nw_table_trouble table = {.relation_oid = asked->relation_oid,
                                     .condition = condition_of(run, asked),
                                     .since_us = run->env->ops->wall_us(run->env)};
    nw_status status = NW_OK;

    (void)snprintf(table.schema_name, sizeof table.schema_name, "%s", asked->schema_name);
    (void)snprintf(table.table_name, sizeof table.table_name, "%s", asked->table_name);
    (void)snprintf(table.reason, sizeof table.reason,
                   asked->verb == VERB_DROP
                       ? "it is not followed any more, as narwal %s asked; sinks keep what "
                         "they have of it, and narwal table add brings it back with a copy"
                       : "it is copied, as narwal %s asked; sinks keep what they have of it "
                         "until then",
                   command_of(asked->verb));
    status = nw_chosen_set(run->state, asked->relation_oid,
                           is_choice(run, asked, table.condition) ? asked->filter : NULL, err);
    if (status != NW_OK) {
        return status;
    }
    if (asked->verb == VERB_RETRY) {
        (void)snprintf(table.sink, sizeof table.sink, "%s", run->options->sinks[asked->sink].name);
    } else {
        status = troubles_replace(run, &table, err);
    }
    if (status == NW_OK && (asked->verb != VERB_REPAIR || table.condition == NW_TABLE_ASKED)) {
        status = nw_tables_set(run->table_states, &table, err);
    }
    return status;
}

/* From here on it is no new one. */
static nw_status follow(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    struct nw_followed_table table = {.relation_oid = asked->relation_oid};

    (void)snprintf(table.schema_name, sizeof table.schema_name, "%s", asked->schema_name);
    (void)snprintf(table.table_name, sizeof table.table_name, "%s", asked->table_name);
    return nw_followed_add(run->followed_tables, &table, 1, err);
}

static nw_status again_begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    char text[REASON_SIZE];
    bool fresh = is_choice(run, asked, condition_of(run, asked));
    nw_status status = again_record(run, asked, err);

    if (status == NW_OK) {
        status = follow(run, asked, err);
    }
    if (status == NW_OK) {
        status = nw_run_joins_add(run, asked->relation_oid, asked->schema_name, asked->table_name,
                                  sinks_of(run, asked), err);
    }
    if (status == NW_OK && fresh) {
        nw_run_joins_choose(run, asked->filter[0] != '\0', true);
    }
    if (status == NW_OK) {
        (void)snprintf(text, sizeof text,
                       "%s.%s is copied while the others go on; until its copy is whole narwal "
                       "status lists it as waiting",
                       asked->schema_name, asked->table_name);
        nw_log(NW_LOG_INFO, "table %s.%s is copied, as narwal %s asked; the others go on",
               asked->schema_name, asked->table_name, command_of(asked->verb));
        nw_run_answer(run, true, text);
    }
    return status;
}

/* Where it stays published the dealer leaves its rows out from now on. */
static nw_status drop_begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    char text[REASON_SIZE];
    nw_status status = again_record(run, asked, err);

    if (status == NW_OK) {
        status = nw_followed_remove(run->followed_tables, asked->relation_oid, err);
        nw_engine_refresh(run->engine);
    }
    if (status == NW_OK) {
        (void)nw_engine_forget(run->engine, asked->relation_oid); /* else the next start does */
        (void)snprintf(text, sizeof text,
                       "%s is not followed any more%s; sinks keep what they have of it, and narwal "
                       "table add brings it back",
                       asked->quoted,
                       asked->published && asked->entry[0] == '\0'
                           ? ", though its publication is of all tables, or of a schema"
                           : "");
        nw_log(NW_LOG_INFO, "%s", text);
        nw_run_answer(run, true, text);
    }
    return status;
}

/* It stops between two transactions, soon: whoever asks next is told. */
static nw_status pause_begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    char text[REASON_SIZE];

    if (!nw_engine_pause(run->engine, asked->relation_oid)) {
        return nw_fail(err, NW_REJECT, "NW1505 too much is asked for at once: ask again");
    }
    (void)snprintf(text, sizeof text,
                   "%s is paused behind the transaction under way, and its changes are kept: "
                   "narwal table resume brings them",
                   asked->quoted);
    nw_run_answer(run, true, text);
    return NW_OK;
}

/* Recorded first, so that a crash does not leave it paused. */
static nw_status resume_begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    struct nw_table_trouble table;
    char text[REASON_SIZE];
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &table); i++) {
        if (table.relation_oid == asked->relation_oid &&
            nw_table_condition_keeps(table.condition) &&
            (table.sink[0] == '\0' || nw_run_sink_index(run, table.sink) >= 0)) {
            table.condition = NW_TABLE_RESUMING;
            status = nw_tables_set(run->table_states, &table, err);
        }
    }
    if (status == NW_OK && !nw_engine_resume(run->engine, asked->relation_oid)) {
        return nw_fail(err, NW_REJECT, "NW1505 too much is asked for at once: ask again");
    }
    if (status == NW_OK) {
        (void)snprintf(text, sizeof text,
                       "what was kept of %s is delivered now; it streams as the others do when "
                       "narwal status does not list it any more",
                       asked->quoted);
        nw_log(NW_LOG_INFO, "table %s: what was kept of it is delivered now", asked->quoted);
        nw_run_answer(run, true, text);
    }
    return status;
}

static nw_status stop_begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    char text[REASON_SIZE];
    nw_status status = nw_run_copy_stop(run, asked->relation_oid, err);

    if (status == NW_OK) {
        (void)snprintf(text, sizeof text,
                       "the copy of %s is stopped; it streams on, and sinks keep what they have",
                       asked->quoted);
        nw_run_answer(run, true, text);
    }
    return status;
}

static nw_status begin(struct nw_run *run, const struct asked *asked, struct nw_error *err)
{
    switch (asked->verb) {
    case VERB_PAUSE:
        return pause_begin(run, asked, err);
    case VERB_RESUME:
        return resume_begin(run, asked, err);
    case VERB_DROP:
        return drop_begin(run, asked, err);
    case VERB_STOP:
        return stop_begin(run, asked, err);
    case VERB_ADD:
    case VERB_REFRESH:
    case VERB_REPAIR:
    case VERB_RETRY:
    case VERBS_COUNT:
        break;
    }
    return again_begin(run, asked, err);
}

/* Whether a publication has to be changed before. */
static bool publishes(const struct asked *asked)
{
    switch (asked->verb) {
    case VERB_PAUSE:
    case VERB_RESUME:
    case VERB_STOP:
        return false;
    case VERB_DROP:
        return asked->entry[0] != '\0';
    case VERB_ADD:
    case VERB_REFRESH:
    case VERB_REPAIR:
    case VERB_RETRY:
    case VERBS_COUNT:
        break;
    }
    return !asked->published;
}

/* "copy pause" and "copy resume", whatever is copied now or later. @return whether it is one */
static bool copy_command(struct nw_run *run, const char *line)
{
    static const char paused[] =
        "the copy is paused: what is being read is read to the end of its chunk, and nothing more. "
        "Its snapshot stays, so vacuum on the server cannot clean up behind it, and what streams "
        "meanwhile is kept; it goes on with narwal copy resume, or when narwal starts again";
    bool pause = strcmp(line, "copy pause") == 0;

    if (!pause && strcmp(line, "copy resume") != 0) {
        return false;
    }
    if (pause && run->status.phase != NW_RUN_COPYING && !nw_run_joins_busy(run) &&
        run->joins.queued == 0) {
        nw_run_answer(run, false, "NW1505 nothing is being copied");
        return true;
    }
    nw_log(NW_LOG_INFO, "the copy %s", pause ? "is paused" : "goes on");
    run->copy_paused = pause;
    nw_run_answer(run, true, pause ? paused : "the copy goes on");
    return true;
}

/*
 * What a sink asked for, and could not be done because the server does not answer, or narwal ends,
 * is not answered: it is asked for again. A user is told instead.
 */
static nw_status not_now(struct nw_run *run, nw_status status, const char *text)
{
    if (status != NW_RETRY || run->wishes.current == NULL) {
        refuse(run, text);
        return NW_OK;
    }
    nw_log(NW_LOG_DEBUG, "sink %s asked for %s: %s", run->wishes.current->sink,
           run->wishes.current->command, text);
    run->wishes.current = NULL;
    run->wishes.due_ns = run->env->ops->now_ns(run->env) + NOT_NOW_NS;
    return NW_AGAIN;
}

/* NW_AGAIN: it could not be done now. */
static nw_status command_do(struct nw_run *run, struct nw_error *err)
{
    const char *line = NULL;
    struct asked asked = {0};
    struct nw_error why = {0};
    char reason[REASON_SIZE];
    nw_status status = NW_OK;

    nw_run_pattern_step(run);
    line = nw_run_asked(run);
    if (line == NULL || copy_command(run, line) || nw_run_pattern_answer(run, line) ||
        nw_run_stop_answer(run, line) || nw_run_lsn_answer(run) || nw_run_pause_answer(run)) {
        return NW_OK;
    }
    if (!line_parse(run, line, &asked)) {
        nw_run_answer(run, false,
                      asked.verb == VERB_RETRY
                          ? "NW2422 the sink that refused these rows is not configured any "
                            "more: nothing can be retried there"
                          : "an unknown command");
        return NW_OK;
    }
    status = table_find(run, &asked, &why);
    if (status == NW_OK) {
        reason_find(run, &asked, reason);
        status = reason[0] == '\0' ? NW_OK : nw_fail(&why, NW_REJECT, "%s", reason);
    }
    if (status == NW_OK && asked.filter[0] != '\0') {
        status = nw_run_filter_check(run, asked.quoted, asked.filter, &why);
    }
    if (status == NW_OK && publishes(&asked)) {
        status = publish(run, &asked, &why);
    }
    if (status != NW_OK) {
        return not_now(run, status, why.text);
    }
    status = begin(run, &asked, err);
    if (status != NW_OK) {
        (void)not_now(run, status, err->text);
    }
    return status == NW_REJECT ? NW_OK : status;
}

nw_status nw_run_commands(struct nw_run *run, struct nw_error *err)
{
    int64_t until_ns = run->env->ops->now_ns(run->env) + AT_ONCE_NS;
    nw_status status = command_do(run, err);

    for (uint32_t i = 1; i < AT_ONCE && status == NW_OK && nw_run_wishes_pending(run) &&
                         run->env->ops->now_ns(run->env) < until_ns;
         i++) {
        status = command_do(run, err);
    }
    nw_run_coming_note(run);
    return status == NW_AGAIN ? NW_OK : status;
}
