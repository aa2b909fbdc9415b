/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that sinks ask for (nw_host.ask), beside those of users: see run_commands.c. They wait
 * here until the main thread has time for them; what comes of them is logged. Over attempts.
 */
#include <regex.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"

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

/* ---- all tables that match ---- */

bool nw_run_pattern_answer(struct nw_run *run, const char *line)
{
    static const char verb[] = "tables refresh ";
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
            wishes->matched = true; /* also one that is being copied already */
            next = nw_run_joins_has(run, table->relation_oid) ? next : table;
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
    next = next_find(run);
    if (next != NULL) {
        wishes->passed_oid = next->relation_oid;
        wishes->each = wishes->pattern;
        each_print(next, wishes->each.command);
        wishes->has_each = true;
        return;
    }
    nw_run_pattern_end(run);
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

    wishes->current = false;
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
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->current = wishes->count > 0;
    line = wishes->current ? wishes->list[wishes->first].command : NULL;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return line;
}

void nw_run_answer(struct nw_run *run, bool well, const char *text)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish =
        wishes->has_each ? &wishes->each : &wishes->list[wishes->first];

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
        return;
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->first = (wishes->first + 1) % NW_RUN_WISHES_MAX;
    wishes->count--;
    (void)pthread_mutex_unlock(&wishes->mutex);
}
