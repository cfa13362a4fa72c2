#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/beast_peers.h"

namespace iron::proxy::test {

/// One end of a WebSocket, as Boost.Beast speaks it (RFC 6455).
class WebSocketEnd final : public RigActor {
 public:
  /// A client whose connection goes to the origin. An answer that is no 101 for this client is in
  /// refusal().
  WebSocketEnd(HttpClient& client, const std::string& authority);
  /// An origin's, which accepts this request.
  WebSocketEnd(PeerStream& stream, const WebMessage& request);
  ~WebSocketEnd();
  WebSocketEnd(const WebSocketEnd&) = delete;
  WebSocketEnd& operator=(const WebSocketEnd&) = delete;

  /// What the client got in place of a WebSocket; empty if it has one.
  const std::string& refusal() const;

  struct Message {
    std::string bytes;
    bool text = false;
    std::string fault = {};  ///< why there is none
    friend bool operator==(const Message&, const Message&) = default;
  };
  /// In one frame. Throws boost::system::system_error, as the others that send.
  void send(const Message& message);
  /// A message in one frame for each part.
  void send_parts(const std::vector<std::string>& parts);
  void ping(const std::string& payload);
  /// The closing handshake, as far as the fault: empty if the other side closed, too.
  std::string close(std::uint16_t code, const std::string& reason);
  /// The next message. Control frames before it are answered, and go to controls().
  Message read();
  /// From now on reads by itself what comes, until the end; to messages().
  void read_on();
  const std::vector<Message>& messages() const;
  /// `ping x`, `pong x`, `close 1000 why`.
  const std::vector<std::string>& controls() const;
  PeerStream& stream();

  bool act() override;

 private:
  struct Beast;
  explicit WebSocketEnd(PeerStream& stream);
  std::unique_ptr<Beast> beast_;
};

/// Has every request for a WebSocket accepted by the origin. Outlives what the origin serves.
class WebSocketOrigin {
 public:
  explicit WebSocketOrigin(HttpOrigin& origin);
  /// The only one that was accepted. Throws std::exception if there is none.
  WebSocketEnd& end();
  bool has_end() const { return end_ != nullptr; }

 private:
  std::unique_ptr<WebSocketEnd> end_;
};

}  // namespace iron::proxy::test
