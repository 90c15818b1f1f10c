# The target fastload_jpeg: libjpeg-turbo as a static library. Whatever links it keeps the names to itself (--exclude-libs), for torchvision,
# Pillow and OpenCV each bring another libjpeg into the process, and the first that is loaded would serve all who ask for its names.

set(FASTLOAD_JPEG auto CACHE STRING
  "bundled: libjpeg-turbo is built here, from Debian's source; system: the system's libjpeg.a; auto: bundled if it can be had")
set(FASTLOAD_JPEG_SOURCE "${CMAKE_SOURCE_DIR}/build/libjpeg-turbo_2.1.5.orig.tar.gz" CACHE FILEPATH
  "where the source is, or is to be put: the .orig.tar.gz of Debian's and Ubuntu's source package libjpeg-turbo 2.1.5")
set(FASTLOAD_JPEG_VERSION 2.1.5)
set(FASTLOAD_JPEG_SHA256 254f3642b04e309fee775123133c6464181addc150499561020312ec61c1bf7c)
set(FASTLOAD_JPEG_PATH pool/main/libj/libjpeg-turbo/libjpeg-turbo_2.1.5.orig.tar.gz)

add_library(fastload_jpeg INTERFACE)

# What a wheel says of it: see packaging/bundled.py.
function(fastload_note_libjpeg version sha256)
  string(REPLACE ";" "\", \"" texts "${ARGN}")
  if(texts)
    set(texts "\"${texts}\"")
  endif()
  file(WRITE "${CMAKE_BINARY_DIR}/libjpeg.json" "{\"version\": \"${version}\", \"sha256\": \"${sha256}\", \"texts\": [${texts}]}\n")
endfunction()

