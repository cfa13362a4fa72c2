#include "proxy/dns/lookup_steps.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iron::proxy::dns {
namespace {

using namespace std::chrono_literals;
using Kind = LookupSteps::Step::Kind;

std::uint16_t next_id = 0;
std::uint16_t count_up() { return ++next_id; }

void put16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

/// An answer to the question in `asked`, a packet of the lookup.
std::string answer_to(const std::string& asked,
                      const std::vector<std::string>& addresses,
                      std::uint32_t ttl = 60,
                      std::uint16_t flags = 0x8180) {
  constexpr std::size_t kHeader = 12, kOpt = 11;
  const std::string question = asked.substr(kHeader, asked.size() - kHeader - kOpt);
  std::string out = asked.substr(0, 2);
  put16(out, flags);
  for (const std::size_t count : {std::size_t{1}, addresses.size(), std::size_t{0}, std::size_t{0}})
    put16(out, count);
  out += question;
  for (const std::string& text : addresses) {
    const auto address = *policy::IpAddress::parse(text);
    const std::size_t size = address.is_v4() ? 4 : 16;
    put16(out, 0xc00c);
    put16(out, address.is_v4() ? kTypeA : kTypeAaaa);
    put16(out, 1);
    put16(out, ttl >> 16);
    put16(out, ttl & 0xffff);
    put16(out, size);
    out.append(address.bytes().begin(), address.bytes().begin() + static_cast<int>(size));
  }
  return out;
}

/// Drives the steps as the sockets would, and writes down what they say.
class Rig {
 public:
  explicit Rig(LookupPlan plan) : steps((next_id = 0, std::move(plan)), now, count_up) {}

  /// Takes steps until they wait; fails those that the case wants to fail.
  void go_on() {
    while (true) {
      auto step = steps.next(now);
      const std::string kind = step.question == 0 ? "A" : "AAAA";
      switch (step.kind) {
        case Kind::open:
          say("open " + steps.server().address.text());
          if (fail_opens-- > 0) steps.open_failed("no route");
          break;
        case Kind::send:
          say(kind + " " + name_text(std::string_view(step.packet).substr(12)));
          asked[step.question] = step.packet;
          if (fail_sends-- > 0) steps.send_failed(step.question, "L", "too big");
          break;
        case Kind::ask_over_tcp:
          say(kind + " by tcp");
          asked[step.question] = step.packet;
          break;
        case Kind::tell:
          EXPECT_FALSE(step.outcome.complete);
          say("tell" + text(step.outcome));
          break;
        case Kind::wait:
          return;
        case Kind::finish:
          EXPECT_TRUE(step.outcome.complete);
          say("finish" + text(step.outcome));
          finished = true;
          return;
      }
    }
  }
  /// The time of the deadline comes, and nothing else.
  void deadline() {
    now = steps.deadline();
    steps.time_over("L", now);
  }

  LookupSteps::Time now = LookupSteps::Time{} + 1h;
  LookupSteps steps;
  std::string asked[2];
  std::string said;
  int fail_opens = 0, fail_sends = 0;
  bool finished = false;

