/* SPDX-License-Identifier: Apache-2.0 */
/* What a failed assertion does: say where, and abort. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void nw_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "narwal: %s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
