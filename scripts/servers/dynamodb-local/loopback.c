/*
 * Preloaded into DynamoDB Local, which has no option for its address and would listen on all interfaces: every IPv4 bind()
 * goes to 127.0.0.1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	static int (*next)(int, const struct sockaddr *, socklen_t);
	struct sockaddr_in in;

	if (!next)
		next = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
	if (sa && sa->sa_family == AF_INET && len >= sizeof in) {
		memcpy(&in, sa, sizeof in);
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return next(fd, (struct sockaddr *)&in, sizeof in);
	}
	return next(fd, sa, len);
}
