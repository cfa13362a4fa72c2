#include "tests/proxy/beast_peers.h"

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <deque>
#include <optional>
#include <stdexcept>

#include "tests/proxy/beast_messages.h"
#include "tests/proxy/rig_authority.h"

namespace iron::proxy::test {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

Entry entry_of(Way way) {
  switch (way) {
    case Way::plain:
      return Entry::http;
    case Way::tls:
      return Entry::https;
    case Way::tunnel:
    case Way::tunnel_tls:
      break;
  }
  return Entry::tunnel;
}

}  // namespace

const char* name_of(Way way) {
  switch (way) {
    case Way::plain:
      return "plain";
    case Way::tunnel:
      return "tunnel";
    case Way::tunnel_tls:
      return "TLS in a tunnel";
    case Way::tls:
      break;
  }
  return "TLS";
}

int WebMessage::status() const {
  return std::stoi(start.substr(std::min(start.size(), start.find(' '))));
}

std::string WebMessage::field(std::string_view name) const {
  for (const std::string& field : fields) {
    if (field.starts_with(name) && field.substr(name.size()).starts_with(": ")) {
      return field.substr(name.size() + 2);
    }
  }
  return {};
}

struct HttpClient::Beast {
  Beast(SessionRig& rig, ScriptedPeer& peer) : stream(rig, peer) {}

  PeerStream stream;
  beast::flat_buffer buffer;
};

HttpClient::HttpClient(SessionRig& rig, ScriptedPeer& peer)
    : beast_(std::make_unique<Beast>(rig, peer)) {}

HttpClient::HttpClient(SessionRig& rig, Way way, const std::string& authority)
    : HttpClient(rig, rig.connect(entry_of(way))) {
  if (way == Way::tunnel || way == Way::tunnel_tls) {
    const WebMessage opened = connect(authority);
    if (opened.status() != 200) throw std::runtime_error("CONNECT: " + opened.start);
  }
  if (is_secure(way)) stream().secure_as_client(authority.substr(0, authority.find(':')));
}

HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

PeerStream& HttpClient::stream() { return beast_->stream; }
ScriptedPeer& HttpClient::peer() { return beast_->stream.peer(); }

WebMessage HttpClient::connect(const std::string& authority) {
  send({.start = "CONNECT " + authority + " HTTP/1.1", .fields = {"Host: " + authority}});
  return read_answer(stream(), beast_->buffer, AnswerTo::connect);
}

void HttpClient::send_head(const WebMessage& request) { test::send_head<true>(stream(), request); }

void HttpClient::send_body(const WebMessage& request) { test::send_body(stream(), request); }

void HttpClient::send(const WebMessage& request) {
  send_head(request);
  send_body(request);
}

WebMessage HttpClient::receive(bool head_only) {
  return read_answer(stream(), beast_->buffer, head_only ? AnswerTo::head : AnswerTo::request);
}

WebMessage HttpClient::ask(const WebMessage& request) {
  send(request);
  return receive(request.start.starts_with("HEAD "));
}

/// One connection to the origin.
struct HttpOrigin::Link {
  Link(SessionRig& rig, ScriptedPeer& peer) : stream(rig, peer) {}

  PeerStream stream;
  beast::flat_buffer buffer;
  std::optional<BeastParser<true>> parser;
  std::size_t head_fields = 0;
  bool secured = false, head_seen = false, over = false;
};

struct HttpOrigin::Beast {
  Beast(SessionRig& rig_in, Tls tls_in) : rig(rig_in), tls(tls_in) {}

  bool step(Link& link);
  bool shake(Link& link);
  bool read(Link& link);
  void head_came(Link& link);
  void request_came(Link& link);
  void send(Link& link, const WebMessage& answer);
  void fail(Link& link, const beast::error_code& error) {
    link.over = true;
    if (error != http::error::end_of_stream) fault = error.message();
  }

  SessionRig& rig;
  const Tls tls;
  const Listener listener;
  Answers answers = [](const WebMessage&) {
    return WebMessage{.start = "HTTP/1.1 200 OK",
                      .fields = {"Date: Thu, 01 Jan 2026 00:00:00 GMT"},
                      .body = "ok",
                      .framing = WebMessage::Framing::length};
  };
  TakeOver take_over;
  std::deque<Link> links;
  Link* last = nullptr;
  std::vector<WebMessage> requests;
  std::string fault;
  bool busy = false;
};

bool HttpOrigin::Beast::shake(Link& link) {
  if (tls == Tls::none) return true;
  if (link.secured) return true;
  beast::error_code error;
  link.secured = link.stream.secure_as_origin(tls == Tls::strange, error);
  if (error) fail(link, error);
  return link.secured;
}

