#include "tls/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "tls/context.h"
#include "tls/error_text.h"
#include "tls/trust.h"

namespace iron::tls {
namespace {

/// Four records at a time; one malloc block below 64 KiB, since larger ones are mapped and unmapped
/// (docs/performance.md).
constexpr std::size_t kBulkReadAhead = 64 * 1024 - 512;

/// Whether the peer has ended its side, whatever of it is still to be read. The kernel takes bytes
/// for such a peer all the same.
bool has_ended(int descriptor) {
  pollfd peer{descriptor, POLLRDHUP, 0};
  return ::poll(&peer, 1, 0) > 0;
}

/// SSL_get_error reads the thread's queue, which must be empty before each call. Clearing an empty
/// queue costs 840 instructions in OpenSSL 3.0, looking at it 40.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

/// The BIO under each SSL: the descriptor, or the TLS that it is nested in, with bytes read too
/// early in front.
struct StreamBio {
  static BIO_METHOD* method() {
    static BIO_METHOD* const made = make();
    return made;
  }

  static BIO_METHOD* make() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method == nullptr) throw std::bad_alloc();
    BIO_meth_set_read(method, read);
    BIO_meth_set_write(method, write);
    BIO_meth_set_ctrl(method, control);
    return method;
  }

  static int read(BIO* bio, char* out, int size) {
    auto& stream = *static_cast<Stream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const bool outer = is_outer(bio, stream);
    if (!outer && stream.surplus_used_ < stream.surplus_.size()) {
      const std::size_t count =
          std::min(static_cast<std::size_t>(size), stream.surplus_.size() - stream.surplus_used_);
      std::memcpy(out, stream.surplus_.data() + stream.surplus_used_, count);
      stream.surplus_used_ += count;
      if (stream.surplus_used_ == stream.surplus_.size()) std::string().swap(stream.surplus_);
      if (stream.surplus_.empty()) stream.surplus_used_ = 0;
      return static_cast<int>(count);
    }
    const bool nested = stream.outer_ != nullptr && !outer;
    const auto got = nested ? stream.receive_nested(out, static_cast<std::size_t>(size))
                            : stream.receive(out, static_cast<std::size_t>(size));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(got);
  }

  static bool is_outer(BIO* bio, const Stream& stream) {
    return stream.outer_ != nullptr && bio == SSL_get_rbio(stream.outer_);
  }

  static int write(BIO* bio, const char* bytes, int size) {
    auto& stream = *static_cast<Stream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream.outer_ != nullptr && !is_outer(bio, stream)) {
      const auto taken = stream.send_nested(bytes, static_cast<std::size_t>(size));
      if (taken < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
      return static_cast<int>(taken);
    }
    const int flags = MSG_NOSIGNAL | (stream.more_follows_ ? MSG_MORE : 0);
    const bool shows_certificate = stream.certificate_made_ && !stream.certificate_sent_;
    const bool peer_listens = shows_certificate && !has_ended(stream.descriptor_);
    const auto sent = ::send(stream.descriptor_, bytes, static_cast<std::size_t>(size), flags);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    if (shows_certificate) stream.certificate_sent_ = peer_listens && sent > 0;
    return static_cast<int>(sent);
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return 0;
  }
};

