#include "proxy/wait/mailbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class MailboxTest : public WaitTest {};

struct Note final : Message {
  explicit Note(Trail& trail_in) : trail(trail_in) {}
  void deliver() override { trail.emplace_back("note"); }
  Trail& trail;
};

TEST_F(MailboxTest, AMessageIsDeliveredOnceForAllThatSendItAndMayBeSentAgain) {
  Note note(trail_);
  loop_.mailbox().send(note);
  loop_.mailbox().send(note);
  settle();
  EXPECT_EQ(trail_, Trail{"note"});
  loop_.mailbox().send(note);
  settle();
  EXPECT_EQ(trail_, (Trail{"note", "note"}));
}

TEST_F(MailboxTest, AMessageThatIsWithdrawnIsNotDelivered) {
  Note one(trail_), two(trail_), three(trail_);
  Mailbox& mailbox = loop_.mailbox();
  for (Note* gone : {&one, &two, &three}) {
    trail_.clear();
    for (Note* sent : {&one, &two, &three}) mailbox.send(*sent);
    mailbox.withdraw(*gone);
    mailbox.withdraw(*gone);
    loop_.post([this] { trail_.emplace_back("behind"); });
    settle();
    EXPECT_EQ(trail_, (Trail{"note", "note", "behind"}));
  }
}

TEST_F(MailboxTest, ManyThreadsPostAndNothingIsLost) {
  constexpr int kThreads = 4, kEach = 1000;
  int done = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &done] {
      for (int each = 0; each < kEach; ++each) loop_.post([&done] { ++done; });
    });
  }
  while (done < kThreads * kEach) loop_.turn(10s);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, kThreads * kEach);
}

}  // namespace
}  // namespace iron::proxy
