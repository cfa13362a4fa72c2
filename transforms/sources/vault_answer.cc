#include "transforms/sources/vault_answer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "policy/quote.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

using Kind = SecretJson::Kind;

/// What secrets of people are; each level is walked through once more to sort its names.
constexpr int kDeepest = 64;

bool stays(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("-_.~$&+,/:;=@").find(c) != std::string_view::npos;
}

Error unread(const VaultPlace& place, const std::string& why) {
  return fail("reading Vault KV secret " + policy::quoted(place.shown()) + ": " + why);
}

/// The texts of an array, one behind the other.
std::string texts_of(const std::optional<SecretJson>& array,
                     std::string_view front,
                     std::string_view between) {
  std::string out;
  if (!array) return out;
  for (const SecretJson& element : array->elements()) {
    if (!out.empty()) out += between;
    out.append(front).append(element.text().reveal());
  }
  return out;
}

Error refused(const CallRequest& request,
              const CallAnswer& answer,
              const VaultPlace& place,
              const std::vector<SecretPtr>& keys) {
  std::string errors;
  if (const auto body = SecretJson::parse(answer.body.reveal(), kDeepest)) {
    errors = told(texts_of(body->member("errors"), "* ", "\n"), keys);
  }
  return vault_unread(place, "Error making API request.\n\nURL: " + request.method + " " +
                                 request.url + "\nCode: " + std::to_string(answer.status) +
                                 ". Errors:\n\n" + errors);
}

}  // namespace

std::string vault_url(const policy::Url& address, const VaultPlace& place) {
  std::vector<std::string_view> kept;
  const std::string whole = "v1/" + place.at();
  for (std::string_view rest = whole; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string url = (address.https ? "https://" : "http://") + address.authority + address.path;
  while (url.ends_with('/')) url.pop_back();
  for (const std::string_view segment : kept) {
    url += '/';
    for (const char c : segment) {
      if (stays(c)) {
        url += c;
      } else {
        const auto byte = static_cast<unsigned char>(c);
        url.append({'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]});
      }
    }
  }
  return url;
}

Error vault_unread(const VaultPlace& place, const std::string& why) {
  return unread(place, "error encountered while reading secret at " + place.at() + ": " + why);
}

Result<Secret> vault_value(const CallRequest& request,
                           const CallAnswer& answer,
                           const VaultPlace& place,
                           const std::vector<SecretPtr>& keys) {
  const bool missing = answer.status == 404;
  if (!missing && (answer.status < 200 || answer.status >= 300)) {
    return refused(request, answer, place, keys);
  }
  const auto body = SecretJson::parse(answer.body.reveal(), kDeepest);
  if (!body && !missing && !answer.body.empty()) {
    return vault_unread(
        place, answer.cut ? "response body is too large" : "decoding response: invalid JSON");
  }
  std::optional<SecretJson> data;
  std::string warnings;
  if (body) {
    data = body->member("data");
    warnings = told(texts_of(body->member("warnings"), "", "; "), keys);
  }
  // A deleted version is told of with 404, by an object that says when.
  const bool nothing = !data || data->kind() != Kind::object || data->members().empty();
  if (nothing && !warnings.empty())
    return unread(place, "secret resolved without data: " + warnings);
  if (!body || (missing && nothing)) return unread(place, "secret not found: at " + place.at());
  if (!data || data->kind() == Kind::null) return unread(place, "secret resolved without data");
  if (place.versioned) {
    data = data->member("data");
    if (!data) {
      return unread(place,
                    "error parsing secret at " + place.at() + ": missing expected 'data' element");
    }
    if (data->kind() == Kind::null) return unread(place, "secret resolved without data");
  }
  if (data->kind() != Kind::object) {
    return unread(place,
                  "error parsing secret at " + place.at() + ": unexpected type of 'data' element");
  }
  if (data->members().empty()) {
    return fail("vault KV secret " + policy::quoted(place.shown()) + " resolved without data");
  }
  return data->compact();
}

}  // namespace iron::transforms
