#pragma once

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/lookup_steps.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy::dns {

/// Asks name servers for the A and AAAA records of one name as LookupSteps says, from a fresh
/// socket with random ids for each try. This is the part with the sockets. Lives on its loop as
/// long as it waits for something.
class NetworkLookup : public std::enable_shared_from_this<NetworkLookup> {
 public:
  /// Called once; or first with an incomplete outcome and then, when the other kind is settled too,
  /// with the whole.
  using Done = std::function<void(LookupOutcome)>;

  static void start(EventLoop& loop, LookupPlan plan, Done done);

  struct Private {};
  NetworkLookup(Private, EventLoop& loop, LookupPlan plan, Done done);

 private:
  using Step = LookupSteps::Step;
  struct TcpQuestion;
  using TcpQuestionPtr = std::shared_ptr<TcpQuestion>;

  template <class Action>
  auto then(Action action);
  template <class Action>
  void go_on(Action action);
  void time_over();
  void take_steps();
  void open();
  void close();
  void send(const Step& step);
  void wait();
  void read_packets();
  void ask_over_tcp(const Step& step);
  void write_over_tcp(const TcpQuestionPtr& tcp);
  void read_over_tcp(const TcpQuestionPtr& tcp);
  std::string local() const;

  EventLoop& loop_;
  LookupSteps steps_;
  Done done_;
  boost::asio::ip::udp::socket socket_;
  Alarm alarm_;
  bool receiving_ = false;
  std::array<TcpQuestionPtr, LookupSteps::kQuestions> tcp_;
  std::uint64_t try_ = 0;  ///< handlers of an earlier one do nothing
};

}  // namespace iron::proxy::dns
