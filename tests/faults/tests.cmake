# One ctest entry per file of fault tests; each starts the binary on ports of its own.
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
set(fault_tests
  test_offsets
  test_cut_tls
  test_segments
  test_streams
  test_resources
  test_restart
  test_kill
  test_log_faults
  test_load
  test_load_closes
  test_calls_load
  test_fairness
  test_failing_calls
  test_allocations
  test_dns_faults)
if(IRON_SANITIZE)
  set(fault_slowness 4)
else()
  set(fault_slowness 1)
endif()
# Preloaded into the program: fails one call.
add_library(failing_calls MODULE faults/failing_calls.cc)
target_link_libraries(failing_calls PRIVATE ${CMAKE_DL_LIBS})
# Preloaded into the program: holds back each record.
add_library(slow_log MODULE faults/slow_log.cc)
target_link_libraries(slow_log PRIVATE ${CMAKE_DL_LIBS})
if(TARGET iron-proxy)
  foreach(name IN LISTS fault_tests)
    string(REPLACE "test_" "faults_" entry ${name})
    add_test(NAME ${entry} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/faults/${name}.py)
    set_tests_properties(
      ${entry}
      PROPERTIES
        LABELS faults
        TIMEOUT 600
        SKIP_RETURN_CODE 77
        ENVIRONMENT
          "IRON_PROXY_BINARY=$<TARGET_FILE:iron-proxy>;IRON_TEST_SLOWNESS=${fault_slowness};IRON_TEST_BUILD=${CMAKE_BINARY_DIR};IRON_SANITIZE=${IRON_SANITIZE};IRON_FAILING_CALLS=$<TARGET_FILE:failing_calls>;IRON_SLOW_LOG=$<TARGET_FILE:slow_log>"
    )
  endforeach()
  # It times single requests, on both processors.
  set_tests_properties(faults_fairness PROPERTIES LABELS load RUN_SERIAL ON)
  set_tests_properties(faults_load_closes PROPERTIES LABELS "faults;load")
  # The rate is one that a busy machine with two processors holds, so other tests may run beside it.
  add_test(NAME faults_soak COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/faults/soak --rate 150)
  set_tests_properties(
    faults_soak PROPERTIES LABELS "load;soak" TIMEOUT 600 COST 1000
                           ENVIRONMENT "IRON_PROXY_BINARY=$<TARGET_FILE:iron-proxy>;IRON_SANITIZE=${IRON_SANITIZE}")
endif()
