/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published tables with all that is to be known of them: one query each for tables, keys, columns
 * and enum labels, whatever the number of tables, in one read-only transaction. See catalog.h.
 */
#include "pg/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pg/types.h"

#define COLUMNS_MAX         1664 /* MaxTupleAttributeNumber */
#define PUBLISHED_BYTES_MAX 2048 /* of SQL */

struct enum_type {
    uint32_t oid;
    const char *const *labels;
};

/* One read on its way. */
struct reader {
    struct nw_session *session;
    struct nw_arena *arena;
    struct nw_catalog_table *tables;
    struct nw_catalog_table **by_oid; /* the same, in the order of oids */
    size_t count;
    struct nw_catalog_column *columns; /* of all tables */
    char *oids;                        /* array literals for parameters */
    char *publications;
};

/* Whoever holds a table locked does not hold us for long, nor those behind us: NW_RETRY. */
#define BEGIN "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '1s'"

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "no memory for what the catalog says of tables");
}

/* {"a","b\"c"} */
static char *array_of_texts(struct nw_arena *arena, const char *const *texts, size_t count)
{
    size_t size = 3;

    for (size_t i = 0; i < count; i++) {
        size += 2 * strlen(texts[i]) + 3;
    }

    char *array = nw_arena_alloc(arena, size);
    char *at = array;

    if (array == NULL) {
        return NULL;
    }
    *at++ = '{';
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            *at++ = ',';
        }
        *at++ = '"';
        for (const char *text = texts[i]; *text != '\0'; text++) {
            if (*text == '"' || *text == '\\') {
                *at++ = '\\';
            }
            *at++ = *text;
        }
        *at++ = '"';
    }
    *at++ = '}';
    *at = '\0';
    return array;
}

static int compare_oids(const void *a, const void *b)
{
    uint32_t left = (*(const struct nw_catalog_table *const *)a)->oid;
    uint32_t right = (*(const struct nw_catalog_table *const *)b)->oid;

    return (left > right) - (left < right);
}

static struct nw_catalog_table *find_table(const struct reader *reader, uint32_t oid)
{
    const struct nw_catalog_table key = {.oid = oid};
    const struct nw_catalog_table *wanted = &key;
    struct nw_catalog_table **found =
        reader->count == 0
            ? NULL
            : bsearch(&wanted, reader->by_oid, reader->count, sizeof *reader->by_oid, compare_oids);

    return found == NULL ? NULL : *found;
}

/*
 * Tables that somebody else holds locked, or waits to, so that to lock them would wait. That does
 * not hold for those that this session has locked. pg_get_expr(), given a relation, locks it since
 * 2025 (in 15.20, for instance).
 */
#define LOCKED                                                                                     \
    " locked AS MATERIALIZED (SELECT k.relation FROM pg_locks k WHERE k.locktype = 'relation'"     \
    "  AND k.mode = 'AccessExclusiveLock' AND k.pid IS DISTINCT FROM pg_backend_pid() AND "        \
    "k.database ="                                                                                 \
    "  (SELECT oid FROM pg_database WHERE datname = current_database())"                           \
    "  AND NOT EXISTS (SELECT FROM pg_locks o WHERE o.locktype = 'relation' AND o.granted"         \
    "   AND o.relation = k.relation AND o.pid = pg_backend_pid())),"

/* What the publications $1 publish. Row filters and column lists exist since 15. A partition that
 * is published through an ancestor, but as itself, has neither (pgoutput.c, get_rel_sync_entry). */
#define PUBLISHES                                                                                  \
    " bool_or(p.pubinsert) AS ins, bool_or(p.pubupdate) AS upd, bool_or(p.pubdelete) AS del,"      \
    " bool_or(p.pubtruncate) AS trunc,"
#define NO_FILTER " NULL::text AS filter, NULL::name[] AS attnames"
#define FILTER(filter)                                                                             \
    " CASE WHEN bool_or(r.prqual IS NULL) THEN NULL ELSE string_agg(DISTINCT '(' || " filter       \
    " || ')', ' OR ') END AS filter,"
