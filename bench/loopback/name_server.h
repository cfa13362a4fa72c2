#pragma once

namespace iron::bench {

/// Answers one question that waits on this UDP socket: 127.0.0.1 to type A, nothing to the others.
void answer_question(int descriptor);

}  // namespace iron::bench
