#pragma once

namespace iron::proxy {

/// A node that removes itself from its list when destroyed. Not thread safe: one worker's objects.
class ListNode {
 public:
  ListNode() = default;
  ~ListNode() { unlink(); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

/// Ring of T, which derives from ListNode. Does not own its elements.
template <class T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) head_.next_->unlink();
    head_.next_ = head_.previous_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T* front() const { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  T* after(const T& element) const {
    ListNode* next = static_cast<const ListNode&>(element).next_;
    return next == &head_ ? nullptr : static_cast<T*>(next);
  }
  /// An element of this or another list is moved.
  void push_back(T& element) {
    element.unlink();
    insert(element, *head_.previous_, head_);
  }

 private:
  static void insert(ListNode& node, ListNode& before, ListNode& after) {
    node.previous_ = &before;
    node.next_ = &after;
    before.next_ = &node;
    after.previous_ = &node;
  }
  mutable ListNode head_;
};

}  // namespace iron::proxy
