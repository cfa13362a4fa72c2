#include "proxy/log/recorder.h"

#include "proxy/log/refusal_limiter.h"

namespace iron::proxy {
namespace {

Record make(const Ending& ending, const transforms::Exchange& exchange) {
  Record record;
  record.action = ending.action;
  record.status_code = ending.status;
  record.error = ending.error;
  record.duration_ns = ending.duration_ns;
  record.id = ending.id;
  record.mode = exchange.mode;
  if (ending.action == Action::reject) record.rejected_by = exchange.rejected_by;
  if (ending.action == Action::stub) record.stubbed_by = exchange.stubbed_by;
  record.exchange = &exchange;
  return record;
}

void add(Record& record, const Traffic& traffic) {
  record.request_bytes = traffic.request_bytes;
  record.response_bytes = traffic.response_bytes;
  record.upstream_addr = traffic.upstream_addr;
  record.upstream_ns = traffic.upstream_ns;
  record.upstream_proxy = traffic.upstream_proxy;
  record.name_only = traffic.name_only;
}

/// The host of `host:port`, of a literal without its brackets.
std::string_view host_of(std::string_view target) {
  std::string_view host = target.substr(0, target.rfind(':'));
  if (!host.empty() && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

void Recorder::request(const Arrival& arrival,
                       const Ending& ending,
                       const Traffic& traffic,
                       std::string_view host,
                       const transforms::Exchange& exchange) {
  Record record = make(ending, exchange);
  add(record, traffic);
  record.host = host;
  record.method = exchange.request.method;
  record.path = exchange.path;
  record.sni = arrival.sni;
  record.tls = arrival.tls;
  record.tunnel = arrival.tunnel;
  write(record, arrival);
}

void Recorder::tunnel(const Arrival& arrival,
                      const Ending& ending,
                      std::string_view target,
                      const transforms::Exchange& exchange) {
  Record record = make(ending, exchange);
  record.host = target;
  record.method = "CONNECT";
  record.sni = host_of(target);
  record.tunnel = arrival.tunnel;
  write(record, arrival);
}

void Recorder::pass_through(const Arrival& arrival,
                            const Ending& ending,
                            const Traffic& traffic,
                            std::string_view host,
                            std::string_view server_name,
                            const transforms::Exchange& exchange) {
  Record record = make(ending, exchange);
  add(record, traffic);
  record.host = host;
  record.sni = server_name;
  // Its group `tunnel` would say nothing that the record of the CONNECT does not.
  write(record, arrival);
}

void Recorder::refusal(const Arrival& arrival, const Refusal& refusal) {
  if (!refusals_.admit(arrival.address, loop_.now())) return;
  Record record;
  record.host = refusal.host;
  record.method = refusal.method;
  record.path = refusal.path;
  record.action = Action::reject;
  record.status_code = refusal.status;
  record.duration_ns = refusal.duration_ns;
  record.rejected_by = "protocol";
  record.error = refusal.error;
  record.sni = arrival.sni;
  record.tls = arrival.tls;
  record.tunnel = arrival.tunnel;
  write(record, arrival);
}

void Recorder::write(Record& record, const Arrival& arrival) {
  const Level level = level_of(record);
  if (is_quiet(record)) quiet_refusals_.fetch_add(1, std::memory_order_relaxed);
  if (!log_.enabled(level)) return;
  record.remote_addr = arrival.remote_addr;
  if (record.id == 0) record.id = ids_.take();
  std::string& lines = batch_.lines();
  const std::size_t before = lines.size();
  try {
    render(record, lines);
  } catch (const std::bad_alloc&) {
    lines.resize(before);
    throw;
  }
  batch_.added(arrival.recorded);
}

}  // namespace iron::proxy
