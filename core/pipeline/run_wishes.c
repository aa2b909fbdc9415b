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

#define EACH "tables refresh "

bool nw_run_wish(void *context, const char *sink, const char *command)
{
    struct nw_run_wishes *wishes = &((struct nw_run *)context)->wishes;
    bool taken = false;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count && !taken; i++) { /* the same twice is as good as once */
        const struct nw_run_wish *other = &wishes->list[(wishes->first + i) % NW_RUN_WISHES_MAX];

        taken = strcmp(other->command, command) == 0 && i > 0;
    }
    if (!taken && wishes->count < NW_RUN_WISHES_MAX) {
        struct nw_run_wish *wish =
            &wishes->list[(wishes->first + wishes->count) % NW_RUN_WISHES_MAX];

        (void)snprintf(wish->command, sizeof wish->command, "%s", command);
        (void)snprintf(wish->sink, sizeof wish->sink, "%s", sink);
        wishes->count++;
        taken = true;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return taken;
}

/* ---- which tables are copied ---- */

static void names_add(struct nw_run_names *names, const char *name)
{
    size_t size = strlen(name) + 1;
    char *grown = realloc(names->bytes, names->size + size);

    if (grown != NULL) { /* else one is not told of */
        memcpy(grown + names->size, name, size);
        names->bytes = grown;
        names->size += size;
    }
}

static void names_forget(struct nw_run_names *names)
{
    free(names->bytes);
    *names = (struct nw_run_names){0};
}

/* The pattern was looked up: whoever asked for it may know of what. Locked. */
static void resolved_keep(struct nw_run_wishes *wishes)
{
    struct nw_run_resolved *slot = &wishes->resolved[wishes->resolved_count++ % NW_RUN_WISHES_MAX];

    names_forget(&slot->names);
    slot->wish = wishes->pattern;
    slot->names = wishes->matches;
    wishes->matches = (struct nw_run_names){0};
}

static nw_status names_give(const struct nw_run_names *names, char *to, size_t size, size_t *used)
{
    if (names->size > size) {
        return NW_REJECT;
    }
    if (names->size > 0) {
        memcpy(to, names->bytes, names->size);
    }
    *used = names->size;
    return NW_OK;
}

static nw_status resolved_take(struct nw_run_resolved *slot, char *to, size_t size, size_t *used)
{
    nw_status status = names_give(&slot->names, to, size, used);

    slot->wish.command[0] = '\0';
    names_forget(&slot->names);
    return status;
}

