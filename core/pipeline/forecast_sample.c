/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples: a few ranges of blocks spread over a table, each read by COPY BINARY in a transaction of
 * its own, as the copy will. Their rows go through the real decoder and the sinks' own plugins.
 *
 * COPY's format: PostgreSQL documentation, "COPY", "Binary Format". The server sends each row in a
 * message of its own ("Message Formats", CopyData); the header comes with the first.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "pg/types.h"
#include "pipeline/forecast_private.h"
#include "source/producer.h"

#define RANGES           UINT64_C(8)
#define WHOLE_BLOCKS_MAX 64u /* smaller tables are read whole */
#define RANGE_BLOCKS     4u  /* of the first range; the next are sized by what it took */
#define RANGE_BLOCKS_MAX 256u
#define LARGE_BLOCKS     32u /* beginning the transaction does not count in a range of so many */
#define RANGE_NS         100000000LL /* what a range should take */
#define RANGE_BYTES      2097152.0
#define RANGE_BYTES_MAX  (UINT64_C(8) << 20) /* past it the range is given up */
#define TABLE_NS_MAX     2000000000LL
#define FEED_RANGE_MAX   (UINT64_C(128) << 10)
#define FEED_MAX         (UINT64_C(64) << 20) /* of all tables: trials write to disk */
#define TRIED_MAX        64u /* tables that the sinks are tried with: each ends in a commit */
#define HEADER_BYTES     11u
#define SIGNATURE        "PGCOPY\n\377\r\n\0"

static int64_t cpu_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

nw_status nw_sampler_init(struct nw_sampler *sampler, const struct nw_forecast_options *options,
                          struct nw_session *session, struct nw_arena *arena, struct nw_error *err)
{
    int64_t now_ns = options->env->ops->now_ns(options->env);
    struct nw_error why = {0};

    *sampler = (struct nw_sampler){.options = options,
                                   .session = session,
                                   .arena = arena,
                                   .deadline_ns = now_ns + options->time_ns};
    sampler->block.frames = calloc(NW_BLOCK_ROWS_MAX, sizeof *sampler->block.frames);
    if (sampler->block.frames == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for samples");
    }
    for (uint32_t i = 0; i < options->sinks_count; i++) {
        if (options->sinks[i].trial != NULL &&
            nw_trial_create(options->sinks[i].trial, &sampler->trials[i], &why) != NW_OK) {
            sampler->trouble[i] = nw_arena_text(arena, why.text);
        }
    }
    if (options->preflight.transforms != NULL) {
        nw_status status =
            nw_transforms_create(options->preflight.transforms, &sampler->transforms, err);

        if (status != NW_OK) {
            return status;
        }
    }
    return nw_builder_create(&sampler->builder, err);
}

void nw_sampler_fini(struct nw_sampler *sampler)
{
    for (uint32_t i = 0; i < NW_CONFIG_SINKS_MAX; i++) {
        nw_trial_destroy(sampler->trials[i]);
    }
    nw_builder_destroy(sampler->builder);
    nw_transforms_destroy(sampler->transforms);
    free(sampler->block.frames);
    free(sampler->block.bytes);
    free(sampler->item);
}

/* ---- rows, through decoder and sinks ---- */

/* The plugin failed: its other samples are not of use either. */
static void trial_drop(struct nw_sampler *sampler, uint32_t sink, const struct nw_error *why)
{
    sampler->trouble[sink] = nw_arena_text(sampler->arena, why->text);
    nw_trial_destroy(sampler->trials[sink]);
    sampler->trials[sink] = NULL;
}

static nw_status item_room(struct nw_sampler *sampler, size_t size, struct nw_error *err)
{
    if (size > sampler->item_capacity) {
        free(sampler->item);
        sampler->item = malloc(size);
        sampler->item_capacity = sampler->item == NULL ? 0 : size;
    }
    return sampler->item == NULL ? nw_fail(err, NW_FATAL, "out of memory for samples") : NW_OK;
}

