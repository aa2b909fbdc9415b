/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_where.h. */
#include "config/copy_where.h"

#include <string.h>

#include "config/run_config.h"

static const char BLANKS[] = " \t\r\n";

/* @return why it is none; NULL: it is one */
static const char *line_fault(const char *pattern_end, const char *condition)
{
    if (pattern_end == NULL || *condition == '\0') {
        return "write PATTERN: CONDITION, as: \"shop.orders: placed > '2026-01-01'\"";
    }
    return strlen(condition) > NW_COPY_WHERE_MAX ? "a condition of more than 1000 bytes" : NULL;
}

static nw_status line_read(const char *line, struct nw_arena *arena,
                           struct nw_config_copy_where *where, struct nw_error *err)
{
    const char *colon = strchr(line, ':');
    const char *condition = colon == NULL ? "" : colon + 1 + strspn(colon + 1, BLANKS);
    const char *fault = NULL;
    size_t size = 0;

    line += strspn(line, BLANKS);
    for (size = colon == NULL ? 0 : (size_t)(colon - line);
         size > 0 && strchr(BLANKS, line[size - 1]) != NULL; size--) {
    }
    fault = line_fault(size == 0 ? NULL : colon, condition);
    if (fault != NULL) {
        return nw_fail(err, NW_FATAL, "%s", fault);
    }
    where->condition = nw_arena_text(arena, condition);
    where->pattern = nw_arena_text_of(arena, line, size);
    return where->condition == NULL || where->pattern == NULL
               ? nw_fail(err, NW_FATAL, "out of memory")
               : NW_OK;
}

nw_status nw_copy_where_config_take(struct nw_run_config *config, const struct nw_node *copy,
                                    const struct nw_setting *lines, struct nw_error *err)
{
    const struct nw_node *at = nw_tree_member(copy, "where");
    struct nw_config_copy_where *made = NULL;
    uint32_t count = 0;

    while (lines->items != NULL && lines->items[count] != NULL) {
        count++;
    }
    made = nw_arena_array(&config->arena, count + 1, sizeof *made);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct nw_error why = {0};

        if (line_read(lines->items[i], &config->arena, &made[i], &why) != NW_OK) {
            return nw_tree_fail(at, "NW1003", err, "copy.where: %s", why.text);
        }
    }
    config->copy_where = made;
    config->copy_where_count = count;
    return NW_OK;
}
