/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: an environment over another one, in which one operation on files fails. Every call
 * that can fail counts as one operation, as does every op when it is submitted. A fault loop arms
 * the 1st, 2nd, ... operation until a run passes in which nothing fired. One thread.
 */
#ifndef NW_IO_ENV_FAULT_H
#define NW_IO_ENV_FAULT_H

#include <stdbool.h>

#include "io/env.h"

enum nw_fault_kind {
    NW_FAULT_ERROR, /* nothing happens, and an errno says so */
    NW_FAULT_TORN,  /* a write: half of it happens, then the errno; others: as above */
    NW_FAULT_SHORT, /* a write: half of it happens, and the result says so; others: as above */
};

/** @param inner  borrow until destroyed. @param env  give. */
NW_MUST_CHECK nw_status nw_env_fault_create(struct nw_env *inner, struct nw_env **env,
                                            struct nw_error *err);
/** NULL is fine. */
void nw_env_fault_destroy(struct nw_env *env);
/** Let the nth operation from now (1: the next) fail; 0: none. Counting begins anew. */
void nw_env_fault_arm(struct nw_env *env, uint64_t nth, enum nw_fault_kind kind, int error);
/** Operations since it was armed. */
uint64_t nw_env_fault_count(const struct nw_env *env);
/** Whether the armed operation came. */
bool nw_env_fault_fired(const struct nw_env *env);

#endif
