# A CMake toolchain: Zig's Clang as the cross compiler. ATTNSCOPE_ZIG is the program, ATTNSCOPE_ZIG_TARGET its target.
string(REGEX MATCH "^([a-z0-9_]+)-([a-z]+)" _ "$ENV{ATTNSCOPE_ZIG_TARGET}")
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
if(CMAKE_MATCH_2 STREQUAL "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
set(CMAKE_CXX_COMPILER "$ENV{ATTNSCOPE_ZIG}" c++ -target "$ENV{ATTNSCOPE_ZIG_TARGET}")

# `zig ar` is two words, and CMAKE_AR is one
set(CMAKE_AR "$ENV{ATTNSCOPE_ZIG}")
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_AR> ranlib <TARGET>")

set(ATTNSCOPE_ZIG ON)  # CMakeLists.txt reads it
# nanobind 3.1 writes to stderr without <cstdio>, which Python.h does not bring along for the stable ABI
set(CMAKE_CXX_FLAGS_INIT "-include cstdio")
