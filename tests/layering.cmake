# Reads the #include lines of every room and names each one that goes against the order of the rooms; also names files
# whose name occurs twice, for a name should say one thing in a grep, a log and a stack trace.
#   cmake -DROOT=<repository> -P tests/layering.cmake
cmake_minimum_required(VERSION 3.25)

# <folder or file> -> what it may include. The longest matching entry counts; a room may always include itself.
set(may_kernels/base "")
set(may_kernels "kernels")
set(may_schemas "")
set(may_artifact "schemas;kernels")
set(may_runtime "schemas;kernels;artifact")
set(may_trainer "schemas;kernels;artifact;runtime")
set(may_tools "schemas;kernels;artifact;runtime;trainer")
set(may_tests "schemas;kernels;artifact;runtime;trainer;tools")
set(may_tools/golf_run.cpp "schemas;kernels;artifact;runtime;tools")
set(layers kernels/base kernels schemas artifact runtime trainer tools tests tools/golf_run.cpp)

# The scorer is built without these: what writes artifacts and searches for quantisations.
set(writers artifact/artifact_write.h artifact/fit.h artifact/gptq.h artifact/packing.h artifact/prune.h
            artifact/quantise.h artifact/tensor_encoder.h)
set(no_writers runtime tools/golf_run.cpp)

function(starts_with_any result text prefixes)
  set(${result} FALSE PARENT_SCOPE)
  foreach(prefix IN LISTS prefixes)
    if("${text}" STREQUAL "${prefix}" OR "${text}" MATCHES "^${prefix}/")
      set(${result} TRUE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

set(faults "")
set(names "")
file(GLOB_RECURSE files RELATIVE "${ROOT}"
     "${ROOT}/kernels/*" "${ROOT}/schemas/*" "${ROOT}/artifact/*" "${ROOT}/runtime/*" "${ROOT}/trainer/*"
     "${ROOT}/tools/*" "${ROOT}/tests/*")
list(FILTER files INCLUDE REGEX "\\.(h|cpp|cu|fbs)$")
list(FILTER files EXCLUDE REGEX "^schemas/released/")  # frozen copies keep their names
list(SORT files)

foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME)
  if(name IN_LIST names)
    string(APPEND faults "${file}: another file is called ${name} too\n")
  endif()
  list(APPEND names "${name}")

  set(layer "")
  foreach(candidate IN LISTS layers)
    starts_with_any(inside "${file}" "${candidate}")
    if(inside)
      set(layer "${candidate}")  # the longer ones come later, except for kernels/base
    endif()
  endforeach()
  if(file MATCHES "^kernels/base/")
    set(layer kernels/base)
  endif()

  set(allowed ${layer} ${may_${layer}})
  file(STRINGS "${ROOT}/${file}" includes REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" included "${line}")
    starts_with_any(ok "${included}" "${allowed}")
    starts_with_any(ours "${included}" "${layers}")
    if(NOT ours)
      string(APPEND faults "${file}: #include \"${included}\" names no room; libraries stand in <>, our files start at the root\n")
    elseif(NOT ok)
      string(APPEND faults "${file}: ${layer} may not use #include \"${included}\"\n")
    elseif(layer IN_LIST no_writers AND included IN_LIST writers)
      string(APPEND faults "${file}: the scorer may not use #include \"${included}\", which writes artifacts\n")
    endif()
  endforeach()
endforeach()

if(files STREQUAL "")
  message(FATAL_ERROR "no sources below ROOT=${ROOT}")
endif()
if(NOT faults STREQUAL "")
  message(FATAL_ERROR "${faults}")
endif()