# Why it cannot be bundled, in `problem`; empty if it can.
function(fastload_look_for_source problem)
  set(${problem} "" PARENT_SCOPE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    find_program(FASTLOAD_NASM NAMES nasm yasm)
    if(NOT FASTLOAD_NASM)
      set(${problem} "nasm, which assembles its SIMD code, is missing" PARENT_SCOPE)
      return()
    endif()
  endif()
  if(NOT EXISTS "${FASTLOAD_JPEG_SOURCE}")
    message(STATUS "Downloading the source of libjpeg-turbo")
    execute_process(
      COMMAND bash "${CMAKE_SOURCE_DIR}/packaging/libjpeg_source.sh" ${FASTLOAD_JPEG_PATH} ${FASTLOAD_JPEG_SHA256} "${FASTLOAD_JPEG_SOURCE}"
      RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(failed)
      set(${problem} "its source is not at ${FASTLOAD_JPEG_SOURCE}, and ${said}" PARENT_SCOPE)
      return()
    endif()
  endif()
  file(SHA256 "${FASTLOAD_JPEG_SOURCE}" sha256)
  if(NOT sha256 STREQUAL FASTLOAD_JPEG_SHA256)
    message(FATAL_ERROR "${FASTLOAD_JPEG_SOURCE} is not the source of libjpeg-turbo 2.1.5 that fastload is tested with: "
      "its SHA-256 is ${sha256}, not ${FASTLOAD_JPEG_SHA256}")
  endif()
endfunction()

function(fastload_bundle_libjpeg)
  include(ExternalProject)
  set(root "${CMAKE_BINARY_DIR}/libjpeg-turbo")
  set(archive "${root}/build/libjpeg.a")
  set(launchers "")
  foreach(variable CMAKE_C_COMPILER_LAUNCHER CMAKE_TOOLCHAIN_FILE CMAKE_MAKE_PROGRAM)
    if(${variable})
      list(APPEND launchers "-D${variable}=${${variable}}")
    endif()
  endforeach()
  # It asks for a CMake of 2008, which today's refuses without the policy version.
  ExternalProject_Add(libjpeg_turbo
    URL "${FASTLOAD_JPEG_SOURCE}" URL_HASH SHA256=${FASTLOAD_JPEG_SHA256}
    PREFIX "${root}" SOURCE_DIR "${root}/source" BINARY_DIR "${root}/build"
    CMAKE_ARGS -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON
      -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_C_VISIBILITY_PRESET=hidden -DENABLE_SHARED=OFF -DENABLE_STATIC=ON
      -DWITH_TURBOJPEG=OFF -DREQUIRE_SIMD=ON ${launchers}
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR> --target jpeg-static
    BUILD_BYPRODUCTS "${archive}"
    INSTALL_COMMAND ""
    LOG_CONFIGURE ON LOG_BUILD ON LOG_OUTPUT_ON_FAILURE ON)
  add_dependencies(fastload_jpeg libjpeg_turbo)
  fastload_note_libjpeg(${FASTLOAD_JPEG_VERSION} ${FASTLOAD_JPEG_SHA256} "${root}/source/LICENSE.md" "${root}/source/README.ijg")
  target_include_directories(fastload_jpeg SYSTEM INTERFACE "${root}/source" "${root}/build")
  target_link_libraries(fastload_jpeg INTERFACE "${archive}")
endfunction()

# The -dev packages' libjpeg.a is compiled for programs, which may bind `stderr` directly as a library may not. Only the default
# output_message uses it, which we never leave in place: the copy that is linked asks for another name.
function(fastload_use_system_libjpeg why)
  string(CONCAT help "\nTo have libjpeg-turbo built here, install nasm and set FASTLOAD_JPEG_SOURCE to libjpeg-turbo_2.1.5.orig.tar.gz of "
    "Debian's source package. Or install libjpeg-turbo 2.1.5 or newer with its headers and libjpeg.a: "
    "libjpeg62-turbo-dev (Debian) or libjpeg-turbo8-dev (Ubuntu).")
  find_path(FASTLOAD_SYSTEM_JPEG_HEADERS jpeglib.h)
  find_library(FASTLOAD_SYSTEM_JPEG libjpeg.a)
  if(NOT FASTLOAD_SYSTEM_JPEG_HEADERS OR NOT FASTLOAD_SYSTEM_JPEG)
    message(FATAL_ERROR "fastload needs libjpeg-turbo. ${why}The system has no jpeglib.h with libjpeg.a." ${help})
  endif()
  set(archive "${CMAKE_BINARY_DIR}/system-libjpeg/libjpeg.a")
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/system-libjpeg")
  execute_process(COMMAND ${CMAKE_OBJCOPY} --redefine-sym stderr=fastload_no_stderr "${FASTLOAD_SYSTEM_JPEG}" "${archive}" RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "objcopy cannot read ${FASTLOAD_SYSTEM_JPEG}. ${why}" ${help})
  endif()
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES "${FASTLOAD_SYSTEM_JPEG_HEADERS}")
  set(CMAKE_REQUIRED_LIBRARIES "${archive}")
  set(CMAKE_REQUIRED_LINK_OPTIONS -shared -Wl,--exclude-libs,ALL -Wl,-z,defs -Wl,-z,text)
  set(CMAKE_REQUIRED_FLAGS -fPIC)
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("#include <cstdio>
#include <jpeglib.h>
#if LIBJPEG_TURBO_VERSION_NUMBER < 2001005
#error
#endif
extern \"C\" __attribute__((visibility(\"hidden\"))) void* fastload_no_stderr;
void* fastload_no_stderr = nullptr;
unsigned f(jpeg_decompress_struct* libjpeg, jpeg_error_mgr* errors) {
  libjpeg->err = jpeg_std_error(errors);
  jpeg_create_decompress(libjpeg);
  return jpeg_skip_scanlines(libjpeg, 1);
}
int main() { return 0; }" FASTLOAD_SYSTEM_JPEG_LINKS)
  if(NOT FASTLOAD_SYSTEM_JPEG_LINKS)
    message(FATAL_ERROR "fastload needs libjpeg-turbo 2.1.5 or newer. ${why}${FASTLOAD_SYSTEM_JPEG} is another, or cannot be linked into a "
      "library." ${help})
  endif()
  find_file(FASTLOAD_SYSTEM_JCONFIG jconfig.h)
  file(STRINGS "${FASTLOAD_SYSTEM_JCONFIG}" version REGEX "define +LIBJPEG_TURBO_VERSION +")
  string(REGEX REPLACE ".*LIBJPEG_TURBO_VERSION +" "" version "${version}")
  file(GLOB texts /usr/share/doc/libjpeg*turbo*-dev/copyright)  # Debian's and Ubuntu's packages
  fastload_note_libjpeg("${version}" "" ${texts})
  file(WRITE "${CMAKE_BINARY_DIR}/system-libjpeg/no_stderr.c" "__attribute__((visibility(\"hidden\"))) void* fastload_no_stderr;\n")
  add_library(fastload_no_stderr STATIC "${CMAKE_BINARY_DIR}/system-libjpeg/no_stderr.c")
  target_include_directories(fastload_jpeg SYSTEM INTERFACE "${FASTLOAD_SYSTEM_JPEG_HEADERS}")
  target_link_libraries(fastload_jpeg INTERFACE "${archive}" fastload_no_stderr)
endfunction()

set(why "")
if(NOT FASTLOAD_JPEG STREQUAL system)
  fastload_look_for_source(problem)
  if(problem)
    set(why "Its own copy cannot be built: ${problem}. ")
    if(FASTLOAD_JPEG STREQUAL bundled)
      message(FATAL_ERROR "fastload: ${why}")
    endif()
  endif()
endif()
if(FASTLOAD_JPEG STREQUAL system OR problem)
  message(STATUS "fastload links the system's libjpeg-turbo, statically. ${why}")
  fastload_use_system_libjpeg("${why}")
else()
  message(STATUS "fastload builds its own libjpeg-turbo")
  fastload_bundle_libjpeg()
endif()
