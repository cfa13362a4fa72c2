#include "policy/match/deny_list.h"

#include <gtest/gtest.h>

#include "policy/config_error.h"
#include "policy/match/special_addresses.h"

namespace iron::policy {
namespace {

const std::vector<std::string> kDefault = {"169.254.169.254/32", "fd00:ec2::254/128", "127.0.0.0/8",
                                           "::1/128"};

/// Text of the denial, or empty.
std::string denied(const DenyList& list, const char* address) {
  const auto parsed = IpAddress::parse(address);
  if (!parsed) return "not an address";
  const auto hit = list.check(*parsed);
  return hit ? denial_text(*hit) : "";
}

std::string hit(const char* address, const char* prefix) {
  return std::string("denied by upstream_deny_cidrs: ") + address + " in " + prefix;
}

struct Row {
  const char* dialled;
  const char* address;  // null: allowed
  const char* prefix;
};

void check_rows(const DenyList& list, const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    const std::string want = row.address == nullptr ? "" : hit(row.address, row.prefix);
    EXPECT_EQ(denied(list, row.dialled), want) << row.dialled;
  }
}

TEST(DenyList, DefaultListSeesThroughEmbeddings) {
  check_rows(DenyList(kDefault), {
                                     {"127.0.0.1", "127.0.0.1", "127.0.0.0/8"},
                                     {"127.255.0.9", "127.255.0.9", "127.0.0.0/8"},
                                     {"::ffff:127.0.0.1", "127.0.0.1", "127.0.0.0/8"},
                                     {"169.254.169.254", "169.254.169.254", "169.254.169.254/32"},
                                     {"169.254.169.253", nullptr, nullptr},
                                     {"fd00:ec2::254", "fd00:ec2::254", "fd00:ec2::254/128"},
                                     {"::1", "::1", "::1/128"},
                                     {"0.0.0.0", "0.0.0.0", "127.0.0.0/8"},
                                     {"0.1.2.3", "0.1.2.3", "127.0.0.0/8"},
                                     {"::", "::", "::1/128"},
                                     {"64:ff9b::7f00:1", "127.0.0.1", "127.0.0.0/8"},
                                     {"64:ff9b::0:0", "0.0.0.0", "127.0.0.0/8"},
                                     {"64:ff9b::808:808", nullptr, nullptr},
                                     {"64:ff9b:1::7f00:1", "127.0.0.1", "127.0.0.0/8"},
                                     {"64:ff9b:1:7f00:0:100::", "127.0.0.1", "127.0.0.0/8"},
                                     {"64:ff9b:1::808:808", nullptr, nullptr},
                                     {"64:ff9b:1:808:8:800::", nullptr, nullptr},
                                     {"64:ff9b:1::", "0.0.0.0", "127.0.0.0/8"},
                                     {"2002:7f00:1::", "127.0.0.1", "127.0.0.0/8"},
                                     {"2002:808:808::1", nullptr, nullptr},
                                     {"2001:0:1::80ff:fffe", "127.0.0.1", "127.0.0.0/8"},
                                     {"2001:0:7f00:1::f7f7:f7f7", nullptr, nullptr},
                                     {"::127.0.0.1", "127.0.0.1", "127.0.0.0/8"},
                                     {"::8.8.8.8", nullptr, nullptr},
                                     {"fe80::5efe:127.0.0.1", "127.0.0.1", "127.0.0.0/8"},
                                     {"2001:db8::200:5efe:127.0.0.1", "127.0.0.1", "127.0.0.0/8"},
                                     {"2001:db8::5efe:8.8.8.8", nullptr, nullptr},
                                     {"2606:4700::1111", nullptr, nullptr},
                                     {"8.8.8.8", nullptr, nullptr},
                                     {"10.0.0.1", nullptr, nullptr},
                                 });
}

TEST(DenyList, UnspecifiedFollowsEitherLoopback) {
  check_rows(DenyList({"127.0.0.1/32"}), {{"::", "::", "127.0.0.1/32"},
                                          {"0.0.0.0", "0.0.0.0", "127.0.0.1/32"},
                                          {"::1", nullptr, nullptr}});
  check_rows(DenyList({"::1/128"}), {{"::", "::", "::1/128"},
                                     {"0.0.0.0", "0.0.0.0", "::1/128"},
                                     {"127.0.0.1", nullptr, nullptr}});
  check_rows(DenyList({"10.0.0.0/8"}), {{"::", nullptr, nullptr}, {"0.0.0.0", nullptr, nullptr}});
}

TEST(DenyList, MetadataServicesGoTogether) {
  const char* google = "fd20:ce::254";
  const Row denied_one{google, google, "fd20:ce::254/128"};
  check_rows(DenyList(kDefault), {denied_one, {"fd20:ce::253", nullptr, nullptr}});
  check_rows(DenyList({"169.254.0.0/16"}), {denied_one});
  check_rows(DenyList({"::ffff:169.254.169.254/128"}), {denied_one});
  check_rows(DenyList({"fd00:ec2::/32"}), {denied_one, {"169.254.169.254", nullptr, nullptr}});
  check_rows(DenyList({"fd20::/16", "fd00:ec2::254/128"}), {{google, google, "fd20::/16"}});
  for (const char* other : {"127.0.0.0/8", "169.254.170.0/24", "fd00:ec2::253/128", "::/128"}) {
    check_rows(DenyList({other}), {{google, nullptr, nullptr}});
  }
}

TEST(DenyList, NeverAcrossFamilies) {
  check_rows(DenyList({"0.0.0.0/0"}),
             {{"::1", nullptr, nullptr}, {"9.9.9.9", "9.9.9.9", "0.0.0.0/0"}});
  check_rows(DenyList({"::/0"}), {{"9.9.9.9", nullptr, nullptr}, {"9::", "9::", "::/0"}});
}

TEST(DenyList, MappedPrefixes) {
  const DenyList inert({"::ffff:0:0/96"});
  check_rows(inert, {{"127.0.0.1", nullptr, nullptr}, {"::ffff:9.9.9.9", nullptr, nullptr}});
  check_rows(DenyList({"::ffff:127.0.0.0/104"}),
             {{"127.9.9.9", "127.9.9.9", "127.0.0.0/8"}, {"128.0.0.1", nullptr, nullptr}});
  check_rows(DenyList({"::ffff:9.9.9.9/128"}), {{"9.9.9.9", "9.9.9.9", "9.9.9.9/32"}});
}

TEST(DenyList, MasksHostBitsAndIgnoresBlanksAround) {
  check_rows(DenyList({" 10.1.2.3/8\t", "2001:db8:ffff::1/33"}),
             {{"10.200.0.1", "10.200.0.1", "10.0.0.0/8"},
              {"2001:db8:8000::", "2001:db8:8000::", "2001:db8:8000::/33"},
              {"2001:db8:7fff::", nullptr, nullptr}});
}

TEST(DenyList, FirstConfiguredPrefixIsNamed) {
  check_rows(DenyList({"10.1.0.0/16", "10.0.0.0/8"}, true),
             {{"10.1.0.1", "10.1.0.1", "10.1.0.0/16"}, {"10.2.0.1", "10.2.0.1", "10.0.0.0/8"}});
}

TEST(DenyList, EmptyAllowsAll) {
  EXPECT_TRUE(DenyList().empty());
  EXPECT_FALSE(DenyList({}, true).empty());
  check_rows(DenyList(), {{"127.0.0.1", nullptr, nullptr}, {"::", nullptr, nullptr}});
}

TEST(DenyList, InvalidEntries) {
  const std::pair<const char*, const char*> cases[] = {
      {"1.2.3.4", "invalid CIDR \"1.2.3.4\": must be CIDR notation, e.g. 1.2.3.4/32 or ::1/128"},
      {"", "empty CIDR entry"},
      {"  ", "empty CIDR entry"},
      {"1.2.3.4/33",
       "invalid CIDR \"1.2.3.4/33\": netip.ParsePrefix(\"1.2.3.4/33\"): prefix length out of "
       "range"},
      {"::/129",
       "invalid CIDR \"::/129\": netip.ParsePrefix(\"::/129\"): prefix length out of range"},
      {"x/8",
       "invalid CIDR \"x/8\": netip.ParsePrefix(\"x/8\"): ParseAddr(\"x\"): unable to parse IP"},
      {"/8", "invalid CIDR \"/8\": netip.ParsePrefix(\"/8\"): ParseAddr(\"\"): unable to parse IP"},
      {"10.0.0.0/08",
       "invalid CIDR \"10.0.0.0/08\": netip.ParsePrefix(\"10.0.0.0/08\"): bad bits after slash: "
       "\"08\""},
      {"10.0.0.0/",
       "invalid CIDR \"10.0.0.0/\": netip.ParsePrefix(\"10.0.0.0/\"): bad bits after slash: \"\""},
      {"10.0.0.0/-1",
       "invalid CIDR \"10.0.0.0/-1\": netip.ParsePrefix(\"10.0.0.0/-1\"): bad bits after slash: "
       "\"-1\""},
      {"fe80::1%lo/64",
       "invalid CIDR \"fe80::1%lo/64\": netip.ParsePrefix(\"fe80::1%lo/64\"): IPv6 zones cannot be "
       "present in a prefix"},
  };
  for (const auto& [entry, text] : cases) {
    try {
      const DenyList list({"10.0.0.0/8", entry});
      ADD_FAILURE() << entry;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.what(), "proxy.upstream_deny_cidrs: " + std::string(text));
    }
  }
}

