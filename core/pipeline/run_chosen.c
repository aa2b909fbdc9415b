/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of some rows of a table, and copies that are stopped half way: both leave at the sinks
 * what they have of the others. So they are only of tables that go on while they are copied again
 * (NW_TABLE_ASKED), and at sinks that keep their rows (NW_SINK_APPEND_ONLY), of which each has had
 * all of the table before. A stopped copy is one whose other rows are none: it ends as any does,
 * with what was held behind it.
 *
 * What is recorded of such a table (chosen.h) does not count any more where a sink needs the whole
 * of it for another reason. Main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"
#include "pipeline/where.h"

/* ---- which rows ---- */

/* Whether the sink has all of the table, but for what a copy that is to begin anew will bring. */
static bool has_all(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    const struct nw_run_member *member = &run->members[sink];

    return nw_run_appends(run, sink) && member->lsn != 0 && !member->copies_void &&
           !nw_run_attaches(run, sink) &&
           !nw_tables_waits(run->table_states, relation_oid, run->options->sinks[sink].name);
}

nw_status nw_run_chosen_of(struct nw_run *run, uint32_t relation_oid, uint32_t sinks, bool *chosen,
                           struct nw_error *err)
{
    char filter[NW_CHOSEN_SIZE];
    bool whole = !nw_tables_asked(run->table_states, relation_oid);
    bool found = false;
    nw_status status = NW_OK;

    for (uint32_t s = 0; s < run->options->sinks_count && !whole; s++) {
        whole = (sinks >> s & 1u) != 0 && !has_all(run, s, relation_oid);
    }
    *chosen = false;
    if (!whole) {
        status = nw_chosen_read(run->state, relation_oid, &found, filter, err);
        *chosen = status == NW_OK && found && filter[0] != '\0';
    }
    return status;
}

nw_status nw_run_filter_of(struct nw_run *run, const struct nw_run_join *join,
                           char filter[static NW_CHOSEN_SIZE], struct nw_error *err)
{
    bool found = false;

    filter[0] = '\0';
    return join->chosen ? nw_chosen_read(run->state, join->relation_oid, &found, filter, err)
                        : NW_OK;
}

nw_status nw_run_filter_check(struct nw_run *run, const char *quoted, const char *filter,
                              struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = nw_server_control_open(&run->server, err);

    if (status == NW_OK) {
        status = nw_condition_check(run->server.control, quoted, filter, &why);
        if (status == NW_REJECT) {
            return nw_fail(err, NW_REJECT, "NW1505 no rows of %s can be chosen by that: %.300s",
                           quoted, nw_code_rest(why.text));
        }
        if (status != NW_OK) {
            *err = why;
        }
    }
    if (status == NW_RETRY) { /* whoever asks next opens it */
        nw_session_close(run->server.control);
        run->server.control = NULL;
    }
    return status;
}

/* Of what is recorded, and may be of other columns than the table has now. */
static nw_status table_check(struct nw_run *run, const struct nw_table *table, const char *filter,
                             struct nw_error *err)
{
    char schema_name[160] = "";
    char name[160] = "";
    char quoted[sizeof schema_name + sizeof name + 1];
    struct nw_error why = {0};
    nw_status status = nw_server_control_open(&run->server, err);

    if (status == NW_OK) {
        status = nw_session_quote_name(run->server.control, table->schema_name, schema_name,
                                       sizeof schema_name, err);
    }
    if (status == NW_OK) {
        status = nw_session_quote_name(run->server.control, table->name, name, sizeof name, err);
    }
    if (status != NW_OK) {
        return status;
    }
    (void)snprintf(quoted, sizeof quoted, "%s.%s", schema_name, name);
    status = nw_run_filter_check(run, quoted, filter, &why);
    if (status == NW_REJECT) {
        nw_log(NW_LOG_WARN, "NW2210 %s: nothing of it is copied, and it streams on",
               nw_code_rest(why.text));
    } else if (status != NW_OK) {
        *err = why;
    }
    return status;
}

