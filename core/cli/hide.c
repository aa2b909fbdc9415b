/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments are seen by every user of the machine (ps). Here what URLs have of them is hidden. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

/* The user and password of a URL. @return their size; 0: it has none, or is no URL */
static size_t credentials_find(const char *text, size_t *at)
{
    const char *host = strstr(text, "://");
    size_t size = 0;

    if (host == NULL) {
        return 0;
    }
    host += 3;
    size = strcspn(host, "/?#");
    while (size > 0 && host[size - 1] != '@') {
        size--;
    }
    *at = (size_t)(host - text);
    return size > 0 ? size - 1 : 0;
}

void nw_arguments_hide(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t at = 0;
        size_t size = credentials_find(argv[i], &at);
        char *own = size == 0 ? NULL : strdup(argv[i]);

        if (own != NULL) { /* without memory what follows fails anyway */
            memset(argv[i] + at, '*', size);
            argv[i] = own;
        }
    }
}
