/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are paused, or stopped with their changes kept (source/backlog.h): what of them is
 * recorded, and what becomes of the files. A backlog is begun before its table is recorded as one
 * that has it, so a folder without such a record is of no use to anyone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/folder.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/run_private.h"

#define FOLDERS "backlogs"

/* The folder of a table's, or that of all (oid 0). NULL: out of memory */
static char *folder_of(const struct nw_run *run, uint32_t relation_oid)
{
    char *path = NULL;
    int printed = relation_oid == 0 ? asprintf(&path, "%s/" FOLDERS, run->options->state_folder)
                                    : asprintf(&path, "%s/" FOLDERS "/%" PRIu32,
                                               run->options->state_folder, relation_oid);

    return printed < 0 ? NULL : path;
}

static struct nw_backlog_options options_of(const struct nw_run *run, const char *folder)
{
    return (struct nw_backlog_options){.env = run->env,
                                       .folder = folder,
                                       .identity = run->server.identity,
                                       .quota_bytes = run->options->backlog_bytes};
}

nw_status nw_run_backlog_begin(struct nw_run *run, const struct nw_dealer_stop *stop,
                               struct nw_backlog **backlog, struct nw_error *err)
{
    char *parent = folder_of(run, 0);
    char *folder = folder_of(run, stop->table->relation_oid);
    nw_status status = parent == NULL || folder == NULL ? nw_fail(err, NW_FATAL, "out of memory")
                                                        : nw_state_folder_make(parent, err);

    if (status == NW_OK) {
        struct nw_backlog_options options = options_of(run, folder);

        status = nw_backlog_begin(&options, stop->table, stop->seen, stop->place, backlog, err);
    }
    if (status == NW_OK) {
        status = nw_tables_reached(run->table_states, stop->table->relation_oid,
                                   stop->place.commit_lsn, err);
    }
    free(parent);
    free(folder);
    return status;
}

/* It stopped just before its copy began, which is instead of what was kept: it is being copied. */
static nw_status copied_instead(struct nw_run *run, const struct nw_backlog *backlog,
                                struct nw_error *err)
{
    bool appends = nw_run_any_appends(run, UINT32_MAX);
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == backlog->relation_oid && trouble.sink[0] == '\0' &&
            trouble.lsn == backlog->from.commit_lsn &&
            nw_table_condition_keeps(trouble.condition)) {
            trouble.condition = appends ? NW_TABLE_ASKED : NW_TABLE_WAITING;
            (void)snprintf(
                trouble.reason, sizeof trouble.reason,
                "NW1505 it is copied; it stopped just before, and its copy is instead of what "
                "was kept%s",
                appends ? ": rows that were deleted since then stay where a sink keeps "
                          "what it has"
                        : "");
            nw_log(NW_LOG_WARN, "%.6s table %s.%s: %s", nw_code_or(trouble.reason, "NW1505"),
                   trouble.schema_name, trouble.table_name, nw_code_rest(trouble.reason));
            return nw_tables_set(run->table_states, &trouble, err);
        }
    }
    return NW_OK;
}

nw_status nw_run_backlog_end(void *context, struct nw_backlog *backlog, bool resumed,
                             struct nw_error *err)
{
    struct nw_run *run = context;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (resumed && backlog->sinks != 0) {
        status = nw_run_apart_resumed(run, backlog, err);
    } else if (resumed) {
        status = nw_tables_resumed(run->table_states, backlog->relation_oid, err);
    } else if (backlog->sinks == 0) {
        status = copied_instead(run, backlog, err);
    }
    if (status == NW_OK && nw_backlog_remove(backlog, &why) != NW_OK) {
        nw_log(NW_LOG_WARN,
               "NW2509 changes that were kept are not needed any more, and not removed: %s",
               nw_code_rest(why.text));
    }
    return status;
}

/* ---- at a start ---- */

nw_status nw_run_backlog_gone(struct nw_run *run, const struct nw_table_trouble *table,
                              const char *reason, struct nw_error *err)
{
    struct nw_table_trouble trouble = *table;

    trouble.condition = NW_TABLE_STOPPED;
    (void)snprintf(trouble.reason, sizeof trouble.reason, "%.900s", reason);
    nw_log(NW_LOG_ERROR, "%.6s table %s.%s%s%s: %s; narwal table repair copies it again",
           nw_code_or(reason, "NW2515"), table->schema_name, table->table_name,
           table->sink[0] == '\0' ? "" : " at sink ", table->sink, nw_code_rest(reason));
    return nw_tables_set(run->table_states, &trouble, err);
}

/*
 * Whether the server, promoted since this was kept, has all of it: else what comes now below its
 * end would be taken for kept already, and what the server never had would be dealt.
 * @return NW_FATAL: it has not.
 */
static nw_status history_check(const struct nw_run *run, const struct nw_backlog *backlog,
                               struct nw_error *err)
{
    uint32_t timeline = run->source.identity.timeline;

    return run->source.known && timeline != run->server.identity.timeline
               ? nw_server_history_check(&run->server, timeline, nw_backlog_end_lsn(backlog), err)
               : NW_OK;
}

