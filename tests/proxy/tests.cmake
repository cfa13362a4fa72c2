set(proxy_tests
  accept_loop_test.cc
  admin_answers_test.cc
  admin_test.cc
  allocation_test.cc
  answer_cache_test.cc
  answer_head_test.cc
  answer_scrub_test.cc
  answers_test.cc
  body_budget_test.cc
  body_mover_test.cc
  body_reader_test.cc
  bound_socket_test.cc
  buffers_test.cc
  chunk_extension_test.cc
  client_connection_test.cc
  client_test.cc
  client_watch_test.cc
  closing_test.cc
  command_line_test.cc
  connection_gate_test.cc
  connection_login_test.cc
  connection_test.cc
  content_decoder_test.cc
  counted_allocations.cc
  decider_test.cc
  dialer_test.cc
  dialer_tls_test.cc
  distrust_notices_test.cc
  dns_message_test.cc
  dns_resolv_conf_test.cc
  dns_server_test.cc
  dns_zone_test.cc
  event_loop_test.cc
  field_text_test.cc
  file_broker_test.cc
  hardening_test.cc
  head_limits_test.cc
  head_parser_test.cc
  head_writer_test.cc
  header_rules_test.cc
  hello_gate_test.cc
  hijacked_process_test.cc
  http1_answer_test.cc
  http1_body_test.cc
  http1_client_test.cc
  http1_request_test.cc
  http1_upstream_test.cc
  keep_alive_test.cc
  later_test.cc
  line_budget_test.cc
  line_queue_test.cc
  line_sender_test.cc
  loaded_body_test.cc
  local_lookups_test.cc
  log_chunks_test.cc
  log_drain_test.cc
  log_front_test.cc
  log_test.cc
  log_waiters_test.cc
  lookup_steps_test.cc
  mailbox_test.cc
  max_forwards_test.cc
  message_checks_test.cc
  own_addresses_test.cc
  own_ending_test.cc
  own_upstreams_test.cc
  parent_dial_test.cc
  parent_handshake_test.cc
  parent_proxy_test.cc
  parent_tunnel_test.cc
  poller_test.cc
  rate_limit_test.cc
  record_batch_test.cc
  record_test.cc
  recorder_test.cc
  refusal_limiter_test.cc
  relay_gate_test.cc
  relay_test.cc
  request_body_test.cc
  request_state_test.cc
  request_target_test.cc
  resolver_test.cc
  scripted_peer.cc
  secret_pages_test.cc
  silence_test.cc
  socket_address_test.cc
  sockets_test.cc
  target_check_test.cc
  transfer_body_test.cc
  transfer_test.cc
  transfer_turn_test.cc
  upstream_pool_test.cc
  upstream_tls_test.cc
  upstreams_test.cc
  watch_test.cc
  web_message_test.cc
  websocket_test.cc
)
if(IRON_SANITIZE STREQUAL "thread")
  list(REMOVE_ITEM proxy_tests allocation_test.cc counted_allocations.cc)  # operators of their own, which that sanitizer has too
endif()
if(proxy_tests)
  list(TRANSFORM proxy_tests PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/proxy/)
  # Certificates, and the far end of a handshake.
  list(APPEND proxy_tests ${CMAKE_CURRENT_SOURCE_DIR}/tls/stream_pair.cc ${CMAKE_CURRENT_SOURCE_DIR}/tls/test_pki.cc)
  # The request's path without I/O, as the benchmarks run it.
  list(APPEND proxy_tests ${CMAKE_SOURCE_DIR}/bench/policies.cc ${CMAKE_SOURCE_DIR}/bench/request_path.cc)
  iron_unit_tests(proxy_tests SHARDS 2 SOURCES ${proxy_tests} LIBRARIES iron::proxy)
endif()

# Whole sessions between scripted peers.
set(session_tests
  acceptor_test.cc
  beast_messages.cc
  beast_peers.cc
  call_desk_test.cc
  client_session_test.cc
  connect_test.cc
  counted_allocations.cc
  exchange_run_test.cc
  http_message.cc
  http_session_test.cc
  passthrough_test.cc
  peer_exchanges.cc
  peer_stream.cc
  rig_authority.cc
  rig_stream.cc
  scripted_peer.cc
  session_allocation_test.cc
  session_dial_test.cc
  session_faults_test.cc
  session_handshake_test.cc
  session_model.cc
  session_model_peers.cc
  session_model_test.cc
  session_peers_test.cc
  session_rig.cc
  session_script.cc
  session_secrets_test.cc
  session_test.cc
  session_time_test.cc
  session_tls_records_test.cc
  session_tls_test.cc
  session_websocket_test.cc
  site_test.cc
  socks5_test.cc
  supply_desk_test.cc
  tunnel_test.cc
  websocket_peers.cc
)
if(IRON_SANITIZE)
  # A sanitizer has operators of its own, and coroutine frames are not kept under one.
  list(REMOVE_ITEM session_tests counted_allocations.cc session_allocation_test.cc)
endif()
list(TRANSFORM session_tests PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/proxy/)
list(APPEND session_tests ${CMAKE_CURRENT_SOURCE_DIR}/tls/test_pki.cc)
iron_unit_tests(session_tests SHARDS 3 SOURCES ${session_tests} LIBRARIES iron::proxy)
