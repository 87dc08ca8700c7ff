// A library for LD_PRELOAD that seals a program before its main(): from then on it dies (SIGSYS) if it opens a network
// socket, starts another program, or opens a file for writing, makes, renames or removes one. Descriptors that it got from
// its parent (stdout, stderr) stay usable, and so is reading files.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
#error "no seccomp filter for this machine"
#endif

// What a program that only reads and computes has no use for. x86-64 still has the calls without "at".
constexpr uint32_t kForbidden[] = {
    SYS_execve,         SYS_execveat, SYS_socket,   SYS_socketpair, SYS_connect,   SYS_bind,
    SYS_sendto,         SYS_sendmsg,  SYS_openat2,  SYS_renameat,   SYS_renameat2, SYS_unlinkat,
    SYS_mkdirat,        SYS_mknodat,  SYS_linkat,   SYS_symlinkat,  SYS_truncate,  SYS_ftruncate,
    SYS_fallocate,      SYS_fchmod,   SYS_fchmodat, SYS_fchown,     SYS_fchownat,  SYS_ptrace,
    SYS_io_uring_setup,
#if defined(__x86_64__)
    SYS_creat,          SYS_rename,   SYS_unlink,   SYS_mkdir,      SYS_rmdir,     SYS_mknod,
    SYS_link,           SYS_symlink,  SYS_chmod,    SYS_chown,      SYS_fork,      SYS_vfork,
#endif
};

constexpr uint32_t kWriting = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

class Filter {
 public:
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void Add(uint32_t code, uint32_t k, uint8_t if_true = 0, uint8_t if_false = 0) {
    steps_.push_back({static_cast<uint16_t>(code), if_true, if_false, k});
  }
  void Return(uint32_t verdict) { Add(BPF_RET | BPF_K, verdict); }

  // `call` dies if its argument `flags` has a bit of kWriting.
  void ForbidWriting(uint32_t call, size_t flags) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
    Load(offsetof(seccomp_data, args) + flags * sizeof(uint64_t));
    Add(BPF_JMP | BPF_JSET | BPF_K, kWriting, 0, 1);
    Return(SECCOMP_RET_KILL_PROCESS);
    Return(SECCOMP_RET_ALLOW);
  }

  bool Install() {
    const sock_fprog program = {static_cast<uint16_t>(steps_.size()), steps_.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

 private:
  std::vector<sock_filter> steps_;
};

[[gnu::constructor]] void Seal() {
  Filter filter;
  filter.Load(offsetof(seccomp_data, arch));
  filter.Add(BPF_JMP | BPF_JEQ | BPF_K, kMachine, 1, 0);
  filter.Return(SECCOMP_RET_KILL_PROCESS);
  filter.Load(offsetof(seccomp_data, nr));
  for (const uint32_t call : kForbidden) {
    filter.Add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
    filter.Return(SECCOMP_RET_KILL_PROCESS);
  }
#if defined(__x86_64__)
  filter.ForbidWriting(SYS_open, 1);
#endif
  filter.ForbidWriting(SYS_openat, 2);
  filter.Return(SECCOMP_RET_ALLOW);
  if (!filter.Install()) {
    std::perror("seccomp");
    std::_Exit(99);  // no test may take this for a sealed run
  }
}

}  // namespace
