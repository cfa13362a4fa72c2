// A prefix list denies exactly the addresses that it denies bit by bit, each address looked through
// for IPv4 inside. Texts of addresses and prefixes are read as inet_pton reads them, and what is
// denied is explained by an address and a prefix that holds it.
#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "policy/config_error.h"
#include "policy/match/deny_list.h"
#include "policy/match/host.h"
#include "policy/match/special_addresses.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

struct Plain {
  Bytes bytes{};
  bool v4 = false;
};

struct PlainPrefix {
  Plain network;
  int bits = 0;
};

bool bit(const Bytes& bytes, int at) {
  return (bytes[static_cast<std::size_t>(at / 8)] >> (7 - at % 8) & 1) != 0;
}

bool contains(const PlainPrefix& prefix, const Plain& address) {
  if (prefix.network.v4 != address.v4) return false;
  for (int i = 0; i < prefix.bits; ++i) {
    if (bit(prefix.network.bytes, i) != bit(address.bytes, i)) return false;
  }
  return true;
}

bool begins(const Bytes& bytes, std::initializer_list<std::uint8_t> start) {
  return std::equal(start.begin(), start.end(), bytes.begin());
}

Plain v4_at(const Bytes& bytes, std::size_t at, std::uint8_t flip = 0) {
  Plain plain;
  plain.v4 = true;
  for (std::size_t i = 0; i < 4; ++i)
    plain.bytes[i] = static_cast<std::uint8_t>(bytes[at + i] ^ flip);
  return plain;
}

bool zero(const Bytes& bytes, std::size_t from, std::size_t to) {
  for (; from < to; ++from) {
    if (bytes[from] != 0) return false;
  }
  return true;
}

