#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http1/http1_upstream.h"
#include "tests/proxy/upstream_rig.h"

namespace iron::proxy {

/// How far a request with a body of five bytes has left.
enum class Sent {
  whole,
  whole_and_forgotten,
  composed,
  head_alone,
  half_forgotten,
  none_forgotten
};

/// A request on a plain connection to an origin that the test plays.
class Http1UpstreamTest : public UpstreamTest {
 protected:
  using Framing = BodyFraming::Kind;
  using Step = UpstreamStream::Step;

  Http1UpstreamTest() { exchange_.raw_path = "/"; }
  Http1Upstream& open(FaultText faults = FaultText::quoting) {
    stream_.reset();
    peers_.clear();
    UpstreamPtr connection = connect("k", &peer_);
    connection->address = "192.0.2.1:80";
    connection_ = connection.get();
    return stream_.emplace(std::move(connection), &slot_, pages_, buffers_, faults);
  }
  /// Opens one and sends a request that has no body.
  Http1Upstream& ask(bool sensitive = false, FaultText faults = FaultText::quoting) {
    Http1Upstream& stream = open(faults);
    exchange_.request.method = "GET";
    BodySink& sink =
        stream.begin({exchange_, "h.test", Framing::none, std::nullopt, sensitive}, pause_);
    sink.end({});
    std::size_t moved = 0;
    EXPECT_EQ(sink.write(moved), BodySink::Step::written);
    return stream;
  }
  void send_request(std::string_view method, Sent sent) {
    exchange_.request.method = method;
    BodySink& sink = stream_->begin({exchange_, "h.test", Framing::length, 5, false}, pause_);
    EXPECT_FALSE(stream_->sent());
    std::size_t moved = 0;
    const bool all = sent == Sent::whole || sent == Sent::whole_and_forgotten;
    if (all || sent == Sent::composed || sent == Sent::none_forgotten) {
      EXPECT_EQ(sink.take("hello"), BodySink::Taken::copied);
      sink.end({});
    }
    const bool writes = all || sent == Sent::head_alone || sent == Sent::half_forgotten;
    if (writes) EXPECT_EQ(sink.write(moved), BodySink::Step::written);
    if (sent == Sent::half_forgotten) {
      EXPECT_EQ(sink.take("hel"), BodySink::Taken::held);
    }
    const bool forgotten = sent == Sent::whole_and_forgotten || sent == Sent::half_forgotten ||
                           sent == Sent::none_forgotten;
    if (forgotten) sink.forget();
    EXPECT_EQ(stream_->sent(), all);
  }
  /// Reads on until there is a final answer or nothing more; interim answers go to `interim_`.
  Step read() {
    while (true) {
      settle();
      std::size_t moved = 0;
      const Step step = stream_->read_head(head_, moved);
      EXPECT_TRUE(moved == 0 || stream_->answered());
      moved_ += moved;
      if (step == Step::interim) {
        interim_ += std::to_string(head_.status) + " ";
        for (const Field& field : head_.headers.all()) interim_.append(field.value).append(" ");
        stream_->pass_interim();
      } else if (step != Step::moved) {
        return step;
      }
    }
  }
  Step come(std::string_view bytes) {
    peer_->send(bytes);
    return read();
  }
  /// The body of the answer whose head was read, to its end; `end`: why there is no more.
  std::string body(BodySource& source, BodySource::Step& end) {
    std::string all;
    while (true) {
      settle();
      std::string_view bytes;
      end = source.read(bytes);
      if (end != BodySource::Step::bytes) return all;
      all.append(bytes);
      source.consume(bytes.size());
    }
  }
  BodySource& answer(std::string_view method = "GET") {
    const ResponseChecks checks = stream_->check(head_, method);
    EXPECT_EQ(checks.error, "");
    return stream_->answer(head_, checks.framing);
  }
  static bool resets_on_close(Connection& connection) {
    linger how{};
    socklen_t size = sizeof how;
    ::getsockopt(connection.stream().descriptor(), SOL_SOCKET, SO_LINGER, &how, &size);
    return how.l_onoff != 0 && how.l_linger == 0;
  }

  SecretPages pages_;
  BufferPool buffers_;
  Pause pause_{loop_};
  transforms::Exchange exchange_;
  Connection* slot_ = nullptr;
  SocketEnds* peer_ = nullptr;
  UpstreamConnection* connection_ = nullptr;
  Response head_;
  std::string interim_;
  std::size_t moved_ = 0;
  std::optional<Http1Upstream> stream_;
};

}  // namespace iron::proxy
