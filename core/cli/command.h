/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `narwal`, and what they share. A command gets its own arguments, its name first,
 * and returns the exit code: 0 done, 1 it failed or found something, 2 it was called wrongly.
 */
#ifndef NW_CLI_COMMAND_H
#define NW_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/problems.h"
#include "config/run_config.h"
#include "io/topology.h"
#include "pipeline/server.h"
#include "sink/plugin.h"

#define NW_EXIT_FAILED 1
#define NW_EXIT_USAGE  2
#define NW_FOLDER_SIZE 4096u
#define NW_EXIT_FENCED 4    /* run: another narwal has taken over */
#define NW_GO_ON       (-1) /* no exit code: there is more to do */

/** A command, and what the man page and the shells' completion say of it. */
struct nw_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;         /* NULL: not for users */
    const char *const *words; /* what its first argument can be, NULL-terminated; NULL: anything */
};
extern const struct nw_command NW_COMMANDS[]; /* ends with one without a name */

/* First arguments, where they are verbs. */
extern const char *const NW_TABLE_WORDS[];
extern const char *const NW_COPY_WORDS[];
extern const char *const NW_DEAD_LETTER_WORDS[];
extern const char *const NW_SINK_WORDS[];
extern const char *const NW_FILES_WORDS[];
extern const char *const NW_DDL_TRIGGER_WORDS[];
extern const char *const NW_DOCUMENT_WORDS[];
/** Whether a text is one of these words. NULL is none. */
bool nw_word_known(const char *const *words, const char *text);

int nw_cmd_init(int argc, char **argv);
int nw_cmd_run(int argc, char **argv);
int nw_cmd_check(int argc, char **argv);
int nw_cmd_plan(int argc, char **argv);
int nw_cmd_teardown(int argc, char **argv);
int nw_cmd_adopt(int argc, char **argv);
int nw_cmd_status(int argc, char **argv);
int nw_cmd_reload(int argc, char **argv);
int nw_cmd_pause(int argc, char **argv);
int nw_cmd_resume(int argc, char **argv);
int nw_cmd_top(int argc, char **argv);
int nw_cmd_support(int argc, char **argv);
int nw_cmd_wait(int argc, char **argv);
int nw_cmd_table(int argc, char **argv);
int nw_cmd_copy(int argc, char **argv);
int nw_cmd_dead_letter(int argc, char **argv);
int nw_cmd_sink(int argc, char **argv);
int nw_cmd_tail(int argc, char **argv);
int nw_cmd_topology(int argc, char **argv);
int nw_cmd_sink_check(int argc, char **argv);
int nw_cmd_files(int argc, char **argv);
int nw_cmd_diff_topics(int argc, char **argv);
int nw_cmd_import_debezium(int argc, char **argv);
int nw_cmd_take_over(int argc, char **argv);
int nw_cmd_export_debezium(int argc, char **argv);
int nw_cmd_ddl_trigger(int argc, char **argv);
int nw_cmd_explain(int argc, char **argv);
int nw_cmd_version(int argc, char **argv);
int nw_cmd_document(int argc, char **argv);

/** An option that a command knows: --name VALUE, --name=VALUE, or a flag. */
struct nw_argument {
    const char *name;   /* without the dashes */
    const char **value; /* NULL: a flag */
    bool *flag;
    const char **list; /* collects every VALUE, at most list_max; *list_count counts */
    uint32_t *list_count;
    uint32_t list_max;
    char letter; /* -o besides --output; 0: none */
};

/**
 * Read arguments; what is no option goes to `rest`.
 * @return NW_GO_ON, or the exit code after printing what is wrong or the help that was asked for.
 */
int nw_arguments_read(int argc, char **argv, const struct nw_argument *known, const char *help,
                      const char **rest, int rest_max);

/**
 * Overwrite what arguments have of secrets, where other users can see them: users and passwords of
 * URLs, and all behind password= and the like. No message has the passwords from here on. As the
 * first of all, once.
 * @param argv  as the system gave it; what is overwritten is replaced by a copy, which stays
 */
void nw_arguments_hide(int argc, char **argv);

/** Instead of that, until it is called with NULL: show what a command knows, and its help. */
void nw_arguments_visit(void (*visit)(void *context, const struct nw_argument *known,
                                      const char *help),
                        void *context);

/** The configuration of FILE, or of --source and --sink. Prints what is wrong. */
struct nw_config_arguments {
    const char *file;
    const char *source;
    const char *sinks[NW_CONFIG_SINKS_MAX];
    uint32_t sinks_count;
    const char *name;
    const char *state_dir;
};
/**
 * The state folder of a running narwal: of a configuration file, a name, or itself.
 * @return NW_GO_ON, or the exit code after printing what is wrong.
 */
int nw_state_folder_find(struct nw_config_arguments *arguments, char folder[NW_FOLDER_SIZE]);
/** The same, which prints nothing. On failure nothing is to be freed; problems has all mistakes of
 * a file, or else err the only one. */
NW_MUST_CHECK nw_status nw_config_read(const struct nw_config_arguments *arguments,
                                       struct nw_run_config *config, struct nw_problems *problems,
                                       struct nw_error *err);
/** On failure nothing is to be freed. */
bool nw_config_open(const struct nw_config_arguments *arguments, struct nw_run_config *config);

/** How the configured server is reached and used; its env is left to the caller. */
struct nw_server_options nw_config_server(const struct nw_run_config *config);

/**
 * limits.memory; where it is not configured at most half of what the machine or the control group
 * gives, past which the kernel would kill us.
 * @param least  filled: what there is; 0: not known
 */
int64_t nw_memory_budget(const struct nw_run_config *config, const struct nw_topology *topology,
                         int64_t *least);

/** The folder of the plugins: configured, or NARWAL_PLUGIN_DIR, or beside or below the program. */
const char *nw_plugin_folder(const struct nw_run_config *config, char *buffer, size_t size);

/**
 * Ask whether what was said may be removed.
 * @param yes  it may: nobody is asked
 */
bool nw_agree(bool yes);

/** Print a word so that a shell takes it as it is. */
void nw_shell_print(FILE *out, const char *word);

/** Print "narwal: text" on standard error. */
NW_PRINTF(1, 2) void nw_complain(const char *format, ...);
/** The same, of what made the command fail. */
void nw_complain_error(const struct nw_error *err);
/** Remember the code of a text that the user has seen; nw_complain() does so by itself. */
void nw_explain_note(const char *text);
/** On a terminal: that `narwal explain` says more of what was remembered. */
void nw_explain_hint(void);

/** Every pipeline of this host. @return the exit code */
int nw_status_all(bool as_json);

/** What `narwal table list` is to show. */
struct nw_table_list_request {
    const char *pattern; /* over schema.table; NULL: all */
    const char *state;   /* NULL: any */
    bool as_json;
};
/** @return the exit code */
int nw_table_list(const char *folder, const struct nw_table_list_request *request);
bool nw_table_state_known(const char *name);

/**
 * Ask the process that runs with this state folder, and complain when none answers.
 * @param text  give: the answer, to be freed; NULL when there is none.
 */
bool nw_ask(const char *folder, const char *line, char **text, size_t *size);
/** Whether one answers there that uses this configuration's slot. */
bool nw_running(const struct nw_run_config *config);
/** Tell it what to do, and print what it answers. @return the exit code */
int nw_tell(const char *folder, const char *line);

#endif
