#include "proxy/exchange/upstreams.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/stream_rig.h"

namespace iron::proxy {
namespace {

using Idle = Upstreams::Idle;

const std::string kGet = "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Upstreams of one request for http://10.0.0.1/, with origins that the test plays.
class UpstreamsTest : public StreamTest {
 protected:
  ~UpstreamsTest() override { over(); }

  void begin(const std::string& fields = "") {
    over();
    connect();
    site().pool().clear();
    ask(kGet + fields + "\r\n");
    state_.reset();
    state_.target.host = "10.0.0.1";
    state_.target.port = 80;
    state_.exchange.request = request();
    state_.exchange.raw_path = "/";
    upstreams_.emplace(site(), stream(), state_, site().snapshot());
  }
  void over() { upstreams_.reset(); }

  /// An idle connection to that origin with this address; the last one's end is origin().
  UpstreamPtr connection(const std::string& address, const std::string& host = "10.0.0.1") {
    origins_.push_back(std::make_unique<SocketEnds>());
    auto made = std::make_unique<UpstreamConnection>(site().loop(), origin().give_away());
    made->key = key(host);
    made->address = address;
    return made;
  }
  void add_own(const std::string& address) {
    client().own_upstreams().keep(connection(address), site().snapshot());
    settle();
  }
  void add_to_pool(const std::string& address, const std::string& host = "10.0.0.1") {
    site().pool().put(connection(address, host));
    settle();
  }
  SocketEnds& origin() { return *origins_.back(); }

  /// Whose it was.
  std::string taken(Idle which, bool repeatable = true) {
    return upstreams_->take_idle(which, repeatable) == nullptr ? "none" : state_.upstream_address;
  }
  /// Sends the request, all of it or nothing, and reads an answer to its end.
  void exchange(UpstreamStream& upstream, const std::string& answer, bool sends = true) {
    const OutgoingHead head{state_.exchange, "10.0.0.1", BodyFraming::Kind::none, std::nullopt,
                            false};
    BodySink& sink = upstream.begin(head, client().pause());
    sink.end({});
    std::size_t moved = 0;
    if (sends) EXPECT_EQ(sink.write(moved), BodySink::Step::written);
    origin().send(answer);
    settle();
    UpstreamStream::Step step = UpstreamStream::Step::moved;
    while (step == UpstreamStream::Step::moved) step = upstream.read_head(state_.response, moved);
    ASSERT_EQ(step, UpstreamStream::Step::final) << upstream.error().text;
    const ResponseChecks checks = upstream.check(state_.response, "GET");
    BodySource& body = upstream.answer(state_.response, checks.framing);
    std::string_view bytes;
    while (body.read(bytes) == BodySource::Step::bytes) body.consume(bytes.size());
  }
  /// Where the connection went: how many the client has, and how many all have.
  std::string kept() {
    upstreams_->keep();
    settle();
    return std::to_string(client().own_upstreams().size()) + " own, " +
           std::to_string(site().pool().idle_count()) + " of all";
  }
  void dial() { spawn(dialling()); }

  RequestState state_;
  std::optional<Upstreams> upstreams_;
  std::optional<Result<UpstreamStream*>> dialled_;

