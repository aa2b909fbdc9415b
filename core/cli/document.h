/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `narwal document` writes besides the reference page, all from the tables and texts that the
 * program itself uses: manual pages in mdoc(7), and completion for shells. Main thread.
 */
#ifndef NW_CLI_DOCUMENT_H
#define NW_CLI_DOCUMENT_H

#include <stdio.h>

#include "cli/command.h"

/** What a command knows and says; borrow. */
struct nw_command_text {
    const struct nw_argument *known;
    const char *help;
};
/** Calls visit() with it; false: the command does not tell. */
bool nw_command_ask(const struct nw_command *command,
                    void (*visit)(void *context, const struct nw_command *command,
                                  const struct nw_command_text *text),
                    void *context);

/** narwal(1). */
bool nw_document_commands(FILE *out);
/** narwal.yaml(5): of the host's tables, and of plugins; each gives one. */
void nw_document_configuration_begin(FILE *out);
void nw_document_table(FILE *out, const struct nw_option_table *table);
void nw_document_configuration_end(FILE *out);
bool nw_document_bash(FILE *out);
bool nw_document_zsh(FILE *out);

#endif
