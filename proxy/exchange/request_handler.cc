#include "proxy/exchange/request_handler.h"

#include <algorithm>
#include <utility>

#include "policy/match/path.h"
#include "proxy/exchange/site.h"
#include "proxy/net/silence.h"
#include "transforms/rewrite.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kBodyGrowth = 4;
constexpr std::string_view kBodyTooLarge = "request body exceeds max_request_body_bytes";

}  // namespace

RequestHandler::RequestHandler(Site& site,
                               ClientConnection& client,
                               RequestStatePtr state,
                               Buffer head,
                               const RequestChecks& checks)
    : site_(site),
      client_(client),
      state_(std::move(state)),
      head_(std::move(head)),
      snapshot_(site_.snapshot()),
      framing_(checks.framing),
      body_({client.connection(), client.input(), client.buffers()},
            checks.framing,
            ChunkLines::of_client),
      watch_(client, body_),
      body_share_(site_.services().body_budget),
      host_text_(checks.host != nullptr ? checks.host->value : std::string_view()),
      expects_continue_(checks.expects_continue && state_->exchange.request.minor_version == 1 &&
                        checks.framing.kind != BodyFraming::Kind::none),
      began_(site_.loop().now()) {
  client_.set_stall_timeout(config().proxy.limits.stall_timeout);
}

Task<bool> RequestHandler::run() {
  watch_.request_complete(body_.done());
  hop_by_hop_ = read_connection(exchange().request.headers);
  const HeadFault fault = read_target();
  if (fault != HeadFault::none) {
    const bool closed = co_await refuse_closing(fault);
    co_return closed;
  }
  if (!fill_exchange()) {
    const bool closed = co_await refuse_closing(HeadFault::malformed);
    co_return closed;
  }
  const std::string_view refusal = refusal_before_policy();
  if (!refusal.empty()) {
    const bool keep = co_await refuse(refusal);
    co_return keep;
  }
  exchange().upgrade = is_websocket_upgrade(exchange().request, framing_);
  strip_request(exchange().request.headers, exchange().upgrade);
  if (config().proxy.pin_tunnel_target && client_.tunnel() != nullptr) {
    const policy::Authority& pinned = client_.tunnel()->authority;
    fill_target();
    if (pinned.host != state_->target.host || pinned.port != state_->target.port) {
      exchange().denial_reason = "pin_tunnel_target: not the host and port of the tunnel";
      const bool keep = co_await deny("pin_tunnel_target");
      co_return keep;
    }
  }
  const bool keep = co_await run_policy();
  co_return keep;
}

/// Takes the target apart (RFC 9112 section 3.2): origin form, absolute form, or `*` with OPTIONS.
HeadFault RequestHandler::read_target() {
  transforms::Exchange& ex = exchange();
  std::string_view target = ex.request.target;
  ex.client_tls = client_.over_tls();
  if (target.front() != '/' && target != "*") {
    const std::size_t colon = target.find("://");
    if (colon == target.npos) return HeadFault::malformed;
    const std::string_view scheme = target.substr(0, colon);
    if (!iequals(scheme, "http") && !(ex.client_tls && iequals(scheme, "https"))) {
      return HeadFault::malformed;
    }
    target.remove_prefix(colon + 3);
    const std::size_t end = std::min(target.find('/'), target.find('?'));
    host_text_ = target.substr(0, end);
    if (host_text_.empty()) return HeadFault::malformed_host;
    target = end == target.npos ? std::string_view() : target.substr(end);
    // What asks for the options of the whole server (RFC 9112 section 3.2.4).
    if (target.empty() && ex.request.method == "OPTIONS") target = "*";
  } else if (target == "*" && ex.request.method != "OPTIONS") {
    return HeadFault::malformed;
  }
  const std::size_t query = target.find('?');
  ex.raw_path = target.substr(0, query);
  ex.has_query = query != target.npos;
  ex.raw_query = ex.has_query ? target.substr(query + 1) : std::string_view();
  return ex.authority.assign(host_text_) ? HeadFault::none : HeadFault::malformed_host;
}

bool RequestHandler::fill_exchange() {
  transforms::Exchange& ex = exchange();
  if (!ex.decode_path()) return false;
  ex.mode = transforms::Mode::mitm;
  ex.remote_address = client_.remote_address();
  ex.body.present = framing_.kind != BodyFraming::Kind::none;
  return true;
}

policy::DotSegments RequestHandler::dot_segments() const {
  return config().proxy.strict_paths ? policy::DotSegments::strict : policy::DotSegments::plain;
}

/// Text of the record's `error` for what is refused before policy, empty if nothing is.
std::string_view RequestHandler::refusal_before_policy() {
  transforms::Exchange& ex = exchange();
  if (ex.authority.host.empty()) return "missing Host header";
  if (ex.refuses_dot_segments(dot_segments())) return "path contains dot segments";
  if (client_.over_tls() && ex.authority.host != client_.stream().server_name()) {
    site_.log().write(Level::warn, "SNI/Host mismatch",
                      {{"sni", client_.stream().sni()}, {"host", host_text_}});
    return "SNI and Host header mismatch";
  }
  return {};
}

