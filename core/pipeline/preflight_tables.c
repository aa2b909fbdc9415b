/* SPDX-License-Identifier: Apache-2.0 */
/* Preflight of tables and publications: what narwal would follow, and what stands against it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/preflight_private.h"

#define CATALOG_BYTES_MAX (256u << 20)

/* Names gathered for one finding, with a statement about them. */
struct gathering {
    const char **names;
    size_t count;
    size_t capacity;
    char *sql;
    size_t sql_size;
    FILE *sql_stream;
};

struct tables_check {
    struct nw_examination *x;
    struct nw_arena arena; /* of catalog reads */
    struct nw_catalog_candidates candidates;
    struct nw_catalog_tables published;
    bool found[2]; /* publications: the main one, and that for inserts only */
    bool may_alter[2];
    char names[2][NW_PUBLICATION_NAME_SIZE + 16];
};

/* ---- gathering names ---- */

static nw_status gathering_begin(struct gathering *g, struct nw_error *err)
{
    *g = (struct gathering){0};
    g->sql_stream = open_memstream(&g->sql, &g->sql_size);
    return g->sql_stream == NULL ? nw_fail(err, NW_FATAL, "out of memory") : NW_OK;
}

static void gathering_end(struct gathering *g)
{
    if (g->sql_stream != NULL) {
        (void)fclose(g->sql_stream);
        g->sql_stream = NULL;
    }
    free(g->sql);
    free(g->names);
    g->sql = NULL;
    g->names = NULL;
}

static nw_status gather(struct gathering *g, struct nw_preflight *p, const char *schema,
                        const char *name, struct nw_error *err)
{
    const char *whole =
        nw_preflight_text(p, "%s%s%s", schema, name == NULL ? "" : ".", name == NULL ? "" : name);

    if (g->count == g->capacity) {
        size_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
        const char **names = realloc(g->names, capacity * sizeof *names);

        if (names == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory");
        }
        g->names = names;
        g->capacity = capacity;
    }
    g->names[g->count++] = whole;
    return NW_OK;
}

/* The quoted name, into the statement. */
static nw_status sql_name(struct gathering *g, const struct nw_examination *x, const char *schema,
                          const char *name, struct nw_error *err)
{
    char quoted[160] = "";
    nw_status status = nw_session_quote_name(x->session, schema, quoted, sizeof quoted, err);

    if (status == NW_OK) {
        (void)fputs(quoted, g->sql_stream);
    }
    if (status == NW_OK && name != NULL) {
        quoted[0] = '\0';
        status = nw_session_quote_name(x->session, name, quoted, sizeof quoted, err);
        (void)fprintf(g->sql_stream, ".%s", quoted);
    }
    return status;
}

/* Gives the names and the statement to a finding. */
static void hand_over(struct gathering *g, struct nw_preflight *p, struct nw_finding *finding)
{
    const char **names = nw_arena_array(p->arena, g->count + 1, sizeof *names);

    (void)fclose(g->sql_stream);
    g->sql_stream = NULL;
    if (names != NULL) {
        memcpy(names, g->names, g->count * sizeof *names);
        finding->names = names;
        finding->names_count = g->count;
    }
    if (g->sql != NULL && g->sql[0] != '\0') {
        finding->mend = nw_arena_text(p->arena, g->sql);
    }
}

/* For "%zu %s": "1 table has", "12 tables have" */
#define COUNTED(count, one, many) (count), (count) == 1 ? "table" one : "tables" many

static bool wanted(const struct tables_check *check, const char *schema, const char *name)
{
    return nw_table_filter_match(&check->x->options->server.publication.filter, schema, name);
}

/* What narwal would publish by itself: see publication.c. */
static bool candidate_wanted(const struct tables_check *check,
                             const struct nw_catalog_candidate *table)
{
    return table->root_oid == 0 && !table->of_extension &&
           wanted(check, table->schema_name, table->name);
}

static const struct nw_catalog_table *published_as(const struct tables_check *check, uint32_t oid)
{
    for (size_t i = 0; i < check->published.count; i++) {
        if (check->published.tables[i].oid == oid || check->published.tables[i].root_oid == oid) {
            return &check->published.tables[i];
        }
    }
    return NULL;
}

/* ---- one question to all wanted tables ---- */

typedef bool (*table_question)(const struct tables_check *check,
                               const struct nw_catalog_candidate *table);

