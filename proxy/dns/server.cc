#include "proxy/dns/server.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <sstream>
#include <utility>

#include "policy/errno_text.h"
#include "proxy/dns/asio_loop.h"
#include "proxy/dns/datagram.h"
#include "proxy/dns/responder.h"
#include "proxy/log/log.h"

namespace iron::proxy::dns {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kTcpLimit = 65535;
constexpr int kBacklog = 64;
// A busy UDP socket lets the other sockets have their turn.
constexpr int kDatagramsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kLogPause{1};

int family_of(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  return address.ss_family;
}

/// The answer to a packet that is none, or an empty text for silence.
std::string refusal(const ReceivedQuery& received) {
  if (received.kind == ReceivedQuery::Kind::ignore) return {};
  return render_refusal(received.query, received.rcode);
}

/// What the sockets share.
struct Shared {
  asio::io_context& io;
  Log& log;
  Server::Options options;
  Responder* responder = nullptr;
  std::size_t connections = 0;
  bool stopping = false;
};

/// One UDP socket; lives as long as it waits.
class UdpSocket : public std::enable_shared_from_this<UdpSocket> {
 public:
  UdpSocket(Shared& shared, int descriptor) : shared_(shared), socket_(shared.io) {
    const bool v6 = family_of(descriptor) == AF_INET6;
    socket_.assign(v6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), descriptor);
    want_local_address(descriptor);
  }

  void wait() {
    auto readable = [self = shared_from_this()](const error_code& error) {
      if (error || self->shared_.stopping) return;
      try {
        self->read();
      } catch (const std::bad_alloc&) {
        // That client asks again.
      }
      self->wait();
    };
    socket_.async_wait(asio::ip::udp::socket::wait_read, in_memory(memory_, std::move(readable)));
  }
  void cancel() {
    error_code ignored;
    socket_.cancel(ignored);
  }

 private:
  void read() {
    Datagram datagram;
    for (int i = 0; i < kDatagramsPerTurn; ++i) {
      if (!receive(socket_.native_handle(), datagram)) return;
      const ReceivedQuery received = parse_query({datagram.bytes.data(), datagram.size});
      if (received.kind != ReceivedQuery::Kind::answer) {
        send(datagram.path, refusal(received));
        continue;
      }
      auto send_answer = [self = shared_from_this(), path = datagram.path](std::string packet) {
        self->send(path, packet);
      };
      shared_.responder->answer(received.query, received.query.udp_limit, std::move(send_answer));
    }
  }
  void send(const ReturnPath& path, const std::string& packet) {
    if (packet.empty() || reply(socket_.native_handle(), path, packet)) return;
    shared_.responder->log_write_failure("write udp: " + policy::errno_text(errno));
  }

  Shared& shared_;
  asio::ip::udp::socket socket_;
  std::shared_ptr<HandlerMemory> memory_ = std::make_shared<HandlerMemory>();
};

/// One client over TCP: queries one after the other (RFC 7766), each with its length in front.
class TcpConnection : public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(Shared& shared, asio::ip::tcp::socket socket)
      : shared_(shared), socket_(std::move(socket)), timer_(shared.io) {
    ++shared_.connections;
  }
  ~TcpConnection() { --shared_.connections; }

  void read_length() {
    if (shared_.stopping) return close();
    limit_time();
    asio::async_read(socket_, asio::buffer(length_),
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                       if (error) return self->close();
                       self->read_query();
                     });
  }

 private:
  void read_query() {
    packet_.resize(static_cast<std::size_t>(length_[0]) << 8 | length_[1]);
    asio::async_read(socket_, asio::buffer(packet_),
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                       if (error) return self->close();
                       self->timer_.cancel();
                       self->take_query();
                     });
  }
  void take_query() {
    const ReceivedQuery received = parse_query(packet_);
    if (received.kind != ReceivedQuery::Kind::answer) return write(refusal(received));
    auto write_answer = [self = shared_from_this()](std::string packet) { self->write(packet); };
    shared_.responder->answer(received.query, kTcpLimit, std::move(write_answer));
  }
  void write(const std::string& packet) {
    if (packet.empty()) return read_length();
    packet_ = {static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size() & 0xff)};
    packet_ += packet;
    limit_time();
    asio::async_write(socket_, asio::buffer(packet_),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        if (!error) return self->read_length();
                        const std::string text = "write tcp: " + policy::errno_text(error.value());
                        self->shared_.responder->log_write_failure(text);
                        self->close();
                      });
  }
  void limit_time() {
    timer_.expires_after(shared_.options.idle_limit);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->close();
    });
  }
  void close() {
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  Shared& shared_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  std::array<unsigned char, 2> length_{};
  std::string packet_;
};

