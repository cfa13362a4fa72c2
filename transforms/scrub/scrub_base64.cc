#include "transforms/scrub/scrub_base64.h"

#include "policy/hex.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_.~").find(c) != std::string_view::npos;
}

void append_percent(char c, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

/// Characters of the escape that begins with `first` and `second`; 0: there is none.
std::size_t escape_length(char first, char second) {
  if (first == '%') return 3;
  return second == '/' ? 2 : second == 'u' ? 6 : 0;
}

/// The byte that a whole escape stands for, or -1.
int escaped_byte(std::string_view escape) {
  if (escape.size() == 2) return '/';
  int value = 0;
  for (const char c : escape.substr(escape.front() == '%' ? 1 : 2)) {
    const int digit = policy::hex_value(c);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value < 0x80 ? value : -1;
}

}  // namespace

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

void Coding::add(const Coding& other) {
  percent = percent || other.percent;
  json = json || other.json;
  url = url || other.url;
  upper = upper || other.upper;
  lower = lower || other.lower;
}

void append_text(std::string_view token, const Coding& coding, std::string& out) {
  for (const char c : token) {
    if (coding.percent && !is_unreserved(c)) {
      append_percent(c, out);
    } else {
      if (coding.json && !coding.percent && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
}

void append_hex(std::string_view token, const Coding& coding, std::string& out) {
  const char* digits = coding.upper && !coding.lower ? "0123456789ABCDEF" : "0123456789abcdef";
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

void Base64Patch::put(Bits before, std::string_view text, const Coding& coding, std::string& out) {
  settle(out);
  const bool goes_on = active_ && escape_size_ == 0 && (read_bits_ + before.count) % 8 == 0;
  if (!goes_on) {
    leave(out);
    active_ = true;
    // Characters before the text's own first one: three of them are 16 bits and two more.
    written_ = before.count / 2;
    read_bits_ = (8 - before.count) % 8;
  }
  coding_.add(coding);
  push(before, out);
  for (const char c : text) push({static_cast<unsigned char>(c), 8}, out);
}

/// Nothing overlaps any more.
void Base64Patch::settle(std::string& out) {
  if (!active_) return;
  push(ending_.behind, out);
  padded_ = padded_ || ending_.padded;
  if (ending_.open) {
    ending_ = {};
  } else {
    end(out);
  }
}

void Base64Patch::leave(std::string& out) {
  settle(out);
  if (active_) end(out);
}

void Base64Patch::copy(std::string_view bytes, std::string& out) {
  if (bytes.empty()) return;
  settle(out);
  std::size_t at = 0;
  while (active_ && at < bytes.size() && take(bytes[at], out)) ++at;
  out.append(bytes.substr(at));
}

/// True: the byte belongs to the text. Else the text has ended.
bool Base64Patch::take(char c, std::string& out) {
  const bool escapes = escape_size_ > 0 || c == '%' || c == '\\';
  if (escapes ? take_escape(c, out) : take_character(c, out)) return true;
  end(out);
  return false;
}

bool Base64Patch::take_escape(char c, std::string& out) {
  if (escape_size_ > 0 && escape_length(escape_[0], escape_size_ == 1 ? c : escape_[1]) == 0) {
    return false;
  }
  escape_[escape_size_++] = c;
  if (escape_size_ < 2 || escape_size_ < escape_length(escape_[0], escape_[1])) return true;
  const int byte = escaped_byte({escape_, escape_size_});
  const bool percent = escape_[0] == '%';
  if (byte < 0 || !take_character(static_cast<char>(byte), out)) {
    --escape_size_;  // the last one is passed on with what follows
    return false;
  }
  escape_size_ = 0;
  (percent ? coding_.percent : coding_.json) = true;
  return true;
}

bool Base64Patch::take_character(char c, std::string& out) {
  if (c == '=') {
    padded_ = true;
    return true;
  }
  const int value = sextet(c);
  if (value < 0 || padded_) return false;
  coding_.url = coding_.url || c == '-' || c == '_';
  push({static_cast<unsigned>(value), 6}, out);
  return true;
}

void Base64Patch::push(Bits bits, std::string& out) {
  held_ = held_ << bits.count | bits.value;
  held_bits_ += bits.count;
  read_bits_ = (read_bits_ + bits.count) % 8;
  while (held_bits_ >= 6) {
    held_bits_ -= 6;
    const unsigned value = held_ >> held_bits_ & 63;
    write(value < 62 ? kAlphabet[value] : (coding_.url ? "-_" : "+/")[value - 62], out);
    held_ &= (1U << held_bits_) - 1;
  }
}

void Base64Patch::write(char c, std::string& out) {
  written_ = (written_ + 1) % 4;
  if (coding_.percent && !is_unreserved(c)) {
    append_percent(c, out);
  } else {
    if (coding_.json && c == '/') out += '\\';
    out += c;
  }
}

/// Bits that fill up the last character were no content; with none the padding cannot be known.
void Base64Patch::end(std::string& out) {
  const unsigned filling = read_bits_ == 2 || read_bits_ == 4 ? read_bits_ : 0;
  const bool pads = padded_ || (read_bits_ == 0 && !coding_.url);
  if (held_bits_ > filling) {
    held_ >>= filling;
    held_bits_ -= filling;
    push({0, 6 - held_bits_}, out);
  }
  while (pads && written_ != 0) write('=', out);
  out.append(escape_, escape_size_);
  reset();
}

}  // namespace iron::transforms
