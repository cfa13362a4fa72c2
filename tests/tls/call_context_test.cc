#include "tls/call_context.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/tls/stream_pair.h"
#include "tls/stream.h"

namespace iron::tls {
namespace {

using test::Authority;

class CallContexts : public testing::Test {
 protected:
  /// Whether a server of `of` is believed by who has these settings; `?`: there are none.
  std::string believes(const CallTls& wanted, Authority& of) {
    const auto made = make_call_context(wanted, usual_);
    if (made.has_error()) return "?" + made.error().text;
    const auto ends = test::connected_pair();
    Stream server(ends.first), client(ends.second);
    server.start_server(server_context_, of.leaves(), {});
    EXPECT_TRUE(client.start_client(**made, "h.test", false, nullptr, {}));
    const test::Outcome outcome = test::shake(server, client, of.leaves());
    return outcome.client == Io::ok ? "yes" : "no";
  }
  CallTls anchors_of(Authority& authority, bool add) {
    text_ = "between\n" + test::pem(authority.certificate()) + "behind";
    CallTls wanted;
    wanted.anchors = text_;
    wanted.anchors_add = add;
    return wanted;
  }

  Authority system_{"System CA"}, own_{"Own CA"};
  UpstreamContext usual_{system_.trust()};
  ServerContext server_context_;
  std::string text_;
};

TEST_F(CallContexts, AnchorsStandInThePlaceOfTheUsualOrBesideThem) {
  EXPECT_EQ(believes({}, system_), "yes");
  EXPECT_EQ(believes({}, own_), "no");
  EXPECT_EQ(believes(anchors_of(own_, false), own_), "yes");
  EXPECT_EQ(believes(anchors_of(own_, false), system_), "no");
  EXPECT_EQ(believes(anchors_of(own_, true), own_), "yes");
  EXPECT_EQ(believes(anchors_of(own_, true), system_), "yes");
}

TEST_F(CallContexts, AnchorsThatAreNone) {
  for (const char* text :
       {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    CallTls wanted;
    wanted.anchors = text;
    EXPECT_EQ(believes(wanted, system_), "?tls: the trust anchors hold no certificate") << text;
  }
}

TEST_F(CallContexts, WithoutVerification) {
  CallTls wanted;
  wanted.verifies = false;
  EXPECT_EQ(believes(wanted, own_), "yes");
}

TEST_F(CallContexts, ACertificateNeedsItsKey) {
  const std::string certificate = test::pem(own_.certificate());
  const std::string key = test::pem(test::key_of(test::KeyKind::p256));
  const std::string other = test::pem(test::key_of(test::KeyKind::p384));
  const std::string unusable = "?tls: the client certificate and its key cannot be used";
  CallTls wanted;
  wanted.certificate = certificate;
  wanted.key = key;
  EXPECT_EQ(believes(wanted, system_), "yes");
  wanted.key = other;
  EXPECT_EQ(believes(wanted, system_), unusable);
  wanted.key = {};
  EXPECT_EQ(believes(wanted, system_), unusable);
  wanted.certificate = "x";
  wanted.key = key;
  EXPECT_EQ(believes(wanted, system_), unusable);
}

TEST_F(CallContexts, TheUsualSettingsStayAsTheyAre) {
  EXPECT_EQ(believes(anchors_of(own_, true), own_), "yes");
  EXPECT_EQ(believes({}, own_), "no");
}

}  // namespace
}  // namespace iron::tls
