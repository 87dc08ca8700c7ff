// golf-run scores files from strangers: it needs no network, starts no program, and opens nothing for writing that it was
// not asked to write. Under a seccomp filter that kills at the first such call it gives the same score.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/faults/small_run.h"

namespace golf::test {
namespace {

class SealedRun : public testing::Test {
 protected:
  Outcome Run(const std::string& flags, bool sealed = true) const {
    return Shell(std::string("env ") + (sealed ? "LD_PRELOAD=" GOLF_SEALED " " : "") +
                 "OMP_WAIT_POLICY=passive golf-run --quiet --stride 4 " + (files_ / "model.ptz") +
                 " " + (files_ / "data/golf_val_000000.bin") + " --threads 2 --limit-tokens 200" +
                 flags);
  }
  static std::string Score(const std::string& report) {  // the lines "loss" and "bpb"
    const size_t loss = report.find("loss ");
    return loss == std::string::npos ? report : report.substr(loss, report.find("time ") - loss);
  }
  SmallRun files_;
};

constexpr int kKilledBySeal = 128 + SIGSYS;

TEST_F(SealedRun, ScoresTheSame) {
  for (const char* flags : {"", " --precision bf16", " --ttt --ttt-chunk 64 --ttt-epochs 1"}) {
    const Outcome sealed = Run(flags), open = Run(flags, false);
    EXPECT_EQ(sealed.code, 0) << flags << "\n" << sealed.text;
    EXPECT_EQ(Score(sealed.text), Score(open.text)) << flags;
  }
}

TEST_F(SealedRun, TheSealHolds) {
  EXPECT_EQ(Run(" --audit " + (files_ / "a.audit")).code, kKilledBySeal);
  EXPECT_EQ(Run(" --receipt " + (files_ / "receipt.json")).code, kKilledBySeal);
  EXPECT_FALSE(std::filesystem::exists(files_ / "a.audit"));
  // A shell that is sealed can neither start a program nor connect.
  EXPECT_EQ(Shell("env LD_PRELOAD=" GOLF_SEALED " sh -c 'exec true'").code, kKilledBySeal);
  EXPECT_EQ(Shell("env LD_PRELOAD=" GOLF_SEALED " bash -c ': </dev/tcp/127.0.0.1/9'").code,
            kKilledBySeal);
}

}  // namespace
}  // namespace golf::test
