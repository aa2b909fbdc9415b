/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of projections, and how one is made. See transform.h.
 *
 * Behind a mutex, for the stream's thread and the main thread both ask; once for each version.
 */
#include "transform/transform.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pg/types.h"
#include "transform/private.h"

#define BYTES_MAX     (512u << 20)
#define NAME_SIZE_MAX 200u /* bytes of a name that sinks see */

/* A version that was asked for, the newest first. */
struct known {
    struct known *next;
    const struct nw_table *table;
    const struct nw_projection *projection; /* NULL: none */
};

/* Under which name sinks see the tables of one name in the source. */
struct name {
    struct name *next;
    uint32_t relation_oid;
    const char *schema, *table;           /* in the source */
    const char *seen_schema, *seen_table; /* for sinks */
};

struct nw_transforms {
    const struct nw_transform_rules *rules;
    pthread_mutex_t mutex; /* guards all below */
    struct nw_arena arena;
    struct known *known;
    struct name *names;
    const struct nw_mask **masks; /* one for each rule; NULL: it masks nothing */
};

/* One projection on its way. */
struct making {
    struct nw_transforms *transforms;
    const struct nw_table *table;
    const struct nw_transform_rule **rules; /* those for this table */
    uint32_t rules_count;
    struct nw_projection *projection;
    struct nw_projected_field *fields; /* of changes */
    struct nw_column_schema *columns;  /* that are seen */
    bool *blurs;                       /* of fields: several values become one */
    bool changes_something;
    struct nw_error *err;
};

nw_status nw_transforms_create(const struct nw_transform_rules *rules,
                               struct nw_transforms **transforms, struct nw_error *err)
{
    struct nw_transforms *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the transforms");
    }
    made->rules = rules;
    nw_arena_init(&made->arena, BYTES_MAX);
    (void)pthread_mutex_init(&made->mutex, NULL);
    made->masks = nw_arena_array(&made->arena, rules->count + 1, sizeof *made->masks);
    for (uint32_t i = 0; made->masks != NULL && i < rules->count; i++) {
        if (rules->rules[i].mask_columns != NULL) {
            made->masks[i] = nw_mask_make(&rules->rules[i], &made->arena);
            if (made->masks[i] == NULL) {
                made->masks = NULL;
            }
        }
    }
    if (made->masks == NULL) {
        nw_transforms_destroy(made);
        return nw_fail(err, NW_FATAL, "out of memory for the transforms");
    }
    *transforms = made;
    return NW_OK;
}

void nw_transforms_destroy(struct nw_transforms *transforms)
{
    if (transforms != NULL) {
        (void)pthread_mutex_destroy(&transforms->mutex);
        nw_arena_fini(&transforms->arena);
        free(transforms);
    }
}

static nw_status no_memory(const struct making *m)
{
    return nw_fail(m->err, NW_FATAL, "out of memory for the transforms of %s.%s",
                   m->table->schema_name, m->table->name);
}

/* ---- columns ---- */

/* Two keys would become one, or none. */
static nw_status key_refuse(const struct making *m, const struct nw_transform_rule *rule,
                            uint16_t column, const char *what)
{
    char place[NW_PLACE_SIZE];

    return nw_fail(
        m->err, NW_REJECT,
        "NW1226 %s %s column %s of %s.%s, which is of the table's key: sinks could not tell its "
        "rows apart. Leave the key as it is (mask: sha256 keeps keys apart), or leave the "
        "table out",
        nw_rule_place(rule, place), what, m->table->columns[column].name, m->table->schema_name,
        m->table->name);
}

/* Whether a column is seen, and by what mask. */
static nw_status field_decide(struct making *m, uint16_t column, bool *seen)
{
    const char *name = m->table->columns[column].name;
    bool is_key = nw_column_is_key(m->table, column);

    *seen = true;
    for (uint32_t i = 0; i < m->rules_count && *seen; i++) {
        const struct nw_transform_rule *rule = m->rules[i];
        bool masks = m->fields[column].mask == NULL && nw_patterns_match(rule->mask_columns, name);

        *seen = !nw_rule_hides(rule, name);
        if (!*seen && is_key) {
            return key_refuse(m, rule, column, "leaves out");
        }
        if (masks && is_key && rule->mask != NW_MASK_SHA256) {
            return key_refuse(m, rule, column, "masks, so that values become the same,");
        }
        if (masks) {
            m->blurs[column] = rule->mask != NW_MASK_SHA256;
            m->fields[column].mask =
                nw_mask_for(m->transforms->masks[rule - m->transforms->rules->rules], rule,
                            &m->table->columns[column], &m->transforms->arena);
            if (m->fields[column].mask == NULL) {
                return no_memory(m);
            }
        }
    }
    m->changes_something = m->changes_something || !*seen || m->fields[column].mask != NULL;
    return NW_OK;
}