/* Opens what is kept of a table. An error is for the run; what is lost is the table's. */
nw_status nw_run_backlog_open(struct nw_run *run, const struct nw_table_trouble *table,
                              struct nw_backlog **backlog, struct nw_error *err)
{
    char *folder = folder_of(run, table->relation_oid);
    struct nw_backlog_options options = options_of(run, folder);
    struct nw_error why = {0};
    char reason[NW_ERROR_TEXT_SIZE] = "NW2515 what was kept of it is not there any more";
    uint64_t reached_lsn = 0;
    nw_status status =
        nw_tables_reached_lsn(run->table_states, table->relation_oid, &reached_lsn, err);

    *backlog = NULL;
    if (status != NW_OK || folder == NULL) {
        free(folder);
        return status == NW_OK ? nw_fail(err, NW_FATAL, "out of memory") : status;
    }
    status = nw_backlog_open(&options, table->relation_oid, reached_lsn, backlog, &why);
    if (status != NW_OK) {
        (void)snprintf(
            reason, sizeof reason,
            "NW2515 what was kept of it in %.600s is damaged, incomplete or cannot be read",
            folder);
    } else {
        status = history_check(run, *backlog, err);
    }
    free(folder);
    if (*backlog != NULL && status != NW_OK) {
        nw_backlog_destroy(*backlog);
        *backlog = NULL;
        (void)snprintf(reason, sizeof reason,
                       "NW2515 the server was promoted without some of what was kept of it");
        return status == NW_FATAL ? nw_run_backlog_gone(run, table, reason, err) : status;
    }
    return *backlog != NULL ? NW_OK : nw_run_backlog_gone(run, table, reason, err);
}

static nw_status find_one(struct nw_run *run, const struct nw_table_trouble *table,
                          struct nw_error *err)
{
    struct nw_backlog *backlog = NULL;
    nw_status status = nw_run_backlog_open(run, table, &backlog, err);
    const char *sink =
        backlog == NULL ? NULL : nw_run_held_before(run, table->relation_oid, backlog->from);

    if (sink != NULL) {
        char reason[NW_ERROR_TEXT_SIZE];

        nw_backlog_destroy(backlog);
        (void)snprintf(reason, sizeof reason,
                       "NW2515 what came of it before that waited at sink %s for a copy when "
                       "narwal ended, and is lost",
                       sink);
        return nw_run_backlog_gone(run, table, reason, err);
    }
    if (backlog != NULL && run->backlogs_count < NW_BEHIND_MAX) {
        run->backlogs[run->backlogs_count++] =
            (struct nw_run_backlog){backlog, table->condition == NW_TABLE_RESUMING};
    } else {
        nw_backlog_destroy(backlog);
    }
    return status;
}

/* Why what is kept of a table cannot be gone on with, whatever is in it; NULL: it can. */
static const char *unusable(const struct nw_run *run, const struct nw_table_trouble *table)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (run->members[i].lsn == 0) {
            return "NW2515 a sink is new, and what was kept of it does not make the table whole "
                   "there";
        }
    }
    return nw_schemas_find(run->schemas, table->relation_oid) == NULL
               ? "NW2515 it is not published any more, or was dropped"
               : NULL;
}

/* Whether something is recorded of a table at a sink. */
static bool is_known(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && nw_run_trouble_is_at(run, &trouble, sink)) {
            return true;
        }
    }
    return false;
}

/* A sink says that it is without some of a table's changes, and nothing here knows of it. */
static nw_status lack_note(struct nw_run *run, uint32_t sink, uint32_t relation_oid,
                           struct nw_error *err)
{
    const struct nw_table *table = nw_schemas_find(run->schemas, relation_oid);
    struct nw_table_trouble trouble = {.relation_oid = relation_oid,
                                       .condition = NW_TABLE_WAITING,
                                       .since_us = run->env->ops->wall_us(run->env)};

    if (table == NULL || is_known(run, sink, relation_oid) || !nw_run_table_wanted(run, table)) {
        return NW_OK;
    }
    (void)snprintf(trouble.schema_name, sizeof trouble.schema_name, "%s", table->schema_name);
    (void)snprintf(trouble.table_name, sizeof trouble.table_name, "%s", table->name);
    (void)snprintf(
        trouble.reason, sizeof trouble.reason,
        "NW2515 sink %s is without changes that were left out, or kept in another state folder: "
        "it is copied again",
        run->options->sinks[sink].name);
    nw_log(NW_LOG_WARN, "%.6s table %s.%s: %s", nw_code_or(trouble.reason, "NW2515"),
           trouble.schema_name, trouble.table_name, nw_code_rest(trouble.reason));
    return nw_tables_set(run->table_states, &trouble, err);
}

void nw_run_behind_read(const struct nw_run_member *member, uint32_t index,
                        struct nw_behind_list *behind)
{
    const struct nw_position *position = &member->recovered.positions[index];
    struct nw_identity identity;
    struct nw_error ignored;
    uint64_t lsn = 0;

    if (position->size == 0 ||
        nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &identity, &lsn,
                           behind, &ignored) != NW_OK) {
        behind->count = 0;
    }
}

