/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What preflight found as one script for a DBA: all that narwal's role lacks, in the order in which
 * it works, and such that it can be run again. Names of the server may hold anything: they are
 * quoted by libpq, and in a comment or a DO block they cannot end it. Pure but for the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pipeline/preflight_private.h"

#define TAG_SIZE 32u

const char *nw_preflight_once(struct nw_preflight *preflight, const char *statement)
{
    char tag[TAG_SIZE] = "$narwal$";

    for (unsigned i = 1; strstr(statement, tag) != NULL; i++) {
        (void)snprintf(tag, sizeof tag, "$narwal%u$", i);
    }
    return nw_preflight_text(preflight,
                             "DO %s BEGIN\n  %s\nEXCEPTION WHEN duplicate_object THEN RAISE NOTICE "
                             "'%%', SQLERRM;\nEND %s;",
                             tag, statement, tag);
}

/* A line of a comment, whatever is in it. */
static void comment_print(FILE *out, const char *text)
{
    (void)fputs("-- ", out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        (void)fputc(c < 0x20 || c == 0x7f ? ' ' : c, out);
    }
    (void)fputc('\n', out);
}

/* ---- sections ---- */

struct section {
    const char *heading;
    const char *codes; /* in their order, each with a space behind */
};

static const struct section SECTIONS[] = {
    {"The server. These take effect when it is restarted", "NW1206 NW1207 NW1208 "},
    {"The role, which owns nothing. Give it a password with  \\password", "NW1227 NW1209 "},
    {"What it may read", "NW1228 NW1223 NW1220 NW1321 NW1221 "},
    {"What is published", "NW1219 NW1216 NW1307 "},
    /* Not older than the publication. */
    {"The slot", "NW1210 NW1214 NW1215 "},
};

static bool has_code(const char *codes, const char *code)
{
    return code[0] != '\0' && strstr(codes, code) != NULL;
}

static void finding_print(FILE *out, const struct nw_finding *finding)
{
    char *text = NULL;

    if (asprintf(&text, "%s %s", finding->code, finding->text) >= 0) {
        comment_print(out, text);
        free(text);
    }
    (void)fprintf(out, "%s\n", finding->script != NULL ? finding->script : finding->mend);
}

/* @return how many there were */
static size_t section_print(FILE *out, const struct nw_preflight *preflight,
                            const struct section *section)
{
    size_t count = 0;

    for (const char *code = section->codes; *code != '\0'; code += strlen("NW1206 ")) {
        for (size_t i = 0; i < preflight->findings_count; i++) {
            const struct nw_finding *finding = &preflight->findings[i];

            if (finding->mend == NULL || strncmp(finding->code, code, strlen("NW1206")) != 0) {
                continue;
            }
            if (count++ == 0) {
                (void)fprintf(out, "\n-- ---- %s ----\n", section->heading);
            }
            finding_print(out, finding);
        }
    }
    return count;
}

/* What stands in no section, to be done: nothing of it is lost. @return how many */
static size_t others_print(FILE *out, const struct nw_preflight *preflight)
{
    size_t count = 0;

    for (size_t i = 0; i < preflight->findings_count; i++) {
        const struct nw_finding *finding = &preflight->findings[i];
        bool elsewhere = finding->mend == NULL || finding->level != NW_FINDING_FAIL;

        for (size_t s = 0; s < sizeof SECTIONS / sizeof SECTIONS[0]; s++) {
            elsewhere = elsewhere || has_code(SECTIONS[s].codes, finding->code);
        }
        if (!elsewhere) {
            (void)fputc('\n', out);
            finding_print(out, finding);
            count++;
        }
    }
    return count;
}

/* What only a human can weigh: as comments, so that running the script decides nothing. */
static void choices_print(FILE *out, const struct nw_preflight *preflight)
{
    bool any = false;

    for (size_t i = 0; i < preflight->findings_count; i++) {
        const struct nw_finding *finding = &preflight->findings[i];
        bool elsewhere = finding->mend == NULL || finding->level != NW_FINDING_WARN;

        for (size_t s = 0; s < sizeof SECTIONS / sizeof SECTIONS[0]; s++) {
            elsewhere = elsewhere || has_code(SECTIONS[s].codes, finding->code);
        }
        if (!elsewhere) {
            (void)fputs(any ? "" : "\n-- ---- To consider: narwal works without ----\n", out);
            any = true;
            (void)fprintf(out, "-- %s ", finding->code);
            comment_print(out, finding->text); /* "-- NW1308 -- ..." is still a comment */
            comment_print(out, finding->mend);
        }
    }
}

/* ---- what is not in the database ---- */

