#include "bench/request_path.h"

#include "policy/match/path.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/head_parser.h"
#include "proxy/http1/head_writer.h"

namespace iron::bench {

const std::string_view kRequestHead =
    "GET /v1/models?limit=20 HTTP/1.1\r\n"
    "Host: api.bench.test\r\n"
    "User-Agent: bench/1.0\r\n"
    "Accept: */*\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Authorization: Bearer hermes-proxy-main-0123456789abcdef\r\n"
    "\r\n";
const std::string_view kResponseHead =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 128\r\n"
    "Server: bench\r\n"
    "X-Request-Id: 0123456789abcdef\r\n"
    "Cache-Control: no-store\r\n"
    "\r\n";

bool RequestPath::parse_request() {
  exchange_.reset();
  request_parser_.restart();
  return request_parser_.parse(request_head_, limits_, exchange_.request) ==
             proxy::HeadParser::Status::complete &&
         proxy::check_request(exchange_.request).fault == proxy::HeadFault::none;
}

bool RequestPath::fill_exchange() {
  Request& request = exchange_.request;
  host_ = request.headers.find("Host")->value;
  if (!exchange_.authority.assign(host_)) return false;
  const std::size_t query = request.target.find('?');
  exchange_.raw_path = request.target.substr(0, query);
  exchange_.has_query = query != std::string_view::npos;
  exchange_.raw_query = exchange_.has_query ? request.target.substr(query + 1) : std::string_view();
  exchange_.client_tls = true;
  exchange_.remote_address = "127.0.0.1:50000";
  proxy::read_connection(request.headers);
  proxy::strip_request(request.headers, false);
  return policy::percent_decode(exchange_.raw_path, exchange_.path) &&
         !policy::has_dot_segments(exchange_.path);
}

bool RequestPath::run_request() {
  transforms::BodyNeed need;
  return pipeline_.run_request(exchange_, need) == transforms::Pipeline::Progress::done;
}

void RequestPath::write_request() {
  head_buffer_.wipe(head_size_);
  const std::size_t bound = proxy::request_head_bound(exchange_, host_);
  if (bound > head_buffer_.size()) head_buffer_ = SecretBuffer(bound);
  char* const begin = head_buffer_.data();
  const char* const end = proxy::write_request_head(exchange_, host_, {}, begin).end;
  head_size_ = static_cast<std::size_t>(end - begin);
  head_ = {begin, head_size_};
}

bool RequestPath::parse_response() {
  response_.headers.clear();
  response_parser_.restart();
  if (response_parser_.parse(kResponseHead, limits_, response_) !=
      proxy::HeadParser::Status::complete) {
    return false;
  }
  const bool framed = proxy::check_response(response_, "GET").error.empty();
  proxy::strip_response(response_.headers, false);
  exchange_.response = &response_;
  exchange_.response_trace_count = 0;  // this step may run again and again
  return framed && pipeline_.run_response(exchange_) == transforms::Pipeline::Progress::done;
}

void RequestPath::write_response() {
  client_head_.clear();
  proxy::ResponseHeadOptions options;
  options.framing = proxy::ClientFraming::length;
  proxy::write_response_head(response_, options, client_head_);
}

void RequestPath::render_record() {
  line_.clear();
  proxy::Record record;
  record.host = host_;
  record.method = exchange_.request.method;
  record.path = exchange_.path;
  record.remote_addr = exchange_.remote_address;
  record.sni = host_;
  record.duration_ns = 154'321;
  record.response_bytes = 128;
  record.upstream_addr = "127.0.0.1:443";
  record.upstream_ns = 102'000;
  record.tls = proxy::Record::Tls{"1.3", true};
  record.id = 0x5f1c0a9be2d4877a;
  record.exchange = &exchange_;
  proxy::render(record, line_);
}

bool RequestPath::run() {
  if (!parse_request() || !fill_exchange() || !run_request()) return false;
  write_request();
  if (!parse_response()) return false;
  write_response();
  render_record();
  return true;
}

}  // namespace iron::bench
