# golf-run must stay what it promises to be: a scorer without trainer, artifact writer, tokenizer or interpreter.
#   cmake -DPROGRAM=<golf-run> -P lean_runner.cmake
cmake_minimum_required(VERSION 3.25)

# Its needs: arithmetic, compression is linked statically, C++ run time. A new library here is a decision, not an accident.
set(allowed "lib(fmt|gomp|omp|dnnl|hwy|xxhash|stdc\\+\\+|m|gcc_s|c|asan|ubsan|tsan)\\.so|ld-linux")
# Symbols of rooms that do not belong in it.
set(forbidden "golf::(Quantise|EncodeTensors|SerialiseArtifact|WriteCheckpoint|TrainingRun::|LoadRecipe|Tokenizer::)")
# Stripped; 1,896,384 with gcc 12.2 on the day this was written. Room for a few operations, not for a library.
set(max_bytes 3000000)

execute_process(COMMAND readelf -d "${PROGRAM}" OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "NEEDED[^\n]*" needed "${dynamic}")
foreach(library IN LISTS needed)
  if(NOT library MATCHES "\\[${allowed}")
    message(SEND_ERROR "golf-run links a library that it must do without: ${library}")
  endif()
endforeach()

execute_process(COMMAND nm -C --defined-only "${PROGRAM}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "${forbidden}[^\n]*" found "${symbols}")
if(found)
  message(SEND_ERROR "golf-run contains ${found}")
endif()
if(NOT symbols MATCHES "golf::")
  message(SEND_ERROR "${PROGRAM} has no symbols to look at")
endif()

if(CHECK_SIZE)
  execute_process(COMMAND strip -o "${PROGRAM}.stripped" "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
  file(SIZE "${PROGRAM}.stripped" bytes)
  file(REMOVE "${PROGRAM}.stripped")
  message(STATUS "golf-run, stripped: ${bytes} bytes of ${max_bytes}")
  if(bytes GREATER max_bytes)
    message(SEND_ERROR "golf-run has grown to ${bytes} bytes")
  endif()
endif()
