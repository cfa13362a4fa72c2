set(tls_tests
    call_context_test.cc
    certificate_authority_test.cc
    client_hello_test.cc
    context_test.cc
    error_text_test.cc
    generate_ca_test.cc
    leaf_store_test.cc
    leaf_test.cc
    objection_test.cc
    record_memory_test.cc
    stream_pair.cc
    stream_test.cc
    test_pki.cc
    trust_test.cc
    upstream_library_test.cc
)
if(tls_tests)
  list(TRANSFORM tls_tests PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/tls/)
  iron_unit_tests(tls_tests SHARDS 2 SOURCES ${tls_tests} LIBRARIES iron::tls)
endif()
