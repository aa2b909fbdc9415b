/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that sinks ask for (nw_host.ask), beside those of users: see run_commands.c. They wait
 * here until the main thread has time for them; what comes of them is logged. Over attempts.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"
#include "pipeline/run_wishes.h"
#include "pipeline/wished.h"

#define EACH   "tables refresh "
#define PAUSES "copy "

/* ---- what is asked for ---- */

static void wish_fill(struct nw_run_wish *wish, int64_t number, const char *sink,
                      const char *command, bool former)
{
    (void)snprintf(wish->command, sizeof wish->command, "%s", command);
    (void)snprintf(wish->sink, sizeof wish->sink, "%s", sink);
    wish->number = number;
    wish->former = former;
}

/* A pause of copies does not outlive narwal, nor does its end. */
static bool is_recorded(const char *command)
{
    return strncmp(command, PAUSES, sizeof PAUSES - 1) != 0;
}

/* @return its number; 0: it cannot be recorded, and the log says so */
static int64_t wish_record(struct nw_run *run, int64_t number, const char *sink,
                           const char *command, bool later)
{
    struct nw_error err = {0};

    if (nw_wished_add(run->state, number, sink, command, later, &err) == NW_OK) {
        return number;
    }
    nw_log(NW_LOG_ERROR, "%s", err.text);
    return 0;
}

void nw_run_wish_done(struct nw_run *run, int64_t number)
{
    struct nw_error err = {0};

    if (number != 0 && nw_wished_remove(run->state, number, &err) != NW_OK) {
        nw_log(NW_LOG_ERROR, "%s", err.text); /* it is done again, then */
    }
}

static bool is_configured(const struct nw_run *run, const char *sink)
{
    for (uint32_t i = 0; i < run->given->sinks_count; i++) {
        if (strcmp(run->given->sinks[i].config->name, sink) == 0) {
            return true;
        }
    }
    return false;
}

/* Who asked for it is there again. @return false: it is not in the list any more */
static bool wish_own(struct nw_run_wishes *wishes, int64_t number)
{
    bool found = false;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count && !found; i++) {
        found = wishes->list[i].number == number;
        wishes->list[i].former = wishes->list[i].former && !found;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return found;
}

static int64_t numbers_next(struct nw_run_wishes *wishes, uint32_t count)
{
    int64_t first = 0;

    (void)pthread_mutex_lock(&wishes->mutex);
    first = wishes->numbers + 1;
    wishes->numbers += count;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return first;
}