/* How names become a statement. */
struct statement {
    const char *before, *between, *after;
    bool only; /* ONLY before a table that may have inheritance children */
};

static const struct statement NO_STATEMENT = {"", "", "", false};
static const struct statement IDENTITY_FULL = {
    "ALTER TABLE ", " REPLICA IDENTITY FULL; ALTER TABLE ", " REPLICA IDENTITY FULL;", false};
static const struct statement IDENTITY_DEFAULT = {
    "ALTER TABLE ", " REPLICA IDENTITY DEFAULT; ALTER TABLE ", " REPLICA IDENTITY DEFAULT;", false};

/* Gathers the tables for which the answer is yes, and puts them into the statement. */
static nw_status ask(struct tables_check *check, table_question question,
                     const struct statement *statement, struct gathering *g, struct nw_error *err)
{
    nw_status status = gathering_begin(g, err);

    for (size_t i = 0; i < check->candidates.count && status == NW_OK; i++) {
        const struct nw_catalog_candidate *table = &check->candidates.tables[i];

        if (!candidate_wanted(check, table) || !question(check, table)) {
            continue;
        }
        (void)fprintf(g->sql_stream, "%s%s", g->count == 0 ? statement->before : statement->between,
                      statement->only && table->kind == 'r' ? "ONLY " : "");
        status = gather(g, check->x->report, table->schema_name, table->name, err);
        if (status == NW_OK) {
            status = sql_name(g, check->x, table->schema_name, table->name, err);
        }
    }
    if (status == NW_OK && g->count > 0) {
        (void)fputs(statement->after, g->sql_stream);
    }
    return status;
}

static bool is_unreadable(const struct tables_check *check,
                          const struct nw_catalog_candidate *table)
{
    return check->x->rights_unknown || !table->readable;
}

static bool is_guarded(const struct tables_check *check, const struct nw_catalog_candidate *table)
{
    (void)check;
    return table->row_security;
}

static bool is_keyless(const struct tables_check *check, const struct nw_catalog_candidate *table)
{
    const struct nw_catalog_table *published = published_as(check, table->oid);

    return !table->identity_usable && !table->identity_generated &&
           (published == NULL || !(published->publishes_update || published->publishes_delete));
}

static bool is_generated(const struct tables_check *check, const struct nw_catalog_candidate *table)
{
    const struct nw_catalog_table *published = published_as(check, table->oid);

    return table->identity_generated &&
           (published == NULL || !(published->publishes_update || published->publishes_delete));
}

/* Published so that the application's own statements fail, now. */
static bool is_broken(const struct tables_check *check, const struct nw_catalog_candidate *table)
{
    const struct nw_catalog_table *published = published_as(check, table->oid);

    return !table->identity_usable && !table->identity_generated && published != NULL &&
           (published->publishes_update || published->publishes_delete);
}

static bool is_uncovered(const struct tables_check *check, const struct nw_catalog_candidate *table)
{
    return published_as(check, table->oid) == NULL;
}

static bool is_foreign_owned(const struct tables_check *check,
                             const struct nw_catalog_candidate *table)
{
    return (check->x->rights_unknown || !table->owned) && is_uncovered(check, table);
}

static bool is_keyed_uncovered(const struct tables_check *check,
                               const struct nw_catalog_candidate *table)
{
    return table->identity_usable && is_uncovered(check, table);
}

static bool is_keyless_uncovered(const struct tables_check *check,
                                 const struct nw_catalog_candidate *table)
{
    return !table->identity_usable && is_uncovered(check, table);
}

/* ---- rights ---- */

static nw_status select_check(struct tables_check *check, struct nw_error *err)
{
    struct gathering g;
    char after[256];
    nw_status status = NW_OK;

    (void)snprintf(after, sizeof after, " TO %s;", check->x->user_quoted);
    status = ask(check, is_unreadable, &(struct statement){"GRANT SELECT ON ", ", ", after, false},
                 &g, err);
    if (status == NW_OK && g.count > 0) {
        hand_over(&g, check->x->report,
                  nw_preflight_add(check->x->report, NW_FINDING_FAIL, "NW1220",
                                   "role %s may not read %zu %s copied", check->x->user,
                                   COUNTED(g.count, " that is to be", " that are to be")));
    }
    gathering_end(&g);
    return status;
}

