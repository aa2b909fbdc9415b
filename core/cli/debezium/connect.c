/* SPDX-License-Identifier: Apache-2.0 */
/* See connect.h. One thread. */
#include "cli/debezium/connect.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "cli/command.h"
#include "cli/kafka.h"

#define ANSWER_MAX   (4u << 20)
#define REFUSED      3 /* narwal-kafka's exit codes: Connect does not do it */
#define FAILED       4 /* and: it answered an error of its own */
#define STOP_SECONDS 60
#define STATE_STOPS  "STOPPED"

extern char **environ;

bool nw_connect_is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* Without user and password, which belong into no log, and without slashes at the end. */
static void url_show(const char *url, char shown[static NW_CONNECT_URL_MAX])
{
    const char *host = strstr(url, "://");
    size_t size = 0;

    host = host == NULL ? url : host + 3;
    size = strcspn(host, "/?#");
    while (size > 0 && host[size - 1] != '@') {
        size--;
    }
    (void)snprintf(shown, NW_CONNECT_URL_MAX, "%.*s%s", (int)(host - url), url, host + size);
    for (size = strlen(shown); size > 0 && shown[size - 1] == '/'; size--) {
        shown[size - 1] = '\0';
    }
}

/* ---- one request ---- */

/* Everything from a descriptor, which is closed. @return how much, at most size */
static size_t all_read(int file, char *text, size_t size)
{
    size_t used = 0;
    ssize_t got = 1;

    while (got > 0 && used < size) {
        got = read(file, text + used, size - used);
        got = got < 0 && errno == EINTR ? 1 : got;
        used += got > 0 ? (size_t)got : 0;
    }
    (void)close(file);
    return used;
}

/* Our environment with one more variable. @param line  NULL: none. @return free(); NULL: no memory
 */
static char **environment_make(char *line)
{
    size_t count = 0;
    size_t first = line == NULL ? 0 : 1;
    char **list = NULL;

    while (environ[count] != NULL) {
        count++;
    }
    list = calloc(count + 2, sizeof *list);
    if (list != NULL) {
        list[0] = line;
        memcpy(list + first, environ, count * sizeof *list);
    }
    return list;
}

/* Starts narwal-kafka with its output into a pipe. @return its descriptor; -1 */
static int program_start(char *const words[], char *const environment[], pid_t *pid,
                         struct nw_error *err)
{
    posix_spawn_file_actions_t actions;
    int ends[2] = {-1, -1};
    char path[NW_KAFKA_PATH_SIZE];
    int code = 0;

    nw_kafka_path(path);
    if (pipe(ends) != 0 || posix_spawn_file_actions_init(&actions) != 0) {
        (void)nw_fail(err, NW_FATAL, "NW1540 %s cannot be started: %s", path, nw_errno_text(errno));
        return -1;
    }
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    code = posix_spawn(pid, path, &actions, NULL, words, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (code != 0) {
        (void)close(ends[0]);
        (void)nw_fail(err, NW_FATAL, "NW1540 %s cannot be started: %s", path, nw_errno_text(code));
        return -1;
    }
    return ends[0];
}

/* Its exit code. */
static int program_wait(pid_t pid)
{
    int result = 0;
    pid_t ended = -1;

    do {
        ended = waitpid(pid, &result, 0);
    } while (ended < 0 && errno == EINTR);
    return ended == pid && WIFEXITED(result) ? WEXITSTATUS(result) : NW_EXIT_FAILED;
}

/* Runs narwal-kafka to its end. @param line  of its environment; NULL. @param code  filled */
static nw_status program_run(char *const words[], char *line, json_t **answer, int *code,
                             struct nw_error *err)
{
    char *text = malloc(ANSWER_MAX);
    char **environment = environment_make(line);
    size_t size = 0;
    pid_t pid = -1;
    int file = -1;
    nw_status status = NW_FATAL;

    *answer = NULL;
    (void)signal(SIGCHLD, SIG_DFL); /* where it was ignored nobody could be waited for */
    if (text == NULL || environment == NULL) {
        (void)nw_fail(err, NW_FATAL, "out of memory for an answer of Connect");
    } else {
        file = program_start(words, environment, &pid, err);
    }
    if (file >= 0) {
        size = all_read(file, text, ANSWER_MAX);
        *code = program_wait(pid);
        *answer = json_loadb(text, size, JSON_DECODE_ANY, NULL);
        status = NW_OK;
    }
    free(environment);
    free(text);
    return status;
}

static nw_status answer_judge(const char *url, int code, const json_t *answer, struct nw_error *err)
{
    const char *message = json_string_value(json_object_get(answer, "message"));

    if (code == 0) {
        return NW_OK;
    }
    if (code == REFUSED || code == FAILED) {
        return nw_fail(err, code == REFUSED ? NW_REJECT : NW_FATAL, "NW1552 Connect says of %s: %s",
                       url,
                       message != NULL   ? message
                       : code == REFUSED ? "it has no such thing"
                                         : "an error");
    }
    return nw_fail(err, NW_FATAL, "NW1552 Connect does not answer at %s", url);
}

nw_status nw_connect_ask(const char *method, const char *url, const char *body, json_t **answer,
                         struct nw_error *err)
{
    char *words[] = {(char *)(uintptr_t) "narwal-kafka", (char *)(uintptr_t) "connect",
                     (char *)(uintptr_t)method, (char *)(uintptr_t)body, NULL};
    char line[sizeof NW_CONNECT_VARIABLE + NW_CONNECT_URL_MAX];
    char shown[NW_CONNECT_URL_MAX];
    int code = 0;
    nw_status status = NW_OK;