static nw_status lacks_note(struct nw_run *run, struct nw_error *err)
{
    struct nw_behind_list behind;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        for (uint32_t p = 0; p < run->members[i].recovered.positions_count; p++) {
            nw_run_behind_read(&run->members[i], p, &behind);
            for (uint32_t t = 0; t < behind.count && status == NW_OK; t++) {
                if (!nw_run_is_held(run, i, &behind.tables[t])) {
                    status = lack_note(run, i, behind.tables[t].relation_oid, err);
                }
            }
        }
    }
    return status;
}

/* Removes folders that no table is recorded to have. */
static nw_status leftover_remove(void *context, const char *name, bool is_folder,
                                 struct nw_error *err)
{
    struct nw_run *run = context;
    uint32_t relation_oid = (uint32_t)strtoul(name, NULL, 10);
    char *folder = folder_of(run, relation_oid);
    struct nw_error why = {0};

    (void)err;
    if (is_folder && relation_oid != 0 && folder != NULL &&
        !nw_tables_keeps(run->table_states, relation_oid)) {
        struct nw_backlog_options options = options_of(run, folder);

        if (nw_backlog_discard(&options, &why) != NW_OK) {
            nw_log(NW_LOG_WARN,
                   "NW2509 what is in %s is of no use any more, and cannot be removed: %s", folder,
                   nw_code_rest(why.text));
        }
    }
    free(folder);
    return NW_OK;
}

static nw_status leftovers_remove(struct nw_run *run, struct nw_error *err)
{
    char *parent = folder_of(run, 0);
    nw_status status = parent == NULL ? nw_fail(err, NW_FATAL, "out of memory")
                                      : nw_state_folder_make(parent, err);

    if (status == NW_OK) {
        status = run->env->ops->folder_list(run->env, parent, leftover_remove, run, err);
    }
    free(parent);
    return status;
}

nw_status nw_run_backlogs_find(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble table;
    nw_status status = NW_OK;

    run->backlogs_count = 0;
    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &table); i++) {
        if (nw_tables_kept(run->table_states, table.relation_oid) && table.sink[0] == '\0') {
            const char *reason = unusable(run, &table);

            status = reason == NULL ? find_one(run, &table, err)
                                    : nw_run_backlog_gone(run, &table, reason, err);
        }
    }
    status = status == NW_OK ? nw_run_aparts_find(run, err) : status;
    status = status == NW_OK ? leftovers_remove(run, err) : status;
    status = status == NW_OK ? nw_run_held_losses(run, err) : status;
    return status == NW_OK ? lacks_note(run, err) : status;
}

/* Tells the sinks' sequencers what their positions said of tables that are behind. */
static nw_status behind_tell(struct nw_run *run, uint32_t sink, struct nw_error *err)
{
    const struct nw_run_member *member = &run->members[sink];
    bool one = member->recovered.positions_count == 1; /* for all workers */
    struct nw_behind_list behind;
    nw_status status = NW_OK;

    for (uint32_t p = 0; p < member->recovered.positions_count; p++) {
        nw_run_behind_read(member, p, &behind);
        for (uint32_t t = 0; t < behind.count && status == NW_OK; t++) {
            if (behind.tables[t].relation_oid != NW_BEHIND_UNFINISHED &&
                !nw_run_is_held(run, sink, &behind.tables[t])) {
                status = nw_sequencer_behind(nw_engine_sequencer(run->engine, sink),
                                             one ? UINT32_MAX : p, &behind.tables[t], false, err);
            }
        }
    }
    return status == NW_OK ? nw_run_held_tell(run, sink, err) : status;
}

nw_status nw_run_backlogs_give(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        status = behind_tell(run, i, err);
    }
    for (uint32_t i = 0; i < run->backlogs_count; i++) {
        nw_engine_backlog(run->engine, run->backlogs[i].backlog, run->backlogs[i].resumes);
    }
    run->backlogs_count = 0; /* they are the engine's */
    return status == NW_OK ? nw_run_aparts_give(run, err) : status;
}

nw_status nw_run_backlogs_give_up(struct nw_run *run, const char *reason, struct nw_error *err)
{
    struct nw_table_trouble table;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &table); i++) {
        if (nw_table_condition_keeps(table.condition)) {
            status = nw_run_backlog_gone(run, &table, reason, err);
        }
    }
    nw_run_backlogs_close(run); /* the next start removes the folders */
    return status;
}

void nw_run_backlogs_close(struct nw_run *run)
{
    for (uint32_t i = 0; i < run->backlogs_count; i++) {
        nw_backlog_destroy(run->backlogs[i].backlog);
    }
    for (uint32_t i = 0; i < run->aparts_count; i++) {
        nw_backlog_destroy(run->aparts[i].backlog);
    }
    run->backlogs_count = 0;
    run->aparts_count = 0;
}

uint64_t nw_run_play_lsn(const struct nw_run *run)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        const struct nw_sink_recovered *recovered = &run->members[i].recovered;

        for (uint32_t p = 0; p < recovered->positions_count; p++) {
            highest = recovered->positions[p].lsn > highest ? recovered->positions[p].lsn : highest;
        }
    }
    return highest;
}
