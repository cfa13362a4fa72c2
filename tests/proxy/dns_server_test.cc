#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "proxy/dns/server.h"
#include "proxy/log/log.h"
#include "tests/proxy/fake_name_server.h"

namespace iron::proxy::dns {
namespace {

using namespace std::chrono_literals;
using policy::IpAddress;
using testing::HasSubstr;

std::string query_packet(const std::string& name, std::uint16_t type, std::uint16_t id = 0x4a11) {
  std::string packet = render_lookup(id, *wire_name(name), type);
  packet.resize(packet.size() - 11);  // no OPT
  packet[11] = 0;
  return packet;
}

std::string with_length(const std::string& packet) {
  return std::string{static_cast<char>(packet.size() >> 8),
                     static_cast<char>(packet.size() & 0xff)} +
         packet;
}

int rcode_of(const std::string& packet) { return packet.size() < 4 ? -1 : packet[3] & 15; }
int answers_of(const std::string& packet) { return packet.size() < 8 ? -1 : packet[7]; }

/// Lookups that the test answers when it likes.
class Lookups {
 public:
  struct Call {
    std::string name;
    std::function<void(LookupOutcome)> done;
  };
  Server::Lookup function() {
    return [this](const std::string& name, std::function<void(LookupOutcome)> done) {
      {
        const std::lock_guard lock(mutex_);
        calls_.push_back({name, std::move(done)});
      }
      arrived_.notify_all();
    };
  }
  /// Waits for call number `index`.
  Call call(std::size_t index) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, 20s, [&] { return calls_.size() > index; })) std::abort();
    return calls_[index];
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return calls_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Call> calls_;
};