#define COLUMNS_BEGIN                                                                              \
    " min((SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = "
#define COLUMNS_END " AND a.attnum > 0 AND NOT a.attisdropped AND %s)) AS attnames"

/* Of all tables. Only a row filter is read under its table's lock. */
#define ALL_BEGIN                                                                                  \
    "WITH RECURSIVE" LOCKED " published AS MATERIALIZED (SELECT c.oid AS relid," PUBLISHES
#define ALL_FILTER FILTER("pg_get_expr(r.prqual, r.prrelid)") COLUMNS_BEGIN "c.oid" COLUMNS_END
#define ALL_END(by_schema)                                                                         \
    " FROM pg_publication p JOIN pg_class c ON " NW_CATALOG_IN_PUBLICATION(                        \
        "c",                                                                                       \
        by_schema) " LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid"    \
                   " WHERE p.pubname = ANY ($1::text[]::name[]) GROUP BY c.oid)"

/* Of one table, without locking it: the stream waits for this. If it is locked its filter is not
 * read: whoever copies it has the lock. */
#define ONE_BEGIN                                                                                  \
    "WITH RECURSIVE" LOCKED " one AS MATERIALIZED (SELECT oid, relnamespace FROM pg_class"         \
    " WHERE oid = %u UNION SELECT c.oid, c.relnamespace FROM pg_partition_ancestors(%u) a"         \
    " JOIN pg_class c ON c.oid = a.relid),"                                                        \
    " published AS MATERIALIZED (SELECT %u::oid AS relid," PUBLISHES
#define ONE_FILTER                                                                                 \
    FILTER("CASE WHEN r.prrelid IN (SELECT relation FROM locked) THEN NULL"                        \
           " ELSE pg_get_expr(r.prqual, r.prrelid) END")                                           \
    COLUMNS_BEGIN "%u" COLUMNS_END
#define ONE_END                                                                                    \
    " FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid ="   \
    " %u WHERE p.pubname = ANY ($1::text[]::name[]) AND (p.puballtables OR p.oid IN"               \
    " (SELECT q.prpubid FROM pg_publication_rel q JOIN one ON one.oid = q.prrelid) %s)"            \
    " HAVING count(*) > 0)"
#define ONE_BY_SCHEMA                                                                              \
    "OR p.oid IN (SELECT s.pnpubid FROM pg_publication_namespace s"                                \
    " JOIN one ON one.relnamespace = s.pnnspid)"

/* pg_relation_size() would wait for a lock that somebody holds, or waits for; then what the catalog
 * has of the size does, so that one table's lock holds up no others. */
#define SIZE_OF(oid)                                                                               \
    "CASE WHEN EXISTS (SELECT FROM locked k WHERE k.relation = " oid ") THEN (SELECT"              \
    " q.relpages::int8 * current_setting('block_size')::int8 FROM pg_class q WHERE q.oid = " oid   \
    ") ELSE pg_relation_size(" oid ") END"

/* @param oid  0: all that are published. */
static void write_published(const struct reader *reader, uint32_t oid, char *sql, size_t sql_size)
{
    int version = nw_session_server_version(reader->session);
    const char *listed = version < 180000 ? "a.attnum = ANY (r.prattrs::int2[])"
                                          : "CASE WHEN r.prattrs IS NULL THEN p.pubgencols = 's'"
                                            " AND a.attgenerated IN ('', 's')"
                                            " ELSE a.attnum = ANY (r.prattrs::int2[]) END";
    int size;

    if (version < 150000) {
        size = oid == 0
                   ? snprintf(sql, sql_size, ALL_BEGIN NO_FILTER ALL_END(""))
                   : snprintf(sql, sql_size, ONE_BEGIN NO_FILTER ONE_END, oid, oid, oid, oid, "");
    } else if (oid == 0) {
        size = snprintf(sql, sql_size, ALL_BEGIN ALL_FILTER ALL_END(NW_CATALOG_BY_SCHEMA), listed);
    } else {
        size = snprintf(sql, sql_size, ONE_BEGIN ONE_FILTER ONE_END, oid, oid, oid, oid, listed,
                        oid, ONE_BY_SCHEMA);
    }
    NW_ASSERT(size > 0 && (size_t)size < sql_size);
}

