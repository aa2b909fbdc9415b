/* SPDX-License-Identifier: Apache-2.0 */
/* See init_print.h. */
#include "cli/init_print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/run_config.h"

#define COMMENT_COLUMN 40
#define NAMES_SHOWN    5u
#define SCHEMAS_MAX    64u
#define MIB            (INT64_C(1) << 20)
#define GIB            (INT64_C(1) << 30)
#define SPOOL_MIN      (64 * MIB) /* what the configuration takes at least */
#define WORKERS_MAX    8u

/* Whole units, so that a human reads them. */
static int64_t rounded(int64_t bytes)
{
    return bytes >= GIB ? bytes / GIB * GIB : bytes / MIB * MIB;
}

int64_t nw_init_spool_bytes(uint64_t copied_bytes, uint64_t free_bytes)
{
    uint64_t most = (UINT64_C(1) << 50) / 2;
    uint64_t wanted = copied_bytes > most / 2 ? most : copied_bytes * 2;

    wanted = wanted < (uint64_t)GIB ? (uint64_t)GIB : wanted;
    wanted = wanted > free_bytes / 2 ? free_bytes / 2 : wanted;
    return wanted < (uint64_t)SPOOL_MIN ? SPOOL_MIN : rounded((int64_t)wanted);
}

int64_t nw_init_retained_bytes(uint64_t copied_bytes, int64_t wal_keep_bytes)
{
    int64_t quarter =
        copied_bytes / 4 > (uint64_t)(64 * GIB) ? 64 * GIB : (int64_t)copied_bytes / 4;

    if (wal_keep_bytes >= 0) {
        quarter = wal_keep_bytes / 5 * 4;
        return quarter < 16 * MIB ? 16 * MIB : rounded(quarter);
    }
    return quarter < GIB ? GIB : rounded(quarter);
}

/* ---- lines ---- */

/* Names of the server may hold anything, and must not end a comment. */
static void clean(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        (void)fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

NW_PRINTF(3, 4)
static void comment(FILE *out, const char *before, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0) {
        (void)fprintf(out, "%s# ", before);
        clean(out, text);
        (void)fputc('\n', out);
        free(text);
    }
    va_end(args);
}

/* "  key: value" with a comment behind it. */
static void line(FILE *out, const char *key, const char *value, const char *why)
{
    int column = fprintf(out, "%s: %s", key, value);

    (void)fprintf(out, "%*s# ", column < COMMENT_COLUMN ? COMMENT_COLUMN - column : 2, "");
    clean(out, why);
    (void)fputc('\n', out);
}

