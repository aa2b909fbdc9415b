/* SPDX-License-Identifier: Apache-2.0 */
/* The sleeper's side of a doorbell (agent.h). Only the thread that owns the bell calls these. */
#ifndef NW_RING_BELL_H
#define NW_RING_BELL_H

#include "ring/agent.h"

/** From here on whoever rings will wake us. Look at every ring once more before sleeping. */
void nw_bell_park(struct nw_bell *bell);
/** Awake again; takes in what rang. */
void nw_bell_unpark(struct nw_bell *bell);
/** To poll for POLLIN while parked. */
int nw_bell_descriptor(const struct nw_bell *bell);

#endif
