/* SPDX-License-Identifier: Apache-2.0 */
/* See publication.h. What can be published, and with what key, is core/pg/catalog's to know. */
#include "pipeline/publication.h"

#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "base/text.h"
#include "pg/catalog.h"

#define INSERT_ONLY_SUFFIX "_insert_only"
#define NAMES_SHOWN        60 /* as many as a log line holds */
#define CATALOG_BYTES_MAX  (256u << 20)

/* Tables that match and are in neither publication yet. */
struct pending {
    const struct nw_catalog_candidate **tables;
    size_t count;
};

bool nw_table_filter_match(const struct nw_table_filter *filter, const char *schema,
                           const char *name)
{
    char whole[256]; /* two names of at most 63 bytes and a dot */

    (void)snprintf(whole, sizeof whole, "%s.%s", schema, name);
    if (filter->include != NULL && filter->include[0] != NULL &&
        !nw_patterns_match(filter->include, whole)) {
        return false;
    }
    return !nw_patterns_match(filter->exclude, whole);
}

static nw_status exists(struct nw_session *session, const char *name, bool *found,
                        struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status =
        nw_session_query(session, "SELECT FROM pg_catalog.pg_publication WHERE pubname = $1",
                         (const char *const[]){name}, 1, NULL, &rows, err);

    *found = status == NW_OK && nw_rows_count(rows) > 0;
    nw_rows_free(rows);
    return status;
}

nw_status nw_publications_known(struct nw_session *session, char *text, size_t size,
                                struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        session,
        "SELECT string_agg(CASE n WHEN 6 THEN '...' ELSE pubname END, ', ' ORDER BY "
        "n) FROM (SELECT pubname, row_number() OVER (ORDER BY pubname) AS n FROM "
        "pg_catalog.pg_publication) AS p WHERE n <= 6",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK) {
        const char *names = nw_rows_text(rows, 0, 0);

        (void)snprintf(text, size, "%s", names == NULL ? "" : names);
    }
    nw_rows_free(rows);
    return status;
}

/* Partitions come with their root, extensions' tables with the extension. */
static nw_status pending_read(struct nw_session *session,
                              const struct nw_publication_options *options,
                              const struct nw_catalog_scope *scope, struct nw_arena *arena,
                              struct pending *pending, struct nw_error *err)
{
    struct nw_catalog_candidates candidates = {0};
    struct nw_catalog_tables published = {0};
    nw_status status = nw_catalog_candidates(session, arena, &candidates, err);

    if (status == NW_OK) {
        status = nw_catalog_tables(session, scope, arena, &published, err);
    }
    if (status != NW_OK) {
        return status;
    }
    pending->tables = nw_arena_array(arena, candidates.count + 1, sizeof *pending->tables);
    if (pending->tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the list of tables");
    }
    for (size_t i = 0; i < candidates.count && status == NW_OK; i++) {
        const struct nw_catalog_candidate *table = &candidates.tables[i];
        bool adds = table->root_oid == 0 && !table->of_extension &&
                    nw_table_filter_match(&options->filter, table->schema_name, table->name) &&
                    !nw_catalog_is_published(&published, table->oid);

        if (adds && options->adds != NULL) {
            status = options->adds(options->context, table->oid, &adds, err);
        }
        if (adds) {
            pending->tables[pending->count++] = table;
        }
    }
    return status;
}

static nw_status table_print(struct nw_session *session, FILE *stream,
                             const struct nw_catalog_candidate *table, struct nw_error *err)
{
    char schema[160] = "";
    char name[160] = "";
    nw_status status =
        nw_session_quote_name(session, table->schema_name, schema, sizeof schema, err);

    if (status == NW_OK) {
        status = nw_session_quote_name(session, table->name, name, sizeof name, err);
    }
    if (status == NW_OK) {
        (void)fprintf(stream, "%s%s.%s", table->kind == 'r' ? "ONLY " : "", schema, name);
    }
    return status;
}

static size_t pending_count(const struct pending *pending, bool keyed)
{
    size_t count = 0;

    for (size_t i = 0; i < pending->count; i++) {
        count += pending->tables[i]->identity_usable == keyed;
    }
    return count;
}

