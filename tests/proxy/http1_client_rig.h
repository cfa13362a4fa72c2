#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http1/head_parser.h"
#include "proxy/http1/http1_client.h"
#include "tests/proxy/client_rig.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {

/// A client whose request was read, and that the test plays.
class Http1ClientTest : public ClientRig {
 protected:
  using Framing = BodyFraming::Kind;

  ~Http1ClientTest() override {
    loop_.cut_all();
    settle();
  }
  /// A new client, of whose request the head and `here` behind it have come.
  Http1Client& request(std::string_view head, std::string_view here = {}) {
    stream_.reset();
    client_.reset();
    composed_.clear();
    done_ = false;
    told_.reset();
    peer_.emplace();
    make_client(peer_->give_away());
    client_->set_stall_timeout(std::chrono::seconds(60));
    Buffer block = buffers_.take(std::max(head.size(), BufferPool::kSmall));
    block.append(head);
    in_head_ = block.view().data();
    HeadParser parser(HeadParser::Kind::request);
    EXPECT_EQ(parser.parse(block.view(), {}, request_), HeadParser::Status::complete) << head;
    if (!here.empty()) {
      client_->take_input(here.size());
      client_->input().append(here);
    }
    return stream_.emplace(*client_, request_, std::move(block), check_request(request_),
                           composed_);
  }
  /// An exchange that ends with an answer of ours.
  void answer(OwnAnswer answer = {}) {
    spawn(answer_with(std::move(answer)));
    settle();
  }
  Task<void> answer_with(OwnAnswer answer) {
    co_await stream_->answer(answer);
    done_ = true;
  }
  /// The answer `hello` of an origin begins; `whole`: all of it is here.
  BodySink& begin(bool whole, bool sensitive = false) {
    response_ = {200, 1, "OK", {}};
    response_.headers.add("Date", "D");
    response_.headers.add("Content-Length", "5");
    const BodyFraming framing{Framing::length, 5};
    Buffer came = buffers_.take(BufferPool::kSmall);
    came.append(whole ? "hello" : "hell");
    const Http1Body body({client_->connection(), came, buffers_}, framing, ChunkLines::of_origin);
    return stream_->begin(response_, framing, body, {.sensitive = sensitive});
  }
  /// The rest of the answer leaves, and with it the exchange ends.
  void complete(BodySink& sink) {
    if (sink.take("hello") == BodySink::Taken::copied) sink.end({});
    std::size_t moved = 0;
    EXPECT_EQ(sink.write(moved), BodySink::Step::written);
    spawn(end());
    settle();
  }
  Task<void> end() {
    if (!stream_->ended()) co_await stream_->end();
    done_ = true;
  }
  void go_on() {
    told_.reset();
    spawn(tell());
    settle();
  }
  Task<void> tell() { told_ = co_await stream_->go_on(); }
  void send_interim(Response head, bool sensitive = false) {
    told_.reset();
    spawn(tell_interim(std::move(head), sensitive));
    settle();
  }
  Task<void> tell_interim(Response head, bool sensitive) {
    told_ = co_await stream_->send_interim(head, sensitive);
  }
  void switch_protocols(Response head, bool sensitive) {
    told_.reset();
    spawn(tell_switching(std::move(head), sensitive));
    settle();
  }
  Task<void> tell_switching(Response head, bool sensitive) {
    told_ = co_await stream_->switch_protocols(head, sensitive);
  }
  void come(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, 65536);
      peer_->send(part);
      settle();
      bytes.remove_prefix(part.size());
    }
  }
  /// Reads what is here of the body, `most` bytes of it, and consumes all but the last piece's
  /// bytes beyond `most`, as a body does that is not needed any more.
  std::string read_body(std::size_t most) {
    std::string all;
    std::string_view bytes;
    settle();
    while (stream_->body().read(bytes) == BodySource::Step::bytes) {
      const std::size_t wanted = std::min(bytes.size(), most - all.size());
      all.append(bytes.substr(0, wanted));
      if (wanted > 0) stream_->body().consume(wanted);
      if (wanted < bytes.size()) {
        stream_->body().drop();
        break;
      }
      settle();
    }
    return all;
  }
  /// All that is not used of what came.
  std::string unused() {
    settle();
    std::string all(client_->input().view());
    std::array<char, 4096> more{};
    while (true) {
      const IoResult got = client_->connection().read(more);
      if (got.status != Io::ok) return all;
      all.append(more.data(), got.size);
      settle();
    }
  }
  bool resets_on_close() const {
    struct linger how{};
    socklen_t size = sizeof how;
    ::getsockopt(client_->stream().descriptor(), SOL_SOCKET, SO_LINGER, &how, &size);
    return how.l_onoff != 0 && how.l_linger == 0;
  }

  std::optional<SocketEnds> peer_;
  Request request_;
  Response response_;
  std::string composed_;
  const char* in_head_ = nullptr;
  std::optional<Http1Client> stream_;
  bool done_ = false;
  std::optional<bool> told_;
};

}  // namespace iron::proxy
