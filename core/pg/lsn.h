/* SPDX-License-Identifier: Apache-2.0 */
/* LSNs as PostgreSQL prints them: "3A/8F0012C8". */
#ifndef NW_PG_LSN_H
#define NW_PG_LSN_H

#include <stdbool.h>
#include <stdint.h>

#define NW_LSN_TEXT_SIZE 18 /* "FFFFFFFF/FFFFFFFF" and NUL */

/** @return text, so that it can be an argument of printf. */
const char *nw_lsn_text(char text[static NW_LSN_TEXT_SIZE], uint64_t lsn);
/** @return false when text is not an LSN, the whole of it; lsn is 0 then. */
bool nw_lsn_parse(const char *text, uint64_t *lsn);

#endif
