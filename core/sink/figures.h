/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that a plugin publishes of itself (nw_host.figure_add), for status and metrics. Any
 * thread of the plugin sets them, any of narwal's reads them.
 */
#ifndef NW_SINK_FIGURES_H
#define NW_SINK_FIGURES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <narwal/sink.h>

#define NW_FIGURES_MAX      16u
#define NW_FIGURE_NAME_SIZE 48u
#define NW_FIGURE_TEXT_SIZE 96u

struct nw_figure {
    char name[NW_FIGURE_NAME_SIZE]; /* as the next two, not changed once it is counted */
    char text[NW_FIGURE_TEXT_SIZE];
    enum nw_figure_kind kind;
    _Atomic uint64_t bits; /* of the double */
    atomic_bool set;
};

struct nw_figures {
    atomic_uint count;
    struct nw_figure list[NW_FIGURES_MAX];
};

/** One for a reader. */
struct nw_figure_value {
    char name[NW_FIGURE_NAME_SIZE];
    char text[NW_FIGURE_TEXT_SIZE];
    bool counts;
    double value;
};

/** See nw_host.figure_add; one thread at a time. */
uint32_t nw_figures_add(struct nw_figures *figures, const char *name, const char *text,
                        enum nw_figure_kind kind);
/** See nw_host.figure_set. */
void nw_figures_set(struct nw_figures *figures, uint32_t figure, double value);
/** Those that were set. @param values  NW_FIGURES_MAX of them. @return how many */
uint32_t nw_figures_read(const struct nw_figures *figures, struct nw_figure_value *values);

#endif
