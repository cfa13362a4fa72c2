// The clients of the benchmark: one thread, CONNECT to a proxy or straight to the origin
// (--proxy=0), TLS inside, HTTP/1.1 on top.
//
//   --mode=kept   requests over --connections kept ones, to --hosts hosts in turn
//   --mode=new    a connection for each request, --connections at a time
//   --mode=held   --count connections with one request each, which then stay
//
// A phase lasts --seconds, or until --count requests are answered; with --rate requests are sent at
// that pace, and one that no connection was free for counts from when it was due. What comes before
// it lasts --warm-seconds or --warm-count. With --fresh each connection goes to a host of its own,
// from number --first on.
//
// Prints "READY" after the warm-up, waits for a line on standard input, and prints one line of
// JSON; then waits for another line, so that its connections can be looked at.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bench/loopback/client_connection.h"

namespace iron::bench {
namespace {

constexpr std::uint64_t kLongestWait = kSecond / 20;
constexpr std::uint64_t kGrace = 10 * kSecond;  // for answers after the end of a phase
constexpr std::uint64_t kLongest = 120 * kSecond;
using State = ClientConnection::State;

/// How long to go on, and how fast.
struct Phase {
  std::uint64_t duration = 0;  ///< nanoseconds
  std::uint64_t count = 0;     ///< requests; 0: as many as the duration allows
  double rate = 0;             ///< a second; 0: as fast as they are answered
};

/// Says when the next request is due, and when there is none any more.
class Pace {
 public:
  explicit Pace(const Phase& phase) : phase_(phase), start_(now()) {}

  /// Whether a request may start now; `due` is when it should have.
  bool take(std::uint64_t& due) {
    const std::uint64_t time = now();
    if (over(time)) return false;
    due = time;
    if (phase_.rate > 0) {
      due = next();
      if (due > time) return false;
    }
    ++taken_;
    return true;
  }
  /// No request will start any more.
  bool over(std::uint64_t time) const {
    if (phase_.count > 0) return taken_ >= phase_.count || time >= start_ + kLongest;
    // What was due before the end is still sent, or a stall would hide what it delayed.
    return phase_.rate > 0 ? next() >= start_ + phase_.duration : time >= start_ + phase_.duration;
  }
  bool past_grace(std::uint64_t time) const {
    return time >= start_ + kGrace + (phase_.count > 0 ? kLongest : phase_.duration);
  }
  std::uint64_t wait() const {
    const std::uint64_t time = now(), due = next();
    if (phase_.rate <= 0 || over(time)) return kLongestWait;
    return due <= time ? 0 : std::min(kLongestWait, due - time);
  }

 private:
  std::uint64_t next() const {
    return phase_.rate > 0 ? start_ + static_cast<std::uint64_t>(static_cast<double>(taken_) * 1e9 /
                                                                 phase_.rate)
                           : start_;
  }

  Phase phase_;
  std::uint64_t start_, taken_ = 0;
};

class Client {
 public:
  explicit Client(const Arguments& arguments)
      : run_(arguments),
        mode_(arguments.text("mode")),
        next_host_(static_cast<int>(arguments.count("first"))),
        hosts_(std::max(1, static_cast<int>(arguments.count("hosts", 1)))),
        fresh_(arguments.count("fresh") != 0) {
    for (std::uint64_t i = arguments.count("connections", 1); i > 0; --i) {
      connections_.push_back(std::make_unique<ClientConnection>(run_));
    }
  }

  void work(const Phase& phase) {
    if (mode_ == "kept") {
      work_kept(phase);
    } else if (mode_ == "new" || mode_ == "held") {
      work_new(phase);
    } else {
      fail("--mode=" + mode_ + ": kept, new or held");
    }
  }

  /// What the measured phase must not pay for: handshakes, and the first request of each kept
  /// connection, for which a proxy dials.
  void warm_up(const Phase& phase) {
    if (mode_ == "kept" && phase.duration > 0) {
      work({});
      work({.count = 2 * connections_.size()});
    }
    work(phase);
  }

  Tally& tally() { return run_.tally; }

 private:
  template <class After>
  void wait(std::uint64_t nanoseconds, After after) {
    for (const epoll_event& event : run_.poller.wait(nanoseconds)) {
      auto* const connection = static_cast<ClientConnection*>(event.data.ptr);
      connection->turn(event.events);
      after(*connection);
    }
  }

  void open(ClientConnection& connection) {
    if (fresh_) {
      connection.open(next_host_++);
    } else {
      connection.open(turn_++ % hosts_);
    }
  }

  /// Something is on its way: an answer, or a handshake, which the next phase must not pay for.
  bool any_pending() const {
    return std::any_of(connections_.begin(), connections_.end(), [](const auto& connection) {
      return connection->state() == State::busy || connection->state() == State::connecting;
    });
  }

