/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_plan.h. */
#include "pipeline/copy_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "pg/types.h"
#include "pipeline/copy_resume.h"

#define PAGE_BYTES      8192u   /* as PostgreSQL is built; another size makes other chunks */
#define CHUNK_PAGES_MIN 4096u   /* 32 MiB */
#define CHUNK_PAGES_MAX 131072u /* 1 GiB: what is read again when a session breaks */
#define CHUNKS_A_READER 16u     /* so that all of them end at about the same time */
#define CHUNKS_MAX      (1u << 20)

static uint32_t pages_of(uint64_t bytes)
{
    uint64_t pages = bytes / PAGE_BYTES;

    return pages < UINT32_MAX / 2 ? (uint32_t)pages : UINT32_MAX / 2;
}

uint32_t nw_copy_chunk_pages(uint64_t chunk_bytes, uint64_t bytes, uint32_t readers_count)
{
    uint32_t pages = pages_of(bytes / ((uint64_t)readers_count * CHUNKS_A_READER));

    if (chunk_bytes > 0) {
        return pages_of(chunk_bytes) + (chunk_bytes < PAGE_BYTES);
    }
    return pages < CHUNK_PAGES_MIN   ? CHUNK_PAGES_MIN
           : pages > CHUNK_PAGES_MAX ? CHUNK_PAGES_MAX
                                     : pages;
}

/* ---- relations ---- */

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "out of memory for the plan of a copy");
}

/* The table as it is: an ordinary one, or a partitioned one whose leaves this role may not read. */
static nw_status relation_single(struct nw_copy_plan *plan, struct nw_error *err)
{
    plan->relations = calloc(1, sizeof *plan->relations);
    if (plan->relations == NULL) {
        return no_memory(err);
    }
    plan->relations_count = 1;
    plan->relations[0] = (struct nw_copy_relation){.oid = plan->from->oid,
                                                   .schema_name = plan->from->schema_name,
                                                   .name = plan->from->name,
                                                   .file_node = plan->from->file_node,
                                                   .pages = pages_of(plan->from->bytes)};
    return NW_OK;
}

static nw_status leaves_keep(struct nw_copy_plan *plan, const struct nw_rows *rows,
                             struct nw_arena *arena, struct nw_error *err)
{
    int count = nw_rows_count(rows);

    plan->relations = calloc((size_t)count + 1, sizeof *plan->relations);
    if (plan->relations == NULL) {
        return no_memory(err);
    }
    for (int i = 0; i < count; i++) {
        struct nw_copy_relation *leaf = &plan->relations[plan->relations_count++];

        *leaf =
            (struct nw_copy_relation){.oid = (uint32_t)nw_rows_u64(rows, i, 0),
                                      .schema_name = nw_arena_text(arena, nw_rows_text(rows, i, 1)),
                                      .name = nw_arena_text(arena, nw_rows_text(rows, i, 2)),
                                      .pages = (uint32_t)nw_rows_u64(rows, i, 3),
                                      .file_node = (uint32_t)nw_rows_u64(rows, i, 5)};
        if (leaf->schema_name == NULL || leaf->name == NULL) {
            return no_memory(err);
        }
    }
    return NW_OK;
}

/*
 * The leaves, with the sizes that the last VACUUM or ANALYZE wrote down: asking for those of now
 * would wait for whoever has a leaf locked, and a chunk too large or too small only costs time.
 */
static nw_status relations_find(struct nw_copy_plan *plan,
                                const struct nw_copy_plan_options *options, struct nw_error *err)
{
    static const char sql[] =
        "SELECT c.oid, n.nspname, c.relname, greatest(c.relpages, 0), "
        "bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')) OVER (), "
        "pg_catalog.pg_relation_filenode(c.oid) FROM " NW_CATALOG_TREE(
            "$1::pg_catalog.oid") " t "
                                  "JOIN pg_catalog.pg_class c ON c.oid = t.relid "
                                  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                                  "WHERE c.relkind = 'r' ORDER BY c.oid";
    char oid[16];
    const char *params[1] = {oid};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    if (plan->from->kind != 'p') {
        return relation_single(plan, err);
    }
    (void)snprintf(oid, sizeof oid, "%" PRIu32, plan->from->oid);
    status = nw_session_query(options->session, sql, params, 1, NULL, &rows, err);
    if (status == NW_OK && nw_rows_count(rows) > 0 && nw_rows_bool(rows, 0, 4)) {
        status = leaves_keep(plan, rows, options->arena, err);
    } else if (status == NW_OK) {
        status = relation_single(plan, err);
    }
    nw_rows_free(rows);
    return status;
}

