#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/message.h"

namespace iron::proxy::dns {

/// Whom to ask for which names, and how long.
struct LookupPlan {
  struct Server {
    policy::IpAddress address;
    std::uint16_t port = 53;
    std::string shown;  ///< as error texts name it
  };
  std::string name;                ///< as error texts name it
  std::vector<std::string> names;  ///< to ask for one after the other, each with its final dot
  std::vector<Server> servers;
  int attempts = 2;  ///< per server
  std::chrono::milliseconds try_limit{5000}, total_limit{10000};
  /// How long addresses of one kind are kept back for those of the other ("Resolution Delay" of
  /// RFC 8305 section 3).
  std::chrono::milliseconds other_kind_limit{50};
};

/// How a name's A and AAAA records are asked for: what to do next, what an answer means, when time
/// is over. Knows neither socket nor clock nor chance. Who drives it does what next() says, tells
/// what came of it, and calls next() again, until that says `finish`.
class LookupSteps {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kQuestions = 2;

  /// `random_id` is asked for an id for each question of each try.
  LookupSteps(LookupPlan plan, Time now, std::uint16_t (*random_id)());

  struct Step {
    enum class Kind {
      open,          ///< a fresh UDP socket for server(), in place of all sockets of before
      send,          ///< `packet`, by that socket
      ask_over_tcp,  ///< `packet`, by a fresh connection to server()
      wait,          ///< for answers to what was asked, until deadline()
      tell,          ///< `outcome`, the incomplete one
      finish,        ///< `outcome`, the last one; there is nothing to do any more
    } kind = Kind::wait;
    std::size_t question = 0;  ///< which one `packet` is, below kQuestions
    std::string packet{};
    LookupOutcome outcome{};
  };
  Step next(Time now);

  const LookupPlan::Server& server() const;
  /// When next() has something to do without an answer; of `wait`.
  Time deadline() const;
  /// Whether an answer by UDP is of use.
  bool wants_packets() const;

  // What came of it. `local` is the socket's own address, for error texts; `reason` the system's
  // word for what happened.

  void packet(std::string_view bytes, Time now);
  void packet_over_tcp(std::size_t question, std::string_view bytes, Time now);
  void open_failed(std::string_view reason);
  void send_failed(std::size_t question, std::string_view local, std::string_view reason);
  void receive_failed(std::string_view local, std::string_view reason);
  enum class Tcp { dial, write, read };
  void tcp_failed(std::size_t question, Tcp at, std::string_view reason);
  /// The try is over, if that is so; to be told when the deadline has come.
  void time_over(std::string_view local, Time now);

 private:
  using Status = LookupOutcome::Status;
  enum class Phase { name, begin_try, send, wait, finished };
  /// One of the two questions about a name.
  struct Question {
    std::uint16_t type = 0, id = 0;
    enum class State { to_send, asking, to_ask_tcp, asking_tcp, failed, settled };
    State state = State::failed;
    Status status = Status::failed;
    std::vector<policy::IpAddress> addresses;
    Time answered_at{};
    std::uint32_t ttl = 0;
    std::string reason, server;  ///< of the last failure
    bool over_udp() const { return state == State::to_send || state == State::asking; }
    bool over_tcp() const { return state == State::to_ask_tcp || state == State::asking_tcp; }
    bool open() const { return over_udp() || over_tcp(); }
  };

  bool begin_name();
  bool begin_try(Time now);
  std::optional<Step> send_next(Time now);
  std::optional<Step> look_at_answers(Time now);
  std::optional<Step> name_over();
  Step finish(LookupOutcome outcome);
  Step ask(Step::Kind kind, std::size_t question) const;
  void take_answer(Question& question, LookupAnswer answer, Time now);
  void fail(Question& question, std::string reason);
  void fail_over_udp(const std::string& reason);
  std::vector<policy::IpAddress> addresses() const;
  std::optional<std::chrono::seconds> ttl() const;
  std::string route(std::string_view operation, std::string_view local) const;

  LookupPlan plan_;
  std::uint16_t (*random_id_)();
  Phase phase_ = Phase::name;
  Time end_, try_end_ = Time::max();
  std::optional<Time> other_kind_end_;  ///< of a name, not of a try
  bool told_ = false;
  std::size_t name_ = 0;
  std::string wire_;
  std::size_t try_ = 0;
  bool names_failed_ = false;  ///< nobody knows about a name that comes before
  std::array<Question, kQuestions> questions_;
  LookupOutcome last_;
};

}  // namespace iron::proxy::dns
