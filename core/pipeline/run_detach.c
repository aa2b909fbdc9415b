/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks that are left out. One that takes nothing while others go on is detached when it is
 * configured so, or by a command; what it has holds nothing back from then on, also over restarts.
 * The attempt ends, and the next begins without it, as after a crash. It comes back by a command:
 * where the slot has gone past its position it is told that copies of all its tables began, and
 * they are made beside the stream, as for a sink that was added. Main thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/text.h"
#include "pipeline/run_private.h"

#define BUSY_NS 1000000000LL /* a call that takes longer is one that its sink waits for */

/* ---- who takes part ---- */

nw_status nw_run_sinks_choose(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_options *own = &run->own;

    *own = *run->given;
    own->sinks_count = 0;
    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        const struct nw_detached_sink *detached =
            nw_detached_find(&run->detached, run->given->sinks[i].name);

        if (detached == NULL || detached->attaches) {
            run->place[own->sinks_count] = i;
            own->sinks[own->sinks_count++] = run->given->sinks[i];
        }
    }
    return own->sinks_count > 0 ? NW_OK
                                : nw_fail(err, NW_FATAL,
                                          "NW2372 every sink of the configuration is detached: "
                                          "narwal sink attach %s",
                                          run->given->sinks[0].name);
}

void nw_run_options_follow(struct nw_run *run)
{
    struct nw_run_options *own = &run->own;

    own->copy_rate_bytes = run->given->copy_rate_bytes;
    own->retained_wal_bytes = run->given->retained_wal_bytes;
    own->drop_slot = run->given->drop_slot;
    own->snapshot_age_us = run->given->snapshot_age_us;
    own->renew_snapshot = run->given->renew_snapshot;
    own->drain_us = run->given->drain_us;
    own->standby_us = run->given->standby_us;
}