/// One step of reading. False: nothing was there.
bool HttpOrigin::Beast::read(Link& link) {
  if (!link.parser) {
    link.parser.emplace();
    link.parser->body_limit(boost::none);
    link.head_seen = false;
  }
  link.stream.raw().set_waiting(false);
  beast::error_code error;
  http::read_some(link.stream, link.buffer, *link.parser, error);
  link.stream.raw().set_waiting(true);
  if (error == boost::asio::error::would_block) return false;
  if (error) {
    fail(link, error);
    return true;
  }
  if (link.parser->is_header_done() && !std::exchange(link.head_seen, true)) head_came(link);
  if (link.parser->is_done()) request_came(link);
  return true;
}

void HttpOrigin::Beast::head_came(Link& link) {
  link.head_fields = count_fields(*link.parser);
  const bool expects = link.parser->get()[http::field::expect] == "100-continue";
  if (expects) link.stream.write_all("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpOrigin::Beast::request_came(Link& link) {
  requests.push_back(read_of(*link.parser, link.head_fields, true));
  link.parser.reset();
  last = &link;
  if (take_over && take_over(link.stream, requests.back())) {
    link.over = true;
  } else if (answers) {
    send(link, answers(requests.back()));
  }
}

void HttpOrigin::Beast::send(Link& link, const WebMessage& answer) {
  test::send_head<false>(link.stream, answer);
  test::send_body(link.stream, answer);
  if (answer.framing != WebMessage::Framing::until_close) return;
  link.stream.finish();
  link.over = true;
}

bool HttpOrigin::Beast::step(Link& link) {
  bool moved = false;
  while (!link.over && shake(link) && read(link)) moved = true;
  return moved;
}

HttpOrigin::HttpOrigin(SessionRig& rig, Tls tls) : beast_(std::make_unique<Beast>(rig, tls)) {
  rig.join(*this);
}

HttpOrigin::~HttpOrigin() { beast_->rig.leave(*this); }

bool HttpOrigin::act() {
  if (beast_->busy) return false;  // the turn is one of its own
  beast_->busy = true;
  bool moved = false;
  for (int made = beast_->listener.accept(); made >= 0; made = beast_->listener.accept()) {
    beast_->links.emplace_back(beast_->rig, beast_->rig.adopt(made));
    moved = true;
  }
  for (Link& link : beast_->links) moved |= beast_->step(link);
  beast_->busy = false;
  return moved;
}

std::uint16_t HttpOrigin::port() const { return beast_->listener.port(); }
std::string HttpOrigin::authority() const { return "127.0.0.1:" + std::to_string(port()); }
const std::vector<WebMessage>& HttpOrigin::requests() const { return beast_->requests; }
std::size_t HttpOrigin::connections() const { return beast_->links.size(); }
const std::string& HttpOrigin::fault() const { return beast_->fault; }
PeerStream& HttpOrigin::stream() { return beast_->last->stream; }
void HttpOrigin::answer_with(Answers answers) { beast_->answers = std::move(answers); }
void HttpOrigin::take_over_with(TakeOver take_over) { beast_->take_over = std::move(take_over); }
void HttpOrigin::answer(const WebMessage& answer) { beast_->send(*beast_->last, answer); }

void HttpOrigin::await_requests(std::size_t count) {
  const bool came = beast_->rig.turn_until([&] { return requests().size() >= count; });
  if (!came) throw std::runtime_error("no request comes to the origin " + fault());
}

void HttpOrigin::be_pooled(const std::string& host) {
  SessionRig& rig = beast_->rig;
  const SocketPair pair(test::Link::local);
  UpstreamTarget target;
  target.tls = beast_->tls != Tls::none;
  target.host = host;
  target.port = target.tls ? 443 : 80;
  auto connection = std::make_unique<UpstreamConnection>(rig.site().loop(), pair.session);
  UpstreamPool::make_key(target, connection->key);
  connection->address = host + ":" + std::to_string(target.port);
  beast_->links.emplace_back(rig, rig.adopt(pair.peer));
  if (target.tls) {
    tls::Stream& stream = connection->connection.stream();
    const auto started = stream.start_client(*rig.services().upstream_tls.get(), host, false,
                                             nullptr, rig.site().pool().sessions(connection->key));
    const bool shaken = !started.has_error() && rig.turn_until([&] {
      return connection->connection.handshake().status == Io::ok;
    });
    if (!shaken) throw std::runtime_error("no handshake with the origin");
    // Tickets have come behind the handshake. What nobody has read keeps it out of the pool.
    rig.settle();
    std::array<char, 1> nothing;
    connection->connection.read(nothing);
  }
  rig.site().pool().put(std::move(connection));
}

}  // namespace iron::proxy::test
