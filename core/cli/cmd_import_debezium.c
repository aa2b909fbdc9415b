/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal import-debezium`: a configuration from that of Debezium's connector. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/code.h"
#include "base/errno.h"
#include "cli/command.h"
#include "cli/debezium/import.h"
#include "cli/kafka.h"

#define CONNECTOR_BYTES_MAX (1u << 20)

static const char HELP[] =
    "usage: narwal import-debezium FILE|URL [--output FILE.yaml] [--brokers LIST] [--force]\n"
    "                              [--shadow]\n\n"
    "Reads the configuration of Debezium's PostgreSQL connector, and writes narwal's, with "
    "comments.\n"
    "FILE has the connector's JSON, - is standard input; URL is of Connect:\n"
    "http://HOST:8083/connectors/NAME. Nothing is changed there, and nothing in the database.\n"
    "What narwal cannot do is refused, all of it at once, and then nothing is written. No "
    "password\n"
    "is written, and no file overwritten.\n\n"
    "  --output FILE   where to; also -o; - is standard output; default: NAME.yaml\n"
    "  --brokers LIST  HOST:PORT,... of Kafka; a connector's configuration mostly has none\n"
    "  --shadow        one that runs beside the connector, with a slot and topics of its own, to "
    "compare\n"
    "  --force         write it without what is refused, which the file then names\n\n"
    "exit codes: 0 written, 1 something is refused, or it failed, 2 called wrongly\n";

int nw_import_debezium_read(int argc, char **argv, struct nw_import_debezium *request)
{
    const char *rest[1] = {NULL};
    const struct nw_argument known[] = {
        {.name = "output", .value = &request->output, .letter = 'o'},
        {.name = "brokers", .value = &request->brokers},
        {.name = "force", .flag = &request->force},
        {.name = "shadow", .flag = &request->shadow},
        {.name = NULL}};
    int code = 0;

    *request = (struct nw_import_debezium){.from = NULL};
    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code == NW_GO_ON && rest[0] == NULL) {
        nw_complain("NW1501 of which connector? narwal import-debezium FILE.json");
        return NW_EXIT_USAGE;
    }
    request->from = rest[0];
    return code;
}

/* ---- is what was made a configuration? ---- */

/* Secrets that are not known here, so that their references can be read. */
static void references_set(const char *text)
{
    for (const char *at = strstr(text, "${env:"); at != NULL; at = strstr(at + 1, "${env:")) {
        char name[128];

        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 6, "}"), at + 6);
        (void)setenv(name, "1", 0); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
}

static nw_status config_check(struct nw_run_config *config, const struct nw_debezium *to,
                              struct nw_error *err)
{
    struct nw_plugin plugin;
    struct nw_config resolved;
    char buffer[NW_FOLDER_SIZE];
    nw_status status = nw_config_finish(config, to->name, err);

    if (status == NW_OK) {
        status =
            nw_plugin_load(nw_plugin_folder(config, buffer, sizeof buffer), "kafka", &plugin, err);
    }
    if (status == NW_OK) {
        status = nw_config_resolve_sink(config, 0, plugin.ops.options, plugin.ops.options_count,
                                        &resolved, err);
    }
    return status;
}

/* narwal's own parser looks at it. */
static nw_status text_check(const char *text, size_t size, const struct nw_debezium *to,
                            struct nw_error *err)
{
    static struct nw_run_config config;
    struct nw_error why = {0};
    char path[64];
    int file = memfd_create("narwal.yaml", MFD_CLOEXEC);
    nw_status status = NW_OK;

    if (file < 0 || write(file, text, size) != (ssize_t)size) {
        status = nw_fail(err, NW_FATAL, "NW1507 no room for the configuration: %s",
                         nw_errno_text(errno));
    } else {
        references_set(text);
        config = (struct nw_run_config){0};
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        status = nw_config_load(path, &config, NULL, &why);
        if (status == NW_OK) {
            status = config_check(&config, to, &why);
        }
        if (status != NW_OK) {
            (void)nw_fail(err, status, "NW1553 what was made is no configuration yet: %s",
                          nw_code_rest(why.text));
        }
        nw_config_free(&config);
    }
    if (file >= 0) {
        (void)close(file);
    }
    return status;
}

/* ---- writing ---- */

static nw_status text_write(const char *text, size_t size, const char *path, struct nw_error *err)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ssize_t written = 0;

    if (file < 0) {
        return errno == EEXIST ? nw_fail(err, NW_FATAL,
                                         "NW1521 %s is there already, and stays as it is: name "
                                         "another file with -o",
                                         path)
                               : nw_fail(err, NW_FATAL, "NW1507 cannot write %s: %s", path,
                                         nw_errno_text(errno));
    }
    written = write(file, text, size);
    if (close(file) != 0 || written != (ssize_t)size) {
        (void)unlink(path);
        return nw_fail(err, NW_FATAL, "NW1507 cannot write %s", path);
    }
    return NW_OK;
}

static void refusals_print(struct nw_debezium *to)
{
    for (size_t i = 0; i < to->count; i++) {
        const struct nw_debezium_property *p = &to->properties[i];

        if (p->verdict == NW_DEBEZIUM_REFUSED) {
            (void)fprintf(stderr, "  %s: %s\n", nw_debezium_shown(to, p->name), p->why);
        }
    }
}

static void summary_print(const struct nw_debezium *to, FILE *out)
{
    (void)fprintf(
        out, "%zu properties: %zu mapped, %zu without a meaning for narwal, %zu refused\n",
        to->count, nw_debezium_count(to, NW_DEBEZIUM_MAPPED),
        nw_debezium_count(to, NW_DEBEZIUM_NOTHING), nw_debezium_count(to, NW_DEBEZIUM_REFUSED));
}

static nw_status text_make(struct nw_debezium *to, char **text, size_t *size, struct nw_error *err)
{
    FILE *out = open_memstream(text, size);

    if (out == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory writing a configuration");
    }
    nw_debezium_print(to, out);
    return fclose(out) == 0 ? text_check(*text, *size, to, err)
                            : nw_fail(err, NW_FATAL, "out of memory writing a configuration");
}

static bool has_brokers(const struct nw_debezium *to)
{
    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].key, "brokers") == 0 && to->lines[i].value != NULL) {
            return true;
        }
    }
    return false;
}

static nw_status put_out(struct nw_debezium *to, const struct nw_import_debezium *request,
                         struct nw_error *err)
{
    const char *path =
        request->output != NULL ? request->output : nw_debezium_text(to, "%s.yaml", to->name);
    bool standard = strcmp(path, "-") == 0;
    char *text = NULL;
    size_t size = 0;
    nw_status status = NW_OK;

    if (!has_brokers(to)) {
        return nw_fail(err, NW_FATAL,
                       "NW1553 where is Kafka? Connect's worker knows, the connector does not: "
                       "--brokers HOST:PORT,...");
    }
    status = text_make(to, &text, &size, err);
    if (status == NW_OK && standard) {
        (void)fwrite(text, 1, size, stdout);
    } else if (status == NW_OK) {
        status = text_write(text, size, path, err);
    }
    if (status == NW_OK) {
        summary_print(to, standard ? stderr : stdout);
    }
    if (status == NW_OK && !standard) {
        (void)printf("%s is written. Next:\n  narwal check ", path);
        nw_shell_print(stdout, path);
        (void)fputc('\n', stdout);
    }
    free(text);
    return status;
}

int nw_import_debezium(const struct nw_import_debezium *request, const char *text, size_t size)
{
    struct nw_debezium *to = calloc(1, sizeof *to);
    struct nw_error err = {0};
    size_t refused = 0;
    nw_status status = NW_OK;
    int code = NW_EXIT_FAILED;

    if (to == NULL) {
        nw_complain("NW2901 out of memory");
        return NW_EXIT_FAILED;
    }
    to->brokers = request->brokers;
    status = nw_debezium_read(to, text, size, &err);
    if (status == NW_OK) {
        status = nw_debezium_map(to, &refused, &err);
    }
    if (status == NW_OK && request->shadow) {
        nw_debezium_shadow(to);
    }
    if (status == NW_OK && refused > 0) {
        nw_complain("NW1550 %zu of the connector's properties cannot be carried over%s:", refused,
                    request->force ? "" : ", and nothing is written");
        refusals_print(to);
    }
    if (status == NW_OK && (refused == 0 || request->force)) {
        status = put_out(to, request, &err);
        code = status == NW_OK ? 0 : NW_EXIT_FAILED;
    } else if (status == NW_OK) {
        summary_print(to, stderr);
    }
    if (status != NW_OK) {
        nw_complain_error(&err);
    }
    nw_debezium_fini(to);
    free(to);
    return code;
}

/* @param file  borrow */
static int opened_import(const struct nw_import_debezium *request, FILE *file)
{
    char *text = malloc(CONNECTOR_BYTES_MAX);
    size_t size = text == NULL ? 0 : fread(text, 1, CONNECTOR_BYTES_MAX, file);
    int code = NW_EXIT_FAILED;

    if (text == NULL) {
        nw_complain("NW2901 out of memory");
    } else if (ferror(file) != 0 || size == CONNECTOR_BYTES_MAX) {
        nw_complain("NW1552 cannot read %s: %s", request->from,
                    ferror(file) != 0 ? nw_errno_text(errno) : "more than 1 MiB");
    } else {
        code = nw_import_debezium(request, text, size);
    }
    free(text);
    return code;
}

static int file_import(const struct nw_import_debezium *request)
{
    FILE *file = NULL;
    int code = NW_EXIT_FAILED;

    if (strcmp(request->from, "-") == 0) {
        return opened_import(request, stdin);
    }
    file = fopen(request->from, "re");
    if (file == NULL) {
        nw_complain("NW1552 cannot read %s: %s", request->from, nw_errno_text(errno));
        return NW_EXIT_FAILED;
    }
    code = opened_import(request, file);
    (void)fclose(file);
    return code;
}

int nw_cmd_import_debezium(int argc, char **argv)
{
    struct nw_import_debezium request;
    int code = nw_import_debezium_read(argc, argv, &request);

    if (code != NW_GO_ON) {
        return code;
    }
    if (strncmp(request.from, "http://", 7) == 0 || strncmp(request.from, "https://", 8) == 0) {
        return nw_kafka_become(argv);
    }
    return file_import(&request);
}
