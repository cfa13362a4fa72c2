#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/wait/buffers.h"
#include "tests/proxy/peer_exchanges.h"

namespace iron::proxy::test {
namespace {

// What OpenSSL has read from the descriptor, which shows nothing of it any more: whoever looks for
// bytes there alone waits for ever.

using Framing = WebMessage::Framing;
using Lines = std::vector<std::string>;
constexpr std::size_t kRecord = 16384;  ///< the most that one holds

/// A request whose body is as long as the rest of `size` bytes.
std::string request_of(const std::string& authority, std::size_t size) {
  const std::string head = "POST /a HTTP/1.1\r\nHost: " + authority + "\r\nContent-Length: ";
  std::string length = std::to_string(size - head.size() - 4);
  length = std::to_string(size - head.size() - 4 - length.size());
  std::string request = head + length + "\r\n\r\n";
  request.append(std::stoul(length), 'x');
  return request;
}

/// Sends the bytes in records of these sizes, the last one again and again, which come all at once.
void send_in_records(PeerStream& stream, std::string_view bytes, std::vector<std::size_t> sizes) {
  stream.raw().set_room(64 << 20);
  for (std::size_t i = 0; !bytes.empty(); i = std::min(i + 1, sizes.size() - 1)) {
    stream.write_all(bytes.substr(0, sizes[i]));
    bytes.remove_prefix(std::min(sizes[i], bytes.size()));
  }
}

/// Ways to put the same bytes into records. A first one that is short leaves a buffer less room
/// than the next one has bytes.
const std::vector<std::vector<std::size_t>> kSizes = {
    {kRecord}, {1, kRecord}, {100, kRecord}, {kRecord - 1, 2, kRecord}, {700}, {20, 8000}};

TEST(SessionTlsRecords, RequestsThatComeTogetherAreAllServed) {
  for (const Way way : {Way::tunnel_tls, Way::tls}) {
    for (const auto& sizes : kSizes) {
      SCOPED_TRACE(std::string(name_of(way)) + ", records of " + std::to_string(sizes[0]));
      PeerRig peers(way);
      std::string requests;
      Lines records;
      for (const std::size_t size :
           {100UL, 200UL, kRecord - 150, kRecord, 5000UL, 40000UL, 100UL}) {
        requests += request_of(peers.authority(), size);
      }
      send_in_records(peers.client().stream(), requests, sizes);
      for (int i = 0; i < 7; ++i) {
        const WebMessage answer = peers.client().receive();
        ASSERT_EQ(answer.fault, "") << i;
        EXPECT_EQ(answer.body, "ok");
      }
      EXPECT_EQ(peers.origin().requests().size(), 7U);
      EXPECT_EQ(peers.origin().fault(), "");
      EXPECT_EQ(peers.records().size(), 7U);
      EXPECT_EQ(peers.leftovers(), "");
    }
  }
}

TEST(SessionTlsRecords, AnswersComeWholeHoweverTheyLieInRecords) {
  for (const auto& sizes : kSizes) {
    for (const std::size_t size :
         {100UL, kRecord - 150, kRecord, kRecord + 1, 200000UL, 600000UL}) {
      SCOPED_TRACE("records of " + std::to_string(sizes[0]) + ", " + std::to_string(size));
      PeerRig peers(Way::tunnel_tls);
      peers.origin().answer_with(nullptr);
      peers.client().send(peers.filled({.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}}));
      peers.origin().await_requests(1);
      const std::string body(size, 'y');
      send_in_records(
          peers.origin().stream(),
          "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body, sizes);
      const WebMessage answer = peers.client().receive();
      ASSERT_EQ(answer.fault, "");
      EXPECT_TRUE(answer.body == body);
      EXPECT_EQ(peers.records(), Lines{"allow 200 0/" + std::to_string(size)});
    }
  }
}

/// An end that comes in the same segment as the last bytes.
TEST(SessionTlsRecords, AnEndBehindTheLastBytesIsSeen) {
  for (const std::size_t size : {5UL, kRecord - 40, kRecord, 200000UL}) {
    SCOPED_TRACE(size);
    PeerRig peers(Way::tunnel_tls);
    peers.origin().answer_with(nullptr);
    peers.client().send(peers.filled({.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}}));
    peers.origin().await_requests(1);
    const std::string body(size, 'y');
    PeerStream& origin = peers.origin().stream();
    send_in_records(origin, "HTTP/1.1 200 OK\r\n\r\n" + body, {kRecord});
    // The connection stays open: close_notify alone ends the answer.
    origin.finish_tls();
    const WebMessage answer = peers.client().receive();
    ASSERT_EQ(answer.fault, "");
    EXPECT_TRUE(answer.body == body);
  }
}

/// An answer that nobody asked for, behind one that ends where the buffer of the reader does: the
/// connection must not serve another request, who would get it.
TEST(SessionTlsRecords, SurplusThatOpenSslHoldsEndsTheConnection) {
  for (const std::size_t around : {0UL, 1UL, 2UL, 3UL, 4UL}) {
    SCOPED_TRACE(around);
    PeerRig peers(Way::tunnel_tls);
    peers.origin().answer_with(nullptr);
    const WebMessage request = peers.filled({.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}});
    peers.client().send(request);
    peers.origin().await_requests(1);
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    const std::size_t whole = BufferPool::kSmall + around - 2;
    std::string answer = head + std::to_string(whole - head.size() - 9) + "\r\n\r\n";
    answer.resize(whole, 'y');
    const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    send_in_records(peers.origin().stream(), answer + evil, {100, kRecord});
    EXPECT_EQ(peers.client().receive().fault, "");
    peers.client().send(request);
    peers.origin().await_requests(2);
    peers.origin().answer({.start = "HTTP/1.1 200 OK", .body = "good", .framing = Framing::length});
    EXPECT_EQ(peers.client().receive().body, "good");
    EXPECT_EQ(peers.origin().connections(), 2U);
  }
}

}  // namespace
}  // namespace iron::proxy::test