static void hba_print(FILE *out, const struct nw_preflight *p)
{
    bool local = p->client[0] == '\0';
    const char *mask = strchr(p->client, ':') != NULL ? "/128" : "/32";

    (void)fputs("\n-- pg_hba.conf lets it in by a line of the database; one for \"replication\" is "
                "neither needed nor enough:\n",
                out);
    (void)fprintf(out, "--     %-8s %s  %s%s%s%s  scram-sha-256\n",
                  local          ? "local"
                  : p->encrypted ? "hostssl"
                                 : "host",
                  p->database, p->role, local ? "" : "  ", p->client, local ? "" : mask);
}

static void failover_print(FILE *out, const struct nw_preflight *p,
                           const struct nw_preflight_options *options)
{
    if (p->version_number < 170000 || p->slot_exists || !options->streams ||
        options->server.failover) {
        return;
    }
    (void)fprintf(
        out,
        "\n-- Optional: a slot that standbys keep too (they need sync_replication_slots, "
        "and the primary\n-- synchronized_standby_slots): narwal makes it so with "
        "source.slot.failover: true, or, after the\n-- publication and before the first "
        "run:\n-- SELECT pg_create_logical_replication_slot('%s', 'pgoutput', false, false, "
        "true);\n",
        options->server.slot_name);
}

static void sessions_print(FILE *out, const struct nw_preflight *p)
{
    if (!p->sees_sessions) {
        (void)fprintf(out,
                      "\n-- Optional: narwal status can name whose transaction holds vacuum back, "
                      "when it is not narwal's:\n-- GRANT pg_read_all_stats TO %s;\n",
                      p->role_quoted);
    }
}

static void script_print(FILE *out, const struct nw_preflight *p,
                         const struct nw_preflight_options *options, const char *name)
{
    size_t count = 0;
    char *title = NULL;

    if (asprintf(&title, "narwal check --sql: %s, database %s on %s, PostgreSQL %s", name,
                 p->database, p->host, p->version) >= 0) {
        comment_print(out, title);
        free(title);
    }
    (void)fputs(
        "-- What narwal's role needs, and no more. What is there already is left out (--all "
        "prints it too).\n-- Read it, then run it as a superuser in that database, as often "
        "as you like:\n--     psql -X -v ON_ERROR_STOP=1 -f FILE DATABASE\n",
        out);
    for (size_t i = 0; i < sizeof SECTIONS / sizeof SECTIONS[0]; i++) {
        count += section_print(out, p, &SECTIONS[i]);
    }
    count += others_print(out, p);
    if (count == 0) {
        (void)fputs("\n-- Nothing is missing.\n", out);
    }
    choices_print(out, p);
    failover_print(out, p, options);
    sessions_print(out, p);
    hba_print(out, p);
}

/* Secrets cannot be in there; if they are by some server's error text, they are taken out. */
static void redacted_print(char *text, FILE *out)
{
    nw_redact(text);
    (void)fputs(text, out);
    free(text);
}

void nw_preflight_sql(const struct nw_preflight *preflight,
                      const struct nw_preflight_options *options, const char *name, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return;
    }
    script_print(stream, preflight, options, name);
    if (fclose(stream) == 0) {
        redacted_print(text, out);
    }
}

/* An identifier of any bytes. */
static void name_print(FILE *out, const char *name)
{
    (void)fputc('"', out);
    for (; *name != '\0'; name++) {
        (void)fputs(*name == '"' ? "\"\"" : (const char[]){*name, '\0'}, out);
    }
    (void)fputc('"', out);
}

static void blind_print(FILE *out, const char *role, const char *database, const char *why)
{
    const char *tag = strstr(role, "$narwal$") == NULL ? "$narwal$" : "$narwal1$";

    (void)fputs("-- narwal check --sql, without a look at the database:\n", out);
    comment_print(out, why);
    (void)fputs(
        "-- So this is only the beginning: the role, and its right to connect. Run it as a "
        "superuser, then\n-- narwal check --sql again for the rest; or get all of it at once "
        "with --dba DSN of a superuser.\n\n",
        out);
    (void)fprintf(out, "DO %s BEGIN\n  CREATE ROLE ", tag);
    name_print(out, role);
    (void)fprintf(out,
                  " LOGIN REPLICATION;\nEXCEPTION WHEN duplicate_object THEN RAISE NOTICE '%%', "
                  "SQLERRM;\nEND %s;\n-- its password:  \\password ",
                  tag);
    name_print(out, role);
    (void)fputs("\nGRANT CONNECT ON DATABASE ", out);
    name_print(out, database);
    (void)fputs(" TO ", out);
    name_print(out, role);
    (void)fputs(";\n", out);
}

void nw_preflight_sql_blind(const char *role, const char *database, const char *why, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return;
    }
    blind_print(stream, role, database, why);
    if (fclose(stream) == 0) {
        redacted_print(text, out);
    }
}
