#pragma once

#include "transforms/exchange.h"
#include "transforms/secrets/secret_entry.h"

namespace iron::transforms {

/// What `require: when_sent` asks: whether the client sent a credential, the token or any other, in
/// a place that the entry looks into (docs/secrets.md, "Requests without a credential"). Uses the
/// exchange's scratch text.
bool sends_credential(const SecretEntry& entry, Exchange& exchange);

/// For a request in which the token was found and swapped: whether it holds another credential in
/// those places, which the origin might take instead. Cookies do not count. Uses the exchange's
/// scratch text.
bool sends_other_credential(const SecretEntry& entry, Exchange& exchange);

}  // namespace iron::transforms
