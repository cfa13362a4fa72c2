#include "proxy/exchange/answer_scrub.h"

#include <algorithm>
#include <utility>

#include "proxy/http/field_text.h"
#include "transforms/encoding.h"

namespace iron::proxy {
namespace {

using transforms::ScrubResponses;

constexpr std::string_view kHeldSecret = "answer held a secret value";
constexpr std::string_view kUnknownCoding = "answer has a content coding that can not be searched";
constexpr std::string_view kBrokenCoding = "answer does not have the content coding that it names";
constexpr std::string_view kTooLarge = "answer decodes to more than can be searched";
/// Body bytes that are filtered at once.
constexpr std::size_t kSlice = 16384;

Error refused(std::string_view why) { return fail(std::string(why)); }

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::any_of(names, [&](std::string_view other) { return iequals(name, other); });
}

/// Their values are the framing's, checked already; a key of digits must not break them.
bool is_framing(std::string_view name) {
  return is_one_of(name, {"Content-Length", "Transfer-Encoding"});
}

/// Fields that would no longer fit a body in which something was replaced (RFC 9530, RFC 1864).
bool is_digest(std::string_view name) {
  return is_one_of(name, {"Content-MD5", "Digest", "Content-Digest", "Repr-Digest"});
}

}  // namespace

std::unique_ptr<AnswerScrub> AnswerScrub::of(const transforms::Pipeline& pipeline,
                                             transforms::Exchange& exchange) {
  std::vector<transforms::ScrubEntry> entries;
  pipeline.scrub_entries(exchange, entries);
  if (entries.empty()) return nullptr;
  std::unique_ptr<AnswerScrub> scrub(new AnswerScrub);
  for (const transforms::ScrubEntry& entry : entries)
    scrub->set_.add(*entry.forms, entry.token, entry.mode);
  scrub->add_basic_payloads(exchange, entries);
  scrub->set_.seal();
  scrub->filter_.emplace(scrub->set_);
  scrub->texts_filter_.emplace(scrub->set_);
  return scrub;
}

/// The credential `user:key` has its first and last characters in common with no base64 form of the
/// key alone.
void AnswerScrub::add_basic_payloads(const transforms::Exchange& exchange,
                                     const std::vector<transforms::ScrubEntry>& entries) {
  for (const Field& field : exchange.request.headers.all()) {
    if (field.rewrite == 0) continue;
    const transforms::FieldRewrite& rewrite = exchange.field_rewrites[field.rewrite - 1];
    if (rewrite.kind != transforms::FieldRewrite::Kind::basic) continue;
    const auto entry = std::ranges::find_if(entries, [&](const transforms::ScrubEntry& at) {
      return std::ranges::any_of(rewrite.parts,
                                 [&](const auto& part) { return part.value == at.value; });
    });
    if (entry == entries.end()) continue;
    std::size_t size = rewrite.decoded.size();
    for (const transforms::Substitution& part : rewrite.parts) size += part.value->size();
    Secret payload = Secret::sized(transforms::Base64Writer::length(size));
    transforms::Base64Writer writer(payload.writable().data());
    const std::string_view decoded = rewrite.decoded;
    std::size_t at = 0;
    for (const transforms::Substitution& part : rewrite.parts) {
      writer.feed(decoded.substr(at, part.begin - at));
      writer.feed(part.value->reveal());
      at = part.begin + part.length;
    }
    writer.feed(decoded.substr(at));
    payload.shrink(static_cast<std::size_t>(writer.finish() - payload.writable().data()));
    payloads_.push_back(transforms::ScrubForms::basic(std::move(payload)));
    // The client's own payload takes its place.
    set_.add(payloads_.back(), texts_.emplace_back(decoded), entry->mode);
  }
}

void AnswerScrub::prepare_request(Headers& headers) {
  bool asked = false;
  for (Field& field : headers.all()) {
    if (asked || !iequals(field.name, "Accept-Encoding")) continue;
    field.value = "identity";
    field.rewrite = 0;
    asked = true;
  }
  if (!asked) headers.add("Accept-Encoding", "identity");
  // Two halves of an answer defeat any filter, and a difference (RFC 3229) shows nothing to it.
  // Apache's server knows Range by an older name, too.
  bool kept = false;
  headers.remove_if([&](const Field& field) {
    if (iequals(field.name, "Accept-Encoding")) return std::exchange(kept, true);
    return is_one_of(field.name, {"Range", "If-Range", "Request-Range", "A-IM", "TE"});
  });
}

