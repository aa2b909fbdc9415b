/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of all tables: what is recorded of each, and above that what its copy is at. It costs
 * what it takes to look at every table once, so it is made anew only so often that this is little
 * of the main thread's time.
 */
#include <stdlib.h>

#include "pipeline/run_private.h"

#define SHARE 50 /* the list is made again after so many times as long as it took */

/* ---- which there are ---- */

static void line_begin(const struct nw_run *run, uint32_t relation_oid, const char *schema_name,
                       const char *name, struct nw_table_line *line)
{
    bool streams = run->status.phase != NW_RUN_STARTING && run->status.phase != NW_RUN_PAUSED;

    *line = (struct nw_table_line){
        .relation_oid = relation_oid, .reason = "", .waits_for = streams ? "" : run->list_waits};
    (void)snprintf(line->schema_name, sizeof line->schema_name, "%s", schema_name);
    (void)snprintf(line->name, sizeof line->name, "%s", name);
    for (uint32_t s = 0; s < run->given->sinks_count; s++) {
        line->at[s] = nw_run_is_detached(run, s) ? NW_STATE_LEFT_OUT
                      : streams                  ? NW_STATE_STREAMING
                                                 : NW_STATE_WAITING;
    }
}

static bool followed_add(struct nw_run *run, struct nw_table_list *list)
{
    struct nw_followed_table table;
    struct nw_table_line line;

    for (uint32_t i = 0; nw_followed_at(run->followed_tables, i, &table); i++) {
        if (table.relation_oid == 0 ||
            !nw_table_filter_match(&run->options->server.publication.filter, table.schema_name,
                                   table.table_name)) {
            continue;
        }
        line_begin(run, table.relation_oid, table.schema_name, table.table_name, &line);
        if (!nw_table_list_add(list, &line)) {
            return false;
        }
    }
    return true;
}

static bool troubles_add(struct nw_run *run, struct nw_table_list *list)
{
    struct nw_table_trouble trouble;
    struct nw_table_line line;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        line_begin(run, trouble.relation_oid, trouble.schema_name, trouble.table_name, &line);
        if (!nw_table_list_add(list, &line)) {
            return false;
        }
    }
    return true;
}

/* ---- what is recorded ---- */

static void trouble_apply(const struct nw_run *run, struct nw_table_list *list,
                          const struct nw_table_trouble *trouble)
{
    struct nw_table_line *line = nw_table_list_find(list, trouble->relation_oid);
    enum nw_table_state state = nw_table_state_of(trouble->condition);

    if (line == NULL) {
        return;
    }
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        enum nw_table_state *at = &line->at[run->place[s]];
        bool here = nw_run_trouble_is_at(run, trouble, s);

        *at = here && state < *at ? state : *at;
        /* One that is not followed at all is not waited for either. */
        *at = here && state == NW_STATE_LEFT_OUT ? state : *at;
    }
    if (line->reason[0] == '\0' || state < line->state) {
        line->reason = nw_table_list_text(list, "%s", trouble->reason);
        line->state = state;
        line->lsn = trouble->lsn;
        line->since_us = trouble->since_us;
    }
    line->waits_for = state == NW_STATE_WAITING ? line->waits_for : "";
}

/* ---- what copies are at ---- */

/* The sinks that get the copy, unless something else is with it there. */
static void copy_state_set(const struct nw_run *run, struct nw_table_line *line, uint32_t sinks,
                           enum nw_table_state state)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        enum nw_table_state *at = &line->at[run->place[s]];

        if ((sinks >> s & 1u) != 0 && (*at == NW_STATE_STREAMING || *at == NW_STATE_WAITING)) {
            *at = state;
        }
    }
}

static void progress_set(const struct nw_run *run, const struct nw_conductor_table *table,
                         struct nw_table_copy *copy)
{
    int64_t end_ns = table->ended_ns != 0 ? table->ended_ns : run->env->ops->now_ns(run->env);
    double took_s = table->began_ns == 0 ? 0 : (double)(end_ns - table->began_ns) / 1e9;

    *copy = (struct nw_table_copy){.known = table->fenced,
                                   .rows = table->rows,
                                   .bytes = table->bytes,
                                   .source_bytes = table->source_bytes,
                                   .done = table->done,
                                   .left_s = -1};
    if (took_s > 0) {
        copy->rows_a_second = (double)table->rows / took_s;
        copy->bytes_a_second = (double)table->bytes / took_s;
    }
    if (table->chunks_done == table->chunks && table->fenced) {
        copy->left_s = 0;
    } else if (took_s > 0 && table->done > 0) {
        copy->left_s = took_s / table->done * (1 - table->done);
    }
}

/* Sinks at which something is still missing, as "a, b". */
static void sinks_print(const struct nw_run *run, uint32_t sinks, char text[static 256])
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t s = 0; s < run->options->sinks_count && used < 256; s++) {
        if ((sinks >> s & 1u) != 0) {
            used += (size_t)snprintf(text + used, 256 - used, "%s%s", used == 0 ? "" : ", ",
                                     run->options->sinks[s].name);
        }
    }
}

const char *nw_run_fence_waits(const struct nw_run *run, struct nw_table_list *list)
{
    const char *blocker = nw_conductor_blocker(run->conductor);

    return blocker[0] == '\0'
               ? "its snapshot"
               : nw_table_list_text(list,
                                    "its snapshot, which transactions that began before have to "
                                    "end for: %s",
                                    blocker);
}

