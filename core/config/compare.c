/* SPDX-License-Identifier: Apache-2.0 */
/* See compare.h. */
#include "config/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SECTION_SIZE 128

struct comparison {
    const struct nw_run_config *live, *base, *fresh;
    void (*visit)(void *context, const struct nw_config_change *change);
    void *context;
};

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

/* Also in what is inside. A default that is written out is no change. */
static bool same_node(const struct nw_node *one, const struct nw_node *other, const char *fallback)
{
    const struct nw_node *a = one == NULL ? NULL : one->first;
    const struct nw_node *b = other == NULL ? NULL : other->first;

    if (one == NULL || other == NULL) {
        const struct nw_node *written = one == NULL ? other : one;

        return written == NULL ||
               (written->kind == NW_NODE_SCALAR && same_text(written->text, fallback));
    }
    if (one->kind != other->kind || !same_text(one->text, other->text) ||
        !same_text(one->key, other->key)) {
        return false;
    }
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        if (!same_node(a, b, NULL)) {
            return false;
        }
    }
    return a == b;
}

static void value_put(char text[NW_CHANGE_TEXT_SIZE], const struct nw_option *option,
                      const struct nw_node *node)
{
    char *value = NULL;
    size_t size = 0;
    FILE *stream = NULL;

    if (node == NULL) {
        (void)snprintf(text, NW_CHANGE_TEXT_SIZE, "%s",
                       option->fallback == NULL ? "none" : option->fallback);
        return;
    }
    stream = open_memstream(&value, &size);
    text[0] = '\0';
    if (stream != NULL) {
        (void)nw_config_value_print(stream, option, node);
        (void)fclose(stream);
        nw_redact(value);
        (void)snprintf(text, NW_CHANGE_TEXT_SIZE, "%s", value);
    }
    free(value);
}

static void key_compare(struct comparison *comparison, const char *section,
                        const struct nw_option *option, const struct nw_node *before,
                        const struct nw_node *after)
{
    struct nw_config_change change = {.section = section,
                                      .key = option->name,
                                      .reloadable = (option->flags & NW_OPTION_RELOADABLE) != 0};
    bool dsn = strcmp(section, "source") == 0 && strcmp(option->name, "dsn") == 0;

    if (same_node(before, after, option->fallback)) {
        return;
    }
    if (dsn) { /* a password may stand in it */
        (void)snprintf(change.from, sizeof change.from, "%s", comparison->live->dsn_shown);
        (void)snprintf(change.to, sizeof change.to, "%s", comparison->fresh->dsn_shown);
    } else {
        value_put(change.from, option, before);
        value_put(change.to, option, after);
    }
    comparison->visit(comparison->context, &change);
}

static void section_compare(struct comparison *comparison, const struct nw_option_table *table)
{
    const struct nw_node *live = nw_config_section(comparison->live->root, table->section);
    const struct nw_node *base = nw_config_section(comparison->base->root, table->section);
    const struct nw_node *fresh = nw_config_section(comparison->fresh->root, table->section);

    for (uint32_t i = 0; i < table->count; i++) {
        const struct nw_option *option = &table->options[i];
        bool reloads = (option->flags & NW_OPTION_RELOADABLE) != 0;

        key_compare(comparison, table->section, option,
                    nw_tree_member(reloads ? live : base, option->name),
                    nw_tree_member(fresh, option->name));
    }
}

/* What has no table of single keys: lists of mappings. */
static void whole_compare(struct comparison *comparison, const char *section, const char *key,
                          const struct nw_node *before, const struct nw_node *after)
{
    struct nw_config_change change = {.section = section, .key = key};

    if (!same_node(before, after, NULL)) {
        (void)snprintf(change.from, sizeof change.from, "%s",
                       before == NULL ? "none" : "as it was");
        (void)snprintf(change.to, sizeof change.to, "%s", after == NULL ? "none" : "changed");
        comparison->visit(comparison->context, &change);
    }
}

static const struct nw_sink_config *sink_find(const struct nw_run_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (strcmp(config->sinks[i].name, name) == 0) {
            return &config->sinks[i];
        }
    }
    return NULL;
}

