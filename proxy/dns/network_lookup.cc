#include "proxy/dns/network_lookup.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <new>
#include <utility>

#include "policy/errno_text.h"

namespace iron::proxy::dns {
namespace {

constexpr int kPacketsAtOnce = 64;

std::uint16_t random_id() {
  thread_local std::array<std::uint16_t, 128> ids;
  thread_local std::size_t left = 0;
  if (left == 0) {
    // Never short nor interrupted for 256 bytes and less (getrandom(2)).
    if (::getrandom(ids.data(), sizeof(ids), 0) < 0) return 0;
    left = ids.size();
  }
  return ids.at(--left);
}

/// 0, or why it was not sent.
int send_packet(int descriptor, const std::string& packet) {
  const ssize_t sent =
      ::send(descriptor, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? errno : 0;
}

/// 0: the peer ended.
std::string reason_text(int error) { return error == 0 ? "EOF" : policy::errno_text(error); }

}  // namespace

void NetworkLookup::start(EventLoop& loop, LookupPlan plan, Done done) {
  auto told = std::make_shared<Done>(std::move(done));
  // Where memory runs out the lookup ends at once: nothing else would wake those who wait before
  // the time of a try is over.
  iron::start(run(loop, std::move(plan), told), [told](std::exception_ptr) {
    if (*told) (*told)(LookupOutcome::failure("out of memory"));
  });
}

NetworkLookup::NetworkLookup(EventLoop& loop, LookupPlan plan)
    : pause_(loop), steps_(std::move(plan), loop.now(), random_id) {}

Task<void> NetworkLookup::run(EventLoop& loop, LookupPlan plan, std::shared_ptr<Done> done) {
  NetworkLookup lookup(loop, std::move(plan));
  while (!loop.cut()) {
    Step step = lookup.steps_.next(loop.now());
    switch (step.kind) {
      case Step::Kind::open:
        lookup.open();
        break;
      case Step::Kind::send:
        lookup.send(step);
        break;
      case Step::Kind::ask_over_tcp:
        lookup.ask_over_tcp(step);
        break;
      case Step::Kind::tell:
        (*done)(std::move(step.outcome));
        break;
      case Step::Kind::wait:
        lookup.pause_.set_deadline(lookup.steps_.deadline());
        if (lookup.floods()) {
          co_await lookup.pause_.pass_turn();
        } else {
          if (lookup.wants_packets()) lookup.udp_->watch().arm_read();
          co_await lookup.pause_;
        }
        lookup.look();
        break;
      case Step::Kind::finish: {
        lookup.close();
        const Done last = std::exchange(*done, nullptr);
        last(std::move(step.outcome));
        co_return;
      }
    }
  }
}

void NetworkLookup::open() {
  close();
  // The kernel picks a random port for each socket.
  const LookupPlan::Server& server = steps_.server();
  udp_ = std::make_unique<QuestionSocket>(pause_.loop(), pause_,
                                          server.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM);
  int error = udp_->open_error();
  if (error == 0) error = udp_->connect(server.address, server.port);
  if (error == 0) return;
  steps_.open_failed(reason_text(error));
  udp_.reset();
}

void NetworkLookup::close() {
  udp_.reset();
  for (auto& tcp : tcp_) tcp.reset();
}

void NetworkLookup::send(const Step& step) {
  int error = send_packet(udp_->descriptor(), step.packet);
  // What the other question met; this one gets an error of its own.
  if (error == ECONNREFUSED) error = send_packet(udp_->descriptor(), step.packet);
  if (error != 0) steps_.send_failed(step.question, udp_->local(), reason_text(error));
}

void NetworkLookup::ask_over_tcp(const Step& step) {
  const LookupPlan::Server& server = steps_.server();
  tcp_.at(step.question) = std::make_unique<TcpQuestion>(pause_.loop(), pause_, server.address,
                                                         server.port, step.packet);
  look_at_tcp(step.question);
}

bool NetworkLookup::wants_packets() const { return udp_ && steps_.wants_packets(); }

/// More packets are there than were read at once: others of the loop have their turn first.
bool NetworkLookup::floods() const { return wants_packets() && udp_->watch().readable(); }

/// What a wake may be about.
void NetworkLookup::look() {
  if (wants_packets()) read_packets();
  for (std::size_t question = 0; question < tcp_.size(); ++question) look_at_tcp(question);
  if (!pause_.expired()) return;
  pause_.clear_deadline();
  steps_.time_over(udp_ ? udp_->local() : std::string(), pause_.loop().now());
}

void NetworkLookup::read_packets() {
  std::array<char, 4096> packet;
  // Whoever floods the socket does not keep the loop.
  for (int packets = 0; packets < kPacketsAtOnce && wants_packets(); ++packets) {
    const ssize_t size = ::recv(udp_->descriptor(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) {
      udp_->watch().clear_readable();
      return;
    }
    if (size < 0) {
      steps_.receive_failed(udp_->local(), reason_text(errno));
      return;
    }
    steps_.packet({packet.data(), static_cast<std::size_t>(size)}, pause_.loop().now());
  }
}

void NetworkLookup::look_at_tcp(std::size_t question) {
  auto& tcp = tcp_.at(question);
  if (!tcp) return;
  switch (tcp->advance()) {
    case TcpQuestion::State::answered:
      steps_.packet_over_tcp(question, tcp->packet(), pause_.loop().now());
      break;
    case TcpQuestion::State::failed: {
      using Tcp = LookupSteps::Tcp;
      const Tcp at = tcp->failed_at() == TcpQuestion::State::dialling  ? Tcp::dial
                     : tcp->failed_at() == TcpQuestion::State::writing ? Tcp::write
                                                                       : Tcp::read;
      steps_.tcp_failed(question, at, reason_text(tcp->error()));
      break;
    }
    default:
      return;
  }
  tcp.reset();
}

}  // namespace iron::proxy::dns
