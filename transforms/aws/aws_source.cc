#include <array>
#include <utility>

#include "policy/json/json_writer.h"
#include "policy/quote.h"
#include "transforms/aws/aws_access.h"
#include "transforms/sources/secret_json.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

/// An operation that reads one secret.
struct Reading {
  const AwsService& service;
  std::string_view client;  ///< in errors
  std::string_view operation, target, what;
  std::array<std::string_view, 5> modelled;
};
constexpr Reading kSecret{kAwsSecretsManager,
                          "SM",
                          "GetSecretValue",
                          "secretsmanager.GetSecretValue",
                          "secret",
                          {"DecryptionFailure", "InternalServiceError", "InvalidParameterException",
                           "InvalidRequestException", "ResourceNotFoundException"}};
constexpr Reading kParameter{kAwsSsm,
                             "SSM",
                             "GetParameter",
                             "AmazonSSM.GetParameter",
                             "parameter",
                             {"InternalServerError", "InvalidKeyId", "ParameterNotFound",
                              "ParameterVersionNotFound", "InvalidKeyId"}};

/// The text that `answer` holds; nothing if it has no place for one.
using Extract = Result<std::optional<Secret>> (*)(const Secret& answer);

Error no_json() { return fail("deserialization failed, failed to decode response body"); }

Result<std::optional<Secret>> secret_string(const Secret& answer) {
  const auto document = SecretJson::parse(answer.reveal());
  if (!document || document->kind() != SecretJson::Kind::object) return no_json();
  // A binary secret has none.
  const auto text = document->member("SecretString");
  if (!text || text->kind() != SecretJson::Kind::string) return std::optional<Secret>(Secret());
  return std::optional<Secret>(text->text());
}

Result<std::optional<Secret>> parameter_value(const Secret& answer) {
  const auto document = SecretJson::parse(answer.reveal());
  if (!document || document->kind() != SecretJson::Kind::object) return no_json();
  const auto parameter = document->member("Parameter");
  const auto value = parameter ? parameter->member("Value") : std::nullopt;
  if (!value || value->kind() != SecretJson::Kind::string) return std::optional<Secret>();
  return std::optional<Secret>(value->text());
}

/// A secret of Secrets Manager or a parameter of Systems Manager (their API references, the two
/// operations).
class AwsSource final : public SourceKind {
 public:
  AwsSource(const SourceBlock& block,
            const Reading& reading,
            std::string id,
            std::string body,
            Extract extract)
      : reading_(reading),
        id_(std::move(id)),
        body_(std::make_shared<const Secret>(Secret::copy_of(body))),
        region_(block.text("region")),
        extract_(extract),
        access_(block.context) {}
  std::string name() const override { return id_; }

  Task<Result<Secret>> get(Outside& outside) override {
    Result<AwsSettings> settings = co_await AwsSettings::load(outside, region_);
    if (settings.has_error()) {
      co_return fail("creating AWS " + std::string(reading_.client) +
                     " client: loading AWS config: " + settings.error().text);
    }
    const std::string where =
        "fetching " + std::string(reading_.what) + " " + policy::quoted(id_) + ": ";
    const std::string operation = "operation error " + std::string(reading_.service.id) + ": " +
                                  std::string(reading_.operation) + ", ";
    const Result<policy::Url> endpoint = settings->endpoint(reading_.service);
    if (endpoint.has_error()) co_return fail(where + operation + endpoint.error().text);
    Result<AwsCredentialsPtr> keys = co_await access_.credentials(outside, *settings);
    if (keys.has_error()) {
      co_return fail(where + operation + "get identity: get credentials: " + keys.error().text);
    }
    AwsCall call = call_with(std::move(*keys));
    Result<Secret> answer = co_await call_aws(outside, *settings, std::move(call));
    if (answer.has_error()) co_return fail(where + answer.error().text);
    Result<std::optional<Secret>> value = extract_(*answer);
    if (value.has_error()) co_return fail(where + operation + value.error().text);
    const std::string shown = std::string(reading_.what) + " " + policy::quoted(id_);
    if (!*value) co_return fail(shown + " resolved without a value");
    if ((*value)->empty()) co_return fail(shown + " resolved to empty value");
    co_return std::move(**value);
  }

 private:
  AwsCall call_with(AwsCredentialsPtr keys) const {
    return {reading_.service,
            reading_.operation,
            {{"Content-Type", "application/x-amz-json-1.1", nullptr},
             {"X-Amz-Target", std::string(reading_.target), nullptr}},
            body_,
            std::move(keys),
            AwsCall::Errors::json,
            reading_.modelled,
            {}};
  }

  const Reading& reading_;
  const std::string id_;
  const SecretPtr body_;
  const std::string region_;
  const Extract extract_;
  AwsAccess access_;
};

std::string json_string(std::string_view text) {
  std::string out;
  policy::append_json_string(out, text);
  return out;
}

}  // namespace

std::unique_ptr<SourceKind> make_aws_sm_source(const SourceBlock& block) {
  std::string id = block.required("secret_id");
  std::string body = "{\"SecretId\":" + json_string(id) + "}";
  return std::make_unique<AwsSource>(block, kSecret, std::move(id), std::move(body), secret_string);
}

std::unique_ptr<SourceKind> make_aws_ssm_source(const SourceBlock& block) {
  std::string name = block.required("name");
  const bool decrypts = block.boolean("with_decryption", true);
  std::string body = "{\"Name\":" + json_string(name) +
                     ",\"WithDecryption\":" + (decrypts ? "true" : "false") + "}";
  return std::make_unique<AwsSource>(block, kParameter, std::move(name), std::move(body),
                                     parameter_value);
}

}  // namespace iron::transforms
