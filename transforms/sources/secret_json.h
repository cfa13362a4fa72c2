#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// A value of a JSON text that holds keys, read where it stands: nothing of it is copied but into a
/// Secret. Valid as long as the text. A text that was parsed is one valid document (RFC 8259);
/// bytes in strings that are no UTF-8 stand for U+FFFD.
class SecretJson {
 public:
  enum class Kind { null, boolean, number, string, array, object };
  struct Member;
  static constexpr int kDeepest = 1000;

  /// The value of the whole. Nothing if there is a fault, or more than `depth` arrays and objects
  /// are within each other.
  static std::optional<SecretJson> parse(std::string_view text, int depth = kDeepest);

  Kind kind() const;
  /// As it was written.
  std::string_view raw() const { return raw_; }
  /// Whether it is the string `text`.
  bool is(std::string_view text) const;
  /// What a string stands for; empty for others.
  Secret text() const;

  /// Of an object: the value of that name, of equal names the last. Nothing for others.
  std::optional<SecretJson> member(std::string_view name) const;
  /// The string of that name.
  std::optional<SecretJson> string(std::string_view name) const;
  /// In the order of the text; empty for what is no object, no array.
  std::vector<Member> members() const;
  std::vector<SecretJson> elements() const;

  /// The same value without blanks, names sorted by their bytes, of equal names the last, numbers
  /// as written, `<`, `>` and `&` escaped.
  Secret compact() const;

 private:
  friend class SecretJsonScanner;
  explicit SecretJson(std::string_view raw) : raw_(raw) {}
  std::string_view raw_;
};

struct SecretJson::Member {
  SecretJson name, value;
};

}  // namespace iron::transforms
