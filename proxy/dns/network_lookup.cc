#include "proxy/dns/network_lookup.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <new>
#include <utility>

namespace iron::proxy::dns {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

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

asio::ip::address asio_address(const policy::IpAddress& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes{};
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  return asio::ip::address_v6(address.bytes());
}

error_code last_error() { return {errno, boost::system::system_category()}; }

error_code send_packet(int descriptor, const std::string& packet) {
  const ssize_t sent =
      ::send(descriptor, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? last_error() : error_code();
}

std::string reason_text(const error_code& error) {
  std::string text = error.message();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

template <class Endpoint>
std::string endpoint_text(const Endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

}  // namespace

void NetworkLookup::start(asio::io_context& io, Plan plan, Done done) {
  std::make_shared<NetworkLookup>(Private{}, io, std::move(plan), std::move(done))->next_name();
}

NetworkLookup::NetworkLookup(Private, asio::io_context& io, Plan plan, Done done)
    : io_(io),
      plan_(std::move(plan)),
      done_(std::move(done)),
      deadline_(Clock::now() + plan_.total_limit),
      socket_(io),
      timer_(io),
      other_kind_timer_(io) {
  questions_[0].type = kTypeA;
  questions_[1].type = kTypeAaaa;
  last_ = {Status::no_such_name, {}, lookup_error(plan_.name, "", "no such host")};
}

/// A step of a handler. Where memory runs out in it the lookup ends at once: nothing else would
/// wake those who wait before the time of a try is over.
template <class Step>
void NetworkLookup::guarded(Step step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    end_try();
    other_kind_timer_.cancel();
    if (const Done done = std::exchange(done_, nullptr))
      done(LookupOutcome::failure("out of memory"));
    throw;
  }
}

void NetworkLookup::next_name() {
  while (name_ < plan_.names.size()) {
    auto wire = wire_name(plan_.names[name_++]);
    if (!wire) continue;
    wire_ = *std::move(wire);
    try_ = 0;
    for (Question& question : questions_) {
      const std::uint16_t type = question.type;
      question = {};
      question.type = type;
      question.state = Question::State::failed;
    }
    next_try();
    return;
  }
  const Done done = std::exchange(done_, nullptr);
  done(std::move(last_));
}

void NetworkLookup::next_try() {
  const std::size_t tries = plan_.servers.size() * static_cast<std::size_t>(plan_.attempts);
  while (try_ < tries && Clock::now() < deadline_) {
    if (begin_try()) {
      wait_for_answers();
      return;
    }
    end_try();
    ++try_;
  }
  name_over();
}

bool NetworkLookup::begin_try() {
  for (Question& question : questions_) {
    if (question.state == Question::State::settled) continue;
    question.state = Question::State::asking;
    question.id = random_id();
  }
  // The kernel picks a random port for each socket.
  const asio::ip::udp::endpoint endpoint(asio_address(server().address), server().port);
  error_code error;
  socket_.open(endpoint.protocol(), error);
  if (!error) socket_.connect(endpoint, error);
  if (error) {
    fail_open("dial udp " + endpoint_text(endpoint) + ": connect: " + reason_text(error));
    return false;
  }
  bool sent = false;
  for (Question& question : questions_) {
    if (question.state == Question::State::asking) sent = send(question) || sent;
  }
  return sent;
}

bool NetworkLookup::send(Question& question) {
  const std::string packet = render_lookup(question.id, wire_, question.type);
  error_code error = send_packet(socket_.native_handle(), packet);
  // What the other question met; this one gets an error of its own.
  if (error == asio::error::connection_refused) {
    error = send_packet(socket_.native_handle(), packet);
  }
  if (!error) return true;
  fail_try(question, route("write", "udp") + ": write: " + reason_text(error));
  return false;
}

void NetworkLookup::wait_for_answers() {
  timer_.expires_at(std::min(deadline_, Clock::now() + plan_.try_limit));
  timer_.async_wait([self = shared_from_this(), generation = generation_](const error_code& error) {
    if (!error && generation == self->generation_) self->guarded([&] { self->out_of_time(); });
  });
  receive();
}

void NetworkLookup::receive() {
  socket_.async_wait(
      asio::ip::udp::socket::wait_read,
      [self = shared_from_this(), generation = generation_](const error_code& waited) {
        if (!waited && generation == self->generation_)
          self->guarded([&] { self->read_packets(); });
      });
}

void NetworkLookup::read_packets() {
  std::array<char, 4096> packet;
  const auto asking = [this] {
    return std::any_of(questions_.begin(), questions_.end(),
                       [](const auto& q) { return q.state == Question::State::asking; });
  };
  error_code error;
  // Whoever floods the socket does not keep the loop.
  for (int packets = 0; packets < kPacketsAtOnce && asking(); ++packets) {
    const ssize_t size =
        ::recv(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0) {
      error = last_error();
      break;
    }
    take_packet({packet.data(), static_cast<std::size_t>(size)});
  }
  if (error && error != asio::error::would_block) {
    fail_open(route("read", "udp") + ": read: " + reason_text(error));
  } else if (asking()) {
    receive();
  }
  check_try();
}

void NetworkLookup::take_packet(std::string_view packet) {
  for (Question& question : questions_) {
    if (question.state != Question::State::asking) continue;
    auto answer = parse_lookup(packet, question.id, wire_, question.type);
    if (answer) {
      take_answer(question, *std::move(answer));
      return;
    }
  }
}

void NetworkLookup::take_answer(Question& question, LookupAnswer answer) {
  if (answer.truncated && question.state == Question::State::asking) {
    ask_over_tcp(question);
    return;
  }
  const auto settle = [&](Status status) {
    question.state = Question::State::settled;
    question.answered_at = Clock::now();
    question.ttl = answer.ttl;
    question.status = status;
    question.server = server().shown;
    question.reason = "no such host";
  };
  if (answer.rcode == static_cast<int>(Rcode::no_such_name)) {
    settle(Status::no_such_name);
  } else if (answer.malformed || answer.truncated) {
    fail_try(question, "cannot unmarshal DNS message");
  } else if (answer.lame) {
    fail_try(question, "lame referral");
  } else if (answer.rcode != 0) {
    fail_try(question, "server misbehaving");
  } else if (answer.addresses.empty()) {
    settle(Status::no_addresses);
  } else {
    settle(Status::found);
    question.addresses = std::move(answer.addresses);
  }
}

void NetworkLookup::ask_over_tcp(Question& question) {
  question.state = Question::State::asking_tcp;
  auto tcp = std::make_shared<TcpQuestion>(io_);
  question.tcp = tcp;
  const std::string packet = render_lookup(question.id, wire_, question.type);
  tcp->packet = {static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size() & 0xff)};
  tcp->packet += packet;
  const asio::ip::tcp::endpoint endpoint(asio_address(server().address), server().port);
  tcp->socket.async_connect(endpoint, [self = shared_from_this(), generation = generation_, tcp,
                                       &question](const error_code& error) {
    if (generation == self->generation_)
      self->guarded([&] { self->write_over_tcp(question, tcp, error); });
  });
}

void NetworkLookup::write_over_tcp(Question& question,
                                   const std::shared_ptr<TcpQuestion>& tcp,
                                   const error_code& connected) {
  if (connected) {
    fail_try(question, route("dial", "tcp") + ": connect: " + reason_text(connected));
    check_try();
    return;
  }
  asio::async_write(tcp->socket, asio::buffer(tcp->packet),
                    [self = shared_from_this(), generation = generation_, tcp, &question](
                        const error_code& failed, std::size_t) {
                      if (generation != self->generation_) return;
                      self->guarded([&] {
                        if (!failed) return self->read_over_tcp(question, tcp);
                        self->fail_try(question, "write tcp: " + reason_text(failed));
                        self->check_try();
                      });
                    });
}

void NetworkLookup::read_over_tcp(Question& question, const std::shared_ptr<TcpQuestion>& tcp) {
  const auto failed = [](const std::shared_ptr<NetworkLookup>& self, Question& about,
                         const error_code& error) {
    self->fail_try(about, self->route("read", "tcp") + ": " +
                              (error == asio::error::eof ? "EOF" : reason_text(error)));
    self->check_try();
  };
  auto got_packet = [self = shared_from_this(), generation = generation_, tcp, &question, failed](
                        const error_code& error, std::size_t) {
    if (generation != self->generation_) return;
    self->guarded([&] {
      if (error) return failed(self, question, error);
      auto answer = parse_lookup(tcp->packet, question.id, self->wire_, question.type);
      if (answer) {
        self->take_answer(question, *std::move(answer));
      } else {
        self->fail_try(question, "cannot unmarshal DNS message");
      }
      self->check_try();
    });
  };
  asio::async_read(
      tcp->socket, asio::buffer(tcp->length),
      [self = shared_from_this(), generation = generation_, tcp, &question, failed,
       got_packet = std::move(got_packet)](const error_code& error, std::size_t) {
        if (generation != self->generation_) return;
        self->guarded([&] {
          if (error) return failed(self, question, error);
          tcp->packet.resize(static_cast<std::size_t>(tcp->length[0]) << 8 | tcp->length[1]);
          asio::async_read(tcp->socket, asio::buffer(tcp->packet), got_packet);
        });
      });
}

void NetworkLookup::fail_try(Question& question, std::string reason) {
  question.state = Question::State::failed;
  question.status = Status::failed;
  question.reason = std::move(reason);
  question.server = server().shown;
}

void NetworkLookup::fail_open(const std::string& reason) {
  for (Question& question : questions_) {
    if (question.state == Question::State::asking) fail_try(question, reason);
  }
}

void NetworkLookup::out_of_time() {
  for (Question& question : questions_) {
    if (!question.open()) continue;
    const bool over_tcp = question.state == Question::State::asking_tcp;
    fail_try(question, route("read", over_tcp ? "tcp" : "udp") + ": i/o timeout");
  }
  check_try();
}

void NetworkLookup::check_try() {
  bool open = false, again = false, found = false;
  for (const Question& question : questions_) {
    open = open || question.open();
    again = again || question.state == Question::State::failed;
    found = found || !question.addresses.empty();
  }
  if (found && (open || again)) wait_for_other_kind();
  if (open) return;
  end_try();
  if (!again) return name_over();
  ++try_;
  next_try();
}

void NetworkLookup::wait_for_other_kind() {
  if (std::exchange(waits_for_other_kind_, true)) return;
  other_kind_timer_.expires_after(plan_.other_kind_limit);
  other_kind_timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error) self->guarded([&] { self->tell_one_kind(); });
  });
}

