#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "proxy/log/record.h"
#include "proxy/log/record_batch.h"

namespace iron::proxy {

class RefusalLimiter;

/// The ids of all records of the process: unique, and no counter to look at. Thread safe.
class RecordIds {
 public:
  /// `seed` is random, so that two processes do not count from the same number.
  void start(std::uint64_t seed) { next_.store(seed, std::memory_order_relaxed); }
  std::uint64_t take() {
    // An odd multiplier permutes 64-bit numbers.
    constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;
    return next_.fetch_add(1, std::memory_order_relaxed) * kSpread;
  }

 private:
  std::atomic<std::uint64_t> next_{0};
};

/// The client connection that a record tells of. Views of its session.
struct Arrival {
  RecordBatch::Wait& recorded;       ///< what is awaited before the end of an answer leaves
  const policy::IpAddress& address;  ///< whose refusals are counted together
  std::string_view remote_addr;      ///< `ip:port`
  std::string_view sni{};            ///< as sent; empty without TLS
  std::optional<Record::Tls> tls{};
  std::string_view tunnel{};  ///< rendered by render_tunnel(); empty outside of one
};

/// How what is recorded ended.
struct Ending {
  Action action = Action::allow;
  int status = 200;
  std::string_view error{};  ///< empty: key absent
  std::int64_t duration_ns = 0;
  std::uint64_t id = 0;  ///< of take_id(), when something else names the record; 0: the next one
};

/// What went to the upstream and came back.
struct Traffic {
  std::uint64_t request_bytes = 0, response_bytes = 0;
  std::string_view upstream_addr;  ///< empty: key absent
  std::optional<std::int64_t> upstream_ns;
  std::string_view upstream_proxy{};  ///< empty: key absent
  bool name_only = false;
};

/// A request, or what should have been one, that is refused before policy.
struct Refusal {
  std::string_view host, method, path, error;
  int status = 400;
  std::int64_t duration_ns = 0;
};

/// Makes every request record of one worker: fills it, numbers it, renders it into the lines of the
/// loop's turn.
/// Used on the worker's thread alone. docs/records.md says what the records hold.
class Recorder {
 public:
  Recorder(Log& log, RecordIds& ids, RefusalLimiter& refusals, EventLoop& loop)
      : log_(log), ids_(ids), refusals_(refusals), loop_(loop), batch_(log.writer(), loop) {}
  Recorder(const Recorder&) = delete;

  /// For a record that another line names before it is written.
  std::uint64_t take_id() { return ids_.take(); }

  /// A request that the policy saw.
  void request(const Arrival& arrival,
               const Ending& ending,
               const Traffic& traffic,
               std::string_view host,
               const transforms::Exchange& exchange);
  /// A CONNECT or a SOCKS5 request for `target` (`host:port`).
  void tunnel(const Arrival& arrival,
              const Ending& ending,
              std::string_view target,
              const transforms::Exchange& exchange);
  /// A session of opaque bytes to `host`; `server_name`: the SNI in them.
  void pass_through(const Arrival& arrival,
                    const Ending& ending,
                    const Traffic& traffic,
                    std::string_view host,
                    std::string_view server_name,
                    const transforms::Exchange& exchange);
  /// What is refused before policy, within the limit of records for each client address.
  void refusal(const Arrival& arrival, const Refusal& refusal);
  /// Requests and tunnels refused so far whose hosts `quiet` of the allowlist names, at any log
  /// level. Thread safe.
  std::uint64_t quiet_refusals() const { return quiet_refusals_.load(std::memory_order_relaxed); }

  /// What was recorded and who waits for it.
  RecordBatch& batch() { return batch_; }

 private:
  void write(Record& record, const Arrival& arrival);

  Log& log_;
  RecordIds& ids_;
  RefusalLimiter& refusals_;
  EventLoop& loop_;
  std::atomic<std::uint64_t> quiet_refusals_{0};
  RecordBatch batch_;
};

}  // namespace iron::proxy
