#include "proxy/http1/secret_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace iron::proxy {
namespace {

using Block = std::unique_ptr<SecretBuffer>;

constexpr std::size_t kUsual = SecretBuffer::kUsualSize;

TEST(SecretPages, ABlockHasTheRoomThatWasAskedFor) {
  struct Case {
    std::size_t bound, size;
  };
  const Case cases[] = {
      {0, kUsual}, {1, kUsual}, {kUsual, kUsual}, {kUsual + 1, kUsual + 1}, {1 << 20, 1 << 20},
  };
  for (const bool kept : {false, true}) {
    for (const Case& row : cases) {
      SecretPages pages;
      if (kept) pages.give_back(pages.take(1), 0);
      const Block block = pages.take(row.bound);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(block->size(), row.size);
      std::fill_n(block->data(), row.bound, 'x');
    }
  }
}

TEST(SecretPages, ABlockThatCameBackGoesOutAgainTheLastOneFirst) {
  SecretPages pages;
  Block one = pages.take(1), two = pages.take(1);
  const SecretBuffer *const first = one.get(), *const second = two.get();
  EXPECT_NE(first, second);
  pages.give_back(std::move(one), 0);
  pages.give_back(std::move(two), 0);
  one = pages.take(kUsual);
  two = pages.take(1);
  EXPECT_EQ(one.get(), second);
  EXPECT_EQ(two.get(), first);
}

/// The same block, found by what is written in it: an address may be given out again.
TEST(SecretPages, NoMoreThanTwoAreKept) {
  SecretPages pages;
  std::vector<Block> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(pages.take(1));
  for (Block& block : blocks) {
    block->data()[100] = 'k';
    pages.give_back(std::move(block), 1);  // what is behind the first byte stays
  }
  int kept = 0;
  for (Block& block : blocks) {
    block = pages.take(1);
    if (block->data()[100] == 'k') ++kept;
  }
  EXPECT_EQ(kept, 2) << "one that went back to the system is zero again";
}

TEST(SecretPages, OneOfAnotherSizeIsNotKept) {
  SecretPages pages;
  pages.give_back(pages.take(kUsual + 1), 0);
  EXPECT_EQ(pages.take(1)->size(), kUsual);
  EXPECT_EQ(pages.take(1)->size(), kUsual);
}

TEST(SecretPages, WhatWasUsedIsWiped) {
  SecretPages pages;
  Block block = pages.take(1);
  std::fill_n(block->data(), kUsual, 'x');
  char* const data = block->data();
  for (const std::size_t used : {0UL, 1UL, 1000UL, kUsual}) {
    pages.give_back(std::move(block), used);
    EXPECT_EQ(std::string(data, used), std::string(used, '\0'));
    EXPECT_EQ(std::string(data + used, kUsual - used), std::string(kUsual - used, 'x'))
        << "no more than that: a page that was never touched costs nothing";
    block = pages.take(1);
    ASSERT_EQ(block->data(), data);
  }
}

}  // namespace
}  // namespace iron::proxy