/* Whether no sink that lacks the table has ever had anything of it, but of this copy. */
static bool is_first(struct nw_run *run, const struct nw_table *table)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        if (nw_run_table_missing(&run->members[s], table) &&
            (run->members[s].lsn != 0 || nw_run_table_waits(run, s, table->relation_oid))) {
            return false;
        }
    }
    return true;
}

/* By copy.where. A condition that cannot choose rows ends the run: nothing of them is copied. */
static nw_status first_choose(struct nw_run *run, const struct nw_table *table,
                              struct nw_arena *arena, const char **filter, struct nw_error *err)
{
    const char *condition =
        nw_copy_where_find(&run->options->copy_where, table->schema_name, table->name);
    nw_status status = NW_OK;

    *filter = NULL;
    if (condition == NULL || !is_first(run, table)) {
        return NW_OK;
    }
    status = nw_server_control_open(&run->server, err);
    if (status == NW_OK && strcmp(condition, NW_CHOSEN_NONE) != 0) {
        status = nw_copy_where_check(run->server.control, table->schema_name, table->name,
                                     condition, err);
    }
    if (status == NW_REJECT) {
        status = err->status = NW_FATAL;
    }
    if (status == NW_OK) {
        *filter = nw_arena_text(arena, condition);
        status =
            *filter == NULL ? nw_fail(err, NW_FATAL, "out of memory for a table's copy") : NW_OK;
    }
    return status;
}

/* Among those whose copies failed, or not any more. */
static void failed_set(struct nw_run *run, const struct nw_table *table, bool failed)
{
    struct nw_run_names *names = &run->wishes.failed;
    size_t kept = 0;
    char text[2 * NW_TABLE_NAME_SIZE + 16];
    char *grown = NULL;

    (void)pthread_mutex_lock(&run->wishes.mutex);
    for (size_t at = 0; at < names->size;) {
        size_t size = strlen(names->bytes + at) + 1;

        if (strtoul(names->bytes + at, NULL, 10) != table->relation_oid) {
            memmove(names->bytes + kept, names->bytes + at, size);
            kept += size;
        }
        at += size;
    }
    names->size = kept;
    if (failed) {
        size_t size = (size_t)snprintf(text, sizeof text, "%u %s.%s", table->relation_oid,
                                       table->schema_name, table->name) +
                      1;

        size = size > sizeof text ? sizeof text : size;
        grown = realloc(names->bytes, kept + size);
        if (grown != NULL) { /* else nobody is told */
            memcpy(grown + kept, text, size);
            names->bytes = grown;
            names->size += size;
        }
    }
    (void)pthread_mutex_unlock(&run->wishes.mutex);
}

void nw_run_choice_fails(void *context, const struct nw_table *table)
{
    failed_set(context, table, true);
}

nw_status nw_run_choose(void *context, const struct nw_table *table, struct nw_arena *arena,
                        const char **filter, bool *asked, struct nw_error *err)
{
    struct nw_run *run = context;
    const struct nw_run_join *join = nw_run_joins_find(run, table->relation_oid);
    char text[NW_CHOSEN_SIZE] = "";
    nw_status status = NW_OK;

    *asked = join != NULL;
    if (join == NULL) {
        return first_choose(run, table, arena, filter, err);
    }
    *filter = NULL;
    failed_set(run, table, false); /* a former copy of it is over */
    status = nw_run_filter_of(run, join, text, err);
    if (status != NW_OK || text[0] == '\0') {
        return status;
    }
    status = strcmp(text, NW_CHOSEN_NONE) == 0 ? NW_OK : table_check(run, table, text, err);
    if (status != NW_OK && status != NW_REJECT) {
        return status;
    }
    if (status == NW_REJECT) {
        failed_set(run, table, true);
    }
    *filter = nw_arena_text(arena, status == NW_OK ? text : NW_CHOSEN_NONE);
    return *filter == NULL ? nw_fail(err, NW_FATAL, "out of memory for a table's copy") : NW_OK;
}

static bool all_append(const struct nw_run *run, uint32_t sinks)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        if ((sinks >> s & 1u) != 0 && !nw_run_appends(run, s)) {
            return false;
        }
    }
    return true;
}

