#pragma once

namespace iron::proxy {

/// Whose chunk lines are read. A client's extensions must have the grammar of RFC 9112 section
/// 7.1.1; of an origin anything without control bytes is taken, blanks behind a size too, as its
/// other clients do. None goes any further.
enum class ChunkLines { of_client, of_origin };

/// What stands between the size of a chunk and the end of its line, byte by byte:
/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
class ChunkExtension {
 public:
  explicit ChunkExtension(ChunkLines lines = ChunkLines::of_client) : lines_(lines) {}
  /// At the end of a size.
  void begin() { at_ = At::size; }
  /// Whether `c`, which is no line end, may come next. Not to be asked again after false.
  bool take(char c);
  /// Whether the line may end here.
  bool may_end() const;

 private:
  enum class At {
    size,          ///< behind the size
    blank,         ///< blanks behind the size, a name or a value: `;` must follow
    before_name,   ///< behind `;`
    name,          ///< in a name
    after_name,    ///< blanks behind a name
    before_value,  ///< behind `=`
    value,         ///< in a token
    quoted,        ///< in a quoted-string
    quoted_pair,   ///< behind the backslash of one
    quoted_end,    ///< behind its end
    anything,      ///< in an origin's extension
  };
  bool take_of_origin(char c);
  bool go(At next);
  bool separated(char c, At blank);

  ChunkLines lines_;
  At at_ = At::size;
};

}  // namespace iron::proxy