static bool fill_table(struct nw_catalog_table *table, struct nw_arena *arena,
                       const struct nw_rows *rows, int row)
{
    table->oid = (uint32_t)nw_rows_u64(rows, row, 0);
    table->schema_name = nw_arena_text(arena, nw_rows_text(rows, row, 1));
    table->name = nw_arena_text(arena, nw_rows_text(rows, row, 2));
    table->kind = nw_rows_text(rows, row, 3)[0];
    table->replica_identity = nw_rows_text(rows, row, 4)[0];
    table->root_oid = (uint32_t)nw_rows_u64(rows, row, 5);
    table->root_schema_name = nw_arena_text(arena, nw_rows_text(rows, row, 6));
    table->root_name = nw_arena_text(arena, nw_rows_text(rows, row, 7));
    table->publishes_insert = nw_rows_bool(rows, row, 8);
    table->publishes_update = nw_rows_bool(rows, row, 9);
    table->publishes_delete = nw_rows_bool(rows, row, 10);
    table->publishes_truncate = nw_rows_bool(rows, row, 11);
    table->row_filter = nw_arena_text(arena, nw_rows_text(rows, row, 12));
    table->row_security = nw_rows_bool(rows, row, 13);
    table->persistence = nw_rows_text(rows, row, 14)[0];
    table->rows = strtod(nw_rows_text(rows, row, 15), NULL);
    table->bytes = nw_rows_u64(rows, row, 16); /* NULL, so 0: dropped meanwhile */
    table->attributes_count = (uint16_t)nw_rows_u64(rows, row, 17);
    table->file_node = (uint32_t)nw_rows_u64(rows, row, 18); /* NULL, so 0: partitioned, dropped */
    return table->schema_name != NULL && table->name != NULL;
}

static nw_status keep_tables(struct reader *reader, const struct nw_rows *rows,
                             struct nw_error *err)
{
    size_t count = (size_t)nw_rows_count(rows);

    reader->tables = nw_arena_array(reader->arena, count, sizeof *reader->tables);
    reader->by_oid = nw_arena_array(reader->arena, count, sizeof(struct nw_catalog_table *));
    reader->oids = nw_arena_alloc(reader->arena, 12 * count + 3);
    if (reader->tables == NULL || reader->by_oid == NULL || reader->oids == NULL) {
        return no_memory(err);
    }

    char *at = reader->oids;

    *at++ = '{';
    for (size_t i = 0; i < count; i++) {
        if (!fill_table(&reader->tables[i], reader->arena, rows, (int)i)) {
            return no_memory(err);
        }
        reader->by_oid[i] = &reader->tables[i];
        at += snprintf(at, 12, "%s%u", i == 0 ? "" : ",", reader->tables[i].oid);
    }
    at[0] = '}'; /* and the NUL is there */
    reader->count = count;
    if (count > 0) {
        qsort(reader->by_oid, count, sizeof(struct nw_catalog_table *), compare_oids);
    }
    return NW_OK;
}