Task<bool> RequestHandler::run_policy() {
  using Progress = transforms::Pipeline::Progress;
  transforms::BodyNeed need;
  while (true) {
    const Progress progress = snapshot_->pipeline->run_request(exchange(), need);
    if (progress == Progress::need_body) {
      const Result<void> loaded = co_await load_body(need);
      if (loaded.has_value()) continue;
      const Fault fault = loaded.error().fault;
      if (fault == Fault::body_too_large || fault == Fault::no_budget) {
        snapshot_->pipeline->fail_body(exchange(), loaded.error().text);
      }
      const bool keep = co_await answer_failure(loaded.error());
      co_return keep;
    }
    if (progress == Progress::rejected) {
      const bool keep = co_await deny(exchange().rejected_by);
      co_return keep;
    }
    if (progress == Progress::failed) {
      const bool keep = co_await answer_failure(fail(exchange().error));
      co_return keep;
    }
    break;
  }
  if (exchange().body.failed) {
    const bool keep = co_await answer_failure(body_failure_);
    co_return keep;
  }
  Result<void> writable = transforms::check_fields(exchange());
  if (writable.has_value()) {
    writable = transforms::check_target(exchange(), dot_segments());
  }
  if (writable.has_error()) {
    const bool keep = co_await answer_failure(writable.error());
    co_return keep;
  }
  secret_sent_ = exchange().holds_secret();
  if (snapshot_->pipeline->scrubs()) filter_ = AnswerScrub::of(*snapshot_->pipeline, exchange());
  if (filter_ != nullptr) {
    if (iequals(exchange().request.method, "TRACE")) {
      const bool keep = co_await refuse_trace();
      co_return keep;
    }
    AnswerScrub::prepare_request(exchange().request.headers);
  }
  const bool keep = co_await send_on();
  co_return keep;
}

/// Where the request goes. Inside a tunnel to `host:P`, a Host without port that is the tunnel's
/// host means P.
void RequestHandler::fill_target() {
  UpstreamTarget& target = state_->target;
  const policy::Authority& authority = exchange().authority;
  target.tls = client_.over_tls();
  target.host = authority.host;
  target.literal = authority.literal;
  const Tunnel* tunnel = client_.tunnel();
  if (authority.port) {
    target.port = *authority.port;
  } else if (tunnel != nullptr && tunnel->authority.host == authority.host) {
    target.port = *tunnel->authority.port;
  } else {
    target.port = target.tls ? 443 : 80;
  }
}

Task<bool> RequestHandler::send_continue() {
  if (!expects_continue_ || std::exchange(continue_sent_, true)) co_return true;
  const bool sent = co_await client_.send(kContinue);
  co_return sent;
}

/// Waits for it as long as the client may be silent.
Task<BodySource::Step> RequestHandler::next_of_body(std::string_view& bytes,
                                                    policy::Duration patience) {
  while (true) {
    const BodySource::Step read = body_.read(bytes);
    if (read != BodySource::Step::blocked) co_return read;
    pause().set_timeout(patience);
    co_await pause();
    if (pause().given_up()) co_return BodySource::Step::lost;
  }
}

/// Reads what a transform must see of the body, within the limit of one body and the budget of all.
Task<Result<void>> RequestHandler::load_body(transforms::BodyNeed need) {
  const std::int64_t limit = config().proxy.max_request_body_bytes;
  const std::uint64_t most =
      limit > 0 && need.whole ? static_cast<std::uint64_t>(limit) : UINT64_MAX;
  if (body_.remaining() > most) co_return fail(std::string(kBodyTooLarge), Fault::body_too_large);
  const std::uint64_t wanted = need.whole ? UINT64_MAX : need.prefix;
  // What is held for a body that is read whole is not there for others.
  const policy::Limits& limits = config().proxy.limits;
  const policy::Duration patience = need.whole ? limits.stall_timeout : limits.quiet_timeout;
  const bool continued = co_await send_continue();
  if (!continued) co_return fail("client gone", Fault::client_gone);
  if (!loaded_body_.held()) loaded_body_ = site_.buffers().take(BufferPool::kSmall);
  while (!body_.done() && !exchange().body.failed && loaded_body_.size() < wanted) {
    std::string_view bytes;
    const BodySource::Step read = co_await next_of_body(bytes, patience);
    if (read == BodySource::Step::ended) break;
    if (read == BodySource::Step::broken) {
      co_return fail(std::string(kMalformedRequest), Fault::bad_request);
    }
    if (read == BodySource::Step::lost) {
      // Transforms say so in the record; the request itself ends after them.
      exchange().body.failed = true;
      body_failure_ = pause().expired()
                          ? fail(silence_text("no byte from client", patience,
                                              need.whole ? "stall_timeout" : "quiet_timeout"),
                                 Fault::client_silent)
                          : fail("unexpected EOF", Fault::client_gone);
      continue;
    }
    left_out_ = bytes.size();
    if (loaded_body_.size() + bytes.size() > most) {
      co_return fail(std::string(kBodyTooLarge), Fault::body_too_large);
    }
    if (loaded_body_.space().size() < bytes.size()) {
      // In steps that do not depend on how the body came.
      std::size_t size = loaded_body_.capacity();
      while (size < loaded_body_.size() + bytes.size()) size *= kBodyGrowth;
      if (!body_share_.hold(static_cast<std::int64_t>(size))) {
        co_return fail("body budget exhausted", Fault::no_budget);
      }
      loaded_body_.grow(size);
    }
    left_out_ = 0;
    loaded_body_.append(bytes);
    body_.consume(bytes.size());
  }
  pause().clear_deadline();
  watch_.request_complete(body_.done());
  exchange().body.loaded = true;
  exchange().body.complete = body_.done();
  exchange().body.bytes = loaded_body_.view();
  co_return Result<void>();
}

}  // namespace iron::proxy
