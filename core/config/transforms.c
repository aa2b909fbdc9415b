/* SPDX-License-Identifier: Apache-2.0 */
/* See transforms.h. */
#include "config/transforms.h"

#include <string.h>

#define RULES_MAX 1000u

static const char *const MASKS[] = {"sha256", "fixed", "first", "debezium_v1", "debezium_v2", NULL};

static const struct nw_option OPTIONS[] = {
    {"tables", NW_OPTION_LIST, NW_OPTION_REQUIRED, NULL, 0, 0, NULL,
     "Which tables the rule is for: patterns over schema.table, as in tables.include. A partition "
     "is "
     "meant by its own name and by that of its root."},
    {"include_columns", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
     "Patterns: only columns that match one are seen by sinks."},
    {"exclude_columns", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
     "Patterns: columns that match one are not seen, not copied and not decoded."},
    {"mask_columns", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
     "Patterns: of columns that match one sinks see text in the place of the value. Of several "
     "rules "
     "that mask a column the first one does."},
    {"mask", NW_OPTION_CHOICE, 0, NULL, 0, 0, MASKS,
     "How. sha256: the hash of the salt and the value's text, in hexadecimal. fixed: mask_text. "
     "first: the first mask_characters of the value's text. debezium_v2, debezium_v1: the hash as "
     "Debezium's column.mask.hash.v2 and column.mask.hash make it, cut to the column's length."},
    {"mask_salt", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0, NULL,
     "What is hashed before the value; ${file:/path} or ${env:NAME}."},
    {"mask_text", NW_OPTION_TEXT, 0, "***", 0, 0, NULL, "What mask: fixed shows."},
    {"mask_characters", NW_OPTION_INTEGER, 0, NULL, 0, 1000000, NULL,
     "How many characters mask: first shows."},
    {"rename_columns", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
     "New names of columns, each as old=new. Patterns of every rule are held against the old one."},
    {"where", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
     "Only rows for which this holds are seen: column =, <>, <, <=, >, >= value, column IN "
     "(values), "
     "column IS NULL, with NOT and AND, in SQL's spelling. Values are looked at before any mask."},
    {"to_schema", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
     "The schema that sinks see; {schema} and {table} are the source's."},
    {"to_table", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
     "The table name that sinks see; {schema} and {table} are the source's."},
};
enum {
    TABLES,
    INCLUDE_COLUMNS,
    EXCLUDE_COLUMNS,
    MASK_COLUMNS,
    MASK,
    MASK_SALT,
    MASK_TEXT,
    MASK_CHARACTERS,
    RENAME_COLUMNS,
    WHERE,
    TO_SCHEMA,
    TO_TABLE,
    COUNT
};

const struct nw_option_table NW_TRANSFORM_TABLE = {"transforms", "transforms (a list of rules)",
                                                   OPTIONS, COUNT, NULL};

struct reading {
    struct nw_arena *arena;
    struct nw_problems *problems;
    nw_status status; /* of the first mistake */
    struct nw_error *err;
};

/* A mistake at a node; all are gathered, err keeps the first. */
static void note(struct reading *reading, const struct nw_node *at, const char *code,
                 const char *text)
{
    struct nw_error why = {0};
    nw_status status = nw_tree_fail(at, code, &why, "%s", text);

    nw_problems_add(reading->problems, at->line, at->column, why.text);
    if (reading->status == NW_OK) {
        reading->status = status;
        *reading->err = why;
    }
}

/* The node of a key, or the rule when it is not there. */
static const struct nw_node *place_of(const struct nw_node *map, const char *key)
{
    const struct nw_node *node = nw_tree_member(map, key);

    return node == NULL ? map : node;
}

static void mask_check(struct reading *reading, const struct nw_node *map,
                       const struct nw_setting *s)
{
    static const struct {
        int key, mask;
        const char *needed, *useless;
    } parts[] = {
        {MASK_SALT, NW_MASK_SHA256, "mask: sha256 needs a mask_salt: without one a hash is guessed",
         "mask_salt is of use with a hash only, as mask: sha256"},
        {MASK_CHARACTERS, NW_MASK_FIRST, "mask: first needs mask_characters: how many are shown",
         "mask_characters is of use with mask: first only"},
        {MASK_TEXT, NW_MASK_FIXED, NULL, "mask_text is of use with mask: fixed only"},
    };

    if (s[MASK_COLUMNS].configured && !s[MASK].configured) {
        note(reading, place_of(map, "mask_columns"), "NW1010",
             "mask_columns without mask: say how, as mask: sha256");
    }
    if (s[MASK].configured && !s[MASK_COLUMNS].configured) {
        note(reading, place_of(map, "mask"), "NW1010", "mask without mask_columns: say which");
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const struct nw_setting *part = &s[parts[i].key];
        bool meant = s[MASK].configured && (parts[i].mask == NW_MASK_SHA256
                                                ? nw_mask_hashes((enum nw_mask_kind)s[MASK].number)
                                                : s[MASK].number == parts[i].mask);

        if (meant && !part->set) {
            note(reading, place_of(map, "mask"), "NW1010", parts[i].needed);
        } else if (part->configured && !meant) {
            note(reading, place_of(map, OPTIONS[parts[i].key].name), "NW1010", parts[i].useless);
        }
    }
}