    *answer = NULL;
    if (strlen(url) >= NW_CONNECT_URL_MAX) {
        return nw_fail(err, NW_REJECT, "NW1552 the URL is too long");
    }
    url_show(url, shown);
    (void)snprintf(line, sizeof line, "%s=%s", NW_CONNECT_VARIABLE, url);
    status = program_run(words, line, answer, &code, err);
    if (status == NW_OK) {
        status = answer_judge(shown, code, *answer, err);
    }
    if (status != NW_OK) {
        json_decref(*answer);
        *answer = NULL;
    }
    return status;
}

nw_status nw_offsets_of_topic(const char *file, const char *topic, const char *connector,
                              json_t **offsets, struct nw_error *err)
{
    char *words[] = {
        (char *)(uintptr_t) "narwal-kafka", (char *)(uintptr_t) "offsets", (char *)(uintptr_t)file,
        (char *)(uintptr_t)topic,           (char *)(uintptr_t)connector,  NULL};
    int code = 0;
    nw_status status = program_run(words, NULL, offsets, &code, err);

    if (status == NW_OK && code != 0) {
        json_decref(*offsets);
        *offsets = NULL;
        status = nw_fail(err, NW_FATAL, "NW1552 topic %s cannot be read, as said above", topic);
    }
    return status;
}

/* ---- a connector ---- */

static nw_status part_ask(const struct nw_connector *connector, const char *method,
                          const char *part, const char *body, json_t **answer, struct nw_error *err)
{
    const char *full = connector->full != NULL ? connector->full : connector->url;
    char url[NW_CONNECT_URL_MAX];
    size_t size = strlen(full);

    while (size > 0 && full[size - 1] == '/') {
        size--;
    }
    *answer = NULL;
    if (snprintf(url, sizeof url, "%.*s%s", (int)size, full, part) >= (int)sizeof url) {
        return nw_fail(err, NW_REJECT, "NW1552 the URL is too long");
    }
    return nw_connect_ask(method, url, body, answer, err);
}

static nw_status state_look(struct nw_connector *connector, struct nw_error *err)
{
    json_t *answer = NULL;
    const char *state = NULL;
    nw_status status = part_ask(connector, "GET", "/status", NULL, &answer, err);

    if (status == NW_OK) {
        state = json_string_value(json_object_get(json_object_get(answer, "connector"), "state"));
        (void)snprintf(connector->state, sizeof connector->state, "%s",
                       state == NULL ? "UNKNOWN" : state);
    }
    json_decref(answer);
    return status;
}

nw_status nw_connector_look(struct nw_connector *connector, struct nw_error *err)
{
    json_t *answer = NULL;
    nw_status status = NW_OK;

    if (connector->url == NULL) {
        return NW_OK;
    }
    if (connector->full == NULL) {
        connector->full = connector->url;
        url_show(connector->full, connector->shown);
        connector->url = connector->shown;
    }
    status = part_ask(connector, "GET", "", NULL, &answer, err);
    if (status == NW_OK) {
        connector->config = json_incref(json_object_get(answer, "config"));
        if (!json_is_object(connector->config)) {
            status = nw_fail(err, NW_FATAL,
                             "NW1552 %s is no connector: http://HOST:8083/connectors/NAME",
                             connector->url);
        }
    }
    json_decref(answer);
    return status == NW_OK ? state_look(connector, err) : status;
}

void nw_connector_fini(struct nw_connector *connector)
{
    json_decref(connector->config);
    connector->config = NULL;
}

nw_status nw_connector_stop(struct nw_connector *connector, struct nw_error *err)
{
    json_t *answer = NULL;
    nw_status status = part_ask(connector, "PUT", "/stop", NULL, &answer, err);

    json_decref(answer);
    for (int i = 0; i < 5 * STOP_SECONDS && status == NW_OK; i++) {
        status = state_look(connector, err);
        if (status == NW_OK && strcmp(connector->state, STATE_STOPS) == 0) {
            return NW_OK;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
    return status == NW_OK ? nw_fail(err, NW_FATAL, "NW1555 the connector is still %s after %d s",
                                     connector->state, STOP_SECONDS)
                           : status;
}

const char *nw_connector_property(const struct nw_connector *connector, const char *name,
                                  const char *otherwise)
{
    const char *value = json_string_value(json_object_get(connector->config, name));

    return value == NULL ? otherwise : value;
}

/* ---- its offset ---- */

nw_status nw_connector_offsets(const struct nw_connector *connector, json_t **offsets,
                               struct nw_error *err)
{
    return part_ask(connector, "GET", "/offsets", NULL, offsets, err);
}

nw_status nw_connector_offsets_write(const struct nw_connector *connector, const char *body,
                                     struct nw_error *err)
{
    json_t *answer = NULL;
    nw_status status = part_ask(connector, "PATCH", "/offsets", body, &answer, err);

    json_decref(answer);
    return status;
}

nw_status nw_offsets_read(const char *path, json_t **offsets, struct nw_error *err)
{
    json_error_t why;

    *offsets = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &why) : json_load_file(path, 0, &why);
    return *offsets != NULL ? NW_OK
                            : nw_fail(err, NW_FATAL, "NW1554 %s has no offset: %s", path, why.text);
}

nw_status nw_offset_find(json_t *offsets, const char *prefix, json_t **found, struct nw_error *err)
{
    json_t *list = json_object_get(offsets, "offsets");
    json_t *entry = NULL;
    size_t i = 0;

    *found = NULL;
    if (json_object_get(offsets, "lsn") != NULL) {
        *found = offsets;
    } else if (list == NULL && json_is_object(json_object_get(offsets, "offset"))) {
        *found = json_object_get(offsets, "offset");
    }
    json_array_foreach(list, i, entry)
    {
        const char *server =
            json_string_value(json_object_get(json_object_get(entry, "partition"), "server"));

        if (server != NULL && strcmp(server, prefix) == 0 &&
            json_is_object(json_object_get(entry, "offset"))) {
            *found = json_object_get(entry, "offset");
        }
    }
    return *found != NULL ? NW_OK
                          : nw_fail(err, NW_FATAL,
                                    "NW1554 there is no offset of topic.prefix %s: the connector "
                                    "has stored none yet, or is another one",
                                    prefix);
}

/* Connect prints numbers as such; files may have been edited. */
static uint64_t number(const json_t *offset, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(offset, name));

    return value < 0 ? 0 : (uint64_t)value;
}

static bool is_set(const json_t *offset, const char *name)
{
    const json_t *value = json_object_get(offset, name);

    return json_is_true(value) || (json_is_string(value) && json_string_length(value) > 0);
}

static enum nw_takeover_kind kind_of(const json_t *offset)
{
    const char *type = json_string_value(json_object_get(offset, "messageType"));

