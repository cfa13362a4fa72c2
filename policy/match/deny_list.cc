#include "policy/match/deny_list.h"

#include <algorithm>
#include <charconv>

#include "policy/config_error.h"
#include "policy/match/special_addresses.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";
constexpr int kMappedBits = 96;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

struct PrefixText {
  AddressText address;
  int bits = 0;
};

[[noreturn]] void bad_prefix(std::string_view text, const std::string& why) {
  throw ConfigError("proxy.upstream_deny_cidrs: invalid CIDR " + quoted(text) +
                    ": netip.ParsePrefix(" + quoted(text) + "): " + why);
}

std::optional<int> parse_bits(std::string_view text) {
  constexpr std::size_t kLongest = 9;
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || !digits || text.size() > kLongest) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  int bits = 0;
  std::from_chars(text.data(), text.data() + text.size(), bits);
  return bits;
}

PrefixText parse_prefix(std::string_view entry) {
  const std::string_view text = trimmed(entry);
  if (text.empty()) throw ConfigError("proxy.upstream_deny_cidrs: empty CIDR entry");
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) {
    throw ConfigError("proxy.upstream_deny_cidrs: invalid CIDR " + quoted(text) +
                      ": must be CIDR notation, e.g. 1.2.3.4/32 or ::1/128");
  }
  std::string why;
  const auto address = parse_address_text(text.substr(0, slash), &why);
  if (!address) bad_prefix(text, why);
  const std::string_view bits_text = text.substr(slash + 1);
  const auto bits = parse_bits(bits_text);
  if (!bits) bad_prefix(text, "bad bits after slash: " + quoted(bits_text));
  if (*bits > (address->v4 ? 32 : 128)) bad_prefix(text, "prefix length out of range");
  return {*address, *bits};
}

bool starts_with(const IpAddress& address, std::initializer_list<std::uint8_t> front) {
  return !address.is_v4() && std::equal(front.begin(), front.end(), address.bytes().begin());
}

bool is_zero(const IpAddress& address, std::size_t from, std::size_t to) {
  const auto& bytes = address.bytes();
  return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                     bytes.begin() + static_cast<std::ptrdiff_t>(to),
                     [](std::uint8_t byte) { return byte == 0; });
}

IpAddress v4_at(const IpAddress& address, std::size_t i) {
  const auto& b = address.bytes();
  return IpAddress::v4({b[i], b[i + 1], b[i + 2], b[i + 3]});
}

IpAddress teredo_client(const IpAddress& address) {
  auto client = v4_at(address, 12).bytes();
  for (auto& byte : client) byte = static_cast<std::uint8_t>(~byte);
  return IpAddress::v4({client[0], client[1], client[2], client[3]});
}

/// IPv4 addresses that something on the way may take out of an IPv6 address.
std::vector<IpAddress> embedded_addresses(const IpAddress& address) {
  std::vector<IpAddress> found;
  const auto& b = address.bytes();
  if (address.is_v4()) return found;
  if (starts_with(address, {0, 0x64, 0xff, 0x9b}) && is_zero(address, 4, 12)) {
    found.push_back(v4_at(address, 12));  // NAT64, RFC 6052
  }
  if (starts_with(address, {0, 0x64, 0xff, 0x9b, 0, 1})) {
    // Local-use NAT64 (RFC 8215): the operator's prefix may be the /48 itself or a /96 inside it.
    if (!is_zero(address, 6, 8)) found.push_back(IpAddress::v4({b[6], b[7], b[9], b[10]}));
    if (!is_zero(address, 12, 16) || is_zero(address, 6, 12)) found.push_back(v4_at(address, 12));
  }
  if (starts_with(address, {0x20, 0x02})) found.push_back(v4_at(address, 2));  // 6to4, RFC 3056
  if (starts_with(address, {0x20, 0x01, 0, 0})) found.push_back(teredo_client(address));
  if ((b[8] & 0xfdU) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe) {
    found.push_back(v4_at(address, 12));  // ISATAP, RFC 5214
  }
  if (is_zero(address, 0, 8) && b[8] == 0xff && b[9] == 0xff && b[10] == 0 && b[11] == 0) {
    found.push_back(v4_at(address, 12));  // IPv4-translated, RFC 2765
  }
  const bool unspecified_or_loopback = is_zero(address, 0, 15) && b[15] <= 1;
  if (is_zero(address, 0, 12) && !unspecified_or_loopback) {
    found.push_back(v4_at(address, 12));  // IPv4-compatible, RFC 4291
  }
  return found;
}

}  // namespace