/* @return false: there is none */
static bool room_take(struct nw_run_wishes *wishes, uint32_t count)
{
    uint32_t used = 0;

    (void)pthread_mutex_lock(&wishes->mutex);
    used = wishes->count + wishes->reserved;
    if (count <= NW_RUN_WISHES_MAX - used) {
        wishes->reserved += count;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return count <= NW_RUN_WISHES_MAX - used;
}

/* The room that was taken is used, or given back. @param first  0: they are not recorded */
static void room_use(struct nw_run_wishes *wishes, const char *sink,
                     const struct nw_request *request, int64_t first, bool taken)
{
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->reserved -= request->commands_count;
    for (uint32_t i = 0; taken && i < request->commands_count; i++) {
        wish_fill(&wishes->list[wishes->count++], first == 0 ? 0 : first + i, sink,
                  request->commands[i], false);
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
}

/* Recorded before it is taken: who asked has a place in a stream, and passes it then. */
nw_status nw_run_wish(void *context, const char *sink, struct nw_request *request,
                      struct nw_error *err)
{
    struct nw_run *run = context;
    struct nw_run_wishes *wishes = &run->wishes;
    int64_t first = 0;
    nw_status status = NW_OK;

    if (!room_take(wishes, request->commands_count)) {
        return nw_fail(err, NW_AGAIN, "NW1505 too much is asked for at once: ask again");
    }
    if (is_recorded(request->commands[0])) {
        first = numbers_next(wishes, request->commands_count);
        status = nw_wished_ask(run->state, first, sink, request, err);
    }
    room_use(wishes, sink, request, first, status == NW_OK && !request->again);
    return status == NW_OK ? NW_OK : (err->status = NW_RETRY);
}

/* What a sink asked for behind that number, which has to be recorded. @return false: nothing */
static bool wish_next(struct nw_run_wishes *wishes, const char *sink, int64_t passed,
                      struct nw_run_wish *next)
{
    const struct nw_run_wish *found = NULL;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count; i++) {
        const struct nw_run_wish *wish = &wishes->list[i];

        if (wish->number > passed && (found == NULL || wish->number < found->number) &&
            strcmp(wish->sink, sink) == 0) {
            found = wish;
        }
    }
    if (found != NULL) {
        *next = *found;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return found != NULL;
}

/* By their numbers: the main thread takes others off the list meanwhile. */
nw_status nw_run_requests_tell(void *context, const char *sink, nw_request_fn each,
                               void *each_context, struct nw_error *err)
{
    struct nw_run *run = context;
    struct nw_run_wishes *wishes = &run->wishes;
    struct nw_run_wish wish = {0};
    nw_status status = NW_OK;

    while (status == NW_OK && wish_next(wishes, sink, wish.number, &wish)) {
        struct nw_wished_name name = {.key = ""};

        status = nw_wished_name(run->state, wish.number, sink, &name, err);
        if (status == NW_OK && name.key[0] != '\0' && wish_own(wishes, wish.number)) {
            each(each_context, name.key, name.note, wish.command);
        }
    }
    return status == NW_OK ? NW_OK : (err->status = NW_RETRY);
}

static void wish_read(void *context, int64_t number, const char *sink, const char *command,
                      bool later)
{
    struct nw_run_wishes *wishes = context;
    uint32_t *count = later ? &wishes->later_count : &wishes->count;

    if (*count < NW_RUN_WISHES_MAX) {
        wish_fill(later ? &wishes->later[*count] : &wishes->list[*count], number, sink, command,
                  true);
        (*count)++;
    }
}

/* Who asked is not configured any more: nobody waits for it. */
static void strangers_drop(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    uint32_t *const counts[] = {&wishes->count, &wishes->later_count};
    struct nw_run_wish *const lists[] = {wishes->list, wishes->later};

    for (uint32_t l = 0; l < 2; l++) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < *counts[l]; i++) {
            const struct nw_run_wish *wish = &lists[l][i];

            if (is_configured(run, wish->sink)) {
                lists[l][kept++] = *wish;
                continue;
            }
            nw_log(NW_LOG_WARN,
                   "NW2016 sink %s asked for %s, and is not configured any more: it is not done",
                   wish->sink, wish->command);
            nw_run_wish_done(run, wish->number);
        }
        *counts[l] = kept;
    }
}

nw_status nw_run_wishes_read(struct nw_run *run, struct nw_error *err)
{
    nw_status status =
        nw_wished_read(run->state, wish_read, &run->wishes, &run->wishes.numbers, err);

    if (status == NW_OK) {
        strangers_drop(run);
    }
    if (status == NW_OK && run->wishes.count + run->wishes.later_count > 0) {
        nw_log(NW_LOG_INFO, "%u commands that sinks asked for are still to be done",
               run->wishes.count + run->wishes.later_count);
    }
    return status;
}

/* ---- which tables are copied ---- */

void nw_run_names_add(struct nw_run_names *names, uint32_t relation_oid, const char *name)
{
    char text[2 * NW_TABLE_NAME_SIZE + 16];
    size_t size = (size_t)snprintf(text, sizeof text, "%u %s", relation_oid, name) + 1;
    char *grown = realloc(names->bytes, names->size + size);

    if (grown != NULL) { /* else one is not told of */
        memcpy(grown + names->size, text, size);
        names->bytes = grown;
        names->size += size;
    }
}

void nw_run_names_forget(struct nw_run_names *names)
{
    free(names->bytes);
    *names = (struct nw_run_names){0};
}

