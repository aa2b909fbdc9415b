/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal run`: from arguments to nw_run(). Main thread. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/code.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/reload.h"
#include "pg/lsn.h"
#include "pipeline/run.h"
#include "serve/control.h"
#include "serve/http.h"
#include "serve/live.h"
#include "serve/notify.h"
#include "serve/progress.h"
#include "serve/report.h"

static const char HELP[] =
    "usage: narwal run [--standby] FILE.yaml\n"
    "       narwal run --source DSN --sink TYPE:PATH[,key=value...] [--sink ...]\n\n"
    "Copies every table into the sinks, consistently, then follows every committed change. It can "
    "be\n"
    "stopped or killed at any moment and goes on where the sinks stand. SIGTERM or ^C drains "
    "first.\n\n"
    "  --source DSN       a libpq connection string or URI; the password from ~/.pgpass or "
    "PGPASSWORD\n"
    "  --sink SPEC        file:./copy, file:./copy,compress=zstd, null:, TYPE of a plugin, or\n"
    "                     kafka:brokers=HOST:9092,prefix=shop\n"
    "  --name NAME        names the slot (narwal_NAME) and the state folder; default: the "
    "database\n"
    "  --state-dir PATH   narwal's own state; default: /var/lib/narwal/NAME as root\n"
    "  --until LSN|now    end when everything that committed before is durable at every sink, "
    "with\n"
    "                     the copy if there is one; now: at its start\n"
    "  --standby          wait until the narwal that has the slot, on another host, has been gone "
    "or\n"
    "                     silent for standby.after, then take its place\n"
    "  --quiet            no live line\n\n"
    "docs/configuration.md and narwal.yaml(5) list every key of FILE.yaml.\n"
    "exit codes: 0 it was stopped, or came to --until, 1 it failed, 2 the configuration is wrong,\n"
    "            4 another narwal has taken over\n";

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reload_asked;

static void on_hangup(int number)
{
    (void)number;
    reload_asked = 1;
}

static void on_signal(int number)
{
    (void)number;
    if (stop_asked != 0) { /* asked twice: now */
        _exit(130);
    }
    stop_asked = 1;
    nw_session_wait_cancel();
}

static void signals_setup(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    if (!isatty(STDERR_FILENO)) { /* who closes a terminal wants an end */
        action.sa_handler = on_hangup;
    }
    (void)sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN; /* a write then fails, and says so */
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigaction(SIGXFSZ, &action, NULL);
}

/* Secrets are in memory: no core files, and files for their owner's group at most. */
static void process_harden(void)
{
    struct rlimit none = {0, 0};
    struct rlimit files;

    if (getenv("NARWAL_DEBUG") == NULL) { /* NOLINT(concurrency-mt-unsafe): no threads yet */
        (void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* hundreds of tables have files open */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

struct session {
    struct nw_config_arguments arguments;
    struct nw_run_config config;
    struct nw_reload reload;
    struct nw_plugin plugins[NW_CONFIG_SINKS_MAX];
    struct nw_config resolved[NW_CONFIG_SINKS_MAX];
    struct nw_run_options options;
    struct nw_env *env;
    struct nw_control *control;
    struct nw_http *http;
    struct nw_progress progress;
    uint64_t durable_lsns[NW_CONFIG_SINKS_MAX];
    struct nw_waits *waits;
    struct nw_live live;
    struct nw_notify notify;
    struct nw_problems problems;
    struct nw_topology *topology;
    struct nw_plan plan;
    size_t state_there, spill_there; /* bytes of these folders' paths that this start found */
    char *teardown;                  /* the command for it */
    bool misconfigured;              /* it did not even begin */
    bool left_running; /* a plugin's thread is in a call and may read all of the above */
};

/* All but the one that the caller says. */
static void problems_log(const struct nw_problems *problems, const struct nw_error *err)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        if (strcmp(problems->items[i].text, err->text) != 0) {
            nw_log(NW_LOG_ERROR, "%s", problems->items[i].text);
        }
    }
}

static nw_status sinks_load(struct session *s, struct nw_error *err)
{
    char buffer[4096];
    const char *folder = nw_plugin_folder(&s->config, buffer, sizeof buffer);
    struct nw_error why = {0};
    nw_status status = NW_OK;

    s->config.problems = &s->problems; /* every mistake of every sink, in one go */
    for (uint32_t i = 0; i < s->config.sinks_count; i++) {
        const struct nw_sink_config *sink = &s->config.sinks[i];
        uint32_t workers = sink->workers;
        nw_status each = nw_plugin_load(folder, sink->type, &s->plugins[i], &why);

        if (each == NW_OK) {
            each = nw_config_resolve_sink(&s->config, i, s->plugins[i].ops.options,
                                          s->plugins[i].ops.options_count, &s->resolved[i], &why);
        }
        if (each != NW_OK) {
            *err = status == NW_OK ? why : *err;
            status = status == NW_OK ? each : status;
            continue;
        }
        if (workers > s->plugins[i].ops.workers_max) {
            nw_log(NW_LOG_WARN, "NW1014 sink %s: type %s has at most %u workers", sink->name,
                   sink->type, s->plugins[i].ops.workers_max);
            workers = s->plugins[i].ops.workers_max;
        }
        s->options.sinks[i] =
            (struct nw_run_sink){.name = sink->name,
                                 .plugin = &s->plugins[i],
                                 .config = &s->resolved[i],
                                 .workers_count = workers,
                                 .dead_letters = sink->dead_letters,
                                 .dead_letters_bytes = (uint64_t)sink->dead_letters_bytes,
                                 .dead_letter_rows = sink->dead_letter_rows,
                                 .detaches = sink->detaches,
                                 .stalled_after_us = sink->stalled_after_us};
    }
    s->options.sinks_count = s->config.sinks_count;
    s->config.problems = NULL;
    problems_log(&s->problems, err);
    return status;
}

/* Once the machine is known. */
static void memory_fit(struct session *s)
{
    char text[NW_NUMBER_TEXT_SIZE];
    char all[NW_NUMBER_TEXT_SIZE];
    int64_t least = 0;
    int64_t budget = nw_memory_budget(&s->config, s->topology, &least);

    s->options.memory_bytes = (uint64_t)budget;
    if (budget < s->config.memory_bytes) {
        nw_log(NW_LOG_INFO, "%s of memory for rows in flight, half of the %s there is",
               nw_size_text(text, (double)budget), nw_size_text(all, (double)least));
    } else if (least > 0 && budget > least / 2) {
        nw_log(NW_LOG_WARN,
               "NW1015 limits.memory is %s, more than half of the %s there is: the kernel may end "
               "narwal",
               nw_size_text(text, (double)budget), nw_size_text(all, (double)least));
    }
}

/* After the sinks are loaded: their plugins say how many workers there are. */
static nw_status threads_plan(struct session *s, struct nw_error *err)
{
    struct nw_demand demand = {.sinks_count = s->options.sinks_count,
                               .readers_count = s->options.copy_workers,
                               .cores_count = (uint32_t)s->config.cpus,
                               .never_pin = !s->config.pin};
    nw_status status = nw_topology_read(&s->topology, err);

    for (uint32_t i = 0; i < demand.sinks_count; i++) {
        demand.sinks[i] =
            (struct nw_plan_sink){s->options.sinks[i].name, s->options.sinks[i].workers_count};
    }
    if (status == NW_OK) {
        memory_fit(s);
        nw_plan_make(s->topology, &demand, &s->plan);
        nw_plan_confine(&s->plan);
        s->options.plan = &s->plan;
    }
    return status;
}

/* `tables` is answered here, since it needs nothing of the pipeline but what status has. */
static void tables_answer(struct session *s, const struct nw_run_status *status)
{
    const char *line = nw_control_asked(s->control);
    char *text = NULL;
    size_t size = 0;
    FILE *out = NULL;

    if (line == NULL || strcmp(line, "tables") != 0 || status->list == NULL) {
        return;
    }
    out = open_memstream(&text, &size);
    if (out == NULL) {
        nw_control_answer(s->control, false, "NW2901 out of memory for the list of tables");
        return;
    }
    nw_report_tables_json(status, out);
    (void)fclose(out);
    nw_control_give(s->control, text);
}

/* The same for the page, which asks over HTTP. */
static void tables_give(struct session *s, const struct nw_run_status *status)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = NULL;

    if (!nw_http_wants_tables(s->http) || status->list == NULL ||
        (out = open_memstream(&text, &size)) == NULL) {
        return;
    }
    nw_report_tables_json(status, out);
    if (fclose(out) == 0) {
        nw_http_give_tables(s->http, text);
    } else {
        free(text);
    }
}

/* What holds at once; the rest when the pipeline is built anew. */
static void live_apply(struct session *s)
{
    s->options.copy_rate_bytes = (uint64_t)s->config.copy_rate_bytes;
    s->options.retained_wal_bytes = (uint64_t)s->config.retained_wal_bytes;
    s->options.drop_slot = s->config.drop_slot;
    s->options.snapshot_age_us = s->config.snapshot_age_us;
    s->options.renew_snapshot = s->config.renew_snapshot;
    s->options.drain_us = s->config.drain_us;
    s->options.standby_us = s->config.standby_us;
    s->progress.after_s = (double)s->config.http.ready_us / 1e6;
    nw_log_level((enum nw_log_level)s->config.log_level);
}

/* Certificates may have changed under the names that they have. */
static void http_reload(struct session *s, bool asked, struct nw_reload_result *result)
{
    struct nw_error err = {0};

    if (!result->read || nw_http_reload(s->http, &s->config.http, &err) == NW_OK) {
        return;
    }
    nw_log(NW_LOG_ERROR, "%.6s reload: %s; the former ones stay", nw_error_code(&err),
           nw_code_rest(err.text));
    if (asked) {
        nw_control_answer(s->control, false, err.text);
        free(result->document);
        result->document = NULL;
    }
}

/* `reload`, or SIGHUP. */
static void reload_answer(struct session *s, const struct nw_run_status *status)
{
    const char *line = nw_control_asked(s->control);
    bool asked = line != NULL && strcmp(line, "reload") == 0;
    struct nw_reload_result result;

    if (!asked && reload_asked == 0) {
        return;
    }
    reload_asked = 0;
    nw_notify_reloads(&s->notify, true);
    nw_log(NW_LOG_INFO, "reading %s again",
           s->arguments.file != NULL ? s->arguments.file : "the configuration");
    nw_reload(&s->reload, status->phase == NW_RUN_COPYING, &result);
    if (result.live) {
        live_apply(s);
    }
    http_reload(s, asked, &result);
    if (asked && result.document != NULL) {
        nw_control_give(s->control, result.document);
        result.document = NULL;
    } else if (asked && nw_control_asked(s->control) != NULL) {
        nw_control_answer(s->control, false, "NW2901 out of memory");
    }
    free(result.document);
    nw_notify_reloads(&s->notify, false);
}

static void options_fill(struct session *s);

static bool renews(void *context)
{
    struct session *s = context;

    return s->reload.renews;
}

static void renew(void *context)
{
    struct session *s = context;

    s->reload.renews = false;
    options_fill(s);
    memory_fit(s);
    nw_log(NW_LOG_INFO, "going on with what was reloaded");
}

static void tick(void *context, const struct nw_run_status *status)
{
    struct session *s = context;
    struct nw_report report;

    nw_report_make(status, &report);
    for (uint32_t i = 0; i < report.sinks_count; i++) {
        report.sinks[i].durable_lsn = s->durable_lsns[i];
    }
    nw_progress_note(&s->progress, &report);
    nw_control_publish(s->control, &report);
    nw_http_publish(s->http, &report);
    tables_give(s, status);
    nw_live_show(&s->live, &report);
    nw_notify_report(&s->notify, &report, s->live.text);
    if (stop_asked != 0) {
        nw_notify_stops(&s->notify);
    }
    tables_answer(s, status);
    reload_answer(s, status);
}

static void durable(void *context, const uint64_t *lsns)
{
    struct session *s = context;

    memcpy(s->durable_lsns, lsns, s->options.sinks_count * sizeof *lsns);
    nw_waits_tell(s->waits, lsns);
}

static uint64_t wanted(void *context)
{
    struct session *s = context;

    return nw_waits_wanted(s->waits);
}

static void alive(void *context)
{
    struct session *s = context;

    nw_notify_alive(&s->notify);
}

static const char *asked(void *context)
{
    struct session *s = context;

    return nw_control_asked(s->control);
}

static void answer(void *context, bool well, const char *text)
{
    struct session *s = context;

    nw_control_answer(s->control, well, text);
}

static void options_fill(struct session *s)
{
    const struct nw_run_config *c = &s->config;
    struct nw_run_options *o = &s->options;

    o->name = c->name;
    o->teardown = s->teardown != NULL ? s->teardown : "narwal teardown";
    o->state_folder = c->state_dir;
    o->spill_folder = c->spill_dir;
    o->spool_folder = c->spool_dir;
    o->spool_bytes = (uint64_t)c->spool_bytes;
    o->backlog_bytes = (uint64_t)c->backlog_bytes;
    o->ack_spool = c->ack_spool;
    o->retained_wal_bytes = (uint64_t)c->retained_wal_bytes;
    o->drop_slot = c->drop_slot;
    o->snapshot_age_us = c->snapshot_age_us;
    o->renew_snapshot = c->renew_snapshot;
    o->heartbeat = c->heartbeat;
    o->heartbeat_us = c->heartbeat_us;
    o->env = s->env;
    o->server = nw_config_server(c);
    o->server.env = s->env;
    o->snapshot = (enum nw_snapshot_mode)c->snapshot;
    o->new_tables = (enum nw_new_tables)c->new_tables;
    o->transforms = &c->transforms;
    o->copy_workers = (uint32_t)c->copy_workers;
    o->copy_chunk_bytes = (uint64_t)c->copy_chunk_bytes;
    o->copy_rate_bytes = (uint64_t)c->copy_rate_bytes;
    o->lock_timeout_us = c->lock_wait_us;
    o->copy_where = (struct nw_copy_wheres){c->copy_where, c->copy_where_count};
    o->policies = (struct nw_policies){c->usual, c->policies, c->policies_count};
    o->memory_bytes = (uint64_t)c->memory_bytes;
    o->spill_bytes = (uint64_t)c->spill_bytes;
    o->epoch_us_max = c->epoch_us;
    o->epoch_bytes_max = (uint64_t)c->epoch_bytes;
    o->drain_us = c->drain_us;
    o->standby_us = c->standby_us;
    o->tick = tick;
    o->renews = renews;
    o->renew = renew;
    o->durable = durable;
    o->wanted = wanted;
    o->alive = alive;
    o->stuck_ns = nw_notify_patience_ns(&s->notify);
    o->asked = asked;
    o->answer = answer;
    o->context = s;
    o->stop = &stop_asked;
    o->left_running = &s->left_running;
}

/* How long the beginning of a path is that is there already. */
static size_t there_size(const char *path)
{
    char part[4096];
    struct stat status;

    (void)snprintf(part, sizeof part, "%s", path);
    while (stat(part, &status) != 0) {
        char *slash = strrchr(part, '/');

        if (slash == NULL) {
            return 0;
        }
        *slash = '\0';
    }
    return strlen(part);
}

/* What is there before this start. */
static void start_look(struct session *s)
{
    s->state_there = there_size(s->config.state_dir);
    s->spill_there = there_size(s->config.spill_dir);
}

/* Removes the folders of a path that were not there, as far as they are empty. */
static void made_remove(const char *path, size_t there)
{
    char part[4096];

    (void)snprintf(part, sizeof part, "%s", path);
    while (strlen(part) > there && rmdir(part) == 0) {
        char *slash = strrchr(part, '/');

        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

/* A start that failed before there was anything to remember leaves no folder behind. */
static void folders_remove(const struct session *s)
{
    made_remove(s->config.spill_dir, s->spill_there);
    made_remove(s->config.state_dir, s->state_there);
}

static nw_status waits_make(struct session *s, struct nw_error *err)
{
    const char *names[NW_CONFIG_SINKS_MAX];

    for (uint32_t i = 0; i < s->config.sinks_count; i++) {
        names[i] = s->config.sinks[i].name;
    }
    return nw_waits_create(names, s->config.sinks_count, &s->waits, err);
}

/* --until LSN, or now. */
static bool until_take(struct session *s, const char *until)
{
    s->options.until_now = until != NULL && strcmp(until, "now") == 0;
    return until == NULL || s->options.until_now || nw_lsn_parse(until, &s->options.until_lsn);
}

static enum nw_io_choice io_choice(const char *text)
{
    return strcmp(text, "io_uring") == 0 ? NW_IO_URING
           : strcmp(text, "pread") == 0  ? NW_IO_PREAD
                                         : NW_IO_AUTO;
}

/* The command that removes what this run leaves behind, as it can be pasted into a shell. */
static char *teardown_command(const struct nw_config_arguments *arguments,
                              const struct nw_run_config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    (void)fputs("narwal teardown ", out);
    if (arguments->file != NULL) {
        nw_shell_print(out, arguments->file);
    } else {
        (void)fputs("--source ", out);
        nw_shell_print(out, config->dsn_plain != NULL ? config->dsn_plain : "DSN");
    }
    if (arguments->name != NULL) {
        (void)fputs(" --name ", out);
        nw_shell_print(out, arguments->name);
    }
    if (arguments->state_dir != NULL) {
        (void)fputs(" --state-dir ", out);
        nw_shell_print(out, arguments->state_dir);
    }
    (void)fclose(out);
    return text;
}

static nw_status session_run(struct session *s, bool quiet, struct nw_error *err)
{
    nw_status status = nw_env_system_create(io_choice(s->config.io), &s->env, err);

    options_fill(s);
    if (status == NW_OK) {
        status = sinks_load(s, err);
        s->misconfigured = status != NW_OK;
    }
    status = status == NW_OK ? threads_plan(s, err) : status;
    status = status == NW_OK ? waits_make(s, err) : status;
    if (status == NW_OK) {
        status = nw_control_start(s->config.state_dir, s->waits, &s->control, err);
    }
    status = status == NW_OK ? nw_http_start(&s->config.http, s->waits, &s->http, err) : status;
    if (status == NW_OK) {
        nw_progress_init(&s->progress, (double)s->config.http.ready_us / 1e6);
        nw_live_init(&s->live, !quiet && isatty(STDERR_FILENO));
        status = nw_run(&s->options, err);
        nw_notify_stops(&s->notify);
        nw_live_end(&s->live);
    }
    nw_http_stop(s->http);
    nw_control_stop(s->control);
    nw_waits_destroy(s->waits);
    if (s->left_running) {
        return status;
    }
    nw_env_system_destroy(s->env);
    nw_topology_destroy(s->topology);
    return status;
}

static void failure_log(const struct nw_error *err)
{
    if (nw_code_find(err->text) != NULL) {
        nw_log(NW_LOG_ERROR, "%s", err->text);
    } else {
        nw_log(NW_LOG_ERROR, "%.6s %s", nw_error_code(err), err->text);
    }
    nw_explain_note(err->text);
}

static int exit_code(const struct session *s, nw_status status, const struct nw_error *err)
{
    bool fenced = strncmp(err->text, "NW2350", 6) == 0 || strncmp(err->text, "NW2406", 6) == 0;

    return status == NW_OK    ? 0
           : s->misconfigured ? NW_EXIT_USAGE
           : fenced           ? NW_EXIT_FENCED
                              : NW_EXIT_FAILED;
}

/* @return the exit code */
static int session_begin(struct session *s, bool quiet)
{
    struct nw_error err = {0};
    nw_status status = NW_OK;

    start_look(s);
    if (s->config.sinks_count == 0) {
        nw_complain("NW1501 where to? Add --sink file:./copy");
        return NW_EXIT_USAGE;
    }
    nw_log_setup(STDERR_FILENO, (enum nw_log_level)s->config.log_level,
                 s->config.log_format == 2 ||
                     (s->config.log_format == 0 && !isatty(STDERR_FILENO)));
    signals_setup();
    status = session_run(s, quiet, &err);
    if (status != NW_OK) {
        failure_log(&err);
        folders_remove(s);
    }
    if (s->left_running) {
        _exit(exit_code(s, status,
                        &err)); /* no destructor may take away what the plugin still uses */
    }
    return exit_code(s, status, &err);
}

int nw_cmd_run(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[1] = {NULL};
    const char *until = NULL;
    bool quiet = false;
    bool standby = false;
    int code = 0;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "sink",
                                         .list = arguments.sinks,
                                         .list_count = &arguments.sinks_count,
                                         .list_max = NW_CONFIG_SINKS_MAX},
                                        {.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "until", .value = &until},
                                        {.name = "standby", .flag = &standby},
                                        {.name = "quiet", .flag = &quiet},
                                        {.name = NULL}};
    struct session *s = NULL;

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    arguments.file = rest[0];
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        nw_complain("NW2901 out of memory");
        return NW_EXIT_FAILED;
    }
    /* What is said before the configuration tells how. */
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, isatty(STDERR_FILENO) == 0);
    process_harden();
    nw_notify_init(&s->notify);
    s->arguments = arguments;
    s->options.standby = standby;
    s->reload =
        (struct nw_reload){.arguments = &s->arguments, .config = &s->config, .plugins = s->plugins};
    code = NW_EXIT_USAGE;
    if (!until_take(s, until)) {
        nw_complain("NW1501 --until %s: an LSN as 3A/8F0012C8, or now", until);
    } else if (nw_config_open(&arguments, &s->config)) {
        s->teardown = teardown_command(&arguments, &s->config);
        code = session_begin(s, quiet);
        free(s->teardown);
        nw_reload_fini(&s->reload);
        nw_config_free(&s->config);
    }
    nw_notify_fini(&s->notify);
    free(s);
    return code;
}
