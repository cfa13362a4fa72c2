#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <memory>
#include <stdexcept>

#include "bench/case.h"
#include "bench/keep.h"
#include "bench/policies.h"
#include "bench/request_path.h"
#include "proxy/http1/body_reader.h"

namespace iron::bench {
namespace {

namespace http = boost::beast::http;

/// The same job for Beast's parser: fields into the list that the proxy works with.
class BeastParser : public http::basic_parser<true> {
 public:
  Request request;

 private:
  using View = boost::beast::string_view;
  using Code = boost::beast::error_code;
  static std::string_view plain(View text) { return {text.data(), text.size()}; }
  void on_request_impl(http::verb, View method, View target, int version, Code&) override {
    request.method = plain(method);
    request.target = plain(target);
    request.minor_version = version % 10;
  }
  void on_response_impl(int, View, int, Code&) override {}
  void on_field_impl(http::field, View name, View value, Code&) override {
    request.headers.add(plain(name), plain(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View body, Code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, Code&) override { return body.size(); }
  void on_finish_impl(Code&) override {}
};

/// Beast's parsers serve one message, so each round makes one; the field list is reused as ours is.
std::function<void()> beast_request_head() {
  auto headers = std::make_shared<Headers>();
  return [headers] {
    BeastParser parser;
    headers->clear();
    std::swap(parser.request.headers, *headers);
    boost::system::error_code error;
    parser.put(boost::asio::buffer(kRequestHead), error);
    if (error || !parser.is_header_done()) throw std::runtime_error("Beast refuses the head");
    std::swap(parser.request.headers, *headers);
  };
}

struct Path {
  Policy policy{PolicySize{}};
  RequestPath path{policy.pipeline()};
};

/// A step of the request's path, after the whole of it ran.
template <class Step>
std::function<void()> step(Step run) {
  auto all = std::make_shared<Path>();
  for (int i = 0; i < 3; ++i) {
    if (!all->path.run()) throw std::runtime_error("the request's path fails");
  }
  return [all, run] { run(all->path); };
}

constexpr std::size_t kChunkedBytes = 64 * 1024;

std::string chunked(std::size_t chunk) {
  std::string out;
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", chunk);
  for (std::size_t sent = 0; sent < kChunkedBytes; sent += chunk) {
    out.append(size).append(chunk, 'x').append("\r\n");
  }
  return out + "0\r\n\r\n";
}

std::function<void()> chunked_decode(std::size_t chunk) {
  return [input = chunked(chunk)] {
    proxy::BodyReader reader(proxy::BodyFraming{proxy::BodyFraming::Kind::chunked, 0});
    std::string_view rest = input;
    std::size_t data = 0;
    while (!reader.done()) {
      const proxy::BodyReader::Piece piece = reader.next(rest);
      rest.remove_prefix(piece.consumed);
      data += piece.data.size();
    }
    if (data != kChunkedBytes) throw std::runtime_error("chunked body broke");
  };
}

}  // namespace

std::vector<Case> proxy_cases() {
  const auto all = [](RequestPath& path) { keep(path.run()); };
  return {
      {"proxy/request_head_parse",
       [] { return step([](RequestPath& path) { keep(path.parse_request()); }); }, 1000},
      {"proxy/request_head_parse_beast", beast_request_head},
      {"proxy/response_head_parse",
       [] { return step([](RequestPath& path) { keep(path.parse_response()); }); }, 1000},
      {"proxy/request_head_write",
       [] { return step([](RequestPath& path) { path.write_request(); }); }, 1000},
      {"proxy/response_head_write",
       [] { return step([](RequestPath& path) { path.write_response(); }); }, 1000},
      {"proxy/log/record", [] { return step([](RequestPath& path) { path.render_record(); }); },
       1000},
      {"proxy/chunked_decode/16384", [] { return chunked_decode(16384); }, 200, kChunkedBytes},
      {"proxy/chunked_decode/64", [] { return chunked_decode(64); }, 20, kChunkedBytes},
      {"proxy/whole_request", [all] { return step(all); }, 1000},
  };
}

}  // namespace iron::bench
