//go:build !windows

// Package errno has the errors of the system that tell what came of a connection or a pipe.
package errno

import "syscall"

const (
	ECONNABORTED = syscall.ECONNABORTED
	ECONNREFUSED = syscall.ECONNREFUSED
	ECONNRESET   = syscall.ECONNRESET
	EHOSTUNREACH = syscall.EHOSTUNREACH
	ENETUNREACH  = syscall.ENETUNREACH
	EPIPE        = syscall.EPIPE
)
