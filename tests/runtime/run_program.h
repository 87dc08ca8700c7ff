// Runs one of our programs and returns what it said.
#pragma once
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace golf::test {

struct ProgramOutput {
  int exit_code;
  std::string out, err;
};

// arguments: as typed in a shell.
inline ProgramOutput RunProgram(const std::string& name, const std::string& arguments,
                                const std::filesystem::path& scratch) {
  const std::string err = (scratch / "stderr.txt").string();
  const std::string command =
      std::string(GOLF_BIN_DIR) + "/" + name + " " + arguments + " 2>" + err;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "", "popen failed"};
  std::string out;
  std::array<char, 4096> buffer{};
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    out.append(buffer.data(), n);
  const int status = pclose(pipe);
  std::stringstream text;
  text << std::ifstream(err).rdbuf();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out, text.str()};
}

}  // namespace golf::test