 private:
  void say(const std::string& what) { said += (said.empty() ? "" : ", ") + what; }
  static std::string text(const LookupOutcome& outcome) {
    std::string result;
    for (const auto& address : outcome.addresses) result += " " + address.text();
    if (outcome.ttl) result += " for " + std::to_string(outcome.ttl->count());
    if (!outcome.error.empty()) result += ": " + outcome.error;
    return result;
  }
};

using Event = std::function<void(Rig&)>;
constexpr std::size_t A = 0, AAAA = 1;

Event answers(std::size_t question, std::vector<std::string> addresses, std::uint32_t ttl = 60) {
  return
      [=](Rig& rig) { rig.steps.packet(answer_to(rig.asked[question], addresses, ttl), rig.now); };
}
Event flags(std::size_t question, std::uint16_t value) {
  return [=](Rig& rig) { rig.steps.packet(answer_to(rig.asked[question], {}, 0, value), rig.now); };
}
constexpr std::uint16_t kCut = 0x8380, kNoSuchName = 0x8183, kServFail = 0x8182, kLame = 0x8100;
Event over_tcp(std::size_t question, std::vector<std::string> addresses) {
  return [=](Rig& rig) {
    rig.steps.packet_over_tcp(question, answer_to(rig.asked[question], addresses), rig.now);
  };
}
Event tcp_fails(std::size_t question, LookupSteps::Tcp at) {
  return [=](Rig& rig) { rig.steps.tcp_failed(question, at, "refused"); };
}
Event after(std::chrono::milliseconds time) {
  return [=](Rig& rig) { rig.now += time; };
}
const Event deadline = [](Rig& rig) { rig.deadline(); };
const Event refused = [](Rig& rig) { rig.steps.receive_failed("L", "connection refused"); };
const Event garbage = [](Rig& rig) {
  rig.steps.packet("", rig.now);
  rig.steps.packet("nonsense of some length", rig.now);
  std::string forged = answer_to(rig.asked[A], {"10.6.6.6"});
  forged[0] = static_cast<char>(forged[0] ^ 0x55);  // another id
  rig.steps.packet(forged, rig.now);
  std::string other = answer_to(rig.asked[A], {"10.6.6.6"});
  other[13] = 'x';  // another name
  rig.steps.packet(other, rig.now);
  std::string of_the_other_kind = answer_to(rig.asked[AAAA], {"10.6.6.6"});
  of_the_other_kind.replace(0, 2, rig.asked[A].substr(0, 2));
  rig.steps.packet(of_the_other_kind, rig.now);
  rig.steps.packet_over_tcp(A, answer_to(rig.asked[A], {"10.6.6.6"}), rig.now);  // nobody asked
};

LookupPlan plan(std::vector<std::string> names = {"up.test."}, int servers = 1) {
  LookupPlan result;
  result.name = "up.test";
  result.names = std::move(names);
  for (int i = 1; i <= servers; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    result.servers.push_back({*policy::IpAddress::parse(address), 53, address + ":53"});
  }
  return result;
}

constexpr std::string_view kTry = "open 192.0.2.1, A up.test., AAAA up.test.";

std::string replaced(std::string_view text) {
  std::string result(text);
  if (const auto place = result.find("TRY"); place != result.npos) result.replace(place, 3, kTry);
  if (const auto place = result.find("TRY"); place != result.npos) result.replace(place, 3, kTry);
  return result;
}

TEST(LookupSteps, FollowWhatIsAnswered) {
  const struct {
    const char* why;
    std::vector<Event> events;
    std::string_view said;
  } cases[] = {
      {"both kinds",
       {answers(A, {"10.0.0.1"}), answers(AAAA, {"fd00::1"}, 20)},
       "TRY, finish 10.0.0.1 fd00::1 for 20"},
      {"IPv4 in front, whatever comes first",
       {answers(AAAA, {"fd00::1"}), answers(A, {"10.0.0.1", "10.0.0.2"})},
       "TRY, finish 10.0.0.1 10.0.0.2 fd00::1 for 60"},
      {"none of a kind is an answer",
       {answers(A, {"10.0.0.1"}, 7), answers(AAAA, {})},
       "TRY, finish 10.0.0.1 for 7"},
      {"so is no such name",
       {flags(A, kNoSuchName), answers(AAAA, {"fd00::1"}, 9)},
       "TRY, finish fd00::1 for 9"},
      {"no addresses",
       {answers(A, {}), answers(AAAA, {})},
       "TRY, finish: lookup up.test on 192.0.2.1:53: no such host"},
      {"forged ones are passed over",
       {garbage, answers(A, {"10.0.0.1"}), garbage, answers(AAAA, {})},
       "TRY, finish 10.0.0.1 for 60"},
      {"one kind is told while the other is awaited",
       {answers(A, {"10.0.0.1"}), deadline, answers(AAAA, {"fd00::1"})},
       "TRY, tell 10.0.0.1, finish 10.0.0.1 fd00::1 for 60"},
      {"once",
       {answers(A, {"10.0.0.1"}), deadline, after(10ms), after(10ms), answers(AAAA, {})},
       "TRY, tell 10.0.0.1, finish 10.0.0.1 for 60"},
      {"not when nothing is known",
       {answers(A, {}), after(60ms), answers(AAAA, {"fd00::1"})},
       "TRY, finish fd00::1 for 60"},
      {"not before its time",
       {answers(A, {"10.0.0.1"}), after(49ms), answers(AAAA, {})},
       "TRY, finish 10.0.0.1 for 60"},
      {"answers that are far apart are not kept",
       {answers(A, {"10.0.0.1"}), deadline, after(1001ms), answers(AAAA, {"fd00::1"})},
       "TRY, tell 10.0.0.1, finish 10.0.0.1 fd00::1"},
      {"nor is half an answer",
       {answers(A, {"10.0.0.1"}), flags(AAAA, kServFail), flags(AAAA, kServFail)},
       "TRY, open 192.0.2.1, AAAA up.test., finish 10.0.0.1"},
      {"each try is for what is missing",
       {answers(A, {"10.0.0.1"}), flags(AAAA, kServFail), answers(AAAA, {"fd00::1"})},
       "TRY, open 192.0.2.1, AAAA up.test., finish 10.0.0.1 fd00::1 for 60"},
      {"an answer of the try before does not count",
       {flags(A, kServFail), answers(AAAA, {}),
        [](Rig& rig) {
          std::string old = answer_to(rig.asked[A], {"10.6.6.6"});
          old[1] = 1;  // the first id
          rig.steps.packet(old, rig.now);
        },
        answers(A, {"10.0.0.1"})},
       "TRY, open 192.0.2.1, A up.test., finish 10.0.0.1 for 60"},
      {"servers that fail",
       {flags(A, kServFail), flags(AAAA, kServFail), flags(A, kLame), flags(AAAA, kLame)},
       "TRY, TRY, finish: lookup up.test on 192.0.2.1:53: lame referral"},
      {"a server that is silent",
       {deadline, deadline},
       "TRY, TRY, finish: lookup up.test on 192.0.2.1:53: read udp L->192.0.2.1:53: i/o timeout"},
      {"nobody listens",
       {refused, refused},
       "TRY, TRY, finish: lookup up.test on 192.0.2.1:53: read udp L->192.0.2.1:53: read: "
       "connection refused"},
      {"a cut answer is asked for again",
       {flags(A, kCut), answers(AAAA, {}), over_tcp(A, {"10.0.0.1"})},
       "TRY, A by tcp, finish 10.0.0.1 for 60"},
      {"both are cut",
       {flags(AAAA, kCut), flags(A, kCut), over_tcp(AAAA, {"fd00::1"}), over_tcp(A, {"10.0.0.1"})},
       "TRY, AAAA by tcp, A by tcp, finish 10.0.0.1 fd00::1 for 60"},
      {"cut over TCP too",
       {flags(A, kCut), answers(AAAA, {}),
        [](Rig& rig) {
          rig.steps.packet_over_tcp(A, answer_to(rig.asked[A], {}, 0, kCut), rig.now);
        },
        answers(A, {"10.0.0.1"})},
       "TRY, A by tcp, open 192.0.2.1, A up.test., finish 10.0.0.1 for 60"},
      {"TCP is refused",
       {answers(AAAA, {}), flags(A, kCut), tcp_fails(A, LookupSteps::Tcp::dial), flags(A, kCut),
        tcp_fails(A, LookupSteps::Tcp::dial)},
       "TRY, A by tcp, open 192.0.2.1, A up.test., A by tcp, finish: lookup up.test on "
       "192.0.2.1:53: no such host"},
      {"TCP breaks off",
       {answers(A, {}), flags(AAAA, kCut), tcp_fails(AAAA, LookupSteps::Tcp::write),
        flags(AAAA, kCut), tcp_fails(AAAA, LookupSteps::Tcp::read)},
       "TRY, AAAA by tcp, open 192.0.2.1, AAAA up.test., AAAA by tcp, finish: lookup up.test on "
       "192.0.2.1:53: read tcp 192.0.2.1:53: refused"},
      {"TCP is silent",
       {answers(A, {}), flags(AAAA, kCut), deadline, flags(AAAA, kCut), deadline},
       "TRY, AAAA by tcp, open 192.0.2.1, AAAA up.test., AAAA by tcp, finish: lookup up.test on "
       "192.0.2.1:53: read tcp 192.0.2.1:53: i/o timeout"},
  };
  for (const auto& c : cases) {
    Rig rig(plan());
    rig.go_on();
    for (const Event& event : c.events) {
      EXPECT_FALSE(rig.finished) << c.why;
      event(rig);
      rig.go_on();
    }
    EXPECT_EQ(rig.said, replaced(c.said)) << c.why;
    EXPECT_TRUE(rig.finished) << c.why;
    EXPECT_EQ(rig.steps.next(rig.now).kind, Kind::wait) << "and nothing follows";
  }
}

TEST(LookupSteps, ServersTakeTurns) {
  Rig rig(plan({"up.test."}, 2));
  rig.go_on();
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(rig.finished);
    refused(rig);
    rig.go_on();
  }
  const std::string questions = ", A up.test., AAAA up.test., ";
  const std::string one = "open 192.0.2.1" + questions, two = "open 192.0.2.2" + questions;
  EXPECT_EQ(rig.said, one + two + one + two +
                          "finish: lookup up.test on 192.0.2.2:53: read udp L->192.0.2.2:53: "
                          "read: connection refused");
}

