set(policy_tests
    deny_list_test.cc
    errno_text_test.cc
    glob_test.cc
    go_flags_test.cc
    host_index_test.cc
    host_test.cc
    http_message_test.cc
    ip_address_test.cc
    json_reader_test.cc
    json_writer_test.cc
    no_proxy_test.cc
    pass_through_test.cc
    path_test.cc
    proxy_passwords_test.cc
    proxy_url_test.cc
    rules_test.cc
    secret_test.cc
    config_keys_test.cc
    config_test.cc
    config_text.cc
    config_validate_test.cc
    duration_test.cc
    line_writer_test.cc
    listen_address_test.cc
    vector_registers_test.cc
    hex_test.cc
    task_test.cc
    utf8_test.cc
    yaml_reader_test.cc
)
if(policy_tests)
  list(TRANSFORM policy_tests PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/policy/)
  iron_unit_tests(policy_tests SOURCES ${policy_tests} LIBRARIES iron::policy)

  # The tables of the documents are what the program's own table says.
  find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
  add_executable(config_tables ${CMAKE_CURRENT_SOURCE_DIR}/policy/config_tables.cc
                               ${CMAKE_CURRENT_SOURCE_DIR}/policy/config_text.cc)
  target_link_libraries(config_tables PRIVATE iron::policy)
  add_test(NAME document_tables COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/tools/write_tables
                                        --check --binary $<TARGET_FILE:config_tables>)
  set_tests_properties(document_tables PROPERTIES TIMEOUT 60 LABELS unit)
endif()
