#pragma once

#include <vector>

#include "policy/config/config.h"
#include "policy/warnings.h"
#include "proxy/log/log.h"
#include "proxy/net/parent_proxy.h"

namespace iron::proxy {

/// What is legal but risky about the files of a configuration (docs/configuration.md, "Warnings at
/// start"): a CA key or configuration that others than this process's user and groups can read, or
/// that is reached through somebody else's link, and metrics on every address. To be called once
/// before the process is confined.
void add_start_warnings(const policy::Config& config, std::vector<policy::ConfigWarning>& warnings);
/// What of that is about the CA key; for reloads, which read it again.
void add_key_warnings(const policy::Config& config, std::vector<policy::ConfigWarning>& warnings);

/// WARN `not supported, ignored` with the names of variables that ask for what this program does
/// not do. Their values are not looked at.
void warn_of_unsupported_variables(Log& log);

/// At a start and a reload: entries of `proxy.passthrough` that have no effect.
void add_pass_through_warnings(const policy::Config& config,
                               std::vector<policy::ConfigWarning>& warnings);

/// At a start and a reload: parent proxies whose URLs cannot be used.
void add_parent_warnings(const ParentProxy& parents, std::vector<policy::ConfigWarning>& warnings);

/// INFO `proxy environment ignored for proxied traffic` with the names of what is set.
void tell_of_ignored_proxies(Log& log);

}  // namespace iron::proxy