class DnsServerTest : public testing::Test {
 protected:
  DnsServerTest() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    log_read_ = Descriptor(ends[0]);
    log_write_ = Descriptor(ends[1]);
    Log::Options log_options;
    log_options.level = Level::debug;
    log_options.stderr_fd = log_write_.get();
    log_.emplace(log_options);
    config_.proxy_ip = "10.99.0.1";
    config_.passthrough = {"*.corp.test"};
    config_.records = {{"static.example", "A", "10.0.0.5"}};
  }
  void start() {
    std::vector<policy::ConfigWarning> warnings;
    SocketPair sockets;
    port_ = port_of(sockets.udp);
    options_.udp = {sockets.udp.release()};
    options_.tcp = {sockets.tcp.release()};
    server_.emplace(options_, Zone(config_, warnings), *log_, lookups_.function());
    ASSERT_TRUE(server_->start());
  }
  Descriptor connected(int type) const {
    Descriptor client(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const timeval limit{20, 0};
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    return client;
  }
  static void send(const Descriptor& client, const std::string& bytes) {
    EXPECT_EQ(::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string receive_datagram(const Descriptor& client) {
    std::string packet(4096, '\0');
    const ssize_t size = ::recv(client.get(), packet.data(), packet.size(), 0);
    packet.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return packet;
  }
  static std::string receive_framed(const Descriptor& client) {
    std::array<unsigned char, 2> length{};
    if (::recv(client.get(), length.data(), 2, MSG_WAITALL) != 2) return {};
    std::string packet(static_cast<std::size_t>(length[0]) << 8 | length[1], '\0');
    if (::recv(client.get(), packet.data(), packet.size(), MSG_WAITALL) < 0) return {};
    return packet;
  }
  std::string ask(const std::string& packet) const {
    const Descriptor client = connected(SOCK_DGRAM);
    send(client, packet);
    return receive_datagram(client);
  }
  std::string logged() {
    EXPECT_TRUE(log_->flush(20'000));
    std::string text(1 << 16, '\0');
    const ssize_t size = ::read(log_read_.get(), text.data(), text.size());
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }

  Descriptor log_read_, log_write_;
  std::optional<Log> log_;
  policy::Config::Dns config_;
  Server::Options options_;
  Lookups lookups_;
  std::uint16_t port_ = 0;
  std::optional<Server> server_;
};

TEST_F(DnsServerTest, InterceptsAndServesStaticRecordsOverUdp) {
  start();
  const std::string question = query_packet("Any.Example", kTypeA).substr(12);
  const std::string name = *wire_name("Any.Example");
  EXPECT_EQ(ask(query_packet("Any.Example", kTypeA)),
            std::string("\x4a\x11\x85\0\0\1\0\1\0\0\0\0", 12) + question + name +
                std::string("\0\1\0\1\0\0\0\x3c\0\4\x0a\x63\0\1", 14));
  EXPECT_EQ(ask(query_packet("any.example", kTypeAaaa)),
            std::string("\x4a\x11\x85\0\0\1\0\0\0\0\0\0", 12) +
                query_packet("any.example", kTypeAaaa).substr(12));
  EXPECT_TRUE(ask(query_packet("STATIC.example", kTypeA)).ends_with(std::string("\x0a\0\0\5", 4)));
  EXPECT_EQ(lookups_.count(), 0u);
  const std::string log = logged();
  EXPECT_THAT(
      log, HasSubstr("\"level\":\"DEBUG\",\"msg\":\"dns intercept\",\"name\":\"any.example.\"}"));
  EXPECT_THAT(log, HasSubstr("\"msg\":\"dns static\",\"name\":\"static.example.\"}"));
}

TEST_F(DnsServerTest, RefusesMalformedPacketsAndIgnoresAnswers) {
  start();
  const Descriptor client = connected(SOCK_DGRAM);
  std::string answer = query_packet("a", kTypeA);
  answer[2] = static_cast<char>(0x81);
  send(client, answer);
  send(client, "scrap");
  std::string two = query_packet("a", kTypeA, 0x1234);
  two[5] = 2;
  send(client, two);
  EXPECT_EQ(receive_datagram(client), std::string("\x12\x34\x81\1\0\0\0\0\0\0\0\0", 12));
}

TEST_F(DnsServerTest, PassesThrough) {
  start();
  const Descriptor client = connected(SOCK_DGRAM);
  send(client, query_packet("A.Corp.test", kTypeA));
  Lookups::Call call = lookups_.call(0);
  EXPECT_EQ(call.name, "a.corp.test");
  call.done(LookupOutcome::of({IpAddress::v4({10, 3, 3, 3}), IpAddress::v4({10, 3, 3, 4})}));
  std::string packet = receive_datagram(client);
  EXPECT_EQ(answers_of(packet), 2);
  EXPECT_THAT(packet, HasSubstr(*wire_name("A.Corp.test")));

  const struct {
    LookupOutcome outcome;
    int rcode;
  } cases[] = {
      {{LookupOutcome::Status::no_such_name, {}, "lookup a.corp.test: no such host"}, 3},
      {{LookupOutcome::Status::failed, {}, "lookup a.corp.test: server misbehaving"}, 2},
      {{LookupOutcome::Status::no_addresses, {}, "lookup a.corp.test: nothing"}, 0},
  };
  std::size_t index = 1;
  for (const auto& c : cases) {
    send(client, query_packet("a.corp.test", kTypeA));
    lookups_.call(index++).done(c.outcome);
    packet = receive_datagram(client);
    EXPECT_EQ(rcode_of(packet), c.rcode) << c.outcome.error;
    EXPECT_EQ(answers_of(packet), 0);
  }
  const std::string log = logged();
  for (const auto& c : cases) {
    EXPECT_THAT(log, HasSubstr("\"level\":\"WARN\",\"msg\":\"dns passthrough lookup failed\","
                               "\"name\":\"a.corp.test.\",\"error\":\"" +
                               c.outcome.error + "\"}\n"));
  }
}

TEST_F(DnsServerTest, ASlowLookupIsAServerFailure) {
  options_.lookup_limit = 30ms;
  start();
  EXPECT_EQ(rcode_of(ask(query_packet("a.corp.test", kTypeA))), 2);
  lookups_.call(0).done(LookupOutcome::of({IpAddress::v4({10, 3, 3, 3})}));
  EXPECT_THAT(logged(), HasSubstr("\"error\":\"lookup a.corp.test: i/o timeout\""));
  // The late answer disturbs nobody.
  EXPECT_EQ(answers_of(ask(query_packet("x", kTypeA))), 1);
}

TEST_F(DnsServerTest, LookupsAtOnceAreBounded) {
  options_.max_lookups = 2;
  start();
  const Descriptor client = connected(SOCK_DGRAM);
  for (std::uint16_t id = 1; id <= 2; ++id) send(client, query_packet("a.corp.test", kTypeA, id));
  lookups_.call(1);
  EXPECT_EQ(rcode_of(ask(query_packet("b.corp.test", kTypeA))), 2);
  EXPECT_EQ(lookups_.count(), 2u);
  lookups_.call(0).done(LookupOutcome::of({IpAddress::v4({10, 3, 3, 3})}));
  EXPECT_EQ(answers_of(receive_datagram(client)), 1);
  send(client, query_packet("c.corp.test", kTypeA));
  EXPECT_EQ(lookups_.call(2).name, "c.corp.test");
}

TEST_F(DnsServerTest, LongAnswersAreCutOverUdpAndWholeOverTcp) {
  start();
  const std::vector<IpAddress> many(40, IpAddress::v4({10, 3, 3, 3}));
  const Descriptor udp = connected(SOCK_DGRAM);
  send(udp, query_packet("a.corp.test", kTypeA));
  lookups_.call(0).done(LookupOutcome::of(many));
  const std::string cut = receive_datagram(udp);
  EXPECT_EQ(answers_of(cut), 0);
  EXPECT_EQ(cut[2] & 2, 2);
  EXPECT_EQ(cut.size(), query_packet("a.corp.test", kTypeA).size());

  send(udp, render_lookup(7, *wire_name("a.corp.test"), kTypeA));
  lookups_.call(1).done(LookupOutcome::of(many));
  EXPECT_EQ(answers_of(receive_datagram(udp)), 40);

  const Descriptor tcp = connected(SOCK_STREAM);
  send(tcp, with_length(query_packet("a.corp.test", kTypeA)));
  lookups_.call(2).done(LookupOutcome::of(many));
  EXPECT_EQ(answers_of(receive_framed(tcp)), 40);
}

TEST_F(DnsServerTest, SeveralQueriesPerTcpConnection) {
  start();
  const Descriptor client = connected(SOCK_STREAM);
  std::string bytes = with_length(query_packet("a.example", kTypeA, 1)) +
                      with_length(query_packet("b.example", kTypeA, 2));
  bytes += with_length(std::string("\0\3\1\0\0\2\0\0\0\0\0\0", 12));
  for (const char c : bytes) send(client, std::string(1, c));
  for (char id = 1; id <= 3; ++id) {
    const std::string packet = receive_framed(client);
    ASSERT_GE(packet.size(), 12u);
    EXPECT_EQ(packet[1], id);
    EXPECT_EQ(rcode_of(packet), id == 3 ? 1 : 0);
  }
}

TEST_F(DnsServerTest, AnIdleTcpConnectionIsClosed) {
  options_.idle_limit = 30ms;
  start();
  const Descriptor silent = connected(SOCK_STREAM);
  const Descriptor slow = connected(SOCK_STREAM);
  send(slow, std::string(1, '\0'));
  char byte = 0;
  EXPECT_EQ(::recv(silent.get(), &byte, 1, 0), 0);
  EXPECT_EQ(::recv(slow.get(), &byte, 1, 0), 0);
}

TEST_F(DnsServerTest, TcpConnectionsAreBounded) {
  options_.max_connections = 2;
  start();
  const Descriptor first = connected(SOCK_STREAM);
  std::optional<Descriptor> second = connected(SOCK_STREAM);
  const Descriptor third = connected(SOCK_STREAM);
  char byte = 0;
  EXPECT_EQ(::recv(third.get(), &byte, 1, 0), 0);
  second.reset();
  // The place is free as soon as the server has noticed.
  for (int i = 0; i < 1000; ++i) {
    const Descriptor again = connected(SOCK_STREAM);
    ::send(again.get(), with_length(query_packet("a", kTypeA)).data(), 21, MSG_NOSIGNAL);
    if (answers_of(receive_framed(again)) == 1) return;
  }
  FAIL() << "no connection was let in again";
}

TEST_F(DnsServerTest, StopLetsLookupsFinish) {
  start();
  const Descriptor client = connected(SOCK_DGRAM);
  send(client, query_packet("a.corp.test", kTypeA));
  Lookups::Call call = lookups_.call(0);
  std::thread stopping([this] { server_->stop(20s); });
  call.done(LookupOutcome::of({IpAddress::v4({10, 3, 3, 3})}));
  stopping.join();
  EXPECT_EQ(answers_of(receive_datagram(client)), 1);
}

TEST_F(DnsServerTest, StopDoesNotWaitLongerThanItsGrace) {
  start();
  const Descriptor udp = connected(SOCK_DGRAM), tcp = connected(SOCK_STREAM);
  send(udp, query_packet("a.corp.test", kTypeA));
  send(tcp, with_length(query_packet("b.corp.test", kTypeA)));
  Lookups::Call call = lookups_.call(1);
  server_->stop(20ms);
  server_.reset();
  // Somebody else's thread may call back after everything is gone.
  call.done(LookupOutcome::of({IpAddress::v4({10, 3, 3, 3})}));
}

TEST_F(DnsServerTest, EndsWithoutHavingStarted) {
  std::vector<policy::ConfigWarning> warnings;
  SocketPair sockets;
  options_.udp = {sockets.udp.release()};
  options_.tcp = {sockets.tcp.release()};
  server_.emplace(options_, Zone(config_, warnings), *log_, lookups_.function());
  server_.reset();
}

TEST_F(DnsServerTest, AnswersFromTheAddressThatWasAsked) {
  std::vector<policy::ConfigWarning> warnings;
  Descriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ASSERT_EQ(::bind(any.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  address.sin_port = htons(port_of(any));
  options_.udp = {any.release()};
  server_.emplace(options_, Zone(config_, warnings), *log_, lookups_.function());
  ASSERT_TRUE(server_->start());
  const Descriptor client = bound_socket(SOCK_DGRAM);
  const timeval limit{20, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 8);
  const std::string query = query_packet("a", kTypeA);
  ::sendto(client.get(), query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address));
  std::array<char, 512> packet{};
  sockaddr_in from{};
  socklen_t size = sizeof(from);
  ASSERT_GT(::recvfrom(client.get(), packet.data(), packet.size(), 0,
                       reinterpret_cast<sockaddr*>(&from), &size),
            0);
  EXPECT_EQ(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 8);
}

}  // namespace
}  // namespace iron::proxy::dns
