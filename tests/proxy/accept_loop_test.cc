#include "proxy/net/accept_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class AcceptLoopTest : public WaitTest, protected AcceptLoop::Host {
 protected:
  void SetUp() override {
    auto bound = bind_socket("127.0.0.1:0", policy::Transport::tcp);
    ASSERT_TRUE(bound.has_value());
    socket_ = std::move(*bound);
    ASSERT_TRUE(socket_.listen(16));
    AcceptLoop::Host& host = *this;
    accepting_.emplace(loop_, socket_, host, 400ms);
    accepting_->start();
  }
  void TearDown() override {
    accepting_->stop();
    settle();
  }
  /// One more client; its address as the server has to see it.
  std::string connect() {
    const SocketAddress server = SocketAddress::local(socket_.get());
    BoundSocket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), server.get(), server.size), 0);
    clients_.push_back(std::move(client));
    return clients_.back().local_address();
  }

  bool has_room() override {
    ++looks_;
    return room_;
  }
  void take(BoundSocket connection, const SocketAddress& peer) override {
    EXPECT_GE(connection.get(), 0);
    taken_.push_back(peer.text());
  }
  bool give_back(int error) override {
    EXPECT_EQ(error, EMFILE);
    return std::exchange(gives_back_, false);
  }
  void failed(std::exception_ptr) override { ADD_FAILURE() << "it threw"; }

  BoundSocket socket_;
  std::optional<AcceptLoop> accepting_;
  std::vector<BoundSocket> clients_;
  std::vector<std::string> taken_;
  bool room_ = true, gives_back_ = false;
  int looks_ = 0;
};

TEST_F(AcceptLoopTest, TakesOneConnectionInATurn) {
  const std::vector<std::string> all = {connect(), connect(), connect()};
  for (std::size_t turn = 1; turn <= all.size(); ++turn) {
    EXPECT_TRUE(loop_.turn(1s));
    EXPECT_EQ(taken_, std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(turn)));
  }
}

TEST_F(AcceptLoopTest, RestsTwiceAsLongEachTimeUpToItsLongest) {
  room_ = false;
  connect();
  settle();
  EXPECT_EQ(looks_, 1);
  for (const auto rest : {100ms, 200ms, 400ms, 400ms}) {
    const int before = looks_;
    advance(rest - 1ms);
    EXPECT_EQ(looks_, before) << rest.count();
    advance(11ms);  // with the grain of deadlines
    EXPECT_EQ(looks_, before + 1) << rest.count();
  }
  room_ = true;
  advance(411ms);
  EXPECT_EQ(taken_.size(), 1u) << "who waited was not lost";
  room_ = false;
  connect();
  settle();
  const int before = looks_;
  advance(111ms);
  EXPECT_EQ(looks_, before + 1) << "the first rest is short again";
}

TEST_F(AcceptLoopTest, TriesAgainAtOnceWhereSomethingWasGivenBack) {
  room_ = false;
  gives_back_ = true;
  connect();
  settle();
  EXPECT_EQ(looks_, 2);
}

TEST_F(AcceptLoopTest, StopsWhileItWaitsAndWhileItRests) {
  room_ = false;
  connect();
  settle();
  accepting_->stop();
  settle();
  advance(1h);
  EXPECT_EQ(looks_, 1);
}

}  // namespace
}  // namespace iron::proxy