static void renames_take(struct reading *reading, const struct nw_node *map,
                         const char *const *items, struct nw_transform_rule *rule)
{
    struct nw_column_rename *renames = NULL;
    uint32_t count = 0;

    while (items != NULL && items[count] != NULL) {
        count++;
    }
    renames = nw_arena_array(reading->arena, count + 1, sizeof *renames);
    for (uint32_t i = 0; renames != NULL && i < count; i++) {
        const char *equals = strchr(items[i], '=');

        if (equals == NULL || equals == items[i] || equals[1] == '\0') {
            note(reading, place_of(map, "rename_columns"), "NW1010",
                 "rename_columns: write old=new for each");
            return;
        }
        renames[i].from = nw_arena_text_of(reading->arena, items[i], (size_t)(equals - items[i]));
        renames[i].to = equals + 1;
        if (renames[i].from == NULL) {
            renames = NULL;
        }
    }
    if (renames == NULL) {
        note(reading, map, "NW1010", "out of memory");
        return;
    }
    rule->renames = renames;
    rule->renames_count = count;
}

/* {schema} and {table} are all that may stand in braces. */
static void template_check(struct reading *reading, const struct nw_node *map, const char *key,
                           const char *text)
{
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at == '{' && strncmp(at, "{schema}", 8) != 0 && strncmp(at, "{table}", 7) != 0) {
            note(reading, place_of(map, key), "NW1010",
                 "only {schema} and {table} may stand in braces");
            return;
        }
    }
}

static void where_take(struct reading *reading, const struct nw_node *map,
                       struct nw_transform_rule *rule)
{
    char text[NW_ERROR_TEXT_SIZE];
    struct nw_error why = {0};

    if (rule->where_text != NULL &&
        nw_where_parse(rule->where_text, reading->arena, &rule->where, &why) != NW_OK) {
        (void)snprintf(text, sizeof text, "where: %.400s", why.text);
        note(reading, place_of(map, "where"), "NW1010", text);
    }
}

static bool mask_is_known(const char *text)
{
    size_t i = 0;

    while (MASKS[i] != NULL && strcmp(MASKS[i], text) != 0) {
        i++;
    }
    return MASKS[i] != NULL;
}

static void rule_check(struct reading *reading, const struct nw_node *map,
                       const struct nw_setting *s)
{
    if (s[TABLES].configured && map->first->next == NULL) {
        note(reading, map, "NW1010", "the rule does nothing: it only names tables");
    }
    if (!s[MASK].configured || mask_is_known(s[MASK].text)) {
        mask_check(reading, map, s);
    }
    template_check(reading, map, "to_schema", s[TO_SCHEMA].text);
    template_check(reading, map, "to_table", s[TO_TABLE].text);
}

static void rule_take(struct reading *reading, const struct nw_node *map,
                      struct nw_transform_rule *rule)
{
    struct nw_setting s[COUNT];
    struct nw_error why = {0};

    if (map->kind != NW_NODE_MAP) {
        note(reading, map, "NW1003",
             "a transform is a mapping, as {tables: [public.users], exclude_columns: [password]}");
        return;
    }
    if (nw_options_resolve(&NW_TRANSFORM_TABLE, map, reading->arena, s, reading->problems, &why) !=
        NW_OK) {
        *reading->err = reading->status == NW_OK ? why : *reading->err;
        reading->status = NW_FATAL;
    }
    rule->node = map;
    rule->tables = s[TABLES].items;
    rule->include_columns = s[INCLUDE_COLUMNS].items;
    rule->exclude_columns = s[EXCLUDE_COLUMNS].items;
    rule->mask_columns = s[MASK_COLUMNS].items;
    rule->mask = (enum nw_mask_kind)s[MASK].number;
    rule->mask_salt = s[MASK_SALT].text;
    rule->mask_text = s[MASK_TEXT].text;
    rule->mask_characters = s[MASK_CHARACTERS].number;
    rule->where_text = s[WHERE].text;
    rule->to_schema = s[TO_SCHEMA].text;
    rule->to_table = s[TO_TABLE].text;
    rule_check(reading, map, s);
    renames_take(reading, map, s[RENAME_COLUMNS].items, rule);
    where_take(reading, map, rule);
}

nw_status nw_transform_rules_take(const struct nw_node *root, struct nw_arena *arena,
                                  struct nw_transform_rules *rules, struct nw_problems *problems,
                                  struct nw_error *err)
{
    const struct nw_node *list = nw_tree_member(root, "transforms");
    struct reading reading = {.arena = arena, .problems = problems, .err = err};
    struct nw_transform_rule *read = NULL;
    uint32_t count = 0;

    *rules = (struct nw_transform_rules){0};
    if (list == NULL) {
        return NW_OK;
    }
    if (list->kind != NW_NODE_LIST) {
        note(&reading, list, "NW1003", "transforms must be a list of rules");
        return reading.status;
    }
    for (const struct nw_node *node = list->first; node != NULL; node = node->next) {
        count++;
    }
    if (count > RULES_MAX) {
        note(&reading, list, "NW1010", "more than 1000 transforms");
        return reading.status;
    }
    read = nw_arena_array(arena, count + 1, sizeof *read);
    if (read == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory reading the configuration");
    }
    for (const struct nw_node *node = list->first; node != NULL; node = node->next) {
        read[rules->count].number = rules->count + 1;
        rule_take(&reading, node, &read[rules->count]);
        rules->count++;
    }
    rules->rules = read;
    return reading.status;
}