/* A partition of a wanted table that may be read only through its root. */
static bool is_hidden_leaf(const struct tables_check *check,
                           const struct nw_catalog_candidate *leaf)
{
    if (leaf->root_oid == 0 || leaf->kind != 'r' || !is_unreadable(check, leaf)) {
        return false;
    }
    for (size_t i = 0; i < check->candidates.count; i++) {
        if (check->candidates.tables[i].oid == leaf->root_oid) {
            return candidate_wanted(check, &check->candidates.tables[i]);
        }
    }
    return false;
}

static nw_status leaves_gather(struct tables_check *check, struct gathering *g,
                               struct nw_error *err)
{
    nw_status status = gathering_begin(g, err);

    for (size_t i = 0; i < check->candidates.count && status == NW_OK; i++) {
        const struct nw_catalog_candidate *leaf = &check->candidates.tables[i];

        if (!is_hidden_leaf(check, leaf)) {
            continue;
        }
        (void)fputs(g->count == 0 ? "GRANT SELECT ON " : ", ", g->sql_stream);
        status = gather(g, check->x->report, leaf->schema_name, leaf->name, err);
        if (status == NW_OK) {
            status = sql_name(g, check->x, leaf->schema_name, leaf->name, err);
        }
    }
    return status;
}

/* One worker alone copies a table whose partitions it may not read. */
static nw_status leaves_check(struct tables_check *check, struct nw_error *err)
{
    struct gathering g;
    nw_status status = leaves_gather(check, &g, err);

    if (status == NW_OK && g.count > 0) {
        (void)fprintf(g.sql_stream, " TO %s;", check->x->user_quoted);
        hand_over(&g, check->x->report,
                  nw_preflight_add(check->x->report, NW_FINDING_WARN, "NW1321",
                                   "role %s may read %zu partition%s only through the partitioned "
                                   "table: one worker alone copies such a table",
                                   check->x->user, g.count, g.count == 1 ? "" : "s"));
    }
    gathering_end(&g);
    return status;
}

/* A question in SQL: rows of schema, name. Gathers those that are wanted. */
static nw_status ask_sql(struct tables_check *check, const char *sql, struct gathering *g,
                         struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = gathering_begin(g, err);

    if (status == NW_OK) {
        status = nw_session_query(check->x->session, sql, NULL, 0, NULL, &rows, err);
    }
    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        if (wanted(check, nw_rows_text(rows, i, 0), nw_rows_text(rows, i, 1))) {
            status = gather(g, check->x->report, nw_rows_text(rows, i, 0), nw_rows_text(rows, i, 1),
                            err);
        }
    }
    nw_rows_free(rows);
    return status;
}

static nw_status schemas_check(struct tables_check *check, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        check->x->session,
        "SELECT nspname FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname <> "
        "'information_schema' AND NOT CASE WHEN $1::bool THEN has_schema_privilege('public', oid, "
        "'USAGE') ELSE has_schema_privilege(oid, 'USAGE') END ORDER BY 1",
        (const char *const[]){check->x->rights_unknown ? "true" : "false"}, 1, NULL, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        const char *schema = nw_rows_text(rows, i, 0);
        char quoted[160] = "";
        bool used = false;

        for (size_t t = 0; t < check->candidates.count && !used; t++) {
            used = strcmp(check->candidates.tables[t].schema_name, schema) == 0 &&
                   candidate_wanted(check, &check->candidates.tables[t]);
        }
        if (used) {
            status = nw_session_quote_name(check->x->session, schema, quoted, sizeof quoted, err);
            nw_preflight_add(check->x->report, NW_FINDING_FAIL, "NW1223",
                             "role %s may not use schema %s", check->x->user, schema)
                ->mend = nw_preflight_text(check->x->report, "GRANT USAGE ON SCHEMA %s TO %s;",
                                           quoted, check->x->user_quoted);
        }
    }
    nw_rows_free(rows);
    return status;
}

