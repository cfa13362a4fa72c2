#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/dns/message.h"
namespace iron::proxy::dns {
namespace {

using policy::IpAddress;
using testing::ElementsAre;

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

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<std::uint8_t>(c) >> 4];
    out += kDigits[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}

const std::string kWww = "03777777076578616d706c6503636f6d00";

TEST(DnsMessage, AnswersAsRecorded) {
  const auto received = parse_query(unhex("1234 0100 0001 0000 0000 0000" + kWww + "0001 0001"));
  ASSERT_EQ(received.kind, ReceivedQuery::Kind::answer);
  const AnswerRecord record{kTypeA, unhex("7f000001")};
  EXPECT_EQ(hex(render_answer(received.query, Rcode::no_error, {&record, 1}, 512)),
            "123485000001000100000000" + kWww + "00010001" + kWww + "000100010000003c00047f000001");
  EXPECT_EQ(hex(render_answer(received.query, Rcode::no_such_name, {}, 512)),
            "123485030001000000000000" + kWww + "00010001");
}

TEST(DnsMessage, AnswerFlagsFollowTheQuery) {
  const struct {
    const char *query, *answer;
  } cases[] = {
      {"0100", "8500"}, {"0000", "8400"}, {"0130", "8510"}, {"2100", "a500"},  // NOTIFY
  };
  for (const auto& c : cases) {
    const auto received =
        parse_query(unhex("0001" + std::string(c.query) + "0001 0000 0000 0000 00 0001 0001"));
    ASSERT_EQ(received.kind, ReceivedQuery::Kind::answer) << c.query;
    EXPECT_EQ(hex(render_answer(received.query, Rcode::no_error, {}, 512)).substr(4, 4), c.answer);
  }
}

TEST(DnsMessage, RefusesWithAHeaderAlone) {
  const std::string question = kWww + "00010001";
  const struct {
    const char* why;
    std::string query, answer;
  } cases[] = {
      {"two questions", "1234 0100 0002 0000 0000 0000" + question + question,
       "123481010000000000000000"},
      {"no question", "1234 0100 0000 0000 0000 0000", "123481010000000000000000"},
      {"STATUS", "1234 1000 0001 0000 0000 0000" + question, "123490040000000000000000"},
      {"UPDATE", "1234 2800 0001 0000 0000 0000" + question, "1234a8040000000000000000"},
      {"cut name", "1234 0100 0001 0000 0000 0000 03777777", "123481010000000000000000"},
      {"cut type", "1234 0100 0001 0000 0000 0000 00 00", "123481010000000000000000"},
      {"label of 64", "1234 0100 0001 0000 0000 0000 40" + std::string(128, '6') + "00 0001 0001",
       "123481010000000000000000"},
      {"pointer to itself", "1234 0100 0001 0000 0000 0000 c00c 0001 0001",
       "123481010000000000000000"},
      {"answers", "1234 0100 0001 0002 0000 0000" + question, "123481010000000000000000"},
      {"authorities", "1234 0100 0001 0000 0002 0000" + question, "123481010000000000000000"},
      {"additionals", "1234 0100 0001 0000 0000 0003" + question, "123481010000000000000000"},
      {"cut record", "1234 0100 0001 0000 0000 0001" + question + "00 0029",
       "123481010000000000000000"},
  };
  for (const auto& c : cases) {
    const auto received = parse_query(unhex(c.query));
    ASSERT_EQ(received.kind, ReceivedQuery::Kind::refuse) << c.why;
    EXPECT_EQ(hex(render_refusal(received.query, received.rcode)), c.answer) << c.why;
  }
}

TEST(DnsMessage, RefusesOtherClassesAndRepeatsTheQuestion) {
  for (const std::string klass : {"0003", "0004", "00fe", "00ff", "0000", "0002", "8001"}) {
    const std::string question = kWww + "0001" + klass;
    const auto received = parse_query(unhex("1234 0110 0001 0000 0000 0000" + question));
    ASSERT_EQ(received.kind, ReceivedQuery::Kind::refuse) << klass;
    EXPECT_EQ(hex(render_refusal(received.query, received.rcode)),
              "123481150001000000000000" + question);
  }
  // A message that is malformed is that first; a NOTIFY keeps its opcode.
  EXPECT_EQ(parse_query(unhex("1234 0100 0001 0000 0000 0001" + kWww + "0001 0003 00 0029")).rcode,
            Rcode::format_error);
  const auto notify = parse_query(unhex("1234 2000 0001 0000 0000 0000 00 0006 0003"));
  EXPECT_EQ(hex(render_refusal(notify.query, notify.rcode)),
            "1234a0050001000000000000"
            "0000060003");
}

TEST(DnsMessage, IgnoresAnswersAndScraps) {
  for (const std::string query :
       {"", "12", "1234 0100 0001 0000 0000 00", "1234 8100 0001 0000 0000 0000 00 0001 0001"}) {
    EXPECT_EQ(parse_query(unhex(query)).kind, ReceivedQuery::Kind::ignore) << query;
  }
}

TEST(DnsMessage, TrailingBytesAndEdnsDoNotMatter) {
  const std::string head = "1234 0100 0001 0000 0000 000", question = "00 0001 0001";
  const struct {
    std::string query;
    std::size_t limit;
  } cases[] = {
      {head + "0" + question + "ffffff", 512},
      {head + "1" + question, 512},
      {head + "1" + question + "00 0029 04d0 00000000 0000", 1232},
      {head + "1" + question + "00 0029 0100 00000000 0000", 512},
      {head + "1" + question + "00 0029 ffff 00ff0000 0000", 1232},
  };
  for (const auto& c : cases) {
    const auto received = parse_query(unhex(c.query));
    EXPECT_EQ(received.kind, ReceivedQuery::Kind::answer) << c.query;
    EXPECT_EQ(received.query.udp_limit, c.limit) << c.query;
  }
}

TEST(DnsMessage, AnAnswerThatIsTooLongIsCut) {
  const auto received = parse_query(unhex("1234 0100 0001 0000 0000 0000" + kWww + "0001 0001"));
  const std::vector<AnswerRecord> records(20, AnswerRecord{kTypeA, unhex("7f000001")});
  const std::string whole = render_answer(received.query, Rcode::no_error, records, 65535);
  EXPECT_EQ(whole.size(), 12u + 21 + 20 * 31);
  EXPECT_EQ(render_answer(received.query, Rcode::no_error, records, whole.size()), whole);
  EXPECT_EQ(hex(render_answer(received.query, Rcode::no_error, records, whole.size() - 1)),
            "123487000001000000000000" + kWww + "00010001");
}

TEST(DnsMessage, Names) {
  EXPECT_EQ(wire_name("www.Example.com"), unhex("03777777074578616d706c6503636f6d00"));
  EXPECT_EQ(wire_name("com."), unhex("03636f6d00"));
  EXPECT_EQ(wire_name("."), unhex("00"));
  EXPECT_EQ(wire_name("a..b"), std::nullopt);
  EXPECT_EQ(wire_name("a.."), std::nullopt);
  EXPECT_EQ(wire_name(".a"), std::nullopt);
  EXPECT_EQ(wire_name(std::string(64, 'a')), std::nullopt);
  std::string longest;
  for (int i = 0; i < 3; ++i) longest += std::string(63, 'a') + ".";
  EXPECT_TRUE(wire_name(longest + std::string(61, 'a')));
  EXPECT_FALSE(wire_name(longest + std::string(62, 'a')));
  EXPECT_EQ(name_text(unhex("0357577703636F4D00")), "www.com.");
  EXPECT_EQ(name_text(unhex("00")), ".");
  EXPECT_EQ(name_text(unhex("05 612e620aff 00")), "a\\.b\\010\\255.");
}

TEST(DnsMessage, LookupsAreRecursiveWithEdns) {
  EXPECT_EQ(hex(render_lookup(0xbeef, *wire_name("a.b"), kTypeAaaa)),
            "beef01000001000000000001"
            "0161016200"
            "001c0001"
            "0000290"
            "4d0000000000000");
}

std::string lookup_answer(const std::string& flags, int answers, const std::string& rest) {
  const std::string count{"0123456789"[answers]};
  return unhex("beef" + flags + "0001 000" + count + "0000 0000 0161016200 0001 0001" + rest);
}

TEST(DnsMessage, ReadsAddressesBehindAliases) {
  const std::string name = *wire_name("A.B");
  const auto answer = parse_lookup(lookup_answer("8180", 3,
                                                 "c00c 0005 0001 0000003c 0002 c00e"
                                                 "c00e 0001 0001 0000003c 0004 0a000001"
                                                 "c00e 0001 0001 0000003c 0004 0a000002"),
                                   0xbeef, name, kTypeA);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->malformed);
  EXPECT_THAT(answer->addresses,
              ElementsAre(IpAddress::v4({10, 0, 0, 1}), IpAddress::v4({10, 0, 0, 2})));
}

