#include "tests/proxy/session_model.h"

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/http_message.h"
#include "tests/proxy/session_model_peers.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::chrono::nanoseconds, 10> kTimes = {1ms, 5ms, 50ms, 1s,   4s,
                                                             5s,  29s, 60s,  300s, 1h};

policy::Config config_of(Dice& dice) {
  policy::Config config = SessionRig::usual_config();
  config.proxy.explain_denials = dice.one_of(4);
  if (dice.one_of(3)) {
    // Bodies are loaded whole, and answers are filtered.
    config.transforms.push_back(
        {"secrets",
         policy::parse_yaml("secrets:\n"
                            "- source: {type: env, var: RIG_KEY}\n"
                            "  replace: {proxy_value: rig-token-0123456789, match_headers: [X-T], "
                            "match_body: true}\n"
                            "  scrub_responses: on\n"
                            "  rules: [{host: 10.0.0.1}]\n")});
  }
  return config;
}

class Model {
 public:
  explicit Model(std::uint64_t seed)
      : dice_(seed),
        peaceful_(seed % 4 == 0),
        timeless_(seed % 4 < 2),
        config_(config_of(dice_)),
        rig_(config_, {{"RIG_KEY", "real-key-0123456789abcdef"}}) {}

  ModelRun run() {
    ModelRun run;
    try {
      play();
      end();
      judge();
    } catch (const std::exception& fault) {
      run.fault = fault.what();
      note("what came of it:\n" + rig_text());
    }
    run.steps = steps_;
    run.trail = std::move(trail_);
    return run;
  }

 private:
  /// For a person.
  std::string rig_text() {
    std::string text;
    for (ModelClient& client : clients_) text += "client: " + client.peer().received() + "\n";
    for (ModelOrigin& origin : origins_) text += "origin: " + origin.peer().received() + "\n";
    for (const RigRecord& record : rig_.records()) {
      text += record.remote + " " + record.path + " " + record.text() + "\n";
    }
    return text;
  }
  void note(std::string text) { trail_ += text + "\n"; }

  void play() {
    add_client();
    const std::size_t steps = 10 + dice_.below(60);
    for (std::size_t i = 0; i < steps; ++i) {
      add_origins();
      event();
      ++steps_;
      rest();
    }
  }

  /// Mostly everything comes to rest; sometimes the next event happens in the middle of it.
  void rest() {
    if (dice_.one_of(4)) {
      if (dice_.one_of(2)) rig_.turn();
    } else {
      rig_.settle();
    }
    for (ModelOrigin& origin : origins_) origin.look(dice_);
  }

  void event() {
    const std::size_t choice = dice_.below(peaceful_ ? 60 : 100);
    if (choice < 25) return client_sends();
    if (choice < 55) return origin_sends();
    if (choice < 58) return clients_.size() < 3 ? add_client() : client_sends();
    if (choice < 60) return add_origin();
    if (choice < 70) return pass();
    if (choice < 76) return client_ends();
    if (choice < 82) return origin_ends();
    if (choice < 94) return reading();
    if (choice < 97) return reload();
    if (choice < 98) return stray();
    if (choice < 99 && dice_.one_of(2)) {
      note("drain");
      return rig_.site().begin_drain();
    }
    if (dice_.one_of(4)) {
      note("cut");
      return rig_.site().loop().cut_all();
    }
  }

  void add_client() {
    const int room = dice_.one_of(4) ? 1 : 0;
    const Entry entry = dice_.one_of(4) ? Entry::tunnel : Entry::http;
    clients_.emplace_back(dice_, rig_.connect(entry, Link::local, room), entry, next_id_,
                          peaceful_);
    note("client " + std::to_string(clients_.size() - 1) + ": " + clients_.back().describe());
  }

  void add_origin() {
    const int room = dice_.one_of(4) ? 1 : 0;
    origins_.emplace_back(rig_.add_origin(kOrigin, 80, Link::local, room), peaceful_);
    note("origin " + std::to_string(origins_.size() - 1));
  }

  /// There is one for each client, for none can be dialled.
  void add_origins() {
    if (rig_.site().loop().draining()) return;
    const std::size_t idle = rig_.site().pool().idle_count();
    for (std::size_t i = idle; i < clients_.size(); ++i) add_origin();
  }

  void client_sends() {
    const std::size_t which = dice_.below(clients_.size());
    note("client " + std::to_string(which) + " sends " + clients_[which].send(dice_));
  }