/// One listening TCP socket.
class TcpListener : public std::enable_shared_from_this<TcpListener> {
 public:
  TcpListener(Shared& shared, int descriptor)
      : shared_(shared), acceptor_(shared.io), pause_(shared.io) {
    const bool v6 = family_of(descriptor) == AF_INET6;
    acceptor_.assign(v6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), descriptor);
  }

  Result<void> listen() {
    error_code error;
    acceptor_.listen(kBacklog, error);
    if (!error) return {};
    std::ostringstream address;
    address << acceptor_.local_endpoint();
    return fail("listen tcp " + address.str() + ": bind: " + policy::errno_text(error.value()));
  }
  void accept() {
    auto accepted = [self = shared_from_this()](const error_code& error,
                                                asio::ip::tcp::socket socket) {
      if (error == asio::error::operation_aborted || self->shared_.stopping) return;
      if (error) return self->wait_after(error);
      try {
        self->serve(std::move(socket));
      } catch (const std::bad_alloc&) {
        // It is closed, and the next one may find memory.
      }
      self->accept();
    };
    acceptor_.async_accept(in_memory(memory_, std::move(accepted)));
  }
  void close() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }

 private:
  void serve(asio::ip::tcp::socket socket) {
    if (shared_.connections >= shared_.options.max_connections) return;
    std::make_shared<TcpConnection>(shared_, std::move(socket))->read_length();
  }
  // Out of descriptors, mostly: trying again at once would only burn time.
  void wait_after(const error_code& error) {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait(in_memory(memory_, [self = shared_from_this()](const error_code& cancelled) {
      if (!cancelled && !self->shared_.stopping) self->accept();
    }));
    const auto now = Clock::now();
    if (now - logged_ < kLogPause) return;
    logged_ = now;
    const std::string text = "accept tcp: " + policy::errno_text(error.value());
    shared_.log.write(Level::warn, "accept paused", {{"error", text}});
  }

  Shared& shared_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::shared_ptr<HandlerMemory> memory_ = std::make_shared<HandlerMemory>();
  Clock::time_point logged_{};
};

}  // namespace

struct Server::State {
  State(Options options, Zone zone, Log& log, Lookup lookup)
      : shared{io, log, std::move(options), nullptr, 0, false},
        responder(io,
                  std::move(zone),
                  log,
                  std::move(lookup),
                  {shared.options.lookup_limit, shared.options.max_lookups}),
        grace(io) {
    shared.responder = &responder;
    for (const int descriptor : shared.options.udp) {
      udp.push_back(std::make_shared<UdpSocket>(shared, descriptor));
    }
    for (const int descriptor : shared.options.tcp) {
      tcp.push_back(std::make_shared<TcpListener>(shared, descriptor));
    }
  }

  void begin_stop(std::chrono::milliseconds limit) {
    shared.stopping = true;
    for (const auto& socket : udp) socket->cancel();
    for (const auto& listener : tcp) listener->close();
    if (responder.lookups() == 0) return io.stop();
    // The answer itself is on its way before the loop ends.
    responder.on_idle([this] {
      if (responder.lookups() == 0) asio::post(io, [this] { io.stop(); });
    });
    grace.expires_after(limit);
    grace.async_wait([this](const error_code&) { io.stop(); });
  }

  // Connections that the loop still holds reach into `shared` when it goes; sockets and timers
  // reach into the loop.
  Shared shared;
  asio::io_context io{1};
  Responder responder;
  std::vector<std::shared_ptr<UdpSocket>> udp;
  std::vector<std::shared_ptr<TcpListener>> tcp;
  asio::steady_timer grace;
};

Server::Server(Options options, Zone zone, Log& log, Lookup lookup)
    : state_(std::make_shared<State>(std::move(options), std::move(zone), log, std::move(lookup))) {
}

Server::~Server() { stop(std::chrono::milliseconds(0)); }

Result<void> Server::start() {
  for (const auto& listener : state_->tcp) {
    if (auto listening = listener->listen(); !listening) return listening;
  }
  for (const auto& listener : state_->tcp) listener->accept();
  for (const auto& socket : state_->udp) socket->wait();
  thread_ = std::thread([state = state_] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    state->shared.log.prepare_thread();
    run_loop(state->io, [] {});  // that client asks again
  });
  return {};
}

void Server::stop(std::chrono::milliseconds grace) {
  if (!thread_.joinable()) return;
  asio::post(state_->io, [state = state_.get(), grace] { state->begin_stop(grace); });
  thread_.join();
}

}  // namespace iron::proxy::dns
