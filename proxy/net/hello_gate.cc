#include "proxy/net/hello_gate.h"

#include <algorithm>

#include "tls/client_hello.h"

namespace iron::proxy {
namespace {

constexpr char kTlsRecord = 0x16;
constexpr char kTlsAlert = 0x15, kTlsCipherChange = 0x14;
constexpr std::size_t kRecordHeader = 5;
constexpr auto kHelloTimeout = std::chrono::seconds(5);

/// Whether they are, as far as they have come, the header of a record that some servers pass over
/// before a hello: an alert of two octets or a change of ciphers of one (RFC 8446 section 5.1).
bool hides_hello(std::string_view bytes) {
  constexpr char kEndOfMajor = 0x10;  // servers that have no version yet take any below
  if (bytes.front() != kTlsAlert && bytes.front() != kTlsCipherChange) return false;
  if (bytes.size() > 1 && (bytes[1] < 0 || bytes[1] >= kEndOfMajor)) return false;
  const char size[] = {0, bytes.front() == kTlsAlert ? '\2' : '\1'};
  const std::string_view sized = bytes.substr(std::min<std::size_t>(bytes.size(), 3), sizeof size);
  return std::string_view(size, sizeof size).starts_with(sized);
}

}  // namespace

FirstBytes::Verdict HelloGate::refuse(std::string_view why) {
  refusal_ = why;
  return Verdict::refuse;
}

/// Servers may choose by an address too, which has more than one spelling.
bool HelloGate::is_target(const std::string& name) const {
  if (policy::fold_host(name) == target_.host) return true;
  const auto address = policy::IpAddress::parse(name);
  return address && address == target_.literal;
}

FirstBytes::Verdict HelloGate::judge(std::string_view bytes, bool ended, SteadyTime now) {
  using State = tls::ClientHello::State;
  if (bytes.empty()) return ended ? Verdict::pass : Verdict::wait;
  const bool hidden = hides_hello(bytes);
  if (bytes.front() != kTlsRecord && !hidden) return Verdict::pass;
  if (hidden && bytes.size() >= kRecordHeader) return refuse("malformed client hello");
  if (hidden && ended) return Verdict::pass;
  if (deadline_ == SteadyTime::max()) deadline_ = now + kHelloTimeout;
  if (hidden) return Verdict::wait;
  const tls::ClientHello hello = tls::peek_client_hello(bytes);
  if (hello.state == State::not_tls || (hello.state == State::incomplete && ended)) {
    return refuse("malformed client hello");
  }
  if (hello.state == State::incomplete) return Verdict::wait;
  server_name_ = hello.address.empty() ? hello.server_name : hello.address;
  if (server_name_.empty()) {
    return target_.literal ? Verdict::pass : refuse("client hello missing sni");
  }
  return is_target(server_name_) ? Verdict::pass : refuse("SNI is not the host of the tunnel");
}

}  // namespace iron::proxy