  void origin_sends() {
    // One that has something to say, if there is one.
    const std::size_t first = dice_.below(origins_.size());
    for (std::size_t i = 0; i < origins_.size(); ++i) {
      const std::size_t which = (first + i) % origins_.size();
      if (!origins_[which].has_answer()) continue;
      return note("origin " + std::to_string(which) + " sends " + origins_[which].send(dice_));
    }
    client_sends();
  }

  void pass() {
    if (timeless_) return client_sends();
    const auto time = kTimes[dice_.below(kTimes.size())];
    note("time " + std::to_string(time / 1ms) + " ms");
    rig_.advance(time);
  }

  void client_ends() {
    const std::size_t which = dice_.below(clients_.size());
    if (dice_.one_of(2)) {
      note("client " + std::to_string(which) + " closes");
      clients_[which].close();
    } else {
      note("client " + std::to_string(which) + " finishes");
      clients_[which].finish();
    }
  }

  void origin_ends() {
    const std::size_t which = dice_.below(origins_.size());
    if (dice_.one_of(2)) {
      note("origin " + std::to_string(which) + " closes");
      origins_[which].peer().close();
    } else {
      note("origin " + std::to_string(which) + " finishes");
      origins_[which].peer().finish();
    }
  }

  void reading() {
    const bool reads = dice_.one_of(2);
    const bool of_client = dice_.one_of(2);
    const std::size_t which = dice_.below(of_client ? clients_.size() : origins_.size());
    note((of_client ? "client " : "origin ") + std::to_string(which) +
         (reads ? " reads on" : " stops reading"));
    (of_client ? clients_[which].peer() : origins_[which].peer()).read(reads);
  }

  void reload() {
    note("reload");
    rig_.reload(config_);
  }

  /// An answer that nobody asked for, on a connection that idles. It is there before anybody takes
  /// that connection: nothing could tell it from an answer otherwise.
  void stray() {
    const std::size_t which = dice_.below(origins_.size());
    rig_.settle();
    origins_[which].look(dice_);
    if (!origins_[which].idles()) return;
    note("origin " + std::to_string(which) + " strays");
    origins_[which].peer().send("HTTP/1.1 200 OK\r\nX-Id: stray\r\nContent-Length: 1\r\n\r\n!");
    rig_.settle();
  }

  void end() {
    if (peaceful_) serve_all();
    note("the end");
    for (ModelClient& client : clients_) client.peer().read(true);
    for (ModelOrigin& origin : origins_) origin.peer().read(true);
    rig_.settle();
    for (ModelClient& client : clients_) client.finish();
    for (ModelOrigin& origin : origins_) origin.peer().finish();
    // Half a close is waited for, then the close itself; no limit on silence is needed any more.
    for (const auto time : {50ms, 5000ms, 50ms, 2000ms, 50ms, 15000ms}) rig_.advance(time);
    if (rig_.sessions() != 0) throw std::runtime_error("a session hangs");
    rig_.advance(1h);
  }

  void serve_all() {
    bool moves = true;
    while (moves) {
      add_origins();
      rig_.settle();
      moves = false;
      for (ModelClient& client : clients_) moves |= !client.send(dice_).empty();
      for (ModelOrigin& origin : origins_) {
        origin.look(dice_);
        while (origin.has_answer()) moves |= !origin.send(dice_).empty();
      }
    }
  }

  void judge() {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      std::vector<RigRecord> records;
      const std::string address = SessionRig::client_address(static_cast<std::uint32_t>(i + 1));
      for (const RigRecord& record : rig_.records()) {
        if (record.remote == address) records.push_back(record);
      }
      clients_[i].judge(records, timeless_);
    }
    for (ModelOrigin& origin : origins_) {
      for (const std::string& path : origin.judge()) {
        const auto of_path = [&](const RigRecord& record) { return record.path == path; };
        const auto count = std::count_if(rig_.records().begin(), rig_.records().end(), of_path);
        if (count != 1) {
          throw std::runtime_error("an origin got " + path + ", which has " +
                                   std::to_string(count) + " records");
        }
      }
    }
    const std::string left = rig_.leftovers();
    if (!left.empty()) throw std::runtime_error("left over: " + left);
  }

  Dice dice_;
  bool peaceful_, timeless_;
  policy::Config config_;
  SessionRig rig_;
  std::deque<ModelClient> clients_;
  std::deque<ModelOrigin> origins_;
  std::size_t next_id_ = 1;
  std::size_t steps_ = 0;
  std::string trail_;
};

}  // namespace

ModelRun run_model(std::uint64_t seed) { return Model(seed).run(); }

}  // namespace iron::proxy::test
