# One ctest entry per file of wire tests; each starts the binary on ports of its own.
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
set(wire_tests
  test_command_line
  test_main_job
  test_listeners
  test_tunnels
  test_tls
  test_framing
  test_field_wire
  test_hermes
  test_memory
  test_memory_of_calls
  test_core_file
  test_hardening
  test_replaced_files
  test_streaming
  test_duplex
  test_silence
  test_closing
  test_websocket
  test_scrub
  test_field_secrets
  test_file_source
  test_aws_auth
  test_aws_access
  test_call_sources
  test_programs
  test_minted_tokens
  test_management
  test_shutdown
  test_limits
  test_socks
  test_sni_only
  test_passthrough
  test_dns
  test_lookups
  test_upstream
  test_upstream_proxy
  test_log
  test_safety
  test_attacks
  test_threats
  test_many
  test_configurations
  test_early_refusals
  test_clients)
if(IRON_SANITIZE)
  set(wire_slowness 4)
else()
  set(wire_slowness 1)
endif()
if(TARGET iron-proxy)
  add_library(keep_core_limit MODULE ${CMAKE_CURRENT_SOURCE_DIR}/wire/keep_core_limit.cc)
  target_link_libraries(keep_core_limit PRIVATE ${CMAKE_DL_LIBS})
  foreach(name IN LISTS wire_tests)
    string(REPLACE "test_" "wire_" entry ${name})
    add_test(NAME ${entry} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/wire/${name}.py)
    set_tests_properties(
      ${entry}
      PROPERTIES
        LABELS wire
        TIMEOUT 600
        SKIP_RETURN_CODE 77
        ENVIRONMENT
          "IRON_PROXY_BINARY=$<TARGET_FILE:iron-proxy>;IRON_TEST_SLOWNESS=${wire_slowness};IRON_TEST_BUILD=${CMAKE_SOURCE_DIR}/build;IRON_TEST_KEEP_CORE_LIMIT=$<TARGET_FILE:keep_core_limit>;IRON_SANITIZE=${IRON_SANITIZE}"
    )
  endforeach()
endif()
