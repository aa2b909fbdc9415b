/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: the configuration in YAML. */
#include "cli/debezium/import.h"

#include <string.h>

#define COMMENT_COLUMN 44

static void clean(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        (void)fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

static void line_print(const struct nw_debezium_line *line, int indent, FILE *out)
{
    int column = fprintf(out, "%*s%s: %s%s%s", indent, "", line->key, line->list ? "[" : "",
                         line->value, line->list ? "]" : "");

    if (line->why != NULL) {
        (void)fprintf(out, "%*s# ", column < COMMENT_COLUMN ? COMMENT_COLUMN - column : 2, "");
        clean(out, line->why);
    }
    (void)fputc('\n', out);
}

/* The lines of a section. @return how many */
static size_t section_print(const struct nw_debezium *to, const char *section, const char *title,
                            int indent, FILE *out)
{
    size_t count = 0;

    for (size_t i = 0; i < to->lines_count; i++) {
        const struct nw_debezium_line *line = &to->lines[i];

        if (strcmp(line->section, section) == 0 && line->value != NULL) {
            if (count++ == 0) {
                (void)fputs(title, out);
            }
            line_print(line, indent, out);
        }
    }
    return count;
}

static void rules_print(const struct nw_debezium *to, FILE *out)
{
    if (to->rules_count > 0) {
        (void)fputs("\ntransforms:\n", out);
    }
    for (size_t i = 0; i < to->rules_count; i++) {
        const struct nw_debezium_rule *rule = &to->rules[i];

        (void)fprintf(out, "  - tables: [%s]\n    %s: [%s]\n", rule->table, rule->what,
                      rule->columns);
        if (rule->more != NULL) {
            (void)fprintf(out, "    %s\n", rule->more);
        }
    }
}

static void rest_print(const struct nw_debezium *to, enum nw_debezium_verdict verdict,
                       const char *title, FILE *out)
{
    if (nw_debezium_count(to, verdict) > 0) {
        (void)fprintf(out, "\n# %s\n", title);
    }
    for (size_t i = 0; i < to->count; i++) {
        const struct nw_debezium_property *p = &to->properties[i];

        if (p->verdict == verdict) {
            const char *salt = strstr(p->name, ".with.salt.");

            (void)fputs("#   ", out);
            for (const char *c = p->name; *c != '\0' && c != salt; c++) {
                clean(out, (const char[]){*c, '\0'});
            }
            (void)fputs(": ", out);
            clean(out, p->why == NULL ? "" : p->why);
            (void)fputc('\n', out);
        }
    }
}

void nw_debezium_print(const struct nw_debezium *to, FILE *out)
{
    (void)fputs("# Written by narwal import-debezium from the configuration of a connector.\n"
                "# Look at it, and at docs/debezium.md: Switching over. Every key: "
                "docs/configuration.md\n\n",
                out);
    (void)fprintf(out, "name: %s\n", to->name);
    (void)fputs("\nsource:\n", out);
    (void)section_print(to, "source", "", 2, out);
    (void)section_print(to, "source.slot", "  slot:\n", 4, out);
    (void)section_print(to, "source.publication", "  publication:\n", 4, out);
    (void)section_print(to, "source.heartbeat", "  heartbeat:\n", 4, out);
    (void)section_print(to, "copy", "\ncopy:\n", 2, out);
    (void)section_print(to, "tables", "\ntables:\n", 2, out);
    rules_print(to, out);
    (void)fputs("\nsinks:\n  - name: kafka\n    type: kafka\n", out);
    (void)section_print(to, "sink", "", 4, out);
    rest_print(to, NW_DEBEZIUM_NOTHING, "Without a meaning for narwal:", out);
    rest_print(to, NW_DEBEZIUM_REFUSED, "Not carried over (--force):", out);
}