/* @param oid  0: all that are published. Sizes lock the table for an instant, so not for one. */
static nw_status read_tables(struct reader *reader, uint32_t oid, struct nw_error *err)
{
    char published[PUBLISHED_BYTES_MAX];
    char sql[2 * PUBLISHED_BYTES_MAX];
    char one[64] = "";
    const char *params[] = {reader->publications};
    struct nw_rows *rows = NULL;
    nw_status status;

    write_published(reader, oid, published, sizeof published);
    if (oid != 0) {
        (void)snprintf(one, sizeof one, "AND c.oid = %u", oid);
    }
    int size = snprintf(
        sql, sizeof sql,
        "%s SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, r.oid, rn.nspname,"
        "  r.relname, p.ins, p.upd, p.del, p.trunc, p.filter, c.relrowsecurity, c.relpersistence,"
        "  CASE WHEN c.relkind = 'p' THEN coalesce((SELECT sum(l.reltuples)"
        "    FILTER (WHERE l.reltuples >= 0) FROM pg_inherits i JOIN pg_class l ON l.oid = "
        "i.inhrelid"
        "    WHERE i.inhparent = c.oid), -1) ELSE c.reltuples END, %s, c.relnatts,"
        "  pg_relation_filenode(c.oid)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        "  %s JOIN published p ON p.relid = c.oid"
        "  LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)"
        "  LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace"
        " WHERE c.relkind IN ('r', 'p') %s ORDER BY n.nspname, c.relname",
        published,
        oid != 0
            ? "0"
            : "CASE WHEN c.relkind = 'p' THEN (SELECT sum(" SIZE_OF(
                  "t.relid") ") FROM " NW_CATALOG_TREE("c.oid") " t JOIN pg_class l"
                                                                " ON l.oid = t.relid AND l.relkind "
                                                                "= 'r')"
                                                                " ELSE " SIZE_OF("c.oid") " END",
        oid != 0 ? "LEFT" : "", one);

    NW_ASSERT(size > 0 && (size_t)size < sizeof sql);
    status = nw_session_query(reader->session, sql, params, 1, NULL, &rows, err);
    if (status == NW_OK) {
        status = keep_tables(reader, rows, err);
    }
    nw_rows_free(rows);
    return status;
}

/* Labels of the enums among the base types. @return NULL when memory is short. */
static const struct enum_type *keep_enums(struct reader *reader, const struct nw_rows *rows,
                                          size_t *count)
{
    size_t rows_count = (size_t)nw_rows_count(rows);
    struct enum_type *types = nw_arena_array(reader->arena, rows_count + 1, sizeof *types);
    /* Each type's labels and its NULL. */
    const char **labels = nw_arena_array(reader->arena, 2 * rows_count + 1, sizeof *labels);

    *count = 0;
    if (types == NULL || labels == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < rows_count; i++) {
        uint32_t oid = (uint32_t)nw_rows_u64(rows, (int)i, 0);
        const char *label = nw_rows_text(rows, (int)i, 1);

        if (*count == 0 || types[*count - 1].oid != oid) {
            labels += *count > 0; /* past the NULL of the type before */
            types[*count] = (struct enum_type){.oid = oid, .labels = labels};
            *count += 1;
        }
        if (label != NULL) { /* an enum may have none */
            *labels = nw_arena_text(reader->arena, label);
            if (*labels++ == NULL) {
                return NULL;
            }
        }
    }
    return types;
}

static const char *const *labels_of(const struct enum_type *types, size_t count, uint32_t oid)
{
    for (size_t i = 0; i < count; i++) {
        if (types[i].oid == oid) {
            return types[i].labels;
        }
    }
    return NULL;
}

static bool fill_column(struct nw_catalog_column *column, struct nw_arena *arena,
                        const struct nw_rows *rows, int row)
{
    const char *generated = nw_rows_text(rows, row, 13);

    column->attnum = (int16_t)nw_rows_u64(rows, row, 1);
    column->name = nw_arena_text(arena, nw_rows_text(rows, row, 2));
    column->type_oid = (uint32_t)nw_rows_u64(rows, row, 3);
    column->typmod = (int32_t)strtol(nw_rows_text(rows, row, 4), NULL, 10);
    column->type_name = nw_arena_text(arena, nw_rows_text(rows, row, 5));
    column->base_type_oid = (uint32_t)nw_rows_u64(rows, row, 6);
    column->base_typmod = (int32_t)strtol(nw_rows_text(rows, row, 7), NULL, 10);
    column->typtype = nw_rows_text(rows, row, 8)[0];
    column->typcategory = nw_rows_text(rows, row, 9)[0];
    column->not_null = nw_rows_bool(rows, row, 10);
    column->domain_not_null = nw_rows_bool(rows, row, 11);
    column->default_expr = nw_arena_text(arena, nw_rows_text(rows, row, 12));
    column->generated = generated == NULL ? '\0' : generated[0];
    column->base_type_name = nw_arena_text(arena, nw_rows_text(rows, row, 14));
    return column->name != NULL && column->type_name != NULL;
}

