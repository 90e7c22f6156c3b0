// SPDX-License-Identifier: GPL-3.0-or-later
/* Loops of system calls that the probes make dearer. Prints the CPU nanoseconds of an iteration, one batch a line.
 *
 *     loops call|open|pipe|message|fault|switch BATCHES ITERATIONS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int there[2], back[2], datagrams[2];

static void loop_call(void)
{
	getppid();
}

static void loop_open(void)
{
	struct stat st;
	int fd = open("/etc/hostname", O_RDONLY);

	fstat(fd, &st);
	close(fd);
}

static void loop_pipe(void)
{
	int ends[2];

	if (pipe(ends) == 0) {
		close(ends[0]);
		close(ends[1]);
	}
}

static void loop_message(void)
{
	static char text[1024];

	if (send(datagrams[0], text, sizeof(text), 0) != recv(datagrams[1], text, sizeof(text), 0))
		exit(3);
}

static void loop_fault(void)
{
	size_t size = 64 * 4096;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; at < size; at += 4096)
		pages[at] = 1;
	munmap(pages, size);
}

/* Two processes on one CPU wake each other: two wake-ups and two switches. */
static void loop_switch(void)
{
	char byte = 0;

	if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
		exit(3);
}

static void echo(void)
{
	char byte;

	close(there[1]);
	while (read(there[0], &byte, 1) == 1)
		if (write(back[1], &byte, 1) != 1)
			break;
	_exit(0);
}

static double cpu_ns(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return 1e9 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e3 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } loops[] = {
		{"call", loop_call}, {"open", loop_open}, {"pipe", loop_pipe}, {"message", loop_message}, {"fault", loop_fault},
		{"switch", loop_switch}};
	void (*run)(void) = NULL;

	for (size_t i = 0; argc == 4 && i < sizeof(loops) / sizeof(loops[0]); i++)
		if (strcmp(argv[1], loops[i].name) == 0)
			run = loops[i].run;
	if (!run || pipe(there) || pipe(back) || socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams))
		return 2;
	long batches = atol(argv[2]), iterations = atol(argv[3]);

	for (long batch = 0; batch < batches; batch++) {
		pid_t peer = -1;
		double own = cpu_ns(RUSAGE_SELF), peers = cpu_ns(RUSAGE_CHILDREN);

		if (run == loop_switch && (peer = fork()) == 0)
			echo();
		for (long i = 0; i < iterations; i++)
			run();
		if (peer > 0) {
			close(there[1]);
			waitpid(peer, NULL, 0);
			close(there[0]);
			if (pipe(there))
				return 3;
		}
		printf("%.1f\n", (cpu_ns(RUSAGE_SELF) - own + cpu_ns(RUSAGE_CHILDREN) - peers) / iterations);
	}
	return 0;
}
