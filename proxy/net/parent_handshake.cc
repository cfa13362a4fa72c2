#include "proxy/net/parent_handshake.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "policy/quote.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kHeadLimit = 65536;
constexpr std::size_t kLongestQuote = 256;
constexpr std::uint8_t kVersion = 5, kNoLogin = 0, kPassword = 2, kRefusedMethods = 0xff;
constexpr std::uint8_t kTypeV4 = 1, kTypeName = 3, kTypeV6 = 4;
constexpr std::size_t kLongestName = 255;
/// More than all that is fixed in what is sent.
constexpr std::size_t kFixedBytes = 128;

std::uint8_t byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

/// RFC 1928 section 6, in the words of existing records.
std::string reply_text(std::uint8_t code) {
  constexpr std::string_view kTexts[] = {
      "general SOCKS server failure", "connection not allowed by ruleset",
      "network unreachable",          "host unreachable",
      "connection refused",           "TTL expired",
      "command not supported",        "address type not supported"};
  if (code <= std::size(kTexts)) return std::string(kTexts[code - 1]);
  return "unknown code: " + std::to_string(code);
}

/// The status of `HTTP/1.1 407 Reason`, or 0.
int status_of(std::string_view line) {
  constexpr std::size_t kCode = 9;
  const bool http = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
  if (!http || line.size() < kCode + 3 || (line.size() > kCode + 3 && line[kCode + 3] != ' ')) {
    return 0;
  }
  int status = 0;
  for (const char c : line.substr(kCode, 3)) {
    if (c < '0' || c > '9') return 0;
    status = status * 10 + (c - '0');
  }
  return status >= 100 ? status : 0;
}

std::string_view reason_of(std::string_view line) {
  constexpr std::size_t kReason = 13;
  return line.substr(std::min(kReason, line.size()));
}

}  // namespace

std::string parent_status_text(std::string_view reason, int status) {
  std::string text(reason.substr(0, kLongestQuote));
  if (!text.empty()) text += ' ';
  return text + "(HTTP " + std::to_string(status) + ")";
}

std::string ParentHandshake::Target::text() const {
  return literal ? literal->text_with_port(port) : host + ':' + std::to_string(port);
}

ParentHandshake::ParentHandshake(const policy::ProxyUrl& parent, Target target)
    : parent_(parent),
      target_(std::move(target)),
      state_(parent.speaks_http() ? State::connect : State::method) {
  const policy::ProxyLogin* login = parent_.login();
  const std::size_t login_bytes = login == nullptr ? 0 : login->basic().size();
  out_ = std::make_unique<SecretBuffer>(kFixedBytes + 2 * target_.text().size() + login_bytes);
  if (state_ == State::connect) {
    write_connect();
    return;
  }
  put_byte(kVersion);
  put_byte(login == nullptr ? 1 : 2);
  put_byte(kNoLogin);
  if (login != nullptr) put_byte(kPassword);
}

ParentHandshake::~ParentHandshake() {
  out_->wipe(used_);
  wipe(in_);  // a parent may have repeated what it got
  wipe(reason_);
}

void ParentHandshake::put(std::string_view text) {
  std::memcpy(out_->data() + used_, text.data(), text.size());
  used_ += text.size();
}

void ParentHandshake::sent(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ < used_) return;
  out_->wipe(used_);
  used_ = sent_ = 0;
}

void ParentHandshake::write_connect() {
  const std::string target = target_.text();
  put("CONNECT ");
  put(target);
  put(" HTTP/1.1\r\nHost: ");
  put(target);
  put("\r\nUser-Agent: iron-proxy\r\n");
  if (parent_.login() != nullptr) {
    put("Proxy-Authorization: Basic ");
    put(parent_.login()->basic());
    put("\r\n");
  }
  put("\r\n");
}

void ParentHandshake::write_login() {
  const policy::ProxyLogin& login = *parent_.login();
  put_byte(1);  // of this negotiation, not of SOCKS
  put_byte(login.user().size());
  put(login.user());
  put_byte(login.password().size());
  put(login.password());
}

void ParentHandshake::write_request() {
  constexpr std::uint8_t kConnect = 1, kReserved = 0;
  put_byte(kVersion);
  put_byte(kConnect);
  put_byte(kReserved);
  const auto address = target_.literal ? target_.literal : target_.checked;
  if (address) {
    put_byte(address->is_v4() ? kTypeV4 : kTypeV6);
    const auto& bytes = address->bytes();
    put({reinterpret_cast<const char*>(bytes.data()), address->is_v4() ? 4U : 16U});
  } else {
    put_byte(kTypeName);
    put_byte(target_.host.size());
    put(target_.host);
  }
  put_byte(target_.port >> 8);
  put_byte(target_.port & 0xff);
}

std::size_t ParentHandshake::wanted() const {
  constexpr std::size_t kToFirstOfAddress = 5, kOfV4 = 10, kOfV6 = 22, kAroundName = 7;
  std::size_t size = 2;
  if (state_ == State::connect) return 0;
  if (state_ == State::reply) {
    size = kToFirstOfAddress;
    if (in_.size() >= kToFirstOfAddress) {
      const std::uint8_t type = byte_at(in_, 3);
      size = type == kTypeV4   ? kOfV4
             : type == kTypeV6 ? kOfV6
                               : kAroundName + std::size_t{byte_at(in_, 4)};
    }
  }
  return size - in_.size();
}

