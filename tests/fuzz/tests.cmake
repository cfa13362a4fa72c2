# One fuzz target per parser. With IRON_FUZZ each is a libFuzzer program fuzz_<name>; tests/fuzz/run runs them.
# Else all are in one program that replays the corpora, so that every finding stays a test in every build.
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
  scrub)
set(fuzz_dir ${CMAKE_CURRENT_SOURCE_DIR}/fuzz)
add_library(iron_fuzz_support STATIC ${fuzz_dir}/fuzz_target.cc ${fuzz_dir}/reference.cc
            ${fuzz_dir}/scrub_places.cc ${fuzz_dir}/scrub_replaced.cc
            ${CMAKE_CURRENT_SOURCE_DIR}/transforms/rig.cc)
target_link_libraries(iron_fuzz_support PUBLIC iron::proxy iron_simdjson)

if(IRON_FUZZ)
  foreach(library iron_simdjson iron_policy iron_tls iron_transforms iron_proxy_core iron_fuzz_support)
    target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
  foreach(name IN LISTS fuzz_targets)
    add_executable(fuzz_${name} ${fuzz_dir}/${name}.cc)
    target_compile_definitions(fuzz_${name} PRIVATE IRON_FUZZ)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} PRIVATE iron_fuzz_support)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} -runs=0 ${fuzz_dir}/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300 LABELS fuzz)
  endforeach()
else()
  list(TRANSFORM fuzz_targets PREPEND ${fuzz_dir}/ OUTPUT_VARIABLE fuzz_sources)
  list(TRANSFORM fuzz_sources APPEND .cc)
  list(TRANSFORM fuzz_targets REPLACE "(.+)" "IRON_FUZZ_TARGET(\\1)" OUTPUT_VARIABLE fuzz_list)
  list(JOIN fuzz_list "\n" fuzz_list)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/fuzz_targets/list.inc CONTENT "${fuzz_list}\n")
  add_executable(fuzz_corpora ${fuzz_dir}/replay_main.cc ${fuzz_sources})
  target_include_directories(fuzz_corpora PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/fuzz_targets)
  target_link_libraries(fuzz_corpora PRIVATE iron_fuzz_support)
  foreach(name IN LISTS fuzz_targets)
    add_test(NAME fuzz_${name} COMMAND fuzz_corpora ${name} ${fuzz_dir}/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300 LABELS fuzz)
  endforeach()
endif()
