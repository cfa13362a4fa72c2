#include "tests/proxy/session_script.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <regex>
#include <utility>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/dateless.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

std::string rechunked(const std::string& messages) {
  constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t coding = messages.find(kChunked, at);
    const std::size_t head = coding == messages.npos ? coding : messages.find("\r\n\r\n", coding);
    if (head == messages.npos) return out + messages.substr(at);
    out += messages.substr(at, head + 4 - at) + "{";
    at = head + 4;
    while (true) {
      char* end = nullptr;
      const std::size_t size = ::strtoul(messages.c_str() + at, &end, 16);
      const auto data = static_cast<std::size_t>(end - messages.c_str()) + 2;
      if (size == 0 || data + size + 2 > messages.size()) break;
      out += messages.substr(data, size);
      at = data + size + 2;
    }
    out += "}";
  }
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (true) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == text.npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

/// Bytes that are no text as `<05>`, ports that the system chose as `<P>`, and the first of the
/// long rows of `x` as `x...`: how much of it came hangs on the system.
std::string printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  static const std::regex port("127[.]0[.]0[.]1:[0-9]+");
  std::string out;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= 0x20 && byte < 0x7f) {
      out += each;
    } else {
      out = out + "<" + kHex[byte >> 4] + kHex[byte & 15] + ">";
    }
  }
  const std::size_t body = out.find(std::string(100, 'x'));
  const std::size_t end = out.find_first_not_of('x', body);
  if (body != out.npos) out.replace(body, end - body, "x...");
  return std::regex_replace(out, port, "127.0.0.1:<P>");
}

std::string notation(const std::string& text) {
  return printable(replaced(rechunked(text), "\r\n", "|"));
}

/// The peers of a script, and what they do.
class Play {
 public:
  explicit Play(const Script& script) : script_(script), rig_(script.config, script.variables) {
    for (std::size_t i = 0; i < script.origins && !script.dials; ++i) {
      ScriptedPeer& made = rig_.add_origin(kOrigin, 80, script.link, script.origin_room);
      origins_.insert(origins_.begin(), &made);
    }
    client_ = &rig_.connect(script.entry, script.link, script.client_room);
    rig_.settle();
  }

  void send(ScriptedPeer& peer, std::string_view bytes) {
    peer.send(bytes);
    rest();
  }

  void step(const Step& step, std::size_t split) {
    if (step.kind == Kind::client_sends || step.kind == Kind::origin_sends) {
      ScriptedPeer& peer = step.kind == Kind::client_sends ? *client_ : *origins_.at(step.origin);
      const std::string bytes = replaced(step.bytes, "<P>", std::to_string(listener_.port()));
      if (split > 0) send(peer, std::string_view(bytes).substr(0, split));
      send(peer, std::string_view(bytes).substr(split));
      return;
    }
    act(step);
    rest();
  }

  Outcome outcome() {
    Outcome outcome;
    outcome.client = dateless(what_came(*client_));
    for (const ScriptedPeer* origin : origins_) {
      outcome.origins.push_back(what_came(*origin));
      outcome.origin_unsent += origin->unsent();
    }
    for (const RigRecord& record : rig_.records()) outcome.records.push_back(record.text());
    outcome.sessions = rig_.sessions();
    outcome.client_unsent = client_->unsent();
    client_->close();
    // One limit may stand behind another.
    for (int i = 0; i < 4; ++i) rig_.advance(1h);
    outcome.leftovers = rig_.leftovers();
    return outcome;
  }

 private:
  /// What goes over the loopback interface is there in a moment.
  void rest() {
    if (script_.link == Link::local && !script_.dials) return rig_.settle();
    int quiet = 0;
    rig_.settle_until([&] {
      const int dialled = listener_.accept();
      if (dialled >= 0) origins_.push_back(&rig_.adopt(dialled));
      bool in_flight = client_->in_flight();
      for (const ScriptedPeer* origin : origins_) in_flight |= origin->in_flight();
      return ++quiet > 5 && !in_flight;
    });
  }

  void act(const Step& step) {
    ScriptedPeer* const origin = step.origin < origins_.size() ? origins_[step.origin] : nullptr;
    switch (step.kind) {
      case Kind::client_finishes:
        return client_->finish();
      case Kind::client_closes:
        return client_->close();
      case Kind::client_resets:
        return client_->reset();
      case Kind::client_stops_reading:
        return client_->read(false);
      case Kind::client_reads_on:
        return client_->read(true);
      case Kind::origin_finishes:
        return origin->finish();
      case Kind::origin_closes:
        return origin->close();
      case Kind::origin_resets:
        return origin->reset();
      case Kind::origin_stops_reading:
        return origin->read(false);
      case Kind::origin_reads_on:
        return origin->read(true);
      case Kind::time_passes:
        return rig_.advance(step.time);
      case Kind::drain:
        return rig_.site().begin_drain();
      case Kind::cut:
        return rig_.site().loop().cut_all();
      case Kind::reload: {
        policy::Config config = script_.config;
        config.transforms = {{"allowlist", policy::parse_yaml("domains: [nowhere.test]")}};
        return rig_.reload(std::move(config));
      }
      case Kind::client_sends:
      case Kind::origin_sends:
        break;
    }
  }

  static std::string what_came(const ScriptedPeer& peer) {
    std::string text = peer.received();
    if (peer.end() == ScriptedPeer::End::eof) text += "[end]";
    if (peer.end() == ScriptedPeer::End::reset) text += "[reset]";
    return text;
  }

  const Script& script_;
  const Listener listener_;
  SessionRig rig_;
  ScriptedPeer* client_ = nullptr;
  std::vector<ScriptedPeer*> origins_;
};

}  // namespace

Step client(std::string_view bytes) {
  return {.kind = Kind::client_sends, .bytes = replaced(bytes, "|", "\r\n")};
}

Step origin(std::string_view bytes, std::size_t which) {
  return {.kind = Kind::origin_sends, .bytes = replaced(bytes, "|", "\r\n"), .origin = which};
}

Step pass(std::chrono::nanoseconds time) { return {.kind = Kind::time_passes, .time = time}; }

Step happens(Step::Kind kind, std::size_t origin) { return {.kind = kind, .origin = origin}; }

Outcome run(const Script& script, std::optional<Split> split) {
  Play play(script);
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    play.step(script.steps[i], split && split->step == i ? split->offset : 0);
  }
  return play.outcome();
}

std::vector<Split> splits_of(const Script& script) {
  std::vector<Split> splits;
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    for (std::size_t at = 1; at < script.steps[i].bytes.size(); ++at) splits.push_back({i, at});
  }
  return splits;
}

std::vector<std::string> lines_of(const Outcome& outcome) {
  std::vector<std::string> lines = {"client: " + notation(outcome.client)};
  for (const std::string& origin : outcome.origins) lines.push_back("origin: " + notation(origin));
  for (const std::string& record : outcome.records) lines.push_back("record: " + notation(record));
  lines.emplace_back(outcome.sessions > 0 ? "session: open" : "session: gone");
  if (!outcome.leftovers.empty()) lines.push_back("left over: " + outcome.leftovers);
  return lines;
}

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(lines_of(run(row.script)), row.outcome) << row.name;
}

}  // namespace iron::proxy::test
