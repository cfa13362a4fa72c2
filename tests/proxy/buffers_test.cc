#include "proxy/wait/buffers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace iron::proxy {
namespace {

TEST(Buffer, HasUnreadBytesInFrontOfFreeOnes) {
  BufferPool pool;
  Buffer buffer = pool.take(100);
  EXPECT_TRUE(buffer.held());
  EXPECT_EQ(buffer.capacity(), BufferPool::kSmall);
  EXPECT_TRUE(buffer.empty());
  buffer.append("hello ");
  std::ranges::copy(std::string_view("world"), buffer.space().begin());
  buffer.fill(5);
  EXPECT_EQ(buffer.view(), "hello world");
  EXPECT_EQ(buffer.size(), 11u);
  EXPECT_EQ(buffer.space().size(), buffer.capacity() - 11);
  buffer.consume(6);
  EXPECT_EQ(buffer.view(), "world");
  EXPECT_EQ(buffer.space().size(), buffer.capacity() - 11);
  buffer.compact();
  EXPECT_EQ(buffer.view(), "world");
  EXPECT_EQ(buffer.space().size(), buffer.capacity() - 5);
  buffer.consume(5);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.space().size(), buffer.capacity()) << "all is free once all is read";
}

TEST(Buffer, MovesWithoutCopying) {
  BufferPool pool;
  Buffer one = pool.take(1);
  one.append("abc");
  const char* at = one.data();
  Buffer two = std::move(one);
  EXPECT_EQ(two.data(), at);
  EXPECT_EQ(two.view(), "abc");
  Buffer three = pool.take(1);
  three = std::move(two);
  EXPECT_EQ(three.data(), at);
  EXPECT_EQ(three.view(), "abc");
}

TEST(Buffer, GrowsWithItsUnreadBytes) {
  BufferPool pool;
  Buffer buffer = pool.take(BufferPool::kSmall);
  const std::string text(BufferPool::kSmall, 'x');
  buffer.append(text);
  buffer.consume(1000);
  buffer.grow(BufferPool::kSmall + 1);
  EXPECT_EQ(buffer.capacity(), BufferPool::kLarge);
  EXPECT_EQ(buffer.view(), text.substr(1000));
  buffer.grow(BufferPool::kLarge * 3);
  EXPECT_GE(buffer.capacity(), BufferPool::kLarge * 3);
  EXPECT_EQ(buffer.view(), text.substr(1000));
  const std::size_t capacity = buffer.capacity();
  buffer.grow(10);
  EXPECT_EQ(buffer.capacity(), capacity);
}

TEST(BufferPool, LendsTheMostRecentlyUsedBlock) {
  BufferPool pool;
  Buffer first = pool.take(1), second = pool.take(1);
  first.append("1");
  second.append("2");
  const char* const first_at = first.data();
  const char* const second_at = second.data();
  EXPECT_NE(first_at, second_at);
  first.release();
  second.release();
  EXPECT_FALSE(first.held());
  Buffer third = pool.take(1);
  EXPECT_EQ(third.data(), second_at);
  EXPECT_TRUE(third.empty());
}

TEST(BufferPool, WipesWhatMayHoldAKey) {
  BufferPool pool;
  Buffer buffer = pool.take(1);
  char* const at = buffer.data();
  buffer.append("first-key ");
  buffer.consume(10);  // the bytes stay in the block
  buffer.append("other");
  buffer.set_sensitive();
  buffer.release();
  const Buffer again = pool.take(1);
  ASSERT_EQ(again.view().data(), at);
  EXPECT_EQ(std::string(at, 10), std::string(10, '\0'));
}

TEST(BufferPool, WipesWhatMovedWhileItGrew) {
  BufferPool pool;
  Buffer buffer = pool.take(1);
  char* const small_at = buffer.data();
  buffer.append("some-key");
  buffer.set_sensitive();
  buffer.grow(BufferPool::kLarge);
  char* const large_at = buffer.data();
  EXPECT_EQ(std::string(small_at, 8), std::string(8, '\0'));
  EXPECT_EQ(buffer.view(), "some-key");
  buffer.release();
  EXPECT_EQ(std::string(large_at, 8), std::string(8, '\0'));
}

TEST(BufferPool, WipesWhatWasMovedAndOverwritten) {
  BufferPool pool;
  Buffer buffer = pool.take(1);
  char* const at = buffer.data();
  buffer.append("0123456789key");
  buffer.set_sensitive();
  buffer.consume(10);
  buffer.compact();
  Buffer other = pool.take(1);
  buffer = std::move(other);  // the old block goes back
  EXPECT_EQ(std::string(at, 13), std::string(13, '\0'));
}

TEST(BufferPool, ABlockThatHeldAKeyIsOrdinaryAgain) {
  BufferPool pool;
  Buffer buffer = pool.take(1);
  buffer.set_sensitive();
  buffer.release();
  buffer = pool.take(1);
  char* const at = buffer.data();
  buffer.append("text");
  buffer.release();
  EXPECT_EQ(std::string(at, 4), "text") << "wiping every block would cost every request";
}

TEST(BufferPool, TrimGivesBlocksBack) {
  BufferPool pool;
  Buffer one = pool.take(1), two = pool.take(BufferPool::kLarge);
  one.release();
  two.release();
  pool.trim(0);
  Buffer small = pool.take(1), large = pool.take(BufferPool::kLarge), huge = pool.take(1000000);
  EXPECT_EQ(small.capacity(), BufferPool::kSmall);
  EXPECT_EQ(large.capacity(), BufferPool::kLarge);
  EXPECT_GE(huge.capacity(), 1000000u);
}

}  // namespace
}  // namespace iron::proxy
