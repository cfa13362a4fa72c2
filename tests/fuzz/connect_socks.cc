// What a CONNECT head or SOCKS exchange asks for does not depend on how it arrives, is decided
// within a bounded buffer, and what follows is left for the tunnel.
#include <string>

#include "policy/match/host.h"
#include "proxy/client/socks5.h"
#include "proxy/http1/head_parser.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;

void check_greeting(std::string_view input) {
  using State = SocksGreeting::State;
  const SocksGreeting whole = parse_socks_greeting(input);
  FUZZ_CHECK(whole.consumed <= input.size() && whole.consumed <= 257);
  if (input.size() >= 257) FUZZ_CHECK(whole.state != State::incomplete);
  for (std::size_t size = 0; size <= std::min<std::size_t>(input.size(), 300); ++size) {
    const SocksGreeting part = parse_socks_greeting(input.substr(0, size));
    if (part.state == State::incomplete) continue;
    FUZZ_CHECK(part.state == whole.state && part.consumed == whole.consumed);
  }
  if (whole.state != State::accepted && whole.state != State::no_method) return;
  // Never a byte beyond the greeting: other bytes there change nothing.
  std::string other(input.substr(0, whole.consumed));
  FUZZ_CHECK(parse_socks_greeting(other).state == whole.state);
  FUZZ_CHECK(parse_socks_greeting(other + '\0').state == whole.state);
}

void check_request(std::string_view input) {
  using State = SocksRequest::State;
  const SocksRequest whole = parse_socks_request(input);
  FUZZ_CHECK(whole.consumed <= input.size() && whole.consumed <= 262);
  if (input.size() >= 262) FUZZ_CHECK(whole.state != State::incomplete);
  for (std::size_t size = 0; size <= std::min<std::size_t>(input.size(), 300); ++size) {
    const SocksRequest part = parse_socks_request(input.substr(0, size));
    if (part.state == State::incomplete) continue;
    FUZZ_CHECK(part.state == whole.state && part.consumed == whole.consumed);
    FUZZ_CHECK(part.host == whole.host && part.port == whole.port);
  }
  if (whole.state != State::accepted) return;
  FUZZ_CHECK(whole.host.size() <= 255);
  if (input[3] == 3) return;
  const auto authority =
      policy::Authority::parse(whole.is_ipv6 ? "[" + whole.host + "]" : whole.host);
  FUZZ_CHECK(authority && authority->literal);
}

void check_connect(std::string_view input) {
  HeadLimits limits;
  limits.connect_bytes = 300;
  limits.start_line_bytes = 200;
  limits.fields = 8;
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  const auto status = parser.parse(input, limits, request);
  if (input.size() > limits.connect_bytes && input.starts_with("CONNECT ")) {
    FUZZ_CHECK(status != HeadParser::Status::incomplete);
  }
  if (status != HeadParser::Status::complete || request.method != "CONNECT") return;
  FUZZ_CHECK(parser.consumed() <= limits.connect_bytes);
  const auto authority = policy::Authority::parse(request.target);
  for (const std::size_t cut : cuts(input)) {
    HeadParser again(HeadParser::Kind::request);
    Request second;
    auto state = again.parse(input.substr(0, cut), limits, second);
    if (state == HeadParser::Status::incomplete) state = again.parse(input, limits, second);
    FUZZ_CHECK(state == status && again.consumed() == parser.consumed());
    FUZZ_CHECK(second.target == request.target);
  }
  if (!authority) return;
  FUZZ_CHECK(authority->host.find_first_of("/@?#\\% ") == std::string::npos);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(connect_socks) {
  check_greeting(input);
  check_request(input);
  check_connect(input);
  const iron::proxy::SocksGreeting greeting = iron::proxy::parse_socks_greeting(input);
  if (greeting.state == iron::proxy::SocksGreeting::State::accepted) {
    check_request(input.substr(greeting.consumed));
  }
}