static void say_keyless(const struct nw_publication_options *options, const struct pending *pending)
{
    size_t count = pending_count(pending, false);
    char names[2048] = "";
    size_t used = 0;
    size_t shown = 0;

    for (size_t i = 0; i < pending->count && shown < NAMES_SHOWN; i++) {
        if (!pending->tables[i]->identity_usable && used < sizeof names) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s.%s",
                                     used == 0 ? "" : ", ", pending->tables[i]->schema_name,
                                     pending->tables[i]->name);
            shown++;
        }
    }
    if (count > 0) {
        nw_log(NW_LOG_WARN,
               "NW1308 %zu %s no usable replica identity (%s%s): %s, so that the application's "
               "UPDATE and DELETE keep working. To follow them whole: ALTER TABLE ... REPLICA "
               "IDENTITY FULL",
               count, count == 1 ? "table has" : "tables have", names, count > shown ? ", ..." : "",
               options->no_key == NW_NO_KEY_SKIP ? "they are left out"
                                                 : "only their inserts and truncates are followed");
    }
}

/* What is to be written into which publication. */
struct request {
    const char *name;
    bool keyed;
    bool found;
    bool optional; /* without the right to write it, it stays as it is */
    const struct pending *pending;
};

/* ADD TABLE a, b or FOR TABLE a, b: of what is missing, what belongs into this one. */
static nw_status tables_print(struct nw_session *session, FILE *stream,
                              const struct request *request, struct nw_error *err)
{
    const char *before = request->found ? " ADD TABLE " : " FOR TABLE ";
    nw_status status = NW_OK;

    for (size_t i = 0; i < request->pending->count && status == NW_OK; i++) {
        const struct nw_catalog_candidate *table = request->pending->tables[i];

        if (table->identity_usable == request->keyed) {
            (void)fputs(before, stream);
            status = table_print(session, stream, table, err);
            before = ", ";
        }
    }
    return status;
}

static nw_status statement_print(struct nw_session *session, const struct request *request,
                                 char **text, struct nw_error *err)
{
    char quoted[160] = "";
    size_t size = 0;
    nw_status status = nw_session_quote_name(session, request->name, quoted, sizeof quoted, err);
    FILE *stream = status == NW_OK ? open_memstream(text, &size) : NULL;

    if (status != NW_OK || stream == NULL) {
        return status != NW_OK ? status : nw_fail(err, NW_FATAL, "out of memory for a publication");
    }
    (void)fprintf(stream, "%s PUBLICATION %s", request->found ? "ALTER" : "CREATE", quoted);
    status = tables_print(session, stream, request, err);
    if (!request->found) {
        (void)fprintf(stream, " WITH (%spublish_via_partition_root = true)",
                      request->keyed ? "" : "publish = 'insert, truncate', ");
    }
    (void)fclose(stream);
    return status;
}

/* Whose it is, for a DBA who finds it and for `narwal teardown`. */
static nw_status comment_write(struct nw_session *session, const char *name, struct nw_error *err)
{
    char quoted[160] = "";
    char text[400];
    nw_status status = nw_session_quote_name(session, name, quoted, sizeof quoted, err);

    if (status == NW_OK) {
        (void)snprintf(text, sizeof text,
                       "COMMENT ON PUBLICATION %s IS '" NW_PUBLICATION_COMMENT
                       "; narwal teardown removes it'",
                       quoted);
        status = nw_session_query(session, text, NULL, 0, NULL, NULL, err);
    }
    return status;
}

static nw_status written(struct nw_session *session, const struct request *request, size_t count,
                         struct nw_error *err)
{
    nw_log(NW_LOG_INFO, "publication %s %s with %zu table%s%s", request->name,
           request->found ? "extended" : "made", count, count == 1 ? "" : "s",
           request->keyed ? "" : " (inserts and truncates only)");
    return request->found ? NW_OK : comment_write(session, request->name, err);
}

/* CREATE PUBLICATION, or ALTER PUBLICATION ADD, with the tables that belong. */
static nw_status publication_write(struct nw_session *session, const struct request *request,
                                   struct nw_error *err)
{
    size_t count = pending_count(request->pending, request->keyed);
    char *text = NULL;
    char sqlstate[6] = "";
    nw_status status = NW_OK;

