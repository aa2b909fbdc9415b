/* SPDX-License-Identifier: Apache-2.0 */
/* See schemas.h. A version is one allocation: the table, then its columns, keys and texts. */
#include "source/schemas.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pg/types.h"
#include "source/schemas_copy.h"

#define SLOTS_FIRST   256u
#define EXACT_MESSAGE (NW_EXACT_NAME | NW_EXACT_TYPE | NW_EXACT_KEY)

/* A version and the one before it, so that all can be freed. */
struct version {
    struct version *former;
    uint32_t versions; /* the last number that was given for this table */
    bool placed;  /* known to have been in force at some place of the WAL before the next one */
    bool guessed; /* some column's number was not the only one possible */
    struct nw_table table;
};

struct nw_schemas {
    struct version **current; /* by id */
    uint32_t count, capacity;
    uint32_t *slots; /* open addressing: id + 1 by relation oid; 0: empty */
    uint32_t slots_count;
    bool text_unchecked; /* nw_table.text_unchecked of every version */
};

nw_status nw_schemas_create(struct nw_schemas **schemas, struct nw_error *err)
{
    struct nw_schemas *made = calloc(1, sizeof *made);

    if (made != NULL) {
        made->slots_count = SLOTS_FIRST;
        made->slots = calloc(made->slots_count, sizeof *made->slots);
    }
    if (made == NULL || made->slots == NULL) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for schema versions");
    }
    *schemas = made;
    return NW_OK;
}

void nw_schemas_destroy(struct nw_schemas *schemas)
{
    if (schemas == NULL) {
        return;
    }
    for (uint32_t i = 0; i < schemas->count; i++) {
        for (struct version *v = schemas->current[i]; v != NULL;) {
            struct version *former = v->former;

            free(v);
            v = former;
        }
    }
    free(schemas->current);
    free(schemas->slots);
    free(schemas);
}

void nw_schemas_text_unchecked(struct nw_schemas *schemas)
{
    schemas->text_unchecked = true;
}

/* The slot that has this oid, or the empty one where it belongs. */
static uint32_t *slot_of(const struct nw_schemas *schemas, uint32_t oid)
{
    uint32_t at = (oid * 2654435769u) & (schemas->slots_count - 1);

    while (schemas->slots[at] != 0 &&
           schemas->current[schemas->slots[at] - 1]->table.relation_oid != oid) {
        at = (at + 1) & (schemas->slots_count - 1);
    }
    return &schemas->slots[at];
}

static struct version *version_find(const struct nw_schemas *schemas, uint32_t oid)
{
    uint32_t id_plus_one = *slot_of(schemas, oid);

    return id_plus_one == 0 ? NULL : schemas->current[id_plus_one - 1];
}

const struct nw_table *nw_schemas_find(const struct nw_schemas *schemas, uint32_t relation_oid)
{
    const struct version *version = version_find(schemas, relation_oid);

    return version == NULL ? NULL : &version->table;
}

uint32_t nw_schemas_count(const struct nw_schemas *schemas)
{
    return schemas->count;
}

const struct nw_table *nw_schemas_at(const struct nw_schemas *schemas, uint32_t id)
{
    NW_ASSERT(id < schemas->count);
    return &schemas->current[id]->table;
}

/* Grows the id list and the slots, so that one more relation fits. */
static nw_status schemas_grow(struct nw_schemas *schemas, struct nw_error *err)
{
    if (schemas->count == schemas->capacity) {
        uint32_t capacity = schemas->capacity == 0 ? 64 : schemas->capacity * 2;
        struct version **current = realloc(schemas->current, capacity * sizeof(struct version *));

        if (current == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for schema versions");
        }
        schemas->current = current;
        schemas->capacity = capacity;
    }
    if (schemas->count >= schemas->slots_count / 2) {
        uint32_t *slots = calloc((size_t)schemas->slots_count * 2, sizeof *slots);

        if (slots == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for schema versions");
        }
        free(schemas->slots);
        schemas->slots = slots;
        schemas->slots_count *= 2;
        for (uint32_t i = 0; i < schemas->count; i++) {
            *slot_of(schemas, schemas->current[i]->table.relation_oid) = i + 1;
        }
    }
    return NW_OK;
}

