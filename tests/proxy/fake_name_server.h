#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/dns/message.h"

namespace iron::proxy {

/// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {
    if (value < 0) std::abort();
  }
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_ = -1;
};

/// A socket bound to 127.0.0.1; port 0 takes a free one.
inline Descriptor bound_socket(int type, std::uint16_t port = 0) {
  Descriptor result(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(result.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(result.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Descriptor();
  }
  return result;
}

inline std::uint16_t port_of(const Descriptor& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// A UDP and a TCP socket on the same port.
struct SocketPair {
  Descriptor udp, tcp;
  SocketPair() {
    while (tcp.get() < 0) {
      udp = bound_socket(SOCK_DGRAM);
      tcp = bound_socket(SOCK_STREAM, port_of(udp));
    }
  }
};

/// A name server on loopback whose answers the test decides.
class FakeNameServer {
 public:
  enum class Over { udp, tcp };
  struct Asked {
    dns::Query query;
    std::string name;  ///< lower case, final dot
    Over over;
    std::uint16_t client_port;
    int number;  ///< how often this name and type were asked before
  };
  /// Packets to send back, in this order.
  using Answer = std::function<std::vector<std::string>(const Asked&)>;

  explicit FakeNameServer(Answer answer)
      : answer_(std::move(answer)), wake_(::eventfd(0, EFD_CLOEXEC)) {
    ::listen(sockets_.tcp.get(), 16);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeNameServer() {
    const std::uint64_t one = 1;
    if (::write(wake_.get(), &one, sizeof(one)) < 0) std::abort();
    thread_.join();
  }
  FakeNameServer(const FakeNameServer&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_of(sockets_.udp)); }
  std::vector<Asked> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  /// An answer with the given code and records.
  static std::string reply(const Asked& asked,
                           const std::vector<dns::AnswerRecord>& records,
                           dns::Rcode rcode = dns::Rcode::no_error) {
    return dns::render_answer(asked.query, rcode, records, 65535);
  }
  static std::string address_reply(const Asked& asked, const std::vector<std::string>& addresses) {
    std::vector<dns::AnswerRecord> records;
    for (const std::string& text : addresses) {
      const auto address = *policy::IpAddress::parse(text);
      if (address.is_v4() != (asked.query.type == dns::kTypeA)) continue;
      const std::size_t size = address.is_v4() ? 4 : 16;
      records.push_back(
          {asked.query.type, {address.bytes().begin(), address.bytes().begin() + size}});
    }
    return reply(asked, records);
  }

 private:
  void serve() {
    while (true) {
      std::array<pollfd, 3> ready{{{wake_.get(), POLLIN, 0},
                                   {sockets_.udp.get(), POLLIN, 0},
                                   {sockets_.tcp.get(), POLLIN, 0}}};
      ::poll(ready.data(), ready.size(), -1);
      if (ready[0].revents != 0) return;
      if (ready[1].revents != 0) serve_udp();
      if (ready[2].revents != 0) serve_tcp();
    }
  }
  std::vector<std::string> answers_to(std::string_view packet, Over over, const sockaddr_in& peer) {
    const auto received = dns::parse_query(packet);
    Asked asked{received.query, dns::name_text(received.query.name), over, ntohs(peer.sin_port), 0};
    const std::lock_guard lock(mutex_);
    for (const Asked& earlier : asked_) {
      if (earlier.name == asked.name && earlier.query.type == asked.query.type) ++asked.number;
    }
    asked_.push_back(asked);
    return answer_(asked);
  }
  void serve_udp() {
    std::array<char, 4096> packet{};
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    const ssize_t count = ::recvfrom(sockets_.udp.get(), packet.data(), packet.size(), 0,
                                     reinterpret_cast<sockaddr*>(&peer), &size);
    if (count < 0) return;
    const std::string_view bytes(packet.data(), static_cast<std::size_t>(count));
    for (const std::string& answer : answers_to(bytes, Over::udp, peer)) {
      ::sendto(sockets_.udp.get(), answer.data(), answer.size(), 0,
               reinterpret_cast<const sockaddr*>(&peer), size);
    }
  }
  void serve_tcp() {
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    const Descriptor client(
        ::accept(sockets_.tcp.get(), reinterpret_cast<sockaddr*>(&peer), &size));
    std::array<unsigned char, 2> length{};
    if (::recv(client.get(), length.data(), 2, MSG_WAITALL) != 2) return;
    std::string packet(static_cast<std::size_t>(length[0]) << 8 | length[1], '\0');
    if (::recv(client.get(), packet.data(), packet.size(), MSG_WAITALL) < 0) return;
    for (const std::string& answer : answers_to(packet, Over::tcp, peer)) {
      std::string framed{static_cast<char>(answer.size() >> 8),
                         static_cast<char>(answer.size() & 0xff)};
      framed += answer;
      ::send(client.get(), framed.data(), framed.size(), MSG_NOSIGNAL);
    }
  }

  SocketPair sockets_;
  Answer answer_;
  Descriptor wake_;
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;
  std::thread thread_;
};

}  // namespace iron::proxy
