#include "proxy/wait/watch.h"

#include <utility>

namespace iron::proxy {

struct Watch::Handler {
  Handler(State* state_in, bool write) : state(state_in), is_write(write) { ++state->references; }
  Handler(Handler&& other) noexcept
      : state(std::exchange(other.state, nullptr)), is_write(other.is_write) {}
  Handler(const Handler& other) : state(other.state), is_write(other.is_write) {
    ++state->references;
  }
  ~Handler() {
    if (state != nullptr) drop(state);
  }

  void operator()(const boost::system::error_code& error) {
    if (is_write) {
      state->write_armed = false;
      state->writable = true;
    } else {
      state->read_armed = false;
      state->readable = true;
    }
    if (error || state->pause == nullptr) return;
    state->loop.handle([this] { state->pause->wake(); });
  }

  State* state;
  bool is_write;
};

Watch::Watch(EventLoop& loop, int descriptor)
    : descriptor_(loop.context()), state_(new State{loop}) {
  boost::system::error_code ignored;
  descriptor_.assign(descriptor, ignored);
}

Watch::~Watch() {
  state_->pause = nullptr;
  if (descriptor_.is_open()) descriptor_.release();
  drop(state_);
}

void Watch::drop(State* state) {
  if (--state->references == 0) delete state;
}

void Watch::arm_read() {
  if (std::exchange(state_->read_armed, true)) return;
  state_->readable = false;
  descriptor_.async_wait(Descriptor::wait_read, Handler(state_, false));
}

void Watch::forget_writing() {
  boost::system::error_code ignored;
  const int descriptor = descriptor_.release();
  descriptor_.assign(descriptor, ignored);
}

void Watch::arm_write() {
  if (std::exchange(state_->write_armed, true)) return;
  state_->writable = false;
  descriptor_.async_wait(Descriptor::wait_write, Handler(state_, true));
}

}  // namespace iron::proxy