/* Copies a table into a new version, which becomes the current one. */
static nw_status version_add(struct nw_schemas *schemas, const struct nw_table *from,
                             const struct nw_table **table, struct nw_error *err)
{
    size_t size = nw_schema_copy_size(from);
    struct version *former = version_find(schemas, from->relation_oid);
    struct version *made = NULL;

    if (former == NULL && schemas_grow(schemas, err) != NW_OK) {
        return NW_FATAL;
    }
    made = malloc(sizeof *made + size);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a schema version");
    }
    nw_schema_copy(&made->table, from, made + 1, size);
    made->table.text_unchecked = schemas->text_unchecked;
    made->former = former;
    made->placed = made->guessed = false;
    if (former != NULL) {
        made->table.id = former->table.id;
        made->table.version = former->versions + 1;
        schemas->current[made->table.id] = made;
    } else {
        made->table.id = schemas->count;
        made->table.version = 1;
        schemas->current[schemas->count++] = made;
        *slot_of(schemas, from->relation_oid) = made->table.id + 1;
    }
    made->versions = made->table.version;
    *table = &made->table;
    return NW_OK;
}

nw_status nw_schemas_add(struct nw_schemas *schemas, const struct nw_table *described,
                         uint32_t exact, const struct nw_table **table, struct nw_error *err)
{
    nw_status status = version_add(schemas, described, table, err);

    if (status == NW_OK) {
        struct version *version = schemas->current[(*table)->id];
        struct nw_column_schema *columns = (struct nw_column_schema *)(version + 1);

        version->placed = exact != 0;
        NW_ASSERT((*table)->columns == columns);
        for (uint16_t i = 0; i < (*table)->columns_count; i++) {
            columns[i].exact = exact;
        }
    }
    return status;
}

/* Whether the catalog describes the table as the version has it. */
static bool is_described(const struct nw_table *table, const struct nw_table *described)
{
    if (strcmp(table->name, described->name) != 0 ||
        strcmp(table->schema_name, described->schema_name) != 0 ||
        table->replica_identity != described->replica_identity ||
        nw_schemas_stale(table, described)) {
        return false;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (table->columns[i].type_oid != described->columns[i].type_oid ||
            table->columns[i].typmod != described->columns[i].typmod ||
            strcmp(table->columns[i].name, described->columns[i].name) != 0) {
            return false;
        }
    }
    return true;
}

nw_status nw_schemas_look(struct nw_schemas *schemas, const struct nw_table *described,
                          const struct nw_table **table, struct nw_error *err)
{
    *table = nw_schemas_find(schemas, described->relation_oid);
    return *table != NULL && is_described(*table, described)
               ? NW_OK
               : nw_schemas_add(schemas, described, 0, table, err);
}

nw_status nw_schemas_beside(struct nw_schemas *schemas, const struct nw_table *described,
                            const struct nw_table **table, struct nw_error *err)
{
    struct version *current = version_find(schemas, described->relation_oid);
    struct version *made = NULL;
    nw_status status = nw_schemas_look(schemas, described, table, err);

    if (status != NW_OK || current == NULL || *table == &current->table) {
        return status;
    }
    /* Behind the one that stays in force; what follows counts on from it. */
    made = schemas->current[current->table.id];
    schemas->current[current->table.id] = current;
    made->former = current->former;
    current->former = made;
    current->versions = made->versions;
    return NW_OK;
}

/* A domain's column has no typmod in the message; ours is the one below the domain. */
static bool typmod_same(const struct nw_column_schema *column,
                        const struct nw_relation_column *said)
{
    return column->typmod == said->typmod || column->base_type_oid != column->type_oid;
}

static bool column_same(const struct nw_column_schema *column,
                        const struct nw_relation_column *said)
{
    return column->type_oid == said->type_oid && typmod_same(column, said) &&
           column->identity == said->identity && strcmp(column->name, said->name) == 0;
}

bool nw_schemas_same(const struct nw_table *table, const struct nw_relation *relation)
{
    if (table->columns_count != relation->columns_count ||
        table->replica_identity != relation->replica_identity ||
        strcmp(table->name, relation->name) != 0 ||
        strcmp(table->schema_name, relation->schema_name) != 0) {
        return false;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (!column_same(&table->columns[i], &relation->columns[i])) {
            return false;
        }
    }
    return true;
}