TEST(DnsMessage, TheTimeToLiveIsTheLeastOfAllRecords) {
  const struct {
    const char* why;
    int answers;
    const char* records;
    std::uint32_t ttl;
  } cases[] = {
      {"one", 1, "c00c 0001 0001 0000003c 0004 0a000001", 60},
      {"two", 2, "c00c 0001 0001 0000003c 0004 0a000001 c00c 0001 0001 00000005 0004 0a000002", 5},
      {"an alias", 2, "c00c 0005 0001 00000007 0002 c00e c00e 0001 0001 0000003c 0004 0a000001", 7},
      {"behind it", 2, "c00c 0005 0001 0000003c 0002 c00e c00e 0001 0001 00000008 0004 0a000001",
       8},
      {"none", 1, "c00c 0001 0001 00000000 0004 0a000001", 0},
      {"longest", 1, "c00c 0001 0001 7fffffff 0004 0a000001", 0x7fffffff},
      {"RFC 2181 section 8", 1, "c00c 0001 0001 80000001 0004 0a000001", 0},
      {"an alias alone", 1, "c00c 0005 0001 00000007 0002 c00e", 7},
      {"no records", 0, "", 0xffffffff},
  };
  for (const auto& c : cases) {
    const auto answer = parse_lookup(lookup_answer("8180", c.answers, c.records), 0xbeef,
                                     *wire_name("a.b"), kTypeA);
    ASSERT_TRUE(answer && !answer->malformed) << c.why;
    EXPECT_EQ(answer->ttl, c.ttl) << c.why;
  }
}