    if (count == 0 && (request->found || !request->keyed)) {
        return NW_OK;
    }
    status = statement_print(session, request, &text, err);
    if (status == NW_OK) {
        status = nw_session_query(session, text, NULL, 0, sqlstate, NULL, err);
    }
    if (status == NW_OK) {
        status = written(session, request, count, err);
    } else if (strcmp(sqlstate, "42501") == 0) {
        struct nw_error why = *err;

        status = nw_fail(err, NW_FATAL,
                         "NW2316 may not make publication %s: %.200s. Let a DBA run it: %.600s",
                         request->name, nw_code_rest(why.text), text);
        if (request->optional) {
            nw_log(NW_LOG_WARN, "%.6s tables match that are not followed: narwal %s",
                   nw_error_code(err), nw_code_rest(err->text));
            status = NW_OK;
        }
    }
    free(text);
    return status;
}

static nw_status both_write(struct nw_session *session,
                            const struct nw_publication_options *options,
                            struct request requests[2], struct nw_error *err)
{
    nw_status status = NW_OK;

    say_keyless(options, requests[0].pending);
    status = publication_write(session, &requests[0], err);
    if (status == NW_OK && options->no_key == NW_NO_KEY_INSERT_ONLY) {
        status = publication_write(session, &requests[1], err);
        requests[1].found =
            requests[1].found || (status == NW_OK && pending_count(requests[1].pending, false) > 0);
    }
    return status;
}

/* Which of the two there are; the first must be there if we may not make it. */
static nw_status both_look(struct nw_session *session, const struct nw_publication_options *options,
                           struct request requests[2], struct nw_error *err)
{
    char known[512] = "";
    nw_status status = exists(session, requests[0].name, &requests[0].found, err);

    if (status == NW_OK) {
        status = exists(session, requests[1].name, &requests[1].found, err);
    }
    if (status == NW_OK && !requests[0].found && !options->create) {
        status = nw_publications_known(session, known, sizeof known, err);
    }
    if (status == NW_OK && !requests[0].found && !options->create) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW1216 there is no publication %s (this database has%s%s), and "
                    "publication.create is false: let a DBA make it (narwal check --sql prints "
                    "how), write another publication.name, or allow narwal to",
                    options->name, known[0] == '\0' ? " none" : ": ", known);
    }
    return status;
}

nw_status nw_publications_ensure(struct nw_session *session,
                                 const struct nw_publication_options *options,
                                 struct nw_publications *publications, struct nw_error *err)
{
    char second[NW_PUBLICATION_NAME_SIZE];
    const char *names[2] = {options->name, second};
    struct pending pending = {0};
    struct request requests[2] = {{.name = options->name, .keyed = true, .pending = &pending},
                                  {.name = second, .keyed = false, .pending = &pending}};
    struct nw_arena arena;
    nw_status status = NW_OK;

    if (snprintf(second, sizeof second, "%s" INSERT_ONLY_SUFFIX, options->name) >=
        (int)sizeof second) {
        return nw_fail(err, NW_FATAL, "NW1013 publication name %s is too long: at most %zu bytes",
                       options->name, sizeof second - sizeof INSERT_ONLY_SUFFIX);
    }
    nw_arena_init(&arena, CATALOG_BYTES_MAX);
    status = both_look(session, options, requests, err);
    if (status == NW_OK) {
        struct nw_catalog_scope scope = {names, 2};

        status = pending_read(session, options, &scope, &arena, &pending, err);
    }
    requests[0].optional = requests[1].optional = requests[0].found && !options->first;
    if (status == NW_OK && options->create &&
        (options->first || options->extend || !requests[0].found)) {
        status = both_write(session, options, requests, err);
    } else if (status == NW_OK && pending_count(&pending, true) > 0) {
        nw_log(NW_LOG_WARN,
               pending_count(&pending, true) == 1
                   ? "NW1307 %zu table matches the configuration but is not in publication %s: it "
                     "is not "
                     "followed, and joins with a new copy (docs/operations.md)"
                   : "NW1307 %zu tables match the configuration but are not in publication %s: "
                     "they are "
                     "not followed, and join with a new copy (docs/operations.md)",
               pending_count(&pending, true), options->name);
    }
    if (status == NW_OK) {
        (void)snprintf(publications->main, sizeof publications->main, "%s", options->name);
        (void)snprintf(publications->insert_only, sizeof publications->insert_only, "%s",
                       requests[1].found ? second : "");
        publications->count = requests[1].found ? 2 : 1;
    }
    nw_arena_fini(&arena);
    return status;
}