/* Its place in an attempt; -1: it has none. */
static int place_of(const struct nw_run *run, uint32_t configured)
{
    for (uint32_t i = 0; i < run->own.sinks_count; i++) {
        if (run->place[i] == configured) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- what stands still ---- */

/* What one that retries writes it may write again and again: only its commits count. */
static bool moves(struct nw_run_stall *stall, const struct nw_sink_status *now)
{
    bool commits = now->commits != stall->commits;
    bool writes =
        now->rows != stall->rows || now->batches != stall->batches || now->copies != stall->copies;

    stall->commits = now->commits;
    stall->rows = now->rows;
    stall->batches = now->batches;
    stall->copies = now->copies;
    return commits || (writes && now->retries == 0);
}

static bool is_idle(const struct nw_sink_status *now)
{
    return now->state == NW_SINK_STATE_RUNNING && now->retries == 0 &&
           now->held_bytes + now->spilled_bytes <= now->waiting_bytes;
}

void nw_run_stalls_note(struct nw_run *run)
{
    enum nw_run_phase phase = run->status.phase;
    bool attempt = phase != NW_RUN_STARTING && phase != NW_RUN_PAUSED && phase != NW_RUN_STANDBY;
    int64_t now_ns = run->env->ops->now_ns(run->env);

    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        struct nw_run_stall *stall = &run->stalls[i];
        const struct nw_sink_status *now = &run->status.sinks[i];
        bool moved = attempt && moves(stall, now);
        /* Between two attempts nothing moves, for the sake of those that failed. */
        bool rests = attempt ? is_idle(now) : (run->unopened >> i & 1u) == 0;

        rests = rests || nw_run_is_detached(run, i);

        if (moved || rests || stall->moved_ns == 0) {
            stall->moved_ns = now_ns;
            stall->said = false;
        }
    }
}

static int64_t stands_ns(const struct nw_run *run, uint32_t configured)
{
    return run->env->ops->now_ns(run->env) - run->stalls[configured].moved_ns;
}

/* Whether it is seen that it stands by itself: others may just wait for what it holds up. */
static bool is_culprit(const struct nw_run *run, uint32_t configured)
{
    int64_t now_ns = run->env->ops->now_ns(run->env);
    const struct nw_sink *sink = run->status.members[configured];

    return (run->unopened >> configured & 1u) != 0 || run->status.sinks[configured].retries > 0 ||
           (sink != NULL && nw_sink_busy_ns(sink, now_ns) >= BUSY_NS);
}

/*
 * Whether another one goes on, or would without this one, for whose sake it may be left out. One
 * that moved last about when this one did may have stopped for the same reason.
 */
static bool others_go_on(const struct nw_run *run, uint32_t configured)
{
    int64_t recent_ns = run->given->sinks[configured].stalled_after_us * 1000 / 2;
    bool culprit = is_culprit(run, configured);

    for (uint32_t i = 0; i < run->own.sinks_count; i++) {
        uint32_t other = run->place[i];

        if (other != configured &&
            (stands_ns(run, other) < recent_ns || (culprit && !is_culprit(run, other)))) {
            return true;
        }
    }
    return false;
}

/* Recorded for good before anything else; the attempt that still has it ends. */
static nw_status detach(struct nw_run *run, uint32_t configured, const char *reason,
                        struct nw_error *err)
{
    struct nw_detached_sink sink = {.since_us = run->env->ops->wall_us(run->env),
                                    .lsn = run->durable_lsns[configured]};
    nw_status status = NW_OK;

    (void)snprintf(sink.name, sizeof sink.name, "%s", run->given->sinks[configured].name);
    (void)snprintf(sink.reason, sizeof sink.reason, "%s", reason);
    nw_log(NW_LOG_WARN, "%s", reason);
    status = nw_detached_set(run->state, &run->detached, &sink, err);
    nw_crash_point("detach");
    run->anew = run->anew || status == NW_OK;
    return status;
}

nw_status nw_run_hang_judge(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    const struct nw_run_sink *sink = &run->options->sinks[index];
    struct nw_error why = *err;
    char reason[NW_ERROR_TEXT_SIZE];
    nw_status status = NW_OK;

    if (!sink->detaches || run->options->sinks_count == 1 || nw_run_leaves(run, index)) {
        return why.status;
    }
    (void)snprintf(reason, sizeof reason,
                   "NW2370 sink %s is detached, as its option stalled says: %.300s. The others go "
                   "on, and its position holds nothing back any more: narwal sink attach %s brings "
                   "it back, with new copies",
                   sink->name, nw_code_rest(why.text), sink->name);
    status = detach(run, run->place[index], reason, err);
    return status == NW_OK ? nw_fail(err, NW_RETRY, "%s", reason) : status;
}

bool nw_run_is_detached(const struct nw_run *run, uint32_t configured)
{
    const struct nw_detached_sink *found =
        nw_detached_find(&run->detached, run->given->sinks[configured].name);

    return found != NULL && !found->attaches;
}

bool nw_run_leaves(const struct nw_run *run, uint32_t index)
{
    return nw_run_is_detached(run, run->place[index]);
}

static nw_status stall_judge(struct nw_run *run, uint32_t configured, int64_t after_ns,
                             struct nw_error *err)
{
    const struct nw_run_sink *sink = &run->given->sinks[configured];
    struct nw_run_stall *stall = &run->stalls[configured];
    const char *why = run->blamed == (int)configured ? run->status.last_error.text
                                                     : run->status.sinks[configured].reason;
    char reason[NW_ERROR_TEXT_SIZE];
    char time[NW_NUMBER_TEXT_SIZE];

    if (!sink->detaches || stands_ns(run, configured) < after_ns) {
        return NW_OK;
    }
    (void)nw_duration_text(time, (double)stands_ns(run, configured) / 1e9);
    if (run->own.sinks_count > 1 && others_go_on(run, configured)) {
        (void)snprintf(reason, sizeof reason,
                       "NW2370 sink %s is detached, as its option stalled says: it has taken "
                       "nothing for %s%s%.300s. The others go on, and its position holds nothing "
                       "back any more: narwal sink attach %s brings it back, with new copies",
                       sink->name, time, why[0] == '\0' ? "" : ": ", nw_code_rest(why), sink->name);
        return detach(run, configured, reason, err);
    }
    if (!stall->said) {
        stall->said = true;
        nw_log(NW_LOG_WARN,
               "NW2371 sink %s has taken nothing for %s, and is not detached, as no other one goes "
               "on: it is waited for, and the slot holds WAL",
               sink->name, time);
    }
    return NW_OK;
}

nw_status nw_run_stalls_judge(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->given->sinks_count && status == NW_OK && !run->anew; i++) {
        if (place_of(run, i) >= 0) {
            status = stall_judge(run, i, run->given->sinks[i].stalled_after_us * 1000, err);
        }
    }
    return status;
}

