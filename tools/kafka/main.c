/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal-kafka`: what narwal's commands that speak to Kafka become. It is installed beside the
 * plugins, and narwal starts it with the arguments that it was given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "kafka/compare.h"
#include "kafka/connect.h"

#define TROUBLE 2 /* the exit code of a comparison that was not made */

/* Names of both sides as findings, each once. They are sorted. @param names  taken over */
static nw_status findings_make(char **names[2], const size_t counts[2],
                               const struct nw_diff_topics *request, struct nw_finding **findings,
                               size_t *count, struct nw_error *err)
{
    size_t at[2] = {0, 0};

    *count = 0;
    *findings = calloc(counts[0] + counts[1] + 1, sizeof **findings);
    if (*findings == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu topics", counts[0] + counts[1]);
    }
    while (at[0] < counts[0] || at[1] < counts[1]) {
        int order = at[0] == counts[0]   ? 1
                    : at[1] == counts[1] ? -1
                                         : strcmp(names[0][at[0]], names[1][at[1]]);
        struct nw_finding *finding = &(*findings)[*count];

        *finding = (struct nw_finding){.name = order <= 0 ? names[0][at[0]] : names[1][at[1]],
                                       .there = {order <= 0, order >= 0}};
        at[0] += order <= 0;
        at[1] += order >= 0;
        if (request->only_count == 0 || nw_patterns_match(request->only, finding->name)) {
            finding->paths = json_object();
            finding->differences = json_array();
            (*count)++;
        }
    }
    return NW_OK;
}

static void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

/* @return the exit code */
static int topics_compare(struct nw_comparison *comparison, struct nw_finding *findings,
                          size_t count, struct nw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (nw_compare_topic(comparison, &findings[i], err) != NW_OK) {
            nw_complain_error(err);
            return TROUBLE;
        }
        if (!comparison->request->as_json) {
            nw_finding_print(&findings[i]);
            (void)fflush(stdout);
        }
    }
    return nw_report(comparison, findings, count) ? 0 : NW_EXIT_FAILED;
}

/* @return the exit code */
static int sides_compare(struct nw_comparison *comparison, struct nw_error *err)
{
    char **names[2] = {NULL, NULL};
    size_t counts[2] = {0, 0};
    struct nw_finding *findings = NULL;
    size_t count = 0;
    int code = TROUBLE;
    nw_status status = nw_side_topics(&comparison->sides[0], &names[0], &counts[0], err);

    if (status == NW_OK) {
        status = nw_side_topics(&comparison->sides[1], &names[1], &counts[1], err);
    }
    if (status == NW_OK) {
        status = findings_make(names, counts, comparison->request, &findings, &count, err);
    }
    if (status == NW_OK && count == 0) {
        status = nw_fail(err, NW_FATAL, "NW1541 no topic is called %s.* or %s.*",
                         comparison->sides[0].prefix, comparison->sides[1].prefix);
    }
    if (status == NW_OK) {
        code = topics_compare(comparison, findings, count, err);
    } else {
        nw_complain_error(err);
    }
    for (size_t i = 0; i < count; i++) {
        json_decref(findings[i].paths);
        json_decref(findings[i].differences);
    }
    free(findings);
    names_free(names[0], counts[0]);
    names_free(names[1], counts[1]);
    return code;
}

static int64_t wall_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(int64_t us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    (void)nanosleep(&time, NULL);
}

static int diff_topics(int argc, char **argv)
{
    struct nw_diff_topics request;
    struct nw_comparison comparison = {.request = &request, .began_ms = INT64_MAX};
    struct nw_error err = {0};
    int code = nw_diff_topics_read(argc, argv, &request);

    if (code != NW_GO_ON) {
        return code;
    }
    if (nw_sides_open(&request, comparison.sides, &err) != NW_OK) {
        nw_complain_error(&err);
        return TROUBLE;
    }
    comparison.since_ms = request.since_us > 0 ? wall_ms() - request.since_us / 1000 : INT64_MIN;
    if (request.follow_us > 0) {
        comparison.began_ms = wall_ms();
        rest(request.follow_us);
    }
    code = sides_compare(&comparison, &err);
    nw_sides_close(comparison.sides);
    return code;
}

static int import_debezium(int argc, char **argv)
{
    struct nw_import_debezium request;
    int code = nw_import_debezium_read(argc, argv, &request);

    return code == NW_GO_ON ? nw_connect_import(&request) : code;
}

int main(int argc, char **argv)
{
    int code = TROUBLE;

    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    if (argc > 1 && strcmp(argv[1], "diff-topics") == 0) {
        code = diff_topics(argc - 1, argv + 1);
    } else if (argc > 1 && strcmp(argv[1], "import-debezium") == 0) {
        code = import_debezium(argc - 1, argv + 1);
    } else if (argc == 5 && strcmp(argv[1], "offsets") == 0) {
        return nw_offsets_print(argv[2], argv[3], argv[4]);
    } else if (argc > 2 && strcmp(argv[1], "connect") == 0) {
        return nw_connect_request(argc - 2, argv + 2);
    } else {
        nw_complain("NW1501 this program is started by narwal");
    }
    if (code == TROUBLE) {
        nw_explain_hint();
    }
    return code;
}
