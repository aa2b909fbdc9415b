/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of `reshape`, read: see reshape.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/format/reshape_step.h"

static const struct {
    const char *word;
    enum nw_reshape_kind kind;
} kinds[] = {
    {"defaults", NW_RESHAPE_DEFAULTS}, {"keep", NW_RESHAPE_KEEP},     {"drop", NW_RESHAPE_DROP},
    {"rename", NW_RESHAPE_RENAME},     {"mask", NW_RESHAPE_MASK},     {"cast", NW_RESHAPE_CAST},
    {"time", NW_RESHAPE_TIME},         {"insert", NW_RESHAPE_INSERT}, {"topic", NW_RESHAPE_TOPIC},
    {"envelope", NW_RESHAPE_ENVELOPE},
};

static const char *const types[] = {
    [NW_CONNECT_INT8] = "int8",       [NW_CONNECT_INT16] = "int16",
    [NW_CONNECT_INT32] = "int32",     [NW_CONNECT_INT64] = "int64",
    [NW_CONNECT_FLOAT32] = "float32", [NW_CONNECT_FLOAT64] = "float64",
    [NW_CONNECT_BOOLEAN] = "boolean", [NW_CONNECT_STRING] = "string",
};
static const char *const times[] = {"string", "unix", "Date", "Time", "Timestamp"};
static const char *const units[] = {"s", "ms", "us", "ns"};

static int word_find(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; word != NULL && i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* A copy without the blanks around it. */
static const char *trimmed(struct nw_pool *pool, const char *at, size_t size)
{
    while (size > 0 && *at == ' ') {
        at++;
        size--;
    }
    while (size > 0 && at[size - 1] == ' ') {
        size--;
    }
    return nw_pool_text(pool, at, size);
}

/* "a", or "a: b". @return false: a part is empty, or memory is out */
static bool name_read(struct nw_pool *pool, struct nw_reshape_name *name, const char *at,
                      size_t size, bool pair)
{
    const char *colon = pair ? memchr(at, ':', size) : NULL;

    if (pair && colon == NULL) {
        return false;
    }
    name->name = trimmed(pool, at, pair ? (size_t)(colon - at) : size);
    name->to = pair ? trimmed(pool, colon + 1, size - (size_t)(colon + 1 - at)) : name->name;
    return name->name != NULL && name->name[0] != '\0' && name->to != NULL && name->to[0] != '\0';
}

/* "a, b: c". @return false: one is none, or there are too many, or memory is out */
static bool names_read(struct nw_pool *pool, struct nw_reshape_step *step, const char *at,
                       size_t left, bool pairs)
{
    bool more = true;

    step->names = nw_pool_get(pool, NW_RESHAPE_NAMES_MAX * sizeof *step->names);
    step->count = 0;
    while (more) {
        const char *comma = memchr(at, ',', left);
        size_t size = comma == NULL ? left : (size_t)(comma - at);

        if (step->names == NULL || step->count == NW_RESHAPE_NAMES_MAX ||
            !name_read(pool, &step->names[step->count++], at, size, pairs)) {
            return false;
        }
        more = comma != NULL;
        at += more ? size + 1 : 0;
        left -= more ? size + 1 : 0;
    }
    return true;
}

static bool casts_read(struct nw_reshape_step *step)
{
    for (uint32_t i = 0; i < step->count; i++) {
        int type = word_find(step->names[i].to, types, sizeof types / sizeof types[0]);

        if (type < 0) {
            return false;
        }
        step->names[i].kind = (enum nw_connect_kind)type;
    }
    return true;
}

/* "unix us". @param pattern  NULL: there is none */
static bool time_read(struct nw_pool *pool, struct nw_reshape_step *step, const char *pattern,
                      const char **why)
{
    const char *wanted = step->names[0].to;
    const char *blank = strchr(wanted, ' ');
    const char *target =
        trimmed(pool, wanted, blank == NULL ? strlen(wanted) : (size_t)(blank - wanted));
    const char *unit = blank == NULL ? "ms" : trimmed(pool, blank, strlen(blank));
    int time = word_find(target, times, sizeof times / sizeof times[0]);
    int found = word_find(unit, units, sizeof units / sizeof units[0]);

    if (time < 0 || found < 0 || step->count != 1) {
        return false;
    }
    step->time = (enum nw_reshape_time)time;
    step->unit = (enum nw_reshape_unit)found;
    if (pattern == NULL) {
        *why = "a string wants = PATTERN";
        return step->time != NW_TIME_STRING;
    }
    step->format = nw_pool_get(pool, sizeof *step->format);
    return step->format != NULL && nw_java_time_read(step->format, pattern, why);
}

/* NAME, or NAME! of a field that is required. */
static bool inserted_read(struct nw_reshape_step *step)
{
    const char *name = step->names[0].name;
    size_t size = strlen(name);
    char *last = NULL;

    if (step->count != 1) {
        return false;
    }
    last = (char *)(uintptr_t)&name[size - 1]; /* of the pool's copy */
    step->required = *last == '!';
    if (*last == '!' || *last == '?') {
        *last = '\0';
    }
    return name[0] != '\0';
}

static bool envelope_read(struct nw_pool *pool, struct nw_reshape_step *step)
{
    struct nw_added_item *item = nw_pool_get(pool, sizeof *item);

    if (item == NULL || step->count != 1 ||
        !nw_meta_find(step->names[0].name, "", &item->meta, item->name)) {
        return false;
    }
    item->schema = *nw_meta_schema(item->meta);
    item->schema.optional = true;
    item->schema.fallback = NULL;
    step->item = item;
    return true;
}

/* What is behind a step's word. */
static bool rest_read(struct nw_pool *pool, struct nw_reshape_step *step, const char *rest,
                      const char **why)
{
    bool equals = step->kind == NW_RESHAPE_MASK || step->kind == NW_RESHAPE_TIME ||
                  step->kind == NW_RESHAPE_INSERT;
    bool pairs = step->kind == NW_RESHAPE_RENAME || step->kind == NW_RESHAPE_CAST ||
                 step->kind == NW_RESHAPE_TIME || step->kind == NW_RESHAPE_ENVELOPE;
    const char *sign = equals ? strchr(rest, '=') : NULL;
    const char *text = sign == NULL ? NULL : sign + 1 + (sign[1] == ' ');

    if (step->kind == NW_RESHAPE_DEFAULTS) {
        return rest[0] == '\0';
    }
    if (!names_read(pool, step, rest, sign == NULL ? strlen(rest) : (size_t)(sign - rest), pairs)) {
        return false;
    }
    step->text = text == NULL ? NULL : nw_pool_text(pool, text, strlen(text));
    switch (step->kind) {
    case NW_RESHAPE_CAST:
        return casts_read(step);
    case NW_RESHAPE_TIME:
        return time_read(pool, step, text, why);
    case NW_RESHAPE_INSERT:
        return step->text != NULL && inserted_read(step);
    case NW_RESHAPE_TOPIC:
        return inserted_read(step);
    case NW_RESHAPE_ENVELOPE:
        return envelope_read(pool, step);
    case NW_RESHAPE_MASK:
        return text == NULL || text[0] != '\0';
    case NW_RESHAPE_DEFAULTS:
    case NW_RESHAPE_KEEP:
    case NW_RESHAPE_DROP:
    case NW_RESHAPE_RENAME:
        break;
    }
    return true;
}

static bool step_read(struct nw_pool *pool, struct nw_reshape_step *step, const char *item,
                      const char **why)
{
    size_t size = strcspn(item, " ");

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].word) == size && strncmp(kinds[i].word, item, size) == 0) {
            *step = (struct nw_reshape_step){.kind = kinds[i].kind};
            return rest_read(pool, step, item + size + strspn(item + size, " "), why);
        }
    }
    return false;
}

