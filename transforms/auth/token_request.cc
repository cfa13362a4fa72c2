#include "transforms/auth/token_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "policy/http_message.h"
#include "policy/http_status.h"
#include "policy/quote.h"
#include "transforms/auth/form.h"

namespace iron::transforms {
namespace {

constexpr std::chrono::seconds kMargin{10};
constexpr std::int64_t kLifetime = 3600;
constexpr std::size_t kLargestAnswer = 1 << 20;

std::chrono::sys_seconds seconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

CallRequest call_of(const TokenRequest& request) {
  CallRequest call;
  call.method = "POST";
  call.url = request.endpoint;
  call.body = request.body;
  call.most = kLargestAnswer;
  call.redirects = CallRequest::Redirects::followed;
  const auto given = [&](std::string_view name) {
    return std::ranges::any_of(request.fields,
                               [&](const auto& field) { return iequals(field.name, name); });
  };
  if (!given("User-Agent")) call.fields.push_back({"User-Agent", "Go-http-client/1.1", nullptr});
  call.fields.push_back({"Content-Length", {}, nullptr});
  const std::size_t sorted_from = call.fields.size();
  if (!given("Content-Type")) {
    call.fields.push_back({"Content-Type", "application/x-www-form-urlencoded", nullptr});
  }
  call.fields.insert(call.fields.end(), request.fields.begin(), request.fields.end());
  std::sort(call.fields.begin() + static_cast<std::ptrdiff_t>(sorted_from), call.fields.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (!given("Accept-Encoding")) call.fields.push_back({"Accept-Encoding", "gzip", nullptr});
  return call;
}

}  // namespace

Task<MintResult> request_token(Outside& outside, TokenRequest request) {
  const CallRequest call = call_of(request);
  const Result<CallAnswer> answer = co_await outside.call(call);
  if (answer.has_error()) {
    co_return MintFailure{"Post " + policy::quoted(request.endpoint) + ": " + answer.error().text,
                          "mint_failed"};
  }
  const TokenAnswer read{answer->status,
                         answer->reason.empty() ? status_reason(answer->status) : answer->reason,
                         answer->field("Content-Type"),
                         answer->body,
                         seconds_of(outside.now()),
                         request.sent};
  co_return read_token_answer(read, request.form);
}

AssertionTimes::AssertionTimes(std::chrono::system_clock::time_point now)
    : issued((seconds_of(now) - kMargin).time_since_epoch().count()), expires(issued + kLifetime) {}

SecretPtr assertion_body(const Secret& assertion) {
  const std::array<FormPair, 2> pairs{
      FormPair{"assertion", assertion.reveal()},
      {"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"}};
  return std::make_shared<const Secret>(write_form(pairs));
}

std::int64_t token_until_ns(const Outside& outside,
                            const std::optional<std::chrono::sys_seconds>& expiry) {
  if (!expiry) return INT64_MAX;
  const auto left = *expiry - kMargin - seconds_of(outside.now());
  constexpr std::chrono::seconds kLongest = std::chrono::hours(24) * 365 * 100;
  return outside.monotonic_ns() +
         std::chrono::nanoseconds(std::min<std::chrono::seconds>(left, kLongest)).count();
}

}  // namespace iron::transforms
