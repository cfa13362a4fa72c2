#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/message.h"

namespace iron::proxy::dns {

/// Asks name servers for the A and AAAA records of one name, both at a time: from a fresh socket
/// with random ids for each try, again over TCP when an answer is cut. Lives on its io_context as
/// long as it waits for something.
class NetworkLookup : public std::enable_shared_from_this<NetworkLookup> {
 public:
  struct Server {
    policy::IpAddress address;
    std::uint16_t port = 53;
    std::string shown;  ///< as error texts name it
  };
  struct Plan {
    std::string name;                ///< as error texts name it
    std::vector<std::string> names;  ///< to ask for one after the other, each with its final dot
    std::vector<Server> servers;
    int attempts = 2;  ///< per server
    std::chrono::milliseconds try_limit{5000}, total_limit{10000};
    /// How long addresses of one kind are kept back for those of the other ("Resolution Delay" of
    /// RFC 8305 section 3).
    std::chrono::milliseconds other_kind_limit{50};
  };
  /// Called once; or first with an incomplete outcome and then, when the other kind is settled too,
  /// with the whole.
  using Done = std::function<void(LookupOutcome)>;

  static void start(boost::asio::io_context& io, Plan plan, Done done);

  struct Private {};
  NetworkLookup(Private, boost::asio::io_context& io, Plan plan, Done done);

 private:
  using Clock = std::chrono::steady_clock;
  using Status = LookupOutcome::Status;

  struct TcpQuestion {
    explicit TcpQuestion(boost::asio::io_context& io) : socket(io) {}
    boost::asio::ip::tcp::socket socket;
    std::string packet;
    std::array<unsigned char, 2> length{};
  };
  /// One of the two questions about a name.
  struct Question {
    std::uint16_t type = 0, id = 0;
    enum class State { asking, asking_tcp, failed, settled } state = State::asking;
    Status status = Status::failed;
    std::vector<policy::IpAddress> addresses;
    Clock::time_point answered_at{};
    std::uint32_t ttl = 0;
    std::string reason, server;  ///< of the last failure
    std::shared_ptr<TcpQuestion> tcp;
    bool open() const { return state == State::asking || state == State::asking_tcp; }
  };

  template <class Step>
  void guarded(Step step);
  void next_name();
  void next_try();
  bool begin_try();
  bool send(Question& question);
  void wait_for_answers();
  void receive();
  void read_packets();
  void take_packet(std::string_view packet);
  void take_answer(Question& question, LookupAnswer answer);
  void ask_over_tcp(Question& question);
  void write_over_tcp(Question& question,
                      const std::shared_ptr<TcpQuestion>& tcp,
                      const boost::system::error_code& connected);
  void read_over_tcp(Question& question, const std::shared_ptr<TcpQuestion>& tcp);
  void fail_try(Question& question, std::string reason);
  void fail_open(const std::string& reason);
  void out_of_time();
  void check_try();
  void wait_for_other_kind();
  void tell_one_kind();
  std::vector<policy::IpAddress> addresses() const;
  std::optional<std::chrono::seconds> ttl() const;
  void name_over();
  void end_try();

  const Server& server() const;
  std::string route(std::string_view operation, std::string_view network) const;

  boost::asio::io_context& io_;
  Plan plan_;
  Done done_;
  Clock::time_point deadline_;
  boost::asio::ip::udp::socket socket_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer other_kind_timer_;  ///< of a name, not of a try
  bool waits_for_other_kind_ = false;
  std::size_t name_ = 0;
  std::string wire_;
  std::size_t try_ = 0;
  std::uint64_t generation_ = 0;  ///< handlers of an earlier try do nothing
  std::array<Question, 2> questions_;
  bool names_failed_ = false;  ///< nobody knows about a name that comes before
  LookupOutcome last_;
};

}  // namespace iron::proxy::dns
