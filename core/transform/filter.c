/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `where`, bound to the columns of a schema version. Three-valued as in SQL: a comparison with NULL
 * does not hold, and neither does its contrary. Immutable once made; any thread.
 */
#include <string.h>

#include "pg/types.h"
#include "transform/private.h"

struct term {
    enum nw_where_op op;
    enum nw_compare_kind kind;
    uint16_t operand;
    uint32_t constants_count;
    const struct nw_compare_constant *constants;
};

struct filter {
    struct nw_row_filter base;
    uint32_t terms_count;
    struct term *terms;
};

struct binding {
    const struct nw_table *table;
    struct nw_arena *arena;
    struct filter *filter;
    struct nw_operand *operands;
    uint16_t operands_count;
    uint32_t terms_max;
    struct nw_error *err;
};

/* ---- judging ---- */

static bool holds(enum nw_where_op op, int order)
{
    switch (op) {
    case NW_WHERE_EQUAL:
    case NW_WHERE_IN:
        return order == 0;
    case NW_WHERE_NOT_EQUAL:
    case NW_WHERE_NOT_IN:
        return order != 0;
    case NW_WHERE_LESS:
        return order < 0;
    case NW_WHERE_LESS_EQUAL:
        return order <= 0;
    case NW_WHERE_GREATER:
        return order > 0;
    case NW_WHERE_GREATER_EQUAL:
        return order >= 0;
    case NW_WHERE_NULL:
    case NW_WHERE_NOT_NULL:
        break;
    }
    return false;
}

static enum nw_row_verdict term_judge(const struct term *term, const struct nw_value *value)
{
    bool all = term->op == NW_WHERE_NOT_IN; /* must hold for each constant; else for one */
    uint32_t count = 0;

    if (term->op == NW_WHERE_NULL || term->op == NW_WHERE_NOT_NULL) {
        bool is_null = value->kind == NW_VALUE_NULL;

        return is_null == (term->op == NW_WHERE_NULL) ? NW_ROW_KEPT : NW_ROW_DROPPED;
    }
    if (value->kind == NW_VALUE_NULL) {
        return NW_ROW_DROPPED;
    }
    for (uint32_t i = 0; i < term->constants_count; i++) {
        int order = 0;

        if (!nw_compare(term->kind, value, &term->constants[i], &order)) {
            return NW_ROW_UNKNOWN;
        }
        count += holds(term->op, order);
    }
    return count > (all ? term->constants_count - 1 : 0) ? NW_ROW_KEPT : NW_ROW_DROPPED;
}

/* What cannot be compared is told even where another condition would have dropped the row. */
static enum nw_row_verdict filter_judge(const struct nw_row_filter *base,
                                        const struct nw_value *values)
{
    const struct filter *filter = (const struct filter *)(const void *)base;
    enum nw_row_verdict verdict = NW_ROW_KEPT;

    for (uint32_t i = 0; i < filter->terms_count && verdict != NW_ROW_UNKNOWN; i++) {
        const struct term *term = &filter->terms[i];
        enum nw_row_verdict each = term_judge(term, &values[term->operand]);

        verdict = each == NW_ROW_KEPT ? verdict : each;
    }
    return verdict;
}

/* ---- binding ---- */

static nw_status no_memory(struct binding *b)
{
    return nw_fail(b->err, NW_FATAL, "out of memory for the transforms of %s.%s",
                   b->table->schema_name, b->table->name);
}

/*
 * A delete has only the replica identity's columns, and so has the old row of an update. Without
 * any replica identity the server publishes neither.
 */
static bool is_in_old_rows(const struct nw_table *table, uint16_t column)
{
    bool has_identity = false;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        has_identity = has_identity || table->columns[i].identity;
    }
    return table->replica_identity == 'f' || !has_identity || table->columns[column].identity;
}

static nw_status operand_find(struct binding *b, const struct nw_transform_rule *rule,
                              const char *name, uint16_t *operand)
{
    const struct nw_table *table = b->table;
    uint16_t column = nw_column_index(table, name);
    char place[NW_PLACE_SIZE];

    if (column == table->columns_count) {
        return nw_fail(
            b->err, NW_REJECT,
            "NW1226 %s: where names column %s, which %s.%s does not have (or does not publish): "
            "name another, or make the rule's tables narrower",
            nw_rule_place(rule, place), name, table->schema_name, table->name);
    }
    if (!is_in_old_rows(table, column)) {
        return nw_fail(
            b->err, NW_REJECT,
            "NW1226 %s: where names column %s of %s.%s, which is not in the table's replica "
            "identity: of "
            "a delete, and of the old row of an update, the server sends only that, and it could "
            "not be told whether sinks have the row. ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY "
            "FULL "
            "sends all",
            nw_rule_place(rule, place), name, table->schema_name, table->name, table->schema_name,
            table->name);
    }
    for (*operand = 0; *operand < b->operands_count; ++*operand) {
        if (b->operands[*operand].field[NW_WIRE_CHANGES] == column) {
            return NW_OK;
        }
    }
    b->operands[*operand].schema = table->columns[column];
    b->operands[*operand].element_oid = nw_column_element(table, column);
    b->operands[*operand].field[NW_WIRE_CHANGES] = column;
    if (table->columns[column].base_type_oid == NW_OID_NUMERIC) {
        b->operands[*operand].schema.type = NW_TYPE_NUMERIC; /* as text, which is always exact */
    }
    b->operands_count++;
    return NW_OK;
}