  void work_kept(const Phase& phase) {
    Pace pace(phase);
    std::deque<ClientConnection*> idle;
    for (const auto& connection : connections_) {
      if (connection->state() == State::closed) open(*connection);
      if (connection->state() == State::idle) idle.push_back(connection.get());
    }
    for (;;) {
      std::uint64_t due = 0;
      while (!idle.empty() && pace.take(due)) {
        idle.front()->request(due);
        idle.pop_front();
      }
      const std::uint64_t time = now();
      if (pace.past_grace(time) || (pace.over(time) && !any_pending())) return;
      wait(pace.wait(), [&](ClientConnection& connection) {
        if (connection.ending()) {
          std::erase(idle, &connection);
          connection.close(true);
        }
        if (connection.state() == State::closed && !pace.over(now())) open(connection);
        if (connection.state() == State::idle) take_in(idle, connection);
      });
    }
  }

  static void take_in(std::deque<ClientConnection*>& idle, ClientConnection& connection) {
    // Session tickets wake a connection that waits already.
    if (std::find(idle.begin(), idle.end(), &connection) == idle.end()) {
      idle.push_back(&connection);
    }
  }

  void work_new(const Phase& phase) {
    Pace pace(phase);
    std::vector<ClientConnection*> free;
    std::unordered_map<ClientConnection*, std::uint64_t> due_at;
    for (const auto& connection : connections_) free.push_back(connection.get());
    for (;;) {
      std::uint64_t due = 0;
      while (!free.empty() && pace.take(due)) {
        ClientConnection* const connection = free.back();
        free.pop_back();
        due_at[connection] = due;
        open(*connection);
        if (connection->state() == State::closed) free.push_back(connection);
      }
      const std::uint64_t time = now();
      if (pace.past_grace(time) || (pace.over(time) && free.size() == connections_.size())) return;
      wait(pace.wait(), [&](ClientConnection& connection) {
        if (!due_at.contains(&connection)) return;  // a held one
        if (connection.state() == State::idle && !connection.answered()) {
          connection.request(due_at[&connection]);
        } else if (connection.state() == State::idle) {
          free.push_back(put_away(connection, due_at));
        }
        if (connection.state() == State::closed &&
            !std::count(free.begin(), free.end(), &connection)) {
          free.push_back(&connection);
        }
      });
    }
  }

  /// Ends a connection after its answer, or keeps it open and makes another in its place.
  ClientConnection* put_away(ClientConnection& connection,
                             std::unordered_map<ClientConnection*, std::uint64_t>& due_at) {
    if (mode_ == "new") {
      if (run_.shape.resume) connection.save_session();
      connection.close(true);
      return &connection;
    }
    due_at.erase(&connection);
    const auto place = std::find_if(connections_.begin(), connections_.end(),
                                    [&](const auto& own) { return own.get() == &connection; });
    held_.push_back(std::move(*place));
    *place = std::make_unique<ClientConnection>(run_);
    return place->get();
  }

  ClientRun run_;
  std::string mode_;
  int next_host_, hosts_, turn_ = 0;
  bool fresh_;
  std::vector<std::unique_ptr<ClientConnection>> connections_, held_;
};

double processor_us() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

std::string printable(std::string text) {
  for (char& letter : text) {
    if (letter == '"' || letter == '\\' || letter < ' ') letter = '\'';
  }
  return text;
}

void print(const Tally& tally, double seconds, double cpu_us) {
  const auto member = [](const char* name, std::uint64_t value) {
    return std::string("\"") + name + "\":" + std::to_string(value) + ",";
  };
  const std::string text =
      "{" + member("done", tally.done) + member("errors", tally.errors) +
      member("bytes", tally.bytes) + member("real_credentials", tally.real_credentials) +
      member("real_bodies", tally.real_bodies) + member("handshakes", tally.handshakes) +
      member("resumed", tally.resumed) + "\"seconds\":" + std::to_string(seconds) +
      ",\"cpu_us\":" + std::to_string(cpu_us) + ",\"first_error\":\"" +
      printable(tally.first_error) + "\",\"latencies\":" + tally.latencies.json() +
      ",\"events\":" + tally.events.json() + "}";
  std::puts(text.c_str());
  std::fflush(stdout);
}

void wait_for_line() {
  for (int letter = std::getchar(); letter != '\n'; letter = std::getchar()) {
    if (letter == EOF) std::exit(0);
  }
}

void measure(const Arguments& arguments) {
  const auto span = [&](const char* name) {
    return static_cast<std::uint64_t>(arguments.number(name) * 1e9);
  };
  Client client(arguments);
  client.warm_up({span("warm-seconds"), arguments.count("warm-count"), 0});
  client.tally() = Tally();
  std::puts("READY");
  std::fflush(stdout);
  wait_for_line();
  const std::uint64_t start = now();
  const double cpu = processor_us();
  client.work({span("seconds"), arguments.count("count"), arguments.number("rate")});
  print(client.tally(), static_cast<double>(now() - start) / 1e9, processor_us() - cpu);
  wait_for_line();
}

}  // namespace
}  // namespace iron::bench

int main(int count, char** values) {
  iron::bench::prepare_process();
  iron::bench::measure(iron::bench::Arguments(count, values));
}
