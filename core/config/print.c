/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration in force, as a configuration file: what was written, and the defaults, marked.
 * No secret is printed. Pure but for the stream.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/run_config.h"

#define COMMENT_COLUMN 44
#define HIDDEN         "***"

/* Whether a text needs no quotes in YAML. */
static bool is_plain(const char *text)
{
    if (!isalnum((unsigned char)text[0]) && text[0] != '/' && text[0] != '.') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_-./+%", *at) == NULL) {
            return false;
        }
    }
    return strcmp(text, "null") != 0;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

/* One byte in double quotes, or in single quotes. @return how many columns it took */
static int double_quoted(FILE *out, unsigned char c)
{
    if (c < 0x20 || c == 0x7f) {
        return fprintf(out, "\\x%02x", c);
    }
    return fprintf(out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
}

static int single_quoted(FILE *out, unsigned char c)
{
    return fprintf(out, "%s%c", c == '\'' ? "'" : "", c);
}

int nw_config_print_text(FILE *out, const char *text)
{
    bool control = has_control(text);
    int size = 2;

    if (is_plain(text)) {
        return fprintf(out, "%s", text);
    }
    (void)fputc(control ? '"' : '\'', out);
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;

        size += control ? double_quoted(out, c) : single_quoted(out, c);
    }
    (void)fputc(control ? '"' : '\'', out);
    return size;
}

static bool is_hidden(const struct nw_option *option, const struct nw_node *node)
{
    bool hidden = (option->flags & NW_OPTION_SECRET) != 0 || node->secret;

    for (const struct nw_node *item = node->first; item != NULL; item = item->next) {
        hidden = hidden || item->secret;
    }
    return hidden;
}

int nw_config_value_print(FILE *out, const struct nw_option *option, const struct nw_node *node)
{
    int size = 2;

    if (is_hidden(option, node)) {
        return nw_config_print_text(out, HIDDEN);
    }
    if (node->kind == NW_NODE_SCALAR) {
        return nw_config_print_text(out, node->text);
    }
    (void)fputc('[', out);
    for (const struct nw_node *item = node->first; item != NULL; item = item->next) {
        size += fprintf(out, "%s", item == node->first ? "" : ", ") +
                nw_config_print_text(out, item->text);
    }
    (void)fputc(']', out);
    return size;
}

/* One key. @param effective  what holds in the place of a default that the table cannot know */
static void option_print(FILE *out, const char *before, const struct nw_option *option,
                         const struct nw_node *node, const char *effective)
{
    int column = 0;

    if (node == NULL && effective == NULL && option->fallback == NULL) {
        (void)fprintf(out, "%*s# %s:\n", (int)strlen(before), "", option->name);
        return;
    }
    column = fprintf(out, "%s%s: ", before, option->name);
    if (node != NULL && effective == NULL) {
        (void)nw_config_value_print(out, option, node);
    } else {
        column += nw_config_print_text(out, effective != NULL ? effective : option->fallback);
    }
    if (node == NULL) {
        (void)fprintf(out, "%*s# default", column < COMMENT_COLUMN ? COMMENT_COLUMN - column : 2,
                      "");
    }
    (void)fputc('\n', out);
}

/* What depends on other keys, or holds a password in its middle. */
static const char *effective_of(const struct nw_run_config *config, const char *section,
                                const char *key, const struct nw_node *node)
{
    const struct {
        const char *section, *key, *value;
    } all[] = {{"", "name", config->name},
               {"", "state_dir", config->state_dir},
               {"", "plugin_dir", config->plugin_dir},
               {"source", "dsn", config->dsn_shown == NULL ? HIDDEN : config->dsn_shown},
               {"source.slot", "name", config->slot_name},
               {"source.publication", "name", config->publication_name},
               {"protect", "spool_dir", config->spool_dir},
               {"limits", "spill_dir", config->spill_dir}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].section, section) == 0 && strcmp(all[i].key, key) == 0) {
            return node != NULL && node->secret ? NULL : all[i].value;
        }
    }
    return NULL;
}