void nw_schemas_exchange(struct nw_schemas *schemas, const struct nw_table *table)
{
    struct version *former = schemas->current[table->id];
    struct version **at = &former->former;
    struct version *next = NULL;

    if (&former->table == table) {
        return;
    }
    for (; &(*at)->table != table; at = &(*at)->former) {
        NW_ASSERT((*at)->former != NULL);
    }
    next = *at;
    *at = next->former;
    next->former = former;
    next->versions = former->versions;
    schemas->current[table->id] = next;
}

void nw_schemas_place_all(struct nw_schemas *schemas)
{
    for (uint32_t i = 0; i < schemas->count; i++) {
        schemas->current[i]->placed = true;
    }
}

bool nw_schemas_is_placed(const struct nw_schemas *schemas, const struct nw_table *table)
{
    return schemas->current[table->id]->placed;
}

static bool all_exact(const struct nw_table *table)
{
    for (uint16_t i = 0; i < table->columns_count; i++) {
        if ((table->columns[i].exact & NW_EXACT_ATTNUM) == 0) {
            return false;
        }
    }
    return true;
}

void nw_schemas_confirm(struct nw_schemas *schemas, const struct nw_table *table)
{
    struct version *version = schemas->current[table->id];

    NW_ASSERT(&version->table == table);
    if (!version->placed) { /* a column may have been dropped and added again meanwhile */
        version->guessed = !all_exact(table);
        version->placed = true;
    }
}

/* Where something is known of the column with this number and type: in the catalog, else before.
 * @return NULL: nowhere; else its table @param index  filled: of the column there */
static const struct nw_table *column_known(const struct nw_table *described,
                                           const struct nw_table *former,
                                           const struct nw_relation_column *said, int16_t attnum,
                                           uint16_t *index)
{
    const struct nw_table *tables[2] = {described, former};

    for (size_t t = 0; t < 2; t++) {
        for (uint16_t i = 0; tables[t] != NULL && i < tables[t]->columns_count; i++) {
            const struct nw_column_schema *column = &tables[t]->columns[i];

            if (column->type_oid == said->type_oid &&
                (attnum != 0 ? column->attnum == attnum : strcmp(column->name, said->name) == 0)) {
                *index = i;
                return tables[t];
            }
        }
    }
    return NULL;
}

#define EXACT_NOTE (NW_EXACT_ATTNUM | NW_EXACT_NOT_NULL | NW_EXACT_DEFAULT | NW_EXACT_ENUM)

/* A column's note has what held at that place; of domains it does not have what lies below. */
static void column_noted(struct nw_column_schema *column, const struct nw_column_schema *noted)
{
    column->attnum = noted->attnum;
    column->default_expr = noted->default_expr;
    column->exact |= EXACT_NOTE;
    if (column->base_type_oid == column->type_oid) {
        column->not_null = noted->not_null;
        column->enum_labels = noted->enum_labels;
    } else {
        column->exact &= ~(NW_EXACT_NOT_NULL | NW_EXACT_ENUM);
    }
}

/* The same of the items' labels, which a note does not have that an older trigger wrote. */
static const char *const *items_noted(const struct nw_column_schema *column,
                                      const struct nw_note *note,
                                      const struct nw_column_schema *noted,
                                      const char *const *labels)
{
    const char *const *said =
        note->item_labels == NULL ? NULL : note->item_labels[noted - note->columns];

    return column->base_type_oid == column->type_oid && said != NULL ? said : labels;
}

static const struct nw_column_schema *note_numbered(const struct nw_note *note, int16_t attnum)
{
    for (uint16_t i = 0; i < note->columns_count; i++) {
        if (note->columns[i].attnum == attnum) {
            return &note->columns[i];
        }
    }
    return NULL;
}

