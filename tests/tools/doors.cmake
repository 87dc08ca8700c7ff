# Names each place of the product that prints or reads JSON past the doors: tools/print.h, which escapes what comes
# from outside and notices output that does not arrive, and artifact/json.h, which bounds and checks.
#   cmake -DROOT=<repository> -P tests/tools/doors.cmake
cmake_minimum_required(VERSION 3.25)

set(past_print "fmt::print\\(|std::(cout|cerr|clog)|[^n]printf\\(|std::(puts|fputs|putchar)\\(")
set(past_json "json::(parse|accept)\\(|Json::(parse|accept)\\(|\\.dump\\(")
# The second looks for fields that stand twice, in a text that the first has bounded and read.
set(json_doors artifact/json.cpp runtime/verify_receipt.cpp)
set(faults "")
file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/artifact/*" "${ROOT}/runtime/*" "${ROOT}/trainer/*" "${ROOT}/tools/*")
list(FILTER files INCLUDE REGEX "\\.(h|cpp)$")
foreach(file IN LISTS files)
  file(STRINGS "${ROOT}/${file}" lines REGEX "${past_print}")
  foreach(line IN LISTS lines)
    string(APPEND faults "${file}: prints past tools/print.h: ${line}\n")
  endforeach()
  file(STRINGS "${ROOT}/${file}" lines REGEX "${past_json}")
  foreach(line IN LISTS lines)
    if(NOT file IN_LIST json_doors)
      string(APPEND faults "${file}: JSON past artifact/json.h: ${line}\n")
    endif()
  endforeach()
endforeach()

if(files STREQUAL "")
  message(FATAL_ERROR "no sources below ROOT=${ROOT}")
endif()
if(NOT faults STREQUAL "")
  message(FATAL_ERROR "${faults}")
endif()
