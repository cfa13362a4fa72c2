#include "policy/secret/secret.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <type_traits>
#include <vector>

#include "policy/secret/secret_arena.h"

namespace iron {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);

bool all_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

TEST(Secret, HoldsItsBytes) {
  const Secret secret = Secret::copy_of("not-a-real-key");
  EXPECT_EQ(secret.reveal(), "not-a-real-key");
  EXPECT_EQ(secret.size(), 14U);
  EXPECT_FALSE(secret.empty());
  EXPECT_TRUE(secret.equals("not-a-real-key"));
  EXPECT_FALSE(secret.equals("not-a-real-keY"));
  EXPECT_FALSE(secret.equals("not-a-real-ke"));
  EXPECT_FALSE(secret.equals(""));
}

TEST(Secret, EmptyOnes) {
  for (const Secret& secret : {Secret(), Secret::copy_of(""), Secret::sized(0)}) {
    EXPECT_TRUE(secret.empty());
    EXPECT_EQ(secret.reveal(), "");
    EXPECT_TRUE(secret.equals(""));
    EXPECT_FALSE(secret.equals("x"));
  }
}

TEST(Secret, MovesWithoutCopy) {
  Secret first = Secret::copy_of("one");
  const char* where = first.reveal().data();
  Secret second = std::move(first);
  EXPECT_EQ(second.reveal().data(), where);
  EXPECT_TRUE(
      first.empty());  // NOLINT(bugprone-use-after-move): the state after a move is promised
  Secret third = Secret::copy_of("three");
  third = std::move(second);
  EXPECT_EQ(third.reveal(), "one");
}

TEST(Secret, ShrinkWipesTheTail) {
  Secret secret = Secret::copy_of("0123456789");
  const char* where = secret.reveal().data();
  secret.shrink(4);
  EXPECT_EQ(secret.reveal(), "0123");
  EXPECT_TRUE(all_zero({where + 4, 6}));
  secret.shrink(8);
  EXPECT_EQ(secret.size(), 4U);
}

TEST(Secret, BlocksComeBackZeroed) {
  for (const std::size_t size : {1U, 32U, 33U, 100U, 4096U, 5000U}) {
    const char* where = nullptr;
    {
      Secret secret = Secret::sized(size);
      where = secret.reveal().data();
      std::ranges::fill(secret.writable(), 'x');
    }
    const Secret again = Secret::sized(size);
    EXPECT_EQ(again.reveal().data(), where) << "the freed block is used again";
    EXPECT_TRUE(all_zero(again.reveal()));
  }
}

TEST(Secret, MoreThanTheArenaHolds) {
  std::vector<Secret> many;
  for (int i = 0; i < 20000; ++i) many.push_back(Secret::copy_of(std::to_string(i)));
  for (const std::size_t size : {65536U, 65537U, 300000U, 1000000U}) {
    many.push_back(Secret::sized(size));
    EXPECT_TRUE(all_zero(many.back().reveal()));
    std::ranges::fill(many.back().writable(), 'y');
  }
  for (std::size_t i = 0; i < 20000; ++i) ASSERT_EQ(many[i].reveal(), std::to_string(i));
}

TEST(Secret, BlocksDoNotOverlap) {
  std::vector<Secret> secrets;
  for (std::size_t i = 0; i < 500; ++i) secrets.push_back(Secret::sized(1 + i * 7 % 900));
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    std::ranges::fill(secrets[i].writable(), static_cast<char>(i));
  }
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    const auto bytes = secrets[i].reveal();
    ASSERT_TRUE(std::ranges::all_of(bytes, [i](char c) { return c == static_cast<char>(i); }));
  }
}