std::string_view ParentHandshake::surplus() const {
  return std::string_view(in_).substr(consumed_);
}

ParentHandshake::Step ParentHandshake::take(std::string_view bytes) {
  make_room(in_, bytes.size());
  in_.append(bytes);
  return state_ == State::connect ? read_connect() : read_socks();
}

ParentHandshake::Step ParentHandshake::fail_with(std::string text) {
  error_ = fail(std::move(text));
  return Step::failed;
}

ParentHandshake::Step ParentHandshake::fail_socks(const std::string& what) {
  return fail_with("socks connect tcp " + std::string(parent_.address()) + "->" + target_.text() +
                   ": " + what);
}

ParentHandshake::Step ParentHandshake::ended() {
  if (state_ == State::connect) return fail_with("unexpected EOF");
  return fail_socks(in_.empty() ? "EOF" : "unexpected EOF");
}

ParentHandshake::Step ParentHandshake::timed_out() {
  if (state_ == State::connect) return fail_with("proxyconnect tcp: i/o timeout");
  return fail_socks("i/o timeout");
}

/// What the parent wrote is quoted, unless it repeats the login.
std::string ParentHandshake::harmless(std::string what, std::string_view quoted) const {
  if (parent_.login() != nullptr && parent_.login()->shown_in(quoted)) return what;
  return std::move(what) + ' ' + policy::quoted(quoted.substr(0, kLongestQuote));
}

/// Line by line, each looked at once: the first decides, the empty one ends the head, what is
/// between does not count (RFC 9110 section 9.3.6).
ParentHandshake::Step ParentHandshake::read_connect() {
  while (true) {
    const std::size_t end = in_.find('\n', std::max(scanned_, consumed_));
    if (std::min(end, in_.size()) > kHeadLimit) {
      return fail_with("net/http: server response headers exceeded " + std::to_string(kHeadLimit) +
                       " bytes; aborted");
    }
    if (end == in_.npos) {
      scanned_ = in_.size();
      return Step::goes_on;
    }
    std::string_view line = std::string_view(in_).substr(consumed_, end - consumed_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    consumed_ = end + 1;
    if (status_ == 0) {
      status_ = status_of(line);
      if (status_ == 0) return fail_with(harmless("malformed HTTP response", line));
      reason_ = reason_of(line).substr(0, kLongestQuote);
    } else if (line.empty()) {
      const bool interim = status_ < 200 && status_ != 101;
      if (!interim) return judge_status();
      status_ = 0;
    }
  }
}

ParentHandshake::Step ParentHandshake::judge_status() {
  if (status_ >= 200 && status_ < 300) return Step::open;
  const policy::ProxyLogin* login = parent_.login();
  if (login != nullptr && login->shown_in(reason_)) {
    wipe(reason_);
    reason_.clear();
  }
  return fail_with(parent_status_text(reason_, status_));
}

ParentHandshake::Step ParentHandshake::read_socks() {
  if (state_ == State::method) return read_method();
  if (state_ == State::reply) return read_reply();
  if (in_.size() < 2) return Step::goes_on;
  if (byte_at(in_, 1) != 0) return fail_socks("username/password authentication failed");
  in_.clear();
  state_ = State::reply;
  write_request();
  return Step::goes_on;
}

ParentHandshake::Step ParentHandshake::read_method() {
  if (byte_at(in_, 0) != kVersion) {
    return fail_socks("unexpected protocol version " + std::to_string(byte_at(in_, 0)));
  }
  if (in_.size() < 2) return Step::goes_on;
  const std::uint8_t method = byte_at(in_, 1);
  const bool may_log_in = parent_.login() != nullptr;
  if (method == kRefusedMethods || (method == kPassword && !may_log_in)) {
    return fail_socks("no acceptable authentication methods");
  }
  if (method != kNoLogin && method != kPassword) {
    return fail_socks("unsupported authentication method " + std::to_string(method));
  }
  const bool named = !target_.literal && !target_.checked;
  if (named && target_.host.size() > kLongestName) return fail_socks("FQDN too long");
  in_.clear();
  state_ = method == kPassword ? State::login : State::reply;
  if (state_ == State::login) {
    write_login();
  } else {
    write_request();
  }
  return Step::goes_on;
}

ParentHandshake::Step ParentHandshake::read_reply() {
  if (byte_at(in_, 0) != kVersion) {
    return fail_socks("unexpected protocol version " + std::to_string(byte_at(in_, 0)));
  }
  if (in_.size() >= 2 && byte_at(in_, 1) != 0) {
    return fail_socks("unknown error " + reply_text(byte_at(in_, 1)));
  }
  if (in_.size() >= 4) {
    const std::uint8_t type = byte_at(in_, 3);
    if (type != kTypeV4 && type != kTypeV6 && type != kTypeName) {
      return fail_socks("unknown address type " + std::to_string(type));
    }
  }
  if (wanted() > 0) return Step::goes_on;
  consumed_ = in_.size();
  return Step::open;
}

}  // namespace iron::proxy
