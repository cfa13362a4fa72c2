#include "proxy/run/reloader.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "proxy/dns/zone.h"
#include "proxy/run/start_warnings.h"
#include "tls/certificate_authority.h"

namespace iron::proxy {

std::shared_ptr<const transforms::Pipeline> build_pipeline(
    const policy::Config& config,
    Services& services,
    std::vector<policy::ConfigWarning>& warnings) {
  transforms::Services used;
  used.environment = &services.environment;
  used.may_read = services.may_read;
  used.may_run = services.may_run;
  used.warn = [&log = services.log](std::string_view message,
                                    std::span<const transforms::Note> notes) {
    log.write(Level::warn, message, notes);
  };
  used.secret_failed = [&log = services.log](const std::string& secret, const std::string& error,
                                             std::int64_t retry_in) {
    log.write(Level::warn, "failed to fetch secret, caching error",
              {{"secret", secret}, {"error", error}, {"retry_in", retry_in}});
  };
  return std::make_shared<const transforms::Pipeline>(config, used, warnings);
}

void write_warnings(Services& services, const std::vector<policy::ConfigWarning>& warnings) {
  for (const policy::ConfigWarning& warning : warnings) {
    // The attribute `reason` tells such warnings apart.
    if (warning.once && !services.written_once.insert(warning.attributes[1].text).second) continue;
    services.log.write(warning);
  }
}

tls::LeafOptions leaf_options(const policy::Config& config) {
  tls::LeafOptions options;
  options.ca_cert = config.tls.ca_cert;
  options.ca_key = config.tls.ca_key;
  options.cache_size = config.tls.cert_cache_size;
  options.expiry_hours = config.tls.leaf_cert_expiry_hours;
  options.signer = config.tls.leaf_signer == "ca" ? tls::LeafOptions::Signer::ca
                                                  : tls::LeafOptions::Signer::automatic;
  return options;
}

Reloader::Reloader(Services& services, std::shared_ptr<const Snapshot> running, Publish publish)
    : services_(services),
      running_(std::move(running)),
      publish_(std::move(publish)),
      thread_([this] { run(); }) {}

Reloader::~Reloader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Reloader::request(std::function<void(Outcome)> done) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(done));
  }
  wake_.notify_one();
}

void Reloader::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const auto done = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    done(reload());
    lock.lock();
  }
}

Reloader::Outcome Reloader::reload() {
  Log& log = services_.log;
  try {
    if (running_->config.path.empty()) {
      const Result<void> reopened = log.set_audit_path(running_->config.log.audit_path);
      throw policy::ConfigError(reopened.has_error() ? reopened.error().text
                                                     : "no --config; nothing to reload");
    }
    load();
    return {};
  } catch (const policy::ConfigError& error) {
    const bool no_file = running_->config.path.empty();
    log.write(Level::warn,
              no_file ? "management reload failed" : "management reload rejected invalid config",
              {{"error", error.text()}});
    return {422, error.text()};
  } catch (const std::exception& error) {
    log.write(Level::error, "management reload failed",
              {{"error", std::string_view(error.what())}});
    return {500, {}};
  }
}

/// Steps of a start, without binding; throws ConfigError and leaves everything as it was.
void Reloader::load() {
  Log& log = services_.log;
  const policy::Config loaded = policy::load_config(running_->config.path);
  policy::validate(loaded, policy::ValidateFor::reload);
  std::vector<policy::ConfigWarning> warnings;
  const std::shared_ptr<Snapshot> next = build(loaded, warnings);
  const Result<void> reopened = log.set_audit_path(loaded.log.audit_path);
  if (reopened.has_error()) throw policy::ConfigError(reopened.error().text);

  write_warnings(services_, warnings);
  const auto restart = policy::keys_needing_restart(running_->config, loaded);
  if (!restart.empty()) {
    log.write(Level::warn, "setting needs a restart",
              {{"keys", std::span<const std::string>(restart)}});
  }
  const auto& cidrs = next->config.proxy.upstream_deny_cidrs;
  if (cidrs != running_->config.proxy.upstream_deny_cidrs && !cidrs.empty()) {
    log.write(Level::info, "upstream deny list active",
              {{"cidrs", std::span<const std::string>(cidrs)}});
  }
  log.guard(next->pipeline->key_net());
  running_ = next;
  publish_(next);
  log.write(
      Level::info, "pipeline reloaded via management API",
      {{"transforms", next->pipeline->joined_names()}, {"postgres_servers", std::int64_t{0}}});
  log.write(Level::info, "management reload succeeded");
}

/// The running configuration with everything replaced that a reload applies.
std::shared_ptr<Snapshot> Reloader::build(const policy::Config& loaded,
                                          std::vector<policy::ConfigWarning>& warnings) const {
  auto next = std::make_shared<Snapshot>();
  policy::Config& config = next->config;
  config = running_->config;
  policy::apply_reload(config, loaded);

  next->pipeline = build_pipeline(config, services_, warnings);
  if (loaded.dns.enabled) {
    std::vector<policy::ConfigWarning>
        of_start;  // these belong to a start, which alone applies them
    const dns::Zone checked(loaded.dns, of_start);
  }
  next->deny_list =
      policy::DenyList(config.proxy.upstream_deny_cidrs, config.proxy.deny_special_addresses);
  next->parents = ParentProxy::of_config(config.proxy.upstream_proxy, services_.environment);
  add_parent_warnings(next->parents, warnings);
  add_pass_through_warnings(config, warnings);
  if (!config.tls.sni_only()) {
    next->pass_through = policy::PassThroughList(config.proxy.passthrough);
  }
  next->leaves = running_->leaves;
  next->server_tls = running_->server_tls;
  add_key_warnings(config, warnings);
  if (config.tls.sni_only()) return next;
  const policy::Config::Tls& loaded_from = running_->config.tls;
  const bool same_paths =
      config.tls.ca_cert == loaded_from.ca_cert && config.tls.ca_key == loaded_from.ca_key;
  try {
    auto leaves = std::make_shared<tls::LeafStore>(leaf_options(config));
    if (leaves->identity() != running_->leaves->identity()) {
      next->leaves = std::move(leaves);
      next->leaves->warm_up();
      next->server_tls = std::make_shared<const tls::ServerContext>();
    }
  } catch (const tls::MissingFile& missing) {
    // Some take the key away once it was read, so that nobody can read it from the disk.
    if (!same_paths) throw policy::ConfigError(missing.what());
    warnings.push_back({"CA files missing, keeping the loaded pair", {{"error", missing.what()}}});
  } catch (const std::exception& error) {
    throw policy::ConfigError(error.what());
  }
  return next;
}

}  // namespace iron::proxy
