/* SPDX-License-Identifier: Apache-2.0 */
/* Preflight of transforms: what each rule would do to which table, and what stands against it. */
#include <string.h>

#include "base/code.h"

#include "pipeline/preflight_private.h"

#define FAILURES_SHOWN 20u
#define UNMET_SHOWN    20u

struct transforms_check {
    struct nw_examination *x;
    struct nw_arena *arena; /* of catalog reads */
    const struct nw_table **tables;
    size_t count;
};

static const struct nw_transform_rules *rules_of(const struct transforms_check *check)
{
    return check->x->options->transforms;
}

static bool wanted(const struct transforms_check *check, const char *schema, const char *name)
{
    return nw_table_filter_match(&check->x->options->server.publication.filter, schema, name);
}

static nw_status table_add(struct transforms_check *check, const struct nw_catalog_table *from,
                           struct nw_error *err)
{
    struct nw_table *table = NULL;
    nw_status status = nw_catalog_to_table(from, check->arena, &table, err);

    if (status == NW_OK) {
        check->tables[check->count++] = table;
    }
    return status;
}

/* A table that is to be published: as it would be then. */
static nw_status candidate_add(struct transforms_check *check,
                               const struct nw_catalog_candidate *candidate, struct nw_error *err)
{
    const char *const names[1] = {check->x->options->server.publication.name};
    struct nw_catalog_scope scope = {names, 1};
    const struct nw_catalog_table *table = NULL;
    nw_status status =
        nw_catalog_table(check->x->session, &scope, candidate->oid, check->arena, &table, err);

    return status == NW_OK && table != NULL ? table_add(check, table, err) : status;
}

/* The tables that a run would see, and how. */
static nw_status tables_gather(struct transforms_check *check,
                               const struct nw_catalog_candidates *candidates,
                               const struct nw_catalog_tables *published, struct nw_error *err)
{
    nw_status status = NW_OK;

    check->tables = nw_arena_array(check->arena, candidates->count + published->count + 1,
                                   sizeof *check->tables);
    if (check->tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu tables", candidates->count);
    }
    for (size_t i = 0; i < published->count && status == NW_OK; i++) {
        const struct nw_catalog_table *table = &published->tables[i];

        if (wanted(check, table->schema_name, table->name)) {
            status = table_add(check, table, err);
        }
    }
    for (size_t i = 0; i < candidates->count && status == NW_OK; i++) {
        const struct nw_catalog_candidate *table = &candidates->tables[i];

        if (table->root_oid == 0 && !table->of_extension &&
            !nw_catalog_is_published(published, table->oid) &&
            wanted(check, table->schema_name, table->name)) {
            status = candidate_add(check, table, err);
        }
    }
    return status;
}

/* A rule's lines: one for each table. */
static nw_status rule_say(struct transforms_check *check, const struct nw_transform_rule *rule,
                          struct nw_error *err)
{
    struct nw_preflight *p = check->x->report;
    const char **lines = nw_arena_array(p->arena, check->count + 1, sizeof *lines);
    const char *place = nw_transform_place(rule, p->arena);
    struct nw_finding *finding = NULL;
    size_t count = 0;

    if (lines == NULL || place == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu tables", check->count);
    }
    for (size_t i = 0; i < check->count; i++) {
        const struct nw_table *table = check->tables[i];
        const char *does = nw_transform_describe(rule, table, p->arena);

        if (does != NULL) {
            lines[count++] =
                nw_preflight_text(p, "%s.%s: %s", table->schema_name, table->name, does);
        }
    }
    if (count == 1) {
        (void)nw_preflight_add(p, NW_FINDING_OK, "", "%s: %s", place, lines[0]);
    } else if (count > 1) {
        finding = nw_preflight_add(p, NW_FINDING_OK, "", "%s: %zu tables", place, count);
        finding->names = lines;
        finding->names_count = count;
    }
    return NW_OK;
}

/* What a run would refuse at its start. */
static nw_status refusals_find(struct transforms_check *check, struct nw_error *err)
{
    struct nw_transforms *transforms = NULL;
    size_t found = 0;
    nw_status status = nw_transforms_create(rules_of(check), &transforms, err);

    for (size_t i = 0; i < check->count && status == NW_OK && found < FAILURES_SHOWN; i++) {
        const struct nw_projection *ignored = NULL;
        struct nw_error why = {0};

        if (nw_transforms_project(transforms, check->tables[i], &ignored, &why) != NW_OK) {
            (void)nw_preflight_add(check->x->report, NW_FINDING_FAIL, "NW1226", "%s",
                                   nw_code_rest(why.text));
            found++;
        }
    }
    nw_transforms_destroy(transforms);
    return status;
}

