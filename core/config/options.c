/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "config/options.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

static const char *form_of(enum nw_option_type type)
{
    switch (type) {
    case NW_OPTION_TEXT:
        return "text";
    case NW_OPTION_BOOL:
        return "true or false";
    case NW_OPTION_INTEGER:
        return "number";
    case NW_OPTION_SIZE:
        return "size, as 64MiB or 2GB";
    case NW_OPTION_DURATION:
        return "duration, as 250ms, 10s or 5min";
    case NW_OPTION_RATE:
        return "rate, as 200MB/s";
    case NW_OPTION_CHOICE:
        return "choice";
    case NW_OPTION_PATH:
        return "path";
    case NW_OPTION_LIST:
        return "list";
    }
    return "?";
}

/* The nearest known key, when it is near enough to be meant. */
static const char *nearest(const struct nw_option_table *table, const char *key,
                           const struct nw_option **option)
{
    const char *best = NULL;
    size_t best_distance = strlen(key) / 3 + 1;

    *option = NULL;
    for (uint32_t i = 0; i < table->count; i++) {
        size_t distance = nw_text_distance(key, table->options[i].name);

        if (distance <= best_distance) {
            best_distance = distance;
            best = table->options[i].name;
            *option = &table->options[i];
        }
    }
    for (const char *const *name = table->sections; name != NULL && *name != NULL; name++) {
        if (nw_text_distance(key, *name) < best_distance) {
            best_distance = nw_text_distance(key, *name);
            best = *name;
            *option = NULL;
        }
    }
    return best;
}

static bool is_section(const struct nw_option_table *table, const char *key)
{
    for (const char *const *name = table->sections; name != NULL && *name != NULL; name++) {
        if (strcmp(*name, key) == 0) {
            return true;
        }
    }
    return false;
}

static const struct nw_option *option_named(const struct nw_option_table *table, const char *key,
                                            uint32_t *index)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (strcmp(table->options[i].name, key) == 0) {
            *index = i;
            return &table->options[i];
        }
    }
    return NULL;
}

static nw_status unknown_key(const struct nw_option_table *table, const struct nw_node *node,
                             struct nw_error *err)
{
    const struct nw_option *option = NULL;
    const char *near = nearest(table, node->key, &option);
    const char *where = table->section[0] == '\0' ? "the top level" : table->section;

    if (near == NULL) {
        return nw_tree_fail_key(node, "NW1002", err, "unknown key \"%s\" in %s", node->key, where);
    }
    if (option == NULL) {
        return nw_tree_fail_key(node, "NW1002", err,
                                "unknown key \"%s\" in %s; did you mean \"%s\"?", node->key, where,
                                near);
    }
    return nw_tree_fail_key(node, "NW1002", err,
                            "unknown key \"%s\" in %s; did you mean \"%s\" (%s, default: %s)?",
                            node->key, where, near, form_of(option->type),
                            option->fallback == NULL ? "none" : option->fallback);
}

/* ---- values ---- */

