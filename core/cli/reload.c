/* SPDX-License-Identifier: Apache-2.0 */
/* See reload.h. */
#include "cli/reload.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/compare.h"

/* What holds at once; other keys need the pipeline to be built anew. */
static const char *const LIVE[] = {"copy.rate",
                                   "protect.retained_wal",
                                   "protect.when_exceeded",
                                   "protect.snapshot_age",
                                   "protect.when_old",
                                   "limits.drain",
                                   "standby.after",
                                   "log.level",
                                   "http.tls_cert",
                                   "http.tls_key",
                                   "http.token",
                                   "http.ready_after",
                                   NULL};

struct work {
    struct nw_reload *reload;
    struct nw_reload_result *result;
    bool copies, renews;
    bool postponed; /* something has to wait for the copy's end: all of it does */
    uint32_t applied;
    json_t *changes;
};

static void put(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */

    (void)json_object_set_new(object, key, value != NULL ? value : json_string("(not UTF-8)"));
}

/* Why a change cannot be applied; NULL: it can. */
static const char *refusal(const struct work *work, const struct nw_config_change *change,
                           bool live)
{
    return !change->reloadable ? "needs a restart"
           : work->copies && !live
               ? "the first copy runs, which would begin anew: ask again when it streams"
               : NULL;
}

static void change_note(void *context, const struct nw_config_change *change)
{
    struct work *work = context;
    char key[256];
    const char *why = NULL;
    json_t *object = json_object();
    bool live = false;

    (void)snprintf(key, sizeof key, "%s%s%s", change->section,
                   change->section[0] == '\0' ? "" : ".", change->key);
    live = nw_word_known(LIVE, key);
    why = refusal(work, change, live);
    put(object, "key", key);
    put(object, "from", change->from);
    put(object, "to", change->to);
    if (why != NULL) {
        put(object, "refused", why);
        work->result->refuses = true;
        work->postponed = work->postponed || change->reloadable;
        nw_log(NW_LOG_WARN, "NW1530 reload: %s stays %s, not %s: %s", key, change->from, change->to,
               why);
    } else {
        work->applied++;
        work->renews = work->renews || !live;
        work->result->live = work->result->live || live;
        nw_log(NW_LOG_INFO, "reload: %s was %s, and is %s", key, change->from, change->to);
    }
    (void)json_array_append_new(work->changes, object);
}

/* Sinks that narwal has, by their plugins. */
static nw_status sinks_check(const struct nw_reload *reload, struct nw_run_config *fresh,
                             struct nw_problems *problems, struct nw_error *err)
{
    const struct nw_run_config *config = reload->config;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    fresh->problems = problems;
    for (uint32_t i = 0; i < fresh->sinks_count; i++) {
        for (uint32_t s = 0; s < config->sinks_count; s++) {
            const struct nw_sink_ops *ops = &reload->plugins[s].ops;
            struct nw_config resolved;

            if (strcmp(config->sinks[s].type, fresh->sinks[i].type) == 0 &&
                nw_config_resolve_sink(fresh, i, ops->options, ops->options_count, &resolved,
                                       &why) != NW_OK) {
                *err = why;
                status = NW_FATAL;
                break;
            }
        }
    }
    fresh->problems = NULL;
    return status;
}

static json_t *mistakes(const struct nw_problems *problems, const struct nw_error *err)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < problems->count; i++) {
        (void)json_array_append_new(list, json_string(problems->items[i].text));
        nw_log(NW_LOG_ERROR, "%s", problems->items[i].text);
    }
    if (problems->count == 0) {
        (void)json_array_append_new(list, json_string(err->text));
        nw_log(NW_LOG_ERROR, "%s", err->text);
    }
    return list;
}

/* Its texts are in use from now on. @return false: out of memory */
static bool keep(struct nw_reload *reload, struct nw_run_config *fresh)
{
    struct nw_run_config **grown = (struct nw_run_config **)reallocarray(
        (void *)reload->taken, reload->taken_count + 1u, sizeof *grown);

    if (grown == NULL) {
        return false;
    }
    reload->taken = grown;
    reload->taken[reload->taken_count++] = fresh;
    return true;
}

/* What is read is held against what holds. */
static void apply(struct work *work, struct nw_run_config *fresh)
{
    struct nw_reload *reload = work->reload;
    const struct nw_run_config *live =
        reload->taken_count > 0 ? reload->taken[reload->taken_count - 1] : reload->config;

    nw_config_compare(live, reload->config, fresh, change_note, work);
    if (work->applied == 0 || work->postponed || !keep(reload, fresh)) {
        work->result->live = false;
        nw_config_free(fresh);
        free(fresh);
        return;
    }
    nw_config_take(reload->config, fresh);
    reload->renews = reload->renews || work->renews;
}

void nw_reload(struct nw_reload *reload, bool copies, struct nw_reload_result *result)
{
    struct nw_run_config *fresh = calloc(1, sizeof *fresh);
    struct nw_problems *problems = calloc(1, sizeof *problems);
    struct work work = {.reload = reload, .result = result, .copies = copies};
    json_t *root = json_object();
    struct nw_error err = {0};
    nw_status status = NW_OK;

    *result = (struct nw_reload_result){.read = false};
    work.changes = json_array();
    status = fresh == NULL || problems == NULL || root == NULL
                 ? nw_fail(&err, NW_FATAL, "out of memory")
             : reload->arguments->file == NULL || strcmp(reload->arguments->file, "-") == 0
                 ? nw_fail(&err, NW_FATAL,
                           "NW1531 narwal runs without a configuration file: there is none to read "
                           "again")
                 : nw_config_read(reload->arguments, fresh, problems, &err);
    if (status == NW_OK) {
        status = sinks_check(reload, fresh, problems, &err);
        if (status != NW_OK) {
            nw_config_free(fresh);
        }
    }
    if (status == NW_OK) {
        result->read = true;
        apply(&work, fresh);
        fresh = NULL;
        (void)json_object_set(root, "changes", work.changes);
        (void)json_object_set_new(
            root, "applied", json_boolean(work.applied > 0 && (result->live || reload->renews)));
    } else if (problems != NULL) {
        (void)json_object_set_new(root, "mistakes", mistakes(problems, &err));
    }
    result->document = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(work.changes);
    json_decref(root);
    free(problems);
    free(fresh);
}

void nw_reload_fini(struct nw_reload *reload)
{
    for (uint32_t i = 0; i < reload->taken_count; i++) {
        nw_config_free(reload->taken[i]);
        free(reload->taken[i]);
    }
    free((void *)reload->taken);
}