TEST(LookupSteps, WhatCannotBeSentIsAFailedTry) {
  const struct {
    int opens, sends;
    std::string_view said;
  } cases[] = {
      {1, 0, "open 192.0.2.1, TRY"},
      {0, 2, "TRY, TRY"},
      {0, 1, "TRY"},  // the other one is under way
      {2, 0,
       "open 192.0.2.1, open 192.0.2.1, finish: lookup up.test on 192.0.2.1:53: dial udp "
       "192.0.2.1:53: connect: no route"},
      {0, 4,
       "TRY, TRY, finish: lookup up.test on 192.0.2.1:53: write udp L->192.0.2.1:53: write: too "
       "big"},
  };
  for (const auto& c : cases) {
    Rig rig(plan());
    rig.fail_opens = c.opens;
    rig.fail_sends = c.sends;
    rig.go_on();
    EXPECT_EQ(rig.said, replaced(c.said)) << c.opens << " " << c.sends;
  }
}

TEST(LookupSteps, NamesFollowEachOther) {
  const struct {
    const char* why;
    std::vector<std::string> names;
    std::vector<Event> events;
    std::string_view said;
  } cases[] = {
      {"until one has addresses",
       {"up.test.corp.", "up.test."},
       {flags(A, kNoSuchName), flags(AAAA, kNoSuchName), answers(A, {"10.0.0.1"}),
        answers(AAAA, {})},
       "open 192.0.2.1, A up.test.corp., AAAA up.test.corp., TRY, finish 10.0.0.1 for 60"},
      {"what is found behind a failure is not kept",
       {"up.test.corp.", "up.test."},
       {flags(A, kServFail), answers(AAAA, {}), flags(A, kServFail), answers(A, {"10.0.0.1"}),
        answers(AAAA, {})},
       "open 192.0.2.1, A up.test.corp., AAAA up.test.corp., open 192.0.2.1, A up.test.corp., TRY, "
       "finish 10.0.0.1"},
      {"the last one names the fault",
       {"up.test.corp.", "up.test."},
       {answers(A, {}), answers(AAAA, {}), flags(A, kNoSuchName), flags(AAAA, kNoSuchName)},
       "open 192.0.2.1, A up.test.corp., AAAA up.test.corp., TRY, finish: lookup up.test on "
       "192.0.2.1:53: no such host"},
      {"names that are none are passed over",
       {"..", "up.test."},
       {answers(A, {"10.0.0.1"}), answers(AAAA, {})},
       "TRY, finish 10.0.0.1 for 60"},
      {"nothing to ask for", {}, {}, "finish: lookup up.test: no such host"},
  };
  for (const auto& c : cases) {
    Rig rig(plan(c.names));
    rig.go_on();
    for (const Event& event : c.events) {
      event(rig);
      rig.go_on();
    }
    EXPECT_EQ(rig.said, replaced(c.said)) << c.why;
  }
}

