#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::policy {

/// The URLs with passwords that the text of a configuration file gives for parent proxies. They are
/// taken out before the YAML library sees the text, because it copies what it reads to places that
/// nobody wipes, and because an error may quote a value: each password becomes as many `x`. A URL
/// that is written in a way that only YAML understands (escapes, anchors, blocks) stays as it is.
class ProxyPasswords {
 public:
  /// Overwrites them in `text`.
  explicit ProxyPasswords(std::string& text);

  /// The URL that stood in that line as the value of `key`, where `read` is now.
  std::string_view url(std::string_view key, int line, std::string_view read) const;

 private:
  struct Kept {
    std::string_view key;
    int line;
    Secret url;
  };
  std::vector<Kept> kept_;
};

}  // namespace iron::policy
