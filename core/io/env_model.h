/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests and simulation: an environment in memory. Its clock moves only when told, its
 * randomness comes from a seed, and its disk forgets in a crash what was not synced:
 *
 * - the bytes of a file are durable by a SYNC of it, its name by a sync of its folder (a rename
 *   syncs the folder of the new name, as the kernel's environment does);
 * - operations on a queue run when they are reaped, in an order drawn from the seed.
 *
 * Single-threaded; the same seed and calls give the same results.
 */
#ifndef NW_IO_ENV_MODEL_H
#define NW_IO_ENV_MODEL_H

#include "io/env.h"

/** @param env  give. */
NW_MUST_CHECK nw_status nw_env_model_create(uint64_t seed, struct nw_env **env,
                                            struct nw_error *err);
/** Files still open are closed. Queues were destroyed before. NULL is fine. */
void nw_env_model_destroy(struct nw_env *env);

void nw_env_model_advance(struct nw_env *env, int64_t ns);
/** Files have no more room than this in all, and there are no new ones past it; 0: as they like. */
void nw_env_model_limit(struct nw_env *env, uint64_t bytes);
/** Of all files, as they are seen. */
uint64_t nw_env_model_used(const struct nw_env *env);
/** From now on every operation on files fails and changes nothing, until the crash. */
void nw_env_model_power_off(struct nw_env *env);
/**
 * The power goes. What was not synced is lost, but for a part: each unsynced 512-byte sector,
 * length and name survives with this chance. All files are closed, locks are free; queues must be
 * destroyed.
 */
void nw_env_model_crash(struct nw_env *env, uint32_t survive_percent);
/** A digest of all that was done to files, in order: equal for equal runs. */
uint64_t nw_env_model_trace(const struct nw_env *env);

#endif