/// The address as dialled and all that it may stand for (docs/policy.md, "Denied addresses").
std::vector<Plain> meanings(const Bytes& bytes) {
  if (begins(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return {v4_at(bytes, 12)};
  std::vector<Plain> all{{bytes, false}};
  if (zero(bytes, 0, 12) && !(zero(bytes, 12, 15) && bytes[15] <= 1))
    all.push_back(v4_at(bytes, 12));
  if (begins(bytes, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) all.push_back(v4_at(bytes, 12));
  if (begins(bytes, {0, 0x64, 0xff, 0x9b, 0, 1})) {
    // The prefix may be the /48 itself, with the address around bits 64 to 71, or a /96 inside it.
    Bytes spread{};
    spread[12] = bytes[6];
    spread[13] = bytes[7];
    spread[14] = bytes[9];
    spread[15] = bytes[10];
    if (!zero(bytes, 6, 8)) all.push_back(v4_at(spread, 12));
    if (!zero(bytes, 12, 16) || zero(bytes, 6, 12)) all.push_back(v4_at(bytes, 12));
  }
  if (begins(bytes, {0x20, 0x02})) all.push_back(v4_at(bytes, 2));
  if (begins(bytes, {0x20, 0x01, 0, 0})) all.push_back(v4_at(bytes, 12, 0xff));
  if ((bytes[8] & 0xfd) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe) {
    all.push_back(v4_at(bytes, 12));
  }
  if (begins(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0})) all.push_back(v4_at(bytes, 12));
  return all;
}

Plain loopback(bool v4) {
  Plain plain;
  plain.v4 = v4;
  plain.bytes[0] = v4 ? 127 : 0;
  plain.bytes[v4 ? 3 : 15] = 1;
  return plain;
}

policy::IpAddress address_of(const Plain& plain) {
  const Bytes& b = plain.bytes;
  return plain.v4 ? policy::IpAddress::v4({b[0], b[1], b[2], b[3]}) : policy::IpAddress::v6(b);
}

std::optional<Plain> read_address(std::string_view text) {
  const std::string ended(text);
  Plain plain;
  if (text.find('\0') != text.npos) return std::nullopt;
  plain.v4 = ::inet_pton(AF_INET, ended.c_str(), plain.bytes.data()) == 1;
  if (!plain.v4 && ::inet_pton(AF_INET6, ended.c_str(), plain.bytes.data()) != 1) return {};
  return plain;
}

std::optional<PlainPrefix> read_prefix(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  while (!text.empty() && kBlanks.find(text.front()) != kBlanks.npos) text.remove_prefix(1);
  while (!text.empty() && kBlanks.find(text.back()) != kBlanks.npos) text.remove_suffix(1);
  const std::size_t slash = text.rfind('/');
  if (slash == text.npos) return std::nullopt;
  const auto network = read_address(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool whole = end.ec == std::errc() && end.ptr == digits.data() + digits.size();
  // Written back: no sign, no zero in front.
  if (!network || !whole || bits < 0 || std::to_string(bits) != digits) return std::nullopt;
  if (bits > (network->v4 ? 32 : 128)) return std::nullopt;
  return PlainPrefix{*network, bits};
}

/// A text alone: an address, or an entry of a list. Says whether it is an entry.
bool check_text(const std::string& text) {
  using namespace policy;
  const auto address = read_address(text);
  FUZZ_CHECK(IpAddress::parse(text) ==
             (address ? std::optional(address_of(*address)) : std::nullopt));
  std::string why;
  const auto parsed = parse_address_text(text, &why);
  FUZZ_CHECK(parsed.has_value() == address.has_value() && why.empty() == parsed.has_value());
  if (parsed) FUZZ_CHECK(parsed->v4 == address->v4 && parsed->bytes == address->bytes);
  const bool good = read_prefix(text).has_value();
  try {
    const DenyList list({text});
    FUZZ_CHECK(good);
  } catch (const ConfigError& error) {
    FUZZ_CHECK(!good && std::string_view(error.what()).starts_with("proxy.upstream_deny_cidrs: "));
  }
  return good;
}

/// The address as text is the same address, alone and with a port.
void check_written(const policy::IpAddress& address) {
  const auto again = read_address(address.text());
  FUZZ_CHECK(again && again->v4 == address.is_v4() && again->bytes == address.bytes());
  const auto port = static_cast<std::uint16_t>(address.bytes()[0] << 8 | address.bytes()[1] | 1);
  const auto authority = policy::Authority::parse(address.text_with_port(port));
  FUZZ_CHECK(authority && authority->literal == address && authority->port == port);
}

/// What is said about a denied address names a prefix of the list, or a special block, and an
/// address in it.
void check_denial(const policy::DenyList::Hit& hit) {
  using namespace policy;
  const std::string text = denial_text(hit);
  const std::size_t in = text.rfind(" in "), begin = text.rfind(' ', in - 1) + 1;
  FUZZ_CHECK(in != text.npos && text.starts_with("denied by upstream_deny_cidrs: "));
  const auto address = IpAddress::parse(text.substr(begin, in - begin));
  FUZZ_CHECK(address && DenyList({text.substr(in + 4)}).check(*address));
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(cidr) {
  using namespace iron::policy;
  Cutter cutter(input);
  Bytes bytes{};
  for (std::uint8_t& byte : bytes) byte = cutter.number();
  // Forms that chance does not find.
  static const std::vector<std::vector<std::uint8_t>> kForms = {
      {},
      {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0},
      {0, 0x64, 0xff, 0x9b, 0, 1},
      {0x20, 0x02},
      {0x20, 0x01, 0, 0},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
      {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
      {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe}};
  const auto& form = kForms[cutter.up_to(kForms.size() - 1)];
  std::copy(form.begin(), form.end(), bytes.begin());

  std::vector<std::string> texts;
  std::vector<PlainPrefix> prefixes;
  const auto add = [&](const std::string& text, PlainPrefix prefix) {
    texts.push_back(text);
    const bool mapped = !prefix.network.v4 && address_of(prefix.network).is_v4();
    if (mapped && prefix.bits == 96) return;  // has no effect
    if (mapped && prefix.bits > 96) prefix = {v4_at(prefix.network.bytes, 12), prefix.bits - 96};
    prefixes.push_back(prefix);
  };
  const std::size_t count = cutter.up_to(3);
  for (std::size_t i = 0; i < count; ++i) {
    PlainPrefix prefix;
    prefix.network.v4 = cutter.flag();
    const std::size_t width = prefix.network.v4 ? 4 : 16;
    const bool near = cutter.flag();
    for (std::size_t at = 0; at < width; ++at)
      prefix.network.bytes[at] = near ? bytes[at] : cutter.number();
    prefix.bits = static_cast<int>(cutter.up_to(width * 8));
    const IpAddress address = address_of(prefix.network);
    // A mapped network is written as IPv6 text all the same.
    const bool mapped = !prefix.network.v4 && address.is_v4();
    add((mapped ? "::ffff:" : "") + address.text() + "/" + std::to_string(prefix.bits), prefix);
  }
  for (std::size_t i = 0; i < 4 && !cutter.rest().empty(); ++i) {
    const std::string text(cutter.text());
    if (check_text(text)) add(text, *read_prefix(text));
  }

  const DenyList list(texts);
  const DenyList with_special(texts, true);
  const auto hit = list.check(IpAddress::v6(bytes));
  const auto special_hit = with_special.check(IpAddress::v6(bytes));
  bool denied = false, special = false;
  for (const Plain& meaning : meanings(bytes)) {
    check_written(address_of(meaning));
    const bool unspecified = meaning.v4 ? meaning.bytes[0] == 0 : meaning.bytes == Bytes{};
    special = special || unspecified || special_block(address_of(meaning)).has_value();
    for (const PlainPrefix& prefix : prefixes) {
      denied =
          denied || contains(prefix, meaning) ||
          (unspecified && (contains(prefix, loopback(true)) || contains(prefix, loopback(false))));
    }
  }
  FUZZ_CHECK(hit.has_value() == denied);
  FUZZ_CHECK(special_hit.has_value() == (denied || special));
  if (hit) check_denial(*hit);
  if (special_hit) check_denial(*special_hit);
}