/* ---- chunks ---- */

/* The pages of a chunk that begins at `page`; what is done of a former run is not mixed with what
 * is not. A whole partitioned table has no order of pages. */
static uint32_t chunk_end(const struct nw_copy_plan *plan, const struct nw_copy_relation *relation,
                          const struct nw_copy_plan_options *options, uint32_t page, bool *kept)
{
    bool divisible = plan->from->kind == 'r' || relation->oid != plan->from->oid;
    uint32_t end = NW_COPY_PAGE_END;
    uint32_t limit = NW_COPY_PAGE_END;

    *kept = plan->resumed &&
            nw_copy_progress_at(&options->former->progress, relation->oid, page, &limit);
    /* Half a chunk more is no chunk of its own, so that the last, which has no end, is not tiny. */
    if (divisible && page < relation->pages &&
        relation->pages - page > options->chunk_pages + options->chunk_pages / 2) {
        end = page + options->chunk_pages;
    }
    return end < limit ? end : limit;
}

static void chunk_make(struct nw_copy_plan *plan, const struct nw_copy_relation *relation,
                       uint32_t first_page, uint32_t end_page, bool kept)
{
    struct nw_copy_chunk *chunk = &plan->chunks[plan->chunks_count];

    chunk->plan = plan;
    chunk->relation = relation;
    chunk->whole = first_page == 0 && end_page == NW_COPY_PAGE_END;
    chunk->kept = kept;
    chunk->task = (struct nw_copy_task){.table = plan->table,
                                        .projection = plan->projection,
                                        .generation = plan->generation,
                                        .mark = {.origin = plan->origin,
                                                 .range = {.relation_oid = relation->oid,
                                                           .first_page = first_page,
                                                           .end_page = end_page}},
                                        .fence_lsn = plan->fence->lsn,
                                        .upsert = plan->resumed,
                                        .snapshot = plan->fence->text};
}

/* Counts the chunks of a relation into the plan's, and makes them where there is room for them. */
static void relation_divide(struct nw_copy_plan *plan, const struct nw_copy_relation *relation,
                            const struct nw_copy_plan_options *options)
{
    uint32_t page = 0;

    do {
        bool kept = false;
        uint32_t end = chunk_end(plan, relation, options, page, &kept);

        if (plan->chunks != NULL) {
            chunk_make(plan, relation, page, end, kept);
            plan->chunks_kept += kept;
        }
        plan->chunks_count++;
        page = end;
    } while (page != NW_COPY_PAGE_END && plan->chunks_count <= CHUNKS_MAX);
}

static void relations_divide(struct nw_copy_plan *plan, const struct nw_copy_plan_options *options)
{
    plan->chunks_count = 0;
    for (uint32_t i = 0; i < plan->relations_count && plan->chunks_count <= CHUNKS_MAX; i++) {
        relation_divide(plan, &plan->relations[i], options);
    }
}

static nw_status chunks_make(struct nw_copy_plan *plan, const struct nw_copy_plan_options *options,
                             struct nw_error *err)
{
    relations_divide(plan, options);
    NW_ASSERT(plan->chunks_count > 0);
    if (plan->chunks_count > CHUNKS_MAX) {
        return nw_fail(
            err, NW_FATAL,
            "NW2208 %s.%s would be copied in more than %u chunks, the most: raise copy.chunk",
            plan->from->schema_name, plan->from->name, CHUNKS_MAX);
    }
    plan->chunks = calloc(plan->chunks_count, sizeof *plan->chunks);
    if (plan->chunks == NULL) {
        return no_memory(err);
    }
    relations_divide(plan, options);
    for (uint32_t i = 0; i < plan->chunks_count; i++) {
        plan->chunks[i].task.mark.chunks_count = plan->chunks_count;
    }
    return NW_OK;
}

