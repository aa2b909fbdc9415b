/* SPDX-License-Identifier: Apache-2.0 */
/* What a comparison found, for people and for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kafka/compare.h"

#define PATHS_LISTED 12u

static bool is_equal(const struct nw_finding *finding)
{
    return finding->different == 0 && finding->only[0] == 0 && finding->only[1] == 0;
}

/* ---- for people ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? "" : text;
}

static void place_print(const json_t *difference, const char *name, const char *shown)
{
    const json_t *place = json_object_get(difference, name);

    if (json_is_object(place)) {
        (void)printf("  %s %" JSON_INTEGER_FORMAT "@%" JSON_INTEGER_FORMAT, shown,
                     json_integer_value(json_object_get(place, "partition")),
                     json_integer_value(json_object_get(place, "offset")));
    }
}

static void difference_print(const json_t *difference)
{
    const json_t *paths = json_object_get(difference, "paths");
    json_int_t count = json_integer_value(json_object_get(difference, "paths_count"));
    bool of_a = json_is_object(json_object_get(difference, "a"));
    bool of_b = json_is_object(json_object_get(difference, "b"));
    size_t i = 0;
    const json_t *path = NULL;

    (void)printf("  %s  %s", text_of(difference, "key"), text_of(difference, "op"));
    place_print(difference, "a", of_b ? "A" : "only in A:");
    place_print(difference, "b", of_a ? "B" : "only in B:");
    (void)printf("\n");
    json_array_foreach(paths, i, path)
    {
        (void)printf("    %s\n      A %s\n      B %s\n", text_of(path, "path"), text_of(path, "a"),
                     text_of(path, "b"));
    }
    if ((size_t)count > json_array_size(paths)) {
        (void)printf("    and %" JSON_INTEGER_FORMAT " more\n",
                     count - (json_int_t)json_array_size(paths));
    }
}

static void paths_print(const struct nw_finding *finding)
{
    const char *path = NULL;
    json_t *count = NULL;
    uint32_t listed = 0;

    if (json_object_size(finding->paths) == 0) {
        return;
    }
    (void)printf("  of %" PRIu64 " looked at:", finding->examined);
    json_object_foreach(finding->paths, path, count)
    {
        if (listed++ < PATHS_LISTED) {
            (void)printf("%s %s %" JSON_INTEGER_FORMAT, listed > 1 ? "," : "", path,
                         json_integer_value(count));
        }
    }
    if (listed > PATHS_LISTED) {
        (void)printf(", and %u more paths", listed - PATHS_LISTED);
    }
    (void)printf("\n");
}

static void again_print(const struct nw_finding *finding, int side)
{
    if (finding->again[side] > 0) {
        (void)printf("  of those only in %c %" PRIu64 " say again what came before\n",
                     side == 0 ? 'A' : 'B', finding->again[side]);
    }
}

void nw_progress_say(const char *name, char side, uint64_t read, uint64_t total)
{
    if (isatty(STDERR_FILENO) == 0) {
        return;
    }
    if (total == 0) {
        (void)fprintf(stderr, "\r\033[K");
    } else {
        (void)fprintf(stderr, "\r\033[K%s: %" PRIu64 " of %" PRIu64 " events of %c", name, read,
                      total, side);
    }
    (void)fflush(stderr);
}

void nw_finding_print(const struct nw_finding *finding)
{
    size_t i = 0;
    const json_t *difference = NULL;

    if (is_equal(finding)) {
        return;
    }
    if (!finding->there[0] || !finding->there[1]) {
        (void)printf("%s: %s has no such topic\n\n", finding->name, finding->there[0] ? "B" : "A");
        return;
    }
    (void)printf("%s: %" PRIu64 " events differ, %" PRIu64 " are only in A, %" PRIu64
                 " only in B\n",
                 finding->name, finding->different, finding->only[0], finding->only[1]);
    again_print(finding, 0);
    again_print(finding, 1);
    json_array_foreach(finding->differences, i, difference)
    {
        difference_print(difference);
    }
    paths_print(finding);
    (void)printf("\n");
}

/* Numbers that a registry has no Avro for. */
static uint64_t unread_count(const struct nw_comparison *comparison)
{
    return comparison->sides[0].own.unread + comparison->sides[1].own.unread;
}