static nw_status row_security_check(struct tables_check *check, struct nw_error *err)
{
    struct gathering g;
    nw_status status =
        check->x->rights_unknown
            ? ask(check, is_guarded, &NO_STATEMENT, &g, err)
            : ask_sql(check,
                      "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
                      "c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND "
                      "n.nspname !~ '^pg_' AND row_security_active(c.oid) ORDER BY 1, 2",
                      &g, err);

    if (status == NW_OK && g.count > 0) {
        struct nw_finding *finding =
            nw_preflight_add(check->x->report, NW_FINDING_FAIL, "NW1221",
                             "row level security would hide rows of %zu %s from role %s",
                             COUNTED(g.count, "", ""), check->x->user);

        (void)fprintf(g.sql_stream, "ALTER ROLE %s BYPASSRLS;", check->x->user_quoted);
        hand_over(&g, check->x->report, finding);
    }
    gathering_end(&g);
    return status;
}

/* ---- what is left out ---- */

static nw_status left_out_check(struct tables_check *check, struct nw_error *err)
{
    static const struct {
        const char *code, *text, *sql;
    } kinds[] = {
        {"NW1309", "unlogged: their changes are not in the WAL, they are left out",
         "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
         " WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'u' AND n.nspname !~ '^pg_'"
         " ORDER BY 1, 2"},
        {"NW1317", "foreign: their rows are elsewhere, they are left out",
         "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
         " WHERE c.relkind = 'f' AND n.nspname !~ '^pg_' ORDER BY 1, 2"},
        {"NW1315", "with generated columns: those columns are not published and are left out",
         "SELECT DISTINCT n.nspname, c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = "
         "a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attgenerated <> '' AND "
         "NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ "
         "'^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"},
    };
    nw_status status = NW_OK;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == NW_OK; i++) {
        struct gathering g;

        status = ask_sql(check, kinds[i].sql, &g, err);
        if (status == NW_OK && g.count > 0) {
            hand_over(&g, check->x->report,
                      nw_preflight_add(check->x->report, NW_FINDING_WARN, kinds[i].code,
                                       "%zu %s %s", COUNTED(g.count, "", ""), kinds[i].text));
        }
        gathering_end(&g);
    }
    return status;
}

/* ---- replica identity ---- */

static nw_status broken_check(struct tables_check *check, struct nw_error *err)
{
    struct nw_preflight *p = check->x->report;
    struct gathering g;
    nw_status status = ask(check, is_broken, &IDENTITY_FULL, &g, err);

    if (status == NW_OK && g.count > 0) {
        hand_over(
            &g, p,
            nw_preflight_add(p, NW_FINDING_FAIL, "NW1219",
                             "%zu %s no usable replica identity, but publication %s publishes "
                             "updates or deletes: the application's UPDATE and DELETE fail "
                             "there already",
                             COUNTED(g.count, " has", " have"), check->names[0]));
    }
    gathering_end(&g);
    return status;
}

/* @param lack  what the tables have */
static nw_status keyless_say(struct tables_check *check, table_question question,
                             const struct statement *statement, const char *lack,
                             struct nw_error *err)
{
    bool skip = check->x->options->server.publication.no_key == NW_NO_KEY_SKIP;
    struct nw_preflight *p = check->x->report;
    struct gathering g;
    nw_status status = ask(check, question, statement, &g, err);

    if (status == NW_OK && g.count > 0) {
        struct nw_finding *finding = nw_preflight_add(
            p, NW_FINDING_WARN, "NW1308",
            "%zu %s %s, and publishing their updates would make the application's UPDATE fail: %s",
            COUNTED(g.count, " has", " have"), lack,
            skip ? "they are left out (no_key: skip)"
                 : "only their inserts and truncates are followed (no_key: insert_only)");

        hand_over(&g, p, finding);
        finding->otherwise = skip ? NULL : "in the configuration  no_key: skip";
    }
    gathering_end(&g);
    return status;
}

static nw_status keyless_check(struct tables_check *check, struct nw_error *err)
{
    nw_status status =
        keyless_say(check, is_keyless, &IDENTITY_FULL, "no usable replica identity", err);

    return status == NW_OK
               ? keyless_say(check, is_generated, &IDENTITY_DEFAULT,
                             "a replica identity with generated columns, which are not published",
                             err)
               : status;
}

/* ---- publications ---- */

