#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "policy/result.h"
#include "tls/context.h"

namespace iron::tls {

/// What differs from the usual for one call of the program's own. Texts are PEM.
struct CallTls {
  std::optional<std::string_view> anchors;  ///< nothing: the usual ones
  bool anchors_add = false;                 ///< beside the usual ones, not in their place
  bool verifies = true;
  std::optional<std::string_view> certificate;  ///< with its chain behind it; nothing: none
  std::string_view key;
};

/// The settings of such a call. They keep no sessions. Errors quote nothing of the key.
Result<std::unique_ptr<UpstreamContext>> make_call_context(const CallTls& wanted,
                                                           const UpstreamContext& usual);

}  // namespace iron::tls