/* Decodes the block's rows and gives them to the trials. */
static nw_status rows_flush(struct nw_sampler *sampler, struct nw_error *err)
{
    struct nw_block *block = &sampler->block;
    int64_t started_ns = cpu_now_ns();
    struct nw_error why = {0};
    size_t size = 0;
    nw_status status = NW_OK;

    if (block->frames_count == 0) {
        return NW_OK;
    }
    block->kind = NW_BLOCK_COPY;
    block->table = sampler->table;
    block->projection = sampler->projection;
    block->generation = 1;
    block->fence_lsn = 1;
    status = nw_builder_decode(sampler->builder, block, &size, err);
    status = status == NW_OK ? item_room(sampler, size, err) : status;
    if (status != NW_OK) {
        return status;
    }
    nw_builder_pack(sampler->builder, sampler->item);
    sampler->sample->decode_ns += cpu_now_ns() - started_ns;
    for (uint32_t i = 0; i < sampler->options->sinks_count; i++) {
        if (sampler->trials[i] != NULL && sampler->item->as.batch.rows_count > 0 &&
            nw_trial_write(sampler->trials[i], &sampler->item->as.batch, &why) != NW_OK) {
            trial_drop(sampler, i, &why);
        }
    }
    block->frames_count = 0;
    block->bytes_size = 0;
    return NW_OK;
}

static nw_status row_feed(struct nw_sampler *sampler, struct nw_bytes tuple, struct nw_error *err)
{
    struct nw_block *block = &sampler->block;
    nw_status status = NW_OK;

    if (block->frames_count == NW_BLOCK_ROWS_MAX ||
        block->bytes_size + tuple.size > NW_BLOCK_BYTES) {
        status = rows_flush(sampler, err);
    }
    if (status == NW_OK) {
        struct nw_frame *frame = &block->frames[block->frames_count];

        *frame = (struct nw_frame){
            .size = (uint32_t)tuple.size, .op = NW_OP_INSERT, .row_lsn = block->fence_lsn};
        if (!nw_block_append(block, tuple.at, tuple.size, &frame->offset)) {
            return nw_fail(err, NW_FATAL, "out of memory for samples");
        }
        block->frames_count++;
        sampler->range_fed += tuple.size;
        sampler->fed_bytes += tuple.size;
        sampler->sample->fed_bytes += tuple.size;
        sampler->sample->fed_rows++;
    }
    return status;
}

/* What is behind COPY's header. */
static bool header_skip(struct nw_bytes *body)
{
    struct nw_cursor cursor = nw_cursor_of(body->at, body->size);
    struct nw_bytes signature = nw_cursor_bytes(&cursor, HEADER_BYTES);

    (void)nw_cursor_u32be(&cursor); /* flags */
    (void)nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));
    *body = (struct nw_bytes){cursor.at, cursor.left};
    return !cursor.failed && signature.at != NULL &&
           memcmp(signature.at, SIGNATURE, HEADER_BYTES) == 0;
}

/* One message of COPY. @return false: enough */
static bool message_take(void *context, const void *bytes, size_t size)
{
    struct nw_sampler *sampler = context;
    struct nw_forecast_sample *sample = sampler->sample;
    struct nw_bytes body = {bytes, size};

    if (!sampler->header_seen) {
        sampler->header_seen = true;
        sampler->header_ns = sampler->options->env->ops->now_ns(sampler->options->env);
        if (!header_skip(&body)) {
            sampler->status = nw_fail(&sampler->error, NW_CORRUPT, "COPY has an unknown header");
            return false;
        }
    }
    if (body.size <= 2) { /* nothing yet, or the trailer; a row without columns is not fed */
        sampler->range_rows += body.size == 2 && body.at[0] == 0;
        return true;
    }
    sampler->range_rows++;
    sampler->range_bytes += body.size;
    sample->row_bytes_max = body.size > sample->row_bytes_max ? body.size : sample->row_bytes_max;
    if (sampler->range_fed < sampler->feed_max && sampler->fed_bytes < FEED_MAX) {
        sampler->status = row_feed(sampler, body, &sampler->error);
    }
    return sampler->status == NW_OK && sampler->range_bytes < RANGE_BYTES_MAX;
}

/* ---- one range ---- */

/* The relation to read, and how. */
struct target {
    char *columns; /* as COPY will select them */
    char *relation;
    uint64_t blocks;
};

static nw_status range_sql(const struct target *target, uint64_t first, uint64_t count, char **sql,
                           struct nw_error *err)
{
    char where[96] = "";
    int size = 0;

