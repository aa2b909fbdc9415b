/* SPDX-License-Identifier: Apache-2.0 */
/* See heartbeat.h. */
#include "config/heartbeat.h"

#include "config/run_config.h"

static const struct nw_option HEARTBEAT[] = {
    {"statement", NW_OPTION_TEXT, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "SQL that is run on the server again and again while changes are streamed, as narwal's role: "
     "\"INSERT INTO heartbeats VALUES (now())\". For readers who wait for changes; narwal's slot "
     "moves "
     "on without it. That it fails is logged. Default: none."},
    {"every", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "10s", 100000, 86400000000, NULL,
     "How often."},
};
enum { HEARTBEAT_STATEMENT, HEARTBEAT_EVERY, HEARTBEAT_COUNT };

const struct nw_option_table NW_HEARTBEAT_TABLE = {"source.heartbeat", "source.heartbeat",
                                                   HEARTBEAT, HEARTBEAT_COUNT, NULL};

nw_status nw_heartbeat_config_take(struct nw_run_config *config, const struct nw_node *source,
                                   struct nw_error *err)
{
    struct nw_setting s[HEARTBEAT_COUNT];
    const struct nw_node *map = nw_tree_member(source, "heartbeat");
    nw_status status =
        nw_options_resolve(&NW_HEARTBEAT_TABLE, map, &config->arena, s, config->problems, err);

    if (status == NW_OK) {
        config->heartbeat_at = nw_tree_member(map, "statement");
        config->heartbeat = s[HEARTBEAT_STATEMENT].text;
        config->heartbeat_us = s[HEARTBEAT_EVERY].number;
    }
    return status;
}
