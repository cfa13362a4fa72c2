#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "policy/result.h"

namespace iron::policy {

class JsonArray;
class JsonObject;
template <class Item>
class JsonIterator;
class JsonReader;

/// A number as it stands in the document. Nothing is rounded unless the caller asks for it.
struct JsonNumber {
  std::string_view text;  ///< as it was written
  /// The exact value, where it was written without fraction and exponent and has 64 bits.
  std::optional<std::int64_t> integer;
  std::optional<std::uint64_t> natural;
  /// The nearest double; nothing beyond its range. Exact for `integer` and `natural` up to 2^53.
  std::optional<double> nearest;
};

/// A value of a document that a JsonReader holds; valid as long as that has not read another one.
/// Reading it as what it is not is an error, which names the place and both kinds and quotes no
/// value: `$.keys[2].n: expected a string, found a number`.
class JsonValue {
 public:
  enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
  Kind kind() const;

  /// `T` is bool, std::int64_t, std::uint64_t, double, JsonNumber, std::string_view (unescaped),
  /// JsonArray, JsonObject, or JsonValue for any of them. An integer is one that was written
  /// without fraction and exponent and fits; a double is the nearest one.
  template <class T>
  Result<T> read() const;

  /// The bytes of the document, from the first of this value to its last.
  std::string_view raw() const;
  /// Where it stands, for error texts: `$`, `$.keys[2].n`. A name that is not short and plain is
  /// shown as `[member 3]`, counted from 0.
  std::string path() const;
  /// An error of this place: `$.keys[2].n: TEXT`.
  Error fault(std::string_view text) const;

 private:
  friend class JsonArray;
  friend class JsonObject;
  friend class JsonReader;
  template <class Item>
  friend class JsonIterator;
  JsonValue(const JsonReader* reader, std::uint32_t index) : reader_(reader), index_(index) {}
  std::uint32_t first() const;  ///< the value inside that comes first
  std::uint32_t after() const;  ///< the value behind this one, or what would be its place

  const JsonReader* reader_;
  std::uint32_t index_;
};

template <>
Result<JsonValue> JsonValue::read() const;
template <>
Result<bool> JsonValue::read() const;
template <>
Result<std::int64_t> JsonValue::read() const;
template <>
Result<std::uint64_t> JsonValue::read() const;
template <>
Result<double> JsonValue::read() const;
template <>
Result<JsonNumber> JsonValue::read() const;
template <>
Result<std::string_view> JsonValue::read() const;
template <>
Result<JsonArray> JsonValue::read() const;
template <>
Result<JsonObject> JsonValue::read() const;

struct JsonMember {
  std::string_view name;  ///< unescaped
  JsonValue value;
};

/// Steps through what an array or an object holds; `Item` is what it gives.
template <class Item>
class JsonIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Item;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = Item;
  Item operator*() const;
  JsonIterator& operator++() {
    value_.index_ = value_.after();
    return *this;
  }
  bool operator==(const JsonIterator& other) const { return value_.index_ == other.value_.index_; }

 private:
  friend class JsonArray;
  friend class JsonObject;
  explicit JsonIterator(JsonValue value) : value_(value) {}
  JsonValue value_;
};
template <>
inline JsonValue JsonIterator<JsonValue>::operator*() const {
  return value_;
}
template <>
JsonMember JsonIterator<JsonMember>::operator*() const;

/// The elements of an array, in order: `for (const JsonValue value : array)`.
class JsonArray {
 public:
  using Iterator = JsonIterator<JsonValue>;
  Iterator begin() const { return Iterator({value_.reader_, value_.first()}); }
  Iterator end() const { return Iterator({value_.reader_, value_.after()}); }
  bool empty() const { return begin() == end(); }
  JsonValue value() const { return value_; }

 private:
  friend class JsonValue;
  explicit JsonArray(JsonValue value) : value_(value) {}
  JsonValue value_;
};

/// The members of an object, in order, repeated ones too: `for (const JsonMember member : object)`.
class JsonObject {
 public:
  using Iterator = JsonIterator<JsonMember>;
  Iterator begin() const { return Iterator({value_.reader_, value_.first()}); }
  Iterator end() const { return Iterator({value_.reader_, value_.after()}); }
  bool empty() const { return begin() == end(); }
  JsonValue value() const { return value_; }

  /// The member of exactly this name, or nothing. A name that is there twice is an error: readers
  /// differ in which of them counts.
  Result<std::optional<JsonValue>> find(std::string_view name) const;
  /// Whether some name is there twice, in the same spelling.
  bool repeats_a_name() const;

  /// The member as a `T` of JsonValue::read(). It has to be there.
  template <class T>
  Result<T> required(std::string_view name) const {
    const auto member = find(name);
    if (!member) return member.error();
    if (!*member) return missing(name);
    return (*member)->template read<T>();
  }
  /// Nothing if it is not there, or null.
  template <class T>
  Result<std::optional<T>> optional(std::string_view name) const {
    const auto member = find(name);
    if (!member) return member.error();
    if (!*member || (*member)->kind() == JsonValue::Kind::null) return std::optional<T>();
    auto value = (*member)->template read<T>();
    if (!value) return value.error();
    return std::optional<T>(*std::move(value));
  }

 private:
  friend class JsonValue;
  explicit JsonObject(JsonValue value) : value_(value) {}
  Error missing(std::string_view name) const;
  JsonValue value_;
};

}  // namespace iron::policy
