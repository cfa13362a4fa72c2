#include "policy/match/special_addresses.h"

#include <cstdint>

namespace iron::policy {
namespace {

// The registries as of October 2025:
//   https://www.iana.org/assignments/iana-ipv4-special-registry
//   https://www.iana.org/assignments/iana-ipv6-special-registry
// Entries whose "globally reachable" column says "N/A" are not called reachable and are listed too.

struct V4Block {
  std::uint8_t a, b, c, d;
  int bits;
};

constexpr V4Block kV4Blocks[] = {
    {0, 0, 0, 0, 8},         // this network, RFC 791
    {10, 0, 0, 0, 8},        // private use, RFC 1918
    {100, 64, 0, 0, 10},     // shared address space, RFC 6598; holds 100.100.100.200 (metadata)
    {127, 0, 0, 0, 8},       // loopback, RFC 1122
    {168, 63, 129, 16, 32},  // platform services of Azure
    {169, 254, 0, 0, 16},    // link local, RFC 3927; holds the common metadata addresses
    {172, 16, 0, 0, 12},     // private use, RFC 1918
    {192, 0, 0, 0, 24},      // protocol assignments, RFC 6890; holds 192.0.0.192 (metadata)
    {192, 0, 2, 0, 24},      // documentation, RFC 5737
    {192, 88, 99, 0, 24},    // 6to4 relay anycast, RFC 7526
    {192, 168, 0, 0, 16},    // private use, RFC 1918
    {198, 18, 0, 0, 15},     // benchmarking, RFC 2544
    {198, 51, 100, 0, 24},   // documentation, RFC 5737
    {203, 0, 113, 0, 24},    // documentation, RFC 5737
    {224, 0, 0, 0, 4},       // multicast, RFC 5771
    {240, 0, 0, 0, 4},       // reserved, RFC 1112; holds the broadcast address
};

/// Inside the blocks above, but globally reachable.
constexpr V4Block kV4Reachable[] = {
    {192, 0, 0, 9, 32},   // port control protocol anycast, RFC 7723
    {192, 0, 0, 10, 32},  // TURN anycast, RFC 8155
};

struct V6Block {
  std::uint16_t groups[8];
  int bits;
};

constexpr V6Block kV6Blocks[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0}, 128},          // unspecified, RFC 4291
    {{0, 0, 0, 0, 0, 0, 0, 1}, 128},          // loopback, RFC 4291
    {{0x64, 0xff9b, 1, 0, 0, 0, 0, 0}, 48},   // local-use translation, RFC 8215
    {{0x100, 0, 0, 0, 0, 0, 0, 0}, 64},       // discard only, RFC 6666
    {{0x100, 0, 0, 1, 0, 0, 0, 0}, 64},       // dummy prefix, RFC 9780
    {{0x2001, 0, 0, 0, 0, 0, 0, 0}, 23},      // protocol assignments, RFC 2928; holds Teredo
    {{0x2001, 0xdb8, 0, 0, 0, 0, 0, 0}, 32},  // documentation, RFC 3849
    {{0x2002, 0, 0, 0, 0, 0, 0, 0}, 16},      // 6to4, RFC 3056
    {{0x3fff, 0, 0, 0, 0, 0, 0, 0}, 20},      // documentation, RFC 9637
    {{0x5f00, 0, 0, 0, 0, 0, 0, 0}, 16},      // segment routing SIDs, RFC 9602
    {{0xfc00, 0, 0, 0, 0, 0, 0, 0}, 7},       // unique local, RFC 4193; holds fd00:ec2::23, ::254
    {{0xfe80, 0, 0, 0, 0, 0, 0, 0}, 10},      // link local, RFC 4291
    {{0xfec0, 0, 0, 0, 0, 0, 0, 0}, 10},      // site local, RFC 3879
    {{0xff00, 0, 0, 0, 0, 0, 0, 0}, 8},       // multicast, RFC 4291
};

/// Inside the blocks above, but globally reachable.
constexpr V6Block kV6Reachable[] = {
    {{0x2001, 1, 0, 0, 0, 0, 0, 1}, 128},     // port control protocol anycast, RFC 7723
    {{0x2001, 1, 0, 0, 0, 0, 0, 2}, 128},     // TURN anycast, RFC 8155
    {{0x2001, 1, 0, 0, 0, 0, 0, 3}, 128},     // DNS-SD service registration, RFC 9665
    {{0x2001, 3, 0, 0, 0, 0, 0, 0}, 32},      // AMT, RFC 7450
    {{0x2001, 4, 0x112, 0, 0, 0, 0, 0}, 48},  // AS112, RFC 7535
    {{0x2001, 0x20, 0, 0, 0, 0, 0, 0}, 28},   // ORCHIDv2, RFC 7343
    {{0x2001, 0x30, 0, 0, 0, 0, 0, 0}, 28},   // drone remote ID, RFC 9374
};

DenyList::Prefix prefix_of(const V4Block& block) {
  return {IpAddress::v4({block.a, block.b, block.c, block.d}), block.bits};
}

DenyList::Prefix prefix_of(const V6Block& block) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[2 * i] = static_cast<std::uint8_t>(block.groups[i] >> 8);
    bytes[2 * i + 1] = static_cast<std::uint8_t>(block.groups[i] & 0xff);
  }
  return {IpAddress::v6(bytes), block.bits};
}

template <class Block, std::size_t N>
std::optional<DenyList::Prefix> find_in(const Block (&blocks)[N], const IpAddress& address) {
  for (const Block& block : blocks) {
    auto prefix = prefix_of(block);
    if (prefix.contains(address)) return prefix;
  }
  return std::nullopt;
}

}  // namespace

std::optional<DenyList::Prefix> special_block(const IpAddress& address) {
  if (address.is_v4()) {
    if (find_in(kV4Reachable, address)) return std::nullopt;
    return find_in(kV4Blocks, address);
  }
  if (find_in(kV6Reachable, address)) return std::nullopt;
  return find_in(kV6Blocks, address);
}

}  // namespace iron::policy