    if (count < target->blocks) {
        (void)snprintf(where, sizeof where,
                       " WHERE ctid >= '(%" PRIu64 ",0)' AND ctid < '(%" PRIu64 ",0)'", first,
                       first + count);
    }
    size = asprintf(sql,
                    "BEGIN READ ONLY; SET LOCAL lock_timeout = '%dms'; SET LOCAL statement_timeout "
                    "= '%dms'; SET LOCAL row_security = off; COPY (SELECT %s FROM ONLY %s%s) TO "
                    "STDOUT (FORMAT binary); COMMIT",
                    NW_FORECAST_LOCK_MS, NW_FORECAST_STATEMENT_MS, target->columns,
                    target->relation, where);
    if (size < 0) {
        *sql = NULL;
        return nw_fail(err, NW_FATAL, "out of memory for samples");
    }
    return NW_OK;
}

/* What the server did not do is the sample's trouble; without an answer it is an error. */
static nw_status trouble_note(struct nw_sampler *sampler, nw_status status, const char *sqlstate,
                              struct nw_error *err)
{
    struct nw_forecast_sample *sample = sampler->sample;

    if (status == NW_AGAIN && sampler->status == NW_OK) {
        return NW_OK; /* enough */
    }
    if (status == NW_AGAIN) {
        *err = sampler->error;
        sample->trouble = nw_arena_text(sampler->arena, err->text);
        return sampler->status == NW_FATAL ? NW_FATAL : NW_OK;
    }
    if (sqlstate[0] == '\0') {
        return status;
    }
    sample->locked = strcmp(sqlstate, "55P03") == 0;
    sample->slow = strcmp(sqlstate, "57014") == 0;
    sample->trouble = sample->locked ? "it is locked"
                      : sample->slow ? "a few blocks took more than a second"
                                     : nw_arena_text(sampler->arena, err->text);
    return NW_OK;
}

static nw_status range_read(struct nw_sampler *sampler, const struct target *target, uint64_t first,
                            uint64_t count, struct nw_error *err)
{
    struct nw_env *env = sampler->options->env;
    struct nw_forecast_sample *sample = sampler->sample;
    char sqlstate[6] = "";
    char *sql = NULL;
    int64_t started_ns = env->ops->now_ns(env);
    int64_t took_ns = 0;
    nw_status status = range_sql(target, first, count, &sql, err);

    if (status != NW_OK) {
        return status;
    }
    sampler->header_seen = false;
    sampler->status = NW_OK;
    sampler->range_rows = sampler->range_bytes = sampler->range_fed = 0;
    status = nw_session_copy(sampler->session, sql, message_take, sampler, sqlstate, err);
    free(sql);
    if (sampler->header_seen && count >= LARGE_BLOCKS) {
        started_ns = sampler->header_ns;
    }
    took_ns = env->ops->now_ns(env) - started_ns;
    sample->rows += sampler->range_rows;
    sample->bytes += sampler->range_bytes;
    sample->ns += took_ns;
    if (status == NW_OK) {
        sample->blocks_done += count;
        sample->rows_done += sampler->range_rows;
        sample->ns_done += took_ns;
        return rows_flush(sampler, err);
    }
    status = trouble_note(sampler, status, sqlstate, err);
    if (status == NW_OK && nw_session_in_transaction(sampler->session)) {
        status = nw_session_query(sampler->session, "ROLLBACK", NULL, 0, NULL, NULL, err);
    }
    return status == NW_OK && sampler->status == NW_OK ? rows_flush(sampler, err) : status;
}

/* How many blocks the next range has, from what the last one took. */
static uint64_t range_next(const struct nw_sampler *sampler, uint64_t count, int64_t took_ns)
{
    double by_time = (double)RANGE_NS / (double)(took_ns < 1000 ? 1000 : took_ns);
    double by_bytes = RANGE_BYTES / (double)(sampler->range_bytes + 1);
    double next = (double)count * (by_time < by_bytes ? by_time : by_bytes);

    return next < 1 ? 1 : next > RANGE_BLOCKS_MAX ? RANGE_BLOCKS_MAX : (uint64_t)next;
}

