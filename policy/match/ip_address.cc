#include "policy/match/ip_address.h"

#include <algorithm>
#include <charconv>

#include "policy/hex.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/// Parses one text and remembers the first fault in words.
class AddressParser {
 public:
  explicit AddressParser(std::string_view text) : whole_(text) {}

  std::optional<AddressText> run();
  const std::string& why() const { return why_; }

 private:
  bool v4(std::string_view text, std::uint8_t* out);
  bool v6(std::string_view text);
  bool v6_groups(std::string_view text);
  bool v6_group(std::string_view& text, std::size_t digits);
  bool embedded_v4(std::string_view text);
  bool expand();

  bool fault(std::string_view message, std::string_view at = {}) {
    why_ = "ParseAddr(" + quoted(whole_) + "): " + std::string(message);
    if (!at.empty()) why_ += " (at " + quoted(at) + ")";
    return false;
  }

  std::string_view whole_;
  AddressText result_;
  std::size_t filled_ = 0;          // bytes of an IPv6 address read so far
  std::optional<std::size_t> gap_;  // where `::` stood
  std::string why_;
};

std::optional<AddressText> AddressParser::run() {
  const std::size_t first = whole_.find_first_of(".:%");
  bool good = false;
  if (first == std::string_view::npos) {
    good = fault("unable to parse IP");
  } else if (whole_[first] == '.') {
    result_.v4 = true;
    good = v4(whole_, result_.bytes.data());
  } else if (whole_[first] == '%') {
    good = fault("missing IPv6 address");
  } else {
    good = v6(whole_);
  }
  if (!good) return std::nullopt;
  return result_;
}

bool AddressParser::v4(std::string_view text, std::uint8_t* out) {
  std::size_t field = 0;
  unsigned value = 0;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (digits == 0 || i + 1 == text.size()) {
        return fault("IPv4 field must have at least one digit", text.substr(i));
      }
      if (field == 3) return fault("IPv4 address too long");
      out[field++] = static_cast<std::uint8_t>(value);
      value = 0;
      digits = 0;
      continue;
    }
    if (c < '0' || c > '9') return fault("unexpected character", text.substr(i));
    if (digits == 1 && value == 0) return fault("IPv4 field has octet with leading zero");
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 255) return fault("IPv4 field has value >255");
    ++digits;
  }
  if (field < 3) return fault("IPv4 address too short");
  out[3] = static_cast<std::uint8_t>(value);
  return true;
}

bool AddressParser::v6(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    if (percent + 1 == text.size()) return fault("zone must be a non-empty string");
    text = text.substr(0, percent);
  }
  if (!v6_groups(text)) return false;
  if (percent != std::string_view::npos) {
    why_ = "IPv6 zones cannot be present in a prefix";
    return false;
  }
  return true;
}

bool AddressParser::v6_groups(std::string_view text) {
  if (text.starts_with("::")) {
    gap_ = 0;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  while (filled_ < 16) {
    const auto end = std::ranges::find_if(text, [](char c) { return hex_value(c) < 0; });
    const auto digits = static_cast<std::size_t>(end - text.begin());
    if (digits > 4) return fault("each group must have 4 or less digits", text);
    if (digits == 0) {
      return fault("each colon-separated field must have at least one digit", text);
    }
    if (digits < text.size() && text[digits] == '.') return embedded_v4(text) && expand();
    if (!v6_group(text, digits)) return false;
    if (text.empty()) break;
  }
  if (!text.empty()) return fault("trailing garbage after address", text);
  return expand();
}

/// Takes one group of hex digits and the colons after it off the front.
bool AddressParser::v6_group(std::string_view& text, std::size_t digits) {
  unsigned value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    value = value << 4 | static_cast<unsigned>(hex_value(text[i]));
  }
  result_.bytes[filled_++] = static_cast<std::uint8_t>(value >> 8);
  result_.bytes[filled_++] = static_cast<std::uint8_t>(value & 0xff);
  text.remove_prefix(digits);
  if (text.empty()) return true;
  if (text[0] != ':') return fault("unexpected character, want colon", text);
  if (text.size() == 1) return fault("colon must be followed by more characters", text);
  text.remove_prefix(1);
  if (text[0] != ':') return true;
  if (gap_) return fault("multiple :: in address", text);
  gap_ = filled_;
  text.remove_prefix(1);
  return true;
}