/* The keys of a sink that both have, by their names. */
static void sink_compare(struct comparison *comparison, const struct nw_sink_config *before,
                         const struct nw_sink_config *after)
{
    char section[SECTION_SIZE];

    (void)snprintf(section, sizeof section, "sinks.%.100s", before->name);
    for (const struct nw_node *node = after->options->first; node != NULL; node = node->next) {
        whole_compare(comparison, section, node->key, nw_tree_member(before->options, node->key),
                      node);
    }
    for (const struct nw_node *node = before->options->first; node != NULL; node = node->next) {
        if (nw_tree_member(after->options, node->key) == NULL) {
            whole_compare(comparison, section, node->key, node, NULL);
        }
    }
}

static void sinks_compare(struct comparison *comparison)
{
    const struct nw_run_config *base = comparison->base;
    const struct nw_run_config *fresh = comparison->fresh;

    for (uint32_t i = 0; i < fresh->sinks_count; i++) {
        const struct nw_sink_config *former = sink_find(base, fresh->sinks[i].name);

        if (former == NULL) {
            whole_compare(comparison, "sinks", fresh->sinks[i].name, NULL, fresh->sinks[i].options);
        } else {
            sink_compare(comparison, former, &fresh->sinks[i]);
        }
    }
    for (uint32_t i = 0; i < base->sinks_count; i++) {
        if (sink_find(fresh, base->sinks[i].name) == NULL) {
            whole_compare(comparison, "sinks", base->sinks[i].name, base->sinks[i].options, NULL);
        }
    }
}

void nw_config_compare(const struct nw_run_config *live, const struct nw_run_config *base,
                       const struct nw_run_config *fresh,
                       void (*visit)(void *context, const struct nw_config_change *change),
                       void *context)
{
    struct comparison comparison = {live, base, fresh, visit, context};
    const struct nw_option_table *table = NULL;

    for (size_t i = 0; (table = nw_config_table(i)) != NULL; i++) {
        if (strcmp(table->section, "sinks") == 0) {
            sinks_compare(&comparison);
        } else if (strcmp(table->section, "transforms") == 0) {
            whole_compare(&comparison, "", "transforms", nw_tree_member(base->root, "transforms"),
                          nw_tree_member(fresh->root, "transforms"));
        } else {
            section_compare(&comparison, table);
        }
    }
}

void nw_config_take(struct nw_run_config *to, const struct nw_run_config *from)
{
    to->dsn = from->dsn;
    to->dsn_shown = from->dsn_shown;
    to->password = from->password;
    to->dsn_source = from->dsn_source;
    to->password_source = from->password_source;
    to->connect_timeout_us = from->connect_timeout_us;
    to->heartbeat = from->heartbeat;
    to->heartbeat_us = from->heartbeat_us;
    to->copy_chunk_bytes = from->copy_chunk_bytes;
    to->copy_rate_bytes = from->copy_rate_bytes;
    to->lock_wait_us = from->lock_wait_us;
    to->include = from->include;
    to->exclude = from->exclude;
    to->new_tables = from->new_tables;
    to->usual = from->usual;
    to->policies = from->policies;
    to->policies_count = from->policies_count;
    to->memory_bytes = from->memory_bytes;
    to->spill_bytes = from->spill_bytes;
    to->backlog_bytes = from->backlog_bytes;
    to->retained_wal_bytes = from->retained_wal_bytes;
    to->drop_slot = from->drop_slot;
    to->snapshot_age_us = from->snapshot_age_us;
    to->renew_snapshot = from->renew_snapshot;
    to->epoch_us = from->epoch_us;
    to->epoch_bytes = from->epoch_bytes;
    to->drain_us = from->drain_us;
    to->standby_us = from->standby_us;
    to->log_level = from->log_level;
    to->http.tls_cert = from->http.tls_cert;
    to->http.tls_key = from->http.tls_key;
    to->http.token = from->http.token;
    to->http.ready_us = from->http.ready_us;
}
