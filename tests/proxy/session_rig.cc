#include "tests/proxy/session_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "policy/json/json_reader.h"
#include "policy/yaml/yaml_reader.h"
#include "proxy/client/client_session.h"
#include "proxy/net/bound_socket.h"
#include "tests/proxy/rig_authority.h"

namespace iron::proxy::test {
namespace {

using policy::JsonObject;

constexpr std::int64_t kMostClients = 64;
constexpr std::uint16_t kClientPort = 5000;

Log::Options log_options(int note_file) {
  Log::Options options;
  options.level = Level::debug;
  options.stderr_fd = note_file;
  options.deferred = true;
  return options;
}

RigRecord record_of(std::string_view line) {
  policy::JsonReader reader;
  const auto root = reader.parse(line, {.bytes = 1 << 20});
  if (!root) throw std::runtime_error("a record that is no JSON: " + std::string(line));
  const auto whole = root->read<JsonObject>().value();
  const auto audit = whole.required<JsonObject>("audit").value();
  const auto text = [](const JsonObject& object, std::string_view name) {
    return std::string(object.optional<std::string_view>(name)->value_or(std::string_view()));
  };
  const auto number = [&](std::string_view name) {
    return audit.optional<std::int64_t>(name)->value_or(0);
  };
  RigRecord record;
  record.action = text(audit, "action");
  record.host = text(audit, "host");
  record.method = text(audit, "method");
  record.path = text(audit, "path");
  record.remote = text(audit, "remote_addr");
  record.rejected_by = text(whole, "rejected_by");
  record.error = text(whole, "error");
  record.upstream = text(audit, "upstream_addr");
  record.status = number("status_code");
  record.request_bytes = number("request_bytes");
  record.response_bytes = number("response_bytes");
  return record;
}

policy::IpAddress address_of(std::uint32_t number) {
  return policy::IpAddress::v4({192, static_cast<std::uint8_t>(number >> 16),
                                static_cast<std::uint8_t>(number >> 8),
                                static_cast<std::uint8_t>(number)});
}

void set_room(int descriptor, int room) {
  if (room > 0) ::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

}  // namespace

std::string RigRecord::text() const {
  std::string out = action + " " + std::to_string(status) + " " + std::to_string(request_bytes) +
                    "/" + std::to_string(response_bytes);
  if (!rejected_by.empty()) out += " by " + rejected_by;
  if (!error.empty()) out += ": " + error;
  return out;
}

policy::Config SessionRig::usual_config() {
  policy::Config config;
  config.proxy.upstream_deny_cidrs = {"10.0.0.0/8"};
  const std::string domains = "domains: ['" + std::string(kOrigin) + "', 127.0.0.1]";
  config.transforms.push_back({"allowlist", policy::parse_yaml(domains)});
  return config;
}

SessionRig::SessionRig(policy::Config config, const Variables& variables)
    : log_(log_options(note_file_.descriptor())), resolver_(std::string()) {
  log_.writer().redirect_requests(::dup(record_file_.descriptor()));
  for (const auto& [name, value] : variables) {
    ::setenv(name.c_str(), value.c_str(), 1);
    environment_.take(name);
  }
  services_ = std::make_unique<Services>(log_, environment_, resolver_, refusals_);
  services_->gate.set_limits(kMostClients, kMostClients);
  services_->body_budget.set_limit(config.proxy.limits.body_budget_bytes);
  site_ = std::make_unique<Site>(*services_, make_snapshot(std::move(config)), 1, clock_);
}

SessionRig::~SessionRig() {
  for (const auto& acceptor : acceptors_) acceptor->stop(*site_);
  site_->loop().cut_all();
  settle();
  if (sessions() != 0) ::abort();  // they would outlive what they live from
}

std::shared_ptr<const Snapshot> SessionRig::make_snapshot(policy::Config config) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->config = std::move(config);
  snapshot->deny_list = policy::DenyList(snapshot->config.proxy.upstream_deny_cidrs, false);
  snapshot->pass_through = policy::PassThroughList(snapshot->config.proxy.passthrough);
  transforms::Services used;
  used.environment = &environment_;
  std::vector<policy::ConfigWarning> warnings;
  snapshot->pipeline =
      std::make_shared<const transforms::Pipeline>(snapshot->config, used, warnings);
  if (secure_) {
    snapshot->leaves = RigAuthority::get().leaves();
    snapshot->server_tls = RigAuthority::get().server();
  }
  return snapshot;
}

ScriptedPeer& SessionRig::connect(Entry entry, Link link, int room) {
  const SocketPair pair(link);
  set_room(pair.session, room);
  ScriptedPeer& client = peers_.emplace_back(pair.peer);
  const Peer peer{address_of(++clients_), kClientPort};
  if (!services_->gate.enter(peer.address)) throw std::runtime_error("no place for a client");
  ClientSession::launch(*site_, BoundSocket(pair.session), entry, peer);
  return client;
}

ScriptedPeer& SessionRig::add_origin(std::string_view host,
                                     std::uint16_t port,
                                     Link link,
                                     int room) {
  const SocketPair pair(link);
  set_room(pair.session, room);
  UpstreamTarget target;
  target.host = host;
  target.port = port;
  auto connection = std::make_unique<UpstreamConnection>(site_->loop(), pair.session);
  UpstreamPool::make_key(target, connection->key);
  connection->address = target.host + ":" + std::to_string(port);
  keys_.insert(connection->key);
  site_->pool().put(std::move(connection));
  ScriptedPeer& origin = peers_.emplace_back(pair.peer);
  origins_.push_back(&origin);
  return origin;
}

std::string SessionRig::client_address(std::uint32_t number) {
  return address_of(number).text_with_port(kClientPort);
}

bool SessionRig::turn() {
  bool moved = site_->loop().turn();
  for (ScriptedPeer& peer : peers_) moved |= peer.move();
  for (std::size_t i = 0; i < actors_.size(); ++i) moved |= actors_[i]->act();
  return moved;
}

void SessionRig::settle() {
  constexpr int kMostRounds = 100000;
  for (int round = 0; round < kMostRounds; ++round) {
    if (!turn()) return;
  }
  throw std::runtime_error("the loop does not come to rest");
}

bool SessionRig::settle_until(const std::function<bool()>& done) {
  for (int millisecond = 0; millisecond < 5000; ++millisecond) {
    settle();
    if (done()) return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

bool SessionRig::turn_until(const std::function<bool()>& done) {
  constexpr int kMostIdle = 2000;
  for (int idle = 0; idle < kMostIdle;) {
    if (done()) return true;
    if (turn()) {
      idle = 0;
    } else if (!site_->loop().turn(std::chrono::milliseconds(1))) {
      ++idle;
    }
  }
  return false;
}

void SessionRig::secure() {
  secure_ = true;
  RigAuthority::get().load_trust(*services_);
  site_->set_snapshot(make_snapshot(site_->snapshot()->config));
}

std::uint16_t SessionRig::listen(Entry entry, std::int64_t total, std::int64_t per_client) {
  Result<BoundSocket> socket = bind_socket("127.0.0.1:0", policy::Transport::tcp);
  if (!socket) throw std::runtime_error(socket.error().text);
  const std::uint16_t port = socket->local_port();
  services_->gate.set_limits(total, per_client);
  acceptors_.push_back(std::make_unique<Acceptor>(*services_, *std::move(socket), entry));
  acceptors_.back()->listen();
  acceptors_.back()->start(*site_);
  return port;
}

void SessionRig::advance(std::chrono::nanoseconds by) {
  settle();
  clock_.advance(by);
  settle();
}

void SessionRig::reload(policy::Config config) {
  site_->set_snapshot(make_snapshot(std::move(config)));
}

void SessionRig::read_records() {
  const std::string text = record_file_.take();
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    records_.push_back(record_of(line));
    rest.remove_prefix(line.size());
  }
}

const std::vector<RigRecord>& SessionRig::records() {
  read_records();
  return records_;
}

std::string SessionRig::notes() {
  log_.flush(5000);
  return note_file_.take();
}

std::string SessionRig::leftovers() {
  std::string found;
  if (sessions() != 0) found += "sessions; ";
  services_->gate.set_limits(kMostClients, kMostClients);
  // The counts themselves are nobody's business; how much there is room for tells them.
  const policy::IpAddress probe = policy::IpAddress::v4({203, 0, 113, 1});
  std::int64_t entered = 0;
  while (entered <= kMostClients && services_->gate.enter(probe)) ++entered;
  for (std::int64_t i = 0; i < entered; ++i) services_->gate.leave(probe);
  if (entered != kMostClients) found += "places at the gate; ";
  const std::int64_t budget = site_->snapshot()->config.proxy.limits.body_budget_bytes;
  services_->body_budget.set_limit(budget);
  const bool all = services_->body_budget.take(budget);
  if (all) services_->body_budget.give_back(budget);
  const bool more = services_->body_budget.take(budget + 1);
  if (more) services_->body_budget.give_back(budget + 1);
  if (!all || more) found += "body budget; ";
  return found + pool_leftovers();
}

/// Every connection to an origin lies in the pool, and the pool counts right.
std::string SessionRig::pool_leftovers() {
  std::string found;
  const std::size_t idle = site_->pool().idle_count();
  const auto alive = [this] {
    settle();
    return static_cast<std::size_t>(
        std::count_if(origins_.begin(), origins_.end(), [](const ScriptedPeer* origin) {
          return origin->open() && origin->end() == ScriptedPeer::End::none;
        }));
  };
  for (ScriptedPeer* origin : origins_) origin->read(true);
  const std::size_t before = alive();
  site_->pool().clear();
  if (alive() != 0) found += "connections to origins; ";
  if (idle < before || idle > origins_.size()) found += "count of idle connections; ";
  for (const std::string& key : keys_) {
    if (services_->idle_upstreams.of(key) != 0) found += "places for idle connections; ";
  }
  return found;
}

}  // namespace iron::proxy::test
