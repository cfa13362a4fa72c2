#include "proxy/run/startup.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>

#include "policy/config/state_file.h"
#include "policy/quote.h"
#include "proxy/admin/admin.h"
#include "proxy/dns/server.h"
#include "proxy/guard/file_broker.h"
#include "proxy/guard/hardening.h"
#include "proxy/guard/program_runner.h"
#include "proxy/guard/replaced_files.h"
#include "proxy/net/sockets.h"
#include "proxy/run/process_limits.h"
#include "proxy/run/server.h"
#include "proxy/run/start_warnings.h"

namespace iron::proxy {
namespace {

/// Ends the start with exit code 1, after what the operator sees was written.
struct StartFailed {};

int plain_error(const std::string& text) {
  std::fprintf(stderr, "error: %s\n", text.c_str());
  return 1;
}

/// Everything between a valid command line and the end.
class Startup {
 public:
  explicit Startup(const CommandLine& command_line) : command_line_(command_line) {}
  int run();

 private:
  void read_config();
  void start_broker();
  void make_services();
  void build_transforms();
  void start_programs();
  void confine_files();
  void load();
  void load_certificates();
  void make_server();
  void make_management();
  void announce();
  void register_own(const BoundSocket& socket);
  void trim_memory();
  int serve();
  int stop(int signals, const char* signal_name);
  [[noreturn]] void fail_with_record(std::string_view message, std::string_view error);

