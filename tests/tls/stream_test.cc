#include "tls/stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/tls/stream_pair.h"

namespace iron::tls {
namespace {

using test::await_readable;
using test::read_exactly;
using test::read_settled;
using test::write_everything;

struct PlainPair {
  explicit PlainPair(std::pair<int, int> ends = test::connected_pair())
      : near(ends.first), far(std::make_unique<Stream>(ends.second)) {}
  Stream near;
  std::unique_ptr<Stream> far;
};

TEST(PlainStream, CarriesBytesAndEnds) {
  PlainPair pair;
  std::array<char, 16> room{};
  EXPECT_EQ(pair.near.read(room).status, Io::want_read);
  write_everything(*pair.far, "hello");
  EXPECT_EQ(read_exactly(pair.near, 5), "hello");
  pair.far->end_writing();
  EXPECT_EQ(read_settled(pair.near, room).status, Io::eof);
  write_everything(pair.near, "late");
  EXPECT_EQ(read_exactly(*pair.far, 4), "late") << "the other direction goes on";
}

TEST(PlainStream, EarlyBytesComeFirst) {
  PlainPair pair;
  write_everything(*pair.far, "rest");
  EXPECT_FALSE(pair.near.has_pending());
  pair.near.unread("second ");
  pair.near.unread("first ");
  EXPECT_TRUE(pair.near.has_pending());
  std::array<char, 4> room{};
  const IoResult got = pair.near.read(room);
  EXPECT_EQ(got.status, Io::ok);
  EXPECT_EQ(std::string(room.data(), got.size), "firs");
  EXPECT_EQ(read_exactly(pair.near, 13), "t second rest");
  EXPECT_FALSE(pair.near.has_pending());
}

TEST(PlainStream, IsDrainedByAReadThatFindsLessThanItHasRoomFor) {
  PlainPair pair;
  std::array<char, 4> room{};
  write_everything(*pair.far, "12345678abc");
  await_readable(pair.near.descriptor());
  for (const bool drained : {false, false, true}) {
    EXPECT_EQ(pair.near.read(room).status, Io::ok);
    EXPECT_EQ(pair.near.drained(), drained);
  }
  pair.near.unread("given back");
  EXPECT_EQ(pair.near.read(room).status, Io::ok);
  EXPECT_FALSE(pair.near.drained()) << "nobody has looked since";
}

TEST(PlainStream, BytesCanBeGivenBackAfterSomeWereRead) {
  PlainPair pair;
  pair.near.unread("abcdef");
  EXPECT_EQ(read_exactly(pair.near, 3), "abc");
  pair.near.unread("xyz");
  EXPECT_EQ(read_exactly(pair.near, 6), "xyzdef");
}

TEST(PlainStream, DrainedIsWhatTheLastReadSaw) {
  auto [left, right] = test::connected_pair();
  Stream stream(left);
  char two[2], many[64];
  ASSERT_EQ(::send(right, "abc", 3, 0), 3);
  test::await_readable(left);
  EXPECT_EQ(stream.read(two).size, 2u);
  EXPECT_FALSE(stream.drained()) << "it filled its space";
  EXPECT_EQ(stream.read(many).size, 1u);
  EXPECT_TRUE(stream.drained()) << "a short read";
  EXPECT_EQ(stream.read(many).status, Io::want_read);
  EXPECT_TRUE(stream.drained());
  stream.unread("d");
  EXPECT_EQ(stream.read(many).size, 1u);
  EXPECT_FALSE(stream.drained()) << "the descriptor was not looked at";
  ::close(right);
}

TEST(PlainStream, AFullPeerIsWaitedFor) {
  PlainPair pair;
  const std::string block(65536, 'x');
  IoResult sent;
  for (int i = 0; i < 1000 && sent.status == Io::ok; ++i) sent = pair.near.write(block);
  EXPECT_EQ(sent.status, Io::want_write);
}

TEST(PlainStream, AResetIsAnError) {
  PlainPair pair;
  write_everything(*pair.far, "half");
  pair.far->reset_on_close();
  EXPECT_TRUE(pair.far->abandoned());
  pair.far.reset();
  std::array<char, 16> room{};
  await_readable(pair.near.descriptor());
  IoResult got = read_settled(pair.near, room);
  if (got.status == Io::ok) got = read_settled(pair.near, room);
  EXPECT_EQ(got.status, Io::error);
}

TEST(PlainStream, WritingToAGonePeerFailsWithoutASignal) {
  PlainPair pair;
  pair.far->reset_on_close();
  pair.far.reset();
  await_readable(pair.near.descriptor());
  EXPECT_EQ(pair.near.write(std::string_view("x")).status, Io::error);
}

class TlsStream : public testing::Test {
 protected:
  void start(const std::string& host = "h.test",
             SSL_SESSION* resume = nullptr,
             const std::string& fallback = {},
             bool is_address = false) {
    server_ = std::make_unique<Stream>(ends_.first);
    client_ = std::make_unique<Stream>(ends_.second);
    server_->start_server(context_, authority_.leaves(), fallback);
    ASSERT_TRUE(client_->start_client(upstream_, host, is_address, resume, sessions_));
  }
  void shake_ok() {
    const test::Outcome outcome = test::shake(*server_, *client_, authority_.leaves());
    ASSERT_EQ(outcome.server, Io::ok) << server_->handshake_error();
    ASSERT_EQ(outcome.client, Io::ok) << client_->handshake_error();
  }

