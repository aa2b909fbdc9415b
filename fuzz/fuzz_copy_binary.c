/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples of COPY BINARY into batches. See rows.h. */
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows(NW_BLOCK_COPY, data, size);
    return 0;
}
