#include "proxy/dns/question_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "proxy/wait/socket_address.h"

namespace iron::proxy::dns {
namespace {

int family_of(const policy::IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

}  // namespace

QuestionSocket::QuestionSocket(EventLoop& loop, Pause& pause, int family, int type)
    : descriptor_(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      error_(descriptor_ < 0 ? errno : 0) {
  if (descriptor_ < 0) return;
  try {
    watch_.emplace(loop, descriptor_);
  } catch (const std::bad_alloc&) {
    ::close(descriptor_);
    throw;
  }
  watch_->set_pause(&pause);
  watch_->leave_to_close();
}

QuestionSocket::~QuestionSocket() {
  watch_.reset();
  if (descriptor_ >= 0) ::close(descriptor_);
}

int QuestionSocket::connect(const policy::IpAddress& address, std::uint16_t port) {
  if (descriptor_ < 0) return error_;
  const SocketAddress peer = SocketAddress::of(address, port);
  const int done = ::connect(descriptor_, peer.get(), peer.size);
  return done == 0 ? 0 : errno;
}

std::string QuestionSocket::local() const {
  return descriptor_ < 0 ? std::string() : SocketAddress::local(descriptor_).text();
}

TcpQuestion::TcpQuestion(EventLoop& loop,
                         Pause& pause,
                         const policy::IpAddress& address,
                         std::uint16_t port,
                         std::string_view packet)
    : socket_(loop, pause, family_of(address), SOCK_STREAM) {
  packet_ = {static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size() & 0xff)};
  packet_ += packet;
  const int error = socket_.connect(address, port);
  if (error != 0 && error != EINPROGRESS) {
    fail(error);
    return;
  }
  socket_.watch().arm_write();
}

TcpQuestion::State TcpQuestion::advance() {
  if (state_ == State::dialling && dial()) state_ = State::writing;
  if (state_ == State::writing && write()) {
    state_ = State::reading;
    packet_.assign(kLength, '\0');
    done_ = 0;
  }
  if (state_ == State::reading && read()) state_ = State::answered;
  return state_;
}

bool TcpQuestion::fail(int error) {
  failed_at_ = std::exchange(state_, State::failed);
  error_ = error;
  return false;
}

bool TcpQuestion::dial() {
  if (!socket_.watch().writable()) return false;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 || fail(error);
}

bool TcpQuestion::write() {
  while (done_ < packet_.size()) {
    const ssize_t sent = ::send(socket_.descriptor(), packet_.data() + done_,
                                packet_.size() - done_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
      socket_.watch().arm_write();
      return false;
    }
    if (sent < 0) return fail(errno);
    done_ += static_cast<std::size_t>(sent);
  }
  return true;
}

bool TcpQuestion::read() {
  while (true) {
    if (done_ == kLength && packet_.size() == kLength) {
      const auto high = static_cast<unsigned char>(packet_[0]);
      const auto low = static_cast<unsigned char>(packet_[1]);
      packet_.resize(kLength + (static_cast<std::size_t>(high) << 8 | low));
    }
    if (done_ >= kLength && done_ == packet_.size()) return true;
    const ssize_t got =
        ::recv(socket_.descriptor(), packet_.data() + done_, packet_.size() - done_, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      socket_.watch().clear_readable();
      socket_.watch().arm_read();
      return false;
    }
    if (got <= 0) return fail(got < 0 ? errno : 0);
    done_ += static_cast<std::size_t>(got);
  }
}

}  // namespace iron::proxy::dns
