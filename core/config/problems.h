/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mistakes of a configuration, gathered so that a file can be mended in one go. In the order of
 * their places in the file; bounded. Owned by whoever loads the configuration; one thread.
 */
#ifndef NW_CONFIG_PROBLEMS_H
#define NW_CONFIG_PROBLEMS_H

#include <stdint.h>

#include <narwal/status.h>

#define NW_PROBLEMS_MAX 20u

struct nw_problem {
    unsigned line, column; /* only the order: the text names the place */
    char text[NW_ERROR_TEXT_SIZE];
};

struct nw_problems {
    uint32_t count;
    uint32_t dropped; /* mistakes that had no room */
    struct nw_problem items[NW_PROBLEMS_MAX];
};

/** @param problems  NULL: nothing is gathered */
void nw_problems_add(struct nw_problems *problems, unsigned line, unsigned column,
                     const char *text);

#endif
