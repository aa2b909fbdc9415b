/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a registry's URLs, one after the other until one answers. As registry.h: one thread.
 */
#ifndef NW_SINKS_LIB_REGISTRY_HTTP_H
#define NW_SINKS_LIB_REGISTRY_HTTP_H

#include "lib/out.h"
#include "lib/registry/registry.h"

#include <curl/curl.h>

struct nw_registry {
    const struct nw_registry_options *options; /* borrow */
    CURL *curl;
    struct curl_slist *headers;
    size_t url;           /* the one that answered last */
    long code;            /* of the last answer */
    struct nw_out answer; /* its body, NUL-terminated */
    struct nw_out schema; /* the one that was asked for last, NUL-terminated */
    char why[CURL_ERROR_SIZE];
};

/**
 * POST, or GET without a body, to `path` below the first URL that answers with something else than
 * "not now".
 * @return NW_OK, registry->code and ->answer are filled; NW_RETRY when none does.
 * @param body  NULL: GET
 */
NW_MUST_CHECK nw_status nw_registry_ask(struct nw_registry *registry, const char *path,
                                        const char *body, struct nw_error *err);

#endif
