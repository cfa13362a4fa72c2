#include "proxy/dns/lookup_steps.h"

#include <algorithm>
#include <utility>

namespace iron::proxy::dns {

LookupSteps::LookupSteps(LookupPlan plan, Time now, std::uint16_t (*random_id)())
    : plan_(std::move(plan)), random_id_(random_id), end_(now + plan_.total_limit) {
  questions_[0].type = kTypeA;
  questions_[1].type = kTypeAaaa;
  last_ = {Status::no_such_name, {}, lookup_error(plan_.name, "", "no such host")};
}

LookupSteps::Step LookupSteps::next(Time now) {
  while (true) {
    std::optional<Step> step;
    switch (phase_) {
      case Phase::name:
        if (!begin_name()) step = finish(std::move(last_));
        break;
      case Phase::begin_try:
        if (begin_try(now)) {
          step = Step{.kind = Step::Kind::open};
        } else {
          step = name_over();
        }
        break;
      case Phase::send:
        step = send_next(now);
        break;
      case Phase::wait:
        step = look_at_answers(now);
        break;
      case Phase::finished:
        step = Step{};
        break;
    }
    if (step) return *std::move(step);
  }
}

bool LookupSteps::begin_name() {
  while (name_ < plan_.names.size()) {
    auto wire = wire_name(plan_.names[name_++]);
    if (!wire) continue;
    wire_ = *std::move(wire);
    try_ = 0;
    for (Question& question : questions_) {
      const std::uint16_t type = question.type;
      question = {};
      question.type = type;
    }
    phase_ = Phase::begin_try;
    return true;
  }
  return false;
}

bool LookupSteps::begin_try(Time now) {
  const std::size_t tries = plan_.servers.size() * static_cast<std::size_t>(plan_.attempts);
  if (try_ >= tries || now >= end_) return false;
  for (Question& question : questions_) {
    if (question.state == Question::State::settled) continue;
    question.state = Question::State::to_send;
    question.id = random_id_();
  }
  phase_ = Phase::send;
  return true;
}

std::optional<LookupSteps::Step> LookupSteps::send_next(Time now) {
  for (std::size_t i = 0; i < kQuestions; ++i) {
    if (questions_[i].state != Question::State::to_send) continue;
    questions_[i].state = Question::State::asking;
    return ask(Step::Kind::send, i);
  }
  try_end_ = std::min(end_, now + plan_.try_limit);
  phase_ = Phase::wait;
  return std::nullopt;
}

std::optional<LookupSteps::Step> LookupSteps::look_at_answers(Time now) {
  bool open = false, again = false, found = false;
  for (const Question& question : questions_) {
    open = open || question.open();
    again = again || question.state == Question::State::failed;
    found = found || !question.addresses.empty();
  }
  if (found && (open || again) && !other_kind_end_) other_kind_end_ = now + plan_.other_kind_limit;
  for (std::size_t i = 0; i < kQuestions; ++i) {
    if (questions_[i].state != Question::State::to_ask_tcp) continue;
    questions_[i].state = Question::State::asking_tcp;
    return ask(Step::Kind::ask_over_tcp, i);
  }
  if (!open && !again) return name_over();
  if (!open) {
    ++try_;
    phase_ = Phase::begin_try;
    return std::nullopt;
  }
  if (other_kind_end_ && now >= *other_kind_end_ && !std::exchange(told_, true)) {
    Step step{.kind = Step::Kind::tell, .outcome = LookupOutcome::of(addresses())};
    step.outcome.complete = false;
    return step;
  }
  return Step{};
}

std::optional<LookupSteps::Step> LookupSteps::name_over() {
  if (const auto found = addresses(); !found.empty()) {
    LookupOutcome outcome = LookupOutcome::of(found);
    outcome.ttl = ttl();
    return finish(std::move(outcome));
  }
  bool failed = false, missing = false;
  for (const Question& question : questions_) {
    failed = failed || question.status == Status::failed;
    missing = missing || question.status == Status::no_such_name;
  }
  names_failed_ = names_failed_ || failed;
  // A name never asked for lacks a reason: the time was over before.
  const Question& last = questions_.back();
  if (!last.reason.empty()) {
    last_.status = failed ? Status::failed : missing ? Status::no_such_name : Status::no_addresses;
    last_.error = lookup_error(plan_.name, last.server, last.reason);
  }
  phase_ = Phase::name;
  return std::nullopt;
}

LookupSteps::Step LookupSteps::finish(LookupOutcome outcome) {
  phase_ = Phase::finished;
  return {.kind = Step::Kind::finish, .outcome = std::move(outcome)};
}

LookupSteps::Step LookupSteps::ask(Step::Kind kind, std::size_t question) const {
  const Question& asked = questions_.at(question);
  return {.kind = kind, .question = question, .packet = render_lookup(asked.id, wire_, asked.type)};
}

const LookupPlan::Server& LookupSteps::server() const {
  return plan_.servers[try_ % plan_.servers.size()];
}

LookupSteps::Time LookupSteps::deadline() const {
  return other_kind_end_ && !told_ ? std::min(try_end_, *other_kind_end_) : try_end_;
}

bool LookupSteps::wants_packets() const {
  return std::any_of(questions_.begin(), questions_.end(),
                     [](const Question& question) { return question.over_udp(); });
}

void LookupSteps::packet(std::string_view bytes, Time now) {
  for (Question& question : questions_) {
    if (question.state != Question::State::asking) continue;
    auto answer = parse_lookup(bytes, question.id, wire_, question.type);
    if (!answer) continue;
    if (answer->truncated) {
      question.state = Question::State::to_ask_tcp;
    } else {
      take_answer(question, *std::move(answer), now);
    }
    return;
  }
}

void LookupSteps::packet_over_tcp(std::size_t question, std::string_view bytes, Time now) {
  Question& asked = questions_.at(question);
  if (asked.state != Question::State::asking_tcp) return;
  auto answer = parse_lookup(bytes, asked.id, wire_, asked.type);
  if (answer) {
    take_answer(asked, *std::move(answer), now);
  } else {
    fail(asked, "cannot unmarshal DNS message");
  }
}

void LookupSteps::take_answer(Question& question, LookupAnswer answer, Time now) {
  const auto settle = [&](Status status) {
    question.state = Question::State::settled;
    question.status = status;
    question.answered_at = now;
    question.ttl = answer.ttl;
    question.server = server().shown;
    question.reason = "no such host";
  };
  if (answer.rcode == static_cast<int>(Rcode::no_such_name)) {
    settle(Status::no_such_name);
  } else if (answer.malformed || answer.truncated) {
    fail(question, "cannot unmarshal DNS message");
  } else if (answer.lame) {
    fail(question, "lame referral");
  } else if (answer.rcode != 0) {
    fail(question, "server misbehaving");
  } else if (answer.addresses.empty()) {
    settle(Status::no_addresses);
  } else {
    settle(Status::found);
    question.addresses = std::move(answer.addresses);
  }
}

void LookupSteps::fail(Question& question, std::string reason) {
  question.state = Question::State::failed;
  question.status = Status::failed;
  question.reason = std::move(reason);
  question.server = server().shown;
}

void LookupSteps::fail_over_udp(const std::string& reason) {
  for (Question& question : questions_) {
    if (question.over_udp()) fail(question, reason);
  }
}

void LookupSteps::open_failed(std::string_view reason) {
  fail_over_udp(route("dial udp", "") + ": connect: " + std::string(reason));
}

void LookupSteps::send_failed(std::size_t question,
                              std::string_view local,
                              std::string_view reason) {
  fail(questions_.at(question), route("write udp", local) + ": write: " + std::string(reason));
}

void LookupSteps::receive_failed(std::string_view local, std::string_view reason) {
  fail_over_udp(route("read udp", local) + ": read: " + std::string(reason));
}

void LookupSteps::tcp_failed(std::size_t question, Tcp at, std::string_view reason) {
  Question& asked = questions_.at(question);
  if (asked.state != Question::State::asking_tcp) return;
  switch (at) {
    case Tcp::dial:
      return fail(asked, route("dial tcp", "") + ": connect: " + std::string(reason));
    case Tcp::write:
      return fail(asked, "write tcp: " + std::string(reason));
    case Tcp::read:
      return fail(asked, route("read tcp", "") + ": " + std::string(reason));
  }
}

void LookupSteps::time_over(std::string_view local, Time now) {
  if (phase_ != Phase::wait || now < try_end_) return;
  for (Question& question : questions_) {
    if (!question.open()) continue;
    fail(question, (question.over_tcp() ? route("read tcp", "") : route("read udp", local)) +
                       ": i/o timeout");
  }
}

std::string LookupSteps::route(std::string_view operation, std::string_view local) const {
  std::string text(operation);
  text += ' ';
  if (!local.empty()) text.append(local).append("->");
  return text + server().address.text_with_port(server().port);
}

std::vector<policy::IpAddress> LookupSteps::addresses() const {
  std::vector<policy::IpAddress> all;
  for (const Question& question : questions_) {
    all.insert(all.end(), question.addresses.begin(), question.addresses.end());
  }
  return all;
}

/// Nothing if one kind is missing for a reason that may pass, or is much older than the other.
std::optional<std::chrono::seconds> LookupSteps::ttl() const {
  const auto& [one, other] = questions_;
  const bool settled = one.state == Question::State::settled && other.state == one.state;
  if (!settled || names_failed_) return std::nullopt;
  if (std::chrono::abs(one.answered_at - other.answered_at) > std::chrono::seconds(1))
    return std::nullopt;
  return std::chrono::seconds(std::min(one.ttl, other.ttl));
}

}  // namespace iron::proxy::dns
