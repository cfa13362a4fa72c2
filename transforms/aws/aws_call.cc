#include "transforms/aws/aws_call.h"

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <utility>

#include "policy/match/url.h"
#include "policy/quote.h"
#include "transforms/auth/answer_quote.h"
#include "transforms/auth/sigv4.h"
#include "transforms/auth/xml_text.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {

using std::chrono::seconds;

constexpr std::size_t kLongestWord = 128;
constexpr std::array<std::string_view, 15> kTriedAgain{"Throttling",
                                                       "ThrottlingException",
                                                       "RequestThrottled",
                                                       "RequestThrottledException",
                                                       "TooManyRequestsException",
                                                       "RequestLimitExceeded",
                                                       "BandwidthLimitExceeded",
                                                       "LimitExceededException",
                                                       "SlowDown",
                                                       "EC2ThrottledException",
                                                       "PriorRequestNotComplete",
                                                       "TransactionInProgressException",
                                                       "ProvisionedThroughputExceededException",
                                                       "RequestTimeout",
                                                       "RequestTimeoutException"};

bool is_overload(int status) {
  return status == 500 || status == 502 || status == 503 || status == 504;
}

/// Random, so that those who failed together do not come together again.
std::chrono::nanoseconds delay_behind(int attempt) {
  constexpr double kMost = 20;
  std::random_device random;
  std::uniform_real_distribution<double> part(0, 1);
  const double wait = part(random) * static_cast<double>(1U << std::min(attempt, 10));
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(wait, kMost)));
}

/// What a service says of a failure.
struct Failure {
  std::string code;
  std::optional<Secret> message;  ///< may hold anything
};

/// A code or an id that a service wrote: nothing else, and none of what was sent.
std::string word_of(std::string_view text, const AwsCall& call) {
  const bool plain = text.size() <= kLongestWord && std::ranges::all_of(text, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
                              c == '=' || c == '+' || c == '/';
                     });
  return plain && !holds_a_key(text, call.sent) ? std::string(text) : std::string("***");
}

std::string_view behind(std::string_view text, char mark) {
  const std::size_t at = text.rfind(mark);
  return at == text.npos ? text : text.substr(at + 1);
}

Failure read_json(const CallAnswer& answer, const AwsCall& call) {
  Failure failure;
  const auto type = json_string_member(answer.body, "__type");
  if (type.has_value()) failure.code = word_of(behind(type->reveal(), '#'), call);
  if (failure.code.empty()) {
    const std::string_view field = answer.field("X-Amzn-ErrorType");
    failure.code = word_of(behind(field.substr(0, field.find(':')), '#'), call);
  }
  for (const char* name : {"message", "Message"}) {
    auto message = json_string_member(answer.body, name);
    if (failure.message || message.has_error()) continue;
    failure.message = std::move(*message);
  }
  return failure;
}

Failure read_xml(const CallAnswer& answer, const AwsCall& call) {
  const auto text = [&](std::string_view name) {
    const std::array<std::string_view, 3> path{"ErrorResponse", "Error", name};
    return xml_text(answer.body.reveal(), path);
  };
  const auto code = text("Code");
  return {code ? word_of(code->reveal(), call) : std::string(), text("Message")};
}

Failure read_failure(const CallAnswer& answer, const AwsCall& call) {
  return call.errors == AwsCall::Errors::json ? read_json(answer, call) : read_xml(answer, call);
}

std::string text_of_failure(const CallAnswer& answer, const AwsCall& call) {
  Failure failure = read_failure(answer, call);
  std::vector<const Secret*> sent;
  for (const SecretPtr& secret : call.sent) sent.push_back(secret.get());
  std::string message;
  if (failure.message) message = quotable_answer(failure.message->reveal(), sent);
  if (failure.code.empty()) failure.code = message.empty() ? "UnknownError" : "";
  const bool modelled = std::ranges::find(call.modelled, failure.code) != call.modelled.end();
  return "https response error StatusCode: " + std::to_string(answer.status) +
         ", RequestID: " + word_of(answer.field("X-Amzn-Requestid"), call) + ", " +
         (modelled ? "" : "api error ") + failure.code + ": " + message;
}

