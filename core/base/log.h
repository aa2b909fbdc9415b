/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines. One sink of log lines for the process: text on a terminal, JSON lines otherwise.
 * Never row data. Registered secrets (nw_log_secret) are replaced by *** in whatever is printed.
 * Any thread may call; a line is one write(2). Of a line that repeats, ten are written in ten
 * seconds; then one line says how many were left out. No call ever waits for whoever reads the log:
 * lines that a full pipe or a stopped terminal does not take are lost, and counted in the log.
 */
#ifndef NW_BASE_LOG_H
#define NW_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include <narwal/sink.h>
#include <narwal/status.h>

/** Where lines go: a descriptor, a level, and JSON or text. Call before threads are started. */
void nw_log_setup(int descriptor, enum nw_log_level level, bool json);

/** From now on. Any thread. */
void nw_log_level(enum nw_log_level level);

NW_PRINTF(2, 3) void nw_log(enum nw_log_level level, const char *format, ...);

/**
 * Show a line that stays the last one on the terminal that the log goes to: the next one replaces
 * it, and what is logged goes above it. NULL: none any more. Where there is no room it is not
 * shown.
 * @param columns  most that are shown; 0: as many as a log line has
 */
void nw_log_live(const char *text, size_t columns);

/** Never print this text again, wherever it turns up. Copied; shorter than 4 bytes is ignored. */
void nw_log_secret(const char *secret);

/** Replace every registered secret inside a text, in place. */
void nw_redact(char *text);

#endif
