/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks the places between two steps of a hand-over where another thread may come in. Nothing in a
 * program; tests define it before they include a ring's source, and give up the core there at
 * random.
 */
#ifndef NW_RING_YIELD
#define NW_RING_YIELD() ((void)0)
#endif
