#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"
#include "tools/data_documents.h"

namespace golf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Documents : public testing::Test {
 protected:
  Result<std::vector<std::string>> Read(const std::string& file, const std::string& content,
                                        DocumentSource source = {}) {
    source.files = {folder_.Write(file, content)};
    GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(source));
    std::vector<std::string> documents;
    for (std::string text;;) {
      GOLF_ASSIGN(const bool found, reader.Next(text));
      if (!found) break;
      documents.push_back(text);
    }
    EXPECT_EQ(reader.bytes_read(), reader.total_bytes());
    return documents;
  }
  test::TempFolder folder_;
};

TEST_F(Documents, AreLinesOfATextFile) {
  EXPECT_THAT(*Read("a.txt", "one\n\n  two \r\n\t\nthree"), ElementsAre("one", "two", "three"));
}

TEST_F(Documents, LoseAByteOrderMark) {
  EXPECT_THAT(*Read("a.txt", "\xEF\xBB\xBFone\n"), ElementsAre("one"));
}

TEST_F(Documents, AreSeparatedByBlankLines) {
  EXPECT_THAT(
      *Read("a.txt", "\n\none\nstill one\n \t\n\ntwo\n", {.format = DocumentFormat::kBlankLines}),
      ElementsAre("one\nstill one", "two"));
}

TEST_F(Documents, AreWholeFiles) {
  EXPECT_THAT(*Read("a.txt", "one\n\nstill one\n", {.format = DocumentFormat::kFiles}),
              ElementsAre("one\n\nstill one"));
}

TEST_F(Documents, BeginAtHeadings) {
  const DocumentSource source = {.format = DocumentFormat::kHeadings, .heading = "^ = [^=].* = $"};
  EXPECT_THAT(*Read("a.txt", "before\n = A = \ntext\n = = Part = = \nmore\n = B = \n", source),
              ElementsAre("before", "= A = \ntext\n = = Part = = \nmore", "= B ="));
}

TEST_F(Documents, RefuseAWrongRegularExpression) {
  const auto documents = Read("a.txt", "x", {.format = DocumentFormat::kHeadings, .heading = "("});
  EXPECT_EQ(documents.status().code(), Code::kUsage);
}

TEST_F(Documents, ComeFromAJsonField) {
  EXPECT_THAT(*Read("a.jsonl",
                    "{\"text\": \"\\u00fc\\n\\ud83d\\ude00\"}\n\n{\"id\": 1, \"text\": \"two\"}\n"),
              ElementsAre("ü\n😀", "two"));
  EXPECT_THAT(*Read("b.jsonl", "{\"body\": \"x\"}", {.json_field = "body"}), ElementsAre("x"));
}

TEST_F(Documents, NameTheLineOfBrokenJson) {
  for (const char* line : {"{\"text\": 3}", "[1]", "{\"text\": \"a\"", "{\"other\": \"a\"}",
                           "{\"text\": \"\\ud83d\"}"}) {
    const auto documents = Read("a.jsonl", std::string("{\"text\": \"a\"}\n") + line + "\n");
    EXPECT_EQ(documents.status().code(), Code::kBadData) << line;
    EXPECT_THAT(documents.status().message(), HasSubstr("line 2")) << line;
  }
}

TEST_F(Documents, AreToldByTheContentOfTheirFile) {
  const std::string json = "\xEF\xBB\xBF\n { \"text\": \"one\"}\n{\"text\": \"two\"}\n";
  for (const char* name : {"a.json", "a.JSONL", "a.txt", "a"})
    EXPECT_THAT(*Read(name, json), ElementsAre("one", "two")) << name;
  EXPECT_THAT(*Read("b.json", "{{Infobox\n[x]\n"), ElementsAre("{{Infobox", "[x]"));
  EXPECT_THAT(*Read("c.txt", json, {.format = DocumentFormat::kLines}),
              ElementsAre("{ \"text\": \"one\"}", "{\"text\": \"two\"}"));
  EXPECT_THAT(Read("d.ndJSON", "plain\n").status().message(), HasSubstr("line 1, column 1"));
}

