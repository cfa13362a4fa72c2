#include "tests/proxy/websocket_peers.h"

#include <boost/beast/websocket/stream.hpp>
#include <limits>
#include <stdexcept>

#include "tests/proxy/beast_messages.h"

namespace iron::proxy::test {

namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

struct WebSocketEnd::Beast {
  explicit Beast(PeerStream& stream) : socket(stream) {
    socket.auto_fragment(false);
    socket.read_message_max(std::numeric_limits<std::uint64_t>::max());
    socket.control_callback([this](websocket::frame_type kind, beast::string_view payload) {
      note(kind, std::string(payload));
    });
  }

  void note(websocket::frame_type kind, const std::string& payload) {
    if (kind == websocket::frame_type::close) {
      const websocket::close_reason& why = socket.reason();
      controls.push_back("close " + std::to_string(why.code) + " " +
                         std::string(why.reason.c_str()));
    } else {
      controls.push_back((kind == websocket::frame_type::ping ? "ping " : "pong ") + payload);
    }
  }

  websocket::stream<PeerStream&> socket;
  std::string refusal;
  std::vector<Message> messages;
  std::vector<std::string> controls;
  bool reads_on = false, busy = false;
};

WebSocketEnd::WebSocketEnd(PeerStream& stream) : beast_(std::make_unique<Beast>(stream)) {
  stream.raw().rig().join(*this);
}

WebSocketEnd::WebSocketEnd(HttpClient& client, const std::string& authority)
    : WebSocketEnd(client.stream()) {
  beast::error_code error;
  websocket::response_type answer;
  beast_->socket.handshake(answer, authority, "/chat", error);
  if (!error) return;
  beast_->refusal =
      std::to_string(answer.result_int()) + " " + answer.body() + ": " + error.message();
}

WebSocketEnd::WebSocketEnd(PeerStream& stream, const WebMessage& request) : WebSocketEnd(stream) {
  beast_->socket.accept(beast_head<true>(request));
}

WebSocketEnd::~WebSocketEnd() { stream().raw().rig().leave(*this); }

const std::string& WebSocketEnd::refusal() const { return beast_->refusal; }
const std::vector<WebSocketEnd::Message>& WebSocketEnd::messages() const {
  return beast_->messages;
}
const std::vector<std::string>& WebSocketEnd::controls() const { return beast_->controls; }
PeerStream& WebSocketEnd::stream() { return beast_->socket.next_layer(); }

void WebSocketEnd::send(const Message& message) {
  beast_->socket.text(message.text);
  beast_->socket.write(boost::asio::buffer(message.bytes));
}

void WebSocketEnd::send_parts(const std::vector<std::string>& parts) {
  beast_->socket.text(true);
  for (const std::string& part : parts) {
    beast_->socket.write_some(&part == &parts.back(), boost::asio::buffer(part));
  }
}

void WebSocketEnd::ping(const std::string& payload) {
  beast_->socket.ping(websocket::ping_data(beast::string_view(payload)));
}

std::string WebSocketEnd::close(std::uint16_t code, const std::string& reason) {
  beast::error_code error;
  const websocket::close_reason why(static_cast<websocket::close_code>(code),
                                    beast::string_view(reason));
  beast_->busy = true;
  beast_->socket.close(why, error);
  beast_->busy = false;
  return error ? error.message() : std::string();
}

WebSocketEnd::Message WebSocketEnd::read() {
  beast::flat_buffer buffer;
  beast::error_code error;
  beast_->busy = true;
  beast_->socket.read(buffer, error);
  beast_->busy = false;
  Message message;
  message.text = !error && beast_->socket.got_text();
  message.bytes.assign(static_cast<const char*>(buffer.data().data()), buffer.size());
  if (error) message.fault = error.message();
  return message;
}

void WebSocketEnd::read_on() { beast_->reads_on = true; }

bool WebSocketEnd::act() {
  if (!beast_->reads_on || beast_->busy || !stream().raw().readable()) return false;
  beast_->messages.push_back(read());
  beast_->reads_on = beast_->messages.back().fault.empty();
  return true;
}

WebSocketOrigin::WebSocketOrigin(HttpOrigin& origin) {
  origin.take_over_with([this](PeerStream& stream, const WebMessage& request) {
    if (request.field("Upgrade") != "websocket") return false;
    end_ = std::make_unique<WebSocketEnd>(stream, request);
    return true;
  });
}

WebSocketEnd& WebSocketOrigin::end() {
  if (!end_) throw std::runtime_error("no WebSocket came to the origin");
  return *end_;
}

}  // namespace iron::proxy::test
