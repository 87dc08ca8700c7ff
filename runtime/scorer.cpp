#include "runtime/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/check.h"

namespace golf {
namespace {

ExecutorOptions ScoreOptions(const ScorerOptions& options) {
  ExecutorOptions result;
  result.mode = Mode::kScore;
  result.precision = options.precision;
  result.batch = options.batch;
  result.length = FittedTo(options.rule, options.targets).length;
  result.rope_length = options.rule.length;
  result.stop = options.stop;
  return result;
}

}  // namespace

double ScoreSums::loss_nats() const {
  return targets == 0 ? 0 : nll_nats / static_cast<double>(targets);
}

double ScoreSums::bits_per_byte() const {
  return bytes == 0 ? 0 : nll_nats / std::numbers::ln2 / static_cast<double>(bytes);
}

Status CheckHasBytes(const TokenStream& text, const ByteTable& byte_table) {
  const std::span<const uint16_t> tokens = text.tokens();
  for (size_t t = 0; t < text.targets(); ++t) {
    if (byte_table.Count(tokens[t], tokens[t + 1]) > 0) return {};
  }
  return {Code::kBadData,
          fmt::format("the text has no bytes, and so no bits per byte: each of its {} targets is a "
                      "control, unknown or unused piece of the tokenizer, or a space behind one",
                      text.targets())};
}

WindowScorer::WindowScorer(ExecutorFactory factory, const ScorerOptions& options,
                           ProcessGroup& group)
    : options_(options),
      rows_(FittedTo(options.rule, options.targets)),
      group_(&group),
      plans_(std::move(factory), ScoreOptions(options)) {}

// Two shapes only: all rows (the first window) or `stride` rows. A window with fewer targets to score runs like the
// others; the rows behind its last target are not looked at.
size_t WindowScorer::RowsOf(const Window& window) const {
  return window.count > rows_.stride ? rows_.length : rows_.stride;
}

size_t WindowScorer::NextBatch(std::span<const Window> windows) const {
  const size_t most = std::min(windows.size(), MaxBatch());
  size_t n = 0;
  while (n < most && RowsOf(windows[n]) == RowsOf(windows[0])) ++n;
  return n;
}

Status WindowScorer::Score(const TokenStream& stream, std::span<const Window> windows,
                           std::vector<float>& nll) {
  const Share share = MyShare(windows.size(), *group_);
  const Status scored = ScoreShare(stream, windows.subspan(share.begin, share.size()));
  GOLF_ASSIGN(const auto all, group_->Gather(std::span<const float>(scored_nll_), scored));
  nll.clear();
  for (const std::vector<float>& theirs : all) nll.insert(nll.end(), theirs.begin(), theirs.end());
  return {};
}

// Leaves the windows' NLLs in scored_nll_.
Status WindowScorer::ScoreShare(const TokenStream& stream, std::span<const Window> windows) {
  scored_.assign(windows.begin(), windows.end());
  scored_nll_.clear();
  if (windows.empty()) return {};
  const size_t batch = windows.size(), length = rows_.length, rows = RowsOf(windows[0]);
  const std::span<const uint16_t> tokens = stream.tokens();
  ids_.assign(batch * length, 0);
  targets_.assign(batch * rows, 0);
  first_row_.resize(batch);
  rows_nll_.resize(batch * rows);
  for (size_t b = 0; b < batch; ++b) {
    const Window& w = windows[b];
    GOLF_CHECK(RowsOf(w) == rows && w.first + rows <= length && w.end_target() <= stream.targets());
    std::copy_n(tokens.begin() + w.start, w.length, ids_.begin() + b * length);
    std::copy_n(tokens.begin() + w.first_target() + 1, w.count, targets_.begin() + b * rows);
    first_row_[b] = w.first;
  }
  GOLF_ASSIGN(executor_, plans_.Get(batch, rows));
  executor_->Score(ids_, first_row_, targets_, rows_nll_);
  if (options_.stop != nullptr && *options_.stop) {
    return {Code::kInterrupted, "stopped by a signal; there is no score"};
  }
  for (size_t b = 0; b < batch; ++b) {
    const auto begin = rows_nll_.begin() + b * rows;
    const auto bad =
        std::find_if(begin, begin + windows[b].count, [](float x) { return !std::isfinite(x); });
    if (bad != begin + windows[b].count) {
      return Status(Code::kBadNumbers,
                    fmt::format("the NLL of target {} (window starting at {}) is {}",
                                windows[b].first_target() + static_cast<size_t>(bad - begin),
                                windows[b].start, *bad));
    }
    scored_nll_.insert(scored_nll_.end(), begin, begin + windows[b].count);
  }
  return {};
}

void WindowScorer::ScoreEveryTarget(const Window& window, size_t offset,
                                    std::span<float> nll) const {
  const auto found = std::ranges::find(scored_, window);
  GOLF_CHECK(found != scored_.end() && offset < window.count);
  const auto b = static_cast<size_t>(found - scored_.begin());
  executor_->ScoreEveryTarget(b * RowsOf(window) + offset, nll);
}

}  // namespace golf