static void fill_labels(struct nw_catalog_column *column, const struct enum_type *enums,
                        size_t enums_count, const struct nw_rows *rows, int row)
{
    if (column->typtype == 'e') {
        column->enum_labels = labels_of(enums, enums_count, column->base_type_oid);
    }
    if (nw_rows_text(rows, row, 15) != NULL) {
        column->item_labels = labels_of(enums, enums_count, (uint32_t)nw_rows_u64(rows, row, 15));
    }
}

/* The rows come table by table, in the order of by_oid. */
static nw_status keep_columns(struct reader *reader, const struct nw_rows *rows,
                              const struct enum_type *enums, size_t enums_count,
                              struct nw_error *err)
{
    size_t count = (size_t)nw_rows_count(rows);
    struct nw_catalog_column *columns = nw_arena_array(reader->arena, count, sizeof *columns);
    struct nw_catalog_table *table = NULL;

    reader->columns = columns;
    if (columns == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t oid = (uint32_t)nw_rows_u64(rows, (int)i, 0);

        if (table == NULL || table->oid != oid) {
            table = find_table(reader, oid);
            NW_ASSERT(table != NULL);
            table->columns = &columns[i];
        }
        if (!fill_column(&columns[i], reader->arena, rows, (int)i)) {
            return no_memory(err);
        }
        fill_labels(&columns[i], enums, enums_count, rows, (int)i);
        columns[i].identity = table->replica_identity == 'f';
        table->columns_count++;
        NW_ASSERT(table->columns_count <= COLUMNS_MAX);
    }
    return NW_OK;
}

/* What lies below the domains of the columns' types. */
#define BASE_TYPES                                                                                 \
    " down AS (SELECT t.oid AS top, t.oid, t.typtype, t.typbasetype, t.typtypmod, -1 AS typmod,"   \
    "  t.typtype = 'd' AND t.typnotnull AS refuses_null FROM pg_type t WHERE t.oid IN"             \
    "  (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = ANY ($2::oid[])"                  \
    "   AND a.attnum > 0 AND NOT a.attisdropped)"                                                  \
    "  UNION ALL SELECT d.top, t.oid, t.typtype, t.typbasetype, t.typtypmod, d.typtypmod,"         \
    "  d.refuses_null OR (t.typtype = 'd' AND t.typnotnull)"                                       \
    "  FROM down d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')"

/* The enum that the items of an array b are. */
#define ENUM_ITEMS "JOIN pg_type i ON i.oid = b.typelem AND i.typarray = b.oid AND i.typtype = 'e'"

static nw_status read_enums(struct reader *reader, const struct enum_type **enums, size_t *count,
                            struct nw_error *err)
{
    static const char sql[] =
        "WITH RECURSIVE " BASE_TYPES
        " SELECT t.oid, e.enumlabel FROM (SELECT oid FROM down WHERE typtype = 'e'"
        "  UNION SELECT i.oid FROM down d JOIN pg_type b ON b.oid = d.oid " ENUM_ITEMS ") t"
        " LEFT JOIN pg_enum e ON e.enumtypid = t.oid"
        " WHERE $1::text IS NOT NULL ORDER BY t.oid, e.enumsortorder";
    const char *params[] = {"", reader->oids}; /* BASE_TYPES looks at $2 */
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(reader->session, sql, params, 2, NULL, &rows, err);

    if (status == NW_OK) {
        *enums = keep_enums(reader, rows, count);
        status = *enums == NULL ? no_memory(err) : NW_OK;
    }
    nw_rows_free(rows);
    return status;
}