/* A column as sinks see it. */
static void column_show(struct making *m, uint16_t column, struct nw_column_schema *seen)
{
    *seen = m->table->columns[column];
    if (m->fields[column].mask != NULL) {
        seen->type_name = "text";
        seen->type_oid = NW_OID_TEXT;
        seen->base_type_oid = NW_OID_TEXT;
        seen->typmod = -1;
        seen->type = NW_TYPE_TEXT;
        seen->precision = 0;
        seen->scale = 0;
        seen->default_expr = NULL;
        seen->enum_labels = NULL;
    }
    for (uint32_t i = 0; i < m->rules_count; i++) {
        const char *to = nw_rule_renames(m->rules[i], m->table->columns[column].name);

        if (to != NULL) {
            seen->name = to;
            m->changes_something = true;
            break;
        }
    }
}

/* What nw_table has of it beside nw_table.columns. A mask's text has nothing of its type. */
static void lists_show(const struct making *m, uint16_t column, const char *const **items,
                       const char **name)
{
    bool masked = m->fields[column].mask != NULL;

    *items = masked ? NULL : nw_table_item_labels(m->table, column);
    *name = masked ? NULL : nw_table_base_type_name(m->table, column);
}

/* Two columns of one name. */
static nw_status columns_check(const struct making *m)
{
    const struct nw_table *seen = &m->projection->table;

    for (uint16_t i = 0; i < seen->columns_count; i++) {
        for (uint16_t other = 0; other < i; other++) {
            if (strcmp(seen->columns[i].name, seen->columns[other].name) == 0) {
                return nw_fail(
                    m->err, NW_REJECT,
                    "NW1226 transforms: rename_columns gives two columns of %s.%s the name %s",
                    m->table->schema_name, m->table->name, seen->columns[i].name);
            }
        }
    }
    if (seen->columns_count == 0 && m->table->columns_count > 0) {
        return nw_fail(
            m->err, NW_REJECT,
            "NW1226 transforms: no column of %s.%s is left: leave the table out (tables.exclude)",
            m->table->schema_name, m->table->name);
    }
    return NW_OK;
}

/* Lists with an entry for each column, those of what is seen in the projection's table. */
static bool room_make(struct making *m, const char *const ***items, const char ***names,
                      bool **blurred)
{
    size_t count = m->table->columns_count + 1u;
    struct nw_arena *arena = &m->transforms->arena;

    *items = nw_arena_array(arena, count, sizeof **items);
    *names = nw_arena_array(arena, count, sizeof **names);
    *blurred = nw_arena_array(arena, count, sizeof **blurred);
    m->blurs = nw_arena_array(arena, count, sizeof *m->blurs);
    m->fields = nw_arena_array(arena, count, sizeof *m->fields);
    m->columns = nw_arena_array(arena, count, sizeof *m->columns);
    m->projection->table = *m->table;
    m->projection->table.size = sizeof m->projection->table;
    m->projection->table.item_labels = *items;
    m->projection->table.base_type_names = *names;
    m->projection->table.blurred = *blurred;
    m->projection->table.columns = m->columns;
    m->projection->table.columns_count = 0;
    return *items != NULL && *names != NULL && *blurred != NULL && m->blurs != NULL &&
           m->fields != NULL && m->columns != NULL;
}

static nw_status columns_make(struct making *m)
{
    uint16_t count = m->table->columns_count;
    const char *const **items = NULL;
    const char **names = NULL;
    bool *blurred = NULL;
    nw_status status = NW_OK;

    if (!room_make(m, &items, &names, &blurred)) {
        return no_memory(m);
    }
    for (uint16_t i = 0; i < count && status == NW_OK; i++) {
        bool seen = false;

        m->fields[i].column = i;
        m->fields[i].seen = NW_FIELD_UNSEEN;
        status = field_decide(m, i, &seen);
        if (status == NW_OK && seen) {
            m->fields[i].seen = m->projection->table.columns_count++;
            column_show(m, i, &m->columns[m->fields[i].seen]);
            lists_show(m, i, &items[m->fields[i].seen], &names[m->fields[i].seen]);
            blurred[m->fields[i].seen] = m->blurs[i];
        }
    }
    m->projection->fields[NW_WIRE_CHANGES] = m->fields;
    m->projection->fields_count[NW_WIRE_CHANGES] = count;
    return status == NW_OK ? columns_check(m) : status;
}

