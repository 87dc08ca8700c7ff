# Shared target settings and the three kinds of targets of this project.

add_library(golf_options INTERFACE)
target_compile_options(golf_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wconversion -Wno-sign-conversion)
if(GOLF_WERROR)
  target_compile_options(golf_options INTERFACE -Werror)
endif()
# Of what packages list for their users, only what is called.
target_link_options(golf_options INTERFACE -Wl,--as-needed)
if(GOLF_SANITIZE)
  # Not float-cast-overflow, which gcc leaves out too: Highway's emulated vectors convert a NaN to an integer with a cast.
  target_compile_options(golf_options INTERFACE -fsanitize=${GOLF_SANITIZE} -fno-sanitize-recover=undefined
                                                -fno-sanitize=float-cast-overflow
                                                -fno-omit-frame-pointer)
  target_link_options(golf_options INTERFACE -fsanitize=${GOLF_SANITIZE})
  target_compile_definitions(golf_options INTERFACE GOLF_SANITIZE)
endif()
if(GOLF_SANITIZE STREQUAL "thread")
  # gcc writes small copies out as moves that ThreadSanitizer is not told of; it does see calls.
  target_compile_options(golf_options INTERFACE -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)
endif()
if(GOLF_COVERAGE)
  target_compile_options(golf_options INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(golf_options INTERFACE -fprofile-instr-generate)
endif()
target_include_directories(golf_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(golf_options INTERFACE GOLF_VERSION="${PROJECT_VERSION}")

# golf_library(<room> SOURCES ... [PUBLIC libs...] [PRIVATE libs...]): a static library golf_<room>, alias golf::<room>.
function(golf_library room)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(golf_${room} STATIC ${ARG_SOURCES})
  add_library(golf::${room} ALIAS golf_${room})
  target_link_libraries(golf_${room} PUBLIC golf_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
endfunction()

# golf_program(<name> SOURCES ... LIBS ...): an installed command line program.
function(golf_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE golf_options ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  install(TARGETS ${name})
endfunction()

# golf_test(<name> SOURCES ... LIBS ... [LABELS ...] [TIMEOUT s]): one GoogleTest binary, its tests discovered by ctest.
# GOLF_SOURCE_DIR is defined; programs lie in GOLF_BIN_DIR.
function(golf_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(GOLF_SANITIZE STREQUAL "thread")
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE golf_options ${ARG_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE GOLF_SOURCE_DIR="${PROJECT_SOURCE_DIR}" GOLF_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