/// Filters a text that stands for itself; it is replaced by one of texts_ when something was found.
Result<void> AnswerScrub::text(std::string_view& text) {
  transforms::ScrubFilter& filter = *texts_filter_;
  filter.restart();
  scratch_.clear();
  if (!filter.feed(text, scratch_)) return refused(kHeldSecret);
  filter.finish(scratch_);
  if (filter.hit()) text = texts_.emplace_back(scratch_);
  return {};
}

Result<void> AnswerScrub::head(Response& response) {
  Result<void> done = text(response.reason);
  for (Field& field : response.headers.all()) {
    if (done.has_error()) break;
    if (is_framing(field.name)) continue;
    std::string_view name = field.name;
    done = text(name);
    if (done.has_value()) done = text(field.value);
    if (name.data() != field.name.data()) field.name = {};
  }
  // A token is no field name.
  response.headers.remove_if([](const Field& field) { return field.name.empty(); });
  return done;
}

Result<void> AnswerScrub::begin(Response& response, const BodyFraming& framing) {
  Result<void> done = head(response);
  if (done.has_error()) return done;
  const bool empty = framing.kind == BodyFraming::Kind::none ||
                     (framing.kind == BodyFraming::Kind::length && framing.length == 0);
  if (!empty) done = choose_decoder(response);
  reframes_ = !empty && (set_.replaces() || decoder_ != nullptr);
  if (set_.replaces() || decoder_ != nullptr) describe_anew(response);
  return done;
}

/// An answer that is encoded all the same is decoded, or refused.
Result<void> AnswerScrub::choose_decoder(Response& response) {
  std::string_view coding;
  std::size_t codings = 0;
  for (const Field& field : response.headers.all()) {
    if (!iequals(field.name, "Content-Encoding")) continue;
    for_each_token(field.value, [&](std::string_view token) {
      if (iequals(token, "identity")) return;
      coding = token;
      ++codings;
    });
  }
  if (codings == 0) return {};
  if (codings > 1 || !is_one_of(coding, {"gzip", "x-gzip", "deflate"}))
    return refused(kUnknownCoding);
  const bool gzip = !iequals(coding, "deflate");
  decoder_ = std::make_unique<ContentDecoder>(gzip ? ContentDecoder::Coding::gzip
                                                   : ContentDecoder::Coding::deflate);
  response.headers.remove_if(
      [](const Field& field) { return iequals(field.name, "Content-Encoding"); });
  return {};
}

/// The body may differ from what the origin describes.
void AnswerScrub::describe_anew(Response& response) {
  response.headers.remove_if([](const Field& field) { return is_digest(field.name); });
  for (Field& field : response.headers.all()) {
    if (!iequals(field.name, "ETag") || field.value.empty() || field.value.front() != '"') continue;
    field.value = texts_.emplace_back("W/" + std::string(field.value));
  }
}

Result<bool> AnswerScrub::body(std::string_view& data, std::string& out) {
  if (decoder_ == nullptr) {
    const std::string_view slice = data.substr(0, kSlice);
    data.remove_prefix(slice.size());
    if (!filter_->feed(slice, out)) return refused(kHeldSecret);
    return data.empty();
  }
  const ContentDecoder::Piece piece = decoder_->next(data);
  if (piece.status == ContentDecoder::Status::fault) return refused(kBrokenCoding);
  if (piece.status == ContentDecoder::Status::too_large) return refused(kTooLarge);
  if (!filter_->feed(piece.text, out)) return refused(kHeldSecret);
  return !piece.more;
}

Result<void> AnswerScrub::end(std::string& out) {
  if (decoder_ != nullptr && !decoder_->complete()) return refused(kBrokenCoding);
  filter_->finish(out);
  return {};
}

Result<void> AnswerScrub::trailers(std::string_view lines, std::string& out) {
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const std::size_t colon = std::min(line.find(':'), line.size());
    std::string_view name = line.substr(0, colon), value = line.substr(colon);
    if (reframes_ && is_digest(name)) continue;
    const char* const spelled = name.data();
    Result<void> done = text(name);
    if (done.has_value()) done = text(value);
    if (done.has_error()) return done;
    if (name.data() == spelled) out.append(name).append(value).append("\r\n");
  }
  return {};
}

}  // namespace iron::proxy