/* And the unique index, if all of it is seen. That it is blurred is for sinks to look at. */
static nw_status unique_make(struct making *m)
{
    uint16_t count = m->table->unique_columns_count;
    uint16_t *unique = nw_arena_array(&m->transforms->arena, count + 1u, sizeof *unique);

    if (unique == NULL) {
        return no_memory(m);
    }
    for (uint16_t i = 0; i < count; i++) {
        unique[i] = m->fields[m->table->unique_columns[i]].seen;
        if (unique[i] == NW_FIELD_UNSEEN) {
            m->projection->table.unique_columns_count = 0;
        }
    }
    m->projection->table.unique_columns = unique;
    return NW_OK;
}

/* The same key, counted in the columns that are seen: all of it is. */
static nw_status key_make(struct making *m)
{
    uint16_t count = m->table->key_columns_count;
    uint16_t *keys = nw_arena_array(&m->transforms->arena, count + 1u, sizeof *keys);

    if (keys == NULL) {
        return no_memory(m);
    }
    for (uint16_t i = 0; i < count; i++) {
        keys[i] = m->fields[m->table->key_columns[i]].seen;
    }
    m->projection->table.key_columns = keys;
    return unique_make(m);
}

/* ---- rows ---- */

static bool is_operand(const struct nw_row_filter *filter, uint16_t column)
{
    for (uint16_t i = 0; filter != NULL && i < filter->operands_count; i++) {
        if (filter->operands[i].field[NW_WIRE_CHANGES] == column) {
            return true;
        }
    }
    return false;
}

/* What is selected by a copy: what is seen, and what the filter looks at. */
static nw_status copy_make(struct making *m)
{
    struct nw_projection *p = m->projection;
    struct nw_projected_field *fields =
        nw_arena_array(&m->transforms->arena, m->table->columns_count + 1u, sizeof *fields);
    struct nw_operand *operands = NULL;
    uint16_t count = 0;

    if (fields == NULL) {
        return no_memory(m);
    }
    if (p->filter != NULL) {
        operands = (struct nw_operand *)(uintptr_t)p->filter->operands; /* nobody else has it yet */
    }
    for (uint16_t i = 0; i < m->table->columns_count; i++) {
        if (m->fields[i].seen == NW_FIELD_UNSEEN && !is_operand(p->filter, i)) {
            continue;
        }
        for (uint16_t o = 0; p->filter != NULL && o < p->filter->operands_count; o++) {
            if (operands[o].field[NW_WIRE_CHANGES] == i) {
                operands[o].field[NW_WIRE_COPY] = count;
            }
        }
        fields[count++] = m->fields[i];
    }
    p->fields[NW_WIRE_COPY] = fields;
    p->fields_count[NW_WIRE_COPY] = count;
    return NW_OK;
}

/* ---- names ---- */

/* "crm_{table}" with the source's names in it; NULL: too long, or no memory. */
static const char *name_fill(const struct making *m, const char *pattern)
{
    char text[NAME_SIZE_MAX + 1];
    size_t size = 0;

    while (*pattern != '\0') {
        const char *part = pattern;
        size_t part_size = 1;

        if (strncmp(pattern, "{schema}", 8) == 0) {
            part = m->table->schema_name;
            part_size = strlen(part);
            pattern += 8;
        } else if (strncmp(pattern, "{table}", 7) == 0) {
            part = m->table->name;
            part_size = strlen(part);
            pattern += 7;
        } else {
            pattern++;
        }
        if (part_size > NAME_SIZE_MAX - size) {
            return NULL;
        }
        memcpy(text + size, part, part_size);
        size += part_size;
    }
    return nw_arena_text_of(&m->transforms->arena, text, size);
}

static nw_status names_make(struct making *m)
{
    struct nw_table *seen = &m->projection->table;
    const char *schema = NULL;
    const char *name = NULL;
    char place[NW_PLACE_SIZE];

    for (uint32_t i = 0; i < m->rules_count; i++) {
        const struct nw_transform_rule *rule = m->rules[i];

        if (schema == NULL && rule->to_schema != NULL) {
            schema = name_fill(m, rule->to_schema);
            seen->schema_name = schema;
        }
        if (name == NULL && rule->to_table != NULL) {
            name = name_fill(m, rule->to_table);
            seen->name = name;
        }
        if (seen->schema_name == NULL || seen->name == NULL) {
            return nw_fail(m->err, NW_REJECT, "NW1226 %s gives %s.%s a name of more than %u bytes",
                           nw_rule_place(rule, place), m->table->schema_name, m->table->name,
                           NAME_SIZE_MAX);
        }
    }
    m->changes_something = m->changes_something || schema != NULL || name != NULL;
    return NW_OK;
}