nw_status nw_run_copies_tell(void *context, const char *sink, const char *command, char *names,
                             size_t size, size_t *used)
{
    struct nw_run_wishes *wishes = &((struct nw_run *)context)->wishes;
    const char *pattern = command == NULL || strncmp(command, EACH, sizeof EACH - 1) != 0
                              ? NULL
                              : command + sizeof EACH - 1;
    nw_status status = NW_AGAIN;

    *used = 0;
    (void)pthread_mutex_lock(&wishes->mutex);
    if (command == NULL && wishes->copied_known) {
        status = names_give(&wishes->copied, names, size, used);
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
    names_add(context, name);
    return true;
}

void nw_run_copies_note(struct nw_run *run)
{
    struct nw_run_names copied = {0};

    (void)nw_conductor_tables(run->conductor, copied_add, &copied);
    (void)pthread_mutex_lock(&run->wishes.mutex);
    names_forget(&run->wishes.copied);
    run->wishes.copied = copied;
    run->wishes.copied_known = true;
    (void)pthread_mutex_unlock(&run->wishes.mutex);
}

bool nw_run_wishes_pending(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;
    bool pending = wishes->has_pattern || wishes->has_each;

    (void)pthread_mutex_lock(&wishes->mutex);
    pending = pending || wishes->count > 0;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return pending;
}

void nw_run_wishes_forget(struct nw_run *run)
{
    struct nw_run_wishes *wishes = &run->wishes;

    names_forget(&wishes->copied);
    names_forget(&wishes->matches);
    for (uint32_t i = 0; i < NW_RUN_WISHES_MAX; i++) {
        names_forget(&wishes->resolved[i].names);
    }
}

/* ---- all tables that match ---- */

bool nw_run_pattern_answer(struct nw_run *run, const char *line)
{
    static const char verb[] = EACH;
    struct nw_run_wishes *wishes = &run->wishes;

    if (line == NULL || !wishes->current || wishes->has_each ||
        strncmp(line, verb, sizeof verb - 1) != 0) {
        return false;
    }
    line += sizeof verb - 1;
    if (run->status.phase != NW_RUN_STREAMING) {
        nw_run_answer(run, false,
                      "NW1505 a copy runs, or narwal is stopping: ask again when it streams");
        return true;
    }
    nw_run_pattern_end(run);
    if (regcomp(&wishes->compiled, line, REG_EXTENDED) != 0) {
        nw_run_answer(run, false, "NW1504 that is no regular expression");
        return true;
    }
    wishes->pattern = wishes->list[wishes->first];
    (void)snprintf(wishes->pattern.command, sizeof wishes->pattern.command, "%s", line);
    wishes->has_pattern = true;
    wishes->matched = false;
    wishes->passed_oid = 0;
    names_forget(&wishes->matches);
    nw_run_answer(run, true, "each table that matches is asked for");
    return true;
}

/* All of the name. */
static bool name_matches(const regex_t *compiled, const struct nw_table *table)
{
    char name[2 * NW_TABLE_NAME_SIZE];
    regmatch_t match;

    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    return regexec(compiled, name, 1, &match, 0) == 0 && match.rm_so == 0 &&
           name[match.rm_eo] == '\0';
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

static void each_print(const struct nw_table *table, char command[static NW_HOST_COMMAND_SIZE])
{
    const char *end = command + NW_HOST_COMMAND_SIZE;
    char *at = command + snprintf(command, NW_HOST_COMMAND_SIZE, "table refresh ");

    at = name_quote(at, end, table->schema_name);
    *at++ = '.';
    (void)name_quote(at, end, table->name);
}

/* It is copied once more when that copy is done, which is of what was there when it began. */
static void later_add(struct nw_run_wishes *wishes, const struct nw_table *table)
{
    struct nw_run_wish *wish = &wishes->later[wishes->later_count];
    struct nw_run_wish made = wishes->pattern;

    each_print(table, made.command);
    for (uint32_t i = 0; i < wishes->later_count; i++) {
        if (strcmp(wishes->later[i].command, made.command) == 0) {
            return;
        }
    }
    if (wishes->later_count == NW_RUN_WISHES_MAX) {
        nw_log(NW_LOG_WARN, "NW1505 sink %s asked for %s, which is being copied already", made.sink,
               made.command);
        return;
    }
    nw_log(NW_LOG_INFO, "sink %s asked for %s, which is being copied: it is again, behind that",
           made.sink, made.command);
    *wish = made;
    wishes->later_count++;
}

/* One that is being copied: what the sink asked for comes with that, or behind it. */
static void copied_pass(struct nw_run *run, const struct nw_table *table)
{
    struct nw_run_wishes *wishes = &run->wishes;
    char name[2 * NW_TABLE_NAME_SIZE];

    if (!nw_run_joins_waits(run, table->relation_oid)) {
        later_add(wishes, table);
    }
    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    names_add(&wishes->matches, name);
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
            nw_run_table_wanted(run, table) && name_matches(&wishes->compiled, table)) {
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
        each_print(next, wishes->each.command);
        (void)snprintf(wishes->each_name, sizeof wishes->each_name, "%s.%s", next->schema_name,
                       next->name);
        wishes->has_each = true;
        return;
    }
    nw_run_pattern_end(run);
    (void)pthread_mutex_lock(&wishes->mutex);
    resolved_keep(wishes);
    (void)pthread_mutex_unlock(&wishes->mutex);
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

const char *nw_run_asked(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    struct nw_run_wishes *wishes = &run->wishes;

    wishes->current = wishes->current_later = false;
    if (line != NULL) {
        return line;
    }
    if (wishes->has_each) {
        wishes->current = true;
        return wishes->each.command;
    }
    if (wishes->has_pattern && run->status.phase == NW_RUN_STREAMING) {
        return NULL; /* its tables come first */
    }
    if (wishes->later_count > 0 && !nw_run_joins_busy(run) &&
        run->status.phase == NW_RUN_STREAMING) {
        wishes->current = wishes->current_later = true;
        return wishes->later[0].command;
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->current = wishes->count > 0;
    line = wishes->current ? wishes->list[wishes->first].command : NULL;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return line;
}

void nw_run_answer(struct nw_run *run, bool well, const char *text)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish = wishes->has_each        ? &wishes->each
                                     : wishes->current_later ? &wishes->later[0]
                                                             : &wishes->list[wishes->first];

    if (!wishes->current) {
        run->options->answer(run->options->context, well, text);
        return;
    }
    if (well) {
        nw_log(NW_LOG_INFO, "sink %s asked for %s: %s", wish->sink, wish->command, text);
    } else {
        nw_log(NW_LOG_WARN, "%.6s sink %s asked for %s: %s", nw_code_or(text, "NW1505"), wish->sink,
               wish->command, nw_code_rest(text));
    }
    wishes->current = false;
    if (wishes->has_each) {
        wishes->has_each = false;
        if (well) {
            names_add(&wishes->matches, wishes->each_name);
        }
        return;
    }
    if (wishes->current_later) {
        wishes->current_later = false;
        memmove(&wishes->later[0], &wishes->later[1],
                --wishes->later_count * sizeof wishes->later[0]);
        return;
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->first = (wishes->first + 1) % NW_RUN_WISHES_MAX;
    wishes->count--;
    (void)pthread_mutex_unlock(&wishes->mutex);
}
