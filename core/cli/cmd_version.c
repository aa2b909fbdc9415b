/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal version` and the hidden `narwal document`, which writes the reference page. */
#include <hwloc.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <liburing.h>
#include <sqlite3.h>
#include <yaml.h>

#include "cli/command.h"
#include <narwal/sink.h>

#ifndef NARWAL_LIBURING
#define NARWAL_LIBURING "?"
#endif

static const char HELP[] =
    "usage: narwal version\n\nPrints versions of narwal and its libraries.\n";

int nw_cmd_version(int argc, char **argv)
{
    int code = 0;
    const struct nw_argument known[] = {{.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, NULL, 0);
    if (code != NW_GO_ON) {
        return code;
    }
    (void)printf("narwal %s (sink ABI %u)\n", NARWAL_VERSION, NW_SINK_ABI);
    (void)printf("compiler %s\n", __VERSION__);
    (void)printf("libpq %d.%d, liburing %s, hwloc %x, libyaml %s, SQLite %s, jansson %s\n",
                 PQlibVersion() / 10000, PQlibVersion() % 10000, NARWAL_LIBURING,
                 hwloc_get_api_version(), yaml_get_version_string(), sqlite3_libversion(),
                 JANSSON_VERSION);
    return 0;
}

/* A plugin's table as a section of the reference page. */
static bool plugin_document(const char *type)
{
    char buffer[4096];
    char title[128];
    struct nw_plugin plugin;
    struct nw_error err = {0};

    if (nw_plugin_load(nw_plugin_folder(NULL, buffer, sizeof buffer), type, &plugin, &err) !=
        NW_OK) {
        nw_complain("%s", err.text);
        return false;
    }
    (void)snprintf(title, sizeof title, "sinks with type: %s", type);
    nw_options_document(&(struct nw_option_table){.section = type,
                                                  .title = title,
                                                  .options = plugin.ops.options,
                                                  .count = plugin.ops.options_count},
                        stdout);
    return true;
}

int nw_cmd_document(int argc, char **argv)
{
    int code = 0;
    const struct nw_argument known[] = {{.name = NULL}};

    code = nw_arguments_read(argc, argv, known, "usage: narwal document\n", NULL, 0);
    if (code != NW_GO_ON) {
        return code;
    }
    (void)puts(
        "# Configuration\n\nEvery key of a configuration file. Written by `narwal document` "
        "from the tables that\nvalidate it; do not edit. Sizes, rates and times carry units. "
        "`${file:/path}` and `${env:NAME}`\ninside a value are replaced, and kept secret.");
    nw_config_document(stdout);
    return plugin_document("file") && plugin_document("null") ? 0 : NW_EXIT_FAILED;
}
