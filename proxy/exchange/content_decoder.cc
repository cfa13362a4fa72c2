#include "proxy/exchange/content_decoder.h"

#include <zlib.h>

#include <cstdlib>

#include "policy/secret/secret.h"

namespace iron::proxy {
namespace {

constexpr std::uint64_t kMost = 64 << 20;
constexpr std::uint64_t kRatio = 100;
/// Short texts may be packed more tightly.
constexpr std::uint64_t kFreeOfRatio = 65536;
constexpr std::size_t kPiece = 16384;

/// Blocks that know their size, so that they can be wiped.
struct Block {
  std::size_t size;
  std::size_t padding;
};

voidpf take(voidpf, uInt items, uInt size) {
  const std::size_t bytes = std::size_t{items} * size + sizeof(Block);
  auto* block = static_cast<Block*>(std::calloc(1, bytes));
  if (block == nullptr) return nullptr;
  block->size = bytes;
  return block + 1;
}

void give_back(voidpf, voidpf memory) {
  Block* block = static_cast<Block*>(memory) - 1;
  wipe({reinterpret_cast<char*>(block), block->size});
  std::free(block);
}

}  // namespace

struct ContentDecoder::State {
  z_stream stream{};
  bool started = false;
  bool ended = false;  ///< a member is complete
  std::uint64_t in = 0, out = 0;
  char piece[kPiece];
};

ContentDecoder::ContentDecoder(Coding coding)
    : coding_(coding), state_(std::make_unique<State>()) {}

ContentDecoder::~ContentDecoder() {
  if (state_->started) inflateEnd(&state_->stream);
  wipe(state_->piece);
}

/// `deflate` means the zlib format, but senders of the bare format are common enough to look.
bool ContentDecoder::start(unsigned char first) {
  constexpr int kGzip = 16;
  const bool zlib_header = (first & 15) == Z_DEFLATED && first >> 4 < 8;
  const int bits = coding_ == Coding::gzip ? MAX_WBITS + kGzip
                   : zlib_header           ? MAX_WBITS
                                           : -MAX_WBITS;
  state_->stream.zalloc = take;
  state_->stream.zfree = give_back;
  state_->started = inflateInit2(&state_->stream, bits) == Z_OK;
  return state_->started;
}

ContentDecoder::Piece ContentDecoder::next(std::string_view& input) {
  State& state = *state_;
  z_stream& stream = state.stream;
  if (input.empty() && (!state.started || state.ended)) return {};
  if (!state.started && !start(static_cast<unsigned char>(input.front())))
    return {{}, Status::fault};
  if (state.ended) {
    // Another member may follow (RFC 1952 section 2.2).
    if (coding_ != Coding::gzip || inflateReset(&stream) != Z_OK) return {{}, Status::fault};
    state.ended = false;
  }
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(state.piece);
  stream.avail_out = kPiece;
  const int result = inflate(&stream, Z_NO_FLUSH);
  state.in += input.size() - stream.avail_in;
  input.remove_prefix(input.size() - stream.avail_in);
  const std::size_t size = kPiece - stream.avail_out;
  state.out += size;
  state.ended = result == Z_STREAM_END;
  // Z_BUF_ERROR: there was nothing to do.
  if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return {{}, Status::fault};
  if (state.out > kMost || state.out > kFreeOfRatio + kRatio * state.in)
    return {{}, Status::too_large};
  return {{state.piece, size}, Status::ok, !input.empty() || stream.avail_out == 0};
}

bool ContentDecoder::complete() const { return state_->ended || !state_->started; }

}  // namespace iron::proxy