/* ---- by a command ---- */

NW_PRINTF(3, 4)
static void say(struct nw_run *run, bool well, const char *format, ...)
{
    char text[NW_ERROR_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    nw_log(well ? NW_LOG_INFO : NW_LOG_WARN, "%s", text);
    run->options->answer(run->options->context, well, text);
}

static int configured_index(const struct nw_run *run, const char *name)
{
    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        if (strcmp(run->given->sinks[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void detach_asked(struct nw_run *run, const char *name, struct nw_error *err)
{
    int index = configured_index(run, name);
    char reason[NW_ERROR_TEXT_SIZE];

    (void)snprintf(reason, sizeof reason,
                   "NW2372 sink %s is detached, as a user asked: its position holds nothing back "
                   "any more",
                   name);
    if (index < 0) {
        say(run, false, "NW1504 there is no sink %s in the configuration", name);
    } else if (nw_detached_find(&run->detached, name) != NULL) {
        say(run, false, "NW1505 sink %s is detached already", name);
    } else if (run->own.sinks_count == 1) {
        say(run, false, "NW1505 sink %s is the last one: narwal pause, or end narwal", name);
    } else if (detach(run, (uint32_t)index, reason, err) != NW_OK) {
        say(run, false, "%s", err->text);
    } else {
        say(run, true,
            "sink %s is detached: the others go on, and it gets nothing until narwal "
            "sink attach",
            name);
    }
}

static void attach_asked(struct nw_run *run, const char *name, struct nw_error *err)
{
    const struct nw_detached_sink *found = nw_detached_find(&run->detached, name);
    int index = configured_index(run, name);
    struct nw_detached_sink sink;

    if (index < 0) {
        say(run, false, "NW1504 there is no sink %s in the configuration", name);
        return;
    }
    if (found == NULL || found->attaches) {
        say(run, false, "NW1505 sink %s is not detached", name);
        return;
    }
    if (run->stalls[index].hangs) {
        say(run, false,
            "NW2374 a call of sink %s hangs in its plugin: restart narwal, then attach "
            "it",
            name);
        return;
    }
    sink = *found;
    sink.attaches = true;
    if (nw_detached_set(run->state, &run->detached, &sink, err) != NW_OK) {
        say(run, false, "%s", err->text);
        return;
    }
    run->anew = true;
    say(run, true,
        "sink %s is attached: it goes on where it stopped as far as the slot still has "
        "that, and gets new copies of its tables otherwise, beside the stream",
        name);
}

bool nw_run_sink_command(struct nw_run *run, const char *line)
{
    static const char detaches[] = "sink detach ";
    static const char attaches[] = "sink attach ";
    struct nw_error why = {0};

    if (line == NULL) {
        return false;
    }
    if (strncmp(line, detaches, sizeof detaches - 1) == 0) {
        detach_asked(run, line + sizeof detaches - 1, &why);
        return true;
    }
    if (strncmp(line, attaches, sizeof attaches - 1) == 0) {
        attach_asked(run, line + sizeof attaches - 1, &why);
        return true;
    }
    return false;
}

/* ---- coming back ---- */

/* What was recorded of tables at it is over: all of them are copied. */
static nw_status troubles_forget(struct nw_run *run, const char *name, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;
    uint32_t i = 0;

    while (status == NW_OK && nw_tables_at(run->table_states, i, &trouble)) {
        if (strcmp(trouble.sink, name) == 0) {
            status = nw_tables_remove(run->table_states, trouble.relation_oid, name, err);
        } else {
            i++;
        }
    }
    return status;
}

static nw_status copies_list(struct nw_run *run, struct nw_sink_recopy *copies, uint32_t *count,
                             struct nw_error *err)
{
    nw_status status = NW_OK;

    *count = 0;
    for (uint32_t i = 0; i < nw_schemas_count(run->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);
        const struct nw_projection *projection = NULL;

        if (nw_run_table_wanted(run, table)) {
            status = nw_run_table_project(run, table, &projection, err);
            copies[(*count)++] =
                (struct nw_sink_recopy){nw_table_seen(table, projection), run->source.generation};
        }
    }
    return status;
}

static nw_status unfinished_discard(struct nw_run_member *member, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < member->recovered.copies_count && status == NW_OK; c++) {
        const struct nw_copy_state *copy = &member->recovered.copies[c];

        if (!copy->complete) {
            status = nw_sink_resolve(member->sink, copy->relation_oid, copy->generation,
                                     NW_COPY_DISCARD, err);
        }
    }
    return status;
}

/* What the server says was confirmed may be of before what it was told: after a crash, or on a
 * standby that was promoted. */
static uint64_t slot_lsn(const struct nw_run *run)
{
    return run->confirmed_lsn > run->source.acknowledged_lsn ? run->confirmed_lsn
                                                             : run->source.acknowledged_lsn;
}

/* To where the slot stands, with copies of all its tables to come. */
static nw_status member_move(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    struct nw_run_member *member = &run->members[index];
    struct nw_sink_recopy *copies =
        nw_arena_array(&run->arena, nw_schemas_count(run->schemas) + 1u, sizeof *copies);
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    struct nw_position position = {.bytes = bytes, .lsn = slot_lsn(run)};
    uint32_t count = 0;
    nw_status status = NW_OK;

    if (copies == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the list of tables");
    }
    for (uint32_t c = 0; c < member->recovered.copies_count; c++) {
        uint32_t generation = member->recovered.copies[c].generation;

        run->source.generation =
            generation > run->source.generation ? generation : run->source.generation;
    }
    run->source.generation++;
    position.size = nw_position_pack(&run->server.identity, position.lsn, NULL, bytes);
    status = unfinished_discard(member, err);
    status = status == NW_OK ? copies_list(run, copies, &count, err) : status;
    status = status == NW_OK ? nw_state_source_write(run->state, &run->source, err) : status;
    status = status == NW_OK ? nw_sink_move(member->sink, &position, copies, count, err) : status;
    nw_crash_point("attach");
    return status;
}

/* Whether the slot still has all that the sink lacks, or it has nothing and gets all anyway. */
static bool goes_on(const struct nw_run *run, const struct nw_run_member *member)
{
    return (member->lsn == 0 && member->recovered.copies_count == 0) ||
           (member->lsn != 0 && nw_run_held_need(member, member->lsn) >= slot_lsn(run));
}

static bool others_stream(const struct nw_run *run, uint32_t index)
{
    bool found = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        found = found || (i != index && run->members[i].lsn != 0);
    }
    return found;
}

/* What is kept of tables for all sinks has no beginning for one that begins anew. */
static const char *kept_table(struct nw_run *run)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.sink[0] == '\0' && nw_table_condition_keeps(trouble.condition)) {
            return nw_arena_text(&run->arena, trouble.table_name);
        }
    }
    return NULL;
}