/* A new generation, or the one that broke off. */
static void origin_choose(struct nw_copy_plan *plan, const struct nw_copy_former *former)
{
    nw_copy_origin_of(plan, &plan->origin);
    if (former != NULL && nw_copy_resumable(plan, former)) {
        plan->resumed = true;
        plan->generation = former->generation;
        plan->origin = former->progress.origin;
    }
}

nw_status nw_copy_plan_create(const struct nw_copy_plan_options *options,
                              struct nw_copy_plan **plan, struct nw_error *err)
{
    struct nw_copy_plan *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return no_memory(err);
    }
    made->from = options->from;
    made->table = options->table;
    made->projection = options->projection;
    made->filter = options->filter;
    made->fence = options->fence;
    made->generation = options->generation;
    made->bytes = options->from->bytes;
    made->is_empty = options->from->kind == 'r' && made->bytes == 0;
    status = relations_find(made, options, err);
    if (status == NW_OK) {
        origin_choose(made, options->former);
        status = chunks_make(made, options, err);
    }
    if (status != NW_OK) {
        nw_copy_plan_destroy(made);
        return status;
    }
    *plan = made;
    return NW_OK;
}

void nw_copy_plan_destroy(struct nw_copy_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; plan->chunks != NULL && i < plan->chunks_count; i++) {
        free(plan->chunks[i].sql);
    }
    free(plan->chunks);
    free(plan->relations);
    free(plan);
}

/* ---- giving ---- */

struct nw_copy_chunk *nw_copy_plan_next(struct nw_copy_plan *plan, uint32_t reader)
{
    if (plan->chunks_waiting > 0) {
        for (uint32_t i = 0; i < plan->chunks_given; i++) {
            if (plan->chunks[i].waits && plan->chunks[i].reader == reader) {
                plan->chunks[i].waits = false;
                plan->chunks_waiting--;
                return &plan->chunks[i];
            }
        }
    }
    /* While a table is found locked one chunk of it asks, not all readers. */
    if (plan->chunks_given < plan->chunks_count && (plan->tries == 0 || plan->chunks_out == 0)) {
        return &plan->chunks[plan->chunks_given++];
    }
    return NULL;
}

uint64_t nw_copy_plan_rows(const struct nw_copy_plan *plan)
{
    uint64_t rows = 0;

    for (uint32_t i = 0; i < plan->chunks_given; i++) {
        rows += plan->chunks[i].task.rows;
    }
    return rows;
}

static void read_say(const struct nw_copy_plan *plan)
{
    if (plan->resumed) {
        nw_log(NW_LOG_INFO,
               "read %s.%s: %" PRIu32 " of %" PRIu32 " chunks were kept, %" PRIu64
               " rows of them selected again, %" PRIu64 " rows read of the others",
               plan->table->schema_name, plan->table->name, plan->chunks_kept, plan->chunks_count,
               plan->rows_reread, nw_copy_plan_rows(plan) - plan->rows_reread);
    } else {
        nw_log(NW_LOG_DEBUG, "read %s.%s, %" PRIu32 " chunk%s", plan->table->schema_name,
               plan->table->name, plan->chunks_count, plan->chunks_count == 1 ? "" : "s");
    }
}

void nw_copy_chunk_done(struct nw_copy_chunk *chunk)
{
    struct nw_copy_plan *plan = chunk->plan;

    plan->tries = 0;
    plan->chunks_done++;
    plan->rows_reread += chunk->kept ? chunk->task.rows : 0;
    if (plan->chunks_done == plan->chunks_count) {
        read_say(plan);
    }
}

/* ---- a chunk's transaction ---- */

bool nw_copy_chunk_is_ordered(const struct nw_copy_chunk *chunk)
{
    return chunk->plan->from->kind == 'r' || chunk->relation->oid != chunk->plan->from->oid;
}

static nw_status name_print(struct nw_session *session, FILE *stream, const char *name,
                            struct nw_error *err)
{
    char quoted[160] = "";
    nw_status status = nw_session_quote_name(session, name, quoted, sizeof quoted, err);

    if (status == NW_OK) {
        (void)fputs(quoted, stream);
    }
    return status;
}