const char *nw_run_choice_fault(struct nw_run *run, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    if (!all_append(run, UINT32_MAX)) {
        return "rows of it can be chosen only where every sink keeps what it has of a table that "
               "is copied again, as Kafka does";
    }
    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid) {
            return "it does not stream as the others do, and needs a whole copy: narwal table "
                   "list says why";
        }
    }
    return nw_run_goes_on(run, relation_oid) ? NULL
                                             : "it is not followed yet, and needs a whole copy";
}

/* ---- as sinks ask for them ---- */

void nw_run_wish_split(char *text, bool quoted, char filter[static NW_CHOSEN_SIZE])
{
    bool within = false;

    filter[0] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        within = within != (quoted && *at == '"');
        if (!within && strncmp(at, NW_RUN_WHERE, sizeof NW_RUN_WHERE - 1) == 0) {
            (void)snprintf(filter, NW_CHOSEN_SIZE, "%s", at + sizeof NW_RUN_WHERE - 1);
            *at = '\0';
            return;
        }
    }
}

bool nw_run_wish_is_of(const char *command, const char *each)
{
    size_t size = strlen(each);

    return strncmp(command, each, size) == 0 &&
           (command[size] == '\0' ||
            strncmp(command + size, NW_RUN_WHERE, sizeof NW_RUN_WHERE - 1) == 0);
}

bool nw_run_queued_has(struct nw_run *run, uint32_t relation_oid, const char *filter)
{
    const struct nw_run_join *join = nw_run_joins_find(run, relation_oid);
    char queued[NW_CHOSEN_SIZE] = "";
    struct nw_error ignored = {0};

    return nw_run_filter_of(run, join, queued, &ignored) == NW_OK && strcmp(queued, filter) == 0;
}

/* ---- stopping ---- */

/* @return why it cannot be; NULL: it can */
static const char *stop_fault(struct nw_run *run, const struct nw_run_join *join, bool chosen)
{
    for (uint32_t s = 0; !join->fresh && s < run->options->sinks_count; s++) {
        chosen = chosen && ((join->sinks >> s & 1u) == 0 || has_all(run, s, join->relation_oid));
    }
    if (!all_append(run, join->sinks)) {
        return "a sink replaces the table by its copy, which half a copy cannot do: narwal copy "
               "pause stops the load";
    }
    if (!chosen || !nw_tables_asked(run->table_states, join->relation_oid)) {
        return "sinks lack something of the table that its copy brings: narwal copy pause stops "
               "the load";
    }
    return NULL;
}

nw_status nw_run_copy_stop(struct nw_run *run, uint32_t relation_oid, struct nw_error *err)
{
    struct nw_run_join *join = nw_run_joins_find(run, relation_oid);
    bool queued = nw_run_joins_waits(run, relation_oid);
    char filter[NW_CHOSEN_SIZE];
    const char *fault = NULL;
    bool chosen = false;
    nw_status status = NW_OK;

    if (join == NULL) {
        return nw_fail(err, NW_REJECT, "NW1505 it is not being copied");
    }
    status = nw_chosen_read(run->state, relation_oid, &chosen, filter, err);
    fault = status == NW_OK ? stop_fault(run, join, chosen) : NULL;
    if (status != NW_OK || fault != NULL) {
        return status != NW_OK
                   ? status
                   : nw_fail(err, NW_REJECT, "NW1505 the copy of %s.%s cannot be stopped: %s",
                             join->schema_name, join->name, fault);
    }
    nw_log(NW_LOG_INFO,
           "the copy of %s.%s is stopped: sinks keep what came of it, and it streams on",
           join->schema_name, join->name);
    status = nw_chosen_set(run->state, relation_oid, NW_CHOSEN_NONE, err);
    if (status == NW_OK && queued && join->fresh) { /* no sink has heard of it */
        status = nw_tables_copied(run->table_states, relation_oid, err);
        nw_run_joins_remove(run, join);
        return status == NW_OK ? nw_chosen_set(run->state, relation_oid, NULL, err) : status;
    }
    join->chosen = true;
    if (status == NW_OK && !queued && run->conductor != NULL) {
        nw_conductor_stop(run->conductor, run->engine, relation_oid);
    }
    return status;
}
