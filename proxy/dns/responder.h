#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "proxy/dns/server.h"

namespace iron::proxy::dns {

/// From a query to the bytes of its answer, with lookups and their limits; knows no sockets. Lives
/// on its io_context.
class Responder {
 public:
  struct Limits {
    std::chrono::milliseconds lookup{5000};
    std::size_t lookups = 256;
  };
  Responder(boost::asio::io_context& io, Zone zone, Log& log, Server::Lookup lookup, Limits limits);
  ~Responder();
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  using Reply = std::function<void(std::string packet)>;
  /// Calls `reply` once, at once or after a lookup, with at most `limit` bytes.
  void answer(const Query& query, std::size_t limit, Reply reply);
  std::size_t lookups() const { return lookups_; }
  /// Called whenever a lookup was answered.
  void on_idle(std::function<void()> idle) { idle_ = std::move(idle); }
  /// A record at most once a second: a sandbox must not fill the log.
  void log_write_failure(const std::string& error);

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting;
  struct Link;
  void pass_through(const Query& query,
                    std::size_t limit,
                    const Zone::Decision& decision,
                    Reply reply);
  void finish(Waiting& waiting, const LookupOutcome& outcome);
  void refuse_lookup(const Query& query, const std::string& name, const Reply& reply);

  boost::asio::io_context& io_;
  std::shared_ptr<Link> link_;  ///< what lookups that end late hold
  Zone zone_;
  Log& log_;
  Server::Lookup lookup_;
  Limits limits_;
  std::size_t lookups_ = 0;
  std::function<void()> idle_;
  Clock::time_point busy_logged_{}, write_logged_{};
};

}  // namespace iron::proxy::dns