static nw_status relation_print(const struct nw_copy_chunk *chunk, struct nw_session *session,
                                FILE *stream, struct nw_error *err)
{
    const struct nw_copy_relation *relation = chunk->relation;
    bool partitioned = !nw_copy_chunk_is_ordered(chunk);
    nw_status status = NW_OK;

    (void)fputs(partitioned ? "" : "ONLY ", stream);
    status = name_print(session, stream, relation->schema_name, err);
    (void)fputc('.', stream);
    return status == NW_OK ? name_print(session, stream, relation->name, err) : status;
}

/*
 * What the type's output function prints, as in the stream: a cast to text may be something else
 * (xml's keeps the encoding's declaration, and users make casts). concat() makes '' of NULL, and
 * IS NULL is also true of a composite value whose fields are all NULL.
 */
static nw_status text_print(struct nw_session *session, FILE *stream, const char *name,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)fputs("CASE WHEN ", stream);
    status = name_print(session, stream, name, err);
    (void)fputs(" IS DISTINCT FROM NULL THEN pg_catalog.concat(", stream);
    status = status == NW_OK ? name_print(session, stream, name, err) : status;
    (void)fputs(") END", stream);
    return status;
}

/* Nothing is selected that neither sinks nor the filter see. */
static nw_status columns_print(struct nw_session *session, FILE *stream,
                               const struct nw_copy_plan *plan, struct nw_error *err)
{
    const struct nw_projection *projection = plan->projection;
    uint16_t count =
        projection == NULL ? plan->from->columns_count : projection->fields_count[NW_WIRE_COPY];
    nw_status status = NW_OK;

    for (uint16_t i = 0; i < count && status == NW_OK; i++) {
        uint16_t index = projection == NULL ? i : projection->fields[NW_WIRE_COPY][i].column;
        const struct nw_catalog_column *column = &plan->from->columns[index];

        (void)fputs(i > 0 ? ", " : "", stream);
        status = nw_catalog_column_is_binary(column)
                     ? name_print(session, stream, column->name, err)
                     : text_print(session, stream, column->name, err);
    }
    return status;
}

/* Which rows: those of the pages that the row filter lets through, without those dealt before. */
static void conditions_print(const struct nw_copy_chunk *chunk, FILE *stream)
{
    const struct nw_copy_range *range = &chunk->task.mark.range;
    const char *between = " WHERE ";

    if (!chunk->whole) {
        (void)fprintf(stream, "%sctid >= '(%" PRIu32 ",0)'::pg_catalog.tid", between,
                      range->first_page);
        between = " AND ";
    }
    if (!chunk->whole && range->end_page != NW_COPY_PAGE_END) {
        (void)fprintf(stream, "%sctid < '(%" PRIu32 ",0)'::pg_catalog.tid", between,
                      range->end_page);
        between = " AND ";
    }
    if (chunk->kept) { /* its pages were read: of copy_resume.h, what changed since */
        (void)fprintf(stream,
                      "%spg_catalog.age(xmin) <= pg_catalog.age('%" PRIu32 "'::pg_catalog.xid)",
                      between, (uint32_t)chunk->plan->origin.xmin);
        between = " AND ";
    }
    if (chunk->plan->from->row_filter != NULL) {
        (void)fprintf(stream, "%s(%s)", between, chunk->plan->from->row_filter);
        between = " AND ";
    }
    if (chunk->plan->filter != NULL) { /* it may end with a comment */
        (void)fprintf(stream, "%s(%s\n)", between, chunk->plan->filter);
    }
    if (chunk->task.rows > 0) {
        (void)fprintf(stream, " OFFSET %" PRIu64, chunk->task.rows);
    }
}

/* 'schema."Na me"' as a literal, for to_regclass(). */
static nw_status regclass_print(const struct nw_copy_chunk *chunk, struct nw_session *session,
                                FILE *stream, struct nw_error *err)
{
    char schema_name[160] = "";
    char name[160] = "";
    char both[sizeof schema_name + sizeof name + 1];
    char literal[2 * sizeof both + 4] = "";
    nw_status status = nw_session_quote_name(session, chunk->relation->schema_name, schema_name,
                                             sizeof schema_name, err);

    if (status == NW_OK) {
        status = nw_session_quote_name(session, chunk->relation->name, name, sizeof name, err);
    }
    (void)snprintf(both, sizeof both, "%s.%s", schema_name, name);
    if (status == NW_OK) {
        status = nw_session_quote_literal(session, both, literal, sizeof literal, err);
    }
    (void)fputs(literal, stream);
    return status;
}

