/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of reshape*.c share: steps as they were read, and what they do to a value. */
#ifndef NW_SINKS_LIB_FORMAT_RESHAPE_STEP_H
#define NW_SINKS_LIB_FORMAT_RESHAPE_STEP_H

#include "lib/format/connect_form.h"
#include "lib/format/flat.h"
#include "lib/format/reshape.h"

enum nw_reshape_kind {
    NW_RESHAPE_DEFAULTS,
    NW_RESHAPE_KEEP,
    NW_RESHAPE_DROP,
    NW_RESHAPE_RENAME,
    NW_RESHAPE_MASK,
    NW_RESHAPE_CAST,
    NW_RESHAPE_TIME,
    NW_RESHAPE_INSERT,
    NW_RESHAPE_TOPIC,
    NW_RESHAPE_ENVELOPE,
};

/* What a time is, before or behind a step. */
enum nw_reshape_time { NW_TIME_STRING, NW_TIME_UNIX, NW_TIME_DATE, NW_TIME_TIME, NW_TIME_STAMP };
enum nw_reshape_unit { NW_UNIX_SECOND, NW_UNIX_MILLI, NW_UNIX_MICRO, NW_UNIX_NANO };

struct nw_reshape_name {
    const char *name;
    const char *to;            /* RENAME */
    enum nw_connect_kind kind; /* CAST */
};

struct nw_reshape_step {
    enum nw_reshape_kind kind;
    struct nw_reshape_name *names;
    uint32_t count;
    const char *text;           /* MASK: NULL is zero; INSERT */
    bool required;              /* INSERT, TOPIC */
    struct nw_added_item *item; /* ENVELOPE */
    enum nw_reshape_time time;  /* TIME: the target */
    enum nw_reshape_unit unit;
    struct nw_java_time *format; /* NULL: none */
};

struct nw_reshape_options {
    struct nw_reshape_step steps[NW_RESHAPE_STEPS_MAX];
    uint32_t count;
    struct nw_pool pool;
};

/* ---- reshape_value.c ---- */

/* What is done to a value, one behind the other. */
struct nw_reshape_op {
    struct nw_reshape_op *next;
    const struct nw_reshape_step *step;
    const struct nw_connect_schema *from, *to;
    struct nw_connect_value constant; /* DEFAULTS, MASK: what it becomes */
};

/* Why a step cannot be done to values of a schema; NULL: it can. */
const char *nw_reshape_reason(const struct nw_reshape_step *step,
                              const struct nw_connect_schema *schema);
/* What a masked value is. @param none  an array without items
 * @return false: the replacement is no value of this schema */
bool nw_reshape_masked(struct nw_pool *pool, const struct nw_reshape_step *step,
                       const struct nw_connect_schema *schema,
                       const struct nw_connect_options *options, struct nw_connect_items *none,
                       struct nw_connect_value *value);
enum nw_reshape_time nw_reshape_time_of(const struct nw_connect_schema *schema, bool *known);
/* Cast or converted. @param out  emptied; holds the text, if it is one
 * @return NW_REJECT: it is no such value, without a message; NW_RETRY */
nw_status nw_reshape_apply(const struct nw_reshape_op *op, struct nw_connect_value *value,
                           struct nw_out *out, struct nw_out *second);

#endif
