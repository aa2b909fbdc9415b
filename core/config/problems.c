/* SPDX-License-Identifier: Apache-2.0 */
/* See problems.h. */
#include "config/problems.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool stands_before(const struct nw_problem *problem, unsigned line, unsigned column)
{
    return problem->line < line || (problem->line == line && problem->column <= column);
}

void nw_problems_add(struct nw_problems *problems, unsigned line, unsigned column, const char *text)
{
    uint32_t at = 0;

    if (problems == NULL) {
        return;
    }
    if (problems->count == NW_PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    while (at < problems->count && stands_before(&problems->items[at], line, column)) {
        at++;
    }
    memmove(&problems->items[at + 1], &problems->items[at],
            (problems->count - at) * sizeof problems->items[0]);
    problems->items[at].line = line;
    problems->items[at].column = column;
    (void)snprintf(problems->items[at].text, sizeof problems->items[at].text, "%s", text);
    problems->count++;
}
