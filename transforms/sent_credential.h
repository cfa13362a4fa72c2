#pragma once

#include "transforms/exchange.h"
#include "transforms/secret_entry.h"

namespace iron::transforms {

/// What `require: when_sent` asks: whether the client sent a credential, the token or any other, in
/// a place that the entry looks into (docs/secrets.md, "Requests without a credential"). Uses the
/// exchange's scratch text.
bool sends_credential(const SecretEntry& entry, Exchange& exchange);

}  // namespace iron::transforms
