#include "runtime/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace golf {
namespace {

std::vector<Window> Make(size_t targets, size_t length, size_t stride, Tail tail = Tail::kOnce) {
  const WindowList windows = *MakeWindows({length, stride, tail}, targets);
  return windows.Slice(0, windows.size());
}

std::vector<int> TimesScored(const std::vector<Window>& windows, size_t targets) {
  std::vector<int> times(targets);
  for (const Window& w : windows) {
    for (size_t t = w.first_target(); t < w.end_target(); ++t) ++times.at(t);
  }
  return times;
}

TEST(Windows, OnceScoresEveryTargetOnceWhateverTheSizes) {
  for (size_t targets : {1, 2, 15, 16, 17, 63, 64, 65, 100, 128, 129, 255, 256, 257, 1000}) {
    for (size_t length : {1, 2, 16, 64, 100, 2048}) {
      for (size_t stride : {1, 2, 7, 16, 64, 100}) {
        if (stride > length) continue;
        const auto windows = Make(targets, length, stride);
        const auto times = TimesScored(windows, targets);
        EXPECT_EQ(std::count(times.begin(), times.end(), 1), static_cast<long>(targets))
            << targets << " targets, window " << length << ", stride " << stride;
        for (size_t i = 1; i < windows.size(); ++i) {
          EXPECT_EQ(windows[i].first_target(), windows[i - 1].end_target());
          EXPECT_EQ(windows[i].first, length - stride) << "context of window " << i;
        }
      }
    }
  }
}

TEST(Windows, StrideOfTheWindowPutsWindowsSideBySide) {
  EXPECT_THAT(Make(10, 4, 4),
              testing::ElementsAre(Window{0, 4, 0, 4}, Window{4, 4, 0, 4}, Window{8, 2, 0, 2}));
}

TEST(Windows, TheLastWindowScoresWhatIsLeft) {
  EXPECT_THAT(Make(9, 6, 2),
              testing::ElementsAre(Window{0, 6, 0, 6}, Window{2, 6, 4, 2}, Window{4, 5, 4, 1}));
}

TEST(Windows, RepeatScoresTheTailFromEveryFurtherStart) {
  EXPECT_THAT(Make(8, 4, 2, Tail::kRepeat),
              testing::ElementsAre(Window{0, 4, 0, 4}, Window{2, 4, 2, 2}, Window{4, 4, 2, 2},
                                   Window{6, 2, 0, 2}));
  EXPECT_EQ(Make(9, 4, 2, Tail::kRepeat).size(),
            4U);  // the start at 8 has one target left: less than the stride
  EXPECT_EQ(Make(9, 4, 2, Tail::kRepeatAll).back(), (Window{8, 1, 0, 1}));
}

TEST(Windows, RepeatCountsOfThePublishedRun) {
  const size_t targets = 62'021'632;
  const auto windows = Make(targets, 2048, 64, Tail::kRepeat);
  size_t scored = 0;
  for (const Window& w : windows) scored += w.count;
  EXPECT_EQ(windows.size(), 969'088U);
  EXPECT_EQ(scored, targets + 1984);
}

// As they were listed one by one before the number of them had a formula.
TEST(Windows, AreThoseOfTheDefinition) {
  for (const Tail tail : {Tail::kOnce, Tail::kRepeat, Tail::kRepeatAll}) {
    for (size_t targets = 1; targets < 40; ++targets) {
      for (size_t length = 1; length < 12; ++length) {
        for (size_t stride = 1; stride <= length; ++stride) {
          size_t expected = 0;
          for (size_t start = 0; start < targets; start += stride, ++expected) {
            const size_t covered = std::min(length, targets - start);
            const size_t shortest = tail == Tail::kRepeat      ? stride
                                    : tail == Tail::kRepeatAll ? 1
                                                               : length - stride + 1;
            if (start > 0 && covered < shortest) break;
          }
          const WindowList windows = *MakeWindows({length, stride, tail}, targets);
          ASSERT_EQ(windows.size(), expected) << targets << ' ' << length << ' ' << stride;
          for (size_t target = 0; target < targets; ++target) {
            size_t before = 0;
            while (before < windows.size() && windows[before].first_target() <= target) ++before;
            ASSERT_EQ(windows.CountUpTo(target), before);
          }
        }
      }
    }
  }
}

// 10^12 targets with a stride of 1: a list of them would take 24 TB.
TEST(Windows, TakeNoMemory) {
  const size_t targets = 1'000'000'000'000;
  const WindowList windows = *MakeWindows({2048, 1, Tail::kOnce}, targets);
  EXPECT_EQ(windows.size(), targets - 2047);
  EXPECT_EQ(windows[windows.size() - 1].end_target(), targets);
}

TEST(Windows, AStreamShorterThanTheWindowIsOneWindow) {
  EXPECT_THAT(Make(5, 16, 4), testing::ElementsAre(Window{0, 5, 0, 5}));
  EXPECT_THAT(Make(3, 16, 4, Tail::kRepeat), testing::ElementsAre(Window{0, 3, 0, 3}));
}

TEST(Windows, RefusesStridesThatSkipTargets) {
  EXPECT_EQ(MakeWindows({8, 9, Tail::kOnce}, 100).status().code(), Code::kUsage);
  EXPECT_EQ(MakeWindows({8, 0, Tail::kOnce}, 100).status().code(), Code::kUsage);
}

}  // namespace
}  // namespace golf
