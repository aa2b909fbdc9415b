/* SPDX-License-Identifier: Apache-2.0 */
/* See table_list.h. */
#include "pipeline/table_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_BYTES_MAX (64u << 20)

const char *nw_table_state_name(enum nw_table_state state)
{
    static const char *const names[NW_STATES_COUNT] = {"stopped", "doubtful", "dropped",
                                                       "paused",  "resuming", "waiting",
                                                       "copying", "left out", "streaming"};

    return names[state];
}

enum nw_table_state nw_table_state_of(enum nw_table_condition condition)
{
    switch (condition) {
    case NW_TABLE_STOPPED:
    case NW_TABLE_KEPT:
        return NW_STATE_STOPPED;
    case NW_TABLE_PAUSED:
        return NW_STATE_PAUSED;
    case NW_TABLE_RESUMING:
        return NW_STATE_RESUMING;
    case NW_TABLE_DROPPED:
        return NW_STATE_DROPPED;
    case NW_TABLE_DOUBTFUL:
        return NW_STATE_DOUBTFUL;
    case NW_TABLE_WAITING:
    case NW_TABLE_ASKED:
        return NW_STATE_WAITING;
    case NW_TABLE_LEFT_OUT:
        break;
    }
    return NW_STATE_LEFT_OUT;
}

void nw_table_list_init(struct nw_table_list *list)
{
    memset(list, 0, sizeof *list);
    nw_arena_init(&list->arena, TEXTS_BYTES_MAX);
}

void nw_table_list_fini(struct nw_table_list *list)
{
    nw_arena_fini(&list->arena);
    free(list->lines);
}

void nw_table_list_clear(struct nw_table_list *list)
{
    nw_arena_reset(&list->arena);
    memset(list->counts, 0, sizeof list->counts);
    list->count = 0;
}

bool nw_table_list_add(struct nw_table_list *list, const struct nw_table_line *line)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct nw_table_line *lines = reallocarray(list->lines, capacity, sizeof *lines);

        if (lines == NULL) {
            return false;
        }
        list->lines = lines;
        list->capacity = capacity;
    }
    list->lines[list->count] = *line;
    list->lines[list->count].since_us = (int64_t)list->count; /* its turn, until it is settled */
    list->count++;
    return true;
}

static int by_oid(const void *left, const void *right)
{
    const struct nw_table_line *a = left;
    const struct nw_table_line *b = right;

    return a->relation_oid < b->relation_oid ? -1 : a->relation_oid > b->relation_oid;
}

static int by_oid_and_turn(const void *left, const void *right)
{
    const struct nw_table_line *a = left;
    const struct nw_table_line *b = right;
    int order = by_oid(a, b);

    return order != 0 ? order : a->since_us < b->since_us ? -1 : a->since_us > b->since_us;
}

void nw_table_list_settle(struct nw_table_list *list)
{
    size_t kept = 0;

    if (list->count > 0) {
        qsort(list->lines, list->count, sizeof *list->lines, by_oid_and_turn);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || list->lines[kept - 1].relation_oid != list->lines[i].relation_oid) {
            list->lines[kept] = list->lines[i];
            list->lines[kept++].since_us = 0;
        }
    }
    list->count = kept;
}

struct nw_table_line *nw_table_list_find(const struct nw_table_list *list, uint32_t relation_oid)
{
    const struct nw_table_line key = {.relation_oid = relation_oid};

    return list->count == 0 ? NULL
                            : bsearch(&key, list->lines, list->count, sizeof *list->lines, by_oid);
}

const char *nw_table_list_text(struct nw_table_list *list, const char *format, ...)
{
    char text[NW_ERROR_TEXT_SIZE];
    const char *kept = NULL;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    kept = nw_arena_text(&list->arena, text);
    return kept == NULL ? "" : kept;
}
