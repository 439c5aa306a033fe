# Targets of the house: one folder = one target = one namespace.
#
#   caldera_library(NAME [DEPS target...])      every *.cc of the folder; target caldera_<NAME>
#   caldera_program(NAME SOURCES file... DEPS target...)
#   caldera_test_folder(NAME DEPS target...)    every *_test.cc of the folder; one gtest binary <NAME>_test
#   caldera_reuse_grpc_pch(TARGET)              precompiled gRPC headers for a target that speaks gRPC

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()

add_library(caldera_options INTERFACE)
target_include_directories(caldera_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(caldera_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)

# Warnings are errors for our own sources; generated code gets caldera_options only. GCC's: clang, which builds the
# fuzzers, means other things by the same names.
add_library(caldera_warnings INTERFACE)
target_compile_options(caldera_warnings INTERFACE
                       $<$<CXX_COMPILER_ID:GNU>:-Wall$<SEMICOLON>-Wextra$<SEMICOLON>-Wshadow$<SEMICOLON>-Wconversion$<SEMICOLON>-Werror>)

if(CALDERA_SANITIZE)
  add_compile_options(-fsanitize=${CALDERA_SANITIZE} -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${CALDERA_SANITIZE})
  # protobuf's headers give maps another layout under this macro than the installed library has.
  if(CALDERA_SANITIZE STREQUAL "thread")
    add_compile_options(-U__SANITIZE_THREAD__)
  endif()
endif()

# A header must compile by itself. Where X.cc exists it includes X.h first (a check sees to that); for the
# others a source is made that includes nothing else. Highway's *_inl.h are parts of sources.
function(caldera_header_units result)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  set(units)
  foreach(header ${headers})
    string(REGEX REPLACE "\\.h$" ".cc" source ${header})
    if(EXISTS ${CMAKE_SOURCE_DIR}/${source} OR header MATCHES "_inl\\.h$")
      continue()
    endif()
    set(unit ${CMAKE_BINARY_DIR}/headers/${source})
    file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"${header}\"\n" @ONLY)
    list(APPEND units ${unit})
  endforeach()
  set(${result} ${units} PARENT_SCOPE)
endfunction()

function(caldera_library name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "main\\.cc$|mpi_communicator\\.cc$")
  caldera_header_units(header_units)
  list(APPEND sources ${header_units})
  if(sources)
    add_library(caldera_${name} STATIC ${sources})
    target_link_libraries(caldera_${name} PUBLIC caldera_options ${ARG_DEPS}
                          PRIVATE $<BUILD_INTERFACE:caldera_warnings>)
  else()
    add_library(caldera_${name} INTERFACE)
    target_link_libraries(caldera_${name} INTERFACE caldera_options ${ARG_DEPS})
  endif()
endfunction()

function(caldera_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE caldera_options caldera_warnings ${ARG_DEPS})
endfunction()

function(caldera_test_folder name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test PRIVATE caldera_options caldera_warnings ${ARG_DEPS}
                        GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# For targets most of whose sources include gRPC headers: they are parsed once, in caldera_proto.
function(caldera_reuse_grpc_pch target)
  target_precompile_headers(${target} REUSE_FROM caldera_proto)
endfunction()