/* It stays as it is: the others are not to suffer. */
static nw_status attach_fail(struct nw_run *run, uint32_t index, const char *why,
                             struct nw_error *err)
{
    struct nw_detached_sink sink = {.since_us = 0};
    const struct nw_detached_sink *found =
        nw_detached_find(&run->detached, run->options->sinks[index].name);
    nw_status status = NW_OK;

    sink = *found;
    sink.attaches = false;
    (void)snprintf(sink.reason, sizeof sink.reason,
                   "NW2373 sink %s could not be attached, and stays detached: %.600s", sink.name,
                   nw_code_rest(why));
    nw_log(NW_LOG_WARN, "%s", sink.reason);
    status = nw_detached_set(run->state, &run->detached, &sink, err);
    run->anew = true;
    return status == NW_OK ? nw_fail(err, NW_RETRY, "%s", sink.reason) : status;
}

bool nw_run_attaches(const struct nw_run *run, uint32_t index)
{
    const struct nw_detached_sink *found =
        nw_detached_find(&run->detached, run->options->sinks[index].name);

    return found != NULL && found->attaches;
}

nw_status nw_run_attach_failed(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    struct nw_error why = *err;

    return attach_fail(run, index, why.text, err);
}

static nw_status attach_fail_kept(struct nw_run *run, uint32_t index, const char *kept,
                                  struct nw_error *err)
{
    char text[NW_ERROR_TEXT_SIZE];

