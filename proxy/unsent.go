//go:build linux || darwin

package proxy

import (
	"net"
	"runtime"
	"syscall"
)

// boundUnsent bounds what the system takes of a response before it is sent. It would be some MiB, of which a third has
// to leave before a writer may go on: who reads steadily, but less than that in StallTimeout, would pass for one who
// does not read.
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