static nw_status publications_read(struct tables_check *check, struct nw_error *err)
{
    const struct nw_publication_options *options = &check->x->options->server.publication;
    nw_status status = NW_OK;

    (void)snprintf(check->names[0], sizeof check->names[0], "%s", options->name);
    (void)snprintf(check->names[1], sizeof check->names[1], "%s_insert_only", options->name);
    if (check->x->options->setup_all) {
        return NW_OK;
    }
    for (int i = 0; i < 2 && status == NW_OK; i++) {
        struct nw_rows *rows = NULL;

        status = nw_session_query(check->x->session,
                                  "SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication "
                                  "WHERE pubname = $1",
                                  (const char *const[]){check->names[i]}, 1, NULL, &rows, err);
        check->found[i] = status == NW_OK && nw_rows_count(rows) == 1;
        check->may_alter[i] = check->found[i] && nw_rows_bool(rows, 0, 0);
        nw_rows_free(rows);
    }
    if (status == NW_OK) {
        const char *names[2] = {check->names[0], check->names[1]};
        struct nw_catalog_scope scope = {names, 2};

        status =
            nw_catalog_tables(check->x->session, &scope, &check->arena, &check->published, err);
    }
    return status;
}

/* The statement that makes or extends a publication with what is not covered. */
static nw_status publication_sql(struct tables_check *check, int which, char **sql,
                                 struct nw_error *err)
{
    struct gathering g;
    char before[320];
    struct statement statement = {before, ", ", "", true};
    char quoted[160] = "";
    nw_status status =
        nw_session_quote_name(check->x->session, check->names[which], quoted, sizeof quoted, err);

    *sql = NULL;
    if (status != NW_OK) {
        return status;
    }
    (void)snprintf(before, sizeof before,
                   check->found[which] ? "ALTER PUBLICATION %s ADD TABLE "
                                       : "CREATE PUBLICATION %s FOR TABLE ",
                   quoted);
    statement.after = check->found[which] ? ";"
                      : which == 0        ? " WITH (publish_via_partition_root = true);"
                                          : " WITH (publish = 'insert, truncate', "
                                            "publish_via_partition_root = true);";
    status =
        ask(check, which == 0 ? is_keyed_uncovered : is_keyless_uncovered, &statement, &g, err);
    if (status == NW_OK && g.count > 0) {
        (void)fclose(g.sql_stream);
        g.sql_stream = NULL;
        *sql = g.sql;
        g.sql = NULL;
    }
    gathering_end(&g);
    return status;
}

/* @param script  filled: the same, for a script */
static nw_status publications_sql(struct tables_check *check, const char **sql, const char **script,
                                  struct nw_error *err)
{
    bool skip = check->x->options->server.publication.no_key == NW_NO_KEY_SKIP;
    char *parts[2] = {NULL, NULL};
    nw_status status = publication_sql(check, 0, &parts[0], err);

    if (status == NW_OK && !skip) {
        status = publication_sql(check, 1, &parts[1], err);
    }
    *sql = nw_preflight_text(check->x->report, "%s%s%s", parts[0] == NULL ? "" : parts[0],
                             parts[0] != NULL && parts[1] != NULL ? "\n" : "",
                             parts[1] == NULL ? "" : parts[1]);
    *sql = **sql == '\0' ? NULL : *sql;
    *script =
        nw_preflight_text(check->x->report, "%s%s%s",
                          parts[0] == NULL ? "" : nw_preflight_once(check->x->report, parts[0]),
                          parts[0] != NULL && parts[1] != NULL ? "\n" : "",
                          parts[1] == NULL ? "" : nw_preflight_once(check->x->report, parts[1]));
    free(parts[0]);
    free(parts[1]);
    return status;
}

/* Why this role cannot make or extend the publications itself; NULL: it can. */
static const char *publication_obstacle(const struct tables_check *check, size_t foreign_count)
{
    const struct nw_examination *x = check->x;

    if (!x->options->server.publication.create) {
        return "publication.create is false";
    }
    if (x->in_recovery) {
        return "a standby cannot make publications: make it on the primary";
    }
    if (check->found[0] && !check->may_alter[0]) {
        return "it belongs to another role";
    }
    if (!check->found[0] && (!x->may_create || x->rights_unknown)) {
        return "this role may not CREATE in this database";
    }
    if ((!x->superuser || x->rights_unknown) && foreign_count > 0) {
        return "only a table's owner may publish it";
    }
    return NULL;
}

