#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/system.h"

enum {
  FIRST_PASSED = 3,       // SD_LISTEN_FDS_START
  PASSED_MAX = 128,
  ENVIRONMENT_MAX = 256,
  IOPRIO_WHO_PROCESS = 1,
  IOPRIO_IDLE = 3 << 13,
  IOPRIO_BEST_EFFORT = (2 << 13) | 4,
};

extern char **environ;

int penstock_pin(int index) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return -errno;
  CPU_ZERO(&one);
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(processor, &allowed) || index-- > 0) continue;
    CPU_SET(processor, &one);
    return sched_setaffinity(0, sizeof one, &one) < 0 ? -errno : 0;
  }
  return -EINVAL;
}

int penstock_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  return CPU_COUNT(&set);
}

int penstock_set_idle_of(int process, bool idle) {
  struct sched_param parameter = {0};
  if (sched_setscheduler(process, idle ? SCHED_IDLE : SCHED_OTHER, &parameter) < 0) return -errno;
  int priority = idle ? IOPRIO_IDLE : IOPRIO_BEST_EFFORT;
  if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, process, priority) < 0) return -errno;
  return 0;
}

int penstock_set_idle(bool idle) { return penstock_set_idle_of(0, idle); }

static void become(const struct penstock_spawn *r, pid_t parent, char *const *environment) {
  // Handlers and masks of the parent do not belong to the role.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // What is sent to the whole group (Ctrl-C, a terminal that hangs up, a service manager) is for the
  // host, which then stops the roles in order.
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  penstock_ignore_write_signals();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  // Above the target range first, so that none is overwritten before it was moved.
  int moved[PASSED_MAX];
  for (int i = 0; i < r->descriptor_count; i++) {
    moved[i] = fcntl(r->descriptors[i], F_DUPFD_CLOEXEC, FIRST_PASSED + PASSED_MAX);
    if (moved[i] < 0) _exit(127);
  }
  for (int i = 0; i < r->descriptor_count; i++)
    if (dup2(moved[i], FIRST_PASSED + i) < 0) _exit(127);
  if (r->processor >= 0) penstock_pin(r->processor);
  if (r->idle) penstock_set_idle(true);
  execve(r->path, (char *const *)(const void *)r->arguments, environment);
  _exit(127);
}

int penstock_spawn(const struct penstock_spawn *r) {
  if (r->descriptor_count > PASSED_MAX) return -EINVAL;
  // The environment is built before the fork; only the child's own pid is printed after it.
  char *environment[ENVIRONMENT_MAX];
  static char pid_text[32], count_text[32], names[4096];
  int n = 0;
  for (char **e = environ; *e && n < ENVIRONMENT_MAX - 4; e++) {
    if (strncmp(*e, "LISTEN_", 7) == 0) continue;
    environment[n++] = *e;
  }
  snprintf(count_text, sizeof count_text, "LISTEN_FDS=%d", r->descriptor_count);
  snprintf(names, sizeof names, "LISTEN_FDNAMES=%s", r->descriptor_names ? r->descriptor_names : "");
  environment[n++] = pid_text;
  environment[n++] = count_text;
  environment[n++] = names;
  environment[n] = NULL;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) return -errno;
  if (child > 0) return child;
  snprintf(pid_text, sizeof pid_text, "LISTEN_PID=%d", (int)getpid());
  become(r, parent, environment);
  return 0;
}

int64_t penstock_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  return limit.rlim_max > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_max;
}

int penstock_signal_descriptor(const int *signals) {
  sigset_t set;
  sigemptyset(&set);
  for (; *signals >= 0; signals++) sigaddset(&set, *signals);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
  int d = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return d < 0 ? -errno : d;
}

int penstock_next_signal(int descriptor) {
  struct signalfd_siginfo info;
  return read(descriptor, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

void penstock_ignore_write_signals(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

int64_t penstock_wait_readable(const int *descriptors, int count, int timeout_ms) {
  struct pollfd p[64];
  if (count > 64) return -EINVAL;
  for (int i = 0; i < count; i++) p[i] = (struct pollfd){descriptors[i], POLLIN, 0};
  int n = poll(p, (nfds_t)count, timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : -errno;
  int64_t mask = 0;
  for (int i = 0; i < count; i++)
    if (p[i].revents) mask |= (int64_t)1 << i;
  return mask;
}

int penstock_pipe(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}

int64_t penstock_resident_bytes(int pid, bool peak) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *f = fopen(path, "re");
  if (!f) return -1;
  const char *key = peak ? "VmHWM:" : "VmRSS:";
  long kilobytes = -1;
  while (fgets(line, sizeof line, f))
    if (strncmp(line, key, strlen(key)) == 0) kilobytes = strtol(line + strlen(key), NULL, 10);
  fclose(f);
  return kilobytes < 0 ? -1 : (int64_t)kilobytes * 1024;
}

int64_t penstock_processor_nanoseconds(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *f = fopen(path, "re");
  if (!f) return -1;
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  // The name may hold spaces and parentheses; the fields follow its last ')'.
  char *p = strrchr(text, ')');
  unsigned long long user, system;
  if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                   &system) != 2)
    return -1;
  return (int64_t)((user + system) * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK)));
}

int penstock_read_byte(int descriptor) {
  uint8_t byte;
  ssize_t n;
  do n = read(descriptor, &byte, 1);
  while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  return n == 0 ? -EPIPE : byte;
}

void penstock_finish_sending(int socket) { shutdown(socket, SHUT_WR); }
void penstock_shut_down(int socket) { shutdown(socket, SHUT_RDWR); }

int penstock_write_line(const void *bytes, size_t count) {
  return write(STDERR_FILENO, bytes, count) < 0 ? -errno : 0;
}

int penstock_passed_descriptors(void) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  if (!pid || !count || atoi(pid) != (int)getpid()) return 0;
  int n = atoi(count);
  for (int i = 0; i < n; i++) fcntl(FIRST_PASSED + i, F_SETFD, FD_CLOEXEC);
  return n > 0 ? n : 0;
}

const char *penstock_environment(const char *name) { return getenv(name); }

int64_t penstock_read(int descriptor, void *bytes, size_t count) {
  ssize_t n;
  do n = read(descriptor, bytes, count);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int penstock_write(int descriptor, const void *bytes, size_t count) {
  const char *p = bytes;
  while (count > 0) {
    ssize_t n = write(descriptor, p, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    p += n;
    count -= (size_t)n;
  }
  return 0;
}


int penstock_next_ended_child(int *status) {
  int raw;
  pid_t pid = waitpid(-1, &raw, WNOHANG);
  if (pid <= 0) return 0;
  *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return pid;
}

void penstock_signal(int pid, int signal) { kill(pid, signal); }

int penstock_wait_writable(int descriptor, int timeout_ms) {
  struct pollfd p = {descriptor, POLLOUT, 0};
  int n = poll(&p, 1, timeout_ms);
  return n < 0 ? -errno : n;
}

void penstock_exit(int status) { exit(status); }
