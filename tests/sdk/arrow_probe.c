/* SPDX-License-Identifier: Apache-2.0 */
/* Exports batches for arrow_check.py, which loads this with ctypes. */
#include <stdlib.h>

#include "sink/arrow.h"
#include "sink/check_rows.h"

#define ROWS 40u

static _Atomic uint32_t holds;

NW_EXPORT int probe_export(int slice, int copy, struct ArrowSchema *schema,
                           struct ArrowArray *array);
NW_EXPORT uint32_t probe_holds(void);

/* Rows 1, 2, ... of the table with every type; with slice, rows 8 to 39 of them. */
int probe_export(int slice, int copy, struct ArrowSchema *schema, struct ArrowArray *array)
{
    struct nw_check_rows rows = {.table = 2,
                                 .rows_count = ROWS,
                                 .first_id = 1,
                                 .commit_lsn = 1000,
                                 .copy = copy != 0,
                                 .exception = slice == 0};
    struct nw_batch batch;
    struct nw_error err = {0};
    size_t size = 0;
    void *block = nw_check_rows_make(&rows, &batch, &size); /* stays: it is what arrays point to */

    if (block == NULL) {
        return -1;
    }
    if (slice != 0) {
        batch.first_row = 7;
        batch.rows_count = 32;
    }
    return (int)nw_arrow_export(&batch, &holds, schema, array, &err);
}

uint32_t probe_holds(void)
{
    return atomic_load_explicit(&holds, memory_order_acquire);
}
