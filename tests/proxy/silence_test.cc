#include "proxy/net/silence.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

using std::chrono::seconds;
using Waits = Direction::Waits;
const SteadyTime kBegin{std::chrono::hours(1)};
const Silence kSilence(seconds(60), std::chrono::hours(1));

SteadyTime at(int later) { return kBegin + seconds(later); }

TEST(Silence, WhoIsSilentAndForHowLong) {
  struct Case {
    Direction up, down;
    SteadyTime deadline;
    const char* text;
  };
  const Case cases[] = {
      {{Waits::ended, at(0)},
       {Waits::for_bytes, at(5)},
       at(3605),
       "no byte from upstream for 1h0m0s (proxy.limits.quiet_timeout)"},
      {{Waits::for_bytes, at(0)},
       {Waits::for_bytes, at(5)},
       at(3605),
       "no byte from either side for 1h0m0s (proxy.limits.quiet_timeout)"},
      {{Waits::for_bytes, at(7)},
       {Waits::ended, at(5)},
       at(3607),
       "no byte from client for 1h0m0s (proxy.limits.quiet_timeout)"},
      {{Waits::for_bytes, at(50)},
       {Waits::for_room, at(5)},
       at(65),
       "client took no byte for 1m0s (proxy.limits.stall_timeout)"},
      {{Waits::for_room, at(5)},
       {Waits::for_bytes, at(50)},
       at(65),
       "upstream took no byte for 1m0s (proxy.limits.stall_timeout)"},
      {{Waits::for_room, at(5)},
       {Waits::for_room, at(6)},
       at(65),
       "upstream took no byte for 1m0s (proxy.limits.stall_timeout)"},
  };
  for (const Case& row : cases) {
    EXPECT_EQ(kSilence.deadline(row.up, row.down), row.deadline) << row.text;
    EXPECT_EQ(kSilence.text(row.up, row.down), row.text);
  }
}

TEST(Silence, NothingIsAwaited) {
  EXPECT_EQ(kSilence.deadline({Waits::ended, at(0)}, {Waits::ended, at(0)}), SteadyTime::max());
}

TEST(Silence, WithoutALimitOnQuietAPeerMustStillTakeWhatIsThere) {
  const Silence patient(seconds(60), policy::Duration::max());
  EXPECT_EQ(patient.deadline({Waits::ended, at(0)}, {Waits::for_bytes, at(0)}), SteadyTime::max());
  EXPECT_EQ(patient.deadline({Waits::ended, at(0)}, {Waits::for_room, at(1)}), at(61));
}

}  // namespace
}  // namespace iron::proxy