TEST(LookupSteps, TimesAreKept) {
  LookupPlan long_plan = plan({"a.test.", "b.test."});
  long_plan.attempts = 100;
  Rig rig(long_plan);
  const auto start = rig.now;
  rig.go_on();
  EXPECT_EQ(rig.steps.deadline(), start + 5s) << "of a try";
  rig.steps.time_over("L", start + 4999ms);
  EXPECT_TRUE(rig.steps.wants_packets()) << "it is not over";
  rig.now += 3s;
  rig.steps.receive_failed("L", "connection refused");
  rig.go_on();
  EXPECT_EQ(rig.steps.deadline(), start + 8s);
  rig.deadline();
  rig.go_on();
  EXPECT_EQ(rig.steps.deadline(), start + 10s) << "of all tries";
  answers(A, {"10.0.0.1"})(rig);
  rig.go_on();
  EXPECT_EQ(rig.steps.deadline(), start + 8050ms) << "of what is known";
  rig.deadline();
  rig.go_on();
  EXPECT_EQ(rig.steps.deadline(), start + 10s);
  rig.deadline();
  rig.go_on();
  EXPECT_TRUE(rig.finished);
  EXPECT_TRUE(rig.said.ends_with("tell 10.0.0.1, finish 10.0.0.1")) << rig.said;
}