  const CommandLine& command_line_;
  std::unique_ptr<FileBroker> broker_;  ///< null where the process opens everything itself
  policy::Config config_;
  SecretEnvironment environment_;
  RefusalLimiter refusals_;
  std::optional<ProgramRunner> programs_;
  std::optional<Log> log_;
  std::optional<Hardening> hardening_;
  std::optional<ReplacedFiles> replaced_files_;
  std::optional<Resolver> resolver_;
  std::optional<Resolver> system_resolver_;  ///< where the configuration names another name server
  std::optional<Services> services_;
  std::vector<policy::ConfigWarning> warnings_;
  std::shared_ptr<Snapshot> snapshot_;
  Sockets sockets_;
  std::optional<dns::Server> dns_;
  std::optional<Server> server_;
  std::vector<std::pair<std::string, std::string>> started_;  ///< message and address
  int signals_ = -1;
  std::uint64_t trimmed_at_ = 0;
};

void Startup::fail_with_record(std::string_view message, std::string_view error) {
  log_->write(Level::error, message, {{"error", error}});
  throw StartFailed{};
}

void Startup::read_config() {
  config_ = policy::load_config(command_line_.config);
  const auto level = parse_level(config_.log.level);
  if (!level) throw policy::ConfigError("unknown log level: " + policy::quoted(config_.log.level));
  policy::refuse_managed_mode(command_line_.enrollment_token);
  if (!config_.management.listen.empty() && command_line_.config.empty()) {
    throw policy::ConfigError(
        "management.listen requires --config in standalone mode; /v1/reload has no file to "
        "re-read");
  }
  Log::Options options;
  options.level = *level;
  options.buffer_bytes =
      static_cast<std::size_t>(std::max<std::int64_t>(config_.log.buffer_bytes, 1));
  options.drop_when_full = config_.log.when_full == "drop";
  options.deferred = true;
  log_.emplace(options);
}

void Startup::start_broker() {
  std::vector<FileGrant> files = files_to_follow(config_);
  replaced_files_.emplace(files);
  if (Hardening::needs_broker(config_)) broker_ = FileBroker::start(std::move(files));
}

void Startup::make_services() {
  resolver_.emplace(config_.dns.upstream_resolver);
  if (!config_.dns.upstream_resolver.empty()) system_resolver_.emplace(std::string());
  services_.emplace(*log_, environment_, *resolver_, refusals_);
  const policy::Limits& limits = config_.proxy.limits;
  services_->gate.set_limits(limits.max_connections, limits.max_connections_per_client);
  services_->closes.set_limit(limits.max_connections);
  services_->body_budget.set_limit(limits.body_budget_bytes);
  std::uint64_t seed = 0;
  // Not from OpenSSL, which would take longer to wake up than all that stands before the listeners.
  static_cast<void>(::getrandom(&seed, sizeof seed, 0));  // so few bytes it always has
  services_->record_ids.start(seed);
  snapshot_ = std::make_shared<Snapshot>();
}

/// Once the keys are out of the environment, and before there is anything else that a process made
/// here should not have a copy of: sockets, threads, the confinement.
void Startup::start_programs() {
  const auto& needs = snapshot_->pipeline->programs();
  if (!config_.management.listen.empty()) environment_.take(config_.management.api_key_env);
  if (!needs.empty()) services_->programs = &programs_.emplace(needs);
  services_->may_run = [this](const transforms::ProgramNeed& program) {
    return programs_ && programs_->number_of(program);
  };
}

/// No thread exists before this, for it would keep what the process gives up here. All that is
/// loaded afterwards shows at the start that a reload can load it too.
void Startup::confine_files() {
  const transforms::Pipeline& pipeline = *snapshot_->pipeline;
  hardening_.emplace(config_, pipeline.files(), pipeline.supply_count() > 0);
  services_->may_read = [this](const std::string& path) { return hardening_->may_read(path); };
  hardening_->confine_files();
  log_->start();
  resolver_->start();
}

void Startup::build_transforms() {
  try {
    snapshot_->pipeline = build_pipeline(config_, *services_, warnings_);
    log_->guard(snapshot_->pipeline->key_net());
  } catch (const policy::ConfigError& error) {
    fail_with_record("building transform pipeline", error.text());
  }
}

void Startup::load_certificates() {
  if (config_.tls.sni_only()) {
    if (!config_.tls.ca_cert.empty() || !config_.tls.ca_key.empty()) {
      log_->write(Level::warn, "tls.ca_cert and tls.ca_key are ignored when tls.mode=sni-only");
    }
    return;
  }
  try {
    snapshot_->leaves = std::make_shared<tls::LeafStore>(leaf_options(config_));
    snapshot_->server_tls = std::make_shared<const tls::ServerContext>();
  } catch (const std::exception& error) {
    fail_with_record("initializing cert cache", error.what());
  }
}

void Startup::load() {
  load_certificates();
  if (!config_.dns.upstream_resolver.empty()) {
    log_->write(Level::info, "using upstream resolver", {{"addr", config_.dns.upstream_resolver}});
  }
  if (config_.dns.enabled) {
    try {
      dns::Server::Options options;
      dns::Zone zone(config_.dns, warnings_);
      options.udp.push_back(sockets_.dns_udp.get());
      options.tcp.push_back(sockets_.dns_tcp.get());
      register_own(sockets_.dns_tcp);
      started_.emplace_back("dns server starting", sockets_.dns_udp.local_address());
      dns_.emplace(std::move(options), std::move(zone), *log_,
                   [this](const std::string& name, std::function<void(LookupOutcome)> done) {
                     resolver_->resolve(name, Resolver::Names::absolute, std::move(done));
                   });
      sockets_.dns_udp.release();
      sockets_.dns_tcp.release();
    } catch (const policy::ConfigError& error) {
      fail_with_record("initializing DNS server", error.text());
    }
  }
  const auto& cidrs = config_.proxy.upstream_deny_cidrs;
  snapshot_->deny_list = policy::DenyList(cidrs, config_.proxy.deny_special_addresses);
  if (!config_.tls.sni_only()) {
    snapshot_->pass_through = policy::PassThroughList(config_.proxy.passthrough);
  }
  snapshot_->parents = ParentProxy::of_config(config_.proxy.upstream_proxy, environment_);
  add_parent_warnings(snapshot_->parents, warnings_);
  if (!cidrs.empty()) {
    log_->write(Level::info, "upstream deny list active",
                {{"cidrs", std::span<const std::string>(cidrs)}});
  }
  snapshot_->config = config_;
}

void Startup::register_own(const BoundSocket& socket) {
  const std::string bound = socket.local_address();
  const std::uint16_t port = socket.local_port();
  const auto address =
      policy::IpAddress::parse(std::string_view(bound).substr(0, bound.rfind(':')));
  if (bound.front() == '[') {
    const auto v6 =
        policy::IpAddress::parse(std::string_view(bound).substr(1, bound.rfind(']') - 1));
    if (bound.substr(0, 5) == "[::]:")
      services_->own_addresses.add_all_local(port);
    else if (v6)
      services_->own_addresses.add(*v6, port);
  } else if (address) {
    if (address->text() == "0.0.0.0")
      services_->own_addresses.add_all_local(port);
    else
      services_->own_addresses.add(*address, port);
  }
}

void Startup::make_server() {
  server_.emplace(*services_, system_resolver_ ? &*system_resolver_ : nullptr, snapshot_,
                  usable_cpus());
  const bool sni_only = config_.tls.sni_only();
  for (auto& [entry, socket] : sockets_.traffic) {
    register_own(socket);
    const char* message = entry == Entry::http     ? "http proxy starting"
                          : entry == Entry::tunnel ? "tunnel proxy starting"
                          : sni_only               ? "https proxy starting (sni-only)"
                                                   : "https proxy starting";
    started_.emplace_back(message, socket.local_address());
    server_->add_acceptor(std::make_unique<Acceptor>(*services_, std::move(socket), entry));
  }
  register_own(sockets_.metrics);
  started_.emplace_back("metrics server starting", sockets_.metrics.local_address());
  server_->add_admin(std::make_unique<WebServer>(services_->log, std::move(sockets_.metrics),
                                                 ListenFailed::kMetrics,
                                                 std::make_unique<MetricsPages>()));
  if (sockets_.management.get() >= 0) make_management();
}

void Startup::make_management() {
  register_own(sockets_.management);
  started_.emplace_back("management server starting", sockets_.management.local_address());
  environment_.take(config_.management.api_key_env);
  auto refused = [&log = services_->log](std::string_view remote) {
    log.write(Level::warn, "management authentication failed", {{"remote_addr", remote}});
  };
  auto pages = std::make_unique<ManagementPages>(*environment_.find(config_.management.api_key_env),
                                                 server_->reloader(), std::move(refused));
  server_->add_admin(std::make_unique<WebServer>(services_->log, std::move(sockets_.management),
                                                 ListenFailed::kManagement, std::move(pages)));
}

void Startup::announce() {
  write_warnings(*services_, warnings_);
  warn_of_unsupported_variables(*log_);
  if (!config_.proxy.upstream_proxy.present) tell_of_ignored_proxies(*log_);
  std::string_view dns_listen = "disabled";
  if (config_.dns.enabled) dns_listen = config_.dns.listen;
  std::vector<Attribute> attributes = {{"dns_listen", dns_listen},
                                       {"http_listen", config_.proxy.http_listen},
                                       {"https_listen", config_.proxy.https_listen},
                                       {"metrics_listen", config_.metrics.listen}};
  if (!config_.proxy.tunnel_listen.empty())
    attributes.push_back({"tunnel_listen", config_.proxy.tunnel_listen});
  log_->write(Level::info, "iron-proxy starting", attributes);
  if (!snapshot_->pipeline->empty()) {
    log_->write(Level::info, "transform pipeline",
                {{"transforms", snapshot_->pipeline->joined_names()}});
  }
  for (const auto& [message, address] : started_) {
    log_->write(Level::info, message, {{"addr", address}});
  }
  hardening_->report(*log_);
}

int Startup::run() {
  signals_ = block_signals();
  set_process_limits();
  prepare_secret_memory();
  try {
    read_config();
    start_broker();
    make_services();
    build_transforms();
    policy::validate(config_, policy::ValidateFor::start);
    start_programs();
    const Result<void> audit = log_->set_audit_path(config_.log.audit_path);
    if (audit.has_error()) throw policy::ConfigError(audit.error().text);
    sockets_ = bind_all(config_);
    confine_files();
    add_start_warnings(config_, warnings_);
    add_pass_through_warnings(config_, warnings_);
    load();
    make_server();
    server_->listen();
    if (dns_) {
      const Result<void> serving = dns_->start();
      if (serving.has_error()) throw ListenFailed{ListenFailed::kDns, serving.error().text};
    }
    hardening_->confine_calls();
    announce();
    server_->start();
    if (snapshot_->leaves) snapshot_->leaves->warm_up();
    return serve();
  } catch (const policy::ConfigError& error) {
    if (log_) log_->flush(1000);
    return plain_error(error.text());
  } catch (const ListenFailed& failure) {
    log_->write(Level::error, "fatal error", {{"error", failure.what + failure.reason}});
    // Scripts that watch for a taken name server port know both records.
    if (failure.what == ListenFailed::kDns) {
      log_->write(Level::error, "dns shutdown error",
                  {{"error", std::string_view("dns: server not started")}});
    }
    log_->write(Level::info, "iron-proxy stopped");
    log_->flush(1000);
    // Who shows the end of the log to somebody shows the fault.
    return plain_error(failure.what + failure.reason);
  } catch (const StartFailed&) {
  }
  log_->flush(1000);
  return 1;
}

/// After a burst the allocator keeps what the sessions gave back, scattered between what lives on.
void Startup::trim_memory() {
  constexpr std::uint64_t kManyReleased = 128;
  const std::uint64_t released = services_->released.load(std::memory_order_relaxed);
  if (released - trimmed_at_ < kManyReleased) return;
  trimmed_at_ = released;
  ::malloc_trim(0);
}

int Startup::serve() {
  constexpr int kReportPeriod = 1000;
  while (true) {
    pollfd waiting{signals_, POLLIN, 0};
    if (::poll(&waiting, 1, kReportPeriod) == 0) {
      refusals_.report(*log_, std::chrono::steady_clock::now());
      replaced_files_->check(*log_);
      trim_memory();
      continue;
    }
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGHUP) {
      server_->reloader().request([](const Reloader::Outcome&) {});
      continue;
    }
    return stop(signals_, info.ssi_signo == SIGINT ? "interrupt" : "terminated");
  }
}

int Startup::stop(int signals, const char* signal_name) {
  log_->write(Level::info, "received signal, shutting down",
              {{"signal", std::string_view(signal_name)}});
  const auto deadline = std::chrono::steady_clock::now() + config_.proxy.drain_timeout;
  server_->begin_drain();
  // A second signal makes the deadline now. The watcher ends with the process.
  std::thread([signals, server = &*server_] {
    signalfd_siginfo info{};
    while (::read(signals, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGHUP) server->hurry();
    }
  }).detach();
  if (dns_) dns_->stop(std::chrono::milliseconds(0));
  server_->await_drained(deadline);
  server_->finish();
  refusals_.report(*log_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
  log_->write(Level::info, "iron-proxy stopped");
  log_->flush(1000);
  services_->upstream_tls.join_loaded();
  if (broker_) broker_->end();
  if (programs_) programs_->end();
  // Threads that may still hold references (a lookup in the C library) are not waited for.
  ::_exit(0);
}

}  // namespace

int run_proxy(const CommandLine& command_line) { return Startup(command_line).run(); }

}  // namespace iron::proxy
