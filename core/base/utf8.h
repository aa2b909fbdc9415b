/* SPDX-License-Identifier: Apache-2.0 */
/* Whether bytes are UTF-8 (RFC 3629: no surrogates, nothing overlong). Stateless. */
#ifndef NW_BASE_UTF8_H
#define NW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool nw_utf8_is_valid(const uint8_t *at, size_t size);

#endif
