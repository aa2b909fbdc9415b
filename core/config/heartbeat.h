/* SPDX-License-Identifier: Apache-2.0 */
/* `source.heartbeat`: a statement that is run on the source. Pure; texts live in the arena. */
#ifndef NW_CONFIG_HEARTBEAT_H
#define NW_CONFIG_HEARTBEAT_H

#include "config/options.h"

/** Its keys, for the reference page and for printing. */
extern const struct nw_option_table NW_HEARTBEAT_TABLE;

struct nw_run_config;

/** Read the section into config->heartbeat, of `source`. */
NW_MUST_CHECK nw_status nw_heartbeat_config_take(struct nw_run_config *config,
                                                 const struct nw_node *source,
                                                 struct nw_error *err);

#endif
