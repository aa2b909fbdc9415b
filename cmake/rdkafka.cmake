# SPDX-License-Identifier: Apache-2.0
# nw_rdkafka: the system's librdkafka, or, where that is too old, the static library that
# cmake/librdkafka has built (`./dev setup` calls it). What is linked statically stays inside the plugin.
add_library(nw_rdkafka INTERFACE)
set(NARWAL_RDKAFKA_PREFIX "")
if(NARWAL_RDKAFKA STREQUAL "auto")
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/librdkafka --wanted RESULT_VARIABLE wanted)
    if(wanted EQUAL 0)
        if(NARWAL_SANITIZE STREQUAL "thread")
            execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/librdkafka --tsan --find
                            OUTPUT_VARIABLE NARWAL_RDKAFKA_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE)
        endif()
        # Else its tests would find races that are none.
        set(NARWAL_RDKAFKA_SEEN "${NARWAL_RDKAFKA_PREFIX}")
        if(NOT NARWAL_RDKAFKA_PREFIX)
            execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/librdkafka --find
                            OUTPUT_VARIABLE NARWAL_RDKAFKA_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE)
        endif()
    endif()
elseif(NOT NARWAL_RDKAFKA STREQUAL "system")
    message(FATAL_ERROR "NARWAL_RDKAFKA is ${NARWAL_RDKAFKA}, not auto or system")
endif()

if(NOT NARWAL_SANITIZE STREQUAL "thread")
    set(NARWAL_RDKAFKA_SEEN ON)
endif()

if(NARWAL_RDKAFKA_PREFIX)
    find_package(ZLIB REQUIRED)
    pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)
    message(STATUS "librdkafka: ${NARWAL_RDKAFKA_PREFIX}")
    add_library(librdkafka STATIC IMPORTED)
    set_target_properties(librdkafka PROPERTIES IMPORTED_LOCATION ${NARWAL_RDKAFKA_PREFIX}/lib/librdkafka.a
                          INTERFACE_INCLUDE_DIRECTORIES ${NARWAL_RDKAFKA_PREFIX}/include)
    target_link_libraries(librdkafka INTERFACE OpenSSL::SSL PkgConfig::curl ZLIB::ZLIB PkgConfig::lz4
                          PkgConfig::zstd Threads::Threads ${CMAKE_DL_LIBS} m)
    target_link_libraries(nw_rdkafka INTERFACE librdkafka)
    target_link_options(nw_rdkafka INTERFACE -Wl,--exclude-libs,librdkafka.a)
    install(FILES ${NARWAL_RDKAFKA_PREFIX}/LICENSES.txt DESTINATION share/doc/narwal RENAME librdkafka.txt)
else()
    pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka)
    target_link_libraries(nw_rdkafka INTERFACE PkgConfig::rdkafka)
    if(rdkafka_VERSION VERSION_LESS 2.6.1)
        message(WARNING "librdkafka ${rdkafka_VERSION}: no SCRAM with brokers of Kafka 4, and perhaps no OIDC. "
                        "cmake/librdkafka builds a newer one.")
    endif()
endif()
# Its checks of types are an extension of GNU's, which clang warns of where the macros are used.
target_compile_definitions(nw_rdkafka INTERFACE $<$<C_COMPILER_ID:Clang>:LIBRDKAFKA_TYPECHECKS=0>)