void NetworkLookup::tell_one_kind() {
  if (!done_) return;
  LookupOutcome outcome = LookupOutcome::of(addresses());
  outcome.complete = false;
  done_(std::move(outcome));
}

std::vector<policy::IpAddress> NetworkLookup::addresses() const {
  std::vector<policy::IpAddress> all;
  for (const Question& question : questions_) {
    all.insert(all.end(), question.addresses.begin(), question.addresses.end());
  }
  return all;
}

/// Nothing if one kind is missing for a reason that may pass, or is much older than the other.
std::optional<std::chrono::seconds> NetworkLookup::ttl() const {
  const auto& [one, other] = questions_;
  const bool settled = one.state == Question::State::settled && other.state == one.state;
  if (!settled || names_failed_) return std::nullopt;
  if (std::chrono::abs(one.answered_at - other.answered_at) > std::chrono::seconds(1))
    return std::nullopt;
  return std::chrono::seconds(std::min(one.ttl, other.ttl));
}

void NetworkLookup::end_try() {
  ++generation_;
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  for (Question& question : questions_) question.tcp.reset();
}

void NetworkLookup::name_over() {
  other_kind_timer_.cancel();
  bool failed = false, missing = false;
  for (const Question& question : questions_) {
    failed = failed || question.status == Status::failed;
    missing = missing || question.status == Status::no_such_name;
  }
  if (const auto found = addresses(); !found.empty()) {
    LookupOutcome outcome = LookupOutcome::of(found);
    outcome.ttl = ttl();
    const Done done = std::exchange(done_, nullptr);
    done(std::move(outcome));
    return;
  }
  names_failed_ = names_failed_ || failed;
  // A name never asked for lacks a reason: the time was over before.
  const Question& last = questions_[1];
  if (!last.reason.empty()) {
    last_.status = failed ? Status::failed : missing ? Status::no_such_name : Status::no_addresses;
    last_.error = lookup_error(plan_.name, last.server, last.reason);
  }
  next_name();
}

const NetworkLookup::Server& NetworkLookup::server() const {
  return plan_.servers[try_ % plan_.servers.size()];
}

std::string NetworkLookup::route(std::string_view operation, std::string_view network) const {
  std::string text(operation);
  text += ' ';
  text += network;
  error_code error;
  const auto local = socket_.local_endpoint(error);
  text += ' ';
  if (network == "udp" && !error) text += endpoint_text(local) + "->";
  return text + server().address.text_with_port(server().port);
}

}  // namespace iron::proxy::dns
