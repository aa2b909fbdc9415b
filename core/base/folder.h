/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder: made before there is an environment, private to its owner. */
#ifndef NW_BASE_FOLDER_H
#define NW_BASE_FOLDER_H

#include <narwal/status.h>

/** Make a folder and its parents, mode 0700; there already is fine. */
NW_MUST_CHECK nw_status nw_state_folder_make(const char *path, struct nw_error *err);

#endif
