#pragma once

#include <span>
#include <string>
#include <string_view>

#include "policy/secret/secret.h"

namespace iron::transforms {

inline constexpr std::size_t kLongestAnswerQuote = 256;

/// What an error may show of an endpoint's answer: 256 bytes at most, without any of `sent` and
/// without what looks like a token (a long word of mixed letters or digits). An answer that names a
/// token or an assertion is not shown at all.
std::string quotable_answer(std::string_view answer, std::span<const Secret* const> sent);

}  // namespace iron::transforms
