#include "runtime/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

#include "runtime/weights.h"
#include "schemas/program_generated.h"
#include "trainer/network.h"

namespace golf {
namespace {

std::unique_ptr<schema::ProgramT> Small() {
  NetworkConfig c;
  c.window = 32;
  c.vocab_size = 64;
  c.num_layers = 3;
  c.model_dim = 32;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.mlp_hidden = 48;
  c.rope_dims = 4;
  c.bigram_buckets = 32;
  c.bigram_embed_dim = 8;
  c.xsa_last_n = 1;
  c.ve_dim = 8;
  c.ve_layers = {2};
  return BuildNetwork(c);
}

TEST(Program, SurvivesItsBytes) {
  const auto program = Small();
  const std::vector<uint8_t> bytes = SerialiseProgram(*program);
  const auto parsed = ParseProgram(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(SerialiseProgram(**parsed), bytes);
}

// FlatBuffers end with up to 7 bytes of padding, which may be missing.
TEST(Program, EveryTruncationIsRefused) {
  const std::vector<uint8_t> bytes = SerialiseProgram(*Small());
  for (size_t n = 0; n + 7 < bytes.size(); n += 5) {
    EXPECT_FALSE(ParseProgram(std::span(bytes).first(n)).ok()) << n;
  }
}

TEST(Program, AFlippedBitIsRefusedOrHarmless) {
  const std::vector<uint8_t> bytes = SerialiseProgram(*Small());
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::vector<uint8_t> flipped = bytes;
    flipped[i] ^= static_cast<uint8_t>(1U << (i % 8));
    const auto parsed = ParseProgram(flipped);  // must not crash; what passes is a sound program
    if (parsed.ok()) {
      EXPECT_TRUE(CheckProgram(**parsed).ok());
    }
  }
}

struct Damage {
  const char* name;
  std::function<void(schema::ProgramT&)> apply;
  const char* message;
};

class DamagedProgram : public testing::TestWithParam<Damage> {};

TEST_P(DamagedProgram, IsRefusedByName) {
  auto program = Small();
  GetParam().apply(*program);
  const Status status = CheckProgram(*program);
  EXPECT_EQ(status.code(), Code::kBadData);
  EXPECT_THAT(status.message(), testing::HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedProgram,
    testing::Values(
        Damage{"ReadBeforeWrite", [](auto& p) { std::swap(p.steps[0], p.steps[5]); },
               "before it is written"},
        Damage{"MissingStep", [](auto& p) { p.steps.pop_back(); }, "steps"},
        Damage{"NoLoss",
               [](auto& p) {
                 p.steps.pop_back();
                 p.values.pop_back();
               },
               "must be the last step"},
        Damage{"WrongWidth", [](auto& p) { p.values[0]->width += 1; }, "expected width"},
        Damage{"HugeWidth", [](auto& p) { p.values[0]->width = 1U << 30; }, "out of range"},
        Damage{"HugeWeight",
               [](auto& p) {
                 p.weights[2]->shape = {1U << 30, 1U << 30};
               },
               "out of range"},
        Damage{"TwoNames", [](auto& p) { p.values[1]->name = p.values[0]->name; },
               "name of its own"},
        Damage{"WeightIndex", [](auto& p) { p.steps[0]->weights[0] = 9999; }, "does not exist"},
        Damage{"HugeWindow", [](auto& p) { p.window = 1U << 31; }, "window"},
        Damage{"NoOperation", [](auto& p) { p.steps[1]->operation.Reset(); }, "does not know"},
        Damage{"UnreadWeight", [](auto& p) { p.weights[0]->unread = true; }, "marked as unread"},
        Damage{"ForgottenWeight",
               [](auto& p) {
                 p.weights.push_back(std::make_unique<schema::WeightT>());
                 p.weights.back()->name = "forgotten";
               },
               "never read"},
        Damage{"OutputTwice", [](auto& p) { p.steps[1]->outputs = p.steps[0]->outputs; }, "again"}),
    [](const auto& p) { return p.param.name; });

// 400 KB that would unpack to 1.6 GB: every step is the same table with one long list.
TEST(Program, TablesThatShareAListAreRefused) {
  flatbuffers::FlatBufferBuilder builder;
  const auto inputs = builder.CreateVector(std::vector<uint32_t>(100'000));
  const auto step = schema::CreateStep(builder, schema::Operation::Add,
                                       schema::CreateAdd(builder).Union(), inputs);
  const auto value = schema::CreateValue(builder, builder.CreateString("v"), 1);
  const std::vector<flatbuffers::Offset<schema::Step>> steps(4096, step);
  const std::vector<flatbuffers::Offset<schema::Value>> values(4096, value);
  builder.Finish(schema::CreateProgram(
      builder, builder.CreateString("bomb"), 8, 8, builder.CreateVector(values),
      builder.CreateVector<flatbuffers::Offset<schema::Weight>>({}), builder.CreateVector(steps)));
  const auto parsed = ParseProgram({builder.GetBufferPointer(), builder.GetSize()});
  EXPECT_EQ(parsed.status().code(), Code::kBadData);
  EXPECT_THAT(parsed.status().message(), testing::HasSubstr("share"));
}

// A small file may hold a sound program of 2^31 weights, 8 GiB, without the weights.
TEST(Program, NothingIsAllocatedForWeightsThatAreMissing) {
  auto program = Small();
  for (auto& weight : program->weights) {
    if (weight->name == "bigram_emb.embed.weight") weight->shape[0] = 1U << 27;
  }
  ASSERT_TRUE(CheckProgram(*program).ok());
  rlimit before;
  getrlimit(RLIMIT_DATA, &before);
#ifdef GOLF_SANITIZE  // a sanitizer's own memory counts, and ends the test where there is none to be had
  const rlimit limit = before;
#else
  const rlimit limit{size_t{1} << 30, before.rlim_max};
#endif
  setrlimit(RLIMIT_DATA, &limit);
  const auto weights = TensorSet::From(*program, {});
  setrlimit(RLIMIT_DATA, &before);
  EXPECT_EQ(weights.status().code(), Code::kBadData);
  EXPECT_THAT(weights.status().message(), testing::HasSubstr("missing"));
}

}  // namespace
}  // namespace golf
