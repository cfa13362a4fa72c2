#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/match/rules.h"
#include "transforms/formatter/formatter.h"
#include "transforms/header_name.h"
#include "transforms/secrets/secret_forms.h"
#include "transforms/secrets/token_search.h"
#include "transforms/sources/secret_source.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// `require`: which requests are refused when the token is not found in them.
enum class Require : std::uint8_t {
  never,
  always,
  when_sent,  ///< those that hold a credential where the entry looks, see sends_credential()
};

/// One entry of `secrets`: whose key, for which requests, and where it goes.
struct SecretEntry {
  std::string quoted_name;      ///< JSON string of the secret's name
  std::string quoted_location;  ///< `inject`: JSON string of the place
  std::unique_ptr<SecretSource> source;
  std::vector<policy::Rule> rules;
  Require require = Require::never;
  bool require_tls = false;
  ScrubResponses scrub = ScrubResponses::off;

  // `replace`; the token is empty with `inject`.
  std::string token;
  std::uint32_t token_id = 0;
  HeaderMatcher match_headers;
  bool match_query = false, match_path = false, match_body = false;

  // `inject`: one of both is set.
  std::string header, query_param;
  std::unique_ptr<const Formatter> formatter;  ///< null: the value as it is

  bool injects() const { return token.empty(); }
  const std::string& name() const { return source->name(); }
};

/// Reads the list of entries. Throws ConfigError with the texts of docs/secrets.md, "Errors at
/// start". The tokens get their numbers from `tokens`.
std::vector<std::unique_ptr<const SecretEntry>> read_secret_entries(const BuildContext& context,
                                                                    TokenSearch& tokens);

}  // namespace iron::transforms
