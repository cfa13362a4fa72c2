#pragma once

#include <string_view>

#include "policy/secret/secret.h"
#include "transforms/exchange.h"

namespace iron::transforms {

/// Makes `value` the one value of the field `name` (spelled so; any case of the client's is
/// replaced), in the place of the client's first field of that name, else at the end. Names that
/// the proxy itself writes are left alone.
void inject_field(Exchange& exchange, std::string_view name, const Secret& value);

/// Makes `value` the one value of the query key `name`: in the place of the first pair with that
/// decoded key, further ones removed; else at the end.
void inject_query(Exchange& exchange, std::string_view name, const Secret& value);

}  // namespace iron::transforms
