/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
int nw_cmd_tail(int argc, char **argv) { (void)argc; (void)argv; nw_complain("tail is not there yet"); return NW_EXIT_FAILED; }
