#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/proxy/http_message.h"
#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {

/// The same rolls for the same seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : numbers_(seed) {}
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(numbers_() % bound); }
  /// One time of `many`.
  bool one_of(std::size_t many) { return below(many) == 0; }

 private:
  std::mt19937_64 numbers_;
};

/// A client of the model: some requests in a row, each with a path of its own, and what must be
/// true of the answers and records.
class ModelClient {
 public:
  ModelClient(Dice& dice, ScriptedPeer& peer, Entry entry, std::size_t& next_id, bool peaceful);

  ScriptedPeer& peer() { return peer_; }
  /// Sends a piece of what is left and returns it.
  std::string send(Dice& dice);
  void finish();
  void close();
  /// Throws what is wrong. `records`: its own, in order. `timeless`: no limit on time cut anything.
  void judge(const std::vector<RigRecord>& records, bool timeless) const;
  std::string describe() const;

 private:
  struct Asked {
    std::string path;
    bool tunnel = false;   ///< a CONNECT, in which the others come
    bool head = false;     ///< HEAD
    bool old = false;      ///< HTTP/1.0
    bool last = false;     ///< nothing behind it is answered
    bool refused = false;  ///< by policy
    bool has_body = false;
    bool broken = false;             ///< no request, or one whose body breaks
    std::size_t begin = 0, end = 0;  ///< in its stream
  };
  void add_request(Dice& dice, std::size_t& next_id);
  std::vector<Message> read_answers() const;
  void judge_answer(const Asked& asked, const Message& answer, const RigRecord& record) const;
  void judge_peace(const std::vector<Message>& answers) const;

  ScriptedPeer& peer_;
  bool peaceful_;
  std::vector<Asked> asked_;
  std::string stream_;
  std::size_t sent_ = 0;
  bool ended_ = false;
};

/// An origin of the model: answers what it gets, in one way or another.
class ModelOrigin {
 public:
  ModelOrigin(ScriptedPeer& peer, bool peaceful) : peer_(peer), peaceful_(peaceful) {}

  ScriptedPeer& peer() { return peer_; }
  /// Reads what came and makes up its answer.
  void look(Dice& dice);
  bool has_answer() const { return !pending_.empty() || finishes_; }
  bool idles() const;
  /// Sends a piece of its answer and returns it.
  std::string send(Dice& dice);
  /// The paths it got, once all is over. Throws what is wrong with the requests.
  std::vector<std::string> judge();

 private:
  void answer(Dice& dice, const Message& request);

  ScriptedPeer& peer_;
  bool peaceful_;
  std::vector<std::string> paths_;
  std::string pending_;
  std::size_t seen_ = 0, read_ = 0;
  bool answered_ = false;  ///< the request that comes in just now
  bool finishes_ = false;  ///< behind what is pending
  bool at_once_ = false;   ///< what is pending must not be cut
};

}  // namespace iron::proxy::test