TEST(Secret, ThreadsShareTheArena) {
  std::vector<std::thread> threads;
  std::vector<int> bad(4, 0);
  for (std::size_t t = 0; t < bad.size(); ++t) {
    threads.emplace_back([t, &bad] {
      for (std::size_t i = 0; i < 5000; ++i) {
        Secret secret = Secret::sized(1 + i % 200);
        if (!all_zero(secret.reveal())) ++bad[t];
        std::ranges::fill(secret.writable(), static_cast<char>('a' + t));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bad, std::vector<int>(4, 0));
}

TEST(Secret, NotReadableThroughProcMem) {
  prepare_secret_memory();
  prepare_secret_memory();
  if (secret_memory() != SecretMemory::memfd_secret) GTEST_SKIP() << "no memfd_secret here";
  const Secret secret = Secret::copy_of("not-a-real-key");
  std::ifstream memory("/proc/self/mem", std::ios::binary);
  memory.seekg(
      static_cast<std::streamoff>(reinterpret_cast<std::uintptr_t>(secret.reveal().data())));
  char byte = 0;
  memory.read(&byte, 1);
  EXPECT_FALSE(memory.good());
}

TEST(Secret, AChildDoesNotInheritIt) {
  const Secret secret = Secret::copy_of("not-a-real-key");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    const volatile char* bytes = secret.reveal().data();
    _exit(bytes[0] == 'n' ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

TEST(Wipe, Overwrites) {
  std::string text = "abc";
  wipe(text);
  EXPECT_TRUE(all_zero(text));
}

TEST(SecretBuffer, IsZeroWritableAndWiped) {
  for (const std::size_t size : {SecretBuffer::kUsualSize, std::size_t{200000}}) {
    SecretBuffer buffer(size);
    ASSERT_EQ(buffer.size(), size);
    EXPECT_TRUE(all_zero({buffer.data(), size}));
    std::fill_n(buffer.data(), size, 'x');
    buffer.wipe(1000);
    EXPECT_TRUE(all_zero({buffer.data(), 1000}));
    EXPECT_EQ(buffer.data()[1000], 'x');
    buffer.wipe(size + 1);
    EXPECT_TRUE(all_zero({buffer.data(), size}));
    SecretBuffer moved = std::move(buffer);
    EXPECT_EQ(moved.size(), size);
  }
}

/// What another process sees in /proc/<pid>/environ for `name`.
std::string seen_from_outside(const std::string& name) {
  std::ifstream file("/proc/self/environ", std::ios::binary);
  std::string entry;
  while (std::getline(file, entry, '\0')) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return "(absent)";
}

TEST(SecretEnvironment, TakesOnceAndBlanks) {
  setenv("IRON_TEST_TAKEN", "value-one", 1);
  setenv("IRON_TEST_TAKEN_NOT", "other", 1);
  const SecretEnvironment environment;
  const Secret* value = environment.find("IRON_TEST_TAKEN");
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(value->reveal(), "value-one");
  EXPECT_STREQ(getenv("IRON_TEST_TAKEN"), "         ");
  EXPECT_STREQ(getenv("IRON_TEST_TAKEN_NOT"), "other");
  EXPECT_EQ(environment.find("IRON_TEST_TAKEN"), value);
}

TEST(SecretEnvironment, UnsetAndEmptyAreNull) {
  unsetenv("IRON_TEST_UNSET");
  setenv("IRON_TEST_EMPTY", "", 1);
  SecretEnvironment environment;
  environment.take("IRON_TEST_UNSET");
  EXPECT_EQ(environment.find("IRON_TEST_UNSET"), nullptr);
  EXPECT_EQ(environment.find("IRON_TEST_EMPTY"), nullptr);
  EXPECT_EQ(environment.find(""), nullptr);
}

TEST(SecretEnvironment, TakeMovesItAtOnce) {
  setenv("IRON_TEST_EARLY", "early", 1);
  SecretEnvironment environment;
  environment.take("IRON_TEST_EARLY");
  EXPECT_STREQ(getenv("IRON_TEST_EARLY"), "     ");
  EXPECT_EQ(environment.find("IRON_TEST_EARLY")->reveal(), "early");
}

TEST(SecretEnvironment, OtherEntriesStayReadable) {
  // A fresh program, since this one's block was made before the test could add to it.
  if (getenv("IRON_TEST_CHILD") != nullptr) {
    const SecretEnvironment environment;
    const bool taken = environment.find("IRON_TEST_KEY")->reveal() == "value-two";
    const bool blank = seen_from_outside("IRON_TEST_KEY") == "         ";
    const bool kept = seen_from_outside("IRON_TEST_NONCE") == "nonce";
    _exit(taken && blank && kept ? 0 : 1);
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const char* filter = "--gtest_filter=SecretEnvironment.OtherEntriesStayReadable";
    execle("/proc/self/exe", "secret_test", filter, nullptr,
           std::vector<const char*>{"IRON_TEST_CHILD=1", "IRON_TEST_KEY=value-two",
                                    "IRON_TEST_NONCE=nonce", nullptr}
               .data());
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SecretEnvironment, ThreadsFindTheSame) {
  setenv("IRON_TEST_SHARED", "shared", 1);
  const SecretEnvironment environment;
  std::vector<const Secret*> seen(4, nullptr);
  std::vector<std::thread> threads;
  for (auto& slot : seen) {
    threads.emplace_back([&] { slot = environment.find("IRON_TEST_SHARED"); });
  }
  for (auto& thread : threads) thread.join();
  for (const Secret* secret : seen) EXPECT_EQ(secret, seen[0]);
  EXPECT_EQ(seen[0]->reveal(), "shared");
}

}  // namespace
}  // namespace iron