  test::Authority authority_;
  ServerContext context_;
  UpstreamContext upstream_{authority_.trust()};
  std::shared_ptr<SessionStore> sessions_ = std::make_shared<SessionStore>();
  std::pair<int, int> ends_ = test::connected_pair();
  std::unique_ptr<Stream> server_, client_;
};

TEST_F(TlsStream, CarriesBytesBothWays) {
  start();
  shake_ok();
  EXPECT_TRUE(server_->is_tls());
  EXPECT_EQ(SSL_version(server_->ssl()), TLS1_3_VERSION);
  EXPECT_EQ(server_->server_name(), "h.test");
  EXPECT_EQ(server_->sni(), "h.test");
  EXPECT_EQ(client_->server_name(), "h.test");
  write_everything(*client_, "question");
  EXPECT_EQ(read_exactly(*server_, 8), "question");
  write_everything(*server_, "answer");
  EXPECT_EQ(read_exactly(*client_, 6), "answer");
}

TEST_F(TlsStream, AnEndIsSeenAsOne) {
  start();
  shake_ok();
  write_everything(*server_, "all");
  server_->end_writing();
  EXPECT_EQ(read_exactly(*client_, 3), "all");
  std::array<char, 16> room{};
  EXPECT_EQ(read_settled(*client_, room).status, Io::eof);
  write_everything(*client_, "late");
  EXPECT_EQ(read_exactly(*server_, 4), "late") << "the other direction goes on";
}

TEST_F(TlsStream, ARecordCutShortIsAnError) {
  start();
  shake_ok();
  // Records of the server go through a buffer of ours, which hands on all but the last byte.
  write_everything(*server_, "complete");
  EXPECT_EQ(read_exactly(*client_, 8), "complete");
  SSL* ssl = server_->ssl();
  BIO* memory = BIO_new(BIO_s_mem());
  BIO_up_ref(memory);
  SSL_set0_wbio(ssl, memory);
  write_everything(*server_, "incomplete");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  ASSERT_GT(size, 20);
  ASSERT_EQ(::send(server_->descriptor(), bytes, static_cast<std::size_t>(size) - 1, 0), size - 1);
  BIO_free(memory);
  server_->abandon();
  server_.reset();
  std::array<char, 32> room{};
  EXPECT_EQ(read_settled(*client_, room).status, Io::error)
      << "half a record must not look like an end";
}

TEST_F(TlsStream, AnAbandonedEndSendsNoCloseNotify) {
  start();
  shake_ok();
  server_->abandon();
  server_->end_writing();
  server_.reset();
  std::array<char, 32> room{};
  EXPECT_NE(read_settled(*client_, room).status, Io::ok);
  EXPECT_EQ(SSL_get_shutdown(client_->ssl()) & SSL_SENT_SHUTDOWN, 0);
}

TEST_F(TlsStream, MoreThanTheKernelHoldsIsWrittenInParts) {
  start();
  shake_ok();
  std::string text(6 * 1024 * 1024, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761U >> 13);
  for (const auto& [from, to] :
       {std::pair(server_.get(), client_.get()), std::pair(client_.get(), server_.get())}) {
    std::string received;
    std::string_view rest = text;
    std::vector<char> room(70000);
    bool blocked = false;
    while (received.size() < text.size()) {
      if (!rest.empty()) {
        // Another address each time: OpenSSL must not insist on the same buffer.
        const std::string piece(rest.substr(0, 100000));
        const IoResult sent = from->write(piece);
        ASSERT_TRUE(sent.status == Io::ok || sent.status == Io::want_write);
        blocked = blocked || sent.status == Io::want_write;
        rest.remove_prefix(sent.size);
        if (sent.status == Io::ok) continue;
      }
      const IoResult got = read_settled(*to, room);
      ASSERT_EQ(got.status, Io::ok);
      received.append(room.data(), got.size);
    }
    EXPECT_TRUE(blocked);
    EXPECT_TRUE(received == text);
  }
}

TEST_F(TlsStream, BytesThatWaitInsideAreAnnounced) {
  start();
  shake_ok();
  write_everything(*server_, "one record");
  write_everything(*server_, "another");
  EXPECT_EQ(read_exactly(*client_, 3), "one");
  EXPECT_TRUE(client_->has_pending());
  EXPECT_EQ(read_exactly(*client_, 14), " recordanother");
  EXPECT_FALSE(client_->has_pending());
}

TEST_F(TlsStream, IsNotDrainedByReadingWhatWaitedInside) {
  start();
  shake_ok();
  write_everything(*server_, "one record");
  write_everything(*server_, "another");
  EXPECT_EQ(read_exactly(*client_, 10), "one record");
  EXPECT_TRUE(client_->drained());
  write_everything(*server_, "a third");  // the loop is told of it once
  await_readable(client_->descriptor());
  EXPECT_EQ(read_exactly(*client_, 7), "another");
  EXPECT_FALSE(client_->drained()) << "nobody has looked since";
  EXPECT_EQ(read_exactly(*client_, 7), "a third");
  EXPECT_TRUE(client_->drained());
}

TEST_F(TlsStream, GoesOnAfterItsBuffersWereGivenBack) {
  start();
  shake_ok();
  for (int round = 0; round < 3; ++round) {
    server_->free_buffers();
    client_->free_buffers();
    write_everything(*client_, "ping");
    EXPECT_EQ(read_exactly(*server_, 4), "ping");
    write_everything(*server_, "pong");
    EXPECT_EQ(read_exactly(*client_, 4), "pong");
  }
}

TEST_F(TlsStream, AHelloThatWasReadTooEarlyIsGivenBack) {
  for (const std::size_t taken :
       {std::size_t{1}, std::size_t{5}, std::size_t{100}, std::size_t{100000}}) {
    ends_ = test::connected_pair();
    start();
    EXPECT_EQ(client_->handshake().status, Io::want_read);
    await_readable(server_->descriptor());
    std::string early(taken, '\0');
    const auto got = ::recv(server_->descriptor(), early.data(), early.size(), 0);
    ASSERT_GT(got, 0);
    server_->unread(std::string_view(early).substr(0, static_cast<std::size_t>(got)));
    shake_ok();
    EXPECT_EQ(server_->server_name(), "h.test");
    write_everything(*client_, "x");
    EXPECT_EQ(read_exactly(*server_, 1), "x");
  }
}

TEST_F(TlsStream, BytesThatAreNotTlsEndTheHandshake) {
  server_ = std::make_unique<Stream>(ends_.first);
  server_->start_server(context_, authority_.leaves(), {});
  server_->unread("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
  EXPECT_EQ(server_->handshake().status, Io::error);
  EXPECT_FALSE(server_->handshake_error().empty());
  ::close(ends_.second);
}

/// A tunnel through a parent proxy that is spoken to in TLS.
class NestedStream : public TlsStream {
 protected:
  void nest() {
    start("parent.test");
    shake_ok();
    outer_ = client_->ssl();
    server_->nest();
    client_->nest();
    server_->start_server(context_, authority_.leaves(), {});
    ASSERT_TRUE(client_->start_client(upstream_, "h.test", false, nullptr, sessions_));
    shake_ok();
  }
  SSL* outer_ = nullptr;
};

TEST_F(NestedStream, CarriesBytesBothWaysAndEnds) {
  nest();
  EXPECT_EQ(server_->sni(), "h.test");
  EXPECT_NE(client_->ssl(), outer_);
  const std::string large(100000, 'l');
  for (int round = 0; round < 3; ++round) {
    write_everything(*client_, "question");
    EXPECT_EQ(read_exactly(*server_, 8), "question");
    write_everything(*server_, large);
    EXPECT_EQ(read_exactly(*client_, large.size()), large);
    client_->free_buffers();
  }
  server_->end_writing();
  std::array<char, 16> room{};
  EXPECT_EQ(read_settled(*client_, room).status, Io::eof);
  EXPECT_TRUE(client_->has_pending()) << "an end is announced once only";
}

TEST_F(NestedStream, WhatTheOuterConnectionHoldsIsPending) {
  nest();
  write_everything(*server_, "abcdef");
  await_readable(client_->descriptor());
  std::array<char, 3> room{};
  EXPECT_EQ(read_settled(*client_, room).size, 3u);
  EXPECT_TRUE(client_->has_pending());
  EXPECT_EQ(client_->read(room).size, 3u);
  EXPECT_EQ(client_->read(room).status, Io::want_read);
  EXPECT_FALSE(client_->has_pending());
}

TEST_F(NestedStream, AFullPeerIsWaitedFor) {
  nest();
  const std::string block(65536, 'x');
  std::size_t sent = 0;
  IoResult result;
  for (int i = 0; i < 100000 && result.status == Io::ok; ++i) {
    result = client_->write(block);
    sent += result.size;
  }
  EXPECT_EQ(result.status, Io::want_write);
  EXPECT_EQ(read_exactly(*server_, sent).size(), sent);
  write_everything(*client_, block);
  EXPECT_EQ(read_exactly(*server_, block.size()), block);
}

TEST_F(NestedStream, TicketsOfTheParentAreNotTheOrigins) {
  start("parent.test");
  shake_ok();
  // The parent's come with the first bytes of the tunnel.
  server_->nest();
  client_->nest();
  auto origins = std::make_shared<SessionStore>();
  server_->start_server(context_, authority_.leaves(), {});
  ASSERT_TRUE(client_->start_client(upstream_, "h.test", false, nullptr, origins));
  shake_ok();
  write_everything(*server_, "x");
  EXPECT_EQ(read_exactly(*client_, 1), "x");
  int count = 0;
  while (SSL_SESSION* session = origins->take()) {
    SSL_SESSION_free(session);
    ++count;
  }
  EXPECT_EQ(count, SSL_get_num_tickets(server_->ssl()));
}

TEST_F(NestedStream, AnEndOfTheParentIsNoEndOfTheOrigin) {
  nest();
  write_everything(*server_, "abc");
  EXPECT_EQ(read_exactly(*client_, 3), "abc");
  server_->reset_on_close();
  server_.reset();
  await_readable(client_->descriptor());
  std::array<char, 16> room{};
  EXPECT_EQ(read_settled(*client_, room).status, Io::error);
}

TEST_F(TlsStream, AsksForHttp1WhereItIsTold) {
  start();
  client_->offer_http1();
  shake_ok();
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(client_->ssl(), &chosen, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "http/1.1");
}

}  // namespace
}  // namespace iron::tls