DenyList::Prefix DenyList::Prefix::of(const AddressText& address, int bits) {
  auto bytes = address.bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int kept = std::clamp(bits - static_cast<int>(i) * 8, 0, 8);
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00U >> kept));
  }
  if (address.v4) return {IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}), bits};
  const IpAddress network = IpAddress::v6(bytes);
  return {network, network.is_v4() ? bits - kMappedBits : bits};
}

bool DenyList::Prefix::contains(const IpAddress& address) const {
  if (address.is_v4() != network.is_v4()) return false;
  const auto whole = static_cast<std::size_t>(bits) / 8;
  const auto& a = address.bytes();
  const auto& b = network.bytes();
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  const int rest = bits % 8;
  return rest == 0 || (((a[whole] ^ b[whole]) & (0xff00U >> rest) & 0xffU) == 0);
}

std::string DenyList::Prefix::text() const { return network.text() + "/" + std::to_string(bits); }

DenyList::DenyList(const std::vector<std::string>& cidrs, bool special) : special_(special) {
  for (const std::string& cidr : cidrs) {
    const PrefixText parsed = parse_prefix(cidr);
    const Prefix prefix = Prefix::of(parsed.address, parsed.bits);
    // `::ffff:0:0/96` stands in many configurations that count on its having no effect; as IPv4
    // it would be the whole internet.
    const bool all_mapped = !parsed.address.v4 && prefix.network.is_v4() && prefix.bits == 0;
    if (!all_mapped) prefixes_.push_back(prefix);
  }
  deny_metadata();
}

/// The metadata service of a provider is denied with those of the others, at whatever address it is
/// reached.
void DenyList::deny_metadata() {
  const IpAddress google = IpAddress::parse("fd20:ce::254").value();
  const IpAddress amazon = IpAddress::parse("fd00:ec2::254").value();
  const IpAddress shared = IpAddress::parse("169.254.169.254").value();
  if (check_plain(google) || (!check_plain(amazon) && !check_plain(shared))) return;
  prefixes_.push_back({google, 128});
}

std::optional<DenyList::Hit> DenyList::check_plain(const IpAddress& address) const {
  for (const Prefix& prefix : prefixes_) {
    if (prefix.contains(address)) return Hit{address, prefix.text()};
  }
  if (special_) {
    if (const auto block = special_block(address)) return Hit{address, block->text()};
  }
  return std::nullopt;
}

/// The unspecified addresses reach the host itself when they are dialled.
std::optional<DenyList::Hit> DenyList::check_as_loopback(const IpAddress& address) const {
  const bool unspecified =
      address.is_v4() ? address.bytes()[0] == 0 : is_zero(address, 0, address.bytes().size());
  if (!unspecified) return std::nullopt;
  const IpAddress loopback_v4 = IpAddress::v4({127, 0, 0, 1});
  const IpAddress loopback_v6 = IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  auto hit = check_plain(address.is_v4() ? loopback_v4 : loopback_v6);
  if (!hit) hit = check_plain(address.is_v4() ? loopback_v6 : loopback_v4);
  if (hit) hit->address = address;
  return hit;
}

std::optional<DenyList::Hit> DenyList::check(const IpAddress& address) const {
  if (empty()) return std::nullopt;
  if (auto hit = check_plain(address)) return hit;
  if (auto hit = check_as_loopback(address)) return hit;
  for (const IpAddress& embedded : embedded_addresses(address)) {
    if (auto hit = check_plain(embedded)) return hit;
    if (auto hit = check_as_loopback(embedded)) return hit;
  }
  return std::nullopt;
}

std::string denial_text(const DenyList::Hit& hit) {
  return "denied by upstream_deny_cidrs: " + hit.address.text() + " in " + hit.prefix;
}

}  // namespace iron::policy
