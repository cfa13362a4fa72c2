#include "proxy/admin/admin.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "policy/match/path.h"
#include "proxy/admin/admin_answers.h"

namespace iron::proxy {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kBearer = "Bearer ";

/// Both sides are hashed first, so that neither content nor length shows in the time taken.
bool same_key(std::string_view given, const Secret& key) {
  unsigned char left[SHA256_DIGEST_LENGTH], right[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(given.data()), given.size(), left);
  SHA256(reinterpret_cast<const unsigned char*>(key.reveal().data()), key.size(), right);
  return CRYPTO_memcmp(left, right, sizeof left) == 0;
}

/// The answer to all that is not asking for `page`; nothing if it is.
std::optional<WebAnswer> beside(const WebRequest& request, std::string_view page) {
  const std::string_view method = request.method_string();
  std::string_view target = request.target();
  if (method == "OPTIONS" && target == "*") return options_answer();
  if (const std::size_t scheme = target.find("://");
      scheme != target.npos && target.front() != '/') {
    target = target.substr(std::min(target.find('/', scheme + 3), target.size()));
  }
  const std::size_t query = target.find('?');
  const std::string_view raw_path = target.substr(0, query);
  std::string path;
  if (method == "CONNECT" || !policy::percent_decode(raw_path, path)) return not_found_answer();
  const std::string clean = clean_path(raw_path);
  if (clean != raw_path) {
    const std::string_view rest = query == target.npos ? std::string_view() : target.substr(query);
    const std::string location = uri_path(clean).append(rest);
    // A path that Beast cannot answer with is no page either.
    if (location.size() > kLongestWebField) return not_found_answer();
    return redirect_answer(method, location);
  }
  if (path != page) return not_found_answer();
  return std::nullopt;
}

WebAnswer reload_answer(const Reload::Outcome& outcome) {
  switch (outcome.status) {
    case 200:
      return json_answer(http::status::ok, "{\"status\":\"ok\"}\n");
    case 422:
      return json_answer(http::status::unprocessable_entity, json_error_body(outcome.error));
    default:
      return json_answer(http::status::internal_server_error, "{\"error\":\"internal error\"}\n");
  }
}

}  // namespace

WebHandler::Reply MetricsPages::serve(const WebRequest& request, std::string_view) {
  std::optional<WebAnswer> other = beside(request, "/healthz");
  return {other ? *std::move(other) : health_answer(), {}};
}

ManagementPages::ManagementPages(const Secret& key,
                                 Reload& reload,
                                 std::function<void(std::string_view remote)> refused,
                                 const Clock& clock)
    : key_(key), reload_(reload), refused_(std::move(refused)), clock_(clock) {}

WebHandler::Reply ManagementPages::serve(const WebRequest& request, std::string_view remote) {
  std::optional<WebAnswer> other = beside(request, "/v1/reload");
  if (other) return {*std::move(other), {}};
  const std::string_view given = request[http::field::authorization];
  if (!given.starts_with(kBearer) || !same_key(given.substr(kBearer.size()), key_)) {
    note_refused(remote);
    return {json_answer(http::status::unauthorized, "{\"error\":\"unauthorized\"}\n"), {}};
  }
  if (request.method() != http::verb::post) return {only_post_answer(), {}};
  auto begin = [this](Tell tell) {
    reload_.request(
        [tell = std::move(tell)](const Reload::Outcome& outcome) { tell(reload_answer(outcome)); });
  };
  return {reload_answer({500, {}}), std::move(begin)};
}

void ManagementPages::note_refused(std::string_view remote) {
  const SteadyTime now = clock_.now();
  if (last_noted_ != SteadyTime{} && now - last_noted_ < std::chrono::seconds(1)) return;
  last_noted_ = now;
  refused_(remote);
}

}  // namespace iron::proxy
