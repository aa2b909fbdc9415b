# SPDX-License-Identifier: Apache-2.0
# The bytes of the file FROM as a constant array NAME in the C file TO; core/serve/page.h declares it.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)"
       "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "/* Made from ${FROM}. */\n#include \"serve/page.h\"\n\n"
     "const unsigned char ${NAME}[] = {\n${bytes}};\nconst size_t ${NAME}_size = sizeof ${NAME};\n")
