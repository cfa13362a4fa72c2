// The bare relay, the practical lower bound of an intercepting proxy on OpenSSL: one thread, TLS on
// both legs, one read and one write of OpenSSL for what passes, as the proxy has them. It reads the
// CONNECT line, signs a leaf, dials the origin on loopback, verifies its certificate and moves
// bytes. No HTTP, policy, lookup or log. When a client leaves while its origin is quiet, that
// connection is kept for the next client of the name. With --resume=1 it resumes TLS sessions
// towards the origin as well.
//
// Prints "ready PORT" and runs until it is ended.
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "bench/loopback/leaves.h"
#include "bench/loopback/support.h"

namespace iron::bench {
namespace {

constexpr std::size_t kReadAtOnce = 64 * 1024;
constexpr int kKeptHeap = 64 << 20;
constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

/// One leg of a tunnel.
struct Side {
  int descriptor = -1;
  Tls tls;
  Side* peer = nullptr;
  bool client = false, plain = false, ready = false, dead = false, pooled = false;
  bool reading = true, writing = false;
  bool closing = false;  ///< the origin said that it ends the connection
  std::string host;      ///< until the end of CONNECT, what came of it
  std::string out;       ///< plain bytes that this leg could not take yet
  std::size_t written = 0;
};

class Floor {
 public:
  explicit Floor(const Arguments& arguments)
      : leaves_(arguments.text("ca-cert"), arguments.text("ca-key")),
        origin_(static_cast<int>(arguments.count("origin"))),
        buffer_(kReadAtOnce) {
    const unsigned char name[] = {'f'};
    SSL_CTX_set_session_id_context(server_.get(), name, sizeof name);
    SSL_CTX_set_num_tickets(server_.get(), 1);
    SSL_CTX_set_cert_cb(
        server_.get(),
        [](SSL* tls, void* leaves) { return static_cast<Leaves*>(leaves)->use_for(tls); },
        &leaves_);
    trust(client_.get(), arguments.text("trust"));
    if (arguments.count("resume") != 0) {
      SSL_CTX_set_app_data(client_.get(), this);
      SSL_CTX_set_session_cache_mode(client_.get(),
                                     SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(client_.get(), &Floor::keep_session);
    }
    poller_.add(listener_, &listener_);
  }

  [[noreturn]] void serve() {
    std::printf("ready %d\n", port_of(listener_));
    std::fflush(stdout);
    for (;;) {
      for (const epoll_event& event : poller_.wait(kSecond)) {
        if (event.data.ptr == &listener_) {
          accept_all();
        } else {
          turn(*static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      // Only now can no event of this round point to them.
      for (Side* side : dead_) sides_.erase(side);
      dead_.clear();
    }
  }

 private:
  static int keep_session(SSL* tls, SSL_SESSION* session) {
    auto* const floor = static_cast<Floor*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)));
    floor->sessions_[static_cast<Side*>(SSL_get_app_data(tls))->host].reset(session);
    return 1;
  }

  Side& add(int descriptor) {
    auto side = std::make_unique<Side>();
    side->descriptor = descriptor;
    poller_.add(descriptor, side.get());
    return *sides_.emplace(side.get(), std::move(side)).first->second;
  }

  void accept_all() {
    for (int descriptor = accept_tcp(listener_); descriptor >= 0;
         descriptor = accept_tcp(listener_)) {
      Side& side = add(descriptor);
      side.client = side.plain = true;
    }
  }

  void want(Side& side, bool reading, bool writing) {
    if (side.reading == reading && side.writing == writing) return;
    side.reading = reading;
    side.writing = writing;
    poller_.change(side.descriptor, &side, reading, writing);
  }

  void destroy(Side& side, bool orderly) {
    if (side.dead) return;
    side.dead = true;
    if (side.tls && orderly && side.ready) SSL_shutdown(side.tls.get());
    side.tls.reset();
    ::close(side.descriptor);
    if (side.peer != nullptr) side.peer->peer = nullptr;
    if (side.pooled) std::erase(pool_[side.host], &side);
    dead_.push_back(&side);
  }

  void destroy_both(Side& side, bool peer_orderly) {
    Side* const peer = side.peer;
    destroy(side, false);
    if (peer != nullptr) destroy(*peer, peer_orderly);
  }

  void turn(Side& side, std::uint32_t events) {
    if (side.dead) return;
    if ((events & EPOLLOUT) != 0) {
      if (side.ready) {
        flush(side);
      } else {
        shake_hands(side);
      }
    }
    if (!side.dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_all(side);
  }

  /// A kept connection to the origin if it still stands, else a new one; null if nobody listens.
  Side* dial(const std::string& host) {
    std::vector<Side*>& kept = pool_[host];
    while (!kept.empty()) {
      Side& side = *kept.back();
      kept.pop_back();
      side.pooled = false;
      char byte = 0;  // anything to read, be it the end, means that the origin has left
      if (::recv(side.descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN) {
        return &side;
      }
      destroy(side, false);
    }
    const int descriptor = connect_tcp(origin_);
    if (descriptor < 0) return nullptr;
    Side& side = add(descriptor);
    side.host = host;
    side.tls.reset(SSL_new(client_.get()));
    SSL_set_fd(side.tls.get(), descriptor);
    SSL_set_tlsext_host_name(side.tls.get(), host.c_str());
    SSL_set1_host(side.tls.get(), host.c_str());
    SSL_set_app_data(side.tls.get(), &side);
    const auto session = sessions_.find(host);
    if (session != sessions_.end()) SSL_set_session(side.tls.get(), session->second.get());
    return &side;
  }

  void read_connect(Side& side) {
    const ssize_t size = ::read(side.descriptor, buffer_.data(), buffer_.size());
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return destroy(side, false);
    side.host.append(buffer_.data(), static_cast<std::size_t>(size));
    if (side.host.find("\r\n\r\n") == std::string::npos) return;
    const std::size_t start = side.host.find(' ') + 1;
    side.host = side.host.substr(start, side.host.find(':', start) - start);
    Side* const origin = dial(side.host);
    if (origin == nullptr) return destroy(side, false);
    origin->peer = &side;
    side.peer = origin;
    side.plain = false;
    side.tls.reset(SSL_new(server_.get()));
    SSL_set_fd(side.tls.get(), side.descriptor);
    if (::write(side.descriptor, kEstablished.data(), kEstablished.size()) < 0) return gone(side);
    if (!origin->ready) shake_hands(*origin);
  }

  bool shake_hands(Side& side) {
    const int result = side.client ? SSL_accept(side.tls.get()) : SSL_connect(side.tls.get());
    if (result == 1) {
      side.ready = true;
      want(side, side.reading, false);
      if (!side.out.empty()) flush(side);
      return !side.dead;
    }
    const int error = SSL_get_error(side.tls.get(), result);
    if (error == SSL_ERROR_WANT_WRITE) {
      want(side, side.reading, true);
    } else if (error != SSL_ERROR_WANT_READ) {
      destroy_both(side, false);
    }
    return false;
  }

  void flush(Side& side) {
    while (side.written < side.out.size()) {
      const int sent = SSL_write(side.tls.get(), side.out.data() + side.written,
                                 static_cast<int>(side.out.size() - side.written));
      if (sent <= 0) {
        const int error = SSL_get_error(side.tls.get(), sent);
        if (error == SSL_ERROR_WANT_READ) return;
        if (error != SSL_ERROR_WANT_WRITE) return destroy_both(side, true);
        want(side, side.reading, true);
        if (side.peer != nullptr) want(*side.peer, false, side.peer->writing);
        return;
      }
      side.written += static_cast<std::size_t>(sent);
    }
    side.out.clear();
    side.written = 0;
    want(side, side.reading, false);
    if (side.peer != nullptr) want(*side.peer, true, side.peer->writing);
  }

  /// The stream of this side has ended.
  void gone(Side& side) {
    Side* const peer = side.pooled ? nullptr : side.peer;
    const bool keep =
        peer != nullptr && side.client && peer->ready && peer->out.empty() && !peer->closing;
    destroy(side, true);
    if (peer == nullptr) return;
    if (keep) {
      peer->pooled = true;
      pool_[peer->host].push_back(peer);
      want(*peer, true, peer->writing);
      return;
    }
    if (peer->ready && !peer->out.empty()) flush(*peer);
    destroy(*peer, true);
  }

  void read_all(Side& side) {
    if (side.plain) return read_connect(side);
    if (!side.ready && !shake_hands(side)) return;
    do {
      const int size = SSL_read(side.tls.get(), buffer_.data(), static_cast<int>(buffer_.size()));
      if (size <= 0) {
        const int error = SSL_get_error(side.tls.get(), size);
        if (error == SSL_ERROR_WANT_WRITE) want(side, side.reading, true);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) gone(side);
        return;
      }
      if (side.peer == nullptr) return gone(side);
      const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
      // The one field that a relay with kept connections cannot pass over.
      if (!side.client && bytes.substr(0, 512).find("Connection: close") != bytes.npos) {
        side.closing = true;
      }
      pass_on(*side.peer, bytes);
    } while (!side.dead && side.reading && SSL_has_pending(side.tls.get()) == 1);
  }

  /// Writes from the buffer they were read into; only what the socket does not take is copied.
  void pass_on(Side& to, std::string_view bytes) {
    if (to.ready && to.out.empty()) {
      const int sent = SSL_write(to.tls.get(), bytes.data(), static_cast<int>(bytes.size()));
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      if (bytes.empty()) return;
    }
    to.out.append(bytes);
    if (to.ready) flush(to);
  }

  Poller poller_;
  Leaves leaves_;
  TlsContext server_ = make_context(End::server), client_ = make_context(End::client);
  int listener_ = listen_tcp();
  int origin_;
  std::vector<char> buffer_;
  std::unordered_map<Side*, std::unique_ptr<Side>> sides_;
  std::vector<Side*> dead_;
  std::unordered_map<std::string, std::vector<Side*>> pool_;
  std::unordered_map<std::string, TlsSession> sessions_;  ///< the newest of each host
};

}  // namespace
}  // namespace iron::bench

int main(int count, char** values) {
  iron::bench::prepare_process();
  mallopt(M_TRIM_THRESHOLD, iron::bench::kKeptHeap);
  const iron::bench::Arguments arguments(count, values);
  iron::bench::Floor(arguments).serve();
}
