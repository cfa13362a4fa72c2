#include "proxy/hello_gate.h"

#include "tls/client_hello.h"

namespace iron::proxy {
namespace {

constexpr char kTlsRecord = 0x16;
constexpr auto kHelloTimeout = std::chrono::seconds(5);

}  // namespace

FirstBytes::Verdict HelloGate::refuse(std::string_view why) {
  refusal_ = why;
  return Verdict::refuse;
}

FirstBytes::Verdict HelloGate::judge(std::string_view bytes, bool ended) {
  using State = tls::ClientHello::State;
  if (bytes.empty()) return ended ? Verdict::pass : Verdict::wait;
  if (bytes.front() != kTlsRecord) return Verdict::pass;
  if (deadline_ == SteadyTime::max()) deadline_ = std::chrono::steady_clock::now() + kHelloTimeout;
  const tls::ClientHello hello = tls::peek_client_hello(bytes);
  if (hello.state == State::not_tls || (hello.state == State::incomplete && ended)) {
    return refuse("malformed client hello");
  }
  if (hello.state == State::incomplete) return Verdict::wait;
  server_name_ = hello.server_name;
  if (server_name_.empty()) {
    return target_.literal ? Verdict::pass : refuse("client hello missing sni");
  }
  if (policy::fold_host(server_name_) != target_.host) {
    return refuse("SNI is not the host of the tunnel");
  }
  return Verdict::pass;
}

}  // namespace iron::proxy
