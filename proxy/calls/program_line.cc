#include "proxy/calls/program_line.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>
#include <utility>

#include "policy/errno_text.h"
#include "transforms/sources/call_parts.h"

namespace iron::proxy {
namespace {

using News = ProgramRunner::News;
using Order = ProgramRunner::Order;

constexpr std::size_t kFirstRoom = std::size_t{4} << 10;
constexpr std::size_t kErrorsKept = std::size_t{4} << 10;
constexpr const char* kGone = "the program runner is gone";
constexpr const char* kNotOfTheStart =
    "a program can be run only if the configuration at the start had one";

std::string status_text(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  const char* const name = ::sigdescr_np(WTERMSIG(status));
  std::string text(name == nullptr ? "unknown" : name);
  if (text.front() >= 'A' && text.front() <= 'Z') text.front() |= 0x20;
  return "signal: " + text;
}

}  // namespace

ProgramLine::ProgramLine(EventLoop& loop, const ProgramRunner* runner)
    : loop_(loop), runner_(runner), open_(runner != nullptr && runner->socket() >= 0) {
  if (open_) loop_.poller().add(runner_->socket(), EPOLLIN, *this);
}

ProgramLine::~ProgramLine() {
  if (open_) loop_.poller().remove(runner_->socket());
}

void ProgramLine::ready(std::uint32_t) {
  while (open_ && receive()) {
  }
}

/// One message; false: there is none now.
bool ProgramLine::receive() {
  News news;
  int descriptors[2] = {-1, -1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptors)> control{};
  iovec part{&news, sizeof news};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(runner_->socket(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (size != sizeof news) {
    hang_up();
    return false;
  }
  const cmsghdr* const with = CMSG_FIRSTHDR(&message);
  if (with != nullptr && with->cmsg_level == SOL_SOCKET && with->cmsg_type == SCM_RIGHTS) {
    ::memcpy(descriptors, CMSG_DATA(with),
             std::min(sizeof descriptors, with->cmsg_len - CMSG_LEN(0)));
  }
  const auto waiting = std::ranges::find(under_way_, news.run, &ProgramAttempt::run_);
  if (waiting != under_way_.end()) {
    (*waiting)->hear(news, descriptors);
  } else {
    for (const int descriptor : descriptors) {
      if (descriptor >= 0) ::close(descriptor);
    }
  }
  return true;
}

void ProgramLine::hang_up() {
  loop_.poller().remove(runner_->socket());
  open_ = false;
  for (ProgramAttempt* attempt : under_way_) attempt->end_with(kGone);
}

bool ProgramLine::send(const Order& order, const Secret* secret) const {
  Order copy = order;
  iovec parts[2] = {{&copy, sizeof copy}, {nullptr, 0}};
  if (secret != nullptr) {
    parts[1] = {const_cast<char*>(secret->reveal().data()), secret->size()};
  }
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = secret == nullptr ? 1 : 2;
  return ::sendmsg(runner_->socket(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

ProgramAttempt::ProgramAttempt(ProgramLine& line,
                               Pause& pause,
                               const transforms::ProgramRun& program)
    : line_(line),
      pause_(pause),
      run_(++line.last_run_),
      secret_(program.secret),
      output_(line.loop_, pause),
      errors_(line.loop_, pause) {
  begin(program);
}

void ProgramAttempt::begin(const transforms::ProgramRun& program) {
  const auto number = line_.runner_ == nullptr ? std::nullopt : line_.runner_->number_of(program);
  if (!number) return end_with(kNotOfTheStart);
  if (!line_.runner_->found(*number)) {
    const bool is_name = program.program.find('/') == program.program.npos;
    return end_with(
        program.program + ": " +
            (is_name ? "executable file not found in PATH" : policy::errno_text(ENOENT)),
        Fault::gone);
  }
  if (!line_.open_) return end_with(kGone);
  if (secret_ != nullptr && secret_->size() > ProgramRunner::kLongestSecret) {
    return end_with("the key for it is too long");
  }
  line_.under_way_.push_back(this);
  sent_ = line_.send({Order::Kind::run, run_, *number}, secret_.get());
  if (!sent_) end_with(policy::errno_text(errno));
}

ProgramAttempt::~ProgramAttempt() {
  std::erase(line_.under_way_, this);
  if (sent_ && line_.open_) line_.send({Order::Kind::kill, run_, 0}, nullptr);
}

void ProgramAttempt::end_with(std::string text, Fault fault) {
  fault_ = fail(std::move(text), fault);
  pause_.wake();
}

void ProgramAttempt::hear(const News& news, const int (&descriptors)[2]) {
  switch (news.kind) {
    case News::Kind::started:
      if (descriptors[1] < 0) {
        if (descriptors[0] >= 0) ::close(descriptors[0]);
        return end_with(policy::errno_text(EMFILE));
      }
      output_.descriptor = descriptors[0];
      errors_.descriptor = descriptors[1];
      try {
        output_.watch();
        errors_.watch();
      } catch (const std::bad_alloc&) {
        return end_with("out of memory");
      }
      break;
    case News::Kind::refused:
      sent_ = false;
      return end_with(policy::errno_text(news.code));
    case News::Kind::ended:
      sent_ = false;
      status_ = news.code;
      break;
  }
  pause_.wake();
}

bool ProgramAttempt::look() {
  if (fault_) return true;
  if (!status_) {
    output_.read(kMost + 1);
    read_errors();
  } else {
    // All that it wrote is there. Who has left its group may still write, and is not waited for.
    while (output_.used <= kMost && output_.read(kMost + 1)) {
    }
    for (std::size_t rounds = 0; rounds < kMost / kErrorsKept && errors_.descriptor >= 0;
         ++rounds) {
      read_errors();
    }
  }
  if (output_.used > kMost) end_with("it wrote more than " + std::to_string(kMost) + " bytes");
  return fault_ || status_;
}

/// Of the errors the end counts.
void ProgramAttempt::read_errors() {
  if (errors_.used == kErrorsKept) {
    const auto bytes = errors_.bytes.writable();
    std::copy(bytes.begin() + kErrorsKept / 2, bytes.end(), bytes.begin());
    errors_.used = kErrorsKept / 2;
  }
  errors_.read(kErrorsKept);
}

Result<Secret> ProgramAttempt::outcome() {
  if (fault_) return *fault_;
  if (*status_ == 0) return Secret::copy_of({output_.bytes.reveal().data(), output_.used});
  const std::string line = last_error_line();
  return fail(line.empty() ? status_text(*status_) : line);
}

std::string ProgramAttempt::last_error_line() const {
  std::string_view text(errors_.bytes.reveal().data(), errors_.used);
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == text.npos) return {};
  text = text.substr(0, end + 1);
  const std::size_t line = text.find_last_of("\r\n");
  if (line != text.npos) text.remove_prefix(line + 1);
  return transforms::told(text, {secret_});
}

void ProgramAttempt::Output::watch() { loop.poller().add(descriptor, EPOLLIN, *this); }

void ProgramAttempt::Output::close() {
  if (descriptor < 0) return;
  loop.poller().remove(descriptor);
  ::close(std::exchange(descriptor, -1));
}

void ProgramAttempt::Output::make_room(std::size_t most) {
  if (used < bytes.size()) return;
  Secret more = Secret::sized(std::min(std::max(bytes.size() * 2, kFirstRoom), most));
  std::copy_n(bytes.reveal().data(), used, more.writable().data());
  bytes = std::move(more);
}

bool ProgramAttempt::Output::read(std::size_t most) {
  if (descriptor < 0 || used >= most) return false;
  make_room(most);
  const ssize_t got = ::read(descriptor, bytes.writable().data() + used, bytes.size() - used);
  if (got > 0) {
    used += static_cast<std::size_t>(got);
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  close();
  return false;
}

}  // namespace iron::proxy
