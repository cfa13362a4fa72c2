#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "proxy/wait/watch.h"

namespace iron::proxy::dns {

/// A socket for questions to one name server. Errors are those of errno(3), 0: none.
class QuestionSocket {
 public:
  /// The pause is woken when something may be read; it outlives this. `type`: SOCK_DGRAM or
  /// SOCK_STREAM.
  QuestionSocket(EventLoop& loop, Pause& pause, int family, int type);
  ~QuestionSocket();
  QuestionSocket(const QuestionSocket&) = delete;

  int open_error() const { return error_; }
  int connect(const policy::IpAddress& address, std::uint16_t port);
  int descriptor() const { return descriptor_; }
  Watch& watch() { return *watch_; }
  /// `ip:port` of our end; empty if it has none.
  std::string local() const;

 private:
  int descriptor_;
  int error_;
  std::optional<Watch> watch_;
};

/// One question and its answer over TCP, each behind two bytes of its length (RFC 1035 section
/// 4.2.2).
class TcpQuestion {
 public:
  TcpQuestion(EventLoop& loop,
              Pause& pause,
              const policy::IpAddress& address,
              std::uint16_t port,
              std::string_view packet);

  enum class State { dialling, writing, reading, answered, failed };
  /// Goes as far as it goes without waiting, and arms what it waits for.
  State advance();
  State state() const { return state_; }
  /// Where it failed: of state() before, for error texts.
  State failed_at() const { return failed_at_; }
  /// Of a failure: errno(3); 0: the server ended the connection.
  int error() const { return error_; }
  /// The answer.
  std::string_view packet() const { return std::string_view(packet_).substr(kLength); }

 private:
  static constexpr std::size_t kLength = 2;
  bool dial();
  bool write();
  bool read();
  bool fail(int error);

  QuestionSocket socket_;
  State state_ = State::dialling, failed_at_ = State::dialling;
  int error_ = 0;
  std::string packet_;
  std::size_t done_ = 0;  ///< bytes of packet_ that were written or read
};

}  // namespace iron::proxy::dns
