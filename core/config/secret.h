/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to secrets inside a text: ${file:PATH}, ${env:NAME}, and ${credential:NAME}, a file of
 * that name in the folder that CREDENTIALS_DIRECTORY names (systemd's LoadCredential). What is read
 * is registered with the log, which never prints it. No state; any thread.
 */
#ifndef NW_CONFIG_SECRET_H
#define NW_CONFIG_SECRET_H

#include <narwal/status.h>

/**
 * Replace every reference of a text by what it gives now.
 * @param expanded  give: to be wiped and freed.
 */
NW_MUST_CHECK nw_status nw_secret_expand(const char *text, char **expanded, struct nw_error *err);
/** Warn of files among them that others may read; the rest says where the text stands. */
void nw_secret_look(const char *text, const char *file, unsigned line, unsigned column);

#endif
