/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal check`: what would stand in the way, before anything is touched. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/host.h"
#include "config/tree.h"
#include "pg/conninfo.h"
#include "pipeline/forecast.h"
#include "pipeline/preflight_private.h"
#include "sink/sink.h"

#define FINDINGS_BYTES_MAX (64u << 20)
#define PLAN_NS_MAX        1000000000 /* that samples of tables may take */

static const char HELP[] =
    "usage: narwal check FILE.yaml [--sql [--all]] [--role ROLE] [--dba DSN] [--verbose]\n"
    "       narwal check FILE.yaml --config\n"
    "       narwal check --source DSN [--sink SPEC ...] [--name NAME] ...\n\n"
    "Looks at the configuration, the sinks' plugins and the database, and names every problem "
    "with\n"
    "what mends it. Reads only; nothing is changed.\n\n"
    "  --sql        print the setup for a DBA instead: role, grants, publications, slot, as one\n"
    "               script for psql, which can be run again\n"
    "  --all        with --sql: also what is there already\n"
    "  --role ROLE  look at the rights of this role, which need not be there yet; default: the "
    "DSN's\n"
    "  --dba DSN    look with this connection, of a superuser, for the role of the configuration\n"
    "  --config     print the configuration in force instead, with its defaults and without its "
    "secrets\n"
    "  --verbose    print all names and statements in full\n\n"
    "exit codes: 0 nothing must be mended, 1 something must, 2 called wrongly\n";

/* How the command was called, beside the configuration. */
struct wishes {
    bool sql, all, verbose, in_force;
    const char *role, *dba;
    char role_text[64], database[64]; /* of the configuration's DSN; "" */
};

/* Who connects to what, as libpq finds it: DSN, service file, environment. */
static void dsn_look(const struct nw_run_config *c, struct wishes *wishes)
{
    struct nw_pg_options connection = nw_config_server(c).connection;
    struct nw_conninfo info = {0};
    struct nw_error ignored = {0};

    if (nw_conninfo_init(&info, &connection, false, &ignored) == NW_OK) {
        const char *user = nw_conninfo_get(&info, "user");
        const char *database = nw_conninfo_get(&info, "dbname");

        (void)snprintf(wishes->role_text, sizeof wishes->role_text, "%s", user == NULL ? "" : user);
        (void)snprintf(wishes->database, sizeof wishes->database, "%s",
                       database == NULL ? wishes->role_text : database);
        nw_conninfo_fini(&info);
    }
    if (wishes->dba != NULL && wishes->role == NULL && wishes->role_text[0] != '\0') {
        wishes->role = wishes->role_text;
    }
}

/* A sink, as its options are looked at beside the tables. */
struct unmet {
    struct nw_preflight *preflight;
    const char *sink;
};

static void unmet_add(void *context, const char *text)
{
    const struct unmet *unmet = context;

    (void)nw_preflight_add(unmet->preflight, NW_FINDING_WARN, "NW1318", "sink %s: %s", unmet->sink,
                           text);
}

/* What sinks' options name that is not there. What is wrong with a plugin is said by itself. */
static void on_tables(void *context, struct nw_preflight *preflight,
                      const struct nw_table *const *tables, uint32_t count)
{
    static struct nw_problems ignored; /* commands have one thread */
    struct nw_run_config *config = context;
    char buffer[4096];
    const char *folder = nw_plugin_folder(config, buffer, sizeof buffer);

    config->problems = &ignored;
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        struct unmet unmet = {preflight, config->sinks[i].name};
        struct nw_plugin plugin;
        struct nw_config resolved;
        struct nw_error why = {0};

        if (nw_plugin_load(folder, config->sinks[i].type, &plugin, &why) == NW_OK &&
            nw_config_resolve_sink(config, i, plugin.ops.options, plugin.ops.options_count,
                                   &resolved, &why) == NW_OK) {
            nw_plugin_unmet(&plugin, &resolved, tables, count, unmet_add, &unmet);
        }
    }
    config->problems = NULL;
}

static struct nw_preflight_options options_of(const struct nw_run_config *c,
                                              const struct wishes *wishes)
{
    struct nw_preflight_options options = {.copies = c->snapshot != NW_CONFIG_NEVER,
                                           .streams = c->snapshot != NW_CONFIG_ONLY,
                                           .copy_workers = (uint32_t)c->copy_workers,
                                           .transforms = &c->transforms,
                                           .copy_where = {c->copy_where, c->copy_where_count},
                                           .running = nw_running(c) ? c->state_dir : NULL,
                                           .role = wishes->role,
                                           .setup_all = wishes->all,
                                           .server = nw_config_server(c)};

    if (wishes->dba != NULL) {
        options.server.connection.dsn = wishes->dba;
        options.server.connection.password = NULL;
    }
    return options;
}

/* Whether the folder, or the nearest above it that is there, can be written by who asks. */
static bool folder_writable(const char *path)
{
    char folder[PATH_MAX];
    char *slash = NULL;

    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder) {
        return true; /* the sink refuses it itself */
    }
    while (access(folder, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        slash = strrchr(folder, '/');
        if (slash == NULL) {
            (void)snprintf(folder, sizeof folder, ".");
            break;
        }
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return access(folder, W_OK | X_OK) == 0;
}

static void folder_check(const char *name, const struct nw_config *resolved,
                         const struct nw_plugin *plugin, struct nw_preflight *preflight)
{
    for (uint32_t i = 0; i < plugin->ops.options_count; i++) {
        const struct nw_option *option = &plugin->ops.options[i];
        const char *path = resolved->settings[i].text;

        if (strcmp(plugin->ops.name, "file") == 0 && strcmp(option->name, "path") == 0 &&
            path != NULL && !folder_writable(path)) {
            nw_preflight_add(preflight, NW_FINDING_WARN, "NW1322",
                             "sink %s: this user may not write in %s, nor make it", name, path)
                ->otherwise = "make the folder and give it to the user that narwal runs as";
        }
    }
}

/* Where in the file it says what a plugin complains of: the option that it names first, or the
 * sink. @return NULL: it is not from a file */
static const struct nw_node *complaint_place(const struct nw_node *map, const char *text)
{
    const struct nw_node *found = map;
    const char *first = NULL;

    for (const struct nw_node *node = map == NULL ? NULL : map->first; node != NULL;
         node = node->next) {
        size_t size = strlen(node->key);

        for (const char *at = strstr(text, node->key); at != NULL; at = strstr(at + 1, node->key)) {
            bool whole = (at == text || strchr(" :\"(", at[-1]) != NULL) &&
                         strchr(" :\",.;)", at[size]) != NULL;

            if (whole && (first == NULL || at < first)) {
                found = node;
                first = at;
            }
        }
    }
    return found == NULL || found->file == NULL || found->file[0] == '\0' ? NULL : found;
}

/* What goes with what only the plugin knows. @return whether it takes all; if not, why is added */
static bool sink_try(const struct nw_run_config *config, uint32_t index,
                     const struct nw_plugin *plugin, const struct nw_config *resolved,
                     struct nw_preflight *preflight)
{
    const struct nw_sink_config *sink = &config->sinks[index];
    const uint32_t most = plugin->ops.workers_max; /* a run takes no more, and says so */
    struct nw_sink_options options = {.plugin = plugin,
                                      .config = resolved,
                                      .workers_count = sink->workers > most ? most : sink->workers};
    const struct nw_node *at = NULL;
    struct nw_error why = {0};
    const char *text = NULL;
    size_t size = strlen(sink->name);
    nw_status status = nw_env_system_create(NW_IO_AUTO, &options.env, &why);

    status = status == NW_OK ? nw_sink_try(&options, &why) : status;
    nw_env_system_destroy(options.env);
    if (status == NW_OK) {
        return true;
    }
    text = nw_code_rest(why.text);
    text +=
        strncmp(text, sink->name, size) == 0 && strncmp(text + size, ": ", 2) == 0 ? size + 2 : 0;
    at = complaint_place(sink->map, text);
    if (at == NULL) {
        (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1225", "sink %s: %s", sink->name,
                               text);
    } else {
        (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1225", "sink %s: %s:%u:%u: %s",
                               sink->name, at->file, at->key_line != 0 ? at->key_line : at->line,
                               at->key_line != 0 ? at->key_column : at->column, text);
    }
    return false;
}

/* A sink's plugin loads, and takes the configuration. @return whether; if not, why is added */
static bool sink_check(struct nw_run_config *config, uint32_t index, const char *folder,
                       struct nw_plugin *plugin, struct nw_preflight *preflight)
{
    static struct nw_problems problems; /* commands have one thread */
    const char *name = config->sinks[index].name;
    struct nw_config resolved;
    struct nw_error why = {0};
    nw_status status = nw_plugin_load(folder, config->sinks[index].type, plugin, &why);

    problems = (struct nw_problems){0};
    config->problems = &problems;
    if (status == NW_OK) {
        status = nw_config_resolve_sink(config, index, plugin->ops.options,
                                        plugin->ops.options_count, &resolved, &why);
    }
    config->problems = NULL;
    for (uint32_t i = 0; i < problems.count; i++) {
        (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1225", "sink %s: %s", name,
                               problems.items[i].text);
    }
    if (status != NW_OK && problems.count == 0) {
        (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1225", "sink %s: %s", name,
                               nw_code_rest(why.text));
    }
    if (status == NW_OK) {
        folder_check(name, &resolved, plugin, preflight);
    }
    return status == NW_OK && sink_try(config, index, plugin, &resolved, preflight);
}

static void sinks_check(struct nw_run_config *config, struct nw_preflight *preflight)
{
    char buffer[4096];
    const char *folder = nw_plugin_folder(config, buffer, sizeof buffer);

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        struct nw_plugin plugin;

        if (sink_check(config, i, folder, &plugin, preflight)) {
            (void)nw_preflight_add(preflight, NW_FINDING_OK, "", "sink %s: %s %s%s",
                                   config->sinks[i].name, plugin.ops.name, plugin.ops.version,
                                   config->sinks[i].dead_letters
                                       ? "; rows that it refuses become dead letters, and their "
                                         "tables go on without them"
                                       : "");
        }
    }
}

/* The configuration in force. What a plugin refuses is said in its place. */
static int show(struct nw_run_config *config)
{
    static struct nw_plugin loaded[NW_CONFIG_SINKS_MAX];
    static struct nw_error why[NW_CONFIG_SINKS_MAX];
    struct nw_config_plugin plugins[NW_CONFIG_SINKS_MAX] = {0};
    char buffer[4096];
    int code = 0;

    config->plugin_dir = nw_plugin_folder(config, buffer, sizeof buffer);
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        struct nw_config resolved;

        if (nw_plugin_load(config->plugin_dir, config->sinks[i].type, &loaded[i], &why[i]) !=
            NW_OK) {
            plugins[i].trouble = why[i].text;
            code = NW_EXIT_FAILED;
            continue;
        }
        plugins[i].options = loaded[i].ops.options;
        plugins[i].count = loaded[i].ops.options_count;
        if (nw_config_resolve_sink(config, i, plugins[i].options, plugins[i].count, &resolved,
                                   &why[i]) != NW_OK) {
            nw_complain_error(&why[i]);
            code = NW_EXIT_FAILED;
        }
    }
    nw_config_print(config, plugins, stdout);
    return code;
}

/* ---- the plan ---- */

static const char *plan_text(const struct nw_forecast_options *options,
                             struct nw_forecast *forecast)
{
    uint32_t workers = options->preflight.copy_workers;
    double seconds = forecast->seconds;
    char time[NW_NUMBER_TEXT_SIZE];
    char size[NW_NUMBER_TEXT_SIZE];
    char most[NW_NUMBER_TEXT_SIZE];
    const char *pace = "";
    const char *changes = "";

    if (seconds >= 1) {
        pace = nw_preflight_text(&forecast->checks, " at %s/s with %u worker%s",
                                 nw_size_text(size, forecast->bytes / seconds), workers,
                                 workers == 1 ? "" : "s");
    }
    if (options->spools) {
        changes = nw_preflight_text(&forecast->checks, "; spool about %s of %s",
                                    nw_size_text(size, forecast->waiting_bytes),
                                    nw_size_text(most, (double)options->spool_max_bytes));
    } else if (options->preflight.streams) {
        changes = nw_preflight_text(&forecast->checks, "; about %s of WAL stay on the server",
                                    nw_size_text(size, forecast->waiting_bytes));
    }
    return nw_preflight_text(&forecast->checks, "copy about %s%s%s%s",
                             seconds < 1 ? "a second" : nw_duration_text(time, seconds), pace,
                             changes,
                             forecast->sampled_count == 0 && forecast->bytes > 0
                                 ? " (from sizes alone: nothing could be read)"
                                 : "");
}

/* A glance at how long the copy takes, and the risks; narwal plan looks for longer. */
static void plan_add(const struct nw_run_config *c, const struct nw_preflight_options *preflight,
                     struct nw_preflight *checks)
{
    struct nw_forecast_options options = {
        .preflight = *preflight,
        .cores_count = nw_host_cores(c),
        .time_ns = PLAN_NS_MAX,
        .glance = true,
        .spools = c->ack_spool && c->snapshot != NW_CONFIG_ONLY,
        .spool_folder = c->spool_dir,
        .spool_free_bytes = nw_host_free_bytes(c->spool_dir),
        .spool_max_bytes = (uint64_t)c->spool_bytes,
        .memory_bytes = (uint64_t)c->memory_bytes,
    };
    struct nw_forecast forecast = {.checks = *checks};
    struct nw_error ignored = {0};
    nw_status status = NW_OK;

    if (checks->version_number == 0 || checks->tables_count == 0 || !preflight->copies ||
        checks->slot_exists || preflight->running != NULL) {
        return; /* nothing is to be copied, as far as can be told */
    }
    status = nw_env_system_create(NW_IO_AUTO, &options.env, &ignored);
    status = status == NW_OK ? nw_forecast_add(&options, &forecast, &ignored) : status;
    if (status == NW_OK) {
        *checks = forecast.checks;
        checks->plan = plan_text(&options, &forecast);
    }
    nw_env_system_destroy(options.env);
}

/* The script; of a database that cannot be looked at, what can be known of it. */
static void sql_print(const struct nw_preflight *preflight,
                      const struct nw_preflight_options *options,
                      const struct nw_run_config *config, const struct wishes *wishes)
{
    if (preflight->version[0] != '\0') {
        nw_preflight_sql(preflight, options, config->name, stdout);
        return;
    }
    /* The first finding is why. */
    nw_preflight_sql_blind(wishes->role != NULL ? wishes->role : wishes->role_text,
                           wishes->database, preflight->findings[0].text, stdout);
    nw_complain("%s", preflight->findings[0].text);
}

/* What has to be mended is explained, too. */
static void fails_note(const struct nw_preflight *preflight)
{
    for (size_t i = 0; i < preflight->findings_count; i++) {
        if (preflight->findings[i].level == NW_FINDING_FAIL) {
            nw_explain_note(preflight->findings[i].code);
            nw_explain_note(preflight->findings[i].text); /* the cause's, of a connection */
        }
    }
}

static const char *place_text(const struct nw_node *at, char *text, size_t size)
{
    text[0] = '\0';
    if (at != NULL && at->file[0] != '\0') {
        (void)snprintf(text, size, "%s:%u:%u", at->file, at->line, at->column);
    }
    return text;
}

static int check(struct nw_run_config *config, struct wishes *wishes)
{
    char place[PATH_MAX];
    struct nw_preflight_options options;
    struct nw_preflight preflight;
    struct nw_arena arena;
    struct nw_error err = {0};
    int code = NW_EXIT_FAILED;

    dsn_look(config, wishes);
    options = options_of(config, wishes);
    options.on_tables = on_tables;
    options.context = config;
    options.heartbeat = config->snapshot == NW_CONFIG_ONLY ? NULL : config->heartbeat;
    options.heartbeat_place = place_text(config->heartbeat_at, place, sizeof place);
    nw_arena_init(&arena, FINDINGS_BYTES_MAX);
    if (nw_preflight_run(&options, &arena, &preflight, &err) != NW_OK) {
        nw_complain_error(&err);
    } else {
        sinks_check(config, &preflight);
        if (wishes->sql) {
            sql_print(&preflight, &options, config, wishes);
        } else {
            plan_add(config, &options, &preflight);
            nw_preflight_print(&preflight, config->name, wishes->verbose, stdout);
        }
        fails_note(&preflight);
        code = nw_preflight_count(&preflight, NW_FINDING_FAIL) == 0 ? 0 : NW_EXIT_FAILED;
    }
    nw_arena_fini(&arena);
    return code;
}

int nw_cmd_check(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config;
    struct wishes wishes = {0};
    const char *rest[1] = {NULL};
    int code = 0;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "sink",
                                         .list = arguments.sinks,
                                         .list_count = &arguments.sinks_count,
                                         .list_max = NW_CONFIG_SINKS_MAX},
                                        {.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "sql", .flag = &wishes.sql},
                                        {.name = "all", .flag = &wishes.all},
                                        {.name = "role", .value = &wishes.role},
                                        {.name = "dba", .value = &wishes.dba},
                                        {.name = "config", .flag = &wishes.in_force},
                                        {.name = "verbose", .flag = &wishes.verbose},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (wishes.all && !wishes.sql) {
        nw_complain("NW1501 --all belongs to --sql");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[0];
    if (!nw_config_open(&arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    nw_log_setup(2, NW_LOG_WARN, false);
    code = wishes.in_force ? show(&config) : check(&config, &wishes);
    nw_config_free(&config);
    return code;
}