const struct nw_node *nw_config_section(const struct nw_node *root, const char *section)
{
    char part[64];

    while (section[0] != '\0' && root != NULL) {
        size_t size = strcspn(section, ".");

        (void)snprintf(part, sizeof part, "%.*s", (int)size, section);
        root = nw_tree_member(root, part);
        section += size + (section[size] == '.');
    }
    return root;
}

static void section_print(const struct nw_run_config *config, const struct nw_option_table *table,
                          FILE *out)
{
    const struct nw_node *map = nw_config_section(config->root, table->section);
    const char *dot = strrchr(table->section, '.');
    const char *before = table->section[0] == '\0' ? "" : dot == NULL ? "  " : "    ";

    if (table->section[0] != '\0') {
        (void)fprintf(out, "%s%s:\n", dot == NULL ? "" : "  ",
                      dot == NULL ? table->section : dot + 1);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const struct nw_option *option = &table->options[i];
        const struct nw_node *node = nw_tree_member(map, option->name);

        option_print(out, before, option, node,
                     effective_of(config, table->section, option->name, node));
    }
}

static void sink_print(const struct nw_sink_config *sink, const struct nw_option_table *host,
                       const struct nw_config_plugin *plugin, FILE *out)
{
    for (uint32_t i = 0; i < host->count; i++) {
        const struct nw_option *option = &host->options[i];
        const struct nw_node *node = nw_tree_member(sink->options, option->name);
        const char *effective = strcmp(option->name, "name") == 0   ? sink->name
                                : strcmp(option->name, "type") == 0 ? sink->type
                                                                    : NULL;

        option_print(out, i == 0 ? "  - " : "    ", option, node, effective);
    }
    for (uint32_t i = 0; i < plugin->count; i++) {
        option_print(out, "    ", &plugin->options[i],
                     nw_tree_member(sink->map, plugin->options[i].name), NULL);
    }
    if (plugin->trouble != NULL) {
        (void)fprintf(out, "    # its further keys are not known: %s\n", plugin->trouble);
    }
}

/* Each rule as it was written; the keys of `transforms` have no defaults that everybody would want
 * to see. */
static void transforms_print(const struct nw_run_config *config,
                             const struct nw_option_table *table, FILE *out)
{
    if (config->transforms.count > 0) {
        (void)fputs("transforms:\n", out);
    }
    for (uint32_t rule = 0; rule < config->transforms.count; rule++) {
        const struct nw_node *map = config->transforms.rules[rule].node;
        const char *before = "  - ";

        for (uint32_t i = 0; i < table->count; i++) {
            const struct nw_node *node = nw_tree_member(map, table->options[i].name);

            if (node != NULL) {
                option_print(out, before, &table->options[i], node, NULL);
                before = "    ";
            }
        }
    }
}

static void all_print(const struct nw_run_config *config, const struct nw_config_plugin *plugins,
                      FILE *out)
{
    const struct nw_option_table *table = NULL;

    for (size_t i = 0; (table = nw_config_table(i)) != NULL; i++) {
        if (strcmp(table->section, "transforms") == 0) {
            transforms_print(config, table, out);
            continue;
        }
        if (strcmp(table->section, "sinks") != 0) {
            section_print(config, table, out);
            continue;
        }
        (void)fputs("sinks:\n", out);
        for (uint32_t sink = 0; sink < config->sinks_count; sink++) {
            sink_print(&config->sinks[sink], table, &plugins[sink], out);
        }
    }
}

void nw_config_print(const struct nw_run_config *config, const struct nw_config_plugin *plugins,
                     FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return;
    }
    all_print(config, plugins, stream);
    if (fclose(stream) == 0) {
        nw_redact(text); /* a secret that found its way into another value */
        (void)fputs(text, out);
    }
    free(text);
}
