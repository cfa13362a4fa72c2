#pragma once

#include <list>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::transforms::formatter {

/// Texts made while a template runs. Everything may hold key bytes, so each is a Secret.
class Texts {
 public:
  /// Joins the pieces.
  std::string_view join(const std::vector<std::string_view>& pieces);
  std::string_view base64(const std::vector<std::string_view>& pieces);
  /// Go's `%q`.
  std::string_view quoted(std::string_view text);
  std::string_view decimal(long long number);

 private:
  Secret& made(std::size_t size) { return texts_.emplace_back(Secret::sized(size)); }
  std::list<Secret> texts_;
};

}  // namespace iron::transforms::formatter
