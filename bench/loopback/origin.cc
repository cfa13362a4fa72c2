// The origin that the measured proxies reach: one thread, TLS, HTTP/1.1, and a name server that
// answers 127.0.0.1 to every question.
//
//   GET /small            128 bytes of JSON; X-Credential and X-Body say what came: real, token,
//   none GET /close            the same, and the connection ends GET /bytes/N          N bytes GET
//   /events/N/T       N events, one every T microseconds, each with the time it was sent PUT or
//   POST /sink     as /small, after the body; of a POST the body is searched
// X-Credential says the same of the request's Authorization.
//
// Prints "ready PORT DNS-PORT" and runs until it is ended.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <unordered_map>

#include "bench/loopback/message_reader.h"
#include "bench/loopback/name_server.h"
#include "bench/loopback/support.h"

namespace iron::bench {
namespace {

constexpr std::size_t kReadAtOnce = 64 * 1024;
constexpr std::size_t kBodySize = 128;
constexpr std::string_view kRealStart = "REAL-", kTokenStart = "TOK-";

/// Whether a text occurs in bytes that come in pieces.
class Search {
 public:
  explicit Search(std::string_view text) : text_(text) {}
  void reset() {
    found_ = false;
    tail_.clear();
  }
  void feed(std::string_view bytes) {
    if (found_) return;
    const std::size_t overlap = text_.size() - 1;
    tail_.append(bytes.substr(0, overlap));
    found_ = bytes.find(text_) != std::string_view::npos || tail_.find(text_) != std::string::npos;
    if (bytes.size() >= overlap) tail_.assign(bytes.substr(bytes.size() - overlap));
    if (tail_.size() > overlap) tail_.erase(0, tail_.size() - overlap);
  }
  bool found() const { return found_; }

 private:
  std::string_view text_;
  std::string tail_;
  bool found_ = false;
};

/// Events that are still to be sent on a connection.
struct Events {
  std::uint64_t left = 0;
  std::uint64_t due = 0, step = 0;  ///< nanoseconds
};

struct Peer {
  int descriptor = -1;
  Tls tls;
  bool ready = false, writing = false, closing = false;
  MessageReader request{MessageReader::Kind::request};
  std::string out;
  std::size_t written = 0;
  std::uint64_t filler = 0;  ///< bytes of a large body that are still to be sent
  Search real{kRealStart}, token{kTokenStart};
  Events events;
};

std::string_view kind_of(bool real, bool token) { return real ? "real" : token ? "token" : "none"; }

class Origin {
 public:
  explicit Origin(const Arguments& arguments)
      : context_(make_context(End::server)), filler_(256 * 1024, 'b'), buffer_(kReadAtOnce) {
    const std::string certificate = arguments.text("cert"), key = arguments.text("key");
    if (SSL_CTX_use_certificate_chain_file(context_.get(), certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context_.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
      fail("certificate " + certificate + " or key " + key);
    }
    const unsigned char name[] = {'o'};
    SSL_CTX_set_session_id_context(context_.get(), name, sizeof name);
    poller_.add(listener_, &listener_);
    poller_.add(names_, &names_);
  }

  [[noreturn]] void serve() {
    std::printf("ready %d %d\n", port_of(listener_), port_of(names_));
    std::fflush(stdout);
    for (;;) {
      for (const epoll_event& event : poller_.wait(send_due_events())) {
        if (event.data.ptr == &listener_) {
          accept_all();
        } else if (event.data.ptr == &names_) {
          answer_question(names_);
        } else {
          turn(*static_cast<Peer*>(event.data.ptr), event.events);
        }
      }
    }
  }

 private:
  void accept_all() {
    for (int descriptor = accept_tcp(listener_); descriptor >= 0;
         descriptor = accept_tcp(listener_)) {
      auto peer = std::make_unique<Peer>();
      peer->descriptor = descriptor;
      peer->tls.reset(SSL_new(context_.get()));
      SSL_set_fd(peer->tls.get(), descriptor);
      SSL_set_accept_state(peer->tls.get());
      poller_.add(descriptor, peer.get());
      peers_[peer.get()] = std::move(peer);
    }
  }

  void drop(Peer& peer, bool orderly) {
    if (orderly && peer.ready) SSL_shutdown(peer.tls.get());
    ::close(peer.descriptor);
    streaming_.erase(&peer);
    peers_.erase(&peer);
  }

  void turn(Peer& peer, std::uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !flush(peer)) return;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_all(peer);
  }

  void write_when_possible(Peer& peer, bool on) {
    if (peer.writing == on) return;
    peer.writing = on;
    poller_.change(peer.descriptor, &peer, true, on);
  }