TEST(DnsMessage, TakesOnlyAnswersToItsQuestion) {
  const std::string name = *wire_name("a.b");
  const std::string good = lookup_answer("8180", 0, "");
  EXPECT_TRUE(parse_lookup(good, 0xbeef, name, kTypeA));
  EXPECT_FALSE(parse_lookup(good, 0xbeee, name, kTypeA));
  EXPECT_FALSE(parse_lookup(good, 0xbeef, *wire_name("a.c"), kTypeA));
  EXPECT_FALSE(parse_lookup(good, 0xbeef, name, kTypeAaaa));
  EXPECT_FALSE(parse_lookup(lookup_answer("0180", 0, ""), 0xbeef, name, kTypeA));
  EXPECT_FALSE(parse_lookup(good.substr(0, 20), 0xbeef, name, kTypeA));
  EXPECT_FALSE(parse_lookup("", 0xbeef, name, kTypeA));
}

TEST(DnsMessage, NoticesBrokenAnswers) {
  const std::string name = *wire_name("a.b");
  const struct {
    const char* why;
    std::string packet;
  } cases[] = {
      {"loop", lookup_answer("8180", 1, "c015 0001 0001 0000003c 0004 0a000001")},
      {"forward pointer", lookup_answer("8180", 1, "c0ff 0001 0001 0000003c 0004 0a000001")},
      {"cut", lookup_answer("8180", 2, "c00c 0001 0001 0000003c 0004 0a000001")},
      {"wrong size", lookup_answer("8180", 1, "c00c 0001 0001 0000003c 0003 0a0000")},
  };
  for (const auto& c : cases) {
    const auto answer = parse_lookup(c.packet, 0xbeef, name, kTypeA);
    ASSERT_TRUE(answer) << c.why;
    EXPECT_TRUE(answer->malformed) << c.why;
  }
}

TEST(DnsMessage, ReportsCodesCutsAndReferrals) {
  const std::string name = *wire_name("a.b");
  EXPECT_EQ(parse_lookup(lookup_answer("8183", 0, ""), 0xbeef, name, kTypeA)->rcode, 3);
  EXPECT_TRUE(parse_lookup(lookup_answer("8380", 9, ""), 0xbeef, name, kTypeA)->truncated);
  EXPECT_TRUE(parse_lookup(lookup_answer("8100", 0, ""), 0xbeef, name, kTypeA)->lame);
  EXPECT_FALSE(parse_lookup(lookup_answer("8180", 0, ""), 0xbeef, name, kTypeA)->lame);
  EXPECT_FALSE(parse_lookup(lookup_answer("8500", 0, ""), 0xbeef, name, kTypeA)->lame);
}

}  // namespace
}  // namespace iron::proxy::dns