/* It, whatever it was called; or one that had its name before and is gone. */
static bool is_source(const struct name *name, const struct nw_table *table)
{
    return name->relation_oid == table->relation_oid ||
           (strcmp(name->schema, table->schema_name) == 0 && strcmp(name->table, table->name) == 0);
}

/* Each name that sinks see is of one table: rows of two could not be told apart. */
static nw_status name_take(struct making *m, const struct nw_table *seen)
{
    struct name *own = NULL;

    for (struct name *name = m->transforms->names; name != NULL; name = name->next) {
        if (is_source(name, m->table)) {
            own = name;
        } else if (strcmp(name->seen_schema, seen->schema_name) == 0 &&
                   strcmp(name->seen_table, seen->name) == 0) {
            return nw_fail(
                m->err, NW_REJECT,
                "NW1226 transforms: sinks would see both %s.%s and %s.%s as %s.%s, and could not "
                "tell their rows apart: give them names of their own (to_schema, "
                "to_table)",
                name->schema, name->table, m->table->schema_name, m->table->name, seen->schema_name,
                seen->name);
        }
    }
    if (own == NULL) {
        own = nw_arena_alloc(&m->transforms->arena, sizeof *own);
        if (own == NULL) {
            return no_memory(m);
        }
        own->next = m->transforms->names;
        m->transforms->names = own;
    }
    own->relation_oid = m->table->relation_oid;
    own->schema = m->table->schema_name;
    own->table = m->table->name;
    own->seen_schema = seen->schema_name;
    own->seen_table = seen->name;
    return NW_OK;
}

/* ---- all of it ---- */

static nw_status rules_choose(struct making *m)
{
    const struct nw_transform_rules *all = m->transforms->rules;

    m->rules = nw_arena_array(&m->transforms->arena, all->count + 1, sizeof *m->rules);
    m->projection = nw_arena_alloc(&m->transforms->arena, sizeof *m->projection);
    if (m->rules == NULL || m->projection == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        if (nw_rule_matches(&all->rules[i], m->table)) {
            m->rules[m->rules_count++] = &all->rules[i];
        }
    }
    return NW_OK;
}

/* @param made  NULL: sinks see all of it as it is. */
static nw_status project(struct making *m, const struct nw_projection **made)
{
    nw_status status = rules_choose(m);

    *made = NULL;
    if (status == NW_OK && m->rules_count > 0) {
        status = columns_make(m);
        status = status == NW_OK ? key_make(m) : status;
        status = status == NW_OK
                     ? nw_filter_make(m->rules, m->rules_count, m->table, &m->transforms->arena,
                                      &m->projection->filter, m->err)
                     : status;
        status = status == NW_OK ? copy_make(m) : status;
        status = status == NW_OK ? names_make(m) : status;
        if (m->changes_something || m->projection->filter != NULL) {
            *made = m->projection;
        }
    }
    return status == NW_OK ? name_take(m, nw_table_seen(m->table, *made)) : status;
}

static nw_status project_known(struct nw_transforms *transforms, const struct nw_table *table,
                               const struct nw_projection **projection, struct nw_error *err)
{
    struct making making = {.transforms = transforms, .table = table, .err = err};
    struct known *known = transforms->known;
    nw_status status = NW_OK;

    while (known != NULL && known->table != table) {
        known = known->next;
    }
    if (known != NULL) {
        *projection = known->projection;
        return NW_OK;
    }
    status = project(&making, projection);
    if (status != NW_OK) {
        return status;
    }
    known = nw_arena_alloc(&transforms->arena, sizeof *known);
    if (known == NULL) {
        return no_memory(&making);
    }
    *known = (struct known){transforms->known, table, *projection};
    transforms->known = known;
    return NW_OK;
}

nw_status nw_transforms_project(struct nw_transforms *transforms, const struct nw_table *table,
                                const struct nw_projection **projection, struct nw_error *err)
{
    nw_status status = NW_OK;

    *projection = NULL;
    if (transforms->rules->count == 0) {
        return NW_OK;
    }
    (void)pthread_mutex_lock(&transforms->mutex);
    status = project_known(transforms, table, projection, err);
    (void)pthread_mutex_unlock(&transforms->mutex);
    *projection = status == NW_OK ? *projection : NULL;
    return status;
}