/// The request as it stands now: a signature tells the time.
Result<CallRequest> compose(Outside& outside,
                            const AwsSettings& settings,
                            const AwsCall& call,
                            const policy::Url& url) {
  CallRequest request;
  request.method = "POST";
  request.url = url.text();
  request.body = call.body;
  request.fields = call.fields;
  request.fields.push_back({"User-Agent", own_user_agent(), nullptr});
  request.trust.anchors = settings.anchors();
  request.trust.anchors_add = true;
  if (call.keys == nullptr) return request;
  std::vector<SignedField> fields{{"host", url.authority}};
  for (const CallRequest::Field& field : call.fields) {
    if (is_signed_field(field.name)) fields.push_back({field.name, field.text});
  }
  const Result<HexDigest> hash = payload_hash_of(call.body->reveal());
  if (hash.has_error()) return hash.error();
  AwsRequest unsigned_request;
  unsigned_request.method = request.method;
  unsigned_request.path = url.path;
  unsigned_request.query = url.query;
  unsigned_request.fields = fields;
  unsigned_request.payload_hash = view(*hash);
  unsigned_request.region = settings.region();
  unsigned_request.service = call.service.name;
  unsigned_request.time = std::chrono::floor<seconds>(outside.now());
  Result<AwsSignature> signature = sign_aws(unsigned_request, *call.keys);
  if (signature.has_error()) return signature.error();
  const auto authorization = std::make_shared<const Secret>(std::move(signature->authorization));
  request.fields.push_back({"Authorization", {}, authorization});
  request.fields.push_back({"X-Amz-Date", signature->date, nullptr});
  request.fields.push_back({"X-Amz-Content-Sha256", std::string(view(*hash)), nullptr});
  if (!call.keys->session_token.empty()) {
    const SecretPtr token(call.keys, &call.keys->session_token);
    request.fields.push_back({"X-Amz-Security-Token", {}, token});
  }
  return request;
}

}  // namespace

std::string own_user_agent() { return "iron-proxy/0.39.0+cpp." IRON_OWN_VERSION; }

Task<AwsAttempts> attempt_aws(Outside& outside,
                              int most,
                              std::function<Result<CallRequest>()> make,
                              std::function<bool(const CallAnswer&)> again) {
  for (int attempt = 1;; ++attempt) {
    const Result<CallRequest> request = make();
    if (request.has_error()) co_return AwsAttempts{request.error(), false};
    Result<CallAnswer> answer = co_await outside.call(*request);
    const bool repeats = answer.has_error()
                             ? answer.error().fault != Fault::client_gone
                             : is_overload(answer->status) || (again && again(*answer));
    if (!repeats || attempt >= most) {
      AwsAttempts done{std::move(answer), repeats};
      co_return std::move(done);
    }
    const bool time_left = co_await outside.sleep(delay_behind(attempt));
    if (!time_left) {
      AwsAttempts late{fail("context deadline exceeded", Fault::client_gone), false};
      co_return std::move(late);
    }
  }
}

Task<Result<Secret>> call_aws(Outside& outside, const AwsSettings& settings, AwsCall call) {
  const std::string where =
      "operation error " + std::string(call.service.id) + ": " + std::string(call.operation) + ", ";
  const Result<policy::Url> url = settings.endpoint(call.service);
  if (url.has_error()) co_return fail(where + url.error().text);
  if (call.keys != nullptr) {
    for (const Secret* key :
         {&call.keys->access_key_id, &call.keys->secret_access_key, &call.keys->session_token}) {
      call.sent.emplace_back(call.keys, key);
    }
  }
  const int most = settings.attempts();
  std::function<Result<CallRequest>()> make = [&] {
    return compose(outside, settings, call, *url);
  };
  std::function<bool(const CallAnswer&)> again = [&](const CallAnswer& answer) {
    if (answer.status < 300) return false;
    const std::string code = read_failure(answer, call).code;
    return std::ranges::find(kTriedAgain, code) != kTriedAgain.end();
  };
  AwsAttempts done = co_await attempt_aws(outside, most, make, again);
  const std::string often =
      done.exhausted ? "exceeded maximum number of attempts, " + std::to_string(most) + ", " : "";
  if (done.last.has_error()) {
    co_return fail(where + often + "https response error StatusCode: 0, RequestID: , " +
                   "request send failed, Post " + policy::quoted(url->text()) + ": " +
                   done.last.error().text);
  }
  if (done.last->status < 200 || done.last->status >= 300) {
    co_return fail(where + often + text_of_failure(*done.last, call));
  }
  if (done.last->cut) co_return fail(where + "the answer is too large");
  co_return std::move(done.last->body);
}

}  // namespace iron::transforms