Stream::~Stream() {
  for (SSL* ssl : {ssl_, outer_}) {
    if (ssl == nullptr) continue;
    // Without a shutdown flag OpenSSL marks the session not resumable when it is freed.
    if (!broken_) SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

/// As recv(2). For a stream a short read says that nothing is left (epoll(7)); an end is told again
/// to who asks again.
std::ptrdiff_t Stream::receive(char* into, std::size_t size) {
  const auto got = ::recv(descriptor_, into, size, 0);
  drained_ = got < 0 ? errno == EAGAIN : static_cast<std::size_t>(got) < size;
  return got;
}

std::ptrdiff_t Stream::receive_nested(char* into, std::size_t size) {
  std::size_t got = 0;
  const int result = SSL_read_ex(outer_, into, size, &got);
  return result == 1 ? static_cast<std::ptrdiff_t>(got) : nested_failure();
}

std::ptrdiff_t Stream::send_nested(const char* bytes, std::size_t size) {
  std::size_t taken = 0;
  const int result = SSL_write_ex(outer_, bytes, size, &taken);
  return result == 1 ? static_cast<std::ptrdiff_t>(taken) : nested_failure();
}

/// As a failed recv(2) or send(2). SSL_get_error would look at the thread's queue, where the inner
/// connection may have left something that is no fault.
std::ptrdiff_t Stream::nested_failure() {
  const bool waits = SSL_want_read(outer_) || SSL_want_write(outer_);
  if (waits && BIO_should_retry(SSL_get_rbio(outer_))) {
    errno = EAGAIN;
    return -1;
  }
  if ((SSL_get_shutdown(outer_) & SSL_RECEIVED_SHUTDOWN) != 0) return 0;
  errno = ECONNRESET;
  return -1;
}

void Stream::unread(std::string_view bytes) {
  surplus_.erase(0, surplus_used_);
  surplus_used_ = 0;
  surplus_.insert(0, bytes);
}

void Stream::attach_bio() {
  BIO* bio = BIO_new(StreamBio::method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  if (SSL_set_app_data(ssl_, this) != 1) throw std::bad_alloc();
}

void Stream::start_server(const ServerContext& context,
                          LeafStore& store,
                          std::string fallback_name) {
  store_ = &store;
  server_name_ = std::move(fallback_name);
  ssl_ = SSL_new(context.get());
  if (ssl_ == nullptr) throw std::bad_alloc();
  attach_bio();
  SSL_set_accept_state(ssl_);
}

Result<void> Stream::start_client(const UpstreamContext& context,
                                  const std::string& host,
                                  bool is_address,
                                  SSL_SESSION* resume,
                                  std::weak_ptr<SessionStore> sessions) {
  client_side_ = true;
  server_name_ = host;
  sessions_ = std::move(sessions);
  ssl_ = SSL_new(context.get());
  if (ssl_ == nullptr) throw std::bad_alloc();
  attach_bio();
  SSL_set_connect_state(ssl_);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl_);
  bool set = false;
  if (is_address) {
    set = X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) == 1;
  } else {
    X509_VERIFY_PARAM_set_hostflags(
        verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    set = X509_VERIFY_PARAM_set1_host(verify, host.data(), host.size()) == 1 &&
          SSL_set_tlsext_host_name(ssl_, host.c_str()) == 1;
  }
  if (!set) return fail("tls: server name cannot be verified");
  if (resume != nullptr) SSL_set_session(ssl_, resume);
  return {};
}

void Stream::offer_http1() {
  constexpr unsigned char kProtocols[] = "\x08http/1.1";
  if (SSL_set_alpn_protos(ssl_, kProtocols, sizeof kProtocols - 1) != 0) throw std::bad_alloc();
}

void Stream::nest() { outer_ = std::exchange(ssl_, nullptr); }

IoResult Stream::handshake() {
  drained_ = false;
  clear_errors();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    store_ = nullptr;
    leaf_.reset();
    return {};
  }
  return outcome(result);
}

std::string Stream::handshake_error() const {
  if (!hello_fault_.empty()) return hello_fault_;
  return client_side_ ? handshake_error_text(ssl_, server_name_)
                      : server_handshake_error_text(ssl_);
}

IoResult Stream::outcome(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return {Io::want_read};
    case SSL_ERROR_WANT_WRITE:
      return {Io::want_write};
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
      return {Io::want_leaf};
    case SSL_ERROR_ZERO_RETURN:
      if (!ended_inside_record()) return {Io::eof};
      [[fallthrough]];
    default:
      note_fault();
      broken_ = true;
      return {Io::error};
  }
}

/// Who ended it; the queue stays as it is for handshake_error().
void Stream::note_fault() {
  const unsigned long code = ERR_peek_error();
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return;
  const int alert = ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET;
  if (alert >= 0 && alert < 256) {
    alert_ = alert;
  } else if (ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    peer_at_fault_ = true;
  }
}

std::optional<std::string> Stream::objection() const {
  if (ssl_ == nullptr || client_side_ || peer_at_fault_) return std::nullopt;
  unsigned char digest[1];
  const bool finished = SSL_get_peer_finished(ssl_, digest, sizeof digest) > 0;
  if (alert_) {
    const bool objects = finished ? is_about_certificates(*alert_) : certificate_made_;
    return objects ? std::optional(alert_text(*alert_)) : std::nullopt;
  }
  return certificate_sent_ && !finished ? std::optional<std::string>("none") : std::nullopt;
}

/// Without close_notify OpenSSL is told to take the end of the connection for the end of the
/// stream, wherever it comes.
bool Stream::ended_inside_record() const {
  if (BIO_eof(SSL_get_rbio(ssl_)) == 0) return false;
  return SSL_has_pending(ssl_) == 1 || std::strcmp(SSL_rstate_string(ssl_), "RH") != 0;
}

IoResult Stream::read(std::span<char> into) {
  if (read_failed_) return {Io::error};
  drained_ = false;  // what came since the last look was told, and is not told again
  const IoResult result = ssl_ != nullptr ? read_tls(into) : read_plain(into);
  read_failed_ = result.status == Io::error;
  return result;
}

