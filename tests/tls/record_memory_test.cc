#include "tls/record_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace iron::tls {
namespace {

bool on_a_page(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) % static_cast<std::size_t>(::getpagesize()) == 0;
}

std::size_t resident_pages(void* block) {
  std::vector<unsigned char> pages(RecordMemory::kBlock /
                                   static_cast<std::size_t>(::getpagesize()));
  EXPECT_EQ(::mincore(block, RecordMemory::kBlock, pages.data()), 0);
  std::size_t count = 0;
  for (const unsigned char page : pages) count += page & 1U;
  return count;
}

TEST(RecordMemory, OnlyRecordBuffersGetBlocks) {
  RecordMemory::release(nullptr);  // as free(3), also before there is a place
  const struct {
    std::size_t size;
    bool block;
  } cases[] = {{1, false},    {RecordMemory::kLeast - 1, false}, {RecordMemory::kLeast, true},
               {16704, true}, {RecordMemory::kBlock, true},      {RecordMemory::kBlock + 1, false},
               {65536, false}};
  for (const auto& [size, block] : cases) {
    void* memory = RecordMemory::allocate(size);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(RecordMemory::owns(memory), block) << size;
    if (block) EXPECT_TRUE(on_a_page(memory));
    std::memset(memory, 'x', size);
    RecordMemory::release(memory);
  }
  EXPECT_FALSE(RecordMemory::owns(nullptr));
}

TEST(RecordMemory, ABlockIsLentOnce) {
  std::set<void*> blocks;
  for (int i = 0; i < 200; ++i) blocks.insert(RecordMemory::allocate(RecordMemory::kBlock));
  EXPECT_EQ(blocks.size(), 200u);
  for (void* block : blocks) RecordMemory::release(block);
  std::set<void*> again;
  for (int i = 0; i < 200; ++i) again.insert(RecordMemory::allocate(RecordMemory::kBlock));
  EXPECT_EQ(again, blocks);
  for (void* block : again) RecordMemory::release(block);
}

TEST(RecordMemory, FreeBlocksTakeNoMemoryBeyondAFew) {
  std::vector<void*> blocks(100);
  for (void*& block : blocks) {
    block = RecordMemory::allocate(RecordMemory::kBlock);
    std::memset(block, 'x', RecordMemory::kBlock);
  }
  for (void* block : blocks) RecordMemory::release(block);
  std::size_t pages = 0;
  for (void* block : blocks) pages += resident_pages(block);
  EXPECT_LE(pages * static_cast<std::size_t>(::getpagesize()),
            RecordMemory::kReadyPerThread * RecordMemory::kBlock);
}

TEST(RecordMemory, ResizingKeepsWhatWasThere) {
  const struct {
    std::size_t before, after;
  } cases[] = {{100, 200},     {100, 17000},   {17000, 18000}, {17000, 100},
               {17000, 70000}, {70000, 17000}, {70000, 80000}};
  for (const auto& [before, after] : cases) {
    auto* memory = static_cast<char*>(RecordMemory::allocate(before));
    for (std::size_t i = 0; i < before; ++i) memory[i] = static_cast<char>(i % 251);
    memory = static_cast<char*>(RecordMemory::resize(memory, after));
    ASSERT_NE(memory, nullptr);
    for (std::size_t i = 0; i < std::min(before, after); ++i) {
      ASSERT_EQ(memory[i], static_cast<char>(i % 251)) << before << " to " << after << " at " << i;
    }
    RecordMemory::release(memory);
  }
  EXPECT_EQ(RecordMemory::resize(RecordMemory::allocate(RecordMemory::kBlock), 0), nullptr);
}

TEST(RecordMemory, BlocksMayBeReleasedByAnotherThread) {
  std::vector<void*> blocks(100);
  for (void*& block : blocks) block = RecordMemory::allocate(RecordMemory::kBlock);
  std::thread([&] {
    for (void* block : blocks) RecordMemory::release(block);
    for (void*& block : blocks) block = RecordMemory::allocate(RecordMemory::kBlock);
  }).join();
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), 100u);
  for (void* block : blocks) RecordMemory::release(block);
}

TEST(RecordMemory, WhatDoesNotFitComesFromTheHeap) {
  std::vector<void*> blocks;
  bool from_heap = false;
  while (!from_heap && blocks.size() <= RecordMemory::kBlocks) {
    blocks.push_back(RecordMemory::allocate(RecordMemory::kBlock));
    ASSERT_NE(blocks.back(), nullptr);
    from_heap = !RecordMemory::owns(blocks.back());
  }
  EXPECT_TRUE(from_heap);
  for (void* block : blocks) RecordMemory::release(block);
  void* block = RecordMemory::allocate(RecordMemory::kBlock);
  EXPECT_TRUE(RecordMemory::owns(block));
  RecordMemory::release(block);
}

}  // namespace
}  // namespace iron::tls
