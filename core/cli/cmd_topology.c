/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
int nw_cmd_topology(int argc, char **argv) { (void)argc; (void)argv; nw_complain("topology is not there yet"); return NW_EXIT_FAILED; }