nw_status nw_reshape_options_read(const char *const *items, const char *option,
                                  struct nw_reshape_options **made, struct nw_error *err)
{
    struct nw_reshape_options *to = NULL;
    nw_status status = NW_OK;

    *made = NULL;
    if (items == NULL || items[0] == NULL) {
        return NW_OK;
    }
    to = calloc(1, sizeof *to);
    if (to == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for %s", option);
    }
    for (size_t i = 0; items[i] != NULL && status == NW_OK; i++) {
        const char *why = "docs/formats.md lists the steps";

        if (to->count == NW_RESHAPE_STEPS_MAX) {
            status = nw_fail(err, NW_FATAL, "NW1003 %s: at most %u are taken", option,
                             NW_RESHAPE_STEPS_MAX);
        } else if (!step_read(&to->pool, &to->steps[to->count++], items[i], &why)) {
            status = to->pool.failed ? nw_fail(err, NW_RETRY, "out of memory for %s", option)
                                     : nw_fail(err, NW_FATAL, "NW1003 %s: \"%s\" is no step: %s",
                                               option, items[i], why);
        }
    }
    if (status != NW_OK) {
        nw_reshape_options_destroy(to);
        return status;
    }
    *made = to;
    return NW_OK;
}

void nw_reshape_options_destroy(struct nw_reshape_options *options)
{
    if (options != NULL) {
        nw_pool_fini(&options->pool);
        free(options);
    }
}
