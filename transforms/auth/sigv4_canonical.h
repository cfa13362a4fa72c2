#pragma once

#include <functional>
#include <span>
#include <string_view>

namespace iron::transforms {

/// Takes a text piece by piece: a canonical request holds the session token and is never written
/// down.
using TextSink = std::function<void(std::string_view)>;

/// A field to be signed, as it leaves. Both are views.
struct SignedField {
  std::string_view name;
  std::string_view value;
};

/// The parts of a canonical request (AWS, "Create a signed AWS API request", step 1).

/// Path as it leaves. Services other than the S3 family normalise it (RFC 3986 section 5.2.4, empty
/// segments removed) and encode it once more.
void canonical_path(std::string_view path, bool s3_family, const TextSink& sink);
/// Query as it leaves, without `?`: each parameter decoded and encoded the one way that AWS has,
/// `+` is a blank; sorted by name, then value; a parameter without `=` has an empty value.
void canonical_query(std::string_view query, const TextSink& sink);
/// One line for each name; `fields` are sorted by their names in lower case, equal ones stay in
/// order.
void canonical_fields(std::span<const SignedField> fields, const TextSink& sink);
/// Names in lower case, separated by `;`.
void canonical_names(std::span<const SignedField> fields, const TextSink& sink);

/// Order of names in a canonical request, letters without case.
bool name_before(std::string_view left, std::string_view right);

}  // namespace iron::transforms