static nw_status read_columns(struct reader *reader, uint32_t oid, struct nw_error *err)
{
    char published[PUBLISHED_BYTES_MAX];
    char sql[2 * PUBLISHED_BYTES_MAX];
    const char *params[] = {reader->publications, reader->oids};
    const struct enum_type *enums = NULL;
    size_t enums_count = 0;
    struct nw_rows *rows = NULL;
    nw_status status = read_enums(reader, &enums, &enums_count, err);

    write_published(reader, oid, published, sizeof published);
    /* Without a publication (any more), and always in 14: what would be published by default. */
    int size = snprintf(
        sql, sizeof sql,
        "%s," BASE_TYPES " SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod,"
        "  format_type(a.atttypid, a.atttypmod), d.oid,"
        "  CASE WHEN d.oid = a.atttypid THEN a.atttypmod ELSE d.typmod END, b.typtype,"
        "  b.typcategory, a.attnotnull, d.refuses_null,"
        /* A default names no column, so no relation is needed to print it. */
        "  CASE WHEN a.attgenerated = '' THEN pg_get_expr(x.adbin, 0)"
        "   WHEN a.attrelid NOT IN (SELECT relation FROM locked)"
        "   THEN pg_get_expr(x.adbin, x.adrelid) END, a.attgenerated,"
        "  CASE WHEN d.oid <> a.atttypid THEN format_type(d.oid, NULL) END, i.oid"
        " FROM pg_attribute a JOIN down d ON d.top = a.atttypid AND d.typtype <> 'd'"
        "  JOIN pg_type b ON b.oid = d.oid LEFT " ENUM_ITEMS
        "  LEFT JOIN published p ON p.relid = a.attrelid"
        "  LEFT JOIN pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum"
        " WHERE a.attrelid = ANY ($2::oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
        "  AND CASE WHEN p.attnames IS NULL THEN a.attgenerated = ''"
        "   ELSE a.attname = ANY (p.attnames) END %s"
        " ORDER BY a.attrelid, a.attnum",
        published,
        /* Some minors list generated columns before they can be published. */
        nw_session_server_version(reader->session) < 180000 ? "AND a.attgenerated = ''" : "");

    NW_ASSERT(size > 0 && (size_t)size < sizeof sql);
    if (status == NW_OK) {
        status = nw_session_query(reader->session, sql, params, 2, NULL, &rows, err);
    }
    if (status == NW_OK) {
        status = keep_columns(reader, rows, enums, enums_count, err);
    }
    nw_rows_free(rows);
    return status;
}

/* The index of the column with this attnum; columns_count when it is not published. */
static uint16_t column_of(const struct nw_catalog_table *table, int64_t attnum)
{
    uint16_t index = 0;

    while (index < table->columns_count && table->columns[index].attnum != attnum) {
        index++;
    }
    return index;
}

/* Rows first..last-1 of the result are the columns of one index. */
static nw_status keep_key(struct reader *reader, const struct nw_rows *rows, int first, int last,
                          struct nw_error *err)
{
    struct nw_catalog_table *table = find_table(reader, (uint32_t)nw_rows_u64(rows, first, 0));
    bool primary = nw_rows_bool(rows, first, 1);
    bool replica = nw_rows_bool(rows, first, 2);
    bool identity = nw_rows_bool(rows, first, 3);
    bool unique = nw_rows_bool(rows, first, 6);
    size_t count = (size_t)(last - first);
    uint16_t *key = nw_arena_array(reader->arena, count, sizeof *key);
    bool whole = true;

    NW_ASSERT(table != NULL && count <= COLUMNS_MAX);
    if (key == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        key[i] = column_of(table, (int64_t)nw_rows_u64(rows, first + (int)i, 4));
        if (key[i] == table->columns_count) {
            whole = false;
        } else if (identity) {
            reader->columns[table->columns - reader->columns + key[i]].identity = true;
        }
    }
    if (primary && whole) {
        table->primary_key = key;
        table->primary_key_count = (uint16_t)count;
    }
    if (replica && whole) {
        table->replica_key = key;
        table->replica_key_count = (uint16_t)count;
    }
    if (unique && whole) {
        table->unique = key;
        table->unique_count = (uint16_t)count;
    }
    return NW_OK;
}

