#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/exchange/transfer.h"
#include "proxy/http/answers.h"
#include "tests/proxy/fake_answer.h"
#include "tests/proxy/fake_streams.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
using namespace std::chrono_literals;
/// Two streams without connections and what moves between them. A request without more is `$`, and
/// leaves as `H.`.
class TransferTest : public testing::Test {
 protected:
  using State = Transfer::State;
  using Script = std::deque<std::string>;
  static constexpr auto kTick = 20ms;  ///< to which the loop is exact

  TransferTest() { restart(); }
  ~TransferTest() override { end_all(); }
  void end_all() {
    if (!client_) return;
    // Whoever still sleeps is told to go; nothing of it is looked at.
    if (!done_) {
      upstream_->heads = {"failed"};
      down_source_->here = down_source_->coming = {"lost"};
      down_sink_->blocked = 0;
      wake();
    }
  }
  void restart() {
    end_all();
    transfer_.reset();
    up_.reset();
    down_.reset();
    client_.reset();
    filter_.emplace();
    up_sink_.emplace(trail_, "up.");
    down_sink_.emplace(trail_, "down.");
    up_source_.emplace(trail_, *up_sink_, "up.");
    down_source_.emplace(trail_, *down_sink_, "down.");
    up_source_->here = {"$"};
    client_.emplace(trail_, loop_, *up_source_, *down_sink_);
    upstream_.emplace(trail_, *up_sink_, *down_source_);
    limits_ = {30s, 60s, 90s};
    quiet_ = 90s;
    filtered_ = sensitive_ = false;
    done_ = true;
    result_.reset();
    state_.reset();
    trail_.take();
  }
  /// What the client sends of its body: what is `here`, and what is `coming`.
  void upload(Script here, Script coming) {
    up_source_->here = std::move(here);
    up_source_->coming = std::move(coming);
  }
  void settle() {
    while (loop_.turn()) {
    }
  }
  void wake() {
    client_->pause().wake();
    settle();
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  void spawn(Task<void> task) {
    done_ = false;
    start(std::move(task), [](std::exception_ptr) { FAIL() << "thrown"; });
  }
  void begin_head() {
    up_.emplace(*up_source_, *up_sink_, nullptr, loop_);
    transfer_.emplace(*client_, *upstream_, *up_, limits_);
    spawn(read_head());
  }
  void head() {
    begin_head();
    settle();
  }
  Task<void> read_head() {
    AnswerFilter* const filter = filtered_ ? &*filter_ : nullptr;
    result_ = co_await transfer_->head(response_, filter, sensitive_);
    done_ = true;
  }
  /// The head of the answer came with what is in the scripts of the two; its body begins.
  void begin_body() {
    if (!transfer_) {
      upstream_->heads = {"200"};
      head();
      ASSERT_TRUE(done_ && result_->has_value());
      trail_.take();
    }
    if (!down_) {
      AnswerFilter* const filter = filtered_ ? &*filter_ : nullptr;
      down_.emplace(*down_source_, *down_sink_, filter, loop_);
    }
    state_.reset();
    spawn(move_body());
  }
  void body() {
    begin_body();
    settle();
  }
  Task<void> move_body() {
    state_ = co_await transfer_->body(*down_, quiet_);
    done_ = true;
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Trail trail_;
  std::optional<FakeFilter> filter_;
  std::optional<FakeSink> up_sink_, down_sink_;
  std::optional<FakeSource> up_source_, down_source_;
  std::optional<FakeClient> client_;
  std::optional<FakeUpstream> upstream_;
  Transfer::Limits limits_{};
  policy::Duration quiet_{};
  bool filtered_ = false, sensitive_ = false, done_ = true;
  std::optional<BodyMover> up_, down_;
  std::optional<Transfer> transfer_;
  Response response_;
  std::optional<Result<void>> result_;
  std::optional<State> state_;
};

}  // namespace iron::proxy
