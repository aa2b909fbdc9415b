/* SPDX-License-Identifier: Apache-2.0 */
/* A sink's own options, of a file or of --sink TYPE:PATH,key=value: see run_config.h. */
#include <stdio.h>
#include <string.h>

#include "config/options.h"
#include "config/run_config.h"
#include "config/tree.h"

/* The key of what has none: the plugin's first required option; NULL when it has none. */
static const char *first_required(const struct nw_option *options, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((options[i].flags & NW_OPTION_REQUIRED) != 0) {
            return options[i].name;
        }
    }
    return NULL;
}

/* "PATH,key=value,..." as a mapping. */
static nw_status spec_map(struct nw_run_config *config, const struct nw_sink_config *sink,
                          const struct nw_option *options, uint32_t count, struct nw_node **map,
                          struct nw_error *err)
{
    char *text = nw_arena_text(&config->arena, sink->spec);
    struct nw_node *root = nw_arena_alloc(&config->arena, sizeof *root);
    struct nw_node **link = root == NULL ? NULL : &root->first;
    const char *unnamed = first_required(options, count);
    char *rest = text;

    if (text == NULL || root == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    *root = (struct nw_node){.file = "", .kind = NW_NODE_MAP};
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        struct nw_node *node = nw_arena_alloc(&config->arena, sizeof *node);
        char *equals = strchr(part, '=');

        if (node == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory");
        }
        if (part[0] == '\0') {
            continue;
        }
        if (equals == NULL && unnamed == NULL) {
            return nw_fail(err, NW_FATAL, "NW1011 --sink %s:%s: \"%s\" is no key=value", sink->type,
                           sink->spec, part);
        }
        *node = (struct nw_node){.file = "", .kind = NW_NODE_SCALAR, .text = part, .key = unnamed};
        if (equals != NULL) {
            *equals = '\0';
            node->key = part;
            node->text = equals + 1;
        }
        *link = node;
        link = &node->next;
    }
    *map = root;
    return NW_OK;
}

/* Without its required value: say how it is written. */
static nw_status unnamed_check(const struct nw_sink_config *sink, const struct nw_node *map,
                               const struct nw_option *options, uint32_t count,
                               struct nw_error *err)
{
    const char *key = first_required(options, count);
    char shown[64];

    if (key == NULL || nw_tree_member(map, key) != NULL) {
        return NW_OK;
    }
    (void)snprintf(shown, sizeof shown, "%s", key);
    for (char *at = shown; *at != '\0'; at++) {
        *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
    }
    return nw_fail(err, NW_FATAL, "NW1008 sink %s has no %s: write %s:%s", sink->type, key,
                   sink->type, shown);
}

nw_status nw_config_resolve_sink(struct nw_run_config *config, uint32_t index,
                                 const struct nw_option *options, uint32_t count,
                                 struct nw_config *resolved, struct nw_error *err)
{
    static const char *const host_keys[] = {"name",    "type",          "workers",
                                            "refused", "dead_letters",  "dead_letter_rows",
                                            "stalled", "stalled_after", NULL};
    struct nw_sink_config *sink = &config->sinks[index];
    char section[128];
    struct nw_option_table table = {section, "", options, count, host_keys};
    struct nw_setting *settings =
        nw_arena_array(&config->arena, count == 0 ? 1 : count, sizeof *settings);
    const char **sources = nw_arena_array(&config->arena, count == 0 ? 1 : count, sizeof *sources);
    struct nw_node *map = NULL;
    nw_status status = NW_OK;

    (void)snprintf(section, sizeof section, "sink %s", sink->name);
    if (settings == NULL || sources == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    status = nw_options_check(&table, &config->arena, err);
    if (status == NW_OK && sink->options == NULL) {
        status = spec_map(config, sink, options, count, &map, err);
        status = status == NW_OK ? unnamed_check(sink, map, options, count, err) : status;
    }
    sink->map = sink->options != NULL ? sink->options : map;
    if (status == NW_OK) {
        status =
            nw_options_resolve(&table, sink->map, &config->arena, settings, config->problems, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct nw_node *node = nw_tree_member(sink->map, options[i].name);

        sources[i] = node == NULL ? NULL : node->source;
    }
    *resolved = (struct nw_config){
        .name = sink->name, .settings = settings, .settings_count = count, .sources = sources};
    return status;
}