/* What was asked for by this is known, or refused: once for each time that it was asked for. */
void nw_run_wish_resolved(struct nw_run_wishes *wishes, const struct nw_run_wish *wish,
                          const char *pattern)
{
    struct nw_run_resolved *slot = NULL;

    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->coming_known = false; /* until these are among them */
    if (!wish->former) {
        slot = &wishes->resolved[wishes->resolved_count++ % NW_RUN_WISHES_MAX];
        nw_run_names_forget(&slot->names);
        slot->wish = *wish;
        (void)snprintf(slot->wish.command, sizeof slot->wish.command, "%s", pattern);
        slot->names = wishes->matches;
        wishes->matches = (struct nw_run_names){0};
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
}

void nw_run_wishes_drop(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    struct nw_error err = {0};
    uint32_t dropped = wishes->count + wishes->later_count;

    if (dropped == 0) {
        return;
    }
    nw_run_names_forget(&wishes->matches);
    for (uint32_t i = 0; i < wishes->count; i++) {
        const struct nw_run_wish *wish = &wishes->list[i];

        nw_log(NW_LOG_WARN,
               "NW2016 sink %s asked for %s before another narwal was the owner: it is not done",
               wish->sink, wish->command);
        if (strncmp(wish->command, EACH, sizeof EACH - 1) == 0) {
            nw_run_wish_resolved(wishes, wish, wish->command + sizeof EACH - 1);
        }
    }
    for (uint32_t i = 0; i < wishes->later_count; i++) {
        nw_log(NW_LOG_WARN,
               "NW2016 sink %s asked for %s before another narwal was the owner: it is not done",
               wishes->later[i].sink, wishes->later[i].command);
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->count = 0;
    (void)pthread_mutex_unlock(&wishes->mutex);
    wishes->later_count = 0;
    if (nw_wished_clear(run->state, &err) != NW_OK) {
        nw_log(NW_LOG_ERROR, "%s", err.text);
    }
}

static nw_status names_give(const struct nw_run_names *names, char *to, size_t size, size_t *used)
{
    *used = names->size;
    if (names->size > size) {
        return NW_REJECT;
    }
    if (names->size > 0) {
        memcpy(to, names->bytes, names->size);
    }
    return NW_OK;
}

static nw_status resolved_take(struct nw_run_resolved *slot, char *to, size_t size, size_t *used)
{
    nw_status status = names_give(&slot->names, to, size, used);

    if (status == NW_OK) {
        slot->wish.command[0] = '\0';
        nw_run_names_forget(&slot->names);
    }
    return status;
}

void nw_run_wishes_orphan(struct nw_run *run, const char *sink)
{
    struct nw_run_wishes *wishes = &run->wishes;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count; i++) {
        wishes->list[i].former = wishes->list[i].former || strcmp(wishes->list[i].sink, sink) == 0;
    }
    wishes->pattern.former = wishes->pattern.former || strcmp(wishes->pattern.sink, sink) == 0;
    for (uint32_t i = 0; i < NW_RUN_WISHES_MAX; i++) {
        if (strcmp(wishes->resolved[i].wish.sink, sink) == 0) {
            wishes->resolved[i].wish.command[0] = '\0';
            nw_run_names_forget(&wishes->resolved[i].names);
        }
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
}

/* By which it is found what a command stood for; NULL: it is none of those. */
static const char *resolved_name(const char *command)
{
    if (command == NULL || strncmp(command, NW_RUN_STOPS, sizeof NW_RUN_STOPS - 1) == 0) {
        return command;
    }
    return strncmp(command, EACH, sizeof EACH - 1) == 0 ? command + sizeof EACH - 1 : NULL;
}

nw_status nw_run_copies_tell(void *context, const char *sink, const char *command, char *names,
                             size_t size, size_t *used)
{
    struct nw_run_wishes *wishes = &((struct nw_run *)context)->wishes;
    const char *pattern = resolved_name(command);
    nw_status status = NW_AGAIN;

    *used = 0;
    (void)pthread_mutex_lock(&wishes->mutex);
    if (command == NULL && wishes->copied_known) {
        status = names_give(&wishes->copied, names, size, used);
    }
    wishes->coming_wanted = wishes->coming_wanted || (command != NULL && command[0] == '\0');
    if (command != NULL && command[0] == '\0' && wishes->coming_known) {
        status = names_give(&wishes->coming, names, size, used);
    }
    if (command != NULL && strcmp(command, "failed") == 0) {
        status = names_give(&wishes->failed, names, size, used);
    }
    for (uint32_t i = 0; pattern != NULL && status == NW_AGAIN && i < NW_RUN_WISHES_MAX; i++) {
        struct nw_run_resolved *slot =
            &wishes->resolved[(wishes->resolved_count + i) % NW_RUN_WISHES_MAX];

        if (slot->wish.command[0] != '\0' && strcmp(slot->wish.command, pattern) == 0 &&
            strcmp(slot->wish.sink, sink) == 0) {
            status = resolved_take(slot, names, size, used);
        }
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return status;
}

static bool copied_add(void *context, const struct nw_table *table)
{
    char name[2 * NW_TABLE_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    nw_run_names_add(context, table->relation_oid, name);
    return true;
}

void nw_run_copies_note(struct nw_run *run)
{
    struct nw_run_names copied = {0};

    (void)nw_conductor_tables(run->conductor, copied_add, &copied);
    (void)pthread_mutex_lock(&run->wishes.mutex);
    nw_run_names_forget(&run->wishes.copied);
    run->wishes.copied = copied;
    run->wishes.copied_known = true;
    (void)pthread_mutex_unlock(&run->wishes.mutex);
}

/* As in SQL, whatever is in it. @return behind it; size is 1 at the least then */
static char *name_quote(char *at, const char *end, const char *name)
{
    *at++ = '"';
    for (; *name != '\0' && end - at > 4; name++) {
        *at++ = *name;
        if (*name == '"') {
            *at++ = '"';
        }
    }
    *at++ = '"';
    *at = '\0';
    return at;
}

void nw_run_each_print(const struct nw_table *table, const char *filter,
                       char command[static NW_HOST_COMMAND_SIZE])
{
    const char *end = command + NW_HOST_COMMAND_SIZE;
    char *at = command + snprintf(command, NW_HOST_COMMAND_SIZE, "table refresh ");

    at = name_quote(at, end, table->schema_name);
    *at++ = '.';
    at = name_quote(at, end, table->name);
    if (filter[0] != '\0') {
        (void)snprintf(at, (size_t)(end - at), NW_RUN_WHERE "%s", filter);
    }
}

/* Whether just that is to be done once more, behind the copy that runs. */
static bool later_has(const struct nw_run_wishes *wishes, const char *command)
{
    for (uint32_t i = 0; i < wishes->later_count; i++) {
        if (strcmp(wishes->later[i].command, command) == 0) {
            return true;
        }
    }
    return false;
}

static bool later_is_of(const struct nw_run_wishes *wishes, const char *each)
{
    for (uint32_t i = 0; i < wishes->later_count; i++) {
        if (nw_run_wish_is_of(wishes->later[i].command, each)) {
            return true;
        }
    }
    return false;
}

void nw_run_coming_note(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    struct nw_run_names coming = {0};
    bool known = run->status.phase == NW_RUN_STREAMING;

    if ((wishes->resolved_count == 0 && !wishes->coming_wanted) ||
        (!known && !wishes->coming_known)) {
        return; /* nobody asks */
    }
    for (uint32_t i = 0; known && i < nw_schemas_count(run->schemas); i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);
        struct nw_run_wish again;

        nw_run_each_print(table, "", again.command);
        if (nw_run_joins_has(run, table->relation_oid) || later_is_of(wishes, again.command) ||
            nw_tables_waits(run->table_states, table->relation_oid, "") ||
            nw_tables_asked(run->table_states, table->relation_oid)) {
            (void)copied_add(&coming, table);
        }
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    nw_run_names_forget(&wishes->coming);
    wishes->coming = coming;
    wishes->coming_known = known;
    (void)pthread_mutex_unlock(&wishes->mutex);
}

bool nw_run_wishes_pending(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    bool pending = wishes->has_pattern || wishes->has_each;

    (void)pthread_mutex_lock(&wishes->mutex);
    pending = pending || wishes->count > 0;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return pending && run->status.phase == NW_RUN_STREAMING;
}

void nw_run_wishes_forget(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;

    nw_run_names_forget(&wishes->copied);
    nw_run_names_forget(&wishes->coming);
    nw_run_names_forget(&wishes->failed);
    nw_run_names_forget(&wishes->matches);
    for (uint32_t i = 0; i < NW_RUN_WISHES_MAX; i++) {
        nw_run_names_forget(&wishes->resolved[i].names);
    }
}

/* ---- all tables that match ---- */

bool nw_run_pattern_answer(struct nw_run *run, const char *line)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish = wishes->current;
    char pattern[NW_HOST_COMMAND_SIZE];

    if (line == NULL || wish == NULL || strncmp(line, EACH, sizeof EACH - 1) != 0) {
        return false;
    }
    nw_run_pattern_end(run);
    nw_run_names_forget(&wishes->matches);
    (void)snprintf(pattern, sizeof pattern, "%s", line + sizeof EACH - 1);
    nw_run_wish_split(pattern, false, wishes->filter);
    if (regcomp(&wishes->compiled, pattern, REG_EXTENDED) != 0) {
        nw_run_wish_resolved(wishes, wish, line + sizeof EACH - 1);
        nw_run_answer(run, false, "NW1504 that is no regular expression");
        return true;
    }
    wishes->pattern = *wish;
    (void)snprintf(wishes->pattern.command, sizeof wishes->pattern.command, "%s",
                   line + sizeof EACH - 1);
    wishes->has_pattern = true;
    wishes->matched = false;
    wishes->passed_oid = 0;
    nw_run_answer(run, true, "each table that matches is asked for");
    return true;
}

/* All of the name. */
bool nw_run_name_matches(const regex_t *compiled, const struct nw_table *table)
{
    char name[2 * NW_TABLE_NAME_SIZE];
    regmatch_t match;

    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    return regexec(compiled, name, 1, &match, 0) == 0 && match.rm_so == 0 &&
           name[match.rm_eo] == '\0';
}

/* It is copied once more when that copy is done, which is of what was there when it began. */
static void later_add(struct nw_run *run, const struct nw_table *table)
{
    struct nw_run_wishes *wishes = &run->wishes;
    struct nw_run_wish *wish = &wishes->later[wishes->later_count];
    struct nw_run_wish made = wishes->pattern;

    nw_run_each_print(table, wishes->filter, made.command);
    if (later_has(wishes, made.command)) {
        return;
    }
    if (wishes->later_count == NW_RUN_WISHES_MAX) {
        nw_log(NW_LOG_WARN, "NW1505 sink %s asked for %s, which is being copied already", made.sink,
               made.command);
        return;
    }
    nw_log(NW_LOG_INFO, "sink %s asked for %s, which is being copied: it is again, behind that",
           made.sink, made.command);
    made.number = wish_record(run, numbers_next(wishes, 1), made.sink, made.command, true);
    *wish = made;
    wishes->later_count++;
}

/* One that is being copied: what the sink asked for comes with that, or behind it. */
static void copied_pass(struct nw_run *run, const struct nw_table *table)
{
    struct nw_run_wishes *wishes = &run->wishes;
    char name[2 * NW_TABLE_NAME_SIZE];

    if (!nw_run_joins_waits(run, table->relation_oid) ||
        !nw_run_queued_has(run, table->relation_oid, wishes->filter)) {
        later_add(run, table);
    }
    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    nw_run_names_add(&wishes->matches, table->relation_oid, name);
}

/* In the order of their oids: another attempt has another list. @return NULL: there is no other */
static const struct nw_table *next_find(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_table *next = NULL;

    for (uint32_t i = 0; i < nw_schemas_count(run->schemas); i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);

        if (table->relation_oid > wishes->passed_oid &&
            (next == NULL || table->relation_oid < next->relation_oid) &&
            nw_run_table_wanted(run, table) && nw_run_name_matches(&wishes->compiled, table)) {
            next = table;
        }
    }
    return next;
}

void nw_run_pattern_step(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_table *next = NULL;

    if (!wishes->has_pattern || wishes->has_each || run->status.phase != NW_RUN_STREAMING) {
        return;
    }
    while ((next = next_find(run)) != NULL && nw_run_joins_has(run, next->relation_oid)) {
        wishes->matched = true;
        wishes->passed_oid = next->relation_oid;
        copied_pass(run, next);
    }
    if (next != NULL) {
        wishes->matched = true;
        wishes->passed_oid = next->relation_oid;
        wishes->each = wishes->pattern;
        wishes->each.number = 0;
        wishes->each_oid = next->relation_oid;
        nw_run_each_print(next, wishes->filter, wishes->each.command);
        (void)snprintf(wishes->each_name, sizeof wishes->each_name, "%s.%s", next->schema_name,
                       next->name);
        wishes->has_each = true;
        return;
    }
    nw_run_pattern_end(run);
    nw_run_wish_resolved(wishes, &wishes->pattern, wishes->pattern.command);
    nw_run_wish_done(run, wishes->pattern.number);
    if (!wishes->matched) {
        nw_log(NW_LOG_WARN, "NW1504 sink %s asked for copies: no table that is followed matches %s",
               wishes->pattern.sink, wishes->pattern.command);
    }
}

void nw_run_pattern_end(struct nw_run *run)
{
    if (run->wishes.has_pattern) {
        run->wishes.has_pattern = false;
        regfree(&run->wishes.compiled);
    }
}

/* ---- one after the other ---- */

/* Where nothing streams only pauses are; what else was asked for waits until it does. */
static const struct nw_run_wish *list_next(struct nw_run *run, bool streams)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *next = NULL;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count && next == NULL; i++) {
        next = streams || !is_recorded(wishes->list[i].command) ? &wishes->list[i] : NULL;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return next;
}

const char *nw_run_asked(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    struct nw_run_wishes *wishes = &run->wishes;
    bool streams = run->status.phase == NW_RUN_STREAMING;

    wishes->current = NULL;
    if (line != NULL) {
        return line;
    }
    if (nw_run_stopping(run) || run->env->ops->now_ns(run->env) < wishes->due_ns) {
        return NULL; /* they are recorded, and done later, or after the next start */
    }
    if (wishes->has_each && streams) {
        wishes->current = &wishes->each;
    } else if (wishes->has_pattern && streams) {
        return NULL; /* its tables come first */
    } else if (wishes->later_count > 0 && !nw_run_joins_busy(run) && streams) {
        wishes->current = &wishes->later[0];
    } else {
        wishes->current = list_next(run, streams);
    }
    return wishes->current == NULL ? NULL : wishes->current->command;
}

static void wish_forget(struct nw_run_wish *list, uint32_t *count, const struct nw_run_wish *wish)
{
    size_t at = (size_t)(wish - list);

    memmove(&list[at], &list[at + 1], (--*count - at) * sizeof *list);
}

/* The one that was answered. */
static void current_end(struct nw_run *run, bool well)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish = wishes->current;

    wishes->current = NULL;
    if (wish == &wishes->each) {
        wishes->has_each = false;
        if (well || wishes->filter[0] != '\0') { /* else none is copied, and the sink says so */
            nw_run_names_add(&wishes->matches, wishes->each_oid, wishes->each_name);
        }
        return;
    }
    if (!wishes->has_pattern || wish->number != wishes->pattern.number) { /* else not done yet */
        nw_run_wish_done(run, wish->number);
    }
    if (wishes->later_count > 0 && wish == &wishes->later[0]) {
        wish_forget(wishes->later, &wishes->later_count, wish);
        return;
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wish_forget(wishes->list, &wishes->count, wish);
    (void)pthread_mutex_unlock(&wishes->mutex);
}

void nw_run_answer(struct nw_run *run, bool well, const char *text)
{
    const struct nw_run_wish *wish = run->wishes.current;

    if (wish == NULL) {
        run->options->answer(run->options->context, well, text);
        return;
    }
    if (well) {
        nw_log(NW_LOG_INFO, "sink %s asked for %s: %s", wish->sink, wish->command, text);
    } else {
        nw_log(NW_LOG_WARN, "%.6s sink %s asked for %s: %s", nw_code_or(text, "NW1505"), wish->sink,
               wish->command, nw_code_rest(text));
    }
    current_end(run, well);
}
