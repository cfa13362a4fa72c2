#include "proxy/log/record_batch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "policy/task.h"

namespace iron::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// Two ends, closed at the end of the test.
struct Ends {
  int read = -1, write = -1;
  ~Ends() {
    close_reader();
    if (write >= 0) ::close(write);
  }
  void close_reader() {
    if (read >= 0) ::close(read);
    read = -1;
  }
  /// What can be read now.
  std::string take() const {
    std::string text;
    std::array<char, 65536> part{};
    pollfd ready{read, POLLIN, 0};
    while (::poll(&ready, 1, 0) == 1) {
      const ssize_t count = ::read(read, part.data(), part.size());
      if (count <= 0) break;
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
};

/// A pipe of one page.
struct Pipe : Ends {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    read = ends[0];
    write = ends[1];
    ::fcntl(write, F_SETPIPE_SZ, 4096);
  }
};

/// Keeps the borders of what was written at once.
struct Packets : Ends {
  Packets() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
    read = ends[0];
    write = ends[1];
  }
  std::vector<std::string> packets() const {
    std::vector<std::string> found;
    std::array<char, 65536> part{};
    while (true) {
      const ssize_t count = ::recv(read, part.data(), part.size(), MSG_DONTWAIT);
      if (count <= 0) return found;
      found.emplace_back(part.data(), static_cast<std::size_t>(count));
    }
  }
};

LogWriter::Options options_for(int descriptor) {
  LogWriter::Options options;
  options.buffer_bytes = 1 << 20;
  options.stderr_fd = descriptor;
  options.render_lost = [](std::uint64_t count) { return "lost " + std::to_string(count) + "\n"; };
  return options;
}

/// A worker's loop without a thread, in front of a log whose thread is not started.
struct Loop {
  explicit Loop(LogWriter& writer) : batch(writer, loop) {
    for (int i = 0; i < 2; ++i) batch.request_began();
  }
  void turn() {
    while (loop.turn()) {
    }
  }
  /// Until something has happened that `done` asks for.
  template <class Done>
  void run_until(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      loop.turn(std::chrono::milliseconds(100));
    }
  }
  EventLoop loop;
  RecordBatch batch;
};

/// A session that records a line and then sends the end of its answer.
struct Session {
  explicit Session(Loop& loop_in) : loop(loop_in), wait(loop_in.batch) {}
  void record(std::string_view line) {
    loop.batch.lines().append(line);
    loop.batch.added(wait);
  }
  void answer() {
    start(answer_task(), [](std::exception_ptr) { std::abort(); });
  }
  Task<void> answer_task() {
    co_await wait;
    answered = true;
  }
  void serve(std::string_view line) {
    answered = false;
    record(line);
    answer();
  }
  Loop& loop;
  RecordBatch::Wait wait;
  bool answered = false;
};

TEST(RecordBatch, AllLinesOfATurnLeaveWithOneWriteBeforeTheAnswers) {
  Packets log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session one(loop), two(loop), idle(loop);
  idle.answer();
  EXPECT_TRUE(idle.answered);  // it has nothing to wait for
  one.serve("one\n");
  two.serve("two\n");
  EXPECT_FALSE(one.answered);
  EXPECT_THAT(log.packets(), IsEmpty());
  loop.turn();
  EXPECT_TRUE(one.answered && two.answered);
  EXPECT_THAT(log.packets(), ElementsAre("one\ntwo\n"));
  one.serve("three\n");
  loop.turn();
  EXPECT_TRUE(one.answered);
  EXPECT_THAT(log.packets(), ElementsAre("three\n"));
}

TEST(RecordBatch, TheLineOfTheOnlyRequestLeavesAtOnce) {
  Packets log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session one(loop);
  loop.batch.request_ended();
  one.serve("one\n");
  EXPECT_TRUE(one.answered);
  EXPECT_THAT(log.packets(), ElementsAre("one\n"));
}

