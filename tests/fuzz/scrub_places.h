#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transforms/scrub/scrub.h"

namespace iron::fuzz::scrub_model {

/// A plain search for the forms of values in a stream, read from docs/secrets.md ("Answers") and
/// far too slow for anything but short inputs.

using transforms::Coding;
using Kind = transforms::ScrubForms::Kind;

inline constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";

/// 0 to 63, or -1.
int base64_number(int character);

/// The byte that an escape at the begin of `text` stands for and its length; -1: none.
std::pair<int, std::size_t> escape_at(std::string_view text);

/// What is to be found of the value `entry`.
struct Form {
  Kind kind;
  std::string bytes;
  std::size_t entry;
  unsigned lead = 0, trail = 0;  ///< free bits of the first and the last base64 character
  bool whole = false;
};

/// How a form is written in a stream, and what its free bits are there.
struct Written {
  Coding coding;
  unsigned lead = 0, trail = 0;

  void add(const Written& other) {
    coding.add(other.coding);
    lead = other.lead;
    trail = other.trail;
  }
};

/// A place in a stream that holds a form, or several that overlap.
struct Place {
  std::size_t begin, end, form, entry;
  Written written;
};

/// All places, in the order of their begins, then the longest first, then by form.
std::vector<Place> places_of(std::string_view stream, const std::vector<Form>& forms);

}  // namespace iron::fuzz::scrub_model
