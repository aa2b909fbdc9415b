/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two configurations held against each other, key by key: what a reload shows and applies. Pure.
 */
#ifndef NW_CONFIG_COMPARE_H
#define NW_CONFIG_COMPARE_H

#include <stdbool.h>

#include "config/run_config.h"

#define NW_CHANGE_TEXT_SIZE 120u

/** A key that says something else. Texts are cut, and show no secrets. */
struct nw_config_change {
    const char *section, *key;
    char from[NW_CHANGE_TEXT_SIZE], to[NW_CHANGE_TEXT_SIZE];
    bool reloadable; /* by its table */
};

/**
 * @param live   what holds of keys that can be reloaded: the configuration that was taken last
 * @param base   what holds of the others: the one that the process was started with
 * @param visit  is called for each change; `change` is borrowed.
 */
void nw_config_compare(const struct nw_run_config *live, const struct nw_run_config *base,
                       const struct nw_run_config *fresh,
                       void (*visit)(void *context, const struct nw_config_change *change),
                       void *context);
/** Take over what can be reloaded. Texts stay the other's: it must live as long. */
void nw_config_take(struct nw_run_config *to, const struct nw_run_config *from);

#endif
