#include "proxy/log/line_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace iron::proxy {
namespace {

TEST(LineBudget, TellsWhenRequestsWaitAndWhenLinesAreDropped) {
  struct Step {
    int bytes;  ///< released if negative; 0: only asked for room for one more
    bool admitted, full, dropping, urgent;
  };
  struct Case {
    bool drop;
    std::vector<Step> steps;
  };
  const Case cases[] = {
      // Those under way may use as much again.
      {false,
       {{50, true, false, false, false},
        {1, true, false, false, true},
        {49, true, true, false, true},
        {100, true, true, false, true},
        {1, false, true, true, true},
        {-124, true, true, true, true},
        {-1, true, false, false, true},
        {-75, true, false, false, false}}},
      {true,
       {{100, true, false, false, true},
        {1, false, false, true, true},
        {-24, true, false, true, true},
        {-1, true, false, false, true}}},
  };
  for (const Case& c : cases) {
    std::atomic<bool> full{false};
    LineBudget budget({.bytes = 100, .drop_when_full = c.drop}, full);
    for (const Step& step : c.steps) {
      SCOPED_TRACE(testing::Message()
                   << "drop " << c.drop << ", at " << budget.held() << ", " << step.bytes);
      if (step.bytes >= 0) {
        const auto bytes = static_cast<std::size_t>(step.bytes);
        EXPECT_EQ(budget.admits(bytes), step.admitted);
        if (step.admitted) budget.take(bytes);
      } else {
        budget.release(static_cast<std::size_t>(-step.bytes));
      }
      EXPECT_EQ(full.load(), step.full);
      EXPECT_EQ(budget.dropping(), step.dropping);
      EXPECT_EQ(budget.urgent(), step.urgent);
    }
  }
}

TEST(LossCount, KeepsWhatIsLostWhileAReportIsOnItsWay) {
  LossCount loss;
  loss.add(2);
  loss.begin_report(2);
  loss.add(3);
  loss.end_report();  // it did not leave
  EXPECT_EQ(loss.count(), 5u);
  loss.begin_report(5);
  loss.add(1);
  EXPECT_TRUE(loss.reporting());
  loss.reported();
  loss.end_report();
  EXPECT_EQ(loss.count(), 1u);
  EXPECT_FALSE(loss.reporting());
}

}  // namespace
}  // namespace iron::proxy