TEST(SpecialAddresses, Blocks) {
  const std::pair<const char*, const char*> cases[] = {
      {"0.1.2.3", "0.0.0.0/8"},
      {"10.255.255.255", "10.0.0.0/8"},
      {"100.64.0.1", "100.64.0.0/10"},
      {"100.100.100.200", "100.64.0.0/10"},
      {"100.128.0.0", ""},
      {"127.0.0.1", "127.0.0.0/8"},
      {"168.63.129.16", "168.63.129.16/32"},
      {"168.63.129.17", ""},
      {"169.254.170.2", "169.254.0.0/16"},
      {"169.254.170.23", "169.254.0.0/16"},
      {"172.31.255.255", "172.16.0.0/12"},
      {"172.32.0.0", ""},
      {"192.0.0.192", "192.0.0.0/24"},
      {"192.0.0.8", "192.0.0.0/24"},
      {"192.0.0.9", ""},
      {"192.0.0.10", ""},
      {"192.0.2.1", "192.0.2.0/24"},
      {"192.31.196.1", ""},
      {"192.52.193.1", ""},
      {"192.88.99.1", "192.88.99.0/24"},
      {"192.168.1.1", "192.168.0.0/16"},
      {"192.175.48.1", ""},
      {"198.19.0.1", "198.18.0.0/15"},
      {"198.51.100.1", "198.51.100.0/24"},
      {"203.0.113.1", "203.0.113.0/24"},
      {"224.0.0.1", "224.0.0.0/4"},
      {"239.255.255.255", "224.0.0.0/4"},
      {"240.0.0.1", "240.0.0.0/4"},
      {"255.255.255.255", "240.0.0.0/4"},
      {"8.8.8.8", ""},
      {"223.255.255.255", ""},
      {"::", "::/128"},
      {"::1", "::1/128"},
      {"64:ff9b::808:808", ""},
      {"64:ff9b:1::1", "64:ff9b:1::/48"},
      {"100::1", "100::/64"},
      {"100:0:0:1::1", "100:0:0:1::/64"},
      {"2001::1", "2001::/23"},
      {"2001:1::1", ""},
      {"2001:1::3", ""},
      {"2001:1::4", "2001::/23"},
      {"2001:2::1", "2001::/23"},
      {"2001:3::1", ""},
      {"2001:4:112::1", ""},
      {"2001:10::1", "2001::/23"},
      {"2001:20::1", ""},
      {"2001:3f::1", ""},
      {"2001:200::1", ""},
      {"2001:db8::1", "2001:db8::/32"},
      {"2002:808:808::1", "2002::/16"},
      {"2606:4700:4700::1111", ""},
      {"2620:4f:8000::1", ""},
      {"3fff:fff::1", "3fff::/20"},
      {"5f00::1", "5f00::/16"},
      {"fd00:ec2::23", "fc00::/7"},
      {"fe80::1", "fe80::/10"},
      {"fec0::1", "fec0::/10"},
      {"ff02::1", "ff00::/8"},
  };
  for (const auto& [address, block] : cases) {
    const auto found = special_block(*IpAddress::parse(address));
    EXPECT_EQ(found ? found->text() : "", block) << address;
  }
}

TEST(SpecialAddresses, CountInsideEmbeddings) {
  check_rows(DenyList({}, true), {{"64:ff9b::10.0.0.1", "10.0.0.1", "10.0.0.0/8"},
                                  {"64:ff9b::8.8.8.8", nullptr, nullptr},
                                  {"::192.168.0.1", "192.168.0.1", "192.168.0.0/16"}});
}

}  // namespace
}  // namespace iron::policy
