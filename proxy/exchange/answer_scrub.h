#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/http_message.h"
#include "policy/result.h"
#include "proxy/exchange/content_decoder.h"
#include "proxy/http/answer_filter.h"
#include "transforms/pipeline.h"
#include "transforms/scrub/scrub.h"

namespace iron::proxy {

/// Keeps real values out of the answers to one request (docs/secrets.md, "Answers").
class AnswerScrub final : public AnswerFilter {
 public:
  /// Null where no entry with `scrub_responses` has a rule for the request's host. To be asked when
  /// the transforms are done with the request.
  static std::unique_ptr<AnswerScrub> of(const transforms::Pipeline& pipeline,
                                         transforms::Exchange& exchange);

  /// Asks for an answer that can be searched: whole, and without content coding.
  static void prepare_request(Headers& headers);

  Result<void> head(Response& response) override;
  Result<void> begin(Response& response, const BodyFraming& framing) override;
  bool reframes() const override { return reframes_; }
  bool may_cut() const override { return set_.blocks(); }
  Result<bool> body(std::string_view& data, std::string& out) override;
  Result<void> end(std::string& out) override;
  Result<void> trailers(std::string_view lines, std::string& out) override;

 private:
  AnswerScrub() = default;
  void add_basic_payloads(const transforms::Exchange& exchange,
                          const std::vector<transforms::ScrubEntry>& entries);
  Result<void> text(std::string_view& text);
  Result<void> choose_decoder(Response& response);
  void describe_anew(Response& response);

  transforms::ScrubSet set_;
  std::deque<transforms::ScrubForms> payloads_;
  std::optional<transforms::ScrubFilter> filter_;  ///< of the body
  std::optional<transforms::ScrubFilter> texts_filter_;
  std::deque<std::string> texts_;  ///< what fields and payloads show instead
  std::string scratch_;
  std::unique_ptr<ContentDecoder> decoder_;
  bool reframes_ = false;
};

}  // namespace iron::proxy