    (void)snprintf(text, sizeof text,
                   "NW2373 changes of table %s are kept, which belong behind what it had: "
                   "narwal table resume, or repair, it first",
                   kept);
    return attach_fail(run, index, text, err);
}

/* The table is to be copied to it; recorded for good. */
static nw_status waiting_set(struct nw_run *run, uint32_t index, const struct nw_table *table,
                             struct nw_error *err)
{
    struct nw_table_trouble trouble;

    nw_run_trouble_of(run, table, run->members[index].lsn, &trouble);
    trouble.condition = NW_TABLE_WAITING;
    (void)snprintf(trouble.sink, sizeof trouble.sink, "%s", run->options->sinks[index].name);
    (void)snprintf(trouble.reason, sizeof trouble.reason,
                   "NW2372 sink %s was detached, and lacks some of it: it is copied again there",
                   run->options->sinks[index].name);
    nw_log(NW_LOG_INFO, "table %s.%s: %s", table->schema_name, table->name,
           nw_code_rest(trouble.reason));
    return nw_tables_set(run->table_states, &trouble, err);
}

/* Nobody streams yet: it gets the copies that the others get, and of its own nothing is of use, as
 * the slot may not have what comes behind them. */
static nw_status copies_forget(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    const struct nw_sink_recovered *recovered = &run->members[index].recovered;
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < recovered->copies_count && status == NW_OK; c++) {
        uint32_t oid = recovered->copies[c].relation_oid;
        const struct nw_table *table = nw_schemas_find(run->schemas, oid);

        if (table != NULL && !nw_run_table_waits(run, index, oid)) {
            status = waiting_set(run, index, table, err);
        }
    }
    return status;
}

/* Where a whole copy ends; 0: there is none. */
static uint64_t copy_lsn(const struct nw_run_member *member, uint32_t relation_oid)
{
    const struct nw_copy_state *copy = nw_run_copy_of(member, relation_oid);
    struct nw_copy_progress progress;
    struct nw_error ignored;

    return copy != NULL && copy->complete &&
                   nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress,
                                  &ignored) == NW_OK
               ? progress.origin.fence_lsn
               : 0;
}

/* Whether another sink got a copy of the table that was not made for this one. */
static bool copied_meanwhile(const struct nw_run *run, uint32_t index, uint32_t relation_oid)
{
    const struct nw_run_member *member = &run->members[index];
    bool never =
        nw_run_copy_of(member, relation_oid) == NULL && run->options->snapshot != NW_SNAPSHOT_NEVER;
    uint64_t own_lsn = copy_lsn(member, relation_oid);
    bool found = false;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        uint64_t lsn = copy_lsn(&run->members[i], relation_oid);

        found = found || (lsn > own_lsn && (never || lsn > member->lsn));
    }
    return found;
}

