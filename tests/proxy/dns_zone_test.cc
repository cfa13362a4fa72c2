#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/dns/zone.h"

namespace iron::proxy::dns {
namespace {

using policy::IpAddress;
using testing::IsEmpty;

std::string unhex(std::string_view text) {
  std::string out;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return out;
}

Query question(std::string_view name, std::uint16_t type) {
  Query query;
  query.name = *wire_name(name);
  query.type = type;
  return query;
}

class ZoneTest : public testing::Test {
 protected:
  static policy::Config::Dns config() {
    policy::Config::Dns dns;
    dns.proxy_ip = "10.99.0.1";
    dns.passthrough = {"*.corp.test", "pass.example"};
    dns.records = {
        {"Static.Example", "A", "10.0.0.5"}, {"alias.example.", "CNAME", "Target.example"},
        {"bad.example", "A", "not-an-ip"},   {"v6.example", "A", "fd00::1"},
        {"twice.example", "A", "10.0.0.6"},  {"twice.example", "CNAME", "x.example"},
        {"kept.example", "A", "10.0.0.7"},   {"kept.example", "A", "nonsense"},
        {"x.corp.test", "A", "10.0.0.8"}};
    return dns;
  }
  std::vector<policy::ConfigWarning> warnings_;
  Zone zone_{config(), warnings_};
};

TEST_F(ZoneTest, Decisions) {
  const std::string proxy = unhex("0a630001");
  const struct {
    const char* name;
    std::uint16_t type;
    Zone::Decision::Kind kind;
    std::uint16_t record_type;
    std::string data;
  } cases[] = {
      {"STATIC.example", kTypeA, Zone::Decision::Kind::static_record, kTypeA, unhex("0a000005")},
      {"static.example", kTypeAaaa, Zone::Decision::Kind::intercept, 0, ""},
      {"alias.example", kTypeCname, Zone::Decision::Kind::static_record, kTypeCname,
       *wire_name("Target.example.")},
      {"alias.example", kTypeA, Zone::Decision::Kind::static_record, kTypeCname,
       *wire_name("Target.example.")},
      {"alias.example", kTypeAaaa, Zone::Decision::Kind::intercept, 0, ""},
      {"bad.example", kTypeA, Zone::Decision::Kind::intercept, kTypeA, proxy},
      {"v6.example", kTypeA, Zone::Decision::Kind::intercept, kTypeA, proxy},
      {"twice.example", kTypeA, Zone::Decision::Kind::static_record, kTypeCname,
       *wire_name("x.example")},
      {"kept.example", kTypeA, Zone::Decision::Kind::static_record, kTypeA, unhex("0a000007")},
      {"a.Corp.test", kTypeA, Zone::Decision::Kind::passthrough, 0, ""},
      {"corp.test", 15, Zone::Decision::Kind::passthrough, 0, ""},
      {"x.corp.test", kTypeA, Zone::Decision::Kind::static_record, kTypeA, unhex("0a000008")},
      {"x.corp.test", kTypeAaaa, Zone::Decision::Kind::passthrough, 0, ""},
      {"other.test", kTypeA, Zone::Decision::Kind::intercept, kTypeA, proxy},
      {"other.test", 255, Zone::Decision::Kind::intercept, 0, ""},
      {".", kTypeA, Zone::Decision::Kind::intercept, kTypeA, proxy},
  };
  for (const auto& c : cases) {
    const Zone::Decision decision = zone_.decide(question(c.name, c.type));
    EXPECT_EQ(decision.kind, c.kind) << c.name << ' ' << c.type;
    ASSERT_EQ(decision.records.size(), c.record_type == 0 ? 0u : 1u) << c.name << ' ' << c.type;
    if (c.record_type == 0) continue;
    EXPECT_EQ(decision.records[0].type, c.record_type) << c.name;
    EXPECT_EQ(decision.records[0].data, c.data) << c.name;
  }
}

TEST_F(ZoneTest, NamesAreFoldedForLogAndLookup) {
  const Zone::Decision decision = zone_.decide(question("A.Corp.Test", kTypeA));
  EXPECT_EQ(decision.name, "a.corp.test.");
  EXPECT_EQ(decision.lookup_name(), "a.corp.test");
}

TEST_F(ZoneTest, WarnsOfRecordsItCanNotServe) {
  ASSERT_EQ(warnings_.size(), 3u);
  EXPECT_EQ(warnings_[0].message, "dns record not used");
  ASSERT_EQ(warnings_[0].attributes.size(), 2u);
  EXPECT_EQ(warnings_[0].attributes[0].name, "name");
  EXPECT_EQ(warnings_[0].attributes[0].text, "bad.example");
  EXPECT_EQ(warnings_[0].attributes[1].name, "value");
  EXPECT_EQ(warnings_[0].attributes[1].text, "not-an-ip");
}

TEST(Zone, ProxyAddressMustBeV4) {
  for (const char* text : {"", "zzz", "::1", "127.0.0.01", "10.0.0.1:53"}) {
    policy::Config::Dns config;
    config.proxy_ip = text;
    std::vector<policy::ConfigWarning> warnings;
    try {
      const Zone zone(config, warnings);
      FAIL() << text;
    } catch (const policy::ConfigError& error) {
      EXPECT_EQ(std::string(error.what()),
                "invalid proxy_ip (must be IPv4): \"" + std::string(text) + "\"");
    }
  }
  policy::Config::Dns config;
  config.proxy_ip = "::ffff:10.0.0.1";
  std::vector<policy::ConfigWarning> warnings;
  const Zone zone(config, warnings);
  EXPECT_EQ(zone.decide(question("x", kTypeA)).records.at(0).data, unhex("0a000001"));
}

TEST(Passthrough, AnswersFollowTheOutcome) {
  using Status = LookupOutcome::Status;
  const IpAddress v4 = IpAddress::v4({10, 3, 3, 3}), v6 = *IpAddress::parse("fd00::1");
  const LookupOutcome found = LookupOutcome::of({v6, v4});
  EXPECT_EQ(passthrough_answer(found, kTypeA).records.size(), 1u);
  EXPECT_EQ(passthrough_answer(found, kTypeA).records[0].data, unhex("0a030303"));
  EXPECT_THAT(passthrough_answer(found, kTypeAaaa).records, IsEmpty());
  const auto rcode_of = [](Status status) {
    return passthrough_answer({status, {}, "why"}, kTypeA).rcode;
  };
  EXPECT_EQ(passthrough_answer(found, kTypeA).rcode, Rcode::no_error);
  EXPECT_EQ(rcode_of(Status::no_addresses), Rcode::no_error);
  EXPECT_EQ(rcode_of(Status::no_such_name), Rcode::no_such_name);
  EXPECT_EQ(rcode_of(Status::failed), Rcode::server_failure);
}

}  // namespace
}  // namespace iron::proxy::dns