static nw_status constants_read(struct binding *b, const struct nw_transform_rule *rule,
                                const struct nw_where_term *from, struct term *term)
{
    const struct nw_column_schema *column = &b->operands[term->operand].schema;
    struct nw_compare_constant *constants =
        nw_arena_array(b->arena, from->constants_count + 1, sizeof *constants);
    char place[NW_PLACE_SIZE];

    if (constants == NULL) {
        return no_memory(b);
    }
    for (uint32_t i = 0; i < from->constants_count; i++) {
        const char *wanted = nw_compare_read(term->kind, &from->constants[i], &constants[i]);

        if (wanted != NULL) {
            return nw_fail(
                b->err, NW_REJECT,
                "NW1226 %s: where compares column %s (%s) of %s.%s with %s%.60s%s, and what can "
                "be there is %s",
                nw_rule_place(rule, place), column->name, column->type_name, b->table->schema_name,
                b->table->name, from->constants[i].quoted ? "'" : "", from->constants[i].text,
                from->constants[i].quoted ? "'" : "", wanted);
        }
    }
    term->constants = constants;
    term->constants_count = from->constants_count;
    return NW_OK;
}

static bool has_order(enum nw_where_op op)
{
    return op == NW_WHERE_LESS || op == NW_WHERE_LESS_EQUAL || op == NW_WHERE_GREATER ||
           op == NW_WHERE_GREATER_EQUAL;
}

static nw_status term_bind(struct binding *b, const struct nw_transform_rule *rule,
                           const struct nw_where_term *from)
{
    struct term *term = &b->filter->terms[b->filter->terms_count];
    char place[NW_PLACE_SIZE];
    nw_status status = NW_OK;

    if (b->filter->terms_count == b->terms_max || b->operands_count == NW_OPERANDS_MAX) {
        return nw_fail(
            b->err, NW_REJECT, "NW1226 %s: the rules of %s.%s have more than %u conditions",
            nw_rule_place(rule, place), b->table->schema_name, b->table->name, NW_OPERANDS_MAX);
    }
    status = operand_find(b, rule, from->column, &term->operand);
    if (status != NW_OK) {
        return status;
    }
    term->op = from->op;
    term->kind = nw_compare_kind_of(&b->operands[term->operand].schema);
    if (term->kind == NW_COMPARE_LABEL && has_order(term->op)) {
        return nw_fail(
            b->err, NW_REJECT,
            "NW1226 %s: where orders column %s of %s.%s, an enum: it can be asked for =, <> and "
            "IN",
            nw_rule_place(rule, place), from->column, b->table->schema_name, b->table->name);
    }
    b->filter->terms_count++;
    return constants_read(b, rule, from, term);
}

/* All conditions, a line each. NULL when memory is short. */
static const char *conditions_text(const struct nw_transform_rule *const *rules, uint32_t count,
                                   struct nw_arena *arena)
{
    size_t size = 1;
    char *text = NULL;
    char *at = NULL;

    for (uint32_t i = 0; i < count; i++) {
        size += rules[i]->where_text == NULL ? 0 : strlen(rules[i]->where_text) + 1;
    }
    text = at = nw_arena_alloc(arena, size);
    for (uint32_t i = 0; i < count && text != NULL; i++) {
        if (rules[i]->where_text != NULL) {
            at = stpcpy(at, rules[i]->where_text);
            *at++ = '\n';
        }
    }
    if (text != NULL) {
        *at = '\0';
    }
    return text;
}

nw_status nw_filter_make(const struct nw_transform_rule *const *rules, uint32_t count,
                         const struct nw_table *table, struct nw_arena *arena,
                         const struct nw_row_filter **filter, struct nw_error *err)
{
    struct binding b = {.table = table, .arena = arena, .terms_max = NW_OPERANDS_MAX, .err = err};
    bool any = false;
    nw_status status = NW_OK;

    *filter = NULL;
    for (uint32_t i = 0; i < count; i++) {
        any = any || rules[i]->where_text != NULL;
    }
    if (!any) {
        return NW_OK;
    }
    b.filter = nw_arena_alloc(arena, sizeof *b.filter);
    b.operands = nw_arena_array(arena, NW_OPERANDS_MAX, sizeof *b.operands);
    if (b.filter == NULL || b.operands == NULL) {
        return no_memory(&b);
    }
    b.filter->terms = nw_arena_array(arena, b.terms_max, sizeof *b.filter->terms);
    b.filter->base.text = conditions_text(rules, count, arena);
    if (b.filter->terms == NULL || b.filter->base.text == NULL) {
        return no_memory(&b);
    }
    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        for (uint32_t t = 0; t < rules[i]->where.terms_count && status == NW_OK; t++) {
            status = term_bind(&b, rules[i], &rules[i]->where.terms[t]);
        }
    }
    b.filter->base.operands = b.operands;
    b.filter->base.operands_count = b.operands_count;
    b.filter->base.judge = filter_judge;
    *filter = &b.filter->base;
    return status;
}
