#include "proxy/calls/call_client.h"

#include <memory>
#include <utility>

#include "policy/quote.h"
#include "proxy/calls/answer_text.h"
#include "proxy/calls/own_body.h"
#include "proxy/exchange/body_mover.h"
#include "proxy/http1/http1_upstream.h"
#include "proxy/net/own_addresses.h"
#include "tls/call_context.h"
#include "transforms/rewrite.h"

namespace iron::proxy {
namespace {

using transforms::CallAnswer;
using transforms::CallRequest;

constexpr int kMostRedirects = 10;
constexpr std::size_t kPieceBytes = 4096;  // some milliseconds of decoding at the worst

/// Asked by what waits on behalf of a call.
struct CallOver final : Abandonment {
  explicit CallOver(const std::function<bool()>& over_in) : over(over_in) {}
  bool abandoned() override { return over(); }
  const std::function<bool()>& over;
};

Error too_late() { return fail("context deadline exceeded", Fault::client_gone); }

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// What a redirect makes of a request, as browsers do it. Credentials in fields are for the host
/// that was named, and stay behind where another one is led to.
CallRequest redirected(const CallRequest& request, int status, bool elsewhere) {
  CallRequest out = request;
  if (elsewhere) {
    std::erase_if(out.fields, [](const auto& field) { return field.secret != nullptr; });
  }
  if (status >= 307) return out;
  out.method = request.method == "HEAD" ? "HEAD" : "GET";
  out.body.reset();
  std::erase_if(out.fields, [](const auto& field) {
    return iequals(field.name, "Content-Length") || iequals(field.name, "Content-Type");
  });
  return out;
}

/// The request of a call as the writers of heads take it.
Result<void> fill(transforms::Exchange& out, const CallRequest& request, const policy::Url& url) {
  out.request.method = request.method;
  out.raw_path = url.path;
  out.raw_query = url.query;
  out.has_query = url.has_query;
  for (const CallRequest::Field& field : request.fields) {
    if (!transforms::is_field_content(field.text)) {
      return fail("net/http: invalid header field value for " + policy::quoted(field.name));
    }
    out.request.headers.add(field.name, field.text);
    if (field.secret == nullptr) continue;
    transforms::FieldRewrite& rewrite = out.rewrite_of(out.request.headers.all().back());
    rewrite.kind = transforms::FieldRewrite::Kind::whole;
    rewrite.parts.push_back({0, field.text.size(), field.secret.get()});
  }
  return transforms::check_fields(out);
}

/// Of what a parent relays nothing tells it from what a parent writes.
bool repeats_login(const CallAnswer& answer, const policy::ProxyUrl& parent) {
  const policy::ProxyLogin* login = parent.login();
  return login != nullptr &&
         (login->shown_in(answer.head.reveal()) || login->shown_in(answer.body.reveal()));
}

tls::CallTls tls_of(const transforms::CallTrust& trust) {
  tls::CallTls out;
  if (trust.anchors != nullptr) out.anchors = trust.anchors->reveal();
  out.anchors_add = trust.anchors_add;
  out.verifies = trust.verifies;
  if (trust.certificate != nullptr) out.certificate = trust.certificate->reveal();
  if (trust.key != nullptr) out.key = trust.key->reveal();
  return out;
}

}  // namespace

/// One request on its way to one URL.
struct CallClient::Hop {
  Hop(const CallRequest& request_in, policy::Url url_in, const ParentProxy& parents)
      : request(request_in),
        url(std::move(url_in)),
        target{url.https, url.host, url.literal, url.port} {
    if (request.parent) {
      named = policy::ProxyUrl::parse(*request.parent);
      parent.url = named.kind() == policy::ProxyUrl::Kind::none ? nullptr : &named;
    } else {
      parent.url = parents.of(target);
    }
    if (parent.url == nullptr) return;
    parent.tunnel = target.tls || !parent.url->speaks_http();
    if (parent.tunnel) return;
    form = {"http://" + url.authority, parent.url->login()};
  }
  Hop(const Hop&) = delete;