TEST_F(Documents, NameWhatHoldsNoText) {
  const std::pair<std::string, const char*> files[] = {
      {"\x1f\x8b\x08", "gzip"},
      {"\x28\xb5\x2f\xfd\x04", "zstd"},
      {"PK\x03\x04", "zip"},
      {"PAR1\x15\x04", "Parquet"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-LFS"},
      {"[\n {\"text\": \"one\"}\n]\n", "JSON array"}};
  for (const auto& [content, kind] : files) {
    const auto documents = Read("a.jsonl", content);
    EXPECT_EQ(documents.status().code(), Code::kBadData) << kind;
    EXPECT_THAT(documents.status().message(), HasSubstr(kind));
  }
}

TEST_F(Documents, MayBeginWithTheLettersOfAnotherKindOfFile) {
  for (const std::string text : {"GOLF is a game", "BZhou", "PAR1 and 2", "GGUF"})
    EXPECT_THAT(*Read("a.txt", text + "\n"), ElementsAre(text));
  const std::string cut(65536 - 2, 'x');  // a character across the bytes that are looked at
  EXPECT_THAT(*Read("b.txt", "GOLF\n" + cut.substr(5) + "\u20ac\n"),
              ElementsAre("GOLF", cut.substr(5) + "\u20ac"));
}

TEST_F(Documents, AreReadBesideNumbersThatJsonHasNot) {
  EXPECT_THAT(*Read("a.jsonl",
                    "{\"score\": NaN, \"text\": \"a \\\"NaN\\\" Infinity\", \"x\": [-Infinity, "
                    "Infinity]}\n{\"text\": \"old\", \"y\": {\"text\": 1}, \"text\": \"new\"}\n"),
              ElementsAre("a \"NaN\" Infinity", "new"));
  EXPECT_THAT(Read("b.jsonl", "{\"text\": NaN}\n").status().message(),
              HasSubstr("line 1 has no string \"text\""));
  EXPECT_THAT(Read("c.jsonl", "{\"text\": \"a\", \"n\": NaNs}\n").status().message(),
              HasSubstr("line 1, column 23"));
}

TEST_F(Documents, NameTheColumnOfBrokenJson) {
  const std::pair<const char*, const char*> lines[] = {
      {"{\"text\": \"\u00fcber\",}", "line 2, column 17: is not JSON: syntax error"},
      {"{\"text\": \"a \\ud83d b\"}",
       "line 2, column 19: is not JSON: syntax error while parsing value - invalid string: "
       "surrogate"},
      {"{\"text\": \"a \\udc00\"}",
       "line 2, column 18: is not JSON: syntax error while parsing value - invalid string: "
       "surrogate"},
      {"{\"text\": \"a\"", "line 2, column 12: is not JSON: "},
      {"{\"text\": \"a\", \"n\": 1e999}", "number overflow"}};
  for (const auto& [line, message] : lines) {
    const auto documents = Read("a.jsonl", std::string("{\"text\": \"a\"}\n") + line + "\n");
    EXPECT_EQ(documents.status().code(), Code::kBadData) << line;
    EXPECT_THAT(documents.status().message(), HasSubstr(message));
  }
}

TEST_F(Documents, RefuseWhatIsNotUtf8) {
  const auto documents = Read("a.txt", "fine\n\xFF\n");
  EXPECT_EQ(documents.status().code(), Code::kBadData);
  EXPECT_THAT(documents.status().message(), HasSubstr("a.txt: line 2"));
}

TEST_F(Documents, OfAFileThatIsNotThereAreAnIoError) {
  EXPECT_EQ(DocumentReader::Open({.files = {folder_ / "nothing"}}).status().code(), Code::kIo);
  EXPECT_THAT(DocumentReader::Open({.files = {"/dev/null"}}).status().message(),
              HasSubstr("not a regular file"));
}

TEST(Utf8, IsToldFromOtherBytes) {
  for (const char* good : {"", "a", "ü", "€", "😀", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(IsUtf8(good)) << good;
  for (const char* bad :
       {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "a\xFF"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace golf
