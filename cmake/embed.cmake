# SPDX-License-Identifier: Apache-2.0
# A file as a C array with a NUL behind it: cmake -DFROM=FILE -DTO=FILE.c -DNAME=SYMBOL -P embed.cmake
# The C file defines  const unsigned char SYMBOL[]  and  const size_t SYMBOL_size  (without the NUL).
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${TO} "/* Generated from ${FROM}. */
#include <stddef.h>

extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_size;
const unsigned char ${NAME}[] = {
    ${bytes}0x00};
const size_t ${NAME}_size = sizeof ${NAME} - 1;
")
