#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/peer.h"
#include "tests/proxy/peer_stream.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {

/// A message as Boost.Beast sends or has read it.
struct WebMessage {
  enum class Framing { none, length, chunked, until_close };

  std::string start;                     ///< `GET /a HTTP/1.1`, `HTTP/1.1 200 OK`
  std::vector<std::string> fields = {};  ///< `Name: value`, without those of the framing
  std::string body = {};
  Framing framing = Framing::none;
  std::vector<std::string> trailers = {};
  /// Read: the start lines of the interim answers before it.
  std::vector<std::string> interim = {};
  /// Read: what is wrong with it, if it did not come whole.
  std::string fault = {};

  int status() const;  ///< of an answer
  /// The value of a field; empty if there is none.
  std::string field(std::string_view name) const;
};

/// How a client comes to the origin: as on `http_listen`, through a CONNECT in the clear or with
/// TLS inside, as on `https_listen`.
enum class Way { plain, tunnel, tunnel_tls, tls };
inline bool is_secure(Way way) { return way == Way::tunnel_tls || way == Way::tls; }
const char* name_of(Way way);

/// A client. What fails throws std::exception, unless it says otherwise.
class HttpClient {
 public:
  /// Connects to the rig and opens what the way wants to the authority, `127.0.0.1:8080`. In
  /// front of the rest a client by tunnel must have a 200 for its CONNECT.
  HttpClient(SessionRig& rig, Way way, const std::string& authority);
  /// On a connection that is there, in the clear.
  HttpClient(SessionRig& rig, ScriptedPeer& peer);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  /// A CONNECT on this connection; the answer.
  WebMessage connect(const std::string& authority);
  void send(const WebMessage& request);
  void send_head(const WebMessage& request);
  void send_body(const WebMessage& request);
  /// The next answer, with what is wrong with it.
  WebMessage receive(bool head_only = false);
  /// send(), receive().
  WebMessage ask(const WebMessage& request);
  PeerStream& stream();
  ScriptedPeer& peer();

 private:
  struct Beast;
  std::unique_ptr<Beast> beast_;
};

/// An origin at a port of the loopback interface. It takes every connection, reads every request
/// whole, and answers as it was told to.
class HttpOrigin final : public RigActor {
 public:
  enum class Tls { none, trusted, strange };
  explicit HttpOrigin(SessionRig& rig, Tls tls = Tls::none);
  ~HttpOrigin();
  HttpOrigin(const HttpOrigin&) = delete;
  HttpOrigin& operator=(const HttpOrigin&) = delete;

  std::uint16_t port() const;
  std::string authority() const;  ///< `127.0.0.1:8080`
  /// A connection of it lies in the pool as if it were that host's port 443 or 80.
  void be_pooled(const std::string& host);

  using Answers = std::function<WebMessage(const WebMessage& request)>;
  /// From now on each request gets its answer at once; null: by answer().
  void answer_with(Answers answers);
  /// Asked first: true, if it takes the connection over, on which nothing is HTTP any more.
  using TakeOver = std::function<bool(PeerStream& stream, const WebMessage& request)>;
  void take_over_with(TakeOver take_over);
  /// Answers the last request. Throws std::exception.
  void answer(const WebMessage& answer);
  /// Turns the rig until that many requests have come in all. Throws where they do not.
  void await_requests(std::size_t count);
  const std::vector<WebMessage>& requests() const;
  /// Connections so far.
  std::size_t connections() const;
  /// The connection of the last request.
  PeerStream& stream();
  /// What went wrong on a connection; empty if nothing did.
  const std::string& fault() const;

  bool act() override;

 private:
  struct Beast;
  struct Link;
  std::unique_ptr<Beast> beast_;
};

}  // namespace iron::proxy::test