/* What is to be done about tables that are in no publication yet. @param obstacle  NULL: none */
static void uncovered_report(struct tables_check *check, size_t uncovered, const char *obstacle,
                             const struct nw_finding *mends, const char *others)
{
    struct nw_preflight *p = check->x->report;
    struct nw_finding *finding = NULL;

    if (obstacle == NULL && check->found[0] && check->x->slot_exists) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1307",
                               "%zu %s not in publication %s and will not be followed by a run "
                               "that goes on: they join with a new copy (docs/operations.md)",
                               COUNTED(uncovered, " is", " are"), check->names[0]);
    } else if (obstacle == NULL) {
        (void)nw_preflight_add(p, NW_FINDING_OK, "", "publication %s will %s %zu %s",
                               check->names[0], check->found[0] ? "get" : "be made with",
                               COUNTED(uncovered, "", ""));
    } else if (!check->found[0]) {
        finding = nw_preflight_add(p, NW_FINDING_FAIL, "NW1216",
                                   "there is no publication %s (%s), and %s", check->names[0],
                                   others, obstacle);
    } else {
        finding = nw_preflight_add(p, NW_FINDING_WARN, "NW1307",
                                   "%zu %s not in publication %s and will not be followed: %s",
                                   COUNTED(uncovered, " is", " are"), check->names[0], obstacle);
    }
    if (finding != NULL) {
        finding->mend = mends->mend;
        finding->script = mends->script;
    }
}

/* What a wrong name may have meant. */
static nw_status publications_name(const struct tables_check *check, const char **names,
                                   struct nw_error *err)
{
    char known[512] = "";
    nw_status status = nw_publications_known(check->x->session, known, sizeof known, err);

    *names = nw_preflight_text(check->x->report, "this database has%s%s",
                               known[0] == '\0' ? " none" : ": ", known);
    return status;
}

static nw_status publication_check(struct tables_check *check, struct nw_error *err)
{
    struct gathering uncovered;
    struct gathering foreign = {0};
    struct nw_finding mends = {0};
    const char *others = "";
    nw_status status = ask(check, is_uncovered, &NO_STATEMENT, &uncovered, err);

    if (status == NW_OK) {
        status = ask(check, is_foreign_owned, &NO_STATEMENT, &foreign, err);
    }
    if (status == NW_OK && uncovered.count > 0) {
        status = publications_sql(check, &mends.mend, &mends.script, err);
    }
    if (status == NW_OK && !check->found[0]) {
        status = publications_name(check, &others, err);
    }
    if (status == NW_OK && uncovered.count > 0) {
        uncovered_report(check, uncovered.count, publication_obstacle(check, foreign.count), &mends,
                         others);
    } else if (status == NW_OK && check->found[0]) {
        (void)nw_preflight_add(check->x->report, NW_FINDING_OK, "",
                               check->x->report->tables_count == 1
                                   ? "publication %s has the %zu table that matches"
                                   : "publication %s has all %zu tables that match",
                               check->names[0], check->x->report->tables_count);
    }
    gathering_end(&foreign);
    gathering_end(&uncovered);
    return status;
}

/* ---- all ---- */

static void tables_count(struct tables_check *check)
{
    struct nw_preflight *p = check->x->report;

    for (size_t i = 0; i < check->candidates.count; i++) {
        if (candidate_wanted(check, &check->candidates.tables[i])) {
            p->tables_count++;
            p->bytes += check->candidates.tables[i].bytes;
        }
    }
    if (p->tables_count == 0) {
        (void)nw_preflight_add(p, NW_FINDING_FAIL, "NW1224", "no table matches");
    }
}

nw_status nw_preflight_tables(struct nw_examination *examination, struct nw_error *err)
{
    struct tables_check check = {.x = examination};
    nw_status (*const checks[])(struct tables_check *, struct nw_error *) = {
        publication_check, broken_check,       keyless_check,
        schemas_check,     row_security_check, left_out_check};
    nw_status status = NW_OK;

    nw_arena_init(&check.arena, CATALOG_BYTES_MAX);
    status = nw_catalog_candidates(examination->session, &check.arena, &check.candidates, err);
    if (status == NW_OK) {
        tables_count(&check);
        status = publications_read(&check, err);
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && status == NW_OK; i++) {
        status = checks[i](&check, err);
    }
    if (status == NW_OK && examination->options->copies) {
        status = select_check(&check, err);
        status = status == NW_OK ? leaves_check(&check, err) : status;
    }
    if (status == NW_OK) {
        status = nw_preflight_transforms(examination, &check.arena, &check.candidates,
                                         &check.published, err);
    }
    nw_arena_fini(&check.arena);
    return status;
}
