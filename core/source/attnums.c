/* SPDX-License-Identifier: Apache-2.0 */
/* See attnums.h. PostgreSQL 14 to 18: pg_attribute, ATExecDropColumn() in tablecmds.c. */
#include "source/attnums.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX NW_COLUMNS_MAX /* MaxHeapAttributeNumber is below it */

/* Whether the column with a number was there at the message. */
enum presence { NEVER, MAYBE, SURELY };

/* A place that a column's name speaks for. */
struct candidate {
    uint16_t column;
    int16_t number;
    uint32_t score; /* of it alone */
    uint32_t best;  /* of the best chain that ends in it */
    int32_t before; /* the one before it in that chain; -1: it is the first */
};

struct finder {
    const struct nw_relation *relation;
    const struct nw_table *former, *later;
    int16_t former_last;                                       /* the highest of the former table */
    int16_t last;                                              /* the highest number there may be */
    uint8_t presence[NUMBERS_MAX + 2];                         /* by number */
    const struct nw_column_schema *in_former[NUMBERS_MAX + 2]; /* by number */
    const struct nw_column_schema *in_later[NUMBERS_MAX + 2];
    uint16_t surely[NUMBERS_MAX + 2];   /* how many are below a number */
    uint16_t behind[NUMBERS_MAX + 2];   /* the same, when that number was given */
    uint16_t possible[NUMBERS_MAX + 2]; /* surely or maybe */
    struct candidate candidates[2 * NUMBERS_MAX];
    uint32_t candidates_count;
};

static int16_t highest(const struct nw_table *table)
{
    int16_t number = 0;

    if (table == NULL) {
        return 0;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        number = table->columns[i].attnum > number ? table->columns[i].attnum : number;
    }
    if (table->attributes_count > number && table->attributes_count <= NUMBERS_MAX) {
        number = (int16_t)table->attributes_count;
    }
    return number > (int16_t)NUMBERS_MAX ? (int16_t)NUMBERS_MAX : number;
}

static void spread(const struct nw_table *table,
                   const struct nw_column_schema *by_number[NUMBERS_MAX + 2])
{
    for (uint16_t i = 0; table != NULL && i < table->columns_count; i++) {
        int16_t number = table->columns[i].attnum;

        if (number > 0 && number <= (int16_t)NUMBERS_MAX) {
            by_number[number] = &table->columns[i];
        }
    }
}

static enum presence presence_of(const struct finder *f, int16_t number)
{
    bool before = f->in_former[number] != NULL;
    bool after = f->in_later[number] != NULL;

    if (number > f->former_last) {
        return MAYBE;
    }
    if (before) {
        return after ? SURELY : MAYBE;
    }
    return after ? MAYBE : NEVER; /* published since, by a column list */
}

static void prepare(struct finder *f)
{
    int16_t later_last = highest(f->later);
    uint32_t last = 0;

    f->former_last = highest(f->former);
    last = (uint32_t)f->former_last;
    spread(f->former, f->in_former);
    spread(f->later, f->in_later);
    if (f->later == NULL) { /* it may have had any number of columns since */
        last += f->relation->columns_count;
    } else if (later_last > f->former_last) {
        last = (uint32_t)later_last;
    }
    if (last < f->relation->columns_count) { /* what is known is not of this table */
        last = f->relation->columns_count;
    }
    f->last = last > NUMBERS_MAX ? (int16_t)NUMBERS_MAX : (int16_t)last;
    for (int16_t number = 1; number <= f->last; number++) {
        f->presence[number] = (uint8_t)presence_of(f, number);

        bool surely = f->presence[number] == SURELY;
        bool before = surely || (number > f->former_last && f->in_later[number] != NULL);

        f->surely[number + 1] = (uint16_t)(f->surely[number] + (surely ? 1 : 0));
        f->behind[number + 1] = (uint16_t)(f->behind[number] + (before ? 1 : 0));
        f->possible[number + 1] =
            (uint16_t)(f->possible[number] + (f->presence[number] != NEVER ? 1 : 0));
    }
}

