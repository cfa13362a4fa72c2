#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/config/config.h"
#include "policy/result.h"
#include "policy/task.h"
#include "proxy/http/client_stream.h"
#include "proxy/net/body_budget.h"
#include "proxy/wait/buffers.h"
#include "transforms/exchange.h"
#include "transforms/transform.h"

namespace iron::proxy {

/// What a transform must see of a request's body, read into memory that the budget of all bodies
/// counts.
class RequestBody {
 public:
  RequestBody(BodyBudget& budget, BufferPool& buffers) : share_(budget), buffers_(buffers) {}

  /// Reads what `need` asks for into `view`, which points here from then on. Fault::body_too_large
  /// above the limit of one body, Fault::no_budget, Fault::bad_request for broken framing; with
  /// `view.failed` Fault::client_gone and Fault::client_silent where the client broke off. Fault::
  /// client_gone alone: it could not be told to go on.
  Task<Result<void>> load(ClientStream& client,
                          const policy::Config::Proxy& config,
                          transforms::BodyNeed need,
                          transforms::BodyView& view);
  /// Gives the memory back; `view` must not point here any more.
  void forget();
  /// Bytes that were read and found to be too many.
  std::uint64_t left_out() const { return left_out_; }

 private:
  Task<BodySource::Step> next(ClientStream& client,
                              std::string_view& bytes,
                              policy::Duration patience);
  Result<void> append(std::string_view bytes, std::uint64_t most);

  Buffer loaded_;
  BodyShare share_;
  BufferPool& buffers_;
  std::uint64_t left_out_ = 0;
};

}  // namespace iron::proxy