  /// False: the connection is gone.
  bool flush(Peer& peer) {
    while (peer.written < peer.out.size() || peer.filler > 0) {
      const bool head = peer.written < peer.out.size();
      const char* const from = head ? peer.out.data() + peer.written : filler_.data();
      const std::size_t size = head ? peer.out.size() - peer.written
                                    : std::min<std::uint64_t>(peer.filler, filler_.size());
      const int sent = SSL_write(peer.tls.get(), from, static_cast<int>(size));
      if (sent <= 0) {
        const int error = SSL_get_error(peer.tls.get(), sent);
        if (error == SSL_ERROR_WANT_READ) return true;
        if (error != SSL_ERROR_WANT_WRITE) return drop(peer, false), false;
        write_when_possible(peer, true);
        return true;
      }
      if (head) {
        peer.written += static_cast<std::size_t>(sent);
      } else {
        peer.filler -= static_cast<std::uint64_t>(sent);
      }
    }
    peer.out.clear();
    peer.written = 0;
    write_when_possible(peer, false);
    if (peer.closing) return drop(peer, true), false;
    return true;
  }

  void read_all(Peer& peer) {
    do {
      const int size = SSL_read(peer.tls.get(), buffer_.data(), static_cast<int>(buffer_.size()));
      if (size <= 0) {
        const int error = SSL_get_error(peer.tls.get(), size);
        if (error == SSL_ERROR_WANT_WRITE) write_when_possible(peer, true);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
        return drop(peer, error == SSL_ERROR_ZERO_RETURN);
      }
      peer.ready = true;
      if (!take(peer, {buffer_.data(), static_cast<std::size_t>(size)})) return;
    } while (SSL_has_pending(peer.tls.get()) == 1);
  }

  /// False: the connection is gone.
  bool take(Peer& peer, std::string_view bytes) {
    while (!bytes.empty()) {
      bytes.remove_prefix(peer.request.feed(bytes, [&](std::string_view body) {
        if (peer.request.head().starts_with("PUT ")) return;
        peer.real.feed(body);
        peer.token.feed(body);
      }));
      if (!peer.request.complete()) continue;
      answer(peer);
      peer.request.reset();
      peer.real.reset();
      peer.token.reset();
      if (!flush(peer)) return false;
    }
    return true;
  }

  /// Start of any answer: whether the request held the real key.
  static std::string answer_start(const Peer& peer, const std::string& type) {
    const std::string_view key = peer.request.field("Authorization");
    const auto holds = [&](std::string_view text) {
      return key.find(text) != std::string_view::npos;
    };
    std::string start =
        "HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nServer: bench\r\nX-Credential: ";
    start += kind_of(holds(kRealStart), holds(kTokenStart));
    return start + "\r\n";
  }

  void answer(Peer& peer) {
    const std::string& head = peer.request.head();
    const std::size_t start = head.find(' ') + 1;
    const std::string path = head.substr(start, head.find(' ', start) - start);
    if (path.starts_with("/bytes/")) {
      peer.filler = std::strtoull(path.c_str() + 7, nullptr, 10);
      peer.out += answer_start(peer, "application/octet-stream") +
                  "Content-Length: " + std::to_string(peer.filler) + "\r\n\r\n";
    } else if (path.starts_with("/events/")) {
      char* end = nullptr;
      peer.events.left = std::strtoull(path.c_str() + 8, &end, 10);
      peer.events.step = *end == '/' ? std::strtoull(end + 1, nullptr, 10) * 1000 : 0;
      peer.events.due = now() + peer.events.step;
      streaming_.insert(&peer);
      peer.out += answer_start(peer, "text/event-stream") +
                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    } else {
      answer_small(peer, path.starts_with("/close"));
    }
  }

  void answer_small(Peer& peer, bool close) {
    std::string body = "{\"received\":" + std::to_string(peer.request.body_bytes()) + ",\"pad\":\"";
    body.append(kBodySize - body.size() - 2, 'x');
    body += "\"}";
    peer.out += answer_start(peer, "application/json") + "X-Body: ";
    peer.out += kind_of(peer.real.found(), peer.token.found());
    peer.out += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (close) peer.out += "Connection: close\r\n";
    peer.out += "\r\n" + body;
    peer.closing = close;
  }

  void send_event(Peer& peer) {
    const std::string event = "data: " + std::to_string(now()) + "\n\n";
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", event.size());
    peer.out += size + event + "\r\n";
    peer.events.due += peer.events.step;
    if (--peer.events.left == 0) peer.out += "0\r\n\r\n";
  }

  /// Returns how long nothing more is due.
  std::uint64_t send_due_events() {
    const std::uint64_t time = now();
    std::uint64_t next = time + kSecond;
    for (Peer* peer : std::set<Peer*>(streaming_)) {
      if (peer->events.due <= time) {
        send_event(*peer);
        const bool more = peer->events.left > 0;
        if (!more) streaming_.erase(peer);
        if (!flush(*peer) || !more) continue;
      }
      next = std::min(next, std::max(time, peer->events.due));
    }
    return next - time;
  }

  Poller poller_;
  TlsContext context_;
  int listener_ = listen_tcp(), names_ = listen_udp();
  std::string filler_;
  std::vector<char> buffer_;
  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers_;
  std::set<Peer*> streaming_;
};

}  // namespace
}  // namespace iron::bench

int main(int count, char** values) {
  iron::bench::prepare_process();
  const iron::bench::Arguments arguments(count, values);
  iron::bench::Origin(arguments).serve();
}