/* Up to five names: "a.b, a.c, ...". To be freed; NULL: out of memory */
static char *names_text(const char *const *names, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++) {
        (void)fprintf(out, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    (void)fputs(count > NAMES_SHOWN ? ", ..." : "", out);
    (void)fclose(out);
    return text;
}

/* ---- tables ---- */

/* What narwal follows by itself: see core/pipeline/publication.c. */
static bool is_followed(const struct nw_catalog_candidate *table)
{
    return table->root_oid == 0 && !table->of_extension;
}

static bool is_partitioned(const struct nw_catalog_candidate *table)
{
    return is_followed(table) && table->kind == 'p';
}

static bool is_of_extension(const struct nw_catalog_candidate *table)
{
    return table->root_oid == 0 && table->of_extension;
}

static int by_size(const void *left, const void *right)
{
    const struct nw_catalog_candidate *a = *(const struct nw_catalog_candidate *const *)left;
    const struct nw_catalog_candidate *b = *(const struct nw_catalog_candidate *const *)right;
    uint64_t a_bytes = a->bytes + a->toast_bytes;
    uint64_t b_bytes = b->bytes + b->toast_bytes;

    return a_bytes < b_bytes ? 1 : a_bytes > b_bytes ? -1 : 0;
}

/* Those for which the answer is yes, largest first. To be freed. */
static const struct nw_catalog_candidate **
chosen(const struct nw_catalog_candidates *all,
       bool (*question)(const struct nw_catalog_candidate *table), size_t *count)
{
    const struct nw_catalog_candidate **tables = calloc(all->count + 1, sizeof *tables);

    *count = 0;
    for (size_t i = 0; i < all->count && tables != NULL; i++) {
        if (question(&all->tables[i])) {
            tables[(*count)++] = &all->tables[i];
        }
    }
    if (tables != NULL) {
        qsort((void *)tables, *count, sizeof *tables, by_size);
    }
    return tables;
}

static void largest_print(FILE *out, const struct nw_catalog_candidates *all)
{
    char size[NW_NUMBER_TEXT_SIZE];
    size_t count = 0;
    const struct nw_catalog_candidate **tables = chosen(all, is_followed, &count);

    if (tables != NULL && count > 0) {
        (void)fputs("  # The largest: ", out);
        for (size_t i = 0; i < count && i < NAMES_SHOWN; i++) {
            (void)fputs(i == 0 ? "" : ", ", out);
            clean(out, tables[i]->schema_name);
            (void)fputc('.', out);
            clean(out, tables[i]->name);
            (void)fprintf(out, " %s",
                          nw_size_text(size, (double)(tables[i]->bytes + tables[i]->toast_bytes)));
        }
        (void)fputs(".\n", out);
    }
    free((void *)tables);
}

/* "12 ... : names" of what the question holds for. */
static void kind_print(FILE *out, const struct nw_catalog_candidates *all,
                       bool (*question)(const struct nw_catalog_candidate *table), const char *one,
                       const char *many)
{
    size_t count = 0;
    const struct nw_catalog_candidate **tables = chosen(all, question, &count);

    if (tables != NULL && count > 0) {
        (void)fprintf(out, "  # %zu %s: ", count, count == 1 ? one : many);
        for (size_t i = 0; i < count && i < NAMES_SHOWN; i++) {
            (void)fputs(i == 0 ? "" : ", ", out);
            clean(out, tables[i]->schema_name);
            (void)fputc('.', out);
            clean(out, tables[i]->name);
        }
        (void)fputs(count > NAMES_SHOWN ? ", ...\n" : "\n", out);
    }
    free((void *)tables);
}

/* A name as a pattern that means it alone. */
static void pattern_print(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        bool special = strchr("*?[", *name) != NULL;

        (void)fputs(special ? "[" : "", out);
        clean(out, (const char[]){*name, '\0'});
        (void)fputs(special ? "]" : "", out);
    }
}

/* Patterns for the schemas that have tables; they come in order. */
static void schemas_print(FILE *out, const struct nw_catalog_candidates *all)
{
    const char *last = "";
    size_t count = 0;

    (void)fputs("  # include: [", out);
    for (size_t i = 0; i < all->count && count < SCHEMAS_MAX; i++) {
        const struct nw_catalog_candidate *table = &all->tables[i];

        if (is_followed(table) && strcmp(table->schema_name, last) != 0) {
            last = table->schema_name;
            (void)fputs(count++ == 0 ? "\"" : ", \"", out);
            pattern_print(out, last);
            (void)fputs(".*\"", out);
        }
    }
    (void)fputs("]   # without it: all, also schemas that come later\n", out);
}

/* What preflight says of tables that are not followed as the others are. */
static void findings_print(const struct nw_init_facts *facts, FILE *out)
{
    for (size_t i = 0; i < facts->preflight->findings_count; i++) {
        const struct nw_finding *finding = &facts->preflight->findings[i];

        if (finding->level == NW_FINDING_WARN && finding->names_count > 0) {
            char *names = names_text(finding->names, finding->names_count);

            comment(out, "  ", "%s: %s.", finding->text, names == NULL ? "" : names);
            free(names);
        }
    }
}

static void tables_print(const struct nw_init_facts *facts, FILE *out)
{
    const struct nw_preflight *p = facts->preflight;
    char size[NW_NUMBER_TEXT_SIZE];

    (void)fprintf(out,
                  "\ntables:\n  # %zu table%s, %s. System schemas are never followed, tables of "
                  "extensions neither.\n",
                  p->tables_count, p->tables_count == 1 ? "" : "s",
                  nw_size_text(size, (double)p->bytes));
    largest_print(out, facts->candidates);
    kind_print(out, facts->candidates, is_partitioned,
               "partitioned table, followed as one with all its partitions",
               "partitioned tables, each followed as one with all its partitions");
    kind_print(out, facts->candidates, is_of_extension, "table belongs to an extension",
               "tables belong to extensions");
    findings_print(facts, out);
    schemas_print(out, facts->candidates);
    line(out, "  exclude", "[]", "patterns that are taken away again, as \"public.tmp_*\"");
    line(out, "  no_key", "insert_only", "or skip: leave tables without a key out");
}

/* ---- the other sections ---- */