bool nw_schemas_noted(const struct nw_table *table, const struct nw_note *note)
{
    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];
        const struct nw_column_schema *noted = note_numbered(note, column->attnum);

        if (noted == NULL || strcmp(noted->name, column->name) != 0 ||
            !nw_text_same(noted->default_expr, column->default_expr) ||
            (column->base_type_oid == column->type_oid &&
             (noted->not_null != column->not_null ||
              !nw_labels_same(noted->enum_labels, column->enum_labels)))) {
            return true;
        }
        if (!nw_labels_same(items_noted(column, note, noted, nw_table_item_labels(table, i)),
                            nw_table_item_labels(table, i))) {
            return true;
        }
    }
    return false;
}

nw_status nw_schemas_note(struct nw_schemas *schemas, const struct nw_note *note,
                          const struct nw_table **table, struct nw_error *err)
{
    const struct nw_table *former = *table;
    struct nw_table derived = *former;
    struct nw_column_schema *columns = NULL;
    const char *const **items = NULL;
    nw_status status = NW_OK;

    if (!nw_schemas_noted(former, note)) {
        return NW_OK;
    }
    for (uint16_t i = 0; i < former->columns_count; i++) {
        const struct nw_column_schema *noted = note_numbered(note, former->columns[i].attnum);

        if (noted == NULL || strcmp(noted->name, former->columns[i].name) != 0 ||
            noted->type_oid != former->columns[i].type_oid) {
            return NW_OK; /* a Relation message will say so too */
        }
    }
    columns = calloc(former->columns_count + 1u, sizeof *columns);
    items = calloc(former->columns_count + 1u, sizeof *items);
    if (columns == NULL || items == NULL) {
        free(columns);
        free(items);
        return nw_fail(err, NW_FATAL, "out of memory for a schema version");
    }
    for (uint16_t i = 0; i < former->columns_count; i++) {
        const struct nw_column_schema *noted = note_numbered(note, former->columns[i].attnum);

        columns[i] = former->columns[i];
        column_noted(&columns[i], noted);
        items[i] = items_noted(&columns[i], note, noted, nw_table_item_labels(former, i));
    }
    derived.columns = columns;
    derived.item_labels = items;
    status = version_add(schemas, &derived, table, err);
    if (status == NW_OK) {
        schemas->current[(*table)->id]->placed = true;
    }
    free(columns);
    free(items);
    return status;
}

/* Where the event trigger said so, a column's number is known. */
static void numbers_from_note(const struct nw_schemas_change *change, struct nw_attnum *attnums)
{
    for (uint16_t i = 0; i < change->relation->columns_count; i++) {
        attnums[i] = (struct nw_attnum){
            .number = nw_note_column(change->note, &change->relation->columns[i])->attnum,
            .exact = true};
    }
}

/* One column as the message says it, with what else is known from the catalog or from before. */
static void column_derive(struct nw_column_schema *column, const struct nw_relation_column *said,
                          const struct nw_column_schema *known, const struct nw_attnum *attnum)
{
    if (known != NULL) {
        *column = *known;
    } else {
        memset(column, 0, sizeof *column);
        column->base_type_oid = said->type_oid;
        column->type_name = "";
    }
    column->attnum = attnum->number;
    column->name = said->name;
    column->type_oid = said->type_oid;
    column->identity = said->identity;
    column->exact = EXACT_MESSAGE | (attnum->exact ? NW_EXACT_ATTNUM : 0);
    if (known == NULL || !typmod_same(column, said)) {
        struct nw_type_form form = nw_type_of(column->base_type_oid, said->typmod);

        column->type = (uint8_t)form.type;
        column->precision = form.precision;
        column->scale = form.scale;
        column->typmod = said->typmod;
    }
}

/* Room for a version's columns while it is derived. */
struct derived {
    struct nw_table table;
    struct nw_column_schema *columns;
    uint16_t *keys;
    uint16_t *unique;
    struct nw_attnum *attnums;
    const char *const **items; /* nw_table.item_labels */
    const char **names;        /* nw_table.base_type_names */
};

/* The index of the column with this number; columns_count: there is none. */
static uint16_t column_numbered(const struct derived *derived, int16_t attnum)
{
    uint16_t index = 0;

    while (index < derived->table.columns_count &&
           (attnum == 0 || derived->columns[index].attnum != attnum)) {
        index++;
    }
    return index;
}

/* Takes the key of another version if it can be this one's too: where the message names the key,
 * that has to be the same; where it does not (FULL, NOTHING), it is the primary key if any. */