  const CallRequest& request;
  const policy::Url url;
  const UpstreamTarget target;
  policy::ProxyUrl named;  ///< by the request
  ParentHop parent{};
  std::optional<ParentForm> form;  ///< of what a parent is asked for itself
};

Task<Result<CallAnswer>> CallClient::send(const CallRequest& request, Terms& terms) {
  CallRequest changed;  // what a redirect made of it
  const CallRequest* current = &request;
  Result<policy::Url> url = policy::Url::parse(request.url);
  for (int hops = 0;; ++hops) {
    if (url.has_error()) co_return url.error();
    const Hop hop(*current, *url, parents_);
    Result<CallAnswer> answer = co_await send_once(hop, terms);
    const bool follows = request.redirects != CallRequest::Redirects::refused;
    if (answer.has_error() || !follows || !is_redirect(answer->status)) {
      co_return std::move(answer);
    }
    const bool once = request.redirects == CallRequest::Redirects::followed_once;
    if (once && hops > 0) co_return std::move(answer);
    if (hops == kMostRedirects) co_return fail("stopped after 10 redirects");
    Result<policy::Url> next = url->resolve(answer->field("Location"));
    // What stands there is the endpoint's, and may be a key.
    if (next.has_error()) co_return fail("the target of the redirect cannot be used");
    if (url->https && !next->https) co_return fail("redirect from https to http refused");
    const bool elsewhere =
        url->https != next->https || url->host != next->host || url->port != next->port;
    url = std::move(next);
    if (once) continue;
    changed = redirected(*current, answer->status, elsewhere);
    current = &changed;
  }
}

Task<Result<UpstreamPtr>> CallClient::connect(const Hop& hop, Terms& terms) {
  const UpstreamTarget& target = hop.target;
  std::string key, address;
  if (hop.parent.url == nullptr) {
    UpstreamPool::make_key(target, key);
  } else {
    UpstreamPool::make_key(target, *hop.parent.url, hop.parent.tunnel, key);
  }
  // What cannot be sent twice gets a connection of its own: one that idled may be gone.
  const bool repeatable = hop.request.method == "GET" && hop.request.trust.usual();
  if (repeatable) {
    if (UpstreamPtr idle = pool_.take(key, true)) co_return std::move(idle);
  }
  CallOver over(terms.over);
  DialRequest request{nothing_denied_, target, key, over, address};
  if (hop.parent.url != nullptr) request.parent = &hop.parent;
  std::unique_ptr<tls::UpstreamContext> own;
  if (target.tls && !hop.request.trust.usual()) {
    const auto usual = co_await dialer_.context(terms.pause, request);
    if (usual.has_error()) co_return usual.error();
    auto made = tls::make_call_context(tls_of(hop.request.trust), **usual);
    if (made.has_error()) co_return made.error();
    own = std::move(*made);
    request.context = own.get();
    request.server_name = hop.request.trust.server_name;
  }
  Result<UpstreamPtr> dialled = co_await dialer_.dial(terms.pause, request);
  co_return std::move(dialled);
}

Task<Result<CallAnswer>> CallClient::send_once(const Hop& hop, Terms& terms) {
  while (true) {
    Result<UpstreamPtr> connection = co_await connect(hop, terms);
    if (connection.has_error()) {
      if (connection.error().fault == Fault::client_gone) co_return too_late();
      co_return connection.error();
    }
    Http1Upstream upstream(std::move(*connection), nullptr, pages_, buffers_, FaultText::fixed);
    CallAnswer answer;
    const Result<void> done = co_await exchange(hop, terms, upstream, answer);
    terms.pause.clear_deadline();
    if (done.has_error()) {
      const bool died_idling =
          upstream.reused() && !upstream.answered() && done.error().fault == Fault::other;
      if (died_idling) continue;
      co_return done.error();
    }
    if (hop.parent.url != nullptr && repeats_login(answer, *hop.parent.url)) {
      co_return fail("the answer repeats the login of the parent proxy");
    }
    if (UpstreamPtr kept = upstream.take_reusable()) {
      if (hop.request.trust.usual()) pool_.put(std::move(kept));
    }
    co_return std::move(answer);
  }
}

/// Sends the request and reads its answer whole.
Task<Result<void>> CallClient::exchange(const Hop& hop,
                                        Terms& terms,
                                        Http1Upstream& upstream,
                                        CallAnswer& answer) {
  transforms::Exchange composed;
  const Result<void> filled = fill(composed, hop.request, hop.url);
  if (filled.has_error()) co_return filled.error();
  OutgoingHead head{composed, hop.url.authority, BodyFraming::Kind::none, std::nullopt, true};
  if (hop.form) head.parent = &*hop.form;
  const std::string_view bytes = hop.request.body ? hop.request.body->reveal() : std::string_view();
  if (hop.request.body) head.length = bytes.size();
  OwnBody body(bytes);
  BodyMover up(body, upstream.begin(head, terms.pause), nullptr, loop_);
  Response response;
  const Result<void> begun = co_await reach_head(terms, upstream, up, response);
  up.stop();
  if (begun.has_error()) co_return begun.error();
  const ResponseChecks checks = upstream.check(response, hop.request.method);
  if (!checks.error.empty()) co_return fail(checks.error);
  if (response.status == 407 && hop.form) {
    co_return fail("proxyconnect tcp: Proxy Authentication Required (HTTP 407)");
  }
  if (response.status == 101) co_return fail("unexpected 101 Switching Protocols");
  answer.status = response.status;
  CallAnswer::Fields fields;
  for (const Field& field : response.headers.all()) fields.emplace_back(field.name, field.value);
  answer.set_head(response.reason, fields);
  BodySource& source = upstream.answer(response, checks.framing);
  AnswerText text(answer.field("Content-Encoding"), hop.request.most);
  const Result<void> read = co_await read_body(terms, source, text);
  if (read.has_error()) co_return read.error();
  answer.cut = text.cut();
  answer.body = text.take();
  co_return Result<void>();
}

/// An answer may come although the request was not taken whole.
Task<Result<void>> CallClient::reach_head(Terms& terms,
                                          Http1Upstream& upstream,
                                          BodyMover& up,
                                          Response& response) {
  std::size_t moved = 0;
  bool sending = true;
  while (true) {
    if (terms.over()) co_return too_late();
    const auto sent = sending ? up.advance(moved) : BodyMover::Step::complete;
    sending = sent != BodyMover::Step::complete && sent != BodyMover::Step::failed;
    const auto step = upstream.read_head(response, moved);
    if (step == UpstreamStream::Step::final) co_return Result<void>();
    if (step == UpstreamStream::Step::failed) co_return upstream.error();
    if (step == UpstreamStream::Step::interim) upstream.pass_interim();
    const bool goes_on =
        sent == BodyMover::Step::moved || sent == BodyMover::Step::last_bytes_ready;
    if (step == UpstreamStream::Step::blocked && !goes_on) co_await terms.pause;
  }
}

/// What an answer decodes to says nothing about what it costs to decode it: what comes in is
/// bounded too, and the others of the loop have their turn behind each piece.
Task<Result<void>> CallClient::read_body(Terms& terms, BodySource& source, AnswerText& text) {
  while (true) {
    if (terms.over()) co_return too_late();
    std::string_view piece;
    switch (source.read(piece)) {
      case BodySource::Step::ended:
        co_return text.end();
      case BodySource::Step::lost:
        co_return fail("unexpected EOF");
      case BodySource::Step::broken:
        co_return fail(std::string(source.problem()));
      case BodySource::Step::blocked:
        co_await terms.pause;
        break;
      case BodySource::Step::bytes: {
        piece = piece.substr(0, kPieceBytes);
        const Result<bool> more = text.add(piece);
        source.consume(piece.size());
        if (more.has_error()) co_return more.error();
        if (!*more) co_return Result<void>();
        co_await terms.pause.pass_turn();
      }
    }
  }
}

}  // namespace iron::proxy