static void head_print(const struct nw_init_facts *facts, FILE *out)
{
    const char *file = facts->file;

    comment(out, "", "narwal: database %s on %s, PostgreSQL %s. Written by narwal init.",
            facts->preflight->database, facts->preflight->host, facts->preflight->version);
    (void)fputs("#\n", out);
    comment(out, "", "  narwal check %s         what stands in the way, and the SQL that mends it",
            file);
    comment(out, "", "  narwal check %s --sql   the whole setup as a script for your DBA", file);
    comment(out, "", "  narwal run %s           copies every table, then follows every change",
            file);
    comment(out, "", "  narwal teardown %s      removes what the run left on the server", file);
    (void)fputs("#\n# Every key: docs/configuration.md\n\n", out);
    (void)fprintf(out, "name: %s\n", facts->name);
    comment(out, "", "The slot and the publications are narwal_%s; the state is in %s.",
            facts->name, facts->state_dir);
}

/* How the server is reached now, in preflight's own words. */
static void connection_print(const struct nw_init_facts *facts, FILE *out)
{
    static const char word[] = "connection ";
    const struct nw_preflight *p = facts->preflight;

    for (size_t i = 0; i < p->findings_count; i++) {
        if (p->findings[i].level == NW_FINDING_OK &&
            strncmp(p->findings[i].text, word, sizeof word - 1) == 0) {
            comment(out, "  ", "Found: %s, role %s.", p->findings[i].text, p->role);
        }
    }
}

static void source_print(const struct nw_init_facts *facts, FILE *out)
{
    (void)fputs("\nsource:\n  dsn: ", out);
    (void)nw_config_print_text(out, facts->dsn);
    (void)fputc('\n', out);
    comment(out, "  ", "%s",
            facts->had_password ? "The password is not written here. Give it by one of these:"
                                : "If the server asks for a password, give it by one of these:");
    comment(out, "  ", "  password: ${file:/etc/narwal/%s.password}", facts->name);
    comment(out, "  ", "  password: ${env:NARWAL_PASSWORD}");
    comment(out, "  ", "  ~/.pgpass, mode 0600, a line  %s:%s:%s:%s:PASSWORD", facts->host,
            facts->port, facts->database, facts->user);
    connection_print(facts, out);
}

static void rest_print(const struct nw_init_facts *facts, FILE *out)
{
    uint64_t bytes = facts->preflight->bytes;
    uint32_t cores = facts->cores_count;
    uint32_t workers = cores < 2 ? 2 : cores > WORKERS_MAX ? WORKERS_MAX : cores;
    char value[NW_NUMBER_TEXT_SIZE];
    char size[NW_NUMBER_TEXT_SIZE];
    char why[256];

    (void)snprintf(value, sizeof value, "%u", workers);
    (void)snprintf(why, sizeof why, "sessions that copy side by side; there %s %u core%s here",
                   cores == 1 ? "is" : "are", cores, cores == 1 ? "" : "s");
    (void)fputs("\ncopy:\n", out);
    line(out, "  workers", value, why);
    line(out, "  # rate", "200MB", "most bytes a second that they read together");

    (void)fputs("\nprotect:\n", out);
    (void)snprintf(why, sizeof why, "on disk here while the copy runs; %s are free",
                   facts->free_bytes == UINT64_MAX ? "who knows how many"
                                                   : nw_size_text(size, (double)facts->free_bytes));
    line(out, "  spool", nw_size_exact(value, nw_init_spool_bytes(bytes, facts->free_bytes)), why);
    line(out, "  retained_wal",
         nw_size_exact(value, nw_init_retained_bytes(bytes, facts->wal_keep_bytes)),
         facts->wal_keep_bytes < 0
             ? "most that the slot should hold back on the server, which has no limit of its own"
             : "most that the slot should hold back; the server gives it up at "
               "max_slot_wal_keep_size");
    line(out, "  when_exceeded", "wait",
         "warn and go on; drop_slot: rather copy anew than fill the server's disk");

    (void)fputs("\nsinks:\n  - name: files\n    type: file\n    path: ", out);
    (void)nw_config_print_text(out, facts->copy_folder);
    (void)fputs("\n    compress: none                      # or zstd, gzip\n", out);
}

void nw_init_print(const struct nw_init_facts *facts, FILE *out)
{
    head_print(facts, out);
    source_print(facts, out);
    tables_print(facts, out);
    rest_print(facts, out);
}