TEST(LookupSteps, AfterAllTimeNoOtherNameIsAskedFor) {
  LookupPlan two = plan({"a.test.", "b.test."});
  two.try_limit = two.total_limit = 1s;
  Rig rig(two);
  rig.go_on();
  rig.deadline();
  rig.go_on();
  EXPECT_EQ(rig.said,
            "open 192.0.2.1, A a.test., AAAA a.test., finish: lookup up.test on 192.0.2.1:53: read "
            "udp L->192.0.2.1:53: i/o timeout");
}

TEST(LookupSteps, EachQuestionOfEachTryHasAnIdOfItsOwn) {
  Rig rig(plan());
  rig.go_on();
  const std::string first[] = {rig.asked[A].substr(0, 2), rig.asked[AAAA].substr(0, 2)};
  EXPECT_NE(first[A], first[AAAA]);
  refused(rig);
  rig.go_on();
  for (const std::size_t question : {A, AAAA}) {
    EXPECT_NE(rig.asked[question].substr(0, 2), first[A]);
    EXPECT_NE(rig.asked[question].substr(0, 2), first[AAAA]);
  }
}

TEST(LookupSteps, PacketsAreOfUseWhileSomethingIsAskedByUdp) {
  Rig rig(plan());
  rig.go_on();
  EXPECT_TRUE(rig.steps.wants_packets());
  answers(A, {})(rig);
  EXPECT_TRUE(rig.steps.wants_packets());
  flags(AAAA, kCut)(rig);
  EXPECT_FALSE(rig.steps.wants_packets());
}

}  // namespace
}  // namespace iron::proxy::dns
