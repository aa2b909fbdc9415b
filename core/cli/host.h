/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine has for narwal: disk and cores. */
#ifndef NW_CLI_HOST_H
#define NW_CLI_HOST_H

#include <stdint.h>

#include "config/run_config.h"

/** Free bytes on the disk of a path that may not be there yet; UINT64_MAX: not known. */
uint64_t nw_host_free_bytes(const char *path);
/** Configured, or those that this process may use. */
uint32_t nw_host_cores(const struct nw_run_config *config);

#endif