    if (type == NULL) { /* a snapshot's last record, also of a later one; or an older Debezium's */
        return json_object_get(offset, "lsn_proc") == NULL ||
                       is_set(offset, "snapshot_completed") ||
                       is_set(offset, "last_snapshot_record")
                   ? NW_TAKEOVER_NONE
                   : NW_TAKEOVER_CHANGE;
    }
    if (strcmp(type, "BEGIN") == 0 || strcmp(type, "COMMIT") == 0) {
        return NW_TAKEOVER_BETWEEN;
    }
    return strcmp(type, "MESSAGE") == 0 ? NW_TAKEOVER_MESSAGE : NW_TAKEOVER_CHANGE;
}

nw_status nw_offset_parse(const json_t *offset, struct nw_takeover_offset *to, struct nw_error *err)
{
    const char *type = json_string_value(json_object_get(offset, "messageType"));

    *to = (struct nw_takeover_offset){.kind = kind_of(offset),
                                      .unsure = type == NULL || strcmp(type, "NOOP") == 0,
                                      .lsn = number(offset, "lsn"),
                                      .lsn_proc = number(offset, "lsn_proc"),
                                      .lsn_commit = number(offset, "lsn_commit"),
                                      .xid = (uint32_t)number(offset, "txId"),
                                      .events = number(offset, "lsn_events_processed")};
    if (is_set(offset, "snapshot") && !is_set(offset, "snapshot_completed") &&
        !is_set(offset, "last_snapshot_record")) {
        return nw_fail(err, NW_FATAL,
                       "NW1556 the connector's first snapshot is not finished: let it, or begin "
                       "with narwal's own copy (docs/debezium.md)");
    }
    if (is_set(offset, "incremental_snapshot_collections")) {
        return nw_fail(err, NW_FATAL,
                       "NW1556 an incremental snapshot is under way: let it finish, or stop it "
                       "with a signal (stop-snapshot)");
    }
    return to->lsn != 0 ? NW_OK
                        : nw_fail(err, NW_FATAL,
                                  "NW1554 the offset has no lsn: it is not of Debezium's "
                                  "PostgreSQL connector");
}