/* The first unique index of each table, in the order that the JDBC driver lists them, without those
 * that have expressions. */
#define FIRST_UNIQUE                                                                               \
    "WITH firsts AS (SELECT DISTINCT ON (u.indrelid) u.indexrelid FROM pg_index u"                 \
    " JOIN pg_class n ON n.oid = u.indexrelid WHERE u.indrelid = ANY ($1::oid[])"                  \
    " AND u.indisunique AND u.indexprs IS NULL"                                                    \
    " ORDER BY u.indrelid, u.indisclustered DESC, n.relname COLLATE \"C\")"

/* A unique index that is no key has all of its columns, those of INCLUDE too. */
static nw_status read_keys(struct reader *reader, struct nw_error *err)
{
    static const char sql[] = FIRST_UNIQUE
        " SELECT i.indrelid, i.indisprimary, i.indisreplident, i.indimmediate"
        "  AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND "
        "i.indisreplident),"
        "  k.attnum, k.place, f.indexrelid IS NOT NULL AND NOT i.indisprimary AND NOT"
        "  i.indisreplident FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " LEFT JOIN firsts f ON f.indexrelid = i.indexrelid"
        " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
        " WHERE i.indrelid = ANY ($1::oid[]) AND ((i.indisprimary OR i.indisreplident)"
        "  AND i.indisvalid AND k.place <= i.indnkeyatts OR f.indexrelid IS NOT NULL"
        "  AND NOT i.indisprimary AND NOT i.indisreplident)"
        " ORDER BY i.indrelid, i.indexrelid, k.place";
    const char *params[] = {reader->oids};
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(reader->session, sql, params, 1, NULL, &rows, err);
    int first = 0;

    while (status == NW_OK && first < nw_rows_count(rows)) {
        int last = first + 1;

        while (last < nw_rows_count(rows) && nw_rows_u64(rows, last, 5) > 1) {
            last++;
        }
        status = keep_key(reader, rows, first, last, err);
        first = last;
    }
    nw_rows_free(rows);
    return status;
}

/* All queries in one snapshot, unless the caller is in a transaction of its own. */
static nw_status read_all(struct reader *reader, const struct nw_catalog_scope *scope, uint32_t oid,
                          struct nw_error *err)
{
    bool ours = !nw_session_in_transaction(reader->session);
    nw_status status = NW_OK;

    reader->publications =
        array_of_texts(reader->arena, scope->publications, scope->publications_count);
    if (reader->publications == NULL) {
        return no_memory(err);
    }
    if (ours) {
        status = nw_session_query(reader->session, BEGIN, NULL, 0, NULL, NULL, err);
    }
    if (status == NW_OK) {
        status = read_tables(reader, oid, err);
    }
    if (status == NW_OK && reader->count > 0) {
        status = read_columns(reader, oid, err);
    }
    if (status == NW_OK && reader->count > 0) {
        status = read_keys(reader, err);
    }
    if (ours && status == NW_OK) {
        status = nw_session_query(reader->session, "COMMIT", NULL, 0, NULL, NULL, err);
    } else if (ours) {
        struct nw_error ignored;
        /* The first error is the one to tell. */
        nw_status after =
            nw_session_query(reader->session, "ROLLBACK", NULL, 0, NULL, NULL, &ignored);

        (void)after;
    }
    return status;
}

nw_status nw_catalog_tables(struct nw_session *session, const struct nw_catalog_scope *scope,
                            struct nw_arena *arena, struct nw_catalog_tables *tables,
                            struct nw_error *err)
{
    struct reader reader = {.session = session, .arena = arena};
    nw_status status = read_all(&reader, scope, 0, err);

