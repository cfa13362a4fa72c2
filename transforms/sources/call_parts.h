#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// What calls of sources are made of, and what may be told of their answers.

/// The texts behind each other, in memory of just that size.
Secret joined(std::initializer_list<std::string_view> texts);
SecretPtr bearer(const Secret& token);

/// Whether a key stands in text that another side wrote, in base64 or in hex too.
bool holds_a_key(std::string_view text, const std::vector<SecretPtr>& keys);
bool shows_in_code(std::string_view text, const Secret& key);
/// What an error says of an answer: 256 bytes, whole characters, no control but line feed; nothing
/// if one of the keys is in it.
std::string told(std::string_view text, const std::vector<SecretPtr>& keys);

/// A text as one part of a path, and as a value of a query.
std::string path_part(std::string_view text);
std::string query_value(std::string_view text);

std::string joined_by(char between, const std::vector<std::string>& texts);

/// `Get "URL": TEXT`
std::string call_error(const CallRequest& request, const Error& error);

/// Whole seconds of `Retry-After`; -1: there is none.
std::int64_t retry_after_seconds(const CallAnswer& answer);

}  // namespace iron::transforms