/* Whether so many columns fit between two numbers, and take all that must be there. */
static bool fits(const struct finder *f, int16_t low, int16_t high, uint32_t count)
{
    const uint16_t *counts = high <= f->last ? f->behind : f->surely;
    uint32_t surely = (uint32_t)counts[high] - counts[low + 1];
    uint32_t possible = (uint32_t)f->possible[high] - f->possible[low + 1];

    return surely <= count && count <= possible;
}

/* Whether a column can have a number, by the count of the others on both sides. */
static bool feasible(const struct finder *f, uint16_t column, int16_t number)
{
    return number > 0 && number <= f->last && f->presence[number] != NEVER &&
           fits(f, 0, number, column) &&
           fits(f, number, (int16_t)(f->last + 1),
                (uint32_t)f->relation->columns_count - column - 1u);
}

static const struct nw_column_schema *named(const struct nw_table *table, const char *name)
{
    for (uint16_t i = 0; table != NULL && i < table->columns_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    return NULL;
}

static void candidate_add(struct finder *f, uint16_t column, const struct nw_column_schema *known,
                          uint32_t same_type, uint32_t other_type)
{
    const struct nw_relation_column *said = &f->relation->columns[column];
    struct candidate *last =
        f->candidates_count == 0 ? NULL : &f->candidates[f->candidates_count - 1];

    if (known == NULL || !feasible(f, column, known->attnum)) {
        return;
    }
    if (last != NULL && last->column == column && last->number == known->attnum) {
        last->score++; /* both say so */
        return;
    }
    f->candidates[f->candidates_count++] =
        (struct candidate){.column = column,
                           .number = known->attnum,
                           .score = known->type_oid == said->type_oid ? same_type : other_type};
}

/*
 * The chain of candidates, in the order of columns and of numbers, for which most speaks, such that
 * the columns between have room. Leaves number 0 where no name speaks for a place.
 */
static void names_decide(struct finder *f, struct nw_attnum *attnums)
{
    int32_t end = -1;
    uint32_t best = 0;

    for (uint16_t i = 0; i < f->relation->columns_count; i++) {
        candidate_add(f, i, named(f->former, f->relation->columns[i].name), 80, 40);
        candidate_add(f, i, named(f->later, f->relation->columns[i].name), 60, 30);
    }
    for (uint32_t c = 0; c < f->candidates_count; c++) {
        struct candidate *to = &f->candidates[c];

        to->best = to->score;
        to->before = -1;
        for (uint32_t p = 0; p < c; p++) {
            const struct candidate *from = &f->candidates[p];

            if (from->column < to->column && from->number < to->number &&
                from->best + to->score > to->best &&
                fits(f, from->number, to->number, (uint32_t)to->column - from->column - 1u)) {
                to->best = from->best + to->score;
                to->before = (int32_t)p;
            }
        }
        if (to->best > best) {
            best = to->best;
            end = (int32_t)c;
        }
    }
    for (int32_t c = end; c >= 0; c = f->candidates[c].before) {
        attnums[f->candidates[c].column].number = f->candidates[c].number;
    }
}

/* A stretch of columns without a number, between two that have one. */
struct gap {
    uint16_t first, count; /* columns */
    int16_t low, high;     /* numbers beside it */
};

/* What a number of a gap would make of a column without a known place. */
enum kind {
    FRESH,  /* one of which nothing was known before, and nothing is left */
    BEFORE, /* the former column of that number, renamed */
    AFTER,  /* the later column of that number, before it was renamed */
    OTHER,  /* either, but of another type */
};

static bool has_type(const struct finder *f, const struct gap *gap,
                     const struct nw_column_schema *column)
{
    for (uint16_t i = 0; i < gap->count && column != NULL; i++) {
        if (f->relation->columns[gap->first + i].type_oid == column->type_oid) {
            return true;
        }
    }
    return false;
}

static enum kind kind_of(const struct finder *f, const struct gap *gap, int16_t number)
{
    if (has_type(f, gap, f->in_former[number])) {
        return BEFORE;
    }
    if (has_type(f, gap, f->in_later[number])) {
        return AFTER;
    }
    return f->in_former[number] == NULL && f->in_later[number] == NULL ? FRESH : OTHER;
}

/*
 * One way to fill a gap. Numbers past those of the former table were given one after the other, so
 * up to the highest that was given at the message everything that is still there was there too.
 */
struct option {
    bool taken[NUMBERS_MAX + 2]; /* by number */
    int16_t given;               /* the highest number that was given */
    uint32_t count;              /* taken */
    uint32_t of_kind[4];
    bool is_ambiguous; /* others of the same kind of reasons fit as well */
};

static enum presence presence_in(const struct finder *f, const struct option *option,
                                 int16_t number)
{
    if (number <= f->former_last) {
        return (enum presence)f->presence[number];
    }
    if (number > option->given) {
        return NEVER;
    }
    return f->in_later[number] != NULL ? SURELY : MAYBE;
}

static void option_add(const struct finder *f, const struct gap *gap, struct option *option,
                       int16_t number)
{
    option->taken[number] = true;
    option->count++;
    option->of_kind[kind_of(f, gap, number)]++;
}

/* Takes what may be there and is of a kind, as far as there is room. @return how many there are */
static uint32_t option_take(const struct finder *f, const struct gap *gap, struct option *option,
                            enum kind kind)
{
    uint32_t there = 0;

    for (int16_t number = (int16_t)(gap->low + 1); number < gap->high; number++) {
        if (presence_in(f, option, number) == MAYBE && kind_of(f, gap, number) == kind) {
            there++;
            if (option->count < gap->count) {
                option_add(f, gap, option, number);
            }
        }
    }
    return there;
}

/* @return whether as many columns as the gap has can be there when so many numbers were given */
static bool option_make(const struct finder *f, const struct gap *gap, enum nw_ambiguous policy,
                        struct option *option)
{
    static const enum kind usual[] = {FRESH, AFTER, BEFORE, OTHER};
    static const enum kind renames[] = {BEFORE, AFTER, FRESH, OTHER};
    uint32_t there[4] = {0};
    uint32_t wanted = 0;

    for (int16_t number = (int16_t)(gap->low + 1); number < gap->high; number++) {
        if (presence_in(f, option, number) == SURELY) {
            option_add(f, gap, option, number);
        }
    }
    if (option->count > gap->count) {
        return false;
    }
    wanted = gap->count - option->count;
    for (size_t i = 0; i < 4; i++) {
        enum kind kind = policy == NW_AMBIGUOUS_RENAME ? renames[i] : usual[i];

        there[kind] = option_take(f, gap, option, kind);
    }
    option->is_ambiguous = wanted > 0 && there[BEFORE] + there[AFTER] > 0 &&
                           there[BEFORE] + there[AFTER] + there[FRESH] > wanted;
    return option->count == gap->count;
}

/* Whether there is more reason for an option than for another. */
static bool is_better(const struct option *option, const struct option *best,
                      enum nw_ambiguous policy)
{
    static const enum kind least[] = {OTHER, BEFORE, AFTER};

    for (size_t i = 0; i < 3; i++) {
        uint32_t here = option->of_kind[least[i]];
        uint32_t there = best->of_kind[least[i]];

        if (here != there) {
            return least[i] == BEFORE && policy == NW_AMBIGUOUS_RENAME ? here > there
                                                                       : here < there;
        }
    }
    return false;
}

static bool has_rename(const struct option *option)
{
    return option->of_kind[BEFORE] + option->of_kind[AFTER] > 0;
}

static nw_status ambiguous(const struct finder *f, const struct gap *gap, struct nw_error *err)
{
    const struct nw_relation *relation = f->relation;

    for (int16_t number = (int16_t)(gap->low + 1); number < gap->high; number++) {
        const struct nw_column_schema *other =
            f->in_former[number] != NULL ? f->in_former[number] : f->in_later[number];

        if (f->presence[number] != NEVER && other != NULL && kind_of(f, gap, number) != OTHER) {
            return nw_fail(
                err, NW_REJECT,
                "NW2105 %s.%s: column %s is either column %s under another name or another "
                "column, and the catalog does not tell any more (tables."
                "ambiguous_rename decides; narwal ddl-trigger makes it exact)",
                relation->schema_name, relation->name, relation->columns[gap->first].name,
                other->name);
        }
    }
    return nw_fail(err, NW_REJECT, "NW2105 %s.%s: column %s cannot be told from another one",
                   relation->schema_name, relation->name, relation->columns[gap->first].name);
}

/* The best of the ways to fill a gap. @return whether another one is as good as it */
static bool option_choose(const struct finder *f, const struct gap *gap, enum nw_ambiguous policy,
                          struct option *best)
{
    int16_t from = gap->high <= f->last ? (int16_t)(gap->high - 1) : f->former_last;
    bool doubtful = false;
    bool found = false;

    from = from < gap->low ? gap->low : from;
    for (int16_t given = from; given < gap->high; given++) {
        struct option option = {.given = given};
        bool better = false;

        if (!option_make(f, gap, policy, &option)) {
            continue;
        }
        better = !found || is_better(&option, best, policy);
        if (found && option.of_kind[OTHER] == best->of_kind[OTHER] &&
            memcmp(option.taken, best->taken, sizeof option.taken) != 0 &&
            (has_rename(&option) || has_rename(best))) {
            doubtful = true;
        } else if (better) {
            doubtful = false;
        }
        doubtful = doubtful || (better && option.is_ambiguous);
        *best = better ? option : *best;
        found = true;
    }
    return doubtful;
}

static nw_status gap_fill(const struct finder *f, const struct gap *gap, enum nw_ambiguous policy,
                          struct nw_attnum *attnums, struct nw_error *err)
{
    struct option best = {0};
    uint16_t column = gap->first;

    if (option_choose(f, gap, policy, &best) && policy == NW_AMBIGUOUS_STOP) {
        return ambiguous(f, gap, err);
    }
    for (int16_t number = (int16_t)(gap->low + 1);
         number < gap->high && column < gap->first + gap->count; number++) {
        if (best.taken[number]) {
            attnums[column++].number = number;
        }
    }
    return NW_OK;
}

static nw_status gaps_fill(const struct finder *f, enum nw_ambiguous policy,
                           struct nw_attnum *attnums, struct nw_error *err)
{
    uint16_t count = f->relation->columns_count;
    struct gap gap = {0};
    nw_status status = NW_OK;

    for (uint16_t i = 0; i <= count && status == NW_OK; i++) {
        int16_t number = i == count ? (int16_t)(f->last + 1) : attnums[i].number;

        if (number == 0) {
            gap.count++;
            continue;
        }
        gap.high = number;
        if (gap.count > 0) {
            status = gap_fill(f, &gap, policy, attnums, err);
        }
        gap = (struct gap){.first = (uint16_t)(i + 1), .low = number};
    }
    return status;
}

static bool is_named(const struct nw_column_schema *column, const char *name)
{
    return column != NULL && strcmp(column->name, name) == 0;
}

/* A number is exact when no other fits, or when the column had its name before and has it still. */
static void exactness(const struct finder *f, struct nw_attnum *attnums)
{
    for (uint16_t i = 0; i < f->relation->columns_count; i++) {
        const char *name = f->relation->columns[i].name;
        int16_t number = attnums[i].number;
        uint32_t places = 0;

        for (int16_t other = 1; other <= f->last && places < 2; other++) {
            places += feasible(f, i, other) ? 1 : 0;
        }
        attnums[i].exact = number != 0 && (places == 1 || (is_named(f->in_former[number], name) &&
                                                           is_named(f->in_later[number], name)));
    }
}

nw_status nw_attnums_find(const struct nw_relation *relation, const struct nw_attnums_known *known,
                          enum nw_ambiguous policy, struct nw_attnum *attnums, struct nw_error *err)
{
    struct finder *f = NULL;
    nw_status status = NW_OK;

    memset(attnums, 0, relation->columns_count * sizeof *attnums);
    if (highest(known->former) == 0 && highest(known->later) == 0) {
        return NW_OK; /* nothing is known */
    }
    f = calloc(1, sizeof *f);
    if (f == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a schema version");
    }
    f->relation = relation;
    f->former = known->former;
    f->later = known->later;
    prepare(f);
    if (!fits(f, 0, (int16_t)(f->last + 1), relation->columns_count)) {
        /* Columns that are not published any more are missed: only what is later is of use. */
        f->former = NULL;
        memset((void *)f->in_former, 0, sizeof f->in_former);
        prepare(f);
    }
    names_decide(f, attnums);
    status = gaps_fill(f, policy, attnums, err);
    if (status == NW_OK && !known->is_guess) {
        exactness(f, attnums);
    }
    free(f);
    return status;
}