TEST(RecordBatch, ManyLinesLeaveBeforeTheTurnEnds) {
  Pipe log;
  ::fcntl(log.write, F_SETPIPE_SZ, 1 << 20);
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session session(loop);
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 100; ++i) session.record(line);
  EXPECT_GE(log.take().size(), 64u * 1024);
  session.answer();
  loop.turn();
  EXPECT_TRUE(session.answered);
}

TEST(RecordBatch, OperationalLinesKeepTheirPlace) {
  Pipe log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session session(loop);
  session.serve("one\n");
  writer.append("between\n", &loop.batch.lines());
  session.record("two\n");
  loop.turn();
  EXPECT_TRUE(session.answered);
  EXPECT_EQ(log.take(), "one\nbetween\ntwo\n");
}

TEST(RecordBatch, AReaderThatStallsIsWaitedForOnceAndBriefly) {
  Pipe log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session one(loop), two(loop);
  const std::string large = std::string(3000, 'x') + "\n";
  one.serve(large);
  loop.turn();
  EXPECT_TRUE(one.answered);
  const auto began = std::chrono::steady_clock::now();
  one.serve(large);
  loop.turn();
  EXPECT_FALSE(one.answered);
  loop.run_until([&] { return one.answered; });
  EXPECT_TRUE(one.answered);
  EXPECT_GE(std::chrono::steady_clock::now() - began, RecordBatch::kPatience);
  // From now on nobody waits, and nothing is lost.
  two.serve("two\n");
  loop.turn();
  EXPECT_TRUE(two.answered);
  EXPECT_EQ(log.take(), large);
  EXPECT_TRUE(writer.flush(std::chrono::seconds(10)));
  EXPECT_EQ(log.take(), large + "two\n");
  // It has caught up: a new line is waited for again.
  one.serve(large);
  loop.turn();
  EXPECT_TRUE(one.answered);
  EXPECT_EQ(log.take(), large);
}

TEST(RecordBatch, TheRestOfALineGoesFirst) {
  Pipe log;
  ::fcntl(log.write, F_SETPIPE_SZ, 8192);
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session one(loop), two(loop);
  const std::string large = std::string(9999, 'x') + "\n";
  one.serve(large);  // more than the pipe holds: a part of it leaves
  loop.turn();
  EXPECT_FALSE(one.answered);
  two.serve("two\n");
  loop.turn();
  EXPECT_FALSE(two.answered);
  std::string text = log.take();
  EXPECT_THAT(text, testing::AllOf(SizeIs(testing::Gt(0u)), SizeIs(testing::Lt(large.size()))));
  // The reader has taken it within the patience, so both were in the kernel before they answered.
  loop.run_until([&] { return one.answered && two.answered; });
  text += log.take();
  EXPECT_EQ(text, large + "two\n");
}

TEST(RecordBatch, WhoIsGoneIsNotWaitedFor) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  Loop loop(writer);
  Session one(loop);
  log.close_reader();
  for (int i = 0; i < 3; ++i) {
    one.serve("nobody reads this\n");
    loop.turn();
    EXPECT_TRUE(one.answered);
  }
}

TEST(RecordBatch, WhatTheLogCountsAsLostIsNotWaitedFor) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe log, file;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  writer.redirect_requests(::dup(file.write));
  Loop loop(writer);
  Session one(loop);
  file.close_reader();
  one.serve("a\nb\nc\n");
  loop.turn();
  EXPECT_TRUE(one.answered);
  Pipe good;
  writer.redirect_requests(::dup(good.write));
  one.serve("d\n");
  loop.turn();
  EXPECT_TRUE(one.answered);
  EXPECT_EQ(good.take(), "d\n");
  EXPECT_TRUE(writer.flush(std::chrono::seconds(10)));
  loop.run_until(
      [&, text = std::string()]() mutable { return (text += log.take()) == "lost 3\n"; });
}

