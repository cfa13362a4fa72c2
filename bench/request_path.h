#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "policy/secret/secret_arena.h"
#include "proxy/http1/head_parser.h"
#include "proxy/log/record.h"
#include "transforms/exchange.h"
#include "transforms/pipeline.h"

namespace iron::bench {

/// A small keep-alive request and its answer, with as many fields as the side-by-side benchmark
/// sends.
extern const std::string_view kRequestHead;
extern const std::string_view kResponseHead;

/// What a worker does with one request apart from I/O and coroutines, step by step and with memory
/// that is reused.
class RequestPath {
 public:
  explicit RequestPath(const transforms::Pipeline& pipeline, std::string_view head = kRequestHead)
      : pipeline_(pipeline), request_head_(head) {}

  /// Every step in turn. False if any of them did not go as expected.
  bool run();

  bool parse_request();
  /// Effective host, path and what transforms are told else; hop-by-hop fields go.
  bool fill_exchange();
  bool run_request();
  void write_request();
  bool parse_response();
  void write_response();
  void render_record();

  /// The head that was written for the upstream.
  std::string_view upstream_head() const { return {head_.data(), head_size_}; }
  const std::string& client_head() const { return client_head_; }
  const std::string& record() const { return line_; }
  transforms::Exchange& exchange() { return exchange_; }

 private:
  const transforms::Pipeline& pipeline_;
  const std::string request_head_;
  std::string_view host_;
  proxy::HeadParser request_parser_{proxy::HeadParser::Kind::request};
  proxy::HeadParser response_parser_{proxy::HeadParser::Kind::response};
  proxy::HeadLimits limits_;
  transforms::Exchange exchange_;
  Response response_;
  SecretBuffer head_buffer_;
  std::string_view head_;
  std::size_t head_size_ = 0;
  std::string client_head_, line_;
};

}  // namespace iron::bench
