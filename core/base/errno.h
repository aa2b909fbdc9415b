/* SPDX-License-Identifier: Apache-2.0 */
/* What an errno means, as text. Any thread: strerror() may be used by one only. */
#ifndef NW_BASE_ERRNO_H
#define NW_BASE_ERRNO_H

/** "No such file or directory"; never NULL, constant, in English whatever the locale. */
const char *nw_errno_text(int error);

#endif
