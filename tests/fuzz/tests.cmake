# One fuzz target per parser. All are in one program that replays the corpora, so that every finding stays a test in every build.
# With IRON_FUZZ (Clang, lld) each is a libFuzzer program fuzz_<name> besides; tests/fuzz/run runs them.
set(fuzz_targets
  request_head
  response_head
  chunked
  connect_socks
  authority
  host_match
  path
  cidr
  client_hello
  dns_server
  dns_answer
  config
  formatter
  swap
  audit_line
  json_reader
  parent_proxy
  scrub)
set(fuzz_dir ${CMAKE_CURRENT_SOURCE_DIR}/fuzz)
add_library(iron_fuzz_support STATIC ${fuzz_dir}/fuzz_target.cc ${fuzz_dir}/reference.cc
            ${fuzz_dir}/scrub_places.cc ${fuzz_dir}/scrub_replaced.cc
            ${CMAKE_CURRENT_SOURCE_DIR}/transforms/rig.cc ${CMAKE_CURRENT_SOURCE_DIR}/transforms/fake_outside.cc)
target_link_libraries(iron_fuzz_support PUBLIC iron::proxy iron_simdjson)

list(TRANSFORM fuzz_targets REPLACE "(.+)" "IRON_FUZZ_TARGET(\\1)" OUTPUT_VARIABLE fuzz_list)
list(JOIN fuzz_list "\n" fuzz_list)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/fuzz_targets/list.inc CONTENT "${fuzz_list}\n")
add_executable(fuzz_corpora ${fuzz_dir}/replay_main.cc)
target_include_directories(fuzz_corpora PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/fuzz_targets)
target_link_libraries(fuzz_corpora PRIVATE iron_fuzz_support)
if(IRON_FUZZ)
  foreach(library iron_simdjson iron_policy iron_tls iron_transforms iron_proxy_core iron_fuzz_support)
    target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
endif()
foreach(name IN LISTS fuzz_targets)
  add_library(fuzz_${name}_target OBJECT ${fuzz_dir}/${name}.cc)
  target_link_libraries(fuzz_${name}_target PRIVATE iron_fuzz_support)
  target_sources(fuzz_corpora PRIVATE $<TARGET_OBJECTS:fuzz_${name}_target>)
  add_test(NAME fuzz_${name} COMMAND fuzz_corpora ${name} ${fuzz_dir}/corpus)
  set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300 LABELS fuzz)
  if(IRON_FUZZ)
    target_compile_options(fuzz_${name}_target PRIVATE -fsanitize=fuzzer-no-link)
    add_executable(fuzz_${name} ${fuzz_dir}/fuzz_main.cc $<TARGET_OBJECTS:fuzz_${name}_target>)
    target_compile_definitions(fuzz_${name} PRIVATE IRON_FUZZ_TARGET=${name})
    # The list of what is linked says which changes concern the target (tests/fuzz/changes.py).
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer -Wl,--why-extract=${CMAKE_CURRENT_BINARY_DIR}/fuzz_${name}.extracted)
    target_link_libraries(fuzz_${name} PRIVATE iron_fuzz_support)
  endif()
endforeach()

find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
add_test(NAME fuzz_seeds COMMAND ${Python3_EXECUTABLE} -B ${fuzz_dir}/test_seeds.py)
set_tests_properties(fuzz_seeds PROPERTIES TIMEOUT 60 LABELS unit)
