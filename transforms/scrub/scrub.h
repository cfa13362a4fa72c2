#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"
#include "transforms/scrub/scrub_base64.h"
#include "transforms/scrub/scrub_spelling.h"
#include "transforms/scrub_forms.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// What must not be in the answers of a host: the forms of all its values, searched for together.
///
/// One automaton for all of them, but run as it is (nondeterministic, the live partial matches are
/// its state) instead of being compiled to a table. A table would hold the key once more, spelled
/// out along its edges, and one for every mixture of spellings would be huge. This way the forms
/// stay the only copy, in secret memory; outside it are the first two bytes of forms, and
/// positions. Immutable after seal().
class ScrubSet {
 public:
  /// `token` stands for the value; `[redacted]` does where it is empty or has control characters.
  /// `forms` and `token` must outlive the set. A value that came before gains no second token.
  void add(const ScrubForms& forms, std::string_view token, ScrubResponses mode);
  void seal();
  bool empty() const { return forms_.empty(); }
  /// An entry is `on`: answers may change their length.
  bool replaces() const { return replaces_; }
  /// An entry is `block`: answers may be cut.
  bool blocks() const { return blocks_; }
  /// Bytes of the longest spelling of any form.
  std::size_t longest() const;

 private:
  friend class ScrubFilter;
  struct Form : ScrubForms::Form {
    std::string_view token;
    bool blocks = false;

    /// Bits of the base64 character there that may be anything; 0: it is the value's own.
    unsigned free_at(std::size_t position) const;
    /// Where bits are free: whether a character that stands for `sextet` may be there.
    bool may_share(std::size_t position, int sextet) const;
  };

  template <class Each>
  static void each_next(const Form& form, std::size_t position, Each each);
  void note_pairs(const Form& form);

  std::vector<Form> forms_;
  std::array<std::uint32_t, 257> first_{};   ///< by byte: where its forms begin in starters_
  std::vector<std::uint32_t> starters_;      ///< forms that can begin with a byte
  std::array<std::bitset<256>, 256> pairs_;  ///< by byte: what can follow it at a form's begin
  bool replaces_ = false, blocks_ = false;
};

/// Takes the values out of one stream. The result does not depend on how the stream is cut. Kept
/// back are only bytes that may still become a value, so at most longest() - 1, in secret memory.
/// Overlapping occurrences are replaced as one, by the token of the one that starts first, coded as
/// it was; base64 around it is coded anew up to its end.
class ScrubFilter {
 public:
  /// `set` must outlive the filter.
  explicit ScrubFilter(const ScrubSet& set) : set_(&set) {}

  /// Appends to `out` what is decided. False: an entry with `block` was found; nothing that came
  /// after it, or was kept back before it, may leave.
  bool feed(std::string_view bytes, std::string& out);
  /// The end of the stream: what was kept back is no value.
  void finish(std::string& out);
  /// Ready for another stream.
  void restart();
  /// Something was found since restart().
  bool hit() const { return hit_; }
  bool blocked() const { return blocked_; }
  std::size_t kept_back() const { return kept_; }

 private:
  /// A partial match that is alive.
  struct Thread {
    std::uint64_t begin = 0;  ///< offset in the stream
    std::uint32_t form = 0;
    std::uint32_t position = 0;          ///< in the form's bytes
    Spelling spelling = Spelling::none;  ///< of the byte at `position`, if begun
    std::uint8_t offset = 0;             ///< characters of it that came
    char border = 0;                     ///< that it stands for, where bits are free
    std::uint8_t lead = 0, trail = 0;    ///< what the free bits were
    Coding coding;

    /// Both go on with the same.
    bool meets(const Thread& other) const;
  };
  struct Match {
    std::uint64_t begin = 0, end = 0;
    std::uint32_t form = 0;  ///< that begins it
    std::uint8_t lead = 0;
    Coding coding;
    Base64Patch::Ending ending;
  };

  std::size_t next_start(std::string_view bytes, std::size_t at) const;
  void step(unsigned char byte);
  void extend(const Thread& thread, unsigned char byte);
  void extend_border(const Thread& thread, char c);
  void spell(Thread thread, std::string_view bytes, Spelling spelling, char c);
  void cross_border(Thread thread, int value);
  void advance(Thread thread, std::size_t bytes);
  void keep(const Thread& thread);
  void found(const Thread& thread);
  void release(std::uint64_t until, std::string_view bytes, std::string& out);
  void write_token(const Match& match, std::string& out);
  void copy(std::uint64_t from, std::uint64_t to, std::string_view bytes, std::string& out);
  void keep_back(std::string_view bytes);
  void drop_held();

  const ScrubSet* set_;
  /// Those of one form and begin stand side by side; no two are alike.
  std::vector<Thread> threads_, next_;
  std::vector<Match> matches_;  ///< not yet written, ordered, apart from each other
  Secret held_;                 ///< the last kept_ bytes before fed_
  std::size_t kept_ = 0;
  std::uint64_t fed_ = 0;      ///< offset behind what feed() was given
  std::uint64_t at_ = 0;       ///< offset of the byte that is looked at
  std::uint64_t written_ = 0;  ///< offset up to which everything was written or replaced
  Base64Patch patch_;
  bool hit_ = false, blocked_ = false;
};

}  // namespace iron::transforms
