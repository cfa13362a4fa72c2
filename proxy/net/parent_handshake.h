#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "policy/match/proxy_url.h"
#include "policy/result.h"
#include "policy/secret/secret_arena.h"

namespace iron::proxy {

/// How a parent proxy is asked for a tunnel: CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928,
/// 1929). Bytes in, bytes out; whoever runs it waits. What shows the login is composed in secret
/// memory and wiped when it was sent.
class ParentHandshake {
 public:
  /// Where the tunnel leads.
  struct Target {
    std::string host;  ///< as it was asked for
    std::uint16_t port = 0;
    std::optional<policy::IpAddress> literal;
    /// Of a name: what SOCKS5 is to connect to instead, because it was checked.
    std::optional<policy::IpAddress> checked{};
    /// `host:port`.
    std::string text() const;
  };

  /// `parent`, which outlives it, is usable.
  ParentHandshake(const policy::ProxyUrl& parent, Target target);
  ~ParentHandshake();
  ParentHandshake(const ParentHandshake&) = delete;

  /// To be sent before anything is read.
  std::string_view output() const { return {out_->data() + sent_, used_ - sent_}; }
  void sent(std::size_t bytes);

  enum class Step {
    goes_on,  ///< send output(), then read
    open,     ///< the tunnel; surplus() belongs to it
    failed,   ///< see error()
  };
  /// Bytes of the parent.
  Step take(std::string_view bytes);
  /// The parent ended the connection.
  Step ended();
  /// It was silent for too long.
  Step timed_out();
  /// How many bytes may be read without taking any of the tunnel's; 0: nobody can know.
  std::size_t wanted() const;
  std::string_view surplus() const;
  const Error& error() const { return error_; }

 private:
  enum class State { connect, method, login, reply };
  void put(std::string_view text);
  void put_byte(std::size_t value) { out_->data()[used_++] = static_cast<char>(value); }
  void write_connect();
  void write_login();
  void write_request();
  Step read_connect();
  Step judge_status();
  Step read_socks();
  Step read_method();
  Step read_reply();
  Step fail_with(std::string text);
  Step fail_socks(const std::string& what);
  std::string harmless(std::string what, std::string_view quoted) const;

  const policy::ProxyUrl& parent_;
  const Target target_;
  State state_;
  std::unique_ptr<SecretBuffer> out_;
  std::size_t used_ = 0, sent_ = 0;
  std::string in_;
  std::size_t consumed_ = 0, scanned_ = 0;  ///< no line end between them
  int status_ = 0;                          ///< of the head that is being read; 0: not yet
  std::string reason_;
  Error error_;
};

/// The error of a parent's answer to CONNECT, or to a plain request that wants a login: `Proxy
/// Authentication Required (HTTP 407)`.
std::string parent_status_text(std::string_view reason, int status);

}  // namespace iron::proxy