 private:
  static std::string key(const std::string& host) {
    UpstreamTarget target;
    target.host = host;
    target.port = 80;
    std::string text;
    UpstreamPool::make_key(target, text);
    return text;
  }
  Task<void> dialling() {
    Result<UpstreamStream*> dialled = co_await upstreams_->dial();
    dialled_ = std::move(dialled);
  }
  std::vector<std::unique_ptr<SocketEnds>> origins_;
};

TEST_F(UpstreamsTest, ItsOwnBeforeThoseOfAll) {
  struct Case {
    bool own, pooled;
    Idle which;
    const char* taken;
  };
  constexpr Case cases[] = {
      {true, true, Idle::any, "own"},    {true, false, Idle::any, "own"},
      {false, true, Idle::any, "all"},   {false, false, Idle::any, "none"},
      {true, true, Idle::own, "own"},    {false, true, Idle::own, "none"},
      {false, false, Idle::own, "none"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.own << row.pooled << static_cast<int>(row.which));
    begin();
    if (row.own) add_own("own");
    if (row.pooled) add_to_pool("all");
    EXPECT_EQ(taken(row.which), row.taken);
  }
}

TEST_F(UpstreamsTest, OnlyThoseToItsTarget) {
  begin();
  add_to_pool("other", "10.0.0.2");
  EXPECT_EQ(taken(Idle::any), "none");
  EXPECT_EQ(site().pool().idle_count(), 1U);
}

TEST_F(UpstreamsTest, WhatCannotBeSentTwiceAsksWhetherItsConnectionLives) {
  for (const bool repeatable : {true, false}) {
    begin();
    add_to_pool("dead");
    origin().close();  // and no loop has seen it
    EXPECT_EQ(taken(Idle::any, repeatable), repeatable ? "dead" : "none");
  }
}

TEST_F(UpstreamsTest, TheClientKnowsWhatWorksForIt) {
  begin();
  add_to_pool("all");
  EXPECT_EQ(*client().upstream_slot(), nullptr);
  ASSERT_EQ(taken(Idle::any), "all");
  EXPECT_NE(*client().upstream_slot(), nullptr);
  upstreams_->drop();
  EXPECT_EQ(*client().upstream_slot(), nullptr);
  EXPECT_TRUE(origin().ended()) << "dropped is closed";
}

TEST_F(UpstreamsTest, TheNextOneTakesThePlaceOfTheLast) {
  begin();
  add_to_pool("all");
  ASSERT_EQ(taken(Idle::any), "all");
  EXPECT_EQ(taken(Idle::any), "none");
  EXPECT_TRUE(origin().ended());
}

TEST_F(UpstreamsTest, GoesBackToWhomItBelongs) {
  struct Case {
    const char* name;
    const char* fields;
    std::string answer;
    bool sends;
    const char* kept;
  };
  const Case cases[] = {
      {"of all", "", kOk, true, "0 own, 1 of all"},
      {"credentials that log the connection in", "Authorization: NTLM TlRMTVNTUAAB\r\n", kOk, true,
       "1 own, 0 of all"},
      {"bytes are left over", "", kOk + "more", true, "0 own, 0 of all"},
      {"the request did not leave", "", kOk, false, "0 own, 0 of all"},
      {"the origin closes", "", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
       true, "0 own, 0 of all"},
      {"an old origin", "", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true,
       "0 own, 0 of all"},
      {"the body ends with the connection", "", "HTTP/1.1 200 OK\r\n\r\nok", true,
       "0 own, 0 of all"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    begin(row.fields);
    add_to_pool("all");
    UpstreamStream* const upstream = upstreams_->take_idle(Idle::any, true);
    ASSERT_NE(upstream, nullptr);
    EXPECT_TRUE(upstream->reused());
    exchange(*upstream, row.answer, row.sends);
    EXPECT_EQ(kept(), row.kept);
    EXPECT_EQ(*client().upstream_slot(), nullptr);
  }
}

TEST_F(UpstreamsTest, WhatBecameTheClientsOwnServesItAgain) {
  begin();
  add_to_pool("all");
  UpstreamStream* const upstream = upstreams_->take_idle(Idle::any, true);
  ASSERT_NE(upstream, nullptr);
  exchange(*upstream, kOk);
  upstream->belong_to_client();
  EXPECT_EQ(kept(), "1 own, 0 of all");
  EXPECT_EQ(taken(Idle::own), "all");
}

TEST_F(UpstreamsTest, NothingGoesBackWhenTheConfigurationChanged) {
  for (const bool own : {false, true}) {
    begin();
    add_to_pool("all");
    UpstreamStream* const upstream = upstreams_->take_idle(Idle::any, true);
    ASSERT_NE(upstream, nullptr);
    exchange(*upstream, kOk);
    if (own) upstream->belong_to_client();
    site().set_snapshot(std::make_shared<Snapshot>());
    upstreams_->keep();
    EXPECT_EQ(site().pool().idle_count(), 0U);
    upstreams_.emplace(site(), stream(), state_, site().snapshot());
    EXPECT_EQ(taken(Idle::any), "none");
    origin().received();
    EXPECT_TRUE(origin().ended());
  }
}

TEST_F(UpstreamsTest, WhereKeysAreSwappedNoAnswerIsQuoted) {
  for (const bool swaps : {false, true}) {
    auto snapshot = std::make_shared<Snapshot>();
    if (swaps) snapshot->config.transforms.push_back({"secrets", policy::parse_yaml("{}")});
    std::vector<policy::ConfigWarning> warnings;
    snapshot->pipeline = std::make_shared<const transforms::Pipeline>(
        snapshot->config, transforms::Services{}, warnings);
    site().set_snapshot(std::move(snapshot));
    begin();
    add_to_pool("all");
    UpstreamStream* const upstream = upstreams_->take_idle(Idle::any, true);
    ASSERT_NE(upstream, nullptr);
    const OutgoingHead head{state_.exchange, "10.0.0.1", BodyFraming::Kind::none, std::nullopt,
                            false};
    upstream->begin(head, client().pause());
    origin().send("an-echo\r\n\r\n");
    settle();
    std::size_t moved = 0;
    while (upstream->read_head(state_.response, moved) == UpstreamStream::Step::moved) {
    }
    EXPECT_EQ(upstream->error().text.find("an-echo") == std::string::npos, swaps)
        << upstream->error().text;
  }
}

/// The same target behind a parent proxy.
class UpstreamsThroughParent : public UpstreamsTest {
 protected:
  void begin_through(const std::string& url) {
    auto snapshot = std::make_shared<Snapshot>();
    policy::Config::Proxy::UpstreamProxy block;
    block.present = true;
    block.http_proxy = policy::ProxyUrl::parse(url);
    snapshot->parents = ParentProxy::of_config(block, environment_);
    site().set_snapshot(std::move(snapshot));
    begin();
    upstreams_->choose();
  }
  void admit() {
    admitted_.reset();
    state_.target.literal = policy::IpAddress::parse(state_.target.host);
    spawn(admitting());
    ASSERT_TRUE(admitted_ && admitted_->has_value());
  }
  Task<void> admitting() {
    Result<void> admitted = co_await upstreams_->admit();
    admitted_ = std::move(admitted);
  }
  void add_forwarding(const std::string& url) {
    UpstreamPtr made = connection("parent");
    UpstreamPool::make_key(state_.target, policy::ProxyUrl::parse(url), false, made->key);
    site().pool().put(std::move(made));
    settle();
  }

  SecretEnvironment environment_;
  std::optional<Result<void>> admitted_;
};

TEST_F(UpstreamsThroughParent, WhatGoesToItAsItIs) {
  struct Case {
    const char* url;
    bool tls, upgrade, forwards;
  };
  constexpr Case cases[] = {
      {"http://p", false, false, true},    {"https://p", false, false, true},
      {"http://p", true, false, false},    {"http://p", false, true, false},
      {"socks5://p", false, false, false}, {"socks5h://p", false, false, false},
      {"ftp://p", false, false, false},    {"", false, false, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.url);
    begin_through(row.url);
    state_.target.tls = row.tls;
    state_.exchange.upgrade = row.upgrade;
    EXPECT_EQ(upstreams_->forwards(), row.forwards);
    EXPECT_EQ(upstreams_->parent_form(), nullptr);
  }
}

TEST_F(UpstreamsThroughParent, AllOriginsShareItsConnections) {
  for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{81}}) {
    begin_through("http://u:p@p");
    state_.target.port = port;
    admit();
    ASSERT_NE(upstreams_->parent_form(), nullptr);
    EXPECT_EQ(upstreams_->parent_form()->origin,
              port == 80 ? "http://10.0.0.1" : "http://10.0.0.1:81");
    EXPECT_EQ(upstreams_->parent_form()->login->password(), "p");
    add_to_pool("direct");
    add_forwarding("http://p");
    EXPECT_EQ(taken(Idle::any), "parent");
  }
}

TEST_F(UpstreamsThroughParent, OneOnWhichAClientLoggedInServesThatOriginAlone) {
  begin_through("http://p");
  admit();
  add_forwarding("http://p");
  UpstreamStream* const upstream = upstreams_->take_idle(Idle::any, true);
  ASSERT_NE(upstream, nullptr);
  exchange(*upstream, kOk);
  upstream->belong_to_client();
  EXPECT_EQ(kept(), "1 own, 0 of all");
  state_.target.port = 81;
  admit();
  EXPECT_EQ(taken(Idle::own), "none");
  state_.target.port = 80;
  admit();
  EXPECT_EQ(taken(Idle::own), "parent");
}

TEST_F(UpstreamsTest, ANewOneIsDialled) {
  const test::Listener listener;
  begin();
  state_.target.host = "127.0.0.1";
  state_.target.literal = policy::IpAddress::parse("127.0.0.1");
  state_.target.port = listener.port();
  EXPECT_EQ(taken(Idle::any), "none");
  dial();
  for (int i = 0; i < 5000 && !dialled_; ++i) site().loop().turn(std::chrono::milliseconds(1));
  ASSERT_TRUE(dialled_ && dialled_->has_value());
  EXPECT_FALSE((**dialled_)->reused());
  EXPECT_EQ(state_.upstream_address, "127.0.0.1:" + std::to_string(listener.port()));
  EXPECT_NE(*client().upstream_slot(), nullptr);
}

TEST_F(UpstreamsTest, ADeniedAddressIsNotDialled) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->deny_list = policy::DenyList({"10.0.0.0/8"}, false);
  site().set_snapshot(std::move(snapshot));
  begin();
  state_.target.literal = policy::IpAddress::parse("10.0.0.1");
  EXPECT_EQ(taken(Idle::any), "none");
  dial();
  settle();
  ASSERT_TRUE(dialled_ && dialled_->has_error());
  EXPECT_EQ(dialled_->error().text,
            "dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in 10.0.0.0/8");
}

}  // namespace
}  // namespace iron::proxy