bool AddressParser::embedded_v4(std::string_view text) {
  if (!gap_ && filled_ != 12) {
    return fault("embedded IPv4 address must replace the final 2 fields of the address", text);
  }
  if (filled_ + 4 > 16) {
    return fault("too many hex fields to fit an embedded IPv4 at the end of the address", text);
  }
  if (!v4(text, result_.bytes.data() + filled_)) return false;
  filled_ += 4;
  return true;
}

bool AddressParser::expand() {
  if (filled_ == 16) {
    return !gap_ || fault("the :: must expand to at least one field of zeros");
  }
  if (!gap_) return fault("address string too short");
  auto& bytes = result_.bytes;
  std::copy_backward(bytes.begin() + static_cast<std::ptrdiff_t>(*gap_),
                     bytes.begin() + static_cast<std::ptrdiff_t>(filled_), bytes.end());
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(*gap_), 16 - filled_, std::uint8_t{0});
  return true;
}

std::string v4_text(const std::array<std::uint8_t, 16>& bytes) {
  std::string out;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i != 0) out += '.';
    out += std::to_string(bytes[i]);
  }
  return out;
}

/// The longest run of at least two zero groups, the first of equals (RFC 5952 section 4.2).
struct ZeroRun {
  std::size_t begin = 8, end = 8;
};
ZeroRun longest_zero_run(const std::array<unsigned, 8>& groups) {
  ZeroRun best;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t j = i;
    while (j < 8 && groups[j] == 0) ++j;
    if (j - i >= 2 && j - i > best.end - best.begin) best = {i, j};
    if (j > i) i = j - 1;
  }
  return best;
}

std::string v6_text(const std::array<std::uint8_t, 16>& bytes) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] * 256U + bytes[2 * i + 1];
  const ZeroRun run = longest_zero_run(groups);
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == run.begin) {
      out += "::";
      i = run.end - 1;
      continue;
    }
    if (i != 0 && i != run.end) out += ':';
    char digits[4];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, groups[i], 16).ptr);
  }
  return out;
}

}  // namespace

std::optional<AddressText> parse_address_text(std::string_view text, std::string* why) {
  AddressParser parser(text);
  auto result = parser.run();
  if (!result && why != nullptr) *why = parser.why();
  return result;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // Names are looked at far more often than addresses: no fault text is made for them.
  constexpr std::size_t kLongest = 45;
  if (text.empty() || text.size() > kLongest) return std::nullopt;
  const bool may_be_v6 = text.find(':') != std::string_view::npos;
  if (!may_be_v6 && (text.front() < '0' || text.front() > '9' || text.back() > '9')) {
    return std::nullopt;
  }
  const auto parsed = parse_address_text(text);
  if (!parsed) return std::nullopt;
  if (!parsed->v4) return v6(parsed->bytes);
  return v4({parsed->bytes[0], parsed->bytes[1], parsed->bytes[2], parsed->bytes[3]});
}

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) {
  IpAddress address;
  address.v4_ = true;
  std::ranges::copy(bytes, address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  IpAddress address;
  address.bytes_ = bytes;
  return address;
}

std::string IpAddress::text() const { return v4_ ? v4_text(bytes_) : v6_text(bytes_); }

std::string IpAddress::text_with_port(std::uint16_t port) const {
  const std::string address = text();
  return (v4_ ? address : "[" + address + "]") + ":" + std::to_string(port);
}

}  // namespace iron::policy