IoResult Stream::read_tls(std::span<char> into) {
  clear_errors();
  std::size_t got = 0;
  const int result = SSL_read_ex(ssl_, into.data(), into.size(), &got);
  return result == 1 ? IoResult{Io::ok, got} : outcome(result);
}

IoResult Stream::read_plain(std::span<char> into) {
  if (surplus_used_ < surplus_.size()) {
    const std::size_t count = std::min(into.size(), surplus_.size() - surplus_used_);
    std::memcpy(into.data(), surplus_.data() + surplus_used_, count);
    surplus_used_ += count;
    if (surplus_used_ == surplus_.size()) {
      std::string().swap(surplus_);
      surplus_used_ = 0;
    }
    return {Io::ok, count};
  }
  const auto got = receive(into.data(), into.size());
  if (got > 0) return {Io::ok, static_cast<std::size_t>(got)};
  if (got == 0) return {Io::eof};
  if (errno == EAGAIN || errno == EINTR) return {Io::want_read};
  broken_ = true;
  return {Io::error};
}

IoResult Stream::write(std::span<const char> bytes) {
  if (ssl_ != nullptr) {
    clear_errors();
    std::size_t sent = 0;
    more_follows_ = bytes.size() > SSL3_RT_MAX_PLAIN_LENGTH;
    const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent);
    more_follows_ = false;
    return result == 1 ? IoResult{Io::ok, sent} : outcome(result);
  }
  const auto sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return {Io::ok, static_cast<std::size_t>(sent)};
  if (errno == EAGAIN || errno == EINTR) return {Io::want_write};
  broken_ = true;
  return {Io::error};
}

bool Stream::has_pending() const {
  if (surplus_used_ < surplus_.size()) return true;
  if (outer_ != nullptr &&
      (SSL_has_pending(outer_) == 1 || (SSL_get_shutdown(outer_) & SSL_RECEIVED_SHUTDOWN) != 0)) {
    return true;
  }
  if (ssl_ == nullptr) return false;
  // The socket does not announce again an end that came with data: the peer may keep it open.
  return SSL_has_pending(ssl_) == 1 || (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
}

void Stream::end_writing() {
  if (ssl_ == nullptr) {
    ::shutdown(descriptor_, SHUT_WR);
  } else if (!broken_ && SSL_is_init_finished(ssl_) &&
             (SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) == 0) {
    clear_errors();
    SSL_shutdown(ssl_);
  }
}

Io Stream::finish_writing() {
  const bool secured = ssl_ != nullptr && !broken_ && SSL_is_init_finished(ssl_);
  // A second call would read.
  if (secured && ((SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) == 0 || SSL_want_write(ssl_))) {
    clear_errors();
    const int done = SSL_shutdown(ssl_);
    if (done < 0 && SSL_get_error(ssl_, done) == SSL_ERROR_WANT_WRITE) return Io::want_write;
  }
  ::shutdown(descriptor_, SHUT_WR);
  return Io::ok;
}

IoResult Stream::discard() {
  constexpr std::size_t kMost = 128 * 1024;
  // TCP drops what MSG_TRUNC asks for instead of copying it (tcp(7)). Without a buffer a system
  // that copies all the same has nowhere to write.
  const auto got = ::recv(descriptor_, nullptr, kMost, MSG_TRUNC | MSG_DONTWAIT);
  if (got > 0) return {Io::ok, static_cast<std::size_t>(got)};
  if (got == 0) return {Io::eof};
  return {errno == EAGAIN || errno == EINTR ? Io::want_read : Io::error};
}

bool Stream::all_acknowledged() const {
  int waiting = 0;
  return ::ioctl(descriptor_, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

void Stream::reset_on_close() {
  const linger hard{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  broken_ = true;
}

void Stream::free_buffers() {
  if (ssl_ != nullptr) SSL_free_buffers(ssl_);
  if (outer_ != nullptr) SSL_free_buffers(outer_);
}

bool Stream::set_bulk(bool on) {
  if (ssl_ == nullptr) return true;
  // The buffer is wiped when it is given back as long as the option stands, so the order matters at
  // the end.
  if (client_side_ && !on) SSL_set_options(ssl_, SSL_OP_CLEANSE_PLAINTEXT);
  if (SSL_free_buffers(ssl_) != 1) return false;
  SSL_set_default_read_buffer_len(ssl_, on ? kBulkReadAhead : 0);
  if (client_side_ && on) SSL_clear_options(ssl_, SSL_OP_CLEANSE_PLAINTEXT);
  return true;
}

}  // namespace iron::tls
