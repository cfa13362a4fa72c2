#include <utility>

#include "policy/config_error.h"
#include "policy/quote.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/connect_answer.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

constexpr const char* kAgent = "iron-proxy/0.39.0+cpp." IRON_OWN_VERSION;

/// One 1Password Connect server, for the time of a fetch.
struct Connect {
  Outside& outside;
  std::string host;
  SecretPtr token, authorization;

  /// `path` begins with `/v1`. Anything but a 200 is an error.
  Task<Result<CallAnswer>> get(std::string path) {
    CallRequest request;
    request.url = host + path;
    request.fields.push_back({"Authorization", {}, authorization});
    request.fields.push_back({"Content-Type", "application/json", nullptr});
    request.fields.push_back({"User-Agent", kAgent, nullptr});
    Result<CallAnswer> answer = co_await outside.call(request);
    if (answer.has_error()) co_return fail(call_error(request, answer.error()));
    if (answer->status != 200) co_return fail(connect_refusal(*answer, {token}));
    if (answer->cut) co_return fail("decoding response: response body is too large");
    co_return std::move(answer);
  }

  /// The vault of that id or title.
  Task<Result<ConnectItem>> find_vault(std::string name) {
    const bool by_id = is_connect_id(name);
    std::string path = "/v1/vaults";
    path += by_id ? "/" + name : connect_filter(name);
    Result<CallAnswer> answer = co_await get(std::move(path));
    if (answer.has_error()) co_return answer.error();
    if (by_id) co_return ConnectItem{std::move(name), {}};
    auto found = read_connect_list(*answer);
    if (found.has_error()) co_return found.error();
    if (found->size() != 1) {
      co_return fail("Found " + std::to_string(found->size()) + " vaults with title " +
                     policy::quoted(name));
    }
    co_return std::move(found->front());
  }

  Task<Result<CallAnswer>> get_item(const std::string& vault, const std::string& id) {
    return get("/v1/vaults/" + path_part(vault) + "/items/" + path_part(id));
  }

  /// The item of that id or title.
  Task<Result<CallAnswer>> find_item(std::string vault, std::string name) {
    if (is_connect_id(name)) {
      Result<CallAnswer> item = co_await get_item(vault, name);
      if (item.has_value()) co_return std::move(item);
    }
    std::string path = "/v1/vaults/" + path_part(vault) + "/items" + connect_filter(name);
    Result<CallAnswer> answer = co_await get(std::move(path));
    if (answer.has_error()) co_return answer.error();
    const auto found = read_connect_list(*answer);
    if (found.has_error()) co_return found.error();
    Result<CallAnswer> item = fail("Found " + std::to_string(found->size()) + " item(s) in vault " +
                                   policy::quoted(vault) + " with title " + policy::quoted(name));
    // Each is asked for before their number counts: that is what the server's log has.
    for (const ConnectItem& each : *found) {
      Result<CallAnswer> got = co_await get_item(each.vault, each.id);
      if (got.has_error() || found->size() == 1) co_return std::move(got);
    }
    co_return std::move(item);
  }
};

/// A field of an item that a 1Password Connect server has.
class ConnectSource final : public SourceKind {
 public:
  ConnectSource(ConnectReference reference, std::string host_variable, std::string token_variable)
      : reference_(std::move(reference)),
        host_variable_(std::move(host_variable)),
        token_variable_(std::move(token_variable)) {}
  std::string name() const override { return reference_.whole; }

  Task<Result<Secret>> get(Outside& outside) override {
    const auto host = outside.variable(host_variable_.c_str());
    if (!host) co_return unset(host_variable_);
    token_ = outside.secret_variable(token_variable_);
    if (token_ == nullptr) co_return unset(token_variable_);
    Connect connect{outside, *host, token_, bearer(*token_)};
    Result<ConnectItem> vault = co_await connect.find_vault(reference_.vault);
    if (vault.has_error()) co_return failed("looking up vault ", reference_.vault, vault.error());
    Result<CallAnswer> item = co_await connect.find_item(vault->id, reference_.item);
    if (item.has_error()) co_return failed("looking up item ", reference_.item, item.error());
    co_return field_of(*item);
  }
  std::vector<SecretPtr> keys_shown() const override { return {token_}; }

 private:
  static Error unset(const std::string& variable) {
    return fail("creating 1password_connect client: env var " + policy::quoted(variable) +
                " is not set or empty");
  }
  std::string shown() const { return policy::quoted(reference_.whole); }
  Error failed(const char* what, const std::string& name, const Error& why) const {
    return fail("resolving 1password_connect secret " + shown() + ": " + what +
                policy::quoted(name) + ": " + why.text);
  }
  Result<Secret> field_of(const CallAnswer& item) const {
    auto value = read_connect_field(item.body, reference_);
    if (value.has_error()) return failed("looking up item ", reference_.item, value.error());
    if (!*value) {
      const std::string section =
          reference_.section ? " in section " + policy::quoted(*reference_.section) : "";
      return fail("resolving 1password_connect secret " + shown() + ": field " +
                  policy::quoted(reference_.field) + section + " not found on item");
    }
    if ((*value)->empty()) {
      return fail("1password_connect secret " + shown() + " resolved to empty value");
    }
    return std::move(**value);
  }

  const ConnectReference reference_;
  const std::string host_variable_, token_variable_;
  SecretPtr token_;
};

std::string or_default(std::string text, const char* otherwise) {
  return text.empty() ? otherwise : text;
}

}  // namespace

std::unique_ptr<SourceKind> make_connect_source(const SourceBlock& block) {
  const std::string text = block.text("secret_ref");
  std::string host = or_default(block.text("host_env"), "OP_CONNECT_HOST");
  std::string token = or_default(block.text("token_env"), "OP_CONNECT_TOKEN");
  block.require("secret_ref", text);
  Result<ConnectReference> reference = ConnectReference::parse(text);
  if (reference.has_error()) throw policy::ConfigError(reference.error().text);
  block.take(token);
  return std::make_unique<ConnectSource>(std::move(*reference), std::move(host), std::move(token));
}

}  // namespace iron::transforms
