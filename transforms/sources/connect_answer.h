#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// `op://vault/item/[section/]field`, each part as it is written.
struct ConnectReference {
  std::string whole, vault, item, field;
  std::optional<std::string> section;
  /// Errors as the source tells them (docs/secrets.md, "1password_connect").
  static Result<ConnectReference> parse(const std::string& text);
};

/// Whether 1Password would have given something this for an id.
bool is_connect_id(std::string_view text);
/// `?filter=title+eq+%22NAME%22`
std::string connect_filter(std::string_view title);

struct ConnectItem {
  std::string id, vault;
};
/// What a list of vaults or items names.
Result<std::vector<ConnectItem>> read_connect_list(const CallAnswer& answer);
/// The value of the field; nothing if there is no such field.
Result<std::optional<Secret>> read_connect_field(const Secret& item,
                                                 const ConnectReference& reference);
/// Why an answer other than 200 is none.
std::string connect_refusal(const CallAnswer& answer, const std::vector<SecretPtr>& keys);

}  // namespace iron::transforms
