#include "transforms/auth/token_answer.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "policy/http_message.h"
#include "policy/quote.h"
#include "transforms/auth/answer_quote.h"
#include "transforms/auth/form.h"
#include "transforms/auth/jwt.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLongestBody = std::size_t{1} << 20;
constexpr std::int64_t kLongestLife = 0x7FFFFFFF;  // seconds

using Kind = SecretJson::Kind;

/// The members that are looked at; what is absent is empty.
struct Members {
  Secret access_token, refresh_token, id_token, error, error_description, error_uri;
  std::int64_t expires_in = 0;
};

std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, value);
  if (fault != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

/// False if the member is there and is neither a text nor null.
bool take_text(const SecretJson& object, std::string_view name, Secret& out) {
  const auto member = object.member(name);
  if (!member || member->kind() == Kind::null) return true;
  if (member->kind() != Kind::string) return false;
  out = member->text();
  return true;
}

bool take_expires_in(const SecretJson& object, bool text_too, std::int64_t& out) {
  const auto member = object.member("expires_in");
  if (!member || member->kind() == Kind::null) return true;
  const bool is_text = member->kind() == Kind::string;
  if (is_text ? !text_too : member->kind() != Kind::number) return false;
  const Secret text = member->text();
  const auto value = integer(is_text ? text.reveal() : member->raw());
  out = value.value_or(0);
  return value.has_value();
}

bool read_json(std::string_view body, TokenAnswerForm form, Members& out) {
  const auto object = SecretJson::parse(body);
  if (!object || object->kind() != Kind::object) return false;
  const bool oauth2 = form == TokenAnswerForm::oauth2;
  return take_expires_in(*object, oauth2, out.expires_in) &&
         take_text(*object, "access_token", out.access_token) &&
         take_text(*object, oauth2 ? "refresh_token" : "id_token",
                   oauth2 ? out.refresh_token : out.id_token) &&
         (!oauth2 || (take_text(*object, "error", out.error) &&
                      take_text(*object, "error_description", out.error_description) &&
                      take_text(*object, "error_uri", out.error_uri)));
}

bool read_form(std::string_view body, Members& out) {
  if (!is_form(body)) return false;
  const auto take = [body](std::string_view name, Secret& text) {
    if (auto value = form_value(body, name)) text = std::move(*value);
  };
  Secret expires_in;
  take("access_token", out.access_token);
  take("refresh_token", out.refresh_token);
  take("error", out.error);
  take("error_description", out.error_description);
  take("error_uri", out.error_uri);
  take("expires_in", expires_in);
  out.expires_in = integer(expires_in.reveal()).value_or(0);
  return true;
}

bool is_form_type(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  while (type.starts_with(' ') || type.starts_with('\t')) type.remove_prefix(1);
  return iequals(type, "application/x-www-form-urlencoded") || iequals(type, "text/plain");
}

MintFailure mint_failed(std::string text) { return {std::move(text), "mint_failed"}; }

MintFailure status_failure(const TokenAnswer& answer) {
  const std::string status = std::to_string(answer.status);
  std::string text = "oauth2: cannot fetch token: " + status;
  if (!answer.reason.empty()) text += " " + quotable_answer(answer.reason, answer.sent);
  text += "\nResponse: " + quotable_answer(answer.body.reveal(), answer.sent);
  return {std::move(text), "token_endpoint_http_" + status};
}

MintFailure error_failure(const Members& members, std::span<const Secret* const> sent) {
  const std::string code = quotable_answer(members.error.reveal(), sent);
  std::string text = "oauth2: " + policy::quoted(code);
  for (const Secret* part : {&members.error_description, &members.error_uri}) {
    if (!part->empty()) text += " " + policy::quoted(quotable_answer(part->reveal(), sent));
  }
  return {std::move(text), code};
}

std::optional<std::chrono::sys_seconds> after(std::chrono::sys_seconds now,
                                              std::int64_t expires_in) {
  if (expires_in == 0) return std::nullopt;
  return now + std::chrono::seconds(std::clamp(expires_in, -kLongestLife, kLongestLife));
}

MintResult read_oauth2(const TokenAnswer& answer, bool good_status) {
  const std::string_view body = answer.body.reveal().substr(0, kLongestBody);
  const bool form = is_form_type(answer.content_type);
  Members members;
  const bool readable =
      form ? read_form(body, members) : read_json(body, TokenAnswerForm::oauth2, members);
  if (!readable && !good_status) return status_failure(answer);
  if (!readable) {
    return mint_failed(form ? "oauth2: cannot parse response: malformed form"
                            : "oauth2: cannot parse json: not an object of the expected members");
  }
  if (!members.error.empty()) return error_failure(members, answer.sent);
  if (!good_status) return status_failure(answer);
  if (members.access_token.empty())
    return mint_failed("oauth2: server response missing access_token");
  return MintedToken{std::move(members.access_token),
                     std::move(members.refresh_token),
                     {},
                     after(answer.now, members.expires_in)};
}

MintResult read_jwt(const TokenAnswer& answer, bool good_status, TokenAnswerForm form) {
  if (!good_status) return status_failure(answer);
  Members members;
  if (!read_json(answer.body.reveal().substr(0, kLongestBody), form, members)) {
    return mint_failed(
        "oauth2: cannot fetch token: the answer is not an object of the expected members");
  }
  const bool id_token = form == TokenAnswerForm::id_token;
  if (id_token && members.id_token.empty()) return mint_failed("response doesn't have JWT token");
  auto expiry = after(answer.now, std::max<std::int64_t>(members.expires_in, 0));
  if (!members.id_token.empty()) {
    const auto claims = jwt_claims(members.id_token.reveal());
    if (!claims)
      return mint_failed("oauth2: error decoding JWT token: jws: invalid token received");
    if (const auto end = jwt_expiry(*claims)) expiry = end;
  }
  if (!id_token && members.access_token.empty()) {
    return MintFailure{"jwt_bearer token endpoint returned an empty access_token", "mint_failed",
                       true};
  }
  return MintedToken{std::move(members.access_token), {}, std::move(members.id_token), expiry};
}

}  // namespace

MintResult read_token_answer(const TokenAnswer& answer, TokenAnswerForm form) {
  const bool good_status = answer.status >= 200 && answer.status < 300;
  if (form == TokenAnswerForm::oauth2) return read_oauth2(answer, good_status);
  return read_jwt(answer, good_status, form);
}

}  // namespace iron::transforms
