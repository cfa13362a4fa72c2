#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>

#include "proxy/http/client_stream.h"
#include "proxy/http/upstream_stream.h"
#include "tests/proxy/fake_answer.h"

namespace iron::proxy {

/// A client without a connection, whose request has `body`. Who tests changes what it is, and wakes
/// its pause.
class FakeClient final : public ClientStream {
 public:
  FakeClient(Trail& trail, EventLoop& loop, FakeSource& body, FakeSink& answer)
      : trail_(trail), pause_(loop), body_(body), answer_(answer) {}

  Client& client() override { throw std::logic_error("it is nobody"); }
  Pause& pause() override { return pause_; }
  const BodyFraming& framing() const override { return framing_; }
  BodySource& body() override { return body_; }
  bool logs_connection_in() const override { return false; }
  Task<bool> go_on() override {
    trail_.add("go-on");
    co_return presence != Presence::gone;
  }
  Presence poll() override {
    ++polls;
    return presence;
  }
  bool abandoned() override {
    if (poll() == Presence::half_closed) return pause_.loop().now() >= half_closed_until;
    return presence == Presence::gone;
  }
  SteadyTime half_close_deadline() const override {
    return presence == Presence::half_closed ? half_closed_until : SteadyTime::max();
  }
  bool takes_interim(int status) const override { return status != untaken; }
  Task<bool> send_interim(Response& head, bool sensitive) override {
    trail_.add(sensitive ? "interim!" : "interim:", std::to_string(head.status));
    if (waits_in_interim) co_await pause_;
    co_return presence != Presence::gone;
  }
  BodySink& begin(Response&, const BodyFraming&, const BodySource&, const Terms&) override {
    return answer_;
  }
  bool ended() override { return true; }
  Task<void> end() override {
    trail_.add("client-end");
    co_return;
  }
  Task<void> answer(const OwnAnswer& answer) override {
    trail_.add("answer:", std::to_string(answer.status));
    co_return;
  }
  void reset() override { trail_.add("client-reset"); }
  Task<bool> switch_protocols(Response&, bool) override { throw std::logic_error("no upgrades"); }
  Pipe pipe() override { throw std::logic_error("no upgrades"); }

  Presence presence = Presence::present;
  SteadyTime half_closed_until = SteadyTime::max();
  int untaken = 0;                ///< status of interim answers that it does not take
  bool waits_in_interim = false;  ///< until its pause is woken
  int polls = 0;

 private:
  Trail& trail_;
  Pause pause_;
  FakeSource& body_;
  FakeSink& answer_;
  BodyFraming framing_;
};

/// An origin without a connection. Gives the heads of its script: a status, `+` a part of a head,
/// `-` nothing for now, `failed`.
class FakeUpstream final : public UpstreamStream {
 public:
  FakeUpstream(Trail& trail, FakeSink& request, FakeSource& answer)
      : trail_(trail), request_(request), answer_(answer) {}

  BodySink& begin(const OutgoingHead&, Pause&) override { return request_; }
  bool sent() const override { return request_.ended && !request_.has_pending(); }
  Step read_head(Response& head, std::size_t& moved) override {
    EXPECT_FALSE(interim_) << "read on before the last one was passed";
    const std::string next = heads.empty() ? "-" : heads.front();
    if (!heads.empty()) heads.pop_front();
    if (next == "-") return Step::blocked;
    if (next == "failed") {
      error_ = fail("it failed");
      return Step::failed;
    }
    moved += part;
    answered_ = true;
    if (next == "+") return Step::moved;
    trail_.add("head:", next);
    std::from_chars(next.data(), next.data() + next.size(), head.status);
    interim_ = head.status < 200 && head.status != 101;
    return interim_ ? Step::interim : Step::final;
  }
  void pass_interim() override {
    EXPECT_TRUE(interim_);
    interim_ = false;
    trail_.add("pass");
  }
  const Error& error() const override { return error_; }
  bool answered() const override { return answered_; }
  bool reused() const override { return false; }
  ResponseChecks check(const Response&, std::string_view) override { return {}; }
  BodySource& answer(const Response&, const BodyFraming&) override { return answer_; }
  void belong_to_client() override { trail_.add("belongs"); }
  void reset() override { trail_.add("upstream-reset"); }
  Pipe pipe() override { throw std::logic_error("no upgrades"); }

  std::deque<std::string> heads;
  std::size_t part = 1;  ///< bytes that come at a time

 private:
  Trail& trail_;
  FakeSink& request_;
  FakeSource& answer_;
  Error error_;
  bool interim_ = false, answered_ = false;
};

}  // namespace iron::proxy
