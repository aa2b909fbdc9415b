/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points: places where a test may have the process killed, as by kill -9, or a thread hang.
 *
 * NARWAL_CRASH_AT=name:n kills it at the n-th pass of the point `name`, and NARWAL_HANG_AT=name:n
 * keeps the thread there for ever, and NARWAL_FREEZE_AT=name:n stops the process, as by SIGSTOP,
 * until somebody sends it SIGCONT; without a variable a point costs one load. Any thread.
 */
#ifndef NW_BASE_CRASH_H
#define NW_BASE_CRASH_H

void nw_crash_point(const char *name);

#endif
