#include "transforms/auth/sigv4.h"

#include <algorithm>
#include <array>
#include <vector>

#include "policy/http_message.h"
#include "transforms/auth/secret_writer.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr std::array<std::string_view, 4> kSignatureFields{
    "authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"};

Error no_signature() { return fail("computing the AWS signature failed"); }

void put_number(std::string& out, unsigned value, unsigned digits) {
  const std::size_t from = out.size();
  out.append(digits, '0');
  for (std::size_t at = out.size(); at-- > from; value /= 10) {
    out[at] = static_cast<char>('0' + value % 10);
  }
}

std::string date_of(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::string out;
  put_number(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  put_number(out, static_cast<unsigned>(date.month()), 2);
  put_number(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  put_number(out, static_cast<unsigned>(clock.hours().count()), 2);
  put_number(out, static_cast<unsigned>(clock.minutes().count()), 2);
  put_number(out, static_cast<unsigned>(clock.seconds().count()), 2);
  return out + 'Z';
}

/// Keys of day, region and service: each is the HMAC of the next word with the one before.
bool derive_key(const AwsRequest& request,
                std::string_view day,
                const Secret& secret_key,
                Secret& out) {
  Secret first = Secret::sized(4 + secret_key.size());
  std::copy_n("AWS4", 4, first.writable().begin());
  std::ranges::copy(secret_key.reveal(), first.writable().begin() + 4);
  Secret keys = Secret::sized(2 * sizeof(Digest));
  const auto left = keys.writable().first<32>(), right = keys.writable().last<32>();
  out = Secret::sized(sizeof(Digest));
  return hmac_sha256(first.reveal(), day, left) &&
         hmac_sha256({left.data(), left.size()}, request.region, right) &&
         hmac_sha256({right.data(), right.size()}, request.service, left) &&
         hmac_sha256({left.data(), left.size()}, kTerminator, out.writable().first<32>());
}

/// In the order of their names; equal ones as they came.
std::vector<SignedField> fields_of(const AwsRequest& request,
                                   const std::string& date,
                                   const AwsCredentials& credentials) {
  std::vector<SignedField> fields;
  const auto add = [&fields](const SignedField& field) {
    const auto place = std::upper_bound(
        fields.begin(), fields.end(), field,
        [](const auto& left, const auto& right) { return name_before(left.name, right.name); });
    fields.insert(place, field);
  };
  for (const SignedField& field : request.fields) add(field);
  add({"x-amz-content-sha256", request.payload_hash});
  add({"x-amz-date", date});
  if (!credentials.session_token.empty())
    add({"x-amz-security-token", credentials.session_token.reveal()});
  return fields;
}

bool hash_request(const AwsRequest& request, std::span<const SignedField> fields, HexDigest& out) {
  Sha256 hash;
  const TextSink sink = [&hash](std::string_view text) { hash.feed(text); };
  sink(request.method);
  sink("\n");
  canonical_path(request.path, is_s3_family(request.service), sink);
  sink("\n");
  canonical_query(request.query, sink);
  sink("\n");
  canonical_fields(fields, sink);
  sink("\n");
  canonical_names(fields, sink);
  sink("\n");
  sink(request.payload_hash);
  return hash.finish(out);
}

Secret authorization_of(const Secret& access_key_id,
                        std::string_view scope,
                        std::span<const SignedField> fields,
                        const Secret& signature) {
  SecretWriter out;
  out.put(kAlgorithm).put(" Credential=").put(access_key_id.reveal()).put('/').put(scope);
  out.put(", SignedHeaders=");
  canonical_names(fields, [&out](std::string_view text) { out.put(text); });
  out.put(", Signature=").put(signature.reveal());
  return out.finish();
}

}  // namespace

Result<AwsSignature> sign_aws(const AwsRequest& request, const AwsCredentials& credentials) {
  AwsSignature out;
  out.date = date_of(request.time);
  const std::string day = out.date.substr(0, 8);
  out.scope.append(day).append("/").append(request.region).append("/").append(request.service);
  out.scope.append("/").append(kTerminator);
  const auto fields = fields_of(request, out.date, credentials);
  HexDigest hash{};
  if (!hash_request(request, fields, hash) ||
      !derive_key(request, day, credentials.secret_access_key, out.signing_key)) {
    return no_signature();
  }
  std::string text(kAlgorithm);
  text.append("\n").append(out.date).append("\n").append(out.scope).append("\n").append(view(hash));
  auto signature = aws_signature_of(out.signing_key, text);
  if (!signature) return signature.error();
  out.signature = std::move(*signature);
  out.authorization = authorization_of(credentials.access_key_id, out.scope, fields, out.signature);
  return out;
}

Result<Secret> aws_signature_of(const Secret& signing_key, std::string_view text) {
  Digest digest{};
  if (!hmac_sha256(signing_key.reveal(), text, digest)) return no_signature();
  Secret signature = Secret::sized(sizeof(HexDigest));
  put_hex(signature.writable().data(), view(digest));
  wipe(digest);
  return signature;
}

Result<HexDigest> payload_hash_of(std::string_view body) {
  Sha256 hash;
  hash.feed(body);
  HexDigest digits{};
  if (!hash.finish(digits)) return no_signature();
  return digits;
}

bool is_signature_field(std::string_view name) {
  return std::ranges::any_of(kSignatureFields,
                             [&](std::string_view field) { return iequals(field, name); });
}

bool is_signed_field(std::string_view name) {
  if (is_signature_field(name)) return false;
  return iequals(name, "host") || iequals(name, "content-type") || iequals(name, "content-md5") ||
         iequals(name.substr(0, 6), "x-amz-");
}

bool is_s3_family(std::string_view service) {
  return service == "s3" || service == "s3-outposts" || service == "s3-object-lambda" ||
         service == "s3express";
}

}  // namespace iron::transforms
