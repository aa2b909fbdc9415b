/* SPDX-License-Identifier: Apache-2.0 */
/* What preflight found, for people. Pure but for the stream. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pipeline/preflight.h"

#define NAMES_SHOWN 5u
#define MEND_SHOWN  240u /* a longer mend is left to --sql */

/* Names of the server may hold anything; a terminal and a log must not obey it. */
static void clean_print(FILE *out, const char *text, size_t size_max)
{
    size_t size = strlen(text);

    for (size_t i = 0; i < size && i < size_max; i++) {
        unsigned char c = (unsigned char)text[i];

        (void)fputc(c == '\n' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

static void names_print(FILE *out, const struct nw_finding *finding, bool verbose)
{
    size_t shown =
        verbose || finding->names_count <= NAMES_SHOWN ? finding->names_count : NAMES_SHOWN;

    (void)fputs("      ", out);
    for (size_t i = 0; i < shown; i++) {
        (void)fputs(i == 0 ? "" : verbose ? "\n      " : ", ", out);
        clean_print(out, finding->names[i], SIZE_MAX);
    }
    (void)fputs(shown < finding->names_count ? ", ... (--verbose)\n" : "\n", out);
}

static void finding_print(FILE *out, const struct nw_finding *finding, bool verbose)
{
    static const char *const levels[] = {"ok   ", "WARN ", "FAIL "};

    (void)fprintf(out, "%s %s%s", levels[finding->level], finding->code,
                  finding->code[0] == '\0' ? "" : "  ");
    clean_print(out, finding->text, SIZE_MAX);
    (void)fputc('\n', out);
    if (finding->names_count > 0) {
        names_print(out, finding, verbose);
    }
    if (finding->mend != NULL) {
        bool whole = verbose || strlen(finding->mend) <= MEND_SHOWN;

        (void)fputs("      mend: ", out);
        clean_print(out, finding->mend, whole ? SIZE_MAX : MEND_SHOWN);
        (void)fputs(whole ? "" : "... (--sql)", out);
        if (finding->otherwise != NULL) {
            (void)fprintf(out, "    or %s", finding->otherwise);
        }
        (void)fputc('\n', out);
    } else if (finding->otherwise != NULL) {
        (void)fprintf(out, "      mend: %s\n", finding->otherwise);
    }
}

/* Findings of one level. @return whether any of them can be mended by SQL */
static bool level_print(const struct nw_preflight *preflight, enum nw_finding_level level,
                        bool verbose, FILE *out)
{
    bool any_mend = false;

    for (size_t i = 0; i < preflight->findings_count; i++) {
        if (preflight->findings[i].level == level) {
            finding_print(out, &preflight->findings[i], verbose);
            any_mend = any_mend || preflight->findings[i].mend != NULL;
        }
    }
    return any_mend;
}

static void all_print(const struct nw_preflight *preflight, const char *name, bool verbose,
                      FILE *out)
{
    char size[NW_NUMBER_TEXT_SIZE];
    char rate[NW_NUMBER_TEXT_SIZE];
    size_t fails = nw_preflight_count(preflight, NW_FINDING_FAIL);
    size_t warnings = nw_preflight_count(preflight, NW_FINDING_WARN);
    bool any_mend = false;

    if (preflight->version[0] != '\0') {
        (void)fprintf(
            out, "%s @ %s   PostgreSQL %s, %zu table%s, %s, WAL %s/s\n", name, preflight->host,
            preflight->version, preflight->tables_count, preflight->tables_count == 1 ? "" : "s",
            nw_size_text(size, (double)preflight->bytes), nw_size_text(rate, preflight->wal_rate));
    } else {
        (void)fprintf(out, "%s\n", name);
    }
    /* first what is well, then what must be mended, then what may be */
    any_mend = level_print(preflight, NW_FINDING_OK, verbose, out);
    any_mend = level_print(preflight, NW_FINDING_FAIL, verbose, out) || any_mend;
    any_mend = level_print(preflight, NW_FINDING_WARN, verbose, out) || any_mend;
    if (preflight->plan != NULL) {
        (void)fprintf(out, "plan  %s\n", preflight->plan);
    }
    (void)fprintf(out, "%zu to mend, %zu to consider; nothing was changed.%s\n", fails, warnings,
                  any_mend ? " For your DBA: the same with --sql" : "");
}

static void risks_print(const struct nw_preflight *preflight, bool verbose, FILE *out)
{
    (void)level_print(preflight, NW_FINDING_FAIL, verbose, out);
    (void)level_print(preflight, NW_FINDING_WARN, verbose, out);
    (void)fprintf(out, "%zu to mend, %zu to consider; nothing was changed.\n",
                  nw_preflight_count(preflight, NW_FINDING_FAIL),
                  nw_preflight_count(preflight, NW_FINDING_WARN));
}

enum print_what { PRINT_ALL, PRINT_RISKS };

/* Secrets cannot be in there; if they are by some server's error text, they are taken out. */
static void redacted(const struct nw_preflight *preflight, const char *name, enum print_what what,
                     bool verbose, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return;
    }
    if (what == PRINT_RISKS) {
        risks_print(preflight, verbose, stream);
    } else {
        all_print(preflight, name, verbose, stream);
    }
    if (fclose(stream) == 0) {
        nw_redact(text);
        (void)fputs(text, out);
    }
    free(text);
}

void nw_preflight_print(const struct nw_preflight *preflight, const char *name, bool verbose,
                        FILE *out)
{
    redacted(preflight, name, PRINT_ALL, verbose, out);
}

void nw_preflight_risks(const struct nw_preflight *preflight, bool verbose, FILE *out)
{
    redacted(preflight, "", PRINT_RISKS, verbose, out);
}
