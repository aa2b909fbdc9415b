/* SPDX-License-Identifier: Apache-2.0 */
/* Who signed a server's certificate, for the sentence that says so. */
#ifndef NW_PG_TLS_PROBE_H
#define NW_PG_TLS_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/** Blocks for a few seconds at most. @return whether issuer was filled. */
bool nw_tls_probe_issuer(const char *host, const char *port, char *issuer, size_t issuer_size);

#endif
