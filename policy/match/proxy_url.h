#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "policy/secret/secret.h"

namespace iron::policy {

/// User and password of a parent proxy's URL, percent-decoded. Both may be empty.
class ProxyLogin {
 public:
  ProxyLogin(Secret joined, std::size_t user_size);
  ProxyLogin(const ProxyLogin&) = delete;

  std::string_view user() const { return joined_.reveal().substr(0, user_size_); }
  std::string_view password() const { return joined_.reveal().substr(user_size_ + 1); }
  /// What stands behind `Basic ` (RFC 7617).
  std::string_view basic() const { return basic_.reveal(); }
  /// Whether `text` of the parent shows the password, as it is or as it was sent.
  bool shown_in(std::string_view text) const;
  bool operator==(const ProxyLogin& other) const;

 private:
  Secret joined_;  ///< `user:password`
  std::size_t user_size_;
  Secret basic_;
};

/// A parent proxy as its URL names it. A value: copies share the login, whose bytes are in secret
/// memory from the parse on. What cannot be used is a value too, since requests that need it are to
/// fail instead of going another way.
class ProxyUrl {
 public:
  enum class Kind { none, unusable, http, https, socks5, socks5h };

  ProxyUrl() = default;
  /// `http`, `https`, `socks5` or `socks5h`, without a scheme `http`; an optional `user:password@`;
  /// a host; an optional port. What follows is not looked at. An empty text is no parent.
  static ProxyUrl parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool usable() const { return kind_ > Kind::unusable; }
  bool speaks_http() const { return kind_ == Kind::http || kind_ == Kind::https; }
  bool speaks_socks() const { return kind_ == Kind::socks5 || kind_ == Kind::socks5h; }
  /// Folded; of an address without brackets.
  const std::string& host() const { return host_; }
  const std::optional<IpAddress>& literal() const { return literal_; }
  std::uint16_t port() const { return port_; }
  /// Null if the URL names no user.
  const ProxyLogin* login() const { return login_.get(); }
  /// `http://host:port`, and nothing of the login.
  const std::string& text() const { return text_; }
  /// The same without the scheme.
  std::string_view address() const { return std::string_view(text_).substr(text_.find("://") + 3); }
  bool operator==(const ProxyUrl& other) const;

 private:
  static std::optional<ProxyUrl> read(std::string_view text);

  Kind kind_ = Kind::none;
  std::string host_, text_;
  std::optional<IpAddress> literal_;
  std::uint16_t port_ = 0;
  std::shared_ptr<const ProxyLogin> login_;
};

}  // namespace iron::policy
