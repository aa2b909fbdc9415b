/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions: for bugs, never for input. NW_ASSERT stays on in release builds. */
#ifndef NW_BASE_ASSERT_H
#define NW_BASE_ASSERT_H

_Noreturn void nw_assert_failed(const char *condition, const char *file, int line);

#define NW_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : nw_assert_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define NW_DASSERT(condition) ((void)0)
#else
#define NW_DASSERT(condition) NW_ASSERT(condition)
#endif

#endif
