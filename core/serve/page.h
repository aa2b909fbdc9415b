/* SPDX-License-Identifier: Apache-2.0 */
/* The page that narwal serves at /: core/serve/page.html, embedded by the build. */
#ifndef NW_SERVE_PAGE_H
#define NW_SERVE_PAGE_H

#include <stddef.h>

extern const unsigned char nw_page[];
extern const size_t nw_page_size;

#endif
