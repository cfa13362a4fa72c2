#include "proxy/exchange/request_handler.h"
#include "proxy/exchange/site.h"
#include "proxy/net/relay.h"

namespace iron::proxy {
namespace {
constexpr std::string_view kWrongAccept = "upstream answered 101 with a wrong Sec-WebSocket-Accept";

/// The upstream's proof that it read our key (RFC 6455 section 4.2.2).
bool accepts(const Response& response, const Request& request) {
  const Field* key = request.headers.find("Sec-WebSocket-Key");
  const Field* accept = response.headers.find("Sec-WebSocket-Accept");
  const Field* upgrade = response.headers.find("Upgrade");
  return key != nullptr && accept != nullptr && upgrade != nullptr &&
         response.headers.count("Sec-WebSocket-Accept") == 1 &&
         iequals(upgrade->value, "websocket") && accept->value == websocket_accept(key->value);
}
}  // namespace

/// Dials a connection of its own; the pipe opens only after a proper 101. Everything else is an
/// ordinary answer.
Task<bool> RequestHandler::upgrade() {
  const auto acquiring = site_.loop().now();
  Result<UpstreamPtr> upstream = co_await acquire(Source::dial);
  if (upstream.has_error()) {
    if (upstream.error().fault != Fault::client_gone) {
      site_.log().write(Level::error, "websocket upstream dial failed",
                        {{"host", host_text_}, {"error", upstream.error().text}});
    }
    const bool keep = co_await answer_failure(upstream.error());
    co_return keep;
  }
  Reply reply(fault_text());
  Upload upload(site_, body_);
  const Result<void> done = co_await exchange_heads(**upstream, upload, reply);
  if (done.has_error()) {
    upstream->reset();
    const bool keep = co_await answer_failure(done.error());
    co_return keep;
  }
  upstream_ns_ = (site_.loop().now() - acquiring).count();
  if (state_->response.status != 101) {
    const bool keep = co_await deliver(std::move(*upstream), upload, reply);
    co_return keep;
  }
  if (!accepts(state_->response, exchange().request)) {
    upstream->reset();
    const bool keep = co_await answer_failure(fail(std::string(kWrongAccept)));
    co_return keep;
  }
  if (filter_ != nullptr) {
    const Result<void> clean = filter_->head(state_->response);
    if (clean.has_error()) {
      upstream->reset();
      const bool keep = co_await answer_failure(clean.error());
      co_return keep;
    }
  }
  co_await relay_websocket(std::move(*upstream), reply);
  co_return false;
}

Task<void> RequestHandler::relay_websocket(UpstreamPtr upstream, Reply& reply) {
  strip_switching(state_->response.headers);
  ResponseHeadOptions options;
  options.upgrade = true;
  options.drop_length = true;
  write_response_head(state_->response, options, state_->answer_head);
  reply.input.consume(reply.head_size);
  const bool sent = co_await client_.send(state_->answer_head);
  if (sensitive()) wipe({state_->answer_head.data(), state_->answer_head.size()});
  state_->answer_head.clear();
  // A session may last for days: what the record needs is copied, the head's block goes back.
  const std::string host(host_text_);
  host_text_ = host;
  exchange().request.method = "GET";
  exchange().request.headers.clear();
  head_.release();
  RelayFlow up, down;
  up.from = down.to = &client_.connection();
  up.to = down.from = &upstream->connection;
  up.buffer = std::move(client_.input());
  down.buffer = std::move(reply.input);
  RelayRules rules;
  rules.stall = config().proxy.limits.stall_timeout;
  rules.sensitive = sensitive();
  bool recorded = false;
  RelayEnd ended;
  const auto record = [this, &up, &down, &recorded, &ended] {
    if (std::exchange(recorded, true)) return;
    relayed_bytes_ = up.bytes;
    response_bytes_ = down.bytes;
    if (site_.log().enabled(Level::debug)) {
      site_.log().write(Level::debug, "websocket connection closed", {{"host", host_text_}});
    }
    write_record(Action::allow, 101, ended.silent ? std::string_view(ended.problem) : "");
  };
  rules.before_client_end = [this, &record]() -> RecordBatch::Wait& {
    record();
    return client_.recorded();
  };
  if (sent) ended = co_await relay(pause(), site_.buffers(), up, down, rules);
  record();
}

}  // namespace iron::proxy