static void unread_say(const struct nw_comparison *comparison)
{
    for (int i = 0; i < 2; i++) {
        const struct nw_schemas *own = &comparison->sides[i].own;

        if (own->unread > 0) {
            (void)fprintf(stderr,
                          "%s (%" PRIu64 " such numbers): what has them was compared as bytes\n",
                          own->why.text, own->unread);
        }
    }
}

static void summary_print(const struct nw_comparison *comparison, const struct nw_finding *findings,
                          size_t count, bool equal)
{
    int width = 5;
    uint64_t pending = 0;
    bool avro = false;

    for (size_t i = 0; i < count; i++) {
        int size = (int)strlen(findings[i].name);

        width = size > width ? size : width;
    }
    for (int i = 0; i < 2; i++) {
        (void)printf("%c  %s.*  at %s\n", comparison->sides[i].name, comparison->sides[i].prefix,
                     comparison->sides[i].brokers);
    }
    (void)printf("\n%-*s %10s %10s %10s %10s %8s %8s\n", width, "topic", "events A", "events B",
                 "equal", "different", "only A", "only B");
    for (size_t i = 0; i < count; i++) {
        const struct nw_finding *f = &findings[i];

        (void)printf("%-*s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64
                     " %8" PRIu64 "%s\n",
                     width, f->name, f->events[0], f->events[1], f->equal, f->different, f->only[0],
                     f->only[1],
                     f->there[0] && f->there[1] && f->partitions[0] != f->partitions[1]
                         ? "  partitions differ"
                         : "");
        pending += f->pending;
        avro |= f->avro && !is_equal(f);
    }
    if (avro) {
        (void)printf("Avro was compared as bytes: --registry URL compares its fields\n");
    }
    if (pending > 0) {
        (void)printf("%" PRIu64 " newer events are not on both sides yet\n", pending);
    }
    (void)printf("\n%s\n", equal ? "equal" : "different");
}

/* ---- for programs ---- */

static json_t *finding_json(const struct nw_finding *f)
{
    return json_pack(
        "{s:s,s:[b,b],s:[i,i],s:[I,I],s:I,s:I,s:[I,I],s:[I,I],s:I,s:I,s:O,s:O}", "topic", f->name,
        "there", (int)f->there[0], (int)f->there[1], "partitions", (int)f->partitions[0],
        (int)f->partitions[1], "events", (json_int_t)f->events[0], (json_int_t)f->events[1],
        "equal", (json_int_t)f->equal, "different", (json_int_t)f->different, "only",
        (json_int_t)f->only[0], (json_int_t)f->only[1], "again", (json_int_t)f->again[0],
        (json_int_t)f->again[1], "pending", (json_int_t)f->pending, "examined",
        (json_int_t)f->examined, "paths", f->paths, "differences", f->differences);
}

static json_t *side_json(const struct nw_side *side)
{
    return json_pack("{s:s,s:s}", "prefix", side->prefix, "brokers", side->brokers);
}

static void json_print(const struct nw_comparison *comparison, const struct nw_finding *findings,
                       size_t count, bool equal)
{
    json_t *topics = json_array();
    json_t *root = NULL;

    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(topics, finding_json(&findings[i]));
    }
    root = json_pack("{s:o,s:o,s:b,s:I,s:o}", "a", side_json(&comparison->sides[0]), "b",
                     side_json(&comparison->sides[1]), "equal", (int)equal, "unread_schemas",
                     (json_int_t)unread_count(comparison), "topics", topics);
    (void)json_dumpf(root, stdout, JSON_INDENT(1));
    (void)printf("\n");
    json_decref(root);
}

bool nw_report(const struct nw_comparison *comparison, const struct nw_finding *findings,
               size_t count)
{
    bool equal = true;

    for (size_t i = 0; i < count; i++) {
        equal = equal && is_equal(&findings[i]);
    }
    if (comparison->request->as_json) {
        json_print(comparison, findings, count, equal);
    } else {
        summary_print(comparison, findings, count, equal);
    }
    unread_say(comparison);
    return equal;
}
