/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash and zsh: commands, their words, their options, and files behind them. */
#include <string.h>

#include "cli/document.h"

/* "--name --state-dir ": those with a value, or flags, or both. */
static void options_put(FILE *out, const struct nw_argument *known, bool values, bool flags)
{
    const char *before = "";

    for (; known->name != NULL; known++) {
        if (known->flag != NULL ? flags : values) {
            (void)fprintf(out, "%s--%s", before, known->name);
            before = " ";
        }
    }
}

static void words_put(FILE *out, const char *const *words)
{
    for (const char *before = ""; words != NULL && *words != NULL; words++, before = " ") {
        (void)fprintf(out, "%s%s", before, *words);
    }
}

/* The same lines for either shell. */
static void case_put(void *context, const struct nw_command *command,
                     const struct nw_command_text *text)
{
    FILE *out = context;

    if (command->help == NULL) {
        return;
    }
    (void)fprintf(out, "    %s)\n        verbs='", command->name);
    words_put(out, command->words);
    (void)fputs("'\n        flags='", out);
    options_put(out, text->known, true, true);
    (void)fputs("'\n        valued='", out);
    options_put(out, text->known, true, false);
    (void)fputs("'\n        ;;\n", out);
}

static bool cases_put(FILE *out)
{
    bool whole = true;

    (void)fputs("    case $command in\n", out);
    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        whole = nw_command_ask(command, case_put, out) && whole;
    }
    (void)fputs("    esac\n", out);
    return whole;
}

static void commands_put(FILE *out)
{
    const char *before = "";

    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        if (command->help != NULL) {
            (void)fprintf(out, "%s%s", before, command->name);
            before = " ";
        }
    }
}

bool nw_document_bash(FILE *out)
{
    bool whole = false;

    (void)fputs("# bash completion for narwal, written by `narwal document bash`: do not edit.\n"
                "_narwal() {\n"
                "    local current=${COMP_WORDS[COMP_CWORD]} former=${COMP_WORDS[COMP_CWORD-1]}\n"
                "    local command=${COMP_WORDS[1]} verbs= flags= valued=\n"
                "    COMPREPLY=()\n"
                "    if ((COMP_CWORD == 1)); then\n"
                "        mapfile -t COMPREPLY < <(compgen -W '--help --version ",
                out);
    commands_put(out);
    (void)fputs("' -- \"$current\")\n        return\n    fi\n", out);
    whole = cases_put(out);
    (void)fputs(
        "    if [[ \" $valued \" == *\" $former \"* ]]; then\n"
        "        case $former in\n"
        "        --*dir) mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
        "        esac\n"
        "    elif [[ $current == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$flags --help\" -- \"$current\")\n"
        "    elif ((COMP_CWORD == 2)) && [[ -n $verbs ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$current\")\n"
        "    else\n"
        "        mapfile -t COMPREPLY < <(compgen -f -X '!*.yaml' -- \"$current\"\n"
        "            compgen -d -S / -- \"$current\")\n"
        "        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace\n"
        "    fi\n"
        "} &&\n"
        "    complete -F _narwal narwal\n",
        out);
    return whole;
}

bool nw_document_zsh(FILE *out)
{
    bool whole = false;

    (void)fputs(
        "#compdef narwal\n"
        "# zsh completion for narwal, written by `narwal document zsh`: do not edit.\n"
        "_narwal() {\n"
        "    local current=${words[CURRENT]} former=${words[CURRENT-1]} command=${words[2]}\n"
        "    local -a choices\n"
        "    local place=$CURRENT flags= valued=\n"
        "    if ((place == 2)); then\n        choices=(--help --version ",
        out);
    commands_put(out);
    (void)fputs(")\n        compadd -- $choices\n        return\n    fi\n    local verbs=\n", out);
    whole = cases_put(out);
    (void)fputs("    if [[ \" $valued \" == *\" $former \"* ]]; then\n"
                "        [[ $former == --*dir ]] && _files -/\n"
                "    elif [[ $current == -* ]]; then\n"
                "        compadd -- ${=flags} --help\n"
                "    elif ((place == 3)) && [[ -n $verbs ]]; then\n"
                "        compadd -- ${=verbs}\n"
                "    else\n"
                "        _files -g '*.yaml'\n"
                "    fi\n"
                "}\n"
                "_narwal \"$@\"\n",
                out);
    return whole;
}
