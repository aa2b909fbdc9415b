/* SPDX-License-Identifier: Apache-2.0 */
/* See errno.h. */
#include "base/errno.h"

#include <string.h>

const char *nw_errno_text(int error)
{
    const char *text = strerrordesc_np(error);

    return text != NULL ? text : "unknown error";
}
