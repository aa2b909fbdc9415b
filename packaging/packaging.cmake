# SPDX-License-Identifier: Apache-2.0
# Manual pages and completion, written by the program that they describe, and the Debian packages
# (`./dev deb`): narwal, and narwal-dev for those who write sinks.
set(NARWAL_ZSH_DIR share/zsh/site-functions)
if(EXISTS /etc/debian_version)
    set(NARWAL_ZSH_DIR share/zsh/vendor-completions)
endif()

# Instrumented programs start only under setarch -R: nothing is installed from there.
if(TARGET narwal AND NOT NARWAL_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    set(documents ${CMAKE_BINARY_DIR}/documents)
    file(MAKE_DIRECTORY ${documents})
    foreach(pair man=narwal.1 man5=narwal.yaml.5 bash=narwal zsh=_narwal)
        string(REGEX MATCH "(.*)=(.*)" pair ${pair})
        add_custom_command(OUTPUT ${documents}/${CMAKE_MATCH_2} VERBATIM
            COMMAND sh -c "\"$1\" document ${CMAKE_MATCH_1} >\"$2\"" sh $<TARGET_FILE:narwal>
                    ${documents}/${CMAKE_MATCH_2}
            DEPENDS narwal sink_file sink_null sink_kafka)
        list(APPEND document_files ${documents}/${CMAKE_MATCH_2})
    endforeach()
    foreach(page narwal.1 narwal.yaml.5)
        add_custom_command(OUTPUT ${documents}/${page}.gz DEPENDS ${documents}/${page}
            COMMAND gzip -9nkf ${documents}/${page})
        list(APPEND document_files ${documents}/${page}.gz)
    endforeach()
    add_custom_target(documents ALL DEPENDS ${document_files})
    install(FILES ${documents}/narwal.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${documents}/narwal.yaml.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
    install(FILES ${documents}/narwal DESTINATION share/bash-completion/completions)
    install(FILES ${documents}/_narwal DESTINATION ${NARWAL_ZSH_DIR})
endif()

install(FILES packaging/systemd/narwal@.service DESTINATION lib/systemd/system)
# Where the repository has them, so that links between them lead somewhere.
install(FILES packaging/debian/copyright README.md CHANGELOG.md ARCHITECTURE.md CONTRIBUTING.md DESTINATION share/doc/narwal)
install(DIRECTORY docs DESTINATION share/doc/narwal FILES_MATCHING PATTERN "*.md" PATTERN "*.png")
install(DIRECTORY tests/sdk/sample DESTINATION share/doc/narwal/tests/sdk)
# What Debian wants of every package. The date is the build's, or SOURCE_DATE_EPOCH.
if(EXISTS /etc/debian_version)
    string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
    foreach(pair runtime=narwal sdk=narwal-dev)
        string(REGEX MATCH "(.*)=(.*)" pair ${pair})
        set(changelog ${CMAKE_BINARY_DIR}/debian/${CMAKE_MATCH_2}/changelog)
        file(WRITE ${changelog} "${CMAKE_MATCH_2} (${PROJECT_VERSION}) bookworm; urgency=medium\n\n"
             "  * /usr/share/doc/narwal/CHANGELOG.md says what is new.\n\n"
             " -- The narwal authors <maintainers@narwal.invalid>  ${date}\n")
        execute_process(COMMAND gzip -9nkf ${changelog} COMMAND_ERROR_IS_FATAL ANY)
        install(FILES ${changelog}.gz DESTINATION share/doc/${CMAKE_MATCH_2} COMPONENT ${CMAKE_MATCH_1})
    endforeach()
    install(FILES packaging/debian/copyright DESTINATION share/doc/narwal-dev COMPONENT sdk)
endif()
install(FILES packaging/prometheus/narwal.rules.yml packaging/grafana/narwal.json
        DESTINATION share/narwal)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME narwal)
set(CPACK_PACKAGE_VENDOR "The narwal authors")
set(CPACK_PACKAGE_CONTACT "The narwal authors <maintainers@narwal.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "live copy of a PostgreSQL database into files, Kafka and other sinks")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_SOURCE_DIR}/build)
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_SOURCE_DIR}/build)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime sdk)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME narwal)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION database)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/debian/postinst
    ${CMAKE_SOURCE_DIR}/packaging/debian/prerm ${CMAKE_SOURCE_DIR}/packaging/debian/postrm)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
    "Copies the tables of a running PostgreSQL consistently, then follows
every committed change through a logical replication slot, and hands it
to sinks: files, Kafka, or plugins of one's own.")
set(CPACK_DEBIAN_SDK_PACKAGE_NAME narwal-dev)
set(CPACK_DEBIAN_SDK_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_SDK_DESCRIPTION
    "Headers for writing sinks of narwal: what a sink plugin includes, and
a file for pkg-config.")
include(CPack)
