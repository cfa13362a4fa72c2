#include "tls/client_hello.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <utility>

namespace iron::tls {
namespace {

constexpr std::size_t kMost = 16 * 1024;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kHandshakeHeader = 4;
constexpr unsigned char kHandshakeRecord = 22;
constexpr unsigned char kClientHello = 1;
constexpr std::uint16_t kServerName = 0;  // RFC 6066 section 3
constexpr std::size_t kRandomSize = 32;

/// Reads big-endian fields; after the first one that is not there, `good` stays false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::size_t number(std::size_t octets) {
    std::size_t value = 0;
    for (const char octet : take(octets)) value = value << 8 | static_cast<unsigned char>(octet);
    return value;
  }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  /// A vector whose length comes first, in `octets` octets.
  std::string_view vector(std::size_t octets) {
    const std::size_t size = number(octets);
    return take(size);
  }
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

bool is_address(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  if (text.find('\0') != text.npos) return false;
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

/// The host_name of a server_name extension. False if it is malformed.
bool read_server_name(std::string_view extension, std::string& name) {
  Reader outer(extension);
  Reader list(outer.vector(2));
  if (!outer.good() || !outer.at_end() || list.at_end()) return false;
  while (!list.at_end()) {
    const std::size_t type = list.number(1);
    const std::string_view value = list.vector(2);
    if (!list.good() || value.empty()) return false;
    if (type != 0) continue;
    // There is one at most (RFC 6066 section 3), or two readers could take two.
    if (!name.empty()) return false;
    name = value;
  }
  return true;
}

/// The body of a ClientHello (RFC 8446 section 4.1.2). False if it is malformed.
bool read_hello(std::string_view body, std::string& name) {
  Reader hello(body);
  hello.take(2);  // legacy_version
  hello.take(kRandomSize);
  hello.vector(1);  // legacy_session_id
  const std::size_t suites = hello.vector(2).size();
  const std::size_t compressions = hello.vector(1).size();
  if (!hello.good() || suites < 2 || suites % 2 != 0 || compressions == 0) return false;
  if (hello.at_end()) return true;  // TLS 1.2 may end here: no extensions
  Reader extensions(hello.vector(2));
  if (!hello.good() || !hello.at_end()) return false;
  bool seen = false;
  while (!extensions.at_end()) {
    const std::size_t type = extensions.number(2);
    const std::string_view value = extensions.vector(2);
    if (!extensions.good()) return false;
    if (type != kServerName) continue;
    if (seen || !read_server_name(value, name)) return false;
    seen = true;
  }
  return true;
}

/// Joins the handshake bytes of as many whole or partial records as there are. False for anything
/// but handshake records.
bool join_records(std::string_view bytes, std::string& handshake) {
  while (!bytes.empty()) {
    const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
    if (octet(0) != kHandshakeRecord) return false;
    if (bytes.size() > 1 && octet(1) != 3) return false;
    if (bytes.size() < kRecordHeader) return true;
    const std::size_t size = std::size_t{octet(3)} << 8 | octet(4);
    if (size == 0 || size > kMost) return false;
    bytes.remove_prefix(kRecordHeader);
    handshake += bytes.substr(0, size);
    // What follows the hello is not looked at: it need not be a handshake record.
    if (handshake.size() >= kHandshakeHeader) {
      Reader header(handshake);
      header.take(1);
      if (handshake.size() >= kHandshakeHeader + header.number(3)) return true;
    }
    if (bytes.size() < size) return true;
    bytes.remove_prefix(size);
  }
  return true;
}

}  // namespace

ClientHello peek_client_hello(std::string_view bytes) {
  const ClientHello incomplete;
  ClientHello not_tls;
  not_tls.state = ClientHello::State::not_tls;

  const bool cut = bytes.size() > kMost;
  std::string handshake;
  if (!join_records(bytes.substr(0, kMost), handshake)) return not_tls;
  if (!handshake.empty() && static_cast<unsigned char>(handshake[0]) != kClientHello)
    return not_tls;
  // A hello that does not fit is refused when its length is known, not when 16 KiB have come.
  Reader reader(handshake);
  reader.take(1);
  const std::size_t size = reader.number(3);
  if (reader.good() && size + kHandshakeHeader + kRecordHeader > kMost) return not_tls;
  const std::string_view body = reader.take(size);
  if (!reader.good()) return cut || bytes.size() == kMost ? not_tls : incomplete;

  ClientHello result;
  if (!read_hello(body, result.server_name)) return not_tls;
  // RFC 6066 forbids literal addresses here; a client that sends one has no name to offer.
  if (is_address(result.server_name)) result.address = std::exchange(result.server_name, {});
  result.state = ClientHello::State::complete;
  return result;
}

}  // namespace iron::tls
