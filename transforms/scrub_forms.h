#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// How answers may show one value. A form is a row of bytes and the ways in which each of them may
/// be written, so that mixtures are found too (`sk%2Dreal\u002d7f`). The bytes of all forms are in
/// secret memory. Immutable.
class ScrubForms {
 public:
  enum class Kind : std::uint8_t {
    text,    ///< each byte as it is, percent-encoded, form-encoded or JSON-escaped
    base64,  ///< each character as it is, `-_` for `+/`, or escaped as in text
    hex,     ///< two digits a byte, in either case
  };
  struct Form {
    Kind kind = Kind::text;
    std::string_view bytes;
    /// Of base64: bits of the first and the last character that belong to what stands beside the
    /// value; in `bytes` they are zero.
    std::uint8_t lead_free = 0, trail_free = 0;
    /// Of base64: every bit of the value is in it, so that another text can be put in its place.
    bool whole = false;

    bool operator==(const Form&) const = default;
  };

  /// Text, hex, and base64 at its three alignments, each with and without the characters that the
  /// value shares with its neighbours, of `value` without the blanks around it. It must outlive the
  /// object. Values under 4 bytes have text alone: their other forms are everywhere.
  explicit ScrubForms(const Secret& value);
  /// Also `sent`, what a formatter made of the value, where that does not show the value itself.
  ScrubForms(const Secret& value, const Secret& sent);
  /// The payload of a Basic credential as it was sent.
  static ScrubForms basic(Secret payload);

  const std::vector<Form>& all() const { return forms_; }

 private:
  ScrubForms() = default;
  void add_base64(std::string_view value);

  std::vector<Secret> own_;
  std::vector<Form> forms_;
};

}  // namespace iron::transforms
