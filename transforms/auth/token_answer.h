#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/secret/secret.h"

namespace iron::transforms {

enum class TokenAnswerForm {
  oauth2,    ///< refresh_token, client_credentials, password: JSON or a form (RFC 6749 section 5)
  jwt,       ///< jwt_bearer and keys of service accounts: JSON, an error code is not looked for
  id_token,  ///< as jwt, but the ID token is what is wanted
};

/// What a token endpoint answered. Views, which live until read_token_answer has returned.
struct TokenAnswer {
  int status;
  std::string_view reason;        ///< phrase of the status line
  std::string_view content_type;  ///< field value; empty if absent
  const Secret& body;             ///< 1 MiB of it is read
  std::chrono::sys_seconds now;
  std::span<const Secret* const> sent;  ///< what the request carried and no error may repeat
};

struct MintedToken {
  Secret access_token;
  Secret refresh_token;  ///< empty unless the endpoint rotated it; of oauth2 only
  Secret id_token;       ///< empty if there is none
  std::optional<std::chrono::sys_seconds> expiry;
};

struct MintFailure {
  std::string text;    ///< of the record's `error`, without the caller's prefix
  std::string reason;  ///< the OAuth error code, `token_endpoint_http_500` or `mint_failed`
  /// 2xx without an access token in the jwt form: `text` takes no prefix, and callers other than
  /// jwt_bearer have a text of their own.
  bool empty_token = false;
};

using MintResult = boost::system::result<MintedToken, MintFailure>;

/// An `error` counts with any status in the oauth2 form. Neither text nor reason holds a token.
MintResult read_token_answer(const TokenAnswer& answer, TokenAnswerForm form);

}  // namespace iron::transforms
