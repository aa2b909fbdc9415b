/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option tables: what can be configured, declared once.
 *
 * From one table narwal validates the configuration, prints defaults, redacts secrets in status
 * output and logs, and writes the reference page. The host and every plugin have one.
 */
#ifndef NARWAL_OPTION_H
#define NARWAL_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How an option's text is read. Values are part of the ABI. */
enum nw_option_type {
    NW_OPTION_TEXT = 1,     /**< any text */
    NW_OPTION_BOOL = 2,     /**< true | false */
    NW_OPTION_INTEGER = 3,  /**< a plain number, within minimum..maximum */
    NW_OPTION_SIZE = 4,     /**< bytes, written with a unit: 64MiB, 2GB */
    NW_OPTION_DURATION = 5, /**< microseconds, written with a unit: 250ms, 1s, 5min, 2h */
    NW_OPTION_RATE = 6,     /**< bytes per second: 200MB/s */
    NW_OPTION_CHOICE = 7,   /**< one of choices */
    NW_OPTION_PATH = 8,     /**< a file or folder; relative to where narwal was started */
    NW_OPTION_LIST = 9,     /**< a list of texts; a single text counts as a list of one */
};

#define NW_OPTION_REQUIRED   1u /**< no default: the configuration must say it */
#define NW_OPTION_SECRET     2u /**< never printed, logged or shown in status */
#define NW_OPTION_RELOADABLE 4u /**< may change without a restart */

/** One row of an option table. All strings live as long as the plugin. */
struct nw_option {
    const char *name; /**< the key in the YAML mapping */
    enum nw_option_type type;
    uint32_t flags;
    const char *fallback; /**< default, written as in the configuration; NULL: unset */
    int64_t minimum;      /**< for numbers; both 0: unbounded */
    int64_t maximum;
    const char *const *choices; /**< NULL-terminated, for NW_OPTION_CHOICE */
    const char *help;           /**< one sentence for the reference page */
};

/** A resolved option, in the place of its row in the table. */
struct nw_setting {
    bool set;                 /**< false: neither configured nor defaulted; the rest is zero */
    bool configured;          /**< true: written by the user rather than defaulted */
    bool flag;                /**< NW_OPTION_BOOL */
    int64_t number;           /**< INTEGER, SIZE, DURATION, RATE, and CHOICE as an index */
    const char *text;         /**< TEXT, PATH, CHOICE; for others the text as written */
    const char *const *items; /**< NW_OPTION_LIST, NULL-terminated */
};

/** A plugin's configuration: settings[i] belongs to row i of the plugin's option table. */
struct nw_config {
    const char *name; /**< the sink's name in the configuration */
    const struct nw_setting *settings;
    uint32_t settings_count;
    /** The host's own: what a text was read from, as ${file:...}; NULL: none was. Use text_now. */
    const char *const *sources;
};

#ifdef __cplusplus
}
#endif
#endif
