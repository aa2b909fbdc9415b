/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal diff-topics`: its arguments; narwal-kafka beside the plugins does it. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/kafka.h"

#define PROGRAM        "narwal-kafka"
#define SHOWN_DEFAULT  5
#define SHOWN_MAX      1000
#define MEMORY_DEFAULT (INT64_C(256) << 20)
#define MEMORY_MIN     (INT64_C(1) << 20)
#define FOLLOW_US_MAX  (INT64_C(86400) * 1000000)

static const char HELP[] =
    "usage: narwal diff-topics A B [--brokers LIST] [--brokers-b LIST] [-X NAME=VALUE ...]\n"
    "                          [--registry URL] [--registry-b URL]\n"
    "                          [--only PATTERN ...] [--mask PATH ...] [--strict]\n"
    "                          [--since DURATION] [--follow DURATION] [--show N] [--memory SIZE]\n"
    "                          [--json]\n\n"
    "Compares the topics of two prefixes event by event: tables, keys in their order, values,\n"
    "headers, partitions. A and B are prefixes of topics, or FILE.yaml[:SINK], a Kafka sink of a\n"
    "configuration, whose connection then serves both.\n\n"
    "  --brokers LIST     where prefixes are: HOST:PORT,...\n"
    "  --brokers-b LIST   where B is, if not there\n"
    "  -X NAME=VALUE, --property NAME=VALUE  a setting of librdkafka, for both\n"
    "  --registry URL     a schema registry with Confluent's API: Avro is compared field by "
    "field,\n"
    "                     and its schemas; a configuration may have it\n"
    "  --registry-b URL   the one of B, if it has another\n"
    "  --registry-username NAME, --registry-ca FILE, --registry-cert FILE, --registry-key FILE\n"
    "                     as a sink's registry_username...; the password is in\n"
    "                     $NARWAL_REGISTRY_PASSWORD, or a token in $NARWAL_REGISTRY_TOKEN\n"
    "  --only PATTERN     only topics whose name behind the prefix is like this: public.*\n"
    "  --mask PATH        leave this out: source.ts_ms (of the value), key.id, header.NAME; * is\n"
    "                     any text\n"
    "  --strict           leave nothing out by default; members in the same order, numbers as\n"
    "                     written\n"
    "  --since DURATION   only what was committed in the database so long ago or later\n"
    "  --follow DURATION  read on for so long; what then only one has of that time is pending\n"
    "  --show N           differences of a table that are printed (default 5)\n"
    "  --memory SIZE      for both sides of a topic (default 256MiB); a larger topic is read\n"
    "                     several times\n"
    "  --json             one object for programs; docs/debezium.md explains it\n\n"
    "What cannot be equal is left out: ts_ms, ts_us and ts_ns of the event, source.sequence, the\n"
    "header __debezium.context.runId, and of rows of a snapshot source.lsn, txId and ts_*. The\n"
    "prefix in source.name, in headers and in names of schemas counts as the same.\n"
    "exit codes: 0 equal, 1 different, 2 called wrongly or not to be read\n";

static bool since_check(struct nw_diff_topics *request, const char *since)
{
    if (since != NULL &&
        (!nw_duration_parse(since, &request->since_us) || request->since_us <= 0)) {
        nw_complain("NW1501 --since %s: a time as 10min or 2h", since);
        return false;
    }
    return true;
}

static bool request_check(struct nw_diff_topics *request, const char *follow, const char *shown,
                          const char *memory)
{
    if (request->words[0] == NULL || request->words[1] == NULL) {
        nw_complain("NW1501 two sets of topics are compared: narwal diff-topics A B");
        return false;
    }
    if (follow != NULL && (!nw_duration_parse(follow, &request->follow_us) ||
                           request->follow_us < 0 || request->follow_us > FOLLOW_US_MAX)) {
        nw_complain("NW1501 --follow %s: a time as 30s or 5min, at most a day", follow);
        return false;
    }
    if (shown != NULL && (!nw_integer_parse(shown, &request->shown) || request->shown < 0 ||
                          request->shown > SHOWN_MAX)) {
        nw_complain("NW1501 --show %s: a number from 0 to %d", shown, SHOWN_MAX);
        return false;
    }
    if (memory != NULL &&
        (!nw_size_parse(memory, &request->memory_bytes) || request->memory_bytes < MEMORY_MIN)) {
        nw_complain("NW1501 --memory %s: a size as 256MiB, at least 1MiB", memory);
        return false;
    }
    return true;
}

int nw_diff_topics_read(int argc, char **argv, struct nw_diff_topics *request)
{
    const char *follow = NULL;
    const char *since = NULL;
    const char *shown = NULL;
    const char *memory = NULL;
    const struct nw_argument known[] = {
        {.name = "brokers", .value = &request->brokers[0]},
        {.name = "brokers-b", .value = &request->brokers[1]},
        {.name = "property",
         .letter = 'X',
         .list = request->properties,
         .list_count = &request->properties_count,
         .list_max = NW_KAFKA_PROPERTIES_MAX},
        {.name = "registry", .value = &request->registry[0]},
        {.name = "registry-b", .value = &request->registry[1]},
        {.name = "registry-username", .value = &request->registry_username},
        {.name = "registry-ca", .value = &request->registry_ca},
        {.name = "registry-cert", .value = &request->registry_cert},
        {.name = "registry-key", .value = &request->registry_key},
        {.name = "only",
         .list = request->only,
         .list_count = &request->only_count,
         .list_max = NW_DIFF_PATTERNS_MAX},
        {.name = "mask",
         .list = request->masks,
         .list_count = &request->masks_count,
         .list_max = NW_DIFF_PATTERNS_MAX},
        {.name = "strict", .flag = &request->strict},
        {.name = "since", .value = &since},
        {.name = "follow", .value = &follow},
        {.name = "show", .value = &shown},
        {.name = "memory", .value = &memory},
        {.name = "json", .flag = &request->as_json},
        {.name = NULL}};
    int code = 0;

    *request = (struct nw_diff_topics){.shown = SHOWN_DEFAULT, .memory_bytes = MEMORY_DEFAULT};
    code = nw_arguments_read(argc, argv, known, HELP, request->words, 2);
    if (code != NW_GO_ON) {
        return code;
    }
    return since_check(request, since) && request_check(request, follow, shown, memory)
               ? NW_GO_ON
               : NW_EXIT_USAGE;
}

void nw_kafka_path(char path[static NW_KAFKA_PATH_SIZE])
{
    char buffer[NW_FOLDER_SIZE];

    (void)snprintf(path, NW_KAFKA_PATH_SIZE, "%s/" PROGRAM,
                   nw_plugin_folder(NULL, buffer, sizeof buffer));
}

int nw_kafka_become(char **argv)
{
    char buffer[NW_FOLDER_SIZE];
    char path[NW_KAFKA_PATH_SIZE];
    const char *folder = nw_plugin_folder(NULL, buffer, sizeof buffer);

    nw_kafka_path(path);
    if (setenv("NARWAL_PLUGIN_DIR", folder, 1) == 0) { /* NOLINT(concurrency-mt-unsafe): one */
        (void)execv(path, argv - 1);
    }
    nw_complain("NW1540 %s cannot be started: %s", path, nw_errno_text(errno));
    return NW_EXIT_USAGE;
}

int nw_cmd_diff_topics(int argc, char **argv)
{
    struct nw_diff_topics request;
    int code = nw_diff_topics_read(argc, argv, &request);

    return code == NW_GO_ON ? nw_kafka_become(argv) : code;
}