/* What was kept for it may not have been written when it was detached: that is not gone on with. */
static nw_status kept_give_up(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;
    uint32_t i = 0;

    while (status == NW_OK && nw_tables_at(run->table_states, i, &trouble)) {
        const struct nw_table *table = nw_schemas_find(run->schemas, trouble.relation_oid);

        if (table != NULL && nw_table_condition_keeps(trouble.condition) &&
            strcmp(trouble.sink, run->options->sinks[index].name) == 0) {
            status = waiting_set(run, index, table, err);
            i = 0;
        } else {
            i++;
        }
    }
    return status;
}

/* It goes on where it stopped, but for tables of which it lacks what the stream does not have. */
static nw_status meanwhile_note(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    nw_status status = kept_give_up(run, index, err);

    for (uint32_t i = 0; i < nw_schemas_count(run->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);
        uint32_t oid = table->relation_oid;

        if (!nw_run_table_wanted(run, table) || nw_run_table_waits(run, index, oid) ||
            !copied_meanwhile(run, index, oid)) {
            continue;
        }
        if (nw_tables_kept(run->table_states, oid)) {
            return attach_fail_kept(run, index, table->name, err);
        }
        status = nw_run_left_out(run, index, oid) ? NW_OK : waiting_set(run, index, table, err);
    }
    return status;
}

/* From where the slot stands, with copies of all its tables. */
static nw_status member_begin(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    const char *kept = kept_table(run);
    nw_status status = NW_OK;

    if (kept != NULL) {
        return attach_fail_kept(run, index, kept, err);
    }
    /* Before it is told: once it was, nobody sees any more that it had to be. */
    status = troubles_forget(run, run->options->sinks[index].name, err);
    status = status == NW_OK ? member_move(run, index, err) : status;
    if (status == NW_RETRY || status == NW_REJECT) {
        return nw_run_attach_failed(run, index, err);
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "sink %s begins again with copies of its tables",
               run->options->sinks[index].name);
        run->anew = true; /* it is opened again, and says what it has */
        status = nw_fail(err, NW_RETRY, "NW2373 sink %s is opened again",
                         run->options->sinks[index].name);
    }
    return status;
}

static nw_status member_attach(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    const struct nw_run_member *member = &run->members[index];

    if (!run->slot_found) {
        return NW_OK;
    }
    if (member->lsn == 0 && !others_stream(run, index)) {
        return copies_forget(run, index, err);
    }
    if (!goes_on(run, member)) {
        return member_begin(run, index, err);
    }
    return member->lsn == 0 ? NW_OK : meanwhile_note(run, index, err);
}

nw_status nw_run_attach(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        if (nw_run_attaches(run, i)) {
            status = member_attach(run, i, err);
        }
    }
    return status;
}

nw_status nw_run_attached(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        const char *name = run->options->sinks[i].name;

        if (nw_run_attaches(run, i)) {
            nw_log(NW_LOG_INFO, "sink %s is with the others again", name);
            /* From now on it is seen whether it moves, however long this took. */
            run->stalls[run->place[i]].moved_ns = run->env->ops->now_ns(run->env);
            status = nw_detached_remove(run->state, &run->detached, name, err);
        }
    }
    return status;
}

void nw_run_detached_say(const struct nw_run *run)
{
    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        const struct nw_detached_sink *found =
            nw_detached_find(&run->detached, run->given->sinks[i].name);

        if (found != NULL && !found->attaches) {
            nw_log(NW_LOG_WARN,
                   "NW2372 sink %s is detached and gets nothing: narwal sink attach %s",
                   found->name, found->name);
        }
    }
}
