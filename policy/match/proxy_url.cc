#include "policy/match/proxy_url.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "policy/hex.h"
#include "policy/match/host.h"

namespace iron::policy {
namespace {

using Kind = ProxyUrl::Kind;
constexpr std::size_t kLongestSocksPart = 255;  // RFC 1929 section 2

struct Scheme {
  std::string_view name;
  Kind kind;
  std::uint16_t port;
};
constexpr Scheme kSchemes[] = {{"http", Kind::http, 80},
                               {"https", Kind::https, 443},
                               {"socks5", Kind::socks5, 1080},
                               {"socks5h", Kind::socks5h, 1080}};

/// A blank or a control byte stands in no URL, and is a sign of two that ran into one.
bool is_clean(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c != 0x7f; });
}

/// The size of the decoded text; nothing if an escape is broken.
std::optional<std::size_t> decode(std::string_view text, char* out) {
  char* const begin = out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out++ = text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    *out++ = static_cast<char>(high << 4 | low);
    i += 2;
  }
  return static_cast<std::size_t>(out - begin);
}

/// Null: it is broken.
std::shared_ptr<const ProxyLogin> read_login(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view password = text.substr(std::min(colon + 1, text.size()));
  Secret joined = Secret::sized(text.size() + 1);
  char* const out = joined.writable().data();
  const auto user_size = decode(text.substr(0, colon), out);
  if (!user_size) return nullptr;
  out[*user_size] = ':';
  const auto password_size = decode(password, out + *user_size + 1);
  if (!password_size) return nullptr;
  joined.shrink(*user_size + 1 + *password_size);
  return std::make_shared<const ProxyLogin>(std::move(joined), *user_size);
}

Secret base64_of(std::string_view bytes) {
  Secret coded = Secret::sized((bytes.size() + 2) / 3 * 4 + 1);  // it ends with a NUL
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(coded.writable().data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  coded.shrink(static_cast<std::size_t>(size));
  return coded;
}

}  // namespace

ProxyLogin::ProxyLogin(Secret joined, std::size_t user_size)
    : joined_(std::move(joined)), user_size_(user_size), basic_(base64_of(joined_.reveal())) {}

bool ProxyLogin::shown_in(std::string_view text) const {
  const auto shows = [text](std::string_view bytes) {
    return !bytes.empty() && text.find(bytes) != text.npos;
  };
  return shows(password()) || shows(basic());
}

bool ProxyLogin::operator==(const ProxyLogin& other) const {
  return user_size_ == other.user_size_ && joined_.equals(other.joined_.reveal());
}

std::optional<ProxyUrl> ProxyUrl::read(std::string_view text) {
  constexpr std::string_view kMark = "://";
  if (!is_clean(text)) return std::nullopt;
  const std::size_t mark = text.find(kMark);
  const std::string_view before = mark == text.npos ? "http" : text.substr(0, mark);
  if (mark != text.npos) text.remove_prefix(mark + kMark.size());
  const std::string name = ascii_lower(before.substr(0, kSchemes[3].name.size() + 1));
  const auto* const scheme = std::ranges::find(kSchemes, name, &Scheme::name);
  if (scheme == std::end(kSchemes)) return std::nullopt;

  ProxyUrl url;
  url.kind_ = scheme->kind;
  text = text.substr(0, text.find_first_of("/?#"));
  const std::size_t at = text.rfind('@');
  if (at != text.npos) {
    url.login_ = read_login(text.substr(0, at));
    if (url.login_ == nullptr) return std::nullopt;
    text.remove_prefix(at + 1);
  }
  const auto authority = Authority::parse(text);
  if (!authority || authority->host.empty()) return std::nullopt;
  url.host_ = authority->host;
  url.literal_ = authority->literal;
  url.port_ = authority->port.value_or(scheme->port);
  const std::string port = ':' + std::to_string(url.port_);
  url.text_ =
      name + "://" + (url.literal_ ? url.literal_->text_with_port(url.port_) : url.host_ + port);
  if (url.speaks_socks() && url.login_ != nullptr) {
    const std::size_t user = url.login_->user().size();
    if (user == 0 || user > kLongestSocksPart) return std::nullopt;
    if (url.login_->password().size() > kLongestSocksPart) return std::nullopt;
  }
  return url;
}

ProxyUrl ProxyUrl::parse(std::string_view text) {
  if (text.empty()) return {};
  auto url = read(text);
  if (url) return *std::move(url);
  ProxyUrl unusable;
  unusable.kind_ = Kind::unusable;
  return unusable;
}

bool ProxyUrl::operator==(const ProxyUrl& other) const {
  if (kind_ != other.kind_ || text_ != other.text_) return false;
  if (login_ == nullptr || other.login_ == nullptr) return login_ == other.login_;
  return *login_ == *other.login_;
}

}  // namespace iron::policy
