/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal support`: one archive for a bug report. Most of it is what other commands print, run as
 * processes of their own, so that none that hangs or fails takes the others with it. Secrets of the
 * configuration are replaced in all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/archive.h"
#include "cli/command.h"

#define COMMAND_MS  60000
#define OUTPUT_MAX  (64u << 20)
#define WORDS_MAX   6
#define PATH_SIZE   (NW_FOLDER_SIZE + 32u)
#define SYSTEM_FILE "/etc/os-release"

static const char HELP[] =
    "usage: narwal support FILE.yaml [--output FILE] [--no-check]\n\n"
    "Makes one archive for a bug report, narwal-support-NAME-TIME.tar.zst in this folder, readable "
    "by\nits owner: versions, the configuration in force, what status, table list, check and "
    "topology say,\nwhat the state has recorded, and limits of this host. No rows; secrets of the "
    "configuration are\nreplaced. It has names of hosts, tables and columns: look at it before you "
    "send it.\n\n"
    "  --output FILE   another name for it\n"
    "  --no-check      do not connect to the server\n\n"
    "exit codes: 0 it is made, 1 it is not, 2 called wrongly\n";

extern char **environ;

struct part {
    const char *name, *what;
    const char *words[WORDS_MAX]; /* "FILE" stands for the configuration file */
    bool connects;
};

static const struct part PARTS[] = {
    {"version.txt", "narwal and its libraries", {"version"}, false},
    {"configuration.yaml", "in force, without secrets", {"check", "FILE", "--config"}, false},
    {"status.json", "of the running narwal", {"status", "FILE", "--json"}, false},
    {"tables.json", "every table and its state", {"table", "list", "FILE", "--json"}, false},
    {"check.txt", "what check finds on the server", {"check", "FILE", "--verbose"}, true},
    {"topology.txt", "cores, limits and threads", {"topology", "FILE"}, false},
};

/* ---- running a command ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What it says until it ends, or for a minute. */
static void output_read(int source, FILE *out)
{
    int64_t until_ms = now_ms() + COMMAND_MS;
    size_t all = 0;
    char buffer[65536];

    for (;;) {
        struct pollfd polled = {.fd = source, .events = POLLIN};
        int64_t left_ms = until_ms - now_ms();
        ssize_t size = 0;

        if (left_ms <= 0 || all > OUTPUT_MAX || poll(&polled, 1, (int)left_ms) == 0) {
            (void)fputs("\n(it was ended here: too long)\n", out);
            return;
        }
        size = read(source, buffer, sizeof buffer);
        if (size == 0 || (size < 0 && errno != EINTR)) {
            return;
        }
        if (size > 0) {
            (void)fwrite(buffer, 1, (size_t)size, out);
            all += (size_t)size;
        }
    }
}

/* @return its process; -1: it cannot be started, and the ends are closed */
static pid_t start(char *const *words, int ends[2])
{
    posix_spawn_file_actions_t actions;
    pid_t process = -1;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    if (posix_spawn(&process, "/proc/self/exe", &actions, NULL, words, environ) != 0) {
        process = -1;
        (void)close(ends[0]);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    return process;
}

static void command_run(const struct part *part, const char *file, FILE *out)
{
    char name[] = "narwal";
    char *words[WORDS_MAX + 2] = {name};
    int ends[2] = {-1, -1};
    int code = 0;
    pid_t process = -1;

    for (int i = 0; i < WORDS_MAX && part->words[i] != NULL; i++) {
        words[i + 1] =
            (char *)(uintptr_t)(strcmp(part->words[i], "FILE") == 0 ? file : part->words[i]);
    }
    process = start(words, ends);
    if (process < 0) {
        (void)fprintf(out, "could not be run: %s\n", nw_errno_text(errno));
        return;
    }
    output_read(ends[0], out);
    (void)close(ends[0]);
    (void)kill(process, SIGKILL); /* mostly it ended; else it is given up */
    (void)waitpid(process, &code, 0);
    if (strstr(part->name, ".txt") != NULL) {
        (void)fprintf(out, "(exit code %d)\n", WIFEXITED(code) ? WEXITSTATUS(code) : -1);
    }
}

/* ---- what no command says ---- */

static void file_copy(const char *path, FILE *out)
{
    FILE *file = fopen(path, "re");
    char line[1024];

    (void)fprintf(out, "\n# %s\n", path);
    if (file == NULL) {
        (void)fprintf(out, "%s\n", nw_errno_text(errno));
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        (void)fputs(line, out);
    }
    (void)fclose(file);
}

static void folder_print(const char *what, const char *path, FILE *out)
{
    struct statvfs disk;
    char free_text[NW_NUMBER_TEXT_SIZE];
    char size_text[NW_NUMBER_TEXT_SIZE];

    if (statvfs(path, &disk) != 0) {
        (void)fprintf(out, "%s %s: %s\n", what, path, nw_errno_text(errno));
        return;
    }
    (void)fprintf(out, "%s %s: %s free of %s\n", what, path,
                  nw_size_text(free_text, (double)disk.f_bavail * (double)disk.f_frsize),
                  nw_size_text(size_text, (double)disk.f_blocks * (double)disk.f_frsize));
}

static void system_print(const struct nw_run_config *config, FILE *out)
{
    struct utsname kernel;

    if (uname(&kernel) == 0) {
        (void)fprintf(out, "%s %s %s %s\n", kernel.sysname, kernel.release, kernel.version,
                      kernel.machine);
    }
    folder_print("state", config->state_dir, out);
    folder_print("spill", config->spill_dir, out);
    folder_print("spool", config->spool_dir, out);
    file_copy(SYSTEM_FILE, out);
    file_copy("/proc/meminfo", out);
    file_copy("/proc/self/limits", out);
    file_copy("/proc/self/cgroup", out);
    file_copy("/proc/pressure/io", out);
    file_copy("/proc/loadavg", out);
}

/* A value of the state: texts as they are, what is no text in hexadecimal. */
static void value_print(sqlite3_stmt *statement, int column, FILE *out)
{
    const unsigned char *bytes = NULL;

    if (sqlite3_column_type(statement, column) != SQLITE_BLOB) {
        const char *text = (const char *)sqlite3_column_text(statement, column);

        (void)fputs(text == NULL ? "NULL" : text, out);
        return;
    }
    bytes = sqlite3_column_blob(statement, column);
    for (int i = 0; i < sqlite3_column_bytes(statement, column); i++) {
        (void)fprintf(out, "%02x", bytes[i]);
    }
}

static void table_dump(sqlite3 *db, const char *table, FILE *out)
{
    char sql[256];
    sqlite3_stmt *statement = NULL;

    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%.100s\"", table);
    (void)fprintf(out, "\n# %s\n", table);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        (void)fprintf(out, "%s\n", sqlite3_errmsg(db));
    }
    for (int row = 0; statement != NULL && sqlite3_step(statement) == SQLITE_ROW; row++) {
        int columns = sqlite3_column_count(statement);

        for (int i = 0; row == 0 && i < columns; i++) {
            (void)fprintf(out, "%s%c", sqlite3_column_name(statement, i),
                          i + 1 < columns ? '\t' : '\n');
        }
        for (int i = 0; i < columns; i++) {
            value_print(statement, i, out);
            (void)fputc(i + 1 < columns ? '\t' : '\n', out);
        }
    }
    (void)sqlite3_finalize(statement);
}

static void state_print(const struct nw_run_config *config, FILE *out)
{
    char path[PATH_SIZE];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    struct stat there;

    (void)snprintf(path, sizeof path, "%s/state.db", config->state_dir);
    if (stat(path, &there) != 0) {
        (void)fprintf(out, "%s: %s\n", path, nw_errno_text(errno));
        return;
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
                           -1, &statement, NULL) != SQLITE_OK) {
        (void)fprintf(out, "%s: %s\n", path, sqlite3_errmsg(db));
    }
    while (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        table_dump(db, (const char *)sqlite3_column_text(statement, 0), out);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

/* ---- all of it ---- */

struct making {
    const struct nw_run_config *config;
    const char *file;
    struct nw_archive archive;
};

/* @param text  take: of malloc() */
static void add(struct making *making, const char *name, const char *what, char *text)
{
    char size[NW_NUMBER_TEXT_SIZE];

    if (text != NULL) {
        nw_redact(text);
        nw_archive_add(&making->archive, name, text, strlen(text));
        (void)printf("%-20s %9s  %s\n", name, nw_size_text(size, (double)strlen(text)), what);
    }
    free(text);
}

static void part_add(struct making *making, const struct part *part)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out != NULL) {
        command_run(part, making->file, out);
        (void)fclose(out);
    }
    add(making, part->name, part->what, text);
}

static void own_add(struct making *making, const char *name, const char *what,
                    void (*print)(const struct nw_run_config *config, FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out != NULL) {
        print(making->config, out);
        (void)fclose(out);
    }
    add(making, name, what, text);
}

static int make(struct making *making, const char *output, bool checks)
{
    char name[128];
    char path[256];
    char stamp[32];
    char text[NW_NUMBER_TEXT_SIZE];
    time_t now = time(NULL);
    struct tm parts;
    size_t size = 0;
    struct nw_error err = {0};
    nw_status status = NW_OK;

    (void)gmtime_r(&now, &parts);
    (void)strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
    (void)snprintf(name, sizeof name, "narwal-support-%.60s-%s", making->config->name, stamp);
    (void)snprintf(path, sizeof path, "%s.tar.zst", name);
    status = nw_archive_begin(&making->archive, name, &err);
    for (size_t i = 0; status == NW_OK && i < sizeof PARTS / sizeof PARTS[0]; i++) {
        if (checks || !PARTS[i].connects) {
            part_add(making, &PARTS[i]);
        }
    }
    if (status == NW_OK) {
        own_add(making, "state.txt", "what narwal has recorded", state_print);
        own_add(making, "system.txt", "kernel, memory, disks and limits", system_print);
        status = nw_archive_write(&making->archive, output != NULL ? output : path, &size, &err);
    }
    if (status != NW_OK) {
        nw_complain("%s", err.text);
        return NW_EXIT_FAILED;
    }
    (void)printf("\n%s, %s. No rows are in it and no secrets, but names of hosts, tables and "
                 "columns: look at\nit before you send it (tar --zstd -xf). Add the log: "
                 "journalctl -u narwal@%s --since -1d\n",
                 output != NULL ? output : path, nw_size_text(text, (double)size),
                 making->config->name);
    return 0;
}

int nw_cmd_support(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    const char *rest[1] = {NULL};
    const char *output = NULL;
    bool without_check = false;
    const struct nw_argument known[] = {{.name = "output", .value = &output},
                                        {.name = "no-check", .flag = &without_check},
                                        {.name = NULL}};
    struct nw_run_config config;
    struct making making = {.config = &config};
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 1);

    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] == NULL || strcmp(rest[0], "-") == 0) {
        nw_complain("NW1501 of which narwal? Name its configuration file");
        return NW_EXIT_USAGE;
    }
    making.file = arguments.file = rest[0];
    if (!nw_config_open(&arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    code = make(&making, output, !without_check);
    nw_config_free(&config);
    return code;
}
