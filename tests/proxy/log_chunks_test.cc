#include "proxy/log/log_chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace iron::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> written(std::deque<std::string>& pending) {
  std::vector<std::string> chunks(std::make_move_iterator(pending.begin()),
                                  std::make_move_iterator(pending.end()));
  pending.clear();
  return chunks;
}

TEST(LogChunks, HoldManyLinesInTheirOrder) {
  LogChunks chunks;
  std::deque<std::string> pending;
  chunks.append(pending, "one\n");
  chunks.append(pending, "two\n");
  EXPECT_THAT(pending, ElementsAre("one\ntwo\n"));
}

TEST(LogChunks, NoLineIsCut) {
  LogChunks chunks;
  std::deque<std::string> pending;
  const std::string most(LogChunks::kBytes - 1, 'a'), huge(3 * LogChunks::kBytes, 'b');
  chunks.append(pending, most);
  chunks.append(pending, "b");
  chunks.append(pending, "c");
  chunks.append(pending, huge);
  chunks.append(pending, "d");
  EXPECT_THAT(pending, ElementsAre(most + "b", "c", huge, "d"));
}

TEST(LogChunks, AreUsedAgain) {
  LogChunks chunks;
  std::deque<std::string> pending;
  chunks.append(pending, "one\n");
  const char* const memory = pending.front().data();
  std::vector<std::string> spent = written(pending);
  chunks.give_back(spent);
  EXPECT_EQ(chunks.spare(), 1U);
  chunks.append(pending, "two\n");
  EXPECT_EQ(chunks.spare(), 0U);
  EXPECT_THAT(pending, ElementsAre("two\n"));
  EXPECT_EQ(pending.front().data(), memory);
}

TEST(LogChunks, KeepABoundedAmountOfMemory) {
  LogChunks chunks;
  std::deque<std::string> pending;
  chunks.append(pending, std::string(2 * LogChunks::kBytes + 1, 'a'));
  std::vector<std::string> large = written(pending);
  chunks.give_back(large);
  EXPECT_EQ(chunks.spare(), 0U);
  const std::string whole(LogChunks::kBytes, 'b');
  for (std::size_t i = 0; i <= LogChunks::kMostSpare; ++i) chunks.append(pending, whole);
  std::vector<std::string> many = written(pending);
  ASSERT_EQ(many.size(), LogChunks::kMostSpare + 1);
  chunks.give_back(many);
  EXPECT_EQ(chunks.spare(), LogChunks::kMostSpare);
  EXPECT_THAT(pending, IsEmpty());
}

}  // namespace
}  // namespace iron::proxy
