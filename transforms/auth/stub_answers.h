#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transforms/exchange.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// Answers in the place of a token endpoint: what the sandbox gets is worth nothing. `what` is the
/// annotation `stubbed`.
Verdict answer_with_stub_token(Exchange& exchange, Trace& trace, std::string_view what);

/// Whether the request asks the metadata service of Google's cloud, whatever the port.
bool asks_google_metadata(const Exchange& exchange);
/// Whether its path is below that of the service accounts and ends so.
bool asks_of_service_account(const Exchange& exchange, std::string_view end);
/// Whether it goes to Google's token endpoint.
bool asks_google_token_endpoint(const Exchange& exchange);

/// Largest body of a request to a token endpoint that is looked at.
inline constexpr std::uint64_t kLargestTokenRequest = 1 << 20;
/// What is needed of the body of a request to Google's token endpoint to tell whether it asks for
/// an ID token.
BodyNeed need_of_token_request(const Exchange& exchange);
/// The audience of the ID token that a form body asks for with a signed assertion; nothing if it
/// asks for something else.
std::optional<std::string> id_token_audience(const BodyView& body);
/// An ID token that nobody accepts.
std::string stub_id_token(std::string_view audience, std::chrono::sys_seconds now);

}  // namespace iron::transforms
