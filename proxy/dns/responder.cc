#include "proxy/dns/responder.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <utility>

#include "proxy/log/log.h"

namespace iron::proxy::dns {
namespace {

constexpr std::chrono::seconds kLogPause{1};

std::string_view message_of(Zone::Decision::Kind kind) {
  switch (kind) {
    case Zone::Decision::Kind::static_record:
      return "dns static";
    case Zone::Decision::Kind::passthrough:
      return "dns passthrough";
    case Zone::Decision::Kind::intercept:
      break;
  }
  return "dns intercept";
}

/// Whether an outcome says all that a question of this type asks for: an incomplete one may lack
/// the addresses.
bool answers(const LookupOutcome& outcome, std::uint16_t type) {
  if (outcome.complete || type != kTypeA) return true;
  return std::any_of(outcome.addresses.begin(), outcome.addresses.end(),
                     [](const policy::IpAddress& address) { return address.is_v4(); });
}

}  // namespace

/// A query whose lookup is under way; the timer's handler owns it.
struct Responder::Waiting {
  explicit Waiting(boost::asio::io_context& io) : timer(io) {}
  boost::asio::steady_timer timer;
  Query query;
  std::size_t limit = 0;
  std::string name;
  Reply reply;
};

/// Lookups call back on threads of others, maybe after all this is gone.
struct Responder::Link {
  std::mutex mutex;
  boost::asio::io_context* io = nullptr;  ///< null once the responder is gone
};

Responder::Responder(
    boost::asio::io_context& io, Zone zone, Log& log, Server::Lookup lookup, Limits limits)
    : io_(io),
      link_(std::make_shared<Link>()),
      zone_(std::move(zone)),
      log_(log),
      lookup_(std::move(lookup)),
      limits_(limits) {
  link_->io = &io;
}

Responder::~Responder() {
  const std::lock_guard lock(link_->mutex);
  link_->io = nullptr;
}

void Responder::answer(const Query& query, std::size_t limit, Reply reply) {
  const Zone::Decision decision = zone_.decide(query);
  log_.write(Level::debug, message_of(decision.kind), {{"name", decision.name}});
  if (decision.kind == Zone::Decision::Kind::passthrough) {
    pass_through(query, limit, decision, std::move(reply));
    return;
  }
  reply(render_answer(query, Rcode::no_error, decision.records, limit));
}

void Responder::pass_through(const Query& query,
                             std::size_t limit,
                             const Zone::Decision& decision,
                             Reply reply) {
  if (lookups_ >= limits_.lookups) {
    refuse_lookup(query, decision.name, reply);
    return;
  }
  ++lookups_;
  auto waiting = std::make_shared<Waiting>(io_);
  waiting->query = query;
  waiting->limit = limit;
  waiting->name = decision.name;
  waiting->reply = std::move(reply);
  const std::string name(decision.lookup_name());
  waiting->timer.expires_after(limits_.lookup);
  waiting->timer.async_wait([this, waiting, name](const boost::system::error_code& error) {
    if (!error) finish(*waiting, LookupOutcome::failure(lookup_error(name, "", "i/o timeout")));
  });
  lookup_(name, [this, link = link_, late = std::weak_ptr(waiting)](LookupOutcome outcome) {
    const std::lock_guard lock(link->mutex);
    if (link->io == nullptr) return;
    boost::asio::post(*link->io, [this, late, outcome = std::move(outcome)] {
      const auto in_time = late.lock();
      if (!in_time || !answers(outcome, in_time->query.type)) return;
      in_time->timer.cancel();
      finish(*in_time, outcome);
    });
  });
}

void Responder::finish(Waiting& waiting, const LookupOutcome& outcome) {
  const Reply reply = std::exchange(waiting.reply, nullptr);
  if (!reply) return;
  --lookups_;
  if (outcome.status != LookupOutcome::Status::found) {
    log_.write(Level::warn, "dns passthrough lookup failed",
               {{"name", waiting.name}, {"error", outcome.error}});
  }
  const PassthroughAnswer answer = passthrough_answer(outcome, waiting.query.type);
  reply(render_answer(waiting.query, answer.rcode, answer.records, waiting.limit));
  if (idle_) idle_();
}

void Responder::refuse_lookup(const Query& query, const std::string& name, const Reply& reply) {
  if (const auto now = Clock::now(); now - busy_logged_ >= kLogPause) {
    busy_logged_ = now;
    log_.write(Level::warn, "dns passthrough lookup failed",
               {{"name", name}, {"error", "too many lookups"}});
  }
  reply(render_answer(query, Rcode::server_failure, {}, query.udp_limit));
}

void Responder::log_write_failure(const std::string& error) {
  const auto now = Clock::now();
  if (now - write_logged_ < kLogPause) return;
  write_logged_ = now;
  log_.write(Level::error, "dns write failed", {{"error", error}});
}

}  // namespace iron::proxy::dns
