#include "proxy/exchange/request_body.h"

#include <string>

#include "proxy/http/answers.h"
#include "proxy/net/silence.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kGrowth = 4;
constexpr std::string_view kTooLarge = "request body exceeds max_request_body_bytes";

}  // namespace

Task<Result<void>> RequestBody::load(ClientStream& client,
                                     const policy::Config::Proxy& config,
                                     transforms::BodyNeed need,
                                     transforms::BodyView& view) {
  BodySource& body = client.body();
  const std::int64_t limit = config.max_request_body_bytes;
  const std::uint64_t most =
      limit > 0 && need.whole ? static_cast<std::uint64_t>(limit) : UINT64_MAX;
  if (body.remaining() > most) co_return fail(std::string(kTooLarge), Fault::body_too_large);
  const std::uint64_t wanted = need.whole ? UINT64_MAX : need.prefix;
  // What is held for a body that is read whole is not there for others.
  const policy::Duration patience =
      need.whole ? config.limits.stall_timeout : config.limits.quiet_timeout;
  const bool told = co_await client.go_on();
  if (!told) co_return fail("client gone", Fault::client_gone);
  if (!loaded_.held()) loaded_ = buffers_.take(BufferPool::kSmall);
  Result<void> result;
  while (!body.done() && loaded_.size() < wanted) {
    std::string_view bytes;
    const BodySource::Step read = co_await next(client, bytes, patience);
    if (read == BodySource::Step::ended) break;
    if (read == BodySource::Step::broken) {
      co_return fail(std::string(kMalformedRequest), Fault::bad_request);
    }
    if (read == BodySource::Step::lost) {
      view.failed = true;
      const std::string_view key = need.whole ? "stall_timeout" : "quiet_timeout";
      result = client.pause().expired()
                   ? fail(silence_text("no byte from client", patience, key), Fault::client_silent)
                   : fail("unexpected EOF", Fault::client_gone);
      break;
    }
    const Result<void> appended = append(bytes, most);
    if (appended.has_error()) co_return appended.error();
    body.consume(bytes.size());
  }
  client.pause().clear_deadline();
  view.loaded = true;
  view.complete = body.done();
  view.bytes = loaded_.view();
  co_return std::move(result);
}

/// Waits for it as long as the client may be silent.
Task<BodySource::Step> RequestBody::next(ClientStream& client,
                                         std::string_view& bytes,
                                         policy::Duration patience) {
  Pause& pause = client.pause();
  while (true) {
    const BodySource::Step read = client.body().read(bytes);
    if (read != BodySource::Step::blocked) co_return read;
    pause.set_timeout(patience);
    co_await pause;
    if (pause.given_up()) co_return BodySource::Step::lost;
  }
}

Result<void> RequestBody::append(std::string_view bytes, std::uint64_t most) {
  left_out_ = bytes.size();
  if (loaded_.size() + bytes.size() > most) {
    return fail(std::string(kTooLarge), Fault::body_too_large);
  }
  if (loaded_.space().size() < bytes.size()) {
    // In steps that do not depend on how the body came.
    std::size_t size = loaded_.capacity();
    while (size < loaded_.size() + bytes.size()) size *= kGrowth;
    if (!share_.hold(static_cast<std::int64_t>(size))) {
      return fail("body budget exhausted", Fault::no_budget);
    }
    loaded_.grow(size);
  }
  loaded_.append(bytes);
  left_out_ = 0;
  return Result<void>();
}

void RequestBody::forget() {
  loaded_.release();
  share_.reset();
}

}  // namespace iron::proxy