static nw_status ranges_read(struct nw_sampler *sampler, const struct target *target,
                             struct nw_error *err)
{
    struct nw_env *env = sampler->options->env;
    struct nw_forecast_sample *sample = sampler->sample;
    int64_t end_ns = env->ops->now_ns(env) + TABLE_NS_MAX;
    uint64_t count = RANGE_BLOCKS;
    nw_status status = NW_OK;

    end_ns = end_ns < sampler->deadline_ns ? end_ns : sampler->deadline_ns;
    if (target->blocks <= WHOLE_BLOCKS_MAX) {
        sampler->feed_max = sampler->tried ? RANGES * FEED_RANGE_MAX : 0;
        return range_read(sampler, target, 0, target->blocks, err);
    }
    sampler->feed_max = sampler->tried ? FEED_RANGE_MAX : 0;
    for (uint64_t i = 0; i < RANGES && status == NW_OK && sample->trouble == NULL; i++) {
        /* The middle of each part: the ends of a table are often unlike the rest. */
        uint64_t first = (2 * i + 1) * target->blocks / (2 * RANGES);
        int64_t before_ns = sample->ns;

        count = count < target->blocks - first ? count : target->blocks - first;
        status = range_read(sampler, target, first, count, err);
        status = status == NW_OK ? nw_forecast_goes_on(sampler->options, err) : status;
        count = range_next(sampler, count, sample->ns - before_ns);
        if (env->ops->now_ns(env) >= end_ns) {
            break;
        }
    }
    return status;
}

/* ---- one table ---- */

static char *quoted(struct nw_session *session, const char *schema, const char *name)
{
    char first[160] = "";
    char second[160] = "";
    char *text = NULL;
    struct nw_error ignored = {0};

    if (nw_session_quote_name(session, schema, first, sizeof first, &ignored) != NW_OK ||
        nw_session_quote_name(session, name, second, sizeof second, &ignored) != NW_OK ||
        asprintf(&text, "%s.%s", first, second) < 0) {
        return NULL;
    }
    return text;
}

/* What the copy selects: nothing that neither sinks nor the row filter see. */
static char *columns_text(struct nw_session *session, const struct nw_catalog_table *table,
                          const struct nw_projection *projection)
{
    uint16_t count =
        projection == NULL ? table->columns_count : projection->fields_count[NW_WIRE_COPY];
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    struct nw_error ignored = {0};
    nw_status status = NW_OK;

    for (uint16_t i = 0; stream != NULL && i < count && status == NW_OK; i++) {
        uint16_t index = projection == NULL ? i : projection->fields[NW_WIRE_COPY][i].column;
        const struct nw_catalog_column *column = &table->columns[index];
        char name[160] = "";

        status = nw_session_quote_name(session, column->name, name, sizeof name, &ignored);
        (void)fprintf(stream, "%s%s%s", i > 0 ? ", " : "", name,
                      nw_catalog_column_is_binary(column) ? "" : "::pg_catalog.text");
    }
    if (stream != NULL) {
        (void)fclose(stream);
    }
    return text;
}

/* Of a partitioned table the largest leaf stands for all: opening thousands would take long. */
static nw_status leaf_find(struct nw_sampler *sampler, uint32_t oid, struct target *target,
                           struct nw_error *err)
{
    static const char sql[] = "SELECT n.nspname, c.relname, c.relpages FROM " NW_CATALOG_TREE(
        "$1::oid") " t "
                   "JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = "
                   "c.relnamespace WHERE "
                   "c.relkind = 'r' AND c.relpages > 0 AND has_table_privilege(c.oid, 'SELECT') "
                   "ORDER BY "
                   "c.relpages DESC, c.relname LIMIT 1";
    struct nw_rows *rows = NULL;
    char text[16];
    const char *params[1] = {text};
    nw_status status = NW_OK;

    (void)snprintf(text, sizeof text, "%" PRIu32, oid);
    status = nw_session_query(sampler->session, sql, params, 1, NULL, &rows, err);
    if (status == NW_OK && nw_rows_count(rows) == 1) {
        target->relation =
            quoted(sampler->session, nw_rows_text(rows, 0, 0), nw_rows_text(rows, 0, 1));
        target->blocks = nw_rows_u64(rows, 0, 2);
    } else if (status == NW_OK) {
        sampler->sample->trouble = "none of its partitions was analyzed and may be read";
    }
    nw_rows_free(rows);
    return status;
}