static bool key_take(struct derived *to, const struct nw_table *other, uint16_t named)
{
    struct nw_table *table = &to->table;
    bool names_it = table->replica_identity == 'd' || table->replica_identity == 'i';

    if (other == NULL || other->key_columns_count == 0 ||
        (names_it ? other->key_columns_count != named : !other->key_is_primary)) {
        return false;
    }
    for (uint16_t i = 0; i < other->key_columns_count; i++) {
        uint16_t at = column_numbered(to, other->columns[other->key_columns[i]].attnum);

        if (at == table->columns_count || (names_it && !to->columns[at].identity)) {
            return false;
        }
        to->keys[i] = at;
    }
    table->key_columns_count = other->key_columns_count;
    table->key_is_primary = table->replica_identity == 'd' || other->key_is_primary;
    return true;
}

/* A message says which columns identify a row, not in which order, and with FULL it is all. */
static void key_derive(struct derived *to, const struct nw_table *described,
                       const struct nw_table *former)
{
    struct nw_table *table = &to->table;
    uint16_t named = 0;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        named = (uint16_t)(named + to->columns[i].identity);
    }
    table->key_columns_count = 0;
    table->key_is_primary = false;
    if (key_take(to, described, named) || key_take(to, former, named)) {
        return;
    }
    if (table->replica_identity == 'd' || table->replica_identity == 'i') {
        for (uint16_t i = 0; i < table->columns_count; i++) {
            if (to->columns[i].identity) {
                to->keys[table->key_columns_count++] = i;
            }
        }
        table->key_is_primary = table->replica_identity == 'd' && named > 0;
    }
}

/* Messages do not say which unique indexes there are. */
static void unique_derive(struct derived *to, const struct nw_table *known)
{
    struct nw_table *table = &to->table;
    uint16_t count = known == NULL ? 0 : known->unique_columns_count;

    table->unique_columns_count = 0;
    for (uint16_t i = 0; i < count && table->key_columns_count == 0; i++) {
        uint16_t at = column_numbered(to, known->columns[known->unique_columns[i]].attnum);

        if (at == table->columns_count) {
            return;
        }
        to->unique[i] = at;
    }
    table->unique_columns_count = table->key_columns_count == 0 ? count : 0;
}

/* How many numbers were given at least, as far as the columns do not say so. A version that is not
 * placed may be of a later time, when more were. */
static uint16_t attributes_least(const struct nw_schemas_change *change,
                                 const struct version *version)
{
    if (change->note != NULL) {
        return change->note->attributes_count;
    }
    return version == NULL || !version->placed ? 0 : version->table.attributes_count;
}

/* One column, and what the table has of it beside. */
static void column_take(struct derived *to, const struct nw_schemas_change *change,
                        const struct nw_table *former, uint16_t i)
{
    const struct nw_relation_column *said = &change->relation->columns[i];
    int16_t number = to->attnums[i].number;
    uint16_t at = 0;
    const struct nw_table *known = column_known(change->described, former, said, number, &at);

    column_derive(&to->columns[i], said, known == NULL ? NULL : &known->columns[at],
                  &to->attnums[i]);
    to->items[i] = known == NULL ? NULL : nw_table_item_labels(known, at);
    to->names[i] = known == NULL ? NULL : nw_table_base_type_name(known, at);
    if (change->note != NULL) {
        const struct nw_column_schema *noted = note_numbered(change->note, number);

        column_noted(&to->columns[i], noted);
        to->items[i] = items_noted(&to->columns[i], change->note, noted, to->items[i]);
    }
}