    *tables = (struct nw_catalog_tables){0};
    if (status == NW_OK) {
        tables->tables = reader.tables;
        tables->count = reader.count;
    }
    return status;
}

nw_status nw_catalog_table(struct nw_session *session, const struct nw_catalog_scope *scope,
                           uint32_t oid, struct nw_arena *arena,
                           const struct nw_catalog_table **table, struct nw_error *err)
{
    struct reader reader = {.session = session, .arena = arena};
    nw_status status = NW_OK;

    NW_ASSERT(oid != 0);
    *table = NULL;
    status = read_all(&reader, scope, oid, err);
    if (status == NW_OK && reader.count == 1) {
        *table = reader.tables;
    }
    return status;
}

bool nw_catalog_column_is_binary(const struct nw_catalog_column *column)
{
    return column->item_labels != NULL || nw_type_is_binary(column->base_type_oid, column->typtype);
}

static void convert_column(const struct nw_catalog_column *from, struct nw_column_schema *column)
{
    struct nw_type_form form = nw_type_of(from->base_type_oid, from->base_typmod);

    *column = (struct nw_column_schema){
        .name = from->name,
        .type_name = from->type_name,
        .default_expr = from->default_expr,
        .enum_labels = from->enum_labels,
        .type_oid = from->type_oid,
        .base_type_oid = from->base_type_oid,
        .typmod = from->base_typmod,
        .attnum = from->attnum,
        .type = (uint8_t)form.type,
        .precision = form.precision,
        .scale = form.scale,
        .not_null = from->not_null || from->domain_not_null,
        .identity = from->identity,
        .composite = from->typtype == 'c',
    };
}

nw_status nw_catalog_to_table(const struct nw_catalog_table *from, struct nw_arena *arena,
                              struct nw_table **table, struct nw_error *err)
{
    struct nw_column_schema *columns = nw_arena_array(arena, from->columns_count, sizeof *columns);
    const char *const **items = nw_arena_array(arena, from->columns_count, sizeof *items);
    const char **names = nw_arena_array(arena, from->columns_count, sizeof *names);
    /* With REPLICA IDENTITY USING INDEX old images have the columns of that index alone: a row is
     * found by them, whatever the primary key is. */
    bool by_index = from->replica_identity == 'i' && from->replica_key_count > 0;
    bool primary =
        from->primary_key_count > 0 && (!by_index || from->replica_key == from->primary_key);

    *table = nw_arena_alloc(arena, sizeof **table);
    if (*table == NULL || columns == NULL || items == NULL || names == NULL) {
        return no_memory(err);
    }
    for (uint16_t i = 0; i < from->columns_count; i++) {
        convert_column(&from->columns[i], &columns[i]);
        items[i] = from->columns[i].item_labels;
        names[i] = from->columns[i].base_type_name;
    }
    **table = (struct nw_table){
        .size = sizeof(struct nw_table),
        .relation_oid = from->oid,
        .schema_name = from->schema_name,
        .name = from->name,
        .root_oid = from->root_oid,
        .root_schema_name = from->root_schema_name,
        .root_name = from->root_name,
        .replica_identity = from->replica_identity,
        .key_is_primary = primary,
        .columns_count = from->columns_count,
        .key_columns_count = primary ? from->primary_key_count : from->replica_key_count,
        .columns = columns,
        .key_columns = primary ? from->primary_key : from->replica_key,
        .attributes_count = from->attributes_count,
        .item_labels = items,
        .base_type_names = names,
    };
    if ((*table)->key_columns_count == 0) {
        (*table)->unique_columns_count = from->unique_count;
        (*table)->unique_columns = from->unique;
    }
    return NW_OK;
}

bool nw_catalog_is_published(const struct nw_catalog_tables *published, uint32_t oid)
{
    for (size_t i = 0; i < published->count; i++) {
        if (published->tables[i].oid == oid || published->tables[i].root_oid == oid) {
            return true;
        }
    }
    return false;
}