/* What sinks see of the table. */
static nw_status projection_find(struct nw_sampler *sampler, struct nw_error *err)
{
    nw_status status = NW_OK;

    sampler->projection = NULL;
    if (sampler->transforms != NULL) {
        status =
            nw_transforms_project(sampler->transforms, sampler->table, &sampler->projection, err);
    }
    if (status == NW_REJECT) { /* a finding says so too */
        sampler->sample->trouble = nw_arena_text(sampler->arena, err->text);
        return NW_OK;
    }
    return status;
}

static nw_status target_find(struct nw_sampler *sampler,
                             const struct nw_catalog_candidate *candidate, struct target *target,
                             struct nw_error *err)
{
    const char *name = sampler->options->preflight.server.publication.name;
    const char *names[1] = {name};
    const struct nw_catalog_scope scope = {names, 1};
    const struct nw_catalog_table *catalog = NULL;
    struct nw_table *table = NULL;
    nw_status status =
        nw_catalog_table(sampler->session, &scope, candidate->oid, sampler->arena, &catalog, err);

    if (status != NW_OK || catalog == NULL) {
        sampler->sample->trouble = "it was dropped meanwhile";
        return status;
    }
    status = nw_catalog_to_table(catalog, sampler->arena, &table, err);
    if (status != NW_OK) {
        return status;
    }
    table->id = sampler->tables_count++;
    table->version = 1;
    sampler->table = table;
    status = projection_find(sampler, err);
    if (status != NW_OK || sampler->sample->trouble != NULL) {
        return status;
    }
    target->columns = columns_text(sampler->session, catalog, sampler->projection);
    if (candidate->kind == 'p') {
        return leaf_find(sampler, candidate->oid, target, err);
    }
    target->relation = quoted(sampler->session, candidate->schema_name, candidate->name);
    return NW_OK;
}

static void trials_begin(struct nw_sampler *sampler)
{
    struct nw_error why = {0};

    for (uint32_t i = 0; i < sampler->options->sinks_count; i++) {
        if (sampler->trials[i] != NULL &&
            nw_trial_begin(sampler->trials[i], nw_table_seen(sampler->table, sampler->projection),
                           &why) != NW_OK) {
            trial_drop(sampler, i, &why);
        }
    }
}

static void trials_end(struct nw_sampler *sampler)
{
    struct nw_forecast_sample *sample = sampler->sample;
    struct nw_error why = {0};

    for (uint32_t i = 0; i < sampler->options->sinks_count; i++) {
        if (sampler->trials[i] != NULL && nw_trial_end(sampler->trials[i], &sample->sink_bytes[i],
                                                       &sample->sink_ns[i], &why) != NW_OK) {
            trial_drop(sampler, i, &why);
        }
    }
}

nw_status nw_sampler_read(struct nw_sampler *sampler, const struct nw_catalog_candidate *candidate,
                          struct nw_forecast_table *table, struct nw_error *err)
{
    struct nw_env *env = sampler->options->env;
    struct target target = {.blocks = table->blocks};
    nw_status status = nw_forecast_goes_on(sampler->options, err);

    sampler->sample = &table->sample;
    if (status != NW_OK) {
        return status;
    }
    if (env->ops->now_ns(env) >= sampler->deadline_ns) {
        table->sample.trouble = "the time was used up";
        return NW_OK;
    }
    if (!candidate->readable) {
        table->sample.trouble = "this role may not read it";
        return NW_OK;
    }
    status = target_find(sampler, candidate, &target, err);
    if (status == NW_OK && table->sample.trouble == NULL &&
        (target.columns == NULL || target.relation == NULL)) {
        status = nw_fail(err, NW_FATAL, "out of memory for samples");
    }
    if (status == NW_OK && table->sample.trouble == NULL) {
        sampler->block.frames_count = sampler->block.bytes_size = 0;
        sampler->tried = sampler->tables_count <= TRIED_MAX;
        if (sampler->tried) {
            trials_begin(sampler);
        }
        status = ranges_read(sampler, &target, err);
        if (sampler->tried) {
            trials_end(sampler);
        }
    }
    free(target.columns);
    free(target.relation);
    return status;
}
