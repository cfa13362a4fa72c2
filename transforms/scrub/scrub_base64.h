#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iron::transforms {

/// The number that a character of either base64 alphabet stands for, or -1 (RFC 4648 sections 4
/// and 5).
int sextet(char character);

/// How an answer wrote what was found, so that what stands for it is written alike.
struct Coding {
  bool percent = false;               ///< some of it percent-encoded
  bool json = false;                  ///< some of it JSON-escaped
  bool url = false;                   ///< base64 with `-` and `_`
  bool upper = false, lower = false;  ///< letters of hex digits

  void add(const Coding& other);
  bool operator==(const Coding&) const = default;
};

/// Appends `token` percent-encoded, JSON-escaped or as it is.
void append_text(std::string_view token, const Coding& coding, std::string& out);
/// Appends `token` as hex digits.
void append_hex(std::string_view token, const Coding& coding, std::string& out);

/// A base64 text in which something was replaced. What stands behind it has to move by some bits
/// when the lengths differ, so it passes through here until the text ends. No memory but a few
/// bits.
class Base64Patch {
 public:
  /// Bits of a character that stands on the border of what is replaced.
  struct Bits {
    unsigned value = 0, count = 0;
  };

  /// Writes `text` behind `before`, the bits in front of it that belong to its first character. A
  /// text that is patched already goes on if it comes to a whole byte there.
  void put(Bits before, std::string_view text, const Coding& coding, std::string& out);
  /// How what was replaced ended. Told again when something that overlaps it goes on.
  struct Ending {
    Bits behind;          ///< the last bits of its last character
    bool padded = false;  ///< it ended with `=`
    bool open = true;     ///< the text may go on behind it
  };
  void follow(const Ending& ending) { ending_ = ending; }
  /// What comes next belongs to no base64 text.
  void leave(std::string& out);
  /// Bytes that stay: what of them belongs to the text is shifted.
  void copy(std::string_view bytes, std::string& out);
  /// Forgets the text.
  void reset() { *this = Base64Patch(); }

 private:
  void settle(std::string& out);
  bool take(char c, std::string& out);
  bool take_escape(char c, std::string& out);
  bool take_character(char c, std::string& out);
  void push(Bits bits, std::string& out);
  void write(char c, std::string& out);
  void end(std::string& out);

  bool active_ = false, padded_ = false;
  Coding coding_;
  Ending ending_;      ///< not yet pushed
  unsigned held_ = 0;  ///< bits that make no whole character yet
  unsigned held_bits_ = 0;
  unsigned read_bits_ = 0;  ///< of the text's last byte that is not whole
  unsigned written_ = 0;    ///< characters of the group of four
  char escape_[6] = {};     ///< the begin of an escape
  std::size_t escape_size_ = 0;
};

}  // namespace iron::transforms
