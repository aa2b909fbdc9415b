/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal version`. */
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