/// A write to this descriptor waits: an eventfd adds the eight bytes to its counter, which is full.
struct Slow {
  int descriptor = ::eventfd(0, EFD_CLOEXEC);
  Slow() { ::eventfd_write(descriptor, UINT64_MAX - 1); }
  ~Slow() { ::close(descriptor); }
  /// Until a thread waits in such a write.
  bool entered(pid_t thread) const {
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/syscall";
    std::ostringstream call;
    call << SYS_write << " 0x" << std::hex << descriptor << ' ';
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      std::ifstream in(path);
      std::string line;
      std::getline(in, line);
      if (line.starts_with(call.str())) return true;
      std::this_thread::yield();
    }
    return false;
  }
  void let_go() const {
    eventfd_t value = 0;
    ::eventfd_read(descriptor, &value);
  }
};

TEST(RecordBatch, AWorkerThatFindsAnotherWritingHoldsBackItsOwnAnswers) {
  Slow log;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.descriptor), full);
  std::atomic<pid_t> writing{0};
  std::thread other([&writer, &writing] {
    writing = static_cast<pid_t>(::syscall(SYS_gettid));
    Loop loop(writer);
    Session session(loop);
    session.serve("written\n");
    loop.turn();
    EXPECT_TRUE(session.answered);
  });
  while (writing == 0) std::this_thread::yield();
  EXPECT_TRUE(log.entered(writing));
  Loop loop(writer);
  Session session(loop);
  session.serve("waiting\n");
  loop.turn();
  EXPECT_FALSE(session.answered);
  // Longer than the patience with a reader: it is not the reader that is slow.
  const auto until = std::chrono::steady_clock::now() + 4 * RecordBatch::kPatience;
  loop.run_until([until] { return std::chrono::steady_clock::now() >= until; });
  EXPECT_FALSE(session.answered);
  log.let_go();
  other.join();
  // Who wrote has written these lines, too.
  loop.run_until([&session] { return session.answered; });
  EXPECT_TRUE(session.answered);
}

TEST(RecordBatch, LinesOfManyWorkersStayWhole) {
  constexpr int kWorkers = 4, kTurns = 2000;
  Pipe log;
  ::fcntl(log.write, F_SETPIPE_SZ, 65536);
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  writer.start();
  std::atomic<int> answers{0};
  std::vector<std::thread> workers;
  for (int worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&writer, &answers, worker] {
      Loop loop(writer);
      Session session(loop);
      for (int i = 0; i < kTurns; ++i) {
        session.serve(std::to_string(worker) + " " + std::to_string(i) + "\n");
        loop.run_until([&session] { return session.answered; });
        if (session.answered) answers.fetch_add(1);
      }
    });
  }
  std::string text;
  while (std::count(text.begin(), text.end(), '\n') < kWorkers * kTurns) {
    pollfd ready{log.read, POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 10'000), 1) << text.size();
    text += log.take();
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(answers.load(), kWorkers * kTurns);
  std::array<int, kWorkers> next{};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    int worker = -1, number = -1;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d %d", &worker, &number), 2) << line;
    ASSERT_EQ(next.at(static_cast<std::size_t>(worker))++, number);
  }
}

/// In a child, for it gives up the right to open the pipe again.
int write_to_a_foreign_pipe() {
  Pipe log;
  if (::fchmod(log.write, 0) != 0) return 1;
  if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 2;
  std::atomic<bool> full{false};
  LogWriter writer(options_for(log.write), full);
  writer.start();
  Loop loop(writer);
  Session session(loop);
  const std::string large = std::string(3000, 'x') + "\n";
  session.serve(large);
  loop.run_until([&] { return session.answered; });
  if (log.take() != large) return 3;
  session.serve(large + large);  // does not fit
  loop.run_until([&] { return session.answered; });
  if (!session.answered) return 4;
  if ((::fcntl(log.write, F_GETFL) & O_NONBLOCK) != 0) return 5;
  std::string text = log.take();
  while (text.size() < 2 * large.size()) text += log.take();
  return text == large + large ? 0 : 6;
}

TEST(RecordBatch, APipeThatMayNotBeOpenedAgainBlocksNobody) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ::_exit(write_to_a_foreign_pipe());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace iron::proxy
