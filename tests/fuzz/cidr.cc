// A prefix list denies exactly the addresses that it denies bit by bit, each address looked through
// for IPv4 inside.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "policy/deny_list.h"
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
  const std::size_t count = cutter.up_to(3);
  for (std::size_t i = 0; i < count; ++i) {
    PlainPrefix prefix;
    prefix.network.v4 = cutter.flag();
    const std::size_t width = prefix.network.v4 ? 4 : 16;
    const bool near = cutter.flag();
    for (std::size_t at = 0; at < width; ++at)
      prefix.network.bytes[at] = near ? bytes[at] : cutter.number();
    prefix.bits = static_cast<int>(cutter.up_to(width * 8));
    const IpAddress address =
        prefix.network.v4 ? IpAddress::v4({prefix.network.bytes[0], prefix.network.bytes[1],
                                           prefix.network.bytes[2], prefix.network.bytes[3]})
                          : IpAddress::v6(prefix.network.bytes);
    // A mapped network is written as IPv6 text all the same.
    const bool mapped = !prefix.network.v4 && address.is_v4();
    texts.push_back((mapped ? "::ffff:" : "") + address.text() + "/" + std::to_string(prefix.bits));
    if (mapped && prefix.bits > 96) {
      prefix = {v4_at(prefix.network.bytes, 12), prefix.bits - 96};
    } else if (mapped && prefix.bits == 96) {
      continue;  // has no effect
    }
    prefixes.push_back(prefix);
  }

  const DenyList list(texts);
  const auto hit = list.check(IpAddress::v6(bytes));
  bool denied = false;
  for (const Plain& meaning : meanings(bytes)) {
    const bool unspecified = meaning.v4 ? meaning.bytes[0] == 0 : meaning.bytes == Bytes{};
    for (const PlainPrefix& prefix : prefixes) {
      denied =
          denied || contains(prefix, meaning) ||
          (unspecified && (contains(prefix, loopback(true)) || contains(prefix, loopback(false))));
    }
  }
  FUZZ_CHECK(hit.has_value() == denied);
}
