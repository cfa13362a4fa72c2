#include "transforms/gcp/service_account.h"

#include <utility>

#include "policy/quote.h"
#include "transforms/sources/json_member.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLargest = 1 << 20;
constexpr std::string_view kUsualTokenUri = "https://oauth2.googleapis.com/token";
constexpr std::size_t kShownType = 64;

/// A member that is no key.
std::string public_member(const Secret& document, std::string_view name) {
  const auto member = json_string_member(document, name);
  return member ? std::string(member->reveal()) : std::string();
}

}  // namespace

Result<ServiceAccount> ServiceAccount::parse(const Secret& document) {
  const auto object = SecretJson::parse(document.reveal());
  if (!object || object->kind() != SecretJson::Kind::object) return fail("invalid JSON object");
  const std::string type = public_member(document, "type");
  if (type != "service_account") {
    return fail("google: read JWT from JSON credentials: 'type' field is " +
                policy::quoted(type.substr(0, kShownType)) + " (expected \"service_account\")");
  }
  ServiceAccount account;
  account.email = public_member(document, "client_email");
  account.key_id = public_member(document, "private_key_id");
  account.token_uri = public_member(document, "token_uri");
  if (account.token_uri.empty()) account.token_uri = kUsualTokenUri;
  account.audience = public_member(document, "audience");
  auto key = json_string_member(document, "private_key");
  account.private_key = std::make_shared<const Secret>(key ? std::move(*key) : Secret());
  account.keys.push_back(account.private_key);
  return account;
}

std::unique_ptr<KeyFile> KeyFile::make(std::string_view transform,
                                       std::string path,
                                       const policy::YamlNode* source,
                                       const BuildContext& context) {
  std::unique_ptr<SecretSource> built;
  if (source == nullptr) {
    const Services& services = context.services;
    if (services.may_read && !services.may_read(path)) {
      throw policy::ConfigError("key file " + policy::quoted(path) +
                                " is outside the directories readable since start");
    }
    context.needs.files.push_back(path);
  } else {
    try {
      built = std::make_unique<SecretSource>(source, context.path + ".keyfile", context);
    } catch (const policy::ConfigError& error) {
      throw policy::ConfigError(std::string(transform) +
                                ": building keyfile source: " + error.text());
    }
  }
  return std::unique_ptr<KeyFile>(new KeyFile(std::move(path), std::move(built)));
}

void KeyFile::keys(std::vector<const Secret*>& out) const {
  if (source_ != nullptr) source_->keys(out);
}

Task<Result<SecretPtr>> KeyFile::read(Outside& outside) {
  if (source_ != nullptr) {
    Supplied supplied = co_await source_->fetch(outside);
    if (supplied.value == nullptr) {
      co_return fail("loading GCP keyfile from " + policy::quoted(source_->name()) + ": " +
                     supplied.error);
    }
    co_return std::move(supplied.value);
  }
  Result<Secret> content = co_await outside.read_file(path_, kLargest);
  if (content.has_error()) {
    co_return fail("reading GCP keyfile " + policy::quoted(path_) + ": " + content.error().text);
  }
  co_return SecretPtr(std::make_shared<const Secret>(std::move(*content)));
}

Task<Result<std::shared_ptr<const ServiceAccount>>> KeyFile::load(Outside& outside) {
  if (account_ != nullptr) co_return account_;
  const Result<SecretPtr> document = co_await read(outside);
  if (document.has_error()) co_return document.error();
  Result<ServiceAccount> account = ServiceAccount::parse(**document);
  if (account.has_error()) {
    co_return fail("parsing GCP service account keyfile: " + account.error().text);
  }
  account->keys.push_back(*document);
  account_ = std::make_shared<const ServiceAccount>(std::move(*account));
  co_return account_;
}

}  // namespace iron::transforms
