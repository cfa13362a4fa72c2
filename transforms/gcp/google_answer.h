#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/outside.h"

namespace iron::transforms {

struct GoogleTokenAnswer {
  SecretPtr token;
  std::int64_t expires_in = 0;  ///< seconds; 0: never
};
/// What a token endpoint or the metadata server answered. Errors: `oauth2: "CODE" "DESCRIPTION"`,
/// `oauth2: cannot fetch token: 500 Internal Server Error`, `oauth2: cannot parse json`, `oauth2:
/// server response missing access_token`.
Result<GoogleTokenAnswer> read_google_token(const CallAnswer& answer,
                                            const std::vector<SecretPtr>& keys);

/// `payload.data` of a Secret Manager's answer, decoded.
Result<Secret> read_gcp_payload(const CallAnswer& answer);
/// `HTTP 403: MESSAGE`
std::string gcp_refusal(const CallAnswer& answer, const std::vector<SecretPtr>& keys);

}  // namespace iron::transforms
