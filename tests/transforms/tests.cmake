set(transforms_tests
    rig.cc
    fake_outside.cc
    gcp_auth_test.cc
    hmac_sign_test.cc
    oauth_token_test.cc
    source_test.cc
    connect_source_test.cc
    gcp_source_test.cc
    onepassword_source_test.cc
    vault_source_test.cc
    secret_json_test.cc
    scrub_test.cc
    aws_answers_test.cc
    aws_auth_test.cc
    aws_chain_test.cc
    aws_chunks_test.cc
    aws_config_test.cc
    aws_source_test.cc
    config_errors_test.cc
    form_test.cc
    formatter_test.cc
    jwt_test.cc
    key_net_test.cc
    path_readings_test.cc
    secrets_inject_test.cc
    secrets_judge_test.cc
    secrets_replace_test.cc
    small_transforms_test.cc
    steady_path_test.cc
    sigv4_test.cc
    text_parts_test.cc
    token_answer_test.cc
)
if(IRON_SANITIZE STREQUAL "thread")
  list(REMOVE_ITEM transforms_tests steady_path_test.cc)  # counts in operators of its own, which that sanitizer has too
endif()
if(transforms_tests)
  list(TRANSFORM transforms_tests PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/transforms/)
  iron_unit_tests(transforms_tests SOURCES ${transforms_tests} LIBRARIES iron::transforms)
endif()
