#include "policy/duration.h"

#include <cstdint>
#include <optional>

#include "policy/config_error.h"

namespace iron::policy {
namespace {

constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Bytes that are not printable ASCII as `\xc2`, unlike other error texts.
std::string quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte >= 0x80) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

std::uint64_t unit_nanoseconds(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\xC2\xB5s" || unit == "\xCE\xBCs") return 1000;
  if (unit == "ms") return 1000000;
  if (unit == "s") return 1000000000;
  if (unit == "m") return 60000000000;
  if (unit == "h") return 3600000000000;
  return 0;
}

/// One `number unit`; takes it off the front of `rest`.
class Part {
 public:
  Part(std::string_view& rest, const std::string& whole) : rest_(rest), whole_(whole) {}

  std::uint64_t read() {
    const bool before = read_integer();
    const bool after = read_fraction();
    if (!before && !after) fail();
    const std::uint64_t unit = read_unit();
    if (integer_ > kLimit / unit) fail();
    std::uint64_t total = integer_ * unit;
    // In floating point: hours with many decimals are exact to the nanosecond this way.
    total += static_cast<std::uint64_t>(static_cast<double>(fraction_) *
                                        (static_cast<double>(unit) / scale_));
    if (total > kLimit) fail();
    return total;
  }

  [[noreturn]] void fail() const { throw ConfigError("time: invalid duration " + quote(whole_)); }

 private:
  bool read_integer() {
    bool any = false;
    for (; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1), any = true) {
      if (integer_ > kLimit / 10) fail();
      integer_ = integer_ * 10 + static_cast<std::uint64_t>(rest_[0] - '0');
      if (integer_ > kLimit) fail();
    }
    return any;
  }

  /// Digits beyond what 63 bits hold are dropped.
  bool read_fraction() {
    if (rest_.empty() || rest_[0] != '.') return false;
    rest_.remove_prefix(1);
    bool any = false;
    bool full = false;
    for (; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1), any = true) {
      if (full || fraction_ > (kLimit - 1) / 10) {
        full = true;
        continue;
      }
      fraction_ = fraction_ * 10 + static_cast<std::uint64_t>(rest_[0] - '0');
      scale_ *= 10;
    }
    return any;
  }

  std::uint64_t read_unit() {
    std::size_t length = 0;
    while (length < rest_.size() && rest_[length] != '.' && !is_digit(rest_[length])) ++length;
    if (length == 0) throw ConfigError("time: missing unit in duration " + quote(whole_));
    const std::string_view unit = rest_.substr(0, length);
    const std::uint64_t nanoseconds = unit_nanoseconds(unit);
    if (nanoseconds == 0)
      throw ConfigError("time: unknown unit " + quote(unit) + " in duration " + quote(whole_));
    rest_.remove_prefix(length);
    return nanoseconds;
  }

  std::string_view& rest_;
  const std::string& whole_;
  std::uint64_t integer_ = 0;
  std::uint64_t fraction_ = 0;
  double scale_ = 1;
};

/// `whole.fraction` of `value` in units of 10^digits, without trailing zeros.
std::string decimal(std::uint64_t value, int digits) {
  std::uint64_t unit = 1;
  for (int i = 0; i < digits; ++i) unit *= 10;
  std::string out = std::to_string(value / unit);
  std::string fraction = std::to_string(unit + value % unit).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? out : out + "." + fraction;
}

}  // namespace

Duration parse_duration(const std::string& text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return Duration::zero();
  std::uint64_t total = 0;
  if (rest.empty()) Part(rest, text).fail();
  while (!rest.empty()) {
    Part part(rest, text);
    if (rest[0] != '.' && !is_digit(rest[0])) part.fail();
    total += part.read();
    if (total > kLimit) part.fail();
  }
  if (negative) return Duration(static_cast<std::int64_t>(~total + 1));
  if (total == kLimit) Part(rest, text).fail();
  return Duration(static_cast<std::int64_t>(total));
}

std::string format_duration(Duration value) {
  constexpr std::uint64_t kSecond = 1000000000;
  if (value == Duration::zero()) return "0s";
  const std::int64_t count = value.count();
  const std::uint64_t size =
      count < 0 ? ~static_cast<std::uint64_t>(count) + 1 : static_cast<std::uint64_t>(count);
  std::string out = count < 0 ? "-" : "";
  if (size < 1000) return out + std::to_string(size) + "ns";
  if (size < 1000000) return out + decimal(size, 3) + "\xC2\xB5s";
  if (size < kSecond) return out + decimal(size, 6) + "ms";
  const std::uint64_t minutes = size / (60 * kSecond);
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + decimal(size % (60 * kSecond), 9) + "s";
}

}  // namespace iron::policy
