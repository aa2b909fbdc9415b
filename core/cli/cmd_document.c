/* SPDX-License-Identifier: Apache-2.0 */
/* The hidden `narwal document`: the reference page, manual pages, and completion for shells. */
#include <string.h>

#include "cli/command.h"
#include "cli/document.h"
#include "serve/metrics.h"

static const char HELP[] =
    "usage: narwal document [man|man5|bash|zsh|metrics]\n\n"
    "Writes docs/configuration.md, narwal(1), narwal.yaml(5), completion for a shell, or the table "
    "of\nmetrics.\n";

const char *const NW_DOCUMENT_WORDS[] = {"man", "man5", "bash", "zsh", "metrics", NULL};

static const char *const PLUGINS[] = {"file", "kafka", "null", NULL};

static void page_section(FILE *out, const struct nw_option_table *table)
{
    nw_options_document(table, out);
}

/* A plugin's table as a section. */
static bool plugin_document(const char *type,
                            void (*print)(FILE *out, const struct nw_option_table *table))
{
    char buffer[4096];
    char title[128];
    struct nw_plugin plugin;
    struct nw_error err = {0};

    if (nw_plugin_load(nw_plugin_folder(NULL, buffer, sizeof buffer), type, &plugin, &err) !=
        NW_OK) {
        nw_complain_error(&err);
        return false;
    }
    (void)snprintf(title, sizeof title, "sinks with type: %s", type);
    print(stdout, &(struct nw_option_table){.section = type,
                                            .title = title,
                                            .options = plugin.ops.options,
                                            .count = plugin.ops.options_count});
    return true;
}

static bool tables_document(void (*print)(FILE *out, const struct nw_option_table *table))
{
    bool whole = true;

    for (size_t i = 0; nw_config_table(i) != NULL; i++) {
        print(stdout, nw_config_table(i));
    }
    for (const char *const *type = PLUGINS; *type != NULL; type++) {
        whole = plugin_document(*type, print) && whole;
    }
    return whole;
}

static bool page(void)
{
    (void)puts(
        "# Configuration\n\nEvery key of a configuration file. Written by `narwal document` "
        "from the tables that\nvalidate it; do not edit. Sizes, rates and times carry units. "
        "`${file:/path}`,\n`${credential:NAME}` (of systemd's LoadCredential) and `${env:NAME}` "
        "inside a value are replaced, and kept secret.");
    return tables_document(page_section);
}

static bool metrics(void)
{
    nw_metrics_document(stdout);
    return true;
}

static bool manual(void)
{
    bool whole = false;

    nw_document_configuration_begin(stdout);
    whole = tables_document(nw_document_table);
    nw_document_configuration_end(stdout);
    return whole;
}

static bool document(const char *word)
{
    if (word == NULL) {
        return page();
    }
    return strcmp(word, "man") == 0       ? nw_document_commands(stdout)
           : strcmp(word, "man5") == 0    ? manual()
           : strcmp(word, "metrics") == 0 ? metrics()
           : strcmp(word, "bash") == 0    ? nw_document_bash(stdout)
                                          : nw_document_zsh(stdout);
}

int nw_cmd_document(int argc, char **argv)
{
    const char *rest[1] = {NULL};
    const struct nw_argument known[] = {{.name = NULL}};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 1);

    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] != NULL && !nw_word_known(NW_DOCUMENT_WORDS, rest[0])) {
        (void)fputs(HELP, stderr);
        return NW_EXIT_USAGE;
    }
    return document(rest[0]) ? 0 : NW_EXIT_FAILED;
}
