# bench/overhead: its arithmetic, and one short run of all of it.
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
add_test(NAME bench_figures COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/bench/test_figures.py)
set_tests_properties(bench_figures PROPERTIES LABELS unit TIMEOUT 60)
if(TARGET iron-proxy)
  add_test(NAME bench_overhead COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/bench/test_overhead.py)
  set_tests_properties(bench_overhead PROPERTIES LABELS load RUN_SERIAL TRUE TIMEOUT 600
                                                 ENVIRONMENT "IRON_TEST_BUILD=${CMAKE_BINARY_DIR}")
endif()
