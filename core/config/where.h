/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `where` of a transform: conditions on columns that must all hold, in SQL's spelling.
 *
 *     where      = condition { AND condition }
 *     condition  = column ( = | <> | != | < | <= | > | >= ) constant
 *                | column [ NOT ] IN ( constant { , constant } )
 *                | column IS [ NOT ] NULL
 *     column     = name, folded to lower case, or "name" as it stands
 *     constant   = number | 'text' | TRUE | FALSE
 *
 * What a constant means depends on the column's type, which is not known here. Pure; the texts live
 * in the arena.
 */
#ifndef NW_CONFIG_WHERE_H
#define NW_CONFIG_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include <narwal/status.h>

#define NW_WHERE_TERMS_MAX     32u
#define NW_WHERE_CONSTANTS_MAX 1000u

enum nw_where_op {
    NW_WHERE_EQUAL,
    NW_WHERE_NOT_EQUAL,
    NW_WHERE_LESS,
    NW_WHERE_LESS_EQUAL,
    NW_WHERE_GREATER,
    NW_WHERE_GREATER_EQUAL,
    NW_WHERE_IN,
    NW_WHERE_NOT_IN,
    NW_WHERE_NULL,
    NW_WHERE_NOT_NULL,
};

struct nw_where_constant {
    const char *text;
    bool quoted; /* else a number, true or false */
};

struct nw_where_term {
    const char *column;
    enum nw_where_op op;
    const struct nw_where_constant *constants; /* one; IN has several, IS NULL none */
    uint32_t constants_count;
};

struct nw_where {
    const struct nw_where_term *terms; /* all must hold */
    uint32_t terms_count;
};

/** @return NW_FATAL, err says what was expected where. */
NW_MUST_CHECK nw_status nw_where_parse(const char *text, struct nw_arena *arena,
                                       struct nw_where *where, struct nw_error *err);

#endif
