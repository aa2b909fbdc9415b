/* SPDX-License-Identifier: Apache-2.0 */
/* Insert, update and delete messages of pgoutput, text and binary, into batches. See rows.h. */
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows(NW_BLOCK_CHANGES, data, size);
    return 0;
}
