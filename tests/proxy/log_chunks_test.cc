#include "proxy/log/log_chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iron::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const LogChunkList& chunks) {
  std::vector<std::string> texts;
  for (const LogChunk& chunk : chunks) texts.push_back(chunk.bytes);
  return texts;
}

TEST(LogChunks, HoldManyLinesInTheirOrder) {
  LogChunks chunks;
  LogChunkList pending;
  chunks.append(pending, "one\n");
  chunks.append(pending, "two\n");
  EXPECT_THAT(texts(pending), ElementsAre("one\ntwo\n"));
}

TEST(LogChunks, NoLineIsCut) {
  LogChunks chunks;
  LogChunkList pending;
  const std::string most(LogChunks::kBytes - 1, 'a'), huge(3 * LogChunks::kBytes, 'b');
  chunks.append(pending, most);
  chunks.append(pending, "b");
  chunks.append(pending, "c");
  chunks.append(pending, huge);
  chunks.append(pending, "d");
  EXPECT_THAT(texts(pending), ElementsAre(most + "b", "c", huge, "d"));
}

TEST(LogChunks, AreUsedAgain) {
  LogChunks chunks;
  LogChunkList pending;
  chunks.append(pending, "one\n");
  const char* const memory = pending.front().bytes.data();
  pending.front().masked = true;
  chunks.give_back(pending);
  EXPECT_EQ(chunks.spare(), 1U);
  chunks.append(pending, "two\n");
  EXPECT_EQ(chunks.spare(), 0U);
  EXPECT_THAT(texts(pending), ElementsAre("two\n"));
  EXPECT_EQ(pending.front().bytes.data(), memory);
  EXPECT_FALSE(pending.front().masked);
}

TEST(LogChunks, KeepABoundedAmountOfMemory) {
  LogChunks chunks;
  LogChunkList pending;
  chunks.append(pending, std::string(2 * LogChunks::kBytes + 1, 'a'));
  chunks.give_back(pending);
  EXPECT_EQ(chunks.spare(), 0U);
  const std::string whole(LogChunks::kBytes, 'b');
  for (std::size_t i = 0; i <= LogChunks::kMostSpare; ++i) chunks.append(pending, whole);
  ASSERT_EQ(pending.size(), LogChunks::kMostSpare + 1);
  chunks.give_back(pending);
  EXPECT_EQ(chunks.spare(), LogChunks::kMostSpare);
  EXPECT_THAT(pending, IsEmpty());
}

}  // namespace
}  // namespace iron::proxy
