#include "proxy/net/client.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/net/upstream_pool.h"
#include "tests/proxy/client_rig.h"
#include "tests/tls/stream_pair.h"

namespace iron::proxy {
namespace {

/// A client and nothing else; its connection is the test's.
struct BareClient : Client {
  using Client::Client;
  using Client::upstream;
};

class ClientTest : public ClientRig {
 protected:
  BareClient& connect(Entry entry = Entry::tunnel) {
    bare_.reset();
    connection_.reset();
    const auto ends = tls::test::connected_pair();
    far_.emplace(ends.second);
    connection_.emplace(loop_, ends.first);
    return bare_.emplace(*recorder_, *connection_, entry,
                         Peer{policy::IpAddress::v4({192, 0, 2, 7}), 5000});
  }
  static std::unique_ptr<Tunnel> tunnel_to(const std::string& target) {
    auto tunnel = std::make_unique<Tunnel>();
    tunnel->target = target;
    tunnel->authority = *policy::Authority::parse(target);
    tunnel->rendered = "\"tunnel\":{\"target\":\"" + target + "\"}";
    return tunnel;
  }
  std::string recorded() {
    settle();
    return records_.take();
  }

  std::optional<tls::Stream> far_;
  std::optional<Connection> connection_;
  std::optional<BareClient> bare_;
};

TEST_F(ClientTest, SaysWhoseItIs) {
  for (const Entry entry : {Entry::http, Entry::https, Entry::tunnel}) {
    const BareClient& client = connect(entry);
    EXPECT_EQ(client.entry(), entry);
    EXPECT_EQ(client.peer().port, 5000);
    EXPECT_EQ(client.remote_address(), "192.0.2.7:5000");
    EXPECT_FALSE(client.over_tls());
    EXPECT_EQ(client.tunnel(), nullptr);
  }
}

TEST_F(ClientTest, SaysThereIsNoTlsAndNoTunnelWhereThereIsNone) {
  BareClient& client = connect();
  const ClientFacts facts = client.facts();
  EXPECT_EQ(facts.remote_address, "192.0.2.7:5000");
  EXPECT_FALSE(facts.over_tls);
  EXPECT_EQ(facts.sni, "");
  EXPECT_EQ(facts.server_name, "");
  EXPECT_EQ(facts.tunnel, nullptr);
  const Arrival arrival = client.arrival();
  EXPECT_EQ(&arrival.recorded, &client.recorded());
  EXPECT_EQ(arrival.address, client.peer().address);
  EXPECT_EQ(arrival.remote_addr, "192.0.2.7:5000");
  EXPECT_EQ(arrival.sni, "");
  EXPECT_EQ(arrival.tunnel, "");
  EXPECT_FALSE(arrival.tls.has_value());
}

TEST_F(ClientTest, SaysWhatItsTlsIs) {
  tls::test::Authority authority;
  const tls::ServerContext server;
  const tls::UpstreamContext trusting(authority.trust());
  const auto sessions = std::make_shared<tls::SessionStore>();
  for (const bool resumed : {false, true}) {
    BareClient& client = connect(Entry::https);
    tls::Stream& near = connection_->stream();
    near.start_server(server, authority.leaves(), {});
    SSL_SESSION* const ticket = sessions->take();
    ASSERT_TRUE(far_->start_client(trusting, "H.test", false, ticket, sessions).has_value());
    SSL_SESSION_free(ticket);
    ASSERT_EQ(tls::test::shake(near, *far_, authority.leaves()).client, Io::ok);
    tls::test::write_everything(near, "x");
    EXPECT_EQ(tls::test::read_exactly(*far_, 1), "x");
    EXPECT_TRUE(client.over_tls());
    const ClientFacts facts = client.facts();
    EXPECT_TRUE(facts.over_tls);
    EXPECT_EQ(facts.sni, "H.test");
    EXPECT_EQ(facts.server_name, "h.test");
    const Arrival arrival = client.arrival();
    EXPECT_EQ(arrival.sni, "H.test");
    ASSERT_TRUE(arrival.tls.has_value());
    EXPECT_EQ(arrival.tls->version, "1.3");
    EXPECT_EQ(arrival.tls->resumed, resumed);
  }
}

TEST_F(ClientTest, SaysWhichVersionOfTlsItSpeaks) {
  tls::test::Authority authority;
  const tls::ServerContext server;
  BareClient& client = connect(Entry::https);
  const auto ends = tls::test::connected_pair();
  connection_.emplace(loop_, ends.first);
  connection_->stream().start_server(server, authority.leaves(), {});
  tls::test::PlainClient far(ends.second);
  far.set_sni("h.test");
  ASSERT_EQ(SSL_set_max_proto_version(far.ssl(), TLS1_2_VERSION), 1);
  ASSERT_EQ(far.shake_with(connection_->stream(), authority.leaves()).server, Io::ok);
  ASSERT_TRUE(client.arrival().tls.has_value());
  EXPECT_EQ(client.arrival().tls->version, "1.2");
}

TEST_F(ClientTest, SaysWhichTunnelItIsIn) {
  BareClient& client = connect();
  client.set_tunnel(tunnel_to("a.test:443"));
  ASSERT_NE(client.tunnel(), nullptr);
  EXPECT_EQ(client.facts().tunnel, &client.tunnel()->authority);
  EXPECT_EQ(client.arrival().tunnel, "\"tunnel\":{\"target\":\"a.test:443\"}");
  client.set_tunnel(nullptr);
  EXPECT_EQ(client.facts().tunnel, nullptr);
  EXPECT_EQ(client.arrival().tunnel, "");
}

TEST_F(ClientTest, ATunnelIsUsedByItsFirstRequest) {
  BareClient& client = connect();
  client.note_request();  // there is none
  client.set_tunnel(std::make_unique<Tunnel>());
  EXPECT_FALSE(client.tunnel()->used);
  client.note_request();
  EXPECT_TRUE(client.tunnel()->used);
}

TEST_F(ClientTest, ARefusalInATunnelIsThatOfItsTarget) {
  BareClient& client = connect();
  const struct {
    bool tunnel;
    std::string_view host, recorded;
  } rows[] = {{false, "", "\"host\":\"\""},
              {false, "h.test", "\"host\":\"h.test\""},
              {true, "", "\"host\":\"a.test:443\""},
              {true, "h.test", "\"host\":\"h.test\""}};
  for (const auto& row : rows) {
    client.set_tunnel(row.tunnel ? tunnel_to("a.test:443") : nullptr);
    Refusal refusal;
    refusal.host = row.host;
    refusal.method = "BREW";
    refusal.error = "malformed request";
    client.record_refusal(refusal);
    const std::string line = recorded();
    EXPECT_NE(line.find(row.recorded), line.npos) << line;
    EXPECT_NE(line.find("\"method\":\"BREW\""), line.npos) << line;
    EXPECT_NE(line.find("\"error\":\"malformed request\""), line.npos) << line;
    EXPECT_NE(line.find("\"remote_addr\":\"192.0.2.7:5000\""), line.npos) << line;
    EXPECT_EQ(line.find("\"tunnel\":{\"target\":\"a.test:443\"}") != line.npos, row.tunnel) << line;
  }
}

TEST_F(ClientTest, ItsRefusalsCountForItsAddress) {
  BareClient& client = connect();
  std::size_t lines = 0;
  for (int i = 0; i < 10'000; ++i) {
    client.record_refusal({});
    if (recorded().empty()) break;
    ++lines;
  }
  ASSERT_LT(lines, 10'000U) << "there is no limit";
  BareClient other(*recorder_, *connection_, Entry::tunnel,
                   Peer{policy::IpAddress::v4({192, 0, 2, 8}), 5000});
  other.record_refusal({});
  EXPECT_NE(recorded(), "");
}

TEST_F(ClientTest, WhatItWasRecordedOfIsAwaited) {
  BareClient& client = connect();
  recorder_->batch().request_began();
  recorder_->batch().request_began();  // two share a write at the end of the turn
  client.record_refusal({});
  bool done = false;
  const auto wait = [&]() -> Task<void> {
    co_await client.recorded();
    done = true;
  };
  spawn(wait());
  EXPECT_FALSE(done);
  EXPECT_NE(recorded(), "");
  EXPECT_TRUE(done);
}

TEST_F(ClientTest, HoldsWhatWorksForItAndWhatIsItsOwn) {
  BareClient& client = connect();
  EXPECT_EQ(client.upstream(), nullptr);
  const auto ends = tls::test::connected_pair();
  const tls::Stream far(ends.second);
  auto upstream = std::make_unique<UpstreamConnection>(loop_, ends.first);
  upstream->key = "k";
  Connection* const works = &upstream->connection;
  upstream->set_user(client.upstream_slot());
  EXPECT_EQ(client.upstream(), works);
  EXPECT_TRUE(client.own_upstreams().empty());
  const auto configuration = std::make_shared<int>();
  client.own_upstreams().keep(std::move(upstream), configuration);
  EXPECT_EQ(client.upstream(), nullptr) << "an idle one works for nobody";
  EXPECT_EQ(client.own_upstreams().size(), 1U);
}

}  // namespace
}  // namespace iron::proxy