static void derive(struct derived *to, const struct nw_schemas_change *change,
                   const struct version *version)
{
    const struct nw_table *former = version == NULL ? NULL : &version->table;
    const struct nw_relation *relation = change->relation;
    struct nw_table *table = &to->table;

    if (change->described != NULL || former != NULL) {
        *table = change->described != NULL ? *change->described : *former;
    }
    table->relation_oid = relation->oid;
    table->schema_name = relation->schema_name;
    table->name = relation->name;
    table->replica_identity = relation->replica_identity;
    table->columns_count = relation->columns_count;
    table->attributes_count = attributes_least(change, version);
    for (uint16_t i = 0; i < relation->columns_count; i++) {
        int16_t number = to->attnums[i].number;

        column_take(to, change, former, i);
        if (number > (int16_t)table->attributes_count) {
            table->attributes_count = (uint16_t)number;
        }
    }
    key_derive(to, change->described, former);
    unique_derive(to, change->described != NULL ? change->described : former);
    table->size = sizeof *table;
    table->columns = to->columns;
    table->key_columns = to->keys;
    table->unique_columns = to->unique;
    table->item_labels = to->items;
    table->base_type_names = to->names;
}

/* By a note, or by what can have been between the version before and the catalog after. */
static nw_status numbers_find(const struct nw_schemas_change *change, const struct version *version,
                              struct nw_attnum *attnums, struct nw_error *err)
{
    struct nw_attnums_known known = {.later = change->described};

    if (change->note != NULL) {
        numbers_from_note(change, attnums);
        return NW_OK;
    }
    if (version != NULL && version->placed) {
        known.former = &version->table;
        known.is_guess = version->guessed;
    } else if (version != NULL && known.later == NULL) {
        known.later = &version->table;
    }
    return nw_attnums_find(change->relation, &known, change->ambiguous, attnums, err);
}

/* Whether the columns that were there before have the type that they had, if they must. */
static nw_status types_check(const struct nw_schemas_change *change, const struct version *version,
                             const struct nw_table *table, struct nw_error *err)
{
    const struct nw_table *former = version == NULL ? NULL : &version->table;

    if (!change->retype_is_refused || former == NULL || !version->placed) {
        return NW_OK;
    }
    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];

        for (uint16_t f = 0; f < former->columns_count; f++) {
            const struct nw_column_schema *was = &former->columns[f];

            if (column->attnum != 0 && column->attnum == was->attnum &&
                (column->type_oid != was->type_oid || column->typmod != was->typmod)) {
                return nw_fail(
                    err, NW_REJECT,
                    "NW2104 column %s has another type (it was %s), and tables.type_change "
                    "is stop",
                    column->name, was->type_name);
            }
        }
    }
    return NW_OK;
}

nw_status nw_schemas_apply(struct nw_schemas *schemas, const struct nw_schemas_change *change,
                           const struct nw_table **table, struct nw_error *err)
{
    const struct nw_relation *relation = change->relation;
    const struct version *version = version_find(schemas, relation->oid);
    struct derived derived = {0};
    size_t room = relation->columns_count + 1u;
    bool guessed = false;
    nw_status status = NW_OK;

    if (change->note == NULL && change->described != NULL &&
        nw_schemas_same(change->described, relation)) {
        status = types_check(change, version, change->described, err);
        if (status == NW_OK) {
            status = nw_schemas_add(schemas, change->described, EXACT_MESSAGE | NW_EXACT_ATTNUM,
                                    table, err);
        }
        goto out;
    }
    derived.columns = calloc(room, sizeof *derived.columns);
    derived.keys = calloc(room, sizeof *derived.keys);
    derived.unique = calloc(room, sizeof *derived.unique);
    derived.attnums = calloc(room, sizeof *derived.attnums);
    derived.items = calloc(room, sizeof *derived.items);
    derived.names = calloc(room, sizeof *derived.names);
    if (derived.columns == NULL || derived.keys == NULL || derived.attnums == NULL ||
        derived.unique == NULL || derived.items == NULL || derived.names == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for a schema version");
        goto out;
    }
    status = numbers_find(change, version, derived.attnums, err);
    if (status == NW_OK) {
        derive(&derived, change, version);
        status = types_check(change, version, &derived.table, err);
    }
    if (status == NW_OK) {
        status = version_add(schemas, &derived.table, table, err);
        guessed = !all_exact(&derived.table);
    }

out:
    if (status == NW_OK) {
        schemas->current[(*table)->id]->placed = true;
        schemas->current[(*table)->id]->guessed = guessed;
        schemas->current[(*table)->id]->table.flags = change->flags;
    }
    free(derived.columns);
    free(derived.keys);
    free(derived.unique);
    free(derived.attnums);
    free(derived.items);
    free(derived.names);
    return status;
}
