//go:build linux || darwin

package proxy

import (
	"net"
	"runtime"
	"syscall"
)

// boundUnsent limits how much of a response the system buffers unsent. Without it that is some MiB, a third of which
// must leave before the next write succeeds: a client that steadily reads less than that in StallTimeout would be taken
// for one that does not read.
func boundUnsent(conn *net.TCPConn) {
	const bytes = 64 << 10
	option := 0x19 // TCP_NOTSENT_LOWAT
	if runtime.GOOS == "darwin" {
		option = 0x201
	}
	if c, err := conn.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, option, bytes) })
	}
}