/*
 * The checks: the reader compares the snapshot; the name must still be this relation's (n), or it
 * was renamed and may be another's now; and what is read is void (f) when a relation has another
 * file now (pg_relation_filenode) than the snapshot sees in the catalog.
 */
static nw_status read_print(const struct nw_copy_chunk *chunk, struct nw_session *session,
                            FILE *stream, struct nw_error *err)
{
    uint32_t oid = chunk->relation->oid;
    nw_status status = NW_OK;

    (void)fputs("LOCK TABLE ", stream);
    status = relation_print(chunk, session, stream, err);
    (void)fputs(" IN ACCESS SHARE MODE; SELECT pg_catalog.pg_current_snapshot()::text, "
                "CASE WHEN pg_catalog.to_regclass(",
                stream);
    status = status == NW_OK ? regclass_print(chunk, session, stream, err) : status;
    (void)fprintf(
        stream,
        ")::pg_catalog.oid IS DISTINCT FROM %" PRIu32 " THEN 'n' WHEN coalesce(bool_and("
        "c.relfilenode = coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)), true) THEN 't' "
        "ELSE 'f' END FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND (c.oid = %" PRIu32
        " OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%" PRIu32
        "))); COPY (SELECT ",
        oid, oid, oid);
    status = status == NW_OK ? columns_print(session, stream, chunk->plan, err) : status;
    (void)fputs(" FROM ", stream);
    status = status == NW_OK ? relation_print(chunk, session, stream, err) : status;
    if (chunk->plan->filter != NULL && oid != chunk->plan->from->oid) {
        (void)fputs(" AS ", stream); /* the condition may call a leaf as the table */
        status =
            status == NW_OK ? name_print(session, stream, chunk->plan->from->name, err) : status;
    }
    conditions_print(chunk, stream);
    (void)fputs(") TO STDOUT (FORMAT binary); COMMIT", stream);
    return status;
}

/* A relation that is gone has no rows, nor a copy that was stopped: only marks are to travel. */
static void nothing_print(FILE *stream)
{
    (void)fputs("SELECT pg_catalog.pg_current_snapshot()::text, 't'; "
                "COPY (SELECT WHERE false) TO STDOUT (FORMAT binary); COMMIT",
                stream);
}

/*
 * The whole transaction as one query. What is read twice must come in the same order, since what
 * was dealt is left out: by one process, by pages, whatever indexes there are, from the first on.
 */
static nw_status sql_print(const struct nw_copy_chunk *chunk, struct nw_session *session,
                           int64_t lock_timeout_us, FILE *stream, struct nw_error *err)
{
    (void)fprintf(stream,
                  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'; "
                  "SET LOCAL lock_timeout = '%" PRId64 "ms'; SET LOCAL row_security = off; "
                  "SET LOCAL max_parallel_workers_per_gather = 0; "
                  "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; "
                  "SET LOCAL enable_bitmapscan = off; "
                  "SET LOCAL synchronize_seqscans = off; ",
                  chunk->plan->fence->snapshot, lock_timeout_us / 1000);
    if (chunk->gone || chunk->plan->stopped) {
        nothing_print(stream);
        return NW_OK;
    }
    return read_print(chunk, session, stream, err);
}

nw_status nw_copy_chunk_prepare(struct nw_copy_chunk *chunk, struct nw_session *session,
                                int64_t lock_timeout_us, struct nw_error *err)
{
    size_t size = 0;
    FILE *stream = NULL;
    nw_status status = NW_OK;

    free(chunk->sql);
    chunk->sql = NULL;
    stream = open_memstream(&chunk->sql, &size);
    if (stream == NULL) {
        return no_memory(err);
    }
    status = sql_print(chunk, session, lock_timeout_us, stream, err);
    if (fclose(stream) != 0 && status == NW_OK) {
        status = no_memory(err);
    }
    chunk->task.sql = chunk->sql;
    return status;
}
