#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http1/http1_client.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/memory_file.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {

/// A site on which no session runs, and a client on it: tests make the streams, turn the loop and
/// move the clock.
class StreamTest : public testing::Test {
 protected:
  StreamTest() : log_(log_options(nowhere_)), resolver_(std::string()) {
    log_.writer().redirect_requests(::dup(record_file_.descriptor()));
    site_.emplace(services_, std::make_shared<Snapshot>(), 1, clock_);
    connect();
  }
  ~StreamTest() override {
    leave();
    site_.reset();
    ::close(nowhere_);
  }

  Site& site() { return *site_; }
  ClientConnection& client() { return *client_; }
  SocketEnds& peer() { return *peer_; }

  /// A new client in the place of the last one.
  void connect() {
    leave();
    peer_.emplace();
    client_.emplace(ClientConnection::Surroundings{.loop = site_->loop(),
                                                   .buffers = site_->buffers(),
                                                   .body_budget = services_.body_budget,
                                                   .recorder = site_->recorder(),
                                                   .released = services_.released},
                    peer_->give_away(), Entry::http, Peer{});
  }
  /// A stream of that client for the request with this head; none is left of the one before.
  Http1Client& ask(std::string head) {
    stream_.reset();
    composed_.clear();
    request_ = {};
    Buffer bytes = site_->buffers().take(BufferPool::kLarge);
    bytes.append(head);
    HeadParser parser(HeadParser::Kind::request);
    EXPECT_EQ(parser.parse(bytes.view(), HeadLimits{}, request_), HeadParser::Status::complete);
    EXPECT_EQ(parser.consumed(), head.size());
    return stream_.emplace(*client_, request_, std::move(bytes), check_request(request_),
                           composed_);
  }
  Http1Client& stream() { return *stream_; }
  const Request& request() const { return request_; }

  void spawn(Task<void> task) {
    start(std::move(task), [](std::exception_ptr) { ADD_FAILURE() << "a coroutine threw"; });
  }
  void settle() {
    while (site_->loop().turn()) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    settle();
    clock_.advance(by);
    settle();
  }
  /// The record lines since the last call.
  std::string records() { return record_file_.take(); }

 private:
  static Log::Options log_options(int descriptor) {
    Log::Options options;
    options.stderr_fd = descriptor;
    options.deferred = true;
    return options;
  }
  void leave() {
    stream_.reset();
    client_.reset();
  }

  test::MemoryFile record_file_;
  const int nowhere_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ManualClock clock_;
  SecretEnvironment environment_;
  Log log_;
  Resolver resolver_;
  RefusalLimiter refusals_;
  Services services_{log_, environment_, resolver_, refusals_};

 protected:
  BodyBudget& budget() { return services_.body_budget; }

 private:
  std::optional<Site> site_;
  std::optional<SocketEnds> peer_;
  std::optional<ClientConnection> client_;
  Request request_;
  std::string composed_;
  std::optional<Http1Client> stream_;
};

}  // namespace iron::proxy