static bool choice_parse(const struct nw_option *option, const char *text, int64_t *index)
{
    for (int64_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Reads a value's text into a setting. @return whether it has the option's form */
static bool value_parse(const struct nw_option *option, const char *text,
                        struct nw_setting *setting)
{
    setting->text = text;
    switch (option->type) {
    case NW_OPTION_TEXT:
    case NW_OPTION_PATH:
    case NW_OPTION_LIST:
        return text[0] != '\0';
    case NW_OPTION_BOOL:
        return nw_bool_parse(text, &setting->flag);
    case NW_OPTION_INTEGER:
        return nw_integer_parse(text, &setting->number);
    case NW_OPTION_SIZE:
        return nw_size_parse(text, &setting->number);
    case NW_OPTION_DURATION:
        return nw_duration_parse(text, &setting->number);
    case NW_OPTION_RATE:
        return nw_rate_parse(text, &setting->number);
    case NW_OPTION_CHOICE:
        return choice_parse(option, text, &setting->number);
    }
    return false;
}

static void choices_print(const struct nw_option *option, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (const char *const *c = option->choices; c != NULL && *c != NULL && used < size; c++) {
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", c == option->choices ? "" : ", ", *c);
    }
}

/* The unit that a bare number most likely has: that of the default, if the result is allowed. */
static const char *likely_unit(const struct nw_option *option, int64_t bare)
{
    const char *unit = option->fallback == NULL ? "" : option->fallback;
    struct nw_setting setting = {0};
    char text[NW_NUMBER_TEXT_SIZE * 2];

    unit += strspn(unit, "0123456789.");
    (void)snprintf(text, sizeof text, "%" PRId64 "%.16s", bare, unit);
    if (unit[0] != '\0' && value_parse(option, text, &setting) &&
        setting.number >= option->minimum &&
        (option->maximum == 0 || setting.number <= option->maximum)) {
        return unit;
    }
    return option->type == NW_OPTION_SIZE ? "B" : option->type == NW_OPTION_DURATION ? "s" : "MB/s";
}

static nw_status wrong_value(const struct nw_option *option, const struct nw_node *node,
                             struct nw_error *err)
{
    const char *shown =
        node->secret || (option->flags & NW_OPTION_SECRET) != 0 ? "***" : node->text;
    char choices[256];
    int64_t bare = 0;

    if (option->type == NW_OPTION_CHOICE) {
        choices_print(option, choices, sizeof choices);
        return nw_tree_fail(node, "NW1003", err, "%s: \"%s\" is none of: %s", option->name, shown,
                            choices);
    }
    if (nw_integer_parse(node->text, &bare) &&
        (option->type == NW_OPTION_SIZE || option->type == NW_OPTION_DURATION ||
         option->type == NW_OPTION_RATE)) {
        return nw_tree_fail(node, "NW1003", err, "%s: %s needs a unit; did you mean %s%s?",
                            option->name, shown, shown, likely_unit(option, bare));
    }
    if (option->type == NW_OPTION_BOOL) {
        return nw_tree_fail(node, "NW1003", err, "%s: \"%s\" is neither true nor false",
                            option->name, shown);
    }
    return nw_tree_fail(node, "NW1003", err, "%s: \"%s\" is not a %s", option->name, shown,
                        form_of(option->type));
}

static void limits_print(const struct nw_option *option, char low[static NW_NUMBER_TEXT_SIZE],
                         char high[static NW_NUMBER_TEXT_SIZE])
{
    if (option->type == NW_OPTION_DURATION) {
        (void)nw_duration_exact(low, option->minimum);
        (void)nw_duration_exact(high, option->maximum);
    } else if (option->type == NW_OPTION_SIZE) {
        (void)nw_size_exact(low, option->minimum);
        (void)nw_size_exact(high, option->maximum);
    } else if (option->type == NW_OPTION_RATE) {
        (void)nw_rate_exact(low, option->minimum);
        (void)nw_rate_exact(high, option->maximum);
    } else {
        (void)snprintf(low, NW_NUMBER_TEXT_SIZE, "%" PRId64, option->minimum);
        (void)snprintf(high, NW_NUMBER_TEXT_SIZE, "%" PRId64, option->maximum);
    }
}

static nw_status range_check(const struct nw_option *option, const struct nw_node *node,
                             const struct nw_setting *setting, struct nw_error *err)
{
    char low[NW_NUMBER_TEXT_SIZE];
    char high[NW_NUMBER_TEXT_SIZE];

    if ((option->minimum == 0 && option->maximum == 0) ||
        (setting->number >= option->minimum && setting->number <= option->maximum) ||
        option->type == NW_OPTION_CHOICE || option->type == NW_OPTION_BOOL ||
        option->type == NW_OPTION_TEXT || option->type == NW_OPTION_PATH ||
        option->type == NW_OPTION_LIST) {
        return NW_OK;
    }
    limits_print(option, low, high);
    return nw_tree_fail(node, "NW1003", err, "%s: %s is out of range: %s to %s", option->name,
                        node->text, low, high);
}

static nw_status list_take(const struct nw_option *option, const struct nw_node *node,
                           struct nw_arena *arena, struct nw_setting *setting, struct nw_error *err)
{
    size_t count = 0;
    const char **items = NULL;
    const struct nw_node *item = NULL;

    if (node->kind == NW_NODE_MAP) {
        return nw_tree_fail(node, "NW1003", err, "%s: a list is expected here", option->name);
    }
    for (item = node->first; item != NULL; item = item->next) {
        count++;
    }
    items = nw_arena_array(arena, count + 2, sizeof *items);
    if (items == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory reading the configuration");
    }
    count = 0;
    if (node->kind == NW_NODE_SCALAR) {
        items[count++] = node->text;
    }
    for (item = node->first; item != NULL; item = item->next) {
        if (item->kind != NW_NODE_SCALAR) {
            return nw_tree_fail(item, "NW1003", err, "%s: a list of texts is expected here",
                                option->name);
        }
        items[count++] = item->text;
    }
    setting->items = items;
    setting->text = node->text;
    return NW_OK;
}

/* YAML's ways to write nothing. */
static bool is_null(const struct nw_node *node)
{
    return node->kind == NW_NODE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

static nw_status value_take(const struct nw_option *option, const struct nw_node *node,
                            struct nw_arena *arena, struct nw_setting *setting,
                            struct nw_error *err)
{
    setting->set = setting->configured = true;
    if (is_null(node)) {
        return nw_tree_fail_key(node, "NW1003", err,
                                "%s has no value: write one, or remove the key", option->name);
    }
    if (option->type == NW_OPTION_LIST) {
        return list_take(option, node, arena, setting, err);
    }
    if (node->kind != NW_NODE_SCALAR) {
        return nw_tree_fail(node, "NW1003", err, "%s: %s%s is expected here", option->name,
                            option->type == NW_OPTION_BOOL ? "" : "a ", form_of(option->type));
    }
    if (!value_parse(option, node->text, setting)) {
        return wrong_value(option, node, err);
    }
    if ((option->flags & NW_OPTION_SECRET) != 0) {
        nw_log_secret(node->text);
        if (!node->secret && node->file[0] != '\0') {
            nw_log(NW_LOG_WARN,
                   "%s:%u:%u: NW1007 %s is written out in the configuration: ${file:/path} or "
                   "${env:NAME} keeps it elsewhere",
                   node->file, node->line, node->column, option->name);
        }
    }
    return range_check(option, node, setting, err);
}

static nw_status missing(const struct nw_option_table *table, const struct nw_option *option,
                         const struct nw_node *map, struct nw_error *err)
{
    return map != NULL && map->file[0] != '\0'
               ? nw_tree_fail(map, "NW1008", err, "%s is missing in %s: %s", option->name,
                              table->section, option->help)
               : nw_fail(err, NW_FATAL, "NW1008 %s is missing in %s: %s", option->name,
                         table->section, option->help);
}

static nw_status default_take(const struct nw_option_table *table, const struct nw_option *option,
                              struct nw_arena *arena, struct nw_setting *setting,
                              struct nw_error *err)
{
    setting->set = true;
    if (option->type == NW_OPTION_LIST) {
        const char **items = nw_arena_array(arena, 2, sizeof *items);

        if (items == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory reading the configuration");
        }
        items[0] = option->fallback;
        setting->items = items;
        return NW_OK;
    }
    if (!value_parse(option, option->fallback, setting)) {
        return nw_fail(err, NW_FATAL, "NW1225 the default of %s in %s, \"%s\", is not a %s",
                       option->name, table->section, option->fallback, form_of(option->type));
    }
    return NW_OK;
}

/* One more mistake: gathered, and in err when it is the first. */
static nw_status mistake(struct nw_problems *problems, const struct nw_node *at, nw_status former,
                         const struct nw_error *why, struct nw_error *err)
{
    bool has_key = at != NULL && at->key_line != 0;

    nw_problems_add(problems,
                    has_key      ? at->key_line
                    : at == NULL ? 0
                                 : at->line,
                    has_key      ? at->key_column
                    : at == NULL ? 0
                                 : at->column,
                    why->text);
    if (former == NW_OK) {
        *err = *why;
        return NW_FATAL;
    }
    return former;
}

/* What the mapping does not say. */
static nw_status absent_take(const struct nw_option_table *table, uint32_t index,
                             const struct nw_node *map, struct nw_arena *arena,
                             struct nw_setting *setting, struct nw_error *err)
{
    const struct nw_option *option = &table->options[index];

    if ((option->flags & NW_OPTION_REQUIRED) != 0) {
        return missing(table, option, map, err);
    }
    return option->fallback == NULL ? NW_OK : default_take(table, option, arena, setting, err);
}

static nw_status key_take(const struct nw_option_table *table, const struct nw_node *node,
                          struct nw_arena *arena, struct nw_setting *settings, struct nw_error *err)
{
    uint32_t index = 0;
    const struct nw_option *option = option_named(table, node->key, &index);

    if (option != NULL) {
        return value_take(option, node, arena, &settings[index], err);
    }
    return is_section(table, node->key) ? NW_OK : unknown_key(table, node, err);
}

static nw_status keys_take(const struct nw_option_table *table, const struct nw_node *map,
                           struct nw_arena *arena, struct nw_setting *settings,
                           struct nw_problems *problems, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = NW_OK;

    for (const struct nw_node *node = map == NULL ? NULL : map->first;
         node != NULL && (status == NW_OK || problems != NULL); node = node->next) {
        if (key_take(table, node, arena, settings, &why) != NW_OK) {
            status = mistake(problems, node, status, &why, err);
        }
    }
    return status;
}

nw_status nw_options_resolve(const struct nw_option_table *table, const struct nw_node *map,
                             struct nw_arena *arena, struct nw_setting *settings,
                             struct nw_problems *problems, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = NW_OK;

    memset(settings, 0, table->count * sizeof *settings);
    if (map != NULL && map->kind != NW_NODE_MAP) {
        (void)nw_tree_fail(map, "NW1003", &why, "%s must be a mapping of keys and values",
                           table->section[0] == '\0' ? "the configuration" : table->section);
        return mistake(problems, map, status, &why, err);
    }
    status = keys_take(table, map, arena, settings, problems, err);
    for (uint32_t i = 0; i < table->count && (status == NW_OK || problems != NULL); i++) {
        if (!settings[i].set && absent_take(table, i, map, arena, &settings[i], &why) != NW_OK) {
            status = mistake(problems, map, status, &why, err);
        }
    }
    return status;
}

nw_status nw_options_check(const struct nw_option_table *table, struct nw_arena *arena,
                           struct nw_error *err)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct nw_option *option = &table->options[i];
        struct nw_setting setting = {0};
        uint32_t first = 0;

        if (option->name == NULL || option->help == NULL || option->type < NW_OPTION_TEXT ||
            option->type > NW_OPTION_LIST) {
            return nw_fail(err, NW_FATAL, "NW1225 option %u of %s has no name, help or known type",
                           i, table->section);
        }
        (void)option_named(table, option->name, &first);
        if (first != i) {
            return nw_fail(err, NW_FATAL, "NW1225 option %s of %s is declared twice", option->name,
                           table->section);
        }
        if (option->type == NW_OPTION_CHOICE && option->choices == NULL) {
            return nw_fail(err, NW_FATAL, "NW1225 option %s of %s is a choice without choices",
                           option->name, table->section);
        }
        if (option->fallback != NULL && option->type != NW_OPTION_LIST &&
            !value_parse(option, option->fallback, &setting)) {
            return nw_fail(err, NW_FATAL,
                           "NW1225 the default of option %s of %s, \"%s\", is not a %s",
                           option->name, table->section, option->fallback, form_of(option->type));
        }
    }
    (void)arena;
    return NW_OK;
}

void nw_option_form(const struct nw_option *option, char *out, size_t size)
{
    if (option->type == NW_OPTION_CHOICE) {
        choices_print(option, out, size);
    } else {
        (void)snprintf(out, size, "%s", form_of(option->type));
    }
}

static void form_document(const struct nw_option *option, FILE *out)
{
    char choices[256];

    if (option->type == NW_OPTION_CHOICE) {
        choices_print(option, choices, sizeof choices);
        for (char *at = choices; *at != '\0'; at++) { /* a bar would end the cell */
            *at = *at == '|' ? '/' : *at;
        }
        (void)fputs(choices, out);
        return;
    }
    (void)fputs(form_of(option->type), out);
}

static void fallback_document(const struct nw_option *option, FILE *out)
{
    if (option->fallback != NULL) {
        (void)fprintf(out, "`%s`", option->fallback);
        return;
    }
    (void)fputs((option->flags & NW_OPTION_REQUIRED) != 0 ? "required" : "none", out);
}

void nw_options_document(const struct nw_option_table *table, FILE *out)
{
    (void)fprintf(out, "\n## %s\n\n| key | form | default | |\n|---|---|---|---|\n", table->title);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct nw_option *option = &table->options[i];

        (void)fprintf(out, "| `%s` | ", option->name);
        form_document(option, out);
        (void)fputs(" | ", out);
        fallback_document(option, out);
        (void)fprintf(out, " | %s%s%s |\n", option->help,
                      (option->flags & NW_OPTION_SECRET) != 0 ? " Secret." : "",
                      (option->flags & NW_OPTION_RELOADABLE) != 0 ? " Reloadable." : "");
    }
}