static nw_status unmet_find(struct transforms_check *check, struct nw_error *err)
{
    struct nw_transform_use use;
    const char *text = NULL;
    uint32_t at = 0;
    uint32_t found = 0;
    nw_status status = nw_transform_use_init(&use, rules_of(check), check->x->report->arena, err);

    for (size_t i = 0; i < check->count && status == NW_OK; i++) {
        nw_transform_use_table(&use, check->tables[i]);
    }
    while (status == NW_OK && found++ < UNMET_SHOWN &&
           (text = nw_transform_use_unmet(&use, &at)) != NULL) {
        (void)nw_preflight_add(check->x->report, NW_FINDING_WARN, "NW1318", "%s",
                               nw_code_rest(text));
    }
    return status;
}

/* Tell whoever asks what sinks would see. */
static nw_status tables_tell(struct transforms_check *check, struct nw_error *err)
{
    const struct nw_preflight_options *options = check->x->options;
    static const struct nw_transform_rules none;
    struct nw_transforms *transforms = NULL;
    const struct nw_table **seen = nw_arena_array(check->arena, check->count + 1, sizeof *seen);
    nw_status status =
        nw_transforms_create(rules_of(check) != NULL ? rules_of(check) : &none, &transforms, err);
    uint32_t count = 0;

    if (status == NW_OK && seen == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for %zu tables", check->count);
    }
    for (size_t i = 0; i < check->count && status == NW_OK; i++) {
        const struct nw_projection *projection = NULL;
        struct nw_error ignored = {0};

        if (nw_transforms_project(transforms, check->tables[i], &projection, &ignored) == NW_OK) {
            seen[count++] = nw_table_seen(check->tables[i], projection);
        }
    }
    if (status == NW_OK) {
        options->on_tables(options->context, check->x->report, seen, count);
    }
    nw_transforms_destroy(transforms);
    return status;
}

/* What copy.where chooses of the tables, and what it cannot be asked for. */
static nw_status wheres_find(struct transforms_check *check, struct nw_error *err)
{
    struct nw_preflight *p = check->x->report;
    nw_status status = NW_OK;
    size_t failed = 0;

    for (size_t i = 0; i < check->count && status == NW_OK && failed < FAILURES_SHOWN; i++) {
        const struct nw_table *table = check->tables[i];
        const char *condition =
            nw_copy_where_find(&check->x->options->copy_where, table->schema_name, table->name);
        struct nw_error why = {0};

        status = condition == NULL ? NW_OK
                                   : nw_copy_where_check(check->x->session, table->schema_name,
                                                         table->name, condition, &why);
        if (status == NW_REJECT) {
            (void)nw_preflight_add(p, NW_FINDING_FAIL, "NW1229", "%s", nw_code_rest(why.text));
            status = NW_OK;
            failed++;
        } else if (status != NW_OK) {
            *err = why;
        } else if (condition != NULL) {
            (void)nw_preflight_add(p, NW_FINDING_OK, "", "copy.where: of %s.%s is copied: %s",
                                   table->schema_name, table->name, condition);
        }
    }
    return status;
}

nw_status nw_preflight_transforms(struct nw_examination *examination, struct nw_arena *arena,
                                  const struct nw_catalog_candidates *candidates,
                                  const struct nw_catalog_tables *published, struct nw_error *err)
{
    struct transforms_check check = {.x = examination, .arena = arena};
    const struct nw_transform_rules *rules = rules_of(&check);
    uint32_t count = rules == NULL ? 0 : rules->count;
    nw_status status = NW_OK;

    bool wheres = examination->options->copies && examination->options->copy_where.count > 0;

    if (count == 0 && !wheres && examination->options->on_tables == NULL) {
        return NW_OK;
    }
    status = tables_gather(&check, candidates, published, err);
    if (status == NW_OK && examination->options->on_tables != NULL) {
        status = tables_tell(&check, err);
    }
    if (status == NW_OK && wheres) {
        status = wheres_find(&check, err);
    }
    if (count == 0) {
        return status;
    }
    for (uint32_t i = 0; i < rules->count && status == NW_OK; i++) {
        status = rule_say(&check, &rules->rules[i], err);
    }
    status = status == NW_OK ? refusals_find(&check, err) : status;
    return status == NW_OK ? unmet_find(&check, err) : status;
}
