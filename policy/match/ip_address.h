#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iron::policy {

/// An IPv4 or IPv6 address. IPv4-mapped IPv6 is reduced to IPv4 when parsed or built.
class IpAddress {
 public:
  /// Strict text forms only: dotted quad without leading zeros, or RFC 4291 text without zone or
  /// brackets.
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress v4(const std::array<std::uint8_t, 4>& bytes);
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);  ///< reduces ::ffff:0:0/96

  bool is_v4() const { return v4_; }
  /// Network order; 4 bytes are meaningful for IPv4, in front.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  /// `127.0.0.1`, `::1` (RFC 5952).
  std::string text() const;
  /// `127.0.0.1:80`, `[::1]:80`.
  std::string text_with_port(std::uint16_t port) const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool v4_ = false;
};

/// An address as written, before IPv4-mapped forms are reduced; what a prefix starts from.
struct AddressText {
  std::array<std::uint8_t, 16> bytes{};  ///< network order; 4 bytes for IPv4, in front
  bool v4 = false;
};
/// Same grammar as IpAddress::parse. `why`, when given, receives the fault in the words
/// of a configuration error.
std::optional<AddressText> parse_address_text(std::string_view text, std::string* why = nullptr);

}  // namespace iron::policy
