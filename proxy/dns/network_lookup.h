#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "policy/task.h"
#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/lookup_steps.h"
#include "proxy/dns/question_socket.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy::dns {

/// Asks name servers for the A and AAAA records of one name as LookupSteps says, from a fresh
/// socket with random ids for each try. This is the part with the sockets. Lives on its loop until
/// it has an outcome or the loop's work is cut, when nobody is told any more.
class NetworkLookup {
 public:
  /// Called once; or first with an incomplete outcome and then, when the other kind is settled too,
  /// with the whole.
  using Done = std::function<void(LookupOutcome)>;

  static void start(EventLoop& loop, LookupPlan plan, Done done);

 private:
  using Step = LookupSteps::Step;

  NetworkLookup(EventLoop& loop, LookupPlan plan);
  static Task<void> run(EventLoop& loop, LookupPlan plan, std::shared_ptr<Done> done);
  void open();
  void close();
  void send(const Step& step);
  void ask_over_tcp(const Step& step);
  bool wants_packets() const;
  bool floods() const;
  void look();
  void read_packets();
  void look_at_tcp(std::size_t question);

  Pause pause_;
  LookupSteps steps_;
  std::unique_ptr<QuestionSocket> udp_;
  std::array<std::unique_ptr<TcpQuestion>, LookupSteps::kQuestions> tcp_;
};

}  // namespace iron::proxy::dns
