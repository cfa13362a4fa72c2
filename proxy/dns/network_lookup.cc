#include "proxy/dns/network_lookup.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <new>
#include <utility>

namespace iron::proxy::dns {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr int kPacketsAtOnce = 64;

std::uint16_t random_id() {
  thread_local std::array<std::uint16_t, 128> ids;
  thread_local std::size_t left = 0;
  if (left == 0) {
    // Never short nor interrupted for 256 bytes and less (getrandom(2)).
    if (::getrandom(ids.data(), sizeof(ids), 0) < 0) return 0;
    left = ids.size();
  }
  return ids.at(--left);
}

asio::ip::address asio_address(const policy::IpAddress& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes{};
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  return asio::ip::address_v6(address.bytes());
}

template <class Protocol>
typename Protocol::endpoint endpoint_of(const LookupPlan::Server& server) {
  return {asio_address(server.address), server.port};
}

error_code last_error() { return {errno, boost::system::system_category()}; }

error_code send_packet(int descriptor, const std::string& packet) {
  const ssize_t sent =
      ::send(descriptor, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? last_error() : error_code();
}

std::string reason_text(const error_code& error) {
  if (error == asio::error::eof) return "EOF";
  std::string text = error.message();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

/// Shared with the handlers under way, which may be called when the try is over.
struct NetworkLookup::TcpQuestion {
  explicit TcpQuestion(asio::io_context& io) : socket(io) {}
  asio::ip::tcp::socket socket;
  std::size_t question = 0;
  std::string packet;
  std::array<unsigned char, 2> length{};
};

void NetworkLookup::start(EventLoop& loop, LookupPlan plan, Done done) {
  std::make_shared<NetworkLookup>(Private{}, loop, std::move(plan), std::move(done))->take_steps();
}

NetworkLookup::NetworkLookup(Private, EventLoop& loop, LookupPlan plan, Done done)
    : loop_(loop),
      steps_(std::move(plan), loop.now(), random_id),
      done_(std::move(done)),
      socket_(loop.context()),
      alarm_(loop, [this] { time_over(); }) {}

/// A handler: `action`, then the steps that follow from it; nothing if the try is over by then.
template <class Action>
auto NetworkLookup::then(Action action) {
  return [self = shared_from_this(), at = try_, action = std::move(action)](const error_code& error,
                                                                            auto... /*bytes*/) {
    if (at != self->try_ || error == asio::error::operation_aborted) return;
    self->loop_.handle([&] { self->go_on([&] { action(error); }); });
  };
}

/// Where memory runs out the lookup ends at once: nothing else would wake those who wait before the
/// time of a try is over.
template <class Action>
void NetworkLookup::go_on(Action action) {
  try {
    action();
    take_steps();
  } catch (const std::bad_alloc&) {
    close();
    if (const Done done = std::exchange(done_, nullptr))
      done(LookupOutcome::failure("out of memory"));
    throw;
  }
}

void NetworkLookup::time_over() {
  const auto self = shared_from_this();
  try {
    go_on([this] { steps_.time_over(local(), loop_.now()); });
  } catch (const std::bad_alloc&) {
    // Those who wait were told, and the other alarms of the loop are due.
  }
}

void NetworkLookup::take_steps() {
  while (true) {
    Step step = steps_.next(loop_.now());
    switch (step.kind) {
      case Step::Kind::open:
        open();
        break;
      case Step::Kind::send:
        send(step);
        break;
      case Step::Kind::ask_over_tcp:
        ask_over_tcp(step);
        break;
      case Step::Kind::tell:
        done_(std::move(step.outcome));
        break;
      case Step::Kind::wait:
        wait();
        return;
      case Step::Kind::finish: {
        close();
        const Done done = std::exchange(done_, nullptr);
        done(std::move(step.outcome));
        return;
      }
    }
  }
}

void NetworkLookup::open() {
  close();
  // The kernel picks a random port for each socket.
  const auto endpoint = endpoint_of<asio::ip::udp>(steps_.server());
  error_code error;
  socket_.open(endpoint.protocol(), error);
  if (!error) socket_.connect(endpoint, error);
  if (error) steps_.open_failed(reason_text(error));
}

void NetworkLookup::close() {
  ++try_;
  alarm_.cancel();
  receiving_ = false;
  error_code ignored;
  socket_.close(ignored);
  for (TcpQuestionPtr& tcp : tcp_) {
    if (tcp) tcp->socket.close(ignored);
    tcp.reset();
  }
}

void NetworkLookup::send(const Step& step) {
  error_code error = send_packet(socket_.native_handle(), step.packet);
  // What the other question met; this one gets an error of its own.
  if (error == asio::error::connection_refused) {
    error = send_packet(socket_.native_handle(), step.packet);
  }
  if (error) steps_.send_failed(step.question, local(), reason_text(error));
}

void NetworkLookup::wait() {
  alarm_.set(steps_.deadline());
  if (receiving_ || !steps_.wants_packets()) return;
  socket_.async_wait(asio::ip::udp::socket::wait_read, then([this](const error_code&) {
                       receiving_ = false;
                       read_packets();
                     }));
  receiving_ = true;
}

void NetworkLookup::read_packets() {
  std::array<char, 4096> packet;
  // Whoever floods the socket does not keep the loop.
  for (int packets = 0; packets < kPacketsAtOnce && steps_.wants_packets(); ++packets) {
    const ssize_t size =
        ::recv(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0) {
      const error_code error = last_error();
      if (error != asio::error::would_block) steps_.receive_failed(local(), reason_text(error));
      return;
    }
    steps_.packet({packet.data(), static_cast<std::size_t>(size)}, loop_.now());
  }
}

void NetworkLookup::ask_over_tcp(const Step& step) {
  auto tcp = std::make_shared<TcpQuestion>(loop_.context());
  tcp_.at(step.question) = tcp;
  tcp->question = step.question;
  tcp->packet = {static_cast<char>(step.packet.size() >> 8),
                 static_cast<char>(step.packet.size() & 0xff)};
  tcp->packet += step.packet;
  tcp->socket.async_connect(
      endpoint_of<asio::ip::tcp>(steps_.server()), then([this, tcp](const error_code& error) {
        if (!error) return write_over_tcp(tcp);
        steps_.tcp_failed(tcp->question, LookupSteps::Tcp::dial, reason_text(error));
      }));
}

void NetworkLookup::write_over_tcp(const TcpQuestionPtr& tcp) {
  asio::async_write(tcp->socket, asio::buffer(tcp->packet),
                    then([this, tcp](const error_code& error) {
                      if (!error) return read_over_tcp(tcp);
                      steps_.tcp_failed(tcp->question, LookupSteps::Tcp::write, reason_text(error));
                    }));
}

void NetworkLookup::read_over_tcp(const TcpQuestionPtr& tcp) {
  auto got_packet = [this, tcp](const error_code& error) {
    if (!error) return steps_.packet_over_tcp(tcp->question, tcp->packet, loop_.now());
    steps_.tcp_failed(tcp->question, LookupSteps::Tcp::read, reason_text(error));
  };
  auto got_length = [this, tcp, got_packet = std::move(got_packet)](const error_code& error) {
    if (error) return got_packet(error);
    tcp->packet.resize(static_cast<std::size_t>(tcp->length[0]) << 8 | tcp->length[1]);
    asio::async_read(tcp->socket, asio::buffer(tcp->packet), then(got_packet));
  };
  asio::async_read(tcp->socket, asio::buffer(tcp->length), then(std::move(got_length)));
}

std::string NetworkLookup::local() const {
  error_code error;
  const auto endpoint = socket_.local_endpoint(error);
  if (error) return {};
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return (endpoint.address().is_v6() ? "[" + host + "]:" : host + ":") + port;
}

}  // namespace iron::proxy::dns