/* What the conductor has of one table. */
static void copying_apply(const struct nw_run *run, struct nw_table_list *list,
                          const struct nw_conductor_table *table, uint32_t sinks)
{
    struct nw_table_line *line = nw_table_list_find(list, table->relation_oid);
    bool first = run->status.phase == NW_RUN_COPYING;
    enum nw_table_state state = NW_STATE_COPYING;
    char names[256];

    if (line == NULL) {
        return;
    }
    progress_set(run, table, &line->copy);
    if (!table->fenced) {
        state = NW_STATE_WAITING;
        line->waits_for = nw_run_fence_waits(run, list);
    } else if (table->chunks_done == table->chunks) {
        state = first ? NW_STATE_WAITING : NW_STATE_COPYING;
        sinks_print(run, sinks, names);
        line->waits_for =
            first ? "the copies of the other tables, after which all stream"
                  : nw_table_list_text(list, "its copy to be durable at sink %s", names);
    } else if (table->locked) {
        state = table->chunks_done > 0 ? NW_STATE_COPYING : NW_STATE_WAITING;
        line->waits_for = nw_table_list_text(
            list, "a lock on it%s%s", table->locked_by[0] == '\0' ? "" : " of ", table->locked_by);
    } else if (table->chunks_given == 0) {
        state = NW_STATE_WAITING;
        line->waits_for = "its turn: larger tables are copied first";
    }
    copy_state_set(run, line, sinks, state);
}

static uint32_t join_sinks(const struct nw_run_joins *joins, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < joins->round_count; i++) {
        if (joins->round[i].relation_oid == relation_oid) {
            return joins->round[i].sinks;
        }
    }
    return 0;
}

static uint32_t first_sinks(const struct nw_run *run)
{
    uint32_t sinks = 0;

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        sinks |= run->members[s].needs_copy ? 1u << s : 0;
    }
    return sinks;
}

static void copies_apply(const struct nw_run *run, struct nw_table_list *list)
{
    size_t max = nw_conductor_list_max(run->conductor);
    struct nw_conductor_table *tables = calloc(max + 1, sizeof *tables);
    bool first = run->status.phase == NW_RUN_COPYING;
    size_t count = tables == NULL ? 0 : nw_conductor_list(run->conductor, run->engine, tables);

    for (size_t i = 0; i < count; i++) {
        copying_apply(run, list, &tables[i],
                      first ? first_sinks(run) : join_sinks(&run->joins, tables[i].relation_oid));
    }
    free(tables);
}

static void marks_apply(const struct nw_run *run, struct nw_table_list *list)
{
    const struct nw_run_joins *joins = &run->joins;
    const char *waits = NULL;
    char names[256];

    sinks_print(run, nw_run_marks_missing(run), names);
    waits = nw_table_list_text(list, "its mark in the stream, to come to sink %s", names);
    for (uint32_t i = 0; i < joins->round_count; i++) {
        struct nw_table_line *line = nw_table_list_find(list, joins->round[i].relation_oid);

        if (line != NULL) {
            line->waits_for = waits;
            copy_state_set(run, line, joins->round[i].sinks, NW_STATE_WAITING);
        }
    }
}

static void queue_apply(const struct nw_run *run, struct nw_table_list *list)
{
    const struct nw_run_joins *joins = &run->joins;
    const char *turn =
        joins->round_count == 0
            ? "its turn"
            : nw_table_list_text(list, "its turn: %u table%s copied before it", joins->round_count,
                                 joins->round_count == 1 ? " is" : "s are");

    for (uint32_t i = 0; i < joins->queued; i++) {
        struct nw_table_line *line = nw_table_list_find(list, joins->queue[i].relation_oid);

        if (line == NULL) {
            continue;
        }
        line->waits_for = turn;
        if (joins->locked_oid != 0) {
            line->waits_for = nw_table_list_text(
                list,
                joins->locked_oid == line->relation_oid ? "a lock on it%s%s"
                                                        : "a lock on another table that is "
                                                          "to be copied with it%s%s",
                joins->locked_by[0] == '\0' ? "" : " of ", joins->locked_by);
        }
        copy_state_set(run, line, joins->queue[i].sinks, NW_STATE_WAITING);
    }
}

/* ---- all of it ---- */

static void states_settle(const struct nw_run *run, struct nw_table_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct nw_table_line *line = &list->lines[i];

        line->state = NW_STATE_STREAMING;
        for (uint32_t s = 0; s < run->options->sinks_count; s++) {
            enum nw_table_state at = line->at[run->place[s]];

            line->state = at < line->state ? at : line->state;
        }
        if (line->state != NW_STATE_WAITING && line->state != NW_STATE_COPYING) {
            line->waits_for = "";
        }
        list->counts[line->state]++;
    }
}

static void list_make(struct nw_run *run)
{
    struct nw_table_list *list = &run->list;
    struct nw_table_trouble trouble;

    nw_table_list_clear(list);
    if (!followed_add(run, list) || !troubles_add(run, list)) {
        nw_table_list_clear(list); /* no list is better than half of one */
        return;
    }
    nw_table_list_settle(list);
    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        trouble_apply(run, list, &trouble);
    }
    if (run->status.phase == NW_RUN_COPYING || run->joins.phase >= NW_JOINS_COPYING) {
        copies_apply(run, list);
    } else if (run->joins.phase == NW_JOINS_MARKED) {
        marks_apply(run, list);
    }
    if (run->joins.queued > 0) {
        queue_apply(run, list);
    }
    states_settle(run, list);
}

void nw_run_list_make(struct nw_run *run)
{
    int64_t began_ns = run->env->ops->now_ns(run->env);

    if (began_ns >= run->list_due_ns) {
        list_make(run);
        run->list_due_ns = began_ns + (run->env->ops->now_ns(run->env) - began_ns) * SHARE;
    }
}
