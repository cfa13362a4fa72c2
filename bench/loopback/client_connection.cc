#include "bench/loopback/client_connection.h"

#include <openssl/err.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

namespace iron::bench {
namespace {

constexpr std::size_t kReadAtOnce = 256 * 1024, kWriteAtOnce = 1 << 20;
constexpr std::size_t kChunk = 8 * 1024, kLine = 64;
constexpr std::size_t kStatusAt = 9;  // behind "HTTP/1.1 "
constexpr std::string_view kEventStart = "data: ";

// One thread, and what is read is used at once.
std::vector<char> buffer(kReadAtOnce);
const std::string filler(kWriteAtOnce, 'u');

/// A text of lines with the token in its middle, in chunks.
std::string chunked_body(std::uint64_t size, const std::string& token) {
  std::string text(size, 'p');
  for (std::size_t at = 0; at < text.size(); at += kLine) text[at] = '\n';
  text.replace(text.size() / 2, token.size(), token);
  std::string body;
  for (std::size_t at = 0; at < text.size(); at += kChunk) {
    const std::string chunk = text.substr(at, kChunk);
    char length[24];
    std::snprintf(length, sizeof length, "%zx\r\n", chunk.size());
    body += length + chunk + "\r\n";
  }
  return body + "0\r\n\r\n";
}

std::string request_head(const RequestShape& shape, const std::string& host) {
  std::string head = shape.method + " " + shape.path + " HTTP/1.1\r\nHost: " + host + ":" +
                     std::to_string(shape.origin) +
                     "\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
                     "Accept-Encoding: identity\r\nX-Client: sandbox\r\nAuthorization: Bearer " +
                     shape.token + "\r\n";
  if (!shape.body.empty()) {
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
  } else if (shape.upload > 0) {
    head += "Content-Type: application/octet-stream\r\nContent-Length: " +
            std::to_string(shape.upload) + "\r\n";
  }
  return head + "\r\n";
}

}  // namespace

void Tally::note_error(std::string_view what) {
  ++errors;
  if (first_error.empty()) {
    first_error = what;
    if (const unsigned long code = ERR_peek_error(); code != 0) {
      char text[160];
      ERR_error_string_n(code, text, sizeof text);
      first_error += std::string(": ") + text;
    }
  }
  ERR_clear_error();
}

ClientRun::ClientRun(const Arguments& arguments) {
  shape.method = arguments.text("method", "GET");
  shape.path = arguments.text("path", "/small");
  shape.token = arguments.text("token");
  shape.upload = arguments.count("upload");
  shape.origin = static_cast<int>(arguments.count("origin"));
  shape.proxy = static_cast<int>(arguments.count("proxy"));
  shape.resume = arguments.count("resume") != 0;
  const std::uint64_t body = arguments.count("body");
  if (body > 0) shape.body = chunked_body(body, shape.token);
  trust(context.get(), arguments.text("trust"));
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}

bool ClientConnection::failed(std::string_view what) {
  run_.tally.note_error(what);
  close(false);
  return false;
}

void ClientConnection::open(int host) {
  const RequestShape& shape = run_.shape;
  host_ = "h" + std::to_string(host) + ".bench.test";
  tunnel_.clear();
  answer_.reset();
  ending_ = answered_ = writing_ = false;
  state_ = State::connecting;
  in_tunnel_ = shape.proxy == 0;
  descriptor_ = connect_tcp(in_tunnel_ ? shape.origin : shape.proxy);
  if (descriptor_ < 0) {
    failed("TCP connect");
    return;
  }
  run_.poller.add(descriptor_, this);
  tls_.reset(SSL_new(run_.context.get()));
  SSL_set_fd(tls_.get(), descriptor_);
  SSL_set_tlsext_host_name(tls_.get(), host_.c_str());
  SSL_set1_host(tls_.get(), host_.c_str());
  if (shape.resume && run_.session) SSL_set_session(tls_.get(), run_.session.get());
  if (in_tunnel_) {
    shake_hands();
    return;
  }
  const std::string authority = host_ + ":" + std::to_string(shape.origin);
  const std::string head = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
  if (::write(descriptor_, head.data(), head.size()) != static_cast<ssize_t>(head.size())) {
    failed("write of CONNECT");
  }
}

void ClientConnection::close(bool orderly) {
  if (tls_ && orderly) SSL_shutdown(tls_.get());
  tls_.reset();
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  state_ = State::closed;
}

void ClientConnection::save_session() {
  TlsSession session(SSL_get1_session(tls_.get()));
  if (session && SSL_SESSION_is_resumable(session.get()) == 1) run_.session = std::move(session);
}

void ClientConnection::write_when_possible(bool on) {
  if (writing_ == on) return;
  writing_ = on;
  run_.poller.change(descriptor_, this, true, on);
}

bool ClientConnection::shake_hands() {
  const int result = SSL_connect(tls_.get());
  if (result == 1) {
    ++run_.tally.handshakes;
    if (SSL_session_reused(tls_.get()) == 1) ++run_.tally.resumed;
    state_ = State::idle;
    write_when_possible(false);
    return true;
  }
  const int error = SSL_get_error(tls_.get(), result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return failed("TLS handshake");
  write_when_possible(error == SSL_ERROR_WANT_WRITE);
  return true;
}

bool ClientConnection::read_tunnel_answer() {
  const ssize_t size = ::read(descriptor_, buffer.data(), 2048);
  if (size < 0 && errno == EAGAIN) return true;
  if (size <= 0) return failed("the tunnel was closed");
  tunnel_.append(buffer.data(), static_cast<std::size_t>(size));
  if (tunnel_.find("\r\n\r\n") == std::string::npos) return true;
  if (tunnel_.compare(kStatusAt, 3, "200") != 0) {
    return failed("CONNECT was answered " + tunnel_.substr(0, tunnel_.find('\r')));
  }
  in_tunnel_ = true;
  return shake_hands();
}

void ClientConnection::request(std::uint64_t due) {
  out_ = request_head(run_.shape, host_);
  out_ += run_.shape.body;
  written_ = 0;
  upload_left_ = run_.shape.upload;
  answer_.reset();
  due_ = due;
  answered_ = false;
  state_ = State::busy;
  write_request();
}

bool ClientConnection::write_request() {
  while (written_ < out_.size() || upload_left_ > 0) {
    const bool head = written_ < out_.size();
    const char* const from = head ? out_.data() + written_ : filler.data();
    const std::size_t size =
        head ? out_.size() - written_ : std::min<std::uint64_t>(upload_left_, filler.size());
    const int sent = SSL_write(tls_.get(), from, static_cast<int>(size));
    if (sent <= 0) {
      const int error = SSL_get_error(tls_.get(), sent);
      if (error == SSL_ERROR_WANT_READ) return true;
      if (error != SSL_ERROR_WANT_WRITE) return failed("write of a request");
      write_when_possible(true);
      return true;
    }
    if (head) {
      written_ += static_cast<std::size_t>(sent);
    } else {
      upload_left_ -= static_cast<std::uint64_t>(sent);
    }
  }
  write_when_possible(false);
  return true;
}

void ClientConnection::turn(std::uint32_t events) {
  if (state_ == State::closed) return;
  if ((events & EPOLLOUT) != 0) {
    if (state_ == State::busy && !write_request()) return;
    if (state_ == State::connecting && in_tunnel_ && !shake_hands()) return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  if (state_ == State::connecting) {
    if (in_tunnel_) {
      shake_hands();
    } else {
      read_tunnel_answer();
    }
    return;
  }
  read_answer();
}

bool ClientConnection::read_answer() {
  do {
    const int size = SSL_read(tls_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (size <= 0) {
      if (SSL_get_error(tls_.get(), size) == SSL_ERROR_WANT_READ) return true;
      if (state_ == State::busy) {
        if (!answer_.until_close()) return failed("closed before the answer was complete");
        finish();
      }
      ending_ = true;
      return true;
    }
    if (state_ != State::busy) continue;
    answer_.feed({buffer.data(), static_cast<std::size_t>(size)},
                 [this](std::string_view bytes) { take_body(bytes); });
    if (answer_.complete()) finish();
  } while (SSL_has_pending(tls_.get()) == 1);
  return true;
}

void ClientConnection::take_body(std::string_view bytes) {
  run_.tally.bytes += bytes.size();
  if (run_.shape.path.starts_with("/events")) take_events(bytes);
}

void ClientConnection::take_events(std::string_view bytes) {
  const std::uint64_t time = now();
  for (const char byte : bytes) {
    if (byte != '\n') {
      line_.push_back(byte);
      continue;
    }
    if (line_.starts_with(kEventStart)) {
      run_.tally.events.add(time - std::strtoull(line_.c_str() + kEventStart.size(), nullptr, 10));
    }
    line_.clear();
  }
}

void ClientConnection::finish() {
  Tally& tally = run_.tally;
  state_ = State::idle;
  ending_ = ending_ || answer_.closes();
  answered_ = true;
  if (answer_.status() != 200) {
    tally.note_error("answered with " + std::to_string(answer_.status()));
    return;
  }
  tally.latencies.add(now() - due_);
  ++tally.done;
  tally.bytes += run_.shape.upload;
  if (answer_.field("X-Credential") == "real") ++tally.real_credentials;
  if (answer_.field("X-Body") == "real") ++tally.real_bodies;
}

}  // namespace iron::bench
